//! The vendor's error codes: what each means, and whether a create may be repeated after it.

use std::time::Duration;

use jobs_core::ErrorKind;
use jobs_core::vendor::{Delivery, Refusal};

/// What errors and tickets call this vendor.
pub(crate) const VENDOR: &str = "tencent-ess";

/// What is known of one code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Meaning {
    pub(crate) kind: ErrorKind,
    /// Whether the vendor may have begun the work.
    pub(crate) delivery: Delivery,
    pub(crate) refusal: Refusal,
    pub(crate) help: &'static str,
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
    use ErrorKind::{
        InvalidInput, NotFound, OperationRetired, QuotaExceeded, RateLimited, Refused,
        Unauthenticated,
    };
    Some(match name {
        "RequestLimitExceeded" => Meaning {
            kind: RateLimited,
            delivery: Delivery::Answered,
            refusal: Refusal::BeforeWork {
                delay: Duration::from_secs(1),
                times: 5,
            },
            help: "send fewer requests a second over all clients of the account",
        },
        "ServiceUnavailable" | "InternalError" => doubtful("try again later"),
        "AuthFailure.SignatureExpire" => refused(Unauthenticated, "set the clock of this machine"),
        "AuthFailure.SecretIdNotFound" | "AuthFailure.InvalidSecretId" => refused(
            Unauthenticated,
            "check TENCENTCLOUD_SECRET_ID, and that the key belongs to the environment of TENCENT_ESS_ENDPOINT: production and test have keys of their own",
        ),
        "AuthFailure.TokenFailure" => refused(
            Unauthenticated,
            "get a new temporary key, and set TENCENTCLOUD_SESSION_TOKEN with it",
        ),
        "AuthFailure" => refused(
            Unauthenticated,
            "check TENCENTCLOUD_SECRET_ID and TENCENTCLOUD_SECRET_KEY, and that they belong to the environment of TENCENT_ESS_ENDPOINT",
        ),
        "IpInBlacklist" | "IpNotInWhitelist" => refused(
            Unauthenticated,
            "allow this machine's address in the vendor's console",
        ),
        "ActionOffline" => refused(OperationRetired, "set TENCENT_ESS_API=current"),
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
            InvalidInput,
            "check the ids: one of another application, company or environment is not known here",
        ),
        "InvalidParameter.InvalidId" => refused(
            InvalidInput,
            "check the file id: it may have expired after an hour; upload again",
        ),
        "InvalidParameter.SensitiveFileContent" => {
            refused(InvalidInput, "the vendor's content check refused the file")
        }
        "InvalidParameter"
        | "InvalidParameterValue"
        | "MissingParameter"
        | "UnknownParameter"
        | "UnsupportedOperation"
        | "UnsupportedProtocol"
        | "UnsupportedRegion"
        | "InvalidRequest" => refused(InvalidInput, "check the file and the ids"),
        "LimitExceeded.FileSize" | "RequestSizeLimitExceeded" => {
            refused(InvalidInput, "send a smaller file")
        }
        "LimitExceeded" | "ResourceInsufficient" => refused(
            QuotaExceeded,
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
        delivery: Delivery::Answered,
        refusal: Refusal::Final,
        help: advice,
    }
}

/// Work may have been begun: harmless calls may be repeated, a create may not.
fn doubtful(advice: &'static str) -> Meaning {
    Meaning {
        kind: ErrorKind::Unavailable,
        delivery: Delivery::MaybeSent,
        refusal: Refusal::Final,
        help: advice,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_listed_code_has_its_kind_and_repeat_rule() {
        use ErrorKind::{
            InvalidInput, NotFound, OperationRetired, QuotaExceeded, RateLimited, Refused,
            Unauthenticated, Unavailable,
        };
        let before_work = Refusal::BeforeWork {
            delay: Duration::from_secs(1),
            times: 5,
        };
        for (code, kind, sent, refusal) in [
            (
                "RequestLimitExceeded",
                RateLimited,
                Delivery::Answered,
                before_work,
            ),
            (
                "RequestLimitExceeded.UinLimitExceeded",
                RateLimited,
                Delivery::Answered,
                before_work,
            ),
            (
                "RequestLimitExceeded.IPLimitExceeded",
                RateLimited,
                Delivery::Answered,
                before_work,
            ),
            (
                "ServiceUnavailable",
                Unavailable,
                Delivery::MaybeSent,
                Refusal::Final,
            ),
            (
                "InternalError",
                Unavailable,
                Delivery::MaybeSent,
                Refusal::Final,
            ),
            (
                "InternalError.DependsApi",
                Unavailable,
                Delivery::MaybeSent,
                Refusal::Final,
            ),
            (
                "InternalError.Db.Timeout",
                Unavailable,
                Delivery::MaybeSent,
                Refusal::Final,
            ),
            (
                "NeverSeen.Before",
                Unavailable,
                Delivery::MaybeSent,
                Refusal::Final,
            ),
            ("", Unavailable, Delivery::MaybeSent, Refusal::Final),
            (
                "AuthFailure",
                Unauthenticated,
                Delivery::Answered,
                Refusal::Final,
            ),
            (
                "AuthFailure.SignatureExpire",
                Unauthenticated,
                Delivery::Answered,
                Refusal::Final,
            ),
            (
                "AuthFailure.SignatureFailure",
                Unauthenticated,
                Delivery::Answered,
                Refusal::Final,
            ),
            (
                "AuthFailure.SecretIdNotFound",
                Unauthenticated,
                Delivery::Answered,
                Refusal::Final,
            ),
            (
                "AuthFailure.UnauthorizedOperation",
                Unauthenticated,
                Delivery::Answered,
                Refusal::Final,
            ),
            (
                "IpNotInWhitelist",
                Unauthenticated,
                Delivery::Answered,
                Refusal::Final,
            ),
            (
                "IpInBlacklist",
                Unauthenticated,
                Delivery::Answered,
                Refusal::Final,
            ),
            (
                "ActionOffline",
                OperationRetired,
                Delivery::Answered,
                Refusal::Final,
            ),
            ("InvalidAction", Refused, Delivery::Answered, Refusal::Final),
            ("NoSuchVersion", Refused, Delivery::Answered, Refusal::Final),
            ("NoSuchProduct", Refused, Delivery::Answered, Refusal::Final),
            (
                "UnauthorizedOperation.NoPermissionFeature",
                Refused,
                Delivery::Answered,
                Refusal::Final,
            ),
            (
                "UnauthorizedOperation",
                Refused,
                Delivery::Answered,
                Refusal::Final,
            ),
            (
                "OperationDenied",
                Refused,
                Delivery::Answered,
                Refusal::Final,
            ),
            (
                "OperationDenied.Forbid",
                Refused,
                Delivery::Answered,
                Refusal::Final,
            ),
            (
                "InvalidParameter",
                InvalidInput,
                Delivery::Answered,
                Refusal::Final,
            ),
            (
                "InvalidParameter.DupTask",
                InvalidInput,
                Delivery::Answered,
                Refusal::Final,
            ),
            (
                "InvalidParameter.ParamError",
                InvalidInput,
                Delivery::Answered,
                Refusal::Final,
            ),
            (
                "InvalidParameterValue",
                InvalidInput,
                Delivery::Answered,
                Refusal::Final,
            ),
            (
                "MissingParameter.ResourceName",
                InvalidInput,
                Delivery::Answered,
                Refusal::Final,
            ),
            (
                "UnknownParameter",
                InvalidInput,
                Delivery::Answered,
                Refusal::Final,
            ),
            (
                "UnsupportedRegion",
                InvalidInput,
                Delivery::Answered,
                Refusal::Final,
            ),
            (
                "InvalidRequest",
                InvalidInput,
                Delivery::Answered,
                Refusal::Final,
            ),
            (
                "LimitExceeded",
                QuotaExceeded,
                Delivery::Answered,
                Refusal::Final,
            ),
            (
                "LimitExceeded.FileSize",
                InvalidInput,
                Delivery::Answered,
                Refusal::Final,
            ),
            (
                "RequestSizeLimitExceeded",
                InvalidInput,
                Delivery::Answered,
                Refusal::Final,
            ),
            (
                "ResourceInsufficient",
                QuotaExceeded,
                Delivery::Answered,
                Refusal::Final,
            ),
            (
                "ResourceNotFound",
                NotFound,
                Delivery::Answered,
                Refusal::Final,
            ),
            (
                "ResourceNotFound.File",
                NotFound,
                Delivery::Answered,
                Refusal::Final,
            ),
            (
                "ResourceUnavailable",
                Refused,
                Delivery::Answered,
                Refusal::Final,
            ),
            (
                "FailedOperation",
                Refused,
                Delivery::Answered,
                Refusal::Final,
            ),
        ] {
            let meaning = meaning(code);
            assert_eq!(
                (meaning.kind, meaning.delivery, meaning.refusal),
                (kind, sent, refusal),
                "code {code}"
            );
            assert!(!meaning.help.is_empty(), "code {code}");
        }
    }

    #[test]
    fn the_longest_known_beginning_counts() {
        assert_ne!(
            meaning("AuthFailure.TokenFailure").help,
            meaning("AuthFailure.SignatureFailure").help
        );
        assert!(meaning("ActionOffline").help.contains("TENCENT_ESS_API"));
    }
}
