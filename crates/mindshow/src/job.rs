//! The kind of job: how the vendor's states read, and what a success gives.

use std::collections::HashMap;
use std::fmt;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jobs_core::clock::{Clock, Moment, bounded};
use jobs_core::disk::OutputPath;
use jobs_core::http::{Download, DownloadError, LenientValue, Response, SavedFile, Verified};
use jobs_core::vendor::{
    Account, Delivery, Failure, JobKind, KindPolicy, PollResult, PollResults, PollSchedule,
    Progress, Sourced, retry,
};
use jobs_core::{Error, ErrorKind, Job, JobId, RunError, Snapshot, Status};
use serde::Deserialize as _;
use serde_json::Value;

use crate::api::Api;
use crate::code::{Codes, VENDOR};
use crate::envelope;
use crate::generated::types::{JobInfo, JobStatus, ListRequest, SecretText};
use crate::operation::JOB_LIST;
use crate::page::{Listing, Page};
use crate::result::{self, DeckSummary};

/// Generation of one deck, or of one template.
#[derive(Debug, Clone)]
pub struct Deck {
    pub(crate) api: Api,
}

/// A finished job: where its deck lies.
///
/// The link lives for a week; a new one is asked for when it has expired. Whatever is done with it is free and harmless to
/// repeat.
#[derive(Clone)]
#[non_exhaustive]
pub struct Ready {
    /// The job.
    pub job_id: JobId,
    /// The title of the deck.
    pub title: Box<str>,
    /// The new template, of a job that made one.
    pub template_id: Option<Box<str>>,
    /// Preview pictures, where they were asked for. A poll through the job list does not see them:
    /// [`Client::job_info`](crate::Client::job_info) does.
    pub preview_img_list: Vec<String>,
    ppt_url: Option<Box<str>>,
    api: Api,
}

/// What the vendor says of a finished job.
#[derive(PartialEq, Eq)]
pub(crate) struct Finished {
    pub(crate) job_id: JobId,
    pub(crate) title: Box<str>,
    pub(crate) template_id: Option<Box<str>>,
    pub(crate) preview_img_list: Vec<String>,
    pub(crate) ppt_url: Option<Box<str>>,
}

fn ready(api: &Api, seen: Snapshot<Finished>) -> Snapshot<Ready> {
    seen.map(|finished| Ready {
        job_id: finished.job_id,
        title: finished.title,
        template_id: finished.template_id,
        preview_img_list: finished.preview_img_list,
        ppt_url: finished.ppt_url,
        api: api.clone(),
    })
}

impl Ready {
    /// Whether there is a .pptx. A job that was created with `create_ppt_flag` false succeeds without one, and so does one
    /// that makes a template.
    pub fn has_deck(&self) -> bool {
        self.ppt_url.is_some()
    }

    /// The signed link, which opens the deck for anybody and works only unchanged.
    pub fn ppt_url(&self) -> Option<&str> {
        self.ppt_url.as_deref()
    }

    /// Writes the deck to a file: a .pptx whose every part was checked; complete or not at all. An existing file is not
    /// replaced.
    ///
    /// # Errors
    /// [`RunError`] with the ticket: the job made no deck, its link has expired and a new one does too, the bytes are not a
    /// whole .pptx, or the file cannot be written.
    pub async fn save(&self, path: impl Into<PathBuf>) -> Result<SavedFile, RunError> {
        let save = async {
            let target = place(path)?;
            let (verified, _) = self.fetch(&target, self.api.download_deadline()).await?;
            verified.save().await
        };
        save.await.map_err(|error| {
            let kind = Arc::new(Deck {
                api: self.api.clone(),
            });
            Job::attach(kind, self.job_id.clone()).fetch_error(error)
        })
    }

    /// Brings the deck up to the point of giving it its name, and until `deadline`.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when the job made no deck, or its link has expired and a new one does too,
    /// [`ErrorKind::UnexpectedResponse`] when the bytes are not a whole .pptx, [`ErrorKind::TooLarge`], [`ErrorKind::LocalIo`]. Bytes that
    /// arrived whole and are no deck are handed over as [`DownloadError::Invalid`].
    pub async fn fetch(
        &self,
        target: &OutputPath,
        deadline: Moment,
    ) -> Result<(Verified, DeckSummary), DownloadError> {
        const OPERATION: &str = "fetch_deck";
        let gone = |message: &str| {
            Error::new(ErrorKind::NotFound, VENDOR, OPERATION)
                .with_delivery(Delivery::Answered)
                .with_job(self.job_id.clone())
                .with_message(message)
        };
        let link = self.ppt_url().ok_or_else(|| {
            gone("the job succeeded without a deck")
                .with_help("create it with create_ppt_flag set to true")
        })?;
        let fetch = |link| Download::new(OPERATION, link).with_deadline(deadline);
        let fetched = match self.api.fetch(fetch(link), &self.job_id, target).await {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let clock = &**self.api.clock();
                let polled =
                    retry::idempotent(clock, async || poll_one(&self.api, &self.job_id).await);
                let renewed = bounded(clock, deadline, polled).await;
                let no_new_one = || gone("the link has expired, and the vendor gives no new one");
                let Status::Succeeded(renewed) = renewed.ok_or(error)??.status else {
                    return Err(no_new_one().into());
                };
                let link = renewed.ppt_url().ok_or_else(no_new_one)?;
                self.api.fetch(fetch(link), &self.job_id, target).await?
            }
            outcome => outcome?,
        };
        fetched.verify(result::inspect_pptx).await
    }
}

/// A place for a result, checked before it is asked for.
pub(crate) fn place(path: impl Into<PathBuf>) -> Result<OutputPath, Error> {
    let path = path.into();
    OutputPath::new(&path).map_err(|cause| {
        let problem = format!("cannot write {}: {cause}", path.display());
        Error::local_io(VENDOR, "save", problem, cause)
    })
}

impl fmt::Debug for Finished {
    /// Without links, which may open the deck for anybody.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Finished")
            .field("job_id", &self.job_id)
            .field("title", &self.title)
            .field("template_id", &self.template_id)
            .field("has_deck", &self.ppt_url.is_some())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Ready {
    /// Without links, which may open the deck for anybody.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ready")
            .field("job_id", &self.job_id)
            .field("title", &self.title)
            .field("template_id", &self.template_id)
            .field("has_deck", &self.has_deck())
            .finish_non_exhaustive()
    }
}

/// Polls of more jobs than this go through the list.
const ONE_BY_ONE: usize = 2;
/// How far down the list a poll goes; older jobs are then polled one by one.
const LIST_PAGES: usize = 3;
/// How many jobs are asked for at once. The largest allowed number is not stated.
const BATCH: NonZeroUsize = match NonZeroUsize::new(50) {
    Some(batch) => batch,
    None => NonZeroUsize::MIN,
};

#[async_trait]
impl JobKind for Deck {
    type Output = Ready;

    fn vendor(&self) -> &'static str {
        VENDOR
    }

    fn name(&self) -> &'static str {
        "deck"
    }

    fn account(&self) -> Account {
        self.api.account()
    }

    fn policy(&self) -> &KindPolicy {
        &self.api.settings().policy
    }

    fn clock(&self) -> &Arc<dyn Clock> {
        self.api.clock()
    }

    fn poll_group(&self) -> Option<usize> {
        Some(self.api.address())
    }

    async fn poll(&self, ids: &[JobId]) -> PollResults<Ready> {
        let mut results = PollResults::of(VENDOR, ids);
        let mut open: Vec<(usize, &JobId)> = ids.iter().enumerate().collect();
        if ids.len() > ONE_BY_ONE
            && let Err(error) = self.poll_through_list(&mut open, &mut results).await
        {
            for (place, _) in open {
                results.set(place, Err(error.clone()));
            }
            return results;
        }
        for (place, id) in open {
            results.set(place, poll_one(&self.api, id).await);
        }
        results
    }
}

impl Deck {
    /// Answers what the newest pages of the list mention, and leaves the rest in `open`.
    ///
    /// # Errors
    /// Trouble that single polls would run into as well. A refusal of the list alone is none.
    async fn poll_through_list(
        &self,
        open: &mut Vec<(usize, &JobId)>,
        results: &mut PollResults<Ready>,
    ) -> Result<(), Error> {
        let mut request = ListRequest::default();
        request.limit = i64::try_from(BATCH.get()).ok();
        for _ in 0..LIST_PAGES {
            let page = match list_page(&self.api, &request).await {
                Ok(page) => page,
                Err(error) if error.is_transient() => return Err(error),
                Err(error) if error.kind() == ErrorKind::Unauthenticated => return Err(error),
                Err(error) => {
                    tracing::debug!(%error, "the list is refused, polling jobs one by one");
                    return Ok(());
                }
            };
            let jobs: HashMap<String, JobInfo> = page
                .items
                .iter()
                .filter_map(|item| JobInfo::deserialize(item).ok())
                .map(|job| (job.id.clone(), job))
                .collect();
            open.retain(|(place, id)| match jobs.get(id.as_str()) {
                Some(job) => {
                    results.set(
                        *place,
                        snapshot(id, job.clone()).map(|seen| ready(&self.api, seen)),
                    );
                    false
                }
                None => true,
            });
            match page.after {
                Some(after) if !open.is_empty() && request.after.as_deref() != Some(&*after) => {
                    request.after = Some(after.into());
                }
                _ => return Ok(()),
            }
        }
        Ok(())
    }
}

/// The policy of a deck. What is inferred can be set through [`ClientBuilder::with_policy`](crate::ClientBuilder::with_policy).
pub(crate) fn policy() -> KindPolicy {
    let page = "api-doc.mindshow.vip: ask again every 5 s";
    let five = Duration::from_secs(5);
    let mut policy = KindPolicy::new(
        Sourced::documented(five, page),
        Sourced::documented(five, page),
        Sourced::documented(PollSchedule::every(five), page),
    );
    policy.max_batch =
        Sourced::inferred(BATCH, "one page of the job list; its limit is not stated");
    policy.result_ttl = Some(Sourced::documented(
        Duration::from_secs(7 * 24 * 60 * 60),
        "api-doc.mindshow.vip: links are valid for one week",
    ));
    policy
}

/// Polls a job once. Free, harmless to repeat, and not before the vendor's floor: [`Job::wait`] sees to that.
pub(crate) async fn poll_one(api: &Api, id: &JobId) -> PollResult<Ready> {
    let answer = api.ask_for_job(id).await?;
    Ok(ready(api, seen(id, &answer, api.codes())?))
}

/// One page of the job list, entry by entry: one that cannot be read must not spoil the others.
async fn list_page(api: &Api, request: &ListRequest) -> Result<Page<Value>, Error> {
    let body = JOB_LIST.json(request)?;
    let answer = api.send(JOB_LIST.with_json(&body)).await?;
    let listing: Listing<Value> = envelope::open(&answer, api.codes())?;
    Ok(listing.into())
}

/// What the answer to a poll says.
pub(crate) fn seen(id: &JobId, answer: &Response, codes: &Codes) -> PollResult<Finished> {
    let json = answer.json();
    let (names, own_key) = envelope::JOB;
    let job = envelope::part(&json, names, own_key);
    let described = job.and_then(described_by);
    let has_ended = described.as_ref().is_some_and(|job| {
        job.id == id.as_str() && matches!(job.status, JobStatus::Succeeded | JobStatus::Failed)
    });
    let has_code = json.get("code").integer().is_some();
    // An end stands whatever the code beside it.
    if !(has_ended && has_code && answer.http_failure().is_none()) {
        envelope::read(answer, codes)?;
    }
    if job.is_none() {
        return Err(answer.unexpected("the answer does not mention the job"));
    }
    let described =
        described.ok_or_else(|| answer.unexpected("the answer does not tell the job's state"))?;
    if described.id != id.as_str() {
        return Err(answer.unexpected("the answer is about another job"));
    }
    Ok(answer.redact_snapshot(snapshot(id, described)?))
}

/// What decides about a job, read leniently: id and state, then the result. Whatever is odd about the rest hides neither.
fn described_by(job: LenientValue<'_>) -> Option<JobInfo> {
    let id = job.get("id").filled()?;
    let state = job.get("status").word()?;
    let mut info = JobInfo::new(id.trim().to_owned(), JobStatus::from_word(&state));
    info.title = job.get("title").text();
    info.queue_wait_count = job.get("queue_wait_count").integer();
    info.progress_percent = job.get("progress_percent").integer();
    info.ppt_url = job.get("ppt_url").filled().map(SecretText::new);
    info.template_id = job.get("template_id").text();
    info.error = job.get("error").message();
    let images = job.get("preview_img_list").items();
    info.preview_img_list = Some(images.into_iter().filter_map(LenientValue::text).collect());
    Some(info)
}

/// The description of a job in an answer.
pub(crate) fn described(id: &JobId, answer: &Response, codes: &Codes) -> Result<JobInfo, Error> {
    let json = envelope::read(answer, codes)?;
    let (names, own_key) = envelope::JOB;
    let job: JobInfo = envelope::decode_part(answer, &json, names, own_key)?;
    if job.id != id.as_str() {
        return Err(answer.unexpected("the answer is about another job"));
    }
    Ok(job)
}

/// What the vendor's description of a job means.
///
/// Progress counts only while a job runs: the vendor's own sample shows a finished one with 0.
fn snapshot(id: &JobId, job: JobInfo) -> PollResult<Finished> {
    if job.id != id.as_str() {
        return Err(Error::new(ErrorKind::UnexpectedResponse, VENDOR, "job_get")
            .with_delivery(Delivery::Answered)
            .with_job(id.clone())
            .with_message("the answer is about another job"));
    }
    let text = |text: Option<String>| text.filter(|text| !text.is_empty()).map(Into::into);
    let word = job.status.as_str().to_owned();
    let status = match job.status {
        JobStatus::Queued => Status::Queued,
        JobStatus::Running => Status::Running,
        JobStatus::Succeeded => Status::Succeeded(Finished {
            job_id: id.clone(),
            title: job.title.unwrap_or_default().into(),
            template_id: text(job.template_id),
            preview_img_list: job.preview_img_list.unwrap_or_default(),
            ppt_url: text(job.ppt_url.map(|url| url.expose().to_owned())),
        }),
        JobStatus::Failed => Status::Failed(Failure::new(job.error.unwrap_or_default())),
        JobStatus::Other(word) => return Ok(Snapshot::unknown(word)),
    };
    let progress = progress(&status, job.queue_wait_count, job.progress_percent);
    Ok(Snapshot::new(status, word).with_progress(progress))
}

/// The counter that means something in this state.
pub(crate) fn progress<O>(
    status: &Status<O>,
    queue_wait_count: Option<i64>,
    progress_percent: Option<i64>,
) -> Progress {
    match status {
        Status::Queued => queue_wait_count
            .and_then(|jobs| u32::try_from(jobs).ok())
            .map_or_else(Progress::default, Progress::ahead),
        Status::Running => progress_percent
            .and_then(|percent| u8::try_from(percent.clamp(0, 100)).ok())
            .map_or_else(Progress::default, Progress::percent),
        _ => Progress::default(),
    }
}

#[cfg(test)]
mod tests {
    use jobs_core::http::LenientJson;

    use super::*;

    fn seen(json: &str) -> Snapshot<Finished> {
        let json = LenientJson::read(json.as_bytes());
        let job = described_by(json.value()).unwrap();
        snapshot(&JobId::new("j").unwrap(), job).unwrap()
    }

    #[test]
    fn an_end_is_seen_whatever_stands_beside_it() {
        for (json, status) in [
            (
                r#"{"id":"j","status":"failed","error":"bad \ud835 glyph","progress_percent":NaN}"#,
                "Failed(Failure { reason: \"bad \u{fffd} glyph\"",
            ),
            (
                r#"{"id":"j","status":"running","status":"succeeded","title":5,"preview_img_list":[1,{}],"extra":"cut"#,
                "Succeeded",
            ),
            (
                r#"{"id":"j","status":"failed","error":{"zh":1},}"#,
                "Failed",
            ),
        ] {
            let seen = format!("{:?}", seen(json).status);
            assert!(seen.starts_with(status), "{json}: {seen}");
        }
        for json in [
            r#"{"id":"j","status":"succ"#,
            r#"{"id":"j","error":"failed"}"#,
        ] {
            let json = LenientJson::read(json.as_bytes());
            assert_eq!(described_by(json.value()), None, "{json:?}");
        }
    }

    #[test]
    fn an_end_is_seen_whatever_the_code_beside_it() {
        let id = JobId::new("j").unwrap();
        let polled = |json: &str| {
            let answer =
                jobs_core::testing::canned_response("job_get", 200, &[], json.as_bytes(), &[]);
            super::seen(&id, &answer, &Codes::default()).map(|seen| format!("{:?}", seen.status))
        };
        let failed = r#"{"code":7,"info":"x","data":{"job":{"id":"j","status":"failed","error":{"msg":"坏"}}}}"#;
        assert_eq!(
            polled(failed).unwrap(),
            r#"Failed(Failure { reason: "{\"msg\":\"坏\"}", code: None })"#
        );
        let done = r#"{"code":7,"data":{"id":"j","status":"succeeded","ppt_url":"https://h/x"}}"#;
        assert!(polled(done).unwrap().starts_with("Succeeded"));
        for json in [
            r#"{"code":7,"data":{"job":{"id":"k","status":"failed"}}}"#,
            r#"{"code":7,"data":{"job":{"id":"j","status":"running"}}}"#,
            r#"{"data":{"job":{"id":"j","status":"failed"}}}"#,
        ] {
            assert!(polled(json).is_err(), "{json}");
        }
    }

    #[test]
    fn every_state_reads_as_the_table_says() {
        for (json, status) in [
            (r#"{"id":"j","status":"queued"}"#, "Queued"),
            (r#"{"id":"j","status":"running"}"#, "Running"),
            (
                r#"{"id":"j","status":"failed","error":"why"}"#,
                r#"Failed(Failure { reason: "why", code: None })"#,
            ),
            (
                r#"{"id":"j","status":"failed"}"#,
                r#"Failed(Failure { reason: "", code: None })"#,
            ),
            (r#"{"id":"j","status":"pondering"}"#, "Running"),
        ] {
            assert_eq!(format!("{:?}", seen(json).status), status, "{json}");
        }
        assert!(!seen(r#"{"id":"j","status":"pondering"}"#).is_known);
    }

    #[test]
    fn counters_are_believed_only_in_their_own_state() {
        let counters = |status: &str| {
            seen(&format!(
                r#"{{"id":"j","status":"{status}","queue_wait_count":3,"progress_percent":"140"}}"#
            ))
            .progress
        };
        assert_eq!(counters("queued"), Progress::ahead(3));
        assert_eq!(counters("running"), Progress::percent(100));
        assert_eq!(counters("succeeded"), Progress::default());
        assert_eq!(counters("failed"), Progress::default());
    }

    #[test]
    fn a_success_without_a_deck_says_so() {
        let ready = |json: &str| match seen(json).status {
            Status::Succeeded(ready) => ready,
            other => panic!("{other:?}"),
        };
        let bare = ready(r#"{"id":"j","status":"succeeded","ppt_url":""}"#);
        assert!(bare.ppt_url.is_none());
        assert!(
            ready(r#"{"id":"j","status":"succeeded"}"#)
                .ppt_url
                .is_none()
        );
        let full = ready(
            r#"{"id":"j","status":"succeeded","title":"T","ppt_url":"https://h/x?sig=s3cret"}"#,
        );
        assert_eq!(full.ppt_url.as_deref(), Some("https://h/x?sig=s3cret"));
        assert!(!format!("{full:?}").contains("s3cret"));
    }

    #[test]
    fn another_jobs_answer_is_not_ours() {
        let job = serde_json::from_str(r#"{"id":"k","status":"failed"}"#).unwrap();
        assert!(snapshot(&JobId::new("j").unwrap(), job).is_err());
    }
}
