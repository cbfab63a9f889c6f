//! A job of the ledger as every door tells it.

use jobs_ledger::JobRecord;
use serde_json::Value;

use crate::redacted_address::redacted_address;

/// A job with the keys of `jobs --json`; of an address only what [may be shown](redacted_address).
///
/// # Errors
/// None is known: every record can be written as JSON.
pub fn job_json(job: &JobRecord) -> Result<Value, serde_json::Error> {
    let mut object = serde_json::to_value(job)?;
    if let Some(input) = object.get_mut("input") {
        *input = redacted_address(&job.input).into();
    }
    Ok(object)
}
