//! What holds whatever the cloud, or somebody in its place, sends: tried by the tests here and by the fuzz targets.

use jobs_core::Secret;
use jobs_core::testing::{canned_response, debug_and_display};

use super::envelope;
use super::list::{Page, Pages};

/// What stands for the credential; seeds and tests let the cloud echo it.
pub const SECRET: &str = "s3cr3t/k+y";

/// An answer to a list: read as often as the cloud gives it, it ends, no job is there twice, and no credential is repeated.
pub fn listing(status: u16, body: &[u8]) {
    let Ok(secret) = Secret::new(SECRET) else {
        return;
    };
    let answer = canned_response("list", status, &[], body, std::slice::from_ref(&secret));
    let read = || {
        let body = envelope::open(&answer, std::slice::from_ref(&secret))?;
        Page::read(&answer, &body)
    };
    let mut pages = Pages::default();
    for _ in 0..3 {
        match read() {
            Ok(page) => {
                assert!((200..300).contains(&status), "believed under {status}");
                if !matches!(pages.take(page), Ok(Some(_))) {
                    break;
                }
            }
            Err(error) => {
                let said = debug_and_display(&error);
                assert!(!said.contains(SECRET), "{said}");
                return;
            }
        }
    }
    let jobs = pages.into_jobs();
    let mut ids: Vec<&str> = jobs.iter().map(|job| job.id.as_str()).collect();
    ids.sort_unstable();
    assert!(ids.windows(2).all(|two| two.first() != two.last()));
    for job in &jobs {
        let _ = job.job_id();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::listing;

    const FIELDS: &[&str] = &[
        r#""errcode":0"#,
        r#""errcode":"s3cr3t/k+y""#,
        r#""errcode":40014"#,
        r#""errmsg":"s3cr3t\/k+y, hint: [s3cr3t/k+y]""#,
        r#""printer_job_list":[{"jobid":"j"},{"jobid":"j"},{"jobid":7},null]"#,
        r#""printer_job_list":{}"#,
        r#""next_cursor":"c""#,
        r#""next_cursor":7"#,
        r#""next_cursor":[]"#,
        r#""next_cursor":"""#,
    ];

    proptest! {
        #[test]
        fn a_list_ends_and_repeats_neither_a_job_nor_a_credential(
            status in 100u16..600,
            fields in prop::sample::subsequence(FIELDS, 0..=FIELDS.len()),
        ) {
            let body = format!("{{{}}}", fields.join(","));
            listing(200, body.as_bytes());
            listing(status, body.as_bytes());
        }
    }
}
