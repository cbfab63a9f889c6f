#![doc = include_str!("../README.md")]

mod call;
pub mod clock;
#[cfg(feature = "disk")]
pub mod disk;
mod end;
pub mod env;
mod error;
mod facts;
mod fleet;
#[cfg(all(feature = "http", any(test, fuzzing)))]
#[doc(hidden)]
pub mod hostile;
#[cfg(feature = "http")]
pub mod http;
mod id;
mod job;
mod kind;
mod pacing;
mod poller;
mod quota;
mod redact;
pub mod retry;
mod secret;
mod status;
mod submission;
#[cfg(feature = "testing")]
pub mod testing;
mod ticket;
pub mod verdict;

pub use async_trait::async_trait;

pub use self::call::{Activity, CallChanges, CallMonitor};
pub use self::clock::{Clock, Moment, SystemClock};
pub use self::end::{Cause, WaitError};
pub use self::env::Env;
pub use self::error::{Error, ErrorKind, Refusal, Sent};
pub use self::facts::{Call, Cost, Fact, Facts, Repeat, Source};
pub use self::fleet::{Ends, Fleet, FleetSettings, Lane, News, Unfinished, Unwatched};
pub use self::id::{Account, InvalidJobId, JobId};
pub use self::job::{ForeignTicket, Job, Update, UpdateStream, Updates};
pub use self::kind::{JobKind, Look, Looks};
pub use self::pacing::{Durations, InvalidDurations, Learned, Pacing};
pub use self::poller::Patience;
pub use self::quota::{Permit, Quota, SharedRate, Taken, Use, Window};
pub use self::redact::Redactor;
pub use self::secret::{InvalidSecret, Secret};
pub use self::status::{Failure, Progress, Snapshot, Status};
pub use self::submission::{Lost, Submission, SubmitError};
pub use self::ticket::{InvalidTicket, Ticket};
