//! Where results go on the command line, and what is printed on stdout.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use jobs_core::disk::OutputPath;
use serde_json::Value;

use crate::clean;
use crate::exit::{CommandError, output_line};

/// Copies a verified result to stdout.
pub(crate) fn print(mut from: File) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    io::copy(&mut from, &mut stdout)?;
    stdout.flush()
}

/// The file that is meant by `-o`, from the root; none for stdout, in all its spellings.
pub(crate) fn output(given: Option<&Path>) -> Result<Option<PathBuf>, CommandError> {
    const STDOUT: [&str; 4] = ["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"];
    match given {
        Some(path) if path.as_os_str().is_empty() => Err(CommandError::invalid_input(
            "-o names no file; give a path, or - for stdout",
        )),
        Some(path) if path.to_str().is_none() => Err(CommandError::invalid_input(format!(
            "the name {path:?} is not UTF-8, so it cannot be written down; choose another one with -o"
        ))),
        Some(path) if !STDOUT.iter().any(|stdout| path.as_os_str() == *stdout) => {
            absolute(path).map(Some)
        }
        _ => Ok(None),
    }
}

/// A place that was checked: nothing is there, or what is there may be replaced.
pub(crate) fn target(path: &Path, overwrites: bool) -> Result<OutputPath, CommandError> {
    let target = if overwrites {
        OutputPath::replacing(path)
    } else {
        OutputPath::new(path)
    };
    target.map_err(|problem| CommandError::invalid_input(output_line(path, &problem)))
}

/// Puts a text there, complete or not at all.
pub(crate) fn write(target: &OutputPath, text: &str) -> Result<(), CommandError> {
    target
        .write(text.as_bytes())
        .map_err(|problem| CommandError::invalid_input(output_line(target.path(), &problem)))
}

/// A folder for results, made where it is missing and tried before anything is sent.
pub(crate) fn results_folder(folder: &Path) -> Result<PathBuf, CommandError> {
    let folder = absolute(folder)?;
    let tried = std::fs::create_dir_all(&folder)
        .and_then(|()| tempfile::tempfile_in(&folder))
        .map(drop);
    tried.map_err(|problem| {
        CommandError::invalid_input(format!("cannot write to {}: {problem}", folder.display()))
    })?;
    Ok(folder)
}

/// The path from the root, so that it means the same to every process.
pub(crate) fn absolute(path: &Path) -> Result<PathBuf, CommandError> {
    std::path::absolute(path)
        .map_err(|problem| CommandError::invalid_input(format!("{}: {problem}", path.display())))
}

/// One line for people on stdout, [cleaned](clean::line).
pub(crate) fn print_line(line: &str) -> Result<(), CommandError> {
    print_exact(&clean::line(line))
}

/// One line for scripts on stdout, as it is.
pub(crate) fn print_json(value: &Value) -> Result<(), CommandError> {
    print_exact(&value.to_string())
}

fn print_exact(line: &str) -> Result<(), CommandError> {
    writeln!(io::stdout(), "{line}").map_err(|problem| CommandError::unprintable(&problem, ""))
}
