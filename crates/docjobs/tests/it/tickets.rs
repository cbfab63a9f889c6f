//! `--no-wait`: a submit, a ticket, and nothing else; the same command says the same ticket again.

use vendor_sim::fault::Fault;

use crate::batch::{below, files, read, submits};
use crate::stage::{Ran, Stage};

/// What was printed, in the order of the inputs.
fn lines(ran: &Ran) -> Vec<String> {
    assert_eq!(ran.exit, 0, "{}", ran.stderr);
    let mut lines: Vec<String> = ran.stdout.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

#[tokio::test(flavor = "multi_thread")]
async fn each_of_many_documents_has_a_ticket_and_the_same_one_again() {
    let stage = Stage::new().await;
    files(
        &stage,
        &[
            ("in/a.txt", "# a\n"),
            ("in/b.txt", "# b\n"),
            ("in/same.txt", "# a\n"),
        ],
    );
    let textin = stage.simulators.textin();
    let command = ["textin", "parse", "in", "--no-wait"];
    let first = lines(&stage.run(&command).await);
    let inputs: Vec<&str> = first
        .iter()
        .map(|line| line.split_once("\tdocjobs1.textin.parse.").unwrap().0)
        .collect();
    assert_eq!(inputs, ["in/a.txt", "in/b.txt", "in/same.txt"]);
    // Nothing was waited for, and nothing fetched.
    assert_eq!((submits(&stage), textin.requests().len()), (2, 2));
    let ran = stage.run(&["jobs", "--json"]).await;
    assert_eq!(
        ran.stdout.matches(r#""stage":"accepted""#).count(),
        2,
        "{}",
        ran.stdout
    );

    assert_eq!(lines(&stage.run(&command).await), first);
    assert_eq!(textin.requests().len(), 2);
    let ran = stage.run(&["textin", "parse", "in", "--out", "out"]).await;
    assert_eq!(ran.exit, 0, "{}", ran.stderr);
    assert_eq!(below(&stage, "out"), ["a.md", "b.md", "same.md"]);
    let requests = textin.requests().len();
    assert_eq!(lines(&stage.run(&command).await), first);
    assert_eq!((submits(&stage), textin.requests().len()), (2, requests));

    let ticket = first[1].split('\t').nth(1).unwrap();
    let ran = stage.run(&["wait", ticket, "-o", "b.md"]).await;
    assert_eq!((ran.exit, read(&stage, "b.md").as_str()), (0, "# b\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ticket_of_a_document_is_the_only_line_however_far_its_job_is() {
    let stage = Stage::new().await;
    stage.input("a.txt", "# a\n");
    let textin = stage.simulators.textin();
    let command = ["textin", "parse", "a.txt", "--no-wait"];
    let first = lines(&stage.run(&command).await);
    assert_eq!(first.len(), 1, "{first:?}");
    // A place that is named later is remembered, and written to by whoever continues.
    let placed = [&command[..], &["-o", "a.md"]].concat();
    assert_eq!(lines(&stage.run(&placed).await), first);
    assert_eq!(textin.requests().len(), 1);
    let ran = stage.run(&["resume"]).await;
    assert_eq!(ran.exit, 0, "{}", ran.stderr);
    assert_eq!(read(&stage, "a.md"), "# a\n");
    let requests = textin.requests().len();
    assert_eq!(lines(&stage.run(&command).await), first);
    // Also where the result lies at its place.
    assert_eq!(lines(&stage.run(&placed).await), first);
    let ran = stage.run(&[&placed[..], &["--json"]].concat()).await;
    let event: serde_json::Value = serde_json::from_str(ran.stdout.trim()).unwrap();
    assert_eq!(event["ticket"], first[0].as_str(), "{}", ran.stderr);
    assert_eq!(textin.requests().len(), requests);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_create_that_was_found_has_its_ticket_too() {
    let stage = Stage::new().await;
    files(
        &stage,
        &[
            ("in/a.pptx", "PK\u{3}\u{4} a"),
            ("in/b.pptx", "PK\u{3}\u{4} b"),
        ],
    );
    let ppj = stage.simulators.ppj();
    ppj.set_fault("create", Fault::DropAfterCommit { reset: false });
    let command = ["ppj", "convert", "in", "--no-wait"];
    let first = lines(&stage.run(&command).await);
    assert_eq!(first.len(), 2, "{first:?}");
    assert_eq!(ppj.charges().len(), 2);
    assert_eq!(lines(&stage.run(&command).await), first);
}
