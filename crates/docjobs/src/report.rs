//! What is said: events for scripts on stdout, messages for people on stderr, a bar for a terminal.

use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use jobs_core::vendor::Activity;
use jobs_core::{Error, Ticket};
use jobs_runner::{JobLabel, ProgressUpdate, doing};
use serde_json::{Map, Value, json};

use crate::args::Common;
use crate::clean::{self, count};
use crate::exit::{CommandError, ExitCode};
use crate::json_text;

fn fields(job: &JobLabel) -> Map<String, Value> {
    let fields = [
        ("id", job.id.to_string()),
        ("vendor", job.vendor.to_owned()),
        ("kind", job.kind.to_owned()),
        ("job", job.job_id.to_string()),
    ];
    fields
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.into()))
        .collect()
}

/// The voice of a command.
#[derive(Clone)]
pub(crate) struct Report {
    json: bool,
    verbose: u8,
    bar: Option<Arc<ProgressBar>>,
}

impl Report {
    pub(crate) fn new(options: &Common) -> Self {
        let show = !options.json && io::stderr().is_terminal();
        let bar = show.then(|| {
            let style = ProgressStyle::with_template("{spinner} {wide_msg} {elapsed}");
            let bar = ProgressBar::new_spinner();
            Arc::new(if let Ok(style) = style {
                bar.with_style(style)
            } else {
                bar
            })
        });
        Self {
            json: options.json,
            verbose: options.verbose,
            bar,
        }
    }

    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// A line for people, [cleaned](clean::line). Lost when stderr is closed: there is nobody to tell.
    pub(crate) fn say(&self, text: &str) {
        let text = clean::line(text);
        let print = || drop(writeln!(io::stderr(), "{text}"));
        match &self.bar {
            Some(bar) => bar.suspend(print),
            None => print(),
        }
    }

    /// An event for scripts, with `--json`.
    pub(crate) fn event(&self, name: &str, fields: Value) {
        if self.json {
            let mut event = Map::from_iter([("event".to_owned(), Value::from(name))]);
            if let Value::Object(fields) = fields {
                event.extend(fields);
            }
            drop(writeln!(io::stdout(), "{}", Value::Object(event)));
        }
    }

    pub(crate) fn seen(&self, update: &ProgressUpdate<'_>) {
        let ProgressUpdate {
            vendor,
            kind,
            job_id,
            is_queued,
            vendor_status,
            is_known,
            progress,
            ..
        } = update;
        let status = if *is_queued { "queued" } else { "running" };
        self.event(
            "seen",
            json!({
                "vendor": vendor, "kind": kind, "job": job_id.as_str(), "status": status, "word": vendor_status,
                "percent": progress.percent, "ahead": progress.jobs_ahead,
            }),
        );
        let percent = progress
            .percent
            .map_or_else(String::new, |percent| format!(" {percent} %"));
        let ahead = progress.jobs_ahead.map_or_else(String::new, |jobs| {
            format!(", {} before it", count(jobs, "job"))
        });
        let known = if *is_known {
            ""
        } else {
            ", a word that is not documented"
        };
        let line = format!("{vendor} job {job_id}: {vendor_status}{percent}{ahead}{known}");
        self.progress(line, *is_known);
    }

    /// The vendor has taken a job.
    pub(crate) fn accepted(&self, job: &JobLabel, ticket: &Ticket) {
        let mut fields = fields(job);
        fields.insert("ticket".to_owned(), ticket.to_string().into());
        self.event("accepted", fields.into());
    }

    /// A job is done: its result is a file, a text, or printed.
    pub(crate) fn done(&self, job: &JobLabel, path: Option<&Path>, text: Option<&str>) {
        let path = path.map(|path| path.display().to_string());
        let mut fields = fields(job);
        fields.insert("output".to_owned(), path.clone().into());
        fields.insert("result".to_owned(), text.into());
        self.event("done", fields.into());
        if let Some(path) = path {
            self.say(&format!("{} job {} done: {path}", job.vendor, job.job_id));
        }
    }

    /// A job is done, and its result is part of the event. It may be longer than memory.
    pub(crate) fn done_with(&self, job: &JobLabel, result: impl io::Read) -> io::Result<()> {
        let mut event = Map::from_iter([("event".to_owned(), Value::from("done"))]);
        event.extend(fields(job));
        event.insert("output".to_owned(), Value::Null);
        let head = Value::Object(event).to_string();
        let head = head.strip_suffix('}').unwrap_or(&head);
        let mut stdout = io::BufWriter::with_capacity(64 * 1024, io::stdout().lock());
        write!(stdout, "{head},\"result\":\"")?;
        json_text::write(result, &mut stdout)?;
        stdout.write_all(b"\"}\n")?;
        stdout.flush()
    }

    pub(crate) fn missed(&self, error: &Error) {
        self.event(
            "missed",
            json!({ "vendor": error.vendor(), "error": error.to_string() }),
        );
        self.progress(format!("{error}; looking again"), false);
    }

    /// The result of a finished job could not be had, and is asked for again.
    pub(crate) fn not_fetched(&self, error: &Error, pause: Duration) {
        self.event(
            "not_fetched",
            json!({ "vendor": error.vendor(), "error": error.to_string() }),
        );
        let pause = pause.as_secs_f64().ceil();
        self.progress(
            format!("{error}; a fresh link is asked for in {pause:.0} s"),
            false,
        );
    }

    /// What a call is doing, on a terminal; elsewhere for those who ask for more detail.
    pub(crate) fn activity(&self, activity: &Activity) {
        let why = match activity {
            Activity::Connecting { to } => format!(" to {to}"),
            Activity::Retrying { error, .. } => format!(": {error}"),
            // One line for each piece of an upload would be one too many in a log.
            Activity::Sending { .. } if self.bar.is_none() => return,
            _ => String::new(),
        };
        self.progress(format!("{}{why}", doing(activity)), true);
    }

    fn progress(&self, line: String, is_usual: bool) {
        match &self.bar {
            Some(bar) => {
                bar.set_message(clean::line(&line).into_owned());
                bar.enable_steady_tick(Duration::from_millis(200));
            }
            None if !self.json && (self.verbose > 0 || !is_usual) => self.say(&line),
            None => {}
        }
    }

    /// From now on the bar counts documents instead of telling what one job does.
    pub(crate) fn begin_counting(&self, total: u64) {
        if let Some(bar) = &self.bar {
            let style = "{bar:30} {pos}/{len} documents, {per_sec}, {eta} left {wide_msg}";
            if let Ok(style) = ProgressStyle::with_template(style) {
                bar.set_style(style);
            }
            // It may have counted something else before.
            bar.reset();
            bar.set_length(total);
            bar.set_position(0);
            bar.enable_steady_tick(Duration::from_millis(200));
        }
    }

    /// So many are done.
    pub(crate) fn counted(&self, done: u64) {
        if let Some(bar) = &self.bar {
            bar.set_position(done);
        }
    }

    /// Whether there is a bar that somebody sees.
    pub(crate) fn has_bar(&self) -> bool {
        self.bar.is_some()
    }

    /// Says beside the bar what is being done.
    pub(crate) fn beside_bar(&self, line: &str) {
        if let Some(bar) = &self.bar {
            bar.set_message(clean::line(line).into_owned());
        }
    }

    /// Does something that writes to the terminal, with the bar out of its way.
    pub(crate) fn suspended<T>(&self, print: impl FnOnce() -> T) -> T {
        match &self.bar {
            Some(bar) => bar.suspend(print),
            None => print(),
        }
    }

    /// Takes the bar away.
    pub(crate) fn quiet(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    /// The last words of a command that did not get done.
    pub(crate) fn stop(&self, stop: &CommandError) -> std::process::ExitCode {
        self.quiet();
        if stop.exit == ExitCode::Closed {
            return std::process::ExitCode::SUCCESS;
        }
        // The summary of a batch has told all there is.
        if stop.line.is_empty() {
            return std::process::ExitCode::from(stop.exit as u8);
        }
        let ticket = stop.ticket.as_ref().map(ToString::to_string);
        self.event(
            "stopped",
            json!({
                "exit": stop.exit as u8,
                "error": stop.line,
                "ticket": ticket,
                "answer": stop.answer,
            }),
        );
        self.say(&format!("docjobs: {}", stop.line));
        if self.verbose > 0 {
            for cause in &stop.causes {
                self.say(&format!("  because: {cause}"));
            }
        }
        if let Some(ticket) = ticket {
            self.say(&format!("ticket: {ticket}"));
        }
        std::process::ExitCode::from(stop.exit as u8)
    }
}
