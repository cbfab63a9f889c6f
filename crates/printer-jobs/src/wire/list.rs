//! `printer/get_job_list`: query and answer.

use std::collections::HashSet;
use std::num::NonZeroUsize;

use serde::Serialize;
use serde_json::Value;

use super::job::ListedJob;
use crate::envelope::{Answer, CommandBody};
use crate::{Command, ProtocolError};

/// Page size to use when nothing speaks for another.
pub(crate) const PAGE: u32 = 50;
/// Largest page, and most job ids in one request. The direct flavour states none; this is the cloud
/// flavour's.
pub(crate) const MAX_PAGE: u32 = 200;

/// Which jobs to list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ListQuery {
    #[serde(skip_serializing_if = "Option::is_none")]
    userid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    offset: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<u32>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    jobid_list: Vec<String>,
}

/// Jobs of which status to list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StatusFilter {
    /// Not printed yet.
    Unprinted,
    /// Printed.
    Printed,
    /// Reported as failed.
    Failed,
}

impl StatusFilter {
    /// The numbers of the list; those of the report differ.
    const fn number(self) -> u32 {
        match self {
            Self::Unprinted => 0,
            Self::Printed => 1,
            Self::Failed => 2,
        }
    }
}

impl ListQuery {
    /// Every job the cloud keeps (seven days), in one answer.
    pub const fn all() -> Self {
        Self {
            userid: None,
            status: None,
            offset: None,
            limit: None,
            jobid_list: Vec::new(),
        }
    }

    /// Only jobs of this status.
    pub const fn with_status(mut self, status: StatusFilter) -> Self {
        self.status = Some(status.number());
        self
    }

    /// Only jobs of this member.
    ///
    /// # Errors
    ///
    /// The id is empty or longer than 40 characters.
    pub fn with_user(mut self, userid: &str) -> Result<Self, ProtocolError> {
        if userid.is_empty() || userid.chars().count() > 40 {
            return Err(ProtocolError::Argument {
                field: "userid",
                rule: "must have 1 to 40 characters",
            });
        }
        self.userid = Some(userid.to_owned());
        Ok(self)
    }

    /// One page, oldest job first. The pages of a set that shrinks meanwhile skip jobs.
    ///
    /// # Errors
    ///
    /// The limit is zero, which would mean everything, or above 200.
    pub fn with_page(mut self, offset: u32, limit: u32) -> Result<Self, ProtocolError> {
        if limit == 0 || limit > MAX_PAGE {
            return Err(ProtocolError::Argument {
                field: "limit",
                rule: "must be 1 to 200",
            });
        }
        self.offset = Some(offset);
        self.limit = Some(limit);
        Ok(self)
    }

    /// Whether it asks for a part of a list, which can be smaller.
    #[cfg(feature = "websocket")]
    pub(crate) fn is_page(&self) -> bool {
        self.limit.is_some_and(|limit| limit > 1)
    }

    /// Whether it asks for one page only.
    #[cfg(feature = "websocket")]
    pub(crate) fn is_one_page(&self) -> bool {
        self.limit.is_some() || !self.jobid_list.is_empty()
    }

    /// Requests that together ask for exactly these jobs, each id once.
    ///
    /// No ids make no request: an empty list on the wire would mean every job.
    pub fn for_jobs<S: AsRef<str>>(ids: &[S], per_request: NonZeroUsize) -> Vec<Self> {
        let mut seen = HashSet::new();
        let unique: Vec<&str> = ids
            .iter()
            .map(AsRef::as_ref)
            .filter(|id| !id.is_empty() && seen.insert(*id))
            .collect();
        unique
            .chunks(per_request.get())
            .map(|chunk| Self {
                jobid_list: chunk.iter().map(|&id| id.to_owned()).collect(),
                ..Self::all()
            })
            .collect()
    }
}

impl CommandBody for ListQuery {
    const COMMAND: Command = Command::GetJobList;
}

/// The listed jobs.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub(crate) struct JobList {
    /// In the cloud's order.
    pub jobs: Vec<ListedJob>,
    /// How many items were no objects or had no job id; worth a warning.
    pub unreadable: usize,
    /// How many items the cloud sent, which tells whether a page was full.
    pub items: usize,
}

impl JobList {
    /// Reads the answer to [`ListQuery`].
    ///
    /// # Errors
    ///
    /// Refused, or without a list: that is not the same as an empty list.
    pub(crate) fn from_answer(answer: &Answer) -> Result<Self, ProtocolError> {
        let Some(Value::Array(items)) = answer.accepted()?.get("printer_job_list") else {
            return Err(ProtocolError::Shape {
                field: "printer_job_list",
            });
        };
        let jobs: Vec<ListedJob> = items.iter().filter_map(ListedJob::from_item).collect();
        Ok(Self {
            unreadable: items.len() - jobs.len(),
            items: items.len(),
            jobs,
        })
    }
}
