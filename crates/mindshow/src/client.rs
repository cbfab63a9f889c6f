//! The client: jobs, and how every operation is sent. Other operations are methods of it in files of their own.

use std::collections::HashMap;
use std::fmt;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use jobs_core::clock::bounded;
use jobs_core::disk::OutputPath;
use jobs_core::http::{
    Download, DownloadError, HttpClient, HttpClientBuilder, LenientJson, Origin, Request, Response,
    ResultNetworks, SavedFile, StreamingResponse, UnverifiedFile, Verified, shown,
};
use jobs_core::{
    Account, Clock, Delivery, Env, Error, ErrorKind, Job, JobId, KindPolicy, Moment, PollResult,
    RateLimit, RateLimiter, Secret, SharedRate, Status, Submission, SystemClock, retry,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::auth::Credentials;
use crate::code::{Codes, VENDOR};
use crate::envelope;
use crate::generated::types::{
    GptDeck, IdRequest, JobInfo, JsonDeck, JumpLinkData, JumpLinkRequest, ListRequest,
    MarkdownDeck, PptDeck, QualityData, SecretText, TemplateFromPpt, Theme,
};
use crate::job::{self, Deck, Ready};
use crate::operation::{
    CREATE_BY_GPT, CREATE_BY_JSON, CREATE_BY_MARKDOWN, CREATE_BY_PPT, CREATE_TEMPLATE,
    GET_JUMP_LINK, GET_QUALITY, JOB_DEL, JOB_GET, JOB_LIST, Operation,
};
use crate::page::{Listing, Page, Pages};
use crate::pdf::{self, Pdf, PdfBudget, PdfReady};
use crate::request::Input;
use crate::result::{self, DeckSummary};

const PRODUCTION: &str = "https://api.mindshow.vip";

/// A client of one MindShow account. Clones share its connections and its rate.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    transport: HttpClient,
    credentials: Credentials,
    codes: Codes,
    facts: KindPolicy,
    pdf_facts: KindPolicy,
    timeouts: Timeouts,
    upload_limit: u64,
    /// Where pictures of the process are streamed from, for the jobs of this client that paid for them.
    create_log_urls: Mutex<HashMap<JobId, SecretText>>,
}

#[derive(Debug, Clone, Copy)]
struct Timeouts {
    upload: Duration,
    create: Duration,
    model: Duration,
}

/// Settings of a [`Client`].
pub struct ClientBuilder {
    credentials: Credentials,
    base_url: String,
    clock: Arc<dyn Clock>,
    codes: Codes,
    facts: KindPolicy,
    pdf_facts: KindPolicy,
    rate: Option<RateLimit>,
    shared_rate: Option<Arc<dyn SharedRate>>,
    timeouts: Timeouts,
    upload_limit: u64,
    result_networks: ResultNetworks,
    configure: Box<dyn FnOnce(HttpClientBuilder) -> HttpClientBuilder + Send>,
}

impl ClientBuilder {
    /// Talks to another server than the vendor's production: `https`, or `http` on this machine.
    #[must_use]
    pub fn with_base_url(mut self, url: impl Into<String>) -> Self {
        self.base_url = url.into();
        self
    }

    /// Uses this clock for every pause.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Changes the facts of [`Deck`], such as an inferred pause.
    #[must_use]
    pub fn with_policy(mut self, change: impl FnOnce(&mut KindPolicy)) -> Self {
        change(&mut self.facts);
        self
    }

    /// Changes the facts of [`Pdf`].
    #[must_use]
    pub fn with_pdf_facts(mut self, change: impl FnOnce(&mut KindPolicy)) -> Self {
        change(&mut self.pdf_facts);
        self
    }

    /// Says what one of the vendor's error codes means. Codes that nobody said anything about are refusals for good.
    #[must_use]
    pub fn with_code(mut self, code: i64, kind: ErrorKind) -> Self {
        self.codes.insert(code, kind);
        self
    }

    /// Sends at most `requests` a second over all operations. Without this there is no limit: the vendor states none.
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
        self.timeouts.upload = timeout;
        self
    }

    /// Gives up a create after this time, its outcome unknown; two minutes unless set, as in the vendor's own client.
    #[must_use]
    pub fn with_create_timeout(mut self, timeout: Duration) -> Self {
        self.timeouts.create = timeout;
        self
    }

    /// Gives up an outline or a text after this time, its outcome unknown; five minutes unless set.
    #[must_use]
    pub fn with_model_timeout(mut self, timeout: Duration) -> Self {
        self.timeouts.model = timeout;
        self
    }

    /// Refuses to upload more than this; 20 000 000 bytes unless set.
    ///
    /// The vendor says 20 MB, but not whether decimal or binary.
    #[must_use]
    pub fn with_upload_limit(mut self, bytes: u64) -> Self {
        self.upload_limit = bytes;
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
        let origin = Origin::parse(&self.base_url).map_err(|problem| {
            Error::invalid_input(
                VENDOR,
                "configure",
                format!("the server address is unusable: {problem}"),
            )
            .with_help("set MINDSHOW_BASE_URL to an https address")
        })?;
        let mut quota = RateLimiter::new(Arc::clone(&self.clock), self.rate.as_slice());
        if let Some(rate) = self.shared_rate {
            quota = quota.with_shared_rate(rate, self.credentials.account(), "requests");
        }
        let transport = HttpClientBuilder::new(VENDOR, origin)
            .with_clock(self.clock)
            .with_rate_limiter(quota)
            .with_secrets(self.credentials.secrets())
            .with_result_networks(self.result_networks);
        Ok(Client(Arc::new(Inner {
            transport: (self.configure)(transport).build()?,
            credentials: self.credentials,
            codes: self.codes,
            facts: self.facts,
            pdf_facts: self.pdf_facts,
            timeouts: self.timeouts,
            upload_limit: self.upload_limit,
            create_log_urls: Mutex::default(),
        })))
    }
}

impl Client {
    /// Settings for the account with this API key.
    pub fn builder(api_key: Secret) -> ClientBuilder {
        ClientBuilder {
            credentials: Credentials::new(api_key),
            base_url: PRODUCTION.to_owned(),
            clock: SystemClock::shared(),
            codes: Codes::default(),
            facts: job::policy(),
            pdf_facts: pdf::policy(),
            rate: None,
            shared_rate: None,
            timeouts: Timeouts {
                upload: Duration::from_secs(15 * 60),
                create: Duration::from_secs(2 * 60),
                model: Duration::from_secs(5 * 60),
            },
            upload_limit: 20_000_000,
            result_networks: ResultNetworks::default(),
            configure: Box::new(|transport| transport),
        }
    }

    /// The account in `MINDSHOW_API_KEY`, at `MINDSHOW_BASE_URL` if that is set.
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
        let builder = Self::builder(env.secret("MINDSHOW_API_KEY")?)
            .with_result_networks(env.result_networks()?);
        Ok(match env.optional("MINDSHOW_BASE_URL") {
            Some(url) => builder.with_base_url(url),
            None => builder,
        })
    }

    /// Makes a deck from pages, without AI. **10 credits.**
    ///
    /// The vendor's default makes no .pptx here: [`JsonDeck::with_pptx`] does.
    ///
    /// Repeated by itself only without a connection. Whatever else keeps the answer away makes the outcome unknown:
    /// [`find_lost`](Self::find_lost) searches for the job. The same holds for every `submit_*`.
    pub async fn submit_json(&self, request: &JsonDeck) -> Submission<Deck> {
        self.submit(CREATE_BY_JSON, request).await
    }

    /// Makes a deck from Markdown, without AI. **10 credits.**
    pub async fn submit_markdown(&self, request: &MarkdownDeck) -> Submission<Deck> {
        self.submit(CREATE_BY_MARKDOWN, request).await
    }

    /// Makes a deck from a topic or an outline, by AI. **11 to 12 credits**, and 10 more with `with_create_log_flag`.
    pub async fn submit_gpt(&self, request: &GptDeck) -> Submission<Deck> {
        self.submit(CREATE_BY_GPT, request).await
    }

    /// Makes a better-looking deck from an uploaded one, by AI. **How many credits, the vendor does not say**; 10 more
    /// with `with_create_log_flag`.
    pub async fn submit_ppt(&self, request: &PptDeck) -> Submission<Deck> {
        self.submit(CREATE_BY_PPT, request).await
    }

    /// Makes a private template from an uploaded deck. **How many credits, the vendor does not say.**
    ///
    /// Its success has no deck, but a [`template_id`](Ready::template_id).
    pub async fn submit_template(&self, request: &TemplateFromPpt) -> Submission<Deck> {
        self.submit(CREATE_TEMPLATE, request).await
    }

    /// The job known as `id`. Sends nothing.
    pub fn deck(&self, id: JobId) -> Job<Deck> {
        Job::attach(self.kind(), id)
    }

    /// The kind itself, for tickets and fleets.
    pub fn kind(&self) -> Arc<Deck> {
        Arc::new(Deck {
            client: self.clone(),
        })
    }

    /// The PDF of the deck known as `id`. Sends nothing; each look of a wait for it **may cost 10 credits**, within `budget`.
    pub fn pdf(&self, id: JobId, budget: PdfBudget) -> Job<Pdf> {
        Job::attach(self.pdf_kind(budget), id)
    }

    /// The kind itself, for tickets and fleets. The budget holds for each job of it.
    pub fn pdf_kind(&self, budget: PdfBudget) -> Arc<Pdf> {
        Arc::new(Pdf::new(self, budget))
    }

    /// Where pictures of the process are streamed from, for a job that this client created with `with_create_log_flag`.
    /// The format of that stream is not documented.
    pub fn create_log_url(&self, id: &JobId) -> Option<SecretText> {
        self.create_log_urls().get(id).cloned()
    }

    /// Brings a deck to disk: a .pptx whose every part was checked. Free and harmless to repeat.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when the job made no deck, or its link has expired and a new one does too,
    /// [`ErrorKind::UnexpectedResponse`] when the bytes are not a whole .pptx, [`ErrorKind::TooLarge`], [`ErrorKind::LocalIo`]. Nothing
    /// appears at the final name then.
    pub async fn download_deck(
        &self,
        ready: &Ready,
        target: &OutputPath,
    ) -> Result<(SavedFile, DeckSummary), Error> {
        let deadline = self.0.transport.download_deadline();
        let (verified, outline) = self.fetch_deck(ready, target, deadline).await?;
        Ok((verified.save().await?, outline))
    }

    /// [`download_deck`](Self::download_deck) up to the point of giving it its name, and until `deadline`.
    ///
    /// # Errors
    /// As [`download_deck`](Self::download_deck); bytes that arrived whole and are no deck are handed over as
    /// [`DownloadError::Invalid`].
    pub async fn fetch_deck(
        &self,
        ready: &Ready,
        target: &OutputPath,
        deadline: Moment,
    ) -> Result<(Verified, DeckSummary), DownloadError> {
        const OPERATION: &str = "fetch_deck";
        let gone = |message: &str| {
            Error::new(ErrorKind::NotFound, VENDOR, OPERATION)
                .with_delivery(Delivery::Answered)
                .with_job(ready.job_id.clone())
                .with_message(message)
        };
        let link = ready.ppt_url().ok_or_else(|| {
            gone("the job succeeded without a deck")
                .with_help("create it with create_ppt_flag set to true")
        })?;
        let fetch = |link| Download::new(OPERATION, link).with_deadline(deadline);
        let fetched = match self.fetch(fetch(link), &ready.job_id, target).await {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let look =
                    retry::idempotent(&**self.clock(), async || self.look(&ready.job_id).await);
                let renewed = bounded(&**self.clock(), deadline, look).await;
                let no_new_one = || gone("the link has expired, and the vendor gives no new one");
                let Status::Succeeded(renewed) = renewed.ok_or(error)??.status else {
                    return Err(no_new_one().into());
                };
                let link = renewed.ppt_url().ok_or_else(no_new_one)?;
                self.fetch(fetch(link), &ready.job_id, target).await?
            }
            outcome => outcome?,
        };
        fetched.verify(result::inspect_pptx).await
    }

    /// Brings an exported PDF to disk. Free and harmless to repeat, as long as its link lives; nobody says how long.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when the link has expired; it is not asked for again, because that may cost 10 credits.
    /// Otherwise as [`download_deck`](Self::download_deck).
    pub async fn download_pdf(
        &self,
        ready: &PdfReady,
        target: &OutputPath,
    ) -> Result<SavedFile, Error> {
        let deadline = self.0.transport.download_deadline();
        let verified = self.fetch_pdf(ready, target, deadline).await?;
        verified.save().await
    }

    /// [`download_pdf`](Self::download_pdf) up to the point of giving it its name, and until `deadline`.
    ///
    /// # Errors
    /// As [`download_pdf`](Self::download_pdf); bytes that arrived whole and are no PDF are handed over as
    /// [`DownloadError::Invalid`].
    pub async fn fetch_pdf(
        &self,
        ready: &PdfReady,
        target: &OutputPath,
        deadline: Moment,
    ) -> Result<Verified, DownloadError> {
        let fetch = Download::new("fetch_pdf", ready.pdf_url()).with_deadline(deadline);
        let fetched = self.fetch(fetch, &ready.job_id, target).await;
        let fetched = fetched.map_err(|error| match error.kind() {
            ErrorKind::NotFound => {
                error.with_help("a new link needs another get_pdf, which may cost 10 credits")
            }
            _ => error,
        })?;
        let (verified, ()) = fetched.verify(result::inspect_pdf).await?;
        Ok(verified)
    }

    async fn fetch<'a>(
        &self,
        fetch: Download<'a>,
        id: &'a JobId,
        target: &OutputPath,
    ) -> Result<UnverifiedFile, Error> {
        let fetch = fetch.for_job(id);
        self.0.transport.download(fetch, target).await
    }

    /// A page of the account's jobs, newest first. Free and harmless to repeat.
    ///
    /// Entries have neither `queue_wait_count` nor `preview_img_list`.
    ///
    /// # Errors
    /// As [`account_info`](Self::account_info).
    pub async fn list_jobs(&self, request: &ListRequest) -> Result<Page<JobInfo>, Error> {
        let listing: Listing<JobInfo> = self.read(JOB_LIST, request).await?;
        Ok(listing.into())
    }

    /// All jobs of the account, page by page.
    pub fn job_pages(&self, request: &ListRequest) -> Pages<JobInfo> {
        self.pages(JOB_LIST, request)
    }

    /// One job as the vendor describes it. Free and harmless to repeat, every 5 s at most.
    ///
    /// # Errors
    /// As [`account_info`](Self::account_info), and the vendor's refusal of an unknown id.
    pub async fn job_info(&self, id: &JobId) -> Result<JobInfo, Error> {
        retry::idempotent(&**self.clock(), async || {
            let answer = self.ask_for_job(id).await?;
            job::described(id, &answer, self.codes())
        })
        .await
    }

    /// Deletes a job. Free and harmless to repeat. What becomes of its links is not documented.
    ///
    /// # Errors
    /// As [`account_info`](Self::account_info), and the vendor's refusal of an unknown id.
    pub async fn delete_job(&self, id: &JobId) -> Result<(), Error> {
        self.delete(JOB_DEL, &IdRequest::new(id.to_string())).await
    }

    /// Texts and pictures of a deck, for a compliance review. Free and harmless to repeat.
    ///
    /// # Errors
    /// As [`account_info`](Self::account_info), and the vendor's refusal of an unknown id.
    pub async fn quality_data(&self, id: &JobId) -> Result<QualityData, Error> {
        self.read(GET_QUALITY, &IdRequest::new(id.to_string()))
            .await
    }

    /// A link to view or edit a deck. Free and harmless to repeat. Treat it as a secret: whoever has it may be let in.
    ///
    /// # Errors
    /// As [`account_info`](Self::account_info), and the vendor's refusal of an unknown id.
    pub async fn jump_link(
        &self,
        id: &JobId,
        theme: Theme,
        for_mobile: bool,
    ) -> Result<SecretText, Error> {
        let mut request = JumpLinkRequest::new(id.to_string());
        request.theme = Some(theme);
        request.mobile_flag = Some(for_mobile);
        let link: JumpLinkData = self.read(GET_JUMP_LINK, &request).await?;
        Ok(link.url)
    }

    async fn submit<I: Input + Serialize>(
        &self,
        operation: Operation,
        input: &I,
    ) -> Submission<Deck> {
        let checked = input
            .check()
            .map_err(|problem| Error::invalid_input(VENDOR, operation.name, problem));
        let body = match checked.and_then(|()| operation.json(input)) {
            Ok(body) => body,
            Err(error) => return Submission::Rejected(error),
        };
        let kind = self.kind();
        let sent_at = self.clock().wall();
        let outcome = retry::non_idempotent(&**self.clock(), async || {
            self.create(operation, &body).await
        });
        Submission::new(&kind, &input.what(), sent_at, outcome.await)
    }

    async fn create(&self, operation: Operation, body: &Bytes) -> Result<JobId, Error> {
        let call = operation.with_json(body).non_idempotent();
        let answer = self.send(call.with_timeout(self.0.timeouts.create)).await?;
        let id = envelope::accepted(&answer, self.codes())?;
        let log_url = answer.json().get("data").get("create_log_url").filled();
        if let Some(url) = log_url {
            self.create_log_urls()
                .insert(id.clone(), SecretText::new(url));
        }
        Ok(id)
    }

    fn create_log_urls(&self) -> std::sync::MutexGuard<'_, HashMap<JobId, SecretText>> {
        self.0
            .create_log_urls
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at a job once. Free, harmless to repeat, and not before the vendor's floor: [`Job::wait`] sees to that.
    pub(crate) async fn look(&self, id: &JobId) -> PollResult<Ready> {
        let answer = self.ask_for_job(id).await?;
        job::seen(id, &answer, self.codes())
    }

    async fn ask_for_job(&self, id: &JobId) -> Result<Response, Error> {
        let body = JOB_GET.json(&IdRequest::new(id.to_string()))?;
        self.send(JOB_GET.with_json(&body).for_job(id)).await
    }

    /// One page of the job list, entry by entry: one that cannot be read must not spoil the others.
    pub(crate) async fn look_at_page(&self, request: &ListRequest) -> Result<Page<Value>, Error> {
        let body = JOB_LIST.json(request)?;
        let answer = self.send(JOB_LIST.with_json(&body)).await?;
        let listing: Listing<Value> = envelope::open(&answer, self.codes())?;
        Ok(listing.into())
    }

    /// A free read: sent again on transient trouble.
    pub(crate) async fn read<T: DeserializeOwned>(
        &self,
        operation: Operation,
        request: &impl Serialize,
    ) -> Result<T, Error> {
        let body = operation.json(request)?;
        retry::idempotent(&**self.clock(), async || {
            envelope::open(&self.send(operation.with_json(&body)).await?, self.codes())
        })
        .await
    }

    /// The same for one thing out of `data`.
    pub(crate) async fn read_part<T>(
        &self,
        operation: Operation,
        request: &impl Serialize,
        take: impl Fn(&Response, &LenientJson) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let body = operation.json(request)?;
        retry::idempotent(&**self.clock(), async || {
            let answer = self.send(operation.with_json(&body)).await?;
            let json = envelope::read(&answer, self.codes())?;
            take(&answer, &json)
        })
        .await
    }

    /// A harmless change that answers nothing.
    pub(crate) async fn order(
        &self,
        operation: Operation,
        request: &impl Serialize,
    ) -> Result<(), Error> {
        let body = operation.json(request)?;
        retry::idempotent(&**self.clock(), async || {
            envelope::check(&self.send(operation.with_json(&body)).await?, self.codes())
        })
        .await
    }

    /// The same for a deletion: what is not found after a lost answer was deleted by the try before.
    pub(crate) async fn delete(
        &self,
        operation: Operation,
        request: &impl Serialize,
    ) -> Result<(), Error> {
        let body = operation.json(request)?;
        let was_lost = AtomicBool::new(false);
        retry::idempotent(&**self.clock(), async || {
            let answer = self.send(operation.with_json(&body)).await;
            match answer.and_then(|answer| envelope::check(&answer, self.codes())) {
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    if was_lost.load(Ordering::Relaxed) {
                        Ok(())
                    } else {
                        Err(error)
                    }
                }
                Err(error) => {
                    was_lost.fetch_or(error.delivery() == Delivery::MaybeSent, Ordering::Relaxed);
                    Err(error)
                }
                Ok(()) => Ok(()),
            }
        })
        .await
    }

    pub(crate) fn pages<T: DeserializeOwned>(
        &self,
        operation: Operation,
        request: &impl Serialize,
    ) -> Pages<T> {
        let request = serde_json::to_value(request).unwrap_or_default();
        Pages::new(self, operation, request)
    }

    pub(crate) async fn send(&self, request: Request) -> Result<Response, Error> {
        self.0
            .transport
            .send(self.0.credentials.sign(request))
            .await
    }

    pub(crate) async fn stream(&self, request: Request) -> Result<StreamingResponse, Error> {
        let request = request.with_timeout(self.0.timeouts.model);
        self.0
            .transport
            .stream(self.0.credentials.sign(request))
            .await
    }

    pub(crate) fn account(&self) -> Account {
        self.0.credentials.account()
    }

    pub(crate) fn facts(&self) -> &KindPolicy {
        &self.0.facts
    }

    pub(crate) fn pdf_facts(&self) -> &KindPolicy {
        &self.0.pdf_facts
    }

    pub(crate) fn codes(&self) -> &Codes {
        &self.0.codes
    }

    /// The API's base address.
    pub fn origin(&self) -> &Origin {
        self.0.transport.origin()
    }

    pub(crate) fn clock(&self) -> &Arc<dyn Clock> {
        self.0.transport.clock()
    }

    pub(crate) fn upload_limit(&self) -> u64 {
        self.0.upload_limit
    }

    pub(crate) fn upload_timeout(&self) -> Duration {
        self.0.timeouts.upload
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
            .field("base_url", &shown(&self.base_url))
            .field("credentials", &self.credentials)
            .finish_non_exhaustive()
    }
}
