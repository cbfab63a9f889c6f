//! The tools that buy: the same arguments are one job, however often they are called.

use std::path::{Path, PathBuf};
use std::time::Duration;

use jobs_ledger::{Estimate, JobRecord, Note, Stage};
use jobs_runner::{DynHandler, InputSource, JobInput, RunOptions, RunOutcome, RunnerErrorKind};
use rmcp::model::{CallToolResponse, CreateTaskResult};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::answer::{self, ToolError};
use super::arguments::{self, EstimateCost, Purchase, Source};
use super::server::{Call, McpServer, actor};
use super::tools::ToolName;
use crate::exit::ExitCode;

/// A purchase whose paths are resolved and whose input is read.
struct Prepared {
    handler: DynHandler,
    input: JobInput,
    out: Option<PathBuf>,
    again: Option<JobRecord>,
}

/// How long a result is copied or fetched for a further place, at least.
const DELIVER: Duration = Duration::from_secs(10);

impl McpServer {
    /// Buys, or attaches to what was bought; waits as long as the call allows.
    pub(crate) async fn purchase(
        &self,
        tool: ToolName,
        purchase: Purchase,
        call: &Call,
    ) -> Result<CallToolResponse, ToolError> {
        let is_task = call
            .client_capabilities()
            .is_some_and(|offered| offered.supports_tasks());
        let wait = match purchase.wait_seconds {
            None if is_task => 0,
            given => arguments::wait_of(given),
        };
        let max_calls = purchase.max_calls;
        let prepared = self.prepare(tool, purchase, call).await?;
        if let Some(place) = &prepared.out
            && place.symlink_metadata().is_ok()
        {
            let record = self.there_before(&prepared, place).await?;
            return Ok(self.job_result(&record, Some(place), true).await?.into());
        }
        let Prepared {
            handler,
            input,
            out,
            again,
        } = prepared;
        let format = handler.format_of(input.format());
        let record = self.enqueue(input, out.clone(), again, call).await?;
        let record = self.allow_calls(record, &handler, max_calls, call).await?;
        let record = self.wait(record, wait, call).await?;
        if record.stage != Stage::Completed {
            if is_task && !record.stage.is_settled() {
                let task = self.task_of(&record).await.task;
                return Ok(CreateTaskResult::new(task).into());
            }
            return Ok(self.job_result(&record, None, true).await?.into());
        }
        let delivered = self.place_of(&record, &handler, out, format);
        if let Some(place) = &delivered
            && !(place.starts_with(&self.shared.results) && place.is_file())
        {
            let deadline = Duration::from_secs(wait).max(DELIVER);
            self.shared
                .deliver(&record, place, format, deadline)
                .await?;
        }
        let result = self.job_result(&record, delivered.as_deref(), true).await?;
        Ok(result.into())
    }

    /// Where the result of a completed job has still to be put for this call, if it is not where the call wants it.
    fn place_of(
        &self,
        record: &JobRecord,
        handler: &DynHandler,
        out: Option<PathBuf>,
        format: Option<&'static str>,
    ) -> Option<PathBuf> {
        if let Some(out) = out {
            return (record.output.as_deref() != Some(&*out)).then_some(out);
        }
        let is_recorded = handler.format_of(record.format.as_deref()) == format;
        (!is_recorded).then(|| {
            let name = format!("{}.{}", record.id, handler.extension(format));
            self.shared.results.join(name)
        })
    }

    /// The job that put the very file there that lies at a place; anything else is not replaced.
    async fn there_before(
        &self,
        prepared: &Prepared,
        place: &Path,
    ) -> Result<JobRecord, ToolError> {
        let shared = &self.shared;
        if prepared.again.is_none() {
            // Refused before anything is sent, unless this job put it there before.
            let options = RunOptions::default()
                .with_deadline(DELIVER * shared.scale)
                .with_shutdown(shared.closing.clone());
            let run = shared
                .runner
                .enqueue(prepared.input.clone())
                .output(place)
                .run(&options);
            match Box::pin(run).await {
                Ok(RunOutcome::AlreadyThere { job, .. }) => {
                    return shared.find(&job.to_string()).await;
                }
                Err(error) if !matches!(error.kind(), RunnerErrorKind::InvalidOutput { .. }) => {
                    return Err(error.into());
                }
                Ok(_) | Err(_) => {}
            }
        }
        Err(ToolError::invalid(format!(
            "{} is there already and is never replaced; name another file as out; nothing was sent",
            place.display()
        )))
    }

    /// Writes the job down, or finds the one that it is already.
    async fn enqueue(
        &self,
        input: JobInput,
        out: Option<PathBuf>,
        again: Option<JobRecord>,
        call: &Call,
    ) -> Result<JobRecord, ToolError> {
        let (runner, by) = (self.shared.runner.clone(), actor(call).to_owned());
        // A cancelled call leaves nothing half written.
        let write = tokio::spawn(async move {
            let mut enqueue = runner.enqueue(input).by(by);
            if let Some(record) = again {
                enqueue = enqueue.again_of(record.id);
            }
            if let Some(out) = out {
                enqueue = enqueue.output(out);
            }
            enqueue.await
        });
        match write.await {
            Ok(enqueued) => Ok(enqueued?.job),
            Err(problem) => Err(ToolError::new(ExitCode::Unexpected, problem.to_string())),
        }
    }

    /// A call that allows more paid polls than the job that it attaches to has allows them for good.
    async fn allow_calls(
        &self,
        record: JobRecord,
        handler: &DynHandler,
        max_calls: Option<u32>,
        call: &Call,
    ) -> Result<JobRecord, ToolError> {
        let Some(calls) = max_calls.filter(|calls| *calls > handler.paid_polls(&record)) else {
            return Ok(record);
        };
        let ledger = self.shared.ledger();
        let note = Note::new(format!("{calls} calls are allowed by {}", actor(call)));
        ledger.allow_calls(record.id, calls, note).await?;
        Ok(ledger.get(record.id).await?.unwrap_or(record))
    }

    /// Resolves the paths and reads the input; nothing is sent, and nothing written down.
    async fn prepare(
        &self,
        tool: ToolName,
        purchase: Purchase,
        call: &Call,
    ) -> Result<Prepared, ToolError> {
        let handler = self.shared.handler(tool)?.clone();
        let invalid = |problem: super::roots::PathError| {
            ToolError::invalid(format!("{problem}; nothing was sent"))
        };
        let out = match &purchase.out {
            Some(out) => Some(self.roots(call).await?.output(out).map_err(invalid)?),
            None => None,
        };
        let again = match &purchase.again {
            Some(id) => Some(self.bought_before(id, &handler).await?),
            None => None,
        };
        let mut options = purchase.options;
        if let Some(calls) = purchase.max_calls {
            options.insert("max_calls".to_owned(), calls.into());
        }
        if let Some(path) = &purchase.password_file {
            let path = self.roots(call).await?.input(path).map_err(invalid)?;
            options.insert("password_file".to_owned(), text_of(&path)?.into());
        }
        let source = match (purchase.source, &again) {
            (Some(Source::Path(path)), _) => {
                InputSource::Path(self.roots(call).await?.input(&path).map_err(invalid)?)
            }
            (Some(Source::Url(url)), _) => InputSource::Url(url),
            (Some(Source::Text(text)), _) if options.get("source") == Some(&json!("topic")) => {
                InputSource::Text(text)
            }
            (Some(Source::Text(text)), _) => InputSource::Path(self.keep_text(&text)?),
            (Some(Source::Job(id)), _) => InputSource::Job(self.remote_id_of(&id).await?),
            (None, Some(record)) => match source_of(record, &mut options)? {
                InputSource::Path(path) if !path.starts_with(&self.shared.results) => {
                    let path = text_of(&path)?;
                    InputSource::Path(self.roots(call).await?.input(&path).map_err(invalid)?)
                }
                source => source,
            },
            (None, None) => {
                return Err(ToolError::invalid("the input is missing; nothing was sent"));
            }
        };
        // Also one that is on record is read only below a root.
        if let Some(path) = options.get("password_file").and_then(Value::as_str) {
            self.roots(call).await?.input(path).map_err(invalid)?;
        }
        let reading = handler.clone();
        let options = Value::Object(options);
        let read = tokio::task::spawn_blocking(move || reading.input(source, &options));
        let input = match read.await {
            Ok(input) => input.map_err(|error| {
                let error = ToolError::from(error);
                ToolError::invalid(format!("{}; nothing was sent", error.sentence))
            })?,
            Err(problem) => {
                return Err(ToolError::new(ExitCode::Unexpected, problem.to_string()));
            }
        };
        if let Some(record) = &again
            && (record.content != input.digest() || record.options != *input.options())
        {
            return Err(ToolError::invalid(format!(
                "again names job {}, which had another input or other options ({}); nothing was sent",
                record.id, record.input
            )));
        }
        Ok(Prepared {
            handler,
            input,
            out,
            again,
        })
    }

    /// The job that is to be bought anew.
    async fn bought_before(&self, id: &str, handler: &DynHandler) -> Result<JobRecord, ToolError> {
        let record = self.shared.find(id).await?;
        if !handler.serves(&record) {
            return Err(ToolError::invalid(format!(
                "again names job {}, which is a {} {} job of another tool or account; nothing was sent",
                record.id, record.vendor, record.kind
            )));
        }
        if matches!(record.stage, Stage::InDoubt | Stage::Submitting) {
            return Err(ToolError::new(
                ExitCode::OutcomeUnknown,
                format!(
                    "job {} is {}: it may have been charged, so it is not bought again before resolve_job has decided \
                     about it; nothing was sent",
                    record.id, record.stage
                ),
            ));
        }
        Ok(record)
    }

    /// The vendor's id of a deck that is named by our id or the vendor's.
    async fn remote_id_of(&self, id: &str) -> Result<String, ToolError> {
        let known = self.shared.ledger().find(id).await?.into_iter().next();
        match known {
            None => Ok(id.to_owned()),
            Some(record) => match record.remote_id {
                Some(remote) => Ok(remote.as_str().to_owned()),
                None => Err(ToolError::invalid(format!(
                    "job {} is {}, so there is no deck yet: get_job {{\"id\": \"{}\"}}; nothing was sent",
                    record.id, record.stage, record.id
                ))),
            },
        }
    }

    /// Keeps a text that came in a call, so that any worker can submit it, now or after a restart.
    fn keep_text(&self, text: &str) -> Result<PathBuf, ToolError> {
        let name: String = Sha256::digest(text)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let folder = self.shared.results.join("inputs");
        let path = folder.join(format!("{name}.md"));
        let write = || {
            std::fs::create_dir_all(&folder)?;
            if path.is_file() {
                return Ok(());
            }
            let mut file = tempfile::NamedTempFile::new_in(&folder)?;
            std::io::Write::write_all(&mut file, text.as_bytes())?;
            file.as_file().sync_all()?;
            file.persist(&path)
                .map(drop)
                .map_err(|problem| problem.error)
        };
        match write() {
            Ok(()) => Ok(path),
            Err(problem) => Err(ToolError::invalid(format!(
                "cannot keep the text in {}: {problem}; nothing was sent",
                folder.display()
            ))),
        }
    }

    /// What a tool would be charged for an input.
    pub(crate) async fn estimate(
        &self,
        asked: EstimateCost,
        call: &Call,
    ) -> Result<Value, ToolError> {
        let Prepared { handler, input, .. } =
            self.prepare(asked.tool, asked.purchase, call).await?;
        let known = self.shared.runner.enqueue(input.clone()).existing().await?;
        let counting = handler.clone();
        let counted = tokio::task::spawn_blocking(move || counting.estimate(&input)).await;
        let units = match counted {
            Ok(Estimate::Units(units)) => Some(units),
            Ok(Estimate::Free) => Some(0),
            Ok(Estimate::Unknown) | Err(_) => None,
        };
        let (unit, tool) = (handler.unit(), asked.tool.as_str());
        let budget = self.shared.ledger().budget(handler.vendor()).await?;
        let fits = match (&budget, units) {
            _ if known.is_some() => Some(true),
            (None, _) => Some(true),
            (Some(budget), Some(units)) => Some(units <= budget.left()),
            (Some(budget), None) => budget.strict.then_some(false),
        };
        let next = match (&known, units) {
            (Some(record), _) => format!(
                "{tool} with this input attaches to job {} ({}) and pays nothing.",
                record.id, record.stage
            ),
            (None, Some(units)) => format!("{tool} would be charged {units} {unit}(s)."),
            (None, None) => format!(
                "The charge cannot be told before: count on the account's mean so far, in {unit}s."
            ),
        };
        Ok(json!({
            "units": if known.is_some() { Some(0) } else { units },
            "unit": unit,
            "is_known": known.is_some() || units.is_some(),
            "job": known.map(|record| record.id.to_string()),
            "fits_budget": fits,
            "budget": budget,
            "next": next,
        }))
    }
}

/// The input of a job on record.
fn source_of(
    record: &JobRecord,
    options: &mut Map<String, Value>,
) -> Result<InputSource, ToolError> {
    if let Value::Object(recorded) = &record.options {
        for (name, value) in recorded {
            if !value.is_null() && name != "topic" {
                options.entry(name.clone()).or_insert_with(|| value.clone());
            }
        }
    }
    let option = |name: &str| record.options.get(name).and_then(Value::as_str);
    if let Some(topic) = option("topic") {
        return Ok(InputSource::Text(topic.to_owned()));
    }
    if let Some(deck) = record.request.get("deck").and_then(Value::as_str) {
        return Ok(InputSource::Job(deck.to_owned()));
    }
    match &record.input_path {
        Some(path) => Ok(InputSource::Path(path.clone())),
        None => Err(ToolError::invalid(format!(
            "the input of job {} ({}) is not on record any more: name it in the call too; nothing was sent",
            record.id, record.input
        ))),
    }
}

fn text_of(path: &Path) -> Result<String, ToolError> {
    match path.to_str() {
        Some(text) => Ok(text.to_owned()),
        None => Err(ToolError::invalid(format!(
            "the path {path:?} is not UTF-8; rename the file; nothing was sent"
        ))),
    }
}

impl super::server::Shared {
    /// Jobs at the vendor that may be the one whose answer was lost. Free; empty where the vendor cannot be searched or
    /// asked just now.
    pub(crate) async fn candidates(&self, record: &JobRecord) -> Vec<String> {
        const SEARCH: Duration = Duration::from_secs(10);
        if record.stage != Stage::InDoubt || !answer::is_decided(record, self.access.works) {
            return Vec::new();
        }
        let clock = self.ledger().clock();
        let found = tokio::select! {
            found = self.runner.candidates(record.id) => found,
            () = clock.sleep_until(clock.now() + SEARCH) => return Vec::new(),
        };
        let found = found.unwrap_or_default();
        found.iter().map(|id| id.as_str().to_owned()).collect()
    }
}
