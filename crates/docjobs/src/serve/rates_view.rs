//! How much of the vendors' rates is used, and who waits.

use std::collections::BTreeMap;
use std::sync::Arc;

use askama::Template;
use axum::extract::{Request, State};
use axum::response::Response;
use jobs_ledger::{RateUse, Stage, StageCount};

use super::jobs_view::Count;
use super::page::{Page, shown};
use super::problem::Problem;
use super::state::ServeState;

struct RateRow {
    vendor: String,
    action: String,
    account: String,
    width: u64,
    label: String,
}

#[derive(Template)]
#[template(path = "rates.html")]
struct RatesPage {
    page: Page,
    rates: Vec<RateRow>,
    waiting: Vec<Count>,
}

/// `GET /rates`
pub(super) async fn show(State(state): State<Arc<ServeState>>, request: Request) -> Response {
    let page = Page::of(&request, "/rates");
    let read = async {
        let rates = state.ledger.rates().await?;
        let counts = state.ledger.stage_counts().await?;
        Ok::<_, Problem>((rates, counts))
    };
    shown(match read.await {
        Ok((rates, counts)) => Ok(RatesPage {
            rates: rates.iter().map(row).collect(),
            waiting: waiting(&counts),
            page,
        }),
        Err(problem) => Err((page, problem)),
    })
}

fn row(rate: &RateUse) -> RateRow {
    /// The width of the whole bar.
    const WHOLE: u64 = 400;
    let (used, limit) = (rate.used as u64, rate.limit as u64);
    RateRow {
        vendor: rate.vendor.clone().unwrap_or_default(),
        action: rate.action.clone(),
        account: rate.account.to_string(),
        width: (used * WHOLE / limit.max(1)).min(WHOLE),
        label: format!(
            "{used} / {limit} · {}",
            humantime::format_duration(rate.per)
        ),
    }
}

/// Jobs that wait for their submit, of each vendor.
fn waiting(counts: &[StageCount]) -> Vec<Count> {
    let mut by_vendor: BTreeMap<&str, u64> = BTreeMap::new();
    for count in counts.iter().filter(|count| count.stage == Stage::Intended) {
        *by_vendor.entry(&count.vendor).or_default() += count.jobs;
    }
    let count = |(vendor, number): (&str, u64)| Count {
        number,
        name: vendor.to_owned(),
        stage: Stage::Intended.as_str(),
        link: format!("/?stage=intended&vendor={vendor}"),
        is_here: false,
    };
    by_vendor.into_iter().map(count).collect()
}
