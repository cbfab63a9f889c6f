//! What the API origin accepts, refuses, counts and charges.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use vendor_sim::textin::Outcome;
use vendor_sim::{Site, TextIn, TextInOptions};

use crate::client::{Caller, FORM, Part, ask, form, no_rate, pdf, still};

const TEXT: Part<'static> = ("file", Some("a.txt"), Some("text/plain"), b"hello");

#[tokio::test]
async fn document_goes_from_submit_to_result_and_is_charged_once() {
    let sim = still(no_rate()).await;
    let caller = Caller(&sim);
    let answer = caller
        .post(
            "async",
            &[(
                "file",
                Some("two.pdf"),
                None,
                &pdf(&["Page one", "Page two"]),
            )],
        )
        .await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json()["message"], "success");
    assert_eq!(
        answer.header("x-request-id"),
        answer.json()["x_request_id"].as_str()
    );
    let job_id = answer.json()["data"]["job_id"].as_str().unwrap().to_owned();
    assert_eq!(job_id.len(), 32);

    let pending = caller.poll(&job_id).await.json();
    assert_eq!(pending["data"]["status"], "pending");
    assert!(pending["data"].get("result_url").is_none());
    assert!(sim.charges().is_empty());

    let url = caller.result_url(&job_id).await;
    assert!(url.starts_with(&sim.result_url_base()));
    assert_ne!(sim.result_url_base(), sim.api_url());
    let result = ask("GET", &url, &[], b"").await.unwrap().unwrap().json();
    assert_eq!(result["markdown"], "Page one\n\nPage two");
    assert_eq!(result["success_count"], 2);
    assert_eq!(result["metadata"]["page_count"], 2);
    assert_eq!(result["job_id"], job_id.as_str());
    caller.poll(&job_id).await;
    let charges = sim.charges();
    assert_eq!(charges.len(), 1);
    assert_eq!(
        (charges[0].pages, charges[0].job_id.as_str()),
        (2, job_id.as_str())
    );
    let paths: Vec<String> = sim
        .requests()
        .into_iter()
        .map(|request| format!("{} {}", request.origin, request.method))
        .collect();
    let api = "textin-api".to_owned();
    let expected = [
        api.clone() + " POST",
        api.clone() + " GET",
        api.clone() + " GET",
        "textin-result GET".to_owned(),
        api + " GET",
    ];
    assert_eq!(paths, expected);
}

#[tokio::test]
async fn keys_are_checked_on_every_call_of_the_api() {
    let options = TextInOptions {
        allow_list: Some(vec![Ipv4Addr::LOCALHOST.into()]),
        other_apps: BTreeMap::from([("b".to_owned(), "bs".to_owned())]),
        ..no_rate()
    };
    let sim = still(options).await;
    let job_id = Caller(&sim).submit("a.txt", "hello").await;
    let submit = format!("{}/api/v1/xparse/parse/async", sim.api_url());
    let poll = format!("{submit}/{job_id}");
    let export = format!(
        "{}/export_file/download?file_id={job_id}.pdf",
        sim.api_url()
    );
    for (headers, code) in [
        (vec![], 40101),
        (vec![("x-ti-app-id", "sim-app-id")], 40101),
        (
            vec![("x-ti-app-id", "sim-app-id"), ("x-ti-secret-code", "")],
            40101,
        ),
        (
            vec![("x-ti-app-id", "sim-app-id"), ("x-ti-secret-code", "wrong")],
            40102,
        ),
        (
            vec![
                ("x-ti-app-id", "nobody"),
                ("x-ti-secret-code", "sim-secret-code"),
            ],
            40102,
        ),
    ] {
        let mut with_form = headers.clone();
        with_form.push(FORM);
        let answer = ask("POST", &submit, &with_form, &form(&[TEXT]))
            .await
            .unwrap()
            .unwrap();
        assert_eq!((answer.status, answer.code()), (200, code));
        assert!(answer.header("x-request-id").is_some());
        assert_eq!(
            ask("GET", &poll, &headers, b"")
                .await
                .unwrap()
                .unwrap()
                .code(),
            code
        );
        assert_eq!(
            ask("GET", &export, &headers, b"")
                .await
                .unwrap()
                .unwrap()
                .code(),
            code
        );
    }
    let other = [("x-ti-app-id", "b"), ("x-ti-secret-code", "bs")];
    let foreign = ask("GET", &poll, &other, b"").await.unwrap().unwrap();
    assert_eq!(foreign.code(), 40004);
    sim.change_options(|options| options.allow_list = Some(vec![]));
    assert_eq!(Caller(&sim).poll(&job_id).await.code(), 40103);
    assert_eq!(sim.jobs().len(), 1);
}

#[tokio::test]
async fn two_a_second_are_counted_over_submit_and_poll_of_an_app() {
    let options = TextInOptions {
        other_apps: BTreeMap::from([("b".to_owned(), "bs".to_owned())]),
        ..TextInOptions::default()
    };
    let sim = still(options).await;
    let caller = Caller(&sim);
    let job_id = caller.submit("a.txt", "hello").await;
    assert_eq!(caller.poll(&job_id).await.code(), 200);
    assert_eq!(caller.poll(&job_id).await.code(), 40306);
    assert_eq!(caller.post("async", &[TEXT]).await.code(), 40306);
    assert_eq!(caller.post("sync", &[TEXT]).await.code(), 40306);
    let other = [("x-ti-app-id", "b"), ("x-ti-secret-code", "bs")];
    let url = format!("{}/api/v1/xparse/parse/async/none", sim.api_url());
    assert_eq!(
        ask("GET", &url, &other, b"").await.unwrap().unwrap().code(),
        40004
    );
    sim.clock().advance(Duration::from_secs(1));
    assert_eq!(caller.poll(&job_id).await.code(), 200);
    assert_eq!(sim.jobs().len(), 1);
    assert_eq!(
        sim.counters().refusals,
        BTreeMap::from([(40004, 1), (40306, 3)])
    );
}

#[tokio::test]
async fn forms_that_break_the_rules_make_no_job() {
    let sim = still(no_rate()).await;
    let caller = Caller(&sim);
    let url: Part<'_> = ("file_url", None, None, b"http://127.0.0.1:1/a.txt");
    let config = |text: &'static str| -> Part<'static> { ("config", None, None, text.as_bytes()) };
    let cases: Vec<(Vec<Part<'_>>, i64)> = vec![
        (vec![], 40004),
        (vec![TEXT, url], 40004),
        (vec![TEXT, TEXT], 40004),
        (vec![TEXT, config("{")], 40004),
        (
            vec![TEXT, config(r#"{"webhook":"http://127.0.0.1/"}"#)],
            40004,
        ),
        (
            vec![TEXT, config(r#"{"scope":{"page_range":"2-1"}}"#)],
            40004,
        ),
        (
            vec![TEXT, config(r#"{"scope":{"page_range":"1-2"}}"#)],
            40424,
        ),
        (
            vec![TEXT, config(r#"{"config":{"force_engine":"mineru"}}"#)],
            40429,
        ),
        (
            vec![TEXT, config(r#"{"config":{"force_engine":"textin_gui"}}"#)],
            40303,
        ),
        (vec![("file", Some("a.exe"), None, b"MZ")], 40303),
        (vec![("file", Some("a.txt"), None, b"")], 400),
        (
            vec![("file", Some("a.pdf"), None, b"%PDF-1.4 that is all")],
            40422,
        ),
        (vec![("file", Some("a.png"), None, b"no picture")], 40422),
        (
            vec![("file", Some("a.txt"), None, &[b'x'; (100 << 10) + 1])],
            40302,
        ),
    ];
    for (parts, code) in cases {
        let names: Vec<&str> = parts.iter().map(|(name, ..)| *name).collect();
        let answer = caller.post("async", &parts).await;
        assert_eq!((answer.status, answer.code()), (200, code), "{names:?}");
        assert!(answer.json()["data"].get("job_id").is_none());
    }
    let missing = caller.post("async", &[]).await.json();
    assert_eq!(missing["data"]["message"], "File not uploaded");
    sim.change_options(|options| options.missing_file_code = 40305);
    assert_eq!(caller.post("async", &[]).await.code(), 40305);
    let version = caller
        .post("async", &[TEXT, config(r#"{"schema_version":"9"}"#)])
        .await;
    assert_eq!((version.status, version.code()), (400, 400));
    assert!(sim.jobs().is_empty() && sim.charges().is_empty());
}

#[tokio::test]
async fn body_that_is_no_form_or_ends_too_early_is_refused() {
    let sim = still(no_rate()).await;
    let (app, secret) = (sim.app_id(), sim.secret_code());
    let url = format!("{}/api/v1/xparse/parse/async", sim.api_url());
    let keys = [("x-ti-app-id", app.as_str()), ("x-ti-secret-code", &secret)];
    let plain = [keys[0], keys[1], ("content-type", "application/json")];
    assert_eq!(
        ask("POST", &url, &plain, b"{}")
            .await
            .unwrap()
            .unwrap()
            .code(),
        40004
    );
    let whole = form(&[TEXT]);
    let cut = &whole[..whole.len() - 12];
    assert_eq!(
        ask("POST", &url, &[keys[0], keys[1], FORM], cut)
            .await
            .unwrap()
            .unwrap()
            .code(),
        40004
    );
    assert!(sim.jobs().is_empty());
}

#[tokio::test]
async fn config_is_taken_with_and_without_content_type_and_with_null_blocks() {
    let sim = still(no_rate()).await;
    let caller = Caller(&sim);
    // Byte for byte the config of the official Python client 0.3.0 for ParseConfig().
    let config: &[u8] =
        br#"{"schema_version": "1.3.0", "document": null, "capabilities": null, "scope": null, "config": null}"#;
    for kind in [None, Some("application/json")] {
        assert_eq!(
            caller
                .post("async", &[("config", None, kind, config), TEXT])
                .await
                .code(),
            200
        );
    }
    let jobs = sim.jobs();
    assert_eq!(jobs.len(), 2);
    assert_eq!(jobs[0].config["schema_version"], "1.3.0");
    assert_ne!(jobs[0].job_id, jobs[1].job_id);
    assert_eq!(jobs[0].file_id, jobs[1].file_id);
}

#[tokio::test]
async fn oversized_file_is_counted_to_its_end_and_refused() {
    let sim = still(TextInOptions {
        max_file_bytes: 100_000,
        ..no_rate()
    })
    .await;
    let caller = Caller(&sim);
    let big = vec![b'x'; 3_000_000];
    assert_eq!(
        caller
            .post("async", &[("file", Some("a.docx"), None, &big)])
            .await
            .code(),
        40302
    );
    assert_eq!(
        caller
            .post("async", &[("file", Some("a.docx"), None, &big[..100_000])])
            .await
            .code(),
        200
    );
    assert!(sim.requests()[0].body_bytes > 3_000_000);
    assert_eq!(sim.jobs()[0].size, 100_000);
}

#[tokio::test]
async fn other_formats_yield_name_size_and_digest() {
    let sim = still(no_rate()).await;
    let caller = Caller(&sim);
    let job_id = caller.submit("b.docx", "abc").await;
    let url = caller.result_url(&job_id).await;
    let result = ask("GET", &url, &[], b"").await.unwrap().unwrap().json();
    let markdown = result["markdown"].as_str().unwrap();
    assert!(markdown.contains("b.docx") && markdown.contains("3 bytes"));
    // SHA-256 of "abc" from FIPS 180-2, appendix B.1.
    assert!(markdown.contains("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"));
}

#[tokio::test]
async fn file_url_is_fetched_from_loopback_and_otherwise_the_job_fails() {
    let sim = still(no_rate()).await;
    let caller = Caller(&sim);
    let good = serve_once("HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\n# From afar").await;
    let gone = serve_once("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n").await;
    let strange = serve_once("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nMZ").await;
    let mut jobs = Vec::new();
    for url in [
        format!("{good}/dir/a.md?x=1"),
        format!("{gone}/a.md"),
        format!("{strange}/a.exe"),
        "http://example.com/a.md".to_owned(),
    ] {
        let answer = caller
            .post("async", &[("file_url", None, None, url.as_bytes())])
            .await;
        jobs.push(answer.json()["data"]["job_id"].as_str().unwrap().to_owned());
    }
    let url = caller.result_url(&jobs[0]).await;
    let result = ask("GET", &url, &[], b"").await.unwrap().unwrap().json();
    assert_eq!(result["markdown"], "# From afar");
    assert_eq!(result["metadata"]["filename"], "a.md");
    for (job, words) in [(1, "404"), (2, "exe"), (3, "loopback")] {
        let poll = caller.poll(&jobs[job]).await.json();
        assert_eq!(
            (poll["code"].as_i64(), poll["data"]["status"].as_str()),
            (Some(200), Some("failed"))
        );
        assert!(
            poll["data"]["message"].as_str().unwrap().contains(words),
            "{poll}"
        );
    }
    assert_eq!(sim.charges().len(), 1);
}

/// A server that answers its first connection with the given text.
async fn serve_once(answer: &'static str) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = [0; 4096];
        assert!(stream.read(&mut request).await.unwrap() > 0);
        stream.write_all(answer.as_bytes()).await.unwrap();
    });
    url
}

#[tokio::test]
async fn failed_job_is_code_200_and_the_field_of_its_text_is_an_option() {
    let sim = still(no_rate()).await;
    let caller = Caller(&sim);
    sim.next_outcome(Outcome::Failed {
        message: "页面无法识别".to_owned(),
    });
    let job_id = caller.submit("a.txt", "hello").await;
    sim.clock().advance(Duration::from_secs(60));
    let poll = caller.poll(&job_id).await.json();
    assert_eq!(poll["code"], 200);
    assert_eq!(poll["data"]["status"], "failed");
    assert_eq!(poll["data"]["message"], "页面无法识别");
    assert!(poll["data"].get("result_url").is_none());
    sim.change_options(|options| options.failure_field = "error_message".to_owned());
    assert_eq!(
        caller.poll(&job_id).await.json()["data"]["error_message"],
        "页面无法识别"
    );
    assert!(sim.charges().is_empty());
}

#[tokio::test]
async fn sync_call_answers_with_the_result_and_is_charged() {
    let options = TextInOptions {
        pending_seconds: 0.0,
        in_progress_seconds: 0.0,
        ..no_rate()
    };
    let sim = still(options).await;
    let caller = Caller(&sim);
    let answer = caller.post("sync", &[TEXT]).await;
    assert_eq!(answer.code(), 200);
    assert_eq!(answer.json()["data"]["markdown"], "hello");
    assert_eq!(sim.charges().len(), 1);
    sim.next_outcome(Outcome::Word {
        word: "partial_completed".to_owned(),
        success_count: Some(1),
    });
    let partial = caller.post("sync", &[TEXT]).await.json();
    assert_eq!(
        (
            partial["code"].as_i64(),
            partial["data"]["success_count"].as_i64()
        ),
        (Some(50207), Some(1))
    );
    sim.next_outcome(Outcome::Failed {
        message: "no".to_owned(),
    });
    assert_eq!(caller.post("sync", &[TEXT]).await.code(), 40422);
    assert_eq!(sim.charges().len(), 2);
}

#[tokio::test]
async fn encrypted_pdf_needs_its_password() {
    let sim = still(no_rate()).await;
    let caller = Caller(&sim);
    let mut document = lopdf::Document::load_mem(&pdf(&["Secret page"])).unwrap();
    let id = lopdf::Object::string_literal("0123456789abcdef");
    document.trailer.set("ID", vec![id.clone(), id]);
    let version = lopdf::EncryptionVersion::V2 {
        document: &document,
        owner_password: "owner",
        user_password: "open",
        key_length: 128,
        permissions: lopdf::Permissions::all(),
    };
    let state = lopdf::EncryptionState::try_from(version).unwrap();
    document.encrypt(&state).unwrap();
    let mut bytes = Vec::new();
    document.save_to(&mut bytes).unwrap();
    let file: Part<'_> = ("file", Some("a.pdf"), None, &bytes);
    let config = |password: &str| json!({"document": {"password": password}}).to_string();
    assert_eq!(caller.post("async", &[file]).await.code(), 40423);
    let wrong = config("shut");
    assert_eq!(
        caller
            .post("async", &[file, ("config", None, None, wrong.as_bytes())])
            .await
            .code(),
        40423
    );
    let right = config("open");
    let answer = caller
        .post("async", &[file, ("config", None, None, right.as_bytes())])
        .await;
    assert_eq!(answer.code(), 200);
    let url = caller
        .result_url(answer.json()["data"]["job_id"].as_str().unwrap())
        .await;
    assert_eq!(
        ask("GET", &url, &[], b"").await.unwrap().unwrap().json()["markdown"],
        "Secret page"
    );
    assert_eq!(sim.jobs()[0].config["document"]["password"], "***");
}

#[tokio::test]
async fn unknown_paths_and_methods_are_40400() {
    let sim = still(no_rate()).await;
    let base = sim.api_url();
    for (method, path) in [
        ("GET", "/api/v1/xparse/parse/async"),
        ("GET", "/nowhere"),
        ("DELETE", "/api/v1/xparse/parse/async/x"),
    ] {
        let answer = ask(method, &format!("{base}{path}"), &[], b"")
            .await
            .unwrap()
            .unwrap();
        assert_eq!(
            (answer.status, answer.code()),
            (200, 40400),
            "{method} {path}"
        );
    }
}

#[tokio::test]
async fn address_that_others_can_reach_must_be_asked_for() {
    let site = Site {
        listen: Ipv4Addr::UNSPECIFIED.into(),
        ..Site::default()
    };
    let refused = TextIn::start_at(&site, TextInOptions::default())
        .await
        .unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::PermissionDenied);
}

#[tokio::test]
async fn dropped_handle_frees_the_port() {
    let sim = still(no_rate()).await;
    let address = sim.api_url();
    sim.stop().await;
    assert!(ask("GET", &address, &[], b"").await.is_err());
}
