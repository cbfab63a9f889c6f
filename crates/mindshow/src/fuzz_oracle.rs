//! What holds whatever the vendor, or somebody in its place, sends: tried by the tests here and by the fuzz targets.

use std::fs::File;
use std::io;

use bytes::Bytes;
use jobs_core::http::Inspection;
use jobs_core::testing::{canned_response, debug_and_display};
use jobs_core::vendor::Delivery;
use jobs_core::{Error, JobId, Secret, Status};
use serde_json::Value;

use crate::code::Codes;
use crate::page::{Listing, Page};
use crate::result::{inspect_pdf, inspect_pptx};
use crate::sse::Events;
use crate::{envelope, job, pdf};

/// What stands for the credential; seeds and tests let the vendor echo it.
pub const SECRET: &str = "s3cr3t/k+y";

/// An answer to a poll: nothing but a documented success is one, and no credential is repeated.
pub fn poll(status: u16, body: &[u8]) {
    let (Ok(id), Ok(secret)) = (JobId::new("j"), Secret::new(SECRET)) else {
        return;
    };
    let answer = canned_response("job_get", status, &[], body, &[secret]);
    let codes = Codes::default();
    let decks = job::seen(&id, &answer, &codes).map(|seen| seen.map(|_| ()));
    let pdfs = pdf::seen(&id, &answer, &codes).map(|seen| seen.map(|_| ()));
    for seen in [decks, pdfs] {
        match seen {
            Ok(seen) => {
                assert!((200..300).contains(&status), "believed under {status}");
                assert!(!seen.vendor_status.contains(SECRET));
                assert!(seen.is_known || matches!(seen.status, Status::Running));
                match &seen.status {
                    Status::Succeeded(()) => assert_eq!(&*seen.vendor_status, "succeeded"),
                    Status::Failed(failure) => assert!(!failure.reason.contains(SECRET)),
                    _ => {}
                }
            }
            Err(error) => check_error(&error, body),
        }
    }
}

/// An answer to a list: no credential is repeated.
pub fn listing(status: u16, body: &[u8]) {
    let Ok(secret) = Secret::new(SECRET) else {
        return;
    };
    let answer = canned_response("job_list", status, &[], body, &[secret]);
    match envelope::open::<Listing<Value>>(&answer, &Codes::default()).map(Page::from) {
        Ok(page) => {
            assert!(page.items.len() <= body.len());
            assert!(page.after.is_none_or(|after| !after.is_empty()));
        }
        Err(error) => check_error(&error, body),
    }
}

fn check_error(error: &Error, body: &[u8]) {
    let said = debug_and_display(error);
    assert!(!said.contains(SECRET), "{said}");
    assert_ne!(error.delivery(), Delivery::NotSent);
    // A refusal that brings data may have come in the middle of the work.
    let data = serde_json::from_slice::<Value>(body).ok();
    let data = data.as_ref().and_then(|body| body.get("data"));
    if data
        .and_then(Value::as_object)
        .is_some_and(|data| !data.is_empty())
        && error.code().is_some()
    {
        assert_eq!(error.delivery(), Delivery::MaybeSent);
    }
}

/// A stream of events, cut after `cut` bytes and then every `step`: the same events as from one piece.
pub fn events(bytes: &[u8], cut: usize, step: usize) {
    let whole = split([bytes]);
    let (head, tail) = bytes.split_at(cut.min(bytes.len()));
    let pieces = [head].into_iter().chain(tail.chunks(step.max(1)));
    assert_eq!(split(pieces), whole);
    let content: usize = whole.iter().map(Bytes::len).sum();
    assert!(content <= bytes.len());
}

fn split<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<Bytes> {
    let (mut events, mut all) = (Events::default(), Vec::new());
    for piece in pieces {
        events.feed(piece);
        all.extend(std::iter::from_fn(|| events.pop()));
    }
    events.finish();
    all.extend(std::iter::from_fn(|| events.pop()));
    all
}

/// Finished files: a cut of one that passes does not pass. `on_disk` makes a file of bytes.
///
/// # Errors
/// Those of `on_disk`.
pub fn finished(bytes: &[u8], on_disk: impl Fn(&[u8]) -> io::Result<File>) -> io::Result<()> {
    if let Ok(outline) = inspect_pptx(&mut on_disk(bytes)?, &mut Inspection::unbounded()) {
        // Each has a name of its own in the directory, which takes 46 bytes beside it.
        assert!(outline.slides <= bytes.len() / 46);
    }
    if inspect_pdf(&mut on_disk(bytes)?, &mut Inspection::unbounded()).is_ok() {
        let has = |part: &[u8], mark: &[u8]| part.windows(5).any(|window| window == mark);
        assert!(has(bytes.get(..1024).unwrap_or(bytes), b"%PDF-"));
        let end = bytes.windows(5).rposition(|part| part == b"%%EOF");
        let cut = bytes.get(..end.unwrap_or_default()).unwrap_or_default();
        let blanks = cut
            .iter()
            .rposition(|byte| *byte != 0 && !byte.is_ascii_whitespace());
        let text = cut
            .get(..blanks.map_or(0, |last| last + 1))
            .unwrap_or_default();
        let tail = text.len().saturating_sub(1024);
        let has_another = has(text.get(tail..).unwrap_or_default(), b"%%EOF")
            && has(cut.get(..1024).unwrap_or(cut), b"%PDF-");
        assert_eq!(
            inspect_pdf(&mut on_disk(cut)?, &mut Inspection::unbounded()).is_ok(),
            has_another
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::{Seek, Write};

    use proptest::prelude::*;

    use super::*;

    const POLL: &[&str] = &[
        r#""id":"j""#,
        r#""id":"s3cr3t/k+y""#,
        r#""status":"succeeded""#,
        r#""status":"failed""#,
        r#""status":"s3cr3t\/k+y""#,
        r#""error":"s3cr3t/k+y""#,
        r#""queue_wait_count":"s3cr3t/k+y""#,
        r#""progress_percent":"140""#,
        r#""title":"s3cr3t/k+y""#,
        r#""ppt_url":"https://h/x""#,
        r#""pdf_url":"https://h/x""#,
        r#""list":[{},7,null]"#,
        r#""list":"s3cr3t/k+y""#,
        r#""after":"""#,
        r#""further":1e400"#,
    ];
    const LINES: &[&str] = &[
        "data: {\"a\":\"茶\"}",
        "data:{\"b\":",
        "data: 1}",
        "data: [DONE]",
        "data",
        "data:",
        ": ping",
        "event: message",
        "\u{feff}data: 2",
        "{\"plain\":1}",
        "<html>",
        "",
        " ",
    ];

    proptest! {
        #[test]
        fn no_answer_to_a_poll_is_more_than_it_says(
            status in 100u16..600,
            code in prop::sample::select(&["0", "1", "\"0\"", "\"s3cr3t/k+y\"", "1e400"][..]),
            info in prop::sample::select(&["", "s3cr3t/k+y", "\\u0073\\u0033cr3t/k+y"][..]),
            fields in prop::sample::subsequence(POLL, 0..=POLL.len()),
        ) {
            let fields = fields.join(",");
            for data in [format!("{{{fields}}}"), format!(r#"{{"job":{{{fields}}}}}"#), "[]".to_owned()] {
                let body = format!(r#"{{"code":{code},"info":"{info}","data":{data}}}"#);
                for status in [200, status] {
                    poll(status, body.as_bytes());
                    listing(status, body.as_bytes());
                }
            }
        }

        #[test]
        fn a_stream_gives_the_same_events_however_it_is_cut(
            lines in prop::collection::vec(prop::sample::select(LINES), 0..12),
            end in prop::sample::select(&["\n", "\r\n", "\r"][..]),
            cut in 0usize..64,
            step in 1usize..9,
        ) {
            events(lines.join(end).as_bytes(), cut, step);
        }

        #[test]
        fn a_cut_pdf_is_no_pdf(filler in 0usize..3000, more in 0usize..2) {
            let bytes = format!("%PDF-1.7{}%%EOF\n{}", " ".repeat(filler), "%%EOF".repeat(more));
            let on_disk = |bytes: &[u8]| {
                let mut file = tempfile::tempfile()?;
                file.write_all(bytes)?;
                file.rewind().map(|()| file)
            };
            finished(bytes.as_bytes(), on_disk).unwrap();
        }
    }

    #[test]
    fn a_refusal_whose_data_cannot_be_read_is_doubtful() {
        let answer = canned_response(
            "job_get",
            200,
            &[],
            br#"{"code":1,"data":{"x":1e400}}"#,
            &[],
        );
        let error = envelope::check(&answer, &Codes::default()).unwrap_err();
        assert_eq!(error.delivery(), Delivery::MaybeSent);
    }
}
