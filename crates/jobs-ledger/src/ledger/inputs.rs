//! Inputs that were read before: a file is known again by its path, size, time of change and number, without reading it.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use super::Ledger;
use super::history::lines;
use super::new_job::path;
use crate::error::LedgerError;
use crate::job_record::micros;
use crate::record::hex_digest;
use crate::store::{Flush, Sql, args};

/// A file that was changed so shortly before it was read may change once more without another time of change.
const SETTLED: i64 = 2_000_000_000;

/// By what a file is known again.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct FileIdentity {
    /// Where it is, absolutely.
    pub path: PathBuf,
    /// Its length in bytes.
    pub size: u64,
    /// When it was changed, in nanoseconds since 1970.
    pub mtime: i64,
    /// Its number in its file system; 0 where there is none.
    pub inode: u64,
}

impl FileIdentity {
    /// That of the file at `path`, as the system tells.
    ///
    /// # Errors
    /// The system's.
    pub fn of(path: &Path) -> std::io::Result<Self> {
        let path = std::path::absolute(path)?;
        let found = std::fs::metadata(&path)?;
        let mtime = found.modified()?.duration_since(UNIX_EPOCH);
        #[cfg(unix)]
        let inode = std::os::unix::fs::MetadataExt::ino(&found);
        #[cfg(not(unix))]
        let inode = 0;
        Ok(Self {
            size: found.len(),
            mtime: mtime
                .ok()
                .and_then(|since| i64::try_from(since.as_nanos()).ok())
                .unwrap_or_default(),
            inode,
            path,
        })
    }

    /// Whether a change after `now` would show. A file system may count in steps of two seconds, so a file that was changed
    /// shortly before `now` can be changed once more without another time of change. Ask with the moment at which the
    /// identity was taken, before the file is read. A time of change at or before 1970 tells nothing.
    pub fn is_settled(&self, now: SystemTime) -> bool {
        let now = micros(now).saturating_mul(1000);
        self.mtime > 0 && self.mtime <= now.saturating_sub(SETTLED)
    }
}

fn number(value: u64) -> i64 {
    i64::from_ne_bytes(value.to_ne_bytes())
}

impl Ledger {
    /// The digests of these files, where they are what they were when they were [remembered](Self::remember_inputs).
    ///
    /// # Errors
    /// [`InvalidInput`](crate::LedgerErrorKind::InvalidInput) for a path that is not Unicode; else the store's.
    pub async fn known_inputs(
        &self,
        files: &[FileIdentity],
    ) -> Result<Vec<Option<[u8; 32]>>, LedgerError> {
        const SQL: Sql = Sql::each(
            "SELECT r.key, lower(hex(s.digest)) FROM json_each($1) r JOIN input_seen s ON s.path = r.value ->> 0 \
             WHERE s.size = r.value ->> 1 AND s.mtime = r.value ->> 2 AND s.inode = r.value ->> 3",
            "SELECT r.key - 1, encode(s.digest, 'hex') FROM json_array_elements($1::json) WITH ORDINALITY r (value, key) \
             JOIN input_seen s ON s.path = r.value ->> 0 WHERE s.size = (r.value ->> 1)::bigint \
             AND s.mtime = (r.value ->> 2)::bigint AND s.inode = (r.value ->> 3)::bigint",
        );
        let rows = rows(files.iter())?;
        let mut known = vec![None; files.len()];
        for row in self.store.read(SQL, args![rows]).await? {
            let at = usize::try_from(row.int(0)?).unwrap_or(usize::MAX);
            if let Some(known) = known.get_mut(at) {
                *known = hex_digest::decode(row.str(1)?);
            }
        }
        Ok(known)
    }

    /// Remembers the digests of files that were read after their identities were taken. One that is not
    /// [settled](FileIdentity::is_settled) is left out.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::LedgerErrorKind::InvalidInput) for a path that is not Unicode; else the store's.
    pub async fn remember_inputs(
        &self,
        files: &[(FileIdentity, [u8; 32])],
    ) -> Result<(), LedgerError> {
        const SQL: Sql = Sql::each(
            "INSERT INTO input_seen (path, size, mtime, inode, digest, at) SELECT value ->> 0, value ->> 1, value ->> 2, \
             value ->> 3, unhex(value ->> 4), $2 FROM json_each($1) WHERE true ON CONFLICT (path) DO UPDATE \
             SET size = excluded.size, mtime = excluded.mtime, inode = excluded.inode, digest = excluded.digest, \
             at = excluded.at",
            "INSERT INTO input_seen (path, size, mtime, inode, digest, at) SELECT DISTINCT ON (r ->> 0) r ->> 0, \
             (r ->> 1)::bigint, (r ->> 2)::bigint, (r ->> 3)::bigint, decode(r ->> 4, 'hex'), $2::bigint \
             FROM json_array_elements($1::json) r ORDER BY r ->> 0 ON CONFLICT (path) DO UPDATE \
             SET size = excluded.size, mtime = excluded.mtime, inode = excluded.inode, digest = excluded.digest, \
             at = excluded.at",
        );
        let now = self.now();
        let wall = self.clock.wall();
        let mut seen = Vec::new();
        for (file, digest) in files.iter().filter(|(file, _)| file.is_settled(wall)) {
            let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
            let place = path(Some(&file.path))?;
            seen.push((
                place,
                number(file.size),
                file.mtime,
                number(file.inode),
                digest,
            ));
        }
        if seen.is_empty() {
            return Ok(());
        }
        let seen = lines(seen.into_iter());
        self.write(Flush::Later, move |tx| {
            Box::pin(async move { tx.run(SQL, args![seen, now]).await.map(drop) })
        })
        .await
    }
}

fn rows<'f>(files: impl Iterator<Item = &'f FileIdentity>) -> Result<String, LedgerError> {
    let mut rows = Vec::new();
    for file in files {
        let place = path(Some(&file.path))?;
        rows.push((place, number(file.size), file.mtime, number(file.inode)));
    }
    Ok(lines(rows.into_iter()))
}
