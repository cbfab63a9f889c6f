//! What every step of printing needs, and what becomes of a job.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use jobs_core::JobId;
use jobs_core::clock::Clock;
use jobs_core::vendor::Account;
use jobs_ledger::{JobRecord, Ledger};
use printer_jobs::{Destination, Device, ListedJob};
use serde_json::json;

use super::exec::Exec;
use super::shutdown_signal::ShutdownSignal;
use super::{KIND, VENDOR};
use crate::app::App;
use crate::exit::CommandError;

/// Between two tries of what the cloud did not do.
pub(super) const PAUSE: Duration = Duration::from_secs(5);

/// Everything that printing needs.
pub(super) struct PrintRunner<'a> {
    pub(super) app: &'a App,
    pub(super) device: Device,
    pub(super) ledger: Ledger,
    /// The vendor's time.
    pub(super) clock: Arc<dyn Clock>,
    pub(super) account: Account,
    pub(super) spool: PathBuf,
    pub(super) exec: Option<Exec>,
    pub(super) remove: bool,
    pub(super) shutdown: ShutdownSignal,
}

/// What became of a job.
#[derive(Debug)]
pub(super) enum PrintResult {
    Printed,
    Failed,
    /// Its id cannot be used, so nothing can be printed, reported or written down for it.
    Unusable,
    /// Reported as failed, and it may have been printed.
    InDoubt,
    /// The cloud no longer has it.
    Gone,
    /// Another process has it, at least until then.
    Busy(SystemTime),
    /// It did not work, which says nothing of the other jobs; it is tried again.
    Later(CommandError),
    /// Printed or failed, and the cloud does not take the report: the next run tries again.
    Owed(CommandError),
    /// Left as it was, because the process was asked to end.
    Left,
}

impl PrintRunner<'_> {
    /// Whether the process was asked to end meanwhile.
    pub(super) async fn pause(&self) -> bool {
        tokio::select! {
            () = self.clock.sleep_until(self.clock.now() + PAUSE) => false,
            () = self.shutdown.asked() => true,
        }
    }

    pub(super) fn names(&self, job: &ListedJob) -> Vec<PathBuf> {
        Destination::for_job(&self.spool, job).files(job)
    }

    pub(super) fn event(
        &self,
        name: &str,
        id: &JobId,
        row: Option<&JobRecord>,
        error: Option<&str>,
    ) {
        let output = row.and_then(|row| row.output.as_ref());
        self.app.report.event(
            name,
            json!({
                "vendor": VENDOR, "kind": KIND, "job": id.as_str(), "id": row.map(|row| row.id.to_string()),
                "output": output.filter(|_| !self.remove).map(|path| path.display().to_string()), "error": error,
            }),
        );
    }

    pub(super) fn say(&self, id: &JobId, line: &str) {
        self.app.report.say(&format!("print job {id} {line}"));
    }
}
