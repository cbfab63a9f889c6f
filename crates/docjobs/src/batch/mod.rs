//! Many documents by one command: everything is recorded first, then one worker does all of it.

mod documents;
mod outlook;
mod plan;
mod progress;
mod report_file;
mod results;
mod tally;

use std::convert::Infallible;
use std::path::PathBuf;
use std::pin::pin;
use std::time::Duration;

use jobs_core::clock::Moment;
use jobs_ledger::{JobRecord, LedgerId, Stage};
use jobs_runner::{DynHandler, PollModels, Runner, WorkerConfig};
use serde_json::{Value, json};
use tempfile::TempDir;

use self::documents::{CHUNK, Describing, Document};
use self::outlook::Disposition;
use self::plan::{Plan, Planned};
use self::progress::{Ended, Progress};
use self::report_file::{ReportFile, Row};
use self::tally::Tally;
use crate::app::App;
use crate::clean::count;
use crate::exit::{CommandError, ExitCode};
use crate::input_args::BatchArgs;
use crate::inputs::{self, Accepted, Given, Selected, Selection, Source};
use crate::output::{self, absolute, print_line};

/// How many connections to a database a batch may hold.
const CONNECTIONS: u32 = 8;

/// How many jobs are in flight at once. A vendor that allows two requests a second polls each of them often enough within
/// the usual deadline; were all of ten thousand in flight, no poll would come in time.
const IN_FLIGHT: usize = 400;

/// When a job is tried again whose trouble may pass.
const RETRY_INTERVAL: Duration = Duration::from_secs(30);

/// How often the money so far is told.
const MONEY_INTERVAL: Duration = Duration::from_secs(1);

/// What a batch is to do.
pub(crate) struct Batch<'a> {
    pub(crate) vendor: &'static str,
    pub(crate) kind: &'a str,
    pub(crate) documents: Documents<'a>,
    /// What decides what the vendor makes of each.
    pub(crate) options: Value,
    pub(crate) format: Option<&'static str>,
    pub(crate) results: Results,
    /// Adds the handler of the jobs.
    pub(crate) handler: fn(&App, Runner) -> Result<Runner, CommandError>,
    pub(crate) args: &'a BatchArgs,
}

/// What becomes of the results of a batch.
pub(crate) enum Results {
    Files {
        /// The folder for them.
        out: Option<PathBuf>,
        /// The place of the only one.
        output: Option<PathBuf>,
    },
    /// They are printed, each with the name of its input.
    Texts,
}

/// Whether a command with these inputs and options is a batch.
pub(crate) fn is_wanted(given: &Given<'_>, args: &BatchArgs) -> bool {
    inputs::is_batch(given) || args.asks_for_batch()
}

/// What a batch works on.
pub(crate) enum Documents<'a> {
    Given(Given<'a>),
    /// Jobs at the vendor, by its ids.
    Jobs(&'a [String]),
}

/// Records, submits, waits and delivers.
pub(crate) async fn run(app: &App, batch: Batch<'_>) -> Result<(), CommandError> {
    let _attended = app.shutdown.attend();
    let places = batch.check(app)?;
    let begun = app.clock()?.now();
    let report_file = batch
        .args
        .report
        .as_deref()
        .map(ReportFile::new)
        .transpose()?;
    let app = &app.with_connections(CONNECTIONS);
    // A dry run makes no ledger where there is none.
    let (app, _scratch) = &match app.is_ledger_missing()? && batch.args.dry_run {
        true => {
            let scratch = scratch_folder()?;
            let path = scratch.path().join("ledger.db");
            (app.with_ledger(path), Some(scratch))
        }
        false => (app.clone(), None),
    };
    let models = PollModels::default();
    let progress = Progress::new(app.report.clone(), !batch.has_files(), app.options.no_wait);
    let runner = Runner::on(app.ledger().await?).with_observer(progress.clone());
    let runner = (batch.handler)(&app.with_poll_models(&models), runner)?;
    let running = Running {
        app,
        batch: &batch,
        places,
        runner,
        progress,
        models,
    };
    let mut plan = running.plan().await?;
    if batch.args.dry_run {
        return running.tell(&plan.outlook);
    }
    running.prepare_folders(&plan)?;
    running.record(&mut plan).await?;
    running.say_outlook(&plan.outlook);
    if batch.args.enqueue {
        return running.tell_enqueued(&plan);
    }
    running.finish(plan, begun, report_file).await
}

/// Where the results of a batch go.
enum Places {
    /// Below this folder.
    Folder(PathBuf),
    /// There is one, and it goes here.
    File(PathBuf),
    /// They are recorded without a place, or printed.
    None,
}

impl Batch<'_> {
    /// What makes no sense is refused before anything is read.
    fn check(&self, app: &App) -> Result<Places, CommandError> {
        let refuse = |line: &str| Err(CommandError::invalid_input(line));
        if app.options.again && self.args.run.is_none() {
            return refuse(
                "--again with several inputs submits and pays for all of them again: name that run with --run NAME, so that \
                 repeating it under the same name pays no third time",
            );
        }
        let Results::Files { out, output } = &self.results else {
            return Ok(Places::None);
        };
        let is_single = match &self.documents {
            Documents::Given(given) => !inputs::is_batch(given),
            Documents::Jobs(ids) => ids.len() == 1 && out.is_none(),
        };
        let needs_place = !(self.args.dry_run || self.args.enqueue || app.options.no_wait);
        match (out, output::output(output.as_deref())?) {
            (Some(out), _) if out.to_str().is_none() => Err(CommandError::invalid_input(format!(
                "the name {out:?} is not UTF-8, so it cannot be written down; choose another one with --out"
            ))),
            (Some(out), _) => Ok(Places::Folder(absolute(out)?)),
            (None, Some(_)) if !is_single => refuse(
                "-o is the place of one result; several inputs need a folder for theirs: give --out DIR",
            ),
            (None, Some(path)) => Ok(Places::File(path)),
            (None, None) if needs_place && is_single => {
                refuse("give the place of the result with -o PATH or --out DIR")
            }
            (None, None) if needs_place => {
                refuse("several inputs need a folder for their results: give --out DIR")
            }
            (None, None) => Ok(Places::None),
        }
    }

    fn has_files(&self) -> bool {
        matches!(self.results, Results::Files { .. })
    }
}

/// A batch that was checked, with what it needs.
struct Running<'a> {
    app: &'a App,
    batch: &'a Batch<'a>,
    places: Places,
    runner: Runner,
    progress: Progress,
    models: PollModels,
}

impl Running<'_> {
    /// Finds and reads the documents, and decides what becomes of each. Writes nothing.
    async fn plan(&self) -> Result<Plan, CommandError> {
        let (app, batch) = (self.app, self.batch);
        let handler = self
            .runner
            .handler(batch.vendor, batch.kind)
            .ok_or_else(|| {
                CommandError::unexpected(format!("{} {} is not known", batch.vendor, batch.kind))
            })?
            .clone();
        let mut selection = match &batch.documents {
            Documents::Jobs(ids) => Selection {
                documents: ids.iter().map(|id| job_at_vendor(id)).collect(),
                ..Selection::default()
            },
            Documents::Given(given) => {
                let accepted = Accepted {
                    types: handler.accepted_types(),
                    largest: &|extension| handler.largest_document(extension),
                    urls: handler.accepts_url(),
                };
                tokio::task::block_in_place(|| inputs::select(given, &accepted))?
            }
        };
        self.tell_skipped(&selection);
        let stdin_name = match &batch.documents {
            Documents::Given(given) => given.stdin_name,
            Documents::Jobs(_) => None,
        };
        let stdin = documents::stdin(&selection.documents, stdin_name).await?;
        let describing = Describing {
            handler,
            options: batch.options.clone(),
            format: batch.format,
            args: batch.args,
            stdin: stdin.as_ref().map(|given| given.place().to_owned()),
            has_estimates: batch.args.dry_run,
            verifies: batch.args.verify,
            remembers: !batch.args.dry_run,
        };
        let selected = std::mem::take(&mut selection.documents);
        app.report.begin_counting(selected.len() as u64);
        app.report.beside_bar("reading the documents");
        let counted = |done| app.report.counted(done as u64);
        let described = describing
            .describe(self.runner.ledger(), selected, counted)
            .await?;
        app.report.quiet();
        for (shown, error) in &described.unreadable {
            app.report.say(&format!(
                "{shown}: {}",
                CommandError::invalid_input(error.to_string()).line
            ));
        }
        let mut documents = described.documents;
        if documents.is_empty() {
            return Err(CommandError::invalid_input(
                "there is nothing to do: no document can be read",
            ));
        }
        describing.look_up(&self.runner, &mut documents).await?;
        let unreadable = described.unreadable.len();
        let plan = tokio::task::block_in_place(|| {
            plan::plan(self, &describing, documents, &selection, unreadable)
        })?;
        Ok(Plan {
            _stdin: stdin,
            ..plan
        })
    }

    fn tell_skipped(&self, selection: &Selection) {
        let report = &self.app.report;
        for (path, problem) in &selection.unreadable {
            report.say(&format!("cannot read {}: {problem}", path.display()));
        }
        if self.app.options.verbose == 0 {
            let others = selection.other_types.len();
            if others > 0 {
                let others = count(others, "file");
                report.say(&format!("{others} of other types left out (-v names them)"));
            }
            return;
        }
        for path in &selection.other_types {
            report.say(&format!("{}: of another type, left out", path.display()));
        }
        for (path, _) in &selection.too_large {
            report.say(&format!("{}: too large, skipped", path.display()));
        }
        for path in &selection.empty {
            report.say(&format!("{}: empty, skipped", path.display()));
        }
    }

    /// What a dry run has found out is what it is for.
    fn tell(&self, outlook: &outlook::Outlook) -> Result<(), CommandError> {
        if self.app.report.is_json() {
            self.app.report.event("planned", outlook.fields());
            return Ok(());
        }
        print_line(&outlook.line())
    }

    fn say_outlook(&self, outlook: &outlook::Outlook) {
        self.app.report.event("planned", outlook.fields());
        self.app.report.say(&outlook.line());
    }

    /// Makes the folders for results, and tries the first of them.
    fn prepare_folders(&self, plan: &Plan) -> Result<(), CommandError> {
        match &self.places {
            Places::Folder(out) => {
                results::prepare(out, plan.documents.iter().filter_map(Planned::needed_place))
            }
            Places::File(path) => output::target(path, true).map(drop),
            Places::None => Ok(()),
        }
    }

    /// Records every new job, and the places of those that have none. On the disk when this returns.
    async fn record(&self, plan: &mut Plan) -> Result<(), CommandError> {
        let new: Vec<usize> = plan.with_disposition(Disposition::New).collect();
        for chunk in new.chunks(CHUNK) {
            let jobs: Vec<_> = chunk.iter().filter_map(|at| plan.bulk_job(*at)).collect();
            let recorded = self.runner.enqueue_all(&jobs).await?;
            for (at, recorded) in chunk.iter().zip(recorded) {
                plan.recorded(*at, recorded);
            }
        }
        let homeless: Vec<(LedgerId, PathBuf)> = plan.homeless().collect();
        for chunk in homeless.chunks(CHUNK) {
            self.runner.ledger().set_outputs(chunk).await?;
        }
        plan.share_jobs();
        Ok(())
    }

    fn tell_enqueued(&self, plan: &Plan) -> Result<(), CommandError> {
        let mut exit = None;
        for planned in &plan.documents {
            let Some(job) = planned.job else { continue };
            if let Some(ended) = planned.ended_before() {
                self.progress.failed(&planned.document.shown, job, &ended);
                exit = Some(ended.exit);
            }
            if self.app.report.is_json() {
                let fields = json!({
                    "id": job.to_string(), "input": planned.document.shown, "is_new": planned.disposition == Disposition::New,
                });
                self.app.report.event("enqueued", fields);
            } else {
                print_line(&job.to_string())?;
            }
        }
        match exit {
            Some(exit) => Err(CommandError::new(exit, "")),
            None => Ok(()),
        }
    }

    /// Works on the jobs until each is done, delivers what lies elsewhere, and sums up.
    async fn finish(
        &self,
        plan: Plan,
        begun: Moment,
        report_file: Option<ReportFile>,
    ) -> Result<(), CommandError> {
        let worked = self.work(&plan, begun).await;
        if worked.is_ok() && self.app.shutdown.asked().is_none() && !self.app.options.no_wait {
            results::deliver(self, &plan).await;
        }
        self.app.report.quiet();
        let mut rows = report_file.as_ref().map(|_| Vec::new());
        let tally = self.sum_up(&plan, rows.as_mut()).await?;
        if let (Some(file), Some(rows)) = (&report_file, rows) {
            tokio::task::block_in_place(|| file.write(rows.into_iter()))?;
        }
        worked?;
        self.end(&tally)
    }

    async fn work(&self, plan: &Plan, begun: Moment) -> Result<(), CommandError> {
        let wants_tickets = self.app.options.no_wait;
        let worked_on: Vec<_> = plan.to_work_on(wants_tickets).collect();
        let jobs: Vec<LedgerId> = worked_on.iter().map(|(job, _)| *job).collect();
        let names = worked_on.into_iter();
        let names = names.map(|(job, planned)| (job, planned.document.shown.as_str().into()));
        self.progress.begin(names);
        for planned in &plan.documents {
            if let (Some(ended), Some(job)) = (planned.ended_before(), planned.job) {
                self.progress.failed(&planned.document.shown, job, &ended);
            }
        }
        if jobs.is_empty() {
            return Ok(());
        }
        let scratch = scratch_folder()?;
        let retry = RETRY_INTERVAL / self.app.scale()?;
        let config = WorkerConfig::default()
            .with_output_dir(scratch.path())
            .with_capacity(IN_FLIGHT)
            .with_retry_interval(retry)
            .with_max_wait(self.app.options.deadline)
            .overwriting(self.app.options.overwrite)
            .accepting_unverified(self.app.options.accept_unverified)
            .with_poll_models(self.models.clone())
            .until_accepted(wants_tickets)
            .only(jobs);
        let total = self.batch.args.total_deadline.map(|total| begun + total);
        let clock = self.app.clock()?;
        let token = self.app.shutdown.token();
        let shutdown = async {
            let total = async {
                match total {
                    Some(at) => clock.guard_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = token.cancelled() => {}
                () = total => {}
                () = self.progress.enough() => {}
            }
        };
        let mut worker = pin!(self.runner.worker(config).run(shutdown));
        tokio::select! {
            worked = worker.as_mut() => worked.map(drop).map_err(CommandError::from),
            never = self.tell_money() => match never {},
        }
    }

    /// Tells beside the bar what the documents have cost so far.
    async fn tell_money(&self) -> Infallible {
        let report = &self.app.report;
        report.beside_bar("");
        if !report.has_bar() {
            return std::future::pending().await;
        }
        let ledger = self.runner.ledger();
        let handler = self.runner.handler(self.batch.vendor, self.batch.kind);
        let unit = handler.map_or("unit", DynHandler::unit);
        let clock = ledger.clock();
        let mut money = 0;
        loop {
            clock.sleep_until(clock.now() + MONEY_INTERVAL).await;
            for jobs in self.progress.take_accepted().chunks(CHUNK) {
                // The summary is exact, whatever cannot be read just now.
                let jobs = ledger.get_many(jobs).await.unwrap_or_default();
                money += jobs.iter().filter_map(cost).sum::<i64>();
            }
            if money > 0 {
                report.beside_bar(&count(money, unit));
            }
        }
    }

    /// What became of every document, by the ledger's word.
    async fn sum_up(
        &self,
        plan: &Plan,
        mut rows: Option<&mut Vec<Row>>,
    ) -> Result<Tally, CommandError> {
        let mut tally = Tally::default();
        tally.add_skipped(plan.skipped);
        if plan.unreadable > 0 {
            tally.ended(ExitCode::Unexpected);
        }
        for chunk in plan.documents.chunks(CHUNK) {
            let ids: Vec<LedgerId> = chunk.iter().filter_map(|planned| planned.job).collect();
            let found = self.runner.ledger().get_many(&ids).await?;
            let found: std::collections::HashMap<LedgerId, &JobRecord> =
                found.iter().map(|job| (job.id, job)).collect();
            for planned in chunk {
                let job = planned.job.and_then(|id| found.get(&id).copied());
                if self.app.options.no_wait
                    && planned.document.same_as.is_some()
                    && let Some((job, ticket)) = job.and_then(|job| Some((job, job.ticket()?)))
                {
                    self.progress
                        .accepted(job.id, &ticket, &planned.document.shown);
                }
                let ended = self.end_of(planned, job);
                if let Some(ended) = &ended {
                    tally.ended(ended.exit);
                }
                if let Some(rows) = &mut rows {
                    rows.push(row(planned, job, ended.as_ref()));
                }
                match job {
                    _ if planned.disposition == Disposition::AlreadyCompleted => {
                        tally.add_completed_before(1)
                    }
                    Some(job) => {
                        let money = cost(job).filter(|_| self.was_bought_here(planned, job));
                        tally.add(self.batch.vendor, job.stage.as_str(), money);
                    }
                    None => tally.add(self.batch.vendor, "unknown", None),
                }
            }
        }
        Ok(tally)
    }

    /// Whether this command submitted the job, for this document.
    fn was_bought_here(&self, planned: &Planned, job: &JobRecord) -> bool {
        let is_in_doubt = matches!(job.stage, Stage::InDoubt | Stage::Submitting);
        planned.document.is_first()
            && !planned.was_submitted
            && (is_in_doubt || self.progress.was_accepted(job.id))
    }

    /// How a document ended, unless its result is delivered.
    fn end_of(&self, planned: &Planned, job: Option<&JobRecord>) -> Option<Ended> {
        if let Some(ended) = planned.undelivered() {
            return Some(ended);
        }
        let job = job?;
        let line = job.error.clone().unwrap_or_default();
        let ended = |exit| {
            let line = line.clone();
            Some(Ended { exit, line })
        };
        match job.stage {
            Stage::Completed => None,
            Stage::Accepted | Stage::Available | Stage::Downloading
                if self.app.options.no_wait && self.progress.ended(job.id).is_none() =>
            {
                None
            }
            Stage::Failed | Stage::Gone => ended(ExitCode::Failed),
            Stage::InDoubt | Stage::Submitting => ended(ExitCode::OutcomeUnknown),
            stage => {
                let refused = self.progress.refused();
                // The end of the command may have cut the first try, of which nothing was told.
                let was_tried = || (job.attempts > 0).then_some(ExitCode::Unreachable);
                let delayed = || self.progress.delayed(job.id).or_else(was_tried);
                let before_submit = match stage {
                    Stage::Intended => refused.or_else(delayed),
                    _ => refused,
                };
                (self.progress.ended(job.id))
                    .or_else(|| ended(before_submit.unwrap_or(ExitCode::Unfinished)))
            }
        }
    }

    fn end(&self, tally: &Tally) -> Result<(), CommandError> {
        let report = &self.app.report;
        if let Some(error) = self.progress.unprintable() {
            return Err(error);
        }
        let signal = self.app.shutdown.asked().map(|signal| signal.exit());
        let exit = signal.or(tally.exit());
        let code = exit.map_or(0, |exit| exit as u8);
        let mut line = tally.line();
        let is_unfinished = matches!(
            tally.exit(),
            Some(
                ExitCode::Unfinished
                    | ExitCode::Unreachable
                    | ExitCode::QuotaExceeded
                    | ExitCode::Unauthenticated
            )
        );
        if signal.is_some() || is_unfinished {
            line.push_str(&format!("; the same command continues: {}", command_line()));
        }
        report.say(&line);
        report.event("summary", tally.fields(code));
        match exit {
            None => Ok(()),
            Some(exit) => Err(CommandError::new(exit, "")),
        }
    }
}

/// What a job has cost, or what is kept free for it as long as that is not known.
fn cost(job: &JobRecord) -> Option<i64> {
    job.credits.or(job.reserved)
}

fn row(planned: &Planned, job: Option<&JobRecord>, ended: Option<&Ended>) -> Row {
    let is_delivered = job.is_some_and(|job| job.stage == Stage::Completed) && ended.is_none();
    Row {
        input: planned.document.shown.clone(),
        output: planned.place.clone().filter(|_| is_delivered),
        id: job.map(|job| job.id.to_string()),
        remote_id: job.and_then(|job| job.remote_id.as_ref().map(ToString::to_string)),
        stage: job.map_or_else(String::new, |job| job.stage.to_string()),
        // A sum of the column counts each job once.
        money: job.and_then(cost).filter(|_| planned.document.is_first()),
        error: ended
            .map(|ended| ended.line.clone())
            .or_else(|| job.and_then(|job| job.error.clone())),
    }
}

fn job_at_vendor(id: &str) -> Selected {
    Selected {
        source: Source::Job(id.to_owned()),
        name: inputs::name_of_id(id).into(),
        is_named: true,
    }
}

fn scratch_folder() -> Result<TempDir, CommandError> {
    tempfile::tempdir().map_err(|problem| {
        CommandError::invalid_input(format!(
            "cannot write temporary files: {problem}; set TMPDIR"
        ))
    })
}

/// This very command, as it can be typed into a shell.
fn command_line() -> String {
    let words: Vec<String> = std::env::args_os()
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let quoted = shlex::try_join(words.iter().map(String::as_str));
    quoted.unwrap_or_else(|_| words.join(" "))
}

impl Document {
    /// Whether it stands for itself.
    fn is_first(&self) -> bool {
        self.same_as.is_none()
    }
}
