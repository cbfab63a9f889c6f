//! Starting the WeCom printer simulator, and what a test in the same process may ask of it.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response};
use axum::routing::get;
use bytes::Bytes;
use serde_json::Value;
use tokio::sync::watch;

use super::job::{JobView, NewJob};
use super::state::{DeviceView, LoginStage, Report, State, UploadView};
use super::{
    Outgoing, ReceivedCommand, SentPush, Shared, WeComOptions, control_routes, envelope, websocket,
};
use crate::control;
use crate::fault::Dialect;
use crate::lock::lock;
use crate::server::Site;
use crate::simulator::{Common, Simulator};

/// Only the upgrade is HTTP; faults of commands are told in the protocol's own words.
const DIALECT: Dialect = Dialect {
    error: scripted_error,
    state_field: "",
};

/// The printer cloud.
#[derive(Debug)]
pub struct WeCom;

impl WeCom {
    /// Starts on loopback, in real time.
    ///
    /// # Errors
    ///
    /// The system refuses a socket.
    pub async fn start(options: WeComOptions) -> io::Result<WeComHandle> {
        Self::start_at(&Site::default(), options).await
    }

    /// Starts at an address and by a clock of the caller's choice.
    ///
    /// # Errors
    ///
    /// The address is not loopback and that was not asked for, or the system refuses a socket.
    pub async fn start_at(site: &Site, options: WeComOptions) -> io::Result<WeComHandle> {
        let origin = site.bind().await?;
        let shared = Arc::new(Shared {
            state: Mutex::new(State::new(options)),
            common: Common::new(&site.clock),
            runtime: tokio::runtime::Handle::current(),
            links: Mutex::new(BTreeMap::new()),
            next_link: AtomicU64::new(0),
            commands: Mutex::new(VecDeque::new()),
            pushes: Mutex::new(Vec::new()),
            held: Mutex::new(None),
            stop: watch::Sender::new(false),
        });
        let router = router(&shared)
            .merge(control::routes(&shared))
            .merge(control_routes::routes(&shared));
        let recorder = shared.common.recorder.clone();
        let api = origin.serve("wecom", recorder, router);
        Ok(Simulator::new(shared, api, None))
    }
}

fn router(shared: &Arc<Shared>) -> Router {
    let shared = Arc::clone(shared);
    let on_upgrade = move |request: Request<Body>| {
        let shared = Arc::clone(&shared);
        async move {
            let inner = Arc::clone(&shared);
            let work = |request| async move { websocket::upgrade(&inner, request) };
            shared
                .common
                .faults
                .run("connect", &DIALECT, request, work)
                .await
        }
    };
    // One known client dials the second path, all others the first.
    Router::new()
        .route("/", get(on_upgrade.clone()))
        .route("/websocket", get(on_upgrade))
}

fn scripted_error(code: &Value, message: Option<&str>) -> Response<Body> {
    let text = format!("{code} {}", message.unwrap_or("refused"));
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = axum::http::StatusCode::BAD_REQUEST;
    response
}

/// A running simulator; dropping it stops it.
pub type WeComHandle = Simulator<Shared>;

impl Simulator<Shared> {
    /// `ws://address:port/`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("ws://{}/", self.api.address())
    }

    /// Base of the `/_sim/` paths, without a slash at the end.
    #[must_use]
    pub fn control_url(&self) -> String {
        self.api.url()
    }

    /// Environment variables that point a client here. The directory for its state is the client's own business.
    #[must_use]
    pub fn env(&self) -> Vec<(String, String)> {
        let options = self.options();
        let secret = options.seed_secret_no.unwrap_or(options.secret_no);
        vec![
            ("WECOM_PRINTER_SN".to_owned(), options.sn),
            ("WECOM_PRINTER_SECRET_NO".to_owned(), secret),
            ("WECOM_PRINTER_URL".to_owned(), self.url()),
        ]
    }

    /// A person submits a job; the push follows after a moment. The job's id.
    pub fn add_job(&self, job: NewJob) -> String {
        self.shared.add_job(job)
    }

    /// A person deletes a job; `false` if there is none.
    pub fn delete_job(&self, jobid: &str) -> bool {
        self.shared.delete_job(jobid)
    }

    /// A member scans a code with this state. The jobs released by it; `None` if the printer never asked for such a code.
    pub fn scan(&self, userid: &str, state: &str) -> Option<Vec<String>> {
        self.shared.scan(userid, state)
    }

    /// A company binds the printer.
    pub fn bind(&self) {
        self.shared.bind();
    }

    /// The company lets the printer go.
    pub fn unbind(&self) {
        self.shared.unbind();
    }

    /// Any push to the connections that are online.
    pub fn push(&self, cmd: &str, body: Option<&Value>) {
        self.shared.push(LoginStage::Subscribed, cmd, body);
    }

    /// Any text message to all connections.
    pub fn send_text(&self, text: &str) {
        control_routes::to_all(&self.shared, || Outgoing::Text(text.to_owned()));
    }

    /// Any binary message to all connections.
    pub fn send_binary(&self, bytes: &Bytes) {
        control_routes::to_all(&self.shared, || Outgoing::Binary(bytes.clone()));
    }

    /// Any bytes into the sockets of all connections, past the framing.
    pub fn send_raw(&self, bytes: &Bytes) {
        control_routes::to_all(&self.shared, || Outgoing::Raw(bytes.clone()));
    }

    /// Ends all connections.
    pub fn disconnect(&self) {
        websocket::disconnect(&self.shared);
    }

    /// Binding and the stages of the connections.
    #[must_use]
    pub fn device(&self) -> DeviceView {
        lock(&self.shared.state).device()
    }

    /// All jobs, oldest first, as they stand now.
    #[must_use]
    pub fn jobs(&self) -> Vec<JobView> {
        lock(&self.shared.state).jobs(self.shared.now())
    }

    /// All reports as they came, refused ones included.
    #[must_use]
    pub fn reports(&self) -> Vec<Report> {
        lock(&self.shared.state).reports.clone()
    }

    /// Scans and logs received.
    #[must_use]
    pub fn uploads(&self) -> Vec<UploadView> {
        lock(&self.shared.state).uploads.clone()
    }

    /// What `error_report` and `report_device_feature` said.
    #[must_use]
    pub fn notes(&self) -> Vec<Value> {
        lock(&self.shared.state).notes.clone()
    }

    /// How often each command was carried out; a fault before the work leaves no trace here.
    #[must_use]
    pub fn counters(&self) -> BTreeMap<String, u64> {
        lock(&self.shared.state).counters.clone()
    }

    /// How often the device listed jobs.
    #[must_use]
    pub fn list_requests(&self) -> u64 {
        let counters = self.counters();
        counters.get("printer/get_job_list").copied().unwrap_or(0)
    }

    /// Every command that arrived, oldest first.
    #[must_use]
    pub fn commands(&self) -> Vec<ReceivedCommand> {
        lock(&self.shared.commands).iter().cloned().collect()
    }

    /// Every push handed to a connection, oldest first.
    #[must_use]
    pub fn pushes(&self) -> Vec<SentPush> {
        lock(&self.shared.pushes).clone()
    }

    /// An id as the cloud makes them for pushes, for tests that send their own.
    #[must_use]
    pub fn push_id(&self) -> String {
        envelope::push_id(self.shared.moment().server_unix)
    }
}
