//! The ledger on the screen: `jobs`, `show`, `wait`, `resume`, `resolve`.

use std::io::IsTerminal as _;
use std::path::Path;

use jobs_core::{JobId, Ticket};
use jobs_ledger::{JobFilter, JobRecord, Ledger, Stage};
use jobs_runner::{
    DynHandler, ErrorCategory, OutputChoice, Resolution, Runner, RunnerErrorKind, redacted_address,
};
use serde_json::Value;

use crate::app::App;
use crate::args::{JobsArgs, ResolveArgs, ResumeArgs, WaitArgs};
use crate::clean::count;
use crate::exit::{CommandError, ExitCode};
use crate::job_table;
use crate::moment;
use crate::output::{self, print_json, print_line};
use crate::timeline;
use crate::{printer, run, tencent, vendors};

/// `docjobs jobs`
pub(crate) async fn jobs(app: &App, args: JobsArgs) -> Result<(), CommandError> {
    let ledger = app.ledger().await?;
    if let Some(age) = args.prune {
        let forgotten = ledger.prune(age).await?;
        app.report
            .say(&format!("{} forgotten", count(forgotten, "settled job")));
        return Ok(());
    }
    let mut filter = if args.unfinished {
        JobFilter::unfinished()
    } else {
        JobFilter::all().with_stages(args.stage)
    };
    filter.vendor = args.vendor;
    filter.input = args.input;
    filter.error = args.error;
    let now = ledger.clock().wall();
    let at = |option: &str, text: Option<&str>| {
        let at = text.map(|text| moment::parse(text, now)).transpose();
        at.map_err(|problem| CommandError::invalid_input(format!("{option}: {problem}")))
    };
    filter.since = at("--since", args.since.as_deref())?;
    filter.until = at("--until", args.until.as_deref())?;
    let is_glanced_at = !app.report.is_json() && std::io::stdout().is_terminal();
    let most = args.limit.or(is_glanced_at.then_some(SCREENFUL));
    let mut left = most.unwrap_or(usize::MAX);
    while left > 0 {
        filter.limit = left.min(PAGE);
        let page = ledger.list(&filter).await?;
        let jobs = page.jobs.get(..left).unwrap_or(&page.jobs);
        if is_glanced_at {
            for line in job_table::lines(jobs, filter.after.is_none(), ledger.clock().wall()) {
                print_line(&line)?;
            }
        }
        for job in jobs.iter().filter(|_| !is_glanced_at) {
            if app.report.is_json() {
                print_json(&as_json(job)?)?;
            } else {
                print_line(&as_row(job))?;
            }
        }
        left -= page.jobs.len().min(left);
        match page.next {
            Some(next) => filter = filter.after(next),
            None => return Ok(()),
        }
    }
    if args.limit.is_none() {
        let more = count_more(&ledger, filter).await?;
        app.report
            .say(&format!("{more} older: --limit shows more of them"));
    }
    Ok(())
}

/// How many jobs a terminal shows unless told otherwise.
const SCREENFUL: usize = 50;
const PAGE: usize = 100;

/// How many jobs come after those that were shown, as far as anybody wants to know.
async fn count_more(ledger: &Ledger, mut filter: JobFilter) -> Result<String, CommandError> {
    const PAGES: usize = 10;
    let mut found = 0;
    for _ in 0..PAGES {
        filter.limit = 10 * PAGE;
        let page = ledger.list(&filter).await?;
        found += page.jobs.len();
        match page.next {
            Some(next) => filter = filter.after(next),
            None => return Ok(count(found, "job")),
        }
    }
    Ok(format!("more than {}", count(found, "job")))
}

/// `docjobs show`
pub(crate) async fn show(app: &App, id: &str) -> Result<(), CommandError> {
    let ledger = app.ledger().await?;
    let job = find(&ledger, id).await?;
    let events = ledger.events(job.id).await?;
    if app.report.is_json() {
        let mut object = as_json(&job)?;
        let events = serde_json::to_value(&events)
            .map_err(|problem| CommandError::unexpected(problem.to_string()))?;
        if let Some(object) = object.as_object_mut() {
            object.insert("events".to_owned(), events);
        }
        return print_json(&object);
    }
    print_line(&as_row(&job))?;
    for line in timeline::lines(&events, job.polls) {
        print_line(&line)?;
    }
    Ok(())
}

/// `docjobs wait`
pub(crate) async fn wait(app: &App, args: WaitArgs) -> Result<(), CommandError> {
    let begun = app.clock()?.now();
    let runner = app.runner().await?;
    let choice = run::choice(args.output.as_deref())?;
    let ticket = match args.job.parse::<Ticket>() {
        Ok(ticket) => Some(ticket),
        Err(problem) if args.job.starts_with("docjobs") => {
            return Err(CommandError::invalid_input(format!(
                "{:?}: {problem}",
                args.job
            )));
        }
        Err(_) => None,
    };
    let row = match &ticket {
        Some(ticket) => runner.find_ticket(ticket).await?,
        None => Some(find(runner.ledger(), &args.job).await?),
    };
    let (vendor, kind) = match (&row, &ticket) {
        (Some(row), _) => (row.vendor.as_str(), row.kind.as_str()),
        (None, Some(ticket)) => (ticket.vendor(), ticket.kind()),
        (None, None) => return Err(CommandError::unexpected("no job is named")),
    };
    if vendor == printer::VENDOR {
        let id = row.map_or_else(|| args.job.clone(), |row| row.id.to_string());
        return Err(CommandError::invalid_input(printer::carried_on_elsewhere(
            &id,
        )));
    }
    let runner = vendors::of(app, runner, vendor)?;
    let handler = runner.handler(vendor, kind);
    let polls_cost = handler.is_some_and(DynHandler::polls_cost);
    let row = match (row, ticket) {
        (Some(row), _) => row,
        // Anybody can write a ticket, and each poll of such a job may cost money.
        (None, _) if polls_cost && args.max_calls.is_none() => {
            return Err(CommandError::invalid_input(
                "each poll of a MindShow PDF may cost credits, and this ledger does not know the ticket; say how many \
                 with --max-calls N",
            ));
        }
        (None, Some(ticket)) => {
            fits(handler, &ticket)?;
            let output = match &choice {
                OutputChoice::File(path) => {
                    output::target(path, app.options.overwrite)?;
                    Some(path.as_path())
                }
                _ => None,
            };
            runner.resume(&ticket, output).await?
        }
        (None, None) => return Err(CommandError::unexpected("no job is named")),
    };
    let _attended = app.shutdown.attend();
    let mut options = app.run_options(begun)?.with_output(choice);
    if let Some(format) = args.format.filter(|_| vendor_has_formats(&runner, &row)) {
        options = options.with_format(format.name());
    }
    if polls_cost {
        options = options.with_max_paid_polls(max_calls(&runner, &row, args.max_calls));
    }
    run::recorded_job(app, &runner, row.id, &options).await
}

fn vendor_has_formats(runner: &Runner, row: &JobRecord) -> bool {
    let handler = runner.handler(&row.vendor, &row.kind);
    handler.is_some_and(|handler| !handler.formats().is_empty())
}

/// How many paid polls a person allows: what was said now, or with the job.
fn max_calls(runner: &Runner, row: &JobRecord, given: Option<u32>) -> u32 {
    let handler = runner.handler(&row.vendor, &row.kind);
    let recorded = handler.map_or(0, |handler| handler.paid_polls(row));
    let recorded = Some(recorded).filter(|calls| *calls > 0);
    given.or(recorded).unwrap_or(crate::args::MAX_CALLS)
}

/// Refuses a ticket of another kind or account than the variables are for.
fn fits(handler: Option<&DynHandler>, ticket: &Ticket) -> Result<(), CommandError> {
    match handler {
        None => Err(CommandError::invalid_input(format!(
            "{} {} jobs are not known here",
            ticket.vendor(),
            ticket.kind()
        ))),
        Some(handler) if handler.account() != ticket.account() => Err(CommandError::invalid_input(
            "the job belongs to another account than the credentials in use; set the variables of the account that \
                 submitted it",
        )),
        Some(_) => Ok(()),
    }
}

/// `docjobs resume`
pub(crate) async fn resume(app: &App, args: ResumeArgs) -> Result<(), CommandError> {
    let runner = app.runner().await?;
    let ledger = runner.ledger().clone();
    let out = args
        .out
        .as_deref()
        .map(output::results_folder)
        .transpose()?;
    let _attended = app.shutdown.attend();
    let mut unfinished = Vec::new();
    for id in &args.ids {
        unfinished.push(find(&ledger, id).await?);
    }
    if args.ids.is_empty() {
        let mut filter = JobFilter::unfinished();
        loop {
            let page = ledger.list(&filter).await?;
            unfinished.extend(page.jobs);
            match page.next {
                Some(next) => filter = filter.after(next),
                None => break,
            }
        }
        // The oldest first.
        unfinished.reverse();
    }
    let may_print = args.ids.len() == 1;
    let mut is_begun = false;
    let mut worst: Option<ErrorCategory> = None;
    for job in unfinished {
        if let Some(signal) = app.shutdown.asked() {
            return Err(CommandError::asked_to_end(
                signal.exit(),
                "docjobs resume goes on with the rest",
            ));
        }
        let id = job.id;
        if job.vendor == printer::VENDOR {
            app.report
                .say(&printer::carried_on_elsewhere(&id.to_string()));
            worst = Some(ErrorCategory::worse(worst, ErrorCategory::Unfinished));
            continue;
        }
        let about = format!(
            "{} {} of {}",
            job.vendor,
            job.kind,
            redacted_address(&job.input)
        );
        let runner = vendors::of(app, runner.clone(), &job.vendor);
        let resumed = match runner {
            Ok(runner) => {
                let Some(choice) = place_of(&runner, &job, out.as_deref(), may_print) else {
                    app.report.say(&format!(
                        "job {id}: {about} awaits a place: docjobs wait {id} -o PATH, or docjobs resume --out DIR"
                    ));
                    worst = Some(ErrorCategory::worse(worst, ErrorCategory::Unfinished));
                    continue;
                };
                app.report.say(&format!("job {id}: {about}"));
                is_begun = true;
                continue_job(app, &runner, &job, choice).await
            }
            Err(error) => {
                app.report.say(&format!("job {id}: {about}"));
                Err(error)
            }
        };
        if let Err(error) = resumed {
            if app.shutdown.asked().is_some() {
                return Err(error);
            }
            app.report.stop(&error);
            worst = Some(ErrorCategory::worse(worst, error.exit.category()));
        }
    }
    match worst {
        None => Ok(()),
        Some(worst) => Err(CommandError::new(
            match ExitCode::from(worst) {
                exit if is_begun => exit.after_submit(),
                exit => exit,
            },
            "not everything is settled; docjobs jobs shows what is left",
        )),
    }
}

/// Where the result of a resumed job goes; `None` where that is still to be said.
fn place_of(
    runner: &Runner,
    job: &JobRecord,
    out: Option<&Path>,
    may_print: bool,
) -> Option<OutputChoice> {
    let is_own = job.output.is_some() && runner.ledger().is_own_output(job);
    if is_own && job.stage != Stage::Completed {
        return Some(OutputChoice::Recorded);
    }
    let handler = runner.handler(&job.vendor, &job.kind);
    if let Some(out) = out {
        let format = handler.and_then(|handler| handler.format_of(job.format.as_deref()));
        let extension = handler.map_or("txt", |handler| handler.extension(format));
        let path = out.join(format!("{}.{extension}", job.id));
        return Some(OutputChoice::File(path));
    }
    // An id is a line, and no document.
    let is_line = job.vendor == tencent::VENDOR;
    (may_print || is_line).then_some(OutputChoice::Scratch)
}

async fn continue_job(
    app: &App,
    runner: &Runner,
    job: &JobRecord,
    choice: OutputChoice,
) -> Result<(), CommandError> {
    let begun = app.clock()?.now();
    let mut options = app.run_options(begun)?.with_output(choice);
    if runner
        .handler(&job.vendor, &job.kind)
        .is_some_and(DynHandler::polls_cost)
    {
        options = options.with_max_paid_polls(max_calls(runner, job, None));
    }
    run::recorded_job(app, runner, job.id, &options).await
}

/// `docjobs resolve`
pub(crate) async fn resolve(app: &App, args: ResolveArgs) -> Result<(), CommandError> {
    const BY: &str = "by a person's word";
    let runner = app.runner().await?;
    let job = find(runner.ledger(), &args.id).await?;
    if job.vendor == printer::VENDOR && args.adopt.is_some() {
        return Err(CommandError::invalid_input(format!(
            "job {} is a print job, whose id is known: docjobs printer run reports it as failed, and --abandon lets it \
             be printed anew",
            job.id
        )));
    }
    let resolution = match &args.adopt {
        None => Resolution::Abandon,
        Some(id) => {
            let id = JobId::new(id.as_str())
                .map_err(|problem| CommandError::invalid_input(problem.to_string()))?;
            Resolution::Adopt(id)
        }
    };
    let said = match &resolution {
        Resolution::Adopt(id) => format!(
            "job {} is {id} at the vendor; go on with: docjobs wait {}",
            job.id, job.id
        ),
        _ => format!("job {} is given up; the same command submits anew", job.id),
    };
    match runner.resolve(job.id, resolution, BY).await {
        Ok(()) => {
            app.report.say(&said);
            Ok(())
        }
        Err(error) => Err(match error.kind() {
            RunnerErrorKind::Busy => CommandError::invalid_input(format!(
                "job {} is worked on by a process; end it first",
                job.id
            )),
            RunnerErrorKind::NotResolvable { stage } if !stage.is_settled() => {
                CommandError::invalid_input(format!(
                    "job {} is {stage}, not in doubt; only a job in doubt can adopt",
                    job.id
                ))
            }
            _ => error.into(),
        }),
    }
}

/// The one job that a person means by our id or the vendor's.
async fn find(ledger: &Ledger, id: &str) -> Result<JobRecord, CommandError> {
    let mut found = ledger.find(id).await?;
    if found.is_empty() {
        found.extend(printer::find(ledger, id).await?);
    }
    if found.is_empty() {
        return Err(CommandError::invalid_input(format!(
            "{id:?} is neither a ticket nor a job of this ledger; see docjobs jobs"
        )));
    }
    Ok(found.swap_remove(0))
}

pub(crate) fn as_json(job: &JobRecord) -> Result<Value, CommandError> {
    jobs_runner::job_json(job).map_err(|problem| CommandError::unexpected(problem.to_string()))
}

fn as_row(job: &JobRecord) -> String {
    let remote = job.remote_id.as_ref().map_or("-", JobId::as_str);
    let tail = match (&job.error, &job.output) {
        (Some(error), _) => error.clone(),
        (None, Some(path)) => path.display().to_string(),
        (None, None) => String::new(),
    };
    let row = format!(
        "{}  {:<11} {:<12} {:<15} {remote:<34} {}  {tail}",
        job.id,
        job.stage,
        job.vendor,
        job.kind,
        redacted_address(&job.input)
    );
    row.trim_end().to_owned()
}
