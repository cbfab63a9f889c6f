//! The documents below a folder.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use walkdir::{DirEntry, WalkDir};

/// What was found below a folder.
#[derive(Debug)]
pub(super) enum Found {
    /// A regular file, its path from the folder on, and its size.
    File {
        path: PathBuf,
        below: PathBuf,
        size: u64,
    },
    /// Something that cannot be read, or is neither file nor folder.
    Unreadable { path: PathBuf, problem: io::Error },
}

/// Every file below `folder`, sorted by name folder by folder. Links are followed; what is hidden, what links back to a
/// folder that it is in, and what lies below `left_out` is left out.
pub(super) fn walk(folder: &Path, left_out: Option<&Path>) -> impl Iterator<Item = Found> {
    let walk = WalkDir::new(folder)
        .follow_links(true)
        .sort_by_file_name()
        .min_depth(1)
        .into_iter();
    let base = folder.to_owned();
    let is_in = {
        let left_out = left_out.map(Path::to_owned);
        move |entry: &DirEntry| {
            let may_lead_there = entry.file_type().is_dir() || entry.path_is_symlink();
            left_out.as_deref().is_some_and(|left_out| {
                may_lead_there
                    && entry
                        .path()
                        .canonicalize()
                        .is_ok_and(|real| real.starts_with(left_out))
            })
        }
    };
    walk.filter_entry(move |entry| {
        entry.depth() == 0 || !(is_hidden(entry.file_name()) || is_in(entry))
    })
    .filter_map(move |entry| {
        let entry = match entry {
            Ok(entry) => entry,
            Err(problem) if problem.loop_ancestor().is_some() => return None,
            Err(problem) => {
                let path = problem.path().unwrap_or(&base).to_owned();
                // A link that leads nowhere, and is hidden.
                if path != base && path.file_name().is_some_and(is_hidden) {
                    return None;
                }
                let problem = problem
                    .into_io_error()
                    .unwrap_or_else(|| io::ErrorKind::Other.into());
                return Some(Found::Unreadable { path, problem });
            }
        };
        if entry.file_type().is_dir() {
            return None;
        }
        if !entry.file_type().is_file() {
            let problem = io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file");
            let path = entry.into_path();
            return Some(Found::Unreadable { path, problem });
        }
        let size = match entry.metadata() {
            Ok(metadata) => metadata.len(),
            Err(problem) => {
                let problem = problem.into();
                let path = entry.into_path();
                return Some(Found::Unreadable { path, problem });
            }
        };
        let path = entry.into_path();
        let below = path.strip_prefix(&base).unwrap_or(&path).to_owned();
        Some(Found::File { path, below, size })
    })
}

fn is_hidden(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b".")
}

#[cfg(all(test, unix))]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    fn files(folder: &Path, left_out: Option<&Path>) -> Vec<String> {
        walk(folder, left_out)
            .map(|found| match found {
                Found::File { below, .. } => below.display().to_string(),
                Found::Unreadable { path, .. } => {
                    format!("!{}", path.file_name().unwrap_or_default().display())
                }
            })
            .collect()
    }

    #[test]
    fn files_come_sorted_without_hidden_ones_and_loops() {
        let place = tempfile::tempdir().unwrap();
        let at = |name: &str| place.path().join(name);
        for folder in ["in/b/c", "in/.git", "in/a", "out"] {
            fs::create_dir_all(at(folder)).unwrap();
        }
        for file in [
            "in/z.pdf",
            "in/b/c/2.pdf",
            "in/b/1.pdf",
            "in/a/x.pdf",
            "in/.hidden.pdf",
            "in/.git/y.pdf",
            "out/linked.pdf",
        ] {
            fs::write(at(file), "x").unwrap();
        }
        symlink(at("in"), at("in/b/loop")).unwrap();
        symlink(at("out"), at("in/link")).unwrap();
        symlink(at("out/linked.pdf"), at("in/file.pdf")).unwrap();
        symlink(at("nowhere"), at("in/dangling.pdf")).unwrap();
        symlink(at("nowhere"), at("in/.dangling")).unwrap();
        let all = [
            "a/x.pdf",
            "b/1.pdf",
            "b/c/2.pdf",
            "!dangling.pdf",
            "file.pdf",
            "link/linked.pdf",
            "z.pdf",
        ];
        assert_eq!(files(&at("in"), None), all);
        let out = at("out").canonicalize().unwrap();
        assert_eq!(
            files(&at("in"), Some(&out)),
            ["a/x.pdf", "b/1.pdf", "b/c/2.pdf", "!dangling.pdf", "z.pdf"]
        );
        let b = at("in/b").canonicalize().unwrap();
        assert_eq!(
            files(&at("in"), Some(&b)),
            [
                "a/x.pdf",
                "!dangling.pdf",
                "file.pdf",
                "link/linked.pdf",
                "z.pdf"
            ]
        );
    }

    #[test]
    fn a_folder_is_walked_although_it_is_hidden_itself_or_a_link() {
        let place = tempfile::tempdir().unwrap();
        fs::create_dir(place.path().join(".in")).unwrap();
        fs::write(place.path().join(".in/a.pdf"), "x").unwrap();
        symlink(place.path().join(".in"), place.path().join("link")).unwrap();
        assert_eq!(files(&place.path().join(".in"), None), ["a.pdf"]);
        assert_eq!(files(&place.path().join("link"), None), ["a.pdf"]);
    }

    #[test]
    fn what_is_neither_file_nor_folder_is_named() {
        let place = tempfile::tempdir().unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(place.path().join("s.pdf")).unwrap();
        assert_eq!(files(place.path(), None), ["!s.pdf"]);
        let gone = place.path().join("gone");
        assert_eq!(files(&gone, None), ["!gone"]);
    }
}
