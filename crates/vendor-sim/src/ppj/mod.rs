//! The PPJ simulator: presentation to web bundle, in two flavours on one origin: `/api/…` with an access key, bare paths
//! with a signature. Both see the same account and the same jobs.
//!
//! Not here: the first generation of all (`/api/job/…`), signatures of the access-key API, other accounts.

mod answer;
mod api;
mod bundle;
mod callback;
mod handle;
mod options;
mod query;
mod sign;
mod state;
mod upload;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

pub use self::handle::{Ppj, PpjHandle};
pub use self::options::{CallbackMode, ChargeAt, Outcome, PpjOptions, RetentionFrom};
pub use self::state::{CallbackDelivery, Charge, Counters, JobView};

use self::state::State;
use crate::clock::Clock;
use crate::control::Controlled;
use crate::fault::FaultPlan;
use crate::lock::lock;
use crate::recorder::Recorder;

/// Operations that faults can be scripted for, the same in both flavours.
pub const OPERATIONS: &[&str] = &["create", "show", "download", "list", "quotas"];

pub(crate) struct Shared {
    state: Mutex<State>,
    clock: Clock,
    recorder: Recorder,
    faults: FaultPlan,
}

impl Shared {
    fn now(&self) -> Duration {
        self.clock.now()
    }

    /// Time of day: what answers show and signatures carry.
    fn wall(&self) -> Duration {
        self.clock.wall_of(self.now())
    }

    /// One rule.
    fn rule<T>(&self, read: impl FnOnce(&PpjOptions) -> T) -> T {
        read(&lock(&self.state).options)
    }
}

/// The control endpoint's view.
impl Controlled for Shared {
    fn state(&self) -> Value {
        let now = self.now();
        let mut state = lock(&self.state);
        json!({
            "now": now.as_secs_f64(),
            "jobs": state.jobs(now),
            "charges": state.charges(now),
            "permanents_left": state.permanents_left(),
            "counters": state.counters,
            "callback_url": state.callback,
            "callbacks": state.deliveries,
            "requests": self.recorder.total(),
            "pending_faults": self.faults.pending(),
        })
    }

    fn options(&self) -> Value {
        json!(self.rule(Clone::clone))
    }

    fn set_options(&self, options: Value) -> Result<(), String> {
        let options = serde_json::from_value(options).map_err(|error| error.to_string())?;
        lock(&self.state).options = options;
        Ok(())
    }

    fn reset(&self) {
        let mut state = lock(&self.state);
        *state = State::new(state.options.clone());
        drop(state);
        self.recorder.clear();
        self.faults.clear();
    }

    fn operations(&self) -> &'static [&'static str] {
        OPERATIONS
    }

    fn faults(&self) -> &FaultPlan {
        &self.faults
    }

    fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    fn clock(&self) -> &Clock {
        &self.clock
    }
}

fn shared(clock: &Clock, options: PpjOptions) -> Arc<Shared> {
    Arc::new(Shared {
        state: Mutex::new(State::new(options)),
        clock: clock.clone(),
        recorder: Recorder::new(clock.clone()),
        faults: FaultPlan::default(),
    })
}
