//! What the clients of all vendors can be told alike.

use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::{Clock, SystemClock};
use crate::error::Error;
use crate::http::client::HttpClientBuilder;
use crate::http::networks::ResultNetworks;
use crate::http::origin::{Origin, shown};
use crate::id::Account;
use crate::rate_limit::{RateLimit, RateLimiter, SharedRate};

type Configure = dyn Fn(HttpClientBuilder) -> HttpClientBuilder + Send + Sync;

/// Settings that the clients of all vendors share. What is not set is the vendor's own.
#[derive(Clone)]
pub struct ClientConfig {
    base_url: Option<String>,
    clock: Arc<dyn Clock>,
    rate: Option<RateLimit>,
    shared_rate: Option<Arc<dyn SharedRate>>,
    upload_timeout: Duration,
    result_networks: ResultNetworks,
    configure: Vec<Arc<Configure>>,
}

impl ClientConfig {
    /// Nothing but the system's clock, and a quarter of an hour for an upload.
    pub fn new() -> Self {
        Self {
            base_url: None,
            clock: SystemClock::shared(),
            rate: None,
            shared_rate: None,
            upload_timeout: Duration::from_secs(15 * 60),
            result_networks: ResultNetworks::default(),
            configure: Vec::new(),
        }
    }

    /// Talks to another server than the vendor's production: `https`, or `http` on this machine.
    #[must_use]
    pub fn with_base_url(mut self, url: impl Into<String>) -> Self {
        self.base_url = Some(url.into());
        self
    }

    /// Uses this clock for every pause, and its time of day for signatures.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Sends at most `requests` a second, as the contract with the vendor says; over which operations together, the
    /// vendor's client tells.
    #[must_use]
    pub fn with_rate(mut self, requests: NonZeroU32) -> Self {
        self.rate = Some(per_second(requests));
        self
    }

    /// Shares the rate with every process that draws on `rate`, such as a ledger, for the same account.
    #[must_use]
    pub fn with_shared_rate(mut self, rate: Arc<dyn SharedRate>) -> Self {
        self.shared_rate = Some(rate);
        self
    }

    /// Gives up an upload after this time; if it is charged for, its outcome is unknown then.
    #[must_use]
    pub fn with_upload_timeout(mut self, timeout: Duration) -> Self {
        self.upload_timeout = timeout;
        self
    }

    /// Lets result links lead into these private networks.
    #[must_use]
    pub fn with_result_networks(mut self, networks: ResultNetworks) -> Self {
        self.result_networks = networks;
        self
    }

    /// Changes the request layer, such as a proxy or the largest answer held in memory (16 MiB).
    #[must_use]
    pub fn with_http_client(
        mut self,
        change: impl Fn(HttpClientBuilder) -> HttpClientBuilder + Send + Sync + 'static,
    ) -> Self {
        self.configure.push(Arc::new(change));
        self
    }

    /// The address that was set.
    pub fn base_url(&self) -> Option<&str> {
        self.base_url.as_deref()
    }

    /// The clock.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// How long an upload may take.
    pub fn upload_timeout(&self) -> Duration {
        self.upload_timeout
    }

    /// The base address, or else `default`. `variable` is where a user sets it.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput) for an unusable address.
    pub fn origin(
        &self,
        vendor: &'static str,
        variable: &str,
        default: &str,
    ) -> Result<Origin, Error> {
        Origin::parse(self.base_url.as_deref().unwrap_or(default)).map_err(|problem| {
            Error::invalid_input(
                vendor,
                "configure",
                format!("the base address is unusable: {problem}"),
            )
            .with_help(format!("set {variable} to an https address"))
        })
    }

    /// The rate of `account`, at most as fast as set, or else as `default`. Processes share it by `name`.
    pub fn rate_limiter(
        &self,
        account: Account,
        name: &str,
        default: Option<NonZeroU32>,
    ) -> RateLimiter {
        let rate = self.rate.or(default.map(per_second));
        let limiter = RateLimiter::new(Arc::clone(&self.clock), rate.as_slice());
        match &self.shared_rate {
            Some(shared) => limiter.with_shared_rate(Arc::clone(shared), account, name),
            None => limiter,
        }
    }

    /// The request layer for `origin`. What `vendor_settings` adds, such as secrets, a user's changes come after.
    pub fn http_client(
        &self,
        vendor: &'static str,
        origin: Origin,
        vendor_settings: impl FnOnce(HttpClientBuilder) -> HttpClientBuilder,
    ) -> HttpClientBuilder {
        let client = HttpClientBuilder::new(vendor, origin)
            .with_clock(Arc::clone(&self.clock))
            .with_result_networks(self.result_networks.clone());
        let change = |client, change: &Arc<Configure>| change(client);
        self.configure.iter().fold(vendor_settings(client), change)
    }
}

fn per_second(requests: NonZeroU32) -> RateLimit {
    RateLimit {
        limit: requests,
        per: Duration::from_secs(1),
    }
}

impl Default for ClientConfig {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for ClientConfig {
    /// Of addresses, nothing but scheme, host and port.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientConfig")
            .field("base_url", &self.base_url.as_deref().map(shown))
            .field("rate", &self.rate)
            .field("upload_timeout", &self.upload_timeout)
            .finish_non_exhaustive()
    }
}
