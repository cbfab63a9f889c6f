//! What a create sends, and what becomes of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use httpmock::Method;
use jobs_core::http::Document;
use jobs_core::testing::ManualClock;
use jobs_core::vendor::{Delivery, ResumeError};
use jobs_core::{ErrorKind, Job, JobId, Status, SubmitError, Ticket};
use serde_json::{Value, json};
use tencent_ess::types::ResourceType;
use tencent_ess::{
    Agent, Conversion, ConvertRequest, Family, Language, Operator, Product, ResourceId,
    UploadRequest,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::signature::is_signed;
use crate::{Scene, platform, secret};

const CREATED: &str = r#"{"Response":{"TaskId":"20231101191954296703","RequestId":"r1"}}"#;

fn agent() -> Value {
    serde_json::from_str(crate::AGENT).unwrap()
}

fn resource() -> ResourceId {
    ResourceId::new("yDRS").unwrap()
}

/// Creates a task at a server that answers every create so; gives the outcome and the number of requests.
async fn create_answered(status: u16, body: &str) -> (Result<Job<Conversion>, SubmitError>, usize) {
    let scene = Scene::new().await;
    let mock = scene
        .general
        .mock_async(|when, then| {
            when.method(Method::POST).path("/");
            then.status(status)
                .header("content-type", "text/html; charset=utf-8")
                .body(body);
        })
        .await;
    let id = resource();
    let create = scene
        .client
        .convert(ConvertRequest::uploaded(
            id.clone(),
            ResourceType::Docx,
            "a.docx",
        ))
        .submit();
    let outcome = scene.clock.run(create).await;
    (outcome, mock.calls_async().await)
}

fn failure(code: &str) -> String {
    format!(
        r#"{{"Response":{{"Error":{{"Code":"{code}","Message":"the message"}},"RequestId":"req-7"}}}}"#
    )
}

#[tokio::test]
async fn a_document_is_uploaded_and_then_converted() {
    let scene = Scene::new().await;
    let upload = scene
        .upload
        .mock_async(|when, then| {
            when.header("x-tc-action", "UploadFiles").json_body(json!({
                "Agent": agent(),
                "BusinessType": "DOCUMENT",
                "FileInfos": [{"FileBody": "UEs=", "FileName": "合同.DOCX"}],
            }));
            then.status(200)
                .body(r#"{"Response":{"FileIds":["yDRS1"],"FileUrls":["u"],"TotalCount":1,"RequestId":"r0"}}"#);
        })
        .await;
    let create = scene
        .general
        .mock_async(|when, then| {
            when.method(Method::POST)
                .path("/")
                .header("x-tc-action", "CreateFileConvertTask")
                .header("x-tc-version", "2021-05-26")
                .header("content-type", "application/json")
                .header_missing("x-tc-region")
                .is_true(|request| is_signed(request, "essbasic"))
                .json_body(json!({
                    "Agent": agent(),
                    "ResourceType": "docx",
                    "ResourceName": "合同.DOCX",
                    "ResourceId": "yDRS1",
                }));
            then.status(200).body(CREATED);
        })
        .await;
    let poll = scene
        .general
        .mock_async(|when, then| {
            when.header("x-tc-action", "DescribeFileConvertTask")
                .is_true(|request| is_signed(request, "essbasic"))
                .json_body(json!({"Agent": agent(), "TaskId": "20231101191954296703"}));
            then.status(200).body(
                r#"{"Response":{"TaskId":"yDother","TaskStatus":8,"TaskMessage":"任务处理完成","ResourceId":"yDpdf","RequestId":"r2"}}"#,
            );
        })
        .await;
    let document = Document::from_bytes("合同.DOCX", "PK");
    let job = scene.client.convert(document).submit().await.unwrap();
    assert_eq!(job.id().as_str(), "20231101191954296703");
    let ready = scene
        .clock
        .run(job.wait(Duration::from_secs(180)))
        .await
        .unwrap();
    assert_eq!(ready.resource_id.as_str(), "yDpdf");
    upload.assert_async().await;
    create.assert_async().await;
    poll.assert_async().await;
}

#[tokio::test]
async fn each_product_and_family_has_its_own_operations() {
    let company = || Product::from(Operator::new("user"));
    for (product, family, service, version, identity, create, poll) in [
        (
            platform(),
            Family::Legacy,
            "essbasic",
            "2021-05-26",
            json!({"Agent": agent()}),
            "ChannelCreateConvertTaskApi",
            "ChannelGetTaskResultApi",
        ),
        (
            company(),
            Family::Current,
            "ess",
            "2020-11-11",
            json!({"Operator": {"UserId": "user"}}),
            "CreateFileConvertTask",
            "DescribeFileConvertTask",
        ),
        (
            company(),
            Family::Legacy,
            "ess",
            "2020-11-11",
            json!({"Operator": {"UserId": "user"}}),
            "CreateConvertTaskApi",
            "GetTaskResultApi",
        ),
    ] {
        let scene = Scene::with(product, |builder| builder.with_family(family)).await;
        let with = |more: Value| {
            let mut body = identity.clone();
            body.as_object_mut()
                .unwrap()
                .extend(more.as_object().unwrap().clone());
            body
        };
        let (creating, looking) = (
            with(json!({"ResourceType": "txt", "ResourceName": "a", "ResourceId": "yDRS"})),
            with(json!({"TaskId": "t1"})),
        );
        let creates = scene
            .general
            .mock_async(|when, then| {
                when.header("x-tc-action", create)
                    .header("x-tc-version", version)
                    .is_true(move |request| is_signed(request, service))
                    .json_body(creating);
                then.status(200)
                    .body(r#"{"Response":{"TaskId":"t1","DeprecatedWarning":"offline soon","RequestId":"r"}}"#);
            })
            .await;
        let polls = scene
            .general
            .mock_async(|when, then| {
                when.header("x-tc-action", poll)
                    .is_true(move |request| is_signed(request, service))
                    .json_body(looking);
                then.status(200)
                    .body(r#"{"Response":{"TaskStatus":8,"ResourceId":"yDpdf","DeprecatedWarning":"offline soon"}}"#);
            })
            .await;
        let submission = scene
            .client
            .convert(ConvertRequest::uploaded(resource(), ResourceType::Txt, "a"))
            .submit()
            .await;
        let job = submission.unwrap();
        let ready = scene.clock.run(job.wait(Duration::from_secs(60))).await;
        assert_eq!(ready.unwrap().resource_id.as_str(), "yDpdf", "{create}");
        assert_eq!(
            (creates.calls_async().await, polls.calls_async().await),
            (1, 1),
            "{create}"
        );
    }
}

#[tokio::test]
async fn a_temporary_key_sends_its_token_and_settings_their_headers() {
    let scene = Scene::with(platform(), |builder| {
        builder
            .with_session_token(secret("a-token"))
            .with_region("ap-guangzhou")
            .with_language(Language::Chinese)
    })
    .await;
    let mock = scene
        .general
        .mock_async(|when, then| {
            when.header("x-tc-token", "a-token")
                .header("x-tc-region", "ap-guangzhou")
                .header("x-tc-language", "zh-CN")
                .is_true(|request| is_signed(request, "essbasic"));
            then.status(200).body(CREATED);
        })
        .await;
    let submission = scene
        .client
        .convert(ConvertRequest::uploaded(
            resource(),
            ResourceType::Docx,
            "a.docx",
        ))
        .submit()
        .await;
    assert!(submission.is_ok());
    mock.assert_async().await;
}

#[tokio::test]
async fn refusals_are_told_apart_and_not_repeated() {
    for (code, kind) in [
        ("AuthFailure.SignatureFailure", ErrorKind::Unauthenticated),
        ("AuthFailure.SecretIdNotFound", ErrorKind::Unauthenticated),
        ("InvalidParameter.InvalidId", ErrorKind::InvalidInput),
        ("MissingParameter.ResourceName", ErrorKind::InvalidInput),
        ("UnknownParameter", ErrorKind::InvalidInput),
        ("LimitExceeded", ErrorKind::QuotaExceeded),
        (
            "UnauthorizedOperation.NoPermissionFeature",
            ErrorKind::Refused,
        ),
        ("OperationDenied.Forbid", ErrorKind::Refused),
        ("FailedOperation", ErrorKind::Refused),
        ("ResourceNotFound.File", ErrorKind::NotFound),
        ("InvalidAction", ErrorKind::Refused),
        ("ActionOffline", ErrorKind::OperationRetired),
    ] {
        let (submission, requests) = create_answered(200, &failure(code)).await;
        let Err(SubmitError::Rejected(error)) = submission else {
            panic!("{code}: {submission:?}")
        };
        assert_eq!(
            (error.kind(), error.delivery(), requests),
            (kind, Delivery::Answered, 1),
            "{code}"
        );
        assert_eq!(
            (error.operation(), error.code(), error.message()),
            ("create", Some(code), Some("the message"))
        );
        assert_eq!(error.request_id(), Some("req-7"));
    }
}

#[tokio::test]
async fn a_retired_operation_names_the_setting_that_helps() {
    let (submission, _) = create_answered(200, &failure("ActionOffline")).await;
    let Err(SubmitError::Rejected(error)) = submission else {
        panic!("{submission:?}")
    };
    assert!(
        error.to_string().contains("TENCENT_ESS_API=current"),
        "{error}"
    );
}

#[tokio::test]
async fn a_rate_refusal_is_repeated_because_no_work_was_begun() {
    for code in [
        "RequestLimitExceeded",
        "RequestLimitExceeded.UinLimitExceeded",
    ] {
        let (submission, requests) = create_answered(200, &failure(code)).await;
        let Err(SubmitError::Rejected(error)) = submission else {
            panic!("{code}: {submission:?}")
        };
        assert_eq!((error.kind(), requests), (ErrorKind::RateLimited, 6));
    }
}

#[tokio::test]
async fn a_refusal_on_the_way_to_the_vendor_is_no_lost_submit() {
    for (status, body, kind) in [
        (404, "<html>not here</html>", ErrorKind::Unavailable),
        (403, "<html>blocked</html>", ErrorKind::Unavailable),
        (429, "", ErrorKind::RateLimited),
    ] {
        let (submission, requests) = create_answered(status, body).await;
        let Err(SubmitError::Rejected(error)) = submission else {
            panic!("{status}: {submission:?}");
        };
        assert_eq!(
            (error.kind(), error.delivery(), requests),
            (kind, Delivery::Answered, 1)
        );
    }
}

#[tokio::test]
async fn an_answer_that_does_not_say_is_unknown_and_never_repeated() {
    for (status, body) in [
        (200, failure("InternalError")),
        (200, failure("InternalError.DependsApi")),
        (200, failure("ServiceUnavailable")),
        (200, failure("SomethingNew.Detail")),
        (500, failure("InternalError")),
        (502, "<html>bad gateway</html>".to_owned()),
        (504, String::new()),
        (200, "<html>welcome</html>".to_owned()),
        (200, CREATED[..30].to_owned()),
        (200, r#"{"Response":{"RequestId":"r"}}"#.to_owned()),
        (200, r#"{"Response":{"TaskId":""}}"#.to_owned()),
        (200, r#"{"Response":{"TaskId":"a b"}}"#.to_owned()),
        (200, r#"{"Response":null}"#.to_owned()),
        (200, "{}".to_owned()),
        (200, "[]".to_owned()),
        (200, String::new()),
    ] {
        let (submission, requests) = create_answered(status, &body).await;
        assert!(
            matches!(submission, Err(SubmitError::OutcomeUnknown(_))),
            "{body}: {submission:?}"
        );
        assert_eq!(requests, 1, "{body}");
    }
}

#[tokio::test]
async fn a_failure_is_read_under_any_status_and_in_the_very_old_form() {
    for (status, body) in [
        (400, failure("InvalidParameter")),
        (
            200,
            r#"{"code":4000,"codeDesc":"InvalidParameter","message":"the message"}"#.to_owned(),
        ),
    ] {
        let (submission, _) = create_answered(status, &body).await;
        let Err(SubmitError::Rejected(error)) = submission else {
            panic!("{body}: {submission:?}")
        };
        assert_eq!(
            (error.kind(), error.code(), error.message()),
            (
                ErrorKind::InvalidInput,
                Some("InvalidParameter"),
                Some("the message")
            )
        );
    }
}

/// Creates a task at a server whose answer breaks off after `body`.
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
    let client = crate::client(&url, &url, &clock).build().unwrap();
    let request = ConvertRequest::uploaded(resource(), ResourceType::Docx, "a.docx");
    clock.run(client.convert(request).submit()).await
}

#[tokio::test]
async fn an_id_in_an_answer_that_breaks_off_is_named() {
    for (body, job) in [
        (r#"{"Response":{"TaskId":"t7","Reque"#, Some("t7")),
        (r#"{"Response":{"TaskId":"t7","Error":{"Code":"#, Some("t7")),
        (r#"{"Response":{"TaskId":"t7"#, None),
    ] {
        let submission = create_broken_off(200, body).await;
        let Err(SubmitError::OutcomeUnknown(lost)) = submission else {
            panic!("{body}: {submission:?}")
        };
        assert_eq!(lost.error.job().map(JobId::as_str), job, "{body}");
        assert_eq!(lost.error.body_excerpt(), Some(body));
    }
}

#[tokio::test]
async fn an_id_beside_a_failure_is_named_and_nothing_is_made_again() {
    for code in [
        "InvalidParameter.DupTask",
        "RequestLimitExceeded",
        "AuthFailure.SignatureExpire",
    ] {
        let body = format!(
            r#"{{"Response":{{"Error":{{"Code":"{code}","Message":"odd, server time is 1"}},"TaskId":"t7"}}}}"#
        );
        let (submission, requests) = create_answered(200, &body).await;
        let Err(SubmitError::OutcomeUnknown(lost)) = submission else {
            panic!("{code}: {submission:?}")
        };
        assert_eq!(lost.error.job().map(JobId::as_str), Some("t7"), "{code}");
        assert_eq!(lost.error.code(), Some(code));
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
    let client = crate::client(&url, &url, &clock).build().unwrap();
    let id = resource();
    let create = client
        .convert(ConvertRequest::uploaded(
            id.clone(),
            ResourceType::Docx,
            "合同.docx",
        ))
        .submit();
    let Err(SubmitError::OutcomeUnknown(lost)) = clock.run(create).await else {
        panic!()
    };
    assert_eq!(&*lost.summary, "合同.docx (file id yDRS)");
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
    let url = format!("http://{closed}");
    let client = crate::client(&url, &url, &clock).build().unwrap();
    let id = resource();
    let create = client
        .convert(ConvertRequest::uploaded(
            id.clone(),
            ResourceType::Docx,
            "a.docx",
        ))
        .submit();
    let Err(SubmitError::Rejected(error)) = clock.run(create).await else {
        panic!()
    };
    assert_eq!(
        (error.kind(), error.delivery()),
        (ErrorKind::Unreachable, Delivery::NotSent)
    );
}

#[tokio::test]
async fn a_failed_upload_creates_nothing() {
    let scene = Scene::new().await;
    let creates = scene
        .general
        .mock_async(|when, then| {
            when.path("/");
            then.status(200).body(CREATED);
        })
        .await;
    let uploads = scene
        .upload
        .mock_async(|when, then| {
            when.path("/");
            then.status(504);
        })
        .await;
    let document = Document::from_bytes("a.docx", "PK");
    let submit = scene.client.convert(document).submit();
    let Err(SubmitError::Rejected(error)) = scene.clock.run(submit).await else {
        panic!()
    };
    assert_eq!(
        (error.operation(), error.http_status()),
        ("upload", Some(504))
    );
    assert_eq!(
        (uploads.calls_async().await, creates.calls_async().await),
        (2, 0)
    );
}

#[tokio::test]
async fn bad_input_is_refused_without_a_request() {
    let clock = ManualClock::new();
    let client = crate::client("http://127.0.0.1:9", "http://127.0.0.1:9", &clock)
        .build()
        .unwrap();
    for (name, content) in [
        ("a.pdf", "%PDF"),
        ("a.pptx", "PK"),
        ("README", "x"),
        ("a.docx", ""),
    ] {
        let document = Document::from_bytes(name, content);
        let Err(SubmitError::Rejected(error)) = client.convert(document).submit().await else {
            panic!("{name}")
        };
        assert_eq!(
            (error.kind(), error.delivery()),
            (ErrorKind::InvalidInput, Delivery::NotSent),
            "{name}"
        );
    }
}

#[tokio::test]
async fn a_ticket_remembers_its_family_and_its_product() {
    let scene = Scene::with(platform(), |builder| builder.with_family(Family::Legacy)).await;
    let poll = scene
        .general
        .mock_async(|when, then| {
            when.header("x-tc-action", "ChannelGetTaskResultApi");
            then.status(200)
                .body(r#"{"Response":{"TaskStatus":4,"TaskMessage":"文档转换中"}}"#);
        })
        .await;
    let job = scene.client.job(JobId::new("t1").unwrap());
    let ticket: Ticket = job.ticket().unwrap().to_string().parse().unwrap();
    assert_eq!(ticket.kind(), "convert-legacy");

    let urls = (scene.general.base_url(), scene.upload.base_url());
    let current = crate::client(&urls.0, &urls.1, &scene.clock)
        .build()
        .unwrap();
    let resumed = current.resume(&ticket).unwrap();
    assert_eq!(resumed.kind().family(), Family::Legacy);
    let mut updates = resumed.updates(Duration::from_secs(60));
    let jobs_core::Update::Progress(seen) = scene.clock.run(updates.next()).await.unwrap() else {
        panic!()
    };
    assert!(matches!(seen.status, Status::Running));
    poll.assert_async().await;

    let of = |product| {
        let builder = crate::client_of(product, &urls.0, &urls.1, &scene.clock);
        builder.build().unwrap().resume(&ticket).unwrap_err()
    };
    let elsewhere = Agent::new("yDapp", "another_org", "n9527");
    assert_eq!(of(elsewhere.into()), ResumeError::AccountMismatch);
    let other_product = of(Operator::new("user").into());
    assert!(matches!(other_product, ResumeError::KindMismatch { .. }));
}

#[tokio::test]
async fn credentials_are_checked_by_a_poll_of_no_task() {
    for (code, kind) in [
        ("InvalidParameter.ParamError", None),
        ("ResourceNotFound", None),
        (
            "AuthFailure.SecretIdNotFound",
            Some(ErrorKind::Unauthenticated),
        ),
        ("ActionOffline", Some(ErrorKind::OperationRetired)),
    ] {
        let scene = Scene::new().await;
        let mock = scene
            .general
            .mock_async(|when, then| {
                when.header("x-tc-action", "DescribeFileConvertTask");
                then.status(200).body(failure(code));
            })
            .await;
        let checked = scene.client.check_credentials().await;
        assert_eq!(checked.err().map(|error| error.kind()), kind, "{code}");
        mock.assert_async().await;
    }
}

/// Every future can be spawned: a compile-time property, kept here so that losing it fails a test and not a user.
#[test]
fn every_future_is_send() {
    fn send<T: Send>(_: T) {}
    let client = crate::client(
        "http://127.0.0.1:9",
        "http://127.0.0.1:9",
        &ManualClock::new(),
    )
    .build()
    .unwrap();
    let (document, id) = (Document::from_bytes("a.docx", "x"), resource());
    let upload = UploadRequest::new([&document]);
    send(client.convert(document.clone()).submit());
    send(client.upload_files(&upload));
    send(
        client
            .convert(ConvertRequest::uploaded(id, ResourceType::Docx, "a.docx"))
            .submit(),
    );
    send(client.check_credentials());
    let job = client.job(JobId::new("j").unwrap());
    send(job.wait(Duration::from_secs(1)));
}
