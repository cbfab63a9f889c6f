//! Measures the fleet over HTTP on loopback beside a bare loop; `cargo xtask bench http` runs it.
//!
//! `bench_http ROUNDS POLLS`: as many rounds of a bare loop, of the fleet with one id a poll and of the fleet with 100;
//! prints one JSON object.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    reason = "a program that measures and prints figures, and may stop at the first surprise"
)]

mod kind;
mod vendor;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::join_all;
use jobs_core::clock::{Clock as _, SystemClock};
use jobs_core::fleet::{Fleet, FleetConfig};
use jobs_core::{Job, JobId};
use serde::Serialize;

use kind::Loopback;
use vendor::Vendor;

/// Requests under way at once, in each of the loops.
const AT_ONCE: u32 = 16;
const BATCH: usize = 100;

/// One way to poll, over all rounds.
#[derive(Default, Serialize)]
struct Figures {
    /// Jobs polled in a second.
    rates: Vec<f64>,
    /// The processor time of the looking thread for each, in nanoseconds.
    nanos: Vec<f64>,
    polls: u64,
    requests: u64,
}

#[derive(Default, Serialize)]
struct All {
    bare: Figures,
    single: Figures,
    batched: Figures,
}

fn id(number: usize) -> JobId {
    JobId::new(format!("01234567-89ab-cdef-0123-{number:012}")).unwrap()
}

/// A request, its answer decoded, and again, until the vendor says that the job is done.
async fn bare(client: &reqwest::Client, vendor: &Vendor) {
    let base = format!("http://{}", vendor.address);
    let loops = (0..AT_ONCE as usize).map(|number| {
        let url = format!("{base}/jobs/{}", id(number));
        async move {
            loop {
                let answer = client.get(&url).send().await.unwrap();
                let body = answer.bytes().await.unwrap();
                let job: kind::Job<'_> = serde_json::from_slice(&body).unwrap();
                if job.state == "done" {
                    return;
                }
            }
        }
    });
    join_all(loops).await;
}

/// So many jobs that somebody is always due.
async fn fleet(kind: &Arc<Loopback>, jobs: usize) {
    let mut fleet = Fleet::new(FleetConfig::default().with_max_in_flight(AT_ONCE));
    for number in 0..jobs {
        let job = Job::attach(Arc::clone(kind), id(number));
        fleet.watch(job, (), Duration::from_secs(60)).unwrap();
    }
    while fleet.next().await.is_some() {}
}

/// The processor time of this thread in nanoseconds; none where the system does not tell.
fn cpu() -> f64 {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos = told.split(' ').next().and_then(|text| text.parse().ok());
    nanos.unwrap_or(f64::NAN)
}

async fn measured(
    clock: &SystemClock,
    vendor: &Vendor,
    polls: u64,
    figures: &mut Figures,
    work: impl Future<Output = ()>,
) {
    vendor.asked.begin(polls);
    let (before, begun) = (cpu(), clock.now());
    work.await;
    let (spent, took) = (cpu() - before, clock.now().since(begun));
    let polls = vendor.asked.polls.load(Ordering::Relaxed);
    figures.rates.push(polls as f64 / took.as_secs_f64());
    figures.nanos.push(spent / polls as f64);
    figures.polls += polls;
    figures.requests += vendor.asked.requests.load(Ordering::Relaxed);
}

fn main() {
    let mut words = std::env::args().skip(1);
    let mut number = |usual: u64| words.next().map_or(usual, |text| text.parse().unwrap());
    let (rounds, polls) = (number(15), number(10_000));
    let vendor = Vendor::start().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let all = runtime.block_on(async {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let single = Arc::new(Loopback::new(vendor.address, 1));
        let batched = Arc::new(Loopback::new(vendor.address, BATCH));
        let clock = SystemClock::new();
        let mut all = All::default();
        for _ in 0..rounds {
            measured(
                &clock,
                &vendor,
                polls,
                &mut all.bare,
                bare(&client, &vendor),
            )
            .await;
            let jobs = AT_ONCE as usize * 16;
            measured(
                &clock,
                &vendor,
                polls,
                &mut all.single,
                fleet(&single, jobs),
            )
            .await;
            let (polls, jobs) = (polls * 20, AT_ONCE as usize * 4 * BATCH);
            measured(
                &clock,
                &vendor,
                polls,
                &mut all.batched,
                fleet(&batched, jobs),
            )
            .await;
        }
        all
    });
    println!("{}", serde_json::to_string(&all).unwrap());
}
