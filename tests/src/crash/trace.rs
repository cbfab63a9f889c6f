//! Starts a process and kills it at a system call, by way of `ptrace`.
//!
//! All of one process is done by one thread: the system answers only the thread that began to trace. Where the system
//! has no `ptrace` the process lives, and the caller is told so.

use std::io;
use std::process::{Child, Command};

use super::plan::{Class, Side};

/// Where to kill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    /// Which calls count.
    pub(super) class: Class,
    /// The number of the fatal one.
    pub(super) nth: u32,
    /// Before or after the kernel does it.
    pub(super) side: Side,
}

/// How a traced process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ended {
    /// Its exit code; none if a signal ended it.
    pub(super) code: Option<i32>,
    /// Whether that signal was ours.
    pub(super) is_shot: bool,
}

/// Runs `program` with `words` to its end, or to the mark. Blocks; `begun` is told the process id.
///
/// The shell in front waits until it is traced, so that no call is missed.
///
/// # Errors
/// The process cannot be started or not be traced.
pub(super) fn run(
    command: impl FnOnce(&str) -> Command,
    mark: Mark,
    begun: impl FnOnce(u32),
) -> io::Result<Ended> {
    const WAIT: &str = "read -r go && exec \"$@\" < /dev/null";
    let mut child = command(WAIT).spawn()?;
    begun(child.id());
    system::follow(&mut child, mark)
}

#[cfg(all(target_os = "linux", target_arch = "x86_64", target_env = "gnu"))]
mod system {
    use std::io::Write;

    use nix::errno::Errno;
    use nix::libc;
    use nix::sys::ptrace::{self, Options};
    use nix::sys::signal::{Signal, kill};
    use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
    use nix::unistd::Pid;

    use super::{Child, Class, Ended, Mark, Side, io};

    /// Follows the process and its threads, but none of the programs that it starts.
    pub(super) fn follow(child: &mut Child, mark: Mark) -> io::Result<Ended> {
        let leader = i32::try_from(child.id()).map_err(io::Error::other)?;
        let leader = Pid::from_raw(leader);
        let options = Options::PTRACE_O_TRACESYSGOOD
            | Options::PTRACE_O_TRACECLONE
            | Options::PTRACE_O_TRACEEXEC
            | Options::PTRACE_O_EXITKILL;
        ptrace::seize(leader, options)?;
        ptrace::interrupt(leader)?;
        let mut go = child.stdin.take();
        let (mut counting, mut seen, mut is_shot) = (false, 0, false);
        loop {
            // Children of this thread only: other runs have theirs in other threads.
            let flags = WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD;
            let (thread, signal) = match waitpid(None, Some(flags)) {
                Ok(WaitStatus::Exited(pid, code)) if pid == leader => {
                    return Ok(Ended {
                        code: Some(code),
                        is_shot,
                    });
                }
                Ok(WaitStatus::Signaled(pid, ..)) if pid == leader => {
                    return Ok(Ended {
                        code: None,
                        is_shot,
                    });
                }
                Ok(WaitStatus::PtraceSyscall(thread)) => {
                    if counting && !is_shot && is_fatal(thread, mark, &mut seen) {
                        is_shot = true;
                        kill(leader, Signal::SIGKILL)?;
                        continue;
                    }
                    (thread, None)
                }
                Ok(WaitStatus::PtraceEvent(thread, _, event)) => {
                    counting |= event == libc::PTRACE_EVENT_EXEC;
                    if let Some(mut pipe) = go.take() {
                        pipe.write_all(b"go\n")?;
                    }
                    (thread, None)
                }
                Ok(WaitStatus::Stopped(thread, signal)) => (thread, Some(signal)),
                Ok(_) | Err(Errno::EINTR) => continue,
                Err(problem) => return Err(problem.into()),
            };
            match ptrace::syscall(thread, signal) {
                // It was killed meanwhile; its end is reported next.
                Ok(()) | Err(Errno::ESRCH) => {}
                Err(problem) => return Err(problem.into()),
            }
        }
    }

    /// Counts a stop, and tells whether it is the one.
    fn is_fatal(thread: Pid, mark: Mark, seen: &mut u32) -> bool {
        let Ok(stop) = ptrace::syscall_info(thread) else {
            return false;
        };
        let side = match stop.op {
            libc::PTRACE_SYSCALL_INFO_ENTRY => Side::Before,
            libc::PTRACE_SYSCALL_INFO_EXIT => Side::After,
            _ => return false,
        };
        if side != mark.side {
            return false;
        }
        let Ok(registers) = ptrace::getregs(thread) else {
            return false;
        };
        let counts = libc::c_long::try_from(registers.orig_rax)
            .is_ok_and(|number| calls(mark.class).contains(&number));
        *seen += u32::from(counts);
        counts && *seen == mark.nth
    }

    fn calls(class: Class) -> &'static [libc::c_long] {
        match class {
            Class::Write => &[libc::SYS_write, libc::SYS_pwrite64, libc::SYS_pwritev],
            Class::Flush => &[libc::SYS_fsync, libc::SYS_fdatasync],
            Class::Name => &[
                libc::SYS_rename,
                libc::SYS_renameat,
                libc::SYS_renameat2,
                libc::SYS_link,
                libc::SYS_linkat,
                libc::SYS_unlink,
                libc::SYS_unlinkat,
                libc::SYS_ftruncate,
                libc::SYS_mkdir,
            ],
            Class::Send => &[
                libc::SYS_connect,
                libc::SYS_sendto,
                libc::SYS_sendmsg,
                libc::SYS_writev,
            ],
            Class::Receive => &[libc::SYS_recvfrom, libc::SYS_recvmsg],
        }
    }
}

#[cfg(not(all(target_os = "linux", target_arch = "x86_64", target_env = "gnu")))]
mod system {
    use super::{Child, Ended, Mark, io};

    /// Without `ptrace` nothing is counted: the process runs to its end.
    pub(super) fn follow(child: &mut Child, _: Mark) -> io::Result<Ended> {
        use std::io::Write as _;
        if let Some(mut pipe) = child.stdin.take() {
            pipe.write_all(b"go\n")?;
        }
        Ok(Ended {
            code: child.wait()?.code(),
            is_shot: false,
        })
    }
}

#[cfg(all(target_os = "linux", target_arch = "x86_64", target_env = "gnu"))]
#[cfg(test)]
mod tests {
    use std::process::Stdio;

    use super::*;

    /// Appends three letters, one write each, and ends with code 7 if it may.
    fn write_three(mark: Mark) -> (Ended, String) {
        let folder = tempfile::tempdir().unwrap();
        let script = "printf a >> out; printf b >> out; printf c >> out; exit 7";
        let ended = run(
            |wait| {
                let mut command = Command::new("sh");
                command
                    .args(["-c", wait, "sh", "sh", "-c", script])
                    .current_dir(folder.path())
                    .stdin(Stdio::piped());
                command
            },
            mark,
            |_| {},
        )
        .unwrap();
        let out = std::fs::read_to_string(folder.path().join("out")).unwrap_or_default();
        (ended, out)
    }

    #[test]
    fn a_call_that_is_killed_before_is_not_done_and_one_killed_after_is() {
        for (nth, side, out) in [
            (1, Side::Before, ""),
            (1, Side::After, "a"),
            (3, Side::Before, "ab"),
            (3, Side::After, "abc"),
        ] {
            let class = Class::Write;
            let ended = write_three(Mark { class, nth, side });
            let shot = Ended {
                code: None,
                is_shot: true,
            };
            assert_eq!(ended, (shot, out.to_owned()), "{nth} {side:?}");
        }
    }

    #[test]
    fn a_process_that_does_not_get_so_far_ends_by_itself() {
        let (class, nth, side) = (Class::Flush, 1, Side::Before);
        let (ended, out) = write_three(Mark { class, nth, side });
        assert_eq!(
            (ended.code, ended.is_shot, out.as_str()),
            (Some(7), false, "abc")
        );
    }
}
