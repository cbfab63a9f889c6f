//! A vendor in memory with many jobs, which notes every poll.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use jobs_core::clock::{Clock, Moment};
use jobs_core::testing::ManualClock;
use jobs_core::vendor::{
    Account, Failure, JobKind, KindPolicy, PollResults, PollSchedule, RateLimiter, RequestClass,
    Sourced, async_trait,
};
use jobs_core::{Error, ErrorKind, Job, JobId, Snapshot, Status};

pub(crate) const MIN_INTERVAL: Duration = Duration::from_secs(2);
pub(crate) const PAUSE: Duration = Duration::from_secs(5);

/// What the vendor was asked.
#[derive(Debug, Default)]
pub(crate) struct PollCounts {
    /// The size of each request, and its moment.
    pub(crate) requests: Vec<(Moment, usize)>,
    /// The polls of each job.
    pub(crate) polls: HashMap<String, Vec<Moment>>,
    pub(crate) in_flight: usize,
    pub(crate) most_in_flight: usize,
}

/// Says what happens to a request: nothing, or this error for all of it.
type Condition = Box<dyn Fn(Moment, usize) -> Option<Error> + Send + Sync>;

pub(crate) struct FakeVendor {
    clock: ManualClock,
    shared: Arc<dyn Clock>,
    policy: KindPolicy,
    name: &'static str,
    group: Option<usize>,
    /// How long a request takes.
    latency: Duration,
    limiter: Option<RateLimiter>,
    condition: Condition,
    done: Mutex<HashMap<String, (Moment, ScriptedEnd)>>,
    pub(crate) counts: Mutex<PollCounts>,
}

/// What becomes of a job, after this many seconds.
#[derive(Debug, Clone, Copy)]
pub(crate) enum ScriptedEnd {
    Done(f64),
    Fails(f64),
    Panics,
    Unmentioned,
    Never,
}

impl fmt::Debug for FakeVendor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FakeVendor")
    }
}

pub(crate) fn secs(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

pub(crate) fn id(number: usize) -> JobId {
    JobId::new(format!("01234567-89ab-cdef-0123-{number:012}")).unwrap()
}

impl FakeVendor {
    pub(crate) fn new(clock: &ManualClock, batch: usize) -> Self {
        let source = "made up";
        let mut policy = KindPolicy::new(
            Sourced::inferred(MIN_INTERVAL, source),
            Sourced::inferred(Duration::ZERO, source),
            Sourced::inferred(PollSchedule::every(PAUSE), source),
        );
        policy.max_batch.set(batch.try_into().unwrap());
        Self {
            clock: clock.clone(),
            shared: clock.shared(),
            policy,
            name: "play",
            group: None,
            latency: Duration::ZERO,
            limiter: None,
            condition: Box::new(|_, _| None),
            done: Mutex::default(),
            counts: Mutex::default(),
        }
    }

    pub(crate) fn named(mut self, name: &'static str) -> Self {
        self.name = name;
        self
    }

    pub(crate) fn in_group(mut self, group: Option<usize>) -> Self {
        self.group = group;
        self
    }

    pub(crate) fn with_latency(mut self, time: Duration) -> Self {
        self.latency = time;
        self
    }

    pub(crate) fn with_shared_rate(mut self, limiter: RateLimiter) -> Self {
        self.limiter = Some(limiter);
        self
    }

    pub(crate) fn with_policy(mut self, configure: impl FnOnce(&mut KindPolicy)) -> Self {
        configure(&mut self.policy);
        self
    }

    /// `condition` gets the moment and the number of requests before.
    pub(crate) fn in_condition(
        mut self,
        condition: impl Fn(Moment, usize) -> Option<Error> + Send + Sync + 'static,
    ) -> Self {
        self.condition = Box::new(condition);
        self
    }

    /// A job that ends like this.
    pub(crate) fn job(self: &Arc<Self>, number: usize, end: ScriptedEnd) -> Job<Self> {
        let id = id(number);
        self.done
            .lock()
            .unwrap()
            .insert(id.to_string(), (self.clock.now(), end));
        Job::accepted(Arc::clone(self), id)
    }

    pub(crate) fn asked(&self) -> MutexGuard<'_, PollCounts> {
        self.counts.lock().unwrap()
    }

    pub(crate) fn requests(&self) -> usize {
        self.asked().requests.len()
    }
}

pub(crate) fn server_error() -> Error {
    Error::new(ErrorKind::Unavailable, "vendor", "poll")
}

#[async_trait]
impl JobKind for FakeVendor {
    type Output = JobId;

    fn vendor(&self) -> &'static str {
        "vendor"
    }

    fn name(&self) -> &'static str {
        self.name
    }

    fn account(&self) -> Account {
        Account::of("vendor", "anybody")
    }

    fn policy(&self) -> &KindPolicy {
        &self.policy
    }

    fn clock(&self) -> &Arc<dyn Clock> {
        &self.shared
    }

    fn poll_group(&self) -> Option<usize> {
        self.group
    }

    async fn poll(&self, ids: &[JobId]) -> PollResults<JobId> {
        let permit = match &self.limiter {
            Some(limiter) => Some(limiter.acquire(RequestClass::Poll).await.unwrap()),
            None => None,
        };
        let now = self.clock.now();
        let before = {
            let mut asked = self.asked();
            asked.requests.push((now, ids.len()));
            asked.in_flight += 1;
            asked.most_in_flight = asked.most_in_flight.max(asked.in_flight);
            for id in ids {
                asked.polls.entry(id.to_string()).or_default().push(now);
            }
            asked.requests.len() - 1
        };
        if !self.latency.is_zero() {
            self.clock.sleep_until(now + self.latency).await;
        }
        self.asked().in_flight -= 1;
        let error = (self.condition)(now, before);
        if let Some(permit) = permit {
            match &error {
                Some(error) if error.kind() == ErrorKind::RateLimited => {
                    permit.rate_limited(error.retry_after());
                }
                _ => permit.accepted(),
            }
        }
        if let Some(error) = error {
            return PollResults::failed(ids, &error);
        }
        let mut polls = PollResults::of("vendor", ids);
        for (place, id) in ids.iter().enumerate() {
            let end = self.done.lock().unwrap().get(id.as_str()).copied();
            let status = match end {
                Some((from, ScriptedEnd::Done(time))) if from + secs(time) <= now => {
                    Status::Succeeded(id.clone())
                }
                Some((from, ScriptedEnd::Fails(time))) if from + secs(time) <= now => {
                    Status::Failed(Failure::new("upside down"))
                }
                Some((_, ScriptedEnd::Panics)) => panic!("no such field"),
                Some((_, ScriptedEnd::Unmentioned)) => continue,
                Some(_) => Status::Running,
                None => Status::Gone,
            };
            polls.set(place, Ok(Snapshot::new(status, "word")));
        }
        polls
    }
}
