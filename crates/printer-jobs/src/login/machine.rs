//! The machine itself: its state, the connection, the heartbeat.

use std::time::Duration;

use super::backoff::Backoff;
use super::{
    Action, CallId, Identity, Input, LoginEvent, LoginFailure, LoginOptions, LoginRequest, Phase,
    StepContext,
};
use crate::code::{Code, Handling};
use crate::envelope::Answer;
use crate::wire::{GetTimestamp, Ping};
use crate::{Command, ProtocolError};

/// The login machine of one device.
#[derive(Debug, Clone)]
pub(crate) struct Login {
    pub(super) options: LoginOptions,
    pub(super) identity: Identity,
    pub(super) stage: Stage,
    pub(super) link: Link,
    backoff: Backoff,
    last_call: u64,
    pub(super) clock: Clock,
    pub(super) exchange_forced: bool,
    /// Whether everything of the company was erased, so that each poll does not erase it again.
    pub(super) erased: bool,
}

/// What the machine waits for.
#[derive(Debug, Clone)]
pub(super) enum Stage {
    Stopped,
    GaveUp,
    Down {
        retry_at: Duration,
    },
    Opening {
        since: Duration,
    },
    Calling {
        call: CallId,
        step: Step,
        since: Duration,
    },
    Pausing {
        until: Duration,
        next: Next,
    },
    Online(Heartbeat),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    SyncClock,
    ExchangeSeed,
    Register,
    Activate,
    Subscribe,
}

impl Step {
    pub(super) const fn command(self) -> Command {
        match self {
            Self::SyncClock => Command::GetTimestamp,
            Self::ExchangeSeed => Command::GetSecretNo,
            Self::Register => Command::Register,
            Self::Activate => Command::Active,
            Self::Subscribe => Command::SubscribeCorp,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    Activate,
    Subscribe,
}

#[derive(Debug, Clone)]
pub(super) struct Heartbeat {
    since: Duration,
    next_ping: Duration,
    open: Option<(CallId, Duration)>,
    missed: u32,
}

/// The connection, which outlives the stage while it is being closed.
#[derive(Debug, Clone, Default)]
pub(super) struct Link {
    state: LinkState,
    last_heard: Duration,
    /// When `active` was last sent on it.
    pub(super) activated_at: Option<Duration>,
    /// How often a step on it was answered by "system busy" in a row.
    pub(super) busy: u32,
    /// Another connection may hold the device.
    pub(super) held_elsewhere: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum LinkState {
    #[default]
    None,
    Opening,
    Open,
    Closing,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Clock {
    /// What to add to our time to get the cloud's.
    pub(super) offset: i64,
    pub(super) sync_next: bool,
    /// A sync was tried since the last accepted signature.
    pub(super) tried: bool,
}

impl Login {
    /// A machine at rest.
    ///
    /// # Errors
    ///
    /// The serial number or firmware version is empty, or there is neither SecretNo nor seed. A seed
    /// alone beside a stored active code is refused too: the cloud forbids the exchange then.
    pub(crate) fn new(identity: Identity, options: LoginOptions) -> Result<Self, ProtocolError> {
        let argument = |field, rule| Err(ProtocolError::Argument { field, rule });
        if identity.sn.is_empty() {
            return argument("sn", "must not be empty");
        }
        if options.firmware_version.is_empty() {
            return argument("firmware_version", "must not be empty");
        }
        if identity.secret_no.is_none() {
            if identity.seed.is_none() {
                return argument("secret_no", "or a seed must be given");
            }
            if identity.active_code.is_some() {
                return argument("secret_no", "must be given once an active code is stored");
            }
        }
        let backoff = Backoff::new(options.times.backoff_first, options.times.backoff_most);
        Ok(Self {
            options,
            identity,
            stage: Stage::Stopped,
            link: Link::default(),
            backoff,
            last_call: 0,
            clock: Clock::default(),
            exchange_forced: false,
            erased: false,
        })
    }

    /// Takes in what happened and tells what to do about it. No input can break it.
    #[must_use]
    pub(crate) fn step(mut self, given: StepContext, input: Input) -> (Self, Vec<Action>) {
        let mut actions = Vec::new();
        let out = &mut actions;
        match input {
            Input::Start => self.start(given, out),
            Input::Stop => self.stop(given, out),
            Input::Connected => self.connected(given, out),
            Input::Disconnected => self.disconnected(given, out),
            Input::Heard => self.link.last_heard = given.now,
            Input::Wake => self.wake(given, out),
            Input::Answered { call, answer } => self.answered(given, call, &answer, out),
            Input::Bound => self.bound(given, out),
            Input::Unbound => self.unbound(given, out),
            Input::Refused(code) => self.refused_while_online(given, code, out),
        }
        (self, actions)
    }

    /// When to come back with [`Input::Wake`]; `None` when only an event can move things.
    pub(crate) fn wake_at(&self) -> Option<Duration> {
        let times = &self.options.times;
        match &self.stage {
            Stage::Stopped | Stage::GaveUp => None,
            Stage::Down { retry_at } => (self.link.state == LinkState::None).then_some(*retry_at),
            Stage::Opening { since } => Some(since.saturating_add(times.connect)),
            Stage::Calling { since, .. } => Some(since.saturating_add(times.answer)),
            Stage::Pausing { until, .. } => Some(*until),
            Stage::Online(beat) => {
                let ping = match beat.open {
                    Some((_, sent)) => sent.saturating_add(times.answer),
                    None => beat.next_ping,
                };
                Some(ping.min(self.link.last_heard.saturating_add(times.silence)))
            }
        }
    }

    /// Where the machine stands.
    pub(crate) fn phase(&self) -> Phase {
        match &self.stage {
            Stage::Stopped => Phase::Stopped,
            Stage::GaveUp => Phase::GaveUp,
            Stage::Down { .. } => Phase::BackingOff,
            Stage::Opening { .. } => Phase::Connecting,
            Stage::Calling {
                step: Step::Activate,
                ..
            }
            | Stage::Pausing { .. }
                if self.erased =>
            {
                Phase::AwaitingBinding
            }
            Stage::Calling { .. } | Stage::Pausing { .. } => Phase::LoggingIn,
            Stage::Online(_) => Phase::Online,
        }
    }

    /// Whether a command of somebody else may be sent now. The login's own commands never may.
    pub(crate) fn allows(&self, command: Command) -> bool {
        command.needs_login() && matches!(self.stage, Stage::Online(_))
    }

    /// The cloud's time, as far as it is known; for signatures made elsewhere.
    pub(crate) fn cloud_time(&self, unix: u64) -> u64 {
        unix.saturating_add_signed(self.clock.offset)
    }

    fn start(&mut self, given: StepContext, out: &mut Vec<Action>) {
        if !matches!(self.stage, Stage::Stopped | Stage::GaveUp) {
            return;
        }
        self.backoff.reset();
        self.clock.tried = false;
        self.exchange_forced = false;
        self.stage = Stage::Down {
            retry_at: given.now,
        };
        self.connect_if_due(given, out);
    }

    fn stop(&mut self, given: StepContext, out: &mut Vec<Action>) {
        self.close(given, out);
        self.stage = Stage::Stopped;
    }

    fn connected(&mut self, given: StepContext, out: &mut Vec<Action>) {
        match self.link.state {
            LinkState::Opening => {
                self.link.state = LinkState::Open;
                self.link.last_heard = given.now;
                if self.clock.sync_next || self.options.always_sync_clock {
                    let request = LoginRequest::GetTimestamp(GetTimestamp);
                    self.call(given, Step::SyncClock, request, out);
                } else {
                    self.identify(given, out);
                }
            }
            // Nobody asked for it: a second connection of one device fights the first.
            LinkState::None => {
                self.link.state = LinkState::Closing;
                out.push(Action::Close);
            }
            LinkState::Open | LinkState::Closing => {}
        }
    }

    fn disconnected(&mut self, given: StepContext, out: &mut Vec<Action>) {
        match self.link.state {
            LinkState::None => {}
            LinkState::Closing => {
                self.link.state = LinkState::None;
                self.connect_if_due(given, out);
            }
            LinkState::Opening | LinkState::Open => {
                self.leave_online(given, out);
                out.push(Action::FailOpenRequests);
                self.link.state = LinkState::None;
                self.stage = self.down(given);
            }
        }
    }

    fn wake(&mut self, given: StepContext, out: &mut Vec<Action>) {
        if self.wake_at().is_none_or(|due| given.now < due) {
            return;
        }
        match &self.stage {
            Stage::Stopped | Stage::GaveUp => {}
            Stage::Down { .. } => self.connect_if_due(given, out),
            Stage::Calling {
                step: Step::SyncClock,
                ..
            } => self.clock_synced(given, None, out),
            Stage::Opening { .. } | Stage::Calling { .. } => self.hang_up(given, out),
            Stage::Pausing {
                next: Next::Activate,
                ..
            } => self.activate(given, out),
            Stage::Pausing {
                next: Next::Subscribe,
                ..
            } => self.subscribe(given, out),
            Stage::Online(_) => self.heartbeat(given, out),
        }
    }

    fn heartbeat(&mut self, given: StepContext, out: &mut Vec<Action>) {
        let times = &self.options.times;
        let last_heard = self.link.last_heard;
        let Stage::Online(beat) = &mut self.stage else {
            return;
        };
        if let Some((_, sent)) = beat.open
            && given.now >= sent.saturating_add(times.answer)
        {
            beat.open = None;
            // Answers come one at a time, so a ping may stand behind a large file: the connection is
            // alive as long as anything arrives.
            beat.missed = if last_heard > sent {
                0
            } else {
                beat.missed + 1
            };
        }
        let silent = given.now >= last_heard.saturating_add(times.silence);
        if silent || beat.missed >= times.missed_pings {
            return self.hang_up(given, out);
        }
        if beat.open.is_some() || given.now < beat.next_ping {
            return;
        }
        beat.next_ping = given.now.saturating_add(times.next_ping(given.random));
        let call = self.next_call();
        if let Stage::Online(beat) = &mut self.stage {
            beat.open = Some((call, given.now));
        }
        let request = LoginRequest::Ping(Ping);
        out.push(Action::Send { call, request });
    }

    fn answered(
        &mut self,
        given: StepContext,
        call: CallId,
        answer: &Answer,
        out: &mut Vec<Action>,
    ) {
        self.link.last_heard = given.now;
        match &mut self.stage {
            Stage::Calling {
                call: open, step, ..
            } if *open == call => {
                let step = *step;
                self.step_answered(given, step, answer, out);
            }
            Stage::Online(beat) if beat.open.is_some_and(|(open, _)| open == call) => {
                beat.open = None;
                beat.missed = 0;
                if let Some(code) = answer.code() {
                    self.refused_while_online(given, code, out);
                }
            }
            // The answer to something given up.
            _ => {}
        }
    }

    fn refused_while_online(&mut self, given: StepContext, code: Code, out: &mut Vec<Action>) {
        if !matches!(self.stage, Stage::Online(_)) {
            return;
        }
        match code.handling() {
            Handling::EraseAndAwaitBinding => self.unbound(given, out),
            Handling::EraseAndActivate => {
                self.leave_online(given, out);
                self.erase_secret(out);
                self.activate(given, out);
            }
            Handling::Register | Handling::LogInAgain => self.hang_up(given, out),
            Handling::Activate if code == Code::new(600_016) => {
                self.leave_online(given, out);
                self.activate(given, out);
            }
            _ => {}
        }
    }

    fn bound(&mut self, given: StepContext, out: &mut Vec<Action>) {
        if let Stage::Pausing {
            next: Next::Activate,
            ..
        } = self.stage
        {
            self.link.activated_at = None;
            self.activate(given, out);
        }
    }

    pub(super) fn unbound(&mut self, given: StepContext, out: &mut Vec<Action>) {
        self.leave_online(given, out);
        self.identity.secret = None;
        if !self.erased {
            self.erased = true;
            out.push(Action::EraseBinding);
            out.push(Action::Tell(LoginEvent::AwaitingBinding));
        }
        let registered = match &self.stage {
            Stage::Calling { step, .. } => matches!(step, Step::Activate | Step::Subscribe),
            Stage::Pausing { .. } => true,
            _ => false,
        };
        if registered {
            self.activate(given, out);
        }
    }

    pub(super) fn erase_secret(&mut self, out: &mut Vec<Action>) {
        self.identity.secret = None;
        out.push(Action::EraseSecret);
    }

    pub(super) fn online(&mut self, given: StepContext, out: &mut Vec<Action>) {
        self.link.held_elsewhere = false;
        self.stage = Stage::Online(Heartbeat {
            since: given.now,
            next_ping: given
                .now
                .saturating_add(self.options.times.next_ping(given.random)),
            open: None,
            missed: 0,
        });
        out.push(Action::Tell(LoginEvent::Online));
    }

    pub(super) fn call(
        &mut self,
        given: StepContext,
        step: Step,
        request: LoginRequest,
        out: &mut Vec<Action>,
    ) {
        let call = self.next_call();
        self.stage = Stage::Calling {
            call,
            step,
            since: given.now,
        };
        out.push(Action::Send { call, request });
    }

    pub(super) fn pause(&mut self, given: StepContext, delay: Duration, next: Next) {
        self.stage = Stage::Pausing {
            until: given.now.saturating_add(delay),
            next,
        };
    }

    /// Gives the connection up and plans the next one.
    pub(super) fn hang_up(&mut self, given: StepContext, out: &mut Vec<Action>) {
        self.close(given, out);
        self.stage = self.down(given);
    }

    pub(super) fn give_up(
        &mut self,
        given: StepContext,
        setback: LoginFailure,
        out: &mut Vec<Action>,
    ) {
        self.close(given, out);
        self.stage = Stage::GaveUp;
        out.push(Action::Tell(LoginEvent::GaveUp(setback)));
    }

    fn close(&mut self, given: StepContext, out: &mut Vec<Action>) {
        if matches!(self.link.state, LinkState::Opening | LinkState::Open) {
            self.leave_online(given, out);
            out.push(Action::FailOpenRequests);
            out.push(Action::Close);
            self.link.state = LinkState::Closing;
        }
    }

    /// Ends the time online, if there is one; the connection stays.
    fn leave_online(&mut self, given: StepContext, out: &mut Vec<Action>) {
        let Stage::Online(beat) = &self.stage else {
            return;
        };
        if given.now >= beat.since.saturating_add(self.options.times.healthy) {
            self.backoff.reset();
        }
        self.pause(given, Duration::ZERO, Next::Activate);
        out.push(Action::Tell(LoginEvent::Offline));
    }

    fn down(&mut self, given: StepContext) -> Stage {
        let mut delay = self.backoff.next(given.random);
        if self.link.held_elsewhere {
            delay = delay.max(self.options.times.hold_off);
        }
        Stage::Down {
            retry_at: given.now.saturating_add(delay),
        }
    }

    fn connect_if_due(&mut self, given: StepContext, out: &mut Vec<Action>) {
        let Stage::Down { retry_at } = self.stage else {
            return;
        };
        if self.link.state == LinkState::None && given.now >= retry_at {
            self.link = Link {
                state: LinkState::Opening,
                ..Link::default()
            };
            self.stage = Stage::Opening { since: given.now };
            out.push(Action::Connect);
        }
    }

    fn next_call(&mut self) -> CallId {
        self.last_call = self.last_call.wrapping_add(1);
        CallId(self.last_call)
    }
}
