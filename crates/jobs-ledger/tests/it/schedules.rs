//! Random schedules of claim, pause, expire, reclaim and settle on a real store, each step compared with a model.

use std::time::{Duration, SystemTime};

use fastrand::Rng;
use jobs_core::JobId;
use jobs_core::clock::Clock;
use jobs_core::testing::ManualClock;
use jobs_core::vendor::Account;
use jobs_ledger::{
    Claim, ClaimOutcome, ClaimUpdate, Claimed, Due, Estimate, IntendOutcome, Intent, JobRecord,
    Ledger, LedgerError, LedgerId, Note, PollRecord, Stage, at,
};
use serde_json::Value;

const LEASE: Duration = Duration::from_secs(10);

/// What many schedules came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) runs: u64,
    pub(crate) steps: u64,
    /// Writes by a claim that was no longer valid.
    pub(crate) stale: u64,
    /// Those that the ledger took. Any but zero is a defect.
    pub(crate) stale_accepted: u64,
    /// Answers that came late and still counted, as they must.
    pub(crate) late_answers: u64,
}

impl Report {
    pub(crate) fn add(&mut self, other: Self) {
        self.runs += other.runs;
        self.steps += other.steps;
        self.stale += other.stale;
        self.stale_accepted += other.stale_accepted;
        self.late_answers += other.late_answers;
    }
}

/// Runs the schedules `first..first + runs`, some of them at the same time.
///
/// # Panics
/// When the ledger does anything but what the model says.
pub(crate) async fn run(ledger: &Ledger, first: u64, runs: u64, at_once: u64) -> Report {
    let mut tasks = Vec::new();
    for lane in 0..at_once {
        let ledger = ledger.clone();
        tasks.push(tokio::spawn(async move {
            let mut report = Report::default();
            let mut seed = first + lane;
            while seed < first + runs {
                report.add(Schedule::run(&ledger, seed).await);
                seed += at_once;
            }
            report
        }));
    }
    let mut report = Report::default();
    for task in tasks {
        report.add(task.await.unwrap());
    }
    report
}

/// A claim in some worker's hands, perhaps stale.
enum Hand {
    Wanted(Claim<at::Intended>),
    Sending(Claim<at::Submitting>),
    Held(Claim<at::Accepted>),
    Ready(Claim<at::Available>),
    Fetching(Claim<at::Downloading>),
    Unknown(Claim<at::InDoubt>),
}

/// What the ledger should hold.
#[derive(Debug, Clone, PartialEq)]
struct Model {
    stage: Stage,
    fence: i64,
    sent_fence: Option<i64>,
    claimed: bool,
    due: Option<SystemTime>,
    remote: Option<String>,
    polls: i64,
}

struct Schedule {
    seed: u64,
    random: Rng,
    clock: ManualClock,
    account: Account,
    workers: Vec<Ledger>,
    job: LedgerId,
    hands: Vec<(usize, i64, Hand)>,
    model: Model,
    report: Report,
}

/// How a write was refused: by an error, or in the list that a batch gives.
#[derive(Debug)]
enum Refused {
    Alone(LedgerError),
    InBatch,
}

impl From<LedgerError> for Refused {
    fn from(problem: LedgerError) -> Self {
        Self::Alone(problem)
    }
}

/// What a write did to the claim, and what it should do to the job.
enum After {
    /// The claim goes on in another stage.
    Moves(Hand, Stage),
    /// The claim is over; the job is in that stage and due then.
    Ends(Stage, Option<SystemTime>),
}

impl Schedule {
    async fn run(base: &Ledger, seed: u64) -> Report {
        let clock = ManualClock::new();
        let workers: Vec<Ledger> = (0..3).map(|_| base.as_worker(clock.shared())).collect();
        let account = Account::parse(&format!("{:08x}", seed & 0xffff_ffff)).unwrap();
        let mut content = [0; 32];
        content[..8].copy_from_slice(&seed.to_be_bytes());
        let intent = Intent::new("textin", "parse", account, content);
        let IntendOutcome::New(claim, job) = workers[0].intend(intent).await.unwrap() else {
            panic!("seed {seed}: known")
        };
        let mut schedule = Self {
            seed,
            random: Rng::with_seed(seed),
            account,
            workers,
            job: job.id,
            model: Model {
                stage: Stage::Intended,
                fence: 1,
                sent_fence: None,
                claimed: true,
                due: Some(clock.wall() + LEASE),
                remote: None,
                polls: 0,
            },
            clock,
            hands: vec![(0, 1, Hand::Wanted(claim))],
            report: Report {
                runs: 1,
                ..Report::default()
            },
        };
        for _ in 0..schedule.random.u32(10..30) {
            schedule.step().await;
            schedule.report.steps += 1;
        }
        schedule.compare().await;
        schedule.report
    }

    async fn step(&mut self) {
        match self.random.u8(0..10) {
            0..4 => self
                .clock
                .advance(Duration::from_millis(self.random.u64(0..22_000))),
            4 => self.claim_by_name().await,
            5..7 => self.claim_due().await,
            _ if self.hands.is_empty() => self.claim_by_name().await,
            _ => self.write().await,
        }
    }

    fn is_leased(&self) -> bool {
        self.model.claimed && self.model.due.is_some_and(|due| due > self.clock.wall())
    }

    async fn claim_by_name(&mut self) {
        let worker = self.random.usize(0..self.workers.len());
        let (settled, leased) = (self.model.stage.is_settled(), self.is_leased());
        match self.workers[worker].claim(self.job).await.unwrap() {
            ClaimOutcome::Settled(_) => assert!(settled, "{}", self.seed),
            ClaimOutcome::Busy { until, .. } => {
                assert!(leased && !settled, "{}", self.seed);
                assert_eq!(Some(until), self.model.due, "{}", self.seed);
            }
            ClaimOutcome::Claimed(claimed) => {
                assert!(!settled && !leased, "{}: {:?}", self.seed, self.model);
                self.took(worker, claimed);
            }
            other => panic!("{other:?}"),
        }
    }

    async fn claim_due(&mut self) {
        let worker = self.random.usize(0..self.workers.len());
        let expected = !self.model.stage.is_settled()
            && self.model.due.is_some_and(|due| due <= self.clock.wall());
        let mut due = self.workers[worker]
            .claim_due(&[self.account], 5)
            .await
            .unwrap();
        assert_eq!(
            due.len(),
            usize::from(expected),
            "{}: {:?}",
            self.seed,
            self.model
        );
        if let Some(claimed) = due.pop() {
            self.took(worker, claimed);
        }
    }

    fn took(&mut self, worker: usize, claimed: Claimed) {
        if self.model.stage == Stage::Submitting {
            self.model.stage = Stage::InDoubt;
        }
        self.model.fence += 1;
        self.model.claimed = true;
        self.model.due = Some(self.clock.wall() + LEASE);
        let (key, stage) = (claimed.key(), claimed.job().stage);
        assert_eq!(
            (key.fence(), stage),
            (self.model.fence, self.model.stage),
            "{}",
            self.seed
        );
        let hand = match claimed {
            Claimed::Intended(claim, _) => Hand::Wanted(claim),
            Claimed::Accepted(claim, _) => Hand::Held(claim),
            Claimed::Available(claim, _) => Hand::Ready(claim),
            Claimed::Downloading(claim, _) => Hand::Fetching(claim),
            Claimed::InDoubt(claim, _) => Hand::Unknown(claim),
            other => panic!("{other:?}"),
        };
        self.hands.push((worker, key.fence(), hand));
    }

    /// Any worker writes by any claim that it still has in its hands.
    async fn write(&mut self) {
        let place = self.random.usize(0..self.hands.len());
        let (worker, fence, hand) = self.hands.swap_remove(place);
        let ledger = self.workers[worker].clone();
        let is_stale = fence != self.model.fence;
        let is_late_answer = is_stale
            && matches!(hand, Hand::Sending(_))
            && self.model.stage == Stage::InDoubt
            && self.model.sent_fence == Some(fence);
        let before = is_stale.then(|| self.model.clone());
        let remote = format!("remote-{}-{}", self.seed, fence);
        let outcome = self.act(&ledger, hand, &remote, is_late_answer).await;
        if is_stale && !is_late_answer {
            self.report.stale += 1;
            match outcome {
                Err(Refused::InBatch) => {}
                Err(Refused::Alone(problem)) => {
                    assert!(problem.is_claim_lost(), "{}: {problem:?}", self.seed)
                }
                Ok(_) => self.report.stale_accepted += 1,
            }
            assert_eq!(before.as_ref(), Some(&self.model), "{}", self.seed);
            self.compare().await;
            return;
        }
        let after =
            outcome.unwrap_or_else(|problem| panic!("{}: {problem:?} {:?}", self.seed, self.model));
        if is_late_answer {
            self.report.late_answers += 1;
            self.model.fence += 1;
        }
        match after {
            After::Moves(hand, stage) => {
                if stage == Stage::Submitting && self.model.stage == Stage::Intended {
                    self.model.sent_fence = Some(self.model.fence);
                }
                if stage == Stage::Accepted
                    && matches!(self.model.stage, Stage::Submitting | Stage::InDoubt)
                {
                    self.model.remote = Some(remote);
                }
                self.model.stage = stage;
                self.model.claimed = true;
                self.model.due = Some(self.clock.wall() + LEASE);
                self.hands.push((worker, self.model.fence, hand));
            }
            After::Ends(stage, due) => {
                self.model.stage = stage;
                self.model.claimed = false;
                self.model.due = due;
            }
        }
    }

    async fn act(
        &mut self,
        by: &Ledger,
        hand: Hand,
        remote: &str,
        is_late: bool,
    ) -> Result<After, Refused> {
        let now = self.clock.wall();
        let later = now + Duration::from_millis(self.random.u64(0..20_000));
        let (none, id) = (Note::none, JobId::new(remote).unwrap());
        let turn = self.random.u8(0..8);
        let is_current = |model: &Model, fence| model.fence == fence;
        Ok(match (hand, turn) {
            (Hand::Wanted(claim), 0) => {
                by.record_rejected(&claim, none()).await?;
                After::Ends(Stage::Rejected, None)
            }
            (Hand::Wanted(claim), 1) => {
                by.release(claim, Due::At(later)).await?;
                After::Ends(Stage::Intended, Some(later))
            }
            (Hand::Wanted(mut claim), 2) => {
                by.renew(&mut claim).await?;
                After::Moves(Hand::Wanted(claim), Stage::Intended)
            }
            (Hand::Wanted(claim), _) => After::Moves(
                Hand::Sending(
                    by.begin_submit(claim, Estimate::Free)
                        .await?
                        .granted()
                        .unwrap(),
                ),
                Stage::Submitting,
            ),
            (Hand::Sending(claim), 0) if !is_late => {
                by.record_rejected(&claim, none()).await?;
                After::Ends(Stage::Rejected, None)
            }
            (Hand::Sending(claim), 1) if !is_late => {
                by.record_not_sent(&claim, Due::At(later), none()).await?;
                After::Ends(Stage::Intended, Some(later))
            }
            (Hand::Sending(claim), 2) if !is_late => After::Moves(
                Hand::Unknown(by.record_in_doubt(&claim, none()).await?),
                Stage::InDoubt,
            ),
            (Hand::Sending(claim), _) => After::Moves(
                Hand::Held(by.record_accepted(&claim, &id, now, none()).await?),
                Stage::Accepted,
            ),
            (Hand::Held(mut claim), 0 | 1) => {
                by.record_poll(&mut claim, PollRecord::new("running"))
                    .await?;
                self.model.polls += 1;
                After::Moves(Hand::Held(claim), Stage::Accepted)
            }
            (Hand::Held(claim), 2..5) => {
                let (fence, polls) = (claim.fence(), self.model.polls);
                let settled = by
                    .update_claims(vec![ClaimUpdate::polled(
                        claim,
                        PollRecord::new("queued"),
                        Due::At(later),
                    )])
                    .await?;
                let expected = usize::from(is_current(&self.model, fence));
                assert_eq!(
                    (settled.accepted, settled.lost.len()),
                    (expected, 1 - expected),
                    "{}",
                    self.seed
                );
                if expected == 0 {
                    return Err(Refused::InBatch);
                }
                self.model.polls = polls + 1;
                After::Ends(Stage::Accepted, Some(later))
            }
            (Hand::Held(claim), 5) => {
                by.record_failed(&claim, none()).await?;
                After::Ends(Stage::Failed, None)
            }
            (Hand::Held(claim), _) => {
                let claim = by.record_available(&claim, &Value::Null, none()).await?;
                self.model.polls += 1;
                After::Moves(Hand::Ready(claim), Stage::Available)
            }
            (Hand::Ready(claim), 0) => {
                by.record_gone(&claim, none()).await?;
                After::Ends(Stage::Gone, None)
            }
            (Hand::Ready(claim), _) => After::Moves(
                Hand::Fetching(by.begin_download(&claim).await?),
                Stage::Downloading,
            ),
            (Hand::Fetching(claim), 0 | 1) => After::Moves(
                Hand::Held(by.record_link_expired(&claim, none()).await?),
                Stage::Accepted,
            ),
            (Hand::Fetching(claim), 2 | 3) => {
                by.release(claim, Due::Now).await?;
                After::Ends(Stage::Downloading, Some(now))
            }
            (Hand::Fetching(claim), _) => {
                by.complete(&claim, None, None, none()).await?;
                After::Ends(Stage::Completed, None)
            }
            (Hand::Unknown(claim), 0) => {
                by.abandon(&claim, none()).await?;
                After::Ends(Stage::Abandoned, None)
            }
            (Hand::Unknown(claim), 1 | 2) => {
                by.release(claim, Due::Parked).await?;
                After::Ends(Stage::InDoubt, None)
            }
            (Hand::Unknown(claim), _) => After::Moves(
                Hand::Held(by.adopt(&claim, &id, now, none()).await?),
                Stage::Accepted,
            ),
        })
    }

    async fn compare(&self) {
        let job: JobRecord = self.workers[0].get(self.job).await.unwrap().unwrap();
        let found = Model {
            stage: job.stage,
            claimed: job.claimed,
            due: job.due,
            remote: job.remote_id.map(|id| id.to_string()),
            polls: job.polls,
            ..self.model.clone()
        };
        assert_eq!(found, self.model, "seed {}", self.seed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::World;

    fn judge(report: Report, runs: u64) {
        assert_eq!(
            (report.runs, report.stale_accepted),
            (runs, 0),
            "{report:?}"
        );
        // The schedules would prove nothing if they hardly ever tried.
        assert!(report.stale > runs / 3, "{report:?}");
        assert!(report.late_answers > runs / 200, "{report:?}");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn no_stale_write_is_accepted_on_sqlite() {
        let world = World::sqlite();
        let report = run(&world.open().await, 0, 2000, 32).await;
        judge(report, 2000);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn no_stale_write_is_accepted_on_postgres() {
        let Some(world) = World::postgres() else {
            return;
        };
        let report = run(&world.open().await, 0, 300, 8).await;
        world.end().await;
        judge(report, 300);
    }
}
