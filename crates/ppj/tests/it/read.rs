//! Looks, lists, quotas, and the search for a lost create.

use std::time::Duration;

use httpmock::{Method, MockServer};
use jobs_core::clock::Clock;
use jobs_core::testing::ManualClock;
use jobs_core::vendor::Delivery;
use jobs_core::{Error, ErrorKind, JobId, LostSubmit};
use ppj::types::JobState;
use ppj::{Candidate, Client, Fit, ListFilter};

fn id(token: &str) -> JobId {
    JobId::new(token).unwrap()
}

async fn answering(server: &MockServer, path: &str, status: u16, body: &str) {
    server
        .mock_async(|when, then| {
            when.method(Method::GET).path(path);
            then.status(status).body(body);
        })
        .await;
}

#[tokio::test]
async fn a_poll_with_an_access_key_asks_for_the_path_alone() {
    let server = MockServer::start_async().await;
    let mock = server
        .mock_async(|when, then| {
            when.method(Method::GET)
                .path("/api/jobs/8v9iSKnj")
                .header("x-ppj-credential", crate::KEY)
                .header_missing("x-ppj-signature")
                .is_true(|request| !request.uri_str().contains('?'));
            then.status(200)
                .body(r#"{"token":"8v9iSKnj","state":"converting","total_pages":3}"#);
        })
        .await;
    let client = crate::client(&server.base_url(), &ManualClock::new())
        .build()
        .unwrap();
    let job = client.show(&id("8v9iSKnj")).await.unwrap();
    assert_eq!(job.state, Some(JobState::Converting));
    mock.assert_async().await;
}

#[tokio::test]
async fn a_signed_poll_sends_the_token_in_the_query_too() {
    for (is_alias, path, signature) in [
        (
            false,
            "/jobs/8v9iSKnj",
            "9747a669e554ebe08a20b58ae0857ef9c350583d60774e83acbdd69cdec3b8c5",
        ),
        (
            true,
            "/job/status",
            "9d42f222d68fcef0b7afd2eb781c1d3017b41ec3b7150f0f884872b97f44f275",
        ),
    ] {
        let server = MockServer::start_async().await;
        let mock = server
            .mock_async(|when, then| {
                when.method(Method::GET)
                    .path(path)
                    .query_param("token", "8v9iSKnj")
                    .header("accept", "application/vnd.ppj.v1+json")
                    .header("x-ppj-credential", crate::APP_ID)
                    .header("x-ppj-timestamp", "1767225600")
                    .header("x-ppj-signature", signature);
                then.status(200).body(r#"{"state":"completed"}"#);
            })
            .await;
        let clock = ManualClock::new();
        let client = crate::signed_client(&server.base_url(), &clock)
            .with_alias_paths(is_alias)
            .with_policy(|facts| facts.initial_delay.set(Duration::ZERO))
            .build()
            .unwrap();
        let job = client.job(id("8v9iSKnj"));
        let ready = clock.run(job.wait(Duration::from_secs(60))).await.unwrap();
        assert_eq!(ready.job_id, id("8v9iSKnj"));
        mock.assert_async().await;
    }
}

#[tokio::test]
async fn a_list_sends_dates_that_cannot_be_misread() {
    let server = MockServer::start_async().await;
    let mock = server
        .mock_async(|when, then| {
            when.path("/api/jobs")
                .query_param("start_date", "2026-01-01T00:00:00Z")
                .query_param("end_date", "2026-01-02T00:00:00Z")
                .is_true(|request| !request.uri_str().contains('+'));
            then.status(200)
                .body(r#"{"count":2,"tokens":["fZoYvkua34zqYny8","8v9iSKnj"]}"#);
        })
        .await;
    let clock = ManualClock::new();
    let client = crate::client(&server.base_url(), &clock).build().unwrap();
    let day = ListFilter::new()
        .with_created_from(clock.wall())
        .with_created_before(clock.wall() + Duration::from_secs(86_400));
    let listed = client.list(&day).await.unwrap();
    assert_eq!(listed, [id("fZoYvkua34zqYny8"), id("8v9iSKnj")]);
    mock.assert_async().await;
}

#[tokio::test]
async fn a_signed_list_signs_plain_values_and_the_path_that_it_requests() {
    let clock = ManualClock::new();
    let day = ListFilter::new()
        .with_state(JobState::Completed)
        .with_created_from(clock.wall())
        .with_created_before(clock.wall() + Duration::from_secs(86_400));
    for (filter, base, prefix, is_alias, path, signature) in [
        (
            &day,
            "",
            None,
            false,
            "/jobs",
            "5fb787a0302f29ab1daaf526df0567b43896b68e9ca1162ecefbef289fcf3bee",
        ),
        (
            &ListFilter::new(),
            "",
            None,
            true,
            "/job/list",
            "007d0488317d4aa7fe08fae24e8a34f75236d4408edfcd0ef5c0b0da5f4d93f8",
        ),
        (
            &ListFilter::new(),
            "/v1/",
            None,
            false,
            "/v1/jobs",
            "7148a69b43e516451f96fef358e1b593021904a06cc6bfb6b4bbfa48ac0e8045",
        ),
        (
            &ListFilter::new(),
            "/v1/",
            Some(""),
            false,
            "/v1/jobs",
            "e99468845bfaa5609133df74475a757d634b78a8e5a3f9c2b3ffa8f879a5ddc9",
        ),
    ] {
        let server = MockServer::start_async().await;
        let mock = server
            .mock_async(|when, then| {
                when.path(path).header("x-ppj-signature", signature);
                then.status(200).body(r#"{"count":0,"tokens":[]}"#);
            })
            .await;
        let builder = crate::signed_client(&server.url(base), &clock).with_alias_paths(is_alias);
        let builder = match prefix {
            Some(prefix) => builder.with_signed_path_prefix(prefix),
            None => builder,
        };
        let listed = builder.build().unwrap().list(filter).await.unwrap();
        assert_eq!(listed, []);
        mock.assert_async().await;
    }
}

#[tokio::test]
async fn a_list_that_is_not_whole_or_not_usable_is_no_list() {
    for body in [
        r#"{"count":3,"tokens":["a"]}"#,
        r#"{"count":1,"tokens":[".."]}"#,
        r#"{"count":1,"tokens":["a"]"#,
        r#"{"tokens":["a"],"count":"#,
        r#"{"tokens":["a","b"#,
    ] {
        let server = MockServer::start_async().await;
        answering(&server, "/api/jobs", 200, body).await;
        let clock = ManualClock::new();
        let client = crate::client(&server.base_url(), &clock).build().unwrap();
        let listed = clock.run(client.list(&ListFilter::new())).await;
        let error = listed.unwrap_err();
        assert_eq!(
            (error.kind(), error.operation()),
            (ErrorKind::UnexpectedResponse, "list")
        );
    }
}

#[tokio::test]
async fn quotas_tell_numbers_or_that_there_is_no_limit() {
    for (body, quotas) in [
        (
            r#"{"summary":{"permanents":100,"permanents_left":42}}"#,
            (Some(100), Some(42)),
        ),
        (
            r#"{"summary":{"permanents":null,"permanents_left":null}}"#,
            (None, None),
        ),
    ] {
        let server = MockServer::start_async().await;
        answering(&server, "/api/quotas", 200, body).await;
        let client = crate::client(&server.base_url(), &ManualClock::new())
            .build()
            .unwrap();
        let told = client.quotas().await.unwrap();
        assert_eq!((told.permanents, told.permanents_left), quotas);
        assert!(client.check_credentials().await.is_ok());
    }
}

#[tokio::test]
async fn a_signed_account_has_no_quotas_and_sends_nothing_for_them() {
    let client = crate::signed_client("http://127.0.0.1:9", &ManualClock::new())
        .build()
        .unwrap();
    let error = client.quotas().await.unwrap_err();
    assert_eq!(
        (error.kind(), error.delivery()),
        (ErrorKind::InvalidInput, Delivery::NotSent)
    );
}

#[tokio::test]
async fn refused_credentials_are_found_before_any_job() {
    let refusal = r#"{"message":"no","type":"AuthenticationError"}"#;
    let server = MockServer::start_async().await;
    answering(&server, "/api/quotas", 401, refusal).await;
    answering(&server, "/jobs", 403, refusal).await;
    let clock = ManualClock::new();
    for client in [
        crate::client(&server.base_url(), &clock),
        crate::signed_client(&server.base_url(), &clock),
    ] {
        let error = client.build().unwrap().check_credentials().await;
        assert_eq!(error.unwrap_err().kind(), ErrorKind::Unauthenticated);
    }
}

#[tokio::test]
async fn harmless_calls_outlast_a_maintenance_and_others_do_not_wait_for_an_unknown_token() {
    let server = MockServer::start_async().await;
    let down = server
        .mock_async(|when, then| {
            when.path("/api/jobs/a");
            then.status(503).body("<html>maintenance</html>");
        })
        .await;
    let unknown = server
        .mock_async(|when, then| {
            when.path("/api/jobs/b");
            then.status(404)
                .body(r#"{"message":"Not Found","type":"NotFoundError"}"#);
        })
        .await;
    let clock = ManualClock::new();
    let client = crate::client(&server.base_url(), &clock).build().unwrap();
    let error = clock.run(client.show(&id("a"))).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.body_excerpt()),
        (ErrorKind::Unavailable, Some("<html>maintenance</html>"))
    );
    assert_eq!(down.calls_async().await, 7);
    let error = clock.run(client.show(&id("b"))).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.job(), error.code()),
        (ErrorKind::NotFound, Some(&id("b")), Some("NotFoundError"))
    );
    assert_eq!(unknown.calls_async().await, 1);
}

/// A create that was begun at the clock's start and brought no answer.
fn lost(clock: &ManualClock) -> LostSubmit {
    LostSubmit {
        summary: "deck.pptx (7 bytes)".into(),
        sent_at: clock.wall(),
        error: Error::new(ErrorKind::Timeout, "ppj", "create").with_delivery(Delivery::MaybeSent),
    }
}

/// What is found among `jobs`, each a token and what the vendor says of it.
async fn found(jobs: &[(&str, String)]) -> Vec<Candidate> {
    let (server, clock) = (MockServer::start_async().await, ManualClock::new());
    let client: Client = crate::client(&server.base_url(), &clock).build().unwrap();
    let tokens: Vec<_> = jobs.iter().map(|(token, _)| *token).collect();
    let list = server
        .mock_async(|when, then| {
            when.path("/api/jobs")
                .query_param("start_date", "2025-12-31T23:59:55Z");
            then.status(200)
                .body(serde_json::json!({"count": tokens.len(), "tokens": tokens}).to_string());
        })
        .await;
    for (token, told) in jobs {
        let (status, body) = match told.as_str() {
            "" => (404, r#"{"message":"Not Found","type":"NotFoundError"}"#),
            told => (200, told),
        };
        answering(&server, &format!("/api/jobs/{token}"), status, body).await;
    }
    let found = client
        .find_lost(&lost(&clock), "deck.pptx", 7)
        .await
        .unwrap();
    list.assert_async().await;
    found
}

fn told(token: &str, name: &str, size: u64, created: &str) -> (String, String) {
    let body = format!(
        r#"{{"token":"{token}","state":"converting","source_filename":"{name}","source_filesize":{size},"created_at":"{created}"}}"#
    );
    (token.to_owned(), body)
}

#[tokio::test]
async fn the_one_job_of_a_lost_create_is_found_among_others() {
    let jobs = [
        told("older", "deck.pptx", 7, "2025-12-31T23:59:54.999Z"),
        told("ours", "deck.pptx", 7, "2026-01-01T00:00:02.500Z"),
        told("other-name", "deck2.pptx", 7, "2026-01-01T00:00:02Z"),
        told("other-size", "deck.pptx", 8, "2026-01-01T00:00:02Z"),
        ("purged".to_owned(), String::new()),
    ];
    let jobs: Vec<_> = jobs
        .iter()
        .map(|(token, body)| (token.as_str(), body.clone()))
        .collect();
    let found = found(&jobs).await;
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(
        (found[0].id.as_str(), found[0].fit),
        ("ours", Fit::Document)
    );
    assert_eq!(
        (found[0].name.as_deref(), found[0].size),
        (Some("deck.pptx"), Some(7))
    );
    let created = ManualClock::new().wall() + Duration::from_millis(2500);
    assert_eq!(found[0].created_at, Some(created));
}

#[tokio::test]
async fn two_jobs_that_fit_are_both_told() {
    let jobs = ["a", "b"].map(|token| {
        let (_, body) = told(token, "deck.pptx", 7, "2026-01-01T00:00:02Z");
        (token, body)
    });
    assert_eq!(found(&jobs).await.len(), 2);
    assert_eq!(found(&[]).await, []);
}

#[tokio::test]
async fn a_signed_account_gets_weak_candidates_only() {
    let (server, clock) = (MockServer::start_async().await, ManualClock::new());
    let client = crate::signed_client(&server.base_url(), &clock)
        .build()
        .unwrap();
    server
        .mock_async(|when, then| {
            when.path("/jobs")
                .query_param("start_date", "2025-12-31T23:59:55Z")
                .header(
                    "x-ppj-signature",
                    "b66b003207d907f23c0dab34e9b89a0d0f5113f83daa32139d489a1fadb6a2e7",
                );
            then.status(200).body(r#"{"count":2,"tokens":["a","b"]}"#);
        })
        .await;
    let found = client
        .find_lost(&lost(&clock), "deck.pptx", 7)
        .await
        .unwrap();
    let fits: Vec<_> = found
        .iter()
        .map(|found| (found.id.as_str(), found.fit))
        .collect();
    assert_eq!(fits, [("a", Fit::TimeOnly), ("b", Fit::TimeOnly)]);
}

#[tokio::test]
async fn a_search_among_too_many_jobs_is_given_up() {
    let (server, clock) = (MockServer::start_async().await, ManualClock::new());
    let client = crate::client(&server.base_url(), &clock).build().unwrap();
    let tokens: Vec<_> = (0..201).map(|n| format!("t{n}")).collect();
    let body = serde_json::json!({ "tokens": tokens }).to_string();
    answering(&server, "/api/jobs", 200, &body).await;
    let error = client.find_lost(&lost(&clock), "deck.pptx", 7).await;
    assert_eq!(error.unwrap_err().kind(), ErrorKind::TooLarge);
}
