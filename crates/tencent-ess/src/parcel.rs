//! Files inside of JSON, put there while they are sent.

use std::fmt;
use std::io::{self, Read};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jobs_core::Error;
use jobs_core::http::{Document, StreamingBody};
use sha2::{Digest, Sha256};

use crate::auth::CONTENT_TYPE;
use crate::code::VENDOR;

/// JSON around files, which are read anew for each pass: once to sign it, once for each time it is sent.
pub(crate) struct Parcel<'a> {
    /// The JSON before, between and behind the files: one text more than there are files.
    texts: Vec<String>,
    documents: Vec<&'a Document>,
}

impl<'a> Parcel<'a> {
    /// Splits `json`, in which every file is empty, where the files belong. Inside of a JSON text a quotation mark is
    /// escaped, so no file name can look like the place of a file.
    pub(crate) fn new(json: Vec<u8>, documents: &[&'a Document]) -> Option<Self> {
        let json = String::from_utf8(json).ok()?;
        let mut texts: Vec<String> = json
            .split_inclusive(r#""FileBody":""#)
            .map(str::to_owned)
            .collect();
        if texts.len() != documents.len() + 1 {
            return None;
        }
        texts.shrink_to_fit();
        Some(Self {
            texts,
            documents: documents.to_vec(),
        })
    }

    /// The body's length in bytes.
    pub(crate) fn size(&self) -> u64 {
        let texts: u64 = self.texts.iter().map(|text| text.len() as u64).sum();
        let files: u64 = self
            .documents
            .iter()
            .map(|document| document.size().div_ceil(3) * 4)
            .sum();
        texts + files
    }

    /// The hash of the body, as it is signed.
    pub(crate) async fn hash(&self) -> Result<String, Error> {
        let mut reader = self.reader()?;
        let work = move || {
            let mut hasher = Sha256::new();
            let mut piece = vec![0; PIECE];
            loop {
                match reader.read(&mut piece)? {
                    0 => return Ok(hex::encode(hasher.finalize())),
                    count => hasher.update(piece.get(..count).unwrap_or_default()),
                }
            }
        };
        match tokio::task::spawn_blocking(work).await {
            Ok(Ok(hash)) => Ok(hash),
            Ok(Err(cause)) => Err(unreadable(cause)),
            Err(cause) => Err(unreadable(io::Error::other(cause))),
        }
    }

    /// The body for one attempt.
    pub(crate) fn body(&self) -> Result<StreamingBody, Error> {
        Ok(StreamingBody::new(
            CONTENT_TYPE,
            self.size(),
            self.reader()?,
        ))
    }

    pub(crate) fn reader(&self) -> Result<Box<dyn Read + Send>, Error> {
        let mut texts = self.texts.iter().cloned().map(io::Cursor::new);
        let mut reader: Box<dyn Read + Send> = Box::new(io::empty());
        for document in &self.documents {
            let file = Base64::new(document.reader().map_err(unreadable)?);
            reader = match texts.next() {
                Some(text) => Box::new(reader.chain(text).chain(file)),
                None => Box::new(reader.chain(file)),
            };
        }
        for text in texts {
            reader = Box::new(reader.chain(text));
        }
        Ok(reader)
    }
}

impl fmt::Debug for Parcel<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parcel")
            .field("documents", &self.documents)
            .finish_non_exhaustive()
    }
}

fn unreadable(cause: io::Error) -> Error {
    Error::local_io(
        VENDOR,
        "upload",
        format!("a file cannot be read: {cause}"),
        cause,
    )
}

/// How much is encoded at once: whole groups of three bytes.
pub(crate) const GROUPS: usize = 48 * 1024;
const PIECE: usize = 64 * 1024;

/// A reader's bytes in base64.
struct Base64<R> {
    reader: R,
    encoded: io::Cursor<String>,
}

impl<R: Read> Base64<R> {
    fn new(reader: R) -> Self {
        Self {
            reader,
            encoded: io::Cursor::default(),
        }
    }
}

impl<R: Read> Read for Base64<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.encoded.read(into)?;
        if count > 0 || into.is_empty() {
            return Ok(count);
        }
        // Read until the piece is full: only the last one may end inside of a group.
        let mut piece = Vec::with_capacity(GROUPS);
        Read::take(&mut self.reader, GROUPS as u64).read_to_end(&mut piece)?;
        self.encoded = io::Cursor::new(STANDARD.encode(piece));
        self.encoded.read(into)
    }
}
