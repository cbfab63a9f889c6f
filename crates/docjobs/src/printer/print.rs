//! One print job from the list to its report, with the ledger written before every step that must not be repeated.
//!
//! *intended*: not printed, and harmless to begin again. *submitting*: the command may be running. *accepted*: printing has ended,
//! and the history says how. *completed* or *failed*: reported. Printing happens at most once for a row of the ledger, and a
//! row that was printed is never followed by another one, unless a person gave it up.

use std::path::PathBuf;

use jobs_core::JobId;
use jobs_core::clock::{Moment, bounded};
use jobs_ledger::{
    Claim, ClaimOutcome, Claimed, Due, Estimate, IntendOutcome, Intent, JobFilter, JobRecord,
    LedgerError, LedgerId, Note, Stage, at,
};
use printer_jobs::{ListedJob, PrintOutcome};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::process::Child;

use super::exec::{self, Exec};
use super::fetch::{FetchError, Listed};
use super::outcome::{self, failure, in_doubt};
use super::print_runner::{PrintResult, PrintRunner};
use super::render::one_line;
use super::report::ReportError;
use super::spool;
use super::{KIND, VENDOR, job_id_of, options};
use crate::exit::{CommandError, ExitCode};
use crate::observer::CommandObserver;

/// How printing ended.
enum Ended {
    With(PrintOutcome),
    /// It took longer than the deadline.
    TooLong,
}

impl PrintRunner<'_> {
    /// A job of the list: printed and reported, or only reported if it was printed before.
    pub(super) async fn listed(
        &self,
        job: &ListedJob,
        deadline: Moment,
    ) -> Result<PrintResult, CommandError> {
        let id = match job.job_id() {
            Ok(id) => id,
            Err(problem) => {
                let line = format!(
                    "{VENDOR}: a listed job is left alone, because it cannot be reported: {problem}"
                );
                self.app.report.say(&line);
                return Ok(PrintResult::Unusable);
            }
        };
        if let Some(row) = self.settled(&id).await? {
            return self.report_again(&row, &id, deadline).await;
        }
        let identified = bounded(&*self.clock, deadline, self.device.identify(job)).await;
        let (identified, unidentified) = match identified {
            Some(Ok(job)) => (Some(job), None),
            Some(Err(error)) if outcome::is_asked_out(&error) => (None, Some(error)),
            // It is met again, and dealt with, in the download.
            _ => (None, None),
        };
        let job = identified.as_ref().unwrap_or(job);
        let listed = Listed { job, unidentified };
        let names = self.names(job);
        let content = Sha256::digest(id.as_str()).into();
        let document = job.doc_name.as_deref().map(one_line).unwrap_or_default();
        let mut intent = Intent::new(VENDOR, KIND, self.account, content)
            .with_options(options(id.as_str()))
            .with_input(if document.is_empty() {
                id.as_str()
            } else {
                document.as_str()
            });
        if let Some(first) = names.first() {
            intent = intent.with_output(first);
        }
        match self.ledger.intend(intent).await? {
            IntendOutcome::New(claim, row) => {
                self.print(claim, &row, &id, listed, false, deadline).await
            }
            IntendOutcome::Attached(row) => self.take_up(row.id, &id, Some(listed), deadline).await,
        }
    }

    /// A job that an earlier process left unfinished; `listed` while the cloud has it as unprinted.
    pub(super) async fn take_up(
        &self,
        row: LedgerId,
        id: &JobId,
        listed: Option<Listed<'_>>,
        deadline: Moment,
    ) -> Result<PrintResult, CommandError> {
        let claimed = match self.ledger.claim(row).await? {
            ClaimOutcome::Claimed(claimed) => claimed,
            ClaimOutcome::Busy { until, .. } => return Ok(PrintResult::Busy(until)),
            ClaimOutcome::Settled(row) if listed.is_some() => {
                return self.report_again(&row, id, deadline).await;
            }
            ClaimOutcome::Settled(_) => return Ok(PrintResult::Gone),
            _ => {
                self.say(id, "cannot be taken up by this version");
                return Ok(PrintResult::Failed);
            }
        };
        let known = outcome::recorded(claimed.job());
        let (claim, row) = match claimed {
            Claimed::Intended(claim, row) => match (known, listed) {
                (Some(PrintOutcome::Succeeded), _) => {
                    let sending = self
                        .ledger
                        .begin_submit(claim, Estimate::Free)
                        .await?
                        .granted()
                        .map_err(LedgerError::from)?;
                    let held = self.held(&sending, id).await?;
                    return self
                        .finish(held, &row, id, Some(PrintOutcome::Succeeded), deadline)
                        .await;
                }
                (Some(failed), _) => return self.hopeless(claim, id, &failed, deadline).await,
                (None, Some(listed)) => {
                    return self.print(claim, &row, id, listed, true, deadline).await;
                }
                (None, None) => return self.withdraw(claim, &row, id).await,
            },
            Claimed::Accepted(claim, row) => (claim, row),
            Claimed::Available(claim, row) => (self.lapsed(&claim).await?, row),
            Claimed::Downloading(claim, row) => (self.lapsed(&claim).await?, row),
            Claimed::InDoubt(claim, row) => {
                let now = self.ledger.clock().wall();
                let note = Note::new(match &known {
                    Some(_) => "printing had ended; it was not reported",
                    None => "it is not printed again by itself",
                });
                match self.ledger.adopt(&claim, id, now, note).await {
                    Ok(held) => (held, row),
                    Err(error) if error.is_transient() => return Err(error.into()),
                    Err(error) => {
                        self.ledger.release(claim, Due::Parked).await?;
                        self.say(id, &format!("cannot be reported: {error}"));
                        return Ok(PrintResult::InDoubt);
                    }
                }
            }
            other => {
                self.say(
                    id,
                    &format!("cannot be carried on as job {}", other.job().id),
                );
                return Ok(PrintResult::Failed);
            }
        };
        self.finish(claim, &row, id, known, deadline).await
    }

    /// The rows of this printer that are not settled, the oldest first.
    pub(super) async fn unfinished(&self) -> Result<Vec<(LedgerId, JobId)>, CommandError> {
        let mut filter = JobFilter::unfinished()
            .with_vendor(VENDOR)
            .with_kind(KIND)
            .with_account(self.account);
        let mut rows = Vec::new();
        loop {
            let page = self.ledger.list(&filter).await?;
            let ids = page.jobs.iter().filter_map(|row| {
                let id = match (&row.remote_id, job_id_of(row)) {
                    (Some(id), _) => Some(id.clone()),
                    (None, text) => text.and_then(|text| JobId::new(text).ok()),
                };
                id.map(|id| (row.id, id))
            });
            rows.extend(ids);
            match page.next {
                Some(next) => filter = filter.after(next),
                None => break,
            }
        }
        rows.reverse();
        Ok(rows)
    }

    async fn print(
        &self,
        claim: Claim<at::Intended>,
        row: &JobRecord,
        id: &JobId,
        listed: Listed<'_>,
        again: bool,
        deadline: Moment,
    ) -> Result<PrintResult, CommandError> {
        let job = listed.job;
        let keeper = self.ledger.heartbeat(&claim);
        let fetched = self.fetch(listed, again, deadline).await;
        drop(keeper);
        let files = match fetched {
            Ok(files) => files,
            Err(FetchError::Gone(error)) => {
                self.say(id, "was deleted or has lapsed; nothing was printed");
                self.ledger
                    .record_rejected(&claim, Note::from(&error))
                    .await?;
                return Ok(PrintResult::Gone);
            }
            Err(FetchError::Hopeless(error)) => {
                let reason = error.message().unwrap_or("the file cannot be had");
                let failed = failure(1, &format!("the file cannot be printed: {reason}"));
                self.ledger
                    .record_outcome(&claim, &outcome::to_record(&failed))
                    .await?;
                return self.hopeless(claim, id, &failed, deadline).await;
            }
            Err(FetchError::InTheWay(path)) => {
                let line = format!(
                    "cannot be downloaded: something else is at {}; move it away, or use another --spool",
                    path.display()
                );
                self.say(id, &line);
                // Not left as wanted, where whatever is at its name counts as ours.
                self.ledger.record_rejected(&claim, Note::new(line)).await?;
                return Ok(PrintResult::Failed);
            }
            Err(FetchError::Left) => {
                self.ledger.release(claim, Due::Now).await?;
                return Ok(PrintResult::Left);
            }
            Err(FetchError::Later(stop)) => {
                self.ledger.release(claim, Due::Now).await?;
                return Ok(PrintResult::Later(stop));
            }
            Err(FetchError::CommandError(stop)) => {
                self.ledger.release(claim, Due::Now).await?;
                return Err(stop);
            }
        };
        let Some(exec) = &self.exec else {
            // Nothing can go wrong between here and *accepted*, so a crash there leaves no doubt.
            let printed = outcome::to_record(&PrintOutcome::Succeeded);
            self.ledger.record_outcome(&claim, &printed).await?;
            let sending = self
                .ledger
                .begin_submit(claim, Estimate::Free)
                .await?
                .granted()
                .map_err(LedgerError::from)?;
            let held = self.held(&sending, id).await?;
            return self
                .finish(held, row, id, Some(PrintOutcome::Succeeded), deadline)
                .await;
        };
        let sending = self
            .ledger
            .begin_submit(claim, Estimate::Free)
            .await?
            .granted()
            .map_err(LedgerError::from)?;
        self.run_command(sending, exec, row, id, job, &files, deadline)
            .await
    }

    /// Runs the command, once.
    #[allow(
        clippy::too_many_arguments,
        reason = "the job as each of its parties knows it"
    )]
    async fn run_command(
        &self,
        sending: Claim<at::Submitting>,
        exec: &Exec,
        row: &JobRecord,
        id: &JobId,
        job: &ListedJob,
        files: &[PathBuf],
        deadline: Moment,
    ) -> Result<PrintResult, CommandError> {
        // A process that was stopped in between must not print: others may have taken the job over.
        if sending.left(self.ledger.clock().wall()).is_zero() {
            let note = Note::new("the lease ended before the command was started");
            self.ledger
                .record_not_sent(&sending, Due::Now, note)
                .await?;
            return Ok(PrintResult::Busy(self.ledger.clock().wall()));
        }
        if let Some(line) = exec.drops(job) {
            self.say(id, &line);
        }
        let keeper = self.ledger.heartbeat(&sending);
        let ended = match exec.start(job, files) {
            Ok(child) => self.watch(child, id).await?,
            Err(problem) if problem.kind() == std::io::ErrorKind::ArgumentListTooLong => {
                Ended::With(failure(
                    1,
                    "the job has too many pages or settings for the print command",
                ))
            }
            Err(problem) => {
                let note = Note::new(format!("the command could not be started: {problem}"));
                self.ledger
                    .record_not_sent(&sending, Due::Now, note)
                    .await?;
                return Err(CommandError::invalid_input(format!(
                    "cannot start {:?} for print job {id}: {problem}; nothing was printed, mend --exec",
                    exec.program()
                )));
            }
        };
        let is_lost = keeper.is_lost();
        drop(keeper);
        if is_lost {
            self.say(
                id,
                "was taken over by another process while it was printed; that one reports it",
            );
            return Ok(PrintResult::InDoubt);
        }
        let outcome = match ended {
            Ended::With(outcome) => outcome,
            Ended::TooLong => failure(1, "the print command did not end in time and was ended"),
        };
        let record = outcome::to_record(&outcome);
        let noted = self
            .retry_ledger_write(async || self.ledger.record_outcome(&sending, &record).await)
            .await;
        noted.map_err(|error| self.unwritten(&error, id, &outcome))?;
        let held = self.held(&sending, id).await?;
        self.finish(held, row, id, Some(outcome), deadline).await
    }

    /// Waits for the command, at most until the deadline in the world's time: it is no vendor.
    async fn watch(&self, mut child: Child, id: &JobId) -> Result<Ended, CommandError> {
        let clock = self.ledger.clock();
        let limit = clock.now() + self.app.options.deadline;
        let mut told = false;
        let ended = loop {
            tokio::select! {
                ended = bounded(&**clock, limit, child.wait()) => break match ended {
                    None => Ended::TooLong,
                    Some(Ok(status)) => return Ok(Ended::With(exec::verdict(status))),
                    Some(Err(problem)) => {
                        return Err(CommandError::new(ExitCode::OutcomeUnknown, format!(
                            "print job {id}: cannot tell how the command ended: {problem}; the next docjobs printer run \
                             reports it as failed"
                        )));
                    }
                },
                () = self.shutdown.asked(), if !told => {
                    told = true;
                    self.say(id, "is finished first; a second signal leaves it, and nobody knows then whether it was printed");
                }
            }
        };
        if let Err(problem) = child.kill().await {
            self.say(
                id,
                &format!("has a command that cannot be ended: {problem}"),
            );
        }
        Ok(ended)
    }

    /// Reports how printing ended, and settles the row. Without an outcome nobody knows whether it was printed.
    async fn finish(
        &self,
        claim: Claim<at::Accepted>,
        row: &JobRecord,
        id: &JobId,
        known: Option<PrintOutcome>,
        deadline: Moment,
    ) -> Result<PrintResult, CommandError> {
        let is_known = known.is_some();
        let outcome = known.unwrap_or_else(in_doubt);
        let keeper = self.ledger.heartbeat(&claim);
        let reported = self.report(id, &outcome, deadline).await;
        drop(keeper);
        match reported {
            Ok(()) => {}
            Err(ReportError::Gone(error)) => {
                self.ledger.record_gone(&claim, Note::from(&error)).await?;
                self.say(
                    id,
                    "is no longer in the cloud, so nobody was told how printing ended",
                );
                return Ok(if is_known {
                    PrintResult::Gone
                } else {
                    PrintResult::InDoubt
                });
            }
            Err(ReportError::Left) => {
                self.ledger.release(claim, Due::Now).await?;
                return Ok(PrintResult::Left);
            }
            Err(ReportError::Later(stop)) => {
                self.ledger.release(claim, Due::Now).await?;
                return Ok(PrintResult::Later(stop));
            }
            Err(ReportError::Owed(stop)) => {
                self.ledger.release(claim, Due::Now).await?;
                return Ok(PrintResult::Owed(stop));
            }
            Err(ReportError::CommandError(stop)) => {
                self.ledger.release(claim, Due::Now).await?;
                return Err(stop);
            }
        }
        let result = match &outcome {
            PrintOutcome::Succeeded => {
                let note = Note::new("reported as printed");
                let ready = self
                    .ledger
                    .record_available(&claim, &Value::Null, note)
                    .await?;
                self.ledger
                    .complete(&ready, None, None, Note::none())
                    .await?;
                PrintResult::Printed
            }
            PrintOutcome::Failed { message, .. } => {
                let note = Note::new(format!("reported as failed: {message}"));
                self.ledger.record_failed(&claim, note).await?;
                if is_known {
                    PrintResult::Failed
                } else {
                    PrintResult::InDoubt
                }
            }
        };
        if self.remove
            && let Some(first) = &row.output
            && let Err(problem) = spool::remove(&spool::all_of(first))
        {
            self.say(id, &format!("has files that cannot be removed: {problem}"));
        }
        self.tell(&result, row, id, &outcome);
        Ok(result)
    }

    /// A job whose file never comes: reported as failed, and nothing was printed.
    async fn hopeless(
        &self,
        claim: Claim<at::Intended>,
        id: &JobId,
        failed: &PrintOutcome,
        deadline: Moment,
    ) -> Result<PrintResult, CommandError> {
        let keeper = self.ledger.heartbeat(&claim);
        let reported = self.report(id, failed, deadline).await;
        drop(keeper);
        let note = match reported {
            Ok(()) => Note::new(format!("reported as {}", outcome::remark(failed))),
            Err(ReportError::Gone(error)) => Note::from(&error),
            Err(ReportError::Left) => {
                self.ledger.release(claim, Due::Now).await?;
                return Ok(PrintResult::Left);
            }
            Err(ReportError::Later(stop)) => {
                self.ledger.release(claim, Due::Now).await?;
                return Ok(PrintResult::Later(stop));
            }
            Err(ReportError::Owed(stop)) => {
                self.ledger.release(claim, Due::Now).await?;
                return Ok(PrintResult::Owed(stop));
            }
            Err(ReportError::CommandError(stop)) => {
                self.ledger.release(claim, Due::Now).await?;
                return Err(stop);
            }
        };
        self.ledger.record_rejected(&claim, note).await?;
        if let PrintOutcome::Failed { message, .. } = failed {
            self.say(id, &format!("failed: {message}"));
            self.event("failed", id, None, Some(message));
        }
        Ok(PrintResult::Failed)
    }

    /// The cloud no longer has a job as unprinted that was never printed here: a member has deleted it.
    async fn withdraw(
        &self,
        claim: Claim<at::Intended>,
        row: &JobRecord,
        id: &JobId,
    ) -> Result<PrintResult, CommandError> {
        let files = row.output.as_deref().map(spool::all_of).unwrap_or_default();
        if let Err(problem) = spool::remove(&files) {
            self.say(id, &format!("has files that cannot be removed: {problem}"));
        }
        let note = Note::new("the cloud no longer lists it as unprinted; nothing was printed");
        self.ledger.record_rejected(&claim, note).await?;
        self.say(id, "is no longer to be printed");
        Ok(PrintResult::Gone)
    }

    /// The newest row with this job's id, if it is settled and was printed as far as it goes.
    async fn settled(&self, id: &JobId) -> Result<Option<JobRecord>, CommandError> {
        let rows = self.ledger.find(id.as_str()).await?;
        let newest = rows.into_iter().find(|row| {
            row.vendor == VENDOR
                && row.kind == KIND
                && row.account == self.account
                && row.remote_id.as_ref() == Some(id)
        });
        Ok(
            newest
                .filter(|row| matches!(row.stage, Stage::Completed | Stage::Failed | Stage::Gone)),
        )
    }

    async fn held(
        &self,
        sending: &Claim<at::Submitting>,
        id: &JobId,
    ) -> Result<Claim<at::Accepted>, CommandError> {
        let now = self.ledger.clock().wall();
        self.retry_ledger_write(async || {
            self.ledger
                .record_accepted(sending, id, now, Note::none())
                .await
        })
        .await
        .map_err(CommandError::from)
    }

    async fn lapsed<S: jobs_ledger::WithResult>(
        &self,
        claim: &Claim<S>,
    ) -> Result<Claim<at::Accepted>, CommandError> {
        let note = Note::new("it is reported once more");
        self.ledger
            .record_link_expired(claim, note)
            .await
            .map_err(CommandError::from)
    }

    /// Writes what cannot be learnt again, however long the ledger is in trouble.
    async fn retry_ledger_write<T, F: Future<Output = Result<T, LedgerError>>>(
        &self,
        write: impl Fn() -> F,
    ) -> Result<T, LedgerError> {
        let observer = CommandObserver::new(self.app.report.clone(), false);
        jobs_runner::retry_ledger_write(&self.ledger, &observer, write).await
    }

    fn unwritten(&self, error: &LedgerError, id: &JobId, outcome: &PrintOutcome) -> CommandError {
        let mut stop = CommandError::ledger(error);
        let what = outcome::remark(outcome);
        stop.line.push_str(&format!(
            "; print job {id} is {what}, which could not be written down"
        ));
        stop
    }
}
