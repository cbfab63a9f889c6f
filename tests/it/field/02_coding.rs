//! A content coding that the server declares is undone, within bounds; one that cannot be undone is named.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};

use super::stand_in::{Answer, JOB, StandIn, Step, Vendor, http};

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn coded(coding: &str, body: &[u8]) -> Answer {
    let coding = format!("Content-Encoding: {coding}");
    http(200, &["Content-Type: application/json", &coding], body)
}

const RESULT: &[u8] = br##"{"elements":[],"markdown":"# ok"}"##;

#[test]
fn a_coded_result_is_undone() {
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::best());
    zlib.write_all(RESULT).unwrap();
    let twice = gzip(&gzip(RESULT));
    for (coding, body) in [
        ("gzip", gzip(RESULT)),
        ("x-gzip", gzip(RESULT)),
        ("GZIP", gzip(RESULT)),
        ("deflate", zlib.finish().unwrap()),
        ("gzip, gzip", twice),
        ("identity", RESULT.to_vec()),
    ] {
        let vendor = StandIn::saying(Vendor::TextIn, Step::Result, coded(coding, &body));
        vendor.buy().ended(0, &[]);
        let text = std::fs::read_to_string(vendor.path("r")).unwrap();
        assert_eq!(text, "# ok", "{coding}");
    }
}

#[test]
fn coded_answers_to_a_submit_and_a_poll_are_undone() {
    let submit = format!(r#"{{"code":200,"message":"ok","data":{{"job_id":"{JOB}"}}}}"#);
    let vendor = StandIn::new(Vendor::TextIn, move |asked, here| {
        let poll = format!(
            r#"{{"code":200,"data":{{"job_id":"{JOB}","status":"completed","result_url":"{here}/r"}}}}"#
        );
        match asked.step {
            Step::Submit => Some(coded("gzip", &gzip(submit.as_bytes()))),
            Step::Poll => Some(coded("gzip", &gzip(poll.as_bytes()))),
            Step::Result => None,
        }
    });
    vendor.buy().ended(0, &[]);
    assert_eq!(vendor.count(Step::Submit), 1);
}

#[test]
fn a_coding_that_cannot_be_undone_is_named_and_its_bytes_are_kept() {
    let vendor = StandIn::saying(
        Vendor::TextIn,
        Step::Result,
        coded("aes128gcm", b"\x01\x02odd"),
    );
    vendor.buy().ended(4, &["aes128gcm", "r.unverified"]);
    assert_eq!(
        std::fs::read(vendor.path("r.unverified")).unwrap(),
        b"\x01\x02odd"
    );
    assert!(vendor.count(Step::Result) <= 2);
}

#[test]
fn a_poll_that_grows_without_end_is_a_missed_one() {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(b"{\"code\":200,\"padding\":\"").unwrap();
    let piece = vec![b'x'; 1 << 20];
    for _ in 0..256 {
        encoder.write_all(&piece).unwrap();
    }
    encoder.write_all(b"\"}").unwrap();
    let bomb = encoder.finish().unwrap();
    let vendor = StandIn::saying(Vendor::TextIn, Step::Poll, coded("gzip", &bomb));
    let ran = vendor.buy();
    ran.ended(4, &[]);
    assert!(ran.ticket().is_some(), "{ran:#?}");
}
