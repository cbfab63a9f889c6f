//! Properties that cross crates.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::large_futures,
    clippy::print_stdout,
    reason = "tests"
)]

#[cfg(unix)]
mod crash;
mod downloads;
mod examples;
mod faults;
mod metrics;
mod submits;

use std::sync::Arc;

use jobs_core::{Secret, SystemClock};
use textin::Client;
use vendor_sim::{SimOptions, Simulators};

/// How much faster than the vendor everything goes.
const SPEED: u32 = 1000;

async fn simulators() -> Simulators {
    Simulators::start(SimOptions {
        speed: f64::from(SPEED),
        ..SimOptions::default()
    })
    .await
    .unwrap()
}

fn textin(simulators: &Simulators) -> Client {
    let sim = simulators.textin();
    Client::builder(
        Secret::new(sim.app_id()).unwrap(),
        Secret::new(sim.secret_code()).unwrap(),
    )
    .with_server_url(sim.api_url())
    .with_clock(Arc::new(SystemClock::with_speed(SPEED)))
    .build()
    .unwrap()
}
