//! Who holds a claim: the worker's name, and the process it lives in, so that its end can be proved on the same machine.
//!
//! A process is named by where its number means something (this boot of this machine, this space of process numbers),
//! the number, and the time it was started, because numbers come again. Nothing has to be cleaned up after it, unlike
//! a lock file, and it works for a database as for a file. Where the system does not tell, nothing is proved and the
//! lease alone decides. A wrong proof, as among clones of one running virtual machine that share a database, would take
//! jobs over early, as a wrong clock does; fences keep it from more.

use std::fmt::Write as _;
use std::path::Path;
use std::{fs, io};

use sha2::{Digest, Sha256};

/// Where the system tells of its processes.
const PROC: &str = "/proc";

/// A worker, as it stands in the ledger beside the jobs that it has claimed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Owner {
    worker: String,
    process: Option<Process>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Process {
    /// Digest of all that must be the same for a process number to mean the same.
    place: String,
    pid: u32,
    /// In the system's ticks since it was started.
    started: u64,
}

impl Owner {
    /// A new worker in this process.
    pub(crate) fn new() -> Self {
        Self {
            worker: worker_name(),
            process: this_process(Path::new(PROC)),
        }
    }

    /// Another worker in the same process.
    pub(crate) fn sibling(&self) -> Self {
        Self {
            worker: worker_name(),
            process: self.process.clone(),
        }
    }

    /// Its name in the history.
    pub(crate) fn worker(&self) -> &str {
        &self.worker
    }

    /// What the ledger keeps.
    pub(crate) fn to_text(&self) -> String {
        match &self.process {
            Some(it) => format!("{}@{}:{}:{}", self.worker, it.place, it.pid, it.started),
            None => self.worker.clone(),
        }
    }

    /// Whether the process that wrote this text has provably ended. False whenever that cannot be known.
    pub(crate) fn is_gone(&self, owner: &str) -> bool {
        self.is_gone_in(Path::new(PROC), owner)
    }

    fn is_gone_in(&self, proc: &Path, owner: &str) -> bool {
        let (Some(ours), Some(theirs)) = (&self.process, parse(owner)) else {
            return false;
        };
        if ours.place != theirs.place || *ours == theirs {
            return false;
        }
        is_gone(&theirs, &found(proc, theirs.pid))
    }
}

fn worker_name() -> String {
    format!("{:012x}", fastrand::u64(..) >> 16)
}

fn parse(owner: &str) -> Option<Process> {
    let (_, process) = owner.split_once('@')?;
    let mut parts = process.split(':');
    let it = Process {
        place: parts.next()?.to_owned(),
        pid: parts.next()?.parse().ok()?,
        started: parts.next()?.parse().ok()?,
    };
    parts.next().is_none().then_some(it)
}

/// What the system says of a process number.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    Nothing,
    Process(Stat),
    /// The system does not tell.
    Unclear,
}

#[derive(Debug, PartialEq, Eq)]
struct Stat {
    state: char,
    threads: u64,
    started: u64,
}

fn is_gone(it: &Process, found: &Found) -> bool {
    match found {
        Found::Nothing => true,
        Found::Process(stat) if stat.started != it.started => true,
        // Ended and not yet asked for by its parent. With more threads only the first of them has ended.
        Found::Process(stat) => matches!(stat.state, 'Z' | 'X') && stat.threads <= 1,
        Found::Unclear => false,
    }
}

fn found(proc: &Path, pid: u32) -> Found {
    match fs::read_to_string(proc.join(pid.to_string()).join("stat")) {
        Ok(text) => stat(&text).map_or(Found::Unclear, Found::Process),
        // Where the system hides the processes of other users, it hides the first one too.
        Err(problem) if problem.kind() == io::ErrorKind::NotFound => {
            match fs::read(proc.join("1/stat")) {
                Ok(_) => Found::Nothing,
                Err(_) => Found::Unclear,
            }
        }
        Err(_) => Found::Unclear,
    }
}

/// The fields after the program's name, which stands in brackets and may hold anything.
fn stat(text: &str) -> Option<Stat> {
    let (_, fields) = text.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace();
    Some(Stat {
        state: fields.next()?.chars().next()?,
        threads: fields.nth(16)?.parse().ok()?,
        started: fields.nth(1)?.parse().ok()?,
    })
}

/// None where others could not tell that it has ended.
fn this_process(proc: &Path) -> Option<Process> {
    let own = proc.join("self");
    let status = fs::read_to_string(own.join("status")).ok()?;
    let pid = only_number(&status)?;
    let started = stat(&fs::read_to_string(own.join("stat")).ok()?)?.started;
    Some(Process {
        place: place(proc)?,
        pid,
        started,
    })
}

/// The process number, if `proc` numbers processes as this process does: in a container that sees the files of its
/// host, there is a second number.
fn only_number(status: &str) -> Option<u32> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("NSpid:"))?;
    let mut numbers = line.split_ascii_whitespace();
    let number = numbers.next()?.parse().ok()?;
    numbers.next().is_none().then_some(number)
}

fn place(proc: &Path) -> Option<String> {
    let boot = fs::read_to_string(proc.join("sys/kernel/random/boot_id")).ok()?;
    let space = fs::read_link(proc.join("self/ns/pid")).ok()?;
    // Start times are told apart from here on; older systems have but one such space.
    let time = fs::read_link(proc.join("self/ns/time")).unwrap_or_default();
    let host = fs::read_to_string(proc.join("sys/kernel/hostname")).unwrap_or_default();
    let mut hash = Sha256::new();
    for part in [
        boot.as_str(),
        &space.to_string_lossy(),
        &time.to_string_lossy(),
        &host,
    ] {
        hash.update(part.trim());
        hash.update([0]);
    }
    let digest: [u8; 32] = hash.finalize().into();
    Some(digest.iter().take(8).fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PID: u32 = 4242;

    fn line(state: char, threads: u64, started: u64) -> String {
        // Programs may be called anything.
        format!(
            "{PID} (a) b (c) {state} 1 1 1 0 -1 4194304 103 0 0 0 0 0 0 0 20 0 {threads} 0 {started} 29 41 1"
        )
    }

    /// What a machine would say of the process 4242, and of the first one.
    fn machine(stat: Option<&str>, first: bool) -> tempfile::TempDir {
        let proc = tempfile::tempdir().unwrap();
        for (pid, text) in [("4242", stat), ("1", first.then_some("1 (init) S"))] {
            if let Some(text) = text {
                fs::create_dir(proc.path().join(pid)).unwrap();
                fs::write(proc.path().join(pid).join("stat"), text).unwrap();
            }
        }
        proc
    }

    fn owner(place: &str, pid: u32, started: u64) -> Owner {
        Owner {
            worker: worker_name(),
            process: Some(Process {
                place: place.into(),
                pid,
                started,
            }),
        }
    }

    #[test]
    fn the_end_of_a_process_is_proved_or_not() {
        let (us, it) = (owner("here", 77, 9000), owner("here", PID, 100).to_text());
        for (stat, first, gone) in [
            (None, true, true),
            // Everything is hidden.
            (None, false, false),
            (Some(line('S', 3, 100)), true, false),
            (Some(line('T', 1, 100)), true, false),
            (Some(line('Z', 1, 100)), true, true),
            (Some(line('Z', 2, 100)), true, false),
            // The number came again.
            (Some(line('S', 1, 101)), true, true),
            (Some("4242 (cut".into()), true, false),
        ] {
            let proc = machine(stat.as_deref(), first);
            let verdict = us.is_gone_in(proc.path(), &it);
            assert_eq!(verdict, gone, "{stat:?} {first}");
        }
    }

    #[test]
    fn of_other_machines_and_of_ourselves_nothing_is_proved() {
        let proc = machine(None, true);
        let us = owner("here", PID, 100);
        for (it, gone) in [
            (owner("here", PID, 99).to_text(), true),
            (owner("there", PID, 99).to_text(), false),
            // Ours, whatever the system says.
            (us.sibling().to_text(), false),
            ("0123456789ab".into(), false),
            ("0123456789ab@here:1".into(), false),
            ("0123456789ab@here:4242:99:1".into(), false),
            ("0123456789ab@here:x:99".into(), false),
        ] {
            assert_eq!(us.is_gone_in(proc.path(), &it), gone, "{it}");
        }
        let nowhere = Owner {
            worker: worker_name(),
            process: None,
        };
        assert!(!nowhere.is_gone_in(proc.path(), &owner("here", PID, 99).to_text()));
        assert_eq!(parse(&nowhere.to_text()), None);
    }

    #[test]
    fn a_number_counts_only_where_it_is_the_only_one() {
        assert_eq!(
            only_number("Name:\tx\nNSpid:\t4242\nVmPeak:\t1"),
            Some(4242)
        );
        assert_eq!(only_number("NSpid:\t4242\t7\n"), None);
        assert_eq!(only_number("Pid:\t4242\n"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_is_found_where_the_system_tells() {
        let us = Owner::new();
        let process = us.process.clone().unwrap();
        assert_eq!(process.pid, std::process::id());
        assert_eq!(parse(&us.to_text()), Some(process.clone()));
        assert_ne!(us.worker(), us.sibling().worker());
        // Seen from another process.
        let other = owner(&process.place, process.pid + 1, process.started);
        assert!(!other.is_gone(&us.to_text()));
        let earlier = Process {
            started: process.started - 1,
            ..process
        };
        let earlier = Owner {
            worker: worker_name(),
            process: Some(earlier),
        };
        assert!(other.is_gone(&earlier.to_text()));
    }
}
