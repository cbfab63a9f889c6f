//! What wakes the task of an account.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Wake, Waker};

/// Wakes the task of an account.
#[derive(Default)]
pub(super) struct Bell {
    rung: AtomicBool,
    task: Sleeper,
}

impl Bell {
    /// `task` is who is to be woken.
    pub(super) fn answer(&self, task: &Waker) {
        self.task.becomes(task);
    }

    /// Told once.
    pub(super) fn was_rung(&self) -> bool {
        self.rung.swap(false, Ordering::AcqRel)
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.rung.store(true, Ordering::Release);
        self.task.wake();
    }
}

/// Whoever is to be woken.
#[derive(Default)]
pub(super) struct Sleeper(Mutex<Option<Waker>>);

impl Sleeper {
    pub(super) fn becomes(&self, task: &Waker) {
        let mut held = self.held();
        match &*held {
            Some(held) if held.will_wake(task) => {}
            _ => *held = Some(task.clone()),
        }
    }

    pub(super) fn wake(&self) {
        if let Some(task) = &*self.held() {
            task.wake_by_ref();
        }
    }

    fn held(&self) -> MutexGuard<'_, Option<Waker>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
