//! One account of one vendor: the lock around its [`Scheduler`], and the one task that polls its jobs.

use std::fmt;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Wake as _, Waker};

use tokio::runtime::Handle;

use crate::clock::{Clock, Moment, Sleep};
use crate::fleet::concurrency_limit::ConcurrencyLimit;
use crate::fleet::config::FleetConfig;
use crate::fleet::event::WatchError;
use crate::fleet::event_queue::{EventCapacity, EventQueue};
use crate::fleet::in_flight::{InFlight, MAX_IN_FLIGHT};
use crate::fleet::poll::{BatchResult, DynPoll};
use crate::fleet::scheduler::{FinishedPoll, Plan, Scheduler, WatchRequest};
use crate::fleet::table::{JobTable, KindKey};
use crate::fleet::task_waker::TaskWaker;
use crate::id::JobId;
use crate::kind_policy::KindPolicy;

/// Rounds after which the task lets others run although it has more to do.
const TICKS_BEFORE_YIELD: u32 = 32;

/// One account of one vendor.
pub(super) struct AccountTask<O, T> {
    clock: Arc<dyn Clock>,
    events: Arc<EventQueue<O, T>>,
    waker: Arc<TaskWaker>,
    state: Mutex<State<O, T>>,
}

/// What the lock is around. It is never held across an await.
struct State<O, T> {
    scheduler: Scheduler<O, T>,
    /// When the task wakes by itself, so that nobody wakes it for something later.
    wakes_at: Option<Moment>,
    is_running: bool,
    is_shut_down: bool,
}

/// What the task does next.
enum NextStep<O> {
    /// It begins these polls, and sleeps unless there is more to do at once.
    Continue(Plan<O>),
    /// There is nothing to do until somebody watches a job.
    Idle,
}

impl<O: Send + 'static, T: Send + 'static> AccountTask<O, T> {
    pub(super) fn new(
        clock: Arc<dyn Clock>,
        events: Arc<EventQueue<O, T>>,
        config: FleetConfig,
    ) -> Self {
        let limit = ConcurrencyLimit::new(config.max_in_flight, config.seed);
        Self {
            clock,
            events,
            waker: Arc::default(),
            state: Mutex::new(State {
                scheduler: Scheduler::new(limit, config.seed),
                wakes_at: None,
                is_running: false,
                is_shut_down: false,
            }),
        }
    }

    /// Adds a kind; its number. Beyond 65 535 kinds, no kind has the number: it takes no job.
    pub(super) fn add_kind(
        &self,
        poller: Arc<dyn DynPoll<O>>,
        key: KindKey,
        policy: KindPolicy,
    ) -> u16 {
        self.lock()
            .scheduler
            .add_kind(poller, key, policy)
            .unwrap_or(u16::MAX)
    }

    /// The kind of this name and group, which `add` makes the first time.
    pub(super) fn kind_of_group(
        &self,
        key: KindKey,
        group: usize,
        add: impl FnOnce() -> (Arc<dyn DynPoll<O>>, KindPolicy),
    ) -> u16 {
        self.lock()
            .scheduler
            .kind_of_group(key, group, add)
            .unwrap_or(u16::MAX)
    }

    /// Reports the polls of a kind from now on.
    pub(super) fn report_polls(&self, kind: u16, clone_tag: fn(&T) -> T) {
        self.lock().scheduler.report_polls(kind, clone_tag);
    }

    /// Begins to wait for a job.
    pub(super) fn watch(self: &Arc<Self>, request: WatchRequest<'_, T>) -> Result<(), WatchError> {
        let runtime = Handle::try_current().map_err(|_| WatchError::NoRuntime)?;
        let now = self.clock.now();
        let mut state = self.lock();
        let mut is_admitted = false;
        let admit = || {
            self.events.admit()?;
            is_admitted = true;
            Ok(())
        };
        if let Err(error) = state.scheduler.watch(request, now, admit) {
            if is_admitted {
                self.events.dismiss(1);
            }
            return Err(error);
        }
        if state.is_running {
            self.wake_if_earlier(&state);
        } else {
            state.is_running = true;
            state.is_shut_down = false;
            runtime.spawn(run(Arc::clone(self)));
        }
        Ok(())
    }

    /// Polls a job as soon as the minimum interval allows. Whether it is watched.
    pub(super) fn poll_soon(&self, kind: Option<&str>, id: &JobId) -> bool {
        let mut state = self.lock();
        let is_watched = state.scheduler.poll_soon(kind, id, self.clock.now());
        self.wake_if_earlier(&state);
        is_watched
    }

    /// Waits for a job no longer; its tag, if it was watched.
    pub(super) fn unwatch(&self, kind: &str, id: &JobId) -> Option<T> {
        let mut state = self.lock();
        let tag = state.scheduler.unwatch(kind, id, self.clock.now())?;
        self.wake_if_earlier(&state);
        self.events.dismiss(1);
        Some(tag)
    }

    /// The bytes on the heap that its jobs take.
    pub(super) fn bytes(&self) -> usize {
        self.lock().scheduler.bytes()
    }

    fn wake_if_earlier(&self, state: &State<O, T>) {
        if let Some(next) = state.scheduler.next_timer()
            && state.wakes_at.is_none_or(|at| next < at)
        {
            Arc::clone(&self.waker).wake();
        }
    }

    /// What to do at this moment.
    fn tick(&self, waker: &Waker) -> NextStep<O> {
        let now = self.clock.now();
        let mut state = self.lock();
        let capacity = self.events.event_capacity(waker);
        if state.is_shut_down || capacity == EventCapacity::ShutDown || state.scheduler.is_idle() {
            state.is_running = false;
            state.scheduler.requeue_in_flight(now);
            return NextStep::Idle;
        }
        if capacity == EventCapacity::Full {
            // The consumer wakes the task; nothing else needs to.
            state.wakes_at = Some(Moment::START);
            return NextStep::Continue(Plan {
                start: Vec::new(),
                wake: None,
                has_more: false,
            });
        }
        let plan = state.scheduler.plan(now);
        state.wakes_at = plan.wake;
        self.events.push_all(state.scheduler.events());
        NextStep::Continue(plan)
    }

    fn on_polls_finished(&self, finished: &mut Vec<FinishedPoll<O>>) {
        let now = self.clock.now();
        let mut state = self.lock();
        state.scheduler.on_polls_finished(finished, now);
        self.events.push_all(state.scheduler.events());
    }
}

impl<O, T> AccountTask<O, T> {
    /// Gives up all jobs; the table of them.
    pub(super) fn shutdown(&self) -> JobTable<T> {
        let table = {
            let mut state = self.lock();
            state.is_shut_down = true;
            state.scheduler.shutdown()
        };
        Arc::clone(&self.waker).wake();
        table
    }

    fn lock(&self) -> MutexGuard<'_, State<O, T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<O, T> fmt::Debug for AccountTask<O, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.lock();
        f.debug_struct("AccountTask")
            .field("jobs", &state.scheduler.len())
            .field("wakes_at", &state.wakes_at)
            .finish_non_exhaustive()
    }
}

/// Puts what was in flight back, should the task be dropped with its runtime: the next watched job starts another.
struct RunningGuard<O: Send + 'static, T: Send + 'static> {
    account: Arc<AccountTask<O, T>>,
    is_idle: bool,
}

impl<O: Send + 'static, T: Send + 'static> Drop for RunningGuard<O, T> {
    fn drop(&mut self) {
        if !self.is_idle {
            let now = self.account.clock.now();
            let mut state = self.account.lock();
            state.scheduler.requeue_in_flight(now);
            state.is_running = false;
        }
    }
}

/// The one task of an account: it ends when no job is left and is started again by the next one.
async fn run<O: Send + 'static, T: Send + 'static>(account: Arc<AccountTask<O, T>>) {
    let mut running = RunningGuard {
        account: Arc::clone(&account),
        is_idle: false,
    };
    let waker = Waker::from(Arc::clone(&account.waker));
    let mut in_flight: InFlight<BatchResult<O>> = InFlight::default();
    let mut serials = [0; MAX_IN_FLIGHT as usize];
    let mut sleep: Option<(Moment, Sleep)> = None;
    let (mut ended, mut finished) = (Vec::new(), Vec::new());
    let mut ticks = 0;
    loop {
        let plan = match account.tick(&waker) {
            NextStep::Continue(plan) => plan,
            NextStep::Idle => {
                running.is_idle = true;
                return;
            }
        };
        for (serial, poll) in plan.start {
            let slot = in_flight.push(poll).and_then(|at| serials.get_mut(at));
            // The concurrency limit admits no more than there are slots.
            if let Some(slot) = slot {
                *slot = serial;
            }
        }
        match (plan.wake, &sleep) {
            // A sleep that ends too early is cheaper than another one: the task finds nothing due and sleeps on.
            (Some(at), Some((planned, _))) if at >= *planned => {}
            (Some(at), _) => sleep = Some((at, account.clock.sleep_until(at))),
            (None, _) => sleep = None,
        }
        ticks += 1;
        let mut must_yield = ticks >= TICKS_BEFORE_YIELD;
        poll_fn(|cx| {
            account.waker.register(cx.waker());
            in_flight.poll(cx, &mut ended);
            if std::mem::take(&mut must_yield) {
                ticks = 0;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            let has_slept = match &mut sleep {
                Some((_, sleep)) => sleep.as_mut().poll(cx).is_ready(),
                None => false,
            };
            if has_slept {
                sleep = None;
            }
            if has_slept || plan.has_more || !ended.is_empty() || account.waker.take_notified() {
                return Poll::Ready(());
            }
            ticks = 0;
            Poll::Pending
        })
        .await;
        finished.extend(
            ended
                .drain(..)
                .map(|(slot, result)| (serials.get(slot).copied().unwrap_or_default(), result)),
        );
        if !finished.is_empty() {
            account.on_polls_finished(&mut finished);
        }
    }
}
