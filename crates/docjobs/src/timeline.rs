//! `docjobs show`: what happened to a job, one line for each event, and one for all polls between two others.

use std::time::SystemTime;

use jobs_ledger::{JobEvent, event_kind};

/// The lines of a history. `polls` is how often the job was polled in all: an event is only written when the vendor says
/// something new.
pub(crate) fn lines(events: &[JobEvent], polls: i64) -> Vec<String> {
    let runs: Vec<&[JobEvent]> = events
        .chunk_by(|one, next| is_poll(one) && is_poll(next))
        .collect();
    let last_run = runs
        .iter()
        .rposition(|run| run.first().is_some_and(is_poll));
    let mut lines = Vec::new();
    for (at, run) in runs.into_iter().enumerate() {
        match run {
            [first, ..] if is_poll(first) => {
                let statuses: Vec<&str> =
                    run.iter().filter_map(|poll| poll.text.as_deref()).collect();
                let mut detail = statuses.join(" → ");
                if Some(at) == last_run && polls > 0 {
                    let polls = crate::clean::count(polls, "poll");
                    detail.push_str(&format!(" ({polls} in all)"));
                }
                lines.push(line(first.at, &first.kind, &detail));
            }
            [event, ..] => {
                let detail = [
                    event.text.clone(),
                    event
                        .request_id
                        .as_ref()
                        .map(|id| format!("(request {id})")),
                    event.credits.map(|credits| format!("({credits} credits)")),
                ];
                let detail: Vec<String> = detail.into_iter().flatten().collect();
                lines.push(line(event.at, &event.kind, &detail.join(" ")));
                // What was not understood is all that a person has to go by.
                if let Some(body) = event
                    .data
                    .error
                    .as_ref()
                    .and_then(|error| error.body.as_ref())
                {
                    lines.push(format!("{:28}the answer was: {body}", ""));
                }
            }
            [] => {}
        }
    }
    lines
}

fn is_poll(event: &JobEvent) -> bool {
    event.kind == event_kind::POLLED && event.credits.is_none()
}

fn line(at: SystemTime, what: &str, detail: &str) -> String {
    let at: chrono::DateTime<chrono::Utc> = at.into();
    let line = format!(
        "  {}  {what:<14} {detail}",
        at.format("%Y-%m-%d %H:%M:%S%.3f")
    );
    line.trim_end().to_owned()
}
