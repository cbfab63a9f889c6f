//! Repeats requests as far as [`decide`] allows.

pub mod decide;

use std::time::Duration;

use self::decide::Decision;
use crate::call::{Activity, CallMonitor};
use crate::clock::Clock;
use crate::error::Error;
use crate::submit_error::{LostSubmit, SubmitError};

/// Makes a call that costs money, repeating it only where no work can have begun. `summary` describes the input for whoever has
/// to search for its outcome.
///
/// # Errors
/// [`SubmitError`], which says whether money may have been spent.
pub async fn non_idempotent<T, F>(
    clock: &dyn Clock,
    summary: &str,
    call: impl Fn() -> F,
) -> Result<T, SubmitError>
where
    F: Future<Output = Result<T, Error>>,
{
    let sent_at = clock.wall();
    let mut repeats = 0;
    loop {
        CallMonitor::paid_try_begins();
        let error = match call().await {
            Ok(value) => {
                CallMonitor::paid_try_succeeded();
                return Ok(value);
            }
            Err(error) => error,
        };
        CallMonitor::paid_try_failed(&error);
        match decide::non_idempotent(&error, repeats) {
            Decision::RetryAfter(pause) => {
                tracing::debug!(%error, ?pause, "nothing was begun, trying again");
                let pause = lengthened(pause);
                CallMonitor::tell(Activity::Retrying { pause, error });
                clock.sleep_until(clock.now() + pause).await;
                repeats += 1;
            }
            Decision::Rejected => return Err(SubmitError::Rejected(error)),
            Decision::OutcomeUnknown => {
                return Err(SubmitError::OutcomeUnknown(LostSubmit {
                    summary: summary.into(),
                    sent_at,
                    error,
                }));
            }
        }
    }
}

/// Makes an idempotent call and repeats it while its error is transient.
///
/// # Errors
/// The error of the last try.
pub async fn idempotent<T, F>(clock: &dyn Clock, call: impl Fn() -> F) -> Result<T, Error>
where
    F: Future<Output = Result<T, Error>>,
{
    with(clock, decide::idempotent, call).await
}

/// Makes a call, repeating it while `decide` gives a delay for the error and the number of repetitions so far.
///
/// For a call with a rule of its own, such as one that may be repeated once and leaves something behind each time.
///
/// # Errors
/// The error of the last try.
pub async fn with<T, F>(
    clock: &dyn Clock,
    decide: impl Fn(&Error, u32) -> Option<Duration>,
    call: impl Fn() -> F,
) -> Result<T, Error>
where
    F: Future<Output = Result<T, Error>>,
{
    let mut repeats = 0;
    loop {
        let error = match call().await {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        let Some(pause) = decide(&error, repeats) else {
            return Err(error);
        };
        tracing::debug!(%error, ?pause, "trying again");
        let pause = lengthened(pause);
        CallMonitor::tell(Activity::Retrying { pause, error });
        clock.sleep_until(clock.now() + pause).await;
        repeats += 1;
    }
}

/// Up to a quarter longer, never shorter than what the vendor asked for: clients that failed together come back apart.
pub(crate) fn lengthened(pause: Duration) -> Duration {
    pause.mul_f64(1.0 + fastrand::f64() / 4.0)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::error::{Delivery, ErrorKind, Refusal};
    use crate::testing::ManualClock;

    async fn tries_of_a_paid_call(error: Error) -> (u32, SubmitError) {
        let (clock, tries) = (ManualClock::new(), AtomicU32::new(0));
        let call = non_idempotent(&clock, "x", async || {
            tries.fetch_add(1, Ordering::Relaxed);
            Err::<(), _>(error.clone())
        });
        let outcome = clock.run(call).await.unwrap_err();
        (tries.load(Ordering::Relaxed), outcome)
    }

    #[test]
    fn a_pause_is_never_shortened_and_lengthened_by_a_quarter_at_most() {
        let pause = Duration::from_secs(8);
        let drawn: Vec<Duration> = (0..1000).map(|_| lengthened(pause)).collect();
        let (least, most) = (drawn.iter().min().unwrap(), drawn.iter().max().unwrap());
        assert!(pause <= *least && *most <= Duration::from_secs(10));
        // Clients that failed together come back apart: a thousand draws do not all fall into one half.
        assert!(*most - *least > Duration::from_secs(1));
    }

    #[tokio::test]
    async fn a_lost_answer_is_never_asked_for_again() {
        let lost = Error::new(ErrorKind::Timeout, "v", "submit").with_delivery(Delivery::MaybeSent);
        let (tries, outcome) = tries_of_a_paid_call(lost).await;
        assert_eq!(tries, 1);
        assert!(matches!(outcome, SubmitError::OutcomeUnknown(_)));
    }

    #[tokio::test]
    async fn a_refusal_before_work_is_repeated_as_often_as_listed() {
        let refusal = Refusal::BeforeWork {
            delay: Duration::from_secs(3),
            times: 2,
        };
        let busy = Error::new(ErrorKind::RateLimited, "v", "submit")
            .with_delivery(Delivery::Answered)
            .with_refusal(refusal);
        let (tries, outcome) = tries_of_a_paid_call(busy).await;
        assert_eq!(tries, 3);
        assert!(matches!(outcome, SubmitError::Rejected(_)));
    }

    #[tokio::test]
    async fn a_call_with_a_rule_of_its_own_is_repeated_as_often_as_that_says() {
        let (clock, tries) = (ManualClock::new(), AtomicU32::new(0));
        let once = |_: &Error, repeats| (repeats < 1).then_some(Duration::from_secs(1));
        let call = with(&clock, once, async || {
            tries.fetch_add(1, Ordering::Relaxed);
            Err::<(), _>(Error::new(ErrorKind::Refused, "v", "upload"))
        });
        assert!(clock.run(call).await.is_err());
        assert_eq!(tries.load(Ordering::Relaxed), 2);
    }

    #[tokio::test]
    async fn an_old_error_is_not_raised_after_a_later_success() {
        let (clock, tries) = (ManualClock::new(), AtomicU32::new(0));
        let call = idempotent(&clock, async || {
            match tries.fetch_add(1, Ordering::Relaxed) {
                0 => Err(Error::new(ErrorKind::Unavailable, "v", "list")),
                n => Ok(n),
            }
        });
        assert_eq!(clock.run(call).await.unwrap(), 1);
    }
}
