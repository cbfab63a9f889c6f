//! The API table, row by row.

use std::collections::HashSet;
use std::num::NonZeroU32;
use std::time::Duration;

use jobs_core::clock::SystemClock;

use jobs_core::vendor::{Account, Acquired, RateLimit};
use jobs_ledger::{ClaimOutcome, Claimed, Estimate, Intent, Ledger};
use serde_json::{Value, json};
use vendor_sim::fault::Fault;
use vendor_sim::textin::Outcome;

use super::{Answer, Part, Server};
use crate::stage::Stage;

const JSON: (&str, &str) = ("Content-Type", "application/json");
/// The longest that a test waits for a job.
const WAIT: (&str, &str) = ("Prefer", "wait=60");

/// The parts of a document for TextIn.
fn document<'a>(name: &'a str, content: &'a str) -> Vec<Part<'a>> {
    vec![
        ("vendor", None, b"textin"),
        ("file", Some(name), content.as_bytes()),
    ]
}

fn id(answer: &Answer) -> String {
    answer.json()["id"]
        .as_str()
        .unwrap_or_else(|| panic!("{answer:?}"))
        .to_owned()
}

async fn submit(server: &Server, name: &str, content: &str) -> Answer {
    server
        .submit("/v1/jobs", &[WAIT], &document(name, content))
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_becomes_one_job_and_the_same_one_attaches() {
    let stage = Stage::new().await;
    let server = Server::start(&stage, &["--work"]).await;
    let first = submit(&server, "报告 <b>.txt", "some text\n").await;
    assert_eq!(first.status, 201, "{}", first.text());
    let job = first.json();
    assert_eq!(
        (&job["stage"], &job["vendor"], &job["kind"]),
        (&json!("completed"), &json!("textin"), &json!("parse"))
    );
    assert_eq!(job["input"], "报告 <b>.txt");
    assert_eq!(
        first.header("location"),
        Some(&*format!("/v1/jobs/{}", id(&first)))
    );
    assert_eq!(first.header("preference-applied"), Some("wait=60"));
    assert!(job["poll"]["count"].as_u64().unwrap() > 0, "{job}");
    for key in [
        "id",
        "vendor",
        "kind",
        "stage",
        "remote_id",
        "ticket",
        "input",
        "output",
        "created_at",
        "updated_at",
        "credits",
        "error",
        "blocked_until",
    ] {
        assert!(job.get(key).is_some(), "{key}");
    }

    // Under another name it is the same document.
    let again = submit(&server, "other.txt", "some text\n").await;
    assert_eq!((again.status, id(&again)), (200, id(&first)));
    assert_eq!(stage.simulators.textin().charges().len(), 1);

    let result = server.get(&format!("/v1/jobs/{}/result", id(&first))).await;
    assert_eq!((result.status, result.text()), (200, "some text\n"));
    assert_eq!(
        result.header("content-type"),
        Some("text/markdown; charset=utf-8")
    );
    assert_eq!(result.header("x-content-type-options"), Some("nosniff"));
    assert!(
        result
            .header("content-disposition")
            .unwrap()
            .starts_with("attachment")
    );
    assert_eq!(result.header("content-length"), Some("10"));
    let etag = result.header("etag").unwrap();
    let path = format!("/v1/jobs/{}/result", id(&first));
    let known = server
        .call("GET", &path, &[("If-None-Match", etag)], b"")
        .await;
    assert_eq!((known.status, known.body.len()), (304, 0));
    let part = server
        .call("GET", &path, &[("Range", "bytes=5-8")], b"")
        .await;
    assert_eq!((part.status, part.text()), (206, "text"));
    assert_eq!(part.header("content-range"), Some("bytes 5-8/10"));
    let none = server
        .call("GET", &path, &[("Range", "bytes=10-")], b"")
        .await;
    assert_eq!(
        (none.status, none.header("content-range")),
        (416, Some("bytes */10"))
    );
    let head = server.call("HEAD", &path, &[], b"").await;
    assert_eq!(
        (head.status, head.header("content-length"), head.body.len()),
        (200, Some("10"), 0)
    );
    let bad = server.get(&format!("{path}?format=docx")).await;
    assert_eq!((bad.status, &*bad.problem()), (400, "bad-request"));
    let other = server.get(&format!("{path}?format=json")).await;
    assert_eq!(other.status, 200, "{}", other.text());
    assert!(other.json().is_object());
    assert_ne!(other.header("etag").unwrap(), etag);
    assert_eq!(stage.simulators.textin().charges().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_calls_with_the_same_document_at_once_make_one_job() {
    let stage = Stage::new().await;
    let server = Server::start(&stage, &["--work"]).await;
    let content = "x".repeat(90_000);
    let calls = (0..8).map(|_| submit(&server, "a.txt", &content));
    let answers = futures_util::future::join_all(calls).await;
    let new = answers.iter().filter(|answer| answer.status == 201).count();
    let told: Vec<(u16, &str)> = answers
        .iter()
        .map(|answer| (answer.status, answer.text()))
        .collect();
    assert_eq!(new, 1, "{told:?}");
    assert!(answers.iter().all(|answer| id(answer) == id(&answers[0])));
    assert_eq!(stage.simulators.textin().charges().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_makes_no_sense_is_refused_and_nothing_is_bought() {
    let stage = Stage::new().await;
    let server = Server::start(&stage, &["--work", "--max-upload", "1MB"]).await;
    let file: Part<'_> = ("file", Some("a.txt"), b"some text");
    let vendor: Part<'_> = ("vendor", None, b"textin");
    for (parts, status, slug) in [
        (
            vec![vendor, file, ("colour", None, b"red")],
            400,
            "bad-request",
        ),
        (vec![vendor], 400, "bad-request"),
        (
            vec![vendor, file, ("url", None, b"https://h/a.pdf")],
            400,
            "bad-request",
        ),
        (
            vec![vendor, ("file", None, b"some text")],
            400,
            "bad-request",
        ),
        (vec![vendor, vendor, file], 400, "bad-request"),
        (
            vec![vendor, ("url", None, b"ftp://h/a.pdf")],
            400,
            "bad-request",
        ),
        (vec![("vendor", None, b"nobody"), file], 400, "bad-request"),
        (
            vec![vendor, ("kind", None, b"nothing"), file],
            400,
            "bad-request",
        ),
        // Several kinds take a text.
        (vec![file], 400, "bad-request"),
        (
            vec![vendor, file, ("options", None, b"[]")],
            400,
            "bad-request",
        ),
        (
            vec![vendor, file, ("options", None, b"{")],
            400,
            "bad-request",
        ),
        (
            vec![vendor, file, ("options", None, b"{\"colour\":1}")],
            400,
            "bad-request",
        ),
        (
            vec![
                vendor,
                file,
                ("options", None, b"{\"password_file\":\"/etc/passwd\"}"),
            ],
            400,
            "bad-request",
        ),
        (
            vec![vendor, ("file", Some("a.exe"), b"MZ")],
            415,
            "unsupported-type",
        ),
        (vec![vendor, ("again", None, b"nothing")], 404, "not-found"),
    ] {
        let answer = server.submit("/v1/jobs", &[], &parts).await;
        assert_eq!(
            (answer.status, &*answer.problem()),
            (status, slug),
            "{parts:?}: {}",
            answer.text()
        );
    }
    let several = server.submit("/v1/jobs", &[], &[file]).await;
    for name in ["vendor=textin kind=parse", "vendor=tencent-ess"] {
        assert!(several.text().contains(name), "{}", several.text());
    }
    let large = vec![b'x'; 1_000_001];
    let answer = server
        .submit("/v1/jobs", &[], &[vendor, ("file", Some("a.txt"), &large)])
        .await;
    assert_eq!((answer.status, &*answer.problem()), (413, "too-large"));
    let huge = [
        ("Content-Length", "9000000000"),
        ("Content-Type", "multipart/form-data; boundary=x"),
    ];
    let mut head = format!(
        "POST /v1/jobs HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n",
        server.address
    );
    for (name, value) in huge {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    assert_eq!(
        server.raw(format!("{head}\r\n").as_bytes()).await.status,
        413
    );
    let answer = server.post("/v1/jobs", &[JSON], b"{}").await;
    assert_eq!(
        (answer.status, &*answer.problem()),
        (415, "unsupported-type")
    );
    // A body that is cut.
    let cut =
        b"--XyZ\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\n\r\nhalf";
    let kind = [("Content-Type", "multipart/form-data; boundary=XyZ")];
    assert_eq!(server.post("/v1/jobs", &kind, cut).await.status, 400);
    assert_eq!(server.get("/v1/jobs").await.json()["jobs"], json!([]));
    assert!(stage.simulators.textin().charges().is_empty());
    let uploads = walk(&format!("{}.spool/uploads", stage.ledger_path()));
    assert!(
        uploads.iter().all(|path| path.ends_with(".lock")),
        "{uploads:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_may_be_as_long_as_the_server_was_told_and_no_longer() {
    const MIB: usize = 1024 * 1024;
    let stage = Stage::new().await;
    let server = Server::start(&stage, &["--max-upload", "4MB"]).await;
    let mut pdf = b"%PDF-1.7\n".to_vec();
    pdf.resize(9 * MIB, b'x');
    for (path, length, status) in [
        ("/v1/jobs", 3 * MIB, 201),
        ("/v1/jobs", 5 * MIB, 413),
        ("/v1/jobs", 9 * MIB, 413),
        ("/v1/parse", 5 * MIB, 413),
    ] {
        let parts: [Part<'_>; 2] = [
            ("vendor", None, b"textin"),
            ("file", Some("a.pdf"), &pdf[..length]),
        ];
        let answer = server.submit(path, &[], &parts).await;
        assert_eq!(answer.status, status, "{path} {length}: {}", answer.text());
        if status == 413 {
            assert_eq!(answer.problem(), "too-large");
        }
    }
    assert_eq!(
        server.get("/v1/jobs").await.json()["jobs"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_or_query_that_is_no_text_is_a_problem_like_any_other() {
    let stage = Stage::new().await;
    let server = Server::start(&stage, &[]).await;
    for path in [
        "/v1/jobs/%ff",
        "/v1/jobs/%ff/result",
        "/v1/budgets/%ff",
        "/v1/jobs?vendor=%00",
        "/v1/hooks?vendor=%00",
    ] {
        let answer = server.get(path).await;
        assert_eq!(
            (answer.status, &*answer.problem()),
            (400, "bad-request"),
            "{path}"
        );
    }
}

/// All files below a folder.
fn walk(folder: &str) -> Vec<String> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path().display().to_string();
        if entry.path().is_dir() {
            files.extend(walk(&path));
        } else {
            files.push(path);
        }
    }
    files
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_are_gone_when_their_job_is_settled() {
    let stage = Stage::new().await;
    let spool = format!("{}.spool/uploads", stage.ledger_path());
    let server = Server::start(&stage, &[]).await;
    let waiting = server
        .submit("/v1/jobs", &[], &document("a.txt", "some text\n"))
        .await;
    assert_eq!(
        (waiting.status, &waiting.json()["stage"]),
        (201, &json!("intended"))
    );
    let kept = |files: Vec<String>| {
        files
            .into_iter()
            .filter(|path| path.ends_with("a.txt"))
            .count()
    };
    assert_eq!(kept(walk(&spool)), 1);
    // The same once more does not stay.
    server
        .submit("/v1/jobs", &[], &document("a.txt", "some text\n"))
        .await;
    assert_eq!(kept(walk(&spool)), 1);
    let ran = stage.run(&["work", "--once", "--out", "results"]).await;
    assert_eq!(ran.exit, 0, "{}", ran.stderr);
    for _ in 0..400 {
        if kept(walk(&spool)) == 0 {
            break;
        }
        server.get("/healthz").await;
        tokio::task::yield_now().await;
    }
    let job = server.get(&format!("/v1/jobs/{}", id(&waiting))).await;
    assert_eq!(job.json()["stage"], "completed");
    let result = server
        .get(&format!("/v1/jobs/{}/result", id(&waiting)))
        .await;
    assert_eq!((result.status, result.text()), (200, "some text\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_takes_every_filter_and_its_cursor_is_stable() {
    let stage = Stage::new().await;
    let server = Server::start(&stage, &[]).await;
    for number in 0..5 {
        let (name, content) = (format!("{number}.txt"), format!("text {number}\n"));
        assert_eq!(
            server
                .submit("/v1/jobs", &[], &document(&name, &content))
                .await
                .status,
            201
        );
    }
    let inputs = |answer: &Answer| -> Vec<String> {
        let jobs = answer.json()["jobs"].clone();
        jobs.as_array()
            .unwrap()
            .iter()
            .map(|job| job["input"].as_str().unwrap().to_owned())
            .collect()
    };
    let first = server.get("/v1/jobs?limit=2").await;
    assert_eq!(inputs(&first), ["4.txt", "3.txt"]);
    let next = first.json()["next"].as_str().unwrap().to_owned();
    server
        .submit("/v1/jobs", &[], &document("5.txt", "text 5\n"))
        .await;
    let second = server.get(&format!("/v1/jobs?limit=2&after={next}")).await;
    assert_eq!(inputs(&second), ["2.txt", "1.txt"]);
    for (query, wanted) in [
        ("stage=intended&input=0.txt", vec!["0.txt"]),
        ("stage=completed,failed", vec![]),
        ("vendor=ppj", vec![]),
        ("vendor=textin&input=5", vec!["5.txt"]),
        ("since=2099-01-01", vec![]),
        ("until=2020-01-01T00:00:00Z", vec![]),
        ("error=no", vec![]),
    ] {
        let answer = server.get(&format!("/v1/jobs?{query}")).await;
        assert_eq!(
            (answer.status, inputs(&answer)),
            (200, wanted.iter().map(|name| (*name).to_owned()).collect()),
            "{query}"
        );
    }
    for query in [
        "stage=odd",
        "limit=0",
        "limit=1001",
        "colour=red",
        "since=yesterday",
        "after=odd",
        "vendor=a&vendor=b",
    ] {
        let answer = server.get(&format!("/v1/jobs?{query}")).await;
        assert_eq!(
            (answer.status, &*answer.problem()),
            (400, "bad-request"),
            "{query}"
        );
    }
    assert_eq!(server.get("/v1/jobs/nothing").await.problem(), "not-found");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_end_without_a_result_has_its_status() {
    let stage = Stage::new().await;
    let server = Server::start(&stage, &["--work"]).await;
    stage.simulators.textin().change_options(|options| {
        let failed = Outcome::Failed {
            message: "cannot be read".to_owned(),
        };
        options.outcomes.insert("bad.txt".to_owned(), failed);
    });
    let failed = submit(&server, "bad.txt", "bad\n").await;
    let result = server
        .get(&format!("/v1/jobs/{}/result", id(&failed)))
        .await;
    assert_eq!((result.status, &*result.problem()), (422, "failed"));
    assert!(
        result.text().contains("cannot be read"),
        "{}",
        result.text()
    );
    assert_eq!(result.json()["exit_code"], 3);
    assert_eq!(result.json()["job"], json!(id(&failed)));
    // It attaches to the failed job.
    let same = submit(&server, "bad.txt", "bad\n").await;
    assert_eq!((same.status, id(&same)), (200, id(&failed)));

    stage
        .simulators
        .textin()
        .set_fault("submit", Fault::DropAfterCommit { reset: false });
    let lost = server
        .submit(
            "/v1/jobs",
            &[("Prefer", "wait=1")],
            &document("lost.txt", "lost\n"),
        )
        .await;
    let path = format!("/v1/jobs/{}", id(&lost));
    let mut job = server.get(&path).await.json();
    for _ in 0..400 {
        if job["stage"] == "in_doubt" {
            break;
        }
        job = server.get(&path).await.json();
    }
    assert_eq!(job["stage"], "in_doubt", "{job}");
    let result = server.get(&format!("{path}/result")).await;
    assert_eq!(
        (
            result.status,
            &*result.problem(),
            &result.json()["exit_code"]
        ),
        (409, "in-doubt", &json!(5))
    );
    let again = server
        .submit("/v1/jobs", &[], &[("again", None, id(&lost).as_bytes())])
        .await;
    assert_eq!((again.status, &*again.problem()), (409, "in-doubt"));

    for (body, status, slug) in [
        ("{\"remote\":\"x\"}", 400, "bad-request"),
        ("{}", 400, "bad-request"),
        ("{\"remote_id\":\"\"}", 400, "bad-request"),
        ("[]", 400, "bad-request"),
    ] {
        let answer = server
            .post(&format!("{path}/adopt"), &[JSON], body.as_bytes())
            .await;
        assert_eq!(
            (answer.status, &*answer.problem()),
            (status, slug),
            "{body}"
        );
    }
    let xml = server
        .post(
            &format!("{path}/adopt"),
            &[("Content-Type", "text/xml")],
            b"<a/>",
        )
        .await;
    assert_eq!(xml.status, 415);
    let wrong = server
        .post(
            &format!("/v1/jobs/{}/adopt", id(&failed)),
            &[JSON],
            b"{\"remote_id\":\"x\"}",
        )
        .await;
    assert_eq!((wrong.status, &*wrong.problem()), (409, "wrong-stage"));
    let real = stage
        .simulators
        .textin()
        .charges()
        .last()
        .unwrap()
        .job_id
        .clone();
    let body = json!({ "remote_id": real }).to_string();
    let adopted = server
        .post(&format!("{path}/adopt"), &[JSON], body.as_bytes())
        .await;
    assert_eq!(adopted.status, 200, "{}", adopted.text());
    let done = submit(&server, "lost.txt", "lost\n").await;
    assert_eq!(
        (done.status, &done.json()["stage"]),
        (200, &json!("completed")),
        "{}",
        done.text()
    );
    assert_eq!(stage.simulators.textin().charges().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_abandoned_job_is_gone_and_its_input_is_new() {
    let stage = Stage::new().await;
    let server = Server::start(&stage, &[]).await;
    let first = server
        .submit("/v1/jobs", &[], &document("a.txt", "some text\n"))
        .await;
    let path = format!("/v1/jobs/{}", id(&first));
    let early = server.get(&format!("{path}/result")).await;
    assert_eq!((early.status, &*early.problem()), (409, "not-ready"));
    assert!(early.header("retry-after").is_some());
    assert_eq!(early.json()["exit_code"], 4);
    let poll = server.post(&format!("{path}/poll"), &[], b"").await;
    assert_eq!((poll.status, &*poll.problem()), (409, "wrong-stage"));
    let gone = server.post(&format!("{path}/abandon"), &[], b"").await;
    assert_eq!(
        (gone.status, &gone.json()["stage"]),
        (200, &json!("abandoned"))
    );
    assert_eq!(
        server
            .post(&format!("{path}/abandon"), &[], b"")
            .await
            .status,
        409
    );
    let result = server.get(&format!("{path}/result")).await;
    assert_eq!((result.status, &*result.problem()), (410, "abandoned"));
    let new = server
        .submit("/v1/jobs", &[], &document("a.txt", "some text\n"))
        .await;
    assert_eq!(new.status, 201);
    assert_ne!(id(&new), id(&first));
    let events = server.get(&format!("{path}/events")).await.json();
    let kinds: Vec<&str> = events["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["kind"].as_str().unwrap())
        .collect();
    assert_eq!(
        (kinds.first(), kinds.last()),
        (Some(&"intended"), Some(&"abandoned")),
        "{events}"
    );
    assert!(
        events["events"]
            .as_array()
            .unwrap()
            .iter()
            .all(|event| event["job"] == json!(id(&first)))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn buying_again_names_the_job_and_a_repeated_call_buys_no_third() {
    let stage = Stage::new().await;
    let server = Server::start(&stage, &["--work"]).await;
    let first = submit(&server, "a.txt", "some text\n").await;
    let job = id(&first);
    let gone = server
        .submit("/v1/jobs", &[], &[("again", None, job.as_bytes())])
        .await;
    assert_eq!(
        (gone.status, &*gone.problem()),
        (409, "input-gone"),
        "{}",
        gone.text()
    );
    let other = server
        .submit(
            "/v1/jobs",
            &[],
            &[
                ("again", None, job.as_bytes()),
                ("file", Some("a.txt"), b"other"),
            ],
        )
        .await;
    assert_eq!((other.status, &*other.problem()), (400, "bad-request"));
    let parts: [Part<'_>; 2] = [
        ("again", None, job.as_bytes()),
        ("file", Some("a.txt"), b"some text\n"),
    ];
    let second = server.submit("/v1/jobs", &[WAIT], &parts).await;
    assert_eq!(
        (second.status, &second.json()["stage"]),
        (201, &json!("completed")),
        "{}",
        second.text()
    );
    let third = server.submit("/v1/jobs", &[WAIT], &parts).await;
    assert_eq!((third.status, id(&third)), (200, id(&second)));
    assert_eq!(stage.simulators.textin().charges().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_is_being_submitted_is_not_bought_again() {
    let stage = Stage::new().await;
    let server = Server::start(&stage, &[]).await;
    let parts = document("a.txt", "some text\n");
    let first = server.submit("/v1/jobs", &[], &parts).await;
    let ledger = Ledger::open(&stage.ledger_path(), SystemClock::shared())
        .await
        .unwrap();
    let claimed = ledger.claim(id(&first).parse().unwrap()).await.unwrap();
    let ClaimOutcome::Claimed(Claimed::Intended(claim, _)) = claimed else {
        panic!("it waits for a worker");
    };
    // What a worker holds is not given up with others.
    let body = json!({ "action": "abandon", "filter": {}, "expect": 1 }).to_string();
    let held = server.post("/v1/bulk", &[JSON], body.as_bytes()).await;
    assert_eq!((held.status, &*held.problem()), (409, "busy"));
    assert!(held.text().contains("holds 1 of these"), "{}", held.text());
    let submitting = ledger.begin_submit(claim, Estimate::Free).await.unwrap();
    let _submitting = submitting.granted().unwrap();
    let first_id = id(&first);
    let again = [("again", None, first_id.as_bytes())];
    let again = server.submit("/v1/jobs", &[], &again).await;
    assert_eq!((again.status, &*again.problem()), (409, "in-doubt"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deck_is_named_by_our_id_and_a_higher_number_of_calls_goes_on() {
    let stage = Stage::new().await;
    let server = Server::start(&stage, &["--work"]).await;
    let topic: [Part<'_>; 3] = [
        ("vendor", None, b"mindshow"),
        ("kind", None, b"deck"),
        ("text", None, b"cats"),
    ];
    let deck = server.submit("/v1/jobs", &[WAIT], &topic).await;
    assert_eq!(deck.json()["stage"], "completed", "{}", deck.text());
    let deck_id = id(&deck);
    let export = async |calls: &str, wait: &[(&str, &str)]| {
        let options = format!("{{\"max_calls\":{calls}}}");
        let parts = [
            ("vendor", None, &b"mindshow"[..]),
            ("kind", None, b"pdf"),
            ("text", None, deck_id.as_bytes()),
            ("options", None, options.as_bytes()),
        ];
        server.submit("/v1/jobs", wait, &parts).await
    };
    let first = export("1", &[]).await;
    assert_eq!(first.status, 201, "{}", first.text());
    let path = format!("/v1/jobs/{}", id(&first));
    while server.get(&path).await.json()["parked"] != "paid_polls" {}
    let pdf = export("9", &[WAIT]).await;
    assert_eq!((pdf.status, id(&pdf)), (200, id(&first)));
    assert_eq!(pdf.json()["stage"], "completed", "{}", pdf.text());
    assert_eq!(pdf.json()["remote_id"], deck.json()["remote_id"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_no_job_needs_does_not_stay() {
    let stage = Stage::new().await;
    let passwords = format!("{}.spool/passwords", stage.ledger_path());
    let server = Server::start(&stage, &[]).await;
    let mut parts = document("a.txt", "some text\n");
    parts.push(("options", None, b"{\"password\":\"hunter2\",\"zz\":1}"));
    let refused = server.submit("/v1/jobs", &[], &parts).await;
    assert_eq!(refused.status, 400, "{}", refused.text());
    assert!(walk(&passwords).is_empty());
    parts.pop();
    parts.push(("options", None, b"{\"password\":\"hunter2\"}"));
    let waiting = server.submit("/v1/jobs", &[], &parts).await;
    assert_eq!(waiting.status, 201, "{}", waiting.text());
    drop(server);
    let server = Server::start(&stage, &[]).await;
    assert_eq!(walk(&passwords).len(), 1, "its job is not settled");
    drop(server);
    // It is settled while no server runs.
    let ran = stage.run(&["work", "--once"]).await;
    assert_eq!(ran.exit, 0, "{}", ran.stderr);
    assert_eq!(walk(&passwords).len(), 1);
    let server = Server::start(&stage, &[]).await;
    for _ in 0..400 {
        if walk(&passwords).is_empty() {
            break;
        }
        server.get("/healthz").await;
    }
    assert!(walk(&passwords).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_one_input_and_leaves_with_its_job() {
    let stage = Stage::new().await;
    let server = Server::start(&stage, &["--work"]).await;
    let mut parts = document("a.txt", "some text\n");
    parts.push(("options", None, b"{\"password\":\"hunter2\"}"));
    let first = server.submit("/v1/jobs", &[WAIT], &parts).await;
    assert_eq!(
        (first.status, &first.json()["stage"]),
        (201, &json!("completed")),
        "{}",
        first.text()
    );
    let second = server.submit("/v1/jobs", &[WAIT], &parts).await;
    assert_eq!((second.status, id(&second)), (200, id(&first)));
    let ledger = std::fs::read(stage.ledger_path()).unwrap();
    assert!(!ledger.windows(7).any(|piece| piece == b"hunter2"));
    let passwords = format!("{}.spool/passwords", stage.ledger_path());
    for _ in 0..400 {
        if walk(&passwords).is_empty() {
            break;
        }
        server.get("/healthz").await;
    }
    assert!(walk(&passwords).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn fastgpt_reads_pages_markdown_and_error() {
    let stage = Stage::new().await;
    stage.input("tokens", "fastgpt s3cret\n");
    let server = Server::start(&stage, &["--work", "--token-file", "tokens"]).await;
    let token = ("Authorization", "Bearer s3cret");
    // As that program's HTTP library writes it.
    let boundary = "--------------------------515890814546601021194782";
    let kind = format!("multipart/form-data; boundary={boundary}");
    let body = format!(
        "--{boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"file.txt\"\r\nContent-Type: text/plain\r\n\r\nsome text\n\r\n--{boundary}--\r\n"
    );
    let headers = [
        token,
        ("Content-Type", &*kind),
        ("Accept", "application/json, text/plain, */*"),
        ("User-Agent", "axios/1.8.2"),
    ];
    for _ in 0..2 {
        let answer = server.post("/v1/parse", &headers, body.as_bytes()).await;
        assert_eq!(
            (answer.status, answer.json()),
            (
                200,
                json!({"pages": 1, "markdown": "some text\n", "error": null})
            )
        );
    }
    assert_eq!(stage.simulators.textin().charges().len(), 1);
    // Pictures stand in the text as data, which that program keeps; links would end.
    let asked = &stage.simulators.textin().jobs()[0].config;
    assert_eq!(
        asked["config"]["engine_params"]["image_output_type"], "base64",
        "{asked}"
    );
    stage.simulators.textin().change_options(|options| {
        let failed = Outcome::Failed {
            message: "cannot be read".to_owned(),
        };
        options.outcomes.insert("bad.txt".to_owned(), failed);
    });
    let bad = server
        .submit("/v1/parse", &[token], &[("file", Some("bad.txt"), b"bad")])
        .await;
    assert_eq!(bad.status, 200);
    let error: Value = bad.json();
    assert!(
        error["error"].as_str().unwrap().contains("cannot be read"),
        "{error}"
    );
    // What may have been charged is said at once, and is not bought again by the next call.
    let sim = stage.simulators.textin();
    sim.set_fault("submit", Fault::DropAfterCommit { reset: false });
    let before = sim.charges().len();
    for _ in 0..2 {
        let lost = server
            .submit(
                "/v1/parse",
                &[token],
                &[("file", Some("lost.txt"), b"lost")],
            )
            .await;
        let error = lost.json()["error"].as_str().unwrap().to_owned();
        assert!(error.contains("may have been charged"), "{error}");
    }
    assert_eq!(
        sim.jobs()
            .iter()
            .filter(|job| job.file_name == "lost.txt")
            .count(),
        1
    );
    assert!(sim.charges().len() <= before + 1);
    let none = server
        .submit("/v1/parse", &[], &[("file", Some("a.txt"), b"x")])
        .await;
    assert_eq!(none.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_describes_itself() {
    let stage = Stage::new().await;
    let server = Server::start(&stage, &[]).await;
    let answer = server.get("/v1/openapi.json").await;
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let document = answer.json();
    for (path, calls) in document["paths"].as_object().unwrap() {
        let path = path
            .replace("{id}", "nothing")
            .replace("{vendor}", "nobody");
        for method in calls.as_object().unwrap().keys() {
            if path == "/v1/events" {
                continue;
            }
            let answer = server.call(&method.to_uppercase(), &path, &[], b"").await;
            assert_ne!(answer.status, 405, "{method} {path}");
            assert!(
                !answer.text().contains("no such address"),
                "{method} {path}"
            );
        }
        assert_eq!(
            server.call("PATCH", &path, &[], b"").await.problem(),
            "method-not-allowed",
            "{path}"
        );
    }
    assert_eq!(server.get("/v2/jobs").await.problem(), "not-found");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_budget_holds_a_job_back_and_never_refuses_it() {
    let stage = Stage::new().await;
    let server = Server::start(&stage, &["--work"]).await;
    let path = "/v1/budgets/textin";
    let none = server.get(path).await;
    assert_eq!((none.status, &*none.problem()), (404, "not-found"));
    assert_eq!(server.call("DELETE", path, &[], b"").await.status, 404);
    for body in [
        "{}",
        "{\"limit\":-1,\"per\":\"day\"}",
        "{\"limit\":1.5,\"per\":\"day\"}",
        "{\"limit\":1,\"per\":\"year\"}",
        "{\"limit\":1,\"per\":\"day\",\"colour\":1}",
        "no",
    ] {
        let answer = server.call("PUT", path, &[JSON], body.as_bytes()).await;
        assert_eq!(
            (answer.status, &*answer.problem()),
            (400, "bad-request"),
            "{body}"
        );
    }
    assert_eq!(
        server
            .call(
                "PUT",
                "/v1/budgets/nobody",
                &[JSON],
                b"{\"limit\":1,\"per\":\"day\"}"
            )
            .await
            .status,
        404
    );
    let set = server
        .call("PUT", path, &[JSON], b"{\"limit\":0,\"per\":\"day\"}")
        .await;
    let budget = set.json();
    assert_eq!(
        (
            set.status,
            &budget["limit"],
            &budget["per"],
            &budget["spent"]
        ),
        (200, &json!(0), &json!("day"), &json!(0))
    );
    for key in ["vendor", "reserved", "resets_at"] {
        assert!(budget.get(key).is_some(), "{budget}");
    }
    let held = server
        .submit(
            "/v1/jobs",
            &[("Prefer", "wait=2")],
            &document("a.txt", "some text\n"),
        )
        .await;
    assert_eq!(
        (held.status, &held.json()["stage"]),
        (201, &json!("intended")),
        "{}",
        held.text()
    );
    let path_of_job = format!("/v1/jobs/{}", id(&held));
    let mut job = held.json();
    for _ in 0..2000 {
        if job["blocked_until"].is_string() {
            break;
        }
        job = server.get(&path_of_job).await.json();
    }
    assert!(job["blocked_until"].is_string(), "{job}");
    let result = server.get(&format!("/v1/jobs/{}/result", id(&held))).await;
    assert_eq!(
        (
            result.status,
            &*result.problem(),
            &result.json()["exit_code"]
        ),
        (409, "over-budget", &json!(7))
    );
    assert!(stage.simulators.textin().charges().is_empty());
    assert_eq!(server.call("DELETE", path, &[], b"").await.status, 204);
    for _ in 0..2000 {
        job = server.get(&path_of_job).await.json();
        if job["stage"] == "completed" {
            break;
        }
    }
    assert_eq!(job["stage"], "completed", "{job}");
    let done = submit(&server, "a.txt", "some text\n").await;
    assert_eq!(
        (done.status, &done.json()["stage"]),
        (200, &json!("completed")),
        "{}",
        done.text()
    );
    let summary = server.get("/v1/summary").await.json();
    assert_eq!(summary["stages"]["completed"], 1, "{summary}");
    let worker = &summary["workers"][0];
    assert!(
        worker["id"].is_string() && worker["last_seen"].is_string() && worker["jobs"].is_u64(),
        "{summary}"
    );
    assert_eq!(summary["spared"], 1, "attaching cost nothing: {summary}");
    assert_eq!(
        (
            &summary["money"][0]["vendor"],
            &summary["money"][0]["charged"],
            &summary["money"][0]["in_doubt"],
            &summary["money"][0]["unit"]
        ),
        (&json!("textin"), &json!(1), &json!(0), &json!("page")),
        "{summary}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_share_of_a_rate_and_who_waits_for_it_are_told() {
    let stage = Stage::new().await;
    let server = Server::start(&stage, &[]).await;
    let ledger = Ledger::open(&stage.ledger_path(), SystemClock::shared())
        .await
        .unwrap();
    let account = Account::of("textin", "key");
    let waiting = Intent::new("textin", "parse", account, [7; 32]);
    drop(ledger.intend(waiting).await.unwrap());
    let rate = RateLimit {
        limit: NonZeroU32::new(10).unwrap(),
        per: Duration::from_secs(3600),
    };
    for _ in 0..3 {
        let place = ledger.acquire(account, "submit", &[rate]).await.unwrap();
        assert!(matches!(place, Acquired::Granted(_)), "{place:?}");
    }
    let summary = server.get("/v1/summary").await.json();
    assert_eq!(
        summary["rates"],
        json!([{
            "vendor": "textin", "account": account.to_string(), "action": "submit", "limit": 10, "per": 3600.0,
            "used": 3,
        }])
    );
    let page = server.get("/rates").await;
    for told in ["3 / 10", "/?stage=intended&#38;vendor=textin", "<b>1</b>"] {
        assert!(page.text().contains(told), "{told}: {}", page.text());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_action_changes_many_jobs_if_they_are_as_many_as_expected() {
    let stage = Stage::new().await;
    let server = Server::start(&stage, &[]).await;
    for number in 0..4 {
        let (name, content) = (format!("{number}.txt"), format!("text {number}\n"));
        assert_eq!(
            server
                .submit("/v1/jobs", &[], &document(&name, &content))
                .await
                .status,
            201
        );
    }
    for body in [
        "{}",
        "{\"action\":\"retry\",\"filter\":{},\"expect\":4}",
        "{\"action\":\"abandon\",\"filter\":{\"colour\":\"red\"},\"expect\":4}",
        "{\"action\":\"abandon\",\"filter\":{\"limit\":\"1\"},\"expect\":1}",
        "{\"action\":\"abandon\",\"filter\":{},\"expect\":1001}",
        "{\"action\":\"abandon\",\"filter\":{}}",
        "{\"action\":\"abandon\",\"filter\":[],\"expect\":4}",
        "{\"action\":\"abandon\",\"filter\":{\"stage\":[7]},\"expect\":4}",
        "{\"action\":\"abandon\",\"filter\":{\"stage\":[null,\"intended\"]},\"expect\":4}",
        "{\"action\":\"abandon\",\"filter\":{\"stage\":[[\"failed\"]]},\"expect\":4}",
        "{\"action\":\"abandon\",\"filter\":{\"stage\":[]},\"expect\":4}",
        "{\"action\":\"abandon\",\"filter\":{\"stage\":\"\"},\"expect\":4}",
        "{\"action\":\"abandon\",\"filter\":{\"vendor\":null},\"expect\":4}",
    ] {
        let answer = server.post("/v1/bulk", &[JSON], body.as_bytes()).await;
        assert_eq!(
            (answer.status, &*answer.problem()),
            (400, "bad-request"),
            "{body}"
        );
    }
    let ask = async |expect: u32| {
        let body = json!({"action": "abandon", "filter": {"vendor": "textin", "stage": "intended"}, "expect": expect});
        server
            .post("/v1/bulk", &[JSON], body.to_string().as_bytes())
            .await
    };
    let differs = ask(3).await;
    assert_eq!(
        (differs.status, &*differs.problem()),
        (409, "count-differs")
    );
    assert_eq!(
        server.get("/v1/summary").await.json()["stages"]["intended"],
        4
    );
    let done = ask(4).await;
    assert_eq!((done.status, &done.json()["changed"]), (200, &json!(4)));
    assert_eq!(
        server.get("/v1/summary").await.json()["stages"]["abandoned"],
        4
    );
    // The page does the same with the jobs that it shows.
    server
        .submit("/v1/jobs", &[], &document("5.txt", "text 5\n"))
        .await;
    let form = [
        ("Content-Type", "application/x-www-form-urlencoded"),
        ("Accept", "text/html"),
    ];
    let stale = server
        .post(
            "/bulk",
            &form,
            b"filter=vendor%3Dtextin&expect=2&action=abandon",
        )
        .await;
    assert_eq!(stale.status, 409);
    let right = server
        .post(
            "/bulk",
            &form,
            b"filter=vendor%3Dtextin&expect=1&action=abandon",
        )
        .await;
    assert_eq!(
        (right.status, right.header("location")),
        (303, Some("/?vendor=textin&done=bulk"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_are_prometheus_text_with_gauges_of_the_ledger() {
    let stage = Stage::new().await;
    let server = Server::start(&stage, &[]).await;
    server
        .submit("/v1/jobs", &[], &document("a.txt", "some text\n"))
        .await;
    // Another account of the same vendor is no second sample of the same name and labels.
    let ledger = Ledger::open(&stage.ledger_path(), SystemClock::shared())
        .await
        .unwrap();
    let other = Intent::new("textin", "parse", Account::of("textin", "other"), [7; 32]);
    drop(ledger.intend(other).await.unwrap());
    let metrics = server.get("/metrics").await;
    assert!(
        metrics
            .header("content-type")
            .unwrap()
            .starts_with("text/plain; version=0.0.4")
    );
    let text = metrics.text();
    assert!(
        text.contains("docjobs_jobs{stage=\"intended\",vendor=\"textin\",kind=\"parse\"} 2\n"),
        "{text}"
    );
    let mut samples = HashSet::new();
    for line in text
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
    {
        let (sample, value) = line.rsplit_once(' ').unwrap();
        assert!(value.parse::<f64>().is_ok(), "{line}");
        assert!(samples.insert(sample), "{sample} stands twice");
    }
    let rules = stage.run(&["manual", "--prometheus-rules"]).await;
    assert_eq!(rules.exit, 0);
    // Each metric that a rule names is one that is told, or one of the fleet's.
    for name in [
        "docjobs_jobs",
        "docjobs_workers",
        "docjobs_oldest_waiting_seconds",
        "docjobs_hooks",
    ] {
        assert!(rules.stdout.contains(name), "{name}");
        assert!(text.contains(&format!("# TYPE {name} ")), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_is_there_in_two_languages_and_markup_stays_text() {
    let stage = Stage::new().await;
    let server = Server::start(&stage, &[]).await;
    let job = id(&server
        .submit("/v1/jobs", &[], &document("<b>bold.txt", "some text\n"))
        .await);
    let job_page = format!("/jobs/{job}");
    let confirm = format!("/jobs/{job}/abandon");
    for path in [
        "/",
        "/in-doubt",
        "/money",
        "/rates",
        "/hooks",
        "/workers",
        &job_page,
        &confirm,
    ] {
        for (language, lang) in [
            ("zh-CN,zh;q=0.9", "<html lang=\"zh-CN\">"),
            ("en", "<html lang=\"en\">"),
        ] {
            let page = server
                .call(
                    "GET",
                    path,
                    &[("Accept", "text/html"), ("Accept-Language", language)],
                    b"",
                )
                .await;
            assert_eq!(page.status, 200, "{path}: {}", page.text());
            assert!(page.text().contains(lang), "{path}");
            assert!(!page.text().contains("<b>bold"), "{path}");
        }
    }
    let shown = server.get(&job_page).await;
    let escaped = ["&#60;b&#62;bold.txt", "&lt;b&gt;bold.txt"];
    assert!(
        escaped.iter().any(|name| shown.text().contains(name)),
        "{}",
        shown.text()
    );
    for (path, kind) in [
        ("/jobs.csv?stage=intended", "text/csv; charset=utf-8"),
        ("/jobs.jsonl", "application/jsonl"),
    ] {
        let file = server.get(path).await;
        assert_eq!(
            (file.status, file.header("content-type")),
            (200, Some(kind))
        );
        assert!(file.text().contains(&job), "{path}");
    }
    let missing = server
        .call("GET", "/jobs/nothing", &[("Accept", "text/html")], b"")
        .await;
    assert_eq!(
        (missing.status, missing.header("content-type")),
        (404, Some("text/html; charset=utf-8"))
    );
}
