//! Runs the command as a process, to its end or to where it is killed.

use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use jobs_core::clock::{Clock, Moment, SystemClock, bounded};
use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;
use tokio::process::Child;

use super::plan::KillPoint;
use super::trace::{self, Mark};

/// A process that does not end within this is stuck: each command has a deadline of its own long before.
const STUCK: Duration = Duration::from_secs(150);
/// Between two looks at whether the vendor has begun.
const POLL: Duration = Duration::from_millis(1);

/// Where commands run, and with what.
#[derive(Debug)]
pub(super) struct CommandRunner {
    program: PathBuf,
    folder: PathBuf,
    logs: PathBuf,
    env: Vec<(String, String)>,
    clock: SystemClock,
    count: AtomicU32,
}

/// What a process left behind.
#[derive(Debug, Clone)]
pub(super) struct Ran {
    /// Its words.
    pub(super) words: String,
    /// Its exit code; none if a signal ended it.
    pub(super) code: Option<i32>,
    /// Whether that signal was ours.
    pub(super) is_shot: bool,
    /// What it printed.
    pub(super) stdout: String,
    /// What it said.
    pub(super) stderr: String,
}

impl Ran {
    /// The last line that it said.
    pub(super) fn last_line(&self) -> &str {
        self.stderr.lines().next_back().unwrap_or_default()
    }
}

impl CommandRunner {
    /// Runs `program` in `folder` with these variables only; `logs` takes what it says.
    pub(super) fn new(
        program: &Path,
        folder: &Path,
        logs: &Path,
        env: Vec<(String, String)>,
    ) -> Self {
        Self {
            program: program.to_owned(),
            folder: folder.to_owned(),
            logs: logs.to_owned(),
            env,
            clock: SystemClock::new(),
            count: AtomicU32::new(0),
        }
    }

    /// The time of the world.
    pub(super) fn clock(&self) -> &SystemClock {
        &self.clock
    }

    /// Sleeps in the world's time.
    pub(super) async fn pause(&self, time: Duration) {
        self.clock.sleep_until(self.clock.now() + time).await;
    }

    /// Runs the command; `begun` counts the paid work at the vendor.
    ///
    /// # Errors
    /// It cannot be started, or is stuck.
    pub(super) async fn run(
        &self,
        words: &[String],
        shot: Option<KillPoint>,
        begun: impl Fn() -> u64,
    ) -> Result<Ran> {
        let logs = self.logs();
        let limit = self.clock.now() + STUCK;
        let (code, is_shot) = match shot {
            Some(KillPoint::Call { class, nth, side }) => {
                let mark = Mark { class, nth, side };
                self.traced(words, &logs, mark, limit).await?
            }
            shot => {
                let child = self.spawn(words, &logs)?;
                self.watch(child, shot, limit, begun).await?
            }
        };
        let read = |path: &Path| {
            let bytes = std::fs::read(path).unwrap_or_default();
            String::from_utf8_lossy(&bytes).into_owned()
        };
        Ok(Ran {
            words: words.join(" "),
            code,
            is_shot,
            stdout: read(&logs.0),
            stderr: read(&logs.1),
        })
    }

    /// Starts the command and leaves it running.
    ///
    /// # Errors
    /// It cannot be started.
    pub(super) fn start(&self, words: &[String]) -> Result<Child> {
        self.spawn(words, &self.logs())
    }

    fn logs(&self) -> (PathBuf, PathBuf) {
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        let file = |end: &str| self.logs.join(format!("{number}.{end}"));
        (file("out"), file("err"))
    }

    fn command(
        &self,
        program: &Path,
        (out, err): &(PathBuf, PathBuf),
    ) -> Result<std::process::Command> {
        let create = |path: &Path| {
            std::fs::File::create(path).with_context(|| format!("cannot write {}", path.display()))
        };
        let mut command = std::process::Command::new(program);
        command
            .current_dir(&self.folder)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .envs(self.env.iter().cloned())
            .stdin(Stdio::null())
            .stdout(create(out)?)
            .stderr(create(err)?);
        Ok(command)
    }

    fn spawn(&self, words: &[String], logs: &(PathBuf, PathBuf)) -> Result<Child> {
        let mut command = self.command(&self.program, logs)?;
        command.args(words);
        let mut command = tokio::process::Command::from(command);
        command.kill_on_drop(true);
        let shown = self.program.display();
        command
            .spawn()
            .with_context(|| format!("cannot start {shown}"))
    }

    async fn watch(
        &self,
        mut child: Child,
        shot: Option<KillPoint>,
        limit: Moment,
        begun: impl Fn() -> u64,
    ) -> Result<(Option<i32>, bool)> {
        let (start, before) = (self.clock.now(), begun());
        let is_due = |now: Moment| match shot {
            Some(KillPoint::Instant(after)) => now >= start + after,
            Some(KillPoint::Unanswered) => begun() > before,
            Some(KillPoint::Call { .. }) | None => false,
        };
        if shot.is_none() {
            let ended = bounded(&self.clock, limit, child.wait()).await;
            return match ended {
                Some(status) => Ok((status?.code(), false)),
                None => bail!("a process is stuck for {STUCK:?}"),
            };
        }
        loop {
            let now = self.clock.now();
            if is_due(now) {
                child.start_kill()?;
                let status = child.wait().await?;
                return Ok((status.code(), by_signal(status)));
            }
            if now >= limit {
                bail!("a process is stuck for {STUCK:?}");
            }
            if let Some(status) = bounded(&self.clock, now + POLL, child.wait()).await {
                return Ok((status?.code(), false));
            }
        }
    }

    async fn traced(
        &self,
        words: &[String],
        logs: &(PathBuf, PathBuf),
        mark: Mark,
        limit: Moment,
    ) -> Result<(Option<i32>, bool)> {
        let mut command = self.command(Path::new("sh"), logs)?;
        let (program, words) = (self.program.clone(), words.to_vec());
        let pid = Arc::new(AtomicU32::new(0));
        let told = Arc::clone(&pid);
        let work = tokio::task::spawn_blocking(move || {
            let shell = |wait: &str| {
                command.args(["-c", wait, "sh"]).arg(program).args(words);
                command.stdin(Stdio::piped());
                command
            };
            trace::run(shell, mark, |pid| told.store(pid, Ordering::Relaxed))
        });
        match bounded(&self.clock, limit, work).await {
            Some(ended) => {
                let ended = ended?.context("cannot trace a process")?;
                Ok((ended.code, ended.is_shot))
            }
            None => {
                kill(pid.load(Ordering::Relaxed));
                bail!("a process is stuck for {STUCK:?}")
            }
        }
    }
}

/// Ends a process that is known to live.
fn kill(pid: u32) {
    if let Ok(pid @ 1..) = i32::try_from(pid) {
        let _ = signal::kill(Pid::from_raw(pid), Signal::SIGKILL);
    }
}

/// Sends a signal to a process that was not waited for yet.
///
/// # Errors
/// The system refuses.
pub(super) fn send(child: &Child, signal: Signal) -> Result<()> {
    let Some(Ok(pid @ 1..)) = child.id().map(i32::try_from) else {
        bail!("the process has ended");
    };
    Ok(signal::kill(Pid::from_raw(pid), signal)?)
}

fn by_signal(status: ExitStatus) -> bool {
    status.signal() == Some(Signal::SIGKILL as i32)
}
