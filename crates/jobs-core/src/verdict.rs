//! May this request be repeated? Pure functions; [`retry`](crate::retry) acts on them.

use std::time::Duration;

use crate::error::{Error, Refusal, Sent};

/// What to do after a failed call that costs money.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paid {
    /// Provably no work was begun: try again after this time.
    Repeat(Duration),
    /// The vendor did not take it, and trying again is no use.
    Refused,
    /// It may have been taken. Never repeat it by yourself.
    Unknown,
}

/// The verdict on a failed call that costs money, after `repeats` repetitions.
///
/// Repeats only what was never sent, and what the vendor refused by a code that its notes list as made before any
/// work, as often as they allow. Whatever may have been acted upon is unknown.
pub fn paid(error: &Error, repeats: u32) -> Paid {
    const CONNECTS: u32 = 3;
    match (error.sent(), error.refusal()) {
        (Sent::Maybe, _) => Paid::Unknown,
        (Sent::No, _) if error.is_transient() && repeats < CONNECTS => {
            Paid::Repeat(Duration::from_millis(500) * 2u32.pow(repeats))
        }
        (Sent::Yes, Refusal::BeforeWork { wait, times }) if repeats < times => {
            Paid::Repeat(wait.max(error.wait().unwrap_or_default()).min(LONGEST_WAIT))
        }
        _ => Paid::Refused,
    }
}

/// The pause before repeating a harmless call for the time number `repeats + 1`; `None` when that is no use.
///
/// Doubles from half a second to half a minute. A vendor's word on when to come back is obeyed up to a minute.
pub fn harmless(error: &Error, repeats: u32) -> Option<Duration> {
    const REPEATS: u32 = 6;
    let pause = Duration::from_millis(500 << repeats.min(6)).max(error.wait().unwrap_or_default());
    (error.is_transient() && repeats < REPEATS).then_some(pause.min(LONGEST_WAIT))
}

/// A vendor that says "come back in ten hours" is asked again after this time.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    fn error(kind: ErrorKind, sent: Sent) -> Error {
        Error::new(kind, "v", "submit").with_sent(sent)
    }

    const BEFORE_WORK: Refusal = Refusal::BeforeWork {
        wait: Duration::from_secs(3),
        times: 2,
    };

    #[test]
    fn every_combination_of_a_paid_call() {
        use ErrorKind::{
            Credentials, Garbled, Input, RateLimited, TimedOut, Unavailable, Unreachable,
        };
        let seconds = Duration::from_secs;
        for (error, repeats, verdict) in [
            (
                error(Unreachable, Sent::No),
                0,
                Paid::Repeat(Duration::from_millis(500)),
            ),
            (error(Unreachable, Sent::No), 2, Paid::Repeat(seconds(2))),
            (error(Unreachable, Sent::No), 3, Paid::Refused),
            (error(Input, Sent::No), 0, Paid::Refused),
            (error(TimedOut, Sent::Maybe), 0, Paid::Unknown),
            (error(Unavailable, Sent::Maybe), 0, Paid::Unknown),
            (
                error(Garbled, Sent::Maybe).with_refusal(BEFORE_WORK),
                0,
                Paid::Unknown,
            ),
            (error(Credentials, Sent::Yes), 0, Paid::Refused),
            (error(RateLimited, Sent::Yes), 0, Paid::Refused),
            (
                error(RateLimited, Sent::Yes).with_refusal(BEFORE_WORK),
                0,
                Paid::Repeat(seconds(3)),
            ),
            (
                error(RateLimited, Sent::Yes).with_refusal(BEFORE_WORK),
                2,
                Paid::Refused,
            ),
            (
                error(RateLimited, Sent::Yes)
                    .with_refusal(BEFORE_WORK)
                    .with_wait(Some(seconds(36_000))),
                1,
                Paid::Repeat(seconds(60)),
            ),
        ] {
            assert_eq!(paid(&error, repeats), verdict, "{error:?} after {repeats}");
        }
    }

    #[test]
    fn harmless_calls_are_repeated_for_transient_trouble_only() {
        let trouble = error(ErrorKind::Unavailable, Sent::Maybe);
        let pauses: Vec<_> = (0..).map_while(|n| harmless(&trouble, n)).collect();
        assert_eq!(
            pauses,
            [500, 1000, 2000, 4000, 8000, 16_000].map(Duration::from_millis)
        );
        assert_eq!(harmless(&error(ErrorKind::Credentials, Sent::Yes), 0), None);
        let hint = trouble.with_wait(Some(Duration::from_secs(36_000)));
        assert_eq!(harmless(&hint, 0), Some(Duration::from_secs(60)));
    }
}
