//! Claiming and settling in batches, beside bare SQLite loops that do the same by hand.

use std::path::Path;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::chart::{self, Group};
use super::rounds::{self, Program};

/// Jobs claimed and settled in a second, medians of turns.
#[derive(Debug, Serialize, Deserialize)]
struct Figures {
    batch: u32,
    jobs: u32,
    turns: u32,
    bare_by_rows_per_s: f64,
    bare_by_batches_per_s: f64,
    ledger_per_s: f64,
}

pub(super) fn run(root: &Path) -> Result<()> {
    let program = Program::ours(root, "jobs-ledger", "bench", None)?;
    let figures: Figures = program.run(&["--json"])?;
    println!("{}\n", rounds::machine());
    let ours = figures.ledger_per_s;
    let row = |name: &str, per_s: f64| {
        vec![
            name.to_owned(),
            format!("{per_s:.0}"),
            format!("{:.0} %", 100.0 * ours / per_s),
        ]
    };
    let rows = [
        row("jobs-ledger, 256 at once", ours),
        row("bare SQLite, a statement a job", figures.bare_by_rows_per_s),
        row(
            "bare SQLite, a statement for 256",
            figures.bare_by_batches_per_s,
        ),
    ];
    let head = ["loop", "jobs a second", "ours in per cent of it"];
    print!("{}", super::table(&head, &rows));
    println!();
    for (neighbour, per_s) in [
        ("job by job", figures.bare_by_rows_per_s),
        ("in batches", figures.bare_by_batches_per_s),
    ] {
        let goal = format!("at least half of a bare SQLite loop, {neighbour}");
        println!("{}", super::verdict(&goal, 0.5 * per_s, ours));
    }
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
    super::keep(root, "ledger", &figures, &plot)
}
