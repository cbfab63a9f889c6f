//! Databases as others set them up: their defaults, encodings, poolers, failovers, and tables that are not ours.

use std::sync::Arc;
use std::time::Duration;

use jobs_core::clock::SystemClock;
use jobs_core::vendor::Account;
use jobs_ledger::{
    Estimate, IntendOutcome, Intent, Ledger, LedgerConfig, LedgerError, LedgerErrorKind, Note,
};
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::pooler::Pooler;
use crate::world::SERVER;

/// A database of its own, dropped at the end.
struct Database {
    server: String,
    name: String,
}

impl Database {
    /// None when no server is named.
    async fn new(how: &str) -> Option<Self> {
        let server = std::env::var(SERVER).ok()?;
        let name = format!("docjobs_test_{:012x}", fastrand::u64(..) >> 16);
        let made = Self { server, name };
        let name = &made.name;
        made.admin(&format!("CREATE DATABASE {name} {how}")).await;
        Some(made)
    }

    fn url(&self) -> String {
        let (before, _) = self.server.rsplit_once('/').unwrap();
        format!("{before}/{}", self.name)
    }

    /// The same for another role.
    fn url_of(&self, role: &str) -> String {
        let (_, host) = self.server.split_once('@').unwrap();
        let (host, _) = host.split_once('/').unwrap();
        format!("postgres://{role}@{host}/{}", self.name)
    }

    /// Says something to the server.
    async fn admin(&self, sql: &str) {
        said(&self.server, sql).await;
    }

    async fn inside(&self, sql: &str) {
        said(&self.url(), sql).await;
    }

    async fn cut(&self) {
        let sql = format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{}'",
            self.name
        );
        self.admin(&sql).await;
    }

    async fn end(self) {
        let sql = format!("DROP DATABASE {} WITH (FORCE)", self.name);
        self.admin(&sql).await;
    }
}

async fn said(url: &str, sql: &str) {
    let mut conn = PgConnection::connect(url).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
        .execute(&mut conn)
        .await
        .unwrap();
    conn.close().await.unwrap();
}

async fn open(url: &str) -> Result<Ledger, LedgerError> {
    let mut settings = LedgerConfig::default();
    settings.connections = 2;
    Ledger::open_with(url, SystemClock::shared(), &settings).await
}

fn intent(content: u8) -> Intent {
    Intent::new("vendor", "parse", Account::of("vendor", "a"), [content; 32])
}

/// Written down, sent and given back.
async fn works(ledger: &Ledger, content: u8) {
    let IntendOutcome::New(claim, _) = ledger.intend(intent(content)).await.unwrap() else {
        panic!("it is the first");
    };
    let sending = ledger
        .begin_submit(claim, Estimate::Free)
        .await
        .unwrap()
        .granted()
        .unwrap();
    ledger
        .record_rejected(&sending, Note::none())
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_isolation_that_a_database_gives_by_default_does_not_count() {
    let Some(database) = Database::new("").await else {
        return;
    };
    for level in ["serializable", "repeatable read"] {
        let name = &database.name;
        database
            .admin(&format!(
                "ALTER DATABASE {name} SET default_transaction_isolation = '{level}'"
            ))
            .await;
        database
            .inside("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
            .await;
        let url = database.url();
        // The first of all, at once.
        let opening = (0..8).map(|number| {
            let url = url.clone();
            tokio::spawn(async move {
                let ledger = open(&url).await.unwrap();
                for content in 0..3 {
                    works(&ledger, number * 8 + content).await;
                }
                ledger.close().await;
            })
        });
        for opened in opening.collect::<Vec<_>>() {
            opened.await.unwrap();
        }
    }
    database.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_was_read_only_for_a_while_is_written_again() {
    let Some(database) = Database::new("").await else {
        return;
    };
    let name = database.name.clone();
    let ledger = open(&database.url()).await.unwrap();
    for round in 0..2 {
        works(&ledger, round).await;
        let turn = |word: &str| {
            format!("ALTER DATABASE {name} SET default_transaction_read_only = {word}")
        };
        database.admin(&turn("on")).await;
        database.cut().await;
        let problem = ledger.intend(intent(100)).await.unwrap_err();
        assert_eq!(problem.kind(), LedgerErrorKind::Unavailable, "{problem}");
        assert!(problem.is_transient());
        assert!(problem.to_string().contains("read-only"), "{problem}");
        // What can be read is read, by a new command as well.
        let other = open(&database.url()).await.unwrap();
        assert!(other.find("nothing").await.unwrap().is_empty());
        other.close().await;
        // No connection is cut: those that learnt it must be let go.
        database.admin(&turn("off")).await;
    }
    works(&ledger, 101).await;
    ledger.close().await;
    database.end().await;
}

#[tokio::test]
async fn an_encoding_that_cannot_hold_every_text_is_refused_by_name() {
    for encoding in ["LATIN1", "SQL_ASCII"] {
        let how = format!("ENCODING '{encoding}' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'");
        let Some(database) = Database::new(&how).await else {
            return;
        };
        let problem = open(&database.url()).await.unwrap_err();
        assert_eq!(problem.kind(), LedgerErrorKind::InvalidInput, "{problem}");
        assert!(problem.to_string().contains(encoding), "{problem}");
        database.end().await;
    }
    // What clients are told by default is another matter.
    let Some(database) = Database::new("").await else {
        return;
    };
    let name = &database.name;
    database
        .admin(&format!(
            "ALTER DATABASE {name} SET client_encoding = 'LATIN1'"
        ))
        .await;
    let ledger = open(&database.url()).await.unwrap();
    let IntendOutcome::New(claim, row) = ledger
        .intend(intent(1).with_input("处理.pdf"))
        .await
        .unwrap()
    else {
        panic!("it is the first");
    };
    ledger.abandon(&claim, Note::new("处理失败")).await.unwrap();
    let row = ledger.get(row.id).await.unwrap().unwrap();
    assert_eq!(
        (row.input.as_str(), row.error.as_deref()),
        ("处理.pdf", Some("处理失败"))
    );
    ledger.close().await;
    database.end().await;
}

#[tokio::test]
async fn tables_of_others_and_tables_that_act_are_no_ledger() {
    let Some(database) = Database::new("").await else {
        return;
    };
    let role = format!("{}_me", database.name);
    let mallory = format!("{}_mallory", database.name);
    database
        .inside(&format!(
            "CREATE ROLE {role} LOGIN; CREATE ROLE {mallory} LOGIN; GRANT ALL ON SCHEMA public TO {role}, {mallory}"
        ))
        .await;
    let (url, theirs) = (database.url_of(&role), database.url_of(&mallory));
    // Made before us, like ours, with a trigger.
    open(&theirs).await.unwrap().close().await;
    said(
        &theirs,
        &format!("GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}"),
    )
    .await;
    for url in [&url, &database.url()] {
        let problem = open(url).await.unwrap_err();
        assert_eq!(problem.kind(), LedgerErrorKind::NotALedger, "{problem}");
        assert!(problem.to_string().contains(&mallory), "{problem}");
    }
    // One table is enough.
    database
        .inside("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        .await;
    database
        .inside(&format!("GRANT ALL ON SCHEMA public TO {role}, {mallory}"))
        .await;
    said(
        &theirs,
        "CREATE TABLE memo (account TEXT, key TEXT, value TEXT)",
    )
    .await;
    let problem = open(&url).await.unwrap_err();
    assert!(problem.to_string().contains("memo"), "{problem}");
    said(
        &theirs,
        "DROP TABLE memo; CREATE VIEW memo AS SELECT 1 AS a",
    )
    .await;
    assert_eq!(
        open(&url).await.unwrap_err().kind(),
        LedgerErrorKind::NotALedger
    );
    said(&theirs, "DROP VIEW memo").await;
    open(&url).await.unwrap().close().await;
    // Ours, and something acts on it.
    for (make, undo) in [
        (
            "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'; \
             CREATE TRIGGER t BEFORE INSERT ON job FOR EACH ROW EXECUTE FUNCTION f()",
            "DROP TRIGGER t ON job",
        ),
        (
            "CREATE RULE r AS ON UPDATE TO wake DO ALSO NOTHING",
            "DROP RULE r ON wake",
        ),
        (
            "ALTER TABLE job ENABLE ROW LEVEL SECURITY",
            "ALTER TABLE job DISABLE ROW LEVEL SECURITY",
        ),
    ] {
        said(&url, make).await;
        let problem = open(&url).await.unwrap_err();
        assert_eq!(
            problem.kind(),
            LedgerErrorKind::NotALedger,
            "{make}: {problem}"
        );
        said(&url, undo).await;
    }
    // Tables of a team are its members'.
    open(&url).await.unwrap().close().await;
    database.inside(&format!("GRANT {role} TO {mallory}")).await;
    open(&theirs).await.unwrap().close().await;
    database
        .inside(&format!("DROP OWNED BY {role}; DROP OWNED BY {mallory}"))
        .await;
    let server = database.server.clone();
    database.end().await;
    said(&server, &format!("DROP ROLE {role}; DROP ROLE {mallory}")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_works_through_a_pooler_of_any_mode() {
    for (mode, more) in [
        ("transaction", ""),
        ("transaction", "ignore_startup_parameters = options"),
        ("session", ""),
        ("session", "ignore_startup_parameters = options"),
    ] {
        let Some(database) = Database::new("").await else {
            return;
        };
        let Some(pooler) = Pooler::start(&database.server, mode, more) else {
            return database.end().await;
        };
        let url = pooler.url(&database.name);
        // Several commands at once share the pooler's sessions.
        let running = (0..6).map(|number| {
            let url = url.clone();
            tokio::spawn(async move {
                let ledger = open(&url).await.unwrap();
                for content in 0..4 {
                    works(&ledger, number * 8 + content).await;
                    assert!(ledger.find("nothing").await.unwrap().is_empty());
                }
                let check = ledger.check().await.unwrap();
                assert_eq!(check.store, "postgres through a pooler");
                ledger.close().await;
            })
        });
        for ran in running.collect::<Vec<_>>() {
            ran.await.unwrap();
        }
        drop(pooler);
        database.end().await;
    }
}

#[tokio::test]
async fn a_search_path_in_the_address_is_kept_through_a_pooler() {
    let Some(database) = Database::new("").await else {
        return;
    };
    let Some(pooler) = Pooler::start(&database.server, "transaction", "") else {
        return database.end().await;
    };
    let url = format!(
        "{}?options[search_path]=elsewhere",
        pooler.url(&database.name)
    );
    // Nothing is made for a misspelt name, not even for as long as the session lives.
    let direct = format!("{}?options[search_path]=elsewhere", database.url());
    for url in [&url, &direct] {
        let problem = open(url).await.unwrap_err();
        assert_eq!(problem.kind(), LedgerErrorKind::InvalidInput, "{problem}");
    }
    database.inside("CREATE SCHEMA elsewhere").await;
    let ledger = open(&url).await.unwrap();
    works(&ledger, 1).await;
    ledger.close().await;
    database.inside("SELECT * FROM elsewhere.job").await;
    drop(pooler);
    database.end().await;
}

async fn knows(ledger: &Ledger, content: u8) -> bool {
    let outcome = ledger.intend(intent(content)).await.unwrap();
    !matches!(outcome, IntendOutcome::New(..))
}

#[tokio::test]
async fn the_search_path_of_a_database_or_role_makes_no_second_ledger() {
    let Some(database) = Database::new("").await else {
        return;
    };
    let (name, url) = (&database.name, database.url());
    let by_default = async |path: &str| {
        let sql = format!("ALTER DATABASE {name} SET search_path = {path}");
        database.admin(&sql).await;
    };
    let ledger = open(&url).await.unwrap();
    assert!(!knows(&ledger, 1).await);
    ledger.close().await;
    database.inside("CREATE SCHEMA other").await;
    for path in ["other, public", "other", "nosuch"] {
        by_default(path).await;
        let ledger = open(&url).await.unwrap();
        assert!(knows(&ledger, 1).await, "{path}");
        ledger.close().await;
    }
    // A ledger of its own is one that the address names.
    let named = |schema: &str| format!("{url}?options[search_path]={schema}");
    let other = open(&named("other")).await.unwrap();
    assert!(!knows(&other, 1).await);
    other.close().await;
    by_default("other, public").await;
    let problem = open(&url).await.unwrap_err();
    assert_eq!(problem.kind(), LedgerErrorKind::InvalidInput, "{problem}");
    assert!(
        problem.to_string().contains("other and public"),
        "{problem}"
    );
    let ledger = open(&named("public")).await.unwrap();
    assert!(knows(&ledger, 1).await);
    ledger.close().await;
    by_default("public").await;
    let ledger = open(&url).await.unwrap();
    assert!(knows(&ledger, 1).await);
    ledger.close().await;
    database.end().await;
}

#[tokio::test]
async fn a_ledger_in_the_schema_of_a_role_is_found_and_never_passed_by() {
    let Some(database) = Database::new("").await else {
        return;
    };
    let name = &database.name;
    database.inside("CREATE SCHEMA mine").await;
    database
        .admin(&format!("ALTER DATABASE {name} SET search_path = mine"))
        .await;
    for content in 0..2 {
        let ledger = open(&database.url()).await.unwrap();
        works(&ledger, content).await;
        ledger.close().await;
    }
    database
        .inside("SELECT 1 / (count(*) = 2)::int FROM mine.job")
        .await;
    database
        .admin(&format!("ALTER DATABASE {name} RESET search_path"))
        .await;
    let problem = open(&database.url()).await.unwrap_err();
    assert_eq!(problem.kind(), LedgerErrorKind::InvalidInput, "{problem}");
    assert!(problem.to_string().contains("schema mine,"), "{problem}");
    database.end().await;
}

#[tokio::test]
async fn a_database_that_accepts_no_connections_is_waited_for() {
    let Some(database) = Database::new("").await else {
        return;
    };
    let name = &database.name;
    let ledger = open(&database.url()).await.unwrap();
    database
        .admin(&format!("ALTER DATABASE {name} ALLOW_CONNECTIONS false"))
        .await;
    database.cut().await;
    let opening = open(&database.url()).await.unwrap_err();
    let writing = ledger.intend(intent(1)).await.unwrap_err();
    for problem in [opening, writing] {
        assert!(problem.is_transient(), "{problem}");
        assert!(problem.is_server_busy(), "{problem}");
    }
    database
        .admin(&format!("ALTER DATABASE {name} ALLOW_CONNECTIONS true"))
        .await;
    works(&ledger, 1).await;
    ledger.close().await;
    database.end().await;
}

#[tokio::test]
async fn a_lock_is_waited_for_no_longer_than_is_asked_for() {
    let Some(database) = Database::new("").await else {
        return;
    };
    let clock = SystemClock::shared();
    let mut settings = LedgerConfig::default();
    settings.patience = Duration::from_secs(1);
    let ledger = Ledger::open_with(&database.url(), Arc::clone(&clock), &settings)
        .await
        .unwrap();
    let mut other = PgConnection::connect(&database.url()).await.unwrap();
    sqlx::raw_sql("BEGIN; LOCK TABLE job IN ACCESS EXCLUSIVE MODE")
        .execute(&mut other)
        .await
        .unwrap();
    let begun = clock.now();
    let problem = ledger.intend(intent(1)).await.unwrap_err();
    let waited = clock.now().since(begun);
    assert_eq!(problem.kind(), LedgerErrorKind::Locked, "{problem}");
    assert!(waited < Duration::from_secs(5), "{waited:?}");
    other.close().await.unwrap();
    works(&ledger, 1).await;
    ledger.close().await;
    database.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_was_in_anothers_way_is_made_again() {
    let Some(database) = Database::new("").await else {
        return;
    };
    let ledger = open(&database.url()).await.unwrap();
    let IntendOutcome::New(claim, row) = ledger.intend(intent(1)).await.unwrap() else {
        panic!("it is the first");
    };
    // Whoever waits for the other's lock is told 40P01: the ledger holds the row and wants the table of events.
    let mut other = PgConnection::connect(&database.url()).await.unwrap();
    let run = async |conn: &mut PgConnection, sql: String| {
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(conn).await
    };
    let lock = "SET deadlock_timeout = '10s'; BEGIN; LOCK TABLE event IN ACCESS EXCLUSIVE MODE";
    run(&mut other, lock.to_owned()).await.unwrap();
    let writing = tokio::spawn({
        let ledger = ledger.clone();
        async move { ledger.begin_submit(claim, Estimate::Free).await }
    });
    let mut waiting = 0;
    while waiting == 0 {
        let row: (i64,) = sqlx::query_as(
            "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'relation'",
        )
        .fetch_one(&mut other)
        .await
        .unwrap();
        waiting = row.0;
    }
    let same = format!(
        "UPDATE wake SET poll_soon = 0 WHERE id = '{}'; COMMIT",
        row.id
    );
    run(&mut other, same).await.unwrap();
    let sending = writing.await.unwrap().unwrap();
    assert_eq!(sending.granted().unwrap().job(), row.id);
    let row = ledger.get(row.id).await.unwrap().unwrap();
    assert_eq!(row.attempts, 1);
    other.close().await.unwrap();
    ledger.close().await;
    database.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_holds_two_connections_at_most() {
    let Some(database) = Database::new("").await else {
        return;
    };
    let ledger = open(&database.url()).await.unwrap();
    let many = (0..32).map(|content| {
        let ledger = ledger.clone();
        tokio::spawn(async move { works(&ledger, content).await })
    });
    for done in many.collect::<Vec<_>>() {
        done.await.unwrap();
    }
    let mut conn = PgConnection::connect(&database.server).await.unwrap();
    let count: (i64,) = sqlx::query_as("SELECT count(*) FROM pg_stat_activity WHERE datname = $1")
        .bind(&database.name)
        .fetch_one(&mut conn)
        .await
        .unwrap();
    assert!((1..=2).contains(&count.0), "{count:?}");
    conn.close().await.unwrap();
    ledger.close().await;
    database.end().await;
}
