//! A Temporal server of a test's own, on loopback, that can be killed and started again.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use jobs_core::clock::SystemClock;
use serde_json::Value;
use temporalio_client::Client;

const UP: Duration = Duration::from_secs(60);

/// The server's program; none, said aloud, where the variable is not set.
pub(crate) fn program() -> Option<PathBuf> {
    let program = std::env::var_os("DOCJOBS_TEST_TEMPORAL").filter(|path| !path.is_empty());
    if program.is_none() {
        eprintln!("SKIPPED: DOCJOBS_TEST_TEMPORAL does not name a Temporal server");
    }
    program.map(PathBuf::from)
}

/// A running server.
pub(crate) struct Server {
    program: PathBuf,
    folder: PathBuf,
    port: u16,
    child: Child,
}

impl Server {
    pub(crate) async fn start(program: &Path, folder: &Path) -> Self {
        let port = free_port();
        let mut server = Self {
            program: program.to_owned(),
            folder: folder.to_owned(),
            port,
            child: spawn(program, folder, port),
        };
        server.wait_until_up().await;
        server
    }

    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Kills it and starts it again with what it had on its disk.
    pub(crate) async fn kill_and_start(&mut self, down: Duration) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        let clock = SystemClock::shared();
        clock.sleep_until(clock.now() + down).await;
        self.child = spawn(&self.program, &self.folder, self.port);
        self.wait_until_up().await;
    }

    async fn wait_until_up(&mut self) {
        let clock = SystemClock::shared();
        let limit = clock.now() + UP;
        while self.try_client("default").await.is_none() {
            assert!(clock.now() < limit, "the Temporal server does not come up");
            assert!(
                self.child.try_wait().unwrap().is_none(),
                "the Temporal server has ended"
            );
            clock
                .sleep_until(clock.now() + Duration::from_millis(200))
                .await;
        }
    }

    async fn try_client(&self, namespace: &str) -> Option<Client> {
        jobs_temporal::connect(
            Some(&self.address()),
            Some(namespace),
            "test".to_owned(),
            |_| None,
        )
        .await
        .ok()
    }

    pub(crate) async fn client(&self, namespace: &str) -> Client {
        self.try_client(namespace).await.unwrap()
    }

    /// Runs Temporal's own command.
    pub(crate) fn command(&self, namespace: &str, words: &[&str]) -> Output {
        Command::new(&self.program)
            .args(words)
            .args(["--address", &self.address(), "--namespace", namespace])
            .env("HOME", &self.folder)
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    /// The events of a workflow's latest run.
    pub(crate) fn history(&self, namespace: &str, workflow: &str) -> Vec<Value> {
        let shown = self.command(
            namespace,
            &[
                "workflow",
                "show",
                "--workflow-id",
                workflow,
                "--output",
                "json",
            ],
        );
        let history: Value = serde_json::from_slice(&shown.stdout).unwrap_or_else(|problem| {
            panic!("{problem}: {}", String::from_utf8_lossy(&shown.stderr));
        });
        history["events"].as_array().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn spawn(program: &Path, folder: &Path, port: u16) -> Child {
    let port_text = port.to_string();
    let log = std::fs::File::options()
        .create(true)
        .append(true)
        .open(folder.join("server.log"))
        .unwrap();
    Command::new(program)
        .args([
            "server",
            "start-dev",
            "--headless",
            "--ip",
            "127.0.0.1",
            "--log-level",
            "error",
        ])
        .args([
            "--port",
            &port_text,
            "--http-port",
            &free_port().to_string(),
        ])
        .args(["--metrics-port", &free_port().to_string()])
        .args(["--namespace", "default", "--namespace", "other"])
        .arg("--db-filename")
        .arg(folder.join("temporal.db"))
        .env("HOME", folder)
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap()
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}
