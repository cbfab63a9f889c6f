//! From an intended job to its file on disk: a worker of `jobs-runner`, or a bare loop that makes the same requests and as
//! many flushes, against a simulator in a process of its own.
//!
//! `bench_work vendor` prints the simulator's address and ends with its input; `bench_work ours VENDOR JOBS LEDGER` and
//! `bench_work bare VENDOR JOBS FLUSHES [postgres://…]` print their figures. `cargo xtask bench work` runs them in turn.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a program that measures: it stops at the first surprise and prints its figures"
)]

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use jobs_core::Secret;
use jobs_core::clock::{Clock, SystemClock};
use jobs_ledger::{Ledger, LedgerConfig};
use jobs_runner::{BulkJob, IntoJobInput as _, Runner, WorkerConfig};
use serde_json::{Value, json};
use textin::{Client, Document};
use tokio::sync::Mutex;
use vendor_sim::{Site, TextIn, TextInOptions, VirtualClock};

/// How much faster the vendor lives: a job takes a second there, and is polled after two.
const SPEED: u32 = 100;
const FIRST_POLL: Duration = Duration::from_secs(2);
/// How many jobs the bare loop has under way at once.
const WIDTH: usize = 64;
const APP: &str = "bench-app";
const SECRET: &str = "bench-secret";

#[tokio::main]
async fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let folder = tempfile::tempdir().unwrap();
    let figures = match *words {
        ["vendor"] => return vendor().await,
        ["ours", vendor, jobs, ledger] => {
            ours(vendor, jobs.parse().unwrap(), ledger, folder.path()).await
        }
        ["bare", vendor, jobs, flushes, ref store @ ..] => {
            let flushes = flushes.parse().unwrap();
            let store = store.first().copied();
            bare(vendor, jobs.parse().unwrap(), flushes, store, folder.path()).await
        }
        _ => panic!("see the source"),
    };
    println!("{figures}");
}

async fn vendor() {
    let site = Site::with_clock(VirtualClock::real(f64::from(SPEED)));
    let options = TextInOptions {
        app_id: APP.to_owned(),
        secret_code: SECRET.to_owned(),
        qps: None,
        pending_seconds: 0.0,
        in_progress_seconds: 1.0,
        ..TextInOptions::default()
    };
    let sim = TextIn::start_at(&site, options).await.unwrap();
    println!("{}", json!({ "url": sim.api_url() }));
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
}

fn write_inputs(folder: &Path, jobs: usize) {
    for job in 0..jobs {
        fs::write(folder.join(format!("{job}.txt")), format!("page {job}\n")).unwrap();
    }
}

async fn ours(vendor: &str, jobs: usize, ledger: &str, folder: &Path) -> Value {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::with_speed(SPEED));
    let schema = Schema::make(ledger).await;
    let mut settings = LedgerConfig::default();
    settings.schema = schema.as_ref().map(|schema| schema.name.clone());
    let ledger = Ledger::open_with(ledger, SystemClock::shared(), &settings)
        .await
        .unwrap();
    let client = Client::builder(Secret::new(APP).unwrap(), Secret::new(SECRET).unwrap())
        .with_config(|config| {
            let config = config.with_base_url(vendor).with_clock(clock.clone());
            config.with_rate(NonZeroU32::MAX)
        })
        .build()
        .unwrap();
    let runner = Runner::on(ledger.clone()).with(textin::handler(client));
    write_inputs(folder, jobs);
    let mut inputs = Vec::with_capacity(jobs);
    for job in 0..jobs {
        let document = Document::open(folder.join(format!("{job}.txt"))).unwrap();
        inputs.push(BulkJob {
            input: textin::input(document).into_job_input().unwrap(),
            output: Some(folder.join(format!("{job}.md"))),
            again: false,
        });
    }
    runner.enqueue_all(&inputs).await.unwrap();
    let (before, begun, cpu) = (ledger.stats(), clock.now(), processor_time());
    let config = WorkerConfig::default().until_idle(true);
    let report = runner.worker(config).run(std::future::pending()).await;
    assert_eq!(report.unwrap().worst, None);
    let seconds = clock.now().since(begun).as_secs_f64() / f64::from(SPEED);
    let cpu = (processor_time() - cpu).as_secs_f64();
    let after = ledger.stats();
    ledger.close().await;
    Schema::end(schema).await;
    are_there(folder, jobs);
    json!({
        "seconds": seconds, "cpu_seconds": cpu, "flushes": after.flushes - before.flushes,
        "statements": after.statements - before.statements,
    })
}

fn are_there(folder: &Path, jobs: usize) {
    for job in 0..jobs {
        let text = fs::read_to_string(folder.join(format!("{job}.md"))).unwrap();
        assert_eq!(text, format!("page {job}\n"));
    }
}

/// A schema of PostgreSQL for one run.
struct Schema {
    pool: sqlx::PgPool,
    name: String,
}

impl Schema {
    /// None for a ledger in a file.
    async fn make(store: &str) -> Option<Self> {
        if !store.starts_with("postgres") {
            return None;
        }
        let pool = sqlx::PgPool::connect(store).await.unwrap();
        let name = format!("docjobs_bench_{:012x}", fastrand::u64(..) >> 16);
        let schema = Self { pool, name };
        schema.run("CREATE SCHEMA", "").await;
        Some(schema)
    }

    async fn run(&self, what: &str, then: &str) {
        let sql = format!("{what} {}{then}", self.name);
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql))
            .execute(&self.pool)
            .await
            .unwrap();
    }

    async fn end(schema: Option<Self>) {
        if let Some(schema) = schema {
            schema.run("DROP SCHEMA", " CASCADE").await;
        }
    }
}

/// What a flush of the bare loop goes to.
enum Journal {
    File(Mutex<File>),
    Postgres(Schema),
}

impl Journal {
    async fn open(store: Option<&str>, folder: &Path) -> Self {
        match Schema::make(store.unwrap_or_default()).await {
            Some(schema) => {
                schema.run("CREATE TABLE", ".journal (job BIGINT)").await;
                Self::Postgres(schema)
            }
            None => Self::File(Mutex::new(File::create(folder.join("journal")).unwrap())),
        }
    }

    async fn flush(&self, job: usize) {
        match self {
            Self::File(file) => {
                let mut file = file.lock().await;
                tokio::task::block_in_place(|| {
                    file.write_all(&[0; 256]).unwrap();
                    file.sync_data().unwrap();
                });
            }
            Self::Postgres(schema) => {
                schema
                    .run("INSERT INTO", &format!(".journal VALUES ({job})"))
                    .await;
            }
        }
    }

    async fn close(self) {
        if let Self::Postgres(schema) = self {
            Schema::end(Some(schema)).await;
        }
    }
}

async fn bare(
    vendor: &str,
    jobs: usize,
    flushes: usize,
    store: Option<&str>,
    folder: &Path,
) -> Value {
    write_inputs(folder, jobs);
    let journal = Journal::open(store, folder).await;
    let http = reqwest::Client::new();
    let clock = SystemClock::shared();
    let (begun, cpu) = (clock.now(), processor_time());
    futures_util::stream::iter(0..jobs)
        .for_each_concurrent(WIDTH, async |job| {
            // So many flushes have to be made when this job is done.
            let due = |job: usize| flushes * job / jobs;
            for _ in due(job)..due(job + 1) {
                journal.flush(job).await;
            }
            one(&http, vendor, job, folder, clock.as_ref()).await;
        })
        .await;
    let seconds = clock.now().since(begun).as_secs_f64();
    let cpu = (processor_time() - cpu).as_secs_f64();
    are_there(folder, jobs);
    journal.close().await;
    json!({ "seconds": seconds, "cpu_seconds": cpu, "flushes": flushes })
}

/// Submits, polls until it is done, downloads, flushes and names.
async fn one(http: &reqwest::Client, vendor: &str, job: usize, folder: &Path, clock: &dyn Clock) {
    let login = |request: reqwest::RequestBuilder| {
        request
            .header("x-ti-app-id", APP)
            .header("x-ti-secret-code", SECRET)
    };
    let bytes = tokio::fs::read(folder.join(format!("{job}.txt")))
        .await
        .unwrap();
    let boundary = "bench-boundary";
    let head = format!(
        "--{boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{job}.txt\"\r\n\
         Content-Type: application/octet-stream\r\n\r\n"
    );
    let tail = format!("\r\n--{boundary}--\r\n");
    let body = [head.as_bytes(), &bytes, tail.as_bytes()].concat();
    let submit = http
        .post(format!("{vendor}/api/v1/xparse/parse/async"))
        .header(
            "content-type",
            format!("multipart/form-data; boundary={boundary}"),
        )
        .body(body);
    let answer: Value = read(login(submit)).await;
    let id = answer["data"]["job_id"].as_str().unwrap().to_owned();
    let link = loop {
        clock.sleep_until(clock.now() + FIRST_POLL / SPEED).await;
        let poll = http.get(format!("{vendor}/api/v1/xparse/parse/async/{id}"));
        let answer: Value = read(login(poll)).await;
        if let Some(link) = answer["data"]["result_url"].as_str() {
            break link.to_owned();
        }
    };
    let result: Value = read(http.get(link)).await;
    let text = result["markdown"].as_str().unwrap().to_owned();
    let (draft, name) = (
        folder.join(format!(".{job}.md")),
        folder.join(format!("{job}.md")),
    );
    tokio::task::block_in_place(|| {
        let mut file = File::create(&draft).unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file.sync_all().unwrap();
        fs::rename(&draft, &name).unwrap();
        File::open(name.parent().unwrap())
            .unwrap()
            .sync_all()
            .unwrap();
    });
}

async fn read(request: reqwest::RequestBuilder) -> Value {
    let answer = request.send().await.unwrap().bytes().await.unwrap();
    serde_json::from_slice(&answer).unwrap()
}

/// Of all threads that this process has or had, in steps of 10 ms.
fn processor_time() -> Duration {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let fields = stat.rsplit(')').next().unwrap().split_whitespace();
    let ticks: u64 = fields
        .skip(11)
        .take(2)
        .map(|it| it.parse::<u64>().unwrap())
        .sum();
    Duration::from_millis(ticks * 10)
}
