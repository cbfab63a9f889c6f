//! What a person types and sees: every spelling of a place, what others wrote on the screen, and who stops reading.

use std::fs;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::symlink;
use std::process::Stdio;

use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use vendor_sim::fault::Fault;
use vendor_sim::textin::Outcome;

use crate::stage::{self, Ran, Stage};

const TEXT: &str = "# Heading\n\nsome text, 一些文字\n";

async fn with_stdin(stage: &Stage, args: &[&str], stdin: &[u8]) -> Ran {
    let mut child = stage
        .command(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut pipe = child.stdin.take().unwrap();
    // A command that refuses its arguments does not read.
    let _ = pipe.write_all(stdin).await;
    drop(pipe);
    let output = child.wait_with_output().await.unwrap();
    Ran {
        exit: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_spelling_of_the_ledger_is_one_place_or_none() {
    let home = tempfile::tempdir().unwrap();
    let run = async |ledger: &str| {
        let env = [("DOCJOBS_LEDGER".to_owned(), ledger.to_owned())];
        stage::run(home.path(), &["jobs", "--ledger", ledger], &env).await
    };
    for refused in [
        "file:x.db",
        "File:x.db",
        "sqlite:file:x.db?mode=memory",
        "postgres//u:hunter2@h/db",
        "sqlite:postgres://u:hunter2@h/db",
        "jdbc:postgresql://h/db?password=hunter2",
        "h.example:5432/db?password=hunter2",
        "sqlite:$HOME/x.db",
        "sqlite:\"x.db\"",
        "%APPDATA%/x.db",
        "sqlite:",
    ] {
        let ran = run(refused).await;
        assert_eq!((ran.exit, ran.stdout.as_str()), (2, ""), "{refused}");
        assert!(!ran.stderr.contains("hunter2"), "{}", ran.stderr);
    }
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0);
    let ran = run("").await;
    assert_eq!(ran.exit, 0, "{}", ran.stderr);
    let usual = home.path().join(".local/share/docjobs/ledger.db");
    assert!(usual.is_file());
    let ran = run("~/mine.db").await;
    assert_eq!(ran.exit, 0, "{}", ran.stderr);
    assert!(home.path().join("mine.db").is_file());
    assert!(!home.path().join("~").exists());
    let here = home.path().display();
    for slashes in ["sqlite:", "sqlite://", "sqlite:///"] {
        let ran = run(&format!("{slashes}{here}/one.db")).await;
        assert_eq!(ran.exit, 0, "{}", ran.stderr);
        assert!(fs::remove_file(home.path().join("one.db")).is_ok());
    }
    let ran = run("postgres://u:hunter2@h/db?sslmode=hunter2").await;
    assert_eq!(ran.exit, 2, "{}", ran.stderr);
    assert!(ran.stderr.contains("sslmode"), "{}", ran.stderr);
    assert!(!ran.stderr.contains("hunter2"), "{}", ran.stderr);
    let ran = run("./a:b.db").await;
    assert_eq!(ran.exit, 0, "{}", ran.stderr);
    assert!(home.path().join("a:b.db").is_file());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_comes_on_stdin_and_goes_to_stdout() {
    let stage = Stage::new().await;
    let parse = ["textin", "parse", "-"];
    let ran = with_stdin(&stage, &parse, TEXT.as_bytes()).await;
    assert_eq!(ran.exit, 2, "{}", ran.stderr);
    assert!(ran.stderr.contains("--name"), "{}", ran.stderr);
    for name in ["../a.txt", "", "a/b.txt", ".."] {
        let ran = with_stdin(&stage, &["textin", "parse", "-", "--name", name], b"x").await;
        assert_eq!(ran.exit, 2, "{name}: {}", ran.stderr);
    }
    assert!(stage.simulators.textin().requests().is_empty());

    let named = ["textin", "parse", "-", "--name", "a.txt", "-o", "-"];
    let ran = with_stdin(&stage, &named, TEXT.as_bytes()).await;
    assert_eq!((ran.exit, ran.stdout.as_str()), (0, TEXT), "{}", ran.stderr);
    assert_eq!(stage.files(), [""; 0]);
    // The same content is the same job, wherever it comes from.
    stage.input("a.txt", TEXT);
    let ran = stage
        .run(&["textin", "parse", "a.txt", "-o", "/dev/stdout"])
        .await;
    assert_eq!((ran.exit, ran.stdout.as_str()), (0, TEXT), "{}", ran.stderr);
    assert_eq!(stage.simulators.textin().jobs().len(), 1);

    let outline = b"# A\n\n## B\n\n### C\n\n#### D\n\ntext\n";
    let deck = ["mindshow", "deck", "--markdown", "-", "-o", "a.pptx"];
    let ran = with_stdin(&stage, &deck, outline).await;
    assert_eq!(ran.exit, 0, "{}", ran.stderr);
    let signable = ["tencent-ess", "convert", "-", "--name", "c.html"];
    let ran = with_stdin(&stage, &signable, b"<html></html>").await;
    assert_eq!(
        (ran.exit, ran.stdout.lines().count()),
        (0, 1),
        "{}",
        ran.stderr
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_not_utf_8_is_named() {
    let stage = Stage::new().await;
    let odd = std::ffi::OsString::from_vec(b"\xba\xcf.txt".to_vec());
    fs::write(stage.folder.path().join(&odd), TEXT).unwrap();
    let mut command = stage.command(&["textin", "parse"]);
    let output = command.arg(&odd).output().await.unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains(r#""\xBA\xCF.txt""#), "{said}");
    stage.input("a.txt", TEXT);
    let mut command = stage.command(&["textin", "parse", "a.txt", "-o"]);
    let output = command.arg(&odd).output().await.unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains(r#""\xBA\xCF.txt""#), "{said}");
    assert!(stage.simulators.textin().requests().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_wrote_cannot_steer_the_screen() {
    let stage = Stage::new().await;
    let name = "a\u{1b}[31m\u{202e}.txt";
    stage.input(name, TEXT);
    let words = "page 3 \u{1b}]0;owned\u{7}\r\nticket: docjobs1.forged\u{9b}1m \u{202e}txt.exe";
    stage.simulators.textin().next_outcome(Outcome::Failed {
        message: words.to_owned(),
    });
    let failed = stage.run(&["textin", "parse", name]).await;
    assert_eq!(failed.exit, 3, "{}", failed.stderr);
    let unread = stage.run(&["textin", "parse", "\u{1b}[2Jnone.txt"]).await;
    let usage = stage
        .run(&["textin", "parse", "a.txt", "\u{1b}[2J\nextra"])
        .await;
    assert_eq!((unread.exit, usage.exit), (2, 2));
    let id = stage.run(&["jobs", "--json"]).await;
    let job: Value = serde_json::from_str(&id.stdout).unwrap();
    let listed = stage.run(&["jobs"]).await;
    let shown = stage.run(&["show", job["id"].as_str().unwrap()]).await;
    for ran in [&failed, &unread, &usage, &listed, &shown] {
        let all = format!("{}{}", ran.stdout, ran.stderr);
        let steering = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
        assert!(!all.contains(steering), "{all:?}");
        assert!(
            !all.lines()
                .any(|line| line.starts_with("ticket: docjobs1.forged"))
        );
    }
    assert!(
        failed.stderr.contains("page 3 \\u{1b}]0;owned"),
        "{}",
        failed.stderr
    );
    // Scripts get the words as they are kept.
    assert!(
        job["error"].as_str().unwrap().contains("\u{202e}txt.exe"),
        "{job}"
    );
    assert_eq!(job["input"], name.replace('\u{1b}', "_"));
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_stops_reading_ends_the_command_quietly() {
    let stage = Stage::new().await;
    stage.input("a.txt", TEXT);
    let ran = stage.run(&["textin", "parse", "a.txt", "--no-wait"]).await;
    assert_eq!(ran.exit, 0, "{}", ran.stderr);
    for args in [
        &["jobs"][..],
        &["jobs", "--json"],
        &["doctor"],
        &["textin", "parse", "a.txt"],
        &["manual"],
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = stage.command(args).stdout(writer).output().await.unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(0), "{args:?}: {said}");
        assert!(
            !said.contains("print") && !said.contains("pipe"),
            "{args:?}: {said}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_replaced_only_when_asked() {
    let stage = Stage::new().await;
    stage.input("a.txt", TEXT);
    stage.input("out.md", "precious");
    let parse = ["textin", "parse", "a.txt", "-o", "out.md"];
    let ran = stage.run(&parse).await;
    assert_eq!(ran.exit, 2, "{}", ran.stderr);
    assert!(ran.stderr.contains("--overwrite"), "{}", ran.stderr);
    assert!(stage.simulators.textin().requests().is_empty());
    assert_eq!(
        fs::read_to_string(stage.path("out.md")).unwrap(),
        "precious"
    );
    let ran = stage.run(&[&parse[..], &["--overwrite"]].concat()).await;
    assert_eq!(ran.exit, 0, "{}", ran.stderr);
    assert_eq!(fs::read_to_string(stage.path("out.md")).unwrap(), TEXT);
    // Now the result is there: nothing is asked for, with the option or without.
    let before = stage.simulators.textin().requests().len();
    for args in [parse.to_vec(), [&parse[..], &["--overwrite"]].concat()] {
        let ran = stage.run(&args).await;
        assert_eq!(ran.exit, 0, "{}", ran.stderr);
    }
    assert_eq!(stage.simulators.textin().requests().len(), before);
    // In another form it is another file.
    let ran = stage
        .run(&[&parse[..], &["--format", "json"]].concat())
        .await;
    assert_eq!(ran.exit, 2, "{}", ran.stderr);
    // What somebody else put there since is not taken for it.
    stage.input("out.md", "precious");
    let ran = stage.run(&parse).await;
    assert_eq!(ran.exit, 2, "{}", ran.stderr);
    let ran = stage.run(&[&parse[..], &["--overwrite"]].concat()).await;
    assert_eq!(ran.exit, 0, "{}", ran.stderr);
    assert_eq!(fs::read_to_string(stage.path("out.md")).unwrap(), TEXT);
    assert_eq!(stage.simulators.textin().jobs().len(), 1);
    for place in ["/dev/null", "."] {
        let ran = stage
            .run(&["textin", "parse", "a.txt", "-o", place, "--overwrite"])
            .await;
        assert_eq!(ran.exit, 2, "{place}: {}", ran.stderr);
    }
    assert_eq!(stage.files(), ["a.txt", "out.md"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_variables_of_a_simulator_overwrite_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (precious, link) = (
        folder.path().join("precious"),
        folder.path().join("sim.env"),
    );
    fs::write(&precious, "precious").unwrap();
    symlink(&precious, &link).unwrap();
    for path in [&precious, &link] {
        let path = path.to_str().unwrap();
        let ran = stage::run(folder.path(), &["sim", "--env-file", path], &[]).await;
        assert_eq!((ran.exit, ran.stdout.as_str()), (2, ""), "{}", ran.stderr);
        assert!(ran.stderr.contains("--overwrite"), "{}", ran.stderr);
    }
    assert_eq!(fs::read_to_string(&precious).unwrap(), "precious");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_is_as_long_as_asked_for() {
    let stage = Stage::new().await;
    for name in ["a.txt", "b.txt", "c.txt"] {
        stage.input(name, name);
        let ran = stage.run(&["textin", "parse", name, "--no-wait"]).await;
        assert_eq!(ran.exit, 0, "{}", ran.stderr);
    }
    let count = async |args: &[&str]| {
        let ran = stage.run(args).await;
        assert_eq!(ran.exit, 0, "{args:?}: {}", ran.stderr);
        assert_eq!(ran.stderr, "", "{args:?}");
        ran.stdout.lines().count()
    };
    assert_eq!(count(&["jobs"]).await, 3);
    assert_eq!(count(&["jobs", "--limit", "2"]).await, 2);
    assert_eq!(count(&["jobs", "--unfinished", "--limit", "9"]).await, 3);
    let stages = jobs_ledger::Stage::ALL.map(jobs_ledger::Stage::as_str);
    assert_eq!(count(&["jobs", "--stage", &stages.join(",")]).await, 3);
    let held = jobs_ledger::Stage::Accepted.as_str();
    let done = jobs_ledger::Stage::Completed.as_str();
    assert_eq!(count(&["jobs", "--stage", held]).await, 3);
    assert_eq!(count(&["jobs", "--stage", done]).await, 0);
    let ran = stage.run(&["jobs", "--stage", "asleep"]).await;
    assert_eq!(ran.exit, 2);
    assert!(ran.stderr.contains(held), "{}", ran.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_was_not_understood_is_shown() {
    let stage = Stage::new().await;
    stage.input("a.txt", TEXT);
    let page = "<html>\u{1b}[2Jblocked by Corp WAF policy 4711</html>";
    stage.simulators.textin().set_fault(
        "submit",
        Fault::Status {
            status: 403,
            body: page.to_owned(),
            headers: vec![],
            after_commit: false,
        },
    );
    let ran = stage.run(&["textin", "parse", "a.txt"]).await;
    assert_ne!(ran.exit, 0, "{}", ran.stderr);
    let listed = stage.run(&["jobs", "--json"]).await;
    let job: Value = serde_json::from_str(listed.stdout.lines().next().unwrap()).unwrap();
    let id = job["id"].as_str().unwrap();
    let shown = stage.run(&["show", id]).await;
    assert!(shown.stdout.contains("policy 4711"), "{}", shown.stdout);
    assert!(!shown.stdout.contains('\u{1b}'), "{}", shown.stdout);
    let exact = stage.run(&["show", id, "--json"]).await;
    assert!(exact.stdout.contains("policy 4711"), "{}", exact.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_opens_an_address_stands_nowhere() {
    let stage = Stage::new().await;
    let url = "https://me:hunter2@h.example/a.pdf?sign=hunter3";
    let ran = stage.run(&["textin", "parse", url, "--no-wait"]).await;
    let jobs = stage.run(&["jobs"]).await;
    let exact = stage.run(&["jobs", "--json"]).await;
    assert!(
        jobs.stdout.contains("https://h.example/a.pdf?…"),
        "{}{}",
        jobs.stdout,
        ran.stderr
    );
    for said in [&ran.stderr, &ran.stdout, &jobs.stdout, &exact.stdout] {
        assert!(!said.contains("hunter"), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_vendor_elsewhere_is_hurried() {
    let stage = Stage::new().await;
    stage.input("a.txt", TEXT);
    stage.input("a.md", "# A\n");
    fs::write(stage.path("a.pptx"), "PK").unwrap();
    for (variable, address, args) in [
        (
            "TEXTIN_SERVER_URL",
            "https://h.example",
            &["textin", "parse", "a.txt"][..],
        ),
        (
            "PPJ_BASE_URL",
            "https://h.example/api/",
            &["ppj", "convert", "a.pptx", "-o", "x"],
        ),
        (
            "MINDSHOW_BASE_URL",
            "https://h.example",
            &["mindshow", "deck", "--markdown", "a.md", "-o", "x"],
        ),
        (
            "TENCENT_ESS_ENDPOINT",
            "https://h.example",
            &["tencent-ess", "convert", "a.txt"],
        ),
        (
            "TENCENT_ESS_UPLOAD_ENDPOINT",
            "https://h.example",
            &["tencent-ess", "convert", "a.txt"],
        ),
        (
            "WECOM_PRINTER_URL",
            "wss://h.example/",
            &["printer", "list"],
        ),
        (
            "TEXTIN_SERVER_URL",
            "https://h.example",
            &["work", "--once"],
        ),
    ] {
        let ran = stage.run_with(args, &[(variable, address)]).await;
        assert_eq!(ran.exit, 2, "{variable}: {}", ran.stderr);
        assert!(
            ran.stderr.contains("DOCJOBS_TIME_SCALE"),
            "{variable}: {}",
            ran.stderr
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_variable_that_is_no_text_is_named() {
    let stage = Stage::new().await;
    let odd = std::ffi::OsString::from_vec(b"\xba\xcf".to_vec());
    let mut command = stage.command(&["doctor"]);
    let output = command.env("TEXTIN_APP_ID", &odd).output().await.unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("TEXTIN_APP_ID is not UTF-8"), "{said}");
}
