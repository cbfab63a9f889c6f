//! The jobs of one handler in a worker's scheduler.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jobs_core::fleet::{Fleet, KindHandle};
use jobs_core::vendor::JobKind as _;
use jobs_core::{Job, JobId, WaitOptions};
use jobs_ledger::{Claim, at};

use crate::context::Context;
use crate::durable_steps::{DurableSteps, FetchOutcome};
use crate::error::{RunnerError, RunnerErrorKind};
use crate::handler::Handler;
use crate::output::OutputTarget;

/// How long a result is fetched before the job waits for another turn.
const FETCH: Duration = Duration::from_secs(60 * 60);

/// The way in which a completed job's result is fetched, in a format. The mutex is never contended: it makes what holds
/// such a task shareable, whose output need not be.
pub(crate) struct FetchTask(Mutex<Begin>);

type Begin = Box<
    dyn FnOnce(Context, Claim<at::Accepted>, OutputTarget, Option<&'static str>, bool) -> Fetching
        + Send,
>;

impl FetchTask {
    fn new(begin: Begin) -> Self {
        Self(Mutex::new(begin))
    }

    pub(crate) fn begin(
        self,
        context: Context,
        claim: Claim<at::Accepted>,
        target: OutputTarget,
        format: Option<&'static str>,
        accepts_unverified: bool,
    ) -> Fetching {
        let begin = self.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        begin(context, claim, target, format, accepts_unverified)
    }
}

/// A fetch under way.
pub(crate) type Fetching = Pin<Box<dyn Future<Output = Result<FetchOutcome, RunnerError>> + Send>>;

/// Has the scheduler poll jobs, whatever their types.
pub(crate) trait FleetLane: Send + Sync {
    /// Polls a job of the ledger until it ends.
    fn watch(
        &self,
        context: &Context,
        row: &jobs_ledger::JobRecord,
        patience: WaitOptions,
    ) -> Result<(), RunnerError>;

    /// The same for a job that has just been accepted.
    fn watch_accepted(&self, id: JobId, patience: WaitOptions) -> Result<(), RunnerError>;

    /// Brings its next poll forward, as far as the vendor allows.
    fn poll_soon(&self, id: &JobId);

    /// No longer polls it.
    fn unwatch(&self, id: &JobId);
}

pub(crate) struct HandlerLane<H: Handler> {
    handler: Arc<H>,
    lane: KindHandle<H::Kind>,
}

impl<H: Handler> HandlerLane<H> {
    pub(crate) fn new(fleet: &Fleet<FetchTask>, handler: Arc<H>) -> Self {
        let fetches = Arc::clone(&handler);
        let lane = fleet.kind(handler.kind(), move |output| {
            let handler = Arc::clone(&fetches);
            let begin = move |context: Context, claim, target, format, accepts| {
                Box::pin(async move {
                    let deadline = handler.kind().clock().now() + FETCH;
                    let steps = DurableSteps::new(&context.ledger, &*context.observer, &*handler)
                        .with_format(format, true)
                        .accepting_unverified(accepts);
                    steps.fetch(&claim, output, &target, deadline).await
                }) as Fetching
            };
            FetchTask::new(Box::new(begin))
        });
        Self {
            handler,
            lane: lane.with_poll_events(),
        }
    }

    fn add(&self, job: &Job<H::Kind>, patience: WaitOptions) -> Result<(), RunnerError> {
        self.lane
            .watch(job, (), patience)
            .map_err(|refused| RunnerError::new(RunnerErrorKind::NotWatched(refused)))
    }
}

impl<H: Handler> FleetLane for HandlerLane<H> {
    fn watch(
        &self,
        context: &Context,
        row: &jobs_ledger::JobRecord,
        patience: WaitOptions,
    ) -> Result<(), RunnerError> {
        let steps = DurableSteps::new(&context.ledger, &*context.observer, &*self.handler);
        self.add(&steps.job(row)?, patience)
    }

    fn watch_accepted(&self, id: JobId, patience: WaitOptions) -> Result<(), RunnerError> {
        self.add(&Job::accepted(self.handler.kind(), id), patience)
    }

    fn poll_soon(&self, id: &JobId) {
        self.lane.poll_soon(id);
    }

    fn unwatch(&self, id: &JobId) {
        self.lane.unwatch(id);
    }
}
