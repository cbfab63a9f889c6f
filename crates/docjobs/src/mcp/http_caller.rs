//! Who calls a tool over HTTP.

/// Who makes a request, as whoever mounts the tools has found out.
#[derive(Debug, Clone)]
pub(crate) struct HttpCaller {
    /// As events name them; none where nobody has a name.
    pub(crate) name: Option<String>,
    pub(crate) may_write: bool,
}
