//! The workers that are alive.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Request, State};
use axum::response::Response;

use super::jobs_view::short;
use super::page::{Page, shown};
use super::state::ServeState;
use crate::moment::rfc3339;

struct WorkerRow {
    id: String,
    last_seen_at: String,
    last_seen: String,
    jobs: u64,
}

#[derive(Template)]
#[template(path = "workers.html")]
struct WorkersPage {
    page: Page,
    rows: Vec<WorkerRow>,
}

/// `GET /workers`
pub(super) async fn show(State(state): State<Arc<ServeState>>, request: Request) -> Response {
    let page = Page::of(&request, "/workers");
    shown(match state.ledger.workers().await {
        Ok(workers) => Ok(WorkersPage {
            rows: workers
                .into_iter()
                .map(|worker| {
                    let at = rfc3339(worker.last_seen);
                    WorkerRow {
                        id: worker.id,
                        last_seen: short(&at),
                        last_seen_at: at,
                        jobs: worker.jobs,
                    }
                })
                .collect(),
            page,
        }),
        Err(problem) => Err((page, problem.into())),
    })
}
