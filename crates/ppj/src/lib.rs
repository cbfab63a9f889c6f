#![doc = include_str!("../README.md")]

mod auth;
mod bundle;
mod callback;
mod client;
mod code;
mod date;
mod envelope;
mod generated;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod hostile;
mod job;
mod lost;
mod request;
mod route;

/// The types of the vendor's JSON.
pub mod types {
    pub use crate::generated::types::{Job, JobState, Quotas};
}

pub use self::auth::Credentials;
pub use self::bundle::{Bundle, Limits, unpack};
pub use self::callback::{Callback, CallbackKey, Notice};
pub use self::client::{Client, ClientBuilder, SANDBOX};
pub use self::job::{Conversion, Ready};
pub use self::lost::{Candidate, Fit};
pub use self::request::{ConvertRequest, JobFilter};
