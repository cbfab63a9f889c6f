//! `docjobs printer`: a WeCom smart printer on the command line, and how it comes online.

mod exec;
mod fetch;
mod list;
mod outcome;
mod print;
mod print_runner;
mod render;
mod report;
mod run;
mod shutdown_signal;
mod spool;
mod words;

use std::error::Error as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use etcetera::BaseStrategy;
use jobs_core::ErrorKind;
use jobs_core::clock::{Clock, bounded};
use jobs_core::http::Origin;
use jobs_ledger::{JobFilter, JobRecord, Ledger};
use printer_jobs::{Device, FileStore};
use serde_json::{Value, json};

use crate::app::App;
use crate::args::PrinterCommand;
use crate::exit::{CommandError, ExitCode};
use crate::rate;

pub(crate) const VENDOR: &str = "printer-jobs";
const KIND: &str = "print";

/// How long a cloud that cannot be connected to is tried.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long anything else is waited for: a connection that was cut without a good-bye keeps its device for 95 s.
const LONG_PATIENCE: Duration = Duration::from_secs(180);

/// `docjobs printer list` and `docjobs printer run`
pub(crate) async fn run(app: &App, command: PrinterCommand) -> Result<(), CommandError> {
    match command {
        PrinterCommand::List { all } => list::list(app, all).await,
        PrinterCommand::Run(args) => run::run(app, args).await,
    }
}

/// Whether the cloud takes this printer for what the variables say, which is free: it comes online and says good-bye.
pub(crate) async fn check(app: &App) -> Result<String, CommandError> {
    let mut brief = app.clone();
    brief.options.deadline = PATIENCE.min(app.options.deadline);
    let clock = app.clock()?;
    let device = connect(&brief, &clock).await?;
    let line = format!(
        "ready: printer {} comes online, and a company has bound it",
        device.sn()
    );
    hang_up(&device, &*clock).await;
    Ok(line)
}

/// A device of the environment, online.
async fn connect(app: &App, clock: &Arc<dyn Clock>) -> Result<Device, CommandError> {
    allow_scale(app)?;
    let env = app.env(VENDOR);
    let refuse = |error| CommandError::rejected(&error);
    let mut builder = Device::builder_from(&env)
        .map_err(refuse)?
        .with_clock(Arc::clone(clock))
        .with_shared_rate(rate::shared(app)?);
    if env.optional("WECOM_PRINTER_STATE").is_none() {
        builder = builder.with_store(Arc::new(FileStore::new(state_folder()?)));
    }
    let device = builder.connect().map_err(refuse)?;
    let reached = reach(app, &device, &**clock).await;
    if reached.is_err() {
        hang_up(&device, &**clock).await;
    }
    reached.map(|()| device)
}

/// Waits until the device is online, or it is known why it will not be.
async fn reach(app: &App, device: &Device, clock: &dyn Clock) -> Result<(), CommandError> {
    /// A person who waits learns so early what stands in the way.
    const POLL: Duration = Duration::from_secs(1);
    let most = LONG_PATIENCE.min(app.options.deadline);
    let limit = clock.now() + most;
    let reachable = clock.now() + PATIENCE.min(most);
    let mut told = String::new();
    loop {
        let error = match device.is_bound(POLL.min(most)).await {
            Ok(true) => return Ok(()),
            Ok(false) => return Err(not_bound(device)),
            Err(error) => error,
        };
        // Without a source it only says that there was no time to connect yet.
        let has_reason = error.source().is_some();
        let is_unreachable = error.kind() == ErrorKind::Unreachable && has_reason;
        let now = clock.now();
        if !error.is_transient() || (is_unreachable && now >= reachable) {
            return Err(CommandError::rejected(&error));
        }
        if now >= limit {
            let mut stop = CommandError::rejected(&error);
            stop.line.push_str(
                "; the cloud takes one connection of a printer: end any other process that is this one",
            );
            return Err(stop);
        }
        let line = error.to_string();
        if has_reason && line != told {
            app.report.say(&format!("{line}; trying again"));
            told = line;
        }
    }
}

fn not_bound(device: &Device) -> CommandError {
    CommandError::new(
        ExitCode::Unauthenticated,
        format!(
            "{VENDOR} online: no company has bound printer {} (code 600004); bind it in WeCom, then run this again",
            device.sn()
        ),
    )
}

/// The deadline has passed, and the list has not come.
fn no_list() -> CommandError {
    CommandError::new(
        ExitCode::Unreachable,
        format!(
            "{VENDOR} list: the deadline passed before the cloud had sent a list of print jobs that can be read; run this \
             again later, or with a longer --deadline"
        ),
    )
}

/// Of jobs that have no name to call them by.
fn without_id(count: usize) -> String {
    let jobs = if count == 1 {
        "1 job"
    } else {
        &format!("{count} jobs")
    };
    format!(
        "{VENDOR}: the list has {jobs} without an id that can be read, for which nothing can be printed or reported"
    )
}

/// Says good-bye, so that the next connection need not wait until the cloud misses this one.
async fn hang_up(device: &Device, clock: &dyn Clock) {
    // A cloud that does not read hears no good-bye.
    const MOST: Duration = Duration::from_secs(3);
    bounded(clock, clock.now() + MOST, device.close()).await;
}

/// Where activation secrets are kept unless the environment says otherwise.
fn state_folder() -> Result<PathBuf, CommandError> {
    let folders = etcetera::choose_base_strategy().map_err(|problem| {
        CommandError::invalid_input(format!("{problem}; set HOME or WECOM_PRINTER_STATE"))
    })?;
    Ok(folders.data_dir().join("docjobs").join("printer"))
}

fn allow_scale(app: &App) -> Result<(), CommandError> {
    // The address of a WebSocket is judged like that of the HTTP request which opens it. An unusable one, and the
    // vendor's own, fail later or are no machine of ours.
    let url = app.env(VENDOR).optional("WECOM_PRINTER_URL");
    let url = url.unwrap_or_else(|| "wss://openhw.work.weixin.qq.com/".to_owned());
    match Origin::parse(&url.replacen("ws", "http", 1)) {
        Ok(origin) => app.allow_scale(&origin),
        Err(problem) => Err(CommandError::invalid_input(format!(
            "WECOM_PRINTER_URL: {problem}; set it to a wss address"
        ))),
    }
}

/// What a row of the ledger remembers beside the document's name: the job's id, before there is a claim to keep it.
fn options(job_id: &str) -> Value {
    json!({ "job_id": job_id })
}

fn job_id_of(row: &JobRecord) -> Option<&str> {
    row.options.get("job_id").and_then(Value::as_str)
}

/// The print job that a person names by the vendor's id, also one that is not *accepted* yet; the newest first.
pub(crate) async fn find(ledger: &Ledger, id: &str) -> Result<Option<JobRecord>, CommandError> {
    let mut filter = JobFilter::unfinished().with_vendor(VENDOR).with_kind(KIND);
    loop {
        let page = ledger
            .list(&filter)
            .await
            .map_err(|error| CommandError::ledger(&error))?;
        if let Some(row) = page.jobs.into_iter().find(|row| job_id_of(row) == Some(id)) {
            return Ok(Some(row));
        }
        match page.next {
            Some(next) => filter = filter.after(next),
            None => return Ok(None),
        }
    }
}

/// Why a print job is not carried on by the commands for other vendors' jobs.
pub(crate) fn carried_on_elsewhere(row: &str) -> String {
    format!("print job {row} is carried on by docjobs printer run --spool DIR")
}
