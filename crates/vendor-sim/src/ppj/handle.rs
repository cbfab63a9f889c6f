//! Starting the PPJ simulator, and what a test in the same process may ask of it.

use std::io;
use std::sync::Arc;

use bytes::Bytes;

use super::options::Outcome;
use super::state::{CallbackDelivery, Charge, Counters, JobView};
use super::{PpjOptions, Shared, api, bundle, callback, shared};
use crate::control;
use crate::lock::lock;
use crate::server::Site;
use crate::simulator::Simulator;

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
        let api = bound.serve("ppj-api", shared.common.recorder.clone(), router);
        Ok(Simulator::new(shared, api, None))
    }
}

/// A running simulator; dropping it stops it.
pub type PpjHandle = Simulator<Shared>;

impl Simulator<Shared> {
    /// The origin alone, without a slash at the end; the control endpoint is below it.
    #[must_use]
    pub fn origin_url(&self) -> String {
        self.api.url()
    }

    /// Base address of the access-key API, ends in `/api/`.
    #[must_use]
    pub fn api_url(&self) -> String {
        format!("{}/api/", self.api.url())
    }

    /// Base address of the signed API, ends in a slash.
    #[must_use]
    pub fn signed_url(&self) -> String {
        format!("{}/", self.api.url())
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

    /// Counts of jobs, polls, downloads and refusals.
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
}
