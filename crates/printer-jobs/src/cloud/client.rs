//! The client: one method for each operation.

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use jobs_core::clock::{Clock, SystemClock};
use jobs_core::http::{Body, HttpClient, HttpClientBuilder, Origin, Request, Response};
use jobs_core::vendor::retry::{self, decide};
use jobs_core::{Error, ErrorKind, JobId, Secret, SubmitError};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::envelope::{self, VENDOR};
use super::list::{self, CloudQuery, Page, Pages};
use super::qr::{LoginQrType, QrCache, QrCode, Wanted};
use super::request::{DeviceStatus, ScanFile};
use super::token::{Fresh, Slot};
use crate::code::Handling;
use crate::integrity::MAX_FILE_BYTES;
use crate::lenient::{self, Object};
use crate::wire::{ListedJob, MAX_PAGE, PrintOutcome, PrintReport, ReportNumbering};

const PRODUCTION: &str = "https://qyapi.weixin.qq.com/cgi-bin/openhw/";

/// A client for one device of one model. Clones share its connections and its tokens.
#[derive(Clone)]
pub struct CloudClient(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) transport: HttpClient,
    model_id: String,
    model_secret: Secret,
    device_sn: String,
    model_ticket: RwLock<Option<Secret>>,
    device_secret: RwLock<Option<Secret>>,
    model_token: Slot,
    device_token: Slot,
    drawn: Mutex<QrCache>,
    numbering: ReportNumbering,
    pub(crate) max_file: u64,
}

/// Settings of a [`CloudClient`].
pub struct CloudClientBuilder {
    model_id: String,
    model_secret: Secret,
    device_sn: String,
    model_ticket: Option<Secret>,
    device_secret: Option<Secret>,
    base_url: String,
    clock: Arc<dyn Clock>,
    numbering: ReportNumbering,
    max_file: u64,
    configure: Box<dyn FnOnce(HttpClientBuilder) -> HttpClientBuilder + Send>,
}

impl CloudClientBuilder {
    /// The newest model ticket; see [`CloudClient::set_model_ticket`].
    #[must_use]
    pub fn with_model_ticket(mut self, ticket: Secret) -> Self {
        self.model_ticket = Some(ticket);
        self
    }

    /// Talks to another server than the vendor's: `https`, or `http` on this machine.
    #[must_use]
    pub fn with_base_url(mut self, url: impl Into<String>) -> Self {
        self.base_url = url.into();
        self
    }

    /// Uses this clock.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Uses the other numbers in reports.
    #[must_use]
    pub fn with_report_numbering(mut self, numbering: ReportNumbering) -> Self {
        self.numbering = numbering;
        self
    }

    /// Refuses larger files than this; the vendor prints up to 20 MB.
    #[must_use]
    pub fn with_max_file(mut self, bytes: u64) -> Self {
        self.max_file = bytes;
        self
    }

    /// Changes the request layer, such as a proxy or a quota. The vendor documents no rate but that of QR codes.
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
    pub fn build(self) -> Result<CloudClient, Error> {
        let origin = Origin::parse(&self.base_url).map_err(|problem| {
            let problem = format!("the base address is unusable: {problem}");
            Error::invalid_input(VENDOR, "configure", problem)
        })?;
        let known = [&self.device_secret, &self.model_ticket];
        let secrets = known.into_iter().flatten().cloned();
        let transport = HttpClientBuilder::new(VENDOR, origin)
            .with_clock(self.clock)
            .with_secrets(secrets.chain([self.model_secret.clone()]));
        Ok(CloudClient(Arc::new(Inner {
            transport: (self.configure)(transport).build()?,
            model_id: self.model_id,
            model_secret: self.model_secret,
            device_sn: self.device_sn,
            model_ticket: RwLock::new(self.model_ticket),
            device_secret: RwLock::new(self.device_secret),
            model_token: Slot::default(),
            device_token: Slot::default(),
            drawn: Mutex::default(),
            numbering: self.numbering,
            max_file: self.max_file,
        })))
    }
}

/// One request, without its access token.
pub(crate) struct Call<'a> {
    operation: &'static str,
    path: &'a [&'a str],
    body: Value,
    job: Option<JobId>,
    /// What of the body no error may repeat.
    secrets: Vec<Secret>,
    is_single: bool,
}

impl<'a> Call<'a> {
    pub(crate) fn new(operation: &'static str, path: &'a [&'a str], body: Value) -> Self {
        Self {
            operation,
            path,
            body,
            job: None,
            secrets: Vec::new(),
            is_single: false,
        }
    }

    pub(crate) fn for_job(mut self, id: &str) -> Self {
        self.job = JobId::new(id).ok();
        self
    }

    fn with_secrets(mut self, secrets: Vec<Secret>) -> Self {
        self.secrets = secrets;
        self
    }

    /// Must not reach the vendor twice.
    fn single(mut self) -> Self {
        self.is_single = true;
        self
    }
}

/// An answer and what stands in it.
pub(crate) type Said = (Response, Object);

impl CloudClient {
    /// Settings for a device that a company has bound.
    pub fn builder(
        model_id: &str,
        model_secret: Secret,
        device_sn: &str,
        device_secret: Secret,
    ) -> CloudClientBuilder {
        let mut builder = Self::builder_unbound(model_id, model_secret, device_sn);
        builder.device_secret = Some(device_secret);
        builder
    }

    /// Settings for a device without a secret; see [`exchange_auth_code`](Self::exchange_auth_code).
    pub fn builder_unbound(
        model_id: &str,
        model_secret: Secret,
        device_sn: &str,
    ) -> CloudClientBuilder {
        CloudClientBuilder {
            model_id: model_id.to_owned(),
            model_secret,
            device_sn: device_sn.to_owned(),
            model_ticket: None,
            device_secret: None,
            base_url: PRODUCTION.to_owned(),
            clock: SystemClock::shared(),
            numbering: ReportNumbering::default(),
            max_file: MAX_FILE_BYTES,
            configure: Box::new(|transport| transport),
        }
    }

    /// Takes the newest model ticket. The vendor pushes one every ten minutes, and each lives half an hour.
    ///
    /// It is needed when a model token is fetched, about every two hours.
    pub fn set_model_ticket(&self, ticket: Secret) {
        put(&self.0.model_ticket, Some(ticket));
    }

    /// Exchanges the code that came with a binding for the device's secret, which is used from now on and returned to be
    /// kept. **The code can be used once**, so this is sent once.
    ///
    /// # Errors
    /// [`Delivery::MaybeSent`](jobs_core::vendor::Delivery::MaybeSent) when the answer was lost: the code may be used up then, and the company has
    /// to bind the device again.
    pub async fn exchange_auth_code(&self, auth_code: &Secret) -> Result<Secret, Error> {
        let body = json!({ "auth_code": auth_code.expose() });
        let call = Call::new("exchange auth code", &["get_device_secret"], body)
            .with_secrets(vec![auth_code.clone()])
            .single();
        let token = self.repeated(async || self.model_token().await).await?;
        let asked = self.clock().now();
        let sent = retry::non_idempotent(self.clock(), "auth code", async || {
            self.send(&call, Some((MODEL_TOKEN, &token))).await
        });
        let (answer, body) = match sent.await {
            Ok(said) => said,
            Err(SubmitError::Rejected(error)) => {
                if envelope::is_stale_token(&error) {
                    self.0.model_token.discard(&token).await;
                }
                return Err(error);
            }
            Err(SubmitError::OutcomeUnknown(lost)) => {
                return Err(lost
                    .error
                    .with_help("the code may be used up: have the company bind the device again"));
            }
        };
        let secret = secret(&answer, &body, "device_secret")?;
        self.set_device_secret(secret.clone()).await;
        if let Ok(fresh) = fresh(&answer, &body, DEVICE_TOKEN) {
            self.0.device_token.put(fresh, asked).await;
        }
        Ok(secret)
    }

    /// Uses this device secret from now on.
    pub async fn set_device_secret(&self, secret: Secret) {
        put(&self.0.device_secret, Some(secret));
        self.0.device_token.clear().await;
    }

    /// Forgets the device's secret and token, as is due when the company unbinds the device.
    pub async fn forget_device(&self) {
        put(&self.0.device_secret, None);
        self.0.device_token.clear().await;
    }

    /// All jobs of the query, over all pages and each once. Free and harmless to repeat.
    ///
    /// # Errors
    /// [`ErrorKind::UnexpectedResponse`] also for a list whose cursors do not come to an end.
    pub async fn jobs(&self, query: &CloudQuery) -> Result<Vec<ListedJob>, Error> {
        let mut pages = Pages::default();
        let mut cursor = None;
        loop {
            let (answer, page) = self.page(query.page(cursor.as_ref())).await?;
            cursor = pages
                .take(page)
                .map_err(|problem| envelope::garbled(&answer, problem))?;
            if cursor.is_none() {
                return Ok(pages.into_jobs());
            }
        }
    }

    /// These jobs, as far as the cloud knows them; 200 for each request. Free and harmless to repeat.
    ///
    /// # Errors
    /// As [`jobs`](Self::jobs). No ids ask for nothing.
    pub async fn jobs_by_id<S: AsRef<str>>(&self, ids: &[S]) -> Result<Vec<ListedJob>, Error> {
        let most = usize::try_from(MAX_PAGE).unwrap_or(usize::MAX);
        let most = NonZeroUsize::new(most).unwrap_or(NonZeroUsize::MIN);
        let mut jobs = Vec::new();
        for body in list::for_jobs(ids, most) {
            // The answer to ids is one page: the cursor is ignored together with the rest of the query.
            jobs.extend(self.page(body).await?.1.jobs);
        }
        Ok(jobs)
    }

    async fn page(&self, body: Value) -> Result<(Response, Page), Error> {
        let call = Call::new(list::OPERATION, &["device", "get_printer_job_list"], body);
        let (answer, body) = self.harmless(&call).await?;
        let page = Page::read(&answer, &body)?;
        Ok((answer, page))
    }

    /// Reports how printing ended. Harmless to repeat, as far as anybody has seen.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for a failure without a message, [`ErrorKind::NotFound`] for a job that is gone.
    pub async fn report(&self, job: &JobId, outcome: &PrintOutcome) -> Result<(), Error> {
        const OPERATION: &str = "report";
        let report = PrintReport::new(job.as_str(), outcome, self.0.numbering)
            .map_err(|problem| Error::invalid_input(VENDOR, OPERATION, problem.to_string()))?;
        let body = serde_json::to_value(report)
            .map_err(|cause| Error::local_io(VENDOR, OPERATION, "no JSON", cause))?;
        let path = &["device", "report_printer_job_status"];
        let call = Call::new(OPERATION, path, body).for_job(job.as_str());
        self.harmless(&call).await.map(drop)
    }

    /// Delivers a scanned file to the member who scanned the device's QR code.
    ///
    /// Sent once: nothing tells whether the member would get the file twice.
    ///
    /// # Errors
    /// [`Delivery::MaybeSent`](jobs_core::vendor::Delivery::MaybeSent) when the answer was lost; the member may have the file then.
    pub async fn push_scan(&self, scan: &ScanFile) -> Result<(), Error> {
        let call = Call::new("push scan", &["device", "push_scan_file"], scan.body())
            .with_secrets(scan.secrets())
            .single();
        self.repeated(async || self.device_token().await).await?;
        self.once(async || self.as_device(&call).await)
            .await
            .map(drop)
    }

    /// Reports the device's state, which is due every half hour. Free and harmless to repeat.
    ///
    /// # Errors
    /// As any request.
    pub async fn report_device_status(&self, status: &DeviceStatus) -> Result<(), Error> {
        let path = &["device", "report_device_status"];
        let call = Call::new("report device status", path, status.body());
        self.harmless(&call).await.map(drop)
    }

    /// The QR code that lets an administrator manage the device; `state` is handed back with the scan.
    ///
    /// The vendor makes one code a minute for each device, whichever kind: the same one is given again within it.
    ///
    /// # Errors
    /// [`ErrorKind::RateLimited`] with the time to wait, when this minute's code was another one.
    pub async fn login_qr(&self, state: &str, kind: LoginQrType) -> Result<QrCode, Error> {
        let body = json!({ "state": state, "type": kind.number() });
        let call = Call::new("login qr code", &["device", "gen_login_qrcode"], body).single();
        let wanted = Wanted::Login(kind, state.to_owned());
        self.repeated(async || self.device_token().await).await?;
        let draw = async || self.as_device(&call).await;
        self.draw(call.operation, wanted, draw).await
    }

    /// The QR code that a member scans to print; `state` is handed back with the scan.
    ///
    /// # Errors
    /// As [`login_qr`](Self::login_qr), whose minute it shares.
    pub async fn identity_qr(&self, state: &str) -> Result<QrCode, Error> {
        let body = json!({ "device_sn": self.0.device_sn, "state": state });
        let path = &["device", "gen_id_dynamic_qrcode"];
        let call = Call::new("identity qr code", path, body).single();
        let wanted = Wanted::Identity(state.to_owned());
        self.repeated(async || self.model_token().await).await?;
        let draw = async || self.as_model(&call).await;
        self.draw(call.operation, wanted, draw).await
    }

    async fn draw<F: Future<Output = Result<Said, Error>>>(
        &self,
        operation: &'static str,
        wanted: Wanted,
        request: impl Fn() -> F,
    ) -> Result<QrCode, Error> {
        let mut drawn = self.0.drawn.lock().await;
        if let Some(code) = drawn.poll(operation, &wanted, self.clock().now())? {
            return Ok(code);
        }
        // Before it is sent, so that a caller who gives up in the middle has used the minute up as well.
        drawn.remember(wanted.clone(), self.clock().now(), None);
        let said = self.once(request).await;
        let now = self.clock().now();
        let (answer, body) = match said {
            Ok(said) => said,
            Err(error) => {
                if error.delivery() == jobs_core::vendor::Delivery::NotSent {
                    *drawn = QrCache::default();
                } else {
                    drawn.remember(wanted, now, None);
                }
                return Err(error);
            }
        };
        drawn.remember(wanted.clone(), now, None);
        let code = QrCode {
            content: secret(&answer, &body, "qrcode_content")?,
            valid_for: lenient::unsigned(&body, "expires_in").map(Duration::from_secs),
        };
        drawn.remember(wanted, now, Some(&code));
        Ok(code)
    }

    pub(crate) fn clock(&self) -> &dyn Clock {
        &**self.0.transport.clock()
    }

    /// A call with the device's token, repeated while the trouble is transient.
    pub(crate) async fn harmless(&self, call: &Call<'_>) -> Result<Said, Error> {
        self.repeated(async || self.as_device(call).await).await
    }

    async fn repeated<T, F: Future<Output = Result<T, Error>>>(
        &self,
        call: impl Fn() -> F,
    ) -> Result<T, Error> {
        retry::with(self.clock(), pause, call).await
    }

    /// A call that is repeated only if it was never sent. Its token is there already, so that no error is about that.
    async fn once<T, F: Future<Output = Result<T, Error>>>(
        &self,
        call: impl Fn() -> F,
    ) -> Result<T, Error> {
        let outcome = retry::non_idempotent(self.clock(), "call", call).await;
        outcome.map_err(|problem| problem.error().clone())
    }

    async fn as_model(&self, call: &Call<'_>) -> Result<Said, Error> {
        let slot = &self.0.model_token;
        let fetch = async || self.model_token().await;
        self.with_token(MODEL_TOKEN, slot, fetch, call).await
    }

    async fn as_device(&self, call: &Call<'_>) -> Result<Said, Error> {
        let slot = &self.0.device_token;
        let fetch = async || self.device_token().await;
        self.with_token(DEVICE_TOKEN, slot, fetch, call).await
    }

    /// A refused token is replaced once: it may have been withdrawn before its time.
    async fn with_token<F: Future<Output = Result<Secret, Error>>>(
        &self,
        name: &'static str,
        slot: &Slot,
        fetch: impl Fn() -> F,
        call: &Call<'_>,
    ) -> Result<Said, Error> {
        let token = fetch().await?;
        match self.send(call, Some((name, &token))).await {
            Err(error) if envelope::is_stale_token(&error) => {
                slot.discard(&token).await;
                let token = fetch().await?;
                self.send(call, Some((name, &token))).await
            }
            said => said,
        }
    }

    async fn model_token(&self) -> Result<Secret, Error> {
        let slot = &self.0.model_token;
        slot.get(self.clock(), Box::pin(self.fetch_model_token()))
            .await
    }

    async fn device_token(&self) -> Result<Secret, Error> {
        let slot = &self.0.device_token;
        slot.get(self.clock(), Box::pin(self.fetch_device_token()))
            .await
    }

    async fn fetch_model_token(&self) -> Result<Fresh, Error> {
        const OPERATION: &str = "get model token";
        let Some(ticket) = get(&self.0.model_ticket) else {
            return Err(Error::new(ErrorKind::Unauthenticated, VENDOR, OPERATION)
                .with_message("there is no model ticket")
                .with_help("hand in the ticket that the vendor pushes every ten minutes"));
        };
        let body = json!({
            "model_id": self.0.model_id,
            "model_secret": self.0.model_secret.expose(),
            "model_ticket": ticket.expose(),
        });
        let call = Call::new(OPERATION, &["get_model_token"], body);
        let (answer, body) = self.send(&call, None).await?;
        fresh(&answer, &body, MODEL_TOKEN)
    }

    async fn fetch_device_token(&self) -> Result<Fresh, Error> {
        const OPERATION: &str = "get device token";
        let Some(device_secret) = get(&self.0.device_secret) else {
            return Err(Error::new(ErrorKind::Unauthenticated, VENDOR, OPERATION)
                .with_message("no company has bound the device")
                .with_help("bind it in WeCom and exchange the auth code"));
        };
        let body = json!({
            "device_sn": self.0.device_sn,
            "device_secret": device_secret.expose(),
        });
        let call = Call::new(OPERATION, &["get_device_token"], body);
        let (answer, body) = self.as_model(&call).await?;
        fresh(&answer, &body, DEVICE_TOKEN)
    }

    async fn send(
        &self,
        call: &Call<'_>,
        token: Option<(&'static str, &Secret)>,
    ) -> Result<Said, Error> {
        let body = Body::Bytes {
            content_type: "application/json",
            bytes: call.body.to_string().into(),
        };
        let mut request = Request::post(call.operation, call.path).with_body(body);
        if let Some((name, token)) = token {
            // The vendor wants it in the address, which neither errors nor logs show.
            request = request.with_query(name, token.expose());
        }
        if let Some(job) = &call.job {
            request = request.for_job(job);
        }
        if call.is_single {
            request = request.non_idempotent();
        }
        let answer = Box::pin(self.0.transport.send(request)).await?;
        let mut secrets = call.secrets.clone();
        secrets.extend(token.map(|(_, token)| token.clone()));
        secrets.extend(get(&self.0.model_ticket));
        secrets.extend(get(&self.0.device_secret));
        let body = envelope::open(&answer, &secrets)?;
        Ok((answer, body))
    }
}

const MODEL_TOKEN: &str = "model_access_token";
const DEVICE_TOKEN: &str = "device_access_token";

/// As for any harmless call, but no oftener than the code allows.
fn pause(error: &Error, repeats: u32) -> Option<Duration> {
    let most = match envelope::code(error).map(crate::code::Code::handling) {
        Some(Handling::Retry { attempts }) => attempts,
        _ => u32::MAX,
    };
    decide::idempotent(error, repeats).filter(|_| repeats < most)
}

fn fresh(answer: &Response, body: &Object, key: &'static str) -> Result<Fresh, Error> {
    Ok(Fresh {
        token: secret(answer, body, key)?,
        life: lenient::unsigned(body, "expires_in").map(Duration::from_secs),
    })
}

pub(crate) fn secret(answer: &Response, body: &Object, key: &'static str) -> Result<Secret, Error> {
    let text = lenient::text(body, key).unwrap_or_default();
    Secret::new(text)
        .map_err(|_| envelope::garbled(answer, &format!("the answer has no usable `{key}`")))
}

fn get(place: &RwLock<Option<Secret>>) -> Option<Secret> {
    let held = place.read().unwrap_or_else(PoisonError::into_inner);
    held.clone()
}

fn put(place: &RwLock<Option<Secret>>, secret: Option<Secret>) {
    *place.write().unwrap_or_else(PoisonError::into_inner) = secret;
}

impl fmt::Debug for CloudClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CloudClient")
            .field("origin", self.0.transport.origin())
            .field("device_sn", &self.0.device_sn)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for CloudClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CloudClientBuilder")
            .field("base_url", &self.base_url)
            .field("device_sn", &self.device_sn)
            .finish_non_exhaustive()
    }
}
