//! The control endpoint `/_sim/`: state, requests, faults, options and reset of one vendor, as JSON.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, Request, Response, StatusCode};
use axum::routing::{get, post};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::clock::seconds;
use crate::fault::{Fault, ScriptedFault, Times};
use crate::simulator::{self, Simulated};

/// A fault or a set of options is small; more than this is a mistake.
const BODY_LIMIT: usize = 1 << 20;

/// Routes to merge into the vendor's API origin.
pub(crate) fn routes<V: Simulated>(vendor: &Arc<V>) -> Router {
    let on = |act: fn(&V, &Value) -> Result<Value, String>| {
        let vendor = Arc::clone(vendor);
        move |request: Request<Body>| {
            let vendor = Arc::clone(&vendor);
            async move {
                match body_of(request).await.and_then(|body| act(&vendor, &body)) {
                    Ok(value) => answer(StatusCode::OK, &value),
                    Err(message) => answer(StatusCode::BAD_REQUEST, &json!({ "error": message })),
                }
            }
        }
    };
    Router::new()
        .route("/_sim/state", get(on(|vendor, _| Ok(vendor.state()))))
        .route(
            "/_sim/requests",
            get(on(|vendor, _| {
                Ok(json!(vendor.common().recorder.requests()))
            })),
        )
        .route(
            "/_sim/options",
            get(on(|vendor, _| Ok(options(vendor)))).post(on(change_options)),
        )
        .route("/_sim/fault", post(on(add_fault)).delete(on(clear_faults)))
        .route("/_sim/advance", post(on(advance)))
        .route(
            "/_sim/reset",
            post(on(|vendor, _| {
                simulator::reset(vendor);
                Ok(json!({}))
            })),
        )
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FaultRequest {
    #[serde(alias = "op")]
    operation: String,
    #[serde(default)]
    skip: u64,
    #[serde(default)]
    times: Option<TimesWord>,
    fault: Fault,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum TimesWord {
    Count(u64),
    Word(String),
}

fn add_fault<V: Simulated>(vendor: &V, body: &Value) -> Result<Value, String> {
    let request = FaultRequest::deserialize(body).map_err(|error| error.to_string())?;
    let known = V::OPERATIONS;
    if request.operation != "*" && !known.contains(&request.operation.as_str()) {
        return Err(format!(
            "unknown operation {:?}; known: {}, *",
            request.operation,
            known.join(", ")
        ));
    }
    let times = match request.times {
        None => Times::Once,
        Some(TimesWord::Count(0)) => return Err("times must be at least 1".to_owned()),
        Some(TimesWord::Count(count)) => Times::N(count),
        Some(TimesWord::Word(word)) if word == "always" => Times::Always,
        Some(TimesWord::Word(word)) if word == "once" => Times::Once,
        Some(TimesWord::Word(word)) => {
            return Err(format!("times is a number, once or always, not {word:?}"));
        }
    };
    vendor.common().faults.add(ScriptedFault {
        operation: request.operation,
        skip: request.skip,
        times,
        fault: request.fault,
    });
    Ok(json!({ "pending": vendor.common().faults.pending() }))
}

fn clear_faults<V: Simulated>(vendor: &V, _: &Value) -> Result<Value, String> {
    vendor.common().faults.clear();
    Ok(json!({ "pending": 0 }))
}

fn change_options<V: Simulated>(vendor: &V, patch: &Value) -> Result<Value, String> {
    let Value::Object(patch) = patch else {
        return Err("options are a JSON object".to_owned());
    };
    let mut changed = options(vendor);
    if let Value::Object(fields) = &mut changed {
        fields.extend(patch.clone());
    }
    let changed = serde_json::from_value(changed).map_err(|error| error.to_string())?;
    vendor.with_options(|options| *options = changed);
    Ok(options(vendor))
}

fn options<V: Simulated>(vendor: &V) -> Value {
    vendor.with_options(|options| json!(options))
}

fn advance<V: Simulated>(vendor: &V, body: &Value) -> Result<Value, String> {
    let by = body
        .get("seconds")
        .and_then(Value::as_f64)
        .map_or(Duration::ZERO, seconds);
    if by.is_zero() || !vendor.common().clock.advance(by) {
        return Err(
            "only a hand-moved clock advances, and only by a positive number of seconds".to_owned(),
        );
    }
    Ok(json!({ "now": vendor.common().clock.now_unix() }))
}

pub(crate) async fn body_of(request: Request<Body>) -> Result<Value, String> {
    let bytes = axum::body::to_bytes(request.into_body(), BODY_LIMIT)
        .await
        .map_err(|error| error.to_string())?;
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_slice(&bytes).map_err(|error| format!("not JSON: {error}"))
}

pub(crate) fn answer(status: StatusCode, value: &Value) -> Response<Body> {
    let mut response = Response::new(Body::from(value.to_string()));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
