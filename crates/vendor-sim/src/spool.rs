//! Received files: counted, hashed and kept on disk while they stream in, never whole in memory.

use std::io;
use std::path::Path;

use bytes::Bytes;
use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;
use tokio::io::AsyncWriteExt;

/// First bytes kept at hand to recognise a format.
const HEAD: usize = 64;

/// A file being received.
#[derive(Debug)]
pub struct Spool {
    file: tokio::fs::File,
    guard: NamedTempFile,
    digest: Sha256,
    size: u64,
    limit: u64,
    head: Vec<u8>,
}

/// A file received whole. Its bytes are removed from the disk when this is dropped.
#[derive(Debug)]
pub struct Spooled {
    guard: NamedTempFile,
    /// Bytes received; may exceed the limit, in which case the disk holds only the first part.
    pub size: u64,
    /// Whether more bytes came than the limit allows.
    pub too_large: bool,
    /// SHA-256 in hex.
    pub sha256: String,
    /// The first bytes.
    pub head: Vec<u8>,
}

impl Spool {
    /// An empty temporary file. Bytes beyond `limit` are counted but not kept.
    ///
    /// # Errors
    ///
    /// The temporary directory cannot be written.
    pub fn new(limit: u64) -> io::Result<Self> {
        let guard = NamedTempFile::new()?;
        let file = tokio::fs::File::from_std(guard.reopen()?);
        Ok(Self {
            file,
            guard,
            digest: Sha256::new(),
            size: 0,
            limit,
            head: Vec::with_capacity(HEAD),
        })
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    ///
    /// The disk refuses them.
    pub async fn write(&mut self, bytes: &Bytes) -> io::Result<()> {
        let room = HEAD.saturating_sub(self.head.len());
        self.head.extend(bytes.iter().take(room));
        self.digest.update(bytes);
        self.size += bytes.len() as u64;
        if self.size <= self.limit {
            self.file.write_all(bytes).await?;
        }
        Ok(())
    }

    /// The file is complete.
    ///
    /// # Errors
    ///
    /// The disk refuses the last bytes.
    pub async fn finish(mut self) -> io::Result<Spooled> {
        self.file.flush().await?;
        Ok(Spooled {
            guard: self.guard,
            size: self.size,
            too_large: self.size > self.limit,
            sha256: hex::encode(self.digest.finalize()),
            head: self.head,
        })
    }
}

impl Spooled {
    /// Where the bytes are.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.guard.path()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn size_digest_and_bytes_are_those_received() {
        let mut spool = Spool::new(10).unwrap();
        spool.write(&Bytes::from_static(b"ab")).await.unwrap();
        spool.write(&Bytes::from_static(b"c")).await.unwrap();
        let spooled = spool.finish().await.unwrap();
        assert_eq!(spooled.size, 3);
        assert!(!spooled.too_large);
        // SHA-256 of "abc" from FIPS 180-2, appendix B.1.
        assert_eq!(
            spooled.sha256,
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert_eq!(std::fs::read(spooled.path()).unwrap(), b"abc");
        let path = spooled.path().to_owned();
        drop(spooled);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn bytes_beyond_the_limit_are_counted_but_not_kept() {
        let mut spool = Spool::new(4).unwrap();
        spool.write(&Bytes::from_static(b"1234")).await.unwrap();
        spool.write(&Bytes::from_static(b"5678")).await.unwrap();
        let spooled = spool.finish().await.unwrap();
        assert!(spooled.too_large);
        assert_eq!(spooled.size, 8);
        assert_eq!(std::fs::metadata(spooled.path()).unwrap().len(), 4);
    }
}
