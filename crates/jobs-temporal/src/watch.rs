//! Has an account's jobs polled by one scheduler, and tells the workflows that wait for them.

use std::path::PathBuf;
use std::sync::Arc;

use jobs_core::vendor::Account;
use jobs_ledger::LedgerId;
use jobs_runner::{Observer, PollModels, Runner, RunnerEvent, WorkerConfig};
use temporalio_client::Client;
use temporalio_sdk::ApplicationFailure;
use temporalio_sdk::activities::ActivityError;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::starters::Starters;

/// What polls the jobs of one account.
pub(crate) struct Watch {
    pub(crate) runner: Runner,
    pub(crate) account: Account,
    pub(crate) models: PollModels,
    pub(crate) output_dir: PathBuf,
    pub(crate) starters: Arc<Starters>,
}

impl Watch {
    /// Runs until `stop`, and gives everything back then. The engine starts it on another worker when this one dies.
    pub(crate) async fn run(
        self,
        client: Client,
        stop: CancellationToken,
    ) -> Result<(), ActivityError> {
        let (sender, mut settled) = mpsc::unbounded_channel();
        let ledger = self.runner.ledger().clone();
        let (starters, account) = (self.starters, self.account);
        let tells = tokio::spawn(async move {
            while let Some(job) = settled.recv().await {
                starters.tell(&client, &ledger, account, job).await;
            }
        });
        let runner = self.runner.with_observer(SettledJobs(sender));
        let config = WorkerConfig::default()
            .with_output_dir(self.output_dir)
            .with_poll_models(self.models);
        let ended = runner.worker(config).run(stop.cancelled_owned()).await;
        drop(runner);
        // What has settled until now is still told.
        drop(tells.await);
        let why = match ended {
            Ok(_) => "this worker ends; another one continues".to_owned(),
            Err(error) => error.to_string(),
        };
        Err(ActivityError::application(ApplicationFailure::new(why)))
    }
}

/// Hears which jobs have settled or need attention.
struct SettledJobs(mpsc::UnboundedSender<LedgerId>);

impl Observer for SettledJobs {
    fn on_event(&self, event: &RunnerEvent<'_>) {
        let job = match event {
            RunnerEvent::Completed { job, .. } => job.id,
            RunnerEvent::Ended { job, error } | RunnerEvent::Parked { job, error } => {
                tracing::info!(job = %job, %error, "a job ended without a result or needs attention");
                *job
            }
            RunnerEvent::LedgerTrouble { error, .. } => {
                tracing::warn!(%error, "the ledger could not be read or written");
                return;
            }
            _ => return,
        };
        // The receiver lives as long as the worker.
        self.0.send(job).ok();
    }
}
