//! The jobs of which nobody knows whether they were charged, with what is known of each.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Request, State};
use axum::response::Response;
use jobs_ledger::{JobFilter, JobRecord, Stage};

use jobs_runner::DynHandler;

use super::job_view::{Fact, answer_of};
use super::jobs_view::{JobRow, short};
use super::language::Words;
use super::page::{Page, shown};
use super::problem::Problem;
use super::state::ServeState;
use crate::moment::rfc3339;

/// How many are shown; each is a decision of a person.
const MOST: usize = 100;

/// A job at the vendor that may be the one whose answer was lost.
pub(super) struct Candidate {
    pub(super) remote_id: String,
    pub(super) evidence: &'static str,
}

struct LostJob {
    job: JobRow,
    facts: Vec<Fact>,
    answer: Option<String>,
    can_search: bool,
    candidates: Vec<Candidate>,
}

#[derive(Template)]
#[template(path = "in_doubt.html")]
struct InDoubtPage {
    page: Page,
    done: Option<&'static str>,
    lost: Vec<LostJob>,
}

/// `GET /in-doubt`
pub(super) async fn show(State(state): State<Arc<ServeState>>, request: Request) -> Response {
    let page = Page::of(&request, "/in-doubt");
    let done = page.w.done_word(request.uri().query());
    let filter = JobFilter::all()
        .with_stages([Stage::InDoubt])
        .with_limit(MOST);
    let list = match state.ledger.list(&filter).await {
        Ok(list) => list,
        Err(problem) => return page.problem(&problem.into()),
    };
    let mut shown_jobs = Vec::with_capacity(list.jobs.len());
    for job in &list.jobs {
        let mut shown = lost(job, page.w);
        let handler = state.runner.handler(&job.vendor, &job.kind);
        shown.can_search = handler.is_some_and(DynHandler::can_search);
        if shown.can_search {
            let found = state
                .candidates
                .of(&state.runner, &*state.clock, job.id)
                .await;
            shown.candidates = found
                .into_iter()
                .map(|remote_id| Candidate {
                    remote_id,
                    evidence: page.w.candidate_fits,
                })
                .collect();
        }
        shown_jobs.push(shown);
    }
    shown(Ok::<_, (Page, Problem)>(InDoubtPage {
        done,
        lost: shown_jobs,
        page,
    }))
}

fn lost(job: &JobRecord, w: &'static Words) -> LostJob {
    let time = |at| short(&rfc3339(at));
    let digest: String = job
        .content
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let mut facts = vec![Fact::text(w.vendor, format!("{} {}", job.vendor, job.kind))];
    facts.extend(job.sent_at.map(|at| Fact::text(w.submitted, time(at))));
    facts.extend(job.error.as_ref().map(|error| Fact::text(w.error, error)));
    facts.push(Fact::text(w.attempts, job.attempts.to_string()));
    facts.push(Fact::code(w.account, job.account.to_string()));
    facts.push(Fact::code("SHA-256", digest));
    LostJob {
        job: JobRow::of(job, w),
        facts,
        answer: answer_of(job),
        can_search: false,
        candidates: Vec::new(),
    }
}
