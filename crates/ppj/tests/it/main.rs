//! Tests of `ppj` from outside: raw JSON in the vendor's words over real sockets.

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
mod read;
mod settings;
mod submit;

use jobs_core::Secret;
use jobs_core::testing::ManualClock;
use ppj::{Client, ClientBuilder, Credentials};

const KEY: &str = "an-access-key";
const APP_ID: &str = "shEgGCzL2QQi";
/// The vendor's documentation value.
const APP_SECRET: &str = "kKdBnfSJNnBjex9gczp6P9g2";

/// A client with an access key of a server on this machine.
fn client(url: &str, clock: &ManualClock) -> ClientBuilder {
    Client::builder(Credentials::AccessKey(Secret::new(KEY).unwrap())).with_config(|config| {
        config
            .with_base_url(format!("{url}/api/"))
            .with_clock(clock.shared())
    })
}

/// A client of the signed API.
fn signed_client(url: &str, clock: &ManualClock) -> ClientBuilder {
    let credentials = Credentials::Signed {
        app_id: Secret::new(APP_ID).unwrap(),
        app_secret: Secret::new(APP_SECRET).unwrap(),
    };
    Client::builder(credentials)
        .with_config(|config| config.with_base_url(url).with_clock(clock.shared()))
}
