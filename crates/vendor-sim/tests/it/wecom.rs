//! The printer cloud over real WebSockets: login, jobs from submission to report, pushes, scans and every fault.

use std::collections::BTreeSet;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use sha1::{Digest, Sha1};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use vendor_sim::server::Site;
use vendor_sim::wecom::{
    HeaderMode, NewJob, PushMode, SecondLink, WeCom, WeComHandle, WeComOptions,
};
use vendor_sim::{Fault, VirtualClock};

use crate::client::{ask, until};

async fn still(options: WeComOptions) -> WeComHandle {
    WeCom::start_at(&Site::with_clock(VirtualClock::manual()), options)
        .await
        .unwrap()
}

/// A device that sends what a test tells it.
struct Device {
    socket: WebSocketStream<TcpStream>,
    asked: u32,
}

/// What came: a text message read as JSON, the bytes of a binary one, or the end.
#[derive(Debug, PartialEq)]
enum Came {
    Json(Value),
    File(Bytes),
    End,
}

impl Came {
    fn json(self) -> Value {
        match self {
            Self::Json(value) => value,
            other => panic!("{other:?}"),
        }
    }

    /// The data of layout A, whose fields are checked.
    fn data(self, req_id: &str) -> Vec<u8> {
        let Self::File(frame) = self else {
            panic!("{self:?}")
        };
        let number = |at: usize| u32::from_le_bytes(frame[at..at + 4].try_into().unwrap()) as usize;
        let length = number(4);
        assert_eq!(number(0), 1);
        assert_eq!(&frame[8..8 + length], req_id.as_bytes());
        let data = &frame[12 + length..];
        assert_eq!(number(8 + length), data.len());
        data.to_vec()
    }
}

impl Device {
    async fn connect(sim: &WeComHandle) -> Self {
        Self::dial(&sim.url()).await.unwrap()
    }

    async fn dial(url: &str) -> Result<Self, tokio_tungstenite::tungstenite::Error> {
        let host = url.strip_prefix("ws://").unwrap().split('/').next();
        let stream = TcpStream::connect(host.unwrap()).await.unwrap();
        let (socket, _) = tokio_tungstenite::client_async(url, stream).await?;
        Ok(Self { socket, asked: 0 })
    }

    async fn send(&mut self, cmd: &str, body: Value) -> String {
        self.asked += 1;
        let req_id = format!("r-{}", self.asked);
        let text = json!({"cmd": cmd, "headers": {"req_id": req_id}, "body": body});
        let message = Message::text(text.to_string());
        self.socket.send(message).await.unwrap();
        req_id
    }

    async fn next(&mut self) -> Came {
        loop {
            match self.socket.next().await {
                Some(Ok(Message::Text(text))) => {
                    return Came::Json(serde_json::from_str(&text).unwrap());
                }
                Some(Ok(Message::Binary(bytes))) => return Came::File(bytes),
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                Some(Ok(Message::Close(_)) | Err(_)) | None => return Came::End,
            }
        }
    }

    async fn ask(&mut self, cmd: &str, body: Value) -> Value {
        self.send(cmd, body).await;
        self.next().await.json()
    }

    async fn login(&mut self, sim: &WeComHandle) {
        let options = sim.options();
        let time = sim.clock().now().as_secs().to_string();
        let mut values = [&options.sn, &options.secret_no, &time, "42", "register"];
        values.sort_unstable();
        let signature = hex::encode(Sha1::digest(values.concat()));
        let body = json!({
            "sn": options.sn, "timestamp": time.parse::<u64>().unwrap(), "nonce": 42, "device_signature": signature
        });
        let registered = self.ask("register", body).await;
        assert_eq!(registered["errcode"], 0, "{registered}");
        let code = &registered["body"]["active_code"];
        let active = self.ask("active", json!({ "active_code": code })).await;
        assert_eq!(active["errcode"], 0, "{active}");
        let secret = &active["body"]["secret"];
        let body = json!({"secret": secret, "firmware_version": "1.0"});
        let online = self.ask("subscribe_corp", body).await;
        assert_eq!(online["errcode"], 0, "{online}");
        assert!(sim.device().online());
    }

    async fn online(sim: &WeComHandle) -> Self {
        let mut device = Self::connect(sim).await;
        device.login(sim).await;
        device
    }

    async fn list(&mut self) -> Vec<Value> {
        let answer = self.ask("printer/get_job_list", json!({"status": 0})).await;
        answer["body"]["printer_job_list"]
            .as_array()
            .unwrap()
            .clone()
    }

    async fn download(&mut self, jobid: &str) -> Came {
        let body = json!({"jobid": jobid, "format_version": 1});
        self.send("printer/download_file", body).await;
        self.next().await
    }
}

#[tokio::test]
async fn four_jobs_are_listed_downloaded_and_reported_in_every_mode() {
    for header_mode in [HeaderMode::Echo, HeaderMode::Log] {
        for sparse_items in [false, true] {
            let sim = still(WeComOptions {
                header_mode,
                sparse_items,
                ..WeComOptions::default()
            })
            .await;
            let mut device = Device::online(&sim).await;
            for name in ["a.pdf", "b.docx", "../../c.pdf"] {
                sim.add_job(NewJob::pdf_of(name, "words").with_setting("份数", &["2"]));
            }
            sim.add_job(NewJob::jpg_of("d", 3));
            let items = device.list().await;
            assert_eq!(items.len(), 4);
            for (item, job) in items.iter().zip(sim.jobs()) {
                assert_eq!(item["jobid"], job.jobid.as_str());
                assert_eq!(item.get("status").is_none(), sparse_items);
                let data = device.download(&job.jobid).await;
                let data = data.data(&format!("r-{}", device.asked));
                assert_eq!(data.len(), job.size);
                let magic: &[u8] = if job.format == "jpg" {
                    b"\xff\xd8\xff"
                } else {
                    b"%PDF"
                };
                assert!(data.starts_with(magic));
                let report = json!({"jobid": job.jobid, "status": 2});
                let answer = device.ask("printer/report_job_status", report).await;
                assert_eq!(answer["errcode"], 0);
                assert_eq!(
                    answer.get("headers").is_some(),
                    header_mode == HeaderMode::Echo
                );
            }
            assert!(device.list().await.is_empty());
            assert_eq!(sim.list_requests(), 2);
            let printed: Vec<u32> = sim.jobs().iter().map(|job| job.status).collect();
            assert_eq!(printed, [1; 4]);
            assert_eq!(sim.reports().len(), 4);
        }
    }
}

#[tokio::test]
async fn printer_command_before_login_is_refused_without_headers_and_words() {
    let sim = still(WeComOptions::default()).await;
    let mut device = Device::connect(&sim).await;
    let refused = device.ask("printer/get_job_list", json!({})).await;
    assert_eq!(refused, json!({"errcode": 600_020, "errmsg": ""}));
    let pong = device.ask("ping", json!({})).await;
    let expected = json!({"headers": {"req_id": "r-2"}, "errcode": 0, "errmsg": "ok"});
    assert_eq!(pong, expected);
    let time = device.ask("get_timestamp", json!({})).await;
    assert_eq!(time["body"]["timestamp"], 1_800_000_000);
}

#[tokio::test]
async fn answers_come_in_the_order_of_the_requests_even_when_the_first_is_late() {
    let sim = still(WeComOptions::default()).await;
    let mut device = Device::online(&sim).await;
    sim.set_fault("ping", Fault::Delay { seconds: 20.0 });
    let late = device.send("ping", json!({})).await;
    let next = device.send("get_corp_info", json!({})).await;
    until(|| sim.commands().iter().any(|command| command.req_id == late)).await;
    // Pushes do not wait for the answer under way.
    sim.push("push_restart_device", None);
    assert_eq!(device.next().await.json()["cmd"], "push_restart_device");
    sim.clock().advance(Duration::from_secs(20));
    assert_eq!(device.next().await.json()["headers"]["req_id"], *late);
    let answer = device.next().await.json();
    assert_eq!(answer["headers"]["req_id"], *next);
    assert_eq!(answer["body"]["corp_name"], "Simulated Company");
}

#[tokio::test]
async fn job_is_pushed_a_moment_after_its_submission_and_never_again() {
    let sim = still(WeComOptions::default()).await;
    // Nobody is online for the first.
    let missed = sim.add_job(NewJob::pdf_of("a.pdf", ""));
    sim.clock().advance(Duration::from_secs(2));
    tokio::task::yield_now().await;
    let mut device = Device::online(&sim).await;
    let id = sim.add_job(NewJob::pdf_of("b.pdf", ""));
    assert!(sim.pushes().is_empty());
    sim.clock().advance(Duration::from_secs(2));
    let push = device.next().await.json();
    assert_eq!(push["cmd"], "push_printer_job");
    assert_eq!(push["body"]["jobid_list"], json!([id]));
    assert!(push.get("errcode").is_none());
    assert!(push["headers"]["req_id"].as_str().unwrap().len() > 32);
    assert!(sim.delete_job(&missed));
    let push = device.next().await.json();
    assert_eq!(
        (&push["cmd"], &push["body"]["jobid_list"]),
        (&json!("push_del_printer_job"), &json!([missed]))
    );
    assert!(!sim.delete_job(&missed));
    let kept: Vec<Value> = device.list().await;
    assert_eq!(kept.len(), 1);
    let words: Vec<String> = sim.pushes().into_iter().map(|push| push.cmd).collect();
    assert_eq!(words, ["push_printer_job", "push_del_printer_job"]);
}

#[tokio::test]
async fn pushes_are_doubled_swapped_or_lost_by_switch() {
    let sim = still(WeComOptions {
        push_mode: PushMode::Duplicate,
        ..WeComOptions::default()
    })
    .await;
    let mut device = Device::online(&sim).await;
    sim.push("push_a", None);
    let (one, two) = (device.next().await, device.next().await);
    assert_eq!(one, two);
    sim.change_options(|options| options.push_mode = PushMode::Lost);
    sim.push("push_b", None);
    sim.change_options(|options| options.push_mode = PushMode::Swapped);
    sim.push("push_c", Some(&json!({"n": 1})));
    sim.push("push_d", None);
    assert_eq!(device.next().await.json()["cmd"], "push_d");
    assert_eq!(device.next().await.json()["cmd"], "push_c");
    sim.change_options(|options| options.chatter = true);
    device.send("ping", json!({})).await;
    assert_eq!(device.next().await.json()["cmd"], "push_something_new");
    assert_eq!(device.next().await.json()["errcode"], 0);
}

#[tokio::test]
async fn scan_hands_the_state_back_and_releases_the_members_jobs() {
    let sim = still(WeComOptions::default()).await;
    let mut device = Device::online(&sim).await;
    let id = sim.add_job(NewJob::pdf_of("a.pdf", "").by("mei").waiting_for_scan());
    assert!(device.list().await.is_empty());
    assert_eq!(sim.scan("mei", "tray-2"), None);
    let body = json!({"state": "tray-2", "format_version": 1});
    let req_id = device.send("printer/gen_qrcode", body).await;
    let code = device.next().await.data(&req_id);
    assert!(code.starts_with(b"\x89PNG"));
    assert_eq!(sim.scan("mei", "tray-2"), Some(vec![id.clone()]));
    let push = device.next().await.json();
    assert_eq!(push["cmd"], "push_user_scan");
    assert_eq!(
        (&push["body"]["userid"], &push["body"]["state"]),
        (&json!("mei"), &json!("tray-2"))
    );
    sim.clock().advance(Duration::from_secs(2));
    assert_eq!(
        device.next().await.json()["body"]["jobid_list"],
        json!([id])
    );
    let item = &device.list().await[0];
    assert_eq!(
        (&item["submitted"], &item["state"]),
        (&json!(1), &json!("tray-2"))
    );
}

#[tokio::test]
async fn unbinding_is_pushed_and_a_binding_lets_the_device_in_again() {
    let sim = still(WeComOptions::default()).await;
    let mut device = Device::online(&sim).await;
    sim.unbind();
    assert_eq!(device.next().await.json()["cmd"], "push_unbind_corp");
    assert!(!sim.device().bound && !sim.device().online());
    let refused = device.ask("printer/get_job_list", json!({})).await;
    assert_eq!(refused["errcode"], 600_020);
    let code = &sim.commands()[1].body["active_code"];
    let active = json!({ "active_code": code });
    assert_eq!(
        device.ask("active", active.clone()).await["errcode"],
        600_004
    );
    sim.bind();
    assert_eq!(device.next().await.json()["cmd"], "push_bind_corp");
    let secret = device.ask("active", active).await["body"]["secret"].take();
    let body = json!({"secret": secret, "firmware_version": "1.0"});
    assert_eq!(device.ask("subscribe_corp", body).await["errcode"], 0);
}

#[tokio::test]
async fn silent_connection_is_closed_after_95_seconds() {
    let sim = still(WeComOptions::default()).await;
    let mut device = Device::online(&sim).await;
    sim.clock().advance(Duration::from_secs(94));
    assert_eq!(device.ask("ping", json!({})).await["errcode"], 0);
    sim.clock().advance(Duration::from_secs(94));
    assert_eq!(device.ask("ping", json!({})).await["errcode"], 0);
    sim.clock().advance(Duration::from_secs(95));
    assert_eq!(device.next().await, Came::End);
    until(|| sim.device().links.is_empty()).await;
}

#[tokio::test]
async fn second_connection_is_refused_or_closes_the_first() {
    let sim = still(WeComOptions::default()).await;
    let mut first = Device::online(&sim).await;
    let mut second = Device::dial(&format!("{}websocket", sim.url()))
        .await
        .unwrap();
    let register = sim.commands()[0].body.clone();
    assert_eq!(second.ask("register", register).await["errcode"], 600_002);
    sim.change_options(|options| options.second_link = SecondLink::Replace);
    second.login(&sim).await;
    assert_eq!(first.next().await, Came::End);
    assert_eq!(second.ask("ping", json!({})).await["errcode"], 0);
}

#[tokio::test]
async fn scan_upload_is_read_strictly() {
    let sim = still(WeComOptions::default()).await;
    let mut device = Device::online(&sim).await;
    let frame = |args: &str| {
        let mut frame = 2_u32.to_le_bytes().to_vec();
        for part in ["printer/upload_scan_file", "up-1", "%PDF-scan", args] {
            frame.extend(u32::try_from(part.len()).unwrap().to_le_bytes());
            frame.extend(part.as_bytes());
        }
        frame
    };
    let good = frame(r#"{"userid":"u1","filename":"a.pdf"}"#);
    let cut = good[..good.len() - 1].to_vec();
    let mut version = good.clone();
    version[0] = 1;
    for (frame, code) in [
        (good.clone(), 0),
        (frame(r#"{"userid":"u1"}"#), -1),
        (cut, 600_052),
        (version, 600_052),
        (vec![1, 2], 600_052),
    ] {
        device.socket.send(Message::binary(frame)).await.unwrap();
        let answer = device.next().await.json();
        assert_eq!(answer["errcode"], code, "{answer}");
    }
    let uploads = sim.uploads();
    assert_eq!(uploads.len(), 1);
    assert_eq!(
        (uploads[0].userid.as_deref(), &uploads[0].data[..]),
        (Some("u1"), &b"%PDF-scan"[..])
    );
}

#[tokio::test]
async fn answers_are_spoiled_as_scripted_and_the_work_is_done_or_not() {
    let sim = still(WeComOptions::default()).await;
    let mut device = Device::online(&sim).await;
    let id = sim.add_job(NewJob::pdf("a.pdf", "%PDF-1234567890"));
    let whole = device.download(&id).await.data("r-4");
    assert_eq!(whole.len(), 15);

    let busy = |after_commit| Fault::Code {
        code: json!(-1),
        message: None,
        after_commit,
    };
    sim.set_fault("printer/download_file", busy(false));
    let refused = device.download(&id).await.json();
    assert_eq!(refused["errcode"], -1);
    assert!(
        refused["errmsg"]
            .as_str()
            .unwrap()
            .starts_with("system error, hint: [")
    );
    sim.set_fault("printer/download_file", Fault::TruncatedJson {});
    let Came::File(half) = device.download(&id).await else {
        panic!()
    };
    assert_eq!(half.len(), (12 + 3 + 15) / 2);
    let lie = Fault::SetField {
        pointer: "/data_len".to_owned(),
        value: json!(4_000_000_000_u32),
    };
    sim.set_fault("printer/download_file", lie);
    let Came::File(lying) = device.download(&id).await else {
        panic!()
    };
    assert_eq!(lying[11..15], 4_000_000_000_u32.to_le_bytes());
    // In pieces, the message is the same to whoever puts them together.
    let slow = Fault::SlowBody {
        chunk: 4,
        seconds: 0.0,
    };
    sim.set_fault("printer/download_file", slow);
    assert_eq!(device.download(&id).await.data("r-8"), whole);
    sim.set_fault("printer/get_job_list", Fault::HugeBody { bytes: 300_000 });
    let huge = device.ask("printer/get_job_list", json!({})).await;
    assert_eq!(huge["padding"].as_str().unwrap().len(), 300_000 - 14);
    let downloads = sim.jobs()[0].downloads;
    assert_eq!(downloads, 4);
}

#[tokio::test]
async fn connection_breaks_before_after_and_in_the_middle_of_an_answer() {
    let sim = still(WeComOptions::default()).await;
    let id = sim.add_job(NewJob::pdf("a.pdf", vec![b'x'; 10_000]));
    let broken = [
        (
            Fault::DropBeforeCommit {
                after_bytes: None,
                reset: false,
            },
            0,
        ),
        (Fault::DropAfterCommit { reset: false }, 1),
        (Fault::DropAfterCommit { reset: true }, 2),
        (Fault::CutBody { at: 5_000 }, 3),
        (Fault::InvalidUtf8 {}, 4),
    ];
    for (fault, downloads) in broken {
        let mut device = Device::online(&sim).await;
        sim.set_fault("printer/download_file", fault.clone());
        assert_eq!(device.download(&id).await, Came::End, "{fault:?}");
        assert_eq!(sim.jobs()[0].downloads, downloads);
        drop(device);
        until(|| sim.device().links.is_empty()).await;
    }
    let gateway = Fault::Status {
        status: 503,
        body: String::new(),
        headers: vec![],
        after_commit: false,
    };
    sim.set_fault("connect", gateway);
    assert!(Device::dial(&sim.url()).await.is_err());
    assert!(Device::dial(&sim.url()).await.is_ok());
}

#[tokio::test]
async fn anything_can_be_put_on_the_wire() {
    let sim = still(WeComOptions::default()).await;
    let mut device = Device::online(&sim).await;
    sim.send_text(r#"{"errcode":0,"errmsg":"","unasked":true}"#);
    assert_eq!(device.next().await.json()["unasked"], true);
    sim.send_binary(&Bytes::from_static(b"\x01"));
    assert_eq!(device.next().await, Came::File(Bytes::from_static(b"\x01")));
    // A text frame of one byte that is not UTF-8.
    sim.send_raw(&Bytes::from_static(&[0x81, 1, 0xff]));
    assert_eq!(device.next().await, Came::End);
    let mut other = Device::connect(&sim).await;
    sim.disconnect();
    assert_eq!(other.next().await, Came::End);
}

#[tokio::test]
async fn people_act_over_the_control_endpoint() {
    let sim = still(WeComOptions::default()).await;
    let mut device = Device::online(&sim).await;
    let base = sim.control_url();
    let post = |path: &str, body: Value| {
        let url = format!("{base}/_sim/{path}");
        async move {
            let answer = ask("POST", &url, &[], body.to_string().as_bytes()).await;
            let answer = answer.unwrap().unwrap();
            (answer.status, answer.json())
        }
    };
    let jobs = [
        json!({"doc_name": "a.pdf", "text": "words", "settings": [{"key": "颜色", "value": ["黑白"]}]}),
        json!({"doc_name": "b", "format": "jpg", "pages": 2, "userid": "mei"}),
        json!({"doc_name": "c.pdf", "files": [STANDARD.encode("%PDF-x")], "pages": 7}),
    ];
    let mut ids = BTreeSet::new();
    for job in jobs {
        let (status, answer) = post("jobs", job).await;
        assert_eq!(status, 200, "{answer}");
        ids.insert(answer["jobid"].as_str().unwrap().to_owned());
    }
    assert_eq!(ids.len(), 3);
    let items = device.list().await;
    assert_eq!(items[0]["setting_list"][0]["value"], json!(["黑白"]));
    assert_eq!(items[1]["pic_file_list"]["size"], 2);
    assert_eq!(
        (&items[2]["page_size"], &items[2]["doc_size"]),
        (&json!(7), &json!(6))
    );
    for (path, body) in [
        ("jobs", json!({"doc_name": "x", "format": "doc"})),
        ("jobs", json!({"doc_name": "x", "files": ["%"]})),
        ("jobs/delete", json!({"jobid": "unknown"})),
        ("scan", json!({"userid": "mei", "state": "unknown"})),
        ("push", json!({})),
    ] {
        assert_eq!(post(path, body.clone()).await.0, 400, "{path} {body}");
    }
    assert_eq!(
        post("push", json!({"cmd": "push_x", "body": {"n": 1}}))
            .await
            .0,
        200
    );
    assert_eq!(device.next().await.json()["body"]["n"], 1);
    assert_eq!(post("unbind", json!({})).await.0, 200);
    assert_eq!(device.next().await.json()["cmd"], "push_unbind_corp");
    let url = format!("{base}/_sim/state");
    let state = ask("GET", &url, &[], b"").await.unwrap().unwrap().json();
    assert_eq!(state["jobs"].as_array().unwrap().len(), 3);
    assert_eq!(state["device"]["bound"], false);
    assert_eq!(state["counters"]["printer/get_job_list"], 1);
    assert_eq!(post("reset", json!({})).await.0, 200);
    assert!(sim.jobs().is_empty() && sim.device().bound);
}

#[tokio::test]
async fn environment_points_at_the_socket_and_a_stop_ends_connections() {
    let sim = WeCom::start(WeComOptions::default()).await.unwrap();
    let env = sim.env();
    let names: Vec<&str> = env.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        [
            "WECOM_PRINTER_SN",
            "WECOM_PRINTER_SECRET_NO",
            "WECOM_PRINTER_URL"
        ]
    );
    assert!(env[2].1.starts_with("ws://127.0.0.1:") && env[2].1.ends_with('/'));
    let plain = ask("GET", &sim.control_url(), &[], b"").await.unwrap();
    assert_eq!(plain.unwrap().status, 426);
    let mut device = Device::online(&sim).await;
    sim.stop().await;
    assert_eq!(device.next().await, Came::End);
    let mut other = {
        let sim = WeCom::start(WeComOptions::default()).await.unwrap();
        Device::online(&sim).await
    };
    // The handle is gone, and with it the simulator.
    assert_eq!(other.next().await, Came::End);
}
