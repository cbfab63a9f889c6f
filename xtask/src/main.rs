//! Automation of this workspace: `cargo xtask` lists the tasks.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "what a command says is its output"
)]

mod api;
mod bench;
mod browser;
mod ci;
mod clock;
mod codegen;
mod crash;
mod demo_svg;
mod deny;
mod dist;
mod faults;
mod fuzz;
mod metadata;
mod mutants;
mod old_ledger;
mod package;
mod program;
mod soak;
mod temporal;
mod tidy;
mod tool;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, bail};

/// One command of `cargo xtask`.
struct Task {
    name: &'static str,
    /// What may follow the name.
    arguments: &'static str,
    about: &'static str,
    run: fn(&Path, &[&str]) -> Result<()>,
}

/// Every command, in the order in which `cargo xtask` lists them.
const TASKS: &[Task] = &[
    Task {
        name: "ci",
        arguments: "[--list | STEP...]",
        about: "everything that must hold, in order, up to the first failure",
        run: ci::run,
    },
    Task {
        name: "codegen",
        arguments: "[--check] [--verbose]",
        about: "types from crates/*/spec/openapi.json",
        run: |root, words| {
            only(words, &["--check", "--verbose"])?;
            codegen::run(
                root,
                words.contains(&"--check"),
                words.contains(&"--verbose"),
            )
        },
    },
    Task {
        name: "tidy",
        arguments: "",
        about: "the rules of the tree",
        run: |root, words| {
            only(words, &[])?;
            tidy::run(root)
        },
    },
    Task {
        name: "api",
        arguments: "--check | --bless",
        about: "the public API of what is published, against its snapshots",
        run: api::run,
    },
    Task {
        name: "package",
        arguments: "[--quick]",
        about: "what would be published: packed, and used by a stranger",
        run: package::run,
    },
    Task {
        name: "dist",
        arguments: "[--profile NAME]",
        about: "what people install on this platform: archive, wheel, npm and Debian packages",
        run: dist::run,
    },
    Task {
        name: "record",
        arguments: "[--check]",
        about: "the picture of the demo",
        run: demo_svg::run,
    },
    Task {
        name: "faults",
        arguments: "",
        about: "every vendor's operations under every fault, as a table",
        run: |root, words| {
            only(words, &[])?;
            faults::run(root)
        },
    },
    Task {
        name: "old-ledger",
        arguments: "--store postgres://...",
        about: "the fixtures of a ledger as an earlier version left it; needs sqlite3, psql and pg_dump",
        run: old_ledger::run,
    },
    Task {
        name: "soak",
        arguments: "[--runs N] [--seed S]",
        about: "every vendor's operations against servers that behave badly at random, in one process",
        run: soak::run,
    },
    Task {
        name: "crash",
        arguments: "[--runs N] [--seed S] [--store postgres://...] [--workers N [--jobs N]] [--width N] [--profile NAME]",
        about: "the command killed at N points, then both ledgers compared; with --jobs: N workers finish that many jobs",
        run: crash::run,
    },
    Task {
        name: "temporal",
        arguments: "[--full] [TEST...]",
        about: "crates/jobs-temporal against a real server, installed by hash; --full: 1 000 jobs",
        run: temporal::run,
    },
    Task {
        name: "fuzz",
        arguments: "--list | NAME [--seconds N]",
        about: "generated input for one target of tests/fuzz; needs cargo-fuzz",
        run: fuzz::run,
    },
    Task {
        name: "mutants",
        arguments: "[FILE...]",
        about: "whether tests notice a broken decision; needs cargo-mutants",
        run: mutants::run,
    },
    Task {
        name: "deny",
        arguments: "[--advisories]",
        about: "licences, sources, second versions, oldest Rust; needs cargo-deny",
        run: deny::run,
    },
    Task {
        name: "browser",
        arguments: "",
        about: "the page of docjobs serve in a real browser; needs chromium, node and npm",
        run: |root, words| {
            only(words, &[])?;
            browser::run(root)
        },
    },
    Task {
        name: "bench",
        arguments: bench::NAMES,
        about: "figures beside what people use",
        run: bench::run,
    },
];

fn main() -> ExitCode {
    if let Some(code) = api::as_rustdoc() {
        return code;
    }
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Result<()> {
    let mut words = arguments.iter().map(String::as_str);
    let name = words.next().unwrap_or("help");
    if matches!(name, "help" | "--help" | "-h") {
        print!("{}", usage());
        return Ok(());
    }
    let rest: Vec<&str> = words.collect();
    match TASKS.iter().find(|task| task.name == name) {
        Some(task) => (task.run)(&root(), &rest),
        None => bail!("there is no task `{name}`\n{}", usage()),
    }
}

/// The list of commands, as `cargo xtask --help` prints it.
fn usage() -> String {
    TASKS.iter().fold(String::new(), |text, task| {
        let line = format!("cargo xtask {} {}", task.name, task.arguments);
        text + line.trim_end() + "\n    " + task.about + "\n"
    })
}

/// Refuses arguments that the task does not have.
fn only(given: &[&str], known: &[&str]) -> Result<()> {
    match given.iter().find(|word| !known.contains(word)) {
        Some(word) => bail!("`{word}` is not known here\n{}", usage()),
        None => Ok(()),
    }
}

/// The root of the workspace this program was built in.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .map_or_else(|| PathBuf::from("."), Path::to_path_buf)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_names_every_task_once() {
        let usage = usage();
        for task in TASKS {
            let line = format!("cargo xtask {}", task.name);
            let named = usage.lines().filter(|text| {
                text.split(" [")
                    .next()
                    .is_some_and(|text| text.starts_with(&line))
            });
            assert_eq!(named.count(), 1, "{}", task.name);
        }
        assert!(run(&["no-such-task".to_owned()]).is_err());
    }
}
