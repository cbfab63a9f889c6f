//! `docjobs serve`: webhooks in, a page and an HTTP API out, on the ledger that the command line uses.

mod access;
mod action_routes;
mod assets;
mod budget_routes;
mod bulk_routes;
mod byte_range;
mod candidates;
mod event_streams;
mod export_routes;
mod file_digests;
mod form;
mod guard;
mod hook_call;
mod hook_inbox;
mod hook_list;
mod hook_routes;
mod hooks_view;
mod in_doubt_view;
mod job_actions;
mod job_json;
mod job_query;
mod job_view;
mod job_wait;
mod jobs_view;
mod json_answer;
mod json_body;
mod language;
mod login;
mod metrics;
mod money_view;
mod openapi;
mod page;
mod page_actions;
mod parse_route;
mod path_text;
mod problem;
mod rates_view;
mod read_routes;
mod result_routes;
mod routes;
mod server;
mod session;
mod spool;
mod spool_cleaner;
mod state;
mod submission_form;
mod submit_routes;
mod summary_routes;
mod tokens;
mod workers_view;
mod wrong_tokens;

use std::net::{SocketAddr, ToSocketAddrs as _};
use std::path::PathBuf;
use std::sync::Arc;

use jobs_core::clock::{Clock, SystemClock, bounded};
use jobs_ledger::Ledger;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use self::access::Access;
use self::candidates::Candidates;
use self::event_streams::EventFeed;
use self::file_digests::FileDigests;
use self::hook_call::HookKeys;
use self::hook_routes::{HookCounts, HookState};
use self::server::{Ending, LAST_ANSWERS, Server};
use self::spool::Spool;
use self::state::ServeState;
use self::tokens::TokenFile;
use crate::app::App;
use crate::args::{ServeArgs, WorkArgs};
use crate::exit::CommandError;
use crate::mcp::{self, HttpTools};
use crate::{vendors, webhook_address, work};

/// How many connections to a database a server may hold.
const CONNECTIONS: u32 = 8;
/// How many jobs a worker in this process holds.
const WORKER_JOBS: usize = 10_000;

/// Answers until it is told to stop.
pub(crate) async fn serve(app: &App, args: ServeArgs) -> Result<(), CommandError> {
    let app = &app.with_connections(CONNECTIONS);
    let listen = resolve("--listen", &args.listen)?;
    let tokens = args.token_file.as_deref().map(TokenFile::open);
    let tokens = tokens.transpose().map_err(CommandError::invalid_input)?;
    if tokens.is_none() && !listen.ip().is_loopback() {
        return Err(CommandError::invalid_input(format!(
            "--listen {listen}: others can reach this address, so who may use it has to be said: give --token-file F \
             with lines NAME TOKEN, or listen on 127.0.0.1"
        )));
    }
    let hooks_url = args.hooks_url.as_deref().map(public_address).transpose()?;
    let keys = HookKeys::from_env(|vendor| app.env(vendor))
        .map_err(|error| CommandError::rejected(&error))?;
    let listener = bind("--listen", listen).await?;
    let hooks = match &args.hooks {
        Some(address) => Some(bind("--hooks", resolve("--hooks", address)?).await?),
        None => None,
    };
    let address = listener.local_addr().unwrap_or(listen);
    let ledger = app.ledger().await?;
    let clock: Arc<dyn Clock> = SystemClock::shared();
    let spool = open_spool(app, args.spool)?;
    let access = Access::new(tokens, address, &args.host, Arc::clone(&clock))
        .read_only(args.read_only)
        .open_metrics(args.open_metrics);
    let (end, ending) = Ending::new();
    let results = args.out.unwrap_or_else(|| spool.results());
    let hook_counts = Arc::new(HookCounts::default());
    let runner = vendors::all(app, app.runner().await?)?;
    let state = Arc::new(ServeState {
        ledger: ledger.clone(),
        runner,
        clock: Arc::clone(&clock),
        access: Arc::new(access),
        spool,
        candidates: Candidates::default(),
        digests: FileDigests::default(),
        feed: EventFeed::start(ledger.clone(), ending.clone(), Arc::clone(&clock)),
        metrics: metrics::start(),
        hook_counts: Arc::clone(&hook_counts),
        ending: ending.clone(),
        max_upload: args.max_upload,
    });
    let _attended = app.shutdown.attend();
    let unable =
        |problem: std::io::Error| CommandError::unexpected(format!("cannot listen: {problem}"));
    tokio::spawn(spool_cleaner::run(Arc::clone(&state), args.keep_results));
    let mut router = routes::router(Arc::clone(&state));
    if args.mcp {
        let tools = HttpTools {
            runner: state.runner.clone(),
            roots: args.root,
            results: results.clone(),
            scale: app.scale()?,
            read_only: args.read_only,
            works: args.work,
            closing: app.shutdown.token(),
        };
        router = router.route_service("/mcp", mcp::http_service(tools)?);
    }
    let router = routes::guarded(router, &state);
    let server = Server::start(listener, router, ending.clone(), Arc::clone(&clock));
    let server = server.map_err(unable)?;
    let hooks = match hooks {
        Some(listener) => {
            if let Some(url) = &hooks_url {
                ledger.put_shared(webhook_address::URL, url).await?;
            }
            let hooks = Hooks::start(listener, keys, hook_counts, &ledger, ending, &clock).await?;
            Some(hooks)
        }
        None => None,
    };
    let hooks_address = hooks.as_ref().map(|hooks| hooks.server.url());
    app.report.event(
        "listening",
        json!({ "url": server.url(), "hooks": hooks_address }),
    );
    app.report.say(&format!("listening on {}", server.url()));
    if let Some(address) = &hooks_address {
        app.report.say(&format!("hooks on {address}"));
    }
    let work = async {
        if args.work {
            let args = WorkArgs {
                out: Some(results),
                jobs: WORKER_JOBS,
                once: false,
                keep: None,
                log: args.log,
            };
            work::work(app, args).await
        } else {
            Ok(())
        }
    };
    let answer = async {
        let signal = app.shutdown.requested().await;
        end.send_replace(true);
        server.finish().await;
        if let Some(hooks) = hooks {
            hooks.finish(&clock).await;
        }
        signal
    };
    let mut answer = std::pin::pin!(answer);
    let mut work = std::pin::pin!(work);
    let signal = tokio::select! {
        worked = &mut work, if args.work => {
            // A worker that cannot begin ends the server; one that was told to end has given its jobs back.
            if app.shutdown.asked().is_none() {
                worked?;
            }
            answer.await
        }
        signal = &mut answer => {
            if args.work {
                drop(work.await);
            }
            signal
        }
    };
    Err(CommandError::asked_to_end(
        signal.exit(),
        "the server has ended",
    ))
}

/// The listener for webhooks, and what writes them down.
struct Hooks {
    server: Server,
    writer: JoinHandle<()>,
}

impl Hooks {
    async fn start(
        listener: TcpListener,
        keys: HookKeys,
        counts: Arc<HookCounts>,
        ledger: &Ledger,
        ending: Ending,
        clock: &Arc<dyn Clock>,
    ) -> Result<Self, CommandError> {
        let secret = secret(ledger).await?;
        let (inbox, calls) = mpsc::channel(hook_inbox::QUEUE);
        let state = HookState {
            keys,
            secret,
            inbox,
            counts,
            clock: Arc::clone(clock),
        };
        let router = hook_routes::router(Arc::new(state));
        let server = Server::start(listener, router, ending, Arc::clone(clock))
            .map_err(|problem| CommandError::unexpected(format!("cannot listen: {problem}")))?;
        let writer = hook_inbox::write_down(ledger.clone(), calls, Arc::clone(clock));
        Ok(Self {
            server,
            writer: tokio::spawn(writer),
        })
    }

    /// Answers the last calls and writes down what came.
    async fn finish(self, clock: &Arc<dyn Clock>) {
        self.server.finish().await;
        let limit = clock.now() + LAST_ANSWERS;
        bounded(clock.as_ref(), limit, self.writer).await;
    }
}

/// The unguessable part of TextIn's path, which all processes of the ledger share.
async fn secret(ledger: &Ledger) -> Result<String, CommandError> {
    let mut bytes = [0; 24];
    getrandom::fill(&mut bytes)
        .map_err(|problem| CommandError::unexpected(format!("no random numbers: {problem}")))?;
    let new: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(ledger
        .get_or_put_shared(webhook_address::SECRET, &new)
        .await?)
}

/// The address that vendors are told, without a slash at its end.
fn public_address(url: &str) -> Result<String, CommandError> {
    let refuse = |why: &str| {
        CommandError::invalid_input(format!(
            "--hooks-url: {why}; write it like https://hooks.example.com"
        ))
    };
    let parsed = url::Url::parse(url).map_err(|_| refuse("this is no address"))?;
    if !matches!(parsed.scheme(), "http" | "https") || parsed.host().is_none() {
        return Err(refuse("vendors call http and https addresses only"));
    }
    if !parsed.username().is_empty() || parsed.password().is_some() {
        return Err(refuse("the address holds a user or password"));
    }
    if parsed.query().is_some() || parsed.fragment().is_some() {
        return Err(refuse("the address ends with its path"));
    }
    Ok(parsed.as_str().trim_end_matches('/').to_owned())
}

fn resolve(option: &str, address: &str) -> Result<SocketAddr, CommandError> {
    let found = address
        .to_socket_addrs()
        .ok()
        .and_then(|mut found| found.next());
    found.ok_or_else(|| {
        CommandError::invalid_input(format!(
            "{option} {address:?} is no address of this machine; write it like 127.0.0.1:8787"
        ))
    })
}

async fn bind(option: &str, address: SocketAddr) -> Result<TcpListener, CommandError> {
    TcpListener::bind(address).await.map_err(|problem| {
        CommandError::invalid_input(format!(
            "{option}: cannot listen on {address}: {problem}; name another port, or 0 for a free one"
        ))
    })
}

/// Beside a ledger that is a file, unless it is named.
fn open_spool(app: &App, given: Option<PathBuf>) -> Result<Spool, CommandError> {
    let folder = match (given, app.ledger_file()?) {
        (Some(folder), _) => folder,
        (None, Some(file)) => {
            let mut name = file.into_os_string();
            name.push(".spool");
            name.into()
        }
        (None, None) => {
            return Err(CommandError::invalid_input(
                "a ledger in PostgreSQL has no folder beside it: name one that all processes of it share with \
                 --spool DIR",
            ));
        }
    };
    Spool::open(&folder).map_err(|problem| {
        CommandError::invalid_input(format!(
            "cannot use the spool {}: {problem}; give --spool another folder",
            folder.display()
        ))
    })
}
