//! Workers and servers that die or stop at any instant: charges at the vendor equal the ledger, nothing is lost.

use std::time::Duration;

use fastrand::Rng;
use vendor_sim::{Fault, Times};

use super::world::{SPEED, WorkerProcess, World, result};

/// So many rounds of kills; `cargo xtask temporal --full` asks for more.
fn rounds() -> usize {
    number("DOCJOBS_TEST_TEMPORAL_ROUNDS", 4)
}

fn number(name: &str, usual: usize) -> usize {
    std::env::var(name)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(usual)
}

#[tokio::test]
async fn workers_killed_at_any_instant_buy_once_and_lose_nothing() {
    let Some(world) = World::start().await else {
        return;
    };
    let mut rng = Rng::with_seed(20_261_130);
    let client = world.server.client("default").await;
    let mut workers: Vec<WorkerProcess> = vec![world.worker().await, world.worker().await];
    let mut names = Vec::new();
    let mut handles = Vec::new();
    for round in 0..rounds() {
        for number in 0..4 {
            let name = format!("killed-{round}-{number}.txt");
            handles.push(world.submit(&client, &name, &world.document(&name)).await);
            names.push(name);
        }
        world.sleep(Duration::from_millis(rng.u64(0..2_500))).await;
        workers.swap_remove(rng.usize(0..workers.len())).kill();
        workers.push(world.worker().await);
    }
    let unresolved = settle(&world, &handles).await;
    // A submit whose worker was killed between the request and the answer is in doubt; a person looks at the vendor.
    world.resolve_in_doubt(&client, unresolved).await;
    for handle in &handles {
        result(&world, handle).await.unwrap();
    }
    world.check_money(&names).await;
    world.end().await;
}

/// Waits until each workflow has ended or is in doubt.
async fn settle(world: &World, _handles: &[impl Sized]) -> usize {
    let limit = world.clock.now() + Duration::from_secs(180);
    loop {
        let rows = world.rows().await;
        let open = rows
            .iter()
            .filter(|row| {
                !row.stage.is_settled()
                    && !(row.stage == jobs_ledger::Stage::InDoubt && row.parked.is_some())
            })
            .count();
        if open == 0 && rows.len() == _handles.len() {
            return rows.iter().filter(|row| !row.stage.is_settled()).count();
        }
        assert!(
            world.clock.now() < limit,
            "{open} jobs are open: {rows:?}\n{}",
            world.logs()
        );
        world.sleep(Duration::from_millis(500)).await;
    }
}

#[tokio::test]
async fn a_worker_stopped_past_its_heartbeat_buys_once_and_its_late_answer_is_kept() {
    let Some(world) = World::start().await else {
        return;
    };
    let client = world.server.client("default").await;
    let stopped = world.worker().await;
    let hold = Fault::Delay {
        seconds: 3.0 * f64::from(SPEED),
    };
    world.vendor.set_fault_times("submit", hold, Times::Once);
    let handle = world
        .submit(&client, "stopped", &world.document("stopped.txt"))
        .await;
    for _ in 0..200 {
        if world.vendor.jobs().len() == 1 {
            break;
        }
        world.sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(world.vendor.jobs().len(), 1);
    stopped.signal("STOP");
    let _other = world.worker().await;
    // Past the heartbeat, so that the engine has the other worker find out.
    world.sleep(Duration::from_secs(16)).await;
    stopped.signal("CONT");
    // No person decides anything: the answer arrived, and it is kept.
    result(&world, &handle).await.unwrap();
    let history = world.server.history("default", "stopped");
    let has = |kind: &str| history.iter().any(|event| event["eventType"] == kind);
    assert!(
        has("EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT"),
        "the submit was not given up"
    );
    let signals = history.iter().filter_map(|event| {
        event["workflowExecutionSignaledEventAttributes"]["signalName"].as_str()
    });
    assert!(
        signals.into_iter().any(|name| name == "late"),
        "the late answer was not told"
    );
    world.check_money(&["stopped.txt".to_owned()]).await;
    world.end().await;
}

#[tokio::test]
async fn a_server_that_is_killed_continues_where_it_was() {
    let Some(mut world) = World::start_with(100.0).await else {
        return;
    };
    let client = world.server.client("default").await;
    let _worker = world.worker().await;
    let mut names = Vec::new();
    for number in 0..6 {
        let name = format!("server-{number}.txt");
        world.submit(&client, &name, &world.document(&name)).await;
        names.push(name);
    }
    world.sleep(Duration::from_secs(1)).await;
    world.server.kill_and_start(Duration::from_secs(3)).await;
    let client = world.server.client("default").await;
    for name in &names {
        let handle = client.get_workflow_handle::<jobs_temporal::JobWorkflow>(name);
        result(&world, &handle).await.unwrap();
    }
    world.check_money(&names).await;
    world.end().await;
}

/// Many jobs for three workers, one of which is killed and one stopped past its heartbeat. `DOCJOBS_TEST_TEMPORAL_JOBS`
/// says how many.
#[tokio::test]
async fn many_jobs_by_three_workers_are_polled_in_batches() {
    const SECONDS: f64 = 60.0;
    let Some(world) = World::start_with(SECONDS).await else {
        return;
    };
    let jobs = number("DOCJOBS_TEST_TEMPORAL_JOBS", 60);
    let client = world.server.client("default").await;
    let mut workers = vec![
        world.worker().await,
        world.worker().await,
        world.worker().await,
    ];
    let mut names = Vec::new();
    let mut handles = Vec::new();
    for number in 0..jobs {
        let name = format!("many-{number}.txt");
        handles.push(world.submit(&client, &name, &world.document(&name)).await);
        names.push(name);
        if number == jobs / 3 {
            workers.remove(0).kill();
        }
        if number == jobs / 2 {
            workers[0].signal("STOP");
        }
    }
    world.sleep(Duration::from_secs(16)).await;
    workers[0].signal("CONT");
    let unresolved = settle(&world, &handles).await;
    world.resolve_in_doubt(&client, unresolved).await;
    for handle in &handles {
        result(&world, handle).await.unwrap();
    }
    world.check_money(&names).await;
    let requests = world.vendor.requests().len();
    let alone = world.requests_of_one_process(SECONDS, jobs).await;
    let told = format!("{requests} requests; {alone} by one process without an engine");
    assert!(10 * requests <= 12 * alone, "{told}");
    eprintln!("{jobs} jobs, {told}");
    world.end().await;
}
