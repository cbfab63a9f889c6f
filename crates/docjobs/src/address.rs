//! Addresses that people write: which ledger is meant, and what of an address may be shown.

use std::ffi::OsStr;
use std::path::PathBuf;

use crate::exit::CommandError;

/// The ledger that is meant, as the store takes it; none when nothing is said. What is no path and no address known here
/// is refused and not shown: there may be a password in it.
pub(crate) fn ledger(
    given: &OsStr,
    home: impl FnOnce() -> Option<PathBuf>,
) -> Result<Option<String>, CommandError> {
    let refuse = |why: &str| {
        Err(CommandError::invalid_input(format!(
            "the address of the ledger (--ledger, DOCJOBS_LEDGER) {why}; write a path, sqlite:PATH or \
             postgres://USER:PASSWORD@HOST/DATABASE"
        )))
    };
    let Some(text) = given.to_str() else {
        return refuse("is not UTF-8");
    };
    if text.trim().is_empty() {
        return Ok(None);
    }
    if text.trim() != text {
        return refuse("begins or ends with a blank");
    }
    if text.starts_with(['"', '\'']) {
        return refuse("begins with a quotation mark");
    }
    if text.starts_with('$') || text.contains("${") {
        return refuse("names a variable, which only a shell fills in");
    }
    if text.starts_with("postgres://") || text.starts_with("postgresql://") {
        return Ok(Some(text.to_owned()));
    }
    let path = match text.strip_prefix("sqlite:") {
        // As other tools write it: sqlite://relative.db, sqlite:///absolute.db.
        Some(path) => path.strip_prefix("//").unwrap_or(path),
        None if scheme(text) == Some("file") => {
            return refuse("is a file: address, of which only the path is wanted");
        }
        None if is_mistyped(text) => return refuse("is neither a path nor an address known here"),
        None => text,
    };
    if path.is_empty() || path == ":memory:" {
        return refuse("names no file, so that jobs would be lost");
    }
    let path = match path.strip_prefix('~') {
        None => path.to_owned(),
        Some(rest) if rest.is_empty() || !rest.starts_with('/') => {
            return refuse("begins with ~ but not with ~/ (a file of that name is ./~…)");
        }
        Some(rest) => match home().map(|home| home.join(rest.trim_start_matches('/'))) {
            Some(path) => match path.into_os_string().into_string() {
                Ok(path) => path,
                Err(_) => return refuse("is in a home folder whose name is not UTF-8"),
            },
            None => return refuse("begins with ~/, and nobody knows the home folder: set HOME"),
        },
    };
    // The prefix keeps a path with a colon from being taken for an address.
    Ok(Some(format!("sqlite:{path}")))
}

/// `file` in `file:x` and `file://x`; not the drive of a path.
fn scheme(text: &str) -> Option<&str> {
    let (scheme, _) = text.split_once(':')?;
    let is_one = scheme.len() > 1
        && scheme
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    is_one.then_some(scheme)
}

/// Whether it was meant to be an address: `postgres//h`, `postgres:/h`, `postgress://h`, `//user@h`, `user:pw@h/db`,
/// `host=h password=p`.
fn is_mistyped(text: &str) -> bool {
    let looks_like_a_path =
        text.starts_with(['.', '~']) || (text.starts_with('/') && !text.starts_with("//"));
    if looks_like_a_path {
        return false;
    }
    let lower = text.to_ascii_lowercase();
    let word = lower
        .split(|c: char| !c.is_ascii_alphanumeric())
        .next()
        .unwrap_or_default();
    let after = lower.get(word.len()..).unwrap_or_default();
    after.starts_with("//")
        || after.starts_with(":/")
        || (word.starts_with("postgres") && after.starts_with([':', ';', '@']))
        || lower
            .split_once('@')
            .is_some_and(|(user, _)| user.contains(':'))
        || ["host=", "hostaddr=", "password=", "dbname=", "service="]
            .iter()
            .any(|key| lower.split_whitespace().any(|pair| pair.starts_with(key)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(text: &str) -> Result<Option<String>, CommandError> {
        ledger(OsStr::new(text), || Some(PathBuf::from("/home/me")))
    }

    #[test]
    fn every_spelling_of_a_ledger_means_one_place_or_is_refused() {
        for (given, meant) in [
            ("x.db", "sqlite:x.db"),
            ("/a/b.db", "sqlite:/a/b.db"),
            ("a:b.db", "sqlite:a:b.db"),
            ("./~x.db", "sqlite:./~x.db"),
            ("~/x.db", "sqlite:/home/me/x.db"),
            ("sqlite:~/x.db", "sqlite:/home/me/x.db"),
            ("sqlite:x.db", "sqlite:x.db"),
            ("sqlite://x.db", "sqlite:x.db"),
            ("sqlite:///a/x.db", "sqlite:/a/x.db"),
            ("postgres.db", "sqlite:postgres.db"),
            ("postgres/x.db", "sqlite:postgres/x.db"),
            ("/data/a:b@c/x.db", "sqlite:/data/a:b@c/x.db"),
            ("postgres://u:p@h/db", "postgres://u:p@h/db"),
            (
                "postgresql://h/db?sslmode=verify-full",
                "postgresql://h/db?sslmode=verify-full",
            ),
        ] {
            assert_eq!(taken(given).unwrap().as_deref(), Some(meant), "{given}");
        }
        for unset in ["", " ", "\n"] {
            assert_eq!(taken(unset).unwrap(), None, "{unset:?}");
        }
        for refused in [
            "file:x.db",
            "file:///x.db",
            "~",
            "~other/x.db",
            "$HOME/x.db",
            "${HOME}/x.db",
            "\"x.db\"",
            " x.db",
            "sqlite:",
            "sqlite::memory:",
            "postgres//u:hunter2@h/db",
            "postgres:/u:hunter2@h/db",
            "postgres:u:hunter2@h/db",
            "postgress://u:hunter2@h/db",
            "POSTGRES//u:hunter2@h/db",
            "mysql://u:hunter2@h/db",
            "//u:hunter2@h/db",
            "u:hunter2@h/db",
            "host=h password=hunter2",
        ] {
            let stop = taken(refused).unwrap_err();
            assert_eq!(stop.exit, crate::exit::ExitCode::InvalidInput, "{refused}");
            assert!(!stop.line.contains("hunter2"), "{}", stop.line);
        }
        let homeless = ledger(OsStr::new("~/x.db"), || None).unwrap_err();
        assert!(homeless.line.contains("HOME"), "{}", homeless.line);
    }
}
