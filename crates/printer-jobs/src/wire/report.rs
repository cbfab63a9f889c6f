//! `printer/report_job_status`: the outcome of a job.

use serde::Serialize;

use super::job::PrintStatus;
use crate::envelope::CommandBody;
use crate::{Command, ProtocolError};

/// How printing ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PrintOutcome {
    /// The paper is out.
    Succeeded,
    /// It is not, and will not be.
    Failed {
        /// Number of our choice, shown to the member.
        code: u32,
        /// Reason, shown to the member; must not be empty.
        message: String,
    },
}

impl PrintOutcome {
    /// Whether the job as listed after the report says the same; `None` when it says nothing.
    ///
    /// A `false` hints at a cloud that reads reports in the other numbering.
    pub fn agrees_with(&self, listed: PrintStatus) -> Option<bool> {
        match listed {
            PrintStatus::Printed => Some(*self == Self::Succeeded),
            PrintStatus::Failed => Some(*self != Self::Succeeded),
            PrintStatus::Unprinted => Some(false),
            PrintStatus::Unknown(_) => None,
        }
    }
}

/// Which numbers a report uses. The documents give the opposite of the list's numbers; a gateway of
/// 2018 used the list's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum ReportNumbering {
    /// As the page of the command says.
    #[default]
    Documented,
    /// As the list does it.
    Legacy,
}

/// Reports the outcome of one job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct PrintReport {
    jobid: String,
    status: u32,
    errcode: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    errmsg: Option<String>,
}

impl PrintReport {
    /// The only place that turns an outcome into a number.
    ///
    /// # Errors
    ///
    /// A failure without a message, which the cloud refuses.
    pub(crate) fn new(
        jobid: &str,
        outcome: &PrintOutcome,
        numbering: ReportNumbering,
    ) -> Result<Self, ProtocolError> {
        let (succeeded, failed) = match numbering {
            ReportNumbering::Documented => (2, 1),
            ReportNumbering::Legacy => (1, 2),
        };
        let jobid = jobid.to_owned();
        match outcome {
            PrintOutcome::Succeeded => Ok(Self {
                jobid,
                status: succeeded,
                errcode: 0,
                errmsg: None,
            }),
            PrintOutcome::Failed { message, .. } if message.is_empty() => {
                Err(ProtocolError::Argument {
                    field: "message",
                    rule: "must say why printing failed",
                })
            }
            PrintOutcome::Failed { code, message } => Ok(Self {
                jobid,
                status: failed,
                errcode: *code,
                errmsg: Some(message.clone()),
            }),
        }
    }
}

impl CommandBody for PrintReport {
    const COMMAND: Command = Command::ReportJobStatus;
}
