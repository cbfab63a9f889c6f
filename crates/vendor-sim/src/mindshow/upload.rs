//! Uploads: one file in the part `file`, read as a stream, its texts taken out.

use std::time::Duration;

use axum::body::Body;
use axum::extract::multipart::{Field, MultipartError};
use axum::extract::{FromRequest, Multipart};
use axum::http::Request;

use super::answer::{Reason, Refusal};
use super::options::MindShowOptions;
use super::state::Resource;
use crate::deck::{Slide, slides_in};
use crate::spool::{Spool, Spooled};

/// Lines that the model takes from a text.
const LINES: usize = 200;
const TEXT_BYTES: u64 = 1 << 20;

pub(crate) async fn receive(
    request: Request<Body>,
    options: &MindShowOptions,
    now: Duration,
) -> Result<Resource, Refusal> {
    let mut multipart = Multipart::from_request(request, &())
        .await
        .map_err(|_| Refusal::parameter("not multipart/form-data"))?;
    let mut found = None;
    while let Some(field) = multipart.next_field().await.map_err(broken)? {
        let named = field.name() == Some("file");
        let (name, spooled) = file(field, options.max_upload_bytes).await?;
        if named && found.is_none() {
            found = Some((name, spooled));
        }
    }
    let refused = |info: &str| Refusal::new(Reason::Upload, info);
    let (name, spooled) = found.ok_or_else(|| Refusal::parameter("file is required"))?;
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    if !options
        .upload_formats
        .contains(&extension.to_ascii_lowercase())
    {
        return Err(refused("format not supported"));
    }
    if spooled.too_large {
        return Err(refused("file too large"));
    }
    if spooled.size == 0 {
        return Err(refused("file is empty"));
    }
    let (size, sha256) = (spooled.size, spooled.sha256.clone());
    let is_text = extension.eq_ignore_ascii_case("txt");
    // A file that makes the reading library panic is a damaged file, not the end of the simulator.
    let read = tokio::task::spawn_blocking(move || read(&spooled, is_text)).await;
    let (slides, lines) = read.unwrap_or_default();
    Ok(Resource {
        name,
        size,
        sha256,
        uploaded: now,
        slides,
        lines,
    })
}

fn read(spooled: &Spooled, is_text: bool) -> (Option<Vec<Slide>>, Vec<String>) {
    let slides = spooled
        .head
        .starts_with(b"PK")
        .then(|| slides_in(spooled.path()));
    let text = if is_text && spooled.size <= TEXT_BYTES {
        std::fs::read(spooled.path()).unwrap_or_default()
    } else {
        Vec::new()
    };
    let lines = String::from_utf8_lossy(&text)
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .take(LINES)
        .map(str::to_owned)
        .collect();
    (slides.flatten(), lines)
}

async fn file(mut field: Field<'_>, limit: u64) -> Result<(String, Spooled), Refusal> {
    let name = field.file_name().unwrap_or_default().to_owned();
    let mut spool = Spool::new(limit).map_err(disk)?;
    while let Some(bytes) = field.chunk().await.map_err(broken)? {
        spool.write(&bytes).await.map_err(disk)?;
    }
    Ok((name, spool.finish().await.map_err(disk)?))
}

fn broken(error: MultipartError) -> Refusal {
    Refusal::parameter(format!("broken form: {}", error.body_text()))
}

fn disk(error: std::io::Error) -> Refusal {
    Refusal::new(Reason::Upload, format!("cannot keep the file: {error}"))
}
