#![doc = include_str!("../README.md")]

mod bulk;
mod context;
mod deliveries;
mod durable_steps;
mod dyn_handler;
mod enqueue;
mod error;
mod fleet_lane;
mod handler;
mod job_input;
mod job_json;
mod job_runner;
mod observer;
mod option_spec;
mod options;
mod output;
mod policy;
mod poll_model;
mod redacted_address;
mod runner;
mod scaled_rate;
mod worker;

pub use jobs_ledger::{Estimate, OverBudget};
pub use tokio_util::sync::CancellationToken;

pub use self::bulk::BulkJob;
pub use self::durable_steps::{
    DurableSteps, FetchOutcome, SearchOutcome, SubmitOutcome, lost_submit, retry_ledger_write,
};
pub use self::dyn_handler::{DynHandler, DynSubmitOutcome};
pub use self::enqueue::{Enqueue, Enqueued};
pub use self::error::{ErrorCategory, RunnerError, RunnerErrorKind};
pub use self::handler::{CallBudget, FetchedResult, Handler};
pub use self::job_input::{
    InputError, InputSource, IntoJobInput, JobInput, digest, only_known_options, open,
    recorded_path, recorded_text,
};
pub use self::job_json::job_json;
pub use self::observer::{
    CompletedJob, JobLabel, NoObserver, Observer, ProgressUpdate, RunnerEvent,
};
pub use self::option_spec::{OptionKind, OptionSpec, known_options, vendor_json};
pub use self::options::{OutputChoice, RunOptions, RunOutcome};
pub use self::output::{DeliveredOutput, OutputTarget};
pub use self::policy::{Cut, doing};
pub use self::poll_model::PollModels;
pub use self::redacted_address::redacted_address;
pub use self::runner::{Resolution, Runner};
pub use self::scaled_rate::ScaledRate;
pub use self::worker::{Worker, WorkerConfig, WorkerReport};
