//! One job from its submit to its output, within one deadline.

use std::time::SystemTime;

use crate::call::CallMonitor;
use crate::clock::bounded;
use crate::error::{Delivery, Error, ErrorKind};
use crate::job::Job;
use crate::kind::JobKind;
use crate::poller::WaitOptions;
use crate::run_error::RunError;
use crate::submit_error::{LostSubmit, SubmitError};

/// Submits and waits; the deadline bounds both together. `summary` describes the input for whoever has to search for it.
///
/// # Errors
/// [`RunError`]: a submit that is cut at the deadline was rejected if nothing of it had left, otherwise its outcome is unknown.
pub async fn run<K: JobKind>(
    kind: &K,
    summary: &str,
    options: impl Into<WaitOptions>,
    submit: impl Future<Output = Result<Job<K>, SubmitError>>,
) -> Result<K::Output, RunError> {
    let (clock, options) = (kind.clock(), options.into());
    let (sent_at, begun) = (clock.wall(), clock.now());
    let monitor = CallMonitor::new();
    let submitted = bounded(&**clock, begun + options.deadline, monitor.watch(submit)).await;
    let job = match submitted {
        Some(submitted) => submitted?,
        None => return Err(cut(kind.vendor(), summary, sent_at, &monitor).into()),
    };
    let spent = clock
        .now()
        .since_start()
        .saturating_sub(begun.since_start());
    let rest = WaitOptions {
        deadline: options.deadline.saturating_sub(spent),
        ..options
    };
    Ok(job.wait(rest).await?)
}

fn cut(
    vendor: &'static str,
    summary: &str,
    sent_at: SystemTime,
    monitor: &CallMonitor,
) -> SubmitError {
    let sent = monitor.give_up();
    let error = Error::new(ErrorKind::Timeout, vendor, "submit")
        .with_delivery(sent)
        .with_message("not accepted by the deadline");
    let error = match monitor.address() {
        Some(address) => error.with_address(address),
        None => error,
    };
    if sent == Delivery::NotSent {
        SubmitError::Rejected(error)
    } else {
        SubmitError::OutcomeUnknown(LostSubmit {
            summary: summary.into(),
            sent_at,
            error,
        })
    }
}
