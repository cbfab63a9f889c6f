//! A small body that is a JSON object, with no field but the known ones.

use axum::extract::Request;
use axum::http::{StatusCode, header};
use http_body_util::{BodyExt as _, Limited};
use serde_json::{Map, Value};

use super::problem::Problem;

/// No object of the API is longer.
const MOST: usize = 64 * 1024;

/// Reads the object; an empty body is an empty one.
pub(super) async fn read(request: Request, known: &[&str]) -> Result<Map<String, Value>, Problem> {
    let kind = request.headers().get(header::CONTENT_TYPE);
    let kind = kind.map(|kind| kind.to_str().unwrap_or_default().to_ascii_lowercase());
    let body = Limited::new(request.into_body(), MOST).collect().await;
    let body =
        body.map_err(|_| Problem::too_large("the body is longer than 64 KiB, or was cut"))?;
    let body = body.to_bytes();
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(Map::new());
    }
    if kind.is_some_and(|kind| !kind.starts_with("application/json")) {
        return Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported-type",
            "Unsupported media type",
            "the body is a JSON object; say Content-Type: application/json",
        ));
    }
    let object = serde_json::from_slice(&body);
    let object: Map<String, Value> = object.map_err(|problem| {
        Problem::bad_request(format!("the body is no JSON object: {problem}"))
    })?;
    match object.keys().find(|name| !known.contains(&name.as_str())) {
        None => Ok(object),
        Some(name) if known.is_empty() => Err(Problem::bad_request(format!(
            "the field {name:?} is not known; this call takes no fields"
        ))),
        Some(name) => Err(Problem::bad_request(format!(
            "the field {name:?} is not known; there are {}",
            known.join(", ")
        ))),
    }
}

/// A field that is text and not empty.
pub(super) fn text<'a>(object: &'a Map<String, Value>, name: &str) -> Result<&'a str, Problem> {
    let text = object.get(name).and_then(Value::as_str).map(str::trim);
    text.filter(|text| !text.is_empty()).ok_or_else(|| {
        Problem::bad_request(format!("the field {name} is a text, and has to be given"))
    })
}

/// A field that is a whole number from 0, if it is given.
pub(super) fn number(object: &Map<String, Value>, name: &str) -> Result<Option<u64>, Problem> {
    match object.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match value.as_u64() {
            Some(number) => Ok(Some(number)),
            None => Err(Problem::bad_request(format!(
                "the field {name} is a whole number from 0"
            ))),
        },
    }
}
