//! The folder of files to be printed: what lies at a job's names, and whether it is the whole of it.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use jobs_core::disk::StagedFile;
use printer_jobs::{Destination, ListedJob};

use crate::exit::CommandError;
use crate::output::absolute;

/// What lies at the names of a job's files.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    Nothing,
    /// All of it, as listed.
    Complete,
    /// Something else: part of it, or nothing that can be told to be it.
    Rest,
}

/// The folder, made where needed, with what crashed downloads left in it swept out.
pub(super) fn open(folder: &Path, now: SystemTime) -> Result<PathBuf, CommandError> {
    let folder = absolute(folder)?;
    let unusable = |problem: io::Error| unusable(&folder, &problem);
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt;
        // People's documents are nobody else's.
        builder.mode(0o700);
    }
    builder.create(&folder).map_err(unusable)?;
    sweep(&folder, now).map_err(unusable)?;
    Ok(folder)
}

/// Whether a file can be made in the folder and filled.
pub(super) fn probe(folder: &Path) -> Result<(), CommandError> {
    let mut draft = StagedFile::new_in(folder).map_err(|problem| unusable(folder, &problem))?;
    let filled = draft.file_mut().write_all(&[0; 64 * 1024]);
    filled.map_err(|problem| unusable(folder, &problem))
}

fn unusable(folder: &Path, problem: &io::Error) -> CommandError {
    CommandError::invalid_input(format!(
        "cannot use the spool {}: {problem}; choose another folder with --spool",
        folder.display()
    ))
}

/// Removes unfinished downloads that nobody can be working on any more.
fn sweep(folder: &Path, now: SystemTime) -> io::Result<()> {
    const OLD: Duration = Duration::from_secs(3600);
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if !(name.starts_with(".docjobs-") && name.ends_with(".part")) {
            continue;
        }
        let age = entry
            .metadata()
            .and_then(|it| it.modified())
            .map(|at| now.duration_since(at).unwrap_or_default());
        // Gone already, or not ours to remove: then it is not in anybody's way either.
        if age.is_ok_and(|age| age > OLD) {
            drop(fs::remove_file(entry.path()));
        }
    }
    Ok(())
}

/// Judges what lies at the job's names.
pub(super) fn find(job: &ListedJob, place: &Destination) -> Found {
    let is_missing = |name: &PathBuf| fs::symlink_metadata(name).is_err();
    if place.files(job).iter().all(is_missing) {
        return Found::Nothing;
    }
    if place.has(job) {
        Found::Complete
    } else {
        Found::Rest
    }
}

/// Removes a job's files; what is not there is no trouble.
pub(super) fn remove(names: &[PathBuf]) -> io::Result<()> {
    for name in names {
        match fs::remove_file(name) {
            Err(problem) if problem.kind() != io::ErrorKind::NotFound => return Err(problem),
            _ => {}
        }
    }
    Ok(())
}

/// All files of a job by the name of the first, for when nothing else is known of it any more.
pub(super) fn all_of(first: &Path) -> Vec<PathBuf> {
    let pages = || {
        let stem = first.file_name()?.to_str()?.strip_suffix("001.jpg")?;
        stem.ends_with('-').then_some(stem)
    };
    let (Some(stem), Some(folder)) = (pages(), first.parent()) else {
        return vec![first.to_path_buf()];
    };
    let is_page = |name: &str| {
        let number = name
            .strip_prefix(stem)
            .and_then(|it| it.strip_suffix(".jpg"));
        number.is_some_and(|it| !it.is_empty() && it.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_name().to_str().is_some_and(is_page))
        .map(|entry| entry.path())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_found_by_the_first_and_nothing_else_is() {
        let folder = tempfile::tempdir().unwrap();
        let place = |name: &str| folder.path().join(name);
        for name in [
            "j-002.jpg",
            "j-1000.jpg",
            "j-001-001.jpg",
            "j-x.jpg",
            "k-001.jpg",
            "j.pdf",
        ] {
            fs::write(place(name), "").unwrap();
        }
        let mut pages = all_of(&place("j-001.jpg"));
        pages.sort();
        assert_eq!(pages, [place("j-002.jpg"), place("j-1000.jpg")]);
        assert_eq!(all_of(&place("j.pdf")), [place("j.pdf")]);
    }

    #[test]
    fn only_old_unfinished_downloads_are_swept_out() {
        let folder = tempfile::tempdir().unwrap();
        let names = [".docjobs-x.part", ".docjobs-keep", "a.part", "j.pdf"];
        for name in names {
            fs::write(folder.path().join(name), "").unwrap();
        }
        let written = fs::metadata(folder.path().join("j.pdf"))
            .unwrap()
            .modified()
            .unwrap();
        let count = || fs::read_dir(folder.path()).unwrap().count();
        open(folder.path(), written).unwrap();
        assert_eq!(count(), 4);
        open(folder.path(), written + Duration::from_secs(4000)).unwrap();
        assert_eq!(count(), 3);
        assert!(!folder.path().join(".docjobs-x.part").exists());
    }
}
