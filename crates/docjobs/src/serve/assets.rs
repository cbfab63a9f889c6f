//! The files of the page that are the same for everybody.

use axum::http::header;
use axum::response::{IntoResponse, Response};

use super::path_text::PathText;
use super::problem::Problem;

/// `GET /assets/NAME`
pub(super) async fn serve(PathText(name): PathText) -> Response {
    let (kind, text) = match name.as_str() {
        "page.css" => (
            "text/css; charset=utf-8",
            include_str!("../../assets/page.css"),
        ),
        "live.js" => (
            "text/javascript; charset=utf-8",
            include_str!("../../assets/live.js"),
        ),
        "icon.svg" => ("image/svg+xml", include_str!("../../assets/icon.svg")),
        _ => return Problem::not_found("the page has no such file").into_response(),
    };
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, text).into_response()
}
