//! What goes in: opened, named and digested before anything is sent.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use jobs_core::disk::advice;
use jobs_core::http::Document;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::address;
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
    /// A document; reads it once. Without a path nobody can read it again.
    pub(crate) fn document(
        document: &Document,
        path: Option<&Path>,
        options: Value,
    ) -> Result<Self, Stop> {
        let digest = document.reader().and_then(|mut reader| digest(&mut reader));
        let place = path.unwrap_or_else(|| Path::new(document.name()));
        let input = Self {
            what: document.name().to_owned(),
            path: None,
            digest: digest.map_err(|problem| unreadable(place, &problem))?,
            options,
            request: Value::Null,
            private_request: Value::Null,
            format: None,
        };
        match path {
            Some(path) => input.at(path),
            None => Ok(input),
        }
    }

    /// The same, read from `path`.
    pub(crate) fn at(self, path: &Path) -> Result<Self, Stop> {
        if path.to_str().is_none() {
            return Err(Stop::bad_input(format!(
                "the name {path:?} is not UTF-8, so it cannot be written down: rename the file, or give it on stdin with \
                 - --name"
            )));
        }
        let path = std::path::absolute(path).map_err(|problem| unreadable(path, &problem))?;
        Ok(Self {
            path: Some(path),
            ..self
        })
    }

    /// Refuses to go on with another content than the one that was written down.
    pub(crate) fn must_be(&self, job: &jobs_ledger::JobRecord) -> Result<(), Stop> {
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
        let shown = address::shown(url);
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

/// The text that a job is about, where it was written down as a whole: under `name`, or by a version that wrote it into
/// the label, of which the job's digest tells it.
pub(crate) fn text_of(job: &jobs_ledger::JobRecord, name: &str) -> Option<String> {
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
pub(crate) fn path_of(job: &jobs_ledger::JobRecord) -> Result<PathBuf, Stop> {
    let lost = || {
        Stop::bad_input(format!(
            "job {}: {} came on stdin and was not sent yet: give it to the same command once more, or give the job up \
             with docjobs resolve {} --abandon",
            job.id, job.input, job.id
        ))
    };
    job.input_path.clone().ok_or_else(lost)
}

/// What a person named as input: a file, or stdin, which is written to a file that is gone after the command.
pub(crate) struct Given {
    place: PathBuf,
    spool: Option<TempDir>,
}

/// Whether a path means stdin.
pub(crate) fn is_stdin(path: &Path) -> bool {
    const STDIN: [&str; 4] = ["-", "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"];
    STDIN.iter().any(|stdin| path.as_os_str() == *stdin)
}

impl Given {
    /// Reads stdin to its end where that is meant; its `name` says of what type it is.
    pub(crate) async fn new(path: &Path, name: Option<String>) -> Result<Self, Stop> {
        match (is_stdin(path), name) {
            (false, None) => Ok(Self {
                place: path.to_owned(),
                spool: None,
            }),
            (false, Some(_)) => Err(Stop::bad_input(
                "--name says what stdin is called; a file has a name already",
            )),
            (true, None) => Err(Stop::bad_input(
                "what comes on stdin needs a name that tells its type, such as --name report.pdf",
            )),
            (true, Some(name)) => {
                if Path::new(&name).file_name() != Some(name.as_ref()) || name.contains('\0') {
                    return Err(Stop::bad_input(format!(
                        "--name {name:?} is no plain file name; write it like report.pdf"
                    )));
                }
                // Apart from the runtime: whoever writes to stdin may take any time.
                let read = tokio::task::spawn_blocking(move || spool(&name)).await;
                read.map_err(io::Error::other).flatten().map_err(|problem| {
                    Stop::bad_input(format!(
                        "cannot keep what comes on stdin: {problem}; {}, or set TMPDIR",
                        advice(&problem)
                    ))
                })
            }
        }
    }

    pub(crate) fn open(&self) -> Result<Document, Stop> {
        open(&self.place)
    }

    /// Where it lies during this command.
    pub(crate) fn place(&self) -> &Path {
        &self.place
    }

    /// Where it will still lie after this command.
    pub(crate) fn path(&self) -> Option<&Path> {
        self.spool.is_none().then_some(&*self.place)
    }
}

fn spool(name: &str) -> io::Result<Given> {
    let folder = tempfile::tempdir()?;
    let place = folder.path().join(name);
    io::copy(&mut io::stdin().lock(), &mut File::create_new(&place)?)?;
    Ok(Given {
        place,
        spool: Some(folder),
    })
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
    fn what_opens_an_address_is_kept_for_the_submit_alone() {
        let url = "https://me:s3cret@h.example/a.pdf?sign=s3cret&x=1";
        let input = Input::address(url, Value::Null);
        assert_eq!(input.what, "https://h.example/a.pdf?…");
        assert_eq!(input.request, json!({ "url": input.what }));
        assert_eq!(input.private_request, json!({ "url": url }));
    }
}
