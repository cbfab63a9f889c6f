//! What the forms of the page do. What cannot be undone is asked about first, with its price.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Request, State};
use axum::response::Response;
use jobs_ledger::{Estimate, JobRecord};
use jobs_runner::InputSource;
use url::form_urlencoded;

use super::form::Form;
use super::job_actions;
use super::jobs_view::JobRow;
use super::language::Words;
use super::page::{Page, see_other, shown};
use super::path_text::PathText;
use super::problem::Problem;
use super::read_routes::find;
use super::state::ServeState;

#[derive(Template)]
#[template(path = "confirm.html")]
struct ConfirmPage {
    page: Page,
    title: &'static str,
    job: JobRow,
    consequence: &'static str,
    price: String,
    action: String,
    remote_id: Option<String>,
}

/// What is asked about.
#[derive(Debug, Clone, Copy)]
enum Decision {
    Adopt,
    Abandon,
}

/// `GET /jobs/ID/adopt`
pub(super) async fn ask_adopt(
    State(state): State<Arc<ServeState>>,
    PathText(id): PathText,
    request: Request,
) -> Response {
    let (page, remote_id) = asked(&request);
    ask(&state, &id, page, remote_id, Decision::Adopt).await
}

/// `GET /jobs/ID/abandon`
pub(super) async fn ask_abandon(
    State(state): State<Arc<ServeState>>,
    PathText(id): PathText,
    request: Request,
) -> Response {
    let (page, remote_id) = asked(&request);
    ask(&state, &id, page, remote_id, Decision::Abandon).await
}

/// The page, and the vendor's id that was entered.
fn asked(request: &Request) -> (Page, String) {
    let query = request.uri().query().unwrap_or_default();
    let remote_id = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "remote_id");
    let remote_id = remote_id.map(|(_, value)| value.trim().to_owned());
    (
        Page::of(request, "/in-doubt"),
        remote_id.unwrap_or_default(),
    )
}

async fn ask(
    state: &ServeState,
    id: &str,
    page: Page,
    remote_id: String,
    decision: Decision,
) -> Response {
    let w = page.w;
    shown(match find(&state.ledger, id).await {
        Ok(job) => Ok(match decision {
            Decision::Adopt => ConfirmPage {
                title: w.adopt,
                consequence: w.adopt_means,
                action: format!("/jobs/{}/adopt", job.id),
                remote_id: Some(remote_id),
                price: price(state, &job, w).await,
                job: JobRow::of(&job, w),
                page,
            },
            Decision::Abandon => ConfirmPage {
                title: w.abandon,
                consequence: w.abandon_means,
                action: format!("/jobs/{}/abandon", job.id),
                remote_id: None,
                price: price(state, &job, w).await,
                job: JobRow::of(&job, w),
                page,
            },
        }),
        Err(problem) => Err((page, problem)),
    })
}

/// What buying the same anew would cost, as far as that can be known here.
async fn price(state: &ServeState, job: &JobRecord, w: &'static Words) -> String {
    let Some(handler) = state.runner.handler(&job.vendor, &job.kind).cloned() else {
        return w.price_unknown.to_owned();
    };
    let unit = handler.unit();
    if let Some(charged) = job.credits.or(job.reserved) {
        return format!("{} {}", w.price, w.amount(charged, unit));
    }
    let (path, options) = (job.input_path.clone(), job.options.clone());
    let estimate = tokio::task::spawn_blocking(move || {
        let input = handler.input(InputSource::Path(path?), &options).ok()?;
        Some(handler.estimate(&input))
    });
    match estimate.await.ok().flatten() {
        Some(Estimate::Units(units)) => format!(
            "{} {}",
            w.price,
            w.amount(i64::try_from(units).unwrap_or(i64::MAX), unit)
        ),
        _ => format!("{} ({unit})", w.price_unknown),
    }
}

/// `POST /jobs/ID/adopt`
pub(super) async fn adopt(
    State(state): State<Arc<ServeState>>,
    PathText(id): PathText,
    request: Request,
) -> Response {
    decide(&state, &id, "adopt", request).await
}

/// `POST /jobs/ID/abandon`
pub(super) async fn abandon(
    State(state): State<Arc<ServeState>>,
    PathText(id): PathText,
    request: Request,
) -> Response {
    decide(&state, &id, "abandon", request).await
}

/// `POST /jobs/ID/poll`
pub(super) async fn poll(
    State(state): State<Arc<ServeState>>,
    PathText(id): PathText,
    request: Request,
) -> Response {
    decide(&state, &id, "poll", request).await
}

/// `POST /jobs/ID/fetch`
pub(super) async fn fetch(
    State(state): State<Arc<ServeState>>,
    PathText(id): PathText,
    request: Request,
) -> Response {
    decide(&state, &id, "fetch", request).await
}

/// Does it, and leads to the page that shows what was done.
async fn decide(state: &ServeState, id: &str, action: &str, request: Request) -> Response {
    let page = Page::of(&request, "/in-doubt");
    match decided(state, id, action, request).await {
        Ok(()) if action == "adopt" => see_other("/in-doubt?done=adopt"),
        Ok(()) => see_other(&format!("/jobs/{}?done={action}", path_segment(id))),
        Err(problem) => page.problem(&problem),
    }
}

async fn decided(
    state: &ServeState,
    id: &str,
    action: &str,
    request: Request,
) -> Result<(), Problem> {
    let (form, caller) = Form::of_change(request).await?;
    let job = find(&state.ledger, id).await?;
    match action {
        "adopt" => {
            let remote_id = form.get("remote_id").unwrap_or_default();
            job_actions::adopt(state, &job, remote_id, &caller).await
        }
        "abandon" => job_actions::abandon(state, &job, &caller).await,
        "poll" => job_actions::poll(state, &job, None, &caller).await,
        "fetch" => job_actions::fetch(state, &job, &caller).await,
        _ => Err(Problem::not_found("there is no such action")),
    }
}

fn path_segment(id: &str) -> String {
    form_urlencoded::byte_serialize(id.as_bytes()).collect()
}
