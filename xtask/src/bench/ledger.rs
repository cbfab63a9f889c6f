//! Claiming and settling in batches, beside bare loops that do the same by hand on the same store.

use std::path::Path;

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};

use super::Goal;
use super::chart::{self, Group};
use super::rounds::{self, Program};

/// The share of a bare loop in batches that is to be reached.
const GOAL: f64 = 0.6;

/// Jobs claimed and settled in a second, medians of turns: of processor time on SQLite, by the clock on PostgreSQL, where
/// the server works.
#[derive(Debug, Serialize, Deserialize)]
struct Figures {
    batch: u32,
    jobs: u32,
    turns: u32,
    bare_by_rows_per_s: f64,
    bare_by_batches_per_s: f64,
    ledger_per_s: f64,
    bare_postgres_per_s: Option<f64>,
    postgres_per_s: Option<f64>,
}

/// `bench ledger [--postgres URL]`.
pub(super) fn run(root: &Path, words: &[&str]) -> Result<Vec<Goal>> {
    if !matches!(words, [] | ["--postgres", _]) {
        bail!("say `cargo xtask bench ledger [--postgres URL]`");
    }
    let program = Program::ours(root, "jobs-ledger", "bench", None)?;
    let figures: Figures = program.run(&[&["--json"], words].concat())?;
    println!("{}\n", rounds::machine());
    let ours = figures.ledger_per_s;
    let row = |name: &str, per_s: f64, ours: f64| {
        vec![
            name.to_owned(),
            format!("{per_s:.0}"),
            format!("{:.0} %", 100.0 * ours / per_s),
        ]
    };
    let batches = figures.bare_by_batches_per_s;
    let by_rows = figures.bare_by_rows_per_s;
    let mut rows = vec![
        row("jobs-ledger, 256 at once", ours, ours),
        row("bare SQLite, a statement a job", by_rows, ours),
        row("bare SQLite, a statement for 256", batches, ours),
    ];
    let goal = |store: &str, ours: f64, bare: f64| {
        let goal = format!("{store}: at least 60 % of a bare loop's claims and writes in batches");
        Goal::at_least(9, goal, ours / bare, GOAL)
    };
    let mut goals = vec![goal("SQLite", ours, batches)];
    if let (Some(bare), Some(ours)) = (figures.bare_postgres_per_s, figures.postgres_per_s) {
        rows.push(row("jobs-ledger on PostgreSQL", ours, ours));
        rows.push(row("bare PostgreSQL, a statement for 256", bare, ours));
        goals.push(goal("PostgreSQL", ours, bare));
    }
    let head = ["loop", "jobs a second", "ours in per cent of it"];
    print!("{}", super::table(&head, &rows));
    let bars = [
        ("ours", ours),
        ("bare, in batches", figures.bare_by_batches_per_s),
        ("bare, job by job", figures.bare_by_rows_per_s),
    ];
    let group = Group {
        name: format!("{} jobs at batch {}", figures.jobs, figures.batch),
        bars: bars.map(|(name, per_s)| (name.to_owned(), per_s)).into(),
    };
    let plot = chart::bars("Claim and fenced settle", "jobs a second", &[group]);
    super::keep(root, "ledger", &figures, &plot)?;
    Ok(goals)
}
