//! Scripted faults as they arrive at the client.

use std::time::Duration;

use serde_json::json;
use vendor_sim::fault::ScriptedFault;
use vendor_sim::{Fault, Times};

use crate::client::{Caller, Part, ask, no_rate, still, until};

const TEXT: Part<'static> = ("file", Some("a.txt"), None, b"hello");

#[tokio::test]
async fn lost_answer_makes_the_job_and_drops_the_connection() {
    for reset in [false, true] {
        let sim = still(no_rate()).await;
        sim.set_fault("submit", Fault::DropAfterCommit { reset });
        let lost = Caller(&sim).try_post("async", &[TEXT]).await;
        if reset {
            assert_eq!(
                lost.unwrap_err().kind(),
                std::io::ErrorKind::ConnectionReset
            );
        } else {
            assert!(lost.unwrap().is_none());
        }
        assert_eq!(sim.jobs().len(), 1);
        assert_eq!(sim.requests()[0].answered, None);
        sim.clock().advance(Duration::from_secs(60));
        assert_eq!(sim.charges().len(), 1);
        Caller(&sim).submit("a.txt", "hello").await;
        assert_eq!(sim.jobs().len(), 2);
    }
}

#[tokio::test]
async fn drop_before_commit_makes_no_job() {
    let sim = still(no_rate()).await;
    sim.set_fault(
        "submit",
        Fault::DropBeforeCommit {
            after_bytes: None,
            reset: false,
        },
    );
    sim.set_fault(
        "submit",
        Fault::DropBeforeCommit {
            after_bytes: Some(1000),
            reset: true,
        },
    );
    assert!(
        Caller(&sim)
            .try_post("async", &[TEXT])
            .await
            .unwrap()
            .is_none()
    );
    let big = vec![b'x'; 5_000_000];
    assert!(
        Caller(&sim)
            .try_post("async", &[("file", Some("a.docx"), None, &big)])
            .await
            .is_err()
    );
    assert!(sim.jobs().is_empty());
    let requests = sim.requests();
    assert_eq!(requests.len(), 2);
    assert!((1000..5_000_000).contains(&requests[1].body_bytes));
}

#[tokio::test]
async fn delayed_answer_comes_after_the_job_was_made() {
    let sim = still(no_rate()).await;
    sim.set_fault("submit", Fault::Delay { seconds: 100.0 });
    let caller = Caller(&sim);
    let posting = caller.post("async", &[TEXT]);
    tokio::pin!(posting);
    tokio::select! {
        _ = posting.as_mut() => panic!("the answer should wait for the clock"),
        () = until(|| sim.jobs().len() == 1) => {}
    }
    // The answer may not be waiting on the clock yet, so the clock is moved until it comes.
    let answer = loop {
        tokio::select! {
            answer = posting.as_mut() => break answer,
            () = tokio::task::yield_now() => { sim.clock().advance(Duration::from_secs(100)); }
        }
    };
    assert_eq!(answer.code(), 200);
}

#[tokio::test]
async fn status_faults_come_before_or_after_the_work() {
    let sim = still(no_rate()).await;
    let caller = Caller(&sim);
    let gateway = |after_commit| Fault::Status {
        status: 502,
        body: "<html>Bad Gateway</html>".to_owned(),
        headers: vec![],
        after_commit,
    };
    sim.set_fault("submit", gateway(false));
    let answer = caller.post("async", &[TEXT]).await;
    assert_eq!(
        (answer.status, answer.body.as_slice()),
        (502, b"<html>Bad Gateway</html>".as_slice())
    );
    assert_eq!(
        answer.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    assert_eq!(sim.jobs().len(), 0);
    sim.set_fault("submit", gateway(true));
    assert_eq!(caller.post("async", &[TEXT]).await.status, 502);
    assert_eq!(sim.jobs().len(), 1);
    let busy = Fault::Status {
        status: 429,
        body: String::new(),
        headers: vec![("Retry-After".to_owned(), "3".to_owned())],
        after_commit: false,
    };
    sim.set_fault_times("poll", busy, Times::N(2));
    for status in [429, 429, 200] {
        let answer = caller.poll(&sim.jobs()[0].job_id).await;
        assert_eq!(answer.status, status);
        assert_eq!(answer.header("retry-after"), (status == 429).then_some("3"));
        assert!(answer.header("x-request-id").is_some());
    }
}

#[tokio::test]
async fn vendor_code_comes_in_the_vendors_envelope() {
    let sim = still(no_rate()).await;
    let caller = Caller(&sim);
    sim.set_fault(
        "submit",
        Fault::Code {
            code: json!(40306),
            message: None,
            after_commit: false,
        },
    );
    let answer = caller.post("async", &[TEXT]).await;
    assert_eq!((answer.status, answer.code()), (200, 40306));
    assert_eq!(answer.json()["message"], "qps超过限制");
    assert_eq!(sim.jobs().len(), 0);
    sim.set_fault(
        "submit",
        Fault::Code {
            code: json!(500),
            message: Some("boom".to_owned()),
            after_commit: true,
        },
    );
    let ambiguous = caller.post("async", &[TEXT]).await.json();
    assert_eq!(
        (ambiguous["code"].as_i64(), ambiguous["message"].as_str()),
        (Some(500), Some("boom"))
    );
    assert_eq!(sim.jobs().len(), 1);
}

#[tokio::test]
async fn cut_body_is_exactly_as_short_as_scripted_and_declares_its_full_length() {
    let sim = still(vendor_sim::TextInOptions {
        result_bytes: Some(2_000_000),
        ..no_rate()
    })
    .await;
    let caller = Caller(&sim);
    let job_id = caller.submit("a.md", "text").await;
    let url = caller.result_url(&job_id).await;
    let known: Vec<u8> = sim
        .result_bytes(&job_id)
        .unwrap()
        .pieces()
        .flatten()
        .collect();
    for at in [0, 1, 100, 65_536, 70_001, 1_999_999] {
        sim.set_fault("result", Fault::CutBody { at });
        let answer = ask("GET", &url, &[], b"").await.unwrap().unwrap();
        assert_eq!(answer.status, 200);
        assert_eq!(answer.declared(), 2_000_000);
        assert_eq!(answer.body.len() as u64, at);
        assert!(known.starts_with(&answer.body));
    }
    assert_eq!(
        ask("GET", &url, &[], b"")
            .await
            .unwrap()
            .unwrap()
            .body
            .len(),
        2_000_000
    );
    sim.set_fault("poll", Fault::CutBody { at: 10 });
    let answer = caller.poll(&job_id).await;
    assert_eq!(answer.body.len(), 10);
    assert!(answer.declared() > 10);
}

#[tokio::test]
async fn slow_body_arrives_whole() {
    let sim = vendor_sim::TextIn::start_at(
        &vendor_sim::Site::with_clock(vendor_sim::VirtualClock::real(10_000.0)),
        no_rate(),
    )
    .await
    .unwrap();
    let caller = Caller(&sim);
    let job_id = caller.submit("a.md", "text").await;
    sim.set_fault(
        "poll",
        Fault::SlowBody {
            chunk: 40,
            seconds: 1.0,
        },
    );
    let answer = caller.poll(&job_id).await;
    assert_eq!(answer.body.len(), answer.declared());
    assert_eq!(answer.code(), 200);
}

#[tokio::test]
async fn spoiled_bodies_are_spoiled_as_named() {
    let sim = still(no_rate()).await;
    let caller = Caller(&sim);
    let job_id = caller.submit("a.md", "text").await;
    let poll = |fault| {
        sim.set_fault("poll", fault);
        caller.poll(&job_id)
    };
    let truncated = poll(Fault::TruncatedJson {}).await;
    assert_eq!(truncated.body.len(), truncated.declared());
    assert!(serde_json::from_slice::<serde_json::Value>(&truncated.body).is_err());
    let html = poll(Fault::NonJson { body: None }).await;
    assert!(html.body.starts_with(b"<html>") && html.status == 200);
    let wrong = poll(Fault::WrongTypes { keys: vec![] }).await.json();
    assert_eq!(wrong["code"], json!([200]));
    assert_eq!(wrong["data"]["status"], json!("pending".len()));
    let word = poll(Fault::UnknownWord {
        word: "daydreaming".to_owned(),
    })
    .await
    .json();
    assert_eq!(word["data"]["status"], "daydreaming");
    assert_eq!(word["code"], 200);
    let field = poll(Fault::SetField {
        pointer: "/data/job_id".to_owned(),
        value: json!("other"),
    })
    .await
    .json();
    assert_eq!(field["data"]["job_id"], "other");
    let huge = poll(Fault::HugeBody { bytes: 1_000_000 }).await;
    assert_eq!((huge.body.len(), huge.declared()), (1_000_000, 1_000_000));
    assert!(huge.json()["padding"].is_string());
    let moved = poll(Fault::Redirect {
        location: "http://127.0.0.1:9/x".to_owned(),
        status: None,
    })
    .await;
    assert_eq!(
        (moved.status, moved.header("location")),
        (302, Some("http://127.0.0.1:9/x"))
    );
    assert_eq!(
        caller.poll(&job_id).await.json()["data"]["status"],
        "pending"
    );
}

#[tokio::test]
async fn later_occurrence_can_be_struck() {
    let sim = still(no_rate()).await;
    let caller = Caller(&sim);
    let job_id = caller.submit("a.md", "text").await;
    let fault = Fault::Code {
        code: json!(30203),
        message: None,
        after_commit: false,
    };
    sim.faults().add(ScriptedFault {
        operation: "poll".to_owned(),
        skip: 2,
        times: Times::Once,
        fault,
    });
    let mut codes = Vec::new();
    for _ in 0..4 {
        codes.push(caller.poll(&job_id).await.code());
    }
    assert_eq!(codes, [200, 200, 30203, 200]);
}
