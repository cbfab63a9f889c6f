//! The secret by which this user's places are known again in a database that others write too.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::Path;

use etcetera::BaseStrategy as _;
use jobs_ledger::PlaceKey;

/// Of this user on this machine; made where it is missing. Without a folder to keep it in, of this process alone: then only
/// what it is told itself counts, and other results go below `--out`.
pub(crate) fn of_user() -> io::Result<PlaceKey> {
    let folder = etcetera::choose_base_strategy().map(|folders| folders.data_dir().join("docjobs"));
    let kept = folder.ok().map(|folder| kept_in(&folder));
    match kept {
        Some(Ok(key)) => Ok(key),
        _ => random().map(PlaceKey::new),
    }
}

fn kept_in(folder: &Path) -> io::Result<PlaceKey> {
    let path = folder.join("place.key");
    if let Some(key) = read(&path)? {
        return Ok(key);
    }
    fs::create_dir_all(folder)?;
    // Readable by its owner alone; of two processes at once, both take what the first one wrote.
    let mut draft = tempfile::NamedTempFile::new_in(folder)?;
    draft.write_all(&random()?)?;
    draft.as_file().sync_all()?;
    if let Err(problem) = draft.persist_noclobber(&path)
        && problem.error.kind() != io::ErrorKind::AlreadyExists
    {
        return Err(problem.error);
    }
    read(&path)?.ok_or_else(|| io::ErrorKind::NotFound.into())
}

fn read(path: &Path) -> io::Result<Option<PlaceKey>> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(problem) if problem.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(problem) => return Err(problem),
    };
    let mut secret = [0; 32];
    file.read_exact(&mut secret)?;
    Ok(Some(PlaceKey::new(secret)))
}

fn random() -> io::Result<[u8; 32]> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_and_read_by_nobody_else() {
        use std::os::unix::fs::PermissionsExt as _;

        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("docjobs");
        let made = kept_in(&folder).unwrap();
        assert_eq!(kept_in(&folder).unwrap(), made);
        let mode = fs::metadata(folder.join("place.key"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
    }

    #[test]
    fn a_key_that_was_cut_off_is_no_key() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("place.key"), "short").unwrap();
        kept_in(folder.path()).unwrap_err();
    }
}
