//! Export to PDF, where submit and poll are one call that may cost money each time.

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jobs_core::clock::{Clock, Moment};
use jobs_core::disk::OutputPath;
use jobs_core::http::{Download, DownloadError, LenientValue, Response, SavedFile, Verified};
use jobs_core::vendor::{
    Account, Delivery, Failure, JobKind, KindPolicy, PollResult, PollResults, PollSchedule, Sourced,
};
use jobs_core::{Error, ErrorKind, Job, JobId, RunError, Snapshot, Status};

use crate::api::Api;
use crate::code::{Codes, VENDOR};
use crate::envelope;
use crate::generated::types::{AccountInfo, JobStatus, NoArguments, PdfRequest};
use crate::job;
use crate::operation::{ACCOUNT_INFO, GET_PDF};
use crate::result;

/// What the vendor's page says that one call costs.
pub(crate) const CREDITS: u32 = 10;

/// How many calls an export may make, and what they are taken to cost.
///
/// The vendor's page says "10 credits each time", and also to repeat the same call every 5 s until the PDF is there. Whether
/// a repetition is charged is not stated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct PdfBudget {
    /// How many calls may be made for one job, those of [`calls_made`](Self::calls_made) included.
    pub max_calls: u32,
    /// What a call is taken to cost.
    pub assume: PdfCharge,
    /// Whether the balance is watched.
    pub guard: bool,
    /// Whether a call is held until the PDF is done, so that one is enough.
    pub blocking: bool,
    /// How many calls were made for the job before, such as by a process that is gone.
    pub calls_made: u32,
}

/// What a call is taken to cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PdfCharge {
    /// The first call of a job is charged, the others poll. After a lost answer, the next poll follows by itself.
    FirstOnly,
    /// Every call is charged. A call whose answer was lost is not repeated by itself.
    EveryCall,
}

impl PdfBudget {
    /// At most this many calls for one job; only the first is taken to be charged.
    pub const fn calls(max_calls: u32) -> Self {
        Self {
            max_calls,
            assume: PdfCharge::FirstOnly,
            guard: false,
            blocking: false,
            calls_made: 0,
        }
    }

    /// Sets what a call is taken to cost.
    #[must_use]
    pub const fn assuming(mut self, charge: PdfCharge) -> Self {
        self.assume = charge;
        self
    }

    /// Watches the balance: it is read before the first call and after the second, and if that one was charged again, there
    /// is no third. Other spending from the same account at that time looks the same.
    #[must_use]
    pub const fn guarded(mut self) -> Self {
        self.guard = true;
        self
    }

    /// Holds each call until the PDF is done, up to two minutes: one call is then enough, but if its answer is lost, nobody
    /// knows what it cost. That the vendor's switch means this is our inference.
    #[must_use]
    pub const fn blocking(mut self) -> Self {
        self.blocking = true;
        self
    }

    /// Counts calls that were made before.
    #[must_use]
    pub const fn with_calls_made(mut self, calls: u32) -> Self {
        self.calls_made = calls;
        self
    }
}

/// What an export has spent so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct PdfSpent {
    /// Calls that may have reached the vendor.
    pub calls: u32,
    /// The credits that they cost by the assumption in force.
    pub credits: u32,
    /// The credits that they cost at the very most.
    pub credits_at_most: u32,
}

/// Export of one deck to PDF. The job's id is that of the deck.
#[derive(Clone)]
pub struct Pdf {
    api: Api,
    budget: PdfBudget,
    policy: KindPolicy,
    exports: Arc<Mutex<HashMap<JobId, Arc<Export>>>>,
}

/// A finished export: where the PDF lies. Nobody says how long, so fetch it at once; that is free and harmless to repeat.
#[derive(Clone)]
#[non_exhaustive]
pub struct PdfReady {
    /// The job.
    pub job_id: JobId,
    pdf_url: Box<str>,
    calls: u32,
    api: Api,
}

/// Where a PDF lies.
pub(crate) struct PdfLink(Box<str>);

impl fmt::Debug for PdfLink {
    /// Without the link, which opens the PDF for anybody.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PdfLink")
    }
}

impl PdfReady {
    /// The link, which opens the PDF for anybody.
    pub fn pdf_url(&self) -> &str {
        &self.pdf_url
    }

    /// What it cost at the very most.
    pub fn credits_at_most(&self) -> u32 {
        self.calls.saturating_mul(CREDITS)
    }

    /// Writes the PDF to a file, complete or not at all. An existing file is not replaced.
    ///
    /// # Errors
    /// [`RunError`] with the ticket: the link has expired and is not asked for again, because that may cost 10 credits, the
    /// bytes are not a whole PDF, or the file cannot be written.
    pub async fn save(&self, path: impl Into<PathBuf>) -> Result<SavedFile, RunError> {
        let save = async {
            let target = job::place(path)?;
            let verified = self.fetch(&target, self.api.download_deadline()).await?;
            verified.save().await
        };
        save.await.map_err(|error: Error| {
            let kind = Arc::new(Pdf::new(&self.api, PdfBudget::calls(0)));
            Job::attach(kind, self.job_id.clone()).fetch_error(error)
        })
    }

    /// Brings the PDF up to the point of giving it its name, and until `deadline`.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when the link has expired; it is not asked for again, because that may cost 10 credits.
    /// Bytes that arrived whole and are no PDF are handed over as [`DownloadError::Invalid`].
    pub async fn fetch(
        &self,
        target: &OutputPath,
        deadline: Moment,
    ) -> Result<Verified, DownloadError> {
        let fetch = Download::new("fetch_pdf", &self.pdf_url).with_deadline(deadline);
        let fetched = self.api.fetch(fetch, &self.job_id, target).await;
        let fetched = fetched.map_err(|error| match error.kind() {
            ErrorKind::NotFound => {
                error.with_help("a new link needs another get_pdf, which may cost 10 credits")
            }
            _ => error,
        })?;
        let (verified, ()) = fetched.verify(result::inspect_pdf).await?;
        Ok(verified)
    }
}

impl fmt::Debug for PdfReady {
    /// Without the link, which opens the PDF for anybody.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PdfReady")
            .field("job_id", &self.job_id)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Pdf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pdf")
            .field("api", &self.api)
            .field("budget", &self.budget)
            .finish_non_exhaustive()
    }
}

/// The export of one job.
#[derive(Debug, Default)]
struct Export {
    /// Held over a poll, so that two waits together never call twice for what one call would answer.
    turn: tokio::sync::Mutex<()>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Calls that may have reached the vendor; counted before they are sent, so that dropping one loses no count.
    calls: u32,
    /// A call was sent, and its answer has not been seen.
    is_in_flight: bool,
    /// The job was seen to have succeeded.
    is_checked: bool,
    ready: Option<PdfReady>,
    guard: Guard,
}

/// What the guard knows of the balance.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Guard {
    #[default]
    Unread,
    /// The balance before call number `calls + 1`.
    Before { score: i64, calls: u32 },
    /// A second call was free.
    Satisfied,
    /// A second call was charged: from this balance to that.
    Charged { from: i64, to: i64 },
}

#[async_trait]
impl JobKind for Pdf {
    type Output = PdfReady;

    fn vendor(&self) -> &'static str {
        VENDOR
    }

    fn name(&self) -> &'static str {
        "pdf"
    }

    fn account(&self) -> Account {
        self.api.account()
    }

    fn policy(&self) -> &KindPolicy {
        &self.policy
    }

    fn clock(&self) -> &Arc<dyn Clock> {
        self.api.clock()
    }

    /// **May cost 10 credits** for each id, within the budget.
    async fn poll(&self, ids: &[JobId]) -> PollResults<PdfReady> {
        let mut results = PollResults::of(VENDOR, ids);
        for (place, id) in ids.iter().enumerate() {
            results.set(place, self.poll_one(id).await);
        }
        results
    }
}

impl Pdf {
    pub(crate) fn new(api: &Api, budget: PdfBudget) -> Self {
        let mut policy = api.settings().pdf_policy.clone();
        if budget.blocking {
            policy.poll_timeout.value = policy.poll_timeout.value.max(BLOCKING_TIMEOUT + SPARE);
        }
        Self {
            api: api.clone(),
            budget,
            policy,
            exports: Arc::default(),
        }
    }

    /// What was spent on a job by this kind and, as far as the budget says so, before it.
    pub fn spent(&self, id: &JobId) -> PdfSpent {
        let calls = self.export(id).state().calls;
        let credits_at_most = calls.saturating_mul(CREDITS);
        PdfSpent {
            calls,
            credits: match self.budget.assume {
                PdfCharge::FirstOnly => credits_at_most.min(CREDITS),
                PdfCharge::EveryCall => credits_at_most,
            },
            credits_at_most,
        }
    }

    async fn poll_one(&self, id: &JobId) -> PollResult<PdfReady> {
        let export = self.export(id);
        let _turn = export.turn.lock().await;
        if let Some(ready) = export.state().ready.clone() {
            return Ok(done(ready));
        }
        if !export.state().is_checked {
            // An export of an unfinished deck would be charged for nothing.
            let deck = job::poll_one(&self.api, id).await?;
            if let Some(unfinished) = unfinished(deck) {
                return Ok(unfinished);
            }
            export.state().is_checked = true;
        }
        if self.budget.guard {
            self.read_balance(&export).await?;
        }
        export
            .state()
            .begin(&self.budget)
            .map_err(|error| error.with_job(id.clone()))?;
        let answer = self.call(id).await;
        let polled = answer.and_then(|answer| seen(id, &answer, self.api.codes()));
        let calls = self.spent(id).calls;
        let polled = polled.map(|seen| {
            seen.map(|link| PdfReady {
                job_id: id.clone(),
                pdf_url: link.0,
                calls,
                api: self.api.clone(),
            })
        });
        export.state().end(&self.budget, polled)
    }

    /// One call. The one place that may cost credits.
    async fn call(&self, id: &JobId) -> Result<Response, Error> {
        let body = GET_PDF.json(&PdfRequest::new(id.to_string(), !self.budget.blocking))?;
        let call = GET_PDF.with_json(&body).for_job(id).non_idempotent();
        let call = if self.budget.blocking {
            call.with_timeout(BLOCKING_TIMEOUT)
        } else {
            call
        };
        self.api.send(call).await
    }

    async fn balance(&self) -> Result<i64, Error> {
        let account: AccountInfo = self.api.read(ACCOUNT_INFO, &NoArguments::default()).await?;
        Ok(account.score)
    }

    /// Reads the balance where the guard wants to know it.
    async fn read_balance(&self, export: &Export) -> Result<(), Error> {
        let (guard, calls) = {
            let state = export.state();
            (state.guard, state.calls)
        };
        let next = match guard {
            Guard::Satisfied | Guard::Charged { .. } => return Ok(()),
            Guard::Before { calls: before, .. } if calls.saturating_sub(before) == 1 => {
                return Ok(());
            }
            Guard::Before {
                score,
                calls: before,
            } if calls > before => {
                let now = self.balance().await?;
                judge(score, now, before)
            }
            Guard::Unread | Guard::Before { .. } => Guard::Before {
                score: self.balance().await?,
                calls,
            },
        };
        export.state().guard = next;
        Ok(())
    }

    fn export(&self, id: &JobId) -> Arc<Export> {
        let mut exports = self.exports.lock().unwrap_or_else(PoisonError::into_inner);
        let export = exports.entry(id.clone()).or_insert_with(|| {
            let state = State {
                calls: self.budget.calls_made,
                ..State::default()
            };
            Arc::new(Export {
                state: Mutex::new(state),
                ..Export::default()
            })
        });
        Arc::clone(export)
    }
}

impl Export {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Counts one more call, if the budget has room for it.
    fn begin(&mut self, budget: &PdfBudget) -> Result<(), Error> {
        let spent = |text: String| {
            Error::new(ErrorKind::QuotaExceeded, VENDOR, GET_PDF.name).with_message(text)
        };
        if let Guard::Charged { from, to } = self.guard {
            return Err(spent(format!(
                "stopped after {} calls: a repeated call was charged again, the balance fell from {from} to {to}",
                self.calls
            ))
            .with_help("ask the vendor, or allow it with a budget without guard"));
        }
        if std::mem::take(&mut self.is_in_flight) && budget.assume == PdfCharge::EveryCall {
            return Err(lost().with_message("the answer of a call did not come in time"));
        }
        if self.calls >= budget.max_calls {
            return Err(spent(format!(
                "all {} calls of the budget are spent, {} to {} credits",
                self.calls,
                self.calls.min(1) * CREDITS,
                self.calls.saturating_mul(CREDITS)
            ))
            .with_help("allow more calls to go on; each may cost 10 credits"));
        }
        self.calls += 1;
        self.is_in_flight = true;
        Ok(())
    }

    /// Takes the outcome of the call that was begun.
    fn end(&mut self, budget: &PdfBudget, polled: PollResult<PdfReady>) -> PollResult<PdfReady> {
        self.is_in_flight = false;
        match polled {
            Ok(snapshot) => {
                if let Status::Succeeded(ready) = &snapshot.status {
                    self.ready = Some(ready.clone());
                }
                Ok(snapshot)
            }
            Err(error) if error.delivery() == Delivery::NotSent => {
                self.calls = self.calls.saturating_sub(1);
                Err(error)
            }
            Err(error)
                if error.delivery() == Delivery::MaybeSent
                    && budget.assume == PdfCharge::EveryCall =>
            {
                let message = error.message().unwrap_or("no usable answer").to_owned();
                let lost = match error.job() {
                    Some(job) => lost().with_job(job.clone()),
                    None => lost(),
                };
                Err(lost.with_message(message).with_source(error))
            }
            Err(error) => Err(error),
        }
    }
}

/// A call whose answer was lost, where each call is charged. Not transient, so that no wait repeats it.
fn lost() -> Error {
    Error::new(ErrorKind::Refused, VENDOR, GET_PDF.name)
        .with_delivery(Delivery::MaybeSent)
        .with_help("it may have cost 10 credits and is not repeated by itself; wait again to go on")
}

/// What two calls did to the balance. The first of all is charged in any case.
fn judge(before: i64, now: i64, calls_before: u32) -> Guard {
    let charges = if calls_before == 0 { 2 } else { 1 };
    if before.saturating_sub(now) >= charges * i64::from(CREDITS) {
        Guard::Charged {
            from: before,
            to: now,
        }
    } else {
        Guard::Satisfied
    }
}

/// What a deck that is not done means for its export; `None` when it is done.
fn unfinished(deck: Snapshot<job::Ready>) -> Option<Snapshot<PdfReady>> {
    let status = match deck.status {
        Status::Succeeded(_) => return None,
        Status::Queued => Status::Queued,
        Status::Running => Status::Running,
        Status::Failed(failure) => Status::Failed(failure),
        Status::Expired => Status::Expired,
        Status::Gone => Status::Gone,
        _ => return Some(Snapshot::unknown(deck.vendor_status)),
    };
    if deck.is_known {
        Some(Snapshot::new(status, deck.vendor_status).with_progress(deck.progress))
    } else {
        Some(Snapshot::unknown(deck.vendor_status))
    }
}

/// What the answer to a call says.
pub(crate) fn seen(id: &JobId, answer: &Response, codes: &Codes) -> PollResult<PdfLink> {
    let json = envelope::read(answer, codes)?;
    let data = json.get("data");
    let state = data.get("status").word();
    let state = state.ok_or_else(|| answer.unexpected("the answer does not tell the state"))?;
    let snapshot = snapshot(id, JobStatus::from_word(&state), data)?;
    Ok(answer.redact_snapshot(snapshot))
}

/// State and result are read first, and everything leniently: this answer may have cost 10 credits.
fn snapshot(id: &JobId, state: JobStatus, data: LenientValue<'_>) -> PollResult<PdfLink> {
    let garbled = |problem: &str| {
        Error::new(ErrorKind::UnexpectedResponse, VENDOR, GET_PDF.name)
            .with_delivery(Delivery::MaybeSent)
            .with_job(id.clone())
            .with_message(problem)
    };
    let word = state.as_str().to_owned();
    let status = match (state, data.get("pdf_url").filled()) {
        (JobStatus::Succeeded, Some(link)) => Status::Succeeded(PdfLink(link.into())),
        (JobStatus::Succeeded, None) => {
            return Err(garbled("the export succeeded, but the PDF has no address"));
        }
        (JobStatus::Queued, _) => Status::Queued,
        (JobStatus::Running, _) => Status::Running,
        (JobStatus::Failed, _) => {
            Status::Failed(Failure::new(data.get("error").text().unwrap_or_default()))
        }
        (JobStatus::Other(word), _) => return Ok(Snapshot::unknown(word)),
    };
    let [waiting, percent] =
        ["queue_wait_count", "progress_percent"].map(|key| data.get(key).integer());
    let progress = job::progress(&status, waiting, percent);
    Ok(Snapshot::new(status, word).with_progress(progress))
}

fn done(ready: PdfReady) -> Snapshot<PdfReady> {
    Snapshot::new(Status::Succeeded(ready), JobStatus::Succeeded.as_str())
}

/// A call that is held until the PDF is done takes 10 to 20 s by the vendor's word, and a queue before it.
const BLOCKING_TIMEOUT: Duration = Duration::from_secs(2 * 60);
/// For the free requests of the same poll.
const SPARE: Duration = Duration::from_secs(15);

/// The policy of an export. What is inferred can be set through
/// [`ClientBuilder::with_pdf_policy`](crate::ClientBuilder::with_pdf_policy).
pub(crate) fn policy() -> KindPolicy {
    let page = "api-doc.mindshow.vip, api-287044925: ask again every 5 s";
    let five = Duration::from_secs(5);
    KindPolicy::new(
        Sourced::documented(five, page),
        Sourced::inferred(
            Duration::ZERO,
            "the first call starts the export, so nothing is gained by waiting",
        ),
        Sourced::documented(PollSchedule::every(five), page),
    )
}

#[cfg(test)]
mod tests {
    use jobs_core::testing::canned_response;

    use super::*;

    #[test]
    fn the_guard_tells_one_charge_from_two() {
        for (before, now, calls_before, charged) in [
            (100, 90, 0, false),
            (100, 80, 0, true),
            (100, 100, 0, false),
            (100, 300, 0, false),
            (100, 100, 1, false),
            (100, 90, 1, true),
            (i64::MIN, i64::MAX, 0, false),
        ] {
            let verdict = judge(before, now, calls_before);
            let is_charged = matches!(verdict, Guard::Charged { .. });
            assert_eq!(
                is_charged, charged,
                "{before} to {now} after {calls_before}"
            );
        }
    }

    #[test]
    fn calls_are_counted_before_they_are_sent_and_given_back_only_if_they_never_left() {
        let budget = PdfBudget::calls(2);
        let mut state = State::default();
        let error =
            |sent| Err(Error::new(ErrorKind::Unreachable, VENDOR, "get_pdf").with_delivery(sent));
        state.begin(&budget).unwrap();
        assert_eq!(state.calls, 1);
        assert!(state.end(&budget, error(Delivery::NotSent)).is_err());
        assert_eq!(state.calls, 0);
        state.begin(&budget).unwrap();
        assert!(state.end(&budget, error(Delivery::MaybeSent)).is_err());
        // Dropped in flight: nobody calls `end`.
        state.begin(&budget).unwrap();
        assert_eq!(state.calls, 2);
        let error = state.begin(&budget).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::QuotaExceeded);
        assert_eq!(
            error.message(),
            Some("all 2 calls of the budget are spent, 10 to 20 credits")
        );
    }

    #[test]
    fn where_every_call_is_charged_a_lost_answer_is_not_transient() {
        let budget = PdfBudget::calls(9).assuming(PdfCharge::EveryCall);
        let mut state = State::default();
        state.begin(&budget).unwrap();
        let lost =
            Error::new(ErrorKind::Timeout, VENDOR, "get_pdf").with_delivery(Delivery::MaybeSent);
        let error = state.end(&budget, Err(lost)).unwrap_err();
        assert!(!error.is_transient());
        assert_eq!(error.delivery(), Delivery::MaybeSent);
        // One that was dropped in flight is reported once; then the caller has decided to go on.
        state.begin(&budget).unwrap();
        assert!(!state.begin(&budget).unwrap_err().is_transient());
        assert!(state.begin(&budget).is_ok());
        assert_eq!(state.calls, 3);
    }

    #[test]
    fn no_budget_means_no_call() {
        let error = State::default().begin(&PdfBudget::calls(0)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::QuotaExceeded);
    }

    #[test]
    fn success_needs_a_link() {
        let id = JobId::new("j").unwrap();
        let seen = |json: &str| {
            let body = format!(r#"{{"code":0,"data":{json}}}"#);
            let answer = canned_response("get_pdf", 200, &[], body.as_bytes(), &[]);
            seen(&id, &answer, &Codes::default())
        };
        let ready = seen(r#"{"status":"succeeded","pdf_url":"https://h/p?sig=s3cret"}"#).unwrap();
        assert!(matches!(&ready.status, Status::Succeeded(ready) if ready.0.contains("s3cret")));
        assert!(!format!("{ready:?}").contains("s3cret"));
        assert!(seen(r#"{"status":"succeeded","pdf_url":""}"#).is_err());
        assert!(!seen(r#"{"status":"pondering"}"#).unwrap().is_known);
        let odd = seen(r#"{"status":"failed","error":"bad \ud835 glyph","queue_wait_count":NaN}"#);
        let Status::Failed(failure) = odd.unwrap().status else {
            panic!("not failed")
        };
        assert_eq!(&*failure.reason, "bad \u{fffd} glyph");
    }
}
