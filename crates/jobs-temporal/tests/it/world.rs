//! A server, a vendor, a ledger and workers: what every test needs.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use jobs_core::Secret;
use jobs_core::clock::{Clock, SystemClock};
use jobs_ledger::{JobFilter, JobRecord, Ledger, LedgerConfig, Stage};
use jobs_runner::{BulkJob, IntoJobInput as _, Runner, WorkerConfig};
use jobs_temporal::JobWorkflow;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use sqlx::Connection as _;
use temporalio_client::errors::WorkflowGetResultError;
use temporalio_client::{
    Client, WorkflowExecuteUpdateOptions, WorkflowGetResultOptions, WorkflowHandle,
    WorkflowIdConflictPolicy, WorkflowStartOptions,
};
use temporalio_common::error::IncomingError;
use vendor_sim::{Site, TextIn, TextInHandle, TextInOptions, VirtualClock as SimClock};

use super::server::{self, Server};

/// How fast the vendor lives.
pub(crate) const SPEED: u32 = 20;
/// A job takes so many of the vendor's seconds.
const SECONDS: f64 = 30.0;

/// All of it; ends with the test.
pub(crate) struct World {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) server: Server,
    pub(crate) vendor: TextInHandle,
    schema: Option<String>,
    workers: AtomicU32,
    pub(crate) clock: Arc<dyn Clock>,
}

/// A worker process.
pub(crate) struct WorkerProcess(Child);

/// A vendor whose jobs take so many of its seconds, and its limit of requests in one of them.
async fn vendor(seconds: f64, qps: Option<u32>) -> TextInHandle {
    let site = Site::with_clock(SimClock::real(f64::from(SPEED)));
    let options = TextInOptions {
        in_progress_seconds: seconds,
        qps,
        ..TextInOptions::default()
    };
    TextIn::start_at(&site, options).await.unwrap()
}

impl World {
    /// None, said aloud, where there is no server.
    pub(crate) async fn start() -> Option<Self> {
        Self::start_with(SECONDS).await
    }

    /// The same with jobs that take so many of the vendor's seconds.
    pub(crate) async fn start_with(seconds: f64) -> Option<Self> {
        let program = server::program()?;
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start(&program, folder.path()).await;
        let vendor = vendor(seconds, TextInOptions::default().qps).await;
        let database = std::env::var("DOCJOBS_TEST_POSTGRES")
            .ok()
            .filter(|url| !url.is_empty());
        let schema = database.map(|url| {
            let name = format!(
                "docjobs_temporal_{}_{:08x}",
                std::process::id(),
                fastrand::u32(..)
            );
            format!("{url}|{name}")
        });
        let world = Self {
            folder,
            server,
            vendor,
            schema,
            workers: AtomicU32::new(0),
            clock: SystemClock::shared(),
        };
        // Makes the schema.
        world.ledger().await.close().await;
        Some(world)
    }

    /// What `--ledger` takes: a schema where there is PostgreSQL, else a file.
    pub(crate) fn ledger_url(&self) -> String {
        match self.schema.as_ref().and_then(|both| both.split_once('|')) {
            Some((url, schema)) => {
                let mark = if url.contains('?') { '&' } else { '?' };
                format!("{url}{mark}options[search_path]={schema}")
            }
            None => self.folder.path().join("ledger.db").display().to_string(),
        }
    }

    pub(crate) async fn ledger(&self) -> Ledger {
        let mut config = LedgerConfig::default();
        let url = match self.schema.as_ref().and_then(|both| both.split_once('|')) {
            Some((url, schema)) => {
                config.schema = Some(schema.to_owned());
                url.to_owned()
            }
            None => self.ledger_url(),
        };
        Ledger::open_with(&url, Arc::clone(&self.clock), &config)
            .await
            .unwrap()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) async fn sleep(&self, time: Duration) {
        self.clock.sleep_until(self.clock.now() + time).await;
    }

    pub(crate) async fn worker(&self) -> WorkerProcess {
        self.worker_of("default", &[]).await
    }

    /// How many requests one worker without an engine makes for so many jobs of such a vendor. They are begun at once, so
    /// nothing but its schedule decides when it polls: the vendor has no limit.
    pub(crate) async fn requests_of_one_process(&self, seconds: f64, jobs: usize) -> usize {
        let vendor = vendor(seconds, None).await;
        let secret = |text: String| Secret::new(text).unwrap();
        let client = textin::Client::builder(secret(vendor.app_id()), secret(vendor.secret_code()))
            .with_config(|config| {
                let clock = Arc::new(SystemClock::with_speed(SPEED));
                let config = config.with_base_url(vendor.api_url()).with_clock(clock);
                config.with_rate(NonZeroU32::MAX)
            })
            .build()
            .unwrap();
        let url = self.path("one.db").display().to_string();
        let ledger = Ledger::open(&url, Arc::clone(&self.clock)).await.unwrap();
        let runner = Runner::on(ledger.clone()).with(textin::handler(client));
        let inputs = (0..jobs).map(|number| {
            let path = self.path(&format!("one-{number}.txt"));
            std::fs::write(&path, format!("document {number}\n")).unwrap();
            let document = textin::Document::open(path).unwrap();
            BulkJob {
                input: textin::input(document).into_job_input().unwrap(),
                output: Some(self.path(&format!("one-{number}.md"))),
                again: false,
            }
        });
        let inputs: Vec<BulkJob> = inputs.collect();
        runner.enqueue_all(&inputs).await.unwrap();
        let config = WorkerConfig::default().until_idle(true);
        let report = runner.worker(config).run(std::future::pending()).await;
        assert_eq!(report.unwrap().worst, None);
        ledger.close().await;
        vendor.requests().len()
    }

    /// A worker, once it is ready.
    pub(crate) async fn worker_of(&self, namespace: &str, words: &[&str]) -> WorkerProcess {
        let number = self.workers.fetch_add(1, Ordering::Relaxed);
        let log = self.path(&format!("worker-{number}.log"));
        let child = self.command(namespace, words, &log).spawn().unwrap();
        let mut worker = WorkerProcess(child);
        let limit = self.clock.now() + Duration::from_secs(60);
        loop {
            let said = std::fs::read_to_string(&log).unwrap_or_default();
            if said.contains("the worker is ready") {
                return worker;
            }
            assert!(
                self.clock.now() < limit && worker.0.try_wait().unwrap().is_none(),
                "the worker is not ready: {said}"
            );
            self.sleep(Duration::from_millis(100)).await;
        }
    }

    fn command(&self, namespace: &str, words: &[&str], log: &Path) -> Command {
        self.command_at(&self.server.address(), namespace, words, log)
    }

    pub(crate) fn command_at(
        &self,
        address: &str,
        namespace: &str,
        words: &[&str],
        log: &Path,
    ) -> Command {
        let log = std::fs::File::create(log).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_docjobs-temporal"));
        command
            .args(["worker", "--address", address, "--namespace", namespace])
            .args(["--ledger", &self.ledger_url(), "--recheck", "3s"])
            .arg("--out")
            .arg(self.path("out"))
            .args(words)
            .current_dir(self.folder.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .envs(self.vendor.env())
            .env("DOCJOBS_TIME_SCALE", SPEED.to_string())
            .env("RUST_LOG", "warn,jobs_temporal=debug,jobs_runner=debug")
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        command
    }

    /// What all workers said.
    pub(crate) fn logs(&self) -> String {
        let mut said = String::new();
        for number in 0..self.workers.load(Ordering::Relaxed) {
            let name = format!("worker-{number}.log");
            let log = std::fs::read_to_string(self.path(&name)).unwrap_or_default();
            said.push_str(&format!("--- {name}\n{log}"));
        }
        said
    }

    /// A document that no other test has, and the input of its job.
    pub(crate) fn document(&self, name: &str) -> Value {
        let path = self.path(name);
        std::fs::write(
            &path,
            format!("{name} of {}\nsome text\n", self.folder.path().display()),
        )
        .unwrap();
        json!({
            "vendor": "textin", "kind": "parse", "input": {"path": path},
            "output": self.path(&format!("{name}.md")),
        })
    }

    /// Starts a job's workflow by its type.
    pub(crate) async fn submit(
        &self,
        client: &Client,
        id: &str,
        input: &Value,
    ) -> WorkflowHandle<Client, JobWorkflow> {
        let options = WorkflowStartOptions::new("docjobs", id)
            .id_conflict_policy(WorkflowIdConflictPolicy::UseExisting)
            .build();
        let started = client
            .start_workflow(JobWorkflow::run, input.clone(), options)
            .await
            .unwrap();
        client.get_workflow_handle(started.info().workflow_id.clone())
    }

    /// What the vendor charged, by the digest of the document.
    pub(crate) fn charges(&self) -> BTreeMap<String, usize> {
        let jobs: BTreeMap<String, String> = self
            .vendor
            .jobs()
            .into_iter()
            .map(|job| (job.job_id, job.sha256))
            .collect();
        let mut charges = BTreeMap::new();
        for charge in self.vendor.charges() {
            *charges.entry(jobs[&charge.job_id].clone()).or_default() += 1;
        }
        charges
    }

    pub(crate) async fn rows(&self) -> Vec<JobRecord> {
        let ledger = self.ledger().await;
        let page = ledger
            .list(&JobFilter::all().with_limit(100_000))
            .await
            .unwrap();
        ledger.close().await;
        page.jobs
    }

    /// The bar of the matrix: each of the documents was charged once, the ledger knows each job that the vendor has, each
    /// result lies at its place.
    pub(crate) async fn check_money(&self, names: &[String]) {
        let charges = self.charges();
        for name in names {
            let bytes = std::fs::read(self.path(name)).unwrap();
            let digest = hex::encode(Sha256::digest(&bytes));
            assert_eq!(
                charges.get(&digest),
                Some(&1),
                "{name} was charged {charges:?}\n{}",
                self.logs()
            );
            let result = std::fs::read(self.path(&format!("{name}.md"))).unwrap();
            assert_eq!(result, bytes, "{name}");
        }
        assert_eq!(charges.len(), names.len(), "charges of others");
        let mut rows = self.rows().await;
        // What was given up never reached the vendor: the charges say so.
        rows.retain(|row| row.stage != Stage::Abandoned);
        assert_eq!(rows.len(), names.len());
        for row in &rows {
            assert_eq!(row.stage, Stage::Completed, "{row:?}");
            let is_known = self.vendor.jobs().iter().any(|job| {
                Some(job.job_id.as_str()) == row.remote_id.as_ref().map(|id| id.as_str())
            });
            assert!(is_known, "{row:?}");
        }
    }

    /// Does what a person does about jobs in doubt: looks at what the vendor has, and adopts it; what never reached the
    /// vendor is abandoned and started again.
    pub(crate) async fn resolve_in_doubt(&self, client: &Client, unresolved: usize) {
        let rows = self.rows().await;
        let in_doubt: Vec<&JobRecord> = rows
            .iter()
            .filter(|row| row.stage == Stage::InDoubt)
            .collect();
        assert_eq!(in_doubt.len(), unresolved);
        for row in in_doubt {
            let digest = hex::encode(row.content);
            let job = self
                .vendor
                .jobs()
                .into_iter()
                .find(|job| job.sha256 == digest);
            let resolution = match &job {
                Some(job) => json!({"adopt": job.job_id}),
                None => json!({"abandon": true}),
            };
            let handle = client.get_workflow_handle::<JobWorkflow>(&row.input);
            let limit = self.clock.now() + Duration::from_secs(60);
            loop {
                let options = WorkflowExecuteUpdateOptions::default();
                let resolved =
                    handle.execute_update(JobWorkflow::resolve, resolution.clone(), options);
                match resolved.await {
                    Ok(_) => break,
                    // The ledger knows it before the workflow does.
                    Err(early)
                        if self.clock.now() < limit
                            && format!("{early:?}").contains("not in doubt") =>
                    {
                        self.sleep(Duration::from_millis(200)).await;
                    }
                    Err(refused) => panic!("{refused:?}"),
                }
            }
            if job.is_none() {
                let ended = result(self, &handle).await.unwrap_err();
                assert_eq!(ended["type"], "docjobs.Abandoned", "{ended}");
                let again = self.document(&row.input);
                drop(self.submit(client, &row.input, &again).await);
            }
        }
    }

    /// Ends the world; the schema goes with it.
    pub(crate) async fn end(self) {
        if let Some((url, schema)) = self.schema.as_ref().and_then(|both| both.split_once('|')) {
            let mut connection = sqlx::PgConnection::connect(url).await.unwrap();
            let sql = format!("DROP SCHEMA IF EXISTS \"{schema}\" CASCADE");
            sqlx::raw_sql(sqlx::AssertSqlSafe(sql))
                .execute(&mut connection)
                .await
                .unwrap();
            connection.close().await.unwrap();
        }
        self.vendor.stop().await;
    }
}

impl WorkerProcess {
    pub(crate) fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    /// Sends a signal by its name.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .args([&format!("-{name}"), &self.0.id().to_string()])
            .status()
            .unwrap();
        assert!(sent.success());
    }
}

impl Drop for WorkerProcess {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// The result of a workflow, within two minutes.
pub(crate) async fn result(
    world: &World,
    handle: &WorkflowHandle<Client, JobWorkflow>,
) -> Result<Value, Value> {
    const PATIENCE: Duration = Duration::from_secs(120);
    let limit = world.clock.now() + PATIENCE;
    let waited = jobs_core::clock::bounded(
        &*world.clock,
        limit,
        handle.get_result(WorkflowGetResultOptions::default()),
    )
    .await;
    let Some(ended) = waited else {
        panic!("the workflow does not end\n{}", world.logs());
    };
    match ended {
        Ok(value) => Ok(value),
        Err(error) => Err(failure(&error)),
    }
}

/// How a workflow ended without a result: the type of its failure and the details.
fn failure(error: &WorkflowGetResultError) -> Value {
    match error {
        WorkflowGetResultError::Failed(cause) => match &**cause {
            IncomingError::Application(failure) => {
                let details: Value = failure.details().unwrap().unwrap_or_default();
                json!({ "type": failure.type_name(), "non_retryable": failure.is_non_retryable(), "details": details })
            }
            other => json!({ "other": other.to_string() }),
        },
        WorkflowGetResultError::Cancelled { details } => {
            json!({ "cancelled": details.deserialize::<Value>().unwrap_or_default() })
        }
        other => json!({ "other": other.to_string() }),
    }
}
