//! Spending limits over HTTP.

use std::sync::Arc;

use axum::extract::{Extension, Request, State};
use axum::http::StatusCode;
use jobs_ledger::{Budget, BudgetPeriod};
use serde_json::{Map, Value};

use super::access::Caller;
use super::json_answer::Json;
use super::json_body;
use super::path_text::PathText;
use super::problem::Problem;
use super::state::ServeState;
use crate::budget_author;

/// The vendors whose calls can cost something.
pub(super) const VENDORS: [&str; 4] = ["mindshow", "ppj", "tencent-ess", "textin"];

/// `GET /v1/budgets/VENDOR`
pub(super) async fn show(
    State(state): State<Arc<ServeState>>,
    PathText(vendor): PathText,
) -> Result<Json, Problem> {
    known(&vendor)?;
    match state.ledger.budget(&vendor).await? {
        Some(budget) => told(&state, &budget).await,
        None => Err(none(&vendor)),
    }
}

/// `PUT /v1/budgets/VENDOR`
pub(super) async fn set(
    State(state): State<Arc<ServeState>>,
    Extension(caller): Extension<Caller>,
    PathText(vendor): PathText,
    request: Request,
) -> Result<Json, Problem> {
    known(&vendor)?;
    let body = json_body::read(request, &["limit", "per", "strict"]).await?;
    let limit = json_body::number(&body, "limit")?;
    let limit = limit.ok_or_else(|| {
        Problem::bad_request("the field limit is a whole number, and has to be given")
    })?;
    let period = period(json_body::text(&body, "per")?)?;
    let strict = flag(&body, "strict")?;
    let budget = state
        .ledger
        .set_budget(&vendor, limit, period, strict)
        .await?;
    budget_author::record(&state.ledger, &vendor, &caller.as_word()).await?;
    told(&state, &budget).await
}

/// `DELETE /v1/budgets/VENDOR`
pub(super) async fn clear(
    State(state): State<Arc<ServeState>>,
    Extension(caller): Extension<Caller>,
    PathText(vendor): PathText,
) -> Result<StatusCode, Problem> {
    known(&vendor)?;
    if state.ledger.clear_budget(&vendor).await? {
        budget_author::record(&state.ledger, &vendor, &caller.as_word()).await?;
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(none(&vendor))
    }
}

/// The period of this name.
pub(super) fn period(word: &str) -> Result<BudgetPeriod, Problem> {
    match word {
        "day" => Ok(BudgetPeriod::Day),
        "month" => Ok(BudgetPeriod::Month),
        "total" => Ok(BudgetPeriod::Total),
        _ => Err(Problem::bad_request(format!(
            "per: {word:?} is none of day, month and total"
        ))),
    }
}

async fn told(state: &ServeState, budget: &Budget) -> Result<Json, Problem> {
    let mut value =
        serde_json::to_value(budget).map_err(|problem| Problem::unexpected(problem.to_string()))?;
    let author = budget_author::of(&state.ledger, &budget.vendor).await?;
    if let Value::Object(fields) = &mut value {
        fields.insert("changed".to_owned(), author.into());
    }
    Ok(Json(value))
}

fn flag(body: &Map<String, Value>, name: &str) -> Result<bool, Problem> {
    match body.get(name) {
        None | Some(Value::Null) => Ok(false),
        Some(Value::Bool(flag)) => Ok(*flag),
        Some(_) => Err(Problem::bad_request(format!(
            "the field {name} is true or false"
        ))),
    }
}

fn known(vendor: &str) -> Result<(), Problem> {
    if VENDORS.contains(&vendor) {
        return Ok(());
    }
    Err(Problem::not_found(format!(
        "there is no vendor {vendor:?}; there are {}",
        VENDORS.join(", ")
    )))
}

fn none(vendor: &str) -> Problem {
    Problem::not_found(format!(
        "no budget of {vendor} is set; PUT {{\"limit\":1000,\"per\":\"day\"}} sets one"
    ))
}
