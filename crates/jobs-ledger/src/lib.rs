#![doc = include_str!("../README.md")]

mod claim;
mod config;
mod error;
mod event;
mod id;
mod intent;
mod job_record;
mod lease_heartbeat;
mod ledger;
mod place_key;
mod process_liveness;
mod rate_slots;
mod record;
pub mod stage;
mod store;

pub use self::claim::{
    Abandonable, AtStage, AtVendor, Claim, ClaimKey, ClaimOutcome, Claimed, Rejectable, WithResult,
    at,
};
pub use self::config::LedgerConfig;
pub use self::error::{LedgerError, LedgerErrorKind};
pub use self::event::{JobEvent, Note, event_kind};
pub use self::id::{InvalidLedgerId, LedgerId};
pub use self::intent::{IntendOutcome, Intent};
pub use self::job_record::JobRecord;
pub use self::lease_heartbeat::LeaseHeartbeat;
pub use self::ledger::{
    Budget, BudgetPeriod, BulkAction, BulkOutcome, ClaimUpdate, ClaimUpdateSummary, DayMoney, Due,
    Estimate, EventCursor, FileIdentity, InvalidBudgetPeriod, InvalidEventCursor, JobFilter,
    JobPage, JoinedAccounts, Ledger, LedgerCheck, LedgerStats, MoneyInDoubt, OverBudget,
    PollRecord, RateUse, RecordedIntent, Recovered, StageCount, StreamedEvent, SubmitPermission,
    WebhookCall, WebhookCount, WebhookFilter, WebhookReceipt, WebhookRecord, WebhookTrust,
    WebhookVerdict, WorkerRecord,
};
pub use self::place_key::PlaceKey;
pub use self::record::{ErrorRecord, EventData, JobOutcome, ParkReason, UnverifiedResult};
pub use self::stage::Stage;
