//! Who changed a vendor's budget last.

use jobs_ledger::{Ledger, LedgerError};

fn key(vendor: &str) -> String {
    format!("budget-author/{vendor}")
}

/// Keeps who changed it, as the history of a job says it: `by alice`.
pub(crate) async fn record(ledger: &Ledger, vendor: &str, author: &str) -> Result<(), LedgerError> {
    ledger.put_shared(&key(vendor), author).await
}

/// None where nobody is on record.
pub(crate) async fn of(ledger: &Ledger, vendor: &str) -> Result<Option<String>, LedgerError> {
    ledger.get_shared(&key(vendor)).await
}
