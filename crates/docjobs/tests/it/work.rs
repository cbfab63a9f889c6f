//! Workers: any number on one ledger, each job once, nothing left behind when they stop.

use std::os::unix::process::ExitStatusExt as _;
use std::process::Stdio;
use std::time::Duration;

use jobs_core::clock::{Clock as _, SystemClock, bounded};
use jobs_ledger::{JobFilter, Ledger, Stage as At};
use serde_json::Value;
use tokio::process::Child;
use vendor_sim::textin::Outcome;

use crate::stage::Stage;

async fn jobs(stage: &Stage) -> Vec<Value> {
    let ran = stage.run(&["jobs", "--json"]).await;
    ran.stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Submits documents without waiting for them.
async fn submit(stage: &Stage, count: usize) {
    for number in 0..count {
        let (name, output) = (format!("{number}.txt"), format!("{number}.md"));
        stage.input(&name, &format!("text number {number}\n"));
        let ran = stage
            .run(&["textin", "parse", &name, "-o", &output, "--no-wait"])
            .await;
        assert_eq!(ran.exit, 0, "{}", ran.stderr);
    }
}

/// A worker that has begun the second poll of each of two jobs, and so knows what the first one saw.
async fn at_work(stage: &Stage) -> Child {
    let worker = stage
        .command(&["work"])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let polls = || stage.simulators.textin().requests().len();
    let before = polls();
    while polls() < before + 4 {
        tokio::task::yield_now().await;
    }
    worker
}

fn terminate(child: &Child) {
    let pid = child.id().expect("it is running").to_string();
    let sent = std::process::Command::new("kill")
        .arg(pid)
        .status()
        .unwrap();
    assert!(sent.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_submitted_is_brought_home_once() {
    let stage = Stage::new().await;
    submit(&stage, 3).await;
    let (a, b) = tokio::join!(
        stage.run(&["work", "--once", "--json"]),
        stage.run(&["work", "--once", "--json"])
    );
    assert_eq!((a.exit, b.exit), (0, 0), "{}\n{}", a.stderr, b.stderr);
    for number in 0..3 {
        let result = std::fs::read_to_string(stage.path(&format!("{number}.md"))).unwrap();
        assert_eq!(result, format!("text number {number}\n"));
    }
    let done = [a.stdout, b.stdout].concat();
    assert_eq!(done.matches(r#""event":"done""#).count(), 3, "{done}");
    assert_eq!(stage.simulators.textin().charges().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_result_has_the_form_and_the_place_that_were_wanted() {
    let stage = Stage::new().await;
    stage.input("a.txt", "some text\n");
    stage.input("b.txt", "other text\n");
    for args in [
        &[
            "textin",
            "parse",
            "a.txt",
            "--format",
            "json",
            "-o",
            "a.json",
            "--no-wait",
        ][..],
        &["textin", "parse", "b.txt", "--no-wait"],
    ] {
        assert_eq!(stage.run(args).await.exit, 0);
    }
    let ran = stage.run(&["work", "--once", "--out", "."]).await;
    assert_eq!(ran.exit, 0, "{}", ran.stderr);
    let json: Value =
        serde_json::from_slice(&std::fs::read(stage.path("a.json")).unwrap()).unwrap();
    assert!(json.is_object());
    let id = jobs(&stage).await[0]["id"].as_str().unwrap().to_owned();
    let result = std::fs::read_to_string(stage.path(&format!("{id}.md"))).unwrap();
    assert_eq!(result, "other text\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_told_to_stop_gives_its_jobs_back_at_once() {
    let stage = Stage::new().await;
    stage
        .simulators
        .textin()
        .change_options(|options| options.in_progress_seconds = 40_000.0);
    submit(&stage, 2).await;
    let mut worker = at_work(&stage).await;
    terminate(&worker);
    let clock = SystemClock::new();
    let lease = clock.now() + Duration::from_secs(10);
    let ended = bounded(&clock, lease, worker.wait()).await;
    let ended = ended.expect("within the lease").unwrap();
    assert_eq!(ended.signal(), Some(15), "it ends by the signal");
    let ledger = Ledger::open(&stage.ledger_path(), SystemClock::shared())
        .await
        .unwrap();
    let jobs = ledger.list(&JobFilter::unfinished()).await.unwrap().jobs;
    assert_eq!(jobs.len(), 2);
    for job in jobs {
        assert_eq!((job.stage, job.claimed), (At::Accepted, false));
        assert!(job.last_poll.is_some(), "the next process keeps the floor");
    }
    ledger.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_worker_leaves_its_jobs_to_the_next_at_once() {
    let stage = Stage::new().await;
    stage
        .simulators
        .textin()
        .change_options(|options| options.in_progress_seconds = 600.0);
    submit(&stage, 2).await;
    let mut worker = at_work(&stage).await;
    worker.kill().await.unwrap();
    let ran = stage.run(&["work", "--once"]).await;
    assert_eq!(ran.exit, 0, "{}", ran.stderr);
    assert_eq!(stage.files(), ["0.md", "0.txt", "1.md", "1.txt"]);
    assert_eq!(stage.simulators.textin().charges().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_whose_polls_cost_money_is_polled_within_what_was_allowed() {
    let stage = Stage::new().await;
    stage.input(
        "plan.md",
        "# Plan\n\n## One\n\n### Two\n\n#### Three\n\nText.\n",
    );
    let args = [
        "mindshow",
        "deck",
        "--markdown",
        "plan.md",
        "-o",
        "plan.pptx",
    ];
    assert_eq!(stage.run(&args).await.exit, 0);
    let deck = stage.simulators.mindshow().jobs()[0].id.clone();
    let before = stage.simulators.mindshow().charges().len();
    let args = [
        "mindshow",
        "pdf",
        &deck,
        "-o",
        "plan.pdf",
        "--max-calls",
        "12",
        "--no-wait",
    ];
    let ran = stage.run(&args).await;
    assert_eq!(ran.exit, 0, "{}", ran.stderr);
    let ran = stage.run(&["work", "--once"]).await;
    assert_eq!(ran.exit, 0, "{}", ran.stderr);
    assert!(
        std::fs::read(stage.path("plan.pdf"))
            .unwrap()
            .starts_with(b"%PDF")
    );
    let jobs = jobs(&stage).await;
    let export = jobs.iter().find(|job| job["kind"] == "pdf").unwrap();
    assert_eq!(export["stage"], "completed");
    assert!(stage.simulators.mindshow().charges().len() - before <= 12);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_that_the_vendor_does_not_poll_is_parked_after_one_call() {
    let stage = Stage::new().await;
    let ran = stage
        .run(&["mindshow", "pdf", "deck1", "-o", "deck.pdf", "--no-wait"])
        .await;
    assert_eq!(ran.exit, 0, "{}", ran.stderr);
    let ran = stage.run(&["work", "--once"]).await;
    assert_eq!(ran.exit, 4, "{}", ran.stderr);
    assert!(ran.stderr.contains("docjobs wait"), "{}", ran.stderr);
    assert_eq!(
        ran.stderr.matches("job not found").count(),
        1,
        "{}",
        ran.stderr
    );
    assert_eq!(jobs(&stage).await[0]["stage"], "accepted");
    assert!(stage.simulators.mindshow().charges().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_failed_at_the_vendor_is_settled_with_its_words() {
    let stage = Stage::new().await;
    submit(&stage, 1).await;
    stage.input("bad.txt", "some text\n");
    stage.simulators.textin().change_options(|options| {
        let failed = Outcome::Failed {
            message: "cannot be read".to_owned(),
        };
        options.outcomes.insert("bad.txt".to_owned(), failed);
    });
    let args = ["textin", "parse", "bad.txt", "-o", "bad.md", "--no-wait"];
    assert_eq!(stage.run(&args).await.exit, 0);
    let ran = stage.run(&["work", "--once"]).await;
    assert_eq!(ran.exit, 3, "{}", ran.stderr);
    let jobs = jobs(&stage).await;
    assert_eq!(
        (&jobs[0]["stage"], &jobs[1]["stage"]),
        (&"failed".into(), &"completed".into())
    );
    assert!(
        jobs[0]["error"]
            .as_str()
            .unwrap()
            .contains("cannot be read"),
        "{jobs:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_vendor_there_is_nothing_to_work_on() {
    let stage = Stage::new().await;
    let nothing = [
        "TEXTIN_APP_ID",
        "PPJ_ACCESS_KEY",
        "PPJ_APP_ID",
        "MINDSHOW_API_KEY",
        "TENCENTCLOUD_SECRET_ID",
    ]
    .map(|name| (name, ""));
    let ran = stage.run_with(&["work"], &nothing).await;
    assert_eq!(ran.exit, 2, "{}", ran.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_for_results_is_made_and_a_place_that_failed_is_tried_again() {
    let stage = Stage::new().await;
    submit(&stage, 1).await;
    stage.input("b.txt", "other text\n");
    let args = ["textin", "parse", "b.txt", "-o", "gone/b.md", "--no-wait"];
    std::fs::create_dir(stage.path("gone")).unwrap();
    assert_eq!(stage.run(&args).await.exit, 0);
    std::fs::remove_dir(stage.path("gone")).unwrap();
    stage.input("c.txt", "third text\n");
    let args = ["textin", "parse", "c.txt", "--no-wait"];
    assert_eq!(stage.run(&args).await.exit, 0);

    let ran = stage.run(&["work", "--once", "--out", "new/results"]).await;
    assert_eq!(ran.exit, 4, "{}", ran.stderr);
    assert_eq!(
        std::fs::read_dir(stage.path("new/results"))
            .unwrap()
            .count(),
        1
    );
    std::fs::create_dir(stage.path("gone")).unwrap();
    let ran = stage.run(&["work", "--once"]).await;
    assert_eq!(ran.exit, 0, "{}", ran.stderr);
    let result = std::fs::read_to_string(stage.path("gone/b.md")).unwrap();
    assert_eq!(result, "other text\n");

    stage.input("taken", "a file");
    let ran = stage.run(&["work", "--once", "--out", "taken"]).await;
    assert_eq!(ran.exit, 2, "{}", ran.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_ends_on_a_result_that_is_broken_each_time() {
    let stage = Stage::new().await;
    submit(&stage, 1).await;
    for _ in 0..9 {
        stage
            .simulators
            .textin()
            .set_fault("result", vendor_sim::fault::Fault::TruncatedJson {});
    }
    let ran = stage.run(&["work", "--once"]).await;
    assert_eq!(ran.exit, 4, "{}", ran.stderr);
    assert!(ran.stderr.contains("0.md.unverified"), "{}", ran.stderr);
    assert_eq!(stage.files(), ["0.md.unverified", "0.txt"]);
    // The next worker leaves it alone.
    let polls = stage.simulators.textin().requests().len();
    assert_eq!(stage.run(&["work", "--once"]).await.exit, 4);
    assert_eq!(stage.simulators.textin().requests().len(), polls);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_pruned_stays_bought() {
    let stage = Stage::new().await;
    stage.input("a.txt", "# a\n");
    let parse = async |output: &str| {
        stage
            .run(&["textin", "parse", "a.txt", "--pages", "1", "-o", output])
            .await
    };
    let ran = parse("a.md").await;
    assert_eq!(ran.exit, 0, "{}", ran.stderr);
    let ran = stage.run(&["work", "--once", "--keep", "90d"]).await;
    assert!(!ran.stderr.contains("dropped"), "{}", ran.stderr);
    let ran = stage.run(&["work", "--once", "--keep", "0s"]).await;
    assert_eq!(ran.exit, 0, "{}", ran.stderr);
    assert!(ran.stderr.contains("1 job dropped"), "{}", ran.stderr);
    let before = stage.simulators.textin().requests().len();
    for output in ["a.md", "copy.md"] {
        let ran = parse(output).await;
        assert_eq!(ran.exit, 0, "{output}: {}", ran.stderr);
        assert_eq!(std::fs::read(stage.path(output)).unwrap(), b"# a\n");
    }
    assert_eq!(stage.simulators.textin().requests().len(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_end_of_a_job_is_a_json_line_in_the_log() {
    let stage = Stage::new().await;
    stage.simulators.textin().next_outcome(Outcome::Failed {
        message: "处理失败".to_owned(),
    });
    submit(&stage, 2).await;
    let ran = stage.run(&["work", "--once", "--log", "json"]).await;
    let lines = ran.stderr.lines().filter(|line| line.starts_with('{'));
    let mut ends: Vec<Value> = lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    ends.sort_by_key(|end| end["stage"].as_str().map(str::to_owned));
    assert_eq!(ends.len(), 2, "{}", ran.stderr);
    for (end, stage, output) in [
        (&ends[0], "completed", "1.md"),
        (&ends[1], "failed", "0.md"),
    ] {
        assert_eq!(end["event"], "job_ended");
        assert_eq!(
            (&end["stage"], &end["vendor"]),
            (&stage.into(), &"textin".into())
        );
        assert!(end["output"].as_str().unwrap().ends_with(output), "{end}");
        assert!(end["id"].is_string() && end["at"].is_string() && end["remote_id"].is_string());
    }
    assert!(ends[0]["error"].is_null());
    assert!(ends[1]["error"].as_str().unwrap().contains("处理失败"));
}
