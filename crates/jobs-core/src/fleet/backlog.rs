//! What the consumer has not taken yet: bounded, in order, and nothing in it is ever lost.

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use futures_core::Stream;

use crate::end::WaitError;
use crate::error::Error;
use crate::id::{Account, JobId};
use crate::status::Snapshot;

/// What a fleet reports.
#[derive(Debug)]
#[non_exhaustive]
pub enum News<O> {
    /// The wait for a job is over; exactly once for each job that is not forgotten first.
    Ended {
        /// The vendor.
        vendor: &'static str,
        /// The kind of job.
        kind: &'static str,
        /// The account.
        account: Account,
        /// The vendor's id.
        id: JobId,
        /// The output, or why there is none and what to go on with.
        result: Result<O, WaitError>,
    },
    /// A look saw the job unfinished. Only of lanes that [asked](crate::Lane::with_looks).
    Seen {
        /// The vendor.
        vendor: &'static str,
        /// The kind of job.
        kind: &'static str,
        /// The vendor's id.
        id: JobId,
        /// What the look saw.
        snapshot: Snapshot<()>,
    },
    /// A look failed; the wait goes on. Only of lanes that [asked](crate::Lane::with_looks).
    Missed {
        /// The vendor.
        vendor: &'static str,
        /// The kind of job.
        kind: &'static str,
        /// The vendor's id.
        id: JobId,
        /// Why it failed.
        error: Error,
    },
}

/// Why a job is not watched. Nothing was sent, and nothing changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unwatched {
    /// The fleet watches it already; it will end once.
    #[error("the job is being watched already")]
    Twice,
    /// The fleet watches as many jobs as it may.
    #[error("the fleet watches as many jobs as it may")]
    Full,
    /// The fleet was stopped, or nobody listens to its ends any more.
    #[error("the fleet was stopped")]
    Stopped,
    /// The job is of another kind or account than the lane.
    #[error("the job is of another kind or account than the lane")]
    Foreign,
    /// There is no tokio runtime here to run the account's task.
    #[error("there is no tokio runtime here")]
    NoRuntime,
}

/// Whether new looks may begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Room {
    /// Yes.
    Some,
    /// Not before the consumer has taken some news.
    None,
    /// Never again.
    Stopped,
}

/// What the ends, the fleet and the accounts' tasks share.
pub(super) struct Backlog<O> {
    mail: Mutex<Mail<O>>,
    room: usize,
    capacity: usize,
}

struct Mail<O> {
    news: VecDeque<News<O>>,
    /// Watched and not yet ended. They may end by themselves as long as this is above zero.
    jobs: usize,
    /// Whether somebody may still add jobs.
    open: bool,
    stopped: bool,
    consumer: Option<Waker>,
    stalled: Vec<Waker>,
}

impl<O> Backlog<O> {
    pub(super) fn new(room: usize, capacity: usize) -> Self {
        Self {
            mail: Mutex::new(Mail {
                news: VecDeque::new(),
                jobs: 0,
                open: true,
                stopped: false,
                consumer: None,
                stalled: Vec::new(),
            }),
            room: room.max(1),
            capacity,
        }
    }

    /// One job more.
    pub(super) fn admit(&self) -> Result<(), Unwatched> {
        let mut mail = self.mail();
        if mail.stopped {
            return Err(Unwatched::Stopped);
        }
        if mail.jobs >= self.capacity {
            return Err(Unwatched::Full);
        }
        mail.jobs += 1;
        Ok(())
    }

    /// These jobs are no longer waited for, and nothing is to be said of them.
    pub(super) fn dismiss(&self, jobs: usize) {
        let mut mail = self.mail();
        mail.jobs -= jobs.min(mail.jobs);
        mail.call();
    }

    /// The wait for one job is over. There is always room for that.
    pub(super) fn end(&self, news: News<O>) {
        let mut mail = self.mail();
        mail.jobs = mail.jobs.saturating_sub(1);
        mail.news.push_back(news);
        mail.call();
    }

    /// Something that may be left out when the consumer lags.
    pub(super) fn offer(&self, news: News<O>) {
        let mut mail = self.mail();
        if mail.news.len() < self.room {
            mail.news.push_back(news);
            mail.call();
        }
    }

    /// Whether new looks may begin. If there is no room, `waker` is woken when the consumer has made some.
    pub(super) fn room(&self, waker: &Waker) -> Room {
        let mut mail = self.mail();
        if mail.stopped {
            return Room::Stopped;
        }
        if mail.news.len() < self.room {
            return Room::Some;
        }
        if !mail.stalled.iter().any(|stalled| stalled.will_wake(waker)) {
            mail.stalled.push(waker.clone());
        }
        Room::None
    }

    /// Nobody can add jobs any more.
    pub(super) fn close(&self) {
        let mut mail = self.mail();
        mail.open = false;
        mail.call();
    }

    /// No job is taken any more.
    pub(super) fn stop(&self) {
        let mut mail = self.mail();
        mail.stopped = true;
        mail.stalled.drain(..).for_each(Waker::wake);
        mail.call();
    }

    pub(super) fn jobs(&self) -> usize {
        self.mail().jobs
    }

    fn poll(&self, cx: &mut Context<'_>) -> Poll<Option<News<O>>> {
        let mut mail = self.mail();
        let news = mail.news.pop_front();
        if mail.news.len() <= self.room / 2 {
            mail.stalled.drain(..).for_each(Waker::wake);
        }
        if let Some(news) = news {
            return Poll::Ready(Some(news));
        }
        if mail.jobs == 0 && (mail.stopped || !mail.open) {
            return Poll::Ready(None);
        }
        match &mail.consumer {
            Some(waker) if waker.will_wake(cx.waker()) => {}
            _ => mail.consumer = Some(cx.waker().clone()),
        }
        Poll::Pending
    }

    fn mail(&self) -> MutexGuard<'_, Mail<O>> {
        self.mail.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<O> Mail<O> {
    fn call(&mut self) {
        if let Some(consumer) = self.consumer.take() {
            consumer.wake();
        }
    }
}

impl<O> fmt::Debug for Backlog<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mail = self.mail();
        f.debug_struct("Backlog")
            .field("jobs", &mail.jobs)
            .field("undelivered", &mail.news.len())
            .field("stopped", &mail.stopped)
            .finish()
    }
}

/// The ends of a fleet's jobs, in the order in which they came. Also a [`Stream`].
///
/// Whoever does not take them for long holds the looks up, and nothing more: see [`FleetSettings::backlog`](crate::FleetSettings).
/// Dropping it stops the fleet; the jobs go on at the vendor.
#[derive(Debug)]
pub struct Ends<O> {
    pub(super) backlog: Arc<Backlog<O>>,
}

impl<O> Ends<O> {
    /// The next of them; `None` once no more can come: the fleet was stopped, or it and all its lanes are dropped and
    /// every job has ended.
    ///
    /// May be dropped at any await; nothing is lost.
    pub async fn next(&mut self) -> Option<News<O>> {
        poll_fn(|cx| self.backlog.poll(cx)).await
    }
}

impl<O> Stream for Ends<O> {
    type Item = News<O>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<News<O>>> {
        self.backlog.poll(cx)
    }
}

impl<O> Drop for Ends<O> {
    fn drop(&mut self) {
        self.backlog.stop();
    }
}
