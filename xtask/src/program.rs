//! Runs a program to its end.

use std::process::Command;

use anyhow::{Context as _, Result, bail};

/// Waits for a program, which must succeed; `what` names it in the error.
pub(crate) fn finish(command: &mut Command, what: &str) -> Result<()> {
    let status = command
        .status()
        .with_context(|| format!("cannot start {what}"))?;
    if !status.success() {
        bail!("{what} ended with {status}");
    }
    Ok(())
}
