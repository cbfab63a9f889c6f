//! The vendor's outer JSON, and the only place that knows its in-band error code.

use jobs_core::http::{LenientJson, Response};
use jobs_core::{Error, JobId};

use crate::code::meaning;

/// The code of success; anything else is a failure, also under HTTP 200.
const SUCCESS: i64 = 200;

/// The answer's JSON, if its code is that of success.
pub(crate) fn open(answer: &Response) -> Result<LenientJson, Error> {
    if let Some(error) = answer.broken_off() {
        return Err(error.clone());
    }
    let json = answer.json();
    match code(&json) {
        Some(SUCCESS) if (200..300).contains(&answer.status()) => Ok(json),
        // A gateway's 5xx may wear the vendor's envelope; then the envelope knows better what went wrong.
        Some(code) if code != SUCCESS => Err(rejection(answer, &json, code)),
        _ => Err(answer.foreign()),
    }
}

/// The code, if this is the vendor's envelope.
pub(crate) fn code(json: &LenientJson) -> Option<i64> {
    json.get("code").integer()
}

/// The id of the job that a submit made.
///
/// It is read first: an answer that shows it is one of a job that may be charged, whatever is odd about the rest and
/// whatever the HTTP status says. The code of a failure beside it, or an answer that breaks off before its code, leaves in
/// doubt whether there is such a job.
pub(crate) fn accepted(answer: &Response) -> Result<JobId, Error> {
    const PROBLEM: &str = "accepted, but without a usable job id";
    let json = answer.json();
    let Some(id) = json.get("data").get("job_id").filled() else {
        open(answer)?;
        return Err(answer.unexpected(PROBLEM));
    };
    let id = JobId::new(id.trim()).map_err(|cause| answer.unexpected_with(PROBLEM, cause))?;
    let code = code(&json);
    let is_accepted = match answer.broken_off() {
        Some(_) => code == Some(SUCCESS) && (200..300).contains(&answer.status()),
        None => code.is_none_or(|code| code == SUCCESS),
    };
    match open(answer) {
        Err(error) if !is_accepted => Err(answer.in_doubt(error, id)),
        _ => Ok(id),
    }
}

/// The error for a code other than success.
pub(crate) fn rejection(answer: &Response, json: &LenientJson, code: i64) -> Error {
    let meaning = meaning(code);
    let envelope = json.value();
    let text = envelope
        .first(&["message", "msg"])
        .message()
        .unwrap_or_default();
    let detail = json.get("data").get("message").message();
    let message = match detail {
        Some(detail) if detail != text => format!("{text}: {detail}"),
        _ => text,
    };
    let request_id = json.get("x_request_id").filled();
    let request_id = request_id.or_else(|| answer.header("x-request-id").map(Into::into));
    let error = answer
        .error(meaning.kind)
        .with_delivery(meaning.delivery)
        .with_refusal(meaning.refusal)
        .with_code(code)
        .with_message(answer.redact(&message))
        .with_request_id(request_id.map(|id| answer.redact(&id)));
    let error = answer.kept_in(error);
    match meaning.help {
        Some(advice) => error.with_help(advice),
        None => error,
    }
}
