//! The HTTPS flavour: raw JSON in the vendor's words over real sockets. Vectors were made with another program.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use httpmock::{HttpMockRequest, HttpMockResponse, Mock, MockServer};
use jobs_core::disk::OutputPath;
use jobs_core::testing::ManualClock;
use jobs_core::vendor::Delivery;
use jobs_core::{Error, ErrorKind, JobId, Secret};
use printer_jobs::cloud::{
    CloudClient, CloudQuery, DeviceStatus, Framing, LoginQrType, ScanFile, ScanSource,
    WebhookEvent, WebhookKey, WebhookNotice, WebhookRequest,
};
use printer_jobs::{ListedJob, PrintOutcome, ReportNumbering, StatusFilter};
use serde_json::{Value, json};

const MODEL_SECRET: &str = "model-secret-1";
const TICKET: &str = "model-ticket-1";
const DEVICE_SECRET: &str = "device-secret-1";
/// 0x40 to 0x5f.
const KEY: &str = "QEFCQ0RFRkdISUpLTE1OT1BRUlNUVVZXWFlaW1xdXl8";
const PDF: &[u8] =
    b"%PDF-1.4\nsixty-four bytes and a few more, so that it has three blocks of its own.\n%%EOF\n";
const ENCRYPTED_PDF: &str = "26f50f299f4340336b0c4a8d182e705094a439f77a4114a9477c58710dbbf62a\
    09e54848e5239282bfe4e4961184ef77c22df89441039272cf6f51e0539a651e\
    4bb18bd9e7086a7ec317944617a83b1666d24e799938bcf53453b3c4c616d1ff";

fn secret(text: &str) -> Secret {
    Secret::new(text).unwrap()
}

struct Scene {
    server: MockServer,
    clock: ManualClock,
    client: CloudClient,
    model_tokens: Arc<AtomicUsize>,
    device_tokens: Arc<AtomicUsize>,
}

impl Scene {
    /// A cloud whose tokens are numbered as they are given out, without an `errcode`.
    async fn new() -> Self {
        let (server, clock) = (MockServer::start_async().await, ManualClock::new());
        let model_tokens = numbered(
            &server,
            "/openhw/get_model_token",
            json!({"model_id": "m-1", "model_secret": MODEL_SECRET, "model_ticket": TICKET}),
            "model_access_token",
        )
        .await;
        let device_tokens = numbered(
            &server,
            "/openhw/get_device_token",
            json!({"device_sn": "SN-1", "device_secret": DEVICE_SECRET}),
            "device_access_token",
        )
        .await;
        let client =
            CloudClient::builder("m-1", secret(MODEL_SECRET), "SN-1", secret(DEVICE_SECRET))
                .with_model_ticket(secret(TICKET))
                .with_base_url(format!("{}/openhw/", server.base_url()))
                .with_clock(clock.shared())
                .build()
                .unwrap();
        Self {
            server,
            clock,
            client,
            model_tokens,
            device_tokens,
        }
    }

    async fn answer(&self, path: &str, body: Value) -> Mock<'_> {
        let path = format!("/openhw/device/{path}");
        self.server
            .mock_async(|when, then| {
                when.method("POST").path(path);
                then.status(200).json_body(body);
            })
            .await
    }

    fn tokens(&self) -> (usize, usize) {
        let count = |it: &AtomicUsize| it.load(Ordering::SeqCst);
        (count(&self.model_tokens), count(&self.device_tokens))
    }
}

async fn numbered(
    server: &MockServer,
    path: &'static str,
    asked: Value,
    key: &'static str,
) -> Arc<AtomicUsize> {
    let count = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&count);
    server
        .mock_async(move |when, then| {
            when.method("POST").path(path).json_body(asked);
            then.respond_with(move |_: &HttpMockRequest| {
                let number = counter.fetch_add(1, Ordering::SeqCst) + 1;
                let answer = json!({key: format!("{key}-{number}"), "expires_in": 7200});
                HttpMockResponse::builder()
                    .status(200)
                    .body(answer.to_string())
                    .build()
            });
        })
        .await;
    count
}

fn page(ids: &[&str], next: Value) -> Value {
    let jobs: Vec<Value> = ids
        .iter()
        .map(|id| json!({"jobid": id, "open_userid": "u-1", "status": 0}))
        .collect();
    json!({"errcode": 0, "errmsg": "ok", "printer_job_list": jobs, "next_cursor": next})
}

fn ids(jobs: &[ListedJob]) -> Vec<&str> {
    jobs.iter().map(|job| job.id.as_str()).collect()
}

fn shows_no_secret(error: &Error) {
    let mut text = format!("{error} {error:?} {:?}", error.body_excerpt());
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text.push_str(&format!(" {cause} {cause:?}"));
        source = cause.source();
    }
    for secret in [MODEL_SECRET, TICKET, DEVICE_SECRET, KEY, "access_token-"] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
}

#[tokio::test]
async fn many_callers_share_one_request_for_each_token() {
    let scene = Scene::new().await;
    let list = scene
        .answer("get_printer_job_list", page(&["job-1"], json!("")))
        .await;
    let query = CloudQuery::all();
    let calls = (0..8).map(|_| scene.client.jobs(&query));
    for jobs in futures_util::future::join_all(calls).await {
        assert_eq!(ids(&jobs.unwrap()), ["job-1"]);
    }
    assert_eq!((scene.tokens(), list.calls()), ((1, 1), 8));
}

#[tokio::test]
async fn callers_that_wait_for_a_token_share_its_refusal() {
    let server = MockServer::start_async().await;
    let refused = server
        .mock_async(|when, then| {
            when.path("/get_model_token");
            then.status(200)
                .json_body(json!({"errcode": 600_038, "errmsg": "model-secret-1?"}));
        })
        .await;
    let client = CloudClient::builder("m-1", secret(MODEL_SECRET), "SN-1", secret(DEVICE_SECRET))
        .with_model_ticket(secret(TICKET))
        .with_base_url(server.base_url())
        .build()
        .unwrap();
    let query = CloudQuery::all();
    let calls = (0..8).map(|_| client.jobs(&query));
    for outcome in futures_util::future::join_all(calls).await {
        let error = outcome.unwrap_err();
        assert_eq!(error.code(), Some("600038"));
        shows_no_secret(&error);
    }
    assert_eq!(refused.calls(), 1);
    client.jobs(&query).await.unwrap_err();
    assert_eq!(refused.calls(), 2);
}

#[tokio::test]
async fn tokens_are_renewed_shortly_before_they_lapse() {
    let scene = Scene::new().await;
    scene
        .answer("get_printer_job_list", page(&[], json!("")))
        .await;
    for (after, tokens) in [(0, (1, 1)), (6899, (1, 1)), (1, (2, 2))] {
        scene.clock.advance(Duration::from_secs(after));
        scene.client.jobs(&CloudQuery::all()).await.unwrap();
        assert_eq!(scene.tokens(), tokens, "{after}");
    }
}

#[tokio::test]
async fn a_refused_token_is_replaced_once() {
    for code in [40_014, 42_001] {
        let scene = Scene::new().await;
        let stale = scene
            .server
            .mock_async(|when, then| {
                when.query_param("device_access_token", "device_access_token-1");
                then.status(200)
                    .json_body(json!({"errcode": code, "errmsg": "no device_access_token-1"}));
            })
            .await;
        let good = scene
            .server
            .mock_async(|when, then| {
                when.query_param("device_access_token", "device_access_token-2");
                then.status(200).json_body(page(&["job-1"], json!(null)));
            })
            .await;
        let jobs = scene.client.jobs(&CloudQuery::all()).await.unwrap();
        assert_eq!(ids(&jobs), ["job-1"]);
        assert_eq!((stale.calls(), good.calls()), (1, 1));
        assert_eq!(scene.tokens(), (1, 2));
    }
}

#[tokio::test]
async fn a_token_that_is_refused_again_speaks_against_the_secrets() {
    let scene = Scene::new().await;
    let list = scene
        .answer(
            "get_printer_job_list",
            json!({"errcode": 42_001, "errmsg": "device_access_token-2 model-ticket-1"}),
        )
        .await;
    let error = scene.client.jobs(&CloudQuery::all()).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.code()),
        (ErrorKind::Unauthenticated, Some("42001"))
    );
    assert_eq!((list.calls(), scene.tokens()), (2, (1, 2)));
    shows_no_secret(&error);
}

#[tokio::test]
async fn a_client_without_a_ticket_sends_nothing_and_says_what_is_missing() {
    let server = MockServer::start_async().await;
    let any = server
        .mock_async(|_, then| {
            then.status(200);
        })
        .await;
    let client = CloudClient::builder("m-1", secret(MODEL_SECRET), "SN-1", secret(DEVICE_SECRET))
        .with_base_url(server.base_url())
        .build()
        .unwrap();
    let error = client.jobs(&CloudQuery::all()).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.delivery()),
        (ErrorKind::Unauthenticated, Delivery::NotSent)
    );
    assert!(error.to_string().contains("model ticket"), "{error}");
    assert_eq!(any.calls(), 0);
    assert!(!format!("{client:?}").contains("secret-1"));
}

#[tokio::test]
async fn pages_are_followed_by_a_cursor_of_either_type() {
    for cursor in [json!("c-2"), json!(2)] {
        let scene = Scene::new().await;
        let asked = json!({"status": 0, "limit": 200, "cursor": cursor});
        let second = scene
            .server
            .mock_async(|when, then| {
                when.path("/openhw/device/get_printer_job_list")
                    .json_body(asked);
                then.status(200)
                    .json_body(page(&["job-2", "job-3"], json!("")));
            })
            .await;
        let first = scene
            .answer("get_printer_job_list", page(&["job-1", "job-2"], cursor))
            .await;
        let query = CloudQuery::all().with_status(StatusFilter::Unprinted);
        let jobs = scene.client.jobs(&query).await.unwrap();
        assert_eq!(ids(&jobs), ["job-1", "job-2", "job-3"]);
        assert_eq!(jobs[0].userid.as_deref(), Some("u-1"));
        assert_eq!((first.calls(), second.calls()), (1, 1));
    }
}

#[tokio::test]
async fn a_repeated_cursor_ends_the_list_with_an_error() {
    let scene = Scene::new().await;
    let list = scene
        .answer("get_printer_job_list", page(&["job-1"], json!("again")))
        .await;
    let error = scene.client.jobs(&CloudQuery::all()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnexpectedResponse);
    assert_eq!(list.calls(), 2);
}

#[tokio::test]
async fn ids_are_asked_for_two_hundred_at_a_time_and_none_not_at_all() {
    let scene = Scene::new().await;
    let list = scene
        .answer("get_printer_job_list", page(&["job-1"], json!("")))
        .await;
    let none: [&str; 0] = [];
    assert!(scene.client.jobs_by_id(&none).await.unwrap().is_empty());
    assert_eq!(list.calls(), 0);
    let many: Vec<String> = (0..201).map(|number| format!("job-{number}")).collect();
    assert_eq!(scene.client.jobs_by_id(&many).await.unwrap().len(), 2);
    assert_eq!(list.calls(), 2);
}

#[tokio::test]
async fn codes_of_this_flavour_have_their_kind_and_are_repeated_as_often_as_they_allow() {
    for (code, kind, calls) in [
        (45_009, ErrorKind::RateLimited, 7),
        (45_033, ErrorKind::RateLimited, 7),
        (-1, ErrorKind::Unavailable, 4),
        (301_042, ErrorKind::Unauthenticated, 1),
        (600_040, ErrorKind::NotFound, 1),
    ] {
        let scene = Scene::new().await;
        let list = scene
            .answer(
                "get_printer_job_list",
                json!({"errcode": code, "errmsg": "no, hint: [17_1_ab]"}),
            )
            .await;
        let query = CloudQuery::all();
        let error = scene.clock.run(scene.client.jobs(&query)).await;
        let error = error.unwrap_err();
        assert_eq!((error.kind(), list.calls()), (kind, calls), "{code}");
        assert_eq!(error.request_id(), Some("17_1_ab"));
    }
}

#[tokio::test]
async fn reports_use_the_numbers_of_the_page_unless_told_otherwise() {
    let failed = PrintOutcome::Failed {
        code: 7,
        message: "缺纸".to_owned(),
    };
    for (outcome, numbering, body) in [
        (
            &PrintOutcome::Succeeded,
            ReportNumbering::Documented,
            json!({"jobid": "job-1", "status": 2, "errcode": 0}),
        ),
        (
            &failed,
            ReportNumbering::Documented,
            json!({"jobid": "job-1", "status": 1, "errcode": 7, "errmsg": "缺纸"}),
        ),
        (
            &failed,
            ReportNumbering::Legacy,
            json!({"jobid": "job-1", "status": 2, "errcode": 7, "errmsg": "缺纸"}),
        ),
    ] {
        let scene = Scene::new().await;
        let report = scene
            .server
            .mock_async(|when, then| {
                when.path("/openhw/device/report_printer_job_status")
                    .query_param("device_access_token", "device_access_token-1")
                    .json_body(body);
                then.status(200)
                    .json_body(json!({"errcode": 0, "errmsg": "ok"}));
            })
            .await;
        let client =
            CloudClient::builder("m-1", secret(MODEL_SECRET), "SN-1", secret(DEVICE_SECRET))
                .with_model_ticket(secret(TICKET))
                .with_base_url(format!("{}/openhw/", scene.server.base_url()))
                .with_report_numbering(numbering)
                .build()
                .unwrap();
        let job = JobId::new("job-1").unwrap();
        client.report(&job, outcome).await.unwrap();
        assert_eq!(report.calls(), 1);
    }
}

#[tokio::test]
async fn an_auth_code_is_sent_once_even_if_the_answer_is_lost() {
    let scene = Scene::new().await;
    let lost = scene
        .server
        .mock_async(|when, then| {
            when.path("/openhw/get_device_secret");
            then.status(502).body("gateway auth-code-1");
        })
        .await;
    let code = secret("auth-code-1");
    let error = scene
        .clock
        .run(scene.client.exchange_auth_code(&code))
        .await;
    let error = error.unwrap_err();
    assert_eq!((error.delivery(), lost.calls()), (Delivery::MaybeSent, 1));
    assert!(error.to_string().contains("may be used up"), "{error}");
    assert!(!format!("{error:?} {:?}", error.body_excerpt()).contains("auth-code-1"));
    lost.delete_async().await;
    let given = scene
        .server
        .mock_async(|when, then| {
            when.path("/openhw/get_device_secret")
                .query_param("model_access_token", "model_access_token-1")
                .json_body(json!({"auth_code": "auth-code-1"}));
            then.status(200).json_body(json!({
                "device_secret": "device-secret-2",
                "device_access_token": "device_access_token-9",
                "expires_in": 7200,
            }));
        })
        .await;
    let own = scene.client.exchange_auth_code(&code).await.unwrap();
    assert_eq!((own.expose(), given.calls()), ("device-secret-2", 1));
    let status = scene
        .server
        .mock_async(|when, then| {
            when.path("/openhw/device/report_device_status")
                .query_param("device_access_token", "device_access_token-9")
                .json_body(json!({"online_status": 1, "cur_version": "1.0"}));
            then.status(200).json_body(json!({"errcode": 0}));
        })
        .await;
    let online = DeviceStatus::online().with_version("1.0");
    scene.client.report_device_status(&online).await.unwrap();
    assert_eq!((status.calls(), scene.tokens()), (1, (1, 0)));
    scene.client.forget_device().await;
    let error = scene.client.report_device_status(&online).await;
    assert_eq!(error.unwrap_err().kind(), ErrorKind::Unauthenticated);
    assert_eq!(status.calls(), 1);
}

#[tokio::test]
async fn a_scan_is_delivered_once() {
    let scene = Scene::new().await;
    let push = scene
        .server
        .mock_async(|when, then| {
            when.path("/openhw/device/push_scan_file").json_body(json!({
                "open_userid": "u-1", "filename": "a.pdf", "auth_code": "scan-code",
                "download_url": "https://files.example/x?sig=s3cret",
            }));
            then.status(500).body("scan-code s3cret");
        })
        .await;
    let link = ScanSource::Link(secret("https://files.example/x?sig=s3cret"));
    let scan = ScanFile::new("u-1", "a.pdf", link, secret("scan-code")).unwrap();
    let error = scene.clock.run(scene.client.push_scan(&scan)).await;
    let error = error.unwrap_err();
    assert_eq!((error.delivery(), push.calls()), (Delivery::MaybeSent, 1));
    assert!(!format!("{error:?} {:?} {scan:?}", error.body_excerpt()).contains("s3cret"));
}

#[tokio::test]
async fn a_device_asks_for_one_code_a_minute_whatever_the_kind() {
    let scene = Scene::new().await;
    let identity = scene
        .server
        .mock_async(|when, then| {
            when.path("/openhw/device/gen_id_dynamic_qrcode")
                .query_param("model_access_token", "model_access_token-1")
                .json_body(json!({"device_sn": "SN-1", "state": "tray-2"}));
            then.status(200).json_body(
                json!({"errcode": 0, "qrcode_content": "https://q/1", "expires_in": 300}),
            );
        })
        .await;
    let login = scene
        .answer("gen_login_qrcode", json!({"qrcode_content": "https://q/2"}))
        .await;
    let first = scene.client.identity_qr("tray-2").await.unwrap();
    scene.clock.advance(Duration::from_secs(20));
    let again = scene.client.identity_qr("tray-2").await.unwrap();
    assert_eq!(first.content.expose(), again.content.expose());
    assert_eq!(first.valid_for, Some(Duration::from_secs(300)));
    assert_eq!(again.valid_for, Some(Duration::from_secs(280)));
    let refused = scene.client.login_qr("s", LoginQrType::Static).await;
    let refused = refused.unwrap_err();
    assert_eq!(
        (refused.kind(), refused.delivery(), refused.retry_after()),
        (
            ErrorKind::RateLimited,
            Delivery::NotSent,
            Some(Duration::from_secs(40))
        )
    );
    assert_eq!((identity.calls(), login.calls()), (1, 0));
    scene.clock.advance(Duration::from_secs(40));
    let code = scene.client.login_qr("s", LoginQrType::Static).await;
    assert_eq!(code.unwrap().valid_for, None);
    assert_eq!((identity.calls(), login.calls()), (1, 1));
}

/// A job of this size and a place for its file, with the cloud serving `encrypted`.
async fn job_of(scene: &Scene, bytes: usize, encrypted: Vec<u8>) -> ListedJob {
    let body = json!({"errcode": 0, "printer_job_list": [
        {"jobid": "job-1", "doc_size": bytes, "printer_format": "pdf"}
    ]});
    scene.answer("get_printer_job_list", body).await;
    let link = scene.server.url("/files/f-1");
    scene
        .answer(
            "get_printer_job_download_url",
            json!({"errcode": 0, "download_url": link, "encoding_aeskey": KEY}),
        )
        .await;
    scene
        .server
        .mock_async(|when, then| {
            when.method("GET")
                .path("/files/f-1")
                .query_param_missing("device_access_token");
            then.status(200).body(encrypted);
        })
        .await;
    let mut jobs = scene.client.jobs(&CloudQuery::all()).await.unwrap();
    jobs.remove(0)
}

#[tokio::test]
async fn a_downloaded_file_is_the_decrypted_one() {
    let scene = Scene::new().await;
    let folder = tempfile::tempdir().unwrap();
    let job = job_of(&scene, PDF.len(), hex::decode(ENCRYPTED_PDF).unwrap()).await;
    let target = OutputPath::new(folder.path().join("job-1.pdf")).unwrap();
    let saved = scene.client.download(&job, &target).await.unwrap();
    assert_eq!(fs::read(&saved.path).unwrap(), PDF);
    assert_eq!(saved.len, PDF.len() as u64);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[tokio::test]
async fn a_file_of_many_pieces_is_decrypted_whole() {
    use aes::cipher::{Block, BlockModeEncrypt, KeyIvInit};
    let mut file = b"%PDF".to_vec();
    file.extend((0..300_000_u32).map(|number| (number % 251) as u8));
    let mut encrypted = file.clone();
    let padding = 32 - file.len() % 32;
    encrypted.extend(vec![padding as u8; padding]);
    let bytes: [u8; 32] = std::array::from_fn(|index| 0x40 + index as u8);
    let mut cipher = cbc::Encryptor::<aes::Aes256>::new_from_slices(&bytes, &bytes[..16]).unwrap();
    for block in encrypted.chunks_exact_mut(16) {
        let block: &mut Block<aes::Aes256> = block.try_into().unwrap();
        cipher.encrypt_block(block);
    }
    let scene = Scene::new().await;
    let folder = tempfile::tempdir().unwrap();
    let job = job_of(&scene, file.len(), encrypted).await;
    let target = OutputPath::new(folder.path().join("job-1.pdf")).unwrap();
    let saved = scene.client.download(&job, &target).await.unwrap();
    assert!(fs::read(saved.path).unwrap() == file);
}

#[tokio::test]
async fn what_cannot_be_the_file_never_gets_its_name() {
    let right = hex::decode(ENCRYPTED_PDF).unwrap();
    let (mut cut, mut damaged) = (right.clone(), right.clone());
    cut.truncate(right.len() - 5);
    *damaged.last_mut().unwrap() ^= 1;
    let not_pdf =
        hex::decode("b0892d3c315554d55c76146adc83c2829d52c24ac36bc00aebe8baedeb0207e2").unwrap();
    for (size, served, problem) in [
        (PDF.len(), cut, "whole blocks"),
        (PDF.len(), damaged, "padding"),
        (PDF.len(), Vec::new(), "whole blocks"),
        (PDF.len() + 1, right.clone(), "88 bytes instead of 89"),
        (PDF.len() - 1, right, "instead of 87"),
        (31, not_pdf, "does not start like a PDF"),
    ] {
        let scene = Scene::new().await;
        let folder = tempfile::tempdir().unwrap();
        let job = job_of(&scene, size, served).await;
        let target = OutputPath::new(folder.path().join("job-1.pdf")).unwrap();
        let error = scene.clock.run(scene.client.download(&job, &target)).await;
        let error = error.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnexpectedResponse, "{error}");
        assert!(error.to_string().contains(problem), "{error}");
        assert_eq!(error.job().map(JobId::as_str), Some("job-1"));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        shows_no_secret(&error);
    }
}

#[tokio::test]
async fn a_job_without_bytes_is_refused_before_anything_is_asked() {
    let scene = Scene::new().await;
    let folder = tempfile::tempdir().unwrap();
    let job = job_of(&scene, 0, Vec::new()).await;
    let target = OutputPath::new(folder.path().join("job-1.pdf")).unwrap();
    let error = scene.client.download(&job, &target).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.delivery()),
        (ErrorKind::Refused, Delivery::NotSent)
    );
}

#[tokio::test]
async fn a_lapsed_link_is_asked_for_anew_once_and_does_not_mean_that_the_job_is_gone() {
    let scene = Scene::new().await;
    let folder = tempfile::tempdir().unwrap();
    scene
        .answer("get_printer_job_list", page(&["job-1"], json!("")))
        .await;
    let link = scene
        .answer(
            "get_printer_job_download_url",
            json!({"download_url": scene.server.url("/files/gone"), "encoding_aeskey": KEY}),
        )
        .await;
    let jobs = scene.client.jobs(&CloudQuery::all()).await.unwrap();
    let target = OutputPath::new(folder.path().join("job-1.pdf")).unwrap();
    let error = scene.client.download(&jobs[0], &target).await.unwrap_err();
    assert_eq!((error.kind(), link.calls()), (ErrorKind::Unavailable, 2));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn a_lapsed_link_is_replaced_and_the_download_goes_on() {
    let scene = Scene::new().await;
    let folder = tempfile::tempdir().unwrap();
    scene
        .answer("get_printer_job_list", page(&["job-1"], json!("")))
        .await;
    let given = AtomicUsize::new(0);
    let links = [
        scene.server.url("/files/gone"),
        scene.server.url("/files/new"),
    ];
    scene
        .server
        .mock_async(move |when, then| {
            when.path("/openhw/device/get_printer_job_download_url")
                .json_body(json!({"jobid": "job-1"}));
            then.respond_with(move |_: &HttpMockRequest| {
                let link = &links[given.fetch_add(1, Ordering::SeqCst).min(1)];
                let body = json!({"download_url": link, "encoding_aeskey": KEY});
                HttpMockResponse::builder()
                    .status(200)
                    .body(body.to_string())
                    .build()
            });
        })
        .await;
    scene
        .server
        .mock_async(|when, then| {
            when.path("/files/new");
            then.status(200).body(hex::decode(ENCRYPTED_PDF).unwrap());
        })
        .await;
    let jobs = scene.client.jobs(&CloudQuery::all()).await.unwrap();
    let target = OutputPath::new(folder.path().join("job-1.pdf")).unwrap();
    let saved = scene.client.download(&jobs[0], &target).await.unwrap();
    assert_eq!(fs::read(saved.path).unwrap(), PDF);
}

const SUBMITTED: &str = "YTSU39bLiiA4bCXl0wSuNsIcXEyf2GXZaePpQZslA3KFTGkAs7vL1cUii3syCLqX84DFKJ0mPhUkLzf1Olddu/j52shBnpk0EydS5cV0QrE+jI5t7RJU7ZfhmWtg0EgusBgHwuW/PgMJiY/8NBAZvhxyx0zg7OvtuZwXRxMMHh1kPOiqWiFyeOrQQtxRhSCvpaZ/phoY9MXPWLLf+xVspKsEI+TvEUHyLNTNUmovQzyr5+k0vfsa+NJGNTsBXqAXCmNxasqi11+H9lEetWTP18ipXyNSQiMQZhp57HFVuoHZiGzpxUvtdGvYd5mj6lmy9tFo+lNSl6lPOXbvRGtRrqpUmH216Pryzrc/hAAA9sh1ff7eKdlPHzzQbFnH4Jnh";
const SUBMITTED_SIGNATURE: &str = "03278a30d51e3cd1c72a4c72a73802668e2819fb";

fn callback<'a>(signature: &'a str, encrypted: &'a str) -> WebhookRequest<'a> {
    WebhookRequest::new(signature, "1700000000", "987654321", encrypted)
}

fn callback_key() -> WebhookKey {
    WebhookKey::new(secret("callback-token"), &secret(KEY)).unwrap()
}

#[test]
fn a_signed_callback_is_opened_and_read() {
    let body = json!({"tousername": "m-1", "encrypt": SUBMITTED}).to_string();
    let arrived = WebhookRequest::from_body(
        SUBMITTED_SIGNATURE,
        "1700000000",
        "987654321",
        body.as_bytes(),
    )
    .unwrap();
    let notice = callback_key().with_receiver("m-1").parse(&arrived).unwrap();
    assert_eq!(notice.req_id.as_deref(), Some("r-1"));
    assert_eq!(notice.device_sn.as_deref(), Some("SN-1"));
    assert_eq!(notice.created_at, Some(1_700_000_000));
    let WebhookEvent::JobSubmitted { ids } = notice.event else {
        panic!("{notice:?}")
    };
    assert_eq!(ids, ["printer_job_1_0f"]);
}

#[test]
fn forged_foreign_and_damaged_callbacks_are_refused() {
    let key = callback_key();
    let said = |key: &WebhookKey, callback: &WebhookRequest<'_>| {
        let error = key.open(callback).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        error.message().unwrap().to_owned()
    };
    let right = callback(SUBMITTED_SIGNATURE, SUBMITTED);
    assert!(key.open(&right).is_ok());
    let wrong = "the signature is wrong";
    let other = SUBMITTED_SIGNATURE.replace('0', "1");
    assert_eq!(said(&key, &callback(&other, SUBMITTED)), wrong);
    assert_eq!(said(&key, &callback("", SUBMITTED)), wrong);
    let changed = SUBMITTED.replacen('Y', "Z", 1);
    assert_eq!(said(&key, &callback(SUBMITTED_SIGNATURE, &changed)), wrong);
    let later = WebhookRequest::new(SUBMITTED_SIGNATURE, "1700000001", "987654321", SUBMITTED);
    assert_eq!(said(&key, &later), wrong);
    let foreign = key.clone().with_receiver("m-2");
    assert!(said(&foreign, &right).contains("another receiver"));
    // A length that reaches beyond the text.
    let cut = callback(
        "cb7cc93e5648f9a49e3057e310f191e27867f878",
        "YTSU39bLiiA4bCXl0wSuNtzLdxOKBVlCOXgy09Kc05Y=",
    );
    assert!(said(&key, &cut).contains("is cut"));
    let unsigned = key.with_signature(|_| String::new());
    assert!(said(&unsigned, &callback("", "*")).contains("base64"));
    assert!(said(&unsigned, &callback("", "AAAA")).contains("blocks"));
    assert!(WebhookRequest::from_body("", "", "", b"{\"encrypt\":5}").is_err());
    assert!(WebhookRequest::from_body("", "", "", b"\xff").is_err());
}

#[test]
fn another_framing_can_be_chosen() {
    let bare = callback(
        "7b7e73592759f7b9bbb10bf1b251640520f24fc4",
        "YvsrdA69xxz4hVjj8phwYCtkIsWyVwr15grMw5OS9ig=",
    );
    assert!(callback_key().open(&bare).is_err());
    let key = callback_key().with_framing(Framing::Bare);
    assert_eq!(key.open(&bare).unwrap(), "{}");
    assert!(matches!(
        key.parse(&bare).unwrap().event,
        WebhookEvent::Unknown { name } if name.is_empty()
    ));
}

#[test]
fn commands_and_events_are_read_as_notices() {
    let read = |kind: &str, content: Value| {
        let text = json!({"msg_type": kind, kind: content}).to_string();
        WebhookNotice::read(&text).unwrap().event
    };
    let command = |name: &str, mut content: Value| {
        content["command_type"] = json!(name);
        read("command", content)
    };
    let event = |name: &str, mut content: Value| {
        content["event_type"] = json!(name);
        read("event", content)
    };
    assert!(matches!(
        command("printer_job_del", json!({"jobid": "j-1"})),
        WebhookEvent::JobDeleted { ids } if ids == ["j-1"]
    ));
    assert!(matches!(
        command("printer_job_trans", json!({"jobid": 5})),
        WebhookEvent::JobConversion { ids } if ids.is_empty()
    ));
    assert!(matches!(
        command("fetch_device_status", json!({})),
        WebhookEvent::StatusWanted
    ));
    let scanned = command(
        "user_scan",
        json!({"open_userid": "u-1", "state": "tray-2", "user_type": 1, "auth_code": "c0de", "expires_in": "300"}),
    );
    assert!(!format!("{scanned:?}").contains("c0de"));
    let WebhookEvent::Scanned(scan) = scanned else {
        panic!("no scan")
    };
    assert_eq!(scan.open_userid.as_deref(), Some("u-1"));
    assert_eq!(
        (scan.by_admin, scan.valid_for),
        (Some(true), Some(Duration::from_secs(300)))
    );
    assert_eq!(scan.auth_code.unwrap().expose(), "c0de");
    assert!(matches!(
        event("bind", json!({"auth_code": "c0de"})),
        WebhookEvent::Bound { auth_code: Some(code) } if code.expose() == "c0de"
    ));
    assert!(matches!(event("unbind", json!({})), WebhookEvent::Unbound));
    assert!(matches!(
        event("model_ticket", json!({"model_ticket": "t-1"})),
        WebhookEvent::ModelTicket(ticket) if ticket.expose() == "t-1"
    ));
    assert!(matches!(
        event("novelty", json!({})),
        WebhookEvent::Unknown { name } if name == "novelty"
    ));
    for odd in ["[]", "5", "", "{"] {
        assert!(WebhookNotice::read(odd).is_err(), "{odd}");
    }
}
