//! Starting the PPJ simulator, and what a test in the same process may ask of it.

use std::io;
use std::sync::Arc;

use bytes::Bytes;

use super::options::Outcome;
use super::state::{CallbackDelivery, Charge, Counters, JobView};
use super::{PpjOptions, Shared, api, bundle, callback, shared};
use crate::clock::Clock;
use crate::control::{self, Controlled};
use crate::fault::{Fault, FaultPlan, Times};
use crate::lock::lock;
use crate::recorder::RecordedRequest;
use crate::server::{Origin, Site};

/// The PPJ conversion service.
#[derive(Debug)]
pub struct Ppj;

impl Ppj {
    /// Starts on loopback, in real time.
    ///
    /// # Errors
    ///
    /// The system refuses a socket.
    pub async fn start(options: PpjOptions) -> io::Result<PpjHandle> {
        Self::start_at(&Site::default(), options).await
    }

    /// Starts at an address and by a clock of the caller's choice.
    ///
    /// # Errors
    ///
    /// The address is not loopback and that was not asked for, or the system refuses a socket.
    pub async fn start_at(site: &Site, options: PpjOptions) -> io::Result<PpjHandle> {
        let bound = site.bind().await?;
        let shared = shared(&site.clock, options);
        let router = api::router(&shared)
            .merge(control::routes(&shared))
            .merge(callback::control(&shared));
        Ok(PpjHandle {
            origin: bound.serve("ppj-api", shared.recorder.clone(), router),
            shared,
        })
    }
}

/// A running simulator; dropping it stops it.
pub struct PpjHandle {
    shared: Arc<Shared>,
    origin: Origin,
}

impl std::fmt::Debug for PpjHandle {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("PpjHandle")
            .field("origin", &self.origin.url())
            .finish_non_exhaustive()
    }
}

impl PpjHandle {
    /// The origin alone, without a slash at the end; the control endpoint is below it.
    #[must_use]
    pub fn origin_url(&self) -> String {
        self.origin.url()
    }

    /// Base address of the access-key API, ends in `/api/`.
    #[must_use]
    pub fn api_url(&self) -> String {
        format!("{}/api/", self.origin.url())
    }

    /// Base address of the signed API, ends in a slash.
    #[must_use]
    pub fn signed_url(&self) -> String {
        format!("{}/", self.origin.url())
    }

    /// Key of the access-key API.
    #[must_use]
    pub fn access_key(&self) -> String {
        self.shared.rule(|options| options.access_key.clone())
    }

    /// AppID of the signed API.
    #[must_use]
    pub fn app_id(&self) -> String {
        self.shared.rule(|options| options.app_id.clone())
    }

    /// AppSecret of the signed API.
    #[must_use]
    pub fn app_secret(&self) -> String {
        self.shared.rule(|options| options.app_secret.clone())
    }

    /// Environment variables that point a client at the access-key API.
    #[must_use]
    pub fn env(&self) -> Vec<(String, String)> {
        vec![
            ("PPJ_ACCESS_KEY".to_owned(), self.access_key()),
            ("PPJ_BASE_URL".to_owned(), self.api_url()),
        ]
    }

    /// Environment variables that point a client at the signed API instead.
    #[must_use]
    pub fn signed_env(&self) -> Vec<(String, String)> {
        vec![
            ("PPJ_APP_ID".to_owned(), self.app_id()),
            ("PPJ_APP_SECRET".to_owned(), self.app_secret()),
            ("PPJ_BASE_URL".to_owned(), self.signed_url()),
        ]
    }

    /// The time of this simulator.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.shared.clock
    }

    /// The rules in force.
    #[must_use]
    pub fn options(&self) -> PpjOptions {
        self.shared.rule(Clone::clone)
    }

    /// Changes the rules from the next request on; jobs under way keep their times and ends.
    pub fn change_options(&self, change: impl FnOnce(&mut PpjOptions)) {
        change(&mut lock(&self.shared.state).options);
    }

    /// Decides the end of the next job that is made; called twice, of the next two.
    pub fn next_outcome(&self, outcome: Outcome) {
        lock(&self.shared.state).next_outcomes.push_back(outcome);
    }

    /// Checks a callback address as the web console does; if it passes, jobs made from now on are told to it.
    ///
    /// # Errors
    ///
    /// Why it did not pass.
    pub async fn verify_callback(&self, url: &str) -> Result<(), String> {
        callback::verify(&self.shared, url).await
    }

    /// All jobs, oldest first, as they stand now.
    #[must_use]
    pub fn jobs(&self) -> Vec<JobView> {
        lock(&self.shared.state).jobs(self.shared.now())
    }

    /// The quota's ledger up to now, oldest first.
    #[must_use]
    pub fn charges(&self) -> Vec<Charge> {
        lock(&self.shared.state).charges(self.shared.now())
    }

    /// Projects left; `None` without limit.
    #[must_use]
    pub fn permanents_left(&self) -> Option<u64> {
        let mut state = lock(&self.shared.state);
        state.settle(self.shared.now());
        state.permanents_left()
    }

    /// Counts of jobs, looks, downloads and refusals.
    #[must_use]
    pub fn counters(&self) -> Counters {
        lock(&self.shared.state).counters.clone()
    }

    /// Callback requests sent so far, address checks included.
    #[must_use]
    pub fn callbacks(&self) -> Vec<CallbackDelivery> {
        lock(&self.shared.state).deliveries.clone()
    }

    /// The bundle's bytes for a job, whatever its state.
    #[must_use]
    pub fn bundle(&self, token: &str) -> Option<Bytes> {
        let source = Arc::clone(&lock(&self.shared.state).job(token)?.source);
        bundle::zip(&source)
    }

    /// Every request that arrived, oldest first.
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

    /// No jobs, charges, requests, faults or callback address; options and addresses stay.
    pub fn reset(&self) {
        self.shared.reset();
    }

    /// Stops and waits for the connections to end.
    pub async fn stop(self) {
        let clock = self.shared.clock.clone();
        self.origin.stop(&clock).await;
    }
}
