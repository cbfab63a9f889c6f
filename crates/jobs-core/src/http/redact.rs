//! Keeps credentials out of what a vendor echoes back.

use crate::secret::Secret;

/// The credentials that no message may repeat.
#[derive(Debug, Clone, Default)]
pub(crate) struct Redactor(Vec<Secret>);

impl Redactor {
    pub(crate) fn new(secrets: Vec<Secret>) -> Self {
        Self(secrets)
    }

    /// `text` with every credential in it replaced.
    pub(crate) fn clean(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, secret| {
            text.replace(secret.expose(), "***")
        })
    }

    /// The beginning of a body, cleaned, for errors about answers that were not understood.
    pub(crate) fn excerpt(&self, body: &[u8]) -> String {
        const LONGEST: usize = 200;
        // Cleaned before it is cut, so that half a credential cannot remain at the end.
        let text = self.clean(&String::from_utf8_lossy(
            body.get(..4 * LONGEST).unwrap_or(body),
        ));
        text.chars().take(LONGEST).collect()
    }
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
}
