//! The vendor's operations over HTTP: one raw method for each, with the credentials of one account.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jobs_core::clock::{Clock, Moment};
use jobs_core::disk::OutputPath;
use jobs_core::http::{
    Body, ClientConfig, Download, Form, HttpClient, Origin, Request, Response, UnverifiedFile,
};
use jobs_core::vendor::{Account, KindPolicy};
use jobs_core::{Error, JobId};

use crate::auth::Credentials;
use crate::code::VENDOR;

const PRODUCTION: &str = "https://api.textin.com";
const PATH: &[&str] = &["api", "v1", "xparse", "parse"];

/// Clones share connections and rate.
#[derive(Clone)]
pub(crate) struct Api(Arc<Inner>);

struct Inner {
    transport: HttpClient,
    credentials: Credentials,
    policy: KindPolicy,
    upload_timeout: Duration,
}

impl Api {
    pub(crate) fn new(
        credentials: Credentials,
        config: &ClientConfig,
        policy: KindPolicy,
    ) -> Result<Self, Error> {
        let origin = config.origin(VENDOR, "TEXTIN_SERVER_URL", PRODUCTION)?;
        let account = credentials.account();
        let quota = config.rate_limiter(account, "requests", std::num::NonZeroU32::new(2));
        let transport = config.http_client(VENDOR, origin, |transport| {
            transport
                .with_rate_limiter(quota)
                .with_secrets(credentials.secrets())
                .with_account_ids([credentials.id()])
        });
        Ok(Self(Arc::new(Inner {
            transport: transport.build()?,
            upload_timeout: config.upload_timeout(),
            credentials,
            policy,
        })))
    }

    /// Submits a document, to be parsed by a job or while the connection is held. Charged for.
    pub(crate) async fn submit(
        &self,
        operation: &'static str,
        last: &str,
        form: Form,
    ) -> Result<Response, Error> {
        let call = Request::post(operation, &path(&[last])).with_body(Body::Form(form));
        let call = call.with_timeout(self.0.upload_timeout);
        self.0.transport.submit(self.0.credentials.sign(call)).await
    }

    /// Polls a job once.
    pub(crate) async fn poll(&self, operation: &'static str, id: &str) -> Result<Response, Error> {
        self.send(Request::get(operation, &path(&["async", id])))
            .await
    }

    /// Polls the job that an error is to name.
    pub(crate) async fn poll_job(&self, id: &JobId) -> Result<Response, Error> {
        let call = Request::get("poll", &path(&["async", id.as_str()]));
        self.send(call.for_job(id)).await
    }

    /// Brings what lies behind a result link to disk.
    pub(crate) async fn fetch(
        &self,
        id: &JobId,
        link: &str,
        target: &OutputPath,
        deadline: Moment,
    ) -> Result<UnverifiedFile, Error> {
        let fetch = result(id, link).with_deadline(deadline);
        self.0.transport.download(fetch, target).await
    }

    /// Reads what lies behind a result link into memory.
    pub(crate) async fn read(&self, id: &JobId, link: &str) -> Result<Vec<u8>, Error> {
        let transport = &self.0.transport;
        let fetch = result(id, link).with_max_size(transport.max_response_size());
        transport.download_to_memory(fetch).await
    }

    /// Brings an exported file to disk.
    pub(crate) async fn fetch_export(
        &self,
        file_id: &str,
        target: &OutputPath,
    ) -> Result<UnverifiedFile, Error> {
        let transport = &self.0.transport;
        let link = transport.link(&["export_file", "download"], &[("file_id", file_id)]);
        let headers = self.0.credentials.headers().into_iter();
        let fetch = headers.fold(Download::new("export", &link), |fetch, (name, value)| {
            fetch.with_secret_header(name, value)
        });
        transport.download(fetch, target).await
    }

    async fn send(&self, request: Request) -> Result<Response, Error> {
        self.0
            .transport
            .send(self.0.credentials.sign(request))
            .await
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

fn path<'a>(last: &[&'a str]) -> Vec<&'a str> {
    [PATH, last].concat()
}

fn result<'a>(id: &'a JobId, link: &'a str) -> Download<'a> {
    Download::new("fetch", link).for_job(id)
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api")
            .field("origin", self.0.transport.origin())
            .field("credentials", &self.0.credentials)
            .finish()
    }
}
