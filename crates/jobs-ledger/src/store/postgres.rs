//! The ledger in a database that machines share.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jobs_core::Clock;
use jobs_core::clock::bounded;
use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool, Row as _, raw_sql};
use tokio::sync::{Notify, OnceCell};
use tokio::task::JoinHandle;

use super::{
    Conn, Flush, Row, SCHEMA, Sql, Tx, Value, Work, error, newer, postgres_args, steps_from,
    stopped,
};
use crate::error::{LedgerError, LedgerErrorKind};
use crate::settings::Settings;

/// Any number will do, as long as nobody else locks the same in this database.
const MIGRATION_LOCK: i64 = 0x646f_636a_6f62_7331;
const CHANNEL: &str = "docjobs_wake";

/// Longer than the server itself takes to give up a statement.
const ANSWER: Duration = Duration::from_secs(40);

/// How long a connection may rest before it is asked whether it still lives, which costs a round trip.
const REST: Duration = Duration::from_secs(1);

pub(super) struct Store {
    pool: PgPool,
    clock: Arc<dyn Clock>,
    nudged: Arc<Notify>,
    listening: OnceCell<Listening>,
}

/// Ends with the store.
struct Listening(JoinHandle<()>);

impl Drop for Listening {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Store {
    pub(super) async fn open(
        url: &str,
        clock: &Arc<dyn Clock>,
        settings: &Settings,
    ) -> Result<Self, LedgerError> {
        let mut options = PgConnectOptions::from_str(url)
            .map_err(error::of)?
            .application_name("docjobs")
            // A worker that is stopped in the middle of a transaction must not keep its locks for good.
            .options([
                ("idle_in_transaction_session_timeout", "10s"),
                ("lock_timeout", "10s"),
                ("statement_timeout", "30s"),
            ]);
        if let Some(schema) = &settings.schema {
            check_name(schema)?;
            options = options.options([("search_path", schema.as_str())]);
        }
        // The pool repeats a refused connection until its own time is over and then only says that; ask once, plainly.
        let limit = clock.now() + settings.patience;
        let mut first = bounded(clock.as_ref(), limit, PgConnection::connect_with(&options))
            .await
            .ok_or_else(|| error::of(sqlx::Error::PoolTimedOut))?
            .map_err(error::of)?;
        migrate(&mut first, settings.schema.as_deref()).await?;
        let _ = first.close().await;
        let pool = PgPoolOptions::new()
            .max_connections(8)
            .acquire_timeout(settings.patience)
            .test_before_acquire(false)
            .before_acquire(|conn, meta| {
                Box::pin(async move {
                    if meta.idle_for > REST {
                        conn.ping().await?;
                    }
                    Ok(true)
                })
            })
            .connect_lazy_with(options);
        Ok(Self {
            pool,
            clock: Arc::clone(clock),
            nudged: Arc::new(Notify::new()),
            listening: OnceCell::new(),
        })
    }

    /// Waits for the server, but not for ever: the network may swallow what it said.
    async fn answer<F: Future>(&self, asked: F) -> Result<F::Output, LedgerError> {
        let limit = self.clock.now() + ANSWER;
        bounded(self.clock.as_ref(), limit, asked)
            .await
            .ok_or_else(|| error::of(sqlx::Error::PoolTimedOut))
    }

    async fn listen(&self) {
        self.listening
            .get_or_init(async || {
                Listening(tokio::spawn(listen(
                    self.pool.clone(),
                    Arc::clone(&self.clock),
                    Arc::clone(&self.nudged),
                )))
            })
            .await;
    }
}

#[async_trait]
impl super::Store for Store {
    async fn write(&self, _flush: Flush, work: Work) -> Result<(), LedgerError> {
        let pool = self.pool.clone();
        // On a task of its own, so that it ends even if the caller goes away.
        let writing = tokio::spawn(async move {
            let mut tx = Tx {
                conn: Conn::Postgres(pool.begin().await.map_err(error::of)?),
                nudge: false,
                unsaved: false,
                savepoint: false,
            };
            let mut outcome = work.run(&mut tx).await;
            if tx.nudge && outcome.is_ok() {
                let tell = tx.run("SELECT pg_notify('docjobs_wake', '')", Vec::new());
                outcome = tell.await.map(drop);
            }
            let Conn::Postgres(tx) = tx.conn else {
                return outcome;
            };
            match outcome {
                Ok(()) => tx.commit().await.map_err(error::of),
                Err(problem) => {
                    // Waited for: a transaction that is merely dropped keeps its row locked for a while, and others
                    // skip that row as if somebody worked on it.
                    let _ = tx.rollback().await;
                    Err(problem)
                }
            }
        });
        self.answer(writing).await?.map_err(|_| stopped())?
    }

    async fn read(&self, sql: Sql, args: Vec<Value>) -> Result<Vec<Row>, LedgerError> {
        let query = sqlx::query_with(sql.postgres, postgres_args(args)?);
        let rows = self.answer(query.fetch_all(&self.pool)).await?;
        let rows = rows.map_err(error::of)?;
        Ok(rows.into_iter().map(Row::Postgres).collect())
    }

    async fn alone(&self, sql: Sql, args: Vec<Value>) -> Result<u64, LedgerError> {
        let (pool, args) = (self.pool.clone(), postgres_args(args)?);
        let writing = tokio::spawn(async move {
            let query = sqlx::query_with(sql.postgres, args);
            query.execute(&pool).await.map_err(error::of)
        });
        let done = self.answer(writing).await?.map_err(|_| stopped())?;
        done.map(|done| done.rows_affected())
    }

    fn is_far(&self) -> bool {
        true
    }

    async fn nudged(&self) {
        self.listen().await;
        self.nudged.notified().await;
    }

    fn name(&self) -> &'static str {
        "postgres"
    }

    async fn check(&self) -> Result<(), LedgerError> {
        self.read("SELECT count(*) FROM wake".into(), Vec::new())
            .await
            .map(drop)
    }

    async fn ahead(&self, now: i64) -> Result<Option<i64>, LedgerError> {
        let sql = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint";
        let row = self.read(sql.into(), Vec::new()).await?.into_iter().next();
        row.map(|row| row.int(0).map(|theirs| theirs.saturating_sub(now)))
            .transpose()
    }

    async fn close(&self) {
        if let Some(listening) = self.listening.get() {
            listening.0.abort();
        }
        self.pool.close().await;
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the pool, whose options hold the password.
        f.debug_struct("postgres::Store").finish_non_exhaustive()
    }
}

/// The name goes into statements and options as it is.
fn check_name(schema: &str) -> Result<(), LedgerError> {
    let plain = |b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_');
    if (1..=63).contains(&schema.len()) && schema.bytes().all(plain) {
        return Ok(());
    }
    Err(LedgerError::new(
        LedgerErrorKind::Input,
        "the name of a schema has at most 63 small letters, digits and underscores",
    ))
}

/// Whether the tables are there in the layout of this version: asked without the lock, for which every process that
/// opens the ledger would wait.
async fn is_current(conn: &mut PgConnection) -> Result<bool, LedgerError> {
    let known = "SELECT to_regclass('docjobs_schema') IS NOT NULL";
    let is_there: bool = sqlx::query(known)
        .fetch_one(&mut *conn)
        .await
        .and_then(|row| row.try_get(0))
        .map_err(error::of)?;
    if !is_there {
        return Ok(false);
    }
    let version: Option<i64> = sqlx::query("SELECT max(version) FROM docjobs_schema")
        .fetch_one(conn)
        .await
        .and_then(|row| row.try_get(0))
        .map_err(error::of)?;
    Ok(version == Some(SCHEMA))
}

/// What leads from each layout to the next.
const LAYOUTS: &[&str] = &[
    include_str!("schema/postgres-1.sql"),
    include_str!("schema/postgres-2.sql"),
    include_str!("schema/postgres-3.sql"),
];

/// Brings the tables to the layout of this version; one process at a time.
async fn migrate(conn: &mut PgConnection, schema: Option<&str>) -> Result<(), LedgerError> {
    if is_current(conn).await? {
        return Ok(());
    }
    let mut tx = conn.begin().await.map_err(error::of)?;
    sqlx::query("SELECT pg_advisory_xact_lock($1)")
        .bind(MIGRATION_LOCK)
        .execute(&mut *tx)
        .await
        .map_err(error::of)?;
    if let Some(schema) = schema {
        raw_sql(AssertSqlSafe(format!(
            "CREATE SCHEMA IF NOT EXISTS \"{schema}\""
        )))
        .execute(&mut *tx)
        .await
        .map_err(error::of)?;
    }
    let begin = "CREATE TABLE IF NOT EXISTS docjobs_schema (version BIGINT NOT NULL)";
    raw_sql(begin).execute(&mut *tx).await.map_err(error::of)?;
    let version: Option<i64> = sqlx::query("SELECT max(version) FROM docjobs_schema")
        .fetch_one(&mut *tx)
        .await
        .and_then(|row| row.try_get(0))
        .map_err(error::of)?;
    let version = match version {
        Some(version @ 1..=SCHEMA) => version,
        Some(version) => return Err(newer(version)),
        None => {
            let taken: i64 = sqlx::query(
                "SELECT count(*) FROM pg_tables WHERE schemaname = current_schema() AND tablename IN ('job', 'wake', 'event')",
            )
            .fetch_one(&mut *tx)
            .await
            .and_then(|row| row.try_get(0))
            .map_err(error::of)?;
            if taken > 0 {
                return Err(LedgerError::new(
                    LedgerErrorKind::NotALedger,
                    "the database has tables of another program under our names: use a database or schema of its own",
                ));
            }
            0
        }
    };
    if version < SCHEMA {
        for step in steps_from(version, LAYOUTS) {
            raw_sql(step).execute(&mut *tx).await.map_err(error::of)?;
        }
        sqlx::query("INSERT INTO docjobs_schema (version) VALUES ($1)")
            .bind(SCHEMA)
            .execute(&mut *tx)
            .await
            .map_err(error::of)?;
    }
    tx.commit().await.map_err(error::of)
}

/// Passes on the database's notifications. Whoever waits also has a limit of its own, so a gap only costs time.
async fn listen(pool: PgPool, clock: Arc<dyn Clock>, nudged: Arc<Notify>) {
    loop {
        if let Ok(mut listener) = PgListener::connect_with(&pool).await
            && listener.listen(CHANNEL).await.is_ok()
        {
            while listener.recv().await.is_ok() {
                nudged.notify_waiters();
                nudged.notify_one();
            }
        }
        if pool.is_closed() {
            return;
        }
        clock
            .sleep_until(clock.now() + Duration::from_secs(1))
            .await;
    }
}
