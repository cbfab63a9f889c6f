//! The vendor's encrypted callbacks: verified, decrypted, and read as nudges.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jobs_core::{Error, Secret};
use serde_json::Value;
use sha1::{Digest, Sha1};
use subtle::ConstantTimeEq;

use super::cipher::{self, FileKey};
use super::envelope::VENDOR;
use crate::lenient::{self, Object};

/// A callback as it arrived. Not believed before [`WebhookKey::open`].
#[derive(Clone)]
pub struct WebhookRequest<'a> {
    msg_signature: &'a str,
    timestamp: &'a str,
    nonce: &'a str,
    encrypted: Cow<'a, str>,
}

impl<'a> WebhookRequest<'a> {
    /// From the three query parameters and the encrypted text itself, such as that of an address check.
    pub fn new(
        msg_signature: &'a str,
        timestamp: &'a str,
        nonce: &'a str,
        encrypted: &'a str,
    ) -> Self {
        Self {
            msg_signature,
            timestamp,
            nonce,
            encrypted: Cow::Borrowed(encrypted),
        }
    }

    /// From the three query parameters and a JSON body that holds the encrypted text as `encrypt`.
    ///
    /// # Errors
    /// [`InvalidInput`](jobs_core::ErrorKind::InvalidInput) for a body without it.
    pub fn from_body(
        msg_signature: &'a str,
        timestamp: &'a str,
        nonce: &'a str,
        body: &[u8],
    ) -> Result<Self, Error> {
        let encrypted = match serde_json::from_slice(body) {
            Ok(Value::Object(body)) => lenient::text(&body, "encrypt"),
            _ => None,
        };
        Ok(Self {
            msg_signature,
            timestamp,
            nonce,
            encrypted: encrypted
                .ok_or_else(|| bad("the body is no JSON with an encrypted text"))?
                .into(),
        })
    }

    /// The signature covers the values joined without anything between them, so that characters moved from one to its
    /// neighbour leave it right. Whole blocks of the encrypted text are 64 characters: more than these two may have.
    fn check_shape(&self) -> Result<(), Error> {
        const TIMESTAMP: usize = 13;
        const NONCE: usize = 40;
        let is = |text: &str, most: usize, allowed: fn(u8) -> bool| {
            (1..=most).contains(&text.len()) && text.bytes().all(allowed)
        };
        if !is(self.timestamp, TIMESTAMP, |byte| byte.is_ascii_digit()) {
            return Err(bad("the timestamp is no number of seconds"));
        }
        if !is(self.nonce, NONCE, |byte| {
            byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'
        }) {
            return Err(bad("the nonce is no short text"));
        }
        Ok(())
    }
}

impl fmt::Debug for WebhookRequest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Callback")
            .field("timestamp", &self.timestamp)
            .field("encrypted", &self.encrypted.len())
            .finish_non_exhaustive()
    }
}

/// The values that a callback's signature covers.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Signed<'a> {
    /// The token of the callback address.
    pub token: &'a Secret,
    /// Query parameter.
    pub timestamp: &'a str,
    /// Query parameter.
    pub nonce: &'a str,
    /// The encrypted text as it was sent.
    pub encrypted: &'a str,
}

/// The four values sorted by their bytes, joined, SHA-1, lower-case hex.
pub fn sorted_sha1(signed: &Signed<'_>) -> String {
    let mut values = [
        signed.token.expose(),
        signed.timestamp,
        signed.nonce,
        signed.encrypted,
    ];
    values.sort_unstable();
    let mut digest = Sha1::new();
    for value in values {
        digest.update(value.as_bytes());
    }
    hex::encode(digest.finalize())
}

/// What surrounds the message inside the encryption.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Framing {
    /// Sixteen random bytes, the message's length in four big-endian bytes, the message, the receiver's id.
    #[default]
    Prefixed,
    /// Nothing.
    Bare,
}

/// What verifies and opens callbacks.
///
/// The vendor's pages on hardware name the parameters, not the scheme: signature and framing are those of its other
/// callbacks, which is our inference, so both can be changed.
#[derive(Debug, Clone)]
pub struct WebhookKey {
    token: Secret,
    key: FileKey,
    receiver: Option<String>,
    framing: Framing,
    /// Another signature than the usual one.
    signature: Option<fn(&Signed<'_>) -> String>,
}

impl WebhookKey {
    /// From the token and the 43 characters of the key that were set with the callback address.
    ///
    /// # Errors
    /// [`InvalidInput`](jobs_core::ErrorKind::InvalidInput) for a key that is none.
    pub fn new(token: Secret, encoding_aes_key: &Secret) -> Result<Self, Error> {
        Ok(Self {
            token,
            key: FileKey::parse(encoding_aes_key)
                .map_err(|problem| bad(&problem.to_string()).with_source(problem))?,
            receiver: None,
            framing: Framing::default(),
            signature: None,
        })
    }

    /// Takes only callbacks meant for this receiver: the company for a provider's address, the model for a model's.
    #[must_use]
    pub fn with_receiver(mut self, id: &str) -> Self {
        self.receiver = Some(id.to_owned());
        self
    }

    /// Expects this around the message.
    #[must_use]
    pub fn with_framing(mut self, framing: Framing) -> Self {
        self.framing = framing;
        self
    }

    /// Expects this signature instead of [`sorted_sha1`].
    #[must_use]
    pub fn with_signature(mut self, signature: fn(&Signed<'_>) -> String) -> Self {
        self.signature = Some(signature);
        self
    }

    /// The text of a callback that was signed and encrypted with this key.
    ///
    /// The signature does not say when it was made: the same callback may come again, and is recognised by
    /// [`WebhookNotice::req_id`].
    ///
    /// # Errors
    /// [`InvalidInput`](jobs_core::ErrorKind::InvalidInput): forged, damaged, or meant for somebody else.
    pub fn open(&self, callback: &WebhookRequest<'_>) -> Result<String, Error> {
        if self.signature.is_none() {
            callback.check_shape()?;
        }
        let wanted = self.signature.unwrap_or(sorted_sha1)(&Signed {
            token: &self.token,
            timestamp: callback.timestamp,
            nonce: callback.nonce,
            encrypted: &callback.encrypted,
        });
        if !bool::from(wanted.as_bytes().ct_eq(callback.msg_signature.as_bytes())) {
            return Err(
                bad("the signature is wrong").with_help("check the token of the callback address")
            );
        }
        let encrypted = STANDARD
            .decode(callback.encrypted.as_bytes())
            .map_err(|cause| bad("the encrypted text is no base64").with_source(cause))?;
        let plain = cipher::decrypt(&self.key, &encrypted)
            .map_err(|problem| bad(&problem.to_string()).with_source(problem))?;
        let message = match self.framing {
            Framing::Bare => plain.as_slice(),
            Framing::Prefixed => {
                let (message, receiver) =
                    unwrap_frame(&plain).ok_or_else(|| bad("the decrypted text is cut"))?;
                let wanted = self.receiver.as_deref().map(str::as_bytes);
                if wanted.is_some_and(|wanted| wanted != receiver) {
                    return Err(bad("the callback is meant for another receiver"));
                }
                message
            }
        };
        let text = std::str::from_utf8(message)
            .map_err(|cause| bad("the decrypted text is no UTF-8").with_source(cause))?;
        Ok(text.to_owned())
    }

    /// What a callback says.
    ///
    /// # Errors
    /// As [`open`](Self::open), and for a text that is not JSON.
    pub fn parse(&self, callback: &WebhookRequest<'_>) -> Result<WebhookNotice, Error> {
        WebhookNotice::read(&self.open(callback)?)
    }
}

/// The message and the receiver's id.
fn unwrap_frame(plain: &[u8]) -> Option<(&[u8], &[u8])> {
    let (_, rest) = plain.split_at_checked(16)?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)
}

/// A callback that was read. Look before acting on it: it may be doubled, late, or lost.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct WebhookNotice {
    /// The vendor's id of the callback, the same when it comes again.
    pub req_id: Option<String>,
    /// The device it is about; none for those about a model.
    pub device_sn: Option<String>,
    /// When, in unix seconds.
    pub created_at: Option<i64>,
    /// The model.
    pub model_id: Option<String>,
    /// The company that bound the device.
    pub auth_corpid: Option<String>,
    /// The provider.
    pub service_corpid: Option<String>,
    /// What it is about.
    pub event: WebhookEvent,
}

/// What a callback is about.
///
/// The words of commands are documented; their fields, and the words of events, are those that a public SDK reads.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum WebhookEvent {
    /// Jobs were submitted.
    JobSubmitted {
        /// Their ids.
        ids: Vec<String>,
    },
    /// A member asks for a preview, so a document has to be converted.
    JobConversion {
        /// Their ids.
        ids: Vec<String>,
    },
    /// Jobs were deleted by a member, or by the vendor when they lapsed.
    JobDeleted {
        /// Their ids.
        ids: Vec<String>,
    },
    /// Somebody scanned the device's QR code.
    Scanned(Scan),
    /// The vendor wants to know the device's state.
    StatusWanted,
    /// A company binds the device.
    Bound {
        /// What [`exchange_auth_code`](super::CloudClient::exchange_auth_code) takes.
        auth_code: Option<Secret>,
    },
    /// The company unbound the device: its secret is void, and everything of it must be erased.
    Unbound,
    /// A new model ticket, for [`set_model_ticket`](super::CloudClient::set_model_ticket).
    ModelTicket(Secret),
    /// Something else.
    Unknown {
        /// Its name, as the vendor writes it.
        name: String,
    },
}

/// A scan of the device's QR code.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Scan {
    /// Who scanned.
    pub open_userid: Option<String>,
    /// What the QR code carried.
    pub state: Option<String>,
    /// Opaque.
    pub oper_id: Option<String>,
    /// Whether an administrator scanned; `None` when not said.
    pub by_admin: Option<bool>,
    /// Permits to deliver a scanned file.
    pub auth_code: Option<Secret>,
    /// How long it does.
    pub valid_for: Option<Duration>,
}

impl WebhookNotice {
    /// Reads the decrypted text.
    ///
    /// # Errors
    /// [`InvalidInput`](jobs_core::ErrorKind::InvalidInput) when it is no JSON object.
    pub fn read(text: &str) -> Result<Self, Error> {
        let message: Object = serde_json::from_str(text)
            .map_err(|cause| bad("the callback is no JSON object").with_source(cause))?;
        let empty = Object::new();
        let base = object(&message, "base_info").unwrap_or(&empty);
        Ok(Self {
            req_id: lenient::text(base, "req_id"),
            device_sn: lenient::text(base, "device_sn"),
            created_at: lenient::signed(base, "createtime"),
            model_id: lenient::text(base, "model_id"),
            auth_corpid: lenient::text(base, "auth_corpid"),
            service_corpid: lenient::text(base, "service_corpid"),
            event: WebhookEvent::read(&message),
        })
    }
}

impl WebhookEvent {
    fn read(message: &Object) -> Self {
        let empty = Object::new();
        let (key, inner) = match lenient::text(message, "msg_type").as_deref() {
            Some("event") => ("event", "event_type"),
            _ => ("command", "command_type"),
        };
        let content = object(message, key).unwrap_or(&empty);
        let name = lenient::text(content, inner)
            .or_else(|| lenient::text(message, key))
            .unwrap_or_default();
        match name.as_str() {
            "printer_job_submit" => Self::JobSubmitted { ids: ids(content) },
            "printer_job_trans" => Self::JobConversion { ids: ids(content) },
            "printer_job_del" => Self::JobDeleted { ids: ids(content) },
            "user_scan" => Self::Scanned(Scan {
                open_userid: lenient::text(content, "open_userid"),
                state: lenient::text(content, "state"),
                oper_id: lenient::text(content, "oper_id"),
                by_admin: match lenient::signed(content, "user_type") {
                    Some(0) => Some(false),
                    Some(1) => Some(true),
                    _ => None,
                },
                auth_code: secret(content, "auth_code"),
                valid_for: lenient::unsigned(content, "expires_in").map(Duration::from_secs),
            }),
            "fetch_device_status" => Self::StatusWanted,
            "bind" => Self::Bound {
                auth_code: secret(content, "auth_code"),
            },
            "unbind" => Self::Unbound,
            "model_ticket" => match secret(content, "model_ticket") {
                Some(ticket) => Self::ModelTicket(ticket),
                None => Self::Unknown { name },
            },
            _ => Self::Unknown { name },
        }
    }
}

fn object<'a>(message: &'a Object, key: &str) -> Option<&'a Object> {
    message.get(key)?.as_object()
}

fn secret(content: &Object, key: &str) -> Option<Secret> {
    Secret::new(lenient::text(content, key)?).ok()
}

fn ids(content: &Object) -> Vec<String> {
    let mut ids = lenient::texts(content, "jobid_list");
    ids.extend(lenient::text(content, "jobid"));
    ids
}

fn bad(problem: &str) -> Error {
    Error::invalid_input(VENDOR, "callback", problem)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_moved_between_signed_values_are_not_believed() {
        let secret = |text: &str| Secret::new(text).unwrap();
        let token = secret("zzz");
        let key = WebhookKey::new(token.clone(), &secret(&"A".repeat(43)))
            .unwrap()
            .with_framing(Framing::Bare);
        // Two blocks of three, then the rest; sorted: timestamp, nonce, encrypted, token.
        let encrypted = format!("{}{}", "x".repeat(64), "y".repeat(64));
        let sign = |timestamp: &str, nonce: &str, encrypted: &str| {
            sorted_sha1(&Signed {
                token: &token,
                timestamp,
                nonce,
                encrypted,
            })
        };
        let signature = sign("1700000000", "5", &encrypted);
        let opened = |timestamp: &str, nonce: &str, encrypted: &str| {
            let callback = WebhookRequest::new(&signature, timestamp, nonce, encrypted);
            key.open(&callback)
                .unwrap_err()
                .message()
                .unwrap()
                .to_owned()
        };
        assert_eq!(
            opened("1700000000", "5", &encrypted),
            "the padding at the end is wrong"
        );
        let (moved, rest) = encrypted.split_at(64);
        let nonce = format!("5{moved}");
        assert_eq!(sign("1700000000", &nonce, rest), signature);
        assert_eq!(
            opened("1700000000", &nonce, rest),
            "the nonce is no short text"
        );
        for (timestamp, nonce, said) in [
            ("17000000005", "", "the nonce is no short text"),
            ("17000000005x", "y", "the timestamp is no number of seconds"),
            ("1700000000", "6", "the signature is wrong"),
        ] {
            assert_eq!(opened(timestamp, nonce, &encrypted), said);
        }
    }
}
