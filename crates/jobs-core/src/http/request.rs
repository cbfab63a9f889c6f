//! What is asked of the API.

use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

use crate::http::body::Body;
use crate::id::JobId;
use crate::rate_limit::RateLimiter;

const TIMEOUT: Duration = Duration::from_secs(30);

/// One request to the API origin.
#[derive(Debug)]
pub struct Request {
    pub(super) operation: &'static str,
    pub(super) method: reqwest::Method,
    pub(super) path: Vec<String>,
    pub(super) query: Vec<(String, String)>,
    pub(super) headers: HeaderMap,
    pub(super) invalid_header: Option<&'static str>,
    pub(super) body: Body,
    pub(super) job: Option<JobId>,
    pub(super) limiter: Option<RateLimiter>,
    pub(super) timeout: Duration,
    pub(super) is_paid: bool,
}

impl Request {
    /// A GET of `path`, segment by segment below the API's base. Errors call it `operation`.
    pub fn get(operation: &'static str, path: &[&str]) -> Self {
        Self::new(operation, reqwest::Method::GET, path)
    }

    /// A POST to `path`.
    pub fn post(operation: &'static str, path: &[&str]) -> Self {
        Self::new(operation, reqwest::Method::POST, path)
    }

    fn new(operation: &'static str, method: reqwest::Method, path: &[&str]) -> Self {
        Self {
            operation,
            method,
            path: path.iter().map(|segment| (*segment).to_owned()).collect(),
            query: Vec::new(),
            headers: HeaderMap::new(),
            invalid_header: None,
            body: Body::Empty,
            job: None,
            limiter: None,
            timeout: TIMEOUT,
            is_paid: false,
        }
    }

    /// Adds a query parameter, escaped as needed.
    #[must_use]
    pub fn with_query(mut self, name: &str, value: &str) -> Self {
        self.query.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Adds a header.
    #[must_use]
    pub fn with_header(mut self, name: &'static str, value: &str) -> Self {
        match HeaderValue::from_str(value) {
            Ok(value) => drop(self.headers.insert(HeaderName::from_static(name), value)),
            Err(_) => self.invalid_header = Some(name),
        }
        self
    }

    /// Adds a header that holds a credential.
    #[must_use]
    pub fn with_secret_header(mut self, name: &'static str, value: &str) -> Self {
        match HeaderValue::from_str(value) {
            Ok(mut value) => {
                value.set_sensitive(true);
                self.headers.insert(HeaderName::from_static(name), value);
            }
            Err(_) => self.invalid_header = Some(name),
        }
        self
    }

    /// Sets the body.
    #[must_use]
    pub fn with_body(mut self, body: Body) -> Self {
        self.body = body;
        self
    }

    /// Names the job in errors.
    #[must_use]
    pub fn for_job(mut self, job: &JobId) -> Self {
        self.job = Some(job.clone());
        self
    }

    /// Draws on this quota instead of the transport's.
    #[must_use]
    pub fn with_rate_limiter(mut self, limiter: RateLimiter) -> Self {
        self.limiter = Some(limiter);
        self
    }

    /// Gives up after this time, from the first byte sent to the last one received; half a minute unless set.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Marks a request that costs money: it gets a connection of its own, and draws on the quota as a submit.
    #[must_use]
    pub fn non_idempotent(mut self) -> Self {
        self.is_paid = true;
        self
    }
}
