//! `/metrics`: what the process counted, and gauges that are read from the ledger when somebody asks.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

use super::hook_routes::HookCounts;
use super::problem::Problem;
use super::state::ServeState;

/// Counts from now on; none where something of this process counts already.
pub(super) fn start() -> Option<PrometheusHandle> {
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    metrics::set_global_recorder(recorder).ok()?;
    Some(handle)
}

/// One line of what the process counted.
#[derive(Debug)]
pub(super) struct Sample {
    pub(super) name: String,
    labels: Vec<(String, String)>,
    pub(super) value: f64,
}

impl Sample {
    pub(super) fn label(&self, name: &str) -> Option<&str> {
        let found = self.labels.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// What the fleets of this process counted.
pub(super) fn of_process(handle: &PrometheusHandle) -> Vec<Sample> {
    samples(&handle.render())
}

/// The samples with labels. Those of ours are plain words.
pub(super) fn samples(text: &str) -> Vec<Sample> {
    let sample = |line: &str| {
        let (name, rest) = line.split_once('{')?;
        let (labels, value) = rest.split_once("} ")?;
        let labels = labels.split(',').filter_map(|label| {
            let (name, value) = label.split_once('=')?;
            Some((name.to_owned(), value.trim_matches('"').to_owned()))
        });
        Some(Sample {
            name: name.to_owned(),
            labels: labels.collect(),
            value: value.trim().parse().ok()?,
        })
    };
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(sample).collect()
}

/// `GET /metrics`
pub(super) async fn serve(State(state): State<Arc<ServeState>>) -> Result<Response, Problem> {
    let mut text = state
        .metrics
        .as_ref()
        .map(PrometheusHandle::render)
        .unwrap_or_default();
    let mut gauges = Exposition::default();
    gauges.hook_counts(&state.hook_counts);
    ledger(&state, &mut gauges).await?;
    text.push_str(&gauges.text());
    let kind = [(
        header::CONTENT_TYPE,
        "text/plain; version=0.0.4; charset=utf-8",
    )];
    Ok((kind, text).into_response())
}

/// How many days of webhooks are counted.
const DAYS: u32 = 30;

async fn ledger(state: &ServeState, text: &mut Exposition) -> Result<(), Problem> {
    text.family(
        "docjobs_jobs",
        "gauge",
        "Jobs of the ledger by stage and vendor.",
    );
    // Several accounts of a vendor are one sample: a second one with the same labels is no Prometheus text.
    let mut jobs: BTreeMap<_, u64> = BTreeMap::new();
    for count in state.ledger.stage_counts().await? {
        *jobs
            .entry((count.stage.as_str(), count.vendor, count.kind))
            .or_default() += count.jobs;
    }
    for ((stage, vendor, kind), count) in &jobs {
        let labels = [("stage", *stage), ("vendor", vendor), ("kind", kind)];
        text.sample("docjobs_jobs", &labels, number(*count));
    }
    text.family(
        "docjobs_oldest_waiting_seconds",
        "gauge",
        "Age of the oldest job that was not submitted yet.",
    );
    let oldest = state.ledger.waiting_since().await?;
    let age = oldest.and_then(|at| state.clock.wall().duration_since(at).ok());
    text.sample(
        "docjobs_oldest_waiting_seconds",
        &[],
        age.unwrap_or_default().as_secs_f64(),
    );
    text.family(
        "docjobs_money_in_doubt",
        "gauge",
        "What may have been charged and nobody knows, in the vendor's units.",
    );
    for one in state.ledger.money_in_doubt().await? {
        let account = one.account.to_string();
        let labels = [("vendor", &*one.vendor), ("account", &*account)];
        #[allow(clippy::cast_precision_loss, reason = "a count")]
        text.sample("docjobs_money_in_doubt", &labels, one.reserved as f64);
    }
    text.family(
        "docjobs_charged_today",
        "gauge",
        "What was charged since midnight in Shanghai, in the vendor's units.",
    );
    for day in state.ledger.money(1).await? {
        let account = day.account.to_string();
        let labels = [("vendor", &*day.vendor), ("account", &*account)];
        #[allow(clippy::cast_precision_loss, reason = "a count")]
        text.sample("docjobs_charged_today", &labels, day.charged as f64);
    }
    text.family("docjobs_workers", "gauge", "Workers that are alive.");
    let workers = state.ledger.workers().await?.len();
    text.sample("docjobs_workers", &[], number(workers as u64));
    text.family(
        "docjobs_hooks",
        "gauge",
        "Webhook calls of the last 30 days by verdict.",
    );
    for count in state.ledger.webhook_counts(DAYS).await? {
        let labels = [
            ("vendor", &*count.vendor),
            ("verdict", count.verdict.as_str()),
        ];
        text.sample("docjobs_hooks", &labels, number(count.calls));
    }
    Ok(())
}

#[allow(clippy::cast_precision_loss, reason = "a count")]
fn number(count: u64) -> f64 {
    count as f64
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
            let text = text
                .replace('\\', "\\\\")
                .replace('"', "\\\"")
                .replace('\n', "\\n");
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
