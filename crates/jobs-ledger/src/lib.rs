#![doc = include_str!("../README.md")]

mod claim;
mod error;
mod event;
mod id;
mod intent;
mod job;
mod keeper;
mod ledger;
mod owner;
mod quota;
mod record;
mod settings;
pub mod stage;
mod store;

pub use self::claim::{
    Abandonable, AtStage, AtVendor, Claim, ClaimKey, Claimed, Refusable, Taking, WithResult, at,
};
pub use self::error::{LedgerError, LedgerErrorKind};
pub use self::event::{Event, Note, what};
pub use self::id::{InvalidLedgerId, LedgerId};
pub use self::intent::{Intended, Intent};
pub use self::job::Job;
pub use self::keeper::Keeper;
pub use self::ledger::{
    Check, Due, Filter, Hinted, Ledger, Look, Page, Place, Settle, Settled, Turn,
};
pub use self::record::{ErrorRecord, EventData, JobOutcome, ParkReason, UnverifiedResult};
pub use self::settings::Settings;
pub use self::stage::Stage;
