//! The kind of job: how the cloud's statuses read, and what a look at many jobs costs.

use std::collections::HashMap;
use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jobs_core::{
    Account, Call, Clock, Cost, Fact, Facts, Failure, JobId, JobKind, Looks, Pacing, Repeat,
    Snapshot, Source, Status,
};

use crate::device::Device;
use crate::trouble::VENDOR;
use crate::wire::{JobList, ListQuery, ListedJob, MAX_PAGE, PrintStatus};

/// A print job, watched from its submission until it is reported.
///
/// One request looks at up to 200 jobs. Two things the cloud does not say, and how they are read here:
///
/// - *A job that the answer does not mention.* Unknown ids are silently left out. A single absence is a failed look; the
///   job is [`Status::Gone`] when it was absent from several complete answers in a row (3 unless set by
///   [`with_gone_after`](crate::DeviceBuilder::with_gone_after)), or from one after a push that said it was deleted.
/// - *A listed job without a status*, as a real printer got them in 2019. It is there, and no more is known: an
///   unrecognised word, so a wait runs on and ends by its tolerance of such words, never as a success.
#[derive(Debug, Clone)]
pub struct PrintJob {
    device: Device,
}

impl PrintJob {
    pub(crate) fn new(device: Device) -> Self {
        Self { device }
    }
}

/// A job that was reported as printed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Printed {
    /// The job.
    pub job_id: JobId,
    /// What the report said; mostly nothing. Foreign text.
    pub message: Box<str>,
}

#[async_trait]
impl JobKind for PrintJob {
    type Output = Printed;

    fn vendor(&self) -> &'static str {
        VENDOR
    }

    fn name(&self) -> &'static str {
        "print"
    }

    fn account(&self) -> Account {
        self.device.account()
    }

    fn facts(&self) -> &Facts {
        self.device.facts()
    }

    fn clock(&self) -> &Arc<dyn Clock> {
        self.device.clock()
    }

    async fn observe(&self, ids: &[JobId]) -> Looks<Printed> {
        let mut looks = Looks::of(VENDOR, ids);
        for (number, part) in ids.chunks(BATCH.get()).enumerate() {
            let first = number * BATCH.get();
            let texts: Vec<&str> = part.iter().map(JobId::as_str).collect();
            let only = match *texts {
                [id] => Some(id),
                _ => None,
            };
            // At most one, because the part fits one request; none for no ids.
            for query in ListQuery::for_jobs(&texts, BATCH) {
                match self.device.look(&query, only).await {
                    Ok(list) => self.read(part, first, list, &mut looks),
                    Err(error) => {
                        for place in 0..part.len() {
                            looks.set(first + place, Err(error.clone()));
                        }
                    }
                }
            }
        }
        looks
    }
}

impl PrintJob {
    fn read(&self, part: &[JobId], first: usize, list: JobList, looks: &mut Looks<Printed>) {
        let complete = list.unreadable == 0;
        let listed: HashMap<String, ListedJob> = list
            .jobs
            .into_iter()
            .map(|job| (job.id.clone(), job))
            .collect();
        let absences = self.device.absences();
        for (place, id) in part.iter().enumerate() {
            match listed.get(id.as_str()) {
                Some(job) => {
                    absences.seen(id);
                    looks.set(first + place, Ok(snapshot(id, job)));
                }
                None if complete && absences.missed(id, self.device.was_deleted(id.as_str())) => {
                    looks.set(first + place, Ok(Snapshot::new(Status::Gone, "not listed")));
                }
                None => {}
            }
        }
    }
}

/// What a listed job means.
fn snapshot(id: &JobId, job: &ListedJob) -> Snapshot<Printed> {
    match job.status {
        PrintStatus::Unprinted => Snapshot::new(Status::Queued, "unprinted"),
        PrintStatus::Printed => {
            let printed = Printed {
                job_id: id.clone(),
                message: job.message.as_str().into(),
            };
            Snapshot::new(Status::Succeeded(printed), "printed")
        }
        PrintStatus::Failed => {
            let failure = Failure::new(job.message.as_str()).with_code(job.code.to_string());
            Snapshot::new(Status::Failed(failure), "failed")
        }
        PrintStatus::Unknown(Some(number)) => Snapshot::unrecognised(number.to_string()),
        PrintStatus::Unknown(None) => Snapshot::unrecognised("listed without a status"),
    }
}

/// How often each job was absent from a complete answer in a row.
#[derive(Debug)]
pub(crate) struct Absences {
    gone_after: NonZeroU32,
    counts: Mutex<HashMap<JobId, u32>>,
}

impl Absences {
    pub(crate) fn new(gone_after: NonZeroU32) -> Self {
        Self {
            gone_after,
            counts: Mutex::default(),
        }
    }

    fn seen(&self, id: &JobId) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.remove(id);
    }

    /// Whether the job is gone for good.
    fn missed(&self, id: &JobId, deleted: bool) -> bool {
        // Waits that ended early leave their counts behind; starting over costs a few looks.
        const MOST: usize = 100_000;
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.len() >= MOST {
            counts.clear();
        }
        let count = counts.entry(id.clone()).or_default();
        *count = count.saturating_add(1);
        let gone = deleted || *count >= self.gone_after.get();
        if gone {
            counts.remove(id);
        }
        gone
    }
}

pub(crate) const GONE_AFTER: NonZeroU32 = match NonZeroU32::new(3) {
    Some(looks) => looks,
    None => NonZeroU32::MIN,
};

const BATCH: NonZeroUsize = match NonZeroUsize::new(MAX_PAGE as usize) {
    Some(ids) => ids,
    None => NonZeroUsize::MIN,
};

/// The facts of a print job. What is inferred can be set through
/// [`DeviceBuilder::with_facts`](crate::DeviceBuilder::with_facts).
pub(crate) fn facts() -> Facts {
    let second = Duration::from_secs(1);
    let mut facts = Facts::new(
        Fact::inferred(second, "the vendor states no rate; once a second is modest"),
        Fact::observed(
            Duration::from_secs(2),
            "a job's push came 1 to 2 s after its submission",
        ),
        Fact::inferred(
            Pacing::every(Duration::from_secs(10)),
            "printing takes a person's time, and pushes announce what is urgent",
        ),
        CALLS,
    );
    facts.look_timeout = Fact::inferred(
        Duration::from_secs(30),
        "an answer within 15 s, and as long to be online again",
    );
    facts.batch = Fact::inferred(
        BATCH,
        "the cloud flavour allows 200 ids; this one states no limit",
    );
    facts.job_life = Some(Fact::documented(
        Duration::from_secs(7 * 86_400),
        "document path 94010: jobs are kept for seven days",
    ));
    facts
}

const CALLS: &[Call] = &[
    free(
        "look",
        Source::Documented("document path 94010: reads only"),
    ),
    free(
        "list",
        Source::Documented("document path 94010: reads only"),
    ),
    free(
        "download",
        Source::Documented("document path 94011: reads only"),
    ),
    free(
        "report",
        Source::Inferred("the same report again says the same; nobody documents it"),
    ),
];

const fn free(operation: &'static str, source: Source) -> Call {
    Call {
        operation,
        cost: Cost::Free,
        repeat: Repeat::Harmless,
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> JobId {
        JobId::new(text).unwrap()
    }

    #[test]
    fn three_absences_in_a_row_make_a_job_gone() {
        let absences = Absences::new(GONE_AFTER);
        let job = id("a");
        assert!(!absences.missed(&job, false));
        assert!(!absences.missed(&job, false));
        absences.seen(&job);
        assert!(!absences.missed(&job, false));
        assert!(!absences.missed(&job, false));
        assert!(absences.missed(&job, false));
    }

    #[test]
    fn a_deleted_job_is_gone_at_its_first_absence() {
        let absences = Absences::new(GONE_AFTER);
        assert!(absences.missed(&id("a"), true));
    }
}
