//! The simulators as their clients see them: raw HTTP over real sockets.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "the allowance for tests does not reach the functions that tests share"
)]

mod client;
mod control;
mod faults;
mod mindshow;
mod mindshow_streams;
mod neighbours;
mod ppj;
mod results;
mod rules;
mod tencent;
mod webhooks;
mod wecom;
