//! The generated types against answers in the vendor's words: decode, encode, and no key is lost.
//!
//! The fixtures are raw JSON written after the vendor's documentation, never made from the types.

use jobs_core::testing::{Encode, Fixtures, encoded};
use serde::de::DeserializeOwned;
use serde_json::Value;

#[path = "../../src/generated/types.rs"]
mod types;

use types::{
    CallbackBody, CallbackNotice, CompanyCreateTaskRequest, CompanyDescribeTaskRequest,
    CompanyUploadFilesRequest, CreateTaskAnswer, CreateTaskRequest, DescribeTaskAnswer,
    DescribeTaskRequest, Envelope, UploadFilesAnswer, UploadFilesRequest,
};

const FIXTURES: Fixtures<'_> = Fixtures::of(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures"));

fn decode<T: DeserializeOwned>(name: &str) -> T {
    FIXTURES.decode(name).unwrap()
}

#[test]
fn no_fixture_loses_a_key() {
    let types: &[(&str, Encode)] = &[
        ("request_upload", encoded::<UploadFilesRequest>),
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
    ];
    assert_eq!(FIXTURES.lose_no_key(types), Ok(27));
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
        let encode = match name {
            "request_create" => encoded::<CreateTaskRequest>,
            "request_look" => encoded::<DescribeTaskRequest>,
            _ => encoded::<CompanyCreateTaskRequest>,
        };
        let before: Value = decode(name);
        let after = encode(&before.to_string()).unwrap();
        assert_eq!(after, before);
        assert!(!after.to_string().contains("null"), "{name}");
    }
}
