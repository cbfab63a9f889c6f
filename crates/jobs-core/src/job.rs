//! One job, and the one loop that waits for it.

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::SystemTime;

use futures_core::Stream;

use crate::clock::{Clock, Moment, bounded};
use crate::end::{Cause, WaitError};
use crate::error::{Error, ErrorKind};
use crate::id::JobId;
use crate::kind::{JobKind, Look};
use crate::poller::{Due, Past, Patience, Poller, Turn};
use crate::status::{Snapshot, Status};
use crate::ticket::{InvalidTicket, Ticket};

/// One job of a kind.
///
/// Only a handle: dropping it, or any future it made, neither stops nor loses the job at the vendor. Clones share
/// the memory of the last look, so that no two waits together look faster than the vendor allows.
pub struct Job<K: JobKind + ?Sized> {
    kind: Arc<K>,
    id: JobId,
    accepted: SystemTime,
    accepted_at: Option<Moment>,
    last_look: Arc<Mutex<Option<Moment>>>,
}

/// Why a ticket does not fit a kind. Nothing was sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ForeignTicket {
    /// It belongs to another kind of job.
    #[error("the ticket is for a {vendor} {kind} job")]
    Kind {
        /// The vendor in the ticket.
        vendor: Box<str>,
        /// The kind in the ticket.
        kind: Box<str>,
    },
    /// It was made with other credentials.
    #[error("the ticket belongs to another account than the credentials in use")]
    Account,
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
            last_look: Arc::default(),
        }
    }

    /// The job that `ticket` names. Sends nothing.
    ///
    /// # Errors
    /// [`ForeignTicket`] when it belongs to another kind or account.
    pub fn resume(kind: Arc<K>, ticket: &Ticket) -> Result<Self, ForeignTicket> {
        if (ticket.vendor(), ticket.kind()) != (kind.vendor(), kind.name()) {
            return Err(ForeignTicket::Kind {
                vendor: ticket.vendor().into(),
                kind: ticket.kind().into(),
            });
        }
        if ticket.account() != kind.account() {
            return Err(ForeignTicket::Account);
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

    /// The same job, last looked at then by another process: the floor counts from there.
    #[must_use]
    pub fn looked_at(self, at: SystemTime) -> Self {
        let age = self
            .kind
            .clock()
            .wall()
            .duration_since(at)
            .unwrap_or_default();
        let now = self.kind.clock().now();
        if age <= now.since_start() {
            self.looked(Moment::after_start(now.since_start().saturating_sub(age)));
        } else if age < self.kind.facts().floor.value {
            // Before this clock was made, and still too close.
            self.looked(Moment::START);
        }
        self
    }

    /// The vendor's id.
    pub fn id(&self) -> &JobId {
        &self.id
    }

    /// The kind, which knows how to look and what a success gives.
    pub fn kind(&self) -> &Arc<K> {
        &self.kind
    }

    /// The text with which another process goes on.
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

    /// Waits for the output, at most as long as told. A plain `Duration` is a deadline with the usual tolerance.
    ///
    /// Dropping the future loses nothing: call it again. Looking is free of charge at every vendor that is not
    /// marked otherwise in its [`Facts`](crate::Facts).
    ///
    /// # Errors
    /// [`WaitError`], which says why and holds the ticket to go on with.
    pub async fn wait(&self, patience: impl Into<Patience>) -> Result<K::Output, WaitError> {
        let mut updates = self.updates(patience);
        loop {
            match updates.next().await {
                Some(Update::Done(output)) => return Ok(output),
                Some(Update::Over(end)) => return Err(end),
                Some(Update::Seen(_) | Update::Missed(_)) => {}
                // An end is always reported before the updates run out.
                None => return Err(updates.over(Cause::Deadline)),
            }
        }
    }

    /// Every look of a wait, as it comes.
    pub fn updates(&self, patience: impl Into<Patience>) -> Updates<K> {
        let (past, _) = self.past();
        let mut hasher = DefaultHasher::new();
        self.id.hash(&mut hasher);
        let poller = Poller::new(
            self.kind.facts(),
            patience.into(),
            self.kind.clock().now(),
            past,
            hasher.finish(),
        );
        Updates {
            job: self.clone(),
            poller,
            last: None,
            last_error: None,
            ended: false,
        }
    }

    /// What is known of the job besides its id, and when the vendor accepted it.
    pub(crate) fn past(&self) -> (Past, SystemTime) {
        let last_look = *self
            .last_look
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let past = Past {
            accepted: self.accepted_at,
            last_look,
        };
        (past, self.accepted)
    }

    fn looked(&self, at: Moment) {
        *self
            .last_look
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
            last_look: Arc::clone(&self.last_look),
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
    Seen(Snapshot<O>),
    /// A look failed; the wait goes on.
    Missed(Error),
    /// The output. The last update.
    Done(O),
    /// The wait ended without it. The last update.
    Over(WaitError),
}

/// A wait in progress, look by look.
#[derive(Debug)]
pub struct Updates<K: JobKind + ?Sized> {
    job: Job<K>,
    poller: Poller,
    last: Option<Snapshot<()>>,
    last_error: Option<Error>,
    ended: bool,
}

impl<K: JobKind + ?Sized> Updates<K> {
    /// Sleeps until the next look is due, looks, and reports at once. `None` after the last update.
    ///
    /// May be dropped at any await and called again: no look is lost, and none comes too early.
    pub async fn next(&mut self) -> Option<Update<K::Output>> {
        if self.ended {
            return None;
        }
        let clock = Arc::clone(self.job.kind.clock());
        let turn = match self.poller.due() {
            Due::Look(at) => {
                clock.sleep_until(at).await;
                self.look(&*clock).await
            }
            Due::Deadline(at) => {
                clock.sleep_until(at).await;
                Turn::Over(Cause::Deadline)
            }
        };
        Some(match turn {
            Turn::Seen(snapshot) => {
                self.last = Some(outline(&snapshot));
                self.last_error = None;
                Update::Seen(snapshot)
            }
            Turn::Missed(error) => {
                self.last_error = Some(error.clone());
                Update::Missed(error)
            }
            Turn::Output(output) => {
                self.ended = true;
                Update::Done(output)
            }
            Turn::Over(cause) => {
                self.ended = true;
                Update::Over(self.over(cause))
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

    async fn look(&mut self, clock: &dyn Clock) -> Turn<K::Output> {
        let begun = clock.now();
        let limit = self.poller.begin(begun);
        self.job.looked(begun);
        let looks = bounded(
            clock,
            limit,
            self.job.kind.observe(std::slice::from_ref(&self.job.id)),
        )
        .await;
        let now = clock.now();
        let vendor = self.job.kind.vendor();
        let turn = match looks {
            None => self.poller.cut(now, vendor),
            Some(looks) => {
                self.job.looked(now);
                let look: Look<K::Output> = looks.into_vec().pop().unwrap_or_else(|| {
                    Err(Error::new(ErrorKind::Garbled, vendor, "look")
                        .with_message("no answer for the job"))
                });
                self.poller.answered(now, look)
            }
        };
        tracing::trace!(job = %self.job.id, vendor, due = ?self.poller.due(), "looked");
        turn
    }

    fn over(&mut self, cause: Cause) -> WaitError {
        let kind = &self.job.kind;
        let ticket = Ticket::always(
            kind.vendor(),
            kind.name(),
            kind.account(),
            self.job.accepted,
            self.job.id.clone(),
        );
        WaitError::new(cause, ticket, self.last.take(), self.last_error.take())
    }
}

fn outline<O>(snapshot: &Snapshot<O>) -> Snapshot<()> {
    let status = if matches!(snapshot.status, Status::Queued) {
        Status::Queued
    } else {
        Status::Running
    };
    Snapshot {
        status,
        word: snapshot.word.clone(),
        recognised: snapshot.recognised,
        progress: snapshot.progress,
        hint: snapshot.hint,
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
