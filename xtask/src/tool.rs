//! Cargo's own tools that are installed apart, and the version each was last run with.

use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::metadata;

/// A subcommand that `cargo install` brings.
pub(crate) struct Tool {
    /// As cargo calls it: `deny` of `cargo-deny`.
    pub(crate) name: &'static str,
    pub(crate) version: &'static str,
}

pub(crate) const DENY: Tool = Tool {
    name: "deny",
    version: "0.20.2",
};
pub(crate) const FUZZ: Tool = Tool {
    name: "fuzz",
    version: "0.13.2",
};
pub(crate) const MUTANTS: Tool = Tool {
    name: "mutants",
    version: "27.1.0",
};

impl Tool {
    /// Fails with the command that installs it, if it is missing.
    pub(crate) fn require(&self) -> Result<()> {
        let output = Command::new(metadata::cargo())
            .args([self.name, "--version"])
            .output()
            .context("cannot start cargo")?;
        if !output.status.success() {
            let Self { name, version } = self;
            bail!(
                "cargo-{name} is missing: `cargo install cargo-{name} --locked --version {version}` installs it"
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_tool_is_named_with_the_command_that_installs_it() {
        let tool = Tool {
            name: "no-such-tool",
            version: "1.2.3",
        };
        let message = tool.require().unwrap_err().to_string();
        assert!(
            message.contains("cargo install cargo-no-such-tool --locked --version 1.2.3"),
            "{message}"
        );
    }
}
