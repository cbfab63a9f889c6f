//! How much of the vendors' rates is used, and who waits.

use std::collections::BTreeMap;
use std::sync::Arc;

use askama::Template;
use axum::extract::{Request, State};
use axum::response::Response;
use jobs_ledger::{RateUse, Stage, StageCount};

use super::jobs_view::Count;
use super::metrics::{self, Sample};
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
    polling: Vec<Polling>,
}

/// How the worker of this process polls a vendor.
#[derive(Debug, Default, PartialEq)]
struct Polling {
    vendor: String,
    /// Whether polls rest because the vendor does not answer well.
    is_open: bool,
    /// How much later than they were due half of the polls were, and nineteen of twenty.
    lateness: Option<(f64, f64)>,
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
            polling: polling(
                &state
                    .metrics
                    .as_ref()
                    .map(metrics::of_process)
                    .unwrap_or_default(),
            ),
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

fn polling(samples: &[Sample]) -> Vec<Polling> {
    let mut by_vendor: BTreeMap<&str, Polling> = BTreeMap::new();
    for sample in samples {
        let Some(vendor) = sample.label("vendor") else {
            continue;
        };
        let polling = by_vendor.entry(vendor).or_default();
        vendor.clone_into(&mut polling.vendor);
        match (sample.name.as_str(), sample.label("quantile")) {
            ("docjobs_breaker_open", _) => polling.is_open |= sample.value > 0.0,
            // Of several kinds the worse one.
            ("docjobs_poll_lateness_seconds", Some("0.5")) => {
                let (half, _) = polling.lateness.get_or_insert_default();
                *half = half.max(sample.value);
            }
            ("docjobs_poll_lateness_seconds", Some("0.95")) => {
                let (_, most) = polling.lateness.get_or_insert_default();
                *most = most.max(sample.value);
            }
            _ => {}
        }
    }
    by_vendor.into_values().collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_vendors_breaker_and_lateness_are_read_from_what_the_process_counts() {
        let samples = metrics::samples(
            "# TYPE docjobs_breaker_open gauge\n\
             docjobs_breaker_open{vendor=\"ppj\"} 1\n\
             docjobs_breaker_open{vendor=\"textin\"} 0\n\
             docjobs_poll_lateness_seconds{vendor=\"textin\",kind=\"parse\",quantile=\"0.5\"} 0.25\n\
             docjobs_poll_lateness_seconds{vendor=\"textin\",kind=\"parse\",quantile=\"0.95\"} 1.5\n\
             docjobs_poll_lateness_seconds_count{vendor=\"textin\",kind=\"parse\"} 7\n",
        );
        let row = |vendor: &str, is_open, lateness| Polling {
            vendor: vendor.to_owned(),
            is_open,
            lateness,
        };
        assert_eq!(
            polling(&samples),
            [
                row("ppj", true, None),
                row("textin", false, Some((0.25, 1.5)))
            ]
        );
        assert_eq!(polling(&[]), []);
    }
}
