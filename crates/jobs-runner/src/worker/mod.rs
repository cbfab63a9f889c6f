//! A worker: submits, polls and fetches the jobs of a ledger, as many at once as it may hold.
//!
//! It claims what is due, makes paid calls, has one scheduler poll what the vendors hold, fetches results to their places,
//! and records each step. Any number of workers may run on one ledger. A worker that is killed loses nothing: its claims
//! run out, and whoever claims a job next finds in the ledger how far it was.

mod entry;
mod run_loop;
mod source;
mod work_item;

use std::path::PathBuf;
use std::time::Duration;

use jobs_core::fleet::{Fleet, FleetConfig};
use jobs_ledger::LedgerId;
use tokio_util::sync::CancellationToken;

use self::entry::Entry;
use self::run_loop::RunLoop;
use self::work_item::WorkerContext;
use crate::context::Context;
use crate::dyn_handler::DynHandler;
use crate::error::{ErrorCategory, RunnerError};
use crate::poll_model::PollModels;

/// How a worker works.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct WorkerConfig {
    /// Where results go that have no place of their own, as `ID.EXTENSION`; so do those whose place somebody else gave, by the
    /// ledger's [`place_key`](jobs_ledger::LedgerConfig::place_key), unless it lies below this folder.
    pub output_dir: PathBuf,
    /// How many jobs it holds at once.
    pub capacity: usize,
    /// Whether it ends when nothing can be done before long.
    pub until_idle: bool,
    /// When a job is tried again whose trouble may pass; twice as long each further time.
    pub retry_interval: Duration,
    /// How long it has one job polled before it leaves it to others, by the vendor's clock. Of jobs that are
    /// [given](Self::only) it bounds the time from the submit on, with every repetition before the job is accepted.
    pub max_wait: Duration,
    /// The schedules by which its handlers' clients poll, if they adapt.
    pub poll_models: PollModels,
    /// Whether a file that is at the place of a result is replaced, at once and as a whole.
    pub overwrite: bool,
    /// Whether a result is delivered that arrived whole and does not pass its check.
    pub accept_unverified: bool,
    /// Poll only: accepted jobs are polled until they are *available* or over, and released then. Nothing is submitted and
    /// nothing fetched. For an engine that does these steps itself, on jobs that are [given](Self::only).
    pub polls_only: bool,
    /// Submit only: a job is left, for any worker to continue, as soon as the vendor has it, and
    /// [told of](crate::RunnerEvent::Accepted) also where it had it before. For jobs that are [given](Self::only).
    pub until_accepted: bool,
    /// Work on these jobs only, and end when each of them is settled, or cannot be continued before long.
    pub only: Option<Vec<LedgerId>>,
}

/// How a worker ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct WorkerReport {
    /// The worst end of its jobs, if not all of them are completed.
    pub worst: Option<ErrorCategory>,
    /// How many unfinished jobs it gave back.
    pub given_back: usize,
    /// Whether it was told to end.
    pub was_shut_down: bool,
}

impl Default for WorkerConfig {
    /// 10 000 jobs, results in the current folder, until told to end.
    fn default() -> Self {
        Self {
            output_dir: PathBuf::from("."),
            capacity: 10_000,
            until_idle: false,
            retry_interval: Duration::from_secs(30),
            max_wait: Duration::from_secs(24 * 60 * 60),
            poll_models: PollModels::default(),
            overwrite: false,
            accept_unverified: false,
            polls_only: false,
            until_accepted: false,
            only: None,
        }
    }
}

impl WorkerConfig {
    /// Puts results that have no place of their own there.
    #[must_use]
    pub fn with_output_dir(mut self, folder: impl Into<PathBuf>) -> Self {
        self.output_dir = folder.into();
        self
    }

    /// Sets how many jobs it holds at once.
    #[must_use]
    pub fn with_capacity(mut self, jobs: usize) -> Self {
        self.capacity = jobs;
        self
    }

    /// Ends when nothing can be done before long.
    #[must_use]
    pub fn until_idle(mut self, until_idle: bool) -> Self {
        self.until_idle = until_idle;
        self
    }

    /// Sets when a job is tried again whose trouble may pass.
    #[must_use]
    pub fn with_retry_interval(mut self, interval: Duration) -> Self {
        self.retry_interval = interval;
        self
    }

    /// Sets how long one job is polled, or, if it is a given one, how long it may take from its submit.
    #[must_use]
    pub fn with_max_wait(mut self, wait: Duration) -> Self {
        self.max_wait = wait;
        self
    }

    /// Loads and keeps the schedules by which its handlers' clients poll.
    #[must_use]
    pub fn with_poll_models(mut self, models: PollModels) -> Self {
        self.poll_models = models;
        self
    }

    /// Whether a file that is at the place of a result is replaced.
    #[must_use]
    pub fn overwriting(mut self, overwrites: bool) -> Self {
        self.overwrite = overwrites;
        self
    }

    /// Delivers what arrived whole, whatever its check says.
    #[must_use]
    pub fn accepting_unverified(mut self, accepts: bool) -> Self {
        self.accept_unverified = accepts;
        self
    }

    /// Polls only.
    #[must_use]
    pub fn polls_only(mut self, polls_only: bool) -> Self {
        self.polls_only = polls_only;
        self
    }

    /// Submits only.
    #[must_use]
    pub fn until_accepted(mut self, until_accepted: bool) -> Self {
        self.until_accepted = until_accepted;
        self
    }

    /// Works on these jobs only.
    #[must_use]
    pub fn only(mut self, jobs: Vec<LedgerId>) -> Self {
        self.only = Some(jobs);
        self
    }
}

/// A worker that has not begun.
#[derive(Debug)]
#[must_use = "a worker works while it runs"]
pub struct Worker {
    context: Context,
    handlers: Vec<DynHandler>,
    config: WorkerConfig,
}

impl Worker {
    pub(crate) fn new(context: Context, handlers: Vec<DynHandler>, config: WorkerConfig) -> Self {
        Self {
            context,
            handlers,
            config,
        }
    }

    /// Works until `shutdown` completes, or until nothing is left to do where the configuration says so; then gives
    /// everything back. Dropping the future is like a crash: nothing is lost, and its jobs are claimed anew when their
    /// leases end.
    ///
    /// # Errors
    /// None so far: what goes wrong with a job is reported to the observer, and the worker goes on.
    pub async fn run(
        self,
        shutdown: impl Future<Output = ()>,
    ) -> Result<WorkerReport, RunnerError> {
        let Self {
            context,
            handlers,
            config,
        } = self;
        let settings = FleetConfig::default().with_capacity(config.capacity);
        let fleet = Fleet::new(settings);
        let mut models = Vec::new();
        for handler in &handlers {
            let models_of = &config.poll_models;
            let model = models_of
                .recall(&context.ledger, handler.vendor(), handler.account())
                .await;
            models.extend(model);
        }
        let entries = handlers
            .into_iter()
            .map(|handler| Entry::new(handler, &fleet))
            .collect();
        let scheduler = fleet.handle();
        let registered = context.register(move |vendor, id| {
            scheduler.poll_soon(vendor, id);
        });
        let worker = WorkerContext {
            context,
            shutdown: CancellationToken::new(),
            overwrites: config.overwrite,
            accepts_unverified: config.accept_unverified,
        };
        let run_loop = RunLoop::new(worker, fleet, entries, models, config);
        let report = Box::pin(run_loop.run(shutdown)).await;
        drop(registered);
        report
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_can_be_spawned() {
        fn is_send<T: Send>(_: impl FnOnce(Worker) -> T) {}
        is_send(|worker| worker.run(std::future::pending()));
    }
}
