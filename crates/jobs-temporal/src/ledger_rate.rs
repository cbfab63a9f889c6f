//! The rate of an account, shared by all workers on one ledger, at whatever speed the vendor's clock runs.

use std::fmt;

use async_trait::async_trait;
use jobs_core::{Account, Acquired, Error, RateLimit, SharedRate};
use jobs_ledger::Ledger;

pub(crate) struct LedgerRate {
    ledger: Ledger,
    /// How many vendor seconds pass in a second of the ledger.
    scale: u32,
}

impl LedgerRate {
    pub(crate) fn new(ledger: Ledger, scale: u32) -> Self {
        Self { ledger, scale }
    }
}

#[async_trait]
impl SharedRate for LedgerRate {
    async fn acquire(
        &self,
        account: Account,
        action: &str,
        windows: &[RateLimit],
    ) -> Result<Acquired, Error> {
        let windows: Vec<RateLimit> = windows
            .iter()
            .map(|window| RateLimit {
                per: window.per / self.scale,
                ..*window
            })
            .collect();
        let acquired = SharedRate::acquire(&self.ledger, account, action, &windows).await?;
        Ok(match acquired {
            Acquired::Wait(pause) => Acquired::Wait(pause * self.scale),
            granted => granted,
        })
    }

    async fn record_response(&self, account: Account, action: &str, serial: u64) {
        SharedRate::record_response(&self.ledger, account, action, serial).await;
    }
}

impl fmt::Debug for LedgerRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LedgerRate")
            .field("scale", &self.scale)
            .finish_non_exhaustive()
    }
}
