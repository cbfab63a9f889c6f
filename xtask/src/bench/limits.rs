//! How much of a rate is used, and whether it is ever passed.

use std::path::Path;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::Goal;
use super::chart::{self, Group};

/// Ten thousand requests that wait for one rate.
#[derive(Debug, Serialize, Deserialize)]
struct Figure {
    requests: u32,
    limit: u32,
    round_trip_ms: u32,
    most: u32,
    used: f64,
    last_submit: f64,
}

/// Up to this round trip the design's goal is meant: a place is only given again one window after its answer, because
/// nobody knows when the vendor counted, so a long way costs a part of the rate.
const USUAL_MS: u32 = 40;

pub(super) fn run(root: &Path, words: &[&str]) -> Result<Vec<Goal>> {
    super::no_words(words)?;
    let figures: Vec<Figure> = super::simulated(root, "limits")?;
    let rows: Vec<Vec<String>> = figures.iter().map(row).collect();
    let head = [
        "limit",
        "round trip",
        "requests",
        "most in any second",
        "share of the limit used",
        "last of the submits",
    ];
    print!("{}", super::table(&head, &rows));
    let bar = |figure: &Figure| (name(figure), 100.0 * figure.used);
    let group = Group {
        name: "10 000 requests waiting".to_owned(),
        bars: figures.iter().map(bar).collect(),
    };
    let plot = chart::bars("Share of the limit that is used", "per cent", &[group]);
    super::keep(root, "limits", &figures, &plot)?;
    Ok(figures.iter().flat_map(goals).collect())
}

fn name(figure: &Figure) -> String {
    format!("{}/s, up to {} ms", figure.limit, figure.round_trip_ms)
}

fn row(figure: &Figure) -> Vec<String> {
    vec![
        format!("{}/s", figure.limit),
        format!("0 to {} ms", figure.round_trip_ms),
        figure.requests.to_string(),
        figure.most.to_string(),
        format!("{:.1} %", 100.0 * figure.used),
        format!("{:.0} s", figure.last_submit),
    ]
}

fn goals(figure: &Figure) -> Vec<Goal> {
    let told = |goal: &str| format!("{}: {goal}", name(figure));
    let mut goals = vec![Goal::at_most(
        6,
        told("never above the limit in any second"),
        f64::from(figure.most),
        f64::from(figure.limit),
    )];
    if figure.round_trip_ms <= USUAL_MS {
        goals.push(Goal::at_least(
            6,
            told("95 % of it used"),
            figure.used,
            0.95,
        ));
    }
    goals
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(most: u32, used: f64, round_trip_ms: u32) -> Figure {
        Figure {
            requests: 10_000,
            limit: 2,
            round_trip_ms,
            most,
            used,
            last_submit: 950.0,
        }
    }

    #[test]
    fn a_passed_limit_and_a_wasted_one_are_told() {
        let told = |figure| {
            goals(&figure)
                .iter()
                .map(Goal::to_string)
                .collect::<Vec<_>>()
        };
        assert_eq!(
            told(figure(3, 0.76, 40)),
            [
                "MISSED by 50.0 %: 2/s, up to 40 ms: never above the limit in any second",
                "MISSED by 25.0 %: 2/s, up to 40 ms: 95 % of it used",
            ]
        );
        assert!(goals(&figure(2, 0.96, 0)).iter().all(Goal::is_kept));
        assert_eq!(goals(&figure(2, 0.5, 200)).len(), 1);
    }
}
