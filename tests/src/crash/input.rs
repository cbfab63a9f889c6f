//! What goes into a run: documents that no other run has.

use sha2::{Digest, Sha256};

use super::plan::Work;

/// A document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Input {
    /// Its file name.
    pub(super) name: String,
    /// Its content.
    pub(super) bytes: Vec<u8>,
    /// By what the vendor's ledger knows it: the digest of its bytes, or its title.
    pub(super) key: String,
    /// What our ledger digests.
    pub(super) digest: [u8; 32],
}

impl Input {
    /// The `number`-th document of a seed.
    pub(super) fn of(work: Work, seed: u64, number: usize) -> Self {
        let title = format!("Document {seed}-{number}");
        let (name, text) = match work {
            Work::Parse => (format!("{number}.txt"), format!("{title}\nof some text\n")),
            Work::Convert => (
                format!("{number}.pptx"),
                format!("PK\u{3}\u{4}{title}, which is no deck"),
            ),
            Work::Deck | Work::Pdf => (
                format!("{number}.md"),
                format!("# {title}\n\n## Part\n\n### Goals\n\n#### Fewer crashes\n\nOne a year.\n"),
            ),
            Work::Sign => (
                format!("{number}.html"),
                format!("<html><body>{title}</body></html>"),
            ),
            Work::Print => (
                format!("{number}.docx"),
                format!("%PDF-1.4\n{title}\n%%EOF\n"),
            ),
        };
        let digest: [u8; 32] = Sha256::digest(&text).into();
        let key = match work {
            Work::Deck => title,
            _ => hex::encode(digest),
        };
        Self {
            name,
            bytes: text.into_bytes(),
            key,
            digest,
        }
    }

    /// The export of a deck that is there already.
    #[must_use]
    pub(super) fn of_deck(self, deck: &str) -> Self {
        Self {
            key: deck.to_owned(),
            digest: Sha256::digest(deck).into(),
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_of_two_seeds_or_numbers_are_never_the_same() {
        for work in Work::ALL {
            let keys = [(1, 0), (1, 1), (2, 0)].map(|(seed, number)| Input::of(work, seed, number));
            assert_ne!(keys[0].key, keys[1].key, "{work:?}");
            assert_ne!(keys[0].digest, keys[2].digest, "{work:?}");
            assert_eq!(keys[0], Input::of(work, 1, 0));
        }
    }
}
