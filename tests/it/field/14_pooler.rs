//! A pooler between the commands and their database.

use std::process::Stdio;

use super::pooler::Pooler;
use super::stand_in::{Ran, StandIn, Step, Vendor};
use crate::faults::database::{Database, SERVER};

#[tokio::test(flavor = "multi_thread")]
async fn commands_at_once_work_through_a_pooler() {
    for (mode, more) in [
        ("transaction", ""),
        ("transaction", "ignore_startup_parameters = options"),
        ("session", ""),
    ] {
        let Ok(server) = std::env::var(SERVER) else {
            return;
        };
        let Some(pooler) = Pooler::start(&server, mode, more) else {
            return;
        };
        let database = Database::make(server, "pooler", "").await;
        let url = pooler.url(database.name());
        let vendor = StandIn::new(Vendor::TextIn, |_, _| None);
        let started: Vec<_> = (0..6)
            .map(|n| {
                let (input, output) = (format!("{n}.pdf"), format!("{n}.md"));
                std::fs::write(vendor.path(&input), format!("%PDF-1.4\n% {n}\n%%EOF\n")).unwrap();
                let line = ["textin", "parse", &input, "-o", &output, "--deadline", "1h"];
                let mut command = vendor.command(&line);
                command.env("DOCJOBS_LEDGER", &url);
                command.stdout(Stdio::piped()).stderr(Stdio::piped());
                command.spawn().unwrap()
            })
            .collect();
        for child in started {
            let ran = Ran::from(child.wait_with_output().unwrap());
            ran.ended(0, &[]);
        }
        assert_eq!(vendor.count(Step::Submit), 6, "{mode} {more}");
        let doctor = vendor.run_with(&["doctor"], &[("DOCJOBS_LEDGER", &url)]);
        doctor.ended(0, &[]);
        assert!(doctor.stdout.contains("through a pooler"), "{doctor:#?}");
        drop(pooler);
        database.drop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pooler_without_transactions_is_named_and_nothing_is_sent() {
    let Ok(server) = std::env::var(SERVER) else {
        return;
    };
    let Some(pooler) = Pooler::start(&server, "statement", "") else {
        return;
    };
    let database = Database::make(server, "statement", "").await;
    let url = pooler.url(database.name());
    let vendor = StandIn::new(Vendor::TextIn, |_, _| None);
    for line in [&vendor.purchase()[..], &["doctor"]] {
        let ran = vendor.run_with(line, &[("DOCJOBS_LEDGER", &url)]);
        assert_eq!(ran.exit, Some(1), "{ran:#?}");
        let said = ran.stdout.clone() + &ran.stderr;
        assert!(said.contains("statement pooling mode"), "{ran:#?}");
    }
    assert_eq!(vendor.count(Step::Submit), 0);
    drop(pooler);
    database.drop().await;
}
