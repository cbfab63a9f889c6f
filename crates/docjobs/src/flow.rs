//! The way of every job: submit, wait, bring home.

use std::time::Duration;

use async_trait::async_trait;
use jobs_core::{Error, Job, JobKind, Moment, Submission, Update};
use serde_json::json;

use crate::app::App;
use crate::exit::{Exit, Stop};
use crate::place::{self, Delivered, Place};

/// A kind of job as the command line handles it.
#[async_trait]
pub(crate) trait Line: Send + Sync {
    type Kind: JobKind + 'static;

    /// Brings what a finished job gives to its place.
    async fn deliver(
        &self,
        output: <Self::Kind as JobKind>::Output,
        place: &Place,
    ) -> Result<Delivered, Error>;
}

/// Input for a job of a kind.
#[async_trait]
pub(crate) trait Order: Line {
    /// Hands it to the vendor. **Costs money.**
    async fn submit(&self) -> Submission<Self::Kind>;
}

/// Submits, and unless told otherwise waits and delivers.
pub(crate) async fn run<O: Order>(
    app: &App,
    order: &O,
    place: &Place,
    deadline: Moment,
) -> Result<(), Stop> {
    let job = order
        .submit()
        .await
        .into_result()
        .map_err(|error| Stop::not_submitted(&error))?;
    let ticket = job
        .ticket()
        .map_err(|problem| Stop::unexpected(format!("job {}: {problem}", job.id())))?;
    let (vendor, kind) = (job.kind().vendor(), job.kind().name());
    let fields = json!({ "vendor": vendor, "kind": kind, "job": job.id().as_str(), "ticket": ticket.to_string() });
    app.report.event("accepted", fields);
    if app.options.no_wait {
        if !app.report.is_json() {
            print_line(&ticket.to_string())?;
        }
        return Ok(());
    }
    app.report.say(&format!(
        "{vendor} job {} accepted\nticket: {ticket}",
        job.id()
    ));
    finish(app, order, &job, place, deadline).await
}

/// Waits for a job and delivers it.
pub(crate) async fn finish<L: Line>(
    app: &App,
    line: &L,
    job: &Job<L::Kind>,
    place: &Place,
    deadline: Moment,
) -> Result<(), Stop> {
    let output = follow(app, job, deadline).await?;
    let delivered = line.deliver(output, place).await;
    let delivered = delivered.map_err(|error| Stop::after_acceptance(&error, job.ticket().ok()))?;
    app.report.quiet();
    let done = |path: Option<&str>, result: Option<&str>| {
        json!({
            "vendor": job.kind().vendor(), "kind": job.kind().name(), "job": job.id().as_str(),
            "output": path, "result": result,
        })
    };
    match delivered {
        Delivered::Saved(path) => {
            let path = path.display().to_string();
            app.report.event("done", done(Some(&path), None));
            app.report.say(&format!(
                "{} job {} done: {path}",
                job.kind().vendor(),
                job.id()
            ));
            Ok(())
        }
        Delivered::Bytes(mut file) if app.report.is_json() => {
            let mut text = String::new();
            let read = std::io::Read::read_to_string(&mut file, &mut text);
            read.map_err(|problem| {
                Stop::unexpected(format!("cannot print the result: {problem}; use -o"))
            })?;
            app.report.event("done", done(None, Some(&text)));
            Ok(())
        }
        Delivered::Bytes(file) => place::print(file).map_err(|problem| {
            Stop::unexpected(format!("cannot print the result: {problem}; use -o"))
        }),
    }
}

/// Waits look by look, until the output, the deadline or Ctrl-C.
async fn follow<K: JobKind + 'static>(
    app: &App,
    job: &Job<K>,
    deadline: Moment,
) -> Result<K::Output, Stop> {
    let left: Duration = deadline.since(job.kind().clock().now());
    let mut updates = job.updates(left);
    let mut interrupt = std::pin::pin!(tokio::signal::ctrl_c());
    loop {
        let update = tokio::select! {
            update = updates.next() => update,
            _ = &mut interrupt => {
                let line = format!("interrupted; {} job {} goes on at the vendor", job.kind().vendor(), job.id());
                return Err(Stop { ticket: job.ticket().ok(), ..Stop::new(Exit::Interrupted, line) });
            }
        };
        match update {
            Some(Update::Seen(snapshot)) => {
                app.report.seen(&**job.kind(), job.id().as_str(), &snapshot)
            }
            Some(Update::Missed(error)) => app.report.missed(&error),
            Some(Update::Done(output)) => return Ok(output),
            Some(Update::Over(end)) => return Err(Stop::unfinished(&end)),
            Some(_) => {}
            None => return Err(Stop::unexpected("the wait ended without a word")),
        }
    }
}

/// One line on stdout.
pub(crate) fn print_line(line: &str) -> Result<(), Stop> {
    use std::io::Write;
    writeln!(std::io::stdout(), "{line}")
        .map_err(|problem| Stop::unexpected(format!("cannot print: {problem}")))
}
