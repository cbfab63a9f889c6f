//! Automation of this workspace: `cargo xtask` lists the tasks.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "what a command says is its output"
)]

mod ci;
mod clock;
mod codegen;
mod fuzz;
mod metadata;
mod tidy;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, bail};

const USAGE: &str = "\
cargo xtask codegen [--check] [--verbose]   types from crates/*/spec/openapi.json
cargo xtask tidy                            the rules of the tree
cargo xtask ci [--list | STEP...]           everything, in order, up to the first failure
cargo xtask fuzz --list | NAME [--seconds N] made-up input for one target of tests/fuzz
";

fn main() -> ExitCode {
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
        Some("fuzz") => fuzz::run(&root, &rest),
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
