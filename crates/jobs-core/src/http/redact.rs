//! Keeps credentials out of what a vendor echoes back.

use std::sync::Arc;

use url::form_urlencoded;

use crate::secret::Secret;

/// The credentials that no message may repeat, in every spelling that an echo may have. The longest first, because one
/// may be part of another.
#[derive(Debug, Clone, Default)]
pub(crate) struct Redactor(Arc<[Secret]>);

impl Redactor {
    pub(crate) fn new(secrets: Vec<Secret>) -> Self {
        let mut spellings: Vec<Secret> = secrets.iter().flat_map(spellings).collect();
        spellings.sort_by_key(|spelling| std::cmp::Reverse(spelling.expose().len()));
        Self(spellings.into())
    }

    /// `text` with every credential in it replaced.
    pub(crate) fn clean(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for secret in &*self.0 {
            if text.contains(secret.expose()) {
                text = text.replace(secret.expose(), "***");
            }
        }
        text
    }

    /// Whether there is a credential in `text`.
    pub(crate) fn finds(&self, text: &str) -> bool {
        self.0.iter().any(|secret| text.contains(secret.expose()))
    }

    /// The beginning of a body, cleaned, for errors about answers that were not understood.
    pub(crate) fn excerpt(&self, body: &[u8]) -> String {
        const LONGEST: usize = 200;
        let beginning = body.get(..4 * LONGEST).unwrap_or(body);
        // Cleaned before it is cut to its length. The first cut may have gone through a credential, of which half is left.
        let mut text = self.clean(&String::from_utf8_lossy(beginning));
        if beginning.len() < body.len() {
            let halves = self.0.iter().map(|secret| overlap(&text, secret.expose()));
            text.truncate(text.len() - halves.max().unwrap_or_default());
        }
        text.chars().take(LONGEST).collect()
    }
}

/// A credential as it is, and as JSON and addresses write it where that differs.
fn spellings(secret: &Secret) -> Vec<Secret> {
    let plain = secret.expose();
    let quoted = plain.replace('\\', "\\\\").replace('"', "\\\"");
    let in_form: String = form_urlencoded::byte_serialize(plain.as_bytes()).collect();
    let in_path = in_path(plain);
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

/// Escaped as RFC 3986 has it, which differs from forms in a few characters.
fn in_path(plain: &str) -> String {
    plain.bytes().fold(String::new(), |mut text, byte| {
        match byte {
            b'-' | b'.' | b'_' | b'~' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => {
                text.push(char::from(byte));
            }
            _ => text.push_str(&format!("%{byte:02X}")),
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
fn overlap(text: &str, secret: &str) -> usize {
    let mut lengths = (1..secret.len()).rev();
    lengths
        .find(|len| secret.get(..*len).is_some_and(|half| text.ends_with(half)))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn echoed_credentials_are_replaced() {
        let redactor = Redactor::new(vec![Secret::new("k3y").unwrap()]);
        assert_eq!(redactor.clean("bad key k3y, k3y!"), "bad key ***, ***!");
    }

    #[test]
    fn an_excerpt_is_short_whatever_the_body() {
        let excerpt = Redactor::default().excerpt(&[0xff; 100_000]);
        assert_eq!(excerpt.chars().count(), 200);
    }

    #[test]
    fn credentials_are_found_as_json_and_addresses_write_them() {
        let redactor = Redactor::new(vec![
            Secret::new("k/3+y").unwrap(),
            Secret::new("a\"b").unwrap(),
        ]);
        assert_eq!(
            redactor.clean(r#"{"key":"k\/3+y","q":"k%2F3%2By","r":"k%2f3%2by","w":"a\"b"}"#),
            r#"{"key":"***","q":"***","r":"***","w":"***"}"#
        );
    }

    #[test]
    fn a_credential_within_another_leaves_nothing_of_it() {
        let secrets = ["key", "key-2"].map(|text| Secret::new(text).unwrap());
        assert_eq!(
            Redactor::new(secrets.to_vec()).clean("key-2 key"),
            "*** ***"
        );
    }

    #[test]
    fn no_half_credential_is_left_at_the_end_of_an_excerpt() {
        let secret = "0123456789".repeat(11);
        let redactor = Redactor::new(vec![Secret::new(secret.clone()).unwrap()]);
        let excerpt = redactor.excerpt(secret.repeat(20).as_bytes());
        assert_eq!(excerpt, "***".repeat(7));
    }
}
