//! The MindShow simulator as its clients see it: credits, jobs, exports, uploads, lists and signed addresses.

use std::io::{Cursor, Read};
use std::time::Duration;

use serde_json::{Value, json};
use vendor_sim::mindshow::{AbsentTime, Charge, Outcome, PdfCharge};
use vendor_sim::{Fault, MindShow, MindShowHandle, MindShowOptions, Site, VirtualClock};

use crate::client::{Answer, FORM, ask, form};

pub(crate) async fn still(options: MindShowOptions) -> MindShowHandle {
    MindShow::start_at(&Site::with_clock(VirtualClock::manual()), options)
        .await
        .unwrap()
}

fn pass(sim: &MindShowHandle, seconds: u64) {
    assert!(sim.clock().advance(Duration::from_secs(seconds)));
}

async fn try_post(sim: &MindShowHandle, path: &str, body: &Value) -> Option<Answer> {
    let token = format!("Bearer {}", sim.api_key());
    let headers = [
        ("authorization", token.as_str()),
        ("content-type", "application/json"),
    ];
    ask(
        "POST",
        &format!("{}/v1/{path}", sim.api_url()),
        &headers,
        body.to_string().as_bytes(),
    )
    .await
    .unwrap()
}

async fn post(sim: &MindShowHandle, path: &str, body: Value) -> Value {
    let answer = try_post(sim, path, &body).await.unwrap();
    assert_eq!(answer.status, 200);
    let envelope = answer.json();
    assert_eq!(
        envelope.get("data").is_some(),
        envelope["code"] == 0,
        "{envelope}"
    );
    assert!(
        envelope["request_id"]
            .as_str()
            .is_some_and(|id| !id.is_empty())
    );
    envelope
}

async fn data(sim: &MindShowHandle, path: &str, body: Value) -> Value {
    let envelope = post(sim, path, body).await;
    assert_eq!(
        (&envelope["code"], &envelope["info"]),
        (&json!(0), &json!("succ")),
        "{envelope}"
    );
    envelope["data"].clone()
}

async fn code(sim: &MindShowHandle, path: &str, body: Value) -> i64 {
    post(sim, path, body).await["code"].as_i64().unwrap()
}

fn markdown(title: &str) -> Value {
    json!({"speaker": "", "content": format!("# {title}\n## One\n### Page\n#### point\ntext")})
}

async fn create(sim: &MindShowHandle, title: &str) -> String {
    let data = data(sim, "job/ppt_create_by_markdown", markdown(title)).await;
    data["job"]["id"].as_str().unwrap().to_owned()
}

async fn job(sim: &MindShowHandle, id: &str) -> Value {
    data(sim, "job/get", json!({ "id": id })).await["job"].clone()
}

async fn get(url: &str) -> Answer {
    ask("GET", url, &[], b"").await.unwrap().unwrap()
}

fn spent(sim: &MindShowHandle) -> Vec<i64> {
    sim.charges().iter().map(Charge::credits).collect()
}

fn part(bytes: &[u8], name: &str) -> String {
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes.to_vec())).unwrap();
    let mut text = String::new();
    archive
        .by_name(name)
        .unwrap()
        .read_to_string(&mut text)
        .unwrap();
    text
}

#[tokio::test]
async fn topic_becomes_a_deck_and_a_pdf_and_costs_what_is_documented() {
    let sim = still(MindShowOptions::default()).await;
    let request = json!({"speaker": "me", "type": "topic", "content": "Autumn leaves", "page_count": 4, "language": "en"});
    let created = data(&sim, "job/ppt_create_by_gpt", request).await;
    assert_eq!(created["create_log_url"], "");
    let fresh = &created["job"];
    assert_eq!(
        (&fresh["status"], &fresh["ppt_url"]),
        (&json!("queued"), &json!(""))
    );
    assert_eq!(
        (&fresh["queue_wait_count"], &fresh["progress_percent"]),
        (&json!(3), &json!(100))
    );
    assert_eq!(
        (&fresh["created_at"], &fresh["finished_at"]),
        (&json!("2027-01-15T16:00:00+08:00"), &json!(""))
    );
    let id = fresh["id"].as_str().unwrap().to_owned();
    assert_eq!(spent(&sim), [12]);

    pass(&sim, 48);
    let running = job(&sim, &id).await;
    assert_eq!(
        (&running["status"], &running["progress_percent"]),
        (&json!("running"), &json!(50))
    );
    pass(&sim, 45);
    let done = job(&sim, &id).await;
    assert_eq!(
        (&done["status"], &done["progress_percent"]),
        (&json!("succeeded"), &json!(0))
    );
    assert_eq!(done["finished_at"], "2027-01-15T16:01:33+08:00");
    let url = done["ppt_url"].as_str().unwrap();
    assert!(url.starts_with(&sim.file_url_base()) && sim.file_url_base() != sim.api_url());
    let deck = get(url).await;
    assert_eq!(deck.status, 200);
    assert_eq!(Some(deck.body.clone()), sim.deck(&id).map(Vec::from));
    assert!(part(&deck.body, "ppt/slides/slide1.xml").contains("Autumn leaves"));
    assert!(part(&deck.body, "[Content_Types].xml").contains("/ppt/slides/slide7.xml"));

    let first = data(&sim, "job/get_pdf", json!({"id": id, "async_flag": true})).await;
    assert_eq!(
        (&first["status"], &first["pdf_url"]),
        (&json!("queued"), &json!(""))
    );
    pass(&sim, 18);
    let pdf = data(&sim, "job/get_pdf", json!({"id": id, "async_flag": true})).await;
    assert_eq!(pdf["status"], "succeeded");
    let pdf = get(pdf["pdf_url"].as_str().unwrap()).await;
    let document = lopdf::Document::load_mem(&pdf.body).unwrap();
    assert_eq!(document.get_pages().len(), sim.jobs()[0].slides);
    assert!(
        document
            .extract_text(&[1])
            .unwrap()
            .starts_with("Autumn leaves")
    );
    assert_eq!(spent(&sim), [12, 10]);
    let account = data(&sim, "account/info", json!({})).await;
    assert_eq!(account["score"], 100_000 - 22);
    let origins: Vec<&str> = sim
        .requests()
        .iter()
        .map(|request| request.origin)
        .collect();
    assert_eq!(
        origins
            .iter()
            .filter(|origin| **origin == "mindshow-files")
            .count(),
        2
    );
}

#[tokio::test]
async fn token_verb_and_body_are_checked_and_failures_have_no_data() {
    let sim = still(MindShowOptions::default()).await;
    let url = format!("{}/v1/account/info", sim.api_url());
    let token = format!("Bearer {}", sim.api_key());
    for headers in [
        vec![],
        vec![("authorization", "Bearer no")],
        vec![("authorization", &token[7..])],
    ] {
        let answer = ask("POST", &url, &headers, b"{}").await.unwrap().unwrap();
        assert_eq!((answer.status, answer.code()), (200, 10_001));
        assert!(answer.json().get("data").is_none());
    }
    sim.change_options(|options| options.token_http_status = 401);
    assert_eq!(
        ask("POST", &url, &[], b"{}").await.unwrap().unwrap().status,
        401
    );
    let headers = [("authorization", token.as_str())];
    assert_eq!(
        ask("GET", &url, &headers, b"")
            .await
            .unwrap()
            .unwrap()
            .status,
        405
    );
    assert_eq!(
        ask("POST", &format!("{url}s"), &headers, b"{}")
            .await
            .unwrap()
            .unwrap()
            .status,
        404
    );
    assert_eq!(
        ask("POST", &url, &headers, b"[]")
            .await
            .unwrap()
            .unwrap()
            .code(),
        10_002
    );
    assert_eq!(sim.counters().refusals[&10_001], 4);
    let ids: Vec<Value> = [
        post(&sim, "account/info", json!({})).await,
        post(&sim, "account/info", json!({})).await,
    ]
    .map(|envelope| envelope["request_id"].clone())
    .into();
    assert_ne!(ids[0], ids[1]);
}

#[tokio::test]
async fn create_calls_are_checked_field_by_field_and_cost_nothing_when_refused() {
    let sim = still(MindShowOptions::default()).await;
    let mut untitled = markdown("T");
    untitled["template_id"] = json!("tpl-none");
    for (path, body, expected) in [
        ("ppt_create_by_markdown", json!({"content": "# T"}), 10_002),
        (
            "ppt_create_by_markdown",
            json!({"speaker": "", "content": ""}),
            10_002,
        ),
        (
            "ppt_create_by_markdown",
            json!({"speaker": "", "content": "# T", "create_ppt_flag": "yes"}),
            10_002,
        ),
        ("ppt_create_by_markdown", untitled, 10_003),
        (
            "ppt_create_by_gpt",
            json!({"speaker": "", "type": "poem", "content": "x"}),
            10_002,
        ),
        (
            "ppt_create_by_json",
            json!({"page_list": [{"type": "poem"}]}),
            10_002,
        ),
        ("ppt_create_by_json", json!({}), 10_002),
        (
            "ppt_create_by_ppt",
            json!({"resource_id": "res-none", "ai_content_flag": true}),
            10_005,
        ),
        ("get_pdf", json!({"id": "none", "async_flag": true}), 10_003),
        ("get_pdf", json!({"id": "none"}), 10_002),
        ("get", json!({}), 10_002),
        ("get", json!({"id": "none"}), 10_003),
    ] {
        assert_eq!(
            code(&sim, &format!("job/{path}"), body).await,
            expected,
            "{path}"
        );
    }
    assert!(sim.jobs().is_empty() && sim.charges().is_empty());
    sim.change_options(|options| options.score = 9);
    assert_eq!(
        code(&sim, "job/ppt_create_by_markdown", markdown("T")).await,
        10_004
    );
    assert!(sim.jobs().is_empty() && sim.charges().is_empty());
}

#[tokio::test]
async fn lost_answer_leaves_job_and_charge_and_a_repetition_makes_both_twice() {
    let sim = still(MindShowOptions::default()).await;
    sim.set_fault(
        "ppt_create_by_markdown",
        Fault::DropAfterCommit { reset: false },
    );
    assert!(
        try_post(&sim, "job/ppt_create_by_markdown", &markdown("T"))
            .await
            .is_none()
    );
    assert_eq!((sim.jobs().len(), spent(&sim)), (1, vec![10]));
    create(&sim, "T").await;
    assert_eq!((sim.jobs().len(), spent(&sim)), (2, vec![10, 10]));
    let list = data(&sim, "job/list", json!({})).await;
    assert_eq!(list["list"][0]["title"], list["list"][1]["title"]);
    assert_eq!(list["after"], "");
    let log = data(&sim, "account/score_log", json!({"limit": 1})).await;
    assert_eq!(
        log["list"],
        json!([{
            "title": "生成PPT", "log_time": "2027-01-15T16:00:00+08:00",
            "original_score": 99_990, "modified_score": -10, "final_score": 99_980
        }])
    );
    let older = data(&sim, "account/score_log", json!({"after": log["after"]})).await;
    assert_eq!(
        (&older["list"][0]["original_score"], &older["after"]),
        (&json!(100_000), &json!(""))
    );
}

#[tokio::test]
async fn pages_without_deck_flag_succeed_without_deck() {
    let sim = still(MindShowOptions::default()).await;
    let pages = json!([{"type": "cover", "title": "C"}, {"type": "finish"}]);
    let plain = data(&sim, "job/ppt_create_by_json", json!({"page_list": pages})).await;
    let with = data(
        &sim,
        "job/ppt_create_by_json",
        json!({"page_list": pages, "create_ppt_flag": true}),
    )
    .await;
    pass(&sim, 60);
    let url = async |created: &Value| {
        job(&sim, created["job"]["id"].as_str().unwrap()).await["ppt_url"].clone()
    };
    assert_eq!(url(&plain).await, "");
    assert_eq!(get(url(&with).await.as_str().unwrap()).await.status, 200);
    assert_eq!(spent(&sim), [10, 10]);
}

#[tokio::test]
async fn signed_address_works_only_unchanged_and_for_a_week() {
    let sim = still(MindShowOptions::default()).await;
    let id = create(&sim, "年度 总结").await;
    pass(&sim, 18);
    let url = job(&sim, &id).await["ppt_url"].as_str().unwrap().to_owned();
    assert_eq!(get(&url).await.status, 200);
    let cut = url.split_once('?').unwrap().0.to_owned();
    let decoded = url.replace("%3D", "=");
    let again = url.replace('%', "%25");
    let lower = url.replace("%E5", "%e5");
    let longer = format!("{url}&x=1");
    for changed in [cut, decoded, again, lower, longer] {
        assert_ne!(changed, url);
        assert_eq!(get(&changed).await.status, 403, "{changed}");
    }
    assert_eq!(
        get(&format!("{}/ppt/none.pptx", sim.file_url_base()))
            .await
            .status,
        404
    );
    pass(&sim, 7 * 86_400 - 1);
    assert_eq!(get(&url).await.status, 200);
    pass(&sim, 1);
    assert_eq!(get(&url).await.status, 403);
    // The job's own address dies with it, unless looks renew it.
    assert_eq!(job(&sim, &id).await["ppt_url"], url.as_str());
    sim.change_options(|options| options.links_renewed = true);
    let fresh = job(&sim, &id).await["ppt_url"].as_str().unwrap().to_owned();
    assert_eq!(get(&fresh).await.status, 200);
    assert_eq!(sim.counters().downloads, 3);
}

#[tokio::test]
async fn list_items_lack_two_fields_and_pages_neither_repeat_nor_hide() {
    let sim = still(MindShowOptions::default()).await;
    for title in ["a", "b", "c"] {
        create(&sim, title).await;
    }
    let titles = |page: &Value| -> Vec<String> {
        let list = page["list"].as_array().unwrap();
        list.iter()
            .map(|job| job["title"].as_str().unwrap().to_owned())
            .collect()
    };
    let first = data(&sim, "job/list", json!({"limit": 2})).await;
    assert_eq!(titles(&first), ["c", "b"]);
    let item = first["list"][0].as_object().unwrap();
    assert!(!item.contains_key("queue_wait_count") && !item.contains_key("preview_img_list"));
    create(&sim, "d").await;
    let second = data(
        &sim,
        "job/list",
        json!({"limit": 2, "after": first["after"]}),
    )
    .await;
    assert_eq!(
        (titles(&second), &second["after"]),
        (vec!["a".to_owned()], &json!(""))
    );
    sim.change_options(|options| options.offset_cursors = true);
    let first = data(&sim, "job/list", json!({"limit": 2})).await;
    create(&sim, "e").await;
    let second = data(
        &sim,
        "job/list",
        json!({"limit": 2, "after": first["after"]}),
    )
    .await;
    assert_eq!(
        (titles(&first), titles(&second)),
        (
            vec!["d".to_owned(), "c".to_owned()],
            vec!["c".to_owned(), "b".to_owned()]
        )
    );
    assert_eq!(code(&sim, "job/list", json!({"after": "?"})).await, 10_002);
}

#[tokio::test]
async fn export_charges_by_each_of_the_three_readings() {
    for (rule, expected) in [
        (PdfCharge::FirstOnly, vec![10, 10]),
        (PdfCharge::EachRun, vec![10, 10, 10]),
        (PdfCharge::EveryCall, vec![10, 10, 10, 10, 10]),
    ] {
        let sim = still(MindShowOptions {
            pdf_charge: rule,
            ..MindShowOptions::default()
        })
        .await;
        let id = create(&sim, "T").await;
        let ask = json!({"id": id, "async_flag": true});
        assert_eq!(code(&sim, "job/get_pdf", ask.clone()).await, 10_007);
        pass(&sim, 18);
        for _ in 0..4 {
            data(&sim, "job/get_pdf", ask.clone()).await;
            pass(&sim, 9);
        }
        assert_eq!(spent(&sim), expected, "{rule:?}");
        assert_eq!(sim.counters().pdf_calls, 4);
    }
}

#[tokio::test]
async fn blocking_export_answers_at_its_end_and_keeps_the_job_on_a_dropped_answer() {
    let sim = still(MindShowOptions {
        queued_seconds: 0.0,
        pdf_seconds: 0.0,
        plain_seconds: 0.0,
        ..MindShowOptions::default()
    })
    .await;
    let id = create(&sim, "T").await;
    sim.set_fault("get_pdf", Fault::DropAfterCommit { reset: true });
    let ask_pdf = json!({"id": id, "async_flag": false});
    let token = format!("Bearer {}", sim.api_key());
    let url = format!("{}/v1/job/get_pdf", sim.api_url());
    let lost = ask(
        "POST",
        &url,
        &[("authorization", &token)],
        ask_pdf.to_string().as_bytes(),
    )
    .await;
    assert!(lost.is_err());
    let pdf = data(&sim, "job/get_pdf", ask_pdf).await;
    assert_eq!(pdf["status"], "succeeded");
    let bytes = get(pdf["pdf_url"].as_str().unwrap()).await.body;
    assert!(bytes.starts_with(b"%PDF-"));
    assert_eq!(Some(bytes), sim.pdf(&id).map(Vec::from));
    assert_eq!(spent(&sim), [10, 10]);
}

async fn upload(sim: &MindShowHandle, part: &str, name: &str, bytes: &[u8]) -> Value {
    let token = format!("Bearer {}", sim.api_key());
    let url = format!("{}/v1/resource/upload", sim.api_url());
    let body = form(&[(part, Some(name), None, bytes)]);
    ask("POST", &url, &[("authorization", &token), FORM], &body)
        .await
        .unwrap()
        .unwrap()
        .json()
}

#[tokio::test]
async fn uploads_have_a_size_a_format_a_name_and_a_day_to_live() {
    let sim = still(MindShowOptions {
        max_upload_bytes: 100_000,
        ..MindShowOptions::default()
    })
    .await;
    assert_eq!(
        upload(&sim, "document", "a.txt", b"x").await["code"],
        10_002
    );
    assert_eq!(upload(&sim, "file", "a.exe", b"x").await["code"], 10_006);
    assert_eq!(
        upload(&sim, "file", "a.txt", &vec![b'x'; 100_001]).await["code"],
        10_006
    );
    assert_eq!(upload(&sim, "file", "a.txt", b"").await["code"], 10_006);
    let source = create(&sim, "Source").await;
    let deck = sim.deck(&source).unwrap();
    let resource = upload(&sim, "file", "mine.pptx", &deck).await["data"]["resource_id"].clone();
    let text =
        upload(&sim, "file", "a.txt", "First\n\nSecond\n".as_bytes()).await["data"]["resource_id"]
            .clone();
    let wrong = json!({"resource_id": text, "ai_content_flag": false});
    assert_eq!(code(&sim, "job/ppt_create_by_ppt", wrong).await, 10_005);

    let request = json!({"resource_id": resource, "ai_content_flag": false, "with_create_log_flag": true, "create_preview_image_type": "top3"});
    let created = data(&sim, "job/ppt_create_by_ppt", request).await;
    let template = data(
        &sim,
        "job/template_create_by_ppt",
        json!({"resource_id": resource}),
    )
    .await;
    pass(&sim, 93);
    assert_eq!(spent(&sim), [10, 20, 10]);
    assert!(
        get(created["create_log_url"].as_str().unwrap())
            .await
            .body
            .starts_with(b"data: {")
    );
    let beautified = job(&sim, created["job"]["id"].as_str().unwrap()).await;
    let bytes = get(beautified["ppt_url"].as_str().unwrap()).await.body;
    assert!(part(&bytes, "ppt/slides/slide3.xml").contains("<a:t>Page</a:t>"));
    let previews = beautified["preview_img_list"].as_array().unwrap();
    assert_eq!(previews.len(), 3);
    assert!(
        get(previews[2].as_str().unwrap())
            .await
            .body
            .starts_with(b"\x89PNG")
    );
    let made = job(&sim, template["job"]["id"].as_str().unwrap()).await;
    assert_eq!(made["ppt_url"], "");
    let private = data(&sim, "template/list", json!({"type": "private"})).await;
    assert_eq!(private["list"][0]["template_id"], made["template_id"]);
    let mut dressed = markdown("T");
    dressed["template_id"] = made["template_id"].clone();
    assert_eq!(code(&sim, "job/ppt_create_by_markdown", dressed).await, 0);

    pass(&sim, 86_400 - 93);
    let late = json!({"resource_id": resource});
    assert_eq!(code(&sim, "job/template_create_by_ppt", late).await, 10_005);
}

#[tokio::test]
async fn failed_odd_and_endless_jobs_show_their_words_and_absent_times_their_forms() {
    let sim = still(MindShowOptions::default()).await;
    for outcome in [
        Outcome::Failed {
            error: "no luck".to_owned(),
        },
        Outcome::Word {
            word: "paused".to_owned(),
        },
        Outcome::Never,
    ] {
        sim.next_outcome(outcome);
    }
    let ids = [
        create(&sim, "a").await,
        create(&sim, "b").await,
        create(&sim, "c").await,
    ];
    pass(&sim, 60);
    let failed = job(&sim, &ids[0]).await;
    assert_eq!(
        (&failed["status"], &failed["error"], &failed["ppt_url"]),
        (&json!("failed"), &json!("no luck"), &json!(""))
    );
    assert_eq!(job(&sim, &ids[1]).await["status"], "paused");
    let endless = job(&sim, &ids[2]).await;
    assert_eq!(
        (&endless["status"], &endless["finished_at"]),
        (&json!("running"), &json!(""))
    );
    assert!(endless.get("trace_info").is_some());
    sim.change_options(|options| {
        options.absent_times = AbsentTime::Null;
        options.extra_fields = false;
    });
    let endless = job(&sim, &ids[2]).await;
    assert!(endless["finished_at"].is_null() && endless.get("trace_info").is_none());
    sim.change_options(|options| options.absent_times = AbsentTime::Missing);
    assert!(job(&sim, &ids[2]).await.get("finished_at").is_none());
    sim.set_fault(
        "job_get",
        Fault::UnknownWord {
            word: "thinking".to_owned(),
        },
    );
    assert_eq!(job(&sim, &ids[0]).await["status"], "thinking");
}

#[tokio::test]
async fn remaining_operations_answer_in_their_documented_forms() {
    let sim = still(MindShowOptions::default()).await;
    let id = create(&sim, "T").await;
    let quality = data(&sim, "job/get_quality_check_data", json!({"id": id})).await;
    assert_eq!(
        quality["page_list"][2],
        json!({"text": "Page\npoint\ntext", "img_list": []})
    );
    let jump = data(
        &sim,
        "job/get_jump_link",
        json!({"id": id, "theme": "dark"}),
    )
    .await;
    assert!(
        get(jump["url"].as_str().unwrap())
            .await
            .body
            .starts_with(b"<!DOCTYPE html>")
    );
    assert_eq!(
        code(
            &sim,
            "job/get_jump_link",
            json!({"id": id, "theme": "blue"})
        )
        .await,
        10_002
    );
    assert_eq!(data(&sim, "job/del", json!({"id": id})).await, json!({}));
    assert_eq!(code(&sim, "job/del", json!({"id": id})).await, 10_003);

    let page = data(&sim, "template/list", json!({"limit": 20})).await;
    let rest = data(
        &sim,
        "template/list",
        json!({"limit": 20, "after": page["after"]}),
    )
    .await;
    assert_eq!(
        (
            page["list"].as_array().unwrap().len(),
            rest["list"].as_array().unwrap().len()
        ),
        (20, 4)
    );
    assert_eq!(rest["after"], "");
    let one = data(&sim, "template/get", json!({"template_id": "tpl-public-5"})).await;
    assert_eq!(one["item"]["vip_flag"], true);
    assert_eq!(
        code(&sim, "template/get", json!({"template_id": "none"})).await,
        10_003
    );
    let tags = data(&sim, "template/tag_cfg", json!({})).await;
    assert_eq!(tags["color_list"][0]["color"], "#C00000");

    let made = data(
        &sim,
        "advance_template/add",
        json!({"page_id": "p", "title": "A"}),
    )
    .await;
    let key = json!({"id": made["item"]["id"], "title": "B"});
    assert_eq!(
        data(&sim, "advance_template/set", key.clone()).await["item"]["title"],
        "B"
    );
    let shown = data(&sim, "advance_template/get", key.clone()).await;
    let document: Value =
        serde_json::from_str(shown["item"]["input_args"].as_str().unwrap()).unwrap();
    assert!(document.is_object());
    assert_eq!(
        data(&sim, "advance_template/list", json!({})).await["list"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    data(&sim, "advance_template/del", key.clone()).await;
    assert_eq!(code(&sim, "advance_template/get", key).await, 10_003);
}

#[tokio::test]
async fn control_endpoint_shows_the_ledger_and_patches_the_rules() {
    let sim = still(MindShowOptions::default()).await;
    create(&sim, "T").await;
    let url = |path: &str| format!("{}/_sim/{path}", sim.api_url());
    let state = get(&url("state")).await.json();
    assert_eq!(
        (&state["score"], &state["charges"][0]["final_score"]),
        (&json!(99_990), &json!(99_990))
    );
    assert_eq!(state["jobs"][0]["request"]["speaker"], "");
    let patch = json!({"score": 5, "pdf_charge": "every_call", "stream": {"chunk_bytes": 1}});
    let patched = ask("POST", &url("options"), &[], patch.to_string().as_bytes())
        .await
        .unwrap()
        .unwrap();
    assert_eq!((patched.status, &patched.json()["score"]), (200, &json!(5)));
    assert_eq!(sim.options().pdf_charge, PdfCharge::EveryCall);
    assert_eq!(sim.options().stream.chunk_bytes, Some(1));
    assert_eq!(sim.score(), -5);
    sim.reset();
    assert_eq!(
        (sim.jobs().len(), sim.score(), sim.requests().len()),
        (0, 5, 0)
    );
}
