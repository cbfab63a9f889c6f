//! A kind without a vendor: it answers from a script.

use std::future::pending;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::clock::Clock;
use crate::error::{Error, ErrorKind, Sent};
use crate::facts::{Fact, Facts};
use crate::id::{Account, JobId};
use crate::kind::{JobKind, Look, Looks};
use crate::pacing::Pacing;
use crate::quota::{Quota, SharedRate, Use, Window};
use crate::status::{Failure, Snapshot, Status};
use crate::testing::{Asked, Beat, ManualClock, Play, Stage, Subject};

/// A kind whose looks are answered from a script.
#[derive(Debug, Clone)]
pub struct Scripted {
    clock: Arc<dyn Clock>,
    facts: Facts,
    beats: Vec<Beat>,
    asked: Asked,
    quota: Option<Quota>,
}

impl Scripted {
    /// A kind that answers look by look with `beats`, the last one for ever: floor 1 s, a look every 5 s.
    pub fn new(clock: Arc<dyn Clock>, beats: &[Beat]) -> Self {
        let invented = "made up for tests";
        let facts = Facts::new(
            Fact::inferred(Duration::from_secs(1), invented),
            Fact::inferred(Duration::ZERO, invented),
            Fact::inferred(Pacing::every(Duration::from_secs(5)), invented),
            &[],
        );
        Self {
            clock,
            facts,
            beats: beats.to_vec(),
            asked: Asked::default(),
            quota: None,
        }
    }

    /// Changes its facts.
    #[must_use]
    pub fn with_facts(mut self, tune: impl FnOnce(&mut Facts)) -> Self {
        tune(&mut self.facts);
        self
    }

    /// Takes a place there for each look.
    #[must_use]
    pub fn with_shared_rate(mut self, rate: Arc<dyn SharedRate>) -> Self {
        let endless = Window {
            limit: NonZeroU32::MAX,
            per: Duration::from_secs(1),
        };
        let quota = Quota::new(self.clock.clone(), &[endless]);
        self.quota = Some(quota.shared(rate, self.account(), "requests"));
        self
    }

    /// The looks so far.
    pub fn asked(&self) -> &Asked {
        &self.asked
    }

    /// One look, which counts.
    pub async fn look(&self) -> Look<&'static str> {
        let _permit = match &self.quota {
            Some(quota) => Some(quota.acquire(Use::Look).await?),
            None => None,
        };
        let error = |kind, sent| Err(Error::new(kind, "scripted", "look").with_sent(sent));
        match self.asked.next(self.clock.now(), &self.beats) {
            Beat::Queued => Ok(Snapshot::new(Status::Queued, "queued")),
            Beat::Running => Ok(Snapshot::new(Status::Running, "running")),
            Beat::Unknown(word) => Ok(Snapshot::unrecognised(word)),
            Beat::Succeeded => Ok(Snapshot::new(Status::Succeeded("output"), "succeeded")),
            Beat::Failed(reason) => Ok(Snapshot::new(
                Status::Failed(Failure::new(reason)),
                "failed",
            )),
            Beat::Trouble => error(ErrorKind::Unavailable, Sent::Maybe),
            Beat::Busy(wait) => error(ErrorKind::RateLimited, Sent::Yes)
                .map_err(|error| error.with_wait(Some(wait))),
            Beat::Denied => error(ErrorKind::Credentials, Sent::Yes),
            Beat::Odd(_) => error(ErrorKind::Garbled, Sent::Maybe),
            Beat::Silent => pending().await,
        }
    }
}

#[async_trait]
impl JobKind for Scripted {
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

    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    async fn observe(&self, ids: &[JobId]) -> Looks<&'static str> {
        let mut looks = Looks::of("scripted", ids);
        for (place, id) in ids.iter().enumerate() {
            let look = self.look().await;
            looks.set(place, look.map_err(|error| error.with_job(id.clone())));
        }
        looks
    }
}

/// Puts [`Scripted`] under test.
#[derive(Debug)]
pub struct ScriptedSubject;

#[async_trait]
impl Subject for ScriptedSubject {
    type Kind = Scripted;

    async fn stage(&self, clock: &ManualClock, play: Play<'_>) -> Stage<Scripted> {
        let kind = Scripted::new(clock.shared(), play.beats)
            .with_facts(play.tune)
            .with_shared_rate(play.rate);
        let asked = kind.asked().clone();
        #[allow(clippy::expect_used, reason = "the text is fixed")]
        let id = JobId::new("job-1").expect("a valid id");
        Stage {
            kind: Arc::new(kind),
            id,
            asked,
            vendor: Box::new(()),
        }
    }
}
