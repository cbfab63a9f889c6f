//! The device on a socket: login, binding, loss of the connection, commands, pushes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use jobs_core::clock::Clock;
use jobs_core::testing::ManualClock;
use jobs_core::vendor::{Delivery, Env};
use jobs_core::{ErrorKind, JobId, Secret};
use printer_jobs::{
    Device, DeviceEvent, Event, FileStore, ListQuery, Phase, PrintOutcome, PrintStatus,
    ReportNumbering, ScanArgs, StatusFilter,
};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::cloud::{Cloud, MINUTE, SECRET_NO, Say, Seen, drive, online, quiet, reached};

fn job(id: &str) -> JobId {
    JobId::new(id).unwrap()
}

fn failed() -> PrintOutcome {
    PrintOutcome::Failed {
        code: 7,
        message: "缺纸".to_owned(),
    }
}

fn unbind() -> Message {
    Message::text(r#"{"cmd":"push_unbind_corp","headers":{"req_id":"17_ab"}}"#)
}

/// A cloud that knows only how to log in.
async fn plain() -> Cloud {
    Cloud::start(|_| Say::Usual).await
}

#[tokio::test]
async fn device_goes_online_and_says_goodbye() {
    let clock = ManualClock::new();
    let cloud = plain().await;
    let device = online(cloud.device(&clock)).await;
    assert_eq!(cloud.commands(), ["register", "active", "subscribe_corp"]);
    assert!(device.is_bound(MINUTE).await.unwrap());
    let mut events = device.events();
    device.close().await;
    assert_eq!(events.next().await, Some(DeviceEvent::Offline));
    assert_eq!(events.next().await, None);
    let error = device.corp_info().await.unwrap_err();
    assert_eq!(
        (error.kind(), error.delivery()),
        (ErrorKind::LocalIo, Delivery::NotSent),
        "{error}"
    );
    assert_eq!(cloud.state().connections, 1);
}

#[tokio::test]
async fn second_connection_of_a_device_is_an_error_until_the_first_is_closed() {
    let clock = ManualClock::new();
    let cloud = plain().await;
    let device = online(cloud.device(&clock)).await;
    let error = cloud.device(&clock).connect().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LocalIo);
    assert!(error.to_string().contains("already"), "{error}");
    device.close().await;
    online(cloud.device(&clock)).await;
    assert_eq!(cloud.state().connections, 2);
}

#[tokio::test]
async fn device_hangs_up_when_its_last_handle_is_dropped() {
    let clock = ManualClock::new();
    let cloud = plain().await;
    let device = online(cloud.device(&clock)).await;
    let mut events = device.events();
    drop(device.clone());
    device.online(MINUTE).await.unwrap();
    drop(device);
    assert_eq!(events.next().await, Some(DeviceEvent::Offline));
    assert_eq!(events.next().await, None);
}

#[tokio::test]
async fn unbound_unreachable_and_refused_are_told_apart() {
    let clock = ManualClock::new();
    let deadline = Duration::from_secs(3);
    let at_deadline = async |device: &Device, phase| {
        let waiting = device.online(deadline);
        let advance = async {
            reached(device, phase).await;
            clock.advance(deadline);
        };
        tokio::join!(waiting, advance).0.unwrap_err()
    };

    let cloud = plain().await;
    cloud.state().bound = false;
    let device = cloud.device(&clock).connect().unwrap();
    assert!(!device.is_bound(MINUTE).await.unwrap());
    let error = at_deadline(&device, Phase::AwaitingBinding).await;
    assert_eq!(error.kind(), ErrorKind::Unauthenticated);
    assert_eq!(error.code(), Some("600004"));
    assert!(
        error
            .to_string()
            .contains("no company has bound the device"),
        "{error}"
    );

    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = nobody.local_addr().unwrap();
    drop(nobody);
    let device = Device::builder("SN", Secret::new(SECRET_NO).unwrap())
        .with_url(format!("ws://{address}"))
        .with_clock(clock.shared())
        .connect()
        .unwrap();
    let error = at_deadline(&device, Phase::BackingOff).await;
    assert_eq!(error.kind(), ErrorKind::Unreachable);
    let said = error.to_string();
    assert!(
        said.contains(&address.to_string()) && said.contains("refused"),
        "{said}"
    );

    let cloud = Cloud::start(|seen| match seen.cmd.as_str() {
        "register" => Say::Code(600_001, "invalid sn 00112233445566778899aabbccddeeff"),
        _ => Say::Usual,
    })
    .await;
    let device = cloud.device(&clock).connect().unwrap();
    let error = device.online(MINUTE).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthenticated);
    assert_eq!(error.code(), Some("600001"));
    assert!(!format!("{error} {error:?} {device:?}").contains(SECRET_NO));
    assert_eq!(device.phase(), Phase::GaveUp);
}

#[tokio::test]
async fn unbinding_erases_the_secret_from_disk_and_binding_brings_it_back() {
    let clock = ManualClock::new();
    let cloud = plain().await;
    let folder = tempfile::tempdir().unwrap();
    let store = FileStore::new(folder.path().join("state"));
    let file = store.path("TEST-SN-0001");
    let device = online(cloud.device(&clock).with_store(Arc::new(store))).await;
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.contains("activation-secret-1") && !text.contains(SECRET_NO));
    let mut events = device.events();
    cloud.state().bound = false;
    cloud.push(unbind());
    assert_eq!(events.next().await, Some(DeviceEvent::Offline));
    assert_eq!(events.next().await, Some(DeviceEvent::NotBound));
    assert!(!file.exists());
    assert_eq!(
        std::fs::read_dir(folder.path().join("state"))
            .unwrap()
            .count(),
        0
    );
    assert_eq!(
        events.next().await,
        Some(DeviceEvent::Pushed(Event::Unbound))
    );
    cloud.state().bound = true;
    // Pushes may be late or lost, so the machine asks by itself as well.
    clock.advance(Duration::from_secs(5));
    device.online(MINUTE).await.unwrap();
    assert!(
        std::fs::read_to_string(&file)
            .unwrap()
            .contains("activation-secret-1")
    );
    assert_eq!(cloud.state().connections, 1);
}

#[tokio::test]
async fn refused_secret_and_lost_authorisation_erase_it_too() {
    for code in [600_004, 600_005] {
        let clock = ManualClock::new();
        let cloud = Cloud::start(move |seen| match seen.cmd.as_str() {
            "get_corp_info" => Say::Code(code, "void"),
            "active" if seen.req_id.ends_with("-2") => Say::Usual,
            "active" => Say::Nothing,
            _ => Say::Usual,
        })
        .await;
        let folder = tempfile::tempdir().unwrap();
        let store = FileStore::new(folder.path());
        let file = store.path("TEST-SN-0001");
        let device = online(cloud.device(&clock).with_store(Arc::new(store))).await;
        assert!(
            std::fs::read_to_string(&file)
                .unwrap()
                .contains("activation-secret-1")
        );
        let error = device.corp_info().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unauthenticated, "{error}");
        clock.advance(Duration::from_secs(5));
        cloud.has_seen("active", 2).await;
        let left = std::fs::read_to_string(&file).unwrap_or_default();
        assert!(!left.contains("activation-secret-1"), "{code}");
    }
}

#[tokio::test]
async fn stored_credentials_let_a_held_device_go_on() {
    let clock = ManualClock::new();
    let refused = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&refused);
    let cloud = Cloud::start(move |seen| match seen.cmd.as_str() {
        "register" if seen.connection > 1 => {
            count.fetch_add(1, Ordering::Relaxed);
            Say::Code(600_002, "device already registered")
        }
        "get_corp_info" if seen.connection == 1 => Say::Cut,
        "get_corp_info" => Say::Body(json!({"corp_name": "Acme"})),
        _ => Say::Usual,
    })
    .await;
    let device = online(cloud.device(&clock)).await;
    let info = drive(&clock, &device, device.corp_info()).await.unwrap();
    assert_eq!(info.corp_name, "Acme");
    assert_eq!(refused.load(Ordering::Relaxed), 1);
    assert_eq!(cloud.state().connections, 2);
    assert!(clock.now().since_start() < Duration::from_secs(10));
}

#[tokio::test]
async fn exchanged_secret_no_is_on_disk_before_it_is_used() {
    let clock = ManualClock::new();
    let folder = tempfile::tempdir().unwrap();
    let store = FileStore::new(folder.path());
    let file = store.path("SEEDED");
    let path = file.clone();
    let cloud = Cloud::start(move |seen| match seen.cmd.as_str() {
        "get_secret_no" => Say::Body(json!({"secret_no": "feedfacefeedface"})),
        "register" => {
            let text = std::fs::read_to_string(&path).unwrap();
            assert!(text.contains("feedfacefeedface"));
            Say::Usual
        }
        _ => Say::Usual,
    })
    .await;
    let builder = || {
        Device::builder_with_seed("SEEDED", Secret::new("5eed").unwrap())
            .with_url(cloud.url())
            .with_clock(clock.shared())
            .with_times(quiet)
            .with_store(Arc::new(FileStore::new(folder.path())))
    };
    let device = online(builder()).await;
    device.bind_url().unwrap();
    cloud.state().bound = false;
    cloud.push(unbind());
    reached(&device, Phase::AwaitingBinding).await;
    let kept = std::fs::read_to_string(&file).unwrap();
    assert!(kept.contains("feedfacefeedface") && !kept.contains("activation-secret-1"));
    device.close().await;
    cloud.state().bound = true;
    online(builder()).await;
    assert_eq!(cloud.asked("get_secret_no").len(), 1);
}

#[tokio::test]
async fn unwritable_store_stops_the_device_and_says_so() {
    let clock = ManualClock::new();
    let cloud = plain().await;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("state"), "a file, no folder").unwrap();
    let store = FileStore::new(folder.path().join("state/inner"));
    let builder = cloud.device(&clock).with_store(Arc::new(store));
    // Reading fails already: what is there cannot be a folder.
    let error = builder.connect().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LocalIo);
    #[derive(Debug)]
    struct ReadOnly;
    impl printer_jobs::CredentialStore for ReadOnly {
        fn load(&self, _: &str) -> std::io::Result<printer_jobs::Stored> {
            Ok(printer_jobs::Stored::default())
        }
        fn save(&self, _: &str, _: &printer_jobs::Stored) -> std::io::Result<()> {
            Err(std::io::ErrorKind::ReadOnlyFilesystem.into())
        }
    }
    let device = cloud
        .device(&clock)
        .with_store(Arc::new(ReadOnly))
        .connect()
        .unwrap();
    let error = device.online(MINUTE).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LocalIo, "{error}");
    assert_eq!(cloud.commands(), ["register"]);
}

#[tokio::test]
async fn lapsed_login_is_renewed_and_the_command_repeated() {
    let clock = ManualClock::new();
    let mut lists = 0;
    let cloud = Cloud::start(move |seen| match seen.cmd.as_str() {
        "printer/get_job_list" => {
            lists += 1;
            match lists {
                1 => Say::Code(600_020, ""),
                _ => Say::Body(json!({"printer_job_list": [{"jobid": "a"}]})),
            }
        }
        _ => Say::Usual,
    })
    .await;
    cloud.state().headerless = true;
    let device = online(cloud.device(&clock)).await;
    let jobs = drive(&clock, &device, device.jobs(ListQuery::all())).await;
    assert_eq!(jobs.unwrap().len(), 1);
    assert_eq!(cloud.state().connections, 2);
    assert_eq!(cloud.asked("printer/get_job_list").len(), 2);
}

#[tokio::test]
async fn unreadable_messages_cost_a_connection_and_nothing_else() {
    for garbage in [
        Message::text("<html>gateway</html>"),
        Message::text("[1,2]"),
        Message::text(""),
        Message::binary(vec![9, 9, 9]),
        Message::binary(vec![1, 0, 0, 0, 255, 255, 255, 255, 1]),
    ] {
        let clock = ManualClock::new();
        let answer = garbage.clone();
        let cloud = Cloud::start(move |seen| match seen.cmd.as_str() {
            "get_corp_info" if seen.connection == 1 => Say::Raw(answer.clone()),
            "get_corp_info" => Say::Body(json!({"corp_name": "Acme"})),
            _ => Say::Usual,
        })
        .await;
        let device = online(cloud.device(&clock)).await;
        let info = drive(&clock, &device, device.corp_info()).await;
        assert_eq!(info.unwrap().corp_name, "Acme", "{garbage:?}");
        assert_eq!(cloud.state().connections, 2, "{garbage:?}");
    }
}

/// The answer to a list request, with these items.
fn listing(seen: &Seen, items: &str) -> Say {
    Say::Raw(Message::text(format!(
        r#"{{"headers":{{"req_id":"{}"}},"errcode":0,"errmsg":"ok","body":{{"printer_job_list":[{items}]}}}}"#,
        seen.req_id
    )))
}

#[tokio::test]
async fn what_is_no_json_beside_a_job_hides_no_job_and_costs_no_connection() {
    let clock = ManualClock::new();
    let cloud = Cloud::start(|seen| match seen.cmd.as_str() {
        "printer/get_job_list" => listing(
            seen,
            r#"{"jobid":"j1","doc_name":"x\ud835y","page_size":NaN},{"jobid":"j2"}"#,
        ),
        _ => Say::Usual,
    })
    .await;
    let device = online(cloud.device(&clock)).await;
    let jobs = device.jobs(ListQuery::all()).await.unwrap();
    let jobs: Vec<_> = jobs
        .iter()
        .map(|job| (job.id.as_str(), job.doc_name.as_deref()))
        .collect();
    assert_eq!(jobs, [("j1", Some("x\u{fffd}y")), ("j2", None)]);
    assert_eq!(cloud.state().connections, 1);
}

#[tokio::test]
async fn a_number_is_a_jobs_id_and_an_item_without_one_is_counted() {
    let clock = ManualClock::new();
    let cloud = Cloud::start(|seen| match seen.cmd.as_str() {
        "printer/get_job_list" => listing(
            seen,
            r#"{"jobid":12345},{"jobid":{}},{"doc_name":"a.pdf"},{"jobid":"j2"},7"#,
        ),
        _ => Say::Usual,
    })
    .await;
    let device = online(cloud.device(&clock)).await;
    let listed = device.jobs_and_unreadable(ListQuery::all()).await;
    let (jobs, unreadable) = listed.unwrap();
    let ids: Vec<_> = jobs.iter().map(|job| job.id.as_str()).collect();
    assert_eq!((ids, unreadable), (vec!["12345", "j2"], 3));
    let id = jobs[0].job_id().unwrap();
    device.report(&id, &PrintOutcome::Succeeded).await.unwrap();
    let reports = cloud.asked("printer/report_job_status");
    assert_eq!(reports[0].body["jobid"], json!("12345"));
}

#[tokio::test]
async fn harmless_oddities_are_ignored() {
    let clock = ManualClock::new();
    let cloud = plain().await;
    let device = online(cloud.device(&clock)).await;
    let mut events = device.events();
    for text in [
        r#"{"cmd":"push_something_new","headers":{"req_id":"n1"},"body":{"token":"t0p"},"extra":[]}"#,
        r#"{"headers":{"req_id":"never-sent"},"errcode":0,"errmsg":"ok"}"#,
        r#"{"errcode":0,"errmsg":"ok"}"#,
        r#"{}"#,
    ] {
        cloud.push(Message::text(text));
    }
    cloud.push(Message::binary(crate::cloud::layout_a(
        "nobody", b"x", None,
    )));
    cloud.push(Message::Ping(vec![1].into()));
    let report = device.report_error(3, "paper jam").await;
    report.unwrap();
    let Some(DeviceEvent::Pushed(event)) = events.next().await else {
        panic!("no push");
    };
    assert!(matches!(&event, Event::Unknown { cmd, .. } if cmd == "push_something_new"));
    assert!(!format!("{event:?}").contains("t0p"));
    assert_eq!(cloud.state().connections, 1);
    assert_eq!(
        cloud.asked("error_report")[0].body,
        json!({"errcode": 3, "errmsg": "paper jam"})
    );
}

#[tokio::test]
async fn oversize_message_ends_the_command_with_its_reason() {
    let clock = ManualClock::new();
    let cloud = Cloud::start(|seen| match seen.cmd.as_str() {
        "printer/gen_qrcode" => Say::File(vec![7; 5000]),
        _ => Say::Usual,
    })
    .await;
    let device = online(cloud.device(&clock).with_max_message(4096)).await;
    let error = drive(&clock, &device, device.printer_qr("tray-2"))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge, "{error}");
    assert_eq!(cloud.asked("printer/gen_qrcode").len(), 4);
}

#[tokio::test]
async fn late_answer_is_not_taken_for_the_next_one() {
    let clock = ManualClock::new();
    let mut reports = 0;
    let cloud = Cloud::start(move |seen| match seen.cmd.as_str() {
        "printer/report_job_status" => {
            reports += 1;
            match reports {
                1 => Say::Nothing,
                _ => Say::Usual,
            }
        }
        "printer/get_job_list" => Say::Body(json!({"printer_job_list": [{"jobid": "a"}]})),
        _ => Say::Usual,
    })
    .await;
    cloud.state().headerless = true;
    let device = online(cloud.device(&clock)).await;
    let (a, b) = (job("a"), job("b"));
    {
        let cut = device.report(&a, &PrintOutcome::Succeeded);
        tokio::select! {
            biased;
            _ = cut => panic!("nobody answered"),
            () = cloud.has_seen("printer/report_job_status", 1) => {}
        }
    }
    // The answer comes when nobody waits for it, right before the next command.
    let listing = device.jobs_by_id(&[]);
    listing.await.unwrap();
    cloud.push(Message::text(
        r#"{"errcode":600040,"errmsg":"no such job"}"#,
    ));
    let second = device.report(&b, &PrintOutcome::Succeeded);
    drive(&clock, &device, second).await.unwrap();
    assert_eq!(cloud.asked("printer/report_job_status").len(), 2);
    assert_eq!(cloud.state().connections, 1);
}

#[tokio::test]
async fn silence_is_timed_out_and_doubt_costs_a_connection() {
    let clock = ManualClock::new();
    let cloud = Cloud::start(|seen| match seen.cmd.as_str() {
        "printer/report_job_status" if seen.connection == 1 => Say::Nothing,
        _ => Say::Usual,
    })
    .await;
    cloud.state().headerless = true;
    let device = online(cloud.device(&clock)).await;
    let id = job("a");
    let report = device.report(&id, &PrintOutcome::Succeeded);
    let time = async {
        for round in 1..=2 {
            cloud.has_seen("printer/report_job_status", round).await;
            clock.advance(Duration::from_secs(15));
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        done = drive(&clock, &device, report) => done.unwrap(),
        () = time => {}
    }
    let reports = cloud.asked("printer/report_job_status");
    let connections: Vec<_> = reports.iter().map(|it| it.connection).collect();
    assert_eq!(connections, [1, 1, 2]);
}

#[tokio::test]
async fn strict_matching_refuses_answers_without_id() {
    let clock = ManualClock::new();
    let cloud = plain().await;
    cloud.state().headerless = true;
    let device = online(cloud.device(&clock).with_strict_matching()).await;
    let id = job("a");
    let report = device.report(&id, &PrintOutcome::Succeeded);
    let error = drive(&clock, &device, report).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.delivery()),
        (ErrorKind::UnexpectedResponse, Delivery::MaybeSent)
    );
}

#[tokio::test]
async fn reports_carry_the_documented_numbers_unless_switched() {
    for (numbering, numbers) in [
        (ReportNumbering::Documented, [2, 1]),
        (ReportNumbering::Legacy, [1, 2]),
    ] {
        let clock = ManualClock::new();
        let cloud = plain().await;
        let device = online(cloud.device(&clock).with_report_numbering(numbering)).await;
        device
            .report(&job("a"), &PrintOutcome::Succeeded)
            .await
            .unwrap();
        device.report(&job("b"), &failed()).await.unwrap();
        let seen = cloud.asked("printer/report_job_status");
        assert_eq!(
            seen[0].body,
            json!({"jobid": "a", "status": numbers[0], "errcode": 0})
        );
        assert_eq!(
            seen[1].body,
            json!({"jobid": "b", "status": numbers[1], "errcode": 7, "errmsg": "缺纸"})
        );
    }
}

#[tokio::test]
async fn self_check_notices_the_other_numbering() {
    let clock = ManualClock::new();
    let cloud = Cloud::start(|seen| match seen.cmd.as_str() {
        "printer/get_job_list" => {
            Say::Body(json!({"printer_job_list": [{"jobid": "a", "status": 2}]}))
        }
        _ => Say::Usual,
    })
    .await;
    let device = online(cloud.device(&clock)).await;
    let id = job("a");
    let check = device.report_and_check(&id, &PrintOutcome::Succeeded);
    assert_eq!(clock.run(check).await.unwrap(), Some(false));
    let failed = failed();
    let check = device.report_and_check(&id, &failed);
    assert_eq!(clock.run(check).await.unwrap(), Some(true));
}

#[tokio::test]
async fn job_that_is_not_there_is_not_found_and_not_repeated() {
    let clock = ManualClock::new();
    let cloud = Cloud::start(|seen| match seen.cmd.as_str() {
        "printer/report_job_status" => Say::Code(600_040, "no such job, hint: [17_1_ab]"),
        _ => Say::Usual,
    })
    .await;
    let device = online(cloud.device(&clock)).await;
    let error = device.report(&job("a"), &failed()).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.delivery()),
        (ErrorKind::NotFound, Delivery::Answered)
    );
    assert_eq!(error.request_id(), Some("17_1_ab"));
    assert_eq!(error.job().unwrap().as_str(), "a");
    assert_eq!(cloud.asked("printer/report_job_status").len(), 1);
}

#[tokio::test]
async fn system_error_is_repeated_three_times() {
    let clock = ManualClock::new();
    let cloud = Cloud::start(|seen| match seen.cmd.as_str() {
        "printer/report_job_status" => Say::Code(-1, "system error"),
        _ => Say::Usual,
    })
    .await;
    let device = online(cloud.device(&clock)).await;
    let id = job("a");
    let outcome = failed();
    let error = clock.run(device.report(&id, &outcome)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!(cloud.asked("printer/report_job_status").len(), 4);
}

/// A list of `total` unprinted jobs that loses its first ten after the first page.
async fn shrinking(total: usize) -> Cloud {
    let mut jobs: Vec<usize> = (0..total).collect();
    let mut lists = 0;
    Cloud::start(move |seen| match seen.cmd.as_str() {
        "printer/get_job_list" => {
            let number = |key: &str| seen.body[key].as_u64().unwrap() as usize;
            let items: Vec<Value> = jobs
                .iter()
                .skip(number("offset"))
                .take(number("limit"))
                .map(|n| json!({"jobid": format!("j{n:03}"), "createtime": 1000 + n / 2}))
                .collect();
            lists += 1;
            if lists == 1 {
                jobs.drain(..10);
            }
            Say::Body(json!({"printer_job_list": items}))
        }
        _ => Say::Usual,
    })
    .await
}

#[tokio::test]
async fn list_that_shrinks_between_pages_loses_no_job() {
    let clock = ManualClock::new();
    let cloud = shrinking(120).await;
    let device = online(cloud.device(&clock)).await;
    let query = ListQuery::all().with_status(StatusFilter::Unprinted);
    let jobs = clock.run(device.jobs(query)).await.unwrap();
    let ids: Vec<String> = jobs.iter().map(|job| job.id.clone()).collect();
    let expected: Vec<String> = (0..120).map(|n| format!("j{n:03}")).collect();
    assert_eq!(ids, expected);
    assert!(
        jobs.iter()
            .all(|job| job.status == PrintStatus::Unknown(None))
    );
    assert!(cloud.asked("printer/get_job_list").len() <= 6);
}

#[tokio::test]
async fn a_list_that_is_too_large_is_read_in_smaller_pages() {
    let clock = ManualClock::new();
    let cloud = Cloud::start(|seen| match seen.cmd.as_str() {
        "printer/get_job_list" => {
            let number = |key: &str| seen.body[key].as_u64().unwrap() as usize;
            let (offset, limit) = (number("offset"), number("limit"));
            if limit > 6 {
                // Half a megabyte that would take a hundred times as much as values.
                let objects = ["{}"; 200_000].join(",");
                let text =
                    format!("{{\"errcode\":0,\"body\":{{\"printer_job_list\":[{objects}]}}}}");
                return Say::Raw(Message::text(text));
            }
            let items: Vec<Value> = (offset..20.min(offset + limit))
                .map(|n| json!({"jobid": format!("j{n:03}")}))
                .collect();
            Say::Body(json!({"printer_job_list": items}))
        }
        _ => Say::Usual,
    })
    .await;
    let device = online(cloud.device(&clock).with_list_rate(None)).await;
    let jobs = drive(&clock, &device, device.jobs(ListQuery::all()));
    assert_eq!(jobs.await.unwrap().len(), 20);
    let limits = cloud.asked("printer/get_job_list");
    let limits: Vec<&Value> = limits.iter().map(|it| &it.body["limit"]).collect();
    assert_eq!(limits[..4], [50, 25, 12, 6]);
}

#[tokio::test]
async fn list_without_end_is_an_error() {
    let clock = ManualClock::new();
    let mut next = 0;
    let mut pages = 0;
    let cloud = Cloud::start(move |seen| match seen.cmd.as_str() {
        "printer/get_job_list" => {
            pages += 1;
            next -= i64::from(pages > 1);
            let items: Vec<Value> = (next..next + 50)
                .map(|n| json!({"jobid": format!("j{n}")}))
                .collect();
            next += 50;
            Say::Body(json!({"printer_job_list": items}))
        }
        _ => Say::Usual,
    })
    .await;
    let device = online(cloud.device(&clock).with_list_rate(None)).await;
    let error = clock.run(device.jobs(ListQuery::all())).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
}

#[tokio::test]
async fn cloud_that_ignores_the_offset_causes_no_loop() {
    let clock = ManualClock::new();
    let cloud = Cloud::start(|seen| match seen.cmd.as_str() {
        "printer/get_job_list" => {
            let items: Vec<Value> = (0..50).map(|n| json!({"jobid": format!("j{n}")})).collect();
            Say::Body(json!({"printer_job_list": items}))
        }
        _ => Say::Usual,
    })
    .await;
    let device = online(cloud.device(&clock)).await;
    let jobs = clock.run(device.jobs(ListQuery::all())).await.unwrap();
    assert_eq!(jobs.len(), 50);
    assert_eq!(cloud.asked("printer/get_job_list").len(), 2);
}

#[tokio::test]
async fn printer_commands_go_one_at_a_time() {
    let clock = ManualClock::new();
    let cloud = plain().await;
    let device = online(cloud.device(&clock)).await;
    let (a, b) = (job("a"), job("b"));
    let outcome = PrintOutcome::Succeeded;
    let (one, two) = tokio::join!(device.report(&a, &outcome), device.report(&b, &outcome));
    one.unwrap();
    two.unwrap();
    let ids: Vec<_> = cloud
        .asked("printer/report_job_status")
        .iter()
        .map(|it| it.body["jobid"].clone())
        .collect();
    assert_eq!(ids, ["a", "b"]);
}

#[tokio::test]
async fn qr_codes_and_scans_go_through() {
    let clock = ManualClock::new();
    let cloud = Cloud::start(|seen| match seen.cmd.as_str() {
        "printer/gen_qrcode" => Say::File(b"\x89PNG-print".to_vec()),
        "gen_login_qrcode" => Say::File(b"\x89PNG-login".to_vec()),
        _ => Say::Usual,
    })
    .await;
    let device = online(cloud.device(&clock)).await;
    assert_eq!(device.printer_qr("tray-2").await.unwrap(), b"\x89PNG-print");
    assert_eq!(device.login_qr("admin").await.unwrap(), b"\x89PNG-login");
    let asked = cloud.asked("printer/gen_qrcode");
    assert_eq!(
        asked[0].body,
        json!({"state": "tray-2", "format_version": 1})
    );
    let args = ScanArgs::new("mei", "扫描.pdf").unwrap();
    device.upload_scan(&args, b"%PDF scan").await.unwrap();
    let scan = &cloud.asked("printer/upload_scan_file")[0];
    assert_eq!(scan.data, b"%PDF scan");
    assert_eq!(scan.body, json!({"userid": "mei", "filename": "扫描.pdf"}));
    device
        .report_feature(&json!({"model": "X1"}))
        .await
        .unwrap();
    assert_eq!(
        cloud.asked("report_device_feature")[0].body,
        json!({"device_feature": "{\"model\":\"X1\"}"})
    );
    let url = device.login_url("admin").unwrap();
    assert!(url.expose().starts_with("https://open.work.weixin.qq.com/connect/hardware?sn=TEST-SN-0001&timestamp=1767225600&nonce="));
    assert_eq!(
        device.login_url("a b").unwrap_err().kind(),
        ErrorKind::InvalidInput
    );
    assert_eq!(
        device.printer_qr("").await.unwrap_err().kind(),
        ErrorKind::InvalidInput
    );
}

#[tokio::test]
async fn scan_whose_answer_is_lost_is_not_delivered_twice() {
    let clock = ManualClock::new();
    let cloud = Cloud::start(|seen| match seen.cmd.as_str() {
        "printer/upload_scan_file" => Say::Cut,
        _ => Say::Usual,
    })
    .await;
    let device = online(cloud.device(&clock)).await;
    let args = ScanArgs::new("mei", "a.pdf").unwrap();
    let error = device.upload_scan(&args, b"%PDF").await.unwrap_err();
    assert_eq!(
        (error.kind(), error.delivery()),
        (ErrorKind::Unreachable, Delivery::MaybeSent)
    );
    assert_eq!(cloud.asked("printer/upload_scan_file").len(), 1);
}

#[tokio::test]
async fn repeated_push_is_told_once() {
    let clock = ManualClock::new();
    let cloud = plain().await;
    let device = online(cloud.device(&clock)).await;
    let mut events = device.events();
    let push = |req_id: &str, id: &str| {
        Message::text(format!(
            r#"{{"cmd":"push_printer_job","headers":{{"req_id":"{req_id}"}},"body":{{"jobid_list":["{id}"]}}}}"#
        ))
    };
    cloud.push(push("p1", "a"));
    assert_eq!(
        events.next().await,
        Some(DeviceEvent::Pushed(Event::JobsAvailable {
            ids: vec!["a".to_owned()]
        }))
    );
    cloud.push(push("p1", "a"));
    cloud.push(push("p2", "b"));
    assert_eq!(
        events.next().await,
        Some(DeviceEvent::Pushed(Event::JobsAvailable {
            ids: vec!["b".to_owned()]
        }))
    );
}

#[tokio::test]
async fn heartbeat_is_kept_and_a_dead_connection_replaced() {
    let clock = ManualClock::new();
    let cloud = Cloud::start(|seen| match seen.cmd.as_str() {
        "ping" if seen.connection == 1 && seen.req_id.ends_with("-4") => Say::Usual,
        "ping" if seen.connection == 1 => Say::Nothing,
        _ => Say::Usual,
    })
    .await;
    let device = online(cloud.device(&clock).with_times(|times| {
        *times = printer_jobs::LoginTimes::default();
    }))
    .await;
    clock.advance(Duration::from_secs(33));
    cloud.has_seen("ping", 1).await;
    assert!(cloud.asked("ping")[0].body.is_null());
    // The answer to the first ping arrives before time goes on, because this command stands behind it.
    device.report_error(1, "x").await.unwrap();
    clock.advance(Duration::from_secs(33));
    cloud.has_seen("ping", 2).await;
    device.report_error(1, "x").await.unwrap();
    clock.advance(Duration::from_secs(75));
    reached(&device, Phase::BackingOff).await;
    clock.advance(MINUTE);
    device.online(MINUTE).await.unwrap();
    assert_eq!(cloud.state().connections, 2);
}

#[tokio::test]
async fn variables_configure_a_device() {
    let clock = ManualClock::new();
    let cloud = plain().await;
    let folder = tempfile::tempdir().unwrap();
    let (url, state) = (cloud.url(), folder.path().to_str().unwrap().to_owned());
    let lookup = |name: &str| match name {
        "WECOM_PRINTER_SN" => Some("FROM/ENV".to_owned()),
        "WECOM_PRINTER_SECRET_NO" => Some(SECRET_NO.to_owned()),
        "WECOM_PRINTER_URL" => Some(url.clone()),
        "WECOM_PRINTER_STATE" => Some(state.clone()),
        _ => None,
    };
    let builder = Device::builder_from(&Env::new("printer-jobs", &lookup)).unwrap();
    assert!(!format!("{builder:?}").contains(SECRET_NO));
    let device = online(builder.with_clock(clock.shared())).await;
    assert_eq!(device.sn(), "FROM/ENV");
    assert!(folder.path().join("FROM%2FENV.json").exists());
    let without = |missing: &'static str| {
        let lookup = move |name: &str| (name != missing).then(|| "ws://10.0.0.1/".to_owned());
        let built = Device::builder_from(&Env::new("printer-jobs", &lookup));
        built.and_then(|builder| builder.connect()).unwrap_err()
    };
    for missing in ["WECOM_PRINTER_SN", "WECOM_PRINTER_SECRET_NO"] {
        assert!(without(missing).to_string().contains(missing));
    }
    let error = without("WECOM_PRINTER_STATE");
    assert!(error.to_string().contains("this machine only"), "{error}");
}

#[test]
fn futures_can_be_spawned() {
    fn sendable<T: Send>(_: impl FnOnce(Device, JobId) -> T) {}
    sendable(|device, id| async move {
        device.online(MINUTE).await?;
        device.jobs(ListQuery::all()).await?;
        device.jobs_by_id(std::slice::from_ref(&id)).await?;
        device
            .report_and_check(&id, &PrintOutcome::Succeeded)
            .await?;
        device.corp_info().await?;
        device.printer_qr("x").await?;
        Ok::<(), jobs_core::Error>(())
    });
}

#[tokio::test]
async fn no_runtime_is_an_error_and_not_a_panic() {
    let outcome = std::thread::spawn(|| {
        Device::builder("SN", Secret::new(SECRET_NO).unwrap())
            .with_url("ws://127.0.0.1:9/")
            .connect()
            .map(drop)
            .map_err(|error| error.kind())
    });
    assert_eq!(outcome.join().unwrap(), Err(ErrorKind::LocalIo));
}
