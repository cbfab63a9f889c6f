//! The client: one method for each operation.

use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use jobs_core::disk::OutputPath;
use jobs_core::http::{
    Body, Download, DownloadError, HttpClient, HttpClientBuilder, Origin, Request, Response,
    ResultNetworks, SavedFile, Verified, shown,
};
use jobs_core::{
    Account, Clock, Delivery, Env, Error, ErrorKind, Job, JobId, KindPolicy, LostSubmit, Moment,
    PollResult, RateLimit, RateLimiter, Secret, SharedRate, Submission, SystemClock, retry,
};

use crate::auth::{Credentials, Headers};
use crate::bundle::{self, Bundle};
use crate::code::VENDOR;
use crate::envelope;
use crate::generated::types::{self, JobList, QuotaAnswer, Quotas};
use crate::job::{self, Conversion, Ready};
use crate::lost_submit::{self, Candidate};
use crate::request::{ConvertRequest, JobFilter};
use crate::route::Route;

const PRODUCTION: &str = "https://ppj.io/api/";
const SIGNED: &str = "https://api.ppj.io/";

/// The address for access keys of the type "test".
pub const SANDBOX: &str = "https://sandbox.ppj.io/api/";

/// A client of one PPJ account. Clones share its connections and its rate.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    transport: HttpClient,
    credentials: Credentials,
    facts: KindPolicy,
    upload_timeout: Duration,
    has_alias_paths: bool,
    signed_prefix: String,
}

/// Settings of a [`Client`].
pub struct ClientBuilder {
    credentials: Credentials,
    base_url: String,
    clock: Arc<dyn Clock>,
    facts: KindPolicy,
    rate: Option<RateLimit>,
    shared_rate: Option<Arc<dyn SharedRate>>,
    upload_timeout: Duration,
    has_alias_paths: bool,
    signed_prefix: Option<String>,
    result_networks: ResultNetworks,
    configure: Box<dyn FnOnce(HttpClientBuilder) -> HttpClientBuilder + Send>,
}

impl ClientBuilder {
    /// Talks to another server than the vendor's production, such as [`SANDBOX`]: `https`, or `http` on this machine.
    ///
    /// It includes `/api/` for an access key, and is bare for a signed account.
    #[must_use]
    pub fn with_base_url(mut self, url: impl Into<String>) -> Self {
        self.base_url = url.into();
        self
    }

    /// Uses this clock for every pause, and its time of day for signatures.
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

    /// Sends at most `requests` a second over all operations. The vendor documents no rate, so there is none unless set.
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
    /// [`ErrorKind::InvalidInput`] for an unusable base address, [`ErrorKind::LocalIo`] for unusable TLS or proxy settings.
    pub fn build(self) -> Result<Client, Error> {
        let origin = Origin::parse(&self.base_url).map_err(|problem| {
            Error::invalid_input(
                VENDOR,
                "configure",
                format!("the base address is unusable: {problem}"),
            )
            .with_help("set PPJ_BASE_URL to an https address")
        })?;
        let signed_prefix = self
            .signed_prefix
            .unwrap_or_else(|| origin.prefix().to_owned());
        let mut quota = RateLimiter::new(Arc::clone(&self.clock), self.rate.as_slice());
        if let Some(rate) = self.shared_rate {
            quota = quota.with_shared_rate(rate, self.credentials.account(), "requests");
        }
        let transport = HttpClientBuilder::new(VENDOR, origin)
            .with_clock(self.clock)
            .with_rate_limiter(quota)
            .with_secrets(self.credentials.secrets())
            .with_account_ids(self.credentials.id())
            .with_result_networks(self.result_networks);
        Ok(Client(Arc::new(Inner {
            transport: (self.configure)(transport).build()?,
            has_alias_paths: self.has_alias_paths && self.credentials.is_signed(),
            credentials: self.credentials,
            facts: self.facts,
            upload_timeout: self.upload_timeout,
            signed_prefix,
        })))
    }
}

impl Client {
    /// Settings for the account with these credentials, which decide the API that is spoken.
    pub fn builder(credentials: Credentials) -> ClientBuilder {
        let base_url = if credentials.is_signed() {
            SIGNED
        } else {
            PRODUCTION
        };
        ClientBuilder {
            credentials,
            base_url: base_url.to_owned(),
            clock: SystemClock::shared(),
            facts: job::policy(),
            rate: None,
            shared_rate: None,
            upload_timeout: Duration::from_secs(15 * 60),
            has_alias_paths: false,
            signed_prefix: None,
            result_networks: ResultNetworks::default(),
            configure: Box::new(|transport| transport),
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
        let builder = Self::builder(credentials).with_result_networks(env.result_networks()?);
        Ok(match env.optional("PPJ_BASE_URL") {
            Some(url) => builder.with_base_url(url),
            None => builder,
        })
    }

    /// Submits a document for conversion. **Takes one project of the quota**, each time, also for the same document again.
    ///
    /// Repeated by itself only without a connection: the vendor lists no refusal after which a repetition is safe, has no
    /// idempotency key, and recognises no document that it has converted before. Whatever keeps the answer away makes the
    /// outcome unknown; then [`find_lost`](Self::find_lost) can search.
    pub async fn submit_convert(&self, request: &ConvertRequest) -> Submission<Conversion> {
        let route = Route::Create;
        let kind = self.kind();
        let md5 = match request.prepare(route.operation()).await {
            Ok(md5) => md5,
            Err(error) => return Submission::Rejected(error),
        };
        let sent_at = self.clock().wall();
        let outcome = retry::non_idempotent(&**self.clock(), async || {
            let form = request.form(route.operation(), &md5)?;
            let signed = [("file_md5", md5.as_str())];
            let call = Request::post(route.operation(), &self.path(route))
                .with_body(Body::Form(form))
                .with_timeout(self.0.upload_timeout);
            let headers = self.headers("POST", route, &signed);
            let answer = self
                .0
                .transport
                .send(headers.onto(call).non_idempotent())
                .await?;
            envelope::accepted(route.operation(), &answer)
        });
        Submission::new(&kind, &request.what(), sent_at, outcome.await)
    }

    /// The job known as `id`, its token. Sends nothing.
    pub fn conversion(&self, id: JobId) -> Job<Conversion> {
        Job::attach(self.kind(), id)
    }

    /// The kind itself, for tickets and fleets.
    pub fn kind(&self) -> Arc<Conversion> {
        Arc::new(Conversion {
            client: self.clone(),
        })
    }

    /// Looks at a job once. Free, harmless to repeat, and not before the vendor's floor: [`Job::wait`] sees to that.
    pub(crate) async fn look(&self, id: &JobId) -> PollResult<Ready> {
        let answer = self.get(Route::Poll(id), &[]).await?;
        let life = self.0.facts.result_ttl.as_ref().map(|life| life.value);
        job::seen(id, &answer, self.is_signed(), life)
    }

    /// Everything that the vendor says of a job; signed accounts are told its state alone. Free and harmless to repeat.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] for a token that the vendor does not know.
    pub async fn show(&self, id: &JobId) -> Result<types::Job, Error> {
        self.read(Route::Poll(id), &[]).await
    }

    /// The jobs of the account, by token, in no documented order. Free and harmless to repeat.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for a filter that the credentials' API does not know.
    pub async fn list(&self, filter: &JobFilter) -> Result<Vec<JobId>, Error> {
        let parameters = filter.parameters(self.is_signed())?;
        let parameters: Vec<_> = parameters
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        let list: JobList = self.read(Route::List, &parameters).await?;
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
        let answer: QuotaAnswer = self.read(Route::Quotas, &[]).await?;
        Ok(answer.summary)
    }

    /// Searches for the job of a create whose answer was lost, by the file name and size that were sent. Free and harmless
    /// to repeat.
    ///
    /// Lists what was created since and looks at each. Nothing in the answer is adopted by itself: see [`Candidate`]. None at
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
            .list(&JobFilter::new().with_created_from(since))
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

    /// Brings the bundle to disk as the vendor serves it, byte for byte, after every entry of it was checked. Free and
    /// harmless to repeat, until it is purged after three days.
    ///
    /// # Errors
    /// [`ErrorKind::Refused`] when the job has no bundle (any more), [`ErrorKind::NotFound`] for an unknown token,
    /// [`ErrorKind::UnexpectedResponse`] when the bytes are not a whole bundle, [`ErrorKind::TooLarge`], [`ErrorKind::LocalIo`]. Nothing
    /// appears at the final name then.
    pub async fn download_zip(
        &self,
        ready: &Ready,
        target: &OutputPath,
    ) -> Result<(SavedFile, Bundle), Error> {
        let deadline = self.0.transport.download_deadline();
        let (verified, bundle) = self.fetch_zip(ready, target, deadline).await?;
        Ok((verified.save().await?, bundle))
    }

    /// [`download_zip`](Self::download_zip) up to the point of giving it its name, and until `deadline`.
    ///
    /// # Errors
    /// As [`download_zip`](Self::download_zip); bytes that arrived whole and are no bundle are handed over as
    /// [`DownloadError::Invalid`].
    pub async fn fetch_zip(
        &self,
        ready: &Ready,
        target: &OutputPath,
        deadline: Moment,
    ) -> Result<(Verified, Bundle), DownloadError> {
        let route = Route::Download(&ready.job_id);
        let query = self.query(route, &[]);
        let link = self.0.transport.link(&self.path(route), &query);
        // Signed once for all attempts: the vendor documents no window in which a timestamp is taken.
        let headers = self.headers("GET", route, &query);
        let refusal = |answer: &Response| envelope::rejection(route.operation(), answer);
        let fetch = Download::new(route.operation(), &link)
            .for_job(&ready.job_id)
            .with_deadline(deadline)
            .with_error_decoder(&refusal);
        let fetched = self
            .0
            .transport
            .download(headers.onto_download(fetch), target)
            .await?;
        fetched.verify(bundle::verify).await
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
        let from_now_on = JobFilter::new().with_created_from(self.clock().wall());
        self.list(&from_now_on).await.map(drop)
    }

    /// The API's base address.
    pub fn origin(&self) -> &Origin {
        self.0.transport.origin()
    }

    /// The clock in use.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        self.0.transport.clock()
    }

    /// A harmless call, repeated while the trouble is transient.
    async fn read<T: serde::de::DeserializeOwned>(
        &self,
        route: Route<'_>,
        parameters: &[(&str, &str)],
    ) -> Result<T, Error> {
        retry::idempotent(&**self.clock(), async || {
            let answer = self.get(route, parameters).await?;
            envelope::open(route.operation(), &answer)
        })
        .await
    }

    async fn get(&self, route: Route<'_>, parameters: &[(&str, &str)]) -> Result<Response, Error> {
        let query = self.query(route, parameters);
        let call = Request::get(route.operation(), &self.path(route));
        let call = match route.token() {
            Some(id) => call.for_job(id),
            None => call,
        };
        let call = query
            .iter()
            .fold(call, |call, (name, value)| call.with_query(name, value));
        let headers = self.headers("GET", route, &query);
        self.0.transport.send(headers.onto(call)).await
    }

    fn path<'a>(&self, route: Route<'a>) -> Vec<&'a str> {
        route.path(self.0.has_alias_paths)
    }

    /// The token is a signed parameter even where it only stands in the path. Sent in the query as well, it is found by
    /// servers that build the signed text from the query alone, as the vendor's own sample does.
    fn query<'a>(
        &self,
        route: Route<'a>,
        parameters: &[(&'a str, &'a str)],
    ) -> Vec<(&'a str, &'a str)> {
        let token = route.token().filter(|_| self.is_signed());
        let token = token.map(|id| ("token", id.as_str()));
        token
            .into_iter()
            .chain(parameters.iter().copied())
            .collect()
    }

    fn headers(&self, method: &str, route: Route<'_>, parameters: &[(&str, &str)]) -> Headers {
        let path = format!("{}/{}", self.0.signed_prefix, self.path(route).join("/"));
        self.0
            .credentials
            .headers(method, &path, parameters, self.clock().wall())
    }

    pub(crate) fn is_signed(&self) -> bool {
        self.0.credentials.is_signed()
    }

    pub(crate) fn account(&self) -> Account {
        self.0.credentials.account()
    }

    pub(crate) fn facts(&self) -> &KindPolicy {
        &self.0.facts
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
        f.debug_struct("Client")
            .field("origin", self.0.transport.origin())
            .field("account", &self.0.credentials.account())
            .field("is_signed", &self.is_signed())
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
