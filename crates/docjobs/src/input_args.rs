//! What can be typed about documents, one or many, and where their results go.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jobs_runner::{Handler, JobInput};

use crate::exit::CommandError;
use crate::inputs::{self, Accepted, Given, Separator};

/// The documents.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct InputArgs {
    /// Files, folders (every file below them whose type is taken), - for stdin; for TextIn also addresses from which the
    /// vendor fetches.
    #[arg(value_name = "INPUT", required_unless_present_any = ["from", "from0"])]
    pub(crate) inputs: Vec<OsString>,
    /// What the document on stdin is called, such as report.pdf: the vendor knows its type by it.
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Read more inputs from this file (- for stdin), one a line; blank lines and # lines are ignored.
    #[arg(long, value_name = "LIST", help_heading = MANY)]
    pub(crate) from: Option<PathBuf>,
    /// The same for a list whose entries end with a NUL, as find -print0 writes it.
    #[arg(long, value_name = "LIST", conflicts_with = "from", help_heading = MANY)]
    pub(crate) from0: Option<PathBuf>,
}

/// How many documents are worked on by one command.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct BatchArgs {
    /// Say what would happen and what it would cost, as far as that is known; send and write nothing.
    #[arg(long, conflicts_with_all = ["enqueue", "no_wait"], help_heading = MANY)]
    pub(crate) dry_run: bool,
    /// Record the jobs and print their ids; docjobs work does the rest.
    #[arg(long, conflicts_with = "no_wait", help_heading = MANY)]
    pub(crate) enqueue: bool,
    /// Submit and pay again for documents whose jobs failed or are gone.
    #[arg(long, conflicts_with = "again", help_heading = MANY)]
    pub(crate) again_failed: bool,
    /// The name of this run of --again: jobs submitted under it are attached to by the same name.
    #[arg(long, value_name = "NAME", requires = "again", help_heading = MANY)]
    pub(crate) run: Option<String>,
    /// Read every document, also those that seem unchanged by size, time and inode.
    #[arg(long, help_heading = MANY)]
    pub(crate) verify: bool,
    /// End the command after this time; --deadline is for each job, from its submit.
    #[arg(long, value_parser = deadline, value_name = "TIME", help_heading = MANY)]
    pub(crate) total_deadline: Option<Duration>,
    /// Write what became of each input to this CSV file.
    #[arg(long, value_name = "FILE.csv", help_heading = MANY)]
    pub(crate) report: Option<PathBuf>,
}

/// The folder for the results of several documents.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct OutArgs {
    /// The folder for results, each named like its input; made if it is missing. What lies below it is no input.
    #[arg(long, value_name = "DIR", conflicts_with = "output", help_heading = MANY)]
    pub(crate) out: Option<PathBuf>,
}

const MANY: &str = "Many documents";

impl InputArgs {
    /// One file.
    pub(crate) fn of(path: PathBuf) -> Self {
        Self {
            inputs: vec![path.into_os_string()],
            ..Self::default()
        }
    }

    /// What was typed, with the folder for results.
    pub(crate) fn given<'a>(&'a self, out: Option<&'a Path>) -> Given<'a> {
        let list = match (&self.from, &self.from0) {
            (Some(list), _) => Some((list.as_path(), Separator::Line)),
            (_, Some(list)) => Some((list.as_path(), Separator::Nul)),
            (None, None) => None,
        };
        Given {
            inputs: &self.inputs,
            list,
            stdin_name: self.name.as_deref(),
            out,
        }
    }
}

impl InputArgs {
    /// The one document of a command that is no batch, if its kind takes such a one; it is not read for that.
    pub(crate) fn single(&self, handler: &impl Handler) -> Result<&OsStr, CommandError> {
        let [input] = self.inputs.as_slice() else {
            return Err(CommandError::invalid_input("give one INPUT"));
        };
        let accepted = Accepted {
            types: handler.accepted_types(),
            largest: &|extension| handler.largest_document(extension),
            urls: handler.accepts_url(),
        };
        inputs::select(&self.given(None), &accepted)?;
        Ok(input)
    }
}

impl BatchArgs {
    /// Whether one of these makes even a single document a batch.
    pub(crate) fn asks_for_batch(&self) -> bool {
        self.dry_run || self.enqueue || self.again_failed || self.report.is_some()
    }

    /// The input as the run of this name pays for it again.
    pub(crate) fn in_run(&self, input: JobInput) -> JobInput {
        match &self.run {
            Some(name) => input.with_run(name.as_str()),
            None => input,
        }
    }

    /// A command about one document ends by either deadline.
    pub(crate) fn bound(&self, deadline: Duration) -> Duration {
        self.total_deadline
            .map_or(deadline, |total| total.min(deadline))
    }
}

/// A time as it is typed: `90s`, `10m`, `2h`.
pub(crate) fn deadline(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|problem| format!("{problem}; write 90s, 10m or 2h"))
}
