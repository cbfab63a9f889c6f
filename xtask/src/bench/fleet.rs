//! The fleet: processor time for each poll, bytes for each job, a year of jobs.

use std::path::Path;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::Goal;
use super::chart::{self, Group};
use super::rounds::{Program, machine, median};

const ROUNDS: usize = 5;
const JOBS: &str = "100000";

#[derive(Debug, Deserialize)]
struct Round {
    nanos_per_poll: f64,
    polls: u64,
    requests: u64,
}

/// One way to wait, over all rounds.
#[derive(Debug, Serialize)]
struct Contestant {
    name: &'static str,
    nanos_per_poll: Vec<f64>,
    median: f64,
    polls: u64,
    requests: u64,
}

/// A hundred thousand jobs of ten polls each in virtual time.
pub(super) fn scheduler(root: &Path, words: &[&str]) -> Result<Vec<Goal>> {
    super::no_words(words)?;
    let ours = Program::ours(root, "jobs-core", "bench_fleet", Some("testing"))?;
    let peers = Program::peers(root)?;
    let ways: [(&'static str, &Program, &[&str]); 6] = [
        ("fleet, one id a poll", &ours, &["scheduler", JOBS, "1"]),
        ("fleet, 100 ids a poll", &ours, &["scheduler", JOBS, "100"]),
        ("a task with a sleep for each job", &peers, &["plain", JOBS]),
        (
            "google-cloud-lro, a poller for each",
            &peers,
            &["google", JOBS],
        ),
        ("azure_core, a poller for each", &peers, &["azure", JOBS]),
        ("AWS SDK, a waiter for each", &peers, &["aws", JOBS]),
    ];
    let mut figures: Vec<Contestant> = Vec::new();
    for _ in 0..ROUNDS {
        for (at, (name, program, words)) in ways.iter().enumerate() {
            let round: Round = program.run(words)?;
            if figures.len() == at {
                figures.push(Contestant {
                    name,
                    nanos_per_poll: Vec::new(),
                    median: 0.0,
                    polls: round.polls,
                    requests: round.requests,
                });
            }
            if let Some(figure) = figures.get_mut(at) {
                figure.nanos_per_poll.push(round.nanos_per_poll);
            }
        }
    }
    for figure in &mut figures {
        figure.median = median(figure.nanos_per_poll.clone());
    }
    let plain = figures.get(2).map_or(f64::NAN, |figure| figure.median);
    println!(
        "{}; {JOBS} jobs, {ROUNDS} rounds in turn, processor time\n",
        machine()
    );
    let rows: Vec<Vec<String>> = figures
        .iter()
        .map(|figure| {
            vec![
                figure.name.to_owned(),
                figure.polls.to_string(),
                figure.requests.to_string(),
                format!("{:.0} ns", figure.median),
                format!("{:.2}", figure.median / plain),
            ]
        })
        .collect();
    let head = ["way to wait", "polls", "requests", "for each poll", "ratio"];
    println!("{}", super::table(&head, &rows));
    let beside = [("one id", 1.0), ("100 ids", 0.5)];
    let goals = figures.iter().zip(beside).map(|(figure, (ids, most))| {
        let goal = format!("{ids}: at most {most} of a plain loop's processor time a poll");
        Goal::at_most(3, goal, figure.median / plain, most)
    });
    let goals = goals.collect();
    let bars = figures
        .iter()
        .map(|figure| (figure.name.to_owned(), figure.median));
    let group = Group {
        name: format!("{JOBS} jobs"),
        bars: bars.collect(),
    };
    let plot = chart::bars("Processor time for each poll", "ns", &[group]);
    super::keep(root, "scheduler", &figures, &plot)?;
    Ok(goals)
}

/// What a million waiting jobs take.
#[derive(Debug, Serialize, Deserialize)]
struct Memory {
    bytes_watched: f64,
    bytes_polled: f64,
    bytes_counted: f64,
    polls: u64,
}

pub(super) fn memory(root: &Path, words: &[&str]) -> Result<Vec<Goal>> {
    super::no_words(words)?;
    let ours = Program::ours(root, "jobs-core", "bench_fleet", Some("testing"))?;
    let figure: Memory = ours.run(&["memory", "1000000"])?;
    println!("{}; 1000000 jobs with ids of 36 bytes\n", machine());
    let rows = [
        ("growth of the process, all watched", figure.bytes_watched),
        ("growth of the process, all polled", figure.bytes_polled),
        ("the fleet's own count", figure.bytes_counted),
    ];
    let cells: Vec<Vec<String>> = rows
        .iter()
        .map(|(name, bytes)| vec![(*name).to_owned(), format!("{bytes:.1}")])
        .collect();
    println!(
        "{}",
        super::table(&["measured as", "bytes for each job"], &cells)
    );
    let group = Group {
        name: "1000000 jobs".to_owned(),
        bars: rows.map(|(name, bytes)| (name.to_owned(), bytes)).into(),
    };
    let plot = chart::bars("Memory for each waiting job", "bytes", &[group]);
    super::keep(root, "memory", &figure, &plot)?;
    let goal = "at most 128 bytes a waiting job of a million";
    Ok(vec![Goal::at_most(2, goal, figure.bytes_polled, 128.0)])
}

/// A year in virtual time.
#[derive(Debug, Serialize, Deserialize)]
struct Year {
    seconds: f64,
    polls: u64,
    requests: u64,
    virtual_days: f64,
}

pub(super) fn year(root: &Path, words: &[&str]) -> Result<Vec<Goal>> {
    super::no_words(words)?;
    let ours = Program::ours(root, "jobs-core", "bench_fleet", Some("testing"))?;
    println!(
        "{}; 1000000 jobs over a year of virtual time, processor time\n",
        machine()
    );
    let mut figures: Vec<Year> = Vec::new();
    for batch in ["1", "50"] {
        figures.push(ours.run(&["year", "1000000", batch])?);
    }
    let names = ["one id a poll", "50 ids a poll"];
    let rows: Vec<Vec<String>> = names
        .iter()
        .zip(&figures)
        .map(|(name, year)| {
            vec![
                (*name).to_owned(),
                format!("{:.1}", year.virtual_days),
                year.polls.to_string(),
                year.requests.to_string(),
                format!("{:.1} s", year.seconds),
            ]
        })
        .collect();
    let head = ["kind", "days", "polls", "requests", "took"];
    println!("{}", super::table(&head, &rows));
    let goals = names.iter().zip(&figures).map(|(name, year)| {
        let goal = format!("a year with a million jobs, {name}: at most 30 s");
        Goal::at_most(11, goal, year.seconds, 30.0)
    });
    let goals = goals.collect();
    let bars = names.iter().zip(&figures);
    let group = Group {
        name: "1000000 jobs".to_owned(),
        bars: bars
            .map(|(name, year)| ((*name).to_owned(), year.seconds))
            .collect(),
    };
    let plot = chart::bars("A year in virtual time", "s", &[group]);
    super::keep(root, "year", &figures, &plot)?;
    Ok(goals)
}
