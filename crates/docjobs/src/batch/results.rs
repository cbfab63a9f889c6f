//! Where the results of a batch go: folders made before anything is sent, and copies for documents that share a job.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::path::Path;

use jobs_core::disk::OutputPath;
use jobs_ledger::{JobRecord, LedgerId, Stage};
use jobs_runner::{OutputChoice, RunOutcome, RunnerError};
use tokio::task::JoinSet;

use super::Running;
use super::documents::{CHUNK, holds};
use super::outlook::Disposition;
use super::plan::{Plan, Planned};
use super::progress::Ended;
use crate::exit::{CommandError, output_line};

/// How many results are copied, or downloaded again, at once.
const AT_ONCE: usize = 4;

/// Makes the folder for results and those below it that are needed, tries to write and name a file in it, and whether the
/// file system takes the names of the results.
pub(super) fn prepare<'a>(
    out: &Path,
    places: impl Iterator<Item = &'a Path>,
) -> Result<(), CommandError> {
    let unusable = |path: &Path, problem| CommandError::invalid_input(output_line(path, &problem));
    std::fs::create_dir_all(out).map_err(|problem| unusable(out, problem))?;
    let name = format!(".docjobs-{}", std::process::id());
    OutputPath::new(out.join(name)).map_err(|problem| unusable(out, problem))?;
    let mut last = out.to_owned();
    for place in places {
        if let Some(folder) = place.parent().filter(|folder| *folder != last) {
            std::fs::create_dir_all(folder).map_err(|problem| unusable(folder, problem))?;
            last = folder.to_owned();
        }
        // Only where the folder is there does the name count.
        match std::fs::symlink_metadata(place) {
            Err(problem) if problem.kind() == ErrorKind::InvalidFilename => {
                return Err(CommandError::invalid_input(format!(
                    "a result cannot be called {}: {problem}; rename the document",
                    place.display()
                )));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Puts results at their places that lie elsewhere, or prints those that are texts.
pub(super) async fn deliver(running: &Running<'_>, plan: &Plan) {
    let waiting: Vec<(usize, LedgerId)> = plan
        .documents
        .iter()
        .enumerate()
        .filter(|(_, planned)| may_lie_elsewhere(planned))
        .filter_map(|(at, planned)| Some((at, planned.job?)))
        .collect();
    for chunk in waiting.chunks(CHUNK) {
        let ids: Vec<LedgerId> = chunk.iter().map(|(_, job)| *job).collect();
        let found = match running.runner.ledger().get_many(&ids).await {
            Ok(found) => found,
            Err(problem) => {
                running.app.report.say(&format!("docjobs: {problem}"));
                return;
            }
        };
        let found: HashMap<LedgerId, JobRecord> =
            found.into_iter().map(|job| (job.id, job)).collect();
        let mut tasks = JoinSet::new();
        for (at, id) in chunk {
            let (Some(planned), Some(job)) = (plan.documents.get(*at), found.get(id)) else {
                continue;
            };
            if job.stage != Stage::Completed || is_delivered(planned, job) {
                continue;
            }
            if running.app.shutdown.asked().is_some() {
                break;
            }
            while tasks.len() >= AT_ONCE {
                settle(running, plan, tasks.join_next().await);
            }
            let output = match &planned.place {
                Some(place) => OutputChoice::File(place.clone()),
                None => OutputChoice::Scratch,
            };
            let options = match running.app.clock() {
                Ok(clock) => running.app.run_options(clock.now()),
                Err(error) => Err(error),
            };
            let Ok(options) = options else { return };
            let mut options = options.with_output(output);
            if let Some(format) = running.batch.format {
                options = options.with_format(format);
            }
            let (runner, at, id) = (running.runner.clone(), *at, *id);
            tasks.spawn(async move { (at, runner.run_job(id, &options).await) });
        }
        while let Some(done) = tasks.join_next().await {
            settle(running, plan, Some(done));
        }
    }
}

fn may_lie_elsewhere(planned: &Planned) -> bool {
    match planned.disposition {
        Disposition::Delivered => true,
        Disposition::SameContent | Disposition::UnderWay | Disposition::InDoubt => {
            planned.place.is_some()
        }
        _ => false,
    }
}

fn is_delivered(planned: &Planned, job: &JobRecord) -> bool {
    let Some(place) = &planned.place else {
        return false;
    };
    match planned.disposition {
        // It was looked for when the batch was planned.
        Disposition::Delivered => false,
        Disposition::UnderWay | Disposition::InDoubt if job.output.as_ref() == Some(place) => {
            place.is_file()
        }
        _ => holds(place, job.sha256.as_slice()),
    }
}

type Delivered = Result<(usize, Result<RunOutcome, RunnerError>), tokio::task::JoinError>;

fn settle(running: &Running<'_>, plan: &Plan, done: Option<Delivered>) {
    let Some(done) = done else { return };
    let (at, delivered) = match done {
        Ok(done) => done,
        Err(defect) => {
            running.app.report.say(&format!("docjobs: {defect}"));
            return;
        }
    };
    match delivered {
        Ok(RunOutcome::Completed(completed)) => {
            running.progress.delivered(
                &completed,
                plan.documents.get(at).map(|it| it.document.shown.as_str()),
            );
        }
        Ok(_) => {}
        Err(error) => {
            let CommandError { exit, line, .. } = CommandError::from(&error);
            let ended = Ended { exit, line };
            if let Some(planned) = plan.documents.get(at) {
                if let Some(job) = planned.job {
                    running
                        .progress
                        .failed(&planned.document.shown, job, &ended);
                }
                planned.set_undelivered(ended);
            }
        }
    }
}
