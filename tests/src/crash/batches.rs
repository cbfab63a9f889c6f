//! Batches under a budget: some processes with the same command on one ledger, killed where a seed says, and the books
//! compared after each round and in the end.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use fastrand::Rng;
use futures_util::future::join_all;
use jobs_core::JobId;
use jobs_ledger::{JobRecord, Stage};
use tempfile::TempDir;

use super::child::{CommandRunner, Ran};
use super::compare::{Kept, Violation, money};
use super::input::Input;
use super::plan::{KillPoint, PlannedFault, Work};
use super::run::{Outcome, Setting};
use super::store::TestLedger;
use super::vendor::Vendor;

/// Documents of a batch, of a page each.
const DOCUMENTS: usize = 12;
/// How often all processes are started and killed.
const ROUNDS: usize = 2;
/// How often the command is repeated in peace before it counts as wedged.
const TURNS: usize = 6;
/// Enough for everything.
const PLENTY: usize = 100 * DOCUMENTS;

/// How a batch runs, besides its seed.
#[derive(Debug, Clone, Copy)]
pub struct Batch {
    /// How many processes run the command at once.
    pub processes: usize,
    /// How many pages may be spent until everything is left to end in peace; the seed's choice unless given.
    pub budget: Option<usize>,
}

/// Processes with one command buy each document once at most, and never more than the budget allows.
///
/// # Errors
/// The harness itself could not do its work.
pub async fn run_batch(seed: u64, batch: &Batch, setting: &Setting) -> Result<Outcome> {
    let mut run = BatchRun::new(seed, batch, setting).await?;
    let outcome = run.run().await;
    run.ledger.remove().await?;
    run.vendor.stop().await;
    outcome?;
    Ok(run.outcome)
}

struct BatchRun {
    rng: Rng,
    processes: usize,
    budget: usize,
    vendor: Vendor,
    commands: CommandRunner,
    ledger: TestLedger,
    inputs: Vec<Input>,
    folder: TempDir,
    _logs: TempDir,
    outcome: Outcome,
}

impl BatchRun {
    async fn new(seed: u64, batch: &Batch, setting: &Setting) -> Result<Self> {
        let mut rng = Rng::with_seed(seed);
        let folder = tempfile::tempdir()?;
        let logs = tempfile::tempdir()?;
        let ledger = TestLedger::new(&setting.store, seed, folder.path()).await?;
        let vendor = Vendor::start(Work::Parse).await?;
        let mut env = vendor.env();
        let home = folder.path().join("home").display().to_string();
        env.push(("HOME".to_owned(), home));
        env.push(("DOCJOBS_LEDGER".to_owned(), ledger.url()));
        let commands = CommandRunner::new(&setting.docjobs, folder.path(), logs.path(), env);
        let inputs: Vec<Input> = (0..DOCUMENTS)
            .map(|number| Input::of(Work::Parse, seed, number))
            .collect();
        std::fs::create_dir(folder.path().join("in"))?;
        for input in &inputs {
            std::fs::write(folder.path().join("in").join(&input.name), &input.bytes)?;
        }
        Ok(Self {
            budget: batch.budget.unwrap_or_else(|| rng.usize(1..=DOCUMENTS)),
            rng,
            processes: batch.processes,
            vendor,
            commands,
            ledger,
            inputs,
            folder,
            _logs: logs,
            outcome: Outcome::default(),
        })
    }

    async fn run(&mut self) -> Result<()> {
        self.set_budget(self.budget).await?;
        for _ in 0..ROUNDS {
            self.round().await?;
            self.compare(self.budget).await?;
        }
        self.vendor.script(&[], false);
        self.set_budget(PLENTY).await?;
        self.settle().await?;
        self.compare(PLENTY).await?;
        self.count().await
    }

    async fn set_budget(&self, pages: usize) -> Result<()> {
        let words = words(&format!("budget set textin {pages}"));
        let ran = self.commands.run(&words, None, || 0).await?;
        if ran.code != Some(0) {
            bail!("no budget could be set: {}", ran.stderr);
        }
        Ok(())
    }

    async fn round(&mut self) -> Result<()> {
        let rng = &mut self.rng;
        let shots: Vec<Option<KillPoint>> = (0..self.processes)
            .map(|_| rng.u8(0..8).ne(&0).then(|| shot(rng)))
            .collect();
        let troubles: Vec<PlannedFault> =
            (0..rng.u8(0..3)).map(|_| PlannedFault::of(rng)).collect();
        self.vendor
            .script(&troubles, shots.contains(&Some(KillPoint::Unanswered)));
        let parse = parse();
        let started = shots.iter().map(|shot| {
            let begun = || self.vendor.begun();
            self.commands.run(&parse, *shot, begun)
        });
        let ended = join_all(started).await;
        for (ran, shot) in ended.into_iter().zip(shots) {
            self.judge(&ran.context("docjobs textin parse")?, shot);
        }
        Ok(())
    }

    fn judge(&mut self, ran: &Ran, shot: Option<KillPoint>) {
        let outcome = &mut self.outcome;
        outcome.processes += 1;
        let end = match (ran.is_shot, ran.code) {
            (true, _) => "killed".to_owned(),
            (false, code) => format!("{code:?}"),
        };
        let line = format!("{} ({shot:?}): {end}: {}", ran.words, ran.last_line());
        outcome.story.push(line);
        match shot {
            Some(shot) if ran.is_shot => *outcome.kills.entry(shot.kind()).or_default() += 1,
            Some(_) => outcome.missed += 1,
            None => {}
        }
        let is_fine = ran.code.is_some_and(|code| [0, 4, 5, 7, 8].contains(&code));
        if !ran.is_shot && !is_fine {
            let violation = Violation::Exit {
                command: ran.words.clone(),
                code: ran.code,
                line: ran.stderr.clone(),
            };
            self.violated(violation);
        }
    }

    fn violated(&mut self, violation: Violation) {
        self.outcome.story.push(format!("!! {violation}"));
        if !self.outcome.violations.contains(&violation) {
            self.outcome.violations.push(violation);
        }
    }

    /// The same command in peace, until it says that all is done or in doubt.
    async fn settle(&mut self) -> Result<()> {
        for _ in 0..TURNS {
            let ran = self.commands.run(&parse(), None, || 0).await?;
            self.judge(&ran, None);
            if matches!(ran.code, Some(0 | 5)) {
                return Ok(());
            }
        }
        let last = self.outcome.story.last().cloned().unwrap_or_default();
        self.violated(Violation::Wedged(last));
        Ok(())
    }

    async fn compare(&mut self, budget: usize) -> Result<()> {
        let kept: Vec<Kept> = self.ledger.rows().await?.iter().map(kept).collect();
        let bought = self.vendor.bought();
        let spent: usize = bought.iter().map(|job| job.charges).sum();
        if spent > budget {
            self.violated(Violation::OverBudget { spent, budget });
        }
        for violation in money(&bought, &kept, 1) {
            self.violated(violation);
        }
        let wrong: Vec<Violation> = self
            .inputs
            .iter()
            .filter_map(|input| {
                let path = self.place(input);
                let there = std::fs::read(&path).ok()?;
                (there != input.bytes).then_some(Violation::WrongFile {
                    path,
                    len: there.len(),
                    wanted: input.bytes.len(),
                })
            })
            .collect();
        wrong.into_iter().for_each(|one| self.violated(one));
        Ok(())
    }

    /// Every document is there, or a person was told that nobody knows.
    async fn count(&mut self) -> Result<()> {
        let kept: Vec<Kept> = self.ledger.rows().await?.iter().map(kept).collect();
        for input in self.inputs.clone() {
            let of_it = kept
                .iter()
                .find(|kept| kept.input == input.key && !matches!(kept.stage, Stage::Rejected));
            match of_it {
                Some(kept) if kept.stage == Stage::InDoubt => self.outcome.unknown += 1,
                Some(_) if self.place(&input).is_file() => self.outcome.done += 1,
                other => {
                    let what = format!("{} has no result: {other:?}", input.name);
                    self.violated(Violation::Wedged(what));
                }
            }
        }
        let charges = self.vendor.bought();
        self.outcome.charges = charges.iter().map(|job| job.charges as u64).sum();
        Ok(())
    }

    fn place(&self, input: &Input) -> PathBuf {
        let name = PathBuf::from(&input.name).with_extension("md");
        self.folder.path().join("out").join(name)
    }
}

fn words(line: &str) -> Vec<String> {
    line.split(' ').map(str::to_owned).collect()
}

fn parse() -> Vec<String> {
    words("textin parse in --out out")
}

/// Where a process of a batch is killed: it makes some times the calls of one for a single document.
fn shot(rng: &mut Rng) -> KillPoint {
    match KillPoint::of(rng, Work::Parse) {
        KillPoint::Call { class, nth, side } => KillPoint::Call {
            class,
            nth: nth * rng.u32(1..=6),
            side,
        },
        KillPoint::Instant(after) => KillPoint::Instant(after * rng.u32(1..=4)),
        shot @ KillPoint::Unanswered => shot,
    }
}

fn kept(row: &JobRecord) -> Kept {
    Kept {
        id: row.id.to_string(),
        input: hex::encode(row.content),
        stage: row.stage,
        remote: row
            .remote_id
            .as_ref()
            .map(|id| JobId::as_str(id).to_owned()),
    }
}
