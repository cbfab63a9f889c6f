//! What the address of a ledger means. Nothing of an address is ever shown but scheme, host and port.

use crate::error::{LedgerError, LedgerErrorKind};

/// Where a ledger is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Address<'a> {
    File(&'a str),
    Postgres(String),
}

/// Beginnings of addresses of other databases, and of misspelt ones of ours.
const DATABASES: &[&str] = &[
    "postg", "pgsql", "psql", "mysql", "mariadb", "jdbc", "redis", "file",
];

/// What the driver takes in an address. Others it would write into the log, with their values.
const PARAMETERS: &[&str] = &[
    "sslmode",
    "ssl-mode",
    "sslrootcert",
    "ssl-root-cert",
    "ssl-ca",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
    "statement-cache-capacity",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "application_name",
    "options",
];

/// What `sslmode` may be.
const SSL_MODES: &[&str] = &[
    "disable",
    "allow",
    "prefer",
    "require",
    "verify-ca",
    "verify-full",
];

pub(super) fn read(url: &str) -> Result<Address<'_>, LedgerError> {
    let (word, rest) = first_word(url);
    let path = match word.as_str() {
        "postgres" | "postgresql" if rest.starts_with("://") => {
            check_ssl_mode(rest)?;
            return Ok(Address::Postgres(format!("{word}{}", known(rest))));
        }
        "sqlite" if rest.starts_with(':') => {
            let path = rest.get(1..).unwrap_or_default();
            path.strip_prefix("//").unwrap_or(path)
        }
        _ => url,
    };
    let (word, rest) = first_word(path);
    let is_database = DATABASES.iter().any(|begin| word.starts_with(begin))
        && (rest.starts_with(':') || rest.starts_with("//"));
    let (first, _) = path.split_once('/').unwrap_or((path, ""));
    let is_login = first.contains(':') && first.contains('@');
    let is_address = is_database || is_login || path.contains("://");
    if is_address && !path.starts_with("./") {
        return Err(LedgerError::new(
            LedgerErrorKind::InvalidInput,
            "the address looks like a mistyped one: it must be a path, sqlite:PATH or postgres://USER@HOST:PORT/DATABASE",
        ));
    }
    Ok(Address::File(path))
}

/// The letters before the first character that no scheme has, made small, and the rest.
fn first_word(text: &str) -> (String, &str) {
    let end = text
        .find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '+' | '.' | '-')))
        .unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    (word.to_ascii_lowercase(), rest)
}

/// The driver would say that it cannot read the address, and not why.
fn check_ssl_mode(url: &str) -> Result<(), LedgerError> {
    let (_, query) = url.split_once('?').unwrap_or_default();
    let is_unknown = query.split('&').any(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = value.to_ascii_lowercase();
        matches!(key, "sslmode" | "ssl-mode")
            && !value.contains('%')
            && !SSL_MODES.contains(&value.as_str())
    });
    if is_unknown {
        return Err(LedgerError::new(
            LedgerErrorKind::InvalidInput,
            format!(
                "sslmode in the address of the database is none of {}",
                SSL_MODES.join(", ")
            ),
        ));
    }
    Ok(())
}

/// The address without what a session is started with.
pub(super) fn without_options(url: &str) -> String {
    keep(url, |key| key != "options" && !key.starts_with("options["))
}

/// The address without parameters that the driver does not know.
fn known(rest: &str) -> String {
    keep(rest, |key| {
        PARAMETERS.contains(&key) || key.starts_with("options[")
    })
}

fn keep(url: &str, is_kept: impl Fn(&str) -> bool) -> String {
    let Some((before, query)) = url.split_once('?') else {
        return url.to_owned();
    };
    let is_kept = |pair: &&str| {
        let key = pair.split_once('=').map_or(*pair, |(key, _)| key);
        is_kept(&key.replace("%5B", "[").replace("%5b", "["))
    };
    let kept: Vec<&str> = query.split('&').filter(is_kept).collect();
    format!("{before}?{}", kept.join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_file_or_a_database_of_ours() {
        for (url, path) in [
            ("ledger.db", "ledger.db"),
            ("/var//x/ledger.db", "/var//x/ledger.db"),
            ("sqlite:a.db", "a.db"),
            ("sqlite:///a.db", "/a.db"),
            ("sqlite:////a.db", "//a.db"),
            ("sqlite:./a://b.db", "./a://b.db"),
            ("./file:a.db", "./file:a.db"),
            ("SQLITE:a.db", "a.db"),
            ("C:\\a.db", "C:\\a.db"),
            ("in@box/a:b.db", "in@box/a:b.db"),
            ("postgres.db", "postgres.db"),
            ("files/a.db", "files/a.db"),
        ] {
            assert_eq!(read(url).unwrap(), Address::File(path), "{url}");
        }
        for url in [
            "postgres://u:p@h/d",
            "postgresql://h",
            "Postgres://h?sslmode=require",
        ] {
            assert!(matches!(read(url), Ok(Address::Postgres(_))), "{url}");
        }
    }

    #[test]
    fn a_mistyped_address_makes_no_file_and_is_not_shown() {
        for url in [
            "postgres//me:hunter2@h/d",
            "postgres:/me:hunter2@h/d",
            "postgres:me:hunter2@h",
            "postgress://me:hunter2@h/d",
            "postgre://me:hunter2@h/d",
            "psql://me:hunter2@h/d",
            "https://me:hunter2@h/d",
            "me:hunter2@h/d",
            "mysql://me:hunter2@h/d",
            "jdbc:postgresql://me:hunter2@h/d",
            "file:hunter2.db",
            " postgres://me:hunter2@h/d",
            "sqlite:postgres://me:hunter2@h/d",
            "sqlite:FILE:hunter2.db",
            "File:hunter2.db",
        ] {
            let problem = read(url).unwrap_err();
            assert_eq!(problem.kind(), LedgerErrorKind::InvalidInput, "{url}");
            assert!(
                !format!("{problem} {problem:?}").contains("hunter2"),
                "{url}"
            );
        }
    }

    #[test]
    fn an_unknown_sslmode_is_named() {
        for (query, is_known) in [
            ("sslmode=Require", true),
            ("a=b&ssl-mode=verify-full", true),
            ("sslmode=bogus", false),
            ("a=b&sslmode", false),
        ] {
            let url = format!("postgres://h/d?{query}");
            let outcome = read(&url);
            assert_eq!(outcome.is_ok(), is_known, "{query}");
            if let Err(problem) = outcome {
                assert_eq!(problem.kind(), LedgerErrorKind::InvalidInput, "{query}");
                assert!(problem.to_string().contains("sslmode"), "{problem}");
            }
        }
    }

    #[test]
    fn what_the_driver_does_not_know_is_kept_from_its_log() {
        for (query, kept) in [
            ("sslpassword=hunter2&sslmode=require", "sslmode=require"),
            (
                "options[search_path]=a&connect_timeout=3",
                "options[search_path]=a",
            ),
            ("options%5Bsearch_path%5D=a", "options%5Bsearch_path%5D=a"),
            ("hunter2", ""),
        ] {
            let Address::Postgres(url) = read(&format!("postgres://h/d?{query}")).unwrap() else {
                panic!("{query}");
            };
            assert_eq!(url, format!("postgres://h/d?{kept}"));
        }
    }
}
