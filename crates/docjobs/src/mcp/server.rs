//! The server of one client: which method is answered by what.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::http::request::Parts;
use jobs_ledger::{JobRecord, Ledger};
use jobs_runner::{CancellationToken, DynHandler, Runner};
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, CancelTaskParams, CustomRequest,
    CustomResult, GetTaskParams, GetTaskResult, Implementation, ListResourceTemplatesResult,
    ListResourcesResult, ListToolsResult, PaginatedRequestParams, ProgressNotificationParam,
    ProtocolVersion, ReadResourceRequestParams, ReadResourceResponse, ReadResourceResult, Resource,
    ResourceTemplate, ServerCapabilities, ServerConfig, Tool, UpdateTaskParams,
};
use rmcp::service::{NotificationContext, RequestContext};
use rmcp::{ErrorData, RoleServer, ServerHandler};
use tokio::sync::{Mutex, Semaphore};

use super::answer::{self, Surroundings, ToolError};
use super::arguments::{
    self, EstimateCost, GetBudgets, GetJob, GetResult, ListJobs, Purchase, ResolveJob,
};
use super::http_caller::HttpCaller;
use super::roots::Roots;
use super::tools::{self, ToolName};
use crate::exit::ExitCode;

/// What the command line allows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Access {
    /// Only the reading tools are offered.
    pub(crate) read_only: bool,
    /// A worker runs in this process.
    pub(crate) works: bool,
    /// A job may be given up, or adopted against the evidence, without asking a person.
    pub(crate) allow_resolve: bool,
}

/// What the servers of all clients of a process share.
pub(crate) struct Shared {
    pub(crate) runner: Runner,
    /// The roots before a client announces its own.
    pub(crate) roots: Roots,
    pub(crate) home: Option<PathBuf>,
    /// Where results go that were given no place.
    pub(crate) results: PathBuf,
    /// How many vendor seconds pass in a real one.
    pub(crate) scale: u32,
    pub(crate) access: Access,
    /// Cancelled when the process ends: waits end, the worker gives its jobs back.
    pub(crate) closing: CancellationToken,
    pub(crate) calls: Semaphore,
}

/// How many calls are worked on at once.
pub(crate) const CALLS: usize = 128;
/// How long a client may take to say what its roots are.
const ROOTS: Duration = Duration::from_secs(10);
/// How often the ledger is asked while a call waits.
const POLL: Duration = Duration::from_millis(200);
/// How often progress is told.
const PROGRESS: Duration = Duration::from_secs(3);
/// How many results one page of resources names.
const RESOURCES: usize = 50;

const INSTRUCTIONS: &str = "Document jobs that take minutes and cost money: parse documents, make and export slide decks, \
convert slides to H5, convert files for e-signing. Every call may be repeated: the same arguments attach to the same job, \
for days and across restarts, and never pay twice. Each answer says in `next` what to call, and in `exit_code`: 0 done, \
2 wrong input, nothing sent, 3 the vendor said that the job failed, 4 not finished yet, 5 outcome unknown (it may have been \
charged: never buy it again, ask the user), 6 wrong credentials, 7 budget or quota used up, 8 vendor not reachable.";

impl Shared {
    pub(crate) fn ledger(&self) -> &Ledger {
        self.runner.ledger()
    }

    /// The handler that a tool buys with.
    pub(crate) fn handler(&self, tool: ToolName) -> Result<&DynHandler, ToolError> {
        let (vendor, kind) = tool.buys().unwrap_or_default();
        // Tencent's two APIs are two kinds, of which one is set up.
        let is_it = |handler: &&DynHandler| {
            handler.vendor() == vendor && (handler.kind() == kind || vendor == "tencent-ess")
        };
        if let Some(handler) = self.runner.handlers().iter().find(is_it) {
            return Ok(handler);
        }
        Err(ToolError::invalid(format!(
            "{} needs {vendor}, whose variables are not set here: docjobs doctor names them; nothing was sent",
            tool.as_str()
        )))
    }

    /// The job that is meant by our id or the vendor's.
    pub(crate) async fn find(&self, id: &str) -> Result<JobRecord, ToolError> {
        let mut found = self.ledger().find(id).await?;
        if found.len() > 1 && found.first().is_none_or(|job| job.id.to_string() != id) {
            let ids: Vec<String> = found
                .iter()
                .map(|job| format!("{} ({} {})", job.id, job.vendor, job.kind))
                .collect();
            return Err(ToolError::invalid(format!(
                "several jobs have the id {id:?} at their vendors: {}; give the id of one of these",
                ids.join(", ")
            )));
        }
        if found.is_empty() {
            return Err(ToolError::invalid(format!(
                "{id:?} is not a job of this ledger; list_jobs shows them"
            )));
        }
        Ok(found.swap_remove(0))
    }

    pub(crate) fn surroundings(&self, record: &JobRecord) -> Surroundings {
        let handler = self.runner.handler(&record.vendor, &record.kind);
        Surroundings {
            unit: handler.map_or("", DynHandler::unit),
            works: self.access.works,
            ..Surroundings::default()
        }
    }
}

/// One client's server. Clones are the same.
#[derive(Clone)]
pub(crate) struct McpServer {
    pub(crate) shared: Arc<Shared>,
    /// The roots with those that the client announced, once it was asked, and after how many changes that was.
    announced: Arc<Mutex<Option<(u64, Roots)>>>,
    /// How often the client said that its roots have changed.
    pub(crate) root_changes: Arc<AtomicU64>,
}

/// The request that is answered, with what it offers.
pub(crate) type Call = RequestContext<RoleServer>;

impl McpServer {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            announced: Arc::default(),
            root_changes: Arc::default(),
        }
    }

    /// Whether a call may only read.
    pub(crate) fn is_read_only(&self, call: &Call) -> bool {
        let may_write = http_caller(call).is_none_or(|caller| caller.may_write);
        self.shared.access.read_only || !may_write
    }

    /// The roots for a call; asks the client for its own where it has announced some.
    #[expect(
        deprecated,
        reason = "roots are asked for up to revision 2025-11-25 only"
    )]
    pub(crate) async fn roots(&self, call: &Call) -> Result<Roots, ToolError> {
        let has_roots = call
            .client_capabilities()
            .is_some_and(|offered| offered.roots.is_some());
        if !has_roots || is_inline(call) {
            return Ok(self.shared.roots.clone());
        }
        let mut announced = self.announced.lock().await;
        let changes = self.root_changes.load(Ordering::Acquire);
        if let Some((known, roots)) = &*announced
            && *known == changes
        {
            return Ok(roots.clone());
        }
        let clock = self.shared.ledger().clock();
        let listed = tokio::select! {
            listed = call.peer.list_roots() => listed.map_err(|problem| problem.to_string()),
            () = clock.sleep_until(clock.now() + ROOTS) => Err("it did not answer".to_owned()),
        };
        let listed = listed.map_err(|problem| {
            ToolError::invalid(format!(
                "the client announced roots, and roots/list failed: {problem}; nothing was sent"
            ))
        })?;
        let uris: Vec<String> = listed.roots.into_iter().map(|root| root.uri).collect();
        let roots = self
            .shared
            .roots
            .narrowed_by(&uris, self.shared.home.as_deref());
        *announced = Some((changes, roots.clone()));
        Ok(roots)
    }

    /// Waits until a job is decided, the time is over, the call is cancelled or the client is gone; tells progress.
    pub(crate) async fn wait(
        &self,
        record: JobRecord,
        seconds: u64,
        call: &Call,
    ) -> Result<JobRecord, ToolError> {
        let shared = &self.shared;
        let clock = shared.ledger().clock();
        let begun = clock.now();
        let end = begun + Duration::from_secs(seconds);
        let mut told = begun;
        let token = call.meta.get_progress_token();
        let (id, mut record) = (record.id, record);
        loop {
            let now = clock.now();
            let is_cut = call.ct.is_cancelled() || shared.closing.is_cancelled();
            if answer::is_decided(&record, shared.access.works) || now >= end || is_cut {
                return Ok(record);
            }
            if let Some(token) = &token
                && now.since(told) >= PROGRESS
            {
                told = now;
                let elapsed = now.since(begun).as_secs_f64();
                let progress = ProgressNotificationParam::new(token.clone(), elapsed)
                    .with_total(Duration::from_secs(seconds).as_secs_f64())
                    .with_message(progress_line(&record));
                // A client that does not listen any more is noticed elsewhere.
                drop(call.peer.notify_progress(progress).await);
            }
            tokio::select! {
                () = clock.sleep_until(end.min(now + POLL)) => {}
                () = call.ct.cancelled() => {}
                () = shared.closing.cancelled() => {}
            }
            record = match shared.ledger().get(id).await? {
                Some(record) => record,
                None => return shared.find(&id.to_string()).await,
            };
        }
    }

    async fn call(
        &self,
        tool: ToolName,
        request: CallToolRequestParams,
        call: &Call,
    ) -> Result<CallToolResponse, ToolError> {
        let arguments = request.arguments.clone();
        let invalid = ToolError::invalid;
        Ok(match tool {
            ToolName::GetJob => {
                let asked: GetJob = arguments::read(tool, arguments)
                    .and_then(GetJob::checked)
                    .map_err(invalid)?;
                let record = self.shared.find(&asked.id).await?;
                let record = self.wait(record, asked.wait_seconds, call).await?;
                self.job_result(&record, None, false).await?.into()
            }
            ToolName::GetResult => {
                let asked: GetResult = arguments::read(tool, arguments)
                    .and_then(GetResult::checked)
                    .map_err(invalid)?;
                let record = self.shared.find(&asked.id).await?;
                let may_fetch = !self.is_read_only(call);
                let page = self
                    .shared
                    .page(&record, asked.offset, asked.limit, may_fetch)
                    .await?;
                structured(&page)?.into()
            }
            ToolName::ListJobs => {
                let asked: ListJobs = arguments::read(tool, arguments)
                    .and_then(ListJobs::checked)
                    .map_err(invalid)?;
                structured(&self.shared.list(asked).await?)?.into()
            }
            ToolName::EstimateCost => {
                let asked = EstimateCost::read(arguments.unwrap_or_default()).map_err(invalid)?;
                structured(&self.estimate(asked, call).await?)?.into()
            }
            ToolName::GetBudgets => {
                let GetBudgets {} = arguments::read(tool, arguments).map_err(invalid)?;
                structured(&self.shared.budgets().await?)?.into()
            }
            ToolName::ResolveJob => {
                let asked: ResolveJob = arguments::read(tool, arguments).map_err(invalid)?;
                self.resolve(asked, &request, call).await?
            }
            _ => {
                let purchase = Purchase::read(tool, arguments).map_err(invalid)?;
                self.purchase(tool, purchase, call).await?
            }
        })
    }

    /// The answer about a job, with its result where it has one.
    pub(crate) async fn job_result(
        &self,
        record: &JobRecord,
        delivered: Option<&std::path::Path>,
        is_purchase: bool,
    ) -> Result<CallToolResult, ToolError> {
        let shared = &self.shared;
        let mut surroundings = shared.surroundings(record);
        surroundings.result = shared.view(record, delivered).await?;
        surroundings.candidates = shared.candidates(record).await;
        let link = Shared::link(record, surroundings.result.as_ref());
        let job = answer::job(record, &surroundings);
        Ok(answer::into_result(record, job, link, is_purchase))
    }
}

/// Who makes a request over HTTP.
fn http_caller(call: &Call) -> Option<&HttpCaller> {
    call.extensions.get::<Parts>()?.extensions.get()
}

/// Who asks, as events name them.
pub(crate) fn actor(call: &Call) -> &str {
    let name = http_caller(call).and_then(|caller| caller.name.as_deref());
    name.unwrap_or("mcp")
}

/// Whether the request is one of the revisions in which a server asks nothing by itself.
pub(crate) fn is_inline(call: &Call) -> bool {
    call.protocol_version()
        .is_some_and(|version| version.as_str() >= ProtocolVersion::V_2026_07_28.as_str())
}

fn progress_line(record: &JobRecord) -> String {
    let status = record
        .vendor_status
        .as_deref()
        .map(|word| format!(", {word}"));
    format!(
        "{} job {} is {}{}",
        record.vendor,
        record.id,
        record.stage,
        status.unwrap_or_default()
    )
}

fn structured(value: &impl serde::Serialize) -> Result<CallToolResult, ToolError> {
    match serde_json::to_value(value) {
        Ok(value) => Ok(CallToolResult::structured(value)),
        Err(problem) => Err(ToolError::new(ExitCode::Unexpected, problem.to_string())),
    }
}

impl ServerHandler for McpServer {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder()
            .enable_tools()
            .enable_resources()
            .enable_tasks()
            .build();
        ServerConfig::new(capabilities)
            .with_server_info(
                Implementation::new("docjobs", env!("CARGO_PKG_VERSION")).with_title("docjobs"),
            )
            .with_instructions(INSTRUCTIONS)
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        call: Call,
    ) -> Result<ListToolsResult, ErrorData> {
        let tools = tools::offered(self.is_read_only(&call)).map(ToolName::definition);
        Ok(ListToolsResult::with_all_items(tools.collect()))
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        ToolName::of(name).map(ToolName::definition)
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: Call,
    ) -> Result<CallToolResponse, ErrorData> {
        let read_only = self.is_read_only(&context);
        let tool = ToolName::of(&request.name)
            .filter(|tool| tools::offered(read_only).any(|offered| offered == *tool));
        let Some(tool) = tool else {
            let names: Vec<&str> = tools::offered(read_only).map(ToolName::as_str).collect();
            let message = format!(
                "unknown tool {:?}; the tools are {}",
                request.name,
                names.join(", ")
            );
            return Err(ErrorData::invalid_params(message, None));
        };
        let Ok(_permit) = self.shared.calls.try_acquire() else {
            let sentence = format!(
                "{CALLS} calls are being worked on already; nothing was sent; call again when one has ended"
            );
            return Ok(ToolError::new(ExitCode::Unreachable, sentence)
                .into_result()
                .into());
        };
        match Box::pin(self.call(tool, request, &context)).await {
            Ok(response) => Ok(response),
            Err(error) => Ok(error.into_result().into()),
        }
    }

    async fn list_resources(
        &self,
        request: Option<PaginatedRequestParams>,
        _: Call,
    ) -> Result<ListResourcesResult, ErrorData> {
        let after = request.and_then(|request| request.cursor);
        let (records, next) = self
            .shared
            .completed(after.as_deref(), RESOURCES)
            .await
            .map_err(|error| protocol_error(&error))?;
        let resources = records.iter().map(|record| {
            let name = format!("{} ({} {})", record.input, record.vendor, record.kind);
            let resource = Resource::new(answer::uri(record), name);
            match &record.output {
                Some(path) => resource.with_mime_type(answer::mime_type(path)),
                None => resource.with_mime_type("text/plain"),
            }
        });
        let mut result = ListResourcesResult::with_all_items(resources.collect());
        result.next_cursor = next;
        Ok(result)
    }

    async fn list_resource_templates(
        &self,
        _: Option<PaginatedRequestParams>,
        _: Call,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        let template = ResourceTemplate::new("docjobs://jobs/{id}/result", "result")
            .with_description("The result of a completed job, by the id of the job");
        Ok(ListResourceTemplatesResult::with_all_items(vec![template]))
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        call: Call,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let Some(id) = answer::id_in(&request.uri) else {
            let message = format!(
                "{:?} is not a resource; results are docjobs://jobs/ID/result",
                request.uri
            );
            return Err(ErrorData::resource_not_found(message, None));
        };
        let not_found =
            |error: &ToolError| ErrorData::resource_not_found(error.sentence.clone(), None);
        let record = self
            .shared
            .find(id)
            .await
            .map_err(|error| not_found(&error))?;
        let may_fetch = !self.is_read_only(&call);
        match self.shared.contents(&record, may_fetch).await {
            Ok(contents) => Ok(ReadResourceResult::new(vec![contents]).into()),
            Err(error) => Err(not_found(&error)),
        }
    }

    async fn get_task(&self, request: GetTaskParams, _: Call) -> Result<GetTaskResult, ErrorData> {
        self.task(&request.task_id).await.map(GetTaskResult::new)
    }

    async fn update_task(&self, request: UpdateTaskParams, call: Call) -> Result<(), ErrorData> {
        self.update(request, &call).await
    }

    async fn cancel_task(&self, request: CancelTaskParams, call: Call) -> Result<(), ErrorData> {
        self.cancel(&request.task_id, &call).await
    }

    async fn on_roots_list_changed(&self, _: NotificationContext<RoleServer>) {
        self.root_changes.fetch_add(1, Ordering::AcqRel);
    }

    /// What is no request of a known method: said so, or that its parameters are not understood.
    async fn on_custom_request(
        &self,
        request: CustomRequest,
        _: Call,
    ) -> Result<CustomResult, ErrorData> {
        const KNOWN: [&str; 7] = [
            "tools/call",
            "tools/list",
            "resources/read",
            "resources/list",
            "tasks/get",
            "tasks/update",
            "tasks/cancel",
        ];
        if KNOWN.contains(&request.method.as_str()) {
            let message = format!(
                "the parameters of {} are not understood: see its schema",
                request.method
            );
            return Err(ErrorData::invalid_params(message, None));
        }
        Err(ErrorData::new(
            rmcp::model::ErrorCode::METHOD_NOT_FOUND,
            request.method,
            None,
        ))
    }
}

pub(crate) fn protocol_error(error: &ToolError) -> ErrorData {
    match error.exit {
        ExitCode::InvalidInput => ErrorData::invalid_params(error.sentence.clone(), None),
        _ => ErrorData::internal_error(error.sentence.clone(), None),
    }
}
