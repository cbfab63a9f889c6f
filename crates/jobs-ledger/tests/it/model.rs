//! Claim, expire and settle on a small model, explored to the last state.
//!
//! Two workers share one job with every move there is, or two jobs with fewer. A worker can be paused at any point (it
//! just does nothing for a while) or killed; a lease can end at any time; the answer of the paid call can get lost.
//! The stages move by the ledger's own [`transition`]; the fence, the owner and the late answer are as in the stores.

use std::collections::HashMap;

use jobs_ledger::Stage;
use jobs_ledger::stage::{Transition, transition};

/// How far the model goes.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    jobs: usize,
    /// How often one job is claimed; a late answer may come on top.
    claims: u8,
    /// Whether looking, lapsing and failing are among the moves.
    whole: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Row {
    stage: Stage,
    fence: u8,
    sent_fence: u8,
    /// Whether a worker has it; its lease ends by a step of its own.
    owned: bool,
    /// What the vendor charged for it.
    charges: u8,
    /// How often it entered a stage that ends it.
    ends: u8,
    /// The vendor's id is written down.
    known: bool,
}

/// What a worker remembers; the ledger may have moved on since.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Mind {
    job: u8,
    fence: u8,
    stage: Stage,
    call: Call,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Call {
    None,
    Accepted,
    Lost,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct World {
    jobs: [Row; 2],
    workers: [Option<Mind>; 2],
}

impl World {
    fn start() -> Self {
        let row = Row {
            stage: Stage::Intended,
            fence: 0,
            sent_fence: 0,
            owned: false,
            charges: 0,
            ends: 0,
            known: false,
        };
        Self {
            jobs: [row; 2],
            workers: [None; 2],
        }
    }

    /// Which worker is which makes no difference.
    fn sorted(mut self) -> Self {
        self.workers.sort_unstable();
        self
    }

    /// Every state that one step leads to.
    fn next(self, bounds: Bounds) -> Vec<Self> {
        let mut next = Vec::new();
        for job in 0..bounds.jobs {
            if self.jobs[job].owned {
                let mut expired = self;
                expired.jobs[job].owned = false;
                next.push(expired);
            }
        }
        for worker in 0..2 {
            match self.workers[worker] {
                None => {
                    (0..bounds.jobs).for_each(|job| next.extend(self.claim(worker, job, bounds)))
                }
                Some(mind) => {
                    let mut killed = self;
                    killed.workers[worker] = None;
                    next.push(killed);
                    next.extend(self.work(worker, mind, bounds));
                }
            }
        }
        next
    }

    fn claim(mut self, worker: usize, job: usize, bounds: Bounds) -> Option<Self> {
        let row = &mut self.jobs[job];
        if row.owned || row.stage.is_settled() || row.fence >= bounds.claims {
            return None;
        }
        row.fence += 1;
        row.owned = true;
        if row.stage == Stage::Submitting {
            row.stage = transition(row.stage, Transition::Doubt).unwrap();
        }
        self.workers[worker] = Some(Mind {
            job: u8::from(job == 1),
            fence: row.fence,
            stage: row.stage,
            call: Call::None,
        });
        Some(self)
    }

    /// What a worker may do next, whether or not its claim still holds.
    fn work(self, worker: usize, mind: Mind, bounds: Bounds) -> Vec<Self> {
        match (mind.stage, mind.call) {
            (Stage::Intended, _) => vec![self.write(worker, mind, Transition::Submit)],
            (Stage::Submitting, Call::None) => {
                let refused = self.write(worker, mind, Transition::Reject);
                let not_sent = self.write(worker, mind, Transition::NotSent);
                let mut charged = self;
                charged.jobs[usize::from(mind.job)].charges += 1;
                let (mut answered, mut lost) = (charged, charged);
                answered.workers[worker] = Some(Mind {
                    call: Call::Accepted,
                    ..mind
                });
                lost.workers[worker] = Some(Mind {
                    call: Call::Lost,
                    ..mind
                });
                let mut never_arrived = self;
                never_arrived.workers[worker] = Some(Mind {
                    call: Call::Lost,
                    ..mind
                });
                vec![refused, not_sent, answered, lost, never_arrived]
            }
            (Stage::Submitting, Call::Accepted) => {
                vec![self.write(worker, mind, Transition::Accept)]
            }
            (Stage::Submitting, Call::Lost) => vec![self.write(worker, mind, Transition::Doubt)],
            // A search finds the job exactly if there is one; nobody is allowed to guess.
            (Stage::InDoubt, _) if self.jobs[usize::from(mind.job)].charges > 0 => {
                vec![self.write(worker, mind, Transition::Adopt)]
            }
            (Stage::InDoubt, _) => vec![self.write(worker, mind, Transition::Abandon)],
            (Stage::Accepted, _) if bounds.whole => [
                Transition::Poll,
                Transition::MakeAvailable,
                Transition::Fail,
            ]
            .map(|step| self.write(worker, mind, step))
            .to_vec(),
            (Stage::Accepted, _) => vec![self.write(worker, mind, Transition::MakeAvailable)],
            (Stage::Available, _) if bounds.whole => {
                vec![self.write(worker, mind, Transition::Download)]
            }
            (Stage::Available, _) => vec![self.write(worker, mind, Transition::Complete)],
            (Stage::Downloading, _) => [Transition::Complete, Transition::ExpireLink]
                .map(|step| self.write(worker, mind, step))
                .to_vec(),
            (stage, _) => panic!("nobody works on a job that is {stage}"),
        }
    }

    fn write(mut self, worker: usize, mind: Mind, step: Transition) -> Self {
        let row = &mut self.jobs[usize::from(mind.job)];
        self.workers[worker] = None;
        if row.fence != mind.fence {
            let is_late_answer = step == Transition::Accept
                && row.sent_fence == mind.fence
                && row.stage == Stage::InDoubt;
            if is_late_answer {
                row.fence += 1;
                row.owned = true;
                row.known = true;
                row.stage = transition(row.stage, step).unwrap();
                self.workers[worker] = Some(Mind {
                    fence: row.fence,
                    stage: row.stage,
                    ..mind
                });
            }
            return self;
        }
        row.stage = transition(row.stage, step).unwrap();
        if step == Transition::Submit {
            row.sent_fence = row.fence;
        }
        row.known |= matches!(step, Transition::Accept | Transition::Adopt);
        if row.stage.is_settled() {
            row.ends += 1;
            row.owned = false;
        } else if step == Transition::NotSent {
            row.owned = false;
        } else {
            row.owned = true;
            self.workers[worker] = Some(Mind {
                stage: row.stage,
                call: Call::None,
                ..mind
            });
        }
        self
    }

    fn check(&self) {
        for row in &self.jobs {
            assert!(row.charges <= 1, "bought twice: {self:?}");
            assert!(row.ends <= 1, "settled twice: {self:?}");
            if row.charges == 1 {
                // Nothing says that it was not bought, and nothing would buy it again.
                assert_ne!(row.stage, Stage::Intended, "{self:?}");
                assert_ne!(row.stage, Stage::Rejected, "{self:?}");
                assert!(row.stage != Stage::Failed || row.known, "lost: {self:?}");
                // A person may give up one that a paused worker is only about to send: that it was charged then
                // comes as the late answer. Anything else that ends does so with its id known.
                assert!(
                    row.known || row.ends == 0 || row.stage == Stage::Abandoned,
                    "lost: {self:?}"
                );
            }
        }
    }

    fn is_over(&self, bounds: Bounds) -> bool {
        self.jobs
            .iter()
            .take(bounds.jobs)
            .all(|row| row.stage.is_settled())
    }
}

#[test]
fn one_job_is_never_bought_twice_settled_twice_or_lost() {
    let states = explore(Bounds {
        jobs: 1,
        claims: 6,
        whole: true,
    });
    assert!(states > 3_000, "{states}");
}

#[test]
fn two_jobs_are_never_bought_twice_settled_twice_or_lost() {
    let states = explore(Bounds {
        jobs: 2,
        claims: 3,
        whole: false,
    });
    assert!(states > 100_000, "{states}");
}

/// Visits every state and gives their number.
fn explore(bounds: Bounds) -> usize {
    let mut numbers = HashMap::from([(World::start(), 0)]);
    let mut worlds = vec![World::start()];
    let mut edges = Vec::new();
    let mut place = 0;
    while let Some(world) = worlds.get(place).copied() {
        world.check();
        for next in world.next(bounds) {
            let number = *numbers.entry(next.sorted()).or_insert_with(|| {
                worlds.push(next.sorted());
                worlds.len() - 1
            });
            edges.push((number, place));
        }
        place += 1;
    }
    // From everywhere the end can be reached, as long as somebody may still claim: no job hangs.
    edges.sort_unstable();
    let mut ending: Vec<bool> = worlds.iter().map(|world| world.is_over(bounds)).collect();
    let mut queue: Vec<usize> = (0..worlds.len()).filter(|place| ending[*place]).collect();
    while let Some(place) = queue.pop() {
        let begin = edges.partition_point(|(to, _)| *to < place);
        for (_, from) in edges[begin..].iter().take_while(|(to, _)| *to == place) {
            if !std::mem::replace(&mut ending[*from], true) {
                queue.push(*from);
            }
        }
    }
    let is_spent = |row: &Row| row.fence >= bounds.claims;
    for (world, ends) in worlds.iter().zip(ending) {
        let may_go_on = world
            .jobs
            .iter()
            .take(bounds.jobs)
            .all(|row| row.stage.is_settled() || !is_spent(row));
        assert!(!may_go_on || ends, "hangs: {world:?}");
    }
    println!("{bounds:?}: {} states, {} steps", worlds.len(), edges.len());
    worlds.len()
}
