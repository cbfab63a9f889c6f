//! Automation of this workspace: `cargo xtask` lists the tasks.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "what a command says is its output"
)]

mod api;
mod bench;
mod ci;
mod clock;
mod codegen;
mod crash;
mod deny;
mod faults;
mod fuzz;
mod metadata;
mod mutants;
mod package;
mod record;
mod tidy;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, bail};

const USAGE: &str = "\
cargo xtask codegen [--check] [--verbose]   types from crates/*/spec/openapi.json
cargo xtask tidy                            the rules of the tree
cargo xtask ci [--list | STEP...]           everything, in order, up to the first failure
cargo xtask package [--quick]               what would be published, packed, and used by a stranger
cargo xtask api --check | --bless           the public API of what is published, against its snapshots
cargo xtask record [--check]                the picture of the demo
cargo xtask deny [--advisories]             licences, sources, second versions, oldest Rust; needs cargo-deny
cargo xtask faults                          every vendor's operations under every fault, as a table
cargo xtask bench NAME                      figures beside what people use: limits, pacing
cargo xtask bench NAME                      figures beside what people use: memory, scheduler, year
cargo xtask fuzz --list | NAME [--seconds N] made-up input for one target of tests/fuzz
cargo xtask crash [--runs N] [--seed S] [--store postgres://…] [--workers N [--jobs N]] [--width N] [--profile NAME]
                                            the command killed at N points, and both ledgers compared
cargo xtask mutants [FILE...]               whether tests notice when a decision is broken
";

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
    let task = words.next();
    let rest: Vec<&str> = words.collect();
    let root = root();
    match task {
        Some("codegen") => {
            only(&rest, &["--check", "--verbose"])?;
            codegen::run(
                &root,
                rest.contains(&"--check"),
                rest.contains(&"--verbose"),
            )
        }
        Some("tidy") => {
            only(&rest, &[])?;
            tidy::run(&root)
        }
        Some("ci") => ci::run(&root, &rest),
        Some("package") => package::run(&root, &rest),
        Some("api") => api::run(&root, &rest),
        Some("record") => record::run(&root, &rest),
        Some("deny") => deny::run(&root, &rest),
        Some("faults") => {
            only(&rest, &[])?;
            faults::run(&root)
        }
        Some("bench") => bench::run(&root, &rest),
        Some("fuzz") => fuzz::run(&root, &rest),
        Some("crash") => crash::run(&root, &rest),
        Some("mutants") => mutants::run(&root, &rest),
        None | Some("help" | "--help" | "-h") => {
            print!("{USAGE}");
            Ok(())
        }
        Some(other) => bail!("there is no task `{other}`\n{USAGE}"),
    }
}

fn only(given: &[&str], known: &[&str]) -> Result<()> {
    match given.iter().find(|word| !known.contains(word)) {
        Some(word) => bail!("`{word}` is not known here\n{USAGE}"),
        None => Ok(()),
    }
}

/// The root of the workspace this program was built in.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .map_or_else(|| PathBuf::from("."), Path::to_path_buf)
}
