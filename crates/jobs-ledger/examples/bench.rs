//! Claim and fenced settle in batches, beside a bare SQLite loop that does the same by hand.
//!
//! `cargo run --release -p jobs-ledger --example bench [-- --postgres postgres://…]`

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program that measures: it stops at the first surprise and prints its figures"
)]

use std::path::Path;
use std::time::{Duration, SystemTime};

use jobs_core::{Account, SystemClock};
use jobs_ledger::{Claimed, Due, Intended, Intent, Ledger, Look, Note, Settings, Settle};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{AssertSqlSafe, Connection as _, Row as _, SqliteConnection};

const BATCH: usize = 256;
const JOBS: usize = 2048;
const ROUNDS: usize = 40;

#[tokio::main]
async fn main() {
    let dir = tempfile::tempdir().unwrap();
    let mut ratios = Vec::new();
    for turn in 1..=3 {
        let bare = bare(&dir.path().join(format!("bare-{turn}.db"))).await;
        let url = dir.path().join(format!("ledger-{turn}.db"));
        let ours = ledger(&url.display().to_string(), None).await;
        ratios.push(ours / bare);
        println!(
            "run {turn}: bare SQLite loop {bare:.0} jobs/s, ledger {ours:.0} jobs/s, ratio {:.0} %",
            100.0 * ours / bare
        );
    }
    ratios.sort_by(f64::total_cmp);
    println!(
        "ledger at batch {BATCH}: {:.0} % of a bare SQLite loop of the same run (goal: at least 50 %)",
        100.0 * ratios[1]
    );
    if let Some(url) = std::env::args()
        .skip_while(|arg| arg != "--postgres")
        .nth(1)
    {
        let schema = format!("docjobs_bench_{:012x}", fastrand::u64(..) >> 16);
        let ours = ledger(&url, Some(schema.clone())).await;
        println!("PostgreSQL: {ours:.0} jobs/s claimed and settled");
        let mut conn = sqlx::PgConnection::connect(&url).await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(format!("DROP SCHEMA {schema} CASCADE")))
            .execute(&mut conn)
            .await
            .unwrap();
    }
}

fn account() -> Account {
    Account::of("textin", "bench")
}

/// Jobs claimed and settled in a second.
async fn ledger(url: &str, schema: Option<String>) -> f64 {
    let clock = SystemClock::shared();
    let mut settings = Settings::default();
    settings.schema = schema;
    settings.lease = Duration::from_secs(3600);
    let ledger = Ledger::open_with(url, clock.clone(), &settings)
        .await
        .unwrap();
    let mut filling = Vec::new();
    for job in 0..JOBS {
        let ledger = ledger.clone();
        filling.push(tokio::spawn(async move { fill(&ledger, job).await }));
    }
    for one in filling {
        one.await.unwrap();
    }
    let begun = clock.now();
    let mut count = 0;
    for round in 0..ROUNDS {
        let batch = ledger.claim_due(&[account()], BATCH).await.unwrap();
        let now = clock.wall();
        let looks = batch.into_iter().map(|claimed| match claimed {
            // Half of the looks see another word than the one before, which enters the history.
            Claimed::Held(claim, job) => {
                let word = if job.looks % 2 == 0 || round % 2 == 0 {
                    "running"
                } else {
                    "queued"
                };
                Settle::looked(claim, Look::new(word), Due::At(now))
            }
            other => panic!("{other:?}"),
        });
        let settled = ledger.settle(looks.collect()).await.unwrap();
        assert!(settled.lost.is_empty());
        count += settled.accepted;
    }
    let taken = clock.now().since(begun);
    ledger.close().await;
    assert_eq!(count, ROUNDS * BATCH);
    rate(count, taken)
}

async fn fill(ledger: &Ledger, job: usize) {
    let mut content = [0; 32];
    content[..8].copy_from_slice(&job.to_be_bytes());
    let intent = Intent::new("textin", "parse", account(), content)
        .with_input("report.pdf")
        .with_options(serde_json::json!({"pages": "1-5"}));
    let Intended::New(claim, _) = ledger.intend(intent).await.unwrap() else {
        panic!("known")
    };
    let claim = ledger.sending(claim).await.unwrap();
    let id = jobs_core::JobId::new(format!("remote-{job}")).unwrap();
    let claim = ledger
        .held(&claim, &id, SystemTime::UNIX_EPOCH, Note::none())
        .await
        .unwrap();
    ledger.release(claim, Due::Now).await.unwrap();
}

/// The same by hand: one table, one connection, one statement a job, no fence, no history.
async fn bare(path: &Path) -> f64 {
    let clock = SystemClock::shared();
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Normal);
    let mut conn = SqliteConnection::connect_with(&options).await.unwrap();
    let schema = "CREATE TABLE job (id TEXT PRIMARY KEY, due INTEGER, word TEXT); CREATE INDEX due ON job (due)";
    sqlx::raw_sql(schema).execute(&mut conn).await.unwrap();
    let mut tx = conn.begin().await.unwrap();
    for job in 0..JOBS {
        sqlx::query("INSERT INTO job VALUES ($1, 0, NULL)")
            .bind(format!("{job:010}"))
            .execute(&mut *tx)
            .await
            .unwrap();
    }
    tx.commit().await.unwrap();
    let begun = clock.now();
    let mut count = 0;
    for round in 0..ROUNDS {
        let now = i64::try_from(round).unwrap() + 1;
        let mut tx = conn.begin().await.unwrap();
        let rows = sqlx::query(
            "UPDATE job SET due = $1 + 100000 WHERE id IN (SELECT id FROM job WHERE due <= $1 ORDER BY due LIMIT $2) \
             RETURNING id",
        )
        .bind(now)
        .bind(i64::try_from(BATCH).unwrap())
        .fetch_all(&mut *tx)
        .await
        .unwrap();
        tx.commit().await.unwrap();
        let mut tx = conn.begin().await.unwrap();
        for row in rows {
            let id: String = row.get(0);
            sqlx::query("UPDATE job SET due = $2, word = $3 WHERE id = $1")
                .bind(id)
                .bind(now)
                .bind("running")
                .execute(&mut *tx)
                .await
                .unwrap();
            count += 1;
        }
        tx.commit().await.unwrap();
    }
    let taken = clock.now().since(begun);
    assert_eq!(count, ROUNDS * BATCH);
    rate(count, taken)
}

#[allow(clippy::cast_precision_loss, reason = "a count of thousands")]
fn rate(count: usize, taken: Duration) -> f64 {
    count as f64 / taken.as_secs_f64()
}
