//! What a refusal means: by operation and HTTP status, since the vendor's own words are too general to decide by.

use jobs_core::{ErrorKind, Sent};

/// What errors and tickets call this vendor.
pub(crate) const VENDOR: &str = "ppj";

/// What is known of one refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Meaning {
    pub(crate) kind: ErrorKind,
    /// Whether the vendor may have begun the work.
    pub(crate) sent: Sent,
    pub(crate) advice: &'static str,
}

/// The meaning of a status other than success.
///
/// No refusal is listed as made before work in a way that promises success on repetition, so none is repeated by itself.
pub(crate) fn meaning(operation: &str, status: u16) -> Meaning {
    use ErrorKind::{Credentials, Exhausted, Input, NotFound, RateLimited, Refused, Unavailable};
    let refused = |kind, advice| Meaning {
        kind,
        sent: Sent::Yes,
        advice,
    };
    let doubtful = |advice| Meaning {
        kind: Unavailable,
        sent: Sent::Maybe,
        advice,
    };
    match (operation, status) {
        ("download", 400) => refused(
            Refused,
            "look at the job: only a finished one keeps its bundle, and for three days",
        ),
        ("create", 400 | 422) => refused(
            Input,
            "check the document, and the account's quota: both are refused this way",
        ),
        (_, 400 | 422) => refused(Input, "check the request"),
        (_, 401) => refused(
            Credentials,
            "check PPJ_ACCESS_KEY; a test key works with the sandbox's PPJ_BASE_URL only",
        ),
        (_, 402) => refused(Exhausted, "buy more projects in the vendor's console"),
        (_, 403) => refused(
            Credentials,
            "check the credentials, this machine's clock, and the allow list of addresses in the vendor's console",
        ),
        ("look" | "download", 404 | 410) => refused(
            NotFound,
            "check the job's token, and that PPJ_BASE_URL is where it was created",
        ),
        (_, 404 | 410) => refused(
            Refused,
            "check PPJ_BASE_URL: it includes /api/ for an access key, and is bare for a signed account",
        ),
        (_, 413 | 415) => refused(Input, "send a smaller document of a supported format"),
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
            Credentials, Exhausted, Input, NotFound, RateLimited, Refused, Unavailable,
        };
        for (operation, status, kind, sent) in [
            ("create", 400, Input, Sent::Yes),
            ("create", 401, Credentials, Sent::Yes),
            ("create", 402, Exhausted, Sent::Yes),
            ("create", 403, Credentials, Sent::Yes),
            ("create", 404, Refused, Sent::Yes),
            ("create", 413, Input, Sent::Yes),
            ("create", 422, Input, Sent::Yes),
            ("create", 429, RateLimited, Sent::Yes),
            ("create", 301, Unavailable, Sent::Yes),
            ("create", 302, Unavailable, Sent::Maybe),
            ("create", 303, Unavailable, Sent::Maybe),
            ("create", 307, Unavailable, Sent::Yes),
            ("create", 408, Unavailable, Sent::Maybe),
            ("create", 500, Unavailable, Sent::Maybe),
            ("create", 502, Unavailable, Sent::Maybe),
            ("create", 503, Unavailable, Sent::Maybe),
            ("create", 504, Unavailable, Sent::Maybe),
            ("look", 400, Input, Sent::Yes),
            ("look", 401, Credentials, Sent::Yes),
            ("look", 403, Credentials, Sent::Yes),
            ("look", 404, NotFound, Sent::Yes),
            ("look", 503, Unavailable, Sent::Maybe),
            ("download", 400, Refused, Sent::Yes),
            ("download", 401, Credentials, Sent::Yes),
            ("download", 404, NotFound, Sent::Yes),
            ("download", 500, Unavailable, Sent::Maybe),
            ("list", 400, Input, Sent::Yes),
            ("list", 404, Refused, Sent::Yes),
            ("quotas", 403, Credentials, Sent::Yes),
            ("quotas", 418, Refused, Sent::Yes),
        ] {
            let meaning = meaning(operation, status);
            assert_eq!(
                (meaning.kind, meaning.sent),
                (kind, sent),
                "{operation} {status}"
            );
        }
    }
}
