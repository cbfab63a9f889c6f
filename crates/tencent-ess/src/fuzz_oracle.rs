//! What holds whatever the vendor, or somebody in its place, sends: tried by the tests here and by the fuzz targets.

use jobs_core::testing::{canned_response, debug_and_display};
use jobs_core::vendor::Delivery;
use jobs_core::{JobId, Secret, Status};
use serde_json::Value;

use crate::job;

/// What stands for the credential; seeds and tests let the vendor echo it.
pub const SECRET: &str = "s3cr3t/k+y";

/// An answer to a poll: nothing but a documented success is one, and no credential is repeated.
pub fn poll(status: u16, negative_runs_on: bool, body: &[u8]) {
    let (Ok(id), Ok(secret)) = (JobId::new("j"), Secret::new(SECRET)) else {
        return;
    };
    let answer = canned_response("poll", status, &[], body, &[secret]);
    match job::seen(&id, &answer, negative_runs_on) {
        Ok(seen) => {
            assert!((200..300).contains(&status), "believed under {status}");
            assert!(!seen.vendor_status.contains(SECRET));
            let plain = serde_json::from_slice::<Value>(body).unwrap_or_default();
            let number = plain
                .get("Response")
                .and_then(|outcome| outcome.get("TaskStatus"));
            let number = number.and_then(Value::as_i64);
            match &seen.status {
                Status::Succeeded(ready) => {
                    assert!(seen.is_known && number.is_none_or(|number| number == 8));
                    assert!(!ready.resource_id.as_str().is_empty());
                }
                Status::Failed(failure) => {
                    assert!(number.is_none_or(|number| number < 0));
                    assert!(!failure.reason.contains(SECRET));
                }
                _ => assert_ne!(number, Some(8)),
            }
        }
        Err(error) => {
            let said = debug_and_display(&error);
            assert!(!said.contains(SECRET), "{said}");
            assert_ne!(error.delivery(), Delivery::NotSent);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const POLL: &[&str] = &[
        r#""TaskStatus":8"#,
        r#""TaskStatus":-6"#,
        r#""TaskStatus":-7"#,
        r#""TaskStatus":"s3cr3t/k+y""#,
        r#""TaskMessage":"s3cr3t\/k+y""#,
        r#""TaskMessage":7"#,
        r#""ResourceId":"r""#,
        r#""ResourceId":"""#,
        r#""RequestId":"s3cr3t/k+y""#,
        r#""Error":{"Code":"s3cr3t/k+y","Message":"\u0073\u0033cr3t/k+y"}"#,
        r#""Error":null"#,
        r#""Error":{}"#,
    ];

    proptest! {
        #[test]
        fn no_answer_to_a_poll_is_more_than_it_says(
            status in 100u16..600,
            fields in prop::sample::subsequence(POLL, 0..=POLL.len()),
        ) {
            let fields = fields.join(",");
            for body in [
                format!(r#"{{"Response":{{{fields}}}}}"#),
                format!(r#"{{"codeDesc":"s3cr3t/k+y","message":"s3cr3t/k+y",{fields}}}"#),
                fields,
            ] {
                for status in [200, status] {
                    poll(status, false, body.as_bytes());
                    poll(status, true, body.as_bytes());
                }
            }
        }
    }
}
