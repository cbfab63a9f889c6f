//! The vendor's error codes: what each means, and whether a submit may be repeated after it.

use std::time::Duration;

use jobs_core::{ErrorKind, Refusal, Sent};

/// What errors and tickets call this vendor.
pub(crate) const VENDOR: &str = "textin";

/// What is known of one code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Meaning {
    pub(crate) kind: ErrorKind,
    /// Whether the vendor may have begun the work.
    pub(crate) sent: Sent,
    pub(crate) refusal: Refusal,
    /// What to do; nothing where only the vendor's message tells what is wrong.
    pub(crate) advice: Option<&'static str>,
}

/// The meaning of a code other than 200.
///
/// The vendor's table and command-line client, restated in `spec/PROVENANCE.md`. An unlisted code of the 4xxxx family is
/// taken as a refusal like its neighbours; any other may have been given in the middle of the work.
pub(crate) fn meaning(code: i64) -> Meaning {
    use ErrorKind::{Credentials, Exhausted, Input, RateLimited, Refused, Unavailable};
    let refused = |kind, advice| Meaning {
        kind,
        sent: Sent::Yes,
        refusal: Refusal::Final,
        advice: Some(advice),
    };
    let doubtful = |advice| Meaning {
        kind: Unavailable,
        sent: Sent::Maybe,
        refusal: Refusal::Final,
        advice: Some(advice),
    };
    let later = |kind, wait, advice| Meaning {
        kind,
        sent: Sent::Yes,
        refusal: Refusal::BeforeWork {
            wait: Duration::from_secs(wait),
            times: 2,
        },
        advice: Some(advice),
    };
    match code {
        30203 => later(Unavailable, 2, "try again later"),
        // Also met as a page limit of the request, which no pause mends: hence few repetitions.
        40306 => later(
            RateLimited,
            3,
            "send fewer requests a second, or fewer pages a request",
        ),
        40003 => refused(Exhausted, "top up the balance in the vendor's console"),
        40307 => refused(
            Exhausted,
            "the free pages of today are used up: wait for tomorrow or buy pages",
        ),
        40004 | 400 => refused(Input, "check the options and the job id"),
        40007 | 40008 => refused(Refused, "activate the service in the vendor's console"),
        40101 | 40102 => refused(Credentials, "check TEXTIN_APP_ID and TEXTIN_SECRET_CODE"),
        40103 => refused(
            Credentials,
            "add this machine's address to the allow list in the vendor's console",
        ),
        40301 | 40303 | 40425 | 40600 => {
            refused(Input, "convert the document to a supported format")
        }
        40302 => refused(Input, "send a document of at most 500 MB"),
        40304 => refused(Input, "scale the image: 20 to 10000 pixels a side"),
        40305 => refused(Input, "send a document or its address"),
        40400 => refused(Refused, "check TEXTIN_SERVER_URL"),
        // Since 2026-08 a failure of any sort, whose reason is in the message: advice of ours would contradict it.
        40422 | 40426 => Meaning {
            advice: None,
            ..refused(Input, "")
        },
        40423 => refused(
            Input,
            "put the document's password into a file and name it with --password-file",
        ),
        40424 => refused(Input, "choose pages that the document has"),
        40427 => refused(Input, "choose another resolution"),
        40428 => refused(Refused, "convert the document to PDF first"),
        40429 => refused(Input, "choose another engine"),
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
        use ErrorKind::{Credentials, Exhausted, Input, RateLimited, Refused, Unavailable};
        let before_work = |wait| Refusal::BeforeWork {
            wait: Duration::from_secs(wait),
            times: 2,
        };
        for (code, kind, sent, refusal) in [
            (400, Input, Sent::Yes, Refusal::Final),
            (500, Unavailable, Sent::Maybe, Refusal::Final),
            (30203, Unavailable, Sent::Yes, before_work(2)),
            (40003, Exhausted, Sent::Yes, Refusal::Final),
            (40004, Input, Sent::Yes, Refusal::Final),
            (40007, Refused, Sent::Yes, Refusal::Final),
            (40008, Refused, Sent::Yes, Refusal::Final),
            (40101, Credentials, Sent::Yes, Refusal::Final),
            (40102, Credentials, Sent::Yes, Refusal::Final),
            (40103, Credentials, Sent::Yes, Refusal::Final),
            (40301, Input, Sent::Yes, Refusal::Final),
            (40302, Input, Sent::Yes, Refusal::Final),
            (40303, Input, Sent::Yes, Refusal::Final),
            (40304, Input, Sent::Yes, Refusal::Final),
            (40305, Input, Sent::Yes, Refusal::Final),
            (40306, RateLimited, Sent::Yes, before_work(3)),
            (40307, Exhausted, Sent::Yes, Refusal::Final),
            (40400, Refused, Sent::Yes, Refusal::Final),
            (40422, Input, Sent::Yes, Refusal::Final),
            (40423, Input, Sent::Yes, Refusal::Final),
            (40424, Input, Sent::Yes, Refusal::Final),
            (40425, Input, Sent::Yes, Refusal::Final),
            (40426, Input, Sent::Yes, Refusal::Final),
            (40427, Input, Sent::Yes, Refusal::Final),
            (40428, Refused, Sent::Yes, Refusal::Final),
            (40429, Input, Sent::Yes, Refusal::Final),
            (40600, Input, Sent::Yes, Refusal::Final),
            (50011, Unavailable, Sent::Maybe, Refusal::Final),
            (50012, Unavailable, Sent::Maybe, Refusal::Final),
            (50207, Unavailable, Sent::Maybe, Refusal::Final),
            (47_000, Refused, Sent::Yes, Refusal::Final),
            (-1, Unavailable, Sent::Maybe, Refusal::Final),
        ] {
            let meaning = meaning(code);
            assert_eq!(
                (meaning.kind, meaning.sent, meaning.refusal),
                (kind, sent, refusal),
                "code {code}"
            );
        }
    }
}
