//! A completed job whose result is wanted once more, and one whose result passes the check of another format.

use std::process::{Command, Stdio};

use serde_json::Value;

use crate::answers::{ID, Ran, Say, Vendor, accepted, json};

const RESULT: &str = r##"{"elements":[],"markdown":"# ok"}"##;
const AS_MARKDOWN: [&str; 5] = ["textin", "parse", "a.pdf", "-o", "r.md"];
const AS_JSON: [&str; 7] = [
    "textin", "parse", "a.pdf", "-o", "r.json", "--format", "json",
];

/// A vendor whose job is completed, and its result at `r.md`.
fn delivered() -> Vendor {
    let vendor = Vendor::new(accepted(), None);
    let ran = vendor.run(&AS_MARKDOWN);
    assert_eq!(ran.exit, 0, "{}", ran.stderr);
    vendor
}

fn job(vendor: &Vendor) -> Value {
    let ran = vendor.run(&["jobs", "--json"]);
    serde_json::from_str(ran.stdout.trim()).unwrap()
}

fn is_as_before(vendor: &Vendor) {
    let job = job(vendor);
    assert_eq!(job["stage"], "completed", "{job}");
    assert!(job["output"].as_str().unwrap().ends_with("/r.md"), "{job}");
    assert_eq!(job["error"], Value::Null, "{job}");
    assert_eq!(vendor.submits().len(), 1);
}

fn read(vendor: &Vendor, name: &str) -> String {
    std::fs::read_to_string(vendor.path(name)).unwrap()
}

#[test]
fn a_job_that_cannot_be_delivered_once_more_stays_completed() {
    let vendor = delivered();
    let refused = "<Error><Code>AccessDenied</Code><Message>Request has expired.</Message></Error>";
    let refused = Say(403, "Content-Type: application/xml", refused.into());
    vendor.says(None, refused);
    let ran = vendor.run(&[&AS_JSON[..], &["--deadline", "30s"]].concat());
    assert_eq!(ran.exit, 4, "{}", ran.stderr);
    for words in ["AccessDenied", "a new one costs 1 page", "--again"] {
        assert!(ran.stderr.contains(words), "{words}: {}", ran.stderr);
    }
    is_as_before(&vendor);
    let asked = vendor.requests();
    for line in [&AS_MARKDOWN[..], &["resume"], &["work", "--once"]] {
        let ran = vendor.run(line);
        assert_eq!(ran.exit, 0, "{line:?}: {}", ran.stderr);
    }
    assert_eq!(vendor.requests(), asked);
    is_as_before(&vendor);
}

#[test]
fn a_job_that_the_vendor_no_longer_knows_stays_completed_and_what_a_new_one_costs_is_said() {
    let gone = r#"{"code":200,"data":{"job_id":"0123456789abcdef0123456789abcdef","status":"failed","message":"expired"}}"#;
    let unknown = r#"{"code":40004,"message":"Parameter error","data":{"message":"no such job"}}"#;
    for (poll, exit) in [(unknown, 4), (gone, 3)] {
        let vendor = delivered();
        std::fs::remove_file(vendor.path("r.md")).unwrap();
        vendor.says(Some(json(poll)), json(RESULT));
        let ran = vendor.run(&[&AS_MARKDOWN[..], &["--deadline", "60s"]].concat());
        assert_eq!(ran.exit, exit, "{}", ran.stderr);
        assert!(
            ran.stderr.contains("a new one costs 1 page"),
            "{}",
            ran.stderr
        );
        is_as_before(&vendor);
    }
}

#[test]
fn a_second_delivery_that_was_killed_leaves_the_first_one() {
    for door in ["work", "resume", "same"] {
        let vendor = delivered();
        vendor.says(None, Say(0, "", Vec::new()));
        let asked = vendor.requests();
        let mut shell = Command::new("sh");
        shell.args(["-c", "\"$@\" & echo $! > pid; wait", "sh"]);
        shell
            .arg(env!("CARGO_BIN_EXE_docjobs"))
            .stdout(Stdio::null());
        std::thread::scope(|scope| {
            let second = scope.spawn(|| vendor.run_by(shell, &AS_JSON));
            // A poll, and the request for the result.
            while vendor.requests() < asked + 2 {
                std::thread::yield_now();
            }
            let pid = read(&vendor, "pid");
            let killed = Command::new("kill").args(["-9", pid.trim()]).status();
            assert!(killed.unwrap().success());
            let _: Ran = second.join().unwrap();
        });
        assert_ne!(job(&vendor)["stage"], "completed");
        let asked = vendor.requests();
        let line = match door {
            "work" => &["work", "--once"][..],
            "resume" => &["resume"],
            _ => &AS_MARKDOWN,
        };
        let ran = vendor.run(line);
        assert_eq!(ran.exit, 0, "{door}: {}", ran.stderr);
        assert_eq!(
            (ran.stdout.as_str(), vendor.requests()),
            ("", asked),
            "{door}"
        );
        is_as_before(&vendor);
        let json_result = json(RESULT);
        vendor.says(None, json_result);
        let ran = vendor.run(&AS_JSON);
        assert_eq!(ran.exit, 0, "{door}: {}", ran.stderr);
        assert_eq!(read(&vendor, "r.json"), RESULT);
        assert_eq!(
            (read(&vendor, "r.md").as_str(), vendor.submits().len()),
            ("# ok", 1)
        );
    }
}

#[test]
fn a_result_that_fails_as_markdown_is_had_as_json() {
    let result = r#"{"elements":[{"text":"x"}]}"#;
    for door in [
        &AS_JSON[..],
        &["wait", ID, "-o", "r.json", "--format", "json"],
    ] {
        let vendor = Vendor::serving(accepted(), None, json(result));
        let ran = vendor.run(&AS_MARKDOWN);
        assert_eq!(ran.exit, 4, "{}", ran.stderr);
        let ran = vendor.run(door);
        assert_eq!(ran.exit, 0, "{door:?}: {}", ran.stderr);
        assert_eq!(read(&vendor, "r.json"), result);
        // As Markdown it is not asked for again, and it is there as JSON all the same.
        let asked = vendor.requests();
        let ran = vendor.run(&AS_MARKDOWN);
        assert_eq!(ran.exit, 4, "{}", ran.stderr);
        assert!(ran.stderr.contains("r.md.unverified"), "{}", ran.stderr);
        assert_eq!(vendor.run(door).exit, 0);
        assert_eq!((vendor.requests(), vendor.submits().len()), (asked, 1));
        assert_eq!(job(&vendor)["stage"], "completed");
    }
}
