//! `/mcp`: the tools of `docjobs mcp` over HTTP, behind the token of the server.

use serde_json::{Value, json};

use super::{Answer, Server};
use crate::stage::Stage;

const TOKEN: (&str, &str) = ("Authorization", "Bearer s3cret");
const READER: (&str, &str) = ("Authorization", "Bearer only-reads");

/// A message to the endpoint, within this session.
async fn tell(server: &Server, session: Option<&str>, message: &Value) -> Answer {
    tell_as(TOKEN, server, session, message).await
}

async fn tell_as(
    token: (&str, &str),
    server: &Server,
    session: Option<&str>,
    message: &Value,
) -> Answer {
    let mut headers = vec![
        token,
        ("Content-Type", "application/json"),
        ("Accept", "application/json, text/event-stream"),
        ("MCP-Protocol-Version", "2025-11-25"),
    ];
    headers.extend(session.map(|session| ("Mcp-Session-Id", session)));
    let body = message.to_string();
    server.post("/mcp", &headers, body.as_bytes()).await
}

/// The answer in a body, which is JSON or a stream of events.
fn told(answer: &Answer) -> Value {
    assert_eq!(answer.status, 200, "{answer:?}");
    let events = answer.text().lines();
    let data = events.filter_map(|line| line.strip_prefix("data:"));
    let mut answers = data.filter_map(|data| serde_json::from_str::<Value>(data.trim()).ok());
    let found =
        answers.find(|message| message.get("result").is_some() || message.get("error").is_some());
    found.unwrap_or_else(|| answer.json())
}

fn call(id: u32, tool: &str, arguments: &Value) -> Value {
    json!({
        "jsonrpc": "2.0", "id": id, "method": "tools/call",
        "params": { "name": tool, "arguments": arguments },
    })
}

async fn session(server: &Server) -> String {
    session_of(TOKEN, server).await
}

async fn session_of(token: (&str, &str), server: &Server) -> String {
    let hello = json!({
        "jsonrpc": "2.0", "id": 1, "method": "initialize",
        "params": {
            "protocolVersion": "2025-11-25", "capabilities": {},
            "clientInfo": { "name": "test", "version": "1" },
        },
    });
    let welcome = tell_as(token, server, None, &hello).await;
    assert_eq!(told(&welcome)["result"]["protocolVersion"], "2025-11-25");
    let session = welcome.header("mcp-session-id").unwrap().to_owned();
    let ready = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
    let accepted = tell_as(token, server, Some(&session), &ready).await;
    assert_eq!(accepted.status, 202, "{accepted:?}");
    session
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tools_are_there_over_http_behind_the_token_and_the_roots() {
    let stage = Stage::new().await;
    stage.input("tokens", "alice s3cret\nbob only-reads ro\n");
    stage.input("notes.txt", "some text\n");
    let root = stage.folder.path().display().to_string();
    let options = ["--work", "--mcp", "--token-file", "tokens"];
    let rooted = [&options[..], &["--root", &root]].concat();
    let server = Server::start(&stage, &rooted).await;
    for headers in [vec![], vec![("Authorization", "Bearer wrong")]] {
        assert_eq!(server.post("/mcp", &headers, b"{}").await.status, 401);
    }
    let foreign = [TOKEN, ("Origin", "https://evil.example")];
    assert_eq!(server.post("/mcp", &foreign, b"{}").await.status, 403);

    let session = session(&server).await;
    let list = json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/list" });
    let tools = told(&tell(&server, Some(&session), &list).await);
    assert_eq!(tools["result"]["tools"].as_array().unwrap().len(), 11);
    let mut jobs = Vec::new();
    for id in [3, 4] {
        let parse = call(id, "parse_document", &json!({ "path": "notes.txt" }));
        let parsed = told(&tell(&server, Some(&session), &parse).await);
        let parsed = &parsed["result"]["structuredContent"];
        assert_eq!(parsed["exit_code"], 0, "{parsed}");
        assert_eq!(parsed["result"]["preview"], "some text\n");
        jobs.push(parsed["id"].clone());
    }
    assert_eq!(jobs[0], jobs[1]);
    let events = format!("/v1/jobs/{}/events", jobs[0].as_str().unwrap());
    let events = server.call("GET", &events, &[TOKEN], b"").await.json();
    assert_eq!(events["events"][0]["data"]["actor"], "alice", "{events}");
    let hidden = json!({ "url": "https://h/a.pdf", "options": { "password_file": "/etc/passwd" } });
    let refused = told(&tell(&server, Some(&session), &call(6, "parse_document", &hidden)).await);
    assert_eq!(refused["result"]["isError"], true, "{refused}");
    assert_eq!(stage.simulators.textin().charges().len(), 1);
    // Nobody decides over HTTP without the user's own answer.
    let resolve = call(5, "resolve_job", &json!({ "id": jobs[0], "abandon": true }));
    let refused = told(&tell(&server, Some(&session), &resolve).await);
    assert_eq!(refused["result"]["isError"], true, "{refused}");
    drop(server);

    let rootless = Server::start(&stage, &options).await;
    let session = self::session(&rootless).await;
    let parse = call(3, "parse_document", &json!({ "path": "notes.txt" }));
    let refused = told(&tell(&rootless, Some(&session), &parse).await);
    let error = &refused["result"]["structuredContent"]["error"];
    assert!(error.as_str().unwrap().contains("--root"), "{refused}");
    let without = Server::start(&stage, &["--token-file", "tokens"]).await;
    assert_eq!(tell(&without, None, &json!({})).await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_may_only_read_has_the_reading_tools() {
    let stage = Stage::new().await;
    stage.input("tokens", "alice s3cret\nbob only-reads ro\n");
    let server = Server::start(&stage, &["--mcp", "--token-file", "tokens"]).await;
    let session = session_of(READER, &server).await;
    let tell =
        async |message: &Value| told(&tell_as(READER, &server, Some(&session), message).await);
    let list = json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/list" });
    let tools = tell(&list).await["result"]["tools"].clone();
    let tools = tools.as_array().unwrap();
    assert!(!tools.is_empty());
    for tool in tools {
        assert_eq!(tool["annotations"]["readOnlyHint"], true, "{tool}");
    }
    let url = json!({ "url": "https://h/a.pdf" });
    let refused = tell(&call(3, "parse_document", &url)).await;
    assert_eq!(refused["error"]["code"], -32602, "{refused}");
    let jobs = tell(&call(4, "list_jobs", &json!({}))).await;
    assert_eq!(jobs["result"]["structuredContent"]["jobs"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_server_offers_the_reading_tools_alone() {
    let stage = Stage::new().await;
    stage.input("tokens", "alice s3cret\n");
    let server = Server::start(&stage, &["--read-only", "--mcp", "--token-file", "tokens"]).await;
    let session = session(&server).await;
    let list = json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/list" });
    let tools = told(&tell(&server, Some(&session), &list).await);
    let tools = tools["result"]["tools"].as_array().unwrap().clone();
    assert!(!tools.is_empty());
    for tool in &tools {
        assert_eq!(tool["annotations"]["readOnlyHint"], true, "{tool}");
    }
}
