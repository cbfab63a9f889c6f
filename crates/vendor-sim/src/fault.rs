//! Faults scripted per operation and count, and the one place where an answer is spoiled by them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::http::header::{
    ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_TYPE, ETAG, IF_RANGE, LAST_MODIFIED, LOCATION, RANGE,
};
use axum::http::{HeaderName, HeaderValue, Request, Response, StatusCode};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::clock::seconds;
use crate::delivery::{self, Ending, Endless, ResponseDelivery, Slow};
use crate::lock::lock;
use crate::malformed;

pub use crate::malformed::OddText;

/// Bodies that a fault rewrites are read whole; larger ones are left as they are.
const REWRITE_LIMIT: usize = 64 << 20;
/// How long a deaf peer keeps its connection, in virtual time.
pub(crate) const DEAF: Duration = Duration::from_secs(3600);
const PADDING: &[u8] = &[b'x'; 64 << 10];

/// One way to go wrong. In JSON the variant is named by `kind`, such as `{"kind": "drop_after_commit"}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Fault {
    /// A real HTTP status, as a gateway would answer it.
    Status {
        /// The status code.
        status: u16,
        /// Body as it is; served as HTML when it begins with `<`.
        #[serde(default)]
        body: String,
        /// Further headers, such as `Retry-After`.
        #[serde(default)]
        headers: Vec<(String, String)>,
        /// Do the work before answering so; by default the request has no effect.
        #[serde(default)]
        after_commit: bool,
    },
    /// The vendor's own error code, in the vendor's own envelope.
    Code {
        /// Number or text, as the vendor has it.
        code: Value,
        /// The vendor's message; the vendor's usual one when absent.
        #[serde(default)]
        message: Option<String>,
        /// Do the work before answering so; by default the request has no effect.
        #[serde(default)]
        after_commit: bool,
    },
    /// Read the request (or its first bytes), do nothing, end the connection.
    DropBeforeCommit {
        /// Stop reading after this many body bytes; absent: read everything.
        #[serde(default)]
        after_bytes: Option<u64>,
        /// TCP reset instead of an orderly close.
        #[serde(default)]
        reset: bool,
    },
    /// Do the work, then end the connection without an answer.
    DropAfterCommit {
        /// TCP reset instead of an orderly close.
        #[serde(default)]
        reset: bool,
    },
    /// Do the work, answer late.
    Delay {
        /// Virtual seconds.
        seconds: f64,
    },
    /// Answer in small pieces.
    SlowBody {
        /// Bytes a piece.
        chunk: usize,
        /// Virtual seconds before each piece.
        seconds: f64,
    },
    /// Declare the full length, send only this much of the body, end the connection.
    CutBody {
        /// Body bytes sent.
        at: u64,
    },
    /// The first half of the body with a length to match: complete for HTTP, broken as JSON.
    TruncatedJson {},
    /// A 200 that is not JSON.
    NonJson {
        /// The body; a small HTML page when absent.
        #[serde(default)]
        body: Option<String>,
    },
    /// Texts become numbers, numbers become lists, truth values become texts.
    WrongTypes {
        /// Only below these keys; empty: everywhere.
        #[serde(default)]
        keys: Vec<String>,
    },
    /// A valid JSON object of this many bytes, made while it is sent.
    HugeBody {
        /// Size of the body.
        bytes: u64,
    },
    /// The vendor's state field says this word.
    UnknownWord {
        /// The word.
        word: String,
    },
    /// One field says something else; see RFC 6901 for the pointer. A missing last key is added.
    SetField {
        /// Such as `/data/status`.
        pointer: String,
        /// The new value.
        value: Value,
    },
    /// The body holds two bytes in its middle that are not UTF-8.
    InvalidUtf8 {},
    /// The texts of the body are written so that a strict reader refuses all of it.
    OddText {
        /// How.
        how: OddText,
    },
    /// The body goes out under a content coding, whether the client asked for it or not.
    Coding {
        /// `gzip` and `deflate` are done; of any other only the name is told.
        coding: String,
    },
    /// The first key of the body's object has this many bytes, made while it is sent.
    HugeKey {
        /// Length of the key.
        bytes: u64,
    },
    /// The body is a zip of so many empty entries, made while it is sent.
    ManyEntries {
        /// How many.
        entries: u64,
    },
    /// The whole from its first byte each time, without a tag, and each time the next of these lengths of it; the
    /// connection ends behind it.
    CutInTurn {
        /// Body bytes sent, in turn.
        at: Vec<u64>,
    },
    /// The head of the answer never ends.
    EndlessHeaders {
        /// Interim answers (103), one behind the other; else fields of one head.
        interim: bool,
        /// Virtual seconds between them.
        seconds: f64,
    },
    /// Nothing is read of the request's body and nothing answered for an hour. In a WebSocket: pings, and nothing is read.
    Deaf {},
    /// Sent elsewhere, without the work being done.
    Redirect {
        /// The address.
        location: String,
        /// 302 when absent.
        #[serde(default)]
        status: Option<u16>,
    },
}

/// How often a fault strikes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Times {
    /// The next time only.
    #[default]
    Once,
    /// The next so many times.
    N(u64),
    /// Until cleared.
    Always,
}

/// A fault with the operation it strikes.
#[derive(Clone, Debug, PartialEq)]
pub struct ScriptedFault {
    /// The vendor's operation name, or `*` for any.
    pub operation: String,
    /// Let this many pass first.
    pub skip: u64,
    /// How often.
    pub times: Times,
    /// What happens.
    pub fault: Fault,
}

/// The scripts of one vendor. The first that fits an operation strikes.
#[derive(Clone, Debug, Default)]
pub struct FaultPlan {
    scripts: Arc<Mutex<VecDeque<ScriptedFault>>>,
}

impl FaultPlan {
    /// Adds a script behind those that are there.
    pub fn add(&self, script: ScriptedFault) {
        lock(&self.scripts).push_back(script);
    }

    /// The next time `operation` is asked for, `fault` strikes, once.
    pub fn once(&self, operation: &str, fault: Fault) {
        self.times(operation, fault, Times::Once);
    }

    /// As [`once`](Self::once), so many times.
    pub fn times(&self, operation: &str, fault: Fault, times: Times) {
        self.add(ScriptedFault {
            operation: operation.to_owned(),
            skip: 0,
            times,
            fault,
        });
    }

    /// Forgets all scripts.
    pub fn clear(&self) {
        lock(&self.scripts).clear();
    }

    /// How many scripts have strikes left.
    #[must_use]
    pub fn pending(&self) -> usize {
        lock(&self.scripts).len()
    }

    /// The fault for this occurrence of `operation`, if any; uses up one strike.
    #[must_use]
    pub fn take(&self, operation: &str) -> Option<Fault> {
        let mut scripts = lock(&self.scripts);
        let (index, script) = scripts
            .iter_mut()
            .enumerate()
            .find(|(_, script)| script.operation == operation || script.operation == "*")?;
        if script.skip > 0 {
            script.skip -= 1;
            return None;
        }
        let fault = script.fault.clone();
        if let Fault::CutInTurn { at } = &mut script.fault
            && !at.is_empty()
        {
            at.rotate_left(1);
        }
        match &mut script.times {
            Times::Always => {}
            Times::N(left) if *left > 1 => *left -= 1,
            Times::Once | Times::N(_) => {
                scripts.remove(index);
            }
        }
        Some(fault)
    }
}

/// What a fault must know of a vendor's manner of speaking.
#[derive(Clone, Copy, Debug)]
pub struct Dialect {
    /// An error answer in the vendor's envelope; no message means the usual one.
    pub error: fn(code: &Value, message: Option<&str>) -> Response<Body>,
    /// JSON pointer to the field that holds a job's state.
    pub state_field: &'static str,
}

impl FaultPlan {
    /// Runs one operation under the plan: `work` answers, unless a scripted fault stands before or behind it.
    pub async fn run<F, W>(
        &self,
        operation: &str,
        dialect: &Dialect,
        mut request: Request<Body>,
        work: F,
    ) -> Response<Body>
    where
        F: FnOnce(Request<Body>) -> W,
        W: Future<Output = Response<Body>>,
    {
        let Some(fault) = self.take(operation) else {
            return work(request).await;
        };
        match fault {
            Fault::Deaf {} => return delivery::deaf(request.into_body(), DEAF),
            Fault::CutInTurn { .. } => {
                request.headers_mut().remove(RANGE);
                request.headers_mut().remove(IF_RANGE);
            }
            _ => {}
        }
        match instead(&fault, dialect) {
            Some((answer, false)) => {
                let limit = match fault {
                    Fault::DropBeforeCommit { after_bytes, .. } => after_bytes,
                    _ => None,
                };
                read_away(request.into_body(), limit).await;
                answer
            }
            Some((answer, true)) => {
                drop(work(request).await);
                answer
            }
            None => apply(fault, work(request).await, dialect).await,
        }
    }
}

/// An answer in place of the true one, and whether the work is done nevertheless.
fn instead(fault: &Fault, dialect: &Dialect) -> Option<(Response<Body>, bool)> {
    let dropped = |reset: bool| {
        let how = if reset { Ending::Reset } else { Ending::Close };
        ResponseDelivery {
            drop: Some(how),
            ..ResponseDelivery::default()
        }
        .attach(Response::new(Body::empty()))
    };
    Some(match fault {
        Fault::Status {
            status,
            body,
            headers,
            after_commit,
        } => (plain(*status, body, headers), *after_commit),
        Fault::Code {
            code,
            message,
            after_commit,
        } => ((dialect.error)(code, message.as_deref()), *after_commit),
        Fault::Redirect { location, status } => {
            let headers = [(LOCATION.to_string(), location.clone())];
            (plain(status.unwrap_or(302), "", &headers), false)
        }
        Fault::DropBeforeCommit { reset, .. } => (dropped(*reset), false),
        Fault::DropAfterCommit { reset } => (dropped(*reset), true),
        _ => return None,
    })
}

async fn apply(fault: Fault, response: Response<Body>, dialect: &Dialect) -> Response<Body> {
    match fault {
        Fault::Delay { seconds: late } => ResponseDelivery {
            delay: Some(seconds(late)),
            ..ResponseDelivery::default()
        }
        .attach(response),
        Fault::SlowBody {
            chunk,
            seconds: pause,
        } => ResponseDelivery {
            slow: Some(Slow {
                chunk,
                pause: seconds(pause),
            }),
            ..ResponseDelivery::default()
        }
        .attach(response),
        Fault::CutBody { at } => ResponseDelivery {
            cut_at: Some(at),
            ..ResponseDelivery::default()
        }
        .attach(response),
        Fault::TruncatedJson {} => truncated(response),
        Fault::InvalidUtf8 {} => garbled(response).await,
        Fault::NonJson { body } => plain(
            200,
            body.as_deref()
                .unwrap_or("<html><body>It works!</body></html>"),
            &[],
        ),
        Fault::HugeBody { bytes } => huge(response, bytes),
        Fault::WrongTypes { keys } => {
            rewritten(response, |value| wrong_types(value, &keys, keys.is_empty())).await
        }
        Fault::UnknownWord { word } => {
            rewritten(response, |value| {
                set(value, dialect.state_field, Value::String(word));
            })
            .await
        }
        Fault::SetField {
            pointer,
            value: new,
        } => rewritten(response, |value| set(value, &pointer, new)).await,
        Fault::OddText { how } => {
            let mut response =
                malformed::with_bytes(response, REWRITE_LIMIT, |bytes| how.written(&bytes)).await;
            if let Some(kind) = how.declared() {
                malformed::declare_type(&mut response, kind);
            }
            response
        }
        Fault::Coding { coding } => malformed::coded(response, REWRITE_LIMIT, &coding).await,
        Fault::HugeKey { bytes } => malformed::with_huge_key(response, REWRITE_LIMIT, bytes).await,
        Fault::ManyEntries { entries } => malformed::with_many_entries(response, entries),
        Fault::CutInTurn { at } => {
            let mut response = ResponseDelivery {
                cut_at: at.first().copied(),
                ..ResponseDelivery::default()
            }
            .attach(response);
            for name in [ETAG, LAST_MODIFIED, ACCEPT_RANGES] {
                response.headers_mut().remove(name);
            }
            response
        }
        Fault::EndlessHeaders {
            interim,
            seconds: pause,
        } => ResponseDelivery {
            endless: Some(Endless {
                interim,
                pause: seconds(pause),
            }),
            ..ResponseDelivery::default()
        }
        .attach(response),
        Fault::Status { .. }
        | Fault::Code { .. }
        | Fault::Redirect { .. }
        | Fault::DropBeforeCommit { .. }
        | Fault::DropAfterCommit { .. }
        | Fault::Deaf {} => response,
    }
}

/// Reads a request to its end, so that an early answer is not lost in a reset over unread bytes.
pub async fn read_away(body: Body, limit: Option<u64>) {
    let mut data = body.into_data_stream();
    let mut seen = 0_u64;
    while limit.is_none_or(|limit| seen < limit) {
        match data.next().await {
            Some(Ok(bytes)) => seen += bytes.len() as u64,
            Some(Err(_)) | None => return,
        }
    }
}

fn plain(status: u16, body: &str, headers: &[(String, String)]) -> Response<Body> {
    let kind = if body.starts_with('<') {
        "text/html; charset=utf-8"
    } else {
        "text/plain; charset=utf-8"
    };
    let mut response = Response::new(Body::from(body.to_owned()));
    *response.status_mut() =
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    for (name, value) in headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::from_str(value)) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// The length of the body, from itself or from its header.
fn size(response: &Response<Body>) -> Option<u64> {
    let declared = || {
        let value = response.headers().get(CONTENT_LENGTH)?;
        value.to_str().ok()?.parse().ok()
    };
    response.body().size_hint().exact().or_else(declared)
}

fn truncated(mut response: Response<Body>) -> Response<Body> {
    let Some(length) = size(&response) else {
        return response;
    };
    let half = length / 2;
    response
        .headers_mut()
        .insert(CONTENT_LENGTH, HeaderValue::from(half));
    response.map(|body| delivery::shortened(body, half))
}

fn huge(mut response: Response<Body>, bytes: u64) -> Response<Body> {
    let (opening, closing) = (r#"{"padding":""#, r#""}"#);
    let least = (opening.len() + closing.len()) as u64;
    let body = stream::iter([Bytes::from_static(opening.as_bytes())])
        .chain(stream::unfold(
            bytes.saturating_sub(least),
            |left| async move {
                let next = Bytes::from_static(PADDING);
                let next =
                    next.slice(..next.len().min(usize::try_from(left).unwrap_or(usize::MAX)));
                (left > 0).then(|| (next.clone(), left - next.len() as u64))
            },
        ))
        .chain(stream::iter([Bytes::from_static(closing.as_bytes())]));
    response
        .headers_mut()
        .insert(CONTENT_LENGTH, HeaderValue::from(bytes.max(least)));
    response.map(|_| Body::from_stream(body.map(Ok::<_, std::convert::Infallible>)))
}

async fn garbled(response: Response<Body>) -> Response<Body> {
    let (mut parts, body) = response.into_parts();
    let bytes = axum::body::to_bytes(body, REWRITE_LIMIT).await;
    parts.headers.remove(CONTENT_LENGTH);
    Response::from_parts(parts, Body::from(not_utf8(&bytes.unwrap_or_default())))
}

/// The bytes with two in their middle that no UTF-8 has.
pub(crate) fn not_utf8(bytes: &[u8]) -> Vec<u8> {
    let (before, behind) = bytes.split_at(bytes.len() / 2);
    [before, &[0xff, 0xfe], behind].concat()
}

async fn rewritten(response: Response<Body>, change: impl FnOnce(&mut Value)) -> Response<Body> {
    if size(&response).is_none_or(|size| size > REWRITE_LIMIT as u64) {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let bytes = axum::body::to_bytes(body, REWRITE_LIMIT)
        .await
        .unwrap_or_default();
    let bytes = match serde_json::from_slice::<Value>(&bytes) {
        Ok(mut value) => {
            change(&mut value);
            Bytes::from(value.to_string())
        }
        Err(_) => bytes,
    };
    parts.headers.remove(CONTENT_LENGTH);
    Response::from_parts(parts, Body::from(bytes))
}

pub(crate) fn wrong_types(value: &mut Value, keys: &[String], here: bool) {
    match value {
        Value::Object(fields) => {
            for (key, field) in fields {
                wrong_types(field, keys, here || keys.contains(key));
            }
        }
        Value::Array(items) => items
            .iter_mut()
            .for_each(|item| wrong_types(item, keys, here)),
        Value::String(text) if here => *value = Value::from(text.len()),
        Value::Number(_) if here => *value = Value::Array(vec![value.take()]),
        Value::Bool(truth) if here => *value = Value::from(if *truth { "true" } else { "false" }),
        Value::String(_) | Value::Number(_) | Value::Bool(_) | Value::Null => {}
    }
}

pub(crate) fn set(value: &mut Value, pointer: &str, new: Value) {
    if let Some(field) = value.pointer_mut(pointer) {
        *field = new;
    } else if let Some((parent, key)) = pointer.rsplit_once('/')
        && let Some(Value::Object(fields)) = value.pointer_mut(parent)
    {
        fields.insert(key.to_owned(), new);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fault() -> Fault {
        Fault::DropAfterCommit { reset: false }
    }

    #[test]
    fn fault_strikes_as_often_as_scripted_and_only_its_operation() {
        let plan = FaultPlan::default();
        plan.times("poll", fault(), Times::N(2));
        assert_eq!(plan.take("submit"), None);
        assert_eq!(plan.take("poll"), Some(fault()));
        assert_eq!(plan.take("poll"), Some(fault()));
        assert_eq!(plan.take("poll"), None);
        assert_eq!(plan.pending(), 0);
    }

    #[test]
    fn skipped_occurrences_pass_and_a_star_fits_every_operation() {
        let plan = FaultPlan::default();
        plan.add(ScriptedFault {
            operation: "*".to_owned(),
            skip: 1,
            times: Times::Always,
            fault: fault(),
        });
        assert_eq!(plan.take("submit"), None);
        assert_eq!(plan.take("poll"), Some(fault()));
        assert_eq!(plan.take("submit"), Some(fault()));
    }

    #[test]
    fn lengths_of_cuts_come_in_turn() {
        let plan = FaultPlan::default();
        let cut = |first, second| Fault::CutInTurn {
            at: vec![first, second],
        };
        plan.times("result", cut(0, 7), Times::N(3));
        assert_eq!(plan.take("result"), Some(cut(0, 7)));
        assert_eq!(plan.take("result"), Some(cut(7, 0)));
        assert_eq!(plan.take("result"), Some(cut(0, 7)));
    }

    #[test]
    fn faults_are_read_from_json_and_misspelt_fields_refused() {
        let read = |value| serde_json::from_value::<Fault>(value);
        assert_eq!(
            read(json!({"kind": "cut_body", "at": 7})).unwrap(),
            Fault::CutBody { at: 7 }
        );
        assert_eq!(
            read(json!({"kind": "status", "status": 429, "headers": [["Retry-After", "2"]]}))
                .unwrap(),
            Fault::Status {
                status: 429,
                body: String::new(),
                headers: vec![("Retry-After".to_owned(), "2".to_owned())],
                after_commit: false
            }
        );
        assert!(read(json!({"kind": "cut_body", "att": 7})).is_err());
        assert!(read(json!({"kind": "no_such"})).is_err());
    }

    #[test]
    fn wrong_types_change_every_leaf_or_only_the_named_ones() {
        let mut value = json!({"a": "text", "b": {"c": 5, "d": true}});
        let mut named = value.clone();
        wrong_types(&mut value, &[], true);
        assert_eq!(value, json!({"a": 4, "b": {"c": [5], "d": "true"}}));
        wrong_types(&mut named, &["c".to_owned()], false);
        assert_eq!(named, json!({"a": "text", "b": {"c": [5], "d": true}}));
    }

    #[test]
    fn set_replaces_a_field_or_adds_the_last_key() {
        let mut value = json!({"data": {"status": "completed"}});
        set(&mut value, "/data/status", json!("napping"));
        set(&mut value, "/data/extra", json!(1));
        set(&mut value, "/no/where", json!(1));
        assert_eq!(value, json!({"data": {"status": "napping", "extra": 1}}));
    }
}
