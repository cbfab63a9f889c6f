//! What surrounds an answer: nothing on success, `type` and `message` on refusal, a page of HTML when the vendor is down.

use jobs_core::http::{LenientJson, Response};
use jobs_core::{Error, JobId};
use serde::de::DeserializeOwned;

use crate::code::meaning;

/// The JSON of an answer of status 2xx.
pub(crate) fn read(operation: &str, answer: &Response) -> Result<LenientJson, Error> {
    if let Some(error) = answer.broken_off() {
        return Err(error.clone());
    }
    if !(200..300).contains(&answer.status()) {
        return Err(rejection(operation, answer));
    }
    let json = answer.json();
    if json.is_object() {
        Ok(json)
    } else {
        Err(answer.foreign())
    }
}

/// The content of an answer of status 2xx.
pub(crate) fn open<T: DeserializeOwned>(operation: &str, answer: &Response) -> Result<T, Error> {
    let json = answer.whole(read(operation, answer)?)?;
    json.value()
        .try_decode()
        .map_err(|cause| answer.unexpected_with("the answer is not as documented", cause))
}

/// The token of the job that a create made.
///
/// It is read first: an answer that shows it is one of a job that may be charged, whatever is odd about the rest and
/// whatever the HTTP status says. A refusal in the vendor's own words beside it, or an answer that breaks off under the
/// status of one, leaves in doubt whether there is such a job.
pub(crate) fn accepted(operation: &str, answer: &Response) -> Result<JobId, Error> {
    const PROBLEM: &str = "accepted, but without a usable token";
    let json = answer.json();
    let Some(token) = json.get("token").filled() else {
        read(operation, answer)?;
        return Err(answer.unexpected(PROBLEM));
    };
    let id = JobId::new(token.trim()).map_err(|cause| answer.unexpected_with(PROBLEM, cause))?;
    let is_success = (200..300).contains(&answer.status());
    if is_refusal(&json) {
        return Err(answer.in_doubt(rejection(operation, answer), id));
    }
    match answer.broken_off() {
        Some(error) if !is_success => Err(answer.in_doubt(error.clone(), id)),
        _ => Ok(id),
    }
}

/// Whether these are the vendor's words: what is in between says `message` too, and nothing of the others.
fn is_refusal(json: &LenientJson) -> bool {
    json.get("type").filled().is_some() || !json.get("errors").is_empty()
}

/// The error for any other status. The body decides who says it, never its content type.
pub(crate) fn rejection(operation: &str, answer: &Response) -> Error {
    let json = answer.json();
    if !is_refusal(&json) {
        let foreign = answer.foreign();
        // The vendor's own page while the service is being maintained.
        return match answer.status() {
            503 => foreign.with_help(meaning(operation, 503).help),
            _ => foreign,
        };
    }
    let meaning = meaning(operation, answer.status());
    let mut message = json.get("message").message().unwrap_or_default();
    for detail in json.get("errors").items() {
        message.push_str(&format!("; {detail}"));
    }
    let error = answer
        .error(meaning.kind)
        .with_delivery(meaning.delivery)
        .with_request_id(answer.header("x-request-id").map(|id| answer.redact(id)))
        .with_help(meaning.help)
        .with_message(answer.redact(&message));
    match json.get("type").filled() {
        Some(kind) => error.with_code(answer.redact(&kind)),
        None => error,
    }
}
