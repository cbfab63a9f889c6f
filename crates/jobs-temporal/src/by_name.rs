//! Starts and signals workflows by their names, as starters in other languages do: activities know no workflow's code.

use temporalio_client::errors::{WorkflowInteractionError, WorkflowStartError};
use temporalio_client::{
    Client, WorkflowIdConflictPolicy, WorkflowSignalOptions, WorkflowStartOptions,
};
use temporalio_client::{UntypedSignal, UntypedWorkflow};
use temporalio_common::data_converters::{PayloadConverter, RawValue};

use crate::contract::{
    ACCOUNT_WORKFLOW, AccountTarget, LATE, SETTLED, WORKFLOW_QUEUE, account_workflow_id,
};

/// Starts the workflow that has an account's jobs polled, unless it runs.
pub(crate) async fn start_account(
    client: &Client,
    target: &AccountTarget,
) -> Result<(), WorkflowStartError> {
    let id = account_workflow_id(&target.vendor, &target.account);
    let options = WorkflowStartOptions::new(WORKFLOW_QUEUE, id)
        .id_conflict_policy(WorkflowIdConflictPolicy::UseExisting)
        .static_summary(format!("polls the jobs of a {} account", target.vendor))
        .build();
    client
        .start_workflow(
            UntypedWorkflow::new(ACCOUNT_WORKFLOW),
            raw(target.clone()),
            options,
        )
        .await
        .map(drop)
}

/// Tells a job's workflow that the job has settled or needs attention.
pub(crate) async fn tell_settled(
    client: &Client,
    workflow: &str,
) -> Result<(), WorkflowInteractionError> {
    signal(client, workflow, SETTLED, RawValue::new(Vec::new())).await
}

/// Tells a job's workflow of an answer that came after the engine had given the submit up.
pub(crate) async fn tell_late(
    client: &Client,
    workflow: &str,
    job: serde_json::Value,
) -> Result<(), WorkflowInteractionError> {
    signal(client, workflow, LATE, raw(job)).await
}

async fn signal(
    client: &Client,
    workflow: &str,
    name: &str,
    input: RawValue,
) -> Result<(), WorkflowInteractionError> {
    client
        .get_workflow_handle::<UntypedWorkflow>(workflow)
        .signal(
            UntypedSignal::new(name),
            input,
            WorkflowSignalOptions::default(),
        )
        .await
}

fn raw<T: serde::Serialize + 'static>(value: T) -> RawValue {
    RawValue::from_value(&value, &PayloadConverter::serde_json())
}
