//! A result appears whole or not at all, wherever it is cut.

use std::fs;
use std::time::Duration;

use jobs_core::disk::OutputPath;
use jobs_core::http::Document;
use textin::{ParseRequest, Ready};
use vendor_sim::Simulators;
use vendor_sim::fault::{Fault, Times};

const LEN: u64 = 200_000;

/// A finished job with a result of `LEN` bytes.
async fn finished(simulators: &Simulators) -> Ready {
    simulators.textin().change_options(|options| {
        options.result_bytes = Some(LEN);
        options.qps = None;
        (options.pending_seconds, options.in_progress_seconds) = (0.0, 0.0);
    });
    let client = crate::textin(simulators);
    let request = ParseRequest::document(Document::from_bytes("a.txt", "some text"));
    let job = client.parse(request.clone()).submit().await.unwrap();
    job.wait(Duration::from_secs(3600)).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_cut_at_random_bytes_arrives_whole() {
    for can_resume in [true, false] {
        let simulators = crate::simulators().await;
        let sim = simulators.textin();
        let ready = finished(&simulators).await;
        sim.change_options(|options| options.result_ranges = can_resume);
        let digest = sim.result_bytes(ready.job_id.as_str()).unwrap().sha256();
        let folder = tempfile::tempdir().unwrap();
        for seed in 0..100u64 {
            // Spread over the body, its first and last bytes included.
            let at = if seed < 2 {
                seed * (LEN - 1)
            } else {
                seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) % LEN
            };
            sim.set_fault("result", Fault::CutBody { at });
            let target = OutputPath::new(folder.path().join(seed.to_string())).unwrap();
            let saved = ready.save_json(target.path()).await.unwrap();
            assert_eq!(
                (saved.len, hex(&saved.sha256.unwrap())),
                (LEN, digest.clone()),
                "cut at {at}, resuming: {can_resume}"
            );
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 100);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_that_never_comes_whole_leaves_nothing() {
    let simulators = crate::simulators().await;
    let ready = finished(&simulators).await;
    simulators
        .textin()
        .change_options(|options| options.result_ranges = false);
    simulators
        .textin()
        .set_fault_times("result", Fault::CutBody { at: LEN / 2 }, Times::Always);
    let folder = tempfile::tempdir().unwrap();
    let target = OutputPath::new(folder.path().join("out")).unwrap();
    let error = ready.save_json(target.path()).await.unwrap_err();
    assert!(error.error().unwrap().is_transient(), "{error}");
    assert!(error.ticket().is_some());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
