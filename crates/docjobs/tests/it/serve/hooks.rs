//! Webhooks: what is answered, and what is believed, which is nothing.

use std::process::Stdio;
use std::time::Duration;

use jobs_core::clock::{Clock as _, SystemClock};
use serde_json::Value;
use vendor_sim::fault::Fault;

use super::{Server, call, raw};
use crate::stage::Stage;

async fn hooked(stage: &Stage, options: &[&str]) -> (Server, String) {
    let mut all = vec!["--hooks", "127.0.0.1:0"];
    all.extend(options);
    let server = Server::start(stage, &all).await;
    let hooks = server.hooks.clone().unwrap();
    (server, hooks)
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_but_webhooks_is_on_their_listener_and_any_name_may_be_used() {
    let stage = Stage::new().await;
    let (_server, hooks) = hooked(&stage, &[]).await;
    for path in [
        "/",
        "/v1/jobs",
        "/healthz",
        "/metrics",
        "/login",
        "/textin",
        "/assets/page.css",
    ] {
        assert_eq!(
            call(&hooks, "GET", path, &[], b"").await.status,
            404,
            "{path}"
        );
    }
    let check = call(
        &hooks,
        "GET",
        "/ppj?type=verify&nonce=7bza",
        &[("Host", "hooks.example.com")],
        b"",
    )
    .await;
    assert_eq!((check.status, check.text()), (200, r#"{"nonce":"7bza"}"#));
    assert_eq!(call(&hooks, "PUT", "/ppj", &[], b"").await.status, 405);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_textin_secret_is_as_if_there_were_nothing() {
    let stage = Stage::new().await;
    let (_server, hooks) = hooked(&stage, &[]).await;
    let body = br#"{"job_id":"j1","status":"completed"}"#;
    for secret in ["wrong", "", "x/y", "%00"] {
        let path = format!("/textin/{secret}");
        assert_eq!(
            call(&hooks, "POST", &path, &[], body).await.status,
            404,
            "{secret}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_is_bounded_however_it_is_sent() {
    let stage = Stage::new().await;
    let (_server, hooks) = hooked(&stage, &[]).await;
    let body = vec![b' '; 1024 * 1024 + 1];
    assert_eq!(
        call(&hooks, "POST", "/tencent-ess", &[], &body)
            .await
            .status,
        413
    );
    let mut chunked = b"POST /tencent-ess HTTP/1.1\r\nHost: h\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    for _ in 0..17 {
        chunked.extend_from_slice(b"10000\r\n");
        chunked.extend_from_slice(&[b' '; 0x10000]);
        chunked.extend_from_slice(b"\r\n");
    }
    chunked.extend_from_slice(b"0\r\n\r\n");
    assert_eq!(raw(&hooks, &chunked).await.status, 413);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_for_vendors_that_cannot_be_one_is_refused() {
    let stage = Stage::new().await;
    for url in [
        "hooks.example.com",
        "ftp://h",
        "https://u:p@h",
        "https://h/?x=1",
        "https://",
    ] {
        let ran = stage
            .run(&["serve", "--hooks", "127.0.0.1:0", "--hooks-url", url])
            .await;
        assert_eq!(ran.exit, 2, "{url}: {}", ran.stderr);
        assert!(!ran.stderr.contains("u:p"), "{}", ran.stderr);
    }
    assert_eq!(
        stage.run(&["serve", "--hooks-url", "https://h"]).await.exit,
        2
    );
}

/// The inbox with this query.
async fn inbox(server: &Server, query: &str) -> Vec<Value> {
    let answer = server.get(&format!("/v1/hooks{query}")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["hooks"].as_array().unwrap().clone()
}

/// The inbox once so many calls are in it.
async fn inbox_of(server: &Server, count: usize) -> Vec<Value> {
    for _ in 0..500 {
        let hooks = inbox(server, "").await;
        if hooks.len() >= count {
            return hooks;
        }
    }
    panic!(
        "{count} calls are not in the inbox: {:?}",
        inbox(server, "").await
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn each_call_gets_its_verdict_and_signed_addresses_are_not_kept() {
    let stage = Stage::new().await;
    let (server, hooks) = hooked(&stage, &[]).await;
    let get = async |path: &str| call(&hooks, "GET", path, &[], b"").await.status;
    assert_eq!(
        get("/ppj?token=nobody&type=completed&code=0&own=secret").await,
        200
    );
    let first = inbox_of(&server, 1).await;
    assert_eq!(
        (&first[0]["verdict"], &first[0]["vendor"]),
        (&"unknown_job".into(), &"ppj".into())
    );
    assert_eq!(
        (&first[0]["remote_id"], &first[0]["job"]),
        (&"nobody".into(), &Value::Null)
    );
    assert_eq!(first[0]["body"], "token=nobody&type=completed&code=0");
    assert!(first[0]["at"].is_string());
    assert_eq!(get("/ppj?token=nobody&type=completed&code=0").await, 200);
    let second = inbox_of(&server, 2).await;
    assert_eq!(second[0]["verdict"], "duplicate", "{second:?}");
    assert_eq!(get("/ppj?type=completed").await, 400);
    assert_eq!(inbox(&server, "?verdict=duplicate").await.len(), 1);
    assert_eq!(inbox(&server, "?vendor=textin").await.len(), 0);
    assert_eq!(inbox(&server, "?limit=1").await.len(), 1);
    let page = server.get("/v1/hooks?limit=1").await.json();
    let next = page["next"].as_str().unwrap();
    assert_eq!(inbox(&server, &format!("?after={next}")).await.len(), 1);
    for query in [
        "?verdict=odd",
        "?limit=0",
        "?colour=red",
        "?job=..",
        "?after=x",
    ] {
        assert_eq!(
            server.get(&format!("/v1/hooks{query}")).await.problem(),
            "bad-request",
            "{query}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signature_is_checked_where_the_secret_is_known() {
    // The vendor's own example of its rule: secret, time, path and signature.
    let stage = Stage::new().await;
    let variables = [
        ("PPJ_APP_SECRET", "any"),
        ("TENCENT_ESS_CALLBACK_TOKEN", "TESTTOKEN"),
        (
            "TENCENT_ESS_CALLBACK_KEY",
            "0123456789abcdef0123456789ABCDEF",
        ),
    ];
    let server = Server::start_with(&stage, &["--hooks", "127.0.0.1:0"], &variables).await;
    let hooks = server.hooks.clone().unwrap();
    let forged = call(
        &hooks,
        "GET",
        "/ppj?token=x&type=completed",
        &[("X-PPJ-Timestamp", "1"), ("X-PPJ-Signature", "00")],
        b"",
    )
    .await;
    assert_eq!(forged.status, 403);
    const BODY: &str = "{\"encrypt\":\"QfNwBEPHpRJ5wLvWwBQmgqCeRj9dtE4UOvL3Z4asnL0btF2/5L/qsVXZpg4PoWOcZH7DwtApUfGfe13ivfQBA4qmZxsY0vzlwhSu8Zpu7sCneZvZmM70sozl9KFtVqzL\"}";
    let signature = "sha256=637c095b3af1fe3dbeaf56f47579d7c16e0ff5407610d8ccd013be954b0ed5ca";
    let right = call(
        &hooks,
        "POST",
        "/tencent-ess",
        &[("Content-Signature", signature)],
        BODY.as_bytes(),
    )
    .await;
    assert_eq!(right.status, 200);
    let wrong = call(
        &hooks,
        "POST",
        "/tencent-ess",
        &[("Content-Signature", "sha256=00")],
        BODY.as_bytes(),
    )
    .await;
    assert_eq!(wrong.status, 403);
    let hooks = inbox_of(&server, 3).await;
    let count = |vendor: &str, verdict: &str| {
        hooks
            .iter()
            .filter(|hook| hook["vendor"] == vendor && hook["verdict"] == verdict)
            .count()
    };
    assert_eq!(
        (count("ppj", "forged"), count("tencent-ess", "forged")),
        (1, 1),
        "{hooks:?}"
    );
    assert_eq!(
        count("tencent-ess", "verified") + count("tencent-ess", "unknown_job"),
        1,
        "{hooks:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_submit_names_our_address_and_the_push_brings_its_poll_forward() {
    let stage = Stage::new().await;
    // The port has to be known before the address can be told.
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .to_string();
    let url = format!("http://{free}");
    let server = Server::start(&stage, &["--work", "--hooks", &free, "--hooks-url", &url]).await;
    let parts = [
        ("vendor", None, &b"textin"[..]),
        ("file", Some("a.txt"), &b"some text\n"[..]),
    ];
    let done = server
        .submit("/v1/jobs", &[("Prefer", "wait=60")], &parts)
        .await;
    assert_eq!(
        (done.status, &done.json()["stage"]),
        (201, &"completed".into()),
        "{}",
        done.text()
    );
    let hooks = inbox_of(&server, 1).await;
    let hook = &hooks[0];
    assert_eq!(
        (&hook["vendor"], &hook["job"]),
        (&"textin".into(), &done.json()["id"]),
        "{hook}"
    );
    assert_eq!(
        (&hook["verdict"], &hook["remote_id"]),
        (&"unsigned".into(), &done.json()["remote_id"]),
        "{hook}"
    );
    let secret = stage.simulators.textin().webhooks()[0]
        .url
        .rsplit('/')
        .next()
        .unwrap()
        .to_owned();
    assert!(secret.len() >= 32);
    for path in ["/v1/hooks", "/hooks", "/metrics", "/v1/summary", "/v1/jobs"] {
        assert!(!server.get(path).await.text().contains(&secret), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hook_that_is_faster_than_the_answer_counts_once_the_answer_is_there() {
    let stage = Stage::new().await;
    let textin = stage.simulators.textin();
    textin.set_fault("submit", Fault::Delay { seconds: 200.0 });
    let url = "http://127.0.0.1:9";
    let (server, hooks) = hooked(&stage, &["--work", "--hooks-url", url]).await;
    let parts = [
        ("vendor", None, &b"textin"[..]),
        ("file", Some("a.txt"), &b"some text\n"[..]),
    ];
    let job = server.submit("/v1/jobs", &[], &parts).await.json();
    while textin.jobs().is_empty() {
        tokio::task::yield_now().await;
    }
    let known = &textin.jobs()[0];
    let path = known.webhook.as_deref().unwrap().trim_start_matches(url);
    let body = format!(
        "{{\"job_id\":\"{}\",\"status\":\"completed\"}}",
        known.job_id
    );
    let answer = call(&hooks, "POST", path, &[], body.as_bytes()).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let first = inbox_of(&server, 1).await;
    assert_eq!(first[0]["verdict"], "unknown_job", "{first:?}");
    let result = format!("/v1/jobs/{}/result", job["id"].as_str().unwrap());
    while server.get(&result).await.status != 200 {
        tokio::task::yield_now().await;
    }
    let early = inbox(&server, "?verdict=early").await;
    assert_eq!(early.len(), 1, "{:?}", inbox(&server, "").await);
    assert_eq!(
        (&early[0]["job"], &early[0]["remote_id"]),
        (&job["id"], &known.job_id.as_str().into())
    );
    assert_eq!(inbox(&server, "?verdict=unknown_job").await.len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hook_wakes_the_worker_of_another_process() {
    let stage = Stage::new().await;
    let textin = stage.simulators.textin();
    textin.change_options(|options| options.in_progress_seconds = 1e6);
    let url = "http://127.0.0.1:9";
    let (server, hooks) = hooked(&stage, &["--hooks-url", url]).await;
    let mut worker = stage
        .command(&["work"])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let parts = [
        ("vendor", None, &b"textin"[..]),
        ("file", Some("a.txt"), &b"some text\n"[..]),
    ];
    let job = server.submit("/v1/jobs", &[], &parts).await.json();
    assert_eq!(job["stage"], "intended", "{job}");
    let clock = SystemClock::new();
    let pause = async |time| clock.sleep_until(clock.now() + time).await;
    let polls = || {
        let requests = textin.requests().into_iter();
        let polls = requests.filter(|request| request.method == "GET");
        polls.map(|poll| poll.arrived_real).collect::<Vec<_>>()
    };
    // The usual interval has become long.
    let usual = loop {
        if let [.., before, last] = polls()[..]
            && last - before > 0.25
        {
            break last - before;
        }
        pause(Duration::from_millis(20)).await;
    };
    let known = &textin.jobs()[0];
    let path = known.webhook.as_deref().unwrap().trim_start_matches(url);
    let mut waits = Vec::new();
    for number in 0..7 {
        let before = polls().len();
        let called = clock.now();
        let body = format!(
            "{{\"job_id\":\"{}\",\"status\":\"in_progress\",\"number\":{number}}}",
            known.job_id
        );
        let answer = call(&hooks, "POST", path, &[], body.as_bytes()).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        while polls().len() == before {
            pause(Duration::from_millis(1)).await;
        }
        waits.push(clock.now().since(called));
        pause(Duration::from_millis(50)).await;
    }
    waits.sort();
    assert!(
        waits[3].as_secs_f64() < usual / 2.0,
        "{waits:?} against {usual} s"
    );
    worker.kill().await.unwrap();
}
