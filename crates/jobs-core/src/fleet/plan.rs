//! Who of an account waits, who is due, and who goes along on which look.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Moment;
use crate::error::Error;
use crate::facts::Facts;
use crate::fleet::book::{Book, Entry, Names, Stage, Terms};
use crate::fleet::gate::Gate;
use crate::fleet::look::Looker;
use crate::fleet::wheel::{LOOSE, Linked as _, Wheel};
use crate::fleet::{meter, order};
use crate::id::JobId;

/// Who waits for what at one account, and which looks are under way.
pub(super) struct Plan<O> {
    pub(super) book: Book,
    pub(super) wheel: Wheel,
    pub(super) gate: Gate,
    pub(super) lanes: Vec<Queues<O>>,
    pub(super) aloft: Vec<Aloft>,
    /// Lists of looks that have ended, for those that begin.
    pub(super) spare: Vec<(Vec<u32>, Vec<JobId>)>,
    pub(super) serial: u32,
    /// The last error of an account that cannot be looked at.
    pub(super) trouble: Option<Error>,
    /// When the task wakes by itself, so that nobody wakes it for something later.
    pub(super) wakes: Option<Moment>,
    pub(super) running: bool,
    pub(super) stopped: bool,
}

/// A lane: the jobs of one kind that are due, by age.
pub(super) struct Queues<O> {
    pub(super) looker: Arc<dyn Looker<O>>,
    pub(super) names: Names,
    pub(super) facts: Facts,
    pub(super) with_looks: bool,
    /// Slots in the order of coming. One that is no longer ready is passed over.
    pub(super) ready: [VecDeque<u32>; order::CLASSES],
    /// A bit for each queue that is not empty.
    pub(super) filled: u32,
}

/// A look in flight.
pub(super) struct Aloft {
    pub(super) serial: u32,
    pub(super) began: Moment,
    pub(super) lane: u16,
    pub(super) probe: bool,
    pub(super) slots: Vec<u32>,
}

impl<O> Plan<O> {
    pub(super) fn new(gate: Gate) -> Self {
        Self {
            book: Book::default(),
            wheel: Wheel::default(),
            gate,
            lanes: Vec::new(),
            aloft: Vec::new(),
            spare: Vec::new(),
            serial: 0,
            trouble: None,
            wakes: None,
            running: false,
            stopped: false,
        }
    }

    /// A new lane; its number, if there is one left.
    pub(super) fn open(
        &mut self,
        looker: Arc<dyn Looker<O>>,
        names: Names,
        facts: Facts,
    ) -> Option<u16> {
        let number = u16::try_from(self.lanes.len()).ok();
        let number = number.filter(|number| *number < u16::MAX)?;
        self.lanes.push(Queues {
            looker,
            names,
            facts,
            with_looks: false,
            ready: std::array::from_fn(|_| VecDeque::new()),
            filled: 0,
        });
        Some(number)
    }

    /// Gives up all jobs; the book of them.
    pub(super) fn stop(&mut self) -> Book {
        self.stopped = true;
        self.wheel = Wheel::default();
        self.aloft.clear();
        for queues in &mut self.lanes {
            queues.ready.iter_mut().for_each(VecDeque::clear);
        }
        std::mem::take(&mut self.book)
    }

    /// A job is due: it waits for its turn, and is in no list of the wheel yet.
    pub(super) fn ready(&mut self, slot: u32, now: Moment) {
        let Some((entry, rules)) = self.book.with_rules(slot) else {
            return;
        };
        entry.stage = Stage::Ready;
        entry.since = millis(entry.state.at());
        let age = entry.state.age(now);
        let class = order::class(rules.facts.pacing.value.hazard(age), age);
        let lane = self.book.terms_of(slot).map(|terms| terms.lane);
        if let Some(queues) = lane.and_then(|lane| self.lanes.get_mut(usize::from(lane)))
            && let Some(queue) = queues.ready.get_mut(class)
        {
            queue.push_back(slot);
            queues.filled |= 1 << class;
        }
    }

    /// A job that is still waiting for its turn ends some time even so.
    pub(super) fn hold(&mut self, slot: u32, now: Moment) {
        let Some((entry, rules)) = self.book.with_rules(slot) else {
            return;
        };
        let state = &mut entry.state;
        if entry.stage != Stage::Ready {
            return;
        }
        let (deadline, blind) = (state.deadline(), state.blind_at(rules));
        state.park(if now >= deadline {
            // As late as a last look that began at the deadline would have ended.
            deadline + rules.facts.look_timeout.value
        } else if now < blind {
            deadline.min(blind)
        } else {
            deadline
        });
        if self.book.place(slot) == LOOSE {
            self.wheel.insert(&mut self.book, slot);
        }
    }

    /// A job waits for the moment that its state says.
    pub(super) fn wait(&mut self, slot: u32, now: Moment) {
        if let Some((entry, rules)) = self.book.with_rules(slot) {
            entry.stage = Stage::Waiting;
            if entry.was_nudged() {
                entry.state.nudge(rules, now);
            }
            self.wheel.insert(&mut self.book, slot);
        }
    }

    /// Nobody waits for a job any more; until the floor has passed, its slot remembers that it was looked at.
    pub(super) fn rest(&mut self, slot: u32, now: Moment, until: Moment) {
        if until <= now {
            self.book.free(slot);
        } else if let Some(entry) = self.book.entry_mut(slot) {
            entry.stage = Stage::Rest;
            entry.state.park(until);
            self.wheel.insert(&mut self.book, slot);
        }
    }

    /// The lane whose best job promises most.
    pub(super) fn best_lane(&mut self, now: Moment) -> Option<usize> {
        if let [only] = self.lanes.as_slice() {
            return (only.filled != 0).then_some(0);
        }
        let mut best: Option<(usize, f64)> = None;
        for lane in 0..self.lanes.len() {
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
        let queues = self.lanes.get_mut(lane)?;
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
                let found = self.book.with_terms(slot);
                let mine = |(entry, terms): &(&Entry, &Terms)| {
                    entry.stage == Stage::Ready && usize::from(terms.lane) == lane
                };
                let Some((entry, _)) = found.filter(mine) else {
                    queue.pop_front();
                    continue;
                };
                let gain = if weigh {
                    let hazard = queues.facts.pacing.value.hazard(entry.state.age(now));
                    order::gain(hazard, now.since(entry.state.last_good()))
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

    /// Puts those of `lane` that promise most on one look, and whoever may ride along.
    pub(super) fn board(
        &mut self,
        lane: usize,
        probe: bool,
        now: Moment,
    ) -> Option<(u32, Vec<JobId>, Moment)> {
        let (room, timeout) = {
            let facts = &self.lanes.get(lane)?.facts;
            let batch = if probe { 1 } else { facts.batch.value.get() };
            (batch, facts.look_timeout.value)
        };
        self.serial = self.serial.wrapping_add(1);
        let serial = self.serial;
        let (mut slots, mut ids) = self.spare.pop().unwrap_or_default();
        while slots.len() < room
            && let Some((class, _)) = self.best_class(lane, now, false)
        {
            let queue = self.lanes.get_mut(lane)?.ready.get_mut(class)?;
            let slot = queue.pop_front()?;
            self.take_off(slot, serial, now);
            slots.push(slot);
        }
        if slots.is_empty() {
            return None;
        }
        if !probe && slots.len() < room {
            for slot in self.riders(lane, room - slots.len(), now) {
                self.take_off(slot, serial, now);
                slots.push(slot);
            }
        }
        self.book.ids(&slots, &mut ids);
        self.aloft.push(Aloft {
            serial,
            began: now,
            lane: u16::try_from(lane).unwrap_or(u16::MAX),
            probe,
            slots,
        });
        self.gate.began();
        Some((serial, ids, now + timeout))
    }

    /// At most `seats` jobs of `lane` that are due so soon that a look of their own would be a waste.
    fn riders(&self, lane: usize, seats: usize, now: Moment) -> Vec<u32> {
        let mut riders = Vec::new();
        // A bound on the search, so that a lane of few among many costs little.
        let mut tries = 4 * seats + 16;
        self.wheel.visit(|slot| {
            tries -= 1;
            if let Some((entry, terms)) = self.book.with_terms(slot)
                && entry.stage == Stage::Waiting
                && usize::from(terms.lane) == lane
                && entry.state.may_ride(&terms.rules, now)
            {
                riders.push(slot);
            }
            tries > 0 && riders.len() < seats
        });
        riders
    }

    /// A look at a job begins.
    fn take_off(&mut self, slot: u32, serial: u32, now: Moment) {
        self.wheel.remove(&mut self.book, slot);
        let Some(names) = self.book.terms_of(slot).map(|terms| terms.names) else {
            return;
        };
        let Some((entry, rules)) = self.book.with_rules(slot) else {
            return;
        };
        if entry.stage == Stage::Ready {
            let by = u64::from(millis(now).wrapping_sub(entry.since));
            meter::late(names.vendor, names.kind, Duration::from_millis(by));
        }
        entry.stage = Stage::Flying;
        entry.since = serial;
        let limit = entry.state.begin(rules, now);
        if limit == entry.state.deadline() && now < limit {
            // The look may outlast the deadline, at which one more is owed.
            entry.state.park(limit);
            self.wheel.insert(&mut self.book, slot);
        }
    }

    /// The looks in flight were dropped: their jobs wait again.
    pub(super) fn put_back(&mut self, now: Moment) {
        for aloft in std::mem::take(&mut self.aloft) {
            for slot in aloft.slots {
                let flying =
                    |entry: &&Entry| entry.stage == Stage::Flying && entry.since == aloft.serial;
                if self.book.entry(slot).filter(flying).is_some() {
                    self.wheel.remove(&mut self.book, slot);
                    self.wait(slot, now);
                }
            }
        }
        self.gate.dropped(now);
    }
}

/// The milliseconds of a moment, cut to 32 bits: enough to tell how long ago it was.
fn millis(at: Moment) -> u32 {
    u32::try_from(at.millis() & u64::from(u32::MAX)).unwrap_or_default()
}
