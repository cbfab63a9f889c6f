//! What a batch and a worker say of a submit whose answer was lost or not understood.

use std::net::TcpListener;
use std::process::Command;

use serde_json::Value;

use crate::answers::{Ran, Say, Vendor, accepted, json};

const ODD: &str = r#"{"code":200,"message":"success","jobId":"16340987654321"}"#;
const BATCH: [&str; 5] = ["textin", "parse", "in", "--out", "out"];

fn vendor(submit: Say, poll: Option<Say>) -> Vendor {
    let vendor = Vendor::new(submit, poll);
    std::fs::create_dir(vendor.path("in")).unwrap();
    std::fs::write(vendor.path("in/b.pdf"), "%PDF-1.7 y").unwrap();
    vendor
}

fn said(ran: &Ran) -> String {
    format!("{}{}", ran.stdout, ran.stderr)
}

#[test]
fn a_job_in_doubt_is_told_of_as_it_was_sent_last() {
    let closed = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let nobody = closed.local_addr().unwrap().to_string();
    drop(closed);
    for was_tried_before in [true, false] {
        let vendor = vendor(Say(1, "", Vec::new()), None);
        if was_tried_before {
            let mut elsewhere = Command::new("env");
            elsewhere
                .arg(format!("TEXTIN_SERVER_URL=http://{nobody}"))
                .arg(env!("CARGO_BIN_EXE_docjobs"));
            let line = [&BATCH[..], &["--total-deadline", "2m"]].concat();
            let ran = vendor.run_by(elsewhere, &line);
            assert!([4, 8].contains(&ran.exit), "{}", said(&ran));
            let row = vendor.run(&["jobs", "--json"]).stdout;
            assert!(row.contains(&nobody), "{row}");
        }
        let ran = vendor.run(&[&BATCH[..], &["--json", "--report", "r.csv"]].concat());
        assert_eq!(ran.exit, 5, "{}", said(&ran));
        let report = std::fs::read_to_string(vendor.path("r.csv")).unwrap();
        let row = vendor.run(&["jobs", "--json"]).stdout;
        let address = vendor.address.strip_prefix("http://").unwrap();
        for text in [ran.stdout, report, row] {
            assert!(text.contains(address), "{text}");
            assert!(!text.contains(&nobody), "{text}");
            assert!(!text.contains("nothing was sent"), "{text}");
        }
        assert_eq!(vendor.submits().len(), 1);
    }
}

#[test]
fn an_answer_to_a_submit_that_was_not_understood_is_told_by_a_batch() {
    let vendor = vendor(json(ODD), None);
    let ran = vendor.run(&[&BATCH[..], &["--json"]].concat());
    assert_eq!(ran.exit, 5, "{}", said(&ran));
    assert!(ran.stderr.contains("16340987654321"), "{}", ran.stderr);
    let events = ran.stdout.lines();
    let events = events.map(|line| serde_json::from_str::<Value>(line).unwrap());
    let ended: Vec<Value> = events.filter(|event| event["event"] == "ended").collect();
    assert_eq!(ended.len(), 1, "{}", ran.stdout);
    assert_eq!(ended[0]["answer"], ODD);
    let row = vendor.run(&["jobs", "--json"]).stdout;
    assert!(row.contains("16340987654321"), "{row}");
}

#[test]
fn an_answer_to_a_submit_that_was_not_understood_is_told_by_a_worker() {
    let vendor = vendor(json(ODD), None);
    let ran = vendor.run(&["textin", "parse", "a.pdf", "--enqueue"]);
    assert_eq!(ran.exit, 0, "{}", said(&ran));
    let ran = vendor.run(&["work", "--once"]);
    assert_eq!(ran.exit, 5, "{}", said(&ran));
    assert!(ran.stderr.contains("16340987654321"), "{}", ran.stderr);
    let row = vendor.run(&["jobs", "--json"]).stdout;
    assert!(row.contains("16340987654321"), "{row}");
}

/// A poll that is refused says nothing of the submit.
#[test]
fn a_refused_poll_leaves_the_job_unfinished_at_every_door() {
    for code in [40004, 40007, 40400] {
        let refused = json(format!(
            r#"{{"code":{code},"message":"Parameter error","data":{{"message":"no such job"}}}}"#
        ));
        let vendor = vendor(accepted(), Some(refused));
        let ran = vendor.parse(&[]);
        assert_eq!(ran.exit, 4, "{code}: {}", said(&ran));
        assert!(ran.stderr.contains("ticket: "), "{code}: {}", ran.stderr);
        assert_eq!(vendor.submits().len(), 1);
        if code != 40004 {
            continue;
        }
        let batch = [&BATCH[..], &["--deadline", "20s"]].concat();
        for line in [
            &["resume", "--deadline", "20s"][..],
            &batch,
            &["work", "--once"],
        ] {
            let ran = vendor.run(line);
            assert_eq!(ran.exit, 4, "{line:?}: {}", said(&ran));
        }
    }
}

#[test]
fn an_input_that_was_changed_is_no_bad_usage_of_a_worker() {
    let vendor = vendor(accepted(), None);
    let ran = vendor.run(&["textin", "parse", "a.pdf", "--enqueue"]);
    assert_eq!(ran.exit, 0, "{}", said(&ran));
    std::fs::write(vendor.path("a.pdf"), "%PDF-1.7 changed").unwrap();
    for line in [
        &["work", "--once"][..],
        &["resume"],
        &["resume", "--out", "o"],
    ] {
        let ran = vendor.run(line);
        let expected = if line == ["resume"] { 4 } else { 1 };
        assert_eq!(ran.exit, expected, "{line:?}: {}", said(&ran));
    }
    assert_eq!(vendor.submits().len(), 0);
}
