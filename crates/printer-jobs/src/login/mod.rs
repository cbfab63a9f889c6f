//! The device's life on the wire, from nothing to online and back, as a machine without clock, socket
//! or randomness.
//!
//! Whoever owns the socket feeds [`Input`]s to [`Login::step`] with the time and a random number, and
//! carries out the [`Action`]s in their order. [`Login::wake_at`] tells when to come back with
//! [`Input::Wake`] if nothing else happens. Per connection the machine goes through `register`,
//! `active` and `subscribe_corp` (a clock sync and the exchange of a seed come first when needed),
//! then keeps the heartbeat. `register` is sent at most once on a connection: whatever asks for
//! another one costs a new connection.

mod backoff;
mod machine;
mod steps;
mod times;

use std::time::Duration;

use jobs_core::Secret;

use crate::code::Code;
use crate::envelope::{self, Answer};
use crate::wire::{Activate, ExchangeSeed, GetTimestamp, NetInfo, Ping, Register, Subscribe};
use crate::{Command, ProtocolError};

pub(crate) use machine::Login;
pub use times::LoginTimes;

/// Who the device is, and what it has stored of earlier logins.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub(crate) struct Identity {
    /// Serial number, as recorded in the provider's console.
    pub sn: String,
    /// The device's own SecretNo.
    pub secret_no: Option<Secret>,
    /// The model's seed, to be exchanged once for the device's own SecretNo.
    pub seed: Option<Secret>,
    /// Stored answer of `register`.
    pub active_code: Option<Secret>,
    /// Stored answer of `active`.
    pub secret: Option<Secret>,
}

impl Identity {
    /// A device that knows its own SecretNo.
    pub(crate) fn with_secret_no(sn: &str, secret_no: Secret) -> Self {
        Self {
            secret_no: Some(secret_no),
            ..Self::bare(sn)
        }
    }

    /// A device that knows its model's seed only.
    pub(crate) fn with_seed(sn: &str, seed: Secret) -> Self {
        Self {
            seed: Some(seed),
            ..Self::bare(sn)
        }
    }

    fn bare(sn: &str) -> Self {
        Self {
            sn: sn.to_owned(),
            secret_no: None,
            seed: None,
            active_code: None,
            secret: None,
        }
    }
}

/// What to tell the cloud, and when.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub(crate) struct LoginOptions {
    /// Free text, must not be empty.
    pub firmware_version: String,
    /// Network facts for the administrator's eyes.
    pub net_info: Option<NetInfo>,
    /// Ask for the cloud's time on every connection, not only after it complained about ours.
    pub always_sync_clock: bool,
    /// Intervals and limits.
    pub times: LoginTimes,
}

impl LoginOptions {
    /// Defaults for everything but the firmware's version.
    pub(crate) fn new(firmware_version: &str) -> Self {
        Self {
            firmware_version: firmware_version.to_owned(),
            net_info: None,
            always_sync_clock: false,
            times: LoginTimes::default(),
        }
    }
}

/// The circumstances of a step.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StepContext {
    /// Time since some fixed instant; never runs backwards.
    pub now: Duration,
    /// The device's own idea of unix time, in seconds.
    pub unix: u64,
    /// A fresh number from a secure source; it becomes the nonce.
    pub random: u64,
}

/// Names one request of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct CallId(u64);

/// What happened.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub(crate) enum Input {
    /// Go online and stay so.
    Start,
    /// Hang up and stay so.
    Stop,
    /// The connection asked for is open.
    Connected,
    /// The connection is gone, or could not be opened. Owed once for every [`Action::Connect`].
    Disconnected,
    /// Something arrived. Owed for every message, also when another input follows from it.
    Heard,
    /// [`Login::wake_at`] has come.
    Wake,
    /// The answer to a request of the machine.
    Answered {
        /// Which.
        call: CallId,
        /// The answer.
        answer: Answer,
    },
    /// A company bound the device.
    Bound,
    /// The company unbound the device.
    Unbound,
    /// A request of somebody else was refused with this code, or an answer without owner carried it.
    Refused(Code),
}

/// What to do.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub(crate) enum Action {
    /// Open a connection; there is none now.
    Connect,
    /// Close the connection, or stop opening it. [`Input::Disconnected`] is still owed.
    Close,
    /// Send a request.
    Send {
        /// To be named in [`Input::Answered`].
        call: CallId,
        /// What to send.
        request: LoginRequest,
    },
    /// Store what the next login needs, before anything that follows.
    Store(Credential),
    /// Erase the stored active code.
    EraseActiveCode,
    /// Erase the stored secret.
    EraseSecret,
    /// Erase the stored secret and everything of the company: jobs, files.
    EraseBinding,
    /// Tell everybody whose request is open that the connection is lost.
    FailOpenRequests,
    /// Tell the world.
    Tell(LoginEvent),
}

/// What to store.
#[derive(Debug, Clone)]
pub(crate) enum Credential {
    /// The device's own SecretNo; it is given out once, so losing it needs the provider's help.
    SecretNo(Secret),
    /// Answer of `register`.
    ActiveCode(Secret),
    /// Answer of `active`.
    Secret(Secret),
}

/// A request of the machine.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub(crate) enum LoginRequest {
    /// Clock sync.
    GetTimestamp(GetTimestamp),
    /// Exchange of the seed.
    ExchangeSeed(ExchangeSeed),
    /// First step.
    Register(Register),
    /// Second step.
    Activate(Activate),
    /// Last step.
    Subscribe(Subscribe),
    /// Heartbeat.
    Ping(Ping),
}

impl LoginRequest {
    /// Its command.
    pub(crate) const fn command(&self) -> Command {
        match self {
            Self::GetTimestamp(_) => Command::GetTimestamp,
            Self::ExchangeSeed(_) => Command::GetSecretNo,
            Self::Register(_) => Command::Register,
            Self::Activate(_) => Command::Active,
            Self::Subscribe(_) => Command::SubscribeCorp,
            Self::Ping(_) => Command::Ping,
        }
    }

    /// Its text message.
    ///
    /// # Errors
    ///
    /// The request id is unusable.
    pub(crate) fn encode(&self, req_id: &str) -> Result<String, ProtocolError> {
        match self {
            Self::GetTimestamp(request) => envelope::encode(request, req_id),
            Self::ExchangeSeed(request) => envelope::encode(request, req_id),
            Self::Register(request) => envelope::encode(request, req_id),
            Self::Activate(request) => envelope::encode(request, req_id),
            Self::Subscribe(request) => envelope::encode(request, req_id),
            Self::Ping(request) => envelope::encode(request, req_id),
        }
    }
}

/// Something worth telling.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub(crate) enum LoginEvent {
    /// Commands may be sent. Pushes may have been missed, so list the jobs.
    Online,
    /// Commands may no longer be sent.
    Offline,
    /// No company has bound the device; it keeps asking.
    AwaitingBinding,
    /// The cloud refused a login step; the machine goes on by itself.
    StepRefused(LoginFailure),
    /// The machine has stopped: a person must act.
    GaveUp(LoginFailure),
}

/// A login step that did not work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} refused with code {code} ({})", command.name(), code.meaning())]
#[non_exhaustive]
pub(crate) struct LoginFailure {
    /// The step.
    pub command: Command,
    /// The cloud's code.
    pub code: Code,
    /// The cloud's message, verbatim.
    pub message: String,
}

/// Where the machine stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// Not started, or stopped on request.
    Stopped,
    /// Stopped by an error that only a person can mend.
    GaveUp,
    /// Waiting before the next connection.
    BackingOff,
    /// Opening a connection.
    Connecting,
    /// Going through the login steps.
    LoggingIn,
    /// Asking again and again whether a company has bound the device.
    AwaitingBinding,
    /// Commands may be sent.
    Online,
}
