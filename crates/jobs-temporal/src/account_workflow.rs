//! The workflow `docjobs.Account`: one for each account, so that its jobs are polled in batches by one scheduler.

#![allow(
    missing_docs,
    missing_debug_implementations,
    reason = "the macros write undocumented constants and types beside the methods"
)]

use std::time::Duration;

use temporalio_macros::{workflow, workflow_methods};
use temporalio_sdk::{ActivityOptions, ContinueAsNewOptions, WorkflowContext, WorkflowResult};

use crate::activities::{AccountActivities, HEARTBEAT};
use crate::contract::{AccountTarget, account_queue};
use crate::retry::retried;

/// How long one attempt at watching may take: after that, another worker has its turn.
const WATCH: Duration = Duration::from_secs(24 * 60 * 60);
/// The pause after an end of the activity that the engine does not try again.
const PAUSE: Duration = Duration::from_secs(10);

/// Has the account's jobs polled, on whatever worker lives.
#[workflow]
#[derive(Debug, Default)]
pub struct AccountWorkflow;

#[workflow_methods]
impl AccountWorkflow {
    /// Runs until it is cancelled or terminated.
    #[run(name = "docjobs.Account")]
    pub async fn run(ctx: &mut WorkflowContext<Self>, target: AccountTarget) -> WorkflowResult<()> {
        let options = ActivityOptions::with_start_to_close_timeout(WATCH)
            .task_queue(account_queue(&target.vendor, &target.account))
            .heartbeat_timeout(HEARTBEAT)
            .retry_policy(retried())
            .do_not_eagerly_execute(true)
            .build();
        let ended = ctx
            .execute_activity(AccountActivities::watch, (), options)
            .await;
        if ctx.cancellation_token().is_cancelled() {
            return Err(temporalio_sdk::WorkflowTermination::cancelled());
        }
        if ended.is_err() {
            ctx.timer(PAUSE).await;
        }
        ctx.continue_as_new(target, ContinueAsNewOptions::default())?;
        Ok(())
    }
}
