//! The events that the consumer has not taken yet: bounded, in order, and no end of a job is ever dropped.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::fleet::event::{FleetEvent, WatchError};

/// What the fleet, its handles and the tasks of its accounts share.
pub(super) struct EventQueue<O, T> {
    state: Mutex<QueueState<O, T>>,
    event_buffer: usize,
    capacity: usize,
}

struct QueueState<O, T> {
    events: VecDeque<FleetEvent<O, T>>,
    /// Watched and not yet ended.
    jobs: usize,
    /// Handles through which other tasks may still add jobs.
    handles: usize,
    is_shut_down: bool,
    consumer: Option<Waker>,
    stalled_accounts: Vec<Waker>,
}

/// Whether new polls may begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EventCapacity {
    /// Yes.
    Available,
    /// Not before the consumer has taken some events.
    Full,
    /// Never again.
    ShutDown,
}

impl<O, T> EventQueue<O, T> {
    pub(super) fn new(event_buffer: usize, capacity: usize) -> Self {
        Self {
            state: Mutex::new(QueueState {
                events: VecDeque::new(),
                jobs: 0,
                handles: 0,
                is_shut_down: false,
                consumer: None,
                stalled_accounts: Vec::new(),
            }),
            event_buffer: event_buffer.max(1),
            capacity,
        }
    }

    /// Counts one more job.
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

    /// So many jobs are no longer watched, and no event says so.
    pub(super) fn dismiss(&self, jobs: usize) {
        let mut state = self.lock();
        state.jobs -= jobs.min(state.jobs);
        state.wake_consumer();
    }

    /// Takes events over. There is always room for the end of a job; polls are dropped while the consumer lags.
    pub(super) fn push_all(&self, events: &mut Vec<FleetEvent<O, T>>) {
        if events.is_empty() {
            return;
        }
        let mut state = self.lock();
        for event in events.drain(..) {
            if matches!(event, FleetEvent::Finished(_)) {
                state.jobs = state.jobs.saturating_sub(1);
            } else if state.events.len() >= self.event_buffer {
                continue;
            }
            state.events.push_back(event);
        }
        state.wake_consumer();
    }

    /// Whether new polls may begin. If there is no room, `waker` is woken when the consumer has made some.
    pub(super) fn event_capacity(&self, waker: &Waker) -> EventCapacity {
        let mut state = self.lock();
        if state.is_shut_down {
            return EventCapacity::ShutDown;
        }
        if state.events.len() < self.event_buffer {
            return EventCapacity::Available;
        }
        let mut stalled = state.stalled_accounts.iter();
        if !stalled.any(|stalled| stalled.will_wake(waker)) {
            state.stalled_accounts.push(waker.clone());
        }
        EventCapacity::Full
    }

    /// One more handle may add jobs.
    pub(super) fn add_handle(&self) {
        self.lock().handles += 1;
    }

    /// One handle less may add jobs.
    pub(super) fn remove_handle(&self) {
        let mut state = self.lock();
        state.handles = state.handles.saturating_sub(1);
        state.wake_consumer();
    }

    /// Takes no more jobs.
    pub(super) fn shutdown(&self) {
        let mut state = self.lock();
        state.is_shut_down = true;
        state.stalled_accounts.drain(..).for_each(Waker::wake);
        state.wake_consumer();
    }

    pub(super) fn jobs(&self) -> usize {
        self.lock().jobs
    }

    /// The next event; `None` when nothing is watched and no handle is left that could add a job.
    pub(super) fn poll_next(&self, cx: &mut Context<'_>) -> Poll<Option<FleetEvent<O, T>>> {
        let mut state = self.lock();
        let event = state.events.pop_front();
        if state.events.len() <= self.event_buffer / 2 {
            state.stalled_accounts.drain(..).for_each(Waker::wake);
        }
        if let Some(event) = event {
            return Poll::Ready(Some(event));
        }
        if state.jobs == 0 && (state.is_shut_down || state.handles == 0) {
            return Poll::Ready(None);
        }
        match &state.consumer {
            Some(waker) if waker.will_wake(cx.waker()) => {}
            _ => state.consumer = Some(cx.waker().clone()),
        }
        Poll::Pending
    }

    fn lock(&self) -> MutexGuard<'_, QueueState<O, T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<O, T> QueueState<O, T> {
    fn wake_consumer(&mut self) {
        if let Some(consumer) = self.consumer.take() {
            consumer.wake();
        }
    }
}

impl<O, T> fmt::Debug for EventQueue<O, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.lock();
        f.debug_struct("EventQueue")
            .field("jobs", &state.jobs)
            .field("undelivered", &state.events.len())
            .field("is_shut_down", &state.is_shut_down)
            .finish()
    }
}
