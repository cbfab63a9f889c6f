//! A handler whose types are erased, so that one runner can hold those of several vendors.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jobs_core::clock::{Clock, Moment};
use jobs_core::fleet::Fleet;
use jobs_core::vendor::{Account, CallMonitor, JobKind as _};
use jobs_core::{Error, JobId, LostSubmit};
use jobs_ledger::{Claim, Claimed, Estimate, OverBudget, at};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::context::Context;
use crate::deliveries::WantedFormat;
use crate::durable_steps::{DurableSteps, SearchOutcome, SubmitOutcome, lost_submit};
use crate::error::RunnerError;
use crate::fleet_lane::{FetchTask, FleetLane, HandlerLane};
use crate::handler::Handler;
use crate::job_input::{InputError, InputSource, JobInput, Live};
use crate::job_runner::JobRunner;
use crate::observer::{JobLabel, RunnerEvent};
use crate::option_spec::OptionSpec;
use crate::options::{RunOptions, RunOutcome};
use crate::output::OutputTarget;
use crate::policy::{self, Cut};

/// A handler of any kind, as the [runner](crate::Runner) holds it. Clones are the same handler.
#[derive(Clone)]
pub struct DynHandler(Arc<dyn Erased>);

/// How a paid call ended.
#[derive(Debug)]
#[non_exhaustive]
pub enum DynSubmitOutcome {
    /// The vendor has the job.
    Accepted(Claim<at::Accepted>, JobLabel),
    /// Nothing was bought; whether it is tried again has still to be recorded.
    Rejected(Claim<at::Submitting>, Error),
    /// A budget holds it back; the job was given back and is due again when there may be room.
    OverBudget(OverBudget),
    /// It may have been taken and charged.
    Unknown(Claim<at::InDoubt>, LostSubmit),
    /// Nothing was tried: what was to be sent is not here.
    NotReady(InputError),
}

/// From where a job is run.
pub(crate) enum Start {
    /// It was just written down.
    New(Claim<at::Intended>, jobs_ledger::JobRecord),
    /// It is in the ledger.
    Recorded(jobs_ledger::JobRecord),
    /// It is claimed.
    Claimed(Claimed),
}

/// How a job is run, besides its options.
pub(crate) struct Plan<'a> {
    pub(crate) context: &'a Context,
    pub(crate) options: &'a RunOptions,
    pub(crate) target: &'a OutputTarget,
    pub(crate) deadline: Moment,
    pub(crate) live: Option<Live>,
    /// When others may continue a job that is left unfinished; at once unless given.
    pub(crate) retry_after: Option<Duration>,
}

impl DynHandler {
    pub(crate) fn new<H: Handler>(handler: H) -> Self {
        Self(Arc::new(Typed {
            account: handler.kind().account(),
            handler: Arc::new(handler),
        }))
    }

    /// The vendor.
    pub fn vendor(&self) -> &'static str {
        self.0.vendor()
    }

    /// The kind of job.
    pub fn kind(&self) -> &'static str {
        self.0.kind()
    }

    /// The account that pays.
    pub fn account(&self) -> Account {
        self.0.account()
    }

    /// The clock by which its jobs are waited for.
    pub fn clock(&self) -> Arc<dyn Clock> {
        self.0.clock()
    }

    /// The documented options that an input of this kind takes, each by its name.
    pub fn options(&self) -> &'static [OptionSpec] {
        self.0.options()
    }

    /// The formats in which a result can be had, the default first; empty where there is no choice.
    pub fn formats(&self) -> &'static [&'static str] {
        self.0.formats()
    }

    /// The extension of the name of a result.
    pub fn extension(&self, format: Option<&str>) -> &'static str {
        self.0.extension(format)
    }

    /// Whether a result is text, which can be printed.
    pub fn is_text(&self, format: Option<&str>) -> bool {
        self.0.is_text(format)
    }

    /// The extensions of the documents that the vendor takes, in lower case; empty where no document is taken.
    pub fn accepted_types(&self) -> &'static [&'static str] {
        self.0.accepted_types()
    }

    /// The largest document with this extension that the vendor takes, in bytes.
    pub fn largest_document(&self, extension: &str) -> u64 {
        self.0.largest_document(extension)
    }

    /// Whether the vendor fetches a document from an address itself.
    pub fn accepts_url(&self) -> bool {
        self.0.accepts_url()
    }

    /// Whether the vendor can be searched for a job whose submit was lost.
    pub fn can_search(&self) -> bool {
        self.0.can_search()
    }

    /// Whether polls of this kind may cost money.
    pub fn polls_cost(&self) -> bool {
        self.0.polls_cost()
    }

    /// What the vendor charges for a job that failed there; none where that is not documented.
    pub(crate) fn charge_of_failed(&self) -> Option<u64> {
        self.0.charge_of_failed()
    }

    /// For a kind whose polls cost money: how many the record of this job allows.
    pub fn paid_polls(&self, job: &jobs_ledger::JobRecord) -> u32 {
        self.0.paid_polls(job)
    }

    /// What a submit of this input will be charged, as far as that can be known here.
    pub fn estimate(&self, input: &JobInput) -> Estimate {
        self.0.estimate(input)
    }

    /// The unit in which the vendor charges.
    pub fn unit(&self) -> &'static str {
        self.0.unit()
    }

    /// Describes an input by its source and a JSON object of options.
    ///
    /// # Errors
    /// [`InputError`] for what the kind does not take.
    pub fn input(&self, source: InputSource, options: &Value) -> Result<JobInput, InputError> {
        if let InputSource::Path(path) = &source {
            self.check_file(path)?;
        }
        self.0.input(source, options)
    }

    /// What the kind does not take is refused before it is read.
    fn check_file(&self, path: &Path) -> Result<(), InputError> {
        let (shown, types) = (path.display(), self.accepted_types());
        let extension = path.extension().unwrap_or_default();
        let extension = extension.to_string_lossy().to_lowercase();
        if !types.is_empty() && !types.contains(&extension.as_str()) {
            return Err(InputError::invalid(format!(
                "{shown} is of no type that {} {} takes; those are {}",
                self.vendor(),
                self.kind(),
                types.join(", ")
            )));
        }
        let largest = self.largest_document(&extension);
        let size = path
            .metadata()
            .map_err(|problem| InputError::unreadable(path, problem))?
            .len();
        if size > largest {
            return Err(InputError::invalid(format!(
                "{shown} has {size} bytes; at most {largest} are allowed"
            )));
        }
        Ok(())
    }

    /// Whether the job is one of its kind and account.
    pub fn serves(&self, job: &jobs_ledger::JobRecord) -> bool {
        (self.vendor(), self.kind(), self.account())
            == (job.vendor.as_str(), job.kind.as_str(), job.account)
    }

    /// The format that is meant by a name on record; the default for none, or an unknown one.
    pub fn format_of(&self, name: Option<&str>) -> Option<&'static str> {
        format_of(self.formats(), name)
    }

    /// The format that is meant by a name, and whether it is the one on record.
    pub(crate) fn wanted_format(
        &self,
        job: &jobs_ledger::JobRecord,
        name: Option<&str>,
    ) -> WantedFormat<'static> {
        let name = self.format_of(name);
        WantedFormat {
            name,
            is_recorded: self.format_of(job.format.as_deref()) == name,
        }
    }

    /// The jobs at the vendor that may be the one whose submit was lost. Free; empty where the vendor cannot be searched.
    ///
    /// # Errors
    /// The vendor's, and [`InputError`] when the input is gone with which they are compared.
    pub(crate) async fn candidates(
        &self,
        row: &jobs_ledger::JobRecord,
    ) -> Result<Result<Vec<JobId>, Error>, InputError> {
        self.0.candidates(row).await
    }

    /// What is known of a submit whose answer was lost.
    pub(crate) fn lost_submit(&self, row: &jobs_ledger::JobRecord) -> LostSubmit {
        lost_submit(self.vendor(), row)
    }

    pub(crate) async fn run(
        &self,
        plan: Plan<'_>,
        start: Start,
    ) -> Result<RunOutcome, RunnerError> {
        self.0.run(plan, start).await
    }

    pub(crate) async fn submit(
        &self,
        context: &Context,
        shutdown: &CancellationToken,
        deadline: Option<Moment>,
        claim: Claim<at::Intended>,
        row: &jobs_ledger::JobRecord,
    ) -> Result<DynSubmitOutcome, RunnerError> {
        self.0.submit(context, shutdown, deadline, claim, row).await
    }

    pub(crate) async fn search(
        &self,
        context: &Context,
        claim: Claim<at::InDoubt>,
        row: &jobs_ledger::JobRecord,
        lost: &LostSubmit,
    ) -> Result<SearchOutcome, RunnerError> {
        self.0.search(context, claim, row, lost).await
    }

    pub(crate) fn lane(&self, fleet: &Fleet<FetchTask>) -> Arc<dyn FleetLane> {
        self.0.lane(fleet)
    }
}

impl fmt::Debug for DynHandler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DynHandler")
            .field("vendor", &self.vendor())
            .field("kind", &self.kind())
            .field("account", &self.account())
            .finish()
    }
}

pub(crate) fn format_of(
    formats: &'static [&'static str],
    name: Option<&str>,
) -> Option<&'static str> {
    let named = formats.iter().find(|format| Some(**format) == name);
    named.or(formats.first()).copied()
}

#[async_trait]
trait Erased: Send + Sync {
    fn vendor(&self) -> &'static str;
    fn kind(&self) -> &'static str;
    fn account(&self) -> Account;
    fn clock(&self) -> Arc<dyn Clock>;
    fn options(&self) -> &'static [OptionSpec];
    fn formats(&self) -> &'static [&'static str];
    fn extension(&self, format: Option<&str>) -> &'static str;
    fn is_text(&self, format: Option<&str>) -> bool;
    fn accepted_types(&self) -> &'static [&'static str];
    fn largest_document(&self, extension: &str) -> u64;
    fn accepts_url(&self) -> bool;
    fn can_search(&self) -> bool;
    fn polls_cost(&self) -> bool;
    fn charge_of_failed(&self) -> Option<u64>;
    fn paid_polls(&self, job: &jobs_ledger::JobRecord) -> u32;
    fn estimate(&self, input: &JobInput) -> Estimate;
    fn unit(&self) -> &'static str;
    fn input(&self, source: InputSource, options: &Value) -> Result<JobInput, InputError>;

    async fn candidates(
        &self,
        row: &jobs_ledger::JobRecord,
    ) -> Result<Result<Vec<JobId>, Error>, InputError>;

    async fn run(&self, plan: Plan<'_>, start: Start) -> Result<RunOutcome, RunnerError>;

    async fn submit(
        &self,
        context: &Context,
        shutdown: &CancellationToken,
        deadline: Option<Moment>,
        claim: Claim<at::Intended>,
        row: &jobs_ledger::JobRecord,
    ) -> Result<DynSubmitOutcome, RunnerError>;

    async fn search(
        &self,
        context: &Context,
        claim: Claim<at::InDoubt>,
        row: &jobs_ledger::JobRecord,
        lost: &LostSubmit,
    ) -> Result<SearchOutcome, RunnerError>;

    fn lane(&self, fleet: &Fleet<FetchTask>) -> Arc<dyn FleetLane>;
}

/// How long a worker searches for a lost submit.
const SEARCH: Duration = Duration::from_secs(60);

struct Typed<H> {
    handler: Arc<H>,
    /// Asked for often, and a digest.
    account: Account,
}

impl<H: Handler> Typed<H> {
    fn steps<'a>(&'a self, context: &'a Context) -> DurableSteps<'a, H> {
        DurableSteps::new(&context.ledger, &*context.observer, &*self.handler)
    }
}

#[async_trait]
impl<H: Handler> Erased for Typed<H> {
    fn vendor(&self) -> &'static str {
        self.handler.kind().vendor()
    }

    fn kind(&self) -> &'static str {
        self.handler.kind().name()
    }

    fn account(&self) -> Account {
        self.account
    }

    fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(self.handler.kind().clock())
    }

    fn options(&self) -> &'static [OptionSpec] {
        self.handler.options()
    }

    fn formats(&self) -> &'static [&'static str] {
        self.handler.formats()
    }

    fn extension(&self, format: Option<&str>) -> &'static str {
        self.handler.extension(format)
    }

    fn is_text(&self, format: Option<&str>) -> bool {
        self.handler.is_text(format)
    }

    fn accepted_types(&self) -> &'static [&'static str] {
        self.handler.accepted_types()
    }

    fn largest_document(&self, extension: &str) -> u64 {
        self.handler.largest_document(extension)
    }

    fn accepts_url(&self) -> bool {
        self.handler.accepts_url()
    }

    fn can_search(&self) -> bool {
        self.handler.can_search()
    }

    fn polls_cost(&self) -> bool {
        self.handler.polls_cost()
    }

    fn charge_of_failed(&self) -> Option<u64> {
        self.handler.charge_of_failed()
    }

    fn paid_polls(&self, job: &jobs_ledger::JobRecord) -> u32 {
        self.handler.paid_polls(job)
    }

    fn estimate(&self, input: &JobInput) -> Estimate {
        let live = input.live.as_ref().and_then(|live| live.downcast_ref());
        live.map_or(Estimate::Unknown, |input| self.handler.estimate(input))
    }

    fn unit(&self) -> &'static str {
        self.handler.unit()
    }

    fn input(&self, source: InputSource, options: &Value) -> Result<JobInput, InputError> {
        self.handler.input(source, options)
    }

    async fn candidates(
        &self,
        row: &jobs_ledger::JobRecord,
    ) -> Result<Result<Vec<JobId>, Error>, InputError> {
        if !self.handler.can_search() {
            return Ok(Ok(Vec::new()));
        }
        let input = self.handler.rebuild_input(row)?;
        let lost = lost_submit(self.vendor(), row);
        Ok(self.handler.search(&input, &lost).await)
    }

    async fn run(&self, plan: Plan<'_>, start: Start) -> Result<RunOutcome, RunnerError> {
        let recorded = match &start {
            Start::New(_, row) | Start::Recorded(row) => row,
            Start::Claimed(claimed) => claimed.job(),
        };
        let on_record = format_of(self.formats(), recorded.format.as_deref());
        let format = match plan.options.format.as_deref() {
            None => on_record,
            Some(name) if self.formats().contains(&name) => format_of(self.formats(), Some(name)),
            Some(name) => {
                let known = self.formats().join(", ");
                return Err(InputError::invalid(format!(
                    "{} {} results do not come as {name}; the formats are: {known}",
                    self.vendor(),
                    self.kind()
                ))
                .into());
            }
        };
        let runner = JobRunner {
            context: plan.context,
            handler: &*self.handler,
            options: plan.options,
            target: plan.target,
            deadline: plan.deadline,
            format,
            is_recorded_format: format == on_record,
            retry_after: plan.retry_after,
        };
        let live = plan.live.and_then(|live| live.downcast::<H::Input>().ok());
        let input = live.as_deref();
        match start {
            Start::New(claim, row) => {
                let rebuilt;
                let input = match input {
                    Some(input) => input,
                    None => {
                        rebuilt = self.handler.rebuild_input(&row)?;
                        &rebuilt
                    }
                };
                runner.submit(claim, input, &row).await
            }
            Start::Recorded(row) => runner.run(row, input).await,
            Start::Claimed(claimed) => runner.continue_from(claimed, input).await,
        }
    }

    async fn submit(
        &self,
        context: &Context,
        shutdown: &CancellationToken,
        deadline: Option<Moment>,
        claim: Claim<at::Intended>,
        row: &jobs_ledger::JobRecord,
    ) -> Result<DynSubmitOutcome, RunnerError> {
        let input = match self.handler.rebuild_input(row) {
            Ok(input) => input,
            Err(error) => return Ok(DynSubmitOutcome::NotReady(error)),
        };
        let clock = self.clock();
        let cut = async |monitor: &CallMonitor| {
            let over = async {
                match deadline {
                    Some(at) => {
                        let ends = policy::submit_ends(clock.now(), at, self.handler.can_search());
                        clock.guard_until(ends).await;
                    }
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = over => Cut::Deadline,
                () = shutdown.cancelled() => {
                    policy::after_shutdown(&**context.ledger.clock(), monitor).await;
                    Cut::Shutdown
                }
            }
        };
        let steps = self.steps(context);
        Ok(match steps.submit(claim, &input, &row.input, cut).await? {
            SubmitOutcome::Accepted(held, job) => {
                let label = JobLabel::of(held.job(), &job);
                if let Ok(ticket) = job.ticket() {
                    context.event(&RunnerEvent::Accepted {
                        job: &label,
                        ticket: &ticket,
                    });
                }
                DynSubmitOutcome::Accepted(held, label)
            }
            SubmitOutcome::Rejected(sending, error) | SubmitOutcome::NotSent(sending, error) => {
                DynSubmitOutcome::Rejected(sending, error)
            }
            SubmitOutcome::OverBudget(over) => DynSubmitOutcome::OverBudget(over),
            SubmitOutcome::Unknown(unknown, lost) => DynSubmitOutcome::Unknown(unknown, lost),
        })
    }

    async fn search(
        &self,
        context: &Context,
        claim: Claim<at::InDoubt>,
        row: &jobs_ledger::JobRecord,
        lost: &LostSubmit,
    ) -> Result<SearchOutcome, RunnerError> {
        let steps = self.steps(context);
        let end = self.clock().now() + SEARCH;
        match self.handler.rebuild_input(row) {
            Ok(input) => steps.search(claim, &input, lost, end).await,
            // What was to be sent is gone, so nothing can be compared with it.
            Err(_) => Ok(SearchOutcome::InDoubt(claim, Vec::new())),
        }
    }

    fn lane(&self, fleet: &Fleet<FetchTask>) -> Arc<dyn FleetLane> {
        Arc::new(HandlerLane::new(fleet, Arc::clone(&self.handler)))
    }
}
