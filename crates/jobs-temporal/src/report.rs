//! What an activity tells a workflow about a job: its record, what comes next, and why it ended.

use jobs_ledger::{JobRecord, ParkReason, Stage};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::failure::Failure;

/// A job as an activity found or left it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct JobReport {
    /// Its id in the ledger; none if it was never written down.
    pub(crate) id: Option<String>,
    /// Its record, with the keys of `jobs --json`.
    pub(crate) job: Option<Value>,
    /// What the workflow does next.
    pub(crate) next: NextStep,
    /// Why it has no result, if it has none and this is known.
    pub(crate) failure: Option<Failure>,
    /// SHA-256 of the result, once it is at its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) sha256: Option<String>,
}

/// What a workflow does next about a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum NextStep {
    /// Nothing was sent: submit.
    Submit,
    /// A submit was begun and did not end: search for it, once nobody works on it.
    Search,
    /// Nobody knows whether it was bought: a person decides.
    Resolve,
    /// The vendor has it: wait.
    Wait,
    /// The worker left it for somebody to act; continue with it once, else end with the reason.
    Unpark,
    /// It is completed: deliver.
    Fetch,
    /// It has ended without a result.
    Fail,
}

impl JobReport {
    /// A job that was never written down, because of this.
    pub(crate) fn refused(failure: Failure) -> Self {
        Self {
            id: None,
            job: None,
            next: NextStep::Fail,
            failure: Some(failure),
            sha256: None,
        }
    }

    /// A job of the ledger; `failure` is what the latest step said about it, if it failed.
    pub(crate) fn of(row: &JobRecord, failure: Option<Failure>) -> Self {
        let next = next_step(row);
        let failure = failure.or_else(|| recorded_failure(row, next));
        let ticket = row.ticket().map(|ticket| ticket.to_string());
        Self {
            id: Some(row.id.to_string()),
            job: jobs_runner::job_json(row).ok(),
            next,
            failure: failure.map(|failure| failure.with_ticket(ticket)),
            sha256: row.sha256.map(hex::encode),
        }
    }
}

/// What is to be done about a job, by its record alone.
fn next_step(row: &JobRecord) -> NextStep {
    match (row.stage, row.parked) {
        (Stage::Intended, _) => NextStep::Submit,
        (Stage::Submitting, _) | (Stage::InDoubt, None) => NextStep::Search,
        (Stage::InDoubt, Some(ParkReason::InDoubt)) => NextStep::Resolve,
        (Stage::InDoubt, Some(_)) => NextStep::Resolve,
        (Stage::Accepted | Stage::Available | Stage::Downloading, None) => NextStep::Wait,
        (Stage::Accepted | Stage::Available | Stage::Downloading, Some(_)) => NextStep::Unpark,
        (Stage::Completed, _) => NextStep::Fetch,
        _ => NextStep::Fail,
    }
}

/// Why a job has no result, as its record says.
fn recorded_failure(row: &JobRecord, next: NextStep) -> Option<Failure> {
    let (kind, exit_code) = match (next, row.stage) {
        (NextStep::Resolve, _) => ("OutcomeUnknown", 5),
        (NextStep::Unpark, _) => (park_kind(row.parked), 4),
        (NextStep::Fail, Stage::Gone) => ("Gone", 3),
        (NextStep::Fail, Stage::Abandoned) => ("Abandoned", 3),
        (NextStep::Fail, Stage::Rejected) => ("Rejected", 3),
        (NextStep::Fail, _) => ("Failed", 3),
        _ => return None,
    };
    let reason = match row.error.as_deref() {
        Some(reason) if !reason.is_empty() => format!(": {reason}"),
        _ => String::new(),
    };
    let advice = if next == NextStep::Resolve {
        "; it may have been charged; look into the vendor's console, then send the update resolve with {\"adopt\": JOB_ID} or {\"abandon\": true}"
    } else {
        ""
    };
    let message = format!("job {} is {}{reason}{advice}", row.id, row.stage);
    Some(Failure::new(kind, exit_code, message))
}

fn park_kind(parked: Option<ParkReason>) -> &'static str {
    match parked {
        Some(ParkReason::OutputPath) => "InvalidOutput",
        Some(ParkReason::UnverifiedResult) => "Unverified",
        _ => "Unfinished",
    }
}
