//! The looks that the HTTP bench measures, thinned and counted.

#[path = "../../examples/bench_http/kind.rs"]
mod kind;
#[path = "../../examples/bench_http/vendor.rs"]
mod vendor;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use jobs_core::{Fleet, FleetConfig, FleetEvent, Job, JobId};

use kind::Loopback;
use vendor::Vendor;

const AT_ONCE: u32 = 8;

/// Looks at `jobs` jobs until the vendor has counted `looks`: the connections, requests and looks that it took.
async fn counted(batch: usize, jobs: usize, looks: u64) -> (u64, u64, u64) {
    let vendor = Vendor::start().unwrap();
    vendor.asked.begin(looks);
    let kind = Arc::new(Loopback::new(vendor.address, batch));
    let (fleet, mut ends) = Fleet::new(FleetConfig::default().with_max_in_flight(AT_ONCE));
    let lane = fleet.handle(Arc::clone(&kind), |()| ());
    for number in 0..jobs {
        let id = JobId::new(format!("job-{number}")).unwrap();
        lane.watch(&Job::attach(Arc::clone(&kind), id), Duration::from_secs(60))
            .unwrap();
    }
    drop((fleet, lane));
    let mut done = 0;
    while let Some(news) = ends.next().await {
        assert!(
            matches!(news, FleetEvent::Ended { result: Ok(()), .. }),
            "{news:?}"
        );
        done += 1;
    }
    assert_eq!(done, jobs);
    let asked = &vendor.asked;
    let [connections, requests, looks] = [&asked.connections, &asked.requests, &asked.looks]
        .map(|count| count.load(Ordering::Relaxed));
    (connections, requests, looks)
}

/// A connection goes back to the others a moment after its answer was read, so that now and then one more is made.
fn are_kept(connections: u64, requests: u64) {
    assert!(
        connections <= requests / 2,
        "{connections} connections for {requests} requests"
    );
}

#[tokio::test]
async fn a_look_is_one_request_on_a_connection_that_is_kept() {
    let (connections, requests, looks) = counted(1, 32, 500).await;
    assert_eq!(requests, looks);
    // Each job is seen done once, and nothing more is asked.
    assert!((500..=500 + 32).contains(&looks), "{looks}");
    are_kept(connections, requests);
}

#[tokio::test]
async fn a_hundred_jobs_share_a_request() {
    let (connections, requests, looks) = counted(100, 800, 8_000).await;
    assert!((8_000..=8_800).contains(&looks), "{looks}");
    assert!(
        requests <= looks / 80,
        "{requests} requests for {looks} looks"
    );
    are_kept(connections, requests);
}
