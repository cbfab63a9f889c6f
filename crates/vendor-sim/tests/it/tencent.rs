//! Tencent e-sign over real sockets: signatures, hosts, limits, tasks and faults, by hand-signed requests.

use std::io;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use vendor_sim::server::Site;
use vendor_sim::tencent::{TencentAccount, TencentHandle, TencentOptions};
use vendor_sim::{Fault, Tencent, VirtualClock};

use crate::client::{Answer, ask};

async fn still(options: TencentOptions) -> TencentHandle {
    Tencent::start_at(&Site::with_clock(VirtualClock::manual()), options)
        .await
        .unwrap()
}

fn no_rate() -> TencentOptions {
    TencentOptions {
        qps: None,
        ..TencentOptions::default()
    }
}

/// A request before it is signed; tests bend the parts.
#[derive(Clone)]
struct Call {
    url: String,
    action: String,
    version: String,
    service: String,
    secret_id: String,
    secret_key: String,
    timestamp: u64,
    date: Option<String>,
    kind: String,
    sign_action: bool,
    more: Vec<(String, String)>,
    body: String,
}

fn call(sim: &TencentHandle, action: &str, body: Value) -> Call {
    let options = sim.options();
    let url = match action {
        "UploadFiles" => sim.upload_url(),
        _ => sim.general_url(),
    };
    Call {
        url,
        action: action.to_owned(),
        version: "2021-05-26".to_owned(),
        service: "essbasic".to_owned(),
        secret_id: options.secret_id,
        secret_key: options.secret_key,
        timestamp: sim.clock().now().as_secs(),
        date: None,
        kind: "application/json".to_owned(),
        sign_action: false,
        more: Vec::new(),
        body: body.to_string(),
    }
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    let mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.chain_update(text).finalize().into_bytes().to_vec()
}

impl Call {
    async fn try_send(&self) -> io::Result<Option<Answer>> {
        let host = self.url.strip_prefix("http://").unwrap();
        let date = self.date.clone().unwrap_or_else(|| {
            let time = chrono::DateTime::from_timestamp(self.timestamp.try_into().unwrap(), 0);
            time.unwrap().format("%Y-%m-%d").to_string()
        });
        let (mut lines, mut names) = (
            format!("content-type:{}\nhost:{host}\n", self.kind),
            "content-type;host".to_owned(),
        );
        if self.sign_action {
            lines.push_str(&format!("x-tc-action:{}\n", self.action.to_lowercase()));
            names.push_str(";x-tc-action");
        }
        let hash = hex::encode(Sha256::digest(&self.body));
        let canonical = format!("POST\n/\n\n{lines}\n{names}\n{hash}");
        let scope = format!("{date}/{}/tc3_request", self.service);
        let text = format!(
            "TC3-HMAC-SHA256\n{}\n{scope}\n{}",
            self.timestamp,
            hex::encode(Sha256::digest(canonical))
        );
        let key = mac(format!("TC3{}", self.secret_key).as_bytes(), &date);
        let key = mac(&mac(&key, &self.service), "tc3_request");
        let signature = hex::encode(mac(&key, &text));
        let authorization = format!(
            "TC3-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={names}, Signature={signature}",
            self.secret_id
        );
        let timestamp = self.timestamp.to_string();
        let mut headers = vec![
            ("authorization", authorization.as_str()),
            ("content-type", &self.kind),
            ("x-tc-action", &self.action),
            ("x-tc-version", &self.version),
            ("x-tc-timestamp", &timestamp),
        ];
        headers.extend(self.more.iter().map(|(name, value)| (&**name, &**value)));
        ask("POST", &self.url, &headers, self.body.as_bytes()).await
    }

    /// The `Response` object of an answer, whose outer form is checked.
    async fn send(&self) -> Value {
        let answer = self.try_send().await.unwrap().unwrap();
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("content-type"), Some("application/json"));
        let response = answer.json()["Response"].take();
        assert!(response["RequestId"].as_str().unwrap().len() > 10);
        response
    }

    async fn code(&self) -> String {
        let response = self.send().await;
        response["Error"]["Code"].as_str().unwrap_or("").to_owned()
    }
}

fn agent(sim: &TencentHandle) -> Value {
    let options = sim.options();
    json!({
        "AppId": options.app_id, "ProxyOrganizationOpenId": options.org_open_id,
        "ProxyOperator": {"OpenId": options.operator_open_id}
    })
}

fn upload(sim: &TencentHandle, files: &[(&str, &[u8])]) -> Call {
    let infos: Vec<Value> = files
        .iter()
        .map(|(name, bytes)| json!({"FileName": name, "FileBody": STANDARD.encode(bytes)}))
        .collect();
    let body = json!({"Agent": agent(sim), "BusinessType": "DOCUMENT", "FileInfos": infos});
    call(sim, "UploadFiles", body)
}

async fn uploaded(sim: &TencentHandle, name: &str, bytes: &[u8]) -> String {
    let response = upload(sim, &[(name, bytes)]).send().await;
    let id = response["FileIds"][0].as_str();
    id.unwrap_or_else(|| panic!("{response}")).to_owned()
}

fn create(sim: &TencentHandle, file_id: &str) -> Call {
    let body = json!({
        "Agent": agent(sim), "ResourceType": "txt", "ResourceName": "a.txt", "ResourceId": file_id
    });
    call(sim, "CreateFileConvertTask", body)
}

fn query(sim: &TencentHandle, task_id: &str) -> Call {
    let body = json!({"Agent": agent(sim), "TaskId": task_id});
    call(sim, "DescribeFileConvertTask", body)
}

fn legacy(mut call: Call) -> Call {
    call.action = match call.action.as_str() {
        "CreateFileConvertTask" => "ChannelCreateConvertTaskApi",
        _ => "ChannelGetTaskResultApi",
    }
    .to_owned();
    call
}

#[tokio::test]
async fn file_goes_from_upload_to_a_pdf_that_says_its_words() {
    let sim = still(no_rate()).await;
    let file_id = uploaded(&sim, "合同.txt", "甲方 and party B".as_bytes()).await;
    assert!(file_id.starts_with("yD") && file_id.len() == 32);
    let task_id = create(&sim, &file_id).send().await["TaskId"].take();
    let task_id = task_id.as_str().unwrap();
    assert_eq!(query(&sim, task_id).send().await["TaskStatus"], 0);
    sim.clock().advance(Duration::from_secs(1));
    assert_eq!(query(&sim, task_id).send().await["TaskStatus"], 4);
    sim.clock().advance(Duration::from_secs(4));
    let done = query(&sim, task_id).send().await;
    assert_eq!(
        (&done["TaskStatus"], &done["TaskMessage"]),
        (&json!(8), &json!("TaskEnd"))
    );
    let resource = done["ResourceId"].as_str().unwrap();
    assert!(resource.starts_with("yD") && resource.len() == 32 && resource != file_id);
    let pdf = lopdf::Document::load_mem(&sim.pdf(resource).unwrap()).unwrap();
    assert_eq!(pdf.extract_text(&[1]).unwrap().trim(), "甲方 and party B");
    assert_eq!(sim.charges().len(), 1);
    assert_eq!(sim.tasks()[0].queries, 3);
    let origins: Vec<&str> = sim
        .requests()
        .iter()
        .map(|request| request.origin)
        .collect();
    let general = "tencent-general";
    assert_eq!(
        origins,
        ["tencent-upload", general, general, general, general]
    );
}

#[tokio::test]
async fn both_signed_header_sets_both_services_and_the_charset_are_accepted() {
    let sim = still(no_rate()).await;
    let file_id = uploaded(&sim, "a.txt", b"x").await;
    let mut signed_action = create(&sim, &file_id);
    signed_action.sign_action = true;
    signed_action.kind = "application/json; charset=utf-8".to_owned();
    assert_eq!(signed_action.code().await, "");
    let mut node = upload(&sim, &[("a.txt", b"x")]);
    node.service = "file".to_owned();
    assert_eq!(node.code().await, "");
    let mut wrong = create(&sim, &file_id);
    wrong.service = "file".to_owned();
    assert_eq!(wrong.code().await, "AuthFailure.SignatureFailure");
    assert_eq!(sim.tasks().len(), 1);
}

#[tokio::test]
async fn every_flaw_of_a_signature_has_its_code_and_no_effect() {
    let sim = still(no_rate()).await;
    let file_id = uploaded(&sim, "a.txt", b"x").await;
    let good = create(&sim, &file_id);
    let bend = |change: fn(&mut Call)| {
        let mut call = good.clone();
        change(&mut call);
        async move { call.code().await }
    };
    let failure = "AuthFailure.SignatureFailure";
    assert_eq!(bend(|call| call.secret_key.push('x')).await, failure);
    assert_eq!(
        bend(|call| call.secret_id = "AKIDnobody".to_owned()).await,
        "AuthFailure.SecretIdNotFound"
    );
    assert_eq!(
        bend(|call| call.date = Some("2001-01-01".to_owned())).await,
        failure
    );
    assert_eq!(
        bend(|call| call.secret_id = "a/b".to_owned()).await,
        "AuthFailure.InvalidAuthorization"
    );
    assert_eq!(
        bend(|call| call.timestamp -= 301).await,
        "AuthFailure.SignatureExpire"
    );
    assert_eq!(bend(|call| call.timestamp -= 300).await, "");
    assert_eq!(
        bend(|call| call.version = "2020-12-22".to_owned()).await,
        "NoSuchVersion"
    );
    assert_eq!(
        bend(|call| call.action = "Nothing".to_owned()).await,
        "InvalidAction"
    );
    assert_eq!(
        bend(|call| call.kind = "text/plain".to_owned()).await,
        "UnsupportedProtocol"
    );
    assert_eq!(sim.tasks().len(), 1);
    sim.change_options(|options| options.session_token = Some("token".to_owned()));
    assert_eq!(bend(|_| {}).await, "AuthFailure.TokenFailure");
    let with_token = |call: &mut Call| {
        let token = ("x-tc-token".to_owned(), "token".to_owned());
        call.more.push(token);
    };
    assert_eq!(bend(with_token).await, "");
}

#[tokio::test]
async fn wrong_clock_shows_in_the_message_and_in_the_date_header() {
    let sim = still(TencentOptions {
        clock_skew_seconds: 3_600,
        ..no_rate()
    })
    .await;
    let mut call = query(&sim, "x");
    let answer = call.try_send().await.unwrap().unwrap();
    let server = call.timestamp + 3_600;
    let message = answer.json()["Response"]["Error"]["Message"].take();
    assert!(
        message.as_str().unwrap().ends_with(&server.to_string()),
        "{message}"
    );
    // The hand-moved clock begins at 08:00:00 UTC.
    assert_eq!(answer.header("date"), Some("Fri, 15 Jan 2027 09:00:00 GMT"));
    call.timestamp = server;
    assert_eq!(call.code().await, "InvalidParameter.ParamError");
}

#[tokio::test]
async fn each_host_refuses_the_others_actions() {
    let sim = still(no_rate()).await;
    let mut stray = upload(&sim, &[("a.txt", b"x")]);
    stray.url = sim.general_url();
    assert_eq!(stray.code().await, "InvalidAction");
    let mut stray = query(&sim, "x");
    stray.url = sim.upload_url();
    assert_eq!(stray.code().await, "OperationDenied.Forbid");
    assert!(sim.files().is_empty());
}

#[tokio::test]
async fn legacy_pair_works_warns_and_retires_by_switch() {
    let sim = still(no_rate()).await;
    let file_id = uploaded(&sim, "a.txt", b"x").await;
    let made = legacy(create(&sim, &file_id)).send().await;
    let task_id = made["TaskId"].as_str().unwrap();
    assert!(made.get("DeprecatedWarning").is_none());
    sim.change_options(|options| options.deprecated_warning = Some("soon gone".to_owned()));
    let seen = legacy(query(&sim, task_id)).send().await;
    assert_eq!(
        (&seen["DeprecatedWarning"], &seen["PreviewUrl"]),
        (&json!("soon gone"), &Value::Null)
    );
    let current = query(&sim, task_id).send().await;
    assert!(current.get("DeprecatedWarning").is_none());
    sim.change_options(|options| options.legacy_retired = true);
    assert_eq!(legacy(create(&sim, &file_id)).code().await, "ActionOffline");
    assert_eq!(legacy(query(&sim, task_id)).code().await, "ActionOffline");
    assert_eq!(query(&sim, task_id).code().await, "");
}

#[tokio::test]
async fn company_edition_has_its_own_identity_and_version() {
    let sim = still(no_rate()).await;
    let info = json!({"FileName": "a.txt", "FileBody": "eA=="});
    let company = |action: &str, body: Value| {
        let mut call = call(&sim, action, body);
        "2020-11-11".clone_into(&mut call.version);
        "ess".clone_into(&mut call.service);
        call
    };
    let body =
        json!({"Caller": {"OperatorId": "u"}, "BusinessType": "DOCUMENT", "FileInfos": [info]});
    let up = company("UploadFiles", body).send().await;
    assert!(up.get("FileUrls").is_none(), "{up}");
    let file_id = up["FileIds"][0].as_str().unwrap();
    let order = json!({
        "Operator": {"UserId": "u"}, "ResourceType": "txt", "ResourceName": "a", "ResourceId": file_id
    });
    let made = company("CreateFileConvertTask", order.clone()).send().await;
    let id = made["TaskId"].as_str().unwrap();
    let ask = json!({"Operator": {"UserId": "u"}, "TaskId": id});
    assert_eq!(
        company("DescribeFileConvertTask", ask).send().await["TaskStatus"],
        0
    );
    assert_eq!(company("CreateConvertTaskApi", order).code().await, "");
    let nobody = json!({ "TaskId": id });
    assert_eq!(
        company("DescribeFileConvertTask", nobody.clone())
            .code()
            .await,
        "MissingParameter"
    );
    assert_eq!(company("GetTaskResultApi", nobody).code().await, "");
    assert_eq!(query(&sim, id).code().await, "InvalidParameter.ParamError");
}

#[tokio::test]
async fn parameters_are_required_known_and_never_null() {
    let sim = still(no_rate()).await;
    let file_id = uploaded(&sim, "a.txt", b"x").await;
    let good: Value = serde_json::from_str(&create(&sim, &file_id).body).unwrap();
    let code = |change: fn(&mut Value)| {
        let mut body = good.clone();
        change(&mut body);
        let call = call(&sim, "CreateFileConvertTask", body);
        async move { call.code().await }
    };
    let missing = "MissingParameter";
    assert_eq!(
        code(|body| body["Agent"]["AppId"] = json!("")).await,
        missing
    );
    assert_eq!(
        code(|body| body["Agent"]["ProxyOperator"] = json!({})).await,
        missing
    );
    assert_eq!(
        code(|body| body["ResourceName"] = json!("")).await,
        "MissingParameter.ResourceName"
    );
    assert_eq!(
        code(|body| body["ClientToken"] = json!("t")).await,
        "UnknownParameter"
    );
    assert_eq!(
        code(|body| body["Operator"] = Value::Null).await,
        "UnknownParameter"
    );
    assert_eq!(
        code(|body| body["ResourceId"] = Value::Null).await,
        "InvalidParameter"
    );
    assert_eq!(
        code(|body| body["Agent"]["AppId"] = json!("yDother")).await,
        "OperationDenied"
    );
    let mut broken = create(&sim, &file_id);
    "{".clone_into(&mut broken.body);
    assert_eq!(broken.code().await, "InvalidRequest");
    assert!(sim.tasks().is_empty());
}

#[tokio::test]
async fn uploads_are_all_or_nothing_by_the_rules_of_files() {
    let sim = still(TencentOptions {
        max_image_bytes: 10,
        max_file_bytes: 5_000,
        ..no_rate()
    })
    .await;
    let png = b"\x89PNG\r\n\x1a\n";
    let large = [b"x".as_slice(); 5_001].concat();
    let many: Vec<(&str, &[u8])> = vec![("a.txt", b"x"); 21];
    let invalid = "InvalidParameter";
    for (files, code) in [
        (
            vec![("a.txt", b"x".as_slice()), ("b.pdf", b"%PDF-1")],
            invalid,
        ),
        (vec![("a.exe", b"x".as_slice())], invalid),
        (vec![("noname", b"x".as_slice())], invalid),
        (vec![("a.pdf", b"x".as_slice())], invalid),
        (vec![("a.txt", b"".as_slice())], "MissingParameter"),
        (vec![], "MissingParameter"),
        (many.clone(), invalid),
        (
            vec![("a.txt", b"x".as_slice()), ("b.txt", &large)],
            "LimitExceeded.FileSize",
        ),
        (
            vec![("a.png", [png.as_slice(), b"xxx"].concat().as_slice())],
            "LimitExceeded.FileSize",
        ),
    ] {
        assert_eq!(upload(&sim, &files).code().await, code);
    }
    let mut odd = upload(&sim, &[("a.txt", b"x")]);
    odd.body = odd.body.replace("eA==", "%%%");
    assert_eq!(odd.code().await, invalid);
    assert!(sim.files().is_empty());

    let good = upload(&sim, &many[..20]).send().await;
    assert_eq!(good["TotalCount"], 20);
    let deadline = sim.clock().now().as_secs() + 3_600;
    assert_eq!(good["Deadline"], deadline);
    assert_eq!(sim.files().len(), 20);
    assert_eq!(sim.counters().uploads, 1);
    sim.change_options(|options| options.deadline_in_answer = false);
    let exact = upload(&sim, &[("a.txt", &large[..5_000])]).send().await;
    assert!(exact.get("Deadline").is_none());
    let file = sim.files().pop().unwrap();
    assert_eq!(
        (file.size, file.sha256),
        (5_000, hex::encode(Sha256::digest(&large[..5_000])))
    );
}

#[tokio::test]
async fn uploaded_file_is_fetched_by_its_address_for_five_minutes() {
    let sim = still(no_rate()).await;
    let response = upload(&sim, &[("a.txt", b"words")]).send().await;
    let url = response["FileUrls"][0].as_str().unwrap();
    let get = |url: String| async move { ask("GET", &url, &[], b"").await.unwrap().unwrap() };
    assert_eq!(get(url.to_owned()).await.body, b"words");
    assert_eq!(get(format!("{url}0")).await.status, 403);
    sim.clock().advance(Duration::from_secs(300));
    assert_eq!(get(url.to_owned()).await.status, 403);
}

#[tokio::test]
async fn general_host_takes_ten_megabytes_and_no_more() {
    let sim = still(TencentOptions {
        max_body_bytes: 2_000,
        ..no_rate()
    })
    .await;
    let mut call = query(&sim, "x");
    let room = 2_000 - call.body.len();
    call.body.push_str(&" ".repeat(room));
    assert_eq!(call.code().await, "InvalidParameter.ParamError");
    call.body.push(' ');
    assert_eq!(call.code().await, "RequestSizeLimitExceeded");
}

#[tokio::test]
async fn rate_is_counted_by_action_and_told_in_the_callers_language() {
    let sim = still(TencentOptions {
        qps: Some(2),
        ..TencentOptions::default()
    })
    .await;
    let call = query(&sim, "x");
    for _ in 0..2 {
        assert_eq!(call.code().await, "InvalidParameter.ParamError");
    }
    let answer = call.try_send().await.unwrap().unwrap();
    assert!(answer.header("retry-after").is_none());
    let error = answer.json()["Response"]["Error"].take();
    assert_eq!(error["Code"], "RequestLimitExceeded");
    assert!(
        error["Message"]
            .as_str()
            .unwrap()
            .contains("frequency limit `2`")
    );
    let mut chinese = call.clone();
    let language = ("x-tc-language".to_owned(), "zh-CN".to_owned());
    chinese.more.push(language);
    let message = chinese.send().await["Error"]["Message"].take();
    assert!(message.as_str().unwrap().contains("频率限制"));
    assert_ne!(create(&sim, "x").code().await, "RequestLimitExceeded");
    sim.clock().advance(Duration::from_secs(1));
    assert_eq!(call.code().await, "InvalidParameter.ParamError");
}

#[tokio::test]
async fn other_accounts_see_neither_files_nor_tasks() {
    let sim = still(TencentOptions {
        other_accounts: vec![TencentAccount {
            secret_id: "other-id".to_owned(),
            secret_key: "other-key".to_owned(),
            app_id: "yDOTHER".to_owned(),
        }],
        ..no_rate()
    })
    .await;
    let file_id = uploaded(&sim, "a.txt", b"x").await;
    let made = create(&sim, &file_id).send().await;
    let task_id = made["TaskId"].as_str().unwrap();
    let as_other = |mut call: Call| {
        call.secret_id = "other-id".to_owned();
        call.secret_key = "other-key".to_owned();
        call.body = call.body.replace(&sim.options().app_id, "yDOTHER");
        call
    };
    assert_eq!(
        as_other(query(&sim, task_id)).code().await,
        "InvalidParameter.ParamError"
    );
    assert_eq!(
        as_other(create(&sim, &file_id)).code().await,
        "InvalidParameter.InvalidId"
    );
    let mut company = query(&sim, task_id);
    company.body = company.body.replace("sim-org", "another");
    assert_eq!(company.code().await, "InvalidParameter.ParamError");
}

#[tokio::test]
async fn create_fails_with_and_without_the_task_and_may_lose_its_answer() {
    let sim = still(no_rate()).await;
    let file_id = uploaded(&sim, "a.txt", b"x").await;
    let call = create(&sim, &file_id);
    for (after_commit, tasks) in [(false, 0), (true, 1)] {
        let code = json!("InternalError.DependsApi");
        let fault = Fault::Code {
            code,
            message: None,
            after_commit,
        };
        sim.set_fault("create", fault);
        assert_eq!(call.code().await, "InternalError.DependsApi");
        assert_eq!(sim.tasks().len(), tasks);
    }
    let drop = |reset| Fault::DropAfterCommit { reset };
    sim.set_fault("create", drop(false));
    assert!(call.try_send().await.unwrap().is_none());
    sim.set_fault("create", drop(true));
    assert!(!matches!(call.try_send().await, Ok(Some(_))));
    assert_eq!(sim.tasks().len(), 3);
    let before = Fault::DropBeforeCommit {
        after_bytes: None,
        reset: false,
    };
    sim.set_fault("create", before);
    assert!(call.try_send().await.unwrap().is_none());
    let gateway = Fault::Status {
        status: 502,
        body: "<html>bad gateway</html>".to_owned(),
        headers: vec![],
        after_commit: false,
    };
    sim.set_fault("create", gateway);
    assert_eq!(call.try_send().await.unwrap().unwrap().status, 502);
    assert_eq!(sim.tasks().len(), 3);
    sim.set_fault("query", Fault::TruncatedJson {});
    let cut = query(&sim, "x").try_send().await.unwrap().unwrap();
    assert!(serde_json::from_slice::<Value>(&cut.body).is_err());
    sim.set_fault("query", Fault::InvalidUtf8 {});
    let garbled = query(&sim, "x").try_send().await.unwrap().unwrap();
    assert_eq!(garbled.declared(), garbled.body.len());
    assert!(std::str::from_utf8(&garbled.body).is_err());
}

#[tokio::test]
async fn request_ids_come_in_both_forms() {
    let sim = still(no_rate()).await;
    let mut nanoseconds = 0;
    for _ in 0..4 {
        let response = query(&sim, "x").send().await;
        let id = response["RequestId"].as_str().unwrap();
        if id.starts_with('s') {
            nanoseconds += 1;
        } else {
            assert_eq!(id.len(), 36);
        }
    }
    assert_eq!(nanoseconds, 2);
}

#[tokio::test]
async fn control_endpoint_shows_the_ledger_and_environment_has_every_name() {
    let sim = still(no_rate()).await;
    let file_id = uploaded(&sim, "a.txt", b"x").await;
    assert_eq!(create(&sim, &file_id).code().await, "");
    for base in [sim.general_url(), sim.upload_url()] {
        let url = format!("{base}/_sim/state");
        let state = ask("GET", &url, &[], b"").await.unwrap().unwrap().json();
        assert_eq!(state["tasks"].as_array().unwrap().len(), 1);
        assert_eq!(state["charges"][0]["account"], "sim-secret-id");
    }
    sim.change_options(|options| options.session_token = Some("t".to_owned()));
    let names: Vec<String> = sim.env().into_iter().map(|(name, _)| name).collect();
    let expected = [
        "TENCENTCLOUD_SECRET_ID",
        "TENCENTCLOUD_SECRET_KEY",
        "TENCENT_ESS_APP_ID",
        "TENCENT_ESS_ORG_OPEN_ID",
        "TENCENT_ESS_OPERATOR_OPEN_ID",
        "TENCENT_ESS_ENDPOINT",
        "TENCENT_ESS_UPLOAD_ENDPOINT",
        "TENCENTCLOUD_SESSION_TOKEN",
    ];
    assert_eq!(names, expected);
    sim.reset();
    assert!(sim.tasks().is_empty() && sim.files().is_empty());
}
