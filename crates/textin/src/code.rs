//! The vendor's error codes: what each means, and whether a submit may be repeated after it.

use std::time::Duration;

use jobs_core::ErrorKind;
use jobs_core::vendor::{Delivery, Refusal};

/// What errors and tickets call this vendor.
pub(crate) const VENDOR: &str = "textin";

/// What is known of one code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Meaning {
    pub(crate) kind: ErrorKind,
    /// Whether the vendor may have begun the work.
    pub(crate) delivery: Delivery,
    pub(crate) refusal: Refusal,
    /// What to do; nothing where only the vendor's message tells what is wrong.
    pub(crate) help: Option<&'static str>,
}

/// The meaning of a code other than 200.
///
/// The vendor's table and command-line client, restated in `spec/PROVENANCE.md`. An unlisted code of the 4xxxx family is
/// taken as a refusal like its neighbours; any other may have been given in the middle of the work.
pub(crate) fn meaning(code: i64) -> Meaning {
    use ErrorKind::{
        InvalidInput, QuotaExceeded, RateLimited, Refused, Unauthenticated, Unavailable,
    };
    let refused = |kind, advice| Meaning {
        kind,
        delivery: Delivery::Answered,
        refusal: Refusal::Final,
        help: Some(advice),
    };
    let doubtful = |advice| Meaning {
        kind: Unavailable,
        delivery: Delivery::MaybeSent,
        refusal: Refusal::Final,
        help: Some(advice),
    };
    let later = |kind, wait, advice| Meaning {
        kind,
        delivery: Delivery::Answered,
        refusal: Refusal::BeforeWork {
            delay: Duration::from_secs(wait),
            times: 2,
        },
        help: Some(advice),
    };
    match code {
        30203 => later(Unavailable, 2, "try again later"),
        // Also met as a page limit of the request, which no pause mends: hence few repetitions.
        40306 => later(
            RateLimited,
            3,
            "send fewer requests a second, or fewer pages a request",
        ),
        40003 => refused(QuotaExceeded, "top up the balance in the vendor's console"),
        40307 => refused(
            QuotaExceeded,
            "the free pages of today are used up: wait for tomorrow or buy pages",
        ),
        40004 | 400 => refused(InvalidInput, "check the options and the job id"),
        40007 | 40008 => refused(Refused, "activate the service in the vendor's console"),
        40101 | 40102 => refused(
            Unauthenticated,
            "check TEXTIN_APP_ID and TEXTIN_SECRET_CODE",
        ),
        40103 => refused(
            Unauthenticated,
            "add this machine's address to the allow list in the vendor's console",
        ),
        40301 | 40303 | 40425 | 40600 => {
            refused(InvalidInput, "convert the document to a supported format")
        }
        40302 => refused(InvalidInput, "send a document of at most 500 MB"),
        40304 => refused(InvalidInput, "scale the image: 20 to 10000 pixels a side"),
        40305 => refused(InvalidInput, "send a document or its address"),
        40400 => refused(Refused, "check TEXTIN_SERVER_URL"),
        // Since 2026-08 a failure of any sort, whose reason is in the message: advice of ours would contradict it.
        40422 | 40426 => Meaning {
            help: None,
            ..refused(InvalidInput, "")
        },
        40423 => refused(
            InvalidInput,
            "put the document's password into a file and name it with --password-file",
        ),
        40424 => refused(InvalidInput, "choose pages that the document has"),
        40427 => refused(InvalidInput, "choose another resolution"),
        40428 => refused(Refused, "convert the document to PDF first"),
        40429 => refused(InvalidInput, "choose another engine"),
        40000..50000 => refused(Refused, "look the code up in the vendor's documentation"),
        50207 => doubtful("some pages were parsed and billed"),
        _ => doubtful("try again later"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_listed_code_has_its_kind_and_repeat_rule() {
        use ErrorKind::{
            InvalidInput, QuotaExceeded, RateLimited, Refused, Unauthenticated, Unavailable,
        };
        let before_work = |wait| Refusal::BeforeWork {
            delay: Duration::from_secs(wait),
            times: 2,
        };
        for (code, kind, sent, refusal) in [
            (400, InvalidInput, Delivery::Answered, Refusal::Final),
            (500, Unavailable, Delivery::MaybeSent, Refusal::Final),
            (30203, Unavailable, Delivery::Answered, before_work(2)),
            (40003, QuotaExceeded, Delivery::Answered, Refusal::Final),
            (40004, InvalidInput, Delivery::Answered, Refusal::Final),
            (40007, Refused, Delivery::Answered, Refusal::Final),
            (40008, Refused, Delivery::Answered, Refusal::Final),
            (40101, Unauthenticated, Delivery::Answered, Refusal::Final),
            (40102, Unauthenticated, Delivery::Answered, Refusal::Final),
            (40103, Unauthenticated, Delivery::Answered, Refusal::Final),
            (40301, InvalidInput, Delivery::Answered, Refusal::Final),
            (40302, InvalidInput, Delivery::Answered, Refusal::Final),
            (40303, InvalidInput, Delivery::Answered, Refusal::Final),
            (40304, InvalidInput, Delivery::Answered, Refusal::Final),
            (40305, InvalidInput, Delivery::Answered, Refusal::Final),
            (40306, RateLimited, Delivery::Answered, before_work(3)),
            (40307, QuotaExceeded, Delivery::Answered, Refusal::Final),
            (40400, Refused, Delivery::Answered, Refusal::Final),
            (40422, InvalidInput, Delivery::Answered, Refusal::Final),
            (40423, InvalidInput, Delivery::Answered, Refusal::Final),
            (40424, InvalidInput, Delivery::Answered, Refusal::Final),
            (40425, InvalidInput, Delivery::Answered, Refusal::Final),
            (40426, InvalidInput, Delivery::Answered, Refusal::Final),
            (40427, InvalidInput, Delivery::Answered, Refusal::Final),
            (40428, Refused, Delivery::Answered, Refusal::Final),
            (40429, InvalidInput, Delivery::Answered, Refusal::Final),
            (40600, InvalidInput, Delivery::Answered, Refusal::Final),
            (50011, Unavailable, Delivery::MaybeSent, Refusal::Final),
            (50012, Unavailable, Delivery::MaybeSent, Refusal::Final),
            (50207, Unavailable, Delivery::MaybeSent, Refusal::Final),
            (47_000, Refused, Delivery::Answered, Refusal::Final),
            (-1, Unavailable, Delivery::MaybeSent, Refusal::Final),
        ] {
            let meaning = meaning(code);
            assert_eq!(
                (meaning.kind, meaning.delivery, meaning.refusal),
                (kind, sent, refusal),
                "code {code}"
            );
        }
    }
}
