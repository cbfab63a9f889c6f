//! Other ways to wait for jobs, each as its users write it, on tokio's paused time. `peers NAME JOBS` prints one JSON
//! object.
//!
//! The work of a look is that of our own bench: a boxed future, the id read for the moment at which its job is done, an
//! answer that owns its word. Nothing of ours is linked.

mod plain;

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

/// The pause between two looks at one job.
const PAUSE: Duration = Duration::from_secs(5);
/// The looks at one job.
const LOOKS: u64 = 10;

/// What a look sees.
pub struct Seen {
    pub done: bool,
    pub word: Box<str>,
}

/// The id of a job that is done at this millisecond.
fn id(number: u64, done: u64) -> Box<str> {
    format!("{number:010}-89ab-cdef-0123-{done:010}").into()
}

/// One look at a job at `now`, in milliseconds.
pub fn look(id: &str, now: u64) -> Pin<Box<dyn Future<Output = Seen> + Send + '_>> {
    Box::pin(async move {
        let done: u64 = id[26..36].parse().unwrap();
        Seen {
            done: done <= now,
            word: "running".into(),
        }
    })
}

/// The ids of `jobs` jobs that begin evenly over one pause and are done by their last look, with their begins.
fn jobs(jobs: u64) -> impl Iterator<Item = (Duration, Box<str>)> {
    let step = u64::try_from(PAUSE.as_millis()).unwrap();
    (0..jobs).map(move |number| {
        let begin = step * number / jobs;
        (Duration::from_millis(begin), id(number, begin + (LOOKS - 1) * step))
    })
}

/// The processor time of this thread, in nanoseconds.
fn cpu() -> u64 {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    told.split(' ').next().and_then(|text| text.parse().ok()).unwrap_or_default()
}

fn main() {
    let mut words = std::env::args().skip(1);
    let name = words.next().unwrap_or_default();
    let number = words.next().and_then(|text| text.parse().ok()).unwrap_or(100_000);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    let before = cpu();
    let looks = match name.as_str() {
        "plain" => runtime.block_on(plain::run(jobs(number))),
        _ => {
            println!("usage: peers plain JOBS");
            return;
        }
    };
    let each = (cpu() - before) as f64 / looks as f64;
    println!("{{\"nanos_per_look\": {each:.1}, \"looks\": {looks}, \"requests\": {looks}}}");
}
