//! Sends one request and says what came of it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use reqwest::dns::Resolve;

use crate::call::{Activity, CallMonitor};
use crate::clock::{Clock, SystemClock};
use crate::error::{Delivery, Error, ErrorKind};
use crate::http::body::Body;
#[cfg(feature = "rustls")]
use crate::http::connect::TlsRoots;
use crate::http::connect::{Proxy, Resolved, Resolver};
use crate::http::context::Context;
use crate::http::networks::ResultNetworks;
use crate::http::origin::Origin;
use crate::http::request::Request;
use crate::http::response::Response;
use crate::http::ssrf_guard::{SsrfGuard, System};
use crate::http::streaming_response::StreamingResponse;
use crate::http::surroundings::{self, OnThisMachine};
use crate::http::watched::watched;
use crate::id::JobId;
use crate::rate_limit::{RateLimiter, RequestClass};
use crate::redact::Redactor;
use crate::secret::Secret;

/// The connection to one vendor account. Clones share it.
#[derive(Clone)]
pub struct HttpClient {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) vendor: &'static str,
    pub(crate) origin: Origin,
    /// Its host and port, for errors.
    pub(crate) address: Arc<str>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) redactor: Redactor,
    /// For whatever may be repeated: keeps connections open between requests.
    pooled: reqwest::Client,
    /// For what costs money: a new connection each time. On a kept one the vendor may hang up just as the request goes
    /// out, and nobody could say whether it was taken.
    fresh: reqwest::Client,
    /// For results: connects only where links may lead, and gives up on a server that stopped sending. The other two have
    /// no limit on silence, because it would count while a long upload is still going out; a limit on the whole they have.
    pub(crate) fetching: reqwest::Client,
    pub(crate) guard: SsrfGuard,
    pub(crate) limiter: RateLimiter,
    pub(crate) max_response_size: u64,
    pub(crate) max_result_size: u64,
}

/// Settings of a [`HttpClient`].
pub struct HttpClientBuilder {
    vendor: &'static str,
    origin: Origin,
    clock: Arc<dyn Clock>,
    limiter: Option<RateLimiter>,
    redactor: Redactor,
    max_response_size: u64,
    max_result_size: u64,
    resolver: Option<Arc<dyn Resolve>>,
    networks: ResultNetworks,
    proxy: Option<Proxy>,
    #[cfg(feature = "rustls")]
    roots: Option<TlsRoots>,
    idle_timeout: Option<Duration>,
}

impl HttpClientBuilder {
    /// A transport to `vendor`'s API at `origin`: the system's clock, no quota, answers up to 16 MiB, results up to 4 GiB.
    ///
    /// A connection is given 10 s to come about, a download half a minute between two pieces and an hour for each attempt,
    /// any other request its [own time](Request::with_timeout).
    pub fn new(vendor: &'static str, origin: Origin) -> Self {
        Self {
            vendor,
            origin,
            clock: SystemClock::shared(),
            limiter: None,
            redactor: Redactor::default(),
            max_response_size: 16 << 20,
            max_result_size: 4 << 30,
            resolver: None,
            networks: ResultNetworks::default(),
            proxy: None,
            #[cfg(feature = "rustls")]
            roots: None,
            idle_timeout: None,
        }
    }

    /// Uses this clock.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Draws every request on this quota, unless the request names another.
    #[must_use]
    pub fn with_rate_limiter(mut self, limiter: RateLimiter) -> Self {
        self.limiter = Some(limiter);
        self
    }

    /// Keeps these out of every error.
    #[must_use]
    pub fn with_secrets(mut self, secrets: impl IntoIterator<Item = Secret>) -> Self {
        for secret in secrets {
            self.redactor.add_secret(&secret);
        }
        self
    }

    /// Keeps these ids of the account out of every error, too, except for very short ones: `a` is found in many a word.
    #[must_use]
    pub fn with_account_ids(mut self, ids: impl IntoIterator<Item = Secret>) -> Self {
        for id in ids {
            self.redactor.know_id(&id);
        }
        self
    }

    /// Reads at most this much of an answer into memory; downloads have a cap of their own.
    #[must_use]
    pub fn with_max_response_size(mut self, bytes: u64) -> Self {
        self.max_response_size = bytes;
        self
    }

    /// Refuses a result of more than this many bytes, unless the [`Download`](crate::http::Download) says otherwise.
    #[must_use]
    pub fn with_max_result_size(mut self, bytes: u64) -> Self {
        self.max_result_size = bytes;
        self
    }

    /// Resolves names by this instead of the system. What it says of the hosts of result links is judged like what the
    /// system says.
    #[must_use]
    pub fn with_resolver(mut self, resolver: Arc<dyn Resolver>) -> Self {
        self.resolver = Some(Arc::new(Resolved(resolver)));
        self
    }

    /// Lets result links lead into these private networks.
    #[must_use]
    pub fn with_result_networks(mut self, networks: ResultNetworks) -> Self {
        self.networks = networks;
        self
    }

    /// Goes through this proxy, and through none that the environment names.
    ///
    /// Without it, proxies are those of the environment (`HTTPS_PROXY`, `ALL_PROXY`, `NO_PROXY`), except for an API on this
    /// machine, which none is used for.
    #[must_use]
    pub fn with_proxy(mut self, proxy: Proxy) -> Self {
        self.proxy = Some(proxy);
        self
    }

    /// Trusts these certificate authorities besides those of the platform.
    #[cfg(feature = "rustls")]
    #[must_use]
    pub fn with_tls_roots(mut self, roots: TlsRoots) -> Self {
        self.roots = Some(roots);
        self
    }

    /// Gives up whatever is silent for so long between two pieces; otherwise only downloads are, after half a minute. The time
    /// of a long upload counts, too.
    #[must_use]
    pub fn with_idle_timeout(mut self, silence: Duration) -> Self {
        self.idle_timeout = Some(silence);
        self
    }

    /// Builds it. Sends nothing.
    ///
    /// # Errors
    /// [`ErrorKind::LocalIo`] when the TLS library or a proxy setting is unusable.
    pub fn build(self) -> Result<HttpClient, Error> {
        surroundings::check_certificates(self.vendor)?;
        // A proxy for this machine is never used.
        if !self.origin.is_loopback() {
            surroundings::check_proxy(self.vendor)?;
        }
        let guard = SsrfGuard::new(&self.origin, self.networks.clone(), self.resolver.clone());
        let client =
            |adjust: &dyn Fn(reqwest::ClientBuilder) -> reqwest::ClientBuilder,
             enforce: &dyn Fn(reqwest::ClientBuilder) -> reqwest::ClientBuilder| {
                let mut builder = reqwest::Client::builder()
                    .user_agent(concat!("docjobs/", env!("CARGO_PKG_VERSION")))
                    .connect_timeout(CONNECT_TIMEOUT)
                    .http1_only();
                if self.origin.is_loopback() {
                    // Plain HTTP is for this machine; a proxy elsewhere would see the credentials.
                    builder = builder.no_proxy();
                }
                let own = self.resolver.as_ref().map(Arc::clone);
                if self.origin.is_loopback() {
                    let resolver = own.unwrap_or_else(|| Arc::new(System));
                    builder = builder.dns_resolver(OnThisMachine(resolver));
                } else if let Some(resolver) = own {
                    builder = builder.dns_resolver(resolver);
                }
                // What the caller set comes last but for what must hold: no redirects, because they carry credential headers
                // to other hosts, no repetition, because it buys twice, and no plain HTTP to another machine.
                enforce(self.configured(adjust(builder)))
                    .https_only(!self.origin.is_loopback())
                    .redirect(reqwest::redirect::Policy::none())
                    .retry(reqwest::retry::never())
                    .build()
                    .map_err(|cause| {
                        Error::local_io(
                            self.vendor,
                            "configure",
                            "the HTTP client cannot be built",
                            cause,
                        )
                    })
            };
        Ok(HttpClient {
            inner: Arc::new(Inner {
                pooled: client(&|client| client, &|client| client)?,
                fresh: client(&|client| client, &|client| client.pool_max_idle_per_host(0))?,
                fetching: client(&|client| client.read_timeout(IDLE_TIMEOUT), &|client| {
                    client.dns_resolver(OnThisMachine(Arc::new(guard.clone())))
                })?,
                guard,
                limiter: self
                    .limiter
                    .unwrap_or_else(|| RateLimiter::new(Arc::clone(&self.clock), &[])),
                vendor: self.vendor,
                redactor: self.redactor,
                address: self.origin.address().into(),
                origin: self.origin,
                clock: self.clock,
                max_response_size: self.max_response_size,
                max_result_size: self.max_result_size,
            }),
        })
    }

    /// With what the caller set.
    fn configured(&self, mut client: reqwest::ClientBuilder) -> reqwest::ClientBuilder {
        if let Some(Proxy(proxy)) = &self.proxy {
            client = client.proxy(proxy.clone());
        }
        #[cfg(feature = "rustls")]
        if let Some(TlsRoots(roots)) = &self.roots {
            client = client.tls_certs_merge(roots.iter().cloned());
        }
        if let Some(silence) = self.idle_timeout {
            client = client.read_timeout(silence);
        }
        client
    }
}

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

impl HttpClient {
    /// The API's base.
    pub fn origin(&self) -> &Origin {
        &self.inner.origin
    }

    /// The clock in use.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.inner.clock
    }

    /// The largest answer that is held in memory, in bytes.
    pub fn max_response_size(&self) -> u64 {
        self.inner.max_response_size
    }

    /// The full address of `path` below the API's base, for what is fetched instead of sent.
    pub fn link(&self, path: &[&str], query: &[(&str, &str)]) -> String {
        let mut url = self.inner.origin.join(path);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url.into()
    }

    /// Waits for the quota, sends `request` once, and reads the answer.
    ///
    /// Any HTTP status is an answer; only the vendor's envelope knows what it means.
    ///
    /// # Errors
    /// [`ErrorKind::Unreachable`] or [`ErrorKind::LocalIo`] (nothing was sent), [`ErrorKind::Timeout`] or [`ErrorKind::Unavailable`] (it may have
    /// been acted upon), [`ErrorKind::TooLarge`] for an answer above the limit.
    pub async fn send(&self, request: Request) -> Result<Response, Error> {
        // A poll is a future on the heap, and beyond a kilobyte such a piece costs more there than all that is done here.
        let mut incoming = Box::pin(self.stream(request)).await?;
        let body = incoming.rest().await?;
        Ok(incoming.answered(body))
    }

    /// The same for a submit, which costs money. Of an answer that breaks off what arrived is handed out, because the id of
    /// the job may be in it: [`Response::broken_off`] tells.
    ///
    /// # Errors
    /// As [`stream`](Self::stream).
    pub async fn submit(&self, request: Request) -> Result<Response, Error> {
        let mut incoming = Box::pin(self.stream(request.non_idempotent())).await?;
        Ok(match incoming.rest_or_part().await {
            Ok(body) => incoming.answered(body),
            Err(part) => incoming.answered_in_part(part),
        })
    }

    /// Waits for the quota, sends `request` once, and hands the answer out as it comes.
    ///
    /// The request's time-out covers the whole answer, and the limit all of its bytes.
    ///
    /// # Errors
    /// As [`send`](Self::send), up to the beginning of the answer.
    pub async fn stream(&self, request: Request) -> Result<StreamingResponse, Error> {
        let (context, limiter, class, builder) = self.prepared(request)?;
        let limiter = limiter.as_ref().unwrap_or(&self.inner.limiter);
        CallMonitor::tell(Activity::WaitingForRate);
        let permit = limiter.acquire(class).await;
        let permit = permit.map_err(|cause| context.not_admitted(cause))?;
        CallMonitor::connecting(|| self.inner.origin.to_string().into());
        tracing::debug!(
            vendor = context.vendor,
            operation = context.operation,
            job = context.job.as_ref().map(JobId::as_str),
            "sending"
        );
        let response = match watched(builder) {
            Ok(builder) => builder.send().await,
            Err(cause) => Err(cause),
        };
        let response = response.map_err(|cause| context.failed_to_send(cause))?;
        let cap = self.inner.max_response_size;
        Ok(StreamingResponse::new(context, response, permit, cap))
    }

    /// What needs no waiting, and no room in a future.
    fn prepared(&self, request: Request) -> Result<Prepared, Error> {
        let context = Context {
            vendor: self.inner.vendor,
            operation: request.operation,
            job: request.job,
            redactor: self.inner.redactor.clone(),
            address: Some(Arc::clone(&self.inner.address)),
        };
        if let Some(name) = request.invalid_header {
            return Err(context
                .error(ErrorKind::InvalidInput)
                .with_delivery(Delivery::NotSent)
                .with_message(format!(
                    "the value of header {name} has a character that headers cannot hold"
                )));
        }
        let mut url = self.inner.origin.join(&request.path);
        if !request.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&request.query);
        }
        let (client, class) = if request.is_paid {
            (&self.inner.fresh, RequestClass::Submit)
        } else {
            (&self.inner.pooled, RequestClass::Poll)
        };
        let builder = client
            .request(request.method, url)
            .headers(request.headers)
            .timeout(request.timeout);
        let builder = match request.body {
            Body::Empty => builder,
            Body::Bytes {
                content_type,
                bytes,
            } => builder
                .header(reqwest::header::CONTENT_TYPE, content_type)
                .body(bytes),
            // The length is set by hand, because it cannot be seen from a stream; without it the body would be chunked.
            Body::Streamed(streamed) => builder
                .header(reqwest::header::CONTENT_TYPE, streamed.content_type())
                .header(reqwest::header::CONTENT_LENGTH, streamed.size())
                .body(streamed.into_body()),
            Body::Form(form) => builder.multipart(form.0),
        };
        Ok((context, request.limiter, class, builder))
    }
}

/// A request that can be sent as soon as the quota allows.
type Prepared = (
    Context,
    Option<RateLimiter>,
    RequestClass,
    reqwest::RequestBuilder,
);

impl fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport")
            .field("vendor", &self.inner.vendor)
            .field("origin", &self.inner.origin)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for HttpClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransportBuilder")
            .field("vendor", &self.vendor)
            .field("origin", &self.origin)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_under_way_takes_less_than_a_kilobyte() {
        let origin = Origin::parse("http://127.0.0.1:1").unwrap();
        let transport = HttpClientBuilder::new("v", origin).build().unwrap();
        let send = transport.send(Request::get("poll", &[]));
        let stream = transport.stream(Request::get("poll", &[]));
        assert!(size_of_val(&send) < 1024, "{}", size_of_val(&send));
        assert!(size_of_val(&stream) < 1024, "{}", size_of_val(&stream));
    }

    #[test]
    fn silence_is_limited_for_downloads_alone_and_by_the_caller_where_it_likes() {
        let builder = || HttpClientBuilder::new("v", Origin::parse("http://127.0.0.1:1").unwrap());
        let printed = |builder: HttpClientBuilder| {
            let inner = builder.build().unwrap().inner;
            [&inner.pooled, &inner.fresh, &inner.fetching].map(|client| format!("{client:?}"))
        };
        // A limit on silence would count while a long upload is still going out.
        let [pooled, fresh, fetching] = printed(builder());
        assert!(!pooled.contains("read_timeout") && !fresh.contains("read_timeout"));
        assert!(fetching.contains("read_timeout: 30s"), "{fetching}");
        let own = builder().with_idle_timeout(Duration::from_secs(7));
        for client in printed(own) {
            assert!(client.contains("read_timeout: 7s"), "{client}");
        }
    }
}
