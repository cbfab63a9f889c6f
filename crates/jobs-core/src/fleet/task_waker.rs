//! What wakes the task of an account.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Wake, Waker};

use atomic_waker::AtomicWaker;

/// Wakes the task of an account.
#[derive(Default)]
pub(super) struct TaskWaker {
    notified: AtomicBool,
    task: AtomicWaker,
}

impl TaskWaker {
    /// Wakes `task` from now on.
    pub(super) fn register(&self, task: &Waker) {
        self.task.register(task);
    }

    /// Whether it was woken since the last call.
    pub(super) fn take_notified(&self) -> bool {
        self.notified.swap(false, Ordering::AcqRel)
    }
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.notified.store(true, Ordering::Release);
        self.task.wake();
    }
}
