//! The file host, an origin of its own: decks, PDFs, previews and pages behind signed addresses that work only as they
//! were given out.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, ETAG};
use axum::http::{HeaderValue, Method, Request, Response, StatusCode};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use super::Shared;
use super::answer::scripted_error;
use super::content::Deck;
use super::state::Job;
use crate::deck::{escaped, pptx};
use crate::fault::Dialect;
use crate::lock::lock;
use crate::pdf;

const DIALECT: Dialect = Dialect {
    error: scripted_error,
    state_field: "/status",
};
/// One white pixel.
const PIXEL: &[u8] = &[
    0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0x00, 0x00, 0x00, 0x0d, 0x49, 0x48, 0x44, 0x52,
    0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x01, 0x08, 0x00, 0x00, 0x00, 0x00, 0x3a, 0x7e, 0x9b,
    0x55, 0x00, 0x00, 0x00, 0x0a, 0x49, 0x44, 0x41, 0x54, 0x78, 0x9c, 0x63, 0xf8, 0x0f, 0x00, 0x01,
    0x01, 0x01, 0x00, 0xb1, 0x38, 0xf6, 0x14, 0x00, 0x00, 0x00, 0x00, 0x49, 0x45, 0x4e, 0x44, 0xae,
    0x42, 0x60, 0x82,
];

/// What an address leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Deck,
    Pdf,
    Preview,
    Page,
    CreateLog,
}

impl Kind {
    const ALL: [Self; 5] = [
        Self::Deck,
        Self::Pdf,
        Self::Preview,
        Self::Page,
        Self::CreateLog,
    ];

    /// Folder and extension.
    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Deck => ("ppt", "pptx"),
            Self::Pdf => ("pdf", "pdf"),
            Self::Preview => ("img", "png"),
            Self::Page => ("edit", "html"),
            Self::CreateLog => ("create_log", "sse"),
        }
    }

    /// Operation name for faults.
    fn operation(self) -> &'static str {
        match self {
            Self::Deck => "deck_file",
            Self::Pdf => "pdf_file",
            Self::Preview => "preview_file",
            Self::Page => "jump_page",
            Self::CreateLog => "create_log",
        }
    }
}

pub(crate) fn router(shared: &Arc<Shared>) -> Router {
    let shared = Arc::clone(shared);
    let handle = move |request: Request<Body>| {
        let shared = Arc::clone(&shared);
        async move {
            let path = request.uri().path().trim_start_matches('/').to_owned();
            let folder = path.split('/').next().unwrap_or_default();
            let Some(kind) = Kind::ALL.into_iter().find(|kind| kind.words().0 == folder) else {
                return plain(StatusCode::NOT_FOUND, "not found");
            };
            let inner = Arc::clone(&shared);
            let work = |request| async move { serve(&inner, kind, &request) };
            shared
                .common
                .faults
                .run(kind.operation(), &DIALECT, request, work)
                .await
        }
    };
    Router::new().fallback(handle)
}

/// An address that dies at `expires`. `id` may carry a number after a dash.
pub(crate) fn link(
    shared: &Shared,
    kind: Kind,
    id: &str,
    title: &str,
    expires: Duration,
) -> String {
    let base = &shared.file_base;
    format!(
        "{base}{}",
        signed_path(shared.link_key, kind, id, title, expires.as_secs())
    )
}

/// Path and query. The name in it and the signature both hold escapes, so that decoding or encoding once more shows.
fn signed_path(key: u128, kind: Kind, id: &str, title: &str, expires: u64) -> String {
    let (folder, extension) = kind.words();
    let bare = format!("/{folder}/{id}.{extension}?expires={expires}");
    let signature = match Hmac::<Sha256>::new_from_slice(&key.to_be_bytes()) {
        Ok(mut mac) => {
            mac.update(bare.as_bytes());
            STANDARD.encode(mac.finalize().into_bytes())
        }
        // HMAC takes keys of every length.
        Err(_) => String::new(),
    };
    let name = encoded(&format!("{title}.{extension}"));
    format!("{bare}&attname={name}&signature={}", encoded(&signature))
}

fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

fn serve(shared: &Shared, kind: Kind, request: &Request<Body>) -> Response<Body> {
    if request.method() != Method::GET {
        return plain(StatusCode::METHOD_NOT_ALLOWED, "method not allowed");
    }
    let asked = request
        .uri()
        .path_and_query()
        .map_or("", |asked| asked.as_str());
    let file = request.uri().path().rsplit('/').next().unwrap_or_default();
    let id = file.split('.').next().unwrap_or_default();
    let job_id = id.split('-').next().unwrap_or_default();
    let now = shared.now();
    let Some(job) = lock(&shared.state).job(job_id).cloned() else {
        return plain(StatusCode::NOT_FOUND, "not found");
    };
    let query = request.uri().query().unwrap_or_default();
    let expires = query
        .split('&')
        .find_map(|pair| pair.strip_prefix("expires=")?.parse::<u64>().ok());
    let genuine = expires.filter(|expires| {
        asked == signed_path(shared.link_key, kind, id, &job.plan.title, *expires)
    });
    match genuine {
        None => plain(StatusCode::FORBIDDEN, "signature does not match"),
        Some(expires) if now.as_secs() >= expires => plain(StatusCode::FORBIDDEN, "link expired"),
        Some(_) => {
            let Some((mime, bytes)) = content(&job, kind, now) else {
                return plain(StatusCode::NOT_FOUND, "not found");
            };
            lock(&shared.state).counters.downloads += 1;
            file_answer(mime, bytes)
        }
    }
}

fn content(job: &Job, kind: Kind, now: Duration) -> Option<(&'static str, Bytes)> {
    Some(match kind {
        Kind::Deck => (
            "application/vnd.openxmlformats-officedocument.presentationml.presentation",
            deck_bytes(job.ready_deck(now)?)?,
        ),
        Kind::Pdf if job.has_pdf(now) => ("application/pdf", pdf_bytes(&job.plan.deck)),
        Kind::Pdf => return None,
        Kind::Preview => ("image/png", Bytes::from_static(PIXEL)),
        Kind::Page => {
            let title = escaped(&job.plan.title);
            let page = format!("<!DOCTYPE html><title>{title}</title><h1>{title}</h1>\n");
            ("text/html; charset=utf-8", page.into())
        }
        // The form of its events is not documented.
        Kind::CreateLog => (
            "text/event-stream",
            format!("data: {{\"status\":\"{}\"}}\n\n", job.work.status(now)).into(),
        ),
    })
}

/// The deck as a `.pptx`.
pub(crate) fn deck_bytes(deck: &Deck) -> Option<Bytes> {
    pptx(&deck.title, &deck.slides)
}

/// The deck as a PDF, one page a slide.
pub(crate) fn pdf_bytes(deck: &Deck) -> Bytes {
    let pages: Vec<Vec<String>> = deck
        .slides
        .iter()
        .map(|slide| {
            let title = std::iter::once(&slide.title);
            title.chain(&slide.lines).cloned().collect()
        })
        .collect();
    pdf::of_pages(&deck.title, &pages)
}

fn file_answer(mime: &'static str, bytes: Bytes) -> Response<Body> {
    let tag = hex::encode(Sha256::digest(&bytes));
    let mut response = Response::new(Body::from(bytes));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(mime));
    if let Ok(tag) = HeaderValue::from_str(&format!("\"{tag}\"")) {
        headers.insert(ETAG, tag);
    }
    response
}

fn plain(status: StatusCode, text: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signed_path_depends_on_every_part_and_always_holds_escapes() {
        let path = signed_path(7, Kind::Deck, "j1", "标题", 99);
        assert!(
            path.starts_with("/ppt/j1.pptx?expires=99&attname=%E6%A0%87"),
            "{path}"
        );
        assert!(path.ends_with("%3D"));
        for other in [
            signed_path(8, Kind::Deck, "j1", "标题", 99),
            signed_path(7, Kind::Pdf, "j1", "标题", 99),
            signed_path(7, Kind::Deck, "j2", "标题", 99),
            signed_path(7, Kind::Deck, "j1", "标题", 98),
        ] {
            let signature = |path: &str| path.split_once("signature=").unwrap().1.to_owned();
            assert_ne!(signature(&path), signature(&other));
        }
    }

    #[test]
    fn pixel_is_a_complete_png() {
        assert!(PIXEL.starts_with(b"\x89PNG\r\n\x1a\n"));
        assert!(PIXEL.ends_with(b"IEND\xae\x42\x60\x82"));
    }
}
