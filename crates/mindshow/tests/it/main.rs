//! Tests of `mindshow` from outside: raw JSON in the vendor's words over real sockets.

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
mod list;
mod model;
mod pdf;
mod request;
mod spawn;
mod submit;
mod vendor;

use jobs_core::testing::ManualClock;
use jobs_core::{JobId, Secret};
use mindshow::{Client, ClientBuilder};

/// A client of a server on this machine.
fn client(url: &str, clock: &ManualClock) -> ClientBuilder {
    Client::builder(Secret::new("an-api-key").unwrap())
        .with_config(|config| config.with_base_url(url).with_clock(clock.shared()))
}

fn id(text: &str) -> JobId {
    JobId::new(text).unwrap()
}

/// A success of the vendor with this `data`.
fn success(data: &str) -> String {
    format!(r#"{{"code":0,"info":"succ","request_id":"r-1","data":{data}}}"#)
}

/// A failure of the vendor, which has no `data`.
fn failure(code: i64, info: &str) -> String {
    format!(r#"{{"code":{code},"info":"{info}","request_id":"r-9"}}"#)
}
