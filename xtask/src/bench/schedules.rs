//! Polls and lateness of learned schedules beside fixed and doubling pauses.

use std::path::Path;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::chart::{self, Group};

/// One way of schedules on one mix of durations.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Figure {
    mix: String,
    shift: bool,
    policy: String,
    jobs: u32,
    polls: f64,
    mean: f64,
    p95: f64,
}

const OURS: &str = "learned";
const BESIDE: &str = "exponential 1 to 60 s";

pub(super) fn run(root: &Path) -> Result<()> {
    let figures: Vec<Figure> = super::simulated(root, "schedules")?;
    let rows: Vec<Vec<String>> = figures.iter().map(|figure| row(figure, &figures)).collect();
    let head = [
        "durations",
        "schedules",
        "polls a job",
        "late, mean",
        "late, 95 %",
        "beside exponential: polls, mean, 95 %",
    ];
    print!("{}", super::table(&head, &rows));
    println!();
    for figure in figures.iter().filter(|figure| figure.policy == OURS) {
        for line in verdicts(figure, &figures) {
            println!("{line}");
        }
    }
    let groups: Vec<Group> = figures
        .chunk_by(|a, b| durations(a) == durations(b))
        .map(|group| Group {
            name: group.first().map(durations).unwrap_or_default(),
            bars: group
                .iter()
                .map(|it| (it.policy.clone(), it.mean))
                .collect(),
        })
        .collect();
    let plot = chart::bars(
        "How late a finished job is seen, on average",
        "seconds",
        &groups,
    );
    super::keep(root, "schedules", &figures, &plot)
}

fn durations(figure: &Figure) -> String {
    let doubled = if figure.shift {
        ", doubling at half time"
    } else {
        ""
    };
    format!("{}{doubled}", figure.mix)
}

fn beside<'a>(figure: &Figure, all: &'a [Figure]) -> Option<&'a Figure> {
    all.iter()
        .find(|other| durations(other) == durations(figure) && other.policy == BESIDE)
}

fn row(figure: &Figure, all: &[Figure]) -> Vec<String> {
    let ratios = beside(figure, all).map(|other| {
        let percent = |ours: f64, theirs: f64| format!("{:.0} %", 100.0 * ours / theirs);
        [
            percent(figure.polls, other.polls),
            percent(figure.mean, other.mean),
            percent(figure.p95, other.p95),
        ]
        .join(", ")
    });
    vec![
        durations(figure),
        figure.policy.clone(),
        format!("{:.2}", figure.polls),
        format!("{:.1} s", figure.mean),
        format!("{:.1} s", figure.p95),
        ratios.unwrap_or_default(),
    ]
}

/// No more polls, at most 40 % of the mean lateness, at most 25 % of its 95th percentile.
fn verdicts(figure: &Figure, all: &[Figure]) -> Vec<String> {
    let Some(other) = beside(figure, all) else {
        return vec![format!(
            "MISSED: nothing to compare {} with",
            durations(figure)
        )];
    };
    [
        ("no more polls", figure.polls, other.polls),
        (
            "at most 40 % of the mean lateness",
            figure.mean,
            0.4 * other.mean,
        ),
        (
            "at most 25 % of the 95th percentile",
            figure.p95,
            0.25 * other.p95,
        ),
    ]
    .map(|(goal, value, most)| {
        super::verdict(&format!("{}: {goal}", durations(figure)), value, most)
    })
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(policy: &str, polls: f64, mean: f64, p95: f64) -> Figure {
        Figure {
            mix: "m".to_owned(),
            shift: true,
            policy: policy.to_owned(),
            jobs: 1,
            polls,
            mean,
            p95,
        }
    }

    #[test]
    fn each_goal_is_judged_on_its_own() {
        let all = [figure(OURS, 5.0, 5.0, 5.0), figure(BESIDE, 5.0, 10.0, 40.0)];
        let lines = verdicts(&all[0], &all);
        assert_eq!(
            lines,
            [
                "kept at 100 % of the bound: m, doubling at half time: no more polls",
                "MISSED by 25.0 %: m, doubling at half time: at most 40 % of the mean lateness",
                "kept at 50 % of the bound: m, doubling at half time: at most 25 % of the 95th percentile",
            ]
        );
        assert_eq!(row(&all[0], &all)[5], "100 %, 50 %, 12 %");
    }
}
