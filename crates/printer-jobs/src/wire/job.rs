//! One item of the job list. Everything but the id may be missing.

use std::ops::Range;

use jobs_core::JobId;
use jobs_core::vendor::InvalidJobId;
use serde_json::Value;

use crate::ProtocolError;
use crate::code::Code;
use crate::lenient::{self, Object};
use crate::settings::Settings;

/// A job as the cloud lists it. Names and messages are foreign text.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ListedJob {
    /// Opaque id.
    pub id: String,
    /// Who submitted it.
    pub userid: Option<String>,
    /// When, in unix seconds.
    pub created_at: Option<i64>,
    /// Whether it was released by scanning a QR code.
    pub submitted_by_scan: bool,
    /// What the scanned QR code carried.
    pub state: Option<String>,
    /// How far it is.
    pub status: PrintStatus,
    /// The code reported for it; zero when none was.
    pub code: Code,
    /// The message reported for it.
    pub message: String,
    /// The document's name: for people, never for paths.
    pub doc_name: Option<String>,
    /// Bytes of the download. Zero was seen for jobs whose download fails.
    pub doc_size: Option<u64>,
    /// Number of pages.
    pub page_count: Option<u64>,
    /// What the download will be.
    pub format: Format,
    /// Whether the cloud says so: items without a format were recorded.
    pub is_format_stated: bool,
    /// The member's choices.
    pub settings: Settings,
    /// The page files of a jpg job.
    pub pages: PageFiles,
}

impl ListedJob {
    /// A job as an element of the cloud's list has it: for jobs that were written down, and for tests.
    ///
    /// # Errors
    /// The text is no JSON object, or it has no `jobid`.
    pub fn from_json(text: &str) -> Result<Self, ProtocolError> {
        let item: Value = serde_json::from_str(text).map_err(ProtocolError::Json)?;
        Self::from_item(&item).ok_or(ProtocolError::Shape { field: "jobid" })
    }

    /// The id as the waiting vocabulary has it.
    ///
    /// # Errors
    ///
    /// The cloud's id is longer or has other characters than any id seen; nothing can be reported for it then.
    pub fn job_id(&self) -> Result<JobId, InvalidJobId> {
        JobId::new(self.id.as_str())
    }

    pub(crate) fn from_item(item: &Value) -> Option<Self> {
        let item = item.as_object()?;
        Some(Self {
            id: lenient::id(item, "jobid")?,
            userid: lenient::text(item, "userid"),
            created_at: lenient::signed(item, "createtime"),
            submitted_by_scan: lenient::flag(item, "submitted").unwrap_or(false),
            state: lenient::text(item, "state"),
            status: PrintStatus::from_item(item),
            code: lenient::signed(item, "errcode").map_or(Code::OK, Code::new),
            message: lenient::text(item, "errmsg").unwrap_or_default(),
            doc_name: lenient::text(item, "doc_name"),
            doc_size: lenient::unsigned(item, "doc_size"),
            page_count: lenient::unsigned(item, "page_size"),
            format: Format::from_item(item),
            is_format_stated: item.contains_key("printer_format"),
            settings: Settings::from_list(lenient::list(item, "setting_list")),
            pages: PageFiles::from_item(item),
        })
    }
}

/// How far a job is, in the numbering of the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PrintStatus {
    /// Waits to be printed.
    Unprinted,
    /// Reported as printed.
    Printed,
    /// Reported as failed.
    Failed,
    /// Not said, or a number not known here.
    Unknown(Option<i64>),
}

impl PrintStatus {
    fn from_item(item: &Object) -> Self {
        match lenient::signed(item, "status") {
            Some(0) => Self::Unprinted,
            Some(1) => Self::Printed,
            Some(2) => Self::Failed,
            other => Self::Unknown(other),
        }
    }
}

/// File type of a job.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// One PDF; also when the cloud says nothing.
    Pdf,
    /// One JPEG per page.
    Jpg,
    /// Something new, as the cloud writes it.
    Other(String),
}

impl Format {
    fn from_item(item: &Object) -> Self {
        match lenient::text(item, "printer_format") {
            None => Self::Pdf,
            Some(text) if text.eq_ignore_ascii_case("pdf") => Self::Pdf,
            Some(text) if text.eq_ignore_ascii_case("jpg") => Self::Jpg,
            Some(text) => Self::Other(text),
        }
    }
}

/// The page files of a jpg job, in page order.
///
/// The list's own `size` is not kept: the official example declares another number than it lists.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PageFiles {
    files: Vec<PageFile>,
    unreadable: usize,
}

/// One page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct PageFile {
    /// Page number from zero.
    pub index: u64,
    /// Its bytes, if said.
    pub bytes: Option<u64>,
}

/// Most page files of a job: each becomes a file and a word of the command that prints it.
const MAX_PAGES: usize = 10_000;

/// Why the pages cannot be told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum PageProblem {
    /// No page is listed.
    #[error("no page is listed")]
    NoPages,
    /// Items of the list could not be read.
    #[error("{count} page items have no index")]
    Unreadable {
        /// How many.
        count: usize,
    },
    /// A page is not listed.
    #[error("page {index} is missing")]
    Missing {
        /// The first such page.
        index: u64,
    },
    /// A page is listed twice.
    #[error("page {index} is listed twice")]
    Duplicate {
        /// The first such page.
        index: u64,
    },
    /// A page's size is missing or zero.
    #[error("page {index} has no size")]
    NoSize {
        /// The first such page.
        index: u64,
    },
    /// More pages than anybody prints in one job.
    #[error("{count} pages are more than the {MAX_PAGES} that a job may have")]
    TooMany {
        /// How many are listed.
        count: usize,
    },
    /// The sizes add up to more than any file can have.
    #[error("page sizes add up to too much")]
    TooLarge,
}

impl PageFiles {
    /// One page of this size.
    #[cfg(feature = "websocket")]
    pub(crate) fn one(bytes: Option<u64>) -> Self {
        Self {
            files: vec![PageFile { index: 0, bytes }],
            unreadable: 0,
        }
    }

    fn from_item(item: &Object) -> Self {
        let Some(Value::Object(list)) = item.get("pic_file_list") else {
            return Self::default();
        };
        let items = lenient::list(list, "item");
        let mut files: Vec<PageFile> = items
            .iter()
            .filter_map(Value::as_object)
            .filter_map(|page| {
                Some(PageFile {
                    index: lenient::unsigned(page, "idx")?,
                    bytes: lenient::unsigned(page, "pic_size"),
                })
            })
            .collect();
        files.sort_by_key(|page| page.index);
        Self {
            unreadable: items.len() - files.len(),
            files,
        }
    }

    /// The pages by ascending index, with gaps if the cloud left some out.
    pub fn files(&self) -> &[PageFile] {
        &self.files
    }

    /// Where each page lies in the file, when all pages are joined in order.
    ///
    /// # Errors
    ///
    /// The list does not say it for every page.
    pub(crate) fn ranges(&self) -> Result<Vec<Range<u64>>, PageProblem> {
        if self.unreadable > 0 {
            return Err(PageProblem::Unreadable {
                count: self.unreadable,
            });
        }
        if self.files.is_empty() {
            return Err(PageProblem::NoPages);
        }
        if self.files.len() > MAX_PAGES {
            return Err(PageProblem::TooMany {
                count: self.files.len(),
            });
        }
        let mut ranges = Vec::with_capacity(self.files.len());
        let mut start = 0_u64;
        for (expected, page) in (0_u64..).zip(&self.files) {
            let index = page.index;
            if index > expected {
                return Err(PageProblem::Missing { index: expected });
            }
            if index < expected {
                return Err(PageProblem::Duplicate { index });
            }
            let bytes = page.bytes.filter(|&bytes| bytes > 0);
            let bytes = bytes.ok_or(PageProblem::NoSize { index })?;
            let end = start.checked_add(bytes).ok_or(PageProblem::TooLarge)?;
            ranges.push(start..end);
            start = end;
        }
        Ok(ranges)
    }
}
