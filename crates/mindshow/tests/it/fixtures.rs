//! The types against answers in the vendor's words: decode, encode, and no key is lost.
//!
//! The fixtures are raw JSON written after the vendor notes, never made from the types.

use jobs_core::testing::{Encode, Fixtures, encoded};

#[path = "../../src/generated/types.rs"]
mod types;

use types::{
    AccountAnswer, AdvanceTemplateAnswer, AdvanceTemplateListAnswer, ContentAnswer, GptDeck,
    JobAnswer, JobListAnswer, JsonDeck, JumpLinkAnswer, MarkdownDeck, OutlineAnswer,
    OutlineRequest, PdfAnswer, PptDeck, QualityAnswer, ScoreLogAnswer, TagConfigAnswer,
    TemplateAnswer, TemplateListAnswer, UploadAnswer,
};

#[test]
fn no_fixture_loses_a_key() {
    let types: &[(&str, Encode)] = &[
        ("account_", encoded::<AccountAnswer>),
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
    ];
    let fixtures = Fixtures::of(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures"));
    assert_eq!(fixtures.lose_no_key(types), Ok(29));
}
