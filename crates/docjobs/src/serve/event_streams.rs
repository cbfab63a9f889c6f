//! The history of jobs as a stream that a page or a program listens to.
//!
//! One task of the process reads the ledger and hands each event to all streams, so that a thousand of them cost one
//! query. A stream that begins in the past, or falls behind, reads for itself until it has caught up.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, header};
use axum::response::Response;
use futures_util::stream;
use jobs_core::clock::{Clock, bounded};
use jobs_ledger::{EventCursor, Ledger, LedgerId, Stage, StreamedEvent};
use tokio::sync::broadcast;

use super::job_json;
use super::server::Ending;

/// How often the ledger is asked for what happened.
const INTERVAL: Duration = Duration::from_millis(200);
/// After it could not be asked.
const TROUBLE: Duration = Duration::from_secs(1);
/// So that proxies and browsers keep the connection.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// How many events a stream may be behind before it reads for itself.
const BACKLOG: usize = 1024;
/// How many are read at once.
const PAGE: usize = 500;

/// An event as streams hand it out.
#[derive(Debug, Clone)]
pub(super) struct Told {
    pub(super) cursor: EventCursor,
    pub(super) job: LedgerId,
    pub(super) stage: Option<Stage>,
    /// As it is written on the stream.
    text: Bytes,
}

impl Told {
    fn of(event: &StreamedEvent) -> Self {
        let cursor = event.cursor;
        // What cannot be written as JSON is told without its details.
        let data =
            job_json::streamed(event).map_or_else(|_| "{}".to_owned(), |json| json.to_string());
        Self {
            cursor,
            job: event.event.job,
            stage: event.stage,
            text: format!("id: {cursor}\ndata: {data}\n\n").into(),
        }
    }
}

/// Hands out what happens from now on.
#[derive(Clone)]
pub(super) struct EventFeed {
    sender: broadcast::Sender<Told>,
}

impl EventFeed {
    /// Reads the ledger until the process is about to end.
    pub(super) fn start(ledger: Ledger, ending: Ending, clock: Arc<dyn Clock>) -> Self {
        let (sender, _) = broadcast::channel(BACKLOG);
        let feed = Self {
            sender: sender.clone(),
        };
        tokio::spawn(async move {
            tokio::select! {
                () = read(&ledger, &sender, clock.as_ref()) => {}
                () = ending.begun() => {}
            }
        });
        feed
    }

    pub(super) fn subscribe(&self) -> broadcast::Receiver<Told> {
        self.sender.subscribe()
    }
}

async fn read(ledger: &Ledger, sender: &broadcast::Sender<Told>, clock: &dyn Clock) {
    let mut cursor = None;
    loop {
        let read = async {
            let from = match cursor {
                Some(cursor) => cursor,
                None => ledger.event_cursor().await?,
            };
            Ok::<_, jobs_ledger::LedgerError>((from, ledger.events_after(from, PAGE).await?))
        };
        let pause = match read.await {
            Ok((from, events)) => {
                cursor = Some(events.last().map_or(from, |last| last.cursor));
                for event in &events {
                    // Whoever comes later reads from the ledger what was committed until then.
                    if sender.receiver_count() > 0 {
                        drop(sender.send(Told::of(event)));
                    }
                }
                if events.len() < PAGE {
                    INTERVAL
                } else {
                    continue;
                }
            }
            Err(problem) => {
                tracing::debug!("cannot read what happened: {problem}");
                TROUBLE
            }
        };
        clock.sleep_until(clock.now() + pause).await;
    }
}

/// What a stream tells.
pub(super) struct Subscription {
    pub(super) ledger: Ledger,
    pub(super) feed: EventFeed,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) ending: Ending,
    /// Only of this job.
    pub(super) job: Option<LedgerId>,
    /// What the client had seen last, or the end of the history.
    pub(super) after: EventCursor,
}

struct Stream {
    subscription: Subscription,
    live: broadcast::Receiver<Told>,
    /// Whether the ledger still has to be read before the live events follow on.
    is_behind: bool,
    /// The last that was written.
    position: EventCursor,
    ready: VecDeque<Bytes>,
}

impl Subscription {
    /// The stream as an answer.
    pub(super) fn answer(self) -> Response {
        let live = self.feed.subscribe();
        let stream = Stream {
            is_behind: true,
            position: self.after,
            live,
            subscription: self,
            ready: VecDeque::from([Bytes::from_static(b"retry: 2000\n\n")]),
        };
        let body = stream::unfold(stream, |mut stream| async move {
            let piece = stream.next().await?;
            Some((Ok::<_, std::convert::Infallible>(piece), stream))
        });
        let mut response = Response::new(Body::from_stream(body));
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("text/event-stream"),
        );
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        // A proxy must not wait until it has a bufferful.
        headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
        response
    }
}

impl Stream {
    /// The next piece; none when the process is about to end.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(piece) = self.ready.pop_front() {
                return Some(piece);
            }
            if self.subscription.ending.has_begun() {
                return None;
            }
            if self.is_behind {
                self.catch_up().await;
                continue;
            }
            let clock = Arc::clone(&self.subscription.clock);
            let limit = clock.now() + HEARTBEAT;
            let told = tokio::select! {
                biased;
                () = self.subscription.ending.begun() => return None,
                told = bounded(clock.as_ref(), limit, self.live.recv()) => told,
            };
            match told {
                None => return Some(Bytes::from_static(b":\n\n")),
                Some(Ok(told)) => self.take(told),
                Some(Err(broadcast::error::RecvError::Lagged(_))) => self.is_behind = true,
                Some(Err(broadcast::error::RecvError::Closed)) => return None,
            }
        }
    }

    /// Takes an event that was not told before.
    fn take(&mut self, told: Told) {
        if told.cursor <= self.position {
            return;
        }
        self.position = told.cursor;
        if self.subscription.job.is_none_or(|job| job == told.job) {
            self.ready.push_back(told.text);
        }
    }

    /// Reads a page of what was missed.
    async fn catch_up(&mut self) {
        let read = self.subscription.ledger.events_after(self.position, PAGE);
        match read.await {
            Ok(events) => {
                self.is_behind = events.len() >= PAGE;
                for event in &events {
                    self.take(Told::of(event));
                }
            }
            Err(problem) => {
                tracing::debug!("cannot read what was missed: {problem}");
                let clock = &self.subscription.clock;
                clock.sleep_until(clock.now() + TROUBLE).await;
                self.ready.push_back(Bytes::from_static(b":\n\n"));
            }
        }
    }
}
