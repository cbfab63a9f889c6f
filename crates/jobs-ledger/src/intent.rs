//! The wish to have a job done, and how the same wish is recognised.

use std::path::PathBuf;

use jobs_core::vendor::Account;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::claim::{Claim, at};
use crate::id::LedgerId;
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
    /// The job that is to be bought again: the same intent once more attaches to the job that it made.
    pub again_of: Option<LedgerId>,
    /// The name under which it is bought even if the same was bought already: the same name attaches to what it bought.
    pub run: Option<Box<str>>,
    /// How many polls that cost money the job allows. Not part of what is bought.
    pub max_calls: Option<u32>,
    /// Who asks, for the history.
    pub actor: Option<Box<str>>,
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
            again_of: None,
            run: None,
            max_calls: None,
            actor: None,
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

    /// What that job was, to be bought as it was. What nobody may read of its request is forgotten once it was accepted.
    pub fn of(job: &JobRecord) -> Self {
        Self {
            options: job.options.clone(),
            request: job.request.clone(),
            private_request: job.private_request.clone(),
            input: job.input.as_str().into(),
            input_path: job.input_path.clone(),
            output: job.output.clone(),
            format: job.format.as_deref().map(Into::into),
            max_calls: job.max_calls,
            ..Self::new(
                job.vendor.as_str(),
                job.kind.as_str(),
                job.account,
                job.content,
            )
        }
    }

    /// Buys again what that job was, once: the same intent once more attaches to the job that it made. Refused while the
    /// job is in doubt; of a job of which nothing was bought yet nothing is bought twice, it attaches to that one.
    #[must_use]
    pub fn again_of(mut self, job: LedgerId) -> Self {
        self.again_of = Some(job);
        self
    }

    /// Buys it under a name even if the same was bought already: the same name attaches to what it bought.
    #[must_use]
    pub fn run(mut self, name: impl Into<Box<str>>) -> Self {
        self.run = Some(name.into());
        self
    }

    /// Allows so many polls that cost money.
    #[must_use]
    pub fn max_calls(mut self, calls: u32) -> Self {
        self.max_calls = Some(calls);
        self
    }

    /// Adds who asks.
    #[must_use]
    pub fn by(mut self, actor: impl Into<Box<str>>) -> Self {
        self.actor = Some(actor.into());
        self
    }

    /// By what a request to buy again is recognised, made with this account.
    pub(crate) fn purchase_of(&self, account: Account) -> Option<[u8; 32]> {
        let mut hash = Sha256::new();
        match (self.again_of, &self.run) {
            (None, None) => return None,
            (Some(job), _) => hash.update(format!("again of {job}")),
            (None, Some(run)) => {
                hash.update("run ");
                hash.update(self.digest_of(account));
                hash.update(run.as_bytes());
            }
        }
        Some(hash.finalize().into())
    }

    /// SHA-256 over vendor, kind, account, options and content. The order of keys in the options does not matter.
    pub fn digest(&self) -> [u8; 32] {
        self.digest_of(self.account)
    }

    /// The digest of the same wish on this account's cost.
    pub(crate) fn digest_of(&self, account: Account) -> [u8; 32] {
        job_digest(
            &self.vendor,
            &self.kind,
            account,
            &self.options,
            &self.content,
        )
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

/// What makes two jobs the same: SHA-256 over vendor, kind, account, options and content.
fn job_digest(
    vendor: &str,
    kind: &str,
    account: Account,
    options: &Value,
    content: &[u8; 32],
) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in [
        vendor.as_bytes(),
        kind.as_bytes(),
        account.to_string().as_bytes(),
        canonical(options).as_bytes(),
        content,
    ] {
        hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
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
