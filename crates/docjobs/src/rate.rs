//! The rate of an account, shared by all processes on one ledger.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use jobs_core::Error;
use jobs_core::vendor::{Account, Acquired, RateLimit, SharedRate};
use jobs_runner::ScaledRate;

use crate::app::App;
use crate::exit::CommandError;

/// Opens the ledger when the first request is made, so that a command without any touches no file.
struct LedgerRate(App);

/// The rate as the clients take it.
pub(crate) fn shared(app: &App) -> Result<Arc<dyn SharedRate>, CommandError> {
    let rate = LedgerRate(app.clone());
    Ok(Arc::new(ScaledRate::new(rate, app.scale()?)))
}

#[async_trait]
impl SharedRate for LedgerRate {
    async fn acquire(
        &self,
        account: Account,
        action: &str,
        windows: &[RateLimit],
    ) -> Result<Acquired, Error> {
        let ledger = self.0.ledger().await;
        let ledger =
            ledger.map_err(|stop| Error::local_io("ledger", "open", stop.line, "unusable"))?;
        SharedRate::acquire(&ledger, account, action, windows).await
    }

    async fn record_response(&self, account: Account, action: &str, serial: u64) {
        if let Ok(ledger) = self.0.ledger().await {
            SharedRate::record_response(&ledger, account, action, serial).await;
        }
    }
}

impl fmt::Debug for LedgerRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LedgerRate").finish_non_exhaustive()
    }
}
