//! Tests of `jobs-core` from outside.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod contract_catches;
#[cfg(feature = "http")]
mod download;
mod fake_vendor;
mod fleet;
#[cfg(feature = "http")]
mod loopback;
#[cfg(feature = "rustls")]
mod network_policy;
mod poll_soon;
mod simulate;
