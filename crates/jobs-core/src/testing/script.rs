//! What a vendor says, look by look, and what it was asked.

use std::any::Any;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

use async_trait::async_trait;

use crate::clock::Moment;
use crate::facts::Facts;
use crate::id::JobId;
use crate::kind::JobKind;
use crate::quota::SharedRate;
use crate::testing::ManualClock;

/// One answer of a vendor to one look.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Beat {
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
    Trouble,
    /// The vendor asks to come back after this time.
    Busy(Duration),
    /// The vendor refuses the credentials.
    Denied,
    /// The vendor answers something that makes no sense.
    Odd(Odd),
    /// The vendor never answers.
    Silent,
}

/// Answers that make no sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Odd {
    /// An HTML page under status 200.
    Html,
    /// JSON that breaks off.
    Cut,
    /// The right fields with the wrong types.
    WrongTypes,
    /// A success that does not mention the job.
    Nothing,
    /// No bytes at all.
    Empty,
}

impl Odd {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Html,
        Self::Cut,
        Self::WrongTypes,
        Self::Nothing,
        Self::Empty,
    ];
}

/// What to play.
pub struct Play<'a> {
    /// One beat for each look; the last one goes on for ever.
    pub beats: &'a [Beat],
    /// Changes to the kind's facts.
    pub tune: &'a (dyn Fn(&mut Facts) + Sync),
    /// Where the places of the account's rate are kept. Each look must take one; give the kind a rate without an end.
    pub rate: Arc<dyn SharedRate>,
}

impl fmt::Debug for Play<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Play")
            .field("beats", &self.beats)
            .finish_non_exhaustive()
    }
}

/// A kind under test, with a vendor of its own.
#[async_trait]
pub trait Subject: Sync {
    /// The kind.
    type Kind: JobKind + 'static;

    /// Sets up a vendor that plays, and a kind on `clock` that talks to it.
    async fn stage(&self, clock: &ManualClock, play: Play<'_>) -> Stage<Self::Kind>;

    /// Whether the vendor has a way to say this. What it cannot say is not tested.
    fn can_say(&self, beat: &Beat) -> bool {
        let _ = beat;
        true
    }

    /// What the vendor counts a look as, by which the places of its rate are named.
    fn counted_as(&self) -> &str {
        "requests"
    }

    /// The credentials in use, which must not be printed.
    fn secrets(&self) -> Vec<String> {
        Vec::new()
    }
}

/// A kind, its one job, and what its vendor was asked.
#[derive(Debug)]
pub struct Stage<K> {
    /// The kind.
    pub kind: Arc<K>,
    /// The job.
    pub id: JobId,
    /// The looks that reached the vendor.
    pub asked: Asked,
    /// Whatever must live as long as the vendor.
    pub vendor: Box<dyn Any + Send + Sync>,
}

/// The looks that reached a vendor. Clones are the same record.
#[derive(Debug, Clone, Default)]
pub struct Asked(Arc<Mutex<Record>>);

#[derive(Debug, Default)]
struct Record {
    moments: Vec<Moment>,
    is_silent: bool,
    waker: Option<Waker>,
}

impl Asked {
    /// The vendor calls this at each look; gives the beat to answer with.
    pub fn next(&self, now: Moment, beats: &[Beat]) -> Beat {
        let mut record = self.record();
        let beat = beats
            .get(record.moments.len())
            .or(beats.last())
            .cloned()
            .unwrap_or(Beat::Running);
        record.moments.push(now);
        record.is_silent = beat == Beat::Silent;
        if let Some(waker) = record.waker.take() {
            waker.wake();
        }
        beat
    }

    /// When each look came.
    pub fn moments(&self) -> Vec<Moment> {
        self.record().moments.clone()
    }

    /// How many looks came.
    pub fn count(&self) -> usize {
        self.record().moments.len()
    }

    /// Whether the vendor was asked and will not answer, told once for each such look; if not, `waker` is woken at the
    /// next look.
    pub(crate) fn fell_silent(&self, waker: &Waker) -> bool {
        let mut record = self.record();
        record.waker = Some(waker.clone());
        std::mem::take(&mut record.is_silent)
    }

    fn record(&self) -> MutexGuard<'_, Record> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
