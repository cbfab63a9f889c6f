//! What can go wrong between bytes and meaning.

use std::str::Utf8Error;

use crate::code::Code;

/// A message could not be understood, built or matched, or the cloud refused a request.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProtocolError {
    /// The message is larger than the limit in force.
    #[error("message of {actual} bytes exceeds the limit of {limit}")]
    TooLarge {
        /// The limit in force.
        limit: usize,
        /// What arrived or was to be sent.
        actual: usize,
    },
    /// A text message or a text field of a binary message is not UTF-8.
    #[error("{field} is not valid UTF-8")]
    NotUtf8 {
        /// Which part.
        field: &'static str,
        /// Where it stops being UTF-8.
        source: Utf8Error,
    },
    /// The text is not JSON, or a body cannot be written as JSON.
    ///
    /// Messages are parsed without types first, so the source names a position, never a value.
    #[error("message is not valid JSON")]
    Json(#[source] serde_json::Error),
    /// JSON of another shape than the protocol says.
    #[error("message lacks a usable `{field}`")]
    Shape {
        /// The missing or wrongly typed field.
        field: &'static str,
    },
    /// A binary message ends before the field it announces.
    #[error("binary message ends inside `{field}`: {needed} bytes announced, {left} left")]
    Truncated {
        /// The field that is cut.
        field: &'static str,
        /// How many bytes it should have.
        needed: usize,
        /// How many are there.
        left: usize,
    },
    /// A binary message of another layout version.
    #[error("binary message has version {found} instead of {expected}")]
    Version {
        /// The version of the expected layout.
        expected: u32,
        /// The version found.
        found: u32,
    },
    /// The caller asked for something the protocol cannot carry.
    #[error("`{field}` {rule}")]
    Argument {
        /// Which argument.
        field: &'static str,
        /// The rule it breaks.
        rule: &'static str,
    },
    /// An answer without `headers` while strict correlation is on.
    #[error("answer has no request id and strict correlation is on")]
    Headerless,
    /// An answer that no open request can own.
    #[error("answer belongs to no open request")]
    Unexpected,
    /// The request id is already in use.
    #[error("request id is already in use")]
    DuplicateRequest,
    /// As many requests are open as the limit allows.
    #[error("{limit} requests are open already")]
    Busy {
        /// The limit reached.
        limit: usize,
    },
    /// The cloud understood the request and refused it.
    #[error(transparent)]
    Refused(Box<Rejection>),
}

/// The cloud's error answer, kept as it came.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("refused with code {code} ({})", code.meaning())]
pub struct Rejection {
    code: Code,
    message: String,
}

impl Rejection {
    pub(crate) fn new(code: Code, message: String) -> Self {
        Self { code, message }
    }

    /// The cloud's code.
    pub fn code(&self) -> Code {
        self.code
    }

    /// The cloud's `errmsg`, verbatim and possibly empty. Foreign text: escape it before showing.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The support hint inside the message, worth quoting to the vendor.
    pub fn hint(&self) -> Option<&str> {
        bracketed(&self.message, "hint: [")
    }

    /// The request id inside the message.
    pub fn req_id(&self) -> Option<&str> {
        bracketed(&self.message, "reqid: [")
    }
}

impl From<Rejection> for ProtocolError {
    fn from(refusal: Rejection) -> Self {
        Self::Refused(Box::new(refusal))
    }
}

/// The text between `opening` (which ends in a bracket) and the next closing bracket.
pub(crate) fn bracketed<'a>(message: &'a str, opening: &str) -> Option<&'a str> {
    let (_, rest) = message.rsplit_once(opening)?;
    let (inside, _) = rest.split_once(']')?;
    (!inside.is_empty()).then_some(inside)
}
