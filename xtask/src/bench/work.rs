//! Jobs from intended to a file on disk, by a worker and by a bare loop with the same requests and as many flushes.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};

use super::Goal;
use super::chart::{self, Group};
use super::rounds::{self, Process, Program};

/// The share of the bare loop's rate that is to be reached.
const GOAL: f64 = 0.7;
/// Milliseconds of processor time that a job may take.
const CPU: f64 = 1.0;
const ROUNDS: usize = 3;

#[derive(Debug, Deserialize)]
struct Run {
    seconds: f64,
    cpu_seconds: f64,
    flushes: u64,
}

/// Medians on one store.
#[derive(Debug, Serialize)]
struct Figures {
    store: &'static str,
    jobs: u32,
    ours_per_s: f64,
    bare_per_s: f64,
    ours_cpu_ms: f64,
    bare_cpu_ms: f64,
    flushes_per_job: f64,
}

/// `bench work [--jobs N] [--postgres URL]`.
pub(super) fn run(root: &Path, words: &[&str]) -> Result<Vec<Goal>> {
    let (mut jobs, mut postgres) = (10_000, None);
    for pair in words.chunks(2) {
        match pair {
            ["--jobs", number] => jobs = number.parse().context("--jobs takes a number")?,
            ["--postgres", url] => postgres = Some(*url),
            _ => bail!("say `cargo xtask bench work [--jobs N] [--postgres URL]`"),
        }
    }
    let program = Program::ours(root, "docjobs-tests", "bench_work", None)?;
    let mut all = vec![measure(root, &program, jobs, None)?];
    if let Some(url) = postgres {
        all.push(measure(root, &program, jobs, Some(url))?);
    }
    println!("{}\n", rounds::machine());
    let rows = all.iter().flat_map(|it| {
        let row = |who: &str, per_s: f64, cpu: f64| {
            let share = format!("{:.0} %", 100.0 * per_s / it.bare_per_s);
            let name = format!("{who}, {}", it.store);
            vec![name, format!("{per_s:.0}"), share, format!("{cpu:.2} ms")]
        };
        [
            row("worker", it.ours_per_s, it.ours_cpu_ms),
            row("bare loop", it.bare_per_s, it.bare_cpu_ms),
        ]
    });
    let head = [
        "way",
        "jobs a second",
        "of the bare loop",
        "processor time a job",
    ];
    print!("{}", super::table(&head, &rows.collect::<Vec<_>>()));
    println!();
    for it in &all {
        println!("{}: {:.2} flushes a job", it.store, it.flushes_per_job);
    }
    let goals = all.iter().flat_map(|it| {
        let rate = format!(
            "{}: at least 70 % of a bare loop from intended to a file",
            it.store
        );
        let cpu = format!("{}: at most 1 ms of processor time a job", it.store);
        [
            Goal::at_least(13, rate, it.ours_per_s / it.bare_per_s, GOAL),
            Goal::at_most(13, cpu, it.ours_cpu_ms, CPU),
        ]
    });
    let goals = goals.collect();
    let group = |it: &Figures| Group {
        name: it.store.to_owned(),
        bars: vec![
            ("worker".to_owned(), it.ours_per_s),
            ("bare loop".to_owned(), it.bare_per_s),
        ],
    };
    let groups: Vec<Group> = all.iter().map(group).collect();
    let plot = chart::bars("From intended to a file on disk", "jobs a second", &groups);
    super::keep(root, "work", &all, &plot)?;
    Ok(goals)
}

fn measure(root: &Path, program: &Program, jobs: u32, postgres: Option<&str>) -> Result<Figures> {
    let folder = root.join("target/bench/work");
    let count = jobs.to_string();
    let (mut ours, mut bare): (Vec<Run>, Vec<Run>) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        drop(std::fs::remove_dir_all(&folder));
        std::fs::create_dir_all(&folder).context("cannot make target/bench/work")?;
        // A new one each time: it keeps all jobs, and its memory is not what is measured.
        let vendor = Vendor::start(program)?;
        let file = folder.join("ledger.db").display().to_string();
        let store = postgres.unwrap_or(&file);
        let run: Run = program.run(&["ours", &vendor.url, &count, store])?;
        let flushes = run.flushes.to_string();
        let mut words = vec!["bare", vendor.url.as_str(), &count, &flushes];
        words.extend(postgres);
        bare.push(program.run(&words)?);
        ours.push(run);
    }
    let jobs_f = f64::from(jobs);
    let per_s =
        |runs: &[Run]| rounds::median(runs.iter().map(|run| jobs_f / run.seconds).collect());
    let cpu = |runs: &[Run]| {
        rounds::median(
            runs.iter()
                .map(|run| 1000.0 * run.cpu_seconds / jobs_f)
                .collect(),
        )
    };
    #[allow(clippy::cast_precision_loss, reason = "a count of thousands")]
    let flushes = ours.iter().map(|run| run.flushes as f64 / jobs_f).collect();
    Ok(Figures {
        store: if postgres.is_some() {
            "PostgreSQL"
        } else {
            "SQLite"
        },
        jobs,
        ours_per_s: per_s(&ours),
        bare_per_s: per_s(&bare),
        ours_cpu_ms: cpu(&ours),
        bare_cpu_ms: cpu(&bare),
        flushes_per_job: rounds::median(flushes),
    })
}

struct Vendor {
    _process: Process,
    url: String,
}

impl Vendor {
    fn start(program: &Program) -> Result<Self> {
        let mut child = Command::new(program.path())
            .arg("vendor")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start the simulator")?;
        let mut line = String::new();
        let stdout = child.stdout.take().context("no output")?;
        BufReader::new(stdout).read_line(&mut line)?;
        let told: serde_json::Value =
            serde_json::from_str(&line).with_context(|| format!("not understood: {line}"))?;
        let url = told.get("url").and_then(serde_json::Value::as_str);
        let url = url.context("no address")?.to_owned();
        let _process = Process(child);
        Ok(Self { _process, url })
    }
}
