//! What stands in front of every route of the main listener, and the headers that every answer carries.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::access::{Access, text};
use super::login;
use super::problem::Problem;
use super::server::Peer;
use crate::mcp::HttpCaller;

/// The header in which scripts of the page say the token of a change.
const CSRF_HEADER: &str = "x-csrf-token";

/// Nothing of another site is loaded, nothing inline runs, nobody frames the page.
const POLICY: &str = "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'";

/// Lets a request through that may be made, with who makes it.
pub(super) async fn check(
    State(access): State<Arc<Access>>,
    request: Request,
    next: Next,
) -> Response {
    let mut response = match admit(&access, request) {
        Ok(request) => next.run(request).await,
        Err(refused) => *refused,
    };
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "same-origin"),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    response
}

fn admit(access: &Access, mut request: Request) -> Result<Request, Box<Response>> {
    let refuse = |problem: Problem| Box::new(problem.into_response());
    access.check_host(&request).map_err(refuse)?;
    let path = request.uri().path();
    let is_open = matches!(path, "/healthz" | "/readyz" | "/login")
        || path.starts_with("/assets/")
        || (path == "/metrics" && access.has_open_metrics());
    if is_open {
        return Ok(request);
    }
    let Some(peer) = request.extensions().get::<Peer>().copied() else {
        return Err(refuse(Problem::unexpected("the connection has no address")));
    };
    let caller = match access.caller(request.headers(), peer) {
        Ok(caller) => caller,
        Err(problem) if problem.status() == StatusCode::UNAUTHORIZED && is_page(&request) => {
            let next = request
                .uri()
                .path_and_query()
                .map_or("/", |path| path.as_str());
            return Err(Box::new(login::form(request.headers(), next, None)));
        }
        Err(problem) => return Err(refuse(problem)),
    };
    let is_change = !matches!(
        *request.method(),
        Method::GET | Method::HEAD | Method::OPTIONS
    );
    // Agents bring a token of their own; their tools know themselves who may only read.
    if path == "/mcp" && caller.csrf.is_some() {
        return Err(refuse(Problem::forbidden(
            "bearer-only",
            "agents say Authorization: Bearer TOKEN; a cookie is for pages",
        )));
    }
    let is_left_to_tools = path == "/mcp";
    if is_change && !caller.may_write && path != "/logout" && !is_left_to_tools {
        return Err(refuse(Problem::forbidden(
            "read-only",
            if access.is_read_only() {
                "this server runs with --read-only: it changes nothing"
            } else {
                "this token may only read"
            },
        )));
    }
    // A form of the page says the token in a field, which whoever reads the form checks.
    if is_change && path.starts_with("/v1/") {
        let given = text(request.headers(), CSRF_HEADER);
        caller.check_csrf(given).map_err(refuse)?;
    }
    if is_left_to_tools {
        request.extensions_mut().insert(HttpCaller {
            name: caller.name.clone(),
            may_write: caller.may_write,
        });
    }
    request.extensions_mut().insert(caller);
    Ok(request)
}

/// What a browser asks for when a person types an address.
fn is_page(request: &Request) -> bool {
    let accept = text(request.headers(), "accept").unwrap_or_default();
    request.method() == Method::GET
        && accept.contains("text/html")
        && !request.uri().path().starts_with("/v1/")
}
