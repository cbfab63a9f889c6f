//! The client: one method for each operation.

use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use jobs_core::clock::bounded;
use jobs_core::disk::OutputPath;
use jobs_core::http::{
    Body, Download, DownloadError, HttpClient, HttpClientBuilder, Origin, Request, Response,
    ResultNetworks, SavedFile, UnverifiedFile, Verified, shown,
};
use jobs_core::retry::{self, NotTaken};
use jobs_core::{
    Account, Clock, Delivery, Env, Error, ErrorKind, Job, JobId, KindPolicy, LostSubmit, Moment,
    PollResult, RateLimit, RateLimiter, Secret, SharedRate, Status, Submission, SubmitError,
    SystemClock,
};

use crate::auth::Credentials;
use crate::code::VENDOR;
use crate::envelope;
use crate::job::{self, Parse, Ready};
use crate::request::ParseRequest;
use crate::result::{self, Parsed, ResultSummary};

/// Well-formed, and never issued: the vendor's ids are random.
const NO_JOB: &str = "00000000000000000000000000000000";
const PRODUCTION: &str = "https://api.textin.com";

/// A client of one TextIn account. Clones share its connections and its rate.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    transport: HttpClient,
    credentials: Credentials,
    facts: KindPolicy,
    upload_timeout: Duration,
}

/// Settings of a [`Client`].
pub struct ClientBuilder {
    credentials: Credentials,
    server_url: String,
    clock: Arc<dyn Clock>,
    facts: KindPolicy,
    rate: Option<RateLimit>,
    shared_rate: Option<Arc<dyn SharedRate>>,
    upload_timeout: Duration,
    result_networks: ResultNetworks,
    configure: Box<dyn FnOnce(HttpClientBuilder) -> HttpClientBuilder + Send>,
}

impl ClientBuilder {
    /// Talks to another server than the vendor's production: `https`, or `http` on this machine.
    #[must_use]
    pub fn with_server_url(mut self, url: impl Into<String>) -> Self {
        self.server_url = url.into();
        self
    }

    /// Uses this clock for every pause.
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

    /// Sends at most `requests` a second over all operations, as the contract with the vendor says; 2 unless set.
    ///
    /// The vendor states 2 a second for an older endpoint; that it holds for this one, for submits and looks together, is
    /// our inference.
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

    /// Gives up an upload after this time, its outcome unknown; a quarter of an hour unless set.
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
    pub fn with_transport(
        mut self,
        change: impl FnOnce(HttpClientBuilder) -> HttpClientBuilder + Send + 'static,
    ) -> Self {
        self.configure = Box::new(change);
        self
    }

    /// Builds the client. Sends nothing.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for an unusable server address, [`ErrorKind::LocalIo`] for unusable TLS or proxy settings.
    pub fn build(self) -> Result<Client, Error> {
        let origin = Origin::parse(&self.server_url).map_err(|problem| {
            Error::invalid_input(
                VENDOR,
                "configure",
                format!("the server address is unusable: {problem}"),
            )
            .with_help("set TEXTIN_SERVER_URL to an https address")
        })?;
        let mut quota = RateLimiter::new(Arc::clone(&self.clock), self.rate.as_slice());
        if let Some(rate) = self.shared_rate {
            quota = quota.with_shared_rate(rate, self.credentials.account(), "requests");
        }
        let transport = HttpClientBuilder::new(VENDOR, origin)
            .with_clock(self.clock)
            .with_rate_limiter(quota)
            .with_secrets(self.credentials.secrets())
            .with_account_ids([self.credentials.id()])
            .with_result_networks(self.result_networks);
        Ok(Client(Arc::new(Inner {
            transport: (self.configure)(transport).build()?,
            credentials: self.credentials,
            facts: self.facts,
            upload_timeout: self.upload_timeout,
        })))
    }
}

impl Client {
    /// Settings for the account with this application id and secret code.
    pub fn builder(app_id: Secret, secret_code: Secret) -> ClientBuilder {
        ClientBuilder {
            credentials: Credentials::new(app_id, secret_code),
            server_url: PRODUCTION.to_owned(),
            clock: SystemClock::shared(),
            facts: job::policy(),
            rate: NonZeroU32::new(2).map(|limit| RateLimit {
                limit,
                per: Duration::from_secs(1),
            }),
            shared_rate: None,
            upload_timeout: Duration::from_secs(15 * 60),
            result_networks: ResultNetworks::default(),
            configure: Box::new(|transport| transport),
        }
    }

    /// The account in `TEXTIN_APP_ID` and `TEXTIN_SECRET_CODE`, at `TEXTIN_SERVER_URL` if that is set.
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
        let builder = Self::builder(
            env.secret("TEXTIN_APP_ID")?,
            env.secret("TEXTIN_SECRET_CODE")?,
        )
        .with_result_networks(env.result_networks()?);
        Ok(match env.optional("TEXTIN_SERVER_URL") {
            Some(url) => builder.with_server_url(url),
            None => builder,
        })
    }

    /// Submits a document. **Billed** for each page that is parsed, each time, also for the same document again.
    ///
    /// Repeated by itself only where no work can have begun: without a connection, and up to twice after the codes
    /// 30203 and 40306. Whatever else keeps the answer away makes the outcome unknown.
    pub async fn submit_parse(&self, request: &ParseRequest) -> Submission<Parse> {
        const OPERATION: &str = "submit";
        let kind = self.kind();
        if let Err(error) = request.check(OPERATION) {
            return Submission::Rejected(error);
        }
        let sent_at = self.clock().wall();
        let outcome = retry::non_idempotent(&**self.clock(), async || {
            let form = request.form(OPERATION, true)?;
            let call = Request::post(OPERATION, &["api", "v1", "xparse", "parse", "async"])
                .with_body(Body::Form(form));
            let answer = self
                .send(call.non_idempotent().with_timeout(self.0.upload_timeout))
                .await?;
            envelope::accepted(&answer)
        });
        Submission::new(&kind, &request.what(), sent_at, outcome.await)
    }

    /// The job known as `id`. Sends nothing.
    pub fn parse(&self, id: JobId) -> Job<Parse> {
        Job::attach(self.kind(), id)
    }

    /// The kind itself, for tickets and fleets.
    pub fn kind(&self) -> Arc<Parse> {
        Arc::new(Parse {
            client: self.clone(),
        })
    }

    /// Parses while the connection is held. **Billed** like [`submit_parse`](Self::submit_parse).
    ///
    /// For small documents only: should the connection break, the result is lost and the pages are billed. Of a document
    /// that was parsed in part, the good part is kept and [`Parsed::partial`] tells.
    ///
    /// # Errors
    /// [`SubmitError`], which says whether the pages may have been billed.
    pub async fn parse_now(&self, request: &ParseRequest) -> Result<Parsed, SubmitError> {
        const OPERATION: &str = "parse";
        request.check(OPERATION).map_err(SubmitError::Rejected)?;
        let sent_at = self.clock().wall();
        let outcome = retry::non_idempotent(&**self.clock(), async || {
            let form = request.form(OPERATION, false)?;
            let call = Request::post(OPERATION, &["api", "v1", "xparse", "parse", "sync"])
                .with_body(Body::Form(form));
            let answer = self
                .send(call.non_idempotent().with_timeout(self.0.upload_timeout))
                .await?;
            parsed(&answer)
        });
        outcome.await.map_err(|not_taken| match not_taken {
            NotTaken::Rejected(error) => SubmitError::Rejected(error),
            NotTaken::OutcomeUnknown(error) => SubmitError::OutcomeUnknown(LostSubmit {
                summary: request.what().into(),
                sent_at,
                error,
            }),
        })
    }

    /// Looks at a job once. Free, harmless to repeat, and not before the vendor's floor: [`Job::wait`] sees to that.
    pub(crate) async fn look(&self, id: &JobId) -> PollResult<Ready> {
        let call = Request::get(
            "look",
            &["api", "v1", "xparse", "parse", "async", id.as_str()],
        )
        .for_job(id);
        job::seen(id, &self.send(call).await?)
    }

    /// Brings the result to disk as the vendor serves it: JSON, byte for byte. Free and harmless to repeat.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when the link has expired and a new one does too, [`ErrorKind::UnexpectedResponse`] when the bytes are
    /// not a whole result, [`ErrorKind::TooLarge`], [`ErrorKind::LocalIo`]. Nothing appears at the final name then.
    pub async fn download_json(
        &self,
        ready: &Ready,
        target: &OutputPath,
    ) -> Result<(SavedFile, ResultSummary), Error> {
        let deadline = self.0.transport.download_deadline();
        let (verified, outline) = self.fetch_json(ready, target, deadline).await?;
        Ok((verified.save().await?, outline))
    }

    /// Brings the Markdown text of the result to disk. Free and harmless to repeat.
    ///
    /// # Errors
    /// As [`download_json`](Self::download_json); [`ErrorKind::UnexpectedResponse`] also for a result without Markdown.
    pub async fn download_markdown(
        &self,
        ready: &Ready,
        target: &OutputPath,
    ) -> Result<(SavedFile, ResultSummary), Error> {
        let deadline = self.0.transport.download_deadline();
        let (verified, outline) = self.fetch_markdown(ready, target, deadline).await?;
        Ok((verified.save().await?, outline))
    }

    /// [`download_json`](Self::download_json) up to the point of giving it its name, and until `deadline`.
    ///
    /// # Errors
    /// As [`download_json`](Self::download_json); bytes that arrived whole and are no result are handed over as
    /// [`DownloadError::Invalid`].
    pub async fn fetch_json(
        &self,
        ready: &Ready,
        target: &OutputPath,
        deadline: Moment,
    ) -> Result<(Verified, ResultSummary), DownloadError> {
        self.fetch(ready, target, deadline)
            .await?
            .verify(result::inspect)
            .await
    }

    /// [`download_markdown`](Self::download_markdown) up to the point of giving it its name, and until `deadline`.
    ///
    /// # Errors
    /// As [`fetch_json`](Self::fetch_json); also for a result without Markdown.
    pub async fn fetch_markdown(
        &self,
        ready: &Ready,
        target: &OutputPath,
        deadline: Moment,
    ) -> Result<(Verified, ResultSummary), DownloadError> {
        self.fetch(ready, target, deadline)
            .await?
            .convert(result::extract_markdown)
            .await
    }

    /// The result in memory as typed elements, up to the transport's cap. Free and harmless to repeat.
    ///
    /// # Errors
    /// As [`download_json`](Self::download_json).
    pub async fn result(&self, ready: &Ready) -> Result<Parsed, Error> {
        let transport = &self.0.transport;
        let cap = transport.max_response_size();
        let body = transport
            .download_to_memory(fetch_of(ready).with_max_size(cap))
            .await;
        let deadline = transport.download_deadline();
        let body = match self.renewed(ready, body, deadline).await? {
            Followed::Through(body) => body,
            Followed::Renewed(ready) => {
                transport
                    .download_to_memory(fetch_of(&ready).with_max_size(cap))
                    .await?
            }
        };
        let (result, raw) = result::decode(&body).map_err(|problem| {
            Error::new(ErrorKind::UnexpectedResponse, VENDOR, "fetch")
                .with_delivery(Delivery::Answered)
                .with_job(ready.job_id.clone())
                .with_message(problem)
        })?;
        Ok(Parsed {
            result,
            raw,
            partial: None,
        })
    }

    /// Brings a file that was asked for in `exports` to disk. Free and harmless to repeat.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when it has expired, [`ErrorKind::LocalIo`] when the disk is in trouble.
    pub async fn download_export(
        &self,
        file_id: &str,
        target: &OutputPath,
    ) -> Result<SavedFile, Error> {
        let link = self
            .0
            .transport
            .link(&["export_file", "download"], &[("file_id", file_id)]);
        let fetch = self
            .0
            .credentials
            .headers()
            .into_iter()
            .fold(Download::new("export", &link), |fetch, (name, value)| {
                fetch.with_secret_header(name, value)
            });
        let fetched = self.0.transport.download(fetch, target).await?;
        let (verified, ()) = fetched.verify(|_, _| Ok(())).await?;
        verified.save().await
    }

    async fn fetch(
        &self,
        ready: &Ready,
        target: &OutputPath,
        deadline: Moment,
    ) -> Result<UnverifiedFile, Error> {
        let transport = &self.0.transport;
        let fetch = fetch_of(ready).with_deadline(deadline);
        let fetched = transport.download(fetch, target).await;
        match self.renewed(ready, fetched, deadline).await? {
            Followed::Through(fetched) => Ok(fetched),
            Followed::Renewed(ready) => {
                let fetch = fetch_of(&ready).with_deadline(deadline);
                transport.download(fetch, target).await
            }
        }
    }

    /// What came of following the result's link, or a new link if it was refused: nobody documents how long it lives.
    async fn renewed<T>(
        &self,
        ready: &Ready,
        outcome: Result<T, Error>,
        deadline: Moment,
    ) -> Result<Followed<T>, Error> {
        let refused = match outcome {
            Err(error) if error.kind() == ErrorKind::NotFound => error,
            outcome => return outcome.map(Followed::Through),
        };
        let look = retry::idempotent(&**self.clock(), async || self.look(&ready.job_id).await);
        let renewed = bounded(&**self.clock(), deadline, look).await;
        match renewed.ok_or(refused)??.status {
            Status::Succeeded(ready) => Ok(Followed::Renewed(ready)),
            _ => Err(Error::new(ErrorKind::NotFound, VENDOR, "fetch")
                .with_delivery(Delivery::Answered)
                .with_job(ready.job_id.clone())
                .with_message("the result link has expired, and the vendor gives no new one")),
        }
    }

    /// Asks about a job that cannot exist, which tells whether the credentials are accepted. Free, as every look.
    ///
    /// # Errors
    /// [`ErrorKind::Unauthenticated`] when they are refused, or whatever keeps the vendor from answering.
    pub async fn check_credentials(&self) -> Result<(), Error> {
        let call = Request::get("check", &["api", "v1", "xparse", "parse", "async", NO_JOB]);
        match envelope::open(&self.send(call).await?) {
            // A code that is about the job, which does not exist.
            Err(error)
                if error.code().is_some()
                    && matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::NotFound) =>
            {
                Ok(())
            }
            outcome => outcome.map(drop),
        }
    }

    /// The API's base address.
    pub fn origin(&self) -> &Origin {
        self.0.transport.origin()
    }

    /// The clock in use.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        self.0.transport.clock()
    }

    async fn send(&self, request: Request) -> Result<Response, Error> {
        self.0
            .transport
            .send(self.0.credentials.sign(request))
            .await
    }

    pub(crate) fn account(&self) -> Account {
        self.0.credentials.account()
    }

    pub(crate) fn facts(&self) -> &KindPolicy {
        &self.0.facts
    }
}

enum Followed<T> {
    Through(T),
    Renewed(Ready),
}

fn fetch_of(ready: &Ready) -> Download<'_> {
    Download::new("fetch", &ready.result_url).for_job(&ready.job_id)
}

/// The content of a synchronous answer. Code 50207 means that some pages failed and the others are billed, so what came
/// is kept.
fn parsed(answer: &Response) -> Result<Parsed, Error> {
    let json = answer.json();
    let partial = match envelope::code(&json) {
        Some(50_207) => Some(envelope::rejection(answer, &json, 50_207)),
        _ => envelope::open(answer).map(|_| None)?,
    };
    if !json.get("data").is_some() {
        return Err(partial.unwrap_or_else(|| answer.unexpected("the answer holds no result")));
    }
    match (result::decode(answer.body()), partial) {
        (Ok((result, raw)), partial) => Ok(Parsed {
            result,
            raw,
            partial,
        }),
        (Err(_), Some(partial)) => Err(partial),
        (Err(problem), None) => Err(answer.unexpected(&problem)),
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("origin", self.0.transport.origin())
            .field("credentials", &self.0.credentials)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientBuilder")
            .field("server_url", &shown(&self.server_url))
            .field("credentials", &self.credentials)
            .finish_non_exhaustive()
    }
}
