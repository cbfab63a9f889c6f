//! A vendor in memory with many jobs, which notes every look.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use jobs_core::testing::ManualClock;
use jobs_core::{
    Account, Clock, Error, ErrorKind, Fact, Facts, Failure, Job, JobId, JobKind, Looks, Moment,
    Pacing, Quota, Snapshot, Status, Use, async_trait,
};

pub(crate) const FLOOR: Duration = Duration::from_secs(2);
pub(crate) const PAUSE: Duration = Duration::from_secs(5);

/// What the vendor was asked.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    /// The size of each request, and its moment.
    pub(crate) requests: Vec<(Moment, usize)>,
    /// The looks at each job.
    pub(crate) looks: HashMap<String, Vec<Moment>>,
    pub(crate) in_flight: usize,
    pub(crate) most_in_flight: usize,
}

/// Says what happens to a request: nothing, or this error for all of it.
type Weather = Box<dyn Fn(Moment, usize) -> Option<Error> + Send + Sync>;

pub(crate) struct Yard {
    clock: ManualClock,
    shared: Arc<dyn Clock>,
    facts: Facts,
    name: &'static str,
    /// How long a request takes.
    takes: Duration,
    quota: Option<Quota>,
    weather: Weather,
    done: Mutex<HashMap<String, (Moment, Fate)>>,
    pub(crate) asked: Mutex<Asked>,
}

/// What becomes of a job, after this many seconds.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fate {
    Done(f64),
    Fails(f64),
    Panics,
    Unmentioned,
    Never,
}

impl fmt::Debug for Yard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Yard")
    }
}

pub(crate) fn secs(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

pub(crate) fn id(number: usize) -> JobId {
    JobId::new(format!("01234567-89ab-cdef-0123-{number:012}")).unwrap()
}

impl Yard {
    pub(crate) fn new(clock: &ManualClock, batch: usize) -> Self {
        let source = "made up";
        let mut facts = Facts::new(
            Fact::inferred(FLOOR, source),
            Fact::inferred(Duration::ZERO, source),
            Fact::inferred(Pacing::every(PAUSE), source),
            &[],
        );
        facts.batch.set(batch.try_into().unwrap());
        Self {
            clock: clock.clone(),
            shared: clock.shared(),
            facts,
            name: "play",
            takes: Duration::ZERO,
            quota: None,
            weather: Box::new(|_, _| None),
            done: Mutex::default(),
            asked: Mutex::default(),
        }
    }

    pub(crate) fn named(mut self, name: &'static str) -> Self {
        self.name = name;
        self
    }

    pub(crate) fn taking(mut self, time: Duration) -> Self {
        self.takes = time;
        self
    }

    pub(crate) fn drawing_on(mut self, quota: Quota) -> Self {
        self.quota = Some(quota);
        self
    }

    pub(crate) fn with_facts(mut self, tune: impl FnOnce(&mut Facts)) -> Self {
        tune(&mut self.facts);
        self
    }

    /// `weather` gets the moment and the number of requests before.
    pub(crate) fn in_weather(
        mut self,
        weather: impl Fn(Moment, usize) -> Option<Error> + Send + Sync + 'static,
    ) -> Self {
        self.weather = Box::new(weather);
        self
    }

    /// A job with this fate.
    pub(crate) fn job(self: &Arc<Self>, number: usize, fate: Fate) -> Job<Self> {
        let id = id(number);
        self.done
            .lock()
            .unwrap()
            .insert(id.to_string(), (self.clock.now(), fate));
        Job::accepted(Arc::clone(self), id)
    }

    pub(crate) fn asked(&self) -> MutexGuard<'_, Asked> {
        self.asked.lock().unwrap()
    }

    pub(crate) fn requests(&self) -> usize {
        self.asked().requests.len()
    }
}

pub(crate) fn trouble() -> Error {
    Error::new(ErrorKind::Unavailable, "yard", "look")
}

#[async_trait]
impl JobKind for Yard {
    type Output = JobId;

    fn vendor(&self) -> &'static str {
        "yard"
    }

    fn name(&self) -> &'static str {
        self.name
    }

    fn account(&self) -> Account {
        Account::of("yard", "anybody")
    }

    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn clock(&self) -> &Arc<dyn Clock> {
        &self.shared
    }

    async fn observe(&self, ids: &[JobId]) -> Looks<JobId> {
        let permit = match &self.quota {
            Some(quota) => Some(quota.acquire(Use::Look).await.unwrap()),
            None => None,
        };
        let now = self.clock.now();
        let before = {
            let mut asked = self.asked();
            asked.requests.push((now, ids.len()));
            asked.in_flight += 1;
            asked.most_in_flight = asked.most_in_flight.max(asked.in_flight);
            for id in ids {
                asked.looks.entry(id.to_string()).or_default().push(now);
            }
            asked.requests.len() - 1
        };
        if !self.takes.is_zero() {
            self.clock.sleep_until(now + self.takes).await;
        }
        self.asked().in_flight -= 1;
        let error = (self.weather)(now, before);
        if let Some(permit) = permit {
            match &error {
                Some(error) if error.kind() == ErrorKind::RateLimited => {
                    permit.refused(error.wait());
                }
                _ => permit.passed(),
            }
        }
        if let Some(error) = error {
            return Looks::failed(ids, &error);
        }
        let mut looks = Looks::of("yard", ids);
        for (place, id) in ids.iter().enumerate() {
            let fate = self.done.lock().unwrap().get(id.as_str()).copied();
            let status = match fate {
                Some((from, Fate::Done(time))) if from + secs(time) <= now => {
                    Status::Succeeded(id.clone())
                }
                Some((from, Fate::Fails(time))) if from + secs(time) <= now => {
                    Status::Failed(Failure::new("upside down"))
                }
                Some((_, Fate::Panics)) => panic!("no such field"),
                Some((_, Fate::Unmentioned)) => continue,
                Some(_) => Status::Running,
                None => Status::Gone,
            };
            looks.set(place, Ok(Snapshot::new(status, "word")));
        }
        looks
    }
}
