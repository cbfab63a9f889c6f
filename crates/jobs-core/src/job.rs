//! One job, and the one loop that waits for it.

use std::fmt;
use std::future::poll_fn;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::SystemTime;

use futures_core::Stream;
use tokio::sync::watch;

use crate::call::CallMonitor;
use crate::clock::{Clock, Moment, Sleep, bounded};
use crate::error::{Error, ErrorKind};
use crate::id::JobId;
use crate::kind::{JobKind, PollResult};
use crate::poller::{Due, History, PollOutcome, Poller, WaitOptions, timed_out};
use crate::run_error::RunError;
use crate::status::{Snapshot, Status};
use crate::ticket::{InvalidTicket, Ticket};
use crate::wait_error::{WaitError, WaitErrorKind};

/// One job of a kind.
///
/// Only a handle: dropping it, or any future it made, neither stops nor loses the job at the vendor. Clones share
/// the memory of the last poll, so that no two waits together poll faster than the vendor allows, and
/// [`poll_soon`](Self::poll_soon) on one reaches the waits of all.
pub struct Job<K: JobKind + ?Sized> {
    kind: Arc<K>,
    id: JobId,
    accepted: SystemTime,
    accepted_at: Option<Moment>,
    last_poll: Arc<Mutex<Option<Moment>>>,
    hints: Arc<watch::Sender<()>>,
}

/// Why a ticket does not fit a kind. Nothing was sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ResumeError {
    /// It belongs to another kind of job.
    #[error("the ticket is for a {vendor} {kind} job")]
    KindMismatch {
        /// The vendor in the ticket.
        vendor: Box<str>,
        /// The kind in the ticket.
        kind: Box<str>,
    },
    /// It was made with other credentials.
    #[error("the ticket belongs to another account than the credentials in use")]
    AccountMismatch,
}

impl<K: JobKind + ?Sized> Job<K> {
    /// The job that the vendor has just accepted as `id`.
    pub fn accepted(kind: Arc<K>, id: JobId) -> Self {
        let now = kind.clock().now();
        Self {
            accepted_at: Some(now),
            ..Self::attach(kind, id)
        }
    }

    /// The job known as `id`, accepted some time ago. Sends nothing.
    pub fn attach(kind: Arc<K>, id: JobId) -> Self {
        let accepted = kind.clock().wall();
        Self {
            kind,
            id,
            accepted,
            accepted_at: None,
            last_poll: Arc::default(),
            hints: Arc::default(),
        }
    }

    /// The job that `ticket` names. Sends nothing.
    ///
    /// # Errors
    /// [`ResumeError`] when it belongs to another kind or account.
    pub fn resume(kind: Arc<K>, ticket: &Ticket) -> Result<Self, ResumeError> {
        if (ticket.vendor(), ticket.kind()) != (kind.vendor(), kind.name()) {
            return Err(ResumeError::KindMismatch {
                vendor: ticket.vendor().into(),
                kind: ticket.kind().into(),
            });
        }
        if ticket.account() != kind.account() {
            return Err(ResumeError::AccountMismatch);
        }
        let (now, age) = (
            kind.clock().now(),
            kind.clock().wall().duration_since(ticket.accepted()),
        );
        let accepted_at =
            Moment::after_start(now.since_start().saturating_sub(age.unwrap_or_default()));
        let job = Self::attach(kind, ticket.id().clone());
        Ok(Self {
            accepted: ticket.accepted(),
            accepted_at: Some(accepted_at),
            ..job
        })
    }

    /// The same job, last polled then by another process: the minimum interval counts from there.
    #[must_use]
    pub fn last_polled_at(self, at: SystemTime) -> Self {
        let age = self
            .kind
            .clock()
            .wall()
            .duration_since(at)
            .unwrap_or_default();
        let now = self.kind.clock().now();
        if age <= now.since_start() {
            self.record_poll(Moment::after_start(now.since_start().saturating_sub(age)));
        } else if age < self.kind.policy().min_interval.value {
            // Before this clock was made, and still too close.
            self.record_poll(Moment::START);
        }
        self
    }

    /// The vendor's id.
    pub fn id(&self) -> &JobId {
        &self.id
    }

    /// The kind, which knows how to poll and what a success gives.
    pub fn kind(&self) -> &Arc<K> {
        &self.kind
    }

    /// The text with which any process can resume the job.
    ///
    /// # Errors
    /// [`InvalidTicket`] for a kind whose names are not of the alphabet that [`JobKind`] asks for.
    pub fn ticket(&self) -> Result<Ticket, InvalidTicket> {
        let kind = &self.kind;
        Ticket::new(
            kind.vendor(),
            kind.name(),
            kind.account(),
            self.accepted,
            self.id.clone(),
        )
    }

    /// That the result of this job could not be had, with the ticket to have it later.
    pub fn fetch_error(&self, error: impl Into<Error>) -> RunError {
        RunError::Fetch {
            error: error.into(),
            ticket: Box::new(self.always_ticket()),
        }
    }

    /// Waits for the output, at most as long as told. A plain `Duration` is a deadline with the usual tolerance.
    ///
    /// Dropping the future loses nothing: call it again. Looking is free of charge at every vendor that is not
    /// marked otherwise in its [`KindPolicy`](crate::kind_policy::KindPolicy).
    ///
    /// # Errors
    /// [`WaitError`], which says why and holds the ticket to resume with.
    pub async fn wait(&self, options: impl Into<WaitOptions>) -> Result<K::Output, WaitError> {
        let mut updates = self.updates(options);
        loop {
            match updates.next().await {
                Some(Update::Completed(output)) => return Ok(output),
                Some(Update::Ended(end)) => return Err(end),
                Some(Update::Progress(_) | Update::PollFailed(_)) => {}
                // An end is always reported before the updates run out.
                None => return Err(updates.wait_error(WaitErrorKind::DeadlineExceeded)),
            }
        }
    }

    /// Brings the next poll of every wait for this job forward, as far as the vendor's minimum interval allows: for a
    /// webhook that says that the job may be done. A hint is enough, no wait depends on it. Of no effect while nothing
    /// waits.
    ///
    /// For many jobs, see [`Fleet::poll_soon`](crate::fleet::Fleet::poll_soon).
    pub fn poll_soon(&self) {
        self.hints.send_replace(());
    }

    /// Every poll of a wait, as it comes.
    pub fn updates(&self, options: impl Into<WaitOptions>) -> Updates<K> {
        let (history, _) = self.history();
        let mut hasher = DefaultHasher::new();
        self.id.hash(&mut hasher);
        let poller = Poller::new(
            self.kind.policy(),
            options.into(),
            self.kind.clock().now(),
            history,
            hasher.finish(),
        );
        Updates {
            job: self.clone(),
            hints: self.hints.subscribe(),
            poller,
            monitor: CallMonitor::new(),
            last: None,
            last_error: None,
            ended: false,
        }
    }

    fn always_ticket(&self) -> Ticket {
        let kind = &self.kind;
        Ticket::always(
            kind.vendor(),
            kind.name(),
            kind.account(),
            self.accepted,
            self.id.clone(),
        )
    }

    /// What is known of the job besides its id, and when the vendor accepted it.
    pub(crate) fn history(&self) -> (History, SystemTime) {
        let last_poll = *self
            .last_poll
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let history = History {
            accepted: self.accepted_at,
            last_poll,
        };
        (history, self.accepted)
    }

    fn record_poll(&self, at: Moment) {
        *self
            .last_poll
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(at);
    }
}

impl<K: JobKind + ?Sized> Clone for Job<K> {
    fn clone(&self) -> Self {
        Self {
            kind: Arc::clone(&self.kind),
            id: self.id.clone(),
            accepted: self.accepted,
            accepted_at: self.accepted_at,
            last_poll: Arc::clone(&self.last_poll),
            hints: Arc::clone(&self.hints),
        }
    }
}

impl<K: JobKind + ?Sized> fmt::Debug for Job<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Job({} {} {})",
            self.kind.vendor(),
            self.kind.name(),
            self.id
        )
    }
}

/// What a wait reports.
#[derive(Debug)]
#[non_exhaustive]
pub enum Update<O> {
    /// The job is not done yet.
    Progress(Snapshot<O>),
    /// A poll failed; the wait goes on.
    PollFailed(Error),
    /// The output. The last update.
    Completed(O),
    /// The wait ended without it. The last update.
    Ended(WaitError),
}

/// A wait in progress, poll by poll.
#[derive(Debug)]
pub struct Updates<K: JobKind + ?Sized> {
    job: Job<K>,
    hints: watch::Receiver<()>,
    poller: Poller,
    /// Knows the address of a poll that is cut.
    monitor: CallMonitor,
    last: Option<Snapshot<()>>,
    last_error: Option<Error>,
    ended: bool,
}

impl<K: JobKind + ?Sized> Updates<K> {
    /// Sleeps until the next poll is due, polls, and reports at once. `None` after the last update.
    ///
    /// May be dropped at any await and called again: no poll is lost, and none comes too early.
    pub async fn next(&mut self) -> Option<Update<K::Output>> {
        if self.ended {
            return None;
        }
        let clock = Arc::clone(self.job.kind.clock());
        let outcome = loop {
            let due = self.poller.due();
            let (Due::Poll(at) | Due::Deadline(at)) = due;
            if self.is_hinted_before(clock.sleep_until(at)).await {
                self.poller.poll_soon(clock.now());
                continue;
            }
            break match due {
                Due::Poll(_) => self.poll(&*clock).await,
                Due::Deadline(_) => PollOutcome::Ended(WaitErrorKind::DeadlineExceeded),
            };
        };
        Some(match outcome {
            PollOutcome::Progress(snapshot) => {
                self.last = Some(without_output(&snapshot));
                self.last_error = None;
                Update::Progress(snapshot)
            }
            PollOutcome::PollFailed(error) => {
                self.last_error = Some(error.clone());
                Update::PollFailed(error)
            }
            PollOutcome::Output(output) => {
                self.ended = true;
                Update::Completed(output)
            }
            PollOutcome::Ended(cause) => {
                self.ended = true;
                Update::Ended(self.wait_error(cause))
            }
        })
    }

    /// The same as a stream, which ends after the last update.
    pub fn into_stream(self) -> UpdateStream<K>
    where
        K: 'static,
    {
        UpdateStream {
            next: Some(Box::pin(self.step())),
        }
    }

    async fn step(mut self) -> (Self, Option<Update<K::Output>>) {
        let update = self.next().await;
        (self, update)
    }

    /// Whether somebody calls [`Job::poll_soon`] before that time has come.
    async fn is_hinted_before(&mut self, mut due: Sleep) -> bool {
        let mut hinted = pin!(self.hints.changed());
        poll_fn(|cx| match due.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(false),
            // An error would mean that the job is gone, which this wait holds.
            Poll::Pending => hinted.as_mut().poll(cx).map(|hint| hint.is_ok()),
        })
        .await
    }

    async fn poll(&mut self, clock: &dyn Clock) -> PollOutcome<K::Output> {
        let begun = clock.now();
        // What was hinted until now, this poll answers.
        self.hints.mark_unchanged();
        let limit = self.poller.start_poll(begun);
        self.job.record_poll(begun);
        let poll = self.job.kind.poll(std::slice::from_ref(&self.job.id));
        let polls = bounded(clock, limit, self.monitor.watch(poll)).await;
        let now = clock.now();
        let vendor = self.job.kind.vendor();
        let outcome = match polls {
            None => {
                let address = self.monitor.host_and_port();
                let error = timed_out(vendor, self.job.id.clone(), address.as_deref());
                self.poller.on_timeout(now, error)
            }
            Some(polls) => {
                self.job.record_poll(now);
                let poll: PollResult<K::Output> = polls.into_vec().pop().unwrap_or_else(|| {
                    Err(Error::new(ErrorKind::UnexpectedResponse, vendor, "poll")
                        .with_message("no answer for the job"))
                });
                self.poller.on_response(now, poll)
            }
        };
        tracing::trace!(job = %self.job.id, vendor, due = ?self.poller.due(), "polled");
        outcome
    }

    fn wait_error(&mut self, cause: WaitErrorKind) -> WaitError {
        let ticket = self.job.always_ticket();
        WaitError::new(cause, ticket, self.last.take(), self.last_error.take())
    }
}

fn without_output<O>(snapshot: &Snapshot<O>) -> Snapshot<()> {
    let status = if matches!(snapshot.status, Status::Queued) {
        Status::Queued
    } else {
        Status::Running
    };
    Snapshot {
        status,
        vendor_status: snapshot.vendor_status.clone(),
        is_known: snapshot.is_known,
        progress: snapshot.progress,
        retry_after: snapshot.retry_after,
    }
}

type Step<K> =
    Pin<Box<dyn Future<Output = (Updates<K>, Option<Update<<K as JobKind>::Output>>)> + Send>>;

/// [`Updates`] as a stream.
pub struct UpdateStream<K: JobKind + ?Sized> {
    next: Option<Step<K>>,
}

impl<K: JobKind + ?Sized> fmt::Debug for UpdateStream<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UpdateStream")
            .field("ended", &self.next.is_none())
            .finish()
    }
}

impl<K: JobKind + ?Sized + 'static> Stream for UpdateStream<K> {
    type Item = Update<K::Output>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(step) = self.next.as_mut() else {
            return Poll::Ready(None);
        };
        let (updates, update) = std::task::ready!(step.as_mut().poll(cx));
        self.next = update.is_some().then(|| Box::pin(updates.step()) as _);
        Poll::Ready(update)
    }
}
