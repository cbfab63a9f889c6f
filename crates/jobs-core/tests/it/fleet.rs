//! Many jobs at once.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::num::NonZeroU32;
use std::ops::Range;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use proptest::prelude::*;

use jobs_core::clock::{Clock, Moment};
use jobs_core::fleet::{Fleet, FleetConfig, FleetEvent, WatchError};
use jobs_core::testing::ManualClock;
use jobs_core::vendor::{RateLimit, RateLimiter};
use jobs_core::{Error, ErrorKind, Job, JobId, WaitError, WaitErrorKind, WaitOptions};

use crate::fake_vendor::{FakeVendor, MIN_INTERVAL, PAUSE, ScriptedEnd, id, secs, server_error};

const LONG: Duration = Duration::from_secs(3600);

type End = (JobId, Result<JobId, WaitError>);

/// A fleet whose tags are the ids.
fn fleet(config: FleetConfig) -> Fleet<JobId, JobId> {
    Fleet::new(config)
}

async fn ended(fleet: &mut Fleet<JobId, JobId>) -> Option<End> {
    let done = fleet.next().await?;
    assert_eq!(done.tag, done.id, "the tag of another job");
    Some((done.id, done.result))
}

/// All ends up to the last one.
async fn all(clock: &ManualClock, fleet: &mut Fleet<JobId, JobId>) -> Vec<End> {
    clock
        .run(async {
            let mut seen = Vec::new();
            while let Some(end) = ended(fleet).await {
                seen.push(end);
            }
            seen
        })
        .await
}

/// No two polls of one job are closer than the minimum interval.
fn min_interval_is_kept(vendor: &FakeVendor) {
    for (id, polls) in &vendor.asked().polls {
        for pair in polls.windows(2) {
            assert!(pair[1].since(pair[0]) >= MIN_INTERVAL, "{id}: {polls:?}");
        }
    }
}

#[tokio::test]
async fn each_job_ends_once_as_it_would_alone() {
    let clock = ManualClock::new();
    let dispositions = [
        ScriptedEnd::Done(0.0),
        ScriptedEnd::Done(12.5),
        ScriptedEnd::Fails(7.0),
        ScriptedEnd::Unmentioned,
        ScriptedEnd::Never,
    ];
    for batch in [1, 3] {
        let vendor = Arc::new(FakeVendor::new(&clock, batch));
        let mut fleet = fleet(FleetConfig::default());
        let handle = fleet.kind(Arc::clone(&vendor), |output| output);
        let mut alone = BTreeMap::new();
        for (number, disposition) in dispositions.into_iter().enumerate() {
            let job = vendor.job(number, disposition);
            let end = clock.run(job.wait(Duration::from_secs(60))).await;
            alone.insert(job.id().clone(), format!("{end:?}"));
        }
        for (number, disposition) in dispositions.into_iter().enumerate() {
            handle
                .watch(
                    vendor.job(number, disposition),
                    id(number),
                    Duration::from_secs(60),
                )
                .unwrap();
        }
        let together: Vec<_> = all(&clock, &mut fleet).await;
        assert_eq!(together.len(), dispositions.len());
        for (id, end) in together {
            // The tickets differ in the second of acceptance only.
            let text = |end: &str| {
                let from = end.find("docjobs1").unwrap_or(end.len());
                let to = end.find(&*format!(".{id}")).unwrap_or(end.len());
                format!("{}{}", &end[..from.min(to)], &end[to..])
            };
            assert_eq!(text(&format!("{end:?}")), text(&alone[&id]));
        }
    }
}

/// Lets time pass while the fleet works.
async fn pass(clock: &ManualClock, time: Duration) {
    clock.run(clock.sleep_until(clock.now() + time)).await;
}

/// In hundredths: what is brought forward may come a millisecond after the minimum interval.
fn seconds(moments: &[Moment]) -> Vec<f64> {
    moments
        .iter()
        .map(|at| (at.since_start().as_secs_f64() * 100.0).floor() / 100.0)
        .collect()
}

#[tokio::test]
async fn ten_thousand_jobs_in_batches_of_fifty_cost_few_requests() {
    let clock = ManualClock::new();
    let vendor = Arc::new(FakeVendor::new(&clock, 50).with_policy(|policy| {
        policy.min_interval.set(Duration::from_secs(1));
    }));
    let mut fleet = fleet(FleetConfig::default().with_event_buffer(20_000));
    let handle = fleet.kind(Arc::clone(&vendor), |output| output);
    // They come one by one over the length of a pause, so that no two are due together by themselves.
    for number in 0..10_000 {
        handle
            .watch(
                vendor.job(number, ScriptedEnd::Done(31.0)),
                id(number),
                LONG,
            )
            .unwrap();
        clock.advance(PAUSE / 10_000);
        if number % 100 == 0 {
            tokio::task::yield_now().await;
        }
    }
    pass(&clock, Duration::from_secs(1)).await;
    let (first, polled) = (vendor.requests(), vendor.asked().polls.len());
    assert_eq!(polled, 10_000);
    pass(&clock, PAUSE * 4).await;
    let rounds = {
        let asked = vendor.asked();
        let polls: usize = asked.polls.values().map(Vec::len).sum();
        polls as f64 / 10_000.0 - 1.0
    };
    let each = (vendor.requests() - first) as f64 / 10_000.0 / rounds;
    assert!(
        each <= 0.025,
        "{each} requests per job in a round, of {rounds}"
    );
    // A coalesced poll comes a quarter of the delay earlier at most.
    assert!((3.5..=5.5).contains(&rounds), "{rounds}");
    assert_eq!(all(&clock, &mut fleet).await.len(), 10_000);
    for (id, polls) in &vendor.asked().polls {
        for pair in polls.windows(2) {
            assert!(pair[1].since(pair[0]) >= PAUSE * 3 / 4, "{id}: {polls:?}");
        }
    }
}

#[tokio::test]
async fn the_last_poll_is_at_the_deadline_to_the_nanosecond() {
    let clock = ManualClock::new();
    let vendor = Arc::new(FakeVendor::new(&clock, 10));
    let mut fleet = fleet(FleetConfig::default());
    let handle = fleet.kind(Arc::clone(&vendor), |output| output);
    let deadlines = [23_370_000_001u64, 23_370_000_002, 23_370_999_999].map(Duration::from_nanos);
    for (number, deadline) in deadlines.into_iter().enumerate() {
        handle
            .watch(vendor.job(number, ScriptedEnd::Never), id(number), deadline)
            .unwrap();
    }
    let ends = all(&clock, &mut fleet).await;
    assert!(ends.iter().all(|(_, end)| matches!(
        end.as_ref().unwrap_err().kind(),
        WaitErrorKind::DeadlineExceeded
    )));
    for (number, deadline) in deadlines.into_iter().enumerate() {
        let last = *vendor.asked().polls[id(number).as_str()].last().unwrap();
        assert_eq!(last.since_start(), deadline);
    }
    min_interval_is_kept(&vendor);
}

#[tokio::test]
async fn a_job_is_watched_once_and_only_by_its_own_handle() {
    let clock = ManualClock::new();
    let vendor = Arc::new(FakeVendor::new(&clock, 1));
    let other = Arc::new(FakeVendor::new(&clock, 1).named("other"));
    let mut fleet = fleet(FleetConfig::default().with_capacity(2));
    let handle = fleet.kind(Arc::clone(&vendor), |output| output);
    let again = fleet.kind(Arc::clone(&vendor), |output| output);
    let foreign = fleet.kind(Arc::clone(&other), |output| output);
    let job = vendor.job(1, ScriptedEnd::Done(3.0));
    handle.watch(&job, job.id().clone(), LONG).unwrap();
    assert_eq!(
        handle.watch(&job, job.id().clone(), LONG),
        Err(WatchError::AlreadyWatched)
    );
    assert_eq!(
        again.watch(&job, job.id().clone(), LONG),
        Err(WatchError::AlreadyWatched)
    );
    assert_eq!(
        foreign.watch(&job, job.id().clone(), LONG),
        Err(WatchError::KindMismatch)
    );
    // The same id means another job at another kind.
    foreign
        .watch(other.job(1, ScriptedEnd::Done(3.0)), id(1), LONG)
        .unwrap();
    assert_eq!(
        handle.watch(vendor.job(2, ScriptedEnd::Never), id(2), LONG),
        Err(WatchError::AtCapacity)
    );
    assert_eq!(fleet.len(), 2);
    assert_eq!(all(&clock, &mut fleet).await.len(), 2);
}

#[tokio::test]
async fn the_min_interval_outlives_forgetting_and_ends() {
    let clock = ManualClock::new();
    let vendor = Arc::new(FakeVendor::new(&clock, 1));
    let mut fleet = fleet(FleetConfig::default());
    let handle = fleet.kind(Arc::clone(&vendor), |output| output);
    let job = vendor.job(1, ScriptedEnd::Never);
    // A handle of its own each time, which knows of no poll.
    let fresh = || Job::attach(Arc::clone(&vendor), id(1));
    handle.watch(fresh(), id(1), LONG).unwrap();
    pass(&clock, Duration::from_millis(10)).await;
    assert_eq!(handle.unwatch(job.id()), Some(id(1)));
    assert_eq!(handle.unwatch(job.id()), None);
    assert!(!handle.poll_soon(job.id()), "nobody waits for it");
    handle
        .watch(fresh(), id(1), Duration::from_secs(10))
        .unwrap();
    let (_, end) = clock.run(ended(&mut fleet)).await.unwrap();
    assert!(matches!(
        end.unwrap_err().kind(),
        WaitErrorKind::DeadlineExceeded
    ));
    handle.watch(fresh(), id(1), LONG).unwrap();
    pass(&clock, Duration::from_secs(5)).await;
    let polls = seconds(&vendor.asked().polls[job.id().as_str()]);
    assert_eq!(polls, [0.0, 2.0, 7.0 + (polls[2] - 7.0), 10.01, 12.01]);
    min_interval_is_kept(&vendor);
}

#[tokio::test]
async fn a_poll_soon_is_a_poll_as_soon_as_the_min_interval_allows_and_is_not_believed() {
    let clock = ManualClock::new();
    let vendor = Arc::new(FakeVendor::new(&clock, 1).with_policy(|policy| {
        policy
            .schedule
            .set(jobs_core::vendor::PollSchedule::every(Duration::from_secs(
                50,
            )));
    }));
    let mut fleet = fleet(FleetConfig::default());
    let handle = fleet.kind(Arc::clone(&vendor), |output| output);
    handle
        .watch(vendor.job(1, ScriptedEnd::Done(30.0)), id(1), LONG)
        .unwrap();
    pass(&clock, Duration::from_secs(1)).await;
    // Forged: the job is not done. Twice is no more than once.
    assert!(fleet.poll_soon("vendor", &id(1)));
    assert!(handle.poll_soon(&id(1)));
    assert!(!fleet.poll_soon("elsewhere", &id(1)));
    assert!(!handle.poll_soon(&id(2)));
    pass(&clock, Duration::from_secs(30)).await;
    assert_eq!(seconds(&vendor.asked().polls[id(1).as_str()]), [0.0, 2.0]);
    assert!(handle.poll_soon(&id(1)));
    let (_, end) = clock.run(ended(&mut fleet)).await.unwrap();
    assert_eq!(end.unwrap(), id(1));
    assert_eq!(
        seconds(&vendor.asked().polls[id(1).as_str()]),
        [0.0, 2.0, 31.0]
    );
    assert!(!handle.poll_soon(&id(1)), "it has ended");
}

#[tokio::test]
async fn a_poll_soon_during_a_poll_brings_the_next_one_forward() {
    let clock = ManualClock::new();
    let vendor =
        Arc::new(
            FakeVendor::new(&clock, 1)
                .with_latency(Duration::from_secs(3))
                .with_policy(|policy| {
                    policy.schedule.set(jobs_core::vendor::PollSchedule::every(
                        Duration::from_secs(50),
                    ));
                }),
        );
    let mut fleet = fleet(FleetConfig::default());
    let handle = fleet.kind(Arc::clone(&vendor), |output| output);
    handle
        .watch(vendor.job(1, ScriptedEnd::Done(1.0)), id(1), LONG)
        .unwrap();
    pass(&clock, Duration::from_secs(2)).await;
    assert!(handle.poll_soon(&id(1)));
    assert_eq!(all(&clock, &mut fleet).await.len(), 1);
    assert_eq!(seconds(&vendor.asked().polls[id(1).as_str()]), [0.0, 5.0]);
}

#[tokio::test]
async fn who_does_not_take_the_ends_holds_up_the_polls_and_loses_nothing() {
    let clock = ManualClock::new();
    let vendor = Arc::new(FakeVendor::new(&clock, 10));
    let mut fleet = fleet(
        FleetConfig::default()
            .with_event_buffer(100)
            .with_max_in_flight(4),
    );
    let handle = fleet.kind(Arc::clone(&vendor), |output| output);
    for number in 0..1000 {
        handle
            .watch(vendor.job(number, ScriptedEnd::Done(1.0)), id(number), LONG)
            .unwrap();
    }
    pass(&clock, Duration::from_secs(1000)).await;
    // The first round found nothing; of the second, the backlog and what was in flight.
    let asked: usize = vendor.asked().requests.iter().map(|(_, jobs)| jobs).sum();
    assert!((1100..=1140).contains(&asked), "{asked}");
    let mut ids: Vec<_> = all(&clock, &mut fleet)
        .await
        .into_iter()
        .map(|(id, end)| (id, end.is_ok()))
        .collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 1000);
    assert!(ids.iter().all(|(_, done)| *done));
}

#[tokio::test]
async fn stopping_delivers_what_ended_and_hands_back_the_rest() {
    let clock = ManualClock::new();
    let vendor = Arc::new(FakeVendor::new(&clock, 5).with_latency(Duration::from_secs(1)));
    let mut fleet = fleet(FleetConfig::default());
    let handle = fleet.kind(Arc::clone(&vendor), |output| output);
    for number in 0..20 {
        let disposition = if number < 7 {
            ScriptedEnd::Done(0.0)
        } else {
            ScriptedEnd::Never
        };
        handle
            .watch(vendor.job(number, disposition), id(number), LONG)
            .unwrap();
    }
    pass(&clock, Duration::from_millis(6500)).await;
    assert!(vendor.asked().in_flight > 0, "some polls are in flight");
    let rest: Vec<_> = fleet.shutdown().collect();
    assert_eq!(rest.len(), 13);
    assert!(
        rest.iter()
            .all(|(_, ticket)| ticket.vendor() == "vendor" && ticket.kind() == "play")
    );
    assert_eq!(
        handle.watch(vendor.job(99, ScriptedEnd::Never), id(99), LONG),
        Err(WatchError::ShutDown)
    );
    let requests = vendor.requests();
    assert_eq!(all(&clock, &mut fleet).await.len(), 7);
    pass(&clock, LONG).await;
    assert_eq!(vendor.requests(), requests, "no poll after the stop");
    assert_eq!(fleet.shutdown().count(), 0);
}

#[tokio::test]
async fn a_forgotten_job_has_no_end_although_its_poll_was_in_flight() {
    let clock = ManualClock::new();
    let vendor = Arc::new(FakeVendor::new(&clock, 5).with_latency(Duration::from_secs(3)));
    let mut fleet = fleet(FleetConfig::default());
    let handle = fleet.kind(Arc::clone(&vendor), |output| output);
    for number in 0..5 {
        handle
            .watch(vendor.job(number, ScriptedEnd::Done(0.0)), id(number), LONG)
            .unwrap();
    }
    pass(&clock, Duration::from_secs(1)).await;
    assert!(handle.unwatch(&id(3)).is_some());
    // Watched again before that poll is answered: the answer is not the new wait's, whose poll comes after the minimum interval.
    assert_eq!(handle.unwatch(&id(4)), Some(id(4)));
    handle
        .watch(Job::attach(Arc::clone(&vendor), id(4)), id(4), LONG)
        .unwrap();
    let ids: Vec<_> = all(&clock, &mut fleet)
        .await
        .into_iter()
        .map(|(id, _)| id)
        .collect();
    assert_eq!(ids.len(), 4);
    assert!(!ids.contains(&id(3)));
    assert_eq!(seconds(&vendor.asked().polls[id(4).as_str()]), [0.0, 3.0]);
}

#[tokio::test]
async fn a_panic_is_a_failed_poll_of_those_it_was_asked_for() {
    let clock = ManualClock::new();
    let vendor = Arc::new(FakeVendor::new(&clock, 1));
    let mut fleet = fleet(FleetConfig::default());
    let handle = fleet.kind(Arc::clone(&vendor), |output| output);
    handle
        .watch(
            vendor.job(0, ScriptedEnd::Panics),
            id(0),
            Duration::from_secs(30),
        )
        .unwrap();
    for number in 1..10 {
        handle
            .watch(vendor.job(number, ScriptedEnd::Done(9.0)), id(number), LONG)
            .unwrap();
    }
    let ends = all(&clock, &mut fleet).await;
    assert_eq!(ends.len(), 10);
    for (of, end) in ends {
        match end {
            Ok(output) => assert_eq!(output, of),
            Err(end) => {
                assert_eq!(of, id(0));
                assert!(matches!(end.kind(), WaitErrorKind::DeadlineExceeded));
                assert!(end.last_error().unwrap().to_string().contains("panicked"));
            }
        }
    }
}

#[tokio::test]
async fn an_outage_costs_few_polls_and_no_job_and_the_return_is_paced() {
    let clock = ManualClock::new();
    let (from, to) = (secs(10.0), secs(310.0));
    let vendor = FakeVendor::new(&clock, 1)
        .with_latency(Duration::from_millis(100))
        .in_condition(move |now, _| (from..to).contains(&now.since_start()).then(server_error));
    let vendor = Arc::new(vendor);
    let mut fleet = fleet(
        FleetConfig::default()
            .with_max_in_flight(16)
            .with_event_buffer(5000),
    );
    let handle = fleet.kind(Arc::clone(&vendor), |output| output);
    for number in 0..200 {
        handle
            .watch(
                vendor.job(number, ScriptedEnd::Done(400.0)),
                id(number),
                LONG,
            )
            .unwrap();
    }
    let ends = all(&clock, &mut fleet).await;
    assert_eq!(ends.iter().filter(|(_, end)| end.is_ok()).count(), 200);
    let asked = vendor.asked();
    let during = |span: Range<Duration>| -> Vec<Moment> {
        let in_it = |(at, _): &(Moment, usize)| span.contains(&at.since_start()).then_some(*at);
        asked.requests.iter().filter_map(in_it).collect()
    };
    // Some tripped the breaker; then one probe at a time, with doubled pauses up to a minute.
    let outage = during(secs(12.0)..to);
    assert!((8..=14).contains(&outage.len()), "{:?}", seconds(&outage));
    let back = during(to..to + secs(70.0));
    // One, then two, then four at once: not two hundred in the first moment.
    let probe = back[0];
    let by = |millis| {
        back.iter()
            .filter(|at| at.since(probe) < Duration::from_millis(millis))
            .count()
    };
    assert!(
        by(100) == 1 && by(200) <= 3 && by(300) <= 7,
        "{:?}",
        seconds(&back)
    );
    assert!(back.len() >= 200);
    drop(asked);
    min_interval_is_kept(&vendor);
}

#[tokio::test]
async fn in_an_outage_without_end_every_wait_ends_unreachable_or_at_its_deadline() {
    let clock = ManualClock::new();
    let vendor = FakeVendor::new(&clock, 1).in_condition(|_, _| Some(server_error()));
    let vendor = Arc::new(vendor);
    let mut fleet = fleet(FleetConfig::default());
    let handle = fleet.kind(Arc::clone(&vendor), |output| output);
    for number in 0..100 {
        let options = WaitOptions {
            max_unreachable: Duration::from_secs(100),
            ..WaitOptions::new(Duration::from_secs(if number % 2 == 0 { 50 } else { 5000 }))
        };
        handle
            .watch(vendor.job(number, ScriptedEnd::Never), id(number), options)
            .unwrap();
    }
    for number in 0..100 {
        let (_, end) = clock.run(ended(&mut fleet)).await.unwrap();
        let end = end.unwrap_err();
        let now = clock.now().since_start().as_secs();
        if number < 50 {
            assert!(
                matches!(end.kind(), WaitErrorKind::DeadlineExceeded) && now == 50,
                "{end} at {now}"
            );
        } else {
            assert!(matches!(end.kind(), WaitErrorKind::Unreachable(_)), "{end}");
            assert!((100..=130).contains(&now), "{now}");
        }
    }
    assert!(vendor.requests() < 30, "{}", vendor.requests());
}

#[tokio::test]
async fn too_many_requests_narrow_the_window_and_the_hint_is_kept() {
    let clock = ManualClock::new();
    let vendor = FakeVendor::new(&clock, 1)
        .with_latency(Duration::from_millis(100))
        .in_condition(|now, _| {
            (now.since_start() < Duration::from_millis(350)).then(|| {
                Error::new(ErrorKind::RateLimited, "vendor", "poll")
                    .with_retry_after(Some(Duration::from_secs(7)))
            })
        });
    let vendor = Arc::new(vendor);
    let mut fleet = fleet(FleetConfig::default().with_max_in_flight(16));
    let handle = fleet.kind(Arc::clone(&vendor), |output| output);
    for number in 0..50 {
        handle
            .watch(vendor.job(number, ScriptedEnd::Done(0.0)), id(number), LONG)
            .unwrap();
    }
    assert_eq!(all(&clock, &mut fleet).await.len(), 50);
    let asked = vendor.asked();
    let before: Vec<_> = asked
        .requests
        .iter()
        .filter(|(at, _)| at.since_start() < secs(7.1))
        .collect();
    assert_eq!(
        before.len(),
        4,
        "the first window, and nothing until the hint has passed"
    );
    let second = asked
        .requests
        .iter()
        .filter(|(at, _)| at.since_start() == secs(7.1))
        .count();
    assert_eq!(second, 2, "half the window");
}

/// How many polls an account of 20 a second makes in each second, when those with these numbers are refused.
async fn polls_a_second(refused: Range<usize>) -> Vec<usize> {
    let clock = ManualClock::new();
    let window = RateLimit {
        limit: NonZeroU32::new(20).unwrap(),
        per: Duration::from_secs(1),
    };
    let vendor = FakeVendor::new(&clock, 1)
        .with_latency(Duration::from_millis(10))
        .with_shared_rate(RateLimiter::new(clock.shared(), &[window]))
        .in_condition(move |_, before| {
            let error = || Error::new(ErrorKind::RateLimited, "vendor", "poll");
            refused.contains(&before).then(error)
        });
    let vendor = Arc::new(vendor);
    let fleet = fleet(FleetConfig::default());
    let handle = fleet.kind(Arc::clone(&vendor), |output| output);
    for number in 0..400 {
        handle
            .watch(vendor.job(number, ScriptedEnd::Never), id(number), LONG)
            .unwrap();
    }
    pass(&clock, Duration::from_secs(40)).await;
    let mut seconds = vec![0; 41];
    for (at, _) in &vendor.asked().requests {
        seconds[usize::try_from(at.since_start().as_secs()).unwrap()] += 1;
    }
    seconds.pop();
    seconds
}

#[tokio::test]
async fn the_window_and_the_quota_slow_down_once_for_a_refusal_and_recover_with_sixteen_answers() {
    let sum = |seconds: &[usize]| seconds.iter().sum::<usize>();
    let usual = polls_a_second(0..0).await;
    assert!(
        usual.iter().all(|polls| (18..=20).contains(polls)),
        "{usual:?}"
    );
    // One alone, and five that are under way together.
    for refused in [400..401, 400..405] {
        let slowed = polls_a_second(refused.clone()).await;
        // Each of the sixteen gives its place back so much later as the pace is below the full one: by six places in all
        // after one halving, by more than twice as many after two.
        let lost = sum(&usual) - sum(&slowed);
        assert!(
            (4..=9).contains(&lost),
            "{lost} after {refused:?}: {slowed:?}"
        );
        assert!(sum(&slowed[30..]) + 2 >= sum(&usual[30..]), "{slowed:?}");
    }
}

#[tokio::test]
async fn a_poll_that_hangs_over_a_deadline_gives_way_to_the_last_one() {
    let clock = ManualClock::new();
    let vendor = Arc::new(FakeVendor::new(&clock, 5).with_latency(Duration::from_secs(20)));
    let mut fleet = fleet(FleetConfig::default());
    let handle = fleet.kind(Arc::clone(&vendor), |output| output);
    handle
        .watch(
            vendor.job(1, ScriptedEnd::Never),
            id(1),
            Duration::from_secs(12),
        )
        .unwrap();
    handle
        .watch(vendor.job(2, ScriptedEnd::Done(0.0)), id(2), LONG)
        .unwrap();
    let (first, end) = clock.run(ended(&mut fleet)).await.unwrap();
    assert_eq!((first, end.unwrap()), (id(2), id(2)));
    let (_, end) = clock.run(ended(&mut fleet)).await.unwrap();
    assert!(matches!(
        end.unwrap_err().kind(),
        WaitErrorKind::DeadlineExceeded
    ));
    assert_eq!(seconds(&vendor.asked().polls[id(1).as_str()]), [0.0, 12.0]);
    assert_eq!(clock.now().since_start(), secs(32.0));
}

#[tokio::test]
async fn when_not_everybody_can_be_polled_at_all_wait_about_as_long() {
    let clock = ManualClock::new();
    // 400 jobs every 5 s is 80 polls a second; four at a time of 100 ms each make 40.
    let vendor = FakeVendor::new(&clock, 1).with_latency(Duration::from_millis(100));
    let vendor = Arc::new(vendor);
    let fleet = fleet(FleetConfig::default().with_max_in_flight(4));
    let handle = fleet.kind(Arc::clone(&vendor), |output| output);
    for number in 0..400 {
        handle
            .watch(vendor.job(number, ScriptedEnd::Never), id(number), LONG)
            .unwrap();
    }
    pass(&clock, Duration::from_secs(100)).await;
    let asked = vendor.asked();
    assert_eq!(asked.most_in_flight, 4);
    let mut waits: Vec<f64> = asked
        .polls
        .values()
        .flat_map(|polls| {
            polls
                .windows(2)
                .map(|pair| pair[1].since(pair[0]).as_secs_f64())
        })
        .collect();
    waits.sort_by(f64::total_cmp);
    let mean = waits.iter().sum::<f64>() / waits.len() as f64;
    let longest = *waits.last().unwrap();
    assert!(
        waits.len() > 3000 && longest <= 1.2 * mean,
        "{longest} against {mean}"
    );
    drop(asked);
    fleet.shutdown();
}

#[tokio::test]
async fn a_waiting_job_takes_less_than_128_bytes() {
    let clock = ManualClock::new();
    let vendor = Arc::new(FakeVendor::new(&clock, 100));
    let fleet = Fleet::<JobId>::new(FleetConfig::default());
    let handle = fleet.kind(Arc::clone(&vendor), |output| output);
    // Just past the point at which the table of ids has doubled, where it costs most.
    for number in 0..100_000 {
        let job = Job::attach(Arc::clone(&vendor), id(number));
        handle.watch(&job, (), LONG).unwrap();
    }
    let each = fleet.bytes() as f64 / 100_000.0;
    assert!((36.0..=128.0).contains(&each), "{each}");
    for number in 0..100_000 {
        assert!(handle.unwatch(&id(number)).is_some());
    }
    assert_eq!(fleet.bytes(), 0, "nothing is held once nobody waits");
}

#[tokio::test]
async fn polls_are_reported_to_handles_that_asked() {
    let clock = ManualClock::new();
    let vendor =
        FakeVendor::new(&clock, 1).in_condition(|_, before| (before == 1).then(server_error));
    let vendor = Arc::new(vendor);
    let mut fleet = fleet(FleetConfig::default());
    let handle = fleet
        .kind(Arc::clone(&vendor), |output| output)
        .with_poll_events();
    handle
        .watch(vendor.job(1, ScriptedEnd::Done(8.0)), id(1), LONG)
        .unwrap();
    let mut names = Vec::new();
    clock
        .run(async {
            while let Some(event) = fleet.next_event().await {
                names.push(match event {
                    FleetEvent::Progress { snapshot, .. } => snapshot.vendor_status.to_string(),
                    FleetEvent::PollFailed { error, .. } => format!("{}", error.kind()),
                    FleetEvent::Finished(done) => format!("{}", done.result.is_ok()),
                    other => format!("{other:?}"),
                });
            }
        })
        .await;
    assert_eq!(names, ["word", "service unavailable", "word", "true"]);
}

#[test]
fn a_runtime_that_goes_away_takes_no_job_with_it() {
    let clock = ManualClock::new();
    let vendor = Arc::new(FakeVendor::new(&clock, 1).with_latency(Duration::from_secs(1)));
    let mut fleet = fleet(FleetConfig::default());
    let handle = fleet.kind(Arc::clone(&vendor), |output| output);
    let job = vendor.job(1, ScriptedEnd::Done(0.0));
    assert_eq!(
        handle.watch(&job, job.id().clone(), LONG),
        Err(WatchError::NoRuntime)
    );
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap()
    };
    runtime().block_on(async {
        handle.watch(&job, job.id().clone(), LONG).unwrap();
        pass(&clock, Duration::from_millis(500)).await;
    });
    // Its poll was dropped in flight. The next job starts the account's task again, for both.
    runtime().block_on(async {
        handle
            .watch(vendor.job(2, ScriptedEnd::Done(0.0)), id(2), LONG)
            .unwrap();
        assert_eq!(all(&clock, &mut fleet).await.len(), 2);
    });
    min_interval_is_kept(&vendor);
}

#[tokio::test]
async fn whatever_its_end_was_a_job_watched_again_keeps_the_min_interval() {
    let clock = ManualClock::new();
    for disposition in [
        ScriptedEnd::Done(0.0),
        ScriptedEnd::Fails(0.0),
        ScriptedEnd::Never,
    ] {
        let vendor = Arc::new(FakeVendor::new(&clock, 1));
        let mut fleet = fleet(FleetConfig::default());
        let handle = fleet.kind(Arc::clone(&vendor), |output| output);
        for _ in 0..3 {
            handle
                .watch(vendor.job(1, disposition), id(1), secs(0.5))
                .unwrap();
            let end = clock.run(ended(&mut fleet)).await;
            assert!(end.is_some());
        }
        assert!(vendor.requests() >= 1, "{disposition:?}");
        min_interval_is_kept(&vendor);
    }
}

/// What happens to a job besides its polls.
#[derive(Debug, Clone)]
enum Event {
    Watch(usize),
    /// A webhook: true or forged, early, late, or for a job that nobody knows.
    Push(usize),
    Forget(usize),
    Pass(u64),
    Take(usize),
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let job = 0usize..12;
    let one = prop_oneof![
        3 => job.clone().prop_map(Event::Watch),
        4 => job.clone().prop_map(Event::Push),
        1 => job.prop_map(Event::Forget),
        4 => (0u64..9000).prop_map(Event::Pass),
        2 => (0usize..5).prop_map(Event::Take),
    ];
    proptest::collection::vec(one, 1..80)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn whatever_comes_in_whatever_order_each_wait_ends_exactly_once(
        events in events(),
        batch in 1usize..4,
        takes in 0u64..2500,
        storms in proptest::collection::vec(0u8..4, 1..40),
        backlog in 1usize..20,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (waits, ends, vendor) = runtime.block_on(async {
            let clock = ManualClock::new();
            let vendor = FakeVendor::new(&clock, batch)
                .with_latency(Duration::from_millis(takes))
                .in_condition(move |_, before| match storms.get(before) {
                    Some(0) => Some(server_error()),
                    Some(1) => Some(Error::new(ErrorKind::RateLimited, "vendor", "poll")),
                    _ => None,
                });
            let vendor = Arc::new(vendor);
            let mut fleet = fleet(FleetConfig::default().with_event_buffer(backlog));
            let handle = fleet.kind(Arc::clone(&vendor), |output| output);
            let (mut waits, mut seen) = (vec![0i32; 12], vec![0i32; 12]);
            let number = |id: &JobId| id.as_str().rsplit('-').next().unwrap().parse::<usize>().unwrap();
            for event in events {
                match event {
                    Event::Watch(job) => {
                        let disposition = match job % 4 {
                            0 => ScriptedEnd::Never,
                            1 => ScriptedEnd::Fails(11.0),
                            _ => ScriptedEnd::Done(job as f64 * 3.0),
                        };
                        let job_of = vendor.job(job, disposition);
                        let options = Duration::from_millis(1234 * (job as u64 + 1));
                        match handle.watch(&job_of, id(job), options) {
                            Ok(()) => waits[job] += 1,
                            Err(why) => assert_eq!(why, WatchError::AlreadyWatched),
                        }
                    }
                    Event::Push(job) => {
                        fleet.poll_soon("vendor", &id(job));
                    }
                    Event::Forget(job) => {
                        if handle.unwatch(&id(job)).is_some() {
                            waits[job] -= 1;
                        }
                    }
                    Event::Pass(millis) => pass(&clock, Duration::from_millis(millis)).await,
                    Event::Take(most) => {
                        for _ in 0..most {
                            let mut next = pin!(ended(&mut fleet));
                            let now = poll_fn(|cx| Poll::Ready(next.as_mut().poll(cx))).await;
                            if let Poll::Ready(Some((id, _))) = now {
                                seen[number(&id)] += 1;
                            }
                        }
                    }
                }
            }
            for (id, _) in all(&clock, &mut fleet).await {
                seen[number(&id)] += 1;
            }
            (waits, seen, vendor)
        });
        prop_assert_eq!(waits, ends);
        min_interval_is_kept(&vendor);
    }
}

#[tokio::test]
async fn a_fleet_ends_by_itself_and_hands_back_what_the_caller_put_on_each_job() {
    // Neither `Clone` nor `Debug`.
    struct Tag(usize);
    let clock = ManualClock::new();
    let vendor = Arc::new(FakeVendor::new(&clock, 10));
    let mut fleet = Fleet::new(FleetConfig::default());
    assert!(
        clock.run(fleet.next()).await.is_none(),
        "nothing is watched"
    );
    for round in 0..2 {
        for number in 0..600 {
            let job = vendor.job(round * 600 + number, ScriptedEnd::Done(number as f64 % 7.0));
            fleet.watch(job, Tag(round * 600 + number), LONG).unwrap();
        }
        let dropped = vendor.job(round * 600 + 5, ScriptedEnd::Never);
        assert!(
            fleet
                .unwatch(&dropped)
                .is_some_and(|tag| tag.0 == round * 600 + 5)
        );
        assert!(fleet.unwatch(&dropped).is_none());
        let ends = clock.run(async {
            let mut ends = 0;
            while let Some(done) = fleet.next().await {
                assert_eq!(done.id, id(done.tag.0));
                ends += 1;
            }
            ends
        });
        assert_eq!(ends.await, 599);
    }
    // They shared polls: each job was polled a few times, ten jobs at a time.
    let polls: usize = vendor.asked().polls.values().map(Vec::len).sum();
    assert!(
        vendor.requests() * 5 < polls,
        "{} of {polls}",
        vendor.requests()
    );
}

#[tokio::test]
async fn a_handle_elsewhere_keeps_the_fleet_waiting_until_it_is_dropped() {
    let clock = ManualClock::new();
    let vendor = Arc::new(FakeVendor::new(&clock, 1));
    let mut fleet = fleet(FleetConfig::default());
    let (handle, job) = (fleet.handle(), vendor.job(1, ScriptedEnd::Done(3.0)));
    let elsewhere = {
        let (clock, handle) = (clock.clone(), handle.clone());
        tokio::spawn(async move {
            clock
                .sleep_until(clock.now() + Duration::from_secs(100))
                .await;
            handle.watch(&job, id(1), LONG)
        })
    };
    drop(handle);
    assert_eq!(all(&clock, &mut fleet).await.len(), 1);
    elsewhere.await.unwrap().unwrap();
    assert!(clock.now().since_start() >= Duration::from_secs(100));
}

#[tokio::test]
async fn kinds_with_other_outputs_share_a_fleet_and_their_polls_only_by_group() {
    let clock = ManualClock::new();
    let [one, same, other] =
        [Some(7), Some(7), None].map(|group| Arc::new(FakeVendor::new(&clock, 10).in_group(group)));
    let mut fleet = fleet(FleetConfig::default());
    for (number, vendor) in [&one, &same, &other].into_iter().enumerate() {
        fleet
            .watch(vendor.job(number, ScriptedEnd::Done(0.0)), id(number), LONG)
            .unwrap();
    }
    let shouted = fleet.kind(
        Arc::new(FakeVendor::new(&clock, 10).named("other")),
        |output| JobId::new(output.as_str().to_uppercase()).unwrap(),
    );
    let renamed = Arc::new(FakeVendor::new(&clock, 10).named("other"));
    shouted
        .watch(renamed.job(9, ScriptedEnd::Never), id(9), secs(1.0))
        .unwrap();
    assert_eq!(all(&clock, &mut fleet).await.len(), 4);
    assert_eq!(
        [one.requests(), same.requests(), other.requests()],
        [1, 0, 1]
    );
}

#[tokio::test]
async fn a_tag_of_eight_bytes_costs_nine() {
    let clock = ManualClock::new();
    let vendor = Arc::new(FakeVendor::new(&clock, 100));
    let fleet = Fleet::<JobId, u64>::new(FleetConfig::default());
    for number in 0..100_000 {
        let job = Job::attach(Arc::clone(&vendor), id(number));
        fleet.watch(job, number as u64, LONG).unwrap();
    }
    let each = fleet.bytes() as f64 / 100_000.0;
    assert!(each <= 136.0, "{each}");
    let tags: Vec<u64> = fleet.shutdown().map(|(tag, _)| tag).collect();
    assert_eq!(tags, (0..100_000).collect::<Vec<u64>>());
}
