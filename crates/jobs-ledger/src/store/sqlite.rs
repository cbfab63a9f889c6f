//! The ledger in one file: a single writer that commits in groups, and a few readers beside it.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use async_trait::async_trait;
use jobs_core::clock::Clock;
use jobs_core::clock::bounded;
use rusqlite::types::{ToSql, ToSqlOutput, Value as SqliteValue, ValueRef};
use rusqlite::{Connection, OpenFlags, TransactionBehavior};
use tokio::sync::{Notify, Semaphore, mpsc, oneshot};
use tokio::task::spawn_blocking;

use super::{
    Conn, Flush, Row, SCHEMA, Sql, Stats, Tx, Value, Work, error, file, newer, steps_from, stopped,
};
use crate::config::LedgerConfig;
use crate::error::{LedgerError, LedgerErrorKind};

/// "DJL1": tells a ledger from any other SQLite file.
const APPLICATION_ID: i64 = 0x444a_4c31;

/// How many writes share one flush at most.
const GROUP: usize = 64;

/// How many KiB of the file the writer keeps at hand.
const CACHE: u32 = 16 * 1024;

/// How many statements a connection keeps prepared: more than there are.
const PREPARED: usize = 256;

/// How many reads go on at once.
const READERS: usize = 3;

/// How often to see whether another process has made a job due; a file tells nobody.
const LISTEN: Duration = Duration::from_millis(50);

const UNSEEN: i64 = i64::MIN;

#[derive(Debug)]
pub(super) struct Store {
    readers: Readers,
    inbox: mpsc::Sender<Message>,
    notified: Arc<Notify>,
    clock: Arc<dyn Clock>,
    /// The last count of what other processes made due.
    seen: AtomicI64,
    warnings: Vec<String>,
    stats: Arc<Stats>,
}

/// Connections that only read.
#[derive(Debug)]
struct Readers {
    path: PathBuf,
    patience: Duration,
    clock: Arc<dyn Clock>,
    permits: Arc<Semaphore>,
    idle: Arc<Mutex<Vec<Connection>>>,
}

enum Message {
    Write(Write),
    Close(oneshot::Sender<()>),
}

struct Write {
    flush: Flush,
    work: Work,
    reply: oneshot::Sender<Result<(), LedgerError>>,
}

impl Store {
    pub(super) async fn open(
        path: &str,
        clock: &Arc<dyn Clock>,
        settings: &LedgerConfig,
    ) -> Result<Self, LedgerError> {
        let path = PathBuf::from(path);
        create(&path)?;
        file::check_owner(&path)?;
        let warnings = file::warnings(&path);
        let (place, patience) = (path.clone(), settings.patience);
        let mut writer = blocking(move || connect(&place, patience, OpenFlags::default())).await?;
        // What it needs to take back half of a statement or of a work is not worth a file.
        let pragmas = format!("PRAGMA temp_store = MEMORY; PRAGMA cache_size = -{CACHE}");
        writer.execute_batch(&pragmas).map_err(error::of_sqlite)?;
        writer = migrate(writer, clock.as_ref(), settings.patience).await?;
        let (inbox, messages) = mpsc::channel(GROUP * 4);
        let (notified, stats) = (Arc::new(Notify::new()), Arc::new(Stats::default()));
        let tx = Tx {
            conn: Conn::Sqlite(writer),
            notify: false,
            unsaved: false,
            savepoint: false,
            prepares: true,
            stats: Arc::clone(&stats),
        };
        let told = Arc::clone(&notified);
        thread::Builder::new()
            .name("ledger".to_owned())
            .spawn(move || write_all(tx, messages, &told))
            .map_err(|problem| error::of_file(problem, "a thread"))?;
        Ok(Self {
            readers: Readers {
                path,
                patience: settings.patience,
                clock: Arc::clone(clock),
                permits: Arc::new(Semaphore::new(READERS)),
                idle: Arc::default(),
            },
            inbox,
            notified,
            clock: Arc::clone(clock),
            seen: AtomicI64::new(UNSEEN),
            warnings,
            stats,
        })
    }

    /// Whether another process has made a job due since this was asked last.
    async fn is_signalled(&self) -> bool {
        let read = super::Store::read(self, "SELECT count FROM wake_signal".into(), Vec::new());
        let count = read.await.ok().and_then(|rows| rows.first()?.int(0).ok());
        // Whoever waits has a limit of its own.
        count.is_some_and(|count| {
            let before = self.seen.swap(count, Ordering::Relaxed);
            before != UNSEEN && before != count
        })
    }
}

impl Readers {
    /// Reads on a thread that may wait for the disk.
    async fn with<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, LedgerError> + Send + 'static,
    ) -> Result<T, LedgerError> {
        let limit = self.clock.now() + self.patience;
        let waiting = Arc::clone(&self.permits).acquire_owned();
        let permit = bounded(self.clock.as_ref(), limit, waiting)
            .await
            .ok_or_else(|| error::of(sqlx::Error::PoolTimedOut))?
            .map_err(|_| error::of(sqlx::Error::PoolClosed))?;
        let (path, patience, idle) = (self.path.clone(), self.patience, Arc::clone(&self.idle));
        blocking(move || {
            let kept = lock(&idle).pop();
            let conn = match kept {
                Some(conn) => conn,
                None => {
                    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
                    connect(&path, patience, flags)?
                }
            };
            let outcome = read(&conn);
            lock(&idle).push(conn);
            drop(permit);
            outcome
        })
        .await
    }

    async fn close(&self) {
        let all = u32::try_from(READERS).unwrap_or(u32::MAX);
        if let Ok(all) = self.permits.acquire_many(all).await {
            self.permits.close();
            lock(&self.idle).clear();
            drop(all);
        }
    }
}

fn lock<T>(kept: &Mutex<T>) -> MutexGuard<'_, T> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs what may wait for the disk or for another process where nobody waits for it.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, LedgerError> + Send + 'static,
) -> Result<T, LedgerError> {
    spawn_blocking(work).await.map_err(|_| stopped())?
}

/// The file must be there: it was made for its owner alone.
fn connect(path: &Path, patience: Duration, flags: OpenFlags) -> Result<Connection, LedgerError> {
    let flags = flags - OpenFlags::SQLITE_OPEN_CREATE - OpenFlags::SQLITE_OPEN_URI;
    let conn = Connection::open_with_flags(path, flags).map_err(error::of_sqlite)?;
    conn.busy_timeout(patience).map_err(error::of_sqlite)?;
    conn.set_prepared_statement_cache_capacity(PREPARED);
    conn.execute_batch("PRAGMA foreign_keys = ON")
        .map_err(error::of_sqlite)?;
    Ok(conn)
}

/// The rows of a statement.
pub(super) fn rows(conn: &Connection, sql: &str, args: &[Value]) -> Result<Vec<Row>, LedgerError> {
    let mut found = Vec::new();
    step(conn, sql, args, |row, columns| {
        let mut values = Vec::with_capacity(columns);
        for column in 0..columns {
            values.push(row.get::<_, SqliteValue>(column)?);
        }
        found.push(Row::Sqlite(values.into()));
        Ok(())
    })?;
    Ok(found)
}

/// Runs a statement and gives the number of rows it changed.
pub(super) fn run(conn: &Connection, sql: &str, args: &[Value]) -> Result<u64, LedgerError> {
    step(conn, sql, args, |_, _| Ok(()))?;
    Ok(conn.changes())
}

fn step(
    conn: &Connection,
    sql: &str,
    args: &[Value],
    each: impl FnMut(&rusqlite::Row<'_>, usize) -> rusqlite::Result<()>,
) -> Result<(), LedgerError> {
    try_step(conn, sql, args, each).map_err(error::of_sqlite)
}

/// An argument is asked for by its number, as often as the statement likes: for SQLite, `$2` is a name.
fn try_step(
    conn: &Connection,
    sql: &str,
    args: &[Value],
    mut each: impl FnMut(&rusqlite::Row<'_>, usize) -> rusqlite::Result<()>,
) -> rusqlite::Result<()> {
    let mut statement = conn.prepare_cached(sql)?;
    for place in 1..=statement.parameter_count() {
        let number = statement
            .parameter_name(place)
            .and_then(|name| name.get(1..)?.parse::<usize>().ok());
        let arg = number.and_then(|number| args.get(number.checked_sub(1)?));
        let arg = arg.ok_or(rusqlite::Error::InvalidParameterCount(place, args.len()))?;
        statement.raw_bind_parameter(place, arg)?;
    }
    let columns = statement.column_count();
    let mut rows = statement.raw_query();
    while let Some(row) = rows.next()? {
        each(row, columns)?;
    }
    Ok(())
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let text = |json: serde_json::Value| Ok(ToSqlOutput::from(json.to_string()));
        let value = match self {
            Self::Int(Some(it)) => ValueRef::Integer(*it),
            Self::Text(Some(it)) => ValueRef::Text(it.as_bytes()),
            Self::Bytes(Some(it)) => ValueRef::Blob(it),
            Self::Int(None) | Self::Text(None) | Self::Bytes(None) => ValueRef::Null,
            Self::Ints(it) => return text(it.as_slice().into()),
            Self::Texts(it) => return text(it.as_slice().into()),
        };
        Ok(ToSqlOutput::Borrowed(value))
    }
}

#[async_trait]
impl super::Store for Store {
    async fn write(&self, flush: Flush, work: Work) -> Result<(), LedgerError> {
        let (reply, answer) = oneshot::channel();
        let write = Write { flush, work, reply };
        self.inbox
            .send(Message::Write(write))
            .await
            .map_err(|_| stopped())?;
        answer.await.map_err(|_| stopped())?
    }

    async fn read(&self, sql: Sql, args: Vec<Value>) -> Result<Vec<Row>, LedgerError> {
        self.readers
            .with(move |conn| rows(conn, sql.sqlite, &args))
            .await
    }

    async fn alone(&self, sql: Sql, args: Vec<Value>) -> Result<u64, LedgerError> {
        let (changed, work) = Work::new(move |tx| Box::pin(async move { tx.run(sql, args).await }));
        self.write(Flush::Later, work).await?;
        changed.take()
    }

    fn stats(&self) -> &Stats {
        &self.stats
    }

    fn is_far(&self) -> bool {
        false
    }

    async fn notified(&self) {
        let mut told = pin!(self.notified.notified());
        loop {
            let limit = self.clock.now() + LISTEN;
            let is_told = bounded(self.clock.as_ref(), limit, told.as_mut()).await;
            // Read in any case: what was told here is not news any more.
            if self.is_signalled().await || is_told.is_some() {
                return;
            }
        }
    }

    fn name(&self) -> &'static str {
        "sqlite"
    }

    async fn check(&self) -> Result<(), LedgerError> {
        let found = self
            .read("PRAGMA quick_check(1)".into(), Vec::new())
            .await?;
        let found = found.first().map_or(Ok(""), |row| row.str(0))?;
        if found == "ok" {
            Ok(())
        } else {
            Err(LedgerError::new(
                LedgerErrorKind::Corrupt,
                format!("the file is damaged: keep it aside and restore a copy ({found})"),
            ))
        }
    }

    async fn ahead(&self, _now: i64) -> Result<Option<i64>, LedgerError> {
        Ok(None)
    }

    fn warnings(&self) -> &[String] {
        &self.warnings
    }

    async fn is_plain(&self) -> Result<bool, LedgerError> {
        Ok(false)
    }

    async fn backup(&self, file: &Path) -> Result<(), LedgerError> {
        let place = file.display().to_string();
        if file.exists() {
            return Err(LedgerError::new(
                LedgerErrorKind::InvalidInput,
                format!("{place} is there already: name a new file for the copy"),
            ));
        }
        let Some(name) = file.to_str() else {
            let line = "a path is not Unicode: rename the file";
            return Err(LedgerError::new(LedgerErrorKind::InvalidInput, line));
        };
        create_new(file).map_err(|problem| error::of_file(problem, &place))?;
        let args = vec![Value::from(name)];
        let copied = self
            .readers
            .with(move |conn| run(conn, "VACUUM INTO $1", &args));
        let copied = copied.await;
        if copied.is_err() {
            let _ = fs::remove_file(file);
        }
        copied.map(drop)
    }

    async fn close(&self) {
        // Only a last connection that writes takes what lies beside the file into it.
        self.readers.close().await;
        let (reply, closed) = oneshot::channel();
        if self.inbox.send(Message::Close(reply)).await.is_ok() {
            let _ = closed.await;
        }
    }
}

/// Makes the directory and the file for their owner alone, before SQLite would make it for everybody.
fn create(path: &Path) -> Result<(), LedgerError> {
    let place = path.display().to_string();
    let trouble = |problem| error::of_file(problem, &place);
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => Err(trouble(io::ErrorKind::IsADirectory.into())),
        // The superuser may write it all the same, but somebody wanted it to stay as it is.
        Ok(found) if found.permissions().readonly() => {
            Err(trouble(io::ErrorKind::PermissionDenied.into()))
        }
        // Not opened: closing it would take away the locks of another connection of this process.
        Ok(_) => Ok(()),
        Err(problem) if problem.kind() == io::ErrorKind::NotFound => {
            create_new(path).map_err(trouble)
        }
        Err(problem) => Err(trouble(problem)),
    }
}

/// Makes an empty file under another name and closes it before it gets its own, for the reason above.
fn create_new(path: &Path) -> io::Result<()> {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)?;
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let fresh = folder.join(format!(".ledger-{:016x}", fastrand::u64(..)));
    drop(options.open(&fresh)?);
    let linked = fs::hard_link(&fresh, path);
    fs::remove_file(&fresh)?;
    let made = match linked {
        Err(problem) if problem.kind() != io::ErrorKind::AlreadyExists => {
            // A file system without second names.
            options.open(path).map(drop)
        }
        other => other,
    };
    match made {
        // Somebody else was quicker.
        Err(problem) if problem.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}

/// Brings the tables to the layout of this version, leaving alone what is not ours.
async fn migrate(
    mut conn: Connection,
    clock: &dyn Clock,
    patience: Duration,
) -> Result<Connection, LedgerError> {
    let limit = clock.now() + patience;
    loop {
        let tried;
        (conn, tried) = blocking(move || {
            let tried = try_migrate(&mut conn);
            Ok((conn, tried))
        })
        .await?;
        match tried {
            // SQLite does not wait for others by itself while it changes the kind of journal.
            Err(problem) if problem.kind() == LedgerErrorKind::Locked && clock.now() < limit => {
                let pause = Duration::from_millis(fastrand::u64(1..10));
                clock.sleep_until(clock.now() + pause).await;
            }
            other => return other.map(|()| conn),
        }
    }
}

fn try_migrate(conn: &mut Connection) -> Result<(), LedgerError> {
    // In one transaction: between two reads another process may make the tables, and half of an answer looks foreign.
    let tx = conn.transaction().map_err(error::of_sqlite)?;
    let version = layout(&tx);
    tx.rollback().map_err(error::of_sqlite)?;
    if version? == SCHEMA {
        return Ok(());
    }
    run(conn, "PRAGMA journal_mode = WAL", &[])?;
    let tx = conn
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(error::of_sqlite)?;
    // Another process may have been quicker.
    let version = layout(&tx)?;
    if version < SCHEMA {
        for step in steps_from(version, LAYOUTS) {
            tx.execute_batch(step).map_err(error::of_sqlite)?;
        }
        let mark =
            format!("PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {SCHEMA}");
        tx.execute_batch(&mark).map_err(error::of_sqlite)?;
    }
    tx.commit().map_err(error::of_sqlite)
}

/// What leads from each layout to the next.
const LAYOUTS: &[&str] = &[
    include_str!("schema/sqlite-1.sql"),
    include_str!("schema/sqlite-2.sql"),
    include_str!("schema/sqlite-3.sql"),
];

/// The number of the layout, at most that which this version writes; zero for an empty file.
fn layout(conn: &Connection) -> Result<i64, LedgerError> {
    let application = number(conn, "PRAGMA application_id")?;
    let version = number(conn, "PRAGMA user_version")?;
    let objects = number(conn, "SELECT count(*) FROM sqlite_master")?;
    match (application, version) {
        (APPLICATION_ID, version @ 1..=SCHEMA) => Ok(version),
        (APPLICATION_ID, version) => Err(newer(version)),
        (0, 0) if objects == 0 => Ok(0),
        _ => Err(LedgerError::new(
            LedgerErrorKind::NotALedger,
            "the file is the SQLite database of another program: name another file",
        )),
    }
}

fn number(conn: &Connection, sql: &'static str) -> Result<i64, LedgerError> {
    rows(conn, sql, &[])?
        .first()
        .ok_or_else(error::misplaced)?
        .int(0)
}

/// The only writer of this process, on a thread of its own: takes what has gathered while it committed, and commits that
/// at once.
fn write_all(mut tx: Tx, mut messages: mpsc::Receiver<Message>, notified: &Notify) {
    let mut set = None;
    let mut closed = None;
    while closed.is_none() {
        let Some(first) = messages.blocking_recv() else {
            break;
        };
        let mut group = Vec::new();
        let mut next = Some(first);
        while let Some(message) = next {
            match message {
                Message::Write(write) => group.push(write),
                Message::Close(reply) => closed = Some(reply),
            }
            next = (group.len() < GROUP && closed.is_none())
                .then(|| messages.try_recv().ok())
                .flatten();
        }
        if !group.is_empty() {
            commit(&mut tx, &mut set, group);
            if std::mem::take(&mut tx.notify) {
                notified.notify_waiters();
                notified.notify_one();
            }
        }
    }
    if let Conn::Sqlite(conn) = tx.conn
        && let Err((_, problem)) = conn.close()
    {
        tracing::debug!(%problem, "the ledger's file was not closed cleanly");
    }
    if let Some(reply) = closed {
        let _ = reply.send(());
    }
}

/// Commits a group in one transaction and tells each of its outcome.
fn commit(tx: &mut Tx, set: &mut Option<Flush>, group: Vec<Write>) {
    let flush = group.iter().map(|write| write.flush).max();
    let (works, replies): (Vec<_>, Vec<_>) = group
        .into_iter()
        .map(|write| (write.work, write.reply))
        .unzip();
    let outcomes = match run_all(tx, set, flush.unwrap_or(Flush::Now), works) {
        Ok(outcomes) => outcomes,
        Err(problem) => {
            tx.unsaved = false;
            // Fails where SQLite has rolled back by itself, as on a full disk.
            let _ = command(tx, "ROLLBACK");
            tx.notify = false;
            replies.iter().map(|_| Err(problem.clone())).collect()
        }
    };
    for (reply, outcome) in replies.into_iter().zip(outcomes) {
        // Nobody listens when the caller was dropped; the write counts all the same.
        let _ = reply.send(outcome);
    }
}

fn run_all(
    tx: &mut Tx,
    set: &mut Option<Flush>,
    flush: Flush,
    works: Vec<Work>,
) -> Result<Vec<Result<(), LedgerError>>, LedgerError> {
    if *set != Some(flush) {
        let synchronous = match flush {
            Flush::Now => "PRAGMA synchronous = FULL",
            Flush::Later => "PRAGMA synchronous = NORMAL",
        };
        command(tx, synchronous)?;
        *set = Some(flush);
    }
    command(tx, "BEGIN IMMEDIATE")?;
    tx.savepoint = false;
    let is_alone = works.len() == 1;
    let mut outcomes = Vec::with_capacity(works.len());
    for work in works {
        // What has the transaction for itself goes back with it.
        tx.unsaved = !is_alone;
        let outcome = at_once(work.run(tx));
        let has_changed = !std::mem::take(&mut tx.unsaved);
        match outcome {
            Err(problem) if is_alone => return Err(problem),
            Err(_) if has_changed => command(tx, "ROLLBACK TO work")?,
            _ => {}
        }
        outcomes.push(outcome);
    }
    if tx.notify {
        command(tx, "UPDATE wake_signal SET count = count + 1")?;
    }
    command(tx, "COMMIT")?;
    tx.stats.committed(flush);
    Ok(outcomes)
}

fn command(tx: &Tx, sql: &'static str) -> Result<(), LedgerError> {
    match &tx.conn {
        Conn::Sqlite(conn) => run(conn, sql, &[]).map(drop),
        Conn::Postgres(_) => Ok(()),
    }
}

/// What a work does in SQLite is done when it returns: it waits for nothing.
fn at_once(work: impl Future<Output = Result<(), LedgerError>>) -> Result<(), LedgerError> {
    match pin!(work).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(outcome) => outcome,
        Poll::Pending => Err(LedgerError::new(
            LedgerErrorKind::Store,
            "a write waited for something else than the store; this is a defect",
        )),
    }
}
