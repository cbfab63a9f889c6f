//! A step of `ci`: its name and what it runs.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::metadata;

/// One step; fails at its first command that fails.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) actions: Vec<Action>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Action {
    /// `cargo` with these arguments and these additions to the environment.
    Cargo {
        arguments: Vec<String>,
        environment: Vec<(&'static str, &'static str)>,
    },
    /// One of our own tasks, in this process.
    Codegen,
    Tidy,
    Api,
    Browser,
    /// Quickly: the steps before have built every package.
    Package,
    /// Only these tests.
    Temporal(&'static [&'static str]),
}

impl Action {
    pub(crate) fn cargo<S: AsRef<str>>(arguments: impl IntoIterator<Item = S>) -> Self {
        Self::Cargo {
            arguments: arguments
                .into_iter()
                .map(|word| word.as_ref().to_owned())
                .collect(),
            environment: Vec::new(),
        }
    }

    /// As a person would type it.
    pub(crate) fn line(&self) -> String {
        match self {
            Action::Codegen => "cargo xtask codegen --check".to_owned(),
            Action::Tidy => "cargo xtask tidy".to_owned(),
            Action::Api => "cargo xtask api --check".to_owned(),
            Action::Browser => "cargo xtask browser".to_owned(),
            Action::Package => "cargo xtask package --quick".to_owned(),
            Action::Temporal(tests) => format!("cargo xtask temporal {}", tests.join(" ")),
            Action::Cargo {
                arguments,
                environment,
            } => {
                let set = environment
                    .iter()
                    .map(|(name, value)| format!("{name}='{value}' "));
                format!("{}cargo {}", set.collect::<String>(), arguments.join(" "))
            }
        }
    }

    pub(crate) fn run(&self, root: &Path) -> Result<()> {
        match self {
            Action::Codegen => crate::codegen::run(root, true, false),
            Action::Tidy => crate::tidy::run(root),
            Action::Api => crate::api::run(root, &["--check"]),
            Action::Browser => crate::browser::run(root),
            Action::Package => crate::package::run(root, &["--quick"]),
            Action::Temporal(tests) => crate::temporal::run(root, tests),
            Action::Cargo {
                arguments,
                environment,
            } => {
                let status = Command::new(metadata::cargo())
                    .args(arguments)
                    .envs(environment.iter().copied())
                    .current_dir(root)
                    .status()
                    .context("cannot start cargo")?;
                if !status.success() {
                    bail!("`{}` failed ({status})", self.line());
                }
                Ok(())
            }
        }
    }
}
