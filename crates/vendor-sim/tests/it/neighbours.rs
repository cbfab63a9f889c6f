//! Answers of careless and hostile neighbours, as their bytes arrive at the client.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use vendor_sim::fault::OddText;
use vendor_sim::{Fault, Site, TextIn, TextInHandle, TextInOptions, Times, VirtualClock};

use crate::client::{Caller, Part, ask, no_rate, still};

const TEXT: Part<'static> = ("file", Some("a.txt"), None, b"hello");

/// Real time at a speed at which a pause is none.
async fn hasty(options: TextInOptions) -> TextInHandle {
    let site = Site::with_clock(VirtualClock::real(10_000.0));
    TextIn::start_at(&site, options).await.unwrap()
}

#[tokio::test]
async fn a_mark_before_the_first_byte_leaves_the_job_made() {
    let sim = still(no_rate()).await;
    sim.set_fault("submit", Fault::OddText { how: OddText::Bom });
    let answer = Caller(&sim).post("async", &[TEXT]).await;
    assert!(answer.body.starts_with(b"\xef\xbb\xbf{"));
    assert_eq!(answer.body.len(), answer.declared());
    assert_eq!(sim.jobs().len(), 1);
}

#[tokio::test]
async fn a_charset_is_declared_where_the_bytes_are_in_it() {
    let sim = still(no_rate()).await;
    sim.set_fault("submit", Fault::OddText { how: OddText::Gbk });
    let answer = Caller(&sim).post("async", &[TEXT]).await;
    assert!(answer.header("content-type").unwrap().ends_with("gbk"));
    assert!(std::str::from_utf8(&answer.body).is_err());
}

#[tokio::test]
async fn a_coding_that_nobody_asked_for_is_told_by_its_name() {
    let sim = still(no_rate()).await;
    for coding in ["gzip", "deflate", "x-odd"] {
        let coding = coding.to_owned();
        sim.set_fault("submit", Fault::Coding { coding });
        let answer = Caller(&sim).post("async", &[TEXT]).await;
        assert_eq!(answer.body.len(), answer.declared());
        let is_plain = answer.body.starts_with(b"{");
        assert_eq!(is_plain, answer.header("content-encoding") == Some("x-odd"));
    }
}

#[tokio::test]
async fn a_huge_key_stands_before_what_was_there() {
    let sim = still(no_rate()).await;
    sim.set_fault("submit", Fault::HugeKey { bytes: 1 << 20 });
    let answer = Caller(&sim).post("async", &[TEXT]).await;
    assert!(answer.body.len() > 1 << 20 && answer.body.len() == answer.declared());
    assert_eq!(answer.code(), 200);
}

#[tokio::test]
async fn cuts_in_turn_begin_anew_whatever_is_asked_for() {
    let sim = still(TextInOptions {
        result_bytes: Some(100_000),
        ..no_rate()
    })
    .await;
    let caller = Caller(&sim);
    let job = caller.submit("a.md", "text").await;
    let url = caller.result_url(&job).await;
    let fault = Fault::CutInTurn {
        at: vec![0, 70_000],
    };
    sim.set_fault_times("result", fault, Times::Always);
    for sent in [0, 70_000, 0] {
        let headers = [("range", "bytes=50000-"), ("if-range", "\"x\"")];
        let answer = ask("GET", &url, &headers, b"").await.unwrap().unwrap();
        assert_eq!((answer.status, answer.header("etag")), (200, None));
        assert_eq!((answer.declared(), answer.body.len()), (100_000, sent));
    }
}

#[tokio::test]
async fn heads_come_until_the_client_goes() {
    for (interim, repeated) in [(true, "HTTP/1.1 103 "), (false, "X-Padding: ")] {
        let sim = hasty(no_rate()).await;
        let fault = Fault::EndlessHeaders {
            interim,
            seconds: 0.1,
        };
        sim.set_fault("submit", fault);
        let url = sim.api_url();
        let host = url.strip_prefix("http://").unwrap();
        let mut stream = TcpStream::connect(host).await.unwrap();
        let head = format!(
            "POST /api/v1/xparse/parse/async HTTP/1.1\r\nhost: {host}\r\ncontent-length: 0\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut seen = Vec::new();
        while String::from_utf8_lossy(&seen).matches(repeated).count() < 100 {
            assert!(stream.read_buf(&mut seen).await.unwrap() > 0);
        }
        drop(stream);
        sim.stop().await;
    }
}

#[tokio::test]
async fn a_deaf_peer_reads_no_body_and_gives_no_answer() {
    let sim = still(no_rate()).await;
    sim.set_fault("submit", Fault::Deaf {});
    let big = vec![b'x'; 40_000_000];
    let caller = Caller(&sim);
    let parts = [("file", Some("a.docx"), None, &big[..])];
    let posting = caller.try_post("async", &parts);
    tokio::pin!(posting);
    let ended = loop {
        tokio::select! {
            ended = posting.as_mut() => break ended,
            () = tokio::task::yield_now() => { sim.clock().advance(Duration::from_secs(100)); }
        }
    };
    assert!(!matches!(ended, Ok(Some(_))));
    assert!(sim.jobs().is_empty());
    assert!(sim.requests()[0].body_bytes < 1_000_000);
}
