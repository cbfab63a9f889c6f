//! Simulations of poll schedules and rate limits in virtual time: one JSON object a line, for `cargo xtask bench`.
//!
//! `simulate schedules|limits [SEED]`; the seed is one unless given.

#![allow(clippy::print_stdout, reason = "what an example says is its output")]

mod limits;
mod schedules;

use std::time::Duration;

use schedules::{Mix, Policy};

/// Enough that another seed changes no figure by more than some hundredths of it.
const JOBS: usize = 10_000;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let seed = std::env::args().nth(2).map_or(Ok(1), |seed| seed.parse())?;
    match std::env::args().nth(1).as_deref() {
        Some("schedules") => schedule_lines(seed),
        Some("limits") => limit_lines(seed).await?,
        _ => return Err("usage: simulate schedules|limits [SEED]".into()),
    }
    Ok(())
}

fn schedule_lines(seed: u64) {
    for has_shift in [false, true] {
        for mix in Mix::ALL {
            let durations = mix.durations(JOBS, has_shift, seed);
            for policy in [
                Policy::learned(),
                Policy::doubling(),
                Policy::fixed("fixed 5 s", 5),
                Policy::fixed("fixed 30 s", 30),
            ] {
                let outcome = schedules::play(&policy, &durations);
                println!(
                    r#"{{"mix":"{}","shift":{has_shift},"policy":"{}","jobs":{JOBS},"polls":{:.3},"mean":{:.3},"p95":{:.3}}}"#,
                    mix.name(),
                    policy.name,
                    outcome.polls,
                    outcome.mean,
                    outcome.p95
                );
            }
        }
    }
}

async fn limit_lines(seed: u64) -> Result<(), jobs_core::Error> {
    for (limit, millis) in [(2, 0), (2, 10), (2, 40), (2, 200), (20, 10), (20, 40)] {
        let seen = limits::play(limits::Scene {
            requests: 10_000,
            limit,
            round_trip: Duration::from_millis(millis),
            seed,
        })
        .await?;
        println!(
            r#"{{"requests":10000,"limit":{limit},"round_trip_ms":{millis},"most":{},"used":{:.4},"last_submit":{:.1}}}"#,
            seen.most, seen.used, seen.last_submit
        );
    }
    Ok(())
}
