//! What every page shows beside its content: the views, the language, who is logged in.

use askama::Template;
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use url::form_urlencoded;

use super::access::{Caller, LANGUAGE_COOKIE, language_of, text};
use super::language::Words;
use super::problem::Problem;

/// The part of a page that is the same on all.
pub(super) struct Page {
    pub(super) w: &'static Words,
    /// The view that is shown, by its path.
    here: &'static str,
    pub(super) name: Option<String>,
    /// What each change of whoever logged in carries.
    pub(super) csrf: String,
    pub(super) may_write: bool,
    pub(super) is_read_only: bool,
    pub(super) other_language_link: String,
}

/// A link to a view.
pub(super) struct ViewLink {
    pub(super) path: &'static str,
    pub(super) name: &'static str,
    pub(super) is_here: bool,
}

#[derive(Template)]
#[template(path = "problem.html")]
struct ProblemPage<'a> {
    page: Page,
    title: &'a str,
    detail: &'a str,
    back: &'a str,
}

impl Page {
    /// The page for whoever makes this request, on the view of this path.
    pub(super) fn of(request: &Request, here: &'static str) -> Self {
        let w = language_of(request.headers(), None);
        let caller = request.extensions().get::<Caller>().cloned();
        let caller = caller.unwrap_or(Caller {
            name: None,
            may_write: false,
            csrf: None,
        });
        let next = request
            .uri()
            .path_and_query()
            .map_or("/", |path| path.as_str());
        let link = form_urlencoded::Serializer::new(String::new())
            .append_pair("to", w.other_code())
            .append_pair("next", next)
            .finish();
        Self {
            w,
            here,
            name: caller.name,
            csrf: caller.csrf.unwrap_or_default(),
            may_write: caller.may_write,
            is_read_only: !caller.may_write,
            other_language_link: format!("/language?{link}"),
        }
    }

    /// The links at the top.
    pub(super) fn views(&self) -> Vec<ViewLink> {
        let w = self.w;
        let views = [
            ("/", w.jobs),
            ("/in-doubt", w.in_doubt),
            ("/money", w.money),
            ("/rates", w.rates),
            ("/hooks", w.hooks),
            ("/workers", w.workers),
        ];
        let link = |(path, name)| ViewLink {
            path,
            name,
            is_here: path == self.here,
        };
        views.into_iter().map(link).collect()
    }

    /// What is wrong, as a page.
    pub(super) fn problem(self, problem: &Problem) -> Response {
        let shown = ProblemPage {
            title: problem.title(),
            detail: problem.detail(),
            back: self.here,
            page: self,
        };
        let mut response = render(problem.status(), &shown);
        problem.add_headers(response.headers_mut());
        response
    }
}

/// A page, or the problem of making it as a page.
pub(super) fn shown<T: Template>(made: Result<T, (Page, Problem)>) -> Response {
    match made {
        Ok(page) => render(StatusCode::OK, &page),
        Err((page, problem)) => page.problem(&problem),
    }
}

fn render(status: StatusCode, page: &impl Template) -> Response {
    match page.render() {
        Ok(text) => (status, Html(text)).into_response(),
        Err(problem) => Problem::unexpected(problem.to_string()).into_response(),
    }
}

/// Leads the browser to a page that shows what was done.
pub(super) fn see_other(path: &str) -> Response {
    let mut response = StatusCode::SEE_OTHER.into_response();
    if let Ok(path) = HeaderValue::from_str(path) {
        response.headers_mut().insert(header::LOCATION, path);
    }
    response
}

/// `GET /language?to=zh&next=PATH`: keeps the language in a cookie.
pub(super) async fn switch_language(request: Request) -> Response {
    let query = request.uri().query().unwrap_or_default();
    let value = |wanted: &str| {
        form_urlencoded::parse(query.as_bytes())
            .find(|(name, _)| name == wanted)
            .map(|(_, value)| value.into_owned())
    };
    let next = value("next").unwrap_or_default();
    let mut response = see_other(local(&next));
    let language = match value("to").as_deref() {
        Some("zh") => "zh",
        _ => "en",
    };
    let cookie = format!("{LANGUAGE_COOKIE}={language}; Path=/; Max-Age=31536000; SameSite=Lax");
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    response
}

/// A path of this server; anything else would let a link lead people to another site.
pub(super) fn local(next: &str) -> &str {
    let is_local = next.starts_with('/')
        && !next.starts_with("//")
        && !next.contains('\\')
        && next.bytes().all(|byte| byte.is_ascii_graphic());
    if is_local { next } else { "/" }
}

/// Whether the request came from a form of the page, which is answered with a page.
pub(super) fn wants_page(request: &Request) -> bool {
    text(request.headers(), "accept").is_some_and(|accept| accept.contains("text/html"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_stay_on_this_server() {
        for (next, path) in [
            ("/jobs/7?x=%2F", "/jobs/7?x=%2F"),
            ("//evil.example", "/"),
            ("/\\evil.example", "/"),
            ("https://evil.example", "/"),
            ("/a\r\nset-cookie: x", "/"),
            ("", "/"),
        ] {
            assert_eq!(local(next), path);
        }
    }
}
