//! The ledger on the screen: `jobs`, `show`, `wait`, `resume`, `resolve`.

use std::io::IsTerminal as _;
use std::path::Path;

use jobs_core::{Account, JobId, JobKind as _, Ticket};
use jobs_ledger::{
    ClaimOutcome, Claimed, Due, JobFilter, JobRecord, Ledger, Note, ParkReason, Stage,
};
use serde_json::Value;

use crate::address;
use crate::app::App;
use crate::args::{Format, JobsArgs, ResolveArgs, ResumeArgs, WaitArgs};
use crate::carry::Carrier;
use crate::clean::count;
use crate::ends;
use crate::exit::{Exit, Stop};
use crate::job_table;
use crate::line::Line;
use crate::place::{self, Place, print_json, print_line};
use crate::steps::settle_arrived;
use crate::textin::ParseLine;
use crate::timeline;
use crate::{mindshow, ppj, printer, tencent, textin};

/// `docjobs jobs`
pub(crate) async fn jobs(app: &App, args: JobsArgs) -> Result<(), Stop> {
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
async fn count_more(ledger: &Ledger, mut filter: JobFilter) -> Result<String, Stop> {
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
pub(crate) async fn show(app: &App, id: &str) -> Result<(), Stop> {
    let ledger = app.ledger().await?;
    let job = find(&ledger, id).await?;
    let events = ledger.events(job.id).await?;
    if app.report.is_json() {
        let mut object = as_json(&job)?;
        let events = serde_json::to_value(&events)
            .map_err(|problem| Stop::unexpected(problem.to_string()))?;
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
pub(crate) async fn wait(app: &App, args: WaitArgs) -> Result<(), Stop> {
    let ledger = app.ledger().await?;
    let output = place::output(args.output.as_deref())?;
    let subject = match args.job.parse::<Ticket>() {
        Ok(ticket) => of_ticket(&ledger, ticket, args.max_calls.is_some()).await?,
        Err(problem) if args.job.starts_with("docjobs") => {
            return Err(Stop::bad_input(format!("{:?}: {problem}", args.job)));
        }
        Err(_) => Subject::Row(Box::new(find(&ledger, &args.job).await?)),
    };
    // Without -o, a job whose result has not come yet goes where it was first wanted.
    let remembered = match &subject {
        Subject::Row(job) if job.stage != Stage::Completed => job.output.clone(),
        _ => None,
    };
    let output = if args.output.is_some() {
        output
    } else {
        remembered
    };
    carry(app, subject, output.as_deref(), &args.into()).await
}

/// The job of a ticket: the one that the ledger knows by its id, or the one whose answer was lost when the vendor took
/// this one, or one of another machine.
async fn of_ticket(ledger: &Ledger, ticket: Ticket, may_cost: bool) -> Result<Subject, Stop> {
    let is_it = |job: &JobRecord| {
        (job.vendor.as_str(), job.kind.as_str(), job.account)
            == (ticket.vendor(), ticket.kind(), ticket.account())
    };
    let known = ledger.find(ticket.id().as_str()).await?;
    if let Some(job) = known.into_iter().find(is_it) {
        return Ok(Subject::Row(Box::new(job)));
    }
    let filter = JobFilter::all()
        .with_stages([Stage::InDoubt])
        .with_vendor(ticket.vendor())
        .with_kind(ticket.kind())
        .with_account(ticket.account());
    let in_doubt = ledger.list(&filter).await?.jobs;
    let mut fitting = in_doubt.into_iter().filter(|job| {
        job.sent_at
            .is_some_and(|sent| ends::may_be_lost_one(sent, ticket.accepted()))
    });
    if let (Some(job), None) = (fitting.next(), fitting.next())
        && let ClaimOutcome::Claimed(Claimed::InDoubt(claim, _)) = ledger.claim(job.id).await?
    {
        let note = Note::new("by its ticket");
        let held = ledger
            .adopt(&claim, ticket.id(), ticket.accepted(), note)
            .await?;
        ledger.release(held, Due::Now).await?;
        return Ok(match ledger.get(job.id).await? {
            Some(job) => Subject::Row(Box::new(job)),
            None => Subject::Ticket(ticket),
        });
    }
    // Anybody can write a ticket, and each poll of such a job may cost money.
    if (ticket.vendor(), ticket.kind()) == (mindshow::VENDOR, mindshow::PDF) && !may_cost {
        return Err(Stop::bad_input(
            "each poll of a MindShow PDF may cost credits, and this ledger does not know the ticket; say how many with \
             --max-calls N",
        ));
    }
    Ok(Subject::Ticket(ticket))
}

/// `docjobs resume`
pub(crate) async fn resume(app: &App, args: ResumeArgs) -> Result<(), Stop> {
    let ledger = app.ledger().await?;
    let out = args.out.as_deref().map(place::results_folder).transpose()?;
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
    let mut worst: Option<Exit> = None;
    for job in unfinished {
        if let Some(signal) = app.shutdown.asked() {
            return Err(Stop::asked_to_end(
                signal.exit(),
                "docjobs resume goes on with the rest",
            ));
        }
        let id = job.id;
        if job.vendor == printer::VENDOR {
            app.report
                .say(&printer::carried_on_elsewhere(&id.to_string()));
            worst = Some(ends::worse(worst, Exit::Deadline));
            continue;
        }
        let remembered = job.output.clone().filter(|_| job.stage != Stage::Completed);
        let extension = extension_of(&job);
        let in_folder = out
            .as_ref()
            .map(|out| out.join(format!("{id}.{extension}")));
        let output = remembered.or(in_folder);
        // An id is a line, and no document.
        let is_line = job.vendor == tencent::VENDOR;
        if output.is_none() && !may_print && !is_line {
            app.report.say(&format!(
                "job {id}: {} {} of {} awaits a place: docjobs wait {id} -o PATH, or docjobs resume --out DIR",
                job.vendor,
                job.kind,
                address::shown(&job.input)
            ));
            worst = Some(ends::worse(worst, Exit::Deadline));
            continue;
        }
        app.report.say(&format!(
            "job {id}: {} {} of {}",
            job.vendor,
            job.kind,
            address::shown(&job.input)
        ));
        let (subject, wishes) = (Subject::Row(Box::new(job)), Wishes::default());
        let carried = carry(app, subject, output.as_deref(), &wishes);
        if let Err(stop) = carried.await {
            if app.shutdown.asked().is_some() {
                return Err(stop);
            }
            app.report.stop(&stop);
            worst = Some(ends::worse(worst, stop.exit));
        }
    }
    match worst {
        None => Ok(()),
        Some(exit) => Err(Stop::new(
            exit,
            "not everything is settled; docjobs jobs shows what is left",
        )),
    }
}

/// How the name of a job's result ends.
fn extension_of(job: &JobRecord) -> &'static str {
    match (job.vendor.as_str(), job.kind.as_str()) {
        (textin::VENDOR, _) => Format::of(job).extension(),
        (ppj::VENDOR, _) => "zip",
        (mindshow::VENDOR, mindshow::PDF) => "pdf",
        (mindshow::VENDOR, _) => "pptx",
        _ => "txt",
    }
}

/// `docjobs resolve`
pub(crate) async fn resolve(app: &App, args: ResolveArgs) -> Result<(), Stop> {
    let ledger = app.ledger().await?;
    let job = find(&ledger, &args.id).await?;
    if job.vendor == printer::VENDOR && args.adopt.is_some() {
        return Err(Stop::bad_input(format!(
            "job {} is a print job, whose id is known: docjobs printer run reports it as failed, and --abandon lets it \
             be printed anew",
            job.id
        )));
    }
    let claimed = match ledger.claim(job.id).await? {
        ClaimOutcome::Claimed(claimed) => claimed,
        ClaimOutcome::Busy { .. } => {
            return Err(Stop::bad_input(format!(
                "job {} is worked on by a process; end it first",
                job.id
            )));
        }
        _ => {
            return Err(Stop::bad_input(format!(
                "job {} is {}: there is nothing to resolve",
                job.id, job.stage
            )));
        }
    };
    match (args.adopt, claimed) {
        (Some(id), Claimed::InDoubt(claim, _)) => {
            let id = JobId::new(id).map_err(|problem| Stop::bad_input(problem.to_string()))?;
            let now = ledger.clock().wall();
            let adopted = ledger
                .adopt(&claim, &id, now, Note::new("by a person's word"))
                .await;
            let held = match adopted {
                Ok(held) => held,
                Err(error) => {
                    ledger.release(claim, Due::Parked).await?;
                    return Err(error.into());
                }
            };
            ledger.release(held, Due::Now).await?;
            app.report.say(&format!(
                "job {} is {id} at the vendor; go on with: docjobs wait {}",
                job.id, job.id
            ));
            Ok(())
        }
        (Some(_), other) => {
            let line = format!(
                "job {} is {}, not in doubt; only a job in doubt can adopt",
                job.id, job.stage
            );
            give_back(&ledger, other).await?;
            Err(Stop::bad_input(line))
        }
        (None, claimed) => {
            abandon(&ledger, claimed).await?;
            app.report.say(&format!(
                "job {} is given up; the same command submits anew",
                job.id
            ));
            Ok(())
        }
    }
}

async fn abandon(ledger: &Ledger, claimed: Claimed) -> Result<(), Stop> {
    let note = Note::new("by a person's word");
    match claimed {
        Claimed::Intended(claim, _) => ledger.abandon(&claim, note).await,
        Claimed::Accepted(claim, _) => ledger.abandon(&claim, note).await,
        Claimed::Available(claim, _) => ledger.abandon(&claim, note).await,
        Claimed::Downloading(claim, _) => ledger.abandon(&claim, note).await,
        Claimed::InDoubt(claim, _) => ledger.abandon(&claim, note).await,
        _ => Ok(()),
    }
    .map_err(Stop::from)
}

async fn give_back(ledger: &Ledger, claimed: Claimed) -> Result<(), Stop> {
    match claimed {
        Claimed::Intended(claim, _) => ledger.release(claim, Due::Now).await,
        Claimed::Accepted(claim, _) => ledger.release(claim, Due::Now).await,
        Claimed::Available(claim, _) => ledger.release(claim, Due::Now).await,
        Claimed::Downloading(claim, _) => ledger.release(claim, Due::Now).await,
        Claimed::InDoubt(claim, _) => ledger.release(claim, Due::Parked).await,
        _ => Ok(()),
    }
    .map_err(Stop::from)
}

/// What a person may say about a job beside its id.
pub(crate) struct Wishes {
    pub(crate) format: Option<Format>,
    pub(crate) max_calls: u32,
}

impl Default for Wishes {
    fn default() -> Self {
        Self {
            format: None,
            max_calls: crate::args::MAX_CALLS,
        }
    }
}

impl From<WaitArgs> for Wishes {
    fn from(args: WaitArgs) -> Self {
        Self {
            format: args.format,
            max_calls: args.max_calls.unwrap_or(crate::args::MAX_CALLS),
        }
    }
}

/// The job to carry on: one of the ledger, or one of another machine by its ticket.
enum Subject {
    Row(Box<JobRecord>),
    Ticket(Ticket),
}

impl Subject {
    fn kind(&self) -> (&str, &str) {
        match self {
            Self::Row(job) => (&job.vendor, &job.kind),
            Self::Ticket(ticket) => (ticket.vendor(), ticket.kind()),
        }
    }

    fn format(&self) -> Format {
        match self {
            Self::Row(job) => Format::of(job),
            Self::Ticket(_) => Format::Markdown,
        }
    }

    fn account(&self) -> Account {
        match self {
            Self::Row(job) => job.account,
            Self::Ticket(ticket) => ticket.account(),
        }
    }
}

/// Carries a job of any vendor on.
async fn carry(
    app: &App,
    job: Subject,
    output: Option<&Path>,
    wishes: &Wishes,
) -> Result<(), Stop> {
    match job.kind() {
        (textin::VENDOR, _) => {
            let line = ParseLine {
                client: textin::client(app)?,
                format: wishes.format.unwrap_or_else(|| job.format()),
            };
            go_on(app, &line, job, output).await
        }
        (ppj::VENDOR, _) => {
            go_on(
                app,
                &ppj::ConvertLine {
                    client: ppj::client(app)?,
                },
                job,
                output,
            )
            .await
        }
        (mindshow::VENDOR, mindshow::PDF) => {
            let line = mindshow::PdfLine::new(mindshow::client(app)?, wishes.max_calls);
            go_on(app, &line, job, output).await
        }
        (mindshow::VENDOR, _) => {
            go_on(
                app,
                &mindshow::DeckLine {
                    client: mindshow::client(app)?,
                },
                job,
                output,
            )
            .await
        }
        (tencent::VENDOR, kind) => {
            let line = tencent::ConvertLine::of(tencent::client(app)?, kind);
            go_on(app, &line, job, output).await
        }
        (printer::VENDOR, _) => {
            let row = match &job {
                Subject::Row(row) => row.id.to_string(),
                Subject::Ticket(ticket) => ticket.id().to_string(),
            };
            Err(Stop::bad_input(printer::carried_on_elsewhere(&row)))
        }
        (vendor, kind) => Err(Stop::bad_input(format!(
            "{vendor} {kind} jobs are not known here"
        ))),
    }
}

async fn go_on<L: Line>(
    app: &App,
    line: &L,
    job: Subject,
    output: Option<&Path>,
) -> Result<(), Stop> {
    let kind = line.kind();
    let (vendor, name) = job.kind();
    if (kind.vendor(), kind.name()) != (vendor, name) {
        return Err(Stop::bad_input(format!(
            "this is a {vendor} {name} job, and the variables are for {} {}",
            kind.vendor(),
            kind.name()
        )));
    }
    if kind.account() != job.account() {
        return Err(Stop::bad_input(
            "the job belongs to another account than the credentials in use; set the variables of the account that \
             submitted it",
        ));
    }
    let carrier = Carrier::new(app, line).await?;
    let place = match (Place::of(output, app.options.overwrite), &job, output) {
        (Err(_), Subject::Row(row), Some(path))
            if settle_arrived(&carrier.ledger, row, path).await? =>
        {
            let place = path.display();
            app.report.say(&format!("job {} done: {place}", row.id));
            return Ok(());
        }
        // The vendor has it, so a remembered place that fails ends nothing.
        (Err(stop), Subject::Row(row), Some(path))
            if row.remote_id.is_some() && row.output.as_deref() == Some(path) =>
        {
            if let ClaimOutcome::Claimed(claimed) = carrier.ledger.claim(row.id).await? {
                let (key, note) = (claimed.key(), Note::new(&stop.line));
                carrier
                    .ledger
                    .park(key, ParkReason::OutputPath, note)
                    .await?;
            }
            return Err(Stop {
                ticket: row.ticket().map(Box::new),
                exit: Exit::Deadline,
                ..stop
            });
        }
        (place, _, _) => place?,
    };
    let row = match job {
        Subject::Row(row) => *row,
        Subject::Ticket(ticket) => carrier.ledger.import(&ticket, output).await?,
    };
    carrier.take_up(row, None, &place).await
}

/// The one job that a person means by our id or the vendor's.
async fn find(ledger: &Ledger, id: &str) -> Result<JobRecord, Stop> {
    let mut found = ledger.find(id).await?;
    if found.is_empty() {
        found.extend(printer::find(ledger, id).await?);
    }
    if found.is_empty() {
        return Err(Stop::bad_input(format!(
            "{id:?} is neither a ticket nor a job of this ledger; see docjobs jobs"
        )));
    }
    Ok(found.swap_remove(0))
}

fn as_json(job: &JobRecord) -> Result<Value, Stop> {
    let mut object =
        serde_json::to_value(job).map_err(|problem| Stop::unexpected(problem.to_string()))?;
    if let Some(input) = object.get_mut("input") {
        *input = address::shown(&job.input).into();
    }
    Ok(object)
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
        address::shown(&job.input)
    );
    row.trim_end().to_owned()
}
