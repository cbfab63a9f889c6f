//! What a store must be able to do: run work in a transaction, read rows, tell when something became due.

mod address;
mod error;
mod file;
mod postgres;
mod sqlite;

use std::fmt::Debug;
use std::path::Path;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use jobs_core::clock::Clock;
use rusqlite::types::Value as SqliteValue;
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::{Arguments, Postgres, Row as _, Transaction};

use self::address::Address;
use crate::config::LedgerConfig;
use crate::error::{LedgerError, LedgerErrorKind};

/// The newest layout of tables that this version knows.
pub(crate) const SCHEMA: i64 = 3;

/// A place where jobs are kept.
#[async_trait]
pub(crate) trait Store: Debug + Send + Sync {
    /// Runs `work` in one transaction, to its end even if the caller goes away.
    async fn write(&self, flush: Flush, work: Work) -> Result<(), LedgerError>;

    /// Rows as they are committed.
    async fn read(&self, sql: Sql, args: Vec<Value>) -> Result<Vec<Row>, LedgerError>;

    /// Runs one statement that changes rows, on its own, to its end even if the caller goes away; gives their number.
    async fn alone(&self, sql: Sql, args: Vec<Value>) -> Result<u64, LedgerError>;

    /// Whether each statement costs a round trip to another machine.
    fn is_far(&self) -> bool;

    /// Returns once another part of the program, or another process, made a job due.
    async fn notified(&self);

    /// Its name, for people.
    fn name(&self) -> &'static str;

    /// What it has done since it was opened.
    fn stats(&self) -> &Stats;

    /// Looks for damage.
    async fn check(&self) -> Result<(), LedgerError>;

    /// How far its own clock is ahead of `now`, in microseconds, where it has one.
    async fn ahead(&self, now: i64) -> Result<Option<i64>, LedgerError>;

    /// What will go wrong one day, in words, as far as it is known without asking.
    fn warnings(&self) -> &[String];

    /// Whether what goes to another machine goes in plain text.
    async fn is_plain(&self) -> Result<bool, LedgerError>;

    /// Copies everything into a new file, as it is at one moment.
    async fn backup(&self, file: &Path) -> Result<(), LedgerError>;

    /// Ends the connections.
    async fn close(&self);
}

/// Where rows are read: inside a transaction, or as they are committed.
pub(crate) trait Source: Send {
    /// The rows of a statement that changes nothing.
    fn rows(
        &mut self,
        sql: Sql,
        args: Vec<Value>,
    ) -> impl Future<Output = Result<Vec<Row>, LedgerError>> + Send;
}

/// Rows as they are committed.
pub(crate) struct Committed<'s>(pub(crate) &'s dyn Store);

impl Source for Committed<'_> {
    async fn rows(&mut self, sql: Sql, args: Vec<Value>) -> Result<Vec<Row>, LedgerError> {
        self.0.read(sql, args).await
    }
}

impl Source for Tx {
    async fn rows(&mut self, sql: Sql, args: Vec<Value>) -> Result<Vec<Row>, LedgerError> {
        Self::rows(self, sql, args).await
    }
}

/// Opens the store that the URL names.
pub(crate) async fn open(
    url: &str,
    clock: &Arc<dyn Clock>,
    settings: &LedgerConfig,
) -> Result<Arc<dyn Store>, LedgerError> {
    match address::read(url)? {
        Address::Postgres(url) => Ok(Arc::new(
            postgres::Store::open(&url, clock, settings).await?,
        )),
        Address::File(path) => Ok(Arc::new(sqlite::Store::open(path, clock, settings).await?)),
    }
}

/// What a store has done since it was opened.
#[derive(Debug, Default)]
pub(crate) struct Stats {
    /// Transactions that were committed.
    pub(crate) transactions: AtomicU64,
    /// Those of them that waited for the disk.
    pub(crate) flushes: AtomicU64,
    /// Statements in transactions, those that begin and end them not counted.
    pub(crate) statements: AtomicU64,
}

impl Stats {
    fn committed(&self, flush: Flush) {
        self.transactions.fetch_add(1, Ordering::Relaxed);
        if flush == Flush::Now {
            self.flushes.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Whether a write must be on the disk before it counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Flush {
    /// It survives the process, and reaches the disk with the next write that must.
    Later,
    /// It survives a power cut.
    Now,
}

/// One statement, in the words of each store.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sql {
    sqlite: &'static str,
    postgres: &'static str,
}

impl Sql {
    pub(crate) const fn each(sqlite: &'static str, postgres: &'static str) -> Self {
        Self { sqlite, postgres }
    }
}

impl From<&'static str> for Sql {
    fn from(both: &'static str) -> Self {
        Self::each(both, both)
    }
}

/// An argument of a statement. Lists are arrays in PostgreSQL and JSON text in SQLite.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    Int(Option<i64>),
    Text(Option<String>),
    Bytes(Option<Vec<u8>>),
    Ints(Vec<i64>),
    Texts(Vec<String>),
}

macro_rules! values {
    ($($from:ty => $value:expr;)*) => {$(
        impl From<$from> for Value {
            fn from(it: $from) -> Self {
                $value(it)
            }
        }
    )*};
}

values! {
    i64 => |it| Value::Int(Some(it));
    Option<i64> => Value::Int;
    bool => |it| Value::Int(Some(i64::from(it)));
    &str => |it: &str| Value::Text(Some(it.to_owned()));
    String => |it| Value::Text(Some(it));
    Option<String> => Value::Text;
    Option<&str> => |it: Option<&str>| Value::Text(it.map(str::to_owned));
    Vec<u8> => |it| Value::Bytes(Some(it));
    Option<Vec<u8>> => Value::Bytes;
    Vec<i64> => Value::Ints;
    Vec<String> => Value::Texts;
}

/// The arguments of a statement, each by `Value::from`.
macro_rules! args {
    ($($arg:expr),* $(,)?) => { vec![$($crate::store::Value::from($arg)),*] };
}
pub(crate) use args;

/// One row of an answer; columns are asked for by their place.
#[derive(Debug)]
pub(crate) enum Row {
    Sqlite(Box<[SqliteValue]>),
    Postgres(PgRow),
}

macro_rules! columns {
    ($($name:ident: $type:ty = $($value:pat => $of:expr),+;)*) => {
        impl Row {$(
            pub(crate) fn $name(&self, column: usize) -> Result<$type, LedgerError> {
                match self {
                    Self::Sqlite(row) => match row.get(column) {
                        $(Some($value) => Ok($of),)+
                        _ => Err(error::misplaced()),
                    },
                    Self::Postgres(row) => row.try_get(column).map_err(error::of),
                }
            }
        )*}
    };
}

columns! {
    str: &str = SqliteValue::Text(it) => it;
    opt_str: Option<&str> = SqliteValue::Text(it) => Some(it), SqliteValue::Null => None;
    int: i64 = SqliteValue::Integer(it) => *it;
    opt_int: Option<i64> = SqliteValue::Integer(it) => Some(*it), SqliteValue::Null => None;
    text: String = SqliteValue::Text(it) => it.clone();
    opt_bytes: Option<&[u8]> = SqliteValue::Blob(it) => Some(it), SqliteValue::Null => None;
    opt_text: Option<String> = SqliteValue::Text(it) => Some(it.clone()), SqliteValue::Null => None;
}

/// A transaction in progress.
pub(crate) struct Tx {
    conn: Conn,
    notify: bool,
    /// In SQLite: the work that is running has changed nothing yet, so there is nothing to go back to.
    unsaved: bool,
    /// In SQLite: there is a place to go back to, of this work or of one before.
    savepoint: bool,
    /// In PostgreSQL: a statement is prepared once a connection. Not through a pooler, behind which connections change.
    prepares: bool,
    stats: Arc<Stats>,
}

enum Conn {
    Sqlite(rusqlite::Connection),
    Postgres(Transaction<'static, Postgres>),
}

impl Tx {
    /// Runs a statement and gives its rows.
    pub(crate) async fn rows(
        &mut self,
        sql: impl Into<Sql>,
        args: Vec<Value>,
    ) -> Result<Vec<Row>, LedgerError> {
        let sql = sql.into();
        self.save(sql)?;
        self.stats.statements.fetch_add(1, Ordering::Relaxed);
        match &mut self.conn {
            Conn::Sqlite(conn) => return sqlite::rows(conn, sql.sqlite, &args),
            Conn::Postgres(conn) => sqlx::query_with(sql.postgres, postgres_args(args)?)
                .persistent(self.prepares)
                .fetch_all(&mut **conn)
                .await
                .map(|rows| rows.into_iter().map(Row::Postgres).collect()),
        }
        .map_err(error::of)
    }

    /// Runs a statement and gives its first row.
    pub(crate) async fn row(
        &mut self,
        sql: impl Into<Sql>,
        args: Vec<Value>,
    ) -> Result<Option<Row>, LedgerError> {
        Ok(self.rows(sql, args).await?.into_iter().next())
    }

    /// Runs a statement and gives the number of rows it changed.
    pub(crate) async fn run(
        &mut self,
        sql: impl Into<Sql>,
        args: Vec<Value>,
    ) -> Result<u64, LedgerError> {
        let sql = sql.into();
        self.save(sql)?;
        self.stats.statements.fetch_add(1, Ordering::Relaxed);
        match &mut self.conn {
            Conn::Sqlite(conn) => return sqlite::run(conn, sql.sqlite, &args),
            Conn::Postgres(conn) => sqlx::query_with(sql.postgres, postgres_args(args)?)
                .persistent(self.prepares)
                .execute(&mut **conn)
                .await
                .map(|done| done.rows_affected()),
        }
        .map_err(error::of)
    }

    /// Marks the place to go back to if this work fails, before its first change.
    fn save(&mut self, next: Sql) -> Result<(), LedgerError> {
        if self.unsaved
            && !next.sqlite.starts_with("SELECT")
            && let Conn::Sqlite(conn) = &mut self.conn
        {
            if self.savepoint {
                sqlite::run(conn, "RELEASE work", &[])?;
            }
            sqlite::run(conn, "SAVEPOINT work", &[])?;
            (self.unsaved, self.savepoint) = (false, true);
        }
        Ok(())
    }

    /// Whether it is in SQLite.
    pub(crate) fn is_sqlite(&self) -> bool {
        matches!(self.conn, Conn::Sqlite(_))
    }

    /// Tells other workers on commit that something is due.
    pub(crate) fn notify_on_commit(&mut self) {
        self.notify = true;
    }
}

fn postgres_args(args: Vec<Value>) -> Result<PgArguments, LedgerError> {
    let mut bound = PgArguments::default();
    for arg in args {
        match arg {
            Value::Int(it) => bound.add(it),
            Value::Text(it) => bound.add(it),
            Value::Bytes(it) => bound.add(it),
            Value::Ints(it) => bound.add(it),
            Value::Texts(it) => bound.add(it),
        }
        .map_err(|problem| error::of(sqlx::Error::Encode(problem)))?;
    }
    Ok(bound)
}

/// What a piece of work gives in the end.
pub(crate) type WorkFuture<'t, T> =
    Pin<Box<dyn Future<Output = Result<T, LedgerError>> + Send + 't>>;

type Boxed = Box<dyn for<'t> FnOnce(&'t mut Tx) -> WorkFuture<'t, ()> + Send>;

/// Work to be done in a transaction.
pub(crate) struct Work(Boxed);

/// Where the value of a [`Work`] is found once it is committed.
pub(crate) struct Slot<T>(Arc<Mutex<Option<T>>>);

impl Work {
    pub(crate) fn new<T: Send + 'static>(
        work: impl for<'t> FnOnce(&'t mut Tx) -> WorkFuture<'t, T> + Send + 'static,
    ) -> (Slot<T>, Self) {
        let slot = Arc::new(Mutex::new(None));
        let filled = Arc::clone(&slot);
        let boxed: Boxed = Box::new(move |tx| {
            let running = work(tx);
            Box::pin(async move {
                let value = running.await?;
                *filled.lock().unwrap_or_else(PoisonError::into_inner) = Some(value);
                Ok(())
            })
        });
        (Slot(slot), Self(boxed))
    }

    async fn run(self, tx: &mut Tx) -> Result<(), LedgerError> {
        (self.0)(tx).await
    }
}

impl<T> Slot<T> {
    pub(crate) fn take(self) -> Result<T, LedgerError> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
            .ok_or_else(stopped)
    }
}

/// The writing side has ended, because the ledger was closed or its runtime is shutting down.
fn stopped() -> LedgerError {
    LedgerError::new(LedgerErrorKind::Unavailable, "it is closed")
}

/// The steps from layout `version` to the newest one; zero is an empty store.
fn steps_from<'a>(
    version: i64,
    steps: &'a [&'static str],
) -> impl Iterator<Item = &'static str> + 'a {
    steps
        .iter()
        .skip(usize::try_from(version).unwrap_or_default())
        .copied()
}

/// The newer layout is left alone: an older program does not know what must hold in it.
fn newer(version: i64) -> LedgerError {
    LedgerError::new(
        LedgerErrorKind::Newer,
        format!(
            "its layout is number {version}, this version knows {SCHEMA}: use the newer version, or another ledger"
        ),
    )
}
