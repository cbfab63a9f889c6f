//! Per-account scheduler state: waiting, ready and in-flight jobs, and how polls are batched. Pure: time is an argument, and
//! what it decides is returned or left in [`Scheduler::events`].

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::clock::Moment;
use crate::error::{Delivery, Error, ErrorKind};
use crate::fleet::concurrency_limit::{Admission, ConcurrencyLimit, PollFeedback};
use crate::fleet::event::{Finished, FleetEvent, WatchError};
use crate::fleet::in_flight::{Panicked, PollFuture};
use crate::fleet::poll::{self, BatchResult, DynPoll};
use crate::fleet::ready_queue::ReadyQueue;
use crate::fleet::table::{Entry, JobTable, KindKey, NewJob, Phase};
use crate::fleet::timer_wheel::{TimerNode as _, TimerWheel, UNLINKED};
use crate::fleet::{metrics, priority};
use crate::id::JobId;
use crate::kind::PollResult;
use crate::kind_policy::KindPolicy;
use crate::poller::{Due, History, PollOutcome, WaitOptions, WaitParams, WaitState, timed_out};
use crate::wait_error::{WaitError, WaitErrorKind};

/// A poll and the slot in which it is in flight.
type StartedPoll<O> = (u32, PollFuture<BatchResult<O>>);

/// Timers that are handled in one go; the lock is free in between.
const TIMERS_PER_TICK: usize = 4096;
/// By how much of itself the delay of a job that is polled alone may grow by chance.
const JITTER: f64 = 0.1;

/// The jobs of one account, and the polls of them.
pub(super) struct Scheduler<O, T> {
    table: JobTable<T>,
    wheel: TimerWheel,
    limit: ConcurrencyLimit,
    kinds: Vec<Kind<O, T>>,
    /// Kinds that were added for their group, by their name and it.
    groups: HashMap<(&'static str, usize), u16>,
    in_flight: Vec<InFlightBatch>,
    /// Buffers of batches that have ended, for those that begin.
    spare_buffers: Vec<(Vec<u32>, Vec<JobId>)>,
    serial: u32,
    /// The last error of an account that cannot be polled.
    last_outage: Option<Error>,
    events: Vec<FleetEvent<O, T>>,
    /// Where chance begins.
    seed: u64,
}

/// The jobs of one kind.
struct Kind<O, T> {
    poller: Arc<dyn DynPoll<O>>,
    key: KindKey,
    policy: KindPolicy,
    /// How tags are cloned for the events of polls, when those are reported.
    clone_tag: Option<fn(&T) -> T>,
    ready: ReadyQueue,
}

/// A poll in flight.
struct InFlightBatch {
    serial: u32,
    began: Moment,
    kind: u16,
    is_probe: bool,
    slots: Vec<u32>,
}

/// A job that is to be watched.
pub(super) struct WatchRequest<'a, T> {
    pub(super) kind: u16,
    pub(super) id: &'a JobId,
    pub(super) tag: T,
    pub(super) history: History,
    pub(super) accepted: SystemTime,
    pub(super) options: WaitOptions,
}

/// What happens next.
pub(super) struct Plan<O> {
    /// These polls begin, each with its serial.
    pub(super) start: Vec<StartedPoll<O>>,
    /// When to plan again at the latest.
    pub(super) wake: Option<Moment>,
    /// Whether to plan again at once.
    pub(super) has_more: bool,
}

/// A poll that ended, by its serial.
pub(super) type FinishedPoll<O> = (u32, Result<BatchResult<O>, Panicked>);

impl<O, T> Scheduler<O, T> {
    pub(super) fn new(limit: ConcurrencyLimit, seed: u64) -> Self {
        Self {
            table: JobTable::default(),
            wheel: TimerWheel::default(),
            limit,
            kinds: Vec::new(),
            groups: HashMap::new(),
            in_flight: Vec::new(),
            spare_buffers: Vec::new(),
            serial: 0,
            last_outage: None,
            events: Vec::new(),
            seed,
        }
    }

    /// Adds a kind; its number, if there is one left.
    pub(super) fn add_kind(
        &mut self,
        poller: Arc<dyn DynPoll<O>>,
        key: KindKey,
        policy: KindPolicy,
    ) -> Option<u16> {
        let number = u16::try_from(self.kinds.len()).ok()?;
        let number = Some(number).filter(|number| *number < u16::MAX)?;
        self.kinds.push(Kind {
            poller,
            key,
            policy,
            clone_tag: None,
            ready: ReadyQueue::default(),
        });
        Some(number)
    }

    /// The kind of this name and group, which `add` makes the first time.
    pub(super) fn kind_of_group(
        &mut self,
        key: KindKey,
        group: usize,
        add: impl FnOnce() -> (Arc<dyn DynPoll<O>>, KindPolicy),
    ) -> Option<u16> {
        if let Some(number) = self.groups.get(&(key.kind, group)) {
            return Some(*number);
        }
        let (poller, policy) = add();
        let number = self.add_kind(poller, key, policy)?;
        self.groups.insert((key.kind, group), number);
        Some(number)
    }

    /// Reports the polls of a kind from now on.
    pub(super) fn report_polls(&mut self, kind: u16, clone_tag: fn(&T) -> T) {
        if let Some(kind) = self.kinds.get_mut(usize::from(kind)) {
            kind.clone_tag = Some(clone_tag);
        }
    }

    /// Begins to wait for a job, if `admit` lets it in.
    pub(super) fn watch(
        &mut self,
        request: WatchRequest<'_, T>,
        now: Moment,
        admit: impl FnOnce() -> Result<(), WatchError>,
    ) -> Result<(), WatchError> {
        let kind = self
            .kinds
            .get(usize::from(request.kind))
            .ok_or(WatchError::AtCapacity)?;
        let (key, policy) = (kind.key, &kind.policy);
        let mut history = request.history;
        let found = self.table.find(key.kind, request.id.as_str());
        let cooling = match found.and_then(|slot| Some((slot, self.table.entry(slot)?))) {
            Some((slot, entry)) if entry.phase() == Phase::Cooldown => {
                Some((slot, entry.state.at()))
            }
            Some(_) => return Err(WatchError::AlreadyWatched),
            None => None,
        };
        let options = request.options;
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
        let params = self
            .table
            .params(request.kind, key, options, params)
            .ok_or(WatchError::AtCapacity)?;
        admit()?;
        if let Some((slot, until)) = cooling {
            let min_interval = policy.min_interval.value;
            let last = Moment::after_start(until.since_start().saturating_sub(min_interval));
            history.last_poll = history.last_poll.max(Some(last));
            self.wheel.remove(&mut self.table, slot);
            self.table.free(slot);
        }
        let state = self
            .table
            .wait_params(params)
            .map(|params| WaitState::new(params, now + options.deadline, now, history));
        let job = state.map(|state| NewJob {
            id: request.id,
            tag: request.tag,
            params,
            accepted: request.accepted,
            state,
        });
        let slot = job
            .and_then(|job| self.table.add(job))
            .ok_or(WatchError::AtCapacity)?;
        self.wheel.insert(&mut self.table, slot);
        Ok(())
    }

    /// Polls a job of the kind with this name, or of any, as soon as the minimum interval allows. Whether it is watched.
    pub(super) fn poll_soon(&mut self, kind: Option<&str>, id: &JobId, now: Moment) -> bool {
        let mut names: Vec<&'static str> = self.kinds.iter().map(|kind| kind.key.kind).collect();
        names.sort_unstable();
        names.dedup();
        names.retain(|name| kind.is_none_or(|kind| kind == *name));
        let mut is_watched = false;
        for name in names {
            let Some(slot) = self.table.find(name, id.as_str()) else {
                continue;
            };
            let Some(entry) = self.table.entry_mut(slot) else {
                continue;
            };
            is_watched |= entry.is_watched();
            match entry.phase() {
                Phase::Waiting => {
                    self.wheel.remove(&mut self.table, slot);
                    if let Some((entry, params)) = self.table.entry_and_wait_params(slot) {
                        entry.state.poll_soon(params, now);
                    }
                    self.wheel.insert(&mut self.table, slot);
                }
                // The vendor may have answered the poll in flight before the change that the caller heard of.
                Phase::Polling { .. } => entry.request_poll_soon(),
                Phase::Ready { .. } | Phase::Cooldown | Phase::Free => {}
            }
        }
        is_watched
    }

    /// Waits for a job no longer; its tag, if it was watched.
    pub(super) fn unwatch(&mut self, kind: &str, id: &JobId, now: Moment) -> Option<T> {
        let slot = self.table.find(kind, id.as_str())?;
        let (entry, params) = self.table.entry_and_wait_params(slot)?;
        let min_interval = params.policy.min_interval.value;
        let until = match (entry.phase(), entry.state.due()) {
            (Phase::Cooldown | Phase::Free, _) => return None,
            (Phase::Waiting, Due::Poll(_)) => entry.state.earliest(),
            (Phase::Ready { .. }, _) => now,
            // A poll in flight counts from now at the latest; after a long hint nobody knows any more.
            (Phase::Polling { .. } | Phase::Waiting, _) => now + min_interval,
        };
        self.wheel.remove(&mut self.table, slot);
        let tag = self.table.take_tag(slot);
        self.start_cooldown(slot, now, until);
        tag
    }

    /// Gives up all jobs; the table of them.
    pub(super) fn shutdown(&mut self) -> JobTable<T> {
        self.wheel = TimerWheel::default();
        self.in_flight.clear();
        for kind in &mut self.kinds {
            kind.ready.clear();
        }
        std::mem::take(&mut self.table)
    }

    /// Whether there is nothing to do until somebody watches a job.
    pub(super) fn is_idle(&self) -> bool {
        self.table.len() == 0 && self.in_flight.is_empty()
    }

    /// How many jobs it has, watched or cooling down.
    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    /// The bytes on the heap that the jobs take.
    pub(super) fn bytes(&self) -> usize {
        self.table.bytes() + self.wheel.bytes()
    }

    /// The moment of the first timer.
    pub(super) fn next_timer(&self) -> Option<Moment> {
        self.wheel.next_deadline()
    }

    /// What has to be reported since this was last emptied.
    pub(super) fn events(&mut self) -> &mut Vec<FleetEvent<O, T>> {
        &mut self.events
    }

    /// Handles the timers that are due, and begins as many polls as the limit allows.
    pub(super) fn plan(&mut self, now: Moment) -> Plan<O> {
        let mut due = Vec::new();
        self.wheel
            .drain(&mut self.table, now, TIMERS_PER_TICK, &mut due);
        self.table.prefetch_ids(&due);
        for slot in &due {
            self.on_timer(*slot, now);
        }
        let (start, opens) = self.start_polls(now);
        for slot in &due {
            self.arm_deadline(*slot, now);
        }
        let wake = match (self.next_timer(), opens) {
            (Some(next), Some(opens)) => Some(next.min(opens)),
            (next, opens) => next.or(opens),
        };
        tracing::trace!(operation = "sleep", due = due.len(), ?wake, "planned");
        Plan {
            start,
            wake,
            has_more: due.len() >= TIMERS_PER_TICK,
        }
    }

    /// Takes in the answers to polls.
    pub(super) fn on_polls_finished(&mut self, finished: &mut Vec<FinishedPoll<O>>, now: Moment) {
        for (serial, result) in finished.drain(..) {
            let of_it = |batch: &InFlightBatch| batch.serial == serial;
            let Some(at) = self.in_flight.iter().position(of_it) else {
                continue;
            };
            let batch = self.in_flight.swap_remove(at);
            let Some(kind) = self.kinds.get(usize::from(batch.kind)) else {
                continue;
            };
            let (key, timeout) = (kind.key, kind.policy.poll_timeout.value);
            let took = now.since(batch.began);
            let feedback = poll::feedback_of(&result, took, timeout);
            self.limit
                .poll_finished(batch.began, now, batch.is_probe, feedback);
            metrics::poll_finished(key.vendor, poll::feedback_name(feedback), took);
            metrics::concurrency(key.vendor, self.limit.limit(), self.limit.is_breaker_open());
            let message = if result.is_err() {
                "the poll panicked"
            } else {
                "no answer for the job"
            };
            let (ids, results) = result.map_or((Vec::new(), Some(Vec::new())), |batch| {
                (batch.ids, batch.results)
            });
            let is_cut = results.is_none();
            let mut results = results.unwrap_or_default().into_iter();
            let mut slots = batch.slots;
            for slot in slots.drain(..) {
                let result = results.next();
                let is_polled = |entry: &&Entry| entry.is_polled_by(serial);
                if self.table.entry(slot).filter(is_polled).is_none() {
                    // Unwatched, or past its deadline: nobody waits for this answer.
                    continue;
                }
                let result = if is_cut {
                    None
                } else {
                    Some(result.unwrap_or_else(|| {
                        Err(
                            Error::new(ErrorKind::UnexpectedResponse, key.vendor, "poll")
                                .with_job(self.table.id(slot))
                                .with_delivery(Delivery::MaybeSent)
                                .with_message(message),
                        )
                    }))
                };
                self.wheel.remove(&mut self.table, slot);
                let outcome = self.outcome_of(slot, batch.began, now, key.vendor, result);
                if feedback == PollFeedback::Failed
                    && let Some(PollOutcome::PollFailed(error)) = &outcome
                {
                    self.last_outage = Some(error.clone());
                }
                if let Some(outcome) = outcome {
                    self.apply_outcome(slot, now, outcome);
                }
            }
            self.spare_buffers.push((slots, ids));
        }
    }

    /// The polls in flight were dropped: their jobs wait again.
    pub(super) fn requeue_in_flight(&mut self, now: Moment) {
        for batch in std::mem::take(&mut self.in_flight) {
            for slot in batch.slots {
                let is_polled = |entry: &&Entry| entry.is_polled_by(batch.serial);
                if self.table.entry(slot).filter(is_polled).is_some() {
                    self.wheel.remove(&mut self.table, slot);
                    self.mark_waiting(slot, now);
                }
            }
        }
        self.spare_buffers = Vec::new();
        self.limit.polls_dropped(now);
    }

    /// The moment of `slot` has come; it is in no list.
    fn on_timer(&mut self, slot: u32, now: Moment) {
        let is_open = self.limit.is_breaker_open();
        let Some((entry, params)) = self.table.entry_and_wait_params(slot) else {
            return;
        };
        match entry.phase() {
            Phase::Waiting => match entry.state.due() {
                Due::Deadline(_) => {
                    self.finish(slot, now, Err(WaitErrorKind::DeadlineExceeded));
                }
                Due::Poll(_) => self.mark_ready(slot, now),
            },
            Phase::Ready { .. } => {
                let deadline = entry.state.deadline();
                if is_open && now >= entry.state.unreachable_at(params) {
                    let kind = self
                        .last_outage
                        .clone()
                        .map_or(WaitErrorKind::DeadlineExceeded, WaitErrorKind::Unreachable);
                    self.finish(slot, now, Err(kind));
                } else if now >= deadline
                    && (is_open || now >= deadline + params.policy.poll_timeout.value)
                {
                    self.finish(slot, now, Err(WaitErrorKind::DeadlineExceeded));
                }
            }
            Phase::Polling { serial } => {
                // Its deadline came before the answer: the last poll is owed now, and the late answer is dropped.
                let of_it = |batch: &&InFlightBatch| batch.serial == serial;
                let Some(batch) = self.in_flight.iter().find(of_it) else {
                    return;
                };
                let Some(kind) = self.kinds.get(usize::from(batch.kind)) else {
                    return;
                };
                let (vendor, began) = (kind.key.vendor, batch.began);
                if let Some(outcome) = self.outcome_of(slot, began, now, vendor, None) {
                    self.apply_outcome(slot, now, outcome);
                }
            }
            Phase::Cooldown => self.table.free(slot),
            Phase::Free => {}
        }
    }

    /// Begins as many polls as the limit allows. When it allows more, if that is a matter of time.
    fn start_polls(&mut self, now: Moment) -> (Vec<StartedPoll<O>>, Option<Moment>) {
        let mut start = Vec::new();
        loop {
            let Some(kind) = self.best_kind(now) else {
                return (start, None);
            };
            let is_probe = match self.limit.admit(now) {
                Admission::Admitted => false,
                Admission::Probe => true,
                Admission::NotBefore(opens) => return (start, Some(opens)),
                Admission::AtLimit => return (start, None),
            };
            let Some((serial, ids, limit)) = self.assemble_batch(kind, is_probe, now) else {
                // All that stood in its queue was stale.
                continue;
            };
            let Some(kind) = self.kinds.get(kind) else {
                return (start, None);
            };
            metrics::poll_started(kind.key.vendor, kind.key.kind, ids.len());
            start.push((serial, Arc::clone(&kind.poller).poll(ids, limit)));
        }
    }

    /// The kind whose best job has the highest gain.
    fn best_kind(&mut self, now: Moment) -> Option<usize> {
        if let [only] = self.kinds.as_slice() {
            return (!only.ready.is_empty()).then_some(0);
        }
        let mut best: Option<(usize, f64)> = None;
        for (number, kind) in self.kinds.iter_mut().enumerate() {
            if kind.ready.is_empty() {
                continue;
            }
            let (table, policy) = (&self.table, &kind.policy);
            let gain = kind
                .ready
                .best_gain(|slot| gain(table, policy, number, slot, now, true));
            if let Some(gain) = gain
                && best.is_none_or(|(_, most)| gain > most)
            {
                best = Some((number, gain));
            }
        }
        best.map(|(number, _)| number)
    }

    /// Puts the jobs of a kind that have the highest gain on one poll, and fills it up with jobs that are due soon.
    fn assemble_batch(
        &mut self,
        number: usize,
        is_probe: bool,
        now: Moment,
    ) -> Option<(u32, Vec<JobId>, Moment)> {
        let kind = self.kinds.get(number)?;
        let timeout = kind.policy.poll_timeout.value;
        let max_batch = if is_probe {
            1
        } else {
            kind.policy.max_batch.value.get()
        };
        self.serial = self.serial.wrapping_add(1);
        let serial = self.serial;
        let (mut slots, mut ids) = self.spare_buffers.pop().unwrap_or_default();
        while slots.len() < max_batch {
            let kind = self.kinds.get_mut(number)?;
            let (table, policy) = (&self.table, &kind.policy);
            let gain = |slot, weigh| gain(table, policy, number, slot, now, weigh);
            let Some(slot) = kind.ready.pop(gain) else {
                break;
            };
            self.mark_polling(slot, serial, now);
            slots.push(slot);
        }
        if slots.is_empty() {
            return None;
        }
        if !is_probe && slots.len() < max_batch {
            for slot in self.coalesce(number, max_batch - slots.len(), now) {
                self.mark_polling(slot, serial, now);
                slots.push(slot);
            }
        }
        self.table.ids(&slots, &mut ids);
        self.in_flight.push(InFlightBatch {
            serial,
            began: now,
            kind: u16::try_from(number).unwrap_or(u16::MAX),
            is_probe,
            slots,
        });
        self.limit.poll_started();
        Some((serial, ids, now + timeout))
    }

    /// At most `room` jobs of a kind that are due so soon that a poll of their own would be a waste.
    fn coalesce(&self, kind: usize, room: usize, now: Moment) -> Vec<u32> {
        let mut slots = Vec::new();
        // A bound on the search, so that a kind with few jobs among many costs little.
        let mut tries = 4 * room + 16;
        self.wheel.visit(|slot| {
            tries -= 1;
            if let Some((entry, params)) = self.table.entry_and_params(slot)
                && entry.phase() == Phase::Waiting
                && usize::from(params.kind) == kind
                && entry.state.may_coalesce(&params.wait, now)
            {
                slots.push(slot);
            }
            tries > 0 && slots.len() < room
        });
        slots
    }

    /// A job is due, and is in no list of the wheel.
    fn mark_ready(&mut self, slot: u32, now: Moment) {
        let Some((entry, params)) = self.table.entry_and_wait_params(slot) else {
            return;
        };
        entry.set_phase(Phase::Ready {
            since: millis(entry.state.at()),
        });
        let age = entry.state.age(now);
        let class = priority::class(params.policy.schedule.value.hazard(age), age);
        let kind = self.table.params_of(slot).map(|params| params.kind);
        if let Some(kind) = kind.and_then(|kind| self.kinds.get_mut(usize::from(kind))) {
            kind.ready.push(class, slot);
        }
    }

    /// Gives a job that is still ready after the polls were begun a timer for the end of its wait.
    fn arm_deadline(&mut self, slot: u32, now: Moment) {
        let Some((entry, params)) = self.table.entry_and_wait_params(slot) else {
            return;
        };
        if !matches!(entry.phase(), Phase::Ready { .. }) {
            return;
        }
        let state = &mut entry.state;
        let (deadline, unreachable_at) = (state.deadline(), state.unreachable_at(params));
        state.park(if now >= deadline {
            // As late as a last poll that began at the deadline would have ended.
            deadline + params.policy.poll_timeout.value
        } else if now < unreachable_at {
            deadline.min(unreachable_at)
        } else {
            deadline
        });
        if self.table.position(slot) == UNLINKED {
            self.wheel.insert(&mut self.table, slot);
        }
    }

    /// A job waits for the moment that its state says.
    fn mark_waiting(&mut self, slot: u32, now: Moment) {
        if let Some((entry, params)) = self.table.entry_and_wait_params(slot) {
            entry.set_phase(Phase::Waiting);
            if entry.take_poll_soon() {
                entry.state.poll_soon(params, now);
            }
            self.wheel.insert(&mut self.table, slot);
        }
    }

    /// A poll of a job begins.
    fn mark_polling(&mut self, slot: u32, serial: u32, now: Moment) {
        self.wheel.remove(&mut self.table, slot);
        let Some(key) = self.table.params_of(slot).map(|params| params.key) else {
            return;
        };
        let Some((entry, params)) = self.table.entry_and_wait_params(slot) else {
            return;
        };
        if let Phase::Ready { since } = entry.phase() {
            let late = u64::from(millis(now).wrapping_sub(since));
            metrics::poll_lateness(key.vendor, key.kind, Duration::from_millis(late));
        }
        entry.set_phase(Phase::Polling { serial });
        let limit = entry.state.start_poll(params, now);
        if limit == entry.state.deadline() && now < limit {
            // The poll may outlast the deadline, at which one more is owed.
            entry.state.park(limit);
            self.wheel.insert(&mut self.table, slot);
        }
    }

    /// Nobody waits for a job any more; until the minimum interval has passed, its slot remembers when it was polled.
    fn start_cooldown(&mut self, slot: u32, now: Moment, until: Moment) {
        if until <= now {
            self.table.free(slot);
        } else if let Some(entry) = self.table.entry_mut(slot) {
            entry.set_phase(Phase::Cooldown);
            entry.state.park(until);
            self.wheel.insert(&mut self.table, slot);
        }
    }

    /// What an answer means for the wait of a job; `None` for the result of a poll that was cut.
    fn outcome_of(
        &mut self,
        slot: u32,
        began: Moment,
        now: Moment,
        vendor: &'static str,
        result: Option<PollResult<O>>,
    ) -> Option<PollOutcome<O>> {
        let result = result.ok_or_else(|| {
            let address = self.address_of(slot);
            timed_out(vendor, self.table.id(slot), address.as_deref())
        });
        let (entry, params) = self.table.entry_and_wait_params(slot)?;
        // A number that belongs to the job for as long as it is in this slot.
        let seed = self.seed ^ u64::from(slot).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        Some(match result {
            Ok(result) => entry.state.on_response(params, began, now, result, seed),
            Err(error) => entry.state.on_timeout(params, began, now, error, seed),
        })
    }

    /// Where jobs like this one are polled.
    fn address_of(&self, slot: u32) -> Option<Box<str>> {
        let kind = self.table.params_of(slot)?.kind;
        self.kinds.get(usize::from(kind))?.poller.address()
    }

    /// Acts on what a poll meant for the wait of a job that is in no list.
    fn apply_outcome(&mut self, slot: u32, now: Moment, outcome: PollOutcome<O>) {
        match outcome {
            PollOutcome::Progress(snapshot) => {
                self.table.record_snapshot(slot, &snapshot);
                if let Some((tag, key)) = self.tag_to_report(slot)
                    && let (Some(snapshot), _) = self.table.last_observation(slot)
                {
                    self.events.push(FleetEvent::Progress {
                        tag,
                        vendor: key.vendor,
                        kind: key.kind,
                        id: self.table.id(slot),
                        snapshot,
                    });
                }
                self.mark_waiting(slot, now);
            }
            PollOutcome::PollFailed(error) => {
                if let Some((tag, key)) = self.tag_to_report(slot) {
                    self.events.push(FleetEvent::PollFailed {
                        tag,
                        vendor: key.vendor,
                        kind: key.kind,
                        id: self.table.id(slot),
                        error: error.clone(),
                    });
                }
                self.table.record_error(slot, error);
                self.mark_waiting(slot, now);
            }
            PollOutcome::Output(output) => {
                if let Some((entry, params)) = self.table.entry_and_wait_params(slot)
                    && let Some((after, until)) = entry.state.finished_between(now)
                {
                    params.policy.schedule.value.record_completion(after, until);
                }
                self.finish(slot, now, Ok(output));
            }
            PollOutcome::Ended(kind) => self.finish(slot, now, Err(kind)),
        }
    }

    /// A clone of a job's tag, if the polls of its kind are reported.
    fn tag_to_report(&self, slot: u32) -> Option<(T, KindKey)> {
        let params = self.table.params_of(slot)?;
        let clone = self.kinds.get(usize::from(params.kind))?.clone_tag?;
        Some((clone(self.table.tag(slot)?), params.key))
    }

    /// The one end of the wait for a job that is in no list.
    fn finish(&mut self, slot: u32, now: Moment, result: Result<O, WaitErrorKind>) {
        let Some(params) = self.table.params_of(slot) else {
            return;
        };
        let (key, min_interval) = (params.key, params.wait.policy.min_interval.value);
        let id = self.table.id(slot);
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
            Err(kind) => {
                let Some(ticket) = self.table.ticket(slot) else {
                    return;
                };
                let (snapshot, error) = self.table.last_observation(slot);
                Err(WaitError::new(kind, ticket, snapshot, error))
            }
        };
        let Some(tag) = self.table.take_tag(slot) else {
            return;
        };
        // Somebody may watch it again at once, whatever its end was, and the minimum interval holds for them too.
        self.start_cooldown(slot, now, now + min_interval);
        self.events.push(FleetEvent::Finished(Finished {
            tag,
            vendor: key.vendor,
            kind: key.kind,
            account: key.account,
            id,
            result,
        }));
    }
}

/// What a poll of the job in `slot` is expected to bring; `None` when it is not ready any more. Not weighed unless asked to.
fn gain<T>(
    table: &JobTable<T>,
    policy: &KindPolicy,
    kind: usize,
    slot: u32,
    now: Moment,
    weigh: bool,
) -> Option<f64> {
    let (entry, params) = table.entry_and_params(slot)?;
    if !matches!(entry.phase(), Phase::Ready { .. }) || usize::from(params.kind) != kind {
        return None;
    }
    if !weigh {
        return Some(0.0);
    }
    let hazard = policy.schedule.value.hazard(entry.state.age(now));
    Some(priority::gain(hazard, now.since(entry.state.last_good())))
}

/// The milliseconds of a moment, cut to 32 bits: enough to tell how long ago it was.
fn millis(at: Moment) -> u32 {
    u32::try_from(at.millis() & u64::from(u32::MAX)).unwrap_or_default()
}
