//! Many documents by one command: names, money, kills, and what the same command finds the next time.

use std::collections::HashMap;
use std::time::Duration;

use jobs_core::clock::SystemClock;
use serde_json::{Value, json};
use vendor_sim::fault::{Fault, Times};
use vendor_sim::textin::Outcome;

use crate::stage::{Ran, Stage};

/// Makes files with these contents below the folder.
pub(crate) fn files(stage: &Stage, files: &[(&str, &str)]) {
    for (name, content) in files {
        let path = stage.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
}

/// The submits that reached the API.
pub(crate) fn submits(stage: &Stage) -> usize {
    let requests = stage.simulators.textin().requests();
    requests
        .iter()
        .filter(|request| request.method == "POST")
        .count()
}

pub(crate) fn read(stage: &Stage, name: &str) -> String {
    std::fs::read_to_string(stage.path(name)).unwrap_or_else(|problem| panic!("{name}: {problem}"))
}

/// Every file below a folder, sorted.
pub(crate) fn below(stage: &Stage, folder: &str) -> Vec<String> {
    let base = stage.path(folder);
    let mut found = Vec::new();
    let mut folders = vec![base.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(path.strip_prefix(&base).unwrap().display().to_string());
            }
        }
    }
    found.sort();
    found
}

fn events(ran: &Ran) -> Vec<Value> {
    let lines = ran.stdout.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_becomes_a_folder_of_results_and_costs_nothing_the_second_time() {
    let stage = Stage::new().await;
    files(
        &stage,
        &[
            ("in/a.txt", "# a\n"),
            ("in/b/c.txt", "# c\n"),
            ("in/b/c.html", "<p>c</p>"),
            ("in/z.zip", "no document"),
            ("in/.hidden.txt", "hidden"),
            ("in/empty.txt", ""),
        ],
    );
    let command = ["textin", "parse", "in", "--out", "out"];
    let ran = stage.run(&command).await;
    assert_eq!((ran.exit, ran.stdout.as_str()), (0, ""), "{}", ran.stderr);
    let first = "4 documents: 3 new, 1 empty (skipped)";
    assert!(ran.stderr.contains(first), "{}", ran.stderr);
    assert!(
        ran.stderr.contains("1 file of other types"),
        "{}",
        ran.stderr
    );
    assert_eq!(below(&stage, "out"), ["a.md", "b/c.html.md", "b/c.txt.md"]);
    assert_eq!(read(&stage, "out/a.md"), "# a\n");
    assert_eq!(submits(&stage), 3);
    let before = stage.simulators.textin().requests().len();

    let ran = stage.run(&command).await;
    assert_eq!(ran.exit, 0, "{}", ran.stderr);
    let again = "4 documents: 3 already completed, 1 empty (skipped)";
    assert!(ran.stderr.contains(again), "{}", ran.stderr);
    assert_eq!(stage.simulators.textin().requests().len(), before);

    // A newcomer alone is paid for, and another folder is filled from this one.
    files(&stage, &[("in/d.txt", "# d\n")]);
    let ran = stage
        .run(&["textin", "parse", "in", "--out", "other"])
        .await;
    assert_eq!(ran.exit, 0, "{}", ran.stderr);
    assert_eq!(read(&stage, "other/a.md"), "# a\n");
    assert_eq!(read(&stage, "other/d.md"), "# d\n");
    assert_eq!(submits(&stage), 4);

    // So is one with their other format, once.
    let json = ["textin", "parse", "in", "--out", "json", "--format", "json"];
    for seen in ["4 completed before", "4 already completed"] {
        let ran = stage.run(&json).await;
        assert_eq!(ran.exit, 0, "{}", ran.stderr);
        assert!(ran.stderr.contains(seen), "{}", ran.stderr);
    }
    let ran = stage
        .run(&["textin", "parse", "in", "--out", "other"])
        .await;
    assert!(ran.stderr.contains("4 already completed"), "{}", ran.stderr);
    assert_eq!((ran.exit, submits(&stage)), (0, 4), "{}", ran.stderr);
}

/// Writes other content of the same length into the same file, and sets the time back at which it was changed.
fn change_unseen(stage: &Stage, name: &str, content: &str) {
    let path = stage.path(name);
    let before = std::fs::metadata(&path).unwrap();
    assert_eq!(before.len(), content.len() as u64);
    std::fs::write(&path, content).unwrap();
    set_changed(stage, name, before.modified().unwrap());
}

fn set_changed(stage: &Stage, name: &str, at: std::time::SystemTime) {
    let file = std::fs::File::options().write(true).open(stage.path(name));
    file.unwrap().set_modified(at).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_is_known_again_unread_until_it_seems_changed() {
    let stage = Stage::new().await;
    let names = ["in/a.txt", "in/b.txt", "in/fresh.txt"];
    files(&stage, &names.map(|name| (name, "# one\n")));
    files(
        &stage,
        &[("in/b.txt", "# two\n"), ("in/fresh.txt", "# new\n")],
    );
    let long_ago = SystemClock::shared().wall() - Duration::from_secs(3600);
    set_changed(&stage, "in/a.txt", long_ago);
    set_changed(&stage, "in/b.txt", long_ago);
    let still = SystemClock::shared().wall() + Duration::from_secs(3600);
    set_changed(&stage, "in/fresh.txt", still);
    let parse = async |more: &[&str]| {
        let command = ["textin", "parse", "in", "--overwrite", "--out"];
        stage.run(&[&command[..], more].concat()).await
    };
    let ran = parse(&["out"]).await;
    assert!(ran.stderr.contains("3 new"), "{}", ran.stderr);

    // Only who reads can tell these from the documents of the first run.
    change_unseen(&stage, "in/a.txt", "# ONE\n");
    let ran = parse(&["out"]).await;
    assert!(ran.stderr.contains("3 already completed"), "{}", ran.stderr);
    assert_eq!((ran.exit, submits(&stage)), (0, 3), "{}", ran.stderr);
    for (more, line) in [
        (&[][..], "3 documents: 3 already completed\n"),
        (
            &["--again", "--run", "r1"],
            "3 documents: 3 new; estimated cost: 3 pages\n",
        ),
    ] {
        let ran = parse(&[&["out", "--dry-run"], more].concat()).await;
        assert_eq!((ran.exit, ran.stdout.as_str()), (0, line), "{}", ran.stderr);
    }
    let ran = parse(&["verified", "--verify", "--enqueue"]).await;
    assert!(
        ran.stderr.contains("1 new, 2 completed before"),
        "{}",
        ran.stderr
    );

    // What changed is read, and so is what is not known to have been left alone since it was read.
    change_unseen(&stage, "in/fresh.txt", "# NEW\n");
    std::fs::write(stage.path("in/b.txt"), "# TWO\n").unwrap();
    let ran = parse(&["third"]).await;
    assert_eq!((ran.exit, submits(&stage)), (0, 6), "{}", ran.stderr);
    assert_eq!(read(&stage, "third/b.md"), "# TWO\n");
    assert_eq!(read(&stage, "third/fresh.md"), "# NEW\n");
    assert_eq!(read(&stage, "third/a.md"), "# ONE\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_named_run_pays_again_once() {
    let stage = Stage::new().await;
    files(&stage, &[("in/a.txt", "# a\n"), ("in/b.txt", "# b\n")]);
    let parse = |more: &[&str]| {
        let mut words = vec!["textin", "parse", "in", "--out"];
        words.extend(more);
        words.into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let mut bought = Vec::new();
    for (more, exit, submitted) in [
        (&["first"][..], 0, 2),
        (&["second", "--again"], 2, 2),
        (&["second", "--again", "--run", "r1"], 0, 4),
        (&["second", "--again", "--run", "r1"], 0, 4),
        (&["third", "--again", "--run", "r2"], 0, 6),
        (&["first"], 0, 6),
    ] {
        let words = parse(more);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let ran = stage.run(&words).await;
        assert_eq!(ran.exit, exit, "{more:?}: {}", ran.stderr);
        bought.push((submits(&stage), submitted));
    }
    for (bought, expected) in bought {
        assert_eq!(bought, expected);
    }
    assert_eq!(below(&stage, "second"), ["a.md", "b.md"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn json_ends_with_a_summary_and_the_report_has_a_row_for_each_input() {
    let stage = Stage::new().await;
    files(
        &stage,
        &[
            ("a.txt", "# a\n"),
            ("b.txt", "# b\n"),
            ("same.txt", "# a\n"),
        ],
    );
    let ran = stage
        .run(&[
            "textin", "parse", "a.txt", "b.txt", "same.txt", "--out", "out", "--json", "--report",
            "r.csv",
        ])
        .await;
    assert_eq!(ran.exit, 0, "{}", ran.stderr);
    let events = events(&ran);
    assert_eq!(
        events[0],
        json!({ "event": "planned", "documents": 3, "new": 2, "same_content": 1 })
    );
    let completed = events.iter().filter(|event| event["event"] == "completed");
    assert_eq!(completed.count(), 3);
    let last = events.last().unwrap();
    assert_eq!(last["event"], "summary");
    assert_eq!(last["stages"], json!({ "completed": 3 }));
    assert_eq!((&last["documents"], &last["exit"]), (&json!(3), &json!(0)));
    // Two documents of a page each were paid for; the third shares its job.
    assert_eq!(last["money"], json!({ "textin": 2 }));
    assert_eq!(submits(&stage), 2);
    assert_eq!(read(&stage, "out/same.md"), "# a\n");

    let report = read(&stage, "r.csv");
    let lines: Vec<&str> = report.lines().collect();
    assert_eq!(lines[0], "input,output,id,remote_id,stage,money,error");
    assert_eq!(lines.len(), 4);
    assert!(
        lines[1].starts_with("a.txt,")
            && lines[1].contains("out/a.md")
            && lines[1].contains(",completed,1,")
    );
    assert!(
        lines[3].starts_with("same.txt,") && lines[3].contains(",completed,,"),
        "{report}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_summary_counts_what_this_command_bought() {
    let stage = Stage::new().await;
    files(
        &stage,
        &[
            ("in/a.txt", "# a\n"),
            ("in/b.txt", "# b\n"),
            ("in/d.txt", "# d\n"),
        ],
    );
    let ran = stage
        .run(&["textin", "parse", "in/a.txt", "in/b.txt", "--no-wait"])
        .await;
    assert_eq!(ran.exit, 0, "{}", ran.stderr);
    let ran = stage
        .run(&["textin", "parse", "in/d.txt", "--enqueue"])
        .await;
    assert_eq!((ran.exit, submits(&stage)), (0, 2), "{}", ran.stderr);
    files(&stage, &[("in/c.txt", "# c\n")]);
    let command = ["textin", "parse", "in", "--out", "out", "--json"];
    for money in [json!({ "textin": 2 }), json!({})] {
        let ran = stage.run(&command).await;
        assert_eq!((ran.exit, submits(&stage)), (0, 4), "{}", ran.stderr);
        let events = events(&ran);
        assert_eq!(events.last().unwrap()["money"], money, "{}", ran.stderr);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_have_been_charged_counts_in_the_command_that_sent_it() {
    let stage = Stage::new().await;
    files(&stage, &[("in/a.txt", "# a\n")]);
    let lost = Fault::DropAfterCommit { reset: false };
    stage.simulators.textin().set_fault("submit", lost);
    let command = ["textin", "parse", "in", "--out", "out", "--json"];
    for money in [json!({ "textin": 1 }), json!({})] {
        let ran = stage.run(&command).await;
        assert_eq!((ran.exit, submits(&stage)), (5, 1), "{}", ran.stderr);
        let events = events(&ran);
        assert_eq!(events.last().unwrap()["money"], money, "{}", ran.stderr);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_that_repeats_is_told_once() {
    let stage = Stage::new().await;
    files(&stage, &[("in/a.txt", "# a\n"), ("in/b.txt", "# b\n")]);
    let refused = Fault::Code {
        code: Value::from(40004),
        message: Some("no such job".to_owned()),
        after_commit: false,
    };
    let textin = stage.simulators.textin();
    textin.set_fault_times("poll", refused, Times::Always);
    let ran = stage.run(&["textin", "parse", "in", "--out", "out"]).await;
    assert_eq!(ran.exit, 4, "{}", ran.stderr);
    let polls = textin.requests().len() - submits(&stage);
    assert!(polls > 2, "nothing was repeated: {polls}");
    for name in ["in/a.txt: ", "in/b.txt: "] {
        let lines = ran.stderr.lines().filter(|line| line.starts_with(name));
        assert_eq!(lines.count(), 1, "{}", ran.stderr);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_makes_no_sense_sends_nothing() {
    let stage = Stage::new().await;
    files(
        &stage,
        &[
            ("a.txt", "# a\n"),
            ("b.txt", "# b\n"),
            ("in/a.txt", "# in\n"),
            ("void/x.zip", "x"),
            ("list", "a.txt\n\n../b.txt\n"),
            ("gone", "a.txt\ngone.txt\n"),
            ("taken/a.md", "mine"),
        ],
    );
    std::fs::create_dir(stage.path("full")).unwrap();
    for (command, words) in [
        ("textin parse a.txt b.txt", "--out"),
        ("textin parse in", "--out"),
        ("textin parse --from list", "--out"),
        ("textin parse a.txt b.txt -o out.md", "--out"),
        ("textin parse a.txt gone.txt --out out", "gone.txt"),
        ("textin parse a.txt void/x.zip --out out", "x.zip"),
        ("textin parse void --out out", "void"),
        ("textin parse in in --out in", "--out"),
        ("textin parse --from list --out out", "line 3"),
        ("textin parse --from gone --out out", "line 2"),
        ("textin parse a.txt in/a.txt --out out", "a.txt.md"),
        ("textin parse a.txt b.txt --out taken", "taken/a.md"),
        ("textin parse a.txt b.txt --out a.txt", "a.txt"),
        ("textin parse a.txt b.txt --out out --again", "--run"),
        ("tencent-ess convert a.txt b.txt --out out", "--out"),
        ("ppj convert a.txt b.txt --out out", "a.txt"),
        ("budget set textin 0", "from 1"),
        ("budget set textin 10pages", "whole number of pages"),
        ("budget set textin 10 --per week", "--per"),
        ("budget set wecom 10", "no vendor that charges"),
    ] {
        let words_of: Vec<&str> = command.split(' ').collect();
        let ran = stage.run(&words_of).await;
        assert_eq!(ran.exit, 2, "{command}: {}", ran.stderr);
        assert!(ran.stderr.contains(words), "{command}: {}", ran.stderr);
    }
    assert_eq!(submits(&stage), 0);
    assert_eq!(read(&stage, "taken/a.md"), "mine");
    let ran = stage.run(&["jobs", "--json"]).await;
    assert_eq!(ran.stdout, "", "nothing was recorded");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_tells_the_price_and_leaves_nothing() {
    let stage = Stage::new().await;
    files(&stage, &[("a.txt", "# a\n"), ("b.html", "<p>b</p>")]);
    let ran = stage
        .run(&[
            "textin",
            "parse",
            "a.txt",
            "b.html",
            "--out",
            "out",
            "--dry-run",
        ])
        .await;
    assert_eq!(ran.exit, 0, "{}", ran.stderr);
    assert_eq!(
        ran.stdout,
        "2 documents: 2 new; estimated cost: 1 page; the cost of 1 document cannot be told before\n"
    );
    assert_eq!(stage.files(), ["a.txt", "b.html"]);
    assert!(!std::path::Path::new(&stage.ledger_path()).exists());
    assert!(stage.simulators.textin().requests().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_enqueued_without_a_place_gets_one_by_the_same_command() {
    let stage = Stage::new().await;
    files(&stage, &[("in/a.txt", "# a\n"), ("in/b.txt", "# b\n")]);
    let ran = stage.run(&["textin", "parse", "in", "--enqueue"]).await;
    assert_eq!(
        (ran.exit, ran.stdout.lines().count()),
        (0, 2),
        "{}",
        ran.stderr
    );
    assert_eq!(submits(&stage), 0);
    let ran = stage
        .run(&["textin", "parse", "in", "--enqueue", "--json"])
        .await;
    let enqueued = events(&ran);
    assert_eq!(enqueued[1]["event"], "enqueued");
    assert_eq!(enqueued[1]["input"], "in/a.txt");
    let ran = stage.run(&["textin", "parse", "in", "--out", "out"]).await;
    assert_eq!(ran.exit, 0, "{}", ran.stderr);
    assert_eq!(below(&stage, "out"), ["a.md", "b.md"]);
    assert_eq!(submits(&stage), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_bad_document_never_stops_the_others_and_is_paid_anew_on_request_only() {
    let stage = Stage::new().await;
    files(
        &stage,
        &[
            ("in/a.txt", "# a\n"),
            ("in/b.txt", "# b\n"),
            ("in/c.txt", "# c\n"),
        ],
    );
    let textin = stage.simulators.textin();
    textin.next_outcome(Outcome::Failed {
        message: "处理失败".to_owned(),
    });
    let command = ["textin", "parse", "in", "--out", "out"];
    let ran = stage.run(&command).await;
    assert_eq!(ran.exit, 3, "{}", ran.stderr);
    assert!(ran.stderr.contains("处理失败"), "{}", ran.stderr);
    assert_eq!(below(&stage, "out").len(), 2);
    let ran = stage.run(&command).await;
    assert_eq!(ran.exit, 3, "{}", ran.stderr);
    assert!(
        ran.stderr.contains("处理失败") && ran.stderr.contains("--again-failed"),
        "{}",
        ran.stderr
    );
    assert_eq!(submits(&stage), 3);
    let again: Vec<&str> = command.iter().copied().chain(["--again-failed"]).collect();
    let ran = stage.run(&again).await;
    assert_eq!(ran.exit, 0, "{}", ran.stderr);
    assert_eq!(below(&stage, "out"), ["a.md", "b.md", "c.md"]);
    assert_eq!(submits(&stage), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_credentials_stop_new_submits_at_once() {
    let stage = Stage::new().await;
    let many: Vec<(String, String)> = (0..40)
        .map(|n| (format!("in/{n:02}.txt"), format!("# {n}\n")))
        .collect();
    let many: Vec<(&str, &str)> = many.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
    files(&stage, &many);
    let refused = Fault::Code {
        code: Value::from(40101),
        message: Some("no such app".to_owned()),
        after_commit: false,
    };
    stage
        .simulators
        .textin()
        .set_fault_times("submit", refused, Times::Always);
    let ran = stage.run(&["textin", "parse", "in", "--out", "out"]).await;
    assert_eq!(ran.exit, 6, "{}", ran.stderr);
    assert!(submits(&stage) <= 8, "{}", submits(&stage));
    assert!(ran.stderr.contains("no such app"), "{}", ran.stderr);
    assert!(
        ran.stderr.contains("the same command continues"),
        "{}",
        ran.stderr
    );
    stage.simulators.textin().faults().clear();
    let ran = stage.run(&["textin", "parse", "in", "--out", "out"]).await;
    assert_eq!(ran.exit, 0, "{}", ran.stderr);
    assert_eq!(below(&stage, "out").len(), 40);
    assert_eq!(stage.simulators.textin().charges().len(), 40);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_documents_survive_ten_kills_and_none_is_bought_twice() {
    const DOCUMENTS: usize = 200;
    let stage = Stage::new().await;
    let many: Vec<(String, String)> = (0..DOCUMENTS)
        .map(|n| {
            (
                format!("in/{}/{n:03}.pptx", n % 7),
                format!("PK\u{3}\u{4} deck {n}"),
            )
        })
        .collect();
    let many: Vec<(&str, &str)> = many.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
    files(&stage, &many);
    let command = ["ppj", "convert", "in", "--out", "out"];
    let clock = SystemClock::shared();
    for kill in 0..10 {
        let mut running = stage.command(&command).spawn().unwrap();
        let done = below_if_there(&stage);
        for _ in 0..400 {
            clock
                .sleep_until(clock.now() + Duration::from_millis(25))
                .await;
            if below_if_there(&stage) >= done + 3 + kill || running.try_wait().unwrap().is_some() {
                break;
            }
        }
        let _ = running.kill().await;
    }
    let mut ran = stage.run(&command).await;
    for _ in 0..3 {
        if ran.exit == 0 {
            break;
        }
        ran = stage.run(&command).await;
    }
    // A submit that was cut off and that nothing at the vendor fits, or several do: a person decides.
    let in_doubt = stage
        .run(&["jobs", "--json", "--stage", "in_doubt"])
        .await
        .stdout
        .lines()
        .count();
    assert!(in_doubt <= 10, "{}", ran.stderr);
    let delivered = DOCUMENTS - in_doubt;
    let mut bought: HashMap<String, usize> = HashMap::new();
    for job in stage.simulators.ppj().jobs() {
        *bought.entry(job.sha256).or_default() += 1;
    }
    let twice: Vec<_> = bought.iter().filter(|(_, times)| **times > 1).collect();
    assert!(twice.is_empty(), "bought twice: {twice:?}");
    let exit = if in_doubt == 0 { 0 } else { 5 };
    assert_eq!(ran.exit, exit, "{}", ran.stderr);
    let nested = ran.stderr.matches("outcome unknown").count();
    assert!(nested <= in_doubt, "{}", ran.stderr);
    let charges = stage.simulators.ppj().charges().len();
    assert!((delivered..=DOCUMENTS).contains(&charges), "{charges}");
    assert_eq!(below(&stage, "out").len(), delivered);
    assert!(
        below(&stage, "out")
            .iter()
            .all(|name| name.ends_with(".zip"))
    );
}

fn below_if_there(stage: &Stage) -> usize {
    if stage.path("out").is_dir() {
        below(stage, "out").len()
    } else {
        0
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_result_is_delivered_on_request_without_another_request() {
    let stage = Stage::new().await;
    files(&stage, &[("in/a.txt", "# a\n")]);
    let textin = stage.simulators.textin();
    textin.set_fault_times("result", Fault::TruncatedJson {}, Times::Always);
    let command = ["textin", "parse", "in", "--out", "out"];
    let ran = stage.run(&command).await;
    assert_eq!(ran.exit, 4, "{}", ran.stderr);
    assert!(ran.stderr.contains("--accept-unverified"), "{}", ran.stderr);
    assert_eq!(below(&stage, "out"), ["a.md.unverified"]);
    let kept = read(&stage, "out/a.md.unverified");
    let before = textin.requests().len();

    let ran = stage.run(&command).await;
    assert_eq!(ran.exit, 4, "{}", ran.stderr);
    assert_eq!(textin.requests().len(), before, "{}", ran.stderr);
    let accepting = [&command[..], &["--accept-unverified"]].concat();
    let ran = stage.run(&accepting).await;
    assert_eq!(ran.exit, 0, "{}", ran.stderr);
    assert_eq!(textin.requests().len(), before, "{}", ran.stderr);
    assert_eq!(read(&stage, "out/a.md"), kept);

    // Said at once, one fetch is enough.
    files(&stage, &[("in/b.txt", "# b\n")]);
    let ran = stage.run(&accepting).await;
    assert_eq!(ran.exit, 0, "{}", ran.stderr);
    assert_eq!(
        below(&stage, "out"),
        ["a.md", "a.md.unverified", "b.md"],
        "{}",
        ran.stderr
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_deadline_bounds_each_job_from_its_submit_and_the_total_one_the_command() {
    let stage = Stage::new().await;
    files(&stage, &[("in/a.txt", "# a\n"), ("in/b.txt", "# b\n")]);
    let nobody = [("TEXTIN_SERVER_URL", "http://127.0.0.1:9")];
    let command = ["textin", "parse", "in", "--out", "out"];
    let bounded = [&command[..], &["--deadline", "50s"]].concat();
    let ran = stage.run_with(&bounded, &nobody).await;
    assert_eq!(ran.exit, 8, "{}", ran.stderr);
    for words in [
        "in/a.txt: ",
        "in/b.txt: ",
        "nothing was sent",
        "2 rejected",
        "the same command continues",
    ] {
        assert!(ran.stderr.contains(words), "{words}: {}", ran.stderr);
    }

    let total = [&command[..], &["--total-deadline", "50s"]].concat();
    let ran = stage.run_with(&total, &nobody).await;
    assert_eq!(ran.exit, 8, "{}", ran.stderr);
    assert!(ran.stderr.contains("2 intended"), "{}", ran.stderr);

    for _ in 0..2 {
        stage.simulators.textin().next_outcome(Outcome::Never);
    }
    let ran = stage.run(&bounded).await;
    assert_eq!(ran.exit, 4, "{}", ran.stderr);
    assert!(ran.stderr.contains("2 accepted"), "{}", ran.stderr);
    let ran = stage
        .run(&[&command[..], &["--total-deadline", "20s"]].concat())
        .await;
    assert_eq!(ran.exit, 4, "{}", ran.stderr);
    assert!(
        ran.stderr.contains("the same command continues"),
        "{}",
        ran.stderr
    );
    assert_eq!(submits(&stage), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_spends_its_budget_and_goes_on_where_there_is_room() {
    let stage = Stage::new().await;
    let many: Vec<(String, String)> = (0..5)
        .map(|n| (format!("in/{n}.txt"), format!("# {n}\n")))
        .collect();
    let many: Vec<(&str, &str)> = many.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
    files(&stage, &many);
    let ran = stage.run(&["budget", "set", "textin", "2"]).await;
    assert_eq!(ran.exit, 0, "{}", ran.stderr);
    let command = ["textin", "parse", "in", "--out", "out"];
    for _ in 0..2 {
        let ran = stage.run(&command).await;
        assert_eq!(ran.exit, 7, "{}", ran.stderr);
        for words in [
            "3 intended",
            "docjobs budget set",
            "the same command continues",
        ] {
            assert!(ran.stderr.contains(words), "{words}: {}", ran.stderr);
        }
        assert_eq!((submits(&stage), below(&stage, "out").len()), (2, 2));
    }
    let ran = stage.run(&["budget", "set", "textin", "4"]).await;
    assert_eq!(ran.exit, 0, "{}", ran.stderr);
    let ran = stage.run(&["work", "--once"]).await;
    assert_eq!((ran.exit, submits(&stage)), (7, 4), "{}", ran.stderr);
    let ran = stage.run(&["budget", "clear", "textin"]).await;
    assert_eq!(ran.exit, 0, "{}", ran.stderr);
    let ran = stage.run(&command).await;
    assert_eq!((ran.exit, submits(&stage)), (0, 5), "{}", ran.stderr);
    assert_eq!(below(&stage, "out").len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_are_printed_beside_their_inputs() {
    let stage = Stage::new().await;
    files(&stage, &[("a.txt", "a"), ("b.html", "<p>b</p>")]);
    let ran = stage
        .run(&["tencent-ess", "convert", "a.txt", "b.html"])
        .await;
    assert_eq!(ran.exit, 0, "{}", ran.stderr);
    let mut lines: Vec<&str> = ran.stdout.lines().collect();
    lines.sort_unstable();
    assert!(
        lines[0].starts_with("a.txt\tyD") && lines[1].starts_with("b.html\tyD"),
        "{lines:?}"
    );
    let again = stage
        .run(&["tencent-ess", "convert", "a.txt", "b.html"])
        .await;
    let mut same: Vec<&str> = again.stdout.lines().collect();
    same.sort_unstable();
    assert_eq!((again.exit, same), (0, lines), "{}", again.stderr);
}
