//! How the engine repeats an activity: what pays never, everything else until it works.

use std::time::Duration;

use temporalio_common::RetryPolicy;

/// For activities that cost nothing.
pub(crate) fn retried() -> RetryPolicy {
    RetryPolicy::builder()
        .initial_interval(Duration::from_secs(1))
        .maximum_interval(Duration::from_secs(30))
        .build()
}

/// For the paid call.
pub(crate) fn once() -> RetryPolicy {
    RetryPolicy::builder().maximum_attempts(1).build()
}
