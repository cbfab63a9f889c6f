//! What an upload sends, and what becomes of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use httpmock::{HttpMockRequest, HttpMockResponse, Method};
use jobs_core::ErrorKind;
use jobs_core::http::Document;
use jobs_core::vendor::Delivery;
use serde_json::json;
use tencent_ess::types::BusinessType;
use tencent_ess::{Operator, Product, UploadRequest};
use tokio::net::TcpListener;

use crate::Scene;
use crate::signature::is_signed;

const STORED: &str = r#"{"Response":{"FileIds":["yDRS1","yDRS2"],"FileUrls":["https://files.example/1?sign=a",""],"TotalCount":2,"Deadline":1800000000,"RequestId":"r1"}}"#;

#[tokio::test]
async fn an_upload_sends_what_the_vendor_documents() {
    let scene = Scene::new().await;
    let mock = scene
        .upload
        .mock_async(|when, then| {
            when.method(Method::POST)
                .path("/")
                .header("x-tc-action", "UploadFiles")
                .header("x-tc-version", "2021-05-26")
                .header("x-tc-timestamp", "1767225600")
                .header("x-tc-language", "en-US")
                .header("content-type", "application/json")
                .header("content-length", "225")
                .header_missing("transfer-encoding")
                .header_missing("x-tc-token")
                .header_missing("x-tc-region")
                .is_true(|request| is_signed(request, "essbasic"))
                .json_body(json!({
                    "Agent": serde_json::from_str::<serde_json::Value>(crate::AGENT).unwrap(),
                    "BusinessType": "DOCUMENT",
                    "FileInfos": [
                        {"FileBody": "b25l", "FileName": "一.txt"},
                        {"FileBody": "dHdvMg==", "FileName": "two.txt"},
                    ],
                }));
            then.status(200).body(STORED);
        })
        .await;
    let (one, two) = (
        Document::from_bytes("一.txt", "one"),
        Document::from_bytes("two.txt", "two2"),
    );
    let uploaded = scene
        .client
        .upload_files(&UploadRequest::new([&one, &two]))
        .await
        .unwrap();
    mock.assert_async().await;
    let files: Vec<_> = uploaded
        .files
        .iter()
        .map(|file| (file.id.as_str(), file.url()))
        .collect();
    assert_eq!(
        files,
        [
            ("yDRS1", Some("https://files.example/1?sign=a")),
            ("yDRS2", None)
        ]
    );
    assert_eq!(
        uploaded.deadline,
        Some(SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000))
    );
}

#[tokio::test]
async fn the_company_edition_names_its_caller() {
    let product = Product::from(Operator::new("user").with_organization_id("sub"));
    let scene = Scene::with(product, |builder| builder.with_upload_service("file")).await;
    let mock = scene
        .upload
        .mock_async(|when, then| {
            when.header("x-tc-action", "UploadFiles")
                .header("x-tc-version", "2020-11-11")
                .is_true(|request| is_signed(request, "file"))
                .json_body(json!({
                    "Caller": {"OperatorId": "user"},
                    "Agent": {"ProxyOrganizationId": "sub"},
                    "BusinessType": "SEAL",
                    "FileInfos": [{"FileBody": "eA==", "FileName": "a.png"}],
                }));
            then.status(200)
                .body(r#"{"Response":{"FileIds":["yDRS1"],"TotalCount":1,"RequestId":"r1"}}"#);
        })
        .await;
    let seal = Document::from_bytes("a.png", "x");
    let request = UploadRequest::new([&seal]).with_business_type(BusinessType::Seal);
    let uploaded = scene.client.upload_files(&request).await.unwrap();
    assert_eq!((uploaded.files.len(), uploaded.deadline), (1, None));
    mock.assert_async().await;
}

#[tokio::test]
async fn a_large_file_is_streamed_from_disk_and_its_signature_holds() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("large.docx");
    let content: Vec<u8> = (0..500_001u32).flat_map(u32::to_le_bytes).collect();
    std::fs::write(&path, &content).unwrap();
    let scene = Scene::new().await;
    let mock = scene
        .upload
        .mock_async(|when, then| {
            when.is_true(|request| is_signed(request, "essbasic"));
            then.respond_with(move |request: &HttpMockRequest| {
                let body: serde_json::Value = serde_json::from_slice(request.body_ref()).unwrap();
                let file = body["FileInfos"][0]["FileBody"].as_str().unwrap();
                assert_eq!(file.len(), content.len().div_ceil(3) * 4);
                HttpMockResponse::builder()
                    .status(200)
                    .body(r#"{"Response":{"FileIds":["yDRS1"]}}"#)
                    .build()
            });
        })
        .await;
    let document = Document::open(&path).unwrap();
    let uploaded = scene
        .client
        .upload_files(&UploadRequest::new([&document]))
        .await
        .unwrap();
    assert_eq!(uploaded.files[0].id.as_str(), "yDRS1");
    mock.assert_async().await;
}

/// Uploads to a server that gives these answers one after the other; gives the outcome and the number of requests.
async fn upload_answered(
    answers: &'static [(u16, &'static str)],
) -> (Result<usize, (ErrorKind, Delivery)>, usize) {
    let scene = Scene::new().await;
    let count = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&count);
    scene
        .upload
        .mock_async(|when, then| {
            when.path("/");
            then.respond_with(move |_: &HttpMockRequest| {
                let place = counter.fetch_add(1, Ordering::Relaxed);
                let (status, body) = answers.get(place).or(answers.last()).unwrap();
                HttpMockResponse::builder()
                    .status(*status)
                    .body(*body)
                    .build()
            });
        })
        .await;
    let document = Document::from_bytes("a.docx", "x");
    let request = UploadRequest::new([&document]);
    let outcome = scene.clock.run(scene.client.upload_files(&request)).await;
    (
        outcome
            .map(|uploaded| uploaded.files.len())
            .map_err(|error| (error.kind(), error.delivery())),
        count.load(Ordering::Relaxed),
    )
}

#[tokio::test]
async fn an_upload_is_repeated_once_in_doubt_and_more_often_before_work() {
    const FINE: (u16, &str) = (200, r#"{"Response":{"FileIds":["yDRS1"]}}"#);
    const INTERNAL: (u16, &str) = (
        200,
        r#"{"Response":{"Error":{"Code":"InternalError.Serialize","Message":"m"},"RequestId":"r"}}"#,
    );
    const BUSY: (u16, &str) = (
        200,
        r#"{"Response":{"Error":{"Code":"RequestLimitExceeded","Message":"m"},"RequestId":"r"}}"#,
    );
    const DENIED: (u16, &str) = (
        200,
        r#"{"Response":{"Error":{"Code":"OperationDenied","Message":"m"},"RequestId":"r"}}"#,
    );
    for (answers, outcome, requests) in [
        (&[INTERNAL, FINE][..], Ok(1), 2),
        (
            &[INTERNAL],
            Err((ErrorKind::Unavailable, Delivery::MaybeSent)),
            2,
        ),
        (&[(502, "<html>"), FINE], Ok(1), 2),
        (
            &[(200, "<html>")],
            Err((ErrorKind::UnexpectedResponse, Delivery::MaybeSent)),
            2,
        ),
        (&[BUSY, BUSY, BUSY, FINE], Ok(1), 4),
        (
            &[(413, "")],
            Err((ErrorKind::Unavailable, Delivery::Answered)),
            2,
        ),
        (&[DENIED], Err((ErrorKind::Refused, Delivery::Answered)), 1),
        (
            &[(200, r#"{"Response":{"FileIds":["a","b"]}}"#)],
            Err((ErrorKind::UnexpectedResponse, Delivery::MaybeSent)),
            1,
        ),
        (
            &[(200, r#"{"Response":{"FileIds":null}}"#)],
            Err((ErrorKind::UnexpectedResponse, Delivery::MaybeSent)),
            1,
        ),
    ] {
        let answers: &'static [_] = answers.to_vec().leak();
        assert_eq!(
            upload_answered(answers).await,
            (outcome, requests),
            "{answers:?}"
        );
    }
}

#[tokio::test]
async fn mixed_types_and_changed_files_are_refused_without_a_request() {
    let scene = Scene::new().await;
    let mock = scene
        .upload
        .mock_async(|when, then| {
            when.path("/");
            then.status(200).body(STORED);
        })
        .await;
    let (pdf, docx) = (
        Document::from_bytes("a.pdf", "x"),
        Document::from_bytes("b.docx", "x"),
    );
    let error = scene
        .client
        .upload_files(&UploadRequest::new([&pdf, &docx]))
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.delivery()),
        (ErrorKind::InvalidInput, Delivery::NotSent)
    );
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.docx");
    std::fs::write(&path, "before").unwrap();
    let changed = Document::open(&path).unwrap();
    std::fs::write(&path, "and after").unwrap();
    let error = scene
        .client
        .upload_files(&UploadRequest::new([&changed]))
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.delivery()),
        (ErrorKind::LocalIo, Delivery::NotSent)
    );
    assert_eq!(mock.calls_async().await, 0);
}

#[tokio::test]
async fn without_a_connection_nothing_was_sent() {
    let closed = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let clock = jobs_core::testing::ManualClock::new();
    let url = format!("http://{closed}");
    let client = crate::client(&url, &url, &clock).build().unwrap();
    let document = Document::from_bytes("a.docx", "x");
    let request = UploadRequest::new([&document]);
    let error = clock.run(client.upload_files(&request)).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.delivery(), error.operation()),
        (ErrorKind::Unreachable, Delivery::NotSent, "upload")
    );
}
