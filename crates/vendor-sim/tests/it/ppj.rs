//! The PPJ simulator as its clients see it: both flavours, callbacks and faults.

use std::collections::VecDeque;
use std::io::{Cursor, Read, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use vendor_sim::ppj::{CallbackMode, Outcome};
use vendor_sim::{Fault, Ppj, PpjHandle, PpjOptions, Site, VirtualClock};

use crate::client::{Answer, FORM, Part, ask, form, until};

const TEXT: Part<'static> = ("file_source", Some("a.txt"), None, b"abc");
/// MD5 of "abc", RFC 1321, appendix A.5.
const MD5: &str = "900150983cd24fb0d6963f7d28e17f72";

async fn still(options: PpjOptions) -> PpjHandle {
    Ppj::start_at(&Site::with_clock(VirtualClock::manual()), options)
        .await
        .unwrap()
}

fn pass(sim: &PpjHandle, seconds: u64) {
    assert!(sim.clock().advance(Duration::from_secs(seconds)));
}

async fn get(sim: &PpjHandle, path: &str) -> Answer {
    let key = sim.access_key();
    ask(
        "GET",
        &format!("{}{path}", sim.api_url()),
        &[("x-ppj-credential", &key)],
        b"",
    )
    .await
    .unwrap()
    .unwrap()
}

async fn try_create(sim: &PpjHandle, parts: &[Part<'_>]) -> std::io::Result<Option<Answer>> {
    let (key, url) = (sim.access_key(), format!("{}jobs", sim.api_url()));
    ask(
        "POST",
        &url,
        &[("x-ppj-credential", &key), FORM],
        &form(parts),
    )
    .await
}

async fn create(sim: &PpjHandle, parts: &[Part<'_>]) -> String {
    let answer = try_create(sim, parts).await.unwrap().unwrap();
    assert_eq!(
        answer.status,
        200,
        "{:?}",
        String::from_utf8_lossy(&answer.body)
    );
    answer.json()["token"].as_str().unwrap().to_owned()
}

async fn state(sim: &PpjHandle, token: &str) -> Value {
    get(sim, &format!("jobs/{token}")).await.json()["state"].clone()
}

fn error(answer: &Answer) -> (u16, String) {
    assert!(answer.json()["message"].is_string());
    (
        answer.status,
        answer.json()["type"].as_str().unwrap().to_owned(),
    )
}

/// A presentation with one text a slide.
fn pptx(slides: &[&str]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (number, text) in (1..).zip(slides) {
        zip.start_file(
            format!("ppt/slides/slide{number}.xml"),
            zip::write::SimpleFileOptions::default(),
        )
        .unwrap();
        write!(
            zip,
            "<p:sld><a:p><a:r><a:t>{text}</a:t></a:r></a:p></p:sld>"
        )
        .unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn index_html(bytes: &[u8]) -> String {
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes.to_vec())).unwrap();
    let mut text = String::new();
    archive
        .by_name("index.html")
        .unwrap()
        .read_to_string(&mut text)
        .unwrap();
    text
}

#[tokio::test]
async fn presentation_becomes_a_bundle_of_its_slides_and_takes_one_project() {
    let sim = still(PpjOptions {
        permanents: Some(5),
        ..PpjOptions::default()
    })
    .await;
    let file = pptx(&["Hello", "二 &amp; 三"]);
    let answer = try_create(&sim, &[("file_source", Some("my talk.pptx"), None, &file)])
        .await
        .unwrap()
        .unwrap();
    let job = answer.json();
    assert_eq!(
        (job["state"].as_str(), job["name"].as_str()),
        (Some("uploading"), Some("my talk"))
    );
    assert_eq!(job["source_filename"], "my talk.pptx");
    assert_eq!(job["source_filesize"], file.len());
    assert_eq!(
        (&job["total_pages"], &job["last_error"]),
        (&Value::Null, &Value::Null)
    );
    // The hand-moved clock begins at this time of day.
    assert_eq!(job["created_at"], "2027-01-15T08:00:00.000Z");
    assert_eq!(job["created_at_in_ts"], 1_800_000_000);
    let token = job["token"].as_str().unwrap().to_owned();

    let early = get(&sim, &format!("jobs/{token}/download")).await;
    assert_eq!(error(&early), (400, "Error".to_owned()));
    pass(&sim, 90);
    let done = get(&sim, &format!("jobs/{token}")).await.json();
    assert_eq!(
        (done["state"].as_str(), done["total_pages"].as_u64()),
        (Some("completed"), Some(2))
    );
    let bundle = get(&sim, &format!("jobs/{token}/download")).await;
    assert_eq!(bundle.header("content-type"), Some("application/zip"));
    let attached = format!("attachment; filename=\"{token}.zip\"");
    assert_eq!(
        bundle.header("content-disposition"),
        Some(attached.as_str())
    );
    let page = index_html(&bundle.body);
    assert!(
        page.contains("<h1>Hello</h1>") && page.contains("<h1>二 &amp; 三</h1>"),
        "{page}"
    );
    assert_eq!(Some(bundle.body), sim.bundle(&token).map(Vec::from));

    assert_eq!(sim.charges().len(), 1);
    let quotas = get(&sim, "quotas").await.json();
    assert_eq!(
        quotas,
        json!({"summary": {"permanents": 5, "permanents_left": 4}})
    );
    sim.change_options(|options| options.permanents = None);
    let unlimited = json!({"summary": {"permanents": null, "permanents_left": null}});
    assert_eq!(get(&sim, "quotas").await.json(), unlimited);

    pass(&sim, 3 * 86_400);
    assert_eq!(state(&sim, &token).await, "deleted");
    let purged = get(&sim, &format!("jobs/{token}/download")).await;
    assert_eq!(purged.status, 400);
    assert_eq!(
        get(&sim, "jobs").await.json(),
        json!({"count": 1, "tokens": [token]})
    );
}

#[tokio::test]
async fn access_key_goes_in_header_or_query_and_wrong_ones_get_401() {
    let sim = still(PpjOptions::default()).await;
    let url = format!("{}jobs", sim.api_url());
    let key = sim.access_key();
    let status = async |url: &str, headers: &[(&str, &str)]| {
        ask("GET", url, headers, b"").await.unwrap().unwrap()
    };
    assert_eq!(
        status(&format!("{url}?_credential={key}"), &[])
            .await
            .status,
        200
    );
    let none = status(&url, &[]).await;
    assert_eq!(error(&none), (401, "UnauthorizedError".to_owned()));
    assert_eq!(
        status(&url, &[("x-ppj-credential", "no")]).await.status,
        401
    );
    sim.change_options(|options| options.allow_list = Some(vec![]));
    let outside = status(&url, &[("x-ppj-credential", &key)]).await;
    assert_eq!(error(&outside), (403, "PermissionError".to_owned()));
    sim.change_options(|options| options.refuse_plain_http = true);
    assert_eq!(
        status(&url, &[("x-ppj-credential", &key)]).await.status,
        400
    );
    assert_eq!(
        error(&get(&sim, "nowhere").await),
        (404, "NotFoundError".to_owned())
    );
}

#[tokio::test]
async fn create_is_checked_before_anything_is_made() {
    let sim = still(PpjOptions {
        max_file_bytes: 10,
        ..PpjOptions::default()
    })
    .await;
    let wrong = [TEXT, ("file_md5", None, None, b"0123")];
    let big = [(
        "file_source",
        Some("a.ppt"),
        None,
        b"12345678901".as_slice(),
    )];
    let empty = [("file_source", Some("a.ppt"), None, b"".as_slice())];
    let no_file = [("file_md5", None, None, MD5.as_bytes())];
    for parts in [&wrong[..], &big, &empty, &no_file] {
        let answer = try_create(&sim, parts).await.unwrap().unwrap();
        assert_eq!(error(&answer), (400, "Error".to_owned()));
    }
    let (key, url) = (sim.access_key(), format!("{}jobs", sim.api_url()));
    let json = ask("POST", &url, &[("x-ppj-credential", &key)], b"{}")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(json.status, 400);
    assert!(sim.jobs().is_empty() && sim.charges().is_empty());
    // The digest may stand before or behind the file, in either case of letters.
    let md5 = MD5.to_uppercase();
    create(&sim, &[("file_md5", None, None, md5.as_bytes()), TEXT]).await;
    create(&sim, &[TEXT, ("file_md5", None, None, MD5.as_bytes())]).await;
    assert_eq!(sim.jobs()[0].md5, MD5);
    assert_ne!(sim.jobs()[0].token, sim.jobs()[1].token);
}

#[tokio::test]
async fn list_takes_the_start_in_and_leaves_the_end_out_and_ignores_unreadable_dates() {
    let sim = still(PpjOptions::default()).await;
    let one = create(&sim, &[TEXT]).await;
    pass(&sim, 60);
    let two = create(&sim, &[TEXT]).await;
    let tokens =
        async |query: &str| get(&sim, &format!("jobs?{query}")).await.json()["tokens"].clone();
    assert_eq!(
        tokens("start_date=2027-01-15T08:00:00Z").await,
        json!([two, one])
    );
    assert_eq!(
        tokens("start_date=2027-01-15T08:00:01Z").await,
        json!([two])
    );
    assert_eq!(tokens("end_date=2027-01-15T08:01:00Z").await, json!([one]));
    assert_eq!(
        tokens("start_date=2027-01-15T16:01:00%2B08:00").await,
        json!([two])
    );
    // An unencoded plus arrives as a space.
    assert_eq!(
        tokens("start_date=2027-01-15T16:01:00+08:00").await,
        json!([two, one])
    );
    // No state filter in this flavour.
    assert_eq!(tokens("state=halted").await, json!([two, one]));
}

fn hmac(key: &str, message: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).unwrap();
    mac.update(message.as_bytes());
    hex::encode(mac.finalize().into_bytes())
}

struct Signer<'a>(&'a PpjHandle);

impl Signer<'_> {
    /// `signed` is the text's second and third line, as the client believes they should be.
    async fn call(
        &self,
        method: &str,
        target: &str,
        signed: &str,
        time: &str,
        body: &[u8],
    ) -> Answer {
        let derived = hmac(time, &self.0.app_secret());
        let signature = hmac(&derived, &format!("{method}\n{signed}"));
        let app = self.0.app_id();
        let headers = [
            ("x-ppj-credential", app.as_str()),
            ("x-ppj-timestamp", time),
            ("x-ppj-signature", &signature),
            ("accept", "application/vnd.ppj.v1+json"),
            FORM,
        ];
        let url = format!("{}{target}", self.0.signed_url());
        ask(method, &url, &headers, body).await.unwrap().unwrap()
    }

    async fn get(&self, target: &str, signed: &str) -> Answer {
        self.call("GET", target, signed, "1800000000", b"").await
    }
}

#[tokio::test]
async fn signed_flavour_answers_less_and_checks_the_path_that_was_asked_for() {
    let sim = still(PpjOptions::default()).await;
    let signer = Signer(&sim);
    let body = form(&[TEXT, ("file_md5", None, None, MD5.as_bytes())]);
    let signed = format!("/jobs\nfile_md5={MD5}");
    let created = signer
        .call("POST", "jobs", &signed, "1800000000", &body)
        .await;
    assert_eq!(created.status, 200, "{created:?}");
    let token = created.json()["token"].as_str().unwrap().to_owned();
    assert_eq!(created.json(), json!({ "token": token }));
    let alias = format!("/job/create\nfile_md5={MD5}");
    assert_eq!(
        signer
            .call("POST", "job/create", &alias, "1800000000", &body)
            .await
            .status,
        200
    );
    assert_eq!(
        signer
            .call("POST", "job/create", &signed, "1800000000", &body)
            .await
            .status,
        403
    );
    assert_eq!(sim.jobs().len(), 2);

    pass(&sim, 90);
    let pair = format!("token={token}");
    for target in [format!("jobs/{token}"), format!("jobs/{token}?{pair}")] {
        let shown = signer.get(&target, &format!("/jobs/{token}\n{pair}")).await;
        assert_eq!(shown.json(), json!({"state": "completed"}));
    }
    let alias = signer
        .get(
            &format!("job/status?{pair}"),
            &format!("/job/status\n{pair}"),
        )
        .await;
    assert_eq!(alias.json(), json!({"state": "completed"}));
    let wrong = signer
        .get(
            &format!("job/status?{pair}"),
            &format!("/jobs/{token}\n{pair}"),
        )
        .await;
    assert_eq!(error(&wrong), (403, "AuthenticationError".to_owned()));
    let unsigned_token = signer
        .get(&format!("jobs/{token}"), &format!("/jobs/{token}\n"))
        .await;
    assert_eq!(unsigned_token.status, 403);
    for (target, path) in [
        (
            format!("jobs/{token}/download"),
            format!("/jobs/{token}/download"),
        ),
        (format!("job/download?{pair}"), "/job/download".to_owned()),
    ] {
        let bundle = signer.get(&target, &format!("{path}\n{pair}")).await;
        assert!(index_html(&bundle.body).contains("a.txt"));
    }
    let raw = "/jobs\nend_date=2030-01-01T00:00:00+08:00&state=completed";
    let list = signer
        .get(
            "jobs?state=completed&end_date=2030-01-01T00%3A00%3A00%2B08%3A00&_x=1",
            raw,
        )
        .await;
    assert_eq!(list.json()["count"], 2);
    let halted = signer
        .get("job/list?state=halted", "/job/list\nstate=halted")
        .await;
    assert_eq!(halted.json(), json!({"count": 0, "tokens": []}));
}

#[tokio::test]
async fn signed_flavour_has_its_own_errors_and_a_timestamp_window_on_request() {
    let sim = still(PpjOptions::default()).await;
    let signer = Signer(&sim);
    let body = form(&[TEXT]);
    let no_md5 = signer
        .call("POST", "jobs", "/jobs\n", "1800000000", &body)
        .await;
    assert_eq!(error(&no_md5), (400, "ParserError".to_owned()));
    assert_eq!(
        error(&signer.get("jobs/none", "/jobs/none\ntoken=none").await),
        (404, "NotFoundError".to_owned())
    );
    let body = form(&[TEXT, ("file_md5", None, None, MD5.as_bytes())]);
    let signed = format!("/jobs\nfile_md5={MD5}");
    let created = signer.call("POST", "jobs", &signed, "1", &body).await;
    let token = created.json()["token"].as_str().unwrap().to_owned();
    let early = format!("/jobs/{token}/download\ntoken={token}");
    let early = signer.get(&format!("jobs/{token}/download"), &early).await;
    assert_eq!(error(&early), (400, "NotAcceptableError".to_owned()));
    sim.change_options(|options| options.timestamp_window_seconds = Some(300.0));
    let at = async |time: &str| {
        signer
            .call("GET", "jobs", "/jobs\n", time, b"")
            .await
            .status
    };
    assert_eq!((at("1800000300").await, at("1799999700").await), (200, 200));
    assert_eq!((at("1800000301").await, at("x").await), (403, 403));
    sim.change_options(|options| options.clock_skew_seconds = 10_000.0);
    assert_eq!((at("1800000000").await, at("1800010000").await), (403, 200));
    let key = ask(
        "GET",
        &format!("{}jobs", sim.signed_url()),
        &[("x-ppj-credential", "no")],
        b"",
    )
    .await;
    assert_eq!(
        error(&key.unwrap().unwrap()),
        (403, "AuthenticationError".to_owned())
    );
}

#[tokio::test]
async fn halted_job_says_why_and_has_no_bundle() {
    let sim = still(PpjOptions::default()).await;
    sim.next_outcome(Outcome::Halted {
        message: "password protected".to_owned(),
        code: 2,
    });
    let token = create(&sim, &[TEXT]).await;
    pass(&sim, 90);
    let job = get(&sim, &format!("jobs/{token}")).await.json();
    assert_eq!(
        (&job["state"], &job["last_error"]),
        (&json!("halted"), &json!("password protected"))
    );
    assert_eq!(
        get(&sim, &format!("jobs/{token}/download")).await.status,
        400
    );
}

#[tokio::test]
async fn faults_lose_answers_cut_bundles_and_speak_html() {
    let sim = still(PpjOptions::default()).await;
    sim.set_fault("create", Fault::DropAfterCommit { reset: false });
    assert!(try_create(&sim, &[TEXT]).await.unwrap().is_none());
    assert_eq!((sim.jobs().len(), sim.charges().len()), (1, 1));
    let token = sim.jobs()[0].token.clone();
    pass(&sim, 90);
    let whole = sim.bundle(&token).unwrap();
    let path = format!("jobs/{token}/download");
    sim.set_fault("download", Fault::CutBody { at: 100 });
    let cut = get(&sim, &path).await;
    assert_eq!(
        (cut.declared(), cut.body.as_slice()),
        (whole.len(), &whole[..100])
    );
    sim.set_fault("download", Fault::TruncatedJson {});
    let half = get(&sim, &path).await;
    assert_eq!(
        (half.declared(), half.body.len()),
        (whole.len() / 2, whole.len() / 2)
    );
    sim.set_fault("download", Fault::NonJson { body: None });
    assert!(get(&sim, &path).await.body.starts_with(b"<html>"));
    sim.set_fault(
        "show",
        Fault::UnknownWord {
            word: "napping".to_owned(),
        },
    );
    assert_eq!(state(&sim, &token).await, "napping");
    let maintenance = Fault::Status {
        status: 503,
        body: "<html>maintenance</html>".to_owned(),
        headers: vec![],
        after_commit: false,
    };
    sim.set_fault("create", maintenance);
    let answer = try_create(&sim, &[TEXT]).await.unwrap().unwrap();
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (503, Some("text/html; charset=utf-8"))
    );
    let redirect = Fault::Redirect {
        location: "http://127.0.0.1:9/elsewhere".to_owned(),
        status: Some(307),
    };
    sim.set_fault("create", redirect);
    assert_eq!(
        try_create(&sim, &[TEXT]).await.unwrap().unwrap().status,
        307
    );
    assert_eq!(sim.jobs().len(), 1);
}

/// The customer's server: echoes nonces, answers callbacks by a list of statuses and then with 200.
struct Customer {
    url: String,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Customer {
    async fn start(echo: bool, statuses: &[u16]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/notify?agent=7", listener.local_addr().unwrap());
        let heard = Arc::new(Mutex::new(Vec::new()));
        let (list, mut statuses) = (Arc::clone(&heard), VecDeque::from(statuses.to_vec()));
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut bytes = vec![0; 8192];
                let length = stream.read(&mut bytes).await.unwrap();
                let request = String::from_utf8_lossy(&bytes[..length]).into_owned();
                let line = request.lines().next().unwrap().to_owned();
                let (status, body) = match line.split_once("nonce=") {
                    Some((_, rest)) if echo => (
                        200,
                        json!({"nonce": rest.split(' ').next().unwrap()}).to_string(),
                    ),
                    Some(_) => (200, "{}".to_owned()),
                    None => {
                        list.lock().unwrap().push(request);
                        (statuses.pop_front().unwrap_or(200), String::new())
                    }
                };
                let answer = format!(
                    "HTTP/1.1 {status} x\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                    body.len()
                );
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        Self { url, heard }
    }

    fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }
}

#[tokio::test]
async fn address_that_does_not_echo_the_nonce_is_told_nothing() {
    let sim = still(PpjOptions::default()).await;
    let deaf = Customer::start(false, &[]).await;
    assert!(
        sim.verify_callback(&deaf.url)
            .await
            .unwrap_err()
            .contains("nonce")
    );
    assert!(
        sim.verify_callback("http://example.com/")
            .await
            .unwrap_err()
            .contains("loopback")
    );
    let token = create(&sim, &[TEXT]).await;
    pass(&sim, 90);
    assert_eq!(state(&sim, &token).await, "completed");
    assert!(deaf.heard().is_empty());
    assert_eq!(sim.callbacks().len(), 2);
}

#[tokio::test]
async fn callback_is_signed_and_repeated_by_the_schedule_until_it_is_accepted() {
    let sim = still(PpjOptions::default()).await;
    let customer = Customer::start(true, &[500, 302]).await;
    let set = format!("{}/_sim/callback", sim.origin_url());
    let body = json!({ "url": customer.url }).to_string();
    let verified = ask("POST", &set, &[], body.as_bytes())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (verified.status, verified.json()),
        (200, json!({"verified": true}))
    );
    let token = create(&sim, &[TEXT]).await;
    pass(&sim, 90);
    let told = |count: usize| {
        let sim = &sim;
        async move { until(|| sim.callbacks().len() == count + 1).await }
    };
    told(1).await;
    assert_eq!(state(&sim, &token).await, "notifying");
    assert_eq!(
        get(&sim, &format!("jobs/{token}/download")).await.status,
        200
    );
    pass(&sim, 14);
    tokio::task::yield_now().await;
    assert_eq!(sim.callbacks().len(), 2);
    pass(&sim, 44 - 14);
    told(2).await;
    pass(&sim, 74);
    told(3).await;
    until(|| sim.jobs()[0].state == "completed").await;
    let attempts: Vec<(u32, Option<u16>)> = sim.callbacks()[1..]
        .iter()
        .map(|callback| (callback.attempt, callback.status))
        .collect();
    assert_eq!(attempts, [(1, Some(500)), (2, Some(302)), (3, Some(200))]);
    // The signature covers the customer's own parameter too.
    let first = customer.heard()[0].clone();
    assert!(
        first.starts_with(&format!(
            "GET /notify?agent=7&token={token}&type=complete HTTP/1.1"
        )),
        "{first}"
    );
    let header = |name: &str| {
        let line = first.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_once(": ").unwrap().1.to_owned()
    };
    let derived = hmac(&header("x-ppj-timestamp"), &sim.app_secret());
    let text = format!("GET\n/notify\nagent=7&token={token}&type=complete");
    assert_eq!(header("x-ppj-signature"), hmac(&derived, &text));
}

async fn told_with(options: PpjOptions, jobs: usize, count: usize) -> (PpjHandle, Customer) {
    let sim = still(options).await;
    let customer = Customer::start(true, &[]).await;
    sim.verify_callback(&customer.url).await.unwrap();
    for _ in 0..jobs {
        create(&sim, &[TEXT]).await;
        pass(&sim, 1);
    }
    pass(&sim, 89);
    until(|| sim.callbacks().len() == 1 + count).await;
    (sim, customer)
}

#[tokio::test]
async fn callbacks_can_be_doubled_forged_late_lost_and_out_of_order() {
    let with = |callback| PpjOptions {
        callback,
        ..PpjOptions::default()
    };
    let (_sim, customer) = told_with(with(CallbackMode::Duplicate), 1, 2).await;
    until(|| customer.heard().len() == 2).await;
    let (sim, customer) = told_with(with(CallbackMode::Forged), 1, 2).await;
    assert!(sim.callbacks()[1].forged && !sim.callbacks()[2].forged);
    assert!(!customer.heard()[0].contains("x-ppj-signature"));
    let (sim, customer) = told_with(with(CallbackMode::Lost), 1, 0).await;
    until(|| sim.jobs()[0].state == "completed").await;
    assert!(customer.heard().is_empty());
    let (sim, _customer) = told_with(with(CallbackMode::Late { seconds: 500.0 }), 1, 0).await;
    assert_eq!(sim.jobs()[0].state, "notifying");
    pass(&sim, 500);
    until(|| sim.callbacks().len() == 2).await;
    let (sim, _customer) = told_with(with(CallbackMode::Swapped), 2, 0).await;
    pass(&sim, 10);
    until(|| sim.callbacks().len() == 3).await;
    let order: Vec<String> = sim.callbacks()[1..]
        .iter()
        .map(|told| told.token.clone())
        .collect();
    let jobs = sim.jobs();
    assert_eq!(order, [jobs[1].token.clone(), jobs[0].token.clone()]);
}

#[tokio::test]
async fn callback_may_come_before_the_answer_to_create() {
    let sim = still(PpjOptions {
        callback: CallbackMode::BeforeAnswer,
        ..PpjOptions::default()
    })
    .await;
    let customer = Customer::start(true, &[]).await;
    sim.verify_callback(&customer.url).await.unwrap();
    let token = create(&sim, &[TEXT]).await;
    assert_eq!(customer.heard().len(), 1);
    assert!(customer.heard()[0].contains(&token));
    assert_eq!(state(&sim, &token).await, "completed");
}

#[tokio::test]
async fn failure_is_told_with_its_code_and_as_a_form_if_asked() {
    let options = PpjOptions {
        callback_post: true,
        callback_signed: false,
        ..PpjOptions::default()
    };
    let sim = still(options).await;
    let customer = Customer::start(true, &[]).await;
    sim.verify_callback(&customer.url).await.unwrap();
    sim.next_outcome(Outcome::Halted {
        message: "no".to_owned(),
        code: 1,
    });
    let token = create(&sim, &[TEXT]).await;
    pass(&sim, 90);
    until(|| sim.callbacks().len() == 2).await;
    let heard = customer.heard()[0].clone();
    assert!(heard.starts_with("POST /notify?agent=7 HTTP/1.1"));
    assert!(!heard.contains("x-ppj-signature"));
    assert_eq!(
        sim.callbacks()[1].parameters,
        [("token", token.as_str()), ("type", "error"), ("code", "1")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
    );
    assert_eq!(state(&sim, &token).await, "halted");
}

#[tokio::test]
async fn silent_customer_is_given_up_after_all_attempts() {
    let sim = still(PpjOptions {
        callback_attempts: 3,
        completed_after_last_failure: true,
        ..PpjOptions::default()
    })
    .await;
    let customer = Customer::start(true, &[500; 9]).await;
    sim.verify_callback(&customer.url).await.unwrap();
    create(&sim, &[TEXT]).await;
    pass(&sim, 90);
    for attempt in 1..=3 {
        until(|| sim.callbacks().len() == 1 + attempt).await;
        pass(&sim, 100);
    }
    until(|| sim.jobs()[0].state == "completed").await;
    pass(&sim, 10_000);
    assert_eq!(customer.heard().len(), 3);
}
