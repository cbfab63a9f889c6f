//! The client: one method for each operation.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use jobs_core::clock::Clock;
use jobs_core::http::{ClientConfig, Origin};
use jobs_core::vendor::retry::{self, decide};
use jobs_core::vendor::{Delivery, Env, KindPolicy, Refusal, ResumeError};
use jobs_core::{Error, ErrorKind, Job, JobId, RunError, Secret, SubmitError, Ticket, WaitOptions};

use crate::action::{Action, Family};
use crate::api::{Api, Call, Language, Payload, Settings};
use crate::auth::Credentials;
use crate::code::VENDOR;
use crate::envelope;
use crate::environment::Environment;
use crate::generated::types::UploadFilesAnswer;
use crate::identity::{Agent, Product};
use crate::job::{self, Conversion, Ready};
use crate::request::{self, ConvertRequest, Source};
use crate::resource::ResourceId;
use crate::upload::{UploadRequest, Uploaded, UploadedFile};

/// Of the right form, and hardly ever issued: the vendor's ids look random.
const NO_TASK: &str = "yD000000000000000000000000000000";

/// A client of one application and company. Clones share its connections, its rates and its clock correction.
///
/// Unless its configuration says otherwise it sends at most 20 requests a second for each operation. The vendor states that
/// for the older pair and for uploads; that the current pair has the same is our inference.
#[derive(Clone)]
pub struct Client {
    api: Api,
}

/// Settings of a [`Client`].
#[derive(Debug)]
pub struct ClientBuilder {
    credentials: Credentials,
    environment: Environment,
    config: ClientConfig,
    settings: Settings,
}

impl ClientBuilder {
    /// Changes what the clients of all vendors can be told: clock, rate, time-outs, proxies. The address is that of the
    /// [`Environment`], which has two; a base address set here is refused.
    #[must_use]
    pub fn with_config(mut self, change: impl FnOnce(ClientConfig) -> ClientConfig) -> Self {
        self.config = change(self.config);
        self
    }

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
        self.settings.family = family;
        self
    }

    /// Changes the policy of the kind, such as an inferred pause.
    #[must_use]
    pub fn with_policy(mut self, change: impl FnOnce(&mut KindPolicy)) -> Self {
        change(&mut self.settings.policy);
        self
    }

    /// Signs uploads for a service of this name instead of the product's.
    ///
    /// The vendor's own clients disagree: some sign with the product, some with `file`. Both are evidently taken.
    #[must_use]
    pub fn with_upload_service(mut self, service: impl Into<String>) -> Self {
        self.settings.upload_service = Some(service.into());
        self
    }

    /// Names a region, which these operations do not need.
    #[must_use]
    pub fn with_region(mut self, region: impl Into<String>) -> Self {
        self.settings.region = Some(region.into());
        self
    }

    /// Asks for messages in this language; English unless set.
    #[must_use]
    pub fn with_language(mut self, language: Language) -> Self {
        self.settings.language = language;
        self
    }

    /// Lets a job run on whose state is a negative number that nobody documents.
    ///
    /// Unless set it counts as failed, because all documented negative numbers do. That is our inference.
    #[must_use]
    pub fn with_unknown_negative_states_running(mut self, running: bool) -> Self {
        self.settings.negative_runs_on = running;
        self
    }

    /// Builds the client. Sends nothing.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for an unusable address or id,
    /// [`ErrorKind::LocalIo`] for unusable TLS or proxy settings.
    pub fn build(self) -> Result<Client, Error> {
        if self.config.base_url().is_some() {
            let problem = "this vendor has two hosts, so one base address is not enough";
            return Err(Error::invalid_input(VENDOR, "configure", problem)
                .with_help("set both with ClientBuilder::with_environment"));
        }
        let api = Api::new(
            self.credentials,
            &self.environment,
            &self.config,
            self.settings,
        )?;
        Ok(Client { api })
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
            environment: Environment::Production,
            config: ClientConfig::new(),
            settings: Settings {
                product: product.into(),
                family: Family::Current,
                policy: job::policy(),
                upload_service: None,
                region: None,
                language: Language::English,
                negative_runs_on: false,
            },
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
        builder.settings.product.check()?;
        if env.optional(TOKEN).is_some() {
            builder = builder.with_session_token(env.secret(TOKEN)?);
        }
        builder.environment = Environment::from_env(env, &builder.settings.product)?;
        if let Some(family) = env.optional(API) {
            builder.settings.family = family.parse().map_err(|problem| {
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

    /// A request to convert a file to a PDF that can be signed, or what a [`ConvertRequest`] describes. Sends nothing yet.
    pub fn convert(&self, request: impl Into<ConvertRequest>) -> ConvertRequest<Self> {
        request.into().on(self.clone())
    }

    /// Stores files at the vendor for about an hour. No price is documented. Repeated once by itself, and more often where
    /// no work can have begun: what is stored twice expires unused.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for files that the vendor would not take,
    /// [`ErrorKind::LocalIo`] for those that cannot be read, and whatever the vendor answers.
    pub async fn upload_files(&self, request: &UploadRequest<'_>) -> Result<Uploaded, Error> {
        let product = &self.api.settings().product;
        request.check(product)?;
        let parcel = request.parcel(product)?;
        let payload = Payload::Parcel {
            hash: parcel.hash().await?,
            parcel,
        };
        let upload = async || {
            let (json, answer) = self.api.call(&Call::new(Action::Upload, &payload)).await?;
            let content = json.value().try_decode::<UploadFilesAnswer>();
            let content = content.map_err(|cause| {
                answer.unexpected_with("the content is not as documented", cause)
            })?;
            Ok((content.response, answer))
        };
        let (outcome, answer) =
            retry::with(&**self.api.clock(), pause_before_upload, upload).await?;
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

    /// The job known as `id`, created by the client's pair of operations. Sends nothing.
    pub fn job(&self, id: JobId) -> Job<Conversion> {
        Job::attach(self.kind(), id)
    }

    /// The job that a ticket names, with the pair of operations that it was created by. Sends nothing.
    ///
    /// # Errors
    /// [`ResumeError`] when it belongs to another vendor, product or account.
    pub fn resume(&self, ticket: &Ticket) -> Result<Job<Conversion>, ResumeError> {
        let legacy = Family::Legacy.kind_name(&self.api.settings().product);
        let family = if ticket.kind() == legacy {
            Family::Legacy
        } else {
            Family::Current
        };
        Job::resume(self.kind_of(family), ticket)
    }

    /// The kind itself, for tickets and fleets.
    pub fn kind(&self) -> Arc<Conversion> {
        self.kind_of(self.api.settings().family)
    }

    /// The kind whose jobs are polled by this pair of operations.
    pub fn kind_of(&self, family: Family) -> Arc<Conversion> {
        Arc::new(Conversion {
            api: self.api.clone(),
            family,
        })
    }

    /// Polls a task that cannot exist, which tells whether the credentials are accepted. Free, as every poll.
    ///
    /// # Errors
    /// [`ErrorKind::Unauthenticated`] when they are refused, or whatever keeps the vendor from answering.
    pub async fn check_credentials(&self) -> Result<(), Error> {
        let payload = Payload::json(request::describe(&self.api.settings().product, NO_TASK)?);
        let call = Call {
            operation: "check",
            ..Call::new(Action::Poll(self.api.settings().family), &payload)
        };
        match self.api.call(&call).await {
            Ok(_) => Ok(()),
            Err(error) if matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::NotFound) => {
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// The base addresses for general operations and for uploads.
    pub fn origins(&self) -> [&Origin; 2] {
        self.api.origins()
    }

    /// The clock in use.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        self.api.clock()
    }
}

impl ConvertRequest<Client> {
    /// Uploads the file if it is not there yet, and converts it. The upload is free and is repeated once if need be. No price
    /// is documented for the conversion, but **each call is a task of its own**: the vendor knows no idempotency key.
    ///
    /// Repeated by itself only where no work can have begun: without a connection, after `RequestLimitExceeded`, and once
    /// with a corrected clock after `AuthFailure.SignatureExpire`. Whatever else keeps the answer away makes the outcome
    /// unknown, and no operation lists tasks.
    ///
    /// # Errors
    /// [`SubmitError`], which says whether a task may have been made.
    pub async fn submit(self) -> Result<Job<Conversion>, SubmitError> {
        let client = self.client();
        let resource_type = self.resource_type()?;
        let name = self.name();
        let uploaded;
        let resource_id = match self.source() {
            Source::Uploaded { resource_id, .. } => resource_id,
            Source::Document(document) => {
                // An upload alone starts nothing, so whatever became of it, no conversion was begun.
                let stored = client.upload_files(&UploadRequest::new([document])).await?;
                let file = stored.files.into_iter().next();
                let nothing = || Error::invalid_input(VENDOR, "upload", "no file was stored");
                uploaded = file.ok_or_else(nothing)?.id;
                &uploaded
            }
        };
        let api = &client.api;
        let body = request::create(&api.settings().product, resource_id, &resource_type, name)?;
        let (kind, payload) = (client.kind(), Payload::json(body));
        let id = retry::non_idempotent(&**api.clock(), &self.what(), async || {
            let call = Call::new(Action::Create(kind.family), &payload);
            let (id, _) = api.answered(&call, envelope::accepted).await?;
            Ok(id)
        })
        .await?;
        Ok(Job::accepted(kind, id))
    }

    /// Uploads and converts the file, and waits for the PDF, within one deadline. What it costs, [`submit`](Self::submit)
    /// tells.
    ///
    /// ```no_run
    /// # async fn run() -> Result<(), tencent_ess::RunError> {
    /// use tencent_ess::{Client, Document};
    ///
    /// let three_minutes = std::time::Duration::from_secs(180);
    /// let ready = Client::from_env()?.convert(Document::open("contract.docx")?).run(three_minutes).await?;
    /// println!("start the contract with {}", ready.resource_id);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`RunError`], which says whether a task may have been made and holds the ticket of a job that was accepted.
    pub async fn run(self, options: impl Into<WaitOptions>) -> Result<Ready, RunError> {
        let kind = self.client().kind();
        let what = self.what();
        jobs_core::vendor::run(&*kind, &what, options, self.submit()).await
    }
}

/// The pause before an upload is repeated; `None` when it is not.
///
/// Where the vendor may have stored the files it is repeated once, since the first ids expire unused.
fn pause_before_upload(error: &Error, repeats: u32) -> Option<Duration> {
    let before_work = error.delivery() == Delivery::NotSent || error.refusal() != Refusal::Final;
    decide::idempotent(error, repeats).filter(|_| before_work || repeats == 0)
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Client").field(&self.api).finish()
    }
}
