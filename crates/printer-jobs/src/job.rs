//! The kind of job: how the cloud's statuses read.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use jobs_core::clock::Clock;
use jobs_core::vendor::{Account, Failure, JobKind, KindPolicy, PollResults};
use jobs_core::{JobId, Snapshot, Status};

use crate::device::{BATCH, Device};
use crate::errors::VENDOR;
use crate::wire::{JobList, ListQuery, ListedJob, PrintStatus};

/// A print job, watched from its submission until it is reported.
///
/// One request looks at up to 200 jobs. Two things the cloud does not say, and how they are read here:
///
/// - *A job that the answer does not mention.* Unknown ids are silently left out. A single absence is a failed poll; the
///   job is [`Status::Gone`] when it was absent from several complete answers in a row (3 unless set by
///   [`with_gone_after`](crate::DeviceBuilder::with_gone_after)), or from one after a push that said it was deleted.
/// - *A listed job without a status*, as a real printer got them in 2019. It is there, and no more is known: an
///   unrecognised word, so a wait runs on and ends by its tolerance of such words, never as a success.
#[derive(Debug, Clone)]
pub struct PrintJob {
    device: Device,
}

impl Device {
    /// The kind of its jobs, for tickets, waits and fleets.
    pub fn kind(&self) -> Arc<PrintJob> {
        let device = self.clone();
        Arc::new(PrintJob { device })
    }

    /// The job known as `id`. Sends nothing.
    pub fn job(&self, id: JobId) -> jobs_core::Job<PrintJob> {
        jobs_core::Job::attach(self.kind(), id)
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

    fn policy(&self) -> &KindPolicy {
        self.device.policy()
    }

    fn clock(&self) -> &Arc<dyn Clock> {
        self.device.clock()
    }

    async fn poll(&self, ids: &[JobId]) -> PollResults<Printed> {
        let mut polls = PollResults::of(VENDOR, ids);
        for (number, part) in ids.chunks(BATCH.get()).enumerate() {
            let first = number * BATCH.get();
            let texts: Vec<&str> = part.iter().map(JobId::as_str).collect();
            let only = match *texts {
                [id] => Some(id),
                _ => None,
            };
            // At most one, because the part fits one request; none for no ids.
            for query in ListQuery::for_jobs(&texts, BATCH) {
                match self.device.poll(&query, only).await {
                    Ok(list) => self.read(part, first, list, &mut polls),
                    Err(error) => {
                        for place in 0..part.len() {
                            polls.set(first + place, Err(error.clone()));
                        }
                    }
                }
            }
        }
        polls
    }
}

impl PrintJob {
    fn read(&self, part: &[JobId], first: usize, list: JobList, polls: &mut PollResults<Printed>) {
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
                    polls.set(first + place, Ok(snapshot(id, job)));
                }
                None if complete && absences.missed(id, self.device.was_deleted(id.as_str())) => {
                    polls.set(first + place, Ok(Snapshot::new(Status::Gone, "not listed")));
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
        PrintStatus::Unknown(Some(number)) => Snapshot::unknown(number.to_string()),
        PrintStatus::Unknown(None) => Snapshot::unknown("listed without a status"),
    }
}
