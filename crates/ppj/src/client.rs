//! The client: one method for each operation.

use std::fmt;
use std::sync::Arc;

use jobs_core::clock::Clock;
use jobs_core::http::{ClientConfig, Origin};
use jobs_core::vendor::{Delivery, Env, KindPolicy, ResumeError, retry};
use jobs_core::{
    Error, ErrorKind, Job, JobId, LostSubmit, RunError, Secret, SubmitError, Ticket, WaitOptions,
};

use crate::api::Api;
use crate::auth::Credentials;
use crate::code::VENDOR;
use crate::envelope;
use crate::generated::types::{self, JobList, QuotaAnswer, Quotas};
use crate::job::{self, Conversion, Ready};
use crate::lost_submit::{self, Candidate};
use crate::request::{ConvertRequest, ListFilter};
use crate::route::Route;

/// The address for access keys of the type "test".
pub const SANDBOX: &str = "https://sandbox.ppj.io/api/";

/// A client of one PPJ account. Clones share its connections and its rate.
///
/// The vendor documents no rate, so there is none unless its configuration sets one, over all operations together.
#[derive(Clone)]
pub struct Client {
    api: Api,
}

/// Settings of a [`Client`].
#[derive(Debug)]
pub struct ClientBuilder {
    credentials: Credentials,
    config: ClientConfig,
    policy: KindPolicy,
    has_alias_paths: bool,
    signed_prefix: Option<String>,
}

impl ClientBuilder {
    /// Changes what the clients of all vendors can be told: address (such as [`SANDBOX`]), clock, rate, time-outs, proxies.
    ///
    /// The address includes `/api/` for an access key, and is bare for a signed account.
    #[must_use]
    pub fn with_config(mut self, change: impl FnOnce(ClientConfig) -> ClientConfig) -> Self {
        self.config = change(self.config);
        self
    }

    /// Changes the policy of the kind, such as an inferred pause.
    #[must_use]
    pub fn with_policy(mut self, change: impl FnOnce(&mut KindPolicy)) -> Self {
        change(&mut self.policy);
        self
    }

    /// Uses the second names `/job/create`, `/job/status`, `/job/download` and `/job/list` of the signed API, which are
    /// signed as they are requested. Access keys have no such names: this is ignored for them.
    #[must_use]
    pub fn with_alias_paths(mut self, has_alias_paths: bool) -> Self {
        self.has_alias_paths = has_alias_paths;
        self
    }

    /// Signs this prefix instead of the path of the base address, such as an empty one behind a gateway that adds its own.
    ///
    /// Signed is the path as requested; what a server behind a prefix sees is not documented.
    #[must_use]
    pub fn with_signed_path_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.signed_prefix = Some(prefix.into());
        self
    }

    /// Builds the client. Sends nothing.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for an unusable base address, [`ErrorKind::LocalIo`] for unusable TLS or proxy settings.
    pub fn build(self) -> Result<Client, Error> {
        let api = Api::new(
            self.credentials,
            &self.config,
            self.policy,
            self.has_alias_paths,
            self.signed_prefix,
        )?;
        Ok(Client { api })
    }
}

impl Client {
    /// Settings for the account with these credentials, which decide the API that is spoken.
    pub fn builder(credentials: Credentials) -> ClientBuilder {
        ClientBuilder {
            credentials,
            config: ClientConfig::new(),
            policy: job::policy(),
            has_alias_paths: false,
            signed_prefix: None,
        }
    }

    /// The account in `PPJ_ACCESS_KEY`, or else in `PPJ_APP_ID` and `PPJ_APP_SECRET`, at `PPJ_BASE_URL` if that is set.
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
        let is_set = |name| env.optional(name).is_some();
        let is_signed =
            !is_set("PPJ_ACCESS_KEY") && (is_set("PPJ_APP_ID") || is_set("PPJ_APP_SECRET"));
        let credentials = if is_signed {
            Credentials::Signed {
                app_id: env.secret("PPJ_APP_ID")?,
                app_secret: env.secret("PPJ_APP_SECRET")?,
            }
        } else {
            Credentials::AccessKey(access_key(env)?)
        };
        let networks = env.result_networks()?;
        let url = env.optional("PPJ_BASE_URL");
        Ok(Self::builder(credentials).with_config(|config| {
            let config = config.with_result_networks(networks);
            match url {
                Some(url) => config.with_base_url(url),
                None => config,
            }
        }))
    }

    /// A request to convert a document, or what a [`ConvertRequest`] describes. Sends nothing yet.
    pub fn convert(&self, request: impl Into<ConvertRequest>) -> ConvertRequest<Self> {
        request.into().on(self.clone())
    }

    /// The job known as `id`, its token. Sends nothing.
    pub fn job(&self, id: JobId) -> Job<Conversion> {
        Job::attach(self.kind(), id)
    }

    /// The job that a ticket names. Sends nothing.
    ///
    /// # Errors
    /// [`ResumeError`] when it belongs to another vendor, API or account.
    pub fn resume(&self, ticket: &Ticket) -> Result<Job<Conversion>, ResumeError> {
        Job::resume(self.kind(), ticket)
    }

    /// The kind itself, for tickets and fleets.
    pub fn kind(&self) -> Arc<Conversion> {
        Arc::new(Conversion {
            api: self.api.clone(),
        })
    }

    /// Everything that the vendor says of a job; signed accounts are told its state alone. Free and harmless to repeat.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] for a token that the vendor does not know.
    pub async fn show(&self, id: &JobId) -> Result<types::Job, Error> {
        self.api.read(Route::Poll(id), &[]).await
    }

    /// The jobs of the account, by token, in no documented order. Free and harmless to repeat.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for a filter that the credentials' API does not know.
    pub async fn list(&self, filter: &ListFilter) -> Result<Vec<JobId>, Error> {
        let parameters = filter.parameters(self.is_signed())?;
        let parameters: Vec<_> = parameters
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        let list: JobList = self.api.read(Route::List, &parameters).await?;
        let unusable = |problem: String| {
            Error::new(ErrorKind::UnexpectedResponse, VENDOR, "list")
                .with_delivery(Delivery::Answered)
                .with_message(problem)
        };
        let listed = i64::try_from(list.tokens.len()).unwrap_or(i64::MAX);
        if let Some(count) = list.count.filter(|count| *count > listed) {
            // No paging is documented; if there is any, a job that is not in the list may exist nevertheless.
            return Err(unusable(format!(
                "the list holds {listed} tokens of {count} jobs"
            )));
        }
        let ids = list.tokens.into_iter().map(JobId::new);
        ids.collect::<Result<_, _>>().map_err(|cause| {
            unusable("a token in the list is not usable".to_owned()).with_source(cause)
        })
    }

    /// How many projects the account may still make. Free and harmless to repeat; access keys only.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for a signed account, whose API has no such operation. Nothing is sent then.
    pub async fn quotas(&self) -> Result<Quotas, Error> {
        if self.is_signed() {
            return Err(Error::invalid_input(
                VENDOR,
                Route::Quotas.operation(),
                "the signed API does not tell quotas",
            )
            .with_help("use an access key"));
        }
        let answer: QuotaAnswer = self.api.read(Route::Quotas, &[]).await?;
        Ok(answer.summary)
    }

    /// Searches for the job of a create whose answer was lost, by the file name and size that were sent. Free and harmless
    /// to repeat.
    ///
    /// Lists what was created since and polls each. Nothing in the answer is adopted by itself: see [`Candidate`]. None at
    /// all does not prove that no job was made, if the vendor's clock is behind.
    ///
    /// # Errors
    /// As [`list`](Self::list) and [`show`](Self::show); [`ErrorKind::TooLarge`] when more than 200 jobs would have to be
    /// looked at, which also happens when the vendor ignores the date.
    pub async fn find_lost(
        &self,
        lost: &LostSubmit,
        name: &str,
        size: u64,
    ) -> Result<Vec<Candidate>, Error> {
        const MOST: usize = 200;
        let since = lost_submit::since(lost.sent_at);
        let ids = self
            .list(&ListFilter::new().with_created_from(since))
            .await?;
        if ids.len() > MOST && !self.is_signed() {
            return Err(Error::new(ErrorKind::TooLarge, VENDOR, "list")
                .with_delivery(Delivery::Answered)
                .with_message(format!("{} jobs may be the lost one", ids.len()))
                .with_help("search for it in the vendor's console"));
        }
        let mut candidates = Vec::new();
        for id in ids {
            // Signed accounts are told nothing by which to choose, so there is nothing to look at.
            let known = if self.is_signed() {
                types::Job::default()
            } else {
                match self.show(&id).await {
                    Ok(known) => known,
                    Err(error) if error.kind() == ErrorKind::NotFound => continue,
                    Err(error) => return Err(error),
                }
            };
            candidates.extend(lost_submit::candidate(id, known, since, name, size));
        }
        Ok(candidates)
    }

    /// Asks for the quotas, or a signed account for the jobs made from now on, which tells whether the credentials are
    /// accepted. Free.
    ///
    /// # Errors
    /// [`ErrorKind::Unauthenticated`] when they are refused, or whatever keeps the vendor from answering.
    pub async fn check_credentials(&self) -> Result<(), Error> {
        if !self.is_signed() {
            return self.quotas().await.map(drop);
        }
        let from_now_on = ListFilter::new().with_created_from(self.clock().wall());
        self.list(&from_now_on).await.map(drop)
    }

    /// The API's base address.
    pub fn origin(&self) -> &Origin {
        self.api.origin()
    }

    /// The clock in use.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        self.api.clock()
    }

    fn is_signed(&self) -> bool {
        self.api.is_signed()
    }
}

impl ConvertRequest<Client> {
    /// Submits the document. **Takes one project of the quota**, each time, also for the same document again.
    ///
    /// Repeated by itself only without a connection: the vendor lists no refusal after which a repetition is safe, has no
    /// idempotency key, and recognises no document that it has converted before. Whatever keeps the answer away makes the
    /// outcome unknown; then [`find_lost`](Client::find_lost) can search.
    ///
    /// # Errors
    /// [`SubmitError`], which says whether a project may have been taken.
    pub async fn submit(self) -> Result<Job<Conversion>, SubmitError> {
        let operation = Route::Create.operation();
        let api = &self.client().api;
        let md5 = self.prepare(operation).await?;
        let id = retry::non_idempotent(&**api.clock(), &self.what(), async || {
            let form = self.form(operation, &md5)?;
            envelope::accepted(operation, &api.create(&md5, form).await?)
        })
        .await?;
        Ok(Job::accepted(self.client().kind(), id))
    }

    /// Submits the document and waits for its bundle, within one deadline. **Takes one project of the quota** like
    /// [`submit`](Self::submit).
    ///
    /// ```no_run
    /// # async fn run() -> Result<(), ppj::RunError> {
    /// use ppj::{Client, Document};
    ///
    /// let quarter_of_an_hour = std::time::Duration::from_secs(900);
    /// let ready = Client::from_env()?.convert(Document::open("deck.pptx")?).run(quarter_of_an_hour).await?;
    /// ready.save("deck.zip").await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`RunError`], which says whether a project may have been taken and holds the ticket of a job that was accepted.
    pub async fn run(self, options: impl Into<WaitOptions>) -> Result<Ready, RunError> {
        let kind = self.client().kind();
        let what = self.what();
        jobs_core::vendor::run(&*kind, &what, options, self.submit()).await
    }
}

fn access_key(env: &Env<'_>) -> Result<Secret, Error> {
    let key = env.secret("PPJ_ACCESS_KEY");
    match env.optional("PPJ_ACCESS_KEY") {
        Some(_) => key,
        None => key.map_err(|error| {
            error.with_help("set PPJ_ACCESS_KEY, or PPJ_APP_ID and PPJ_APP_SECRET")
        }),
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Client").field(&self.api).finish()
    }
}
