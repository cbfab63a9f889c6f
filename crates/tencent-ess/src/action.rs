//! The operations: their names, their hosts, and what the vendor calls them in which product.

use std::fmt;
use std::str::FromStr;

use crate::identity::Product;

/// One of the vendor's two pairs of operations for the same conversion.
///
/// Nobody documents that a task of one pair can be polled with the other, so a job and its ticket keep their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[non_exhaustive]
pub enum Family {
    /// `CreateFileConvertTask` and `DescribeFileConvertTask`, published in July 2026.
    #[default]
    Current,
    /// `ChannelCreateConvertTaskApi` and `ChannelGetTaskResultApi` (in the company edition `CreateConvertTaskApi` and
    /// `GetTaskResultApi`), which the vendor announced to go offline on 2026-12-31.
    Legacy,
}

impl Family {
    /// The kind's name in tickets: a job keeps its pair of operations and its product.
    pub(crate) fn kind_name(self, product: &Product) -> &'static str {
        match (product, self) {
            (Product::Essbasic { .. }, Self::Current) => "convert",
            (Product::Essbasic { .. }, Self::Legacy) => "convert-legacy",
            (Product::Ess { .. }, Self::Current) => "ess-convert",
            (Product::Ess { .. }, Self::Legacy) => "ess-convert-legacy",
        }
    }
}

/// The text names no pair of operations.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is neither current nor legacy")]
pub struct InvalidFamily(Box<str>);

impl FromStr for Family {
    type Err = InvalidFamily;

    fn from_str(text: &str) -> Result<Self, InvalidFamily> {
        match text {
            "current" => Ok(Self::Current),
            "legacy" => Ok(Self::Legacy),
            _ => Err(InvalidFamily(text.chars().take(40).collect())),
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Current => "current",
            Self::Legacy => "legacy",
        })
    }
}

/// One operation of the vendor. Each has a rate of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Action {
    Upload,
    Create(Family),
    Poll(Family),
}

impl Action {
    pub(crate) const ALL: [Self; 5] = [
        Self::Upload,
        Self::Create(Family::Current),
        Self::Create(Family::Legacy),
        Self::Poll(Family::Current),
        Self::Poll(Family::Legacy),
    ];

    /// As errors and the policy name it.
    pub(crate) fn operation(self) -> &'static str {
        match self {
            Self::Upload => "upload",
            Self::Create(_) => "create",
            Self::Poll(_) => "poll",
        }
    }

    /// As the vendor names it.
    pub(crate) fn name(self, product: &Product) -> &'static str {
        use Family::{Current, Legacy};
        match (self, product) {
            (Self::Upload, _) => "UploadFiles",
            (Self::Create(Current), _) => "CreateFileConvertTask",
            (Self::Poll(Current), _) => "DescribeFileConvertTask",
            (Self::Create(Legacy), Product::Essbasic { .. }) => "ChannelCreateConvertTaskApi",
            (Self::Poll(Legacy), Product::Essbasic { .. }) => "ChannelGetTaskResultApi",
            (Self::Create(Legacy), Product::Ess { .. }) => "CreateConvertTaskApi",
            (Self::Poll(Legacy), Product::Ess { .. }) => "GetTaskResultApi",
        }
    }
}
