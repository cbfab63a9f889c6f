//! The workflow `docjobs.Job`: submit, wait, deliver.
//!
//! The life of one: the worker says whose account pays; the activity `submit` writes the intent down and makes the paid call
//! once; when it gives no answer, `search` finds out from the ledger and the vendor, and where nobody can know, the workflow
//! waits for the update `resolve`. A job that the vendor has is polled by the account's workflow, which signals `settled`; a
//! timer asks the ledger in case that the signal was lost. `fetch` then delivers the result, or finds it delivered.

#![allow(
    missing_docs,
    missing_debug_implementations,
    reason = "the macros write undocumented constants and types beside the methods"
)]

use std::error::Error;
use std::time::{Duration, SystemTime};

use serde_json::Value;
use temporalio_common::search_attributes::SearchAttributeUpdate;
use temporalio_macros::{workflow, workflow_methods};
use temporalio_sdk::{
    ActivityCancellationType, ActivityCloseTimeouts, ActivityExecutionError, ActivityOptions,
    LocalActivityOptions, SyncWorkflowContext, TimeoutType, TimerOptions, WorkflowContext,
    WorkflowContextView, WorkflowResult, WorkflowTermination, workflows,
};

use crate::account_activity::{KindName, LocalActivities};
use crate::activities::{
    AccountActivities, FETCH, FetchRequest, HEARTBEAT, ResolveRequest, SUBMIT,
};
use crate::contract::{AccountTarget, JobRequest, Resolve, account_queue};
use crate::failure::Failure;
use crate::report::{JobReport, NextStep};
use crate::retry::{once, retried};
use crate::search_attributes::updates;

/// How long an activity that only reads or writes the ledger may take.
const SHORT: Duration = Duration::from_secs(60);
/// The first pause before a submit that provably was not sent is tried again; twice as long each further time.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// What an activity that costs nothing may take at least, however near the deadline is.
const LAST: Duration = Duration::from_secs(30);
/// The longest of these pauses.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// One job, from its intent to its result.
#[workflow]
#[derive(Debug, Default)]
pub struct JobWorkflow {
    /// The record, with the keys of `jobs --json`.
    job: Value,
    id: Option<String>,
    queue: Option<String>,
    /// Something has happened to the job: ask the ledger.
    has_news: bool,
    wants_poll: bool,
    is_in_doubt: bool,
}

/// What the run knows beside the state that signals and queries see.
struct Run {
    request: JobRequest,
    target: AccountTarget,
    queue: String,
    ends: SystemTime,
}

#[workflow_methods]
impl JobWorkflow {
    /// Runs the job; the result has the keys of `jobs --json`.
    #[run(name = "docjobs.Job")]
    pub async fn run(ctx: &mut WorkflowContext<Self>, input: Value) -> WorkflowResult<Value> {
        let request = JobRequest::parse(input).map_err(Failure::into_application)?;
        let job = request.unrecorded();
        ctx.state_mut(|state| state.job = job);
        let deadline = request.deadline().map_err(Failure::into_application)?;
        let ends = now(ctx) + deadline;
        let named = KindName {
            vendor: request.vendor.clone(),
            kind: request.kind.clone(),
        };
        let options = LocalActivityOptions::builder()
            .start_to_close_timeout(SHORT)
            .build();
        let target = ctx
            .execute_local_activity(LocalActivities::account, named, options)
            .await
            .map_err(of_activity)?;
        let queue = account_queue(&target.vendor, &target.account);
        ctx.state_mut(|state| state.queue = Some(queue.clone()));
        let run = Run {
            request,
            target,
            queue,
            ends,
        };
        let mut report = run.submit(ctx).await?;
        let mut was_unparked = false;
        loop {
            run.record(ctx, &report);
            report = match report.next {
                NextStep::Submit | NextStep::Search => run.submit(ctx).await?,
                NextStep::Resolve | NextStep::Wait => run.wait(ctx, report).await?,
                NextStep::Unpark if was_unparked => return Err(run.failed(&report)),
                NextStep::Unpark => {
                    was_unparked = true;
                    run.fetch(ctx, &report).await?
                }
                NextStep::Fetch => {
                    let delivered = run.fetch(ctx, &report).await?;
                    run.record(ctx, &delivered);
                    return match delivered.next {
                        NextStep::Fetch => Ok(ctx.state(|state| state.job.clone())),
                        _ => Err(run.failed(&delivered)),
                    };
                }
                NextStep::Fail => return Err(run.failed(&report)),
            };
        }
    }

    /// The record of the job, with the keys of `jobs --json`.
    #[query(name = "job")]
    pub fn job(&self, _ctx: &WorkflowContextView) -> Value {
        self.job.clone()
    }

    /// Brings the next poll forward.
    #[signal(name = "poll_soon")]
    pub fn poll_soon(&mut self, _ctx: &mut SyncWorkflowContext<Self>) {
        self.wants_poll = true;
    }

    /// The job has settled, or needs attention.
    #[signal(name = "settled")]
    pub fn settled(&mut self, _ctx: &mut SyncWorkflowContext<Self>) {
        self.has_news = true;
    }

    /// A submit was answered after the engine had given it up; the ledger has the answer.
    #[signal(name = "late")]
    pub fn late(&mut self, _ctx: &mut SyncWorkflowContext<Self>, _answer: Value) {
        self.has_news = true;
    }

    /// Decides about a job in doubt: `{"adopt": JOB_ID}` or `{"abandon": true}`.
    #[update(name = "resolve")]
    pub async fn resolve(
        ctx: &mut WorkflowContext<Self>,
        decision: Value,
    ) -> Result<Value, Box<dyn Error + Send + Sync>> {
        let resolve = Resolve::parse(decision).map_err(Failure::into_application)?;
        let (id, queue) =
            match ctx.state(|state| (state.id.clone(), state.queue.clone(), state.is_in_doubt)) {
                (Some(id), Some(queue), true) => (id, queue),
                _ => return Err(not_in_doubt().into_application().into()),
            };
        let options = ActivityOptions::with_start_to_close_timeout(SHORT)
            .task_queue(queue)
            .retry_policy(retried())
            .build();
        let request = ResolveRequest { id, resolve };
        let decided = ctx
            .execute_activity(AccountActivities::resolve, request, options)
            .await;
        let report = decided.map_err(|error| failure_of(&error).into_application())?;
        let job = report.job.unwrap_or_default();
        ctx.state_mut(|state| {
            state.job = job.clone();
            state.has_news = true;
        });
        Ok(job)
    }
}

impl Run {
    /// Makes the paid call, or finds out how an earlier one ended.
    async fn submit(
        &self,
        ctx: &mut WorkflowContext<JobWorkflow>,
    ) -> Result<JobReport, WorkflowTermination> {
        let mut pause = FIRST_PAUSE;
        loop {
            let options = ActivityOptions::with_start_to_close_timeout(SUBMIT * 3)
                .task_queue(&self.queue)
                .schedule_to_start_timeout(self.left(ctx))
                .heartbeat_timeout(HEARTBEAT)
                .retry_policy(once())
                // A paid call is never broken off: its answer is worth waiting for.
                .cancellation_type(ActivityCancellationType::WaitCancellationCompleted)
                .build();
            let submitted = ctx
                .execute_activity(AccountActivities::submit, self.request.clone(), options)
                .await;
            let report = match submitted {
                Ok(report) => report,
                Err(error) if timeout(&error) == Some(TimeoutType::ScheduleToStart) => {
                    return Err(self.not_started().into_application().into());
                }
                Err(ActivityExecutionError::Cancelled(_)) => {
                    return Err(WorkflowTermination::cancelled());
                }
                Err(_) => self.search(ctx).await?,
            };
            if !matches!(report.next, NextStep::Submit | NextStep::Search) {
                return Ok(report);
            }
            // Provably nothing was sent, or another process is at it.
            self.record(ctx, &report);
            if self.left(ctx) <= pause {
                return Err(self.deadline(&report));
            }
            self.pause(ctx, pause).await?;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// How a submit ended that gave no answer.
    async fn search(
        &self,
        ctx: &mut WorkflowContext<JobWorkflow>,
    ) -> Result<JobReport, WorkflowTermination> {
        let options = self.free_activity(ctx, SUBMIT * 3, Some(HEARTBEAT));
        let found = ctx.execute_activity(AccountActivities::search, self.request.clone(), options);
        found.await.map_err(|error| match timeout(&error) {
            Some(_) => self.not_found_out().into_application().into(),
            None => of_activity(error),
        })
    }

    /// Waits until something happens to the job, or the ledger should be asked again; then asks it.
    async fn wait(
        &self,
        ctx: &mut WorkflowContext<JobWorkflow>,
        report: JobReport,
    ) -> Result<JobReport, WorkflowTermination> {
        let Some(id) = report.id.clone() else {
            return Err(self.failed(&report));
        };
        let left = self.left(ctx);
        if left.is_zero() {
            return Err(match report.next {
                NextStep::Resolve => self.failed(&report),
                _ => self.deadline(&report),
            });
        }
        let recheck = Duration::from_secs(self.target.recheck_seconds);
        let timer_token = ctx.cancellation_token().child_token();
        let waited = {
            let timer = TimerOptions::builder(recheck.min(left))
                .cancellation_token(timer_token.clone())
                .build();
            workflows::select! {
                news = ctx.wait_condition(|state| state.has_news || state.wants_poll) => news,
                _ = ctx.timer(timer) => Ok(()),
            }
        };
        timer_token.cancel();
        if waited.is_err() || ctx.cancellation_token().is_cancelled() {
            return Err(self.cancelled(&report));
        }
        let wants_poll = ctx.state_mut(|state| {
            state.has_news = false;
            std::mem::take(&mut state.wants_poll)
        });
        let options = self.free_activity(ctx, SHORT, None);
        if wants_poll {
            ctx.execute_activity(AccountActivities::poll_soon, id.clone(), options.clone())
                .await
                .map_err(|error| self.of_waiting(error, &report))?;
        }
        ctx.execute_activity(AccountActivities::status, id, options)
            .await
            .map_err(|error| self.of_waiting(error, &report))
    }

    /// Delivers the result to its place.
    async fn fetch(
        &self,
        ctx: &mut WorkflowContext<JobWorkflow>,
        report: &JobReport,
    ) -> Result<JobReport, WorkflowTermination> {
        let Some(id) = report.id.clone() else {
            return Err(self.failed(report));
        };
        let request = FetchRequest {
            id,
            output: self.request.output.clone(),
        };
        let options = self.free_activity(ctx, FETCH * 2, Some(HEARTBEAT));
        ctx.execute_activity(AccountActivities::fetch, request, options)
            .await
            .map_err(|error| self.of_waiting(error, report))
    }

    /// An activity of the account that costs nothing: tried again until it works, or the deadline has passed.
    fn free_activity(
        &self,
        ctx: &WorkflowContext<JobWorkflow>,
        attempt: Duration,
        heartbeat: Option<Duration>,
    ) -> ActivityOptions {
        ActivityOptions::with_close_timeouts(ActivityCloseTimeouts::ScheduleAndStartToClose {
            schedule_to_close: self.left(ctx).max(LAST),
            start_to_close: attempt,
        })
        .task_queue(&self.queue)
        .maybe_heartbeat_timeout(heartbeat)
        .retry_policy(retried())
        .build()
    }

    async fn pause(
        &self,
        ctx: &mut WorkflowContext<JobWorkflow>,
        pause: Duration,
    ) -> Result<(), WorkflowTermination> {
        ctx.timer(pause).await;
        if ctx.cancellation_token().is_cancelled() {
            return Err(WorkflowTermination::cancelled());
        }
        Ok(())
    }

    /// Keeps what queries and the engine's page show.
    fn record(&self, ctx: &mut WorkflowContext<JobWorkflow>, report: &JobReport) {
        let Some(job) = report.job.clone() else {
            return;
        };
        let is_changed = ctx.state_mut(|state| {
            state.id.clone_from(&report.id);
            state.is_in_doubt = report.next == NextStep::Resolve;
            let is_changed = state.job != job;
            state.job = job.clone();
            is_changed
        });
        if is_changed && self.target.has_search_attributes {
            let changed: Vec<SearchAttributeUpdate> = updates(&job);
            ctx.upsert_search_attributes(changed);
        }
    }

    fn left(&self, ctx: &WorkflowContext<JobWorkflow>) -> Duration {
        self.ends.duration_since(now(ctx)).unwrap_or_default()
    }

    fn failed(&self, report: &JobReport) -> WorkflowTermination {
        let failure = report.failure.clone();
        let failure = failure
            .unwrap_or_else(|| Failure::new("Unexpected", 1, "the job ended without a result"));
        failure.into_application().into()
    }

    fn deadline(&self, report: &JobReport) -> WorkflowTermination {
        let job = report.id.as_deref().unwrap_or("unrecorded");
        let (vendor, ticket) = (&self.request.vendor, ticket_of(report));
        let message = match (&report.failure, report.next) {
            (Some(failure), _) => format!("the deadline passed: {failure}"),
            (None, NextStep::Submit) => {
                format!("job {job}: the deadline passed before anything was sent to {vendor}")
            }
            (None, _) => format!(
                "job {job}: the deadline passed; it goes on at {vendor}; start the same input again to continue"
            ),
        };
        Failure::new("DeadlineExceeded", 4, message)
            .with_ticket(ticket)
            .into_application()
            .into()
    }

    fn not_found_out(&self) -> Failure {
        let vendor = &self.request.vendor;
        Failure::new(
            "OutcomeUnknown",
            5,
            format!(
                "a submit to {vendor} was begun, and nobody could say until the deadline how it ended; it may have been charged; start the same input again to continue with it"
            ),
        )
    }

    fn not_started(&self) -> Failure {
        let (vendor, queue) = (&self.request.vendor, &self.queue);
        Failure::new(
            "Timeout",
            8,
            format!(
                "no worker took the {vendor} job from the task queue {queue} before the deadline; nothing was sent; start docjobs-temporal worker"
            ),
        )
    }

    /// The end of a workflow that was cancelled: the job goes on at the vendor, and its ticket is in the details.
    fn cancelled(&self, report: &JobReport) -> WorkflowTermination {
        let mut failure = Failure::new(
            "Interrupted",
            4,
            format!("interrupted; the job goes on at {}", self.request.vendor),
        );
        if report.next == NextStep::Resolve {
            failure = report.failure.clone().unwrap_or(failure);
        }
        WorkflowTermination::cancelled_with_details(failure.with_ticket(ticket_of(report)))
    }

    fn of_waiting(&self, error: ActivityExecutionError, report: &JobReport) -> WorkflowTermination {
        match error {
            ActivityExecutionError::Cancelled(_) => self.cancelled(report),
            other if timeout(&other).is_some() => self.deadline(report),
            other => failure_of(&other)
                .with_ticket(ticket_of(report))
                .into_application()
                .into(),
        }
    }
}

/// The engine's time, which is the same at each replay.
fn now(ctx: &WorkflowContext<JobWorkflow>) -> SystemTime {
    ctx.workflow_time().unwrap_or(SystemTime::UNIX_EPOCH)
}

fn ticket_of(report: &JobReport) -> Option<String> {
    let ticket = report.job.as_ref()?.get("ticket")?;
    ticket.as_str().map(str::to_owned)
}

fn timeout(error: &ActivityExecutionError) -> Option<TimeoutType> {
    error.as_timeout().map(|timeout| timeout.timeout_type())
}

/// The typed failure of an activity; the engine's own words for one that has none.
fn failure_of(error: &ActivityExecutionError) -> Failure {
    // A local activity's failure is the application's own, another one's lies below the engine's.
    let mut cause = error.failure();
    while let Some(failure) = cause {
        if let Some(known) = Failure::from_engine(failure) {
            return known;
        }
        cause = failure.cause.as_deref();
    }
    Failure::new("Unexpected", 1, error.to_string())
}

fn of_activity(error: ActivityExecutionError) -> WorkflowTermination {
    match error {
        ActivityExecutionError::Cancelled(_) => WorkflowTermination::cancelled(),
        other => failure_of(&other).into_application().into(),
    }
}

fn not_in_doubt() -> Failure {
    Failure::new(
        "NotResolvable",
        2,
        "the job is not in doubt: there is nothing to resolve",
    )
}
