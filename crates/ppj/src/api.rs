//! The vendor's operations over HTTP: what each sends, signed by the account's credentials.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jobs_core::clock::{Clock, Moment};
use jobs_core::disk::OutputPath;
use jobs_core::http::{
    Body, ClientConfig, Download, Form, HttpClient, Origin, Request, Response, UnverifiedFile,
};
use jobs_core::vendor::{Account, KindPolicy, retry};
use jobs_core::{Error, JobId};

use crate::auth::{Credentials, Headers};
use crate::code::VENDOR;
use crate::envelope;
use crate::route::Route;

const PRODUCTION: &str = "https://ppj.io/api/";
const SIGNED: &str = "https://api.ppj.io/";

/// Clones share connections and rate.
#[derive(Clone)]
pub(crate) struct Api(Arc<Inner>);

struct Inner {
    transport: HttpClient,
    credentials: Credentials,
    policy: KindPolicy,
    upload_timeout: Duration,
    has_alias_paths: bool,
    signed_prefix: String,
}

impl Api {
    pub(crate) fn new(
        credentials: Credentials,
        config: &ClientConfig,
        policy: KindPolicy,
        has_alias_paths: bool,
        signed_prefix: Option<String>,
    ) -> Result<Self, Error> {
        let default = if credentials.is_signed() {
            SIGNED
        } else {
            PRODUCTION
        };
        let origin = config.origin(VENDOR, "PPJ_BASE_URL", default)?;
        let signed_prefix = signed_prefix.unwrap_or_else(|| origin.prefix().to_owned());
        let quota = config.rate_limiter(credentials.account(), "requests", None);
        let transport = config.http_client(VENDOR, origin, |transport| {
            transport
                .with_rate_limiter(quota)
                .with_secrets(credentials.secrets())
                .with_account_ids(credentials.id())
        });
        Ok(Self(Arc::new(Inner {
            transport: transport.build()?,
            has_alias_paths: has_alias_paths && credentials.is_signed(),
            credentials,
            policy,
            upload_timeout: config.upload_timeout(),
            signed_prefix,
        })))
    }

    /// Submits a document. Takes one project.
    pub(crate) async fn create(&self, md5: &str, form: Form) -> Result<Response, Error> {
        let route = Route::Create;
        let call = Request::post(route.operation(), &self.path(route))
            .with_body(Body::Form(form))
            .with_timeout(self.0.upload_timeout);
        let headers = self.headers("POST", route, &[("file_md5", md5)]);
        self.0.transport.submit(headers.onto(call)).await
    }

    /// A harmless call, repeated while the trouble is transient.
    pub(crate) async fn read<T: serde::de::DeserializeOwned>(
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

    pub(crate) async fn get(
        &self,
        route: Route<'_>,
        parameters: &[(&str, &str)],
    ) -> Result<Response, Error> {
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

    /// Brings a bundle to disk.
    pub(crate) async fn fetch(
        &self,
        id: &JobId,
        target: &OutputPath,
        deadline: Moment,
    ) -> Result<UnverifiedFile, Error> {
        let route = Route::Download(id);
        let query = self.query(route, &[]);
        let link = self.0.transport.link(&self.path(route), &query);
        // Signed once for all attempts: the vendor documents no window in which a timestamp is taken.
        let headers = self.headers("GET", route, &query);
        let refusal = |answer: &Response| envelope::rejection(route.operation(), answer);
        let fetch = Download::new(route.operation(), &link)
            .for_job(id)
            .with_deadline(deadline)
            .with_error_decoder(&refusal);
        let fetch = headers.onto_download(fetch);
        self.0.transport.download(fetch, target).await
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

    pub(crate) fn origin(&self) -> &Origin {
        self.0.transport.origin()
    }

    /// The same for all clones, and for nobody else while one of them lives.
    pub(crate) fn address(&self) -> usize {
        Arc::as_ptr(&self.0) as usize
    }

    pub(crate) fn clock(&self) -> &Arc<dyn Clock> {
        self.0.transport.clock()
    }

    pub(crate) fn account(&self) -> Account {
        self.0.credentials.account()
    }

    pub(crate) fn policy(&self) -> &KindPolicy {
        &self.0.policy
    }

    pub(crate) fn download_deadline(&self) -> Moment {
        self.0.transport.download_deadline()
    }
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api")
            .field("origin", self.0.transport.origin())
            .field("account", &self.0.credentials.account())
            .field("is_signed", &self.is_signed())
            .finish()
    }
}
