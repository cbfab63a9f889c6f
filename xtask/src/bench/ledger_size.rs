//! What a ledger with millions of settled jobs costs beside one with thousands.

use std::path::Path;

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};

use super::Goal;
use super::chart::{self, Group};
use super::rounds::{self, Program};

/// So many times the small ledger's time.
const MOST: f64 = 2.0;

#[derive(Debug, Serialize, Deserialize)]
struct Figures {
    small: u32,
    large: u32,
    rows: Vec<Question>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Question {
    question: String,
    small_ms: f64,
    large_ms: f64,
    ratio: f64,
}

/// `bench ledger-size [--jobs N]`: the large ledger has ten million jobs unless said otherwise.
pub(super) fn run(root: &Path, words: &[&str]) -> Result<Vec<Goal>> {
    let program = Program::ours(root, "jobs-ledger", "ledger_size", None)?;
    let folder = root.join("target/bench");
    std::fs::create_dir_all(&folder)?;
    let folder = folder.display().to_string();
    let mut with = vec!["--json", "--folder", folder.as_str()];
    match words {
        [] => {}
        ["--jobs", jobs] => with.extend(["--jobs", jobs]),
        _ => bail!("say `cargo xtask bench ledger-size [--jobs N]`"),
    }
    let figures: Figures = program.run(&with)?;
    println!("{}\n", rounds::machine());
    let (small, large) = (figures.small.to_string(), figures.large.to_string());
    let head = ["milliseconds", small.as_str(), large.as_str(), "ratio"];
    let rows: Vec<Vec<String>> = figures
        .rows
        .iter()
        .map(|row| {
            vec![
                row.question.clone(),
                format!("{:.2}", row.small_ms),
                format!("{:.2}", row.large_ms),
                format!("{:.2}", row.ratio),
            ]
        })
        .collect();
    print!("{}", super::table(&head, &rows));
    let goal = format!("{large} settled jobs cost at most twice what {small} do");
    let groups = figures.rows.iter().map(|row| Group {
        name: row.question.clone(),
        bars: vec![(small.clone(), row.small_ms), (large.clone(), row.large_ms)],
    });
    let groups: Vec<Group> = groups.collect();
    let plot = chart::bars("A long past and a short one", "milliseconds", &groups);
    super::keep(root, "ledger-size", &figures, &plot)?;
    Ok(vec![Goal::at_most(14, goal, worst(&figures.rows), MOST)])
}

fn worst(rows: &[Question]) -> f64 {
    rows.iter().map(|row| row.ratio).fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_question_decides() {
        let row = |ratio| Question {
            question: "page".to_owned(),
            small_ms: 1.0,
            large_ms: ratio,
            ratio,
        };
        assert_eq!(worst(&[row(1.1), row(3.0), row(0.9)]), 3.0);
    }
}
