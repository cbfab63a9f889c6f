//! `docjobs work`: a worker on a ledger that machines share. Run as many as you like.

use std::convert::Infallible;
use std::path::PathBuf;
use std::time::Duration;

use jobs_ledger::Ledger;
use jobs_runner::{PollModels, Runner, WorkerConfig};

use crate::app::App;
use crate::args::WorkArgs;
use crate::clean::count;
use crate::exit::{CommandError, ExitCode};
use crate::job_log::{JobLog, LogFormat, LoggedObserver};
use crate::observer::WorkerObserver;
use crate::output::{self, absolute};
use crate::vendors;

/// When a job is tried again whose trouble may pass.
const RETRY_INTERVAL: Duration = Duration::from_secs(30);

/// How many connections to a database a worker may hold.
const CONNECTIONS: u32 = 8;

/// How often it is looked for what is kept long enough.
const PRUNE_INTERVAL: Duration = Duration::from_secs(60 * 60);

/// Submits, polls and fetches the jobs of every vendor that is set up, until told to stop.
pub(crate) async fn work(app: &App, args: WorkArgs) -> Result<(), CommandError> {
    let app = &app.with_connections(CONNECTIONS);
    let ledger = app.ledger().await?;
    let out = match &args.out {
        Some(folder) => output::results_folder(folder)?,
        None => absolute(&PathBuf::from("."))?,
    };
    let models = PollModels::default();
    let log = args.log.map(|LogFormat::Json| JobLog::start(&ledger));
    let observer = LoggedObserver::new(WorkerObserver(app.report.clone()), log.as_ref());
    let runner = Runner::on(ledger.clone()).with_observer(observer);
    let runner = vendors::all(&app.with_poll_models(&models), runner)?;
    let mut names: Vec<&str> = runner
        .handlers()
        .iter()
        .map(|handler| handler.vendor())
        .collect();
    names.dedup();
    if names.is_empty() {
        return Err(CommandError::invalid_input(
            "no vendor is set up, so there is nothing to work on; see the README for the variables",
        ));
    }
    app.report.say(&format!(
        "worker {} takes up jobs of {}",
        ledger.worker(),
        names.join(", ")
    ));
    let _attended = app.shutdown.attend();
    let config = WorkerConfig::default()
        .with_output_dir(out)
        .with_capacity(args.jobs)
        .until_idle(args.once)
        .with_retry_interval(RETRY_INTERVAL / app.scale()?)
        .with_poll_models(models);
    let shutdown = app.shutdown.token();
    // One that may end at once keeps its word before.
    if let (true, Some(keep)) = (args.once, args.keep) {
        prune(app, &ledger, keep).await;
    }
    if let Err(problem) = app.webhook.refresh(&ledger).await {
        app.report.say(&format!("docjobs: {problem}"));
    }
    let worked = tokio::select! {
        worked = runner.worker(config).run(shutdown.cancelled()) => worked,
        never = app.webhook.follow(&ledger) => match never {},
        never = keep_pruning(app, &ledger, args.keep.filter(|_| !args.once)) => match never {},
    };
    drop(runner);
    if let Some(log) = log {
        log.finish().await;
    }
    ledger.close().await;
    let report = worked?;
    match (app.shutdown.asked(), report.worst) {
        (Some(signal), _) => Err(CommandError::asked_to_end(
            signal.exit(),
            format!(
                "{} unfinished given back, which any worker or docjobs resume goes on with",
                count(report.given_back, "job")
            ),
        )),
        (None, None) => Ok(()),
        (None, Some(worst)) => Err(CommandError::new(
            ExitCode::from(worst).after_submit(),
            "not everything is settled; docjobs jobs shows what is left",
        )),
    }
}

/// Drops what need not be kept of jobs that are over, now and from time to time.
async fn keep_pruning(app: &App, ledger: &Ledger, keep: Option<Duration>) -> Infallible {
    let Some(keep) = keep else {
        return std::future::pending().await;
    };
    let clock = ledger.clock();
    loop {
        prune(app, ledger, keep).await;
        clock.sleep_until(clock.now() + PRUNE_INTERVAL).await;
    }
}

async fn prune(app: &App, ledger: &Ledger, keep: Duration) {
    match ledger.prune(keep).await {
        Ok(0) => {}
        Ok(pruned) => app.report.say(&format!(
            "histories, options and texts of {} dropped; what they bought stays bought",
            count(pruned, "job")
        )),
        Err(problem) => app.report.say(&format!("docjobs: {problem}")),
    }
}
