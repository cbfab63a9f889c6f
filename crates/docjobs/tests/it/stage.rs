//! A folder, a simulator and the command in front of it.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use tempfile::TempDir;
use tokio::process::Command;
use vendor_sim::{SimOptions, Simulators};

/// How much faster than the vendor everything goes.
pub(crate) const SPEED: u32 = 100;

pub(crate) struct Stage {
    pub(crate) simulators: Simulators,
    pub(crate) folder: TempDir,
    ledger: TempDir,
}

/// What a run of the command left behind.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) exit: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    /// The ticket that was printed for people.
    pub(crate) fn ticket(&self) -> &str {
        self.stderr
            .lines()
            .filter_map(|line| line.strip_prefix("ticket: "))
            .next_back()
            .expect("a ticket on stderr")
    }
}

impl Stage {
    pub(crate) async fn new() -> Self {
        let options = SimOptions {
            speed: f64::from(SPEED),
            ..SimOptions::default()
        };
        Self::with(Simulators::start(options).await.unwrap())
    }

    pub(crate) fn with(simulators: Simulators) -> Self {
        Self {
            simulators,
            folder: tempfile::tempdir().unwrap(),
            ledger: tempfile::tempdir().unwrap(),
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes an input file.
    pub(crate) fn input(&self, name: &str, content: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    /// Runs the command in the folder, with the simulators' variables only.
    pub(crate) async fn run(&self, args: &[&str]) -> Ran {
        self.run_with(args, &[]).await
    }

    /// The same, with further variables.
    pub(crate) async fn run_with(&self, args: &[&str], variables: &[(&str, &str)]) -> Ran {
        let mut env = self.env();
        for (name, value) in variables {
            env.retain(|(known, _)| known != name);
            env.push(((*name).to_owned(), (*value).to_owned()));
        }
        run(self.folder.path(), args, &env).await
    }

    /// A process of the command, not started yet.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        command(self.folder.path(), args, &self.env())
    }

    /// A process of somebody else in front of the same simulators and ledger, not started yet.
    pub(crate) fn foreign_command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(self.folder.path())
            .env_clear()
            .env("HOME", self.folder.path())
            .envs(self.env())
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }

    fn env(&self) -> Vec<(String, String)> {
        let mut env = self.simulators.env();
        env.push(("DOCJOBS_LEDGER".to_owned(), self.ledger_path()));
        env
    }

    /// Where the ledger is.
    pub(crate) fn ledger_path(&self) -> String {
        self.ledger.path().join("ledger.db").display().to_string()
    }

    /// What lies in the folder.
    pub(crate) fn files(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.folder.path()).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

/// Runs the command with nothing but these variables.
pub(crate) async fn run(folder: &Path, args: &[&str], env: &[(String, String)]) -> Ran {
    let output = command(folder, args, env).output().await.unwrap();
    Ran {
        exit: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A process of the command with nothing but these variables, not started yet.
pub(crate) fn command(folder: &Path, args: &[&str], env: &[(String, String)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_docjobs"));
    command
        .args(args)
        .current_dir(folder)
        .env_clear()
        .env("HOME", folder)
        .envs(env.iter().filter(|(_, value)| !value.is_empty()).cloned())
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}
