//! What becomes of a create.

use std::time::Duration;

use jobs_core::testing::ManualClock;
use jobs_core::vendor::{Delivery, Env};
use jobs_core::{ErrorKind, Job, JobId, SubmitError};
use mindshow::types::{
    DeckPage, GptDeck, JsonDeck, MarkdownDeck, OutlineRequest, PageType, PptDeck,
};
use mindshow::{Client, Deck, PdfBudget, ResourceId};
use tokio::net::TcpListener;

use crate::vendor::{Say, Vendor};
use crate::{failure, success};

const TAKEN: &str = r#"{"job":{"id":"1b3dkf13Ac80","title":"","status":"queued","queue_wait_count":1,"progress_percent":0,"created_at":"2026-01-01T08:00:00+08:00","finished_at":null,"ppt_url":""}}"#;

/// Submits a topic to a vendor that says this; gives the outcome and the number of requests.
async fn submit_answered(
    say: impl Fn() -> Say + Send + Sync + 'static,
) -> (Result<Job<Deck>, SubmitError>, usize) {
    let vendor = Vendor::start(move |_| say()).await;
    let clock = ManualClock::new();
    let client = crate::client(&vendor.url(), &clock)
        .with_code(2002, ErrorKind::QuotaExceeded)
        .build()
        .unwrap();
    let submission = clock
        .run(client.deck(GptDeck::from_topic("Tea")).submit())
        .await;
    (submission, vendor.seen().len())
}

#[tokio::test]
async fn an_accepted_create_is_a_job() {
    let (submission, requests) = submit_answered(|| Say::json(success(TAKEN))).await;
    let job = submission.unwrap();
    assert_eq!((job.id().as_str(), requests), ("1b3dkf13Ac80", 1));
}

#[tokio::test]
async fn refusals_are_told_apart_and_not_repeated() {
    for (status, code, kind) in [
        (200, 2002, ErrorKind::QuotaExceeded),
        (200, 1001, ErrorKind::Refused),
        (401, 1001, ErrorKind::Unauthenticated),
        (402, 1001, ErrorKind::QuotaExceeded),
        (413, 1001, ErrorKind::InvalidInput),
        (429, 1001, ErrorKind::RateLimited),
    ] {
        let (submission, requests) = submit_answered(move || {
            Say::Reply(status, failure(code, "no, an-api-key").into_bytes())
        })
        .await;
        let Err(SubmitError::Rejected(error)) = submission else {
            panic!("{status} {code}: {submission:?}")
        };
        assert_eq!(
            (error.kind(), error.delivery(), requests),
            (kind, Delivery::Answered, 1),
            "{status} {code}"
        );
        assert_eq!(error.code(), Some(code.to_string().as_str()));
        assert_eq!(error.message(), Some("no, ***"));
        assert_eq!(error.request_id(), Some("r-9"));
        assert_eq!(error.operation(), "ppt_create_by_gpt");
    }
}

#[tokio::test]
async fn whatever_may_have_been_taken_is_unknown_and_asked_once() {
    type Answer = fn() -> Say;
    let answers: [(&str, Answer); 9] = [
        ("hangup", || Say::Hangup),
        ("html", || Say::Reply(200, b"<html>".to_vec())),
        ("502", || Say::Reply(502, b"<html>".to_vec())),
        ("504 in an envelope", || {
            Say::Reply(504, failure(7, "busy").into_bytes())
        }),
        ("cut", || Say::Cut(vec![b"{\"code\":0".to_vec()])),
        ("no data", || Say::json(r#"{"code":0,"info":"succ"}"#)),
        ("no job", || Say::json(success("{}"))),
        ("no usable id", || {
            Say::json(success(r#"{"job":{"id":"","status":"queued"}}"#))
        }),
        ("failure with a job", || {
            Say::json(format!(r#"{{"code":5,"info":"?","data":{TAKEN}}}"#))
        }),
    ];
    for (name, answer) in answers {
        let (submission, requests) = submit_answered(answer).await;
        let Err(SubmitError::OutcomeUnknown(lost)) = submission else {
            panic!("{name}: {submission:?}")
        };
        assert_eq!(
            (lost.error.delivery(), requests),
            (Delivery::MaybeSent, 1),
            "{name}"
        );
        assert_eq!(&*lost.summary, r#"topic "Tea""#, "{name}");
    }
}

#[tokio::test]
async fn an_id_in_an_answer_that_breaks_off_is_the_job_if_its_code_says_so() {
    let cut = |body: &'static str| submit_answered(move || Say::Cut(vec![body.into()]));
    let (submission, _) = cut(r#"{"code":0,"data":{"job":{"id":"j7","title":"x"#).await;
    assert_eq!(submission.unwrap().id().as_str(), "j7");
    for (body, job) in [
        (r#"{"data":{"job":{"id":"j7"}},"co"#, Some("j7")),
        (r#"{"code":9,"data":{"job":{"id":"j7"}},"in"#, Some("j7")),
        (r#"{"code":0,"data":{"job":{"id":"j7"#, None),
        (r#"{"code":9,"info":"no mon"#, None),
    ] {
        let (submission, requests) = cut(body).await;
        let Err(SubmitError::OutcomeUnknown(lost)) = submission else {
            panic!("{body}: {submission:?}")
        };
        assert_eq!(lost.error.job().map(JobId::as_str), job, "{body}");
        assert_eq!((lost.error.body_excerpt(), requests), (Some(body), 1));
    }
}

#[tokio::test]
async fn an_id_beside_the_code_of_a_failure_is_named() {
    let answer = || Say::json(format!(r#"{{"code":5,"info":"?","data":{TAKEN}}}"#));
    let (submission, _) = submit_answered(answer).await;
    let Err(SubmitError::OutcomeUnknown(lost)) = submission else {
        panic!("{submission:?}")
    };
    assert_eq!(lost.error.job().map(JobId::as_str), Some("1b3dkf13Ac80"));
    assert!(lost.error.body_excerpt().unwrap().contains("1b3dkf13Ac80"));
}

#[tokio::test]
async fn a_create_without_an_answer_is_given_up() {
    let vendor = Vendor::start(|_| Say::Silence).await;
    let client = crate::client(&vendor.url(), &ManualClock::new())
        .with_create_timeout(Duration::from_millis(30))
        .build()
        .unwrap();
    let submission = client.deck(GptDeck::from_topic("Tea")).submit().await;
    let Err(SubmitError::OutcomeUnknown(lost)) = submission else {
        panic!("not unknown")
    };
    assert_eq!(lost.error.kind(), ErrorKind::Timeout);
    assert_eq!(vendor.seen().len(), 1);
}

#[tokio::test]
async fn what_costs_money_goes_over_a_connection_of_its_own() {
    let vendor = Vendor::start(|seen| match seen.path() {
        "account/info" => Say::json(success(r#"{"id":"a","score":1}"#)),
        "job/get_pdf" => Say::json(success(r#"{"pdf_url":"https://h/x","status":"succeeded"}"#)),
        "gpt/gen_outline_by_topic" => {
            Say::json(success(r##"{"content":"# A","finish_reason":"stop"}"##))
        }
        _ => Say::json(success(&TAKEN.replace("queued", "succeeded"))),
    })
    .await;
    let clock = ManualClock::new();
    let client = crate::client(&vendor.url(), &clock).build().unwrap();
    client.account_info().await.unwrap();
    client.account_info().await.unwrap();
    assert_eq!(vendor.connections(), 1);
    let submission = client.deck(GptDeck::from_topic("Tea")).submit().await;
    let job = submission.unwrap();
    assert_eq!(vendor.connections(), 2);
    client.outline(&OutlineRequest::about("Tea")).await.unwrap();
    assert_eq!(vendor.connections(), 3);
    let export = client.pdf_job(job.id().clone(), PdfBudget::calls(1));
    clock
        .run(export.wait(Duration::from_secs(60)))
        .await
        .unwrap();
    assert_eq!((vendor.connections(), vendor.seen().len()), (4, 6));
}

#[tokio::test]
async fn what_was_never_sent_is_refused() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let clock = ManualClock::new();
    let client = crate::client(&url, &clock).build().unwrap();
    let submission = clock
        .run(client.deck(GptDeck::from_topic("Tea")).submit())
        .await;
    let Err(SubmitError::Rejected(error)) = submission else {
        panic!("{submission:?}")
    };
    assert_eq!(
        (error.kind(), error.delivery()),
        (ErrorKind::Unreachable, Delivery::NotSent)
    );
}

#[tokio::test]
async fn bad_input_is_refused_before_anything_is_sent() {
    let vendor = Vendor::start(|_| Say::json(success(TAKEN))).await;
    let client = crate::client(&vendor.url(), &ManualClock::new())
        .build()
        .unwrap();
    let submissions = [
        client.deck(GptDeck::from_topic("")).submit().await,
        client
            .deck(GptDeck::from_outline("no levels"))
            .submit()
            .await,
        client
            .deck(MarkdownDeck::from_markdown("no levels"))
            .submit()
            .await,
        client.deck(JsonDeck::pptx(vec![])).submit().await,
        client
            .deck(PptDeck::from_upload(ResourceId::new(""), true))
            .submit()
            .await,
    ];
    for submission in submissions {
        let Err(SubmitError::Rejected(error)) = submission else {
            panic!("{submission:?}")
        };
        assert_eq!(
            (error.kind(), error.delivery()),
            (ErrorKind::InvalidInput, Delivery::NotSent)
        );
    }
    assert_eq!(vendor.seen().len(), 0);
}

#[tokio::test]
async fn the_address_of_process_pictures_is_kept_beside_the_job() {
    let vendor = Vendor::start(|_| {
        Say::json(success(&TAKEN.replace(
            r#"{"job""#,
            r#"{"create_log_url":"https://h/log?s=1","job""#,
        )))
    })
    .await;
    let client = crate::client(&vendor.url(), &ManualClock::new())
        .build()
        .unwrap();
    let mut deck = GptDeck::from_topic("Tea");
    deck.with_create_log_flag = Some(true);
    let job = client.deck(deck).submit().await.unwrap();
    let url = client.create_log_url(job.id()).unwrap();
    assert_eq!(url.expose(), "https://h/log?s=1");
    assert!(client.create_log_url(&crate::id("other")).is_none());
}

#[tokio::test]
async fn pages_are_sent_as_they_were_given() {
    let vendor = Vendor::start(|_| Say::json(success(TAKEN))).await;
    let client = crate::client(&vendor.url(), &ManualClock::new())
        .build()
        .unwrap();
    let mut cover = DeckPage::new(PageType::Cover);
    cover.title = Some("Tea".to_owned());
    let submission = client.deck(JsonDeck::pptx(vec![cover])).submit().await;
    assert!(submission.is_ok());
    assert_eq!(
        vendor.seen()[0].json(),
        serde_json::json!({"page_list": [{"type": "cover", "title": "Tea"}], "create_ppt_flag": true})
    );
}

#[test]
fn the_environment_names_what_is_missing_and_keeps_the_key() {
    let lookup = |name: &str| match name {
        "MINDSHOW_API_KEY" => Some("an-api-key".to_owned()),
        "MINDSHOW_BASE_URL" => Some("http://127.0.0.1:1".to_owned()),
        _ => None,
    };
    let client = Client::builder_from(&Env::new("mindshow", &lookup))
        .unwrap()
        .build()
        .unwrap();
    let printed = format!("{client:?}");
    assert!(printed.contains("127.0.0.1") && !printed.contains("an-api-key"));
    let error = Client::builder_from(&Env::new("mindshow", &|_| None)).unwrap_err();
    assert!(error.to_string().contains("MINDSHOW_API_KEY"), "{error}");
    let plain = |name: &str| match name {
        "MINDSHOW_API_KEY" => Some("k".to_owned()),
        "MINDSHOW_BASE_URL" => Some("http://api.mindshow.vip".to_owned()),
        _ => None,
    };
    let error = Client::builder_from(&Env::new("mindshow", &plain))
        .unwrap()
        .build()
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}
