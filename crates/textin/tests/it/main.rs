//! Tests of `textin` from outside: raw JSON in the vendor's words over real sockets.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod contract;
mod download;
mod fixtures;
mod submit;

use jobs_core::Secret;
use jobs_core::testing::ManualClock;
use textin::{Client, ClientBuilder};

/// A client of a server on this machine.
fn client(url: &str, clock: &ManualClock) -> ClientBuilder {
    let (app_id, secret_code) = (
        Secret::new("an-app-id").unwrap(),
        Secret::new("a-secret-code").unwrap(),
    );
    Client::builder(app_id, secret_code)
        .with_config(|config| config.with_base_url(url).with_clock(clock.shared()))
}
