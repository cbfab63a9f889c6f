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

use types::{
    CallbackBody, CallbackNotice, CompanyCreateTaskRequest, CompanyDescribeTaskRequest,
    CompanyUploadFilesRequest, CreateTaskAnswer, CreateTaskRequest, DescribeTaskAnswer,
    DescribeTaskRequest, Envelope, UploadFilesAnswer, UploadFilesRequest,
};

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
        (Value::Array(before), Value::Array(after)) if before.len() == after.len() => {
            for (index, (before, after)) in before.iter().zip(after).enumerate() {
                lost(before, after, &format!("{at}/{index}"), into);
            }
        }
        (Value::String(text), Value::Number(number)) if *text == number.to_string() => {}
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
    assert!(open.len() >= 20, "{}", open.len());
    let mut losses = Vec::new();
    for (prefix, encode) in [
        (
            "request_upload",
            encoded::<UploadFilesRequest> as fn(&str) -> Value,
        ),
        ("request_create", encoded::<CreateTaskRequest>),
        ("request_look", encoded::<DescribeTaskRequest>),
        ("company_upload", encoded::<CompanyUploadFilesRequest>),
        ("company_create", encoded::<CompanyCreateTaskRequest>),
        ("company_look", encoded::<CompanyDescribeTaskRequest>),
        ("upload", encoded::<UploadFilesAnswer>),
        ("create", encoded::<CreateTaskAnswer>),
        ("look", encoded::<DescribeTaskAnswer>),
        ("failure", encoded::<Envelope>),
        ("callback_encrypted", encoded::<CallbackBody>),
        ("callback_plain", encoded::<CallbackNotice>),
    ] {
        let names: Vec<String> = open
            .iter()
            .filter(|name| name.starts_with(prefix))
            .cloned()
            .collect();
        assert!(!names.is_empty(), "{prefix}");
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
    let before = json!({"a": 1, "b": {"c": [1, "2"]}, "d": null, "e": "x"});
    lost(
        &before,
        &json!({"b": {"c": [1, 2]}, "e": "y"}),
        "",
        &mut losses,
    );
    assert_eq!(losses, ["/a", "/e: \"x\" became \"y\""]);
}

#[test]
fn every_number_of_a_state_is_kept() {
    for (name, status) in [
        ("look_submitted", 0),
        ("look_converting", 4),
        ("look_done", 8),
        ("look_not_fetched", -2),
        ("look_not_convertible", -6),
        ("look_too_long", -13),
        ("look_unknown_number", 12),
        ("look_number_as_text", 4),
    ] {
        let answer: DescribeTaskAnswer = decode(name);
        assert_eq!(answer.response.task_status, Some(status), "{name}");
    }
}

#[test]
fn an_unset_field_is_not_sent() {
    for name in ["request_create", "request_look", "company_create_alone"] {
        let text = match name {
            "request_create" => encoded::<CreateTaskRequest>(name),
            "request_look" => encoded::<DescribeTaskRequest>(name),
            _ => encoded::<CompanyCreateTaskRequest>(name),
        };
        assert_eq!(text, fixture(name));
        assert!(!text.to_string().contains("null"), "{name}");
    }
}
