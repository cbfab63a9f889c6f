//! The client: one method for each operation.

use std::fmt;
use std::sync::Arc;

use jobs_core::clock::Clock;
use jobs_core::disk::OutputPath;
use jobs_core::http::{ClientConfig, Origin, Response, SavedFile};
use jobs_core::vendor::{Env, KindPolicy, ResumeError, retry};
use jobs_core::{Error, ErrorKind, Job, JobId, RunError, Secret, SubmitError, Ticket, WaitOptions};

use crate::api::Api;
use crate::auth::Credentials;
use crate::code::VENDOR;
use crate::envelope;
use crate::job::{self, Parse, Ready};
use crate::request::ParseRequest;
use crate::result::{self, Parsed};

/// Well-formed, and never issued: the vendor's ids are random.
const NO_JOB: &str = "00000000000000000000000000000000";

/// A client of one TextIn account. Clones share its connections and its rate.
///
/// Unless its configuration says otherwise it sends at most 2 requests a second over all operations. The vendor states that
/// for an older endpoint; that it holds for this one, for submits and polls together, is our inference.
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
}

impl ClientBuilder {
    /// Changes what the clients of all vendors can be told: address, clock, rate, time-outs, proxies.
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

    /// Builds the client. Sends nothing.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for an unusable server address, [`ErrorKind::LocalIo`] for unusable TLS or proxy settings.
    pub fn build(self) -> Result<Client, Error> {
        let api = Api::new(self.credentials, &self.config, self.policy)?;
        Ok(Client { api })
    }
}

impl Client {
    /// Settings for the account with this application id and secret code.
    pub fn builder(app_id: Secret, secret_code: Secret) -> ClientBuilder {
        ClientBuilder {
            credentials: Credentials::new(app_id, secret_code),
            config: ClientConfig::new(),
            policy: job::policy(),
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
        );
        let networks = env.result_networks()?;
        let url = env.optional("TEXTIN_SERVER_URL");
        Ok(builder.with_config(|config| {
            let config = config.with_result_networks(networks);
            match url {
                Some(url) => config.with_base_url(url),
                None => config,
            }
        }))
    }

    /// A request to parse a document, or what a [`ParseRequest`] describes. Sends nothing yet.
    pub fn parse(&self, request: impl Into<ParseRequest>) -> ParseRequest<Self> {
        request.into().on(self.clone())
    }

    /// The job known as `id`. Sends nothing.
    pub fn job(&self, id: JobId) -> Job<Parse> {
        Job::attach(self.kind(), id)
    }

    /// The job that a ticket names. Sends nothing.
    ///
    /// # Errors
    /// [`ResumeError`] when it belongs to another vendor or account.
    pub fn resume(&self, ticket: &Ticket) -> Result<Job<Parse>, ResumeError> {
        Job::resume(self.kind(), ticket)
    }

    /// The kind itself, for tickets and fleets.
    pub fn kind(&self) -> Arc<Parse> {
        Arc::new(Parse {
            api: self.api.clone(),
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
        let fetched = self.api.fetch_export(file_id, target).await?;
        let (verified, ()) = fetched.verify(|_, _| Ok(())).await?;
        verified.save().await
    }

    /// Asks about a job that cannot exist, which tells whether the credentials are accepted. Free, as every poll.
    ///
    /// # Errors
    /// [`ErrorKind::Unauthenticated`] when they are refused, or whatever keeps the vendor from answering.
    pub async fn check_credentials(&self) -> Result<(), Error> {
        match envelope::open(&self.api.poll("check", NO_JOB).await?) {
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
        self.api.origin()
    }

    /// The clock in use.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        self.api.clock()
    }
}

impl ParseRequest<Client> {
    /// Submits the document. **Billed** for each page that is parsed, each time, also for the same document again.
    ///
    /// Repeated by itself only where no work can have begun: without a connection, and up to twice after the codes
    /// 30203 and 40306. Whatever else keeps the answer away makes the outcome unknown.
    ///
    /// # Errors
    /// [`SubmitError`], which says whether the pages may have been billed.
    pub async fn submit(self) -> Result<Job<Parse>, SubmitError> {
        let id = self
            .paid("submit", "async", |answer| envelope::accepted(&answer))
            .await?;
        Ok(Job::accepted(self.client().kind(), id))
    }

    /// Submits the document and waits for its result, within one deadline. **Billed** like [`submit`](Self::submit).
    ///
    /// ```no_run
    /// # async fn run() -> Result<(), textin::RunError> {
    /// use textin::{Client, Document};
    ///
    /// let ten_minutes = std::time::Duration::from_secs(600);
    /// let parsed = Client::from_env()?.parse(Document::open("report.pdf")?).run(ten_minutes).await?;
    /// println!("{}", parsed.markdown().await?);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`RunError`], which says whether the pages may have been billed and holds the ticket of a job that was accepted.
    pub async fn run(self, options: impl Into<WaitOptions>) -> Result<Ready, RunError> {
        let kind = self.client().kind();
        let what = self.what();
        jobs_core::vendor::run(&*kind, &what, options, self.submit()).await
    }

    /// Parses while the connection is held. **Billed** like [`submit`](Self::submit).
    ///
    /// For small documents only: should the connection break, the result is lost and the pages are billed. Of a document
    /// that was parsed in part, the good part is kept and [`Parsed::partial`] tells.
    ///
    /// # Errors
    /// [`SubmitError`], which says whether the pages may have been billed.
    pub async fn run_now(self) -> Result<Parsed, SubmitError> {
        self.paid("parse", "sync", |answer| parsed(&answer)).await
    }

    /// The paid call that ends in `last`.
    async fn paid<T>(
        &self,
        operation: &'static str,
        last: &str,
        read: impl Fn(Response) -> Result<T, Error>,
    ) -> Result<T, SubmitError> {
        self.check(operation)?;
        let api = &self.client().api;
        retry::non_idempotent(&**api.clock(), &self.what(), async || {
            let form = self.form(operation, last == "async")?;
            read(api.submit(operation, last, form).await?)
        })
        .await
    }
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
        f.debug_tuple("Client").field(&self.api).finish()
    }
}
