//! A ledger of its own for one test: a file in a fresh directory, or a schema that is dropped at the end.

use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Once;
use std::time::Duration;

use jobs_core::testing::ManualClock;
use jobs_ledger::{Ledger, LedgerConfig};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tempfile::TempDir;

/// Names the server to test against, such as `postgres://postgres@127.0.0.1:5432/test`.
pub(crate) const SERVER: &str = "DOCJOBS_TEST_POSTGRES";

#[derive(Debug)]
pub(crate) struct World {
    pub(crate) clock: ManualClock,
    pub(crate) url: String,
    pub(crate) settings: LedgerConfig,
    dir: Option<TempDir>,
}

impl World {
    pub(crate) fn sqlite() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self {
            clock: ManualClock::new(),
            url: format!("sqlite:{}", dir.path().join("ledger.db").display()),
            settings: LedgerConfig::default(),
            dir: Some(dir),
        }
    }

    /// None, and one line on stderr, when no server is named.
    pub(crate) fn postgres() -> Option<Self> {
        static SAID: Once = Once::new();
        let Ok(url) = std::env::var(SERVER) else {
            SAID.call_once(|| {
                let line =
                    format!("SKIPPED: the tests on PostgreSQL, because {SERVER} is not set\n");
                // Past the capture of the test runner, so that it is seen.
                let _ = std::io::stderr().write_all(line.as_bytes());
            });
            return None;
        };
        // Without waiting for the server's disk: nothing here cuts its power.
        let mark = if url.contains('?') { '&' } else { '?' };
        let url = format!("{url}{mark}options[synchronous_commit]=off");
        let mut settings = LedgerConfig::default();
        settings.schema = Some(format!("docjobs_test_{:012x}", fastrand::u64(..) >> 16));
        Some(Self {
            clock: ManualClock::new(),
            url,
            settings,
            dir: None,
        })
    }

    pub(crate) fn is_sqlite(&self) -> bool {
        self.dir.is_some()
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.dir.as_ref().unwrap().path().join("ledger.db")
    }

    /// Opens it as a process would: with connections and a worker name of its own.
    pub(crate) async fn open(&self) -> Ledger {
        Ledger::open_with(&self.url, self.clock.shared(), &self.settings)
            .await
            .unwrap()
    }

    pub(crate) fn pass(&self, time: Duration) {
        self.clock.advance(time);
    }

    pub(crate) async fn end(self) {
        if let Some(schema) = &self.settings.schema {
            let mut conn = PgConnection::connect(&self.url).await.unwrap();
            let sql = format!("DROP SCHEMA IF EXISTS \"{schema}\" CASCADE");
            sqlx::raw_sql(AssertSqlSafe(sql))
                .execute(&mut conn)
                .await
                .unwrap();
            conn.close().await.unwrap();
        }
    }
}
