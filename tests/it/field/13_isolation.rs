//! Whatever isolation a database gives its sessions by default, ours is our own.

use std::process::Stdio;

use super::stand_in::{Ran, StandIn, Step, Vendor};
use crate::faults::database::{Database, SERVER};

#[tokio::test(flavor = "multi_thread")]
async fn commands_at_once_on_a_serializable_database_disturb_each_other_in_nothing() {
    let Ok(server) = std::env::var(SERVER) else {
        return;
    };
    let database = Database::make(server, "isolation", "").await;
    database
        .set("default_transaction_isolation", "serializable")
        .await;
    let url = database.url();
    let vendor = StandIn::new(Vendor::TextIn, |_, _| None);
    let at_once = |lines: Vec<Vec<String>>| -> Vec<Ran> {
        let started: Vec<_> = lines
            .iter()
            .map(|line| {
                let line: Vec<&str> = line.iter().map(String::as_str).collect();
                let mut command = vendor.command(&line);
                command.env("DOCJOBS_LEDGER", &url);
                command.stdout(Stdio::piped()).stderr(Stdio::piped());
                command.spawn().unwrap()
            })
            .collect();
        let ended = started
            .into_iter()
            .map(|child| child.wait_with_output().unwrap());
        ended.map(Ran::from).collect()
    };
    // The first openings, which make the layout.
    for ran in at_once(vec![vec!["jobs".to_owned()]; 6]) {
        ran.ended(0, &[]);
    }
    let lines = (0..8).map(|n| {
        let name = format!("{n}.pdf");
        std::fs::write(vendor.path(&name), format!("%PDF-1.4\n% {n}\n%%EOF\n")).unwrap();
        ["textin", "parse", &name, "--no-wait"]
            .map(str::to_owned)
            .to_vec()
    });
    for ran in at_once(lines.collect()) {
        ran.ended(0, &[]);
    }
    assert_eq!(vendor.count(Step::Submit), 8);
    database.drop().await;
}
