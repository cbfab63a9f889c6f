#![doc = include_str!("../README.md")]

mod action;
mod auth;
mod callback;
mod client;
mod code;
mod envelope;
mod environment;
mod generated;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod hostile;
mod identity;
mod job;
mod request;
mod tc3;
mod upload;

/// The words of the vendor that callers choose from.
pub mod types {
    pub use crate::generated::types::{BusinessType, ResourceType};
}

pub use self::action::{Family, InvalidFamily};
pub use self::callback::{Callback, Notice};
pub use self::client::{Client, ClientBuilder, Language};
pub use self::environment::Environment;
pub use self::identity::{Agent, Operator, Product};
pub use self::job::{Conversion, InvalidResourceId, Ready, ResourceId};
pub use self::upload::{UploadRequest, Uploaded, UploadedFile};
