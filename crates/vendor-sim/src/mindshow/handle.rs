//! Starting the MindShow simulator, and what a test in the same process may ask of it.

use std::io;
use std::sync::{Arc, Mutex};

use bytes::Bytes;

use super::ledger::Charge;
use super::options::Outcome;
use super::state::{Counters, JobView, State};
use super::{MindShowOptions, Shared, api, files};
use crate::control;
use crate::lock::lock;
use crate::server::Site;
use crate::simulator::{Common, Simulator};

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
            common: Common::new(&site.clock),
            link_key: fastrand::u128(..),
            file_base: files.url(),
        });
        let recorder = shared.common.recorder.clone();
        let router = api::router(&shared).merge(control::routes(&shared));
        let api = api.serve("mindshow-api", recorder.clone(), router);
        let files = files.serve("mindshow-files", recorder, files::router(&shared));
        Ok(Simulator::new(shared, api, Some(files)))
    }
}

/// A running simulator; dropping it stops it.
pub type MindShowHandle = Simulator<Shared>;

impl Simulator<Shared> {
    /// Base address of the API, without a slash at the end.
    #[must_use]
    pub fn api_url(&self) -> String {
        self.api.url()
    }

    /// Base address of the file host, without a slash at the end.
    #[must_use]
    pub fn file_url_base(&self) -> String {
        self.shared.file_base.clone()
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

    /// Counts of jobs, polls, downloads and refusals.
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
}
