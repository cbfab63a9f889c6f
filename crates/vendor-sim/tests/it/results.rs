//! The result host: who may read, in which form, how large, and what exports hold.

use std::time::Duration;

use serde_json::{Value, json};
use vendor_sim::TextInOptions;
use vendor_sim::textin::{ResultAccess, ResultForm};

use crate::client::{Answer, Caller, ask, no_rate, still};

async fn fetch(url: &str, headers: &[(&str, &str)]) -> Answer {
    ask("GET", url, headers, b"").await.unwrap().unwrap()
}

#[tokio::test]
async fn public_result_is_bare_by_default_and_enveloped_on_request() {
    let sim = still(no_rate()).await;
    let caller = Caller(&sim);
    let job_id = caller.submit("a.md", "# Title").await;
    let url = caller.result_url(&job_id).await;
    let bare = fetch(&url, &[]).await;
    assert_eq!(bare.status, 200);
    assert_eq!(bare.json()["markdown"], "# Title");
    assert_eq!(bare.json()["schema_version"], "1.3.1");
    assert!(bare.json().get("code").is_none());
    sim.change_options(|options| options.result_form = ResultForm::Enveloped);
    let enveloped = fetch(&url, &[]).await.json();
    assert_eq!(enveloped["code"], 200);
    assert_eq!(enveloped["data"], bare.json());
}

#[tokio::test]
async fn result_host_can_ask_for_credentials_in_two_manners() {
    let sim = still(TextInOptions {
        result_access: ResultAccess::Credentials,
        ..no_rate()
    })
    .await;
    let caller = Caller(&sim);
    let job_id = caller.submit("a.md", "text").await;
    let url = caller.result_url(&job_id).await;
    let wrong = [("x-ti-app-id", "sim-app-id"), ("x-ti-secret-code", "wrong")];
    assert_eq!(fetch(&url, &[]).await.status, 401);
    assert_eq!(fetch(&url, &wrong).await.status, 403);
    assert_eq!(caller.get(&url).await.json()["markdown"], "text");
    sim.change_options(|options| options.result_access = ResultAccess::CredentialsInEnvelope);
    let refused = fetch(&url, &[]).await;
    assert_eq!((refused.status, refused.code()), (200, 40101));
    assert_eq!(fetch(&url, &wrong).await.code(), 40102);
    assert_eq!(caller.get(&url).await.json()["markdown"], "text");
    // The record shows which requests carried a secret to this origin.
    let leaks = sim
        .requests()
        .iter()
        .filter(|request| request.origin == "textin-result")
        .fold(0, |leaks, request| {
            leaks + usize::from(request.header("x-ti-secret-code") == Some("sim-secret-code"))
        });
    assert_eq!(leaks, 2);
    assert_eq!(sim.counters().downloads, 2);
}

#[tokio::test]
async fn address_dies_by_time_and_a_fresh_poll_gives_another() {
    let sim = still(TextInOptions {
        result_lifetime_seconds: Some(30.0),
        ..no_rate()
    })
    .await;
    let caller = Caller(&sim);
    let job_id = caller.submit("a.md", "text").await;
    let first = caller.result_url(&job_id).await;
    sim.clock().advance(Duration::from_secs(29));
    assert_eq!(fetch(&first, &[]).await.status, 200);
    sim.clock().advance(Duration::from_secs(1));
    assert_eq!(fetch(&first, &[]).await.status, 403);
    let poll = caller.poll(&job_id).await.json();
    let second = poll["data"]["result_url"].as_str().unwrap();
    assert_ne!(first, second);
    assert_eq!(fetch(second, &[]).await.status, 200);
    sim.change_options(|options| options.result_access = ResultAccess::Expired);
    assert_eq!(fetch(second, &[]).await.status, 403);
}

#[tokio::test]
async fn changed_or_foreign_address_is_not_found() {
    let sim = still(no_rate()).await;
    let caller = Caller(&sim);
    let job_id = caller.submit("a.md", "text").await;
    let url = caller.result_url(&job_id).await;
    let mut changed = url.clone();
    let last = if changed.pop() == Some('0') { '1' } else { '0' };
    changed.push(last);
    assert_eq!(fetch(&changed, &[]).await.status, 404);
    assert_eq!(fetch(url.split('?').next().unwrap(), &[]).await.status, 404);
    assert_eq!(fetch(&url.replace(&job_id, "0"), &[]).await.status, 404);
}

#[tokio::test]
async fn result_of_a_chosen_size_has_that_length_digest_and_valid_json() {
    let size = 3_000_001_u64;
    for form in [ResultForm::Bare, ResultForm::Enveloped] {
        let sim = still(TextInOptions {
            result_bytes: Some(size),
            result_form: form,
            ..no_rate()
        })
        .await;
        let caller = Caller(&sim);
        let job_id = caller.submit("a.md", "# The text").await;
        let url = caller.result_url(&job_id).await;
        let answer = fetch(&url, &[]).await;
        assert_eq!(answer.declared() as u64, size);
        assert_eq!(answer.body.len() as u64, size);
        let known = sim.result_bytes(&job_id).unwrap();
        assert_eq!(known.len(), size);
        let again: Vec<u8> = known.pieces().flatten().collect();
        assert!(again == answer.body);
        let value = answer.json();
        let result = if form == ResultForm::Bare {
            &value
        } else {
            &value["data"]
        };
        assert_eq!(result["markdown"], "# The text");
        assert!(result["elements"].as_array().unwrap().len() > 2_000);
    }
}

#[tokio::test]
async fn interrupted_download_goes_on_by_range() {
    let sim = still(TextInOptions {
        result_bytes: Some(200_000),
        ..no_rate()
    })
    .await;
    let caller = Caller(&sim);
    let job_id = caller.submit("a.md", "text").await;
    let url = caller.result_url(&job_id).await;
    let whole = fetch(&url, &[]).await;
    let rest = fetch(&url, &[("range", "bytes=123456-")]).await;
    assert_eq!(rest.status, 206);
    assert_eq!(
        rest.header("content-range"),
        Some("bytes 123456-199999/200000")
    );
    assert!(rest.body == whole.body[123_456..]);
    assert_eq!(fetch(&url, &[("range", "bytes=200000-")]).await.status, 416);
    sim.change_options(|options| options.result_ranges = false);
    let ignored = fetch(&url, &[("range", "bytes=123456-")]).await;
    assert_eq!((ignored.status, ignored.body.len()), (200, 200_000));
}

#[tokio::test]
async fn exports_are_listed_and_downloaded_by_their_owner_until_they_expire() {
    let sim = still(no_rate()).await;
    let caller = Caller(&sim);
    let config = json!({"exports": [{"format": "docx"}, {"format": "pdf"}]});
    let job_id = caller
        .submit_with("a.md", "exported text", Some(config))
        .await;
    let url = caller.result_url(&job_id).await;
    let result = fetch(&url, &[]).await.json();
    let exports: Vec<&Value> = result["exports"].as_array().unwrap().iter().collect();
    assert_eq!(exports.len(), 2);
    let file = &exports[1]["file"];
    let address = format!(
        "{}/export_file/download?file_id={}",
        sim.api_url(),
        file["file_id"].as_str().unwrap()
    );
    let download = caller.get(&address).await;
    assert_eq!(download.header("content-type"), Some("application/pdf"));
    assert_eq!(download.body.len() as u64, file["size"].as_u64().unwrap());
    let pdf = lopdf::Document::load_mem(&download.body).unwrap();
    assert!(pdf.extract_text(&[1]).unwrap().contains("exported text"));
    let missing = caller.get(&address.replace(".pdf", ".xlsx")).await;
    assert_eq!(
        (missing.status, missing.json()["message"].as_str()),
        (404, Some("image does not exist"))
    );
    sim.clock().advance(Duration::from_secs(31 * 86_400));
    assert_eq!(caller.get(&address).await.status, 404);
}

#[tokio::test]
async fn image_comes_back_by_its_address() {
    let sim = still(no_rate()).await;
    let caller = Caller(&sim);
    let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec();
    png.extend_from_slice(&[0, 0, 0, 100, 0, 0, 0, 100]);
    let config = json!({"capabilities": {"include_image_data": true}}).to_string();
    let parts = [
        ("file", Some("a.png"), None, png.as_slice()),
        ("config", None, None, config.as_bytes()),
    ];
    let job_id = caller.post("async", &parts).await.json()["data"]["job_id"]
        .as_str()
        .unwrap()
        .to_owned();
    let url = caller.result_url(&job_id).await;
    let result = fetch(&url, &[]).await.json();
    let image = result["elements"][0]["image_data"]["image_url"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(fetch(&image, &[]).await.body, png);
    png[19] = 5;
    let small = caller
        .post("async", &[("file", Some("a.png"), None, png.as_slice())])
        .await;
    assert_eq!(small.code(), 40304);
}
