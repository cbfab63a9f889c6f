//! The two hosts: one address for all operations on each, and downloads of uploaded files on the second.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Path};
use axum::http::header::{CONTENT_LENGTH, DATE};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Request, Response, StatusCode};
use axum::routing::get;
use bytes::Bytes;
use futures_util::stream;
use serde_json::{Map, Value, json};
use tokio::io::AsyncReadExt;

use super::answer::{self, Language, Refusal, scripted_error};
use super::body_reader::{self, Received};
use super::options::RequestIdForm;
use super::params::{self, required};
use super::request_checks::{self, Action, Deed, Host, header};
use super::state::{Family, Order, Owner, Upload};
use super::{Shared, source, uploads};
use crate::fault::Dialect;
use crate::lock::lock;

pub(crate) const DIALECT: Dialect = Dialect {
    error: scripted_error,
    state_field: "/Response/TaskStatus",
};

const READ_AT_ONCE: usize = 64 << 10;

pub(crate) fn router(shared: &Arc<Shared>, host: Host) -> Router {
    let on_call = {
        let shared = Arc::clone(shared);
        move |request: Request<Body>| {
            let shared = Arc::clone(&shared);
            async move {
                let operation = request_checks::operation(request.headers());
                let inner = Arc::clone(&shared);
                let work = |request| async move { serve(&inner, host, request).await };
                let answered = shared
                    .common
                    .faults
                    .run(operation, &DIALECT, request, work)
                    .await;
                dated(&shared, answered)
            }
        }
    };
    let router = match host {
        Host::General => Router::new(),
        Host::Upload => {
            let shared = Arc::clone(shared);
            let on_file = move |Path(id): Path<String>, request: Request<Body>| {
                let shared = Arc::clone(&shared);
                async move {
                    let inner = Arc::clone(&shared);
                    let work = |request: Request<Body>| async move {
                        let query = request.uri().query().unwrap_or_default().to_owned();
                        file(&inner, &id, &query).await
                    };
                    shared
                        .common
                        .faults
                        .run("file", &DIALECT, request, work)
                        .await
                }
            };
            Router::new().route("/file/{id}", get(on_file))
        }
    };
    router
        .fallback(on_call)
        // The vendor's own limits are enforced while the body streams in.
        .layer(DefaultBodyLimit::disable())
}

async fn serve(shared: &Shared, host: Host, request: Request<Body>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let (limit, file_limit) = shared.rule(|options| {
        let file = options.max_file_bytes.max(options.max_image_bytes);
        match host {
            Host::General => (options.max_body_bytes, file),
            Host::Upload => (options.max_upload_body_bytes, file),
        }
    });
    let request_id = request_id(shared);
    let Some(received) = body_reader::receive(body, limit, file_limit).await else {
        // The peer is gone; nobody will read this.
        return answer::failure(&json!("InvalidRequest"), "the body broke off", &request_id);
    };
    match act(shared, host, &parts, &received).await {
        Ok(fields) => answer::success(fields, &request_id),
        Err(refusal) => {
            *lock(&shared.state)
                .counters
                .refusals
                .entry(refusal.code.clone())
                .or_default() += 1;
            let language = Language::of(
                Some(header(&parts.headers, "x-tc-language")).filter(|word| !word.is_empty()),
            );
            let message = refusal.message(language);
            answer::failure(&json!(refusal.code), message, &request_id)
        }
    }
}

async fn act(
    shared: &Shared,
    host: Host,
    parts: &Parts,
    received: &Received,
) -> Result<Map<String, Value>, Refusal> {
    let (action, account) = request_checks::pass(shared, host, parts, received)?;
    let body: Value = serde_json::from_slice(&received.skeleton)
        .map_err(|_| Refusal::about("InvalidRequest", "body: not JSON"))?;
    params::check(&body, action.shape, "")?;
    let owner = owner(shared, action, &account, &body)?;
    let mut fields = match action.deed {
        Deed::Upload => uploads::upload(shared, &owner, &body, received).await?,
        Deed::Create => create(shared, action, owner, &body).await?,
        Deed::Query => {
            let id = required(&body, "/TaskId")?;
            let answer = lock(&shared.state).query(&owner, action.family, id, shared.now())?;
            match answer {
                Value::Object(fields) => fields,
                _ => Map::new(),
            }
        }
    };
    if action.family == Family::Legacy
        && let Some(warning) = shared.rule(|options| options.deprecated_warning.clone())
    {
        fields.insert("DeprecatedWarning".to_owned(), json!(warning));
    }
    Ok(fields)
}

/// Who acts, for which company, in whose application.
fn owner(shared: &Shared, action: Action, account: &str, body: &Value) -> Result<Owner, Refusal> {
    if action.product == "ess" {
        let operator = match action.deed {
            Deed::Upload => "/Caller/OperatorId",
            Deed::Create | Deed::Query => "/Operator/UserId",
        };
        // Only the legacy operations do without.
        if action.family == Family::Current {
            required(body, operator)?;
        }
        let organization = body.pointer("/Agent/ProxyOrganizationId");
        return Ok(Owner {
            account: account.to_owned(),
            product: action.product,
            app_id: String::new(),
            organization: organization
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned(),
        });
    }
    let app = required(body, "/Agent/AppId")?;
    let organization = required(body, "/Agent/ProxyOrganizationOpenId")?;
    let person = required(body, "/Agent/ProxyOperator/OpenId")?;
    let options = shared.options();
    let own = lock(&shared.state).app_of(account) == Some(app);
    if !own {
        return Err(Refusal::new(
            &options.foreign_app_code,
            "身份鉴权失败",
            "The identity check failed: the application does not belong to the key.",
        ));
    }
    let known = organization == options.org_open_id && person == options.operator_open_id;
    if options.known_people_only && account == options.secret_id && !known {
        return Err(Refusal::about("UnauthorizedOperation", "Agent"));
    }
    Ok(Owner {
        account: account.to_owned(),
        product: action.product,
        app_id: app.to_owned(),
        organization: organization.to_owned(),
    })
}

async fn create(
    shared: &Shared,
    action: Action,
    owner: Owner,
    body: &Value,
) -> Result<Map<String, Value>, Refusal> {
    let kind = required(body, "/ResourceType")?.to_owned();
    let file_id = required(body, "/ResourceId")?.to_owned();
    let name = required(body, "/ResourceName")
        .map_err(|_| Refusal::about("MissingParameter.ResourceName", "ResourceName"))?
        .to_owned();
    let now = shared.now();
    let upload = lock(&shared.state)
        .file(&owner, &file_id, now)
        .map(|file| file.upload());
    let (source, lines) = match upload {
        Some(upload) => (
            Some((upload.suffix.clone(), upload.bytes.sha256.clone())),
            words(name.clone(), upload).await,
        ),
        None => (None, Vec::new()),
    };
    let order = Order {
        owner,
        family: action.family,
        kind,
        name,
        file_id,
        source,
        lines,
    };
    let wall = shared.common.clock.wall_of(now);
    let id = lock(&shared.state).create(order, now, wall)?;
    let mut fields = Map::new();
    fields.insert("TaskId".to_owned(), json!(id));
    Ok(fields)
}

async fn words(name: String, upload: Upload) -> Vec<String> {
    let read = move || source::lines(&name, &upload.suffix, &upload.bytes);
    tokio::task::spawn_blocking(read).await.unwrap_or_default()
}

async fn file(shared: &Shared, id: &str, query: &str) -> Response<Body> {
    let upload = lock(&shared.state)
        .linked_file(id, shared.now())
        .filter(|_| query == format!("sign={}", uploads::mark(shared, id)))
        .map(|file| file.upload());
    let opened = match &upload {
        Some(upload) => tokio::fs::File::open(upload.bytes.path()).await.ok(),
        None => None,
    };
    let (Some(upload), Some(opened)) = (upload, opened) else {
        let mut response = Response::new(Body::from("link expired"));
        *response.status_mut() = StatusCode::FORBIDDEN;
        return response;
    };
    let size = upload.bytes.size;
    // The upload rides along, so that its bytes stay on the disk until they are sent.
    let data = stream::unfold((opened, upload), |(mut opened, upload)| async move {
        let mut piece = vec![0; READ_AT_ONCE];
        match opened.read(&mut piece).await {
            Ok(0) => None,
            Ok(length) => {
                piece.truncate(length);
                Some((Ok(Bytes::from(piece)), (opened, upload)))
            }
            Err(error) => Some((Err(error), (opened, upload))),
        }
    });
    let mut response = Response::new(Body::from_stream(data));
    response
        .headers_mut()
        .insert(CONTENT_LENGTH, HeaderValue::from(size));
    response
}

fn request_id(shared: &Shared) -> String {
    let nanoseconds = || format!("s{}", shared.common.clock.wall_of(shared.now()).as_nanos());
    match shared.rule(|options| options.request_id_form) {
        RequestIdForm::Uuid => answer::uuid(),
        RequestIdForm::Nanoseconds => nanoseconds(),
        RequestIdForm::Both if shared.common.recorder.total().is_multiple_of(2) => answer::uuid(),
        RequestIdForm::Both => nanoseconds(),
    }
}

/// The `Date` header tells the simulator's own time, wrong or not: clients may correct theirs by it.
fn dated(shared: &Shared, mut response: Response<Body>) -> Response<Body> {
    let date = chrono::DateTime::from_timestamp(shared.server_unix(), 0)
        .map(|time| time.format("%a, %d %b %Y %H:%M:%S GMT").to_string())
        .and_then(|text| HeaderValue::try_from(text).ok());
    if let Some(date) = date {
        response.headers_mut().insert(DATE, date);
    }
    response
}
