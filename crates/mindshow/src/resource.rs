//! The vendor's handle of an uploaded file.

use std::fmt;

/// An uploaded file. The vendor forgets it after 24 hours.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ResourceId(Box<str>);

impl ResourceId {
    /// Takes the vendor's text as it is.
    pub fn new(text: impl Into<Box<str>>) -> Self {
        Self(text.into())
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

impl From<ResourceId> for String {
    fn from(id: ResourceId) -> Self {
        id.0.into()
    }
}
