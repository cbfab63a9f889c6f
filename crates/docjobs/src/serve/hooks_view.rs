//! The inbox of webhooks as a page.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Request, State};
use axum::response::Response;
use jobs_ledger::{WebhookRecord, WebhookVerdict};

use super::hook_list::{filter, next};
use super::jobs_view::{Count, short};
use super::language::Words;
use super::page::{Page, shown};
use super::problem::Problem;
use super::state::ServeState;
use crate::moment::rfc3339;

/// Over how many days verdicts are counted.
const DAYS: u32 = 30;

struct HookRow {
    at: String,
    time: String,
    verdict: &'static str,
    verdict_name: &'static str,
    vendor: String,
    remote_id: String,
    job: Option<String>,
    body: String,
}

#[derive(Template)]
#[template(path = "hooks.html")]
struct HooksPage {
    page: Page,
    done: Option<&'static str>,
    counts: Vec<Count>,
    rows: Vec<HookRow>,
    older: Option<String>,
}

/// `GET /hooks`
pub(super) async fn show(State(state): State<Arc<ServeState>>, request: Request) -> Response {
    let page = Page::of(&request, "/hooks");
    let query = request.uri().query().unwrap_or_default().to_owned();
    let done = page.w.done_word(Some(&query));
    let read = async {
        let filter = filter(&query, &["done"])?;
        let found = state.ledger.webhooks(&filter).await?;
        let counts = state.ledger.webhook_counts(DAYS).await?;
        Ok::<_, Problem>((filter, found, counts))
    };
    let (filter, found, counts) = match read.await {
        Ok(read) => read,
        Err(problem) => return page.problem(&problem),
    };
    let w = page.w;
    let counts = WebhookVerdict::ALL.into_iter().map(|verdict| {
        let of_verdict = counts.iter().filter(|count| count.verdict == verdict);
        let is_here = filter.verdict == Some(verdict);
        Count {
            number: of_verdict.map(|count| count.calls).sum(),
            name: w.verdict_name(verdict.as_str()).to_owned(),
            stage: verdict.as_str(),
            link: if is_here {
                "/hooks".to_owned()
            } else {
                format!("/hooks?verdict={}", verdict.as_str())
            },
            is_here,
        }
    });
    let verdict = filter
        .verdict
        .map(|verdict| format!("verdict={}&", verdict.as_str()));
    let older = next(&found, &filter);
    let older = older.map(|next| format!("/hooks?{}after={next}", verdict.unwrap_or_default()));
    shown(Ok::<_, (Page, Problem)>(HooksPage {
        done,
        counts: counts.collect(),
        rows: found.iter().map(|hook| row(hook, w)).collect(),
        older,
        page,
    }))
}

fn row(hook: &WebhookRecord, w: &'static Words) -> HookRow {
    let at = rfc3339(hook.at);
    let verdict = hook.verdict.map_or("", WebhookVerdict::as_str);
    HookRow {
        time: short(&at),
        at,
        verdict,
        verdict_name: w.verdict_name(verdict),
        vendor: hook.vendor.clone(),
        remote_id: hook.remote_id.clone().unwrap_or_default(),
        job: hook.job.map(|job| job.to_string()),
        body: hook.body.clone(),
    }
}
