//! A submit's form: read as a stream, the file to disk, then checked as a whole.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::multipart::{Field, MultipartError};
use axum::extract::{FromRequest, Multipart};
use axum::http::Request;

use super::answer::Refusal;
use super::config::{self, Config};
use super::document;
use super::options::TextInOptions;
use super::state::Parcel;
use crate::clock::VirtualClock;
use crate::outgoing;
use crate::spool::{Spool, Spooled};

/// `config`, `file_url` and `webhook` are small.
const TEXT_LIMIT: usize = 1 << 20;

#[derive(Default)]
struct Form {
    file: Option<(String, Spooled)>,
    file_url: Option<String>,
    config: Option<String>,
    webhook: Option<String>,
}

/// Receives a submit and makes of it what the state machine needs.
pub(crate) async fn receive(
    request: Request<Body>,
    options: &TextInOptions,
    clock: &VirtualClock,
    sync: bool,
) -> Result<Parcel, Refusal> {
    let form = read(request, options).await?;
    let config = Arc::new(config::parse(form.config.as_deref(), options)?);
    let (name, document) = match (form.file, form.file_url) {
        (Some(_), Some(_)) => {
            return Err(Refusal::parameter("file and file_url exclude each other"));
        }
        (None, None) => {
            let refusal = Refusal::code(options.missing_file_code);
            return Err(Refusal {
                detail: Some("File not uploaded".to_owned()),
                ..refusal
            });
        }
        (Some((name, file)), None) => (
            name.clone(),
            Ok(examine(name, file, &config, options.clone()).await?),
        ),
        (None, Some(url)) => {
            let name = name_in(&url);
            (
                name.clone(),
                fetch(&url, name, &config, options, clock).await,
            )
        }
    };
    let document = match document {
        Ok(document) => Ok(Arc::new(document)),
        Err(refusal) if sync => return Err(refusal),
        // The service can only fetch after it has accepted, so what is wrong with the file is the job's failure.
        Err(refusal) => Err(refusal.in_words()),
    };
    // The webhook is documented for the asynchronous call only.
    let webhook = form.webhook.filter(|_| !sync);
    Ok(Parcel {
        document,
        name,
        config,
        webhook,
        sync,
    })
}

async fn fetch(
    url: &str,
    name: String,
    config: &Config,
    options: &TextInOptions,
    clock: &VirtualClock,
) -> Result<document::Document, Refusal> {
    let file = outgoing::fetch(clock, url, options.max_file_bytes)
        .await
        .map_err(Refusal::parameter)?;
    examine(name, file, config, options.clone()).await
}

async fn examine(
    name: String,
    file: Spooled,
    config: &Config,
    options: TextInOptions,
) -> Result<document::Document, Refusal> {
    let (password, gui) = (config.password.clone(), config.gui);
    let work = move || document::read(&name, &file, password.as_deref(), gui, &options);
    // A file that makes the reading library panic is a damaged file, not the end of the simulator.
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|_| Err(Refusal::code(40422)))
}

async fn read(request: Request<Body>, options: &TextInOptions) -> Result<Form, Refusal> {
    let mut multipart = Multipart::from_request(request, &())
        .await
        .map_err(|_| Refusal::parameter("not multipart/form-data"))?;
    let mut form = Form::default();
    while let Some(field) = multipart.next_field().await.map_err(broken)? {
        match field.name().unwrap_or_default() {
            "file" if form.file.is_some() => return Err(Refusal::parameter("more than one file")),
            "file" => form.file = Some(file(field, options).await?),
            "file_url" => form.file_url = Some(text(field).await?),
            "config" => form.config = Some(text(field).await?),
            "webhook" => form.webhook = Some(text(field).await?),
            _ => {}
        }
    }
    Ok(form)
}

async fn file(mut field: Field<'_>, options: &TextInOptions) -> Result<(String, Spooled), Refusal> {
    let name = field.file_name().unwrap_or_default().to_owned();
    let mut spool = Spool::new(options.max_file_bytes).map_err(|_| Refusal::code(500))?;
    while let Some(bytes) = field.chunk().await.map_err(broken)? {
        spool.write(&bytes).await.map_err(|_| Refusal::code(500))?;
    }
    Ok((name, spool.finish().await.map_err(|_| Refusal::code(500))?))
}

async fn text(mut field: Field<'_>) -> Result<String, Refusal> {
    let mut text = Vec::new();
    while let Some(bytes) = field.chunk().await.map_err(broken)? {
        if text.len() + bytes.len() > TEXT_LIMIT {
            return Err(Refusal::parameter("form field too long"));
        }
        text.extend_from_slice(&bytes);
    }
    String::from_utf8(text).map_err(|_| Refusal::parameter("form field is not UTF-8"))
}

fn broken(error: MultipartError) -> Refusal {
    Refusal::parameter(format!("broken form: {}", error.body_text()))
}

fn name_in(url: &str) -> String {
    let path = url.split(['?', '#']).next().unwrap_or_default();
    path.rsplit('/').next().unwrap_or_default().to_owned()
}
