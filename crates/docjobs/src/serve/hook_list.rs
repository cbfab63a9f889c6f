//! The inbox of webhooks over HTTP: what came, and what was thought of it.

use std::sync::Arc;

use axum::extract::{Request, State};
use jobs_ledger::{WebhookFilter, WebhookRecord, WebhookVerdict};
use serde_json::{Value, json};
use url::form_urlencoded;

use super::json_answer::Json;
use super::problem::Problem;
use super::state::ServeState;
use crate::moment::rfc3339;

/// The most that one answer holds.
const MOST: usize = 1000;
const USUAL: usize = 100;

/// `GET /v1/hooks`
pub(super) async fn list(
    State(state): State<Arc<ServeState>>,
    request: Request,
) -> Result<Json, Problem> {
    let filter = filter(request.uri().query().unwrap_or_default(), &[])?;
    let found = state.ledger.webhooks(&filter).await?;
    let hooks: Vec<Value> = found.iter().map(told).collect();
    Ok(Json(
        json!({ "hooks": hooks, "next": next(&found, &filter) }),
    ))
}

fn told(hook: &WebhookRecord) -> Value {
    json!({
        "verdict": hook.verdict.map(WebhookVerdict::as_str),
        "vendor": hook.vendor,
        "remote_id": hook.remote_id,
        "job": hook.job.map(|job| job.to_string()),
        "body": hook.body,
        "at": rfc3339(hook.at),
    })
}

/// Where to go on after these, if there may be more.
pub(super) fn next(found: &[WebhookRecord], filter: &WebhookFilter) -> Option<String> {
    let last = found.last().filter(|_| found.len() >= filter.limit);
    last.map(|last| last.seq.to_string())
}

/// Reads a query; names in `others` are the caller's own.
pub(super) fn filter(query: &str, others: &[&str]) -> Result<WebhookFilter, Problem> {
    let mut filter = WebhookFilter::all();
    filter.limit = USUAL;
    let mut seen: Vec<String> = Vec::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        if others.contains(&&*name) || value.is_empty() {
            continue;
        }
        if seen.contains(&name.to_string()) {
            return Err(Problem::bad_request(format!(
                "the parameter {name} stands twice"
            )));
        }
        if value.contains('\0') {
            return Err(Problem::bad_request(format!(
                "{name}: a NUL is in no text of a webhook"
            )));
        }
        match &*name {
            "verdict" => {
                let verdict = WebhookVerdict::parse(&value);
                filter.verdict = Some(verdict.ok_or_else(|| {
                    let known = WebhookVerdict::ALL.map(WebhookVerdict::as_str).join(", ");
                    Problem::bad_request(format!(
                        "verdict: {value:?} is none; the verdicts are {known}"
                    ))
                })?);
            }
            "vendor" => filter.vendor = Some(value.to_string()),
            "job" => {
                let job = value.parse();
                filter.job = Some(job.map_err(|_| {
                    Problem::bad_request(format!("job: {value:?} is no id of a job of ours"))
                })?);
            }
            "limit" => {
                let limit = value
                    .parse()
                    .ok()
                    .filter(|limit| (1..=MOST).contains(limit));
                filter.limit = limit.ok_or_else(|| {
                    Problem::bad_request(format!("limit is a whole number from 1 to {MOST}"))
                })?;
            }
            "after" => {
                let after = value.parse();
                filter.after = Some(after.map_err(|_| {
                    Problem::bad_request(format!("after: {value:?} is no cursor of this list"))
                })?);
            }
            _ => {
                return Err(Problem::bad_request(format!(
                    "the parameter {name:?} is not known; there are verdict, vendor, job, limit, after"
                )));
            }
        }
        seen.push(name.into_owned());
    }
    Ok(filter)
}
