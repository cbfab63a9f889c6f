//! The JSON around everything: requests out, answers and pushes in.

use std::fmt;

#[cfg(feature = "websocket")]
use jobs_core::http::LenientJson;
use serde::Serialize;
use serde_json::Value;

use crate::code::Code;
use crate::error::bracketed;
use crate::lenient::{self, Object};
use crate::{Command, ProtocolError, Rejection};

/// Largest message to accept: files have up to 20 MB and come whole by default.
pub(crate) const MAX_MESSAGE_BYTES: usize = 32 * 1024 * 1024;

/// Longest request id to use: one public client reads it into 128 bytes.
pub(crate) const MAX_REQ_ID_BYTES: usize = 127;

/// A body together with the command it belongs to.
pub(crate) trait CommandBody: Serialize {
    /// The command.
    const COMMAND: Command;
    /// Whether the message carries a body at all.
    const HAS_BODY: bool = true;
}

/// Writes a request as text message.
///
/// # Errors
///
/// The request id is empty or too long, or the body cannot be written as JSON.
pub(crate) fn encode<R: CommandBody>(request: &R, req_id: &str) -> Result<String, ProtocolError> {
    check_req_id(req_id)?;
    let envelope = Outgoing {
        cmd: R::COMMAND.name(),
        headers: Headers { req_id },
        body: R::HAS_BODY.then_some(request),
    };
    serde_json::to_string(&envelope).map_err(ProtocolError::Json)
}

/// A text message from the cloud.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Incoming {
    /// The answer to a request: it has no `cmd`.
    Answer(Answer),
    /// Something the cloud says by itself: it has a `cmd`.
    Push(Push),
}

/// Reads a text message of at most `limit` bytes ([`MAX_MESSAGE_BYTES`] if in doubt).
///
/// Unknown fields are ignored, numbers may come as text. A text or number that is no JSON, such as half a surrogate or `NaN`,
/// costs only itself.
///
/// # Errors
///
/// The message is too large, not UTF-8, not a JSON object, or has a `cmd` that is no text.
pub(crate) fn decode(message: &[u8], limit: usize) -> Result<Incoming, ProtocolError> {
    if message.len() > limit {
        return Err(ProtocolError::TooLarge {
            limit,
            actual: message.len(),
        });
    }
    let weight = weight(message);
    if weight > MAX_WEIGHT {
        return Err(ProtocolError::TooLarge {
            limit: MAX_WEIGHT,
            actual: weight,
        });
    }
    let text = std::str::from_utf8(message).map_err(|source| ProtocolError::NotUtf8 {
        field: "message",
        source,
    })?;
    let value = match serde_json::from_str(text) {
        Ok(value) => value,
        Err(error) => leniently(text).ok_or(ProtocolError::Json(error))?,
    };
    let Value::Object(mut object) = value else {
        return Err(ProtocolError::Shape { field: "message" });
    };
    let req_id = match object.get("headers") {
        Some(Value::Object(headers)) => lenient::text(headers, "req_id"),
        _ => None,
    };
    let body = match object.remove("body") {
        Some(Value::Object(body)) => body,
        _ => Object::new(),
    };
    match object.remove("cmd") {
        None | Some(Value::Null) => Ok(Incoming::Answer(Answer {
            req_id,
            code: lenient::signed(&object, "errcode").map(Code::new),
            message: lenient::text(&object, "errmsg").unwrap_or_default(),
            body,
        })),
        Some(Value::String(cmd)) => Ok(Incoming::Push(Push { cmd, req_id, body })),
        Some(_) => Err(ProtocolError::Shape { field: "cmd" }),
    }
}

/// An object that is whole but for something in it. What ends too early is none: half a list would pass for all of it.
#[cfg(feature = "websocket")]
fn leniently(text: &str) -> Option<Value> {
    let is_blank = |c: char| c.is_whitespace() || c == '\u{feff}';
    let is_object = text.trim_start_matches(is_blank).starts_with('{');
    let json = is_object.then(|| LenientJson::read(text.as_bytes()))?;
    json.value().decode().filter(|_| json.is_whole())
}

/// Without a connection nothing comes from outside.
#[cfg(not(feature = "websocket"))]
fn leniently(_text: &str) -> Option<Value> {
    None
}

/// Most memory for the values of a message. Without it 32 MiB of empty objects would take gigabytes.
const MAX_WEIGHT: usize = 128 * 1024 * 1024;

/// What the values of a JSON text take in memory at most, by the marks that begin or follow one.
fn weight(message: &[u8]) -> usize {
    message.iter().fold(0_usize, |sum, byte| {
        sum.saturating_add(match byte {
            // A map has room for eleven entries from its first on.
            b'{' => 700,
            b',' | b'[' => 100,
            _ => 0,
        })
    })
}

/// The answer to a request.
#[derive(Clone, PartialEq)]
pub(crate) struct Answer {
    req_id: Option<String>,
    code: Option<Code>,
    message: String,
    body: Object,
}

impl Answer {
    /// The request it answers; several answers were seen without one.
    pub(crate) fn req_id(&self) -> Option<&str> {
        self.req_id.as_deref()
    }

    /// The code, if there is a readable one.
    pub(crate) fn code(&self) -> Option<Code> {
        self.code
    }

    /// The cloud's `errmsg`, verbatim and possibly empty.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// The request id that newer error messages end with.
    pub(crate) fn req_id_in_message(&self) -> Option<&str> {
        bracketed(&self.message, "reqid: [")
    }

    /// The body of a successful answer; empty when there is none.
    ///
    /// The code is looked at first: failed answers were seen with a body of empty texts.
    ///
    /// # Errors
    ///
    /// The cloud refused the request, or the answer has no code.
    pub(crate) fn accepted(&self) -> Result<&Object, ProtocolError> {
        match self.code {
            Some(code) if code.is_ok() => Ok(&self.body),
            Some(code) => Err(Rejection::new(code, self.message.clone()).into()),
            None => Err(ProtocolError::Shape { field: "errcode" }),
        }
    }

    /// Hides what must not be printed, should the cloud quote it.
    #[cfg(feature = "websocket")]
    pub(crate) fn hide(&mut self, hide: impl Fn(&str) -> String) {
        self.message = hide(&self.message);
    }

    /// Whether it carries a list of jobs, which only a list request can have asked for.
    pub(crate) fn has_job_list(&self) -> bool {
        self.body.contains_key("printer_job_list")
    }
}

/// Bodies carry secrets, so only their presence is shown.
impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer")
            .field("req_id", &self.req_id)
            .field("code", &self.code)
            .field("message", &self.message)
            .field("body_fields", &self.body.len())
            .finish()
    }
}

/// Something the cloud says by itself; no acknowledgement is expected.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub(crate) struct Push {
    /// What it is about, as the cloud writes it.
    pub cmd: String,
    /// Made by the cloud; a repeated push repeats it.
    pub req_id: Option<String>,
    /// The details; empty when there are none.
    pub body: Object,
}

/// Nobody promises that a new kind of push carries no secret, so only the presence of its body is shown.
impl fmt::Debug for Push {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Push")
            .field("cmd", &self.cmd)
            .field("req_id", &self.req_id)
            .field("body_fields", &self.body.len())
            .finish()
    }
}

pub(crate) fn check_req_id(req_id: &str) -> Result<(), ProtocolError> {
    if req_id.is_empty() || req_id.len() > MAX_REQ_ID_BYTES {
        return Err(ProtocolError::Argument {
            field: "req_id",
            rule: "must have 1 to 127 bytes",
        });
    }
    Ok(())
}

#[derive(Serialize)]
struct Outgoing<'a, B> {
    cmd: &'a str,
    headers: Headers<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<&'a B>,
}

#[derive(Serialize)]
struct Headers<'a> {
    req_id: &'a str,
}
