//! `docjobs mcp` as an agent meets it: tools that may be called twice.

use std::collections::HashSet;
use std::time::Duration;

use jobs_core::clock::{Clock as _, SystemClock};
use jobs_ledger::{BudgetPeriod, Ledger};
use serde_json::{Value, json};
use vendor_sim::fault::Fault;
use vendor_sim::textin::Outcome;

use crate::mcp_client::Client;
use crate::stage::Stage;

const TEXT: &str = "# Heading\n\nsome text, 一些文字\n";

fn charges(stage: &Stage) -> usize {
    stage.simulators.textin().charges().len()
}

fn drop_after_commit() -> Fault {
    Fault::DropAfterCommit { reset: false }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tools_are_listed_with_schemas_annotations_and_prices() {
    let stage = Stage::new().await;
    let mut client = Client::plain(&stage).await;
    let listed = client.request("tools/list", json!({})).await;
    let tools = listed["result"]["tools"].as_array().unwrap();
    let names: Vec<&str> = tools
        .iter()
        .map(|tool| tool["name"].as_str().unwrap())
        .collect();
    assert_eq!(
        names,
        [
            "parse_document",
            "convert_slides_to_h5",
            "make_deck",
            "export_deck_pdf",
            "convert_for_signing",
            "get_job",
            "get_result",
            "list_jobs",
            "resolve_job",
            "estimate_cost",
            "get_budgets",
        ]
    );
    for tool in tools {
        assert_eq!(tool["inputSchema"]["type"], "object", "{tool}");
        assert_eq!(tool["outputSchema"]["type"], "object", "{tool}");
        assert_eq!(tool["annotations"]["idempotentHint"], true, "{tool}");
    }
    let unknown = client
        .request("tools/call", json!({ "name": "buy", "arguments": {} }))
        .await;
    assert_eq!(unknown["error"]["code"], -32602, "{unknown}");
    assert_eq!(client.close().await.0, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_call_twice_is_one_job_and_one_charge() {
    let stage = Stage::new().await;
    stage.input("notes.txt", TEXT);
    let mut client = Client::plain(&stage).await;
    let first = client
        .tool("parse_document", json!({ "path": "notes.txt" }))
        .await;
    assert!(!first.is_error, "{first:?}");
    assert_eq!(first.answer["stage"], "completed", "{first:?}");
    assert_eq!(first.answer["exit_code"], 0);
    assert_eq!(first.answer["vendor"], "textin");
    assert_eq!(first.answer["result"]["preview"], TEXT);
    assert_eq!(first.answer["result"]["bytes"], TEXT.len());
    for key in ["remote_id", "money", "blocked_until", "next"] {
        assert!(first.answer.get(key).is_some(), "{key}: {first:?}");
    }
    let path = first.answer["result"]["path"].as_str().unwrap();
    assert_eq!(std::fs::read_to_string(path).unwrap(), TEXT);
    let second = client
        .tool(
            "parse_document",
            json!({ "path": "./notes.txt", "wait_seconds": 0 }),
        )
        .await;
    assert_eq!(second.answer, first.answer);
    assert_eq!(charges(&stage), 1);
    assert_eq!(client.close().await.0, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_sigkill_between_two_calls_the_same_call_attaches() {
    let stage = Stage::new().await;
    stage.input("notes.txt", TEXT);
    let arguments = json!({ "path": "notes.txt", "wait_seconds": 0 });
    let mut client = Client::plain(&stage).await;
    let first = client.tool("parse_document", arguments.clone()).await;
    assert_eq!(first.answer["exit_code"], 4, "{first:?}");
    // Not in the middle of the submit, which would be in doubt, and is another test's.
    let id = first.answer["id"].as_str().unwrap();
    loop {
        let job = client.tool("get_job", json!({ "id": id })).await;
        if job.answer["remote_id"].is_string() {
            break;
        }
    }
    client.kill().await;
    let mut client = Client::plain(&stage).await;
    let second = client
        .tool(
            "parse_document",
            json!({ "path": "notes.txt", "wait_seconds": 50 }),
        )
        .await;
    assert_eq!(second.answer["id"], first.answer["id"]);
    assert_ne!(second.answer["stage"], "in_doubt", "{second:?}");
    assert_eq!(second.answer["stage"], "completed", "{second:?}");
    assert_eq!(charges(&stage), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_result_comes_as_a_link_and_is_read_in_pages() {
    let stage = Stage::new().await;
    let text = format!(
        "# First\n\n{}\n## Second\n\nend\n",
        "一二三四五\n".repeat(4_000)
    );
    stage.input("long.txt", &text);
    let mut client = Client::plain(&stage).await;
    let parsed = client
        .tool("parse_document", json!({ "path": "long.txt" }))
        .await;
    let id = parsed.text("id").to_owned();
    let link = &parsed.content[1];
    let uri = format!("docjobs://jobs/{id}/result");
    assert_eq!(
        (&link["type"], &link["uri"]),
        (&json!("resource_link"), &json!(uri))
    );
    let preview = parsed.answer["result"]["preview"].as_str().unwrap();
    assert!(text.starts_with(preview) && preview.chars().count() == 2_000);

    let (mut whole, mut offset) = (String::new(), json!(0));
    while !offset.is_null() {
        let page = client
            .tool(
                "get_result",
                json!({ "id": id, "offset": offset, "limit": 7_000 }),
            )
            .await;
        assert_eq!(page.answer["total"], text.chars().count());
        let second = &page.answer["outline"][1];
        assert_eq!(
            (&second["title"], &second["level"]),
            (&json!("Second"), &json!(2))
        );
        whole.push_str(page.text("text"));
        offset = page.answer["next_offset"].clone();
    }
    assert_eq!(whole, text);

    let read = client
        .request("resources/read", json!({ "uri": uri }))
        .await;
    let contents = &read["result"]["contents"][0];
    assert_eq!(contents["text"], text);
    assert_eq!(contents["mimeType"], "text/markdown");
    let listed = client.request("resources/list", json!({})).await;
    assert_eq!(listed["result"]["resources"][0]["uri"], uri);
    let unknown = client
        .request(
            "resources/read",
            json!({ "uri": "docjobs://jobs/0000000000/result" }),
        )
        .await;
    assert!(unknown["error"]["message"].is_string(), "{unknown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn out_is_a_new_file_below_a_root_and_never_replaced() {
    let stage = Stage::new().await;
    stage.input("notes.txt", TEXT);
    stage.input("other.md", "mine");
    let mut client = Client::plain(&stage).await;
    for (out, why) in [
        ("other.md", "never replaced"),
        ("../notes.md", "not below a root"),
        ("none/notes.md", "cannot read"),
        (".notes.md", "hidden"),
    ] {
        let refused = client
            .tool("parse_document", json!({ "path": "notes.txt", "out": out }))
            .await;
        assert!(refused.is_error, "{refused:?}");
        assert_eq!(refused.answer["exit_code"], 2, "{refused:?}");
        assert!(refused.text("error").contains(why), "{refused:?}");
    }
    assert_eq!(charges(&stage), 0);
    for _ in 0..2 {
        let parsed = client
            .tool(
                "parse_document",
                json!({ "path": "notes.txt", "out": "notes.md" }),
            )
            .await;
        assert_eq!(parsed.answer["exit_code"], 0, "{parsed:?}");
        let path = stage.path("notes.md").canonicalize().unwrap();
        assert_eq!(parsed.answer["result"]["path"], json!(path));
    }
    // The same job at a further place, and in its other format, as often as it is asked for.
    for _ in 0..2 {
        for arguments in [
            json!({ "path": "notes.txt", "out": "again.md" }),
            json!({ "path": "notes.txt", "out": "notes.json", "format": "json" }),
        ] {
            let elsewhere = client.tool("parse_document", arguments).await;
            assert_eq!(elsewhere.answer["exit_code"], 0, "{elsewhere:?}");
        }
    }
    let json = client
        .tool(
            "parse_document",
            json!({ "path": "notes.txt", "format": "json" }),
        )
        .await;
    assert_eq!(json.answer["exit_code"], 0, "{json:?}");
    let preview = json.answer["result"]["preview"].as_str().unwrap();
    let parsed: Value = serde_json::from_str(preview).unwrap();
    assert_eq!(parsed["markdown"], TEXT);
    for name in ["notes.md", "again.md"] {
        assert_eq!(std::fs::read_to_string(stage.path(name)).unwrap(), TEXT);
    }
    assert_eq!(
        std::fs::read_to_string(stage.path("other.md")).unwrap(),
        "mine"
    );
    assert_eq!(charges(&stage), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_used_is_a_tool_error_and_sends_nothing() {
    let stage = Stage::new().await;
    stage.input("notes.txt", TEXT);
    std::os::unix::fs::symlink("/etc/passwd", stage.path("link.txt")).unwrap();
    let mut client = Client::plain(&stage).await;
    for (arguments, why) in [
        (json!({ "path": "/etc/passwd" }), "not below a root"),
        (json!({ "path": "link.txt" }), "not below a root"),
        (json!({ "path": "../../etc/passwd" }), "not below a root"),
        (json!({ "path": "file:///etc/passwd" }), "is an address"),
        (json!({ "url": "file:///etc/passwd" }), "not an http"),
        (json!({ "path": "none.txt" }), "cannot read"),
        (json!({ "path": 7 }), "not understood"),
        (
            json!({ "path": "notes.txt", "options": { "password_file": "/etc/passwd" } }),
            "takes no password",
        ),
        (
            json!({ "path": "notes.txt", "wait_seconds": 51 }),
            "from 0 to 50",
        ),
        (json!({ "path": "notes.txt", "pages": "x" }), "pages"),
        (json!({ "path": "notes.txt", "format": "pdf" }), "markdown"),
        (
            json!({ "path": "notes.txt", "colour": "red" }),
            "does not take",
        ),
        (
            json!({ "path": "notes.txt", "again": "0000000000" }),
            "not a job",
        ),
        (json!({}), "exactly one of"),
    ] {
        let refused = client.tool("parse_document", arguments.clone()).await;
        assert!(refused.is_error, "{arguments}: {refused:?}");
        assert_eq!(refused.answer["exit_code"], 2, "{refused:?}");
        assert!(
            refused.text("error").contains(why),
            "{arguments}: {refused:?}"
        );
    }
    for (name, arguments) in [
        ("get_job", json!({ "id": "none" })),
        ("get_result", json!({ "id": "none" })),
        ("get_result", json!({ "id": "none", "offset": -1 })),
        ("resolve_job", json!({ "id": "none", "abandon": true })),
        ("list_jobs", json!({ "stage": "wanted" })),
        ("convert_slides_to_h5", json!({ "path": "notes.txt" })),
        (
            "estimate_cost",
            json!({ "tool": "convert_slides_to_h5", "path": "notes.txt" }),
        ),
        (
            "estimate_cost",
            json!({ "tool": "get_job", "path": "notes.txt" }),
        ),
    ] {
        let refused = client.tool(name, arguments).await;
        assert!(refused.is_error, "{name}: {refused:?}");
        assert_eq!(refused.answer["exit_code"], 2, "{name}: {refused:?}");
    }
    assert_eq!(stage.simulators.textin().requests().len(), 0);
    assert_eq!(stage.simulators.ppj().requests().len(), 0);
    let (exit, _, stderr) = client.close().await;
    assert_eq!(exit, 0, "{stderr}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_is_in_doubt_and_a_person_decides() {
    let stage = Stage::new().await;
    stage.input("notes.txt", TEXT);
    stage
        .simulators
        .textin()
        .set_fault("submit", drop_after_commit());
    let mut client = Client::plain(&stage).await;
    let lost = client
        .tool("parse_document", json!({ "path": "notes.txt" }))
        .await;
    assert!(!lost.is_error, "{lost:?}");
    assert_eq!(lost.answer["stage"], "in_doubt", "{lost:?}");
    assert_eq!(lost.answer["exit_code"], 5);
    assert!(lost.text("next").contains("resolve_job"), "{lost:?}");
    let id = lost.text("id").to_owned();
    // Again, and again on purpose: neither sends anything.
    let same = client
        .tool("parse_document", json!({ "path": "notes.txt" }))
        .await;
    assert_eq!(same.answer["id"], lost.answer["id"]);
    let again = client
        .tool(
            "parse_document",
            json!({ "path": "notes.txt", "again": id }),
        )
        .await;
    assert!(
        again.is_error && again.answer["exit_code"] == 5,
        "{again:?}"
    );

    let remote = stage.simulators.textin().jobs().pop().unwrap().job_id;
    for arguments in [
        json!({ "id": id, "abandon": true }),
        json!({ "id": id, "adopt": remote }),
    ] {
        let refused = client.tool("resolve_job", arguments).await;
        assert!(refused.is_error, "{refused:?}");
        assert_eq!(refused.answer["exit_code"], 2);
        assert!(
            refused.text("error").contains("--allow-resolve"),
            "{refused:?}"
        );
    }
    drop(client.close().await);

    let mut client = Client::connect(&stage, &["--allow-resolve"], json!({})).await;
    let adopted = client
        .tool("resolve_job", json!({ "id": id, "adopt": remote }))
        .await;
    assert!(!adopted.is_error, "{adopted:?}");
    let done = client
        .tool("get_job", json!({ "id": id, "wait_seconds": 50 }))
        .await;
    assert_eq!(done.answer["stage"], "completed", "{done:?}");
    assert_eq!(done.answer["remote_id"], json!(remote));
    assert_eq!(charges(&stage), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_users_own_answer_gives_a_job_up() {
    let stage = Stage::new().await;
    stage.input("notes.txt", TEXT);
    stage
        .simulators
        .textin()
        .set_fault("submit", drop_after_commit());
    let mut client = Client::connect(&stage, &[], json!({ "elicitation": {} })).await;
    let lost = client
        .tool("parse_document", json!({ "path": "notes.txt" }))
        .await;
    let id = lost.text("id").to_owned();
    for (answer, stage_after) in [
        (json!({ "action": "decline" }), "in_doubt"),
        (
            json!({ "action": "accept", "content": { "confirm": false } }),
            "in_doubt",
        ),
        (
            json!({ "action": "accept", "content": { "confirm": true } }),
            "abandoned",
        ),
    ] {
        client.answers = vec![("elicitation/create".to_owned(), answer)];
        client
            .tool("resolve_job", json!({ "id": id, "abandon": true }))
            .await;
        let asked = client.notifications.pop().unwrap();
        let message = asked["params"]["message"].as_str().unwrap();
        assert!(message.contains("second time"), "{message}");
        let job = client.tool("get_job", json!({ "id": id })).await;
        assert_eq!(job.answer["stage"], stage_after, "{job:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_call_keeps_its_job() {
    let stage = Stage::new().await;
    stage.input("notes.txt", TEXT);
    stage
        .simulators
        .textin()
        .set_fault("submit", Fault::Delay { seconds: 100.0 });
    let mut client = Client::plain(&stage).await;
    let id = client
        .begin_tool("parse_document", json!({ "path": "notes.txt" }))
        .await;
    // The paid call is under way.
    while stage.simulators.textin().requests().is_empty() {
        tokio::task::yield_now().await;
    }
    client
        .send(&json!({
            "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": id, "reason": "test" },
        }))
        .await;
    let done = client
        .tool(
            "parse_document",
            json!({ "path": "notes.txt", "wait_seconds": 50 }),
        )
        .await;
    assert_eq!(done.answer["stage"], "completed", "{done:?}");
    assert_eq!(charges(&stage), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn progress_is_told_while_a_call_waits() {
    let stage = Stage::new().await;
    stage.input("notes.txt", TEXT);
    let mut client = Client::connect(&stage, &["--no-work"], json!({})).await;
    let params = json!({
        "name": "parse_document", "arguments": { "path": "notes.txt", "wait_seconds": 7 },
        "_meta": { "progressToken": "p" },
    });
    let id = client.begin("tools/call", params).await;
    let answer = client.answer(id).await;
    assert_eq!(answer["result"]["structuredContent"]["exit_code"], 4);
    let next = answer["result"]["structuredContent"]["next"]
        .as_str()
        .unwrap();
    assert!(next.contains("docjobs work"), "{next}");
    let progress: Vec<f64> = client
        .notifications
        .iter()
        .filter(|told| told["method"] == "notifications/progress")
        .map(|told| {
            assert_eq!(told["params"]["progressToken"], "p");
            told["params"]["progress"].as_f64().unwrap()
        })
        .collect();
    assert!(progress.len() >= 2, "{progress:?}");
    assert!(
        progress
            .windows(2)
            .all(|two| two[0] < two[1] && two[1] - two[0] <= 5.0)
    );
    assert_eq!(stage.simulators.textin().requests().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_stdin_ends_the_server_soon_and_a_running_submit_is_recorded() {
    let stage = Stage::new().await;
    stage.input("notes.txt", TEXT);
    stage
        .simulators
        .textin()
        .set_fault("submit", Fault::Delay { seconds: 200.0 });
    let mut client = Client::plain(&stage).await;
    client
        .begin_tool("parse_document", json!({ "path": "notes.txt" }))
        .await;
    while stage.simulators.textin().requests().is_empty() {
        tokio::task::yield_now().await;
    }
    let clock = SystemClock::new();
    let begun = clock.now();
    let (exit, _, stderr) = client.close().await;
    let took = clock.now().since(begun);
    assert!(took < Duration::from_secs(10), "{took:?}");
    assert_eq!(exit, 0, "{stderr}");
    let ran = stage.run(&["jobs", "--json"]).await;
    let job: Value = serde_json::from_str(ran.stdout.lines().next().unwrap()).unwrap();
    assert_eq!(job["stage"], "accepted", "{job}");
    assert!(job["remote_id"].is_string(), "{job}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_reads_no_answers_ends_the_server_and_its_job_is_kept() {
    let stage = Stage::new().await;
    stage.input("notes.txt", TEXT);
    let textin = stage.simulators.textin();
    textin.set_fault("submit", Fault::Delay { seconds: 100.0 });
    let mut client = Client::plain(&stage).await;
    client
        .begin_tool("parse_document", json!({ "path": "notes.txt" }))
        .await;
    while textin.requests().is_empty() {
        tokio::task::yield_now().await;
    }
    let (exit, stderr) = client.stop_reading().await;
    assert_eq!(exit, 0, "{stderr}");
    assert!(!stderr.contains("panicked"), "{stderr}");
    let mut client = Client::plain(&stage).await;
    let parsed = client
        .tool("parse_document", json!({ "path": "notes.txt" }))
        .await;
    assert_eq!(parsed.answer["exit_code"], 0, "{parsed:?}");
    assert_eq!(textin.charges().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn stdout_carries_the_protocol_alone_under_any_logging() {
    let stage = Stage::new().await;
    stage.input("notes.txt", TEXT);
    let mut client = Client::connect(&stage, &["-vvv"], json!({})).await;
    // Half a message, a message that is none, a flood, and what nobody knows: each line of stdout stays a message.
    client
        .send_text("{\"jsonrpc\":\"2.0\",\"id\":1\n\n[]\nnonsense\n")
        .await;
    client
        .send(&json!({ "jsonrpc": "2.0", "method": "notifications/unknown" }))
        .await;
    let unknown = client.request("printer/print", json!({})).await;
    assert_eq!(unknown["error"]["code"], -32601, "{unknown}");
    let odd = client
        .request("tools/call", json!({ "name": "get_job", "arguments": "x" }))
        .await;
    assert!(odd["error"]["message"].is_string(), "{odd}");
    let mut open = HashSet::new();
    for _ in 0..1_000 {
        open.insert(client.begin("tools/list", json!({})).await);
    }
    while !open.is_empty() {
        let answer = client.message().await.unwrap();
        // The server says nothing by itself, but that a message is none.
        if let Some(id) = answer["id"].as_i64() {
            assert!(open.remove(&id), "{answer}");
        }
    }
    let parsed = client
        .tool("parse_document", json!({ "path": "notes.txt" }))
        .await;
    assert_eq!(parsed.answer["exit_code"], 0, "{parsed:?}");
    client
        .send_text("{\"jsonrpc\":\"2.0\",\"id\":99,\"meth")
        .await;
    let (exit, _, stderr) = client.close().await;
    assert_eq!(exit, 0, "{stderr}");
    assert!(stderr.contains("TRACE"), "no trace on stderr");
    assert!(!stderr.contains("panicked"), "{stderr}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_server_reads_and_buys_nothing() {
    let stage = Stage::new().await;
    stage.input("notes.txt", TEXT);
    let ran = stage
        .run(&["textin", "parse", "notes.txt", "-o", "notes.md"])
        .await;
    assert_eq!(ran.exit, 0, "{}", ran.stderr);
    let mut client = Client::connect(&stage, &["--read-only"], json!({})).await;
    let listed = client.request("tools/list", json!({})).await;
    assert_eq!(listed["result"]["tools"].as_array().unwrap().len(), 5);
    let refused = client
        .request(
            "tools/call",
            json!({ "name": "parse_document", "arguments": { "path": "notes.txt" } }),
        )
        .await;
    assert_eq!(refused["error"]["code"], -32602, "{refused}");
    let jobs = client
        .tool("list_jobs", json!({ "stage": ["completed"] }))
        .await;
    let id = jobs.answer["jobs"][0]["id"].as_str().unwrap().to_owned();
    let page = client.tool("get_result", json!({ "id": id })).await;
    assert_eq!(page.text("text"), TEXT);
    std::fs::rename(stage.path("notes.md"), stage.path("moved.md")).unwrap();
    let sent = stage.simulators.textin().requests().len();
    let elsewhere = client.tool("get_result", json!({ "id": id })).await;
    assert!(elsewhere.is_error, "{elsewhere:?}");
    assert!(elsewhere.text("error").contains("lies elsewhere"));
    assert_eq!(stage.simulators.textin().requests().len(), sent);
    let job = client.tool("get_job", json!({ "id": id })).await;
    assert_eq!(job.answer["stage"], "completed", "{job:?}");
    let known = client
        .tool(
            "estimate_cost",
            json!({ "tool": "parse_document", "path": "notes.txt" }),
        )
        .await;
    assert_eq!(known.answer["job"], json!(id), "{known:?}");
    assert_eq!(known.answer["units"], 0);
    assert_eq!(charges(&stage), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_job_is_an_error_with_the_vendors_words_and_costs_nothing_more() {
    let stage = Stage::new().await;
    stage.input("notes.txt", TEXT);
    stage.simulators.textin().next_outcome(Outcome::Failed {
        message: "the vendor's words".to_owned(),
    });
    let mut client = Client::plain(&stage).await;
    for _ in 0..2 {
        let job = client
            .tool("parse_document", json!({ "path": "notes.txt" }))
            .await;
        assert!(job.is_error, "{job:?}");
        assert_eq!(job.answer["exit_code"], 3, "{job:?}");
        assert_eq!(job.answer["stage"], "failed");
        assert!(job.text("error").contains("the vendor's words"), "{job:?}");
    }
    assert_eq!(stage.simulators.textin().jobs().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clients_roots_narrow_the_servers() {
    let stage = Stage::new().await;
    std::fs::create_dir(stage.path("inner")).unwrap();
    stage.input("notes.txt", TEXT);
    stage.input("inner/notes.txt", TEXT);
    let mut client =
        Client::connect(&stage, &[], json!({ "roots": { "listChanged": true } })).await;
    let inner = format!("file://{}", stage.path("inner").display());
    client.answers = vec![(
        "roots/list".to_owned(),
        json!({ "roots": [{ "uri": inner }] }),
    )];
    let call = json!({ "tool": "parse_document", "path": "notes.txt" });
    let estimate = client.tool("estimate_cost", call.clone()).await;
    assert!(!estimate.is_error, "{estimate:?}");
    let outside = json!({ "tool": "parse_document", "path": stage.path("notes.txt") });
    let refused = client.tool("estimate_cost", outside.clone()).await;
    assert!(
        refused.text("error").contains("not below a root"),
        "{refused:?}"
    );
    let whole = format!("file://{}", stage.folder.path().display());
    client.answers = vec![(
        "roots/list".to_owned(),
        json!({ "roots": [{ "uri": whole }] }),
    )];
    client
        .send(&json!({ "jsonrpc": "2.0", "method": "notifications/roots/list_changed" }))
        .await;
    let taken = client.tool("estimate_cost", outside).await;
    assert!(!taken.is_error, "{taken:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_tool_brings_its_result() {
    let stage = Stage::new().await;
    stage.input("notes.txt", TEXT);
    let mut client = Client::plain(&stage).await;
    let call = json!({ "topic": "cats", "out": "slides.pptx" });
    let deck = client.tool("make_deck", call).await;
    assert_eq!(deck.answer["exit_code"], 0, "{deck:?}");
    let same = client.tool("make_deck", json!({ "topic": "cats" })).await;
    assert_eq!(same.answer["id"], deck.answer["id"]);
    let outline = json!({ "outline": "# Cats\n\n## Paws\n", "template": "tpl-public-1" });
    let outline = client.tool("make_deck", outline).await;
    assert_eq!(outline.answer["exit_code"], 0, "{outline:?}");
    let pdf = client
        .tool("export_deck_pdf", json!({ "deck": deck.answer["id"] }))
        .await;
    assert_eq!(pdf.answer["exit_code"], 0, "{pdf:?}");
    let path = pdf.answer["result"]["path"].as_str().unwrap();
    assert!(std::fs::read(path).unwrap().starts_with(b"%PDF"));
    // It was given no place, and is the next tool's input all the same.
    assert!(path.contains("/."), "{path}");
    let parsed = client.tool("parse_document", json!({ "path": path }));
    let parsed = parsed.await;
    assert_eq!(parsed.answer["exit_code"], 0, "{parsed:?}");
    let binary = client
        .tool("get_result", json!({ "id": pdf.answer["id"] }))
        .await;
    assert!(
        binary.is_error && binary.text("error").contains("binary"),
        "{binary:?}"
    );
    let bundle = client
        .tool(
            "convert_slides_to_h5",
            json!({ "path": "slides.pptx", "out": "bundle.zip" }),
        )
        .await;
    assert_eq!(bundle.answer["exit_code"], 0, "{bundle:?}");
    assert!(stage.path("bundle.zip").is_file());
    let signing = client
        .tool("convert_for_signing", json!({ "path": "notes.txt" }))
        .await;
    assert_eq!(signing.answer["exit_code"], 0, "{signing:?}");
    let resource = signing.answer["result"]["preview"].as_str().unwrap();
    let page = client
        .tool("get_result", json!({ "id": signing.answer["id"] }))
        .await;
    assert_eq!(page.text("text"), resource);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_higher_number_of_calls_continues_an_export_and_a_shared_id_is_ambiguous() {
    let stage = Stage::new().await;
    let mut client = Client::plain(&stage).await;
    let deck = client.tool("make_deck", json!({ "topic": "cats" })).await;
    assert_eq!(deck.answer["exit_code"], 0, "{deck:?}");
    let export = |calls: u32| json!({ "deck": deck.answer["id"], "max_calls": calls });
    let spent = client.tool("export_deck_pdf", export(1)).await;
    assert_eq!(spent.answer["exit_code"], 7, "{spent:?}");
    assert!(spent.text("next").contains("higher max_calls"), "{spent:?}");
    let same = client.tool("export_deck_pdf", export(1)).await;
    assert_eq!(same.answer["exit_code"], 7, "{same:?}");
    let pdf = client.tool("export_deck_pdf", export(9)).await;
    assert_eq!(pdf.answer["id"], spent.answer["id"]);
    assert_eq!(pdf.answer["exit_code"], 0, "{pdf:?}");
    // Deck and export are one job at the vendor.
    let remote_id = &deck.answer["remote_id"];
    assert_eq!(remote_id, &pdf.answer["remote_id"]);
    let ambiguous = client.tool("get_job", json!({ "id": remote_id })).await;
    assert!(ambiguous.is_error, "{ambiguous:?}");
    for job in [&deck, &pdf] {
        assert!(ambiguous.text("error").contains(job.text("id")));
    }
}

/// What a client that has no session says with each request, and that it knows tasks and can ask its user.
fn inline() -> Value {
    json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": { "name": "test", "version": "1" },
        "io.modelcontextprotocol/clientCapabilities": {
            "elicitation": {}, "extensions": { "io.modelcontextprotocol/tasks": {} },
        },
    })
}

async fn task(client: &mut Client, id: &str) -> Value {
    let task = client
        .request("tasks/get", json!({ "taskId": id, "_meta": inline() }))
        .await;
    task["result"].clone()
}

/// Asks until the task has one of these states.
async fn task_at(client: &mut Client, id: &str, states: &[&str]) -> Value {
    let clock = SystemClock::new();
    let end = clock.now() + Duration::from_secs(60);
    loop {
        let task = task(client, id).await;
        let status = task["status"].as_str().unwrap_or_default().to_owned();
        if states.contains(&&*status) {
            return task;
        }
        assert!(clock.now() < end, "{task}");
        clock
            .sleep_until(clock.now() + Duration::from_millis(50))
            .await;
    }
}

fn call(arguments: Value) -> Value {
    json!({ "name": "parse_document", "arguments": arguments, "_meta": inline() })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_is_polled_across_a_restart() {
    let stage = Stage::new().await;
    stage.input("notes.txt", TEXT);
    let mut client = Client::start(&stage, &[]);
    let made = client
        .request("tools/call", call(json!({ "path": "notes.txt" })))
        .await;
    assert_eq!(made["result"]["resultType"], "task", "{made}");
    let id = made["result"]["taskId"].as_str().unwrap().to_owned();
    client.kill().await;

    let mut client = Client::start(&stage, &[]);
    let done = task_at(&mut client, &id, &["completed", "failed", "cancelled"]).await;
    assert_eq!(done["status"], "completed", "{done}");
    let answer = &done["result"]["structuredContent"];
    assert_eq!(answer["id"], json!(id));
    assert_eq!(answer["result"]["preview"], TEXT);
    let said = done["statusMessage"].as_str().unwrap();
    assert!(said.contains("Nothing more to do"), "{said}");
    // What is completed needs no task.
    let known = client
        .request("tools/call", call(json!({ "path": "notes.txt" })))
        .await;
    assert_eq!(
        known["result"]["structuredContent"]["id"],
        json!(id),
        "{known}"
    );
    let unknown = client
        .request(
            "tasks/get",
            json!({ "taskId": "0000000000", "_meta": inline() }),
        )
        .await;
    assert_eq!(unknown["error"]["code"], -32602, "{unknown}");
    assert_eq!(charges(&stage), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_in_doubt_asks_and_the_answer_decides() {
    let stage = Stage::new().await;
    stage.input("notes.txt", TEXT);
    stage
        .simulators
        .textin()
        .set_fault("submit", drop_after_commit());
    let mut client = Client::start(&stage, &[]);
    let made = client
        .request("tools/call", call(json!({ "path": "notes.txt" })))
        .await;
    let id = made["result"]["taskId"].as_str().unwrap().to_owned();
    let asked = task_at(&mut client, &id, &["input_required"]).await;
    let question = &asked["inputRequests"]["resolve"];
    assert_eq!(question["method"], "elicitation/create", "{asked}");
    let message = question["params"]["message"].as_str().unwrap();
    assert!(message.contains("second time"), "{message}");
    let remote = stage.simulators.textin().jobs().pop().unwrap().job_id;
    for (answer, is_taken) in [
        (json!({ "action": "accept", "content": {} }), false),
        (json!({ "action": "decline" }), true),
        (
            json!({ "action": "accept", "content": { "adopt": remote } }),
            true,
        ),
    ] {
        let update =
            json!({ "taskId": id, "inputResponses": { "resolve": answer }, "_meta": inline() });
        let updated = client.request("tasks/update", update).await;
        assert_eq!(updated.get("error").is_none(), is_taken, "{updated}");
    }
    let done = task_at(&mut client, &id, &["completed"]).await;
    let answer = &done["result"]["structuredContent"];
    assert_eq!(answer["remote_id"], json!(remote), "{done}");
    assert_eq!(charges(&stage), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_task_that_was_not_submitted_is_given_up_and_costs_nothing() {
    let stage = Stage::new().await;
    stage.input("notes.txt", TEXT);
    let mut client = Client::start(&stage, &["--no-work"]);
    let made = client
        .request("tools/call", call(json!({ "path": "notes.txt" })))
        .await;
    let id = made["result"]["taskId"].as_str().unwrap().to_owned();
    let cancelled = client
        .request("tasks/cancel", json!({ "taskId": id, "_meta": inline() }))
        .await;
    assert!(cancelled.get("error").is_none(), "{cancelled}");
    assert_eq!(task(&mut client, &id).await["status"], "cancelled");
    assert_eq!(charges(&stage), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_session_the_question_comes_back_with_the_answer() {
    let stage = Stage::new().await;
    stage.input("notes.txt", TEXT);
    stage
        .simulators
        .textin()
        .set_fault("submit", drop_after_commit());
    let mut client = Client::plain(&stage).await;
    let lost = client
        .tool("parse_document", json!({ "path": "notes.txt" }))
        .await;
    let id = lost.text("id").to_owned();
    drop(client.close().await);
    let mut client = Client::start(&stage, &[]);
    let abandon = |answer: Option<(Value, &str)>| {
        let mut params = json!({
            "name": "resolve_job", "arguments": { "id": id, "abandon": true }, "_meta": inline(),
        });
        if let Some((state, action)) = answer {
            let answer = json!({ "action": action, "content": { "confirm": true } });
            params["inputResponses"] = json!({ "confirm": answer });
            params["requestState"] = state;
        }
        params
    };
    let asked = client.request("tools/call", abandon(None)).await;
    assert_eq!(asked["result"]["resultType"], "input_required", "{asked}");
    let state = asked["result"]["requestState"].clone();
    // An answer to another question is none.
    let other = client
        .request("tools/call", abandon(Some((json!("other"), "accept"))))
        .await;
    assert_eq!(other["result"]["resultType"], "input_required", "{other}");
    let declined = client
        .request("tools/call", abandon(Some((state.clone(), "decline"))))
        .await;
    assert_eq!(declined["result"]["isError"], true, "{declined}");
    let done = client
        .request("tools/call", abandon(Some((state, "accept"))))
        .await;
    assert_eq!(
        done["result"]["structuredContent"]["stage"], "abandoned",
        "{done}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn over_budget_is_an_answer_and_the_job_goes_on_when_there_is_room() {
    let stage = Stage::new().await;
    stage.input("notes.txt", TEXT);
    let ledger = Ledger::open(&stage.ledger_path(), SystemClock::shared())
        .await
        .unwrap();
    ledger
        .set_budget("textin", 0, BudgetPeriod::Day, false)
        .await
        .unwrap();
    let mut client = Client::plain(&stage).await;
    let estimate = client
        .tool(
            "estimate_cost",
            json!({ "tool": "parse_document", "path": "notes.txt" }),
        )
        .await;
    assert_eq!(estimate.answer["fits_budget"], false, "{estimate:?}");
    let blocked = client
        .tool("parse_document", json!({ "path": "notes.txt" }))
        .await;
    assert!(!blocked.is_error, "{blocked:?}");
    assert_eq!(blocked.answer["exit_code"], 7, "{blocked:?}");
    assert_eq!(blocked.answer["stage"], "intended");
    assert!(blocked.answer["blocked_until"].is_string(), "{blocked:?}");
    assert!(blocked.text("next").contains("docjobs budget set"));
    let budgets = client.tool("get_budgets", json!({})).await;
    let budget = &budgets.answer["budgets"][0];
    assert_eq!(
        (&budget["vendor"], &budget["limit"]),
        (&json!("textin"), &json!(0))
    );
    assert_eq!(stage.simulators.textin().requests().len(), 0);

    ledger
        .set_budget("textin", 10, BudgetPeriod::Day, false)
        .await
        .unwrap();
    let done = client
        .tool(
            "get_job",
            json!({ "id": blocked.answer["id"], "wait_seconds": 50 }),
        )
        .await;
    assert_eq!(done.answer["stage"], "completed", "{done:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn buying_again_names_the_job_and_a_repeated_call_buys_no_third() {
    let stage = Stage::new().await;
    stage.input("notes.txt", TEXT);
    stage.input("other.txt", "another text\n");
    let mut client = Client::plain(&stage).await;
    let first = client
        .tool("parse_document", json!({ "path": "notes.txt" }))
        .await;
    let id = first.text("id").to_owned();
    let other = client
        .tool(
            "parse_document",
            json!({ "path": "other.txt", "again": id }),
        )
        .await;
    assert!(other.is_error, "{other:?}");
    assert_eq!(other.answer["exit_code"], 2, "{other:?}");
    assert_eq!(charges(&stage), 1);
    let mut second = String::new();
    for arguments in [
        json!({ "path": "notes.txt", "again": id }),
        json!({ "path": "notes.txt", "again": id }),
        json!({ "again": id }),
    ] {
        let again = client.tool("parse_document", arguments).await;
        assert_eq!(again.answer["exit_code"], 0, "{again:?}");
        assert_ne!(again.text("id"), id);
        if !second.is_empty() {
            assert_eq!(again.text("id"), second);
        }
        second = again.text("id").to_owned();
    }
    assert_eq!(charges(&stage), 2);
}
