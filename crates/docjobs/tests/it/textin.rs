//! `docjobs textin parse` and `docjobs wait` against the simulator.

use serde_json::{Value, json};
use vendor_sim::fault::{Fault, Times};
use vendor_sim::textin::Outcome;

use crate::stage::{SPEED, Stage};

const TEXT: &str = "# Heading\n\nsome text, 一些文字\n";

/// The requests of one operation that reached the API.
fn posts(stage: &Stage) -> usize {
    stage
        .simulators
        .textin()
        .requests()
        .iter()
        .filter(|request| request.method == "POST")
        .count()
}

fn drop_after_commit() -> Fault {
    Fault::DropAfterCommit { reset: false }
}

fn code(code: i64) -> Fault {
    Fault::Code {
        code: Value::from(code),
        message: Some("the vendor's words".to_owned()),
        after_commit: false,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_becomes_a_file_with_one_submit_and_patient_polls() {
    let stage = Stage::new().await;
    stage.input("notes.txt", TEXT);
    let ran = stage
        .run(&["textin", "parse", "notes.txt", "-o", "notes.md"])
        .await;
    assert_eq!((ran.exit, ran.stdout.as_str()), (0, ""), "{}", ran.stderr);
    assert_eq!(
        std::fs::read_to_string(stage.path("notes.md")).unwrap(),
        TEXT
    );
    assert_eq!(stage.files(), ["notes.md", "notes.txt"]);
    assert_eq!(posts(&stage), 1);
    assert_eq!(stage.simulators.textin().charges().len(), 1);

    let requests = stage.simulators.textin().requests();
    let polls: Vec<f64> = requests
        .iter()
        .filter(|request| request.path.contains("/parse/async"))
        .map(|request| request.arrived_unix)
        .collect();
    let floor = 2.0;
    assert!(polls.len() >= 3, "{polls:?}");
    assert!(
        polls.windows(2).all(|pair| pair[1] - pair[0] >= floor),
        "{polls:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn without_o_the_result_alone_is_on_stdout() {
    let stage = Stage::new().await;
    stage.input("notes.txt", TEXT);
    let ran = stage.run(&["textin", "parse", "notes.txt"]).await;
    assert_eq!((ran.exit, ran.stdout.as_str()), (0, TEXT), "{}", ran.stderr);

    let ran = stage
        .run(&["textin", "parse", "notes.txt", "--format", "json"])
        .await;
    let job = stage.simulators.textin().jobs().pop().unwrap();
    let served = stage.simulators.textin().result_bytes(&job.job_id).unwrap();
    assert_eq!(ran.stdout.len() as u64, served.len());
    let result: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(result["markdown"], TEXT);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_goes_on_in_another_process() {
    let stage = Stage::new().await;
    stage.input("notes.txt", TEXT);
    let ran = stage
        .run(&["textin", "parse", "notes.txt", "--no-wait"])
        .await;
    assert_eq!(
        (ran.exit, ran.stdout.lines().count()),
        (0, 1),
        "{}",
        ran.stderr
    );
    let ticket = ran.stdout.trim().to_owned();
    assert!(ticket.len() <= 200);
    let ran = stage.run(&["wait", &ticket, "-o", "notes.md"]).await;
    assert_eq!(ran.exit, 0, "{}", ran.stderr);
    assert_eq!(
        std::fs::read_to_string(stage.path("notes.md")).unwrap(),
        TEXT
    );
    assert_eq!(posts(&stage), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_is_said_so_and_never_bought_twice() {
    let stage = Stage::new().await;
    stage.input("notes.txt", TEXT);
    stage
        .simulators
        .textin()
        .set_fault("submit", drop_after_commit());
    let ran = stage
        .run(&["textin", "parse", "notes.txt", "-o", "notes.md"])
        .await;
    assert_eq!(ran.exit, 5, "{}", ran.stderr);
    assert!(
        ran.stderr.contains("outcome unknown") && ran.stderr.contains("notes.txt"),
        "{}",
        ran.stderr
    );
    assert_eq!(
        (posts(&stage), stage.simulators.textin().jobs().len()),
        (1, 1)
    );
    assert_eq!(stage.files(), ["notes.txt"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_refusal_has_its_exit_code_and_the_vendors_words() {
    let stage = Stage::new().await;
    stage.input("notes.txt", TEXT);
    for (number, exit) in [
        (40102, 6),
        (40103, 6),
        (40003, 7),
        (40307, 7),
        (40004, 2),
        (40422, 2),
        (500, 5),
    ] {
        stage.simulators.textin().set_fault("submit", code(number));
        let ran = stage.run(&["textin", "parse", "notes.txt"]).await;
        assert_eq!(ran.exit, exit, "{number}: {}", ran.stderr);
        assert!(
            ran.stderr.contains("the vendor's words") && ran.stderr.contains(&number.to_string()),
            "{}",
            ran.stderr
        );
    }
    assert!(stage.simulators.textin().jobs().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn no_connection_is_exit_8() {
    let stage = Stage::new().await;
    stage.input("notes.txt", TEXT);
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let url = format!("http://{closed}");
    let ran = stage
        .run_with(
            &["textin", "parse", "notes.txt"],
            &[("TEXTIN_SERVER_URL", &url)],
        )
        .await;
    assert_eq!(ran.exit, 8, "{}", ran.stderr);
    assert!(ran.stderr.contains("nothing was sent"), "{}", ran.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_job_is_exit_3_with_the_vendors_words() {
    let stage = Stage::new().await;
    stage.input("bad.txt", TEXT);
    stage.simulators.textin().next_outcome(Outcome::Failed {
        message: "page 3 is illegible".to_owned(),
    });
    let ran = stage.run(&["textin", "parse", "bad.txt"]).await;
    assert_eq!(ran.exit, 3, "{}", ran.stderr);
    assert!(ran.stderr.contains("page 3 is illegible"), "{}", ran.stderr);
    assert!(stage.simulators.textin().charges().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_leaves_a_ticket_and_the_job() {
    let stage = Stage::new().await;
    stage.input("notes.txt", TEXT);
    stage
        .simulators
        .textin()
        .change_options(|options| options.in_progress_seconds = 60.0);
    let ran = stage
        .run(&["textin", "parse", "notes.txt", "--deadline", "20s"])
        .await;
    assert_eq!((ran.exit, ran.stdout.as_str()), (4, ""), "{}", ran.stderr);
    let ran = stage.run(&["wait", ran.ticket()]).await;
    assert_eq!((ran.exit, ran.stdout.as_str()), (0, TEXT), "{}", ran.stderr);
    assert_eq!(posts(&stage), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_polls_and_unknown_words_are_endured() {
    let stage = Stage::new().await;
    stage.input("notes.txt", TEXT);
    let textin = stage.simulators.textin();
    textin.set_fault(
        "poll",
        Fault::Status {
            status: 502,
            body: "<html>".to_owned(),
            headers: vec![],
            after_commit: false,
        },
    );
    textin.set_fault(
        "poll",
        Fault::UnknownWord {
            word: "pondering".to_owned(),
        },
    );
    textin.set_fault("poll", drop_after_commit());
    let ran = stage
        .run(&["textin", "parse", "notes.txt", "-o", "notes.md"])
        .await;
    assert_eq!(ran.exit, 0, "{}", ran.stderr);
    assert!(ran.stderr.contains("pondering"), "{}", ran.stderr);
    assert_eq!(
        std::fs::read_to_string(stage.path("notes.md")).unwrap(),
        TEXT
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_result_is_fetched_again_and_a_broken_one_gets_no_name() {
    let stage = Stage::new().await;
    stage.input("notes.txt", TEXT);
    let textin = stage.simulators.textin();
    textin.set_fault("result", Fault::CutBody { at: 100 });
    let ran = stage
        .run(&["textin", "parse", "notes.txt", "-o", "whole.md"])
        .await;
    assert_eq!(ran.exit, 0, "{}", ran.stderr);
    assert_eq!(
        std::fs::read_to_string(stage.path("whole.md")).unwrap(),
        TEXT
    );

    // Once more may bring other bytes, and does.
    textin.set_fault("result", Fault::TruncatedJson {});
    let args = ["textin", "parse", "notes.txt", "--again", "-o", "next.md"];
    let ran = stage.run(&args).await;
    assert_eq!(ran.exit, 0, "{}", ran.stderr);
    assert_eq!(stage.files(), ["next.md", "notes.txt", "whole.md"]);
}

/// The requests for a result.
fn fetches(stage: &Stage) -> usize {
    let requests = stage.simulators.textin().requests();
    let results = requests.iter().filter(|it| it.path.contains("result"));
    results.count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_that_is_broken_twice_alike_is_kept_and_delivered_on_request_alone() {
    let stage = Stage::new().await;
    stage.input("notes.txt", TEXT);
    let textin = stage.simulators.textin();
    for _ in 0..9 {
        textin.set_fault("result", Fault::TruncatedJson {});
    }
    let parse = ["textin", "parse", "notes.txt", "-o", "notes.md"];
    let ran = stage.run(&parse).await;
    assert_eq!(ran.exit, 4, "{}", ran.stderr);
    let words = ["notes.md.unverified", "--accept-unverified", "ticket: "];
    for words in words {
        assert!(ran.stderr.contains(words), "{words}: {}", ran.stderr);
    }
    assert_eq!(stage.files(), ["notes.md.unverified", "notes.txt"]);
    let kept = std::fs::read(stage.path("notes.md.unverified")).unwrap();
    let before = fetches(&stage);
    for args in [&parse[..], &["wait", ran.ticket()], &["resume"]] {
        let again = stage.run(args).await;
        assert_eq!(again.exit, 4, "{args:?}: {}", again.stderr);
        assert_eq!(fetches(&stage), before, "{args:?}");
    }
    let ran = stage
        .run(&[&parse[..], &["--accept-unverified"]].concat())
        .await;
    assert_eq!(ran.exit, 0, "{}", ran.stderr);
    assert_eq!(std::fs::read(stage.path("notes.md")).unwrap(), kept);
    assert_eq!(posts(&stage), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_download_is_asked_for_again_and_never_counts_as_failed() {
    let stage = Stage::new().await;
    stage.input("notes.txt", TEXT);
    let textin = stage.simulators.textin();
    let refused = Fault::Status {
        status: 403,
        body: "<Error><Code>AccessDenied</Code><Message>Request has expired.</Message></Error>"
            .to_owned(),
        headers: Vec::new(),
        after_commit: false,
    };
    for _ in 0..3 {
        textin.set_fault("result", refused.clone());
    }
    let ran = stage
        .run(&["textin", "parse", "notes.txt", "-o", "notes.md"])
        .await;
    assert_eq!(ran.exit, 0, "{}", ran.stderr);
    assert_eq!(posts(&stage), 1);

    textin.set_fault_times("result", refused.clone(), Times::Always);
    stage.input("more.txt", "more");
    let args = ["textin", "parse", "more.txt", "-o", "more.md"];
    let ran = stage
        .run(&[&args[..], &["--deadline", "60s"]].concat())
        .await;
    assert_eq!(ran.exit, 4, "{}", ran.stderr);
    let last = ran
        .stderr
        .lines()
        .rfind(|line| line.starts_with("docjobs: "));
    assert!(
        last.is_some_and(|line| line.contains("AccessDenied")),
        "{}",
        ran.stderr
    );
    assert!(!stage.path("more.md").exists());
    let ticket = ran.ticket().to_owned();
    textin.faults().clear();
    let ran = stage.run(&["wait", &ticket]).await;
    assert_eq!(ran.exit, 0, "{}", ran.stderr);
    let text = std::fs::read_to_string(stage.path("more.md")).unwrap();
    assert_eq!(text, "more");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_brings_what_was_asked_for_and_settles_the_row_that_lost_its_answer() {
    let stage = Stage::new().await;
    stage.input("notes.txt", TEXT);
    let args = [
        "textin",
        "parse",
        "notes.txt",
        "--format",
        "json",
        "--no-wait",
    ];
    let ran = stage.run(&args).await;
    let ran = stage.run(&["wait", ran.stdout.trim()]).await;
    assert_eq!(ran.exit, 0, "{}", ran.stderr);
    let result: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(result["markdown"], TEXT);

    stage.input("other.txt", "other\n");
    stage
        .simulators
        .textin()
        .set_fault("submit", drop_after_commit());
    let parse = ["textin", "parse", "other.txt", "-o", "other.md"];
    assert_eq!(stage.run(&parse).await.exit, 5);
    // Another ledger knows the job: the vendor's console does, in life.
    let remote = stage.simulators.textin().jobs().pop().unwrap().job_id;
    let adopting = [("DOCJOBS_LEDGER", "elsewhere.db")];
    stage
        .simulators
        .textin()
        .set_fault("submit", drop_after_commit());
    let bought = posts(&stage);
    assert_eq!(stage.run_with(&parse, &adopting).await.exit, 5);
    let jobs = stage.run_with(&["jobs", "--json"], &adopting).await;
    let row: Value = serde_json::from_str(jobs.stdout.trim()).unwrap();
    let adopt = ["resolve", row["id"].as_str().unwrap(), "--adopt", &remote];
    assert_eq!(stage.run_with(&adopt, &adopting).await.exit, 0);
    let jobs = stage.run_with(&["jobs", "--json"], &adopting).await;
    let row: Value = serde_json::from_str(jobs.stdout.trim()).unwrap();
    let ran = stage.run(&["wait", row["ticket"].as_str().unwrap()]).await;
    assert_eq!(ran.exit, 0, "{}", ran.stderr);
    let ran = stage.run(&parse).await;
    assert_eq!((ran.exit, posts(&stage)), (0, bought + 1), "{}", ran.stderr);
    let written = std::fs::read_to_string(stage.path("other.md")).unwrap();
    assert_eq!(written, "other\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_that_lies_here_is_copied_without_a_request() {
    let stage = Stage::new().await;
    stage.input("notes.txt", TEXT);
    let ran = stage
        .run(&["textin", "parse", "notes.txt", "-o", "a.md"])
        .await;
    assert_eq!(ran.exit, 0, "{}", ran.stderr);
    let before = stage.simulators.textin().requests().len();
    let ran = stage
        .run(&["textin", "parse", "notes.txt", "-o", "b.md"])
        .await;
    assert_eq!(ran.exit, 0, "{}", ran.stderr);
    let ran = stage.run(&["textin", "parse", "notes.txt"]).await;
    assert_eq!((ran.exit, ran.stdout.as_str()), (0, TEXT), "{}", ran.stderr);
    assert_eq!(stage.simulators.textin().requests().len(), before);
    assert_eq!(std::fs::read_to_string(stage.path("b.md")).unwrap(), TEXT);
    // One that was changed is not it, and another form is not either.
    for changed in ["a.md", "b.md"] {
        std::fs::write(stage.path(changed), "changed").unwrap();
    }
    for (name, format) in [
        ("c.json", "json"),
        ("d.md", "markdown"),
        ("e.md", "markdown"),
    ] {
        let args = [
            "textin",
            "parse",
            "notes.txt",
            "-o",
            name,
            "--format",
            format,
        ];
        let ran = stage.run(&args).await;
        assert_eq!(ran.exit, 0, "{name}: {}", ran.stderr);
        let text = std::fs::read_to_string(stage.path(name)).unwrap();
        assert_eq!(text == TEXT, format == "markdown", "{name}");
    }
    assert_eq!(posts(&stage), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_place_that_has_the_result_already_costs_no_request() {
    let stage = Stage::new().await;
    stage.input("a.txt", TEXT);
    stage.input("mine.md", "mine");
    let textin = stage.simulators.textin();
    let parse = ["textin", "parse", "a.txt", "-o"];
    let wait = |place: &'static str, format: &'static str| {
        let id = stage.run(&["jobs", "--json"]);
        let stage = &stage;
        async move {
            let job: Value = serde_json::from_str(id.await.stdout.trim()).unwrap();
            let id = job["id"].as_str().unwrap();
            stage
                .run(&["wait", id, "-o", place, "--format", format])
                .await
        }
    };
    let mut requests = Vec::new();
    for (place, format) in [
        ("a.md", "markdown"),
        ("b.md", "markdown"),
        ("c.json", "json"),
        ("d.json", "json"),
        ("e.md", "markdown"),
    ] {
        let command = [&parse[..], &[place, "--format", format]].concat();
        for ran in [
            stage.run(&command).await,
            stage.run(&command).await,
            wait(place, format).await,
        ] {
            assert_eq!(ran.exit, 0, "{place}: {}", ran.stderr);
            requests.push(textin.requests().len());
        }
    }
    // Each format is fetched once.
    let (markdown, json) = (requests[0], requests[6]);
    assert!(markdown < json, "{requests:?}");
    assert_eq!(requests[..6], [markdown; 6]);
    assert_eq!(requests[6..], [json; 9]);
    for (place, original) in [("b.md", "a.md"), ("d.json", "c.json"), ("e.md", "a.md")] {
        let content = |name: &str| std::fs::read(stage.path(name)).unwrap();
        assert!(content(place) == content(original), "{place}");
    }
    // The content counts, and the format: neither somebody else's file nor the other format is the result.
    for (place, format) in [
        ("mine.md", "markdown"),
        ("a.md", "json"),
        ("c.json", "markdown"),
    ] {
        let command = [&parse[..], &[place, "--format", format]].concat();
        for ran in [stage.run(&command).await, wait(place, format).await] {
            assert!([2, 4].contains(&ran.exit), "{place}: {}", ran.stderr);
            assert!(ran.stderr.contains("--overwrite"), "{}", ran.stderr);
        }
    }
    assert_eq!(textin.requests().len(), json);
}

#[tokio::test(flavor = "multi_thread")]
async fn several_results_without_a_place_are_never_printed_one_after_the_other() {
    let stage = Stage::new().await;
    for name in ["a.txt", "b.txt"] {
        stage.input(name, name);
        let ran = stage.run(&["textin", "parse", name, "--no-wait"]).await;
        assert_eq!(ran.exit, 0, "{}", ran.stderr);
    }
    let ran = stage.run(&["resume"]).await;
    assert_eq!((ran.exit, ran.stdout.as_str()), (4, ""), "{}", ran.stderr);
    assert_eq!(ran.stderr.matches("awaits a place").count(), 2);
    let jobs = stage.run(&["jobs", "--json"]).await;
    let newest: Value = serde_json::from_str(jobs.stdout.lines().next().unwrap()).unwrap();
    let ran = stage.run(&["resume", newest["id"].as_str().unwrap()]).await;
    assert_eq!(
        (ran.exit, ran.stdout.as_str()),
        (0, "b.txt"),
        "{}",
        ran.stderr
    );
    let ran = stage.run(&["resume", "--out", "new"]).await;
    assert_eq!((ran.exit, ran.stdout.as_str()), (0, ""), "{}", ran.stderr);
    assert_eq!(std::fs::read_dir(stage.path("new")).unwrap().count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn json_is_one_event_a_line() {
    let stage = Stage::new().await;
    stage.input("notes.txt", TEXT);
    let ran = stage.run(&["textin", "parse", "notes.txt", "--json"]).await;
    assert_eq!(ran.exit, 0, "{}", ran.stderr);
    let events: Vec<Value> = ran
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(events[0]["event"], "accepted");
    assert!(
        events[0]["ticket"]
            .as_str()
            .unwrap()
            .starts_with("docjobs1.textin.parse.")
    );
    assert_eq!(events.last().unwrap()["result"], TEXT);
    stage.input("other.txt", "other");
    stage.simulators.textin().set_fault("submit", code(40003));
    let ran = stage.run(&["textin", "parse", "other.txt", "--json"]).await;
    let stopped: Value = serde_json::from_str(ran.stdout.trim()).unwrap();
    assert_eq!(
        (ran.exit, &stopped["event"], &stopped["exit"]),
        (7, &json!("stopped"), &json!(7))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_printed_however_loud() {
    let stage = Stage::new().await;
    stage.input("notes.txt", TEXT);
    let ran = stage.run(&["textin", "parse", "notes.txt", "-vvv"]).await;
    assert_eq!(ran.exit, 0, "{}", ran.stderr);
    let secret = stage.simulators.textin().secret_code();
    assert!(
        !ran.stderr.contains(&secret) && !ran.stdout.contains(&secret),
        "{}",
        ran.stderr
    );
    let foreign: Vec<_> = stage
        .simulators
        .textin()
        .requests()
        .into_iter()
        .filter(|request| request.path.contains("/file/"))
        .collect();
    assert_eq!(foreign.len(), 1);
    assert_eq!(foreign[0].header("x-ti-secret-code"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_simulator_command_serves_other_processes() {
    use tokio::io::{AsyncBufReadExt, BufReader};
    let folder = tempfile::tempdir().unwrap();
    let env_file = folder.path().join("sim.env");
    let mut sim = tokio::process::Command::new(env!("CARGO_BIN_EXE_docjobs"))
        .args([
            "sim",
            "--speed",
            &SPEED.to_string(),
            "--env-file",
            env_file.to_str().unwrap(),
        ])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    // The message on stderr comes once everything listens and the file is written.
    let mut said = String::new();
    BufReader::new(sim.stderr.take().unwrap())
        .read_line(&mut said)
        .await
        .unwrap();
    let lines = std::fs::read_to_string(&env_file).unwrap();
    let env: Vec<(String, String)> = lines
        .lines()
        .map(|line| line.split_once('=').unwrap())
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    std::fs::write(folder.path().join("notes.txt"), TEXT).unwrap();
    let ran = crate::stage::run(folder.path(), &["textin", "parse", "notes.txt"], &env).await;
    assert_eq!((ran.exit, ran.stdout.as_str()), (0, TEXT), "{}", ran.stderr);
    sim.kill().await.unwrap();
}
