//! The answers of the tools: one shape for every job, with the exit code that the command line would end with and one
//! sentence that says what to call next.

use std::path::Path;

use jobs_ledger::{JobRecord, ParkReason, Stage};
use jobs_runner::ErrorCategory;
use rmcp::model::{CallToolResult, ContentBlock, JsonObject, Resource};
use serde_json::{Value, json};

use crate::exit::{CommandError, ExitCode};
use crate::moment::rfc3339;

/// A call that did not do what it should: the command line's sentence and exit code.
#[derive(Debug)]
pub(crate) struct ToolError {
    pub(crate) exit: ExitCode,
    pub(crate) sentence: String,
}

impl ToolError {
    pub(crate) fn new(exit: ExitCode, sentence: impl Into<String>) -> Self {
        Self {
            exit,
            sentence: sentence.into(),
        }
    }

    /// The caller has to change something. Nothing was sent.
    pub(crate) fn invalid(sentence: impl Into<String>) -> Self {
        Self::new(ExitCode::InvalidInput, sentence)
    }

    pub(crate) fn into_result(self) -> CallToolResult {
        CallToolResult::structured_error(json!({
            "error": self.sentence,
            "exit_code": self.exit as u8,
        }))
    }
}

impl<E: Into<CommandError>> From<E> for ToolError {
    fn from(error: E) -> Self {
        let error = error.into();
        Self::new(error.exit, error.line)
    }
}

/// A result as an answer shows it.
#[derive(Debug, Default)]
pub(crate) struct ResultView {
    pub(crate) path: Option<String>,
    pub(crate) bytes: Option<u64>,
    /// The whole of a short text, or its beginning.
    pub(crate) preview: Option<String>,
    pub(crate) is_whole: bool,
    pub(crate) mime_type: &'static str,
}

/// What an answer needs to know beside the record of the job.
#[derive(Debug, Default)]
pub(crate) struct Surroundings {
    /// The unit in which the vendor charges.
    pub(crate) unit: &'static str,
    /// Whether a worker runs in this process.
    pub(crate) works: bool,
    pub(crate) result: Option<ResultView>,
    /// Jobs at the vendor that may be the one whose answer was lost.
    pub(crate) candidates: Vec<String>,
}

/// Results that are longer come as a link.
pub(crate) const WHOLE: u64 = 32 * 1024;
/// How much of a longer one is shown, in characters.
pub(crate) const PREVIEW: u64 = 2_000;

/// The answer about a job.
pub(crate) fn job(record: &JobRecord, surroundings: &Surroundings) -> JsonObject {
    let result = surroundings.result.as_ref().map(|result| {
        json!({
            "path": result.path, "bytes": result.bytes, "preview": result.preview, "is_whole": result.is_whole,
        })
    });
    let answer = json!({
        "id": record.id.to_string(),
        "stage": record.stage.as_str(),
        "vendor": record.vendor,
        "kind": record.kind,
        "remote_id": record.remote_id.as_ref().map(jobs_core::JobId::as_str),
        "result": result,
        "money": {
            "charged": record.credits, "reserved": record.reserved, "unit": surroundings.unit,
        },
        "exit_code": exit_code(record) as u8,
        "blocked_until": blocked_until(record),
        "next": next(record, surroundings),
    });
    let Value::Object(mut answer) = answer else {
        return JsonObject::new();
    };
    if let Some(error) = record.error.as_deref()
        && record.stage != Stage::Completed
    {
        answer.insert("error".to_owned(), error.into());
    }
    if record.stage == Stage::InDoubt {
        answer.insert(
            "candidates".to_owned(),
            surroundings.candidates.clone().into(),
        );
    }
    answer
}

/// The answer as a tool gives it: a failed job is an error of a tool that was to bring its result.
pub(crate) fn into_result(
    record: &JobRecord,
    answer: JsonObject,
    link: Option<Resource>,
    is_purchase: bool,
) -> CallToolResult {
    let value = Value::Object(answer);
    let is_error = is_purchase
        && matches!(
            record.stage,
            Stage::Failed | Stage::Gone | Stage::Rejected | Stage::Abandoned
        );
    let mut result = if is_error {
        CallToolResult::structured_error(value)
    } else {
        CallToolResult::structured(value)
    };
    result.content.extend(link.map(ContentBlock::resource_link));
    result
}

/// What the command line would end with.
pub(crate) fn exit_code(record: &JobRecord) -> ExitCode {
    let by_error = || {
        let kind = record.error_data.as_ref()?.error_kind()?;
        let error = jobs_core::Error::new(kind, "", "");
        Some(ExitCode::from(ErrorCategory::of_rejection(&error)))
    };
    match record.stage {
        Stage::Completed => ExitCode::Closed,
        Stage::Failed | Stage::Gone | Stage::Abandoned => ExitCode::Failed,
        Stage::InDoubt => ExitCode::OutcomeUnknown,
        Stage::Rejected => by_error().unwrap_or(ExitCode::Failed),
        Stage::Intended if blocked_until(record).is_some() => ExitCode::QuotaExceeded,
        Stage::Intended if record.parked == Some(ParkReason::InputFile) => ExitCode::InvalidInput,
        Stage::Intended => by_error().unwrap_or(ExitCode::Unfinished),
        _ if record.parked == Some(ParkReason::PaidPolls) => ExitCode::QuotaExceeded,
        _ => ExitCode::Unfinished,
    }
}

/// Until when a budget keeps the job from being submitted.
pub(crate) fn blocked_until(record: &JobRecord) -> Option<String> {
    record.blocked_until.map(rfc3339)
}

/// Whether waiting longer changes nothing by itself.
pub(crate) fn is_decided(record: &JobRecord, works: bool) -> bool {
    let is_refused = record.stage == Stage::Intended
        && matches!(
            exit_code(record),
            ExitCode::Unauthenticated | ExitCode::QuotaExceeded | ExitCode::InvalidInput
        );
    let is_left = !works && record.stage == Stage::InDoubt;
    record.stage.is_settled() || record.needs_attention() || is_refused || is_left
}

/// One sentence that says what to call.
fn next(record: &JobRecord, surroundings: &Surroundings) -> String {
    let id = record.id;
    let again = format!(
        "call the same tool again with the same arguments, or get_job {{\"id\": \"{id}\"}}; neither pays again"
    );
    match record.stage {
        Stage::Completed => match &surroundings.result {
            Some(result) if result.is_whole && result.preview.is_some() => {
                "Nothing more to do: result.preview is the whole result.".to_owned()
            }
            Some(result) if result.preview.is_some() => format!(
                "Read the whole result with get_result {{\"id\": \"{id}\"}} in pages, or as the resource {}.",
                uri(record)
            ),
            Some(result) if result.bytes.is_some() => {
                "Nothing more to do: the result is the file at result.path.".to_owned()
            }
            _ => format!(
                "The result no longer lies where it was put; get_result {{\"id\": \"{id}\"}} fetches it again while the \
                 vendor keeps it, without paying."
            ),
        },
        Stage::InDoubt if record.parked.is_none() && surroundings.works => {
            format!("The answer to the submit was lost and the vendor is being searched: {again}.")
        }
        Stage::InDoubt => format!(
            "Do not buy this again: it may have been charged. Ask the user to look into the vendor's console, then call \
             resolve_job {{\"id\": \"{id}\", \"adopt\": \"THE VENDOR'S ID\"}} if the job is there, or resolve_job \
             {{\"id\": \"{id}\", \"abandon\": true}} if it is not."
        ),
        Stage::Failed => format!(
            "The vendor said that the job failed; fix the input, or buy it anew on purpose with \
             \"again\": \"{id}\", which pays again."
        ),
        Stage::Gone => format!(
            "The vendor no longer has the job or its result; \"again\": \"{id}\" buys it anew and pays again."
        ),
        Stage::Rejected => {
            "Nothing was bought: change what the error names, then call the tool again.".to_owned()
        }
        Stage::Abandoned => {
            "The job was given up; the same call buys it anew and pays again.".to_owned()
        }
        Stage::Intended if blocked_until(record).is_some() => format!(
            "The budget has no room; the job is submitted by itself when it has. A person can raise it with docjobs \
             budget set {}. Later, {again}.",
            record.vendor
        ),
        Stage::Intended if record.parked == Some(ParkReason::InputFile) => {
            "The input cannot be read any more, and nothing was sent: put it back, then call the tool again."
                .to_owned()
        }
        _ if record.parked == Some(ParkReason::PaidPolls) => {
            "All calls that were allowed are spent: call the tool again with a higher max_calls; each may cost credits."
                .to_owned()
        }
        _ if record.needs_attention() => format!(
            "The job needs attention: {}. Afterwards run docjobs resume {id}, or {again}.",
            record.error.as_deref().unwrap_or("see docjobs show")
        ),
        _ if !surroundings.works => format!(
            "No worker runs here: docjobs work or docjobs serve --work must run on this ledger. Later, {again}."
        ),
        _ => format!("The job goes on by itself: {again}."),
    }
}

/// The resource that is a job's result.
pub(crate) fn uri(record: &JobRecord) -> String {
    format!("docjobs://jobs/{}/result", record.id)
}

/// The id in the address of a result.
pub(crate) fn id_in(uri: &str) -> Option<&str> {
    uri.strip_prefix("docjobs://jobs/")?.strip_suffix("/result")
}

/// The media type of a result, by its name.
pub(crate) fn mime_type(path: &Path) -> &'static str {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("md") => "text/markdown",
        Some("json") => "application/json",
        Some("txt") => "text/plain",
        Some("pdf") => "application/pdf",
        Some("zip") => "application/zip",
        Some("pptx") => "application/vnd.openxmlformats-officedocument.presentationml.presentation",
        _ => "application/octet-stream",
    }
}
