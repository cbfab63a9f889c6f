//! The worker's loop: claims what is due, has it polled, fetches results, and records each step.

use std::collections::{HashMap, HashSet, VecDeque};
use std::path::{Component, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use jobs_core::clock::{Clock, Moment};
use jobs_core::fleet::{Fleet, FleetEvent};
use jobs_core::vendor::{Account, Delivery};
use jobs_core::{Error, ErrorKind, JobId, WaitError, WaitErrorKind, WaitOptions};
use jobs_ledger::{
    Claim, ClaimKey, ClaimUpdate, Claimed, Due, JobFilter, JobRecord, LedgerId, Note, ParkReason,
    PollRecord, Stage, at,
};
use serde_json::Value;
use tokio::task::{AbortHandle, JoinError, JoinSet};

use super::entry::Entry;
use super::source::Source;
use super::work_item::{Outcome, WorkClass, WorkItem, WorkerContext};
use super::{WorkerConfig, WorkerReport};
use crate::deliveries::is_reopened;
use crate::durable_steps::{FetchOutcome, SearchOutcome, units};
use crate::dyn_handler::DynSubmitOutcome;
use crate::error::{ErrorCategory, RunnerError, RunnerErrorKind};
use crate::fleet_lane::FetchTask;
use crate::observer::{JobLabel, RunnerEvent};
use crate::options::{RunOptions, RunOutcome};
use crate::output::DeliveredOutput;
use crate::policy::{self, NextFetch};
use crate::poll_model::PollModel;

/// How many submits, searches and downloads of one account go on at once: results that come slowly keep no other account
/// waiting. Polls are the scheduler's.
const TASKS: usize = 16;
/// How many of them may be paid calls: so many jobs are in doubt if the worker is killed.
const PAID_CALLS: usize = 4;
/// How many jobs are claimed in one go.
const BATCH: usize = 256;
/// How many times the first pause a job may be due later for a worker to wait for it that ends when nothing can be done:
/// a quarter of an hour.
const SOON: u32 = 30;
/// For how long writes are gathered into one.
const GATHER: Duration = Duration::from_millis(50);
/// How often work is looked for when nobody says that there is some.
const IDLE: Duration = Duration::from_secs(1);
/// How often a worker tells that it is alive.
const SEEN: Duration = Duration::from_secs(15);

/// One worker's jobs, and what it does with them.
pub(super) struct RunLoop {
    worker: WorkerContext,
    fleet: Fleet<FetchTask>,
    entries: Vec<Entry>,
    models: Vec<PollModel>,
    config: WorkerConfig,
    source: Source,
    /// What is due later is not waited for by a worker that ends when nothing can be done.
    soon: Duration,
    /// Everything that is claimed, so that it is renewed and released together.
    claims: HashMap<LedgerId, ClaimKey>,
    watched: HashMap<RemoteKey, Watched>,
    queue: VecDeque<WorkItem>,
    running: JoinSet<(LedgerId, Result<Outcome, RunnerError>)>,
    /// Which job each of them is at, and what for.
    tasks: HashMap<LedgerId, (AbortHandle, WorkClass, Account)>,
    /// How often a job was tried in vain, and how that would end a run of it alone.
    troubles: HashMap<LedgerId, (u32, ErrorCategory)>,
    /// Jobs whose result found no room on the disk while others came: it is fetched when no other one is.
    alone: HashSet<LedgerId>,
    /// When given jobs are given up, by the clocks of their handlers.
    deadlines: HashMap<LedgerId, (Arc<dyn Clock>, Moment)>,
    /// Accounts for which nothing new is bought, because the vendor refuses their credentials or their quota is used up.
    /// Only where the worker has a given set of jobs; else it tries again later.
    refused: HashMap<Account, ErrorCategory>,
    /// The worst end of the jobs that are over.
    worst: Option<ErrorCategory>,
    settles: Vec<ClaimUpdate>,
    /// Jobs that were polled since it was recorded last.
    polled: HashSet<RemoteKey>,
    /// What was answered to polls and not understood, not recorded yet.
    not_understood: Vec<(ClaimKey, Error)>,
    stopping: bool,
}

/// A job at its vendor.
type RemoteKey = (&'static str, &'static str, JobId);

/// A job that the scheduler polls.
struct Watched {
    claim: Claim<at::Accepted>,
    entry: Entry,
    output: Option<PathBuf>,
    format: Option<&'static str>,
    /// What the latest poll saw.
    status: Option<Box<str>>,
    /// What the latest poll did not understand.
    not_understood: Option<Box<str>>,
}

/// What the record of a job says that is to be watched.
struct Recorded {
    output: Option<PathBuf>,
    format: Option<String>,
    status: Option<Box<str>>,
}

impl Recorded {
    fn of(row: JobRecord, output: Option<PathBuf>) -> Self {
        Self {
            output,
            format: row.format,
            status: row.vendor_status.map(Into::into),
        }
    }
}

impl RunLoop {
    pub(super) fn new(
        worker: WorkerContext,
        fleet: Fleet<FetchTask>,
        entries: Vec<Entry>,
        models: Vec<PollModel>,
        mut config: WorkerConfig,
    ) -> Self {
        // A job that another worker holds is due when its lease ends, however fast the vendors' clocks run.
        let soon = (config.retry_interval * SOON).max(worker.context.ledger.lease() * 2);
        let source = Source::new(config.only.take());
        Self {
            worker,
            fleet,
            entries,
            models,
            config,
            source,
            soon,
            claims: HashMap::new(),
            watched: HashMap::new(),
            queue: VecDeque::new(),
            running: JoinSet::new(),
            tasks: HashMap::new(),
            troubles: HashMap::new(),
            alone: HashSet::new(),
            deadlines: HashMap::new(),
            refused: HashMap::new(),
            worst: None,
            settles: Vec::new(),
            polled: HashSet::new(),
            not_understood: Vec::new(),
            stopping: false,
        }
    }

    /// Works until told to end, or until nothing is left to do; then gives everything back.
    pub(super) async fn run(
        mut self,
        shutdown: impl Future<Output = ()>,
    ) -> Result<WorkerReport, RunnerError> {
        let accounts = self.accounts();
        let ends_when_idle = self.config.until_idle || self.source.is_given();
        if !self.source.is_given() {
            self.retake(&accounts).await;
        }
        let ledger = self.worker.context.ledger.clone();
        let clock = Arc::clone(ledger.clock());
        let mut shutdown = pin!(shutdown);
        let mut poll_for_work = clock.now();
        let mut renew = clock.now() + ledger.lease() / 3;
        let mut flush = clock.now();
        let (mut wake, mut seen) = (clock.now(), clock.now());
        let mut was_shut_down = false;
        let mut was_idle = true;
        loop {
            let is_idle = ends_when_idle && self.is_idle();
            // Right after its last job it ends without another look.
            if is_idle && !was_idle && self.nothing_left(&accounts).await {
                break;
            }
            was_idle = is_idle;
            let free = self.config.capacity.saturating_sub(self.claims.len());
            let open = self.with_room(&accounts);
            if !open.is_empty() && free > 0 && clock.now() >= poll_for_work {
                let taken = self.take_up(&open, free.min(BATCH)).await;
                let pause = if taken == 0 { IDLE } else { Duration::ZERO };
                poll_for_work = clock.now() + pause;
                if taken == 0
                    && ends_when_idle
                    && self.is_idle()
                    && self.nothing_left(&accounts).await
                {
                    break;
                }
            }
            self.start_tasks().await;
            let may_take =
                !self.with_room(&accounts).is_empty() && self.claims.len() < self.config.capacity;
            tokio::select! {
                () = &mut shutdown => {
                    was_shut_down = true;
                    break;
                }
                Some(event) = self.fleet.next_event() => self.hear(event),
                Some(done) = self.running.join_next() => self.finished(done).await,
                () = clock.sleep_until(flush), if self.has_news() => {
                    self.settle().await;
                    flush = clock.now() + GATHER;
                }
                () = clock.sleep_until(renew) => {
                    self.renew().await;
                    self.keep_models().await;
                    renew = clock.now() + ledger.lease() / 3;
                }
                () = clock.sleep_until(seen) => {
                    self.seen().await;
                    seen = clock.now() + SEEN;
                }
                () = ledger.wait_for_work(wake) => {
                    self.poll_requested().await;
                    wake = clock.now() + IDLE;
                    if may_take {
                        poll_for_work = clock.now();
                    }
                }
            }
        }
        let given_back = self.close().await;
        let worst = if was_shut_down {
            self.worst
        } else {
            self.verdict(&accounts).await
        };
        Ok(WorkerReport {
            worst,
            given_back,
            was_shut_down,
        })
    }

    /// Other processes see that this worker is alive.
    async fn seen(&self) {
        let context = &self.worker.context;
        if let Err(problem) = context.ledger.worker_seen(self.claims.len()).await {
            context.ledger_trouble(&problem);
        }
    }

    /// Brings polls forward that somebody wants sooner, such as for a webhook that another process has received.
    async fn poll_requested(&self) {
        let context = &self.worker.context;
        let wanted: HashSet<LedgerId> = match context.ledger.take_poll_requests().await {
            Ok(jobs) => jobs.into_iter().collect(),
            Err(problem) => return context.ledger_trouble(&problem),
        };
        if wanted.is_empty() {
            return;
        }
        for ((_, _, id), watched) in &self.watched {
            if wanted.contains(&watched.claim.job()) {
                watched.entry.lane.poll_soon(id);
            }
        }
    }

    /// Parked jobs are tried again whose cause may be gone, such as a folder that was missing.
    async fn retake(&self, accounts: &[Account]) {
        let context = &self.worker.context;
        if let Err(problem) = context.ledger.unpark(accounts, ParkReason::RETRIED).await {
            context.ledger_trouble(&problem);
        }
    }

    /// The accounts for which more work can be queued.
    fn with_room(&self, accounts: &[Account]) -> Vec<Account> {
        let queued = |account: &&Account| {
            let of_it = self.queue.iter().filter(|item| item.account() == **account);
            of_it.count() < TASKS
        };
        accounts.iter().filter(queued).copied().collect()
    }

    fn accounts(&self) -> Vec<Account> {
        let mut accounts: Vec<Account> = self.entries.iter().map(Entry::account).collect();
        accounts.dedup();
        accounts
    }

    fn has_news(&self) -> bool {
        !self.settles.is_empty() || !self.polled.is_empty() || !self.not_understood.is_empty()
    }

    fn is_idle(&self) -> bool {
        self.claims.is_empty() && self.running.is_empty() && !self.has_news()
    }

    /// Whether nothing can be done before long.
    async fn nothing_left(&self, accounts: &[Account]) -> bool {
        if self.source.is_given() {
            return self.source.is_empty();
        }
        let ledger = &self.worker.context.ledger;
        match ledger.next_due(accounts).await {
            Ok(None) => true,
            Ok(Some(due)) => due > ledger.clock().wall() + self.soon,
            Err(_) => false,
        }
    }

    /// Claims what is due; says how many jobs that were.
    async fn take_up(&mut self, accounts: &[Account], limit: usize) -> usize {
        let deadlines = &self.deadlines;
        self.source.hurry(|job| {
            let deadline = deadlines.get(&job);
            deadline.is_some_and(|(clock, at)| clock.now() >= *at)
        });
        if self.config.until_accepted {
            self.leave_accepted(limit).await;
        }
        let claimed = match self
            .source
            .claim(&self.worker.context, accounts, limit)
            .await
        {
            Ok(claimed) => claimed,
            Err(error) => {
                self.worker.context.ledger_trouble(&error);
                return 0;
            }
        };
        for error in self.source.ended_elsewhere() {
            self.worst = Some(ErrorCategory::worse(self.worst, error));
        }
        let count = claimed.len();
        // What was still at hand has outlasted its lease, as when the ledger could not be reached or the machine slept.
        let again = claimed.iter().map(|claimed| claimed.job().id);
        let again: Vec<LedgerId> = again.filter(|job| self.claims.contains_key(job)).collect();
        self.lose(&again);
        for claimed in claimed {
            let job = claimed.job().id;
            self.claims.insert(job, claimed.key());
            if self.tasks.contains_key(&job) {
                // It ends first: its claim is no longer good for anything.
                let due = self.later(job, ErrorCategory::Unfinished);
                self.give_back(job, due).await;
                continue;
            }
            match self.entry_of(claimed.job()) {
                Some(entry) => self.assign(entry, claimed).await,
                None => {
                    let row = claimed.job();
                    let error = RunnerError::new(RunnerErrorKind::NoHandler {
                        vendor: row.vendor.as_str().into(),
                        kind: row.kind.as_str().into(),
                    })
                    .of_job(row.id);
                    let id = row.id;
                    let until = self.worker.context.ledger.clock().wall() + self.soon * 2;
                    self.troubles.insert(id, (1, error.category()));
                    self.delayed(id, &error, until);
                    self.give_back(id, Due::At(until)).await;
                }
            }
        }
        count
    }

    /// Leaves the jobs that a vendor has to others, also those that another process is at.
    async fn leave_accepted(&mut self, limit: usize) {
        loop {
            let context = &self.worker.context;
            let jobs = self.source.next(context.ledger.clock().wall(), limit);
            let rows = match context.ledger.get_many(&jobs).await {
                Ok(rows) => rows,
                Err(error) => return context.ledger_trouble(&error),
            };
            let is_told = |row: &&JobRecord| self.tell_accepted(row);
            let accepted: HashSet<LedgerId> =
                rows.iter().filter(is_told).map(|row| row.id).collect();
            if accepted.is_empty() {
                return;
            }
            self.source.leave(&accepted);
        }
    }

    /// Tells of a job that its vendor has, and says whether it does.
    fn tell_accepted(&self, row: &JobRecord) -> bool {
        let is_at_vendor = !row.stage.is_settled() || row.stage == Stage::Completed;
        let (Some(entry), Some(id), Some(ticket), true) = (
            self.entry_of(row),
            row.remote_id.clone(),
            row.ticket(),
            is_at_vendor,
        ) else {
            return false;
        };
        let label = label(row.id, &entry, id);
        self.worker.context.event(&RunnerEvent::Accepted {
            job: &label,
            ticket: &ticket,
        });
        true
    }

    async fn assign(&mut self, entry: Entry, claimed: Claimed) {
        let is_submit = matches!(claimed, Claimed::Intended(..) | Claimed::InDoubt(..));
        if self.config.until_accepted && !is_submit {
            let row = claimed.job();
            self.tell_accepted(row);
            return self.give_back(row.id, Due::Now).await;
        }
        if self.was_completed(claimed.job()).await {
            return;
        }
        if self.config.polls_only {
            return match claimed {
                Claimed::Accepted(claim, row) if !entry.handler.polls_cost() => {
                    self.watch(entry, claim, row).await;
                }
                // Another step's affair.
                other => self.give_back(other.job().id, Due::Now).await,
            };
        }
        let format = entry.handler.format_of(claimed.job().format.as_deref());
        let is_withheld = |row: &JobRecord| row.remote_id.is_some() && !row.allows_fetch(format);
        if entry.handler.polls_cost() || is_withheld(claimed.job()) {
            let row = claimed.job();
            let path = self.place_of(row.id, self.output_of(row), row.format.as_deref(), &entry);
            let options = RunOptions::default()
                .accepting_unverified(self.config.accept_unverified)
                .until_accepted(self.config.until_accepted)
                .with_shutdown(self.worker.shutdown.clone());
            let tries = self.troubles.get(&row.id).map_or(0, |(tries, _)| *tries);
            let retry_after = policy::retry_delay(self.config.retry_interval, tries + 1);
            let alone = WorkItem::Alone(entry, Box::new(claimed), path, options, retry_after);
            self.queue.push_back(alone);
            return;
        }
        match claimed {
            Claimed::Intended(claim, row) => {
                self.queue
                    .push_back(WorkItem::Submit(entry, claim, Box::new(row), None));
            }
            Claimed::InDoubt(claim, row) => {
                let lost = entry.handler.lost_submit(&row);
                self.queue
                    .push_front(WorkItem::Search(entry, claim, Box::new(row), lost));
            }
            Claimed::Accepted(claim, row) => self.watch(entry, claim, row).await,
            claimed => {
                let row = claimed.job();
                let path =
                    self.place_of(row.id, self.output_of(row), row.format.as_deref(), &entry);
                self.queue
                    .push_front(WorkItem::Recover(entry, Box::new(claimed), path));
            }
        }
    }

    /// Whether the job was completed before and taken up once more by a process that is gone: it is completed as it was.
    async fn was_completed(&mut self, row: &JobRecord) -> bool {
        let context = self.worker.context.clone();
        // A result that got a name was verified before.
        if row.verified.is_none() || !matches!(is_reopened(&context.ledger, row).await, Ok(true)) {
            return false;
        }
        self.give_back(row.id, Due::Now).await;
        let completed = match context.ledger.complete_again(row.id).await {
            Ok(_) => context.ledger.get(row.id).await,
            Err(problem) => Err(problem),
        };
        match completed {
            Ok(Some(job)) if job.stage.is_settled() => {
                context.event(&RunnerEvent::SettledElsewhere(&job));
            }
            Ok(_) => self.source.again(row.id, SystemTime::UNIX_EPOCH),
            Err(problem) => {
                self.source.again(row.id, SystemTime::UNIX_EPOCH);
                context.ledger_trouble(&problem);
            }
        }
        true
    }

    fn entry_of(&self, row: &JobRecord) -> Option<Entry> {
        self.entries
            .iter()
            .find(|entry| entry.handler.serves(row))
            .cloned()
    }

    /// When a given job is given up: it counts from its submit, or from when it is first polled here.
    fn deadline_of(&mut self, entry: &Entry, job: LedgerId) -> Option<Moment> {
        if !self.source.is_given() {
            return None;
        }
        let clock = entry.handler.clock();
        let ends = clock.now() + self.config.max_wait;
        let (_, at) = self.deadlines.entry(job).or_insert((clock, ends));
        Some(*at)
    }

    /// How long a job may still take.
    fn time_left(&mut self, entry: &Entry, job: LedgerId) -> Duration {
        let deadline = self.deadline_of(entry, job);
        deadline.map_or(self.config.max_wait, |at| {
            at.since(entry.handler.clock().now())
        })
    }

    async fn watch(&mut self, entry: Entry, claim: Claim<at::Accepted>, row: JobRecord) {
        let patience = WaitOptions::new(self.time_left(&entry, row.id));
        let watched = entry.lane.watch(&self.worker.context, &row, patience);
        let id = row.remote_id.clone();
        let output = self.output_of(&row);
        self.watched(entry, claim, id, Recorded::of(row, output), watched)
            .await;
    }

    async fn watch_accepted(
        &mut self,
        entry: Entry,
        claim: Claim<at::Accepted>,
        id: JobId,
        row: JobRecord,
    ) {
        if self.config.until_accepted {
            self.claims.insert(claim.job(), claim.key());
            return self.give_back(claim.job(), Due::Now).await;
        }
        let patience = WaitOptions::new(self.time_left(&entry, row.id));
        let watched = entry.lane.watch_accepted(id.clone(), patience);
        let output = self.output_of(&row);
        let recorded = Recorded {
            status: None,
            ..Recorded::of(row, output)
        };
        self.watched(entry, claim, Some(id), recorded, watched)
            .await;
    }

    /// Keeps in mind what the scheduler polls, or gives it back when it does not.
    async fn watched(
        &mut self,
        entry: Entry,
        claim: Claim<at::Accepted>,
        id: Option<JobId>,
        recorded: Recorded,
        watched: Result<(), RunnerError>,
    ) {
        match (watched, id) {
            (Ok(()), Some(id)) => {
                self.claims.insert(claim.job(), claim.key());
                let key = (entry.handler.vendor(), entry.handler.kind(), id);
                let format = entry.handler.format_of(recorded.format.as_deref());
                let watched = Watched {
                    claim,
                    entry,
                    output: recorded.output,
                    format,
                    status: recorded.status,
                    not_understood: None,
                };
                self.watched.insert(key, watched);
            }
            (Err(_), _) if self.stopping => self.give_back(claim.job(), Due::Now).await,
            (Err(error), _) => {
                let job = claim.job();
                self.park(job, ParkReason::Unspecified, error.of_job(job))
                    .await;
            }
            (Ok(()), None) => {}
        }
    }

    /// The place on record, if it may be written to: given by this user on this machine, or below the folder for results.
    fn output_of(&self, row: &JobRecord) -> Option<PathBuf> {
        let is_below = |place: &PathBuf| {
            let climbs = place.components().any(|part| part == Component::ParentDir);
            !climbs && place.starts_with(&self.config.output_dir)
        };
        let own = self.worker.context.own_output(row);
        own.or_else(|| row.output.clone().filter(is_below))
    }

    /// Where the result of a job goes.
    fn place_of(
        &self,
        job: LedgerId,
        recorded: Option<PathBuf>,
        format: Option<&str>,
        entry: &Entry,
    ) -> PathBuf {
        recorded.unwrap_or_else(|| {
            let format = entry.handler.format_of(format);
            let extension = entry.handler.extension(format);
            self.config.output_dir.join(format!("{job}.{extension}"))
        })
    }

    async fn start_tasks(&mut self) {
        self.give_back_refused().await;
        loop {
            let mut busy: HashMap<Account, usize> = HashMap::new();
            let (mut paying, mut fetching, mut is_alone) = (0, 0, false);
            for (job, (_, class, account)) in &self.tasks {
                *busy.entry(*account).or_default() += 1;
                paying += usize::from(*class == WorkClass::PaidCall);
                fetching += usize::from(*class == WorkClass::Fetch);
                is_alone |= self.alone.contains(job);
            }
            let may_start = |item: &WorkItem| {
                let is_free = busy.get(&item.account()).is_none_or(|count| *count < TASKS);
                is_free
                    && match item.class() {
                        WorkClass::PaidCall => paying < PAID_CALLS,
                        WorkClass::Fetch if self.alone.contains(&item.job()) => fetching == 0,
                        WorkClass::Fetch => !is_alone,
                        WorkClass::Other => true,
                    }
            };
            let next = self.queue.iter().position(may_start);
            let Some(mut item) = next.and_then(|at| self.queue.remove(at)) else {
                return;
            };
            match &mut item {
                WorkItem::Submit(entry, claim, _, deadline) => {
                    *deadline = self.deadline_of(entry, claim.job());
                    if deadline.is_some_and(|at| entry.handler.clock().now() >= at) {
                        self.submit_overdue(entry, claim).await;
                        continue;
                    }
                }
                WorkItem::Alone(entry, claimed, _, options, _) => {
                    options.deadline = self.time_left(entry, claimed.job().id);
                }
                _ => {}
            }
            let (id, class, account) = (item.job(), item.class(), item.account());
            let worker = self.worker.clone();
            let task = self
                .running
                .spawn(async move { (id, item.run(&worker).await) });
            self.tasks.insert(id, (task, class, account));
        }
    }

    /// A job that was tried in vain until its deadline is over: who is told so is not to find it bought later.
    async fn submit_overdue(&mut self, entry: &Entry, claim: &Claim<at::Intended>) {
        let job = claim.job();
        self.claims.remove(&job);
        let error = Error::new(ErrorKind::Timeout, entry.handler.vendor(), "submit")
            .with_delivery(Delivery::NotSent)
            .with_message("the deadline passed before another try")
            .with_help("nothing was sent");
        let note = Note::from(&error);
        let category = ErrorCategory::of_rejection(&error);
        self.worst = Some(ErrorCategory::worse(self.worst, category));
        let error = RunnerError::new(RunnerErrorKind::Rejected(error)).of_job(job);
        let context = &self.worker.context;
        context.event(&RunnerEvent::Ended { job, error: &error });
        if let Err(problem) = context.ledger.record_rejected(claim, note).await {
            context.ledger_trouble(&problem);
        }
    }

    /// Nothing new is bought of an account that the vendor refuses.
    async fn give_back_refused(&mut self) {
        if self.refused.is_empty() {
            return;
        }
        let refused = &self.refused;
        let mut given_back = Vec::new();
        self.queue.retain(|item| {
            let category = refused.get(&item.account());
            match (item, category) {
                (WorkItem::Submit(..), Some(category)) => {
                    given_back.push((item.job(), *category));
                    false
                }
                _ => true,
            }
        });
        for (job, category) in given_back {
            self.troubles.insert(job, (1, category));
            self.give_back(job, Due::Now).await;
        }
    }

    /// What the scheduler has to say about a job.
    fn hear(&mut self, news: FleetEvent<FetchTask>) {
        let (key, result) = match news {
            FleetEvent::Finished(done) => ((done.vendor, done.kind, done.id), done.result),
            FleetEvent::Progress {
                vendor,
                kind,
                id,
                snapshot,
                ..
            } => {
                let key = (vendor, kind, id);
                if let Some(watched) = self.watched.get_mut(&key) {
                    watched.status = Some(snapshot.vendor_status);
                    self.polled.insert(key);
                }
                return;
            }
            FleetEvent::PollFailed {
                vendor,
                kind,
                id,
                error,
                ..
            } => {
                // The same page for hours is one answer.
                if let Some(watched) = self.watched.get_mut(&(vendor, kind, id))
                    && error.body_excerpt().is_some()
                    && watched.not_understood.as_deref() != error.body_excerpt()
                {
                    watched.not_understood = error.body_excerpt().map(Into::into);
                    self.not_understood.push((watched.claim.key(), error));
                }
                return;
            }
            _ => return,
        };
        let Some((key, watched)) = self.watched.remove_entry(&key) else {
            return;
        };
        let Watched {
            claim,
            entry,
            output,
            format,
            ..
        } = watched;
        match result {
            Ok(_) if self.config.polls_only => {
                let job = claim.job();
                self.claims.remove(&job);
                let available = ClaimUpdate::available(claim, &Value::Null, Note::none());
                self.settles.push(available);
                self.worker.context.event(&RunnerEvent::Available(job));
            }
            Ok(fetch) => {
                let path = self.place_of(claim.job(), output, format, &entry);
                let fetch = WorkItem::Fetch(entry, claim, key.2, fetch, path, format);
                self.queue.push_front(fetch);
            }
            Err(end) => self.wait_ended(claim, end, entry.handler.charge_of_failed()),
        }
    }

    /// A wait that ended without a result.
    fn wait_ended(&mut self, claim: Claim<at::Accepted>, end: WaitError, failed: Option<u64>) {
        let job = claim.job();
        self.claims.remove(&job);
        if let WaitErrorKind::Unreachable(error) | WaitErrorKind::PollRejected(error) = end.kind() {
            self.not_understood.push((claim.key(), error.clone()));
        }
        let category = ErrorCategory::of_wait(&end);
        let note = Note::new(end.to_string());
        let settle = match end.kind() {
            WaitErrorKind::Failed(_) => {
                ClaimUpdate::failed(claim, note.with_credits(units(failed)))
            }
            WaitErrorKind::Expired | WaitErrorKind::Gone => ClaimUpdate::gone(claim, note),
            cause => {
                let is_over =
                    self.source.is_given() && matches!(cause, WaitErrorKind::DeadlineExceeded);
                let due = if is_over {
                    self.troubles.insert(job, (1, category));
                    Due::Now
                } else {
                    self.later(job, category)
                };
                ClaimUpdate::not_polled(claim, due)
            }
        };
        let is_settled = !end.is_resumable();
        let ticket = (!is_settled).then(|| end.ticket().clone());
        let error = RunnerError::new(RunnerErrorKind::Wait(end))
            .of_job(job)
            .with_ticket(ticket);
        if is_settled {
            self.worst = Some(ErrorCategory::worse(self.worst, category));
        }
        self.worker
            .context
            .event(&RunnerEvent::Ended { job, error: &error });
        self.settles.push(settle);
    }

    async fn finished(
        &mut self,
        done: Result<(LedgerId, Result<Outcome, RunnerError>), JoinError>,
    ) {
        let ended = match done {
            Ok((job, done)) => return self.continue_after(job, done).await,
            Err(ended) => ended,
        };
        let of_this = |(job, (task, ..)): (&LedgerId, &(AbortHandle, WorkClass, Account))| {
            (task.id() == ended.id()).then_some(*job)
        };
        let Some(job) = self.tasks.iter().find_map(of_this) else {
            return;
        };
        self.tasks.remove(&job);
        // A defect of ours, or of a library. The claim runs out, and whoever claims the job next finds it as it was left.
        self.claims.remove(&job);
        let error = RunnerError::unexpected(ended.to_string()).of_job(job);
        self.worker
            .context
            .event(&RunnerEvent::Dropped { job, error: &error });
    }

    /// Continues a job from where its task left it.
    async fn continue_after(&mut self, job: LedgerId, done: Result<Outcome, RunnerError>) {
        self.tasks.remove(&job);
        match done {
            Ok(Outcome::Submitted(entry, row, submitted)) => {
                self.submitted(job, entry, row, submitted).await;
            }
            Ok(Outcome::Searched(entry, row, _, SearchOutcome::Adopted(claim, id))) => {
                let label = label(job, &entry, id.clone());
                self.worker.context.event(&RunnerEvent::Adopted(&label));
                if self.config.until_accepted {
                    self.source.again(job, SystemTime::UNIX_EPOCH);
                }
                self.watch_accepted(entry, claim, id, *row).await;
            }
            Ok(Outcome::Searched(_, _, lost, SearchOutcome::InDoubt(_, candidates))) => {
                let unknown = RunnerErrorKind::OutcomeUnknown {
                    lost,
                    candidates,
                    interrupted: false,
                };
                let error = RunnerError::new(unknown).of_job(job);
                self.park(job, ParkReason::InDoubt, error).await;
            }
            Ok(Outcome::Recovered(entry, row, Some(claim))) => {
                self.watch(entry, claim, *row).await;
            }
            Ok(Outcome::Recovered(entry, row, None)) => {
                self.claims.remove(&job);
                if let (Some(id), Some(path)) = (row.remote_id, row.output) {
                    let output = DeliveredOutput::Copied(path);
                    self.completed(&label(job, &entry, id), &output);
                }
            }
            Ok(Outcome::Fetched(entry, id, fetched)) => {
                self.fetched(job, &entry, id, fetched).await
            }
            Ok(Outcome::RunAlone(outcome)) => {
                self.claims.remove(&job);
                if let RunOutcome::Completed(completed) = outcome {
                    self.completed(&completed.label, &completed.output);
                }
            }
            Ok(Outcome::RunAloneFailed(error)) => self.run_alone_failed(job, error).await,
            Ok(Outcome::NoTarget(error)) => {
                // The vendor has it: the place fails, not the job.
                let error = self.with_ticket(job, error).await;
                self.park(job, ParkReason::OutputPath, error).await;
            }
            // The claim is lost, or the ledger in trouble: whoever claims the job after its lease continues.
            Err(error) => {
                self.claims.remove(&job);
                self.worker
                    .context
                    .event(&RunnerEvent::Dropped { job, error: &error });
            }
        }
    }

    async fn with_ticket(&self, job: LedgerId, error: RunnerError) -> RunnerError {
        let row = self.worker.context.ledger.get(job).await;
        let ticket = row.ok().flatten().and_then(|row| row.ticket());
        error.of_job(job).with_ticket(ticket)
    }

    async fn submitted(
        &mut self,
        job: LedgerId,
        entry: Entry,
        row: Box<JobRecord>,
        submitted: DynSubmitOutcome,
    ) {
        match submitted {
            DynSubmitOutcome::Accepted(claim, label) => {
                self.watch_accepted(entry, claim, label.job_id, *row).await;
            }
            DynSubmitOutcome::Rejected(claim, error) => {
                self.rejected(entry.account(), &claim, error).await;
            }
            DynSubmitOutcome::Unknown(claim, lost) => {
                self.claims.insert(job, claim.key());
                self.queue
                    .push_front(WorkItem::Search(entry, claim, row, lost));
            }
            DynSubmitOutcome::OverBudget(over) => {
                self.claims.remove(&job);
                let until = over.until();
                let error = RunnerError::new(RunnerErrorKind::OverBudget(over)).of_job(job);
                self.troubles.insert(job, (1, error.category()));
                if self.source.is_given() {
                    self.refused.insert(entry.account(), error.category());
                }
                let event = match until {
                    Some(until) => RunnerEvent::Delayed {
                        job,
                        error: &error,
                        until,
                    },
                    None => RunnerEvent::Parked { job, error: &error },
                };
                self.worker.context.event(&event);
            }
            DynSubmitOutcome::NotReady(error) => {
                let error = RunnerError::from(error).of_job(job);
                self.park(job, ParkReason::InputFile, error).await;
            }
        }
    }

    async fn fetched(&mut self, job: LedgerId, entry: &Entry, id: JobId, fetched: FetchOutcome) {
        match fetched {
            FetchOutcome::Completed(delivered) => {
                self.claims.remove(&job);
                self.completed(&label(job, entry, id), &delivered);
            }
            FetchOutcome::Unverified(error, kept) => {
                let error = RunnerError::new(RunnerErrorKind::Unverified {
                    reason: error.to_string(),
                    kept: Some(kept),
                })
                .of_job(job);
                self.park(job, ParkReason::UnverifiedResult, error).await;
            }
            FetchOutcome::Failed(_, error) => {
                let next = policy::next_fetch(&error, 1, Duration::MAX);
                let has_no_room = policy::has_no_room(&error);
                let error = RunnerError::new(RunnerErrorKind::NotFetched(error)).of_job(job);
                match next {
                    // What filled the disk may have been another download: once more, alone.
                    NextFetch::Park if !has_no_room || !self.alone.insert(job) => {
                        self.park(job, ParkReason::OutputPath, error).await;
                    }
                    // Whatever the storage says, a fresh link may bring it.
                    _ => {
                        let due = self.later(job, error.category());
                        if let Due::At(until) = due {
                            self.delayed(job, &error, until);
                        }
                        self.give_back(job, due).await;
                    }
                }
            }
        }
    }

    fn completed(&mut self, job: &JobLabel, output: &DeliveredOutput) {
        self.troubles.remove(&job.id);
        self.alone.remove(&job.id);
        self.worker
            .context
            .event(&RunnerEvent::Completed { job, output });
    }

    /// A job that was run alone has been released, parked or settled by its run.
    async fn run_alone_failed(&mut self, job: LedgerId, error: RunnerError) {
        self.claims.remove(&job);
        let category = error.category();
        let row = self.worker.context.ledger.get(job).await.ok().flatten();
        let is_settled = row.as_ref().is_some_and(|row| row.stage.is_settled());
        let is_parked = row.is_some_and(|row| row.parked.is_some());
        let event = if is_settled {
            self.worst = Some(ErrorCategory::worse(self.worst, category));
            RunnerEvent::Ended { job, error: &error }
        } else if is_parked {
            self.troubles.insert(job, (1, category));
            RunnerEvent::Parked { job, error: &error }
        } else if self.stopping {
            RunnerEvent::Dropped { job, error: &error }
        } else {
            let Due::At(until) = self.later(job, category) else {
                return;
            };
            RunnerEvent::Delayed {
                job,
                error: &error,
                until,
            }
        };
        self.worker.context.event(&event);
    }

    /// Nothing was bought. What can pass is tried again, the rest is over.
    async fn rejected(&mut self, account: Account, claim: &Claim<at::Submitting>, error: Error) {
        let job = claim.job();
        self.claims.remove(&job);
        let category = ErrorCategory::of_rejection(&error);
        let ledger = self.worker.context.ledger.clone();
        let (kind, note) = (error.kind(), Note::from(&error));
        let error = RunnerError::new(RunnerErrorKind::Rejected(error)).of_job(job);
        let is_overdue = (self.deadlines.get(&job))
            .is_some_and(|(clock, at)| kind == ErrorKind::Timeout && clock.now() >= *at);
        let is_over = is_overdue
            || matches!(
                kind,
                ErrorKind::InvalidInput
                    | ErrorKind::Refused
                    | ErrorKind::NotFound
                    | ErrorKind::TooLarge
            );
        let recorded = if is_over {
            self.worst = Some(ErrorCategory::worse(self.worst, category));
            let event = RunnerEvent::Ended { job, error: &error };
            self.worker.context.event(&event);
            ledger.record_rejected(claim, note).await
        } else {
            let is_refused = matches!(
                category,
                ErrorCategory::Unauthenticated | ErrorCategory::QuotaExceeded
            );
            let due = if self.stopping {
                Due::Now
            } else if self.source.is_given() && is_refused {
                self.refused.insert(account, category);
                self.troubles.insert(job, (1, category));
                Due::Now
            } else {
                self.later(job, category)
            };
            match due {
                Due::At(until) => self.delayed(job, &error, until),
                _ if self.stopping => {}
                _ => {
                    let event = RunnerEvent::Ended { job, error: &error };
                    self.worker.context.event(&event);
                }
            }
            ledger.record_not_sent(claim, due, note).await
        };
        if let Err(problem) = recorded {
            self.worker.context.ledger_trouble(&problem);
        }
    }

    /// When a job is tried again that could not be done: later each time.
    fn later(&mut self, job: LedgerId, category: ErrorCategory) -> Due {
        let trouble = self.troubles.entry(job).or_insert((0, category));
        *trouble = (trouble.0.saturating_add(1), category);
        let pause = policy::retry_delay(self.config.retry_interval, trouble.0);
        let until = self.worker.context.ledger.clock().wall() + pause;
        if pause <= self.soon {
            self.source.again(job, until);
        }
        Due::At(until)
    }

    fn delayed(&self, job: LedgerId, error: &RunnerError, until: SystemTime) {
        self.worker
            .context
            .event(&RunnerEvent::Delayed { job, error, until });
    }

    async fn park(&mut self, job: LedgerId, reason: ParkReason, error: RunnerError) {
        self.worker
            .context
            .event(&RunnerEvent::Parked { job, error: &error });
        self.troubles.insert(job, (1, error.category()));
        if let Some(key) = self.claims.remove(&job) {
            let note = match error.kind() {
                // The evidence alone: it is read again with each search.
                RunnerErrorKind::OutcomeUnknown { lost, .. } => Note::from(&lost.error),
                _ => Note::new(error.to_string()),
            };
            let parked = self.worker.context.ledger.park(key, reason, note).await;
            if let Err(problem) = parked {
                self.worker.context.ledger_trouble(&problem);
            }
        }
    }

    /// How a worker ends that has nothing left to do.
    async fn verdict(&self, accounts: &[Account]) -> Option<ErrorCategory> {
        let mut worst = self.worst;
        if self.source.is_given() {
            for (_, category) in self.troubles.values() {
                worst = Some(ErrorCategory::worse(worst, *category));
            }
            return worst;
        }
        let mut filter = JobFilter::unfinished();
        while let Ok(page) = self.worker.context.ledger.list(&filter).await {
            let ours = page
                .jobs
                .iter()
                .filter(|job| accounts.contains(&job.account));
            for job in ours {
                let category = match (self.troubles.get(&job.id), job.stage) {
                    (_, Stage::InDoubt) => ErrorCategory::OutcomeUnknown,
                    (Some((_, category)), _) => *category,
                    (None, _) => ErrorCategory::Unfinished,
                };
                worst = Some(ErrorCategory::worse(worst, category));
            }
            match page.next {
                Some(next) => filter = filter.after(next),
                None => break,
            }
        }
        worst
    }

    async fn give_back(&mut self, job: LedgerId, due: Due) {
        if let Some(key) = self.claims.remove(&job) {
            self.release(vec![key], due).await;
        }
    }

    async fn release(&self, keys: Vec<ClaimKey>, due: Due) {
        let context = &self.worker.context;
        if let Err(problem) = context.ledger.release_all(&keys, due).await {
            context.ledger_trouble(&problem);
        }
    }

    async fn settle(&mut self) {
        let context = self.worker.context.clone();
        for (key, error) in std::mem::take(&mut self.not_understood) {
            match context.ledger.record_not_understood(key, &error).await {
                Err(problem) if !problem.is_claim_lost() => context.ledger_trouble(&problem),
                _ => {}
            }
        }
        let mut batch = std::mem::take(&mut self.settles);
        for key in self.polled.drain() {
            // The next process, wherever it is, keeps the minimal interval from this poll on. A job that is no longer
            // watched has moved on.
            if let Some(Watched {
                claim,
                status: Some(status),
                ..
            }) = self.watched.get(&key)
            {
                batch.push(ClaimUpdate::polled_and_kept(claim, PollRecord::new(status)));
            }
        }
        if batch.is_empty() {
            return;
        }
        match context.ledger.update_claims(batch).await {
            Ok(settled) => self.lose(&settled.lost),
            Err(problem) => context.ledger_trouble(&problem),
        }
    }

    /// Gives every claim a whole lease, and lets go of those that others have taken over.
    async fn renew(&mut self) {
        let keys: Vec<ClaimKey> = self.claims.values().copied().collect();
        match self.worker.context.ledger.renew_all(&keys).await {
            Ok(lost) => self.lose(&lost),
            Err(problem) => self.worker.context.ledger_trouble(&problem),
        }
    }

    /// Lets go of jobs that others have taken over.
    fn lose(&mut self, lost: &[LedgerId]) {
        if lost.is_empty() {
            return;
        }
        for job in lost {
            self.claims.remove(job);
            if let Some((task, WorkClass::Fetch, _)) = self.tasks.get(job) {
                task.abort();
            }
        }
        self.queue.retain(|item| !lost.contains(&item.job()));
        self.watched.retain(|(_, _, id), watched| {
            let is_lost = lost.contains(&watched.claim.job());
            if is_lost {
                watched.entry.lane.unwatch(id);
            }
            !is_lost
        });
    }

    async fn keep_models(&mut self) {
        let context = &self.worker.context;
        for model in &mut self.models {
            model.keep(&context.ledger, &*context.observer).await;
        }
    }

    /// Gives everything back within the lease. Paid calls are waited for: cutting one off would leave its outcome unknown.
    async fn close(&mut self) -> usize {
        self.stopping = true;
        self.worker.shutdown.cancel();
        let given_back = self.claims.len();
        self.fleet.shutdown();
        while let Some(news) = self.fleet.next_event().await {
            self.hear(news);
        }
        for (task, class, _) in self.tasks.values() {
            if *class == WorkClass::Fetch {
                task.abort();
            }
        }
        self.queue.clear();
        self.renew().await;
        let ledger = self.worker.context.ledger.clone();
        let clock = Arc::clone(ledger.clock());
        let limit = clock.now() + ledger.lease() * 2 / 3;
        while let Some(Some(done)) =
            jobs_core::clock::bounded(&*clock, limit, self.running.join_next()).await
        {
            self.finished(done).await;
        }
        // A poll that was in the air has reached the vendor, so each job counts as polled just now.
        for (_, watched) in self.watched.drain() {
            if let Watched {
                claim,
                status: Some(status),
                ..
            } = watched
            {
                self.claims.remove(&claim.job());
                self.settles.push(ClaimUpdate::polled(
                    claim,
                    PollRecord::new(status),
                    Due::Now,
                ));
            }
        }
        self.settle().await;
        self.keep_models().await;
        let keys: Vec<ClaimKey> = self.claims.drain().map(|(_, key)| key).collect();
        self.release(keys, Due::Now).await;
        let context = &self.worker.context;
        if let Err(problem) = context.ledger.worker_stopped().await {
            context.ledger_trouble(&problem);
        }
        given_back
    }
}

fn label(id: LedgerId, entry: &Entry, job_id: JobId) -> JobLabel {
    JobLabel {
        id,
        vendor: entry.handler.vendor(),
        kind: entry.handler.kind(),
        job_id,
    }
}
