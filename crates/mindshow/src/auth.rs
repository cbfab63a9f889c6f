//! The header that identifies an account.

use std::fmt;

use jobs_core::Secret;
use jobs_core::http::Request;
use jobs_core::vendor::Account;

use crate::code::VENDOR;

/// An API key, from the vendor's site.
#[derive(Clone)]
pub(crate) struct Credentials {
    api_key: Secret,
}

impl Credentials {
    pub(crate) fn new(api_key: Secret) -> Self {
        Self { api_key }
    }

    pub(crate) fn sign(&self, request: Request) -> Request {
        request.with_secret_header("authorization", &self.header())
    }

    fn header(&self) -> String {
        format!("Bearer {}", self.api_key.expose())
    }

    pub(crate) fn account(&self) -> Account {
        Account::of(VENDOR, self.api_key.expose())
    }

    pub(crate) fn secrets(&self) -> [Secret; 1] {
        [self.api_key.clone()]
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials(account {})", self.account())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_a_bearer_token_and_is_not_printed() {
        let credentials = Credentials::new(Secret::new("k3y").unwrap());
        assert_eq!(credentials.header(), "Bearer k3y");
        assert!(!format!("{credentials:?}").contains("k3y"));
    }
}
