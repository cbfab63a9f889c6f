//! `docjobs mcp` in front of the official Python client, where it is installed: in a virtual environment of the target
//! folder, or the interpreter that `DOCJOBS_TEST_PYTHON` names.

use std::path::PathBuf;
use std::process::Stdio;

use serde_json::Value;
use tokio::process::Command;
use vendor_sim::fault::Fault;

use crate::stage::Stage;

/// An interpreter that has the client.
async fn python() -> Option<PathBuf> {
    let python = std::env::var_os("DOCJOBS_TEST_PYTHON").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../target/venv/bin/python"),
        PathBuf::from,
    );
    let mut command = Command::new(&python);
    command.args(["-c", "import mcp"]);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let status = command.status().await.ok()?;
    status.success().then_some(python)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_official_python_client_parses_twice_and_decides_once() {
    let Some(python) = python().await else {
        eprintln!(
            "SKIPPED: no Python with the package mcp; `python3 -m venv target/venv && target/venv/bin/pip install mcp`"
        );
        return;
    };
    let stage = Stage::new().await;
    stage.input("notes.txt", "# Heading\n\nsome text\n");
    stage.input("lost.txt", "another text\n");
    stage
        .simulators
        .textin()
        .set_fault("submit", Fault::DropAfterCommit { reset: false });
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/mcp_python.py");
    let output = stage
        .foreign_command(&python)
        .arg(script)
        .arg(env!("CARGO_BIN_EXE_docjobs"))
        .arg(stage.folder.path())
        .output()
        .await
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    let parsed = &told["parsed"];
    assert_eq!(parsed["tools"], 11, "{told}");
    assert_eq!(parsed["first"]["exit_code"], 0, "{told}");
    for other in [&parsed["second"], &told["later"]] {
        assert_eq!(other["id"], parsed["first"]["id"], "{told}");
    }
    assert_eq!(parsed["page"]["text"], "# Heading\n\nsome text\n");
    assert_eq!(told["lost"]["exit_code"], 5, "{told}");
    assert_eq!(told["refused"]["exit_code"], 2, "{told}");
    assert_eq!(told["decided"]["stage"], "abandoned", "{told}");
    assert_eq!(told["asked"].as_array().map(Vec::len), Some(1), "{told}");
    assert_eq!(stage.simulators.textin().jobs().len(), 2);
}
