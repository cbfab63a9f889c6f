//! What can befall a file.

use std::fs;
#[cfg(unix)]
use std::path::Path;
use std::time::Duration;

use jobs_core::clock::SystemClock;
use jobs_core::vendor::Account;
use jobs_ledger::{
    Estimate, IntendOutcome, Intent, JobFilter, Ledger, LedgerConfig, LedgerError, LedgerErrorKind,
};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Row as _, SqliteConnection};

use crate::settled::{self, End};
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
    let mut settings = LedgerConfig::default();
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
    let IntendOutcome::New(claim, job) = first.intend(intent()).await.unwrap() else {
        panic!("attached");
    };
    first
        .begin_submit(claim, Estimate::Free)
        .await
        .unwrap()
        .granted()
        .unwrap()
        .key();
    let worker = first.worker().to_owned();
    // Neither released nor closed, as after a kill.
    drop(first);
    let second = world.open().await;
    assert_ne!(second.worker(), worker);
    let found = second.list(&JobFilter::all()).await.unwrap().jobs;
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
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
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
async fn an_older_layout_is_brought_up_to_date_with_its_jobs() {
    let world = World::sqlite();
    let mut conn = raw(&world).await;
    run(
        &mut conn,
        include_str!("../fixtures/ledger-2f5c79d.sqlite.sql"),
    )
    .await;
    // What layout 2 added.
    run(&mut conn, "ALTER TABLE job DROP COLUMN format").await;
    run(&mut conn, "PRAGMA user_version = 1").await;
    conn.close().await.unwrap();
    let ledger = world.open().await;
    let jobs = ledger.list(&JobFilter::all()).await.unwrap().jobs;
    assert_eq!(jobs.len(), 20);
    assert!(jobs.iter().all(|job| job.format.is_none()));
    let wanted = intent().again().with_format("json");
    let IntendOutcome::New(_, job) = ledger.intend(wanted).await.unwrap() else {
        panic!("it is bought again");
    };
    assert_eq!(job.format.as_deref(), Some("json"));
}

#[tokio::test]
async fn a_newer_layout_is_named_and_left_alone() {
    let world = World::sqlite();
    world.open().await.close().await;
    let mut conn = raw(&world).await;
    run(&mut conn, "PRAGMA user_version = 4").await;
    conn.close().await.unwrap();
    let problem = refusal(&world.url).await;
    assert_eq!(problem.kind(), LedgerErrorKind::Newer);
    assert!(problem.to_string().contains("number 4"), "{problem}");
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
    let mut conn = raw(&world).await;
    let sql = "SELECT rootpage FROM sqlite_schema WHERE rootpage > 1";
    let pages: Vec<i64> = sqlx::query_scalar(sql).fetch_all(&mut conn).await.unwrap();
    conn.close().await.unwrap();
    let mut bytes = fs::read(world.file()).unwrap();
    // Of every table, but not the list of them, so that it opens.
    for page in pages {
        let from = usize::try_from(page - 1).unwrap() * 4096;
        bytes[from..from + 4096].fill(0xa5);
    }
    fs::write(world.file(), bytes).unwrap();
    let ledger = world.open().await;
    for problem in [
        ledger.check().await.unwrap_err(),
        ledger.list(&JobFilter::all()).await.unwrap_err(),
        ledger.intend(intent()).await.unwrap_err(),
    ] {
        assert_eq!(problem.kind(), LedgerErrorKind::Corrupt, "{problem:?}");
    }
}

#[tokio::test]
async fn a_value_that_does_not_belong_there_is_an_error() {
    let world = World::sqlite();
    let ledger = world.open().await;
    let IntendOutcome::New(claim, _) = ledger.intend(intent()).await.unwrap() else {
        panic!("attached");
    };
    let mut conn = raw(&world).await;
    for sql in [
        "UPDATE wake SET stage = 'flying'",
        "UPDATE wake SET stage = 'intended'; UPDATE job SET options = '{'",
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
        "INSERT INTO quota VALUES ('00000000', 'poll', 'x')",
    )
    .await;
    let account = Account::parse("00000000").unwrap();
    let problem = ledger.acquire(account, "poll", &[]).await.unwrap_err();
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

/// Set in a process of its own that sees a disk of its own: where that is.
#[cfg(target_os = "linux")]
const SMALL_DISK: &str = "DOCJOBS_TEST_SMALL_DISK";

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_full_disk_is_named_and_nothing_is_half_written() {
    use std::io::Write as _;
    use std::process::Command;

    if let Some(disk) = std::env::var_os(SMALL_DISK) {
        return fill(Path::new(&disk)).await;
    }
    let disk = tempfile::tempdir().unwrap();
    let mount = "mount -t tmpfs -o size=512k none \"$1\" && shift && exec \"$@\"";
    let on_disk = |own_users: bool, program: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(own_users.then_some("--map-root-user"));
        command.args(["--mount", "sh", "-c", mount, "sh"]);
        command.arg(disk.path()).args(program);
        command.env(SMALL_DISK, disk.path());
        command.output()
    };
    let works = |own_users| on_disk(own_users, &["true"]).is_ok_and(|it| it.status.success());
    let Some(own_users) = [false, true]
        .into_iter()
        .find(|own_users| works(*own_users))
    else {
        // Past the capture of the test runner, so that it is seen.
        let line = b"SKIPPED: the test of a full disk, because no small disk can be mounted here\n";
        let _ = std::io::stderr().write_all(line);
        return;
    };
    let this = std::env::current_exe().unwrap();
    let test = "sqlite::a_full_disk_is_named_and_nothing_is_half_written";
    let program = [this.to_str().unwrap(), "--exact", test, "--nocapture"];
    let ran = on_disk(own_users, &program).unwrap();
    let told = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success() && told.contains("1 passed"), "{ran:?}");
}

#[cfg(target_os = "linux")]
async fn fill(disk: &Path) {
    let ballast = disk.join("ballast");
    fs::write(&ballast, vec![0; 128 * 1024]).unwrap();
    let url = disk.join("ledger.db").display().to_string();
    let ledger = Ledger::open(&url, SystemClock::shared()).await.unwrap();
    let long = serde_json::json!({ "text": "x".repeat(10_000) });
    let intent = |number: u8| {
        Intent::new("textin", "parse", Account::of("textin", "a"), [number; 32])
            .with_options(long.clone())
    };
    let mut count = 0;
    let problem = loop {
        match ledger.intend(intent(count)).await {
            Ok(_) => count += 1,
            Err(problem) => break problem,
        }
        assert!(count < 100, "the disk is not small");
    };
    assert_eq!(problem.kind(), LedgerErrorKind::Full, "{problem:?}");
    assert!(problem.is_transient() && count > 0, "{count}");
    assert_eq!(ledger.check().await.unwrap().jobs, i64::from(count));
    fs::remove_file(ballast).unwrap();
    assert!(matches!(
        ledger.intend(intent(count)).await.unwrap(),
        IntendOutcome::New(..)
    ));
    assert_eq!(ledger.check().await.unwrap().jobs, i64::from(count) + 1);
}

#[tokio::test]
async fn paths_and_addresses_that_cannot_be_are_named() {
    let world = World::sqlite();
    fs::write(world.file(), "").unwrap();
    let below = format!("{}/x.db", world.file().display());
    let dir = world.file().parent().unwrap().display().to_string();
    for url in [&below, &dir, "mysql://host/db"] {
        assert_eq!(
            refusal(url).await.kind(),
            LedgerErrorKind::InvalidInput,
            "{url}"
        );
    }
}

#[tokio::test]
async fn a_write_that_fails_half_way_leaves_nothing_alone_or_among_others() {
    let world = World::sqlite();
    let ledger = world.open().await;
    run(
        &mut raw(&world).await,
        "CREATE TRIGGER refuse BEFORE INSERT ON event \
         WHEN (SELECT input FROM job WHERE id = new.job) = 'bad' BEGIN SELECT raise(ABORT, 'no'); END",
    )
    .await;
    let intent = |number: u8| {
        let input = if number.is_multiple_of(3) {
            "bad"
        } else {
            "good"
        };
        Intent::new("textin", "parse", Account::of("textin", "a"), [number; 32]).with_input(input)
    };
    ledger.intend(intent(0)).await.unwrap_err();
    assert_eq!(ledger.check().await.unwrap().jobs, 0);
    // While the first is committed the others gather, and share a transaction.
    let mut writing = Vec::new();
    for number in 1..=12 {
        let ledger = ledger.clone();
        writing.push(tokio::spawn(
            async move { ledger.intend(intent(number)).await },
        ));
    }
    let mut kept = 0;
    for one in writing {
        kept += i64::from(one.await.unwrap().is_ok());
    }
    assert_eq!((kept, ledger.check().await.unwrap().jobs), (8, 8));
    let jobs = ledger.list(&JobFilter::all()).await.unwrap().jobs;
    assert!(jobs.iter().all(|job| job.input == "good"), "{jobs:?}");
}

#[tokio::test]
async fn a_locked_file_is_named_and_works_again_when_free() {
    let world = World::sqlite();
    let mut settings = LedgerConfig::default();
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
    assert!(
        ledger
            .list(&JobFilter::all())
            .await
            .unwrap()
            .jobs
            .is_empty()
    );
    run(&mut other, "ROLLBACK").await;
    assert!(matches!(
        ledger.intend(intent()).await.unwrap(),
        IntendOutcome::New(..)
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
            IntendOutcome::New(..)
        ));
    }
    assert_eq!(new, 1);
}

#[tokio::test]
async fn a_copy_of_a_ledger_in_use_is_a_ledger_for_its_owner_alone() {
    let world = World::sqlite();
    let ledger = world.open().await;
    let IntendOutcome::New(_, job) = ledger.intend(intent()).await.unwrap() else {
        panic!("it is the first");
    };
    let file = world.file().with_file_name("copy.db");
    ledger.backup(&file).await.unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    let again = ledger.backup(&file).await.unwrap_err();
    assert_eq!(again.kind(), LedgerErrorKind::InvalidInput, "{again}");
    let copy = Ledger::open(file.to_str().unwrap(), world.clock.shared())
        .await
        .unwrap();
    assert_eq!(copy.get(job.id).await.unwrap().unwrap().input, job.input);
    copy.check().await.unwrap();
    assert_eq!(copy.mark_restored().await.unwrap(), 1);
}

/// Every column of a job's rows as text, with its number and id struck out.
async fn struck_out(conn: &mut SqliteConnection, id: &str, number: u32) -> Vec<String> {
    let mut found = Vec::new();
    for (table, key, order) in [
        ("job", "id", "id"),
        ("wake", "id", "id"),
        ("event", "job", "seq"),
    ] {
        let columns = format!("SELECT name FROM pragma_table_info('{table}') WHERE name <> 'seq'");
        let columns = sqlx::query(AssertSqlSafe(columns))
            .fetch_all(&mut *conn)
            .await
            .unwrap();
        let values = columns
            .iter()
            .map(|row| match row.get::<String, _>(0).as_str() {
                column @ ("digest" | "live") => format!("length({column})"),
                // Jobs made in one statement have moments of their own, so that lists have an order.
                "created_at" => "NULL".to_owned(),
                "content" => format!("replace(hex(content), printf('%064X', {number}), 'N')"),
                column => format!("replace(replace({column}, '{id}', 'ID'), '{number:08}', 'N')"),
            });
        let values: Vec<String> = values.map(|value| format!("quote({value})")).collect();
        let sql = format!(
            "SELECT concat_ws(' ', {}) FROM {table} WHERE {key} = '{id}' ORDER BY {order}",
            values.join(", ")
        );
        let rows = sqlx::query(AssertSqlSafe(sql))
            .fetch_all(&mut *conn)
            .await
            .unwrap();
        found.extend(
            rows.iter()
                .map(|row| format!("{table}: {}", row.get::<String, _>(0))),
        );
    }
    found
}

#[tokio::test]
async fn a_past_made_for_measuring_has_the_rows_that_the_interface_writes() {
    for end in [End::Completed, End::Failed, End::Waiting] {
        let world = World::sqlite();
        let ledger = world.open().await;
        let first = settled::write(&ledger, 0, end).await;
        let written = settled::write(&ledger, 1, end).await;
        let mut conn = raw(&world).await;
        settled::multiply(&mut conn, &first, 0, 2, 3).await;
        let sql = "SELECT id FROM job WHERE input = 'in/00000002.pdf'";
        let copied: String = sqlx::query(sql).fetch_one(&mut conn).await.unwrap().get(0);
        let by_interface = struck_out(&mut conn, &written, 1).await;
        let by_copy = struck_out(&mut conn, &copied, 2).await;
        assert_eq!(by_interface, by_copy, "{end:?}");
        let listed = ledger.list(&JobFilter::all()).await.unwrap();
        assert_eq!(listed.jobs.len(), 5);
        let counts = ledger.stage_counts().await.unwrap();
        assert_eq!(counts.iter().map(|count| count.jobs).sum::<u64>(), 5);
    }
}
