//! Claim and fenced settle in batches, beside bare loops that do the same by hand: on SQLite job by job and in batches, on
//! PostgreSQL in batches. All use the same driver as the ledger.
//!
//! Rates are by processor time of this process, so that what else the machine does counts for nobody; on PostgreSQL, where
//! the server works, by the clock. The goal is 60 % of the bare loop in batches: ours reads the whole row of each job,
//! checks and raises its fence, keeps the worker and the lease, and writes every second look into the history, for which
//! the bare loop has no tables.
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
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use jobs_core::clock::Moment;
use jobs_core::clock::{Clock, SystemClock};
use jobs_core::vendor::Account;
use jobs_ledger::{
    ClaimUpdate, Claimed, Due, Estimate, IntendOutcome, Intent, Ledger, LedgerConfig, Note,
    PollRecord,
};
use rusqlite::{Connection, params};
use sqlx::{AssertSqlSafe, Connection as _, Row as _};

const BATCH: usize = 256;
const JOBS: usize = 2048;
const ROUNDS: usize = 40;
const TURNS: usize = 5;
const GOAL: f64 = 0.6;
/// So many fill the ledger at once.
const LANES: usize = 64;

#[tokio::main]
async fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let json = args.iter().any(|arg| arg == "--json");
    let postgres = args.iter().skip_while(|arg| *arg != "--postgres").nth(1);
    let dir = tempfile::tempdir().unwrap();
    let (mut rows, mut batches, mut ours) = (Vec::new(), Vec::new(), Vec::new());
    let (mut shared, mut bare_shared) = (Vec::new(), Vec::new());
    // In turns, so that whatever else the machine does falls on all alike; the ratios are those of the medians.
    for turn in 0..TURNS {
        let path = |name: &str| dir.path().join(format!("{name}-{turn}.db"));
        rows.push(bare(&path("rows"), by_rows));
        batches.push(bare(&path("batches"), by_batches));
        ours.push(ledger(&path("ledger").display().to_string(), None).await);
        if let Some(url) = &postgres {
            bare_shared
                .push(in_schema(url, async |schema| bare_postgres(url, &schema).await).await);
            let ours = async |schema| ledger(url, Some(schema)).await;
            shared.push(in_schema(url, ours).await);
        }
    }
    let (rows, batches, ours) = (median(rows), median(batches), median(ours));
    let shared = postgres.map(|_| (median(shared), median(bare_shared)));
    if json {
        let figures = serde_json::json!({
            "bench": "ledger", "batch": BATCH, "jobs": JOBS, "rounds": ROUNDS, "turns": TURNS,
            "bare_by_rows_per_s": rows.round(), "bare_by_batches_per_s": batches.round(),
            "ledger_per_s": ours.round(), "postgres_per_s": shared.map(|(ours, _)| ours.round()),
            "bare_postgres_per_s": shared.map(|(_, bare)| bare.round()),
            "of_rows": hundredths(ours / rows), "of_batches": hundredths(ours / batches), "goal_of_batches": GOAL,
        });
        println!("{figures}");
        return;
    }
    println!(
        "bare SQLite, a statement a job:   {rows:>8.0} jobs claimed and settled in a second of processor time"
    );
    println!("bare SQLite, a statement a batch: {batches:>8.0} jobs");
    println!(
        "ledger at batch {BATCH}: {ours:.0} jobs, {:.0} % of the first, {:.0} % of the second (goal: at least 60 %)",
        100.0 * ours / rows,
        100.0 * ours / batches
    );
    if let Some((shared, bare)) = shared {
        println!("bare PostgreSQL, a statement a batch: {bare:.0} jobs/s by the clock");
        println!(
            "ledger on PostgreSQL: {shared:.0} jobs/s, {:.0} % of it (goal: at least 60 %)",
            100.0 * shared / bare
        );
    }
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}

fn hundredths(ratio: f64) -> f64 {
    (100.0 * ratio).round() / 100.0
}

/// Runs a contestant in a schema of its own, which is dropped.
async fn in_schema(url: &str, contestant: impl AsyncFnOnce(String) -> f64) -> f64 {
    let schema = format!("docjobs_bench_{:012x}", fastrand::u64(..) >> 16);
    let mut conn = sqlx::PgConnection::connect(url).await.unwrap();
    for_schema(&mut conn, "CREATE SCHEMA", &schema, "").await;
    let rate = contestant(schema.clone()).await;
    for_schema(&mut conn, "DROP SCHEMA", &schema, "CASCADE").await;
    rate
}

async fn for_schema(conn: &mut sqlx::PgConnection, what: &str, schema: &str, how: &str) {
    let sql = format!("{what} {schema} {how}");
    sqlx::raw_sql(AssertSqlSafe(sql))
        .execute(conn)
        .await
        .unwrap();
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
    let is_far = url.starts_with("postgres");
    let begun = Timer::start(is_far);
    let mut count = 0;
    for round in 0..ROUNDS {
        let batch = ledger.claim_due(&[account()], BATCH).await.unwrap();
        let now = clock.wall();
        let polls = batch.into_iter().map(|claimed| match claimed {
            // Half of the polls see another word than the one before, which enters the history.
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
        let settled = ledger.update_claims(polls.collect()).await.unwrap();
        assert!(settled.lost.is_empty());
        count += settled.accepted;
    }
    let taken = begun.taken();
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
fn bare(path: &Path, settle: impl Fn(&Connection, &[Seen])) -> f64 {
    let conn = Connection::open(path).unwrap();
    conn.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; \
         CREATE TABLE job (id TEXT PRIMARY KEY, due INTEGER, remote TEXT, polls INTEGER, word TEXT); \
         CREATE INDEX due ON job (due); BEGIN",
    )
    .unwrap();
    for job in 0..JOBS {
        conn.prepare_cached("INSERT INTO job VALUES (?1, 0, ?2, 0, NULL)")
            .unwrap()
            .execute(params![format!("{job:010}"), format!("remote-{job}")])
            .unwrap();
    }
    conn.execute_batch("COMMIT").unwrap();
    let begun = Timer::start(false);
    let mut count = 0;
    for round in 0..ROUNDS {
        let now = i64::try_from(round).unwrap() + 1;
        conn.execute_batch("BEGIN").unwrap();
        let claim = "UPDATE job SET due = ?1 + 100000 \
                     WHERE id IN (SELECT id FROM job WHERE due <= ?1 ORDER BY due LIMIT ?2) RETURNING id, remote";
        let mut claim = conn.prepare_cached(claim).unwrap();
        let seen = claim.query_map(params![now, i64::try_from(BATCH).unwrap()], |row| {
            assert!(row.get::<_, String>(1)?.starts_with("remote"));
            Ok(Seen {
                id: row.get(0)?,
                due: now,
                word: "running",
            })
        });
        let seen: Vec<Seen> = seen.unwrap().map(Result::unwrap).collect();
        conn.execute_batch("COMMIT").unwrap();
        count += seen.len();
        conn.execute_batch("BEGIN").unwrap();
        settle(&conn, &seen);
        conn.execute_batch("COMMIT").unwrap();
    }
    let taken = begun.taken();
    assert_eq!(count, ROUNDS * BATCH);
    rate(count, taken)
}

/// What a poll of the bare loop saw, and when to poll again.
struct Seen {
    id: String,
    due: i64,
    word: &'static str,
}

fn by_rows(conn: &Connection, seen: &[Seen]) {
    let sql = "UPDATE job SET due = ?2, polls = polls + 1, word = ?3 WHERE id = ?1";
    let mut update = conn.prepare_cached(sql).unwrap();
    for Seen { id, due, word } in seen {
        update.execute(params![id, due, word]).unwrap();
    }
}

fn batch(seen: &[Seen]) -> String {
    let batch = seen
        .iter()
        .map(|seen| serde_json::json!([seen.id, seen.due, seen.word]));
    batch.collect::<serde_json::Value>().to_string()
}

fn by_batches(conn: &Connection, seen: &[Seen]) {
    let sql = "UPDATE job SET due = s.value ->> 1, polls = polls + 1, word = s.value ->> 2 \
               FROM json_each(?1) s WHERE job.id = s.value ->> 0";
    conn.prepare_cached(sql)
        .unwrap()
        .execute([batch(seen)])
        .unwrap();
}

/// The same on PostgreSQL.
async fn bare_postgres(url: &str, schema: &str) -> f64 {
    let mut conn = sqlx::PgConnection::connect(url).await.unwrap();
    let table = format!(
        "SET search_path = {schema}; \
         CREATE TABLE job (id TEXT PRIMARY KEY, due BIGINT, remote TEXT, polls BIGINT, word TEXT); \
         CREATE INDEX due ON job (due); INSERT INTO job SELECT to_char(n, 'FM0000000000'), 0, 'remote-' || n, 0, NULL \
         FROM generate_series(1, {JOBS}) n"
    );
    sqlx::raw_sql(AssertSqlSafe(table))
        .execute(&mut conn)
        .await
        .unwrap();
    let begun = Timer::start(true);
    let mut count = 0;
    for round in 0..ROUNDS {
        let now = i64::try_from(round).unwrap() + 1;
        let rows = sqlx::query(
            "UPDATE job SET due = $1 + 100000 WHERE id = ANY (ARRAY(SELECT id FROM job WHERE due <= $1 ORDER BY due \
             LIMIT $2 FOR UPDATE SKIP LOCKED)) RETURNING id, remote",
        )
        .bind(now)
        .bind(i64::try_from(BATCH).unwrap())
        .fetch_all(&mut conn)
        .await
        .unwrap();
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
        sqlx::query(
            "UPDATE job SET due = (s ->> 1)::bigint, polls = polls + 1, word = s ->> 2 \
             FROM json_array_elements($1::json) s WHERE job.id = s ->> 0",
        )
        .bind(batch(&seen))
        .execute(&mut conn)
        .await
        .unwrap();
    }
    let taken = begun.taken();
    assert_eq!(count, ROUNDS * BATCH);
    rate(count, taken)
}

/// Counts the processor time of this process, or time by the clock.
enum Timer {
    Processor(Duration),
    Clock(Arc<dyn Clock>, Moment),
}

impl Timer {
    fn start(by_clock: bool) -> Self {
        match processor_time() {
            Some(time) if !by_clock => Self::Processor(time),
            _ => {
                let clock = SystemClock::shared();
                let begun = clock.now();
                Self::Clock(clock, begun)
            }
        }
    }

    fn taken(self) -> Duration {
        match self {
            Self::Processor(begun) => processor_time().unwrap() - begun,
            Self::Clock(clock, begun) => clock.now().since(begun),
        }
    }
}

/// Of all threads, where the system tells it to the nanosecond.
fn processor_time() -> Option<Duration> {
    let mut total = 0;
    for task in std::fs::read_dir("/proc/self/task").ok()? {
        let stat = std::fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
        total += stat.split(' ').next()?.parse::<u64>().ok()?;
    }
    Some(Duration::from_nanos(total))
}

#[allow(clippy::cast_precision_loss, reason = "a count of thousands")]
fn rate(count: usize, taken: Duration) -> f64 {
    count as f64 / taken.as_secs_f64()
}
