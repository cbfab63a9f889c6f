//! The two headers that identify an account.

use std::fmt;

use jobs_core::Secret;
use jobs_core::http::Request;
use jobs_core::vendor::Account;

use crate::code::VENDOR;

/// An application id and its secret code, from the vendor's console.
#[derive(Clone)]
pub(crate) struct Credentials {
    app_id: Secret,
    secret_code: Secret,
}

impl Credentials {
    pub(crate) fn new(app_id: Secret, secret_code: Secret) -> Self {
        Self {
            app_id,
            secret_code,
        }
    }

    /// Both headers; the vendor answers 40101 when one is missing.
    pub(crate) fn sign(&self, request: Request) -> Request {
        let [(id, app_id), (code, secret_code)] = self.headers();
        request
            .with_secret_header(id, app_id)
            .with_secret_header(code, secret_code)
    }

    pub(crate) fn headers(&self) -> [(&'static str, &str); 2] {
        [
            ("x-ti-app-id", self.app_id.expose()),
            ("x-ti-secret-code", self.secret_code.expose()),
        ]
    }

    pub(crate) fn account(&self) -> Account {
        Account::of(VENDOR, self.app_id.expose())
    }

    pub(crate) fn secrets(&self) -> [Secret; 1] {
        [self.secret_code.clone()]
    }

    /// What is no secret, and still nobody's business.
    pub(crate) fn id(&self) -> Secret {
        self.app_id.clone()
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials(account {})", self.account())
    }
}
