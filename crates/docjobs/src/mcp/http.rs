//! The same tools over HTTP, for `docjobs serve --mcp`. Whoever mounts it judges token, host and origin before.

use std::path::PathBuf;
use std::sync::Arc;

use jobs_runner::{CancellationToken, Runner};
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::{StreamableHttpServerConfig, StreamableHttpService};
use tokio::sync::Semaphore;

use super::roots::Roots;
use super::server::{Access, CALLS, McpServer, Shared};
use crate::exit::CommandError;

/// What the server that mounts the tools has.
pub(crate) struct HttpTools {
    pub(crate) runner: Runner,
    /// The directories below which calls may name files; without any, calls take addresses and texts alone.
    pub(crate) roots: Vec<PathBuf>,
    /// Where results go that were given no place.
    pub(crate) results: PathBuf,
    /// How many vendor seconds pass in a real one.
    pub(crate) scale: u32,
    pub(crate) read_only: bool,
    /// Whether a worker runs in this process.
    pub(crate) works: bool,
    /// Cancelled when the server ends.
    pub(crate) closing: CancellationToken,
}

/// The longest message.
const BODY: usize = 4 * 1024 * 1024;

/// A service for the path `/mcp` of a router.
pub(crate) fn http_service(
    tools: HttpTools,
) -> Result<StreamableHttpService<McpServer, LocalSessionManager>, CommandError> {
    let roots = if tools.roots.is_empty() {
        Roots::none(
            "over HTTP a path needs a server that was started with --root DIR; a document on the web goes into url",
        )
    } else {
        let explicit = Roots::explicit(&tools.roots);
        explicit.map_err(|problem| CommandError::invalid_input(problem.to_string()))?
    };
    let roots = roots.with_results(tools.results.clone());
    let shared = Arc::new(Shared {
        runner: tools.runner,
        roots,
        home: etcetera::home_dir().ok(),
        results: tools.results,
        scale: tools.scale,
        access: Access {
            read_only: tools.read_only,
            works: tools.works,
            allow_resolve: false,
        },
        closing: tools.closing.clone(),
        calls: Semaphore::new(CALLS),
    });
    let config = StreamableHttpServerConfig::default()
        .disable_allowed_hosts()
        .disable_allowed_origins()
        .with_max_request_body_bytes(BODY)
        .with_cancellation_token(tools.closing);
    let server = move || Ok(McpServer::new(Arc::clone(&shared)));
    Ok(StreamableHttpService::new(server, Arc::default(), config))
}
