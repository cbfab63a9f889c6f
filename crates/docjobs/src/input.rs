//! What a person gives as input: a file, or what comes on stdin.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use jobs_core::disk::advice;
use jobs_core::http::Document;
use tempfile::TempDir;

use crate::exit::CommandError;

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
    pub(crate) async fn new(path: &Path, name: Option<String>) -> Result<Self, CommandError> {
        match (is_stdin(path), name) {
            (false, None) => Ok(Self {
                place: path.to_owned(),
                spool: None,
            }),
            (false, Some(_)) => Err(CommandError::invalid_input(
                "--name says what stdin is called; a file has a name already",
            )),
            (true, None) => Err(CommandError::invalid_input(
                "what comes on stdin needs a name that tells its type, such as --name report.pdf",
            )),
            (true, Some(name)) => {
                if Path::new(&name).file_name() != Some(name.as_ref()) || name.contains('\0') {
                    return Err(CommandError::invalid_input(format!(
                        "--name {name:?} is no plain file name; write it like report.pdf"
                    )));
                }
                // Apart from the runtime: whoever writes to stdin may take any time.
                let read = tokio::task::spawn_blocking(move || spool(&name)).await;
                read.map_err(io::Error::other).flatten().map_err(|problem| {
                    CommandError::invalid_input(format!(
                        "cannot keep what comes on stdin: {problem}; {}, or set TMPDIR",
                        advice(&problem)
                    ))
                })
            }
        }
    }

    pub(crate) fn open(&self) -> Result<Document, CommandError> {
        Ok(jobs_runner::open(&self.place)?)
    }

    /// Where it lies during this command.
    pub(crate) fn place(&self) -> &Path {
        &self.place
    }

    /// Whether it will still lie there after this command.
    pub(crate) fn is_kept(&self) -> bool {
        self.spool.is_none()
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
