//! However a command ends before its result is there, it says what is to go on with, and when it was told to end.

use std::os::unix::process::ExitStatusExt as _;
use std::process::Stdio;
use std::time::Duration;

use jobs_core::clock::{Clock as _, SystemClock};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};

use crate::stage::Stage;

const TEXT: &str = "some text\n";
const SIGNALS: [(&str, i32); 3] = [("INT", 2), ("TERM", 15), ("HUP", 1)];

fn send(child: &Child, signal: &str) {
    let pid = child.id().expect("it is running").to_string();
    let sent = std::process::Command::new("kill")
        .args(["-s", signal, &pid])
        .status();
    assert!(sent.unwrap().success());
}

/// Which signal ended it, and what it said.
async fn ended(child: Child) -> (Option<i32>, String) {
    let output = child.wait_with_output().await.unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    (output.status.signal(), stderr)
}

fn spawn(mut command: Command) -> Child {
    command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// A vendor that takes connections and never answers.
struct Silent(TcpListener);

impl Silent {
    async fn new() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    fn url(&self) -> String {
        format!("http://{}", self.0.local_addr().unwrap())
    }

    /// A connection on which a request has come in whole.
    async fn asked(&self) -> TcpStream {
        let (mut stream, _) = self.0.accept().await.unwrap();
        let (mut seen, mut piece) = (Vec::new(), [0; 4096]);
        while !String::from_utf8_lossy(&seen).contains(TEXT) {
            let count = stream.read(&mut piece).await.unwrap();
            assert!(count > 0, "{}", String::from_utf8_lossy(&seen));
            seen.extend_from_slice(&piece[..count]);
        }
        stream
    }
}

/// An address where nobody listens.
async fn closed() -> String {
    Silent::new().await.url()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_that_is_told_to_end_leaves_its_ticket_and_ends_by_the_signal() {
    let stage = Stage::new().await;
    let textin = stage.simulators.textin();
    textin.change_options(|options| options.in_progress_seconds = 40_000.0);
    for (signal, number) in SIGNALS {
        stage.input("notes.txt", &format!("{TEXT}{signal}"));
        let args = ["textin", "parse", "notes.txt", "-o", "notes.md", "-v"];
        let polls = textin.requests().len();
        let child = spawn(stage.command(&args));
        while textin.requests().len() < polls + 2 {
            tokio::task::yield_now().await;
        }
        send(&child, signal);
        let (by, stderr) = ended(child).await;
        assert_eq!(by, Some(number), "{signal}: {stderr}");
        let ticket = stderr.lines().last().unwrap_or_default();
        assert!(ticket.starts_with("ticket: docjobs1.textin"), "{stderr}");
    }
    assert_eq!(textin.jobs().len(), 3);
    textin.change_options(|options| options.in_progress_seconds = 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_is_told_to_end_says_what_continues_and_loses_nothing() {
    const DOCUMENTS: usize = 100;
    let stage = Stage::new().await;
    let textin = stage.simulators.textin();
    textin.change_options(|options| options.in_progress_seconds = 200.0);
    std::fs::create_dir(stage.path("in")).unwrap();
    for number in 0..DOCUMENTS {
        stage.input(&format!("in/{number:02}.txt"), &format!("{TEXT}{number}"));
    }
    let args = ["textin", "parse", "in", "--out", "out"];
    for (signal, number) in SIGNALS {
        let before = textin.jobs().len();
        let child = spawn(stage.command(&args));
        while textin.jobs().len() == before {
            tokio::task::yield_now().await;
        }
        send(&child, signal);
        let (by, stderr) = ended(child).await;
        assert_eq!(by, Some(number), "{signal}: {stderr}");
        let last = stderr.lines().last().unwrap_or_default();
        assert!(last.starts_with("100 documents: "), "{stderr}");
        assert!(last.ends_with("textin parse in --out out"), "{stderr}");
        for words in ["ticket", "tried again later"] {
            assert!(!stderr.contains(words), "{words}: {stderr}");
        }
    }
    let ran = stage.run(&args).await;
    assert_eq!(ran.exit, 0, "{}", ran.stderr);
    let results = std::fs::read_dir(stage.path("out")).unwrap();
    assert_eq!(results.count(), DOCUMENTS);
    assert_eq!(textin.charges().len(), DOCUMENTS);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_submit_that_is_cut_short_after_it_left_may_have_been_charged() {
    let (stage, vendor) = (Stage::new().await, Silent::new().await);
    stage.input("notes.txt", TEXT);
    let mut command = stage.command(&["textin", "parse", "notes.txt", "-o", "notes.md"]);
    command.env("TEXTIN_SERVER_URL", vendor.url());
    let child = spawn(command);
    let stream = vendor.asked().await;
    send(&child, "TERM");
    // It is given a moment to end by itself, which it does.
    drop(stream);
    let (by, stderr) = ended(child).await;
    assert_eq!(by, Some(15), "{stderr}");
    for words in ["may have been charged", "notes.txt", "docjobs resolve"] {
        assert!(stderr.contains(words), "{words}: {stderr}");
    }
    let ran = stage.run(&["jobs"]).await;
    assert!(ran.stdout.contains("in_doubt"), "{}", ran.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_at_once() {
    let (stage, vendor) = (Stage::new().await, Silent::new().await);
    stage.input("notes.txt", TEXT);
    let mut command = stage.command(&["textin", "parse", "notes.txt", "-o", "notes.md"]);
    command.env("TEXTIN_SERVER_URL", vendor.url());
    let mut child = spawn(command);
    let _stream = vendor.asked().await;
    let clock = SystemClock::new();
    let begun = clock.now();
    // Signals close together are one.
    while child.try_wait().unwrap().is_none() {
        send(&child, "TERM");
    }
    assert!(clock.now().since(begun) < Duration::from_secs(4));
    assert_eq!(child.wait().await.unwrap().signal(), Some(15));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_submit_that_never_left_is_said_to_have_sent_nothing_and_is_not_sent_later() {
    let stage = Stage::new().await;
    stage.input("notes.txt", TEXT);
    for (signal, number) in SIGNALS {
        let args = ["textin", "parse", "notes.txt", "-o", "notes.md", "-v"];
        let mut command = stage.command(&args);
        command
            .env("TEXTIN_SERVER_URL", closed().await)
            .env("DOCJOBS_TIME_SCALE", "1");
        let mut child = spawn(command);
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        while let Some(line) = lines.next_line().await.unwrap() {
            if line.contains("to try again") {
                break;
            }
        }
        send(&child, signal);
        let mut rest = String::new();
        lines.into_inner().read_to_string(&mut rest).await.unwrap();
        assert_eq!(child.wait().await.unwrap().signal(), Some(number));
        assert!(rest.contains("nothing was sent"), "{signal}: {rest}");
        assert!(!rest.contains("ticket"), "{signal}: {rest}");
    }
    let ran = stage.run(&["work", "--once"]).await;
    assert_eq!(ran.exit, 0, "{}", ran.stderr);
    assert!(stage.simulators.textin().jobs().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_deadline_bounds_what_comes_before_acceptance() {
    let (stage, vendor) = (Stage::new().await, Silent::new().await);
    stage.input("notes.txt", TEXT);
    let refusing = closed().await;
    let address = refusing.trim_start_matches("http://");
    for (url, exit, words) in [
        (refusing.as_str(), 8, address),
        (&vendor.url(), 5, "the deadline passed"),
    ] {
        let clock = SystemClock::new();
        let begun = clock.now();
        let ran = stage
            .run_with(
                &["textin", "parse", "notes.txt", "--deadline", "2s"],
                &[("TEXTIN_SERVER_URL", url), ("DOCJOBS_TIME_SCALE", "4")],
            )
            .await;
        assert_eq!(ran.exit, exit, "{}", ran.stderr);
        assert!(ran.stderr.contains(words), "{}", ran.stderr);
        assert!(clock.now().since(begun) < Duration::from_secs(5));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_that_was_ignored_at_the_start_stays_ignored() {
    let stage = Stage::new().await;
    let line = "trap '' HUP; exec \"$0\" \"$@\"";
    let mut shell = Command::new("sh");
    shell
        .args(["-c", line, env!("CARGO_BIN_EXE_docjobs"), "sim"])
        .env("HOME", stage.folder.path())
        .kill_on_drop(true);
    let mut sim = spawn(shell);
    let mut lines = BufReader::new(sim.stdout.take().unwrap()).lines();
    lines.next_line().await.unwrap().expect("it listens");
    send(&sim, "HUP");
    send(&sim, "INT");
    let (by, stderr) = ended(sim).await;
    assert_eq!(by, Some(2), "{stderr}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_without_a_job_ends_by_the_signal_too() {
    let stage = Stage::new().await;
    for args in [&["doctor"][..], &["printer", "list"]] {
        let cloud = Silent::new().await;
        let mut command = stage.command(args);
        command.env("WECOM_PRINTER_URL", cloud.url().replace("http", "ws"));
        let child = spawn(command);
        let (mut stream, _) = cloud.0.accept().await.unwrap();
        send(&child, "TERM");
        let (by, stderr) = ended(child).await;
        assert_eq!(by, Some(15), "{args:?}: {stderr}");
        assert!(stderr.contains("nothing was sent"), "{args:?}: {stderr}");
        drop(stream.shutdown().await);
    }
}
