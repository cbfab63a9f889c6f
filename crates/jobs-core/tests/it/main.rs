//! Tests of `jobs-core` from outside.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

#[cfg(feature = "http")]
mod download;
mod fleet;
#[cfg(feature = "http")]
mod loopback;
#[cfg(feature = "rustls")]
mod manners;
mod simulate;
mod traps;
mod yard;
