//! The device: one method for each thing a printer does.

mod absences;
mod builder;
mod destination;
mod download;
mod listing;
mod policy;

use std::fmt;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jobs_core::clock::{Clock, bounded};
use jobs_core::vendor::retry::decide;
use jobs_core::vendor::{Account, Delivery, KindPolicy, RateLimiter};
use jobs_core::{Error, ErrorKind, JobId, Secret};
use serde_json::Value;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio_tungstenite::tungstenite::{Bytes, Message};

use crate::envelope::{self, Answer, CommandBody};
use crate::errors::{OperationContext, VENDOR};
use crate::events::Events;
use crate::integrity::MAX_FILE_BYTES;
use crate::login::Phase;
use crate::sign::Nonce;
use crate::supervisor::{ConnectionStatus, Reply, Requests, Shared, SupervisorCommand, random};
use crate::wire::{
    CorpInfo, CorpInfoRequest, DeviceFeature, ErrorReport, LoginQr, PrintOutcome, PrintReport,
    PrinterQr, ReportNumbering, ScanArgs,
};
use crate::{Command, ProtocolError, qr};

use absences::MissingJobs;
pub use builder::DeviceBuilder;
pub use destination::{Destination, Downloaded};
pub(crate) use policy::BATCH;

/// How files are fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Transfer {
    /// In pieces of at most this many bytes. What arrived survives a lost connection.
    Chunks(NonZeroU32),
    /// In one message.
    Whole,
}

/// How the pages of a jpg job are fetched. The vendor documents no way, so both are inferences.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum PageFetch {
    /// The file is all pages joined in order; the listed sizes tell where each begins.
    #[default]
    Joined,
    /// Each page by an undocumented index field.
    ByIndex,
}

/// A device that is, or is trying to be, online. Clones are the same device; when the last one is dropped, it hangs up.
///
/// Commands wait up to the answer time-out (15 s) for the device to be online, and fail at once while no company has bound
/// it. Those that are harmless to repeat are
/// repeated by themselves while the trouble is transient.
#[derive(Clone)]
pub struct Device(Arc<Inner>);

struct Inner {
    sn: String,
    clock: Arc<dyn Clock>,
    shared: Arc<Shared>,
    status: watch::Receiver<ConnectionStatus>,
    commands: mpsc::UnboundedSender<SupervisorCommand>,
    requests: Mutex<Requests>,
    /// Whoever holds a turn may have a `printer/*` command in flight.
    fair_lock: Semaphore,
    list_limiter: RateLimiter,
    answer_timeout: Duration,
    download_timeout: Duration,
    transfer: Transfer,
    pages: PageFetch,
    max_file: u64,
    numbering: ReportNumbering,
    policy: KindPolicy,
    absences: MissingJobs,
}

impl Device {
    /// Settings for the device with this serial number and SecretNo.
    pub fn builder(sn: impl Into<String>, secret_no: Secret) -> DeviceBuilder {
        DeviceBuilder::new(sn.into(), Some(secret_no), None)
    }

    /// Settings for a device that knows its model's seed only, which is exchanged once for a SecretNo of its own.
    ///
    /// Give it a durable store: the SecretNo is given out a single time.
    pub fn builder_with_seed(sn: impl Into<String>, seed: Secret) -> DeviceBuilder {
        DeviceBuilder::new(sn.into(), None, Some(seed))
    }

    /// Where the device stands now.
    pub fn phase(&self) -> Phase {
        self.0.status.borrow().phase
    }

    /// Where the device stands, each time it changes; `false` when the device has ended.
    pub async fn phase_changed(&self, from: Phase) -> bool {
        let mut standing = self.0.status.clone();
        standing.wait_for(|it| it.phase != from).await.is_ok()
    }

    /// Waits until commands can be sent, at most this long.
    ///
    /// # Errors
    /// [`ErrorKind::Unauthenticated`] with code 600004 when no company has bound the device, with another code when the cloud
    /// refuses serial number or SecretNo (at once); [`ErrorKind::Unreachable`] when there is no connection;
    /// [`ErrorKind::LocalIo`] when credentials cannot be stored or the device is closed.
    pub async fn online(&self, deadline: Duration) -> Result<(), Error> {
        let online = |it: &ConnectionStatus| (it.phase == Phase::Online).then_some(Ok(()));
        self.watch(operation_context("online", None), deadline, online)
            .await
    }

    /// Waits until it is known whether a company has bound the device, at most this long.
    ///
    /// # Errors
    /// As [`online`](Self::online).
    pub async fn is_bound(&self, deadline: Duration) -> Result<bool, Error> {
        let known = |it: &ConnectionStatus| match it.phase {
            Phase::Online => Some(Ok(true)),
            _ if it.unbound => Some(Ok(false)),
            _ => None,
        };
        self.watch(operation_context("bound", None), deadline, known)
            .await
    }

    /// What happens from now on. Each call gives a stream of its own, which holds a bounded number of pieces.
    pub fn events(&self) -> Events {
        self.0.shared.readers.subscribe()
    }

    /// Hangs up and waits until the connection is closed. Other clones get errors from then on.
    pub async fn close(&self) {
        // It has ended already when nobody takes the order.
        drop(self.0.commands.send(SupervisorCommand::Close));
        let mut standing = self.0.status.clone();
        while standing.changed().await.is_ok() {}
    }

    /// Reports how printing a job ended. Free; repeating the same report is taken to be harmless.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for a failure without a text, [`ErrorKind::NotFound`] for a job that was deleted or has lapsed.
    pub async fn report(&self, id: &JobId, outcome: &PrintOutcome) -> Result<(), Error> {
        let doing = operation_context("report", Some(id.as_str()));
        let report = PrintReport::new(id.as_str(), outcome, self.0.numbering)
            .map_err(|error| doing.protocol(error))?;
        self.request_idempotent(doing, &report).await.map(drop)
    }

    /// Reports like [`report`](Self::report), then lists the job: `Some(false)` when the cloud shows another outcome,
    /// which hints at the other [`ReportNumbering`]; `None` when it does not say.
    ///
    /// # Errors
    /// As [`report`](Self::report). A failed look after a good report is no error.
    pub async fn report_and_check(
        &self,
        id: &JobId,
        outcome: &PrintOutcome,
    ) -> Result<Option<bool>, Error> {
        self.report(id, outcome).await?;
        let listed = self.jobs_by_id(std::slice::from_ref(id)).await;
        let agrees = listed.ok().and_then(|jobs| {
            let job = jobs.into_iter().find(|job| job.id == id.as_str())?;
            outcome.agrees_with(job.status)
        });
        if agrees == Some(false) {
            tracing::warn!(job = %id, "the cloud lists another outcome than was reported");
        }
        Ok(agrees)
    }

    /// The image of the QR code that members scan to print here. `state` comes back in the scan event and in the jobs
    /// that it releases. The vendor does not state the image's type.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for an empty state.
    pub async fn printer_qr(&self, state: &str) -> Result<Vec<u8>, Error> {
        let doing = operation_context("printer_qr", None);
        let request = PrinterQr::new(state).map_err(|error| doing.protocol(error))?;
        let image = self.fetch_idempotent(doing, &request, self.0.answer_timeout);
        image.await.map(Vec::from)
    }

    /// The image of the QR code that lets an administrator log in.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for an empty state.
    pub async fn login_qr(&self, state: &str) -> Result<Vec<u8>, Error> {
        let doing = operation_context("login_qr", None);
        let request = LoginQr::new(state).map_err(|error| doing.protocol(error))?;
        let image = self.fetch_idempotent(doing, &request, self.0.answer_timeout);
        image.await.map(Vec::from)
    }

    /// The address behind the QR code that binds the device to a company. Made here, valid for half an hour; show a new
    /// one every ten minutes, and keep it out of logs.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for a serial number that cannot be put into an address, [`ErrorKind::Unavailable`] while the
    /// seed is not exchanged yet.
    pub fn bind_url(&self) -> Result<Secret, Error> {
        self.url("bind_url", |sn, secret_no, time, nonce| {
            qr::bind_url(sn, secret_no, time, nonce)
        })
    }

    /// The address behind the QR code that lets an administrator log in; `state` comes back in the scan event. Made here,
    /// valid for half an hour; show a new one every quarter.
    ///
    /// # Errors
    /// As [`bind_url`](Self::bind_url), also for a `state` of other characters than letters, digits and `-._~`.
    pub fn login_url(&self, state: &str) -> Result<Secret, Error> {
        self.url("login_url", |sn, secret_no, time, nonce| {
            qr::login_url(sn, secret_no, time, nonce, state)
        })
    }

    /// Delivers a scan to a member. Each call delivers one more copy, so it is repeated by itself only where the cloud
    /// refused it as damaged, once.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for more than the allowed bytes (20 MB, our inference). With [`Delivery::MaybeSent`] the member may
    /// have got it.
    pub async fn upload_scan(&self, args: &ScanArgs, data: &[u8]) -> Result<(), Error> {
        const DAMAGED: &str = "600052";
        let doing = operation_context("upload_scan", None);
        if data.len() as u64 > self.0.max_file {
            return Err(doing
                .error(ErrorKind::InvalidInput)
                .with_message("the scan is too large"));
        }
        match self.upload(doing, args, data).await {
            Err(error) if error.code() == Some(DAMAGED) => self.upload(doing, args, data).await,
            outcome => outcome,
        }
    }

    /// Tells what the device is able to do. Send it when online and after a firmware change. Harmless to repeat.
    ///
    /// # Errors
    /// Whatever keeps it from being accepted.
    pub async fn report_feature(&self, feature: &Value) -> Result<(), Error> {
        let request = DeviceFeature::new(feature);
        let doing = operation_context("report_feature", None);
        self.request_idempotent(doing, &request).await.map(drop)
    }

    /// Tells about trouble of the device itself, such as a network error. Not meant for single jobs. Not repeated.
    ///
    /// # Errors
    /// Whatever keeps it from being accepted.
    pub async fn report_error(&self, code: u32, message: &str) -> Result<(), Error> {
        let request = ErrorReport::new(code, message);
        self.request(operation_context("report_error", None), &request)
            .await
            .map(drop)
    }

    /// The company that has bound the device. Harmless to repeat.
    ///
    /// # Errors
    /// Whatever keeps it from being answered.
    pub async fn corp_info(&self) -> Result<CorpInfo, Error> {
        let doing = operation_context("corp_info", None);
        let answer = self.request_idempotent(doing, &CorpInfoRequest).await?;
        CorpInfo::from_answer(&answer).map_err(|error| doing.protocol(error))
    }

    /// The serial number.
    pub fn sn(&self) -> &str {
        &self.0.sn
    }

    pub(crate) fn account(&self) -> Account {
        Account::of(VENDOR, &self.0.sn)
    }

    pub(crate) fn policy(&self) -> &KindPolicy {
        &self.0.policy
    }

    pub(crate) fn clock(&self) -> &Arc<dyn Clock> {
        &self.0.clock
    }

    pub(crate) fn absences(&self) -> &MissingJobs {
        &self.0.absences
    }

    pub(crate) fn was_deleted(&self, id: &str) -> bool {
        self.0.shared.was_deleted(id)
    }

    async fn upload(
        &self,
        doing: OperationContext<'_>,
        args: &ScanArgs,
        data: &[u8],
    ) -> Result<(), Error> {
        let encode = |req_id: &str| args.encode(req_id, data).map(Message::binary);
        let timeout = self.0.download_timeout;
        let reply = self.call(doing, Command::UploadScanFile, timeout, encode);
        accepted(doing, reply.await?).map(drop)
    }

    fn url(
        &self,
        operation: &'static str,
        make: impl Fn(&str, &Secret, u64, Nonce) -> Result<Secret, ProtocolError>,
    ) -> Result<Secret, Error> {
        let doing = operation_context(operation, None);
        let secret_no = self.0.shared.secret_no().ok_or_else(|| {
            doing
                .error(ErrorKind::Unavailable)
                .with_message("the seed is not exchanged for a SecretNo yet")
        })?;
        let time = self.0.shared.cloud_time(&*self.0.clock);
        let nonce = Nonce::from_random(random());
        make(&self.0.sn, &secret_no, time, nonce).map_err(|error| doing.protocol(error))
    }

    /// One request that is answered by text.
    async fn request<R: CommandBody>(
        &self,
        doing: OperationContext<'_>,
        request: &R,
    ) -> Result<Answer, Error> {
        let encode = |req_id: &str| envelope::encode(request, req_id).map(Message::text);
        let reply = self.call(doing, R::COMMAND, self.0.answer_timeout, encode);
        accepted(doing, reply.await?)
    }

    /// [`request`](Self::request), repeated while the trouble is transient.
    async fn request_idempotent<R: CommandBody + Sync>(
        &self,
        doing: OperationContext<'_>,
        request: &R,
    ) -> Result<Answer, Error> {
        let mut repeats = self.repeats();
        loop {
            match self.request(doing, request).await {
                Ok(value) => return Ok(value),
                Err(error) => repeats.pause(error).await?,
            }
        }
    }

    /// [`fetch`](Self::fetch), repeated while the trouble is transient.
    async fn fetch_idempotent<R: CommandBody + Sync>(
        &self,
        doing: OperationContext<'_>,
        request: &R,
        timeout: Duration,
    ) -> Result<Bytes, Error> {
        let mut repeats = self.repeats();
        loop {
            match self.fetch(doing, request, timeout).await {
                Ok(value) => return Ok(value),
                Err(error) => repeats.pause(error).await?,
            }
        }
    }

    /// One request that is answered by a file.
    async fn fetch<R: CommandBody>(
        &self,
        doing: OperationContext<'_>,
        request: &R,
        timeout: Duration,
    ) -> Result<Bytes, Error> {
        let encode = |req_id: &str| envelope::encode(request, req_id).map(Message::text);
        match self.call(doing, R::COMMAND, timeout, encode).await? {
            Reply::File(data) => Ok(data),
            reply => match accepted(doing, reply) {
                Ok(_) => Err(doing.protocol(ProtocolError::Unexpected)),
                Err(error) => Err(error),
            },
        }
    }

    async fn call(
        &self,
        doing: OperationContext<'_>,
        command: Command,
        timeout: Duration,
        encode: impl Fn(&str) -> Result<Message, ProtocolError>,
    ) -> Result<Reply, Error> {
        let _turn = if command.is_printer() {
            // Never closed, so this cannot fail; without a turn the correlator would say so.
            self.0.fair_lock.acquire().await.ok()
        } else {
            None
        };
        self.ready(doing).await?;
        let req_id = {
            let mut requests = self
                .0
                .requests
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            requests.next()
        };
        let message = encode(&req_id).map_err(|error| doing.protocol(error))?;
        let (reply, answer) = oneshot::channel();
        let order = SupervisorCommand::Send {
            req_id: req_id.clone(),
            command,
            message,
            reply,
        };
        if self.0.commands.send(order).is_err() {
            return Err(closed(doing));
        }
        let mut waiting = Waiting {
            orders: &self.0.commands,
            req_id: Some(req_id),
            timed_out: false,
        };
        let limit = self.0.clock.now() + timeout;
        match bounded(&*self.0.clock, limit, answer).await {
            None => {
                waiting.timed_out = true;
                Err(doing.timed_out())
            }
            Some(Err(_)) => Err(closed(doing).with_delivery(Delivery::MaybeSent)),
            Some(Ok(reply)) => {
                waiting.req_id = None;
                match reply {
                    Reply::Offline => Err(self.why_offline(doing)),
                    Reply::Unbound => Err(doing.not_bound().with_delivery(Delivery::MaybeSent)),
                    Reply::Lost(cause) => Err(doing.lost(&cause)),
                    Reply::Failed(error) => Err(doing.protocol(error)),
                    reply => Ok(reply),
                }
            }
        }
    }

    /// Waits until a command can be sent. Without a company there is no use in waiting: a person must act.
    async fn ready(&self, doing: OperationContext<'_>) -> Result<(), Error> {
        let judge = |it: &ConnectionStatus| match it.phase {
            Phase::Online => Some(Ok(())),
            Phase::AwaitingBinding => Some(Err(doing.not_bound())),
            _ => None,
        };
        self.watch(doing, self.0.answer_timeout, judge).await
    }

    /// Waits until `judge` has a verdict; the device's end and the deadline are errors.
    async fn watch<T>(
        &self,
        doing: OperationContext<'_>,
        deadline: Duration,
        judge: impl Fn(&ConnectionStatus) -> Option<Result<T, Error>>,
    ) -> Result<T, Error> {
        let mut standing = self.0.status.clone();
        let settled = async {
            loop {
                {
                    let seen = standing.borrow_and_update();
                    if let Some(verdict) = judge(&seen) {
                        return verdict;
                    }
                    if matches!(seen.phase, Phase::GaveUp | Phase::Stopped)
                        && seen.last_error.is_some()
                    {
                        return Err(offline(doing, &seen));
                    }
                }
                if standing.changed().await.is_err() {
                    return Err(closed(doing));
                }
            }
        };
        let limit = self.0.clock.now() + deadline;
        match bounded(&*self.0.clock, limit, settled).await {
            Some(verdict) => verdict,
            None => Err(self.why_offline(doing)),
        }
    }

    fn why_offline(&self, doing: OperationContext<'_>) -> Error {
        offline(doing, &self.0.status.borrow())
    }

    fn repeats(&self) -> Repeats<'_> {
        Repeats {
            clock: &*self.0.clock,
            made: 0,
            doubtful: 0,
        }
    }
}

/// The repetitions of a harmless call. Not a function that takes the call: a closure that borrows makes futures which
/// cannot be spawned.
struct Repeats<'a> {
    clock: &'a dyn Clock,
    made: u32,
    doubtful: u32,
}

impl Repeats<'_> {
    /// Sleeps before the next try, or gives the error back when another try is no use.
    async fn pause(&mut self, error: Error) -> Result<(), Error> {
        // "System error" was seen for jobs whose file never comes, so it is repeated less than other trouble; so is what
        // arrives torn or too large, and what ends the connection instead.
        const DOUBTFUL: u32 = 3;
        let is_torn = error.delivery() == Delivery::MaybeSent
            && matches!(
                error.kind(),
                ErrorKind::UnexpectedResponse | ErrorKind::TooLarge | ErrorKind::Unreachable
            );
        if is_torn || error.code() == Some("-1") {
            self.doubtful += 1;
        }
        let pause = if is_torn {
            Some(Duration::from_millis(500 << self.doubtful.min(6)))
        } else {
            decide::idempotent(&error, self.made)
        };
        let Some(pause) = pause.filter(|_| self.doubtful <= DOUBTFUL) else {
            return Err(error);
        };
        tracing::debug!(%error, ?pause, "trying again");
        self.made += 1;
        // Up to a quarter longer: devices that failed together come back apart.
        let quarter = f64::from(u16::try_from(random() >> 48).unwrap_or(0)) / 262_144.0;
        let pause = pause.mul_f64(1.0 + quarter);
        self.clock.sleep_until(self.clock.now() + pause).await;
        Ok(())
    }
}

/// A request whose answer somebody waits for. Dropped early, it is given up.
struct Waiting<'a> {
    orders: &'a mpsc::UnboundedSender<SupervisorCommand>,
    req_id: Option<String>,
    timed_out: bool,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let Some(req_id) = self.req_id.take() {
            let timed_out = self.timed_out;
            // The supervisor may have ended.
            drop(
                self.orders
                    .send(SupervisorCommand::GiveUp { req_id, timed_out }),
            );
        }
    }
}

fn operation_context<'a>(operation: &'static str, job: Option<&'a str>) -> OperationContext<'a> {
    OperationContext { operation, job }
}

fn accepted(doing: OperationContext<'_>, reply: Reply) -> Result<Answer, Error> {
    match reply {
        Reply::Text(answer) => match answer.accepted() {
            Ok(_) => Ok(answer),
            Err(error) => Err(doing.protocol(error)),
        },
        _ => Err(doing.protocol(ProtocolError::Unexpected)),
    }
}

fn offline(doing: OperationContext<'_>, standing: &ConnectionStatus) -> Error {
    if standing.unbound && !matches!(standing.phase, Phase::BackingOff | Phase::Connecting) {
        return doing.not_bound();
    }
    let Some(trouble) = &standing.last_error else {
        return doing
            .error(ErrorKind::Unreachable)
            .with_message("the device is not online yet");
    };
    let error = doing
        .error(trouble.kind())
        .with_message(trouble.message().unwrap_or("the device is not online"))
        .with_request_id(trouble.request_id())
        .with_source(trouble.clone());
    let error = match trouble.code() {
        Some(code) => error.with_code(code),
        None => error,
    };
    match trouble.help() {
        Some(advice) => error.with_help(advice),
        None => error,
    }
}

fn closed(doing: OperationContext<'_>) -> Error {
    doing
        .error(ErrorKind::LocalIo)
        .with_message("the device is closed")
}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Device")
            .field("sn", &self.0.sn)
            .field("phase", &self.phase())
            .finish_non_exhaustive()
    }
}

/// The largest file in use unless set otherwise.
const MAX_FILE: u64 = MAX_FILE_BYTES;
