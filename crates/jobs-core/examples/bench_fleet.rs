//! Measures the fleet on a clock moved by hand; `cargo xtask bench` runs it and puts others beside it.
//!
//! `bench_fleet scheduler JOBS BATCH`, `polls JOBS BATCH`, `memory JOBS [8]` with tags of so many bytes, or `year JOBS BATCH`; prints one JSON object.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    reason = "a program that prints figures, and may stop at the first surprise"
)]

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jobs_core::clock::{Clock, Moment, SystemClock};
use jobs_core::fleet::{Fleet, FleetConfig};
use jobs_core::testing::ManualClock;
use jobs_core::vendor::{
    Account, JobKind, KindPolicy, PollResults, PollSchedule, Sourced, async_trait,
};
use jobs_core::{Job, JobId, Snapshot, Status};

const PAUSE: Duration = Duration::from_secs(5);

/// A vendor that answers at once. A job's id says when it is done, so that nothing is measured but the waiting.
struct Instant {
    clock: Arc<dyn Clock>,
    account: Account,
    policy: KindPolicy,
    polls: AtomicU64,
    requests: AtomicU64,
}

impl fmt::Debug for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Instant")
    }
}

impl Instant {
    fn new(clock: Arc<dyn Clock>, batch: usize) -> Self {
        let source = "made up";
        let mut policy = KindPolicy::new(
            Sourced::inferred(Duration::from_secs(2), source),
            Sourced::inferred(Duration::ZERO, source),
            Sourced::inferred(PollSchedule::every(PAUSE), source),
        );
        policy.max_batch.set(batch.try_into().unwrap());
        Self {
            clock,
            account: Account::of("instant", "anybody"),
            policy,
            polls: AtomicU64::new(0),
            requests: AtomicU64::new(0),
        }
    }
}

/// The id of a job that is done at this millisecond: 36 bytes, as most vendors' are.
fn id(number: usize, done: u64) -> JobId {
    JobId::new(format!("{number:010}-89ab-cdef-0123-{done:010}")).unwrap()
}

fn done(id: &JobId) -> Moment {
    let millis = id.as_str().get(26..36).unwrap().parse().unwrap();
    Moment::after_start(Duration::from_millis(millis))
}

#[async_trait]
impl JobKind for Instant {
    type Output = ();

    fn vendor(&self) -> &'static str {
        "instant"
    }

    fn name(&self) -> &'static str {
        "play"
    }

    fn account(&self) -> Account {
        self.account
    }

    fn policy(&self) -> &KindPolicy {
        &self.policy
    }

    fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    async fn poll(&self, ids: &[JobId]) -> PollResults<()> {
        let now = self.clock.now();
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.polls.fetch_add(ids.len() as u64, Ordering::Relaxed);
        let mut polls = PollResults::of("instant", ids);
        for (place, id) in ids.iter().enumerate() {
            let status = if done(id) <= now {
                Status::Succeeded(())
            } else {
                Status::Running
            };
            polls.set(place, Ok(Snapshot::new(status, "running")));
        }
        polls
    }
}

/// The processor time of this thread in nanoseconds; the time of day where the system does not tell.
fn cpu(clock: &SystemClock) -> u64 {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let told = told.and_then(|text| text.split(' ').next()?.parse().ok());
    told.unwrap_or_else(|| u64::try_from(clock.now().since_start().as_nanos()).unwrap())
}

/// The memory of this process that is in use, in bytes.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
    kib.unwrap_or_default() * 1024
}

async fn take_all<T: Send + 'static>(fleet: &mut Fleet<(), T>, jobs: usize) -> usize {
    let mut done = 0;
    for _ in 0..jobs {
        if fleet.next().await.is_some_and(|end| end.result.is_ok()) {
            done += 1;
        }
    }
    done
}

/// `jobs` jobs of ten polls each, begun evenly over one pause.
async fn scheduler(jobs: usize, batch: usize) -> String {
    let real = SystemClock::new();
    let clock = ManualClock::new();
    let kind = Arc::new(Instant::new(clock.shared(), batch));
    let mut fleet = Fleet::new(FleetConfig::default());
    let step = u64::try_from(PAUSE.as_millis()).unwrap();
    let before = cpu(&real);
    let begin = async {
        for number in 0..jobs {
            let start = step * number as u64 / jobs as u64;
            let now = Moment::after_start(Duration::from_millis(start));
            if clock.now() < now {
                clock.sleep_until(now).await;
            }
            let job = Job::attach(Arc::clone(&kind), id(number, start + 9 * step));
            fleet.watch(job, (), Duration::from_secs(3600)).unwrap();
        }
        take_all(&mut fleet, jobs).await
    };
    let done = clock.run(begin).await;
    let spent = cpu(&real) - before;
    assert_eq!(done, jobs);
    let polls = kind.polls.load(Ordering::Relaxed);
    let requests = kind.requests.load(Ordering::Relaxed);
    format!(
        "{{\"nanos_per_poll\": {:.1}, \"polls\": {polls}, \"requests\": {requests}}}",
        spent as f64 / polls as f64
    )
}

/// The same polls without anybody who plans them: what of a poll is the kind's own work.
async fn polls(jobs: usize, batch: usize) -> String {
    let real = SystemClock::new();
    let clock = ManualClock::new();
    let kind = Instant::new(clock.shared(), batch);
    let ids: Vec<JobId> = (0..jobs).map(|number| id(number, 1)).collect();
    let before = cpu(&real);
    for _ in 0..10 {
        for batch in ids.chunks(batch) {
            assert_eq!(kind.poll(batch).await.into_vec().len(), batch.len());
        }
    }
    let polls = kind.polls.load(Ordering::Relaxed);
    format!(
        "{{\"nanos_per_poll\": {:.1}, \"polls\": {polls}, \"requests\": {}}}",
        (cpu(&real) - before) as f64 / polls as f64,
        kind.requests.load(Ordering::Relaxed)
    )
}

/// What `jobs` waiting jobs take, by the process's memory before and after, and by the fleet's own count.
async fn memory<T: Send + 'static>(jobs: usize, tag: impl Fn(usize) -> T) -> String {
    let clock = ManualClock::new();
    let kind = Arc::new(Instant::new(clock.shared(), 100));
    let fleet = Fleet::<(), T>::new(FleetConfig::default().with_capacity(jobs));
    let before = resident();
    let begin = async {
        for number in 0..jobs {
            let now = PAUSE.mul_f64(number as f64 / jobs as f64).as_millis();
            let now = Moment::after_start(Duration::from_millis(u64::try_from(now).unwrap()));
            if clock.now() < now {
                clock.sleep_until(now).await;
            }
            let job = Job::attach(Arc::clone(&kind), id(number, u64::from(u32::MAX)));
            let options = Duration::from_secs(864_000);
            fleet.watch(job, tag(number), options).unwrap();
        }
    };
    clock.run(begin).await;
    let watched = resident() - before;
    // Everybody has been polled, so that the state is that of a busy fleet.
    clock
        .run(clock.sleep_until(Moment::after_start(PAUSE * 3)))
        .await;
    let polled = resident() - before;
    let each = |bytes: u64| bytes as f64 / jobs as f64;
    format!(
        "{{\"bytes_watched\": {:.1}, \"bytes_polled\": {:.1}, \"bytes_counted\": {:.1}, \"polls\": {}}}",
        each(watched),
        each(polled),
        each(fleet.bytes() as u64),
        kind.polls.load(Ordering::Relaxed)
    )
}

/// `jobs` jobs that come evenly over a year and take from a second to half an hour.
async fn year(jobs: usize, batch: usize) -> String {
    const YEAR: u64 = 365 * 86_400_000;
    let real = SystemClock::new();
    let clock = ManualClock::new();
    let kind = Instant::new(clock.shared(), batch);
    let kind = Arc::new(kind);
    let mut fleet = Fleet::new(FleetConfig::default());
    let before = cpu(&real);
    let mut longest = 0u64;
    let feed = async {
        let mut waiting = 0;
        let mut done = 0;
        for number in 0..jobs {
            let start = YEAR / jobs as u64 * number as u64;
            clock
                .sleep_until(Moment::after_start(Duration::from_millis(start)))
                .await;
            // From a second to some minutes, log-spread by a fixed pattern.
            let takes = 1000 << (number * 7 % 9);
            longest = longest.max(takes);
            let job = Job::attach(Arc::clone(&kind), id(number, start + takes));
            fleet.watch(job, (), Duration::from_secs(3600)).unwrap();
            waiting += 1;
            while waiting > 500 {
                done += take_all(&mut fleet, 1).await;
                waiting -= 1;
            }
        }
        done + take_all(&mut fleet, waiting).await
    };
    let done = clock.run(feed).await;
    let took = (cpu(&real) - before) as f64 / 1e9;
    assert_eq!(done, jobs);
    format!(
        "{{\"seconds\": {took:.2}, \"polls\": {}, \"requests\": {}, \"virtual_days\": {:.1}}}",
        kind.polls.load(Ordering::Relaxed),
        kind.requests.load(Ordering::Relaxed),
        clock.now().since_start().as_secs_f64() / 86_400.0
    )
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize, usual: usize| {
        let text = arguments.get(at);
        text.map_or(usual, |text| text.parse().unwrap())
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let line = match arguments.first().map(String::as_str) {
        Some("scheduler") => runtime.block_on(scheduler(number(1, 100_000), number(2, 1))),
        Some("polls") => runtime.block_on(polls(number(1, 100_000), number(2, 1))),
        Some("memory") => match number(2, 0) {
            8 => runtime.block_on(memory(number(1, 1_000_000), |number| number as u64)),
            _ => runtime.block_on(memory(number(1, 1_000_000), |_| ())),
        },
        Some("year") => runtime.block_on(year(number(1, 1_000_000), number(2, 1))),
        _ => "usage: bench_fleet scheduler JOBS BATCH | polls JOBS BATCH | memory JOBS | year JOBS BATCH".to_owned(),
    };
    println!("{line}");
}
