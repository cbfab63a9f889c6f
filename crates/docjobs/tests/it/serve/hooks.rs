//! Webhooks: what is answered, and what is believed, which is nothing.

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
