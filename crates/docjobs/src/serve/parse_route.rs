//! FastGPT's custom parser: one call that takes a document and answers with its Markdown.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Extension, Request, State};
use jobs_ledger::{JobRecord, Stage};
use serde_json::{Value, json};

use super::access::Caller;
use super::job_wait;
use super::json_answer::Json;
use super::problem::Problem;
use super::result_routes::{locate, why_not};
use super::state::ServeState;
use super::submission_form;
use super::submit_routes::accept;

/// How long that program waits.
const WAIT: Duration = Duration::from_secs(590);
/// Longer Markdown does not fit into one answer.
const LONGEST: u64 = 256 * 1024 * 1024;

/// `POST /v1/parse`: a failure of the job is answered with 200 and `error`, as that program reads it.
pub(super) async fn parse(
    State(state): State<Arc<ServeState>>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Json, Problem> {
    let form = submission_form::read(request, &state.spool, state.max_upload, &state.clock).await?;
    if form.file.is_none() {
        return Err(Problem::bad_request(
            "the document is sent in the field file",
        ));
    }
    let mut form = form;
    form.vendor = Some("textin".to_owned());
    form.kind = None;
    let parsed = markdown(&state, form, &caller).await;
    Ok(Json(match parsed {
        Ok((pages, markdown)) => json!({ "pages": pages, "markdown": markdown, "error": null }),
        Err(problem) => json!({ "pages": 0, "markdown": "", "error": problem.detail() }),
    }))
}

async fn markdown(
    state: &ServeState,
    mut form: submission_form::SubmissionForm,
    caller: &Caller,
) -> Result<(u64, String), Problem> {
    form.options = Some(with_markdown(form.options)?);
    let submitted = accept(state, form, caller).await?;
    // That program asks once and shows what is said; only a person can go on with a job that needs attention.
    let is_over = |job: &JobRecord| job.stage.is_settled() || job.needs_attention();
    let job = job_wait::within(state, submitted.id(), WAIT, is_over).await?;
    if job.stage != Stage::Completed {
        return Err(why_not(&job));
    }
    let found = locate(state, &job, Some("markdown"), caller).await?;
    let unreadable =
        |problem: std::io::Error| Problem::unexpected(format!("cannot read the result: {problem}"));
    let about = tokio::fs::metadata(&found.path).await.map_err(unreadable)?;
    if about.len() > LONGEST {
        return Err(Problem::too_large("the Markdown is longer than 256 MiB"));
    }
    let text = tokio::fs::read(&found.path).await.map_err(unreadable)?;
    let text = String::from_utf8_lossy(&text).into_owned();
    let pages = job.credits.and_then(|pages| u64::try_from(pages).ok());
    Ok((pages.unwrap_or(1), text))
}

/// Pictures are asked for within the Markdown, as data: that program keeps those, and the vendor's links end.
fn with_markdown(options: Option<Value>) -> Result<Value, Problem> {
    let mut options = match options {
        None | Some(Value::Null) => serde_json::Map::new(),
        Some(Value::Object(options)) => options,
        Some(_) => return Err(Problem::bad_request("the field options is a JSON object")),
    };
    options.entry("format").or_insert_with(|| "markdown".into());
    options
        .entry("image_output_type")
        .or_insert_with(|| "base64".into());
    Ok(options.into())
}
