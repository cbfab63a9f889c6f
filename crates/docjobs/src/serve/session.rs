//! The cookie of a person who logged in, and the token that goes with each change made with it. Both are signed with the
//! person's own token, so that every process of a ledger knows them and a new token ends them.

use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::tokens::{Holder, TokenFile};

/// What the cookie is called.
pub(super) const COOKIE: &str = "docjobs_session";
/// How long it lasts.
const LIFE: Duration = Duration::from_secs(12 * 60 * 60);

/// The cookie of a person who gave a right token, as a header says it.
pub(super) fn set_cookie(holder: &Holder, now: SystemTime, is_https: bool) -> String {
    let expires = seconds(now) + LIFE.as_secs();
    let name = URL_SAFE_NO_PAD.encode(&holder.name);
    let signature = sign(holder, "session", &name, expires);
    let secure = if is_https { "; Secure" } else { "" };
    format!(
        "{COOKIE}={name}.{expires}.{}; Path=/; Max-Age={}; HttpOnly; SameSite=Strict{secure}",
        URL_SAFE_NO_PAD.encode(signature.finalize().into_bytes()),
        LIFE.as_secs()
    )
}

/// The header that takes the cookie away.
pub(super) fn clear_cookie() -> String {
    format!("{COOKIE}=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict")
}

/// Whose cookie this is, and the token that their changes carry; none when it is forged, over, or of a token that is no
/// longer in the file.
pub(super) fn open(value: &str, file: &TokenFile, now: SystemTime) -> Option<(Holder, String)> {
    let mut parts = value.split('.');
    let (name, expires, signature) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let expires: u64 = expires.parse().ok()?;
    let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
    let plain = String::from_utf8(URL_SAFE_NO_PAD.decode(name).ok()?).ok()?;
    if expires <= seconds(now) {
        return None;
    }
    let holder = file.holders_named(&plain).into_iter().find(|holder| {
        sign(holder, "session", name, expires)
            .verify_slice(&signature)
            .is_ok()
    })?;
    let csrf = sign(&holder, "csrf", name, expires);
    let csrf = URL_SAFE_NO_PAD.encode(csrf.finalize().into_bytes());
    Some((holder, csrf))
}

/// The cookie's value among the headers' cookies.
pub(super) fn find(cookies: &str) -> Option<&str> {
    value_of(cookies, COOKIE)
}

/// The value of one cookie.
pub(super) fn value_of<'a>(cookies: &'a str, wanted: &str) -> Option<&'a str> {
    cookies.split(';').find_map(|cookie| {
        let (name, value) = cookie.trim().split_once('=')?;
        (name == wanted).then_some(value)
    })
}

fn sign(holder: &Holder, purpose: &str, name: &str, expires: u64) -> Hmac<Sha256> {
    let mac = Hmac::<Sha256>::new_from_slice(holder.signing_key());
    // HMAC takes a key of any length.
    let mac = mac.unwrap_or_else(|_| Hmac::new(&hmac::digest::Key::<Hmac<Sha256>>::default()));
    mac.chain_update(format!("docjobs {purpose} {name} {expires}"))
}

fn seconds(at: SystemTime) -> u64 {
    at.duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_cookie_is_known_until_it_expires_or_the_token_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens");
        fs::write(&path, "爱丽丝 s3cret\n").unwrap();
        let file = TokenFile::open(&path).unwrap();
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let header = set_cookie(&file.holder_of("s3cret").unwrap(), now, true);
        assert!(
            header.contains("; HttpOnly; SameSite=Strict; Secure"),
            "{header}"
        );
        assert!(!header.contains("s3cret"), "{header}");
        let cookies = format!("a=b; {}", header.split(';').next().unwrap());
        let value = find(&cookies).unwrap().to_owned();
        let (holder, csrf) = open(&value, &file, now).unwrap();
        assert_eq!(holder.name, "爱丽丝");
        assert!(!value.contains(&csrf));

        assert!(open(&value, &file, now + LIFE).is_none());
        let longer = value.replacen(".18", ".19", 1);
        assert!(open(&longer, &file, now).is_none());
        assert!(open("", &file, now).is_none());
        fs::write(&path, "爱丽丝 another\n").unwrap();
        assert!(open(&value, &file, now).is_none());
    }
}
