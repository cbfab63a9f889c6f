//! The rate of an account, shared by all processes on one ledger.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use jobs_core::{Account, Error, SharedRate, Taken, Window};

use crate::app::App;
use crate::exit::Stop;

/// Opens the ledger when the first request is made, so that a command without any touches no file.
struct LedgerRate {
    app: App,
    /// How many vendor seconds pass in a second of the ledger.
    scale: u32,
}

/// The rate as the clients take it.
pub(crate) fn shared(app: &App) -> Result<Arc<dyn SharedRate>, Stop> {
    Ok(Arc::new(LedgerRate {
        app: app.clone(),
        scale: app.scale()?,
    }))
}

#[async_trait]
impl SharedRate for LedgerRate {
    async fn take(
        &self,
        account: Account,
        action: &str,
        windows: &[Window],
    ) -> Result<Taken, Error> {
        let ledger = self.app.ledger().await;
        let ledger =
            ledger.map_err(|stop| Error::local("ledger", "open", stop.line, "unusable"))?;
        let windows: Vec<Window> = windows
            .iter()
            .map(|window| Window {
                per: window.per / self.scale,
                ..*window
            })
            .collect();
        let taken = SharedRate::take(&ledger, account, action, &windows).await?;
        Ok(match taken {
            Taken::Wait(pause) => Taken::Wait(pause * self.scale),
            granted => granted,
        })
    }

    async fn answered(&self, account: Account, action: &str, serial: u64) {
        if let Ok(ledger) = self.app.ledger().await {
            SharedRate::answered(&ledger, account, action, serial).await;
        }
    }
}

impl fmt::Debug for LedgerRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LedgerRate").finish_non_exhaustive()
    }
}
