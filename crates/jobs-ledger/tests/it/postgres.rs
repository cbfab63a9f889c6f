//! What can befall a shared database.

use std::str::FromStr as _;
use std::time::Duration;

use jobs_core::clock::SystemClock;
use jobs_core::testing::ManualClock;
use jobs_core::vendor::Account;
use jobs_ledger::{
    Estimate, IntendOutcome, Intent, JobFilter, Ledger, LedgerConfig, LedgerErrorKind, Note,
};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::world::World;

fn intent() -> Intent {
    Intent::new("textin", "parse", Account::of("textin", "a"), [1; 32])
}

async fn run(world: &World, sql: &str) {
    let mut conn = PgConnection::connect(&world.url).await.unwrap();
    let schema = world.settings.schema.as_deref().unwrap();
    let sql = format!("SET search_path = {schema}; {sql}");
    sqlx::raw_sql(AssertSqlSafe(sql))
        .execute(&mut conn)
        .await
        .unwrap();
    conn.close().await.unwrap();
}

#[tokio::test]
async fn a_dead_server_is_named_at_once_and_without_the_password() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let url = format!("postgres://me:hunter2@127.0.0.1:{port}/jobs");
    let problem = Ledger::open(&url, SystemClock::shared()).await.unwrap_err();
    assert_eq!(problem.kind(), LedgerErrorKind::Unavailable, "{problem}");
    assert!(problem.is_transient());
    let told = format!("{problem} {problem:?}");
    assert!(!told.contains("hunter2"), "{told}");
    let line = problem.to_string().to_lowercase();
    for word in [&format!("at 127.0.0.1:{port} cannot"), "refused"] {
        assert!(line.contains(word), "{line}");
    }
}

#[tokio::test]
async fn a_name_that_leads_nowhere_and_a_certificate_that_is_not_there_are_named() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let here = listener.local_addr().unwrap();
    let answering = std::thread::spawn(move || {
        use std::io::{Read as _, Write as _};
        let (mut client, _) = listener.accept().unwrap();
        // It asks for encryption, and gets it.
        client.read_exact(&mut [0; 8]).unwrap();
        client.write_all(b"S").unwrap();
        let _ = client.read(&mut [0; 1]);
    });
    for (url, kind, words) in [
        (
            "postgres://me@nosuch.invalid/jobs".to_owned(),
            LedgerErrorKind::Unavailable,
            "at nosuch.invalid:5432 cannot be reached",
        ),
        (
            "postgres://me@[::1]:1/jobs".to_owned(),
            LedgerErrorKind::Unavailable,
            "at [::1]:1 cannot be reached",
        ),
        (
            format!("postgres://me@{here}/jobs?sslmode=verify-full&sslrootcert=/hunter2.pem"),
            LedgerErrorKind::InvalidInput,
            "sslrootcert",
        ),
        (
            format!("postgres://me@{here}/jobs?sslmode=hunter2"),
            LedgerErrorKind::InvalidInput,
            "sslmode",
        ),
    ] {
        let problem = Ledger::open(&url, SystemClock::shared()).await.unwrap_err();
        assert_eq!(problem.kind(), kind, "{problem}");
        assert!(problem.to_string().contains(words), "{problem}");
        assert!(!problem.to_string().contains("hunter2"), "{problem}");
    }
    answering.join().unwrap();
}

#[tokio::test]
async fn a_server_that_never_answers_is_given_up() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!(
        "postgres://me@{}/jobs?sslmode=disable",
        listener.local_addr().unwrap()
    );
    let clock = ManualClock::new();
    let opening = tokio::spawn({
        let clock = clock.shared();
        async move { Ledger::open(&url, clock).await }
    });
    while clock.next_guard().is_none() {
        tokio::task::yield_now().await;
    }
    clock.advance(Duration::from_secs(5));
    let problem = opening.await.unwrap().unwrap_err();
    assert_eq!(problem.kind(), LedgerErrorKind::Unavailable, "{problem}");
}

#[tokio::test]
async fn addresses_that_cannot_be_read_are_named() {
    for url in ["postgres://me@host:port/db", "postgres:"] {
        let Err(problem) = Ledger::open(url, ManualClock::new().shared()).await else {
            panic!("{url}");
        };
        assert!(
            matches!(
                problem.kind(),
                LedgerErrorKind::InvalidInput
                    | LedgerErrorKind::Unavailable
                    | LedgerErrorKind::Denied
            ),
            "{url}: {problem:?}"
        );
    }
}

#[tokio::test]
async fn a_database_that_is_not_there_is_named() {
    let Some(world) = World::postgres() else {
        return;
    };
    let (base, _) = world.url.rsplit_once('/').unwrap();
    let url = format!("{base}/no_such_database_here");
    let problem = Ledger::open(&url, world.clock.shared()).await.unwrap_err();
    assert_eq!(problem.kind(), LedgerErrorKind::Unavailable);
    assert!(
        problem.to_string().contains("no such database"),
        "{problem}"
    );
}

#[tokio::test]
async fn layouts_of_others_are_named_and_left_alone() {
    let Some(world) = World::postgres() else {
        return;
    };
    let schema = world.settings.schema.clone().unwrap();
    let old =
        include_str!("../fixtures/ledger-2f5c79d.postgres.sql").replace("docjobs_old", &schema);
    run(&world, &old).await;
    // What layout 2 added.
    run(&world, "ALTER TABLE job DROP COLUMN format").await;
    run(&world, "UPDATE docjobs_schema SET version = 1").await;
    world.open().await.close().await;
    run(&world, "UPDATE docjobs_schema SET version = 4").await;
    let problem = Ledger::open_with(&world.url, world.clock.shared(), &world.settings)
        .await
        .unwrap_err();
    assert_eq!(problem.kind(), LedgerErrorKind::Newer, "{problem}");
    run(&world, "DROP TABLE docjobs_schema").await;
    let problem = Ledger::open_with(&world.url, world.clock.shared(), &world.settings)
        .await
        .unwrap_err();
    assert_eq!(problem.kind(), LedgerErrorKind::NotALedger, "{problem}");
    let mut settings = LedgerConfig::default();
    settings.schema = Some("Robert'); --".into());
    let problem = Ledger::open_with(&world.url, world.clock.shared(), &settings)
        .await
        .unwrap_err();
    assert_eq!(problem.kind(), LedgerErrorKind::InvalidInput, "{problem}");
    world.end().await;
}

#[tokio::test]
async fn several_workers_open_a_new_database_at_once() {
    let Some(world) = World::postgres() else {
        return;
    };
    let mut opening = Vec::new();
    for _ in 0..6 {
        let (url, clock, settings) = (
            world.url.clone(),
            world.clock.shared(),
            world.settings.clone(),
        );
        opening.push(tokio::spawn(async move {
            Ledger::open_with(&url, clock, &settings).await
        }));
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
    world.end().await;
}

#[tokio::test]
async fn a_write_whose_connection_was_cut_is_made_again() {
    let Some(world) = World::postgres() else {
        return;
    };
    let ledger = world.open().await;
    let IntendOutcome::New(claim, job) = ledger.intend(intent()).await.unwrap() else {
        panic!("attached");
    };
    let claim = ledger
        .begin_submit(claim, Estimate::Free)
        .await
        .unwrap()
        .granted()
        .unwrap();
    let schema = world.settings.schema.clone().unwrap();
    // A lock on the table holds the write up, so that it is cut in the middle.
    let mut other = PgConnection::connect(&world.url).await.unwrap();
    let lock = format!("BEGIN; LOCK TABLE {schema}.event");
    sqlx::raw_sql(AssertSqlSafe(lock))
        .execute(&mut other)
        .await
        .unwrap();
    let writing = tokio::spawn({
        let (ledger, claim) = (ledger.clone(), claim);
        async move {
            let id = jobs_core::JobId::new("r").unwrap();
            ledger
                .record_accepted(&claim, &id, std::time::SystemTime::UNIX_EPOCH, Note::none())
                .await
        }
    });
    let mut own = PgConnection::connect(&world.url).await.unwrap();
    let waits = format!(
        "SELECT count(*) FROM pg_locks l JOIN pg_class c ON c.oid = l.relation JOIN pg_namespace n \
         ON n.oid = c.relnamespace WHERE n.nspname = '{schema}' AND NOT l.granted"
    );
    loop {
        let row = sqlx::query(AssertSqlSafe(waits.clone()))
            .fetch_one(&mut own)
            .await
            .unwrap();
        if sqlx::Row::get::<i64, _>(&row, 0) > 0 {
            break;
        }
    }
    let cut = waits.replace("count(*)", "pg_terminate_backend(l.pid)");
    sqlx::raw_sql(AssertSqlSafe(cut))
        .execute(&mut own)
        .await
        .unwrap();
    sqlx::raw_sql("ROLLBACK").execute(&mut other).await.unwrap();
    let held = writing.await.unwrap().unwrap();
    assert_eq!(held.job(), job.id);
    assert_eq!(ledger.list(&JobFilter::all()).await.unwrap().jobs.len(), 1);
    // Once, although it was made twice.
    assert_eq!(ledger.events(job.id).await.unwrap().len(), 3);
    world.end().await;
}

/// What lies between a worker and the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line {
    Open,
    /// Nothing comes through and nobody is told.
    Silent,
    /// Connections end; new ones end too.
    Down,
}

struct Network {
    url: String,
    line: watch::Sender<Line>,
    task: JoinHandle<()>,
}

impl Network {
    async fn before(world: &World) -> Self {
        let server = PgConnectOptions::from_str(&world.url).unwrap();
        let server = format!("{}:{}", server.get_host(), server.get_port());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let here = listener.local_addr().unwrap().to_string();
        assert!(world.url.contains(&server), "{}", world.url);
        let url = world.url.replace(&server, &here);
        let (line, state) = watch::channel(Line::Open);
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(pass(client, server.clone(), state.clone()));
            }
        });
        Self { url, line, task }
    }

    fn set(&self, line: Line) {
        self.line.send(line).unwrap();
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn pass(mut client: TcpStream, server: String, mut line: watch::Receiver<Line>) {
    let mut server = TcpStream::connect(server).await.unwrap();
    let is_open = |line: &Line| *line == Line::Open;
    if is_open(&line.borrow()) {
        tokio::select! {
            _ = tokio::io::copy_bidirectional(&mut client, &mut server) => {}
            _ = line.wait_for(|line| !is_open(line)) => {}
        }
    }
    // Both ends stay as they are until the line is down.
    let _ = line.wait_for(|line| *line == Line::Down).await;
}

#[tokio::test]
async fn a_silent_server_is_given_up_and_a_restarted_one_is_used_again() {
    let Some(world) = World::postgres() else {
        return;
    };
    let network = Network::before(&world).await;
    let open = Ledger::open_with(&network.url, world.clock.shared(), &world.settings);
    let ledger = open.await.unwrap();
    let IntendOutcome::New(claim, job) = ledger.intend(intent()).await.unwrap() else {
        panic!("attached");
    };
    network.set(Line::Silent);
    for write in [true, false] {
        let asking = tokio::spawn({
            let (ledger, key) = (ledger.clone(), claim.key());
            async move {
                match write {
                    true => ledger.renew_all(&[key]).await.unwrap_err(),
                    false => ledger.get(key.job()).await.unwrap_err(),
                }
            }
        });
        while world.clock.next_guard().is_none() {
            tokio::task::yield_now().await;
        }
        world.pass(Duration::from_secs(40));
        let problem = asking.await.unwrap();
        assert_eq!(problem.kind(), LedgerErrorKind::Unavailable, "{problem}");
        assert!(problem.is_transient());
    }
    network.set(Line::Down);
    let problem = ledger.get(job.id).await.unwrap_err();
    assert_eq!(problem.kind(), LedgerErrorKind::Unavailable, "{problem}");
    network.set(Line::Open);
    // Each connection of before may fail once.
    let mut tries = 0;
    while let Err(problem) = ledger.renew_all(&[claim.key()]).await {
        assert_eq!(problem.kind(), LedgerErrorKind::Unavailable, "{problem}");
        tries += 1;
        assert!(tries < 8, "{problem}");
    }
    ledger
        .begin_submit(claim, Estimate::Free)
        .await
        .unwrap()
        .granted()
        .unwrap()
        .key();
    assert_eq!(ledger.events(job.id).await.unwrap().len(), 2);
    ledger.close().await;
    world.end().await;
}
