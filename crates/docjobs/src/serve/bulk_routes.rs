//! One action on all jobs of a filter, if they are as many as whoever asks for it has seen.

use std::sync::Arc;

use axum::extract::{Extension, Request, State};
use axum::response::Response;
use jobs_ledger::{BulkAction, BulkOutcome, JobFilter, Note};
use serde_json::{Value, json};
use url::form_urlencoded;

use super::access::Caller;
use super::form::Form;
use super::job_query::JobQuery;
use super::json_answer::Json;
use super::json_body;
use super::page::{Page, see_other};
use super::problem::Problem;
use super::state::ServeState;

/// The most jobs of one action.
const MOST: u64 = 1000;

/// `POST /v1/bulk`
pub(super) async fn bulk(
    State(state): State<Arc<ServeState>>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Json, Problem> {
    let body = json_body::read(request, &["action", "filter", "expect"]).await?;
    let action = action(json_body::text(&body, "action")?)?;
    let filter = match body.get("filter") {
        Some(Value::Object(filter)) => query_of(filter)?,
        _ => {
            return Err(Problem::bad_request(
                "the field filter is an object with the names of GET /v1/jobs",
            ));
        }
    };
    let expect = json_body::number(&body, "expect")?.ok_or_else(|| {
        Problem::bad_request("the field expect is how many jobs the filter finds")
    })?;
    let changed = act(&state, action, &filter.filter(), expect, &caller).await?;
    Ok(Json(json!({ "changed": changed })))
}

/// `POST /bulk`, the form of the list: it is about the unsettled jobs of what is shown.
pub(super) async fn form(State(state): State<Arc<ServeState>>, request: Request) -> Response {
    let page = Page::of(&request, "/");
    let done = async {
        let (form, caller) = Form::of_change(request).await?;
        let query = form.get("filter").unwrap_or_default().to_owned();
        let filter = JobQuery::parse(&query, &[]).map_err(Problem::bad_request)?;
        let expect = form.get("expect").unwrap_or_default().parse();
        let expect = expect.map_err(|_| Problem::bad_request("the number of jobs is missing"))?;
        let action = action(form.get("action").unwrap_or_default())?;
        act(&state, action, &filter.unsettled(), expect, &caller).await?;
        Ok::<_, Problem>(query)
    };
    match done.await {
        Ok(query) if query.is_empty() => see_other("/?done=bulk"),
        Ok(query) => see_other(&format!("/?{query}&done=bulk")),
        Err(problem) => page.problem(&problem),
    }
}

fn action(word: &str) -> Result<BulkAction, Problem> {
    match word {
        "abandon" => Ok(BulkAction::Abandon),
        "poll" => Ok(BulkAction::PollSoon),
        "fetch" => Ok(BulkAction::Retry),
        _ => Err(Problem::bad_request(format!(
            "action: {word:?} is none of abandon, poll and fetch"
        ))),
    }
}

/// The names of a list, as an object.
fn query_of(filter: &serde_json::Map<String, Value>) -> Result<JobQuery, Problem> {
    let mut query = form_urlencoded::Serializer::new(String::new());
    for (name, value) in filter {
        let values = match value {
            Value::Array(items) if name == "stage" => items.as_slice(),
            one => std::slice::from_ref(one),
        };
        // What is left out of a query does not narrow it.
        let texts = values.iter().map(Value::as_str);
        let texts: Option<Vec<&str>> = texts.map(|text| text.filter(|it| !it.is_empty())).collect();
        let Some(texts) = texts.filter(|texts| !texts.is_empty()) else {
            return Err(Problem::bad_request(format!(
                "filter: {name:?} is a text{}",
                if name == "stage" {
                    " or a list of texts"
                } else {
                    ""
                }
            )));
        };
        query.extend_pairs(texts.into_iter().map(|text| (name, text)));
        if matches!(name.as_str(), "limit" | "after") {
            return Err(Problem::bad_request(
                "filter: an action is about all jobs of a filter, without limit and after",
            ));
        }
    }
    JobQuery::parse(&query.finish(), &[])
        .map_err(|problem| Problem::bad_request(format!("filter: {problem}")))
}

async fn act(
    state: &ServeState,
    action: BulkAction,
    filter: &JobFilter,
    expect: u64,
    caller: &Caller,
) -> Result<usize, Problem> {
    if expect > MOST {
        return Err(Problem::bad_request(format!(
            "expect: one action changes {MOST} jobs at most; narrow the filter"
        )));
    }
    let expect = usize::try_from(expect).unwrap_or(usize::MAX);
    let note = Note::new(caller.as_word());
    match state.ledger.bulk(action, filter, expect, note).await? {
        BulkOutcome::Done(changed) => Ok(changed.len()),
        BulkOutcome::Held(count) => Err(Problem::conflict(
            "busy",
            "Busy",
            format!(
                "a worker holds {count} of these jobs; nothing was changed; narrow the filter, or stop the worker first"
            ),
        )),
        BulkOutcome::CountDiffers(found) => Err(Problem::conflict(
            "count-differs",
            "Count differs",
            format!("the filter finds {found} jobs, not {expect}; nothing was changed"),
        )),
        _ => Err(Problem::unexpected(
            "the ledger answered with an outcome that this version does not know",
        )),
    }
}
