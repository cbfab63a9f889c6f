//! Request bodies, and documents that are sent without being held in memory.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use bytes::{Buf, Bytes};
use reqwest::multipart::Part;
use tokio_util::io::ReaderStream;

use crate::http::streaming_body::StreamingBody;

/// What a request carries.
#[derive(Debug, Default)]
pub enum Body {
    /// Nothing.
    #[default]
    Empty,
    /// Bytes of this content type, sent exactly as they are.
    Bytes {
        /// The `Content-Type` header.
        content_type: &'static str,
        /// The body.
        bytes: Bytes,
    },
    /// Bytes that are made while they are sent.
    Streamed(StreamingBody),
    /// A form.
    Form(Form),
}

/// A `multipart/form-data` body whose file parts are streamed.
#[derive(Debug)]
pub struct Form(pub(crate) reqwest::multipart::Form);

/// A document to be sent: a file on disk, or bytes that the caller holds anyway.
///
/// A file is opened anew for each pass over it, and refused if it is not the one that was checked at first. Clones share
/// what they hold.
#[derive(Debug, Clone)]
pub struct Document {
    name: String,
    len: u64,
    content: Content,
}

#[derive(Debug, Clone)]
enum Content {
    File {
        path: PathBuf,
        modified: Option<SystemTime>,
    },
    Bytes(Bytes),
}

impl Document {
    /// Checks that `path` is a regular file that can be read.
    ///
    /// # Errors
    /// Whatever keeps it from being opened; [`io::ErrorKind::IsADirectory`] for a folder and
    /// [`io::ErrorKind::InvalidInput`] for anything else that is not a regular file.
    pub fn open(path: impl Into<PathBuf>) -> io::Result<Self> {
        let path = path.into();
        // Asked first: opening a pipe would block.
        let metadata = std::fs::metadata(&path)?;
        if metadata.is_dir() {
            return Err(io::Error::new(
                io::ErrorKind::IsADirectory,
                "this is a folder, not a file",
            ));
        }
        if !metadata.is_file() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "this is not a regular file",
            ));
        }
        let metadata = File::open(&path)?.metadata()?;
        let name = path
            .file_name()
            .map(|name| plain(&name.to_string_lossy()))
            .unwrap_or_default();
        let content = Content::File {
            path,
            modified: metadata.modified().ok(),
        };
        Ok(Self {
            name,
            len: metadata.len(),
            content,
        })
    }

    /// Bytes under a file name; its extension tells the vendor the format.
    pub fn from_bytes(name: &str, bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self {
            name: plain(name),
            len: bytes.len() as u64,
            content: Content::Bytes(bytes),
        }
    }

    /// The file name, without folders and control characters.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The extension in lower case, without the dot; empty when there is none.
    pub fn extension(&self) -> String {
        Path::new(&self.name)
            .extension()
            .map(|text| text.to_string_lossy().to_lowercase())
            .unwrap_or_default()
    }

    /// Where it lies, if it is a file.
    pub fn path(&self) -> Option<&Path> {
        match &self.content {
            Content::File { path, .. } => Some(path),
            Content::Bytes(_) => None,
        }
    }

    /// The size in bytes.
    pub fn size(&self) -> u64 {
        self.len
    }

    /// A reader from the beginning, which may outlive the document.
    ///
    /// # Errors
    /// Whatever keeps the file from being opened, or that it was changed since it was checked.
    pub fn reader(&self) -> io::Result<Box<dyn io::Read + Send>> {
        Ok(match &self.content {
            Content::File { path, modified } => Box::new(self.reopen(path, *modified)?),
            Content::Bytes(bytes) => Box::new(bytes.clone().reader()),
        })
    }

    /// The content as a stream for one request.
    fn part(&self) -> io::Result<Part> {
        let body = match &self.content {
            Content::Bytes(bytes) => reqwest::Body::from(bytes.clone()),
            Content::File { path, modified } => {
                let file = tokio::fs::File::from_std(self.reopen(path, *modified)?);
                reqwest::Body::wrap_stream(ReaderStream::with_capacity(file, CHUNK))
            }
        };
        Ok(Part::stream_with_length(body, self.len).file_name(self.name.clone()))
    }

    fn reopen(&self, path: &Path, modified: Option<SystemTime>) -> io::Result<File> {
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        if metadata.len() != self.len || metadata.modified().ok() != modified {
            return Err(io::Error::other(
                "the file was changed since it was checked",
            ));
        }
        Ok(file)
    }
}

/// A file name that cannot break out of a header.
fn plain(name: &str) -> String {
    name.chars()
        .map(|c| if c.is_control() { '_' } else { c })
        .collect()
}

/// Large enough that reading costs little, small enough that many uploads fit in memory.
const CHUNK: usize = 64 * 1024;

impl Form {
    /// An empty form. Names are sent as UTF-8, as browsers do.
    #[allow(
        clippy::new_without_default,
        reason = "an empty form is a beginning, not a value"
    )]
    pub fn new() -> Self {
        Self(reqwest::multipart::Form::new().percent_encode_noop())
    }

    /// Adds a plain field.
    #[must_use]
    pub fn text(self, name: &'static str, value: impl Into<String>) -> Self {
        Self(self.0.text(name, value.into()))
    }

    /// Adds a field of content type `application/json`.
    #[must_use]
    pub fn json(self, name: &'static str, json: impl Into<String>) -> Self {
        let json = json.into();
        // The fixed type is a valid one, so the fallback without it is never taken.
        let part = Part::text(json.clone())
            .mime_str("application/json")
            .unwrap_or_else(|_| Part::text(json));
        Self(self.0.part(name, part))
    }

    /// Adds a document.
    ///
    /// # Errors
    /// Whatever keeps the file from being read.
    pub fn document(self, name: &'static str, document: &Document) -> io::Result<Self> {
        Ok(Self(self.0.part(name, document.part()?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_was_changed_after_the_check_is_not_sent() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.pdf");
        std::fs::write(&path, "one").unwrap();
        let document = Document::open(&path).unwrap();
        assert!(document.reader().is_ok());
        std::fs::write(&path, "another").unwrap();
        assert!(document.reader().is_err());
    }

    #[test]
    fn folders_and_odd_names_are_dealt_with() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(
            Document::open(folder.path()).unwrap_err().kind(),
            io::ErrorKind::IsADirectory
        );
        let document = Document::from_bytes("a\r\nX: y.PDF", "x");
        assert_eq!(
            (document.name(), document.extension().as_str()),
            ("a__X: y.PDF", "pdf")
        );
    }
}
