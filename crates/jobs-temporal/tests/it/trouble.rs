//! The engine's own operations and faults: none of them buys twice or loses a job.

use std::time::Duration;

use jobs_ledger::Stage;
use jobs_temporal::JobWorkflow;
use serde_json::json;
use temporalio_client::{WorkflowExecuteUpdateOptions, WorkflowTerminateOptions};
use vendor_sim::{Fault, Times};

use super::world::{SPEED, World, result};

/// Real seconds in the vendor's.
fn vendor_seconds(real: f64) -> f64 {
    real * f64::from(SPEED)
}

#[tokio::test]
async fn a_reset_at_every_completed_workflow_task_buys_nothing_more() {
    let Some(world) = World::start().await else {
        return;
    };
    let _worker = world.worker().await;
    let client = world.server.client("default").await;
    let input = world.document("reset.txt");
    let handle = world.submit(&client, "reset", &input).await;
    let first = result(&world, &handle).await.unwrap();
    let tasks: Vec<String> = world
        .server
        .history("default", "reset")
        .iter()
        .filter(|event| event["eventType"] == "EVENT_TYPE_WORKFLOW_TASK_COMPLETED")
        .map(|event| {
            event["eventId"]
                .as_str()
                .map_or_else(|| event["eventId"].to_string(), str::to_owned)
        })
        .collect();
    assert!(tasks.len() >= 3, "{tasks:?}");
    let run = handle
        .describe(Default::default())
        .await
        .unwrap()
        .run_id()
        .to_owned();
    for task in &tasks {
        let reset = world.server.command(
            "default",
            &[
                "workflow",
                "reset",
                "--workflow-id",
                "reset",
                "--run-id",
                &run,
                "--event-id",
                task,
                "--reason",
                "test",
            ],
        );
        assert!(
            reset.status.success(),
            "{task}: {}",
            String::from_utf8_lossy(&reset.stderr)
        );
        let handle = client.get_workflow_handle::<JobWorkflow>("reset");
        assert_eq!(result(&world, &handle).await.unwrap()["id"], first["id"]);
    }
    world.check_money(&["reset.txt".to_owned()]).await;
    world.end().await;
}

#[tokio::test]
async fn buying_again_buys_one_more_however_often_it_is_repeated() {
    let Some(world) = World::start().await else {
        return;
    };
    let _worker = world.worker().await;
    let client = world.server.client("default").await;
    let mut input = world.document("more.txt");
    let handle = world.submit(&client, "first", &input).await;
    let first = result(&world, &handle).await.unwrap();
    input["again"] = first["id"].clone();
    input["output"] = json!(world.path("more.md"));
    let handle = world.submit(&client, "second", &input).await;
    let second = result(&world, &handle).await.unwrap();
    assert_ne!(second["id"], first["id"]);
    let reset = world.server.command(
        "default",
        &[
            "workflow",
            "reset",
            "--workflow-id",
            "second",
            "--type",
            "FirstWorkflowTask",
            "--reason",
            "test",
        ],
    );
    assert!(
        reset.status.success(),
        "{}",
        String::from_utf8_lossy(&reset.stderr)
    );
    for id in ["second", "third"] {
        let handle = world.submit(&client, id, &input).await;
        assert_eq!(result(&world, &handle).await.unwrap()["id"], second["id"]);
    }
    assert_eq!(world.vendor.jobs().len(), 2);
    assert_eq!(world.vendor.charges().len(), 2);
    world.end().await;
}

#[tokio::test]
async fn terminated_and_started_again_it_is_the_same_job() {
    let Some(world) = World::start_with(100.0).await else {
        return;
    };
    let _worker = world.worker().await;
    let client = world.server.client("default").await;
    let input = world.document("again.txt");
    for _ in 0..3 {
        let handle = world.submit(&client, "again", &input).await;
        world.sleep(Duration::from_millis(700)).await;
        handle
            .terminate(WorkflowTerminateOptions::default())
            .await
            .unwrap();
    }
    let handle = world.submit(&client, "again", &input).await;
    result(&world, &handle).await.unwrap();
    world.check_money(&["again.txt".to_owned()]).await;
    world.end().await;
}

#[tokio::test]
async fn an_activity_reset_during_the_paid_call_buys_nothing_more() {
    let Some(world) = World::start().await else {
        return;
    };
    let _worker = world.worker().await;
    let client = world.server.client("default").await;
    world.vendor.set_fault_times(
        "submit",
        Fault::Delay {
            seconds: vendor_seconds(6.0),
        },
        Times::Once,
    );
    let handle = world
        .submit(&client, "activity", &world.document("activity.txt"))
        .await;
    for _ in 0..100 {
        if world.vendor.jobs().len() == 1 {
            break;
        }
        world.sleep(Duration::from_millis(100)).await;
    }
    let history = world.server.history("default", "activity");
    let scheduled = history
        .iter()
        .rev()
        .find_map(|event| event["activityTaskScheduledEventAttributes"]["activityId"].as_str());
    let reset = world.server.command(
        "default",
        &[
            "activity",
            "reset",
            "--workflow-id",
            "activity",
            "--activity-id",
            scheduled.unwrap(),
        ],
    );
    assert!(
        reset.status.success(),
        "{}",
        String::from_utf8_lossy(&reset.stderr)
    );
    result(&world, &handle).await.unwrap();
    world.check_money(&["activity.txt".to_owned()]).await;
    world.end().await;
}

#[tokio::test]
async fn two_namespaces_on_one_ledger_buy_once() {
    let Some(world) = World::start().await else {
        return;
    };
    let _here = world.worker_of("default", &[]).await;
    let _there = world.worker_of("other", &[]).await;
    let (here, there) = (
        world.server.client("default").await,
        world.server.client("other").await,
    );
    let mut names = Vec::new();
    let mut handles = Vec::new();
    for number in 0..6 {
        let name = format!("both-{number}.txt");
        let input = world.document(&name);
        handles.push(world.submit(&here, &name, &input).await);
        handles.push(world.submit(&there, &name, &input).await);
        names.push(name);
    }
    for handle in &handles {
        result(&world, handle).await.unwrap();
    }
    world.check_money(&names).await;
    world.end().await;
}

#[tokio::test]
async fn a_lost_answer_waits_for_a_person_who_adopts() {
    let Some(world) = World::start().await else {
        return;
    };
    let _worker = world.worker().await;
    let client = world.server.client("default").await;
    world.vendor.set_fault_times(
        "submit",
        Fault::DropAfterCommit { reset: false },
        Times::Once,
    );
    let input = world.document("doubt.txt");
    let handle = world.submit(&client, "doubt", &input).await;
    wait_for_doubt(&world).await;
    let odd = handle
        .execute_update(
            JobWorkflow::resolve,
            json!({"adopt": ""}),
            WorkflowExecuteUpdateOptions::default(),
        )
        .await;
    assert!(odd.is_err());
    let remote = world.vendor.jobs()[0].job_id.clone();
    let job = handle
        .execute_update(
            JobWorkflow::resolve,
            json!({"adopt": remote}),
            WorkflowExecuteUpdateOptions::default(),
        )
        .await
        .unwrap();
    assert_eq!(job["remote_id"], json!(remote));
    result(&world, &handle).await.unwrap();
    world.check_money(&["doubt.txt".to_owned()]).await;
    world.end().await;
}

#[tokio::test]
async fn a_lost_answer_that_is_abandoned_ends_the_workflow() {
    let Some(world) = World::start().await else {
        return;
    };
    let _worker = world.worker().await;
    let client = world.server.client("default").await;
    world.vendor.set_fault_times(
        "submit",
        Fault::DropAfterCommit { reset: false },
        Times::Once,
    );
    let handle = world
        .submit(&client, "given-up", &world.document("given-up.txt"))
        .await;
    wait_for_doubt(&world).await;
    handle
        .execute_update(
            JobWorkflow::resolve,
            json!({"abandon": true}),
            WorkflowExecuteUpdateOptions::default(),
        )
        .await
        .unwrap();
    let failure = result(&world, &handle).await.unwrap_err();
    assert_eq!(failure["type"], "docjobs.Abandoned", "{failure}");
    assert_eq!(world.vendor.jobs().len(), 1);
    world.end().await;
}

/// Until the ledger's only job is left for a person, and its workflow has heard of it.
async fn wait_for_doubt(world: &World) {
    for _ in 0..600 {
        let rows = world.rows().await;
        if rows
            .first()
            .is_some_and(|row| row.stage == Stage::InDoubt && row.parked.is_some())
        {
            world.sleep(Duration::from_secs(2)).await;
            return;
        }
        world.sleep(Duration::from_millis(100)).await;
    }
    panic!("nothing is in doubt\n{}", world.logs());
}
