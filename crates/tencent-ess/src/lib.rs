#![doc = include_str!("../README.md")]

mod action;
mod auth;
mod client;
mod code;
mod envelope;
mod environment;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzz_oracle;
mod generated;
mod identity;
mod job;
mod request;
mod tc3;
mod upload;
mod webhook;

/// The words of the vendor that callers choose from.
pub mod types {
    pub use crate::generated::types::{BusinessType, ResourceType};
}

pub use self::action::{Family, InvalidFamily};
pub use self::client::{Client, ClientBuilder, Language};
pub use self::environment::Environment;
pub use self::identity::{Agent, Operator, Product};
pub use self::job::{Conversion, InvalidResourceId, Ready, ResourceId};
pub use self::upload::{UploadRequest, Uploaded, UploadedFile};
pub use self::webhook::{WebhookEvent, WebhookKey};
