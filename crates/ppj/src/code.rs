//! What a refusal means: by operation and HTTP status, since the vendor's own words are too general to decide by.

use jobs_core::ErrorKind;
use jobs_core::vendor::Delivery;

/// What errors and tickets call this vendor.
pub(crate) const VENDOR: &str = "ppj";

/// What is known of one refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Meaning {
    pub(crate) kind: ErrorKind,
    /// Whether the vendor may have begun the work.
    pub(crate) delivery: Delivery,
    pub(crate) help: &'static str,
}

/// The meaning of a status other than success.
///
/// No refusal is listed as made before work in a way that promises success on repetition, so none is repeated by itself.
pub(crate) fn meaning(operation: &str, status: u16) -> Meaning {
    use ErrorKind::{
        InvalidInput, NotFound, QuotaExceeded, RateLimited, Refused, Unauthenticated, Unavailable,
    };
    let refused = |kind, advice| Meaning {
        kind,
        delivery: Delivery::Answered,
        help: advice,
    };
    let doubtful = |advice| Meaning {
        kind: Unavailable,
        delivery: Delivery::MaybeSent,
        help: advice,
    };
    match (operation, status) {
        ("download", 400) => refused(
            Refused,
            "look at the job: only a finished one keeps its bundle, and for three days",
        ),
        ("create", 400 | 422) => refused(
            InvalidInput,
            "check the document, and the account's quota: both are refused this way",
        ),
        (_, 400 | 422) => refused(InvalidInput, "check the request"),
        (_, 401) => refused(
            Unauthenticated,
            "check PPJ_ACCESS_KEY; a test key works with the sandbox's PPJ_BASE_URL only",
        ),
        (_, 402) => refused(QuotaExceeded, "buy more projects in the vendor's console"),
        (_, 403) => refused(
            Unauthenticated,
            "check the credentials, this machine's clock, and the allow list of addresses in the vendor's console",
        ),
        ("poll" | "download", 404 | 410) => refused(
            NotFound,
            "check the job's token, and that PPJ_BASE_URL is where it was created",
        ),
        (_, 404 | 410) => refused(
            Refused,
            "check PPJ_BASE_URL: it includes /api/ for an access key, and is bare for a signed account",
        ),
        (_, 413 | 415) => refused(
            InvalidInput,
            "send a smaller document of a supported format",
        ),
        (_, 429) => refused(RateLimited, "send fewer requests"),
        (_, 503) => doubtful("the service is being maintained: try again later"),
        // A redirect of this kind may be the answer to work that was done.
        (_, 302 | 303) => doubtful("check PPJ_BASE_URL: the service answers with a redirect"),
        (_, 300..=399) => refused(
            Unavailable,
            "check PPJ_BASE_URL: the service answers with a redirect",
        ),
        (_, 408 | 425 | 500..=599) => doubtful("try again later"),
        _ => refused(Refused, "look the status up in the vendor's documentation"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_its_kind_by_operation() {
        use ErrorKind::{
            InvalidInput, NotFound, QuotaExceeded, RateLimited, Refused, Unauthenticated,
            Unavailable,
        };
        for (operation, status, kind, sent) in [
            ("create", 400, InvalidInput, Delivery::Answered),
            ("create", 401, Unauthenticated, Delivery::Answered),
            ("create", 402, QuotaExceeded, Delivery::Answered),
            ("create", 403, Unauthenticated, Delivery::Answered),
            ("create", 404, Refused, Delivery::Answered),
            ("create", 413, InvalidInput, Delivery::Answered),
            ("create", 422, InvalidInput, Delivery::Answered),
            ("create", 429, RateLimited, Delivery::Answered),
            ("create", 301, Unavailable, Delivery::Answered),
            ("create", 302, Unavailable, Delivery::MaybeSent),
            ("create", 303, Unavailable, Delivery::MaybeSent),
            ("create", 307, Unavailable, Delivery::Answered),
            ("create", 408, Unavailable, Delivery::MaybeSent),
            ("create", 500, Unavailable, Delivery::MaybeSent),
            ("create", 502, Unavailable, Delivery::MaybeSent),
            ("create", 503, Unavailable, Delivery::MaybeSent),
            ("create", 504, Unavailable, Delivery::MaybeSent),
            ("poll", 400, InvalidInput, Delivery::Answered),
            ("poll", 401, Unauthenticated, Delivery::Answered),
            ("poll", 403, Unauthenticated, Delivery::Answered),
            ("poll", 404, NotFound, Delivery::Answered),
            ("poll", 503, Unavailable, Delivery::MaybeSent),
            ("download", 400, Refused, Delivery::Answered),
            ("download", 401, Unauthenticated, Delivery::Answered),
            ("download", 404, NotFound, Delivery::Answered),
            ("download", 500, Unavailable, Delivery::MaybeSent),
            ("list", 400, InvalidInput, Delivery::Answered),
            ("list", 404, Refused, Delivery::Answered),
            ("quotas", 403, Unauthenticated, Delivery::Answered),
            ("quotas", 418, Refused, Delivery::Answered),
        ] {
            let meaning = meaning(operation, status);
            assert_eq!(
                (meaning.kind, meaning.delivery),
                (kind, sent),
                "{operation} {status}"
            );
        }
    }
}
