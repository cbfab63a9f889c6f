//! The way of every job: submit, wait, bring home.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jobs_core::{Error, Job, JobId, JobKind, Lost, Moment, Submission, SubmitError, Update};
use serde_json::json;

use crate::app::App;
use crate::exit::{Exit, Stop};
use crate::input::Input;
use crate::place::{self, Delivered, Place};

/// A kind of job as the command line handles it.
#[async_trait]
pub(crate) trait Line: Send + Sync {
    type Kind: JobKind + 'static;

    fn kind(&self) -> Arc<Self::Kind>;

    /// Brings what a finished job gives to its place.
    async fn deliver(
        &self,
        output: <Self::Kind as JobKind>::Output,
        place: &Place,
    ) -> Result<Delivered, Error>;
}

/// Input for a job of a kind.
#[async_trait]
pub(crate) trait Order: Send + Sync {
    type Line: Line;

    fn line(&self) -> &Self::Line;

    fn input(&self) -> &Input;

    /// Hands it to the vendor. **Costs money.**
    async fn submit(&self) -> Submission<<Self::Line as Line>::Kind>;

    /// The jobs at the vendor that may be the one whose submit was lost. Free. Kinds that cannot search find none.
    async fn search(&self, lost: &Lost) -> Result<Vec<JobId>, Error> {
        let _ = lost;
        Ok(Vec::new())
    }
}

/// Submits, and unless told otherwise waits and delivers.
pub(crate) async fn run<O: Order>(app: &App, order: &O, place: &Place) -> Result<(), Stop> {
    let line = order.line();
    let kind = line.kind();
    let deadline = kind.clock().now() + app.options.deadline;
    let job = match order.submit().await.into_result() {
        Ok(job) => job,
        Err(SubmitError::Unknown(lost)) => find(app, order, &lost, deadline).await?,
        Err(error) => return Err(Stop::not_submitted(&error)),
    };
    let ticket = job
        .ticket()
        .map_err(|problem| Stop::unexpected(format!("job {}: {problem}", job.id())))?;
    let (vendor, name) = (kind.vendor(), kind.name());
    let fields = json!({ "vendor": vendor, "kind": name, "job": job.id().as_str(), "ticket": ticket.to_string() });
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
    finish(app, line, &job, place, deadline).await
}

/// Goes on with a job that the vendor knows as `id`.
pub(crate) async fn attach<L: Line>(
    app: &App,
    line: &L,
    id: JobId,
    place: &Place,
) -> Result<(), Stop> {
    let kind = line.kind();
    let deadline = kind.clock().now() + app.options.deadline;
    finish(app, line, &Job::attach(kind, id), place, deadline).await
}

/// Searches for the job of a submit whose answer was lost. Exactly one fitting candidate is taken to be it; otherwise a
/// person decides.
async fn find<O: Order>(
    app: &App,
    order: &O,
    lost: &Lost,
    deadline: Moment,
) -> Result<Job<<O::Line as Line>::Kind>, Stop> {
    /// The vendor may still be busy with the request when its answer is lost.
    const PAUSES: [u64; 3] = [2, 5, 10];
    let kind = order.line().kind();
    for pause in PAUSES {
        let at = kind.clock().now() + Duration::from_secs(pause);
        if at > deadline {
            break;
        }
        kind.clock().sleep_until(at).await;
        match order.search(lost).await {
            Ok(found) => match found.as_slice() {
                [id] => {
                    app.report.say(&format!(
                        "the answer was lost; {} job {id} is the one",
                        kind.vendor()
                    ));
                    return Ok(Job::accepted(kind, id.clone()));
                }
                [] => {}
                several => {
                    let mut stop = Stop::not_submitted(&SubmitError::Unknown(lost.clone()));
                    let ids: Vec<&str> = several.iter().map(JobId::as_str).collect();
                    stop.line
                        .push_str(&format!("; candidates are {}", ids.join(", ")));
                    return Err(stop);
                }
            },
            Err(error) => app.report.missed(&error),
        }
    }
    Err(Stop::not_submitted(&SubmitError::Unknown(lost.clone())))
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
    let unprintable =
        |problem| Stop::unexpected(format!("cannot print the result: {problem}; use -o"));
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
        Delivered::Text(text) => {
            app.report.event("done", done(None, Some(&text)));
            if app.report.is_json() {
                Ok(())
            } else {
                print_line(&text)
            }
        }
        Delivered::Bytes(mut file) if app.report.is_json() => {
            let mut text = String::new();
            std::io::Read::read_to_string(&mut file, &mut text).map_err(unprintable)?;
            app.report.event("done", done(None, Some(&text)));
            Ok(())
        }
        Delivered::Bytes(file) => place::print(file).map_err(unprintable),
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
