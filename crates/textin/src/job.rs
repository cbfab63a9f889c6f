//! The kind of job: how the vendor's states read, and what a success gives.

use std::fmt;
use std::io::Read as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jobs_core::clock::{Clock, Moment, bounded};
use jobs_core::disk::OutputPath;
use jobs_core::http::{DownloadError, LenientValue, Response, SavedFile, UnverifiedFile, Verified};
use jobs_core::vendor::{
    Account, Delivery, Failure, JobKind, KindPolicy, PollResult, PollResults, PollSchedule,
    Sourced, retry,
};
use jobs_core::{Error, ErrorKind, Job, JobId, RunError, Snapshot, Status};

use crate::api::Api;
use crate::code::VENDOR;
use crate::envelope;
use crate::generated::types::{Element, JobStatus};
use crate::result::{self, Parsed, ResultSummary};

/// Asynchronous parsing of one document.
#[derive(Debug, Clone)]
pub struct Parse {
    pub(crate) api: Api,
}

/// A finished parse: where its result lies.
///
/// Nobody documents how long the link lives, so fetch at once; a new one is asked for when it has expired. Whatever is done
/// with a result is free and harmless to repeat.
#[derive(Clone)]
#[non_exhaustive]
pub struct Ready {
    /// The job.
    pub job_id: JobId,
    /// The vendor's id of the document: the same bytes give the same id.
    pub file_id: Option<Box<str>>,
    result_url: Box<str>,
    api: Api,
}

/// Where a result lies.
pub(crate) struct Location {
    pub(crate) file_id: Option<Box<str>>,
    pub(crate) result_url: Box<str>,
}

impl Ready {
    /// The Markdown text.
    ///
    /// # Errors
    /// [`RunError`] with the ticket: the link has expired and a new one does too, the bytes are not a whole result, or it
    /// holds no Markdown.
    pub async fn markdown(&self) -> Result<String, RunError> {
        let target = OutputPath::temporary().map_err(|cause| self.lost(unwritable(cause)))?;
        let markdown = async {
            let deadline = self.api.download_deadline();
            let (verified, _) = self.fetch_markdown(&target, deadline).await?;
            let mut text = String::new();
            let read = verified.into_file()?.read_to_string(&mut text);
            read.map(|_| text).map_err(unwritable)
        };
        markdown.await.map_err(|error| self.lost(error))
    }

    /// The elements of the document, in its order.
    ///
    /// # Errors
    /// As [`parsed`](Self::parsed).
    pub async fn elements(&self) -> Result<Vec<Element>, RunError> {
        Ok(self.parsed().await?.result.elements)
    }

    /// The whole result in memory, up to the request layer's cap of 16 MiB.
    ///
    /// # Errors
    /// [`RunError`] with the ticket, as [`markdown`](Self::markdown).
    pub async fn parsed(&self) -> Result<Parsed, RunError> {
        self.read().await.map_err(|error| self.lost(error))
    }

    /// Writes the Markdown text to a file, complete or not at all. An existing file is not replaced.
    ///
    /// # Errors
    /// [`RunError`] with the ticket, as [`markdown`](Self::markdown), and when the file cannot be written.
    pub async fn save_markdown(&self, path: impl Into<PathBuf>) -> Result<SavedFile, RunError> {
        let save = async {
            let (target, deadline) = self.place(path)?;
            let (verified, _) = self.fetch_markdown(&target, deadline).await?;
            verified.save().await
        };
        save.await.map_err(|error| self.lost(error))
    }

    /// Writes the result to a file as the vendor serves it, byte for byte, complete or not at all. An existing file is not
    /// replaced.
    ///
    /// # Errors
    /// [`RunError`] with the ticket, as [`markdown`](Self::markdown), and when the file cannot be written.
    pub async fn save_json(&self, path: impl Into<PathBuf>) -> Result<SavedFile, RunError> {
        let save = async {
            let (target, deadline) = self.place(path)?;
            let (verified, _) = self.fetch_json(&target, deadline).await?;
            verified.save().await
        };
        save.await.map_err(|error| self.lost(error))
    }

    /// Brings the result, byte for byte, up to the point of giving it its name, and until `deadline`.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when the link has expired and a new one does too, [`ErrorKind::UnexpectedResponse`] when the bytes are
    /// not a whole result, [`ErrorKind::TooLarge`], [`ErrorKind::LocalIo`]. Bytes that arrived whole and are no result are
    /// handed over as [`DownloadError::Invalid`].
    pub async fn fetch_json(
        &self,
        target: &OutputPath,
        deadline: Moment,
    ) -> Result<(Verified, ResultSummary), DownloadError> {
        let fetched = self.fetch(target, deadline).await?;
        fetched.verify(result::inspect).await
    }

    /// Brings the Markdown text up to the point of giving it its name, and until `deadline`.
    ///
    /// # Errors
    /// As [`fetch_json`](Self::fetch_json); also for a result without Markdown.
    pub async fn fetch_markdown(
        &self,
        target: &OutputPath,
        deadline: Moment,
    ) -> Result<(Verified, ResultSummary), DownloadError> {
        let fetched = self.fetch(target, deadline).await?;
        fetched.convert(result::extract_markdown).await
    }

    async fn fetch(&self, target: &OutputPath, deadline: Moment) -> Result<UnverifiedFile, Error> {
        let (api, id) = (&self.api, &self.job_id);
        let fetched = api.fetch(id, &self.result_url, target, deadline).await;
        match self.renewed(fetched, deadline).await? {
            Followed::Through(fetched) => Ok(fetched),
            Followed::Renewed(new) => api.fetch(id, &new.result_url, target, deadline).await,
        }
    }

    async fn read(&self) -> Result<Parsed, Error> {
        let (api, id) = (&self.api, &self.job_id);
        let body = api.read(id, &self.result_url).await;
        let body = match self.renewed(body, api.download_deadline()).await? {
            Followed::Through(body) => body,
            Followed::Renewed(new) => api.read(id, &new.result_url).await?,
        };
        let (result, raw) = result::decode(&body).map_err(|problem| {
            Error::new(ErrorKind::UnexpectedResponse, VENDOR, "fetch")
                .with_delivery(Delivery::Answered)
                .with_job(id.clone())
                .with_message(problem)
        })?;
        Ok(Parsed {
            result,
            raw,
            partial: None,
        })
    }

    /// What came of following the result's link, or a new link if it was refused: nobody documents how long it lives.
    async fn renewed<T>(
        &self,
        outcome: Result<T, Error>,
        deadline: Moment,
    ) -> Result<Followed<T>, Error> {
        let refused = match outcome {
            Err(error) if error.kind() == ErrorKind::NotFound => error,
            outcome => return outcome.map(Followed::Through),
        };
        let clock = &**self.api.clock();
        let polled = retry::idempotent(clock, async || poll_one(&self.api, &self.job_id).await);
        let renewed = bounded(clock, deadline, polled).await;
        match renewed.ok_or(refused)??.status {
            Status::Succeeded(ready) => Ok(Followed::Renewed(ready)),
            _ => Err(Error::new(ErrorKind::NotFound, VENDOR, "fetch")
                .with_delivery(Delivery::Answered)
                .with_job(self.job_id.clone())
                .with_message("the result link has expired, and the vendor gives no new one")),
        }
    }

    fn place(&self, path: impl Into<PathBuf>) -> Result<(OutputPath, Moment), Error> {
        let path = path.into();
        let target = OutputPath::new(&path).map_err(|cause| {
            let problem = format!("cannot write {}: {cause}", path.display());
            Error::local_io(VENDOR, "save", problem, cause)
        })?;
        Ok((target, self.api.download_deadline()))
    }

    fn lost(&self, error: Error) -> RunError {
        let kind = Arc::new(Parse {
            api: self.api.clone(),
        });
        Job::attach(kind, self.job_id.clone()).fetch_error(error)
    }
}

enum Followed<T> {
    Through(T),
    Renewed(Ready),
}

fn unwritable(cause: std::io::Error) -> Error {
    let problem = format!("cannot keep the result in a temporary file: {cause}");
    Error::local_io(VENDOR, "fetch", problem, cause)
}

impl fmt::Debug for Location {
    /// Without the link, which may open the document for anybody.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Location")
            .field("file_id", &self.file_id)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Ready {
    /// Without the link, which may open the document for anybody.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ready")
            .field("job_id", &self.job_id)
            .field("file_id", &self.file_id)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl JobKind for Parse {
    type Output = Ready;

    fn vendor(&self) -> &'static str {
        VENDOR
    }

    fn name(&self) -> &'static str {
        "parse"
    }

    fn account(&self) -> Account {
        self.api.account()
    }

    fn policy(&self) -> &KindPolicy {
        self.api.policy()
    }

    fn clock(&self) -> &Arc<dyn Clock> {
        self.api.clock()
    }

    fn poll_group(&self) -> Option<usize> {
        Some(self.api.address())
    }

    async fn poll(&self, ids: &[JobId]) -> PollResults<Ready> {
        let mut results = PollResults::of(VENDOR, ids);
        for (place, id) in ids.iter().enumerate() {
            results.set(place, poll_one(&self.api, id).await);
        }
        results
    }
}

/// The policy of a parse. What is inferred can be set through [`ClientBuilder::with_policy`](crate::ClientBuilder::with_policy).
pub(crate) fn policy() -> KindPolicy {
    let steps = [2, 5, 10, 20, 30].map(Duration::from_secs).to_vec();
    let guidance = "the vendor's task guidance polls after 2, 5, 10, 20 and 30 s";
    let mut policy = KindPolicy::new(
        Sourced::observed(Duration::from_secs(2), guidance),
        Sourced::observed(Duration::from_secs(2), guidance),
        Sourced::observed(PollSchedule::Steps(steps.into()), guidance),
    );
    policy.max_interval = Sourced::observed(Duration::from_secs(30), guidance);
    policy
}

/// Polls a job once. Free, harmless to repeat, and not before the vendor's floor: [`Job::wait`] sees to that.
async fn poll_one(api: &Api, id: &JobId) -> PollResult<Ready> {
    let snapshot = seen(id, &api.poll_job(id).await?)?;
    Ok(snapshot.map(|location| Ready {
        job_id: id.clone(),
        file_id: location.file_id,
        result_url: location.result_url,
        api: api.clone(),
    }))
}

/// What the answer to a poll says.
pub(crate) fn seen(id: &JobId, answer: &Response) -> PollResult<Location> {
    let json = answer.json();
    let snapshot = snapshot(id, json.get("data"));
    let has_ended = snapshot.as_ref().is_ok_and(|seen| seen.status.is_final());
    // An end stands whatever the code beside it: 50207 tells that some pages of a finished job failed.
    if !(has_ended && (200..300).contains(&answer.status()) && envelope::code(&json).is_some()) {
        envelope::open(answer)?;
    }
    let snapshot = snapshot.map_err(|problem| answer.unexpected(problem))?;
    Ok(answer.redact_snapshot(snapshot))
}

/// What the content of a poll means. `Err` names what is missing.
///
/// The state decides, then the result; whatever is odd about the texts beside them hides neither. A failed job comes under
/// code 200 as well: only the state tells. The last three words are known to the vendor's Python client alone.
fn snapshot(id: &JobId, data: LenientValue<'_>) -> Result<Snapshot<Location>, &'static str> {
    match data.get("job_id").text() {
        Some(about) if about.trim() == id.as_str() => {}
        Some(_) => return Err("the answer is about another job"),
        None => return Err("the answer does not mention the job"),
    }
    let state = data.get("status").word();
    let state = JobStatus::from_word(&state.ok_or("the answer does not tell the job's state")?);
    let word = state.as_str().to_owned();
    let ready = data.get("result_url").filled().map(|url| Location {
        file_id: data.get("file_id").filled().map(Into::into),
        result_url: url.into(),
    });
    let status = match (state, ready) {
        (JobStatus::Pending, _) => Status::Queued,
        (JobStatus::InProgress, _) => Status::Running,
        (JobStatus::Completed | JobStatus::PartialCompleted, Some(ready)) => {
            Status::Succeeded(ready)
        }
        (JobStatus::Completed, None) => {
            return Err("the job is completed, but its result has no address");
        }
        (JobStatus::Failed | JobStatus::PartialCompleted, _) => {
            let reason = data.first(&["message", "error_message"]).message();
            Status::Failed(Failure::new(reason.unwrap_or_default()))
        }
        (JobStatus::Stopped | JobStatus::Deleted, _) => Status::Gone,
        (JobStatus::Other(word), _) => return Ok(Snapshot::unknown(word)),
    };
    Ok(Snapshot::new(status, word))
}

#[cfg(test)]
mod tests {
    use jobs_core::http::LenientJson;

    use super::*;

    fn seen(json: &str) -> Result<Snapshot<Location>, &'static str> {
        let json = LenientJson::read(json.as_bytes());
        snapshot(&JobId::new("j").unwrap(), json.value())
    }

    #[test]
    fn every_state_reads_as_the_table_says() {
        let word = |json: &str| format!("{:?}", seen(json).unwrap().status);
        for (json, status) in [
            (
                r#"{"job_id":"j","file_id":"f","status":"pending"}"#,
                "Queued",
            ),
            (r#"{"job_id":"j","status":"in_progress"}"#, "Running"),
            (
                r#"{"job_id":"j","status":"failed","message":"why"}"#,
                r#"Failed(Failure { reason: "why", code: None })"#,
            ),
            (
                r#"{"job_id":"j","status":"failed","error_message":"why"}"#,
                r#"Failed(Failure { reason: "why", code: None })"#,
            ),
            (
                r#"{"job_id":"j","status":"failed"}"#,
                r#"Failed(Failure { reason: "", code: None })"#,
            ),
            (
                r#"{"job_id":"j","status":"partial_completed"}"#,
                r#"Failed(Failure { reason: "", code: None })"#,
            ),
            (r#"{"job_id":"j","status":"stopped"}"#, "Gone"),
            (r#"{"job_id":"j","status":"deleted"}"#, "Gone"),
            (r#"{"job_id":"j","status":"pondering"}"#, "Running"),
        ] {
            assert_eq!(word(json), status, "{json}");
        }
        assert!(
            !seen(r#"{"job_id":"j","status":"pondering"}"#)
                .unwrap()
                .is_known
        );
    }

    #[test]
    fn an_end_is_seen_whatever_stands_beside_it() {
        let status = |json: &str| format!("{:?}", seen(json).unwrap().status);
        for (json, expected) in [
            (
                r#"{"job_id":"j","status":"failed","message":"bad \ud835 glyph"}"#,
                "Failed(Failure { reason: \"bad \u{fffd} glyph\", code: None })",
            ),
            (
                r#"{"job_id":"j","status":"failed","message":40422,"status":"failed"}"#,
                r#"Failed(Failure { reason: "40422", code: None })"#,
            ),
            (
                r#"{"job_id":"j","status":"failed","message":{"zh":"x"},"cost":NaN}"#,
                r#"Failed(Failure { reason: "{\"zh\":\"x\"}", code: None })"#,
            ),
            (r#"{"status":"stopped","pages":[1,],"job_id":"j""#, "Gone"),
            (r#"{"job_id":"j","status":"deleted","file_id":7}"#, "Gone"),
        ] {
            assert_eq!(status(json), expected, "{json}");
        }
        let json = r#"{"job_id":"j","status":"completed","file_id":12,"result_url":"https://h/x","message":"\ud835"}"#;
        let Status::Succeeded(ready) = seen(json).unwrap().status else {
            panic!("not succeeded")
        };
        assert_eq!(ready.file_id.as_deref(), Some("12"));
        for json in [
            r#"{"job_id":"j","message":"completed"}"#,
            r#"{"job_id":"j","status":null}"#,
            r#"{"job_id":"j","status":"comple"#,
        ] {
            assert!(seen(json).is_err(), "{json}");
        }
    }

    #[test]
    fn an_end_is_seen_whatever_the_code_beside_it() {
        let id = JobId::new("j").unwrap();
        let polled = |status: u16, json: &str| {
            let answer =
                jobs_core::testing::canned_response("poll", status, &[], json.as_bytes(), &[]);
            super::seen(&id, &answer).map(|seen| seen.vendor_status)
        };
        for (json, word) in [
            (
                r#"{"code":50207,"message":"m","data":{"job_id":"j","status":"completed","result_url":"https://h/x"}}"#,
                "completed",
            ),
            (
                r#"{"code":500,"message":"x","data":{"job_id":"j","status":"failed","message":"scan unreadable"}}"#,
                "failed",
            ),
            (
                r#"{"code":40004,"data":{"job_id":"j","status":"deleted"}}"#,
                "deleted",
            ),
        ] {
            assert_eq!(&*polled(200, json).unwrap(), word, "{json}");
            assert!(polled(502, json).is_err(), "{json}");
        }
        for json in [
            r#"{"code":500,"data":{"job_id":"k","status":"failed"}}"#,
            r#"{"code":500,"data":{"status":"failed"}}"#,
            r#"{"code":500,"data":{"job_id":"j","status":"in_progress"}}"#,
            r#"{"code":50207,"data":{"job_id":"j","status":"completed"}}"#,
            r#"{"data":{"job_id":"j","status":"failed"}}"#,
        ] {
            assert!(polled(200, json).is_err(), "{json}");
        }
    }

    #[test]
    fn success_needs_a_result() {
        let json = r#"{"job_id":"j","file_id":"f","status":"completed","result_url":"https://h/x?sig=s3cret"}"#;
        let Status::Succeeded(ready) = seen(json).unwrap().status else {
            panic!("not succeeded")
        };
        assert_eq!(&*ready.result_url, "https://h/x?sig=s3cret");
        assert!(!format!("{ready:?}").contains("s3cret"));
        assert!(seen(r#"{"job_id":"j","status":"completed"}"#).is_err());
        assert!(seen(r#"{"job_id":"j","status":"completed","result_url":""}"#).is_err());
    }

    #[test]
    fn another_jobs_answer_is_not_ours() {
        assert!(seen(r#"{"job_id":"k","status":"failed"}"#).is_err());
    }
}
