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
use crate::clock::VirtualClock;
use crate::lock::lock;
use crate::simulator::{Common, Simulated};

/// Operations that faults can be scripted for, the same in both flavours.
pub const OPERATIONS: &[&str] = &["create", "show", "download", "list", "quotas"];

#[doc(hidden)]
#[derive(Debug)]
pub struct Shared {
    state: Mutex<State>,
    common: Common,
}

impl Shared {
    fn now(&self) -> Duration {
        self.common.clock.now()
    }

    /// Time of day: what answers show and signatures carry.
    fn wall(&self) -> Duration {
        self.common.clock.wall_of(self.now())
    }

    /// One rule.
    fn rule<T>(&self, read: impl FnOnce(&PpjOptions) -> T) -> T {
        read(&lock(&self.state).options)
    }
}

impl Simulated for Shared {
    type Options = PpjOptions;
    const OPERATIONS: &'static [&'static str] = OPERATIONS;

    fn common(&self) -> &Common {
        &self.common
    }

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
            "requests": self.common.recorder.total(),
            "pending_faults": self.common.faults.pending(),
        })
    }

    fn with_options<T>(&self, act: impl FnOnce(&mut PpjOptions) -> T) -> T {
        act(&mut lock(&self.state).options)
    }

    fn clear(&self) {
        let mut state = lock(&self.state);
        *state = State::new(state.options.clone());
    }
}

fn shared(clock: &VirtualClock, options: PpjOptions) -> Arc<Shared> {
    Arc::new(Shared {
        state: Mutex::new(State::new(options)),
        common: Common::new(clock),
    })
}
