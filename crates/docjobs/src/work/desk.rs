//! One kind of job as the worker sees it, whatever the kind's own types are.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jobs_core::{
    Account, CallMonitor, Error, Fleet, FleetHandle, Job, JobId, JobKind as _, WaitOptions,
    WatchError,
};
use jobs_ledger::{Claim, Ledger, at};

use crate::carry::named;
use crate::ends::{self, Cut};
use crate::exit::Stop;
use crate::line::Line;
use crate::place::Place;
use crate::report::Report;
use crate::signals::Shutdown;
use crate::steps::{Fetched, Searched, Steps, Submitted};

/// How long a lost submit is searched for.
const SEARCH: Duration = Duration::from_secs(60);

/// How long a result is fetched before the job waits for another turn.
const FETCH: Duration = Duration::from_secs(60 * 60);

/// What a desk needs from the worker.
#[derive(Clone)]
pub(super) struct Hands {
    pub(super) ledger: Ledger,
    pub(super) report: Report,
    pub(super) shutdown: Shutdown,
}

/// The way a finished job's result is brought home.
pub(super) type Bring = Box<dyn FnOnce(Hands, Claim<at::Accepted>, Place) -> Bringing + Send>;

/// The result being brought home.
pub(super) type Bringing = Pin<Box<dyn Future<Output = Result<Fetched, Stop>> + Send>>;

/// How a paid call ended.
pub(super) enum Sent {
    Held(Claim<at::Accepted>, JobId),
    /// Nothing was bought.
    Refused(Claim<at::Submitting>, Error),
    Lost(Claim<at::InDoubt>),
    /// Nothing was tried: what was to be sent is not here.
    Unready(Stop),
}

/// Everything the worker does with the jobs of one kind.
#[async_trait]
pub(super) trait Desk: Send + Sync {
    fn vendor(&self) -> &'static str;

    fn kind(&self) -> &'static str;

    fn account(&self) -> Account;

    /// Whether it serves the job.
    fn serves(&self, row: &jobs_ledger::JobRecord) -> bool;

    fn extension(&self) -> &'static str;

    /// Makes the paid call.
    async fn submit(
        &self,
        hands: &Hands,
        claim: Claim<at::Intended>,
        row: &jobs_ledger::JobRecord,
    ) -> Result<Sent, Stop>;

    /// Searches for a job whose submit was lost.
    async fn search(
        &self,
        hands: &Hands,
        claim: Claim<at::InDoubt>,
        row: &jobs_ledger::JobRecord,
    ) -> Result<Searched, Stop>;

    /// Has the scheduler look at a job of the ledger until it ends.
    fn watch(
        &self,
        hands: &Hands,
        row: &jobs_ledger::JobRecord,
        patience: WaitOptions,
    ) -> Result<(), Stop>;

    /// The same for a job that has just been accepted.
    fn watch_accepted(&self, id: JobId, patience: WaitOptions) -> Result<(), Stop>;

    /// No longer looks at it.
    fn forget(&self, id: &JobId);
}

/// A line of the command line, at work for many jobs at once.
pub(super) struct LineDesk<L: Line> {
    line: Arc<L>,
    lane: FleetHandle<L::Kind>,
}

impl<L: Line + 'static> LineDesk<L> {
    pub(super) fn open(fleet: &Fleet<Bring>, line: L) -> Arc<dyn Desk> {
        let line = Arc::new(line);
        let at_desk = Arc::clone(&line);
        let lane = fleet.handle(line.kind(), move |output| {
            let line = Arc::clone(&at_desk);
            Box::new(move |hands: Hands, claim, place| {
                Box::pin(async move {
                    let deadline = line.kind().clock().now() + FETCH;
                    let steps = hands.steps(&*line);
                    steps.fetch(&claim, output, &place, deadline).await
                }) as Bringing
            }) as Bring
        });
        let lane = lane.with_poll_events();
        Arc::new(Self { line, lane })
    }

    fn add(&self, job: &Job<L::Kind>, patience: WaitOptions) -> Result<(), Stop> {
        self.lane
            .watch(job, patience)
            .map_err(|refused: WatchError| {
                Stop::unexpected(format!("job {} cannot be watched: {refused}", job.id()))
            })
    }
}

impl Hands {
    fn steps<'a, L: Line>(&'a self, line: &'a L) -> Steps<'a, L> {
        Steps {
            report: &self.report,
            ledger: &self.ledger,
            line,
            accepts_unverified: false,
            is_remembered_form: true,
        }
    }
}

#[async_trait]
impl<L: Line + 'static> Desk for LineDesk<L> {
    fn vendor(&self) -> &'static str {
        self.line.kind().vendor()
    }

    fn kind(&self) -> &'static str {
        self.line.kind().name()
    }

    fn account(&self) -> Account {
        self.line.kind().account()
    }

    fn serves(&self, row: &jobs_ledger::JobRecord) -> bool {
        let ours = (self.vendor(), self.kind(), self.account());
        ours == (row.vendor.as_str(), row.kind.as_str(), row.account) && self.line.serves(row)
    }

    fn extension(&self) -> &'static str {
        self.line.extension()
    }

    async fn submit(
        &self,
        hands: &Hands,
        claim: Claim<at::Intended>,
        row: &jobs_ledger::JobRecord,
    ) -> Result<Sent, Stop> {
        let order = match self.line.order_again(row) {
            Ok(order) => order,
            Err(stop) => return Ok(Sent::Unready(stop)),
        };
        let cut = async |monitor: &CallMonitor| {
            let signal = hands.shutdown.requested().await;
            ends::after_signal(&**hands.ledger.clock(), monitor).await;
            Cut::Signal(signal)
        };
        let steps = hands.steps(&*self.line);
        Ok(match steps.submit(claim, &order, &row.input, cut).await? {
            Submitted::Held(held, job) => {
                if let Ok(ticket) = job.ticket() {
                    hands.report.accepted(&named(held.job(), &job), &ticket);
                }
                Sent::Held(held, job.id().clone())
            }
            Submitted::Refused(sending, error) | Submitted::NotSent(sending, error) => {
                Sent::Refused(sending, error)
            }
            Submitted::Lost(unknown, _) => Sent::Lost(unknown),
        })
    }

    async fn search(
        &self,
        hands: &Hands,
        claim: Claim<at::InDoubt>,
        row: &jobs_ledger::JobRecord,
    ) -> Result<Searched, Stop> {
        let steps = hands.steps(&*self.line);
        let end = self.line.kind().clock().now() + SEARCH;
        match self.line.order_again(row) {
            Ok(order) => steps.search(claim, &order, &steps.lost(row), end).await,
            // What was to be sent is gone, so nothing can be compared with it.
            Err(_) => Ok(Searched::InDoubt(claim, Vec::new())),
        }
    }

    fn watch(
        &self,
        hands: &Hands,
        row: &jobs_ledger::JobRecord,
        patience: WaitOptions,
    ) -> Result<(), Stop> {
        self.add(&hands.steps(&*self.line).job(row)?, patience)
    }

    fn watch_accepted(&self, id: JobId, patience: WaitOptions) -> Result<(), Stop> {
        self.add(&Job::accepted(self.line.kind(), id), patience)
    }

    fn forget(&self, id: &JobId) {
        self.lane.unwatch(id);
    }
}
