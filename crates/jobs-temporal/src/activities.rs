//! The activities of one account: the paid call behind the ledger's row, searches, fetches, and what a person decides.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use jobs_core::clock::SystemClock;
use jobs_core::vendor::Account;
use jobs_core::JobId;
use jobs_ledger::{JobRecord, LedgerId, Stage};
use jobs_runner::{
    DynHandler, Enqueue, ErrorCategory, Observer, OutputChoice, PollModels, Resolution, RunOptions,
    RunOutcome, Runner, RunnerError, RunnerErrorKind, RunnerEvent,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use temporalio_macros::activities;
use temporalio_sdk::ApplicationFailure;
use temporalio_sdk::activities::{ActivityContext, ActivityError};
use tokio_util::sync::CancellationToken;

use crate::by_name;
use crate::contract::{InputSource, JobRequest, Resolve};
use crate::failure::{Failure, unknown_kind};
use crate::report::{JobReport, NextStep};
use crate::starters::Starters;
use crate::watch::Watch;

/// A worker is taken for dead when it says nothing for so long.
pub(crate) const HEARTBEAT: Duration = Duration::from_secs(10);
/// How often it says something.
const BEAT: Duration = Duration::from_secs(2);
/// How long a submit, or the search for a lost one, may take by the vendor's clock.
pub(crate) const SUBMIT: Duration = Duration::from_secs(10 * 60);
/// How long one attempt at a fetch may take by the vendor's clock.
pub(crate) const FETCH: Duration = Duration::from_secs(60 * 60);
/// Between two polls of the record of a job that another process may be at.
const OTHERS: Duration = Duration::from_secs(1);

/// The activities of an account.
pub(crate) struct AccountActivities {
    pub(crate) vendor: &'static str,
    pub(crate) account: Account,
    pub(crate) runner: Runner,
    pub(crate) output_dir: PathBuf,
    pub(crate) models: PollModels,
    pub(crate) starters: Arc<Starters>,
    /// Cancelled when this worker is to end.
    pub(crate) shutdown: CancellationToken,
}

/// A job of the ledger, and where this workflow wants its result.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct FetchRequest {
    pub(crate) id: String,
    pub(crate) output: Option<PathBuf>,
}

/// What a person has decided about a job.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ResolveRequest {
    pub(crate) id: String,
    pub(crate) resolve: Resolve,
}

#[activities]
impl AccountActivities {
    /// Writes the intent down and makes the paid call, once. A job that was submitted before is answered from its record.
    #[activity(name = "submit")]
    pub(crate) async fn submit(
        self: Arc<Self>,
        ctx: ActivityContext,
        request: JobRequest,
    ) -> Result<JobReport, ActivityError> {
        self.starters
            .ensure_account(&ctx.client(), self.vendor, self.account)
            .await;
        let work = self.submit_once(&ctx, request);
        let (report, is_late) = with_heartbeats(&ctx, Box::pin(work)).await;
        // The engine has given this attempt up and refuses its completion: the workflow hears of the answer by a signal.
        if is_late {
            tell_late(&ctx, report.as_ref().ok()).await;
        }
        report
    }

    /// Finds out how a submit ended that was begun and gave no answer. Never pays.
    #[activity(name = "search")]
    pub(crate) async fn search(
        self: Arc<Self>,
        ctx: ActivityContext,
        request: JobRequest,
    ) -> Result<JobReport, ActivityError> {
        with_heartbeats(&ctx, Box::pin(self.search_once(&ctx, request)))
            .await
            .0
    }

    /// The record of a job.
    #[activity(name = "status")]
    pub(crate) async fn status(
        self: Arc<Self>,
        _ctx: ActivityContext,
        id: String,
    ) -> Result<JobReport, ActivityError> {
        Ok(JobReport::of(&self.row(parse_id(&id)?).await?, None))
    }

    /// Delivers the result of a job to its place; one that is there is not fetched again.
    #[activity(name = "fetch")]
    pub(crate) async fn fetch(
        self: Arc<Self>,
        ctx: ActivityContext,
        request: FetchRequest,
    ) -> Result<JobReport, ActivityError> {
        with_heartbeats(&ctx, Box::pin(self.fetch_once(request)))
            .await
            .0
    }

    /// Does what a person has decided about a job in doubt.
    #[activity(name = "resolve")]
    pub(crate) async fn resolve(
        self: Arc<Self>,
        ctx: ActivityContext,
        request: ResolveRequest,
    ) -> Result<JobReport, ActivityError> {
        let id = parse_id(&request.id)?;
        let resolution = match request.resolve {
            Resolve::Adopt(remote) => Resolution::Adopt(JobId::new(remote).map_err(|problem| {
                final_failure(Failure::invalid_input(format!(
                    "the id to adopt is not usable: {problem}"
                )))
            })?),
            Resolve::Abandon(_) => Resolution::Abandon,
        };
        let by = format!(
            "temporal workflow {}",
            ctx.info().workflow_id.as_deref().unwrap_or_default()
        );
        match self.runner.resolve(id, resolution, &by).await {
            Ok(()) => Ok(JobReport::of(&self.row(id).await?, None)),
            Err(error) if is_passing(&error) => Err(passing(&error)),
            Err(error) => Err(final_failure(Failure::from(&error))),
        }
    }

    /// Brings the next poll of a job forward.
    #[activity(name = "poll_soon")]
    pub(crate) async fn poll_soon(
        self: Arc<Self>,
        _ctx: ActivityContext,
        id: String,
    ) -> Result<(), ActivityError> {
        match self.runner.poll_soon(parse_id(&id)?).await {
            Err(error) if is_passing(&error) => Err(passing(&error)),
            _ => Ok(()),
        }
    }

    /// Has the account's jobs polled, all of them by one scheduler, for as long as this worker lives.
    #[activity(name = "watch")]
    pub(crate) async fn watch(
        self: Arc<Self>,
        ctx: ActivityContext,
        _input: (),
    ) -> Result<(), ActivityError> {
        let stop = self.shutdown.child_token();
        let watch = Watch {
            runner: self.runner.clone(),
            account: self.account,
            models: self.models.clone(),
            output_dir: self.output_dir.clone(),
            starters: Arc::clone(&self.starters),
        };
        let work = watch.run(ctx.client(), stop.clone());
        let work = async {
            tokio::select! {
                ended = work => ended,
                () = ctx.cancelled() => {
                    stop.cancel();
                    Err(ActivityError::cancelled())
                }
            }
        };
        with_heartbeats(&ctx, Box::pin(work)).await.0
    }
}

impl AccountActivities {
    async fn submit_once(
        &self,
        ctx: &ActivityContext,
        request: JobRequest,
    ) -> Result<JobReport, ActivityError> {
        let stop = CancellationToken::new();
        let attached = Attached {
            job: Arc::default(),
            stop: stop.clone(),
        };
        let runner = self.runner.clone().with_observer(attached.clone());
        let options = RunOptions::default()
            .with_deadline(SUBMIT)
            .until_accepted(true)
            .with_shutdown(stop);
        // From the intent to the vendor's answer the claim is this process's, so that nobody comes in between.
        let outcome = match self.enqueue(&runner, &request).await? {
            Ok(enqueue) => enqueue.run(&options).await,
            Err(failure) => return Ok(JobReport::refused(failure)),
        };
        let id = match &outcome {
            Ok(RunOutcome::Accepted(label, _)) => Some(label.id),
            Ok(RunOutcome::Completed(completed)) => Some(completed.label.id),
            Ok(RunOutcome::AlreadyThere { job, .. }) => Some(*job),
            Err(error) => error.job(),
            _ => None,
        };
        match (id.or_else(|| attached.job.get().copied()), outcome) {
            (Some(id), outcome) => {
                self.starters
                    .register(&self.runner, ctx, self.account, id)
                    .await;
                Ok(after_submit(&self.row(id).await?, outcome.err()))
            }
            (None, Err(error)) if is_passing(&error) => Err(passing(&error)),
            (None, Err(error)) => Ok(JobReport::refused(Failure::from(&error))),
            (None, Ok(_)) => Err(final_failure(Failure::new(
                "Unexpected",
                1,
                "the submitted job has no id",
            ))),
        }
    }

    async fn search_once(
        &self,
        ctx: &ActivityContext,
        request: JobRequest,
    ) -> Result<JobReport, ActivityError> {
        let enqueued = match self.enqueue(&self.runner, &request).await? {
            Ok(enqueue) => enqueue.await,
            Err(failure) => return Ok(JobReport::refused(failure)),
        };
        let row = match enqueued {
            Ok(enqueued) => enqueued.job,
            Err(error) if is_passing(&error) => return Err(passing(&error)),
            Err(error) => return Ok(JobReport::refused(Failure::from(&error))),
        };
        self.starters
            .register(&self.runner, ctx, self.account, row.id)
            .await;
        if !is_open(row.stage) || row.parked.is_some() {
            return Ok(JobReport::of(&row, None));
        }
        self.find_out(row.id).await
    }

    /// The job of a request, not written down yet.
    async fn enqueue<'a>(
        &self,
        runner: &'a Runner,
        request: &JobRequest,
    ) -> Result<Result<Enqueue<'a>, Failure>, ActivityError> {
        let handler = match self.handler(request) {
            Ok(handler) => handler.clone(),
            Err(failure) => return Ok(Err(failure)),
        };
        let again = match request.again.as_deref().map(str::parse::<LedgerId>) {
            Some(Ok(job)) => Some(job),
            Some(Err(problem)) => {
                let problem = format!("again names no job of a ledger: {problem}");
                return Ok(Err(Failure::invalid_input(problem)));
            }
            None => None,
        };
        let options = Value::Object(request.options.clone());
        let source = source(&request.input);
        // Reading a document for its digest takes a while.
        let input = tokio::task::spawn_blocking(move || handler.input(source, &options)).await?;
        let mut enqueue = runner.enqueue(input);
        if let Some(path) = &request.output {
            enqueue = enqueue.output(path);
        }
        // An activity may run more than once, so that buying again names the job that it buys anew.
        if let Some(job) = again {
            enqueue = enqueue.again_of(job);
        }
        Ok(Ok(enqueue))
    }

    fn handler(&self, request: &JobRequest) -> Result<&DynHandler, Failure> {
        let handler = self.runner.handler(&request.vendor, &request.kind);
        handler.ok_or_else(|| unknown_kind(&request.vendor, &request.kind))
    }

    /// Waits for whoever works on a job whose submit was begun, then searches for it; reports what its record says.
    async fn find_out(&self, id: LedgerId) -> Result<JobReport, ActivityError> {
        let stop = CancellationToken::new();
        let options = RunOptions::default()
            .with_deadline(SUBMIT)
            .until_accepted(true)
            .with_shutdown(stop.clone());
        let mut run = std::pin::pin!(self.runner.run_job(id, &options));
        let clock = SystemClock::shared();
        let outcome = loop {
            tokio::select! {
                outcome = &mut run => break outcome,
                // Where another process has brought the job further, there is nothing left to find out.
                () = clock.sleep_until(clock.now() + OTHERS) => {
                    if self.runner.job(id).await.is_ok_and(|row| !is_open(row.stage) || row.parked.is_some()) {
                        stop.cancel();
                    }
                }
            }
        };
        Ok(after_submit(&self.row(id).await?, outcome.err()))
    }

    async fn fetch_once(&self, request: FetchRequest) -> Result<JobReport, ActivityError> {
        let id = parse_id(&request.id)?;
        let row = self.row(id).await?;
        let wanted = request
            .output
            .filter(|path| row.output.as_deref() != Some(path));
        if row.stage == Stage::Completed && wanted.is_none() {
            return Ok(JobReport::of(&row, None));
        }
        let output = wanted
            .clone()
            .map_or(OutputChoice::Recorded, OutputChoice::File);
        let options = RunOptions::default()
            .with_deadline(FETCH)
            .with_output(output)
            .with_shutdown(self.shutdown.clone());
        let outcome = self.runner.run_job(id, &options).await;
        let row = self.row(id).await?;
        match outcome {
            Ok(_) => {
                let mut report = JobReport::of(&row, None);
                if let (Some(path), Some(Value::Object(job))) = (wanted, &mut report.job) {
                    job.insert("output".to_owned(), path.display().to_string().into());
                }
                Ok(report)
            }
            Err(error) if is_passing(&error) || error.category() == ErrorCategory::Interrupted => {
                Err(passing(&error))
            }
            Err(error) => {
                let mut report = JobReport::of(&row, Some(Failure::from(&error)));
                report.next = NextStep::Fail;
                Ok(report)
            }
        }
    }

    async fn row(&self, id: LedgerId) -> Result<JobRecord, ActivityError> {
        self.runner.job(id).await.map_err(|error| {
            if is_passing(&error) {
                passing(&error)
            } else {
                final_failure(Failure::from(&error))
            }
        })
    }
}

/// Whether a submit was begun whose end is not known.
fn is_open(stage: Stage) -> bool {
    matches!(stage, Stage::Submitting | Stage::InDoubt)
}

/// What a job's record says after a submit, and why there is none where it failed.
fn after_submit(row: &JobRecord, error: Option<RunnerError>) -> JobReport {
    let error = error.filter(|error| error.category() != ErrorCategory::Interrupted);
    let mut report = JobReport::of(row, None);
    let Some(failure) = error.as_ref().map(Failure::from) else {
        return report;
    };
    match report.next {
        // Nothing was sent, and for a reason that is no crash.
        NextStep::Submit if !error.as_ref().is_some_and(is_passing) => {
            report.next = NextStep::Fail;
            report.failure = Some(failure);
        }
        NextStep::Fail | NextStep::Resolve | NextStep::Unpark => {
            let ticket = report.failure.and_then(|known| known.ticket);
            report.failure = Some(failure.with_ticket(ticket));
        }
        _ => {}
    }
    report
}

/// Hears that the same input is a job already, and ends a run that would wait for its result.
#[derive(Clone)]
struct Attached {
    job: Arc<OnceLock<LedgerId>>,
    stop: CancellationToken,
}

impl Observer for Attached {
    fn on_event(&self, event: &RunnerEvent<'_>) {
        if let RunnerEvent::Attached(row) = event {
            // One job is attached to in one run.
            let _ = self.job.set(row.id);
            if row.stage != Stage::Intended || row.claimed {
                self.stop.cancel();
            }
        }
    }
}

fn source(input: &InputSource) -> jobs_runner::InputSource {
    match input {
        InputSource::Path(path) => jobs_runner::InputSource::Path(path.clone()),
        InputSource::Url(url) => jobs_runner::InputSource::Url(url.clone()),
        InputSource::Text(text) => jobs_runner::InputSource::Text(text.clone()),
        InputSource::JobId(id) => jobs_runner::InputSource::Job(id.clone()),
    }
}

fn parse_id(id: &str) -> Result<LedgerId, ActivityError> {
    id.parse().map_err(|problem| {
        final_failure(Failure::invalid_input(format!(
            "{id:?} is no job of a ledger: {problem}"
        )))
    })
}

/// Trouble of the ledger that may pass: the engine tries again.
fn is_passing(error: &RunnerError) -> bool {
    match error.kind() {
        RunnerErrorKind::Ledger(problem) => {
            problem.is_transient() || problem.is_server_busy() || problem.is_claim_lost()
        }
        RunnerErrorKind::Busy | RunnerErrorKind::TakenOver | RunnerErrorKind::NotFetched(_) => true,
        _ => false,
    }
}

fn passing(error: &RunnerError) -> ActivityError {
    let failure = Failure::from(error);
    let kind = failure.kind().to_owned();
    ActivityError::application(ApplicationFailure::builder(failure).type_name(kind).build())
}

fn final_failure(failure: Failure) -> ActivityError {
    ActivityError::application(failure.into_application())
}

/// Runs the work while telling the engine that this worker lives; also says whether the engine must have taken it for dead
/// meanwhile.
async fn with_heartbeats<T>(
    ctx: &ActivityContext,
    mut work: impl Future<Output = T> + Unpin,
) -> (T, bool) {
    let clock = SystemClock::shared();
    let mut last = clock.now();
    let mut is_late = false;
    loop {
        tokio::select! {
            done = &mut work => {
                is_late |= clock.now() > last + HEARTBEAT || ctx.is_cancelled();
                return (done, is_late);
            }
            () = clock.sleep_until(last + BEAT) => {
                is_late |= clock.now() > last + HEARTBEAT;
                last = clock.now();
                // Without details there is nothing that could fail to be converted.
                drop(ctx.record_heartbeat(()).await);
            }
        }
    }
}

async fn tell_late(ctx: &ActivityContext, report: Option<&JobReport>) {
    let Some(workflow) = ctx.info().workflow_id.clone() else {
        return;
    };
    let job = report.and_then(|report| report.job.clone());
    let told = by_name::tell_late(&ctx.client(), &workflow, job.unwrap_or_default()).await;
    if let Err(problem) = told {
        tracing::warn!(workflow, %problem, "the workflow was not told of a late answer; it asks the ledger itself");
    }
}
