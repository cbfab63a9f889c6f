//! What a batch tells while it works: a bar, a line for each failure, an event for each step.

use std::collections::{HashMap, HashSet};
use std::error::Error as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jobs_core::vendor::Delivery;
use jobs_core::{Error, Ticket};
use jobs_ledger::{LedgerId, Stage};
use jobs_runner::{
    CancellationToken, CompletedJob, DeliveredOutput, JobLabel, Observer, RunnerError,
    RunnerErrorKind, RunnerEvent,
};
use serde_json::json;

use crate::exit::{CommandError, ExitCode};
use crate::output::print_line;
use crate::report::Report;

/// Hears what the worker of a batch does. Clones share what they know.
#[derive(Clone)]
pub(super) struct Progress {
    report: Report,
    state: Arc<Mutex<State>>,
    /// Whether results are texts, which are printed with the name of their input.
    prints_texts: bool,
    /// Whether tickets are printed, and a job counts as done once it is accepted.
    prints_tickets: bool,
    /// Cancelled when every job is accepted or over, if that is enough.
    enough: CancellationToken,
}

#[derive(Default)]
struct State {
    inputs: HashMap<LedgerId, Box<str>>,
    /// Jobs that are done for this command.
    done: HashMap<LedgerId, Option<Ended>>,
    total: usize,
    last_said: String,
    /// The failure of each job that was told last, without the request id.
    told: HashMap<LedgerId, String>,
    refused: Option<ExitCode>,
    /// What keeps jobs that are tried again later.
    delayed: HashMap<LedgerId, ExitCode>,
    accepted: HashSet<LedgerId>,
    /// Those that were accepted since [taken](Progress::take_accepted) last, whose price is not asked for yet.
    newly_accepted: Vec<LedgerId>,
    unprintable: Option<CommandError>,
}

/// How a job ended that has no result.
#[derive(Debug, Clone)]
pub(super) struct Ended {
    pub(super) exit: ExitCode,
    pub(super) line: String,
}

impl Progress {
    pub(super) fn new(report: Report, prints_texts: bool, prints_tickets: bool) -> Self {
        Self {
            report,
            state: Arc::default(),
            prints_texts,
            prints_tickets,
            enough: CancellationToken::new(),
        }
    }

    /// Names the inputs of the jobs that are about to be worked on.
    pub(super) fn begin(&self, inputs: impl Iterator<Item = (LedgerId, Box<str>)>) {
        let mut state = self.state();
        state.inputs.extend(inputs);
        state.total = state.inputs.len();
        self.report.begin_counting(state.total as u64);
    }

    /// Completes when nothing is left to wait for although jobs go on at the vendor.
    pub(super) async fn enough(&self) {
        self.enough.cancelled().await;
    }

    /// How a job ended without a result, if it did.
    pub(super) fn ended(&self, job: LedgerId) -> Option<Ended> {
        self.state().done.get(&job).cloned().flatten()
    }

    /// How the vendor refuses every submit, if it does: credentials, quota or balance.
    pub(super) fn refused(&self) -> Option<ExitCode> {
        self.state().refused
    }

    /// What kept a job from going on when it was tried last.
    pub(super) fn delayed(&self, job: LedgerId) -> Option<ExitCode> {
        self.state().delayed.get(&job).copied()
    }

    pub(super) fn was_accepted(&self, job: LedgerId) -> bool {
        self.state().accepted.contains(&job)
    }

    /// The jobs that the vendor accepted since this was called last.
    pub(super) fn take_accepted(&self) -> Vec<LedgerId> {
        std::mem::take(&mut self.state().newly_accepted)
    }

    /// What kept stdout from taking a line.
    pub(super) fn unprintable(&self) -> Option<CommandError> {
        self.state().unprintable.take()
    }

    /// A document that has no job to work on, and no result either.
    pub(super) fn failed(&self, input: &str, job: LedgerId, ended: &Ended) {
        self.failed_with(input, job, ended, None);
    }

    /// The same, with the beginning of an answer that was not understood.
    fn failed_with(&self, input: &str, job: LedgerId, ended: &Ended, answer: Option<&str>) {
        self.report.event(
            "ended",
            json!({
                "id": job.to_string(), "input": input, "error": ended.line, "exit": ended.exit as u8, "answer": answer,
            }),
        );
        self.report.say(&format!("{input}: {}", ended.line));
    }

    /// The result of a job that was completed before, or that documents share, was put at the place of one of them.
    pub(super) fn delivered(&self, completed: &CompletedJob, input: Option<&str>) {
        self.completed(
            &completed.label,
            &completed.output,
            input.unwrap_or_default(),
        );
    }

    /// The vendor has the job of this document.
    pub(super) fn accepted(&self, job: LedgerId, ticket: &Ticket, input: &str) {
        self.report.event(
            "accepted",
            json!({
                "id": job.to_string(), "vendor": ticket.vendor(), "kind": ticket.kind(), "job": ticket.id().as_str(),
                "input": input, "ticket": ticket.to_string(),
            }),
        );
        if self.prints_tickets && !self.report.is_json() {
            self.print(&format!("{input}\t{ticket}"));
        }
    }

    fn completed(&self, job: &JobLabel, output: &DeliveredOutput, input: &str) {
        let (path, text) = match output {
            DeliveredOutput::Text(text) => (None, Some(text.as_str())),
            output => (output.path().map(|path| path.display().to_string()), None),
        };
        self.report.event(
            "completed",
            json!({
                "id": job.id.to_string(), "vendor": job.vendor, "kind": job.kind, "job": job.job_id.as_str(),
                "input": input, "output": path, "result": text,
            }),
        );
        if let (Some(text), true, false) = (text, self.prints_texts, self.report.is_json()) {
            self.print(&format!("{input}\t{text}"));
        }
    }

    fn print(&self, line: &str) {
        if let Err(error) = self.report.suspended(|| print_line(line)) {
            self.state().unprintable.get_or_insert(error);
            self.enough.cancel();
        }
    }

    fn input(&self, job: LedgerId) -> Box<str> {
        let state = self.state();
        state
            .inputs
            .get(&job)
            .cloned()
            .unwrap_or_else(|| job.to_string().into())
    }

    fn count_accepted(&self, job: LedgerId) {
        let mut state = self.state();
        if state.accepted.insert(job) {
            state.newly_accepted.push(job);
        }
    }

    /// Counts a job as done for this command.
    fn count(&self, job: LedgerId, ended: Option<Ended>) {
        let (done, is_all) = {
            let mut state = self.state();
            state.done.insert(job, ended);
            (state.done.len(), state.done.len() >= state.total)
        };
        self.report.counted(done as u64);
        if is_all && self.prints_tickets {
            self.enough.cancel();
        }
    }

    fn over(&self, job: LedgerId, error: &RunnerError) {
        let CommandError {
            exit, line, answer, ..
        } = CommandError::from(error);
        let is_vendors_word = matches!(
            error.kind(),
            RunnerErrorKind::Rejected(error) if error.delivery() == Delivery::Answered
        );
        let exit = match exit {
            // What the vendor makes of one document of many says nothing about the command.
            ExitCode::InvalidInput if is_vendors_word => ExitCode::Failed,
            exit => exit,
        };
        let ended = Ended { exit, line };
        if self.is_news(job, error, &ended.line) {
            self.failed_with(&self.input(job), job, &ended, answer.as_deref());
        }
        if matches!(exit, ExitCode::Unauthenticated | ExitCode::QuotaExceeded) {
            self.state().refused = Some(exit);
        }
        self.count(job, Some(ended));
    }

    /// Whether a failure is another one than that which was told of the job last: each retry has a request id of its own.
    fn is_news(&self, job: LedgerId, error: &RunnerError, line: &str) -> bool {
        let line = match request_id(error) {
            Some(id) => line.replace(id, ""),
            None => line.to_owned(),
        };
        let before = self.state().told.insert(job, line.clone());
        before != Some(line)
    }

    /// Says what would otherwise be said of each of a thousand jobs once.
    fn say_once(&self, line: String) {
        let is_new = {
            let mut state = self.state();
            let is_new = state.last_said != line;
            state.last_said.clone_from(&line);
            is_new
        };
        if is_new {
            self.report.say(&line);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn request_id(error: &RunnerError) -> Option<&str> {
    match error.kind() {
        RunnerErrorKind::Rejected(error) | RunnerErrorKind::NotFetched(error) => Some(error),
        _ => error.source().and_then(|cause| cause.downcast_ref()),
    }
    .and_then(Error::request_id)
}

impl Observer for Progress {
    fn on_event(&self, event: &RunnerEvent<'_>) {
        match event {
            RunnerEvent::Accepted { job, ticket } => {
                self.count_accepted(job.id);
                self.accepted(job.id, ticket, &self.input(job.id));
                if self.prints_tickets {
                    self.count(job.id, None);
                }
            }
            RunnerEvent::Adopted(job) => {
                let input = self.input(job.id);
                self.count_accepted(job.id);
                self.report
                    .say(&format!("{input}: the answer was lost; {job} is the one"));
            }
            RunnerEvent::Completed { job, output } => {
                self.completed(job, output, &self.input(job.id));
                self.count(job.id, None);
            }
            RunnerEvent::SettledElsewhere(job) => {
                let ended = (job.stage != Stage::Completed).then(|| Ended {
                    exit: ExitCode::Failed,
                    line: format!(
                        "job {} is {}: {}",
                        job.id,
                        job.stage,
                        job.error.as_deref().unwrap_or_default()
                    ),
                });
                if let Some(ended) = &ended {
                    self.failed(&self.input(job.id), job.id, ended);
                }
                self.count(job.id, ended);
            }
            RunnerEvent::Ended { job, error }
            | RunnerEvent::Parked { job, error }
            | RunnerEvent::Dropped { job, error } => self.over(*job, error),
            RunnerEvent::Delayed { job, error, .. } => {
                self.state().delayed.insert(*job, error.category().into());
                self.say_once(format!("{error}; it is tried again later"));
            }
            RunnerEvent::Warning(warning) => self.report.say(&format!("warning: {warning}")),
            RunnerEvent::LedgerTrouble { error, .. } => {
                self.say_once(format!("docjobs: {error}"));
            }
            _ => {}
        }
    }
}
