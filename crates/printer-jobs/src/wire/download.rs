//! `printer/download_file`: the request; its answer is a binary message, its failure a text.

use std::num::NonZeroU32;

use serde::Serialize;

use crate::Command;
use crate::envelope::CommandBody;
use crate::frame::PLAIN_VERSION;

/// Chunk size to use when nothing speaks for another.
pub(crate) const CHUNK_BYTES: u32 = 512 * 1024;

/// Asks for a job's file or a part of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct DownloadRequest {
    jobid: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    idx: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    offset: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<u32>,
    format_version: u32,
}

impl DownloadRequest {
    /// The whole file in one message.
    pub(crate) fn whole(jobid: &str) -> Self {
        Self {
            jobid: jobid.to_owned(),
            idx: None,
            offset: None,
            limit: None,
            format_version: PLAIN_VERSION,
        }
    }

    /// At most `limit` bytes from `offset` on. The last chunk may be shorter.
    pub(crate) fn chunk(jobid: &str, offset: u32, limit: NonZeroU32) -> Self {
        Self {
            offset: Some(offset),
            limit: Some(limit.get()),
            ..Self::whole(jobid)
        }
    }

    /// One page of a jpg job by its index.
    ///
    /// Nothing documents such a field: it is a guess to try when a job's file turns out not to be its
    /// pages joined together.
    pub(crate) fn with_page_index(mut self, index: u64) -> Self {
        self.idx = Some(index);
        self
    }
}

impl CommandBody for DownloadRequest {
    const COMMAND: Command = Command::DownloadFile;
}
