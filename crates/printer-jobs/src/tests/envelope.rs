//! Text messages.

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::code::Code;
use crate::envelope::{Incoming, decode, encode};
use crate::wire::{JobList, ListQuery, Ping, StatusFilter};
use crate::{Command, ProtocolError};

use super::{answer, push};

#[test]
fn request_has_command_id_and_body() {
    let query = ListQuery::all()
        .with_status(StatusFilter::Unprinted)
        .with_page(0, 50)
        .unwrap();
    let text = encode(&query, "7f1c").unwrap();
    let value: Value = serde_json::from_str(&text).unwrap();
    let expected = json!({
        "cmd": "printer/get_job_list", "headers": {"req_id": "7f1c"},
        "body": {"status": 0, "offset": 0, "limit": 50}
    });
    assert_eq!(value, expected);
}

#[test]
fn request_without_body_has_no_body_at_all() {
    let text = encode(&Ping, "p").unwrap();
    assert_eq!(text, r#"{"cmd":"ping","headers":{"req_id":"p"}}"#);
}

#[test]
fn unusable_request_id_is_refused() {
    assert!(encode(&Ping, "").is_err());
    assert!(encode(&Ping, &"x".repeat(128)).is_err());
    assert!(encode(&Ping, &"x".repeat(127)).is_ok());
}

#[test]
fn message_with_cmd_is_a_push_and_any_other_an_answer() {
    let it = push(r#"{"cmd":"push_bind_corp","headers":{"req_id":"17_ab"},"errcode":0}"#);
    assert_eq!(it.cmd, "push_bind_corp");
    assert_eq!(it.req_id.as_deref(), Some("17_ab"));
    let it = answer(r#"{"errmsg":"ok","errcode":0,"headers":{"req_id":"a"}}"#);
    assert_eq!(it.req_id(), Some("a"));
    assert!(it.accepted().unwrap().is_empty());
}

#[test]
fn code_is_read_from_text_too() {
    assert_eq!(
        answer(r#"{"errcode":"600040"}"#).code(),
        Some(Code::NO_SUCH_JOB)
    );
    assert_eq!(answer(r#"{"errcode":-1}"#).code(), Some(Code::SYSTEM));
}

#[test]
fn answer_without_code_is_never_taken_for_success() {
    for text in [
        r#"{"errmsg":"ok"}"#,
        r#"{"errcode":null}"#,
        r#"{"errcode":"zero"}"#,
    ] {
        let error = answer(text).accepted().unwrap_err();
        assert!(
            matches!(error, ProtocolError::Shape { field: "errcode" }),
            "{text}"
        );
    }
}

#[test]
fn refusal_keeps_the_message_and_finds_hint_and_request_id() {
    let it =
        answer(r#"{"errcode":600040,"errmsg":"no job, hint: [1700000000_3_00ff], reqid: [7f1c]"}"#);
    let Err(ProtocolError::Refused(refusal)) = it.accepted() else {
        panic!("not refused");
    };
    assert_eq!(refusal.code(), Code::NO_SUCH_JOB);
    assert_eq!(refusal.message(), it.message());
    assert_eq!(refusal.hint(), Some("1700000000_3_00ff"));
    assert_eq!(refusal.req_id(), Some("7f1c"));
    assert_eq!(
        refusal.to_string(),
        "refused with code 600040 (print job id does not exist)"
    );
}

#[test]
fn damaged_suffixes_are_no_hints() {
    for message in [
        "",
        "hint: [",
        "hint: []",
        "hint: x]",
        "reqid: [",
        "]reqid: [",
    ] {
        let it = answer(&json!({"errcode": -1, "errmsg": message}).to_string());
        let Err(ProtocolError::Refused(refusal)) = it.accepted() else {
            panic!("not refused");
        };
        assert_eq!(refusal.hint(), None, "{message:?}");
        assert_eq!(refusal.req_id(), None, "{message:?}");
    }
}

#[test]
fn bad_messages_are_typed_errors() {
    let error = |bytes: &[u8]| decode(bytes, 64).unwrap_err();
    assert!(matches!(
        error(&[0xff, 0xfe]),
        ProtocolError::NotUtf8 {
            field: "message",
            ..
        }
    ));
    assert!(matches!(error(b""), ProtocolError::Json(_)));
    assert!(matches!(error(br#"{"errcode":0"#), ProtocolError::Json(_)));
    assert!(matches!(
        error(b"[1]"),
        ProtocolError::Shape { field: "message" }
    ));
    assert!(matches!(
        error(br#"{"cmd":5}"#),
        ProtocolError::Shape { field: "cmd" }
    ));
    assert!(matches!(
        error(&[b' '; 65]),
        ProtocolError::TooLarge {
            limit: 64,
            actual: 65
        }
    ));
    assert!(matches!(
        decode("[".repeat(100_000).as_bytes(), 100_000),
        Err(ProtocolError::Json(_))
    ));
}

#[test]
fn what_is_no_json_in_a_message_costs_only_itself() {
    let it = answer(
        r#"{"headers":{"req_id":"a"},"errcode":0,"body":{"printer_job_list":[
            {"jobid":"j1","doc_name":"x\ud835y","page_size":NaN,"doc_size":7},{"jobid":"j2"}]}}"#,
    );
    let list = JobList::from_answer(&it).unwrap();
    let ids: Vec<_> = list.jobs.iter().map(|job| job.id.as_str()).collect();
    assert_eq!((it.req_id(), ids), (Some("a"), vec!["j1", "j2"]));
    let first = &list.jobs[0];
    assert_eq!(first.doc_name.as_deref(), Some("x\u{fffd}y"));
    assert_eq!((first.page_count, first.doc_size), (None, Some(7)));
    // A list that ends too early is not taken for one, nor is a page.
    for text in [
        r#"{"errcode":0,"body":{"printer_job_list":[{"jobid":"j1","page_size":NaN},"#,
        r#"<style>body{"a":NaN}</style>"#,
    ] {
        let error = decode(text.as_bytes(), 1000).unwrap_err();
        assert!(matches!(error, ProtocolError::Json(_)), "{text}");
    }
}

#[test]
fn debug_of_an_answer_shows_no_body() {
    let it = answer(r#"{"errcode":0,"body":{"secret":"hush-hush"}}"#);
    assert!(!format!("{it:?}").contains("hush"));
}

#[test]
fn error_of_a_wrongly_typed_secret_does_not_show_it() {
    let it = answer(r#"{"errcode":"hush-hush","body":{"secret":["hush-hush"]}}"#);
    let error = it.accepted().unwrap_err();
    assert!(!format!("{error:?} {error}").contains("hush"));
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode(&bytes, 100);
    }

    #[test]
    fn mutated_message_never_panics(
        at in 0_usize..400, byte in any::<u8>(), cut in 0_usize..400,
    ) {
        let mut bytes = include_bytes!("fixtures/job_list.json").to_vec();
        if let Some(place) = bytes.get_mut(at) {
            *place = byte;
        }
        bytes.truncate(bytes.len() - cut);
        if let Ok(Incoming::Answer(answer)) = decode(&bytes, 4096) {
            let _ = JobList::from_answer(&answer);
        }
    }

    #[test]
    fn answer_survives_whatever_surrounds_it(
        req_id in "[a-z0-9-]{1,36}",
        code in any::<i64>(),
        message in ".{0,40}",
        extra in "[a-z]{5,10}_x",
        as_text in any::<bool>(),
    ) {
        let errcode = if as_text { json!(code.to_string()) } else { json!(code) };
        let text = json!({
            "headers": {"req_id": req_id, extra.clone(): 1}, "errcode": errcode,
            "errmsg": message, extra: [null],
        });
        let it = answer(&text.to_string());
        prop_assert_eq!(it.req_id(), Some(req_id.as_str()));
        prop_assert_eq!(it.code(), Some(Code::new(code)));
        prop_assert_eq!(it.message(), message);
    }

    #[test]
    fn encoded_request_keeps_its_id(req_id in "\\PC{1,30}") {
        let text = encode(&Ping, &req_id).unwrap();
        let value: Value = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(&value["headers"]["req_id"], &json!(req_id));
        prop_assert_eq!(&value["cmd"], Command::Ping.name());
    }
}
