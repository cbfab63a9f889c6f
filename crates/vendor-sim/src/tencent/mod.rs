//! The Tencent e-sign simulator (third-party edition, and its sibling for companies): two hosts, one state, signatures
//! made again from the received bytes.
//!
//! Wrapped: upload, conversion and query, in both families. Contracts, seals and callbacks are not.

mod answer;
mod api;
mod body_reader;
mod handle;
mod options;
mod params;
mod request_checks;
mod sign;
mod source;
mod state;
mod uploads;

use std::sync::Mutex;
use std::time::Duration;

use serde_json::{Value, json};

pub use self::handle::{Tencent, TencentHandle};
pub use self::options::{
    RequestIdForm, ResourceIdBefore, TaskIdForm, TaskMessage, TaskOutcome, TencentAccount,
    TencentOptions,
};
pub use self::state::{Charge, Counters, Family, FileView, Owner, TaskView};

use self::state::State;
use crate::lock::lock;
use crate::simulator::{Common, Simulated};

/// Operations that faults can be scripted for; each stands for the actions of both families and products.
pub const OPERATIONS: &[&str] = &["upload", "create", "query", "file", "other"];

/// What both hosts share.
#[doc(hidden)]
#[derive(Debug)]
pub struct Shared {
    state: Mutex<State>,
    common: Common,
    upload_base: String,
    /// Makes the addresses of uploads hard to guess.
    link_key: u128,
}

impl Shared {
    fn now(&self) -> Duration {
        self.common.clock.now()
    }

    /// The time of day on the simulator's own, perhaps wrong, clock in Unix seconds.
    fn server_unix(&self) -> i64 {
        let wall = self.common.clock.wall_of(self.now()).as_secs();
        let skew = self.rule(|options| options.clock_skew_seconds);
        i64::try_from(wall).unwrap_or(i64::MAX).saturating_add(skew)
    }

    fn options(&self) -> TencentOptions {
        lock(&self.state).options.clone()
    }

    fn rule<T>(&self, read: impl FnOnce(&TencentOptions) -> T) -> T {
        read(&lock(&self.state).options)
    }
}

impl Simulated for Shared {
    type Options = TencentOptions;
    const OPERATIONS: &'static [&'static str] = OPERATIONS;

    fn common(&self) -> &Common {
        &self.common
    }

    fn state(&self) -> Value {
        let now = self.now();
        let state = lock(&self.state);
        json!({
            "now": now.as_secs_f64(),
            "files": state.files(),
            "tasks": state.tasks(now),
            "charges": state.charges(),
            "counters": state.counters,
            "requests": self.common.recorder.total(),
            "pending_faults": self.common.faults.pending(),
        })
    }

    fn with_options<T>(&self, act: impl FnOnce(&mut TencentOptions) -> T) -> T {
        act(&mut lock(&self.state).options)
    }

    fn clear(&self) {
        let mut state = lock(&self.state);
        *state = State::new(state.options.clone());
    }
}
