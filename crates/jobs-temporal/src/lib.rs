#![doc = include_str!("../README.md")]

mod account_activity;
mod account_workflow;
mod activities;
mod by_name;
mod connection;
mod contract;
mod failure;
mod handlers;
mod job_workflow;
mod report;
mod retry;
mod search_attributes;
mod starters;
mod watch;
mod worker;

pub use self::account_workflow::AccountWorkflow;
pub use self::connection::{ConnectError, connect};
pub use self::contract::{
    AccountTarget, InputSource, JobRequest, Resolve, WORKFLOW_QUEUE, account_queue,
    account_workflow_id, workflow_id,
};
pub use self::failure::Failure;
pub use self::handlers::{AccountRunner, HandlerError, accounts};
pub use self::job_workflow::JobWorkflow;
pub use self::search_attributes::register as register_search_attributes;
pub use self::worker::{Worker, WorkerError, WorkerSettings};
