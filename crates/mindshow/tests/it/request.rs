//! What each operation sends, and what is read from its answer.

use httpmock::{Method, Mock, MockServer};
use jobs_core::ErrorKind;
use jobs_core::http::Document;
use jobs_core::testing::ManualClock;
use mindshow::types::{
    AdvanceTemplateAddRequest, GptDeck, Language, ListRequest, MarkdownDeck, Model, PptDeck,
    PreviewImages, Question, TemplateFromPpt, TemplateListRequest, Theme,
};
use mindshow::{Client, ResourceId};
use serde_json::{Value, json};

use crate::vendor::{Say, Vendor};
use crate::{failure, id, success};

const JOB: &str = r#"{"job":{"id":"j","status":"queued"}}"#;

/// A server that takes exactly one request, to `path` with this JSON, and answers with `data`.
async fn expecting(path: &str, body: Value, data: &str) -> (Mock<'static>, Client) {
    let server: &'static MockServer = Box::leak(Box::new(MockServer::start_async().await));
    let mock = server
        .mock_async(|when, then| {
            when.method(Method::POST)
                .path(path)
                .header("authorization", "Bearer an-api-key")
                .header("content-type", "application/json")
                .json_body(body);
            then.status(200).body(success(data));
        })
        .await;
    let client = crate::client(&server.base_url(), &ManualClock::new())
        .build()
        .unwrap();
    (mock, client)
}

#[tokio::test]
async fn the_account() {
    let data = r#"{"id":"a1","name":"me","score":88,"created_at":"2026-01-01T08:00:00+08:00","vip_type":"decade","vip_expiration_time":"","novelty":1}"#;
    let (mock, client) = expecting("/v1/account/info", json!({}), data).await;
    let account = client.account_info().await.unwrap();
    assert_eq!(
        (account.score, account.vip_type.unwrap().as_str()),
        (88, "decade")
    );
    mock.assert_async().await;

    let data = r#"{"list":[{"title":"t","log_time":"2026-01-01T08:00:00+08:00","original_score":10,"modified_score":-10,"final_score":0}],"after":""}"#;
    let (mock, client) = expecting("/v1/account/score_log", json!({"limit": 5}), data).await;
    let mut request = ListRequest::default();
    request.limit = Some(5);
    let page = client.list_score_log(&request).await.unwrap();
    assert_eq!((page.items[0].final_score, page.after), (Some(0), None));
    mock.assert_async().await;
}

#[tokio::test]
async fn templates() {
    let template = r#"{"template_id":"t1","title":"Blue","from_type":"default","type":"public","vip_flag":true,"preview_img_list":["https://h/1.png"]}"#;
    let data = format!(r#"{{"list":[{template}],"after":"c"}}"#);
    let (mock, client) = expecting("/v1/template/list", json!({"query_text": "blue"}), &data).await;
    let mut request = TemplateListRequest::default();
    request.query_text = Some("blue".to_owned());
    let page = client.list_templates(&request).await.unwrap();
    assert_eq!(
        (page.items[0].template_id.as_str(), page.after.as_deref()),
        ("t1", Some("c"))
    );
    mock.assert_async().await;

    for data in [format!(r#"{{"item":{template}}}"#), template.to_owned()] {
        let (mock, client) =
            expecting("/v1/template/get", json!({"template_id": "t1"}), &data).await;
        assert_eq!(client.template("t1").await.unwrap().vip_flag, Some(true));
        mock.assert_async().await;
    }

    let data = r##"{"color_list":[{"id":1,"label":"red","color":"#f00"}],"scene_list":[]}"##;
    let (mock, client) = expecting("/v1/template/tag_cfg", json!({}), data).await;
    let tags = client.tag_cfg().await.unwrap();
    assert_eq!(tags.color_list.unwrap()[0].id, 1);
    mock.assert_async().await;
}

#[tokio::test]
async fn advanced_templates() {
    let item = r#"{"id":"at","title":"T","created_at":"","updated_at":"","preview_img_url":"","input_args":"{\"a\":1}","input_args_example":"{}"}"#;
    for (data, is_described) in [
        (format!(r#"{{"item":{item}}}"#), true),
        (r#"{"id":"at"}"#.to_owned(), true),
        ("{}".to_owned(), false),
    ] {
        let (mock, client) = expecting(
            "/v1/advance_template/add",
            json!({"page_id": "p", "title": "T"}),
            &data,
        )
        .await;
        let request = AdvanceTemplateAddRequest::new("p".to_owned(), "T".to_owned());
        let added = client.add_advance_template(&request).await.unwrap();
        assert_eq!(added.is_some(), is_described, "{data}");
        mock.assert_async().await;
    }

    let data = format!(r#"{{"list":[{item}],"after":""}}"#);
    let (mock, client) = expecting("/v1/advance_template/list", json!({}), &data).await;
    let page = client
        .list_advance_templates(&ListRequest::default())
        .await
        .unwrap();
    assert_eq!(page.items[0].input_args.as_deref(), Some(r#"{"a":1}"#));
    mock.assert_async().await;

    let data = format!(r#"{{"item":{item}}}"#);
    let (mock, client) = expecting("/v1/advance_template/get", json!({"id": "at"}), &data).await;
    assert_eq!(client.advance_template("at").await.unwrap().id, "at");
    mock.assert_async().await;

    let (mock, client) = expecting(
        "/v1/advance_template/set",
        json!({"id": "at", "title": "U"}),
        "{}",
    )
    .await;
    client.rename_advance_template("at", "U").await.unwrap();
    mock.assert_async().await;

    let (mock, client) = expecting("/v1/advance_template/del", json!({"id": "at"}), "{}").await;
    client.delete_advance_template("at").await.unwrap();
    mock.assert_async().await;
}

#[tokio::test]
async fn jobs() {
    let (mock, client) = expecting("/v1/job/get", json!({"id": "j"}), JOB).await;
    assert_eq!(
        client.job_info(&id("j")).await.unwrap().status.as_str(),
        "queued"
    );
    mock.assert_async().await;

    let (mock, client) = expecting(
        "/v1/job/get_jump_link",
        json!({"id": "j", "theme": "dark", "mobile_flag": true}),
        r#"{"url":"https://h/edit?t=s3cret"}"#,
    )
    .await;
    let link = client.jump_link(&id("j"), Theme::Dark, true).await.unwrap();
    assert_eq!(link.expose(), "https://h/edit?t=s3cret");
    assert!(!format!("{link:?}").contains("s3cret"));
    mock.assert_async().await;

    let (mock, client) = expecting(
        "/v1/job/get_quality_check_data",
        json!({"id": "j"}),
        r#"{"page_list":[{"text":"Tea","img_list":["https://h/1.png"]}]}"#,
    )
    .await;
    let pages = client
        .quality_data(&id("j"))
        .await
        .unwrap()
        .page_list
        .unwrap();
    assert_eq!(pages[0].text.as_deref(), Some("Tea"));
    mock.assert_async().await;

    let (mock, client) = expecting("/v1/job/del", json!({"id": "j"}), "{}").await;
    client.delete_job(&id("j")).await.unwrap();
    mock.assert_async().await;
}

#[tokio::test]
async fn creates() {
    let mut deck = MarkdownDeck::from_markdown("# A\n## B");
    deck.create_preview_image_type = Some(PreviewImages::Nothing);
    let body = json!({"speaker": "", "content": "# A\n## B", "create_preview_image_type": "null"});
    let (mock, client) = expecting("/v1/job/ppt_create_by_markdown", body, JOB).await;
    assert!(client.deck(deck).submit().await.is_ok());
    mock.assert_async().await;

    let mut deck = GptDeck::from_outline("# A\n## B");
    deck.content_ex_info = Some(json!({"k": [1]}));
    deck.language = Some(Language::ZhHant);
    deck.model = Some(Model::Deepseek);
    deck.qa_list = Some(vec![Question::new("q".to_owned(), "a".to_owned())]);
    let body = json!({"speaker": "", "type": "outline", "content": "# A\n## B", "content_ex_info": {"k": [1]},
        "language": "zh_hant", "model": "deepseek", "qa_list": [{"question": "q", "answer": "a"}]});
    let (mock, client) = expecting("/v1/job/ppt_create_by_gpt", body, JOB).await;
    assert!(client.deck(deck).submit().await.is_ok());
    mock.assert_async().await;

    let deck = PptDeck::from_upload(ResourceId::new("r"), false);
    let body = json!({"resource_id": "r", "ai_content_flag": false});
    let (mock, client) = expecting("/v1/job/ppt_create_by_ppt", body, JOB).await;
    assert!(client.deck(deck).submit().await.is_ok());
    mock.assert_async().await;

    let template = TemplateFromPpt::from_upload(ResourceId::new("r"));
    let body = json!({"resource_id": "r"});
    let (mock, client) = expecting("/v1/job/template_create_by_ppt", body, JOB).await;
    assert!(client.deck(template).submit().await.is_ok());
    mock.assert_async().await;
}

#[tokio::test]
async fn an_upload_is_a_form_with_one_file() {
    let server = MockServer::start_async().await;
    let mock = server
        .mock_async(|when, then| {
            when.method(Method::POST)
                .path("/v1/resource/upload")
                .header("authorization", "Bearer an-api-key")
                .header_prefix("content-type", "multipart/form-data; boundary=")
                .body_includes("name=\"file\"; filename=\"合同.txt\"\r\n\r\nhello\r\n");
            then.status(200).body(success(r#"{"resource_id":"r-7"}"#));
        })
        .await;
    let client = crate::client(&server.base_url(), &ManualClock::new())
        .build()
        .unwrap();
    let resource = client
        .upload(&Document::from_bytes("合同.txt", "hello"))
        .await
        .unwrap();
    assert_eq!(resource.as_str(), "r-7");
    mock.assert_async().await;
    let error = client
        .upload(&Document::from_bytes("a.exe", "hello"))
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.operation()),
        (ErrorKind::InvalidInput, "upload")
    );
    mock.assert_async().await;
}

#[tokio::test]
async fn free_reads_and_uploads_are_repeated_and_additions_are_not() {
    let flaky = || {
        let count = std::sync::atomic::AtomicUsize::new(0);
        Vendor::start(
            move |_| match count.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
                0 => Say::Hangup,
                1 => Say::Reply(503, b"<html>".to_vec()),
                _ => Say::json(success(r#"{"id":"a","score":1,"resource_id":"r"}"#)),
            },
        )
    };
    let vendor = flaky().await;
    let clock = ManualClock::new();
    let client = crate::client(&vendor.url(), &clock).build().unwrap();
    assert_eq!(clock.run(client.account_info()).await.unwrap().score, 1);
    assert_eq!(vendor.seen().len(), 3);

    let vendor = flaky().await;
    let client = crate::client(&vendor.url(), &clock).build().unwrap();
    clock
        .run(client.upload(&Document::from_bytes("a.txt", "x")))
        .await
        .unwrap();
    assert_eq!(vendor.seen().len(), 3);

    let vendor = flaky().await;
    let client = crate::client(&vendor.url(), &clock).build().unwrap();
    let request = AdvanceTemplateAddRequest::new("p".to_owned(), "T".to_owned());
    assert!(
        clock
            .run(client.add_advance_template(&request))
            .await
            .is_err()
    );
    assert_eq!(vendor.seen().len(), 1);
}

#[tokio::test]
async fn unknown_codes_are_permanent_and_the_table_is_the_callers() {
    for (known, requests, kind) in [
        (false, 1, ErrorKind::Refused),
        (true, 7, ErrorKind::RateLimited),
    ] {
        let vendor = Vendor::start(|_| Say::json(failure(3003, "slow down"))).await;
        let clock = ManualClock::new();
        let builder = crate::client(&vendor.url(), &clock);
        let builder = if known {
            builder.with_code(3003, ErrorKind::RateLimited)
        } else {
            builder
        };
        let error = clock
            .run(builder.build().unwrap().account_info())
            .await
            .unwrap_err();
        assert_eq!((error.kind(), vendor.seen().len()), (kind, requests));
        assert_eq!(error.operation(), "account_info");
    }
}

#[tokio::test]
async fn a_delete_that_finds_nothing_after_a_lost_answer_is_done() {
    for (first_is_lost, is_done) in [(true, true), (false, false)] {
        let count = std::sync::atomic::AtomicUsize::new(0);
        let vendor = Vendor::start(move |_| {
            let first = count.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 0;
            if first && first_is_lost {
                Say::Hangup
            } else {
                Say::json(failure(4, "gone"))
            }
        })
        .await;
        let clock = ManualClock::new();
        let client = crate::client(&vendor.url(), &clock)
            .with_code(4, ErrorKind::NotFound)
            .build()
            .unwrap();
        assert_eq!(
            clock.run(client.delete_job(&id("j"))).await.is_ok(),
            is_done
        );
    }
}
