//! The vendor's error answers in both flavours.

use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, Response, StatusCode};
use serde_json::{Value, json};

/// Which of the two APIs is spoken; they differ in words and status numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flavour {
    /// `/api/…` with an access key.
    AccessKey,
    /// Bare paths with a signature.
    Signed,
}

/// Why a request is turned down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    BadRequest,
    NotReady,
    BadCredential,
    BadSignature,
    Forbidden,
    UnknownToken,
}

/// A request that is turned down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) reason: Reason,
    pub(crate) message: String,
}

impl Refusal {
    pub(crate) fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self {
            reason,
            message: message.into(),
        }
    }

    pub(crate) fn bad(message: impl Into<String>) -> Self {
        Self::new(Reason::BadRequest, message)
    }
}

impl Reason {
    pub(crate) fn status_and_type(self, flavour: Flavour) -> (u16, &'static str) {
        match (self, flavour) {
            (Self::BadRequest, Flavour::Signed) => (400, "ParserError"),
            (Self::NotReady, Flavour::Signed) => (400, "NotAcceptableError"),
            (Self::BadRequest | Self::NotReady, Flavour::AccessKey) => (400, "Error"),
            (Self::BadCredential | Self::BadSignature | Self::Forbidden, Flavour::Signed) => {
                (403, "AuthenticationError")
            }
            (Self::BadCredential, Flavour::AccessKey) => (401, "UnauthorizedError"),
            (Self::BadSignature | Self::Forbidden, Flavour::AccessKey) => (403, "PermissionError"),
            (Self::UnknownToken, _) => (404, "NotFoundError"),
        }
    }
}

pub(crate) fn accepted(value: &Value) -> Response<Body> {
    json_answer(200, value)
}

pub(crate) fn refused(flavour: Flavour, refusal: &Refusal) -> Response<Body> {
    let (status, kind) = refusal.reason.status_and_type(flavour);
    json_answer(status, &json!({"message": refusal.message, "type": kind}))
}

/// For scripted faults: a number is an HTTP status with the type that usually goes with it, a word is a type.
pub(crate) fn scripted_error(code: &Value, message: Option<&str>) -> Response<Body> {
    let (status, kind) = match code {
        Value::String(kind) => (usual_status(kind), kind.as_str()),
        _ => match code.as_u64().and_then(|status| u16::try_from(status).ok()) {
            Some(401) => (401, "UnauthorizedError"),
            Some(403) => (403, "PermissionError"),
            Some(404) => (404, "NotFoundError"),
            Some(status) => (status, "Error"),
            None => (400, "Error"),
        },
    };
    json_answer(
        status,
        &json!({"message": message.unwrap_or("error"), "type": kind}),
    )
}

fn usual_status(kind: &str) -> u16 {
    match kind {
        "UnauthorizedError" => 401,
        "PermissionError" | "AuthenticationError" => 403,
        "NotFoundError" => 404,
        _ => 400,
    }
}

fn json_answer(status: u16, value: &Value) -> Response<Body> {
    let mut response = Response::new(Body::from(value.to_string()));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
    response.headers_mut().insert(
        CONTENT_TYPE,
        HeaderValue::from_static("application/json; charset=utf-8"),
    );
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_the_documented_status_and_type_in_each_flavour() {
        for (reason, key, signed) in [
            (Reason::BadRequest, (400, "Error"), (400, "ParserError")),
            (
                Reason::NotReady,
                (400, "Error"),
                (400, "NotAcceptableError"),
            ),
            (
                Reason::BadCredential,
                (401, "UnauthorizedError"),
                (403, "AuthenticationError"),
            ),
            (
                Reason::BadSignature,
                (403, "PermissionError"),
                (403, "AuthenticationError"),
            ),
            (
                Reason::Forbidden,
                (403, "PermissionError"),
                (403, "AuthenticationError"),
            ),
            (
                Reason::UnknownToken,
                (404, "NotFoundError"),
                (404, "NotFoundError"),
            ),
        ] {
            assert_eq!(reason.status_and_type(Flavour::AccessKey), key);
            assert_eq!(reason.status_and_type(Flavour::Signed), signed);
        }
    }
}
