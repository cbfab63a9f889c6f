//! The headers that identify an account, and the clock that they must agree with.

use std::fmt;

use chrono::DateTime;
use jobs_core::Secret;
use jobs_core::http::Request;
use jobs_core::vendor::Account;

use crate::code::VENDOR;
use crate::tc3::{self, Scope, Signed};

/// The content type of every body, character by character as it is signed.
pub(crate) const CONTENT_TYPE: &str = "application/json";

/// The code for a signature that is too old or too young.
pub(crate) const CLOCK_IS_WRONG: &str = "AuthFailure.SignatureExpire";

/// A key pair, and the token that comes with a temporary one.
#[derive(Clone)]
pub(crate) struct Credentials {
    secret_id: Secret,
    secret_key: Secret,
    session_token: Option<Secret>,
}

/// What a signature is about, besides the key.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attempt<'a> {
    /// Usually the product's name, on the upload host too.
    pub(crate) service: &'a str,
    /// The `Host` header as it is sent, with its port.
    pub(crate) host: &'a str,
    /// Unix seconds.
    pub(crate) timestamp: i64,
    pub(crate) body_hash: &'a str,
}

impl Credentials {
    pub(crate) fn new(secret_id: Secret, secret_key: Secret) -> Self {
        Self {
            secret_id,
            secret_key,
            session_token: None,
        }
    }

    pub(crate) fn set_session_token(&mut self, token: Secret) {
        self.session_token = Some(token);
    }

    /// Signs one attempt; another attempt needs another signature.
    pub(crate) fn sign(&self, request: Request, attempt: &Attempt<'_>) -> Request {
        let signed = Signed {
            method: "POST",
            path: "/",
            query: "",
            headers: &[("content-type", CONTENT_TYPE), ("host", attempt.host)],
            body_hash: attempt.body_hash,
        };
        let scope = Scope {
            service: attempt.service,
            timestamp: attempt.timestamp,
        };
        let authorization = tc3::authorization(
            self.secret_id.expose(),
            self.secret_key.expose(),
            &signed,
            &scope,
        );
        let request = request
            .with_header("x-tc-timestamp", &attempt.timestamp.to_string())
            .with_secret_header("authorization", &authorization);
        match &self.session_token {
            Some(token) => request.with_secret_header("x-tc-token", token.expose()),
            None => request,
        }
    }

    pub(crate) fn secrets(&self) -> Vec<Secret> {
        [&self.secret_key]
            .into_iter()
            .chain(&self.session_token)
            .cloned()
            .collect()
    }

    /// What is no secret, and still nobody's business.
    pub(crate) fn id(&self) -> Secret {
        self.secret_id.clone()
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let account = Account::of(VENDOR, self.secret_id.expose());
        write!(f, "Credentials(key {account})")
    }
}

/// The server's time in Unix seconds: at the end of the English message, otherwise in the header `Date`.
pub(crate) fn server_time(message: &str, date: Option<&str>) -> Option<i64> {
    let said = message
        .split(|c: char| !c.is_ascii_digit())
        .rfind(|digits| digits.len() == 10)
        .and_then(|digits| digits.parse().ok());
    said.or_else(|| {
        let date = DateTime::parse_from_rfc2822(date?.trim()).ok()?;
        Some(date.timestamp())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_servers_time_is_read_from_the_message_or_the_date() {
        let date = Some("Tue, 14 Nov 2023 22:13:20 GMT");
        for (message, date, time) in [
            (
                "expired: 1700000900, server time 1700001000",
                date,
                Some(1_700_001_000),
            ),
            ("请求的时间戳超时", date, Some(1_700_000_000)),
            ("id 12345678901 is too long", date, Some(1_700_000_000)),
            ("请求的时间戳超时", Some("yesterday"), None),
            ("", None, None),
        ] {
            assert_eq!(server_time(message, date), time, "{message}");
        }
    }

    #[test]
    fn no_part_of_the_key_is_printed() {
        let mut credentials = Credentials::new(
            Secret::new("AKIDexample").unwrap(),
            Secret::new("s3cret").unwrap(),
        );
        credentials.set_session_token(Secret::new("t0ken").unwrap());
        let printed = format!("{credentials:?}");
        for secret in ["AKIDexample", "s3cret", "t0ken"] {
            assert!(!printed.contains(secret), "{printed}");
        }
        assert_eq!(credentials.secrets().len(), 2);
        assert_eq!(credentials.id().expose(), "AKIDexample");
    }
}
