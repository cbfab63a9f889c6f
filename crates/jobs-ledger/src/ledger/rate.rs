//! The ledger as the keeper of a rate that processes share.

use async_trait::async_trait;
use jobs_core::{Account, Error, SharedRate, Taken, Window};

use super::Ledger;
use super::shared::{Place, Turn};

/// Times are the ledger's own: a program whose vendor clock is faster gives windows that are as much shorter.
#[async_trait]
impl SharedRate for Ledger {
    async fn take(
        &self,
        account: Account,
        action: &str,
        windows: &[Window],
    ) -> Result<Taken, Error> {
        match Self::take(self, account, action, windows).await {
            Ok(Turn::Granted(place)) => Ok(Taken::Granted(place.serial())),
            Ok(Turn::Wait(pause)) => Ok(Taken::Wait(pause)),
            Err(error) => Err(Error::local(
                "ledger",
                "take",
                "no place could be taken",
                error,
            )),
        }
    }

    async fn answered(&self, account: Account, action: &str, serial: u64) {
        if let Err(problem) = Self::answered(self, Place::new(account, action, serial)).await {
            tracing::debug!(%problem, "a place of a shared rate runs out by itself");
        }
    }
}
