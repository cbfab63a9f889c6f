//! Where a result goes: a file that is named when it is complete, or a scratch file whose bytes are handed on.

use std::fs::File;
use std::io::{self, Read, Seek as _};
use std::path::{Path, PathBuf};

use jobs_core::Error;
use jobs_core::disk::OutputPath;
use jobs_core::http::{InvalidFile, SavedFile};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use crate::error::RunnerError;
use crate::job_input;

/// A place that was checked before anything was sent.
#[derive(Debug)]
#[non_exhaustive]
pub enum OutputTarget {
    /// A file that gets its name when it is complete.
    File(OutputPath),
    /// No place of its own: the verified bytes are handed to the caller.
    #[non_exhaustive]
    Scratch {
        /// Where they are gathered.
        target: OutputPath,
        /// Deleted with the target.
        folder: TempDir,
    },
}

/// A result that has arrived.
#[derive(Debug)]
#[non_exhaustive]
pub enum DeliveredOutput {
    /// A file at its final name, and its digest.
    Saved(SavedFile, [u8; 32]),
    /// A file at its final name that lay elsewhere on this machine.
    Copied(PathBuf),
    /// Verified bytes, in a file without a name.
    Bytes(File),
    /// A line of text.
    Text(String),
}

impl DeliveredOutput {
    /// The file, if the result is one that stays.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Saved(saved, _) => Some(&saved.path),
            Self::Copied(path) => Some(path),
            Self::Bytes(_) | Self::Text(_) => None,
        }
    }
}

impl OutputTarget {
    /// Checks the place, at which nothing may be.
    ///
    /// # Errors
    /// [`InvalidOutput`](crate::RunnerErrorKind::InvalidOutput).
    pub fn new(path: impl Into<PathBuf>) -> Result<Self, RunnerError> {
        let path = path.into();
        match OutputPath::new(&path) {
            Ok(target) => Ok(Self::File(target)),
            Err(problem) => Err(RunnerError::invalid_output(path, problem)),
        }
    }

    /// Checks the place; a file that is there is replaced, at once and as a whole.
    ///
    /// # Errors
    /// [`InvalidOutput`](crate::RunnerErrorKind::InvalidOutput).
    pub fn replacing(path: impl Into<PathBuf>) -> Result<Self, RunnerError> {
        let path = path.into();
        match OutputPath::replacing(&path) {
            Ok(target) => Ok(Self::File(target)),
            Err(problem) => Err(RunnerError::invalid_output(path, problem)),
        }
    }

    /// The place of a result that is paid for already.
    pub(crate) fn of_paid(path: &Path, overwrites: bool) -> Result<Self, RunnerError> {
        let place = if overwrites {
            OutputPath::replacing(path)
        } else {
            OutputPath::untried(path)
        };
        match place {
            Ok(target) => Ok(Self::File(target)),
            Err(problem) => Err(RunnerError::invalid_output(path.to_owned(), problem)),
        }
    }

    /// The place at a path, or a scratch file.
    pub(crate) fn at(path: Option<&Path>, overwrites: bool) -> Result<Self, RunnerError> {
        match path {
            Some(path) if overwrites => Self::replacing(path),
            Some(path) => Self::new(path),
            None => Self::scratch(),
        }
    }

    /// A scratch file in the folder for temporary files.
    ///
    /// # Errors
    /// [`InvalidOutput`](crate::RunnerErrorKind::InvalidOutput).
    pub fn scratch() -> Result<Self, RunnerError> {
        let make = || {
            let folder = tempfile::tempdir()?;
            Ok((OutputPath::new(folder.path().join("result"))?, folder))
        };
        let (target, folder) = make().map_err(|problem: io::Error| {
            RunnerError::invalid_output(std::env::temp_dir(), problem)
        })?;
        Ok(Self::Scratch { target, folder })
    }

    /// Keeps the bytes of a result that did not pass its check, beside the place; those of a result without one as
    /// `NAME.unverified` in the current folder.
    pub(crate) async fn keep_unverified(
        &self,
        file: InvalidFile,
        name: &str,
    ) -> Result<PathBuf, Error> {
        let kept = file.persist().await?.path;
        match self {
            Self::File(_) => Ok(kept),
            Self::Scratch { .. } => beside_here(&kept, name).map_err(|problem| {
                Error::local_io("runner", "keep", "the result cannot be kept", problem)
            }),
        }
    }

    /// Delivers the bytes of a file that lies on this machine. Its digest is that of what is delivered.
    pub(crate) fn copy(
        &self,
        from: &Path,
        digest: [u8; 32],
    ) -> io::Result<Option<DeliveredOutput>> {
        let mut source = File::open(from)?;
        if job_input::digest(&mut source)? != digest {
            return Ok(None);
        }
        source.rewind()?;
        let Self::File(target) = self else {
            return Ok(Some(DeliveredOutput::Bytes(source)));
        };
        let mut unchanged = Unchanged {
            from: source,
            seen: Sha256::new(),
            digest,
        };
        match target.write_from(&mut unchanged) {
            Err(problem) if problem.kind() == io::ErrorKind::InvalidData => return Ok(None),
            written => written?,
        };
        Ok(Some(DeliveredOutput::Copied(target.path().to_owned())))
    }

    /// The file, if it is one that stays.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::File(target) => Some(target.path()),
            Self::Scratch { .. } => None,
        }
    }

    pub(crate) fn target(&self) -> &OutputPath {
        match self {
            Self::File(target) | Self::Scratch { target, .. } => target,
        }
    }
}

/// A file that must still be what it was: reading it to the end fails otherwise.
struct Unchanged {
    from: File,
    seen: Sha256,
    digest: [u8; 32],
}

impl Read for Unchanged {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.from.read(into)?;
        self.seen.update(into.get(..count).unwrap_or_default());
        let is_it = || <[u8; 32]>::from(self.seen.clone().finalize()) == self.digest;
        if count == 0 && !into.is_empty() && !is_it() {
            return Err(io::ErrorKind::InvalidData.into());
        }
        Ok(count)
    }
}

/// Moves a file out of a folder that goes away. Never replaces anything.
fn beside_here(kept: &Path, name: &str) -> io::Result<PathBuf> {
    const NAMES: u32 = 100;
    for number in 1..=NAMES {
        let name = match number {
            1 => format!("{name}.unverified"),
            number => format!("{name}.unverified-{number}"),
        };
        let path = std::path::absolute(name)?;
        match File::create_new(&path) {
            Ok(mut file) => {
                io::copy(&mut File::open(kept)?, &mut file)?;
                file.sync_all()?;
                return Ok(path);
            }
            Err(problem) if problem.kind() == io::ErrorKind::AlreadyExists => {}
            Err(problem) => return Err(problem),
        }
    }
    Err(io::Error::new(
        io::ErrorKind::AlreadyExists,
        "there are 100 unverified files here already",
    ))
}
