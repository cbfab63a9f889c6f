//! Polls and lateness of learned schedules beside fixed and doubling pauses.

use std::path::Path;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::Goal;
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

pub(super) fn run(root: &Path, words: &[&str]) -> Result<Vec<Goal>> {
    super::no_words(words)?;
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
    let ours = figures.iter().filter(|figure| figure.policy == OURS);
    let goals = ours.flat_map(|figure| goals(figure, &figures)).collect();
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
    super::keep(root, "schedules", &figures, &plot)?;
    Ok(goals)
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
fn goals(figure: &Figure, all: &[Figure]) -> [Goal; 3] {
    let other = beside(figure, all);
    let most = |share: f64, of: fn(&Figure) -> f64| share * other.map_or(f64::NAN, of);
    [
        ("no more polls", figure.polls, most(1.0, |it| it.polls)),
        (
            "at most 40 % of the mean lateness",
            figure.mean,
            most(0.4, |it| it.mean),
        ),
        (
            "at most 25 % of the 95th percentile",
            figure.p95,
            most(0.25, |it| it.p95),
        ),
    ]
    .map(|(goal, value, most)| {
        Goal::at_most(4, format!("{}: {goal}", durations(figure)), value, most)
    })
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
        let lines = goals(&all[0], &all).map(|goal| goal.to_string());
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
