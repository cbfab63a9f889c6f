//! A ledger and the handlers of the vendors in use: where a program begins.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jobs_core::clock::SystemClock;
use jobs_core::{JobId, Ticket};
use jobs_ledger::{
    ClaimOutcome, Claimed, Due, JobFilter, JobRecord, Ledger, LedgerId, Note, ParkReason, Stage,
    WebhookReceipt,
};
use tokio_util::sync::CancellationToken;

use crate::context::Context;
use crate::deliveries::{as_completed, deliveries, has_delivered};
use crate::durable_steps::{SearchOutcome, settle_arrived};
use crate::dyn_handler::{DynHandler, DynSubmitOutcome, Plan, Start};
use crate::enqueue::{Enqueue, absolute, handler_of_input};
use crate::error::{RunnerError, RunnerErrorKind};
use crate::handler::Handler;
use crate::job_input::IntoJobInput;
use crate::observer::Observer;
use crate::options::{OutputChoice, RunOptions, RunOutcome};
use crate::output::OutputTarget;
use crate::policy;
use crate::worker::{Worker, WorkerConfig};

/// Runs jobs durably. Cheap to clone; clones are the same runner.
#[derive(Clone)]
pub struct Runner {
    context: Context,
    handlers: Vec<DynHandler>,
}

/// What a person decides about a job.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Resolution {
    /// The job in doubt is this one at the vendor.
    Adopt(JobId),
    /// The job is given up; the same input is new then, and would be bought again.
    Abandon,
}

impl Runner {
    /// Opens a ledger, `sqlite:PATH` or `postgres://…`, and makes it where needed.
    ///
    /// # Errors
    /// The ledger's.
    pub async fn open(url: &str) -> Result<Self, RunnerError> {
        Ok(Self::on(Ledger::open(url, SystemClock::shared()).await?))
    }

    /// Works on a ledger that is open.
    pub fn on(ledger: Ledger) -> Self {
        Self {
            context: Context::new(ledger),
            handlers: Vec::new(),
        }
    }

    /// Runs the jobs of this handler too; of two for one vendor, kind and account, the later one.
    #[must_use]
    pub fn with<H: Handler>(mut self, handler: H) -> Self {
        let new = DynHandler::new(handler);
        let same = |known: &DynHandler| {
            (known.vendor(), known.kind(), known.account())
                == (new.vendor(), new.kind(), new.account())
        };
        self.handlers.retain(|known| !same(known));
        self.handlers.push(new);
        self
    }

    /// Tells an observer what happens.
    #[must_use]
    pub fn with_observer(mut self, observer: impl Observer) -> Self {
        self.context.observer = Arc::new(observer);
        self
    }

    /// The ledger.
    pub fn ledger(&self) -> &Ledger {
        &self.context.ledger
    }

    /// Every handler, in the order in which they were added.
    pub fn handlers(&self) -> &[DynHandler] {
        &self.handlers
    }

    /// The first handler for jobs of this kind.
    pub fn handler(&self, vendor: &str, kind: &str) -> Option<&DynHandler> {
        self.handlers
            .iter()
            .find(|handler| (handler.vendor(), handler.kind()) == (vendor, kind))
    }

    /// The handler for a job of the ledger.
    ///
    /// # Errors
    /// [`NoHandler`](RunnerErrorKind::NoHandler), or [`WrongAccount`](RunnerErrorKind::WrongAccount) where there is one for
    /// another account.
    pub fn handler_of(&self, job: &JobRecord) -> Result<&DynHandler, RunnerError> {
        if let Some(handler) = self.handlers.iter().find(|handler| handler.serves(job)) {
            return Ok(handler);
        }
        let kind = match self.handler(&job.vendor, &job.kind) {
            Some(_) => RunnerErrorKind::WrongAccount,
            None => RunnerErrorKind::NoHandler {
                vendor: job.vendor.as_str().into(),
                kind: job.kind.as_str().into(),
            },
        };
        Err(RunnerError::new(kind).of_job(job.id))
    }

    /// Prepares a job for an input. The same input is one job, however often it is enqueued.
    pub fn enqueue(&self, input: impl IntoJobInput) -> Enqueue<'_> {
        let job = input
            .into_job_input()
            .map_err(RunnerError::from)
            .and_then(|input| {
                let handler = handler_of_input(&self.handlers, &input)?.clone();
                Ok((handler, input))
            });
        Enqueue::new(&self.context, job)
    }

    /// Runs a job of the ledger from wherever it is.
    ///
    /// # Errors
    /// [`RunnerError`], which names what to continue with.
    pub async fn run_job(
        &self,
        id: LedgerId,
        options: &RunOptions,
    ) -> Result<RunOutcome, RunnerError> {
        let row = self.job(id).await?;
        let handler = self.handler_of(&row)?;
        let deadline = handler.clock().now() + options.deadline;
        let output = match &options.output {
            OutputChoice::File(path) => Some(absolute(path)?),
            OutputChoice::Recorded if row.stage != Stage::Completed => {
                self.context.own_output(&row)
            }
            OutputChoice::Recorded | OutputChoice::Scratch => None,
        };
        let row = as_completed(self.ledger(), row).await?;
        let format = options.format.as_deref().or(row.format.as_deref());
        if let Some(path) = output.as_deref().filter(|_| !options.overwrite)
            && has_delivered(
                self.ledger(),
                &row,
                handler.wanted_format(&row, format),
                path,
            )
            .await?
        {
            let path = path.to_owned();
            return Ok(RunOutcome::AlreadyThere { job: row.id, path });
        }
        let target = match OutputTarget::at(output.as_deref(), options.overwrite) {
            Ok(target) => target,
            Err(error) => return self.without_target(&row, output, error).await,
        };
        let plan = Plan {
            context: &self.context,
            options,
            target: &target,
            deadline,
            live: None,
            retry_after: None,
        };
        handler.run(plan, Start::Recorded(row)).await
    }

    /// SHA-256 of what a completed job has given in a format, or in that of its record.
    ///
    /// # Errors
    /// The ledger's, and that no handler is for such a job.
    pub async fn delivered_digests(
        &self,
        job: &JobRecord,
        format: Option<&str>,
    ) -> Result<Vec<[u8; 32]>, RunnerError> {
        let handler = self.handler_of(job)?;
        let format = format.or(job.format.as_deref());
        let format = handler.wanted_format(job, format);
        let deliveries = deliveries(self.ledger(), job, format).await?;
        Ok(deliveries.iter().map(|it| it.sha256).collect())
    }

    /// What becomes of a job whose result cannot be put at its place.
    async fn without_target(
        &self,
        row: &JobRecord,
        output: Option<PathBuf>,
        error: RunnerError,
    ) -> Result<RunOutcome, RunnerError> {
        let Some(path) = output else {
            return Err(error);
        };
        if settle_arrived(self.ledger(), row, &path).await? {
            return Ok(RunOutcome::AlreadyThere { job: row.id, path });
        }
        // The vendor has it, so a recorded place that fails ends nothing.
        if row.remote_id.is_some() && row.output.as_deref() == Some(&*path) {
            if let ClaimOutcome::Claimed(claimed) = self.ledger().claim(row.id).await? {
                let (key, note) = (claimed.key(), Note::new(error.to_string()));
                self.ledger()
                    .park(key, ParkReason::OutputPath, note)
                    .await?;
            }
            return Err(error.of_job(row.id).with_ticket(row.ticket()));
        }
        Err(error)
    }

    /// Runs a job of the ledger to its result: at its recorded place, or as bytes.
    ///
    /// # Errors
    /// [`RunnerError`], which names what to continue with.
    pub async fn continue_job(
        &self,
        id: LedgerId,
        deadline: Duration,
    ) -> Result<RunOutcome, RunnerError> {
        let options = RunOptions::default().with_deadline(deadline);
        self.run_job(id, &options).await
    }

    /// The job of a ticket, if the ledger knows it: by its id, or as the one whose answer was lost when the vendor took
    /// this one.
    ///
    /// # Errors
    /// The ledger's.
    pub async fn find_ticket(&self, ticket: &Ticket) -> Result<Option<JobRecord>, RunnerError> {
        let ledger = self.ledger();
        let joined = ledger.joined_accounts().await?;
        let is_it = |job: &JobRecord| {
            (job.vendor.as_str(), job.kind.as_str()) == (ticket.vendor(), ticket.kind())
                && joined.are_one(job.account, ticket.account())
        };
        let known = ledger.find(ticket.id().as_str()).await?;
        if let Some(job) = known.into_iter().find(is_it) {
            return Ok(Some(job));
        }
        let filter = JobFilter::all()
            .with_stages([Stage::InDoubt])
            .with_vendor(ticket.vendor())
            .with_kind(ticket.kind())
            .with_account(ticket.account());
        let in_doubt = ledger.list(&filter).await?.jobs;
        let mut fitting = in_doubt.into_iter().filter(|job| {
            job.sent_at
                .is_some_and(|sent| policy::may_be_lost_one(sent, ticket.accepted()))
        });
        if let (Some(job), None) = (fitting.next(), fitting.next())
            && let ClaimOutcome::Claimed(Claimed::InDoubt(claim, _)) = ledger.claim(job.id).await?
        {
            let note = Note::new("by its ticket");
            let held = ledger
                .adopt(&claim, ticket.id(), ticket.accepted(), note)
                .await?;
            ledger.release(held, Due::Now).await?;
            return Ok(ledger.get(job.id).await?);
        }
        Ok(None)
    }

    /// The job of a ticket, which is taken in from another machine where the ledger does not know it. Polls that cost money
    /// have still to be allowed for such a job.
    ///
    /// # Errors
    /// The ledger's.
    pub async fn resume(
        &self,
        ticket: &Ticket,
        output: Option<&Path>,
    ) -> Result<JobRecord, RunnerError> {
        match self.find_ticket(ticket).await? {
            Some(job) => Ok(job),
            None => Ok(self.ledger().import(ticket, output).await?),
        }
    }

    /// Does what a person has decided about a job. `by` is kept in its history.
    ///
    /// # Errors
    /// [`Busy`](RunnerErrorKind::Busy) while a process works on it, [`NotResolvable`](RunnerErrorKind::NotResolvable) where
    /// there is nothing to decide, and the ledger's.
    pub async fn resolve(
        &self,
        id: LedgerId,
        resolution: Resolution,
        by: &str,
    ) -> Result<(), RunnerError> {
        let ledger = self.ledger();
        let claimed = match ledger.claim(id).await? {
            ClaimOutcome::Claimed(claimed) => claimed,
            ClaimOutcome::Busy { .. } => {
                return Err(RunnerError::new(RunnerErrorKind::Busy).of_job(id));
            }
            ClaimOutcome::Settled(job) => return Err(not_resolvable(job.stage).of_job(id)),
            _ => {
                return Err(RunnerError::unexpected(format!(
                    "job {id} cannot be claimed"
                )));
            }
        };
        let note = Note::new(by);
        match (resolution, claimed) {
            (Resolution::Adopt(remote), Claimed::InDoubt(claim, _)) => {
                let now = ledger.clock().wall();
                match ledger.adopt(&claim, &remote, now, note).await {
                    Ok(held) => Ok(ledger.release(held, Due::Now).await?),
                    Err(error) => {
                        ledger.release(claim, Due::Parked).await?;
                        Err(RunnerError::from(error).of_job(id))
                    }
                }
            }
            (Resolution::Adopt(_), other) => {
                let stage = other.job().stage;
                give_back(ledger, other).await?;
                Err(not_resolvable(stage).of_job(id))
            }
            (Resolution::Abandon, claimed) => abandon(ledger, claimed, note).await,
        }
    }

    /// Brings the next poll of a job forward, in whatever process it is watched.
    ///
    /// # Errors
    /// [`NotFound`](RunnerErrorKind::NotFound), and the ledger's.
    pub async fn poll_soon(&self, id: LedgerId) -> Result<WebhookReceipt, RunnerError> {
        let row = self.job(id).await?;
        let Some(remote) = &row.remote_id else {
            return Err(not_resolvable(row.stage).of_job(id));
        };
        let hinted = self.ledger().record_webhook(&row.vendor, remote).await?;
        self.context.poll_soon(&row.vendor, remote);
        Ok(hinted)
    }

    /// Searches the vendor for the job of a lost submit. Free; empty where the vendor cannot be searched.
    ///
    /// # Errors
    /// The vendor's as [`NotFetched`](RunnerErrorKind::NotFetched), and what keeps the input from being compared.
    pub async fn candidates(&self, id: LedgerId) -> Result<Vec<JobId>, RunnerError> {
        let row = self.job(id).await?;
        let found = self
            .handler_of(&row)?
            .candidates(&row)
            .await
            .map_err(|error| RunnerError::from(error).of_job(id))?;
        found.map_err(|error| RunnerError::new(RunnerErrorKind::NotFetched(error)).of_job(id))
    }

    /// Makes the paid call of a job that is *intended*, and returns as soon as its outcome is recorded: for an engine that does
    /// the other steps itself. A job at another stage is returned as it is; nothing is sent then. One whose input cannot be
    /// read is parked.
    ///
    /// # Errors
    /// [`Rejected`](RunnerErrorKind::Rejected), [`OverBudget`](RunnerErrorKind::OverBudget),
    /// [`OutcomeUnknown`](RunnerErrorKind::OutcomeUnknown), [`Busy`](RunnerErrorKind::Busy) while a process works on it, and
    /// the ledger's.
    pub async fn submit_job(
        &self,
        id: LedgerId,
        shutdown: &CancellationToken,
    ) -> Result<JobRecord, RunnerError> {
        let row = self.job(id).await?;
        let handler = self.handler_of(&row)?;
        let claim = match self.ledger().claim(id).await? {
            ClaimOutcome::Claimed(Claimed::Intended(claim, _)) => claim,
            ClaimOutcome::Claimed(other) => {
                give_back(self.ledger(), other).await?;
                return self.job(id).await;
            }
            ClaimOutcome::Settled(row) => return Ok(row),
            ClaimOutcome::Busy { .. } => {
                return Err(RunnerError::new(RunnerErrorKind::Busy).of_job(id));
            }
            _ => {
                return Err(RunnerError::unexpected(format!(
                    "job {id} cannot be claimed by this version"
                )));
            }
        };
        let key = claim.key();
        let error = match handler
            .submit(&self.context, shutdown, None, claim, &row)
            .await?
        {
            DynSubmitOutcome::Accepted(accepted, _) => {
                self.ledger().release(accepted, Due::Now).await?;
                return self.job(id).await;
            }
            DynSubmitOutcome::Rejected(claim, error) => {
                let note = Note::from(&error);
                self.ledger().record_rejected(&claim, note).await?;
                RunnerError::new(RunnerErrorKind::Rejected(error))
            }
            DynSubmitOutcome::OverBudget(over) => {
                RunnerError::new(RunnerErrorKind::OverBudget(over))
            }
            DynSubmitOutcome::Unknown(claim, lost) => {
                self.ledger().release(claim, Due::Now).await?;
                RunnerError::new(RunnerErrorKind::OutcomeUnknown {
                    lost,
                    candidates: Vec::new(),
                    interrupted: false,
                })
            }
            DynSubmitOutcome::NotReady(error) => {
                let error = RunnerError::from(error).of_job(id);
                let note = Note::new(error.to_string());
                self.ledger().park(key, ParkReason::InputFile, note).await?;
                error
            }
        };
        Err(error.of_job(id))
    }

    /// Searches the vendor for a job in doubt: exactly one fitting job is adopted, otherwise it is parked for a person. Free.
    ///
    /// # Errors
    /// [`OutcomeUnknown`](RunnerErrorKind::OutcomeUnknown) with the candidates unless one is adopted,
    /// [`Busy`](RunnerErrorKind::Busy), [`NotResolvable`](RunnerErrorKind::NotResolvable) for a job that is not in doubt, and
    /// the ledger's.
    pub async fn search_job(&self, id: LedgerId) -> Result<JobRecord, RunnerError> {
        let row = self.job(id).await?;
        let handler = self.handler_of(&row)?;
        let claim = match self.ledger().claim(id).await? {
            ClaimOutcome::Claimed(Claimed::InDoubt(claim, _)) => claim,
            ClaimOutcome::Claimed(other) => {
                let stage = other.job().stage;
                give_back(self.ledger(), other).await?;
                return Err(not_resolvable(stage).of_job(id));
            }
            ClaimOutcome::Settled(row) => return Err(not_resolvable(row.stage).of_job(id)),
            _ => return Err(RunnerError::new(RunnerErrorKind::Busy).of_job(id)),
        };
        let heartbeat = self.ledger().heartbeat(&claim);
        let lost = handler.lost_submit(&row);
        let searched = handler.search(&self.context, claim, &row, &lost).await?;
        drop(heartbeat);
        match searched {
            SearchOutcome::Adopted(accepted, _) => {
                self.ledger().release(accepted, Due::Now).await?;
                self.job(id).await
            }
            SearchOutcome::InDoubt(claim, candidates) => {
                let unknown = RunnerError::new(RunnerErrorKind::OutcomeUnknown {
                    lost,
                    candidates,
                    interrupted: false,
                });
                let note = Note::new(unknown.to_string());
                self.ledger()
                    .park(claim.key(), ParkReason::InDoubt, note)
                    .await?;
                Err(unknown.of_job(id))
            }
        }
    }

    /// A worker on the jobs of all handlers.
    pub fn worker(&self, config: WorkerConfig) -> Worker {
        Worker::new(self.context.clone(), self.handlers.clone(), config)
    }

    /// A job of the ledger.
    ///
    /// # Errors
    /// [`NotFound`](RunnerErrorKind::NotFound), and the ledger's.
    pub async fn job(&self, id: LedgerId) -> Result<JobRecord, RunnerError> {
        let row = self.ledger().get(id).await?;
        row.ok_or_else(|| RunnerError::new(RunnerErrorKind::NotFound).of_job(id))
    }
}

impl fmt::Debug for Runner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runner")
            .field("handlers", &self.handlers)
            .finish_non_exhaustive()
    }
}

fn not_resolvable(stage: Stage) -> RunnerError {
    RunnerError::new(RunnerErrorKind::NotResolvable { stage })
}

async fn abandon(ledger: &Ledger, claimed: Claimed, note: Note) -> Result<(), RunnerError> {
    match claimed {
        Claimed::Intended(claim, _) => ledger.abandon(&claim, note).await,
        Claimed::Accepted(claim, _) => ledger.abandon(&claim, note).await,
        Claimed::Available(claim, _) => ledger.abandon(&claim, note).await,
        Claimed::Downloading(claim, _) => ledger.abandon(&claim, note).await,
        Claimed::InDoubt(claim, _) => ledger.abandon(&claim, note).await,
        _ => Ok(()),
    }
    .map_err(RunnerError::from)
}

async fn give_back(ledger: &Ledger, claimed: Claimed) -> Result<(), RunnerError> {
    match claimed {
        Claimed::Intended(claim, _) => ledger.release(claim, Due::Now).await,
        Claimed::Accepted(claim, _) => ledger.release(claim, Due::Now).await,
        Claimed::Available(claim, _) => ledger.release(claim, Due::Now).await,
        Claimed::Downloading(claim, _) => ledger.release(claim, Due::Now).await,
        Claimed::InDoubt(claim, _) => ledger.release(claim, Due::Parked).await,
        _ => Ok(()),
    }
    .map_err(RunnerError::from)
}
