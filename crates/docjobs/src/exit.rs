//! How a command ends: one number for scripts, one line for people.

use std::fmt::Display;
use std::path::Path;

use jobs_core::disk::advice;
use jobs_core::{Error, JobId, Ticket};
use jobs_ledger::{LedgerError, LedgerId};
use jobs_runner::{ErrorCategory, InputError, RunnerError, RunnerErrorKind};

/// The exit codes that scripts rely on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum ExitCode {
    /// Nobody reads what is printed any more, as with `| head`: they have what they want, so this is no failure.
    Closed = 0,
    Unexpected = 1,
    InvalidInput = 2,
    Failed = 3,
    Unfinished = 4,
    OutcomeUnknown = 5,
    Unauthenticated = 6,
    QuotaExceeded = 7,
    Unreachable = 8,
    /// What shells report for a program ended by SIGHUP,
    HungUp = 129,
    /// by Ctrl-C,
    Interrupted = 130,
    /// and by SIGTERM.
    Terminated = 143,
}

impl From<ErrorCategory> for ExitCode {
    fn from(category: ErrorCategory) -> Self {
        match category {
            ErrorCategory::OutcomeUnknown => Self::OutcomeUnknown,
            ErrorCategory::QuotaExceeded => Self::QuotaExceeded,
            ErrorCategory::Unauthenticated => Self::Unauthenticated,
            ErrorCategory::Failed => Self::Failed,
            ErrorCategory::Unreachable => Self::Unreachable,
            ErrorCategory::Unfinished => Self::Unfinished,
            ErrorCategory::InvalidInput => Self::InvalidInput,
            ErrorCategory::Interrupted => Self::Interrupted,
            _ => Self::Unexpected,
        }
    }
}

impl ExitCode {
    /// How work on jobs ends: what was sent cannot be told to be wrong before anything was.
    pub(crate) fn after_submit(self) -> Self {
        match self {
            Self::InvalidInput => Self::Unexpected,
            exit => exit,
        }
    }

    /// The class of this end, where several are compared.
    pub(crate) fn category(self) -> ErrorCategory {
        match self {
            Self::OutcomeUnknown => ErrorCategory::OutcomeUnknown,
            Self::QuotaExceeded => ErrorCategory::QuotaExceeded,
            Self::Unauthenticated => ErrorCategory::Unauthenticated,
            Self::Failed => ErrorCategory::Failed,
            Self::Unreachable => ErrorCategory::Unreachable,
            Self::Unfinished => ErrorCategory::Unfinished,
            Self::InvalidInput => ErrorCategory::InvalidInput,
            Self::HungUp | Self::Interrupted | Self::Terminated => ErrorCategory::Interrupted,
            Self::Closed | Self::Unexpected => ErrorCategory::Unexpected,
        }
    }
}

/// A command that ended before it was done.
#[derive(Debug)]
pub(crate) struct CommandError {
    pub(crate) exit: ExitCode,
    /// What was tried, on which job, what the vendor said, and what to do next.
    pub(crate) line: String,
    /// The causes, for those who ask for more detail.
    pub(crate) causes: Vec<String>,
    /// What to go on with.
    pub(crate) ticket: Option<Box<Ticket>>,
    /// The beginning of an answer that was not understood, cleaned of credentials.
    pub(crate) answer: Option<String>,
}

impl CommandError {
    pub(crate) fn new(exit: ExitCode, line: impl Into<String>) -> Self {
        Self {
            exit,
            line: line.into(),
            causes: Vec::new(),
            ticket: None,
            answer: None,
        }
    }

    pub(crate) fn invalid_input(line: impl Into<String>) -> Self {
        Self::new(ExitCode::InvalidInput, line)
    }

    pub(crate) fn unexpected(line: impl Into<String>) -> Self {
        Self::new(ExitCode::Unexpected, line)
    }

    /// Something that could not be printed on stdout; `else_do` is what helps, where the reader is not simply gone.
    pub(crate) fn unprintable(problem: &std::io::Error, else_do: &str) -> Self {
        match problem.kind() {
            std::io::ErrorKind::BrokenPipe => Self::new(ExitCode::Closed, String::new()),
            _ => Self::unexpected(format!("cannot print: {problem}{else_do}")),
        }
    }

    /// The process was asked to end by a signal that has this exit code, and this is how far it was.
    pub(crate) fn asked_to_end(exit: ExitCode, line: impl Display) -> Self {
        Self::new(exit, format!("interrupted; {line}"))
    }

    /// An error before any job was accepted; nothing was charged.
    pub(crate) fn rejected(error: &Error) -> Self {
        Self::of(ErrorCategory::of_rejection(error).into(), error)
    }

    /// An error about a job that the vendor has; it goes on there.
    pub(crate) fn of_accepted(error: &Error, ticket: Option<Ticket>) -> Self {
        Self {
            ticket: ticket.map(Box::new),
            ..Self::of(ErrorCategory::of_accepted(error).into(), error)
        }
    }

    /// Trouble with the ledger. What was written down stays.
    pub(crate) fn ledger(error: &LedgerError) -> Self {
        Self {
            causes: causes(error),
            ..Self::new(ErrorCategory::of_ledger(error).into(), error.to_string())
        }
    }

    fn of(exit: ExitCode, error: &Error) -> Self {
        Self {
            causes: causes(error),
            answer: error.body_excerpt().map(Into::into),
            ..Self::new(exit, error.to_string())
        }
    }
}

impl From<LedgerError> for CommandError {
    fn from(error: LedgerError) -> Self {
        Self::ledger(&error)
    }
}

impl From<InputError> for CommandError {
    fn from(error: InputError) -> Self {
        Self::invalid_input(input_line(&error))
    }
}

impl From<RunnerError> for CommandError {
    fn from(error: RunnerError) -> Self {
        Self::from(&error)
    }
}

impl From<&RunnerError> for CommandError {
    fn from(error: &RunnerError) -> Self {
        Self {
            exit: error.category().into(),
            line: runner_line(error),
            causes: causes(error),
            ticket: error.ticket().cloned().map(Box::new),
            answer: error.body_excerpt().map(Into::into),
        }
    }
}

/// The library's sentence, with the commands that help.
fn runner_line(error: &RunnerError) -> String {
    use RunnerErrorKind as Kind;
    let id = error.job().map_or_else(String::new, |id| id.to_string());
    if error.is_after_delivery() {
        return format!("{error}; --again submits and pays again");
    }
    match error.kind() {
        Kind::InvalidInput(error) => input_line(error),
        Kind::InvalidOutput { path, problem } if *path == std::env::temp_dir() => {
            format!("cannot write temporary files: {problem}; set TMPDIR, or use -o")
        }
        Kind::InvalidOutput { path, problem } => output_line(path, problem),
        Kind::WrongAccount => {
            "the job belongs to another account than the credentials in use; set the variables of the account that \
             submitted it"
                .to_owned()
        }
        Kind::OutcomeUnknown {
            candidates,
            interrupted,
            ..
        } => {
            let cut = if *interrupted { "interrupted; " } else { "" };
            let todo = error
                .job()
                .map_or_else(String::new, |id| in_doubt(id, candidates));
            format!("{cut}{error}{todo}")
        }
        Kind::DeadlineExceeded { .. } | Kind::Interrupted { accepted: Some(_) } => {
            format!("{error}: docjobs wait {id}, or docjobs resume")
        }
        Kind::Unverified { .. } => {
            format!("{error}: docjobs wait {id} --accept-unverified delivers it as it is")
        }
        Kind::Settled {
            can_resubmit: true, ..
        } => format!("{error}; --again submits and pays again"),
        Kind::AlreadyDelivered { output } => {
            let there = output
                .as_ref()
                .map_or_else(String::new, |path| format!(" to {}", path.display()));
            format!("job {id} was exported before{there}; --again pays for it once more")
        }
        Kind::PaidPollsSpent { .. } => format!("{error}; --max-calls allows more"),
        _ => error.to_string(),
    }
}

fn input_line(error: &InputError) -> String {
    match error {
        InputError::NotUnicode { .. } => {
            format!("{error}, or give it on stdin with - --name")
        }
        InputError::NotKept { job, label } => format!(
            "job {job}: {label} came on stdin and was not sent yet: give it to the same command once more, or give the \
             job up with docjobs resolve {job} --abandon"
        ),
        InputError::Changed { job, .. } => {
            format!("{error}; give the job up with docjobs resolve {job} --abandon")
        }
        _ => error.to_string(),
    }
}

/// A place at which no file can be put.
pub(crate) fn output_line(path: &Path, problem: &std::io::Error) -> String {
    let or = match problem.kind() {
        std::io::ErrorKind::AlreadyExists => " with -o, or --overwrite",
        _ => "",
    };
    format!(
        "cannot write {}: {problem}; {}{or}",
        path.display(),
        advice(problem)
    )
}

/// What a person is told to do about a job in doubt.
fn in_doubt(id: LedgerId, candidates: &[JobId]) -> String {
    let ids: Vec<&str> = candidates.iter().map(JobId::as_str).collect();
    let candidates = if ids.is_empty() {
        String::new()
    } else {
        format!("; candidates are {}", ids.join(", "))
    };
    format!(
        "{candidates}; look into the vendor's console, then: docjobs resolve {id} --adopt JOB_ID, or --abandon"
    )
}

fn causes(error: &dyn std::error::Error) -> Vec<String> {
    let mut causes = Vec::new();
    let mut next = error.source();
    while let Some(cause) = next {
        causes.push(cause.to_string());
        next = cause.source();
    }
    causes
}
