//! Callbacks: whether the vendor sent them, and what they say.

use aes::Aes256;
use aes::cipher::block_padding::Pkcs7;
use aes::cipher::{BlockModeDecrypt, KeyIvInit};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use jobs_core::{Error, Secret};
use serde_json::Value;
use sha2::Sha256;

use crate::code::VENDOR;
use crate::generated::types::{CallbackBody, CallbackNotice};

/// Opens the callbacks of one application, with the token and the key from the vendor's console.
///
/// Callbacks come more than once and in any order: deduplicate by [`WebhookEvent::msg_id`], and answer HTTP 200.
#[derive(Debug, Clone, Default)]
pub struct WebhookKey {
    token: Option<Secret>,
    key: Option<Secret>,
}

/// What a callback says.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct WebhookEvent {
    /// The same for every repetition of a notice.
    pub msg_id: Box<str>,
    /// What happened, such as `DocumentFill`; empty where the vendor does not say.
    pub msg_type: Box<str>,
    /// Which edition it is about; empty where the vendor does not say.
    pub msg_version: Box<str>,
    /// The content, which depends on the type.
    pub data: Value,
}

impl WebhookKey {
    /// For an application without token and key, whose callbacks anybody can forge.
    pub fn new() -> Self {
        Self::default()
    }

    /// Refuses whatever is not signed with this token.
    #[must_use]
    pub fn with_token(mut self, token: Secret) -> Self {
        self.token = Some(token);
        self
    }

    /// Decrypts with this key, and refuses what is not encrypted.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`](jobs_core::ErrorKind::InvalidInput) for a key of another length than 32 characters.
    pub fn with_key(mut self, key: Secret) -> Result<Self, Error> {
        if key.expose().len() != 32 {
            return Err(Error::invalid_input(
                VENDOR,
                "configure",
                "a callback key has 32 characters",
            ));
        }
        self.key = Some(key);
        Ok(self)
    }
}

/// Reads a callback: its raw body, and its header `Content-Signature` if it has one. No callback tells that a conversion is
/// done; these are about contracts, seals and staff.
///
/// # Errors
/// [`ErrorKind::InvalidInput`](jobs_core::ErrorKind::InvalidInput) when the signature is missing or wrong, or the content cannot be
/// read. Answer such a callback with an error, and it will be sent again.
///
/// ```
/// use tencent_ess::Secret;
/// use tencent_ess::webhook::{self, WebhookKey};
///
/// let key = WebhookKey::new()
///     .with_token(Secret::new("TESTTOKEN")?)
///     .with_key(Secret::new("0123456789abcdef0123456789ABCDEF")?)?;
/// assert!(webhook::parse(b"{}", Some("sha256=00"), &key).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn parse(
    body: &[u8],
    content_signature: Option<&str>,
    key: &WebhookKey,
) -> Result<WebhookEvent, Error> {
    if let Some(token) = &key.token {
        let signature = content_signature.ok_or_else(|| bad("the signature is missing"))?;
        if !is_signed(token, body, signature) {
            return Err(bad("the signature is wrong"));
        }
    }
    let outer: CallbackBody = serde_json::from_slice(body)
        .map_err(|cause| bad("this is not the vendor's notice").with_source(cause))?;
    let notice: CallbackNotice = match (&key.key, outer.encrypt) {
        // One error for whatever is wrong with it: who can try and see padding and content told apart decrypts by that.
        (Some(key), Some(encrypted)) => decrypt(key, &encrypted)
            .and_then(|plain| serde_json::from_slice(&plain).ok())
            .ok_or_else(|| {
                bad("the notice cannot be decrypted").with_help("check the callback key")
            })?,
        (None, None) => serde_json::from_slice(body)
            .map_err(|cause| bad("this is not the vendor's notice").with_source(cause))?,
        (Some(_), None) => return Err(bad("the notice is not encrypted")),
        (None, Some(_)) => {
            return Err(bad("the notice is encrypted").with_help("set the callback key"));
        }
    };
    Ok(WebhookEvent {
        msg_id: notice.msg_id.into(),
        msg_type: notice.msg_type.unwrap_or_default().into(),
        msg_version: notice.msg_version.unwrap_or_default().into(),
        data: content(notice.msg_data.unwrap_or_default()),
    })
}

/// AES-256-CBC; the first half of the key is the initial vector too.
fn decrypt(key: &Secret, encrypted: &str) -> Option<Vec<u8>> {
    let encrypted = STANDARD.decode(encrypted).ok()?;
    let key = key.expose().as_bytes();
    let vector = key.get(..16).unwrap_or_default();
    cbc::Decryptor::<Aes256>::new_from_slices(key, vector)
        .ok()?
        .decrypt_padded_vec::<Pkcs7>(&encrypted)
        .ok()
}

/// Compared in constant time.
fn is_signed(token: &Secret, body: &[u8], signature: &str) -> bool {
    let Some(signature) = signature
        .strip_prefix("sha256=")
        .and_then(|digits| hex::decode(digits).ok())
    else {
        return false;
    };
    Hmac::<Sha256>::new_from_slice(token.expose().as_bytes())
        .is_ok_and(|mac| mac.chain_update(body).verify_slice(&signature).is_ok())
}

/// Some receivers saw the content as text that holds JSON.
fn content(data: Value) -> Value {
    match &data {
        Value::String(text) => serde_json::from_str(text).unwrap_or(data),
        _ => data,
    }
}

fn bad(problem: &str) -> Error {
    Error::invalid_input(VENDOR, "callback", problem)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ENCRYPTED: &str = "QfNwBEPHpRJ5wLvWwBQmgqCeRj9dtE4UOvL3Z4asnL0btF2/5L/qsVXZpg4PoWOcZH7DwtApUfGfe13ivfQBA4qmZxsY0vzlwhSu8Zpu7sCneZvZmM70sozl9KFtVqzL";
    const SIGNATURE: &str =
        "sha256=637c095b3af1fe3dbeaf56f47579d7c16e0ff5407610d8ccd013be954b0ed5ca";

    fn secret(text: &str) -> Secret {
        Secret::new(text).unwrap()
    }

    fn callback() -> WebhookKey {
        WebhookKey::new()
            .with_token(secret("TESTTOKEN"))
            .with_key(secret("0123456789abcdef0123456789ABCDEF"))
            .unwrap()
    }

    fn body() -> Vec<u8> {
        format!(r#"{{"encrypt":"{ENCRYPTED}"}}"#).into_bytes()
    }

    #[test]
    fn the_vector_is_opened() {
        let notice = parse(&body(), Some(SIGNATURE), &callback()).unwrap();
        assert_eq!(
            (&*notice.msg_id, &*notice.msg_type, &*notice.msg_version),
            ("yDTESTMSG", "DocumentFill", "ThirdPartyApp")
        );
        assert_eq!(notice.data, json!({}));
    }

    #[test]
    fn what_is_forged_is_refused() {
        let mut longer = body();
        longer.push(b'\n');
        for (body, signature) in [
            (body(), None),
            (body(), Some("")),
            (body(), Some("sha256=")),
            (body(), Some(SIGNATURE.trim_start_matches("sha256="))),
            (body(), Some(&*SIGNATURE.replace("637c", "637d"))),
            (body(), Some(&SIGNATURE[..40])),
            (longer, Some(SIGNATURE)),
        ] {
            let error = parse(&body, signature, &callback()).unwrap_err();
            assert!(
                error.message().unwrap().contains("signature"),
                "{signature:?}: {error}"
            );
        }
    }

    #[test]
    fn what_cannot_be_decrypted_is_refused() {
        let callback = WebhookKey::new()
            .with_key(secret("0123456789abcdef0123456789ABCDE_"))
            .unwrap();
        for body in [
            body(),
            br#"{"encrypt":"!"}"#.to_vec(),
            br#"{"encrypt":"AAAA"}"#.to_vec(),
            br#"{"encrypt":""}"#.to_vec(),
            br#"{"MsgId":"plain"}"#.to_vec(),
            b"".to_vec(),
        ] {
            assert!(parse(&body, None, &callback).is_err(), "{body:?}");
        }
        assert!(WebhookKey::new().with_key(secret("short")).is_err());
        assert!(parse(&body(), None, &WebhookKey::new()).is_err());
    }

    #[test]
    fn plain_notices_are_read_and_nested_text_is_unfolded() {
        let open = |body: &str| parse(body.as_bytes(), None, &WebhookKey::new()).unwrap();
        let notice = open(r#"{"MsgId":"m","MsgType":"T","MsgData":"{\"FlowId\":\"f\"}"}"#);
        assert_eq!(notice.data, json!({"FlowId": "f"}));
        assert_eq!(&*notice.msg_version, "");
        let notice = open(r#"{"MsgId":"m","MsgData":"just text"}"#);
        assert_eq!(notice.data, json!("just text"));
        assert!(parse(b"{}", None, &WebhookKey::new()).is_err());
    }

    #[test]
    fn neither_token_nor_key_is_printed() {
        let printed = format!("{:?}", callback());
        assert!(!printed.contains("TESTTOKEN") && !printed.contains("abcdef"));
    }
}
