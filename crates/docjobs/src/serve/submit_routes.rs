//! Submitting a document over HTTP: the same input is one job, however often and from wherever it comes.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Extension, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use jobs_ledger::{Due, IntendOutcome, Intent, JobRecord, LedgerId, Note, Stage};
use jobs_runner::{DynHandler, InputError, InputSource, JobInput, RunnerError};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::access::Caller;
use super::job_json;
use super::job_wait;
use super::json_answer::Json;
use super::problem::Problem;
use super::read_routes::find;
use super::spool::KeptPassword;
use super::state::ServeState;
use super::submission_form::{self, SubmissionForm, Uploaded};

/// The longest that a client may ask to wait.
const LONGEST_WAIT: u64 = 60;

/// `POST /v1/jobs`
pub(super) async fn submit(
    State(state): State<Arc<ServeState>>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Response, Problem> {
    let wait = wanted_wait(request.headers());
    let form = submission_form::read(request, &state.spool, state.max_upload, &state.clock).await?;
    let submitted = accept(&state, form, &caller).await?;
    let (status, id) = match submitted {
        Submitted::New(id) => (StatusCode::CREATED, id),
        Submitted::Attached(id) => (StatusCode::OK, id),
    };
    if let Some(wait) = wait {
        job_wait::within(&state, id, wait, |job| job.stage.is_settled()).await?;
    }
    let job = state.ledger.get(id).await?;
    let job = job.ok_or_else(|| Problem::not_found("the job was pruned meanwhile").with_job(id))?;
    let mut response = (status, Json(job_json::job(&job)?)).into_response();
    let headers = response.headers_mut();
    if let Ok(location) = HeaderValue::from_str(&format!("/v1/jobs/{id}")) {
        headers.insert(header::LOCATION, location);
    }
    if let Some(wait) = wait
        && let Ok(applied) = HeaderValue::from_str(&format!("wait={}", wait.as_secs()))
    {
        headers.insert("preference-applied", applied);
    }
    Ok(response)
}

/// What became of an input.
#[derive(Debug, Clone, Copy)]
pub(super) enum Submitted {
    New(LedgerId),
    Attached(LedgerId),
}

impl Submitted {
    pub(super) fn id(self) -> LedgerId {
        match self {
            Self::New(id) | Self::Attached(id) => id,
        }
    }
}

/// How long the client wants to wait, as RFC 7240 says it.
pub(super) fn wanted_wait(headers: &HeaderMap) -> Option<Duration> {
    let preferences = headers
        .get_all("prefer")
        .iter()
        .filter_map(|line| line.to_str().ok());
    let wait = preferences
        .flat_map(|line| line.split(','))
        .filter_map(|preference| preference.split(';').next()?.trim().split_once('='))
        .find(|(name, _)| name.trim().eq_ignore_ascii_case("wait"))?
        .1;
    let seconds: u64 = wait.trim().trim_matches('"').parse().ok()?;
    Some(Duration::from_secs(seconds.min(LONGEST_WAIT)))
}

/// Makes a job of what was submitted, or finds the one that it is.
pub(super) async fn accept(
    state: &ServeState,
    form: SubmissionForm,
    caller: &Caller,
) -> Result<Submitted, Problem> {
    let sources = [form.file.is_some(), form.url.is_some(), form.text.is_some()];
    let count = sources.into_iter().filter(|given| *given).count();
    if count > 1 || (count == 0 && form.again.is_none()) {
        return Err(Problem::bad_request(
            "give one of the fields file, url and text",
        ));
    }
    if let Some(again) = form.again.clone() {
        return buy_again(state, form, &again, caller).await;
    }
    let SubmissionForm {
        vendor,
        kind,
        file,
        url,
        text,
        options,
        ..
    } = form;
    let options = options_of(options)?;
    let source = source(file.as_ref(), url, text)?;
    let handler = choose(state, vendor.as_deref(), kind.as_deref(), &source, &options)?;
    let source = named_job(state, handler, source, &options).await?;
    let max_calls = options.get("max_calls").and_then(Value::as_u64);
    let (options, password) = keep_password(state, options, file.as_ref(), &source)?;
    let input = match make_input(handler, source, options).await {
        Ok(input) => input,
        Err(problem) => {
            if let Some(password) = password {
                password.discard();
            }
            return Err(problem);
        }
    };
    let mut enqueue = state.runner.enqueue(input);
    if let Some(name) = &caller.name {
        enqueue = enqueue.by(name.as_str());
    }
    let enqueued = enqueue.await?;
    if enqueued.is_new {
        if let Some(file) = file {
            file.upload.keep();
        }
        return Ok(Submitted::New(enqueued.id));
    }
    // Nobody needs the password of a job that is over.
    if let Some(password) = password.filter(|_| enqueued.job.stage.is_settled()) {
        state
            .spool
            .forget_password(&password.path, state.clock.wall());
    }
    if let Some(calls) = max_calls.filter(|_| handler.polls_cost()) {
        let calls = u32::try_from(calls).unwrap_or(u32::MAX);
        if calls > handler.paid_polls(&enqueued.job) {
            let note = Note::new(format!("{calls} calls are allowed {}", caller.as_word()));
            state.ledger.allow_calls(enqueued.id, calls, note).await?;
        }
    }
    Ok(Submitted::Attached(enqueued.id))
}

fn options_of(options: Option<Value>) -> Result<Map<String, Value>, Problem> {
    match options {
        None | Some(Value::Null) => Ok(Map::new()),
        Some(Value::Object(options)) => Ok(options),
        Some(_) => Err(Problem::bad_request("the field options is a JSON object")),
    }
}

fn source(
    file: Option<&Uploaded>,
    url: Option<String>,
    text: Option<String>,
) -> Result<InputSource, Problem> {
    match (file, url, text) {
        (Some(file), _, _) => Ok(InputSource::Path(file.upload.path().to_owned())),
        (None, Some(url), _) => {
            let is_http = url.starts_with("http://") || url.starts_with("https://");
            if is_http {
                Ok(InputSource::Url(url))
            } else {
                Err(Problem::bad_request(
                    "the field url is an http or https address",
                ))
            }
        }
        (None, None, Some(text)) => Ok(InputSource::Text(text)),
        (None, None, None) => Err(Problem::bad_request(
            "give one of the fields file, url and text",
        )),
    }
}

/// The one handler that takes this, of those whose vendor is set up.
fn choose<'a>(
    state: &'a ServeState,
    vendor: Option<&str>,
    kind: Option<&str>,
    source: &InputSource,
    options: &Map<String, Value>,
) -> Result<&'a DynHandler, Problem> {
    let named: Vec<&DynHandler> = state
        .runner
        .handlers()
        .iter()
        .filter(|handler| vendor.is_none_or(|vendor| vendor == handler.vendor()))
        .filter(|handler| kind.is_none_or(|kind| kind == handler.kind()))
        .collect();
    let names = |handlers: &[&DynHandler]| {
        let names: Vec<String> = handlers
            .iter()
            .map(|handler| format!("vendor={} kind={}", handler.vendor(), handler.kind()))
            .collect();
        names.join(", ")
    };
    if named.is_empty() {
        let all: Vec<&DynHandler> = state.runner.handlers().iter().collect();
        return Err(Problem::bad_request(match (vendor, all.is_empty()) {
            (_, true) => "no vendor is set up here; see the README for the variables".to_owned(),
            (vendor, false) => format!(
                "{} {} is not set up here; there are: {}",
                vendor.unwrap_or("such a vendor with kind"),
                kind.unwrap_or_default(),
                names(&all)
            ),
        }));
    }
    let takes = |handler: &&DynHandler| match source {
        InputSource::Path(path) => takes_file(handler, path),
        InputSource::Url(_) => handler.accepts_url(),
        other => handler
            .input(other.clone(), &Value::Object(options.clone()))
            .is_ok(),
    };
    let fitting: Vec<&DynHandler> = named.iter().copied().filter(takes).collect();
    match (fitting.as_slice(), named.as_slice(), source) {
        ([one], _, _) => Ok(one),
        // Two editions of one vendor's call: the first is the one that is set up.
        ([first, others @ ..], _, _) if others.iter().all(|other| is_edition(first, other)) => {
            Ok(first)
        }
        ([], _, InputSource::Path(path)) => Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported-type",
            "Unsupported media type",
            format!(
                "{} is of a type that none of these takes: {}",
                path.file_name().unwrap_or_default().display(),
                names(&named)
            ),
        )),
        // Its own words say what is wrong.
        ([], [one], _) => Ok(one),
        ([], _, _) => Err(Problem::bad_request(format!(
            "none of these takes such an input: {}",
            names(&named)
        ))),
        (several, _, _) => Err(Problem::bad_request(format!(
            "several kinds take this; add the fields of one: {}",
            names(several)
        ))),
    }
}

fn is_edition(one: &DynHandler, other: &DynHandler) -> bool {
    one.vendor() == other.vendor() && one.accepted_types() == other.accepted_types()
}

fn takes_file(handler: &DynHandler, path: &Path) -> bool {
    let extension = path
        .extension()
        .map(|end| end.to_string_lossy().to_lowercase());
    extension.is_some_and(|extension| handler.accepted_types().contains(&&*extension))
}

/// Where a kind takes another job as its input: that job by the vendor's id, also if it is named by ours.
async fn named_job(
    state: &ServeState,
    handler: &DynHandler,
    source: InputSource,
    options: &Map<String, Value>,
) -> Result<InputSource, Problem> {
    let InputSource::Text(id) = &source else {
        return Ok(source);
    };
    let named = InputSource::Job(id.clone());
    if handler
        .input(named, &Value::Object(options.clone()))
        .is_err()
    {
        return Ok(source);
    }
    let Some(job) = state.ledger.find(id).await?.into_iter().next() else {
        return Ok(source);
    };
    match &job.remote_id {
        Some(remote_id) => Ok(InputSource::Job(remote_id.as_str().to_owned())),
        None => Err(Problem::conflict(
            "not-ready",
            "Not ready",
            format!(
                "job {} is {}, and the vendor has no job yet",
                job.id, job.stage
            ),
        )
        .with_job(job.id)),
    }
}

/// Puts a password into a file of the spool, and names that instead.
fn keep_password(
    state: &ServeState,
    mut options: Map<String, Value>,
    file: Option<&Uploaded>,
    source: &InputSource,
) -> Result<(Map<String, Value>, Option<KeptPassword>), Problem> {
    if options.contains_key("password_file") {
        return Err(Problem::bad_request(
            "options: password_file names a file of this server; send the password as password",
        ));
    }
    let Some(password) = options.remove("password") else {
        return Ok((options, None));
    };
    let password = password
        .as_str()
        .filter(|password| !password.is_empty() && !password.contains(['\r', '\n', '\0']));
    let password =
        password.ok_or_else(|| Problem::bad_request("options: password is one line of text"))?;
    let digest = match (file, source) {
        (Some(file), _) => file.digest,
        (None, InputSource::Url(text) | InputSource::Text(text)) => Sha256::digest(text).into(),
        (None, _) => [0; 32],
    };
    let others = Value::Object(options.clone()).to_string();
    let kept = state.spool.keep_password(&digest, &others, password)?;
    let text = kept.path.to_str().map(str::to_owned);
    let text = text.ok_or_else(|| Problem::unexpected("the path of the spool is not UTF-8"))?;
    options.insert("password_file".to_owned(), text.into());
    Ok((options, Some(kept)))
}

/// Reads the document for its digest, apart from the runtime.
async fn make_input(
    handler: &DynHandler,
    source: InputSource,
    options: Map<String, Value>,
) -> Result<JobInput, Problem> {
    let handler = handler.clone();
    let made = tokio::task::spawn_blocking(move || handler.input(source, &Value::Object(options)));
    let made = made
        .await
        .map_err(|problem| Problem::unexpected(problem.to_string()))?;
    Ok(made?)
}

/// Buys anew what a job was. The same call again attaches to the job that it made.
async fn buy_again(
    state: &ServeState,
    form: SubmissionForm,
    again: &str,
    caller: &Caller,
) -> Result<Submitted, Problem> {
    let job = find(&state.ledger, again).await?;
    check_again(&job, &form)?;
    let mut intent = Intent::of(&job).again_of(job.id);
    // Where the first result lies, no second one goes.
    intent.output = None;
    if let Some(name) = &caller.name {
        intent = intent.by(name.as_str());
    }
    let mut file = None;
    match (form.file, form.url, form.text) {
        (Some(given), _, _) => {
            same_content(&job, given.digest)?;
            intent = intent.with_input_path(given.upload.path());
            file = Some(given.upload);
        }
        (None, Some(url), _) => {
            same_content(&job, Sha256::digest(&url).into())?;
            intent = intent.with_private_request(json!({ "url": url }));
        }
        (None, None, Some(text)) => same_content(&job, Sha256::digest(&text).into())?,
        (None, None, None) => must_be_here(&job).await?,
    }
    match state.ledger.intend(intent).await? {
        IntendOutcome::New(claim, new) => {
            if let Some(upload) = file {
                upload.keep();
            }
            state.ledger.release(claim, Due::Now).await?;
            Ok(Submitted::New(new.id))
        }
        IntendOutcome::Attached(known) => Ok(Submitted::Attached(known.id)),
    }
}

fn check_again(job: &JobRecord, form: &SubmissionForm) -> Result<(), Problem> {
    if matches!(job.stage, Stage::InDoubt | Stage::Submitting) {
        return Err(Problem::conflict(
            "in-doubt",
            "In doubt",
            format!(
                "job {} is {} and may have been charged; it is not bought again before that is decided",
                job.id, job.stage
            ),
        )
        .with_job(job.id));
    }
    let differs =
        |given: &Option<String>, known: &str| given.as_deref().is_some_and(|given| given != known);
    if differs(&form.vendor, &job.vendor)
        || differs(&form.kind, &job.kind)
        || form.options.is_some()
    {
        return Err(Problem::bad_request(format!(
            "again buys what job {} was ({} {}), with its options; leave vendor, kind and options out",
            job.id, job.vendor, job.kind
        ))
        .with_job(job.id));
    }
    Ok(())
}

fn same_content(job: &JobRecord, digest: [u8; 32]) -> Result<(), Problem> {
    if job.content == digest {
        return Ok(());
    }
    Err(Problem::bad_request(format!(
        "this is not the document of job {}; submit it without again",
        job.id
    ))
    .with_job(job.id))
}

/// Whether the input of a job can still be sent.
async fn must_be_here(job: &JobRecord) -> Result<(), Problem> {
    let is_here = match &job.input_path {
        Some(path) => tokio::fs::metadata(path)
            .await
            .is_ok_and(|about| about.is_file()),
        None => job.request.get("url").is_none() || !job.private_request.is_null(),
    };
    if is_here {
        return Ok(());
    }
    Err(Problem::conflict(
        "input-gone",
        "Input gone",
        format!(
            "the input of job {} was removed when it was settled; send it together with again",
            job.id
        ),
    )
    .with_job(job.id))
}

impl From<InputError> for Problem {
    fn from(error: InputError) -> Self {
        Self::bad_request(error.to_string())
    }
}

impl From<RunnerError> for Problem {
    fn from(error: RunnerError) -> Self {
        use jobs_runner::RunnerErrorKind as K;
        let line = error.to_string();
        let problem = match error.kind() {
            K::NotFound => Self::not_found(line),
            K::InvalidInput(_) | K::NoHandler { .. } | K::WrongAccount => Self::bad_request(line),
            K::Busy => Self::conflict("busy", "Busy", line),
            K::NotResolvable { .. } => Self::conflict("wrong-stage", "Wrong stage", line),
            K::Ledger(problem) => problem.clone().into(),
            _ => Self::unexpected(line),
        };
        match error.job() {
            Some(job) => problem.with_job(job),
            None => problem,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_read_as_the_standard_writes_it() {
        for (line, seconds) in [
            ("wait=10", Some(10)),
            ("respond-async, wait=10", Some(10)),
            ("Wait = 5", Some(5)),
            ("wait=3; foo=bar", Some(3)),
            ("wait=600", Some(60)),
            ("wait=0", Some(0)),
            ("wait=-1", None),
            ("wait=soon", None),
            ("return=minimal", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert("prefer", HeaderValue::from_static(line));
            assert_eq!(
                wanted_wait(&headers),
                seconds.map(Duration::from_secs),
                "{line}"
            );
        }
    }
}
