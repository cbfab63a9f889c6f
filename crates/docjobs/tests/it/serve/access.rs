//! Who may.

use std::os::unix::process::ExitStatusExt as _;

use super::{Server, call};
use crate::stage::Stage;

#[tokio::test(flavor = "multi_thread")]
async fn without_a_token_file_only_this_machine_is_listened_to() {
    let stage = Stage::new().await;
    let ran = stage.run(&["serve", "--listen", "0.0.0.0:0"]).await;
    assert_eq!(ran.exit, 2, "{}", ran.stderr);
    assert!(ran.stderr.contains("--token-file"), "{}", ran.stderr);
    for (content, args) in [
        ("", &["serve", "--token-file", "tokens"][..]),
        ("# nobody\n", &["serve", "--token-file", "tokens"]),
        ("alice\n", &["serve", "--token-file", "tokens"]),
        ("alice s3cret\n", &["serve", "--token-file", "none"]),
        ("alice s3cret\n", &["serve", "--read-only", "--work"]),
        ("alice s3cret\n", &["serve", "--listen", "nowhere"]),
    ] {
        stage.input("tokens", content);
        let ran = stage.run(args).await;
        assert_eq!(ran.exit, 2, "{args:?} {content:?}: {}", ran.stderr);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_host_or_origin_is_refused_at_every_door() {
    let stage = Stage::new().await;
    let server = Server::start(&stage, &["--host", "docs.example.com"]).await;
    for (host, status) in [
        ("localhost", 200),
        ("docs.example.com", 200),
        ("evil.example", 403),
        ("127.0.0.1.evil.example", 403),
    ] {
        for path in ["/", "/v1/jobs", "/healthz"] {
            let answer = server.call("GET", path, &[("Host", host)], b"").await;
            assert_eq!(answer.status, status, "{host} {path}");
        }
    }
    let answer = server
        .call("GET", "/v1/jobs", &[("Origin", "http://evil.example")], b"")
        .await;
    assert_eq!((answer.status, &*answer.problem()), (403, "foreign-origin"));
    let answer = server.raw(b"GET / HTTP/1.0\r\n\r\n").await;
    assert_eq!(answer.status, 403);
    let two =
        b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\nConnection: close\r\n\r\n";
    assert!(matches!(server.raw(two).await.status, 400 | 403));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_opens_everything_but_what_is_open() {
    let stage = Stage::new().await;
    stage.input("tokens", "alice s3cret\nbob only-reads ro\n");
    let server = Server::start(&stage, &["--token-file", "tokens"]).await;
    for path in ["/healthz", "/readyz"] {
        let answer = server.get(path).await;
        assert_eq!((answer.status, answer.text()), (200, "ok\n"), "{path}");
    }
    for path in ["/v1/jobs", "/metrics", "/", "/v1/openapi.json", "/nowhere"] {
        let answer = server.get(path).await;
        assert_eq!(
            (answer.status, &*answer.problem()),
            (401, "unauthenticated"),
            "{path}"
        );
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
    }
    let bearer = |token: &str| format!("Bearer {token}");
    let with = async |token: &str, method: &str, path: &str| {
        let token = bearer(token);
        server
            .call(method, path, &[("Authorization", &token)], b"")
            .await
            .status
    };
    assert_eq!(with("s3cret", "GET", "/v1/jobs").await, 200);
    assert_eq!(with("only-reads", "GET", "/v1/jobs").await, 200);
    assert_eq!(with("s3cre", "GET", "/v1/jobs").await, 401);
    assert_eq!(with("only-reads", "POST", "/v1/jobs/7/abandon").await, 403);
    assert_eq!(
        with("only-reads", "DELETE", "/v1/budgets/textin").await,
        403
    );

    // Read again when it changes.
    stage.input("tokens", "alice another-one\n");
    assert_eq!(with("s3cret", "GET", "/v1/jobs").await, 401);
    assert_eq!(with("another-one", "GET", "/v1/jobs").await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_change_names_who_made_it() {
    let stage = Stage::new().await;
    stage.input("tokens", "alice s3cret\n");
    let server = Server::start(&stage, &["--work", "--token-file", "tokens"]).await;
    let alice = ("Authorization", "Bearer s3cret");
    let json = ("Content-Type", "application/json");
    let budget = b"{\"limit\":100,\"per\":\"day\"}";
    let set = server
        .call("PUT", "/v1/budgets/textin", &[alice, json], budget)
        .await;
    assert_eq!(set.json()["changed"], "by alice", "{}", set.text());
    let money = server.call("GET", "/money", &[alice], b"").await;
    assert!(money.text().contains("by alice"), "{}", money.text());
    let ran = stage
        .run(&["budget", "set", "textin", "50", "--per", "day"])
        .await;
    assert_eq!(ran.exit, 0, "{}", ran.stderr);
    let now = server
        .call("GET", "/v1/budgets/textin", &[alice], b"")
        .await;
    assert_eq!(now.json()["changed"], "by the command line");

    let parts = [
        ("vendor", None, &b"textin"[..]),
        ("file", Some("a.txt"), &b"some text\n"[..]),
    ];
    let done = server
        .submit("/v1/jobs", &[alice, ("Prefer", "wait=60")], &parts)
        .await
        .json();
    assert_eq!(done["stage"], "completed", "{done}");
    let path = format!("/v1/jobs/{}", done["id"].as_str().unwrap());
    let fetched = server
        .call("POST", &format!("{path}/fetch"), &[alice], b"")
        .await;
    assert_eq!(fetched.status, 200, "{}", fetched.text());
    let history = server
        .call("GET", &format!("{path}/events"), &[alice], b"")
        .await;
    assert!(
        history.text().contains("the result was asked for by alice"),
        "{}",
        history.text()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn guessing_is_slowed_and_a_right_token_always_passes() {
    let stage = Stage::new().await;
    stage.input("tokens", "alice s3cret\n");
    let server = Server::start(&stage, &["--token-file", "tokens"]).await;
    let guess = async |from: &str, token: &str| {
        let token = format!("Bearer {token}");
        let headers = [("Authorization", &*token), ("X-Forwarded-For", from)];
        server.call("GET", "/v1/jobs", &headers, b"").await
    };
    for number in 0..10 {
        assert_eq!(guess("192.0.2.1", &number.to_string()).await.status, 401);
    }
    let refused = guess("192.0.2.1", "11").await;
    assert_eq!(
        (refused.status, &*refused.problem()),
        (429, "too-many-wrong-tokens")
    );
    let pause: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&pause), "{pause}");
    assert_eq!(guess("192.0.2.1", "s3cret").await.status, 200);
    // Of what a client says before the proxy's own word nothing counts.
    assert_eq!(guess("198.51.100.9, 192.0.2.1", "12").await.status, 429);
    assert_eq!(guess("192.0.2.2", "12").await.status, 401);
    let form = [
        ("Content-Type", "application/x-www-form-urlencoded"),
        ("X-Forwarded-For", "192.0.2.1"),
    ];
    assert_eq!(server.post("/login", &form, b"token=13").await.status, 429);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_logs_in_and_each_change_carries_the_token_of_the_page() {
    let stage = Stage::new().await;
    stage.input("tokens", "alice s3cret\n");
    let server = Server::start(&stage, &["--token-file", "tokens"]).await;
    let html = [("Accept", "text/html")];
    let asked = server.call("GET", "/?stage=failed", &html, b"").await;
    assert_eq!(asked.status, 401);
    assert!(
        asked
            .text()
            .contains("name=\"next\" value=\"/?stage=failed\""),
        "{}",
        asked.text()
    );

    let form = [("Content-Type", "application/x-www-form-urlencoded")];
    let wrong = server.post("/login", &form, b"token=wrong&next=/").await;
    assert_eq!(wrong.status, 401);
    let right = server
        .post("/login", &form, b"token=s3cret&next=//evil.example")
        .await;
    assert_eq!((right.status, right.header("location")), (303, Some("/")));
    let cookie = right.header("set-cookie").unwrap();
    for part in ["HttpOnly", "SameSite=Strict", "Max-Age="] {
        assert!(cookie.contains(part), "{cookie}");
    }
    assert!(!cookie.contains("s3cret"));
    let cookie = cookie.split(';').next().unwrap();

    let page = server
        .call(
            "GET",
            "/",
            &[("Cookie", cookie), ("Accept", "text/html")],
            b"",
        )
        .await;
    assert_eq!(page.status, 200);
    let csrf = page.text().split("name=\"csrf\" value=\"").nth(1).unwrap();
    let csrf = csrf.split('"').next().unwrap();
    let change = async |headers: &[(&str, &str)]| {
        let mut all = vec![("Cookie", cookie)];
        all.extend(headers);
        server.post("/v1/jobs/7/abandon", &all, b"").await
    };
    let refused = change(&[]).await;
    assert_eq!((refused.status, &*refused.problem()), (403, "csrf"));
    assert_eq!(change(&[("X-CSRF-Token", "x")]).await.status, 403);
    assert_eq!(change(&[("X-CSRF-Token", csrf)]).await.status, 404);
    let mut all = form.to_vec();
    all.push(("Cookie", cookie));
    assert_eq!(server.post("/logout", &all, b"").await.status, 403);
    let out = server
        .post("/logout", &all, format!("csrf={csrf}").as_bytes())
        .await;
    assert_eq!(out.status, 303);
    assert!(out.header("set-cookie").unwrap().contains("Max-Age=0"));
    let forged = cookie.replace('.', ".1");
    assert_eq!(
        server
            .call("GET", "/v1/jobs", &[("Cookie", &forged)], b"")
            .await
            .status,
        401
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_server_changes_nothing_and_pages_are_shut_against_markup() {
    let stage = Stage::new().await;
    let server = Server::start(&stage, &["--read-only"]).await;
    for (method, path) in [
        ("POST", "/v1/jobs"),
        ("POST", "/v1/parse"),
        ("POST", "/v1/bulk"),
        ("POST", "/v1/jobs/7/adopt"),
        ("PUT", "/v1/budgets/textin"),
        ("DELETE", "/v1/budgets/textin"),
        ("POST", "/jobs/7/abandon"),
    ] {
        let answer = server.call(method, path, &[], b"").await;
        assert_eq!(
            (answer.status, &*answer.problem()),
            (403, "read-only"),
            "{method} {path}"
        );
    }
    let page = server
        .call("GET", "/", &[("Accept", "text/html")], b"")
        .await;
    let policy = page.header("content-security-policy").unwrap();
    assert!(
        policy.contains("default-src 'self'") && !policy.contains("unsafe"),
        "{policy}"
    );
    assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
    assert!(
        !page.text().contains("<style")
            && !page.text().contains("style=")
            && !page.text().contains("onclick")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_told_to_stop_ends_by_the_signal() {
    let stage = Stage::new().await;
    let mut server = Server::start(&stage, &[]).await;
    // A connection that says nothing holds nobody up.
    let _silent = tokio::net::TcpStream::connect(&server.address)
        .await
        .unwrap();
    assert_eq!(
        call(&server.address, "GET", "/healthz", &[], b"")
            .await
            .status,
        200
    );
    let pid = server.child.id().unwrap().to_string();
    assert!(
        std::process::Command::new("kill")
            .arg(pid)
            .status()
            .unwrap()
            .success()
    );
    let ended = server.child.wait().await.unwrap();
    assert_eq!(ended.signal(), Some(15));
}
