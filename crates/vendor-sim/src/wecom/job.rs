//! A print job: what a person submits, and how the list shows it.

use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::options::WeComOptions;
use super::picture;
use crate::pdf;

/// A job to be submitted.
#[derive(Clone, Debug, PartialEq)]
pub struct NewJob {
    /// Who submits it.
    pub userid: String,
    /// The document's name, as hostile as a test wants it.
    pub doc_name: String,
    /// The file.
    pub file: JobFile,
    /// Settings such as 纸张大小, each with its values.
    pub settings: Vec<(String, Vec<String>)>,
    /// Not listed until the member scans a code of the printer.
    pub waits_for_scan: bool,
}

/// The bytes of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobFile {
    /// One PDF. Without bytes the download fails, as it does for a real job of size 0.
    Pdf {
        /// The document.
        bytes: Bytes,
        /// Its pages.
        pages: u32,
    },
    /// One JPEG for each page.
    Jpg(Vec<Bytes>),
}

impl NewJob {
    /// A PDF with these bytes.
    #[must_use]
    pub fn pdf(doc_name: &str, bytes: impl Into<Bytes>) -> Self {
        Self::of(
            doc_name,
            JobFile::Pdf {
                bytes: bytes.into(),
                pages: 1,
            },
        )
    }

    /// JPEGs with these bytes, in page order.
    #[must_use]
    pub fn jpg(doc_name: &str, pages: Vec<Bytes>) -> Self {
        Self::of(doc_name, JobFile::Jpg(pages))
    }

    /// A PDF made by the simulator that says the document's name and the text.
    #[must_use]
    pub fn pdf_of(doc_name: &str, text: &str) -> Self {
        let lines: Vec<&str> = std::iter::once(doc_name).chain(text.lines()).collect();
        Self::pdf(doc_name, pdf::of_lines(&lines))
    }

    /// So many small JPEGs made by the simulator; each says its number in a comment.
    #[must_use]
    pub fn jpg_of(doc_name: &str, pages: usize) -> Self {
        let page = |number| picture::jpeg(&format!("{doc_name} page {number}")).into();
        Self::jpg(doc_name, (1..=pages).map(page).collect())
    }

    /// Submitted by this member.
    #[must_use]
    pub fn by(mut self, userid: &str) -> Self {
        userid.clone_into(&mut self.userid);
        self
    }

    /// With a setting of one or more values.
    #[must_use]
    pub fn with_setting(mut self, key: &str, values: &[&str]) -> Self {
        let values = values.iter().map(|value| (*value).to_owned()).collect();
        self.settings.push((key.to_owned(), values));
        self
    }

    /// Not listed until the member scans a code of the printer.
    #[must_use]
    pub fn waiting_for_scan(mut self) -> Self {
        self.waits_for_scan = true;
        self
    }

    fn of(doc_name: &str, file: JobFile) -> Self {
        Self {
            userid: "sim-user".to_owned(),
            doc_name: doc_name.to_owned(),
            file,
            settings: Vec::new(),
            waits_for_scan: false,
        }
    }
}

/// A job as tests see it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct JobView {
    /// The vendor's id.
    pub jobid: String,
    /// Who submitted it.
    pub userid: String,
    /// The document's name.
    pub doc_name: String,
    /// `pdf` or `jpg`.
    pub format: &'static str,
    /// Bytes of a whole download.
    pub size: usize,
    /// SHA-256 of a whole download.
    pub sha256: String,
    /// 0 not printed, 1 printed, 2 failed, as the list has it.
    pub status: u32,
    /// Whether the list shows it; false while it waits for a scan.
    pub listed: bool,
    /// Downloads answered with bytes.
    pub downloads: u64,
    /// Reports accepted.
    pub reports: u64,
    /// Virtual Unix seconds of its making.
    pub created_unix: f64,
}

#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) id: String,
    pub(crate) new: NewJob,
    pub(crate) bytes: Bytes,
    pub(crate) created: Duration,
    /// Time of day in the world.
    pub(crate) createtime: u64,
    pub(crate) status: u32,
    pub(crate) errcode: Value,
    pub(crate) errmsg: String,
    /// The state of the code that released it.
    pub(crate) scanned: Option<String>,
    pub(crate) downloads: u64,
    pub(crate) reports: u64,
}

impl Job {
    pub(crate) fn new(id: String, new: NewJob, created: Duration, wall: Duration) -> Self {
        let bytes = match &new.file {
            JobFile::Pdf { bytes, .. } => bytes.clone(),
            JobFile::Jpg(pages) => pages.concat().into(),
        };
        Self {
            id,
            new,
            bytes,
            created,
            createtime: wall.as_secs(),
            status: 0,
            errcode: json!(0),
            errmsg: "ok".to_owned(),
            scanned: None,
            downloads: 0,
            reports: 0,
        }
    }

    pub(crate) fn listed(&self) -> bool {
        !self.new.waits_for_scan || self.scanned.is_some()
    }

    /// The item in the list.
    pub(crate) fn item(&self, options: &WeComOptions) -> Value {
        let settings: Vec<Value> = self
            .new
            .settings
            .iter()
            .map(|(key, values)| json!({"key": key, "value": values}))
            .collect();
        let pages = match &self.new.file {
            JobFile::Pdf { pages, .. } => *pages as usize,
            JobFile::Jpg(pages) => pages.len(),
        };
        let mut item = Map::new();
        let mut put = |key: &str, value: Value| item.insert(key.to_owned(), value);
        put("jobid", json!(self.id));
        put("userid", json!(self.new.userid));
        put("createtime", json!(self.createtime));
        put("doc_name", json!(self.new.doc_name));
        put("setting_list", json!(settings));
        if options.sparse_items {
            put("doc_size", json!(self.bytes.len()));
            put("page_size", json!(pages));
            return Value::Object(item);
        }
        put("submitted", json!(u32::from(self.scanned.is_some())));
        if let Some(state) = &self.scanned {
            put("state", json!(state));
        }
        put("status", json!(self.status));
        put("errcode", self.errcode.clone());
        put("errmsg", json!(self.errmsg));
        match &self.new.file {
            JobFile::Pdf { .. } => {
                put("printer_format", json!("pdf"));
                put("doc_size", json!(self.bytes.len()));
                put("page_size", json!(pages));
            }
            JobFile::Jpg(files) => {
                put("printer_format", json!("jpg"));
                let items: Vec<Value> = files
                    .iter()
                    .enumerate()
                    .map(|(idx, page)| json!({"idx": idx, "pic_size": page.len()}))
                    .collect();
                let size = i64::try_from(files.len()).unwrap_or(i64::MAX);
                let size = size.saturating_add(options.pic_size_error);
                put("pic_file_list", json!({"size": size, "item": items}));
            }
        }
        Value::Object(item)
    }

    pub(crate) fn view(&self) -> JobView {
        JobView {
            jobid: self.id.clone(),
            userid: self.new.userid.clone(),
            doc_name: self.new.doc_name.clone(),
            format: match self.new.file {
                JobFile::Pdf { .. } => "pdf",
                JobFile::Jpg(_) => "jpg",
            },
            size: self.bytes.len(),
            sha256: hex::encode(Sha256::digest(&self.bytes)),
            status: self.status,
            listed: self.listed(),
            downloads: self.downloads,
            reports: self.reports,
            created_unix: self.created.as_secs_f64(),
        }
    }
}
