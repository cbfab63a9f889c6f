//! The polls that the HTTP bench measures, thinned and counted.

#[path = "../../examples/bench_http/kind.rs"]
mod kind;
#[path = "../../examples/bench_http/vendor.rs"]
mod vendor;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use jobs_core::fleet::{Fleet, FleetConfig};
use jobs_core::{Job, JobId};

use kind::Loopback;
use vendor::Vendor;

const AT_ONCE: u32 = 8;

/// Polls `jobs` jobs until the vendor has counted `polls`: the connections, requests and polls that it took.
async fn counted(batch: usize, jobs: usize, polls: u64) -> (u64, u64, u64) {
    let vendor = Vendor::start().unwrap();
    vendor.asked.begin(polls);
    let kind = Arc::new(Loopback::new(vendor.address, batch));
    let mut fleet = Fleet::new(FleetConfig::default().with_max_in_flight(AT_ONCE));
    for number in 0..jobs {
        let id = JobId::new(format!("job-{number}")).unwrap();
        let job = Job::attach(Arc::clone(&kind), id);
        fleet.watch(job, (), Duration::from_secs(60)).unwrap();
    }
    let mut done = 0;
    while let Some(end) = fleet.next().await {
        assert!(end.result.is_ok(), "{end:?}");
        done += 1;
    }
    assert_eq!(done, jobs);
    let asked = &vendor.asked;
    let [connections, requests, polls] = [&asked.connections, &asked.requests, &asked.polls]
        .map(|count| count.load(Ordering::Relaxed));
    (connections, requests, polls)
}

/// A connection goes back to the others a moment after its answer was read, so that now and then one more is made.
fn are_kept(connections: u64, requests: u64) {
    assert!(
        connections <= requests / 2,
        "{connections} connections for {requests} requests"
    );
}

#[tokio::test]
async fn a_poll_is_one_request_on_a_connection_that_is_kept() {
    let (connections, requests, polls) = counted(1, 32, 500).await;
    assert_eq!(requests, polls);
    // Each job is seen done once, and nothing more is asked.
    assert!((500..=500 + 32).contains(&polls), "{polls}");
    are_kept(connections, requests);
}

#[tokio::test]
async fn a_hundred_jobs_share_a_request() {
    let (connections, requests, polls) = counted(100, 800, 8_000).await;
    assert!((8_000..=8_800).contains(&polls), "{polls}");
    assert!(
        requests <= polls / 80,
        "{requests} requests for {polls} polls"
    );
    are_kept(connections, requests);
}
