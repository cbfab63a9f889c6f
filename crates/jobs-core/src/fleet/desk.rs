//! One account: its jobs, its gate, and the one task that looks at them.

use std::fmt;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Wake as _, Waker};
use std::time::{Duration, SystemTime};

use tokio::runtime::Handle;

use crate::clock::{Clock, Moment, Sleep};
use crate::end::{Cause, WaitError};
use crate::error::{Error, ErrorKind, Sent};
use crate::facts::Facts;
use crate::fleet::backlog::{Backlog, News, Room, Unwatched};
use crate::fleet::bell::Bell;
use crate::fleet::book::{Book, Entry, Names, Stage};
use crate::fleet::flights::{self, Flight, Flights, Panicked};
use crate::fleet::gate::{Gate, Leave, Outcome};
use crate::fleet::look::{self, Answers, Looker};
use crate::fleet::plan::Plan;
use crate::fleet::wheel::Linked as _;
use crate::fleet::{FleetSettings, meter};
use crate::id::JobId;
use crate::poller::{Due, Past, Patience, Rules, State, Turn};

/// Slots that are handled in one go; the lock is free in between.
const TURN: usize = 4096;
/// Goes after which the task lets others run although it has more to do.
const GOES: u32 = 32;
/// By how much of itself the pause of a job that is looked at alone may grow by chance.
const SPREAD: f64 = 0.1;

/// One account of one vendor.
pub(super) struct Desk<O> {
    clock: Arc<dyn Clock>,
    backlog: Arc<Backlog<O>>,
    settings: FleetSettings,
    bell: Arc<Bell>,
    plan: Mutex<Plan<O>>,
}

/// Looks that begin, by serial.
type Begun<O> = Vec<(u32, Flight<Answers<O>>)>;
/// A look that ended.
type Landing<O> = (u32, Result<Answers<O>, Panicked>);

/// What the task does next.
enum Go<O> {
    /// These looks begin. Then it sleeps, unless there is more to do at once.
    On {
        begin: Begun<O>,
        wake: Option<Moment>,
        more: bool,
    },
    /// There is nothing to do until somebody watches a job.
    Out,
}

impl<O: Send + 'static> Desk<O> {
    pub(super) fn new(
        clock: Arc<dyn Clock>,
        backlog: Arc<Backlog<O>>,
        settings: FleetSettings,
    ) -> Self {
        Self {
            clock,
            backlog,
            settings,
            bell: Arc::default(),
            plan: Mutex::new(Plan::new(Gate::new(settings.window, settings.seed))),
        }
    }

    /// A new lane; its number.
    pub(super) fn open(&self, looker: Arc<dyn Looker<O>>, names: Names, facts: Facts) -> u16 {
        // Beyond so many, no lane has this number: it takes no job.
        self.plan().open(looker, names, facts).unwrap_or(u16::MAX)
    }

    /// Reports looks of `lane` from now on.
    pub(super) fn with_looks(&self, lane: u16) {
        if let Some(queues) = self.plan().lanes.get_mut(usize::from(lane)) {
            queues.with_looks = true;
        }
    }

    /// Waits for a job.
    pub(super) fn watch(
        self: &Arc<Self>,
        lane: u16,
        id: &JobId,
        (mut past, accepted): (Past, SystemTime),
        patience: Patience,
    ) -> Result<(), Unwatched> {
        let runtime = Handle::try_current().map_err(|_| Unwatched::NoRuntime)?;
        let now = self.clock.now();
        let mut plan = self.plan();
        let plan = &mut *plan;
        let Some(queues) = plan.lanes.get(usize::from(lane)) else {
            return Err(Unwatched::Full);
        };
        let (names, facts) = (queues.names, &queues.facts);
        let resting = match plan.book.find(names.kind, id.as_str()) {
            Some(slot) => match plan.book.entry(slot) {
                Some(entry) if entry.stage == Stage::Rest => Some((slot, entry.state.at())),
                _ => return Err(Unwatched::Twice),
            },
            None => None,
        };
        let rules = || Rules {
            facts: facts.clone(),
            patience: Patience {
                deadline: Duration::ZERO,
                ..patience
            },
            spread: if facts.batch.value.get() == 1 {
                SPREAD
            } else {
                0.0
            },
        };
        let tolerance = (patience.blind, patience.unknown_word);
        let terms = plan
            .book
            .terms(lane, names, rules, tolerance)
            .ok_or(Unwatched::Full)?;
        self.backlog.admit()?;
        if let Some((slot, until)) = resting {
            let floor = facts.floor.value;
            let last = Moment::after_start(until.since_start().saturating_sub(floor));
            past.last_look = past.last_look.max(Some(last));
            plan.wheel.remove(&mut plan.book, slot);
            plan.book.free(slot);
        }
        let state = plan
            .book
            .rules(terms)
            .map(|rules| State::new(rules, now + patience.deadline, now, past));
        let Some(slot) = state.and_then(|state| plan.book.add(id, terms, accepted, state)) else {
            self.backlog.dismiss(1);
            return Err(Unwatched::Full);
        };
        plan.wheel.insert(&mut plan.book, slot);
        if !plan.running {
            plan.running = true;
            plan.stopped = false;
            runtime.spawn(run(Arc::clone(self)));
        } else {
            self.wake_for(plan, slot);
        }
        Ok(())
    }

    /// Looks at a job of `kind`, or of any kind, as soon as the floor allows. Whether there is such a job.
    pub(super) fn nudge(&self, kind: Option<&str>, id: &JobId) -> bool {
        let mut plan = self.plan();
        let plan = &mut *plan;
        let mut kinds: Vec<&str> = plan.lanes.iter().map(|lane| lane.names.kind).collect();
        kinds.sort_unstable();
        kinds.dedup();
        kinds.retain(|name| kind.is_none_or(|kind| kind == *name));
        let mut known = false;
        for kind in kinds {
            let Some(slot) = plan.book.find(kind, id.as_str()) else {
                continue;
            };
            let Some(stage) = plan.book.entry(slot).map(|entry| entry.stage) else {
                continue;
            };
            known |= stage != Stage::Rest;
            match stage {
                Stage::Waiting => {
                    plan.wheel.remove(&mut plan.book, slot);
                    if let Some((entry, rules)) = plan.book.with_rules(slot) {
                        entry.state.nudge(rules, self.clock.now());
                    }
                    plan.wheel.insert(&mut plan.book, slot);
                    self.wake_for(plan, slot);
                }
                // The look in flight may have been answered before whatever the nudge is about.
                Stage::Flying => {
                    if let Some(entry) = plan.book.entry_mut(slot) {
                        entry.nudge();
                    }
                }
                Stage::Ready | Stage::Rest | Stage::Free => {}
            }
        }
        known
    }

    /// Waits for a job no longer. Whether it was waited for.
    pub(super) fn forget(&self, kind: &str, id: &JobId) -> bool {
        let now = self.clock.now();
        let mut plan = self.plan();
        let plan = &mut *plan;
        let Some(slot) = plan.book.find(kind, id.as_str()) else {
            return false;
        };
        let Some((entry, rules)) = plan.book.with_rules(slot) else {
            return false;
        };
        let floor = rules.facts.floor.value;
        let until = match (entry.stage, entry.state.due()) {
            (Stage::Rest | Stage::Free, _) => return false,
            (Stage::Waiting, Due::Look(_)) => entry.state.earliest(),
            (Stage::Ready, _) => now,
            // A look in flight counts from now at the latest; after a long hint nobody knows any more.
            (Stage::Flying | Stage::Waiting, _) => now + floor,
        };
        plan.wheel.remove(&mut plan.book, slot);
        plan.rest(slot, now, until);
        self.wake_for(plan, slot);
        self.backlog.dismiss(1);
        true
    }

    /// Gives up all jobs; the book of them.
    pub(super) fn stop(&self) -> Book {
        let book = self.plan().stop();
        Arc::clone(&self.bell).wake();
        book
    }

    /// The bytes that the waiting jobs take.
    pub(super) fn bytes(&self) -> usize {
        let plan = self.plan();
        plan.book.bytes() + plan.wheel.bytes()
    }

    fn wake_for(&self, plan: &Plan<O>, slot: u32) {
        let at = plan.book.at(slot);
        if plan.wakes.is_none_or(|wakes| at < wakes) {
            Arc::clone(&self.bell).wake();
        }
    }

    /// What to do at this moment.
    fn go(&self, bell: &Waker) -> Go<O> {
        let now = self.clock.now();
        let mut plan = self.plan();
        let plan = &mut *plan;
        let room = self.backlog.room(bell);
        if plan.stopped || room == Room::Stopped || (plan.book.len() == 0 && plan.aloft.is_empty())
        {
            plan.running = false;
            plan.put_back(now);
            plan.spare = Vec::new();
            return Go::Out;
        }
        if room == Room::None {
            // The consumer wakes the task; nothing else needs to.
            plan.wakes = Some(Moment::START);
            return Go::On {
                begin: Vec::new(),
                wake: None,
                more: false,
            };
        }
        let mut due = Vec::new();
        plan.wheel.drain(&mut plan.book, now, TURN, &mut due);
        plan.book.fetch(&due);
        for slot in &due {
            self.fire(plan, *slot, now);
        }
        let (begin, opens) = self.begin(plan, now);
        for slot in &due {
            plan.hold(*slot, now);
        }
        let more = due.len() >= TURN;
        let next = plan.wheel.next();
        let wake = match (next, opens) {
            (Some(next), Some(opens)) => Some(next.min(opens)),
            (next, opens) => next.or(opens),
        };
        plan.wakes = wake;
        tracing::trace!(operation = "sleep", due = due.len(), ?wake, "planned");
        Go::On { begin, wake, more }
    }

    /// The moment of `slot` has come; it is in no list.
    fn fire(&self, plan: &mut Plan<O>, slot: u32, now: Moment) {
        let open = plan.gate.is_open();
        let Some((entry, rules)) = plan.book.with_rules(slot) else {
            return;
        };
        match entry.stage {
            Stage::Waiting => match entry.state.due() {
                Due::Deadline(_) => self.end(plan, slot, now, Err(Cause::Deadline)),
                Due::Look(_) => plan.ready(slot, now),
            },
            Stage::Ready => {
                let deadline = entry.state.deadline();
                if open && now >= entry.state.blind_at(rules) {
                    let cause = plan.trouble.clone().map_or(Cause::Deadline, Cause::Blind);
                    self.end(plan, slot, now, Err(cause));
                } else if now >= deadline
                    && (open || now >= deadline + rules.facts.look_timeout.value)
                {
                    self.end(plan, slot, now, Err(Cause::Deadline));
                }
            }
            Stage::Flying => {
                // Its deadline came before the answer: the last look is owed now, and the late answer is dropped.
                let seed = self.settings.seed ^ Book::seed(slot);
                let serial = entry.since;
                let Some(aloft) = plan.aloft.iter().find(|aloft| aloft.serial == serial) else {
                    return;
                };
                let Some(queues) = plan.lanes.get(usize::from(aloft.lane)) else {
                    return;
                };
                let (vendor, began) = (queues.names.vendor, aloft.began);
                let turn = entry.state.cut::<O>(rules, began, now, vendor, seed);
                self.settle(plan, slot, now, turn);
            }
            Stage::Rest => plan.book.free(slot),
            Stage::Free => {}
        }
    }

    /// Begins as many looks as the gate lets through; and when it opens, if that is what others wait for.
    fn begin(&self, plan: &mut Plan<O>, now: Moment) -> (Begun<O>, Option<Moment>) {
        let mut begin = Vec::new();
        loop {
            let Some(lane) = plan.best_lane(now) else {
                return (begin, None);
            };
            let probe = match plan.gate.leave(now) {
                Leave::Go => false,
                Leave::Probe => true,
                Leave::At(opens) => return (begin, Some(opens)),
                Leave::Full => return (begin, None),
            };
            let Some((serial, ids, limit)) = plan.board(lane, probe, now) else {
                // All that stood in its queues was forgotten meanwhile.
                continue;
            };
            let Some(queues) = plan.lanes.get(lane) else {
                return (begin, None);
            };
            meter::look(queues.names.vendor, queues.names.kind, ids.len());
            begin.push((serial, Arc::clone(&queues.looker).look(ids, limit)));
        }
    }

    /// Looks have ended.
    fn land(&self, landed: &mut Vec<Landing<O>>) {
        let now = self.clock.now();
        let mut plan = self.plan();
        let plan = &mut *plan;
        for (serial, result) in landed.drain(..) {
            let Some(at) = plan.aloft.iter().position(|aloft| aloft.serial == serial) else {
                continue;
            };
            let aloft = plan.aloft.swap_remove(at);
            let Some(queues) = plan.lanes.get(usize::from(aloft.lane)) else {
                continue;
            };
            let (names, timeout) = (queues.names, queues.facts.look_timeout.value);
            let took = now.since(aloft.began);
            let outcome = look::judge(&result, took, timeout);
            plan.gate.ended(aloft.began, now, aloft.probe, outcome);
            meter::answer(names.vendor, look::name(outcome), took);
            meter::gate(names.vendor, plan.gate.looks(), plan.gate.is_open());
            let panicked = result.is_err();
            let (ids, looks) = result.map_or((Vec::new(), Some(Vec::new())), |answers| {
                (answers.ids, answers.looks)
            });
            let cut = looks.is_none();
            let mut looks = looks.unwrap_or_default().into_iter();
            let mut slots = aloft.slots;
            for slot in slots.drain(..) {
                let look = looks.next();
                let in_it = |entry: &&Entry| entry.stage == Stage::Flying && entry.since == serial;
                if plan.book.entry(slot).filter(in_it).is_none() {
                    // Forgotten or cut in the meantime: the answer is nobody's.
                    continue;
                }
                let look = look.unwrap_or_else(|| {
                    let message = if panicked {
                        "the look panicked"
                    } else {
                        "no answer for the job"
                    };
                    Err(Error::new(ErrorKind::Garbled, names.vendor, "look")
                        .with_job(plan.book.id(slot))
                        .with_sent(Sent::Maybe)
                        .with_message(message))
                });
                plan.wheel.remove(&mut plan.book, slot);
                let Some((entry, rules)) = plan.book.with_rules(slot) else {
                    continue;
                };
                let seed = self.settings.seed ^ Book::seed(slot);
                let turn = if cut {
                    entry.state.cut(rules, aloft.began, now, names.vendor, seed)
                } else {
                    entry.state.answered(rules, aloft.began, now, look, seed)
                };
                if outcome == Outcome::Failed
                    && let Turn::Missed(error) = &turn
                {
                    plan.trouble = Some(error.clone());
                }
                self.settle(plan, slot, now, turn);
            }
            plan.spare.push((slots, ids));
        }
    }

    /// Acts on what a look meant for the wait of a job that is in no list.
    fn settle(&self, plan: &mut Plan<O>, slot: u32, now: Moment, turn: Turn<O>) {
        let lane = plan
            .book
            .terms_of(slot)
            .and_then(|terms| plan.lanes.get(usize::from(terms.lane)));
        let Some(queues) = lane else { return };
        let (names, with_looks) = (queues.names, queues.with_looks);
        match turn {
            Turn::Seen(snapshot) => {
                plan.book.seen(slot, &snapshot);
                if with_looks && let (Some(snapshot), _) = plan.book.last(slot) {
                    self.backlog.offer(News::Seen {
                        vendor: names.vendor,
                        kind: names.kind,
                        id: plan.book.id(slot),
                        snapshot,
                    });
                }
                plan.wait(slot, now);
            }
            Turn::Missed(error) => {
                if with_looks {
                    self.backlog.offer(News::Missed {
                        vendor: names.vendor,
                        kind: names.kind,
                        id: plan.book.id(slot),
                        error: error.clone(),
                    });
                }
                plan.book.missed(slot, error);
                plan.wait(slot, now);
            }
            Turn::Output(output) => {
                if let Some((entry, rules)) = plan.book.with_rules(slot)
                    && let Some((after, until)) = entry.state.finished_between(now)
                {
                    rules.facts.pacing.value.ended(after, until);
                }
                self.end(plan, slot, now, Ok(output));
            }
            Turn::Over(cause) => self.end(plan, slot, now, Err(cause)),
        }
    }

    /// The one end of a job that is in no list.
    fn end(&self, plan: &mut Plan<O>, slot: u32, now: Moment, result: Result<O, Cause>) {
        let Some(terms) = plan.book.terms_of(slot) else {
            return;
        };
        let (names, floor) = (terms.names, terms.rules.facts.floor.value);
        let id = plan.book.id(slot);
        tracing::debug!(
            operation = "wait",
            vendor = names.vendor,
            kind = names.kind,
            job = %id,
            output = result.is_ok(),
            "ended"
        );
        meter::end(names.vendor, names.kind, result.is_ok());
        let result = match result {
            Ok(output) => Ok(output),
            Err(cause) => {
                let Some(ticket) = plan.book.ticket(slot) else {
                    return;
                };
                let (seen, error) = plan.book.last(slot);
                Err(WaitError::new(cause, ticket, seen, error))
            }
        };
        // Somebody may watch it again at once, whatever its end was, and the floor holds for them too.
        plan.rest(slot, now, now + floor);
        self.backlog.end(News::Ended {
            vendor: names.vendor,
            kind: names.kind,
            account: names.account,
            id,
            result,
        });
    }

    fn plan(&self) -> MutexGuard<'_, Plan<O>> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<O> fmt::Debug for Desk<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plan = self.plan.lock().unwrap_or_else(PoisonError::into_inner);
        f.debug_struct("Desk")
            .field("jobs", &plan.book.len())
            .field("gate", &plan.gate)
            .finish_non_exhaustive()
    }
}

/// Puts what was in flight back, should the task be dropped with its runtime: the next watched job starts another.
struct Running<O: Send + 'static> {
    desk: Arc<Desk<O>>,
    is_out: bool,
}

impl<O: Send + 'static> Drop for Running<O> {
    fn drop(&mut self) {
        if !self.is_out {
            let now = self.desk.clock.now();
            let mut plan = self.desk.plan();
            plan.put_back(now);
            plan.running = false;
        }
    }
}

/// The one task of an account: it ends when there is no job left and is started again by the next one.
async fn run<O: Send + 'static>(desk: Arc<Desk<O>>) {
    let mut running = Running {
        desk: Arc::clone(&desk),
        is_out: false,
    };
    let bell = Waker::from(Arc::clone(&desk.bell));
    let mut flights: Flights<Answers<O>> = Flights::default();
    let mut serials = [0; flights::MOST as usize];
    let mut sleep: Option<(Moment, Sleep)> = None;
    let (mut ended, mut landed) = (Vec::new(), Vec::new());
    let mut goes = 0;
    loop {
        let (wake, more) = match desk.go(&bell) {
            Go::On { begin, wake, more } => {
                for (serial, flight) in begin {
                    let place = flights.push(flight).and_then(|at| serials.get_mut(at));
                    // The gate lets no more through than there are places.
                    if let Some(place) = place {
                        *place = serial;
                    }
                }
                (wake, more)
            }
            Go::Out => {
                running.is_out = true;
                return;
            }
        };
        match (wake, &sleep) {
            // A sleep that ends too early is cheaper than another one: the task finds nothing due and sleeps on.
            (Some(at), Some((planned, _))) if at >= *planned => {}
            (Some(at), _) => sleep = Some((at, desk.clock.sleep_until(at))),
            (None, _) => sleep = None,
        }
        goes += 1;
        let mut must_yield = goes >= GOES;
        poll_fn(|cx| {
            desk.bell.answer(cx.waker());
            flights.poll(cx, &mut ended);
            if std::mem::take(&mut must_yield) {
                goes = 0;
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
            if slept || more || !ended.is_empty() || desk.bell.was_rung() {
                return Poll::Ready(());
            }
            goes = 0;
            Poll::Pending
        })
        .await;
        landed.extend(
            ended
                .drain(..)
                .map(|(place, result)| (serials.get(place).copied().unwrap_or_default(), result)),
        );
        if !landed.is_empty() {
            desk.land(&mut landed);
        }
    }
}
