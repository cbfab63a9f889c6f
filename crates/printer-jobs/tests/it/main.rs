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
mod correlate;
#[cfg(feature = "websocket")]
mod device;
#[cfg(feature = "websocket")]
mod download;
mod envelope;
mod frame;
#[cfg(feature = "cloud")]
mod https;
mod integrity;
#[cfg(feature = "websocket")]
mod kind;
mod login;
mod wire;

use printer_jobs::envelope::{Answer, Incoming, MAX_MESSAGE_BYTES, Push, decode};

fn answer(json: &str) -> Answer {
    match decode(json.as_bytes(), MAX_MESSAGE_BYTES) {
        Ok(Incoming::Answer(answer)) => answer,
        other => panic!("not an answer: {other:?}"),
    }
}

fn push(json: &str) -> Push {
    match decode(json.as_bytes(), MAX_MESSAGE_BYTES) {
        Ok(Incoming::Push(push)) => push,
        other => panic!("not a push: {other:?}"),
    }
}
