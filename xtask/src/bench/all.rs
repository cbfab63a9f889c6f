//! `bench all`: every bench, and one table with the goals of the design.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use serde::Serialize;

use super::{BENCHES, Goal, ON_POSTGRES, rounds};

/// The rows of the design that no bench measures, and what does.
const ELSEWHERE: [(u8, &str, &str); 7] = [
    (
        1,
        "never buys twice, loses nothing",
        "`cargo xtask crash --runs 10000`",
    ),
    (
        5,
        "requests a job with 10 000 open ones",
        "the tests of `jobs-core`",
    ),
    (
        7,
        "a job of a killed worker is taken over in time",
        "the tests of `docjobs-tests`",
    ),
    (
        8,
        "no stale writer is accepted",
        "the example `schedules` of `jobs-ledger`",
    ),
    (
        10,
        "downloads that are cut anywhere",
        "the tests of `jobs-core`",
    ),
    (12, "crates of each package", "`cargo xtask ci features`"),
    (
        15,
        "first contact",
        "README's first command in an empty home",
    ),
];

#[derive(Debug, Serialize)]
struct Table {
    commit: String,
    machine: String,
    goals: Vec<Goal>,
}

/// `bench all [--json] [--postgres URL]`: with `--json`, the last line is the table.
pub(super) fn run(root: &Path, words: &[&str]) -> Result<()> {
    let (mut json, mut postgres) = (false, None);
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match *word {
            "--json" => json = true,
            "--postgres" => postgres = Some(*words.next().context("--postgres takes a URL")?),
            _ => bail!("say `cargo xtask bench all [--json] [--postgres URL]`"),
        }
    }
    let mut goals = Vec::new();
    for (name, bench) in BENCHES {
        println!("\n## {name}\n");
        let words = postgres.map(|url| ["--postgres", url]);
        let words = words.filter(|_| ON_POSTGRES.contains(&name));
        goals.extend(bench(
            root,
            words.as_ref().map_or(&[], |words| words.as_slice()),
        )?);
    }
    goals.sort_by_key(|goal| goal.row);
    let table = Table {
        commit: commit(root)?,
        machine: rounds::machine(),
        goals,
    };
    println!(
        "\ncommit {}; {}\n\n{}",
        table.commit,
        table.machine,
        markdown(&table.goals)
    );
    let path = root.join("target/bench/all.json");
    std::fs::write(&path, serde_json::to_string_pretty(&table)?)
        .with_context(|| format!("cannot write {}", path.display()))?;
    if json {
        println!("{}", serde_json::to_string(&table)?);
    }
    Ok(())
}

fn markdown(goals: &[Goal]) -> String {
    let measured = goals.iter().map(|goal| {
        let outcome = if goal.is_kept() { "kept" } else { "missed" };
        let share = format!("{:.0} % of the bound", 100.0 * goal.share());
        (
            goal.row,
            vec![
                goal.row.to_string(),
                goal.goal.clone(),
                share,
                outcome.to_owned(),
            ],
        )
    });
    let elsewhere = ELSEWHERE.iter().map(|(row, goal, by)| {
        let cells = [
            row.to_string(),
            (*goal).to_owned(),
            "measured by".to_owned(),
            (*by).to_owned(),
        ];
        (*row, Vec::from(cells))
    });
    let mut rows: Vec<(u8, Vec<String>)> = measured.chain(elsewhere).collect();
    rows.sort_by_key(|(row, _)| *row);
    let rows: Vec<Vec<String>> = rows.into_iter().map(|(_, cells)| cells).collect();
    super::table(&["row", "goal", "measured", "outcome"], &rows)
}

/// The commit, marked where the files are not those of it.
fn commit(root: &Path) -> Result<String> {
    let git = |words: &[&str]| {
        let output = Command::new("git").args(words).current_dir(root).output();
        let output = output.context("cannot start git")?;
        ensure!(output.status.success(), "git {} failed", words.join(" "));
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    };
    let commit = git(&["rev-parse", "--short=12", "HEAD"])?;
    let is_clean = git(&["status", "--porcelain", "--untracked-files=no"])?.is_empty();
    Ok(if is_clean {
        commit
    } else {
        format!("{commit} and changes")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_of_the_design_stands_in_the_table_once_or_more() {
        let goals: Vec<Goal> = [2, 3, 4, 6, 9, 11, 13, 14, 16]
            .map(|row| Goal::at_most(row, "few", 1.0, 2.0))
            .into();
        let table = markdown(&goals);
        let rows: Vec<&str> = table.lines().skip(2).collect();
        assert_eq!(rows.len(), 16);
        for (row, line) in (1..=16).zip(rows) {
            assert!(line.starts_with(&format!("| {row} ")), "{line}");
        }
        assert!(table.contains("50 % of the bound"));
    }
}
