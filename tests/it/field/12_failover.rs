//! A database that is read-only for a while is trouble that passes, for who waits and for who works.

use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::stand_in::{JOB, StandIn, Step, Vendor, json};
use crate::clock;
use crate::faults::database::{Database, SERVER};

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_goes_on_by_itself_after_every_failover() {
    let Ok(server) = std::env::var(SERVER) else {
        return;
    };
    let database = Database::make(server, "failover", "").await;
    let url = database.url();
    let is_done = Arc::new(AtomicBool::new(false));
    let done = Arc::clone(&is_done);
    let look = format!(r#"{{"code":200,"data":{{"job_id":"{JOB}","status":"in_progress"}}}}"#);
    let vendor = StandIn::new(Vendor::TextIn, move |asked, _| {
        let runs = asked.step == Step::Poll && !done.load(Ordering::SeqCst);
        runs.then(|| json(&look))
    });
    let line = ["textin", "parse", "a.pdf", "--no-wait"];
    vendor
        .run_with(&line, &[("DOCJOBS_LEDGER", &url)])
        .ended(0, &[]);
    let stderr = vendor.path("worker.txt");
    let said = |words: &str| {
        let text = std::fs::read_to_string(&stderr).unwrap();
        text.matches(words).count()
    };
    let mut worker = vendor
        .command(&["work", "--out", "new"])
        .env("DOCJOBS_LEDGER", &url)
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(&stderr).unwrap())
        .spawn()
        .unwrap();
    clock::until(|| vendor.count(Step::Poll) > 0);
    for _ in 0..2 {
        let before = said("read-only");
        database.is_read_only(true).await;
        database.end_connections().await;
        // Longer than its lease.
        clock::until(|| said("read-only") > before + 2);
        database.is_read_only(false).await;
        let polls = vendor.count(Step::Poll);
        clock::until(|| vendor.count(Step::Poll) > polls + 1);
    }
    is_done.store(true, Ordering::SeqCst);
    let results = || std::fs::read_dir(vendor.path("new")).map_or(0, Iterator::count);
    clock::until(|| results() == 1);
    kill(
        Pid::from_raw(worker.id().try_into().unwrap()),
        Signal::SIGTERM,
    )
    .unwrap();
    worker.wait().unwrap();
    assert_eq!(said("needs attention"), 0);
    assert_eq!(vendor.count(Step::Submit), 1);
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_on_a_standby_ends_as_passing_trouble_and_says_what_it_is() {
    let Ok(server) = std::env::var(SERVER) else {
        return;
    };
    let database = Database::make(server, "standby", "").await;
    let url = database.url();
    let vendor = StandIn::new(Vendor::TextIn, |_, _| None);
    let run = |line: &[&str]| vendor.run_with(line, &[("DOCJOBS_LEDGER", &url)]);
    run(&["jobs"]).ended(0, &[]);
    database.is_read_only(true).await;
    // As trouble that may pass: the command line is not wrong.
    run(&vendor.purchase()).ended(1, &["read-only"]);
    assert_eq!(vendor.count(Step::Submit), 0);
    // What only reads needs nobody who takes writes.
    run(&["jobs"]).ended(0, &[]);
    database.is_read_only(false).await;
    let line = ["textin", "parse", "a.pdf", "-o", "r", "--deadline", "10m"];
    run(&line).ended(0, &[]);
    database.drop().await;
}
