//! Both flavours' operations: which path means what, who may call, and what is answered.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::DefaultBodyLimit;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::http::{HeaderValue, Request, Response};
use chrono::{DateTime, SecondsFormat};
use serde_json::{Value, json};

use super::answer::{Flavour, Reason, Refusal, accepted, refused, scripted_error};
use super::options::CallbackMode;
use super::state::Job;
use super::{Shared, bundle, callback, query, sign, upload};
use crate::fault::{Dialect, read_away};
use crate::lock::lock;
use crate::server::Peer;

const DIALECT: Dialect = Dialect {
    error: scripted_error,
    state_field: "/state",
};

#[derive(Clone, Debug, PartialEq, Eq)]
enum Operation {
    Create,
    List,
    Quotas,
    /// The token, if the path holds it.
    Show(Option<String>),
    Download(Option<String>),
}

impl Operation {
    fn name(&self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::List => "list",
            Self::Quotas => "quotas",
            Self::Show(_) => "show",
            Self::Download(_) => "download",
        }
    }

    fn token(&self) -> Option<&str> {
        match self {
            Self::Show(token) | Self::Download(token) => token.as_deref(),
            Self::Create | Self::List | Self::Quotas => None,
        }
    }
}

/// A request's head, taken apart.
struct Call {
    flavour: Flavour,
    operation: Operation,
    method: String,
    path: String,
    query: Vec<(String, String)>,
    credential: Option<String>,
    timestamp: Option<String>,
    signature: Option<String>,
    peer: IpAddr,
}

pub(crate) fn router(shared: &Arc<Shared>) -> Router {
    let shared = Arc::clone(shared);
    let handle = move |request: Request<Body>| {
        let shared = Arc::clone(&shared);
        async move { dispatch(shared, request).await }
    };
    Router::new()
        .fallback(handle)
        // The limit is an option, enforced while the file streams in.
        .layer(DefaultBodyLimit::disable())
}

async fn dispatch(shared: Arc<Shared>, request: Request<Body>) -> Response<Body> {
    let call = match read_call(&request) {
        Ok(call) => call,
        Err(flavour) => {
            read_away(request.into_body(), None).await;
            let refusal = Refusal::new(Reason::UnknownToken, "no such address");
            return turned_down(&shared, flavour, &refusal);
        }
    };
    let name = call.operation.name();
    let inner = Arc::clone(&shared);
    let work = |request| async move { serve(inner, call, request).await };
    shared
        .common
        .faults
        .run(name, &DIALECT, request, work)
        .await
}

fn read_call(request: &Request<Body>) -> Result<Call, Flavour> {
    let path = request.uri().path().to_owned();
    let query = query::pairs(request.uri().query().unwrap_or_default());
    let (flavour, rest) = match path.strip_prefix("/api/") {
        Some(rest) => (Flavour::AccessKey, rest),
        None => (Flavour::Signed, path.trim_start_matches('/')),
    };
    let asked = match (flavour, query::value(&query, "_method")) {
        // The first generation lets clients that cannot choose the verb name it.
        (Flavour::Signed, Some(method)) => method.to_ascii_uppercase(),
        _ => request.method().to_string(),
    };
    let operation = route(flavour, &asked, rest).ok_or(flavour)?;
    let either = |header: &str, parameter: &str| {
        let header = request.headers().get(header);
        let header = header.and_then(|value| value.to_str().ok());
        header
            .or(query::value(&query, parameter))
            .map(str::to_owned)
    };
    Ok(Call {
        flavour,
        operation,
        method: asked,
        credential: either("x-ppj-credential", "_credential"),
        timestamp: either("x-ppj-timestamp", "_timestamp"),
        signature: either("x-ppj-signature", "_signature"),
        peer: request
            .extensions()
            .get::<Peer>()
            .map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.0.ip()),
        path,
        query,
    })
}

fn route(flavour: Flavour, method: &str, path: &str) -> Option<Operation> {
    let segments: Vec<&str> = path.split('/').collect();
    let token = |token: &str| Some(query::decoded(token));
    match (flavour, method, segments.as_slice()) {
        (_, "POST", ["jobs"]) => Some(Operation::Create),
        (_, "GET", ["jobs"]) => Some(Operation::List),
        (_, "GET", ["jobs", id]) if !id.is_empty() => Some(Operation::Show(token(id))),
        (_, "GET", ["jobs", id, "download"]) => Some(Operation::Download(token(id))),
        (Flavour::AccessKey, "GET", ["quotas"]) => Some(Operation::Quotas),
        (Flavour::Signed, "POST", ["job", "create"]) => Some(Operation::Create),
        (Flavour::Signed, "GET", ["job", "list"]) => Some(Operation::List),
        (Flavour::Signed, "GET", ["job", "status"]) => Some(Operation::Show(None)),
        (Flavour::Signed, "GET", ["job", "download"]) => Some(Operation::Download(None)),
        _ => None,
    }
}

async fn serve(shared: Arc<Shared>, call: Call, request: Request<Body>) -> Response<Body> {
    let flavour = call.flavour;
    let answer = match identify(&shared, &call) {
        Err(refusal) => {
            read_away(request.into_body(), None).await;
            Err(refusal)
        }
        Ok(()) if call.operation == Operation::Create => create(&shared, &call, request).await,
        Ok(()) => check_signature(&shared, &call, &[]).and_then(|()| read(&shared, &call)),
    };
    answer.unwrap_or_else(|refusal| turned_down(&shared, flavour, &refusal))
}

fn turned_down(shared: &Shared, flavour: Flavour, refusal: &Refusal) -> Response<Body> {
    let kind = refusal.reason.status_and_type(flavour).1.to_owned();
    *lock(&shared.state)
        .counters
        .refusals
        .entry(kind)
        .or_default() += 1;
    refused(flavour, refusal)
}

/// Who is calling, from where.
fn identify(shared: &Shared, call: &Call) -> Result<(), Refusal> {
    let state = lock(&shared.state);
    let options = &state.options;
    let known = match call.flavour {
        Flavour::AccessKey => {
            if options.refuse_plain_http {
                return Err(Refusal::bad("use HTTPS"));
            }
            &options.access_key
        }
        Flavour::Signed => &options.app_id,
    };
    if call.credential.as_ref() != Some(known) {
        return Err(Refusal::new(Reason::BadCredential, "unknown credential"));
    }
    match &options.allow_list {
        Some(list) if !list.contains(&call.peer) => {
            Err(Refusal::new(Reason::Forbidden, "IP address not allowed"))
        }
        _ => Ok(()),
    }
}

/// Recomputes the signature from what arrived: method, path as sent, query and form fields, the token of the path.
fn check_signature(
    shared: &Shared,
    call: &Call,
    fields: &[(String, String)],
) -> Result<(), Refusal> {
    if call.flavour != Flavour::Signed {
        return Ok(());
    }
    let wrong = |message: &str| Refusal::new(Reason::BadSignature, message);
    let timestamp = call
        .timestamp
        .as_deref()
        .ok_or_else(|| wrong("timestamp is missing"))?;
    let sent = call
        .signature
        .as_deref()
        .ok_or_else(|| wrong("signature is missing"))?;
    let mut parameters = call.query.clone();
    parameters.extend_from_slice(fields);
    if let Some(token) = call.operation.token() {
        let pair = ("token".to_owned(), token.to_owned());
        // Clients send it in the query as well; it counts once.
        if !parameters.contains(&pair) {
            parameters.push(pair);
        }
    }
    let (secret, window, skew) = shared.rule(|options| {
        (
            options.app_secret.clone(),
            options.timestamp_window_seconds,
            options.clock_skew_seconds,
        )
    });
    if let Some(window) = window {
        let here = shared.wall().as_secs_f64() + skew;
        let there: f64 = timestamp
            .parse()
            .map_err(|_| wrong("timestamp is no number"))?;
        if (here - there).abs() > window {
            return Err(wrong("timestamp out of range"));
        }
    }
    if sent != sign::signature(&secret, timestamp, &call.method, &call.path, &parameters) {
        return Err(wrong("signature does not match"));
    }
    Ok(())
}

async fn create(
    shared: &Arc<Shared>,
    call: &Call,
    request: Request<Body>,
) -> Result<Response<Body>, Refusal> {
    let limit = shared.rule(|options| options.max_file_bytes);
    let form = upload::receive(request, limit).await?;
    check_signature(shared, call, &form.fields)?;
    let source = form
        .source
        .ok_or_else(|| Refusal::bad("file_source is missing"))?;
    match query::value(&form.fields, "file_md5").or(query::value(&call.query, "file_md5")) {
        Some(md5) if md5.eq_ignore_ascii_case(&source.md5) => {}
        Some(_) => return Err(Refusal::bad("file_md5 does not match file_source")),
        None if call.flavour == Flavour::Signed => {
            return Err(Refusal::bad("file_md5 is missing"));
        }
        None => {}
    }
    let token: String = std::iter::repeat_with(fastrand::alphanumeric)
        .take(12)
        .collect();
    let now = shared.now();
    let job = lock(&shared.state).create(token, source, now)?;
    if job.callback.is_some() {
        let told = callback::schedule(shared, job.token.clone());
        if shared.rule(|options| options.callback) == CallbackMode::BeforeAnswer {
            // A worker that ended badly has told nobody, which is no reason to keep the answer.
            drop(told.await);
        }
    }
    Ok(accepted(&match call.flavour {
        Flavour::AccessKey => job_object(shared, &job, now),
        Flavour::Signed => json!({ "token": job.token }),
    }))
}

fn read(shared: &Shared, call: &Call) -> Result<Response<Body>, Refusal> {
    let now = shared.now();
    let token = || {
        call.operation
            .token()
            .or(query::value(&call.query, "token"))
            .ok_or_else(|| Refusal::bad("token is missing"))
    };
    match call.operation {
        Operation::Show(_) => {
            let job = lock(&shared.state).poll(token()?, now)?;
            Ok(accepted(&match call.flavour {
                Flavour::AccessKey => job_object(shared, &job, now),
                Flavour::Signed => json!({ "state": job.state(now) }),
            }))
        }
        Operation::Download(_) => {
            let job = lock(&shared.state).download(token()?, now)?;
            bundle_answer(&job)
        }
        Operation::List => {
            let tokens = list(shared, call, now);
            Ok(accepted(&json!({"count": tokens.len(), "tokens": tokens})))
        }
        Operation::Quotas | Operation::Create => {
            let mut state = lock(&shared.state);
            state.settle(now);
            let (all, left) = (state.options.permanents, state.permanents_left());
            Ok(accepted(
                &json!({"summary": {"permanents": all, "permanents_left": left}}),
            ))
        }
    }
}

fn list(shared: &Shared, call: &Call, now: Duration) -> Vec<String> {
    // A date that cannot be read counts as absent.
    let date = |name: &str| query::value(&call.query, name).and_then(milliseconds_of);
    let (start, end) = (date("start_date"), date("end_date"));
    let state = match call.flavour {
        Flavour::Signed => query::value(&call.query, "state"),
        Flavour::AccessKey => None,
    };
    lock(&shared.state).list(now, |created, word| {
        let created = milliseconds(shared.common.clock.wall_of(created));
        start.is_none_or(|start| created >= start)
            && end.is_none_or(|end| created < end)
            && state.is_none_or(|state| state == word)
    })
}

fn milliseconds_of(date: &str) -> Option<i64> {
    Some(DateTime::parse_from_rfc3339(date).ok()?.timestamp_millis())
}

fn milliseconds(unix: Duration) -> i64 {
    i64::try_from(unix.as_millis()).unwrap_or(i64::MAX)
}

fn job_object(shared: &Shared, job: &Job, now: Duration) -> Value {
    let created = shared.common.clock.wall_of(job.created);
    let shown = DateTime::from_timestamp_millis(milliseconds(created))
        .map(|time| time.to_rfc3339_opts(SecondsFormat::Millis, true));
    json!({
        "token": job.token,
        "name": job.source.name(),
        "state": job.state(now),
        "source_filename": job.source.filename,
        "source_filesize": job.source.size,
        "total_pages": job.total_pages(now),
        "last_error": job.last_error(now),
        "created_at": shown,
        "created_at_in_ts": created.as_secs(),
    })
}

fn bundle_answer(job: &Job) -> Result<Response<Body>, Refusal> {
    let bytes = bundle::zip(&job.source).ok_or_else(|| Refusal::bad("cannot pack the result"))?;
    let mut response = Response::new(Body::from(bytes));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/zip"));
    let name = format!("attachment; filename=\"{}.zip\"", job.token);
    if let Ok(name) = HeaderValue::from_str(&name) {
        headers.insert(CONTENT_DISPOSITION, name);
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_flavours_share_rest_paths_and_only_the_signed_one_has_aliases() {
        use Flavour::{AccessKey, Signed};
        let id = || Some("t1".to_owned());
        for (flavour, method, path, operation) in [
            (AccessKey, "POST", "jobs", Some(Operation::Create)),
            (Signed, "POST", "jobs", Some(Operation::Create)),
            (AccessKey, "GET", "jobs", Some(Operation::List)),
            (AccessKey, "GET", "jobs/t1", Some(Operation::Show(id()))),
            (AccessKey, "GET", "jobs/", None),
            (
                Signed,
                "GET",
                "jobs/t1/download",
                Some(Operation::Download(id())),
            ),
            (AccessKey, "GET", "quotas", Some(Operation::Quotas)),
            (Signed, "GET", "quotas", None),
            (Signed, "POST", "job/create", Some(Operation::Create)),
            (Signed, "GET", "job/create", None),
            (Signed, "GET", "job/list", Some(Operation::List)),
            (Signed, "GET", "job/status", Some(Operation::Show(None))),
            (
                Signed,
                "GET",
                "job/download",
                Some(Operation::Download(None)),
            ),
            (AccessKey, "GET", "job/status", None),
            (AccessKey, "DELETE", "jobs/t1", None),
        ] {
            assert_eq!(route(flavour, method, path), operation, "{method} {path}");
        }
    }

    #[test]
    fn date_whose_plus_became_a_space_is_unreadable() {
        assert_eq!(
            milliseconds_of("2017-07-30T02:20:39+08:00"),
            Some(1_501_352_439_000)
        );
        assert_eq!(
            milliseconds_of("2017-07-29T18:20:39.000Z"),
            Some(1_501_352_439_000)
        );
        assert_eq!(milliseconds_of("2017-07-30T02:20:39 08:00"), None);
        assert_eq!(milliseconds_of("yesterday"), None);
    }
}
