//! `kill -9` of a server that works, between upload and result: nothing is bought twice, nothing is lost.

use std::time::Duration;

use jobs_core::clock::{Clock as _, SystemClock};
use serde_json::json;

use super::{Part, Server};
use crate::stage::Stage;

const KILLS: u64 = 10;

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_buys_nothing_twice_and_loses_nothing() {
    let stage = Stage::new().await;
    stage
        .simulators
        .textin()
        .change_options(|options| options.in_progress_seconds = 20.0);
    let clock = SystemClock::new();
    for number in 0..KILLS {
        let mut server = Server::start(&stage, &["--work"]).await;
        let content = format!("text number {number}\n");
        let parts: [Part<'_>; 2] = [
            ("vendor", None, b"textin"),
            ("file", Some("a.txt"), content.as_bytes()),
        ];
        let submitted = server.submit("/v1/jobs", &[], &parts).await;
        assert_eq!(submitted.status, 201, "{}", submitted.text());
        // Each at another moment of the job's life.
        clock
            .sleep_until(clock.now() + Duration::from_millis(number * 23))
            .await;
        server.child.kill().await.unwrap();
    }
    let server = Server::start(&stage, &["--work"]).await;
    let mut in_doubt = 0;
    for number in 0..KILLS {
        let content = format!("text number {number}\n");
        let parts: [Part<'_>; 2] = [
            ("vendor", None, b"textin"),
            ("file", Some("a.txt"), content.as_bytes()),
        ];
        let mut same = server
            .submit("/v1/jobs", &[("Prefer", "wait=30")], &parts)
            .await
            .json();
        // Whoever was killed during the paid call leaves the job to a person.
        if same["stage"] == "in_doubt" {
            in_doubt += 1;
            continue;
        }
        for _ in 0..4 {
            if same["stage"] == "completed" {
                break;
            }
            same = server
                .submit("/v1/jobs", &[("Prefer", "wait=30")], &parts)
                .await
                .json();
        }
        assert_eq!(same["stage"], json!("completed"), "{same}");
        let path = format!("/v1/jobs/{}/result", same["id"].as_str().unwrap());
        assert_eq!(server.get(&path).await.text(), content);
    }
    let mut files: Vec<String> = Vec::new();
    for charge in stage.simulators.textin().charges() {
        assert!(!files.contains(&charge.file_id), "bought twice");
        files.push(charge.file_id);
    }
    let kills = usize::try_from(KILLS).unwrap();
    assert!(
        files.len() + in_doubt >= kills,
        "lost: {} charged, {in_doubt} in doubt",
        files.len()
    );
    assert!(files.len() <= kills);
}
