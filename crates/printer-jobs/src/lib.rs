#![doc = include_str!("../README.md")]
#![cfg_attr(
    not(feature = "websocket"),
    allow(
        dead_code,
        unreachable_pub,
        unused_imports,
        reason = "much of the protocol serves the socket only"
    )
)]

#[cfg(feature = "cloud")]
pub mod cloud;
mod code;
mod command;
mod correlate;
#[cfg(feature = "websocket")]
mod device;
mod envelope;
mod error;
#[cfg(feature = "websocket")]
mod errors;
#[cfg(feature = "websocket")]
mod events;
mod frame;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzz_oracle;
mod integrity;
#[cfg(feature = "websocket")]
mod job;
mod lenient;
mod login;
#[cfg(feature = "websocket")]
mod proxy;
#[cfg(feature = "websocket")]
mod qr;
mod recent_ids;
mod settings;
mod sign;
#[cfg(feature = "websocket")]
mod socket;
mod store;
#[cfg(feature = "websocket")]
mod supervisor;
#[cfg(test)]
mod tests;
mod wire;

#[cfg(any(feature = "websocket", feature = "cloud"))]
pub use jobs_core::disk::OutputPath;
#[cfg(feature = "cloud")]
pub use jobs_core::http::SavedFile;
pub use jobs_core::vendor::{Account, Env, JobKind};
pub use jobs_core::{Error, ErrorKind, JobId, Secret};

pub use code::Code;
#[cfg(feature = "websocket")]
pub use device::{Destination, Device, DeviceBuilder, Downloaded, PageFetch, Transfer};
pub use error::{ProtocolError, Rejection};
#[cfg(feature = "websocket")]
pub use events::{DeviceEvent, Events};
#[cfg(feature = "websocket")]
pub use job::{PrintJob, Printed};
#[cfg(feature = "websocket")]
pub use login::{LoginTimes, Phase};
pub use settings::{Choice, Choices, Color, Setting, SettingAliases, Settings, Sides};
pub use store::{CredentialStore, FileStore, MemoryStore, Stored};
pub use wire::{
    CorpInfo, Event, Format, ListQuery, ListedJob, NetInfo, PageFile, PageFiles, PrintOutcome,
    PrintStatus, ReportNumbering, ScanArgs, StatusFilter, UnknownBody, UserScan,
};

use command::Command;
use recent_ids::RecentIds;
