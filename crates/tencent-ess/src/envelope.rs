//! The vendor's outer JSON, and the only place that knows its in-band error.

use jobs_core::http::{LenientJson, LenientValue, Response};
use jobs_core::{Error, JobId};

use crate::code::{VENDOR, meaning};

/// The answer's JSON, unless it is a failure.
///
/// Read by its body alone: failures come under HTTP 200, and the vendor's own client takes them for empty successes when
/// the content type is not the one it expects.
pub(crate) fn open(answer: &Response) -> Result<LenientJson, Error> {
    if let Some(error) = answer.broken_off() {
        return Err(error.clone());
    }
    let json = answer.json();
    let outcome = outcome(&json);
    if let Some(warning) = outcome.get("DeprecatedWarning").filled() {
        tracing::warn!(
            vendor = VENDOR,
            warning = answer.redact(&warning),
            "the vendor will retire this operation"
        );
    }
    let is_success = (200..300).contains(&answer.status());
    match refusal(&json) {
        Some(refusal) => Err(rejection(answer, &refusal, outcome)),
        None if outcome.is_object() && is_success => Ok(json),
        // The service itself answers 200: another status comes from something in between.
        None => Err(answer.foreign()),
    }
}

/// What the vendor's answer holds.
pub(crate) fn outcome(json: &LenientJson) -> LenientValue<'_> {
    json.get("Response")
}

/// The id of the task that a create made.
///
/// It is read first: an answer that shows it is one of a task that may be charged, whatever is odd about the rest and
/// whatever the HTTP status says. A failure that the vendor names beside it, or may have named in what did not arrive, leaves
/// in doubt whether there is such a task.
pub(crate) fn accepted(answer: &Response) -> Result<JobId, Error> {
    const PROBLEM: &str = "accepted, but without a usable task id";
    let json = answer.json();
    let Some(id) = outcome(&json).get("TaskId").filled() else {
        let json = open(answer)?;
        return Err(garbled(answer, &json, PROBLEM));
    };
    let id = JobId::new(id.trim()).map_err(|cause| answer.unexpected_with(PROBLEM, cause))?;
    let is_accepted = refusal(&json).is_none() && answer.broken_off().is_none();
    match open(answer) {
        Err(error) if !is_accepted => Err(answer.in_doubt(error, id)),
        _ => Ok(id),
    }
}

/// The error for an answer that is the vendor's and not what it documents.
pub(crate) fn garbled(answer: &Response, json: &LenientJson, problem: &str) -> Error {
    let request_id = outcome(json).get("RequestId").filled();
    answer
        .unexpected(problem)
        .with_request_id(request_id.map(|id| answer.redact(&id)))
}

/// A failure that the vendor names.
struct Refusal {
    code: String,
    message: String,
}

fn refusal(json: &LenientJson) -> Option<Refusal> {
    let outcome = outcome(json);
    let text = |value: LenientValue<'_>| value.message().unwrap_or_default();
    if outcome.is_object() {
        let failure = outcome.get("Error");
        return failure.is_some().then(|| Refusal {
            code: text(failure.get("Code")),
            message: text(failure.get("Message")),
        });
    }
    // The very old form, which the vendor's Go client still reads.
    let number = json.get("code").integer().filter(|code| *code != 0);
    let code = json.get("codeDesc").filled();
    Some(Refusal {
        code: code.or_else(|| number.map(|code| code.to_string()))?,
        message: text(json.get("message")),
    })
}

fn rejection(answer: &Response, refusal: &Refusal, outcome: LenientValue<'_>) -> Error {
    let meaning = meaning(&refusal.code);
    let request_id = outcome.get("RequestId").filled();
    let error = answer
        .error(meaning.kind)
        .with_delivery(meaning.delivery)
        .with_refusal(meaning.refusal)
        .with_code(answer.redact(&refusal.code))
        .with_message(answer.redact(&refusal.message))
        .with_request_id(request_id.map(|id| answer.redact(&id)))
        .with_help(meaning.help);
    answer.kept_in(error)
}
