//! Where TextIn is to push news: the public address that `docjobs serve --hooks-url` wrote into the ledger, with the
//! unguessable path. Workers follow it while they run.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jobs_ledger::{Ledger, LedgerError};

/// Under which names the ledger keeps it.
pub(crate) const URL: &str = "hooks.url";
pub(crate) const SECRET: &str = "hooks.secret";

/// How often a worker asks for it.
const INTERVAL: Duration = Duration::from_secs(10);

/// The address, or none where no server takes webhooks. Clones are the same one.
#[derive(Clone, Default)]
pub(crate) struct WebhookAddress(Arc<Mutex<Option<String>>>);

impl WebhookAddress {
    pub(crate) fn get(&self) -> Option<String> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Reads it from the ledger.
    pub(crate) async fn refresh(&self, ledger: &Ledger) -> Result<(), LedgerError> {
        let address = match (
            ledger.get_shared(URL).await?,
            ledger.get_shared(SECRET).await?,
        ) {
            (Some(url), Some(secret)) => Some(format!("{url}/textin/{secret}")),
            _ => None,
        };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = address;
        Ok(())
    }

    /// Keeps it as the ledger has it, for as long as this is awaited; it never ends by itself.
    pub(crate) async fn follow(&self, ledger: &Ledger) -> Infallible {
        let clock = ledger.clock();
        loop {
            if let Err(problem) = self.refresh(ledger).await {
                tracing::debug!("cannot read the address for webhooks: {problem}");
            }
            clock.sleep_until(clock.now() + INTERVAL).await;
        }
    }
}
