//! What the ledger keeps in types, because something is decided by it. Texts beside it are for people alone.

use std::path::PathBuf;

use jobs_core::vendor::Delivery;
use jobs_core::{Error, ErrorKind, JobId};
use serde::{Deserialize, Serialize};

/// The typed part of an [`JobEvent`](crate::JobEvent): whatever a later step decides by. Its text is for people alone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct EventData {
    /// The number of the attempt that was about to be made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt: Option<i64>,
    /// The vendor's id of the job.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remote_id: Option<String>,
    /// SHA-256 of what was verified, saved or fetched.
    #[serde(skip_serializing_if = "Option::is_none", with = "hex_digest")]
    pub sha256: Option<[u8; 32]>,
    /// Where it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    /// Its format, where that is not the one that the job's record asks for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    /// How the work on this side ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<JobOutcome>,
    /// Why the job waits for somebody.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parked: Option<ParkReason>,
    /// Who did it, where somebody said so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// What went wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorRecord>,
}

impl EventData {
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// As it is stored; nothing for nothing.
    pub(crate) fn to_text(&self) -> Option<String> {
        (!self.is_empty()).then(|| to_text(self))
    }
}

/// How work ended that is done here and reported to the vendor, such as printing. Recorded before it is reported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobOutcome {
    /// It succeeded.
    Succeeded,
    /// It failed.
    Failed {
        /// The number under which it is reported.
        code: u32,
        /// The words with which it is reported.
        message: String,
    },
}

/// Why a job waits until somebody, or the next worker, takes it up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "&'static str")]
#[non_exhaustive]
pub enum ParkReason {
    /// Nobody said, or a newer version did.
    Unspecified,
    /// Its result cannot be written to its place.
    OutputPath,
    /// What is to be sent cannot be read here, or is no longer what it was.
    InputFile,
    /// Its result arrived whole and did not pass our checks, twice alike or five times: it is not fetched again.
    UnverifiedResult,
    /// Each poll may cost money, and its budget is spent or only a person grants one.
    PaidPolls,
    /// It may have been charged, and none or several jobs of the vendor fit.
    InDoubt,
    /// The answer to a poll or a download will not change by asking again.
    Refused,
    /// The ledger was restored from a copy, and the job may have been bought since.
    Restored,
}

impl ParkReason {
    /// The reasons that may have passed when a worker begins; see [`unpark`](crate::Ledger::unpark).
    pub const RETRIED: &'static [Self] = &[
        Self::Unspecified,
        Self::OutputPath,
        Self::InputFile,
        Self::Refused,
    ];

    /// Every reason.
    pub const ALL: &'static [Self] = &[
        Self::Unspecified,
        Self::OutputPath,
        Self::InputFile,
        Self::UnverifiedResult,
        Self::PaidPolls,
        Self::InDoubt,
        Self::Refused,
        Self::Restored,
    ];

    /// The word for it in the ledger.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unspecified => "unspecified",
            Self::OutputPath => "output_path",
            Self::InputFile => "input_file",
            Self::UnverifiedResult => "unverified_result",
            Self::PaidPolls => "paid_polls",
            Self::InDoubt => "in_doubt",
            Self::Refused => "refused",
            Self::Restored => "restored",
        }
    }

    pub(crate) fn parse(word: &str) -> Self {
        let known = Self::ALL.iter().find(|reason| reason.as_str() == word);
        known.copied().unwrap_or(Self::Unspecified)
    }
}

impl From<String> for ParkReason {
    fn from(word: String) -> Self {
        Self::parse(&word)
    }
}

impl From<ParkReason> for &'static str {
    fn from(reason: ParkReason) -> Self {
        reason.as_str()
    }
}

/// Results of one content that arrived whole and did not pass our checks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct UnverifiedResult {
    /// SHA-256 of the bytes.
    #[serde(with = "hex_digest")]
    pub sha256: Option<[u8; 32]>,
    /// How often these bytes were fetched.
    pub count: u32,
    /// Where they are kept, if they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    /// The format in which they were asked for; none where there is one format, or an earlier version has counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
}

impl UnverifiedResult {
    /// How often the same bytes are fetched at most, and whatever bytes of one job.
    const SAME: u32 = 2;
    const ANY: u32 = 5;

    /// Whether it says something about results in this format; none for those in any.
    pub fn is_about(&self, format: Option<&str>) -> bool {
        let known = self.format.as_deref().zip(format);
        known.is_none_or(|(one, other)| one == other)
    }

    /// Whether asking the storage again may still bring other bytes.
    pub(crate) fn allow_fetch<'a>(all: impl IntoIterator<Item = &'a Self>) -> bool {
        let mut any = 0;
        all.into_iter().all(|one| {
            any += one.count;
            one.count < Self::SAME && any < Self::ANY
        })
    }

    /// Counts one more fetch that brought these bytes.
    pub(crate) fn count(
        all: &mut Vec<Self>,
        sha256: [u8; 32],
        format: Option<&str>,
        path: Option<PathBuf>,
    ) {
        let is_it = |one: &&mut Self| one.sha256 == Some(sha256) && one.is_about(format);
        match all.iter_mut().find(is_it) {
            Some(known) => {
                known.count = known.count.saturating_add(1);
                known.path = path.or(known.path.take());
            }
            None => all.push(Self {
                sha256: Some(sha256),
                count: 1,
                path,
                format: format.map(Into::into),
            }),
        }
    }
}

/// An error as the ledger keeps it: what was tried, and what the other side answered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct ErrorRecord {
    /// Its kind, in the words of [`ErrorKind`].
    pub kind: String,
    /// What was tried.
    pub operation: String,
    /// Whether the request reached the other side: `no`, `maybe` or `yes`.
    pub sent: String,
    /// The vendor's code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The status of the HTTP answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_status: Option<u16>,
    /// What the vendor said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The beginning of an answer that was not understood, at most 2 KiB and without secrets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// The host and port where it was tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// The vendor's id of the job that it was tried on, or that the answer told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
}

/// The kind of the error of a job that does not fit into its vendor's budget.
pub(crate) const OVER_BUDGET: &str = "over_budget";

/// How much of an answer is kept.
const BODY: usize = 2048;

impl From<&Error> for ErrorRecord {
    fn from(error: &Error) -> Self {
        Self {
            kind: word_of(error.kind()),
            operation: error.operation().to_owned(),
            sent: match error.delivery() {
                Delivery::NotSent => "no",
                Delivery::MaybeSent => "maybe",
                Delivery::Answered => "yes",
            }
            .to_owned(),
            code: error.code().map(plain),
            http_status: error.http_status(),
            message: error.message().map(plain),
            body: error.body_excerpt().map(plain),
            address: error.address().map(plain),
            job: error.job().map(|job| plain(job.as_str())),
        }
    }
}

impl ErrorRecord {
    /// The kind, if it is one that this version knows.
    pub fn error_kind(&self) -> Option<ErrorKind> {
        KINDS.into_iter().find(|kind| word_of(*kind) == self.kind)
    }

    /// The error again, of this operation at this vendor. What is not kept, as a cause or an advice, it does not tell.
    pub fn to_error(&self, vendor: &'static str, operation: &'static str) -> Error {
        let kind = self.error_kind().unwrap_or(ErrorKind::Unavailable);
        let mut error = Error::new(kind, vendor, operation)
            .with_delivery(match self.sent.as_str() {
                "no" => Delivery::NotSent,
                "yes" => Delivery::Answered,
                _ => Delivery::MaybeSent,
            })
            .with_message(self.message.as_deref().unwrap_or_default())
            .with_body_excerpt(self.body.as_deref().unwrap_or_default());
        if let Some(code) = &self.code {
            error = error.with_code(code);
        }
        if let Some(status) = self.http_status {
            error = error.with_http_status(status);
        }
        if let Some(address) = &self.address {
            error = error.with_address(address.as_str());
        }
        match self.job.as_deref().map(JobId::new) {
            Some(Ok(id)) => error.with_job(id),
            _ => error,
        }
    }

    /// Whether the word is that of a kind.
    pub(crate) fn is_kind(word: &str) -> bool {
        word == OVER_BUDGET || KINDS.into_iter().any(|kind| word_of(kind) == word)
    }
}

const KINDS: [ErrorKind; 13] = {
    use ErrorKind as K;
    [
        K::InvalidInput,
        K::Unauthenticated,
        K::QuotaExceeded,
        K::RateLimited,
        K::NotFound,
        K::Refused,
        K::OperationRetired,
        K::Unavailable,
        K::Unreachable,
        K::Timeout,
        K::UnexpectedResponse,
        K::TooLarge,
        K::LocalIo,
    ]
};

/// The name of the kind in small letters with underscores.
fn word_of(kind: ErrorKind) -> String {
    let mut word = String::new();
    for letter in format!("{kind:?}").chars() {
        if letter.is_uppercase() && !word.is_empty() {
            word.push('_');
        }
        word.extend(letter.to_lowercase());
    }
    word
}

/// Neither store takes more than it should, and PostgreSQL takes no NUL.
fn plain(text: &str) -> String {
    let end = text.floor_char_boundary(BODY);
    text.get(..end)
        .unwrap_or_default()
        .replace('\0', "\u{fffd}")
}

/// As it is stored.
pub(crate) fn to_text(value: &impl Serialize) -> String {
    // Nothing here has keys that are no texts, which is all that can fail.
    serde_json::to_string(value).unwrap_or_default()
}

/// A digest as hexadecimal text, the same in every place where the ledger shows one.
pub(crate) mod hex_digest {
    use serde::{Deserialize as _, Deserializer, Serializer, de};

    #[expect(clippy::ref_option, reason = "this is how serde calls it")]
    pub(crate) fn serialize<S: Serializer>(
        digest: &Option<[u8; 32]>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        match digest {
            Some(digest) => to.serialize_str(&encode(digest)),
            None => to.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<[u8; 32]>, D::Error> {
        let text = Option::<String>::deserialize(from)?;
        let digest = text.map(|text| {
            decode(&text).ok_or_else(|| de::Error::custom("a digest has 64 hexadecimal digits"))
        });
        digest.transpose()
    }

    fn encode(digest: &[u8; 32]) -> String {
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    pub(crate) fn decode(hex: &str) -> Option<[u8; 32]> {
        let mut digest = [0; 32];
        if hex.len() != 2 * digest.len() {
            return None;
        }
        for (byte, pair) in digest.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
            *byte = u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok()?;
        }
        Some(digest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fetched(times: &[u8]) -> Vec<UnverifiedResult> {
        let mut all = Vec::new();
        for content in times {
            UnverifiedResult::count(&mut all, [*content; 32], None, None);
        }
        all
    }

    #[test]
    fn the_same_bytes_are_fetched_twice_and_any_five_times() {
        for (times, may) in [
            (&[][..], true),
            (&[1], true),
            (&[1, 1], false),
            (&[1, 2], true),
            (&[1, 2, 1], false),
            (&[1, 2, 3, 4], true),
            (&[1, 2, 3, 4, 5], false),
        ] {
            assert_eq!(
                UnverifiedResult::allow_fetch(&fetched(times)),
                may,
                "{times:?}"
            );
        }
    }

    #[test]
    fn the_place_where_bytes_are_kept_outlives_a_fetch_that_kept_none() {
        let mut all = Vec::new();
        UnverifiedResult::count(&mut all, [1; 32], None, Some("a.unverified".into()));
        UnverifiedResult::count(&mut all, [1; 32], None, None);
        assert_eq!(all[0].path.as_deref(), Some("a.unverified".as_ref()));
    }

    #[test]
    fn bytes_are_counted_for_each_format_and_those_of_an_earlier_version_for_all() {
        let mut all = Vec::new();
        for _ in 0..2 {
            UnverifiedResult::count(&mut all, [1; 32], Some("markdown"), None);
        }
        UnverifiedResult::count(&mut all, [1; 32], Some("json"), None);
        let may = |all: &[UnverifiedResult], format| {
            UnverifiedResult::allow_fetch(all.iter().filter(|one| one.is_about(format)))
        };
        assert!(!may(&all, Some("markdown")) && !may(&all, None));
        assert!(may(&all, Some("json")));
        let before = r#"[{"sha256":null,"count":2}]"#;
        let before: Vec<UnverifiedResult> = serde_json::from_str(before).unwrap();
        assert!(!may(&before, Some("json")));
    }

    #[test]
    fn every_reason_comes_back_and_a_later_one_is_unspecified() {
        for reason in ParkReason::ALL {
            assert_eq!(ParkReason::parse(reason.as_str()), *reason);
            assert_eq!(to_text(reason), format!("{:?}", reason.as_str()));
        }
        assert_eq!(ParkReason::parse("of_tomorrow"), ParkReason::Unspecified);
        let read: EventData = serde_json::from_str(r#"{"parked":"of_tomorrow","x":1}"#).unwrap();
        assert_eq!(read.parked, Some(ParkReason::Unspecified));
    }

    #[test]
    fn what_is_decided_by_comes_back_as_it_was() {
        let data = EventData {
            attempt: Some(2),
            sha256: Some([0xab; 32]),
            outcome: Some(JobOutcome::Failed {
                code: 3,
                message: "tray (2): empty".to_owned(),
            }),
            ..EventData::default()
        };
        let text = data.to_text().unwrap();
        assert_eq!(serde_json::from_str::<EventData>(&text).unwrap(), data);
        assert_eq!(EventData::default().to_text(), None);
    }

    #[test]
    fn an_error_keeps_its_kind_and_two_kib_of_the_answer() {
        let error = Error::new(ErrorKind::RateLimited, "vendor", "submit")
            .with_delivery(Delivery::Answered)
            .with_code(40306)
            .with_http_status(429)
            .with_body_excerpt("文".repeat(2000));
        let record = ErrorRecord::from(&error);
        assert_eq!(record.error_kind(), Some(ErrorKind::RateLimited));
        assert_eq!(
            (record.code.as_deref(), record.http_status),
            (Some("40306"), Some(429))
        );
        assert!(
            record
                .body
                .is_some_and(|body| body.len() <= BODY && !body.is_empty())
        );
    }
    #[test]
    fn an_error_comes_back_as_it_was_kept() {
        let bare = || Error::new(ErrorKind::UnexpectedResponse, "vendor", "submit");
        let told = bare()
            .with_message("odd: (code 7)")
            .with_code(5)
            .with_http_status(502)
            .with_body_excerpt("<html>")
            .with_address("[::1]:9")
            .with_job(JobId::new("j7").unwrap());
        for error in [bare(), told, bare().with_delivery(Delivery::NotSent)] {
            let kept = serde_json::to_string(&ErrorRecord::from(&error)).unwrap();
            let record: ErrorRecord = serde_json::from_str(&kept).unwrap();
            let again = record.to_error("vendor", "submit");
            assert_eq!(format!("{again:?}"), format!("{error:?}"));
        }
    }
}
