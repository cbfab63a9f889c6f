//! `faults`: tries every cell of the fault matrix and prints it as a table.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

/// Without what a test prints, cargo would keep the table to itself.
const ARGUMENTS: [&str; 10] = [
    "test",
    "--quiet",
    "--package",
    "docjobs-tests",
    "--test",
    "it",
    "--",
    "--show-output",
    "--test-threads=1",
    TESTS,
];
/// The libraries' half of the matrix and the commands' half.
const TESTS: &str = "faults::";

/// Runs the tests that are the matrix. They say which cells are off.
pub(crate) fn run(root: &Path) -> Result<()> {
    // The commands' half runs what lies beside the tests, and must not run an old one.
    let built = Command::new(env!("CARGO"))
        .args(["build", "--package", "docjobs"])
        .current_dir(root)
        .status()
        .context("cargo cannot be run")?;
    if !built.success() {
        bail!("docjobs does not build");
    }
    let output = Command::new(env!("CARGO"))
        .args(ARGUMENTS)
        .current_dir(root)
        .output()
        .context("cargo cannot be run")?;
    let said = String::from_utf8_lossy(&output.stdout);
    let table = cells(&said);
    for line in &table {
        println!("{line}");
    }
    if !output.status.success() {
        bail!(
            "the matrix is not as it should be\n{}\n{}",
            said.lines()
                .skip_while(|line| !line.contains("cells are off"))
                .collect::<Vec<_>>()
                .join("\n"),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    if table.is_empty() {
        bail!("there are no tests {TESTS} in docjobs-tests");
    }
    Ok(())
}

/// What the tests printed, each from its first vendor to the sum at its end.
fn cells(said: &str) -> Vec<&str> {
    let mut table = Vec::new();
    let mut is_inside = false;
    for line in said.lines() {
        is_inside |= line.starts_with("textin ") || line.starts_with("docjobs textin ");
        if is_inside {
            table.push(line);
        }
        if line.contains(" cells, of which ") {
            is_inside = false;
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_what_stands_between_the_first_vendors_and_the_sums() {
        let said = "running 2 tests\n---- x stdout ----\n\ntextin  submit\nrefused  ok\n\n\
                    14 cells, of which 2 make no sense\n\n---- y stdout ----\n--- off\n\
                    docjobs textin  submit\ngzip  0\n\n3 cells, of which 1 make no sense\n\ntest result: ok";
        assert_eq!(
            cells(said),
            [
                "textin  submit",
                "refused  ok",
                "",
                "14 cells, of which 2 make no sense",
                "docjobs textin  submit",
                "gzip  0",
                "",
                "3 cells, of which 1 make no sense",
            ]
        );
        assert!(cells("running 0 tests\n\ntest result: ok").is_empty());
    }
}
