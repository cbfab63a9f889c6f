//! Bodies of commands, answers and pushes.

use std::num::{NonZeroU32, NonZeroUsize};

use serde_json::{Value, json};

use crate::ProtocolError;
use crate::code::Code;
use crate::envelope::{CommandBody, encode};
use crate::settings::{SettingAliases, Sides};
use crate::sign::Nonce;
use crate::wire::{
    Activate, Active, CorpInfo, CorpInfoRequest, DeviceFeature, DownloadRequest, ErrorReport,
    Event, ExchangeSeed, Format, JobList, ListQuery, ListedJob, LoginQr, NetInfo, PageProblem,
    PrintOutcome, PrintReport, PrintStatus, PrinterQr, Register, Registered, ReportNumbering,
    ScanArgs, ServerTime, Subscribe, own_secret_no,
};
use jobs_core::Secret;

use super::{answer, push};

fn sent<R: CommandBody>(request: &R) -> (String, Value) {
    let message: Value = serde_json::from_str(&encode(request, "r").unwrap()).unwrap();
    let cmd = message["cmd"].as_str().unwrap().to_owned();
    (cmd, message["body"].clone())
}

fn list(json: &str) -> JobList {
    JobList::from_answer(&answer(json)).unwrap()
}

fn job<'a>(list: &'a JobList, id: &str) -> &'a ListedJob {
    list.jobs.iter().find(|job| job.id == id).unwrap()
}

#[test]
fn corrected_official_example_is_read_in_full() {
    let list = list(include_str!("fixtures/job_list.json"));
    assert_eq!((list.jobs.len(), list.items, list.unreadable), (2, 2, 0));
    let first = job(&list, "printer_job_1700000001_0f");
    assert_eq!(first.userid.as_deref(), Some("mei"));
    assert_eq!(first.created_at, Some(1_700_000_001));
    assert!(first.submitted_by_scan);
    assert_eq!(first.state.as_deref(), Some("tray-2"));
    assert_eq!(first.status, PrintStatus::Unprinted);
    assert_eq!((first.code, first.message.as_str()), (Code::OK, "ok"));
    assert_eq!(first.doc_name.as_deref(), Some("plan.docx"));
    assert_eq!((first.doc_size, first.page_count), (Some(20480), Some(3)));
    assert_eq!(first.format, Format::Pdf);
    assert_eq!(
        first.settings.paper(&SettingAliases::default()).as_deref(),
        Some("A4")
    );
    assert_eq!(
        first.settings.sides(&SettingAliases::default()),
        Some(Sides::Single)
    );

    let second = job(&list, "printer_job_1700000050_1a");
    assert!(!second.submitted_by_scan);
    assert_eq!(second.status, PrintStatus::Failed);
    assert_eq!((second.code.get(), second.message.as_str()), (1, "缺纸"));
    assert_eq!(second.format, Format::Jpg);
    assert_eq!((second.doc_size, second.page_count), (None, None));
    assert_eq!(second.pages.ranges(), Ok(vec![0..900, 900..1600]));
}

#[test]
fn sparse_items_get_defaults() {
    let list = list(include_str!("fixtures/job_list_sparse.json"));
    let first = job(&list, "printer_job_1700000001_0f");
    assert_eq!(first.status, PrintStatus::Unknown(None));
    assert_eq!(first.format, Format::Pdf);
    assert_eq!(first.doc_size, Some(0));
    let bare = job(&list, "only-an-id");
    assert_eq!(bare.code, Code::OK);
    assert_eq!(bare.doc_size, None);
    assert!(bare.settings.pairs().is_empty());
    assert!(bare.pages.files().is_empty());
}

#[test]
fn odd_items_cost_only_their_odd_fields() {
    let list = list(include_str!("fixtures/job_list_odd.json"));
    assert_eq!((list.items, list.unreadable, list.jobs.len()), (12, 3, 9));

    let text = job(&list, "text-numbers");
    assert_eq!(text.created_at, Some(1_700_000_001));
    assert!(text.submitted_by_scan);
    assert_eq!(text.status, PrintStatus::Printed);
    assert_eq!(text.code, Code::SYSTEM);
    assert_eq!((text.doc_size, text.page_count), (Some(77), Some(2)));
    assert_eq!(text.format, Format::Pdf);

    let odd = job(&list, "odd-types");
    assert_eq!(odd.userid, None);
    assert_eq!(odd.status, PrintStatus::Unknown(Some(9)));
    assert_eq!(odd.doc_size, None);
    assert_eq!(odd.format, Format::Other("ofd".to_owned()));
}

#[test]
fn page_lists_are_sorted_and_their_faults_are_named() {
    let list = list(include_str!("fixtures/job_list_odd.json"));
    let ranges = |id: &str| job(&list, id).pages.ranges();
    assert_eq!(
        ranges("unsorted"),
        Ok(vec![0..10, 10..30, 30..60]),
        "size 6 is a lie"
    );
    for (id, problem) in [
        ("gap", PageProblem::Missing { index: 1 }),
        ("doubled", PageProblem::Duplicate { index: 0 }),
        ("sizeless", PageProblem::NoSize { index: 0 }),
        ("indexless", PageProblem::Unreadable { count: 1 }),
        ("pageless", PageProblem::NoPages),
        ("endless", PageProblem::TooLarge),
    ] {
        assert_eq!(ranges(id), Err(problem), "{id}");
    }
}

#[test]
fn answer_without_list_is_not_an_empty_list() {
    let empty = list(r#"{"errcode":0,"body":{"printer_job_list":[]}}"#);
    assert_eq!((empty.jobs.len(), empty.items), (0, 0));
    for text in [
        r#"{"errcode":0,"errmsg":"ok"}"#,
        r#"{"errcode":0,"body":{}}"#,
        r#"{"errcode":0,"body":{"printer_job_list":null}}"#,
        r#"{"errcode":0,"body":{"printer_job_list":{}}}"#,
    ] {
        let error = JobList::from_answer(&answer(text)).unwrap_err();
        assert!(matches!(error, ProtocolError::Shape { .. }), "{text}");
    }
}

#[test]
fn failed_answer_is_a_refusal_even_with_a_body() {
    let it = answer(r#"{"errcode":-1,"errmsg":"system error","body":{"secret":""}}"#);
    assert!(matches!(
        Active::from_answer(&it),
        Err(ProtocolError::Refused(_))
    ));
}

#[test]
fn queries_carry_only_what_was_asked() {
    assert_eq!(
        sent(&ListQuery::all()),
        ("printer/get_job_list".to_owned(), json!({}))
    );
    let page = ListQuery::all()
        .with_user("mei")
        .unwrap()
        .with_page(100, 200)
        .unwrap();
    assert_eq!(
        sent(&page).1,
        json!({"userid": "mei", "offset": 100, "limit": 200})
    );
    assert!(ListQuery::all().with_page(0, 0).is_err());
    assert!(ListQuery::all().with_page(0, 201).is_err());
    assert!(ListQuery::all().with_user("").is_err());
    assert!(ListQuery::all().with_user(&"x".repeat(41)).is_err());
}

#[test]
fn thousand_jobs_are_asked_for_in_five_requests() {
    let ids: Vec<String> = (0..1000).map(|n| format!("job-{n}")).collect();
    let queries = ListQuery::for_jobs(&ids, NonZeroUsize::new(200).unwrap());
    assert_eq!(queries.len(), 5);
    let mut asked = Vec::new();
    for query in &queries {
        let body = sent(query).1;
        assert_eq!(
            body.as_object().unwrap().len(),
            1,
            "nothing beside jobid_list"
        );
        for id in body["jobid_list"].as_array().unwrap() {
            asked.push(id.as_str().unwrap().to_owned());
        }
    }
    assert_eq!(asked, ids);
}

#[test]
fn no_ids_make_no_request_and_repeated_ids_are_asked_once() {
    let hundred = NonZeroUsize::new(100).unwrap();
    assert!(ListQuery::for_jobs::<&str>(&[], hundred).is_empty());
    assert!(ListQuery::for_jobs(&[""], hundred).is_empty());
    let queries = ListQuery::for_jobs(&["b", "a", "b"], hundred);
    assert_eq!(queries.len(), 1);
    assert_eq!(sent(&queries[0]).1, json!({"jobid_list": ["b", "a"]}));
}

#[test]
fn download_has_offset_and_limit_both_or_not_at_all() {
    let (cmd, body) = sent(&DownloadRequest::whole("j"));
    assert_eq!(cmd, "printer/download_file");
    assert_eq!(body, json!({"jobid": "j", "format_version": 1}));
    let chunk = DownloadRequest::chunk("j", 0, NonZeroU32::new(512).unwrap());
    assert_eq!(
        sent(&chunk).1,
        json!({"jobid": "j", "offset": 0, "limit": 512, "format_version": 1})
    );
    let page = DownloadRequest::whole("j").with_page_index(3);
    assert_eq!(
        sent(&page).1,
        json!({"jobid": "j", "idx": 3, "format_version": 1})
    );
}

#[test]
fn report_numbers_are_the_opposite_of_the_list_unless_switched() {
    let failed = PrintOutcome::Failed {
        code: 7,
        message: "缺纸".to_owned(),
    };
    for (numbering, succeeded_number, failed_number) in [
        (ReportNumbering::Documented, 2, 1),
        (ReportNumbering::Legacy, 1, 2),
    ] {
        let report = PrintReport::new("j", &PrintOutcome::Succeeded, numbering).unwrap();
        let (cmd, body) = sent(&report);
        assert_eq!(cmd, "printer/report_job_status");
        assert_eq!(
            body,
            json!({"jobid": "j", "status": succeeded_number, "errcode": 0})
        );
        let report = PrintReport::new("j", &failed, numbering).unwrap();
        assert_eq!(
            sent(&report).1,
            json!({"jobid": "j", "status": failed_number, "errcode": 7, "errmsg": "缺纸"})
        );
    }
    assert_eq!(ReportNumbering::default(), ReportNumbering::Documented);
}

#[test]
fn failure_without_reason_is_not_reported() {
    let failed = PrintOutcome::Failed {
        code: 7,
        message: String::new(),
    };
    assert!(PrintReport::new("j", &failed, ReportNumbering::Documented).is_err());
}

#[test]
fn listed_status_tells_whether_a_report_was_understood() {
    let failed = PrintOutcome::Failed {
        code: 1,
        message: "x".to_owned(),
    };
    for (listed, succeeded_agrees, failed_agrees) in [
        (PrintStatus::Printed, Some(true), Some(false)),
        (PrintStatus::Failed, Some(false), Some(true)),
        (PrintStatus::Unprinted, Some(false), Some(false)),
        (PrintStatus::Unknown(None), None, None),
    ] {
        assert_eq!(
            PrintOutcome::Succeeded.agrees_with(listed),
            succeeded_agrees,
            "{listed:?}"
        );
        assert_eq!(failed.agrees_with(listed), failed_agrees, "{listed:?}");
    }
}

#[test]
fn scan_arguments_are_bounded_in_bytes() {
    assert!(ScanArgs::new(&"u".repeat(128), &"f".repeat(256)).is_ok());
    assert!(ScanArgs::new(&"u".repeat(129), "f").is_err());
    assert!(ScanArgs::new("u", &"纸".repeat(86)).is_err(), "258 bytes");
    assert!(ScanArgs::new("", "f").is_err());
    assert!(ScanArgs::new("u", "").is_err());
}

#[test]
fn device_commands_have_the_documented_bodies() {
    let feature = DeviceFeature::new(&json!({"model": "X1"}));
    assert_eq!(
        sent(&feature),
        (
            "report_device_feature".to_owned(),
            json!({"device_feature": r#"{"model":"X1"}"#})
        )
    );
    assert_eq!(
        sent(&ErrorReport::new(3, "no network")),
        (
            "error_report".to_owned(),
            json!({"errcode": 3, "errmsg": "no network"})
        )
    );
    let qr = json!({"state": "tray-2", "format_version": 1});
    assert_eq!(
        sent(&PrinterQr::new("tray-2").unwrap()),
        ("printer/gen_qrcode".to_owned(), qr.clone())
    );
    assert_eq!(
        sent(&LoginQr::new("tray-2").unwrap()),
        ("gen_login_qrcode".to_owned(), qr)
    );
    assert!(PrinterQr::new("").is_err());
    assert_eq!(
        sent(&CorpInfoRequest),
        ("get_corp_info".to_owned(), Value::Null)
    );
    let corp = CorpInfo::from_answer(&answer(r#"{"errcode":0,"body":{"corp_name":"木"}}"#));
    assert_eq!(corp.unwrap().corp_name, "木");
}

#[test]
fn login_commands_have_the_documented_bodies() {
    let secret = Secret::new("00112233445566778899aabbccddeeff").unwrap();
    let nonce = Nonce::new(987_654_321).unwrap();
    let register = Register::new("TEST-SN-0001", &secret, 1_700_000_000, nonce, None);
    assert_eq!(
        sent(&register),
        (
            "register".to_owned(),
            json!({"sn": "TEST-SN-0001", "timestamp": 1_700_000_000, "nonce": 987_654_321,
                "device_signature": "54565649e5712308cca224166aecd589deedb899"})
        )
    );
    assert!(!format!("{register:?}").contains("5456"));
    let net = NetInfo {
        wifi_name: Some("office".to_owned()),
        mac_address: None,
    };
    let register = Register::new("TEST-SN-0001", &secret, 1_700_000_000, nonce, Some(net));
    assert_eq!(
        sent(&register).1["net_info"],
        json!({"wifi_name": "office"})
    );
    let exchange = ExchangeSeed::new("TEST-SN-0001", &secret, 1_700_000_000, nonce);
    let (cmd, body) = sent(&exchange);
    assert_eq!(cmd, "get_secret_no");
    assert_eq!(
        body["device_signature"],
        "b49c1ad2c4ae2fe79f690692cf3b25078570db2a"
    );
    let (cmd, body) = sent(&Activate::new(Secret::new("ac").unwrap()));
    assert_eq!(
        (cmd.as_str(), body),
        ("active", json!({"active_code": "ac"}))
    );
    let (cmd, body) = sent(&Subscribe::new(Secret::new("s").unwrap(), "1.0"));
    assert_eq!(cmd, "subscribe_corp");
    assert_eq!(body, json!({"secret": "s", "firmware_version": "1.0"}));
}

#[test]
fn login_answers_need_their_value() {
    let it = answer(
        r#"{"errcode":0,"body":{"active_code":"ac","secret":"s","secret_no":"sn","timestamp":"17"}}"#,
    );
    assert_eq!(
        Registered::from_answer(&it).unwrap().active_code.expose(),
        "ac"
    );
    assert_eq!(Active::from_answer(&it).unwrap().secret.expose(), "s");
    assert_eq!(own_secret_no(&it).unwrap().expose(), "sn");
    assert_eq!(ServerTime::from_answer(&it).unwrap().timestamp, 17);
    let empty = answer(r#"{"errcode":0,"body":{"active_code":"","secret":""}}"#);
    assert!(Registered::from_answer(&empty).is_err());
    assert!(Active::from_answer(&empty).is_err());
    assert!(own_secret_no(&empty).is_err());
    assert!(ServerTime::from_answer(&empty).is_err());
}

#[test]
fn pushes_become_events() {
    let event = |json: &str| Event::from_push(push(json));
    assert_eq!(
        event(r#"{"cmd":"push_printer_job","body":{"jobid_list":["a","b",3]}}"#),
        Event::JobsAvailable {
            ids: vec!["a".to_owned(), "b".to_owned()]
        }
    );
    assert_eq!(
        event(r#"{"cmd":"push_del_printer_job","body":{"jobid_list":["a"]}}"#),
        Event::JobsDeleted {
            ids: vec!["a".to_owned()]
        }
    );
    assert_eq!(
        event(r#"{"cmd":"push_printer_job"}"#),
        Event::JobsAvailable { ids: vec![] }
    );
    assert_eq!(event(r#"{"cmd":"push_bind_corp"}"#), Event::Bound);
    assert_eq!(
        event(r#"{"cmd":"push_unbind_corp","body":null}"#),
        Event::Unbound
    );
    assert_eq!(
        event(r#"{"cmd":"push_update_firmware"}"#),
        Event::UpdateFirmware
    );
    assert_eq!(event(r#"{"cmd":"push_restart_device"}"#), Event::Restart);
    assert_eq!(
        event(r#"{"cmd":"push_fetch_log","body":{"hint":"last week"}}"#),
        Event::FetchLog {
            hint: "last week".to_owned()
        }
    );
    let Event::UserScan(scan) = event(
        r#"{"cmd":"push_user_scan","body":{"userid":"mei","op_type":"x","oper_id":"o","state":"tray-2","user_type":"1"}}"#,
    ) else {
        panic!("not a scan");
    };
    assert_eq!(scan.userid.as_deref(), Some("mei"));
    assert_eq!(scan.state.as_deref(), Some("tray-2"));
    assert_eq!(scan.op_type.as_deref(), Some("x"));
    assert_eq!(scan.oper_id.as_deref(), Some("o"));
    assert_eq!(scan.by_admin, Some(true));
    let Event::Unknown { cmd, body } = event(r#"{"cmd":"push_new","body":{"a":1}}"#) else {
        panic!("not unknown");
    };
    assert_eq!((cmd.as_str(), &body.fields()["a"]), ("push_new", &json!(1)));
}
