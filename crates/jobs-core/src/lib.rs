#![doc = include_str!("../README.md")]

mod call;
pub mod clock;
#[cfg(feature = "disk")]
pub mod disk;
mod env;
mod error;
pub mod fleet;
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
mod retry;
mod run;
mod run_error;
mod secret;
mod status;
mod submit_error;
#[cfg(feature = "testing")]
pub mod testing;
mod ticket;
mod wait_error;

pub use self::error::{Error, ErrorKind};
pub use self::id::JobId;
pub use self::job::{Job, Update};
pub use self::poller::WaitOptions;
pub use self::run_error::RunError;
pub use self::secret::Secret;
pub use self::status::{Snapshot, Status};
pub use self::submit_error::{LostSubmit, SubmitError};
pub use self::ticket::Ticket;
pub use self::wait_error::{WaitError, WaitErrorKind};

/// What the authors of a kind need besides: the trait and its policy, rates, repetition, the environment and redaction.
pub mod vendor {
    pub use async_trait::async_trait;

    pub use crate::call::{Activity, CallChanges, CallMonitor};
    pub use crate::env::Env;
    pub use crate::error::{Delivery, Refusal};
    pub use crate::id::{Account, InvalidJobId};
    pub use crate::job::{ResumeError, UpdateStream, Updates};
    pub use crate::kind::{JobKind, PollResult, PollResults};
    pub use crate::kind_policy::{KindPolicy, Provenance, Sourced};
    pub use crate::poll_schedule::{AdaptiveSchedule, Durations, InvalidDurations, PollSchedule};
    pub use crate::rate_limit::{
        Acquired, Permit, RateLimit, RateLimiter, RequestClass, SharedRate,
    };
    pub use crate::redact::Redactor;
    pub use crate::run::run;
    pub use crate::secret::InvalidSecret;
    pub use crate::status::{Failure, Progress};
    pub use crate::ticket::InvalidTicket;

    /// Repeats requests as far as [`decide`](self::retry::decide) allows.
    pub mod retry {
        pub use crate::retry::{decide, idempotent, non_idempotent, with};
    }
}
