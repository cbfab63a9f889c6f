//! The kind of job: how the vendor's states read, and what a success gives.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jobs_core::clock::Clock;
use jobs_core::http::{LenientValue, Response};
use jobs_core::vendor::{
    Account, Failure, JobKind, KindPolicy, PollResult, PollResults, PollSchedule, Sourced,
};
use jobs_core::{JobId, Snapshot, Status};

use crate::action::{Action, Family};
use crate::api::{self, Api, Payload};
use crate::code::VENDOR;
use crate::envelope;
use crate::request;
use crate::resource::ResourceId;

/// Conversion of one uploaded file to a PDF that can be signed.
#[derive(Debug, Clone)]
pub struct Conversion {
    pub(crate) api: Api,
    pub(crate) family: Family,
}

/// A finished conversion.
///
/// Nobody documents how long the vendor keeps the PDF. Uploaded files live about an hour, so start the contract soon.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ready {
    /// The job.
    pub job_id: JobId,
    /// The PDF. It starts a contract; no documented operation turns it into a download.
    pub resource_id: ResourceId,
}

impl Conversion {
    /// The pair of operations by which its jobs are created and polled.
    pub fn family(&self) -> Family {
        self.family
    }

    /// Polls a job once. Free, harmless to repeat, and not before the floor: [`Job::wait`](jobs_core::Job::wait) sees to
    /// that.
    async fn poll_one(&self, id: &JobId) -> PollResult<Ready> {
        let settings = self.api.settings();
        let payload = Payload::json(request::describe(&settings.product, id.as_str())?);
        let call = api::Call {
            job: Some(id),
            ..api::Call::new(Action::Poll(self.family), &payload)
        };
        let read = |answer: &Response| seen(id, answer, settings.negative_runs_on);
        Ok(self.api.answered(&call, read).await?.0)
    }
}

#[async_trait]
impl JobKind for Conversion {
    type Output = Ready;

    fn vendor(&self) -> &'static str {
        VENDOR
    }

    fn name(&self) -> &'static str {
        self.family.kind_name(&self.api.settings().product)
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
        for (place, id) in ids.iter().enumerate() {
            results.set(place, self.poll_one(id).await);
        }
        results
    }
}

/// The policy of a conversion. What is inferred can be set through [`ClientBuilder::with_policy`](crate::ClientBuilder::with_policy).
pub(crate) fn policy() -> KindPolicy {
    let growing = PollSchedule::Exponential {
        first: Duration::from_secs(1),
        factor: 1.5,
    };
    let sample = "the documented sample is done about 6 s after its creation";
    let mut policy = KindPolicy::new(
        Sourced::inferred(
            Duration::from_secs(1),
            "nobody states a floor; 20 requests a second are shared by all tasks of an account",
        ),
        Sourced::inferred(Duration::from_secs(1), sample),
        Sourced::inferred(growing, sample),
    );
    policy.max_interval = Sourced::observed(
        Duration::from_secs(5),
        "the waiting option of the vendor's command line polls every 5 s",
    );
    policy.result_ttl = Some(Sourced::inferred(
        Duration::from_secs(60 * 60),
        "uploaded file ids live an hour, and the PDF is a file id too",
    ));
    policy
}

/// What the answer to a poll says.
pub(crate) fn seen(id: &JobId, answer: &Response, negative_runs_on: bool) -> PollResult<Ready> {
    let json = answer.json();
    let snapshot = snapshot(id, envelope::outcome(&json), negative_runs_on);
    let has_ended = snapshot
        .as_ref()
        .is_ok_and(|seen| seen.is_known && seen.status.is_final());
    // A documented end stands whatever failure is named beside it.
    if !(has_ended && (200..300).contains(&answer.status())) {
        envelope::open(answer)?;
    }
    let snapshot = snapshot.map_err(|problem| envelope::garbled(answer, &json, problem))?;
    Ok(answer.redact_snapshot(snapshot))
}

/// What the content of a poll means. `Err` names what is missing.
///
/// The number alone decides; the text comes in English or Chinese. The id in the answer may have another form than the
/// one asked for, as it has in the documentation's own sample. Gaps in the numbering suggest states that nobody
/// documents: the documented failures are the negative ones, so another negative number counts as a failure too, unless
/// `negative_runs_on`.
fn snapshot(
    id: &JobId,
    seen: LenientValue<'_>,
    negative_runs_on: bool,
) -> Result<Snapshot<Ready>, &'static str> {
    let number = seen.get("TaskStatus").integer();
    let number = number.ok_or("the answer does not mention the job's state")?;
    let text = seen
        .get("TaskMessage")
        .message()
        .filter(|text| !text.trim().is_empty());
    let constant = match number {
        0 => Some("NeedTranform"),
        4 => Some("Processing"),
        8 => Some("TaskEnd"),
        -2 => Some("DownloadFailed"),
        -6 => Some("ProcessFailed"),
        -13 => Some("ProcessTimeout"),
        _ => None,
    };
    let word = match (text, constant) {
        (Some(text), Some(_)) => text,
        (None, Some(constant)) => constant.to_owned(),
        (Some(text), None) => format!("{number} {text}"),
        (None, None) => number.to_string(),
    };
    let status = match number {
        0 => Status::Queued,
        4 => Status::Running,
        8 => {
            let resource_id =
                ResourceId::new(seen.get("ResourceId").text().unwrap_or_default().trim())
                    .map_err(|_| "the job is done, but without a usable file id")?;
            Status::Succeeded(Ready {
                job_id: id.clone(),
                resource_id,
            })
        }
        ..0 if constant.is_some() || !negative_runs_on => {
            Status::Failed(Failure::new(word.clone()).with_code(number.to_string()))
        }
        _ => return Ok(Snapshot::unknown(word)),
    };
    let mut snapshot = Snapshot::new(status, word);
    snapshot.is_known = constant.is_some();
    Ok(snapshot)
}

#[cfg(test)]
mod tests {
    use jobs_core::http::LenientJson;

    use super::*;

    fn seen(json: &str, negative_runs_on: bool) -> Result<Snapshot<Ready>, &'static str> {
        let json = LenientJson::read(json.as_bytes());
        snapshot(&JobId::new("j").unwrap(), json.value(), negative_runs_on)
    }

    #[test]
    fn every_state_reads_as_the_table_says() {
        for (json, status, word, recognised) in [
            (
                r#"{"TaskStatus":0,"TaskMessage":"任务已提交"}"#,
                "Queued",
                "任务已提交",
                true,
            ),
            (r#"{"TaskStatus":0}"#, "Queued", "NeedTranform", true),
            (
                r#"{"TaskStatus":4,"TaskMessage":"Processing","ResourceId":null}"#,
                "Running",
                "Processing",
                true,
            ),
            (
                r#"{"TaskStatus":"4","ResourceId":""}"#,
                "Running",
                "Processing",
                true,
            ),
            (
                r#"{"TaskStatus":-2}"#,
                r#"Failed(Failure { reason: "DownloadFailed", code: Some("-2") })"#,
                "DownloadFailed",
                true,
            ),
            (
                r#"{"TaskStatus":-6,"TaskMessage":"转换失败"}"#,
                r#"Failed(Failure { reason: "转换失败", code: Some("-6") })"#,
                "转换失败",
                true,
            ),
            (
                r#"{"TaskStatus":-13,"TaskMessage":"TaskEnd"}"#,
                r#"Failed(Failure { reason: "TaskEnd", code: Some("-13") })"#,
                "TaskEnd",
                true,
            ),
            (
                r#"{"TaskStatus":-7,"TaskMessage":"odd"}"#,
                r#"Failed(Failure { reason: "-7 odd", code: Some("-7") })"#,
                "-7 odd",
                false,
            ),
            (
                r#"{"TaskStatus":6,"TaskMessage":"TaskEnd","ResourceId":"r"}"#,
                "Running",
                "6 TaskEnd",
                false,
            ),
            (r#"{"TaskStatus":9}"#, "Running", "9", false),
        ] {
            let snapshot = seen(json, false).unwrap();
            assert_eq!(format!("{:?}", snapshot.status), status, "{json}");
            assert_eq!(
                (&*snapshot.vendor_status, snapshot.is_known),
                (word, recognised),
                "{json}"
            );
        }
    }

    #[test]
    fn an_end_is_seen_whatever_stands_beside_it() {
        for (json, status) in [
            (
                r#"{"TaskStatus":8,"Cost":NaN,"ResourceId":"r","TaskMessage":7}"#,
                "Succeeded",
            ),
            (
                r#"{"TaskStatus":4,"TaskStatus":8.0,"ResourceId":12,"Extra":[1,]"#,
                "Succeeded",
            ),
            (
                r#"{"TaskStatus":" -6 ","TaskMessage":"bad \udc00 glyph"}"#,
                "Failed",
            ),
            (
                r#"{"TaskStatus":-13,"TaskMessage":{"zh":"x"},"PreviewUrl":5}"#,
                "Failed",
            ),
        ] {
            let seen = seen(json, false).unwrap();
            assert!(
                format!("{:?}", seen.status).starts_with(status),
                "{json}: {seen:?}"
            );
        }
        for json in [
            r#"{"TaskMessage":"TaskEnd","ResourceId":"r"}"#,
            r#"{"TaskStatus":NaN}"#,
            r#"{"TaskStatus":8"#,
            r#"{"TaskStatus":[8],"ResourceId":"r"}"#,
        ] {
            assert!(seen(json, false).is_err(), "{json}");
        }
    }

    #[test]
    fn an_end_is_seen_whatever_failure_is_named_beside_it() {
        let id = JobId::new("j").unwrap();
        let polled = |status: u16, content: &str| {
            let json = format!(
                r#"{{"Response":{{"Error":{{"Code":"InternalError","Message":"m"}},{content}}}}}"#
            );
            let answer =
                jobs_core::testing::canned_response("poll", status, &[], json.as_bytes(), &[]);
            super::seen(&id, &answer, false)
        };
        for content in [
            r#""TaskStatus":8,"ResourceId":"r""#,
            r#""TaskStatus":-6,"TaskMessage":"bad"#,
        ] {
            assert!(polled(200, content).unwrap().status.is_final(), "{content}");
            assert!(polled(502, content).is_err(), "{content}");
        }
        for content in [
            r#""TaskStatus":4"#,
            r#""TaskStatus":-7"#,
            r#""TaskStatus":8"#,
        ] {
            let error = polled(200, content).unwrap_err();
            assert_eq!(error.code(), Some("InternalError"), "{content}");
        }
    }

    #[test]
    fn a_message_of_another_type_is_told() {
        let snapshot = seen(r#"{"TaskStatus":-6,"TaskMessage":{"zh":"坏"}}"#, false).unwrap();
        assert_eq!(&*snapshot.vendor_status, r#"{"zh":"坏"}"#);
    }

    #[test]
    fn an_unknown_negative_number_runs_on_if_the_caller_says_so() {
        let snapshot = seen(r#"{"TaskStatus":-7}"#, true).unwrap();
        assert!(matches!(snapshot.status, Status::Running) && !snapshot.is_known);
        let known = seen(r#"{"TaskStatus":-6}"#, true).unwrap();
        assert!(matches!(known.status, Status::Failed(_)));
    }

    #[test]
    fn success_needs_a_file_id_and_not_the_same_task_id() {
        let json = r#"{"TaskId":"20231101191954296703","TaskStatus":8,"ResourceId":"yDSL","TaskMessage":"任务处理完成"}"#;
        let Status::Succeeded(ready) = seen(json, false).unwrap().status else {
            panic!("not succeeded")
        };
        assert_eq!(
            (ready.resource_id.as_str(), ready.job_id.as_str()),
            ("yDSL", "j")
        );
        for json in [
            r#"{"TaskStatus":8}"#,
            r#"{"TaskStatus":8,"ResourceId":""}"#,
            r#"{"TaskStatus":8,"ResourceId":null}"#,
            r#"{"TaskStatus":8,"ResourceId":"a b"}"#,
            r#"{"TaskMessage":"TaskEnd","ResourceId":"yDSL"}"#,
        ] {
            assert!(seen(json, false).is_err(), "{json}");
        }
    }
}
