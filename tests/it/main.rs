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

mod clock;
#[cfg(unix)]
mod crash;
mod downloads;
mod examples;
mod faults;
#[cfg(unix)]
mod field;
#[cfg(unix)]
mod kill_service;
mod metrics;
mod own_vendor;
mod single_steps;
#[cfg(target_os = "linux")]
mod soak;
mod submits;
mod worker_lease;

use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, OnceLock};

use jobs_core::Secret;
use jobs_core::clock::SystemClock;
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
    .with_config(|config| {
        config
            .with_base_url(sim.api_url())
            .with_clock(Arc::new(SystemClock::with_speed(SPEED)))
    })
    .build()
    .unwrap()
}

fn ppj(simulators: &Simulators) -> ppj::Client {
    let sim = simulators.ppj();
    let key = Secret::new(sim.access_key()).unwrap();
    ppj::Client::builder(ppj::Credentials::AccessKey(key))
        .with_config(|config| {
            config
                .with_base_url(sim.api_url())
                .with_clock(Arc::new(SystemClock::with_speed(SPEED)))
        })
        .build()
        .unwrap()
}

/// The command, which lies beside the folder of this test.
pub(crate) fn docjobs() -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let find = || {
        let test = std::env::current_exe().unwrap();
        let folder = test.ancestors().nth(2).unwrap();
        let program = folder.join("docjobs");
        // There after `cargo test --workspace`; not when this package is tested alone for the first time.
        if !program.exists() {
            let mut build = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
            build.args(["build", "--package", "docjobs"]);
            if !cfg!(debug_assertions) {
                build.arg("--release");
            }
            assert!(build.status().unwrap().success());
        }
        program
    };
    BUILT.get_or_init(find).clone()
}
