//! The kind of job: how the vendor's states read, and what a success gives.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jobs_core::http::Answer;
use jobs_core::{
    Account, Call, Clock, Cost, Fact, Facts, Failure, JobId, JobKind, Look, Looks, Pacing, Repeat,
    Snapshot, Source, Status,
};

use crate::client::Client;
use crate::code::VENDOR;
use crate::envelope;
use crate::generated::types::{JobStatus, StatusAnswer, StatusData};

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

    fn facts(&self) -> &Facts {
        self.client.facts()
    }

    fn clock(&self) -> &Arc<dyn Clock> {
        self.client.clock()
    }

    async fn observe(&self, ids: &[JobId]) -> Looks<Ready> {
        let mut looks = Looks::of(VENDOR, ids);
        for (place, id) in ids.iter().enumerate() {
            looks.set(place, self.client.look(id).await);
        }
        looks
    }
}

/// The facts of a parse. What is inferred can be set through [`ClientBuilder::with_facts`](crate::ClientBuilder::with_facts).
pub(crate) fn facts() -> Facts {
    let steps = [2, 5, 10, 20, 30].map(Duration::from_secs).to_vec();
    let guidance = "the vendor's task guidance looks after 2, 5, 10, 20 and 30 s";
    let mut facts = Facts::new(
        Fact::observed(Duration::from_secs(2), guidance),
        Fact::observed(Duration::from_secs(2), guidance),
        Fact::observed(Pacing::Steps(steps.into()), guidance),
        CALLS,
    );
    facts.cap = Fact::observed(Duration::from_secs(30), guidance);
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
        repeat: Repeat::Paid,
        source: Source::Documented(
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
        repeat: Repeat::Paid,
        source: Source::Documented("docs.textin.com, page charge"),
    },
    Call {
        operation: "look",
        cost: Cost::Free,
        repeat: Repeat::Harmless,
        source: Source::Inferred("billing is per parsed page, and a look parses none"),
    },
    Call {
        operation: "fetch",
        cost: Cost::Free,
        repeat: Repeat::Harmless,
        source: Source::Inferred("billing is per parsed page, and a download parses none"),
    },
];

/// What the answer to a look says.
pub(crate) fn seen(id: &JobId, answer: &Answer) -> Look<Ready> {
    let content: StatusAnswer = envelope::open(answer)?;
    let data = content
        .data
        .ok_or_else(|| answer.garbled("the answer does not mention the job"))?;
    let snapshot = snapshot(id, data).map_err(|problem| answer.garbled(problem))?;
    Ok(answer.clean_snapshot(snapshot))
}

/// What the content of a look means. `Err` names what is missing.
///
/// A failed job comes under code 200 as well: only the state tells. The last three words are known to the vendor's Python
/// client alone.
fn snapshot(id: &JobId, data: StatusData) -> Result<Snapshot<Ready>, &'static str> {
    if data.job_id != id.as_str() {
        return Err("the answer is about another job");
    }
    let word = data.status.as_str().to_owned();
    let reason = data.message.or(data.error_message).unwrap_or_default();
    let ready = data
        .result_url
        .filter(|url| !url.is_empty())
        .map(|url| Ready {
            job_id: id.clone(),
            file_id: data.file_id.map(Into::into),
            result_url: url.into(),
        });
    let status = match (data.status, ready) {
        (JobStatus::Pending, _) => Status::Queued,
        (JobStatus::InProgress, _) => Status::Running,
        (JobStatus::Completed | JobStatus::PartialCompleted, Some(ready)) => {
            Status::Succeeded(ready)
        }
        (JobStatus::Completed, None) => {
            return Err("the job is completed, but its result has no address");
        }
        (JobStatus::Failed | JobStatus::PartialCompleted, _) => {
            Status::Failed(Failure::new(reason))
        }
        (JobStatus::Stopped | JobStatus::Deleted, _) => Status::Gone,
        (JobStatus::Other(word), _) => return Ok(Snapshot::unrecognised(word)),
    };
    Ok(Snapshot::new(status, word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(json: &str) -> Result<Snapshot<Ready>, &'static str> {
        snapshot(
            &JobId::new("j").unwrap(),
            serde_json::from_str(json).unwrap(),
        )
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
                .recognised
        );
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
