//! The command as a user meets it: a process, its exit code, its two streams, and what the vendor saw.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::large_futures,
    reason = "tests"
)]

mod answers;
mod bad_input;
mod batch;
mod demo;
mod ends;
mod in_doubt;
mod ledger;
mod mcp;
mod mcp_client;
mod mcp_python;
mod mindshow;
mod money;
mod options;
mod ppj;
mod printer;
mod second_delivery;
mod secrets;
mod serve;
mod stage;
mod surface;
mod tencent;
mod textin;
mod tickets;
mod usage;
mod work;
