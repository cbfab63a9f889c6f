//! Our own name of a job, short enough to be typed.

use std::fmt;
use std::str::FromStr;

/// The ledger's id of a job: ten characters, the first of which tell the second in which it was drawn, the others nothing.
///
/// So jobs that were written down together lie together in the store, where they are mostly looked at together.
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

/// Four million ids in each second.
const RANDOM_BITS: u32 = 22;
const MAX: u64 = (1 << (5 * LedgerId::LEN)) - 1;

impl LedgerId {
    /// How many characters an id has.
    pub const LEN: usize = 10;

    /// A new one at that time, in microseconds since 1970. The seconds begin again after eight years, which only costs
    /// order.
    pub(crate) fn new(now: i64) -> Self {
        let seconds = now.unsigned_abs() / 1_000_000;
        Self((seconds << RANDOM_BITS | fastrand::u64(..1 << RANDOM_BITS)) & MAX)
    }
}

impl fmt::Display for LedgerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [b'0'; Self::LEN];
        for (place, byte) in text.iter_mut().rev().enumerate() {
            let digit = usize::try_from(self.0 >> (5 * place) & 31).unwrap_or_default();
            *byte = ALPHABET.get(digit).copied().unwrap_or(b'0');
        }
        f.pad(str::from_utf8(&text).unwrap_or_default())
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
        for second in 0..1000 {
            let id = LedgerId::new(second << 40);
            let text = id.to_string();
            assert_eq!(text.len(), LedgerId::LEN);
            assert_eq!(text.parse(), Ok(id));
            assert_eq!(text.to_uppercase().parse(), Ok(id));
        }
        assert_eq!(LedgerId(0).to_string(), "0000000000");
        assert_eq!(LedgerId(MAX).to_string(), "zzzzzzzzzz");
    }

    #[test]
    fn jobs_of_the_same_second_lie_together_and_those_of_the_next_behind_them() {
        let second = 1_767_225_600_000_000;
        let ids = |at| (0..100).map(move |_| LedgerId::new(at).to_string());
        let (first, next) = (ids(second + 999_999).max(), ids(second + 1_000_000).min());
        assert!(first < next, "{first:?} {next:?}");
        assert!(ids(second).collect::<std::collections::HashSet<_>>().len() > 90);
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
