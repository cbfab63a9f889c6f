//! What a create sends, and what becomes of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use httpmock::{Method, MockServer};
use jobs_core::http::Document;
use jobs_core::testing::ManualClock;
use jobs_core::vendor::{Delivery, JobKind};
use jobs_core::{ErrorKind, Job, JobId, SubmitError};
use ppj::{Conversion, ConvertRequest};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

const DECK: &[u8] = b"PK\x03\x04 a deck";
const MD5: &str = "f5639e07c99cc85838e120cf51baeeea";
const MADE: &str = r#"{"token":"hhNy1Eq6Py2K","name":"季度报告","state":"uploading"}"#;

fn deck() -> ConvertRequest {
    ConvertRequest::new(Document::from_bytes("季度报告.pptx", DECK))
}

/// Submits to a server that answers every create with `body`; gives the outcome and the number of requests.
async fn create_answered(status: u16, body: &str) -> (Result<Job<Conversion>, SubmitError>, usize) {
    let server = MockServer::start_async().await;
    let mock = server
        .mock_async(|when, then| {
            when.method(Method::POST).path("/api/jobs");
            then.status(status).body(body);
        })
        .await;
    let clock = ManualClock::new();
    let client = crate::client(&server.base_url(), &clock).build().unwrap();
    let outcome = clock.run(client.convert(deck()).submit()).await;
    (outcome, mock.calls_async().await)
}

#[tokio::test]
async fn a_create_sends_what_the_vendor_documents() {
    let server = MockServer::start_async().await;
    let mock = server
        .mock_async(|when, then| {
            when.method(Method::POST)
                .path("/api/jobs")
                .header("x-ppj-credential", crate::KEY)
                .header_missing("x-ppj-timestamp")
                .header_missing("x-ppj-signature")
                .header_prefix("content-type", "multipart/form-data; boundary=")
                .header_exists("content-length")
                .is_true(|request| request.query_params().is_empty())
                .body_includes(format!("name=\"file_md5\"\r\n\r\n{MD5}\r\n"))
                .body_includes(
                    "name=\"file_source\"; filename=\"季度报告.pptx\"\r\n\r\nPK\x03\x04 a deck\r\n",
                );
            then.status(200).body(MADE);
        })
        .await;
    let client = crate::client(&server.base_url(), &ManualClock::new())
        .build()
        .unwrap();
    let job = client.convert(deck()).submit().await.unwrap();
    assert_eq!(job.id().as_str(), "hhNy1Eq6Py2K");
    assert_eq!(job.kind().name(), "convert");
    mock.assert_async().await;
}

#[tokio::test]
async fn a_file_is_sent_from_disk_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("big.ppt");
    let mut bytes = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1".to_vec();
    bytes.resize(300_000, 7);
    std::fs::write(&path, &bytes).unwrap();
    let server = MockServer::start_async().await;
    let mock = server
        .mock_async(|when, then| {
            when.path("/api/jobs").is_true(move |request| {
                request
                    .body_ref()
                    .windows(bytes.len())
                    .any(|part| part == bytes)
            });
            then.status(200).body(MADE);
        })
        .await;
    let client = crate::client(&server.base_url(), &ManualClock::new())
        .build()
        .unwrap();
    let request = ConvertRequest::new(Document::open(&path).unwrap());
    assert!(client.convert(request).submit().await.is_ok());
    mock.assert_async().await;
}

/// Creates a job at a server whose answer breaks off after `body`.
async fn create_broken_off(status: u16, body: &str) -> Result<Job<Conversion>, SubmitError> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let answer = format!("HTTP/1.1 {status} X\r\nContent-Length: 999\r\n\r\n{body}");
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.read_buf(&mut Vec::new()).await.unwrap();
        stream.write_all(answer.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        tokio::io::copy(&mut stream, &mut tokio::io::sink()).await
    });
    let clock = ManualClock::new();
    let client = crate::client(&url, &clock).build().unwrap();
    clock.run(client.convert(deck()).submit()).await
}

#[tokio::test]
async fn a_token_in_an_answer_that_breaks_off_is_the_job_if_its_status_says_so() {
    let body = r#"{"token":"hhNy1Eq6Py2K","name":"季"#;
    let job = create_broken_off(201, body).await.unwrap();
    assert_eq!(job.id().as_str(), "hhNy1Eq6Py2K");
    for (status, body, job) in [
        (502, r#"{"token":"t7","name":"x"#, Some("t7")),
        (
            200,
            r#"{"token":"t7","type":"Error","message":"x"#,
            Some("t7"),
        ),
        (200, r#"{"name":"x","token":"t7"#, None),
        (400, r#"{"type":"Error","message":"x"#, None),
    ] {
        let submission = create_broken_off(status, body).await;
        let Err(SubmitError::OutcomeUnknown(lost)) = submission else {
            panic!("{body}: {submission:?}")
        };
        assert_eq!(lost.error.job().map(JobId::as_str), job, "{body}");
        assert_eq!(lost.error.body_excerpt(), Some(body));
    }
}

#[tokio::test]
async fn a_token_beside_a_refusal_is_named() {
    let body = r#"{"type":"Error","message":"md5 mismatch","token":"t7"}"#;
    let (submission, requests) = create_answered(400, body).await;
    let Err(SubmitError::OutcomeUnknown(lost)) = submission else {
        panic!("{submission:?}")
    };
    assert_eq!(lost.error.job().map(JobId::as_str), Some("t7"));
    assert_eq!(lost.error.message(), Some("md5 mismatch"));
    assert_eq!((lost.error.body_excerpt(), requests), (Some(body), 1));
}

#[tokio::test]
async fn a_signed_create_signs_the_path_that_it_requests() {
    for (is_alias, path, signature) in [
        (
            false,
            "/jobs",
            "be252dbf3a3563319df23a14ed75f510a3d48d0fdeeb9d3393cfcfebe30d5500",
        ),
        (
            true,
            "/job/create",
            "ad981d17ab566db05c34f2071781bfbc47d6b538b453c8936f4b32d470e492ae",
        ),
    ] {
        let server = MockServer::start_async().await;
        let mock = server
            .mock_async(|when, then| {
                when.method(Method::POST)
                    .path(path)
                    .header("accept", "application/vnd.ppj.v1+json")
                    .header("x-ppj-credential", crate::APP_ID)
                    .header("x-ppj-timestamp", "1767225600")
                    .header("x-ppj-signature", signature)
                    .body_includes(MD5)
                    .body_excludes(crate::APP_SECRET);
                then.status(200).body(r#"{"token":"hhNy1Eq6Py2Kjpyt"}"#);
            })
            .await;
        let client = crate::signed_client(&server.base_url(), &ManualClock::new())
            .with_alias_paths(is_alias)
            .build()
            .unwrap();
        let job = client.convert(deck()).submit().await.unwrap();
        assert_eq!(job.id().as_str(), "hhNy1Eq6Py2Kjpyt");
        assert_eq!(job.kind().name(), "convert-signed");
        mock.assert_async().await;
    }
}

#[tokio::test]
async fn refusals_are_told_apart_and_not_repeated() {
    for (status, kind, code) in [
        (400, ErrorKind::InvalidInput, "Error"),
        (401, ErrorKind::Unauthenticated, "UnauthorizedError"),
        (403, ErrorKind::Unauthenticated, "PermissionError"),
        (404, ErrorKind::Refused, "NotFoundError"),
    ] {
        let body = format!(r#"{{"message":"not so","type":"{code}"}}"#);
        let (submission, requests) = create_answered(status, &body).await;
        let Err(SubmitError::Rejected(error)) = submission else {
            panic!("{status}: {submission:?}")
        };
        assert_eq!(
            (error.kind(), error.delivery(), requests),
            (kind, Delivery::Answered, 1),
            "{status}"
        );
        assert_eq!(
            (error.code(), error.message(), error.http_status()),
            (Some(code), Some("not so"), Some(status))
        );
        assert_eq!(error.operation(), "create");
    }
}

#[tokio::test]
async fn a_drafts_details_are_kept_and_echoed_credentials_are_not() {
    let body = r#"{"message":"an-access-key says no","errors":[{"field":"file_md5","code":"missing_field"}]}"#;
    let (submission, _) = create_answered(422, body).await;
    let Err(SubmitError::Rejected(error)) = submission else {
        panic!("{submission:?}")
    };
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    let line = error.to_string();
    assert!(line.contains("missing_field"), "{line}");
    assert!(!line.contains(crate::KEY), "{line}");
}

#[tokio::test]
async fn an_answer_that_does_not_say_is_unknown_and_never_repeated() {
    for (status, body) in [
        (500, "<html>fault</html>"),
        (502, "<html>bad gateway</html>"),
        (503, "<html>maintenance</html>"),
        (504, ""),
        (500, r#"{"message":"oops","type":"Error"}"#),
        (302, ""),
        (200, "<html>welcome</html>"),
        (200, r#"{"token":"hhNy"#),
        (200, "{}"),
        (200, r#"{"token":"has blanks in it"}"#),
        (201, ""),
    ] {
        let (submission, requests) = create_answered(status, body).await;
        assert!(
            matches!(submission, Err(SubmitError::OutcomeUnknown(_))),
            "{status} {body}: {submission:?}"
        );
        assert_eq!(requests, 1, "{status} {body}");
    }
}

#[tokio::test]
async fn a_token_that_is_shown_is_taken_whatever_stands_beside_it() {
    for (status, body) in [
        (200, "\u{feff}{\"token\":\"7\",\"state\":\"uploading\"}"),
        (200, r#"{"token":7}"#),
        (
            200,
            r#"{"token":"6","total_pages":NaN,"name":"\ud835","token":"7"}"#,
        ),
        (200, r#"{"token":"7","name":"cut he"#),
        (502, r#"{"token":"7"}"#),
    ] {
        let (submission, _) = create_answered(status, body).await;
        let job = submission.unwrap();
        assert_eq!(job.id().as_str(), "7", "{status} {body}");
    }
}

#[tokio::test]
async fn what_something_in_between_refuses_is_not_the_vendors_word() {
    for (status, body) in [
        (403, "<html>blocked by Corp WAF policy 4711</html>"),
        (401, ""),
        (404, r#"{"message":"no Route matched"}"#),
        (413, "<h1>413</h1>"),
        (307, ""),
    ] {
        let (submission, requests) = create_answered(status, body).await;
        let Err(SubmitError::Rejected(error)) = submission else {
            panic!("{status}: {submission:?}")
        };
        let known = (error.kind(), error.delivery(), requests);
        assert_eq!(
            known,
            (ErrorKind::Unavailable, Delivery::Answered, 1),
            "{status}"
        );
        let line = error.to_string();
        assert!(
            !body.contains("4711") || line.contains("blocked by Corp WAF policy 4711"),
            "{line}"
        );
    }
}

#[tokio::test]
async fn a_dropped_answer_is_unknown_after_one_request() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    let server = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::SeqCst);
            let mut request = vec![0; 4096];
            let _ = stream.read(&mut request).await.unwrap();
        }
    });
    let clock = ManualClock::new();
    let client = crate::client(&url, &clock).build().unwrap();
    let submission = clock.run(client.convert(deck()).submit()).await;
    let Err(SubmitError::OutcomeUnknown(lost)) = submission else {
        panic!("{submission:?}")
    };
    assert_eq!(&*lost.summary, "季度报告.pptx (11 bytes)");
    assert_eq!(lost.error.delivery(), Delivery::MaybeSent);
    assert_eq!(connections.load(Ordering::SeqCst), 1);
    server.abort();
}

/// Answers every request of a connection and keeps it open.
async fn keep_answering(stream: TcpStream) -> std::io::Result<()> {
    const BODY: &str = r#"{"token":"hhNy1Eq6Py2K","count":0,"tokens":[]}"#;
    let mut stream = BufReader::new(stream);
    loop {
        let (mut line, mut length) = (String::new(), 0);
        while line != "\r\n" {
            line.clear();
            if stream.read_line(&mut line).await? == 0 {
                return Ok(());
            }
            if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
        }
        tokio::io::copy(&mut (&mut stream).take(length), &mut tokio::io::sink()).await?;
        let answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{BODY}",
            BODY.len()
        );
        stream.write_all(answer.as_bytes()).await?;
    }
}

/// On a kept connection the vendor may hang up just as the create goes out, and nobody could say whether it was taken.
#[tokio::test]
async fn a_create_gets_a_connection_of_its_own() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    let server = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(keep_answering(stream));
        }
    });
    let client = crate::client(&url, &ManualClock::new()).build().unwrap();
    for _ in 0..2 {
        client.list(&ppj::ListFilter::new()).await.unwrap();
    }
    assert_eq!(connections.load(Ordering::SeqCst), 1);
    for _ in 0..2 {
        client.convert(deck()).submit().await.unwrap();
    }
    assert_eq!(connections.load(Ordering::SeqCst), 3);
    server.abort();
}

#[tokio::test]
async fn without_a_connection_nothing_was_sent() {
    let closed = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let clock = ManualClock::new();
    let client = crate::client(&format!("http://{closed}"), &clock)
        .build()
        .unwrap();
    let Err(SubmitError::Rejected(error)) = clock.run(client.convert(deck()).submit()).await else {
        panic!()
    };
    assert_eq!(
        (error.kind(), error.delivery()),
        (ErrorKind::Unreachable, Delivery::NotSent)
    );
}

#[tokio::test]
async fn bad_input_is_refused_without_a_request() {
    let client = crate::client("http://127.0.0.1:9", &ManualClock::new())
        .build()
        .unwrap();
    for document in [
        Document::from_bytes("a.pptx", ""),
        Document::from_bytes("a.pptx", "no presentation"),
    ] {
        let request = ConvertRequest::new(document);
        let Err(SubmitError::Rejected(error)) = client.convert(request).submit().await else {
            panic!()
        };
        assert_eq!(
            (error.kind(), error.delivery()),
            (ErrorKind::InvalidInput, Delivery::NotSent)
        );
    }
}

/// Every future can be spawned: a compile-time property, kept here so that losing it fails a test and not a user.
#[test]
fn every_future_is_send() {
    fn send<T: Send>(_: T) {}
    let client = crate::client("http://127.0.0.1:9", &ManualClock::new())
        .build()
        .unwrap();
    let request = deck();
    send(client.convert(request).submit());
    send(client.check_credentials());
    send(client.quotas());
    send(client.list(&ppj::ListFilter::new()));
    let job = client.job(JobId::new("j").unwrap());
    send(client.show(job.id()));
    send(job.wait(Duration::from_secs(1)));
}
