//! What the consumer has not taken yet: bounded, in order, and nothing in it is ever lost.

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use futures_core::Stream;

use crate::error::Error;
use crate::id::{Account, JobId};
use crate::status::Snapshot;
use crate::wait_error::WaitError;

/// What a fleet reports.
#[derive(Debug)]
#[non_exhaustive]
pub enum FleetEvent<O> {
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
    /// A poll saw the job unfinished. Only of lanes that [asked](crate::FleetHandle::with_poll_events).
    Progress {
        /// The vendor.
        vendor: &'static str,
        /// The kind of job.
        kind: &'static str,
        /// The vendor's id.
        id: JobId,
        /// What the poll saw.
        snapshot: Snapshot<()>,
    },
    /// A poll failed; the wait goes on. Only of lanes that [asked](crate::FleetHandle::with_poll_events).
    PollFailed {
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
pub enum WatchError {
    /// The fleet watches it already; it will end once.
    #[error("the job is being watched already")]
    AlreadyWatched,
    /// The fleet watches as many jobs as it may.
    #[error("the fleet watches as many jobs as it may")]
    AtCapacity,
    /// The fleet was stopped, or nobody listens to its ends any more.
    #[error("the fleet was stopped")]
    ShutDown,
    /// The job is of another kind or account than the lane.
    #[error("the job is of another kind or account than the lane")]
    KindMismatch,
    /// There is no tokio runtime here to run the account's task.
    #[error("there is no tokio runtime here")]
    NoRuntime,
}

/// Whether new polls may begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EventCapacity {
    /// Yes.
    Available,
    /// Not before the consumer has taken some news.
    Full,
    /// Never again.
    ShutDown,
}

/// What the ends, the fleet and the accounts' tasks share.
pub(super) struct EventQueue<O> {
    state: Mutex<QueueState<O>>,
    event_buffer: usize,
    capacity: usize,
}

struct QueueState<O> {
    events: VecDeque<FleetEvent<O>>,
    /// Watched and not yet ended. They may end by themselves as long as this is above zero.
    jobs: usize,
    /// Whether somebody may still add jobs.
    is_open: bool,
    is_shut_down: bool,
    consumer: Option<Waker>,
    stalled_accounts: Vec<Waker>,
}

impl<O> EventQueue<O> {
    pub(super) fn new(room: usize, capacity: usize) -> Self {
        Self {
            state: Mutex::new(QueueState {
                events: VecDeque::new(),
                jobs: 0,
                is_open: true,
                is_shut_down: false,
                consumer: None,
                stalled_accounts: Vec::new(),
            }),
            event_buffer: room.max(1),
            capacity,
        }
    }

    /// One job more.
    pub(super) fn admit(&self) -> Result<(), WatchError> {
        let mut state = self.lock();
        if state.is_shut_down {
            return Err(WatchError::ShutDown);
        }
        if state.jobs >= self.capacity {
            return Err(WatchError::AtCapacity);
        }
        state.jobs += 1;
        Ok(())
    }

    /// These jobs are no longer waited for, and nothing is to be said of them.
    pub(super) fn dismiss(&self, jobs: usize) {
        let mut state = self.lock();
        state.jobs -= jobs.min(state.jobs);
        state.wake_consumer();
    }

    /// The wait for one job is over. There is always room for that.
    pub(super) fn push_end(&self, event: FleetEvent<O>) {
        let mut state = self.lock();
        state.jobs = state.jobs.saturating_sub(1);
        state.events.push_back(event);
        state.wake_consumer();
    }

    /// Something that may be left out when the consumer lags.
    pub(super) fn try_push(&self, event: FleetEvent<O>) {
        let mut state = self.lock();
        if state.events.len() < self.event_buffer {
            state.events.push_back(event);
            state.wake_consumer();
        }
    }

    /// Whether new polls may begin. If there is no room, `waker` is woken when the consumer has made some.
    pub(super) fn room(&self, waker: &Waker) -> EventCapacity {
        let mut state = self.lock();
        if state.is_shut_down {
            return EventCapacity::ShutDown;
        }
        if state.events.len() < self.event_buffer {
            return EventCapacity::Available;
        }
        if !state
            .stalled_accounts
            .iter()
            .any(|stalled| stalled.will_wake(waker))
        {
            state.stalled_accounts.push(waker.clone());
        }
        EventCapacity::Full
    }

    /// Nobody can add jobs any more.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.is_open = false;
        state.wake_consumer();
    }

    /// No job is taken any more.
    pub(super) fn shutdown(&self) {
        let mut state = self.lock();
        state.is_shut_down = true;
        state.stalled_accounts.drain(..).for_each(Waker::wake);
        state.wake_consumer();
    }

    pub(super) fn jobs(&self) -> usize {
        self.lock().jobs
    }

    fn poll(&self, cx: &mut Context<'_>) -> Poll<Option<FleetEvent<O>>> {
        let mut state = self.lock();
        let event = state.events.pop_front();
        if state.events.len() <= self.event_buffer / 2 {
            state.stalled_accounts.drain(..).for_each(Waker::wake);
        }
        if let Some(event) = event {
            return Poll::Ready(Some(event));
        }
        if state.jobs == 0 && (state.is_shut_down || !state.is_open) {
            return Poll::Ready(None);
        }
        match &state.consumer {
            Some(waker) if waker.will_wake(cx.waker()) => {}
            _ => state.consumer = Some(cx.waker().clone()),
        }
        Poll::Pending
    }

    fn lock(&self) -> MutexGuard<'_, QueueState<O>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<O> QueueState<O> {
    fn wake_consumer(&mut self) {
        if let Some(consumer) = self.consumer.take() {
            consumer.wake();
        }
    }
}

impl<O> fmt::Debug for EventQueue<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.lock();
        f.debug_struct("Backlog")
            .field("jobs", &state.jobs)
            .field("undelivered", &state.events.len())
            .field("stopped", &state.is_shut_down)
            .finish()
    }
}

/// The ends of a fleet's jobs, in the order in which they came. Also a [`Stream`].
///
/// Whoever does not take them for long holds the looks up, and nothing more: see [`FleetConfig::event_buffer`](crate::FleetConfig).
/// Dropping it stops the fleet; the jobs go on at the vendor.
#[derive(Debug)]
pub struct FleetEvents<O> {
    pub(super) events: Arc<EventQueue<O>>,
}

impl<O> FleetEvents<O> {
    /// The next of them; `None` once no more can come: the fleet was stopped, or it and all its lanes are dropped and
    /// every job has ended.
    ///
    /// May be dropped at any await; nothing is lost.
    pub async fn next(&mut self) -> Option<FleetEvent<O>> {
        poll_fn(|cx| self.events.poll(cx)).await
    }
}

impl<O> Stream for FleetEvents<O> {
    type Item = FleetEvent<O>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<FleetEvent<O>>> {
        self.events.poll(cx)
    }
}

impl<O> Drop for FleetEvents<O> {
    fn drop(&mut self) {
        self.events.shutdown();
    }
}
