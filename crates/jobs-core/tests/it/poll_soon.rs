//! A hint from outside that a job may be done.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use jobs_core::clock::{Clock, Moment};
use jobs_core::testing::{ManualClock, ScriptStep, ScriptedKind};
use jobs_core::vendor::PollSchedule;
use jobs_core::{Job, JobId};

const HOUR: Duration = Duration::from_secs(3600);

/// Done at the third poll; one every minute, and never within a second.
fn job(clock: &ManualClock) -> Job<ScriptedKind> {
    let steps = [
        ScriptStep::Running,
        ScriptStep::Running,
        ScriptStep::Succeeded,
    ];
    let kind = ScriptedKind::new(clock.shared(), &steps).with_policy(|policy| {
        policy
            .schedule
            .set(PollSchedule::every(Duration::from_secs(60)));
    });
    Job::attach(Arc::new(kind), JobId::new("job-1").unwrap())
}

fn secs(seconds: u64) -> Moment {
    Moment::after_start(Duration::from_secs(seconds))
}

fn polled(job: &Job<ScriptedKind>) -> Vec<Moment> {
    job.kind().requests().moments()
}

#[test]
fn a_hint_brings_the_poll_of_a_wait_forward_and_keeps_the_minimum_interval() {
    let clock = ManualClock::new();
    let job = job(&clock);
    let mut cx = Context::from_waker(Waker::noop());
    let other = job.clone();
    let mut wait = pin!(job.wait(HOUR));
    assert!(wait.as_mut().poll(&mut cx).is_pending());
    assert_eq!(polled(&other), [secs(0)]);
    // Too early for the vendor: waited for, not forgotten.
    other.poll_soon();
    assert!(wait.as_mut().poll(&mut cx).is_pending());
    assert_eq!(polled(&other), [secs(0)]);
    clock.move_to(secs(1));
    assert!(wait.as_mut().poll(&mut cx).is_pending());
    assert_eq!(polled(&other), [secs(0), secs(1)]);
    // Long after: at once. Two hints are one poll.
    clock.move_to(secs(20));
    assert!(wait.as_mut().poll(&mut cx).is_pending());
    assert_eq!(polled(&other).len(), 2);
    other.poll_soon();
    other.poll_soon();
    assert!(matches!(
        wait.as_mut().poll(&mut cx),
        Poll::Ready(Ok("output"))
    ));
    assert_eq!(polled(&other), [secs(0), secs(1), secs(20)]);
    assert_eq!(clock.now(), secs(20));
}

#[tokio::test]
async fn a_hint_without_a_wait_changes_nothing() {
    let clock = ManualClock::new();
    let job = job(&clock);
    job.poll_soon();
    assert_eq!(clock.run(job.wait(HOUR)).await.unwrap(), "output");
    assert_eq!(polled(&job), [secs(0), secs(60), secs(120)]);
}
