//! `docjobs-temporal worker`: works on document jobs for a Temporal cluster.
#![allow(clippy::print_stderr, reason = "what a command says is its output")]

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use jobs_core::clock::SystemClock;
use jobs_ledger::{Ledger, LedgerConfig};
use jobs_temporal::{
    Worker, WorkerError, WorkerSettings, accounts, connect, register_search_attributes,
};
use tracing_subscriber::EnvFilter;

/// Document jobs on a Temporal cluster.
#[derive(Debug, Parser)]
#[command(name = "docjobs-temporal", version)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Works on the jobs of every vendor whose variables are set, until told to end.
    Worker(WorkerArgs),
}

#[derive(Debug, clap::Args)]
struct WorkerArgs {
    /// The Temporal server, HOST:PORT [env: TEMPORAL_ADDRESS] [default: 127.0.0.1:7233]
    #[arg(long)]
    address: Option<String>,
    /// The namespace [env: TEMPORAL_NAMESPACE] [default: default]
    #[arg(long)]
    namespace: Option<String>,
    /// The ledger, as for docjobs: sqlite:PATH, or postgres://… where several machines work
    #[arg(long, env = "DOCJOBS_LEDGER", value_name = "URL")]
    ledger: String,
    /// Directory for results without an output path
    #[arg(long, default_value = ".", value_name = "DIR")]
    out: PathBuf,
    /// Registers the search attributes first
    #[arg(long)]
    setup: bool,
    /// How long a waiting workflow goes without asking the ledger
    #[arg(long, default_value = "10m", value_parser = humantime::parse_duration, value_name = "TIME")]
    recheck: Duration,
}

#[tokio::main]
async fn main() -> ExitCode {
    let filter = EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| EnvFilter::new("warn,jobs_temporal=info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    let Command::Worker(args) = Args::parse().command;
    match Box::pin(work(args)).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(Stop { code, line }) => {
            eprintln!("docjobs-temporal: {line}");
            ExitCode::from(code)
        }
    }
}

/// An end before the work was done, with the exit codes of docjobs.
struct Stop {
    code: u8,
    line: String,
}

impl Stop {
    fn bad_input(problem: impl ToString) -> Self {
        Self {
            code: 2,
            line: problem.to_string(),
        }
    }

    fn unreachable(problem: impl ToString) -> Self {
        Self {
            code: 8,
            line: problem.to_string(),
        }
    }
}

async fn work(args: WorkerArgs) -> Result<(), Stop> {
    std::fs::create_dir_all(&args.out).map_err(|problem| {
        Stop::bad_input(format!("cannot make {}: {problem}", args.out.display()))
    })?;
    let output_dir = std::path::absolute(&args.out).map_err(Stop::bad_input)?;
    let mut config = LedgerConfig::default();
    config.connections = CONNECTIONS;
    let ledger = Ledger::open_with(&args.ledger, SystemClock::shared(), &config)
        .await
        .map_err(Stop::bad_input)?;
    for warning in ledger.warnings() {
        tracing::warn!("{warning}");
    }
    let lookup = |name: &str| std::env::var(name).ok();
    let accounts = accounts(&ledger, &lookup).map_err(Stop::bad_input)?;
    let identity = format!("docjobs-temporal@{}", std::process::id());
    let client = connect(
        args.address.as_deref(),
        args.namespace.as_deref(),
        identity,
        lookup,
    )
    .await
    .map_err(Stop::unreachable)?;
    if args.setup {
        register_search_attributes(&client)
            .await
            .map_err(|problem| {
                Stop::unreachable(format!(
                    "the search attributes were not registered: {problem}"
                ))
            })?;
    }
    let mut work = WorkerSettings::default();
    work.output_dir = output_dir;
    work.recheck = args.recheck;
    match Worker::new(client, accounts, work)
        .run(asked_to_end())
        .await
    {
        Ok(()) => Ok(()),
        Err(problem @ WorkerError::NoAccount) => Err(Stop::bad_input(problem)),
        Err(problem) => Err(Stop::unreachable(problem)),
    }
}

/// How many connections to a database a worker has at most: its accounts submit, poll and fetch at once.
const CONNECTIONS: u32 = 8;

/// Returns at the first of the signals that end a service; the second one ends the process at once.
async fn asked_to_end() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut term), Ok(mut hup)) = (
        signal(SignalKind::terminate()),
        signal(SignalKind::hangup()),
    ) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = term.recv() => {}
        _ = hup.recv() => {}
    }
    tracing::info!("the worker ends: it gives its jobs back");
    tokio::spawn(async move {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = term.recv() => {}
            _ = hup.recv() => {}
        }
        std::process::exit(130);
    });
}
