//! A worker whose leases ran out while it still had its jobs, as when its machine slept or the ledger could not be reached.

use std::time::Duration;

use jobs_core::testing::ManualClock;
use jobs_ledger::{Ledger, LedgerId, Stage};
use jobs_runner::{Runner, WorkerConfig};
use textin::Document;
use tokio::sync::oneshot;

use crate::clock;

#[tokio::test]
async fn what_it_claims_again_it_goes_on_polling() {
    let simulators = crate::simulators().await;
    // Six seconds of the world.
    let pending = 6.0 * f64::from(crate::SPEED);
    simulators
        .textin()
        .change_options(|options| options.pending_seconds = pending);
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("a.txt"), "some text\n").unwrap();
    let time = ManualClock::new();
    let url = format!("sqlite:{}", path("ledger.db").display());
    let ledger = Ledger::open(&url, time.shared()).await.unwrap();
    let handler = textin::handler(crate::textin(&simulators));
    let runner = Runner::on(ledger.clone()).with(handler);
    let document = textin::input(Document::open(path("a.txt")).unwrap());
    let id = runner
        .enqueue(document)
        .output(path("a.md"))
        .await
        .unwrap()
        .id;
    let (stop, stopped) = oneshot::channel::<()>();
    let working = tokio::spawn(runner.worker(WorkerConfig::default()).run(async {
        let _ = stopped.await;
    }));
    let ends = async {
        loop {
            let job = ledger.get(id).await.unwrap().unwrap();
            assert!(job.parked.is_none(), "{job:#?}");
            if job.stage == Stage::Completed {
                break;
            }
            // Whether the worker renews the claim or takes the job anew is a race between two of its timers.
            if job.stage == Stage::Accepted && !was_reclaimed(&ledger, id).await {
                time.advance(ledger.lease() + Duration::from_secs(1));
            } else {
                time.advance(ledger.lease() / 10);
            }
            clock::pass(Duration::from_millis(20)).await;
        }
    };
    clock::within(Duration::from_secs(60), ends).await.unwrap();
    let _ = stop.send(());
    working.await.unwrap().unwrap();
    assert!(was_reclaimed(&ledger, id).await);
    assert_eq!(simulators.textin().charges().len(), 1);
    assert!(path("a.md").exists());
}

async fn was_reclaimed(ledger: &Ledger, id: LedgerId) -> bool {
    let events = ledger.events(id).await.unwrap();
    events.iter().any(|event| event.kind == "reclaimed")
}
