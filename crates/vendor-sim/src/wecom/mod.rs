//! The WeCom smart printer simulator: the cloud that a printer logs in to over a WebSocket, with people who submit,
//! delete and scan.
//!
//! One printer a simulator. Not wrapped: the HTTPS flavour, firmware downloads, other kinds of devices.

mod control_routes;
mod envelope;
mod fault_delivery;
mod frame;
mod handle;
mod job;
mod options;
mod picture;
mod sign;
mod state;
mod websocket;

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};

pub use self::handle::{WeCom, WeComHandle};
pub use self::job::{JobFile, JobView, NewJob};
pub use self::options::{
    ErrorText, HeaderMode, PastEnd, PushMode, ReportNumbering, SecondLink, UnboundActive,
    WeComOptions,
};
pub use self::state::{DeviceView, LoginStage, Report, UploadView};

use self::state::{Moment, State};
use crate::clock::seconds;
use crate::lock::lock;
use crate::simulator::{Common, Simulated};

/// Operations that faults can be scripted for: the HTTP upgrade, and the commands by their names.
pub const OPERATIONS: &[&str] = &[
    "connect",
    "get_timestamp",
    "get_secret_no",
    "register",
    "active",
    "subscribe_corp",
    "ping",
    "get_corp_info",
    "error_report",
    "report_device_feature",
    "gen_login_qrcode",
    "upload_log",
    "printer/get_job_list",
    "printer/download_file",
    "printer/report_job_status",
    "printer/gen_qrcode",
    "printer/upload_scan_file",
    "other",
];

/// How often and with which pauses (real time) a stop looks for connections that have not ended.
const STOP_POLLS: u32 = 400;
const STOP_POLL: Duration = Duration::from_millis(5);

/// Commands kept; older ones are forgotten, the counters are not.
const KEPT: usize = 100_000;

/// A command as it arrived.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ReceivedCommand {
    /// Number of the connection.
    pub link: u64,
    /// Its name.
    pub cmd: String,
    /// The device's id for it.
    pub req_id: String,
    /// Its body, or the arguments of an upload.
    pub body: Value,
    /// The code answered, before any fault.
    pub code: i64,
    /// Arrival in virtual Unix seconds.
    pub arrived_unix: f64,
    /// Arrival in real seconds since the start.
    pub arrived_real: f64,
}

/// A push that was handed to a connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SentPush {
    /// Number of the connection.
    pub link: u64,
    /// Its name.
    pub cmd: String,
    /// The cloud's id for it.
    pub req_id: String,
    /// The whole message.
    pub text: String,
}

/// What a connection is asked to send by somebody else than its own device.
#[derive(Debug)]
pub(crate) enum Outgoing {
    Text(String),
    Binary(Bytes),
    /// Bytes for the socket itself, behind the last whole message.
    Raw(Bytes),
    Close,
}

/// What all connections share.
#[doc(hidden)]
#[derive(Debug)]
pub struct Shared {
    state: Mutex<State>,
    common: Common,
    runtime: tokio::runtime::Handle,
    links: Mutex<BTreeMap<u64, mpsc::UnboundedSender<Outgoing>>>,
    next_link: AtomicU64,
    commands: Mutex<VecDeque<ReceivedCommand>>,
    pushes: Mutex<Vec<SentPush>>,
    /// A push that waits for the next one to overtake it.
    held: Mutex<Option<SentPush>>,
    stop: watch::Sender<bool>,
}

impl Shared {
    fn now(&self) -> Duration {
        self.common.clock.now()
    }

    fn wall(&self) -> Duration {
        self.common.clock.wall_of(self.now())
    }

    fn moment(&self) -> Moment {
        let skew = self.rule(|options| options.clock_skew_seconds);
        Moment {
            now: self.now(),
            server_unix: self.wall().as_secs().saturating_add_signed(skew),
        }
    }

    fn options(&self) -> WeComOptions {
        lock(&self.state).options.clone()
    }

    fn rule<T>(&self, read: impl FnOnce(&WeComOptions) -> T) -> T {
        read(&lock(&self.state).options)
    }

    fn next_link(&self) -> u64 {
        self.next_link.fetch_add(1, Ordering::Relaxed) + 1
    }

    fn note_command(&self, command: ReceivedCommand) {
        let mut commands = lock(&self.commands);
        if commands.len() == KEPT {
            commands.pop_front();
        }
        commands.push_back(command);
    }

    /// Hands something to a connection; gone ones do not matter.
    fn send(&self, link: u64, outgoing: Outgoing) {
        if let Some(sender) = lock(&self.links).get(&link) {
            // The connection ended a moment ago: the same as not being there.
            let _ = sender.send(outgoing);
        }
    }

    /// A push to every connection that has reached a stage, now.
    fn push(&self, stage: LoginStage, cmd: &str, body: Option<&Value>) {
        let mode = self.rule(|options| options.push_mode);
        let req_id = envelope::push_id(self.moment().server_unix);
        let text = envelope::push(cmd, body, &req_id).to_string();
        let links = lock(&self.state).links_from(stage);
        for link in links {
            let push = SentPush {
                link,
                cmd: cmd.to_owned(),
                req_id: req_id.clone(),
                text: text.clone(),
            };
            let now = match mode {
                PushMode::Once => vec![push],
                PushMode::Duplicate => vec![push.clone(), push],
                PushMode::Lost => vec![],
                PushMode::Swapped => self.swapped(push),
            };
            for push in now {
                self.send(link, Outgoing::Text(push.text.clone()));
                lock(&self.pushes).push(push);
            }
        }
    }

    /// The first of two waits for the second, which overtakes it.
    fn swapped(&self, push: SentPush) -> Vec<SentPush> {
        let mut held = lock(&self.held);
        match held.take() {
            Some(first) => vec![push, first],
            None => {
                *held = Some(push);
                vec![]
            }
        }
    }

    fn add_job(self: &Arc<Self>, new: NewJob) -> String {
        let now = self.now();
        let waits = new.waits_for_scan;
        let id = lock(&self.state).add_job(new, now, self.wall());
        if !waits {
            self.announce(vec![id.clone()]);
        }
        id
    }

    /// Pushes the arrival of jobs a moment later, to whoever is online then.
    fn announce(self: &Arc<Self>, ids: Vec<String>) {
        let (delay, jitter) =
            self.rule(|options| (options.push_seconds, options.push_jitter_seconds));
        let due = self.now() + seconds(delay + jitter * fastrand::f64());
        let shared = Arc::clone(self);
        self.runtime.spawn(async move {
            tokio::select! {
                () = shared.common.clock.sleep_until(due) => {}
                () = shared.stopped() => return,
            }
            let body = json!({ "jobid_list": ids });
            shared.push(LoginStage::Subscribed, "push_printer_job", Some(&body));
        });
    }

    fn delete_job(&self, id: &str) -> bool {
        let listed = lock(&self.state).listed(id);
        let deleted = lock(&self.state).delete_job(id);
        if deleted && listed {
            let body = json!({"jobid_list": [id]});
            self.push(LoginStage::Subscribed, "push_del_printer_job", Some(&body));
        }
        deleted
    }

    fn scan(self: &Arc<Self>, userid: &str, state: &str) -> Option<Vec<String>> {
        let released = lock(&self.state).scan(userid, state)?;
        let body = json!({
            "userid": userid, "op_type": "scan_qrcode_open", "oper_id": state::hexadecimal(), "state": state,
            "user_type": 0,
        });
        self.push(LoginStage::Subscribed, "push_user_scan", Some(&body));
        if !released.is_empty() {
            self.announce(released.clone());
        }
        Some(released)
    }

    /// Ends when the simulator does.
    async fn stopped(&self) {
        // The sender lives here, so there is no error.
        drop(self.stop.subscribe().wait_for(|stop| *stop).await);
    }

    fn bind(&self) {
        lock(&self.state).bind();
        self.push(LoginStage::Registered, "push_bind_corp", None);
    }

    fn unbind(&self) {
        lock(&self.state).unbind();
        self.push(LoginStage::Registered, "push_unbind_corp", None);
    }
}

impl Simulated for Shared {
    type Options = WeComOptions;
    const OPERATIONS: &'static [&'static str] = OPERATIONS;

    fn common(&self) -> &Common {
        &self.common
    }

    fn state(&self) -> Value {
        let now = self.now();
        let mut state = lock(&self.state);
        json!({
            "now": now.as_secs_f64(),
            "device": state.device(),
            "jobs": state.jobs(now),
            "reports": state.reports,
            "uploads": state.uploads,
            "notes": state.notes,
            "counters": state.counters,
            "pushes": *lock(&self.pushes),
            "commands": *lock(&self.commands),
            "requests": self.common.recorder.total(),
            "pending_faults": self.common.faults.pending(),
        })
    }

    fn end(&self) {
        self.stop.send_replace(true);
    }

    /// A moment for the connections to say good-bye; one that does not read is left behind.
    async fn ended(&self) {
        for _ in 0..STOP_POLLS {
            if lock(&self.links).is_empty() {
                return;
            }
            let pause = std::future::pending::<()>();
            self.common.clock.within_real(STOP_POLL, pause).await;
        }
    }

    fn with_options<T>(&self, act: impl FnOnce(&mut WeComOptions) -> T) -> T {
        act(&mut lock(&self.state).options)
    }

    fn clear(&self) {
        lock(&self.state).reset();
        lock(&self.commands).clear();
        lock(&self.pushes).clear();
        lock(&self.held).take();
    }
}
