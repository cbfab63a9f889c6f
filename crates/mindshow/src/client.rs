//! The client: jobs, and where every other operation hangs; those are methods of it in files of their own.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jobs_core::clock::Clock;
use jobs_core::http::{ClientConfig, Origin};
use jobs_core::vendor::{Env, KindPolicy, ResumeError, retry};
use jobs_core::{Error, ErrorKind, Job, JobId, RunError, Secret, SubmitError, Ticket, WaitOptions};

use crate::api::{Api, Settings};
use crate::auth::Credentials;
use crate::code::{Codes, VENDOR};
use crate::generated::types::{
    IdRequest, JobInfo, JumpLinkData, JumpLinkRequest, ListRequest, QualityData, SecretText, Theme,
};
use crate::job::{self, Deck, Ready};
use crate::operation::{GET_JUMP_LINK, GET_QUALITY, JOB_DEL, JOB_LIST};
use crate::page::{Listing, Page, Pages};
use crate::pdf::{self, Pdf, PdfBudget, PdfReady};
use crate::request::DeckRequest;

/// A client of one MindShow account. Clones share its connections and its rate.
///
/// The vendor documents no rate, so there is none unless its configuration sets one, over all operations together.
#[derive(Clone)]
pub struct Client {
    pub(crate) api: Api,
}

/// Settings of a [`Client`].
#[derive(Debug)]
pub struct ClientBuilder {
    credentials: Credentials,
    config: ClientConfig,
    settings: Settings,
}

impl ClientBuilder {
    /// Changes what the clients of all vendors can be told: address, clock, rate, time-outs, proxies.
    #[must_use]
    pub fn with_config(mut self, change: impl FnOnce(ClientConfig) -> ClientConfig) -> Self {
        self.config = change(self.config);
        self
    }

    /// Changes the policy of [`Deck`], such as an inferred pause.
    #[must_use]
    pub fn with_policy(mut self, change: impl FnOnce(&mut KindPolicy)) -> Self {
        change(&mut self.settings.policy);
        self
    }

    /// Changes the policy of [`Pdf`].
    #[must_use]
    pub fn with_pdf_policy(mut self, change: impl FnOnce(&mut KindPolicy)) -> Self {
        change(&mut self.settings.pdf_policy);
        self
    }

    /// Says what one of the vendor's error codes means. Codes that nobody said anything about are refusals for good.
    #[must_use]
    pub fn with_code(mut self, code: i64, kind: ErrorKind) -> Self {
        self.settings.codes.insert(code, kind);
        self
    }

    /// Gives up a create after this time, its outcome unknown; two minutes unless set, as in the vendor's own client.
    #[must_use]
    pub fn with_create_timeout(mut self, timeout: Duration) -> Self {
        self.settings.create_timeout = timeout;
        self
    }

    /// Gives up an outline or a text after this time, its outcome unknown; five minutes unless set.
    #[must_use]
    pub fn with_model_timeout(mut self, timeout: Duration) -> Self {
        self.settings.model_timeout = timeout;
        self
    }

    /// Refuses to upload more than this; 20 000 000 bytes unless set.
    ///
    /// The vendor says 20 MB, but not whether decimal or binary.
    #[must_use]
    pub fn with_upload_limit(mut self, bytes: u64) -> Self {
        self.settings.upload_limit = bytes;
        self
    }

    /// Builds the client. Sends nothing.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for an unusable server address, [`ErrorKind::LocalIo`] for unusable TLS or proxy settings.
    pub fn build(self) -> Result<Client, Error> {
        let api = Api::new(self.credentials, &self.config, self.settings)?;
        Ok(Client { api })
    }
}

impl Client {
    /// Settings for the account with this API key.
    pub fn builder(api_key: Secret) -> ClientBuilder {
        ClientBuilder {
            credentials: Credentials::new(api_key),
            config: ClientConfig::new(),
            settings: Settings {
                codes: Codes::default(),
                policy: job::policy(),
                pdf_policy: pdf::policy(),
                create_timeout: Duration::from_secs(2 * 60),
                model_timeout: Duration::from_secs(5 * 60),
                upload_limit: 20_000_000,
            },
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
        let builder = Self::builder(env.secret("MINDSHOW_API_KEY")?);
        let networks = env.result_networks()?;
        let url = env.optional("MINDSHOW_BASE_URL");
        Ok(builder.with_config(|config| {
            let config = config.with_result_networks(networks);
            match url {
                Some(url) => config.with_base_url(url),
                None => config,
            }
        }))
    }

    /// A request to make a deck or a template: of [`GptDeck`](crate::types::GptDeck) (11 to 12 credits),
    /// [`MarkdownDeck`](crate::types::MarkdownDeck) or [`JsonDeck`](crate::types::JsonDeck) (10), of an uploaded deck by
    /// [`PptDeck`](crate::types::PptDeck) or [`TemplateFromPpt`](crate::types::TemplateFromPpt) (not stated). Sends nothing yet.
    pub fn deck(&self, request: impl Into<DeckRequest>) -> DeckRequest<Self> {
        request.into().on(self.clone())
    }

    /// The job known as `id`. Sends nothing.
    pub fn job(&self, id: JobId) -> Job<Deck> {
        Job::attach(self.kind(), id)
    }

    /// The job that a ticket of a deck names. Sends nothing.
    ///
    /// # Errors
    /// [`ResumeError`] when it belongs to another vendor, kind or account.
    pub fn resume(&self, ticket: &Ticket) -> Result<Job<Deck>, ResumeError> {
        Job::resume(self.kind(), ticket)
    }

    /// The kind itself, for tickets and fleets.
    pub fn kind(&self) -> Arc<Deck> {
        Arc::new(Deck {
            api: self.api.clone(),
        })
    }

    /// A request to export the deck known as `deck` to PDF. Sends nothing yet.
    pub fn pdf(&self, deck: JobId, budget: PdfBudget) -> PdfExport {
        PdfExport {
            client: self.clone(),
            deck,
            budget,
        }
    }

    /// The PDF of the deck known as `id`. Sends nothing; each poll of a wait for it **may cost 10 credits**, within `budget`.
    pub fn pdf_job(&self, id: JobId, budget: PdfBudget) -> Job<Pdf> {
        Job::attach(self.pdf_kind(budget), id)
    }

    /// The job that a ticket of an export names. Sends nothing; a wait for it costs as that of [`pdf_job`](Self::pdf_job).
    ///
    /// # Errors
    /// [`ResumeError`] when it belongs to another vendor, kind or account.
    pub fn resume_pdf(&self, ticket: &Ticket, budget: PdfBudget) -> Result<Job<Pdf>, ResumeError> {
        Job::resume(self.pdf_kind(budget), ticket)
    }

    /// The kind itself, for tickets and fleets. The budget holds for each job of it.
    pub fn pdf_kind(&self, budget: PdfBudget) -> Arc<Pdf> {
        Arc::new(Pdf::new(&self.api, budget))
    }

    /// Where pictures of the process are streamed from, for a job that this client created with `with_create_log_flag`.
    /// The format of that stream is not documented.
    pub fn create_log_url(&self, id: &JobId) -> Option<SecretText> {
        self.api.create_log_urls().get(id).cloned()
    }

    /// A page of the account's jobs, newest first. Free and harmless to repeat.
    ///
    /// Entries have neither `queue_wait_count` nor `preview_img_list`.
    ///
    /// # Errors
    /// As [`account_info`](Self::account_info).
    pub async fn list_jobs(&self, request: &ListRequest) -> Result<Page<JobInfo>, Error> {
        let listing: Listing<JobInfo> = self.api.read(JOB_LIST, request).await?;
        Ok(listing.into())
    }

    /// All jobs of the account, page by page.
    pub fn job_pages(&self, request: &ListRequest) -> Pages<JobInfo> {
        Pages::new(&self.api, JOB_LIST, request)
    }

    /// One job as the vendor describes it. Free and harmless to repeat, every 5 s at most.
    ///
    /// # Errors
    /// As [`account_info`](Self::account_info), and the vendor's refusal of an unknown id.
    pub async fn job_info(&self, id: &JobId) -> Result<JobInfo, Error> {
        retry::idempotent(&**self.clock(), async || {
            let answer = self.api.ask_for_job(id).await?;
            job::described(id, &answer, self.api.codes())
        })
        .await
    }

    /// Deletes a job. Free and harmless to repeat. What becomes of its links is not documented.
    ///
    /// # Errors
    /// As [`account_info`](Self::account_info), and the vendor's refusal of an unknown id.
    pub async fn delete_job(&self, id: &JobId) -> Result<(), Error> {
        self.api
            .delete(JOB_DEL, &IdRequest::new(id.to_string()))
            .await
    }

    /// Texts and pictures of a deck, for a compliance review. Free and harmless to repeat.
    ///
    /// # Errors
    /// As [`account_info`](Self::account_info), and the vendor's refusal of an unknown id.
    pub async fn quality_data(&self, id: &JobId) -> Result<QualityData, Error> {
        self.api
            .read(GET_QUALITY, &IdRequest::new(id.to_string()))
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
        let link: JumpLinkData = self.api.read(GET_JUMP_LINK, &request).await?;
        Ok(link.url)
    }

    /// The API's base address.
    pub fn origin(&self) -> &Origin {
        self.api.origin()
    }

    /// The clock in use.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        self.api.clock()
    }
}

impl DeckRequest<Client> {
    /// Submits it. **Costs credits**, each time; how many, [`Client::deck`] says, and 10 more with `with_create_log_flag`.
    ///
    /// Repeated by itself only without a connection. Whatever else keeps the answer away makes the outcome unknown:
    /// [`find_lost`](Client::find_lost) searches for the job.
    ///
    /// The vendor's default makes no .pptx of a [`JsonDeck`](crate::types::JsonDeck): `JsonDeck::pptx` does. The success
    /// of a template has no deck, but a [`template_id`](Ready::template_id).
    ///
    /// # Errors
    /// [`SubmitError`], which says whether credits may have been spent.
    pub async fn submit(self) -> Result<Job<Deck>, SubmitError> {
        let api = &self.client().api;
        let (operation, body) = self.written()?;
        let id = retry::non_idempotent(&**api.clock(), &self.what(), async || {
            api.create(operation, &body).await
        })
        .await?;
        Ok(Job::accepted(self.client().kind(), id))
    }

    /// Submits it and waits for the deck, within one deadline. **Costs credits** like [`submit`](Self::submit).
    ///
    /// ```no_run
    /// # async fn run() -> Result<(), mindshow::RunError> {
    /// use mindshow::Client;
    /// use mindshow::types::{GptDeck, Language};
    ///
    /// let request = GptDeck::from_topic("The history of tea").with_page_count(12).with_language(Language::En);
    /// let ten_minutes = std::time::Duration::from_secs(600);
    /// Client::from_env()?.deck(request).run(ten_minutes).await?.save("tea.pptx").await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`RunError`], which says whether credits may have been spent and holds the ticket of a job that was accepted.
    pub async fn run(self, options: impl Into<WaitOptions>) -> Result<Ready, RunError> {
        let kind = self.client().kind();
        let what = self.what();
        jobs_core::vendor::run(&*kind, &what, options, self.submit()).await
    }
}

/// A deck to be exported to PDF, within a budget of calls.
#[derive(Debug, Clone)]
pub struct PdfExport {
    client: Client,
    deck: JobId,
    budget: PdfBudget,
}

impl PdfExport {
    /// The job that stands for the export. Sends nothing: the first poll of a wait is what starts it, and each one **may cost
    /// 10 credits**.
    ///
    /// # Errors
    /// None; it is a `Result` as that of every other submit.
    pub async fn submit(self) -> Result<Job<Pdf>, SubmitError> {
        let kind = self.client.pdf_kind(self.budget);
        Ok(Job::accepted(kind, self.deck))
    }

    /// Exports the deck. Each poll **may cost 10 credits**, within the budget.
    ///
    /// # Errors
    /// [`RunError`] with the ticket. [`ErrorKind::QuotaExceeded`] when the budget is spent.
    pub async fn run(self, options: impl Into<WaitOptions>) -> Result<PdfReady, RunError> {
        Ok(self.submit().await?.wait(options).await?)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Client").field(&self.api).finish()
    }
}
