//! Runs the crash harness over many seeds, or over one that tells its story: `cargo xtask crash` builds and calls it.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "what a command says is its output"
)]

use std::ops::Range;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use docjobs_tests::crash::{
    Batch, ManyJobs, Outcome, Plan, Setting, Store, Tally, run_all, run_batch, run_many_jobs,
    run_workers,
};
use jobs_core::clock::{Clock as _, SystemClock};

/// Processes that wait more than they work: more at once than there are cores.
const WIDTH: usize = 8;
/// How much faster the vendor lives for many jobs: its second must be longer than a busy machine's pauses.
const SPEED: u32 = 10;

struct Request {
    setting: Setting,
    first: u64,
    runs: u64,
    width: usize,
    /// Workers on a database instead of commands.
    workers: bool,
    /// Many jobs for as many workers as there would be runs.
    crowd: Option<ManyJobs>,
    /// Batches under a budget.
    batch: Option<Batch>,
    tells: bool,
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let ended = request(&words).and_then(|request| {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()?;
        runtime.block_on(crash(&request))
    });
    match ended {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn request(words: &[String]) -> Result<Request> {
    let mut docjobs = None;
    let mut store = Store::File;
    let (mut first, mut runs, mut width, mut workers) = (None, None, WIDTH, false);
    let (mut jobs, mut speed) = (None, SPEED);
    let (mut processes, mut budget) = (None, None);
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let value = words
            .next()
            .with_context(|| format!("`{word}` needs a value"))?;
        let number = || {
            value
                .parse::<u64>()
                .with_context(|| format!("`{word} {value}`"))
        };
        match word.as_str() {
            "--docjobs" => docjobs = Some(PathBuf::from(value)),
            "--store" => store = Store::Postgres(value.clone()),
            "--seed" => first = Some(number()?),
            "--runs" => runs = Some(number()?),
            "--workers" => {
                workers = true;
                runs = Some(number()?);
            }
            "--processes" => processes = Some(usize::try_from(number()?)?),
            "--budget" => budget = Some(usize::try_from(number()?)?),
            "--jobs" => jobs = Some(usize::try_from(number()?)?),
            "--speed" => speed = u32::try_from(number()?)?,
            "--width" => width = usize::try_from(number()?)?,
            _ => bail!("`{word}` is not known here"),
        }
    }
    let crowd = match jobs {
        Some(jobs) if workers => Some(ManyJobs {
            seed: first.unwrap_or(0),
            workers: usize::try_from(runs.unwrap_or(1))?,
            jobs,
            speed,
        }),
        Some(_) => bail!("`--jobs` needs `--workers N`"),
        None => None,
    };
    let batch = match (processes, budget) {
        (None, None) => None,
        (processes, budget) => Some(Batch {
            processes: processes.unwrap_or(4),
            budget,
        }),
    };
    let docjobs = docjobs.context("--docjobs PATH names the command under test")?;
    Ok(Request {
        setting: Setting {
            docjobs: std::path::absolute(docjobs)?,
            store,
        },
        first: first.unwrap_or(0),
        runs: runs.unwrap_or(1),
        width,
        workers,
        crowd,
        batch,
        tells: runs.is_none(),
    })
}

/// Whether every promise was kept.
async fn crash(request: &Request) -> Result<bool> {
    let clock = SystemClock::new();
    let seeds = request.first..request.first.saturating_add(request.runs);
    if let Some(crowd) = &request.crowd {
        let mut tally = Tally::default();
        told(&run_many_jobs(crowd, &request.setting).await?, &mut tally);
        return Ok(verdict(&tally, &clock));
    }
    if let Some(batch) = &request.batch {
        let tally = batches(seeds, batch, request).await?;
        return Ok(verdict(&tally, &clock));
    }
    if request.workers {
        let tally = workers(seeds, &request.setting).await?;
        return Ok(verdict(&tally, &clock));
    }
    let mut told = clock.now();
    let ended = |plan: &Plan, outcome: &Outcome, tally: &Tally| {
        if request.tells || !outcome.violations.is_empty() {
            println!("{plan}");
            for line in &outcome.story {
                println!("  {line}");
            }
        }
        if !outcome.violations.is_empty() {
            println!("  repeat it with: cargo xtask crash --seed {}", plan.seed);
        }
        if clock.now().since(told).as_secs() >= 10 {
            told = clock.now();
            eprintln!(
                "{} of {} runs, {} kills, {} violations",
                tally.runs,
                request.runs,
                tally.killed(),
                tally.violations
            );
        }
    };
    let tally = run_all(seeds, request.width, &request.setting, ended).await?;
    Ok(verdict(&tally, &clock))
}

fn verdict(tally: &Tally, clock: &SystemClock) -> bool {
    print!("{tally}");
    let seconds = clock.now().since_start().as_secs_f64();
    println!("{:<26} {seconds:>9.1}", "seconds");
    tally.violations == 0
}

/// One after the other: each has processes enough.
async fn workers(seeds: Range<u64>, setting: &Setting) -> Result<Tally> {
    let mut tally = Tally::default();
    for seed in seeds {
        let outcome = run_workers(seed, setting).await?;
        println!("workers, seed {seed}");
        told(&outcome, &mut tally);
    }
    Ok(tally)
}

/// One after the other: each has processes enough.
async fn batches(seeds: Range<u64>, batch: &Batch, request: &Request) -> Result<Tally> {
    let mut tally = Tally::default();
    for seed in seeds {
        let outcome = run_batch(seed, batch, &request.setting).await?;
        if request.tells || !outcome.violations.is_empty() {
            println!("batch, seed {seed}, {batch:?}");
            told(&outcome, &mut tally);
        } else {
            tally.add(&outcome);
        }
    }
    Ok(tally)
}

fn told(outcome: &Outcome, tally: &mut Tally) {
    for line in &outcome.story {
        println!("  {line}");
    }
    tally.add(outcome);
}
