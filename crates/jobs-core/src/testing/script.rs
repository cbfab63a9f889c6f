//! What a vendor says, poll by poll, and what it was asked.

use std::any::Any;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

use async_trait::async_trait;

use crate::clock::Moment;
use crate::id::JobId;
use crate::kind::JobKind;
use crate::kind_policy::KindPolicy;
use crate::rate_limit::SharedRate;
use crate::testing::ManualClock;

/// One answer of a vendor to one poll.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ScriptStep {
    /// The job waits for its turn.
    Queued,
    /// The job is worked on.
    Running,
    /// The job is in a state with a word that the vendor does not document.
    Unknown(&'static str),
    /// The job is done.
    Succeeded,
    /// The vendor gave up on the job for this reason.
    Failed(&'static str),
    /// The vendor is in trouble for now, such as HTTP 503.
    ServerError,
    /// The vendor asks to come back after this time.
    RateLimited(Duration),
    /// The vendor refuses the credentials.
    Unauthenticated,
    /// The vendor answers something that makes no sense.
    Malformed(MalformedBody),
    /// The vendor never answers.
    NoResponse,
}

/// Answers that make no sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum MalformedBody {
    /// An HTML page under status 200.
    Html,
    /// JSON that breaks off.
    Truncated,
    /// The right fields with the wrong types.
    WrongTypes,
    /// A success that does not mention the job.
    JobMissing,
    /// No bytes at all.
    Empty,
}

impl MalformedBody {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Html,
        Self::Truncated,
        Self::WrongTypes,
        Self::JobMissing,
        Self::Empty,
    ];
}

/// What to play.
pub struct Script<'a> {
    /// One step for each poll; the last one repeats for ever.
    pub steps: &'a [ScriptStep],
    /// Changes to the kind's facts.
    pub configure: &'a (dyn Fn(&mut KindPolicy) + Sync),
    /// Where the places of the account's rate are kept. Each poll must take one; give the kind a rate without an end.
    pub shared_rate: Arc<dyn SharedRate>,
}

impl fmt::Debug for Script<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Play")
            .field("beats", &self.steps)
            .finish_non_exhaustive()
    }
}

/// A kind under test, with a vendor of its own.
#[async_trait]
pub trait KindUnderTest: Sync {
    /// The kind.
    type Kind: JobKind + 'static;

    /// Sets up a vendor that plays, and a kind on `clock` that talks to it.
    async fn set_up(&self, clock: &ManualClock, script: Script<'_>) -> TestVendor<Self::Kind>;

    /// Whether the vendor has a way to say this. What it cannot say is not tested.
    fn supports(&self, step: &ScriptStep) -> bool {
        let _ = step;
        true
    }

    /// What the vendor counts a poll as, by which the places of its rate are named.
    fn rate_action(&self) -> &str {
        "requests"
    }

    /// The credentials in use, which must not be printed.
    fn secrets(&self) -> Vec<String> {
        Vec::new()
    }
}

/// A kind, its one job, and what its vendor was asked.
#[derive(Debug)]
pub struct TestVendor<K> {
    /// The kind.
    pub kind: Arc<K>,
    /// The job.
    pub id: JobId,
    /// The polls that reached the vendor.
    pub requests: RequestLog,
    /// Whatever must live as long as the vendor.
    pub guard: Box<dyn Any + Send + Sync>,
}

/// The polls that reached a vendor. Clones are the same record.
#[derive(Debug, Clone, Default)]
pub struct RequestLog(Arc<Mutex<LogState>>);

#[derive(Debug, Default)]
struct LogState {
    moments: Vec<Moment>,
    is_silent: bool,
    waker: Option<Waker>,
}

impl RequestLog {
    /// The vendor calls this at each poll; gives the beat to answer with.
    pub fn record_poll(&self, now: Moment, steps: &[ScriptStep]) -> ScriptStep {
        let mut record = self.record();
        let step = steps
            .get(record.moments.len())
            .or(steps.last())
            .cloned()
            .unwrap_or(ScriptStep::Running);
        record.moments.push(now);
        record.is_silent = step == ScriptStep::NoResponse;
        if let Some(waker) = record.waker.take() {
            waker.wake();
        }
        step
    }

    /// When each poll came.
    pub fn moments(&self) -> Vec<Moment> {
        self.record().moments.clone()
    }

    /// How many polls came.
    pub fn count(&self) -> usize {
        self.record().moments.len()
    }

    /// Whether the vendor was asked and will not answer, told once for each such poll; if not, `waker` is woken at the
    /// next poll.
    pub(crate) fn fell_silent(&self, waker: &Waker) -> bool {
        let mut record = self.record();
        record.waker = Some(waker.clone());
        std::mem::take(&mut record.is_silent)
    }

    fn record(&self) -> MutexGuard<'_, LogState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
