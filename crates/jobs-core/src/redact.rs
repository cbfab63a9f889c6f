//! Keeps credentials out of what a vendor echoes back.

use std::sync::Arc;

use crate::secret::Secret;

/// The credentials that no message may repeat, in every spelling that an echo may have.
///
/// Clients of this crate's request layer have one already. It is for code that passes a vendor's words on in another way.
///
/// ```
/// use jobs_core::vendor::Redactor;
/// use jobs_core::Secret;
///
/// let mut redactor = Redactor::default();
/// redactor.add_secret(&Secret::new("k/3+y")?);
/// assert_eq!(redactor.redact("no key k/3+y, see ?key=k%2f3%2by"), "no key ***, see ?key=***");
/// # Ok::<(), jobs_core::vendor::InvalidSecret>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Redactor(Arc<Vec<Secret>>);

impl Redactor {
    /// Takes one more credential.
    pub fn add_secret(&mut self, secret: &Secret) {
        // Every request has a clone of it.
        let all = Arc::make_mut(&mut self.0);
        for spelling in spellings(secret) {
            let known = |other: &Secret| other.expose() == spelling.expose();
            if !all.iter().any(known) {
                all.push(spelling);
            }
        }
        // The longest first, because one may be part of another.
        all.sort_by_key(|spelling| std::cmp::Reverse(spelling.expose().len()));
    }

    /// Takes an account's id, which is no secret, unless it is so short that it is found within other words.
    pub fn know_id(&mut self, id: &Secret) {
        const SHORTEST: usize = 6;
        if id.expose().len() >= SHORTEST {
            self.add_secret(id);
        }
    }

    /// `text` with every known credential in it replaced by `***`.
    pub fn redact(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for secret in &*self.0 {
            if text.contains(secret.expose()) {
                text = text.replace(secret.expose(), "***");
            }
        }
        text
    }

    /// Whether there is a credential in `text`.
    #[cfg(feature = "http")]
    pub(crate) fn finds(&self, text: &str) -> bool {
        self.0.iter().any(|secret| text.contains(secret.expose()))
    }

    /// The beginning of a body, cleaned, for errors about answers that were not understood.
    #[cfg(feature = "http")]
    pub(crate) fn excerpt(&self, body: &[u8]) -> String {
        const LONGEST: usize = 2048;
        // Once more as long as what is kept: a secret in it may be longer than its stars.
        let beginning = body.get(..2 * LONGEST).unwrap_or(body);
        // Cleaned before it is cut to its length. The first cut may have gone through a credential, of which half is left.
        let mut text = without_queries(&self.redact(&String::from_utf8_lossy(beginning)));
        if beginning.len() < body.len() {
            let halves = self.0.iter().map(|secret| overlap(&text, secret.expose()));
            text.truncate(text.len() - halves.max().unwrap_or_default());
        }
        text.chars().take(LONGEST).collect()
    }
}

/// Without the queries of addresses: a link that the vendor gave is signed there, and opens the result for anybody.
#[cfg(feature = "http")]
fn without_queries(text: &str) -> String {
    let mut parts = text.split("://");
    let mut clean = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let ends = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '<' | '>' | ')');
        let end = part.find(ends).unwrap_or(part.len());
        let (address, rest) = part.split_at(end);
        clean.push_str("://");
        match address.split_once('?') {
            Some((place, _)) => clean.extend([place, "?***"]),
            None => clean.push_str(address),
        }
        clean.push_str(rest);
    }
    clean
}

/// A credential as it is, and as JSON and addresses write it where that differs.
fn spellings(secret: &Secret) -> Vec<Secret> {
    let plain = secret.expose();
    let quoted = plain.replace('\\', "\\\\").replace('"', "\\\"");
    let in_form = escaped(plain, b"-._*").replace("%20", "+");
    let in_path = escaped(plain, b"-._~");
    let mut others = vec![
        quoted.replace('/', "\\/"),
        quoted,
        in_small_digits(&in_form),
        in_form,
        in_small_digits(&in_path),
        in_path,
    ];
    others.sort();
    others.retain(|other| other != plain);
    others.dedup();
    // Made of printable ASCII, as the credential is.
    let others = others
        .into_iter()
        .filter_map(|other| Secret::new(other).ok());
    others.chain([secret.clone()]).collect()
}

/// As addresses write it, apart from letters, digits and what is `kept`: RFC 3986 and forms differ in that.
fn escaped(plain: &str, kept: &[u8]) -> String {
    plain.bytes().fold(String::new(), |mut text, byte| {
        if byte.is_ascii_alphanumeric() || kept.contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
        text
    })
}

/// An address may write `%2f` for `%2F`.
fn in_small_digits(escaped: &str) -> String {
    let mut parts = escaped.split('%');
    let mut small = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (digits, rest) = part.split_at_checked(2).unwrap_or((part, ""));
        small.push('%');
        small.push_str(&digits.to_ascii_lowercase());
        small.push_str(rest);
    }
    small
}

/// How many bytes at the end of `text` are the beginning of `secret`.
#[cfg(feature = "http")]
fn overlap(text: &str, secret: &str) -> usize {
    let mut lengths = (1..secret.len()).rev();
    lengths
        .find(|len| secret.get(..*len).is_some_and(|half| text.ends_with(half)))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redactor(secrets: &[&str]) -> Redactor {
        let mut redactor = Redactor::default();
        for secret in secrets {
            redactor.add_secret(&Secret::new(*secret).unwrap());
        }
        redactor
    }

    #[test]
    fn echoed_credentials_are_replaced() {
        assert_eq!(
            redactor(&["k3y"]).redact("bad key k3y, k3y!"),
            "bad key ***, ***!"
        );
    }

    #[test]
    fn credentials_are_found_as_json_and_addresses_write_them() {
        assert_eq!(
            redactor(&["k/3+y", "a\"b"])
                .redact(r#"{"key":"k\/3+y","q":"k%2F3%2By","r":"k%2f3%2by","w":"a\"b"}"#),
            r#"{"key":"***","q":"***","r":"***","w":"***"}"#
        );
        assert_eq!(
            redactor(&["a ~*b"]).redact("a ~*b a+%7E*b a+%7e*b a%20~%2Ab a%20~%2ab"),
            "*** *** *** *** ***"
        );
    }

    #[test]
    fn a_credential_within_another_leaves_nothing_of_it() {
        for secrets in [["key", "key-2"], ["key-2", "key"]] {
            assert_eq!(redactor(&secrets).redact("key-2 key"), "*** ***");
        }
    }

    #[test]
    fn a_credential_known_twice_is_kept_once() {
        let (once, twice) = (redactor(&["k/y"]), redactor(&["k/y", "k/y"]));
        assert_eq!(once.0.len(), twice.0.len());
    }

    #[cfg(feature = "http")]
    #[test]
    fn an_excerpt_shows_no_query_of_a_link() {
        let body =
            br#"{"url":"https://h/a.zip?sig=s3cret","next":"http:\/\/h?b","text":"why? because"}"#;
        assert_eq!(
            Redactor::default().excerpt(body),
            r#"{"url":"https://h/a.zip?***","next":"http:\/\/h?b","text":"why? because"}"#
        );
    }

    #[cfg(feature = "http")]
    #[test]
    fn an_excerpt_is_short_whatever_the_body() {
        let excerpt = Redactor::default().excerpt(&[0xff; 100_000]);
        assert_eq!(excerpt.chars().count(), 2048);
    }

    #[cfg(feature = "http")]
    #[test]
    fn no_half_credential_is_left_at_the_end_of_an_excerpt() {
        let secret = "0123456789".repeat(11);
        let excerpt = redactor(&[&secret]).excerpt(secret.repeat(100).as_bytes());
        assert_eq!(excerpt, "***".repeat(37));
    }
}
