//! Many seeds at once, and what came of all of them.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use anyhow::{Context as _, Result};
use tokio::task::JoinSet;

use super::compare::Violation;
use super::plan::Plan;
use super::run::{Outcome, Setting, run};

/// The sum of many runs.
#[derive(Debug, Default)]
pub struct Tally {
    /// Seeds run.
    pub runs: u64,
    /// Processes started.
    pub processes: u64,
    /// Kills by kind of point.
    pub kills: BTreeMap<&'static str, u64>,
    /// Processes that ended before the point at which they were to be killed.
    pub missed: u64,
    /// Charges in the vendors' ledgers.
    pub charges: u64,
    /// Jobs that ended with their result.
    pub done: u64,
    /// Jobs reported as in doubt.
    pub unknown: u64,
    /// Jobs that ended without result, none of them charged.
    pub failed: u64,
    /// Inputs paid for twice.
    pub double_charges: u64,
    /// Jobs paid for and lost.
    pub lost_jobs: u64,
    /// Broken promises of any kind.
    pub violations: u64,
}

impl Tally {
    /// Adds a run.
    pub fn add(&mut self, outcome: &Outcome) {
        self.runs += 1;
        self.processes += outcome.processes;
        for (kind, count) in &outcome.kills {
            *self.kills.entry(kind).or_default() += count;
        }
        self.missed += outcome.missed;
        self.charges += outcome.charges;
        self.done += outcome.done;
        self.unknown += outcome.unknown;
        self.failed += outcome.failed;
        let count = |is: fn(&Violation) -> bool| {
            outcome.violations.iter().filter(|one| is(one)).count() as u64
        };
        self.double_charges += count(Violation::is_double_charge);
        self.lost_jobs += count(Violation::is_lost_job);
        self.violations += count(|_| true);
    }

    /// All kills.
    pub fn killed(&self) -> u64 {
        self.kills.values().sum()
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = |name: &str, count: u64| writeln!(f, "{name:<26} {count:>9}");
        line("runs", self.runs)?;
        line("processes", self.processes)?;
        line("kills", self.killed())?;
        for (kind, count) in &self.kills {
            line(&format!("  {kind}"), *count)?;
        }
        line("ended before the point", self.missed)?;
        line("charges", self.charges)?;
        line("done", self.done)?;
        line("reported as in doubt", self.unknown)?;
        line("failed, not charged", self.failed)?;
        line("double charges", self.double_charges)?;
        line("lost jobs", self.lost_jobs)?;
        line("violations", self.violations)
    }
}

/// Runs the plans of these seeds, at most `width` at once; `ended` is told of each.
///
/// # Errors
/// The harness itself failed.
pub async fn run_all(
    seeds: Range<u64>,
    width: usize,
    setting: &Setting,
    mut ended: impl FnMut(&Plan, &Outcome, &Tally),
) -> Result<Tally> {
    let mut tally = Tally::default();
    let mut running = JoinSet::new();
    let mut seeds = seeds.fuse();
    loop {
        while running.len() < width.max(1)
            && let Some(seed) = seeds.next()
        {
            let setting = setting.clone();
            running.spawn(async move {
                let plan = Plan::of(seed);
                let outcome = run(&plan, &setting).await;
                (plan, outcome)
            });
        }
        let Some(joined) = running.join_next().await else {
            return Ok(tally);
        };
        let (plan, outcome) = joined?;
        let outcome = outcome.with_context(|| plan.to_string())?;
        tally.add(&outcome);
        ended(&plan, &outcome, &tally);
    }
}
