//! Decides how things end: pure functions on which the steps, the job runner and the worker act.

use std::io;
use std::time::{Duration, SystemTime};

use jobs_core::clock::{Clock, Moment};
use jobs_core::vendor::{Activity, CallMonitor, Delivery};
use jobs_core::{Error, ErrorKind};

use jobs_ledger::{Ledger, UnverifiedResult};

/// What cuts a step short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// The deadline has come.
    Deadline,
    /// The program ends.
    Shutdown,
}

/// What becomes of a submit that was cut short.
#[derive(Debug)]
pub(crate) enum CutSubmit {
    /// It was not sent, and will not be.
    NotSent(Error),
    /// It may have been taken and charged.
    Unknown(Error),
}

/// What is done about a result that could not be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NextFetch {
    /// Another poll, for a fresh link, after this time.
    After(Duration),
    /// Nothing before somebody has acted.
    Park,
    /// Nothing in the time that is left.
    LeaveIt,
}

/// How long a submit under way may go on after a shutdown was requested.
const SUBMIT_AFTER_SHUTDOWN: Duration = Duration::from_secs(5);

/// Returns when a submit must not go on after a shutdown was requested: at once if nothing of it has left, else when it had time to end
/// by itself.
pub(crate) async fn after_shutdown(clock: &dyn Clock, monitor: &CallMonitor) {
    if monitor.sent() != Delivery::NotSent {
        clock.guard_until(clock.now() + SUBMIT_AFTER_SHUTDOWN).await;
    }
}

/// What is kept of the time for searching a lost submit: as much as the searches need, but at most a third.
const SEARCHES: Duration = Duration::from_secs(20);

/// When a submit is given up that has no answer. A kind that can be searched leaves time for that.
pub(crate) fn submit_ends(now: Moment, deadline: Moment, can_search: bool) -> Moment {
    let left = deadline.since(now);
    if can_search {
        now + left.saturating_sub(SEARCHES.min(left / 3))
    } else {
        deadline
    }
}

/// The next moment at which a lost submit is searched for: each search that has still a place before the end is made,
/// and the first one always.
pub(crate) fn search_at(now: Moment, end: Moment, searches: usize) -> Option<Moment> {
    const PAUSES: [u64; 3] = [2, 5, 10];
    let pause = Duration::from_secs(*PAUSES.get(searches)?);
    match now + pause {
        at if at <= end => Some(at),
        _ if searches == 0 => Some(end.max(now)),
        _ => None,
    }
}

/// What a submit that was cut short has come to. `sent`, `activity` and `address` are what its monitor saw.
pub(crate) fn cut_submit(
    vendor: &'static str,
    cut: Cut,
    sent: Delivery,
    activity: &Activity,
    address: Option<&str>,
) -> CutSubmit {
    let what = match cut {
        Cut::Deadline => "the deadline passed",
        Cut::Shutdown => "interrupted",
    };
    let address = address.map_or_else(String::new, |address| format!(" ({address})"));
    // What the last try met, and what can be done about that, each where an error has its place for it.
    let (last, advice) = match activity {
        Activity::Retrying { error, .. } => {
            let message = error.message().unwrap_or_default();
            let last = format!("; before that: {}: {message}", error.kind());
            let advice = match (error.kind(), error.help()) {
                // Its own advice begins with these words.
                (ErrorKind::Unreachable, Some(advice)) => advice.to_owned(),
                (_, Some(advice)) => format!("nothing was sent; {advice}"),
                (_, None) => "nothing was sent".to_owned(),
            };
            (last, advice)
        }
        _ => (String::new(), "nothing was sent".to_owned()),
    };
    let error = Error::new(ErrorKind::Timeout, vendor, "submit")
        .with_delivery(sent)
        .with_message(format!("{what} while {}{address}{last}", doing(activity)));
    if sent == Delivery::NotSent {
        CutSubmit::NotSent(error.with_help(advice))
    } else {
        CutSubmit::Unknown(error)
    }
}

/// What a call is doing, in words that follow *while*.
pub fn doing(activity: &Activity) -> String {
    match activity {
        Activity::WaitingForRate => "waiting for the account's rate".to_owned(),
        Activity::Connecting { .. } => "connecting".to_owned(),
        Activity::Sending { sent, total } => match total {
            Some(total) if *total > 0 => {
                format!("uploading, {} % of {total} bytes", sent * 100 / total)
            }
            _ => format!("uploading, {sent} bytes so far"),
        },
        Activity::WaitingForAnswer => "waiting for the answer".to_owned(),
        Activity::Retrying { pause, .. } => {
            format!("waiting {:.0} s to try again", pause.as_secs_f64().ceil())
        }
        _ => "preparing".to_owned(),
    }
}

/// What is done after a result could not be had for the time number `failures`, with so much time left. The vendor has
/// it: whatever the storage answers, a fresh link may bring it.
pub(crate) fn next_fetch(error: &Error, failures: u32, left: Duration) -> NextFetch {
    if error.kind() == ErrorKind::LocalIo {
        return NextFetch::Park;
    }
    let pause = Duration::from_secs(1 << failures.clamp(1, 6)).min(LONGEST_PAUSE);
    let pause = pause.max(error.retry_after().unwrap_or_default().min(LONGEST_PAUSE));
    if pause < left {
        NextFetch::After(pause)
    } else {
        NextFetch::LeaveIt
    }
}

/// Whether a result could not be kept for want of room on the disk.
pub(crate) fn has_no_room(error: &Error) -> bool {
    use io::ErrorKind::{QuotaExceeded, StorageFull};
    let mut causes =
        std::iter::successors(std::error::Error::source(error), |cause| cause.source());
    let problem = causes.find_map(|cause| cause.downcast_ref::<io::Error>());
    problem.is_some_and(|problem| matches!(problem.kind(), StorageFull | QuotaExceeded))
}

/// Whether following the same link once more may bring the result, after this.
pub(crate) fn may_link_live(error: &Error) -> bool {
    !matches!(
        error.kind(),
        ErrorKind::NotFound
            | ErrorKind::Refused
            | ErrorKind::Unauthenticated
            | ErrorKind::InvalidInput
    )
}

/// Whether a result is fetched again after one more that arrived whole and broken. The storage may have served half of
/// something; the same bytes twice, or five times any, are what it has.
pub(crate) fn fetches_again(known: &[UnverifiedResult], sha256: [u8; 32]) -> bool {
    let same = known.iter().any(|one| one.sha256 == Some(sha256));
    let any: u32 = known.iter().map(|one| one.count).sum();
    !same && any < 4 && Ledger::allows_fetch(known)
}

/// After which time a worker tries a job again for the time number `failures`: each pause is twice the one before.
pub(crate) fn retry_delay(first: Duration, failures: u32) -> Duration {
    first.saturating_mul(1 << failures.saturating_sub(1).min(7))
}

/// Whether a job in doubt may be the one that a ticket names: the vendor took that one at about the time at which this
/// one was sent.
pub(crate) fn may_be_lost_one(sent_at: SystemTime, accepted: SystemTime) -> bool {
    const CLOCKS: Duration = Duration::from_secs(60);
    const LONGEST_SUBMIT: Duration = Duration::from_secs(15 * 60);
    accepted + CLOCKS >= sent_at && accepted <= sent_at + LONGEST_SUBMIT
}

const LONGEST_PAUSE: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::after_start(Duration::from_secs(seconds))
    }

    #[test]
    fn a_full_disk_is_known_by_its_cause() {
        let local = |kind: io::ErrorKind| {
            Error::local_io(
                "textin",
                "fetch",
                "the result cannot be kept",
                io::Error::from(kind),
            )
        };
        assert!(has_no_room(&local(io::ErrorKind::StorageFull)));
        assert!(has_no_room(&local(io::ErrorKind::QuotaExceeded)));
        assert!(!has_no_room(&local(io::ErrorKind::PermissionDenied)));
        assert!(!has_no_room(&Error::new(
            ErrorKind::LocalIo,
            "textin",
            "fetch"
        )));
    }

    #[test]
    fn a_kind_that_can_be_searched_keeps_time_for_it() {
        for (left, can_search, ends) in [
            (600, false, 600),
            (600, true, 580),
            (30, true, 20),
            (3, true, 2),
            (0, true, 0),
        ] {
            let ends_at = submit_ends(at(10), at(10 + left), can_search);
            assert_eq!(ends_at, at(10 + ends), "{left} {can_search}");
        }
    }

    #[test]
    fn a_lost_submit_is_searched_for_at_least_once_and_not_after_its_end() {
        let searches = |mut now: Moment, end| {
            let mut made = Vec::new();
            while let Some(next) = search_at(now, end, made.len()) {
                made.push(next);
                now = next;
            }
            made
        };
        assert_eq!(searches(at(0), at(60)), [at(2), at(7), at(17)]);
        assert_eq!(searches(at(0), at(8)), [at(2), at(7)]);
        assert_eq!(searches(at(0), at(1)), [at(1)]);
        assert_eq!(searches(at(5), at(1)), [at(5)]);
    }

    #[test]
    fn what_a_cut_submit_has_come_to_depends_on_whether_it_left() {
        let retrying = Activity::Retrying {
            pause: Duration::from_secs(2),
            error: Error::new(ErrorKind::Unreachable, "v", "submit").with_message("no connection"),
        };
        let address = Some("http://127.0.0.1:9");
        for (activity, words) in [
            (retrying, "no connection"),
            (Activity::WaitingForRate, "rate"),
        ] {
            match cut_submit("v", Cut::Deadline, Delivery::NotSent, &activity, address) {
                CutSubmit::NotSent(error) => {
                    assert_eq!(error.delivery(), Delivery::NotSent);
                    for words in [words, "127.0.0.1:9", "deadline", "nothing was sent"] {
                        assert!(error.to_string().contains(words), "{error}");
                    }
                }
                other => panic!("{other:?}"),
            }
        }
        let cut = cut_submit(
            "v",
            Cut::Deadline,
            Delivery::MaybeSent,
            &Activity::WaitingForAnswer,
            None,
        );
        assert!(
            matches!(cut, CutSubmit::Unknown(error) if error.delivery() == Delivery::MaybeSent)
        );
    }

    #[test]
    fn a_result_is_tried_again_over_minutes_whatever_the_storage_says() {
        let refused = Error::new(ErrorKind::Refused, "v", "fetch");
        let long = Duration::from_secs(3600);
        let pauses: Vec<NextFetch> = (1..=8).map(|n| next_fetch(&refused, n, long)).collect();
        let seconds = [2, 4, 8, 16, 32, 60, 60, 60];
        assert_eq!(
            pauses,
            seconds.map(|n| NextFetch::After(Duration::from_secs(n)))
        );
        let left = Duration::from_secs(2);
        assert_eq!(next_fetch(&refused, 1, left), NextFetch::LeaveIt);
        let asked = refused.with_retry_after(Some(Duration::from_secs(86_400)));
        let pause = NextFetch::After(Duration::from_secs(60));
        assert_eq!(next_fetch(&asked, 1, long), pause);
    }

    #[test]
    fn a_worker_tries_again_later_each_time() {
        let first = Duration::from_secs(30);
        let pauses: Vec<u64> = (1..=7).map(|n| retry_delay(first, n).as_secs()).collect();
        assert_eq!(pauses, [30, 60, 120, 240, 480, 960, 1920]);
        assert_eq!(retry_delay(first, 99), first * 128);
    }

    #[test]
    fn a_ticket_is_that_of_a_lost_submit_only_if_the_times_fit() {
        let sent = SystemTime::UNIX_EPOCH + Duration::from_secs(100_000);
        for (seconds, fits) in [
            (-61_i64, false),
            (-60, true),
            (0, true),
            (900, true),
            (901, false),
        ] {
            let accepted = if seconds < 0 {
                sent - Duration::from_secs(i64::unsigned_abs(seconds))
            } else {
                sent + Duration::from_secs(i64::unsigned_abs(seconds))
            };
            assert_eq!(may_be_lost_one(sent, accepted), fits, "{seconds}");
        }
    }

    #[test]
    fn a_full_disk_is_left_to_a_person() {
        let full = Error::new(ErrorKind::LocalIo, "v", "fetch");
        assert_eq!(
            next_fetch(&full, 1, Duration::from_secs(3600)),
            NextFetch::Park
        );
    }
}
