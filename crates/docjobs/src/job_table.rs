//! `docjobs jobs` on a terminal: one aligned line for each job, with its age and what it cost.

use std::time::{Duration, SystemTime};

use jobs_ledger::JobRecord;
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use crate::clean;
use jobs_runner::redacted_address;

const HEADINGS: [&str; COLUMNS] = ["ID", "STAGE", "VENDOR", "AGE", "COST", "INPUT", "RESULT"];
const COLUMNS: usize = 7;
/// How wide an input is shown at most; the end of a long one tells more than its beginning.
const INPUT: usize = 40;

/// A line for each job, in their order, below headings where they are the first.
pub(crate) fn lines(jobs: &[JobRecord], are_first: bool, now: SystemTime) -> Vec<String> {
    let cells = jobs.iter().map(|job| cells(job, now));
    let headings = (are_first && !jobs.is_empty()).then(|| HEADINGS.map(str::to_owned));
    let rows: Vec<[String; COLUMNS]> = headings.into_iter().chain(cells).collect();
    let mut widths = [0; COLUMNS];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.width());
        }
    }
    rows.iter().map(|row| aligned(row, &widths)).collect()
}

fn cells(job: &JobRecord, now: SystemTime) -> [String; COLUMNS] {
    let result = match (&job.error, &job.output) {
        (Some(error), _) => error.clone(),
        (None, Some(path)) => path.display().to_string(),
        (None, None) => String::new(),
    };
    let cells = [
        job.id.to_string(),
        job.stage.to_string(),
        format!("{} {}", job.vendor, job.kind),
        age(now.duration_since(job.created_at).unwrap_or_default()),
        job.credits
            .map_or_else(|| "-".to_owned(), |credits| credits.to_string()),
        end(&redacted_address(&job.input)),
        result,
    ];
    cells.map(|cell| clean::line(&cell).into_owned())
}

fn aligned(row: &[String; COLUMNS], widths: &[usize; COLUMNS]) -> String {
    const NUMBERS: [usize; 2] = [3, 4];
    let mut line = String::new();
    for (column, (cell, width)) in row.iter().zip(widths).enumerate() {
        let space = " ".repeat(width.saturating_sub(cell.width()));
        if NUMBERS.contains(&column) {
            line.extend([&space, cell.as_str(), "  "]);
        } else {
            line.extend([cell, space.as_str(), "  "]);
        }
    }
    line.trim_end().to_owned()
}

/// The end of a long text.
fn end(text: &str) -> String {
    if text.width() <= INPUT {
        return text.to_owned();
    }
    let mut room = INPUT - 1;
    let begin = text
        .char_indices()
        .rev()
        .take_while(|(_, c)| {
            let width = c.width().unwrap_or(0);
            let fits = width <= room;
            room = room.saturating_sub(width);
            fits
        })
        .last()
        .map_or(text.len(), |(at, _)| at);
    format!("…{}", text.get(begin..).unwrap_or_default())
}

/// In the largest unit of which there are at least one: `12s`, `3m`, `7h`, `400d`.
pub(crate) fn age(since: Duration) -> String {
    const MINUTE: u64 = 60;
    const HOUR: u64 = 60 * MINUTE;
    const DAY: u64 = 24 * HOUR;
    match since.as_secs() {
        seconds if seconds < MINUTE => format!("{seconds}s"),
        seconds if seconds < HOUR => format!("{}m", seconds / MINUTE),
        seconds if seconds < DAY => format!("{}h", seconds / HOUR),
        seconds => format!("{}d", seconds / DAY),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_is_told_in_one_unit() {
        for (seconds, shown) in [
            (0, "0s"),
            (59, "59s"),
            (60, "1m"),
            (3599, "59m"),
            (3600, "1h"),
            (86_399, "23h"),
            (86_400, "1d"),
            (400 * 86_400, "400d"),
        ] {
            assert_eq!(age(Duration::from_secs(seconds)), shown);
        }
    }

    #[test]
    fn columns_are_aligned_whatever_their_letters_are_wide() {
        let row = |cells: [&str; COLUMNS]| cells.map(str::to_owned);
        let rows = [
            row(["a", "failed", "v k", "3m", "-", "合同.pdf", "文"]),
            row(["bb", "in_doubt", "v k", "12s", "100", "a.pdf", ""]),
        ];
        let widths = [2, 8, 3, 3, 3, 8, 2];
        assert_eq!(
            rows.each_ref().map(|row| aligned(row, &widths)),
            [
                "a   failed    v k   3m    -  合同.pdf  文",
                "bb  in_doubt  v k  12s  100  a.pdf"
            ]
        );
    }

    #[test]
    fn of_a_long_input_the_end_is_shown() {
        let long = format!("{}/合同.pdf", "x".repeat(100));
        let shown = end(&long);
        assert_eq!(shown.width(), INPUT);
        assert!(shown.starts_with("…x") && shown.ends_with("/合同.pdf"));
        let wide = "合".repeat(100);
        assert!(end(&wide).width() <= INPUT);
        assert_eq!(end("a.pdf"), "a.pdf");
    }
}
