//! The jobs of a filter as a file: CSV for tables, JSON Lines for programs. Rows are read and sent a page at a time.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderValue, header};
use axum::response::Response;
use futures_util::stream;
use jobs_ledger::{JobFilter, JobRecord};

use super::job_json;
use super::job_query::JobQuery;
use super::problem::Problem;
use super::state::ServeState;
use crate::moment::rfc3339;
use jobs_runner::redacted_address;

const PAGE: usize = 500;

#[derive(Debug, Clone, Copy)]
enum Form {
    Csv,
    JsonLines,
}

/// `GET /jobs.csv`
pub(super) async fn csv(
    State(state): State<Arc<ServeState>>,
    request: Request,
) -> Result<Response, Problem> {
    export(state, &request, Form::Csv)
}

/// `GET /jobs.jsonl`
pub(super) async fn json_lines(
    State(state): State<Arc<ServeState>>,
    request: Request,
) -> Result<Response, Problem> {
    export(state, &request, Form::JsonLines)
}

struct Rows {
    state: Arc<ServeState>,
    filter: JobFilter,
    form: Form,
    ready: VecDeque<Bytes>,
    is_over: bool,
}

fn export(state: Arc<ServeState>, request: &Request, form: Form) -> Result<Response, Problem> {
    let query = request.uri().query().unwrap_or_default();
    let query = JobQuery::parse(query, &[]).map_err(Problem::bad_request)?;
    let head = match form {
        // Tables take UTF-8 for what it is by its mark.
        Form::Csv => format!("\u{feff}{}\r\n", COLUMNS.join(",")),
        Form::JsonLines => String::new(),
    };
    let rows = Rows {
        state,
        filter: query.filter().with_limit(PAGE),
        form,
        ready: VecDeque::from([head.into()]),
        is_over: false,
    };
    let body = stream::try_unfold(rows, |mut rows| async move {
        loop {
            if let Some(piece) = rows.ready.pop_front() {
                return Ok::<_, Problem>(Some((piece, rows)));
            }
            if rows.is_over || rows.state.ending.has_begun() {
                return Ok(None);
            }
            rows.read().await?;
        }
    });
    let (kind, name) = match form {
        Form::Csv => (
            "text/csv; charset=utf-8",
            "attachment; filename=\"jobs.csv\"",
        ),
        Form::JsonLines => ("application/jsonl", "attachment; filename=\"jobs.jsonl\""),
    };
    let mut response = Response::new(Body::from_stream(body));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CONTENT_DISPOSITION, HeaderValue::from_static(name));
    Ok(response)
}

impl Rows {
    async fn read(&mut self) -> Result<(), Problem> {
        let page = self.state.ledger.list(&self.filter).await?;
        let mut text = String::new();
        for job in &page.jobs {
            match self.form {
                Form::Csv => text.push_str(&row(job)),
                Form::JsonLines => {
                    let _ = writeln!(text, "{}", job_json::job(job)?);
                }
            }
        }
        self.ready.push_back(text.into());
        match page.next {
            Some(next) => self.filter.after = Some(next),
            None => self.is_over = true,
        }
        Ok(())
    }
}

const COLUMNS: [&str; 11] = [
    "id",
    "vendor",
    "kind",
    "stage",
    "remote_id",
    "input",
    "output",
    "created_at",
    "updated_at",
    "credits",
    "error",
];

fn row(job: &JobRecord) -> String {
    let output = job.output.as_ref().map(|path| path.display().to_string());
    let cells = [
        job.id.to_string(),
        job.vendor.clone(),
        job.kind.clone(),
        job.stage.to_string(),
        job.remote_id
            .as_ref()
            .map(|id| id.as_str().to_owned())
            .unwrap_or_default(),
        redacted_address(&job.input),
        output.unwrap_or_default(),
        rfc3339(job.created_at),
        rfc3339(job.updated_at),
        job.credits
            .map(|credits| credits.to_string())
            .unwrap_or_default(),
        job.error.clone().unwrap_or_default(),
    ];
    let cells: Vec<String> = cells.iter().map(|cell| quoted(cell)).collect();
    format!("{}\r\n", cells.join(","))
}

/// A cell that a table shows as it is: whatever begins like a formula is text.
fn quoted(cell: &str) -> String {
    let mark = if cell.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        "'"
    } else {
        ""
    };
    format!("\"{mark}{}\"", cell.replace('"', "\"\""))
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.detail())
    }
}

impl std::error::Error for Problem {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_text_whatever_it_holds() {
        for (cell, written) in [
            ("a", "\"a\""),
            ("a \"b\", c", "\"a \"\"b\"\", c\""),
            ("=cmd()", "\"'=cmd()\""),
            ("-1", "\"'-1\""),
            ("two\nlines", "\"two\nlines\""),
            ("", "\"\""),
        ] {
            assert_eq!(quoted(cell), written);
        }
    }
}
