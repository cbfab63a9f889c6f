//! The API's changes of one job.

use std::sync::Arc;

use axum::extract::{Extension, Request, State};
use jobs_ledger::JobRecord;

use super::access::Caller;
use super::job_actions;
use super::job_json;
use super::json_answer::Json;
use super::json_body;
use super::path_text::PathText;
use super::problem::Problem;
use super::read_routes::find;
use super::state::ServeState;

/// `POST /v1/jobs/ID/adopt`
pub(super) async fn adopt(
    State(state): State<Arc<ServeState>>,
    Extension(caller): Extension<Caller>,
    PathText(id): PathText,
    request: Request,
) -> Result<Json, Problem> {
    let job = find(&state.ledger, &id).await?;
    let body = json_body::read(request, &["remote_id"]).await?;
    let remote_id = json_body::text(&body, "remote_id")?;
    job_actions::adopt(&state, &job, remote_id, &caller).await?;
    as_it_is(&state, &job).await
}

/// `POST /v1/jobs/ID/abandon`
pub(super) async fn abandon(
    State(state): State<Arc<ServeState>>,
    Extension(caller): Extension<Caller>,
    PathText(id): PathText,
    request: Request,
) -> Result<Json, Problem> {
    let job = find(&state.ledger, &id).await?;
    json_body::read(request, &[]).await?;
    job_actions::abandon(&state, &job, &caller).await?;
    as_it_is(&state, &job).await
}

/// `POST /v1/jobs/ID/poll`
pub(super) async fn poll(
    State(state): State<Arc<ServeState>>,
    Extension(caller): Extension<Caller>,
    PathText(id): PathText,
    request: Request,
) -> Result<Json, Problem> {
    let job = find(&state.ledger, &id).await?;
    let body = json_body::read(request, &["calls"]).await?;
    let calls = json_body::number(&body, "calls")?;
    let calls = calls.map(|calls| u32::try_from(calls).unwrap_or(u32::MAX));
    job_actions::poll(&state, &job, calls, &caller).await?;
    as_it_is(&state, &job).await
}

/// `POST /v1/jobs/ID/fetch`
pub(super) async fn fetch(
    State(state): State<Arc<ServeState>>,
    Extension(caller): Extension<Caller>,
    PathText(id): PathText,
    request: Request,
) -> Result<Json, Problem> {
    let job = find(&state.ledger, &id).await?;
    json_body::read(request, &[]).await?;
    job_actions::fetch(&state, &job, &caller).await?;
    as_it_is(&state, &job).await
}

async fn as_it_is(state: &ServeState, job: &JobRecord) -> Result<Json, Problem> {
    let now = state.ledger.get(job.id).await?;
    job_json::job(now.as_ref().unwrap_or(job)).map(Json)
}
