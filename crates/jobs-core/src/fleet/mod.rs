//! Any number of jobs at once: one task for each account, one compact entry for each job, one poll for many jobs.
//!
//! # The life of one entry
//!
//! 1. [`Fleet::watch`] finds the job's [account], and in its lock the number of the job's kind. The
//!    [scheduler] looks the id up in the [table]: a job that is watched already is refused; one that is cooling
//!    down hands over when it was last polled. The [event queue](event_queue) counts the job, or says that the fleet is full. The
//!    table takes the entry (*waiting*): its [`WaitState`](crate::poller::WaitState) has decided when the first poll is due, which
//!    is the kind's initial delay after the job was accepted, at once where nobody knows when that was, and never within the
//!    minimum interval of an earlier poll; the [timer wheel](timer_wheel) takes the slot for that moment. An account has a
//!    task while it has jobs: the first one spawns it; for a later one it is [woken](task_waker), if it sleeps longer than that.
//! 2. When the moment comes, the task takes the lock and asks the scheduler for a plan. The wheel gives the slot out, the entry is
//!    *ready*, and stands in its kind's [queue](ready_queue) in the class of its age.
//! 3. If the [concurrency limit](concurrency_limit) and the [circuit breaker](circuit_breaker) in front of it admit a poll, the scheduler
//!    takes the kind and the jobs with the highest [gain](priority), fills the batch up with waiting jobs that are due soon, and marks
//!    them *polling* with the poll's serial. The task drops the lock and [polls the futures](in_flight), each of which first
//!    waits for the account's rate limit. A ready job that found no place has a timer for the end of its wait. While nobody
//!    takes events and their queue is full, nothing is planned.
//! 4. The answer comes. Under the lock, each entry that still has this serial learns its result: unfinished or failed, it
//!    is *waiting* again, and what was seen is [interned](snapshot_interner). An answer that came after the entry's deadline is
//!    nobody's: the deadline's timer has made the last poll in its place.
//! 5. Output, failure or deadline end the wait. The tag leaves the entry and goes with the result into the event queue. The
//!    entry is *cooling down* until the minimum interval has passed, so that a new watch of the job does not poll it too early;
//!    then its slot is free.
//!
//! # Locks
//!
//! Each account has one mutex around its scheduler, which owns table, wheel, queues and limit. The event queue has a mutex
//! of its own, taken inside an account's or alone, and so has an adaptive schedule. The map of accounts has one that is held
//! while an account is looked up, and let go before the account's is taken; a kind is asked its vendor, account and clock
//! under it. None is held across an await, and no kind polls under one.

#![allow(
    rustdoc::private_intra_doc_links,
    reason = "the life of one entry leads the readers of these files"
)]

mod account;
mod accounts;
mod circuit_breaker;
mod concurrency_limit;
mod config;
mod event;
mod event_queue;
mod handle;
mod in_flight;
mod metrics;
mod poll;
mod priority;
mod ready_queue;
mod scheduler;
mod snapshot_interner;
mod table;
mod task_waker;
mod timer_wheel;
mod unfinished;

use std::borrow::Borrow;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_core::Stream;

pub use self::config::FleetConfig;
pub use self::event::{Finished, FleetEvent, WatchError};
pub use self::handle::{FleetHandle, KindHandle};
pub use self::unfinished::Unfinished;

use self::accounts::Accounts;
use crate::id::JobId;
use crate::job::Job;
use crate::kind::JobKind;
use crate::poller::WaitOptions;

/// Waits for any number of jobs, with one task for each account and none for a job.
///
/// Each job is waited for by the same rules as [`Job::wait`], polled together with others where its kind takes several ids at
/// once, and reported once, with the tag that the caller put on it. `O` is the output of the jobs, `T` the tag.
///
/// ```no_run
/// # use jobs_core::fleet::{Fleet, FleetConfig};
/// # use jobs_core::vendor::JobKind;
/// # use jobs_core::Job;
/// # use std::{path::PathBuf, time::Duration};
/// # async fn many<K: JobKind<Output = String> + 'static>(jobs: Vec<(PathBuf, Job<K>)>) -> Result<(), Box<dyn std::error::Error>> {
/// let mut fleet = Fleet::new(FleetConfig::default());
/// for (path, job) in jobs {
///     fleet.watch(job, path, Duration::from_secs(3600))?;
/// }
/// while let Some(done) = fleet.next().await {
///     println!("{}: {:?}", done.tag.display(), done.result);
/// }
/// # Ok(()) }
/// ```
///
/// Jobs whose outputs differ share a fleet too: [`kind`](Self::kind) turns a kind's output into the fleet's. Other tasks add
/// jobs through a [`handle`](Self::handle). Dropping the fleet shuts it down; the jobs go on at the vendor.
///
/// How many polls of an account are in flight follows its answers: the limit is halved when the vendor says "too many requests",
/// and in an outage a single poll finds out when the vendor is back. A kind's `poll` that panics is a failed poll of the
/// jobs that it was asked for, and of no other.
pub struct Fleet<O, T = ()> {
    accounts: Arc<Accounts<O, T>>,
}

impl<O, T> fmt::Debug for Fleet<O, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Fleet").field(&self.accounts.events).finish()
    }
}

impl<O: Send + 'static, T: Send + 'static> Fleet<O, T> {
    /// A fleet without jobs.
    pub fn new(config: FleetConfig) -> Self {
        let config = config.with_max_in_flight(config.max_in_flight);
        Self {
            accounts: Arc::new(Accounts::new(config)),
        }
    }

    /// Waits for `job`, at most as `options` say; [`next`](Self::next) reports its end with `tag`. Sends nothing by itself.
    ///
    /// Jobs of one client are polled together; see [`JobKind::poll_group`]. The minimum interval counts from the last poll that
    /// the job's handle knows of, and from the fleet's own. The job must not be waited for elsewhere at the same time.
    ///
    /// # Errors
    /// [`WatchError`]: the fleet watches it already, is full or shut down, or there is no tokio runtime.
    pub fn watch<K>(
        &self,
        job: impl Borrow<Job<K>>,
        tag: T,
        options: impl Into<WaitOptions>,
    ) -> Result<(), WatchError>
    where
        K: JobKind<Output = O> + ?Sized + 'static,
    {
        self.accounts.watch(job.borrow(), tag, options.into())
    }

    /// The next job whose wait is over; `None` when nothing is watched and no [`FleetHandle`] is left that could add a job.
    ///
    /// While nobody takes what has ended, polls pause, and nothing is lost: see [`FleetConfig::event_buffer`]. May be dropped at any
    /// await. After `None` more jobs can be watched.
    pub async fn next(&mut self) -> Option<Finished<O, T>> {
        poll_fn(|cx| self.poll_finished(cx)).await
    }

    /// Like [`next`](Self::next), with the polls of the kinds that [report them](KindHandle::with_poll_events).
    pub async fn next_event(&mut self) -> Option<FleetEvent<O, T>> {
        poll_fn(|cx| self.accounts.events.poll_next(cx)).await
    }

    /// A way in for other tasks. While it or a clone is there, [`next`](Self::next) waits for the jobs that it may add.
    pub fn handle(&self) -> FleetHandle<O, T> {
        FleetHandle::new(Arc::clone(&self.accounts))
    }

    /// A way in for jobs of `kind`, whose outputs become the fleet's by `wrap`.
    ///
    /// Kinds of one account share its task and its limits, and must share one clock. The kind is kept as long as the fleet, and
    /// an account has room for 65 535 of them.
    pub fn kind<K: JobKind + ?Sized + 'static>(
        &self,
        kind: Arc<K>,
        wrap: impl Fn(K::Output) -> O + Send + Sync + 'static,
    ) -> KindHandle<K, T> {
        KindHandle::new(&self.accounts, kind, wrap)
    }

    /// Polls a job of `vendor` as soon as the minimum interval and the vendor's hints allow; for a webhook, which is not
    /// believed. Whether the job is watched.
    pub fn poll_soon(&self, vendor: &str, id: &JobId) -> bool {
        self.accounts.poll_soon(vendor, id)
    }

    /// Waits for a job no longer, and reports no end. It goes on at the vendor. Its tag, if it was watched.
    pub fn unwatch<K: JobKind + ?Sized>(&self, job: impl Borrow<Job<K>>) -> Option<T> {
        self.accounts.unwatch(job.borrow())
    }

    /// Begins no more polls, drops those in flight, and hands back the tags and tickets of all jobs that have not ended. Ends
    /// that were not taken yet can still be taken.
    pub fn shutdown(&self) -> Unfinished<T> {
        self.accounts.shutdown()
    }

    /// How many jobs are watched.
    pub fn len(&self) -> usize {
        self.accounts.events.jobs()
    }

    /// Whether no job is watched.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes on the heap for the watched jobs: their entries, ids, tags, timers and the index of them.
    pub fn bytes(&self) -> usize {
        self.accounts.bytes()
    }
}

impl<O, T> Fleet<O, T> {
    fn poll_finished(&self, cx: &mut Context<'_>) -> Poll<Option<Finished<O, T>>> {
        loop {
            match std::task::ready!(self.accounts.events.poll_next(cx)) {
                Some(FleetEvent::Finished(finished)) => return Poll::Ready(Some(finished)),
                Some(FleetEvent::Progress { .. } | FleetEvent::PollFailed { .. }) => {}
                None => return Poll::Ready(None),
            }
        }
    }
}

impl<O, T> Stream for Fleet<O, T> {
    type Item = Finished<O, T>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Finished<O, T>>> {
        self.poll_finished(cx)
    }
}

impl<O, T> Drop for Fleet<O, T> {
    fn drop(&mut self) {
        drop(self.accounts.shutdown());
    }
}
