//! `docjobs serve` as clients meet it: bytes on a socket.

mod access;
mod api;
mod crash;
mod fragments;
mod hooks;
mod mcp;
mod results;
mod streams;

use std::process::Stdio;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::process::Child;

use crate::stage::Stage;

/// A running server.
pub(crate) struct Server {
    pub(crate) child: Child,
    /// `127.0.0.1:port`
    pub(crate) address: String,
    pub(crate) hooks: Option<String>,
}

/// What a request was answered with.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    fn read(raw: &[u8]) -> Self {
        let end = raw.windows(4).position(|piece| piece == b"\r\n\r\n");
        let end = end.unwrap_or_else(|| panic!("no head: {:?}", String::from_utf8_lossy(raw)));
        let head = String::from_utf8(raw[..end].to_vec()).unwrap();
        let mut body = raw[end + 4..].to_vec();
        if head
            .to_ascii_lowercase()
            .contains("transfer-encoding: chunked")
        {
            body = unchunked(&body);
        }
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Self { status, head, body }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (known, value) = line.split_once(": ")?;
            known.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|problem| panic!("{problem}: {}", self.text()))
    }

    /// The slug of a problem.
    pub(crate) fn problem(&self) -> String {
        assert_eq!(
            self.header("content-type"),
            Some("application/problem+json"),
            "{self:?}"
        );
        let problem = self.json();
        assert_eq!(problem["status"], self.status);
        assert!(
            problem["exit_code"].is_number() && !problem["detail"].as_str().unwrap().is_empty()
        );
        problem["type"].as_str().unwrap().to_owned()
    }
}

fn unchunked(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(end) = rest.windows(2).position(|piece| piece == b"\r\n") {
        let length =
            usize::from_str_radix(std::str::from_utf8(&rest[..end]).unwrap().trim(), 16).unwrap();
        let from = end + 2;
        if length == 0 || rest.len() < from + length {
            break;
        }
        body.extend_from_slice(&rest[from..from + length]);
        rest = rest.get(from + length + 2..).unwrap_or_default();
    }
    body
}

impl Server {
    /// Starts one on free ports, with these further options.
    pub(crate) async fn start(stage: &Stage, options: &[&str]) -> Self {
        Self::start_with(stage, options, &[]).await
    }

    /// The same, with further variables.
    pub(crate) async fn start_with(
        stage: &Stage,
        options: &[&str],
        variables: &[(&str, &str)],
    ) -> Self {
        Self::start_logging(stage, options, variables, Stdio::null()).await
    }

    /// The same, with its log going there.
    pub(crate) async fn start_logging(
        stage: &Stage,
        options: &[&str],
        variables: &[(&str, &str)],
        log: impl Into<Stdio>,
    ) -> Self {
        let mut args = vec!["serve", "--listen", "127.0.0.1:0", "--json"];
        args.extend(options);
        let mut child = stage
            .command(&args)
            .envs(variables.iter().copied())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = lines.next_line().await.unwrap().expect("it listens");
        let event: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(event["event"], "listening", "{line}");
        // Whatever it says later must not fill the pipe.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let bare = |url: &Value| {
            url.as_str()
                .map(|url| url.trim_start_matches("http://").to_owned())
        };
        Self {
            child,
            address: bare(&event["url"]).unwrap(),
            hooks: bare(&event["hooks"]),
        }
    }

    /// Sends these bytes and reads to the end of the connection.
    pub(crate) async fn raw(&self, request: &[u8]) -> Answer {
        raw(&self.address, request).await
    }

    /// A request with the usual headers and these.
    pub(crate) async fn call(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        call(&self.address, method, path, headers, body).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call("GET", path, &[], b"").await
    }

    pub(crate) async fn post(&self, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        self.call("POST", path, headers, body).await
    }

    /// Submits a form with these parts; a part with a name of a file is one.
    pub(crate) async fn submit(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        parts: &[Part<'_>],
    ) -> Answer {
        let mut all = vec![("content-type", "multipart/form-data; boundary=XyZ")];
        all.extend(headers);
        self.call("POST", path, &all, &multipart(parts)).await
    }
}

/// Name, name of the file, content.
pub(crate) type Part<'a> = (&'a str, Option<&'a str>, &'a [u8]);

pub(crate) fn multipart(parts: &[Part<'_>]) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, file, content) in parts {
        body.extend_from_slice(
            format!("--XyZ\r\nContent-Disposition: form-data; name=\"{name}\"").as_bytes(),
        );
        if let Some(file) = file {
            body.extend_from_slice(
                format!("; filename=\"{file}\"\r\nContent-Type: application/octet-stream")
                    .as_bytes(),
            );
        }
        body.extend_from_slice(b"\r\n\r\n");
        body.extend_from_slice(content);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"--XyZ--\r\n");
    body
}

pub(crate) async fn raw(address: &str, request: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // A server that refuses early closes before it has read everything.
    drop(stream.write_all(request).await);
    let mut answer = Vec::new();
    drop(stream.read_to_end(&mut answer).await);
    Answer::read(&answer)
}

pub(crate) async fn call(
    address: &str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Answer {
    let mut request = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
    if !headers
        .iter()
        .any(|(name, _)| name.eq_ignore_ascii_case("host"))
    {
        request.push_str(&format!("Host: {address}\r\n"));
    }
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    if !body.is_empty() || method != "GET" {
        request.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    request.push_str("\r\n");
    let mut bytes = request.into_bytes();
    bytes.extend_from_slice(body);
    raw(address, &bytes).await
}
