//! Signals that ask a process to end: the first is answered with words and a ticket, a second ends it at once.

use std::sync::Arc;

use jobs_runner::CancellationToken;
use tokio::sync::watch;

use crate::exit::{CommandError, ExitCode};

/// A signal that asks the process to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signal {
    Interrupt,
    Terminate,
    HangUp,
}

/// Knows whether the process was asked to end. Clones know the same.
#[derive(Debug, Clone)]
pub(crate) struct Shutdown {
    asked: watch::Receiver<Option<Signal>>,
    /// The same for what runs jobs.
    token: CancellationToken,
    /// How many parts of the command end by themselves when they are asked to.
    attended: Arc<watch::Sender<usize>>,
}

/// As long as it lives, the command is not ended from outside at the first signal.
#[derive(Debug)]
pub(crate) struct Attended(Arc<watch::Sender<usize>>);

impl Signal {
    const ALL: [Self; 3] = [Self::Interrupt, Self::Terminate, Self::HangUp];

    /// As every system that has it numbers it.
    fn number(self) -> u8 {
        match self {
            Self::Interrupt => 2,
            Self::Terminate => 15,
            Self::HangUp => 1,
        }
    }

    pub(crate) fn exit(self) -> ExitCode {
        match self {
            Self::Interrupt => ExitCode::Interrupted,
            Self::Terminate => ExitCode::Terminated,
            Self::HangUp => ExitCode::HungUp,
        }
    }

    /// The signal that such an end stands for.
    pub(crate) fn of(exit: ExitCode) -> Option<Self> {
        Self::ALL.into_iter().find(|signal| signal.exit() == exit)
    }

    /// Ends the process by this very signal, so that a shell stops its loop. The first process of a container is not
    /// ended by a signal that it sends itself, and exits with the number that shells report.
    pub(crate) fn end_process(self) -> ! {
        #[cfg(unix)]
        if std::process::id() != 1 {
            drop(signal_hook::low_level::emulate_default_handler(
                self.number().into(),
            ));
        }
        std::process::exit(128 + i32::from(self.number()))
    }
}

impl Shutdown {
    /// Listens from now on: the signals no longer end the process by themselves, but for those that were ignored at the
    /// start (`nohup`), which stay ignored.
    #[cfg(unix)]
    pub(crate) fn listen() -> Result<Self, CommandError> {
        let failed =
            |problem| CommandError::unexpected(format!("cannot wait for signals: {problem}"));
        let (tell, shutdown) = Self::new();
        let token = shutdown.token();
        let ignored = ignored_at_start();
        let heeded = Signal::ALL
            .map(|signal| signal.number().into())
            .into_iter()
            // Heard and not answered: a write past the limit of the file size then fails by its own error.
            .chain([signal_hook::consts::SIGXFSZ])
            .filter(|number| ignored & (1 << (number - 1)) == 0);
        let mut signals = signal_hook::iterator::Signals::new(heeded).map_err(failed)?;
        // A thread of its own: a second signal counts however busy the others are.
        let listen = move || {
            let clock = jobs_core::clock::SystemClock::new();
            let mut first = None;
            for number in signals.forever() {
                let now = jobs_core::clock::Clock::now(&clock);
                let known = |signal: &Signal| i32::from(signal.number()) == number;
                let Some(signal) = Signal::ALL.into_iter().find(known) else {
                    continue;
                };
                match first {
                    None => {
                        first = Some(now);
                        tell.send_replace(Some(signal));
                        token.cancel();
                    }
                    Some(first) if now.since(first) < SAME => {}
                    Some(_) => signal.end_process(),
                }
            }
        };
        let thread = std::thread::Builder::new().name("signals".to_owned());
        thread.spawn(listen).map_err(failed)?;
        Ok(shutdown)
    }

    /// Hears nothing: the system ends the process.
    #[cfg(not(unix))]
    pub(crate) fn listen() -> Result<Self, CommandError> {
        Ok(Self::new().1)
    }

    fn new() -> (watch::Sender<Option<Signal>>, Self) {
        let (tell, asked) = watch::channel(None);
        let attended = Arc::new(watch::Sender::new(0));
        let token = CancellationToken::new();
        (
            tell,
            Self {
                asked,
                token,
                attended,
            },
        )
    }

    /// Cancelled when the process is asked to end.
    pub(crate) fn token(&self) -> CancellationToken {
        self.token.clone()
    }

    /// The signal by which the process was asked to end.
    pub(crate) fn asked(&self) -> Option<Signal> {
        *self.asked.borrow()
    }

    /// Returns when the process is asked to end.
    pub(crate) async fn requested(&self) -> Signal {
        let mut asked = self.asked.clone();
        match asked.wait_for(Option::is_some).await.map(|signal| *signal) {
            Ok(Some(signal)) => signal,
            _ => std::future::pending().await,
        }
    }

    /// From now on, as long as the guard lives, the command answers signals by itself.
    pub(crate) fn attend(&self) -> Attended {
        self.attended.send_modify(|count| *count += 1);
        Attended(Arc::clone(&self.attended))
    }

    /// Returns when the process is asked to end and nothing in it answers that.
    pub(crate) async fn unattended(&self) -> Signal {
        let signal = self.requested().await;
        let mut attended = self.attended.subscribe();
        // The sender lives as long as this does.
        drop(attended.wait_for(|count| *count == 0).await);
        signal
    }
}

impl Drop for Attended {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count = count.saturating_sub(1));
    }
}

/// Signals that follow each other more closely are one request: `timeout` sends each twice, to the process and to its
/// group.
#[cfg(unix)]
const SAME: std::time::Duration = std::time::Duration::from_millis(50);

/// The set of signals that were ignored when the process began, one bit each; empty where the system does not tell.
#[cfg(unix)]
fn ignored_at_start() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    ignored_in(&status)
}

#[cfg(unix)]
fn ignored_in(status: &str) -> u64 {
    status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|set| u64::from_str_radix(set.trim(), 16).ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_ignored_is_read_from_the_status_of_the_process() {
        let status = "SigBlk:\t0000000000000000\nSigIgn:\t0000000000001001\nSigCgt:\t0\n";
        assert_eq!(ignored_in(status), 0x1001);
        assert_eq!(ignored_in("Name:\tx\n"), 0);
    }

    #[test]
    fn each_signal_has_the_exit_code_that_shells_report() {
        for signal in Signal::ALL {
            assert_eq!(signal.exit() as u8, 128 + signal.number());
            assert_eq!(Signal::of(signal.exit()), Some(signal));
        }
        assert_eq!(Signal::of(ExitCode::Unfinished), None);
    }

    #[tokio::test]
    async fn a_command_is_ended_from_outside_only_when_nothing_in_it_answers() {
        let (tell, shutdown) = Shutdown::new();
        let (outer, inner) = (shutdown.attend(), shutdown.attend());
        tell.send_replace(Some(Signal::HangUp));
        let mut ended = std::pin::pin!(shutdown.unattended());
        for guard in [outer, inner] {
            tokio::select! {
                biased;
                _ = &mut ended => panic!("somebody still answers"),
                () = tokio::task::yield_now() => {}
            }
            drop(guard);
        }
        assert_eq!(ended.await, Signal::HangUp);
    }
}
