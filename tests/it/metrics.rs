//! What a dashboard is told of a fleet, through the `metrics` facade.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jobs_core::Secret;
use jobs_core::fleet::{Fleet, FleetConfig};
use jobs_core::http::Document;
use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder,
    SharedString, Unit, set_default_local_recorder,
};
use textin::{Client, ParseRequest};
use vendor_sim::textin::Outcome;
use vendor_sim::{TextIn, TextInOptions};

/// Everything that was recorded, by name and labels.
#[derive(Clone, Default)]
struct RecordedMetrics(Arc<Mutex<BTreeMap<String, Vec<f64>>>>);

impl RecordedMetrics {
    fn series(&self, key: &Key) -> Arc<Series> {
        let labels = key
            .labels()
            .map(|label| format!(" {}={}", label.key(), label.value()));
        Arc::new(Series {
            board: self.clone(),
            name: [key.name().to_owned()].into_iter().chain(labels).collect(),
        })
    }

    /// What was recorded under exactly this name and these labels.
    fn of(&self, name: &str) -> Vec<f64> {
        let board = self.0.lock().unwrap();
        let known = || format!("no {name} in {:?}", board.keys().collect::<Vec<_>>());
        board
            .get(name)
            .cloned()
            .unwrap_or_else(|| panic!("{}", known()))
    }
}

struct Series {
    board: RecordedMetrics,
    name: String,
}

impl Series {
    fn push(&self, value: f64) {
        let mut board = self.board.0.lock().unwrap();
        board.entry(self.name.clone()).or_default().push(value);
    }
}

impl CounterFn for Series {
    fn increment(&self, value: u64) {
        assert_eq!(value, 1);
        self.push(1.0);
    }

    fn absolute(&self, value: u64) {
        panic!("{} set to {value}", self.name);
    }
}

impl GaugeFn for Series {
    fn increment(&self, value: f64) {
        panic!("{} raised by {value}", self.name);
    }

    fn decrement(&self, value: f64) {
        panic!("{} lowered by {value}", self.name);
    }

    fn set(&self, value: f64) {
        self.push(value);
    }
}

impl HistogramFn for Series {
    fn record(&self, value: f64) {
        self.push(value);
    }
}

impl Recorder for RecordedMetrics {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.series(key))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.series(key))
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(self.series(key))
    }
}

#[tokio::test]
async fn polls_waits_and_ends_are_counted() {
    let board = RecordedMetrics::default();
    let _guard = set_default_local_recorder(&board);
    let options = TextInOptions {
        qps: None,
        pending_seconds: 0.0,
        in_progress_seconds: 0.0,
        ..TextInOptions::default()
    };
    let sim = TextIn::start(options).await.unwrap();
    let client = Client::builder(
        Secret::new(sim.app_id()).unwrap(),
        Secret::new(sim.secret_code()).unwrap(),
    )
    .with_config(|config| config.with_base_url(sim.api_url()))
    .with_policy(|facts| facts.initial_delay.set(Duration::ZERO))
    .with_config(|config| config.with_rate(NonZeroU32::new(1000).unwrap()))
    .build()
    .unwrap();
    let mut fleet = Fleet::new(FleetConfig::default());
    sim.next_outcome(Outcome::Failed {
        message: "no pages".to_owned(),
    });
    for text in ["one", "two", "three"] {
        let request = ParseRequest::document(Document::from_bytes("a.txt", text));
        let job = client.parse(request).submit().await.unwrap();
        fleet.watch(job, text, Duration::from_secs(60)).unwrap();
    }
    let mut outputs = 0;
    while let Some(end) = fleet.next().await {
        outputs += usize::from(end.result.is_ok());
    }
    assert_eq!(outputs, 2);

    let polls = board
        .of("docjobs_polls_total vendor=textin kind=parse")
        .len();
    let asked = sim.requests();
    let asked = asked.iter().filter(|request| request.method == "GET");
    assert_eq!(polls, asked.count());
    assert_eq!(
        board.of("docjobs_poll_jobs vendor=textin kind=parse"),
        vec![1.0; polls]
    );
    let took = board.of("docjobs_poll_seconds vendor=textin outcome=answered");
    assert_eq!(took.len(), polls);
    let late = board.of("docjobs_poll_lateness_seconds vendor=textin kind=parse");
    assert_eq!(late.len(), polls);
    let ended = |result| {
        let name = format!("docjobs_ends_total vendor=textin kind=parse result={result}");
        board.of(&name).len()
    };
    assert_eq!((ended("output"), ended("none")), (2, 1));
    let window = board.of("docjobs_poll_limit vendor=textin");
    assert!(window.iter().all(|window| *window >= 1.0), "{window:?}");
    assert_eq!(
        board.of("docjobs_breaker_open vendor=textin"),
        vec![0.0; polls]
    );
    assert_eq!(
        board
            .of("docjobs_rate_limit_wait_seconds class=submit")
            .len(),
        3
    );
    assert_eq!(
        board.of("docjobs_rate_limit_wait_seconds class=poll").len(),
        polls
    );
}
