//! How a job ended, as the ledger's history remembers it, and what a failed download means for the job.

use jobs_core::{Error, ErrorKind};
use jobs_ledger::{Event, what};
use printer_jobs::wire::PrintOutcome;

use super::shape::one_line;

const PRINTED: &str = "printed";
const FAILED: &str = "failed (";

/// The text of a remark that remembers the outcome from before it is reported.
pub(super) fn remark(outcome: &PrintOutcome) -> String {
    match outcome {
        PrintOutcome::Succeeded => PRINTED.to_owned(),
        PrintOutcome::Failed { code, message } => format!("{FAILED}{code}): {message}"),
    }
}

/// The outcome in a job's history, if it is known.
pub(super) fn recorded(history: &[Event]) -> Option<PrintOutcome> {
    let remarks = history.iter().rev().filter(|it| it.what == what::NOTED);
    remarks.filter_map(|it| read(it.text.as_deref()?)).next()
}

fn read(remark: &str) -> Option<PrintOutcome> {
    if remark == PRINTED {
        return Some(PrintOutcome::Succeeded);
    }
    let (code, message) = remark.strip_prefix(FAILED)?.split_once("): ")?;
    Some(PrintOutcome::Failed {
        code: code.parse().ok()?,
        message: message.to_owned(),
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
    /// It is not about this job: end.
    End,
}

/// `tries` counts the downloads that have failed, this one included.
pub(super) fn after_download(error: &Error, tries: u32) -> Next {
    use ErrorKind::{Garbled, Input, NotFound, Refused, TooLarge, Unavailable};
    /// "System error" was seen for jobs whose file never comes, and nothing tells these from others.
    const DOUBTFUL: u32 = 3;
    match error.kind() {
        NotFound => Next::Drop,
        Refused | TooLarge | Input => Next::GiveUp,
        Garbled if tries >= DOUBTFUL => Next::GiveUp,
        Unavailable if error.code() == Some("-1") && tries >= DOUBTFUL => Next::GiveUp,
        _ if error.is_transient() => Next::Again,
        _ => Next::End,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_come_back_from_their_remarks() {
        for outcome in [
            PrintOutcome::Succeeded,
            in_doubt(),
            failure(3, "out of paper (tray 2): really"),
            failure(0, "\n"),
        ] {
            assert_eq!(read(&remark(&outcome)), Some(outcome));
        }
        for text in ["", "printed it", "failed", "failed (x): y", "failed (1) y"] {
            assert_eq!(read(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_file_that_never_comes_is_given_up_and_a_lost_connection_is_not() {
        let error = |kind| Error::new(kind, "printer-jobs", "download");
        let busy = error(ErrorKind::Unavailable).with_code("-1");
        for (error, tries, next) in [
            (error(ErrorKind::NotFound), 1, Next::Drop),
            (error(ErrorKind::Refused), 1, Next::GiveUp),
            (error(ErrorKind::TooLarge), 1, Next::GiveUp),
            (error(ErrorKind::Garbled), 2, Next::Again),
            (error(ErrorKind::Garbled), 3, Next::GiveUp),
            (busy.clone(), 2, Next::Again),
            (busy, 3, Next::GiveUp),
            (error(ErrorKind::Unavailable), 99, Next::Again),
            (error(ErrorKind::Unreachable), 99, Next::Again),
            (error(ErrorKind::TimedOut), 99, Next::Again),
            (error(ErrorKind::Local), 1, Next::End),
            (error(ErrorKind::Credentials), 1, Next::End),
        ] {
            assert_eq!(after_download(&error, tries), next, "{error} {tries}");
        }
    }
}
