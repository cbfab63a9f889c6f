//! The second origin: results and images by signed address, for the public, for owners, or for nobody any more.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::http::header::{ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, RANGE};
use axum::http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use axum::routing::get;
use sha2::{Digest, Sha256};

use super::answer::{DIALECT, envelope, keys, new_request_id, respond};
use super::document::Content;
use super::options::ResultAccess;
use super::{ResultBytes, Shared};
use crate::clock::seconds;
use crate::lock::lock;
use crate::server::Peer;

pub(crate) fn router(shared: &Arc<Shared>) -> Router {
    let on_result = {
        let shared = Arc::clone(shared);
        move |Path(name): Path<String>, request: Request<Body>| {
            let shared = Arc::clone(&shared);
            async move {
                let inner = Arc::clone(&shared);
                let work = |request| async move { result(&inner, &name, &request) };
                shared
                    .common
                    .faults
                    .run("result", &DIALECT, request, work)
                    .await
            }
        }
    };
    let on_image = {
        let shared = Arc::clone(shared);
        move |Path(file_id): Path<String>, request: Request<Body>| {
            let shared = Arc::clone(&shared);
            async move {
                let inner = Arc::clone(&shared);
                shared
                    .common
                    .faults
                    .run("image", &DIALECT, request, |_| async move {
                        image(&inner, &file_id)
                    })
                    .await
            }
        }
    };
    Router::new()
        .route("/file/xparse_result/{name}", get(on_result))
        .route("/file/xparse_image/{file_id}", get(on_image))
}

/// A fresh address for a job's result.
pub(crate) fn link(shared: &Shared, job_id: &str, now: Duration) -> String {
    let issued = now.as_millis();
    let mark = mark(shared, job_id, issued);
    format!(
        "{}/file/xparse_result/{job_id}.json?issued={issued}&mark={mark}",
        shared.result_base
    )
}

/// A query parameter, as sent.
pub(crate) fn parameter<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value)
}

fn mark(shared: &Shared, job_id: &str, issued: u128) -> String {
    let digest = Sha256::digest(format!("{:032x} {job_id} {issued}", shared.link_key));
    let mut text = hex::encode(digest);
    text.truncate(24);
    text
}

fn result(shared: &Shared, name: &str, request: &Request<Body>) -> Response<Body> {
    let job_id = name.strip_suffix(".json").unwrap_or(name);
    let query = request.uri().query().unwrap_or_default();
    let issued: Option<u128> = parameter(query, "issued").and_then(|issued| issued.parse().ok());
    let genuine = issued.filter(|issued| {
        parameter(query, "mark").is_some_and(|sent| sent == mark(shared, job_id, *issued))
    });
    let Some(issued) = genuine else {
        return plain(StatusCode::NOT_FOUND, "not found");
    };
    let options = shared.options();
    let now = shared.now();
    let age = Duration::from_millis(
        u64::try_from(now.as_millis().saturating_sub(issued)).unwrap_or(u64::MAX),
    );
    let dead = options
        .result_lifetime_seconds
        .is_some_and(|lifetime| age >= seconds(lifetime));
    if dead || options.result_access == ResultAccess::Expired {
        return plain(StatusCode::FORBIDDEN, "link expired");
    }
    let job = match lock(&shared.state).finished(job_id, now) {
        Some(job) => job.clone(),
        None => return plain(StatusCode::NOT_FOUND, "not found"),
    };
    if let Err(answer) = allowed(shared, options.result_access, &job.app, request) {
        return *answer;
    }
    let Some(bytes) = shared.result_bytes(&job, options.result_form, None) else {
        return plain(StatusCode::NOT_FOUND, "not found");
    };
    lock(&shared.state).downloaded(job_id);
    serve(
        bytes,
        options.result_ranges,
        request.headers(),
        &format!("\"{job_id}\""),
    )
}

fn allowed(
    shared: &Shared,
    access: ResultAccess,
    owner: &str,
    request: &Request<Body>,
) -> Result<(), Box<Response<Body>>> {
    if matches!(access, ResultAccess::Public | ResultAccess::Expired) {
        return Ok(());
    }
    let (app, secret) = keys(request.headers());
    let peer = request
        .extensions()
        .get::<Peer>()
        .map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.0.ip());
    let code = match lock(&shared.state).authorize(app, secret, peer) {
        Ok(()) if app == owner => return Ok(()),
        Ok(()) => 40102,
        Err(refusal) => refusal.code,
    };
    Err(Box::new(match access {
        ResultAccess::CredentialsInEnvelope => respond(
            200,
            &new_request_id(),
            envelope(code, None, None, None).to_string(),
        ),
        _ if code == 40101 => plain(StatusCode::UNAUTHORIZED, "credentials required"),
        _ => plain(StatusCode::FORBIDDEN, "credentials refused"),
    }))
}

fn serve(bytes: ResultBytes, ranges: bool, headers: &HeaderMap, etag: &str) -> Response<Body> {
    let size = bytes.len();
    let range = headers
        .get(RANGE)
        .filter(|_| ranges)
        .and_then(|value| value.to_str().ok());
    let (status, first, last) = match range.and_then(|range| span(range, size)) {
        None => (StatusCode::OK, 0, size.saturating_sub(1)),
        Some(Some((first, last))) => (StatusCode::PARTIAL_CONTENT, first, last),
        Some(None) => {
            let mut response = plain(StatusCode::RANGE_NOT_SATISFIABLE, "");
            set(
                &mut response,
                CONTENT_RANGE.as_str(),
                &format!("bytes */{size}"),
            );
            return response;
        }
    };
    let length = last - first + 1;
    let mut response = Response::new(Body::from_stream(bytes.stream(first, length)));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
        .headers_mut()
        .insert(CONTENT_LENGTH, HeaderValue::from(length));
    if ranges {
        response
            .headers_mut()
            .insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        set(&mut response, ETAG.as_str(), etag);
    }
    if status == StatusCode::PARTIAL_CONTENT {
        set(
            &mut response,
            CONTENT_RANGE.as_str(),
            &format!("bytes {first}-{last}/{size}"),
        );
    }
    response
}

/// First and last byte of a single `bytes=a-b`. `None` for anything else, which is then ignored; `Some(None)` when it
/// begins behind the end.
fn span(range: &str, size: u64) -> Option<Option<(u64, u64)>> {
    let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
    let first: u64 = first.parse().ok()?;
    let last = if last.is_empty() {
        u64::MAX
    } else {
        last.parse().ok().filter(|last| *last >= first)?
    };
    Some((first < size).then(|| (first, last.min(size - 1))))
}

fn image(shared: &Shared, file_id: &str) -> Response<Body> {
    let document = lock(&shared.state).image(file_id);
    match document.as_deref() {
        Some(document) => match &document.content {
            Content::Image(Some(bytes)) => {
                let mut response = Response::new(Body::from(bytes.clone()));
                response
                    .headers_mut()
                    .insert(CONTENT_TYPE, HeaderValue::from_static(document.mime));
                response
            }
            _ => plain(StatusCode::NOT_FOUND, "not found"),
        },
        None => plain(StatusCode::NOT_FOUND, "not found"),
    }
}

fn plain(status: StatusCode, text: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    response
}

fn set(response: &mut Response<Body>, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn range_is_clipped_ignored_or_unsatisfiable() {
        assert_eq!(span("bytes=5-", 10), Some(Some((5, 9))));
        assert_eq!(span("bytes=0-3", 10), Some(Some((0, 3))));
        assert_eq!(span("bytes=2-99", 10), Some(Some((2, 9))));
        assert_eq!(span("bytes=10-", 10), Some(None));
        assert_eq!(span("bytes=-5", 10), None);
        assert_eq!(span("bytes=4-2", 10), None);
        assert_eq!(span("items=1-2", 10), None);
    }
}
