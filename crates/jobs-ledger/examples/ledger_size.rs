//! What a ledger with a long past costs beside one with a short one: lists, filters, lookups and claims on as many jobs
//! as are named, most of them settled, and on ten thousand.
//!
//! `cargo run --release -p jobs-ledger --example ledger_size [-- --jobs 10000000] [--folder DIR] [--json]`

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program that measures: it stops at the first surprise and prints its figures"
)]

#[path = "../tests/it/settled.rs"]
mod settled;

use std::path::{Path, PathBuf};
use std::time::Duration;

use jobs_core::clock::Moment;
use jobs_core::clock::SystemClock;
use jobs_ledger::{Due, JobFilter, Ledger, Stage};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{Connection as _, SqliteConnection};

use settled::{End, account, multiply, write};

const SMALL: u32 = 10_000;
const LARGE: u32 = 10_000_000;
/// So many are not settled, in both.
const WAITING: u32 = 512;
/// A tenth of the past has failed.
const FAILED: u32 = 10;
/// So many rows a transaction.
const CHUNK: u32 = 100_000;
const TURNS: usize = 41;

/// What is asked of both.
const QUESTIONS: [&str; 11] = [
    "page",
    "next page",
    "stage=completed",
    "stage=failed",
    "vendor, unfinished",
    "input, exact",
    "input, prefix",
    "error, by kind",
    "error, by text",
    "lookup by every id",
    "claim and release 256",
];

#[tokio::main]
async fn main() {
    let mut large = LARGE;
    let (mut folder, mut json) = (None, false);
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--jobs" => large = args.next().unwrap().parse().unwrap(),
            "--folder" => folder = args.next().map(PathBuf::from),
            "--json" => json = true,
            other => panic!("unknown argument {other}"),
        }
    }
    let dir = tempfile::tempdir_in(folder.unwrap_or_else(std::env::temp_dir)).unwrap();
    let mut both = Vec::new();
    for (name, jobs) in [("small", SMALL), ("large", large)] {
        both.push((make(&dir.path().join(name), jobs).await, jobs));
        eprintln!("made a ledger of {jobs} jobs");
    }
    let mut rows = Vec::new();
    for question in QUESTIONS {
        let mut times = [Vec::new(), Vec::new()];
        // The first turn fills the caches and is not counted.
        for turn in 0..=TURNS {
            for ((ledger, jobs), times) in both.iter().zip(&mut times) {
                let clock = SystemClock::shared();
                let begun: Moment = clock.now();
                ask(ledger, question, *jobs, turn).await;
                if turn > 0 {
                    times.push(clock.now().since(begun));
                }
            }
        }
        let [small, large] = times.map(median);
        rows.push((
            question,
            small,
            large,
            large.as_secs_f64() / small.as_secs_f64(),
        ));
    }
    if json {
        let rows: Vec<_> = rows
            .iter()
            .map(|(question, small, large, ratio)| {
                serde_json::json!({
                    "question": question, "small_ms": 1000.0 * small.as_secs_f64(),
                    "large_ms": 1000.0 * large.as_secs_f64(), "ratio": ratio,
                })
            })
            .collect();
        println!(
            "{}",
            serde_json::json!({"small": SMALL, "large": large, "rows": rows})
        );
        return;
    }
    for (question, small, large, ratio) in rows {
        println!("{question:24} {small:>12.1?} {large:>12.1?} {ratio:6.2}");
    }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

async fn make(path: &Path, jobs: u32) -> Ledger {
    let url = format!("sqlite:{}", path.display());
    let ledger = Ledger::open(&url, SystemClock::shared()).await.unwrap();
    let completed = write(&ledger, 0, End::Completed).await;
    let failed = write(&ledger, 1, End::Failed).await;
    let options = SqliteConnectOptions::new()
        .filename(path)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Off)
        .pragma("cache_size", "-1000000");
    let mut conn = SqliteConnection::connect_with(&options).await.unwrap();
    let mut first = 2;
    while first < jobs - WAITING {
        let count = CHUNK.min(jobs - WAITING - first);
        let mut tx = conn.begin().await.unwrap();
        let bad = count / FAILED;
        multiply(&mut tx, &failed, 1, first, bad).await;
        multiply(&mut tx, &completed, 0, first + bad, count - bad).await;
        tx.commit().await.unwrap();
        first += count;
    }
    conn.close().await.unwrap();
    let mut lanes = Vec::new();
    for lane in 0..16 {
        let ledger = ledger.clone();
        lanes.push(tokio::spawn(async move {
            for number in (lane..WAITING).step_by(16) {
                write(&ledger, jobs - 1 - number, End::Waiting).await;
            }
        }));
    }
    for lane in lanes {
        lane.await.unwrap();
    }
    ledger
}

async fn ask(ledger: &Ledger, question: &str, jobs: u32, turn: usize) {
    // Another job at each turn, all over the past; not one of the first, which the interface wrote.
    let past = u64::from(jobs - WAITING - 2);
    let number = 2 + u32::try_from(turn as u64 * 2_654_435_761 % past).unwrap();
    let filter = match question {
        "page" => JobFilter::all(),
        "next page" => {
            let page = ledger.list(&JobFilter::all()).await.unwrap();
            JobFilter::all().after(page.next.unwrap())
        }
        "stage=completed" => JobFilter::all().with_stages([Stage::Completed]),
        "stage=failed" => JobFilter::all().with_stages([Stage::Failed]),
        "vendor, unfinished" => JobFilter::unfinished().with_vendor("textin"),
        "input, exact" => JobFilter::all().with_input(format!("in/{number:08}.pdf")),
        "input, prefix" => JobFilter::all().with_input("in/0000"),
        "error, by kind" => JobFilter::all().with_error("refused"),
        "error, by text" => JobFilter::all().with_error("encrypted"),
        "lookup by every id" => {
            let [job] = &ledger.find(&format!("remote-{number:08}")).await.unwrap()[..] else {
                panic!("{number} is there once");
            };
            let place = format!("/out/{number:08}.md");
            let by_place = ledger.find_by_output(Path::new(&place)).await.unwrap();
            assert_eq!(by_place[0].id, job.id);
            assert_eq!(ledger.find(&job.id.to_string()).await.unwrap().len(), 1);
            assert!(ledger.find("nobody-has-it").await.unwrap().is_empty());
            assert!(ledger.events(job.id).await.unwrap().len() > 3);
            return;
        }
        _ => {
            let claimed = ledger.claim_due(&[account()], 256).await.unwrap();
            assert_eq!(claimed.len(), 256);
            let keys: Vec<_> = claimed.iter().map(jobs_ledger::Claimed::key).collect();
            assert!(
                ledger
                    .release_all(&keys, Due::Now)
                    .await
                    .unwrap()
                    .is_empty()
            );
            return;
        }
    };
    let page = ledger.list(&filter).await.unwrap();
    assert!(!page.jobs.is_empty(), "{question}");
}
