//! An answer that is all there.

use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{HeaderMap, LOCATION, RETRY_AFTER};

use crate::clock::Clock;
use crate::error::{Delivery, Error, ErrorKind};
use crate::http::context::Context;
use crate::http::lenient::LenientJson;
use crate::id::JobId;
use crate::rate_limit::RateFeedback;
use crate::status::{Snapshot, Status};

/// An answer of any HTTP status.
#[derive(Debug)]
pub struct Response {
    status: u16,
    headers: HeaderMap,
    wait: Option<Duration>,
    body: Bytes,
    context: Context,
    said: Option<RateFeedback>,
    /// Why the body is still in a content coding.
    still_coded: Option<Box<str>>,
    broken_off: Option<Error>,
}

impl Response {
    pub(crate) fn new(
        status: u16,
        headers: HeaderMap,
        body: Bytes,
        context: Context,
        clock: &dyn Clock,
        said: Option<RateFeedback>,
    ) -> Self {
        Self {
            status,
            wait: retry_after(&headers, clock),
            headers,
            body,
            context,
            said,
            still_coded: None,
            broken_off: None,
        }
    }

    pub(crate) fn broken_off_by(mut self, error: Error) -> Self {
        self.broken_off = Some(error);
        self
    }

    pub(crate) fn still_coded(mut self, why: Option<Box<str>>) -> Self {
        self.still_coded = why;
        self
    }

    /// The HTTP status.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// A header, if it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Why the body is only the beginning of the answer: [`HttpClient::submit`](crate::http::HttpClient::submit) alone
    /// gives such a one. The error keeps that beginning.
    pub fn broken_off(&self) -> Option<&Error> {
        self.broken_off.as_ref()
    }

    /// The body.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// The body as JSON, read leniently.
    pub fn json(&self) -> LenientJson {
        LenientJson::read(&self.body)
    }

    /// An error of `kind` about this answer, which can be believed unless [`Error::with_delivery`] says otherwise.
    ///
    /// [`ErrorKind::RateLimited`] slows the quota down: only the envelope knows which answers say so.
    pub fn error(&self, kind: ErrorKind) -> Error {
        if kind == ErrorKind::RateLimited
            && let Some(said) = &self.said
        {
            said.rate_limited(self.wait);
        }
        self.context
            .error(kind)
            .with_http_status(self.status)
            .with_retry_after(self.wait)
    }

    /// Keeps the redacted beginning of the body in an error about this answer.
    pub(crate) fn explained_by_body(&self, error: Error) -> Error {
        error.with_body_excerpt(self.context.redactor.excerpt(&self.body))
    }

    /// A message of the vendor, cleaned of credentials.
    pub fn redact(&self, message: &str) -> String {
        self.context.redactor.redact(message)
    }

    /// `error`, with the beginning of the body if it does not tell whether the work was begun: there may be an id in it.
    pub fn kept_in(&self, error: Error) -> Error {
        match error.delivery() {
            Delivery::MaybeSent => {
                error.with_body_excerpt(self.context.redactor.excerpt(&self.body))
            }
            Delivery::NotSent | Delivery::Answered => error,
        }
    }

    /// `error` about a submit whose answer shows the id of `job` all the same, which may have been made: the id is named and
    /// the answer kept.
    pub fn in_doubt(&self, error: Error, job: JobId) -> Error {
        self.kept_in(error.with_delivery(Delivery::MaybeSent))
            .with_help("the answer shows this job id: look for it at the vendor")
            .with_job(job)
    }

    /// `json`, which was read from it, if that ends where JSON may end: half a list looks like one that ends there.
    ///
    /// # Errors
    /// As [`unexpected`](Self::unexpected).
    pub fn whole(&self, json: LenientJson) -> Result<LenientJson, Error> {
        if json.is_whole() {
            Ok(json)
        } else {
            Err(self.unexpected("the answer ends too early"))
        }
    }

    /// The error for a body that is not what the vendor documents. It does not tell whether the work was begun.
    pub fn unexpected(&self, problem: &str) -> Error {
        let problem = self.still_coded.as_deref().unwrap_or(problem);
        self.error(ErrorKind::UnexpectedResponse)
            .with_delivery(Delivery::MaybeSent)
            .with_message(problem)
            .with_body_excerpt(self.context.redactor.excerpt(&self.body))
    }

    /// The same for a body that a decoder refused.
    ///
    /// Decoders quote what they refuse, so a `cause` that repeats a credential is kept as cleaned text.
    pub fn unexpected_with(
        &self,
        problem: &str,
        cause: impl std::error::Error + Send + Sync + 'static,
    ) -> Error {
        let said = cause.to_string();
        let clean = self.redact(&said);
        let error = self.unexpected(problem);
        if clean == said {
            error.with_source(cause)
        } else {
            error.with_source(clean)
        }
    }

    /// A poll of a job whose words, which are kept and shown, repeat no credential.
    pub fn redact_snapshot<O>(&self, mut snapshot: Snapshot<O>) -> Snapshot<O> {
        let clean = |text: &mut Box<str>| {
            if self.context.redactor.finds(text) {
                *text = self.redact(text).into();
            }
        };
        clean(&mut snapshot.vendor_status);
        if let Status::Failed(failure) = &mut snapshot.status {
            clean(&mut failure.reason);
            failure.code.iter_mut().for_each(clean);
        }
        snapshot
    }

    /// The error for an answer that is not the vendor's: of a proxy, a firewall, a gateway, a portal.
    ///
    /// Whatever its status, it says nothing about the job or the credentials, and may be different next time. A status that
    /// such a thing gives instead of passing the request on tells that the vendor did not see it; a 5xx does not tell, nor
    /// does a success, nor a 302 or 303, wherever it leads: browsers are sent on that way after the work was done. 301, 307
    /// and 308 ask for the same request elsewhere, so nobody has acted on it.
    pub fn foreign(&self) -> Error {
        let location = self.headers.get(LOCATION);
        let location = location.map(|to| String::from_utf8_lossy(to.as_bytes()).into_owned());
        let (kind, sent) = match self.status {
            200..=299 => return self.unexpected("this is not the vendor's answer"),
            302 | 303 | 408 | 425 | 500..=599 => (ErrorKind::Unavailable, Delivery::MaybeSent),
            407 => (ErrorKind::Unreachable, Delivery::Answered),
            429 => (ErrorKind::RateLimited, Delivery::Answered),
            _ => (ErrorKind::Unavailable, Delivery::Answered),
        };
        let message = match location.as_deref().filter(|_| self.status / 100 == 3) {
            Some(to) => {
                let to = to.split(['?', '#']).next().unwrap_or_default();
                format!(
                    "this redirect to {} is not the vendor's answer",
                    self.redact(to)
                )
            }
            None => self.still_coded.as_deref().map_or_else(
                || "this comes from something on the way, not from the vendor".to_owned(),
                str::to_owned,
            ),
        };
        self.error(kind)
            .with_delivery(sent)
            .with_message(message)
            .with_body_excerpt(self.context.redactor.excerpt(&self.body))
            .with_help("ask whoever runs the proxy, firewall or gateway on the way")
    }

    /// The error for a status other than success, by what HTTP says about it; `None` for 2xx.
    ///
    /// A gateway's 5xx does not tell whether the work was begun, nor does a redirect to where the result of it may be seen.
    pub fn http_failure(&self) -> Option<Error> {
        let (kind, sent) = match self.status {
            200..=299 => return None,
            400 | 413 | 414 | 415 | 422 => (ErrorKind::InvalidInput, Delivery::Answered),
            401 | 403 => (ErrorKind::Unauthenticated, Delivery::Answered),
            402 => (ErrorKind::QuotaExceeded, Delivery::Answered),
            404 | 410 => (ErrorKind::NotFound, Delivery::Answered),
            429 => (ErrorKind::RateLimited, Delivery::Answered),
            302 | 303 | 408 | 425 | 500..=599 => (ErrorKind::Unavailable, Delivery::MaybeSent),
            // The same request is asked for elsewhere: nobody has acted on it.
            300..=399 => (ErrorKind::Unavailable, Delivery::Answered),
            _ => (ErrorKind::Refused, Delivery::Answered),
        };
        Some(
            self.error(kind)
                .with_delivery(sent)
                .with_body_excerpt(self.context.redactor.excerpt(&self.body)),
        )
    }
}

/// The header as a duration from now; it comes in seconds or as a date.
pub(crate) fn retry_after(headers: &HeaderMap, clock: &dyn Clock) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date: std::time::SystemTime = chrono::DateTime::parse_from_rfc2822(text).ok()?.into();
    Some(date.duration_since(clock.wall()).unwrap_or_default())
}
