//! A job and its history as the API tells them.

use jobs_ledger::{JobEvent, JobRecord, Stage, StreamedEvent};
use serde_json::{Map, Value, json};

use super::problem::Problem;
use crate::moment::rfc3339;

/// The keys of `jobs --json`, and what a waiting client wants to know beside them.
pub(super) fn job(job: &JobRecord) -> Result<Value, Problem> {
    let value = jobs_runner::job_json(job);
    let mut value = value.map_err(|problem| Problem::unexpected(problem.to_string()))?;
    if let Value::Object(fields) = &mut value {
        fields.insert("poll".to_owned(), poll(job));
        let blocked = job.blocked_until.map(rfc3339);
        fields.insert("blocked_until".to_owned(), blocked.into());
        fields.insert(
            "parked".to_owned(),
            job.parked.map(|reason| reason.as_str()).into(),
        );
    }
    Ok(value)
}

fn poll(job: &JobRecord) -> Value {
    json!({
        "count": job.polls,
        "last_at": job.last_poll.map(rfc3339),
        "vendor_status": job.vendor_status,
    })
}

/// One entry of the history of a job that is in this stage.
pub(super) fn event(event: &JobEvent, stage: Option<Stage>) -> Result<Value, Problem> {
    let value = serde_json::to_value(event);
    let value = value.map_err(|problem| Problem::unexpected(problem.to_string()))?;
    let Value::Object(mut fields) = value else {
        return Ok(value);
    };
    let job = fields.remove("id").unwrap_or_default();
    let stage = stage.map(Stage::as_str);
    let mut ordered = Map::from_iter([("job".to_owned(), job), ("stage".to_owned(), stage.into())]);
    ordered.append(&mut fields);
    Ok(ordered.into())
}

/// An event of the stream of all jobs.
pub(super) fn streamed(told: &StreamedEvent) -> Result<Value, Problem> {
    event(&told.event, told.stage)
}
