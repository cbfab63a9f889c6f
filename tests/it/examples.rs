//! The examples of the vendor crates, run as a reader would run them: with the environment that the simulators print.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use vendor_sim::Simulators;
use vendor_sim::wecom::NewJob;

const MARKDOWN: &str = "# Annual plan\n\n## Part one\n\n### Goals\n\n#### Fewer bugs\n\nWe find them before users do.\n";

const WORDS: &str = "We find them before users do";

struct Stage {
    simulators: Simulators,
    folder: TempDir,
    programs: Vec<(String, PathBuf)>,
}

impl Stage {
    async fn new() -> Self {
        Self {
            simulators: crate::simulators().await,
            folder: tempfile::tempdir().unwrap(),
            programs: tokio::task::spawn_blocking(programs).await.unwrap(),
        }
    }

    /// What the example prints; it has nothing but the simulators' variables.
    async fn run(&self, example: &str, words: &[&str]) -> String {
        let program = self.programs.iter().find(|(name, _)| name == example);
        let mut command = Command::new(&program.expect(example).1);
        command
            .args(words)
            .current_dir(self.folder.path())
            .env_clear()
            .envs(self.simulators.env());
        let output = tokio::task::spawn_blocking(move || command.output().unwrap())
            .await
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{example}: {errors}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

/// Builds the examples, which costs nothing when `cargo test --workspace` has, and tells where they are.
pub(crate) fn programs() -> Vec<(String, PathBuf)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let output = Command::new(env!("CARGO"))
        .args([
            "build",
            "--workspace",
            "--examples",
            "--message-format=json-render-diagnostics",
        ])
        .current_dir(root)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let lines = String::from_utf8(output.stdout).unwrap();
    lines
        .lines()
        .filter_map(|line| {
            let line: Value = serde_json::from_str(line).unwrap();
            let name = line["target"]["name"].as_str()?;
            Some((name.to_owned(), line["executable"].as_str()?.into()))
        })
        .collect()
}

fn size(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |file| file.len())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_example_runs_against_the_simulators_and_pays_once() {
    let stage = Stage::new().await;
    let sim = &stage.simulators;
    std::fs::write(stage.path("plan.md"), MARKDOWN).unwrap();

    let said = stage
        .run("deck", &["plan.md", "plan.pptx", "plan.pdf"])
        .await;
    assert!(said.contains("in plan.pptx"), "{said}");
    let creates = sim.mindshow().jobs().len();
    assert_eq!(creates, 1);
    assert!(size(&stage.path("plan.pdf")) > 0, "{said}");

    let said = stage.run("bundle", &["plan.pptx", "plan.zip"]).await;
    assert!(said.contains("files in plan.zip"), "{said}");
    assert!(stage.path("plan").is_dir(), "{said}");
    assert_eq!(sim.ppj().charges().len(), 1);

    let said = stage.run("parse", &["plan.pdf", "back.md"]).await;
    assert!(said.contains("Markdown in back.md"), "{said}");
    let back = std::fs::read_to_string(stage.path("back.md")).unwrap();
    assert!(back.contains(WORDS), "{back}");
    assert_eq!(sim.textin().charges().len(), 1);
    let ticket = said.lines().find_map(|line| line.strip_prefix("ticket: "));
    let said = stage.run("resume", &[ticket.expect(&said)]).await;
    assert!(said.contains(WORDS), "{said}");
    assert_eq!(sim.textin().charges().len(), 1);

    let said = stage.run("markdown", &["plan.pdf"]).await;
    assert!(said.contains(WORDS), "{said}");
    assert_eq!(sim.textin().charges().len(), 2);

    std::fs::write(stage.path("one.txt"), "The first of two.").unwrap();
    std::fs::write(stage.path("two.txt"), "The second of two.").unwrap();
    stage.run("fleet", &["one.txt", "two.txt"]).await;
    for (name, words) in [("one", "The first"), ("two", "The second")] {
        let path = stage.path(&format!("{name}.txt.md"));
        let markdown = std::fs::read_to_string(path).unwrap();
        assert!(markdown.contains(words), "{markdown}");
    }
    assert_eq!(sim.textin().charges().len(), 4);

    for _ in 0..2 {
        stage.run("durable", &["plan.pdf", "durable.md"]).await;
        let markdown = std::fs::read_to_string(stage.path("durable.md")).unwrap();
        assert!(markdown.contains(WORDS), "{markdown}");
        assert_eq!(sim.textin().charges().len(), 5);
    }

    let contract = "<html><body><p>Clause 1.</p></body></html>";
    std::fs::write(stage.path("contract.html"), contract).unwrap();
    let said = stage.run("signable", &["contract.html"]).await;
    let id = said
        .lines()
        .find_map(|line| line.strip_prefix("resource id: "));
    assert!(sim.tencent().pdf(id.expect(&said)).is_some(), "{said}");
    assert_eq!(sim.tencent().tasks().len(), 1);

    let printer = sim.wecom();
    printer.add_job(NewJob::pdf_of("invitation.docx", "You are invited."));
    printer.add_job(NewJob::jpg_of("holiday.jpg", 2));
    printer.add_job(NewJob::pdf("lost.pdf", Vec::new()));
    let said = stage.run("print", &["spool"]).await;
    assert_eq!(printer.reports().len(), 3, "{said}");
    let files = std::fs::read_dir(stage.path("spool")).unwrap().count();
    assert_eq!(files, 3, "{said}"); // one document, two pictures, nothing of the broken one
}

/// The status of an answer, and its body.
async fn call(address: &str, head: &str, body: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let length = body.len();
    let text = format!(
        "{head} HTTP/1.1\r\nhost: {address}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    );
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap();
    (status.to_owned(), body.to_owned())
}

#[tokio::test]
async fn the_example_of_webhooks_answers_vendors_and_refuses_forgers() {
    let programs = tokio::task::spawn_blocking(programs).await.unwrap();
    let program = programs.iter().find(|(name, _)| name == "webhooks");
    let mut child = Command::new(&program.unwrap().1)
        .arg("s3cr3t")
        .env("PPJ_APP_SECRET", "app-secret")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(child.stdout.take().unwrap());
    let mut line = || {
        let mut line = String::new();
        said.read_line(&mut line).unwrap();
        line.trim().to_owned()
    };
    let address = line();
    let body = r#"{"job_id":"j1","status":"completed"}"#;
    let answer = call(&address, "POST /textin/s3cr3t", body).await;
    assert_eq!(answer, ("200".to_owned(), "{}".to_owned()));
    assert_eq!(line(), "textin j1");
    let (status, _) = call(&address, "POST /textin/guessed", body).await;
    assert_eq!(status, "404");
    let (status, _) = call(&address, "GET /ppj?token=8v9iSKnj&type=complete", "").await;
    assert_eq!(status, "403", "a notice without a signature");
    let (status, body) = call(&address, "GET /ppj?nonce=n1&type=verify", "").await;
    assert_eq!(
        (status.as_str(), body.as_str()),
        ("200", r#"{"nonce":"n1"}"#)
    );
    child.kill().unwrap();
    child.wait().unwrap();
}
