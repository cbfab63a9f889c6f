//! A ledger on PostgreSQL that is read-only for a while, as after a failover.

use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use super::commands::{Folder, Pace, SPEED, ended, simulators};
use crate::clock;

/// Names the database server.
pub(crate) const SERVER: &str = "DOCJOBS_TEST_POSTGRES";
/// Longer than the trouble and what is done again after it.
const PACE: Pace = Pace::new(SPEED, 400);

pub(crate) struct Database {
    server: String,
    name: String,
}

impl Database {
    /// One of this process and this purpose, with these words behind its name.
    pub(crate) async fn make(server: String, purpose: &str, options: &str) -> Self {
        let name = format!("matrix_{purpose}_{}", std::process::id());
        let database = Self { server, name };
        database.drop().await;
        database
            .say(&format!("create database {} {options}", database.name))
            .await;
        database
    }

    pub(crate) async fn say(&self, sql: &str) {
        let mut tries = 0;
        loop {
            let mut connection = PgConnection::connect(&self.server).await.unwrap();
            let said = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()));
            let outcome = said.execute(&mut connection).await;
            connection.close().await.unwrap();
            match outcome {
                Ok(_) => return,
                // Others make databases too, and the template is busy meanwhile.
                Err(_) if tries < 20 => tries += 1,
                Err(error) => panic!("{sql}: {error}"),
            }
            clock::pass(Duration::from_millis(100)).await;
        }
    }

    pub(crate) async fn drop(&self) {
        self.say(&format!(
            "drop database if exists {} with (force)",
            self.name
        ))
        .await;
    }

    /// Sets what new connections begin with.
    pub(crate) async fn set(&self, name: &str, value: &str) {
        self.say(&format!(
            "alter database {} set {name} = '{value}'",
            self.name
        ))
        .await;
    }

    /// What new connections may do from now on; those that are there keep theirs.
    pub(crate) async fn is_read_only(&self, is: bool) {
        let word = if is { "on" } else { "off" };
        self.say(&format!(
            "alter database {} set default_transaction_read_only = {word}",
            self.name
        ))
        .await;
    }

    pub(crate) async fn end_connections(&self) {
        self.say(&format!(
            "select pg_terminate_backend(pid) from pg_stat_activity where datname = '{}'",
            self.name
        ))
        .await;
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The address of the server with this database in place of its own.
    pub(crate) fn url(&self) -> String {
        let (server, _) = self.server.rsplit_once('/').unwrap();
        format!("{server}/{}", self.name)
    }
}

/// A parse on a ledger that cannot be written at its `submit`, or from its acceptance on; one connection of before and
/// one from within the trouble outlive it.
pub(super) async fn seen(server: String, operation: &str) -> String {
    let (simulators, folder) = (simulators(SPEED).await, Folder::new());
    let sim = simulators.textin();
    sim.change_options(|options| options.pending_seconds = 60.0);
    let database = Database::make(server, operation, "").await;
    let url = database.url();
    let command = |line: &[&str]| {
        let mut command = folder.command(line, &simulators);
        command.env("DOCJOBS_LEDGER", &url);
        command
    };
    // The layout is made while all is well.
    let first = ended(command(&["jobs"]).spawn().unwrap()).await;
    assert_eq!(first.exit(), "0", "{}", first.stderr);
    if operation == "submit" {
        database.is_read_only(true).await;
    }
    let line = [
        "textin",
        "parse",
        "a.txt",
        "-o",
        "out/a",
        "--deadline",
        &PACE.deadline(),
    ];
    let running = ended(command(&line).spawn().unwrap());
    let trouble = async {
        if operation == "poll" {
            while sim.charges().is_empty() && sim.jobs().is_empty() {
                clock::pass(Duration::from_millis(10)).await;
            }
            database.is_read_only(true).await;
            database.end_connections().await;
        }
        clock::pass(Duration::from_millis(1500)).await;
        database.is_read_only(false).await;
    };
    let (ended, ()) = tokio::join!(running, trouble);
    database.drop().await;
    let charges: u64 = sim.charges().iter().map(|charge| charge.pages).sum();
    let disk = match std::fs::read_to_string(folder.path("out/a")) {
        Ok(text) if text.trim_end() == "some text" => "whole",
        Ok(_) => "OTHER",
        Err(_) => "nothing",
    };
    let ticket = if ended.has_ticket() { " ticket" } else { "" };
    let seen = format!(
        "{} {charges}$ {disk}{ticket}{}",
        ended.exit(),
        ended.excess(PACE)
    );
    if seen != "0 1$ whole" {
        println!(
            "--- {operation} under a read-only database: {seen}\n{}",
            ended.stderr
        );
    }
    seen
}
