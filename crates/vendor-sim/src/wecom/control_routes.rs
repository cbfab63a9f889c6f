//! The people's side over HTTP: `/_sim/` paths that submit and delete jobs, scan codes, bind and unbind, and push anything.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use axum::routing::post;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use super::job::{JobFile, NewJob};
use super::{LoginStage, Outgoing, Shared, websocket};
use crate::control::{answer, body_of};
use crate::lock::lock;

pub(crate) fn routes(shared: &Arc<Shared>) -> Router {
    let on = |act: fn(&Arc<Shared>, &Value) -> Result<Value, String>| {
        let shared = Arc::clone(shared);
        post(move |request: Request<Body>| async move {
            match body_of(request).await.and_then(|body| act(&shared, &body)) {
                Ok(value) => answer(StatusCode::OK, &value),
                Err(message) => answer(StatusCode::BAD_REQUEST, &json!({ "error": message })),
            }
        })
    };
    Router::new()
        .route("/_sim/jobs", on(submit))
        .route("/_sim/jobs/delete", on(delete))
        .route("/_sim/scan", on(scan))
        .route(
            "/_sim/bind",
            on(|shared, _| {
                shared.bind();
                Ok(json!({}))
            }),
        )
        .route(
            "/_sim/unbind",
            on(|shared, _| {
                shared.unbind();
                Ok(json!({}))
            }),
        )
        .route("/_sim/push", on(push))
        .route(
            "/_sim/disconnect",
            on(|shared, _| {
                websocket::disconnect(shared);
                Ok(json!({}))
            }),
        )
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JobRequest {
    doc_name: String,
    #[serde(default)]
    userid: Option<String>,
    /// `pdf` or `jpg`.
    #[serde(default)]
    format: Option<String>,
    /// Base64 of a PDF, or of each JPEG. Made by the simulator when absent.
    #[serde(default)]
    files: Option<Vec<String>>,
    /// What a PDF made by the simulator says.
    #[serde(default)]
    text: Option<String>,
    /// How many pages the simulator makes, or how many the PDF is said to have.
    #[serde(default)]
    pages: Option<u32>,
    #[serde(default)]
    settings: Vec<Setting>,
    #[serde(default)]
    waits_for_scan: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Setting {
    key: String,
    value: Vec<String>,
}

fn submit(shared: &Arc<Shared>, body: &Value) -> Result<Value, String> {
    let asked = JobRequest::deserialize(body).map_err(|error| error.to_string())?;
    let id = shared.add_job(job(asked)?);
    Ok(json!({ "jobid": id }))
}

fn job(asked: JobRequest) -> Result<NewJob, String> {
    let decoded: Option<Vec<Bytes>> = asked
        .files
        .map(|files| {
            files
                .iter()
                .map(|file| STANDARD.decode(file).map(Bytes::from))
                .collect()
        })
        .transpose()
        .map_err(|error| format!("files: {error}"))?;
    let name = &asked.doc_name;
    let mut job = match (asked.format.as_deref(), decoded) {
        (None | Some("pdf"), None) => NewJob::pdf_of(name, asked.text.as_deref().unwrap_or("")),
        (None | Some("pdf"), Some(files)) => NewJob::pdf(name, files.concat()),
        (Some("jpg"), None) => NewJob::jpg_of(name, asked.pages.unwrap_or(1).min(1_000) as usize),
        (Some("jpg"), Some(files)) => NewJob::jpg(name, files),
        (Some(other), _) => return Err(format!("format is pdf or jpg, not {other:?}")),
    };
    if let (JobFile::Pdf { pages, .. }, Some(said)) = (&mut job.file, asked.pages) {
        *pages = said;
    }
    if let Some(userid) = asked.userid {
        job.userid = userid;
    }
    job.waits_for_scan = asked.waits_for_scan;
    let settings = asked.settings.into_iter();
    job.settings = settings
        .map(|setting| (setting.key, setting.value))
        .collect();
    Ok(job)
}

fn delete(shared: &Arc<Shared>, body: &Value) -> Result<Value, String> {
    let id = text(body, "jobid")?;
    if shared.delete_job(id) {
        Ok(json!({}))
    } else {
        Err(format!("no job {id:?}"))
    }
}

fn scan(shared: &Arc<Shared>, body: &Value) -> Result<Value, String> {
    let (userid, state) = (text(body, "userid")?, text(body, "state")?);
    match shared.scan(userid, state) {
        Some(released) => Ok(json!({ "released": released })),
        None => Err(format!("the printer never asked for a code {state:?}")),
    }
}

/// A push by `cmd` and `body` to whoever is online, or `text`, `binary` (base64) or `raw` (base64, bytes of the socket).
fn push(shared: &Arc<Shared>, body: &Value) -> Result<Value, String> {
    let decoded = |name| {
        let bytes = STANDARD.decode(text(body, name)?);
        bytes.map(Bytes::from).map_err(|error| error.to_string())
    };
    if body.get("cmd").is_some() {
        shared.push(LoginStage::Subscribed, text(body, "cmd")?, body.get("body"));
    } else if body.get("text").is_some() {
        let text = text(body, "text")?;
        to_all(shared, || Outgoing::Text(text.to_owned()));
    } else if body.get("binary").is_some() {
        let bytes = decoded("binary")?;
        to_all(shared, || Outgoing::Binary(bytes.clone()));
    } else {
        let bytes = decoded("raw")?;
        to_all(shared, || Outgoing::Raw(bytes.clone()));
    }
    Ok(json!({}))
}

/// The same for every connection, whatever its stage.
pub(crate) fn to_all(shared: &Shared, make: impl Fn() -> Outgoing) {
    let links = lock(&shared.state).links_from(LoginStage::Connected);
    for link in links {
        shared.send(link, make());
    }
}

fn text<'a>(body: &'a Value, name: &str) -> Result<&'a str, String> {
    body.get(name)
        .and_then(Value::as_str)
        .ok_or_else(|| format!("{name} is missing or not a text"))
}
