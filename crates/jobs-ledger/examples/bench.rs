//! Claim and fenced settle in batches, beside bare SQLite loops that do the same by hand, job by job and in batches.
//!
//! The goal is half of a bare loop. Beside the loop that works job by job it is reached; beside the one with a statement a
//! batch it is not yet. Both are then bound by the same driver and the same B-trees, and ours reads the wide row of each
//! job, checks and raises its fence, keeps the worker and the lease, and writes every second look into the history, for
//! which the bare loop has no tables.
//!
//! `cargo run --release -p jobs-ledger --example bench [-- --postgres postgres://…] [--json]`

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

use jobs_core::clock::SystemClock;
use jobs_core::vendor::Account;
use jobs_ledger::{
    ClaimUpdate, Claimed, Due, Estimate, IntendOutcome, Intent, Ledger, LedgerConfig, Note,
    PollRecord,
};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{AssertSqlSafe, Connection as _, Row as _, SqliteConnection};

const BATCH: usize = 256;
const JOBS: usize = 2048;
const ROUNDS: usize = 40;
/// So many fill the ledger at once.
const LANES: usize = 64;

#[tokio::main]
async fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let json = args.iter().any(|arg| arg == "--json");
    let postgres = args.iter().skip_while(|arg| *arg != "--postgres").nth(1);
    let dir = tempfile::tempdir().unwrap();
    let (mut rows, mut batches, mut ours) = (Vec::new(), Vec::new(), Vec::new());
    // In turns, so that whatever else the machine does falls on all alike; the ratios are those of the medians.
    for turn in 0..5 {
        let path = |name: &str| dir.path().join(format!("{name}-{turn}.db"));
        rows.push(bare(&path("rows"), by_rows).await);
        batches.push(bare(&path("batches"), by_batches).await);
        ours.push(ledger(&path("ledger").display().to_string(), None).await);
    }
    let (rows, batches, ours) = (median(rows), median(batches), median(ours));
    let shared = match postgres {
        Some(url) => Some(on_postgres(url).await),
        None => None,
    };
    if json {
        let figures = serde_json::json!({
            "bench": "ledger", "batch": BATCH, "jobs": JOBS, "rounds": ROUNDS, "turns": 5,
            "bare_by_rows_per_s": rows.round(), "bare_by_batches_per_s": batches.round(),
            "ledger_per_s": ours.round(), "postgres_per_s": shared.map(f64::round),
            "of_rows": hundredths(ours / rows), "of_batches": hundredths(ours / batches), "goal_of_batches": 0.5,
        });
        println!("{figures}");
        return;
    }
    println!("bare SQLite, a statement a job:   {rows:>8.0} jobs/s claimed and settled");
    println!("bare SQLite, a statement a batch: {batches:>8.0} jobs/s");
    println!(
        "ledger at batch {BATCH}: {ours:.0} jobs/s, {:.0} % of the first, {:.0} % of the second (goal: at least 50 %)",
        100.0 * ours / rows,
        100.0 * ours / batches
    );
    if let Some(shared) = shared {
        println!("ledger on PostgreSQL: {shared:.0} jobs/s");
    }
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}

fn hundredths(ratio: f64) -> f64 {
    (100.0 * ratio).round() / 100.0
}

async fn on_postgres(url: &str) -> f64 {
    let schema = format!("docjobs_bench_{:012x}", fastrand::u64(..) >> 16);
    let ours = ledger(url, Some(schema.clone())).await;
    let mut conn = sqlx::PgConnection::connect(url).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(format!("DROP SCHEMA {schema} CASCADE")))
        .execute(&mut conn)
        .await
        .unwrap();
    ours
}

fn account() -> Account {
    Account::of("textin", "bench")
}

/// Jobs claimed and settled in a second.
async fn ledger(url: &str, schema: Option<String>) -> f64 {
    let clock = SystemClock::shared();
    let mut settings = LedgerConfig::default();
    settings.schema = schema;
    settings.lease = Duration::from_secs(3600);
    let ledger = Ledger::open_with(url, clock.clone(), &settings)
        .await
        .unwrap();
    let mut filling = Vec::new();
    for lane in 0..LANES {
        let ledger = ledger.clone();
        filling.push(tokio::spawn(async move {
            for job in (lane..JOBS).step_by(LANES) {
                fill(&ledger, job).await;
            }
        }));
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
            Claimed::Accepted(claim, job) => {
                let word = if job.polls % 2 == 0 || round % 2 == 0 {
                    "running"
                } else {
                    "queued"
                };
                ClaimUpdate::polled(claim, PollRecord::new(word), Due::At(now))
            }
            other => panic!("{other:?}"),
        });
        let settled = ledger.update_claims(looks.collect()).await.unwrap();
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
    let IntendOutcome::New(claim, _) = ledger.intend(intent).await.unwrap() else {
        panic!("known")
    };
    let claim = ledger
        .begin_submit(claim, Estimate::Free)
        .await
        .unwrap()
        .granted()
        .unwrap();
    let id = jobs_core::JobId::new(format!("remote-{job}")).unwrap();
    let claim = ledger
        .record_accepted(&claim, &id, SystemTime::UNIX_EPOCH, Note::none())
        .await
        .unwrap();
    ledger.release(claim, Due::Now).await.unwrap();
}

/// The same by hand, as plainly as a good engineer would write it who needs no claims of others, no fence and no
/// history: one table, one connection, the same driver and durability, a claim in one statement.
async fn bare(path: &Path, settle: impl AsyncFn(&mut SqliteConnection, Vec<Seen>)) -> f64 {
    let clock = SystemClock::shared();
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Normal);
    let mut conn = SqliteConnection::connect_with(&options).await.unwrap();
    let schema = "CREATE TABLE job (id TEXT PRIMARY KEY, due INTEGER, remote TEXT, looks INTEGER, word TEXT); \
                  CREATE INDEX due ON job (due)";
    sqlx::raw_sql(schema).execute(&mut conn).await.unwrap();
    let mut tx = conn.begin().await.unwrap();
    for job in 0..JOBS {
        sqlx::query("INSERT INTO job VALUES ($1, 0, $2, 0, NULL)")
            .bind(format!("{job:010}"))
            .bind(format!("remote-{job}"))
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
             RETURNING id, remote",
        )
        .bind(now)
        .bind(i64::try_from(BATCH).unwrap())
        .fetch_all(&mut *tx)
        .await
        .unwrap();
        tx.commit().await.unwrap();
        let seen = rows.iter().map(|row| {
            assert!(row.get::<String, _>(1).starts_with("remote"));
            Seen {
                id: row.get(0),
                due: now,
                word: "running",
            }
        });
        let seen: Vec<Seen> = seen.collect();
        count += seen.len();
        let mut tx = conn.begin().await.unwrap();
        settle(&mut tx, seen).await;
        tx.commit().await.unwrap();
    }
    let taken = clock.now().since(begun);
    assert_eq!(count, ROUNDS * BATCH);
    rate(count, taken)
}

/// What a look of the bare loop saw, and when to look again.
struct Seen {
    id: String,
    due: i64,
    word: &'static str,
}

async fn by_rows(conn: &mut SqliteConnection, seen: Vec<Seen>) {
    for Seen { id, due, word } in seen {
        sqlx::query("UPDATE job SET due = $2, looks = looks + 1, word = $3 WHERE id = $1")
            .bind(id)
            .bind(due)
            .bind(word)
            .execute(&mut *conn)
            .await
            .unwrap();
    }
}

async fn by_batches(conn: &mut SqliteConnection, seen: Vec<Seen>) {
    let batch = seen
        .iter()
        .map(|seen| serde_json::json!([seen.id, seen.due, seen.word]));
    let batch = batch.collect::<serde_json::Value>().to_string();
    sqlx::query(
        "UPDATE job SET due = s.value ->> 1, looks = looks + 1, word = s.value ->> 2 \
         FROM json_each($1) s WHERE job.id = s.value ->> 0",
    )
    .bind(batch)
    .execute(conn)
    .await
    .unwrap();
}

#[allow(clippy::cast_precision_loss, reason = "a count of thousands")]
fn rate(count: usize, taken: Duration) -> f64 {
    count as f64 / taken.as_secs_f64()
}
