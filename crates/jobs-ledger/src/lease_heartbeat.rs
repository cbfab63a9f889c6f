//! Renews a claim in the background while something long is under way, such as an upload.

use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::claim::ClaimKey;
use crate::ledger::Ledger;

/// Renews a claim until it is dropped.
///
/// It cannot renew while the whole process is stopped; then the claim may be lost, which [`lost`](Self::lost) tells.
#[derive(Debug)]
#[must_use = "renewing ends when this is dropped"]
pub struct LeaseHeartbeat {
    task: JoinHandle<()>,
    lost: watch::Receiver<bool>,
}

impl LeaseHeartbeat {
    pub(crate) fn new(ledger: Ledger, claim: ClaimKey) -> Self {
        let (tell, lost) = watch::channel(false);
        let task = tokio::spawn(async move {
            let pause = (ledger.lease() / 3).max(Duration::from_millis(1));
            let clock = ledger.clock().clone();
            loop {
                clock.sleep_until(clock.now() + pause).await;
                match ledger.renew_all(&[claim]).await {
                    Ok(lost) if lost.is_empty() => {}
                    Ok(_) => {
                        let _ = tell.send(true);
                        return;
                    }
                    Err(problem) => {
                        tracing::warn!(job = %claim.job, %problem, "a claim could not be renewed");
                    }
                }
            }
        });
        Self { task, lost }
    }

    /// Whether another process has taken the job over.
    pub fn is_lost(&self) -> bool {
        *self.lost.borrow()
    }

    /// Returns when another process has taken the job over, else never.
    pub async fn lost(&mut self) {
        if self.lost.wait_for(|lost| *lost).await.is_err() {
            std::future::pending().await
        }
    }
}

impl Drop for LeaseHeartbeat {
    fn drop(&mut self) {
        self.task.abort();
    }
}
