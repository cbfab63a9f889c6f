//! The files and tasks of the Tencent e-sign simulator: a pure state machine that is told the time.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};

use super::answer::Refusal;
use super::options::{ResourceIdBefore, TaskIdForm, TaskMessage, TaskOutcome, TencentOptions};
use crate::clock::seconds;
use crate::sliding_window::SlidingWindow;
use crate::spool::Spooled;

const BEIJING: i64 = 8 * 3600;

/// What the conversion accepts, by the parameter table.
const CONVERTIBLE: &[&str] = &[
    "doc", "docx", "xls", "xlsx", "jpg", "jpeg", "png", "bmp", "html", "txt",
];

#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) options: TencentOptions,
    pub(crate) next_outcomes: VecDeque<TaskOutcome>,
    pub(crate) counters: Counters,
    files: HashMap<String, StoredFile>,
    file_order: Vec<FileView>,
    tasks: HashMap<String, Task>,
    order: Vec<String>,
    aliases: HashMap<String, String>,
    recent: HashMap<(String, String), SlidingWindow>,
}

/// How often what happened.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counters {
    /// Uploads accepted; each may hold several files.
    pub uploads: u64,
    /// Tasks made.
    pub tasks: u64,
    /// Queries that were answered with a state.
    pub queries: u64,
    /// Refusals by code.
    pub refusals: BTreeMap<String, u64>,
}

/// Whose files and tasks: nobody sees those of another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Owner {
    /// Id of the account's key.
    pub account: String,
    /// `essbasic`, or `ess` for the company edition.
    pub product: &'static str,
    /// The application; empty in the company edition.
    pub app_id: String,
    /// The company.
    pub organization: String,
}

/// Which pair of operations made a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    /// `CreateFileConvertTask` and `DescribeFileConvertTask`.
    Current,
    /// The pair that retires.
    Legacy,
}

/// A file as tests see it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FileView {
    /// The vendor's id.
    pub file_id: String,
    /// Whose file.
    pub owner: Owner,
    /// Name as sent.
    pub name: String,
    /// Bytes received.
    pub size: u64,
    /// SHA-256 of the bytes received.
    pub sha256: String,
    /// Virtual Unix seconds of its end.
    pub expires_unix: f64,
}

/// A task as tests see it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TaskView {
    /// The vendor's id.
    pub task_id: String,
    /// Whose task.
    pub owner: Owner,
    /// Which pair of operations made it.
    pub family: Family,
    /// The file to convert.
    pub file_id: String,
    /// `ResourceName` as sent.
    pub name: String,
    /// SHA-256 of the bytes to convert; empty if there were none.
    pub sha256: String,
    /// State at this moment.
    pub status: i64,
    /// The PDF's id, once there is one.
    pub resource_id: Option<String>,
    /// Queries answered.
    pub queries: u64,
    /// Virtual Unix seconds of its making.
    pub created_unix: f64,
}

/// One task made. The vendor names no price; a second task for the same file is a mistake all the same.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Charge {
    /// The task.
    pub task_id: String,
    /// Id of the account's key.
    pub account: String,
    /// SHA-256 of the bytes to convert.
    pub sha256: String,
    /// When, in virtual Unix seconds.
    pub at_unix: f64,
}

/// A received file that passed all checks.
#[derive(Clone, Debug)]
pub(crate) struct Upload {
    pub(crate) name: String,
    pub(crate) suffix: String,
    pub(crate) bytes: Arc<Spooled>,
}

#[derive(Clone, Debug)]
pub(crate) struct StoredFile {
    pub(crate) owner: Owner,
    pub(crate) upload: Upload,
    made: Duration,
    expires: Duration,
}

/// What a create asks for, already checked by itself.
#[derive(Debug)]
pub(crate) struct Order {
    pub(crate) owner: Owner,
    pub(crate) family: Family,
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) file_id: String,
    /// Suffix and digest of the file, if there is one.
    pub(crate) source: Option<(String, String)>,
    /// What the PDF will say.
    pub(crate) lines: Vec<String>,
}

#[derive(Clone, Debug)]
struct Task {
    id: String,
    other_id: String,
    order: Arc<Order>,
    outcome: TaskOutcome,
    resource_id: String,
    submitted: Duration,
    processing: Duration,
    due: Option<Duration>,
    queries: u64,
}

impl State {
    pub(crate) fn new(options: TencentOptions) -> Self {
        Self {
            options,
            ..Self::default()
        }
    }

    /// The key that belongs to an id.
    pub(crate) fn secret_key(&self, secret_id: &str) -> Option<&str> {
        if secret_id == self.options.secret_id {
            return Some(&self.options.secret_key);
        }
        self.options
            .other_accounts
            .iter()
            .find(|account| account.secret_id == secret_id)
            .map(|account| account.secret_key.as_str())
    }

    /// The application that belongs to a key.
    pub(crate) fn app_of(&self, secret_id: &str) -> Option<&str> {
        if secret_id == self.options.secret_id {
            return Some(&self.options.app_id);
        }
        self.options
            .other_accounts
            .iter()
            .find(|account| account.secret_id == secret_id)
            .map(|account| account.app_id.as_str())
    }

    /// Counts a request against the rate of an action.
    pub(crate) fn admit(
        &mut self,
        account: &str,
        action: &str,
        now: Duration,
        slack: Duration,
    ) -> Result<(), Refusal> {
        let Some(limit) = self.options.qps else {
            return Ok(());
        };
        let key = (account.to_owned(), action.to_owned());
        let window = self.recent.entry(key).or_default();
        window.admit(now, slack, limit).map_err(|before| {
            let count = before + 1;
            Refusal::new(
                "RequestLimitExceeded",
                format!("一秒内请求 {count} 次，超过频率限制 {limit} 次"),
                format!(
                    "The request times equals to `{count}` in a second, which exceeds the frequency limit `{limit}`."
                ),
            )
        })
    }

    /// Keeps files and returns their ids and the instant of their end. `lifetime` replaces the usual one.
    pub(crate) fn store(
        &mut self,
        owner: &Owner,
        uploads: Vec<Upload>,
        lifetime: Option<Duration>,
        now: Duration,
    ) -> (Vec<String>, Duration) {
        self.files.retain(|_, file| now < file.expires);
        self.counters.uploads += 1;
        let expires = now + lifetime.unwrap_or_else(|| seconds(self.options.file_seconds));
        let ids = uploads
            .into_iter()
            .map(|upload| {
                let id = letters();
                self.file_order.push(FileView {
                    file_id: id.clone(),
                    owner: owner.clone(),
                    name: upload.name.clone(),
                    size: upload.bytes.size,
                    sha256: upload.bytes.sha256.clone(),
                    expires_unix: expires.as_secs_f64(),
                });
                let file = StoredFile {
                    owner: owner.clone(),
                    upload,
                    made: now,
                    expires,
                };
                self.files.insert(id.clone(), file);
                id
            })
            .collect();
        (ids, expires)
    }

    /// A living file of this owner.
    pub(crate) fn file(&self, owner: &Owner, id: &str, now: Duration) -> Option<&StoredFile> {
        self.files
            .get(id)
            .filter(|file| file.owner == *owner && now < file.expires)
    }

    /// The file behind a download address that is still alive.
    pub(crate) fn linked_file(&self, id: &str, now: Duration) -> Option<&StoredFile> {
        let alive = seconds(self.options.url_seconds);
        self.files
            .get(id)
            .filter(|file| now < file.expires.min(file.made + alive))
    }

    /// Makes a task. Two equal orders make two tasks: there is no idempotency key.
    pub(crate) fn create(
        &mut self,
        order: Order,
        now: Duration,
        wall: Duration,
    ) -> Result<String, Refusal> {
        if !CONVERTIBLE.contains(&order.kind.as_str()) {
            return Err(Refusal::about(
                "InvalidParameter.ResourceType",
                "ResourceType",
            ));
        }
        if order.name.chars().count() > 256 {
            return Err(Refusal::about(
                "InvalidParameter.ParamError",
                "ResourceName",
            ));
        }
        let outcome = match &order.source {
            None if self.options.unknown_file_code.is_empty() => TaskOutcome::DownloadFailed,
            None => {
                let code = &self.options.unknown_file_code;
                return Err(Refusal::about(code, "ResourceId"));
            }
            // Nothing is said of such orders; a converter for the one cannot read the other.
            Some((suffix, _)) if !same_type(suffix, &order.kind) => TaskOutcome::ProcessFailed,
            Some(_) => match self.next_outcomes.pop_front() {
                Some(outcome) => outcome,
                None => self
                    .options
                    .outcomes
                    .get(&order.name)
                    .copied()
                    .unwrap_or_default(),
            },
        };
        let (digits, letters_id) = (self.digits(wall), letters());
        let (id, other_id) = match self.options.task_id_form {
            TaskIdForm::Digits => (digits, letters_id),
            TaskIdForm::Letters => (letters_id, digits),
        };
        let processing = now + seconds(self.options.pending_seconds);
        let due = (outcome != TaskOutcome::Never)
            .then(|| processing + seconds(self.options.processing_seconds));
        self.counters.tasks += 1;
        self.order.push(id.clone());
        self.aliases.insert(other_id.clone(), id.clone());
        let task = Task {
            id: id.clone(),
            other_id,
            order: Arc::new(order),
            outcome,
            resource_id: letters(),
            submitted: now,
            processing,
            due,
            queries: 0,
        };
        self.tasks.insert(id.clone(), task);
        Ok(id)
    }

    /// Queries a task: the fields of the answer. A foreign id is as unknown as one that never was.
    pub(crate) fn query(
        &mut self,
        owner: &Owner,
        family: Family,
        id: &str,
        now: Duration,
    ) -> Result<Value, Refusal> {
        let unknown = || Refusal::about("InvalidParameter.ParamError", "TaskId");
        let id = self.aliases.get(id).map_or(id, String::as_str);
        let options = &self.options;
        let task = self
            .tasks
            .get_mut(id)
            .filter(|task| task.order.owner == *owner)
            .filter(|task| options.one_task_store || task.order.family == family)
            .filter(|task| match (task.due, options.task_seconds) {
                (Some(due), Some(kept)) => now < due + seconds(kept),
                _ => true,
            })
            .ok_or_else(unknown)?;
        task.queries += 1;
        self.counters.queries += 1;
        let status = task.status(now);
        let mut fields = json!({
            "TaskId": if options.echo_other_form { &task.other_id } else { &task.id },
            "TaskStatus": status,
            "TaskMessage": words(status, options.task_message),
        });
        if let Some(fields) = fields.as_object_mut() {
            let resource = match (task.resource(now), options.resource_id_before) {
                (Some(id), _) => Some(json!(id)),
                (None, ResourceIdBefore::Absent) => None,
                (None, ResourceIdBefore::Empty) => Some(json!("")),
                (None, ResourceIdBefore::Null) => Some(Value::Null),
            };
            fields.extend(resource.map(|resource| ("ResourceId".to_owned(), resource)));
            if family == Family::Legacy {
                fields.insert("PreviewUrl".to_owned(), Value::Null);
            }
        }
        Ok(fields)
    }

    /// What the PDF behind a `ResourceId` says.
    pub(crate) fn result(&self, resource_id: &str, now: Duration) -> Option<Arc<Order>> {
        self.tasks
            .values()
            .find(|task| task.resource(now) == Some(resource_id))
            .map(|task| Arc::clone(&task.order))
    }

    pub(crate) fn files(&self) -> Vec<FileView> {
        self.file_order.clone()
    }

    pub(crate) fn tasks(&self, now: Duration) -> Vec<TaskView> {
        self.in_order().map(|task| task.view(now)).collect()
    }

    pub(crate) fn charges(&self) -> Vec<Charge> {
        self.in_order()
            .map(|task| Charge {
                task_id: task.id.clone(),
                account: task.order.owner.account.clone(),
                sha256: task.sha256(),
                at_unix: task.submitted.as_secs_f64(),
            })
            .collect()
    }

    fn in_order(&self) -> impl Iterator<Item = &Task> {
        self.order.iter().filter_map(|id| self.tasks.get(id))
    }

    /// Beijing time and microseconds; one later if that was given out already.
    fn digits(&self, wall: Duration) -> String {
        let mut micros = i64::try_from(wall.as_micros()).unwrap_or(i64::MAX / 2);
        loop {
            let time = chrono::DateTime::from_timestamp_micros(micros + BEIJING * 1_000_000);
            let id = time
                .map(|time| time.format("%Y%m%d%H%M%S%6f").to_string())
                .unwrap_or_default();
            if !self.tasks.contains_key(&id) && !self.aliases.contains_key(&id) {
                return id;
            }
            micros += 1;
        }
    }
}

impl Task {
    fn status(&self, now: Duration) -> i64 {
        if now < self.processing {
            return 0;
        }
        match (self.due, self.outcome) {
            (Some(due), _) if now < due => 4,
            (None, _) | (_, TaskOutcome::Never) => 4,
            (_, TaskOutcome::Done | TaskOutcome::DoneWithoutResource) => 8,
            (_, TaskOutcome::DownloadFailed) => -2,
            (_, TaskOutcome::ProcessFailed) => -6,
            (_, TaskOutcome::ProcessTimeout) => -13,
            (_, TaskOutcome::Number { status }) => status,
        }
    }

    fn resource(&self, now: Duration) -> Option<&str> {
        let done = self.outcome == TaskOutcome::Done && self.status(now) == 8;
        done.then_some(self.resource_id.as_str())
    }

    fn sha256(&self) -> String {
        self.order
            .source
            .as_ref()
            .map(|(_, sha256)| sha256.clone())
            .unwrap_or_default()
    }

    fn view(&self, now: Duration) -> TaskView {
        TaskView {
            task_id: self.id.clone(),
            owner: self.order.owner.clone(),
            family: self.order.family,
            file_id: self.order.file_id.clone(),
            name: self.order.name.clone(),
            sha256: self.sha256(),
            status: self.status(now),
            resource_id: self.resource(now).map(str::to_owned),
            queries: self.queries,
            created_unix: self.submitted.as_secs_f64(),
        }
    }
}

impl StoredFile {
    pub(crate) fn upload(&self) -> Upload {
        self.upload.clone()
    }
}

fn same_type(suffix: &str, kind: &str) -> bool {
    let plain = |word: &str| if word == "jpeg" { "jpg" } else { word }.to_owned();
    plain(suffix) == plain(kind)
}

fn words(status: i64, language: TaskMessage) -> &'static str {
    let (english, chinese) = match status {
        0 => ("NeedTranform", "任务已提交"),
        4 => ("Processing", "文档转换中"),
        8 => ("TaskEnd", "任务处理完成"),
        -2 => ("DownloadFailed", "下载失败"),
        -6 => ("ProcessFailed", "转换失败"),
        -13 => ("ProcessTimeout", "转换文件超时"),
        _ => ("Unknown", "未知状态"),
    };
    match language {
        TaskMessage::English => english,
        TaskMessage::Chinese => chinese,
    }
}

/// An id of thirty-two characters that begins as the vendor's do.
fn letters() -> String {
    let rest = std::iter::repeat_with(fastrand::alphanumeric).take(30);
    "yD".chars().chain(rest).collect()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::VirtualClock;
    use crate::spool::Spool;

    struct Bench {
        clock: VirtualClock,
        state: State,
    }

    fn owner() -> Owner {
        Owner {
            account: "k".to_owned(),
            product: "essbasic",
            app_id: "a".to_owned(),
            organization: "o".to_owned(),
        }
    }

    impl Bench {
        fn new(options: TencentOptions) -> Self {
            Self {
                clock: VirtualClock::manual(),
                state: State::new(options),
            }
        }

        async fn upload(&mut self) -> String {
            let mut spool = Spool::new(99).unwrap();
            spool.write(&Bytes::from_static(b"words")).await.unwrap();
            let upload = Upload {
                name: "a.txt".to_owned(),
                suffix: "txt".to_owned(),
                bytes: Arc::new(spool.finish().await.unwrap()),
            };
            let now = self.clock.now();
            self.state
                .store(&owner(), vec![upload], None, now)
                .0
                .remove(0)
        }

        fn order(&self, file_id: &str, kind: &str) -> Order {
            let file = self.state.file(&owner(), file_id, self.clock.now());
            Order {
                owner: owner(),
                family: Family::Current,
                kind: kind.to_owned(),
                name: "a.txt".to_owned(),
                file_id: file_id.to_owned(),
                source: file
                    .map(|file| (file.upload.suffix.clone(), file.upload.bytes.sha256.clone())),
                lines: vec!["words".to_owned()],
            }
        }

        fn create(&mut self, file_id: &str) -> Result<String, String> {
            let order = self.order(file_id, "txt");
            let now = self.clock.now();
            self.state
                .create(order, now, now)
                .map_err(|refusal| refusal.code)
        }

        fn pass(&self, secs: u64) {
            self.clock.advance(Duration::from_secs(secs));
        }

        fn query(&mut self, id: &str) -> Value {
            let now = self.clock.now();
            self.state
                .query(&owner(), Family::Current, id, now)
                .unwrap()
        }

        fn status(&mut self, id: &str) -> i64 {
            self.query(id)["TaskStatus"].as_i64().unwrap()
        }
    }

    #[tokio::test]
    async fn task_goes_from_0_over_4_to_8_and_then_has_a_resource() {
        let mut bench = Bench::new(TencentOptions::default());
        let file = bench.upload().await;
        let id = bench.create(&file).unwrap();
        let mut seen = Vec::new();
        for _ in 0..7 {
            let answer = bench.query(&id);
            assert_eq!(
                answer.get("ResourceId").is_some(),
                answer["TaskStatus"] == 8
            );
            seen.push(answer["TaskStatus"].as_i64().unwrap());
            bench.pass(1);
        }
        assert_eq!(seen, [0, 4, 4, 4, 4, 8, 8]);
        let answer = bench.query(&id);
        assert_eq!(answer["TaskMessage"], "TaskEnd");
        let resource = answer["ResourceId"].as_str().unwrap();
        assert_eq!(resource.len(), 32);
        assert!(resource.starts_with("yD"));
        assert_eq!(
            bench
                .state
                .result(resource, bench.clock.now())
                .unwrap()
                .lines,
            ["words"]
        );
        assert_eq!(bench.state.tasks(bench.clock.now())[0].queries, 8);
    }

    #[tokio::test]
    async fn every_end_has_its_number_and_only_success_a_resource() {
        let mut bench = Bench::new(TencentOptions {
            resource_id_before: ResourceIdBefore::Empty,
            task_message: TaskMessage::Chinese,
            ..TencentOptions::default()
        });
        let file = bench.upload().await;
        for (outcome, status) in [
            (TaskOutcome::DownloadFailed, -2),
            (TaskOutcome::ProcessFailed, -6),
            (TaskOutcome::ProcessTimeout, -13),
            (TaskOutcome::Number { status: 6 }, 6),
            (TaskOutcome::DoneWithoutResource, 8),
            (TaskOutcome::Never, 4),
        ] {
            bench.state.next_outcomes.push_back(outcome);
            let id = bench.create(&file).unwrap();
            assert_eq!(bench.status(&id), 0);
            bench.pass(5);
            let answer = bench.query(&id);
            assert_eq!(answer["TaskStatus"], status);
            assert_eq!(answer["ResourceId"], "");
        }
        bench.state.options.resource_id_before = ResourceIdBefore::Null;
        let id = bench.create(&file).unwrap();
        assert_eq!(bench.query(&id)["ResourceId"], Value::Null);
        assert_eq!(bench.query(&id)["TaskMessage"], "任务已提交");
    }

    #[tokio::test]
    async fn equal_orders_make_two_tasks_with_different_ids_of_either_form() {
        let mut bench = Bench::new(TencentOptions::default());
        let file = bench.upload().await;
        let (one, two) = (bench.create(&file).unwrap(), bench.create(&file).unwrap());
        assert_ne!(one, two);
        // The hand-moved clock begins at 08:00 UTC, 16:00 in Beijing.
        assert_eq!(one, "20270115160000000000");
        assert_eq!(bench.state.charges().len(), 2);
        bench.state.options.task_id_form = TaskIdForm::Letters;
        bench.state.options.echo_other_form = true;
        let three = bench.create(&file).unwrap();
        assert!(three.starts_with("yD") && three.len() == 32);
        let echoed = bench.query(&three)["TaskId"].as_str().unwrap().to_owned();
        assert!(echoed.starts_with("2027") && echoed.len() == 20);
        assert_eq!(bench.status(&echoed), 0);
    }

    #[tokio::test]
    async fn file_dies_after_an_hour_and_then_cannot_be_converted() {
        let mut bench = Bench::new(TencentOptions::default());
        let file = bench.upload().await;
        bench.pass(3_599);
        bench.create(&file).unwrap();
        bench.pass(1);
        let invalid = Err("InvalidParameter.InvalidId".to_owned());
        assert_eq!(bench.create(&file), invalid);
        assert_eq!(bench.create("yDnever"), invalid);
        bench.state.options.unknown_file_code = String::new();
        let id = bench.create(&file).unwrap();
        bench.pass(5);
        assert_eq!(bench.status(&id), -2);
    }

    #[tokio::test]
    async fn type_and_name_of_a_task_are_checked() {
        let mut bench = Bench::new(TencentOptions::default());
        let file = bench.upload().await;
        let now = bench.clock.now();
        let mut code = |order: Order| {
            let made = bench.state.create(order, now, now);
            made.map_err(|refusal| refusal.code)
        };
        let bench_order = |kind: &str, name: String| Order {
            owner: owner(),
            family: Family::Current,
            kind: kind.to_owned(),
            name,
            file_id: file.clone(),
            source: Some(("txt".to_owned(), "00".to_owned())),
            lines: Vec::new(),
        };
        let kind = Err("InvalidParameter.ResourceType".to_owned());
        assert_eq!(code(bench_order("pdf", "a".to_owned())), kind);
        assert_eq!(code(bench_order("TXT", "a".to_owned())), kind);
        let name = Err("InvalidParameter.ParamError".to_owned());
        assert_eq!(code(bench_order("txt", "长".repeat(257))), name);
        assert!(code(bench_order("txt", "长".repeat(256))).is_ok());
        let mismatch = code(bench_order("docx", "a".to_owned())).unwrap();
        bench.pass(5);
        assert_eq!(bench.status(&mismatch), -6);
    }

    #[tokio::test]
    async fn nobody_sees_what_belongs_to_another() {
        let mut bench = Bench::new(TencentOptions::default());
        let file = bench.upload().await;
        let id = bench.create(&file).unwrap();
        let now = bench.clock.now();
        for other in [
            Owner {
                account: "x".to_owned(),
                ..owner()
            },
            Owner {
                app_id: "x".to_owned(),
                ..owner()
            },
            Owner {
                organization: "x".to_owned(),
                ..owner()
            },
            Owner {
                product: "ess",
                ..owner()
            },
        ] {
            assert!(bench.state.file(&other, &file, now).is_none());
            let refusal = bench
                .state
                .query(&other, Family::Current, &id, now)
                .unwrap_err();
            assert_eq!(refusal.code, "InvalidParameter.ParamError");
        }
        assert_eq!(bench.state.counters.queries, 0);
    }

    #[tokio::test]
    async fn families_share_their_tasks_unless_told_otherwise() {
        let mut bench = Bench::new(TencentOptions {
            task_seconds: Some(60.0),
            ..TencentOptions::default()
        });
        let file = bench.upload().await;
        let id = bench.create(&file).unwrap();
        let now = bench.clock.now();
        let legacy = |state: &mut State, now| state.query(&owner(), Family::Legacy, &id, now);
        assert_eq!(
            legacy(&mut bench.state, now).unwrap()["PreviewUrl"],
            Value::Null
        );
        bench.state.options.one_task_store = false;
        assert!(legacy(&mut bench.state, now).is_err());
        bench.state.options.one_task_store = true;
        let after = |secs| now + Duration::from_secs(secs);
        assert!(legacy(&mut bench.state, after(64)).is_ok());
        assert!(legacy(&mut bench.state, after(65)).is_err());
    }

    #[test]
    fn rate_counts_each_action_of_an_account_for_itself() {
        let mut bench = Bench::new(TencentOptions {
            qps: Some(2),
            ..TencentOptions::default()
        });
        let start = bench.clock.now();
        let mut ask = |account: &str, action: &str, millis: u64| {
            let now = start + Duration::from_millis(millis);
            let admitted = bench.state.admit(account, action, now, Duration::ZERO);
            admitted.map_err(|refusal| refusal.code)
        };
        let refused = Err("RequestLimitExceeded".to_owned());
        assert_eq!(ask("k", "A", 0), Ok(()));
        assert_eq!(ask("k", "A", 500), Ok(()));
        assert_eq!(ask("k", "A", 999), refused);
        assert_eq!(ask("k", "B", 999), Ok(()));
        assert_eq!(ask("x", "A", 999), Ok(()));
        assert_eq!(ask("k", "A", 1_000), Ok(()));
        assert_eq!(ask("k", "A", 1_499), refused);
    }
}
