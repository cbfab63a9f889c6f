//! The command that prints: its words, its surroundings, and what its end means.

use std::io;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};

use printer_jobs::settings::{Color, Sides, Vocabulary};
use printer_jobs::wire::{ListedJob, PrintOutcome};
use tokio::process::{Child, Command};

use super::outcome::failure;
use super::shape::one_line;
use crate::exit::Stop;

/// What is ours and opens something: not the business of a command that prints.
const SECRETS: &[&str] = &[
    "WECOM_PRINTER_SECRET_NO",
    "MINDSHOW_API_KEY",
    "TENCENTCLOUD_SECRET_ID",
    "TENCENTCLOUD_SECRET_KEY",
    "TENCENTCLOUD_SESSION_TOKEN",
    "PPJ_ACCESS_KEY",
    "PPJ_APP_ID",
    "PPJ_APP_SECRET",
    "TEXTIN_APP_ID",
    "TEXTIN_SECRET_CODE",
    "DOCJOBS_LEDGER",
];

/// A command line, split into words.
#[derive(Debug, Clone)]
pub(super) struct Exec {
    program: String,
    words: Vec<String>,
}

impl Exec {
    pub(super) fn parse(line: &str) -> Result<Self, Stop> {
        let words = shlex::split(line).unwrap_or_default();
        match words.split_first() {
            Some((program, words)) if !program.is_empty() => Ok(Self {
                program: program.clone(),
                words: words.to_vec(),
            }),
            _ => Err(Stop::bad_input(format!(
                "--exec {line:?} is no command: give a program and its words, with quotes closed"
            ))),
        }
    }

    pub(super) fn program(&self) -> &str {
        &self.program
    }

    /// Starts it for a job. On an error it provably did not run.
    pub(super) fn start(&self, job: &ListedJob, files: &[PathBuf]) -> io::Result<Child> {
        let mut command = Command::new(&self.program);
        command
            .args(&self.words)
            .args(files)
            .envs(variables(job))
            .stdin(Stdio::null())
            // Stdout is for results and events.
            .stdout(io::stderr())
            .stderr(io::stderr());
        for secret in SECRETS {
            command.env_remove(secret);
        }
        // Ctrl-C in a terminal goes to the whole group: the job at hand shall be finished.
        #[cfg(unix)]
        command.process_group(0);
        command.spawn()
    }
}

/// What the command is told of the job; a variable is empty where nothing is known.
///
/// Sides and colour use the words of IPP, which print commands take; a value that is not understood is passed on as it
/// came.
fn variables(job: &ListedJob) -> [(&'static str, String); 7] {
    let words = Vocabulary::default();
    let settings = &job.settings;
    let raw = |keys: &[String]| settings.first(keys).map(one_line).unwrap_or_default();
    let sides = match settings.sides(&words) {
        Some(Sides::Single) => "one-sided".to_owned(),
        Some(Sides::LongEdge) => "two-sided-long-edge".to_owned(),
        Some(Sides::ShortEdge) => "two-sided-short-edge".to_owned(),
        _ => raw(&words.sides_keys),
    };
    let color = match settings.color(&words) {
        Some(Color::Monochrome) => "monochrome".to_owned(),
        Some(Color::Color) => "color".to_owned(),
        _ => raw(&words.color_keys),
    };
    let copies = settings.copies(&words).map(|copies| copies.to_string());
    let text = |text: &Option<String>| text.as_deref().map(one_line).unwrap_or_default();
    [
        ("DOCJOBS_JOB_ID", one_line(&job.id)),
        ("DOCJOBS_DOC_NAME", text(&job.doc_name)),
        ("DOCJOBS_USER", text(&job.userid)),
        ("DOCJOBS_PAPER", raw(&words.paper_keys)),
        ("DOCJOBS_SIDES", sides),
        ("DOCJOBS_COLOR", color),
        (
            "DOCJOBS_COPIES",
            copies.unwrap_or_else(|| raw(&words.copies_keys)),
        ),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_split_without_a_shell() {
        let exec = Exec::parse(r#"lp -d "back office" '$HOME;x' a\ b"#).unwrap();
        assert_eq!(exec.program, "lp");
        assert_eq!(exec.words, ["-d", "back office", "$HOME;x", "a b"]);
        for line in ["", "  ", "lp 'open", "''", "\"\" x"] {
            assert!(Exec::parse(line).is_err(), "{line:?}");
        }
    }
}
