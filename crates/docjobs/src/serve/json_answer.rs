//! An answer that is JSON.

use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde_json::Value;

/// A value as the body of an answer.
pub(super) struct Json(pub(super) Value);

impl IntoResponse for Json {
    fn into_response(self) -> Response {
        let kind = [(header::CONTENT_TYPE, "application/json")];
        (kind, format!("{}\n", self.0)).into_response()
    }
}
