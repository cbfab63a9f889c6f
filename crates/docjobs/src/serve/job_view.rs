//! One job as a page: what is known of it, its history, and what may be done with it.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Request, State};
use axum::response::Response;
use jobs_ledger::{JobEvent, JobRecord, Stage, event_kind};

use super::jobs_view::{JobRow, short};
use super::language::Words;
use super::page::{Page, shown};
use super::path_text::PathText;
use super::problem::Problem;
use super::read_routes::find;
use super::state::ServeState;
use crate::moment::rfc3339;

/// Something that is known, with its name.
pub(super) struct Fact {
    pub(super) name: &'static str,
    pub(super) value: String,
    pub(super) is_code: bool,
    pub(super) link: Option<String>,
}

impl Fact {
    pub(super) fn text(name: &'static str, value: impl Into<String>) -> Self {
        Self {
            name,
            value: value.into(),
            is_code: false,
            link: None,
        }
    }

    pub(super) fn code(name: &'static str, value: impl Into<String>) -> Self {
        Self {
            is_code: true,
            ..Self::text(name, value)
        }
    }
}

struct Action {
    name: &'static str,
    path: String,
    /// Whether a page names the price before anything is done.
    asks_first: bool,
    is_dangerous: bool,
}

/// One line of a history; polls that follow each other are one.
struct Entry {
    at: String,
    time: String,
    what: String,
    text: String,
    times: u32,
    answer: Option<String>,
}

#[derive(Template)]
#[template(path = "job.html")]
struct JobPage {
    page: Page,
    done: Option<&'static str>,
    job: JobRow,
    error: String,
    answer: Option<String>,
    facts: Vec<Fact>,
    result: Option<String>,
    actions: Vec<Action>,
    history: Vec<Entry>,
}

/// `GET /jobs/ID`
pub(super) async fn show(
    State(state): State<Arc<ServeState>>,
    PathText(id): PathText,
    request: Request,
) -> Response {
    let page = Page::of(&request, "/");
    let done = page.w.done_word(request.uri().query());
    let found = async {
        let job = find(&state.ledger, &id).await?;
        let events = state.ledger.events(job.id).await?;
        Ok::<_, Problem>((job, events))
    };
    shown(match found.await {
        Ok((job, events)) => Ok(make(page, done, &job, events)),
        Err(problem) => Err((page, problem)),
    })
}

fn make(page: Page, done: Option<&'static str>, job: &JobRecord, events: Vec<JobEvent>) -> JobPage {
    let w = page.w;
    let has_result = job.stage == Stage::Completed;
    JobPage {
        done,
        job: JobRow::of(job, w),
        error: job.error.clone().unwrap_or_default(),
        answer: answer_of(job),
        facts: facts(job, w),
        result: has_result.then(|| format!("/v1/jobs/{}/result", job.id)),
        actions: actions(job, w),
        history: history(events),
        page,
    }
}

/// What the other side answered last, where it was not understood.
pub(super) fn answer_of(job: &JobRecord) -> Option<String> {
    job.error_data.as_ref().and_then(|error| error.body.clone())
}

fn facts(job: &JobRecord, w: &'static Words) -> Vec<Fact> {
    let time = |at| short(&rfc3339(at));
    let mut facts = vec![
        Fact::code(w.id, job.id.to_string()),
        Fact::code(w.account, job.account.to_string()),
    ];
    let known = [
        job.remote_id
            .as_ref()
            .map(|id| Fact::code(w.remote_id, id.as_str())),
        job.ticket()
            .map(|ticket| Fact::code(w.ticket, ticket.to_string())),
        job.credits
            .map(|credits| Fact::text(w.charged, credits.to_string())),
        job.format
            .as_ref()
            .map(|format| Fact::text(w.format, format)),
        job.output
            .as_ref()
            .map(|path| Fact::code(w.output, path.display().to_string())),
        Some(Fact::text(w.created, time(job.created_at))),
        job.sent_at.map(|at| Fact::text(w.submitted, time(at))),
        job.accepted_at.map(|at| Fact::text(w.accepted, time(at))),
        job.vendor_status
            .as_ref()
            .map(|word| Fact::text(w.vendor_status, word)),
        Some(Fact::text(w.polls, job.polls.to_string())).filter(|_| job.polls > 0),
        job.last_poll.map(|at| Fact::text(w.last_poll, time(at))),
        job.due
            .filter(|_| !job.claimed)
            .map(|at| Fact::text(w.next_step, time(at))),
        job.blocked_until
            .map(|at| Fact::text(w.blocked_until, time(at))),
        job.parked
            .map(|reason| Fact::text(w.parked, reason.as_str())),
    ];
    facts.extend(known.into_iter().flatten());
    facts
}

fn actions(job: &JobRecord, w: &'static Words) -> Vec<Action> {
    let path = |action: &str| format!("/jobs/{}/{action}", job.id);
    let mut actions = Vec::new();
    if job.stage == Stage::Accepted {
        actions.push(Action {
            name: w.poll,
            path: path("poll"),
            asks_first: false,
            is_dangerous: false,
        });
    }
    if job.stage == Stage::Completed {
        actions.push(Action {
            name: w.fetch,
            path: path("fetch"),
            asks_first: false,
            is_dangerous: false,
        });
    }
    if !job.stage.is_settled() {
        actions.push(Action {
            name: w.abandon,
            path: path("abandon"),
            asks_first: true,
            is_dangerous: true,
        });
    }
    actions
}

fn history(events: Vec<JobEvent>) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    for event in events {
        let at = rfc3339(event.at);
        let time = short(&at);
        let is_poll = event.kind == event_kind::POLLED;
        if is_poll
            && let Some(last) = entries.last_mut()
            && last.what == event_kind::POLLED
        {
            last.times += 1;
            last.text = [&last.text, &*event.text.unwrap_or_default()].join(" → ");
            continue;
        }
        let detail = [
            event.text,
            event.request_id.map(|id| format!("(request {id})")),
            event.credits.map(|credits| format!("({credits} credits)")),
        ];
        let detail: Vec<String> = detail.into_iter().flatten().collect();
        entries.push(Entry {
            at,
            time,
            what: event.kind,
            text: detail.join(" "),
            times: 1,
            answer: event.data.error.and_then(|error| error.body),
        });
    }
    entries
}
