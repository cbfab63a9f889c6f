//! Text that must never be printed.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};

/// A credential. It is wiped from memory when dropped, and neither `Debug` nor any error shows it.
#[derive(Clone)]
pub struct Secret(SecretString);

/// Why a text cannot be a credential. The text itself is not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidSecret {
    /// Nothing there.
    #[error("is empty")]
    Empty,
    /// Blanks at either end: most likely a copying accident, so it is named instead of being trimmed.
    #[error("begins or ends with a blank")]
    Blanks,
    /// A character that no HTTP header can carry.
    #[error("contains a character that is not printable ASCII")]
    Unprintable,
}

impl Secret {
    /// Takes a credential as it is.
    ///
    /// # Errors
    /// [`InvalidSecret`] for text that no vendor could have issued.
    pub fn new(text: impl Into<String>) -> Result<Self, InvalidSecret> {
        let text = SecretString::from(text.into());
        let plain = text.expose_secret();
        if plain.trim().is_empty() {
            Err(InvalidSecret::Empty)
        } else if plain.trim().len() != plain.len() {
            Err(InvalidSecret::Blanks)
        } else if !plain.bytes().all(|b| (0x20..0x7f).contains(&b)) {
            Err(InvalidSecret::Unprintable)
        } else {
            Ok(Self(text))
        }
    }

    /// The text, for the one place that sends or signs with it.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_nothing() {
        let secret = Secret::new("hunter2").unwrap();
        assert_eq!(format!("{secret:?}"), "Secret(***)");
        assert_eq!(secret.expose(), "hunter2");
    }

    #[test]
    fn accidents_are_named_not_mended() {
        for (text, problem) in [
            ("", InvalidSecret::Empty),
            ("  ", InvalidSecret::Empty),
            (" key", InvalidSecret::Blanks),
            ("key\n", InvalidSecret::Blanks),
            ("k\u{7f}y", InvalidSecret::Unprintable),
            ("ключ", InvalidSecret::Unprintable),
        ] {
            assert_eq!(Secret::new(text).unwrap_err(), problem, "{text:?}");
        }
    }
}
