//! What helps when a file cannot be made, written or named.

use std::io;

/// What a person can do about it: one sentence for each sort of refusal, without a dot.
pub fn advice(problem: &io::Error) -> &'static str {
    use io::ErrorKind as Kind;
    match problem.kind() {
        Kind::StorageFull => "make room on the disk",
        Kind::QuotaExceeded => "make room: the quota of the user is used up",
        Kind::FileTooLarge => {
            "choose a file system that holds larger files, or raise the limit (ulimit -f)"
        }
        Kind::PermissionDenied => {
            "check the owner and the mode of the folder, or choose another place"
        }
        Kind::ReadOnlyFilesystem => "choose a place that is not mounted read-only",
        Kind::NotFound => "make the folder first",
        Kind::NotADirectory => "choose another folder: a part of this path is a file",
        Kind::IsADirectory => "name a file in that folder",
        Kind::AlreadyExists => "choose another name",
        Kind::InvalidFilename | Kind::InvalidInput => {
            "choose a name that this file system can hold"
        }
        Kind::TooManyLinks | Kind::ArgumentListTooLong => "choose a shorter path",
        Kind::StaleNetworkFileHandle
        | Kind::TimedOut
        | Kind::NotConnected
        | Kind::HostUnreachable => "mount the file system again",
        _ => advice_by_number(problem.raw_os_error()),
    }
}

/// What the standard library has no word for.
fn advice_by_number(errno: Option<i32>) -> &'static str {
    // The numbers of these are the same on every Unix that we know.
    match errno {
        Some(5) => "check the disk: it could not read or write",
        Some(23 | 24) => "let this process open more files (ulimit -n)",
        _ => "choose another place",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn room_is_for_full_disks_only() {
        for (errno, words) in [
            (28, "room"),
            (122, "quota"),
            (27, "larger files"),
            (1, "owner"),
            (13, "owner"),
            (30, "read-only"),
            (2, "make the folder"),
            (20, "is a file"),
            (21, "name a file in"),
            (17, "another name"),
            (36, "can hold"),
            (22, "can hold"),
            (116, "mount"),
            (107, "mount"),
            (5, "check the disk"),
            (24, "ulimit -n"),
            (84, "another place"),
            (95, "another place"),
        ] {
            let said = advice(&io::Error::from_raw_os_error(errno));
            assert!(said.contains(words), "{errno}: {said}");
            assert_eq!(
                said.contains("room"),
                [28, 122].contains(&errno),
                "{errno}: {said}"
            );
        }
    }
}
