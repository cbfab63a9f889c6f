//! The variable part of an address, as text.

use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;

use super::problem::Problem;

/// What an address names; one that is no UTF-8 is a problem like any other.
pub(super) struct PathText(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for PathText {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Path::from_request_parts(parts, state).await {
            Ok(Path(text)) => Ok(Self(text)),
            Err(problem) => Err(Problem::bad_request(format!(
                "the address is not understood: {}",
                problem.body_text()
            ))),
        }
    }
}
