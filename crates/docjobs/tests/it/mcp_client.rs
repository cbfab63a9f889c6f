//! A client of `docjobs mcp` that speaks raw JSON-RPC and believes nothing.

use std::process::Stdio;
use std::time::Duration;

use jobs_core::clock::{Clock as _, SystemClock};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout};
use tokio::task::JoinHandle;

use crate::stage::Stage;

/// The longest a test waits for a message.
const LONG: Duration = Duration::from_secs(60);

/// A running server and what it has said.
pub(crate) struct Client {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Lines<BufReader<ChildStdout>>,
    /// Read all along, so that a talkative server never waits for it.
    stderr: JoinHandle<String>,
    next_id: i64,
    /// Every message that was no answer to a request.
    pub(crate) notifications: Vec<Value>,
    /// Answers to requests of the server, by method.
    pub(crate) answers: Vec<(String, Value)>,
}

impl Client {
    /// Starts the server below the folder of the stage, without initializing it.
    pub(crate) fn start(stage: &Stage, args: &[&str]) -> Self {
        let root = stage.folder.path().display().to_string();
        let mut all = vec!["mcp"];
        if !args.contains(&"--root") {
            all.extend(["--root", &root]);
        }
        all.extend(args);
        let mut command = stage.command(&all);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stdin = child.stdin.take();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut pipe = child.stderr.take().unwrap();
        let stderr = tokio::spawn(async move {
            let mut bytes = Vec::new();
            pipe.read_to_end(&mut bytes).await.unwrap();
            String::from_utf8_lossy(&bytes).into_owned()
        });
        Self {
            stderr,
            child,
            stdin,
            lines,
            next_id: 0,
            notifications: Vec::new(),
            answers: Vec::new(),
        }
    }

    /// Starts and initializes it with these capabilities of the client.
    pub(crate) async fn connect(stage: &Stage, args: &[&str], capabilities: Value) -> Self {
        let mut client = Self::start(stage, args);
        let initialized = client
            .request(
                "initialize",
                json!({
                    "protocolVersion": "2025-11-25", "capabilities": capabilities,
                    "clientInfo": { "name": "test", "version": "1" },
                }),
            )
            .await;
        assert_eq!(
            initialized["result"]["protocolVersion"], "2025-11-25",
            "{initialized}"
        );
        client
            .send(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }))
            .await;
        client
    }

    pub(crate) async fn plain(stage: &Stage) -> Self {
        Self::connect(stage, &[], json!({})).await
    }

    pub(crate) async fn send(&mut self, message: &Value) {
        self.send_text(&format!("{message}\n")).await;
    }

    pub(crate) async fn send_text(&mut self, text: &str) {
        let stdin = self.stdin.as_mut().unwrap();
        stdin.write_all(text.as_bytes()).await.unwrap();
        stdin.flush().await.unwrap();
    }

    /// Sends a request and does not wait for its answer.
    pub(crate) async fn begin(&mut self, method: &str, params: Value) -> i64 {
        self.next_id += 1;
        let id = self.next_id;
        self.send(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }))
            .await;
        id
    }

    pub(crate) async fn request(&mut self, method: &str, params: Value) -> Value {
        let id = self.begin(method, params).await;
        self.answer(id).await
    }

    /// Reads until the answer to a request comes; answers what the server asks.
    pub(crate) async fn answer(&mut self, id: i64) -> Value {
        loop {
            let message = self.message().await.expect("an answer");
            if message.get("method").is_none() && message["id"] == id {
                return message;
            }
            self.hear(message).await;
        }
    }

    async fn hear(&mut self, message: Value) {
        let method = message["method"].as_str().unwrap_or_default().to_owned();
        match message.get("id") {
            Some(id) if !method.is_empty() => {
                let known = self.answers.iter().find(|(name, _)| *name == method);
                let (_, result) = known.unwrap_or_else(|| panic!("nobody answers {message}"));
                let answer = json!({ "jsonrpc": "2.0", "id": id, "result": result });
                self.notifications.push(message);
                self.send(&answer).await;
            }
            _ => self.notifications.push(message),
        }
    }

    /// The next message; none at the end of the stream. Every line has to be one.
    pub(crate) async fn message(&mut self) -> Option<Value> {
        let clock = SystemClock::new();
        let line = tokio::select! {
            line = self.lines.next_line() => line.unwrap()?,
            () = clock.sleep_until(clock.now() + LONG) => panic!("no message in time"),
        };
        let message: Value = serde_json::from_str(&line)
            .unwrap_or_else(|problem| panic!("stdout carries {line:?}: {problem}"));
        assert_eq!(message["jsonrpc"], "2.0", "{message}");
        Some(message)
    }

    pub(crate) async fn begin_tool(&mut self, name: &str, arguments: Value) -> i64 {
        self.begin(
            "tools/call",
            json!({ "name": name, "arguments": arguments }),
        )
        .await
    }

    /// Calls a tool; its result, with text and structure compared.
    pub(crate) async fn tool(&mut self, name: &str, arguments: Value) -> Called {
        let id = self.begin_tool(name, arguments).await;
        Called::of(self.answer(id).await)
    }

    /// Closes stdin; the exit code, what else was on stdout, and stderr.
    pub(crate) async fn close(mut self) -> (i32, Vec<Value>, String) {
        drop(self.stdin.take());
        self.end().await
    }

    pub(crate) async fn end(mut self) -> (i32, Vec<Value>, String) {
        let mut rest = Vec::new();
        while let Some(message) = self.message().await {
            rest.push(message);
        }
        let clock = SystemClock::new();
        let status = tokio::select! {
            status = self.child.wait() => status.unwrap(),
            () = clock.sleep_until(clock.now() + LONG) => panic!("no end in time"),
        };
        (
            status.code().unwrap_or(-1),
            rest,
            self.stderr.await.unwrap(),
        )
    }

    /// Reads no further answer, and leaves stdin open; the exit code, and stderr.
    pub(crate) async fn stop_reading(self) -> (i32, String) {
        let Self {
            mut child,
            stdin,
            lines,
            stderr,
            ..
        } = self;
        drop(lines);
        let clock = SystemClock::new();
        let status = tokio::select! {
            status = child.wait() => status.unwrap(),
            () = clock.sleep_until(clock.now() + LONG) => panic!("no end in time"),
        };
        drop(stdin);
        (status.code().unwrap_or(-1), stderr.await.unwrap())
    }

    /// Ends the server as a crash would.
    pub(crate) async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }
}

/// What a tool gave.
#[derive(Debug)]
pub(crate) struct Called {
    pub(crate) is_error: bool,
    pub(crate) answer: Value,
    pub(crate) content: Value,
}

impl Called {
    fn of(message: Value) -> Self {
        let result = &message["result"];
        assert!(result.is_object(), "{message}");
        let answer = result["structuredContent"].clone();
        let text = result["content"][0]["text"].as_str().expect("a text");
        let told: Value = serde_json::from_str(text).unwrap();
        assert_eq!(told, answer, "text and structure differ");
        Self {
            is_error: result["isError"] == true,
            answer,
            content: result["content"].clone(),
        }
    }

    pub(crate) fn text(&self, name: &str) -> &str {
        self.answer[name].as_str().unwrap_or_default()
    }
}
