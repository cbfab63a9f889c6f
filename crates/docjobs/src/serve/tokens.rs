//! Who may use the server: a file of names and tokens that is read again whenever it changes.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// One line of the file.
#[derive(Clone)]
pub(super) struct Holder {
    /// Who it is, as events name them.
    pub(super) name: String,
    /// Whether they may only read.
    pub(super) is_read_only: bool,
    token: String,
}

impl Holder {
    /// What cookies of this holder are signed with: another token ends them all.
    pub(super) fn signing_key(&self) -> &[u8] {
        self.token.as_bytes()
    }
}

/// The file with the names and tokens.
pub(super) struct TokenFile {
    path: PathBuf,
    known: Mutex<Known>,
}

struct Known {
    version: Option<Version>,
    holders: Vec<Holder>,
}

/// What differs when a file was written anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Version {
    modified: Option<SystemTime>,
    length: u64,
    inode: u64,
}

impl TokenFile {
    /// Reads the file; what is wrong with it is a sentence.
    pub(super) fn open(path: &Path) -> Result<Self, String> {
        let unreadable =
            |problem: io::Error| format!("--token-file: cannot read {}: {problem}", path.display());
        let version = version(path).map_err(unreadable)?;
        let text = fs::read_to_string(path).map_err(unreadable)?;
        let holders = parse(&text)
            .map_err(|problem| format!("--token-file: {}: {problem}", path.display()))?;
        if holders.is_empty() {
            return Err(format!(
                "--token-file: {} holds no token; write lines NAME TOKEN, or NAME TOKEN ro",
                path.display()
            ));
        }
        Ok(Self {
            path: path.to_owned(),
            known: Mutex::new(Known {
                version: Some(version),
                holders,
            }),
        })
    }

    /// Whose token this is. Each is compared as a whole, so that the time taken tells nothing.
    pub(super) fn holder_of(&self, token: &str) -> Option<Holder> {
        let given = Sha256::digest(token);
        let mut found = None;
        for holder in self.holders() {
            if bool::from(Sha256::digest(&holder.token).ct_eq(&given)) {
                found = Some(holder);
            }
        }
        found
    }

    /// The holders of this name: two while a token is replaced.
    pub(super) fn holders_named(&self, name: &str) -> Vec<Holder> {
        let mut holders = self.holders();
        holders.retain(|holder| holder.name == name);
        holders
    }

    /// The file as it is now. While it cannot be read, or a line of it makes no sense, nobody is let in by what is missing.
    fn holders(&self) -> Vec<Holder> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let now = version(&self.path).ok();
        if now != known.version || now.is_none() {
            known.holders = match fs::read_to_string(&self.path) {
                Ok(text) => text
                    .lines()
                    .filter_map(|line| holder(line).ok().flatten())
                    .collect(),
                Err(problem) => {
                    tracing::warn!(
                        "cannot read {}: {problem}; no token is accepted",
                        self.path.display()
                    );
                    Vec::new()
                }
            };
            known.version = now;
        }
        known.holders.clone()
    }
}

fn version(path: &Path) -> io::Result<Version> {
    let found = fs::metadata(path)?;
    Ok(Version {
        modified: found.modified().ok(),
        length: found.len(),
        inode: inode(&found),
    })
}

#[cfg(unix)]
fn inode(found: &fs::Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(found)
}

#[cfg(not(unix))]
fn inode(_: &fs::Metadata) -> u64 {
    0
}

fn parse(text: &str) -> Result<Vec<Holder>, String> {
    let mut holders = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let found = holder(line).map_err(|problem| format!("line {number}: {problem}"))?;
        holders.extend(found);
    }
    Ok(holders)
}

/// One line; none for a blank one and for a remark. No token is in an error.
fn holder(line: &str) -> Result<Option<Holder>, &'static str> {
    let line = line.trim_start_matches('\u{feff}').trim();
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let mut words = line.split_whitespace();
    let (Some(name), Some(token)) = (words.next(), words.next()) else {
        return Err("a name without a token; write NAME TOKEN");
    };
    let is_read_only = match words.next() {
        None => false,
        Some("ro") => true,
        Some(_) => return Err("the third word may only be ro"),
    };
    if words.next().is_some() {
        return Err("more than NAME TOKEN ro");
    }
    if name.chars().any(char::is_control) || name.len() > 64 {
        return Err("the name is too long or no text");
    }
    Ok(Some(Holder {
        name: name.to_owned(),
        is_read_only,
        token: token.to_owned(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(file: &TokenFile, token: &str) -> Option<(String, bool)> {
        file.holder_of(token)
            .map(|holder| (holder.name, holder.is_read_only))
    }

    #[test]
    fn lines_are_name_token_and_perhaps_ro() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens");
        fs::write(&path, "\u{feff}# who\n\nalice s3cret\nbob\tt0ken  ro\r\n").unwrap();
        let file = TokenFile::open(&path).unwrap();
        assert_eq!(names(&file, "s3cret"), Some(("alice".to_owned(), false)));
        assert_eq!(names(&file, "t0ken"), Some(("bob".to_owned(), true)));
        assert_eq!(names(&file, "s3cre"), None);
        assert_eq!(names(&file, ""), None);
    }

    #[test]
    fn what_makes_no_sense_is_named_by_its_line_and_without_its_token() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens");
        for (text, part) in [
            ("", "no token"),
            ("# none\n", "no token"),
            ("a hidden\nbob\n", "line 2"),
            ("alice hidden rw\n", "may only be ro"),
            ("alice hidden ro more\n", "line 1"),
        ] {
            fs::write(&path, text).unwrap();
            let problem = TokenFile::open(&path).err().unwrap();
            assert!(problem.contains(part), "{problem}");
            assert!(!problem.contains("hidden"), "{problem}");
        }
        assert!(TokenFile::open(&folder.path().join("none")).is_err());
    }

    #[test]
    fn a_changed_file_counts_at_once_and_a_lost_one_lets_nobody_in() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens");
        fs::write(&path, "alice one\n").unwrap();
        let file = TokenFile::open(&path).unwrap();
        fs::write(&path, "alice other\nodd\n").unwrap();
        assert_eq!(names(&file, "one"), None);
        assert!(names(&file, "other").is_some());
        assert_eq!(file.holders_named("alice").len(), 1);
        fs::remove_file(&path).unwrap();
        assert_eq!(names(&file, "other"), None);
    }
}
