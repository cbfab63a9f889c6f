//! The vendor's error codes: which kind each is, as far as the caller knows.

use std::collections::BTreeMap;

use jobs_core::ErrorKind;

/// What errors and tickets call this vendor.
pub(crate) const VENDOR: &str = "mindshow";

/// A table from code to kind. It is shipped empty: the vendor's list could not be read, and no other source has numbers.
#[derive(Debug, Clone, Default)]
pub(crate) struct Codes(BTreeMap<i64, ErrorKind>);

impl Codes {
    pub(crate) fn insert(&mut self, code: i64, kind: ErrorKind) {
        self.0.insert(code, kind);
    }

    pub(crate) fn kind(&self, code: i64) -> Option<ErrorKind> {
        self.0.get(&code).copied()
    }
}

/// What to do about a refusal.
pub(crate) fn help(kind: ErrorKind, code: Option<i64>) -> Option<&'static str> {
    match (kind, code) {
        (ErrorKind::Unauthenticated, _) => Some("check MINDSHOW_API_KEY"),
        (ErrorKind::QuotaExceeded, _) => Some("top up the credits on the vendor's site"),
        (ErrorKind::RateLimited, _) => Some("send fewer requests a second"),
        (ErrorKind::Refused, Some(_)) => {
            Some("look the code up in the vendor's list, or ask its support with the request id")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_code_is_known_until_the_caller_says_so() {
        let mut codes = Codes::default();
        assert_eq!(codes.kind(1001), None);
        codes.insert(1001, ErrorKind::QuotaExceeded);
        assert_eq!(codes.kind(1001), Some(ErrorKind::QuotaExceeded));
        assert_eq!(codes.kind(1002), None);
    }
}
