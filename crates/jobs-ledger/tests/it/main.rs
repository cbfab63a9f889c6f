//! The ledger from outside: both stores keep the same promises.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "helpers of tests may fail like tests"
)]

#[macro_use]
mod conformance;
mod budgets;
mod inbox;
mod lists;
mod model;
#[cfg(unix)]
mod neighbours;
mod old;
#[cfg(unix)]
mod pooler;
mod postgres;
mod records;
#[cfg(target_os = "linux")]
mod restart;
mod schedules;
mod settled;
mod sqlite;
mod world;
