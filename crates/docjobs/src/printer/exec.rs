//! The command that prints: its surroundings, and what its end means.

use std::ffi::OsStr;
use std::io;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};

use printer_jobs::{ListedJob, PrintOutcome};
use tokio::process::{Child, Command};

use super::outcome::failure;
use super::render::{self, one_line};
use super::words::{Said, Words};
use crate::exit::CommandError;

/// Beginnings of the names of variables that are ours, or that open a database: not the business of a command that
/// prints.
const OURS: [&str; 8] = [
    "DOCJOBS_",
    "PG",
    "MINDSHOW_",
    "TENCENTCLOUD_",
    "TENCENT_ESS_",
    "PPJ_",
    "TEXTIN_",
    "WECOM_PRINTER_SECRET",
];

/// A command line, split into words.
#[derive(Debug, Clone)]
pub(super) struct Exec(Words);

impl Exec {
    pub(super) fn parse(line: &str) -> Result<Self, CommandError> {
        Words::parse(line).map(Self)
    }

    pub(super) fn program(&self) -> &str {
        self.0.program()
    }

    /// What is odd about it for every job.
    pub(super) fn advice(&self) -> Option<String> {
        let (option, placeholder) = self.0.lone_option()?;
        Some(format!(
            "--exec: of a job that does not say {placeholder} only that word is left out, and {option} stays; write \
             {option}{placeholder} as one word if the command takes it so"
        ))
    }

    /// A line that names the settings of the job which the command gets only as variables.
    pub(super) fn drops(&self, job: &ListedJob) -> Option<String> {
        let (pairs, missing) = self.0.unused(job);
        if pairs.is_empty() {
            return None;
        }
        let mut line = format!(
            "has settings that no word of --exec carries: {}; ",
            pairs.join(", ")
        );
        if !missing.is_empty() {
            line.push_str(&format!("add {}, or ", missing.join(" and ")));
        }
        line.push_str("have the command read DOCJOBS_SETTINGS");
        Some(line)
    }

    /// Starts it for a job. On an error it provably did not run.
    pub(super) fn start(&self, job: &ListedJob, files: &[PathBuf]) -> io::Result<Child> {
        let said = Said::by(job);
        let mut command = Command::new(self.0.program());
        for (name, _) in std::env::vars_os().filter(|(name, _)| is_ours(name)) {
            command.env_remove(name);
        }
        command
            .args(self.0.arguments(&said, files))
            .envs(variables(job, &said))
            .stdin(Stdio::null())
            // Stdout is for results and events.
            .stdout(io::stderr())
            .stderr(io::stderr());
        // Ctrl-C in a terminal goes to the whole group: the job at hand shall be finished.
        #[cfg(unix)]
        command.process_group(0);
        command.spawn()
    }
}

fn is_ours(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    OURS.iter().any(|beginning| name.starts_with(beginning))
}

/// What the command is told of the job; a variable is empty where nothing is known.
fn variables(job: &ListedJob, said: &Said) -> [(&'static str, String); 8] {
    let text = |text: &Option<String>| text.as_deref().map(one_line).unwrap_or_default();
    let known = |text: Option<&str>| text.unwrap_or_default().to_owned();
    [
        ("DOCJOBS_JOB_ID", one_line(&job.id)),
        ("DOCJOBS_DOC_NAME", text(&job.doc_name)),
        ("DOCJOBS_USER", text(&job.userid)),
        ("DOCJOBS_PAPER", known(said.paper.as_deref())),
        ("DOCJOBS_SIDES", known(said.sides)),
        ("DOCJOBS_COLOR", known(said.color)),
        ("DOCJOBS_COPIES", known(said.copies.as_deref())),
        // All of them as they came; JSON has no character in it that ends a variable.
        ("DOCJOBS_SETTINGS", render::settings(job).to_string()),
    ]
}

/// What the end of the command means for the job.
pub(super) fn verdict(status: ExitStatus) -> PrintOutcome {
    if status.success() {
        return PrintOutcome::Succeeded;
    }
    match status.code() {
        Some(code) => failure(
            u32::try_from(code).unwrap_or(1),
            &format!("the print command ended with exit code {code}"),
        ),
        None => failure(1, &format!("the print command was ended: {status}")),
    }
}
