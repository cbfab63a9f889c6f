//! `kill -9` of a server that works, between upload and result: nothing is bought twice, nothing is lost.

use std::time::Duration;

use jobs_core::clock::{Clock as _, SystemClock};
use serde_json::json;

use super::{Part, Server};
use crate::stage::Stage;

/// How often the server is killed, unless `DOCJOBS_TEST_KILLS` says otherwise.
const KILLS: u64 = 10;

fn kills() -> u64 {
    let given = std::env::var("DOCJOBS_TEST_KILLS").ok();
    given.map_or(KILLS, |kills| kills.parse().unwrap())
}

/// Returns at another moment of a job's life each time: at once, when a submit has arrived at the vendor, when the vendor
/// has charged it, shortly after, and when it was polled; or when nothing of the kind happens for a while.
async fn reach(stage: &Stage, moment: u64) {
    const LONGEST: Duration = Duration::from_secs(3);
    const SHORTLY: Duration = Duration::from_millis(20);
    let textin = stage.simulators.textin();
    let seen = || match moment {
        0 => usize::MAX,
        1 => textin.requests().len(),
        2 | 3 => textin.charges().len(),
        _ => {
            let requests = textin.requests().into_iter();
            requests.filter(|request| request.method == "GET").count()
        }
    };
    let clock = SystemClock::new();
    let (before, end) = (seen(), clock.now() + LONGEST);
    while seen() <= before && before < usize::MAX && clock.now() < end {
        clock
            .sleep_until(clock.now() + Duration::from_millis(1))
            .await;
    }
    if moment == 3 {
        clock.sleep_until(clock.now() + SHORTLY).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_buys_nothing_twice_and_loses_nothing() {
    let kills = kills();
    let stage = Stage::new().await;
    stage
        .simulators
        .textin()
        .change_options(|options| options.in_progress_seconds = 20.0);
    for number in 0..kills {
        let mut server = Server::start(&stage, &["--work"]).await;
        let content = format!("text number {number}\n");
        let parts: [Part<'_>; 2] = [
            ("vendor", None, b"textin"),
            ("file", Some("a.txt"), content.as_bytes()),
        ];
        let submitted = server.submit("/v1/jobs", &[], &parts).await;
        assert_eq!(submitted.status, 201, "{}", submitted.text());
        reach(&stage, number % 5).await;
        server.child.kill().await.unwrap();
    }
    let server = Server::start(&stage, &["--work"]).await;
    let mut in_doubt = 0;
    for number in 0..kills {
        let content = format!("text number {number}\n");
        let parts: [Part<'_>; 2] = [
            ("vendor", None, b"textin"),
            ("file", Some("a.txt"), content.as_bytes()),
        ];
        let mut same = server.submit("/v1/jobs", &[], &parts).await.json();
        for _ in 0..120 {
            if same["stage"] == "completed" || same["stage"] == "in_doubt" {
                break;
            }
            let wait = [("Prefer", "wait=1")];
            same = server.submit("/v1/jobs", &wait, &parts).await.json();
        }
        // Whoever was killed during the paid call leaves the job to a person.
        if same["stage"] == "in_doubt" {
            in_doubt += 1;
            continue;
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
    println!(
        "{kills} kills: {} charged, {in_doubt} in doubt, 0 twice",
        files.len()
    );
    let kills = usize::try_from(kills).unwrap();
    assert!(
        files.len() + in_doubt >= kills,
        "lost: {} charged, {in_doubt} in doubt",
        files.len()
    );
    assert!(files.len() <= kills);
}
