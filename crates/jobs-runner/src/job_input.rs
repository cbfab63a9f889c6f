//! The input of a paid call as the ledger remembers it: named and digested before anything is sent.

use std::any::Any;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jobs_core::http::Document;
use jobs_core::vendor::Account;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::redacted_address::redacted_address;

/// The input of one job. Vendor crates make it; [`Runner::enqueue`](crate::Runner::enqueue) takes it.
#[derive(Clone)]
pub struct JobInput {
    pub(crate) vendor: &'static str,
    pub(crate) kind: Option<&'static str>,
    pub(crate) account: Option<Account>,
    pub(crate) label: String,
    pub(crate) path: Option<PathBuf>,
    pub(crate) digest: [u8; 32],
    // The same for all documents of a batch.
    pub(crate) options: Arc<Value>,
    pub(crate) request: Arc<Value>,
    pub(crate) private_request: Arc<Value>,
    pub(crate) format: Option<String>,
    pub(crate) run: Option<Box<str>>,
    pub(crate) live: Option<Live>,
}

/// The typed input of a handler, for the process that has it at hand.
pub(crate) type Live = Arc<dyn Any + Send + Sync>;

/// What can be turned into an input, which may have to be read for that.
pub trait IntoJobInput {
    /// The input.
    ///
    /// # Errors
    /// [`InputError`] when it cannot be read, or cannot be remembered.
    fn into_job_input(self) -> Result<JobInput, InputError>;
}

impl IntoJobInput for JobInput {
    fn into_job_input(self) -> Result<JobInput, InputError> {
        Ok(self)
    }
}

impl<T: IntoJobInput> IntoJobInput for Result<T, InputError> {
    fn into_job_input(self) -> Result<JobInput, InputError> {
        self?.into_job_input()
    }
}

/// What a caller names as input where types are not at hand.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum InputSource {
    /// A file on this machine.
    Path(PathBuf),
    /// An address from which the vendor fetches.
    Url(String),
    /// A text.
    Text(String),
    /// A job at the vendor.
    Job(String),
}

/// Why an input cannot be used. Nothing was sent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InputError {
    /// It cannot be read.
    #[error("cannot read {}: {problem}; name another file", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        problem: io::Error,
    },
    /// Its name cannot be written down.
    #[error("the name {path:?} is not UTF-8, so it cannot be recorded: rename the file")]
    NotUnicode {
        /// The file.
        path: PathBuf,
    },
    /// It was never on the disk, and the process that had it is gone.
    #[error("job {job}: its input {label} was not kept and not sent yet")]
    NotKept {
        /// The job.
        job: jobs_ledger::LedgerId,
        /// The input as the ledger names it.
        label: String,
    },
    /// It is no longer what was written down.
    #[error("job {job}: {label} is no longer what it was")]
    Changed {
        /// The job.
        job: jobs_ledger::LedgerId,
        /// The input as the ledger names it.
        label: String,
    },
    /// The kind does not take it; the text says why and what to do.
    #[error("{0}")]
    Invalid(String),
}

impl InputError {
    /// The kind does not take it; `why` also says what to do.
    pub fn invalid(why: impl Into<String>) -> Self {
        Self::Invalid(why.into())
    }

    /// A file that cannot be read.
    pub fn unreadable(path: impl Into<PathBuf>, problem: io::Error) -> Self {
        Self::Unreadable {
            path: path.into(),
            problem,
        }
    }
}

impl JobInput {
    /// A document; reads it once for its digest. It is remembered by the path from which it was opened. Without a kind it is
    /// for the vendor's first handler.
    ///
    /// # Errors
    /// [`InputError`] when it cannot be read, or its path is not Unicode.
    pub fn document(
        vendor: &'static str,
        kind: impl Into<Option<&'static str>>,
        document: &Document,
        options: Value,
    ) -> Result<Self, InputError> {
        let read = document.reader().and_then(|mut reader| digest(&mut reader));
        let place = document
            .path()
            .unwrap_or_else(|| Path::new(document.name()));
        let digest = read.map_err(|problem| InputError::unreadable(place, problem))?;
        let input = Self::new(vendor, kind, digest, document.name(), options);
        match document.path() {
            Some(path) => input.with_path(path),
            None => Ok(input),
        }
    }

    /// A text. `label` names it in lists and errors.
    pub fn text(
        vendor: &'static str,
        kind: impl Into<Option<&'static str>>,
        text: &str,
        label: &str,
        options: Value,
    ) -> Self {
        Self::new(vendor, kind, Sha256::digest(text).into(), label, options)
    }

    /// An address from which the vendor fetches. It may open without a key, so it is kept for the submit alone.
    pub fn url(
        vendor: &'static str,
        kind: impl Into<Option<&'static str>>,
        url: &str,
        options: Value,
    ) -> Self {
        let shown = redacted_address(url);
        let mut input = Self::text(vendor, kind, url, &shown, options);
        input.request = Arc::new(json!({ "url": shown }));
        input.private_request = Arc::new(json!({ "url": url }));
        input
    }

    fn new(
        vendor: &'static str,
        kind: impl Into<Option<&'static str>>,
        digest: [u8; 32],
        label: &str,
        options: Value,
    ) -> Self {
        Self {
            vendor,
            kind: kind.into(),
            account: None,
            label: label.to_owned(),
            path: None,
            digest,
            options: Arc::new(options),
            request: Arc::default(),
            private_request: Arc::default(),
            format: None,
            run: None,
            live: None,
        }
    }

    /// Remembers the file in which it can be read again.
    ///
    /// # Errors
    /// [`InputError::NotUnicode`] for a path that cannot be written down.
    pub fn with_path(mut self, path: &Path) -> Result<Self, InputError> {
        if path.to_str().is_none() {
            return Err(InputError::NotUnicode { path: path.into() });
        }
        let absolute =
            std::path::absolute(path).map_err(|problem| InputError::unreadable(path, problem))?;
        self.path = Some(absolute);
        Ok(self)
    }

    /// The same for another file, whose SHA-256 is known: it is not read.
    ///
    /// # Errors
    /// [`InputError::NotUnicode`] for a path that cannot be written down.
    pub fn for_file(&self, path: &Path, digest: [u8; 32]) -> Result<Self, InputError> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let input = Self {
            label: name.chars().filter(|c| !c.is_control()).collect(),
            digest,
            live: None,
            ..self.clone()
        };
        input.with_path(path)
    }

    /// Lets go of the handler's own input, which may be large: it is built anew from the record when the job is submitted.
    #[must_use]
    pub fn without_live(mut self) -> Self {
        self.live = None;
        self
    }

    /// Forgets the path: the file is gone after this process, so that no other one can submit it.
    #[must_use]
    pub fn without_path(mut self) -> Self {
        self.path = None;
        self
    }

    /// Keeps what a submit needs beside the content. Never a secret.
    #[must_use]
    pub fn with_request(mut self, request: Value) -> Self {
        self.request = Arc::new(request);
        self
    }

    /// Keeps what a submit needs and nobody may read: it is deleted when the job is accepted or over.
    #[must_use]
    pub fn with_private_request(mut self, request: Value) -> Self {
        self.private_request = Arc::new(request);
        self
    }

    /// Asks for a format of the result. The same job gives it in any.
    #[must_use]
    pub fn with_format(mut self, format: impl Into<String>) -> Self {
        self.format = Some(format.into());
        self
    }

    /// **Pays once more** under this name for an input that is a job already; the same name attaches to what it paid for.
    #[must_use]
    pub fn with_run(mut self, name: impl Into<Box<str>>) -> Self {
        self.run = Some(name.into());
        self
    }

    /// The account that pays, where the runner has handlers for several of one kind.
    #[must_use]
    pub fn with_account(mut self, account: Account) -> Self {
        self.account = Some(account);
        self
    }

    /// Carries the handler's own input along, so that this process need not build it again.
    #[must_use]
    pub fn with_live<T: Send + Sync + 'static>(mut self, input: T) -> Self {
        self.live = Some(Arc::new(input));
        self
    }

    /// The vendor.
    pub fn vendor(&self) -> &'static str {
        self.vendor
    }

    /// The kind of job; none for the kind that the account in use decides.
    pub fn kind(&self) -> Option<&'static str> {
        self.kind
    }

    /// Its name in lists and errors.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// The file, if it can be read again.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// The SHA-256 of the content.
    pub fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// Whatever else decides what the vendor makes of it.
    pub fn options(&self) -> &Value {
        &self.options
    }

    /// The format that is asked for.
    pub fn format(&self) -> Option<&str> {
        self.format.as_deref()
    }

    /// Refuses to continue with another content than the one that was written down.
    ///
    /// # Errors
    /// [`InputError::Changed`].
    pub fn must_match(&self, job: &jobs_ledger::JobRecord) -> Result<(), InputError> {
        if self.digest == job.content && *self.options == job.options {
            return Ok(());
        }
        Err(InputError::Changed {
            job: job.id,
            label: job.input.clone(),
        })
    }

    /// Opens the document of a recorded job.
    ///
    /// # Errors
    /// [`InputError`] when it was not kept, or cannot be read.
    pub fn reopen(job: &jobs_ledger::JobRecord) -> Result<Document, InputError> {
        open(recorded_path(job)?)
    }
}

impl fmt::Debug for JobInput {
    /// Without the private part of the request.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JobInput")
            .field("vendor", &self.vendor)
            .field("kind", &self.kind)
            .field("label", &self.label)
            .field("path", &self.path)
            .field("options", &self.options)
            .field("format", &self.format)
            .finish_non_exhaustive()
    }
}

/// Opens a document.
///
/// # Errors
/// [`InputError::Unreadable`].
pub fn open(path: impl Into<PathBuf>) -> Result<Document, InputError> {
    let path = path.into();
    Document::open(&path).map_err(|problem| InputError::unreadable(path, problem))
}

/// Refuses an option that a kind does not know: a misspelt one would be paid for and left out.
///
/// # Errors
/// [`InputError::Invalid`], which names it.
pub fn only_known_options(options: &Value, known: &[&str]) -> Result<(), InputError> {
    let object = match options {
        Value::Null => return Ok(()),
        Value::Object(object) => object,
        _ => return Err(InputError::invalid("options is not a JSON object")),
    };
    match object.keys().find(|name| !known.contains(&name.as_str())) {
        None => Ok(()),
        Some(name) if known.is_empty() => Err(InputError::invalid(format!(
            "there are no options, so no {name:?}"
        ))),
        Some(name) => {
            let known = known.join(", ");
            Err(InputError::invalid(format!(
                "the option {name:?} is not known; there are: {known}"
            )))
        }
    }
}

/// Where the content of a recorded job lies.
///
/// # Errors
/// [`InputError::NotKept`].
pub fn recorded_path(job: &jobs_ledger::JobRecord) -> Result<&Path, InputError> {
    job.input_path
        .as_deref()
        .ok_or_else(|| InputError::NotKept {
            job: job.id,
            label: job.input.clone(),
        })
}

/// The text that a recorded job is about, where it was written down as a whole: under `name`, or by a version that wrote it
/// into the label, of which the job's digest tells it.
pub fn recorded_text(job: &jobs_ledger::JobRecord, name: &str) -> Option<String> {
    let known = [&job.private_request, &job.request]
        .into_iter()
        .find_map(|request| request.get(name).and_then(Value::as_str));
    if let Some(text) = known {
        return Some(text.to_owned());
    }
    let label = job.private_request.get("text").and_then(Value::as_str)?;
    let tail = label.rsplit(' ').next().unwrap_or_default();
    [label, tail]
        .into_iter()
        .find(|text| job.content == <[u8; 32]>::from(Sha256::digest(text)))
        .map(str::to_owned)
}

/// The SHA-256 of everything in `reader`.
///
/// # Errors
/// What the reader says.
pub fn digest(reader: &mut impl Read) -> io::Result<[u8; 32]> {
    let mut digest = Sha256::new();
    let mut piece = vec![0; 64 * 1024];
    loop {
        match reader.read(&mut piece)? {
            0 => return Ok(digest.finalize().into()),
            count => digest.update(piece.get(..count).unwrap_or_default()),
        }
    }
}

pub(crate) fn digest_of_file(path: &Path) -> io::Result<[u8; 32]> {
    digest(&mut File::open(path)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_opens_an_address_is_kept_for_the_submit_alone() {
        let url = "https://me:s3cret@h.example/a.pdf?sign=s3cret&x=1";
        let input = JobInput::url("vendor", "kind", url, Value::Null);
        assert_eq!(input.label, "https://h.example/a.pdf?…");
        assert_eq!(*input.request, json!({ "url": input.label }));
        assert_eq!(*input.private_request, json!({ "url": url }));
        assert!(!format!("{input:?}").contains("s3cret"));
    }
}
