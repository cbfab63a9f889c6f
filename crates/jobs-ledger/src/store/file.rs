//! Whether a file is a place for a ledger: who else can write it, and what file system it lies on.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{LedgerError, LedgerErrorKind};

/// Refuses a file, or a folder around it, that others can write: they could have commands of ours write anywhere.
#[cfg(unix)]
pub(super) fn check_owner(path: &Path) -> Result<(), LedgerError> {
    use std::os::unix::fs::MetadataExt as _;

    let me = rustix::process::geteuid().as_raw();
    let Ok(real) = fs::canonicalize(path) else {
        return Ok(());
    };
    // What SQLite would read beside the file, as a part of it.
    let beside = ["", "-wal", "-shm", "-journal"];
    for end in beside {
        let mut name = real.clone().into_os_string();
        name.push(end);
        let file = PathBuf::from(name);
        let Ok(found) = fs::symlink_metadata(&file) else {
            continue;
        };
        if let Some(problem) = of_file(found.uid(), found.mode(), me) {
            return Err(refusal(&file, problem));
        }
    }
    // A link to it can be exchanged like the file itself.
    let named = std::path::absolute(path).unwrap_or_default();
    for folder in [real.parent(), named.parent()].into_iter().flatten() {
        let Ok(found) = fs::metadata(folder) else {
            continue;
        };
        if let Some(problem) = of_folder(found.uid(), found.gid(), found.mode(), me) {
            return Err(refusal(folder, problem));
        }
    }
    Ok(())
}

#[cfg(not(unix))]
pub(super) fn check_owner(_: &Path) -> Result<(), LedgerError> {
    Ok(())
}

#[cfg(unix)]
fn refusal(path: &Path, (problem, advice): (&str, &str)) -> LedgerError {
    let place = path.display();
    LedgerError::new(
        LedgerErrorKind::NotALedger,
        format!(
            "{place} {problem}, so others could decide where results are written: {advice} {place}"
        ),
    )
}

#[cfg(unix)]
type Problem = (&'static str, &'static str);

#[cfg(unix)]
const OTHERS: u32 = 0o022;

#[cfg(unix)]
fn of_file(owner: u32, mode: u32, me: u32) -> Option<Problem> {
    if owner != me {
        Some(("belongs to another user", "name another file, or chown"))
    } else if mode & OTHERS != 0 {
        Some(("can be written by others", "chmod go-w"))
    } else {
        None
    }
}

#[cfg(unix)]
fn of_folder(owner: u32, group: u32, mode: u32, me: u32) -> Option<Problem> {
    const STICKY: u32 = 0o1000;
    // A group that has the number of its only user.
    let is_private = owner == me && group == me;
    let others = if is_private { OTHERS & !0o020 } else { OTHERS };
    if owner != me && owner != 0 {
        Some((
            "belongs to another user",
            "name a file in another folder, or chown",
        ))
    } else if mode & others != 0 && mode & STICKY == 0 {
        Some(("can be written by others", "chmod go-w"))
    } else {
        None
    }
}

/// What will go wrong one day with a ledger here, as far as it can be known.
pub(super) fn warnings(path: &Path) -> Vec<String> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let real = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let warning = kind_of(&mounts, &real).filter(|kind| is_shared(kind)).map(|kind| {
        format!(
            "the ledger lies on a {kind} mount, where locks and crashes are not what SQLite counts on: keep it on a \
             disk of this machine, or use PostgreSQL"
        )
    });
    warning.into_iter().collect()
}

/// The type of the file system that a path lies on, by the system's table of mounts.
fn kind_of<'m>(mounts: &'m str, path: &Path) -> Option<&'m str> {
    let of_line = |line: &'m str| {
        let (before, after) = line.split_once(" - ")?;
        let mount = before.split(' ').nth(4)?;
        let mount = PathBuf::from(unescaped(mount));
        let kind = after.split(' ').next()?;
        path.starts_with(&mount)
            .then(|| (mount.components().count(), kind))
    };
    // Of two at one place, the later one lies above.
    let found = mounts.lines().filter_map(of_line);
    found.max_by_key(|(depth, _)| *depth).map(|(_, kind)| kind)
}

/// Spaces and the like are written as octal numbers.
fn unescaped(text: &str) -> String {
    let mut plain = text.to_owned();
    for (code, character) in [
        ("\\040", " "),
        ("\\011", "\t"),
        ("\\012", "\n"),
        ("\\134", "\\"),
    ] {
        plain = plain.replace(code, character);
    }
    plain
}

/// File systems of a network, or of a program, whose locks and flushes are their own.
fn is_shared(kind: &str) -> bool {
    const SHARED: &[&str] = &[
        "nfs",
        "nfs4",
        "cifs",
        "smb3",
        "smbfs",
        "9p",
        "virtiofs",
        "vboxsf",
        "vmhgfs",
        "afs",
        "ceph",
        "lustre",
        "gpfs",
        "glusterfs",
        "ocfs2",
        "gfs2",
        "drvfs",
        "prl_fs",
        "davfs",
    ];
    SHARED.contains(&kind) || kind == "fuse" || kind == "fuseblk" || kind.starts_with("fuse.")
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 0:25 / /home rw - nfs4 box:/home rw
31 30 0:26 / /home/me/local rw - xfs /dev/sdb rw
32 22 0:27 / /mnt/my\\040disk rw master:3 - fuse.s3fs s3fs rw
33 22 0:28 / /both rw - ext4 /dev/sdc rw
34 33 0:29 / /both rw - cifs //box/x rw
";

    #[test]
    fn the_nearest_mount_counts() {
        for (path, kind, is_odd) in [
            ("/var/a.db", "ext4", false),
            ("/home/me/a.db", "nfs4", true),
            ("/home/me/local/a.db", "xfs", false),
            ("/home2/a.db", "ext4", false),
            ("/mnt/my disk/a.db", "fuse.s3fs", true),
            ("/both/a.db", "cifs", true),
        ] {
            let found = kind_of(MOUNTS, Path::new(path)).unwrap();
            assert_eq!((found, is_shared(found)), (kind, is_odd), "{path}");
        }
        assert_eq!(kind_of("", Path::new("/a")), None);
    }

    #[cfg(unix)]
    #[test]
    fn whatever_others_can_write_is_refused() {
        let me = 1000;
        for (owner, mode, is_good) in [
            (1000, 0o100_600, true),
            (1000, 0o100_644, true),
            (1000, 0o100_664, false),
            (1000, 0o100_666, false),
            (0, 0o100_600, false),
            (1001, 0o100_600, false),
        ] {
            assert_eq!(
                of_file(owner, mode, me).is_none(),
                is_good,
                "{owner} {mode:o}"
            );
        }
        for (owner, group, mode, is_good) in [
            (1000, 100, 0o700, true),
            (1000, 100, 0o755, true),
            (1000, 100, 0o775, false),
            (1000, 1000, 0o775, true),
            (1000, 1000, 0o777, false),
            (0, 0, 0o755, true),
            (0, 0, 0o777, false),
            (0, 0, 0o1777, true),
            (1001, 1001, 0o755, false),
        ] {
            let found = of_folder(owner, group, mode, me);
            assert_eq!(found.is_none(), is_good, "{owner} {group} {mode:o}");
        }
    }
}
