//! Results as agents read them: views of files, pages of texts, and resources.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jobs_ledger::{JobRecord, Stage, event_kind};
use jobs_runner::{OutputChoice, RunOptions};
use rmcp::model::{Resource, ResourceContents};

use super::answer::{self, PREVIEW, ResultView, ToolError, WHOLE};
use super::server::Shared;
use super::text_page::{self, TextPage};
use crate::exit::ExitCode;

/// Where the result of a completed job is.
pub(crate) enum Located {
    File(PathBuf),
    /// An id, which is all there is.
    Text(String),
}

/// How much of a result one message may carry.
const RESOURCE: u64 = 16 * 1024 * 1024;
/// How long a result that has gone is fetched.
const FETCH: Duration = Duration::from_secs(40);

impl Shared {
    /// Where the result lies, without asking a vendor.
    pub(crate) async fn locate(&self, record: &JobRecord) -> Result<Option<Located>, ToolError> {
        if record.stage != Stage::Completed {
            return Ok(None);
        }
        if let Some(path) = &record.output {
            return Ok(Some(Located::File(path.clone())));
        }
        let events = self.ledger().events(record.id).await?;
        let text = events
            .into_iter()
            .rev()
            .find(|event| event.kind == event_kind::COMPLETED)
            .and_then(|event| event.text);
        Ok(text.map(Located::Text))
    }

    /// The result as an answer shows it.
    pub(crate) async fn view(
        &self,
        record: &JobRecord,
        delivered: Option<&Path>,
    ) -> Result<Option<ResultView>, ToolError> {
        let located = match delivered {
            Some(path) => Some(Located::File(path.to_owned())),
            None => self.locate(record).await?,
        };
        Ok(match located {
            None => None,
            Some(Located::Text(text)) => Some(ResultView {
                path: None,
                bytes: Some(text.len() as u64),
                preview: Some(text),
                is_whole: true,
                mime_type: "text/plain",
            }),
            Some(Located::File(path)) => Some(blocking(move || Ok(view_of(&path))).await?),
        })
    }

    /// A link to a result that is too long for an answer.
    pub(crate) fn link(record: &JobRecord, view: Option<&ResultView>) -> Option<Resource> {
        let view = view.filter(|view| view.bytes.is_some_and(|bytes| bytes > WHOLE))?;
        let mut link = Resource::new(answer::uri(record), name_of(record))
            .with_description("The whole result")
            .with_mime_type(view.mime_type);
        if let Some(bytes) = view.bytes {
            link = link.with_size(bytes);
        }
        Some(link)
    }

    /// The file of a result, fetched again where it is no longer there, that costs nothing and the call may do it.
    async fn result_file(&self, record: &JobRecord, may_fetch: bool) -> Result<Located, ToolError> {
        match self.locate(record).await? {
            Some(Located::File(path)) if path.is_file() => Ok(Located::File(path)),
            Some(Located::File(_)) => {
                let extension = record
                    .output
                    .as_deref()
                    .and_then(Path::extension)
                    .unwrap_or_default();
                let mut place = self.results.join(record.id.to_string());
                place.set_extension(extension);
                if !place.is_file() {
                    if !may_fetch {
                        return Err(ToolError::new(
                            ExitCode::Unexpected,
                            format!(
                                "the result of job {} lies elsewhere, and it is not fetched again for whoever may only \
                                 read",
                                record.id
                            ),
                        ));
                    }
                    self.deliver(record, &place, None, FETCH).await?;
                }
                Ok(Located::File(place))
            }
            Some(text) => Ok(text),
            None => Err(self.not_there(record)),
        }
    }

    /// Puts the result of a completed job at a further place: copied where it still lies, else fetched again.
    pub(crate) async fn deliver(
        &self,
        record: &JobRecord,
        place: &Path,
        format: Option<&str>,
        deadline: Duration,
    ) -> Result<(), ToolError> {
        let mut options = RunOptions::default()
            .with_deadline(deadline * self.scale)
            .with_output(OutputChoice::File(place.to_owned()))
            .with_shutdown(self.closing.clone());
        if let Some(format) = format {
            options = options.with_format(format);
        }
        let runner = self.runner.clone();
        let id = record.id;
        // The call may be cancelled; what was begun is finished.
        let run = tokio::spawn(async move { runner.run_job(id, &options).await });
        match run.await {
            Ok(done) => Ok(done.map(drop)?),
            Err(problem) => Err(ToolError::new(ExitCode::Unexpected, problem.to_string())),
        }
    }

    fn not_there(&self, record: &JobRecord) -> ToolError {
        let surroundings = self.surroundings(record);
        let job = answer::job(record, &surroundings);
        let next = job.get("next").and_then(serde_json::Value::as_str);
        let why = record
            .error
            .as_deref()
            .map(|error| format!(": {error}"))
            .unwrap_or_default();
        ToolError::new(
            answer::exit_code(record),
            format!(
                "job {} is {}{why}; there is no result. {}",
                record.id,
                record.stage,
                next.unwrap_or_default()
            ),
        )
    }

    /// A page of a result that is text.
    pub(crate) async fn page(
        &self,
        record: &JobRecord,
        offset: u64,
        limit: u64,
        may_fetch: bool,
    ) -> Result<TextPage, ToolError> {
        match self.result_file(record, may_fetch).await? {
            Located::Text(text) => Ok(text_page::read(&mut text.as_bytes(), offset, limit)
                .map_err(|problem| unreadable("the result", &problem))?),
            Located::File(path) if !is_text(&path) => Err(ToolError::invalid(format!(
                "the result of job {} is binary ({}): it is the file {}, and the resource {}",
                record.id,
                answer::mime_type(&path),
                path.display(),
                answer::uri(record)
            ))),
            Located::File(path) => {
                let shown = path.display().to_string();
                let read = blocking(move || text_page::read(&mut File::open(path)?, offset, limit));
                read.await.map_err(|error| ToolError {
                    sentence: format!("{shown}: {}", error.sentence),
                    ..error
                })
            }
        }
    }

    /// A whole result as the content of a resource.
    pub(crate) async fn contents(
        &self,
        record: &JobRecord,
        may_fetch: bool,
    ) -> Result<ResourceContents, ToolError> {
        let uri = answer::uri(record);
        let path = match self.result_file(record, may_fetch).await? {
            Located::Text(text) => return Ok(ResourceContents::text(text, uri)),
            Located::File(path) => path,
        };
        let mime_type = answer::mime_type(&path);
        let (is_text, id) = (is_text(&path), record.id);
        let read = blocking(move || {
            let file = File::open(&path)?;
            if file.metadata()?.len() > RESOURCE {
                return Ok(None);
            }
            let mut bytes = Vec::new();
            file.take(RESOURCE + 1).read_to_end(&mut bytes)?;
            Ok(Some(bytes))
        });
        let Some(bytes) = read.await? else {
            return Err(ToolError::invalid(format!(
                "the result of job {id} is larger than {RESOURCE} bytes: read it in pages with get_result, or from its \
                 file"
            )));
        };
        let contents = if is_text {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            ResourceContents::text(text, uri)
        } else {
            ResourceContents::blob(STANDARD.encode(&bytes), uri)
        };
        Ok(contents.with_mime_type(mime_type))
    }
}

/// Runs what blocks on a thread of its own.
async fn blocking<T: Send + 'static>(
    read: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, ToolError> {
    match tokio::task::spawn_blocking(read).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(problem)) => Err(unreadable("the result", &problem)),
        Err(problem) => Err(ToolError::new(ExitCode::Unexpected, problem.to_string())),
    }
}

fn unreadable(what: &str, problem: &io::Error) -> ToolError {
    ToolError::new(
        ExitCode::Unfinished,
        format!("cannot read {what}: {problem}"),
    )
}

fn name_of(record: &JobRecord) -> String {
    format!("{} ({} {})", record.input, record.vendor, record.kind)
}

fn is_text(path: &Path) -> bool {
    let mime_type = answer::mime_type(path);
    mime_type.starts_with("text/") || mime_type == "application/json"
}

fn view_of(path: &Path) -> ResultView {
    let shown = Some(path.display().to_string());
    let mime_type = answer::mime_type(path);
    let Ok(file) = File::open(path) else {
        return ResultView {
            path: shown,
            mime_type,
            ..ResultView::default()
        };
    };
    let bytes = file.metadata().map(|known| known.len()).ok();
    let is_short = bytes.is_some_and(|bytes| bytes <= WHOLE);
    let preview = is_text(path).then(|| {
        let most = if is_short { WHOLE } else { PREVIEW };
        // Four bytes are the longest character.
        let mut beginning = file.take(most * 4);
        text_page::read(&mut beginning, 0, most).map(|page| page.text)
    });
    ResultView {
        path: shown,
        bytes,
        preview: preview.and_then(Result::ok),
        is_whole: is_short,
        mime_type,
    }
}
