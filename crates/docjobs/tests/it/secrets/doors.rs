//! The same for what others reach: no answer, page, metric, resource or log of `docjobs serve` and `docjobs mcp` has a
//! secret in it.

use std::fs::File;
use std::path::Path;

use serde_json::{Value, json};
use vendor_sim::{Fault, Simulators};

use super::marks::{Search, marks, simulators};
use super::{echo, page, refusal};
use crate::mcp_client::Client;
use crate::mindshow::MARKDOWN;
use crate::serve::{Answer, Part, Server};
use crate::stage::Stage;

/// Of a document.
const PASSWORD: &str = "mk-password+A1/bb=2%31";
const TOKEN: &str = "mk-token+B2/cc=3%32";
/// Of the webhooks' signatures.
const KEYS: [(&str, &str); 4] = [
    ("TENCENT_ESS_CALLBACK_TOKEN", "mkHookTokenC3dd4"),
    (
        "TENCENT_ESS_CALLBACK_KEY",
        "mkHookKeyD4ee5mkHookKeyD4ee5mkHo",
    ),
    ("WECOM_CLOUD_TOKEN", "mkCloudTokenE5ff6"),
    (
        "WECOM_CLOUD_AES_KEY",
        "mkCloudKeyF6gg7mkCloudKeyF6gg7mkCloudKeyF6g",
    ),
];

/// Who asks, and every answer that came.
struct Visitor<'a> {
    server: &'a Server,
    heard: Vec<(String, Vec<u8>)>,
}

impl Visitor<'_> {
    async fn call(
        &mut self,
        method: &str,
        path: &str,
        more: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        let bearer = format!("Bearer {TOKEN}");
        let headers = [&[("Authorization", bearer.as_str())], more].concat();
        let answer = self.server.call(method, path, &headers, body).await;
        self.hear(format!("{method} {path}"), &answer);
        answer
    }

    async fn get(&mut self, path: &str) -> Answer {
        self.call("GET", path, &[], b"").await
    }

    async fn submit(&mut self, parts: &[Part<'_>]) -> Value {
        let bearer = format!("Bearer {TOKEN}");
        let headers = [("Authorization", bearer.as_str()), ("Prefer", "wait=20")];
        let answer = self.server.submit("/v1/jobs", &headers, parts).await;
        self.hear("POST /v1/jobs".to_owned(), &answer);
        answer.json()
    }

    fn hear(&mut self, what: String, answer: &Answer) {
        let whole = [answer.head.as_bytes(), &answer.body].concat();
        self.heard.push((what, whole));
    }

    /// A document whose submit the vendor refuses in words that hold a credential.
    async fn refused(&mut self, simulators: &Simulators, number: usize, fault: Fault) -> Value {
        simulators.textin().set_fault("submit", fault);
        let content = format!("text {number}\n");
        let parts: [Part<'_>; 2] = [
            ("vendor", None, b"textin"),
            ("file", Some("refused.txt"), content.as_bytes()),
        ];
        self.submit(&parts).await
    }
}

/// Every page, list and stream there is, of every job too.
async fn visit_everything(visitor: &mut Visitor<'_>) {
    let listed = visitor.get("/v1/jobs?limit=1000").await.json();
    for path in [
        "/",
        "/in-doubt",
        "/money",
        "/rates",
        "/hooks",
        "/workers",
        "/jobs.csv",
        "/jobs.jsonl",
        "/metrics",
        "/healthz",
        "/v1/summary",
        "/v1/hooks",
        "/v1/openapi.json",
        "/v1/budgets/textin",
        "/v1/jobs/nothing",
        "/nowhere",
        "/login",
    ] {
        visitor.get(path).await;
        visitor
            .call(
                "GET",
                path,
                &[("Accept", "text/html"), ("Accept-Language", "zh-CN")],
                b"",
            )
            .await;
    }
    for job in listed["jobs"].as_array().unwrap() {
        let id = job["id"].as_str().unwrap();
        for path in [
            format!("/v1/jobs/{id}"),
            format!("/v1/jobs/{id}/events"),
            format!("/v1/jobs/{id}/result"),
            format!("/jobs/{id}"),
            format!("/jobs/{id}/adopt?remote_id=x"),
            format!("/jobs/{id}/abandon"),
        ] {
            visitor.get(&path).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_door_lets_a_secret_out() {
    let stage = Stage::with(simulators().await);
    stage.input("tokens", &format!("alice {TOKEN}\n"));
    stage.input("notes.txt", "some text");
    stage.input("plan.md", MARKDOWN);
    let log = stage.path("serve.log");
    // The port has to be known before the address can be told.
    let free = std::net::TcpListener::bind("127.0.0.1:0");
    let hooks = free.unwrap().local_addr().unwrap().to_string();
    let root = stage.folder.path().display().to_string();
    let url = format!("http://{hooks}");
    let options = [
        "-vvv",
        "--work",
        "--mcp",
        "--root",
        &root,
        "--token-file",
        "tokens",
        "--hooks",
        &hooks,
        "--hooks-url",
        &url,
    ];
    let server = Server::start_logging(&stage, &options, &KEYS, File::create(&log).unwrap()).await;
    let mut visitor = Visitor {
        server: &server,
        heard: Vec::new(),
    };
    let textin = stage.simulators.textin();
    let options = json!({ "password": PASSWORD }).to_string();
    let password: [Part<'_>; 3] = [
        ("vendor", None, b"textin"),
        ("file", Some("locked.txt"), b"a locked text\n"),
        ("options", None, options.as_bytes()),
    ];
    let done = visitor.submit(&password).await;
    assert_eq!(done["stage"], "completed", "{done}");
    let texts: Vec<String> = marks().into_iter().map(|mark| mark.text).collect();
    let mut told = 0;
    for (number, mark) in texts[..2].iter().enumerate() {
        let faults = [
            refusal(40102, mark),
            page(502, mark),
            Fault::NonJson {
                body: Some(echo(mark)),
            },
            Fault::DropAfterCommit { reset: true },
        ];
        for (kind, fault) in faults.into_iter().enumerate() {
            let job = visitor
                .refused(&stage.simulators, number * 10 + kind, fault)
                .await;
            told += usize::from(job["error"].is_string());
        }
    }
    // The worker tries some again, and may meet the fault that was meant for the next.
    assert!(told >= 3, "only {told} were refused in words");
    let wrong = format!("token={}x", super::percent(TOKEN));
    let form = [("Content-Type", "application/x-www-form-urlencoded")];
    let refused = server.call("POST", "/login", &form, wrong.as_bytes()).await;
    visitor.hear("a wrong token".to_owned(), &refused);
    let right = format!("token={}", super::percent(TOKEN));
    let session = server.call("POST", "/login", &form, right.as_bytes()).await;
    assert_eq!(session.status, 303, "{session:?}");
    visitor.hear("the session".to_owned(), &session);
    let wrong = server
        .call("GET", "/v1/jobs", &[("Authorization", "Bearer x")], b"")
        .await;
    visitor.hear("no token".to_owned(), &wrong);
    // Webhooks: forged, wrong secret, and the vendor's own, which names the secret path.
    for path in [
        "/ppj?token=x&type=completed&own=q",
        "/textin/wrong",
        "/wecom?msg_signature=1&echostr=x",
    ] {
        let answer = crate::serve::call(
            &hooks,
            "POST",
            path,
            &[("Content-Signature", "sha256=00")],
            b"{}",
        )
        .await;
        visitor.hear(path.to_owned(), &answer);
    }
    let told = textin.webhooks();
    let secret = told[0].url.rsplit('/').next().unwrap().to_owned();
    assert!(secret.len() >= 32, "{secret}");
    let agent = json!({
        "jsonrpc": "2.0", "id": 1, "method": "initialize",
        "params": { "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": { "name": "t", "version": "1" } },
    });
    let accept = [
        ("Content-Type", "application/json"),
        ("Accept", "application/json, text/event-stream"),
    ];
    let answer = visitor
        .call("POST", "/mcp", &accept, agent.to_string().as_bytes())
        .await;
    assert_eq!(answer.status, 200, "{answer:?}");
    visit_everything(&mut visitor).await;
    let heard = std::mem::take(&mut visitor.heard);
    let agent = through_the_tools(&stage, &texts).await;
    drop(server);

    let secrets = texts
        .into_iter()
        .chain([PASSWORD, TOKEN].map(str::to_owned));
    let secrets = secrets.chain(KEYS.map(|(_, key)| key.to_owned()));
    let secrets: Vec<String> = secrets.chain([secret.clone()]).collect();
    let mut search = Search::for_marks(secrets.clone());
    for (what, answer) in &heard {
        search.through(what, answer);
    }
    for (what, answer) in &agent {
        search.through(what, answer.as_bytes());
    }
    let logged = std::fs::read(&log).unwrap();
    assert!(
        String::from_utf8_lossy(&logged).contains("TRACE"),
        "no trace"
    );
    search.through("the log", &logged);
    search.end(1 << 18);
    // The secret path is the one thing that the ledger keeps; a password lies in the spool until its job is settled.
    let all_but_path = secrets.into_iter().filter(|text| *text != secret);
    let mut search = Search::for_marks(all_but_path);
    search.through_folder(Path::new(&stage.ledger_path()).parent().unwrap(), &[]);
    search.end(1 << 14);
}

/// The same jobs by an agent: tools, resources, prompts of every kind, and the log.
async fn through_the_tools(stage: &Stage, texts: &[String]) -> Vec<(String, String)> {
    let mut client = Client::connect(stage, &["-vvv"], json!({})).await;
    let mut heard = Vec::new();
    stage
        .simulators
        .textin()
        .set_fault("submit", refusal(40102, &texts[1]));
    for (tool, arguments) in [
        ("parse_document", json!({ "path": "notes.txt" })),
        (
            "parse_document",
            json!({ "path": "notes.txt", "wait_seconds": 20 }),
        ),
        ("make_deck", json!({ "path": "plan.md" })),
        ("list_jobs", json!({ "limit": 200 })),
        ("get_budgets", json!({})),
        ("get_job", json!({ "id": "nothing" })),
        (
            "estimate_cost",
            json!({ "tool": "parse_document", "path": "tokens-that-are-not-there" }),
        ),
    ] {
        let called = client.tool(tool, arguments).await;
        heard.push((tool.to_owned(), format!("{called:?}")));
        if tool == "list_jobs" {
            for job in called.answer["jobs"].as_array().unwrap() {
                for tool in ["get_job", "get_result"] {
                    let called = client.tool(tool, json!({ "id": job["id"] })).await;
                    heard.push((tool.to_owned(), format!("{called:?}")));
                }
                let uri = format!("docjobs://jobs/{}/result", job["id"].as_str().unwrap());
                let read = client
                    .request("resources/read", json!({ "uri": uri }))
                    .await;
                heard.push((uri, read.to_string()));
            }
        }
    }
    for method in ["tools/list", "resources/list", "resources/templates/list"] {
        let listed = client.request(method, json!({})).await;
        heard.push((method.to_owned(), listed.to_string()));
    }
    let notified: Vec<String> = client.notifications.iter().map(Value::to_string).collect();
    heard.push(("notifications".to_owned(), notified.join("\n")));
    let (exit, rest, stderr) = client.close().await;
    assert_eq!(exit, 0, "{stderr}");
    assert!(stderr.contains("DEBUG"), "no log: {stderr}");
    heard.push(("the last words".to_owned(), format!("{rest:?}")));
    heard.push(("the agent's log".to_owned(), stderr));
    heard
}
