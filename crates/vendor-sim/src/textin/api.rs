//! The API origin: submit, poll, the synchronous call, export downloads.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Path};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderValue, Request, Response};
use axum::routing::{get, post};
use serde_json::{Value, json};

use super::answer::{DIALECT, Refusal, envelope, keys, new_request_id, respond};
use super::config::ExportFormat;
use super::options::{Outcome, ResultForm};
use super::state::Job;
use super::{Shared, export, result_host, upload, webhook};
use crate::fault::read_away;
use crate::lock::lock;
use crate::server::Peer;
use crate::sliding_window::slack;

pub(crate) fn router(shared: &Arc<Shared>) -> Router {
    let on_submit = |operation: &'static str| {
        let shared = Arc::clone(shared);
        move |request: Request<Body>| {
            let shared = Arc::clone(&shared);
            async move {
                let inner = Arc::clone(&shared);
                guarded(&shared, operation, request, |request| async move {
                    submit(inner, request, operation == "sync").await
                })
                .await
            }
        }
    };
    let on_poll = {
        let shared = Arc::clone(shared);
        move |Path(id): Path<String>, request: Request<Body>| {
            let shared = Arc::clone(&shared);
            async move {
                let inner = Arc::clone(&shared);
                guarded(&shared, "poll", request, |request| async move {
                    poll(&inner, &id, &request)
                })
                .await
            }
        }
    };
    let on_export = {
        let shared = Arc::clone(shared);
        move |request: Request<Body>| {
            let shared = Arc::clone(&shared);
            async move {
                let inner = Arc::clone(&shared);
                guarded(&shared, "export", request, |request| async move {
                    export_file(&inner, &request)
                })
                .await
            }
        }
    };
    let nowhere = {
        let shared = Arc::clone(shared);
        move |request: Request<Body>| async move {
            read_away(request.into_body(), None).await;
            refused(&shared, &Refusal::code(40400))
        }
    };
    Router::new()
        .route("/api/v1/xparse/parse/async", post(on_submit("submit")))
        .route("/api/v1/xparse/parse/sync", post(on_submit("sync")))
        .route("/api/v1/xparse/parse/async/{job_id}", get(on_poll))
        .route("/export_file/download", get(on_export))
        .method_not_allowed_fallback(nowhere.clone())
        .fallback(nowhere)
        // The vendor's own limit is enforced while the file streams in.
        .layer(DefaultBodyLimit::disable())
}

/// Runs an operation under the fault plan; whatever comes of it carries a request id.
async fn guarded<F, W>(
    shared: &Shared,
    operation: &str,
    request: Request<Body>,
    work: F,
) -> Response<Body>
where
    F: FnOnce(Request<Body>) -> W,
    W: Future<Output = Response<Body>>,
{
    let mut response = shared
        .common
        .faults
        .run(operation, &DIALECT, request, work)
        .await;
    if let Ok(id) = HeaderValue::from_str(&new_request_id()) {
        response.headers_mut().entry("x-request-id").or_insert(id);
    }
    response
}

async fn submit(shared: Arc<Shared>, request: Request<Body>, sync: bool) -> Response<Body> {
    let app = match identify(&shared, &request, true) {
        Ok(app) => app,
        Err(refusal) => {
            read_away(request.into_body(), None).await;
            return refused(&shared, &refusal);
        }
    };
    let options = shared.options();
    let parcel = match upload::receive(request, &options, &shared.common.clock, sync).await {
        Ok(parcel) => parcel,
        Err(refusal) => return refused(&shared, &refusal),
    };
    let id = new_request_id();
    let hook = parcel.webhook.clone();
    let made = lock(&shared.state).submit(&app, id.clone(), parcel, shared.now());
    if let Err(refusal) = made {
        return refused(&shared, &refusal);
    }
    if sync {
        return finish(&shared, &id).await;
    }
    if let Some(url) = hook {
        webhook::schedule(&shared, id.clone(), url);
    }
    accepted(&shared, json!({ "job_id": id }))
}

/// Waits for the end of a synchronous call's job and answers with its result.
async fn finish(shared: &Shared, id: &str) -> Response<Body> {
    let Some(job) = lock(&shared.state).job(id).cloned() else {
        return refused(shared, &Refusal::code(500));
    };
    match job.due {
        Some(due) => shared.common.clock.sleep_until(due).await,
        None => std::future::pending().await,
    }
    lock(&shared.state).settle(shared.now());
    match &job.outcome {
        Outcome::Completed | Outcome::Partial { .. } => whole_result(shared, &job),
        // Partial failure keeps its data beside the code; the parsed pages are charged.
        Outcome::Word {
            success_count: Some(_),
            ..
        } => partial_result(shared, &job),
        Outcome::Failed { message } => refused(shared, &Refusal::code(40422).with_message(message)),
        Outcome::Word {
            success_count: None,
            ..
        }
        | Outcome::Never => refused(shared, &Refusal::code(500)),
    }
}

fn whole_result(shared: &Shared, job: &Job) -> Response<Body> {
    let request_id = new_request_id();
    let shown = shared
        .rule(|options| options.request_id_in_body)
        .then_some(request_id.as_str());
    let Some(bytes) = shared.result_bytes(job, ResultForm::Enveloped, shown) else {
        return refused(shared, &Refusal::code(500));
    };
    let length = bytes.len();
    let mut response = respond(200, &request_id, Body::from_stream(bytes.stream(0, length)));
    response
        .headers_mut()
        .insert(CONTENT_LENGTH, HeaderValue::from(length));
    response
}

fn partial_result(shared: &Shared, job: &Job) -> Response<Body> {
    let text: Vec<u8> = shared
        .result_bytes(job, ResultForm::Bare, None)
        .iter()
        .flat_map(|bytes| bytes.pieces())
        .flatten()
        .collect();
    let data = serde_json::from_slice(&text).unwrap_or(Value::Null);
    answered(shared, 200, 50207, None, Some(data))
}

fn poll(shared: &Shared, id: &str, request: &Request<Body>) -> Response<Body> {
    let now = shared.now();
    let seen =
        identify(shared, request, true).and_then(|app| lock(&shared.state).poll(&app, id, now));
    let poll = match seen {
        Ok(poll) => poll,
        Err(refusal) => return refused(shared, &refusal),
    };
    let mut data = json!({"job_id": id, "file_id": poll.file_id, "status": poll.status});
    if let Some(fields) = data.as_object_mut() {
        if poll.has_result {
            fields.insert(
                "result_url".to_owned(),
                json!(result_host::link(shared, id, now)),
            );
        }
        if let Some(message) = poll.failure {
            let field = shared.rule(|options| options.failure_field.clone());
            fields.insert(field, json!(message));
        }
    }
    accepted(shared, data)
}

fn export_file(shared: &Shared, request: &Request<Body>) -> Response<Body> {
    let app = match identify(shared, request, false) {
        Ok(app) => app,
        Err(refusal) => return refused(shared, &refusal),
    };
    let file_id = request
        .uri()
        .query()
        .and_then(|query| result_host::parameter(query, "file_id"));
    let Some(file_id) = file_id else {
        return answered(shared, 400, 400, Some("file_id is missing"), None);
    };
    match export_bytes(shared, &app, file_id) {
        Some((format, bytes)) => {
            let mut response = respond(200, &new_request_id(), bytes);
            response
                .headers_mut()
                .insert(CONTENT_TYPE, HeaderValue::from_static(export::mime(format)));
            response
        }
        None => answered(shared, 404, 404, Some("image does not exist"), None),
    }
}

fn export_bytes(shared: &Shared, app: &str, file_id: &str) -> Option<(ExportFormat, bytes::Bytes)> {
    let (job_id, extension) = file_id.split_once('.')?;
    let now = shared.now();
    let job = lock(&shared.state)
        .finished(job_id, now)
        .filter(|job| job.app == app)
        .cloned()?;
    let format = job
        .config
        .exports
        .iter()
        .copied()
        .find(|format| format.word() == extension)?;
    let alive = job.due.is_some_and(|due| now < due + export::LIFETIME);
    alive
        .then(|| export::file(format, &shared.export_text(&job)).map(|bytes| (format, bytes)))
        .flatten()
}

/// Who is asking; with `counted`, the request draws on the app's rate.
fn identify(shared: &Shared, request: &Request<Body>, counted: bool) -> Result<String, Refusal> {
    let (app, secret) = keys(request.headers());
    let peer = request
        .extensions()
        .get::<Peer>()
        .map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.0.ip());
    let mut state = lock(&shared.state);
    state.authorize(app, secret, peer)?;
    if counted {
        let slack = slack(&shared.common.clock, state.options.qps_slack_ms);
        state.admit(app, shared.now(), slack)?;
    }
    Ok(app.to_owned())
}

fn accepted(shared: &Shared, data: Value) -> Response<Body> {
    answered(shared, 200, 200, None, Some(data))
}

fn refused(shared: &Shared, refusal: &Refusal) -> Response<Body> {
    *lock(&shared.state)
        .counters
        .refusals
        .entry(refusal.code)
        .or_default() += 1;
    let data = refusal
        .detail
        .as_ref()
        .map(|detail| json!({ "message": detail }));
    answered(
        shared,
        refusal.http,
        refusal.code,
        refusal.message.as_deref(),
        data,
    )
}

fn answered(
    shared: &Shared,
    http: u16,
    code: i64,
    message: Option<&str>,
    data: Option<Value>,
) -> Response<Body> {
    let request_id = new_request_id();
    let shown = shared
        .rule(|options| options.request_id_in_body)
        .then_some(request_id.as_str());
    respond(
        http,
        &request_id,
        envelope(code, message, shown, data).to_string(),
    )
}
