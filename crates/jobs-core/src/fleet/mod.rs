//! Any number of jobs at once: one task for each account, compact entries, batched polls.

mod account;
mod concurrency_limit;
mod events;
mod in_flight;
mod metrics;
mod poll;
mod priority;
mod scheduler;
mod snapshot_interner;
mod table;
mod task_waker;
mod timer_wheel;

use std::collections::HashMap;
use std::fmt;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

pub use self::events::{FleetEvent, FleetEvents, WatchError};

use self::account::AccountTask;
use self::events::EventQueue;
use self::poll::ErasedKind;
use self::table::{JobTable, KindKey};
use crate::id::{Account, JobId};
use crate::job::Job;
use crate::kind::JobKind;
use crate::poller::{History, WaitOptions};
use crate::ticket::Ticket;

/// The bounds of a fleet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct FleetConfig {
    /// How many jobs may be watched at once; a million takes about 120 MB. A million unless set.
    pub capacity: usize,
    /// With so many news not yet taken, no further poll begins. Polls in flight still end, so that it is exceeded by
    /// them at most. 1024 unless set.
    pub event_buffer: usize,
    /// How many polls of one account may be in flight, each at one batch; at most 64. 32 unless set.
    pub max_in_flight: u32,
    /// Where chance begins: the same seed spreads pauses in the same way.
    pub seed: u64,
}

impl Default for FleetConfig {
    fn default() -> Self {
        Self {
            capacity: 1_000_000,
            event_buffer: 1024,
            max_in_flight: 32,
            seed: 0,
        }
    }
}

impl FleetConfig {
    /// Sets how many jobs may be watched at once.
    #[must_use]
    pub fn with_capacity(mut self, jobs: usize) -> Self {
        self.capacity = jobs;
        self
    }

    /// Sets how many news may wait for the consumer.
    #[must_use]
    pub fn with_event_buffer(mut self, event: usize) -> Self {
        self.event_buffer = event;
        self
    }

    /// Sets how many polls of one account may be in flight, 1 to 64.
    #[must_use]
    pub fn with_max_in_flight(mut self, polls: u32) -> Self {
        self.max_in_flight = polls.clamp(1, in_flight::MAX_IN_FLIGHT);
        self
    }

    /// Sets where chance begins.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }
}

/// Waits for any number of jobs of any kinds, with one task for each account and none for a job.
///
/// Each job is waited for by the same rules as [`Job::wait`], polled together with others where its kind takes
/// several ids at once, and ends once, in [`FleetEvents`]. `O` is what all kinds' outputs are turned into by their
/// [`FleetHandle`]s. Clones are the same fleet.
///
/// An account's polls in flight are bounded by a window that grows with its answers, is halved when the vendor says
/// "too many", and closes in an outage until a single poll has found the vendor back. A kind's `observe` that panics is
/// a failed poll of the jobs it was asked for, and of no other.
pub struct Fleet<O> {
    shared: Arc<Shared<O>>,
}

struct Shared<O> {
    config: FleetConfig,
    events: Arc<EventQueue<O>>,
    accounts: Mutex<Accounts<O>>,
}

/// By vendor and account.
type Accounts<O> = HashMap<(&'static str, Account), Arc<AccountTask<O>>>;

impl<O> Drop for Shared<O> {
    fn drop(&mut self) {
        self.events.close();
    }
}

impl<O> Clone for Fleet<O> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<O> fmt::Debug for Fleet<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fleet")
            .field("settings", &self.shared.config)
            .field("backlog", &self.shared.events)
            .finish_non_exhaustive()
    }
}

impl<O: Send + 'static> Fleet<O> {
    /// A fleet without jobs, and where their ends come out.
    pub fn new(config: FleetConfig) -> (Self, FleetEvents<O>) {
        let config = config.with_max_in_flight(config.max_in_flight);
        let events = Arc::new(EventQueue::new(config.event_buffer, config.capacity));
        let ends = FleetEvents {
            events: Arc::clone(&events),
        };
        let shared = Shared {
            config: config,
            events: events,
            accounts: Mutex::default(),
        };
        let fleet = Self {
            shared: Arc::new(shared),
        };
        (fleet, ends)
    }

    /// The way in for jobs of `kind`, whose outputs become the fleet's by `wrap`.
    ///
    /// Kinds of one account share its task, its window and its breaker, and must share one clock. A lane is for all jobs
    /// of its kind: it is kept as long as the fleet, and an account has room for 65 535 of them.
    pub fn handle<K: JobKind + ?Sized + 'static>(
        &self,
        kind: Arc<K>,
        wrap: impl Fn(K::Output) -> O + Send + Sync + 'static,
    ) -> FleetHandle<K> {
        let key = KindKey {
            vendor: kind.vendor(),
            kind: kind.name(),
            account: kind.account(),
        };
        let account = {
            let mut accounts = self
                .shared
                .accounts
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            let account = accounts
                .entry((key.vendor, key.account))
                .or_insert_with(|| {
                    Arc::new(AccountTask::new(
                        Arc::clone(kind.clock()),
                        Arc::clone(&self.shared.events),
                        self.shared.config,
                    ))
                });
            Arc::clone(account)
        };
        let policy = kind.policy().clone();
        let number = account.add_kind(Arc::new(ErasedKind { kind, wrap }), key, policy);
        FleetHandle {
            account: Arc::new(AccountHandle {
                account: account,
                _shared: Arc::clone(&self.shared),
            }),
            key: key,
            kind_number: number,
            kind: PhantomData,
        }
    }

    /// Polls a job of `vendor` as soon as the minimum interval and the vendor's hints allow; for a webhook, which is not
    /// believed. Whether it is watched.
    pub fn poll_soon(&self, vendor: &str, id: &JobId) -> bool {
        let mut known = false;
        for account in self.accounts(|name| name == vendor) {
            known |= account.poll_soon(None, id);
        }
        known
    }

    /// Begins no more polls, drops those in flight, and hands back the tickets of all jobs that have not ended. Ends
    /// that were not taken yet can still be taken.
    pub fn shutdown(&self) -> Unfinished {
        self.shared.events.shutdown();
        let tables: Vec<JobTable> = self
            .accounts(|_| true)
            .iter()
            .map(|account| account.shutdown())
            .collect();
        let jobs = tables.iter().map(JobTable::watched_count).sum();
        self.shared.events.dismiss(jobs);
        Unfinished {
            tables: tables,
            slot: 0,
        }
    }

    /// How many jobs are watched.
    pub fn len(&self) -> usize {
        self.shared.events.jobs()
    }

    /// Whether no job is watched.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The heap that the entries of the watched jobs, their ids and the tables of them take, in bytes.
    pub fn bytes(&self) -> usize {
        self.accounts(|_| true)
            .iter()
            .map(|account| account.bytes())
            .sum()
    }

    fn accounts(&self, of: impl Fn(&str) -> bool) -> Vec<Arc<AccountTask<O>>> {
        let accounts = self
            .shared
            .accounts
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        accounts
            .iter()
            .filter(|((vendor, _), _)| of(vendor))
            .map(|(_, account)| Arc::clone(account))
            .collect()
    }
}

/// The way into a fleet for jobs of one kind. Clones are the same lane.
///
/// A fleet takes jobs as long as it or one of its lanes is there.
pub struct FleetHandle<K: ?Sized> {
    account: Arc<dyn DynAccount>,
    key: KindKey,
    kind_number: u16,
    kind: PhantomData<fn(&K)>,
}

impl<K: ?Sized> Clone for FleetHandle<K> {
    fn clone(&self) -> Self {
        Self {
            account: Arc::clone(&self.account),
            key: self.key,
            kind_number: self.kind_number,
            kind: PhantomData,
        }
    }
}

impl<K: ?Sized> fmt::Debug for FleetHandle<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Lane({} {})", self.key.vendor, self.key.kind)
    }
}

impl<K: JobKind + ?Sized> FleetHandle<K> {
    /// Also reports polls that found a job unfinished or failed, of this lane and its clones. They are left out while
    /// the consumer lags; ends never are.
    #[must_use]
    pub fn with_poll_events(self) -> Self {
        self.account.with_poll_events(self.kind_number);
        self
    }

    /// Waits for `job`; its end comes out of [`FleetEvents`]. Sends nothing by itself.
    ///
    /// The floor counts from the last poll that the job's handle knows of, and from the fleet's own. It is not to be
    /// waited for elsewhere at the same time.
    ///
    /// # Errors
    /// [`WatchError`]: it is watched already, the fleet is full or stopped, or the job is not of this lane's kind.
    pub fn watch(&self, job: &Job<K>, options: impl Into<WaitOptions>) -> Result<(), WatchError> {
        let kind = job.kind();
        let key = KindKey {
            vendor: kind.vendor(),
            kind: kind.name(),
            account: kind.account(),
        };
        if key != self.key {
            return Err(WatchError::KindMismatch);
        }
        self.account
            .watch(self.kind_number, job.id(), job.history(), options.into())
    }

    /// Polls a job as soon as the minimum interval and the vendor's hints allow; for a webhook, which is not believed. Whether
    /// it is watched.
    pub fn poll_soon(&self, id: &JobId) -> bool {
        self.account.poll_soon(self.key.kind, id)
    }

    /// Waits for a job no longer, and reports no end. It goes on at the vendor. Whether it was watched.
    pub fn unwatch(&self, id: &JobId) -> bool {
        self.account.unwatch(self.key.kind, id)
    }
}

/// A desk as a lane sees it, whatever the fleet's outputs are.
trait DynAccount: Send + Sync {
    fn with_poll_events(&self, lane: u16);
    fn watch(
        &self,
        lane: u16,
        id: &JobId,
        history: (History, SystemTime),
        options: WaitOptions,
    ) -> Result<(), WatchError>;
    fn poll_soon(&self, kind: &str, id: &JobId) -> bool;
    fn unwatch(&self, kind: &str, id: &JobId) -> bool;
}

struct AccountHandle<O> {
    account: Arc<AccountTask<O>>,
    /// Keeps the fleet open.
    _shared: Arc<Shared<O>>,
}

impl<O: Send + 'static> DynAccount for AccountHandle<O> {
    fn with_poll_events(&self, lane: u16) {
        self.account.with_poll_events(lane);
    }

    fn watch(
        &self,
        lane: u16,
        id: &JobId,
        history: (History, SystemTime),
        options: WaitOptions,
    ) -> Result<(), WatchError> {
        self.account.watch(lane, id, history, options)
    }

    fn poll_soon(&self, kind: &str, id: &JobId) -> bool {
        self.account.poll_soon(Some(kind), id)
    }

    fn unwatch(&self, kind: &str, id: &JobId) -> bool {
        self.account.unwatch(kind, id)
    }
}

/// The tickets of the jobs that a stopped fleet had not seen end.
#[derive(Debug)]
pub struct Unfinished {
    tables: Vec<JobTable>,
    slot: u32,
}

impl Iterator for Unfinished {
    type Item = Ticket;

    fn next(&mut self) -> Option<Ticket> {
        loop {
            let table = self.tables.last()?;
            if self.slot >= table.slots() {
                self.tables.pop();
                self.slot = 0;
                continue;
            }
            let slot = self.slot;
            self.slot += 1;
            if table.is_watched(slot) {
                return table.ticket(slot);
            }
        }
    }
}
