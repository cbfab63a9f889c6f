//! The log-in form: a token becomes a cookie.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};

use super::access::{Access, Caller, language_of};
use super::form::Form;
use super::language::Words;
use super::page::{local, see_other};
use super::problem::Problem;
use super::server::Peer;
use super::session;

#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage<'a> {
    w: &'static Words,
    next: &'a str,
    problem: Option<&'a str>,
}

/// The form, for somebody who wanted to see `next`.
pub(super) fn form(headers: &HeaderMap, next: &str, problem: Option<&Problem>) -> Response {
    let w = language_of(headers, None);
    let page = LoginPage {
        w,
        next,
        problem: problem.map(|problem| match problem.status() {
            StatusCode::UNAUTHORIZED => w.wrong_token,
            _ => problem.detail(),
        }),
    };
    let status = problem.map_or(StatusCode::UNAUTHORIZED, Problem::status);
    match page.render() {
        Ok(text) => (status, Html(text)).into_response(),
        Err(problem) => Problem::unexpected(problem.to_string()).into_response(),
    }
}

/// `GET /login`
pub(super) async fn show(request: Request) -> Response {
    let mut response = form(request.headers(), "/", None);
    *response.status_mut() = StatusCode::OK;
    response
}

/// `POST /login`
pub(super) async fn log_in(State(access): State<Arc<Access>>, request: Request) -> Response {
    let headers = request.headers().clone();
    let Some(peer) = request.extensions().get::<Peer>().copied() else {
        return Problem::unexpected("the connection has no address").into_response();
    };
    let form_fields = match Form::read(request).await {
        Ok(fields) => fields,
        Err(problem) => return problem.into_response(),
    };
    let next = local(form_fields.get("next").unwrap_or("/"));
    match access.log_in(form_fields.get("token").unwrap_or_default(), &headers, peer) {
        Ok(cookie) => with_cookie(see_other(next), Some(cookie)),
        Err(problem) => {
            let mut response = form(&headers, next, Some(&problem));
            problem.add_headers(response.headers_mut());
            response
        }
    }
}

/// `POST /logout`
pub(super) async fn log_out(request: Request) -> Response {
    let caller = request.extensions().get::<Caller>().cloned();
    let fields = match Form::read(request).await {
        Ok(fields) => fields,
        Err(problem) => return problem.into_response(),
    };
    if let Some(Err(problem)) = caller.map(|caller| caller.check_csrf(fields.get("csrf"))) {
        return problem.into_response();
    }
    let cookie = HeaderValue::from_str(&session::clear_cookie()).ok();
    with_cookie(see_other("/login"), cookie)
}

fn with_cookie(mut response: Response, cookie: Option<HeaderValue>) -> Response {
    if let Some(cookie) = cookie {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    response
}
