//! Tells how printing ended: the cloud until it has answered, and whoever runs the command.

use jobs_core::clock::bounded;
use jobs_core::{Error, ErrorKind, JobId, Moment};
use jobs_ledger::{JobRecord, Stage};
use printer_jobs::wire::PrintOutcome;

use super::outcome::{self, in_doubt};
use super::press::{Fate, PAUSE, Press};
use super::shape::one_line;
use crate::exit::{Exit, Stop};

/// Why the cloud does not know how printing ended.
pub(super) enum Unreported {
    /// It no longer has the job.
    Gone(Error),
    /// The process was asked to end.
    Left,
    /// Not yet, which says nothing of other jobs.
    Later(Stop),
    Stop(Stop),
}

impl Press<'_> {
    /// The cloud still lists a job that was settled here: its report was lost. It is never printed again.
    pub(super) async fn report_again(
        &self,
        row: &JobRecord,
        id: &JobId,
        deadline: Moment,
    ) -> Result<Fate, Stop> {
        let known = match row.stage {
            Stage::Completed => Some(PrintOutcome::Succeeded),
            _ => outcome::recorded(row),
        };
        let is_known = known.is_some();
        let outcome = known.unwrap_or_else(in_doubt);
        match self.report(id, &outcome, deadline).await {
            Ok(()) => {}
            Err(Unreported::Gone(_)) => return Ok(Fate::Gone),
            Err(Unreported::Left) => return Ok(Fate::Left),
            Err(Unreported::Later(stop)) => return Ok(Fate::Later(stop)),
            Err(Unreported::Stop(stop)) => return Err(stop),
        }
        self.say(
            id,
            &format!(
                "was listed once more; reported again, see docjobs show {}",
                row.id
            ),
        );
        Ok(match (outcome, is_known) {
            (_, false) => Fate::InDoubt,
            (PrintOutcome::Succeeded, true) => Fate::Printed,
            (PrintOutcome::Failed { .. }, true) => Fate::Failed,
        })
    }

    /// Reports until the cloud has answered.
    pub(super) async fn report(
        &self,
        id: &JobId,
        outcome: &PrintOutcome,
        deadline: Moment,
    ) -> Result<(), Unreported> {
        loop {
            // What was printed in the last second is worth a moment more.
            let limit = deadline.max(self.clock.now() + PAUSE);
            let reported = bounded(&*self.clock, limit, self.device.report(id, outcome)).await;
            let error = match reported {
                Some(Ok(())) => return Ok(()),
                Some(Err(error)) if error.kind() == ErrorKind::NotFound => {
                    return Err(Unreported::Gone(error));
                }
                Some(Err(error)) => error,
                None => {
                    return Err(Unreported::Later(Stop::new(
                        Exit::Deadline,
                        format!(
                            "the deadline passed; print job {id} is {} and not reported, which the next docjobs printer \
                             run makes up for",
                            outcome::remark(outcome)
                        ),
                    )));
                }
            };
            if !error.is_transient() || self.clock.now() + PAUSE >= deadline {
                let mut stop = Stop::after_acceptance(&error, None);
                let what = outcome::remark(outcome);
                stop.line.push_str(&format!(
                    "; print job {id} is {what} and not reported, which the next docjobs printer run makes up for"
                ));
                // Only a printer that the cloud no longer knows cannot report any job.
                return Err(if error.kind() == ErrorKind::Unauthenticated {
                    Unreported::Stop(stop)
                } else {
                    Unreported::Later(stop)
                });
            }
            self.app.report.missed(&error);
            if self.pause().await {
                return Err(Unreported::Left);
            }
        }
    }

    pub(super) fn tell(&self, fate: &Fate, row: &JobRecord, id: &JobId, outcome: &PrintOutcome) {
        let input = one_line(&row.input);
        match (fate, outcome) {
            (Fate::Printed, _) => {
                let there = row.output.as_deref().filter(|_| !self.remove);
                let at = there.map_or_else(String::new, |path| format!(": {}", path.display()));
                self.say(id, &format!("({input}) is printed{at}"));
                self.event("printed", id, Some(row), None);
            }
            (Fate::InDoubt, PrintOutcome::Failed { message, .. }) => {
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
