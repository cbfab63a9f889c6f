//! A create call's form: read as a stream, the file to disk, its texts taken out.

use axum::body::Body;
use axum::extract::multipart::{Field, MultipartError};
use axum::extract::{FromRequest, Multipart};
use axum::http::Request;
use bytes::Bytes;
use md5::{Digest, Md5};

use super::answer::Refusal;
use super::state::Source;
use crate::deck::slides_in;
use crate::spool::{Spool, Spooled};

/// Form fields other than the file are small.
const TEXT_LIMIT: usize = 64 << 10;

/// What a create call brought.
#[derive(Debug, Default)]
pub(crate) struct Form {
    /// Everything but the file.
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) source: Option<Source>,
}

pub(crate) async fn receive(request: Request<Body>, limit: u64) -> Result<Form, Refusal> {
    let mut multipart = Multipart::from_request(request, &())
        .await
        .map_err(|_| Refusal::bad("not multipart/form-data"))?;
    let mut form = Form::default();
    while let Some(field) = multipart.next_field().await.map_err(broken)? {
        match field.name().unwrap_or_default().to_owned() {
            name if name != "file_source" => form.fields.push((name, text(field).await?)),
            _ if form.source.is_some() => return Err(Refusal::bad("more than one file_source")),
            _ => form.source = Some(file(field, limit).await?),
        }
    }
    Ok(form)
}

async fn file(mut field: Field<'_>, limit: u64) -> Result<Source, Refusal> {
    let filename = field.file_name().unwrap_or_default().to_owned();
    if filename.is_empty() {
        return Err(Refusal::bad("file_source is not a file"));
    }
    let mut spool = Spool::new(limit).map_err(disk)?;
    let mut digest = Md5::new();
    while let Some(bytes) = field.chunk().await.map_err(broken)? {
        digest.update(&bytes);
        spool.write(&bytes).await.map_err(disk)?;
    }
    let spooled = spool.finish().await.map_err(disk)?;
    if spooled.size == 0 {
        return Err(Refusal::bad("file_source is empty"));
    }
    if spooled.too_large {
        return Err(Refusal::bad("file_source is too large"));
    }
    let (size, sha256) = (spooled.size, spooled.sha256.clone());
    Ok(Source {
        filename,
        size,
        md5: hex::encode(digest.finalize()),
        sha256,
        slides: slides(spooled).await,
    })
}

async fn slides(spooled: Spooled) -> Option<Vec<crate::deck::Slide>> {
    if !spooled.head.starts_with(b"PK") {
        return None;
    }
    // A file that makes the reading library panic is a damaged file, not the end of the simulator.
    tokio::task::spawn_blocking(move || slides_in(spooled.path()))
        .await
        .ok()
        .flatten()
}

async fn text(mut field: Field<'_>) -> Result<String, Refusal> {
    let mut text = Vec::new();
    while let Some(bytes) = field.chunk().await.map_err(broken)? {
        let bytes: Bytes = bytes;
        if text.len() + bytes.len() > TEXT_LIMIT {
            return Err(Refusal::bad("form field too long"));
        }
        text.extend_from_slice(&bytes);
    }
    String::from_utf8(text).map_err(|_| Refusal::bad("form field is not UTF-8"))
}

fn broken(error: MultipartError) -> Refusal {
    Refusal::bad(format!("broken form: {}", error.body_text()))
}

fn disk(error: std::io::Error) -> Refusal {
    Refusal::bad(format!("cannot keep the file: {error}"))
}
