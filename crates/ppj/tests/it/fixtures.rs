//! The generated types against answers in the vendor's words: decode, encode, and no key is lost.
//!
//! The fixtures are raw JSON written after the vendor's documentation, never made from the types.

use jobs_core::testing::{Encode, Fixtures, encoded};
use serde::de::DeserializeOwned;

#[path = "../../src/generated/types.rs"]
mod types;

use types::{Job, JobList, JobState, QuotaAnswer, Rejection};

const FIXTURES: Fixtures<'_> = Fixtures::of(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures"));

fn decode<T: DeserializeOwned>(name: &str) -> T {
    FIXTURES.decode(name).unwrap()
}

#[test]
fn no_fixture_loses_a_key() {
    let types: &[(&str, Encode)] = &[
        ("job_", encoded::<Job>),
        ("list_", encoded::<JobList>),
        ("quotas_", encoded::<QuotaAnswer>),
        ("rejection_", encoded::<Rejection>),
    ];
    assert_eq!(FIXTURES.lose_no_key(types), Ok(13));
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
