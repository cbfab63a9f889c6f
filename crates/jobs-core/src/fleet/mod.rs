//! Any number of jobs at once: one task for each account, compact entries, batched looks.

mod backlog;
mod bell;
mod book;
mod desk;
mod flights;
mod gate;
mod look;
mod meter;
mod order;
mod outlines;
mod plan;
mod wheel;

use std::collections::HashMap;
use std::fmt;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

pub use self::backlog::{Ends, News, Unwatched};

use self::backlog::Backlog;
use self::book::{Book, Names};
use self::desk::Desk;
use self::look::Wrapped;
use crate::id::{Account, JobId};
use crate::job::Job;
use crate::kind::JobKind;
use crate::poller::{Past, Patience};
use crate::ticket::Ticket;

/// The bounds of a fleet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct FleetSettings {
    /// How many jobs may be watched at once; a million takes about 120 MB. A million unless set.
    pub capacity: usize,
    /// With so many news not yet taken, no further look begins. Looks in flight still end, so that it is exceeded by
    /// them at most. 1024 unless set.
    pub backlog: usize,
    /// How many looks of one account may be in flight, each at one batch; at most 64. 32 unless set.
    pub window: u32,
    /// Where chance begins: the same seed spreads pauses in the same way.
    pub seed: u64,
}

impl Default for FleetSettings {
    fn default() -> Self {
        Self {
            capacity: 1_000_000,
            backlog: 1024,
            window: 32,
            seed: 0,
        }
    }
}

impl FleetSettings {
    /// Sets how many jobs may be watched at once.
    #[must_use]
    pub fn with_capacity(mut self, jobs: usize) -> Self {
        self.capacity = jobs;
        self
    }

    /// Sets how many news may wait for the consumer.
    #[must_use]
    pub fn with_backlog(mut self, news: usize) -> Self {
        self.backlog = news;
        self
    }

    /// Sets how many looks of one account may be in flight, 1 to 64.
    #[must_use]
    pub fn with_window(mut self, looks: u32) -> Self {
        self.window = looks.clamp(1, flights::MOST);
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
/// Each job is waited for by the same rules as [`Job::wait`], looked at together with others where its kind takes
/// several ids at once, and ends once, in [`Ends`]. `O` is what all kinds' outputs are turned into by their
/// [`Lane`]s. Clones are the same fleet.
///
/// An account's looks in flight are bounded by a window that grows with its answers, is halved when the vendor says
/// "too many", and closes in an outage until a single look has found the vendor back. A kind's `observe` that panics is
/// a failed look of the jobs it was asked for, and of no other.
pub struct Fleet<O> {
    shared: Arc<Shared<O>>,
}

struct Shared<O> {
    settings: FleetSettings,
    backlog: Arc<Backlog<O>>,
    desks: Mutex<Desks<O>>,
}

/// By vendor and account.
type Desks<O> = HashMap<(&'static str, Account), Arc<Desk<O>>>;

impl<O> Drop for Shared<O> {
    fn drop(&mut self) {
        self.backlog.close();
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
            .field("settings", &self.shared.settings)
            .field("backlog", &self.shared.backlog)
            .finish_non_exhaustive()
    }
}

impl<O: Send + 'static> Fleet<O> {
    /// A fleet without jobs, and where their ends come out.
    pub fn new(settings: FleetSettings) -> (Self, Ends<O>) {
        let settings = settings.with_window(settings.window);
        let backlog = Arc::new(Backlog::new(settings.backlog, settings.capacity));
        let ends = Ends {
            backlog: Arc::clone(&backlog),
        };
        let shared = Shared {
            settings,
            backlog,
            desks: Mutex::default(),
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
    pub fn lane<K: JobKind + ?Sized + 'static>(
        &self,
        kind: Arc<K>,
        wrap: impl Fn(K::Output) -> O + Send + Sync + 'static,
    ) -> Lane<K> {
        let names = Names {
            vendor: kind.vendor(),
            kind: kind.name(),
            account: kind.account(),
        };
        let desk = {
            let mut desks = self
                .shared
                .desks
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            let desk = desks
                .entry((names.vendor, names.account))
                .or_insert_with(|| {
                    Arc::new(Desk::new(
                        Arc::clone(kind.clock()),
                        Arc::clone(&self.shared.backlog),
                        self.shared.settings,
                    ))
                });
            Arc::clone(desk)
        };
        let facts = kind.facts().clone();
        let number = desk.open(Arc::new(Wrapped { kind, wrap }), names, facts);
        Lane {
            desk: Arc::new(Entrance {
                desk,
                _shared: Arc::clone(&self.shared),
            }),
            names,
            number,
            kind: PhantomData,
        }
    }

    /// Looks at a job of `vendor` as soon as the floor and the vendor's hints allow; for a webhook, which is not
    /// believed. Whether it is watched.
    pub fn nudge(&self, vendor: &str, id: &JobId) -> bool {
        let mut known = false;
        for desk in self.desks(|name| name == vendor) {
            known |= desk.nudge(None, id);
        }
        known
    }

    /// Begins no more looks, drops those in flight, and hands back the tickets of all jobs that have not ended. Ends
    /// that were not taken yet can still be taken.
    pub fn stop(&self) -> Unfinished {
        self.shared.backlog.stop();
        let books: Vec<Book> = self
            .desks(|_| true)
            .iter()
            .map(|desk| desk.stop())
            .collect();
        let jobs = books.iter().map(Book::watched).sum();
        self.shared.backlog.dismiss(jobs);
        Unfinished { books, slot: 0 }
    }

    /// How many jobs are watched.
    pub fn len(&self) -> usize {
        self.shared.backlog.jobs()
    }

    /// Whether no job is watched.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The heap that the entries of the watched jobs, their ids and the tables of them take, in bytes.
    pub fn bytes(&self) -> usize {
        self.desks(|_| true).iter().map(|desk| desk.bytes()).sum()
    }

    fn desks(&self, of: impl Fn(&str) -> bool) -> Vec<Arc<Desk<O>>> {
        let desks = self
            .shared
            .desks
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        desks
            .iter()
            .filter(|((vendor, _), _)| of(vendor))
            .map(|(_, desk)| Arc::clone(desk))
            .collect()
    }
}

/// The way into a fleet for jobs of one kind. Clones are the same lane.
///
/// A fleet takes jobs as long as it or one of its lanes is there.
pub struct Lane<K: ?Sized> {
    desk: Arc<dyn Enter>,
    names: Names,
    number: u16,
    kind: PhantomData<fn(&K)>,
}

impl<K: ?Sized> Clone for Lane<K> {
    fn clone(&self) -> Self {
        Self {
            desk: Arc::clone(&self.desk),
            names: self.names,
            number: self.number,
            kind: PhantomData,
        }
    }
}

impl<K: ?Sized> fmt::Debug for Lane<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Lane({} {})", self.names.vendor, self.names.kind)
    }
}

impl<K: JobKind + ?Sized> Lane<K> {
    /// Also reports looks that found a job unfinished or failed, of this lane and its clones. They are left out while
    /// the consumer lags; ends never are.
    #[must_use]
    pub fn with_looks(self) -> Self {
        self.desk.with_looks(self.number);
        self
    }

    /// Waits for `job`; its end comes out of [`Ends`]. Sends nothing by itself.
    ///
    /// The floor counts from the last look that the job's handle knows of, and from the fleet's own. It is not to be
    /// waited for elsewhere at the same time.
    ///
    /// # Errors
    /// [`Unwatched`]: it is watched already, the fleet is full or stopped, or the job is not of this lane's kind.
    pub fn watch(&self, job: &Job<K>, patience: impl Into<Patience>) -> Result<(), Unwatched> {
        let kind = job.kind();
        let names = Names {
            vendor: kind.vendor(),
            kind: kind.name(),
            account: kind.account(),
        };
        if names != self.names {
            return Err(Unwatched::Foreign);
        }
        self.desk
            .watch(self.number, job.id(), job.past(), patience.into())
    }

    /// Looks at a job as soon as the floor and the vendor's hints allow; for a webhook, which is not believed. Whether
    /// it is watched.
    pub fn nudge(&self, id: &JobId) -> bool {
        self.desk.nudge(self.names.kind, id)
    }

    /// Waits for a job no longer, and reports no end. It goes on at the vendor. Whether it was watched.
    pub fn forget(&self, id: &JobId) -> bool {
        self.desk.forget(self.names.kind, id)
    }
}

/// A desk as a lane sees it, whatever the fleet's outputs are.
trait Enter: Send + Sync {
    fn with_looks(&self, lane: u16);
    fn watch(
        &self,
        lane: u16,
        id: &JobId,
        past: (Past, SystemTime),
        patience: Patience,
    ) -> Result<(), Unwatched>;
    fn nudge(&self, kind: &str, id: &JobId) -> bool;
    fn forget(&self, kind: &str, id: &JobId) -> bool;
}

struct Entrance<O> {
    desk: Arc<Desk<O>>,
    /// Keeps the fleet open.
    _shared: Arc<Shared<O>>,
}

impl<O: Send + 'static> Enter for Entrance<O> {
    fn with_looks(&self, lane: u16) {
        self.desk.with_looks(lane);
    }

    fn watch(
        &self,
        lane: u16,
        id: &JobId,
        past: (Past, SystemTime),
        patience: Patience,
    ) -> Result<(), Unwatched> {
        self.desk.watch(lane, id, past, patience)
    }

    fn nudge(&self, kind: &str, id: &JobId) -> bool {
        self.desk.nudge(Some(kind), id)
    }

    fn forget(&self, kind: &str, id: &JobId) -> bool {
        self.desk.forget(kind, id)
    }
}

/// The tickets of the jobs that a stopped fleet had not seen end.
#[derive(Debug)]
pub struct Unfinished {
    books: Vec<Book>,
    slot: u32,
}

impl Iterator for Unfinished {
    type Item = Ticket;

    fn next(&mut self) -> Option<Ticket> {
        loop {
            let book = self.books.last()?;
            if self.slot >= book.slots() {
                self.books.pop();
                self.slot = 0;
                continue;
            }
            let slot = self.slot;
            self.slot += 1;
            if book.is_watched(slot) {
                return book.ticket(slot);
            }
        }
    }
}
