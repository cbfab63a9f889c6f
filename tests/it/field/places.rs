//! Whoever may write the database could name any file of those who work on its jobs.

use super::stand_in::{Ran, StandIn, Vendor};
use crate::faults::database::{Database, SERVER};

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_writes_to_its_own_users_places_and_below_its_folder() {
    let Ok(server) = std::env::var(SERVER) else {
        return;
    };
    let database = Database::make(server, "places", "").await;
    let url = database.url();
    let vendor = StandIn::new(Vendor::TextIn, |_, _| None);
    let run = |home: &str, line: &[&str]| -> Ran {
        std::fs::create_dir_all(vendor.path(home)).unwrap();
        let mut command = vendor.command(line);
        command
            .env("DOCJOBS_LEDGER", &url)
            .env("HOME", vendor.path(home));
        command.output().unwrap().into()
    };
    let submit = |home: &str, name: &str| {
        let (input, output) = (format!("{name}.pdf"), format!("{home}-out/{name}.md"));
        std::fs::create_dir_all(vendor.path(&format!("{home}-out"))).unwrap();
        std::fs::write(vendor.path(&input), format!("%PDF-1.4\n% {name}\n%%EOF\n")).unwrap();
        run(
            home,
            &["textin", "parse", &input, "-o", &output, "--no-wait"],
        )
        .ended(0, &[]);
        vendor.path(&output)
    };
    let files = |folder: &str| -> Vec<String> {
        let entries = std::fs::read_dir(vendor.path(folder)).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.collect()
    };
    // Somebody else's place: the result is had, and lies where this worker was told.
    let asked = submit("ann", "one");
    run("bob", &["work", "--once", "--out", "bob-out"]).ended(0, &[]);
    assert!(!asked.exists());
    assert_eq!(files("bob-out").len(), 1, "{:?}", files("bob-out"));
    // One's own, wherever it is.
    let asked = submit("ann", "two");
    run("ann", &["work", "--once", "--out", "elsewhere"]).ended(0, &[]);
    assert!(asked.exists());
    assert_eq!(files("elsewhere"), Vec::<String>::new());
    // Below the folder that the worker was told, as on a disk that both share.
    let asked = submit("ann", "three");
    let shared = vendor.path("ann-out");
    run(
        "bob",
        &["work", "--once", "--out", shared.to_str().unwrap()],
    )
    .ended(0, &[]);
    assert!(asked.exists());
    assert_eq!(files("bob-out").len(), 1);
    // A person who resumes somebody else's job is asked for a place.
    let asked = submit("ann", "four");
    run("bob", &["resume"]).ended(4, &["awaits a place"]);
    assert!(!asked.exists());
    run("ann", &["resume"]).ended(0, &[]);
    assert!(asked.exists());
    database.drop().await;
}
