//! From the listener to the ledger: calls are written down in batches, apart from their answers.

use std::sync::Arc;
use std::time::Duration;

use jobs_core::clock::Clock;
use jobs_ledger::{Ledger, LedgerError, WebhookCall, WebhookTrust};
use tokio::sync::mpsc;

use super::hook_call::{HookCall, Trust};

/// How many calls may wait to be written down.
pub(super) const QUEUE: usize = 20_000;
/// How many are written in one transaction.
const BATCH: usize = 500;
/// After the ledger could not be written.
const PAUSE: Duration = Duration::from_millis(500);
/// How often a batch is tried. What is lost then is only a hint: the jobs are polled all the same.
const TRIES: u32 = 20;

/// Writes down what comes until the listener has ended.
pub(super) async fn write_down(
    ledger: Ledger,
    mut calls: mpsc::Receiver<HookCall>,
    clock: Arc<dyn Clock>,
) {
    let mut batch = Vec::with_capacity(BATCH);
    while calls.recv_many(&mut batch, BATCH).await > 0 {
        let mut tries = 1;
        while let Err(problem) = write(&ledger, &batch).await {
            tracing::warn!("cannot write down webhooks: {problem}");
            if tries == TRIES {
                break;
            }
            tries += 1;
            clock.sleep_until(clock.now() + PAUSE).await;
        }
        batch.clear();
    }
}

async fn write(ledger: &Ledger, batch: &[HookCall]) -> Result<(), LedgerError> {
    let calls = batch.iter().map(|call| {
        let trust = match call.trust {
            Trust::Forged => WebhookTrust::Forged,
            Trust::Signed => WebhookTrust::Signed,
            Trust::Unsigned => WebhookTrust::Unsigned,
        };
        WebhookCall::new(
            call.vendor,
            call.remote_id.clone(),
            call.body.as_str(),
            trust,
        )
    });
    ledger.record_webhooks(calls.collect()).await.map(drop)
}
