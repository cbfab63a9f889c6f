//! The kind of job: how the vendor's states read, and what a success gives.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use jobs_core::clock::{Clock, Moment};
use jobs_core::disk::OutputPath;
use jobs_core::http::{DownloadError, LenientJson, Response, SavedFile, Verified};
use jobs_core::vendor::{
    Account, Failure, JobKind, KindPolicy, PollResult, PollResults, PollSchedule, Sourced,
};
use jobs_core::{Error, Job, JobId, RunError, Snapshot, Status};

use crate::api::Api;
use crate::bundle::{self, Bundle};
use crate::code::VENDOR;
use crate::date;
use crate::envelope;
use crate::generated::types::{self, JobState};
use crate::route::Route;

/// Conversion of one document into an H5 bundle.
///
/// Signed accounts have a kind of their own, `convert-signed`, so that a ticket cannot be continued through the other API.
#[derive(Debug, Clone)]
pub struct Conversion {
    pub(crate) api: Api,
}

/// A finished conversion: the bundle can be fetched, until it is purged after three days. Whatever is done with it is free and
/// harmless to repeat.
#[derive(Clone)]
#[non_exhaustive]
pub struct Ready {
    /// The job, by its token.
    pub job_id: JobId,
    /// The name that the vendor gives it; signed accounts are not told.
    pub name: Option<Box<str>>,
    /// The number of slides, where the vendor says so.
    pub total_pages: Option<u64>,
    /// The bundle may be purged at this time; signed accounts are not told.
    pub fetch_before: Option<SystemTime>,
    api: Api,
}

/// What the vendor says of a finished conversion.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Finished {
    pub(crate) name: Option<Box<str>>,
    pub(crate) total_pages: Option<u64>,
    pub(crate) fetch_before: Option<SystemTime>,
}

impl Ready {
    /// Writes the bundle to a file as the vendor serves it, byte for byte, after every entry of it was checked; complete or
    /// not at all. An existing file is not replaced.
    ///
    /// # Errors
    /// [`RunError`] with the ticket: the job has no bundle (any more), the bytes are not a whole bundle, or the file cannot
    /// be written.
    pub async fn save(&self, path: impl Into<PathBuf>) -> Result<SavedFile, RunError> {
        let path = path.into();
        let save = async {
            let target = OutputPath::new(&path).map_err(|cause| {
                let problem = format!("cannot write {}: {cause}", path.display());
                Error::local_io(VENDOR, "save", problem, cause)
            })?;
            let (verified, _) = self.fetch(&target, self.api.download_deadline()).await?;
            verified.save().await
        };
        save.await.map_err(|error: Error| {
            let kind = Arc::new(Conversion {
                api: self.api.clone(),
            });
            Job::attach(kind, self.job_id.clone()).fetch_error(error)
        })
    }

    /// Brings the bundle up to the point of giving it its name, and until `deadline`.
    ///
    /// # Errors
    /// [`ErrorKind::Refused`](jobs_core::ErrorKind::Refused) when the job has no bundle (any more),
    /// [`ErrorKind::NotFound`](jobs_core::ErrorKind::NotFound) for an unknown token,
    /// [`ErrorKind::TooLarge`](jobs_core::ErrorKind::TooLarge), [`ErrorKind::LocalIo`](jobs_core::ErrorKind::LocalIo). Bytes that
    /// arrived whole and are no bundle are handed over as [`DownloadError::Invalid`].
    pub async fn fetch(
        &self,
        target: &OutputPath,
        deadline: Moment,
    ) -> Result<(Verified, Bundle), DownloadError> {
        let fetched = self.api.fetch(&self.job_id, target, deadline).await?;
        fetched.verify(bundle::verify).await
    }
}

impl fmt::Debug for Ready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ready")
            .field("job_id", &self.job_id)
            .field("name", &self.name)
            .field("total_pages", &self.total_pages)
            .field("fetch_before", &self.fetch_before)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl JobKind for Conversion {
    type Output = Ready;

    fn vendor(&self) -> &'static str {
        VENDOR
    }

    fn name(&self) -> &'static str {
        if self.api.is_signed() {
            "convert-signed"
        } else {
            "convert"
        }
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

/// The policy of a conversion. What is inferred can be set through [`ClientBuilder::with_policy`](crate::ClientBuilder::with_policy).
pub(crate) fn policy() -> KindPolicy {
    let steps = [10, 10, 10, 15, 15, 20].map(Duration::from_secs).to_vec();
    let duration = "a conversion usually takes one to three minutes";
    let mut policy = KindPolicy::new(
        Sourced::documented(
            Duration::from_secs(10),
            "ppninja.github.io/saas-docs, jobs: poll at most every ten seconds",
        ),
        Sourced::inferred(
            Duration::from_secs(10),
            "the smallest pause, for the smallest documents",
        ),
        Sourced::inferred(PollSchedule::Steps(steps.into()), duration),
    );
    policy.max_interval = Sourced::inferred(Duration::from_secs(30), duration);
    policy.result_ttl = Some(Sourced::documented(
        Duration::from_secs(3 * 24 * 60 * 60),
        "ppninja.github.io/saas-docs, diagram of the states: purged after three days",
    ));
    policy
}

/// Polls a job once. Free, harmless to repeat, and not before the vendor's floor: [`Job::wait`] sees to that.
async fn poll_one(api: &Api, id: &JobId) -> PollResult<Ready> {
    let answer = api.get(Route::Poll(id), &[]).await?;
    let life = api.policy().result_ttl.as_ref().map(|life| life.value);
    let snapshot = seen(id, &answer, api.is_signed(), life)?;
    Ok(snapshot.map(|finished| Ready {
        job_id: id.clone(),
        name: finished.name,
        total_pages: finished.total_pages,
        fetch_before: finished.fetch_before,
        api: api.clone(),
    }))
}

/// What the answer to a poll says.
pub(crate) fn seen(
    id: &JobId,
    answer: &Response,
    is_signed: bool,
    result_life: Option<Duration>,
) -> PollResult<Finished> {
    let json = envelope::read(Route::Poll(id).operation(), answer)?;
    let snapshot = snapshot(id, &json, is_signed, result_life)
        .map_err(|problem| answer.unexpected(problem))?;
    Ok(answer.redact_snapshot(snapshot))
}

/// What a poll means. `Err` names what is missing.
///
/// The bundle is there while the vendor still tries to deliver its callback, which it does for up to twenty days: waiting for
/// `completed` would be waiting for somebody else's web server.
fn snapshot(
    id: &JobId,
    job: &LenientJson,
    is_signed: bool,
    result_life: Option<Duration>,
) -> Result<Snapshot<Finished>, &'static str> {
    match job.get("token").text() {
        Some(token) if token.trim() != id.as_str() => {
            return Err("the answer is about another job");
        }
        // Signed accounts are told the state and nothing else.
        None if !is_signed => return Err("the answer does not mention the job"),
        _ => {}
    }
    let Some(state) = job.get("state").word() else {
        return Err("the answer does not tell the job's state");
    };
    let state = JobState::from_word(&state);
    let word = state.as_str().to_owned();
    let status = match state {
        JobState::Uploading => Status::Queued,
        JobState::Converting | JobState::Rendering | JobState::Disting => Status::Running,
        JobState::Notifying | JobState::Completed => Status::Succeeded(Finished {
            name: job.get("name").text().map(Into::into),
            total_pages: job
                .get("total_pages")
                .integer()
                .and_then(|pages| pages.try_into().ok()),
            fetch_before: created(job)
                .zip(result_life)
                .and_then(|(created, life)| created.checked_add(life)),
        }),
        JobState::Halted => Status::Failed(Failure::new(
            job.get("last_error").message().unwrap_or_default(),
        )),
        JobState::Deleted => Status::Gone,
        JobState::Other(word) => return Ok(Snapshot::unknown(word)),
    };
    Ok(Snapshot::new(status, word))
}

fn created(job: &LenientJson) -> Option<SystemTime> {
    let mut dated = types::Job::default();
    dated.created_at = job.get("created_at").text();
    dated.created_at_in_ts = job.get("created_at_in_ts").integer();
    date::created(&dated)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(json: &str, is_signed: bool) -> Result<Snapshot<Finished>, &'static str> {
        snapshot(
            &JobId::new("8v9iSKnj").unwrap(),
            &LenientJson::read(json.as_bytes()),
            is_signed,
            Some(Duration::from_secs(60)),
        )
    }

    #[test]
    fn every_state_reads_as_the_table_says() {
        for (state, status, recognised) in [
            ("uploading", "Queued", true),
            ("converting", "Running", true),
            ("rendering", "Running", true),
            ("disting", "Running", true),
            ("notifying", "Succeeded", true),
            ("completed", "Succeeded", true),
            ("deleted", "Gone", true),
            (
                "halted",
                r#"Failed(Failure { reason: "", code: None })"#,
                true,
            ),
            ("polishing", "Running", false),
        ] {
            for (json, is_signed) in [
                (
                    format!(r#"{{"token":"8v9iSKnj","state":"{state}","last_error":null}}"#),
                    false,
                ),
                (format!(r#"{{"state":"{state}"}}"#), true),
            ] {
                let seen = seen(&json, is_signed).unwrap();
                assert!(format!("{:?}", seen.status).starts_with(status), "{json}");
                assert_eq!((&*seen.vendor_status, seen.is_known), (state, recognised));
            }
        }
    }

    #[test]
    fn an_end_is_seen_whatever_stands_beside_it() {
        for (json, is_signed, status) in [
            (
                r#"{"token":"8v9iSKnj","state":"halted","last_error":"bad \ud835 glyph","total_pages":NaN}"#,
                false,
                "Failed(Failure { reason: \"bad \u{fffd} glyph\"",
            ),
            (
                r#"{"token":"8v9iSKnj","state":"rendering","state":"completed","name":{"a":1},"created_at":5,}"#,
                false,
                "Succeeded",
            ),
            (r#"{"state":"deleted","last_error":[1"#, true, "Gone"),
        ] {
            let status_seen = format!("{:?}", seen(json, is_signed).unwrap().status);
            assert!(status_seen.starts_with(status), "{json}: {status_seen}");
        }
        for json in [
            r#"{"state":"hal"#,
            r#"{"state":null}"#,
            r#"{"last_error":"halted"}"#,
        ] {
            assert!(seen(json, true).is_err(), "{json}");
        }
    }

    #[test]
    fn a_failed_job_keeps_the_vendors_reason() {
        let json = r#"{"token":"8v9iSKnj","state":"halted","last_error":"slide 3 is broken"}"#;
        let Status::Failed(failure) = seen(json, false).unwrap().status else {
            panic!("not failed")
        };
        assert_eq!(&*failure.reason, "slide 3 is broken");
    }

    #[test]
    fn success_tells_until_when_the_bundle_is_kept() {
        let json = r#"{"token":"8v9iSKnj","name":"deck","state":"notifying","total_pages":"12",
            "created_at":"2017-07-29T18:20:39.000Z"}"#;
        let Status::Succeeded(ready) = seen(json, false).unwrap().status else {
            panic!("not succeeded")
        };
        let created = SystemTime::UNIX_EPOCH + Duration::from_secs(1_501_352_439);
        assert_eq!(ready.fetch_before, Some(created + Duration::from_secs(60)));
        assert_eq!(
            (ready.name.as_deref(), ready.total_pages),
            (Some("deck"), Some(12))
        );
        let Status::Succeeded(ready) = seen(r#"{"state":"completed"}"#, true).unwrap().status
        else {
            panic!("not succeeded")
        };
        assert_eq!(ready.fetch_before, None);
    }

    #[test]
    fn an_answer_without_the_job_or_its_state_is_no_poll() {
        for (json, is_signed) in [
            (r#"{"state":"completed"}"#, false),
            (r#"{"token":"other","state":"completed"}"#, false),
            (r#"{"token":"other","state":"completed"}"#, true),
            (r#"{"token":"8v9iSKnj"}"#, false),
            ("{}", true),
        ] {
            assert!(seen(json, is_signed).is_err(), "{json}");
        }
    }

    #[test]
    fn the_first_poll_comes_within_twenty_seconds_and_no_poll_under_ten() {
        let policy = policy();
        assert!(policy.initial_delay.value <= Duration::from_secs(20));
        assert_eq!(policy.min_interval.value, Duration::from_secs(10));
        assert!((1..50).all(
            |polls| policy.schedule.value.next_delay(polls, Duration::ZERO)
                >= policy.min_interval.value
        ));
    }
}
