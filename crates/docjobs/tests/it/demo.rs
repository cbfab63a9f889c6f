//! The first command that anybody runs.

use std::process::Stdio;

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

use crate::{serve, stage};

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_needs_no_account_and_can_be_repeated() {
    let folder = tempfile::tempdir().unwrap();
    for expected in ["docjobs-demo", "docjobs-demo-2"] {
        let ran = stage::run(folder.path(), &["demo"], &[]).await;
        assert_eq!(ran.exit, 0, "{}", ran.stderr);
        let folder = folder.path().join(expected);
        for name in ["report.pptx", "report.pdf", "report.zip", "report.md"] {
            assert!(
                std::fs::metadata(folder.join(name)).unwrap().len() > 0,
                "{name}"
            );
        }
        let markdown = std::fs::read_to_string(folder.join("report.md")).unwrap();
        assert!(
            markdown.contains("It was made from this outline"),
            "{markdown}"
        );
        assert_eq!(ran.stdout.lines().count(), 6, "{}", ran.stdout);
    }
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn the_demo_shows_every_vendors_jobs_on_a_page_until_ctrl_c() {
    let folder = tempfile::tempdir().unwrap();
    let mut demo = stage::command(folder.path(), &["demo", "--serve"], &[])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(demo.stderr.take().unwrap()).lines();
    let mut site = None;
    loop {
        let line = lines.next_line().await.unwrap().expect("it goes on");
        if let Some(url) = line.strip_prefix("listening on http://") {
            site = Some(url.to_owned());
        }
        if line.starts_with("the jobs are done") {
            break;
        }
    }
    let site = site.expect("an address before the jobs are done");
    let page = serve::call(&site, "GET", "/", &[], b"").await;
    assert_eq!(page.status, 200);
    let listed = serve::call(&site, "GET", "/v1/jobs?limit=100", &[], b"").await;
    let jobs = listed.json()["jobs"].as_array().unwrap().clone();
    for vendor in ["mindshow", "ppj", "textin", "tencent-ess"] {
        assert!(
            jobs.iter()
                .any(|job| job["vendor"] == vendor && job["stage"] == "completed"),
            "{vendor}: {jobs:?}"
        );
    }
    assert!(
        jobs.iter().any(|job| job["vendor"] == "printer-jobs"),
        "{jobs:?}"
    );
    let in_doubt = jobs.iter().filter(|job| job["stage"] == "in_doubt").count();
    assert_eq!(in_doubt, 1, "{jobs:?}");
    let pid = demo.id().unwrap().to_string();
    let asked = Command::new("kill").args(["-INT", &pid]).status();
    assert!(asked.await.unwrap().success());
    let ended = demo.wait().await.unwrap();
    assert_eq!(
        std::os::unix::process::ExitStatusExt::signal(&ended),
        Some(2)
    );
}
