//! The result of a job: its bytes, or why they are not there.

use std::io::SeekFrom;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Extension, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use jobs_core::ErrorKind;
use jobs_ledger::{JobRecord, Stage};
use jobs_runner::{
    DeliveredOutput, OutputChoice, RunOptions, RunOutcome, RunnerErrorKind, redacted_address,
};
use tokio::fs::File;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};
use url::form_urlencoded;

use super::access::{Caller, text};
use super::byte_range::{Part, has_it, part};
use super::path_text::PathText;
use super::problem::Problem;
use super::read_routes::find;
use super::state::ServeState;
use crate::exit::ExitCode;

/// How much of a file is in memory at once.
const PIECE: usize = 64 * 1024;
/// How long a result that lies elsewhere may take to be had again, by the vendor's clock.
const AGAIN: Duration = Duration::from_secs(10 * 60);
/// When a client should ask for a result that is not there yet.
const LATER: Duration = Duration::from_secs(5);

/// `GET /v1/jobs/ID/result`
pub(super) async fn serve(
    State(state): State<Arc<ServeState>>,
    Extension(caller): Extension<Caller>,
    PathText(id): PathText,
    request: Request,
) -> Result<Response, Problem> {
    let wanted = format_of(request.uri().query())?;
    let job = find(&state.ledger, &id).await?;
    check_format(&state, &job, wanted.as_deref())?;
    if job.stage != Stage::Completed {
        return Err(why_not(&job));
    }
    let found = locate(&state, &job, wanted.as_deref(), &caller).await?;
    let name = download_name(&job, &found.extension);
    let headers = request.headers();
    send(&found, &name, headers, *request.method() == Method::HEAD).await
}

fn format_of(query: Option<&str>) -> Result<Option<String>, Problem> {
    let mut format = None;
    for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
        match &*name {
            "format" if format.is_none() => format = Some(value.into_owned()),
            "format" => return Err(Problem::bad_request("the parameter format stands twice")),
            _ => {
                return Err(Problem::bad_request(format!(
                    "the parameter {name:?} is not known; there is format"
                )));
            }
        }
    }
    Ok(format)
}

fn check_format(state: &ServeState, job: &JobRecord, wanted: Option<&str>) -> Result<(), Problem> {
    let Some(wanted) = wanted else {
        return Ok(());
    };
    let formats = state
        .runner
        .handler(&job.vendor, &job.kind)
        .map(|handler| handler.formats());
    let formats = formats.unwrap_or_default();
    if formats.contains(&wanted) || job.format.as_deref() == Some(wanted) {
        return Ok(());
    }
    let known = if formats.is_empty() {
        "it has one format; leave the parameter out".to_owned()
    } else {
        format!("the formats are {}", formats.join(", "))
    };
    Err(
        Problem::bad_request(format!("format: {wanted:?} is none of this job; {known}"))
            .with_job(job.id),
    )
}

/// Why there is no result.
pub(super) fn why_not(job: &JobRecord) -> Problem {
    let said = job.error.as_deref().unwrap_or("the vendor did not say why");
    let id = job.id;
    let is_out_of_quota = job
        .error_data
        .as_ref()
        .is_some_and(|error| error.error_kind() == Some(ErrorKind::QuotaExceeded));
    let problem = match job.stage {
        Stage::Failed => Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "failed",
            "Failed at the vendor",
            said,
        )
        .with_exit(ExitCode::Failed),
        _ if is_out_of_quota => Problem::new(
            StatusCode::PAYMENT_REQUIRED,
            "quota",
            "The vendor's quota is used up",
            said,
        )
        .with_exit(ExitCode::QuotaExceeded),
        Stage::Rejected => Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "rejected",
            "Rejected by the vendor",
            said,
        )
        .with_exit(ExitCode::Failed),
        Stage::Gone => Problem::new(
            StatusCode::GONE,
            "gone",
            "Gone at the vendor",
            format!("the vendor no longer has job {id} or its result: {said}"),
        )
        .with_exit(ExitCode::Failed),
        Stage::Abandoned => Problem::new(
            StatusCode::GONE,
            "abandoned",
            "Abandoned",
            format!("job {id} was abandoned; submitting the same input pays for a new one"),
        ),
        Stage::InDoubt => Problem::conflict(
            "in-doubt",
            "In doubt",
            format!(
                "job {id} may have been charged, and the answer of the vendor was lost: adopt the vendor's job or abandon \
                 it, on the page /in-doubt or with docjobs resolve"
            ),
        )
        .with_exit(ExitCode::OutcomeUnknown),
        Stage::Intended if job.blocked_until.is_some() => Problem::conflict(
            "over-budget",
            "Over budget",
            format!("job {id} waits until the budget of {} has room for it", job.vendor),
        )
        .with_exit(ExitCode::QuotaExceeded),
        stage => Problem::conflict(
            "not-ready",
            "Not ready",
            format!("job {id} is {stage}; ask again, or submit the same with Prefer: wait=60"),
        )
        .with_exit(ExitCode::Unfinished)
        .with_retry_after(LATER),
    };
    problem.with_job(id)
}

/// A result on this machine.
pub(super) struct Found {
    pub(super) path: PathBuf,
    digest: [u8; 32],
    extension: String,
}

/// Where the result lies, or is put now. For whoever may only read, no vendor is asked.
pub(super) async fn locate(
    state: &ServeState,
    job: &JobRecord,
    format: Option<&str>,
    caller: &Caller,
) -> Result<Found, Problem> {
    let elsewhere = |why: &str| {
        let line = format!("the result of job {} {why}", job.id);
        Problem::unavailable("elsewhere", line).with_job(job.id)
    };
    let handler = state.runner.handler(&job.vendor, &job.kind);
    let recorded = handler.map_or(job.format.as_deref(), |handler| {
        handler.format_of(job.format.as_deref())
    });
    let format = format.or(recorded);
    let extension = match (handler, job.output.as_deref().and_then(Path::extension)) {
        (Some(handler), _) => handler.extension(format).to_owned(),
        (None, Some(extension)) => extension.to_string_lossy().into_owned(),
        (None, None) => "bin".to_owned(),
    };
    let found = |path: PathBuf, digest| Found {
        path,
        digest,
        extension: extension.clone(),
    };
    if format == recorded
        && let Some(path) = &job.output
        && let Ok(digest) = state.digests.of(path).await
        && job
            .sha256
            .map_or_else(|| state.ledger.is_own_output(job), |known| known == digest)
    {
        return Ok(found(path.clone(), digest));
    }
    let kept = state.spool.result_path(job.id, &extension);
    let about = kept.symlink_metadata();
    if about.as_ref().is_ok_and(|about| about.is_file())
        && let Ok(digest) = state.digests.of(&kept).await
    {
        let given = given_before(state, job, format, recorded).await?;
        // Of a result that is a text or was fetched long ago, no digest is on record.
        if given.is_empty() || given.contains(&digest) {
            return Ok(found(kept, digest));
        }
    }
    if !caller.may_write {
        return Err(elsewhere(
            "is not here as it was delivered, and it is not fetched again for whoever may only read",
        ));
    }
    if handler.is_none() {
        return Err(elsewhere(
            "lies on another machine, and its vendor is not set up here",
        ));
    }
    let mut options = RunOptions::default()
        .with_deadline(AGAIN)
        .with_output(OutputChoice::File(kept.clone()))
        // What lies there is not what was delivered.
        .overwriting(about.is_ok());
    if let Some(format) = format {
        options = options.with_format(format);
    }
    let path = match state.runner.run_job(job.id, &options).await {
        Ok(RunOutcome::Completed(done)) => {
            if let DeliveredOutput::Text(text) = &done.output {
                let written = state.spool.keep_result(&kept, text);
                written.map_err(|problem| elsewhere(&format!("cannot be kept: {problem}")))?;
            }
            done.output.path().map_or(kept, Path::to_path_buf)
        }
        Ok(RunOutcome::AlreadyThere { path, .. }) => path,
        Ok(_) => return Err(elsewhere("is not here yet")),
        Err(error) => return Err(elsewhere(&format!("is not on this machine: {error}"))),
    };
    match state.digests.of(&path).await {
        Ok(digest) => Ok(found(path, digest)),
        Err(problem) => Err(elsewhere(&format!("cannot be read: {problem}"))),
    }
}

/// The digests of what the job has given in a format.
async fn given_before(
    state: &ServeState,
    job: &JobRecord,
    format: Option<&str>,
    recorded: Option<&str>,
) -> Result<Vec<[u8; 32]>, Problem> {
    match state.runner.delivered_digests(job, format).await {
        Ok(given) => Ok(given),
        Err(error) => match error.kind() {
            RunnerErrorKind::NoHandler { .. } | RunnerErrorKind::WrongAccount => {
                let known = job.sha256.filter(|_| format == recorded);
                Ok(known.into_iter().collect())
            }
            _ => Err(error.into()),
        },
    }
}

fn media_type(extension: &str) -> &'static str {
    match extension {
        "md" => "text/markdown; charset=utf-8",
        "json" => "application/json",
        "zip" => "application/zip",
        "pdf" => "application/pdf",
        "pptx" => "application/vnd.openxmlformats-officedocument.presentationml.presentation",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

/// What the client's file is called: like the input, with the end of the result.
fn download_name(job: &JobRecord, extension: &str) -> String {
    let input = redacted_address(&job.input);
    let last = input.rsplit(['/', '\\']).next().unwrap_or_default();
    let stem = last.rsplit_once('.').map_or(last, |(stem, _)| stem).trim();
    let stem = if stem.is_empty() { "result" } else { stem };
    let stem: String = stem.chars().filter(|c| !c.is_control()).take(120).collect();
    format!("{stem}.{extension}")
}

/// `attachment` with the name for old and new clients.
fn disposition(name: &str) -> String {
    let plain: String = name
        .chars()
        .map(|c| {
            if c.is_ascii_graphic() && !matches!(c, '"' | '\\' | '%') || c == ' ' {
                c
            } else {
                '_'
            }
        })
        .collect();
    let mut encoded = String::new();
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{encoded}")
}

async fn send(
    found: &Found,
    name: &str,
    asked: &HeaderMap,
    is_head: bool,
) -> Result<Response, Problem> {
    let gone = |problem: std::io::Error| {
        Problem::unavailable(
            "elsewhere",
            format!("the result cannot be read here: {problem}"),
        )
    };
    let mut file = File::open(&found.path).await.map_err(gone)?;
    let length = file.metadata().await.map_err(gone)?.len();
    let digest: String = found
        .digest
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let etag = format!("\"{digest}\"");
    let mut headers = HeaderMap::new();
    set(&mut headers, header::ETAG, &etag);
    set(&mut headers, header::ACCEPT_RANGES, "bytes");
    set(&mut headers, header::CACHE_CONTROL, "private, no-cache");
    if has_it(text(asked, "if-none-match"), &etag) {
        return Ok((StatusCode::NOT_MODIFIED, headers).into_response());
    }
    let part = part(text(asked, "range"), text(asked, "if-range"), &etag, length);
    let (status, first, count) = match part {
        Part::Whole => (StatusCode::OK, 0, length),
        Part::Bytes(range) => {
            let (first, last) = (*range.start(), *range.end());
            let value = format!("bytes {first}-{last}/{length}");
            set(&mut headers, header::CONTENT_RANGE, &value);
            (StatusCode::PARTIAL_CONTENT, first, last - first + 1)
        }
        Part::Unsatisfiable => {
            let mut response = Problem::new(
                StatusCode::RANGE_NOT_SATISFIABLE,
                "range",
                "Range not satisfiable",
                format!("the result has {length} bytes"),
            )
            .into_response();
            let value = format!("bytes */{length}");
            set(response.headers_mut(), header::CONTENT_RANGE, &value);
            return Ok(response);
        }
    };
    set(
        &mut headers,
        header::CONTENT_TYPE,
        media_type(&found.extension),
    );
    set(
        &mut headers,
        header::CONTENT_DISPOSITION,
        &disposition(name),
    );
    set(&mut headers, header::CONTENT_LENGTH, &count.to_string());
    let body = if is_head {
        Body::empty()
    } else {
        file.seek(SeekFrom::Start(first)).await.map_err(gone)?;
        Body::from_stream(stream::try_unfold((file, count), pieces))
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    Ok(response)
}

/// The next piece of a file, of which so many bytes are left to send.
async fn pieces((mut file, left): (File, u64)) -> std::io::Result<Option<(Vec<u8>, (File, u64))>> {
    if left == 0 {
        return Ok(None);
    }
    let mut piece = vec![0; usize::try_from(left).unwrap_or(PIECE).min(PIECE)];
    let read = file.read(&mut piece).await?;
    if read == 0 {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    piece.truncate(read);
    Ok(Some((piece, (file, left - read as u64))))
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_safe_in_a_header_and_whole_for_new_clients() {
        let value = disposition("季报 \"1\"\r\nX: y.md");
        assert!(
            value.starts_with(
                "attachment; filename=\"__ _1___X: y.md\"; filename*=UTF-8''%E5%AD%A3"
            ),
            "{value}"
        );
        assert!(value.ends_with("%0D%0AX%3A%20y.md"), "{value}");
    }
}
