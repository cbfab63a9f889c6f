//! Starting the TextIn simulator, and what a test in the same process may ask of it.

use std::io;
use std::sync::{Arc, Mutex};

use super::options::Outcome;
use super::state::{Charge, Counters, JobView, State, WebhookDelivery};
use super::{ResultBytes, Shared, TextInOptions, api, result_host};
use crate::control;
use crate::lock::lock;
use crate::server::Site;
use crate::simulator::{Common, Simulator};

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
            common: Common::new(&site.clock),
            link_key: fastrand::u128(..),
            result_base: results.url(),
        });
        let recorder = shared.common.recorder.clone();
        let router = api::router(&shared).merge(control::routes(&shared));
        let api = api.serve("textin-api", recorder.clone(), router);
        let results = results.serve("textin-result", recorder, result_host::router(&shared));
        Ok(Simulator::new(shared, api, Some(results)))
    }
}

/// A running simulator; dropping it stops it.
pub type TextInHandle = Simulator<Shared>;

impl Simulator<Shared> {
    /// Base address of the API, without a slash at the end.
    #[must_use]
    pub fn api_url(&self) -> String {
        self.api.url()
    }

    /// Base address of the result host, without a slash at the end.
    #[must_use]
    pub fn result_url_base(&self) -> String {
        self.shared.result_base.clone()
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

    /// Counts of jobs, polls, downloads and refusals.
    #[must_use]
    pub fn counters(&self) -> Counters {
        lock(&self.shared.state).counters.clone()
    }

    /// Webhook requests sent so far.
    #[must_use]
    pub fn webhooks(&self) -> Vec<WebhookDelivery> {
        lock(&self.shared.state).deliveries.clone()
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
}
