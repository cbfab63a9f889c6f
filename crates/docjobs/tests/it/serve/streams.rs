//! Live streams: what is told, and that nothing is missed.

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{Server, multipart};
use crate::stage::Stage;

/// A stream that is read as it comes.
struct Listening {
    stream: TcpStream,
    text: String,
}

impl Listening {
    async fn open(server: &Server, path: &str, after: Option<&str>) -> Self {
        let mut stream = TcpStream::connect(&server.address).await.unwrap();
        let after = after.map_or_else(String::new, |after| format!("Last-Event-ID: {after}\r\n"));
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {}\r\nAccept: text/event-stream\r\n{after}\r\n",
            server.address
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut listening = Self {
            stream,
            text: String::new(),
        };
        listening.until("retry:").await;
        listening
    }

    /// Reads until this was told.
    async fn until(&mut self, wanted: &str) {
        let mut piece = [0; 4096];
        while !self.text.contains(wanted) {
            let read = self.stream.read(&mut piece).await.unwrap();
            assert!(read > 0, "it ended without {wanted:?}: {}", self.text);
            self.text.push_str(&String::from_utf8_lossy(&piece[..read]));
        }
    }

    /// The ids and the data of what was told.
    fn events(&self) -> Vec<(String, Value)> {
        let mut events = Vec::new();
        let mut id = String::new();
        for line in self.text.lines() {
            if let Some(told) = line.strip_prefix("id: ") {
                id = told.to_owned();
            }
            if let Some(data) = line.strip_prefix("data: ") {
                events.push((id.clone(), serde_json::from_str(data).unwrap()));
            }
        }
        events
    }
}

async fn submit(server: &Server, number: usize) {
    let content = format!("text {number}\n");
    let parts = [
        ("vendor", None, &b"textin"[..]),
        ("file", Some("a.txt"), content.as_bytes()),
    ];
    let kind = [("content-type", "multipart/form-data; boundary=XyZ")];
    assert_eq!(
        server
            .post("/v1/jobs", &kind, &multipart(&parts))
            .await
            .status,
        201
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_tells_what_happens_and_a_resumed_one_misses_nothing() {
    let stage = Stage::new().await;
    let server = Server::start(&stage, &[]).await;
    submit(&server, 0).await;
    // From now on: nothing of what was before.
    let mut live = Listening::open(&server, "/v1/events", None).await;
    submit(&server, 1).await;
    live.until("\"intended\"").await;
    let events = live.events();
    assert_eq!(events.len(), 1, "{}", live.text);
    let (cursor, event) = &events[0];
    assert_eq!(
        (&event["kind"], &event["stage"]),
        (&"intended".into(), &"intended".into())
    );
    assert!(event["job"].is_string() && event["at"].is_string());
    drop(live);

    for number in 2..12 {
        submit(&server, number).await;
    }
    let mut resumed = Listening::open(&server, "/v1/events", Some(cursor)).await;
    submit(&server, 12).await;
    while resumed.events().len() < 11 {
        resumed.until(&format!("id: {}", "")).await;
        let mut piece = [0; 4096];
        let read = resumed.stream.read(&mut piece).await.unwrap();
        assert!(read > 0);
        resumed
            .text
            .push_str(&String::from_utf8_lossy(&piece[..read]));
    }
    let jobs: std::collections::BTreeSet<String> = resumed
        .events()
        .iter()
        .map(|(_, event)| event["job"].to_string())
        .collect();
    assert_eq!(jobs.len(), 11);
    let odd = server
        .call(
            "GET",
            "/v1/events",
            &[("Accept", "text/event-stream"), ("Last-Event-ID", "odd")],
            b"",
        )
        .await;
    assert_eq!((odd.status, &*odd.problem()), (400, "bad-request"));
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_end_when_the_server_does() {
    let stage = Stage::new().await;
    let mut server = Server::start(&stage, &[]).await;
    let mut live = Listening::open(&server, "/v1/events", None).await;
    let pid = server.child.id().unwrap().to_string();
    assert!(
        std::process::Command::new("kill")
            .arg(pid)
            .status()
            .unwrap()
            .success()
    );
    let mut rest = Vec::new();
    live.stream.read_to_end(&mut rest).await.unwrap();
    server.child.wait().await.unwrap();
}
