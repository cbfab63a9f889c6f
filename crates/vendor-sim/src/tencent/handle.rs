//! Starting the Tencent e-sign simulator, and what a test in the same process may ask of it.

use std::io;
use std::sync::{Arc, Mutex};

use bytes::Bytes;

use super::request_checks::Host;
use super::state::{Charge, Counters, FileView, State, TaskView};
use super::{Shared, TaskOutcome, TencentOptions, api};
use crate::control;
use crate::lock::lock;
use crate::pdf;
use crate::server::Site;
use crate::simulator::{Common, Simulator};

/// The e-sign service.
#[derive(Debug)]
pub struct Tencent;

impl Tencent {
    /// Starts on loopback, in real time.
    ///
    /// # Errors
    ///
    /// The system refuses a socket.
    pub async fn start(options: TencentOptions) -> io::Result<TencentHandle> {
        Self::start_at(&Site::default(), options).await
    }

    /// Starts at an address and by a clock of the caller's choice.
    ///
    /// # Errors
    ///
    /// The address is not loopback and that was not asked for, or the system refuses a socket.
    pub async fn start_at(site: &Site, options: TencentOptions) -> io::Result<TencentHandle> {
        let (general, upload) = (site.bind().await?, site.bind().await?);
        let shared = Arc::new(Shared {
            state: Mutex::new(State::new(options)),
            common: Common::new(&site.clock),
            upload_base: upload.url(),
            link_key: fastrand::u128(..),
        });
        let recorder = shared.common.recorder.clone();
        let on = |host| api::router(&shared, host).merge(control::routes(&shared));
        let general = general.serve("tencent-general", recorder.clone(), on(Host::General));
        let upload = upload.serve("tencent-upload", recorder, on(Host::Upload));
        Ok(Simulator::new(shared, general, Some(upload)))
    }
}

/// A running simulator; dropping it stops it.
pub type TencentHandle = Simulator<Shared>;

impl Simulator<Shared> {
    /// Address of the general host, without a slash at the end.
    #[must_use]
    pub fn general_url(&self) -> String {
        self.api.url()
    }

    /// Address of the upload host, without a slash at the end.
    #[must_use]
    pub fn upload_url(&self) -> String {
        self.shared.upload_base.clone()
    }

    /// Environment variables that point a client here.
    #[must_use]
    pub fn env(&self) -> Vec<(String, String)> {
        let options = self.options();
        let mut env = vec![
            ("TENCENTCLOUD_SECRET_ID", options.secret_id),
            ("TENCENTCLOUD_SECRET_KEY", options.secret_key),
            ("TENCENT_ESS_APP_ID", options.app_id),
            ("TENCENT_ESS_ORG_OPEN_ID", options.org_open_id),
            ("TENCENT_ESS_OPERATOR_OPEN_ID", options.operator_open_id),
            ("TENCENT_ESS_ENDPOINT", self.general_url()),
            ("TENCENT_ESS_UPLOAD_ENDPOINT", self.upload_url()),
        ];
        env.extend(
            options
                .session_token
                .map(|token| ("TENCENTCLOUD_SESSION_TOKEN", token)),
        );
        env.into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect()
    }

    /// Decides the end of the next task that is made; called twice, of the next two.
    pub fn next_outcome(&self, outcome: TaskOutcome) {
        lock(&self.shared.state).next_outcomes.push_back(outcome);
    }

    /// All files ever stored, oldest first.
    #[must_use]
    pub fn files(&self) -> Vec<FileView> {
        lock(&self.shared.state).files()
    }

    /// All tasks, oldest first, as they stand now.
    #[must_use]
    pub fn tasks(&self) -> Vec<TaskView> {
        lock(&self.shared.state).tasks(self.shared.now())
    }

    /// The ledger: one entry for each task made, oldest first.
    #[must_use]
    pub fn charges(&self) -> Vec<Charge> {
        lock(&self.shared.state).charges()
    }

    /// Counts of uploads, tasks, queries and refusals.
    #[must_use]
    pub fn counters(&self) -> Counters {
        lock(&self.shared.state).counters.clone()
    }

    /// The PDF behind a `ResourceId` that a finished task handed out: the words of the uploaded file, or its name, size
    /// and digest. The same bytes each time.
    #[must_use]
    pub fn pdf(&self, resource_id: &str) -> Option<Bytes> {
        let order = lock(&self.shared.state).result(resource_id, self.shared.now())?;
        let lines: Vec<&str> = order.lines.iter().map(String::as_str).collect();
        Some(pdf::of_lines(&lines))
    }
}
