//! What goes in: opened, named and digested before anything is sent.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use jobs_core::http::Document;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::exit::Stop;

/// The input of a paid call, as the ledger remembers it.
#[derive(Debug, Clone)]
pub(crate) struct Input {
    /// In words, for lists and errors.
    pub(crate) what: String,
    /// Where it is, if it is a file.
    pub(crate) path: Option<PathBuf>,
    /// Its SHA-256.
    pub(crate) digest: [u8; 32],
    /// Whatever else decides what the vendor makes of it. Never a secret.
    pub(crate) options: Value,
    /// In which form the result is wanted; the same job gives it in any.
    pub(crate) format: Option<&'static str>,
}

impl Input {
    /// A document; reads it once.
    pub(crate) fn document(document: &Document, path: &Path, options: Value) -> Result<Self, Stop> {
        let digest = document.reader().and_then(|mut reader| digest(&mut reader));
        let digest = digest.map_err(|problem| unreadable(path, &problem))?;
        let path = std::path::absolute(path).map_err(|problem| unreadable(path, &problem))?;
        Ok(Self {
            what: document.name().to_owned(),
            path: Some(path),
            digest,
            options,
            format: None,
        })
    }

    /// The same, read from `path`.
    pub(crate) fn at(self, path: &Path) -> Result<Self, Stop> {
        let path = std::path::absolute(path).map_err(|problem| unreadable(path, &problem))?;
        Ok(Self {
            path: Some(path),
            ..self
        })
    }

    /// Refuses to go on with another content than the one that was written down.
    pub(crate) fn must_be(&self, job: &jobs_ledger::Job) -> Result<(), Stop> {
        if self.digest == job.content && self.options == job.options {
            return Ok(());
        }
        Err(Stop::bad_input(format!(
            "job {}: {} is no longer what it was; give the job up with docjobs resolve {} --abandon",
            job.id, job.input, job.id
        )))
    }

    /// Text, or an address from which the vendor fetches.
    pub(crate) fn text(text: &str, what: &str, options: Value) -> Self {
        Self {
            what: what.to_owned(),
            path: None,
            digest: Sha256::digest(text).into(),
            options,
            format: None,
        }
    }
}

/// Where the content of a job was.
pub(crate) fn path_of(job: &jobs_ledger::Job) -> Result<PathBuf, Stop> {
    let lost = || {
        Stop::unexpected(format!(
            "job {}: nobody wrote down where {} is",
            job.id, job.input
        ))
    };
    job.input_path.clone().ok_or_else(lost)
}

/// Opens a document.
pub(crate) fn open(path: &Path) -> Result<Document, Stop> {
    Document::open(path).map_err(|problem| unreadable(path, &problem))
}

/// Reads a text file.
pub(crate) fn text(path: &Path) -> Result<String, Stop> {
    std::fs::read_to_string(path).map_err(|problem| unreadable(path, &problem))
}

/// The SHA-256 of everything in `reader`.
pub(crate) fn digest(reader: &mut impl Read) -> io::Result<[u8; 32]> {
    let mut digest = Sha256::new();
    let mut piece = vec![0; 256 * 1024];
    loop {
        match reader.read(&mut piece)? {
            0 => return Ok(digest.finalize().into()),
            count => digest.update(piece.get(..count).unwrap_or_default()),
        }
    }
}

pub(crate) fn unreadable(path: &Path, problem: &io::Error) -> Stop {
    Stop::bad_input(format!(
        "cannot read {}: {problem}; name another file",
        path.display()
    ))
}
