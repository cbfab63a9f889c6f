//! Where the time is read: tokio's, which stands still while there is something to do.

use tokio::time::Instant;

pub fn now() -> Instant {
    Instant::now()
}
