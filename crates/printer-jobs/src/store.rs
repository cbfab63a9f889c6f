//! Where the credentials that the cloud hands out are kept between two logins.

use std::collections::HashMap;
use std::fmt::Debug;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use jobs_core::Secret;
use serde_json::{Value, json};

use crate::lenient;
use crate::login::Credential;

/// What the cloud has handed out to one device.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Stored {
    /// The device's own SecretNo, if it was exchanged for a seed. It is given out once.
    pub secret_no: Option<Secret>,
    /// Answer of `register`.
    pub active_code: Option<Secret>,
    /// Answer of `active`; void once the company unbinds the device.
    pub secret: Option<Secret>,
}

impl Stored {
    /// Whether there is nothing to keep.
    pub fn is_empty(&self) -> bool {
        self.secret_no.is_none() && self.active_code.is_none() && self.secret.is_none()
    }

    #[cfg_attr(not(feature = "websocket"), allow(dead_code))]
    pub(crate) fn keep(&mut self, credential: Credential) {
        match credential {
            Credential::SecretNo(it) => self.secret_no = Some(it),
            Credential::ActiveCode(it) => self.active_code = Some(it),
            Credential::Secret(it) => self.secret = Some(it),
        }
    }
}

/// Keeps credentials. Called from a thread that may block.
pub trait CredentialStore: Debug + Send + Sync {
    /// What is kept for this serial number; nothing at all for one never seen.
    ///
    /// # Errors
    /// Whatever keeps it from being read. A damaged record is an error, not an empty one.
    fn load(&self, sn: &str) -> io::Result<Stored>;

    /// Replaces what is kept. On return it is durable, and what was there before is gone: an empty record erases.
    ///
    /// # Errors
    /// Whatever keeps it from being written.
    fn save(&self, sn: &str, stored: &Stored) -> io::Result<()>;
}

/// Keeps credentials in memory: each start of the process logs in from the beginning.
///
/// Enough for a device with its own SecretNo. One with a seed must not use it: the exchanged SecretNo is given out once.
#[derive(Debug, Default)]
pub struct MemoryStore(Mutex<HashMap<String, Stored>>);

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }
}

impl CredentialStore for MemoryStore {
    fn load(&self, sn: &str) -> io::Result<Stored> {
        let records = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(records.get(sn).cloned().unwrap_or_default())
    }

    fn save(&self, sn: &str, stored: &Stored) -> io::Result<()> {
        let mut records = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        records.insert(sn.to_owned(), stored.clone());
        Ok(())
    }
}

/// Keeps credentials in a folder: one file for each serial number, readable by its owner only.
///
/// A file is replaced as a whole and flushed to disk; a record without anything in it is no file.
#[derive(Debug, Clone)]
pub struct FileStore {
    folder: PathBuf,
}

impl FileStore {
    /// A store in this folder, which is made when the first record is written.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
        }
    }

    /// The file of this serial number.
    pub fn path(&self, sn: &str) -> PathBuf {
        self.folder.join(format!("{}.json", file_name(sn)))
    }

    fn make_folder(&self) -> io::Result<()> {
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        {
            use std::os::unix::fs::DirBuilderExt;
            builder.mode(0o700);
        }
        builder.create(&self.folder)
    }

    fn sync_folder(&self) -> io::Result<()> {
        if cfg!(unix) {
            File::open(&self.folder)?.sync_all()
        } else {
            Ok(())
        }
    }
}

impl CredentialStore for FileStore {
    fn load(&self, sn: &str) -> io::Result<Stored> {
        let path = self.path(sn);
        let text = match fs::read_to_string(&path) {
            Ok(text) => {
                make_private(&path)?;
                text
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Stored::default()),
            Err(error) => return Err(error),
        };
        let damaged = |what| io::Error::new(io::ErrorKind::InvalidData, what);
        let Ok(Value::Object(record)) = serde_json::from_str(&text) else {
            return Err(damaged("the file of stored credentials is not JSON"));
        };
        if lenient::text(&record, "sn").as_deref() != Some(sn) {
            return Err(damaged(
                "the stored credentials belong to another serial number",
            ));
        }
        let secret = |key| {
            lenient::text(&record, key)
                .map(Secret::new)
                .transpose()
                .map_err(|_| damaged("a stored credential is damaged"))
        };
        Ok(Stored {
            secret_no: secret("secret_no")?,
            active_code: secret("active_code")?,
            secret: secret("secret")?,
        })
    }

    fn save(&self, sn: &str, stored: &Stored) -> io::Result<()> {
        let path = self.path(sn);
        let temporary = path.with_extension("new");
        // Left behind by a crash, and possibly with other permissions.
        remove(&temporary)?;
        if stored.is_empty() {
            if remove(&path)? {
                self.sync_folder()?;
            }
            return Ok(());
        }
        self.make_folder()?;
        let mut record = json!({ "sn": sn });
        for (key, secret) in [
            ("secret_no", &stored.secret_no),
            ("active_code", &stored.active_code),
            ("secret", &stored.secret),
        ] {
            if let (Value::Object(record), Some(secret)) = (&mut record, secret) {
                record.insert(key.to_owned(), secret.expose().into());
            }
        }
        let written = write_private(&temporary, record.to_string().as_bytes())
            .and_then(|()| fs::rename(&temporary, &path));
        if let Err(error) = written {
            drop(remove(&temporary));
            return Err(error);
        }
        self.sync_folder()
    }
}

/// Takes from others what a copy or a backup has given them: a record is its owner's only.
#[cfg(unix)]
fn make_private(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let mode = fs::metadata(path)?.permissions().mode();
    if mode & 0o077 == 0 {
        return Ok(());
    }
    match fs::set_permissions(path, fs::Permissions::from_mode(0o600)) {
        // Somebody else's, or on a file system without modes: it was readable, and is no more open than before.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        changed => changed,
    }
}

#[cfg(not(unix))]
fn make_private(_: &Path) -> io::Result<()> {
    Ok(())
}

fn write_private(path: &Path, text: &[u8]) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    let mut file = options.open(path)?;
    file.write_all(text)?;
    file.sync_all()
}

/// Whether there was something to remove.
fn remove(path: &Path) -> io::Result<bool> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// A name for foreign text that stays in its folder: letters, digits, `-`, `_` and inner dots as they are, the rest as
/// `%` and two digits. Different texts give different names, up to 200 bytes; longer ones end in a digest.
pub(crate) fn file_name(text: &str) -> String {
    use sha1::{Digest, Sha1};
    use std::fmt::Write as _;
    const LONGEST: usize = 200;
    let mut name = String::new();
    for (place, byte) in text.bytes().enumerate() {
        match byte {
            b'.' if place > 0 => name.push('.'),
            b'-' | b'_' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => name.push(char::from(byte)),
            // Writing to a text cannot fail.
            _ => drop(write!(name, "%{byte:02X}")),
        }
    }
    if name.len() > LONGEST {
        name.truncate(LONGEST - 41);
        name.push('~');
        name.push_str(&hex::encode(Sha1::digest(text.as_bytes())));
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Option<Secret> {
        Some(Secret::new(text).unwrap())
    }

    fn full() -> Stored {
        Stored {
            secret_no: secret("n0"),
            active_code: secret("c0de"),
            secret: secret("s3cret"),
        }
    }

    #[test]
    fn record_survives_and_is_private() {
        let folder = tempfile::tempdir().unwrap();
        let store = FileStore::new(folder.path().join("state"));
        assert!(store.load("SN/1").unwrap().is_empty());
        store.save("SN/1", &full()).unwrap();
        let read = store.load("SN/1").unwrap();
        assert_eq!(read.secret.unwrap().expose(), "s3cret");
        assert_eq!(read.active_code.unwrap().expose(), "c0de");
        assert_eq!(read.secret_no.unwrap().expose(), "n0");
        assert!(store.load("SN/2").unwrap().is_empty());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
            assert_eq!(mode(&store.path("SN/1")), 0o600);
            assert_eq!(mode(&folder.path().join("state")), 0o700);
            let open = fs::Permissions::from_mode(0o644);
            fs::set_permissions(store.path("SN/1"), open).unwrap();
            assert!(!store.load("SN/1").unwrap().is_empty());
            assert_eq!(mode(&store.path("SN/1")), 0o600);
        }
        assert_eq!(
            fs::read_dir(folder.path().join("state")).unwrap().count(),
            1
        );
    }

    #[test]
    fn empty_record_is_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let store = FileStore::new(folder.path());
        store.save("SN", &full()).unwrap();
        store.save("SN", &Stored::default()).unwrap();
        store.save("SN", &Stored::default()).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn erased_secret_is_nowhere_in_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let store = FileStore::new(folder.path());
        store.save("SN", &full()).unwrap();
        fs::write(store.path("SN").with_extension("new"), "half s3cret").unwrap();
        let mut kept = full();
        kept.secret = None;
        store.save("SN", &kept).unwrap();
        for entry in fs::read_dir(folder.path()).unwrap() {
            let text = fs::read_to_string(entry.unwrap().path()).unwrap();
            assert!(!text.contains("s3cret"), "{text}");
        }
    }

    #[test]
    fn damaged_record_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let store = FileStore::new(folder.path());
        for text in [
            "",
            "{",
            "[]",
            r#"{"sn":"other"}"#,
            r#"{"sn":"SN","secret":" x"}"#,
        ] {
            fs::write(store.path("SN"), text).unwrap();
            let error = store.load("SN").unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{text:?}");
        }
    }

    #[test]
    fn no_text_names_a_file_elsewhere() {
        for text in [
            "..",
            ".",
            "../../etc/passwd",
            "a/b",
            "a\\b",
            "打印",
            "a\0b",
            "CON:",
            "~",
        ] {
            let name = file_name(text);
            assert!(
                !name.contains(['/', '\\', '\0', ':']) && !name.starts_with('.'),
                "{name}"
            );
        }
        assert_eq!(file_name("TEST-SN_1.a"), "TEST-SN_1.a");
        assert_ne!(file_name("a/b"), file_name("a%2Fb"));
        let long = file_name(&"/".repeat(500));
        assert_eq!(long.len(), 200);
        assert_ne!(long, file_name(&"/".repeat(501)));
    }
}
