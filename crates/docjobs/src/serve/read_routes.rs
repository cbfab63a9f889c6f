//! The API's reading half: jobs and their histories.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse as _, Response};
use jobs_ledger::{EventCursor, JobRecord, Ledger, LedgerId};
use serde_json::{Value, json};

use super::access::text;
use super::event_streams::Subscription;
use super::job_json;
use super::job_query::JobQuery;
use super::json_answer::Json;
use super::path_text::PathText;
use super::problem::Problem;
use super::state::ServeState;

/// `GET /v1/jobs`
pub(super) async fn list(
    State(state): State<Arc<ServeState>>,
    request: Request,
) -> Result<Json, Problem> {
    let query = request.uri().query().unwrap_or_default();
    let query = JobQuery::parse(query, &[]).map_err(Problem::bad_request)?;
    let page = state.ledger.list(&query.filter()).await?;
    let jobs: Result<Vec<Value>, Problem> = page.jobs.iter().map(job_json::job).collect();
    let next = page.next.map(|next| next.to_string());
    Ok(Json(json!({ "jobs": jobs?, "next": next })))
}

/// `GET /v1/jobs/ID`
pub(super) async fn show(
    State(state): State<Arc<ServeState>>,
    PathText(id): PathText,
) -> Result<Json, Problem> {
    let job = find(&state.ledger, &id).await?;
    job_json::job(&job).map(Json)
}

/// `GET /v1/jobs/ID/events`
pub(super) async fn history(
    State(state): State<Arc<ServeState>>,
    PathText(id): PathText,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let job = find(&state.ledger, &id).await?;
    if wants_stream(&headers) {
        // All of its history, unless the client had seen some of it.
        let after = last_event(&headers)?.unwrap_or(EventCursor::START);
        return Ok(subscribe(&state, Some(job.id), after));
    }
    let events = state.ledger.events(job.id).await?;
    let told = events
        .iter()
        .map(|event| job_json::event(event, Some(job.stage)));
    let told: Result<Vec<Value>, Problem> = told.collect();
    Ok(Json(json!({ "events": told? })).into_response())
}

/// `GET /v1/events`
pub(super) async fn events(
    State(state): State<Arc<ServeState>>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let after = match last_event(&headers)? {
        Some(seen) => seen,
        None => state.ledger.event_cursor().await?,
    };
    Ok(subscribe(&state, None, after))
}

fn subscribe(state: &ServeState, job: Option<LedgerId>, after: EventCursor) -> Response {
    Subscription {
        ledger: state.ledger.clone(),
        feed: state.feed.clone(),
        clock: Arc::clone(&state.clock),
        ending: state.ending.clone(),
        job,
        after,
    }
    .answer()
}

fn wants_stream(headers: &HeaderMap) -> bool {
    text(headers, "accept").is_some_and(|accept| accept.contains("text/event-stream"))
}

/// What the client had seen last, as its browser tells it.
fn last_event(headers: &HeaderMap) -> Result<Option<EventCursor>, Problem> {
    let Some(seen) = text(headers, "last-event-id").filter(|seen| !seen.is_empty()) else {
        return Ok(None);
    };
    let cursor = seen.parse();
    cursor.map(Some).map_err(|_| {
        Problem::bad_request(format!(
            "Last-Event-ID: {seen:?} is no id of an event of this server"
        ))
    })
}

/// The job of this id: ours, or the vendor's where only one job has it.
pub(super) async fn find(ledger: &Ledger, id: &str) -> Result<JobRecord, Problem> {
    let mut found = ledger.find(id).await?.into_iter();
    match (found.next(), found.next()) {
        (Some(job), None) => Ok(job),
        (Some(job), Some(_)) if job.id.to_string() == id => Ok(job),
        (Some(_), Some(_)) => Err(Problem::conflict(
            "ambiguous-id",
            "Ambiguous id",
            format!(
                "several jobs have the id {id:?} at their vendors; give ours, which GET /v1/jobs shows"
            ),
        )),
        _ => Err(Problem::not_found(format!(
            "the ledger has no job {id:?}; GET /v1/jobs shows the ids it has"
        ))),
    }
}
