//! The fleet over HTTP on loopback, beside a bare loop of the same client library.

use std::path::Path;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::Goal;
use super::chart::{self, Group};
use super::rounds::{Program, machine, median};

const ROUNDS: &str = "15";
const POLLS: &str = "10000";

/// One way to poll, over all rounds.
#[derive(Debug, Serialize, Deserialize)]
struct Figures {
    rates: Vec<f64>,
    nanos: Vec<f64>,
    polls: u64,
    requests: u64,
}

#[derive(Debug, Serialize, Deserialize)]
struct All {
    bare: Figures,
    single: Figures,
    batched: Figures,
}

impl Figures {
    /// The middle of the ratios to `other`, each of one round.
    fn beside(&self, other: &Self) -> f64 {
        let pairs = self.rates.iter().zip(&other.rates);
        median(pairs.map(|(ours, theirs)| ours / theirs).collect())
    }
}

/// Single polls and polls of a hundred, each in turn with the bare loop.
pub(super) fn run(root: &Path, words: &[&str]) -> Result<Vec<Goal>> {
    super::no_words(words)?;
    let program = Program::ours(root, "jobs-core", "bench_http", Some("http,testing"))?;
    let all: All = program.run(&[ROUNDS, POLLS])?;
    println!(
        "{}; {ROUNDS} rounds in turn, 16 requests under way at once, server on a thread of its own\n",
        machine()
    );
    let ways = [
        ("bare reqwest loop", &all.bare),
        ("fleet, one id a poll", &all.single),
        ("fleet, 100 ids a poll", &all.batched),
    ];
    let rows = ways.map(|(name, figures)| {
        vec![
            name.to_owned(),
            format!("{:.1}", figures.polls as f64 / figures.requests as f64),
            format!("{:.0}", median(figures.rates.clone())),
            format!("{:.1} µs", median(figures.nanos.clone()) / 1000.0),
            format!("{:.2}", figures.beside(&all.bare)),
        ]
    });
    let head = [
        "way to poll",
        "ids a request",
        "ids a second",
        "processor time",
        "ratio",
    ];
    println!("{}", super::table(&head, &rows));
    let single = all.single.beside(&all.bare);
    let batched = all.batched.beside(&all.bare);
    let goals = vec![
        Goal::at_least(
            3,
            "over HTTP, one id: at least 0.9 of a bare loop's rate",
            single,
            0.9,
        ),
        Goal::at_least(
            3,
            "over HTTP, 100 ids: at least 25 times a bare loop's rate",
            batched,
            25.0,
        ),
    ];
    let bars = ways.map(|(name, figures)| (name.to_owned(), median(figures.rates.clone())));
    let group = Group {
        name: "on loopback".to_owned(),
        bars: bars.into(),
    };
    let plot = chart::bars("Jobs polled in a second", "ids", &[group]);
    super::keep(root, "http", &all, &plot)?;
    Ok(goals)
}
