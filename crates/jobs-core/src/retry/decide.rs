//! Whether a failed call may be repeated, and when. Pure; the functions beside it act on it.

use std::time::Duration;

use crate::error::{Delivery, Error, Refusal};

/// What to do after a failed call that costs money.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Provably no work was begun: try again after this time.
    RetryAfter(Duration),
    /// The vendor did not take it, and trying again is no use.
    Rejected,
    /// It may have been taken. Do not repeat it.
    OutcomeUnknown,
}

/// What to do after a failed call that costs money and `repeats` repetitions.
///
/// Repeats only what was never sent, and what the vendor refused by a code that its notes list as made before any
/// work, as often as they allow. The outcome of anything that the vendor may have acted upon is unknown.
pub fn non_idempotent(error: &Error, repeats: u32) -> Decision {
    const CONNECT_RETRIES: u32 = 3;
    match (error.delivery(), error.refusal()) {
        (Delivery::MaybeSent, _) => Decision::OutcomeUnknown,
        (Delivery::NotSent, _) if error.is_transient() && repeats < CONNECT_RETRIES => {
            Decision::RetryAfter(Duration::from_millis(500) * 2u32.pow(repeats))
        }
        (Delivery::Answered, Refusal::BeforeWork { delay, times }) if repeats < times => {
            Decision::RetryAfter(
                delay
                    .max(error.retry_after().unwrap_or_default())
                    .min(MAX_RETRY_AFTER),
            )
        }
        _ => Decision::Rejected,
    }
}

/// The delay before repetition number `repeats + 1` of an idempotent call; `None` when repeating is no use.
///
/// Doubles from half a second to half a minute. The vendor's retry-after is obeyed up to a minute.
pub fn idempotent(error: &Error, repeats: u32) -> Option<Duration> {
    const RETRIES: u32 = 6;
    let delay =
        Duration::from_millis(500 << repeats.min(6)).max(error.retry_after().unwrap_or_default());
    (error.is_transient() && repeats < RETRIES).then_some(delay.min(MAX_RETRY_AFTER))
}

/// The longest retry-after that is obeyed; a vendor that says ten hours is asked again after this time.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    fn error(kind: ErrorKind, delivery: Delivery) -> Error {
        Error::new(kind, "v", "submit").with_delivery(delivery)
    }

    const BEFORE_WORK: Refusal = Refusal::BeforeWork {
        delay: Duration::from_secs(3),
        times: 2,
    };

    #[test]
    fn every_combination_of_a_paid_call() {
        use ErrorKind::{
            InvalidInput, RateLimited, Timeout, Unauthenticated, Unavailable, UnexpectedResponse,
            Unreachable,
        };
        let seconds = Duration::from_secs;
        for (error, repeats, expected) in [
            (
                error(Unreachable, Delivery::NotSent),
                0,
                Decision::RetryAfter(Duration::from_millis(500)),
            ),
            (
                error(Unreachable, Delivery::NotSent),
                2,
                Decision::RetryAfter(seconds(2)),
            ),
            (error(Unreachable, Delivery::NotSent), 3, Decision::Rejected),
            (
                error(InvalidInput, Delivery::NotSent),
                0,
                Decision::Rejected,
            ),
            (
                error(Timeout, Delivery::MaybeSent),
                0,
                Decision::OutcomeUnknown,
            ),
            (
                error(Unavailable, Delivery::MaybeSent),
                0,
                Decision::OutcomeUnknown,
            ),
            (
                error(UnexpectedResponse, Delivery::MaybeSent).with_refusal(BEFORE_WORK),
                0,
                Decision::OutcomeUnknown,
            ),
            (
                error(Unauthenticated, Delivery::Answered),
                0,
                Decision::Rejected,
            ),
            (
                error(RateLimited, Delivery::Answered),
                0,
                Decision::Rejected,
            ),
            (
                error(RateLimited, Delivery::Answered).with_refusal(BEFORE_WORK),
                0,
                Decision::RetryAfter(seconds(3)),
            ),
            (
                error(RateLimited, Delivery::Answered).with_refusal(BEFORE_WORK),
                2,
                Decision::Rejected,
            ),
            (
                error(RateLimited, Delivery::Answered)
                    .with_refusal(BEFORE_WORK)
                    .with_retry_after(Some(seconds(36_000))),
                1,
                Decision::RetryAfter(seconds(60)),
            ),
        ] {
            assert_eq!(
                non_idempotent(&error, repeats),
                expected,
                "{error:?} after {repeats}"
            );
        }
    }

    #[test]
    fn idempotent_calls_are_repeated_for_transient_errors_only() {
        let unavailable = error(ErrorKind::Unavailable, Delivery::MaybeSent);
        let delays: Vec<_> = (0..).map_while(|n| idempotent(&unavailable, n)).collect();
        assert_eq!(
            delays,
            [500, 1000, 2000, 4000, 8000, 16_000].map(Duration::from_millis)
        );
        assert_eq!(
            idempotent(&error(ErrorKind::Unauthenticated, Delivery::Answered), 0),
            None
        );
        let hint = unavailable.with_retry_after(Some(Duration::from_secs(36_000)));
        assert_eq!(idempotent(&hint, 0), Some(Duration::from_secs(60)));
    }
}
