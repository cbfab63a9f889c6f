//! What goes in: opened, named and digested before anything is sent.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use jobs_core::http::Document;
use serde_json::{Value, json};
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
    /// All that a submit needs beside the content, where that is more than a file. Never a secret.
    pub(crate) request: Value,
    /// What of it nobody may read: kept until the job is accepted or over.
    pub(crate) private_request: Value,
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
            request: Value::Null,
            private_request: Value::Null,
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

    /// An address from which the vendor fetches. It may open without a key, so it is kept for the submit alone.
    pub(crate) fn address(url: &str, options: Value) -> Self {
        let shown = without_keys(url);
        Self {
            request: json!({ "url": shown }),
            private_request: json!({ "url": url }),
            ..Self::text(url, &shown, options)
        }
    }

    /// Text.
    pub(crate) fn text(text: &str, what: &str, options: Value) -> Self {
        Self {
            what: what.to_owned(),
            path: None,
            digest: Sha256::digest(text).into(),
            options,
            request: Value::Null,
            private_request: Value::Null,
            format: None,
        }
    }
}

/// The address without user, query and fragment, which may be what opens it.
fn without_keys(url: &str) -> String {
    let (plain, cut) = match url.find(['?', '#']) {
        Some(at) => (url.get(..at).unwrap_or_default(), "?…"),
        None => (url, ""),
    };
    let (scheme, rest) = plain.split_once("://").unwrap_or(("", plain));
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    format!("{scheme}://{host}{path}{cut}")
}

/// The text that a job is about, where it was written down as a whole: under `name`, or by a version that wrote it into
/// the label, of which the job's digest tells it.
pub(crate) fn text_of(job: &jobs_ledger::Job, name: &str) -> Option<String> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_opens_an_address_is_not_shown() {
        for (url, shown) in [
            ("https://h.example/a.pdf", "https://h.example/a.pdf"),
            (
                "https://h.example/a.pdf?sign=s3cret&x=1",
                "https://h.example/a.pdf?…",
            ),
            (
                "https://h.example/a.pdf#s3cret",
                "https://h.example/a.pdf?…",
            ),
            (
                "http://me:s3cret@h.example:81/a?s3cret",
                "http://h.example:81/a?…",
            ),
            ("https://h.example/@a", "https://h.example/@a"),
            ("https://a@b@h.example", "https://h.example"),
        ] {
            let input = Input::address(url, Value::Null);
            assert_eq!(input.what, shown);
            assert_eq!(input.request, json!({ "url": shown }));
            assert_eq!(input.private_request, json!({ "url": url }));
        }
    }
}
