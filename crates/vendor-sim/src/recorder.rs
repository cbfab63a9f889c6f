//! Every request that arrived: who asked what, when, with which headers, and how it ended.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use axum::http::request::Parts;
use serde::Serialize;

use crate::clock::VirtualClock;
use crate::lock::lock;

/// Oldest requests are forgotten beyond this, so that a long run does not grow without end.
const KEPT: usize = 200_000;

/// One request as it arrived.
#[derive(Clone, Debug, Serialize)]
pub struct RecordedRequest {
    /// The simulated origin it came to, such as `textin-api`.
    pub origin: &'static str,
    /// HTTP method.
    pub method: String,
    /// Path without the query.
    pub path: String,
    /// Query as sent, without the question mark; empty when there was none.
    pub query: String,
    /// Header names (lower case) and values in the order of arrival.
    pub headers: Vec<(String, String)>,
    /// Virtual arrival time in Unix seconds.
    pub arrived_unix: f64,
    /// Real seconds between the start of the simulator and the arrival.
    pub arrived_real: f64,
    /// Body bytes that were read; grows while the body is still arriving.
    pub body_bytes: u64,
    /// Status of the answer; `None` while there is none, and for good when the connection was dropped instead.
    pub answered: Option<u16>,
}

impl RecordedRequest {
    /// The first value of a header, by its lower-case name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }
}

/// The shared record of all origins of one vendor.
#[derive(Clone, Debug)]
pub struct Recorder {
    clock: VirtualClock,
    kept: Arc<Mutex<Kept>>,
}

#[derive(Debug, Default)]
struct Kept {
    entries: VecDeque<Arc<Entry>>,
    total: u64,
}

#[derive(Debug)]
pub(crate) struct Entry {
    request: RecordedRequest,
    body_bytes: AtomicU64,
    answered: AtomicU16,
}

impl Entry {
    pub(crate) fn body_arrived(&self, bytes: usize) {
        self.body_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(crate) fn answered(&self, status: u16) {
        self.answered.store(status, Ordering::Relaxed);
    }
}

impl Recorder {
    /// An empty record that stamps arrivals by `clock`.
    #[must_use]
    pub fn new(clock: VirtualClock) -> Self {
        Self {
            clock,
            kept: Arc::default(),
        }
    }

    /// All kept requests, oldest first.
    #[must_use]
    pub fn requests(&self) -> Vec<RecordedRequest> {
        lock(&self.kept)
            .entries
            .iter()
            .map(|entry| {
                let answered = entry.answered.load(Ordering::Relaxed);
                RecordedRequest {
                    body_bytes: entry.body_bytes.load(Ordering::Relaxed),
                    answered: (answered != 0).then_some(answered),
                    ..entry.request.clone()
                }
            })
            .collect()
    }

    /// How many requests ever arrived, forgotten ones included.
    #[must_use]
    pub fn total(&self) -> u64 {
        lock(&self.kept).total
    }

    /// Forgets everything.
    pub fn clear(&self) {
        *lock(&self.kept) = Kept::default();
    }

    pub(crate) fn record(&self, origin: &'static str, parts: &Parts) -> Arc<Entry> {
        let headers = parts
            .headers
            .iter()
            .map(|(name, value)| {
                (
                    name.as_str().to_owned(),
                    String::from_utf8_lossy(value.as_bytes()).into_owned(),
                )
            })
            .collect();
        let request = RecordedRequest {
            origin,
            method: parts.method.to_string(),
            path: parts.uri.path().to_owned(),
            query: parts.uri.query().unwrap_or_default().to_owned(),
            headers,
            arrived_unix: self.clock.now_unix(),
            arrived_real: self.clock.real_elapsed().as_secs_f64(),
            body_bytes: 0,
            answered: None,
        };
        let entry = Arc::new(Entry {
            request,
            body_bytes: AtomicU64::new(0),
            answered: AtomicU16::new(0),
        });
        let mut kept = lock(&self.kept);
        kept.total += 1;
        if kept.entries.len() == KEPT {
            kept.entries.pop_front();
        }
        kept.entries.push_back(Arc::clone(&entry));
        entry
    }
}
