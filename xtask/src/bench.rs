//! `bench NAME`: measures what the design promises, beside what people use instead.

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

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::metadata;

pub(crate) const NAMES: &str =
    "http | ledger | ledger-size | limits | memory | schedules | scheduler | serve | work | year";

/// Runs one bench: a table on stdout, figures and a plot under `target/bench`.
pub(crate) fn run(root: &Path, words: &[&str]) -> Result<()> {
    match words {
        ["http"] => http::run(root),
        ["ledger", words @ ..] => ledger::run(root, words),
        ["ledger-size", words @ ..] => ledger_size::run(root, words),
        ["limits"] => limits::run(root),
        ["memory"] => fleet::memory(root),
        ["schedules"] => schedules::run(root),
        ["scheduler"] => fleet::scheduler(root),
        ["serve", words @ ..] => serve::run(root, words),
        ["work", words @ ..] => work::run(root, words),
        ["year"] => fleet::year(root),
        _ => bail!("say `cargo xtask bench {NAMES}`"),
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

/// Whether a goal is reached, and if not, by how much it is missed.
fn verdict(goal: &str, value: f64, most: f64) -> String {
    if value <= most {
        format!("kept at {:.0} % of the bound: {goal}", value / most * 100.0)
    } else {
        format!("MISSED by {:.1} %: {goal}", (value / most - 1.0) * 100.0)
    }
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
        assert_eq!(verdict("few", 0.5, 1.0), "kept at 50 % of the bound: few");
        assert_eq!(verdict("few", 1.5, 1.0), "MISSED by 50.0 %: few");
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
