//! How a request is refused: RFC 9457, with the exit code that the command line has for the same.

use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use jobs_ledger::{LedgerError, LedgerErrorKind, LedgerId};
use serde_json::json;

use crate::exit::{CommandError, ExitCode};

/// What is wrong with a request, or why its answer is not there.
#[derive(Debug, Clone)]
pub(super) struct Problem {
    status: StatusCode,
    /// Stable, for programs.
    slug: &'static str,
    title: &'static str,
    /// What was tried, and what to do next.
    detail: String,
    exit: ExitCode,
    job: Option<LedgerId>,
    retry_after: Option<Duration>,
}

impl Problem {
    pub(super) fn new(
        status: StatusCode,
        slug: &'static str,
        title: &'static str,
        detail: impl Into<String>,
    ) -> Self {
        Self {
            status,
            slug,
            title,
            detail: detail.into(),
            exit: ExitCode::InvalidInput,
            job: None,
            retry_after: None,
        }
    }

    /// A request that makes no sense.
    pub(super) fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "bad-request",
            "Bad request",
            detail,
        )
    }

    pub(super) fn forbidden(slug: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, slug, "Forbidden", detail)
    }

    pub(super) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", "Not found", detail)
    }

    pub(super) fn conflict(
        slug: &'static str,
        title: &'static str,
        detail: impl Into<String>,
    ) -> Self {
        Self::new(StatusCode::CONFLICT, slug, title, detail)
    }

    pub(super) fn too_large(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too-large",
            "Too large",
            detail,
        )
    }

    pub(super) fn unavailable(slug: &'static str, detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            slug,
            "Service unavailable",
            detail,
        )
        .with_exit(ExitCode::Unexpected)
        .with_retry_after(AGAIN)
    }

    pub(super) fn unexpected(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "unexpected",
            "Unexpected error",
            detail,
        )
        .with_exit(ExitCode::Unexpected)
    }

    #[must_use]
    pub(super) fn with_exit(mut self, exit: ExitCode) -> Self {
        self.exit = exit;
        self
    }

    #[must_use]
    pub(super) fn with_job(mut self, job: LedgerId) -> Self {
        self.job = Some(job);
        self
    }

    #[must_use]
    pub(super) fn with_retry_after(mut self, pause: Duration) -> Self {
        self.retry_after = Some(pause);
        self
    }

    pub(super) fn status(&self) -> StatusCode {
        self.status
    }

    pub(super) fn title(&self) -> &'static str {
        self.title
    }

    pub(super) fn detail(&self) -> &str {
        &self.detail
    }
}

/// When what is away now may be back.
const AGAIN: Duration = Duration::from_secs(5);

impl From<LedgerError> for Problem {
    fn from(error: LedgerError) -> Self {
        use LedgerErrorKind as K;
        let line = error.to_string();
        let problem = match error.kind() {
            K::NotFound => Self::not_found(line),
            K::InvalidInput => Self::bad_request(line),
            K::ClaimLost | K::IllegalTransition => Self::conflict("busy", "Busy", line),
            _ if error.is_transient() || error.is_server_busy() => {
                Self::unavailable("ledger-away", line)
            }
            _ => Self::unexpected(line),
        };
        match error.job() {
            Some(job) => problem.with_job(job),
            None => problem,
        }
    }
}

impl From<CommandError> for Problem {
    fn from(stop: CommandError) -> Self {
        let problem = match stop.exit {
            ExitCode::InvalidInput => Self::bad_request(stop.line),
            _ => Self::unexpected(stop.line),
        };
        problem.with_exit(stop.exit)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = json!({
            "type": self.slug,
            "title": self.title,
            "status": self.status.as_u16(),
            "detail": self.detail,
            "exit_code": self.exit as u8,
            "job": self.job.map(|job| job.to_string()),
        });
        let mut response = Response::new(Body::from(format!("{body}\n")));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        self.add_headers(headers);
        response
    }
}

impl Problem {
    /// What of it stands in headers, whatever form the answer has.
    pub(super) fn add_headers(&self, headers: &mut HeaderMap) {
        if let Some(pause) = self.retry_after {
            headers.insert(
                header::RETRY_AFTER,
                HeaderValue::from(pause.as_secs().max(1)),
            );
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
    }
}
