#![doc = include_str!("../README.md")]

mod call;
pub mod clock;
#[cfg(feature = "disk")]
pub mod disk;
pub mod env;
mod error;
mod fleet;
#[cfg(all(feature = "http", any(test, fuzzing)))]
#[doc(hidden)]
pub mod fuzz_oracle;
#[cfg(feature = "http")]
pub mod http;
mod id;
mod job;
mod kind;
mod kind_policy;
mod poll_schedule;
mod poller;
mod rate_limit;
mod redact;
pub mod retry;
mod run;
mod run_error;
mod secret;
mod status;
mod submit_error;
#[cfg(feature = "testing")]
pub mod testing;
mod ticket;
mod wait_error;

pub use self::clock::{Clock, SystemClock};
pub use self::error::{Error, ErrorKind};
pub use self::fleet::{
    Finished, Fleet, FleetConfig, FleetEvent, FleetHandle, KindHandle, Unfinished, WatchError,
};
pub use self::id::{Account, JobId};
pub use self::job::{Job, Update, Updates};
pub use self::poller::WaitOptions;
pub use self::run_error::RunError;
pub use self::secret::Secret;
pub use self::status::{Failure, Progress, Snapshot, Status};
pub use self::submit_error::{LostSubmit, SubmitError};
pub use self::ticket::Ticket;
pub use self::wait_error::{WaitError, WaitErrorKind};

/// What the authors of a kind need besides: the trait and its policy, rates, repetition, the environment and redaction.
pub mod vendor {
    pub use async_trait::async_trait;

    pub use crate::call::{Activity, CallChanges, CallMonitor};
    pub use crate::clock::Moment;
    pub use crate::env::{self, Env};
    pub use crate::error::{Delivery, Refusal};
    pub use crate::id::InvalidJobId;
    pub use crate::job::{ResumeError, UpdateStream};
    pub use crate::kind::{JobKind, PollResult, PollResults};
    pub use crate::kind_policy::{Call, Cost, KindPolicy, Provenance, Repeat, Sourced};
    pub use crate::poll_schedule::{AdaptiveSchedule, Durations, InvalidDurations, PollSchedule};
    pub use crate::rate_limit::{
        Acquired, Permit, RateLimit, RateLimiter, RequestClass, SharedRate,
    };
    pub use crate::redact::Redactor;
    pub use crate::retry;
    pub use crate::run::run;
    pub use crate::secret::InvalidSecret;
    pub use crate::ticket::InvalidTicket;
}

// The same at the root, for those who have not moved to `vendor` yet.
#[doc(hidden)]
pub use self::vendor::*;
