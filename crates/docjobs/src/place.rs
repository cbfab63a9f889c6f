//! Where a result goes: a new file, or stdout.

use std::fs::File;
use std::io::{self, Read, Seek as _, Write};
use std::path::{Path, PathBuf};

use jobs_core::Error;
use jobs_core::disk::{OutputPath, advice};
use jobs_core::http::{InvalidFile, SavedFile};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use crate::clean;
use crate::exit::Stop;
use crate::input;

/// A place that was checked before anything was sent.
#[derive(Debug)]
pub(crate) enum Place {
    /// A file that is not there yet.
    File(OutputPath),
    /// Standard output, by way of a file that nobody else sees: what is printed was verified as a whole first.
    Stdout {
        target: OutputPath,
        _folder: TempDir,
    },
}

/// A result that has arrived.
#[derive(Debug)]
pub(crate) enum Delivered {
    /// A file at its final name, and its digest.
    Saved(SavedFile, [u8; 32]),
    /// A file at its final name that lay elsewhere on this machine.
    Copied(PathBuf),
    /// Verified bytes to be printed.
    Bytes(File),
    /// A line to be printed.
    Text(String),
}

impl Place {
    /// Checks the place, at which nothing may be.
    pub(crate) fn new(output: Option<&Path>) -> Result<Self, Stop> {
        Self::of(output, false)
    }

    /// Checks the place; a file that is there may be replaced if `overwrites`.
    pub(crate) fn of(output: Option<&Path>, overwrites: bool) -> Result<Self, Stop> {
        match output {
            Some(path) => {
                let target = if overwrites {
                    OutputPath::replacing(path)
                } else {
                    OutputPath::new(path)
                };
                let target = target.map_err(|problem| {
                    let or = match problem.kind() {
                        io::ErrorKind::AlreadyExists => " with -o, or --overwrite",
                        _ => "",
                    };
                    Stop::bad_input(format!(
                        "cannot write {}: {problem}; {}{or}",
                        path.display(),
                        advice(&problem)
                    ))
                })?;
                Ok(Self::File(target))
            }
            None => {
                let scratch = || {
                    let folder = tempfile::tempdir()?;
                    Ok((OutputPath::new(folder.path().join("result"))?, folder))
                };
                let (target, folder) = scratch().map_err(|problem: io::Error| {
                    Stop::bad_input(format!(
                        "cannot write temporary files: {problem}; set TMPDIR, or use -o"
                    ))
                })?;
                Ok(Self::Stdout {
                    target,
                    _folder: folder,
                })
            }
        }
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
            Self::Stdout { .. } => beside_here(&kept, name).map_err(|problem| {
                Error::local_io("docjobs", "keep", "the result cannot be kept", problem)
            }),
        }
    }

    /// Delivers the bytes of a file that lies on this machine. Its digest is that of what is delivered.
    pub(crate) fn copy(&self, from: &Path, digest: [u8; 32]) -> io::Result<Option<Delivered>> {
        let mut source = File::open(from)?;
        if input::digest(&mut source)? != digest {
            return Ok(None);
        }
        source.rewind()?;
        let Self::File(target) = self else {
            return Ok(Some(Delivered::Bytes(source)));
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
        Ok(Some(Delivered::Copied(target.path().to_owned())))
    }

    /// The file, if it is one that stays.
    pub(crate) fn path(&self) -> Option<&Path> {
        match self {
            Self::File(target) => Some(target.path()),
            Self::Stdout { .. } => None,
        }
    }

    /// Puts a text there, complete or not at all.
    pub(crate) fn write(&self, text: &str) -> Result<(), Stop> {
        let target = self.target();
        target.write(text.as_bytes()).map_err(|problem| {
            Stop::bad_input(format!(
                "cannot write {}: {problem}; {}",
                target.path().display(),
                advice(&problem)
            ))
        })
    }

    pub(crate) fn target(&self) -> &OutputPath {
        match self {
            Self::File(target) | Self::Stdout { target, .. } => target,
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

/// Copies a verified result to stdout.
pub(crate) fn print(mut from: File) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    io::copy(&mut from, &mut stdout)?;
    stdout.flush()
}

/// The file that is meant by `-o`, from the root; none for stdout, in all its spellings.
pub(crate) fn output(given: Option<&Path>) -> Result<Option<PathBuf>, Stop> {
    const STDOUT: [&str; 4] = ["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"];
    match given {
        Some(path) if path.as_os_str().is_empty() => Err(Stop::bad_input(
            "-o names no file; give a path, or - for stdout",
        )),
        Some(path) if path.to_str().is_none() => Err(Stop::bad_input(format!(
            "the name {path:?} is not UTF-8, so it cannot be written down; choose another one with -o"
        ))),
        Some(path) if !STDOUT.iter().any(|stdout| path.as_os_str() == *stdout) => {
            absolute(path).map(Some)
        }
        _ => Ok(None),
    }
}

/// A folder for results, made where it is missing and tried before anything is sent.
pub(crate) fn results_folder(folder: &Path) -> Result<PathBuf, Stop> {
    let folder = absolute(folder)?;
    let tried = std::fs::create_dir_all(&folder)
        .and_then(|()| tempfile::tempfile_in(&folder))
        .map(drop);
    tried.map_err(|problem| {
        Stop::bad_input(format!("cannot write to {}: {problem}", folder.display()))
    })?;
    Ok(folder)
}

/// The path from the root, so that it means the same to every process.
pub(crate) fn absolute(path: &Path) -> Result<PathBuf, Stop> {
    std::path::absolute(path)
        .map_err(|problem| Stop::bad_input(format!("{}: {problem}", path.display())))
}

/// One line for people on stdout, [cleaned](clean::line).
pub(crate) fn print_line(line: &str) -> Result<(), Stop> {
    print_exact(&clean::line(line))
}

/// One line for scripts on stdout, as it is.
pub(crate) fn print_json(value: &Value) -> Result<(), Stop> {
    print_exact(&value.to_string())
}

fn print_exact(line: &str) -> Result<(), Stop> {
    writeln!(io::stdout(), "{line}").map_err(|problem| Stop::unprintable(&problem, ""))
}
