//! The vendor's outer JSON, and the only place that knows its in-band error.

use jobs_core::http::Answer;
use jobs_core::{Error, ErrorKind, Sent};
use serde::de::DeserializeOwned;

use crate::code::{VENDOR, meaning};
use crate::generated::types::{ApiError, Envelope, Outcome};

/// The answer's content, unless it is a failure.
///
/// Read by its body alone: failures come under HTTP 200, and the vendor's own client takes them for empty successes when
/// the content type is not the one it expects.
pub(crate) fn open<T: DeserializeOwned>(answer: &Answer) -> Result<T, Error> {
    let envelope = serde_json::from_slice::<Envelope>(answer.body());
    let is_success = (200..300).contains(&answer.status());
    match envelope {
        Ok(Envelope {
            response: Some(outcome),
            ..
        }) => {
            if let Some(warning) = &outcome.deprecated_warning {
                tracing::warn!(
                    vendor = VENDOR,
                    warning = answer.clean(warning),
                    "the vendor will retire this operation"
                );
            }
            match &outcome.error {
                Some(failure) => Err(rejection(answer, failure, &outcome)),
                None if is_success => content(answer, &outcome),
                None => Err(gateway(answer)),
            }
        }
        Ok(envelope) => match old_failure(envelope) {
            Some(failure) => Err(rejection(answer, &failure, &Outcome::default())),
            None if is_success => Err(answer.garbled("this is not the vendor's envelope")),
            None => Err(gateway(answer)),
        },
        Err(_) if !is_success => Err(gateway(answer)),
        Err(cause) => Err(answer.garbled_by("this is not the vendor's envelope", cause)),
    }
}

fn content<T: DeserializeOwned>(answer: &Answer, outcome: &Outcome) -> Result<T, Error> {
    serde_json::from_slice(answer.body()).map_err(|cause| {
        answer
            .garbled_by("the content is not as documented", cause)
            .with_request_id(outcome.request_id.as_deref().map(|id| answer.clean(id)))
    })
}

/// The error for a failure that the vendor names.
fn rejection(answer: &Answer, failure: &ApiError, outcome: &Outcome) -> Error {
    let meaning = meaning(&failure.code);
    let text = failure.message.as_deref().unwrap_or_default();
    answer
        .error(meaning.kind)
        .with_sent(meaning.sent)
        .with_refusal(meaning.refusal)
        .with_code(answer.clean(&failure.code))
        .with_message(answer.clean(text))
        .with_request_id(outcome.request_id.as_deref().map(|id| answer.clean(id)))
        .with_advice(meaning.advice)
}

/// A failure in the very old form, which the vendor's Go client still reads.
fn old_failure(envelope: Envelope) -> Option<ApiError> {
    let code = envelope.code_desc.or_else(|| {
        envelope
            .code
            .filter(|code| *code != 0)
            .map(|code| code.to_string())
    })?;
    let mut failure = ApiError::new(code);
    failure.message = envelope.message;
    Some(failure)
}

/// Anything but an envelope under another status comes from something in between: the service itself answers 200.
///
/// It does not tell whether the work was begun.
fn gateway(answer: &Answer) -> Error {
    let kind = match answer.status() {
        413 => ErrorKind::Input,
        429 => ErrorKind::RateLimited,
        _ => ErrorKind::Unavailable,
    };
    let body = answer.body();
    let beginning = String::from_utf8_lossy(body.get(..600).unwrap_or(body));
    answer
        .error(kind)
        .with_sent(Sent::Maybe)
        .with_message("this comes from a gateway, not from the service")
        .with_excerpt(answer.clean(&beginning))
}
