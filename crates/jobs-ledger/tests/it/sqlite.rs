//! What can befall a file.

use std::fs;
use std::time::Duration;

use jobs_core::{Account, SystemClock};
use jobs_ledger::{Filter, Intended, Intent, Ledger, LedgerError, LedgerErrorKind, Settings};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, SqliteConnection};

use crate::world::World;

async fn raw(world: &World) -> SqliteConnection {
    SqliteConnectOptions::new()
        .filename(world.file())
        .create_if_missing(true)
        .connect()
        .await
        .unwrap()
}

async fn run(conn: &mut SqliteConnection, sql: &'static str) {
    sqlx::raw_sql(sql).execute(conn).await.unwrap();
}

async fn refusal(url: &str) -> LedgerError {
    let mut settings = Settings::default();
    settings.patience = Duration::from_millis(20);
    Ledger::open_with(url, SystemClock::shared(), &settings)
        .await
        .unwrap_err()
}

fn intent() -> Intent {
    Intent::new("textin", "parse", Account::of("textin", "a"), [1; 32])
}

#[tokio::test]
async fn jobs_are_there_again_after_reopening() {
    let world = World::sqlite();
    let first = world.open().await;
    let Intended::New(claim, job) = first.intend(intent()).await.unwrap() else {
        panic!("attached");
    };
    first.sending(claim).await.unwrap().key();
    let worker = first.worker().to_owned();
    // Neither released nor closed, as after a kill.
    drop(first);
    let second = world.open().await;
    assert_ne!(second.worker(), worker);
    let found = second.list(&Filter::all()).await.unwrap().jobs;
    assert_eq!((found.len(), found[0].id), (1, job.id));
    assert_eq!(second.events(job.id).await.unwrap().len(), 2);
}

#[cfg(unix)]
#[tokio::test]
async fn file_and_directory_are_for_their_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let world = World::sqlite();
    let dir = world.file().parent().unwrap().join("a/b");
    let path = dir.join("jobs.db");
    let ledger = Ledger::open(path.to_str().unwrap(), world.clock.shared())
        .await
        .unwrap();
    let _ = ledger.intend(intent()).await.unwrap();
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&dir), 0o700);
    assert_eq!(mode(dir.parent().unwrap()), 0o700);
    let files: Vec<_> = fs::read_dir(&dir)
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    assert_eq!(files.len(), 3, "{files:?}");
    for file in files {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
}

#[tokio::test]
async fn a_file_of_another_program_is_left_alone() {
    let world = World::sqlite();
    let mut conn = raw(&world).await;
    run(&mut conn, "CREATE TABLE mine (a INTEGER)").await;
    conn.close().await.unwrap();
    let before = fs::read(world.file()).unwrap();
    let problem = refusal(&world.url).await;
    assert_eq!(problem.kind(), LedgerErrorKind::NotALedger, "{problem}");
    assert_eq!(fs::read(world.file()).unwrap(), before);
}

#[tokio::test]
async fn a_newer_layout_is_named_and_left_alone() {
    let world = World::sqlite();
    world.open().await.close().await;
    let mut conn = raw(&world).await;
    run(&mut conn, "PRAGMA user_version = 2").await;
    conn.close().await.unwrap();
    let problem = refusal(&world.url).await;
    assert_eq!(problem.kind(), LedgerErrorKind::Newer);
    assert!(problem.to_string().contains("number 2"), "{problem}");
}

#[tokio::test]
async fn damage_is_named() {
    let world = World::sqlite();
    fs::write(world.file(), vec![b'x'; 8192]).unwrap();
    assert_eq!(
        refusal(&world.url).await.kind(),
        LedgerErrorKind::NotALedger
    );

    let world = World::sqlite();
    let ledger = world.open().await;
    let _ = ledger.intend(intent()).await.unwrap();
    ledger.close().await;
    let mut bytes = fs::read(world.file()).unwrap();
    // Past the header and the list of tables, so that it opens.
    for byte in bytes.iter_mut().skip(4096) {
        *byte = 0xa5;
    }
    fs::write(world.file(), bytes).unwrap();
    let ledger = world.open().await;
    for problem in [
        ledger.check().await.unwrap_err(),
        ledger.list(&Filter::all()).await.unwrap_err(),
        ledger.intend(intent()).await.unwrap_err(),
    ] {
        assert_eq!(problem.kind(), LedgerErrorKind::Corrupt, "{problem:?}");
    }
}

#[tokio::test]
async fn a_value_that_does_not_belong_there_is_an_error() {
    let world = World::sqlite();
    let ledger = world.open().await;
    let Intended::New(claim, _) = ledger.intend(intent()).await.unwrap() else {
        panic!("attached");
    };
    let mut conn = raw(&world).await;
    for sql in [
        "UPDATE wake SET stage = 'flying'",
        "UPDATE wake SET stage = 'wanted'; UPDATE job SET options = '{'",
        "UPDATE job SET options = 'null', content = x'00'",
        "UPDATE job SET content = zeroblob(32), account = 'me'",
        "UPDATE job SET account = '00000000', remote_id = 'a b'",
        "UPDATE job SET remote_id = NULL, result = '}'",
    ] {
        sqlx::raw_sql(sql).execute(&mut conn).await.unwrap();
        let problem = ledger.get(claim.job()).await.unwrap_err();
        assert_eq!(problem.kind(), LedgerErrorKind::Corrupt, "{sql}: {problem}");
    }
    run(&mut conn, "UPDATE job SET result = NULL").await;
    ledger.get(claim.job()).await.unwrap();
    run(
        &mut conn,
        "INSERT INTO quota VALUES ('00000000', 'look', 'x')",
    )
    .await;
    let account = Account::parse("00000000").unwrap();
    let problem = ledger.take(account, "look", &[]).await.unwrap_err();
    assert_eq!(problem.kind(), LedgerErrorKind::Corrupt);
}

#[tokio::test]
async fn a_read_only_file_is_named() {
    let world = World::sqlite();
    world.open().await.close().await;
    let mut mode = fs::metadata(world.file()).unwrap().permissions();
    mode.set_readonly(true);
    fs::set_permissions(world.file(), mode).unwrap();
    let problem = refusal(&world.url).await;
    assert_eq!(problem.kind(), LedgerErrorKind::ReadOnly, "{problem}");
    assert!(problem.to_string().contains("ledger.db"), "{problem}");
}

#[tokio::test]
async fn paths_and_addresses_that_cannot_be_are_named() {
    let world = World::sqlite();
    fs::write(world.file(), "").unwrap();
    let below = format!("{}/x.db", world.file().display());
    let dir = world.file().parent().unwrap().display().to_string();
    for url in [&below, &dir, "mysql://host/db"] {
        assert_eq!(refusal(url).await.kind(), LedgerErrorKind::Input, "{url}");
    }
}

#[tokio::test]
async fn a_locked_file_is_named_and_works_again_when_free() {
    let world = World::sqlite();
    let mut settings = Settings::default();
    settings.patience = Duration::from_millis(20);
    let ledger = Ledger::open_with(&world.url, world.clock.shared(), &settings)
        .await
        .unwrap();
    let mut other = raw(&world).await;
    run(&mut other, "BEGIN EXCLUSIVE").await;
    let problem = ledger.intend(intent()).await.unwrap_err();
    assert_eq!(problem.kind(), LedgerErrorKind::Locked, "{problem}");
    assert!(problem.is_transient());
    // Reading goes on meanwhile.
    assert!(ledger.list(&Filter::all()).await.unwrap().jobs.is_empty());
    run(&mut other, "ROLLBACK").await;
    assert!(matches!(
        ledger.intend(intent()).await.unwrap(),
        Intended::New(..)
    ));

    let fresh = World::sqlite();
    let mut other = raw(&fresh).await;
    run(&mut other, "BEGIN EXCLUSIVE; CREATE TABLE t (a)").await;
    assert_eq!(refusal(&fresh.url).await.kind(), LedgerErrorKind::Locked);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_programs_open_a_new_file_at_once() {
    let world = World::sqlite();
    let mut opening = Vec::new();
    for _ in 0..6 {
        let (url, clock) = (world.url.clone(), SystemClock::shared());
        opening.push(tokio::spawn(async move { Ledger::open(&url, clock).await }));
    }
    let mut new = 0;
    for ledger in opening {
        let ledger = ledger.await.unwrap().unwrap();
        new += usize::from(matches!(
            ledger.intend(intent()).await.unwrap(),
            Intended::New(..)
        ));
    }
    assert_eq!(new, 1);
}
