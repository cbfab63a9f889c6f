//! The ledger as programs see it: opened by URL, whichever store lies beneath.

mod accounts;
mod batch;
mod budget;
mod bulk;
mod bulk_action;
mod claim_jobs;
mod filter;
mod history;
mod inbox;
mod inputs;
mod keep;
mod list;
mod new_job;
mod poll;
mod rate;
mod read;
mod record;
mod row;
mod shared_rate;
mod stream;
mod submit;
mod totals;
mod worker;

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use jobs_core::clock::{Clock, Moment};

pub use self::accounts::JoinedAccounts;
pub use self::batch::{ClaimUpdate, ClaimUpdateSummary};
pub use self::budget::{
    Budget, BudgetPeriod, Estimate, InvalidBudgetPeriod, OverBudget, SubmitPermission,
};
pub use self::bulk::RecordedIntent;
pub use self::bulk_action::{BulkAction, BulkOutcome};
pub use self::claim_jobs::Due;
pub use self::filter::{JobFilter, JobPage};
pub use self::inbox::{
    WebhookCall, WebhookCount, WebhookFilter, WebhookReceipt, WebhookRecord, WebhookTrust,
    WebhookVerdict,
};
pub use self::inputs::FileIdentity;
pub use self::keep::Recovered;
pub use self::poll::PollRecord;
pub use self::read::LedgerCheck;
pub use self::shared_rate::RateUse;
pub use self::stream::{EventCursor, InvalidEventCursor, StreamedEvent};
pub use self::totals::{DayMoney, MoneyInDoubt, StageCount};
pub use self::worker::WorkerRecord;
use crate::config::LedgerConfig;
use crate::error::LedgerError;
use crate::job_record::{from_micros, micros};
use crate::place_key::PlaceKey;
use crate::process_liveness::Owner;
use crate::store::{self, Committed, Flush, Stats, Store, Tx, Work, WorkFuture};

/// The durable record of every intent, submit and poll.
///
/// Cheap to clone; clones are one worker. Every write runs to its end on a task of its own: dropping the future of a
/// write loses its answer, never half of it.
#[derive(Clone)]
pub struct Ledger {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    owner: Arc<Owner>,
    place_key: Option<PlaceKey>,
    lease: Duration,
    searched: Arc<Mutex<Option<Moment>>>,
}

impl Ledger {
    /// Opens, and where needed creates, the ledger at `url`: a path or `sqlite:PATH` for a file, `postgres://…` for a
    /// database that machines share.
    ///
    /// A file is created with mode 0600, its directory with 0700.
    ///
    /// # Errors
    /// [`Locked`](crate::LedgerErrorKind::Locked), [`ReadOnly`](crate::LedgerErrorKind::ReadOnly),
    /// [`Corrupt`](crate::LedgerErrorKind::Corrupt), [`NotALedger`](crate::LedgerErrorKind::NotALedger),
    /// [`Newer`](crate::LedgerErrorKind::Newer), [`Full`](crate::LedgerErrorKind::Full),
    /// [`Unavailable`](crate::LedgerErrorKind::Unavailable) or [`Denied`](crate::LedgerErrorKind::Denied).
    pub async fn open(url: &str, clock: Arc<dyn Clock>) -> Result<Self, LedgerError> {
        Self::open_with(url, clock, &LedgerConfig::default()).await
    }

    /// Like [`open`](Self::open), with settings.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub async fn open_with(
        url: &str,
        clock: Arc<dyn Clock>,
        settings: &LedgerConfig,
    ) -> Result<Self, LedgerError> {
        Ok(Self {
            store: store::open(url, &clock, settings).await?,
            clock,
            owner: Arc::new(Owner::new()),
            place_key: settings.place_key,
            lease: settings.lease.max(Duration::from_millis(1)),
            searched: Arc::default(),
        })
    }

    /// The same store as another worker, with a name and perhaps a clock of its own.
    #[must_use]
    pub fn as_worker(&self, clock: Arc<dyn Clock>) -> Self {
        Self {
            store: Arc::clone(&self.store),
            clock,
            owner: Arc::new(self.owner.sibling()),
            place_key: self.place_key,
            lease: self.lease,
            searched: Arc::default(),
        }
    }

    /// This worker's name in the history: random for each opening, so that a restarted process never meets itself.
    pub fn worker(&self) -> &str {
        self.owner.worker()
    }

    /// How long a claim holds without being renewed.
    pub fn lease(&self) -> Duration {
        self.lease
    }

    /// The clock by which leases and due times are measured.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// What it has written since it was opened, all clones and [workers](Self::as_worker) together.
    pub fn stats(&self) -> LedgerStats {
        LedgerStats::of(self.store.stats())
    }

    /// Ends the connections after the writes that are under way. Claims keep: release them before.
    pub async fn close(&self) {
        self.store.close().await;
        let LedgerStats {
            transactions,
            flushes,
            statements,
        } = self.stats();
        tracing::info!(transactions, flushes, statements, "the ledger is closed");
    }

    /// Waits until another process may have made a job due, or until the moment `until`.
    ///
    /// PostgreSQL tells at once, through a pooler not at all: keep `until` within a second. A file of several processes is
    /// looked at every 50 ms.
    pub async fn wait_for_work(&self, until: Moment) {
        jobs_core::clock::bounded(self.clock.as_ref(), until, self.store.notified()).await;
    }

    /// What will go wrong one day with this ledger where it is, in words; empty where all is well.
    pub fn warnings(&self) -> &[String] {
        self.store.warnings()
    }

    fn committed(&self) -> Committed<'_> {
        Committed(self.store.as_ref())
    }

    fn now(&self) -> i64 {
        micros(self.clock.wall())
    }

    fn lease_end(&self, now: i64) -> (i64, SystemTime) {
        let lease = i64::try_from(self.lease.as_micros()).unwrap_or(i64::MAX / 2);
        let end = now.saturating_add(lease);
        (end, from_micros(end))
    }

    /// Runs `work` in one transaction and gives its value once that is committed.
    ///
    /// A write of which nothing was kept is made again at once: transactions got into each other's way, or a connection
    /// that rested was cut. What lasts longer is the caller's, whose lease runs.
    async fn write<T: Send + 'static>(
        &self,
        flush: Flush,
        work: impl for<'t> FnOnce(&'t mut Tx) -> WorkFuture<'t, T> + Clone + Send + 'static,
    ) -> Result<T, LedgerError> {
        let mut tries = 1;
        loop {
            let (slot, work) = Work::new(work.clone());
            match self.store.write(flush, work).await {
                Ok(()) => return slot.take(),
                Err(problem) if problem.may_repeat(tries) => tries += 1,
                Err(problem) => return Err(problem),
            }
        }
    }
}

/// How much a [`Ledger`] has written since it was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct LedgerStats {
    /// Transactions that were committed.
    pub transactions: u64,
    /// Those of them that waited for the disk.
    pub flushes: u64,
    /// Statements in transactions, those that begin and end one not counted.
    pub statements: u64,
}

impl LedgerStats {
    fn of(stats: &Stats) -> Self {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Self {
            transactions: of(&stats.transactions),
            flushes: of(&stats.flushes),
            statements: of(&stats.statements),
        }
    }
}

impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ledger")
            .field("store", &self.store)
            .field("worker", &self.worker())
            .field("lease", &self.lease)
            .finish_non_exhaustive()
    }
}
