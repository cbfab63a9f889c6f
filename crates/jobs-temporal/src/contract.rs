//! What starters in any language rely on: names, queues, the input and its checks.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::failure::Failure;

/// The task queue of the workflows.
pub const WORKFLOW_QUEUE: &str = "docjobs";

/// The type of the workflow that has an account's jobs polled.
pub(crate) const ACCOUNT_WORKFLOW: &str = "docjobs.Account";
/// The signal that a job has settled or needs attention.
pub(crate) const SETTLED: &str = "settled";
/// The signal that a submit was answered after the engine had given it up.
pub(crate) const LATE: &str = "late";

/// How long a job may take that says nothing itself.
const DEADLINE: Duration = Duration::from_secs(24 * 60 * 60);

/// The task queue on which an account's activities run.
pub fn account_queue(vendor: &str, account: &str) -> String {
    format!("docjobs/{vendor}/{account}")
}

/// The id of the one workflow that has an account's jobs polled.
pub fn account_workflow_id(vendor: &str, account: &str) -> String {
    format!("docjobs.Account/{vendor}/{account}")
}

/// The id under which a job's workflow is started, so that the same input is one workflow. Starters may choose another: the
/// ledger, not the id, keeps the input from being bought twice.
pub fn workflow_id(vendor: &str, account: &str, digest: &[u8]) -> String {
    format!("docjobs/{vendor}/{account}/{}", hex::encode(digest))
}

/// The input of the workflow `docjobs.Job`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct JobRequest {
    /// The vendor.
    pub vendor: String,
    /// The kind of job.
    pub kind: String,
    /// What is sent to the vendor.
    pub input: InputSource,
    /// The options of the submit, as at the other doors.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub options: Map<String, Value>,
    /// Where the result goes, on the machine of the worker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<PathBuf>,
    /// Buys anew what that job of the ledger was; the same request again attaches to the job that it made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub again: Option<String>,
    /// How long all of it may take, such as `10m`; a day unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<String>,
}

/// Where the input of a job is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum InputSource {
    /// A file that the workers of the account can read.
    Path(PathBuf),
    /// An address from which the vendor fetches.
    Url(String),
    /// The text itself.
    Text(String),
    /// A job at the vendor.
    JobId(String),
}

impl JobRequest {
    /// Reads the input of a workflow, whatever a starter has put there.
    ///
    /// # Errors
    /// A failure of type `docjobs.InvalidInput` that says what is wrong.
    pub fn parse(input: Value) -> Result<Self, Failure> {
        let request: Self = serde_json::from_value(input).map_err(|problem| {
            Failure::invalid_input(format!(
                "the input of docjobs.Job is not usable: {problem}; it is \
                 {{\"vendor\",\"kind\",\"input\":{{\"path\"|\"url\"|\"text\"|\"job_id\"}},\"options\",\"output\",\"again\"}}"
            ))
        })?;
        request.deadline()?;
        Ok(request)
    }

    /// How long all of it may take.
    ///
    /// # Errors
    /// A failure of type `docjobs.InvalidInput`.
    pub fn deadline(&self) -> Result<Duration, Failure> {
        let Some(text) = &self.deadline else {
            return Ok(DEADLINE);
        };
        match humantime::parse_duration(text) {
            Ok(time) if !time.is_zero() => Ok(time),
            _ => Err(Failure::invalid_input(format!(
                "the deadline {text:?} is not usable; write it as 90s, 10m or 2h"
            ))),
        }
    }

    /// The job before the ledger has it, with the keys of `jobs --json`.
    pub(crate) fn unrecorded(&self) -> Value {
        let input = match &self.input {
            InputSource::Path(path) => path.display().to_string(),
            InputSource::Url(_) => "url".to_owned(),
            InputSource::Text(_) => "text".to_owned(),
            InputSource::JobId(id) => id.clone(),
        };
        json!({
            "id": null, "vendor": self.vendor, "kind": self.kind, "stage": "intended", "remote_id": null, "ticket": null,
            "input": input, "output": self.output, "created_at": null, "updated_at": null, "credits": null, "error": null,
        })
    }
}

/// What the update `resolve` takes: `{"adopt":ID}` or `{"abandon":true}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Resolve {
    /// The job in doubt is this one at the vendor.
    Adopt(String),
    /// The job is given up.
    Abandon(bool),
}

impl Resolve {
    /// Reads the argument of the update.
    ///
    /// # Errors
    /// A failure of type `docjobs.InvalidInput`.
    pub fn parse(input: Value) -> Result<Self, Failure> {
        let usage = || {
            Failure::invalid_input(
                "resolve takes {\"adopt\": JOB_ID} or {\"abandon\": true}".to_owned(),
            )
        };
        match serde_json::from_value(input) {
            Ok(Self::Adopt(id)) if id.is_empty() => Err(usage()),
            Ok(Self::Abandon(false)) | Err(_) => Err(usage()),
            Ok(resolve) => Ok(resolve),
        }
    }
}

/// The account that a worker has for a vendor and kind, and what its workflows need to know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AccountTarget {
    /// The vendor.
    pub vendor: String,
    /// The account, as in queue names.
    pub account: String,
    /// How many seconds a waiting workflow goes without asking the ledger.
    pub recheck_seconds: u64,
    /// Whether the namespace has our search attributes.
    pub has_search_attributes: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(input: Value) -> String {
        let failure = JobRequest::parse(input).unwrap_err();
        assert_eq!(
            (failure.kind(), failure.exit_code),
            ("docjobs.InvalidInput", 2)
        );
        failure.message
    }

    #[test]
    fn an_input_in_the_words_of_the_contract_is_read() {
        let input = json!({
            "vendor": "textin", "kind": "parse", "input": {"path": "/in/a.pdf"}, "options": {"pages": "1-5"},
            "output": "/out/a.md", "again": null,
        });
        let request = JobRequest::parse(input).unwrap();
        assert_eq!(request.input, InputSource::Path("/in/a.pdf".into()));
        assert_eq!(request.options["pages"], "1-5");
        assert_eq!(request.output.as_deref(), Some("/out/a.md".as_ref()));
        assert_eq!(request.again, None);
        assert_eq!(request.deadline().unwrap(), DEADLINE);
        let row = request.unrecorded();
        assert_eq!(row["stage"], "intended");
        assert_eq!(row.as_object().unwrap().len(), 12);
    }

    #[test]
    fn each_source_has_the_name_of_the_contract() {
        for (word, source) in [
            ("path", InputSource::Path("x".into())),
            ("url", InputSource::Url("x".into())),
            ("text", InputSource::Text("x".into())),
            ("job_id", InputSource::JobId("x".into())),
        ] {
            let input = json!({"vendor": "v", "kind": "k", "input": {word: "x"}});
            assert_eq!(JobRequest::parse(input).unwrap().input, source);
        }
    }

    #[test]
    fn what_is_not_in_the_contract_is_refused_with_a_sentence() {
        assert!(refused(json!(null)).contains("the input of docjobs.Job is not usable"));
        assert!(refused(json!({"vendor": "textin"})).contains("missing field `kind`"));
        let two = json!({"vendor": "v", "kind": "k", "input": {"path": "a", "url": "b"}});
        assert!(refused(two).contains("is not usable"));
        let odd = json!({"vendor": "v", "kind": "k", "input": {"path": "a"}, "outptu": "b"});
        assert!(refused(odd).contains("unknown field `outptu`"));
        for deadline in ["soon", "0s"] {
            let late =
                json!({"vendor": "v", "kind": "k", "input": {"text": "a"}, "deadline": deadline});
            assert!(refused(late).contains("the deadline"));
        }
    }

    #[test]
    fn a_job_in_doubt_is_adopted_or_abandoned_and_nothing_else() {
        let adopt = Resolve::parse(json!({"adopt": "17"})).unwrap();
        assert_eq!(adopt, Resolve::Adopt("17".to_owned()));
        assert_eq!(
            Resolve::parse(json!({"abandon": true})).unwrap(),
            Resolve::Abandon(true)
        );
        for odd in [
            json!(null),
            json!({}),
            json!({"adopt": ""}),
            json!({"abandon": false}),
            json!({"adopt": "1", "abandon": true}),
        ] {
            assert!(Resolve::parse(odd.clone()).is_err(), "{odd}");
        }
    }

    #[test]
    fn queues_and_ids_have_the_names_of_the_contract() {
        assert_eq!(account_queue("textin", "ab12"), "docjobs/textin/ab12");
        assert_eq!(
            workflow_id("textin", "ab12", &[0xfe, 1]),
            "docjobs/textin/ab12/fe01"
        );
    }
}
