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

pub use async_trait::async_trait;

pub use self::call::{Activity, CallChanges, CallMonitor};
pub use self::clock::{Clock, Moment, SystemClock};
pub use self::env::Env;
pub use self::error::{Delivery, Error, ErrorKind, Refusal};
pub use self::fleet::{
    Finished, Fleet, FleetConfig, FleetEvent, FleetHandle, KindHandle, Unfinished, WatchError,
};
pub use self::id::{Account, InvalidJobId, JobId};
pub use self::job::{Job, ResumeError, Update, UpdateStream, Updates};
pub use self::kind::{JobKind, PollResult, PollResults};
pub use self::kind_policy::{Call, Cost, KindPolicy, Provenance, Repeat, Sourced};
pub use self::poll_schedule::{AdaptiveSchedule, Durations, InvalidDurations, PollSchedule};
pub use self::poller::WaitOptions;
pub use self::rate_limit::{Acquired, Permit, RateLimit, RateLimiter, RequestClass, SharedRate};
pub use self::redact::Redactor;
pub use self::run::run;
pub use self::run_error::RunError;
pub use self::secret::{InvalidSecret, Secret};
pub use self::status::{Failure, Progress, Snapshot, Status};
pub use self::submit_error::{LostSubmit, SubmitError};
pub use self::ticket::{InvalidTicket, Ticket};
pub use self::wait_error::{WaitError, WaitErrorKind};
