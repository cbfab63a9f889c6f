//! The kind of job: how the vendor's states read, and what a success gives.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jobs_core::http::{LenientValue, Response};
use jobs_core::{
    Account, Call, Clock, Cost, Failure, JobId, JobKind, KindPolicy, PollResult, PollResults,
    PollSchedule, Provenance, Repeat, Snapshot, Sourced, Status,
};

use crate::client::Client;
use crate::code::VENDOR;
use crate::envelope;
use crate::generated::types::JobStatus;

/// Asynchronous parsing of one document.
#[derive(Debug, Clone)]
pub struct Parse {
    pub(crate) client: Client,
}

/// A finished parse: where its result lies.
///
/// Nobody documents how long the link lives, so fetch at once; the client asks for a new one when it has expired.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ready {
    /// The job.
    pub job_id: JobId,
    /// The vendor's id of the document: the same bytes give the same id.
    pub file_id: Option<Box<str>>,
    pub(crate) result_url: Box<str>,
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
        self.client.account()
    }

    fn policy(&self) -> &KindPolicy {
        self.client.facts()
    }

    fn clock(&self) -> &Arc<dyn Clock> {
        self.client.clock()
    }

    async fn poll(&self, ids: &[JobId]) -> PollResults<Ready> {
        let mut looks = PollResults::of(VENDOR, ids);
        for (place, id) in ids.iter().enumerate() {
            looks.set(place, self.client.look(id).await);
        }
        looks
    }
}

/// The facts of a parse. What is inferred can be set through [`ClientBuilder::with_policy`](crate::ClientBuilder::with_policy).
pub(crate) fn policy() -> KindPolicy {
    let steps = [2, 5, 10, 20, 30].map(Duration::from_secs).to_vec();
    let guidance = "the vendor's task guidance looks after 2, 5, 10, 20 and 30 s";
    let mut facts = KindPolicy::new(
        Sourced::observed(Duration::from_secs(2), guidance),
        Sourced::observed(Duration::from_secs(2), guidance),
        Sourced::observed(PollSchedule::Steps(steps.into()), guidance),
        CALLS,
    );
    facts.max_interval = Sourced::observed(Duration::from_secs(30), guidance);
    facts
}

const CALLS: &[Call] = &[
    Call {
        operation: "submit",
        cost: Cost::Charged {
            least: 0,
            most: None,
            unit: "successfully parsed page",
        },
        repeat: Repeat::NonIdempotent,
        provenance: Provenance::Documented(
            "docs.textin.com, page charge: every successful call is billed, also for the same file",
        ),
    },
    Call {
        operation: "parse",
        cost: Cost::Charged {
            least: 0,
            most: None,
            unit: "successfully parsed page",
        },
        repeat: Repeat::NonIdempotent,
        provenance: Provenance::Documented("docs.textin.com, page charge"),
    },
    Call {
        operation: "look",
        cost: Cost::Free,
        repeat: Repeat::Idempotent,
        provenance: Provenance::Inferred("billing is per parsed page, and a look parses none"),
    },
    Call {
        operation: "fetch",
        cost: Cost::Free,
        repeat: Repeat::Idempotent,
        provenance: Provenance::Inferred("billing is per parsed page, and a download parses none"),
    },
];

/// What the answer to a look says.
pub(crate) fn seen(id: &JobId, answer: &Response) -> PollResult<Ready> {
    let json = envelope::open(answer)?;
    let snapshot = snapshot(id, json.get("data")).map_err(|problem| answer.unexpected(problem))?;
    Ok(answer.redact_snapshot(snapshot))
}

/// What the content of a look means. `Err` names what is missing.
///
/// The state decides, then the result; whatever is odd about the texts beside them hides neither. A failed job comes under
/// code 200 as well: only the state tells. The last three words are known to the vendor's Python client alone.
fn snapshot(id: &JobId, data: LenientValue<'_>) -> Result<Snapshot<Ready>, &'static str> {
    match data.get("job_id").text() {
        Some(about) if about.trim() == id.as_str() => {}
        Some(_) => return Err("the answer is about another job"),
        None => return Err("the answer does not mention the job"),
    }
    let state = data.get("status").word();
    let state = JobStatus::from_word(&state.ok_or("the answer does not tell the job's state")?);
    let text = |keys: &[&str]| data.first(keys).text().unwrap_or_default();
    let word = state.as_str().to_owned();
    let ready = data.get("result_url").filled().map(|url| Ready {
        job_id: id.clone(),
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
            Status::Failed(Failure::new(text(&["message", "error_message"])))
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

    fn seen(json: &str) -> Result<Snapshot<Ready>, &'static str> {
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
                r#"Failed(Failure { reason: "", code: None })"#,
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
