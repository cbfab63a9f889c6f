//! What was paid for is written down: nothing is lost in a crash, and the same input is not bought twice.

use std::process::Stdio;

use jobs_core::clock::SystemClock;
use jobs_ledger::{ClaimOutcome, Claimed, Due, JobFilter, Ledger, Note};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use vendor_sim::fault::Fault;

use crate::stage::Stage;

const TEXT: &str = "some text\n";

fn submits(stage: &Stage) -> usize {
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

/// `jobs --json`, the newest first.
async fn jobs(stage: &Stage) -> Vec<Value> {
    let ran = stage.run(&["jobs", "--json"]).await;
    assert_eq!(ran.exit, 0, "{}", ran.stderr);
    ran.stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_input_is_bought_once_unless_again_is_said() {
    let stage = Stage::new().await;
    stage.input("notes.txt", TEXT);
    stage.input("copy.txt", TEXT);
    for (args, bought) in [
        (&["textin", "parse", "notes.txt", "-o", "a.md"][..], 1),
        (&["textin", "parse", "notes.txt", "-o", "a.md"], 1),
        (&["textin", "parse", "notes.txt", "-o", "b.md"], 1),
        (&["textin", "parse", "copy.txt"], 1),
        (&["textin", "parse", "notes.txt", "--pages", "1"], 2),
        (
            &["textin", "parse", "notes.txt", "--again", "-o", "c.md"],
            3,
        ),
    ] {
        let ran = stage.run(args).await;
        assert_eq!(
            (ran.exit, submits(&stage)),
            (0, bought),
            "{args:?}: {}",
            ran.stderr
        );
    }
    for name in ["a.md", "b.md", "c.md"] {
        assert_eq!(
            std::fs::read_to_string(stage.path(name)).unwrap(),
            TEXT,
            "{name}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_named_run_of_one_input_pays_again_once() {
    let stage = Stage::new().await;
    stage.input("notes.txt", TEXT);
    let run = ["--again", "--run", "r1"];
    let other = ["--again", "--run", "r2"];
    for (place, more, bought) in [
        ("a.md", &[][..], 1),
        ("b.md", &[&run[..], &["--no-wait"]].concat(), 2),
        ("b.md", &run, 2),
        ("b.md", &run, 2),
        ("c.md", &run, 2),
        ("d.md", &other, 3),
        ("e.md", &["--again"], 4),
        ("a.md", &[], 4),
    ] {
        let command = ["textin", "parse", "notes.txt", "-o", place];
        let ran = stage.run(&[&command[..], more].concat()).await;
        let found = (ran.exit, submits(&stage));
        assert_eq!(found, (0, bought), "{place} {more:?}: {}", ran.stderr);
    }
    let ran = stage
        .run(&["textin", "parse", "notes.txt", "--run", "r1"])
        .await;
    assert_eq!((ran.exit, submits(&stage)), (2, 4), "{}", ran.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_knows_its_named_run_again() {
    let stage = Stage::new().await;
    stage.input("notes.txt", TEXT);
    stage.input("plan.md", crate::mindshow::MARKDOWN);
    stage.input("s.pptx", "PK\u{3}\u{4} slides");
    let charges = || {
        let simulators = &stage.simulators;
        simulators.mindshow().charges().len()
            + simulators.ppj().charges().len()
            + simulators.tencent().charges().len()
    };
    let deck = ["mindshow", "deck", "--markdown", "plan.md", "-o", "p.pptx"];
    let ran = stage.run(&deck).await;
    assert_eq!(ran.exit, 0, "{}", ran.stderr);
    let id = stage.simulators.mindshow().jobs()[0].id.clone();
    for command in [
        &["mindshow", "pdf", &id, "-o", "a"][..],
        &["mindshow", "deck", "--topic", "Tests", "-o", "b"],
        &["mindshow", "deck", "--markdown", "plan.md", "-o", "c"],
        &["ppj", "convert", "s.pptx", "-o", "d"],
        &["tencent-ess", "convert", "notes.txt"],
    ] {
        let mut paid = Vec::new();
        for _ in 0..2 {
            let before = charges();
            let ran = stage
                .run(&[command, &["--again", "--run", "r1"]].concat())
                .await;
            assert_eq!(ran.exit, 0, "{command:?}: {}", ran.stderr);
            paid.push(charges() - before);
        }
        assert_eq!(paid, [1, 0], "{command:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_is_no_whole_ledger_leaves_its_place_to_another() {
    let stage = Stage::new().await;
    stage.input("notes.txt", TEXT);
    let ran = stage.run(&["textin", "parse", "notes.txt"]).await;
    assert_eq!(ran.exit, 0, "{}", ran.stderr);
    let ran = stage.run(&["ledger", "backup", "good.db"]).await;
    assert_eq!(ran.exit, 0, "{}", ran.stderr);
    let good = std::fs::read(stage.path("good.db")).unwrap();
    std::fs::write(stage.path("cut.db"), &good[..20_000]).unwrap();
    stage.input("empty.db", "");
    stage.input("noise.db", "x\n");
    let restore = async |copy: &str| {
        stage
            .run(&["--ledger", "new/l.db", "ledger", "restore", copy])
            .await
    };
    for copy in ["cut.db", "empty.db", "noise.db", "gone.db"] {
        let ran = restore(copy).await;
        assert_eq!(ran.exit, 2, "{copy}: {}", ran.stderr);
        assert!(ran.stderr.contains(copy), "{}", ran.stderr);
        let left = std::fs::read_dir(stage.path("new")).map_or(0, Iterator::count);
        assert_eq!(left, 0, "{copy}");
    }
    // What another ledger left beside the place would be read into this one.
    std::fs::create_dir_all(stage.path("new")).unwrap();
    for left in ["new/l.db-wal", "new/l.db-journal"] {
        std::fs::write(stage.path(left), "of another").unwrap();
        let ran = restore("good.db").await;
        assert_eq!(ran.exit, 2, "{}", ran.stderr);
        assert!(ran.stderr.contains(left), "{}", ran.stderr);
        assert!(!stage.path("new/l.db").exists());
        std::fs::remove_file(stage.path(left)).unwrap();
    }
    let ran = restore("good.db").await;
    assert_eq!(ran.exit, 0, "{}", ran.stderr);
    let restored = stage.path("new/l.db");
    let mode = std::os::unix::fs::PermissionsExt::mode(&restored.metadata().unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    let ran = stage
        .run(&["--ledger", "new/l.db", "textin", "parse", "notes.txt"])
        .await;
    assert_eq!((ran.exit, submits(&stage)), (0, 1), "{}", ran.stderr);

    let before = std::fs::read(&restored).unwrap();
    let ran = restore("good.db").await;
    assert_eq!(ran.exit, 2, "{}", ran.stderr);
    assert_eq!(std::fs::read(&restored).unwrap(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_ledger_submits_nothing_before_it_is_recovered() {
    let stage = Stage::new().await;
    stage.input("notes.txt", TEXT);
    let enqueue = ["textin", "parse", "notes.txt", "--enqueue"];
    let ran = stage.run(&enqueue).await;
    assert_eq!(ran.exit, 0, "{}", ran.stderr);
    // A copy of the file itself, whose changes SQLite keeps beside it until it is closed.
    let ledger = Ledger::open(&stage.ledger_path(), SystemClock::shared())
        .await
        .unwrap();
    ledger.check().await.unwrap();
    ledger.close().await;
    std::fs::copy(stage.ledger_path(), stage.path("raw.db")).unwrap();
    let restored = [("DOCJOBS_LEDGER", "restored.db")];
    let ran = stage
        .run_with(&["ledger", "restore", "raw.db"], &restored)
        .await;
    assert_eq!(ran.exit, 0, "{}", ran.stderr);
    assert!(ran.stderr.contains("1 job may"), "{}", ran.stderr);
    let parse = ["textin", "parse", "notes.txt"];
    let ran = stage.run_with(&parse, &restored).await;
    assert_eq!((ran.exit, submits(&stage)), (5, 0), "{}", ran.stderr);
    let ran = stage.run_with(&["ledger", "recover"], &restored).await;
    assert_eq!(ran.exit, 0, "{}", ran.stderr);
    let ran = stage.run_with(&parse, &restored).await;
    assert_eq!((ran.exit, submits(&stage)), (0, 1), "{}", ran.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_in_doubt_stays_in_doubt_until_a_person_decides() {
    let stage = Stage::new().await;
    stage.input("notes.txt", TEXT);
    stage
        .simulators
        .textin()
        .set_fault("submit", drop_after_commit());
    for _ in 0..2 {
        let ran = stage
            .run(&["textin", "parse", "notes.txt", "-o", "notes.md"])
            .await;
        assert_eq!((ran.exit, submits(&stage)), (5, 1), "{}", ran.stderr);
        assert!(ran.stderr.contains("docjobs resolve"), "{}", ran.stderr);
    }
    let job = jobs(&stage).await.remove(0);
    assert_eq!(job["stage"], "in_doubt");
    let id = job["id"].as_str().unwrap().to_owned();

    // The vendor's console shows the job, and a person says so.
    let remote = stage.simulators.textin().jobs()[0].job_id.clone();
    let ran = stage.run(&["resolve", &id, "--adopt", &remote]).await;
    assert_eq!(ran.exit, 0, "{}", ran.stderr);
    let ran = stage.run(&["wait", &id]).await;
    assert_eq!((ran.exit, submits(&stage)), (0, 1), "{}", ran.stderr);
    assert_eq!(
        std::fs::read_to_string(stage.path("notes.md")).unwrap(),
        TEXT
    );

    let shown = stage.run(&["show", &remote]).await;
    for word in [
        "intended",
        "submitting",
        "in_doubt",
        "adopted",
        "available",
        "completed",
    ] {
        assert!(shown.stdout.contains(word), "{word}: {}", shown.stdout);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_abandoned_job_is_bought_anew() {
    let stage = Stage::new().await;
    stage.input("notes.txt", TEXT);
    stage
        .simulators
        .textin()
        .set_fault("submit", drop_after_commit());
    stage.run(&["textin", "parse", "notes.txt"]).await;
    let id = jobs(&stage).await[0]["id"].as_str().unwrap().to_owned();
    let ran = stage.run(&["resolve", &id, "--abandon"]).await;
    assert_eq!(ran.exit, 0, "{}", ran.stderr);
    let ran = stage.run(&["textin", "parse", "notes.txt"]).await;
    assert_eq!((ran.exit, submits(&stage)), (0, 2), "{}", ran.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_command_is_resumed_with_one_charge() {
    let stage = Stage::new().await;
    stage.input("notes.txt", TEXT);
    stage
        .simulators
        .textin()
        .change_options(|options| options.in_progress_seconds = 60.0);
    let mut child = stage
        .command(&["textin", "parse", "notes.txt", "-o", "notes.md"])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    while stage.simulators.textin().jobs().is_empty()
        || jobs(&stage)
            .await
            .first()
            .is_none_or(|job| job["stage"] != "accepted")
    {
        tokio::task::yield_now().await;
    }
    child.kill().await.unwrap();
    let ran = stage.run(&["resume"]).await;
    assert_eq!(ran.exit, 0, "{}", ran.stderr);
    assert_eq!(
        std::fs::read_to_string(stage.path("notes.md")).unwrap(),
        TEXT
    );
    assert_eq!(
        (submits(&stage), stage.simulators.textin().charges().len()),
        (1, 1)
    );
    assert_eq!(jobs(&stage).await[0]["stage"], "completed");
}

/// A job whose process was killed just before it could say *done*: `written` is the digest in its history, if any.
async fn stopped_before_done(stage: &Stage, content: &str, written: Option<[u8; 32]>) {
    stage.input("notes.txt", TEXT);
    let ran = stage
        .run(&[
            "textin",
            "parse",
            "notes.txt",
            "-o",
            "notes.md",
            "--no-wait",
        ])
        .await;
    assert_eq!(ran.exit, 0, "{}", ran.stderr);
    let ledger = Ledger::open(&stage.ledger_path(), SystemClock::shared())
        .await
        .unwrap();
    let id = ledger.list(&JobFilter::all()).await.unwrap().jobs[0].id;
    let ClaimOutcome::Claimed(Claimed::Accepted(held, _)) = ledger.claim(id).await.unwrap() else {
        panic!("the job is not held");
    };
    let ready = ledger
        .record_available(&held, &Value::Null, Note::none())
        .await
        .unwrap();
    let fetching = ledger.begin_download(&ready).await.unwrap();
    if let Some(digest) = written {
        ledger.record_verified(&fetching, digest).await.unwrap();
    }
    stage.input("notes.md", content);
    ledger.release(fetching, Due::Now).await.unwrap();
    ledger.close().await;
}

fn digest_of_text() -> [u8; 32] {
    Sha256::digest(TEXT).into()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_that_got_its_name_just_before_the_crash_is_done() {
    for again in [
        &["resume"][..],
        &["textin", "parse", "notes.txt", "-o", "notes.md"],
    ] {
        let stage = Stage::new().await;
        stopped_before_done(&stage, TEXT, Some(digest_of_text())).await;
        let before = stage.simulators.textin().requests().len();
        let ran = stage.run(again).await;
        assert_eq!(ran.exit, 0, "{again:?}: {}", ran.stderr);
        assert_eq!(stage.simulators.textin().requests().len(), before);
        assert_eq!(jobs(&stage).await[0]["stage"], "completed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_elses_file_is_never_taken_for_the_result() {
    for (content, written) in [(TEXT, None), ("something else\n", Some(digest_of_text()))] {
        let stage = Stage::new().await;
        stopped_before_done(&stage, content, written).await;
        let ran = stage.run(&["resume"]).await;
        assert_ne!(ran.exit, 0);
        assert_eq!(
            std::fs::read_to_string(stage.path("notes.md")).unwrap(),
            content
        );
        assert_ne!(jobs(&stage).await[0]["stage"], "completed");
        assert!(ran.stderr.contains("notes.md"), "{}", ran.stderr);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_commands_for_the_same_input_share_one_job() {
    let stage = Stage::new().await;
    stage.input("notes.txt", TEXT);
    let (a, b) = tokio::join!(
        stage.run(&["textin", "parse", "notes.txt", "-o", "a.md"]),
        stage.run(&["textin", "parse", "notes.txt", "-o", "b.md"]),
    );
    assert_eq!(
        (a.exit, b.exit, submits(&stage)),
        (0, 0, 1),
        "{}{}",
        a.stderr,
        b.stderr
    );
    for name in ["a.md", "b.md"] {
        assert_eq!(
            std::fs::read_to_string(stage.path(name)).unwrap(),
            TEXT,
            "{name}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_json_has_the_keys_that_scripts_rely_on() {
    let stage = Stage::new().await;
    stage.input("notes.txt", TEXT);
    stage
        .run(&["textin", "parse", "notes.txt", "-o", "notes.md"])
        .await;
    let job = jobs(&stage).await.remove(0);
    let mut keys: Vec<&str> = job
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    keys.sort_unstable();
    assert_eq!(
        keys,
        [
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
            "vendor"
        ]
    );
    assert_eq!(
        (&job["stage"], &job["vendor"], &job["input"]),
        (&"completed".into(), &"textin".into(), &"notes.txt".into())
    );
    assert!(job["output"].as_str().unwrap().ends_with("notes.md"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unusable_ledger_is_named_before_anything_is_sent() {
    let stage = Stage::new().await;
    stage.input("notes.txt", TEXT);
    stage.input("noise.db", &"this is no ledger ".repeat(300));
    let folder = stage.folder.path().display().to_string();
    for ledger in ["noise.db", &folder, "postgres://127.0.0.1:1/x"] {
        let ran = stage
            .run(&["textin", "parse", "notes.txt", "--ledger", ledger])
            .await;
        assert!(
            matches!(ran.exit, 1 | 2),
            "{ledger}: {} {}",
            ran.exit,
            ran.stderr
        );
        assert!(ran.stderr.contains("ledger"), "{ledger}: {}", ran.stderr);
    }
    assert_eq!(submits(&stage), 0);
}

/// The accounts of a vendor, by `docjobs account --json`.
async fn accounts(stage: &Stage, variables: &[(&str, &str)]) -> Vec<Value> {
    let ran = stage.run_with(&["account", "--json"], variables).await;
    let accounts = ran.stdout.lines().map(|line| {
        let account: Value = serde_json::from_str(line).unwrap();
        account
    });
    accounts
        .filter(|account| account["vendor"] == "mindshow")
        .collect()
}

#[tokio::test]
async fn what_the_old_key_bought_is_not_bought_again_once_the_keys_are_joined() {
    let stage = Stage::new().await;
    std::fs::write(stage.path("a.md"), "# one\n## a\n### b\n#### c\n").unwrap();
    std::fs::write(stage.path("b.md"), "# two\n## a\n### b\n#### c\n").unwrap();
    let deck = async |input: &str, out: &str, variables: &[(&str, &str)]| {
        let command = ["mindshow", "deck", "--markdown", input, "-o", out];
        let ran = stage.run_with(&command, variables).await;
        assert_eq!(ran.exit, 0, "{}", ran.stderr);
    };
    let bought = || stage.simulators.mindshow().charges().len();
    let key = stage.simulators.mindshow().api_key();
    let old_key = &[("MINDSHOW_API_KEY", key.as_str())][..];
    deck("a.md", "a.pptx", old_key).await;
    assert_eq!(bought(), 1);
    let exchanged = |options: &mut vendor_sim::MindShowOptions| {
        "second-key".clone_into(&mut options.api_key);
    };
    stage.simulators.mindshow().change_options(exchanged);
    let new_key = &[("MINDSHOW_API_KEY", "second-key")][..];

    let doctor = stage.run_with(&["doctor"], new_key).await;
    let known = accounts(&stage, new_key).await;
    let name_of = |in_use: bool| {
        let it = known.iter().find(|account| account["in_use"] == in_use);
        it.unwrap()["account"].as_str().unwrap().to_owned()
    };
    let (old, new) = (name_of(false), name_of(true));
    let advice = format!("docjobs account join {old} {new}");
    assert!(doctor.stdout.contains(&advice), "{}", doctor.stdout);

    for (wrong, words) in [
        (["0", &new], "8 hexadecimal digits"),
        (["00000000", &new], "no job"),
        ([&old, "00000000"], "not the account of a key"),
        ([&old, &old], "named twice"),
    ] {
        let ran = stage
            .run_with(&["account", "join", wrong[0], wrong[1]], new_key)
            .await;
        assert_eq!(ran.exit, 2, "{wrong:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(words), "{wrong:?}: {}", ran.stderr);
    }
    let join = ["account", "join", &old, &new];
    let ran = stage.run_with(&join, new_key).await;
    assert!(ran.stderr.contains("1 job moved"), "{}", ran.stderr);

    // At the same place, at another one, and by the old key on another machine.
    deck("a.md", "a.pptx", new_key).await;
    deck("a.md", "copy.pptx", new_key).await;
    assert_eq!(bought(), 1);
    deck("b.md", "b.pptx", new_key).await;
    let command = ["mindshow", "deck", "--markdown", "b.md", "--no-wait"];
    let ran = stage.run_with(&command, old_key).await;
    assert!(ran.stderr.contains("already"), "{}", ran.stderr);
    assert_eq!(bought(), 2, "{}", ran.stderr);
    let doctor = stage.run_with(&["doctor"], new_key).await;
    assert!(!doctor.stdout.contains("account join"), "{}", doctor.stdout);
}
