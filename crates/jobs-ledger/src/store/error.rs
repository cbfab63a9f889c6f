//! What the drivers' errors mean to whoever runs the program.

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
        sqlx::Error::Io(said) => match judge_io(said.kind()) {
            (Kind::Store, _) => UNREACHABLE,
            known => known,
        },
        sqlx::Error::PoolTimedOut | sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed => {
            UNREACHABLE
        }
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
}
