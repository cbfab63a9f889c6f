//! The printer as the cloud knows it: a pure state machine that is told the time. Links log in step by step; only the
//! last step may list, download and report.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use serde_json::{Value, json};

use super::job::{Job, JobView, NewJob};
use super::options::{PastEnd, ReportNumbering, SecondLink, UnboundActive, WeComOptions};
use super::picture;
use super::sign::signature;
use crate::clock::seconds;

/// Tolerated difference between the clocks.
const TOLERANCE: u64 = 300;

/// How far a connection has logged in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LoginStage {
    /// Nothing yet.
    Connected,
    /// `register` went well.
    Registered,
    /// `active` went well.
    Activated,
    /// `subscribe_corp` went well: online.
    Subscribed,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) options: WeComOptions,
    pub(crate) counters: BTreeMap<String, u64>,
    pub(crate) reports: Vec<Report>,
    pub(crate) uploads: Vec<UploadView>,
    pub(crate) notes: Vec<Value>,
    links: BTreeMap<u64, LoginStage>,
    jobs: Vec<Job>,
    codes: BTreeSet<String>,
    bound: bool,
    exchanged: bool,
    active_code: Option<String>,
    secret: Option<String>,
}

/// A report as it came, in the device's numbers.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// The job.
    pub jobid: String,
    /// The number sent.
    pub status: Value,
    /// `errcode` as sent.
    pub errcode: Value,
    /// `errmsg` as sent.
    pub errmsg: Value,
    /// The cloud's answer; 0 is an accepted report.
    pub answer: i64,
    /// When, in virtual Unix seconds.
    pub at_unix: f64,
}

/// A file that the device sent: a scan or a log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UploadView {
    /// The command.
    pub cmd: String,
    /// The member who gets a scan.
    pub userid: Option<String>,
    /// The scan's name.
    pub filename: Option<String>,
    /// The bytes.
    #[serde(skip)]
    pub data: Bytes,
}

/// The device as tests see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DeviceView {
    /// A company has bound it.
    pub bound: bool,
    /// It has exchanged the shared secret for its own.
    pub exchanged: bool,
    /// The stage of each connection.
    pub links: Vec<LoginStage>,
}

impl DeviceView {
    /// Whether a connection is online.
    #[must_use]
    pub fn online(&self) -> bool {
        self.links.contains(&LoginStage::Subscribed)
    }
}

/// A command that arrived.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) cmd: String,
    pub(crate) body: Value,
    /// The bytes of an upload.
    pub(crate) data: Bytes,
}

/// What the cloud says to it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Reply {
    pub(crate) code: i64,
    pub(crate) text: String,
    pub(crate) body: Option<Value>,
    /// A binary message instead of JSON.
    pub(crate) file: Option<Bytes>,
    /// Links to be closed.
    pub(crate) close: Vec<u64>,
}

impl Reply {
    pub(crate) fn ok(body: Option<Value>) -> Self {
        Self {
            code: 0,
            text: "ok".to_owned(),
            body,
            file: None,
            close: Vec::new(),
        }
    }

    pub(crate) fn refused(code: i64, text: &str) -> Self {
        Self {
            code,
            text: text.to_owned(),
            ..Self::ok(None)
        }
    }

    fn file(bytes: Bytes) -> Self {
        Self {
            file: Some(bytes),
            ..Self::ok(None)
        }
    }
}

/// When something happens: on the virtual clock, and on the cloud's own calendar in Unix seconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    pub(crate) now: Duration,
    pub(crate) server_unix: u64,
}

impl State {
    pub(crate) fn new(options: WeComOptions) -> Self {
        Self {
            bound: options.bound,
            secret: options.bound.then(hexadecimal),
            options,
            ..Self::default()
        }
    }

    /// Everything as at the start, but for the connections that are there.
    pub(crate) fn reset(&mut self) {
        let links = self.links.keys().map(|link| (*link, LoginStage::Connected));
        *self = Self {
            links: links.collect(),
            ..Self::new(self.options.clone())
        };
    }

    pub(crate) fn connected(&mut self, link: u64) {
        self.links.insert(link, LoginStage::Connected);
    }

    pub(crate) fn disconnected(&mut self, link: u64) {
        self.links.remove(&link);
    }

    /// Connections that have reached a stage.
    pub(crate) fn links_from(&self, stage: LoginStage) -> Vec<u64> {
        let reached = self.links.iter().filter(|(_, at)| **at >= stage);
        reached.map(|(link, _)| *link).collect()
    }

    pub(crate) fn device(&self) -> DeviceView {
        DeviceView {
            bound: self.bound,
            exchanged: self.exchanged,
            links: self.links.values().copied().collect(),
        }
    }

    /// A company binds the device.
    pub(crate) fn bind(&mut self) {
        if !self.bound {
            self.bound = true;
            self.secret = Some(hexadecimal());
        }
    }

    /// The company lets it go: the secret is void, and whoever was online must activate again.
    pub(crate) fn unbind(&mut self) {
        self.bound = false;
        self.secret = None;
        for stage in self.links.values_mut() {
            *stage = (*stage).min(LoginStage::Registered);
        }
    }

    /// A person submits a job. Whether a push is due is the caller's business.
    pub(crate) fn add_job(&mut self, new: NewJob, now: Duration, wall: Duration) -> String {
        let id = format!("printer_job_{}_{}", wall.as_secs(), hexadecimal());
        self.jobs.push(Job::new(id.clone(), new, now, wall));
        id
    }

    /// A person deletes a job.
    pub(crate) fn delete_job(&mut self, id: &str) -> bool {
        let before = self.jobs.len();
        self.jobs.retain(|job| job.id != id);
        self.jobs.len() < before
    }

    /// A person scans a code that the device once asked for. The jobs that waited for it.
    pub(crate) fn scan(&mut self, userid: &str, state: &str) -> Option<Vec<String>> {
        self.codes.get(state)?;
        let waiting = self
            .jobs
            .iter_mut()
            .filter(|job| job.new.userid == userid && !job.listed());
        Some(
            waiting
                .map(|job| {
                    job.scanned = Some(state.to_owned());
                    job.id.clone()
                })
                .collect(),
        )
    }

    pub(crate) fn listed(&self, id: &str) -> bool {
        self.jobs.iter().any(|job| job.id == id && job.listed())
    }

    pub(crate) fn jobs(&mut self, now: Duration) -> Vec<JobView> {
        self.purge(now);
        self.jobs.iter().map(Job::view).collect()
    }

    /// Answers a command.
    pub(crate) fn answer(&mut self, link: u64, asked: &Asked, at: Moment) -> Reply {
        *self.counters.entry(asked.cmd.clone()).or_default() += 1;
        let Some(stage) = self.links.get(&link).copied() else {
            return Reply::refused(600_014, "device not registered");
        };
        let body = &asked.body;
        match asked.cmd.as_str() {
            "get_timestamp" => Reply::ok(Some(json!({ "timestamp": at.server_unix }))),
            "ping" => Reply::ok(None),
            "get_secret_no" => self.exchange(body, at),
            "register" => self.register(link, stage, body, at),
            "active" => self.activate(link, stage, body),
            "subscribe_corp" => self.subscribe(link, stage, body),
            cmd if stage < LoginStage::Subscribed => too_early(cmd, stage),
            "get_corp_info" => Reply::ok(Some(json!({ "corp_name": self.options.corp_name }))),
            "error_report" | "report_device_feature" => {
                self.notes
                    .push(json!({"cmd": asked.cmd, "body": asked.body}));
                Reply::ok(None)
            }
            "gen_login_qrcode" | "printer/gen_qrcode" => self.code(body),
            "upload_log" => self.keep_upload(asked, None, None),
            "printer/get_job_list" => self.list(body, at.now),
            "printer/download_file" => self.download(body, at.now),
            "printer/report_job_status" => self.report(body, at.now),
            "printer/upload_scan_file" => self.scan_file(asked),
            _ => self.senseless("unknown cmd"),
        }
    }

    fn senseless(&self, text: &str) -> Reply {
        Reply::refused(self.options.bad_request_code, text)
    }

    fn signed(&self, body: &Value, secret: &str, word: &str, at: Moment) -> Result<(), Reply> {
        let part = |name: &str, code: i64| {
            text(body, name)
                .filter(|text| !text.is_empty())
                .ok_or_else(|| Reply::refused(code, &format!("missing {name}")))
        };
        let sn = part("sn", 600_007)?;
        let nonce = part("nonce", 600_008)?;
        let timestamp = part("timestamp", 600_009)?;
        let sent = part("device_signature", 600_010)?;
        if sn != self.options.sn {
            return Err(Reply::refused(600_001, "invalid sn"));
        }
        let fresh = timestamp
            .parse::<u64>()
            .is_ok_and(|timestamp| timestamp.abs_diff(at.server_unix) <= TOLERANCE);
        if !fresh {
            return Err(Reply::refused(600_023, "timestamp expired"));
        }
        if sent != signature(&[&sn, secret, &timestamp, &nonce, word]) {
            return Err(Reply::refused(600_011, "invalid device signature"));
        }
        Ok(())
    }

    fn exchange(&mut self, body: &Value, at: Moment) -> Reply {
        // The text of the secret kind is checked first: without a shared secret there is nothing to check against.
        let Some(seed) = self.options.seed_secret_no.clone() else {
            return Reply::refused(600_047, "secretno status illegal");
        };
        if self.active_code.is_some() {
            return Reply::refused(600_047, "secretno status illegal");
        }
        if let Err(refused) = self.signed(body, &seed, "secret_no", at) {
            return refused;
        }
        self.exchanged = true;
        Reply::ok(Some(json!({ "secret_no": self.options.secret_no })))
    }

    fn register(&mut self, link: u64, stage: LoginStage, body: &Value, at: Moment) -> Reply {
        let own = self.options.secret_no.clone();
        if let Err(refused) = self.signed(body, &own, "register", at) {
            return refused;
        }
        if self.options.seed_secret_no.is_some() && !self.exchanged {
            return Reply::refused(600_047, "secretno status illegal");
        }
        if stage > LoginStage::Connected {
            return Reply::refused(self.options.second_register_code, "device has registered");
        }
        let others = self.links_from(LoginStage::Registered);
        if !others.is_empty() {
            match self.options.second_link {
                SecondLink::Refuse => return Reply::refused(600_002, "device has registered"),
                SecondLink::Replace => others.iter().for_each(|other| self.disconnected(*other)),
            }
        }
        self.links.insert(link, LoginStage::Registered);
        let code = self.active_code.get_or_insert_with(hexadecimal);
        Reply {
            close: others,
            ..Reply::ok(Some(json!({ "active_code": code })))
        }
    }

    fn activate(&mut self, link: u64, stage: LoginStage, body: &Value) -> Reply {
        let code = text(body, "active_code").unwrap_or_default();
        if stage < LoginStage::Registered {
            return Reply::refused(600_014, "device not registered");
        }
        if code.is_empty() {
            return Reply::refused(600_013, "missing active code");
        }
        if self.active_code.as_ref() != Some(&code) {
            return Reply::refused(600_003, "invalid active code");
        }
        if stage > LoginStage::Registered {
            return Reply::refused(600_053, "link has been activated");
        }
        let Some(secret) = &self.secret else {
            return match self.options.unbound_active {
                UnboundActive::Code => Reply::refused(600_004, "device not authorized"),
                UnboundActive::EmptySecret => Reply {
                    body: Some(json!({"secret": ""})),
                    ..Reply::refused(-1, "system error")
                },
            };
        };
        let reached = if self.options.subscribed_by_active {
            LoginStage::Subscribed
        } else {
            LoginStage::Activated
        };
        self.links.insert(link, reached);
        Reply::ok(Some(json!({ "secret": secret })))
    }

    fn subscribe(&mut self, link: u64, stage: LoginStage, body: &Value) -> Reply {
        let secret = text(body, "secret").unwrap_or_default();
        if stage < LoginStage::Registered {
            return Reply::refused(600_014, "device not registered");
        }
        if secret.is_empty() {
            return Reply::refused(600_015, "missing secret");
        }
        if self.secret.as_ref() != Some(&secret) {
            return Reply::refused(600_005, "invalid secret");
        }
        if stage < LoginStage::Activated {
            return Reply::refused(600_016, "device not activated");
        }
        if text(body, "firmware_version").is_none_or(|version| version.is_empty()) {
            return Reply::refused(600_030, "missing firmware version");
        }
        if stage == LoginStage::Subscribed {
            return Reply::refused(self.options.subscribed_code, "has subscribed");
        }
        self.links.insert(link, LoginStage::Subscribed);
        Reply::ok(None)
    }

    fn code(&mut self, body: &Value) -> Reply {
        let Some(state) = text(body, "state").filter(|state| !state.is_empty()) else {
            return self.senseless("missing state");
        };
        if number(body, "format_version") != Some(1) {
            return self.senseless("unknown format_version");
        }
        self.codes.insert(state.clone());
        Reply::file(picture::png(&state).into())
    }

    fn list(&mut self, body: &Value, now: Duration) -> Reply {
        self.purge(now);
        let ids = body.get("jobid_list").and_then(Value::as_array);
        let ids: Option<BTreeSet<&str>> = ids
            .filter(|ids| !ids.is_empty())
            .map(|ids| ids.iter().filter_map(Value::as_str).collect());
        let userid =
            text(body, "userid").filter(|_| ids.is_none() || self.options.userid_filters_ids);
        let status = number(body, "status").filter(|_| ids.is_none());
        let fitting = self.jobs.iter().filter(|job| {
            job.listed()
                && userid
                    .as_ref()
                    .is_none_or(|userid| job.new.userid == *userid)
                && status.is_none_or(|status| u64::from(job.status) == status)
                && ids.as_ref().is_none_or(|ids| ids.contains(job.id.as_str()))
        });
        let page = |name| number(body, name).and_then(|number| usize::try_from(number).ok());
        let (skip, take) = match (page("offset"), page("limit")) {
            // Paging needs both; two zeros were seen to give everything.
            (Some(offset), Some(limit)) if ids.is_none() && limit > 0 => (offset, limit),
            (Some(offset), Some(_)) if ids.is_none() && offset > 0 => {
                return Reply::refused(600_041, "invalid offset or limit");
            }
            _ => (0, usize::MAX),
        };
        let items: Vec<Value> = fitting
            .skip(skip)
            .take(take)
            .map(|job| job.item(&self.options))
            .collect();
        Reply::ok(Some(json!({ "printer_job_list": items })))
    }

    fn download(&mut self, body: &Value, now: Duration) -> Reply {
        self.purge(now);
        if number(body, "format_version") != Some(1) {
            return self.senseless("unknown format_version");
        }
        let (most, past_end) = (self.options.max_file_bytes, self.options.past_end);
        let Some(job) = self.named(body) else {
            return Reply::refused(600_040, "printer job not exist");
        };
        if job.bytes.is_empty() || job.bytes.len() > most {
            return Reply::refused(-1, "system error");
        }
        let invalid = || Reply::refused(600_041, "invalid offset or limit");
        let given = |name| body.get(name).map(|_| number(body, name));
        let (offset, limit) = match (given("offset"), given("limit")) {
            (Some(None), _) | (_, Some(None)) => return invalid(),
            (offset, limit) => (offset.flatten().unwrap_or(0), limit.flatten()),
        };
        let size = job.bytes.len();
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let left = size.saturating_sub(start);
        let length = match limit {
            None => left,
            Some(0) if offset == 0 => left,
            Some(0) => return invalid(),
            Some(limit) => usize::try_from(limit).unwrap_or(usize::MAX).min(left),
        };
        if left == 0 && past_end == PastEnd::Refuse {
            return invalid();
        }
        job.downloads += 1;
        let start = start.min(size);
        Reply::file(job.bytes.slice(start..start + length))
    }

    fn report(&mut self, body: &Value, now: Duration) -> Reply {
        self.purge(now);
        let reply = self.take_report(body);
        let field = |name: &str| body.get(name).cloned().unwrap_or_default();
        self.reports.push(Report {
            jobid: text(body, "jobid").unwrap_or_default(),
            status: field("status"),
            errcode: field("errcode"),
            errmsg: field("errmsg"),
            answer: reply.code,
            at_unix: now.as_secs_f64(),
        });
        reply
    }

    fn take_report(&mut self, body: &Value) -> Reply {
        let printed = match (number(body, "status"), self.options.report_numbering) {
            (Some(2), ReportNumbering::Documented) | (Some(1), ReportNumbering::AsListed) => true,
            (Some(1), ReportNumbering::Documented) | (Some(2), ReportNumbering::AsListed) => false,
            _ => return self.senseless("invalid status"),
        };
        let reason = (number(body, "errcode").is_some() || text(body, "errcode").is_some())
            && text(body, "errmsg").is_some();
        if !printed && !reason {
            return self.senseless("a failed job needs errcode and errmsg");
        }
        let Some(job) = self.named(body) else {
            return Reply::refused(600_040, "printer job not exist");
        };
        job.status = if printed { 1 } else { 2 };
        job.errcode = body.get("errcode").cloned().unwrap_or(json!(0));
        job.errmsg = text(body, "errmsg").unwrap_or_else(|| "ok".to_owned());
        job.reports += 1;
        Reply::ok(None)
    }

    fn scan_file(&mut self, asked: &Asked) -> Reply {
        let fits = |name: &str, most: usize| {
            let text = asked.body.get(name).and_then(Value::as_str)?;
            (1..=most).contains(&text.len()).then(|| text.to_owned())
        };
        let (userid, filename) = (fits("userid", 128), fits("filename", 256));
        if userid.is_none() || filename.is_none() {
            return self.senseless("invalid args");
        }
        self.keep_upload(asked, userid, filename)
    }

    fn keep_upload(
        &mut self,
        asked: &Asked,
        userid: Option<String>,
        filename: Option<String>,
    ) -> Reply {
        self.uploads.push(UploadView {
            cmd: asked.cmd.clone(),
            userid,
            filename,
            data: asked.data.clone(),
        });
        Reply::ok(None)
    }

    fn named(&mut self, body: &Value) -> Option<&mut Job> {
        let id = text(body, "jobid")?;
        self.jobs
            .iter_mut()
            .find(|job| job.id == id && job.listed())
    }

    /// Jobs go when somebody looks, never by themselves.
    fn purge(&mut self, now: Duration) {
        let kept = self.options.retention_seconds + self.options.retention_late_seconds;
        let kept = seconds(kept);
        self.jobs.retain(|job| now < job.created + kept);
    }
}

fn too_early(cmd: &str, stage: LoginStage) -> Reply {
    match stage {
        _ if cmd.starts_with("printer/") => Reply::refused(600_020, "device not login"),
        LoginStage::Connected => Reply::refused(600_014, "device not registered"),
        LoginStage::Registered => Reply::refused(600_016, "device not activated"),
        LoginStage::Activated | LoginStage::Subscribed => {
            Reply::refused(600_020, "device not login")
        }
    }
}

/// A text, or a number as text: the service was seen to take both.
fn text(body: &Value, name: &str) -> Option<String> {
    match body.get(name)? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// A number, or a number in a text.
fn number(body: &Value, name: &str) -> Option<u64> {
    text(body, name)?.parse().ok()
}

pub(crate) fn hexadecimal() -> String {
    format!("{:032x}", fastrand::u128(..))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::VirtualClock;

    struct Bench {
        clock: VirtualClock,
        state: State,
    }

    impl Bench {
        fn new(options: WeComOptions) -> Self {
            let mut state = State::new(options);
            state.connected(1);
            Self {
                clock: VirtualClock::manual(),
                state,
            }
        }

        fn online(options: WeComOptions) -> Self {
            let mut bench = Self::new(options);
            assert_eq!(bench.login(1), [0, 0, 0]);
            bench
        }

        fn ask(&mut self, link: u64, cmd: &str, body: Value) -> Reply {
            let now = self.clock.now();
            let asked = Asked {
                cmd: cmd.to_owned(),
                body,
                data: Bytes::new(),
            };
            let at = Moment {
                now,
                server_unix: now.as_secs(),
            };
            self.state.answer(link, &asked, at)
        }

        fn code(&mut self, cmd: &str, body: Value) -> i64 {
            self.ask(1, cmd, body).code
        }

        fn signed(&self, word: &str, secret: &str) -> Value {
            let (sn, time) = (&self.state.options.sn, self.clock.now().as_secs());
            let sign = signature(&[sn, secret, &time.to_string(), "7", word]);
            json!({"sn": sn, "timestamp": time, "nonce": 7, "device_signature": sign})
        }

        fn register(&mut self, link: u64) -> Reply {
            let secret = self.state.options.secret_no.clone();
            let body = self.signed("register", &secret);
            self.ask(link, "register", body)
        }

        fn login(&mut self, link: u64) -> Vec<i64> {
            let register = self.register(link);
            let code = field(&register, "active_code");
            let active = self.ask(link, "active", json!({ "active_code": code }));
            let secret = field(&active, "secret");
            let body = json!({"secret": secret, "firmware_version": "1.0"});
            let subscribe = self.ask(link, "subscribe_corp", body);
            vec![register.code, active.code, subscribe.code]
        }

        fn add(&mut self, new: NewJob) -> String {
            let now = self.clock.now();
            self.state.add_job(new, now, now)
        }

        fn list(&mut self, body: Value) -> Vec<String> {
            let reply = self.ask(1, "printer/get_job_list", body);
            assert_eq!(reply.code, 0);
            let items = reply.body.unwrap()["printer_job_list"].take();
            let ids = items.as_array().unwrap().iter();
            ids.map(|item| item["jobid"].as_str().unwrap().to_owned())
                .collect()
        }

        fn pass(&self, secs: u64) {
            self.clock.advance(Duration::from_secs(secs));
        }
    }

    fn field(reply: &Reply, name: &str) -> String {
        let body = reply.body.as_ref();
        let field = body.and_then(|body| body.get(name)?.as_str());
        field.unwrap_or_default().to_owned()
    }

    #[test]
    fn login_goes_step_by_step_and_every_step_too_early_has_its_code() {
        let mut bench = Bench::new(WeComOptions::default());
        let list = |bench: &mut Bench| bench.code("printer/get_job_list", json!({}));
        assert_eq!(bench.code("ping", json!({})), 0);
        assert_eq!(bench.code("get_corp_info", json!({})), 600_014);
        assert_eq!(bench.code("active", json!({"active_code": "x"})), 600_014);
        assert_eq!(
            bench.code("subscribe_corp", json!({"secret": "x"})),
            600_014
        );
        assert_eq!(list(&mut bench), 600_020);
        let active_code = field(&bench.register(1), "active_code");
        assert_eq!(bench.code("get_corp_info", json!({})), 600_016);
        assert_eq!(bench.code("active", json!({})), 600_013);
        assert_eq!(bench.code("active", json!({"active_code": "x"})), 600_003);
        let active = bench.ask(1, "active", json!({ "active_code": active_code }));
        let secret = field(&active, "secret");
        assert_eq!(
            bench.code("active", json!({ "active_code": active_code })),
            600_053
        );
        assert_eq!(bench.code("get_corp_info", json!({})), 600_020);
        for (body, code) in [
            (json!({"secret": ""}), 600_015),
            (json!({"secret": "x", "firmware_version": "1"}), 600_005),
            (json!({ "secret": secret }), 600_030),
            (json!({"secret": secret, "firmware_version": "1"}), 0),
            (json!({"secret": secret, "firmware_version": "1"}), 600_045),
        ] {
            assert_eq!(bench.code("subscribe_corp", body), code);
        }
        assert_eq!(list(&mut bench), 0);
        assert!(bench.state.device().online());
        assert_eq!(bench.state.counters["printer/get_job_list"], 2);
    }

    #[test]
    fn register_checks_every_part_of_the_signature() {
        let mut bench = Bench::new(WeComOptions::default());
        let secret = bench.state.options.secret_no.clone();
        let good = bench.signed("register", &secret);
        for (name, code) in [
            ("sn", 600_007),
            ("nonce", 600_008),
            ("timestamp", 600_009),
            ("device_signature", 600_010),
        ] {
            let mut body = good.clone();
            body.as_object_mut().unwrap().remove(name);
            assert_eq!(bench.code("register", body), code);
        }
        let mut stranger = good.clone();
        stranger["sn"] = json!("other");
        assert_eq!(bench.code("register", stranger), 600_001);
        let wrong = bench.signed("register", "wrong");
        assert_eq!(bench.code("register", wrong), 600_011);
        let word = bench.signed("qrcode", &secret);
        assert_eq!(bench.code("register", word), 600_011);
        bench.pass(301);
        assert_eq!(bench.code("register", good), 600_023);
        // Numbers as texts are taken as well.
        let mut texts = bench.signed("register", &secret);
        for name in ["timestamp", "nonce"] {
            texts[name] = json!(texts[name].to_string());
        }
        assert_eq!(bench.code("register", texts), 0);
    }

    #[test]
    fn shared_secret_is_exchanged_once_before_the_first_register() {
        let mut bench = Bench::new(WeComOptions {
            seed_secret_no: Some("seed".to_owned()),
            ..WeComOptions::default()
        });
        assert_eq!(bench.register(1).code, 600_047);
        let body = bench.signed("secret_no", "seed");
        let exchanged = bench.ask(1, "get_secret_no", body.clone());
        assert_eq!(
            field(&exchanged, "secret_no"),
            bench.state.options.secret_no
        );
        assert_eq!(bench.register(1).code, 0);
        assert_eq!(bench.code("get_secret_no", body), 600_047);
    }

    #[test]
    fn second_link_is_refused_or_takes_over() {
        let mut bench = Bench::online(WeComOptions::default());
        assert_eq!(bench.register(1).code, 600_002);
        bench.state.connected(2);
        assert_eq!(bench.register(2).code, 600_002);
        bench.state.options.second_link = SecondLink::Replace;
        let reply = bench.register(2);
        assert_eq!((reply.code, reply.close), (0, vec![1]));
        assert_eq!(bench.state.device().links, [LoginStage::Registered]);
    }

    #[test]
    fn unbound_device_waits_and_an_unbinding_voids_the_secret() {
        let mut bench = Bench::new(WeComOptions {
            bound: false,
            ..WeComOptions::default()
        });
        let body = json!({"active_code": field(&bench.register(1), "active_code")});
        assert_eq!(bench.code("active", body.clone()), 600_004);
        bench.state.options.unbound_active = UnboundActive::EmptySecret;
        let reply = bench.ask(1, "active", body.clone());
        assert_eq!((reply.code, reply.body), (-1, Some(json!({"secret": ""}))));
        bench.state.bind();
        let old = field(&bench.ask(1, "active", body.clone()), "secret");
        let login = |secret: &str| json!({"secret": secret, "firmware_version": "1"});
        assert_eq!(bench.code("subscribe_corp", login(&old)), 0);
        bench.state.unbind();
        bench.state.options.unbound_active = UnboundActive::Code;
        assert_eq!(bench.code("printer/get_job_list", json!({})), 600_020);
        assert_eq!(bench.code("subscribe_corp", login(&old)), 600_005);
        assert_eq!(bench.code("active", body.clone()), 600_004);
        bench.state.bind();
        let new = field(&bench.ask(1, "active", body), "secret");
        assert_ne!(new, old);
        assert_eq!(bench.code("subscribe_corp", login(&new)), 0);
    }

    #[test]
    fn mode_of_2019_subscribes_with_active() {
        let mut bench = Bench::new(WeComOptions {
            subscribed_by_active: true,
            ..WeComOptions::default()
        });
        assert_eq!(bench.login(1), [0, 0, 600_045]);
        assert!(bench.state.device().online());
    }

    #[test]
    fn list_filters_and_pages_in_order_of_submission() {
        let mut bench = Bench::online(WeComOptions::default());
        let ids: Vec<String> = ["mei", "tao", "mei", "tao", "mei"]
            .iter()
            .map(|userid| {
                bench.pass(1);
                bench.add(NewJob::pdf("a.pdf", "x").by(userid))
            })
            .collect();
        let pick = |indexes: &[usize]| -> Vec<String> {
            indexes.iter().map(|index| ids[*index].clone()).collect()
        };
        let report = json!({"jobid": ids[0], "status": 2});
        assert_eq!(bench.code("printer/report_job_status", report), 0);
        for (body, expected) in [
            (json!({}), pick(&[0, 1, 2, 3, 4])),
            (json!({"offset": 0, "limit": 0}), pick(&[0, 1, 2, 3, 4])),
            (json!({"status": 0}), pick(&[1, 2, 3, 4])),
            (json!({"status": "1"}), pick(&[0])),
            (json!({"userid": "mei", "status": 0}), pick(&[2, 4])),
            (json!({"offset": 1, "limit": 2}), pick(&[1, 2])),
            (json!({"offset": 4, "limit": 2}), pick(&[4])),
            (json!({"offset": 9, "limit": 2}), pick(&[])),
            (json!({"limit": 2}), pick(&[0, 1, 2, 3, 4])),
            (json!({"jobid_list": []}), pick(&[0, 1, 2, 3, 4])),
            (
                json!({"jobid_list": [ids[3], ids[0], "unknown"], "status": 0, "userid": "mei", "offset": 1, "limit": 1}),
                pick(&[0, 3]),
            ),
        ] {
            assert_eq!(bench.list(body.clone()), expected, "{body}");
        }
        bench.state.options.userid_filters_ids = true;
        let body = json!({"jobid_list": [ids[3], ids[0]], "userid": "mei"});
        assert_eq!(bench.list(body), pick(&[0]));
    }

    #[test]
    fn jobs_are_kept_for_seven_days_and_purged_when_somebody_looks() {
        let mut bench = Bench::online(WeComOptions {
            retention_late_seconds: 60.0,
            ..WeComOptions::default()
        });
        let id = bench.add(NewJob::pdf("a.pdf", "x"));
        bench.pass(7 * 86_400 + 59);
        assert_eq!(bench.list(json!({})), std::slice::from_ref(&id));
        bench.pass(1);
        let body = json!({"jobid": id, "format_version": 1});
        assert_eq!(bench.code("printer/download_file", body), 600_040);
        assert!(bench.state.jobs(bench.clock.now()).is_empty());
    }

    #[test]
    fn download_gives_the_whole_or_a_chunk_or_a_code() {
        let mut bench = Bench::online(WeComOptions {
            max_file_bytes: 10,
            ..WeComOptions::default()
        });
        let id = bench.add(NewJob::pdf("a.pdf", "0123456789"));
        let jpg = NewJob::jpg("b", vec!["ab".into(), "cd".into()]);
        let (jpg, empty) = (bench.add(jpg), bench.add(NewJob::pdf("e.pdf", "")));
        let large = bench.add(NewJob::pdf("l.pdf", "01234567890"));
        let ask = |bench: &mut Bench, id: &str, more: Value| {
            let mut body = json!({"jobid": id, "format_version": 1});
            let fields = body.as_object_mut().unwrap();
            fields.extend(more.as_object().unwrap().clone());
            let reply = bench.ask(1, "printer/download_file", body);
            reply.file.ok_or(reply.code)
        };
        let some = |text: &'static str| Ok(Bytes::from_static(text.as_bytes()));
        for (more, expected) in [
            (json!({}), some("0123456789")),
            (json!({"offset": 0, "limit": 0}), some("0123456789")),
            (json!({"offset": 2, "limit": "3"}), some("234")),
            (json!({"offset": 8, "limit": 5}), some("89")),
            (json!({"offset": 10, "limit": 5}), some("")),
            (json!({"offset": 99, "limit": 5}), some("")),
            (json!({"offset": 3, "limit": 0}), Err(600_041)),
            (json!({"offset": -1, "limit": 5}), Err(600_041)),
            (json!({"format_version": 2}), Err(-1)),
        ] {
            assert_eq!(ask(&mut bench, &id, more.clone()), expected, "{more}");
        }
        assert_eq!(ask(&mut bench, &jpg, json!({})), some("abcd"));
        assert_eq!(ask(&mut bench, &empty, json!({})), Err(-1));
        assert_eq!(ask(&mut bench, &large, json!({})), Err(-1));
        assert_eq!(ask(&mut bench, "unknown", json!({})), Err(600_040));
        bench.state.options.past_end = PastEnd::Refuse;
        assert_eq!(
            ask(&mut bench, &id, json!({"offset": 10, "limit": 5})),
            Err(600_041)
        );
        let jobs = bench.state.jobs(bench.clock.now());
        assert_eq!(jobs[0].downloads, 6);
    }

    #[test]
    fn report_numbers_mean_the_opposite_of_the_list_unless_told_otherwise() {
        let mut bench = Bench::online(WeComOptions::default());
        let ids: Vec<String> = (0..3)
            .map(|_| bench.add(NewJob::pdf("a.pdf", "x")))
            .collect();
        let report = |bench: &mut Bench, body: Value| bench.code("printer/report_job_status", body);
        let failed = json!({"jobid": ids[0], "status": 1, "errcode": "-1", "errmsg": "缺纸"});
        assert_eq!(report(&mut bench, failed), 0);
        assert_eq!(
            report(
                &mut bench,
                json!({"jobid": ids[1], "status": 2, "errcode": 0})
            ),
            0
        );
        for body in [
            json!({"jobid": ids[2], "status": 1, "errmsg": "x"}),
            json!({"jobid": ids[2], "status": 1, "errcode": 5}),
            json!({"jobid": ids[2], "status": 0}),
            json!({"jobid": ids[2]}),
        ] {
            assert_eq!(report(&mut bench, body), -1);
        }
        assert_eq!(
            report(&mut bench, json!({"jobid": "unknown", "status": 2})),
            600_040
        );
        let statuses = |bench: &mut Bench| -> Vec<u32> {
            let jobs = bench.state.jobs(bench.clock.now());
            jobs.iter().map(|job| job.status).collect()
        };
        assert_eq!(statuses(&mut bench), [2, 1, 0]);
        bench.state.options.report_numbering = ReportNumbering::AsListed;
        assert_eq!(report(&mut bench, json!({"jobid": ids[2], "status": 1})), 0);
        assert_eq!(statuses(&mut bench), [2, 1, 1]);
        let raw: Vec<(Value, i64)> = bench
            .state
            .reports
            .iter()
            .map(|report| (report.status.clone(), report.answer))
            .collect();
        assert_eq!(raw.len(), 8);
        assert_eq!((&raw[0], &raw[7]), (&(json!(1), 0), &(json!(1), 0)));
        let item = bench.ask(1, "printer/get_job_list", json!({"jobid_list": [ids[0]]}));
        let item = &item.body.unwrap()["printer_job_list"][0];
        assert_eq!(
            (&item["errcode"], &item["errmsg"]),
            (&json!("-1"), &json!("缺纸"))
        );
    }

    #[test]
    fn items_are_full_or_sparse_and_may_lie_about_their_pages() {
        let mut bench = Bench::online(WeComOptions {
            pic_size_error: 2,
            ..WeComOptions::default()
        });
        bench.add(NewJob::jpg("b", vec!["abc".into(), "d".into()]).with_setting("份数", &["2"]));
        let item = |bench: &mut Bench| {
            let reply = bench.ask(1, "printer/get_job_list", json!({}));
            reply.body.unwrap()["printer_job_list"][0].take()
        };
        let full = item(&mut bench);
        let pages =
            json!({"size": 4, "item": [{"idx": 0, "pic_size": 3}, {"idx": 1, "pic_size": 1}]});
        assert_eq!(full["pic_file_list"], pages);
        assert_eq!(full["printer_format"], "jpg");
        assert_eq!(
            full["setting_list"],
            json!([{"key": "份数", "value": ["2"]}])
        );
        assert!(full.get("doc_size").is_none());
        bench.state.options.sparse_items = true;
        let sparse = item(&mut bench);
        let keys: Vec<&str> = sparse
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        let seven = [
            "createtime",
            "doc_name",
            "doc_size",
            "jobid",
            "page_size",
            "setting_list",
            "userid",
        ];
        assert_eq!(keys, seven);
        assert_eq!(sparse["doc_size"], 4);
    }

    #[test]
    fn job_that_waits_for_a_scan_is_released_by_its_member_and_a_known_code() {
        let mut bench = Bench::online(WeComOptions::default());
        let id = bench.add(NewJob::pdf("a.pdf", "x").by("mei").waiting_for_scan());
        assert!(bench.list(json!({})).is_empty());
        assert_eq!(bench.state.scan("mei", "tray-2"), None);
        let code = bench.ask(
            1,
            "printer/gen_qrcode",
            json!({"state": "tray-2", "format_version": 1}),
        );
        assert!(code.file.unwrap().starts_with(b"\x89PNG"));
        assert_eq!(bench.state.scan("tao", "tray-2"), Some(vec![]));
        assert_eq!(bench.state.scan("mei", "tray-2"), Some(vec![id.clone()]));
        assert_eq!(bench.list(json!({"userid": "mei"})), [id]);
        let reply = bench.ask(1, "printer/get_job_list", json!({}));
        let item = &reply.body.unwrap()["printer_job_list"][0];
        assert_eq!(
            (&item["submitted"], &item["state"]),
            (&json!(1), &json!("tray-2"))
        );
    }

    #[test]
    fn scan_upload_needs_a_member_and_a_name_of_fitting_length() {
        let mut bench = Bench::online(WeComOptions::default());
        let long = "x".repeat(129);
        for (body, code) in [
            (json!({"userid": "u", "filename": "a.pdf"}), 0),
            (json!({"userid": "", "filename": "a.pdf"}), -1),
            (json!({"userid": long, "filename": "a.pdf"}), -1),
            (json!({"userid": "u"}), -1),
        ] {
            assert_eq!(bench.code("printer/upload_scan_file", body), code);
        }
        assert_eq!(bench.state.uploads.len(), 1);
        assert_eq!(bench.state.uploads[0].filename.as_deref(), Some("a.pdf"));
    }
}
