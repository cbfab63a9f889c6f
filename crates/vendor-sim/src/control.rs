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

use crate::clock::{Clock, seconds};
use crate::fault::{Fault, FaultPlan, ScriptedFault, Times};
use crate::recorder::Recorder;

/// Paths below this are not recorded and never spoiled.
pub const PREFIX: &str = "/_sim/";

/// A fault or a set of options is small; more than this is a mistake.
const BODY_LIMIT: usize = 1 << 20;

/// What a vendor offers to the control endpoint.
pub trait Controlled: Send + Sync + 'static {
    /// Jobs, charges and counters.
    fn state(&self) -> Value;
    /// The options in force.
    fn options(&self) -> Value;
    /// Puts complete options in force.
    ///
    /// # Errors
    ///
    /// What is wrong with them.
    fn set_options(&self, options: Value) -> Result<(), String>;
    /// Back to the state after the start: no jobs, charges, requests or faults. Options stay.
    fn reset(&self);
    /// Names that a fault may be scripted for.
    fn operations(&self) -> &'static [&'static str];
    /// The scripts.
    fn faults(&self) -> &FaultPlan;
    /// The record.
    fn recorder(&self) -> &Recorder;
    /// The time.
    fn clock(&self) -> &Clock;
}

/// Routes to merge into the vendor's API origin.
pub fn routes<V: Controlled>(vendor: &Arc<V>) -> Router {
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
            get(on(|vendor, _| Ok(json!(vendor.recorder().requests())))),
        )
        .route(
            "/_sim/options",
            get(on(|vendor, _| Ok(vendor.options()))).post(on(change_options)),
        )
        .route("/_sim/fault", post(on(add_fault)).delete(on(clear_faults)))
        .route("/_sim/advance", post(on(advance)))
        .route(
            "/_sim/reset",
            post(on(|vendor, _| {
                vendor.reset();
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

fn add_fault<V: Controlled>(vendor: &V, body: &Value) -> Result<Value, String> {
    let request = FaultRequest::deserialize(body).map_err(|error| error.to_string())?;
    let known = vendor.operations();
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
    vendor.faults().add(ScriptedFault {
        operation: request.operation,
        skip: request.skip,
        times,
        fault: request.fault,
    });
    Ok(json!({ "pending": vendor.faults().pending() }))
}

fn clear_faults<V: Controlled>(vendor: &V, _: &Value) -> Result<Value, String> {
    vendor.faults().clear();
    Ok(json!({ "pending": 0 }))
}

fn change_options<V: Controlled>(vendor: &V, patch: &Value) -> Result<Value, String> {
    let Value::Object(patch) = patch else {
        return Err("options are a JSON object".to_owned());
    };
    let mut options = vendor.options();
    if let Value::Object(fields) = &mut options {
        fields.extend(patch.clone());
    }
    vendor.set_options(options)?;
    Ok(vendor.options())
}

fn advance<V: Controlled>(vendor: &V, body: &Value) -> Result<Value, String> {
    let by = body
        .get("seconds")
        .and_then(Value::as_f64)
        .map_or(Duration::ZERO, seconds);
    if by.is_zero() || !vendor.clock().advance(by) {
        return Err(
            "only a hand-moved clock advances, and only by a positive number of seconds".to_owned(),
        );
    }
    Ok(json!({ "now": vendor.clock().now_unix() }))
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
