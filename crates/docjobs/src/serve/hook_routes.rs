//! The listener for webhooks: any name, any address, no token, and nothing else on it. Each call is answered before any work.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use jobs_core::clock::{Clock, bounded};
use subtle::ConstantTimeEq as _;
use tokio::sync::mpsc;

use super::access::text;
use super::hook_call::{Answer, HookCall, HookKeys, Read};

/// The longest body, however it is sent.
const MOST: usize = 1024 * 1024;
/// How long a body may take.
const SLOW: Duration = Duration::from_secs(10);

/// What the routes of the listener have at hand.
pub(super) struct HookState {
    pub(super) keys: HookKeys,
    /// The unguessable part of TextIn's path.
    pub(super) secret: String,
    pub(super) inbox: mpsc::Sender<HookCall>,
    pub(super) counts: Arc<HookCounts>,
    pub(super) clock: Arc<dyn Clock>,
}

/// Calls of which nothing is kept.
#[derive(Debug, Default)]
pub(super) struct HookCounts {
    /// At a path that is not TextIn's secret one.
    pub(super) wrong_secret: AtomicU64,
    /// Not what the vendor sends.
    pub(super) malformed: AtomicU64,
    /// Came faster than they could be written down; the jobs are polled all the same.
    pub(super) dropped: AtomicU64,
}

pub(super) fn router(state: Arc<HookState>) -> Router {
    Router::new()
        .route("/textin/{secret}", post(textin))
        .route("/ppj", get(ppj).post(ppj))
        .route("/tencent-ess", post(ess))
        .route("/wecom", get(cloud).post(cloud))
        .fallback(|| async { StatusCode::NOT_FOUND })
        .with_state(state)
}

async fn textin(
    State(state): State<Arc<HookState>>,
    Path(secret): Path<String>,
    request: Request,
) -> Response {
    if !bool::from(secret.as_bytes().ct_eq(state.secret.as_bytes())) {
        state.counts.wrong_secret.fetch_add(1, Ordering::Relaxed);
        return StatusCode::NOT_FOUND.into_response();
    }
    match body(&state, request.into_body()).await {
        Ok(body) => answer(&state, state.keys.textin(&body)),
        Err(refused) => refused.into_response(),
    }
}

async fn ppj(State(state): State<Arc<HookState>>, request: Request) -> Response {
    let (head, rest) = request.into_parts();
    let body = match body(&state, rest).await {
        Ok(body) => body,
        Err(refused) => return refused.into_response(),
    };
    let target = head
        .uri
        .path_and_query()
        .map_or("/ppj", |target| target.as_str());
    let signature =
        text(&head.headers, "x-ppj-timestamp").zip(text(&head.headers, "x-ppj-signature"));
    let is_post = head.method == Method::POST;
    answer(&state, state.keys.ppj(is_post, target, &body, signature))
}

async fn ess(State(state): State<Arc<HookState>>, request: Request) -> Response {
    let (head, rest) = request.into_parts();
    match body(&state, rest).await {
        Ok(body) => answer(
            &state,
            state
                .keys
                .ess(&body, text(&head.headers, "content-signature")),
        ),
        Err(refused) => refused.into_response(),
    }
}

async fn cloud(State(state): State<Arc<HookState>>, request: Request) -> Response {
    let (head, rest) = request.into_parts();
    let query = head.uri.query().unwrap_or_default();
    if head.method != Method::POST {
        return answer(&state, state.keys.cloud(query, None));
    }
    match body(&state, rest).await {
        Ok(body) => answer(&state, state.keys.cloud(query, Some(&body))),
        Err(refused) => refused.into_response(),
    }
}

async fn body(state: &HookState, body: Body) -> Result<Bytes, StatusCode> {
    let limit = state.clock.now() + SLOW;
    let read = Limited::new(body, MOST).collect();
    match bounded(state.clock.as_ref(), limit, read).await {
        Some(Ok(body)) => Ok(body.to_bytes()),
        Some(Err(problem)) if problem.is::<LengthLimitError>() => {
            Err(StatusCode::PAYLOAD_TOO_LARGE)
        }
        Some(Err(_)) => Err(StatusCode::BAD_REQUEST),
        None => Err(StatusCode::REQUEST_TIMEOUT),
    }
}

/// Notes the call and answers; neither waits for the ledger.
fn answer(state: &HookState, read: Read) -> Response {
    if let Some(call) = read.call
        && state.inbox.try_send(call).is_err()
    {
        state.counts.dropped.fetch_add(1, Ordering::Relaxed);
    }
    let as_type = |kind: &'static str, body: String| {
        let mut response = Response::new(Body::from(body));
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        response
    };
    match read.answer {
        Answer::Json(body) => as_type("application/json", body),
        Answer::Text(body) => as_type("text/plain; charset=utf-8", body),
        Answer::Forbidden => StatusCode::FORBIDDEN.into_response(),
        Answer::NotFound => StatusCode::NOT_FOUND.into_response(),
        Answer::BadRequest => {
            state.counts.malformed.fetch_add(1, Ordering::Relaxed);
            StatusCode::BAD_REQUEST.into_response()
        }
    }
}
