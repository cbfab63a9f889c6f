//! One look of a kind whose type is erased, and what it means for its account.

use std::sync::Arc;
use std::time::Duration;

use tracing::Instrument as _;

use crate::clock::{Moment, bounded};
use crate::error::{Error, ErrorKind};
use crate::fleet::flights::{Flight, Panicked};
use crate::fleet::gate::Outcome;
use crate::id::JobId;
use crate::kind::{JobKind, Look};

/// An answer that takes more than this part of its time-out says that looks wait for each other.
const SLOW: u32 = 8;

/// What looks at one kind of job: the kind, its output type erased.
pub(super) trait Looker<O>: Send + Sync {
    /// Looks once at each of `ids` until `limit`.
    fn look(self: Arc<Self>, ids: Vec<JobId>, limit: Moment) -> Flight<Answers<O>>;
}

/// A kind, and how its output becomes the fleet's.
pub(super) struct Wrapped<K: ?Sized, W> {
    pub(super) wrap: W,
    pub(super) kind: Arc<K>,
}

impl<O, K, W> Looker<O> for Wrapped<K, W>
where
    O: Send + 'static,
    K: JobKind + ?Sized + 'static,
    W: Fn(K::Output) -> O + Send + Sync + 'static,
{
    fn look(self: Arc<Self>, ids: Vec<JobId>, limit: Moment) -> Flight<Answers<O>> {
        let span = tracing::debug_span!(
            "look",
            operation = "look",
            vendor = self.kind.vendor(),
            kind = self.kind.name(),
            jobs = ids.len(),
            job = ids.first().map_or("", JobId::as_str),
        );
        let look = async move {
            let looks = bounded(&**self.kind.clock(), limit, self.kind.observe(&ids)).await;
            let wrap = |look: Look<K::Output>| look.map(|snapshot| snapshot.map(&self.wrap));
            let looks = looks.map(|looks| looks.into_vec().into_iter().map(wrap).collect());
            Answers { ids, looks }
        };
        if span.is_disabled() {
            Box::pin(look)
        } else {
            Box::pin(look.instrument(span))
        }
    }
}

/// What came of one look.
pub(super) struct Answers<O> {
    /// Those that were looked at; kept for the room that they have.
    pub(super) ids: Vec<JobId>,
    /// `None` when it was cut.
    pub(super) looks: Option<Vec<Look<O>>>,
}

/// What a look meant for the account.
pub(super) fn judge<O>(
    result: &Result<Answers<O>, Panicked>,
    took: Duration,
    timeout: Duration,
) -> Outcome {
    let looks = match result.as_ref().map(|answers| &answers.looks) {
        Ok(Some(looks)) => looks,
        Ok(None) => return Outcome::Failed,
        Err(Panicked) => return Outcome::Slow,
    };
    let errors = || looks.iter().filter_map(|look| look.as_ref().err());
    let refused = errors().filter(|error| error.kind() == ErrorKind::RateLimited);
    if let Some(wait) = refused.map(Error::wait).max() {
        return Outcome::Refused(wait);
    }
    let away = |error: &Error| {
        matches!(
            error.kind(),
            ErrorKind::Unreachable | ErrorKind::Unavailable | ErrorKind::TimedOut
        )
    };
    if !looks.is_empty() && errors().filter(|error| away(error)).count() == looks.len() {
        Outcome::Failed
    } else if took > timeout / SLOW {
        Outcome::Slow
    } else {
        Outcome::Answered
    }
}

pub(super) fn name(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Answered => "answered",
        Outcome::Slow => "slow",
        Outcome::Refused(_) => "refused",
        Outcome::Failed => "failed",
    }
}
