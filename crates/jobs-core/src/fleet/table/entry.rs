//! What one watched job is to the scheduler, in 68 bytes, and what all jobs that are waited for alike share.

use crate::fleet::snapshot_interner::NO_SNAPSHOT;
use crate::id::Account;
use crate::poller::{WaitParams, WaitState};

/// One job. Its id and its tag lie beside it, in its [`Chunk`](super::chunk::Chunk).
#[derive(Debug, Clone, Copy)]
pub(in crate::fleet) struct Entry {
    pub(in crate::fleet) state: WaitState,
    /// The number that goes with its phase: [`Phase`] itself would take four bytes more for padding.
    phase_data: u32,
    /// Its position in the timer wheel's list; of a free slot, the next free one.
    pub(super) position: u32,
    /// Seconds of the Unix epoch, for the ticket; 2106 stands for later.
    pub(super) accepted: u32,
    pub(super) snapshot: u32,
    pub(super) progress: u32,
    /// The number of its [`WatchParams`].
    pub(super) params: u16,
    /// Where its id begins in the chunk's text.
    pub(super) id_at: u16,
    pub(super) id_len: u8,
    /// Where its tag is in the chunk; of no meaning while nobody watches it.
    pub(super) tag_at: u8,
    phase: PhaseKind,
    flags: u8,
}

/// A [`Phase`] without its number.
#[derive(Debug, Clone, Copy)]
enum PhaseKind {
    Free,
    Waiting,
    Ready,
    Polling,
    Cooldown,
}

/// What an entry waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::fleet) enum Phase {
    /// A job to take it.
    Free,
    /// The moment of its next poll.
    Waiting,
    /// A free place on a poll. It has been due since this millisecond, cut to 32 bits.
    Ready {
        /// When it became due.
        since: u32,
    },
    /// The answer to the poll with this serial.
    Polling {
        /// The serial.
        serial: u32,
    },
    /// The end of the minimum interval. Nobody watches the job, but a new watch must not poll it earlier.
    Cooldown,
}

const POLL_SOON: u8 = 1;
const POLL_FAILED: u8 = 2;

/// What names a kind's jobs beside their id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::fleet) struct KindKey {
    pub(in crate::fleet) vendor: &'static str,
    pub(in crate::fleet) kind: &'static str,
    pub(in crate::fleet) account: Account,
}

/// What jobs share that are of one kind and waited for with the same tolerance.
#[derive(Debug)]
pub(in crate::fleet) struct WatchParams {
    pub(in crate::fleet) kind: u16,
    pub(in crate::fleet) key: KindKey,
    pub(in crate::fleet) wait: WaitParams,
}

impl Entry {
    /// A job that begins to wait.
    pub(super) fn waiting(state: WaitState, params: u16, accepted: u32) -> Self {
        Self {
            state,
            phase_data: 0,
            position: u32::MAX,
            accepted,
            snapshot: NO_SNAPSHOT,
            progress: 0,
            params,
            id_at: 0,
            id_len: 0,
            tag_at: 0,
            phase: PhaseKind::Waiting,
            flags: 0,
        }
    }

    /// A slot without a job; `next` is the next free one.
    pub(super) fn free(next: u32) -> Self {
        Self {
            phase: PhaseKind::Free,
            position: next,
            ..Self::waiting(WaitState::blank(), 0, 0)
        }
    }

    /// What it waits for.
    pub(in crate::fleet) fn phase(&self) -> Phase {
        match self.phase {
            PhaseKind::Free => Phase::Free,
            PhaseKind::Waiting => Phase::Waiting,
            PhaseKind::Ready => Phase::Ready {
                since: self.phase_data,
            },
            PhaseKind::Polling => Phase::Polling {
                serial: self.phase_data,
            },
            PhaseKind::Cooldown => Phase::Cooldown,
        }
    }

    /// Sets what it waits for.
    pub(in crate::fleet) fn set_phase(&mut self, phase: Phase) {
        (self.phase, self.phase_data) = match phase {
            Phase::Free => (PhaseKind::Free, 0),
            Phase::Waiting => (PhaseKind::Waiting, 0),
            Phase::Ready { since } => (PhaseKind::Ready, since),
            Phase::Polling { serial } => (PhaseKind::Polling, serial),
            Phase::Cooldown => (PhaseKind::Cooldown, 0),
        };
    }

    /// Whether somebody waits for the job.
    pub(in crate::fleet) fn is_watched(&self) -> bool {
        !matches!(self.phase, PhaseKind::Free | PhaseKind::Cooldown)
    }

    /// Whether the poll with this serial is of this job.
    pub(in crate::fleet) fn is_polled_by(&self, serial: u32) -> bool {
        self.phase() == Phase::Polling { serial }
    }

    /// Asks for one more poll as soon as the one in flight is answered.
    pub(in crate::fleet) fn request_poll_soon(&mut self) {
        self.flags |= POLL_SOON;
    }

    /// Whether one more poll was asked for; says so once.
    pub(in crate::fleet) fn take_poll_soon(&mut self) -> bool {
        let is_requested = self.flags & POLL_SOON != 0;
        self.flags &= !POLL_SOON;
        is_requested
    }

    /// The last poll failed.
    pub(super) fn mark_failed(&mut self) {
        self.flags |= POLL_FAILED;
    }

    /// The last poll was good. Whether the one before had failed.
    pub(super) fn clear_failed(&mut self) -> bool {
        let had_failed = self.flags & POLL_FAILED != 0;
        self.flags &= !POLL_FAILED;
        had_failed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_sixty_eight_bytes() {
        assert_eq!(size_of::<Entry>(), 68);
    }
}
