//! The accounts of a fleet, and what can be done to jobs through the fleet and its handles alike.

use std::collections::HashMap;
use std::convert::identity;
use std::sync::{Arc, Mutex, PoisonError};

use crate::fleet::account::AccountTask;
use crate::fleet::config::FleetConfig;
use crate::fleet::event::WatchError;
use crate::fleet::event_queue::EventQueue;
use crate::fleet::poll::ErasedKind;
use crate::fleet::scheduler::WatchRequest;
use crate::fleet::table::KindKey;
use crate::fleet::unfinished::Unfinished;
use crate::id::{Account, JobId};
use crate::job::Job;
use crate::kind::JobKind;
use crate::poller::WaitOptions;

/// What a fleet shares with its handles.
pub(super) struct Accounts<O, T> {
    config: FleetConfig,
    pub(super) events: Arc<EventQueue<O, T>>,
    by_name: Mutex<ByName<O, T>>,
}

/// By vendor and account.
type ByName<O, T> = HashMap<(&'static str, Account), Arc<AccountTask<O, T>>>;

/// What names the jobs of a kind.
pub(super) fn key_of<K: JobKind + ?Sized>(kind: &K) -> KindKey {
    KindKey {
        vendor: kind.vendor(),
        kind: kind.name(),
        account: kind.account(),
    }
}

impl<O: Send + 'static, T: Send + 'static> Accounts<O, T> {
    pub(super) fn new(config: FleetConfig) -> Self {
        Self {
            config,
            events: Arc::new(EventQueue::new(config.event_buffer, config.capacity)),
            by_name: Mutex::default(),
        }
    }

    /// Watches a job whose output is that of the fleet.
    pub(super) fn watch<K>(
        &self,
        job: &Job<K>,
        tag: T,
        options: WaitOptions,
    ) -> Result<(), WatchError>
    where
        K: JobKind<Output = O> + ?Sized + 'static,
    {
        let kind = job.kind();
        let account = self.account_of(&**kind);
        let address = Arc::as_ptr(kind).cast::<()>() as usize;
        let group = kind.poll_group().unwrap_or(address);
        let number = account.kind_of_group(key_of(&**kind), group, || {
            let policy = kind.policy().clone();
            let kind = Arc::clone(kind);
            let wrap = identity;
            (Arc::new(ErasedKind::new(kind, wrap)), policy)
        });
        account.watch(request(job, number, tag, options))
    }

    /// The task of a kind's account, and the kind's number there.
    pub(super) fn add_kind<K: JobKind + ?Sized + 'static>(
        &self,
        kind: Arc<K>,
        wrap: impl Fn(K::Output) -> O + Send + Sync + 'static,
    ) -> (Arc<AccountTask<O, T>>, u16) {
        let account = self.account_of(&*kind);
        let (key, policy) = (key_of(&*kind), kind.policy().clone());
        let number = account.add_kind(Arc::new(ErasedKind::new(kind, wrap)), key, policy);
        (account, number)
    }

    pub(super) fn poll_soon(&self, vendor: &str, id: &JobId) -> bool {
        let mut is_watched = false;
        for account in self.all(|name| name == vendor) {
            is_watched |= account.poll_soon(None, id);
        }
        is_watched
    }

    pub(super) fn unwatch<K: JobKind + ?Sized>(&self, job: &Job<K>) -> Option<T> {
        let kind = job.kind();
        let name = (kind.vendor(), kind.account());
        let account = {
            let by_name = self.by_name.lock();
            let by_name = by_name.unwrap_or_else(PoisonError::into_inner);
            Arc::clone(by_name.get(&name)?)
        };
        account.unwatch(kind.name(), job.id())
    }

    pub(super) fn bytes(&self) -> usize {
        self.all(|_| true)
            .iter()
            .map(|account| account.bytes())
            .sum()
    }

    fn account_of<K: JobKind + ?Sized>(&self, kind: &K) -> Arc<AccountTask<O, T>> {
        let mut by_name = self.by_name.lock().unwrap_or_else(PoisonError::into_inner);
        let account = by_name
            .entry((kind.vendor(), kind.account()))
            .or_insert_with(|| {
                let clock = Arc::clone(kind.clock());
                Arc::new(AccountTask::new(
                    clock,
                    Arc::clone(&self.events),
                    self.config,
                ))
            });
        Arc::clone(account)
    }
}

impl<O, T> Accounts<O, T> {
    /// Takes no more jobs and gives up those that it has.
    pub(super) fn shutdown(&self) -> Unfinished<T> {
        self.events.shutdown();
        let tables: Vec<_> = self
            .all(|_| true)
            .iter()
            .map(|account| account.shutdown())
            .collect();
        let unfinished = Unfinished::new(tables);
        self.events.dismiss(unfinished.jobs());
        unfinished
    }

    fn all(&self, of: impl Fn(&str) -> bool) -> Vec<Arc<AccountTask<O, T>>> {
        let by_name = self.by_name.lock().unwrap_or_else(PoisonError::into_inner);
        by_name
            .iter()
            .filter(|((vendor, _), _)| of(vendor))
            .map(|(_, account)| Arc::clone(account))
            .collect()
    }
}

/// The request to watch a job as one of the kind with this number.
pub(super) fn request<K: JobKind + ?Sized, T>(
    job: &Job<K>,
    kind: u16,
    tag: T,
    options: WaitOptions,
) -> WatchRequest<'_, T> {
    let (history, accepted) = job.history();
    WatchRequest {
        kind,
        id: job.id(),
        tag,
        history,
        accepted,
        options,
    }
}
