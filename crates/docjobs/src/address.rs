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
             postgres://USER:PASSWORD@HOST/DATABASE (what begins with ./ is always a path)"
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
    if text.starts_with("postgres://") || text.starts_with("postgresql://") {
        return Ok(Some(text.to_owned()));
    }
    let path = match without_sqlite(text) {
        // As other tools write it: sqlite://relative.db, sqlite:///absolute.db, sqlite:////absolute.db.
        Some(path) => one_slash(path.strip_prefix("//").unwrap_or(path)),
        None => text,
    };
    if path.is_empty() || path == ":memory:" {
        return refuse("names no file, so that jobs would be lost");
    }
    if !path.starts_with("./")
        && let Some(why) = why_no_path(path)
    {
        return refuse(why);
    }
    let path = match path.strip_prefix('~') {
        None => path.to_owned(),
        Some(rest) if rest.is_empty() || !rest.starts_with('/') => {
            return refuse("begins with ~ but not with ~/");
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

fn without_sqlite(text: &str) -> Option<&str> {
    const PREFIX: &str = "sqlite:";
    let prefix = text.get(..PREFIX.len())?;
    let is_one = prefix.eq_ignore_ascii_case(PREFIX);
    is_one.then_some(text.get(PREFIX.len()..)?)
}

/// One slash at the beginning, where there are several.
fn one_slash(path: &str) -> &str {
    let bare = path.trim_start_matches('/');
    path.get((path.len() - bare.len()).saturating_sub(1)..)
        .unwrap_or(path)
}

/// What a text is more likely than a path that somebody chose.
fn why_no_path(text: &str) -> Option<&'static str> {
    const QUOTES: [char; 3] = ['"', '\'', '`'];
    let lower = text.to_ascii_lowercase();
    if text.starts_with(QUOTES) || text.ends_with(QUOTES) {
        Some("begins or ends with a quotation mark")
    } else if names_variable(text) {
        Some("names a variable, which only a shell fills in")
    } else if scheme(&lower) == Some("file") {
        Some("is a file: address, of which only the path is wanted")
    } else if lower.contains("://") || lower.contains("password=") || is_mistyped(&lower) {
        Some("is neither a path nor an address known here")
    } else {
        None
    }
}

/// `$NAME`, `${NAME}` and `$(command)`, anywhere; `%NAME%`.
fn names_variable(text: &str) -> bool {
    let is_first = |c: char| c.is_ascii_alphabetic() || c == '_';
    let of_shell = text
        .split('$')
        .skip(1)
        .any(|rest| rest.starts_with(|c| is_first(c) || c == '{' || c == '('));
    let between = text.split('%').skip(1);
    let of_windows = between.clone().zip(between.skip(1)).any(|(name, _)| {
        name.starts_with(is_first) && name.chars().all(|c| is_first(c) || c.is_ascii_digit())
    });
    of_shell || of_windows
}

/// `file` in `file:x` and `file://x`, `h.example` in `h.example:5432/db`; not the drive of a path.
fn scheme(text: &str) -> Option<&str> {
    let (scheme, _) = text.split_once(':')?;
    let is_one = scheme.len() > 1
        && scheme
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+-._".contains(&byte));
    is_one.then_some(scheme)
}

/// Whether it was meant to be an address: `postgres//h`, `postgres:/h`, `jdbc:x`, `//user@h`, `h:5432/db`, `user:pw@h/db`,
/// `host=h password=p`. Takes small letters.
fn is_mistyped(lower: &str) -> bool {
    let looks_like_a_path =
        lower.starts_with(['.', '~']) || (lower.starts_with('/') && !lower.starts_with("//"));
    if looks_like_a_path {
        return false;
    }
    let word = lower
        .split(|c: char| !c.is_ascii_alphanumeric())
        .next()
        .unwrap_or_default();
    let after = lower.get(word.len()..).unwrap_or_default();
    scheme(lower).is_some()
        || after.starts_with("//")
        || after.starts_with(":/")
        || (word.starts_with("postgres") && after.starts_with([':', ';', '@']))
        || lower
            .split_once('@')
            .is_some_and(|(user, _)| user.contains(':'))
        || ["host=", "hostaddr=", "dbname=", "service="]
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
            ("sqlite:////a/x.db", "sqlite:/a/x.db"),
            ("SQLite:/a/x.db", "sqlite:/a/x.db"),
            ("sqlite:./x:y.db", "sqlite:./x:y.db"),
            ("./file:x.db", "sqlite:./file:x.db"),
            ("./$HOME/a://b", "sqlite:./$HOME/a://b"),
            ("cost$.db", "sqlite:cost$.db"),
            ("100% done/20%.db", "sqlite:100% done/20%.db"),
            ("処理:1.db", "sqlite:処理:1.db"),
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
            "jdbc:postgresql://h/db?password=hunter2",
            "sqlite:postgres://u:hunter2@h/db",
            "SQLITE:postgres//u:hunter2@h/db",
            "h.example:5432/db?password=hunter2",
            "/h/db?user=u&PASSWORD=hunter2",
            "jdbc:sqlite:/tmp/x.db",
            "sqlite3:w.db",
            "sqlite:$HOME/x.db",
            "sqlite:/srv/${USER}/x.db",
            "/srv/$USER/x.db",
            "sqlite:\"q.db\"",
            "x.db'",
            "%APPDATA%/x.db",
            "sqlite:%APPDATA%\\x.db",
            "File:x.db",
            "FILE:u.db",
            "sqlite:file:z.db",
            "sqlite:file:z2.db?mode=memory",
            "sqlite:~other/x.db",
        ] {
            let stop = taken(refused).unwrap_err();
            assert_eq!(stop.exit, crate::exit::ExitCode::InvalidInput, "{refused}");
            assert!(!stop.line.contains("hunter2"), "{}", stop.line);
        }
        let homeless = ledger(OsStr::new("~/x.db"), || None).unwrap_err();
        assert!(homeless.line.contains("HOME"), "{}", homeless.line);
    }
}
