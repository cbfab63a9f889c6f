//! Names of things at a vendor: jobs and accounts.

use std::fmt;

use sha2::{Digest, Sha256};

/// The vendor's handle of a job.
///
/// Opaque: at most [`JobId::MAX_LEN`] bytes of printable ASCII without blanks, which every known vendor keeps to
/// and which fits a URL path, a log line and a [`Ticket`](crate::Ticket) as it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId(Box<str>);

/// The text cannot be a job id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a job id has 1 to {max} printable characters without blanks, not {text:?}", max = JobId::MAX_LEN)]
pub struct InvalidJobId {
    text: Box<str>,
}

impl JobId {
    /// The longest id, in bytes.
    pub const MAX_LEN: usize = 120;

    /// Takes the vendor's text as it is.
    ///
    /// # Errors
    /// [`InvalidJobId`] when it is empty, too long, has a character that is not printable ASCII, or no letter or
    /// digit at all (`..` would climb in a path).
    pub fn new(text: impl Into<Box<str>>) -> Result<Self, InvalidJobId> {
        let text = text.into();
        let printable = text.bytes().all(|b| b.is_ascii_graphic());
        let named = text.bytes().any(|b| b.is_ascii_alphanumeric());
        if text.len() > Self::MAX_LEN || !printable || !named {
            return Err(InvalidJobId {
                text: text.chars().take(Self::MAX_LEN).collect(),
            });
        }
        Ok(Self(text))
    }

    /// The id that was taken as this text before.
    pub(crate) fn known(text: &str) -> Self {
        Self(text.into())
    }

    /// Puts in the place of this id one that was taken as this text before: without a new allocation if it is as long.
    pub(crate) fn replace(&mut self, text: &str) {
        let mut held = String::from(std::mem::take(&mut self.0));
        held.clear();
        held.push_str(text);
        self.0 = held.into();
    }

    /// The vendor's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A short digest that tells accounts apart without naming them.
///
/// 32 bits: enough to notice that a ticket was made with other credentials, too little to learn anything of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Account(u32);

impl Account {
    /// The digest of whatever identifies the account at `vendor`, such as an application id or a key.
    pub fn of(vendor: &str, identity: &str) -> Self {
        let digest = Sha256::new()
            .chain_update(vendor)
            .chain_update([0])
            .chain_update(identity)
            .finalize();
        Self(
            digest
                .iter()
                .take(4)
                .fold(0, |tag, byte| tag << 8 | u32::from(*byte)),
        )
    }

    /// Reads what [`Display`](fmt::Display) wrote.
    pub fn parse(text: &str) -> Option<Self> {
        let lower_hex =
            text.len() == 8 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        lower_hex
            .then(|| u32::from_str_radix(text, 16).ok().map(Self))
            .flatten()
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_that_would_break_a_line_or_a_path_are_refused() {
        for text in ["", "..", "a b", "a\n", "编号", &"x".repeat(121)] {
            assert!(JobId::new(text).is_err(), "{text:?}");
        }
        assert_eq!(
            JobId::new("printer_job_1700000001_0f").unwrap().as_str(),
            "printer_job_1700000001_0f"
        );
    }

    #[test]
    fn accounts_differ_by_vendor_and_identity() {
        let account = Account::of("acme", "app-1");
        assert_eq!(Account::parse(&account.to_string()), Some(account));
        assert_ne!(account, Account::of("acme", "app-2"));
        assert_ne!(account, Account::of("other", "app-1"));
        assert_eq!(Account::parse("+1234567"), None);
    }
}
