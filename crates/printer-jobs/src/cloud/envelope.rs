//! The HTTPS flavour's outer JSON, and the only place that knows its in-band error code.

use jobs_core::http::Response;
use jobs_core::vendor::Delivery;
use jobs_core::{Error, ErrorKind, Secret};
use serde_json::Value;

use crate::Rejection;
use crate::code::{Class, Code, Handling};
use crate::lenient::{self, Object};

pub(crate) const VENDOR: &str = "printer-jobs";

/// The content of an answer whose code is that of success, or that has none: token answers leave it out on success.
///
/// `secrets` are kept out of the error. There is never an excerpt of the body in it: it may hold a token or a key.
pub(crate) fn open(answer: &Response, secrets: &[Secret]) -> Result<Object, Error> {
    let failure = answer.http_failure().map(|failure| {
        answer
            .error(failure.kind())
            .with_delivery(failure.delivery())
    });
    let body = match (serde_json::from_slice(answer.body()), failure) {
        (Ok(Value::Object(body)), None) => body,
        // A gateway's error page may wear the vendor's envelope; then the code knows better what went wrong.
        (Ok(Value::Object(body)), Some(failure)) => match lenient::signed(&body, "errcode") {
            None | Some(0) => return Err(failure),
            Some(_) => body,
        },
        (_, Some(failure)) => return Err(failure),
        (Ok(_), None) => return Err(garbled(answer, "the answer is no JSON object")),
        (Err(cause), None) => {
            return Err(garbled(answer, "the answer is not JSON").with_source(cause));
        }
    };
    match (
        body.contains_key("errcode"),
        lenient::signed(&body, "errcode"),
    ) {
        (false, _) | (true, Some(0)) => Ok(body),
        (true, None) => Err(garbled(answer, "the answer has an unreadable errcode")),
        (true, Some(code)) => {
            let message = lenient::text(&body, "errmsg").unwrap_or_default();
            Err(refused(answer, Code::new(code), &message, secrets))
        }
    }
}

/// The error for an answer that is not as documented.
pub(crate) fn garbled(answer: &Response, problem: &str) -> Error {
    answer
        .error(ErrorKind::UnexpectedResponse)
        .with_delivery(Delivery::MaybeSent)
        .with_message(problem)
}

/// Whether the access token was refused, so that a new one may help.
pub(crate) fn is_stale_token(error: &Error) -> bool {
    code(error).is_some_and(|code| code.handling() == Handling::RefreshToken)
}

/// The cloud's code in an error.
pub(crate) fn code(error: &Error) -> Option<Code> {
    error.code()?.parse().ok().map(Code::new)
}

fn refused(answer: &Response, code: Code, message: &str, secrets: &[Secret]) -> Error {
    let mut message = answer.redact(message);
    for secret in secrets {
        message = message.replace(secret.expose(), "***");
    }
    let refusal = Rejection::new(code, message);
    let request = refusal.req_id().or(refusal.hint()).map(str::to_owned);
    let text = match refusal.message() {
        "" => code.meaning(),
        text => text,
    };
    let error = answer
        .error(kind_of(code))
        .with_code(code)
        .with_message(text)
        .with_request_id(request);
    let error = match help(code) {
        Some(advice) => error.with_help(advice),
        None => error,
    };
    error.with_source(refusal)
}

/// Unlike on a connection, where a lapsed login heals by itself, a token that is refused anew speaks against the secrets.
fn kind_of(code: Code) -> ErrorKind {
    match code.class() {
        Class::Transient | Class::Clock => ErrorKind::Unavailable,
        Class::RateLimited => ErrorKind::RateLimited,
        Class::Login | Class::Configuration | Class::Unbound => ErrorKind::Unauthenticated,
        Class::Request => ErrorKind::InvalidInput,
        Class::JobGone => ErrorKind::NotFound,
        _ => ErrorKind::Refused,
    }
}

fn help(code: Code) -> Option<&'static str> {
    const NOT_ALLOWED: Code = Code::new(301_042);
    match (code.class(), code.handling()) {
        _ if code == NOT_ALLOWED => {
            Some("add this machine's public address to the allow list in the provider console")
        }
        (_, Handling::SlowDown) => {
            Some("call less often; users report blocks of minutes up to an hour")
        }
        (_, Handling::LowerConcurrency) => Some("make fewer calls at once"),
        (Class::Login, _) => Some("check the model secret, the model ticket and the device secret"),
        (Class::Configuration, _) => Some("compare model and device with the provider console"),
        (Class::Unbound, _) => Some("bind the device in WeCom and exchange its new auth code"),
        (Class::ProviderSide, _) => Some("mend the device's entry in the provider console"),
        (Class::JobGone, _) => Some("the job was deleted or is older than seven days"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_read_as_kinds() {
        for (code, kind) in [
            (-1, ErrorKind::Unavailable),
            (40_014, ErrorKind::Unauthenticated),
            (42_001, ErrorKind::Unauthenticated),
            (45_009, ErrorKind::RateLimited),
            (45_033, ErrorKind::RateLimited),
            (301_042, ErrorKind::Unauthenticated),
            (600_018, ErrorKind::InvalidInput),
            (600_040, ErrorKind::NotFound),
            (999_999, ErrorKind::Refused),
        ] {
            assert_eq!(kind_of(Code::new(code)), kind, "{code}");
        }
        let allow_list = help(Code::new(301_042)).unwrap();
        assert!(allow_list.contains("allow list"), "{allow_list}");
    }
}
