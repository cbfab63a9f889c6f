//! The ledger as the keeper of a rate that processes share.

use async_trait::async_trait;
use jobs_core::Error;
use jobs_core::vendor::{Account, Acquired, RateLimit, SharedRate};

use super::Ledger;

/// Times are the ledger's own: a program whose vendor clock is faster gives windows that are as much shorter.
#[async_trait]
impl SharedRate for Ledger {
    async fn acquire(
        &self,
        account: Account,
        action: &str,
        windows: &[RateLimit],
    ) -> Result<Acquired, Error> {
        Self::acquire(self, account, action, windows)
            .await
            .map_err(|error| Error::local_io("ledger", "take", "no place could be taken", error))
    }

    async fn record_response(&self, account: Account, action: &str, serial: u64) {
        if let Err(problem) = Self::record_response(self, account, action, serial).await {
            tracing::debug!(%problem, "a place of a shared rate runs out by itself");
        }
    }
}
