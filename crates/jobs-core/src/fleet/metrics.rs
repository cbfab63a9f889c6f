//! Counters and histograms through the `metrics` facade; without the feature, nothing at all.

use std::time::Duration;

/// A poll began.
#[inline]
pub(super) fn poll_started(vendor: &'static str, kind: &'static str, jobs: usize) {
    #[cfg(feature = "metrics")]
    {
        metrics::counter!("docjobs_polls_total", "vendor" => vendor, "kind" => kind).increment(1);
        #[allow(clippy::cast_precision_loss, reason = "a batch is small")]
        metrics::histogram!("docjobs_poll_jobs", "vendor" => vendor, "kind" => kind)
            .record(jobs as f64);
    }
    let _ = (vendor, kind, jobs);
}

/// A poll ended, after this time.
#[inline]
pub(super) fn poll_finished(vendor: &'static str, outcome: &'static str, took: Duration) {
    #[cfg(feature = "metrics")]
    metrics::histogram!("docjobs_poll_seconds", "vendor" => vendor, "outcome" => outcome)
        .record(took.as_secs_f64());
    let _ = (vendor, outcome, took);
}

/// A job was polled so much later than it was due.
#[inline]
pub(super) fn poll_lateness(vendor: &'static str, kind: &'static str, by: Duration) {
    #[cfg(feature = "metrics")]
    metrics::histogram!("docjobs_poll_lateness_seconds", "vendor" => vendor, "kind" => kind)
        .record(by.as_secs_f64());
    let _ = (vendor, kind, by);
}

/// A wait ended.
#[inline]
pub(super) fn wait_ended(vendor: &'static str, kind: &'static str, with_output: bool) {
    #[cfg(feature = "metrics")]
    {
        let result = if with_output { "output" } else { "none" };
        metrics::counter!("docjobs_ends_total", "vendor" => vendor, "kind" => kind, "result" => result)
            .increment(1);
    }
    let _ = (vendor, kind, with_output);
}

/// An account's concurrency limit, and whether its breaker is open.
#[inline]
pub(super) fn concurrency(vendor: &'static str, window: u32, open: bool) {
    #[cfg(feature = "metrics")]
    {
        metrics::gauge!("docjobs_poll_limit", "vendor" => vendor).set(f64::from(window));
        metrics::gauge!("docjobs_breaker_open", "vendor" => vendor).set(if open {
            1.0
        } else {
            0.0
        });
    }
    let _ = (vendor, window, open);
}
