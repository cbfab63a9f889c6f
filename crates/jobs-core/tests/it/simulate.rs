//! The goals of poll schedules and rate limits, on the simulations that the benches print, thinned.

#[path = "../../examples/simulate/limits.rs"]
mod limits;
#[path = "../../examples/simulate/schedules.rs"]
mod schedules;

use std::time::Duration;

use proptest::prelude::*;

use limits::Scene;
use schedules::{Mix, Policy};

const JOBS: usize = 3000;

/// No more polls than doubling pauses, at most 40 % of their mean lateness and 25 % of their 95th percentile.
fn keeps_the_goals(mix: Mix, has_shift: bool) {
    let durations = mix.durations(JOBS, has_shift, 1);
    let learned = schedules::play(&Policy::learned(), &durations);
    let doubling = schedules::play(&Policy::doubling(), &durations);
    let told = format!("{}: {learned:?} beside {doubling:?}", mix.name());
    assert!(learned.polls <= doubling.polls, "{told}");
    assert!(learned.mean <= 0.4 * doubling.mean, "{told}");
    assert!(learned.p95 <= 0.25 * doubling.p95, "{told}");
}

#[test]
fn learned_schedule_is_prompt_for_no_more_polls_than_doubling() {
    for mix in Mix::ALL {
        keeps_the_goals(mix, false);
    }
}

#[test]
fn learned_schedule_follows_when_durations_double() {
    for mix in Mix::ALL {
        keeps_the_goals(mix, true);
    }
}

#[test]
fn beside_fixed_pauses_it_is_prompter_or_asks_less() {
    for mix in Mix::ALL {
        let durations = mix.durations(JOBS, false, 1);
        let learned = schedules::play(&Policy::learned(), &durations);
        for (fixed, is_often) in [
            (Policy::fixed("fixed 5 s", 5), true),
            (Policy::fixed("fixed 30 s", 30), false),
        ] {
            let other = schedules::play(&fixed, &durations);
            let told = format!(
                "{}: {learned:?} beside {} {other:?}",
                mix.name(),
                fixed.name
            );
            if is_often {
                assert!(learned.polls < other.polls, "{told}");
            } else {
                assert!(learned.mean < other.mean, "{told}");
            }
        }
    }
}

#[tokio::test]
async fn ten_thousand_waiting_requests_use_the_limit_and_never_pass_it() {
    let seen = limits::play(Scene {
        requests: 10_000,
        limit: 2,
        round_trip: Duration::from_millis(40),
        seed: 1,
    });
    let seen = seen.await.unwrap();
    assert_eq!(seen.most, 2);
    assert!(seen.used >= 0.95, "{}", seen.used);
    // A tenth of them are submits, which get half of the rate as long as there are any.
    assert!(seen.last_submit < 1200.0, "{}", seen.last_submit);
}

proptest! {
    // Up to a round trip of one window: what takes longer is an upload, and taken to have been counted by then.
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn no_sliding_window_holds_more_than_the_limit(
        limit in 1u32..8,
        round_trip in 0u64..1000,
        seed in any::<u64>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let seen = runtime.block_on(limits::play(Scene {
            requests: 120,
            limit,
            round_trip: Duration::from_millis(round_trip),
            seed,
        }));
        let seen = seen.unwrap();
        prop_assert!(seen.most <= limit as usize, "{} of {limit}", seen.most);
    }
}
