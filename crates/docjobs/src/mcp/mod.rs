//! `docjobs mcp`: tools for agents, which may call each of them twice.
//!
//! `server` answers the methods of the protocol, `purchase` buys, `resolve` decides, `tasks` shows jobs as tasks; all of
//! them read and write the ledger alone, and a worker in the same process does the work.

mod answer;
mod arguments;
#[allow(dead_code, reason = "docjobs serve mounts it")]
mod http;
mod http_caller;
mod listing;
mod purchase;
mod resolve;
mod results;
mod roots;
mod server;
mod stdio;
mod tasks;
mod text_page;
mod tools;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use etcetera::BaseStrategy as _;
use jobs_runner::{CancellationToken, PollModels, Runner, WorkerConfig};
use rmcp::ServiceExt as _;
use rmcp::service::ServerInitializeError;
use tokio::sync::Semaphore;

#[allow(unused_imports, reason = "docjobs serve mounts it")]
pub(crate) use self::http::{HttpTools, http_service};
pub(crate) use self::http_caller::HttpCaller;
use self::roots::Roots;
use self::server::{Access, CALLS, McpServer, Shared};
use self::stdio::StdioTransport;
use crate::app::App;
use crate::args::McpArgs;
use crate::exit::CommandError;
use crate::observer::WorkerObserver;
use crate::vendors;

/// How many connections to a database this process may hold.
const CONNECTIONS: u32 = 6;
/// When a job is tried again whose trouble may pass.
const RETRY_INTERVAL: Duration = Duration::from_secs(30);
/// How long the worker may take to record what is under way when the client is gone.
const END: Duration = Duration::from_secs(8);

/// `docjobs mcp`
pub(crate) async fn run(app: &App, args: McpArgs) -> Result<(), CommandError> {
    let _attended = app.shutdown.attend();
    let models = PollModels::default();
    let app = &app.with_connections(CONNECTIONS).with_poll_models(&models);
    let shared = Arc::new(shared(app, &args).await?);
    let closing = shared.closing.clone();
    let served = async {
        let served = tokio::select! {
            served = serve(Arc::clone(&shared)) => served,
            signal = app.shutdown.requested() => Err(CommandError::asked_to_end(
                signal.exit(),
                "the jobs are kept; start docjobs mcp again to continue",
            )),
        };
        closing.cancel();
        served
    };
    let worked = async {
        if !shared.access.works {
            return;
        }
        let config = WorkerConfig::default()
            .with_output_dir(&shared.results)
            .with_retry_interval(RETRY_INTERVAL / shared.scale)
            .with_poll_models(models);
        let clock = shared.ledger().clock();
        let too_long = async {
            closing.cancelled().await;
            clock.sleep_until(clock.now() + END).await;
        };
        tokio::select! {
            ended = shared.runner.worker(config).run(closing.cancelled()) => {
                if let Err(error) = ended {
                    app.report.say(&format!("docjobs: {error}; jobs wait for docjobs work elsewhere"));
                }
            }
            () = too_long => app.report.say(
                "docjobs: the worker did not end in time; its jobs are claimed anew when their leases end",
            ),
        }
    };
    let (served, ()) = tokio::join!(served, Box::pin(worked));
    shared.ledger().close().await;
    served
}

/// Answers one client until it is gone.
async fn serve(shared: Arc<Shared>) -> Result<(), CommandError> {
    let closing = shared.closing.clone();
    let server = McpServer::new(shared);
    let transport = StdioTransport::new(
        tokio::io::stdin(),
        tokio::io::stdout(),
        closing,
        Arc::clone(&server.root_changes),
    );
    match server.serve(transport).await {
        Ok(running) => match running.waiting().await {
            Ok(_) => Ok(()),
            Err(problem) => Err(CommandError::unexpected(problem.to_string())),
        },
        Err(ServerInitializeError::ConnectionClosed(_) | ServerInitializeError::Cancelled) => {
            Ok(())
        }
        Err(problem) => Err(CommandError::unexpected(format!(
            "the client did not begin as the protocol says: {problem}"
        ))),
    }
}

async fn shared(app: &App, args: &McpArgs) -> Result<Shared, CommandError> {
    let home = etcetera::home_dir().ok();
    let roots = if args.root.is_empty() {
        match std::env::current_dir() {
            Ok(current) => Roots::current_directory(&current, home.as_deref()),
            Err(problem) => Roots::none(format!("the current directory is not known: {problem}")),
        }
    } else {
        let explicit = Roots::explicit(&args.root);
        explicit.map_err(|problem| CommandError::invalid_input(problem.to_string()))?
    };
    let results = results_dir()?;
    let roots = roots.with_results(results.clone());
    let observer = WorkerObserver(app.report.clone());
    let runner = Runner::on(app.ledger().await?).with_observer(observer);
    let runner = vendors::all(app, runner)?;
    Ok(Shared {
        runner,
        roots,
        home,
        results,
        scale: app.scale()?,
        access: Access {
            read_only: args.read_only,
            works: !args.no_work && !args.read_only,
            allow_resolve: args.allow_resolve,
        },
        closing: CancellationToken::new(),
        calls: Semaphore::new(CALLS),
    })
}

/// Where results go that were given no place: beside the usual ledger, never below a root.
fn results_dir() -> Result<PathBuf, CommandError> {
    let folders = etcetera::choose_base_strategy()
        .map_err(|problem| CommandError::invalid_input(format!("{problem}; set HOME")))?;
    let results = folders.data_dir().join("docjobs").join("results");
    std::fs::create_dir_all(&results).map_err(|problem| {
        CommandError::invalid_input(format!("cannot make {}: {problem}", results.display()))
    })?;
    Ok(results)
}
