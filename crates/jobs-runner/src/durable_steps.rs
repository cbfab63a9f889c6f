//! One step of a job at a time: the vendor's side, and the ledger's word before and after it.
//!
//! A paid call is preceded by *submitting*, flushed to the disk, and followed by what came of it. Whatever a process was at
//! when it was killed, the next one finds the step in the ledger and knows whether repeating it is allowed.

use std::fmt;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::time::{Duration, SystemTime};

use jobs_core::clock::{Moment, bounded};
use jobs_core::http::{DownloadError, InvalidFile};
use jobs_core::vendor::{CallMonitor, Delivery, JobKind, ResumeError};
use jobs_core::{Error, ErrorKind, Job, JobId, LostSubmit, SubmitError};
use jobs_ledger::{
    Claim, ClaimOutcome, Claimed, Ledger, LedgerError, Note, OverBudget, ParkReason, Stage,
    SubmitPermission, WithResult, at,
};
use serde_json::Value;

use crate::error::{RunnerError, RunnerErrorKind};
use crate::handler::{Content, FetchedResult, Handler};
use crate::job_input::{InputError, digest_of_file};
use crate::observer::{Observer, RunnerEvent};
use crate::output::{DeliveredOutput, OutputTarget};
use crate::policy::{self, Cut, CutSubmit};

/// The steps of the jobs of one handler, on one ledger.
pub struct DurableSteps<'a, H: Handler> {
    ledger: &'a Ledger,
    observer: &'a dyn Observer,
    handler: &'a H,
    format: Option<&'a str>,
    accepts_unverified: bool,
    is_recorded_format: bool,
}

/// How a paid call ended, as it is recorded.
#[derive(Debug)]
pub enum SubmitOutcome<K: JobKind> {
    /// The vendor has the job.
    Accepted(Claim<at::Accepted>, Job<K>),
    /// The vendor refused it, and nothing was bought; whether it is tried again has still to be recorded.
    Rejected(Claim<at::Submitting>, Error),
    /// It was cut short before it was sent; as above.
    NotSent(Claim<at::Submitting>, Error),
    /// A budget holds it back; the job was given back and is due again when there may be room.
    OverBudget(OverBudget),
    /// It may have been taken and charged.
    Unknown(Claim<at::InDoubt>, LostSubmit),
}

/// How the search for a lost submit ended.
#[derive(Debug)]
pub enum SearchOutcome {
    /// Exactly one job fits, and is taken to be it.
    Adopted(Claim<at::Accepted>, JobId),
    /// None or several fit: a person decides.
    InDoubt(Claim<at::InDoubt>, Vec<JobId>),
}

/// How the fetch of a result ended.
#[derive(Debug)]
pub enum FetchOutcome {
    /// It is delivered, and the job is completed.
    Completed(DeliveredOutput),
    /// The vendor still has it; the job can be polled again.
    Failed(Claim<at::Accepted>, Error),
    /// It arrived whole and does not pass its check, as often as it is fetched: its bytes lie there.
    Unverified(Error, PathBuf),
}

impl<'a, H: Handler> DurableSteps<'a, H> {
    /// The steps of this handler's jobs. Results come in the format that each job's record asks for.
    pub fn new(ledger: &'a Ledger, observer: &'a dyn Observer, handler: &'a H) -> Self {
        Self {
            ledger,
            observer,
            handler,
            format: None,
            accepts_unverified: false,
            is_recorded_format: true,
        }
    }

    /// Fetches in this format. Only where it is the one on record, its digest tells later where the result lies.
    #[must_use]
    pub fn with_format(mut self, format: Option<&'a str>, is_recorded: bool) -> Self {
        self.format = format;
        self.is_recorded_format = is_recorded;
        self
    }

    /// Whether a result is delivered that arrived whole and does not pass its check.
    #[must_use]
    pub fn accepting_unverified(mut self, accepts: bool) -> Self {
        self.accepts_unverified = accepts;
        self
    }

    /// Makes the paid call, with the ledger flushed to the disk before and after. The call is given up when `cut` returns;
    /// `what` names the input for the search that may have to follow.
    ///
    /// # Errors
    /// The ledger's. The call was not made unless it is [`NotRecorded`](RunnerErrorKind::NotRecorded).
    pub async fn submit(
        &self,
        claim: Claim<at::Intended>,
        input: &H::Input,
        what: &str,
        cut: impl AsyncFnOnce(&CallMonitor) -> Cut,
    ) -> Result<SubmitOutcome<H::Kind>, RunnerError> {
        let ledger = self.ledger;
        let estimate = self.handler.estimate(input);
        let sending = match ledger.begin_submit(claim, estimate).await? {
            SubmitPermission::Granted(sending) => sending,
            SubmitPermission::OverBudget(over) => return Ok(SubmitOutcome::OverBudget(over)),
        };
        let keeper = ledger.heartbeat(&sending);
        let (monitor, sent_at) = (CallMonitor::new(), self.wall());
        let mut cut = pin!(cut(&monitor));
        let submission = {
            let mut call = pin!(monitor.watch(self.handler.submit(&sending, input)));
            let mut changes = monitor.changes();
            loop {
                tokio::select! {
                    biased;
                    submission = &mut call => break Ok(submission),
                    cut = &mut cut => break Err(cut),
                    activity = changes.next() => self.observer.on_event(&RunnerEvent::Activity(&activity)),
                }
            }
        };
        drop(keeper);
        let is_cut = submission.is_err();
        let submission = match submission {
            Ok(submission) => submission,
            Err(cut) => {
                let (sent, activity) = (monitor.give_up(), monitor.activity());
                let vendor = self.handler.kind().vendor();
                let address = monitor.address();
                match policy::cut_submit(vendor, cut, sent, &activity, address.as_deref()) {
                    CutSubmit::NotSent(error) => return Ok(SubmitOutcome::NotSent(sending, error)),
                    CutSubmit::Unknown(error) => Err(SubmitError::OutcomeUnknown(LostSubmit {
                        summary: what.into(),
                        sent_at,
                        error,
                    })),
                }
            }
        };
        let gives_up = async {
            if !is_cut {
                cut.await;
            }
            let clock = ledger.clock();
            clock.sleep_until(clock.now() + LAST_WRITE).await;
        };
        match submission {
            Ok(job) => {
                let accepted = async || {
                    ledger
                        .record_accepted(&sending, job.id(), self.wall(), Note::none())
                        .await
                };
                let held = self.write_until(gives_up, accepted).await;
                let held = held.map_err(|error| unwritten(error, &job))?;
                Ok(SubmitOutcome::Accepted(held, job))
            }
            Err(SubmitError::Rejected(error)) => Ok(SubmitOutcome::Rejected(sending, error)),
            Err(SubmitError::OutcomeUnknown(lost)) => {
                let note = || Note::from(&lost.error);
                let in_doubt = async || ledger.record_in_doubt(&sending, note()).await;
                let unknown = self.write_until(gives_up, in_doubt).await?;
                Ok(SubmitOutcome::Unknown(unknown, lost))
            }
        }
    }

    /// Records that nothing was bought and nothing will be.
    ///
    /// # Errors
    /// The ledger's.
    pub async fn record_rejected(
        &self,
        claim: &Claim<at::Submitting>,
        error: &Error,
    ) -> Result<(), RunnerError> {
        self.retry_ledger_write(async || {
            self.ledger.record_rejected(claim, Note::from(error)).await
        })
        .await
        .map_err(RunnerError::from)
    }

    /// Searches for the job of a submit whose answer was lost, a few times until `end`: the vendor may still be busy with
    /// the request when its answer is lost. Exactly one fitting job is adopted.
    ///
    /// # Errors
    /// The ledger's. A search that fails is repeated.
    pub async fn search(
        &self,
        claim: Claim<at::InDoubt>,
        input: &H::Input,
        lost: &LostSubmit,
        end: Moment,
    ) -> Result<SearchOutcome, RunnerError> {
        let kind = self.handler.kind();
        let clock = kind.clock();
        let mut searches = 0;
        while self.handler.can_search()
            && let Some(at) = policy::search_at(clock.now(), end, searches)
        {
            clock.sleep_until(at).await;
            searches += 1;
            let limit = end.max(clock.now()) + LAST_SEARCH;
            let found = match bounded(&**clock, limit, self.handler.search(input, lost)).await {
                Some(Ok(found)) => self.unaccounted(found).await?,
                Some(Err(error)) => {
                    self.observer.on_event(&RunnerEvent::PollFailed(&error));
                    continue;
                }
                None => break,
            };
            match found.as_slice() {
                [id] => {
                    let note = Note::new("the one fitting job");
                    let held = self.ledger.adopt(&claim, id, self.wall(), note).await?;
                    return Ok(SearchOutcome::Adopted(held, id.clone()));
                }
                [] => {}
                _ => return Ok(SearchOutcome::InDoubt(claim, found)),
            }
        }
        Ok(SearchOutcome::InDoubt(claim, Vec::new()))
    }

    /// Without the jobs that the ledger knows already: those are other submits.
    async fn unaccounted(&self, found: Vec<JobId>) -> Result<Vec<JobId>, RunnerError> {
        let kind = self.handler.kind();
        let mut unaccounted = Vec::new();
        for id in found {
            let known = self.ledger.find(id.as_str()).await?;
            if known
                .iter()
                .all(|job| (job.vendor.as_str(), job.kind.as_str()) != (kind.vendor(), kind.name()))
            {
                unaccounted.push(id);
            }
        }
        Ok(unaccounted)
    }

    /// Brings the result of a completed job to its place. Its digest is recorded before it gets its name, so that after a
    /// crash in between the file is known to be this job's.
    ///
    /// # Errors
    /// The ledger's.
    pub async fn fetch(
        &self,
        claim: &Claim<at::Accepted>,
        output: <H::Kind as JobKind>::Output,
        target: &OutputTarget,
        deadline: Moment,
    ) -> Result<FetchOutcome, RunnerError> {
        let ledger = self.ledger;
        let fetching = ledger.begin_fetch(claim).await?;
        let keeper = ledger.heartbeat(&fetching);
        let downloaded = self.download(&fetching, output, target, deadline).await;
        drop(keeper);
        let (delivered, charge) = match downloaded {
            Ok(downloaded) => downloaded,
            Err(FetchFailure::Ledger(error)) => return Err(error.into()),
            Err(FetchFailure::Invalid(file)) => return self.invalid(fetching, *file, target).await,
            Err(FetchFailure::Result(error)) => {
                let held = ledger
                    .record_link_expired(&fetching, Note::from(&error))
                    .await?;
                return Ok(FetchOutcome::Failed(held, error));
            }
        };
        let (path, sha256, note) = match &delivered {
            DeliveredOutput::Saved(saved, digest) => {
                (Some(saved.path.as_path()), Some(*digest), Note::none())
            }
            DeliveredOutput::Copied(path) => (Some(path.as_path()), None, Note::none()),
            DeliveredOutput::Text(text) => (None, None, Note::new(text)),
            DeliveredOutput::Bytes(_) => (None, None, Note::none()),
        };
        let (sha256, note) = self.digest_on_record(sha256, note);
        let note = note.with_credits(units(charge));
        ledger.complete(&fetching, path, sha256, note).await?;
        Ok(FetchOutcome::Completed(delivered))
    }

    /// The record of a job has the digest of its result in its own format; of another the history tells.
    fn digest_on_record(&self, sha256: Option<[u8; 32]>, note: Note) -> (Option<[u8; 32]>, Note) {
        match self.format {
            Some(format) if !self.is_recorded_format => {
                (None, note.in_other_format(format, sha256))
            }
            _ => (sha256.filter(|_| self.is_recorded_format), note),
        }
    }

    async fn download(
        &self,
        claim: &Claim<at::Downloading>,
        output: <H::Kind as JobKind>::Output,
        target: &OutputTarget,
        deadline: Moment,
    ) -> Result<(DeliveredOutput, Option<u64>), FetchFailure> {
        let (verified, charge) = match self
            .handler
            .fetch(output, self.format, target.target(), deadline)
            .await
        {
            Ok(FetchedResult { content, charge }) => match content {
                Content::File(verified) => (*verified, charge),
                Content::Text(text) => return Ok((DeliveredOutput::Text(text), charge)),
            },
            Err(DownloadError::Invalid(file)) if self.accepts_unverified => (file.accept(), None),
            Err(DownloadError::Invalid(file)) => return Err(FetchFailure::Invalid(file)),
            Err(DownloadError::Failed(error)) => return Err(FetchFailure::Result(error)),
        };
        for warning in verified.warnings() {
            self.observer
                .on_event(&RunnerEvent::Warning(&warning.to_string()));
        }
        if target.path().is_none() {
            let file = verified.into_file().map_err(FetchFailure::Result)?;
            return Ok((DeliveredOutput::Bytes(file), charge));
        }
        let digest = verified.digest().await.map_err(FetchFailure::Result)?;
        self.ledger
            .record_verified(claim, digest)
            .await
            .map_err(FetchFailure::Ledger)?;
        let saved = verified.save().await.map_err(FetchFailure::Result)?;
        Ok((DeliveredOutput::Saved(saved, digest), charge))
    }

    /// Delivers the bytes that were kept of a result that is not fetched again, as they are; where none lie any more, gives
    /// the job back to be polled.
    ///
    /// # Errors
    /// [`CopyFailed`](RunnerErrorKind::CopyFailed), and the ledger's.
    pub async fn deliver_kept(
        &self,
        claim: Claim<at::Accepted>,
        row: &jobs_ledger::JobRecord,
        target: &OutputTarget,
    ) -> Result<Result<DeliveredOutput, Claim<at::Accepted>>, RunnerError> {
        let ledger = self.ledger;
        let fetching = ledger.begin_fetch(&claim).await?;
        for (kept, digest) in kept_bytes(row, target.path()) {
            ledger.record_verified(&fetching, digest).await?;
            let delivered = match target.copy(&kept, digest) {
                Ok(Some(delivered)) => delivered,
                // Taken away or changed meanwhile.
                Ok(None) => continue,
                Err(_) if !kept.is_file() => continue,
                Err(problem) => {
                    let note = Note::new(format!("cannot copy {}: {problem}", kept.display()));
                    ledger
                        .park(fetching.key(), ParkReason::OutputPath, note)
                        .await?;
                    let failed = RunnerErrorKind::CopyFailed {
                        path: kept,
                        problem,
                    };
                    return Err(RunnerError::new(failed)
                        .of_job(row.id)
                        .with_ticket(row.ticket()));
                }
            };
            let (sha256, note) = self.digest_on_record(Some(digest), Note::none());
            ledger
                .complete(&fetching, target.path(), sha256, note)
                .await?;
            return Ok(Ok(delivered));
        }
        let note = Note::new("the bytes that were kept are no longer there");
        Ok(Err(ledger.record_link_expired(&fetching, note).await?))
    }

    /// What arrived whole and does not pass its check is counted by its digest, and fetched again only as long as that may
    /// bring other bytes; then its bytes are kept, because they were paid for.
    async fn invalid(
        &self,
        fetching: Claim<at::Downloading>,
        file: InvalidFile,
        target: &OutputTarget,
    ) -> Result<FetchOutcome, RunnerError> {
        let (ledger, error, sha256) = (self.ledger, file.error().clone(), file.sha256());
        let known = ledger.get(fetching.job()).await?;
        let mut known = known.map_or_else(Vec::new, |row| row.unverified);
        known.retain(|one| one.is_about(self.format));
        if policy::fetches_again(&known, sha256) {
            ledger
                .record_unverified(&fetching, sha256, self.format, None, Note::from(&error))
                .await?;
            let held = ledger
                .record_link_expired(&fetching, Note::from(&error))
                .await?;
            return Ok(FetchOutcome::Failed(held, error));
        }
        let name = format!("{}.{}", fetching.job(), self.handler.extension(self.format));
        match target.keep_unverified(file, &name).await {
            Ok(kept) => {
                let note = Note::from(&error);
                ledger
                    .record_unverified(&fetching, sha256, self.format, Some(&kept), note)
                    .await?;
                Ok(FetchOutcome::Unverified(error, kept))
            }
            Err(error) => {
                let held = ledger
                    .record_link_expired(&fetching, Note::from(&error))
                    .await?;
                Ok(FetchOutcome::Failed(held, error))
            }
        }
    }

    async fn retry_ledger_write<T, F: Future<Output = Result<T, LedgerError>>>(
        &self,
        write: impl Fn() -> F,
    ) -> Result<T, LedgerError> {
        retry_ledger_write(self.ledger, self.observer, write).await
    }

    /// As above, until `end`.
    async fn write_until<T, F: Future<Output = Result<T, LedgerError>>>(
        &self,
        end: impl Future<Output = ()>,
        write: impl Fn() -> F,
    ) -> Result<T, LedgerError> {
        tokio::select! {
            biased;
            written = self.retry_ledger_write(write) => written,
            () = end => Err(LedgerError::not_in_time()),
        }
    }

    fn wall(&self) -> SystemTime {
        self.ledger.clock().wall()
    }

    /// The handle of a job as the ledger knows it; the minimal interval counts from its last poll.
    ///
    /// # Errors
    /// [`WrongAccount`](RunnerErrorKind::WrongAccount), or [`Unexpected`](RunnerErrorKind::Unexpected) for a job that was
    /// never accepted.
    pub fn job(&self, row: &jobs_ledger::JobRecord) -> Result<Job<H::Kind>, RunnerError> {
        let ticket = row.ticket().ok_or_else(|| {
            RunnerError::unexpected(format!("job {} has no id at the vendor", row.id))
        })?;
        let job = Job::resume(self.handler.kind(), &ticket).map_err(|problem| {
            let kind = match problem {
                ResumeError::AccountMismatch => RunnerErrorKind::WrongAccount,
                _ => RunnerErrorKind::NoHandler {
                    vendor: row.vendor.as_str().into(),
                    kind: row.kind.as_str().into(),
                },
            };
            RunnerError::new(kind).of_job(row.id)
        })?;
        Ok(match row.last_poll {
            Some(at) => job.last_polled_at(at),
            None => job,
        })
    }

    /// Goes back to polling: a crash lost what the last poll saw.
    ///
    /// # Errors
    /// The ledger's.
    pub async fn back_to_polling<S: WithResult>(
        &self,
        claim: &Claim<S>,
    ) -> Result<Claim<at::Accepted>, RunnerError> {
        Ok(self.ledger.record_link_expired(claim, Note::none()).await?)
    }
}

impl<H: Handler> fmt::Debug for DurableSteps<'_, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DurableSteps")
            .field("format", &self.format)
            .field("accepts_unverified", &self.accepts_unverified)
            .finish_non_exhaustive()
    }
}

/// What is known of a submit that a crash, or another process, left in doubt.
pub fn lost_submit(vendor: &'static str, row: &jobs_ledger::JobRecord) -> LostSubmit {
    let error = match &row.error_data {
        Some(record) => record.to_error(vendor, "submit"),
        // Of an old ledger, or of a person, there is a line only.
        None => Error::new(ErrorKind::Unavailable, vendor, "submit")
            .with_message(row.error.as_deref().unwrap_or_default()),
    };
    LostSubmit {
        summary: row.input.as_str().into(),
        sent_at: row.sent_at.unwrap_or(row.created_at),
        error: error.with_delivery(Delivery::MaybeSent),
    }
}

/// Writes what is worth money, however long the ledger cannot be written.
///
/// # Errors
/// What the ledger says after half a minute, or at once where trying again is no use.
pub async fn retry_ledger_write<T, F: Future<Output = Result<T, LedgerError>>>(
    ledger: &Ledger,
    observer: &dyn Observer,
    write: impl Fn() -> F,
) -> Result<T, LedgerError> {
    const TRIES: u32 = 30;
    let mut tries = 0;
    loop {
        match write().await {
            Err(error) if error.is_transient() && tries < TRIES => {
                observer.on_event(&RunnerEvent::LedgerTrouble {
                    job: None,
                    error: &error,
                    is_retried: true,
                });
                let clock = ledger.clock();
                clock
                    .sleep_until(clock.now() + Duration::from_secs(1))
                    .await;
                tries += 1;
            }
            outcome => return outcome,
        }
    }
}

/// How long the ledger is waited for when there is no time left: what it is told is worth money.
const LAST_WRITE: Duration = Duration::from_secs(5);

/// As the ledger counts them.
pub(crate) fn units(charge: Option<u64>) -> Option<i64> {
    charge.map(|units| i64::try_from(units).unwrap_or(i64::MAX))
}

/// How long the last search may take.
const LAST_SEARCH: Duration = Duration::from_secs(2);

enum FetchFailure {
    Result(Error),
    Invalid(Box<InvalidFile>),
    Ledger(LedgerError),
}

/// The vendor has the job and the ledger could not say so: the ticket is all there is, so it is given out.
fn unwritten<K: JobKind>(problem: LedgerError, job: &Job<K>) -> RunnerError {
    RunnerError::new(RunnerErrorKind::NotRecorded {
        problem,
        vendor: job.kind().vendor(),
        job_id: job.id().clone(),
    })
    .with_ticket(job.ticket().ok())
}

/// Where bytes may lie that were kept of a result, newest first: where the ledger says, and beside the place.
fn kept_bytes(row: &jobs_ledger::JobRecord, place: Option<&Path>) -> Vec<(PathBuf, [u8; 32])> {
    let beside = place.map(|path| {
        let mut name = path.as_os_str().to_owned();
        name.push(".unverified");
        PathBuf::from(name)
    });
    let known = row.unverified.iter().rev();
    let known = known.filter_map(|one| Some((one, one.sha256?)));
    known
        .flat_map(|(one, digest)| {
            let paths = [one.path.clone(), beside.clone()];
            paths.into_iter().flatten().map(move |path| (path, digest))
        })
        .collect()
}

/// The digest of the file at `path`, if it is this job's result: verified by a process that was stopped before it could
/// say *done*, or delivered before the job was reopened.
pub(crate) async fn arrived(
    ledger: &Ledger,
    row: &jobs_ledger::JobRecord,
    path: &Path,
) -> Result<Option<[u8; 32]>, RunnerError> {
    let can_be = matches!(
        row.stage,
        Stage::Accepted | Stage::Available | Stage::Downloading
    );
    if !can_be || !path.is_file() {
        return Ok(None);
    }
    let digest = digest_of_file(path).map_err(|problem| InputError::unreadable(path, problem))?;
    if row.sha256 == Some(digest) && row.output.as_deref() == Some(path) {
        return Ok(Some(digest));
    }
    let now = ledger.get(row.id).await?;
    let verified = now.and_then(|row| row.verified);
    Ok((verified == Some(digest)).then_some(digest))
}

/// Settles a job whose result has [arrived]. Says whether it had.
pub(crate) async fn settle_arrived(
    ledger: &Ledger,
    row: &jobs_ledger::JobRecord,
    path: &Path,
) -> Result<bool, RunnerError> {
    let Some(digest) = arrived(ledger, row, path).await? else {
        return Ok(false);
    };
    match ledger.claim(row.id).await? {
        ClaimOutcome::Claimed(Claimed::Accepted(claim, _)) => {
            let ready = ledger
                .record_available(&claim, &Value::Null, Note::none())
                .await?;
            is_here(ledger, &ready, path, digest).await?;
        }
        ClaimOutcome::Claimed(Claimed::Available(claim, _)) => {
            is_here(ledger, &claim, path, digest).await?
        }
        ClaimOutcome::Claimed(Claimed::Downloading(claim, _)) => {
            is_here(ledger, &claim, path, digest).await?;
        }
        // Somebody is at it.
        _ => return Ok(false),
    }
    Ok(true)
}

/// Writes that the result is at its place.
pub(crate) async fn is_here<S: WithResult>(
    ledger: &Ledger,
    claim: &Claim<S>,
    path: &Path,
    digest: [u8; 32],
) -> Result<(), RunnerError> {
    Ok(ledger
        .complete(claim, Some(path), Some(digest), Note::none())
        .await?)
}
