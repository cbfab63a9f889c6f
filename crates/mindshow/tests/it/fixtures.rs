//! The types against answers in the vendor's words: decode, encode, and no key is lost.
//!
//! The fixtures are raw JSON written after the vendor notes, never made from the types.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

#[path = "../../src/generated/types.rs"]
mod types;

use types::{
    AccountAnswer, AdvanceTemplateAnswer, AdvanceTemplateListAnswer, ContentAnswer, GptDeck,
    JobAnswer, JobListAnswer, JsonDeck, JumpLinkAnswer, MarkdownDeck, OutlineAnswer,
    OutlineRequest, PdfAnswer, PptDeck, QualityAnswer, ScoreLogAnswer, TagConfigAnswer,
    TemplateAnswer, TemplateListAnswer, UploadAnswer,
};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

fn fixture(name: &str) -> Value {
    let text = fs::read_to_string(folder().join(format!("{name}.json"))).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn encoded<T: DeserializeOwned + Serialize>(name: &str) -> Value {
    let decoded: T =
        serde_json::from_value(fixture(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    serde_json::to_value(decoded).unwrap()
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
    let mut losses = Vec::new();
    for (prefix, encode) in [
        ("account_", encoded::<AccountAnswer> as fn(&str) -> Value),
        ("score_log", encoded::<ScoreLogAnswer>),
        ("template_list", encoded::<TemplateListAnswer>),
        ("template_get", encoded::<TemplateAnswer>),
        ("template_tag_cfg", encoded::<TagConfigAnswer>),
        (
            "advance_template_list",
            encoded::<AdvanceTemplateListAnswer>,
        ),
        ("advance_template_get", encoded::<AdvanceTemplateAnswer>),
        ("upload", encoded::<UploadAnswer>),
        ("outline_event", encoded::<OutlineAnswer>),
        ("content_event", encoded::<ContentAnswer>),
        ("job_list", encoded::<JobListAnswer>),
        ("job_", encoded::<JobAnswer>),
        ("quality", encoded::<QualityAnswer>),
        ("jump_link", encoded::<JumpLinkAnswer>),
        ("pdf_", encoded::<PdfAnswer>),
        ("request_json", encoded::<JsonDeck>),
        ("request_markdown", encoded::<MarkdownDeck>),
        ("request_gpt", encoded::<GptDeck>),
        ("request_ppt", encoded::<PptDeck>),
        ("request_outline", encoded::<OutlineRequest>),
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
