//! The generated types against answers in the vendor's words: decode, encode, and no key is lost.
//!
//! The fixtures are raw JSON written after the vendor's documentation, never made from the types.

use std::fs;
use std::path::{Path, PathBuf};

use jobs_core::testing::{Encode, encoded, no_key_is_lost};
use serde::de::DeserializeOwned;
use serde_json::Value;

#[path = "../../src/generated/types.rs"]
mod types;

use types::{Job, JobList, JobState, QuotaAnswer, Rejection};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

fn fixture(name: &str) -> Value {
    let text = fs::read_to_string(folder().join(format!("{name}.json"))).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn decode<T: DeserializeOwned>(name: &str) -> T {
    serde_json::from_value(fixture(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

#[test]
fn no_fixture_loses_a_key() {
    let types: &[(&str, Encode)] = &[
        ("job_", encoded::<Job>),
        ("list_", encoded::<JobList>),
        ("quotas_", encoded::<QuotaAnswer>),
        ("rejection_", encoded::<Rejection>),
    ];
    assert_eq!(no_key_is_lost(&folder(), types), Ok(13));
}

#[test]
fn the_values_are_where_they_belong() {
    let job: Job = decode("job_halted");
    assert_eq!(job.state, Some(JobState::Halted));
    assert_eq!(job.last_error.as_deref(), Some("cannot open the file"));
    let job: Job = decode("job_unknown_state_and_keys");
    assert_eq!(job.state, Some(JobState::Other("polishing".to_owned())));
    assert_eq!(
        (job.source_filesize, job.total_pages),
        (Some(1_048_576), Some(12))
    );
    assert_eq!(job.extra["priority"], 3);
    let job: Job = decode("job_signed_status");
    assert_eq!((job.token, job.state), (None, Some(JobState::Completed)));
    let quotas: QuotaAnswer = decode("quotas_unlimited");
    assert_eq!(quotas.summary.permanents_left, None);
    let rejection: Rejection = decode("rejection_signed_download");
    assert_eq!(rejection.kind.as_deref(), Some("NotAcceptableError"));
}
