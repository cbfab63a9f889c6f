//! Where a result goes: a new file, or stdout.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use jobs_core::disk::Target;
use jobs_core::http::Saved;
use tempfile::TempDir;

use crate::exit::Stop;

/// A place that was checked before anything was sent.
#[derive(Debug)]
pub(crate) enum Place {
    /// A file that is not there yet.
    File(Target),
    /// Standard output, by way of a file that nobody else sees: what is printed was verified as a whole first.
    Stdout { target: Target, _folder: TempDir },
}

/// A result that has arrived.
#[derive(Debug)]
pub(crate) enum Delivered {
    /// A file at its final name, and its digest.
    Saved(Saved, [u8; 32]),
    /// Verified bytes to be printed.
    Bytes(File),
    /// A line to be printed.
    Text(String),
}

impl Place {
    pub(crate) fn new(output: Option<&Path>) -> Result<Self, Stop> {
        match output {
            Some(path) => {
                let target = Target::new(path).map_err(|problem| {
                    Stop::bad_input(format!(
                        "cannot write {}: {problem}; choose another name with -o",
                        path.display()
                    ))
                })?;
                Ok(Self::File(target))
            }
            None => {
                let scratch = || {
                    let folder = tempfile::tempdir()?;
                    Ok((Target::new(folder.path().join("result"))?, folder))
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

    /// The file, if it is one that stays.
    pub(crate) fn path(&self) -> Option<&Path> {
        match self {
            Self::File(target) => Some(target.path()),
            Self::Stdout { .. } => None,
        }
    }

    pub(crate) fn target(&self) -> &Target {
        match self {
            Self::File(target) | Self::Stdout { target, .. } => target,
        }
    }
}

/// Copies a verified result to stdout.
pub(crate) fn print(mut from: File) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    io::copy(&mut from, &mut stdout)?;
    stdout.flush()
}

/// The path from the root, so that it means the same to every process.
pub(crate) fn absolute(path: &Path) -> Result<PathBuf, Stop> {
    std::path::absolute(path)
        .map_err(|problem| Stop::bad_input(format!("{}: {problem}", path.display())))
}

/// One line on stdout.
pub(crate) fn print_line(line: &str) -> Result<(), Stop> {
    writeln!(io::stdout(), "{line}")
        .map_err(|problem| Stop::unexpected(format!("cannot print: {problem}")))
}
