//! What the runner tells, in the words of the command.

use jobs_ledger::Stage;
use jobs_runner::{DeliveredOutput, Observer, RunnerEvent};

use crate::exit::CommandError;
use crate::report::Report;

/// Tells the report what happens to the jobs of a command.
pub(crate) struct CommandObserver {
    report: Report,
    /// Whether the command ends with the ticket of the job that was accepted.
    prints_ticket: bool,
}

impl CommandObserver {
    pub(crate) fn new(report: Report, prints_ticket: bool) -> Self {
        Self {
            report,
            prints_ticket,
        }
    }
}

impl Observer for CommandObserver {
    fn on_event(&self, event: &RunnerEvent<'_>) {
        let report = &self.report;
        match event {
            // One that ended without a result is told about as it ends again.
            RunnerEvent::Attached(job) if matches!(job.stage, Stage::Failed | Stage::Gone) => {}
            RunnerEvent::Attached(job) => report.say(&format!(
                "this input was already submitted as job {} ({}); continuing with it. --again submits and pays again",
                job.id, job.stage
            )),
            RunnerEvent::Activity(activity) => report.activity(activity),
            RunnerEvent::Accepted { job, ticket } => {
                report.accepted(job, ticket);
                if !self.prints_ticket {
                    report.say(&format!("{job} accepted"));
                }
            }
            RunnerEvent::Adopted(job) => {
                report.say(&format!("the answer was lost; {job} is the one"));
            }
            RunnerEvent::Progress(update) => report.seen(update),
            RunnerEvent::PollFailed(error) => report.missed(error),
            RunnerEvent::FetchFailed { error, pause } => report.not_fetched(error, *pause),
            RunnerEvent::Warning(warning) => report.say(&format!("warning: {warning}")),
            RunnerEvent::LedgerTrouble {
                error, is_retried, ..
            } => {
                let retried = if *is_retried { "; trying again" } else { "" };
                report.say(&format!("docjobs: {error}{retried}"));
            }
            _ => {}
        }
    }
}

/// Tells the report what a worker does.
pub(crate) struct WorkerObserver(pub(crate) Report);

impl Observer for WorkerObserver {
    fn on_event(&self, event: &RunnerEvent<'_>) {
        let report = &self.0;
        match event {
            RunnerEvent::Accepted { job, ticket } => report.accepted(job, ticket),
            RunnerEvent::Adopted(job) => report.say(&format!(
                "job {}: the answer was lost; {job} is the one",
                job.id
            )),
            RunnerEvent::Completed { job, output } => match output {
                DeliveredOutput::Text(text) => report.done(job, None, Some(text)),
                output => report.done(job, output.path(), None),
            },
            RunnerEvent::Ended { job, error } | RunnerEvent::Delayed { job, error, .. } => {
                report.say(&format!("job {job}: {error}"));
            }
            RunnerEvent::Parked { job, error } => {
                let line = CommandError::from(*error).line;
                report.say(&format!(
                    "job {job} needs attention: {line}. Afterwards run: docjobs wait {job} -o PATH"
                ));
            }
            RunnerEvent::Dropped { job, error } => {
                report.say(&format!("docjobs: job {job}: {error}"));
            }
            RunnerEvent::Activity(_) | RunnerEvent::Progress(_) => {}
            RunnerEvent::PollFailed(error) => report.missed(error),
            RunnerEvent::Warning(warning) => report.say(&format!("warning: {warning}")),
            RunnerEvent::LedgerTrouble {
                error, is_retried, ..
            } => {
                let retried = if *is_retried { "; trying again" } else { "" };
                report.say(&format!("docjobs: {error}{retried}"));
            }
            _ => {}
        }
    }
}
