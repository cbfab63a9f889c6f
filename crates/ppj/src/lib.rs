#![doc = include_str!("../README.md")]

mod api;
mod auth;
mod bundle;
mod client;
mod code;
mod date;
mod envelope;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzz_oracle;
mod generated;
#[cfg(feature = "runner")]
mod handler;
mod job;
mod lost_submit;
mod request;
mod route;
pub mod webhook;

/// The types of the vendor's JSON.
pub mod types {
    pub use crate::generated::types::{Job, JobState, Quotas};
}

pub use jobs_core::disk::OutputPath;
pub use jobs_core::http::{ClientConfig, Document, SavedFile};
pub use jobs_core::vendor::{Account, Env, JobKind, ResumeError};
pub use jobs_core::{
    Error, ErrorKind, Job, JobId, LostSubmit, RunError, Secret, SubmitError, Ticket, WaitError,
    WaitOptions,
};

pub use self::auth::Credentials;
pub use self::bundle::{Bundle, Limits, unpack};
pub use self::client::{Client, ClientBuilder, SANDBOX};
#[cfg(feature = "runner")]
pub use self::handler::{ConvertHandler, ConvertInput, ConvertSubmit, handler, input};
pub use self::job::{Conversion, Ready};
pub use self::lost_submit::{Candidate, Fit};
pub use self::request::{ConvertRequest, ListFilter};
pub use self::webhook::{WebhookEvent, WebhookKey, WebhookRequest};
