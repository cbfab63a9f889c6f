//! What holds whatever the vendor, or somebody in its place, sends: tried by the tests here and by the fuzz targets.

use std::io::Cursor;

use jobs_core::testing::{canned_response, debug_and_display};
use jobs_core::vendor::Delivery;
use jobs_core::{JobId, Secret, Snapshot, Status};
use serde::de::IgnoredAny;
use serde_json::Value;

use crate::job::{self, Location};
use crate::result::{decode, walk};

/// What stands for the credential; seeds and tests let the vendor echo it.
pub const SECRET: &str = "s3cr3t/k+y";

/// An answer to a poll: nothing but a documented success is one, and no credential is repeated.
pub fn poll(status: u16, body: &[u8]) {
    let (Ok(id), Ok(secret)) = (JobId::new("j"), Secret::new(SECRET)) else {
        return;
    };
    let answer = canned_response("poll", status, &[], body, &[secret]);
    match job::seen(&id, &answer) {
        Ok(seen) => {
            assert!((200..300).contains(&status), "believed under {status}");
            if let Ok(plain) = serde_json::from_slice::<Value>(body) {
                check(&seen, &plain, |text| answer.redact(text));
            }
        }
        Err(error) => {
            let said = debug_and_display(&error);
            assert!(!said.contains(SECRET), "{said}");
            assert_ne!(error.delivery(), Delivery::NotSent);
        }
    }
}

fn check(seen: &Snapshot<Location>, plain: &Value, clean: impl Fn(&str) -> String) {
    let data = plain.get("data").unwrap_or(&Value::Null);
    let text = |key: &str| match data.get(key) {
        Some(Value::String(text)) => text.trim().to_owned(),
        Some(Value::Number(number)) => number.to_string(),
        _ => String::new(),
    };
    // What is not a credential, in any spelling, is kept as it came.
    assert_eq!(&*seen.vendor_status, clean(&text("status")));
    assert!(!seen.vendor_status.contains(SECRET));
    match &seen.status {
        Status::Succeeded(ready) => {
            assert!(matches!(
                &*seen.vendor_status,
                "completed" | "partial_completed"
            ));
            assert!(!ready.result_url.is_empty());
            assert_eq!(&*ready.result_url, text("result_url"));
        }
        Status::Failed(failure) => {
            assert!(matches!(
                &*seen.vendor_status,
                "failed" | "partial_completed"
            ));
            assert!(!failure.reason.contains(SECRET));
        }
        _ => {}
    }
    assert!(seen.is_known || matches!(seen.status, Status::Running));
}

/// A result: both ways of reading it agree, and neither takes a part for the whole.
pub fn result(bytes: &[u8]) {
    let mut markdown = Vec::new();
    let walked = walk(Cursor::new(bytes), None, &mut markdown);
    let decoded = decode(bytes);
    if let Ok((_, oddities)) = &walked {
        assert!(String::from_utf8(markdown.clone()).is_ok());
        // What is well-formed to a strict reader is not called odd.
        let strict = serde_json::from_slice::<Value>(bytes);
        assert!(oddities.is_empty() || strict.is_err(), "{oddities}");
    }
    if let Ok((outline, oddities)) = walked
        && oddities.is_empty()
    {
        let whole = serde_json::from_slice::<IgnoredAny>(bytes);
        // Of a number longer than any that counts, only the characters are looked at.
        assert!(
            whole.is_ok() || longest_number(bytes) > 64,
            "walked over what is no JSON: {whole:?}"
        );
        let text = String::from_utf8(markdown);
        assert!(text.is_ok(), "the Markdown text is no UTF-8");
        assert!(outline.has_markdown || text.as_deref() == Ok(""));
        let cut = bytes.trim_ascii_end().len().saturating_sub(1);
        let cut = bytes.get(..cut).unwrap_or_default();
        assert!(walk(Cursor::new(cut), None, &mut Vec::new()).is_err());
        if let Ok((result, _)) = &decoded
            && !is_double(bytes)
        {
            assert_eq!(outline.elements, result.elements.len() as u64);
            assert_eq!(
                text.as_deref(),
                Ok(result.markdown.as_deref().unwrap_or_default())
            );
        }
    }
    if let Ok((result, raw)) = decoded {
        assert!(bytes.len() >= raw.get().len());
        // What was read can be written, and says the same when it is read again.
        let again = serde_json::to_vec(&result).map(|text| decode(&text).map(|(again, _)| again));
        // The last place of a number with more digits than a float holds may change.
        let is_exact = longest_number(bytes) < 16;
        assert!(matches!(again, Ok(Ok(again)) if again == result || !is_exact));
    }
}

fn longest_number(bytes: &[u8]) -> usize {
    let numbers = bytes.split(|byte| !byte.is_ascii_digit() && !b".-+eE".contains(byte));
    numbers.map(<[u8]>::len).max().unwrap_or_default()
}

/// Whether there is a result on both levels, or a key that stands twice, so that the readers may mean different ones.
fn is_double(bytes: &[u8]) -> bool {
    let Ok(Value::Object(plain)) = serde_json::from_slice(bytes) else {
        return true;
    };
    let keys = ["elements", "markdown", "data"];
    let stands = |key: &str| {
        let name = format!("\"{key}\"");
        bytes
            .windows(name.len())
            .filter(|part| *part == name.as_bytes())
            .count()
    };
    let has_both = plain.contains_key("elements") && plain.contains_key("data");
    has_both || bytes.contains(&b'\\') || keys.iter().any(|key| stands(key) > 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Some of these, in this order.
    fn some(parts: &'static [&'static str]) -> impl Strategy<Value = String> {
        prop::sample::subsequence(parts, 0..=parts.len()).prop_map(|parts| parts.join(","))
    }

    const POLL: &[&str] = &[
        r#""job_id":"j""#,
        r#""job_id":"k""#,
        r#""status":"completed""#,
        r#""status":"partial_completed""#,
        r#""status":"failed""#,
        r#""status":"s3cr3t/k+y""#,
        r#""status":"a s3cr3t%2fk%2by""#,
        r#""status":7"#,
        r#""message":"s3cr3t/k+y""#,
        r#""error_message":"\u0073\u0033cr3t\/k+y""#,
        r#""result_url":"""#,
        r#""result_url":"https://h/x""#,
        r#""file_id":"s3cr3t\/k+y""#,
        r#""further":1e400"#,
    ];
    const RESULT: &[&str] = &[
        r#""elements":[]"#,
        r#""elements":[{"type":"Title"},{"page_number":"3"}]"#,
        r#""elements":[7]"#,
        r#""elements":{}"#,
        r#""markdown":"a\n\ud83d\ude00""#,
        r#""markdown":"\ud83d""#,
        r#""markdown":null"#,
        r#""success_count":"2""#,
        r#""success_count":1e400"#,
        r#""code":200"#,
        r#""data":{"elements":[{}],"markdown":"b"}"#,
        r#""data":null"#,
    ];

    proptest! {
        #[test]
        fn no_answer_to_a_poll_is_more_than_it_says(status in 100u16..600, data in some(POLL)) {
            for body in [format!(r#"{{"code":200,"data":{{{data}}}}}"#), format!("{{{data}}}")] {
                poll(200, body.as_bytes());
                poll(status, body.as_bytes());
            }
        }

        #[test]
        fn both_readers_of_a_result_agree(fields in some(RESULT), cut in 0usize..100) {
            for text in [format!("{{{fields}}}"), format!(r#"{{"code":200,"data":{{{fields}}}}}"#)] {
                result(text.as_bytes());
                result(text.get(..cut).unwrap_or_default().as_bytes());
            }
        }

        #[test]
        fn changed_bytes_of_an_answer_do_no_harm(at in 0usize..80, byte: u8) {
            let mut body = br#"{"code":200,"data":{"job_id":"j","status":"completed","result_url":"https://h/s3cr3t/k+y"}}"#.to_vec();
            body[at] = byte;
            poll(200, &body);
        }
    }

    #[test]
    fn a_state_that_is_no_word_is_not_guessed() {
        for body in [
            r#"{"code":200,"data":{"job_id":"j","status":7}}"#,
            r#"{"job_id":"j","status":7}"#,
        ] {
            poll(200, body.as_bytes());
            poll(100, body.as_bytes());
        }
    }

    #[test]
    fn a_credential_that_is_echoed_where_a_number_belongs_is_not_repeated() {
        poll(200, br#"{"code":"s3cr3t/k+y"}"#);
        poll(200, br#"{"code":200,"data":{"job_id":"j","status":"failed","message":"bad key s3cr3t/k+y"}}"#);
        poll(
            400,
            br#"{"code":40101,"x_request_id":"s3cr3t\/k+y","message":"s3cr3t\u002fk+y"}"#,
        );
    }

    #[test]
    fn every_result_of_the_fixtures_is_read_alike() {
        result(br#"{"code":200,"data":{"elements":[{"type":"Title"}],"markdown":"a"}}"#);
        result(br#"{"elements":[],"markdown":"","success_count":"3"}"#);
    }
}
