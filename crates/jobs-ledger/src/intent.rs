//! The wish to have a job done, and how the same wish is recognised.

use std::path::PathBuf;

use jobs_core::Account;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::claim::{Claim, at};
use crate::job_record::JobRecord;

/// A job that somebody wants to submit.
///
/// Vendor, kind, account, options and content make up its digest: a second wish with the same digest attaches to
/// the job that is in flight or was bought, however it ended, instead of being bought again. `input`, the request and
/// the paths do not count.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Intent {
    /// The vendor, as in its kind.
    pub vendor: Box<str>,
    /// The kind of job, as in its kind.
    pub kind: Box<str>,
    /// Whose account pays.
    pub account: Account,
    /// SHA-256 of the content, computed by the caller.
    pub content: [u8; 32],
    /// All that a submit needs beside the content. Never a secret: it is stored as it is.
    pub options: Value,
    /// All that a submit needs beside the content, for making it after a crash. Not part of what is bought.
    pub request: Value,
    /// What of it nobody may read, such as an address that opens without a key: forgotten once the job is accepted or over.
    pub private_request: Value,
    /// What a person reads in the list of jobs, such as the file's name; nothing is decided by it.
    pub input: Box<str>,
    /// Where the content is, for going on after a crash.
    pub input_path: Option<PathBuf>,
    /// Where the result shall go.
    pub output: Option<PathBuf>,
    /// In which form the result is wanted, in the caller's word. Not part of what is bought.
    pub format: Option<Box<str>>,
    /// Whether to buy it even if the same was bought already. Recorded in the history.
    pub again: bool,
}

impl Intent {
    /// A wish for a job of `kind` at `vendor` on the account's cost.
    pub fn new(
        vendor: impl Into<Box<str>>,
        kind: impl Into<Box<str>>,
        account: Account,
        content: [u8; 32],
    ) -> Self {
        Self {
            vendor: vendor.into(),
            kind: kind.into(),
            account,
            content,
            options: Value::Null,
            request: Value::Null,
            private_request: Value::Null,
            input: "".into(),
            input_path: None,
            output: None,
            format: None,
            again: false,
        }
    }

    /// Adds the options of the submit. Never put a secret into them.
    #[must_use]
    pub fn with_options(mut self, options: Value) -> Self {
        self.options = options;
        self
    }

    /// Adds what a submit needs beside the content. Never put a secret into it.
    #[must_use]
    pub fn with_request(mut self, request: Value) -> Self {
        self.request = request;
        self
    }

    /// Adds what of the request nobody may read: kept until the job is accepted or over.
    #[must_use]
    pub fn with_private_request(mut self, request: Value) -> Self {
        self.private_request = request;
        self
    }

    /// Adds what a person reads in the list of jobs.
    #[must_use]
    pub fn with_input(mut self, input: impl Into<Box<str>>) -> Self {
        self.input = input.into();
        self
    }

    /// Adds where the content is.
    #[must_use]
    pub fn with_input_path(mut self, path: impl Into<PathBuf>) -> Self {
        self.input_path = Some(path.into());
        self
    }

    /// Adds where the result shall go.
    #[must_use]
    pub fn with_output(mut self, path: impl Into<PathBuf>) -> Self {
        self.output = Some(path.into());
        self
    }

    /// Adds in which form the result is wanted.
    #[must_use]
    pub fn with_format(mut self, format: impl Into<Box<str>>) -> Self {
        self.format = Some(format.into());
        self
    }

    /// Buys it even if the same was bought already.
    #[must_use]
    pub fn again(mut self) -> Self {
        self.again = true;
        self
    }

    /// SHA-256 over vendor, kind, account, options and content. The order of keys in the options does not matter.
    pub fn digest(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        for part in [
            self.vendor.as_bytes(),
            self.kind.as_bytes(),
            self.account.to_string().as_bytes(),
            canonical(&self.options).as_bytes(),
            &self.content,
        ] {
            hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            hash.update(part);
        }
        hash.finalize().into()
    }
}

/// What became of an [`Intent`].
#[derive(Debug)]
#[must_use]
pub enum IntendOutcome {
    /// Nothing like it is in flight or done: go on with [`begin_submit`](crate::Ledger::begin_submit).
    New(Claim<at::Intended>, JobRecord),
    /// The same is in flight, in doubt or done: go on with that one. Nothing was written.
    Attached(JobRecord),
}

/// The JSON text with sorted keys, whatever order the map of this build keeps.
fn canonical(value: &Value) -> String {
    match value {
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(canonical).collect();
            format!("[{}]", items.join(","))
        }
        Value::Object(map) => {
            let mut entries: Vec<(String, String)> = map
                .iter()
                .map(|(key, value)| (Value::from(key.as_str()).to_string(), canonical(value)))
                .collect();
            entries.sort();
            let entries: Vec<String> = entries
                .into_iter()
                .map(|(key, value)| format!("{key}:{value}"))
                .collect();
            format!("{{{}}}", entries.join(","))
        }
        plain => plain.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn intent() -> Intent {
        Intent::new("textin", "parse", Account::of("textin", "a"), [7; 32])
            .with_options(json!({"pages": "1-5", "format": {"b": 1, "a": [1, null]}}))
    }

    #[test]
    fn every_part_of_the_wish_counts() {
        let digest = intent().digest();
        let mut others = [intent(), intent(), intent(), intent(), intent()];
        others[0].vendor = "textim".into();
        others[1].kind = "pars".into();
        others[2].account = Account::of("textin", "b");
        others[3].options = json!({"pages": "1-6", "format": {"b": 1, "a": [1, null]}});
        others[4].content = [8; 32];
        for other in others {
            assert_ne!(other.digest(), digest, "{other:?}");
        }
    }

    #[test]
    fn names_paths_and_key_order_do_not_count() {
        let same = Intent::new("textin", "parse", Account::of("textin", "a"), [7; 32])
            .with_options(json!({"format": {"a": [1, null], "b": 1}, "pages": "1-5"}))
            .with_request(json!({"path": "report.pdf"}))
            .with_private_request(json!({"url": "https://h/?k"}))
            .with_input("report.pdf")
            .with_output("out.md")
            .again();
        assert_eq!(same.digest(), intent().digest());
    }

    #[test]
    fn parts_do_not_run_into_each_other() {
        let account = Account::of("a", "a");
        assert_ne!(
            Intent::new("ab", "c", account, [0; 32]).digest(),
            Intent::new("a", "bc", account, [0; 32]).digest()
        );
    }
}
