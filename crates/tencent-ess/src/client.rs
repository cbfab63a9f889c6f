//! The client: one method for each operation.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use jobs_core::http::{
    Body, Document, HttpClient, HttpClientBuilder, LenientJson, Origin, Request, Response,
};
use jobs_core::retry::{self, decide};
use jobs_core::{
    Account, Clock, Delivery, Env, Error, ErrorKind, Job, JobId, KindPolicy, PollResult, RateLimit,
    RateLimiter, Refusal, ResumeError, Secret, SharedRate, Submission, SystemClock, Ticket,
};

use crate::action::{Action, Family};
use crate::auth::{self, Attempt, Credentials};
use crate::code::VENDOR;
use crate::envelope;
use crate::environment::Environment;
use crate::generated::types::{ResourceType, UploadFilesAnswer};
use crate::identity::{Agent, Product};
use crate::job::{self, Conversion, Ready, ResourceId};
use crate::request;
use crate::tc3;
use crate::upload::{Parcel, UploadRequest, Uploaded, UploadedFile};

/// Of the right form, and hardly ever issued: the vendor's ids look random.
const NO_TASK: &str = "yD000000000000000000000000000000";

/// A client of one application and company. Clones share its connections, its rates and its clock correction.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    general: HttpClient,
    upload: HttpClient,
    credentials: Credentials,
    product: Product,
    family: Family,
    facts: KindPolicy,
    rate_limiters: BTreeMap<Action, RateLimiter>,
    upload_timeout: Duration,
    upload_service: Option<String>,
    region: Option<String>,
    language: Language,
    negative_runs_on: bool,
    /// Seconds by which the vendor's clock is ahead of ours.
    skew: AtomicI64,
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

/// Settings of a [`Client`].
pub struct ClientBuilder {
    credentials: Credentials,
    product: Product,
    environment: Environment,
    family: Family,
    clock: Arc<dyn Clock>,
    facts: KindPolicy,
    rate: Option<RateLimit>,
    shared_rate: Option<Arc<dyn SharedRate>>,
    upload_timeout: Duration,
    upload_service: Option<String>,
    region: Option<String>,
    language: Language,
    negative_runs_on: bool,
    configure: Box<dyn Fn(HttpClientBuilder) -> HttpClientBuilder + Send>,
}

impl ClientBuilder {
    /// Talks to another environment than the vendor's production: both hosts at once.
    #[must_use]
    pub fn with_environment(mut self, environment: Environment) -> Self {
        self.environment = environment;
        self
    }

    /// Sends the token that belongs to a temporary key.
    #[must_use]
    pub fn with_session_token(mut self, token: Secret) -> Self {
        self.credentials.set_session_token(token);
        self
    }

    /// Creates conversions by this pair of operations.
    #[must_use]
    pub fn with_family(mut self, family: Family) -> Self {
        self.family = family;
        self
    }

    /// Uses this clock for every pause and signature.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Changes the facts of the kind, such as an inferred pause.
    #[must_use]
    pub fn with_policy(mut self, change: impl FnOnce(&mut KindPolicy)) -> Self {
        change(&mut self.facts);
        self
    }

    /// Sends at most `requests` a second for each operation, as the contract with the vendor says; 20 unless set.
    ///
    /// The vendor states 20 for the older pair and for uploads; that the current pair has the same is our inference.
    #[must_use]
    pub fn with_rate(mut self, requests: NonZeroU32) -> Self {
        self.rate = Some(RateLimit {
            limit: requests,
            per: Duration::from_secs(1),
        });
        self
    }

    /// Shares the rate with every process that draws on `rate`, such as a ledger, for the same account.
    #[must_use]
    pub fn with_shared_rate(mut self, rate: Arc<dyn SharedRate>) -> Self {
        self.shared_rate = Some(rate);
        self
    }

    /// Gives up an upload after this time; a quarter of an hour unless set.
    #[must_use]
    pub fn with_upload_timeout(mut self, timeout: Duration) -> Self {
        self.upload_timeout = timeout;
        self
    }

    /// Signs uploads for a service of this name instead of the product's.
    ///
    /// The vendor's own clients disagree: some sign with the product, some with `file`. Both are evidently taken.
    #[must_use]
    pub fn with_upload_service(mut self, service: impl Into<String>) -> Self {
        self.upload_service = Some(service.into());
        self
    }

    /// Names a region, which these operations do not need.
    #[must_use]
    pub fn with_region(mut self, region: impl Into<String>) -> Self {
        self.region = Some(region.into());
        self
    }

    /// Asks for messages in this language; English unless set.
    #[must_use]
    pub fn with_language(mut self, language: Language) -> Self {
        self.language = language;
        self
    }

    /// Lets a job run on whose state is a negative number that nobody documents.
    ///
    /// Unless set it counts as failed, because all documented negative numbers do. That is our inference.
    #[must_use]
    pub fn with_unknown_negative_states_running(mut self, running: bool) -> Self {
        self.negative_runs_on = running;
        self
    }

    /// Changes the request layer of both hosts, such as a proxy.
    #[must_use]
    pub fn with_transport(
        mut self,
        change: impl Fn(HttpClientBuilder) -> HttpClientBuilder + Send + 'static,
    ) -> Self {
        self.configure = Box::new(change);
        self
    }

    /// Builds the client. Sends nothing.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for an unusable address or id,
    /// [`ErrorKind::LocalIo`] for unusable TLS or proxy settings.
    pub fn build(self) -> Result<Client, Error> {
        self.product.check()?;
        let (general, upload) = self.environment.origins(&self.product)?;
        let transport = |origin| {
            let transport = HttpClientBuilder::new(VENDOR, origin)
                .with_clock(Arc::clone(&self.clock))
                .with_secrets(self.credentials.secrets())
                .with_account_ids([self.credentials.id()]);
            (self.configure)(transport).build()
        };
        let quota = |action: Action| {
            let mut quota = RateLimiter::new(Arc::clone(&self.clock), self.rate.as_slice());
            if let Some(rate) = &self.shared_rate {
                let action = action.name(&self.product);
                quota = quota.with_shared_rate(Arc::clone(rate), self.product.account(), action);
            }
            (action, quota)
        };
        Ok(Client(Arc::new(Inner {
            general: transport(general)?,
            upload: transport(upload)?,
            rate_limiters: Action::ALL.map(quota).into(),
            credentials: self.credentials,
            product: self.product,
            family: self.family,
            facts: self.facts,
            upload_timeout: self.upload_timeout,
            upload_service: self.upload_service,
            region: self.region,
            language: self.language,
            negative_runs_on: self.negative_runs_on,
            skew: AtomicI64::new(0),
        })))
    }
}

impl Client {
    /// Settings for this key pair, and for who acts in which product: an [`Agent`] or an
    /// [`Operator`](crate::Operator).
    pub fn builder(
        secret_id: Secret,
        secret_key: Secret,
        product: impl Into<Product>,
    ) -> ClientBuilder {
        ClientBuilder {
            credentials: Credentials::new(secret_id, secret_key),
            product: product.into(),
            environment: Environment::Production,
            family: Family::Current,
            clock: SystemClock::shared(),
            facts: job::policy(),
            rate: NonZeroU32::new(20).map(|limit| RateLimit {
                limit,
                per: Duration::from_secs(1),
            }),
            shared_rate: None,
            upload_timeout: Duration::from_secs(15 * 60),
            upload_service: None,
            region: None,
            language: Language::English,
            negative_runs_on: false,
            configure: Box::new(|transport| transport),
        }
    }

    /// The third-party platform edition with the key in `TENCENTCLOUD_SECRET_ID`, `TENCENTCLOUD_SECRET_KEY` and, for a
    /// temporary one, `TENCENTCLOUD_SESSION_TOKEN`; acting as `TENCENT_ESS_APP_ID`, `TENCENT_ESS_ORG_OPEN_ID` and
    /// `TENCENT_ESS_OPERATOR_OPEN_ID`; at `TENCENT_ESS_ENDPOINT` and `TENCENT_ESS_UPLOAD_ENDPOINT` if those are set; by
    /// the operations that `TENCENT_ESS_API` names, `current` or `legacy`.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] that names the missing or unusable variable.
    pub fn from_env() -> Result<Self, Error> {
        Self::builder_from(&Env::of_process(VENDOR))?.build()
    }

    /// The same from any set of variables, for further settings.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] that names the missing or unusable variable.
    pub fn builder_from(env: &Env<'_>) -> Result<ClientBuilder, Error> {
        const TOKEN: &str = "TENCENTCLOUD_SESSION_TOKEN";
        const API: &str = "TENCENT_ESS_API";
        let (secret_id, secret_key) = (
            env.secret("TENCENTCLOUD_SECRET_ID")?,
            env.secret("TENCENTCLOUD_SECRET_KEY")?,
        );
        let agent = Agent::new(
            env.required("TENCENT_ESS_APP_ID")?,
            env.required("TENCENT_ESS_ORG_OPEN_ID")?,
            env.required("TENCENT_ESS_OPERATOR_OPEN_ID")?,
        );
        let mut builder = Self::builder(secret_id, secret_key, agent);
        builder.product.check()?;
        if env.optional(TOKEN).is_some() {
            builder = builder.with_session_token(env.secret(TOKEN)?);
        }
        builder.environment = Environment::from_env(env, &builder.product)?;
        if let Some(family) = env.optional(API) {
            builder.family = family.parse().map_err(|problem| {
                Error::invalid_input(
                    VENDOR,
                    "configure",
                    format!("the variable {API}: {problem}"),
                )
                .with_help(format!("set {API} to current or legacy"))
            })?;
        }
        Ok(builder)
    }

    /// Uploads a file and converts it to a PDF that can be signed. The upload is free and is repeated once if need be; for
    /// the rest see [`submit_uploaded`](Self::submit_uploaded).
    pub async fn submit_conversion(&self, document: &Document) -> Submission<Conversion> {
        let resource_type = match request::convertible(document) {
            Ok(resource_type) => resource_type,
            Err(problem) => {
                return Submission::Rejected(Error::invalid_input(VENDOR, "upload", problem));
            }
        };
        // An upload alone starts nothing, so whatever became of it, no conversion was begun.
        let uploaded = match self.upload_files(&UploadRequest::new([document])).await {
            Ok(uploaded) => uploaded,
            Err(error) => return Submission::Rejected(error),
        };
        let Some(file) = uploaded.files.first() else {
            return Submission::Rejected(Error::invalid_input(
                VENDOR,
                "upload",
                "no file was stored",
            ));
        };
        let what = format!("{} ({} bytes)", document.name(), document.size());
        self.create(&file.id, &resource_type, document.name(), &what)
            .await
    }

    /// Stores files at the vendor for about an hour. No price is documented. Repeated once by itself, and more often where
    /// no work can have begun: what is stored twice expires unused.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for files that the vendor would not take,
    /// [`ErrorKind::LocalIo`] for those that cannot be read, and whatever the vendor answers.
    pub async fn upload_files(&self, request: &UploadRequest<'_>) -> Result<Uploaded, Error> {
        request.check(&self.0.product)?;
        let parcel = request.parcel(&self.0.product)?;
        let payload = Payload::Parcel {
            hash: parcel.hash().await?,
            parcel,
        };
        let upload = async || {
            let (json, answer) = self.call(&Call::new(Action::Upload, &payload)).await?;
            let content = json.value().try_decode::<UploadFilesAnswer>();
            let content = content.map_err(|cause| {
                answer.unexpected_with("the content is not as documented", cause)
            })?;
            Ok((content.response, answer))
        };
        let (outcome, answer) = retry::with(&**self.clock(), pause_before_upload, upload).await?;
        let ids = outcome.file_ids.unwrap_or_default();
        if ids.len() != request.len() {
            return Err(answer.unexpected("the answer does not name every file"));
        }
        let mut urls = outcome.file_urls.unwrap_or_default().into_iter();
        let mut files = Vec::with_capacity(ids.len());
        for id in ids {
            let id = ResourceId::new(id)
                .map_err(|cause| answer.unexpected_with("a file without usable id", cause))?;
            let url = urls.next().filter(|url| !url.is_empty());
            files.push(UploadedFile::new(id, url.map(Into::into)));
        }
        let deadline = outcome
            .deadline
            .and_then(|seconds| u64::try_from(seconds).ok())
            .filter(|seconds| *seconds > 0)
            .and_then(|seconds| SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds)));
        Ok(Uploaded { files, deadline })
    }

    /// Converts a file that was uploaded. No price is documented, but **each call is a task of its own**: the vendor knows
    /// no idempotency key.
    ///
    /// Repeated by itself only where no work can have begun: without a connection, after `RequestLimitExceeded`, and once
    /// with a corrected clock after `AuthFailure.SignatureExpire`. Whatever else keeps the answer away makes the outcome
    /// unknown, and no operation lists tasks.
    pub async fn submit_uploaded(
        &self,
        resource_id: &ResourceId,
        resource_type: ResourceType,
        name: &str,
    ) -> Submission<Conversion> {
        let what = format!("{name} (file id {resource_id})");
        self.create(resource_id, &resource_type, name, &what).await
    }

    async fn create(
        &self,
        resource_id: &ResourceId,
        resource_type: &ResourceType,
        name: &str,
        what: &str,
    ) -> Submission<Conversion> {
        let payload = match request::create(&self.0.product, resource_id, resource_type, name) {
            Ok(json) => Payload::json(json),
            Err(error) => return Submission::Rejected(error),
        };
        let kind = self.kind();
        let sent_at = self.clock().wall();
        let outcome = retry::non_idempotent(&**self.clock(), async || {
            let call = Call::new(Action::Create(kind.family), &payload);
            let (id, _) = self.answered(&call, envelope::accepted).await?;
            Ok(id)
        });
        Submission::new(&kind, what, sent_at, outcome.await)
    }

    /// The job known as `id`, created by the client's pair of operations. Sends nothing.
    pub fn conversion(&self, id: JobId) -> Job<Conversion> {
        Job::attach(self.kind(), id)
    }

    /// The job that a ticket names, with the pair of operations that it was created by. Sends nothing.
    ///
    /// # Errors
    /// [`ResumeError`] when it belongs to another vendor, product or account.
    pub fn resume(&self, ticket: &Ticket) -> Result<Job<Conversion>, ResumeError> {
        let legacy = Family::Legacy.kind_name(&self.0.product);
        let family = if ticket.kind() == legacy {
            Family::Legacy
        } else {
            Family::Current
        };
        Job::resume(self.kind_of(family), ticket)
    }

    /// The kind itself, for tickets and fleets.
    pub fn kind(&self) -> Arc<Conversion> {
        self.kind_of(self.0.family)
    }

    /// The kind whose jobs are looked at by this pair of operations.
    pub fn kind_of(&self, family: Family) -> Arc<Conversion> {
        Arc::new(Conversion {
            client: self.clone(),
            family,
        })
    }

    /// Looks at a job once. Free, harmless to repeat, and not before the floor: [`Job::wait`] sees to that.
    pub(crate) async fn poll(&self, id: &JobId, family: Family) -> PollResult<Ready> {
        let payload = Payload::json(request::describe(&self.0.product, id.as_str())?);
        let call = Call {
            job: Some(id),
            ..Call::new(Action::Poll(family), &payload)
        };
        let (json, answer) = self.call(&call).await?;
        job::seen(id, &json, &answer, self.0.negative_runs_on)
    }

    /// Looks at a task that cannot exist, which tells whether the credentials are accepted. Free, as every look.
    ///
    /// # Errors
    /// [`ErrorKind::Unauthenticated`] when they are refused, or whatever keeps the vendor from answering.
    pub async fn check_credentials(&self) -> Result<(), Error> {
        let payload = Payload::json(request::describe(&self.0.product, NO_TASK)?);
        let call = Call {
            operation: "check",
            ..Call::new(Action::Poll(self.0.family), &payload)
        };
        match self.call(&call).await {
            Ok(_) => Ok(()),
            Err(error) if matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::NotFound) => {
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// The base addresses for general operations and for uploads.
    pub fn origins(&self) -> [&Origin; 2] {
        [self.0.general.origin(), self.0.upload.origin()]
    }

    /// The clock in use.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        self.0.general.clock()
    }

    async fn call(&self, call: &Call<'_>) -> Result<(LenientJson, Response), Error> {
        self.answered(call, envelope::open).await
    }

    /// One call whose answer is read by `read`. It is made a second time with a corrected clock if the vendor finds ours
    /// wrong: it does nothing then.
    async fn answered<T>(
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
        let product = &inner.product;
        let (transport, service) = match action {
            Action::Upload => (
                &inner.upload,
                inner.upload_service.as_deref().unwrap_or(product.service()),
            ),
            Action::Create(_) | Action::Poll(_) => (&inner.general, product.service()),
        };
        let mut request = Request::post(operation, &[])
            .with_body(payload.body()?)
            .with_header("x-tc-action", action.name(product))
            .with_header("x-tc-version", product.version())
            .with_header("x-tc-language", inner.language.tag());
        if let Some(region) = &inner.region {
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
            Action::Create(_) => request.non_idempotent(),
            Action::Poll(_) => request,
        };
        let attempt = Attempt {
            service,
            host: &transport.origin().host(),
            timestamp: self
                .local_time()
                .saturating_add(inner.skew.load(Ordering::Relaxed)),
            body_hash: payload.hash(),
        };
        transport
            .send(inner.credentials.sign(request, &attempt))
            .await
    }

    /// Takes over the vendor's clock, if the error is about ours and tells the vendor's.
    fn correct_clock(&self, answer: &Response, error: &Error) -> bool {
        if error.code() != Some(auth::CLOCK_IS_WRONG) {
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

    pub(crate) fn product(&self) -> &Product {
        &self.0.product
    }

    pub(crate) fn account(&self) -> Account {
        self.0.product.account()
    }

    pub(crate) fn facts(&self) -> &KindPolicy {
        &self.0.facts
    }
}

/// One call, to be made in one attempt or more.
#[derive(Clone, Copy)]
struct Call<'a> {
    action: Action,
    /// As errors name it.
    operation: &'static str,
    payload: &'a Payload<'a>,
    job: Option<&'a JobId>,
}

impl<'a> Call<'a> {
    fn new(action: Action, payload: &'a Payload<'a>) -> Self {
        Self {
            action,
            operation: action.operation(),
            payload,
            job: None,
        }
    }
}

/// The body of a call and its hash, from which each attempt is made anew.
enum Payload<'a> {
    Json { json: Vec<u8>, hash: String },
    Parcel { parcel: Parcel<'a>, hash: String },
}

impl Payload<'_> {
    fn json(json: Vec<u8>) -> Self {
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

/// The pause before an upload is repeated; `None` when it is not.
///
/// Where the vendor may have stored the files it is repeated once, since the first ids expire unused.
fn pause_before_upload(error: &Error, repeats: u32) -> Option<Duration> {
    let before_work = error.delivery() == Delivery::NotSent || error.refusal() != Refusal::Final;
    decide::idempotent(error, repeats).filter(|_| before_work || repeats == 0)
}

impl Language {
    fn tag(self) -> &'static str {
        match self {
            Self::English => "en-US",
            Self::Chinese => "zh-CN",
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("general", &format_args!("{}", self.0.general.origin()))
            .field("upload", &format_args!("{}", self.0.upload.origin()))
            .field("credentials", &self.0.credentials)
            .field("product", &self.0.product)
            .field("family", &self.0.family)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientBuilder")
            .field("environment", &self.environment)
            .field("credentials", &self.credentials)
            .field("product", &self.product)
            .field("family", &self.family)
            .finish_non_exhaustive()
    }
}
