//! What a submit sends, and what becomes of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use httpmock::{Method, MockServer};
use jobs_core::http::Document;
use jobs_core::testing::ManualClock;
use jobs_core::vendor::Delivery;
use jobs_core::{ErrorKind, Job, JobId, SubmitError};
use textin::types::{Capabilities, ParseConfig};
use textin::{Parse, ParseRequest};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const PATH: &str = "/api/v1/xparse/parse/async";

fn document() -> ParseRequest {
    ParseRequest::document(Document::from_bytes("合同.pdf", "%PDF-1.7 x"))
}

/// Submits to a server that answers every submit with `body`; gives the outcome and the number of requests.
async fn submit_answered(status: u16, body: &str) -> (Result<Job<Parse>, SubmitError>, usize) {
    let server = MockServer::start_async().await;
    let mock = server
        .mock_async(|when, then| {
            when.method(Method::POST).path(PATH);
            then.status(status)
                .header("x-request-id", "req-7")
                .body(body);
        })
        .await;
    let clock = ManualClock::new();
    let client = crate::client(&server.base_url(), &clock).build().unwrap();
    let outcome = clock.run(client.parse(document()).submit()).await;
    (outcome, mock.calls_async().await)
}

#[tokio::test]
async fn a_submit_sends_what_the_vendor_documents() {
    let server = MockServer::start_async().await;
    let mock = server
        .mock_async(|when, then| {
            when.method(Method::POST)
                .path(PATH)
                .header("x-ti-app-id", "an-app-id")
                .header("x-ti-secret-code", "a-secret-code")
                .header_prefix("content-type", "multipart/form-data; boundary=")
                .body_includes("name=\"config\"\r\nContent-Type: application/json\r\n\r\n")
                .body_includes(r#"{"document":{"password":"pw"},"capabilities":{"pages":true},"scope":{"page_range":"1-2"}}"#)
                .body_includes("name=\"webhook\"\r\n\r\nhttps://me.example/hook")
                .body_includes("name=\"file\"; filename=\"合同.pdf\"\r\n\r\n%PDF-1.7 x");
            then.status(200).body(
                r#"{"code":200,"message":"success","data":{"job_id":"c020a1f03c994091a94d6763cdbe0684"}}"#,
            );
        })
        .await;
    let client = crate::client(&server.base_url(), &ManualClock::new())
        .build()
        .unwrap();
    let mut capabilities = Capabilities::default();
    capabilities.include_pages = Some(true);
    let mut config = ParseConfig::default();
    config.capabilities = Some(capabilities);
    let request = document()
        .with_config(config)
        .with_pages(&"1-2".parse().unwrap())
        .with_password("pw")
        .with_webhook("https://me.example/hook");
    let job = client.parse(request).submit().await.unwrap();
    assert_eq!(job.id().as_str(), "c020a1f03c994091a94d6763cdbe0684");
    mock.assert_async().await;
}

#[tokio::test]
async fn an_address_is_sent_instead_of_a_document() {
    let server = MockServer::start_async().await;
    let mock = server
        .mock_async(|when, then| {
            when.path(PATH)
                .body_includes("name=\"file_url\"\r\n\r\nhttps://me.example/a.pdf")
                .body_excludes("config");
            then.status(200)
                .body(r#"{"code":200,"message":"success","data":{"job_id":"j"}}"#);
        })
        .await;
    let client = crate::client(&server.base_url(), &ManualClock::new())
        .build()
        .unwrap();
    let submission = client
        .parse(ParseRequest::url("https://me.example/a.pdf"))
        .submit()
        .await;
    assert!(submission.is_ok());
    mock.assert_async().await;
}

#[tokio::test]
async fn refusals_are_told_apart_and_not_repeated() {
    for (code, kind) in [
        (40102, ErrorKind::Unauthenticated),
        (40003, ErrorKind::QuotaExceeded),
        (40307, ErrorKind::QuotaExceeded),
        (40004, ErrorKind::InvalidInput),
        (40423, ErrorKind::InvalidInput),
    ] {
        let body = format!(
            r#"{{"code":{code},"message":"Parameter error","data":{{"message":"the detail"}}}}"#
        );
        let (submission, requests) = submit_answered(200, &body).await;
        let Err(SubmitError::Rejected(error)) = submission else {
            panic!("{code}: {submission:?}")
        };
        assert_eq!(
            (error.kind(), error.delivery(), requests),
            (kind, Delivery::Answered, 1),
            "{code}"
        );
        assert_eq!(error.code(), Some(code.to_string().as_str()));
        assert_eq!(error.message(), Some("Parameter error: the detail"));
        assert_eq!(error.request_id(), Some("req-7"));
    }
}

#[tokio::test]
async fn codes_refused_before_work_are_repeated_twice() {
    for code in [30203, 40306] {
        let (submission, requests) =
            submit_answered(200, &format!(r#"{{"code":{code},"msg":"later"}}"#)).await;
        let Err(SubmitError::Rejected(error)) = submission else {
            panic!("{code}: {submission:?}")
        };
        assert_eq!((requests, error.message()), (3, Some("later")), "{code}");
    }
}

#[tokio::test]
async fn an_answer_that_does_not_say_is_unknown_and_never_repeated() {
    for (status, body) in [
        (200, r#"{"code":500,"message":"服务器内部错误"}"#),
        (200, r#"{"code":50207,"message":"partial"}"#),
        (500, r#"{"code":500,"message":"服务器内部错误"}"#),
        (502, "<html>bad gateway</html>"),
        (504, ""),
        (200, "<html>welcome</html>"),
        (200, r#"{"code":200,"message":"success","data":{"job_id""#),
        (200, r#"{"code":200,"message":"success","data":{}}"#),
        (
            200,
            r#"{"code":200,"message":"success","data":{"job_id":"has blanks in it"}}"#,
        ),
    ] {
        let (submission, requests) = submit_answered(status, body).await;
        assert!(
            matches!(submission, Err(SubmitError::OutcomeUnknown(_))),
            "{body}: {submission:?}"
        );
        assert_eq!(requests, 1, "{body}");
    }
}

/// Submits to a server whose answer breaks off after `body`.
async fn submit_broken_off(status: u16, body: &str) -> Result<Job<Parse>, SubmitError> {
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
    clock.run(client.parse(document()).submit()).await
}

#[tokio::test]
async fn an_id_in_an_answer_that_breaks_off_is_the_job_if_its_code_says_so() {
    let body = r#"{"code":200,"message":"ok","data":{"job_id":"j7"}, "x":"..."#;
    let job = submit_broken_off(200, body).await.unwrap();
    assert_eq!(job.id().as_str(), "j7");
    for (status, body, job) in [
        (200, r#"{"data":{"job_id":"j7"},"#, Some("j7")),
        (502, r#"{"code":200,"data":{"job_id":"j7"},"#, Some("j7")),
        (200, r#"{"code":500,"data":{"job_id":"j7"},"#, Some("j7")),
        (200, r#"{"code":200,"data":{"job_id":"j7"#, None),
        (200, r#"{"code":40003,"message":"no mon"#, None),
    ] {
        let submission = submit_broken_off(status, body).await;
        let Err(SubmitError::OutcomeUnknown(lost)) = submission else {
            panic!("{body}: {submission:?}")
        };
        assert_eq!(lost.error.job().map(JobId::as_str), job, "{body}");
        assert_eq!(lost.error.body_excerpt(), Some(body));
    }
}

#[tokio::test]
async fn an_id_beside_the_code_of_a_failure_is_named_and_nothing_is_bought_again() {
    for code in [40004, 30203, 50207, 500] {
        let body = format!(r#"{{"code":{code},"message":"odd","data":{{"job_id":"j7"}}}}"#);
        let (submission, requests) = submit_answered(200, &body).await;
        let Err(SubmitError::OutcomeUnknown(lost)) = submission else {
            panic!("{code}: {submission:?}")
        };
        assert_eq!(lost.error.job().map(JobId::as_str), Some("j7"), "{code}");
        assert_eq!(lost.error.code(), Some(code.to_string().as_str()));
        assert_eq!(lost.error.body_excerpt(), Some(body.as_str()));
        assert_eq!(requests, 1, "{code}");
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
    let submission = clock.run(client.parse(document()).submit()).await;
    let Err(SubmitError::OutcomeUnknown(lost)) = submission else {
        panic!("{submission:?}")
    };
    assert_eq!(&*lost.summary, "合同.pdf (10 bytes)");
    assert_eq!(lost.error.delivery(), Delivery::MaybeSent);
    assert_eq!(connections.load(Ordering::SeqCst), 1);
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
    let Err(SubmitError::Rejected(error)) = clock.run(client.parse(document()).submit()).await
    else {
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
    let empty = ParseRequest::document(Document::from_bytes("a.pdf", ""));
    let Err(SubmitError::Rejected(error)) = client.parse(empty).submit().await else {
        panic!()
    };
    assert_eq!(
        (error.kind(), error.delivery()),
        (ErrorKind::InvalidInput, Delivery::NotSent)
    );
}

#[tokio::test]
async fn a_synchronous_parse_keeps_the_good_part_of_a_partial_result() {
    let result = r#"{"schema_version":"1.4.0","file_id":"f","job_id":"j","success_count":1,"metadata":{},"elements":[],"markdown":"x","new_field":1}"#;
    let server = MockServer::start_async().await;
    server
        .mock_async(|when, then| {
            when.method(Method::POST).path("/api/v1/xparse/parse/sync");
            then.status(200).body(format!(
                r#"{{"code":50207,"message":"部分页面解析失败","data":{result}}}"#
            ));
        })
        .await;
    let client = crate::client(&server.base_url(), &ManualClock::new())
        .build()
        .unwrap();
    let parsed = client.parse(document()).run_now().await.unwrap();
    assert_eq!(
        (parsed.result.success_count, parsed.raw.get()),
        (Some(1), result)
    );
    assert_eq!(parsed.partial.unwrap().code(), Some("50207"));
}

#[test]
fn plain_http_to_another_machine_is_refused() {
    let error = crate::client("http://api.textin.com", &ManualClock::new())
        .build()
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}

/// Every future can be spawned: a compile-time property, kept here so that losing it fails a test and not a user.
#[test]
fn every_future_is_send() {
    fn send<T: Send>(_: T) {}
    let client = crate::client("http://127.0.0.1:9", &ManualClock::new())
        .build()
        .unwrap();
    let request = document();
    let request = client.parse(request);
    send(request.clone().submit());
    send(request.clone().run(Duration::from_secs(1)));
    send(request.run_now());
    send(client.check_credentials());
    let job = client.job(JobId::new("j").unwrap());
    send(job.wait(Duration::from_secs(1)));
}
