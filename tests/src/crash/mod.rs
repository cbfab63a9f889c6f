//! The crash harness: the command as a process in front of a simulator, killed with SIGKILL where a seed says, started
//! again, and at the end the vendor's ledger of charges held against ours.

mod batches;
mod child;
pub mod compare;
mod input;
pub mod plan;
mod run;
mod store;
mod tally;
mod trace;
mod vendor;
mod workers;

pub use batches::{Batch, run_batch};
pub use plan::Plan;
pub use run::{Outcome, Setting, run};
pub use store::Store;
pub use tally::{Tally, run_all};
pub use workers::{ManyJobs, run_many_jobs, run_workers};
