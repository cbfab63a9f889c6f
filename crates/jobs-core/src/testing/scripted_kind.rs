//! A kind without a vendor: it answers from a script.

use std::future::pending;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::clock::Clock;
use crate::error::{Delivery, Error, ErrorKind};
use crate::id::{Account, JobId};
use crate::kind::{JobKind, PollResult, PollResults};
use crate::kind_policy::{KindPolicy, Sourced};
use crate::poll_schedule::PollSchedule;
use crate::rate_limit::{RateLimit, RateLimiter, RequestClass, SharedRate};
use crate::status::{Failure, Snapshot, Status};
use crate::testing::{KindUnderTest, ManualClock, RequestLog, Script, ScriptStep, TestVendor};

/// A kind whose polls are answered from a script.
#[derive(Debug, Clone)]
pub struct ScriptedKind {
    clock: Arc<dyn Clock>,
    policy: KindPolicy,
    steps: Vec<ScriptStep>,
    requests: RequestLog,
    limiter: Option<RateLimiter>,
}

impl ScriptedKind {
    /// A kind that answers poll by poll with `beats`, the last one for ever: floor 1 s, a poll every 5 s.
    pub fn new(clock: Arc<dyn Clock>, steps: &[ScriptStep]) -> Self {
        let invented = "made up for tests";
        let policy = KindPolicy::new(
            Sourced::inferred(Duration::from_secs(1), invented),
            Sourced::inferred(Duration::ZERO, invented),
            Sourced::inferred(PollSchedule::every(Duration::from_secs(5)), invented),
        );
        Self {
            clock,
            policy,
            steps: steps.to_vec(),
            requests: RequestLog::default(),
            limiter: None,
        }
    }

    /// Changes its facts.
    #[must_use]
    pub fn with_policy(mut self, configure: impl FnOnce(&mut KindPolicy)) -> Self {
        configure(&mut self.policy);
        self
    }

    /// Takes a place there for each poll.
    #[must_use]
    pub fn with_shared_rate(mut self, rate: Arc<dyn SharedRate>) -> Self {
        let endless = RateLimit {
            limit: NonZeroU32::MAX,
            per: Duration::from_secs(1),
        };
        let limiter = RateLimiter::new(self.clock.clone(), &[endless]);
        self.limiter = Some(limiter.with_shared_rate(rate, self.account(), "requests"));
        self
    }

    /// The polls so far.
    pub fn requests(&self) -> &RequestLog {
        &self.requests
    }

    /// One poll, which counts.
    pub async fn poll_once(&self) -> PollResult<&'static str> {
        let _permit = match &self.limiter {
            Some(limiter) => Some(limiter.acquire(RequestClass::Poll).await?),
            None => None,
        };
        let error = |kind, sent| Err(Error::new(kind, "scripted", "poll").with_delivery(sent));
        match self.requests.record_poll(self.clock.now(), &self.steps) {
            ScriptStep::Queued => Ok(Snapshot::new(Status::Queued, "queued")),
            ScriptStep::Running => Ok(Snapshot::new(Status::Running, "running")),
            ScriptStep::Unknown(word) => Ok(Snapshot::unknown(word)),
            ScriptStep::Succeeded => Ok(Snapshot::new(Status::Succeeded("output"), "succeeded")),
            ScriptStep::Failed(reason) => Ok(Snapshot::new(
                Status::Failed(Failure::new(reason)),
                "failed",
            )),
            ScriptStep::ServerError => error(ErrorKind::Unavailable, Delivery::MaybeSent),
            ScriptStep::RateLimited(wait) => error(ErrorKind::RateLimited, Delivery::Answered)
                .map_err(|error| error.with_retry_after(Some(wait))),
            ScriptStep::Unauthenticated => error(ErrorKind::Unauthenticated, Delivery::Answered),
            ScriptStep::Malformed(_) => error(ErrorKind::UnexpectedResponse, Delivery::MaybeSent),
            ScriptStep::NoResponse => pending().await,
        }
    }
}

#[async_trait]
impl JobKind for ScriptedKind {
    type Output = &'static str;

    fn vendor(&self) -> &'static str {
        "scripted"
    }

    fn name(&self) -> &'static str {
        "play"
    }

    fn account(&self) -> Account {
        Account::of("scripted", "anybody")
    }

    fn policy(&self) -> &KindPolicy {
        &self.policy
    }

    fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    async fn poll(&self, ids: &[JobId]) -> PollResults<&'static str> {
        let mut polls = PollResults::of("scripted", ids);
        for (place, id) in ids.iter().enumerate() {
            let poll = self.poll_once().await;
            polls.set(place, poll.map_err(|error| error.with_job(id.clone())));
        }
        polls
    }
}

/// Puts [`ScriptedKind`] under test.
#[derive(Debug)]
pub struct ScriptedKindUnderTest;

#[async_trait]
impl KindUnderTest for ScriptedKindUnderTest {
    type Kind = ScriptedKind;

    async fn set_up(&self, clock: &ManualClock, script: Script<'_>) -> TestVendor<ScriptedKind> {
        let kind = ScriptedKind::new(clock.shared(), script.steps)
            .with_policy(script.configure)
            .with_shared_rate(script.shared_rate);
        let asked = kind.requests().clone();
        #[allow(clippy::expect_used, reason = "the text is fixed")]
        let id = JobId::new("job-1").expect("a valid id");
        TestVendor {
            kind: Arc::new(kind),
            id,
            requests: asked,
            guard: Box::new(()),
        }
    }
}
