//! Ctrl-C and SIGTERM: the first asks to finish the job at hand, the second to leave it.

use tokio::sync::watch;

use crate::exit::Stop;

/// How often the process was asked to end.
#[derive(Clone)]
pub(super) struct Halt(watch::Receiver<u32>);

impl Halt {
    /// Listens from now on: the signals no longer end the process by themselves.
    pub(super) fn listen() -> Result<Self, Stop> {
        let (tell, count) = watch::channel(0);
        let mut terminate = terminations()?;
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    heard = tokio::signal::ctrl_c() => if heard.is_err() { return },
                    () = terminate.next() => {}
                    () = tell.closed() => return,
                }
                tell.send_modify(|count| *count += 1);
            }
        });
        Ok(Self(count))
    }

    pub(super) fn is_asked(&self) -> bool {
        *self.0.borrow() > 0
    }

    /// Returns when it was asked so often.
    pub(super) async fn asked(&self, times: u32) {
        let mut count = self.0.clone();
        if count.wait_for(|count| *count >= times).await.is_err() {
            std::future::pending().await
        }
    }
}

#[cfg(unix)]
struct Terminations(tokio::signal::unix::Signal);

#[cfg(unix)]
fn terminations() -> Result<Terminations, Stop> {
    use tokio::signal::unix::{SignalKind, signal};
    signal(SignalKind::terminate())
        .map(Terminations)
        .map_err(|problem| Stop::unexpected(format!("cannot wait for signals: {problem}")))
}

#[cfg(unix)]
impl Terminations {
    async fn next(&mut self) {
        if self.0.recv().await.is_none() {
            std::future::pending().await
        }
    }
}

#[cfg(not(unix))]
struct Terminations;

#[cfg(not(unix))]
fn terminations() -> Result<Terminations, Stop> {
    Ok(Terminations)
}

#[cfg(not(unix))]
impl Terminations {
    async fn next(&mut self) {
        std::future::pending().await
    }
}
