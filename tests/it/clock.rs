//! Real time, for what is measured and bounded beside processes that run by a clock of their own: nothing else here reads it.

#![allow(
    clippy::disallowed_methods,
    reason = "a child process keeps no clock that a test could wind"
)]

use std::time::{Duration, Instant};

/// How often what a process brings about is looked for.
const STEP: Duration = Duration::from_millis(5);

/// Runs from its making.
#[derive(Debug)]
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

/// Lets real time pass.
pub(crate) async fn pass(time: Duration) {
    tokio::time::sleep(time).await;
}

/// What comes of it in this time of the wall, if anything.
pub(crate) async fn within<F: Future>(time: Duration, future: F) -> Option<F::Output> {
    tokio::time::timeout(time, future).await.ok()
}

/// Lets real time pass on a thread of its own.
#[cfg(unix)]
pub(crate) fn hold(time: Duration) {
    std::thread::sleep(time);
}

/// Waits until it is so.
#[cfg(unix)]
pub(crate) fn until(mut is_so: impl FnMut() -> bool) {
    while !is_so() {
        std::thread::sleep(STEP);
    }
}
