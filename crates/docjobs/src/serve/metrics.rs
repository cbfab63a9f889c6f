//! `/metrics`: what the process counted, and gauges that are read from the ledger when somebody asks.

use std::fmt::Write as _;
use std::sync::atomic::Ordering;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

use super::hook_routes::HookCounts;

/// Counts from now on; none where something of this process counts already.
pub(super) fn start() -> Option<PrometheusHandle> {
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    metrics::set_global_recorder(recorder).ok()?;
    Some(handle)
}

/// Prometheus text, a family at a time.
#[derive(Debug, Default)]
pub(super) struct Exposition(String);

impl Exposition {
    /// Begins a family; its samples follow.
    pub(super) fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    /// A sample of the family that was begun last.
    pub(super) fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        self.0.push_str(name);
        for (number, (label, text)) in labels.iter().enumerate() {
            let before = if number == 0 { '{' } else { ',' };
            let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let _ = write!(self.0, "{before}{label}=\"{text}\"");
        }
        if !labels.is_empty() {
            self.0.push('}');
        }
        let _ = writeln!(self.0, " {value}");
    }

    /// What the listener for webhooks only counted.
    pub(super) fn hook_counts(&mut self, counts: &HookCounts) {
        const NAME: &str = "docjobs_hooks_ignored_total";
        self.family(NAME, "counter", "Webhook calls of which nothing was kept.");
        for (reason, count) in [
            ("wrong_secret", &counts.wrong_secret),
            ("malformed", &counts.malformed),
            ("overload", &counts.dropped),
        ] {
            #[allow(clippy::cast_precision_loss, reason = "a count")]
            let count = count.load(Ordering::Relaxed) as f64;
            self.sample(NAME, &[("reason", reason)], count);
        }
    }

    pub(super) fn text(self) -> String {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_cannot_leave_its_quotation_marks() {
        let mut text = Exposition::default();
        text.family("jobs", "gauge", "Jobs.");
        text.sample("jobs", &[("a", "x\"} 1\ny"), ("b", "\\")], 2.0);
        text.sample("jobs", &[], 1.5);
        assert_eq!(
            text.text(),
            "# HELP jobs Jobs.\n# TYPE jobs gauge\njobs{a=\"x\\\"} 1\\ny\",b=\"\\\\\"} 2\njobs 1.5\n"
        );
    }
}
