//! Who of an account waits, who is due, and who goes along on which poll.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Moment;
use crate::error::Error;
use crate::fleet::concurrency_limit::ConcurrencyLimit;
use crate::fleet::poll::DynPoll;
use crate::fleet::table::{Entry, JobTable, KindKey, Phase, WatchParams};
use crate::fleet::timer_wheel::{TimerNode as _, TimerWheel, UNLINKED};
use crate::fleet::{metrics, priority};
use crate::id::JobId;
use crate::kind_policy::KindPolicy;

/// Who waits for what at one account, and which polls are under way.
pub(super) struct Scheduler<O> {
    pub(super) table: JobTable,
    pub(super) wheel: TimerWheel,
    pub(super) limit: ConcurrencyLimit,
    pub(super) kinds: Vec<KindQueue<O>>,
    pub(super) in_flight: Vec<InFlightPoll>,
    /// Lists of polls that have ended, for those that begin.
    pub(super) spare_buffers: Vec<(Vec<u32>, Vec<JobId>)>,
    pub(super) serial: u32,
    /// The last error of an account that cannot be polled.
    pub(super) last_outage: Option<Error>,
    /// When the task wakes by itself, so that nobody wakes it for something later.
    pub(super) wakes_at: Option<Moment>,
    pub(super) is_running: bool,
    pub(super) is_shut_down: bool,
}

/// A lane: the jobs of one kind that are due, by age.
pub(super) struct KindQueue<O> {
    pub(super) poller: Arc<dyn DynPoll<O>>,
    pub(super) key: KindKey,
    pub(super) policy: KindPolicy,
    pub(super) with_poll_events: bool,
    /// Slots in the order of coming. One that is no longer ready is passed over.
    pub(super) ready: [VecDeque<u32>; priority::CLASSES],
    /// A bit for each queue that is not empty.
    pub(super) filled: u32,
}

/// A poll in flight.
pub(super) struct InFlightPoll {
    pub(super) serial: u32,
    pub(super) began: Moment,
    pub(super) kind: u16,
    pub(super) probe: bool,
    pub(super) slots: Vec<u32>,
}

impl<O> Scheduler<O> {
    pub(super) fn new(limit: ConcurrencyLimit) -> Self {
        Self {
            table: JobTable::default(),
            wheel: TimerWheel::default(),
            limit: limit,
            kinds: Vec::new(),
            in_flight: Vec::new(),
            spare_buffers: Vec::new(),
            serial: 0,
            last_outage: None,
            wakes_at: None,
            is_running: false,
            is_shut_down: false,
        }
    }

    /// A new lane; its number, if there is one left.
    pub(super) fn add_kind(
        &mut self,
        poller: Arc<dyn DynPoll<O>>,
        key: KindKey,
        policy: KindPolicy,
    ) -> Option<u16> {
        let number = u16::try_from(self.kinds.len()).ok();
        let number = number.filter(|number| *number < u16::MAX)?;
        self.kinds.push(KindQueue {
            poller: poller,
            key: key,
            policy: policy,
            with_poll_events: false,
            ready: std::array::from_fn(|_| VecDeque::new()),
            filled: 0,
        });
        Some(number)
    }

    /// Gives up all jobs; the book of them.
    pub(super) fn shutdown(&mut self) -> JobTable {
        self.is_shut_down = true;
        self.wheel = TimerWheel::default();
        self.in_flight.clear();
        for queues in &mut self.kinds {
            queues.ready.iter_mut().for_each(VecDeque::clear);
        }
        std::mem::take(&mut self.table)
    }

    /// A job is due: it waits for its turn, and is in no list of the wheel yet.
    pub(super) fn mark_ready(&mut self, slot: u32, now: Moment) {
        let Some((entry, params)) = self.table.entry_and_wait_params(slot) else {
            return;
        };
        entry.phase = Phase::Ready;
        entry.since = millis(entry.state.at());
        let age = entry.state.age(now);
        let class = priority::class(params.policy.schedule.value.hazard(age), age);
        let lane = self.table.params_of(slot).map(|params| params.kind);
        if let Some(queues) = lane.and_then(|lane| self.kinds.get_mut(usize::from(lane)))
            && let Some(queue) = queues.ready.get_mut(class)
        {
            queue.push_back(slot);
            queues.filled |= 1 << class;
        }
    }

    /// A job that is still waiting for its turn ends some time even so.
    pub(super) fn arm_deadline(&mut self, slot: u32, now: Moment) {
        let Some((entry, params)) = self.table.entry_and_wait_params(slot) else {
            return;
        };
        let state = &mut entry.state;
        if entry.phase != Phase::Ready {
            return;
        }
        let (deadline, blind) = (state.deadline(), state.unreachable_at(params));
        state.park(if now >= deadline {
            // As late as a last poll that began at the deadline would have ended.
            deadline + params.policy.poll_timeout.value
        } else if now < blind {
            deadline.min(blind)
        } else {
            deadline
        });
        if self.table.position(slot) == UNLINKED {
            self.wheel.insert(&mut self.table, slot);
        }
    }

    /// A job waits for the moment that its state says.
    pub(super) fn mark_waiting(&mut self, slot: u32, now: Moment) {
        if let Some((entry, params)) = self.table.entry_and_wait_params(slot) {
            entry.phase = Phase::Waiting;
            if entry.take_poll_soon() {
                entry.state.poll_soon(params, now);
            }
            self.wheel.insert(&mut self.table, slot);
        }
    }

    /// Nobody waits for a job any more; until the minimum interval has passed, its slot remembers that it was polled.
    pub(super) fn start_cooldown(&mut self, slot: u32, now: Moment, until: Moment) {
        if until <= now {
            self.table.free(slot);
        } else if let Some(entry) = self.table.entry_mut(slot) {
            entry.phase = Phase::Cooldown;
            entry.state.park(until);
            self.wheel.insert(&mut self.table, slot);
        }
    }

    /// The lane whose best job promises most.
    pub(super) fn best_kind(&mut self, now: Moment) -> Option<usize> {
        if let [only] = self.kinds.as_slice() {
            return (only.filled != 0).then_some(0);
        }
        let mut best: Option<(usize, f64)> = None;
        for lane in 0..self.kinds.len() {
            if let Some((_, gain)) = self.best_class(lane, now, true)
                && best.is_none_or(|(_, most)| gain > most)
            {
                best = Some((lane, gain));
            }
        }
        best.map(|(lane, _)| lane)
    }

    /// The queue of `lane` whose first job promises most, and how much; not weighed if there is no choice and nobody
    /// asks.
    fn best_class(&mut self, lane: usize, now: Moment, weigh: bool) -> Option<(usize, f64)> {
        let queues = self.kinds.get_mut(lane)?;
        let weigh = weigh || queues.filled.count_ones() > 1;
        let mut best: Option<(usize, f64)> = None;
        let mut filled = queues.filled;
        while filled != 0 {
            let class = filled.trailing_zeros() as usize;
            filled &= filled - 1;
            let Some(queue) = queues.ready.get_mut(class) else {
                continue;
            };
            while let Some(slot) = queue.front().copied() {
                let found = self.table.entry_and_params(slot);
                let mine = |(entry, params): &(&Entry, &WatchParams)| {
                    entry.phase == Phase::Ready && usize::from(params.kind) == lane
                };
                let Some((entry, _)) = found.filter(mine) else {
                    queue.pop_front();
                    continue;
                };
                let gain = if weigh {
                    let hazard = queues.policy.schedule.value.hazard(entry.state.age(now));
                    priority::gain(hazard, now.since(entry.state.last_good()))
                } else {
                    0.0
                };
                if best.is_none_or(|(_, most)| gain > most) {
                    best = Some((class, gain));
                }
                break;
            }
            if queue.is_empty() {
                queues.filled &= !(1 << class);
                // A rush may have made it long; it is not kept for the next one.
                queue.shrink_to(64);
            }
        }
        best
    }

    /// Puts those of `lane` that promise most on one poll, and whoever may ride along.
    pub(super) fn assemble_batch(
        &mut self,
        lane: usize,
        probe: bool,
        now: Moment,
    ) -> Option<(u32, Vec<JobId>, Moment)> {
        let (room, timeout) = {
            let policy = &self.kinds.get(lane)?.policy;
            let batch = if probe {
                1
            } else {
                policy.max_batch.value.get()
            };
            (batch, policy.poll_timeout.value)
        };
        self.serial = self.serial.wrapping_add(1);
        let serial = self.serial;
        let (mut slots, mut ids) = self.spare_buffers.pop().unwrap_or_default();
        while slots.len() < room
            && let Some((class, _)) = self.best_class(lane, now, false)
        {
            let queue = self.kinds.get_mut(lane)?.ready.get_mut(class)?;
            let slot = queue.pop_front()?;
            self.mark_polling(slot, serial, now);
            slots.push(slot);
        }
        if slots.is_empty() {
            return None;
        }
        if !probe && slots.len() < room {
            for slot in self.coalesce(lane, room - slots.len(), now) {
                self.mark_polling(slot, serial, now);
                slots.push(slot);
            }
        }
        self.table.ids(&slots, &mut ids);
        self.in_flight.push(InFlightPoll {
            serial,
            began: now,
            kind: u16::try_from(lane).unwrap_or(u16::MAX),
            probe,
            slots,
        });
        self.limit.poll_started();
        Some((serial, ids, now + timeout))
    }

    /// At most `seats` jobs of `lane` that are due so soon that a poll of their own would be a waste.
    fn coalesce(&self, lane: usize, seats: usize, now: Moment) -> Vec<u32> {
        let mut riders = Vec::new();
        // A bound on the search, so that a lane of few among many costs little.
        let mut tries = 4 * seats + 16;
        self.wheel.visit(|slot| {
            tries -= 1;
            if let Some((entry, params)) = self.table.entry_and_params(slot)
                && entry.phase == Phase::Waiting
                && usize::from(params.kind) == lane
                && entry.state.may_coalesce(&params.wait, now)
            {
                riders.push(slot);
            }
            tries > 0 && riders.len() < seats
        });
        riders
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
        if entry.phase == Phase::Ready {
            let by = u64::from(millis(now).wrapping_sub(entry.since));
            metrics::poll_lateness(key.vendor, key.kind, Duration::from_millis(by));
        }
        entry.phase = Phase::Polling;
        entry.since = serial;
        let limit = entry.state.start_poll(params, now);
        if limit == entry.state.deadline() && now < limit {
            // The poll may outlast the deadline, at which one more is owed.
            entry.state.park(limit);
            self.wheel.insert(&mut self.table, slot);
        }
    }

    /// The polls in flight were dropped: their jobs wait again.
    pub(super) fn requeue_in_flight(&mut self, now: Moment) {
        for poll in std::mem::take(&mut self.in_flight) {
            for slot in poll.slots {
                let flying =
                    |entry: &&Entry| entry.phase == Phase::Polling && entry.since == poll.serial;
                if self.table.entry(slot).filter(flying).is_some() {
                    self.wheel.remove(&mut self.table, slot);
                    self.mark_waiting(slot, now);
                }
            }
        }
        self.limit.polls_dropped(now);
    }
}

/// The milliseconds of a moment, cut to 32 bits: enough to tell how long ago it was.
fn millis(at: Moment) -> u32 {
    u32::try_from(at.millis() & u64::from(u32::MAX)).unwrap_or_default()
}
