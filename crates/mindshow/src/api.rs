//! How every operation is sent: with the key of one account, and repeated where that is harmless.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use jobs_core::clock::{Clock, Moment};
use jobs_core::disk::OutputPath;
use jobs_core::http::{
    ClientConfig, Download, HttpClient, LenientJson, Origin, Request, Response, StreamingResponse,
    UnverifiedFile,
};
use jobs_core::vendor::{Account, Delivery, KindPolicy, retry};
use jobs_core::{Error, ErrorKind, JobId};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::auth::Credentials;
use crate::code::{Codes, VENDOR};
use crate::envelope;
use crate::generated::types::{IdRequest, SecretText};
use crate::operation::{JOB_GET, Operation};

const PRODUCTION: &str = "https://api.mindshow.vip";

/// Clones share connections and rate.
#[derive(Clone)]
pub(crate) struct Api(Arc<Inner>);

struct Inner {
    transport: HttpClient,
    credentials: Credentials,
    settings: Settings,
    upload_timeout: Duration,
    /// Where pictures of the process are streamed from, for the jobs of this client that paid for them.
    create_log_urls: Mutex<HashMap<JobId, SecretText>>,
}

/// What this vendor's clients can be told beside what those of all vendors can.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) codes: Codes,
    pub(crate) policy: KindPolicy,
    pub(crate) pdf_policy: KindPolicy,
    pub(crate) create_timeout: Duration,
    pub(crate) model_timeout: Duration,
    pub(crate) upload_limit: u64,
}

impl Api {
    pub(crate) fn new(
        credentials: Credentials,
        config: &ClientConfig,
        settings: Settings,
    ) -> Result<Self, Error> {
        let origin = config.origin(VENDOR, "MINDSHOW_BASE_URL", PRODUCTION)?;
        let quota = config.rate_limiter(credentials.account(), "requests", None);
        let transport = config.http_client(VENDOR, origin, |transport| {
            transport
                .with_rate_limiter(quota)
                .with_secrets(credentials.secrets())
        });
        Ok(Self(Arc::new(Inner {
            transport: transport.build()?,
            credentials,
            settings,
            upload_timeout: config.upload_timeout(),
            create_log_urls: Mutex::default(),
        })))
    }

    /// One try of a create. Charged for.
    pub(crate) async fn create(&self, operation: Operation, body: &Bytes) -> Result<JobId, Error> {
        let call = operation.with_json(body);
        let call = call.with_timeout(self.0.settings.create_timeout);
        let call = self.0.credentials.sign(call);
        let answer = self.0.transport.submit(call).await?;
        let id = envelope::accepted(&answer, self.codes())?;
        let log_url = answer.json().get("data").get("create_log_url").filled();
        if let Some(url) = log_url {
            self.create_log_urls()
                .insert(id.clone(), SecretText::new(url));
        }
        Ok(id)
    }

    pub(crate) fn create_log_urls(&self) -> std::sync::MutexGuard<'_, HashMap<JobId, SecretText>> {
        self.0
            .create_log_urls
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for one job.
    pub(crate) async fn ask_for_job(&self, id: &JobId) -> Result<Response, Error> {
        let body = JOB_GET.json(&IdRequest::new(id.to_string()))?;
        self.send(JOB_GET.with_json(&body).for_job(id)).await
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

    pub(crate) async fn send(&self, request: Request) -> Result<Response, Error> {
        self.0
            .transport
            .send(self.0.credentials.sign(request))
            .await
    }

    pub(crate) async fn stream(&self, request: Request) -> Result<StreamingResponse, Error> {
        let request = request.with_timeout(self.0.settings.model_timeout);
        self.0
            .transport
            .stream(self.0.credentials.sign(request))
            .await
    }

    pub(crate) async fn fetch<'a>(
        &self,
        fetch: Download<'a>,
        id: &'a JobId,
        target: &OutputPath,
    ) -> Result<UnverifiedFile, Error> {
        let fetch = fetch.for_job(id);
        self.0.transport.download(fetch, target).await
    }

    pub(crate) fn download_deadline(&self) -> Moment {
        self.0.transport.download_deadline()
    }

    pub(crate) fn account(&self) -> Account {
        self.0.credentials.account()
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.0.settings
    }

    pub(crate) fn codes(&self) -> &Codes {
        &self.0.settings.codes
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

    pub(crate) fn upload_timeout(&self) -> Duration {
        self.0.upload_timeout
    }
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api")
            .field("origin", self.0.transport.origin())
            .field("credentials", &self.0.credentials)
            .finish_non_exhaustive()
    }
}
