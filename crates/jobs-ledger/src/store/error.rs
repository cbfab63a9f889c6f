//! What the drivers' errors mean to whoever runs the program.

use std::error::Error as StdError;
use std::io;

use crate::error::{LedgerError, LedgerErrorKind as Kind};
use crate::event::one_line;

/// The ledger's error for one of SQLite.
pub(super) fn of_sqlite(problem: rusqlite::Error) -> LedgerError {
    let (kind, advice) = match &problem {
        rusqlite::Error::SqliteFailure(said, _) => {
            judge_sqlite(u32::try_from(said.extended_code).unwrap_or_default())
        }
        _ => (Kind::Store, "the store failed"),
    };
    let message = match kind {
        Kind::Store => format!("{advice}: {}", one_line(&problem.to_string())),
        _ => advice.to_owned(),
    };
    LedgerError::new(kind, message).with_source(problem)
}

/// A value is of another type than its column.
pub(super) fn misplaced() -> LedgerError {
    let (kind, advice) = MISPLACED;
    LedgerError::new(kind, advice)
}

/// The ledger's error for one of PostgreSQL's driver.
pub(super) fn of(problem: sqlx::Error) -> LedgerError {
    let (kind, advice) = judge(&problem);
    let message = match kind {
        Kind::Store => format!("{advice}: {}", one_line(&problem.to_string())),
        // What stands between may answer in the server's place, such as a pooler.
        _ if advice == TLS.1 || (advice == UNREACHABLE.1 && is_answer(&problem)) => {
            format!("{advice} ({})", one_line(&problem.to_string()))
        }
        _ => advice.to_owned(),
    };
    LedgerError::new(kind, message).with_source(problem)
}

/// The same, of a server known by its host and port or its socket: where nothing is reached, it says where and why not.
pub(super) fn at(server: &str, problem: sqlx::Error) -> LedgerError {
    let is_remote = !server.starts_with('/');
    let (kind, advice) = match &problem {
        // A connection to another machine does not look for a file, except for those of its certificates.
        sqlx::Error::Io(said) if is_remote && is_of_file(said.kind()) => CERTIFICATE_FILE,
        _ => match judge(&problem) {
            (kind, advice) if advice == UNREACHABLE.1 => (kind, UNREACHABLE_NOW),
            _ => return of(problem),
        },
    };
    let cause = match &problem {
        sqlx::Error::PoolTimedOut => "no answer in time".into(),
        known => one_line(&last_cause(known).to_string()),
    };
    let message = format!("the database at {server} {advice} ({cause})");
    LedgerError::new(kind, message).with_source(problem)
}

fn last_cause(problem: &sqlx::Error) -> &dyn StdError {
    let mut last: &dyn StdError = problem;
    while let Some(source) = last.source() {
        last = source;
    }
    last
}

fn is_of_file(kind: io::ErrorKind) -> bool {
    use io::ErrorKind as Io;
    matches!(kind, Io::NotFound | Io::IsADirectory | Io::NotADirectory)
}

/// The ledger's error for one of the file system.
pub(super) fn of_file(problem: io::Error, place: &str) -> LedgerError {
    let (kind, advice) = judge_io(problem.kind());
    LedgerError::new(kind, format!("{place}: {advice}")).with_source(problem)
}

fn is_answer(problem: &sqlx::Error) -> bool {
    matches!(problem, sqlx::Error::Database(_))
}

fn judge(problem: &sqlx::Error) -> (Kind, &'static str) {
    match problem {
        sqlx::Error::Database(said) => judge_postgres(&said.code().unwrap_or_default()),
        // What is wrong with a certificate comes as what was read.
        sqlx::Error::Io(said) if said.kind() == io::ErrorKind::InvalidData => TLS,
        sqlx::Error::Io(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::Protocol(_)
        | sqlx::Error::WorkerCrashed => UNREACHABLE,
        sqlx::Error::Tls(_) => TLS,
        sqlx::Error::PoolClosed => (Kind::Unavailable, "it is closed"),
        sqlx::Error::Configuration(_) => (
            Kind::InvalidInput,
            "the address of the database cannot be read: it looks like postgres://USER@HOST:PORT/DATABASE",
        ),
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => MISPLACED,
        _ => (Kind::Store, "the store failed"),
    }
}

const UNREACHABLE: (Kind, &str) = (
    Kind::Unavailable,
    "the database cannot be reached or went away: check that it runs, then try again",
);
const UNREACHABLE_NOW: &str = "cannot be reached or went away: check that it runs, then try again";
const CERTIFICATE_FILE: (Kind, &str) = (
    Kind::InvalidInput,
    "is not asked, since a file of a certificate or key cannot be read: correct sslrootcert, sslcert or sslkey",
);
const TLS: (Kind, &str) = (
    Kind::Unavailable,
    "the encrypted connection to the database failed: check its certificate, sslmode and sslrootcert",
);
const MISPLACED: (Kind, &str) = (
    Kind::Corrupt,
    "it holds a value that does not belong there: restore it from a copy",
);
const FULL: (Kind, &str) = (
    Kind::Full,
    "the disk is full: make room, then try again; nothing was half written",
);
const READ_ONLY: (Kind, &str) = (
    Kind::ReadOnly,
    "it cannot be written: check the owner and mode of the file and its directory, or name another ledger",
);

/// By the lowest byte; the rest of an SQLite code is detail.
fn judge_sqlite(code: u32) -> (Kind, &'static str) {
    match code & 0xff {
        5 | 6 => (
            Kind::Locked,
            "another program holds it locked: end that program or wait, then try again",
        ),
        3 | 8 | 14 => READ_ONLY,
        11 => (
            Kind::Corrupt,
            "the file is damaged: keep it aside, restore a copy, or recover it with the sqlite3 program",
        ),
        13 => FULL,
        26 => (
            Kind::NotALedger,
            "the file is no ledger, or its beginning is damaged: name another file",
        ),
        10 => (
            Kind::Store,
            "the disk failed while reading or writing: check the disk",
        ),
        _ => (Kind::Store, "the store failed"),
    }
}

fn judge_postgres(code: &str) -> (Kind, &'static str) {
    match code {
        "25006" => (
            Kind::Unavailable,
            "the database is read-only, as a standby is or a server during a failover: try again later, or name the \
             server that takes writes",
        ),
        "53100" => FULL,
        "3D000" => (
            Kind::Unavailable,
            "the server has no such database: create it, or correct the address",
        ),
        "40001" | "40P01" | "55P03" => (
            Kind::Locked,
            "another transaction was in the way: try again",
        ),
        "42501" => (
            Kind::Denied,
            "the database user may not do this: it has to own its tables and may create them",
        ),
        "55000" => (
            Kind::Unavailable,
            "the database does not accept connections just now: try again later, or have it allow them",
        ),
        "26000" | "42P05" => (
            Kind::InvalidInput,
            "the address is that of a connection pooler that mixes up sessions: name the database itself, or give the \
             pooler a mode that does not",
        ),
        "3F000" => (
            Kind::InvalidInput,
            "the database has no schema of the name in search_path: create it, or correct the address",
        ),
        "57014" => (
            Kind::Unavailable,
            "the database took too long to answer: try again",
        ),
        _ => match code.get(..2) {
            Some("28") => (
                Kind::Denied,
                "the database refused the user: check the name and password in the address",
            ),
            Some("08" | "53" | "57" | "58") => UNREACHABLE,
            Some("XX") => (
                Kind::Corrupt,
                "the database reports damage: look into its log",
            ),
            _ => (Kind::Store, "the store failed"),
        },
    }
}

fn judge_io(kind: io::ErrorKind) -> (Kind, &'static str) {
    use io::ErrorKind as Io;
    match kind {
        Io::PermissionDenied | Io::ReadOnlyFilesystem => READ_ONLY,
        Io::StorageFull | Io::QuotaExceeded => FULL,
        Io::IsADirectory => (Kind::InvalidInput, "this is a directory: name a file in it"),
        // Also where a directory would have to be made over a file.
        Io::NotADirectory | Io::AlreadyExists => (
            Kind::InvalidInput,
            "a part of the path is no directory: correct it",
        ),
        _ => (Kind::Store, "the file system failed"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_trouble_is_named() {
        for (code, kind) in [
            (5, Kind::Locked),
            (261, Kind::Locked),
            (6, Kind::Locked),
            (8, Kind::ReadOnly),
            (1032, Kind::ReadOnly),
            (14, Kind::ReadOnly),
            (11, Kind::Corrupt),
            (267, Kind::Corrupt),
            (13, Kind::Full),
            (26, Kind::NotALedger),
            (10, Kind::Store),
            (1, Kind::Store),
        ] {
            assert_eq!(judge_sqlite(code).0, kind, "{code}");
        }
        for (code, kind) in [
            ("28P01", Kind::Denied),
            ("28000", Kind::Denied),
            ("42501", Kind::Denied),
            ("3D000", Kind::Unavailable),
            ("57P01", Kind::Unavailable),
            ("08006", Kind::Unavailable),
            ("53300", Kind::Unavailable),
            ("55000", Kind::Unavailable),
            ("57P03", Kind::Unavailable),
            ("53100", Kind::Full),
            ("25006", Kind::Unavailable),
            ("42P05", Kind::InvalidInput),
            ("40P01", Kind::Locked),
            ("55P03", Kind::Locked),
            ("XX001", Kind::Corrupt),
            ("42601", Kind::Store),
            ("", Kind::Store),
        ] {
            assert_eq!(judge_postgres(code).0, kind, "{code}");
        }
        for (problem, kind) in [
            (io::ErrorKind::PermissionDenied, Kind::ReadOnly),
            (io::ErrorKind::StorageFull, Kind::Full),
            (io::ErrorKind::IsADirectory, Kind::InvalidInput),
            (io::ErrorKind::Other, Kind::Store),
        ] {
            assert_eq!(judge_io(problem).0, kind, "{problem}");
        }
    }

    #[test]
    fn what_is_not_reached_is_named_with_its_cause() {
        let io = |kind: io::ErrorKind| sqlx::Error::Io(io::Error::new(kind, "the cause"));
        for (server, problem, kind, words) in [
            (
                "h:5432",
                io(io::ErrorKind::ConnectionRefused),
                Kind::Unavailable,
                ["at h:5432 cannot be reached", "(the cause)"],
            ),
            (
                "h:5432",
                sqlx::Error::PoolTimedOut,
                Kind::Unavailable,
                ["at h:5432 cannot be reached", "(no answer in time)"],
            ),
            (
                "h:5432",
                io(io::ErrorKind::NotFound),
                Kind::InvalidInput,
                ["sslrootcert", "(the cause)"],
            ),
            (
                "/run/s",
                io(io::ErrorKind::NotFound),
                Kind::Unavailable,
                ["at /run/s cannot be reached", "(the cause)"],
            ),
        ] {
            let problem = at(server, problem);
            assert_eq!(problem.kind(), kind, "{problem}");
            for word in words {
                assert!(problem.to_string().contains(word), "{problem}");
            }
        }
    }
}
