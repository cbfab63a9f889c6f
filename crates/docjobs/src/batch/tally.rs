//! How a batch went: counts by stage, money by vendor, and the exit code that they come to.

use std::collections::BTreeMap;

use jobs_runner::ErrorCategory;
use serde_json::{Value, json};

use crate::clean::count;
use crate::exit::ExitCode;

/// The ends of the documents of a batch, as far as they are known.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tally {
    stages: BTreeMap<String, usize>,
    money: BTreeMap<String, i64>,
    /// What was completed before this command.
    completed_before: usize,
    skipped: usize,
    worst: Option<ExitCode>,
}

impl Tally {
    /// Counts a job in this stage, and what it cost in this run.
    pub(crate) fn add(&mut self, vendor: &str, stage: &str, money: Option<i64>) {
        *self.stages.entry(stage.to_owned()).or_default() += 1;
        if let Some(money) = money {
            *self.money.entry(vendor.to_owned()).or_default() += money;
        }
    }

    pub(crate) fn add_completed_before(&mut self, number: usize) {
        self.completed_before += number;
    }

    pub(crate) fn add_skipped(&mut self, number: usize) {
        self.skipped += number;
    }

    /// Takes the end of one document into account.
    pub(crate) fn ended(&mut self, exit: ExitCode) {
        let worst = self.worst.map(ExitCode::category);
        let exit = exit.after_submit().category();
        self.worst = Some(ErrorCategory::worse(worst, exit).into());
    }

    /// The worst end of any document.
    pub(crate) fn exit(&self) -> Option<ExitCode> {
        self.worst
    }

    pub(crate) fn documents(&self) -> usize {
        self.stages.values().sum::<usize>() + self.completed_before + self.skipped
    }

    /// `412 documents: 378 completed, 2 failed, 30 completed before, 2 skipped; 1234 at textin`
    pub(crate) fn line(&self) -> String {
        let mut parts: Vec<String> = self
            .stages
            .iter()
            .map(|(stage, number)| format!("{number} {}", stage.replace('_', " ")))
            .collect();
        for (number, words) in [
            (self.completed_before, "completed before"),
            (self.skipped, "skipped"),
        ] {
            if number > 0 {
                parts.push(format!("{number} {words}"));
            }
        }
        let mut line = format!(
            "{}: {}",
            count(self.documents(), "document"),
            parts.join(", ")
        );
        for (vendor, money) in &self.money {
            line.push_str(&format!("; {money} charged by {vendor}"));
        }
        line
    }

    /// The last event of `--json`.
    pub(crate) fn fields(&self, exit: u8) -> Value {
        let mut stages = self.stages.clone();
        if self.completed_before > 0 {
            *stages.entry("completed".to_owned()).or_default() += self.completed_before;
        }
        json!({
            "documents": self.documents(), "stages": stages, "completed_before": self.completed_before,
            "skipped": self.skipped, "money": self.money, "exit": exit,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_counts_by_stage_and_by_vendor() {
        let mut tally = Tally::default();
        for (stage, money) in [
            ("completed", Some(3)),
            ("completed", Some(4)),
            ("failed", None),
            ("in_doubt", None),
        ] {
            tally.add("textin", stage, money);
        }
        tally.add_completed_before(30);
        tally.add_skipped(2);
        assert_eq!(
            tally.line(),
            "36 documents: 2 completed, 1 failed, 1 in doubt, 30 completed before, 2 skipped; 7 charged by textin"
        );
        assert_eq!(
            tally.fields(5),
            json!({
                "documents": 36, "stages": { "completed": 32, "failed": 1, "in_doubt": 1 },
                "completed_before": 30, "skipped": 2, "money": { "textin": 7 }, "exit": 5,
            })
        );
    }

    #[test]
    fn the_worst_end_decides_by_precedence_and_bad_input_is_unexpected() {
        let order = [
            ExitCode::OutcomeUnknown,
            ExitCode::QuotaExceeded,
            ExitCode::Unauthenticated,
            ExitCode::Failed,
            ExitCode::Unreachable,
            ExitCode::Unfinished,
            ExitCode::Unexpected,
        ];
        for (at, worse) in order.iter().enumerate() {
            let mut tally = Tally::default();
            for exit in order.iter().skip(at).rev() {
                tally.ended(*exit);
            }
            assert_eq!(tally.exit(), Some(*worse));
        }
        let mut tally = Tally::default();
        assert_eq!(tally.exit(), None);
        tally.ended(ExitCode::InvalidInput);
        assert_eq!(tally.exit(), Some(ExitCode::Unexpected));
    }
}
