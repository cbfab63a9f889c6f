//! How a job begins: it is written down, and then a worker submits it, or this process does.

use std::future::IntoFuture;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::time::Duration;

use jobs_core::clock::Moment;
use jobs_ledger::{Due, IntendOutcome, Intent, JobRecord, LedgerError, LedgerId, Stage};
use serde_json::Value;

use crate::context::Context;
use crate::deliveries::{as_completed, has_delivered};
use crate::durable_steps::settle_arrived;
use crate::dyn_handler::{DynHandler, Plan, Start};
use crate::error::{RunnerError, RunnerErrorKind};
use crate::job_input::JobInput;
use crate::observer::RunnerEvent;
use crate::options::{RunOptions, RunOutcome};
use crate::output::OutputTarget;

/// A job about to be written down. Await it to leave the rest to a worker, or [run](Self::run) it here.
#[derive(Debug)]
#[must_use = "nothing is written down before this is awaited or run"]
pub struct Enqueue<'a> {
    context: &'a Context,
    job: Result<(DynHandler, JobInput), RunnerError>,
    output: Option<PathBuf>,
    again: bool,
    again_of: Option<LedgerId>,
    actor: Option<String>,
}

/// A job that is written down.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Enqueued {
    /// Its id in the ledger.
    pub id: LedgerId,
    /// Whether it is new; else the same input was a job already.
    pub is_new: bool,
    /// Its record.
    pub job: JobRecord,
}

impl<'a> Enqueue<'a> {
    pub(crate) fn new(
        context: &'a Context,
        job: Result<(DynHandler, JobInput), RunnerError>,
    ) -> Self {
        Self {
            context,
            job,
            output: None,
            again: false,
            again_of: None,
            actor: None,
        }
    }

    /// Puts the result there.
    pub fn output(mut self, path: impl Into<PathBuf>) -> Self {
        self.output = Some(path.into());
        self
    }

    /// Asks for a format of the result.
    pub fn format(mut self, format: impl Into<String>) -> Self {
        if let Ok((_, input)) = &mut self.job {
            input.format = Some(format.into());
        }
        self
    }

    /// **Pays once more** for an input that is a job already, instead of attaching to that job.
    pub fn again(mut self, again: bool) -> Self {
        self.again = again;
        self
    }

    /// **Pays once more** for what that job was; the same call once more attaches to the job that this made.
    pub fn again_of(mut self, job: LedgerId) -> Self {
        self.again_of = Some(job);
        self
    }

    /// Adds who asks, for the history.
    pub fn by(mut self, actor: impl Into<String>) -> Self {
        self.actor = Some(actor.into());
        self
    }

    /// Submits it in this process, and waits for the result. The same input attaches to the job that it is already.
    ///
    /// # Errors
    /// [`RunnerError`], which names what to continue with.
    pub async fn run(self, options: &RunOptions) -> Result<RunOutcome, RunnerError> {
        let (handler, input) = self.job?;
        let context = self.context;
        let deadline = handler.clock().now() + options.deadline;
        let output = self.output.as_deref().map(absolute).transpose()?;
        let intent = intent(&handler, &input, output.clone(), self.again);
        let intent = asked(intent, self.again_of, self.actor);
        if let Some(path) = output.as_deref()
            && !self.again
            && path.exists()
        {
            let same = context.ledger.find_same(std::slice::from_ref(&intent));
            let mut same: Vec<JobRecord> = same.await?.into_iter().flatten().collect();
            if self.again_of.is_none() && input.run.is_none() {
                same.extend(context.ledger.find_by_output(path).await?);
            }
            if let Some(job) = there_before(context, &handler, &input, path, &same).await? {
                let path = path.to_owned();
                return Ok(RunOutcome::AlreadyThere { job, path });
            }
        }
        let target = OutputTarget::at(output.as_deref(), options.overwrite)?;
        // A job that is attached to may be on record with another format.
        let options = &RunOptions {
            format: options.format.clone().or(input.format),
            ..options.clone()
        };
        let intended = intend(context, &handler, intent, deadline).await?;
        let plan = Plan {
            context,
            options,
            target: &target,
            deadline,
            live: input.live,
            retry_after: None,
        };
        match intended {
            IntendOutcome::New(claim, job) => handler.run(plan, Start::New(claim, job)).await,
            IntendOutcome::Attached(job) => {
                let job = as_completed(&context.ledger, job).await?;
                context.event(&RunnerEvent::Attached(&job));
                handler.run(plan, Start::Recorded(job)).await
            }
        }
    }

    /// The job that this input is already, if it is one; nothing is written down.
    ///
    /// # Errors
    /// The ledger's, and what keeps the input from being used.
    pub async fn existing(self) -> Result<Option<JobRecord>, RunnerError> {
        let (handler, input) = self.job?;
        let intent = intent(&handler, &input, None, false);
        let found = self.context.ledger.find_same(&[intent]).await?;
        Ok(found.into_iter().next().flatten())
    }

    async fn write_down(self) -> Result<Enqueued, RunnerError> {
        /// How long a busy server is waited for.
        const BUSY: Duration = Duration::from_secs(30);
        let (handler, input) = self.job?;
        let output = self.output.as_deref().map(absolute).transpose()?;
        let intent = intent(&handler, &input, output, self.again);
        let intent = asked(intent, self.again_of, self.actor);
        let limit = handler.clock().now() + BUSY;
        Ok(match intend(self.context, &handler, intent, limit).await? {
            IntendOutcome::New(claim, job) => {
                self.context.ledger.release(claim, Due::Now).await?;
                Enqueued {
                    id: job.id,
                    is_new: true,
                    job,
                }
            }
            IntendOutcome::Attached(job) => Enqueued {
                id: job.id,
                is_new: false,
                job,
            },
        })
    }
}

impl<'a> IntoFuture for Enqueue<'a> {
    type Output = Result<Enqueued, RunnerError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.write_down())
    }
}

fn asked(mut intent: Intent, again_of: Option<LedgerId>, actor: Option<String>) -> Intent {
    if let Some(job) = again_of {
        intent = intent.again_of(job);
    }
    match actor {
        Some(actor) => intent.by(actor),
        None => intent,
    }
}

/// Writes the intent down; waits until `limit` for a server that is busy just now.
async fn intend(
    context: &Context,
    handler: &DynHandler,
    intent: Intent,
    limit: Moment,
) -> Result<IntendOutcome, LedgerError> {
    const LONGEST: Duration = Duration::from_secs(2);
    let clock = context.ledger.clock();
    let mut pause = Duration::from_millis(100);
    let mut told = false;
    loop {
        let problem = match context.ledger.intend(intent.clone()).await {
            Err(problem) if problem.is_server_busy() && handler.clock().now() < limit => problem,
            outcome => return outcome,
        };
        if !told {
            context.event(&RunnerEvent::LedgerTrouble {
                job: None,
                error: &problem,
                is_retried: true,
            });
            told = true;
        }
        clock.sleep_until(clock.now() + pause).await;
        pause = (pause * 2).min(LONGEST);
    }
}

pub(crate) fn intent(
    handler: &DynHandler,
    input: &JobInput,
    output: Option<PathBuf>,
    again: bool,
) -> Intent {
    let mut intent = Intent::new(
        handler.vendor(),
        handler.kind(),
        handler.account(),
        input.digest,
    )
    .with_options(Value::clone(&input.options))
    .with_request(Value::clone(&input.request))
    .with_private_request(Value::clone(&input.private_request))
    .with_input(input.label.clone());
    if let Some(format) = &input.format {
        intent = intent.with_format(format.clone());
    }
    if let Some(path) = &input.path {
        intent = intent.with_input_path(path.clone());
    }
    if let Some(path) = output {
        intent = intent.with_output(path);
    }
    if let Some(run) = &input.run {
        intent = intent.run(run.clone());
    }
    if again { intent.again() } else { intent }
}

/// The path from the root, so that it means the same to every process.
pub(crate) fn absolute(path: &Path) -> Result<PathBuf, RunnerError> {
    std::path::absolute(path).map_err(|problem| RunnerError::invalid_output(path, problem))
}

/// The one of these jobs that is of the same input and whose result lies at that place, in the format that is asked for.
async fn there_before(
    context: &Context,
    handler: &DynHandler,
    input: &JobInput,
    path: &Path,
    jobs: &[JobRecord],
) -> Result<Option<LedgerId>, RunnerError> {
    // The options of a job may have been pruned, its digest not.
    let digest = intent(handler, input, None, false).digest();
    let same = |job: &&JobRecord| {
        handler.serves(job)
            && job.content == input.digest
            && (job.options == *input.options || job.digest == digest)
    };
    for job in jobs.iter().filter(same) {
        let job = &as_completed(&context.ledger, job.clone()).await?;
        let format = handler.wanted_format(job, input.format());
        let is_expected = format.is_recorded && job.output.as_deref() == Some(path);
        let is_fetched = matches!(job.stage, Stage::Available | Stage::Downloading);
        if has_delivered(&context.ledger, job, format, path).await?
            || is_fetched && is_expected && settle_arrived(&context.ledger, job, path).await?
        {
            return Ok(Some(job.id));
        }
    }
    Ok(None)
}

/// The handler of an input.
pub(crate) fn handler_of_input<'a>(
    handlers: &'a [DynHandler],
    input: &JobInput,
) -> Result<&'a DynHandler, RunnerError> {
    let handler = handlers.iter().find(|handler| {
        handler.vendor() == input.vendor
            && input.kind.is_none_or(|kind| kind == handler.kind())
            && input
                .account
                .is_none_or(|account| account == handler.account())
    });
    handler.ok_or_else(|| {
        RunnerError::new(RunnerErrorKind::NoHandler {
            vendor: input.vendor.into(),
            kind: input.kind.unwrap_or("such").into(),
        })
    })
}
