//! Credits: one entry for each change, newest last.

use std::time::Duration;

use serde::Serialize;

/// One change of the balance.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Charge {
    /// What the vendor's ledger shows.
    pub title: String,
    /// The job, which the vendor's ledger does not show; none for model calls.
    pub job_id: Option<String>,
    /// Balance before.
    pub original_score: i64,
    /// Balance after.
    pub final_score: i64,
    /// When, in virtual Unix seconds.
    pub at_unix: f64,
}

impl Charge {
    /// Credits spent; negative for credits given back.
    #[must_use]
    pub fn credits(&self) -> i64 {
        self.original_score - self.final_score
    }
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) entries: Vec<(Duration, Charge)>,
    /// Sum of the entries.
    spent: i64,
    /// Credits to give back at an instant.
    refunds: Vec<(Duration, String, Option<String>, i64)>,
}

impl Ledger {
    /// What is left of `start`.
    pub(crate) fn balance(&self, start: i64) -> i64 {
        start.saturating_sub(self.spent)
    }

    /// Takes credits. Nothing is written for a free call.
    pub(crate) fn take(
        &mut self,
        start: i64,
        title: &str,
        job_id: Option<&str>,
        credits: i64,
        now: Duration,
    ) {
        if credits == 0 {
            return;
        }
        let original = self.balance(start);
        let entry = Charge {
            title: title.to_owned(),
            job_id: job_id.map(str::to_owned),
            original_score: original,
            final_score: original.saturating_sub(credits),
            at_unix: now.as_secs_f64(),
        };
        self.spent += entry.credits();
        self.entries.push((now, entry));
    }

    pub(crate) fn refund_at(
        &mut self,
        at: Duration,
        title: &str,
        job_id: Option<&str>,
        credits: i64,
    ) {
        self.refunds
            .push((at, title.to_owned(), job_id.map(str::to_owned), credits));
    }

    /// Gives back what is due by `now`, in the order of the instants.
    pub(crate) fn settle(&mut self, start: i64, now: Duration) {
        if self.refunds.is_empty() {
            return;
        }
        let (mut due, later): (Vec<_>, Vec<_>) = std::mem::take(&mut self.refunds)
            .into_iter()
            .partition(|(at, ..)| *at <= now);
        self.refunds = later;
        due.sort();
        for (at, title, job_id, credits) in due {
            self.take(start, &title, job_id.as_deref(), -credits, at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_follow_each_other_and_refunds_come_when_due() {
        let second = Duration::from_secs;
        let mut ledger = Ledger::default();
        ledger.take(100, "a", Some("j"), 10, second(1));
        ledger.take(100, "free", None, 0, second(1));
        ledger.refund_at(second(5), "back", Some("j"), 10);
        ledger.settle(100, second(4));
        assert_eq!(ledger.balance(100), 90);
        ledger.settle(100, second(5));
        ledger.settle(100, second(6));
        let seen: Vec<(i64, i64, i64)> = ledger
            .entries
            .iter()
            .map(|(_, entry)| (entry.original_score, entry.final_score, entry.credits()))
            .collect();
        assert_eq!(seen, [(100, 90, 10), (90, 100, -10)]);
    }
}
