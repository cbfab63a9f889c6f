//! What a client submits: the parts of a multipart body, streamed to the spool in bounded memory.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::multipart::{Field, Multipart, MultipartError};
use axum::extract::{FromRequest as _, Request};
use axum::http::{StatusCode, header};
use jobs_core::clock::{Clock, bounded};
use serde_json::Value;

use super::problem::Problem;
use super::spool::{Spool, SpoolError, Upload};

/// How long a client may send nothing.
const SILENCE: Duration = Duration::from_secs(60);
/// The longest part that is no file.
const LONGEST_TEXT: usize = 1024 * 1024;

/// What was submitted.
#[derive(Default)]
pub(super) struct SubmissionForm {
    pub(super) vendor: Option<String>,
    pub(super) kind: Option<String>,
    pub(super) file: Option<Uploaded>,
    pub(super) url: Option<String>,
    pub(super) text: Option<String>,
    pub(super) options: Option<Value>,
    pub(super) again: Option<String>,
}

/// A file that arrived whole.
pub(super) struct Uploaded {
    pub(super) upload: Upload,
    pub(super) digest: [u8; 32],
}

/// How long a body may be with a file of at most `most` bytes: the other parts and the boundaries come on top.
pub(super) fn longest_body(most: u64) -> usize {
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    most.saturating_add(2 * LONGEST_TEXT)
}

/// Reads a body of type multipart/form-data; a file in it is at most `most` bytes long.
pub(super) async fn read(
    request: Request,
    spool: &Spool,
    most: u64,
    clock: &Arc<dyn Clock>,
) -> Result<SubmissionForm, Problem> {
    let headers = request.headers();
    let kind = headers
        .get(header::CONTENT_TYPE)
        .map(|kind| kind.to_str().unwrap_or_default());
    if !kind
        .unwrap_or_default()
        .to_ascii_lowercase()
        .starts_with("multipart/form-data")
    {
        return Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported-type",
            "Unsupported media type",
            "the body is multipart/form-data with the fields vendor, kind, file or url or text, options, again",
        ));
    }
    let length = headers.get(header::CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if length.is_some_and(|length| length > longest_body(most)) {
        return Err(too_large(most));
    }
    let mut parts = Multipart::from_request(request, &())
        .await
        .map_err(|problem| Problem::bad_request(problem.body_text()))?;
    let mut form = SubmissionForm::default();
    while let Some(part) = in_time(clock, parts.next_field()).await? {
        let name = part.name().unwrap_or_default().to_owned();
        let is_new = match name.as_str() {
            "file" => {
                let file = file(part, spool, most, clock).await?;
                form.file.replace(file).is_none()
            }
            "vendor" => form.vendor.replace(text(part, clock).await?).is_none(),
            "kind" => form.kind.replace(text(part, clock).await?).is_none(),
            "url" => form.url.replace(text(part, clock).await?).is_none(),
            "text" => form.text.replace(text(part, clock).await?).is_none(),
            "again" => form.again.replace(text(part, clock).await?).is_none(),
            "options" => {
                let text = text(part, clock).await?;
                let options = serde_json::from_str(&text).map_err(|problem| {
                    Problem::bad_request(format!("the field options is no JSON: {problem}"))
                })?;
                form.options.replace(options).is_none()
            }
            _ => {
                return Err(Problem::bad_request(format!(
                    "the field {name:?} is not known; there are vendor, kind, file, url, text, options, again"
                )));
            }
        };
        if !is_new {
            return Err(Problem::bad_request(format!(
                "the field {name} stands twice"
            )));
        }
    }
    Ok(form)
}

async fn file(
    mut part: Field<'_>,
    spool: &Spool,
    most: u64,
    clock: &Arc<dyn Clock>,
) -> Result<Uploaded, Problem> {
    let name = part.file_name().unwrap_or_default().to_owned();
    if name.is_empty() {
        return Err(Problem::bad_request(
            "the field file has no filename; it tells the type, such as report.pdf",
        ));
    }
    let mut upload = spool.begin_upload(&name).await?;
    while let Some(piece) = in_time(clock, part.chunk()).await? {
        upload.write(&piece).await?;
        if upload.length() > most {
            return Err(too_large(most));
        }
    }
    let digest = upload.finish().await?;
    Ok(Uploaded { upload, digest })
}

async fn text(mut part: Field<'_>, clock: &Arc<dyn Clock>) -> Result<String, Problem> {
    let mut text = Vec::new();
    while let Some(piece) = in_time(clock, part.chunk()).await? {
        text.extend_from_slice(&piece);
        if text.len() > LONGEST_TEXT {
            let name = part.name().unwrap_or_default();
            return Err(Problem::too_large(format!(
                "the field {name} is longer than 1 MiB"
            )));
        }
    }
    String::from_utf8(text).map_err(|_| {
        let name = part.name().unwrap_or_default();
        Problem::bad_request(format!("the field {name} is no UTF-8"))
    })
}

/// The next piece, unless the client hangs.
async fn in_time<T>(
    clock: &Arc<dyn Clock>,
    next: impl Future<Output = Result<T, MultipartError>>,
) -> Result<T, Problem> {
    match bounded(clock.as_ref(), clock.now() + SILENCE, next).await {
        Some(Ok(piece)) => Ok(piece),
        Some(Err(problem)) if problem.status() == StatusCode::PAYLOAD_TOO_LARGE => Err(
            Problem::too_large("the body is longer than the server's --max-upload allows"),
        ),
        Some(Err(problem)) => Err(Problem::bad_request(format!(
            "the body cannot be read: {}",
            problem.body_text()
        ))),
        None => Err(Problem::new(
            StatusCode::REQUEST_TIMEOUT,
            "timeout",
            "Request timeout",
            "nothing of the body came for a minute; send it again",
        )),
    }
}

fn too_large(most: u64) -> Problem {
    Problem::too_large(format!(
        "the file is longer than {most} bytes; the server's --max-upload allows more"
    ))
}

impl From<SpoolError> for Problem {
    fn from(error: SpoolError) -> Self {
        match error {
            SpoolError::Full(problem) => Self::new(
                StatusCode::INSUFFICIENT_STORAGE,
                "spool-full",
                "Insufficient storage",
                format!("cannot keep the upload: {problem}; nothing was bought"),
            )
            .with_retry_after(Duration::from_secs(60)),
            SpoolError::Other(problem) => {
                Self::unavailable("spool", format!("cannot keep the upload: {problem}"))
            }
        }
    }
}
