//! Starting the TextIn simulator, and what a test in the same process may ask of it.

use std::io;
use std::sync::{Arc, Mutex};

use super::options::Outcome;
use super::state::{Charge, Counters, JobView, State, WebhookDelivery};
use super::{ResultBytes, Shared, TextInOptions, api, result_host};
use crate::clock::Clock;
use crate::control::{self, Controlled};
use crate::fault::{Fault, FaultPlan, Times};
use crate::lock::lock;
use crate::recorder::{RecordedRequest, Recorder};
use crate::server::{Origin, Site};

/// The TextIn xParse service.
#[derive(Debug)]
pub struct TextIn;

impl TextIn {
    /// Starts on loopback, in real time.
    ///
    /// # Errors
    ///
    /// The system refuses a socket.
    pub async fn start(options: TextInOptions) -> io::Result<TextInHandle> {
        Self::start_at(&Site::default(), options).await
    }

    /// Starts at an address and by a clock of the caller's choice.
    ///
    /// # Errors
    ///
    /// The address is not loopback and that was not asked for, or the system refuses a socket.
    pub async fn start_at(site: &Site, options: TextInOptions) -> io::Result<TextInHandle> {
        let (api, results) = (site.bind().await?, site.bind().await?);
        let shared = Arc::new(Shared {
            state: Mutex::new(State::new(options)),
            clock: site.clock.clone(),
            recorder: Recorder::new(site.clock.clone()),
            faults: FaultPlan::default(),
            link_key: fastrand::u128(..),
            result_base: results.url(),
        });
        let recorder = shared.recorder.clone();
        let router = api::router(&shared).merge(control::routes(&shared));
        Ok(TextInHandle {
            api: api.serve("textin-api", recorder.clone(), router),
            results: results.serve("textin-result", recorder, result_host::router(&shared)),
            shared,
        })
    }
}

/// A running simulator; dropping it stops it.
pub struct TextInHandle {
    shared: Arc<Shared>,
    api: Origin,
    results: Origin,
}

impl std::fmt::Debug for TextInHandle {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("TextInHandle")
            .field("api", &self.api.url())
            .finish_non_exhaustive()
    }
}

impl TextInHandle {
    /// Base address of the API, without a slash at the end.
    #[must_use]
    pub fn api_url(&self) -> String {
        self.api.url()
    }

    /// Base address of the result host, without a slash at the end.
    #[must_use]
    pub fn result_url_base(&self) -> String {
        self.results.url()
    }

    /// The first account's `x-ti-app-id`.
    #[must_use]
    pub fn app_id(&self) -> String {
        self.shared.rule(|options| options.app_id.clone())
    }

    /// The first account's `x-ti-secret-code`.
    #[must_use]
    pub fn secret_code(&self) -> String {
        self.shared.rule(|options| options.secret_code.clone())
    }

    /// Environment variables that point a client here.
    #[must_use]
    pub fn env(&self) -> Vec<(String, String)> {
        vec![
            ("TEXTIN_APP_ID".to_owned(), self.app_id()),
            ("TEXTIN_SECRET_CODE".to_owned(), self.secret_code()),
            ("TEXTIN_SERVER_URL".to_owned(), self.api_url()),
        ]
    }

    /// The time of this simulator.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.shared.clock
    }

    /// The rules in force.
    #[must_use]
    pub fn options(&self) -> TextInOptions {
        self.shared.options()
    }

    /// Changes the rules from the next request on; jobs under way keep their times and ends.
    pub fn change_options(&self, change: impl FnOnce(&mut TextInOptions)) {
        change(&mut lock(&self.shared.state).options);
    }

    /// Decides the end of the next job that is made; called twice, of the next two.
    pub fn next_outcome(&self, outcome: Outcome) {
        lock(&self.shared.state).next_outcomes.push_back(outcome);
    }

    /// All jobs, oldest first, as they stand now.
    #[must_use]
    pub fn jobs(&self) -> Vec<JobView> {
        lock(&self.shared.state).jobs(self.shared.now())
    }

    /// The ledger: every charge up to now, oldest first.
    #[must_use]
    pub fn charges(&self) -> Vec<Charge> {
        lock(&self.shared.state).charges(self.shared.now())
    }

    /// Counts of jobs, looks, downloads and refusals.
    #[must_use]
    pub fn counters(&self) -> Counters {
        lock(&self.shared.state).counters.clone()
    }

    /// Webhook requests sent so far.
    #[must_use]
    pub fn webhooks(&self) -> Vec<WebhookDelivery> {
        lock(&self.shared.state).deliveries.clone()
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

    /// The bytes that the result host serves for a job; `None` before its end or without a result.
    #[must_use]
    pub fn result_bytes(&self, job_id: &str) -> Option<ResultBytes> {
        let job = lock(&self.shared.state)
            .finished(job_id, self.shared.now())?
            .clone();
        let form = self.shared.rule(|options| options.result_form);
        self.shared.result_bytes(&job, form, None)
    }

    /// No jobs, charges, requests or faults; options and addresses stay.
    pub fn reset(&self) {
        self.shared.reset();
    }

    /// Stops and waits for the connections to end.
    pub async fn stop(self) {
        let clock = self.shared.clock.clone();
        self.api.stop(&clock).await;
        self.results.stop(&clock).await;
    }
}
