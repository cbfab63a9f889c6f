//! What callers hand in besides jobs: scans and the device's state.

use jobs_core::{Error, Secret};
use serde_json::{Value, json};

use super::envelope::VENDOR;
use crate::lenient::Object;

/// A scanned file for a member.
#[derive(Debug, Clone)]
pub struct ScanFile {
    open_userid: String,
    filename: String,
    source: ScanSource,
    auth_code: Secret,
}

/// Where the vendor finds the scanned file.
#[derive(Debug, Clone)]
pub enum ScanSource {
    /// Media uploaded to the vendor before.
    Media(String),
    /// An address at which the vendor fetches it. It may be signed, so it is a secret.
    Link(Secret),
}

impl ScanFile {
    /// A file for the member who scanned the device's QR code, with the code that came with the scan.
    ///
    /// # Errors
    /// [`InvalidInput`](jobs_core::ErrorKind::InvalidInput) for an empty member or file name.
    pub fn new(
        open_userid: &str,
        filename: &str,
        source: ScanSource,
        auth_code: Secret,
    ) -> Result<Self, Error> {
        for (name, text) in [("open_userid", open_userid), ("filename", filename)] {
            if text.is_empty() {
                let problem = format!("`{name}` is empty");
                return Err(Error::invalid_input(VENDOR, "push scan", problem));
            }
        }
        Ok(Self {
            open_userid: open_userid.to_owned(),
            filename: filename.to_owned(),
            source,
            auth_code,
        })
    }

    pub(crate) fn body(&self) -> Value {
        let (source, value) = match &self.source {
            ScanSource::Media(id) => ("media_id", id.as_str()),
            ScanSource::Link(link) => ("download_url", link.expose()),
        };
        json!({
            "open_userid": self.open_userid,
            "filename": self.filename,
            source: value,
            "auth_code": self.auth_code.expose(),
        })
    }

    pub(crate) fn secrets(&self) -> Vec<Secret> {
        let mut secrets = vec![self.auth_code.clone()];
        if let ScanSource::Link(link) = &self.source {
            secrets.push(link.clone());
        }
        secrets
    }
}

/// The device's state, due every half hour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceStatus {
    is_online: bool,
    version: Option<String>,
    upgrade: Option<(String, String)>,
}

impl DeviceStatus {
    /// Ready to print.
    pub fn online() -> Self {
        Self {
            is_online: true,
            version: None,
            upgrade: None,
        }
    }

    /// Not ready.
    pub fn offline() -> Self {
        Self {
            is_online: false,
            ..Self::online()
        }
    }

    /// The firmware in use.
    #[must_use]
    pub fn with_version(mut self, version: &str) -> Self {
        self.version = Some(version.to_owned());
        self
    }

    /// A firmware the device could be given, and what it brings.
    #[must_use]
    pub fn with_upgrade(mut self, version: &str, description: &str) -> Self {
        self.upgrade = Some((version.to_owned(), description.to_owned()));
        self
    }

    /// The vendor's page speaks of versions; their names are those of a public SDK.
    pub(crate) fn body(&self) -> Value {
        let number = if self.is_online { 1 } else { 2 };
        let mut body = Object::new();
        let mut put = |key: &str, value: Value| body.insert(key.to_owned(), value);
        put("online_status", json!(number));
        if let Some(version) = &self.version {
            put("cur_version", json!(version));
        }
        if let Some((version, description)) = &self.upgrade {
            put("upgradable_version", json!(version));
            put("upgradable_version_desc", json!(description));
        }
        Value::Object(body)
    }
}
