//! Starts in any language: the happy way, what queries show, and input that cannot be used.

use std::process::Command;
use std::time::Duration;

use jobs_temporal::JobWorkflow;
use serde_json::{Value, json};
use temporalio_client::{WorkflowCancelOptions, WorkflowQueryOptions, WorkflowSignalOptions};

use super::world::{World, result};

const KEYS: [&str; 12] = [
    "created_at",
    "credits",
    "error",
    "id",
    "input",
    "kind",
    "output",
    "remote_id",
    "stage",
    "ticket",
    "updated_at",
    "vendor",
];

fn keys(job: &Value) -> Vec<String> {
    let mut keys: Vec<String> = job.as_object().unwrap().keys().cloned().collect();
    keys.sort();
    keys
}

#[tokio::test]
async fn a_job_is_bought_once_and_its_result_delivered() {
    let Some(world) = World::start().await else {
        return;
    };
    let worker = world.worker_of("default", &["--setup"]).await;
    let client = world.server.client("default").await;
    let input = world.document("one.txt");
    let handle = world.submit(&client, "one", &input).await;
    handle
        .signal(JobWorkflow::poll_soon, (), WorkflowSignalOptions::default())
        .await
        .unwrap();
    let job = result(&world, &handle).await.unwrap();
    assert_eq!(keys(&job), KEYS);
    assert_eq!(
        (&job["stage"], &job["vendor"]),
        (&json!("completed"), &json!("textin"))
    );
    assert_eq!(job["output"], input["output"]);
    assert!(
        job["ticket"]
            .as_str()
            .is_some_and(|ticket| !ticket.is_empty())
    );
    let shown = handle
        .query(JobWorkflow::job, (), WorkflowQueryOptions::default())
        .await
        .unwrap();
    assert_eq!(shown, job);
    // Another workflow for the same input is answered from the ledger.
    let again = world.submit(&client, "another id", &input).await;
    assert_eq!(result(&world, &again).await.unwrap()["id"], job["id"]);
    world.check_money(&["one.txt".to_owned()]).await;
    // The engine's own queries find it by vendor, stage and money.
    let query = "DocjobsVendor = 'textin' AND DocjobsStage = 'completed' AND DocjobsKind = 'parse'";
    let mut found = String::new();
    for _ in 0..50 {
        let listed = world.server.command(
            "default",
            &["workflow", "list", "--query", query, "--output", "json"],
        );
        found = String::from_utf8_lossy(&listed.stdout).into_owned();
        if found.contains("another id") {
            break;
        }
        world.sleep(Duration::from_millis(200)).await;
    }
    assert!(found.contains("another id"), "{found}");
    drop(worker);
    world.end().await;
}

#[tokio::test]
async fn a_start_that_cannot_be_used_fails_with_its_type_and_buys_nothing() {
    let Some(world) = World::start().await else {
        return;
    };
    let _worker = world.worker().await;
    let client = world.server.client("default").await;
    let good = world.document("good.txt");
    let with = |key: &str, value: Value| {
        let mut input = good.clone();
        input[key] = value;
        input
    };
    let cases = [
        (
            "no vendor",
            json!({"kind": "parse"}),
            "docjobs.InvalidInput",
            "missing field `vendor`",
        ),
        (
            "no object",
            json!("parse this"),
            "docjobs.InvalidInput",
            "is not usable",
        ),
        (
            "vendor",
            with("vendor", json!("nobody")),
            "docjobs.NoHandler",
            "nobody parse jobs are not known",
        ),
        (
            "kind",
            with("kind", json!("translate")),
            "docjobs.NoHandler",
            "textin translate jobs are not known",
        ),
        (
            "file",
            with("input", json!({"path": "/nowhere/a.pdf"})),
            "docjobs.InvalidInput",
            "cannot read /nowhere/a.pdf",
        ),
        (
            "option",
            with("options", json!({"pgaes": "1"})),
            "docjobs.InvalidInput",
            "pgaes",
        ),
    ];
    for (id, input, kind, text) in cases {
        let handle = world.submit(&client, id, &input).await;
        let failure = result(&world, &handle).await.unwrap_err();
        assert_eq!(failure["type"], kind, "{id}: {failure}");
        assert_eq!(
            (&failure["non_retryable"], &failure["details"]["exit_code"]),
            (&json!(true), &json!(2)),
            "{id}"
        );
        let message = failure["details"]["message"].as_str().unwrap();
        assert!(message.contains(text), "{id}: {message}");
        assert_eq!(failure["details"]["ticket"], Value::Null, "{id}");
    }
    assert!(world.vendor.jobs().is_empty());
    assert!(world.rows().await.is_empty());
    world.end().await;
}

#[tokio::test]
async fn a_job_that_the_vendor_fails_ends_with_the_vendors_words_and_the_ticket() {
    let Some(world) = World::start().await else {
        return;
    };
    let _worker = world.worker().await;
    let client = world.server.client("default").await;
    world
        .vendor
        .next_outcome(vendor_sim::textin::Outcome::Failed {
            message: "damaged beyond repair".to_owned(),
        });
    let handle = world
        .submit(&client, "bad", &world.document("bad.txt"))
        .await;
    let failure = result(&world, &handle).await.unwrap_err();
    assert_eq!(failure["type"], "docjobs.Failed", "{failure}");
    assert_eq!(failure["details"]["exit_code"], 3);
    assert!(
        failure["details"]["message"]
            .as_str()
            .unwrap()
            .contains("damaged beyond repair"),
        "{failure}"
    );
    assert!(failure["details"]["ticket"].is_string(), "{failure}");
    world.end().await;
}

#[tokio::test]
async fn a_cancelled_wait_hands_back_the_ticket_and_the_job_is_still_had() {
    let Some(world) = World::start_with(120.0).await else {
        return;
    };
    let _worker = world.worker().await;
    let client = world.server.client("default").await;
    let input = world.document("slow.txt");
    let handle = world.submit(&client, "slow", &input).await;
    for _ in 0..100 {
        if world.vendor.jobs().len() == 1 {
            break;
        }
        world.sleep(Duration::from_millis(100)).await;
    }
    world.sleep(Duration::from_secs(1)).await;
    handle
        .cancel(WorkflowCancelOptions::default())
        .await
        .unwrap();
    let ended = result(&world, &handle).await.unwrap_err();
    assert!(ended["cancelled"]["ticket"].is_string(), "{ended}");
    let again = world.submit(&client, "slow again", &input).await;
    result(&world, &again).await.unwrap();
    world.check_money(&["slow.txt".to_owned()]).await;
    world.end().await;
}

#[tokio::test]
async fn a_deadline_ends_the_wait_with_the_ticket() {
    let Some(world) = World::start_with(100_000.0).await else {
        return;
    };
    let _worker = world.worker().await;
    let client = world.server.client("default").await;
    let mut input = world.document("never.txt");
    input["deadline"] = json!("5s");
    let handle = world.submit(&client, "never", &input).await;
    let failure = result(&world, &handle).await.unwrap_err();
    assert_eq!(
        (&failure["type"], &failure["details"]["exit_code"]),
        (&json!("docjobs.DeadlineExceeded"), &json!(4))
    );
    assert!(failure["details"]["ticket"].is_string(), "{failure}");
    world.end().await;
}

#[tokio::test]
async fn a_job_is_started_by_name_from_python() {
    let Some(program) = super::server::program() else {
        return;
    };
    let python = program.with_file_name("python");
    let has_sdk = Command::new(&python)
        .args(["-c", "import temporalio"])
        .output();
    if !has_sdk.is_ok_and(|imported| imported.status.success()) {
        eprintln!("SKIPPED: no Python with temporalio beside the server's program");
        return;
    }
    let Some(world) = World::start().await else {
        return;
    };
    let _worker = world.worker().await;
    let input = world.document("python.txt");
    let script = world.path("start.py");
    std::fs::write(&script, PYTHON).unwrap();
    let words = [world.server.address(), input.to_string()];
    let started = tokio::process::Command::new(&python)
        .arg(&script)
        .args(words)
        .output()
        .await
        .unwrap();
    let said = String::from_utf8_lossy(&started.stderr).into_owned();
    assert!(started.status.success(), "{said}\n{}", world.logs());
    let told: Value = serde_json::from_slice(&started.stdout).unwrap();
    assert_eq!(keys(&told["result"]), KEYS);
    assert_eq!(told["result"]["stage"], "completed");
    assert_eq!(told["query"], told["result"]);
    assert_eq!(told["failure"]["type"], "docjobs.NoHandler");
    assert_eq!(told["failure"]["details"][0]["exit_code"], 2);
    world.check_money(&["python.txt".to_owned()]).await;
    world.end().await;
}

const PYTHON: &str = r#"
import asyncio, json, sys
from temporalio.client import Client, WorkflowFailureError
from temporalio.common import WorkflowIDConflictPolicy

async def main():
    client = await Client.connect(sys.argv[1])
    job = json.loads(sys.argv[2])
    handle = await client.start_workflow(
        "docjobs.Job", job, id="from-python", task_queue="docjobs",
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING)
    result = await handle.result()
    query = await handle.query("job")
    try:
        await client.execute_workflow("docjobs.Job", {**job, "vendor": "nobody"}, id="bad-from-python", task_queue="docjobs")
        failure = None
    except WorkflowFailureError as error:
        failure = {"type": error.cause.type, "details": list(error.cause.details)}
    print(json.dumps({"result": result, "query": query, "failure": failure}))

asyncio.run(main())
"#;

#[tokio::test]
async fn a_worker_without_server_namespace_or_vendor_says_so_and_ends() {
    let Some(world) = World::start().await else {
        return;
    };
    let log = world.path("ended.log");
    let run = |address: &str, namespace: &str, without: Option<&str>| {
        let mut command = world.command_at(address, namespace, &[], &log);
        if let Some(prefix) = without {
            for (name, _) in world.vendor.env() {
                if name.starts_with(prefix) {
                    command.env_remove(name);
                }
            }
        }
        let code = command.status().unwrap().code();
        (code, std::fs::read_to_string(&log).unwrap())
    };
    let address = world.server.address();
    let (code, said) = run("127.0.0.1:9", "default", None);
    assert_eq!(code, Some(8), "{said}");
    assert!(
        said.contains("cannot reach the Temporal server at 127.0.0.1:9"),
        "{said}"
    );
    let (code, said) = run(&address, "nowhere", None);
    assert_eq!(code, Some(8), "{said}");
    assert!(said.contains("nowhere"), "{said}");
    let (code, said) = run(&address, "default", Some("TEXTIN_"));
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("no vendor has its variables set"), "{said}");
    world.end().await;
}
