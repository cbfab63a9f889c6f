//! The vendor's envelope, and reasons to refuse.

use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, Response, StatusCode};
use serde_json::{Value, json};

use super::options::MindShowOptions;

/// Why a request is turned down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    Token,
    Parameter,
    NotFound,
    Score,
    Resource,
    Upload,
    Unfinished,
}

/// A request that is turned down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) reason: Reason,
    pub(crate) info: String,
}

impl Refusal {
    pub(crate) fn new(reason: Reason, info: impl Into<String>) -> Self {
        Self {
            reason,
            info: info.into(),
        }
    }

    pub(crate) fn parameter(info: impl Into<String>) -> Self {
        Self::new(Reason::Parameter, info)
    }

    pub(crate) fn code(&self, options: &MindShowOptions) -> i64 {
        let codes = &options.codes;
        match self.reason {
            Reason::Token => codes.token,
            Reason::Parameter => codes.parameter,
            Reason::NotFound => codes.not_found,
            Reason::Score => codes.score,
            Reason::Resource => codes.resource,
            Reason::Upload => codes.upload,
            Reason::Unfinished => codes.unfinished,
        }
    }
}

pub(crate) fn new_id() -> String {
    format!("{:032x}", fastrand::u128(..))
}

/// Success carries data; a refusal has none at all.
pub(crate) fn success(data: Value) -> Value {
    json!({"code": 0, "info": "succ", "request_id": new_id(), "data": data})
}

pub(crate) fn failure(code: &Value, info: &str) -> Value {
    json!({"code": code, "info": info, "request_id": new_id()})
}

pub(crate) fn respond(status: u16, value: &Value) -> Response<Body> {
    let mut response = Response::new(Body::from(value.to_string()));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// For scripted faults: any code in the usual envelope.
pub(crate) fn scripted_error(code: &Value, message: Option<&str>) -> Response<Body> {
    respond(200, &failure(code, message.unwrap_or("error")))
}
