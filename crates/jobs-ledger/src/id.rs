//! Our own name of a job, short enough to be typed.

use std::fmt;
use std::str::FromStr;

/// The ledger's id of a job: ten characters, 50 random bits.
///
/// The alphabet is digits and lower-case letters without `i`, `l`, `o` and `u`; when read, capitals count as small
/// and `i`, `l`, `o` as the digits they look like. The ledger draws another id in the unlikely case that one is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LedgerId(u64);

/// The text is no id of this ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an id of the ledger has ten letters and digits, like 7k3q9x0m2f")]
pub struct InvalidLedgerId;

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

impl LedgerId {
    /// How many characters an id has.
    pub const LEN: usize = 10;

    pub(crate) fn random() -> Self {
        Self(fastrand::u64(..) >> 14)
    }
}

impl fmt::Display for LedgerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text: String = (0..Self::LEN)
            .rev()
            .map(|place| {
                let digit = usize::try_from(self.0 >> (5 * place) & 31).unwrap_or_default();
                char::from(ALPHABET.get(digit).copied().unwrap_or(b'0'))
            })
            .collect();
        f.pad(&text)
    }
}

impl FromStr for LedgerId {
    type Err = InvalidLedgerId;

    fn from_str(text: &str) -> Result<Self, InvalidLedgerId> {
        let text = text.trim();
        if text.len() != Self::LEN {
            return Err(InvalidLedgerId);
        }
        text.bytes()
            .try_fold(0u64, |id, byte| {
                let byte = match byte.to_ascii_lowercase() {
                    b'o' => b'0',
                    b'i' | b'l' => b'1',
                    other => other,
                };
                let digit = ALPHABET.iter().position(|known| *known == byte)?;
                Some(id << 5 | u64::try_from(digit).ok()?)
            })
            .map(Self)
            .ok_or(InvalidLedgerId)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_come_back_from_text() {
        for _ in 0..1000 {
            let id = LedgerId::random();
            let text = id.to_string();
            assert_eq!(text.len(), LedgerId::LEN);
            assert_eq!(text.parse(), Ok(id));
            assert_eq!(text.to_uppercase().parse(), Ok(id));
        }
        assert_eq!(LedgerId(0).to_string(), "0000000000");
        assert_eq!(LedgerId((1 << 50) - 1).to_string(), "zzzzzzzzzz");
    }

    #[test]
    fn look_alikes_are_read_as_digits() {
        assert_eq!(
            "ooooIIllOO".parse::<LedgerId>(),
            "0000111100".parse::<LedgerId>()
        );
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "",
            "7k3q9x0m2",
            "7k3q9x0m2ff",
            "7k3q9x0m2u",
            "7k3q9x0m2-",
            "编号编",
        ] {
            assert_eq!(text.parse::<LedgerId>(), Err(InvalidLedgerId), "{text:?}");
        }
    }
}
