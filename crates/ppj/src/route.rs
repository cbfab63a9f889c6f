//! Where each operation lies: the current paths, and the second names that the signed API gives them.

use jobs_core::JobId;

/// An operation and what its path needs.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Route<'a> {
    Create,
    Poll(&'a JobId),
    Download(&'a JobId),
    List,
    Quotas,
}

impl<'a> Route<'a> {
    /// What errors call it.
    pub(crate) fn operation(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Poll(_) => "poll",
            Self::Download(_) => "download",
            Self::List => "list",
            Self::Quotas => "quotas",
        }
    }

    /// The path below the API's base. Second names are equal in what they answer, but are signed as they are requested.
    pub(crate) fn path(self, is_alias: bool) -> Vec<&'a str> {
        match self {
            Self::Create if is_alias => vec!["job", "create"],
            Self::Poll(_) if is_alias => vec!["job", "status"],
            Self::Download(_) if is_alias => vec!["job", "download"],
            Self::List if is_alias => vec!["job", "list"],
            Self::Create | Self::List => vec!["jobs"],
            Self::Poll(id) => vec!["jobs", id.as_str()],
            Self::Download(id) => vec!["jobs", id.as_str(), "download"],
            Self::Quotas => vec!["quotas"],
        }
    }

    pub(crate) fn token(self) -> Option<&'a JobId> {
        match self {
            Self::Poll(id) | Self::Download(id) => Some(id),
            Self::Create | Self::List | Self::Quotas => None,
        }
    }
}
