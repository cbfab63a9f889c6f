//! How a ledger is opened.

use std::time::Duration;

use crate::place_key::PlaceKey;

/// What can be set when a ledger is opened.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct LedgerConfig {
    /// How long a claim holds without being renewed. Default 10 s; the same for all who share a ledger.
    pub lease: Duration,
    /// How long to wait for a lock or a connection. Default 5 s.
    pub patience: Duration,
    /// How many connections to a database are open at once, at most. Default 8; a command that works on one job needs 2.
    pub connections: u32,
    /// The PostgreSQL schema to use instead of the user's default one. It is created.
    pub schema: Option<String>,
    /// By what this user's places are known again among those of others. Without it every place counts as one's own,
    /// which is right for a file that nobody else can write.
    pub place_key: Option<PlaceKey>,
}

impl Default for LedgerConfig {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(10),
            patience: Duration::from_secs(5),
            connections: 8,
            schema: None,
            place_key: None,
        }
    }
}
