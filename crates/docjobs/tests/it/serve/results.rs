//! Results that are not where they were put, and those that a vendor does not make.

use serde_json::json;
use vendor_sim::fault::{Fault, Times};

use super::{Part, Server};
use crate::stage::Stage;

const PARTS: [Part<'static>; 2] = [
    ("vendor", None, b"textin"),
    ("file", Some("a.txt"), b"some text\n"),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_used_up_quota_is_the_vendors_402_until_there_is_some_again() {
    let stage = Stage::new().await;
    let server = Server::start(&stage, &["--work"]).await;
    let used_up = Fault::Code {
        code: json!(40003),
        message: Some("余额不足".to_owned()),
        after_commit: false,
    };
    let textin = stage.simulators.textin();
    textin.set_fault_times("submit", used_up, Times::Always);
    let job = server.submit("/v1/jobs", &[], &PARTS).await;
    assert_eq!(job.status, 201, "{}", job.text());
    let path = format!("/v1/jobs/{}", job.json()["id"].as_str().unwrap());
    let mut result = server.get(&format!("{path}/result")).await;
    while result.status == 409 {
        result = server.get(&format!("{path}/result")).await;
    }
    assert_eq!((result.status, &*result.problem()), (402, "quota"));
    assert_eq!(result.json()["exit_code"], 7);
    assert!(result.text().contains("余额不足"), "{}", result.text());
    let job = server.get(&path).await.json();
    assert_eq!(job["stage"], "intended", "{job}");
    textin.faults().clear();
    let done = server
        .submit("/v1/jobs", &[("Prefer", "wait=60")], &PARTS)
        .await;
    assert_eq!(
        (done.status, &done.json()["stage"]),
        (200, &json!("completed"))
    );
    assert_eq!(textin.charges().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_that_was_changed_is_not_served_and_readers_fetch_nothing() {
    let stage = Stage::new().await;
    stage.input("tokens", "alice s3cret\nbob only-reads ro\n");
    let server = Server::start(&stage, &["--work", "--token-file", "tokens"]).await;
    let alice = ("Authorization", "Bearer s3cret");
    let bob = ("Authorization", "Bearer only-reads");
    let done = server
        .submit("/v1/jobs", &[alice, ("Prefer", "wait=60")], &PARTS)
        .await;
    let job = done.json();
    let output = std::path::PathBuf::from(job["output"].as_str().unwrap());
    let path = format!("/v1/jobs/{}", job["id"].as_str().unwrap());
    let result = format!("{path}/result");
    let get = async |path: &str, who| server.call("GET", path, &[who], b"").await;
    let first = get(&result, bob).await;
    assert_eq!((first.status, first.text()), (200, "some text\n"));
    let other = stage.input("other.md", "TAMPERED");
    let spoil: [&dyn Fn(); 3] = [
        &|| std::fs::write(&output, "some").unwrap(),
        &|| {
            std::fs::remove_file(&output).unwrap();
            std::os::unix::fs::symlink(&other, &output).unwrap();
        },
        &|| std::fs::remove_file(&output).unwrap(),
    ];
    for spoil in spoil {
        spoil();
        let sent = stage.simulators.textin().requests().len();
        let elsewhere = get(&result, bob).await;
        assert_eq!(
            (elsewhere.status, &*elsewhere.problem()),
            (503, "elsewhere")
        );
        assert_eq!(get(&path, bob).await.json()["stage"], "completed");
        assert_eq!(stage.simulators.textin().requests().len(), sent);
        let again = get(&result, alice).await;
        assert_eq!((again.status, again.text()), (200, "some text\n"));
        assert_eq!(again.header("etag"), first.header("etag"));
    }
    assert_eq!(std::fs::read_to_string(&other).unwrap(), "TAMPERED");
    assert_eq!(stage.simulators.textin().charges().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_that_lies_elsewhere_is_fetched_again_where_its_vendor_is_known() {
    let stage = Stage::new().await;
    let server = Server::start(&stage, &["--work"]).await;
    let done = server
        .submit("/v1/jobs", &[("Prefer", "wait=60")], &PARTS)
        .await;
    let job = done.json();
    let path = format!("/v1/jobs/{}/result", job["id"].as_str().unwrap());
    let spool = tempfile::tempdir().unwrap();
    std::fs::remove_file(job["output"].as_str().unwrap()).unwrap();
    let spool = ["--spool", spool.path().to_str().unwrap()];
    let none = [("TEXTIN_APP_ID", ""), ("TEXTIN_SECRET_CODE", "")];
    let other = Server::start_with(&stage, &spool, &none).await;
    let answer = other.get(&path).await;
    assert_eq!((answer.status, &*answer.problem()), (503, "elsewhere"));
    assert_eq!(answer.json()["job"], job["id"]);

    let textin = stage.simulators.textin();
    let gone = Fault::Status {
        status: 404,
        body: String::new(),
        headers: Vec::new(),
        after_commit: false,
    };
    textin.set_fault_times("result", gone, Times::Always);
    let other = Server::start(&stage, &spool).await;
    let answer = other.get(&path).await;
    assert_eq!((answer.status, &*answer.problem()), (503, "elsewhere"));

    textin.faults().clear();
    let mut answer = other.get(&path).await;
    while answer.status == 409 {
        answer = other.get(&path).await;
    }
    assert_eq!((answer.status, answer.text()), (200, "some text\n"));
    assert_eq!(textin.charges().len(), 1);
}
