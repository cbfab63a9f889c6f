//! The steps between an open connection and being online: what each sends, and where its answer leads.

use super::machine::{Next, Stage, Step};
use super::{Action, Credential, Login, LoginEvent, LoginFailure, LoginRequest, StepContext};
use crate::code::Handling;
use crate::envelope::Answer;
use crate::sign::Nonce;
use crate::wire::{
    Activate, Active, ExchangeSeed, Register, Registered, ServerTime, Subscribe, own_secret_no,
};

impl Login {
    pub(super) fn step_answered(
        &mut self,
        given: StepContext,
        step: Step,
        answer: &Answer,
        out: &mut Vec<Action>,
    ) {
        if step == Step::SyncClock {
            let time = ServerTime::from_answer(answer).ok();
            return self.clock_synced(given, time, out);
        }
        match answer.code() {
            Some(code) if code.is_ok() => {
                self.link.busy = 0;
                self.step_accepted(given, step, answer, out);
            }
            Some(code) => {
                let setback = LoginFailure {
                    command: step.command(),
                    code,
                    message: answer.message().to_owned(),
                };
                self.step_refused(given, step, setback, out);
            }
            None => self.hang_up(given, out),
        }
    }

    fn step_accepted(
        &mut self,
        given: StepContext,
        step: Step,
        answer: &Answer,
        out: &mut Vec<Action>,
    ) {
        match step {
            Step::SyncClock => {}
            Step::ExchangeSeed => match own_secret_no(answer) {
                Ok(secret_no) => {
                    self.clock.tried = false;
                    self.identity.secret_no = Some(secret_no.clone());
                    out.push(Action::Store(Credential::SecretNo(secret_no)));
                    self.register(given, out);
                }
                Err(_) => self.hang_up(given, out),
            },
            Step::Register => {
                self.clock.tried = false;
                if let Ok(Registered { active_code }) = Registered::from_answer(answer) {
                    self.identity.active_code = Some(active_code.clone());
                    out.push(Action::Store(Credential::ActiveCode(active_code)));
                }
                self.activate(given, out);
            }
            Step::Activate => {
                if let Ok(Active { secret }) = Active::from_answer(answer) {
                    self.erased = false;
                    self.identity.secret = Some(secret.clone());
                    out.push(Action::Store(Credential::Secret(secret)));
                }
                if self.identity.secret.is_some() {
                    self.subscribe(given, out);
                } else {
                    self.pause(given, self.options.times.binding_poll, Next::Activate);
                }
            }
            Step::Subscribe => self.online(given, out),
        }
    }

    fn step_refused(
        &mut self,
        given: StepContext,
        step: Step,
        setback: LoginFailure,
        out: &mut Vec<Action>,
    ) {
        let code = setback.code;
        let handling = code.handling();
        if handling != Handling::EraseAndAwaitBinding && handling != Handling::TreatAsSuccess {
            out.push(Action::Tell(LoginEvent::StepRefused(setback.clone())));
        }
        match handling {
            Handling::TreatAsSuccess if step == Step::Subscribe => self.online(given, out),
            // An earlier step is told that a later one is done.
            Handling::TreatAsSuccess | Handling::Subscribe => {
                if self.identity.secret.is_some() && step != Step::Subscribe {
                    self.subscribe(given, out);
                } else if step == Step::Register {
                    self.activate(given, out);
                } else {
                    self.hang_up(given, out);
                }
            }
            Handling::HeldElsewhere => {
                self.link.held_elsewhere = true;
                self.activate(given, out);
            }
            Handling::Activate => {
                // From `register`: this connection has registered, so going on is right.
                self.link.held_elsewhere |= step == Step::Register;
                self.activate(given, out);
            }
            Handling::RenewActiveCode => {
                self.identity.active_code = None;
                out.push(Action::EraseActiveCode);
                self.hang_up(given, out);
            }
            Handling::EraseAndAwaitBinding => {
                self.unbound(given, out);
                if matches!(step, Step::ExchangeSeed | Step::Register) {
                    self.hang_up(given, out);
                }
            }
            Handling::EraseAndActivate => {
                self.erase_secret(out);
                self.activate(given, out);
            }
            Handling::SyncClock if self.clock.tried => self.give_up(given, setback, out),
            Handling::SyncClock => {
                self.clock.tried = true;
                self.clock.sync_next = true;
                self.hang_up(given, out);
            }
            Handling::FixSecretExchange if self.may_force_exchange(step) => {
                self.exchange_forced = true;
                self.identity.secret_no = None;
                self.hang_up(given, out);
            }
            Handling::FixSecretExchange | Handling::GiveUp => self.give_up(given, setback, out),
            Handling::Retry { .. } => self.busy(given, step, out),
            // `register` again, log in again, and whatever is not known here: all need a new connection.
            _ => self.hang_up(given, out),
        }
    }

    /// A SecretNo that was never exchanged can be, unless an active code tells that it was.
    fn may_force_exchange(&self, step: Step) -> bool {
        step == Step::Register
            && !self.exchange_forced
            && self.identity.seed.is_some()
            && self.identity.active_code.is_none()
    }

    fn busy(&mut self, given: StepContext, step: Step, out: &mut Vec<Action>) {
        self.link.busy = self.link.busy.saturating_add(1);
        let repeat = self.link.busy <= self.options.times.busy_repeats;
        match step {
            // An unbound device was seen to get "system error" instead of "not authorised".
            Step::Activate if repeat || self.identity.secret.is_none() => {
                self.pause(given, self.options.times.binding_poll, Next::Activate);
            }
            Step::Subscribe if repeat => {
                let doubled = 2_u32.saturating_pow(self.link.busy.saturating_sub(1));
                let delay = self.options.times.backoff_first.saturating_mul(doubled);
                self.pause(given, delay, Next::Subscribe);
            }
            _ => self.hang_up(given, out),
        }
    }

    pub(super) fn clock_synced(
        &mut self,
        given: StepContext,
        time: Option<ServerTime>,
        out: &mut Vec<Action>,
    ) {
        if let Some(ServerTime { timestamp }) = time {
            let difference = i128::from(timestamp) - i128::from(given.unix);
            self.clock.offset = i64::try_from(difference).unwrap_or(0);
        }
        self.clock.sync_next = false;
        self.identify(given, out);
    }

    pub(super) fn identify(&mut self, given: StepContext, out: &mut Vec<Action>) {
        match (&self.identity.secret_no, &self.identity.seed) {
            (None, Some(seed)) => {
                let (timestamp, nonce) = self.timestamp_and_nonce(given);
                let request = ExchangeSeed::new(&self.identity.sn, seed, timestamp, nonce);
                let request = LoginRequest::ExchangeSeed(request);
                self.call(given, Step::ExchangeSeed, request, out);
            }
            _ => self.register(given, out),
        }
    }

    fn register(&mut self, given: StepContext, out: &mut Vec<Action>) {
        let Some(secret_no) = &self.identity.secret_no else {
            return self.hang_up(given, out);
        };
        let (timestamp, nonce) = self.timestamp_and_nonce(given);
        let net_info = self.options.net_info.clone();
        let request = Register::new(&self.identity.sn, secret_no, timestamp, nonce, net_info);
        self.call(given, Step::Register, LoginRequest::Register(request), out);
    }

    /// Sends `active`, or waits until that is allowed again.
    pub(super) fn activate(&mut self, given: StepContext, out: &mut Vec<Action>) {
        let Some(active_code) = self.identity.active_code.clone() else {
            // Only `register` gives one, and this connection has had its own.
            return self.hang_up(given, out);
        };
        let allowed_at = match self.link.activated_at {
            Some(last) => last.saturating_add(self.options.times.binding_poll),
            None => given.now,
        };
        if given.now < allowed_at {
            self.stage = Stage::Pausing {
                until: allowed_at,
                next: Next::Activate,
            };
            return;
        }
        self.link.activated_at = Some(given.now);
        let request = LoginRequest::Activate(Activate::new(active_code));
        self.call(given, Step::Activate, request, out);
    }

    pub(super) fn subscribe(&mut self, given: StepContext, out: &mut Vec<Action>) {
        let Some(secret) = self.identity.secret.clone() else {
            return self.activate(given, out);
        };
        let request = Subscribe::new(secret, &self.options.firmware_version);
        self.call(
            given,
            Step::Subscribe,
            LoginRequest::Subscribe(request),
            out,
        );
    }

    fn timestamp_and_nonce(&self, given: StepContext) -> (u64, Nonce) {
        (
            self.cloud_time(given.unix),
            Nonce::from_random(given.random),
        )
    }
}
