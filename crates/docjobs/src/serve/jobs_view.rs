//! The list of jobs as a page, and as a file for a table.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Request, State};
use axum::response::Response;
use jobs_ledger::{JobRecord, Stage};

use super::job_query::JobQuery;
use super::language::Words;
use super::page::{Page, shown};
use super::problem::Problem;
use super::state::ServeState;
use crate::moment::rfc3339;
use jobs_runner::redacted_address;

/// A job in a list.
pub(super) struct JobRow {
    pub(super) id: String,
    pub(super) input: String,
    pub(super) stage: &'static str,
    pub(super) stage_name: &'static str,
    pub(super) vendor: String,
    pub(super) kind: String,
    pub(super) charged: String,
    pub(super) created_at: String,
    pub(super) created: String,
    pub(super) error: String,
}

impl JobRow {
    pub(super) fn of(job: &JobRecord, w: &'static Words) -> Self {
        let created_at = rfc3339(job.created_at);
        Self {
            id: job.id.to_string(),
            input: redacted_address(&job.input),
            stage: job.stage.as_str(),
            stage_name: w.stage_name(job.stage.as_str()),
            vendor: job.vendor.clone(),
            kind: job.kind.clone(),
            charged: job
                .credits
                .map(|credits| credits.to_string())
                .unwrap_or_default(),
            created: short(&created_at),
            created_at,
            error: job.error.clone().unwrap_or_default(),
        }
    }
}

/// A time as a table shows it: to the second, in UTC.
pub(super) fn short(rfc3339: &str) -> String {
    rfc3339.get(..19).unwrap_or(rfc3339).replace('T', " ")
}

/// A number that leads to the list behind it.
pub(super) struct Count {
    pub(super) number: u64,
    pub(super) name: String,
    pub(super) stage: &'static str,
    pub(super) link: String,
    pub(super) is_here: bool,
}

struct Choice {
    word: &'static str,
    name: String,
    is_here: bool,
}

struct Bulk {
    filter: String,
    count: usize,
}

struct FilterTexts {
    input: String,
    error: String,
    since: String,
    until: String,
}

#[derive(Template)]
#[template(path = "jobs.html")]
struct JobsPage {
    page: Page,
    done: Option<&'static str>,
    has_worker: bool,
    counts: Vec<Count>,
    has_filter: bool,
    stages: Vec<Choice>,
    vendors: Vec<Choice>,
    filter: FilterTexts,
    query: String,
    rows: Vec<JobRow>,
    older: Option<String>,
    bulk: Option<Bulk>,
}

/// `GET /`
pub(super) async fn show(State(state): State<Arc<ServeState>>, request: Request) -> Response {
    let page = Page::of(&request, "/");
    let query = request.uri().query().unwrap_or_default().to_owned();
    shown(make(&state, page, &query).await)
}

async fn make(state: &ServeState, page: Page, asked: &str) -> Result<JobsPage, (Page, Problem)> {
    let query = match JobQuery::parse(asked, &["done"]) {
        Ok(query) => query,
        Err(problem) => return Err((page, Problem::bad_request(problem))),
    };
    let read = async {
        let list = state.ledger.list(&query.filter()).await?;
        let counts = state.ledger.stage_counts().await?;
        // One more than a bulk action may change.
        let unsettled = state.ledger.count(&query.unsettled(), BULK + 1).await?;
        let workers = state.ledger.workers().await?;
        Ok::<_, Problem>((list, counts, unsettled, !workers.is_empty()))
    };
    let (list, counts, unsettled, has_worker) = match read.await {
        Ok(read) => read,
        Err(problem) => return Err((page, problem)),
    };
    let w = page.w;
    let done = w.done_word(Some(asked));
    let is_only = |stage: Stage| query.stages == [stage];
    let stages = Stage::ALL.into_iter().map(|stage| Choice {
        word: stage.as_str(),
        name: w.stage_name(stage.as_str()).to_owned(),
        is_here: is_only(stage),
    });
    let vendors = VENDORS.into_iter().map(|vendor| Choice {
        word: vendor,
        name: vendor.to_owned(),
        is_here: query.vendor.as_deref() == Some(vendor),
    });
    let counted = Stage::ALL.into_iter().map(|stage| {
        let of_stage = counts.iter().filter(|count| count.stage == stage);
        let link = if is_only(stage) {
            None
        } else {
            Some(stage.as_str())
        };
        Count {
            number: of_stage.map(|count| count.jobs).sum(),
            name: w.stage_name(stage.as_str()).to_owned(),
            stage: stage.as_str(),
            link: format!("/{}", query.with("stage", link)),
            is_here: is_only(stage),
        }
    });
    let counts = counted
        .filter(|count| count.number > 0 || count.is_here)
        .collect();
    let next = list.next.map(|next| next.to_string());
    let filter = query.with("after", None);
    Ok(JobsPage {
        done,
        has_worker,
        counts,
        has_filter: query.is_narrow(),
        stages: stages.collect(),
        vendors: vendors.collect(),
        filter: FilterTexts {
            input: query.text("input").to_owned(),
            error: query.text("error").to_owned(),
            since: query.text("since").to_owned(),
            until: query.text("until").to_owned(),
        },
        rows: list.jobs.iter().map(|job| JobRow::of(job, w)).collect(),
        older: next.map(|next| format!("/{}", query.with("after", Some(&next)))),
        bulk: (1..=BULK).contains(&unsettled).then(|| Bulk {
            filter: filter.trim_start_matches('?').to_owned(),
            count: unsettled,
        }),
        query: filter,
        page,
    })
}

/// How many jobs one action may change.
const BULK: usize = 1000;

/// The vendors that a filter offers.
const VENDORS: [&str; 5] = ["mindshow", "ppj", "printer-jobs", "tencent-ess", "textin"];
