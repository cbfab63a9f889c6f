//! One seed: commands are started, killed and started again, everything is left to end, and the books are compared.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use futures_util::future::join_all;
use jobs_core::JobId;
use jobs_ledger::{JobRecord, Stage};
use tempfile::TempDir;

use super::child::{CommandRunner, Ran};
use super::compare::{Decision, Kept, Violation, decide, money};
use super::input::Input;
use super::plan::{KillPoint, Plan, Round, Shape, Start, Work};
use super::store::{Store, TestLedger};
use super::vendor::Vendor;

/// What all runs share.
#[derive(Debug, Clone)]
pub struct Setting {
    /// The command under test.
    pub docjobs: PathBuf,
    /// The kind of ledger.
    pub store: Store,
}

/// What became of a seed.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Processes started.
    pub processes: u64,
    /// Kills by kind of point.
    pub kills: BTreeMap<&'static str, u64>,
    /// Processes that ended before the point at which they were to be killed.
    pub missed: u64,
    /// Charges in the vendor's ledger.
    pub charges: u64,
    /// Jobs that ended with their result.
    pub done: u64,
    /// Jobs of which a person was told that nobody knows.
    pub unknown: u64,
    /// Jobs that ended without result and without charge, and print jobs reported as failed.
    pub failed: u64,
    /// Broken promises.
    pub violations: Vec<Violation>,
    /// What was done, line by line.
    pub story: Vec<String>,
}

/// How often everything unfinished is taken up before it counts as wedged.
const TURNS: usize = 6;
/// Between a kill and the look at the books: what the dead have sent may still be on its way.
const SETTLING: Duration = Duration::from_millis(40);
/// The budget of calls of `docjobs mindshow pdf` unless more is allowed.
const CALLS: usize = 6;
/// What a person allows in the end.
const MORE_CALLS: usize = 40;

/// Runs a plan.
///
/// # Errors
/// The harness itself could not do its work: no socket, no process, no database.
pub async fn run(plan: &Plan, setting: &Setting) -> Result<Outcome> {
    let world = World::new(plan, setting).await?;
    for round in &plan.rounds {
        world.round(round).await?;
        world.compare(CALLS).await?;
        world.shelf.scramble(plan.seed).await?;
    }
    world.vendor.script(&[], false);
    if plan.work == Work::Print {
        world.print_the_rest().await?;
    } else {
        world.settle(plan.ending).await?;
    }
    world.end().await
}

struct World {
    work: Work,
    shape: Shape,
    vendor: Vendor,
    bench: CommandRunner,
    shelf: TestLedger,
    inputs: Vec<Input>,
    /// The vendor's ids of print jobs, one for each input.
    print_jobs: Vec<String>,
    folder: TempDir,
    _logs: TempDir,
    outcome: Mutex<Outcome>,
}

impl World {
    async fn new(plan: &Plan, setting: &Setting) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let logs = tempfile::tempdir()?;
        let shelf = TestLedger::new(&setting.store, plan.seed, folder.path()).await?;
        let vendor = Vendor::start(plan.work).await?;
        let mut env = vendor.env();
        let place = |name: &str| folder.path().join(name).display().to_string();
        env.push(("HOME".to_owned(), place("home")));
        env.push(("WECOM_PRINTER_STATE".to_owned(), place("state")));
        env.push(("DOCJOBS_LEDGER".to_owned(), shelf.url()));
        let bench = CommandRunner::new(&setting.docjobs, folder.path(), logs.path(), env);
        let count = match plan.shape {
            Shape::Single if plan.work == Work::Print => 2,
            Shape::Single | Shape::SameInput => 1,
            Shape::ManyJobs => 2,
        };
        let inputs = (0..count).map(|number| Input::of(plan.work, plan.seed, number));
        let mut world = Self {
            work: plan.work,
            shape: plan.shape,
            vendor,
            bench,
            shelf,
            inputs: inputs.collect(),
            print_jobs: Vec::new(),
            folder,
            _logs: logs,
            outcome: Mutex::default(),
        };
        world.prepare().await?;
        Ok(world)
    }

    async fn prepare(&mut self) -> Result<()> {
        for input in &self.inputs {
            std::fs::write(self.path(&input.name), &input.bytes)?;
        }
        if self.work == Work::Print {
            let script = "echo \"$DOCJOBS_JOB_ID\" >> printed.txt\n";
            std::fs::write(self.path("print.sh"), script)?;
            let ids = self.inputs.iter();
            self.print_jobs = ids
                .filter_map(|input| self.vendor.add_print_job(input))
                .collect();
        }
        if self.work == Work::Pdf {
            self.make_decks().await?;
        }
        Ok(())
    }

    /// The decks to export, bought in peace and in another ledger.
    async fn make_decks(&mut self) -> Result<()> {
        for input in &mut self.inputs {
            let command = "mindshow deck --no-wait --ledger setup.db --markdown";
            let mut words = split(command);
            words.push(input.name.clone());
            let ran = self.bench.run(&words, None, || 0).await?;
            let deck = self.vendor.decks().pop();
            let Some(deck) = deck.filter(|_| ran.code == Some(0)) else {
                bail!("no deck could be made: {}", ran.stderr);
            };
            *input = input.clone().of_deck(&deck);
        }
        Ok(())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn tell<T>(&self, change: impl FnOnce(&mut Outcome) -> T) -> T {
        change(&mut self.outcome.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn violated(&self, violation: Violation) {
        self.tell(|outcome| {
            outcome.story.push(format!("!! {violation}"));
            if !outcome.violations.contains(&violation) {
                outcome.violations.push(violation);
            }
        });
    }

    /// The input of each process.
    fn wishes(&self) -> Vec<(usize, &Input)> {
        let first = self.inputs.iter().take(1);
        match self.shape {
            Shape::SameInput => first.cycle().take(2).enumerate().collect(),
            Shape::ManyJobs => self.inputs.iter().enumerate().collect(),
            Shape::Single => first.enumerate().collect(),
        }
    }

    /// The place of each process's result; none where the result is a line or paper.
    fn output(&self, process: usize) -> Option<String> {
        match self.work {
            Work::Sign | Work::Print => None,
            _ => Some(format!("result-{process}")),
        }
    }

    fn command(&self, process: usize, input: &Input) -> Vec<String> {
        let mut words = match self.work {
            Work::Parse => split("textin parse"),
            Work::Convert => split("ppj convert"),
            Work::Deck => split("mindshow deck --markdown"),
            Work::Pdf => split("mindshow pdf"),
            Work::Sign => split("tencent-ess convert"),
            Work::Print => {
                let mut words = split("printer run --once --spool spool --exec");
                words.push("sh print.sh".to_owned());
                return words;
            }
        };
        words.push(match self.work {
            Work::Pdf => input.key.clone(),
            _ => input.name.clone(),
        });
        if let Some(output) = self.output(process) {
            words.extend(["-o".to_owned(), output]);
        }
        words
    }

    async fn round(&self, round: &Round) -> Result<()> {
        let hold = round.shots.contains(&Some(KillPoint::Unanswered));
        self.vendor.script(&round.troubles, hold);
        let shot = |process: usize| round.shots.get(process).copied().flatten();
        if round.start == Start::Resume {
            self.start(&split("resume"), shot(0)).await?;
            return Ok(());
        }
        let wishes = self.wishes();
        let processes = wishes.iter().map(|(process, input)| async move {
            let words = self.command(*process, input);
            self.start(&words, shot(*process)).await
        });
        for ran in join_all(processes).await {
            ran?;
        }
        Ok(())
    }

    /// Runs a command, kills it as planned, and judges how it ended if it was not killed.
    async fn start(&self, words: &[String], shot: Option<KillPoint>) -> Result<Ran> {
        // The ledger remembers one place of a job. A twin whose result is there already, and that is asked again, says so.
        let is_there = words.last().is_some_and(|last| self.path(last).exists());
        let ran = self
            .bench
            .run(words, shot, || self.vendor.begun())
            .await
            .with_context(|| format!("docjobs {}", words.join(" ")))?;
        let fine: &[i32] = match self.work {
            Work::Pdf => &[0, 3, 4, 5, 7, 8],
            _ if self.shape == Shape::SameInput && is_there => &[0, 2, 3, 4, 5, 8],
            _ => &[0, 3, 4, 5, 8],
        };
        self.tell(|outcome| {
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
        });
        if !ran.is_shot && ran.code.is_none_or(|code| !fine.contains(&code)) {
            self.violated(Violation::Exit {
                command: ran.words.clone(),
                code: ran.code,
                line: ran.last_line().to_owned(),
            });
        }
        Ok(ran)
    }

    /// Our side of the books.
    async fn kept(&self) -> Result<Vec<Kept>> {
        let rows = self.shelf.rows().await?;
        Ok(rows.iter().map(|row| self.kept_of(row)).collect())
    }

    fn kept_of(&self, row: &JobRecord) -> Kept {
        let input = self.inputs.iter().find(|input| input.digest == row.content);
        Kept {
            id: row.id.to_string(),
            input: input.map_or_else(|| row.input.clone(), |input| input.key.clone()),
            stage: row.stage,
            remote: row
                .remote_id
                .as_ref()
                .map(|id| JobId::as_str(id).to_owned()),
        }
    }

    /// What must hold between two processes.
    async fn compare(&self, calls: usize) -> Result<()> {
        self.bench.pause(SETTLING).await;
        self.compare_folders()?;
        if self.work == Work::Print {
            return self.compare_paper();
        }
        let (bought, kept) = (self.vendor.bought(), self.kept().await?);
        let violations = money(&bought, &kept, self.vendor.allowed(calls)).into_iter();
        violations
            // A deck is not sold here, and its export begins with the first poll.
            .filter(|one| self.work != Work::Pdf || !matches!(one, Violation::Phantom(_)))
            .for_each(|violation| self.violated(violation));
        for (process, input) in self.wishes() {
            let Some(name) = self.output(process) else {
                continue;
            };
            let result = bought.iter().find(|job| job.input == input.key);
            let result = result.and_then(|job| self.vendor.result(&job.remote, input));
            self.compare_file(&self.path(&name), result.as_deref());
        }
        Ok(())
    }

    /// Whether nothing half done lies about. Only Linux lets a killed process leave nothing.
    fn compare_folders(&self) -> Result<()> {
        if !cfg!(target_os = "linux") {
            return Ok(());
        }
        for folder in [self.folder.path().to_owned(), self.path("spool")] {
            if !folder.exists() {
                continue;
            }
            for entry in std::fs::read_dir(folder)? {
                let path = entry?.path();
                if path
                    .extension()
                    .is_some_and(|extension| extension == "part")
                {
                    self.violated(Violation::HalfFile(path));
                }
            }
        }
        Ok(())
    }

    /// Whether a final name holds the result, or nothing.
    fn compare_file(&self, path: &Path, result: Option<&[u8]>) {
        let Ok(there) = std::fs::read(path) else {
            return;
        };
        if Some(there.as_slice()) != result {
            self.violated(Violation::WrongFile {
                path: path.to_owned(),
                len: there.len(),
                wanted: result.map_or(0, <[u8]>::len),
            });
        }
    }

    /// Each print job was printed once at most, as far as it is told.
    fn compare_paper(&self) -> Result<()> {
        for (id, input) in self.print_jobs.iter().zip(&self.inputs) {
            let printed = self.times_printed(id)?;
            if printed > 1 {
                self.violated(Violation::DoubleCharge {
                    input: id.clone(),
                    jobs: 1,
                    charges: printed,
                });
            }
            let file = self.path("spool").join(format!("{id}.pdf"));
            self.compare_file(&file, Some(&input.bytes));
        }
        Ok(())
    }

    fn times_printed(&self, id: &str) -> Result<usize> {
        let path = self.path("printed.txt");
        if !path.exists() {
            return Ok(0);
        }
        let text = std::fs::read_to_string(path)?;
        Ok(text.lines().filter(|line| *line == id).count())
    }

    /// Runs the printer until nothing is left.
    async fn print_the_rest(&self) -> Result<()> {
        let Some(first) = self.inputs.first() else {
            return Ok(());
        };
        let words = self.command(0, first);
        for _ in 0..TURNS {
            self.start(&words, None).await?;
            self.compare(CALLS).await?;
            let jobs = self.vendor.print_jobs();
            if jobs.iter().all(|job| job.status != 0) {
                return self.paper_count(&jobs).await;
            }
        }
        self.violated(Violation::Wedged(format!("{:?}", self.vendor.print_jobs())));
        Ok(())
    }

    async fn paper_count(&self, jobs: &[super::vendor::Printed]) -> Result<()> {
        for job in jobs {
            let printed = self.times_printed(&job.id)?;
            // Reported as printed means on paper; reported as failed may be either, and says so.
            if job.status == 1 && printed != 1 {
                let lost = format!("{} is reported as printed, and was {printed} times", job.id);
                self.violated(Violation::Wedged(lost));
            }
            self.tell(|outcome| {
                outcome.charges += printed as u64;
                match (job.status, printed) {
                    (1, _) => outcome.done += 1,
                    (_, 0) => outcome.failed += 1,
                    _ => outcome.unknown += 1,
                }
            });
        }
        for row in self.shelf.rows().await? {
            if !row.stage.is_settled() || row.stage == Stage::Abandoned {
                let kept = self.kept_of(&row);
                self.violated(Violation::Wedged(format!("{kept:?}")));
            }
        }
        Ok(())
    }

    /// Takes everything up until it is settled, with the help of a person where nobody else can know.
    async fn settle(&self, ending: Start) -> Result<()> {
        let mut start = ending;
        for _ in 0..TURNS {
            let is_told = match start {
                Start::Resume => {
                    let ran = self.start(&split("resume"), None).await?;
                    self.pay_for_polls(&ran).await?;
                    ran.code == Some(5)
                }
                Start::Again => self.again().await?,
            };
            self.compare(MORE_CALLS).await?;
            let kept = self.kept().await?;
            for doubt in kept.iter().filter(|kept| kept.stage == Stage::InDoubt) {
                if !is_told {
                    self.violated(Violation::Unreported(doubt.clone()));
                }
                self.resolve(doubt, &kept).await?;
            }
            if start == Start::Again && self.is_settled().await? {
                return Ok(());
            }
            start = match start {
                Start::Again => Start::Resume,
                Start::Resume => Start::Again,
            };
        }
        self.violated(Violation::Wedged(format!("{:?}", self.kept().await?)));
        Ok(())
    }

    /// The same commands again, one after the other. Whether one of them ended in doubt.
    async fn again(&self) -> Result<bool> {
        let mut in_doubt = false;
        for (process, input) in self.wishes() {
            let ran = self.start(&self.command(process, input), None).await?;
            in_doubt |= ran.code == Some(5);
            self.pay_for_polls(&ran).await?;
            if self.work == Work::Sign && ran.code == Some(0) {
                self.compare_line(input, ran.stdout.trim());
            }
        }
        Ok(in_doubt)
    }

    fn compare_line(&self, input: &Input, line: &str) {
        let bought = self.vendor.bought();
        let job = bought.iter().find(|job| job.input == input.key);
        let wanted = job.and_then(|job| self.vendor.line(&job.remote));
        if wanted.as_deref() != Some(line) {
            let wrong = format!("the command printed {line:?} instead of {wanted:?}");
            self.violated(Violation::Wedged(wrong));
        }
    }

    /// When the budget of calls is spent, a person allows more.
    async fn pay_for_polls(&self, ran: &Ran) -> Result<()> {
        if self.work != Work::Pdf || ran.code.is_none_or(|code| code == 0) {
            return Ok(());
        }
        for row in self.shelf.rows().await? {
            if row.stage == Stage::Accepted {
                let words = format!("wait {} --max-calls {MORE_CALLS}", row.id);
                self.start(&split(&words), None).await?;
            }
        }
        Ok(())
    }

    /// What a person does about a job in doubt.
    async fn resolve(&self, doubt: &Kept, kept: &[Kept]) -> Result<()> {
        self.tell(|outcome| outcome.unknown += 1);
        let mut words = split("resolve");
        words.push(doubt.id.clone());
        match decide(doubt, &self.vendor.bought(), kept) {
            Some(Decision::Adopt(remote)) => words.extend(["--adopt".to_owned(), remote]),
            Some(Decision::Abandon) => words.push("--abandon".to_owned()),
            None => return Ok(()),
        }
        self.start(&words, None).await.map(drop)
    }

    async fn is_settled(&self) -> Result<bool> {
        let kept = self.kept().await?;
        let is_done = |input: &Input| {
            let mut rows = kept.iter().filter(|kept| kept.input == input.key);
            rows.any(|kept| kept.stage == Stage::Completed)
        };
        let is_there = |process: usize| {
            let name = self.output(process);
            name.is_none_or(|name| self.path(&name).exists())
        };
        let wishes = self.wishes();
        Ok(wishes
            .iter()
            .all(|(process, input)| is_done(input) && is_there(*process))
            && kept.iter().all(|kept| kept.stage.is_settled()))
    }

    async fn end(self) -> Result<Outcome> {
        if self.work != Work::Print {
            let (bought, kept) = (self.vendor.bought(), self.kept().await?);
            let count =
                |stage: Stage| kept.iter().filter(|kept| kept.stage == stage).count() as u64;
            self.tell(|outcome| {
                outcome.charges = bought.iter().map(|job| job.charges as u64).sum();
                outcome.done = count(Stage::Completed);
                outcome.failed = count(Stage::Failed) + count(Stage::Gone);
            });
        }
        self.shelf.remove().await?;
        let outcome = self.outcome.into_inner();
        self.vendor.stop().await;
        Ok(outcome.unwrap_or_else(PoisonError::into_inner))
    }
}

fn split(words: &str) -> Vec<String> {
    words.split_whitespace().map(str::to_owned).collect()
}
