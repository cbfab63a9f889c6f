//! Signals: the first asks to finish the job at hand; a second one ends the process at once.

use crate::signals::{Attended, Shutdown, Signal};

/// Whether the process was asked to end.
pub(super) struct ShutdownSignal {
    shutdown: Shutdown,
    _attended: Attended,
}

impl ShutdownSignal {
    /// From now on the printer ends by itself when it is asked to.
    pub(super) fn listen(shutdown: &Shutdown) -> Self {
        Self {
            shutdown: shutdown.clone(),
            _attended: shutdown.attend(),
        }
    }

    pub(super) fn signal(&self) -> Option<Signal> {
        self.shutdown.asked()
    }

    pub(super) fn is_asked(&self) -> bool {
        self.signal().is_some()
    }

    /// Returns when it was asked to end.
    pub(super) async fn asked(&self) {
        self.shutdown.requested().await;
    }
}
