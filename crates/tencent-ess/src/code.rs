//! The vendor's error codes: what each means, and whether a create may be repeated after it.

use std::time::Duration;

use jobs_core::{ErrorKind, Refusal, Sent};

/// What errors and tickets call this vendor.
pub(crate) const VENDOR: &str = "tencent-ess";

/// What is known of one code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Meaning {
    pub(crate) kind: ErrorKind,
    /// Whether the vendor may have begun the work.
    pub(crate) sent: Sent,
    pub(crate) refusal: Refusal,
    pub(crate) advice: &'static str,
}

/// The meaning of a code, by the longest known beginning of its dotted name: new details appear without notice.
///
/// The classification is our inference from the vendor's list. Of a family that nobody knows it cannot be said whether
/// work was begun.
pub(crate) fn meaning(code: &str) -> Meaning {
    let mut name = code;
    loop {
        if let Some(meaning) = listed(name) {
            return meaning;
        }
        match name.rsplit_once('.') {
            Some((family, _)) => name = family,
            None => return doubtful("look the code up in the vendor's documentation"),
        }
    }
}

fn listed(name: &str) -> Option<Meaning> {
    use ErrorKind::{Credentials, Exhausted, Input, NotFound, RateLimited, Refused, Retired};
    Some(match name {
        "RequestLimitExceeded" => Meaning {
            kind: RateLimited,
            sent: Sent::Yes,
            refusal: Refusal::BeforeWork {
                wait: Duration::from_secs(1),
                times: 5,
            },
            advice: "send fewer requests a second over all clients of the account",
        },
        "ServiceUnavailable" | "InternalError" => doubtful("try again later"),
        "AuthFailure.SignatureExpire" => refused(Credentials, "set the clock of this machine"),
        "AuthFailure.SecretIdNotFound" | "AuthFailure.InvalidSecretId" => refused(
            Credentials,
            "check TENCENTCLOUD_SECRET_ID, and that the key belongs to the environment of TENCENT_ESS_ENDPOINT: production and test have keys of their own",
        ),
        "AuthFailure.TokenFailure" => refused(
            Credentials,
            "get a new temporary key, and set TENCENTCLOUD_SESSION_TOKEN with it",
        ),
        "AuthFailure" => refused(
            Credentials,
            "check TENCENTCLOUD_SECRET_ID and TENCENTCLOUD_SECRET_KEY, and that they belong to the environment of TENCENT_ESS_ENDPOINT",
        ),
        "IpInBlacklist" | "IpNotInWhitelist" => refused(
            Credentials,
            "allow this machine's address in the vendor's console",
        ),
        "ActionOffline" => refused(
            Retired,
            "set TENCENT_ESS_API=current, or choose Family::Current",
        ),
        "InvalidAction" | "NoSuchVersion" | "NoSuchProduct" => refused(
            Refused,
            "check TENCENT_ESS_ENDPOINT and TENCENT_ESS_UPLOAD_ENDPOINT; if TENCENT_ESS_API is legacy, set it to current",
        ),
        "UnauthorizedOperation.NoPermissionFeature" => refused(
            Refused,
            "upgrade to an edition with file conversion in the vendor's console",
        ),
        "UnauthorizedOperation" => refused(Refused, "grant the permission in the vendor's console"),
        "OperationDenied.NoIdentityVerify" => refused(
            Refused,
            "company and employee must pass the vendor's identity check first",
        ),
        "OperationDenied" => refused(
            Refused,
            "check that TENCENT_ESS_ENDPOINT and TENCENT_ESS_UPLOAD_ENDPOINT are not exchanged, and that company and employee passed the identity check",
        ),
        "InvalidParameter.ParamError" => refused(
            Input,
            "check the ids: one of another application, company or environment is not known here",
        ),
        "InvalidParameter.InvalidId" => refused(
            Input,
            "check the file id: it may have expired after an hour; upload again",
        ),
        "InvalidParameter.SensitiveFileContent" => {
            refused(Input, "the vendor's content check refused the file")
        }
        "InvalidParameter"
        | "InvalidParameterValue"
        | "MissingParameter"
        | "UnknownParameter"
        | "UnsupportedOperation"
        | "UnsupportedProtocol"
        | "UnsupportedRegion"
        | "InvalidRequest" => refused(Input, "check the file and the ids"),
        "LimitExceeded.FileSize" | "RequestSizeLimitExceeded" => {
            refused(Input, "send a smaller file")
        }
        "LimitExceeded" | "ResourceInsufficient" => refused(
            Exhausted,
            "a quota is used up: look at the vendor's console",
        ),
        "ResourceNotFound" => refused(
            NotFound,
            "a file id lives about an hour: upload again if it may have expired",
        ),
        "ResourceUnavailable" | "FailedOperation" => refused(
            Refused,
            "a file id lives about an hour: upload again if it may have expired",
        ),
        "DryRunOperation" | "ResourceInUse" | "ResponseSizeLimitExceeded" => {
            refused(Refused, "look the code up in the vendor's documentation")
        }
        _ => return None,
    })
}

fn refused(kind: ErrorKind, advice: &'static str) -> Meaning {
    Meaning {
        kind,
        sent: Sent::Yes,
        refusal: Refusal::Final,
        advice,
    }
}

/// Work may have been begun: harmless calls may be repeated, a create may not.
fn doubtful(advice: &'static str) -> Meaning {
    Meaning {
        kind: ErrorKind::Unavailable,
        sent: Sent::Maybe,
        refusal: Refusal::Final,
        advice,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_listed_code_has_its_kind_and_repeat_rule() {
        use ErrorKind::{
            Credentials, Exhausted, Input, NotFound, RateLimited, Refused, Retired, Unavailable,
        };
        let before_work = Refusal::BeforeWork {
            wait: Duration::from_secs(1),
            times: 5,
        };
        for (code, kind, sent, refusal) in [
            ("RequestLimitExceeded", RateLimited, Sent::Yes, before_work),
            (
                "RequestLimitExceeded.UinLimitExceeded",
                RateLimited,
                Sent::Yes,
                before_work,
            ),
            (
                "RequestLimitExceeded.IPLimitExceeded",
                RateLimited,
                Sent::Yes,
                before_work,
            ),
            (
                "ServiceUnavailable",
                Unavailable,
                Sent::Maybe,
                Refusal::Final,
            ),
            ("InternalError", Unavailable, Sent::Maybe, Refusal::Final),
            (
                "InternalError.DependsApi",
                Unavailable,
                Sent::Maybe,
                Refusal::Final,
            ),
            (
                "InternalError.Db.Timeout",
                Unavailable,
                Sent::Maybe,
                Refusal::Final,
            ),
            ("NeverSeen.Before", Unavailable, Sent::Maybe, Refusal::Final),
            ("", Unavailable, Sent::Maybe, Refusal::Final),
            ("AuthFailure", Credentials, Sent::Yes, Refusal::Final),
            (
                "AuthFailure.SignatureExpire",
                Credentials,
                Sent::Yes,
                Refusal::Final,
            ),
            (
                "AuthFailure.SignatureFailure",
                Credentials,
                Sent::Yes,
                Refusal::Final,
            ),
            (
                "AuthFailure.SecretIdNotFound",
                Credentials,
                Sent::Yes,
                Refusal::Final,
            ),
            (
                "AuthFailure.UnauthorizedOperation",
                Credentials,
                Sent::Yes,
                Refusal::Final,
            ),
            ("IpNotInWhitelist", Credentials, Sent::Yes, Refusal::Final),
            ("IpInBlacklist", Credentials, Sent::Yes, Refusal::Final),
            ("ActionOffline", Retired, Sent::Yes, Refusal::Final),
            ("InvalidAction", Refused, Sent::Yes, Refusal::Final),
            ("NoSuchVersion", Refused, Sent::Yes, Refusal::Final),
            ("NoSuchProduct", Refused, Sent::Yes, Refusal::Final),
            (
                "UnauthorizedOperation.NoPermissionFeature",
                Refused,
                Sent::Yes,
                Refusal::Final,
            ),
            ("UnauthorizedOperation", Refused, Sent::Yes, Refusal::Final),
            ("OperationDenied", Refused, Sent::Yes, Refusal::Final),
            ("OperationDenied.Forbid", Refused, Sent::Yes, Refusal::Final),
            ("InvalidParameter", Input, Sent::Yes, Refusal::Final),
            ("InvalidParameter.DupTask", Input, Sent::Yes, Refusal::Final),
            (
                "InvalidParameter.ParamError",
                Input,
                Sent::Yes,
                Refusal::Final,
            ),
            ("InvalidParameterValue", Input, Sent::Yes, Refusal::Final),
            (
                "MissingParameter.ResourceName",
                Input,
                Sent::Yes,
                Refusal::Final,
            ),
            ("UnknownParameter", Input, Sent::Yes, Refusal::Final),
            ("UnsupportedRegion", Input, Sent::Yes, Refusal::Final),
            ("InvalidRequest", Input, Sent::Yes, Refusal::Final),
            ("LimitExceeded", Exhausted, Sent::Yes, Refusal::Final),
            ("LimitExceeded.FileSize", Input, Sent::Yes, Refusal::Final),
            ("RequestSizeLimitExceeded", Input, Sent::Yes, Refusal::Final),
            ("ResourceInsufficient", Exhausted, Sent::Yes, Refusal::Final),
            ("ResourceNotFound", NotFound, Sent::Yes, Refusal::Final),
            ("ResourceNotFound.File", NotFound, Sent::Yes, Refusal::Final),
            ("ResourceUnavailable", Refused, Sent::Yes, Refusal::Final),
            ("FailedOperation", Refused, Sent::Yes, Refusal::Final),
        ] {
            let meaning = meaning(code);
            assert_eq!(
                (meaning.kind, meaning.sent, meaning.refusal),
                (kind, sent, refusal),
                "code {code}"
            );
            assert!(!meaning.advice.is_empty(), "code {code}");
        }
    }

    #[test]
    fn the_longest_known_beginning_counts() {
        assert_ne!(
            meaning("AuthFailure.TokenFailure").advice,
            meaning("AuthFailure.SignatureFailure").advice
        );
        assert!(meaning("ActionOffline").advice.contains("TENCENT_ESS_API"));
    }
}
