//! `faults`: tries every cell of the fault matrix and prints it as a table.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

/// Without what a test prints, cargo would keep the table to itself.
const ARGUMENTS: [&str; 11] = [
    "test",
    "--quiet",
    "--package",
    "docjobs-tests",
    "--test",
    "it",
    "--",
    "--exact",
    "--show-output",
    TEST,
    "--test-threads=1",
];
const TEST: &str = "faults::every_fault_ends_as_the_promises_say";

/// Runs the test that is the matrix. It says which cells are off.
pub(crate) fn run(root: &Path) -> Result<()> {
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
        bail!("there is no test {TEST} in docjobs-tests");
    }
    Ok(())
}

/// What the test printed, from its first vendor to the sum at its end.
fn cells(said: &str) -> Vec<&str> {
    let table = said
        .lines()
        .skip_while(|line| !line.starts_with("textin "))
        .collect::<Vec<_>>();
    let end = table
        .iter()
        .position(|line| line.contains(" cells, of which "));
    match end {
        Some(end) => table.into_iter().take(end + 1).collect(),
        None => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_what_stands_between_the_first_vendor_and_the_sum() {
        let said = "running 1 test\n---- x stdout ----\n\ntextin  submit\nrefused  ok\n\n\
                    14 cells, of which 2 make no sense\n\ntest result: ok";
        assert_eq!(
            cells(said),
            [
                "textin  submit",
                "refused  ok",
                "",
                "14 cells, of which 2 make no sense"
            ]
        );
        assert!(cells("running 0 tests\n\ntest result: ok").is_empty());
    }
}
