//! `--log json`: one line on stderr for each job that ends in this process, for programs that collect logs.

use std::io::{self, Write as _};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use jobs_core::WaitErrorKind;
use jobs_core::clock::bounded;
use jobs_ledger::{JobRecord, Ledger, LedgerId, Stage};
use jobs_runner::{Observer, RunnerErrorKind, RunnerEvent};
use serde_json::{Map, Value, json};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::task::JoinHandle;

/// How many records are read in one go.
const AT_ONCE: usize = 256;
/// How long the last lines are waited for.
const LAST_LINES: Duration = Duration::from_secs(5);

/// How job ends are logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum LogFormat {
    /// One object a line.
    Json,
}

/// Writes a line for each job whose end is told.
pub(crate) struct JobLog {
    ends: UnboundedSender<End>,
    writer: JoinHandle<()>,
    ledger: Ledger,
}

/// Tells the log, besides another observer, which jobs end.
pub(crate) struct LoggedObserver<O> {
    pub(crate) inner: O,
    ends: Option<UnboundedSender<End>>,
}

struct End {
    job: LedgerId,
    /// Where the job is now; what its record says unless given. It may be told before it is recorded.
    stage: Option<Stage>,
    error: Option<String>,
}

impl JobLog {
    pub(crate) fn start(ledger: &Ledger) -> Self {
        let (ends, told) = mpsc::unbounded_channel();
        Self {
            ends,
            writer: tokio::spawn(write(ledger.clone(), told)),
            ledger: ledger.clone(),
        }
    }

    /// Writes what was told until now. Whoever can still tell something keeps it waiting, so that has an end.
    pub(crate) async fn finish(self) {
        drop(self.ends);
        let clock = Arc::clone(self.ledger.clock());
        let limit = clock.now() + LAST_LINES;
        bounded(&*clock, limit, self.writer).await;
    }
}

impl<O> LoggedObserver<O> {
    pub(crate) fn new(inner: O, log: Option<&JobLog>) -> Self {
        let ends = log.map(|log| log.ends.clone());
        Self { inner, ends }
    }
}

impl<O: Observer> Observer for LoggedObserver<O> {
    fn on_event(&self, event: &RunnerEvent<'_>) {
        if let (Some(ends), Some(end)) = (&self.ends, end(event)) {
            // Who reads has ended with the process.
            drop(ends.send(end));
        }
        self.inner.on_event(event);
    }
}

/// How a job ended, if this says that one did.
fn end(event: &RunnerEvent<'_>) -> Option<End> {
    let (job, stage, error) = match event {
        RunnerEvent::Completed { job, .. } => (job.id, Some(Stage::Completed), None),
        RunnerEvent::Parked { job, error } => (*job, None, Some(error)),
        RunnerEvent::Ended { job, error } => match error.kind() {
            RunnerErrorKind::Rejected(_) => (*job, Some(Stage::Rejected), Some(error)),
            RunnerErrorKind::Wait(end) => match end.kind() {
                WaitErrorKind::Failed(_) => (*job, Some(Stage::Failed), Some(error)),
                WaitErrorKind::Expired | WaitErrorKind::Gone => {
                    (*job, Some(Stage::Gone), Some(error))
                }
                // It goes on at the vendor, and is polled again.
                _ => return None,
            },
            _ => (*job, None, Some(error)),
        },
        _ => return None,
    };
    let error = error.map(ToString::to_string);
    Some(End { job, stage, error })
}

async fn write(ledger: Ledger, mut told: UnboundedReceiver<End>) {
    let mut ends = Vec::with_capacity(AT_ONCE);
    while told.recv_many(&mut ends, AT_ONCE).await > 0 {
        let ids: Vec<LedgerId> = ends.iter().map(|end| end.job).collect();
        let records = ledger.get_many(&ids).await.unwrap_or_default();
        let at = DateTime::<Utc>::from(ledger.clock().wall());
        for end in ends.drain(..) {
            let record = records.iter().find(|record| record.id == end.job);
            let line = line(at, &end, record);
            drop(writeln!(io::stderr(), "{line}"));
        }
    }
}

fn line(at: DateTime<Utc>, end: &End, record: Option<&JobRecord>) -> Value {
    let mut line = Map::new();
    line.insert("event".to_owned(), "job_ended".into());
    let at = at.to_rfc3339_opts(SecondsFormat::Millis, true);
    line.insert("at".to_owned(), at.into());
    line.insert("id".to_owned(), end.job.to_string().into());
    if let Some(Ok(Value::Object(record))) = record.map(serde_json::to_value) {
        line.extend(record);
    }
    if let Some(stage) = end.stage {
        line.insert("stage".to_owned(), stage.as_str().into());
    }
    if let Some(error) = &end.error {
        line.insert("error".to_owned(), json!(error));
    }
    line.into()
}
