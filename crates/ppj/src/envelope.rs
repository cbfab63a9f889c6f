//! What surrounds an answer: nothing on success, `type` and `message` on refusal, a page of HTML when the vendor is down.

use jobs_core::Error;
use jobs_core::http::Answer;
use serde::de::DeserializeOwned;

use crate::code::meaning;
use crate::generated::types::Rejection;

/// The content of an answer of status 2xx.
pub(crate) fn open<T: DeserializeOwned>(operation: &str, answer: &Answer) -> Result<T, Error> {
    if !(200..300).contains(&answer.status()) {
        return Err(rejection(operation, answer));
    }
    serde_json::from_slice(answer.body())
        .map_err(|cause| answer.garbled_by("the answer is not as documented", cause))
}

/// The error for any other status. The body decides what is said, never its content type.
pub(crate) fn rejection(operation: &str, answer: &Answer) -> Error {
    let meaning = meaning(operation, answer.status());
    let error = answer
        .error(meaning.kind)
        .with_sent(meaning.sent)
        .with_request_id(answer.header("x-request-id").map(|id| answer.clean(id)))
        .with_advice(meaning.advice);
    let Ok(said) = serde_json::from_slice::<Rejection>(answer.body()) else {
        // A page of a gateway or of the maintenance.
        let page = answer.http_failure();
        let excerpt = page.as_ref().and_then(|page| page.excerpt());
        return error.with_excerpt(excerpt.unwrap_or_default());
    };
    let mut message = said.message.unwrap_or_default();
    for detail in said.errors.unwrap_or_default() {
        message.push_str(&format!("; {detail}"));
    }
    let error = error.with_message(answer.clean(&message));
    match said.kind {
        Some(kind) => error.with_code(answer.clean(&kind)),
        None => error,
    }
}
