//! The generated types against answers in the vendor's words: decode, encode, and no key is lost.
//!
//! The fixtures are raw JSON written after the vendor notes, never made from the types.

use jobs_core::testing::{Encode, Fixtures, encoded};
use serde::de::DeserializeOwned;
use serde_json::json;

#[path = "../../src/generated/types.rs"]
mod types;

use types::{
    ElementType, Envelope, ExportStatus, JobStatus, ParseAnswer, ParseConfig, ParseResult,
    SecretText, StatusAnswer, SubmitAnswer, WebhookBody,
};

const FIXTURES: Fixtures<'_> = Fixtures::of(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures"));

fn decode<T: DeserializeOwned>(name: &str) -> T {
    FIXTURES.decode(name).unwrap()
}

#[test]
fn no_fixture_loses_a_key() {
    let types: &[(&str, Encode)] = &[
        ("submit_", encoded::<SubmitAnswer>),
        ("status_", encoded::<StatusAnswer>),
        ("result_", encoded::<ParseResult>),
        ("sync_", encoded::<ParseAnswer>),
        ("webhook_", encoded::<WebhookBody>),
        ("config_", encoded::<ParseConfig>),
    ];
    assert_eq!(FIXTURES.lose_no_key(types), Ok(21));
}

#[test]
fn a_submit_names_its_job_or_says_why_not() {
    let accepted: SubmitAnswer = decode("submit_accepted");
    assert_eq!(accepted.code, 200);
    assert_eq!(
        accepted.data.unwrap().job_id.as_deref(),
        Some("9f1c2ab07d5e4c3388a1d2e3f4a5b6c7")
    );
    let rejected: SubmitAnswer = decode("submit_rejected");
    let data = rejected.data.unwrap();
    assert_eq!((rejected.code, data.job_id), (40004, None));
    assert_eq!(data.message.as_deref(), Some("File not uploaded"));
    let bare: SubmitAnswer = decode("submit_rejected_without_data");
    assert_eq!(
        (bare.code, bare.msg.as_deref()),
        (40101, Some("app id empty"))
    );
    assert!(bare.data.is_none());
}

#[test]
fn every_state_is_known_and_an_unknown_one_keeps_its_word() {
    for (name, status) in [
        ("status_pending", JobStatus::Pending),
        ("status_in_progress", JobStatus::InProgress),
        ("status_completed", JobStatus::Completed),
        ("status_failed", JobStatus::Failed),
        (
            "status_unknown_word",
            JobStatus::Other("notifying".to_owned()),
        ),
    ] {
        let answer: StatusAnswer = decode(name);
        assert_eq!(answer.code, 200, "{name}");
        let data = answer.data.unwrap();
        assert_eq!(data.status, status, "{name}");
        assert_eq!(
            data.result_url.is_some(),
            status == JobStatus::Completed,
            "{name}"
        );
        assert_eq!(
            data.message.is_some(),
            status == JobStatus::Failed,
            "{name}"
        );
    }
    let answer: StatusAnswer = decode("status_failed_other_spelling");
    assert_eq!(
        answer.data.unwrap().error_message.as_deref(),
        Some("page 3 cannot be read")
    );
}

#[test]
fn the_envelope_is_read_whatever_the_data_is() {
    for data in [
        json!({"message": "no"}),
        json!(null),
        json!([]),
        json!("text"),
        json!(7),
    ] {
        let envelope: Envelope =
            serde_json::from_value(json!({"code": "40004", "message": "m", "data": data.clone()}))
                .unwrap();
        assert_eq!(envelope.code, 40004, "{data}");
    }
    assert!(serde_json::from_value::<Envelope>(json!({"message": "m"})).is_err());
    let failed: ParseAnswer = decode("sync_failed");
    let location = failed.location.unwrap();
    assert_eq!((location.page_number, location.element_id), (Some(3), None));
}

#[test]
fn table_cells_follow_the_schema_version() {
    let cells = |name: &str| -> Vec<types::TableCell> {
        let result: ParseResult = decode(name);
        let structures = result
            .elements
            .into_iter()
            .filter_map(|element| element.table_structure);
        structures.flat_map(|table| table.cells.unwrap()).collect()
    };
    let old = cells("result_1_3_0");
    assert_eq!(old.len(), 2);
    assert!(old[0].image_data.is_none() && old[1].image_data.is_some());
    assert!(old.iter().all(|cell| cell.image_datas.is_none()));
    let new = cells("result_1_3_1");
    let counts: Vec<_> = new
        .iter()
        .map(|cell| cell.image_datas.as_ref().unwrap().len())
        .collect();
    assert_eq!(counts, [0, 2]);
    let merged = cells("result_1_4_0");
    assert_eq!(merged[0].text.as_deref(), Some(" a b "));
    assert_eq!(
        merged[0].text_source_ranges.as_ref().unwrap()[0].end,
        Some(3)
    );
}

#[test]
fn every_kind_of_element_has_its_own_variant() {
    let result: ParseResult = decode("result_gui");
    let kinds: Vec<_> = result
        .elements
        .into_iter()
        .map(|element| element.type_.unwrap())
        .collect();
    let expected = [
        ElementType::GuiButton,
        ElementType::GuiTitle,
        ElementType::GuiImage,
        ElementType::GuiText,
        ElementType::GuiStatusBar,
    ];
    assert_eq!(kinds, expected);
    let result: ParseResult = decode("result_1_3_0");
    assert_eq!(result.elements[0].type_, Some(ElementType::Title));
    assert_eq!(result.success_count, Some(2));
    let result: ParseResult = decode("result_unknown_keys");
    assert_eq!(
        result.elements[0].type_,
        Some(ElementType::Other("Hologram".to_owned()))
    );
}

#[test]
fn an_export_tells_its_own_outcome() {
    let result: ParseResult = decode("result_1_4_0");
    let exports = result.exports.unwrap();
    assert_eq!(exports[0].status, Some(ExportStatus::Success));
    assert_eq!(exports[0].file.as_ref().unwrap().size, Some(12345));
    assert_eq!(exports[1].status, Some(ExportStatus::Fail));
    assert!(exports[1].file.is_none());
}

#[test]
fn a_result_needs_elements_only() {
    let result: ParseResult = decode("result_elements_only");
    assert_eq!(result, ParseResult::new(Vec::new()));
    assert!(serde_json::from_value::<ParseResult>(json!({"markdown": "x"})).is_err());
    let result: ParseResult = decode("result_numbers_as_text");
    assert_eq!(result.elements[0].page_number, Some(3));
    assert_eq!(
        result.elements[0].metadata.as_ref().unwrap().height,
        Some(480)
    );
}

#[test]
fn an_unset_option_is_not_sent_and_the_password_not_printed() {
    assert_eq!(
        serde_json::to_string(&ParseConfig::default()).unwrap(),
        "{}"
    );
    let capabilities = types::Capabilities::default();
    assert!(capabilities.include_hierarchy_or_default());
    assert!(!capabilities.include_pages_or_default());
    let config: ParseConfig = decode("config_full");
    let password = config
        .document
        .as_ref()
        .and_then(|document| document.password.as_ref());
    assert_eq!(password.map(SecretText::expose), Some("pa55"));
    assert!(!format!("{config:?}").contains("pa55"));
    let params = config.config.unwrap().engine_params.unwrap();
    assert_eq!(params.extra["further"], "x");
}

#[test]
fn a_call_back_is_read_without_an_envelope() {
    let body: WebhookBody = decode("webhook_completed");
    assert_eq!(body.status, Some(JobStatus::Completed));
    let body: WebhookBody = decode("webhook_failed");
    assert_eq!(body.message.as_deref(), Some("page 3 cannot be read"));
    assert!(serde_json::from_value::<WebhookBody>(json!({"status": "completed"})).is_err());
}
