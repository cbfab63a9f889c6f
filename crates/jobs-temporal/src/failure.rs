//! How a job that has no result ends its workflow: `docjobs.KIND`, the command line's sentence, its exit code, the ticket.

use jobs_core::ErrorKind;
use jobs_runner::{ErrorCategory, RunnerError, RunnerErrorKind};
use serde::{Deserialize, Serialize};
use temporalio_common::protos::temporal::api::failure::v1::Failure as EngineFailure;
use temporalio_common::protos::temporal::api::failure::v1::failure::FailureInfo;
use temporalio_sdk::ApplicationFailure;

/// A typed end without a result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
#[non_exhaustive]
pub struct Failure {
    /// `docjobs.` and the kind of error.
    #[serde(rename = "type")]
    kind: String,
    /// The command line's sentence.
    pub message: String,
    /// The command line's exit code.
    pub exit_code: u8,
    /// What any process can continue with.
    pub ticket: Option<String>,
}

/// What the details of the application failure hold.
#[derive(Debug, Serialize, Deserialize)]
struct Details {
    message: String,
    exit_code: u8,
    ticket: Option<String>,
}

impl Failure {
    /// A failure of this kind of error.
    pub fn new(kind: &str, exit_code: u8, message: impl Into<String>) -> Self {
        Self {
            kind: format!("docjobs.{kind}"),
            message: message.into(),
            exit_code,
            ticket: None,
        }
    }

    /// The caller has to change something. Nothing was sent.
    pub fn invalid_input(message: impl Into<String>) -> Self {
        Self::new("InvalidInput", 2, message)
    }

    /// The type of the application failure.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// Adds what to continue with.
    #[must_use]
    pub fn with_ticket(mut self, ticket: Option<String>) -> Self {
        self.ticket = ticket.or(self.ticket);
        self
    }

    /// The failure as the engine tells of it, if it is one of ours.
    pub(crate) fn from_engine(failure: &EngineFailure) -> Option<Self> {
        let Some(FailureInfo::ApplicationFailureInfo(told)) = &failure.failure_info else {
            return None;
        };
        let kind = told.r#type.strip_prefix("docjobs.")?;
        let payload = told
            .details
            .as_ref()
            .and_then(|details| details.payloads.first());
        let details =
            payload.and_then(|payload| serde_json::from_slice::<Details>(&payload.data).ok());
        Some(match details {
            Some(details) => {
                Self::new(kind, details.exit_code, details.message).with_ticket(details.ticket)
            }
            None => Self::new(kind, 1, failure.message.clone()),
        })
    }

    /// The failure as the engine takes it; it is not tried again by the engine.
    pub(crate) fn into_application(self) -> ApplicationFailure {
        let details = Details {
            message: self.message.clone(),
            exit_code: self.exit_code,
            ticket: self.ticket.clone(),
        };
        let kind = self.kind.clone();
        ApplicationFailure::builder(self)
            .type_name(kind)
            .non_retryable(true)
            .details(details)
            .build()
    }
}

impl From<&RunnerError> for Failure {
    fn from(error: &RunnerError) -> Self {
        let ticket = error.ticket().map(ToString::to_string);
        Self::new(
            &kind_of(error),
            exit_code(error.category()),
            error.to_string(),
        )
        .with_ticket(ticket)
    }
}

/// The failure of a start that names what no worker of this queue has.
pub(crate) fn unknown_kind(vendor: &str, kind: &str) -> Failure {
    Failure::new(
        "NoHandler",
        2,
        format!(
            "{vendor} {kind} jobs are not known to this worker: check vendor and kind, and that the worker has the vendor's variables"
        ),
    )
}

/// The name of the error's kind: the vendor's where the vendor said it.
fn kind_of(error: &RunnerError) -> String {
    use RunnerErrorKind as Kind;
    match error.kind() {
        Kind::Rejected(error) | Kind::NotFetched(error) => name(error.kind()),
        other => {
            let shown = format!("{other:?}");
            shown
                .split(|letter: char| !letter.is_ascii_alphanumeric())
                .next()
                .unwrap_or_default()
                .to_owned()
        }
    }
}

fn name(kind: ErrorKind) -> String {
    format!("{kind:?}")
}

/// The command line's exit code for a class of ends.
pub(crate) fn exit_code(category: ErrorCategory) -> u8 {
    match category {
        ErrorCategory::OutcomeUnknown => 5,
        ErrorCategory::QuotaExceeded => 7,
        ErrorCategory::Unauthenticated => 6,
        ErrorCategory::Failed => 3,
        ErrorCategory::Unreachable => 8,
        ErrorCategory::Unfinished => 4,
        ErrorCategory::InvalidInput => 2,
        _ => 1,
    }
}
