//! The worker's loop: takes up what is due, has it looked at, brings results home, and writes each step down.

use std::collections::{HashMap, HashSet, VecDeque};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use jobs_core::{
    Account, Error, ErrorKind, Fleet, FleetEvent, FleetEvents, JobId, WaitError, WaitErrorKind,
    WaitOptions,
};
use jobs_ledger::{
    Claim, ClaimKey, ClaimUpdate, Claimed, Due, JobFilter, JobRecord, LedgerId, Note, ParkReason,
    PollRecord, Stage, at,
};
use tokio::task::{AbortHandle, JoinError, JoinSet};

use super::desk::{Bring, Desk, Hands, Sent};
use crate::ends::{self, NextFetch};
use crate::exit::{Exit, Stop};
use crate::learn::Lesson;
use crate::place::{Delivered, Place};
use crate::report::Named;
use crate::steps::{self, Fetched, Searched};

/// How many submits, searches and downloads of one account go on at once: results that come slowly keep no other account
/// waiting. Looks are the scheduler's.
const TASKS: usize = 16;
/// How many of them may be paid calls: so many jobs are in doubt if the worker is killed.
const SUBMITS: usize = 4;
/// How many jobs are taken up in one go.
const BATCH: usize = 256;
/// How long one worker waits for one job before it leaves it to a person.
const PATIENCE: Duration = Duration::from_secs(24 * 60 * 60);
/// How many times the first pause a job may be due later for a worker to wait for it that ends when nothing can be done:
/// a quarter of an hour.
const SOON: u32 = 30;
/// For how long writes are gathered into one.
const GATHER: Duration = Duration::from_millis(50);

/// One worker's jobs, and what it does with them.
pub(super) struct Shift {
    hands: Hands,
    fleet: Fleet<Bring>,
    desks: Vec<Arc<dyn Desk>>,
    lessons: Vec<Lesson>,
    /// Where results go that were given no place.
    out: PathBuf,
    /// How many jobs to hold at once.
    room: usize,
    /// After which time a job is tried again whose trouble may pass, at first.
    later: Duration,
    /// What is due later is not waited for by a worker that ends when nothing can be done.
    soon: Duration,
    /// Everything that is claimed, so that it is renewed and released together.
    claims: HashMap<LedgerId, ClaimKey>,
    watched: HashMap<Key, Watched>,
    queue: VecDeque<Todo>,
    running: JoinSet<(LedgerId, Result<Done, Stop>)>,
    /// Which job each of them is at, and what for.
    tasks: HashMap<LedgerId, (AbortHandle, Errand, Account)>,
    /// How often a job was tried in vain, and how that would end a command about it alone.
    troubles: HashMap<LedgerId, (u32, Exit)>,
    /// The worst end of the jobs that are over.
    worst: Option<Exit>,
    settles: Vec<ClaimUpdate>,
    /// Jobs that were looked at since it was written down last.
    seen: HashSet<Key>,
    /// What was answered to polls and not understood, not written down yet.
    odd: Vec<(ClaimKey, Error)>,
    stopping: bool,
}

/// A job at its vendor.
type Key = (&'static str, &'static str, JobId);

/// A job that the scheduler looks at.
struct Watched {
    claim: Claim<at::Accepted>,
    desk: Arc<dyn Desk>,
    output: Option<PathBuf>,
    /// What the latest look saw.
    word: Option<Box<str>>,
    /// What the latest look did not understand.
    odd: Option<Box<str>>,
}

/// What waits for a free hand.
enum Todo {
    Submit(Arc<dyn Desk>, Claim<at::Intended>, Box<JobRecord>),
    Search(Arc<dyn Desk>, Claim<at::InDoubt>, Box<JobRecord>),
    /// A job whose process was stopped between its last look and *completed*.
    Recover(Arc<dyn Desk>, Box<Claimed>, PathBuf),
    Fetch(Arc<dyn Desk>, Claim<at::Accepted>, JobId, Bring, PathBuf),
}

/// What a free hand is busy with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Errand {
    /// Must not be broken off.
    Pay,
    /// Can be broken off and begun anew.
    Fetch,
    Other,
}

/// What a free hand has done.
enum Done {
    Submitted(Arc<dyn Desk>, Box<JobRecord>, Sent),
    Searched(Arc<dyn Desk>, Box<JobRecord>, Searched),
    Recovered(Arc<dyn Desk>, Box<JobRecord>, Option<Claim<at::Accepted>>),
    Fetched(Arc<dyn Desk>, JobId, Fetched),
    /// There is no place for the result.
    Unplaced(Stop),
}

impl Shift {
    pub(super) fn new(
        hands: Hands,
        fleet: Fleet<Bring>,
        desks: Vec<Arc<dyn Desk>>,
        lessons: Vec<Lesson>,
        out: PathBuf,
        room: usize,
        later: Duration,
    ) -> Self {
        // A job that another worker holds is due when its lease ends, however fast the vendors' clocks run.
        let soon = (later * SOON).max(hands.ledger.lease() * 2);
        Self {
            hands,
            fleet,
            desks,
            lessons,
            out,
            room,
            later,
            soon,
            claims: HashMap::new(),
            watched: HashMap::new(),
            queue: VecDeque::new(),
            running: JoinSet::new(),
            tasks: HashMap::new(),
            troubles: HashMap::new(),
            worst: None,
            settles: Vec::new(),
            seen: HashSet::new(),
            odd: Vec::new(),
            stopping: false,
        }
    }

    /// Works until the process is asked to end, or with `once` until nothing is left to do; then gives everything back.
    pub(super) async fn run(
        mut self,
        mut ends: FleetEvents<Bring>,
        once: bool,
    ) -> Result<(), Stop> {
        let shutdown = self.hands.shutdown.clone();
        let accounts = self.accounts();
        self.retake(&accounts).await;
        let ledger = self.hands.ledger.clone();
        let clock = Arc::clone(ledger.clock());
        let mut asked = pin!(shutdown.requested());
        let mut look_for_work = clock.now();
        let mut renew = clock.now() + ledger.lease() / 3;
        let mut flush = clock.now();
        loop {
            let free = self.room.saturating_sub(self.claims.len());
            let open = self.with_room(&accounts);
            if !open.is_empty() && free > 0 && clock.now() >= look_for_work {
                let taken = self.take_up(&open, free.min(BATCH)).await;
                let pause = if taken == 0 { IDLE } else { Duration::ZERO };
                look_for_work = clock.now() + pause;
                if taken == 0 && once && self.is_idle() && self.nothing_left(&accounts).await {
                    break;
                }
            }
            self.start_tasks();
            let may_take = !self.with_room(&accounts).is_empty() && self.claims.len() < self.room;
            tokio::select! {
                _ = &mut asked => break,
                news = ends.next() => match news {
                    Some(news) => self.hear(news),
                    None => return Err(Stop::unexpected("the scheduler has ended")),
                },
                Some(done) = self.running.join_next() => self.landed(done).await,
                () = clock.sleep_until(flush), if self.has_news() => {
                    self.settle().await;
                    flush = clock.now() + GATHER;
                }
                () = clock.sleep_until(renew) => {
                    self.renew().await;
                    self.keep_lessons().await;
                    renew = clock.now() + ledger.lease() / 3;
                }
                () = ledger.wait_for_work(look_for_work), if may_take => look_for_work = clock.now(),
            }
        }
        let given_back = self.close(ends).await;
        let ended = match shutdown.asked() {
            Some(signal) => Err(Stop::asked_to_end(
                signal.exit(),
                format!(
                    "{given_back} unfinished given back, which any worker or docjobs resume goes on with"
                ),
            )),
            None => self.verdict(&accounts).await,
        };
        ledger.close().await;
        ended
    }

    /// Parked jobs are tried again whose cause may be gone, such as a folder that was missing.
    async fn retake(&self, accounts: &[Account]) {
        let ledger = &self.hands.ledger;
        if let Err(problem) = ledger.unpark(accounts, ParkReason::RETRIED).await {
            self.hands.report.say(&format!("docjobs: {problem}"));
        }
    }

    /// The accounts for which more work can be queued.
    fn with_room(&self, accounts: &[Account]) -> Vec<Account> {
        let queued = |account: &&Account| {
            let of_it = self.queue.iter().filter(|todo| todo.account() == **account);
            of_it.count() < TASKS
        };
        accounts.iter().filter(queued).copied().collect()
    }

    fn accounts(&self) -> Vec<Account> {
        let mut accounts: Vec<Account> = self.desks.iter().map(|desk| desk.account()).collect();
        accounts.dedup();
        accounts
    }

    fn has_news(&self) -> bool {
        !self.settles.is_empty() || !self.seen.is_empty() || !self.odd.is_empty()
    }

    fn is_idle(&self) -> bool {
        self.claims.is_empty() && self.running.is_empty() && !self.has_news()
    }

    /// Whether nothing can be done before long.
    async fn nothing_left(&self, accounts: &[Account]) -> bool {
        let ledger = &self.hands.ledger;
        match ledger.next_due(accounts).await {
            Ok(None) => true,
            Ok(Some(due)) => due > ledger.clock().wall() + self.soon,
            Err(_) => false,
        }
    }

    /// Takes up what is due; says how many jobs that were.
    async fn take_up(&mut self, accounts: &[Account], limit: usize) -> usize {
        let claimed = match self.hands.ledger.claim_due(accounts, limit).await {
            Ok(claimed) => claimed,
            Err(error) => {
                self.hands.report.say(&format!("docjobs: {error}"));
                return 0;
            }
        };
        let count = claimed.len();
        for claimed in claimed {
            self.claims.insert(claimed.job().id, claimed.key());
            let desk = self.desk_of(claimed.job());
            match (desk, claimed) {
                (Some(desk), Claimed::Intended(claim, row)) => {
                    self.queue
                        .push_back(Todo::Submit(desk, claim, Box::new(row)));
                }
                (Some(desk), Claimed::InDoubt(claim, row)) => {
                    self.queue
                        .push_front(Todo::Search(desk, claim, Box::new(row)));
                }
                (Some(desk), Claimed::Accepted(claim, row)) => self.watch(desk, claim, row).await,
                (Some(desk), claimed) => {
                    let row = claimed.job();
                    let path = self.place_of(row.id, row.output.clone(), &*desk);
                    self.queue
                        .push_front(Todo::Recover(desk, Box::new(claimed), path));
                }
                (None, claimed) => {
                    let row = claimed.job();
                    self.hands.report.say(&format!(
                        "job {}: {} {} jobs are left to a person, because each look may cost money: docjobs wait {}",
                        row.id, row.vendor, row.kind, row.id
                    ));
                    let stop = Stop::new(Exit::Deadline, "each look may cost money");
                    let (id, key) = (row.id, claimed.key());
                    self.claims.remove(&id);
                    self.troubles.insert(id, (1, stop.exit));
                    self.park_as(key, ParkReason::PaidPolls, &stop.line).await;
                }
            }
        }
        count
    }

    fn desk_of(&self, row: &JobRecord) -> Option<Arc<dyn Desk>> {
        self.desks.iter().find(|desk| desk.serves(row)).cloned()
    }

    async fn watch(&mut self, desk: Arc<dyn Desk>, claim: Claim<at::Accepted>, row: JobRecord) {
        let patience = WaitOptions::new(PATIENCE);
        let watched = desk.watch(&self.hands, &row, patience);
        let known = (row.output, row.vendor_status.map(Into::into));
        self.watched(desk, claim, row.remote_id, known, watched)
            .await;
    }

    /// Keeps in mind what the scheduler looks at, or gives it back when it does not.
    async fn watched(
        &mut self,
        desk: Arc<dyn Desk>,
        claim: Claim<at::Accepted>,
        id: Option<JobId>,
        (output, word): (Option<PathBuf>, Option<Box<str>>),
        watched: Result<(), Stop>,
    ) {
        match (watched, id) {
            (Ok(()), Some(id)) => {
                self.claims.insert(claim.job(), claim.key());
                let key = (desk.vendor(), desk.kind(), id);
                let watched = Watched {
                    claim,
                    desk,
                    output,
                    word,
                    odd: None,
                };
                self.watched.insert(key, watched);
            }
            (Err(_), _) if self.stopping => self.give_back(claim.job(), Due::Now).await,
            (Err(stop), _) => self.park(claim.job(), ParkReason::Unspecified, &stop).await,
            (Ok(()), None) => {}
        }
    }

    /// Where the result of a job goes.
    fn place_of(&self, job: LedgerId, wanted: Option<PathBuf>, desk: &dyn Desk) -> PathBuf {
        wanted.unwrap_or_else(|| self.out.join(format!("{job}.{}", desk.extension())))
    }

    fn start_tasks(&mut self) {
        loop {
            let mut busy: HashMap<Account, usize> = HashMap::new();
            let mut paying = 0;
            for (_, errand, account) in self.tasks.values() {
                *busy.entry(*account).or_default() += 1;
                paying += usize::from(*errand == Errand::Pay);
            }
            let may_start = |todo: &Todo| {
                let is_free = busy.get(&todo.account()).is_none_or(|count| *count < TASKS);
                is_free && (paying < SUBMITS || todo.errand() != Errand::Pay)
            };
            let next = self.queue.iter().position(may_start);
            let Some(todo) = next.and_then(|at| self.queue.remove(at)) else {
                return;
            };
            let (id, errand, account) = (todo.job(), todo.errand(), todo.account());
            let hands = self.hands.clone();
            let task = self
                .running
                .spawn(async move { (id, todo.run(&hands).await) });
            self.tasks.insert(id, (task, errand, account));
        }
    }

    /// What the scheduler has to say about a job.
    fn hear(&mut self, news: FleetEvent<Bring>) {
        let (key, result) = match news {
            FleetEvent::Ended {
                vendor,
                kind,
                id,
                result,
                ..
            } => ((vendor, kind, id), result),
            FleetEvent::Progress {
                vendor,
                kind,
                id,
                snapshot,
            } => {
                let key = (vendor, kind, id);
                if let Some(watched) = self.watched.get_mut(&key) {
                    watched.word = Some(snapshot.vendor_status);
                    self.seen.insert(key);
                }
                return;
            }
            FleetEvent::PollFailed {
                vendor,
                kind,
                id,
                error,
            } => {
                // The same page for hours is one answer.
                if let Some(watched) = self.watched.get_mut(&(vendor, kind, id))
                    && error.body_excerpt().is_some()
                    && watched.odd.as_deref() != error.body_excerpt()
                {
                    watched.odd = error.body_excerpt().map(Into::into);
                    self.odd.push((watched.claim.key(), error));
                }
                return;
            }
            _ => return,
        };
        let Some((
            key,
            Watched {
                claim,
                desk,
                output,
                ..
            },
        )) = self.watched.remove_entry(&key)
        else {
            return;
        };
        match result {
            Ok(bring) => {
                let path = self.place_of(claim.job(), output, &*desk);
                let fetch = Todo::Fetch(desk, claim, key.2, bring, path);
                self.queue.push_front(fetch);
            }
            Err(end) => {
                self.hands
                    .report
                    .say(&format!("job {}: {end}", claim.job()));
                let job = claim.job();
                self.claims.remove(&job);
                if let WaitErrorKind::Unreachable(error) | WaitErrorKind::PollRejected(error) =
                    end.kind()
                {
                    self.odd.push((claim.key(), error.clone()));
                }
                let exit = Stop::unfinished(&end).exit;
                let later = match end.kind() {
                    WaitErrorKind::Failed(_) | WaitErrorKind::Expired | WaitErrorKind::Gone => {
                        self.worst = Some(ends::worse(self.worst, exit));
                        Due::Now
                    }
                    _ => self.later(job, exit),
                };
                let settle = settled(claim, &end, later);
                self.settles.push(settle);
            }
        }
    }

    async fn landed(&mut self, done: Result<(LedgerId, Result<Done, Stop>), JoinError>) {
        let ended = match done {
            Ok((job, done)) => return self.go_on(job, done).await,
            Err(ended) => ended,
        };
        let of_this = |(job, (task, ..)): (&LedgerId, &(AbortHandle, Errand, Account))| {
            (task.id() == ended.id()).then_some(*job)
        };
        let Some(job) = self.tasks.iter().find_map(of_this) else {
            return;
        };
        self.tasks.remove(&job);
        // A defect of ours, or of a library. The claim runs out, and whoever takes the job up finds it as it was left.
        self.claims.remove(&job);
        self.hands
            .report
            .say(&format!("docjobs: job {job}: {ended}"));
    }

    /// Goes on from where a free hand left a job.
    async fn go_on(&mut self, job: LedgerId, done: Result<Done, Stop>) {
        self.tasks.remove(&job);
        let report = self.hands.report.clone();
        match done {
            Ok(Done::Submitted(desk, row, Sent::Held(claim, id))) => {
                let watched = desk.watch_accepted(id.clone(), WaitOptions::new(PATIENCE));
                self.watched(desk, claim, Some(id), (row.output, None), watched)
                    .await;
            }
            Ok(Done::Submitted(_, row, Sent::Refused(claim, error))) => {
                self.refused(&claim, &row, &error).await;
            }
            Ok(Done::Submitted(desk, row, Sent::Lost(claim))) => {
                self.claims.insert(job, claim.key());
                self.queue.push_front(Todo::Search(desk, claim, row));
            }
            Ok(Done::Submitted(_, _, Sent::Unready(stop))) => {
                self.park(job, ParkReason::InputFile, &stop).await;
            }
            Ok(Done::Searched(desk, row, Searched::Adopted(claim, id))) => {
                let watched = desk.watch_accepted(id.clone(), WaitOptions::new(PATIENCE));
                report.say(&format!(
                    "job {job}: the answer was lost; {} job {id} is the one",
                    desk.vendor()
                ));
                self.watched(desk, claim, Some(id), (row.output, None), watched)
                    .await;
            }
            Ok(Done::Searched(_, _, Searched::InDoubt(_, candidates))) => {
                let line = steps::in_doubt(job, &candidates);
                let stop = Stop::new(Exit::Unknown, format!("it may have been charged{line}"));
                self.park(job, ParkReason::InDoubt, &stop).await;
            }
            Ok(Done::Recovered(desk, row, Some(claim))) => self.watch(desk, claim, *row).await,
            Ok(Done::Recovered(_, _, None)) => drop(self.claims.remove(&job)),
            Ok(Done::Fetched(desk, id, Fetched::Done(delivered))) => {
                self.claims.remove(&job);
                self.troubles.remove(&job);
                let named = Named {
                    id: job,
                    vendor: desk.vendor(),
                    kind: desk.kind(),
                    job: &id,
                };
                match &delivered {
                    Delivered::Saved(saved, _) => report.done(&named, Some(&saved.path), None),
                    Delivered::Copied(path) => report.done(&named, Some(path), None),
                    Delivered::Text(text) => report.done(&named, None, Some(text)),
                    Delivered::Bytes(_) => report.done(&named, None, None),
                }
            }
            Ok(Done::Fetched(_, _, Fetched::Unverified(error, kept))) => {
                let stop = Stop::unverified(job, &error.to_string(), Some(&kept));
                self.park(job, ParkReason::UnverifiedResult, &stop).await;
            }
            Ok(Done::Fetched(_, _, Fetched::Failed(_, error))) => {
                let stop = Stop::not_delivered(&error, None);
                match ends::next_fetch(&error, 1, Duration::MAX) {
                    NextFetch::Park => self.park(job, ParkReason::OutputPath, &stop).await,
                    // Whatever the storage says, a fresh link may bring it.
                    NextFetch::After(_) | NextFetch::LeaveIt => {
                        report.say(&format!("job {job}: {error}"));
                        let later = self.later(job, stop.exit);
                        self.give_back(job, later).await;
                    }
                }
            }
            Ok(Done::Unplaced(stop)) => {
                let stop = Stop {
                    exit: Exit::Deadline,
                    ..stop
                };
                self.park(job, ParkReason::OutputPath, &stop).await;
            }
            // The claim is lost, or the ledger in trouble: whoever takes the job up after its lease goes on with it.
            Err(stop) => {
                report.say(&format!("docjobs: job {job}: {}", stop.line));
                self.claims.remove(&job);
            }
        }
    }

    /// Nothing was bought. What can pass is tried again, the rest is over.
    async fn refused(&mut self, claim: &Claim<at::Submitting>, row: &JobRecord, error: &Error) {
        self.hands.report.say(&format!("job {}: {error}", row.id));
        self.claims.remove(&row.id);
        let exit = Stop::before_acceptance(error).exit;
        let ledger = self.hands.ledger.clone();
        let written = match error.kind() {
            ErrorKind::InvalidInput
            | ErrorKind::Refused
            | ErrorKind::NotFound
            | ErrorKind::TooLarge => {
                self.worst = Some(ends::worse(self.worst, exit));
                ledger.record_rejected(claim, Note::from(error)).await
            }
            _ => {
                let later = self.later(row.id, exit);
                ledger
                    .record_not_sent(claim, later, Note::from(error))
                    .await
            }
        };
        if let Err(problem) = written {
            self.hands.report.say(&format!("docjobs: {problem}"));
        }
    }

    /// When a job is tried again that could not be done: later each time.
    fn later(&mut self, job: LedgerId, exit: Exit) -> Due {
        let trouble = self.troubles.entry(job).or_insert((0, exit));
        *trouble = (trouble.0.saturating_add(1), exit);
        let pause = ends::later(self.later, trouble.0);
        Due::At(self.hands.ledger.clock().wall() + pause)
    }

    async fn park(&mut self, job: LedgerId, reason: ParkReason, stop: &Stop) {
        self.hands.report.say(&format!(
            "job {job} is left to a person: {}; then: docjobs wait {job} -o PATH",
            stop.line
        ));
        self.troubles.insert(job, (1, stop.exit));
        if let Some(key) = self.claims.remove(&job) {
            self.park_as(key, reason, &stop.line).await;
        }
    }

    async fn park_as(&self, key: ClaimKey, reason: ParkReason, words: &str) {
        let parked = self.hands.ledger.park(key, reason, Note::new(words)).await;
        if let Err(problem) = parked {
            self.hands.report.say(&format!("docjobs: {problem}"));
        }
    }

    /// How a worker ends that has nothing left to do: as `docjobs resume` does.
    async fn verdict(&self, accounts: &[Account]) -> Result<(), Stop> {
        let mut worst = self.worst;
        let mut filter = JobFilter::unfinished();
        while let Ok(page) = self.hands.ledger.list(&filter).await {
            let ours = page
                .jobs
                .iter()
                .filter(|job| accounts.contains(&job.account));
            for job in ours {
                let exit = match (self.troubles.get(&job.id), job.stage) {
                    (_, Stage::InDoubt) => Exit::Unknown,
                    (Some((_, exit)), _) => *exit,
                    (None, _) => Exit::Deadline,
                };
                worst = Some(ends::worse(worst, exit));
            }
            match page.next {
                Some(next) => filter = filter.after(next),
                None => break,
            }
        }
        match worst {
            None => Ok(()),
            Some(exit) => Err(Stop::new(
                exit,
                "not everything is settled; docjobs jobs shows what is left",
            )),
        }
    }

    async fn give_back(&mut self, job: LedgerId, due: Due) {
        if let Some(key) = self.claims.remove(&job) {
            self.release(vec![key], due).await;
        }
    }

    async fn release(&self, keys: Vec<ClaimKey>, due: Due) {
        if let Err(problem) = self.hands.ledger.release_all(&keys, due).await {
            self.hands.report.say(&format!("docjobs: {problem}"));
        }
    }

    async fn settle(&mut self) {
        for (key, error) in std::mem::take(&mut self.odd) {
            match self.hands.ledger.record_not_understood(key, &error).await {
                Err(problem) if !problem.is_claim_lost() => {
                    self.hands.report.say(&format!("docjobs: {problem}"));
                }
                _ => {}
            }
        }
        let mut batch = std::mem::take(&mut self.settles);
        for key in self.seen.drain() {
            // The next process, wherever it is, keeps the floor from this look on. A job that is no longer watched has
            // moved on.
            if let Some(Watched {
                claim,
                word: Some(word),
                ..
            }) = self.watched.get(&key)
            {
                batch.push(ClaimUpdate::polled_and_kept(claim, PollRecord::new(word)));
            }
        }
        if batch.is_empty() {
            return;
        }
        match self.hands.ledger.update_claims(batch).await {
            Ok(settled) => self.lose(&settled.lost),
            Err(problem) => self.hands.report.say(&format!("docjobs: {problem}")),
        }
    }

    /// Gives every claim a whole lease, and lets go of those that others have taken over.
    async fn renew(&mut self) {
        let keys: Vec<ClaimKey> = self.claims.values().copied().collect();
        match self.hands.ledger.renew_all(&keys).await {
            Ok(lost) => self.lose(&lost),
            Err(problem) => self.hands.report.say(&format!("docjobs: {problem}")),
        }
    }

    /// Lets go of jobs that others have taken over.
    fn lose(&mut self, lost: &[LedgerId]) {
        if lost.is_empty() {
            return;
        }
        for job in lost {
            self.claims.remove(job);
            if let Some((task, Errand::Fetch, _)) = self.tasks.get(job) {
                task.abort();
            }
        }
        self.queue.retain(|todo| !lost.contains(&todo.job()));
        self.watched.retain(|(_, _, id), watched| {
            let is_lost = lost.contains(&watched.claim.job());
            if is_lost {
                watched.desk.forget(id);
            }
            !is_lost
        });
    }

    async fn keep_lessons(&mut self) {
        for lesson in &mut self.lessons {
            lesson.keep(&self.hands.ledger, &self.hands.report).await;
        }
    }

    /// Gives everything back within the lease. Paid calls are waited for: cutting one off would leave its outcome unknown.
    async fn close(&mut self, mut ends: FleetEvents<Bring>) -> String {
        self.stopping = true;
        let given_back = match self.claims.len() {
            1 => "1 job".to_owned(),
            count => format!("{count} jobs"),
        };
        self.fleet.shutdown();
        while let Some(news) = ends.next().await {
            self.hear(news);
        }
        for (task, errand, _) in self.tasks.values() {
            if *errand == Errand::Fetch {
                task.abort();
            }
        }
        self.queue.clear();
        self.renew().await;
        let clock = Arc::clone(self.hands.ledger.clock());
        let limit = clock.now() + self.hands.ledger.lease() * 2 / 3;
        while let Some(Some(done)) =
            jobs_core::clock::bounded(&*clock, limit, self.running.join_next()).await
        {
            self.landed(done).await;
        }
        // A look that was in the air has reached the vendor, so each job counts as looked at just now.
        for (_, watched) in self.watched.drain() {
            if let Watched {
                claim,
                word: Some(word),
                ..
            } = watched
            {
                self.claims.remove(&claim.job());
                self.settles
                    .push(ClaimUpdate::polled(claim, PollRecord::new(word), Due::Now));
            }
        }
        self.settle().await;
        self.keep_lessons().await;
        let keys: Vec<ClaimKey> = self.claims.drain().map(|(_, key)| key).collect();
        self.release(keys, Due::Now).await;
        given_back
    }
}

/// How often work is looked for when nobody says that there is some.
const IDLE: Duration = Duration::from_secs(1);

/// What the end of a wait without a result means for the ledger.
fn settled(claim: Claim<at::Accepted>, end: &WaitError, later: Due) -> ClaimUpdate {
    let note = Note::new(end.to_string());
    match end.kind() {
        WaitErrorKind::Failed(_) => ClaimUpdate::failed(claim, note),
        WaitErrorKind::Expired | WaitErrorKind::Gone => ClaimUpdate::gone(claim, note),
        _ => ClaimUpdate::not_polled(claim, later),
    }
}

impl Todo {
    fn errand(&self) -> Errand {
        match self {
            Self::Submit(..) => Errand::Pay,
            Self::Fetch(..) => Errand::Fetch,
            Self::Search(..) | Self::Recover(..) => Errand::Other,
        }
    }

    fn account(&self) -> Account {
        match self {
            Self::Submit(desk, ..)
            | Self::Search(desk, ..)
            | Self::Recover(desk, ..)
            | Self::Fetch(desk, ..) => desk.account(),
        }
    }

    fn job(&self) -> LedgerId {
        match self {
            Self::Submit(_, claim, _) => claim.job(),
            Self::Search(_, claim, _) => claim.job(),
            Self::Recover(_, claimed, _) => claimed.job().id,
            Self::Fetch(_, claim, ..) => claim.job(),
        }
    }

    async fn run(self, hands: &Hands) -> Result<Done, Stop> {
        match self {
            Self::Submit(desk, claim, row) => {
                let sent = desk.submit(hands, claim, &row).await?;
                Ok(Done::Submitted(desk, row, sent))
            }
            Self::Search(desk, claim, row) => {
                let searched = desk.search(hands, claim, &row).await?;
                Ok(Done::Searched(desk, row, searched))
            }
            Self::Recover(desk, claimed, path) => match *claimed {
                Claimed::Available(claim, row) => recover(hands, desk, claim, row, &path).await,
                Claimed::Downloading(claim, row) => recover(hands, desk, claim, row, &path).await,
                other => Err(Stop::unexpected(format!(
                    "job {} cannot be carried on",
                    other.job().id
                ))),
            },
            Self::Fetch(desk, claim, id, bring, path) => match Place::new(Some(&path)) {
                Ok(place) => {
                    let fetched = bring(hands.clone(), claim, place).await?;
                    Ok(Done::Fetched(desk, id, fetched))
                }
                Err(stop) => Ok(Done::Unplaced(stop)),
            },
        }
    }
}

/// The result may have got its name just before the process was stopped; else the job is looked at again.
async fn recover<S: jobs_ledger::WithResult>(
    hands: &Hands,
    desk: Arc<dyn Desk>,
    claim: Claim<S>,
    row: JobRecord,
    path: &Path,
) -> Result<Done, Stop> {
    let ledger = &hands.ledger;
    if let Some(digest) = steps::arrived(ledger, &row, path).await? {
        steps::is_here(ledger, &claim, path, digest).await?;
        return Ok(Done::Recovered(desk, Box::new(row), None));
    }
    let held = ledger.record_link_expired(&claim, Note::none()).await?;
    Ok(Done::Recovered(desk, Box::new(row), Some(held)))
}
