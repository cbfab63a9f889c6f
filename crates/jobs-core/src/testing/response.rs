//! Answers that no vendor sent, for tests that read envelopes.

use std::error::Error as _;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

use crate::error::Error;
use crate::http::{Context, Response};
use crate::redact::Redactor;
use crate::secret::Secret;
use crate::testing::ManualClock;

/// An answer to `operation` of this status, with these headers and this body, from a vendor who was given `secrets`.
///
/// What HTTP cannot carry as a header is left out.
pub fn canned_response(
    operation: &'static str,
    status: u16,
    headers: &[(&str, &[u8])],
    body: &[u8],
    secrets: &[Secret],
) -> Response {
    let headers: HeaderMap = headers
        .iter()
        .filter_map(|(name, value)| {
            let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
            Some((name, HeaderValue::from_bytes(value).ok()?))
        })
        .collect();
    let mut redactor = Redactor::default();
    for secret in secrets {
        redactor.add_secret(secret);
    }
    let context = Context {
        vendor: "v",
        operation,
        job: None,
        redactor,
        address: None,
    };
    Response::new(
        status,
        headers,
        body.to_vec().into(),
        context,
        &ManualClock::new(),
        None,
    )
}

/// Everything that an error says to anybody: printed in both ways, and so is each of its causes.
pub fn debug_and_display(error: &Error) -> String {
    let mut said = format!("{error}\n{error:?}");
    let mut cause = error.source();
    while let Some(error) = cause {
        said.push_str(&format!("\n{error}\n{error:?}"));
        cause = error.source();
    }
    said
}
