//! What is known of a request in every error about it.

use std::sync::Arc;

use crate::error::{Delivery, Error, ErrorKind};
use crate::http::origin::InvalidAddress;
use crate::http::{reason, ssrf_guard};
use crate::id::JobId;
use crate::redact::Redactor;

/// What is known of a request in every error about it.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    pub(crate) vendor: &'static str,
    pub(crate) operation: &'static str,
    pub(crate) job: Option<JobId>,
    pub(crate) redactor: Redactor,
    /// Host and port of whom is asked.
    pub(crate) address: Option<Arc<str>>,
}

impl Context {
    pub(crate) fn error(&self, kind: ErrorKind) -> Error {
        let error = Error::new(kind, self.vendor, self.operation).with_delivery(Delivery::Answered);
        self.located(self.named(error))
    }

    fn named(&self, error: Error) -> Error {
        match &self.job {
            Some(job) => error.with_job(job.clone()),
            None => error,
        }
    }

    fn located(&self, error: Error) -> Error {
        match &self.address {
            Some(address) => error.with_address(&**address),
            None => error,
        }
    }

    /// The rate could not be drawn on, so nothing was sent.
    pub(crate) fn not_admitted(&self, cause: Error) -> Error {
        self.named(cause.with_operation(self.vendor, self.operation))
    }

    /// No answer began. Without a connection nothing can have been acted upon; with one, nobody knows.
    pub(crate) fn failed_to_send(&self, cause: reqwest::Error) -> Error {
        let cause = cause.without_url();
        if cause.is_builder() {
            let error = self
                .error(ErrorKind::InvalidInput)
                .with_delivery(Delivery::NotSent)
                .with_message("the request cannot be built");
            return error.with_source(cause);
        }
        if let Some(problem) = ssrf_guard::refusal(&cause) {
            return self
                .not_followed(Delivery::NotSent, problem)
                .with_source(cause);
        }
        if cause.is_connect() {
            let advice = reason::advice(&cause);
            let error = self
                .error(ErrorKind::Unreachable)
                .with_delivery(Delivery::NotSent)
                .with_message(format!("no connection: {}", self.told(&cause)));
            return error.with_source(cause).with_help(advice);
        }
        self.broken(cause, "the connection broke before an answer")
    }

    /// An answer began and broke off.
    pub(crate) fn lost_response(&self, status: u16, cause: reqwest::Error) -> Error {
        self.broken(cause.without_url(), "the answer broke off")
            .with_http_status(status)
    }

    /// A link of the vendor that is not followed.
    pub(crate) fn not_followed(&self, sent: Delivery, problem: &InvalidAddress) -> Error {
        let error = self
            .error(ErrorKind::Refused)
            .with_delivery(sent)
            .with_message(format!("the result link is not followed: {problem}"));
        match problem.advice() {
            Some(advice) => error.with_help(advice),
            None => error,
        }
    }

    fn broken(&self, cause: reqwest::Error, problem: &str) -> Error {
        let problem = format!("{problem}: {}", self.told(&cause));
        let kind = if cause.is_timeout() {
            ErrorKind::Timeout
        } else {
            ErrorKind::Unavailable
        };
        self.error(kind)
            .with_delivery(Delivery::MaybeSent)
            .with_message(problem)
            .with_source(cause)
    }

    /// The causes in one line, without what the HTTP client says of itself in front of them.
    fn told(&self, cause: &reqwest::Error) -> String {
        self.redactor.redact(&reason::told(cause))
    }
}
