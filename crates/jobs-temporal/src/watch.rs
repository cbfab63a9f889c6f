//! Has an account's jobs polled by one scheduler, and tells the workflows that wait for them.

use std::sync::Arc;

use jobs_ledger::LedgerId;
use jobs_runner::{Observer, RunnerEvent, WorkerConfig};
use temporalio_sdk::ApplicationFailure;
use temporalio_sdk::activities::{ActivityContext, ActivityError};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::activities::AccountActivities;

/// Runs until `stop`, and gives everything back then. The engine starts it on another worker when this one dies.
pub(crate) async fn watch(
    account: &Arc<AccountActivities>,
    ctx: &ActivityContext,
    stop: CancellationToken,
) -> Result<(), ActivityError> {
    let (sender, mut settled) = mpsc::unbounded_channel();
    let runner = account.runner.clone().with_observer(SettledJobs(sender));
    let config = WorkerConfig::default()
        .with_output_dir(&account.output_dir)
        .with_poll_models(account.models.clone());
    let client = ctx.client();
    let (watched, told) = (Arc::clone(account), runner.ledger().clone());
    let tells = tokio::spawn(async move {
        while let Some(job) = settled.recv().await {
            watched
                .starters
                .tell(&client, &told, watched.account, job)
                .await;
        }
    });
    let ended = runner.worker(config).run(stop.cancelled_owned()).await;
    drop(runner);
    // What has settled until now is still told.
    drop(tells.await);
    match ended {
        Ok(_) => Err(ActivityError::application(ApplicationFailure::new(
            "this worker ends; another one continues",
        ))),
        Err(error) => Err(ActivityError::application(ApplicationFailure::new(
            error.to_string(),
        ))),
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
        drop(self.0.send(job));
    }
}
