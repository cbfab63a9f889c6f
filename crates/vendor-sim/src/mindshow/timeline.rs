//! One piece of work over time: queued, running, ended. Jobs and PDF exports both are one.

use std::time::Duration;

use super::options::Outcome;
use crate::clock::seconds;

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Timeline {
    pub(crate) created: Duration,
    pub(crate) outcome: Outcome,
    running: Duration,
    /// When it would end, even if it never does.
    nominal_end: Duration,
    ahead: u64,
}

impl Timeline {
    pub(crate) fn new(
        created: Duration,
        queued: f64,
        working: f64,
        ahead: u64,
        outcome: Outcome,
    ) -> Self {
        let running = created + seconds(queued);
        Self {
            created,
            outcome,
            running,
            nominal_end: running + seconds(working),
            ahead,
        }
    }

    pub(crate) fn end(&self) -> Option<Duration> {
        (self.outcome != Outcome::Never).then_some(self.nominal_end)
    }

    pub(crate) fn status(&self, now: Duration) -> &str {
        if self.ended(now) {
            match &self.outcome {
                Outcome::Succeeded => "succeeded",
                Outcome::Failed { .. } => "failed",
                Outcome::Word { word } => word,
                Outcome::Never => "running",
            }
        } else if now < self.running {
            "queued"
        } else {
            "running"
        }
    }

    pub(crate) fn ended(&self, now: Duration) -> bool {
        self.end().is_some_and(|end| end <= now)
    }

    pub(crate) fn succeeded(&self, now: Duration) -> bool {
        self.ended(now) && self.outcome == Outcome::Succeeded
    }

    /// Why it failed, once it has.
    pub(crate) fn error(&self, now: Duration) -> Option<&str> {
        match &self.outcome {
            Outcome::Failed { error } if self.ended(now) => Some(error),
            _ => None,
        }
    }

    /// Falls while queued, and is at least 1 then; 0 afterwards.
    pub(crate) fn queue_wait_count(&self, now: Duration) -> u64 {
        let whole = self.running.saturating_sub(self.created).as_millis();
        let left = self.running.saturating_sub(now).as_millis();
        if left == 0 || whole == 0 {
            return 0;
        }
        let count = (u128::from(self.ahead) * left).div_ceil(whole);
        u64::try_from(count).unwrap_or(u64::MAX).max(1)
    }

    /// Rises from 0 to 99 while running. Elsewhere it is true, or on request misleading.
    pub(crate) fn progress_percent(&self, now: Duration, misleading: bool) -> u64 {
        if self.ended(now) {
            let done = self.outcome == Outcome::Succeeded;
            return if done != misleading { 100 } else { 0 };
        }
        if now < self.running {
            return if misleading { 100 } else { 0 };
        }
        let whole = self
            .nominal_end
            .saturating_sub(self.running)
            .as_millis()
            .max(1);
        let past = now.saturating_sub(self.running).as_millis();
        u64::try_from(past * 100 / whole).unwrap_or(99).min(99)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Duration = Duration::from_secs(1_000);

    fn after(secs: u64) -> Duration {
        START + Duration::from_secs(secs)
    }

    fn timeline(outcome: Outcome) -> Timeline {
        Timeline::new(START, 3.0, 10.0, 3, outcome)
    }

    #[test]
    fn queue_falls_progress_rises_and_the_end_sticks() {
        let work = timeline(Outcome::Succeeded);
        let seen: Vec<(&str, u64, u64)> = [0, 1, 2, 3, 8, 12, 13, 9_999]
            .map(after)
            .map(|now| {
                (
                    work.status(now),
                    work.queue_wait_count(now),
                    work.progress_percent(now, false),
                )
            })
            .into();
        let expected = [
            ("queued", 3, 0),
            ("queued", 2, 0),
            ("queued", 1, 0),
            ("running", 0, 0),
            ("running", 0, 50),
            ("running", 0, 90),
            ("succeeded", 0, 100),
            ("succeeded", 0, 100),
        ];
        assert_eq!(seen, expected);
    }

    #[test]
    fn misleading_progress_is_wrong_outside_running_only() {
        let work = timeline(Outcome::Succeeded);
        let seen = [0, 8, 13].map(|secs| work.progress_percent(after(secs), true));
        assert_eq!(seen, [100, 50, 0]);
    }

    #[test]
    fn other_ends_have_their_words_and_reasons() {
        let failed = timeline(Outcome::Failed {
            error: "no".to_owned(),
        });
        assert_eq!(failed.error(after(12)), None);
        assert_eq!(
            (failed.status(after(13)), failed.error(after(13))),
            ("failed", Some("no"))
        );
        let odd = timeline(Outcome::Word {
            word: "paused".to_owned(),
        });
        assert_eq!(odd.status(after(13)), "paused");
        assert!(!odd.succeeded(after(13)));
        let never = timeline(Outcome::Never);
        assert_eq!(
            (never.status(after(999_999)), never.end()),
            ("running", None)
        );
        assert_eq!(never.progress_percent(after(999_999), false), 99);
    }
}
