//! The ways into a fleet from other tasks, and for kinds with other outputs than the fleet's.

use std::borrow::Borrow;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use crate::fleet::account::AccountTask;
use crate::fleet::accounts::{Accounts, key_of, request};
use crate::fleet::event::WatchError;
use crate::fleet::event_queue::EventQueue;
use crate::fleet::scheduler::WatchRequest;
use crate::fleet::table::KindKey;
use crate::fleet::unfinished::Unfinished;
use crate::id::JobId;
use crate::job::Job;
use crate::kind::JobKind;
use crate::poller::WaitOptions;

/// A way into a [`Fleet`](crate::fleet::Fleet) for other tasks. Clones are the same.
///
/// While one is there, `next` waits for the jobs that it may still add.
pub struct FleetHandle<O, T = ()> {
    accounts: Arc<Accounts<O, T>>,
    _open: Arc<OpenGuard<O, T>>,
}

/// Counts as one handle that may still add jobs.
struct OpenGuard<O, T>(Arc<EventQueue<O, T>>);

impl<O, T> Drop for OpenGuard<O, T> {
    fn drop(&mut self) {
        self.0.remove_handle();
    }
}

impl<O, T> Clone for FleetHandle<O, T> {
    fn clone(&self) -> Self {
        Self {
            accounts: Arc::clone(&self.accounts),
            _open: Arc::clone(&self._open),
        }
    }
}

impl<O, T> fmt::Debug for FleetHandle<O, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FleetHandle")
            .field(&self.accounts.events)
            .finish()
    }
}

impl<O: Send + 'static, T: Send + 'static> FleetHandle<O, T> {
    pub(super) fn new(accounts: Arc<Accounts<O, T>>) -> Self {
        accounts.events.add_handle();
        Self {
            _open: Arc::new(OpenGuard(Arc::clone(&accounts.events))),
            accounts,
        }
    }

    /// See [`Fleet::watch`](crate::fleet::Fleet::watch).
    ///
    /// # Errors
    /// [`WatchError`].
    pub fn watch<K>(
        &self,
        job: impl Borrow<Job<K>>,
        tag: T,
        options: impl Into<WaitOptions>,
    ) -> Result<(), WatchError>
    where
        K: JobKind<Output = O> + ?Sized + 'static,
    {
        self.accounts.watch(job.borrow(), tag, options.into())
    }

    /// See [`Fleet::poll_soon`](crate::fleet::Fleet::poll_soon).
    pub fn poll_soon(&self, vendor: &str, id: &JobId) -> bool {
        self.accounts.poll_soon(vendor, id)
    }

    /// See [`Fleet::unwatch`](crate::fleet::Fleet::unwatch).
    pub fn unwatch<K: JobKind + ?Sized>(&self, job: impl Borrow<Job<K>>) -> Option<T> {
        self.accounts.unwatch(job.borrow())
    }

    /// See [`Fleet::shutdown`](crate::fleet::Fleet::shutdown).
    pub fn shutdown(&self) -> Unfinished<T> {
        self.accounts.shutdown()
    }

    /// How many jobs are watched.
    pub fn len(&self) -> usize {
        self.accounts.events.jobs()
    }

    /// Whether no job is watched.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A way into a fleet for jobs of one kind, whose outputs become the fleet's. Clones are the same.
///
/// It is of no use once the fleet is dropped, and does not keep it waiting.
pub struct KindHandle<K: ?Sized, T = ()> {
    account: Arc<dyn DynAccount<T>>,
    key: KindKey,
    number: u16,
    kind: PhantomData<fn(&K)>,
}

impl<K: ?Sized, T> Clone for KindHandle<K, T> {
    fn clone(&self) -> Self {
        Self {
            account: Arc::clone(&self.account),
            key: self.key,
            number: self.number,
            kind: PhantomData,
        }
    }
}

impl<K: ?Sized, T> fmt::Debug for KindHandle<K, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KindHandle({} {})", self.key.vendor, self.key.kind)
    }
}

impl<K: JobKind + ?Sized + 'static, T: Send + 'static> KindHandle<K, T> {
    pub(super) fn new<O: Send + 'static>(
        accounts: &Accounts<O, T>,
        kind: Arc<K>,
        wrap: impl Fn(K::Output) -> O + Send + Sync + 'static,
    ) -> Self {
        let key = key_of(&*kind);
        let (account, number) = accounts.add_kind(kind, wrap);
        Self {
            account,
            key,
            number,
            kind: PhantomData,
        }
    }

    /// Also reports polls that found a job of this handle or its clones unfinished, or failed. They are left out while the
    /// consumer lags; ends never are.
    #[must_use]
    pub fn with_poll_events(self) -> Self
    where
        T: Clone,
    {
        self.account.report_polls(self.number, T::clone);
        self
    }

    /// Watches `job`; see [`Fleet::watch`](crate::fleet::Fleet::watch).
    ///
    /// # Errors
    /// [`WatchError`].
    pub fn watch(
        &self,
        job: impl Borrow<Job<K>>,
        tag: T,
        options: impl Into<WaitOptions>,
    ) -> Result<(), WatchError> {
        let job = job.borrow();
        if key_of(&**job.kind()) != self.key {
            return Err(WatchError::KindMismatch);
        }
        Arc::clone(&self.account).watch(request(job, self.number, tag, options.into()))
    }

    /// Polls a job as soon as the minimum interval and the vendor's hints allow; for a webhook, which is not believed.
    /// Whether the job is watched.
    pub fn poll_soon(&self, id: &JobId) -> bool {
        self.account.poll_soon(self.key.kind, id)
    }

    /// Waits for a job no longer, and reports no end. It goes on at the vendor. Its tag, if it was watched.
    pub fn unwatch(&self, id: &JobId) -> Option<T> {
        self.account.unwatch(self.key.kind, id)
    }
}

/// An account as a handle sees it, whatever the fleet's outputs are.
trait DynAccount<T>: Send + Sync {
    fn report_polls(&self, kind: u16, clone_tag: fn(&T) -> T);
    fn watch(self: Arc<Self>, request: WatchRequest<'_, T>) -> Result<(), WatchError>;
    fn poll_soon(&self, kind: &str, id: &JobId) -> bool;
    fn unwatch(&self, kind: &str, id: &JobId) -> Option<T>;
}

impl<O: Send + 'static, T: Send + 'static> DynAccount<T> for AccountTask<O, T> {
    fn report_polls(&self, kind: u16, clone_tag: fn(&T) -> T) {
        self.report_polls(kind, clone_tag);
    }

    fn watch(self: Arc<Self>, request: WatchRequest<'_, T>) -> Result<(), WatchError> {
        AccountTask::watch(&self, request)
    }

    fn poll_soon(&self, kind: &str, id: &JobId) -> bool {
        self.poll_soon(Some(kind), id)
    }

    fn unwatch(&self, kind: &str, id: &JobId) -> Option<T> {
        self.unwatch(kind, id)
    }
}
