//! Starting the MindShow simulator, and what a test in the same process may ask of it.

use std::io;
use std::sync::{Arc, Mutex};

use bytes::Bytes;

use super::ledger::Charge;
use super::options::Outcome;
use super::state::{Counters, JobView, State};
use super::{MindShowOptions, Shared, api, files};
use crate::clock::Clock;
use crate::control::{self, Controlled};
use crate::fault::{Fault, FaultPlan, Times};
use crate::lock::lock;
use crate::recorder::{RecordedRequest, Recorder};
use crate::server::{Origin, Site};

/// The MindShow service.
#[derive(Debug)]
pub struct MindShow;

impl MindShow {
    /// Starts on loopback, in real time.
    ///
    /// # Errors
    ///
    /// The system refuses a socket.
    pub async fn start(options: MindShowOptions) -> io::Result<MindShowHandle> {
        Self::start_at(&Site::default(), options).await
    }

    /// Starts at an address and by a clock of the caller's choice.
    ///
    /// # Errors
    ///
    /// The address is not loopback and that was not asked for, or the system refuses a socket.
    pub async fn start_at(site: &Site, options: MindShowOptions) -> io::Result<MindShowHandle> {
        let (api, files) = (site.bind().await?, site.bind().await?);
        let shared = Arc::new(Shared {
            state: Mutex::new(State::new(options)),
            clock: site.clock.clone(),
            recorder: Recorder::new(site.clock.clone()),
            faults: FaultPlan::default(),
            link_key: fastrand::u128(..),
            file_base: files.url(),
        });
        let recorder = shared.recorder.clone();
        let router = api::router(&shared).merge(control::routes(&shared));
        Ok(MindShowHandle {
            api: api.serve("mindshow-api", recorder.clone(), router),
            files: files.serve("mindshow-files", recorder, files::router(&shared)),
            shared,
        })
    }
}

/// A running simulator; dropping it stops it.
pub struct MindShowHandle {
    shared: Arc<Shared>,
    api: Origin,
    files: Origin,
}

impl std::fmt::Debug for MindShowHandle {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("MindShowHandle")
            .field("api", &self.api.url())
            .finish_non_exhaustive()
    }
}

impl MindShowHandle {
    /// Base address of the API, without a slash at the end.
    #[must_use]
    pub fn api_url(&self) -> String {
        self.api.url()
    }

    /// Base address of the file host, without a slash at the end.
    #[must_use]
    pub fn file_url_base(&self) -> String {
        self.files.url()
    }

    /// The bearer token.
    #[must_use]
    pub fn api_key(&self) -> String {
        self.shared.rule(|options| options.api_key.clone())
    }

    /// Environment variables that point a client here.
    #[must_use]
    pub fn env(&self) -> Vec<(String, String)> {
        vec![
            ("MINDSHOW_API_KEY".to_owned(), self.api_key()),
            ("MINDSHOW_BASE_URL".to_owned(), self.api_url()),
        ]
    }

    /// The time of this simulator.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.shared.clock
    }

    /// The rules in force.
    #[must_use]
    pub fn options(&self) -> MindShowOptions {
        self.shared.rule(Clone::clone)
    }

    /// Changes the rules from the next request on; work under way keeps its times and ends.
    pub fn change_options(&self, change: impl FnOnce(&mut MindShowOptions)) {
        change(&mut lock(&self.shared.state).options);
    }

    /// Decides the end of the next job that is made; called twice, of the next two.
    pub fn next_outcome(&self, outcome: Outcome) {
        lock(&self.shared.state).next_outcomes.push_back(outcome);
    }

    /// Decides the end of the next PDF export.
    pub fn next_pdf_outcome(&self, outcome: Outcome) {
        lock(&self.shared.state)
            .next_pdf_outcomes
            .push_back(outcome);
    }

    /// Decides how the next model call finishes.
    pub fn next_finish_reason(&self, reason: &str) {
        lock(&self.shared.state)
            .next_finish_reasons
            .push_back(reason.to_owned());
    }

    /// All jobs that were not deleted, oldest first, as they stand now.
    #[must_use]
    pub fn jobs(&self) -> Vec<JobView> {
        lock(&self.shared.state).jobs(self.shared.now())
    }

    /// The ledger up to now, oldest first.
    #[must_use]
    pub fn charges(&self) -> Vec<Charge> {
        lock(&self.shared.state).charges(self.shared.now())
    }

    /// Credits left.
    #[must_use]
    pub fn score(&self) -> i64 {
        let mut state = lock(&self.shared.state);
        state.settle(self.shared.now());
        state.balance()
    }

    /// Counts of jobs, looks, downloads and refusals.
    #[must_use]
    pub fn counters(&self) -> Counters {
        lock(&self.shared.state).counters.clone()
    }

    /// The bytes of a job's deck, whatever its state.
    #[must_use]
    pub fn deck(&self, id: &str) -> Option<Bytes> {
        let deck = Arc::clone(&lock(&self.shared.state).job(id)?.plan.deck);
        files::deck_bytes(&deck)
    }

    /// The bytes of a job's PDF, whatever its state.
    #[must_use]
    pub fn pdf(&self, id: &str) -> Option<Bytes> {
        let deck = Arc::clone(&lock(&self.shared.state).job(id)?.plan.deck);
        Some(files::pdf_bytes(&deck))
    }

    /// Every request that arrived at either origin, oldest first.
    #[must_use]
    pub fn requests(&self) -> Vec<RecordedRequest> {
        self.shared.recorder.requests()
    }

    /// The next occurrence of an operation goes wrong; see [`OPERATIONS`](super::OPERATIONS).
    pub fn set_fault(&self, operation: &str, fault: Fault) {
        self.shared.faults.once(operation, fault);
    }

    /// The next occurrences of an operation go wrong.
    pub fn set_fault_times(&self, operation: &str, fault: Fault, times: Times) {
        self.shared.faults.times(operation, fault, times);
    }

    /// All scripts, for what the two short forms cannot say.
    #[must_use]
    pub fn faults(&self) -> &FaultPlan {
        &self.shared.faults
    }

    /// No jobs, charges, uploads, requests or faults; options and addresses stay.
    pub fn reset(&self) {
        self.shared.reset();
    }

    /// Stops and waits for the connections to end.
    pub async fn stop(self) {
        let clock = self.shared.clock.clone();
        self.api.stop(&clock).await;
        self.files.stop(&clock).await;
    }
}
