//! What the crate promises, checked from outside against raw messages.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::cast_possible_truncation,
    reason = "helpers of tests may fail like tests"
)]

#[cfg(feature = "websocket")]
mod cloud;
#[cfg(feature = "websocket")]
mod device;
#[cfg(feature = "websocket")]
mod download;
#[cfg(feature = "cloud")]
mod https;
#[cfg(feature = "websocket")]
mod kind;
