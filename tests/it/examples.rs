//! The examples of the vendor crates, run as a reader would run them: with the environment that the simulators print.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;
use vendor_sim::Simulators;
use vendor_sim::wecom::NewJob;

const MARKDOWN: &str = "# Annual plan\n\n## Part one\n\n### Goals\n\n#### Fewer bugs\n\nWe find them before users do.\n";

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
    assert!(back.contains("We find them before users do"), "{back}");
    assert_eq!(sim.textin().charges().len(), 1);

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
