//! One account: its jobs, its gate, and the one task that polls them.

use std::fmt;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Wake as _, Waker};
use std::time::{Duration, SystemTime};

use tokio::runtime::Handle;

use crate::clock::{Clock, Moment, Sleep};
use crate::error::{Delivery, Error, ErrorKind};
use crate::fleet::concurrency_limit::{Admission, ConcurrencyLimit, PollFeedback};
use crate::fleet::events::{EventCapacity, EventQueue, FleetEvent, WatchError};
use crate::fleet::in_flight::{self, InFlight, Panicked, PollFuture};
use crate::fleet::poll::{self, BatchResult, DynPoll};
use crate::fleet::scheduler::Scheduler;
use crate::fleet::table::{Entry, JobTable, KindKey, Phase};
use crate::fleet::task_waker::TaskWaker;
use crate::fleet::timer_wheel::TimerNode as _;
use crate::fleet::{FleetConfig, metrics};
use crate::id::JobId;
use crate::kind_policy::KindPolicy;
use crate::poller::{Due, History, PollOutcome, WaitOptions, WaitParams, WaitState};
use crate::wait_error::{WaitError, WaitErrorKind};

/// Slots that are handled in one go; the lock is free in between.
const TIMERS_PER_TICK: usize = 4096;
/// Goes after which the task lets others run although it has more to do.
const TICKS_BEFORE_YIELD: u32 = 32;
/// By how much of itself the pause of a job that is polled alone may grow by chance.
const JITTER: f64 = 0.1;

/// One account of one vendor.
pub(super) struct AccountTask<O> {
    clock: Arc<dyn Clock>,
    events: Arc<EventQueue<O>>,
    config: FleetConfig,
    waker: Arc<TaskWaker>,
    scheduler: Mutex<Scheduler<O>>,
}

/// Polls that begin, by serial.
type StartedPolls<O> = Vec<(u32, PollFuture<BatchResult<O>>)>;
/// A poll that ended.
type FinishedPoll<O> = (u32, Result<BatchResult<O>, Panicked>);

/// What the task does next.
enum NextStep<O> {
    /// These polls begin. Then it sleeps, unless there is more to do at once.
    Continue {
        start: StartedPolls<O>,
        wake: Option<Moment>,
        more: bool,
    },
    /// There is nothing to do until somebody watches a job.
    Idle,
}

impl<O: Send + 'static> AccountTask<O> {
    pub(super) fn new(
        clock: Arc<dyn Clock>,
        events: Arc<EventQueue<O>>,
        config: FleetConfig,
    ) -> Self {
        Self {
            clock,
            events: events,
            config: config,
            waker: Arc::default(),
            scheduler: Mutex::new(Scheduler::new(ConcurrencyLimit::new(
                config.max_in_flight,
                config.seed,
            ))),
        }
    }

    /// A new lane; its number.
    pub(super) fn add_kind(
        &self,
        poller: Arc<dyn DynPoll<O>>,
        key: KindKey,
        policy: KindPolicy,
    ) -> u16 {
        // Beyond so many, no lane has this number: it takes no job.
        self.plan()
            .add_kind(poller, key, policy)
            .unwrap_or(u16::MAX)
    }

    /// Reports polls of `lane` from now on.
    pub(super) fn with_poll_events(&self, lane: u16) {
        if let Some(queues) = self.plan().kinds.get_mut(usize::from(lane)) {
            queues.with_poll_events = true;
        }
    }

    /// Waits for a job.
    pub(super) fn watch(
        self: &Arc<Self>,
        lane: u16,
        id: &JobId,
        (mut history, accepted): (History, SystemTime),
        options: WaitOptions,
    ) -> Result<(), WatchError> {
        let runtime = Handle::try_current().map_err(|_| WatchError::NoRuntime)?;
        let now = self.clock.now();
        let mut plan = self.plan();
        let plan = &mut *plan;
        let Some(queues) = plan.kinds.get(usize::from(lane)) else {
            return Err(WatchError::AtCapacity);
        };
        let (key, policy) = (queues.key, &queues.policy);
        let resting = match plan.table.find(key.kind, id.as_str()) {
            Some(slot) => match plan.table.entry(slot) {
                Some(entry) if entry.phase == Phase::Cooldown => Some((slot, entry.state.at())),
                _ => return Err(WatchError::AlreadyWatched),
            },
            None => None,
        };
        let params = || WaitParams {
            policy: policy.clone(),
            options: WaitOptions {
                deadline: Duration::ZERO,
                ..options
            },
            jitter: if policy.max_batch.value.get() == 1 {
                JITTER
            } else {
                0.0
            },
        };
        let tolerance = (options.max_unreachable, options.max_unknown_status);
        let params = plan
            .table
            .params(lane, key, params, tolerance)
            .ok_or(WatchError::AtCapacity)?;
        self.events.admit()?;
        if let Some((slot, until)) = resting {
            let floor = policy.min_interval.value;
            let last = Moment::after_start(until.since_start().saturating_sub(floor));
            history.last_poll = history.last_poll.max(Some(last));
            plan.wheel.remove(&mut plan.table, slot);
            plan.table.free(slot);
        }
        let state = plan
            .table
            .wait_params(params)
            .map(|params| WaitState::new(params, now + options.deadline, now, history));
        let Some(slot) = state.and_then(|state| plan.table.add(id, params, accepted, state)) else {
            self.events.dismiss(1);
            return Err(WatchError::AtCapacity);
        };
        plan.wheel.insert(&mut plan.table, slot);
        if !plan.is_running {
            plan.is_running = true;
            plan.is_shut_down = false;
            runtime.spawn(run(Arc::clone(self)));
        } else {
            self.wake_if_earlier(plan, slot);
        }
        Ok(())
    }

    /// Polls a job of `kind`, or of any kind, as soon as the minimum interval allows. Whether there is such a job.
    pub(super) fn poll_soon(&self, kind: Option<&str>, id: &JobId) -> bool {
        let mut plan = self.plan();
        let plan = &mut *plan;
        let mut kinds: Vec<&str> = plan.kinds.iter().map(|lane| lane.key.kind).collect();
        kinds.sort_unstable();
        kinds.dedup();
        kinds.retain(|name| kind.is_none_or(|kind| kind == *name));
        let mut known = false;
        for kind in kinds {
            let Some(slot) = plan.table.find(kind, id.as_str()) else {
                continue;
            };
            let Some(stage) = plan.table.entry(slot).map(|entry| entry.phase) else {
                continue;
            };
            known |= stage != Phase::Cooldown;
            match stage {
                Phase::Waiting => {
                    plan.wheel.remove(&mut plan.table, slot);
                    if let Some((entry, params)) = plan.table.entry_and_wait_params(slot) {
                        entry.state.poll_soon(params, self.clock.now());
                    }
                    plan.wheel.insert(&mut plan.table, slot);
                    self.wake_if_earlier(plan, slot);
                }
                // The poll in flight may have been answered before whatever the poll_soon is about.
                Phase::Polling => {
                    if let Some(entry) = plan.table.entry_mut(slot) {
                        entry.request_poll_soon();
                    }
                }
                Phase::Ready | Phase::Cooldown | Phase::Free => {}
            }
        }
        known
    }

    /// Waits for a job no longer. Whether it was waited for.
    pub(super) fn unwatch(&self, kind: &str, id: &JobId) -> bool {
        let now = self.clock.now();
        let mut plan = self.plan();
        let plan = &mut *plan;
        let Some(slot) = plan.table.find(kind, id.as_str()) else {
            return false;
        };
        let Some((entry, params)) = plan.table.entry_and_wait_params(slot) else {
            return false;
        };
        let floor = params.policy.min_interval.value;
        let until = match (entry.phase, entry.state.due()) {
            (Phase::Cooldown | Phase::Free, _) => return false,
            (Phase::Waiting, Due::Poll(_)) => entry.state.earliest(),
            (Phase::Ready, _) => now,
            // A poll in flight counts from now at the latest; after a long hint nobody knows any more.
            (Phase::Polling | Phase::Waiting, _) => now + floor,
        };
        plan.wheel.remove(&mut plan.table, slot);
        plan.start_cooldown(slot, now, until);
        self.wake_if_earlier(plan, slot);
        self.events.dismiss(1);
        true
    }

    /// Gives up all jobs; the book of them.
    pub(super) fn shutdown(&self) -> JobTable {
        let table = self.plan().shutdown();
        Arc::clone(&self.waker).wake();
        table
    }

    /// The bytes that the waiting jobs take.
    pub(super) fn bytes(&self) -> usize {
        let plan = self.plan();
        plan.table.bytes() + plan.wheel.bytes()
    }

    fn wake_if_earlier(&self, plan: &Scheduler<O>, slot: u32) {
        let at = plan.table.at(slot);
        if plan.wakes_at.is_none_or(|wakes| at < wakes) {
            Arc::clone(&self.waker).wake();
        }
    }

    /// What to do at this moment.
    fn tick(&self, waker: &Waker) -> NextStep<O> {
        let now = self.clock.now();
        let mut plan = self.plan();
        let plan = &mut *plan;
        let room = self.events.room(waker);
        if plan.is_shut_down
            || room == EventCapacity::ShutDown
            || (plan.table.len() == 0 && plan.in_flight.is_empty())
        {
            plan.is_running = false;
            plan.requeue_in_flight(now);
            plan.spare_buffers = Vec::new();
            return NextStep::Idle;
        }
        if room == EventCapacity::Full {
            // The consumer wakes the task; nothing else needs to.
            plan.wakes_at = Some(Moment::START);
            return NextStep::Continue {
                start: Vec::new(),
                wake: None,
                more: false,
            };
        }
        let mut due = Vec::new();
        plan.wheel
            .drain(&mut plan.table, now, TIMERS_PER_TICK, &mut due);
        plan.table.prefetch_ids(&due);
        for slot in &due {
            self.on_timer(plan, *slot, now);
        }
        let (begin, opens) = self.start_polls(plan, now);
        for slot in &due {
            plan.arm_deadline(*slot, now);
        }
        let more = due.len() >= TIMERS_PER_TICK;
        let next = plan.wheel.next_deadline();
        let wake = match (next, opens) {
            (Some(next), Some(opens)) => Some(next.min(opens)),
            (next, opens) => next.or(opens),
        };
        plan.wakes_at = wake;
        tracing::trace!(operation = "sleep", due = due.len(), ?wake, "planned");
        NextStep::Continue {
            start: begin,
            wake,
            more,
        }
    }

    /// The moment of `slot` has come; it is in no list.
    fn on_timer(&self, plan: &mut Scheduler<O>, slot: u32, now: Moment) {
        let open = plan.limit.is_breaker_open();
        let Some((entry, params)) = plan.table.entry_and_wait_params(slot) else {
            return;
        };
        match entry.phase {
            Phase::Waiting => match entry.state.due() {
                Due::Deadline(_) => {
                    self.finish(plan, slot, now, Err(WaitErrorKind::DeadlineExceeded))
                }
                Due::Poll(_) => plan.mark_ready(slot, now),
            },
            Phase::Ready => {
                let deadline = entry.state.deadline();
                if open && now >= entry.state.unreachable_at(params) {
                    let cause = plan
                        .last_outage
                        .clone()
                        .map_or(WaitErrorKind::DeadlineExceeded, WaitErrorKind::Unreachable);
                    self.finish(plan, slot, now, Err(cause));
                } else if now >= deadline
                    && (open || now >= deadline + params.policy.poll_timeout.value)
                {
                    self.finish(plan, slot, now, Err(WaitErrorKind::DeadlineExceeded));
                }
            }
            Phase::Polling => {
                // Its deadline came before the answer: the last poll is owed now, and the late answer is dropped.
                let seed = self.config.seed ^ JobTable::seed(slot);
                let serial = entry.since;
                let Some(poll) = plan.in_flight.iter().find(|poll| poll.serial == serial) else {
                    return;
                };
                let Some(queues) = plan.kinds.get(usize::from(poll.kind)) else {
                    return;
                };
                let (vendor, began) = (queues.key.vendor, poll.began);
                let outcome = entry
                    .state
                    .on_timeout::<O>(params, began, now, vendor, seed);
                self.apply_outcome(plan, slot, now, outcome);
            }
            Phase::Cooldown => plan.table.free(slot),
            Phase::Free => {}
        }
    }

    /// Begins as many polls as the gate lets through; and when it opens, if that is what others wait for.
    fn start_polls(
        &self,
        plan: &mut Scheduler<O>,
        now: Moment,
    ) -> (StartedPolls<O>, Option<Moment>) {
        let mut begin = Vec::new();
        loop {
            let Some(lane) = plan.best_kind(now) else {
                return (begin, None);
            };
            let probe = match plan.limit.admit(now) {
                Admission::Admitted => false,
                Admission::Probe => true,
                Admission::NotBefore(opens) => return (begin, Some(opens)),
                Admission::AtLimit => return (begin, None),
            };
            let Some((serial, ids, limit)) = plan.assemble_batch(lane, probe, now) else {
                // All that stood in its queues was forgotten meanwhile.
                continue;
            };
            let Some(queues) = plan.kinds.get(lane) else {
                return (begin, None);
            };
            metrics::poll_started(queues.key.vendor, queues.key.kind, ids.len());
            begin.push((serial, Arc::clone(&queues.poller).poll(ids, limit)));
        }
    }

    /// Polls have ended.
    fn on_polls_finished(&self, finished: &mut Vec<FinishedPoll<O>>) {
        let now = self.clock.now();
        let mut plan = self.plan();
        let plan = &mut *plan;
        for (serial, result) in finished.drain(..) {
            let Some(at) = plan.in_flight.iter().position(|poll| poll.serial == serial) else {
                continue;
            };
            let poll = plan.in_flight.swap_remove(at);
            let Some(queues) = plan.kinds.get(usize::from(poll.kind)) else {
                continue;
            };
            let (key, timeout) = (queues.key, queues.policy.poll_timeout.value);
            let took = now.since(poll.began);
            let feedback = poll::feedback_of(&result, took, timeout);
            plan.limit
                .poll_finished(poll.began, now, poll.probe, feedback);
            metrics::poll_finished(key.vendor, poll::feedback_name(feedback), took);
            metrics::concurrency(key.vendor, plan.limit.limit(), plan.limit.is_breaker_open());
            let panicked = result.is_err();
            let (ids, results) = result.map_or((Vec::new(), Some(Vec::new())), |answers| {
                (answers.ids, answers.results)
            });
            let cut = results.is_none();
            let mut results = results.unwrap_or_default().into_iter();
            let mut slots = poll.slots;
            for slot in slots.drain(..) {
                let result = results.next();
                let in_it = |entry: &&Entry| entry.phase == Phase::Polling && entry.since == serial;
                if plan.table.entry(slot).filter(in_it).is_none() {
                    // Forgotten or cut in the meantime: the answer is nobody's.
                    continue;
                }
                let result = result.unwrap_or_else(|| {
                    let message = if panicked {
                        "the poll panicked"
                    } else {
                        "no answer for the job"
                    };
                    Err(
                        Error::new(ErrorKind::UnexpectedResponse, key.vendor, "poll")
                            .with_job(plan.table.id(slot))
                            .with_delivery(Delivery::MaybeSent)
                            .with_message(message),
                    )
                });
                plan.wheel.remove(&mut plan.table, slot);
                let Some((entry, params)) = plan.table.entry_and_wait_params(slot) else {
                    continue;
                };
                let seed = self.config.seed ^ JobTable::seed(slot);
                let outcome = if cut {
                    entry
                        .state
                        .on_timeout(params, poll.began, now, key.vendor, seed)
                } else {
                    entry
                        .state
                        .on_response(params, poll.began, now, result, seed)
                };
                if feedback == PollFeedback::Failed
                    && let PollOutcome::PollFailed(error) = &outcome
                {
                    plan.last_outage = Some(error.clone());
                }
                self.apply_outcome(plan, slot, now, outcome);
            }
            plan.spare_buffers.push((slots, ids));
        }
    }

    /// Acts on what a poll meant for the wait of a job that is in no list.
    fn apply_outcome(
        &self,
        plan: &mut Scheduler<O>,
        slot: u32,
        now: Moment,
        outcome: PollOutcome<O>,
    ) {
        let lane = plan
            .table
            .params_of(slot)
            .and_then(|params| plan.kinds.get(usize::from(params.kind)));
        let Some(queues) = lane else { return };
        let (key, with_polls) = (queues.key, queues.with_poll_events);
        match outcome {
            PollOutcome::Progress(snapshot) => {
                plan.table.record_snapshot(slot, &snapshot);
                if with_polls && let (Some(snapshot), _) = plan.table.last_observation(slot) {
                    self.events.try_push(FleetEvent::Progress {
                        vendor: key.vendor,
                        kind: key.kind,
                        id: plan.table.id(slot),
                        snapshot,
                    });
                }
                plan.mark_waiting(slot, now);
            }
            PollOutcome::PollFailed(error) => {
                if with_polls {
                    self.events.try_push(FleetEvent::PollFailed {
                        vendor: key.vendor,
                        kind: key.kind,
                        id: plan.table.id(slot),
                        error: error.clone(),
                    });
                }
                plan.table.record_error(slot, error);
                plan.mark_waiting(slot, now);
            }
            PollOutcome::Output(output) => {
                if let Some((entry, params)) = plan.table.entry_and_wait_params(slot)
                    && let Some((after, until)) = entry.state.finished_between(now)
                {
                    params.policy.schedule.value.record_completion(after, until);
                }
                self.finish(plan, slot, now, Ok(output));
            }
            PollOutcome::Ended(cause) => self.finish(plan, slot, now, Err(cause)),
        }
    }

    /// The one end of a job that is in no list.
    fn finish(
        &self,
        plan: &mut Scheduler<O>,
        slot: u32,
        now: Moment,
        result: Result<O, WaitErrorKind>,
    ) {
        let Some(params) = plan.table.params_of(slot) else {
            return;
        };
        let (key, floor) = (params.key, params.wait.policy.min_interval.value);
        let id = plan.table.id(slot);
        tracing::debug!(
            operation = "wait",
            vendor = key.vendor,
            kind = key.kind,
            job = %id,
            output = result.is_ok(),
            "ended"
        );
        metrics::wait_ended(key.vendor, key.kind, result.is_ok());
        let result = match result {
            Ok(output) => Ok(output),
            Err(cause) => {
                let Some(ticket) = plan.table.ticket(slot) else {
                    return;
                };
                let (seen, error) = plan.table.last_observation(slot);
                Err(WaitError::new(cause, ticket, seen, error))
            }
        };
        // Somebody may watch it again at once, whatever its end was, and the minimum interval holds for them too.
        plan.start_cooldown(slot, now, now + floor);
        self.events.push_end(FleetEvent::Ended {
            vendor: key.vendor,
            kind: key.kind,
            account: key.account,
            id,
            result,
        });
    }

    fn plan(&self) -> MutexGuard<'_, Scheduler<O>> {
        self.scheduler
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl<O> fmt::Debug for AccountTask<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plan = self
            .scheduler
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        f.debug_struct("Desk")
            .field("jobs", &plan.table.len())
            .field("gate", &plan.limit)
            .finish_non_exhaustive()
    }
}

/// Puts what was in flight back, should the task be dropped with its runtime: the next watched job starts another.
struct RunningGuard<O: Send + 'static> {
    account: Arc<AccountTask<O>>,
    is_idle: bool,
}

impl<O: Send + 'static> Drop for RunningGuard<O> {
    fn drop(&mut self) {
        if !self.is_idle {
            let now = self.account.clock.now();
            let mut plan = self.account.plan();
            plan.requeue_in_flight(now);
            plan.is_running = false;
        }
    }
}

/// The one task of an account: it ends when there is no job left and is started again by the next one.
async fn run<O: Send + 'static>(account: Arc<AccountTask<O>>) {
    let mut running = RunningGuard {
        account: Arc::clone(&account),
        is_idle: false,
    };
    let waker = Waker::from(Arc::clone(&account.waker));
    let mut in_flight: InFlight<BatchResult<O>> = InFlight::default();
    let mut serials = [0; in_flight::MAX_IN_FLIGHT as usize];
    let mut sleep: Option<(Moment, Sleep)> = None;
    let (mut ended, mut finished) = (Vec::new(), Vec::new());
    let mut ticks = 0;
    loop {
        let (wake, more) = match account.tick(&waker) {
            NextStep::Continue {
                start: begin,
                wake,
                more,
            } => {
                for (serial, future) in begin {
                    let place = in_flight.push(future).and_then(|at| serials.get_mut(at));
                    // The gate lets no more through than there are places.
                    if let Some(place) = place {
                        *place = serial;
                    }
                }
                (wake, more)
            }
            NextStep::Idle => {
                running.is_idle = true;
                return;
            }
        };
        match (wake, &sleep) {
            // A sleep that ends too early is cheaper than another one: the task finds nothing due and sleeps on.
            (Some(at), Some((planned, _))) if at >= *planned => {}
            (Some(at), _) => sleep = Some((at, account.clock.sleep_until(at))),
            (None, _) => sleep = None,
        }
        ticks += 1;
        let mut must_yield = ticks >= TICKS_BEFORE_YIELD;
        poll_fn(|cx| {
            account.waker.answer(cx.waker());
            in_flight.poll(cx, &mut ended);
            if std::mem::take(&mut must_yield) {
                ticks = 0;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            let slept = match &mut sleep {
                Some((_, slept)) => slept.as_mut().poll(cx).is_ready(),
                None => false,
            };
            if slept {
                sleep = None;
            }
            if slept || more || !ended.is_empty() || account.waker.take_notified() {
                return Poll::Ready(());
            }
            ticks = 0;
            Poll::Pending
        })
        .await;
        finished.extend(
            ended
                .drain(..)
                .map(|(place, result)| (serials.get(place).copied().unwrap_or_default(), result)),
        );
        if !finished.is_empty() {
            account.on_polls_finished(&mut finished);
        }
    }
}
