//! The rate of an account, shared by all processes on one ledger.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use jobs_core::{Account, Acquired, Error, RateLimit, SharedRate};

use crate::app::App;
use crate::exit::CommandError;

/// Opens the ledger when the first request is made, so that a command without any touches no file.
struct LedgerRate {
    app: App,
    /// How many vendor seconds pass in a second of the ledger.
    scale: u32,
}

/// The rate as the clients take it.
pub(crate) fn shared(app: &App) -> Result<Arc<dyn SharedRate>, CommandError> {
    Ok(Arc::new(LedgerRate {
        app: app.clone(),
        scale: app.scale()?,
    }))
}

#[async_trait]
impl SharedRate for LedgerRate {
    async fn acquire(
        &self,
        account: Account,
        action: &str,
        windows: &[RateLimit],
    ) -> Result<Acquired, Error> {
        let ledger = self.app.ledger().await;
        let ledger =
            ledger.map_err(|stop| Error::local_io("ledger", "open", stop.line, "unusable"))?;
        let windows: Vec<RateLimit> = windows
            .iter()
            .map(|window| RateLimit {
                per: window.per / self.scale,
                ..*window
            })
            .collect();
        let taken = SharedRate::acquire(&ledger, account, action, &windows).await?;
        Ok(match taken {
            Acquired::Wait(pause) => Acquired::Wait(pause * self.scale),
            granted => granted,
        })
    }

    async fn record_response(&self, account: Account, action: &str, serial: u64) {
        if let Ok(ledger) = self.app.ledger().await {
            SharedRate::record_response(&ledger, account, action, serial).await;
        }
    }
}

impl fmt::Debug for LedgerRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LedgerRate").finish_non_exhaustive()
    }
}
