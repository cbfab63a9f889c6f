//! What wakes the task of an account.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Wake, Waker};

/// Wakes the task of an account.
#[derive(Default)]
pub(super) struct Bell {
    rung: AtomicBool,
    task: Mutex<Option<Waker>>,
}

impl Bell {
    /// `task` is who is to be woken.
    pub(super) fn answer(&self, task: &Waker) {
        let mut held = self.task.lock().unwrap_or_else(PoisonError::into_inner);
        match &*held {
            Some(held) if held.will_wake(task) => {}
            _ => *held = Some(task.clone()),
        }
    }

    /// Told once.
    pub(super) fn was_rung(&self) -> bool {
        self.rung.swap(false, Ordering::AcqRel)
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.rung.store(true, Ordering::Release);
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(task) = &*task {
            task.wake_by_ref();
        }
    }
}
