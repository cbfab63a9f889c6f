//! `bench NAME`: measures what the design promises, beside what people use instead.

mod all;
mod chart;
mod fleet;
mod hook_to_poll;
mod http;
mod ledger;
mod ledger_size;
mod limits;
mod rounds;
mod schedules;
mod serve;
mod work;

use std::fmt;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::metadata;

pub(crate) const NAMES: &str = "all [--json] [--postgres URL] | http | ledger | ledger-size | limits | memory | \
                                 schedules | scheduler | serve | work | year";

/// Prints its table, and gives the goals with what was measured.
type Bench = fn(&Path, &[&str]) -> Result<Vec<Goal>>;

const BENCHES: [(&str, Bench); 10] = [
    ("memory", fleet::memory),
    ("scheduler", fleet::scheduler),
    ("http", http::run),
    ("schedules", schedules::run),
    ("limits", limits::run),
    ("ledger", ledger::run),
    ("year", fleet::year),
    ("work", work::run),
    ("ledger-size", ledger_size::run),
    ("serve", serve::run),
];
/// Those that also measure the ledger that machines share.
const ON_POSTGRES: [&str; 2] = ["ledger", "work"];

/// Runs one bench, or all of them: tables on stdout, figures and plots under `target/bench`.
pub(crate) fn run(root: &Path, words: &[&str]) -> Result<()> {
    let [name, words @ ..] = words else {
        bail!("say `cargo xtask bench {NAMES}`");
    };
    if *name == "all" {
        return all::run(root, words);
    }
    let Some((_, bench)) = BENCHES.iter().find(|(known, _)| known == name) else {
        bail!("say `cargo xtask bench {NAMES}`");
    };
    for goal in bench(root, words)? {
        println!("{goal}");
    }
    Ok(())
}

fn no_words(words: &[&str]) -> Result<()> {
    match words.first() {
        None => Ok(()),
        Some(word) => bail!("this bench takes no {word}"),
    }
}

/// A goal of the design and what was measured of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Goal {
    /// Its row in the design's table.
    row: u8,
    goal: String,
    measured: f64,
    bound: f64,
    /// Whether less than the bound misses it, and not more.
    is_least: bool,
}

impl Goal {
    fn at_most(row: u8, goal: impl Into<String>, measured: f64, bound: f64) -> Self {
        Self {
            row,
            goal: goal.into(),
            measured,
            bound,
            is_least: false,
        }
    }

    fn at_least(row: u8, goal: impl Into<String>, measured: f64, bound: f64) -> Self {
        Self {
            is_least: true,
            ..Self::at_most(row, goal, measured, bound)
        }
    }

    /// How much of the bound is used; more than all of it is too much.
    fn share(&self) -> f64 {
        if self.is_least {
            self.bound / self.measured
        } else {
            self.measured / self.bound
        }
    }

    fn is_kept(&self) -> bool {
        self.share() <= 1.0
    }
}

/// Whether it is reached, and if not, by how much it is missed.
impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let share = 100.0 * self.share();
        if self.is_kept() {
            write!(f, "kept at {share:.0} % of the bound: {}", self.goal)
        } else {
            write!(f, "MISSED by {:.1} %: {}", share - 100.0, self.goal)
        }
    }
}

/// What the simulations of `jobs-core` print, one JSON object a line.
///
/// Built without optimisation: these figures are counts in virtual time, which no compiler changes.
fn simulated<T: DeserializeOwned>(root: &Path, word: &str) -> Result<Vec<T>> {
    let output = Command::new(metadata::cargo())
        .args(["run", "--quiet", "--package", "jobs-core"])
        .args(["--features", "testing", "--example", "simulate", "--", word])
        .current_dir(root)
        .stderr(Stdio::inherit())
        .output()
        .context("cannot start cargo")?;
    if !output.status.success() {
        bail!("the simulation `{word}` failed ({})", output.status);
    }
    read(&String::from_utf8(output.stdout).context("it printed something else than text")?)
}

fn read<T: DeserializeOwned>(text: &str) -> Result<Vec<T>> {
    text.lines()
        .map(|line| serde_json::from_str(line).with_context(|| format!("not understood: {line}")))
        .collect()
}

/// Figures as JSON and a plot, for whoever reads them later.
fn keep(root: &Path, name: &str, figures: &impl Serialize, plot: &str) -> Result<()> {
    let folder = root.join("target").join("bench");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let json = serde_json::to_string_pretty(figures)?;
    for (ending, text) in [("json", json.as_str()), ("svg", plot)] {
        let path = folder.join(format!("{name}.{ending}"));
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    println!("\nfigures and plot: target/bench/{name}.json and .svg");
    Ok(())
}

/// Rows in the form of Markdown, so that they can go into a README as they are.
fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let head: Vec<String> = head.iter().map(|cell| (*cell).to_owned()).collect();
    let widths: Vec<usize> = head
        .iter()
        .enumerate()
        .map(|(column, name)| {
            let cells = rows.iter().filter_map(|row| row.get(column));
            let cells = cells.chain([name]).map(|cell| cell.chars().count());
            cells.max().unwrap_or_default()
        })
        .collect();
    let line = |cells: &[String]| {
        let cells = cells.iter().zip(&widths);
        let cells: Vec<String> = cells
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        format!("| {} |\n", cells.join(" | "))
    };
    let rule: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
    let mut text = line(&head) + &line(&rule);
    for row in rows {
        text.push_str(&line(row));
    }
    text
}

/// The least time that so many of a hundred do not exceed.
fn percentile(times: &mut [Duration], percent: usize) -> Duration {
    times.sort_unstable();
    let at = (times.len() * percent / 100).min(times.len().saturating_sub(1));
    times.get(at).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_as_wide_as_its_widest_cells() {
        let rows = [vec!["a".to_owned(), "1.25".to_owned()]];
        assert_eq!(
            table(&["policy", "s"], &rows),
            "| policy | s    |\n| ------ | ---- |\n| a      | 1.25 |\n"
        );
    }

    #[test]
    fn a_missed_goal_says_by_how_much() {
        let most = |measured| Goal::at_most(1, "few", measured, 1.0).to_string();
        assert_eq!(most(0.5), "kept at 50 % of the bound: few");
        assert_eq!(most(1.5), "MISSED by 50.0 %: few");
        let least = |measured| Goal::at_least(1, "many", measured, 1.0).to_string();
        assert_eq!(least(2.0), "kept at 50 % of the bound: many");
        assert_eq!(least(0.5), "MISSED by 100.0 %: many");
    }

    #[test]
    fn a_goal_without_a_figure_is_missed() {
        assert!(!Goal::at_most(1, "few", f64::NAN, 1.0).is_kept());
        assert!(!Goal::at_least(1, "many", f64::NAN, 1.0).is_kept());
    }

    #[test]
    fn every_bench_is_named() {
        for (name, _) in BENCHES {
            assert!(NAMES.split([' ', '|']).any(|word| word == name), "{name}");
        }
    }

    #[test]
    fn a_line_that_is_no_figure_is_named() {
        assert_eq!(read::<u32>("1\n2\n").unwrap(), [1, 2]);
        let error = read::<u32>("1\nwarning\n").unwrap_err();
        assert_eq!(error.to_string(), "not understood: warning");
    }

    #[test]
    fn an_unknown_name_is_refused() {
        assert!(run(Path::new("."), &["pasing"]).is_err());
        assert!(run(Path::new("."), &[]).is_err());
    }
}
