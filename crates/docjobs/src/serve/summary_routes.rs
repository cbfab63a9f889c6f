//! `/v1/summary`: what operators watch, in one answer.

use std::sync::Arc;

use axum::extract::State;
use jobs_ledger::Stage;
use serde_json::{Map, Value, json};

use super::json_answer::Json;
use super::money_view::{by_day, unit_of};
use super::problem::Problem;
use super::state::ServeState;
use crate::moment::rfc3339;

/// How many days of money are told.
const DAYS: u32 = 31;

/// `GET /v1/summary`
pub(super) async fn summary(State(state): State<Arc<ServeState>>) -> Result<Json, Problem> {
    let counts = state.ledger.stage_counts().await?;
    let days = state.ledger.money(DAYS).await?;
    let in_doubt = state.ledger.money_in_doubt().await?;
    let stages: Map<String, Value> = Stage::ALL
        .into_iter()
        .map(|stage| {
            let of_stage = counts.iter().filter(|count| count.stage == stage);
            let jobs: u64 = of_stage.map(|count| count.jobs).sum();
            (stage.as_str().to_owned(), jobs.into())
        })
        .collect();
    let spared: i64 = days.iter().map(|day| day.spared).sum();
    let money = by_day(&days, &in_doubt).into_iter().map(|row| {
        json!({
            "day": row.day,
            "vendor": row.vendor,
            "account": row.account.to_string(),
            "charged": row.charged,
            "in_doubt": row.in_doubt,
            "unit": unit_of(&state, &row.vendor),
        })
    });
    let money: Vec<Value> = money.collect();
    let rates = state.ledger.rates().await?;
    let rates = rates.iter().map(|rate| {
        json!({
            "vendor": rate.vendor,
            "account": rate.account.to_string(),
            "action": rate.action,
            "limit": rate.limit,
            "per": rate.per.as_secs_f64(),
            "used": rate.used,
        })
    });
    let rates: Vec<Value> = rates.collect();
    let workers = state.ledger.workers().await?;
    let workers = workers.iter().map(|worker| {
        json!({
            "id": worker.id,
            "last_seen": rfc3339(worker.last_seen),
            "jobs": worker.jobs,
        })
    });
    let workers: Vec<Value> = workers.collect();
    Ok(Json(json!({
        "stages": stages,
        "money": money,
        "spared": spared,
        "rates": rates,
        "workers": workers,
    })))
}
