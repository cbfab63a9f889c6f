//! What is written to a database goes there encrypted, stays on this machine, or is named by `doctor`.

use super::stand_in::{StandIn, Vendor};
use crate::faults::database::{Database, SERVER};

#[tokio::test(flavor = "multi_thread")]
async fn doctor_names_plain_text_to_a_database_elsewhere_and_none_to_one_that_is_near() {
    let Ok(server) = std::env::var(SERVER) else {
        return;
    };
    let database = Database::make(server, "plain", "").await;
    let near = format!("{}?sslmode=disable", database.url());
    // Leads to this machine, and is none of its loopback addresses.
    let elsewhere = near.replace("@127.0.0.1:", "@0.0.0.0:");
    assert_ne!(near, elsewhere);
    let vendor = StandIn::new(Vendor::TextIn, |_, _| None);
    for (url, is_named) in [(near, false), (elsewhere, true)] {
        let doctor = vendor.run_with(&["doctor"], &[("DOCJOBS_LEDGER", &url)]);
        doctor.ended(0, &[]);
        let line = doctor
            .stdout
            .lines()
            .find(|line| line.starts_with("ledger "))
            .unwrap();
        assert!(line.contains("ready: postgres"), "{line}");
        assert_eq!(line.contains("in plain text"), is_named, "{url}: {line}");
        assert_eq!(line.contains("sslmode=verify-full"), is_named, "{line}");
    }
    database.drop().await;
}
