//! The generated types against answers in the vendor's words: decode, encode, and no key is lost.
//!
//! The fixtures are raw JSON written after the vendor's documentation, never made from the types.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

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

fn encoded<T: DeserializeOwned + Serialize>(name: &str) -> Value {
    serde_json::to_value(decode::<T>(name)).unwrap()
}

/// What `after` no longer says of `before`; a null says nothing, and a number may have been text.
fn lost(before: &Value, after: &Value, at: &str, into: &mut Vec<String>) {
    match (before, after) {
        (Value::Object(before), Value::Object(after)) => {
            for (key, value) in before {
                let at = format!("{at}/{key}");
                match after.get(key) {
                    Some(kept) => lost(value, kept, &at, into),
                    None if value.is_null() => {}
                    None => into.push(at),
                }
            }
        }
        (Value::String(text), Value::Number(number)) if text.parse().ok() == number.as_f64() => {}
        _ if before == after => {}
        _ => into.push(format!("{at}: {before} became {after}")),
    }
}

#[test]
fn no_fixture_loses_a_key() {
    let mut open: BTreeSet<String> = fs::read_dir(folder())
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            path.file_stem().unwrap().to_str().unwrap().to_owned()
        })
        .collect();
    assert_eq!(open.len(), 13);
    let mut losses = Vec::new();
    for (prefix, encode) in [
        ("job_", encoded::<Job> as fn(&str) -> Value),
        ("list_", encoded::<JobList>),
        ("quotas_", encoded::<QuotaAnswer>),
        ("rejection_", encoded::<Rejection>),
    ] {
        let names: Vec<String> = open
            .iter()
            .filter(|name| name.starts_with(prefix))
            .cloned()
            .collect();
        assert!(names.len() > 1, "{prefix}");
        for name in names {
            lost(&fixture(&name), &encode(&name), &name, &mut losses);
            open.remove(&name);
        }
    }
    assert_eq!(open, BTreeSet::new(), "fixtures that nothing decodes");
    assert_eq!(losses, Vec::<String>::new());
}

#[test]
fn a_lost_key_and_a_changed_value_are_noticed() {
    let mut losses = Vec::new();
    let before = json!({"a": 1, "b": {"c": "2"}, "d": null, "e": "x"});
    lost(&before, &json!({"b": {"c": 2}, "e": "y"}), "", &mut losses);
    assert_eq!(losses, ["/a", "/e: \"x\" became \"y\""]);
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
