//! The ledger in one file: a single writer that commits in groups, and a few readers beside it.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use jobs_core::clock::{Clock, bounded};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use sqlx::{AssertSqlSafe, Connection, Row as _, SqliteConnection, SqlitePool, raw_sql};
use tokio::sync::{Notify, mpsc, oneshot};

use super::{
    Conn, Flush, Row, SCHEMA, Sql, Tx, Value, Work, error, file, newer, sqlite_args, steps_from,
    stopped,
};
use crate::config::LedgerConfig;
use crate::error::{LedgerError, LedgerErrorKind};

/// "DJL1": tells a ledger from any other SQLite file.
const APPLICATION_ID: i64 = 0x444a_4c31;

/// How many writes share one flush at most.
const GROUP: usize = 64;

/// How many KiB of the file the writer keeps at hand.
const CACHE: u32 = 16 * 1024;

/// How many rows of an answer are handed over before the reader has to keep up.
const ROWS: usize = 1024;

/// How often to see whether another process has made a job due; a file tells nobody.
const LISTEN: Duration = Duration::from_millis(50);

const UNSEEN: i64 = i64::MIN;

#[derive(Debug)]
pub(super) struct Store {
    readers: SqlitePool,
    inbox: mpsc::Sender<Message>,
    notified: Arc<Notify>,
    clock: Arc<dyn Clock>,
    /// The last count of what other processes made due.
    seen: AtomicI64,
    warnings: Vec<String>,
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
        let options = SqliteConnectOptions::new()
            .filename(&path)
            .create_if_missing(false)
            // A batch in one go: the driver's thread would stop for its reader every 50 rows.
            .row_buffer_size(ROWS)
            .busy_timeout(settings.patience);
        let writing = options
            .clone()
            // What it needs to take back half of a statement or of a work is not worth a file.
            .pragma("temp_store", "MEMORY")
            .pragma("cache_size", format!("-{CACHE}"));
        let mut writer = SqliteConnection::connect_with(&writing)
            .await
            .map_err(error::of)?;
        migrate(&mut writer, clock.as_ref(), settings.patience).await?;
        let readers = SqlitePoolOptions::new()
            .max_connections(3)
            .acquire_timeout(settings.patience)
            .connect_lazy_with(options.read_only(true));
        let (inbox, messages) = mpsc::channel(GROUP * 4);
        let nudged = Arc::new(Notify::new());
        tokio::spawn(write_all(writer, messages, Arc::clone(&nudged)));
        Ok(Self {
            readers,
            inbox,
            notified: nudged,
            clock: Arc::clone(clock),
            seen: AtomicI64::new(UNSEEN),
            warnings,
        })
    }
}

impl Store {
    /// Whether another process has made a job due since this was asked last.
    async fn is_signalled(&self) -> bool {
        let count = sqlx::query("SELECT count FROM wake_signal")
            .fetch_one(&self.readers)
            .await
            .and_then(|row| row.try_get::<i64, _>(0));
        match count {
            Ok(count) => {
                let before = self.seen.swap(count, Ordering::Relaxed);
                before != UNSEEN && before != count
            }
            // Whoever waits has a limit of its own.
            Err(_) => false,
        }
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
        let rows = sqlx::query_with(sql.sqlite, sqlite_args(args)?)
            .fetch_all(&self.readers)
            .await
            .map_err(error::of)?;
        Ok(rows.into_iter().map(Row::Sqlite).collect())
    }

    async fn alone(&self, sql: Sql, args: Vec<Value>) -> Result<u64, LedgerError> {
        let (changed, work) = Work::new(move |tx| Box::pin(async move { tx.run(sql, args).await }));
        self.write(Flush::Later, work).await?;
        changed.take()
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
        let found: String = sqlx::query("PRAGMA quick_check(1)")
            .fetch_one(&self.readers)
            .await
            .and_then(|row| row.try_get(0))
            .map_err(error::of)?;
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
        let copied = sqlx::query("VACUUM INTO ?1")
            .bind(name)
            .execute(&self.readers)
            .await
            .map_err(error::of);
        if copied.is_err() {
            let _ = fs::remove_file(file);
        }
        copied.map(drop)
    }

    async fn close(&self) {
        let (reply, closed) = oneshot::channel();
        if self.inbox.send(Message::Close(reply)).await.is_ok() {
            let _ = closed.await;
        }
        self.readers.close().await;
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
    conn: &mut SqliteConnection,
    clock: &dyn Clock,
    patience: Duration,
) -> Result<(), LedgerError> {
    let limit = clock.now() + patience;
    loop {
        match try_migrate(conn).await {
            // SQLite does not wait for others by itself while it changes the kind of journal.
            Err(problem) if problem.kind() == LedgerErrorKind::Locked && clock.now() < limit => {
                let pause = Duration::from_millis(fastrand::u64(1..10));
                clock.sleep_until(clock.now() + pause).await;
            }
            other => return other,
        }
    }
}

async fn try_migrate(conn: &mut SqliteConnection) -> Result<(), LedgerError> {
    // In one transaction: between two reads another process may make the tables, and half of an answer looks foreign.
    let mut tx = conn.begin().await.map_err(error::of)?;
    let version = layout(&mut tx).await;
    tx.rollback().await.map_err(error::of)?;
    if version? == SCHEMA {
        return Ok(());
    }
    journal(conn).await?;
    let mut tx = conn
        .begin_with("BEGIN IMMEDIATE")
        .await
        .map_err(error::of)?;
    // Another process may have been quicker.
    let version = layout(&mut tx).await?;
    if version < SCHEMA {
        for step in steps_from(version, LAYOUTS) {
            raw_sql(step).execute(&mut *tx).await.map_err(error::of)?;
        }
        let mark =
            format!("PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {SCHEMA}");
        raw_sql(AssertSqlSafe(mark))
            .execute(&mut *tx)
            .await
            .map_err(error::of)?;
    }
    tx.commit().await.map_err(error::of)
}

async fn journal(conn: &mut SqliteConnection) -> Result<(), LedgerError> {
    raw_sql("PRAGMA journal_mode = WAL")
        .execute(conn)
        .await
        .map_err(error::of)?;
    Ok(())
}

/// What leads from each layout to the next.
const LAYOUTS: &[&str] = &[
    include_str!("schema/sqlite-1.sql"),
    include_str!("schema/sqlite-2.sql"),
    include_str!("schema/sqlite-3.sql"),
];

/// The number of the layout, at most that which this version writes; zero for an empty file.
async fn layout(conn: &mut SqliteConnection) -> Result<i64, LedgerError> {
    let application = pragma(conn, "PRAGMA application_id").await?;
    let version = pragma(conn, "PRAGMA user_version").await?;
    let objects = pragma(conn, "SELECT count(*) FROM sqlite_master").await?;
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

async fn pragma(conn: &mut SqliteConnection, sql: &'static str) -> Result<i64, LedgerError> {
    sqlx::query(sql)
        .fetch_one(conn)
        .await
        .and_then(|row| row.try_get(0))
        .map_err(error::of)
}

/// The only writer of this process: takes what has gathered while it committed, and commits that at once.
async fn write_all(
    conn: SqliteConnection,
    mut messages: mpsc::Receiver<Message>,
    nudged: Arc<Notify>,
) {
    let mut tx = Tx {
        conn: Conn::Sqlite(conn),
        nudge: false,
        unsaved: false,
        savepoint: false,
        prepares: true,
    };
    let mut set = None;
    let mut closed = None;
    while closed.is_none() {
        let Some(first) = messages.recv().await else {
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
            commit(&mut tx, &mut set, group).await;
            if std::mem::take(&mut tx.nudge) {
                nudged.notify_waiters();
                nudged.notify_one();
            }
        }
    }
    if let Conn::Sqlite(conn) = tx.conn
        && let Err(problem) = conn.close().await
    {
        tracing::debug!(%problem, "the ledger's file was not closed cleanly");
    }
    if let Some(reply) = closed {
        let _ = reply.send(());
    }
}

/// Commits a group in one transaction and tells each of its outcome.
async fn commit(tx: &mut Tx, set: &mut Option<Flush>, group: Vec<Write>) {
    let flush = group.iter().map(|write| write.flush).max();
    let (works, replies): (Vec<_>, Vec<_>) = group
        .into_iter()
        .map(|write| (write.work, write.reply))
        .unzip();
    let outcomes = match run(tx, set, flush.unwrap_or(Flush::Now), works).await {
        Ok(outcomes) => outcomes,
        Err(problem) => {
            tx.unsaved = false;
            // Fails where SQLite has rolled back by itself, as on a full disk.
            let _ = tx.run("ROLLBACK", Vec::new()).await;
            tx.nudge = false;
            replies.iter().map(|_| Err(problem.clone())).collect()
        }
    };
    for (reply, outcome) in replies.into_iter().zip(outcomes) {
        // Nobody listens when the caller was dropped; the write counts all the same.
        let _ = reply.send(outcome);
    }
}

async fn run(
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
        tx.run(synchronous, Vec::new()).await?;
        *set = Some(flush);
    }
    tx.run("BEGIN IMMEDIATE", Vec::new()).await?;
    tx.savepoint = false;
    let is_alone = works.len() == 1;
    let mut outcomes = Vec::with_capacity(works.len());
    for work in works {
        // What has the transaction for itself goes back with it.
        tx.unsaved = !is_alone;
        let outcome = work.run(tx).await;
        let has_changed = !std::mem::take(&mut tx.unsaved);
        match outcome {
            Err(problem) if is_alone => return Err(problem),
            Err(_) if has_changed => drop(tx.run("ROLLBACK TO work", Vec::new()).await?),
            _ => {}
        }
        outcomes.push(outcome);
    }
    if tx.nudge {
        let signal = "UPDATE wake_signal SET count = count + 1";
        tx.run(signal, Vec::new()).await?;
    }
    tx.run("COMMIT", Vec::new()).await?;
    Ok(outcomes)
}
