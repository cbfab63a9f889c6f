//! What a completed job has given so far, in which format and to which places, as its history tells.

use std::path::{Path, PathBuf};

use jobs_ledger::{JobEvent, JobRecord, Ledger, LedgerError, Stage, event_kind};

use crate::job_input::digest_of_file;

/// A result that was put at a place.
pub(crate) struct Delivery {
    pub(crate) path: Option<PathBuf>,
    pub(crate) sha256: [u8; 32],
}

/// A format of results.
#[derive(Clone, Copy)]
pub(crate) struct WantedFormat<'a> {
    pub(crate) name: Option<&'a str>,
    /// Whether the record of the job asks for it.
    pub(crate) is_recorded: bool,
}

/// Every delivery in a format, the one on record first, then the latest first.
pub(crate) async fn deliveries(
    ledger: &Ledger,
    job: &JobRecord,
    format: WantedFormat<'_>,
) -> Result<Vec<Delivery>, LedgerError> {
    let events = ledger.events(job.id).await?;
    Ok(of_format(job, &events, format))
}

fn of_format(job: &JobRecord, events: &[JobEvent], format: WantedFormat<'_>) -> Vec<Delivery> {
    let on_record = job.sha256.filter(|_| format.is_recorded);
    let on_record = on_record.map(|sha256| Delivery {
        path: job.output.clone(),
        sha256,
    });
    let before = events.iter().rev().filter_map(|event| {
        let is_wanted = match event.data.format.as_deref() {
            None => format.is_recorded,
            other => !format.is_recorded && other == format.name,
        };
        let sha256 = event.data.sha256?;
        let path = event.data.path.clone();
        (event.kind == event_kind::COMPLETED && is_wanted).then_some(Delivery { path, sha256 })
    });
    on_record.into_iter().chain(before).collect()
}

/// Whether a job was completed before and is taken up once more.
pub(crate) async fn is_reopened(ledger: &Ledger, job: &JobRecord) -> Result<bool, LedgerError> {
    if job.remote_id.is_none() || job.stage.is_settled() {
        return Ok(false);
    }
    let events = ledger.events(job.id).await?;
    Ok(events
        .iter()
        .any(|event| event.kind == event_kind::REOPENED))
}

/// The job; one that was taken up once more by a process that is gone is completed as before.
pub(crate) async fn as_completed(
    ledger: &Ledger,
    job: JobRecord,
) -> Result<JobRecord, LedgerError> {
    if !is_reopened(ledger, &job).await? || !ledger.complete_again(job.id).await? {
        return Ok(job);
    }
    Ok(ledger.get(job.id).await?.unwrap_or(job))
}

/// Whether what lies at a place is what a job has given in this format, however far it is now.
pub(crate) async fn has_delivered(
    ledger: &Ledger,
    job: &JobRecord,
    format: WantedFormat<'_>,
    path: &Path,
) -> Result<bool, LedgerError> {
    if !path.is_file() {
        return Ok(false);
    }
    let events = ledger.events(job.id).await?;
    let given = of_format(job, &events, format);
    if given.is_empty() {
        // Of the content nothing is known. What was put there last is what is there.
        let mut last = events.iter().rev();
        let last = last.find(|event| event.kind == event_kind::COMPLETED);
        let is_own = last.is_none_or(|event| event.data.format.is_none());
        return Ok(job.stage == Stage::Completed
            && format.is_recorded
            && is_own
            && job.output.as_deref() == Some(path));
    }
    let found = digest_of_file(path);
    Ok(found.is_ok_and(|found| given.iter().any(|it| it.sha256 == found)))
}
