//! The vendor's outer JSON, and the only place that knows its in-band error code.

use jobs_core::Error;
use jobs_core::http::Answer;
use serde::de::DeserializeOwned;

use crate::code::meaning;
use crate::generated::types::{Envelope, RejectionData};

/// The code of success; anything else is a failure, also under HTTP 200.
const SUCCESS: i64 = 200;

/// The answer's content, if its code is that of success.
pub(crate) fn open<T: DeserializeOwned>(answer: &Answer) -> Result<T, Error> {
    let envelope = envelope(answer)?;
    if envelope.code != SUCCESS {
        return Err(rejection(answer, &envelope));
    }
    content(answer)
}

/// The code and its message.
///
/// # Errors
/// What HTTP says about an answer that is not an envelope.
pub(crate) fn envelope(answer: &Answer) -> Result<Envelope, Error> {
    match (
        serde_json::from_slice::<Envelope>(answer.body()),
        answer.http_failure(),
    ) {
        // A gateway's 5xx may wear the vendor's envelope; then the envelope knows better what went wrong.
        (Ok(envelope), None) => Ok(envelope),
        (Ok(envelope), Some(_)) if envelope.code != SUCCESS => Ok(envelope),
        (_, Some(failure)) => Err(failure),
        (Err(cause), None) => Err(answer.garbled_by("this is not the vendor's envelope", cause)),
    }
}

/// The content of an answer whose code was looked at.
pub(crate) fn content<T: DeserializeOwned>(answer: &Answer) -> Result<T, Error> {
    serde_json::from_slice(answer.body())
        .map_err(|cause| answer.garbled_by("the content is not as documented", cause))
}

/// The error for a code other than success.
pub(crate) fn rejection(answer: &Answer, envelope: &Envelope) -> Error {
    let meaning = meaning(envelope.code);
    let text = envelope
        .message
        .as_deref()
        .or(envelope.msg.as_deref())
        .unwrap_or_default();
    let request_id = envelope
        .x_request_id
        .as_deref()
        .or_else(|| answer.header("x-request-id"));
    let message = match detail(answer) {
        Some(detail) if detail != text => format!("{text}: {detail}"),
        _ => text.to_owned(),
    };
    answer
        .error(meaning.kind)
        .with_sent(meaning.sent)
        .with_refusal(meaning.refusal)
        .with_code(envelope.code)
        .with_message(answer.clean(&message))
        .with_request_id(request_id.map(|id| answer.clean(id)))
        .with_advice(meaning.advice)
}

/// What the vendor adds below `data`.
fn detail(answer: &Answer) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Rejected {
        data: Option<RejectionData>,
    }
    serde_json::from_slice::<Rejected>(answer.body())
        .ok()?
        .data?
        .message
}
