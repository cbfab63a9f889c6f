#![doc = include_str!("../README.md")]

mod action;
mod api;
mod auth;
mod client;
mod code;
mod envelope;
mod environment;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzz_oracle;
mod generated;
#[cfg(feature = "runner")]
mod handler;
mod identity;
mod job;
mod parcel;
mod request;
mod resource;
mod tc3;
mod upload;
pub mod webhook;

/// The words of the vendor that callers choose from.
pub mod types {
    pub use crate::generated::types::{BusinessType, ResourceType};
}

pub use jobs_core::http::{ClientConfig, Document};
pub use jobs_core::vendor::{Account, Env, JobKind, ResumeError};
pub use jobs_core::{
    Error, ErrorKind, Job, JobId, LostSubmit, RunError, Secret, SubmitError, Ticket, WaitError,
    WaitOptions,
};

pub use self::action::{Family, InvalidFamily};
pub use self::api::Language;
pub use self::client::{Client, ClientBuilder};
pub use self::environment::Environment;
#[cfg(feature = "runner")]
pub use self::handler::{ConvertHandler, ConvertInput, handler, handler_of, input, options};
pub use self::identity::{Agent, Operator, Product};
pub use self::job::{Conversion, Ready};
pub use self::request::ConvertRequest;
pub use self::resource::{InvalidResourceId, ResourceId};
pub use self::upload::{UploadRequest, Uploaded, UploadedFile};
pub use self::webhook::{WebhookEvent, WebhookKey};
