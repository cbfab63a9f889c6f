//! The three layouts of binary messages.
//!
//! All numbers are 32 bits, unsigned, little-endian. Decoding borrows from the message and allocates
//! nothing, so a lying length costs nothing. Bytes behind the last field are tolerated and counted.

use crate::envelope::check_req_id;
use crate::{Command, ProtocolError};

/// Version of a download answer and of a plain upload.
pub(crate) const PLAIN_VERSION: u32 = 1;
/// Version of an upload with arguments.
pub(crate) const EXTENDED_VERSION: u32 = 2;

/// A file the cloud sends (layout A): answers `printer/download_file` and the QR code commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub(crate) struct FileAnswer<'a> {
    /// The request it answers.
    pub req_id: &'a str,
    /// The file or chunk.
    pub data: &'a [u8],
    /// Bytes behind the last field; not zero is worth a warning.
    pub trailing: usize,
}

/// A file the device sends (layouts B and C).
#[cfg(any(test, fuzzing))]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub(crate) struct Upload<'a> {
    /// The command's name on the wire.
    pub cmd: &'a str,
    /// The request id.
    pub req_id: &'a str,
    /// The file.
    pub data: &'a [u8],
    /// JSON text with the arguments; `None` in layout B.
    pub args: Option<&'a str>,
    /// Bytes behind the last field.
    pub trailing: usize,
}

/// Reads layout A.
///
/// # Errors
///
/// Another version, a field longer than what is left, or a request id that is not UTF-8.
pub(crate) fn decode_file_answer(message: &[u8]) -> Result<FileAnswer<'_>, ProtocolError> {
    let mut reader = Reader { rest: message };
    reader.version(PLAIN_VERSION)?;
    let req_id = reader.text("req_id")?;
    let data = reader.bytes("data")?;
    Ok(FileAnswer {
        req_id,
        data,
        trailing: reader.rest.len(),
    })
}

/// The request id of a layout A message whose data may be damaged.
///
/// Lets a cut answer fail the request it belongs to, instead of leaving it to time out.
pub(crate) fn req_id_of_file_answer(message: &[u8]) -> Option<&str> {
    let mut reader = Reader { rest: message };
    reader.version(PLAIN_VERSION).ok()?;
    reader.text("req_id").ok()
}

/// Writes layout A; the cloud's side, for simulators and tests.
///
/// # Errors
///
/// The request id is empty or too long, or the data exceeds 32 bits of length.
#[cfg(any(test, fuzzing))]
pub(crate) fn encode_file_answer(req_id: &str, data: &[u8]) -> Result<Vec<u8>, ProtocolError> {
    check_req_id(req_id)?;
    let mut message = start(PLAIN_VERSION, 12 + req_id.len() + data.len());
    put(&mut message, "req_id", req_id.as_bytes())?;
    put(&mut message, "data", data)?;
    Ok(message)
}

/// Reads layout B.
///
/// # Errors
///
/// As [`decode_file_answer`].
#[cfg(any(test, fuzzing))]
pub(crate) fn decode_upload(message: &[u8]) -> Result<Upload<'_>, ProtocolError> {
    let mut reader = Reader { rest: message };
    reader.version(PLAIN_VERSION)?;
    reader.upload(false)
}

/// Writes layout B, which `upload_log` uses; it is not wrapped.
///
/// # Errors
///
/// As [`encode_file_answer`].
#[cfg(any(test, fuzzing))]
pub(crate) fn encode_upload(
    command: Command,
    req_id: &str,
    data: &[u8],
) -> Result<Vec<u8>, ProtocolError> {
    encode(PLAIN_VERSION, command, req_id, data, None)
}

/// Reads layout C.
///
/// # Errors
///
/// As [`decode_file_answer`]; the arguments must be UTF-8 too.
#[cfg(any(test, fuzzing))]
pub(crate) fn decode_extended_upload(message: &[u8]) -> Result<Upload<'_>, ProtocolError> {
    let mut reader = Reader { rest: message };
    reader.version(EXTENDED_VERSION)?;
    reader.upload(true)
}

/// Writes layout C, which `printer/upload_scan_file` uses; `args` is JSON text.
///
/// # Errors
///
/// As [`encode_file_answer`].
pub(crate) fn encode_extended_upload(
    command: Command,
    req_id: &str,
    data: &[u8],
    args: &str,
) -> Result<Vec<u8>, ProtocolError> {
    encode(EXTENDED_VERSION, command, req_id, data, Some(args))
}

fn encode(
    version: u32,
    command: Command,
    req_id: &str,
    data: &[u8],
    args: Option<&str>,
) -> Result<Vec<u8>, ProtocolError> {
    check_req_id(req_id)?;
    let size = 20 + command.name().len() + req_id.len() + data.len() + args.map_or(0, str::len);
    let mut message = start(version, size);
    put(&mut message, "cmd", command.name().as_bytes())?;
    put(&mut message, "req_id", req_id.as_bytes())?;
    put(&mut message, "data", data)?;
    if let Some(args) = args {
        put(&mut message, "args", args.as_bytes())?;
    }
    Ok(message)
}

fn start(version: u32, size: usize) -> Vec<u8> {
    let mut message = Vec::with_capacity(size);
    message.extend_from_slice(&version.to_le_bytes());
    message
}

fn put(message: &mut Vec<u8>, field: &'static str, bytes: &[u8]) -> Result<(), ProtocolError> {
    let len = u32::try_from(bytes.len()).map_err(|_| ProtocolError::Argument {
        field,
        rule: "must be shorter than 4 GiB",
    })?;
    message.extend_from_slice(&len.to_le_bytes());
    message.extend_from_slice(bytes);
    Ok(())
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn number(&mut self, field: &'static str) -> Result<u32, ProtocolError> {
        let Some((number, rest)) = self.rest.split_first_chunk::<4>() else {
            return Err(self.truncated(field, 4));
        };
        self.rest = rest;
        Ok(u32::from_le_bytes(*number))
    }

    fn version(&mut self, expected: u32) -> Result<(), ProtocolError> {
        let found = self.number("format_version")?;
        if found != expected {
            return Err(ProtocolError::Version { expected, found });
        }
        Ok(())
    }

    fn bytes(&mut self, field: &'static str) -> Result<&'a [u8], ProtocolError> {
        let len = self.number(field)?;
        // A target whose usize is narrower than 32 bits cannot hold such a message anyway.
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        let Some((bytes, rest)) = self.rest.split_at_checked(len) else {
            return Err(self.truncated(field, len));
        };
        self.rest = rest;
        Ok(bytes)
    }

    fn text(&mut self, field: &'static str) -> Result<&'a str, ProtocolError> {
        std::str::from_utf8(self.bytes(field)?)
            .map_err(|source| ProtocolError::NotUtf8 { field, source })
    }

    #[cfg(any(test, fuzzing))]
    fn upload(mut self, extended: bool) -> Result<Upload<'a>, ProtocolError> {
        let cmd = self.text("cmd")?;
        let req_id = self.text("req_id")?;
        let data = self.bytes("data")?;
        let args = extended.then(|| self.text("args")).transpose()?;
        Ok(Upload {
            cmd,
            req_id,
            data,
            args,
            trailing: self.rest.len(),
        })
    }

    fn truncated(&self, field: &'static str, needed: usize) -> ProtocolError {
        ProtocolError::Truncated {
            field,
            needed,
            left: self.rest.len(),
        }
    }
}
