//! Runs many random schedules of claim, pause, expire, reclaim and settle against a store and counts stale writes.
//!
//! `cargo run --release -p jobs-ledger --example schedules -- --runs 1000000 [--store sqlite|postgres://…] [--seed N]`

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program that measures: it stops at the first surprise and prints its figures"
)]

#[allow(dead_code, reason = "shared with the tests, which use other parts")]
#[path = "../tests/it/schedules.rs"]
mod schedules;

use std::path::Path;

use jobs_core::clock::SystemClock;
use jobs_ledger::{Ledger, LedgerConfig};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use tokio::task::JoinSet;

/// So many ledgers at once, because a file has one writer.
const LEDGERS: usize = 2;

/// A fresh ledger after so many schedules, so that the size of one does not grow without end.
const CHUNK: u64 = 10_000;

#[tokio::main]
async fn main() {
    let mut runs = 10_000;
    let mut store = "sqlite".to_owned();
    let mut first = 0;
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let value = args.next().unwrap_or_default();
        match arg.as_str() {
            "--runs" => runs = value.parse().unwrap(),
            "--seed" => first = value.parse().unwrap(),
            "--store" => store = value,
            other => panic!("unknown argument {other}"),
        }
    }
    let mut total = schedules::Report::default();
    let end = first + runs;
    let mut running = JoinSet::new();
    while first < end || !running.is_empty() {
        if first < end && running.len() < LEDGERS {
            let (store, count) = (store.clone(), CHUNK.min(end - first));
            running.spawn(async move { chunk(&store, first, count).await });
            first += count;
        } else if let Some(done) = running.join_next().await {
            total.add(done.unwrap());
            eprintln!(
                "{} of {runs} schedules, {} stale writes tried, {} accepted",
                total.runs, total.stale, total.stale_accepted
            );
            assert_eq!(total.stale_accepted, 0, "a stale write was accepted");
        }
    }
    println!(
        "{} schedules, {} steps, {} stale writes tried, {} accepted, {} late answers taken",
        total.runs, total.steps, total.stale, total.stale_accepted, total.late_answers
    );
}

async fn chunk(store: &str, first: u64, count: u64) -> schedules::Report {
    if store == "sqlite" {
        let dir = tempfile::tempdir().unwrap();
        let ledger = open(&path(dir.path()), None).await;
        let report = schedules::run(&ledger, first, count, 48).await;
        ledger.close().await;
        return report;
    }
    let schema = format!("docjobs_schedules_{:012x}", fastrand::u64(..) >> 16);
    // What a power cut of the server would leave is not looked at here, so nobody waits for its disk.
    let mark = if store.contains('?') { '&' } else { '?' };
    let hasty = format!("{store}{mark}options[synchronous_commit]=off");
    let ledger = open(&hasty, Some(schema.clone())).await;
    let report = schedules::run(&ledger, first, count, 8).await;
    ledger.close().await;
    let mut conn = PgConnection::connect(store).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(format!("DROP SCHEMA {schema} CASCADE")))
        .execute(&mut conn)
        .await
        .unwrap();
    conn.close().await.unwrap();
    report
}

async fn open(url: &str, schema: Option<String>) -> Ledger {
    let mut settings = LedgerConfig::default();
    settings.schema = schema;
    Ledger::open_with(url, SystemClock::shared(), &settings)
        .await
        .unwrap()
}

fn path(dir: &Path) -> String {
    format!("sqlite:{}", dir.join("ledger.db").display())
}
