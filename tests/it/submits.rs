//! Whatever goes wrong with a submit, the vendor's ledger never shows more than one charge for it.

use jobs_core::SubmitError;
use jobs_core::http::Document;
use serde_json::Value;
use textin::ParseRequest;
use vendor_sim::fault::Fault;

/// Each fault, and whether the vendor can have taken the job.
fn faults() -> Vec<(Fault, bool)> {
    let status = |status, after_commit| Fault::Status {
        status,
        body: "<html>".to_owned(),
        headers: vec![],
        after_commit,
    };
    let code = |code: i64, after_commit| Fault::Code {
        code: Value::from(code),
        message: None,
        after_commit,
    };
    let drop_before = |after_bytes, reset| Fault::DropBeforeCommit { after_bytes, reset };
    vec![
        (drop_before(None, false), false),
        (drop_before(None, true), false),
        (drop_before(Some(3), true), false),
        (Fault::DropAfterCommit { reset: false }, true),
        (Fault::DropAfterCommit { reset: true }, true),
        (status(502, false), false),
        (status(502, true), true),
        (status(503, true), true),
        (code(500, false), false),
        (code(500, true), true),
        (code(50207, true), true),
        (Fault::CutBody { at: 10 }, true),
        (Fault::NonJson { body: None }, true),
        (Fault::HugeBody { bytes: 20 << 20 }, true),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn every_ambiguous_submit_is_reported_and_none_is_repeated() {
    let simulators = crate::simulators().await;
    let sim = simulators.textin();
    sim.change_options(|options| {
        options.qps = None;
        (options.pending_seconds, options.in_progress_seconds) = (0.0, 0.0);
    });
    let client = crate::textin(&simulators);
    let mut jobs = 0;
    for (fault, is_taken) in faults() {
        sim.set_fault("submit", fault.clone());
        let posts = || {
            sim.requests()
                .iter()
                .filter(|request| request.method == "POST")
                .count()
        };
        let before = posts();
        let request = ParseRequest::document(Document::from_bytes("a.txt", format!("{fault:?}")));
        let submission = client.parse(request.clone()).submit().await;
        assert!(
            matches!(submission, Err(SubmitError::OutcomeUnknown(_))),
            "{fault:?}: {submission:?}"
        );
        jobs += usize::from(is_taken);
        assert_eq!((posts() - before, sim.jobs().len()), (1, jobs), "{fault:?}");
    }
    // An answer that breaks off behind the id has brought what was paid for.
    sim.set_fault("submit", Fault::TruncatedJson {});
    let request = ParseRequest::document(Document::from_bytes("a.txt", "cut behind the id"));
    let Ok(job) = client.parse(request.clone()).submit().await else {
        panic!("the id was shown");
    };
    jobs += 1;
    let made = sim.jobs().last().map(|made| made.job_id.clone());
    assert_eq!(made.as_deref(), Some(job.id().as_str()));
    // Each page that was parsed is charged once, and only for jobs that the vendor took.
    assert_eq!(sim.charges().len(), jobs);
}
