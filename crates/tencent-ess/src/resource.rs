//! The vendor's handle of a file.

use std::fmt;

/// The vendor's handle of a file: one that was uploaded, or the PDF of a conversion.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ResourceId(Box<str>);

/// The text cannot be a file id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a file id has 1 to 128 printable characters without blanks")]
pub struct InvalidResourceId;

impl ResourceId {
    /// Takes the vendor's text as it is; those of today have 32 characters.
    ///
    /// # Errors
    /// [`InvalidResourceId`] when it is empty, longer than 128 characters, or has one that is not printable ASCII.
    pub fn new(text: impl Into<Box<str>>) -> Result<Self, InvalidResourceId> {
        let text = text.into();
        let printable = text.bytes().all(|b| b.is_ascii_graphic());
        if text.is_empty() || text.len() > 128 || !printable {
            return Err(InvalidResourceId);
        }
        Ok(Self(text))
    }

    /// The vendor's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ResourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
