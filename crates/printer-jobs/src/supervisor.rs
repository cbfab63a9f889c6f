//! The one task that owns a device's connection: carries out what the login machine wants, and matches answers.

use std::collections::{BTreeSet, VecDeque};
use std::future::pending;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use jobs_core::clock::{Clock, Moment};
use jobs_core::vendor::Redactor;
use jobs_core::{Error, ErrorKind, Secret};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_rustls::TlsConnector;
use tokio_tungstenite::tungstenite::{Bytes, Message};

use crate::code::Code;
use crate::correlate::{Correlator, CorrelatorOptions, Match, Owner};
use crate::envelope::{self, Answer, Incoming, Push};
use crate::errors::{self, VENDOR};
use crate::events::{DeviceEvent, Readers};
use crate::login::{Action, CallId, Credential, Input, Login, LoginEvent, Phase, StepContext};
use crate::proxy::Proxy;
use crate::socket::{Endpoint, Inbound, Link};
use crate::store::{CredentialStore, Stored};
use crate::wire::Event;
use crate::{Command, ProtocolError, RecentIds, frame};

/// What a device handle asks of its supervisor.
#[derive(Debug)]
pub(crate) enum SupervisorCommand {
    Send {
        req_id: String,
        command: Command,
        message: Message,
        reply: oneshot::Sender<Reply>,
    },
    /// Nobody waits for this answer any more.
    GiveUp {
        req_id: String,
        timed_out: bool,
    },
    Close,
}

/// What becomes of a request.
#[derive(Debug)]
pub(crate) enum Reply {
    Text(Answer),
    File(Bytes),
    /// It was not sent: the device is not online.
    Offline,
    /// It was sent or not, and the connection is gone.
    Lost(Error),
    /// It was sent, and the company has unbound the device before the answer came.
    Unbound,
    Failed(ProtocolError),
}

enum Waiter {
    Login(CallId),
    Caller(oneshot::Sender<Reply>),
}

/// Where the device stands, for everybody to see.
#[derive(Debug, Clone)]
pub(crate) struct ConnectionStatus {
    pub(crate) phase: Phase,
    /// The cloud says that no company has bound the device.
    pub(crate) unbound: bool,
    /// Why the device is not online.
    pub(crate) last_error: Option<Error>,
}

/// What handles and supervisor share.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    pub(crate) readers: Readers,
    /// Ids of jobs that members deleted, as far as pushes told. A hint, no proof.
    deleted: Mutex<Option<RecentIds>>,
    redactor: Mutex<Redactor>,
    secret_no: Mutex<Option<Secret>>,
    clock_offset: AtomicI64,
}

impl Shared {
    /// Whether a push said that the job was deleted.
    pub(crate) fn was_deleted(&self, id: &str) -> bool {
        lock(&self.deleted)
            .as_ref()
            .is_some_and(|deleted| deleted.contains(id))
    }

    /// The device's SecretNo, unless the seed is yet to be exchanged.
    pub(crate) fn secret_no(&self) -> Option<Secret> {
        lock(&self.secret_no).clone()
    }

    /// The cloud's time, as far as it is known.
    pub(crate) fn cloud_time(&self, clock: &dyn Clock) -> u64 {
        unix(clock).saturating_add_signed(self.clock_offset.load(Ordering::Relaxed))
    }

    pub(crate) fn know(&self, secret: &Secret) {
        lock(&self.redactor).add_secret(secret);
    }

    pub(crate) fn know_secret_no(&self, secret: &Secret) {
        self.know(secret);
        *lock(&self.secret_no) = Some(secret.clone());
    }

    /// The text without any credential that the cloud may have quoted.
    fn hide(&self, text: &str) -> String {
        lock(&self.redactor).redact(text)
    }

    fn forget_binding(&self) {
        lock(&self.deleted).take();
    }

    fn note_deleted(&self, ids: &[String]) {
        let mut deleted = lock(&self.deleted);
        let deleted = deleted.get_or_insert_with(|| RecentIds::new(1000));
        for id in ids {
            deleted.insert(id);
        }
    }
}

/// The right to be the one connection of a device in this process.
#[derive(Debug)]
pub(crate) struct DeviceLock((String, String));

static LOCKED_DEVICES: Mutex<BTreeSet<(String, String)>> = Mutex::new(BTreeSet::new());

impl DeviceLock {
    /// `None` while another one is held for this device at this cloud.
    pub(crate) fn take(authority: String, sn: String) -> Option<Self> {
        let device = (authority, sn);
        let free = lock(&LOCKED_DEVICES).insert(device.clone());
        // Made only when it is ours: dropping one gives the device free.
        free.then(|| Self(device))
    }
}

impl Drop for DeviceLock {
    fn drop(&mut self) {
        lock(&LOCKED_DEVICES).remove(&self.0);
    }
}

/// What a supervisor is made of.
pub(crate) struct Parts {
    pub(crate) sn: String,
    pub(crate) login: Login,
    pub(crate) correlation: CorrelatorOptions,
    pub(crate) endpoint: Endpoint,
    pub(crate) proxy: Option<Proxy>,
    pub(crate) tls: Option<TlsConnector>,
    pub(crate) max_message: usize,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) store: Arc<dyn CredentialStore>,
    pub(crate) stored: Stored,
    pub(crate) shared: Arc<Shared>,
    pub(crate) standing: watch::Sender<ConnectionStatus>,
    pub(crate) lease: DeviceLock,
}

/// Runs a device until it is told to close or nobody holds a handle.
pub(crate) async fn run(parts: Parts, mut orders: mpsc::UnboundedReceiver<SupervisorCommand>) {
    let mut supervisor = Supervisor {
        correlator: Correlator::new(parts.correlation),
        link: None,
        pushes: RecentIds::new(256),
        requests: Requests::new(),
        parts,
    };
    supervisor.feed(Input::Start).await;
    let mut closing = false;
    while !(closing && supervisor.link.is_none()) {
        let turn = tokio::select! {
            () = supervisor.alarm() => NextInput::Wake,
            inbound = next(&mut supervisor.link) => NextInput::Inbound(inbound),
            order = orders.recv(), if !closing => NextInput::Command(order.unwrap_or(SupervisorCommand::Close)),
        };
        match turn {
            NextInput::Wake => supervisor.feed(Input::Wake).await,
            NextInput::Inbound(inbound) => supervisor.inbound(inbound).await,
            NextInput::Command(SupervisorCommand::Close) => {
                closing = true;
                let standing = &supervisor.parts.standing;
                standing.send_modify(|standing| standing.last_error = None);
                supervisor.feed(Input::Stop).await;
            }
            NextInput::Command(order) => supervisor.order(order).await,
        }
    }
    supervisor.parts.shared.readers.end();
    // The device may be connected anew as soon as anybody can see that this is the end.
    let Parts {
        lease, standing, ..
    } = supervisor.parts;
    drop(lease);
    drop(standing);
}

enum NextInput {
    Wake,
    Inbound(Inbound),
    Command(SupervisorCommand),
}

async fn next(link: &mut Option<Link>) -> Inbound {
    match link {
        Some(link) => link.next().await,
        None => pending().await,
    }
}

struct Supervisor {
    parts: Parts,
    correlator: Correlator<Waiter>,
    link: Option<Link>,
    pushes: RecentIds,
    requests: Requests,
}

impl Supervisor {
    /// Guards, not sleeps: all of them bound something that is expected to happen earlier.
    fn alarm(&self) -> impl Future<Output = ()> + use<> {
        let wake_at = self.parts.login.wake_at();
        let sleep = wake_at.map(|at| self.parts.clock.guard_until(Moment::after_start(at)));
        async move {
            match sleep {
                Some(sleep) => sleep.await,
                None => pending().await,
            }
        }
    }

    async fn inbound(&mut self, inbound: Inbound) {
        match inbound {
            Inbound::Opened => self.feed(Input::Connected).await,
            Inbound::Control => self.feed(Input::Heard).await,
            Inbound::Text(text) => {
                self.feed(Input::Heard).await;
                self.text(text.as_bytes()).await;
            }
            Inbound::Binary(data) => {
                self.feed(Input::Heard).await;
                self.binary(data).await;
            }
            Inbound::Closed(broken) => {
                let wanted = self.link.take().is_some_and(|link| link.is_closing());
                // A connection that we closed ourselves had another reason, which stands.
                if !wanted {
                    self.record_error(errors::broken(broken));
                }
                self.feed(Input::Disconnected).await;
            }
        }
    }

    async fn text(&mut self, text: &[u8]) {
        match envelope::decode(text, self.parts.max_message) {
            Ok(Incoming::Push(push)) => self.push(push).await,
            Ok(Incoming::Answer(mut answer)) => {
                answer.hide(|text| self.parts.shared.hide(text));
                self.answer(answer).await;
            }
            Err(error) => self.abandon(error).await,
        }
    }

    async fn answer(&mut self, answer: Answer) {
        match self.correlator.answered(&answer) {
            Match::Owner(owner) => match owner.waiter {
                Waiter::Login(call) => self.feed(Input::Answered { call, answer }).await,
                Waiter::Caller(reply) => {
                    self.refused(answer.code()).await;
                    // Whoever asked may have gone.
                    drop(reply.send(Reply::Text(answer)));
                }
            },
            Match::Late { req_id, command } => {
                tracing::debug!(req_id, command = command.name(), "an answer came too late");
                self.refused(answer.code()).await;
            }
            Match::Nobody => {
                tracing::debug!(?answer, "an answer to nobody");
                self.refused(answer.code()).await;
            }
            Match::Headerless => self.abandon(ProtocolError::Headerless).await,
        }
    }

    async fn refused(&mut self, code: Option<Code>) {
        if let Some(code) = code.filter(|code| !code.is_ok()) {
            self.feed(Input::Refused(code)).await;
        }
    }

    async fn binary(&mut self, message: Bytes) {
        let (found, file) = match frame::decode_file_answer(&message) {
            Ok(file) => {
                if file.trailing > 0 {
                    tracing::warn!(
                        bytes = file.trailing,
                        "a file answer has bytes behind its end"
                    );
                }
                let data = message.slice_ref(file.data);
                (self.correlator.answered_with_file(file.req_id), Ok(data))
            }
            Err(error) => match frame::req_id_of_file_answer(&message) {
                Some(req_id) => (self.correlator.answered_with_file(req_id), Err(error)),
                None => return self.abandon(error).await,
            },
        };
        let Match::Owner(Owner {
            command,
            waiter: Waiter::Caller(reply),
            ..
        }) = found
        else {
            return tracing::debug!("a file for nobody");
        };
        drop(reply.send(match file {
            Ok(data) if command.answers_with_file() => Reply::File(data),
            Ok(_) => Reply::Failed(ProtocolError::Unexpected),
            Err(error) => Reply::Failed(error),
        }));
    }

    async fn push(&mut self, push: Push) {
        let repeated = push
            .req_id
            .as_deref()
            .is_some_and(|req_id| !self.pushes.insert(req_id));
        if repeated {
            return tracing::debug!(cmd = push.cmd, "a push came twice");
        }
        let event = Event::from_push(push);
        match &event {
            Event::Bound => self.feed(Input::Bound).await,
            Event::Unbound => self.feed(Input::Unbound).await,
            Event::JobsDeleted { ids } => self.parts.shared.note_deleted(ids),
            _ => {}
        }
        self.parts.shared.readers.tell(&DeviceEvent::Pushed(event));
    }

    async fn order(&mut self, order: SupervisorCommand) {
        match order {
            SupervisorCommand::Send {
                req_id,
                command,
                message,
                reply,
            } => self.send(&req_id, command, message, reply),
            SupervisorCommand::GiveUp { req_id, timed_out } => {
                // Asked before the request becomes a tombstone itself.
                let in_doubt = self.correlator.in_doubt();
                let open = self.correlator.cancel(&req_id).is_some();
                if open && timed_out && in_doubt {
                    self.abandon(ProtocolError::Unexpected).await;
                }
            }
            SupervisorCommand::Close => {}
        }
    }

    fn send(
        &mut self,
        req_id: &str,
        command: Command,
        message: Message,
        reply: oneshot::Sender<Reply>,
    ) {
        if reply.is_closed() {
            return;
        }
        if !self.parts.login.allows(command) {
            return drop(reply.send(Reply::Offline));
        }
        let room = self.correlator.has_room(command);
        if let Err(error) = room {
            return drop(reply.send(Reply::Failed(error)));
        }
        if let Err(error) = self.correlator.sent(req_id, command, Waiter::Caller(reply)) {
            return tracing::warn!(%error, "a request could not be noted");
        }
        self.hand_over(req_id, message);
    }

    fn hand_over(&mut self, req_id: &str, message: Message) {
        let taken = self.link.as_ref().is_some_and(|link| link.send(message));
        if !taken && let Some(Waiter::Caller(reply)) = self.correlator.cancel(req_id) {
            drop(reply.send(Reply::Offline));
        }
    }

    /// Cuts a connection off on which answers can no longer be told apart, and plans the next.
    async fn abandon(&mut self, error: ProtocolError) {
        tracing::warn!(%error, "the connection is given up");
        let doing = errors::OperationContext {
            operation: "receive",
            job: None,
        };
        self.record_error(doing.protocol(error));
        self.link = None;
        self.feed(Input::Disconnected).await;
    }

    /// Gives the machine an input and does what it wants, to the end.
    async fn feed(&mut self, input: Input) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let given = StepContext {
                now: self.parts.clock.now().since_start(),
                unix: unix(&*self.parts.clock),
                random: random(),
            };
            let (login, actions) = self.parts.login.clone().step(given, input);
            self.parts.login = login;
            for action in actions {
                if let Err(error) = self.act(action).await {
                    // What must be kept cannot be: going on would lose it.
                    self.record_error(error);
                    inputs.push_back(Input::Stop);
                    break;
                }
            }
        }
        self.publish();
    }

    async fn act(&mut self, action: Action) -> Result<(), Error> {
        match action {
            Action::Connect => {
                self.link = Some(Link::open(
                    self.parts.endpoint.clone(),
                    self.parts.proxy.clone(),
                    self.parts.tls.clone(),
                    self.parts.max_message,
                    Arc::clone(&self.parts.clock),
                ));
            }
            Action::Close => {
                if let Some(link) = &mut self.link {
                    link.close();
                }
            }
            Action::Send { call, request } => {
                let req_id = self.requests.next();
                let noted = request.encode(&req_id).and_then(|text| {
                    self.correlator
                        .sent(&req_id, request.command(), Waiter::Login(call))?;
                    Ok(text)
                });
                match noted {
                    Ok(text) => self.hand_over(&req_id, Message::text(text)),
                    // The machine gives the step up by itself when no answer comes.
                    Err(error) => tracing::warn!(%error, "a login step could not be sent"),
                }
            }
            Action::Store(credential) => {
                match &credential {
                    Credential::SecretNo(secret) => self.parts.shared.know_secret_no(secret),
                    Credential::ActiveCode(secret) | Credential::Secret(secret) => {
                        self.parts.shared.know(secret);
                    }
                }
                self.parts.stored.keep(credential);
                self.save().await?;
            }
            Action::EraseActiveCode => {
                self.parts.stored.active_code = None;
                self.save().await?;
            }
            Action::EraseSecret => {
                self.parts.stored.secret = None;
                self.save().await?;
            }
            Action::EraseBinding => {
                // A new active code costs one request; an exchanged SecretNo cannot be had again.
                self.parts.stored.active_code = None;
                self.parts.stored.secret = None;
                self.parts.shared.forget_binding();
                self.save().await?;
            }
            Action::FailOpenRequests => self.fail_open_requests(),
            Action::Tell(notice) => self.notice(notice),
        }
        Ok(())
    }

    async fn save(&self) -> Result<(), Error> {
        let (store, stored, sn) = (
            Arc::clone(&self.parts.store),
            self.parts.stored.clone(),
            self.parts.sn.clone(),
        );
        let saved = tokio::task::spawn_blocking(move || store.save(&sn, &stored)).await;
        let saved = saved.unwrap_or_else(|panicked| Err(std::io::Error::other(panicked)));
        saved.map_err(|cause| {
            Error::local_io(
                VENDOR,
                "store",
                "cannot keep the device's credentials",
                cause,
            )
            .with_help("make WECOM_PRINTER_STATE writable and start again")
        })
    }

    fn fail_open_requests(&mut self) {
        let cause = self.parts.standing.borrow().last_error.clone();
        let cause = cause.unwrap_or_else(|| {
            Error::new(ErrorKind::Unreachable, VENDOR, "connect")
                .with_message("the connection was given up")
        });
        for waiter in self.correlator.clear() {
            if let Waiter::Caller(reply) = waiter {
                drop(reply.send(Reply::Lost(cause.clone())));
            }
        }
    }

    fn notice(&mut self, notice: LoginEvent) {
        let standing = &self.parts.standing;
        let news = match notice {
            LoginEvent::Online => {
                standing.send_modify(|it| (it.unbound, it.last_error) = (false, None));
                DeviceEvent::Online
            }
            LoginEvent::Offline => DeviceEvent::Offline,
            LoginEvent::AwaitingBinding => {
                standing.send_modify(|it| it.unbound = true);
                let callers = |waiter: &Waiter| matches!(waiter, Waiter::Caller(_));
                for waiter in self.correlator.cancel_where(callers) {
                    if let Waiter::Caller(reply) = waiter {
                        drop(reply.send(Reply::Unbound));
                    }
                }
                DeviceEvent::NotBound
            }
            LoginEvent::StepRefused(setback) => {
                tracing::info!(%setback, "a login step was refused");
                return self.record_error(errors::login_failure(setback));
            }
            LoginEvent::GaveUp(setback) => {
                self.record_error(errors::login_failure(setback));
                DeviceEvent::GaveUp
            }
        };
        tracing::info!(?news, "the device");
        self.parts.shared.readers.tell(&news);
    }

    fn record_error(&self, error: Error) {
        tracing::debug!(%error, "not online");
        self.parts
            .standing
            .send_modify(|standing| standing.last_error = Some(error));
    }

    fn publish(&self) {
        let login = &self.parts.login;
        let now = unix(&*self.parts.clock);
        let offset = i128::from(login.cloud_time(now)) - i128::from(now);
        self.parts
            .shared
            .clock_offset
            .store(i64::try_from(offset).unwrap_or(0), Ordering::Relaxed);
        let phase = login.phase();
        self.parts.standing.send_if_modified(|standing| {
            let changed = standing.phase != phase;
            standing.phase = phase;
            changed
        });
    }
}

/// Makes request ids: a random part for the process's connection, and a number.
#[derive(Debug)]
pub(crate) struct Requests {
    prefix: u64,
    last: u64,
}

impl Requests {
    pub(crate) fn new() -> Self {
        Self {
            prefix: random(),
            last: 0,
        }
    }

    pub(crate) fn next(&mut self) -> String {
        self.last += 1;
        format!("{:016x}-{}", self.prefix, self.last)
    }
}

/// A random number from the operating system; where that fails, from the seed of the standard library's hash maps.
pub(crate) fn random() -> u64 {
    getrandom::u64().unwrap_or_else(|_| RandomState::new().hash_one(0))
}

fn unix(clock: &dyn Clock) -> u64 {
    clock
        .wall()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

fn lock<T>(it: &Mutex<T>) -> MutexGuard<'_, T> {
    it.lock().unwrap_or_else(PoisonError::into_inner)
}
