//! The vendor's operations over HTTP: signed for one application, each with a rate of its own, and again with a corrected clock.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use jobs_core::clock::Clock;
use jobs_core::http::{Body, ClientConfig, HttpClient, LenientJson, Origin, Request, Response};
use jobs_core::vendor::{Account, Delivery, KindPolicy, RateLimiter};
use jobs_core::{Error, JobId};

use crate::action::{Action, Family};
use crate::auth::{self, Attempt, Credentials};
use crate::code::VENDOR;
use crate::envelope;
use crate::environment::Environment;
use crate::identity::Product;
use crate::parcel::Parcel;
use crate::tc3;

/// Clones share connections, rates and the correction of the clock.
#[derive(Clone)]
pub(crate) struct Api(Arc<Inner>);

struct Inner {
    general: HttpClient,
    upload: HttpClient,
    credentials: Credentials,
    settings: Settings,
    rate_limiters: BTreeMap<Action, RateLimiter>,
    upload_timeout: Duration,
    /// Seconds by which the vendor's clock is ahead of ours.
    skew: AtomicI64,
}

/// What this vendor's clients can be told beside what those of all vendors can.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) product: Product,
    pub(crate) family: Family,
    pub(crate) policy: KindPolicy,
    pub(crate) upload_service: Option<String>,
    pub(crate) region: Option<String>,
    pub(crate) language: Language,
    pub(crate) negative_runs_on: bool,
}

/// The language of the vendor's messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Language {
    /// English.
    #[default]
    English,
    /// Chinese.
    Chinese,
}

impl Api {
    pub(crate) fn new(
        credentials: Credentials,
        environment: &Environment,
        config: &ClientConfig,
        settings: Settings,
    ) -> Result<Self, Error> {
        let product = &settings.product;
        product.check()?;
        let (general, upload) = environment.origins(product)?;
        let transport = |origin| {
            config
                .http_client(VENDOR, origin, |transport| {
                    transport
                        .with_secrets(credentials.secrets())
                        .with_account_ids([credentials.id()])
                })
                .build()
        };
        let (general, upload) = (transport(general)?, transport(upload)?);
        let quota = |action: Action| {
            let name = action.name(product);
            (
                action,
                config.rate_limiter(product.account(), name, NonZeroU32::new(20)),
            )
        };
        let quotas = Action::ALL.map(quota).into();
        Ok(Self(Arc::new(Inner {
            general,
            upload,
            rate_limiters: quotas,
            credentials,
            settings,
            upload_timeout: config.upload_timeout(),
            skew: AtomicI64::new(0),
        })))
    }

    pub(crate) async fn call(&self, call: &Call<'_>) -> Result<(LenientJson, Response), Error> {
        self.answered(call, envelope::open).await
    }

    /// One call whose answer is read by `read`. It is made a second time with a corrected clock if the vendor finds ours
    /// wrong: it does nothing then.
    pub(crate) async fn answered<T>(
        &self,
        call: &Call<'_>,
        read: impl Fn(&Response) -> Result<T, Error>,
    ) -> Result<(T, Response), Error> {
        let mut is_corrected = false;
        loop {
            let answer = self.attempt(call).await?;
            match read(&answer) {
                Err(error) if !is_corrected && self.correct_clock(&answer, &error) => {
                    is_corrected = true;
                }
                outcome => return outcome.map(|content| (content, answer)),
            }
        }
    }

    async fn attempt(&self, call: &Call<'_>) -> Result<Response, Error> {
        let Call {
            action,
            operation,
            payload,
            job,
        } = *call;
        let inner = &*self.0;
        let settings = &inner.settings;
        let product = &settings.product;
        let (transport, service) = match action {
            Action::Upload => (
                &inner.upload,
                settings
                    .upload_service
                    .as_deref()
                    .unwrap_or(product.service()),
            ),
            Action::Create(_) | Action::Poll(_) => (&inner.general, product.service()),
        };
        let mut request = Request::post(operation, &[])
            .with_body(payload.body()?)
            .with_header("x-tc-action", action.name(product))
            .with_header("x-tc-version", product.version())
            .with_header("x-tc-language", settings.language.tag());
        if let Some(region) = &settings.region {
            request = request.with_header("x-tc-region", region);
        }
        if let Some(quota) = inner.rate_limiters.get(&action) {
            request = request.with_rate_limiter(quota.clone());
        }
        if let Some(job) = job {
            request = request.for_job(job);
        }
        request = match action {
            // On a kept connection half a minute without an answer ends a request, however much is still being sent.
            Action::Upload => request.non_idempotent().with_timeout(inner.upload_timeout),
            Action::Create(_) | Action::Poll(_) => request,
        };
        let attempt = Attempt {
            service,
            host: &transport.origin().host(),
            timestamp: self
                .local_time()
                .saturating_add(inner.skew.load(Ordering::Relaxed)),
            body_hash: payload.hash(),
        };
        let request = inner.credentials.sign(request, &attempt);
        match action {
            Action::Create(_) => transport.submit(request).await,
            Action::Upload | Action::Poll(_) => transport.send(request).await,
        }
    }

    /// Takes over the vendor's clock, if the error is about ours and tells the vendor's.
    fn correct_clock(&self, answer: &Response, error: &Error) -> bool {
        let is_refused = error.delivery() == Delivery::Answered;
        if !is_refused || error.code() != Some(auth::CLOCK_IS_WRONG) {
            return false;
        }
        let message = error.message().unwrap_or_default();
        let Some(theirs) = auth::server_time(message, answer.header("date")) else {
            return false;
        };
        let skew = theirs.saturating_sub(self.local_time());
        tracing::warn!(
            vendor = VENDOR,
            seconds = skew,
            "the clock of this machine differs from the vendor's, whose time is used from now on"
        );
        self.0.skew.store(skew, Ordering::Relaxed);
        true
    }

    /// Unix seconds by our own clock.
    fn local_time(&self) -> i64 {
        let since = self.clock().wall().duration_since(SystemTime::UNIX_EPOCH);
        i64::try_from(since.unwrap_or_default().as_secs()).unwrap_or(i64::MAX)
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.0.settings
    }

    pub(crate) fn account(&self) -> Account {
        self.0.settings.product.account()
    }

    pub(crate) fn origins(&self) -> [&Origin; 2] {
        [self.0.general.origin(), self.0.upload.origin()]
    }

    /// The same for all clones, and for nobody else while one of them lives.
    pub(crate) fn address(&self) -> usize {
        Arc::as_ptr(&self.0) as usize
    }

    pub(crate) fn clock(&self) -> &Arc<dyn Clock> {
        self.0.general.clock()
    }
}

/// One call, to be made in one attempt or more.
#[derive(Clone, Copy)]
pub(crate) struct Call<'a> {
    pub(crate) action: Action,
    /// As errors name it.
    pub(crate) operation: &'static str,
    pub(crate) payload: &'a Payload<'a>,
    pub(crate) job: Option<&'a JobId>,
}

impl<'a> Call<'a> {
    pub(crate) fn new(action: Action, payload: &'a Payload<'a>) -> Self {
        Self {
            action,
            operation: action.operation(),
            payload,
            job: None,
        }
    }
}

/// The body of a call and its hash, from which each attempt is made anew.
pub(crate) enum Payload<'a> {
    Json { json: Vec<u8>, hash: String },
    Parcel { parcel: Parcel<'a>, hash: String },
}

impl Payload<'_> {
    pub(crate) fn json(json: Vec<u8>) -> Self {
        Self::Json {
            hash: tc3::hash(&json),
            json,
        }
    }

    fn hash(&self) -> &str {
        match self {
            Self::Json { hash, .. } | Self::Parcel { hash, .. } => hash,
        }
    }

    fn body(&self) -> Result<Body, Error> {
        Ok(match self {
            Self::Json { json, .. } => Body::Bytes {
                content_type: auth::CONTENT_TYPE,
                bytes: json.clone().into(),
            },
            Self::Parcel { parcel, .. } => Body::Streamed(parcel.body()?),
        })
    }
}

impl Language {
    fn tag(self) -> &'static str {
        match self {
            Self::English => "en-US",
            Self::Chinese => "zh-CN",
        }
    }
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api")
            .field("general", &format_args!("{}", self.0.general.origin()))
            .field("upload", &format_args!("{}", self.0.upload.origin()))
            .field("credentials", &self.0.credentials)
            .field("product", &self.0.settings.product)
            .field("family", &self.0.settings.family)
            .finish_non_exhaustive()
    }
}
