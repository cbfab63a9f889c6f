//! Other ways to wait for jobs, each as its users write it, on tokio's paused time. `peers NAME JOBS` prints one JSON
//! object.
//!
//! The work of a poll is that of our own bench: a boxed future, the id read for the moment at which its job is done, an
//! answer that owns its word. Nothing of ours is linked, and nothing is sent.

mod aws;
mod azure;
mod clock;
mod google;
mod plain;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::{self, Instant};

/// The pause between two polls of one job.
const PAUSE: Duration = Duration::from_secs(5);
/// The polls of one job.
const POLLS: u64 = 10;

/// What a poll sees.
pub struct Seen {
    pub done: bool,
    pub word: Box<str>,
}

/// A job that is done at the millisecond that its id says.
pub struct Job {
    pub id: Box<str>,
    start: Instant,
    polls: Arc<AtomicU64>,
}

impl Job {
    pub fn poll(self: &Arc<Self>) -> Pin<Box<dyn Future<Output = Seen> + Send>> {
        let job = Arc::clone(self);
        Box::pin(async move {
            job.polls.fetch_add(1, Ordering::Relaxed);
            let done: u128 = job.id[26..36].parse().unwrap();
            Seen {
                done: done <= job.start.elapsed().as_millis(),
                word: "running".into(),
            }
        })
    }
}

/// Jobs that begin evenly over one pause and are done by their last poll, each waited for by a task with `wait`; the
/// number of polls.
async fn waited<F: Future<Output = ()> + Send + 'static>(
    jobs: u64,
    wait: impl Fn(Arc<Job>) -> F,
) -> u64 {
    let (start, polls) = (clock::now(), Arc::new(AtomicU64::new(0)));
    let step = u64::try_from(PAUSE.as_millis()).unwrap();
    let tasks: Vec<_> = (0..jobs)
        .map(|number| {
            let begin = step * number / jobs;
            let done = begin + (POLLS - 1) * step;
            let wait = wait(Arc::new(Job {
                id: format!("{number:010}-89ab-cdef-0123-{done:010}").into(),
                start,
                polls: Arc::clone(&polls),
            }));
            tokio::spawn(async move {
                time::sleep(Duration::from_millis(begin)).await;
                wait.await;
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    polls.load(Ordering::Relaxed)
}

/// The processor time of this thread, in nanoseconds.
fn cpu() -> u64 {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    told.split(' ')
        .next()
        .and_then(|text| text.parse().ok())
        .unwrap_or_default()
}

fn main() {
    let mut words = std::env::args().skip(1);
    let name = words.next().unwrap_or_default();
    let jobs = words
        .next()
        .and_then(|text| text.parse().ok())
        .unwrap_or(100_000);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    let before = cpu();
    let polls = runtime.block_on(async {
        match name.as_str() {
            "aws" => waited(jobs, aws::wait).await,
            "azure" => waited(jobs, azure::wait).await,
            "google" => waited(jobs, google::wait).await,
            "plain" => waited(jobs, plain::wait).await,
            _ => 0,
        }
    });
    if polls == 0 {
        println!("usage: peers aws|azure|google|plain JOBS");
        return;
    }
    let each = (cpu() - before) as f64 / polls as f64;
    println!("{{\"nanos_per_poll\": {each:.1}, \"polls\": {polls}, \"requests\": {polls}}}");
}
