#![doc = include_str!("../README.md")]

#[cfg(feature = "cloud")]
pub mod cloud;
pub mod code;
mod command;
pub mod correlate;
#[cfg(feature = "websocket")]
mod device;
pub mod envelope;
mod error;
#[cfg(feature = "websocket")]
mod errors;
#[cfg(feature = "websocket")]
mod events;
pub mod frame;
pub mod integrity;
#[cfg(feature = "websocket")]
mod job;
mod lenient;
pub mod login;
#[cfg(feature = "websocket")]
mod proxy;
#[cfg(feature = "websocket")]
mod qr;
mod recent_ids;
pub mod settings;
pub mod sign;
#[cfg(feature = "websocket")]
mod socket;
mod store;
#[cfg(feature = "websocket")]
mod supervisor;
pub mod wire;

pub use command::Command;
#[cfg(feature = "websocket")]
pub use device::{Destination, Device, DeviceBuilder, Downloaded, Pages, Transfer};
pub use error::{ProtocolError, Rejection};
#[cfg(feature = "websocket")]
pub use events::{DeviceEvent, Events};
#[cfg(feature = "websocket")]
pub use job::{PrintJob, Printed};
use recent_ids::RecentIds;
pub use store::{CredentialStore, FileStore, MemoryStore, Stored};
