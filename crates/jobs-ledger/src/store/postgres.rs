//! The ledger in a database that machines share.
//!
//! Every transaction begins with its own isolation level, whatever the database gives by default. Where the address is
//! that of a connection pooler, which drops or refuses what a session is started with, each transaction also brings its
//! own settings, nothing is prepared for later, and nobody listens.

use std::fmt;
use std::net::IpAddr;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use jobs_core::clock::{Clock, bounded};
use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool, Row as _, raw_sql};
use tokio::sync::{Notify, OnceCell};
use tokio::task::JoinHandle;

use super::{
    Conn, Flush, Row, SCHEMA, Sql, Stats, Tx, Value, Work, address, error, newer, postgres_args,
    steps_from, stopped,
};
use crate::config::LedgerConfig;
use crate::error::{LedgerError, LedgerErrorKind};

/// Any number will do, as long as nobody else locks the same in this database.
const MIGRATION_LOCK: i64 = 0x646f_636a_6f62_7331;
const CHANNEL: &str = "docjobs_wake";

/// How long a connection may rest before it is asked whether it still lives, which costs a round trip.
const REST: Duration = Duration::from_secs(1);

/// What a session is started with to see whether it arrives, which it does not through a pooler.
const PROBE: &str = "docjobs.direct";

/// What the server gives up by itself, by how long somebody waits. A worker that is stopped in the middle of a transaction
/// must not keep its locks for good; by the usual patience, whoever waits for such a lock gets it before giving up.
fn limits(patience: Duration) -> [(&'static str, String); 3] {
    let milliseconds = |time: Duration| time.as_millis().max(1).to_string();
    [
        ("idle_in_transaction_session_timeout", "10s".to_owned()),
        ("lock_timeout", milliseconds(patience * 2)),
        ("statement_timeout", milliseconds(patience * 6)),
    ]
}

/// Longer than the server itself takes to give up a statement.
fn answer_limit(patience: Duration) -> Duration {
    patience * 8
}

pub(super) struct Store {
    pool: PgPool,
    clock: Arc<dyn Clock>,
    notified: Arc<Notify>,
    listening: OnceCell<Listening>,
    way: Arc<Way>,
    /// Whether it is on this machine, where nobody else can listen.
    is_near: bool,
    stats: Arc<Stats>,
    answer_limit: Duration,
}

/// How the database is talked to.
struct Way {
    begin: String,
    is_pooled: bool,
    /// Its host and port, or its socket.
    server: String,
    /// The server said that it is read-only. Connections keep that when it is long over, so none is used again.
    distrusted: AtomicBool,
}

impl Way {
    /// Takes the way that the first connection finds.
    fn new(found: &Found, server: String, patience: Duration) -> Self {
        let mut begin = "BEGIN ISOLATION LEVEL READ COMMITTED".to_owned();
        if found.is_pooled {
            begin.push_str(&format!(
                "; SET LOCAL search_path = {}",
                path(&found.schema)
            ));
            for (name, value) in limits(patience) {
                begin.push_str(&format!("; SET LOCAL {name} = '{value}'"));
            }
        }
        Self {
            begin,
            is_pooled: found.is_pooled,
            server,
            distrusted: AtomicBool::new(false),
        }
    }

    fn begin(&self) -> AssertSqlSafe<String> {
        AssertSqlSafe(self.begin.clone())
    }

    /// What the outcome of a write tells of the connections.
    fn learn<T>(&self, outcome: Result<T, sqlx::Error>) -> Result<T, LedgerError> {
        outcome.map_err(|problem| {
            if is_read_only(&problem) {
                self.distrusted.store(true, Ordering::Relaxed);
            }
            error::at(&self.server, problem)
        })
    }
}

fn code(problem: &sqlx::Error) -> Option<String> {
    let said = problem.as_database_error()?;
    said.code().map(Into::into)
}

fn is_read_only(problem: &sqlx::Error) -> bool {
    code(problem).as_deref() == Some("25006")
}

/// Ends with the store.
struct Listening(JoinHandle<()>);

impl Drop for Listening {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What the first connection finds.
struct Found {
    is_pooled: bool,
    schema: String,
}

impl Store {
    pub(super) async fn open(
        url: &str,
        clock: &Arc<dyn Clock>,
        settings: &LedgerConfig,
    ) -> Result<Self, LedgerError> {
        if let Some(schema) = &settings.schema {
            check_name(schema)?;
        }
        let read = |url: &str| {
            let options = PgConnectOptions::from_str(url).map_err(error::of)?;
            // Nothing here is a fraction, and poolers refuse to be asked for its digits.
            let options = options.application_name("docjobs").extra_float_digits(None);
            // Without the brackets of an address, which the driver would look up as a name.
            let bare = options.get_host().trim_matches(['[', ']']).to_owned();
            Ok::<_, LedgerError>(options.host(&bare))
        };
        let (named, plain) = (read(url)?, read(&address::without_options(url))?);
        let asked = named.get_options().and_then(search_path).map(str::to_owned);
        let options = named
            .options(limits(settings.patience))
            .options([("default_transaction_isolation", "read committed")])
            .options([(PROBE, "yes")]);
        // The pool repeats a refused connection until its own time is over and then only says that; ask once, plainly.
        let server = server(&options);
        let limit = clock.now() + settings.patience;
        let (mut first, options) = bounded(clock.as_ref(), limit, connect(options, plain))
            .await
            .unwrap_or(Err(sqlx::Error::PoolTimedOut))
            .map_err(|problem| error::at(&server, problem))?;
        let wanted = settings.schema.clone().or(asked);
        let found = find(&mut first, wanted).await?;
        let is_ours = settings.schema.is_some();
        migrate(&mut first, &found, is_ours).await?;
        let _ = first.close().await;
        let options = if found.is_pooled {
            options.statement_cache_capacity(0)
        } else {
            options.options([("search_path", path(&found.schema))])
        };
        let is_near = options.get_socket().is_some() || is_loopback(options.get_host());
        let way = Arc::new(Way::new(&found, server, settings.patience));
        let trust = Arc::clone(&way);
        let pool = PgPoolOptions::new()
            .max_connections(settings.connections.max(1))
            .acquire_timeout(settings.patience)
            .test_before_acquire(false)
            .before_acquire(move |conn, meta| {
                let trust = Arc::clone(&trust);
                Box::pin(async move {
                    if trust.distrusted.load(Ordering::Relaxed) {
                        return Ok(false);
                    }
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
            notified: Arc::new(Notify::new()),
            listening: OnceCell::new(),
            way,
            is_near,
            stats: Arc::default(),
            answer_limit: answer_limit(settings.patience),
        })
    }

    /// Waits for the server, but not for ever: the network may swallow what it said.
    async fn answer<F: Future>(&self, asked: F) -> Result<F::Output, LedgerError> {
        let limit = self.clock.now() + self.answer_limit;
        bounded(self.clock.as_ref(), limit, asked)
            .await
            .ok_or_else(|| error::at(&self.way.server, sqlx::Error::PoolTimedOut))
    }

    async fn listen(&self) {
        self.listening
            .get_or_init(async || {
                Listening(tokio::spawn(listen(
                    self.pool.clone(),
                    Arc::clone(&self.clock),
                    Arc::clone(&self.notified),
                )))
            })
            .await;
    }

    async fn rows(&self, sql: Sql, args: Vec<Value>) -> Result<Vec<Row>, LedgerError> {
        let query = sqlx::query_with(sql.postgres, postgres_args(args)?);
        let rows = if self.way.is_pooled {
            let mut tx = self
                .pool
                .begin_with(self.way.begin())
                .await
                .map_err(|problem| error::at(&self.way.server, problem))?;
            let rows = query.persistent(false).fetch_all(&mut *tx).await;
            let _ = tx.rollback().await;
            rows
        } else {
            query.fetch_all(&self.pool).await
        };
        let rows = rows.map_err(|problem| error::at(&self.way.server, problem))?;
        Ok(rows.into_iter().map(Row::Postgres).collect())
    }
}

/// A pooler may refuse what a session is started with: then without.
async fn connect(
    options: PgConnectOptions,
    plain: PgConnectOptions,
) -> Result<(PgConnection, PgConnectOptions), sqlx::Error> {
    match PgConnection::connect_with(&options).await {
        Err(problem) if matches!(code(&problem).as_deref(), Some("08P01" | "0A000")) => {
            let plain = plain.statement_cache_capacity(0);
            let conn = PgConnection::connect_with(&plain).await?;
            Ok((conn, plain))
        }
        conn => conn.map(|conn| (conn, options)),
    }
}

/// The schema that a session would have been started with.
fn search_path(options: &str) -> Option<&str> {
    let (_, path) = options.rsplit_once("search_path=")?;
    path.split([' ', ','])
        .next()
        .filter(|name| !name.is_empty())
}

/// Temporary tables, which anybody may make, come last.
fn path(schema: &str) -> String {
    format!("\"{}\",pg_temp", schema.replace('"', "\"\""))
}

/// What may be shown of an address.
fn server(options: &PgConnectOptions) -> String {
    match options.get_socket() {
        Some(socket) => socket.display().to_string(),
        None => match (options.get_host(), options.get_port()) {
            (host, port) if host.contains(':') => format!("[{host}]:{port}"),
            (host, port) => format!("{host}:{port}"),
        },
    }
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || bare.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
}

/// Asks in the simple protocol, which every pooler passes on.
async fn find(conn: &mut PgConnection, wanted: Option<String>) -> Result<Found, LedgerError> {
    let sql = format!(
        "SELECT current_setting('{PROBE}', true), current_schema()::text, current_setting('server_encoding')"
    );
    let row = raw_sql(AssertSqlSafe(sql))
        .fetch_one(&mut *conn)
        .await
        .map_err(error::of)?;
    let text = |column: usize| row.try_get::<Option<String>, _>(column).map_err(error::of);
    let encoding = text(2)?.unwrap_or_default();
    if encoding != "UTF8" {
        return Err(LedgerError::new(
            LedgerErrorKind::InvalidInput,
            format!(
                "the database's encoding is {encoding}, which cannot hold every text: make one with ENCODING 'UTF8' \
                 TEMPLATE template0, and name that"
            ),
        ));
    }
    let schema = match wanted {
        Some(schema) => schema,
        None => unnamed_schema(conn, text(1)?).await?,
    };
    Ok(Found {
        is_pooled: text(0)?.as_deref() != Some("yes"),
        schema,
    })
}

/// The schema where the address names none.
///
/// What the database or the role gives as search_path may change from one day to the next, and in a new ledger everything
/// would be bought again. So it decides only where a ledger is made that is the first, and where it leads to one alone.
async fn unnamed_schema(
    conn: &mut PgConnection,
    by_default: Option<String>,
) -> Result<String, LedgerError> {
    let sql = format!(
        "SELECT n.nspname::text, \
         (n.nspname = 'public' OR n.nspname = ANY (pg_catalog.current_schemas(false)))::text \
         FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         WHERE c.relname = 'docjobs_schema' AND c.relkind = 'r' AND {IS_OURS} ORDER BY 1"
    );
    let ledgers = raw_sql(AssertSqlSafe(sql))
        .fetch_all(conn)
        .await
        .map_err(error::of)?;
    let (mut near, mut far) = (Vec::new(), Vec::new());
    for ledger in &ledgers {
        let text = |column: usize| ledger.try_get::<String, _>(column).map_err(error::of);
        let is_near = text(1)? == "true";
        if is_near { &mut near } else { &mut far }.push(text(0)?);
    }
    choose_schema(near, far, by_default)
}

/// Of the schemas with a ledger of ours, `near` are those that search_path leads to, and `public`.
fn choose_schema(
    mut near: Vec<String>,
    far: Vec<String>,
    by_default: Option<String>,
) -> Result<String, LedgerError> {
    let unclear = match (near.len(), far.is_empty()) {
        (0, true) => return Ok(by_default.unwrap_or_else(|| "public".to_owned())),
        (0, false) => far,
        (1, _) => return Ok(near.remove(0)),
        _ => near,
    };
    let (word, names) = match unclear.as_slice() {
        [one] => ("a ledger in the schema", one.clone()),
        many => ("ledgers in the schemas", many.join(" and ")),
    };
    Err(LedgerError::new(
        LedgerErrorKind::InvalidInput,
        format!(
            "the database has {word} {names}, and nothing says which schema is meant: name it in the address, as \
             options[search_path]=SCHEMA behind a question mark"
        ),
    ))
}

#[async_trait]
impl super::Store for Store {
    async fn write(&self, _flush: Flush, work: Work) -> Result<(), LedgerError> {
        let (pool, way) = (self.pool.clone(), Arc::clone(&self.way));
        let stats = Arc::clone(&self.stats);
        // On a task of its own, so that it ends even if the caller goes away.
        let writing = tokio::spawn(async move {
            let begun = way.learn(pool.begin_with(way.begin()).await);
            let mut tx = Tx {
                conn: Conn::Postgres(begun.map_err(LedgerError::unwritten)?),
                notify: false,
                unsaved: false,
                savepoint: false,
                prepares: !way.is_pooled,
                stats: Arc::clone(&stats),
            };
            let mut outcome = work.run(&mut tx).await;
            if tx.notify && outcome.is_ok() {
                let tell = tx.run("SELECT pg_notify('docjobs_wake', '')", Vec::new());
                outcome = tell.await.map(drop);
            }
            let Conn::Postgres(tx) = tx.conn else {
                return outcome;
            };
            match outcome {
                Ok(()) => {
                    let committed = way.learn(tx.commit().await);
                    if committed.is_ok() {
                        // Workers outlive the server: what they were told must not be taken back.
                        stats.committed(Flush::Now);
                        way.distrusted.store(false, Ordering::Relaxed);
                    }
                    // What the server takes back for another's sake it has not kept.
                    committed.map_err(|problem| match problem.kind() {
                        LedgerErrorKind::Locked => problem.unwritten(),
                        _ => problem,
                    })
                }
                Err(problem) => {
                    // Waited for: a transaction that is merely dropped keeps its row locked for a while, and others
                    // skip that row as if somebody worked on it.
                    let _ = tx.rollback().await;
                    if problem.is_read_only() {
                        way.distrusted.store(true, Ordering::Relaxed);
                    }
                    Err(problem.unwritten())
                }
            }
        });
        self.answer(writing).await?.map_err(|_| stopped())?
    }

    async fn read(&self, sql: Sql, args: Vec<Value>) -> Result<Vec<Row>, LedgerError> {
        // Connections that rested may all have been cut at once.
        const TRIES: u32 = 3;
        let mut tries = 1;
        loop {
            match self.answer(self.rows(sql, args.clone())).await? {
                Err(problem) if tries < TRIES && problem.kind() == LedgerErrorKind::Unavailable => {
                    tries += 1;
                }
                outcome => return outcome,
            }
        }
    }

    async fn alone(&self, sql: Sql, args: Vec<Value>) -> Result<u64, LedgerError> {
        if self.way.is_pooled {
            let (changed, work) =
                Work::new(move |tx| Box::pin(async move { tx.run(sql, args).await }));
            self.write(Flush::Later, work).await?;
            return changed.take();
        }
        let (pool, args) = (self.pool.clone(), postgres_args(args)?);
        let (way, stats) = (Arc::clone(&self.way), Arc::clone(&self.stats));
        let writing = tokio::spawn(async move {
            let query = sqlx::query_with(sql.postgres, args);
            let done = way.learn(query.execute(&pool).await)?;
            stats.statements.fetch_add(1, Ordering::Relaxed);
            stats.committed(Flush::Now);
            Ok(done)
        });
        let done: Result<_, LedgerError> = self.answer(writing).await?.map_err(|_| stopped())?;
        done.map(|done| done.rows_affected())
    }

    fn stats(&self) -> &Stats {
        &self.stats
    }

    fn is_far(&self) -> bool {
        true
    }

    async fn notified(&self) {
        if self.way.is_pooled {
            // Nobody can be listened to. Whoever waits has a limit of its own.
            return std::future::pending().await;
        }
        self.listen().await;
        self.notified.notified().await;
    }

    fn name(&self) -> &'static str {
        if self.way.is_pooled {
            "postgres through a pooler"
        } else {
            "postgres"
        }
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

    fn warnings(&self) -> &[String] {
        &[]
    }

    async fn is_plain(&self) -> Result<bool, LedgerError> {
        if self.is_near {
            return Ok(false);
        }
        let sql = "SELECT count(*) FROM pg_stat_ssl WHERE pid = pg_backend_pid() AND ssl";
        let row = self.read(sql.into(), Vec::new()).await?.into_iter().next();
        row.map_or(Ok(true), |row| row.int(0).map(|encrypted| encrypted == 0))
    }

    async fn backup(&self, _file: &Path) -> Result<(), LedgerError> {
        Err(LedgerError::new(
            LedgerErrorKind::InvalidInput,
            "the ledger is in a PostgreSQL database: copy it with pg_dump",
        ))
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
        LedgerErrorKind::InvalidInput,
        "the name of a schema has at most 63 small letters, digits and underscores",
    ))
}

/// What leads from each layout to the next.
const LAYOUTS: &[&str] = &[
    include_str!("schema/postgres-1.sql"),
    include_str!("schema/postgres-2.sql"),
    include_str!("schema/postgres-3.sql"),
];

/// Brings the tables to the layout of this version; one process at a time.
///
/// Everything in the simple protocol and in transactions, so that it works through a pooler.
async fn migrate(conn: &mut PgConnection, found: &Found, makes: bool) -> Result<(), LedgerError> {
    const TRIES: u32 = 5;
    let mut tries = 1;
    loop {
        match try_migrate(conn, found, makes).await {
            Err(problem) if tries < TRIES && problem.kind() == LedgerErrorKind::Locked => {
                tries += 1
            }
            outcome => return outcome,
        }
    }
}

async fn try_migrate(
    conn: &mut PgConnection,
    found: &Found,
    makes: bool,
) -> Result<(), LedgerError> {
    let begin = format!(
        "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL search_path = {}",
        path(&found.schema)
    );
    let mut tx = conn
        .begin_with(AssertSqlSafe(begin.clone()))
        .await
        .map_err(error::of)?;
    // Asked without the lock, for which every process that opens the ledger would wait.
    let known = known_layout(&mut tx, &found.schema).await;
    tx.rollback().await.map_err(error::of)?;
    if known? == Some(SCHEMA) {
        return Ok(());
    }
    let mut tx = conn
        .begin_with(AssertSqlSafe(begin))
        .await
        .map_err(error::of)?;
    run(
        &mut tx,
        format!("SELECT pg_advisory_xact_lock({MIGRATION_LOCK})"),
    )
    .await?;
    if !makes && !is_there(&mut tx, &found.schema).await? {
        // Else the tables would be temporary ones.
        return Err(no_schema());
    }
    if makes {
        let schema = &found.schema;
        run(&mut tx, format!("CREATE SCHEMA IF NOT EXISTS \"{schema}\"")).await?;
    }
    let version = match known_layout(&mut tx, &found.schema).await? {
        Some(version @ 1..=SCHEMA) => version,
        Some(version) => return Err(newer(version)),
        None => {
            let begin = "CREATE TABLE IF NOT EXISTS docjobs_schema (version BIGINT NOT NULL)";
            run(&mut tx, begin.to_owned()).await?;
            0
        }
    };
    if version < SCHEMA {
        for step in steps_from(version, LAYOUTS) {
            raw_sql(step).execute(&mut *tx).await.map_err(error::of)?;
        }
        let mark = format!("INSERT INTO docjobs_schema (version) VALUES ({SCHEMA})");
        run(&mut tx, mark).await?;
    }
    tx.commit().await.map_err(error::of)
}

async fn is_there(conn: &mut PgConnection, schema: &str) -> Result<bool, LedgerError> {
    let name = schema.replace('\'', "''");
    let sql = format!("SELECT oid::text FROM pg_catalog.pg_namespace WHERE nspname = '{name}'");
    let row = raw_sql(AssertSqlSafe(sql)).fetch_optional(conn).await;
    row.map(|row| row.is_some()).map_err(error::of)
}

fn no_schema() -> LedgerError {
    LedgerError::new(
        LedgerErrorKind::InvalidInput,
        "the database has no schema of the name in search_path: create it, or correct the address",
    )
}

async fn run(conn: &mut PgConnection, sql: String) -> Result<(), LedgerError> {
    raw_sql(AssertSqlSafe(sql))
        .execute(conn)
        .await
        .map(drop)
        .map_err(error::of)
}

/// Every table that a layout makes, quoted.
fn table_names() -> String {
    let made = LAYOUTS
        .iter()
        .flat_map(|step| step.split("CREATE TABLE ").skip(1));
    let names = made.filter_map(|rest| rest.split_whitespace().next());
    let quoted: Vec<String> = names.map(|name| format!("'{name}'")).collect();
    quoted.join(", ")
}

/// Whether the table `c` belongs to our role, or to one that it is a member of.
const IS_OURS: &str = "(pg_catalog.pg_get_userbyid(c.relowner) = current_user OR EXISTS (\
                       SELECT FROM pg_catalog.pg_auth_members m JOIN pg_catalog.pg_roles me ON me.oid = m.member \
                       WHERE m.roleid = c.relowner AND me.rolname = current_user))";

/// The number of the layout, none where there are no tables of ours.
///
/// Whoever may make tables in the schema could have made them before us, with a trigger that runs as our role: only
/// tables that belong to our role, or to one that it is a member of, and that do nothing by themselves are a ledger.
async fn known_layout(conn: &mut PgConnection, schema: &str) -> Result<Option<i64>, LedgerError> {
    let ours = format!(
        "SELECT c.relname::text, pg_catalog.pg_get_userbyid(c.relowner)::text, \
         {IS_OURS}::text, (c.relkind = 'r')::text, \
         (c.relrowsecurity OR EXISTS (SELECT FROM pg_catalog.pg_trigger t WHERE t.tgrelid = c.oid AND NOT t.tgisinternal) \
         OR EXISTS (SELECT FROM pg_catalog.pg_rewrite r WHERE r.ev_class = c.oid))::text \
         FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         WHERE n.nspname = '{}' AND c.relkind IN ('r', 'p', 'v', 'm', 'f') \
         AND c.relname IN ('docjobs_schema', {})",
        schema.replace('\'', "''"),
        table_names()
    );
    let tables = raw_sql(AssertSqlSafe(ours))
        .fetch_all(&mut *conn)
        .await
        .map_err(error::of)?;
    let mut is_ledger = false;
    for table in &tables {
        let text = |column: usize| table.try_get::<String, _>(column).map_err(error::of);
        let (name, owner) = (text(0)?, text(1)?);
        if text(2)? != "true" {
            return Err(foreign(format!(
                "the table {name} in the schema {schema} belongs to the role {owner} and not to ours"
            )));
        }
        if text(3)? != "true" || text(4)? == "true" {
            return Err(foreign(format!(
                "the table {name} in the schema {schema} has triggers, rules or row security, or is no table"
            )));
        }
        is_ledger |= name == "docjobs_schema";
    }
    if !is_ledger {
        if tables.is_empty() {
            return Ok(None);
        }
        return Err(foreign(
            "the database has tables of another program under our names".to_owned(),
        ));
    }
    let version = raw_sql("SELECT max(version)::text FROM docjobs_schema")
        .fetch_one(conn)
        .await
        .and_then(|row| row.try_get::<Option<String>, _>(0))
        .map_err(error::of)?;
    Ok(version.and_then(|version| version.parse().ok()))
}

fn foreign(what: String) -> LedgerError {
    LedgerError::new(
        LedgerErrorKind::NotALedger,
        format!("{what}: use a database or schema of its own"),
    )
}

/// Passes on the database's notifications. Whoever waits also has a limit of its own, so a gap only costs time.
async fn listen(pool: PgPool, clock: Arc<dyn Clock>, notified: Arc<Notify>) {
    loop {
        if let Ok(mut listener) = PgListener::connect_with(&pool).await
            && listener.listen(CHANNEL).await.is_ok()
        {
            while listener.recv().await.is_ok() {
                notified.notify_waiters();
                notified.notify_one();
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_is_chosen_only_where_no_other_can_be_meant() {
        let names = |text: &str| text.split_whitespace().map(str::to_owned).collect();
        for (near, far, by_default, meant) in [
            ("", "", Some("other"), Ok("other")),
            ("", "", None, Ok("public")),
            ("public", "", Some("other"), Ok("public")),
            ("other", "public2", Some("other"), Ok("other")),
            ("other public", "", Some("other"), Err("other and public")),
            ("", "other", Some("public"), Err("the schema other,")),
        ] {
            let chosen = choose_schema(names(near), names(far), by_default.map(str::to_owned));
            match (chosen, meant) {
                (Ok(chosen), Ok(meant)) => assert_eq!(chosen, meant, "{near}"),
                (Err(problem), Err(words)) => {
                    assert_eq!(problem.kind(), LedgerErrorKind::InvalidInput);
                    assert!(problem.to_string().contains(words), "{problem}");
                }
                (chosen, _) => panic!("{near}, {far}: {chosen:?}"),
            }
        }
    }
}
