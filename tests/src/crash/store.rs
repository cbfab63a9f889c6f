//! Where a run keeps its ledger, and how it is read without disturbing what a crash left in it.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use jobs_core::clock::SystemClock;
use jobs_ledger::{JobFilter, JobRecord, Ledger, LedgerConfig};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, Connection, PgConnection, SqliteConnection};

/// What kind of ledger runs use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Store {
    /// A file for each run.
    File,
    /// A schema for each run, in the database at this address.
    Postgres(String),
}

/// The ledger of one run.
#[derive(Debug)]
pub(super) enum TestLedger {
    /// This file; copies of it are made in the folder.
    File {
        /// The ledger.
        file: PathBuf,
        /// For copies.
        scratch: PathBuf,
    },
    /// This schema.
    Postgres {
        /// The server and database.
        url: String,
        /// The schema.
        schema: String,
    },
}

impl TestLedger {
    /// A fresh one for a seed.
    ///
    /// # Errors
    /// The database does not answer.
    pub(super) async fn new(store: &Store, seed: u64, folder: &Path) -> Result<Self> {
        match store {
            Store::File => Ok(Self::File {
                file: folder.join("ledger.db"),
                scratch: folder.to_owned(),
            }),
            Store::Postgres(url) => {
                // Two harnesses may run the same seed at the same time.
                let schema = format!("docjobs_crash_{seed}_{:08x}", fastrand::u32(..));
                let shelf = Self::Postgres {
                    url: url.clone(),
                    schema,
                };
                shelf.open().await?.close().await;
                Ok(shelf)
            }
        }
    }

    /// What `--ledger` takes.
    pub(super) fn url(&self) -> String {
        match self {
            Self::File { file, .. } => file.display().to_string(),
            Self::Postgres { url, schema } => {
                let mark = if url.contains('?') { '&' } else { '?' };
                format!("{url}{mark}options[search_path]={schema}")
            }
        }
    }

    /// Everything that is written down, the oldest first. No process may be writing to a file meanwhile.
    ///
    /// # Errors
    /// The ledger cannot be read.
    pub(super) async fn rows(&self) -> Result<Vec<JobRecord>> {
        if let Self::File { file, .. } = self
            && !file.exists()
        {
            return Ok(Vec::new());
        }
        let ledger = self.open().await?;
        let page = ledger.list(&JobFilter::all().with_limit(100_000)).await;
        ledger.close().await;
        let mut rows = page?.jobs;
        rows.reverse();
        Ok(rows)
    }

    /// A file is copied first, so that its recovery after a crash stays the business of the command.
    pub(super) async fn open(&self) -> Result<Ledger> {
        let clock = SystemClock::shared();
        match self {
            Self::File { file, scratch } => {
                let copy = scratch.join("copy.db");
                for end in ["", "-wal", "-shm"] {
                    let name = |path: &Path| PathBuf::from(format!("{}{end}", path.display()));
                    let _ = std::fs::remove_file(name(&copy));
                    // The last is an index of the one before, made anew when it is missing.
                    if end != "-shm" && name(file).exists() {
                        std::fs::copy(name(file), name(&copy)).context("cannot copy the ledger")?;
                    }
                }
                Ok(Ledger::open(&copy.display().to_string(), clock).await?)
            }
            Self::Postgres { url, schema } => {
                let mut settings = LedgerConfig::default();
                settings.schema = Some(schema.clone());
                let mut tries = 0;
                loop {
                    match Ledger::open_with(url, clock.clone(), &settings).await {
                        // Other runs make their tables in the same database meanwhile.
                        Err(error) if error.is_transient() && tries < 3 => tries += 1,
                        opened => return Ok(opened?),
                    }
                }
            }
        }
    }

    /// Replaces every text that the ledger keeps for people by random words: nothing may be decided by them. Every other
    /// file is left alone, so that its recovery after a crash stays the business of the command.
    ///
    /// # Errors
    /// The ledger cannot be written.
    pub(super) async fn scramble(&self, seed: u64) -> Result<()> {
        match self {
            Self::File { file, .. } if file.exists() && seed.is_multiple_of(2) => {
                let options = SqliteConnectOptions::new().filename(file);
                let mut connection = SqliteConnection::connect_with(&options).await?;
                let there =
                    "SELECT count(*) FROM sqlite_master WHERE name IN ('job', 'wake', 'event')";
                let tables: i64 = sqlx::query_scalar(there).fetch_one(&mut connection).await?;
                // Killed before it made them, there is nothing yet.
                if tables == 3 {
                    for sql in prose("lower(hex(randomblob(6)))") {
                        sqlx::raw_sql(AssertSqlSafe(sql))
                            .execute(&mut connection)
                            .await?;
                    }
                }
                connection.close().await?;
            }
            Self::File { .. } => {}
            Self::Postgres { url, schema } => {
                let mut connection = PgConnection::connect(url).await?;
                for sql in prose("md5(random()::text)") {
                    let sql = format!("SET search_path = \"{schema}\"; {sql}");
                    sqlx::raw_sql(AssertSqlSafe(sql))
                        .execute(&mut connection)
                        .await?;
                }
                connection.close().await?;
            }
        }
        Ok(())
    }

    /// Takes a schema away again; a file goes with its folder.
    ///
    /// # Errors
    /// The database does not answer.
    pub(super) async fn remove(&self) -> Result<()> {
        let Self::Postgres { url, schema } = self else {
            return Ok(());
        };
        let mut connection = PgConnection::connect(url).await?;
        let sql = format!("DROP SCHEMA IF EXISTS \"{schema}\" CASCADE");
        sqlx::raw_sql(AssertSqlSafe(sql))
            .execute(&mut connection)
            .await?;
        connection.close().await?;
        Ok(())
    }
}

/// The statements that replace the columns for people.
fn prose(words: &str) -> [String; 4] {
    [
        ("job", "input"),
        ("job", "error"),
        ("event", "text"),
        ("wake", "vendor_status"),
    ]
    .map(|(table, column)| {
        format!(
            "UPDATE {table} SET {column} = {words} || ' ' || {words} WHERE {column} IS NOT NULL"
        )
    })
}
