//! What is known of print jobs at the vendor: the pace of polls, the size of one, and what calls cost.

use std::num::NonZeroUsize;
use std::time::Duration;

use jobs_core::vendor::{KindPolicy, PollSchedule, Sourced};

use crate::wire::MAX_PAGE;

/// How many jobs one poll covers.
pub(crate) const BATCH: NonZeroUsize = match NonZeroUsize::new(MAX_PAGE as usize) {
    Some(ids) => ids,
    None => NonZeroUsize::MIN,
};

/// The policy of a print job. What is inferred can be set through
/// [`DeviceBuilder::with_policy`](crate::DeviceBuilder::with_policy).
pub(crate) fn policy() -> KindPolicy {
    let second = Duration::from_secs(1);
    let mut policy = KindPolicy::new(
        Sourced::inferred(second, "the vendor states no rate; once a second is modest"),
        Sourced::observed(
            Duration::from_secs(2),
            "a job's push came 1 to 2 s after its submission",
        ),
        Sourced::inferred(
            PollSchedule::every(Duration::from_secs(10)),
            "printing takes a person's time, and pushes announce what is urgent",
        ),
    );
    policy.poll_timeout = Sourced::inferred(
        Duration::from_secs(30),
        "an answer within 15 s, and as long to be online again",
    );
    policy.max_batch = Sourced::inferred(
        BATCH,
        "the cloud flavour allows 200 ids; this one states no limit",
    );
    policy.job_ttl = Some(Sourced::documented(
        Duration::from_secs(7 * 86_400),
        "document path 94010: jobs are kept for seven days",
    ));
    policy
}
