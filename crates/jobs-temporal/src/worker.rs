//! A worker process: the workflows on one queue, each account's activities on a queue of its own.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use temporalio_client::{Client, tonic};
use temporalio_sdk::{
    Runtime, WorkerCreateError, WorkerOptions, WorkerRunError, WorkflowRegistrationError,
};
use tokio_util::sync::CancellationToken;

use crate::account_activity::LocalActivities;
use crate::account_workflow::AccountWorkflow;
use crate::activities::AccountActivities;
use crate::contract::{WORKFLOW_QUEUE, account_queue};
use crate::handlers::AccountRunner;
use crate::job_workflow::JobWorkflow;
use crate::search_attributes::are_registered;
use crate::starters::Starters;

/// How long activities may take to end when the worker does: a paid call under way is waited for.
const GRACE: Duration = Duration::from_secs(30);

/// How a worker works.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct WorkerSettings {
    /// Where results go that have no place of their own, as `ID.EXTENSION`.
    pub output_dir: PathBuf,
    /// How long a waiting workflow goes without asking the ledger.
    pub recheck: Duration,
}

impl Default for WorkerSettings {
    /// Results in the current folder; ten minutes.
    fn default() -> Self {
        Self {
            output_dir: PathBuf::from("."),
            recheck: Duration::from_secs(10 * 60),
        }
    }
}

/// Why a worker ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WorkerError {
    /// No vendor is set up.
    #[error("no vendor has its variables set: nothing to work on; see docjobs doctor")]
    NoAccount,
    /// The server does not know the namespace, or does not answer.
    #[error("the Temporal server refused: {0}")]
    Server(#[from] tonic::Status),
    /// The engine's library could not be set up.
    #[error("the worker could not be set up: {0}")]
    Setup(String),
    /// It cannot go on.
    #[error("the worker ended: {0}")]
    Ended(#[from] WorkerRunError),
}

impl From<WorkerCreateError> for WorkerError {
    fn from(error: WorkerCreateError) -> Self {
        Self::Setup(error.to_string())
    }
}

impl From<WorkflowRegistrationError> for WorkerError {
    fn from(error: WorkflowRegistrationError) -> Self {
        Self::Setup(error.to_string())
    }
}

/// A worker that has not begun.
#[derive(Debug)]
#[must_use = "a worker works while it runs"]
pub struct Worker {
    client: Client,
    accounts: Vec<AccountRunner>,
    settings: WorkerSettings,
}

impl Worker {
    /// A worker for these accounts.
    pub fn new(client: Client, accounts: Vec<AccountRunner>, settings: WorkerSettings) -> Self {
        Self {
            client,
            accounts,
            settings,
        }
    }

    /// Works until `shutdown` completes; then gives everything back. Not `Send`: workflows live on one thread.
    ///
    /// # Errors
    /// [`WorkerError`].
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<(), WorkerError> {
        if self.accounts.is_empty() {
            return Err(WorkerError::NoAccount);
        }
        let has_search_attributes = are_registered(&self.client).await?;
        if !has_search_attributes {
            tracing::warn!(
                "the namespace lacks our search attributes; `docjobs-temporal worker --setup` registers them"
            );
        }
        let starters = Arc::new(Starters::new(self.settings.recheck, has_search_attributes));
        let stop = CancellationToken::new();
        let runtime = Runtime::from_current_tokio(Default::default())
            .map_err(|problem| WorkerError::Setup(problem.to_string()))?;
        let mut workers = vec![self.workflows(&runtime, &starters)?];
        for account in &self.accounts {
            workers.push(self.activities(&runtime, account, &starters, &stop)?);
        }
        let ends: Vec<_> = workers
            .iter()
            .map(temporalio_sdk::Worker::shutdown_handle)
            .collect();
        for account in &self.accounts {
            starters
                .ensure_account(&self.client, account.vendor, account.account)
                .await;
        }
        tracing::info!(accounts = self.accounts.len(), "the worker is ready");
        let mut running: FuturesUnordered<_> = workers
            .iter_mut()
            .map(temporalio_sdk::Worker::run)
            .collect();
        let mut shutdown = std::pin::pin!(shutdown.fuse());
        let mut outcome = Ok(());
        let end_all = || {
            stop.cancel();
            for end in &ends {
                end();
            }
        };
        loop {
            tokio::select! {
                () = &mut shutdown, if !stop.is_cancelled() => end_all(),
                ended = running.next() => {
                    match ended {
                        None => break,
                        Some(Err(error)) => outcome = Err(error.into()),
                        Some(Ok(())) => {}
                    }
                    end_all();
                }
            }
        }
        outcome
    }

    fn workflows(
        &self,
        runtime: &Runtime,
        starters: &Arc<Starters>,
    ) -> Result<temporalio_sdk::Worker, WorkerError> {
        let kinds = self.accounts.iter().flat_map(|account| {
            let handlers = account.runner.handlers();
            handlers
                .iter()
                .map(|handler| (handler.vendor(), handler.kind(), handler.account()))
        });
        let local = LocalActivities {
            kinds: kinds.collect(),
            starters: Arc::clone(starters),
        };
        let options = WorkerOptions::new(WORKFLOW_QUEUE)
            .register_workflow::<JobWorkflow>()?
            .register_workflow::<AccountWorkflow>()?
            .register_activities(local)
            .graceful_shutdown_period(GRACE)
            .build();
        Ok(temporalio_sdk::Worker::new(
            runtime,
            self.client.clone(),
            options,
        )?)
    }

    fn activities(
        &self,
        runtime: &Runtime,
        account: &AccountRunner,
        starters: &Arc<Starters>,
        stop: &CancellationToken,
    ) -> Result<temporalio_sdk::Worker, WorkerError> {
        let activities = AccountActivities {
            vendor: account.vendor,
            account: account.account,
            runner: account.runner.clone(),
            output_dir: self.settings.output_dir.clone(),
            models: account.models.clone(),
            starters: Arc::clone(starters),
            shutdown: stop.clone(),
        };
        let queue = account_queue(account.vendor, &account.account.to_string());
        let options = WorkerOptions::new(queue)
            .register_activities(activities)
            .graceful_shutdown_period(GRACE)
            .build();
        Ok(temporalio_sdk::Worker::new(
            runtime,
            self.client.clone(),
            options,
        )?)
    }
}
