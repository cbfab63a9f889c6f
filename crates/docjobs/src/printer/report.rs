//! Tells how printing ended: the cloud until it has answered, and whoever runs the command.

use jobs_core::clock::{Moment, bounded};
use jobs_core::{Error, JobId};
use jobs_ledger::{JobRecord, Stage};
use printer_jobs::PrintOutcome;

use super::outcome::{self, Next, in_doubt};
use super::print_runner::{PAUSE, PrintResult, PrintRunner};
use super::render::one_line;
use crate::exit::{CommandError, ExitCode};

/// Why the cloud does not know how printing ended.
pub(super) enum ReportError {
    /// It no longer has the job.
    Gone(Error),
    /// The process was asked to end.
    Left,
    /// Not yet, which says nothing of other jobs.
    Later(CommandError),
    /// It does not take this one: not in this run.
    Owed(CommandError),
    CommandError(CommandError),
}

impl PrintRunner<'_> {
    /// The cloud still lists a job that was settled here: its report was lost. It is never printed again.
    pub(super) async fn report_again(
        &self,
        row: &JobRecord,
        id: &JobId,
        deadline: Moment,
    ) -> Result<PrintResult, CommandError> {
        let known = match row.stage {
            Stage::Completed => Some(PrintOutcome::Succeeded),
            _ => outcome::recorded(row),
        };
        let is_known = known.is_some();
        let outcome = known.unwrap_or_else(in_doubt);
        match self.report(id, &outcome, deadline).await {
            Ok(()) => {}
            Err(ReportError::Gone(_)) => return Ok(PrintResult::Gone),
            Err(ReportError::Left) => return Ok(PrintResult::Left),
            Err(ReportError::Later(stop)) => return Ok(PrintResult::Later(stop)),
            Err(ReportError::Owed(stop)) => return Ok(PrintResult::Owed(stop)),
            Err(ReportError::CommandError(stop)) => return Err(stop),
        }
        self.say(
            id,
            &format!(
                "was listed once more; reported again, see docjobs show {}",
                row.id
            ),
        );
        Ok(match (outcome, is_known) {
            (_, false) => PrintResult::InDoubt,
            (PrintOutcome::Succeeded, true) => PrintResult::Printed,
            (PrintOutcome::Failed { .. }, true) => PrintResult::Failed,
        })
    }

    /// Reports until the cloud has taken it, or it is known that it will not.
    pub(super) async fn report(
        &self,
        id: &JobId,
        outcome: &PrintOutcome,
        deadline: Moment,
    ) -> Result<(), ReportError> {
        let mut tries = 0;
        loop {
            // What was printed in the last second is worth a moment more.
            let limit = deadline.max(self.clock.now() + PAUSE);
            let reported = bounded(&*self.clock, limit, self.device.report(id, outcome)).await;
            let error = match reported {
                Some(Ok(())) => return Ok(()),
                Some(Err(error)) => error,
                None => {
                    return Err(ReportError::Later(CommandError::new(
                        ExitCode::Unfinished,
                        format!(
                            "the deadline passed; print job {id} is {} and not reported, which the next docjobs printer \
                             run makes up for",
                            outcome::remark(outcome)
                        ),
                    )));
                }
            };
            tries += 1;
            let stop = || {
                let mut stop = CommandError::of_accepted(&error, None);
                let what = outcome::remark(outcome);
                stop.line.push_str(&format!(
                    "; print job {id} is {what} and not reported, which the next docjobs printer run makes up for"
                ));
                stop
            };
            match outcome::after_report(&error, tries) {
                Next::Drop => return Err(ReportError::Gone(error)),
                Next::End => return Err(ReportError::CommandError(stop())),
                Next::GiveUp => return Err(ReportError::Owed(stop())),
                Next::Later => return Err(ReportError::Later(stop())),
                Next::Again if self.clock.now() + PAUSE >= deadline => {
                    return Err(ReportError::Later(stop()));
                }
                Next::Again => self.app.report.missed(&error),
            }
            if self.pause().await {
                return Err(ReportError::Left);
            }
        }
    }

    pub(super) fn tell(
        &self,
        result: &PrintResult,
        row: &JobRecord,
        id: &JobId,
        outcome: &PrintOutcome,
    ) {
        let input = one_line(&row.input);
        match (result, outcome) {
            (PrintResult::Printed, _) => {
                let there = row.output.as_deref().filter(|_| !self.remove);
                let at = there.map_or_else(String::new, |path| format!(": {}", path.display()));
                self.say(id, &format!("({input}) is printed{at}"));
                self.event("printed", id, Some(row), None);
            }
            (PrintResult::InDoubt, PrintOutcome::Failed { message, .. }) => {
                let line = format!(
                    "({input}) may have been printed before an interruption, and is not printed again; it was reported \
                     as failed, see docjobs show {}",
                    row.id
                );
                self.say(id, &line);
                self.event("in_doubt", id, Some(row), Some(message));
            }
            (_, PrintOutcome::Failed { message, .. }) => {
                self.say(id, &format!("({input}) failed: {message}"));
                self.event("failed", id, Some(row), Some(message));
            }
            _ => {}
        }
    }
}
