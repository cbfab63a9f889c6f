//! Runs one job from wherever it is to its result, and records every step before it is taken.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use jobs_core::clock::{Clock, Moment};
use jobs_core::vendor::{CallMonitor, JobKind, Updates};
use jobs_core::{Error, Job, JobId, LostSubmit, Update, WaitErrorKind};
use jobs_ledger::{
    Claim, ClaimKey, ClaimOutcome, Claimed, Due, Ledger, LedgerError, LedgerErrorKind, Note,
    ParkReason, PollRecord, Stage, at,
};

use crate::context::Context;
use crate::deliveries::{Delivery, WantedFormat, deliveries};
use crate::durable_steps::{
    DurableSteps, FetchOutcome, SearchOutcome, SubmitOutcome, lost_submit, units,
};
use crate::error::{RunnerError, RunnerErrorKind};
use crate::handler::{CallBudget, Handler};
use crate::observer::{CompletedJob, JobLabel, RunnerEvent};
use crate::options::{RunOptions, RunOutcome};
use crate::output::{DeliveredOutput, OutputTarget};
use crate::policy::{self, Cut, NextFetch};

/// One job of a handler, and how it is to be run.
pub(crate) struct JobRunner<'a, H: Handler> {
    pub(crate) context: &'a Context,
    pub(crate) handler: &'a H,
    pub(crate) options: &'a RunOptions,
    pub(crate) target: &'a OutputTarget,
    pub(crate) deadline: Moment,
    /// The format in which the result is wanted.
    pub(crate) format: Option<&'static str>,
    /// Whether the ledger remembers that format.
    pub(crate) is_recorded_format: bool,
    /// When others may continue a job that is left unfinished; at once unless given.
    pub(crate) retry_after: Option<Duration>,
}

/// A job that is completed at the vendor, and what it gave.
type Finished<K> = (Claim<at::Accepted>, Job<K>, <K as JobKind>::Output);

impl<H: Handler> JobRunner<'_, H> {
    /// Makes the paid call and goes on from there.
    pub(crate) async fn submit(
        &self,
        claim: Claim<at::Intended>,
        input: &H::Input,
        row: &jobs_ledger::JobRecord,
    ) -> Result<RunOutcome, RunnerError> {
        let steps = self.steps();
        let nothing_sent =
            || RunnerError::new(RunnerErrorKind::Interrupted { accepted: None }).of_job(row.id);
        if self.options.shutdown.is_cancelled() {
            let note = Note::new("interrupted before anything was sent");
            self.ledger().record_rejected(&claim, note).await?;
            return Err(nothing_sent());
        }
        let cut = async |monitor: &CallMonitor| self.submit_cut(monitor).await;
        match steps.submit(claim, input, &row.input, cut).await? {
            SubmitOutcome::Accepted(held, job) => self.accepted(held, &job, row).await,
            SubmitOutcome::Rejected(sending, error) => {
                steps.record_rejected(&sending, &error).await?;
                Err(rejected(error, row))
            }
            SubmitOutcome::NotSent(sending, error) => {
                // Who was told that nothing was sent is not to find it bought by a worker later.
                steps.record_rejected(&sending, &error).await?;
                Err(if self.options.shutdown.is_cancelled() {
                    nothing_sent()
                } else {
                    rejected(error, row)
                })
            }
            SubmitOutcome::OverBudget(over) => {
                Err(RunnerError::new(RunnerErrorKind::OverBudget(over)).of_job(row.id))
            }
            SubmitOutcome::Unknown(unknown, lost) => self.find(unknown, input, &lost, row).await,
        }
    }

    /// Returns when a submit under way must not go on.
    async fn submit_cut(&self, monitor: &CallMonitor) -> Cut {
        let clock = self.clock();
        let ends = policy::submit_ends(clock.now(), self.deadline, self.handler.can_search());
        tokio::select! {
            () = clock.guard_until(ends) => Cut::Deadline,
            () = self.options.shutdown.cancelled() => {
                policy::after_shutdown(&**self.ledger().clock(), monitor).await;
                Cut::Shutdown
            }
        }
    }

    /// Continues a job of the ledger, waiting for another process that works on it.
    pub(crate) async fn run(
        &self,
        mut row: jobs_ledger::JobRecord,
        input: Option<&H::Input>,
    ) -> Result<RunOutcome, RunnerError> {
        let clock = self.clock();
        loop {
            if self.options.until_accepted
                && let Some(outcome) = self.accepted_before(&row).await?
            {
                return Ok(outcome);
            }
            if row.stage == Stage::Completed
                && let Some(outcome) = self.deliver_again(&row).await?
            {
                return Ok(outcome);
            }
            match self.ledger().claim(row.id).await? {
                ClaimOutcome::Claimed(claimed) => return self.continue_from(claimed, input).await,
                ClaimOutcome::Settled(job) if job.stage == Stage::Completed => row = job,
                ClaimOutcome::Settled(job) => {
                    let id = job.id;
                    let settled = RunnerErrorKind::Settled {
                        row: Box::new(job),
                        can_resubmit: input.is_some(),
                    };
                    return Err(RunnerError::new(settled).of_job(id));
                }
                ClaimOutcome::Busy { job, .. } if clock.now() >= self.deadline => {
                    return Err(RunnerError::new(RunnerErrorKind::Busy)
                        .of_job(job.id)
                        .with_ticket(job.ticket()));
                }
                ClaimOutcome::Busy { job, .. } => {
                    tokio::select! {
                        () = clock.sleep_until(clock.now() + Duration::from_secs(1)) => {}
                        () = self.options.shutdown.cancelled() => {
                            let accepted = row.remote_id.clone().map(|id| (self.vendor(), id));
                            return Err(RunnerError::new(RunnerErrorKind::Interrupted { accepted })
                                .of_job(row.id)
                                .with_ticket(row.ticket()));
                        }
                    }
                    row = job;
                }
                _ => {
                    return Err(RunnerError::unexpected(format!(
                        "job {} cannot be claimed by this version",
                        row.id
                    )));
                }
            }
        }
    }

    /// Continues a job that is claimed.
    pub(crate) async fn continue_from(
        &self,
        claimed: Claimed,
        input: Option<&H::Input>,
    ) -> Result<RunOutcome, RunnerError> {
        let rebuilt;
        let steps = self.steps();
        match claimed {
            Claimed::Intended(claim, row) => {
                let input = match input {
                    Some(input) => input,
                    None => {
                        rebuilt = self.handler.rebuild_input(&row)?;
                        &rebuilt
                    }
                };
                self.submit(claim, input, &row).await
            }
            Claimed::Accepted(claim, row) if self.is_withheld(&row) => {
                self.withheld(claim.key(), &row).await
            }
            Claimed::Available(claim, row) if self.is_withheld(&row) => {
                self.withheld(claim.key(), &row).await
            }
            Claimed::Downloading(claim, row) if self.is_withheld(&row) => {
                self.withheld(claim.key(), &row).await
            }
            Claimed::Accepted(claim, row) => self.continue_waiting(claim, &row).await,
            Claimed::Available(claim, row) => {
                let held = steps.back_to_polling(&claim).await?;
                self.continue_waiting(held, &row).await
            }
            Claimed::Downloading(claim, row) => {
                let held = steps.back_to_polling(&claim).await?;
                self.continue_waiting(held, &row).await
            }
            Claimed::InDoubt(claim, row) => {
                let lost = lost_submit(self.vendor(), &row);
                let input = match input {
                    Some(input) => Ok(input),
                    None => match self.handler.rebuild_input(&row) {
                        Ok(input) => {
                            rebuilt = input;
                            Ok(&rebuilt)
                        }
                        Err(error) => Err(error),
                    },
                };
                match input {
                    Ok(input) => self.find(claim, input, &lost, &row).await,
                    Err(_) => self.park_for_review(claim, lost, Vec::new()).await,
                }
            }
            other => Err(RunnerError::unexpected(format!(
                "job {} cannot be continued by this version",
                other.job().id
            ))),
        }
    }

    /// Continues a job that the vendor has: what was kept of its result is delivered where that is accepted, else it is
    /// waited for.
    async fn continue_waiting(
        &self,
        claim: Claim<at::Accepted>,
        row: &jobs_ledger::JobRecord,
    ) -> Result<RunOutcome, RunnerError> {
        let steps = self.steps();
        let job = steps.job(row)?;
        if !self.options.accept_unverified || row.allows_fetch(None) {
            return self.wait(claim, &job, row).await;
        }
        match steps.deliver_kept(claim, row, self.target).await? {
            Ok(delivered) => Ok(completed(JobLabel::of(row.id, &job), delivered)),
            Err(held) => self.wait(held, &job, row).await,
        }
    }

    /// Whether the result came whole and broken so often, in this format, that it is not fetched again.
    fn is_withheld(&self, row: &jobs_ledger::JobRecord) -> bool {
        !row.allows_fetch(self.format) && !self.options.accept_unverified
    }

    /// Leaves a job whose result is not fetched again, and says where its bytes are.
    async fn withheld(
        &self,
        key: ClaimKey,
        row: &jobs_ledger::JobRecord,
    ) -> Result<RunOutcome, RunnerError> {
        let note = Note::new(row.error.as_deref().unwrap_or_default());
        let parked = self
            .ledger()
            .park(key, ParkReason::UnverifiedResult, note)
            .await;
        self.recorded(parked)?;
        Err(self.unverified(row))
    }

    fn unverified(&self, row: &jobs_ledger::JobRecord) -> RunnerError {
        let reason = row.error.clone();
        let reason = reason.unwrap_or_else(|| "the result does not pass its check".to_owned());
        let known = row.unverified.iter().rev();
        let mut known = known.filter(|one| one.is_about(self.format));
        let kept = known.find_map(|one| one.path.clone());
        RunnerError::new(RunnerErrorKind::Unverified { reason, kept })
            .of_job(row.id)
            .with_ticket(row.ticket())
    }

    /// Delivers the result of a job that was completed before; `None` when another process has reopened the job since it
    /// was read. Where it cannot be had once more, the job is completed as before.
    async fn deliver_again(
        &self,
        row: &jobs_ledger::JobRecord,
    ) -> Result<Option<RunOutcome>, RunnerError> {
        let job = self.steps().job(row)?;
        let format = WantedFormat {
            name: self.format,
            is_recorded: self.is_recorded_format,
        };
        for Delivery { path, sha256 } in deliveries(self.ledger(), row, format).await? {
            let Some(path) = path else { continue };
            match self.target.copy(&path, sha256) {
                Ok(Some(delivered)) => {
                    return Ok(Some(completed(JobLabel::of(row.id, &job), delivered)));
                }
                Ok(None) => {}
                // Gone, or no longer to be read: it is fetched again.
                Err(problem)
                    if !path.is_file() || problem.kind() == ErrorKind::PermissionDenied => {}
                Err(problem) => {
                    let failed = RunnerErrorKind::CopyFailed { path, problem };
                    return Err(RunnerError::new(failed).of_job(row.id));
                }
            }
        }
        if self.handler.polls_cost() {
            let output = row.output.clone();
            let delivered = RunnerErrorKind::AlreadyDelivered { output };
            return Err(RunnerError::new(delivered).of_job(row.id));
        }
        if self.is_withheld(row) {
            return Err(self.unverified(row));
        }
        // The place on record stays: what is there is this job's, whatever comes of this.
        let held = match self.ledger().reopen(row.id, None).await {
            Err(error) if error.kind() == LedgerErrorKind::IllegalTransition => return Ok(None),
            held => held?,
        };
        let error = match self.continue_waiting(held, row).await {
            Ok(outcome) => return Ok(Some(outcome)),
            Err(error) => error,
        };
        if let Err(problem) = self.ledger().complete_again(row.id).await {
            self.context.ledger_trouble(&problem);
        }
        Err(match error.kind() {
            RunnerErrorKind::Wait(_)
            | RunnerErrorKind::DeadlineExceeded { .. }
            | RunnerErrorKind::NotFetched(_) => {
                error.after_delivery(row.credits, self.handler.unit())
            }
            _ => error,
        })
    }

    /// A run that is to go no further than acceptance finds it on record, whoever works on the job. A job without a place
    /// remembers the one that is asked for.
    async fn accepted_before(
        &self,
        row: &jobs_ledger::JobRecord,
    ) -> Result<Option<RunOutcome>, RunnerError> {
        let is_at_vendor = !row.stage.is_settled() || row.stage == Stage::Completed;
        let (Some(ticket), true) = (row.ticket(), is_at_vendor) else {
            return Ok(None);
        };
        if let (None, Some(path)) = (&row.output, self.target.path()) {
            let place = (row.id, path.to_owned());
            self.ledger().set_outputs(&[place]).await?;
        }
        let label = JobLabel::of(row.id, &self.steps().job(row)?);
        self.context.event(&RunnerEvent::Accepted {
            job: &label,
            ticket: &ticket,
        });
        Ok(Some(RunOutcome::Accepted(label, ticket)))
    }

    async fn accepted(
        &self,
        held: Claim<at::Accepted>,
        job: &Job<H::Kind>,
        row: &jobs_ledger::JobRecord,
    ) -> Result<RunOutcome, RunnerError> {
        let ticket = job.ticket().map_err(|problem| {
            RunnerError::unexpected(format!("job {}: {problem}", job.id())).of_job(row.id)
        })?;
        let label = JobLabel::of(row.id, job);
        self.context.event(&RunnerEvent::Accepted {
            job: &label,
            ticket: &ticket,
        });
        if self.options.until_accepted {
            self.ledger().release(held, Due::Now).await?;
            return Ok(RunOutcome::Accepted(label, ticket));
        }
        self.wait(held, job, row).await
    }

    /// Searches for the job of a submit whose answer was lost; unless exactly one fits, a person decides.
    async fn find(
        &self,
        claim: Claim<at::InDoubt>,
        input: &H::Input,
        lost: &LostSubmit,
        row: &jobs_ledger::JobRecord,
    ) -> Result<RunOutcome, RunnerError> {
        let (heartbeat, key) = (self.ledger().heartbeat(&claim), claim.key());
        let steps = self.steps();
        let searched = tokio::select! {
            biased;
            () = self.options.shutdown.cancelled() => {
                let note = Note::from(&lost.error);
                self.recorded(self.ledger().park(key, ParkReason::InDoubt, note).await)?;
                let unknown = RunnerErrorKind::OutcomeUnknown {
                    lost: lost.clone(),
                    candidates: Vec::new(),
                    interrupted: true,
                };
                return Err(RunnerError::new(unknown).of_job(key.job()));
            }
            searched = steps.search(claim, input, lost, self.deadline) => searched?,
        };
        drop(heartbeat);
        match searched {
            SearchOutcome::Adopted(held, id) => {
                let job = Job::accepted(self.handler.kind(), id);
                self.context
                    .event(&RunnerEvent::Adopted(&JobLabel::of(row.id, &job)));
                self.accepted(held, &job, row).await
            }
            SearchOutcome::InDoubt(claim, candidates) => {
                self.park_for_review(claim, lost.clone(), candidates).await
            }
        }
    }

    async fn park_for_review(
        &self,
        claim: Claim<at::InDoubt>,
        lost: LostSubmit,
        candidates: Vec<JobId>,
    ) -> Result<RunOutcome, RunnerError> {
        let key = claim.key();
        let note = Note::from(&lost.error);
        self.ledger().park(key, ParkReason::InDoubt, note).await?;
        let unknown = RunnerErrorKind::OutcomeUnknown {
            lost,
            candidates,
            interrupted: false,
        };
        Err(RunnerError::new(unknown).of_job(key.job()))
    }

    /// Waits, fetches and delivers; trouble with the ledger takes the ticket along.
    async fn wait(
        &self,
        claim: Claim<at::Accepted>,
        job: &Job<H::Kind>,
        row: &jobs_ledger::JobRecord,
    ) -> Result<RunOutcome, RunnerError> {
        let done = self.wait_and_fetch(claim, job, row).await;
        done.map_err(|error| match (error.kind(), error.ticket()) {
            (RunnerErrorKind::Ledger(_), None) => error.with_ticket(job.ticket().ok()),
            _ => error,
        })
    }

    /// A result that cannot be had is polled for anew, for another link, as long as there is
    /// time; where polls cost money, the link that was paid for is followed again instead.
    async fn wait_and_fetch(
        &self,
        mut claim: Claim<at::Accepted>,
        job: &Job<H::Kind>,
        row: &jobs_ledger::JobRecord,
    ) -> Result<RunOutcome, RunnerError> {
        let clock = self.clock();
        let mut failures = 0;
        let mut last: Option<Error> = None;
        let mut paid_for = None;
        loop {
            let (held, job, output) = match paid_for.take() {
                Some((job, output)) => (claim, job, output),
                None => self.output(claim, job, row).await?,
            };
            if self.handler.polls_cost() {
                paid_for = Some((job.clone(), output.clone()));
            }
            let key = held.key();
            let ends = self.deadline.max(clock.now() + LAST_FETCH);
            let steps = self.steps();
            let fetched = tokio::select! {
                fetched = steps.fetch(&held, output, self.target, ends) => fetched?,
                () = clock.guard_until(ends) => {
                    return Err(self.left(key, &job, Cut::Deadline, last).await);
                }
                () = self.options.shutdown.cancelled() => {
                    return Err(self.left(key, &job, Cut::Shutdown, last).await);
                }
            };
            let (held, error) = match fetched {
                FetchOutcome::Completed(delivered) => {
                    return Ok(completed(JobLabel::of(row.id, &job), delivered));
                }
                FetchOutcome::Unverified(error, kept) => {
                    let note = Note::from(&error);
                    let parked = self
                        .ledger()
                        .park(key, ParkReason::UnverifiedResult, note)
                        .await;
                    self.recorded(parked)?;
                    let unverified = RunnerErrorKind::Unverified {
                        reason: error.to_string(),
                        kept: Some(kept),
                    };
                    return Err(RunnerError::new(unverified)
                        .of_job(row.id)
                        .with_ticket(job.ticket().ok()));
                }
                FetchOutcome::Failed(held, error) => (held, error),
            };
            failures += 1;
            let left = self.deadline.since(clock.now());
            let given_up = match policy::next_fetch(&error, failures, left) {
                NextFetch::After(pause) if paid_for.is_none() || policy::may_link_live(&error) => {
                    Ok(pause)
                }
                // Another link is another paid poll, which a person decides on.
                NextFetch::After(_) | NextFetch::LeaveIt if paid_for.is_some() => {
                    let note = Note::from(&error);
                    Err(self.ledger().park(key, ParkReason::PaidPolls, note).await)
                }
                NextFetch::After(_) | NextFetch::LeaveIt => Err(self
                    .ledger()
                    .release_all(&[key], self.due())
                    .await
                    .map(drop)),
                NextFetch::Park => {
                    let note = Note::from(&error);
                    Err(self.ledger().park(key, ParkReason::OutputPath, note).await)
                }
            };
            let pause = match given_up {
                Ok(pause) => pause,
                Err(recorded) => {
                    self.recorded(recorded)?;
                    return Err(RunnerError::new(RunnerErrorKind::NotFetched(error))
                        .of_job(row.id)
                        .with_ticket(job.ticket().ok()));
                }
            };
            self.context.event(&RunnerEvent::FetchFailed {
                error: &error,
                pause,
            });
            last = Some(error);
            let heartbeat = self.ledger().heartbeat(&held);
            tokio::select! {
                () = clock.sleep_until(clock.now() + pause) => {}
                () = self.options.shutdown.cancelled() => {
                    return Err(self.left(key, &job, Cut::Shutdown, last).await);
                }
            }
            drop(heartbeat);
            claim = held;
        }
    }

    /// Waits poll by poll until the output, the deadline or a shutdown.
    async fn output(
        &self,
        mut claim: Claim<at::Accepted>,
        job: &Job<H::Kind>,
        row: &jobs_ledger::JobRecord,
    ) -> Result<Finished<H::Kind>, RunnerError> {
        let mut heartbeat = self.ledger().heartbeat(&claim);
        let left = self.deadline.since(self.clock().now());
        let allowed = self.paid_polls(row);
        let (mut reserved, job) = match allowed {
            None => (0, job.clone()),
            Some(calls) => match self.reserve_first(&claim, job, calls).await? {
                Some(reserved) => reserved,
                None => return Err(self.paid_polls_spent(claim, job, calls).await),
            },
        };
        let mut updates = job.updates(left);
        loop {
            if let Some(calls) = allowed
                && self.handler.calls_made(job.kind(), job.id()) >= reserved
            {
                match self.ledger().spend_call(&claim, calls).await? {
                    Some(call) => reserved = call,
                    None => return Err(self.paid_polls_spent(claim, &job, calls).await),
                }
            }
            let update = tokio::select! {
                update = next(&mut updates) => update,
                () = self.options.shutdown.cancelled() => {
                    return Err(self.left(claim.key(), &job, Cut::Shutdown, None).await);
                }
                () = heartbeat.lost() => {
                    let taken_over = RunnerErrorKind::TakenOver;
                    return Err(RunnerError::new(taken_over).of_job(claim.job()));
                }
            };
            match update {
                Update::Progress(snapshot) => {
                    let progress =
                        crate::observer::ProgressUpdate::new(&**job.kind(), job.id(), &snapshot);
                    self.context.event(&RunnerEvent::Progress(&progress));
                    let polled = PollRecord::new(&snapshot.vendor_status);
                    self.recorded(self.ledger().record_poll(&mut claim, polled).await)?;
                }
                Update::PollFailed(error) => {
                    self.context.event(&RunnerEvent::PollFailed(&error));
                    self.not_understood(claim.key(), &error).await?;
                }
                Update::Completed(output) => {
                    drop(heartbeat);
                    return Ok((claim, job, output));
                }
                Update::Ended(end) => {
                    if let WaitErrorKind::Unreachable(error) | WaitErrorKind::PollRejected(error) =
                        end.kind()
                    {
                        self.not_understood(claim.key(), error).await?;
                    }
                    let note = Note::new(end.to_string());
                    let settled = match end.kind() {
                        // What was delivered before stays so, whatever is said of the job now.
                        WaitErrorKind::Failed(_) | WaitErrorKind::Expired | WaitErrorKind::Gone
                            if row.stage == Stage::Completed =>
                        {
                            self.ledger().release(claim, self.due()).await
                        }
                        WaitErrorKind::Failed(_) => {
                            let note = note.with_credits(units(self.handler.charge_of_failed()));
                            self.ledger().record_failed(&claim, note).await
                        }
                        WaitErrorKind::Expired | WaitErrorKind::Gone => {
                            self.ledger().record_gone(&claim, note).await
                        }
                        // Each further try would reserve a call that costs money, so a person looks at it first.
                        kind if allowed.is_some()
                            && !matches!(kind, WaitErrorKind::DeadlineExceeded) =>
                        {
                            let reason = ParkReason::PaidPolls;
                            self.ledger().park(claim.key(), reason, note).await
                        }
                        _ => self.ledger().release(claim, self.due()).await,
                    };
                    self.recorded(settled)?;
                    let ticket = end.is_resumable().then(|| end.ticket().clone());
                    return Err(RunnerError::new(RunnerErrorKind::Wait(end))
                        .of_job(row.id)
                        .with_ticket(ticket));
                }
                _ => {}
            }
        }
    }

    /// How many paid polls may be made for the job, if its polls cost money.
    fn paid_polls(&self, row: &jobs_ledger::JobRecord) -> Option<u32> {
        self.handler.polls_cost().then(|| {
            let allowed = self.options.max_paid_polls;
            allowed.unwrap_or_else(|| self.handler.paid_polls(row))
        })
    }

    /// Counts the first paid poll of this run, and gives the kind that knows of those before it; `None` when none is left.
    async fn reserve_first(
        &self,
        claim: &Claim<at::Accepted>,
        job: &Job<H::Kind>,
        calls: u32,
    ) -> Result<Option<(u32, Job<H::Kind>)>, RunnerError> {
        let Some(call) = self.ledger().spend_call(claim, calls).await? else {
            return Ok(None);
        };
        let budget = CallBudget {
            calls,
            made: call.saturating_sub(1),
        };
        let kind = self.handler.kind_within(budget);
        Ok(Some((call, Job::attach(kind, job.id().clone()))))
    }

    async fn paid_polls_spent(
        &self,
        claim: Claim<at::Accepted>,
        job: &Job<H::Kind>,
        calls: u32,
    ) -> RunnerError {
        let spent = RunnerError::new(RunnerErrorKind::PaidPollsSpent {
            vendor: self.vendor(),
            job_id: job.id().clone(),
            calls,
        })
        .of_job(claim.job())
        .with_ticket(job.ticket().ok());
        let note = Note::new(spent.to_string());
        let parked = self
            .ledger()
            .park(claim.key(), ParkReason::PaidPolls, note)
            .await;
        match self.recorded(parked) {
            Ok(()) => spent,
            Err(error) => error,
        }
    }

    /// Gives a job back that goes on at the vendor; `last` is what kept its result away until now.
    async fn left(
        &self,
        key: ClaimKey,
        job: &Job<H::Kind>,
        cut: Cut,
        last: Option<Error>,
    ) -> RunnerError {
        let due = match cut {
            Cut::Deadline => self.due(),
            Cut::Shutdown => Due::Now,
        };
        let released = self.ledger().release_all(&[key], due).await.map(drop);
        if let Err(error) = self.recorded(released) {
            return error;
        }
        let (vendor, job_id) = (self.vendor(), job.id().clone());
        RunnerError::new(match cut {
            Cut::Deadline => RunnerErrorKind::DeadlineExceeded {
                vendor,
                job_id,
                last,
            },
            Cut::Shutdown => RunnerErrorKind::Interrupted {
                accepted: Some((vendor, job_id)),
            },
        })
        .of_job(key.job())
        .with_ticket(job.ticket().ok())
    }

    /// Keeps what was answered to a poll and not understood, for whoever asks the vendor about it.
    async fn not_understood(&self, key: ClaimKey, error: &Error) -> Result<(), RunnerError> {
        self.recorded(self.ledger().record_not_understood(key, error).await)
    }

    /// What the ledger could not take down about a poll is no reason to stop, unless another process has the job.
    fn recorded(&self, outcome: Result<(), LedgerError>) -> Result<(), RunnerError> {
        match outcome {
            Err(error) if error.is_claim_lost() => Err(error.into()),
            Err(error) => {
                self.context.ledger_trouble(&error);
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    /// When others may continue a job that this run leaves.
    fn due(&self) -> Due {
        match self.retry_after {
            Some(pause) => Due::At(self.ledger().clock().wall() + pause),
            None => Due::Now,
        }
    }

    fn vendor(&self) -> &'static str {
        self.handler.kind().vendor()
    }

    fn ledger(&self) -> &Ledger {
        &self.context.ledger
    }

    fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(self.handler.kind().clock())
    }

    fn steps(&self) -> DurableSteps<'_, H> {
        DurableSteps::new(self.ledger(), &*self.context.observer, self.handler)
            .with_format(self.format, self.is_recorded_format)
            .accepting_unverified(self.options.accept_unverified)
    }
}

async fn next<K: JobKind + 'static>(updates: &mut Updates<K>) -> Update<K::Output> {
    match updates.next().await {
        Some(update) => update,
        // An end is always reported, and nobody asks again after it.
        None => std::future::pending().await,
    }
}

fn completed(label: JobLabel, output: DeliveredOutput) -> RunOutcome {
    RunOutcome::Completed(CompletedJob { label, output })
}

fn rejected(error: Error, row: &jobs_ledger::JobRecord) -> RunnerError {
    RunnerError::new(RunnerErrorKind::Rejected(error)).of_job(row.id)
}

/// How long the fetch of a result may take that the last poll, at the deadline, has brought.
const LAST_FETCH: Duration = Duration::from_secs(2);
