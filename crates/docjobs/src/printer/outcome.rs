//! How a job ended, as the ledger's history remembers it, and what a failed download means for the job.

use jobs_core::vendor::Delivery;
use jobs_core::{Error, ErrorKind};
use jobs_ledger::{JobOutcome, JobRecord};
use printer_jobs::PrintOutcome;

use super::render::one_line;

/// The outcome in words.
pub(super) fn remark(outcome: &PrintOutcome) -> String {
    match outcome {
        PrintOutcome::Succeeded => "printed".to_owned(),
        PrintOutcome::Failed { code, message } => format!("failed ({code}): {message}"),
    }
}

/// The outcome as the ledger keeps it from before it is reported.
pub(super) fn to_record(outcome: &PrintOutcome) -> JobOutcome {
    match outcome {
        PrintOutcome::Succeeded => JobOutcome::Succeeded,
        PrintOutcome::Failed { code, message } => JobOutcome::Failed {
            code: *code,
            message: message.clone(),
        },
    }
}

/// The outcome of a job, if the ledger knows it.
pub(super) fn recorded(row: &JobRecord) -> Option<PrintOutcome> {
    row.outcome.clone().map(|outcome| match outcome {
        JobOutcome::Succeeded => PrintOutcome::Succeeded,
        JobOutcome::Failed { code, message } => PrintOutcome::Failed { code, message },
    })
}

/// A failure with a text for the member who waits for the paper.
pub(super) fn failure(code: u32, message: &str) -> PrintOutcome {
    let message = one_line(message);
    PrintOutcome::Failed {
        code,
        message: if message.is_empty() {
            "printing failed".to_owned()
        } else {
            message
        },
    }
}

/// A job whose printing was interrupted. It is not printed again by itself.
pub(super) fn in_doubt() -> PrintOutcome {
    failure(
        1,
        "printing was interrupted: it may have been printed before the interruption; look at the paper, and submit it \
         again if it is not there",
    )
}

/// What to do after a download that brought nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// The job was deleted or has lapsed: drop it.
    Drop,
    /// It will never work in this run: the file cannot be had, or the report is not taken.
    GiveUp,
    /// Try again after a pause.
    Again,
    /// Let the other jobs have their turn, and try again then.
    Later,
    /// It is not about this job: end.
    End,
}

/// A torn answer, a system error and a wrong file are asked for again so often: they were seen for jobs whose file never
/// comes, and nothing tells these from others. The device counts the first two.
const REPEATS: u32 = 3;

/// The cloud's code for it.
const SYSTEM_ERROR: &str = "-1";

/// Whether the device has asked again as often as is of use: for a system error, for what came torn, and where the
/// connection broke each time.
pub(super) fn is_asked_out(error: &Error) -> bool {
    use ErrorKind::{TooLarge, UnexpectedResponse, Unreachable};
    let is_torn = error.delivery() == Delivery::MaybeSent
        && matches!(error.kind(), UnexpectedResponse | TooLarge | Unreachable);
    is_torn || error.code() == Some(SYSTEM_ERROR)
}

/// `tries` counts the downloads that have failed, this one included.
pub(super) fn after_download(error: &Error, tries: u32) -> Next {
    use ErrorKind::{
        InvalidInput, NotFound, RateLimited, Refused, Timeout, TooLarge, Unavailable,
        UnexpectedResponse, Unreachable,
    };
    let answered = error.delivery() != Delivery::MaybeSent;
    match error.kind() {
        NotFound => Next::Drop,
        Refused | InvalidInput => Next::GiveUp,
        // What came whole: by the list too large, or another file than was announced.
        TooLarge if answered => Next::GiveUp,
        UnexpectedResponse if answered && tries > REPEATS => Next::GiveUp,
        _ if is_asked_out(error) => Next::GiveUp,
        Unreachable | Timeout | Unavailable | RateLimited if tries >= REPEATS => Next::Later,
        _ if error.is_transient() => Next::Again,
        _ => Next::End,
    }
}

/// What to do after a report that the cloud has not taken. `tries` counts those that have failed, this one included.
pub(super) fn after_report(error: &Error, tries: u32) -> Next {
    let answered = error.delivery() == Delivery::Answered;
    match error.kind() {
        ErrorKind::NotFound => Next::Drop,
        // Only a printer that the cloud no longer knows cannot report any job.
        ErrorKind::Unauthenticated => Next::End,
        _ if error.code() == Some(SYSTEM_ERROR) => Next::GiveUp,
        ErrorKind::Unavailable if answered && tries >= REPEATS => Next::GiveUp,
        _ if !error.is_transient() => Next::GiveUp,
        _ if tries >= REPEATS => Next::Later,
        _ => Next::Again,
    }
}

/// `tries` counts the downloads that the disk has kept from ending, this one included.
pub(super) fn after_disk(tries: u32) -> Next {
    if tries > 1 { Next::GiveUp } else { Next::Again }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_never_comes_is_given_up_and_a_lost_connection_is_not() {
        let error =
            |kind| Error::new(kind, "printer-jobs", "download").with_delivery(Delivery::Answered);
        let torn = |kind| error(kind).with_delivery(Delivery::MaybeSent);
        let busy = error(ErrorKind::Unavailable).with_code("-1");
        for (error, tries, next) in [
            (error(ErrorKind::NotFound), 1, Next::Drop),
            (error(ErrorKind::Refused), 1, Next::GiveUp),
            (error(ErrorKind::TooLarge), 1, Next::GiveUp),
            (torn(ErrorKind::TooLarge), 1, Next::GiveUp),
            (torn(ErrorKind::UnexpectedResponse), 1, Next::GiveUp),
            (error(ErrorKind::UnexpectedResponse), 3, Next::Again),
            (error(ErrorKind::UnexpectedResponse), 4, Next::GiveUp),
            (busy, 1, Next::GiveUp),
            (torn(ErrorKind::Unreachable), 1, Next::GiveUp),
            (
                error(ErrorKind::Unreachable).with_delivery(Delivery::NotSent),
                2,
                Next::Again,
            ),
            (
                error(ErrorKind::Unreachable).with_delivery(Delivery::NotSent),
                99,
                Next::Later,
            ),
            (error(ErrorKind::Unavailable), 99, Next::Later),
            (torn(ErrorKind::Timeout), 99, Next::Later),
            (error(ErrorKind::LocalIo), 1, Next::End),
            (error(ErrorKind::Unauthenticated), 1, Next::End),
        ] {
            assert_eq!(after_download(&error, tries), next, "{error} {tries}");
        }
    }

    #[test]
    fn a_report_that_is_not_taken_is_owed_and_one_that_does_not_get_through_is_repeated() {
        let error =
            |kind| Error::new(kind, "printer-jobs", "report").with_delivery(Delivery::Answered);
        let lost = |kind| error(kind).with_delivery(Delivery::MaybeSent);
        for (error, tries, next) in [
            (error(ErrorKind::NotFound), 1, Next::Drop),
            (error(ErrorKind::Unauthenticated), 1, Next::End),
            (
                error(ErrorKind::Unavailable).with_code("-1"),
                1,
                Next::GiveUp,
            ),
            (error(ErrorKind::Unavailable), 2, Next::Again),
            (error(ErrorKind::Unavailable), 3, Next::GiveUp),
            (error(ErrorKind::Refused), 1, Next::GiveUp),
            (error(ErrorKind::RateLimited), 3, Next::Later),
            (lost(ErrorKind::Unreachable), 2, Next::Again),
            (lost(ErrorKind::Timeout), 3, Next::Later),
        ] {
            assert_eq!(after_report(&error, tries), next, "{error} {tries}");
        }
    }
}
