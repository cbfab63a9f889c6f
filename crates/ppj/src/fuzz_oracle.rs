//! What holds whatever the vendor, or somebody in its place, sends: tried by the tests here and by the fuzz targets.

use std::fs::{self, File};
use std::path::Path;
use std::time::Duration;

use jobs_core::http::Inspection;
use jobs_core::testing::{canned_response, debug_and_display};
use jobs_core::vendor::{Delivery, Redactor};
use jobs_core::{ErrorKind, JobId, Secret, Status};
use serde_json::Value;

use crate::bundle::{Bundle, Limits, unpack, verify};
use crate::generated::types::JobList;
use crate::{envelope, job};

/// What stands for the credential; seeds and tests let the vendor echo it.
pub const SECRET: &str = "s3cr3t/k+y";

/// An answer to a poll: nothing but a documented success is one, and no credential is repeated.
pub fn poll(status: u16, is_signed: bool, body: &[u8]) {
    let (Ok(id), Ok(secret)) = (JobId::new("j"), Secret::new(SECRET)) else {
        return;
    };
    let mut redactor = Redactor::default();
    redactor.add_secret(&secret);
    let answer = canned_response("poll", status, &[], body, &[secret]);
    match job::seen(&id, &answer, is_signed, Some(Duration::from_secs(60))) {
        Ok(seen) => {
            assert!((200..300).contains(&status), "believed under {status}");
            assert!(!seen.vendor_status.contains(SECRET));
            assert!(seen.is_known || matches!(seen.status, Status::Running));
            match &seen.status {
                Status::Succeeded(_) => {
                    assert!(matches!(&*seen.vendor_status, "notifying" | "completed"));
                }
                Status::Failed(failure) => assert!(!failure.reason.contains(SECRET)),
                _ => {}
            }
            if let Ok(plain) = serde_json::from_slice::<Value>(body) {
                let state = plain.get("state").and_then(Value::as_str);
                // In other spellings the credential is hidden, too.
                let state = state.map(|state| redactor.redact(state.trim()));
                assert_eq!(Some(&*seen.vendor_status), state.as_deref());
            }
        }
        Err(error) => {
            let said = debug_and_display(&error);
            assert!(!said.contains(SECRET), "{said}");
            assert_ne!(error.delivery(), Delivery::NotSent);
        }
    }
}

/// An answer to a list: no credential is repeated.
pub fn listing(status: u16, body: &[u8]) {
    let Ok(secret) = Secret::new(SECRET) else {
        return;
    };
    let answer = canned_response("list", status, &[], body, &[secret]);
    match envelope::open::<JobList>("list", &answer) {
        Ok(list) => assert!(list.tokens.len() <= body.len()),
        Err(error) => {
            let said = debug_and_display(&error);
            assert!(!said.contains(SECRET), "{said}");
        }
    }
}

/// A bundle: what is unpacked lies in its folder and within its limits, or nothing is there; the check agrees with it; and
/// a bundle is never taken for trouble with the disk.
///
/// # Errors
/// Trouble with the disk of this test.
pub fn bundle(bytes: &[u8]) -> std::io::Result<()> {
    const MOST: u64 = 1 << 20;
    let place = tempfile::tempdir()?;
    let zip = place.path().join("b.zip");
    fs::write(&zip, bytes)?;
    let checked = verify(&mut File::open(&zip)?, &mut Inspection::unbounded());
    let limits = Limits::default().with_entries(64).with_size(MOST);
    let into = place.path().join("out");
    match unpack(&zip, &into, &limits) {
        Ok(bundle) => {
            let mut found = Bundle { files: 0, size: 0 };
            count(&into, &mut found)?;
            assert_eq!(found, bundle);
            assert!(bundle.size <= MOST);
            // One that holds folders alone can be unpacked, and is no result.
            assert!(
                matches!(&checked, Ok(seen) if *seen == bundle) || bundle.files == 0,
                "{checked:?}"
            );
        }
        Err(error) => {
            let is_known = matches!(
                error.kind(),
                ErrorKind::UnexpectedResponse | ErrorKind::TooLarge
            );
            assert!(is_known, "{error}");
            assert!(fs::symlink_metadata(&into).is_err());
        }
    }
    let left = fs::read_dir(place.path())?.count();
    assert_eq!(
        left,
        1 + usize::from(into.exists()),
        "something is left behind"
    );
    Ok(())
}

fn count(folder: &Path, found: &mut Bundle) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            count(&entry.path(), found)?;
        } else {
            assert!(kind.is_file(), "{:?} is no file", entry.path());
            found.files += 1;
            found.size += entry.metadata()?.len();
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use proptest::prelude::*;
    use zip::ZipWriter;
    use zip::write::SimpleFileOptions;

    use super::*;

    const POLL: &[&str] = &[
        r#""token":"j""#,
        r#""token":"s3cr3t/k+y""#,
        r#""state":"completed""#,
        r#""state":"halted""#,
        r#""state":"s3cr3t\/k+y""#,
        r#""state":"notNs3cr3t/9.00s3cr3t%2fk%2by0Z""#,
        r#""state":7"#,
        r#""last_error":"s3cr3t/k+y""#,
        r#""type":"s3cr3t/k+y""#,
        r#""message":"\u0073\u0033cr3t/k+y""#,
        r#""errors":["s3cr3t/k+y"]"#,
        r#""total_pages":"-1""#,
        r#""total_pages":"s3cr3t/k+y""#,
        r#""created_at":"2017-07-29T18:20:39.000Z""#,
        r#""tokens":["j","s3cr3t/k+y"]"#,
        r#""count":9223372036854775807"#,
    ];

    fn zipped(names: &[String]) -> Vec<u8> {
        let mut zip = ZipWriter::new(std::io::Cursor::new(Vec::new()));
        for name in names {
            let started = zip.start_file(name.as_str(), SimpleFileOptions::default());
            if started.is_ok() {
                zip.write_all(name.as_bytes()).unwrap();
            }
        }
        zip.finish().unwrap().into_inner()
    }

    proptest! {
        #[test]
        fn no_answer_to_a_poll_is_more_than_it_says(
            status in 100u16..600,
            fields in prop::sample::subsequence(POLL, 0..=POLL.len()),
        ) {
            let body = format!("{{{}}}", fields.join(","));
            for status in [200, status] {
                poll(status, false, body.as_bytes());
                poll(status, true, body.as_bytes());
                listing(status, body.as_bytes());
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn a_bundle_is_unpacked_in_its_folder_or_not_at_all(
            names in prop::collection::vec("(\\.\\./|/|a|b/|c\\\\|:|\u{7f}|d.html){1,4}", 0..5),
            at in 0usize..2000,
            byte: u8,
        ) {
            let mut bytes = zipped(&names);
            bundle(&bytes).unwrap();
            if let Some(changed) = bytes.get_mut(at) {
                *changed = byte;
                bundle(&bytes).unwrap();
            }
        }
    }
}
