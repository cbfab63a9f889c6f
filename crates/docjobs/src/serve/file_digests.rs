//! The digests of result files, computed once for each version of a file.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use jobs_runner::digest;

/// So many are remembered; then all are forgotten.
const MOST: usize = 10_000;

/// What was computed.
#[derive(Default)]
pub(super) struct FileDigests(Mutex<HashMap<PathBuf, (Version, [u8; 32])>>);

type Version = (Option<SystemTime>, u64);

impl FileDigests {
    /// SHA-256 of a file as it is now.
    pub(super) async fn of(&self, path: &Path) -> io::Result<[u8; 32]> {
        let about = tokio::fs::metadata(path).await?;
        if !about.is_file() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        let version = (about.modified().ok(), about.len());
        let known = self.known().get(path).copied();
        if let Some((_, digest)) = known.filter(|(known, _)| *known == version) {
            return Ok(digest);
        }
        let file = path.to_owned();
        let read = move || digest(&mut std::fs::File::open(file)?);
        let read = tokio::task::spawn_blocking(read).await;
        let digest = read.map_err(io::Error::other)??;
        let mut known = self.known();
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(path.to_owned(), (version, digest));
        Ok(digest)
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashMap<PathBuf, (Version, [u8; 32])>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
