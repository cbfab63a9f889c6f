//! Workers on one database, and the books compared in the end: a few jobs of which one worker is killed and one stopped
//! past its lease, or many jobs that nothing disturbs.

use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use fastrand::Rng;
use futures_util::stream::{self, TryStreamExt as _};
use jobs_core::JobId;
use jobs_core::clock::{Clock as _, bounded};
use jobs_ledger::{Due, IntendOutcome, Intent, JobRecord, Stage};
use nix::sys::signal::Signal;
use tokio::process::Child;

use super::child::{CommandRunner, send};
use super::compare::{Kept, Violation, money};
use super::input::Input;
use super::plan::Work;
use super::run::{Outcome, Setting};
use super::store::{Store, TestLedger};
use super::vendor::Vendor;

/// The lease of a claim, and what may be added to it before a job counts as left alone.
const LEASE: Duration = Duration::from_secs(10);
const SLACK: Duration = Duration::from_secs(1);
/// How long a worker is stopped.
const STOPPED: Duration = Duration::from_millis(11_500);
/// After this nothing more is expected to end.
const STUCK: Duration = Duration::from_secs(180);
/// Half of them submitted by a command, half only wanted.
const JOBS: usize = 24;
/// Slow enough that jobs outlive a lease, and not so fast that the network's jitter passes for haste.
const SPEED: u32 = 5;
const SECONDS: f64 = 100.0;
/// So many jobs are written down at once.
const LANES: usize = 16;

/// What a seed decides about workers.
#[derive(Debug)]
struct Plan {
    workers: usize,
    /// When one of them is killed, after they have started.
    killed: Duration,
    /// When another one is stopped; with two workers none is.
    stopped: Option<Duration>,
}

impl Plan {
    fn of(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let workers = rng.usize(2..=4);
        let mut instant = || Duration::from_millis(rng.u64(300..5_000));
        Self {
            workers,
            killed: instant(),
            stopped: (workers > 2).then(instant),
        }
    }
}

/// Two to four workers finish some jobs, whatever befalls two of them. The store must be a database.
///
/// # Errors
/// The harness itself could not do its work.
pub async fn run_workers(seed: u64, setting: &Setting) -> Result<Outcome> {
    if setting.store == Store::File {
        bail!("workers share a database: name one");
    }
    let plan = Plan::of(seed);
    let vendor = Vendor::for_workers(SPEED, SECONDS).await?;
    let office = WorkerRun::new(seed, setting, vendor, JOBS).await?;
    let outcome = office.run(&plan).await;
    office.shelf.remove().await?;
    office.vendor.stop().await;
    outcome
}

/// Many jobs and some workers.
#[derive(Debug, Clone, Copy)]
pub struct ManyJobs {
    /// Names the documents.
    pub seed: u64,
    /// How many workers.
    pub workers: usize,
    /// How many jobs.
    pub jobs: usize,
    /// How many of its seconds the vendor lives through in one.
    pub speed: u32,
}

/// Workers finish many jobs at the vendor's rate: each submitted once, and the limit kept in every sliding window of the
/// vendor's own record. The store must be a database.
///
/// # Errors
/// The harness itself could not do its work.
pub async fn run_many_jobs(crowd: &ManyJobs, setting: &Setting) -> Result<Outcome> {
    if setting.store == Store::File {
        bail!("workers share a database: name one");
    }
    let vendor = Vendor::for_workers(crowd.speed, 20.0).await?;
    let office = WorkerRun::new(crowd.seed, setting, vendor, crowd.jobs).await?;
    let outcome = office.run_crowd(crowd).await;
    office.shelf.remove().await?;
    office.vendor.stop().await;
    outcome
}

struct WorkerRun {
    vendor: Vendor,
    shelf: TestLedger,
    bench: CommandRunner,
    inputs: Vec<Input>,
    folder: tempfile::TempDir,
    _logs: tempfile::TempDir,
}

impl WorkerRun {
    async fn new(seed: u64, setting: &Setting, vendor: Vendor, jobs: usize) -> Result<Self> {
        let (folder, logs) = (tempfile::tempdir()?, tempfile::tempdir()?);
        let shelf = TestLedger::new(&setting.store, seed, folder.path()).await?;
        let mut env = vendor.env();
        env.push(("HOME".to_owned(), folder.path().display().to_string()));
        env.push(("DOCJOBS_LEDGER".to_owned(), shelf.url()));
        let bench = CommandRunner::new(&setting.docjobs, folder.path(), logs.path(), env);
        let inputs = (0..jobs).map(|number| Input::of(Work::Parse, seed, number));
        let office = Self {
            vendor,
            shelf,
            bench,
            inputs: inputs.collect(),
            folder,
            _logs: logs,
        };
        for input in &office.inputs {
            std::fs::write(office.path(&input.name), &input.bytes)?;
        }
        Ok(office)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn output(&self, input: &Input) -> PathBuf {
        self.path(&format!("{}.md", input.name))
    }

    async fn run(&self, plan: &Plan) -> Result<Outcome> {
        let mut outcome = Outcome::default();
        outcome.story.push(format!("{plan:?}"));
        self.want(JOBS / 2).await?;
        let clock = self.bench.clock();
        let mut workers = Vec::new();
        for _ in 0..plan.workers {
            workers.push(self.worker()?);
            outcome.processes += 1;
        }
        let start = clock.now();
        let stopped = plan.stopped.and_then(|_| workers.pop());
        let killed = workers.pop();
        let (killed_late, stopped) = tokio::try_join!(
            async {
                clock.sleep_until(start + plan.killed).await;
                self.kill(killed).await
            },
            async {
                let (Some(at), Some(worker)) = (plan.stopped, stopped) else {
                    return Ok(None);
                };
                clock.sleep_until(start + at).await;
                send(&worker, Signal::SIGSTOP)?;
                self.bench.pause(STOPPED).await;
                let resumed = self.vendor.elapsed();
                send(&worker, Signal::SIGCONT)?;
                Ok(Some((worker, resumed)))
            }
        )?;
        let (stopped, resumed) = stopped.unzip();
        *outcome.kills.entry("a worker").or_default() += 1;
        workers.extend(stopped);
        workers.push(killed_late.replacement);
        outcome.violations.extend(killed_late.late);
        self.wait(&mut outcome).await?;
        for worker in workers {
            outcome.violations.extend(self.end(worker).await?);
        }
        self.compare(&mut outcome, resumed).await?;
        Ok(outcome)
    }

    async fn run_crowd(&self, crowd: &ManyJobs) -> Result<Outcome> {
        let mut outcome = Outcome::default();
        outcome.story.push(format!("{crowd:?}"));
        self.want(1).await?;
        let mut workers = Vec::new();
        for _ in 0..crowd.workers {
            workers.push(self.worker()?);
            outcome.processes += 1;
        }
        self.wait_for_crowd(&mut outcome).await?;
        for worker in workers {
            outcome.violations.extend(self.end(worker).await?);
        }
        self.compare(&mut outcome, None).await?;
        Ok(outcome)
    }

    /// The first jobs are submitted, the others are written down only.
    async fn want(&self, submitted: usize) -> Result<()> {
        let (submitted, wanted) = self.inputs.split_at(submitted);
        for input in submitted {
            let output = self.output(input).display().to_string();
            let words = ["textin", "parse", &input.name, "--no-wait", "-o", &output];
            let words: Vec<String> = words.map(str::to_owned).into();
            let ran = self.bench.run(&words, None, || 0).await?;
            if ran.code != Some(0) {
                bail!("cannot submit: {}", ran.stderr);
            }
        }
        let rows = self.shelf.rows().await?;
        let like = rows.first().context("nothing was written down")?;
        let ledger = self.shelf.open().await?;
        stream::iter(wanted.iter().map(anyhow::Ok))
            .try_for_each_concurrent(LANES, async |input| {
                let intent = Intent::new(&*like.vendor, &*like.kind, like.account, input.digest)
                    .with_options(like.options.clone())
                    .with_input(&*input.name)
                    .with_input_path(self.path(&input.name))
                    .with_output(self.output(input));
                let IntendOutcome::New(claim, _) = ledger.intend(intent).await? else {
                    bail!("{} was wanted before", input.name);
                };
                Ok(ledger.release(claim, Due::Now).await?)
            })
            .await?;
        ledger.close().await;
        Ok(())
    }

    fn worker(&self) -> Result<Child> {
        self.bench.start(&["work".to_owned()])
    }

    /// Kills a worker, starts another as its supervisor would, and looks at what the dead one held.
    async fn kill(&self, worker: Option<Child>) -> Result<Killed> {
        let mut worker = worker.context("there is no worker to kill")?;
        worker.start_kill()?;
        worker.wait().await?;
        let replacement = self.worker()?;
        self.bench.pause(LEASE + SLACK).await;
        let now = self.bench.clock().wall();
        let rows = self.shelf.rows().await?;
        let alone = |row: &&JobRecord| {
            let unfinished = matches!(
                row.stage,
                Stage::Intended
                    | Stage::Submitting
                    | Stage::Accepted
                    | Stage::Available
                    | Stage::Downloading
            );
            // A claim that lives ends in the future.
            unfinished && row.claimed && row.due.is_some_and(|due| due + SLACK <= now)
        };
        let late = rows.iter().filter(alone).map(|row| {
            let line = format!("job {} ({}) is held by nobody", row.id, row.stage);
            Violation::Late(line)
        });
        Ok(Killed {
            late: late.collect(),
            replacement,
        })
    }

    /// Until every job is settled.
    async fn wait(&self, outcome: &mut Outcome) -> Result<()> {
        let clock = self.bench.clock();
        let limit = clock.now() + STUCK;
        loop {
            let rows = self.shelf.rows().await?;
            // What a kill left in doubt waits for a person.
            let settled = |row: &&JobRecord| matches!(row.stage, Stage::Completed | Stage::InDoubt);
            let open = rows.iter().filter(|row| !settled(row));
            let open: Vec<String> = open
                .map(|row| format!("{} {}", row.id, row.stage))
                .collect();
            if open.is_empty() {
                return Ok(());
            }
            if clock.now() >= limit {
                outcome.violations.push(Violation::Wedged(open.join(", ")));
                return Ok(());
            }
            self.bench.pause(Duration::from_millis(250)).await;
        }
    }

    /// Until nothing is left to do, as long as something is done.
    async fn wait_for_crowd(&self, outcome: &mut Outcome) -> Result<()> {
        let ledger = self.shelf.open().await?;
        let clock = self.bench.clock();
        let (mut least, mut since) = (i64::MAX, clock.now());
        while least > 0 {
            if clock.now() >= since + STUCK {
                let line = format!("{least} jobs make no progress");
                outcome.violations.push(Violation::Wedged(line));
                break;
            }
            self.bench.pause(Duration::from_secs(1)).await;
            let open = ledger.check().await?.unfinished;
            if open < least {
                (least, since) = (open, clock.now());
            }
        }
        ledger.close().await;
        Ok(())
    }

    /// A worker that is asked to end does so, in good order and within a lease.
    async fn end(&self, mut worker: Child) -> Result<Option<Violation>> {
        send(&worker, Signal::SIGTERM)?;
        let clock = self.bench.clock();
        let status = bounded(clock, clock.now() + LEASE, worker.wait()).await;
        let status = match status {
            Some(status) => Some(status?),
            None => {
                worker.kill().await?;
                None
            }
        };
        let by = status.and_then(|status| status.signal());
        Ok(
            (by != Some(Signal::SIGTERM as i32)).then(|| Violation::Exit {
                command: "work".to_owned(),
                code: status.and_then(|status| status.code()),
                line: "asked to end by SIGTERM".to_owned(),
            }),
        )
    }

    async fn compare(&self, outcome: &mut Outcome, resumed: Option<f64>) -> Result<()> {
        let (bought, rows) = (self.vendor.bought(), self.shelf.rows().await?);
        let kept: Vec<Kept> = rows.iter().map(|row| self.kept_of(row)).collect();
        outcome.violations.extend(money(&bought, &kept, 1));
        for input in &self.inputs {
            let path = self.output(input);
            let in_doubt = |kept: &Kept| kept.input == input.key && kept.stage == Stage::InDoubt;
            let there = std::fs::read(&path).ok();
            let is_missing = there.is_none() && kept.iter().any(in_doubt);
            let there = there.unwrap_or_default();
            if there != input.bytes && !is_missing {
                outcome.violations.push(Violation::WrongFile {
                    path,
                    len: there.len(),
                    wanted: input.bytes.len(),
                });
            }
        }
        let pace = self.vendor.pace(resumed);
        if pace.too_fast > 0 {
            let line = format!(
                "{} requests came sooner than the vendor allows, {:.2?} s after the first",
                pace.too_fast, pace.crowded
            );
            outcome.violations.push(Violation::TooFast(line));
        }
        outcome.story.push(format!(
            "{} requests in {:.1} s, {:.0} % of the limit; one more than it allows took {:.2} windows or longer",
            pace.requests,
            pace.seconds,
            100.0 * pace.used,
            pace.narrowest
        ));
        outcome.charges = bought.iter().map(|job| job.charges as u64).sum();
        let count = |stage: Stage| kept.iter().filter(|kept| kept.stage == stage).count() as u64;
        outcome.done = count(Stage::Completed);
        outcome.unknown = count(Stage::InDoubt);
        let violations = outcome.violations.iter().map(|one| format!("!! {one}"));
        outcome.story.extend(violations);
        Ok(())
    }

    fn kept_of(&self, row: &JobRecord) -> Kept {
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
}

struct Killed {
    late: Vec<Violation>,
    replacement: Child,
}
