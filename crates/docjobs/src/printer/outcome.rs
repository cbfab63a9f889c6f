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
    /// The file will never come: report it as failed.
    GiveUp,
    /// Try again after a pause.
    Again,
    /// Let the other jobs have their turn, and try again then.
    Later,
    /// It is not about this job: end.
    End,
}

/// A torn answer, a system error and a wrong file are asked for again so often: they were seen for jobs whose file never
/// comes, and nothing tells these from others.
const REPEATS: u32 = 3;

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
        // The device has asked again already.
        UnexpectedResponse | TooLarge if !answered => Next::GiveUp,
        Unavailable if error.code() == Some("-1") && tries >= REPEATS => Next::GiveUp,
        // The connection breaks whenever this file is asked for.
        Unreachable if !answered && tries >= REPEATS => Next::GiveUp,
        Unreachable | Timeout | Unavailable | RateLimited if tries >= REPEATS => Next::Later,
        _ if error.is_transient() => Next::Again,
        _ => Next::End,
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
            (busy.clone(), 2, Next::Again),
            (busy, 3, Next::GiveUp),
            (torn(ErrorKind::Unreachable), 2, Next::Again),
            (torn(ErrorKind::Unreachable), 3, Next::GiveUp),
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
}
