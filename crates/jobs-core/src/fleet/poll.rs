//! One poll of a kind whose type is erased, and what it means for its account.

use std::sync::Arc;
use std::time::Duration;

use tracing::Instrument as _;

use crate::call::AddressMonitor;
use crate::clock::{Moment, bounded};
use crate::error::{Error, ErrorKind};
use crate::fleet::concurrency_limit::PollFeedback;
use crate::fleet::in_flight::{Panicked, PollFuture};
use crate::id::JobId;
use crate::kind::{JobKind, PollResult};

/// An answer that takes more than this part of its time-out means that polls wait for each other.
const SLOW: u32 = 8;

/// What polls one kind of job: the kind, its output type erased.
pub(super) trait DynPoll<O>: Send + Sync {
    /// Polls once at each of `ids` until `limit`.
    fn poll(self: Arc<Self>, ids: Vec<JobId>, limit: Moment) -> PollFuture<BatchResult<O>>;

    /// The address that is polled, once it was.
    fn address(&self) -> Option<Box<str>>;
}

/// A kind, and how its output becomes the fleet's.
pub(super) struct ErasedKind<K: ?Sized, W> {
    wrap: W,
    kind: Arc<K>,
    /// Knows the address of a poll that is cut.
    monitor: AddressMonitor,
}

impl<K: ?Sized, W> ErasedKind<K, W> {
    pub(super) fn new(kind: Arc<K>, wrap: W) -> Self {
        Self {
            wrap,
            kind,
            monitor: AddressMonitor::default(),
        }
    }
}

impl<O, K, W> DynPoll<O> for ErasedKind<K, W>
where
    O: Send + 'static,
    K: JobKind + ?Sized + 'static,
    W: Fn(K::Output) -> O + Send + Sync + 'static,
{
    fn poll(self: Arc<Self>, ids: Vec<JobId>, limit: Moment) -> PollFuture<BatchResult<O>> {
        let span = tracing::debug_span!(
            "poll",
            operation = "poll",
            vendor = self.kind.vendor(),
            kind = self.kind.name(),
            jobs = ids.len(),
            job = ids.first().map_or("", JobId::as_str),
        );
        let poll = async move {
            let poll = self.monitor.watch(self.kind.poll(&ids));
            let polls = bounded(&**self.kind.clock(), limit, poll).await;
            let wrap = |poll: PollResult<K::Output>| poll.map(|snapshot| snapshot.map(&self.wrap));
            let polls = polls.map(|polls| polls.into_vec().into_iter().map(wrap).collect());
            BatchResult {
                ids,
                results: polls,
            }
        };
        if span.is_disabled() {
            Box::pin(poll)
        } else {
            Box::pin(poll.instrument(span))
        }
    }

    fn address(&self) -> Option<Box<str>> {
        self.monitor.host_and_port()
    }
}

/// The results of one poll.
pub(super) struct BatchResult<O> {
    /// The ids that were polled; kept for their buffer.
    pub(super) ids: Vec<JobId>,
    /// `None` when it timed out.
    pub(super) results: Option<Vec<PollResult<O>>>,
}

/// What a poll said about the account.
pub(super) fn feedback_of<O>(
    result: &Result<BatchResult<O>, Panicked>,
    took: Duration,
    timeout: Duration,
) -> PollFeedback {
    let polls = match result.as_ref().map(|answers| &answers.results) {
        Ok(Some(polls)) => polls,
        Ok(None) => return PollFeedback::Failed,
        Err(Panicked) => return PollFeedback::Slow,
    };
    let errors = || polls.iter().filter_map(|poll| poll.as_ref().err());
    let refused = errors().filter(|error| error.kind() == ErrorKind::RateLimited);
    if let Some(wait) = refused.map(Error::retry_after).max() {
        return PollFeedback::RateLimited(wait);
    }
    let away = |error: &Error| {
        matches!(
            error.kind(),
            ErrorKind::Unreachable | ErrorKind::Unavailable | ErrorKind::Timeout
        )
    };
    if !polls.is_empty() && errors().filter(|error| away(error)).count() == polls.len() {
        PollFeedback::Failed
    } else if took > timeout / SLOW {
        PollFeedback::Slow
    } else {
        PollFeedback::Answered
    }
}

pub(super) fn feedback_name(outcome: PollFeedback) -> &'static str {
    match outcome {
        PollFeedback::Answered => "answered",
        PollFeedback::Slow => "slow",
        PollFeedback::RateLimited(_) => "refused",
        PollFeedback::Failed => "failed",
    }
}
