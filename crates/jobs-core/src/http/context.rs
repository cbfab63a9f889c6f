//! What is known of a request in every error about it.

use crate::error::{Error, ErrorKind, Sent};
use crate::http::reach;
use crate::id::JobId;
use crate::redact::Redactor;

/// What is known of a request in every error about it.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    pub(crate) vendor: &'static str,
    pub(crate) operation: &'static str,
    pub(crate) job: Option<JobId>,
    pub(crate) redactor: Redactor,
}

impl Context {
    pub(crate) fn error(&self, kind: ErrorKind) -> Error {
        let error = Error::new(kind, self.vendor, self.operation).with_sent(Sent::Yes);
        match &self.job {
            Some(job) => error.with_job(job.clone()),
            None => error,
        }
    }

    /// The rate could not be drawn on, so nothing was sent.
    pub(crate) fn no_turn(&self, cause: Error) -> Error {
        let error = cause.with_operation(self.vendor, self.operation);
        match &self.job {
            Some(job) => error.with_job(job.clone()),
            None => error,
        }
    }

    /// No answer began. Without a connection nothing can have been acted upon; with one, nobody knows.
    pub(crate) fn failed_to_send(&self, cause: reqwest::Error) -> Error {
        let cause = cause.without_url();
        if cause.is_builder() {
            let error = self
                .error(ErrorKind::Input)
                .with_sent(Sent::No)
                .with_message("the request cannot be built");
            return error.with_source(cause);
        }
        if let Some(problem) = reach::refusal(&cause) {
            let message = format!("the result link is not followed: {problem}");
            return self
                .error(ErrorKind::Refused)
                .with_sent(Sent::No)
                .with_message(message)
                .with_source(cause);
        }
        if cause.is_connect() {
            let error = self
                .error(ErrorKind::Unreachable)
                .with_sent(Sent::No)
                .with_message("no connection");
            return error
                .with_source(cause)
                .with_advice("nothing was sent: check the address and the network");
        }
        let kind = if cause.is_timeout() {
            ErrorKind::TimedOut
        } else {
            ErrorKind::Unavailable
        };
        let error = self
            .error(kind)
            .with_sent(Sent::Maybe)
            .with_message("the connection broke before an answer");
        error.with_source(cause)
    }

    /// An answer began and broke off.
    pub(crate) fn lost_answer(&self, status: u16, cause: reqwest::Error) -> Error {
        let cause = cause.without_url();
        let kind = if cause.is_timeout() {
            ErrorKind::TimedOut
        } else {
            ErrorKind::Unavailable
        };
        let error = self
            .error(kind)
            .with_sent(Sent::Maybe)
            .with_http_status(status);
        error
            .with_message("the answer broke off")
            .with_source(cause)
    }
}
