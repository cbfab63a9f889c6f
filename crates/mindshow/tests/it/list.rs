//! Lists: page by page, as the answer to many polls at once, and in search of a lost job.

use std::time::{Duration, SystemTime};

use jobs_core::clock::Clock as _;
use jobs_core::testing::ManualClock;
use jobs_core::vendor::JobKind as _;
use jobs_core::{ErrorKind, JobId, LostSubmit, Status, SubmitError};
use mindshow::types::{GptDeck, ListRequest};
use mindshow::{Client, SearchCriteria};
use serde_json::{Value, json};

use crate::vendor::{Say, Seen, Vendor};
use crate::{failure, id, success};

/// A vendor with these jobs, newest first, in pages of at most `limit`.
async fn with_jobs(jobs: Vec<Value>, limit: usize) -> (Vendor, ManualClock, Client) {
    with(move |seen| match seen.path() {
        "job/list" => {
            let asked = seen.json();
            let from: usize = match asked["after"].as_str() {
                None | Some("") => 0,
                Some(after) => after.trim_start_matches("c-").parse().unwrap(),
            };
            let wanted = usize::try_from(asked["limit"].as_u64().unwrap_or(10)).unwrap();
            let to = (from + wanted.min(limit)).min(jobs.len());
            let after = if to < jobs.len() {
                format!("c-{to}")
            } else {
                String::new()
            };
            Say::json(success(
                &json!({"list": jobs[from..to], "after": after}).to_string(),
            ))
        }
        "job/get" => {
            let wanted = seen.json()["id"].clone();
            match jobs.iter().find(|job| job["id"] == wanted) {
                Some(job) => Say::json(success(&json!({"job": job}).to_string())),
                None => Say::json(failure(404, "no such job")),
            }
        }
        _ => Say::Hangup,
    })
    .await
}

async fn with(say: impl Fn(&Seen) -> Say + Send + Sync + 'static) -> (Vendor, ManualClock, Client) {
    let vendor = Vendor::start(say).await;
    let clock = ManualClock::new();
    let client = crate::client(&vendor.url(), &clock).build().unwrap();
    (vendor, clock, client)
}

fn jobs(count: usize, status: &str) -> Vec<Value> {
    (0..count)
        .map(|n| json!({"id": format!("job-{n}"), "title": "Tea", "status": status, "progress_percent": 7, "ppt_url": ""}))
        .collect()
}

fn ids(range: std::ops::Range<usize>) -> Vec<JobId> {
    range.map(|n| id(&format!("job-{n}"))).collect()
}

#[tokio::test]
async fn two_jobs_are_polled_one_by_one_and_three_through_the_list() {
    let (vendor, _, client) = with_jobs(jobs(3, "running"), 50).await;
    let kind = client.kind();
    let polls = kind.poll(&ids(0..2)).await.into_vec();
    assert!(polls.iter().all(Result::is_ok));
    assert_eq!((vendor.count("job/get"), vendor.count("job/list")), (2, 0));
    let polls = kind.poll(&ids(0..3)).await.into_vec();
    assert!(polls.iter().all(Result::is_ok));
    assert_eq!((vendor.count("job/get"), vendor.count("job/list")), (2, 1));
}

#[tokio::test]
async fn fifty_jobs_are_one_request_and_each_has_its_own_answer() {
    let mut all = jobs(120, "running");
    all[7]["status"] = json!("failed");
    all[7]["error"] = json!("page 7");
    all[9]["status"] = json!("pondering");
    let (vendor, _, client) = with_jobs(all, 50).await;
    let kind = client.kind();
    assert_eq!(kind.policy().max_batch.value.get(), 50);
    let polls = kind.poll(&ids(0..50)).await.into_vec();
    assert_eq!(vendor.seen().len(), 1);
    for (place, poll) in polls.into_iter().enumerate() {
        let snapshot = poll.unwrap();
        match place {
            7 => assert!(
                matches!(snapshot.status, Status::Failed(failure) if &*failure.reason == "page 7")
            ),
            9 => assert!(!snapshot.is_known),
            _ => assert_eq!(snapshot.progress.percent, Some(7)),
        }
    }
}

#[tokio::test]
async fn jobs_further_down_are_polled_one_by_one() {
    let (vendor, _, client) = with_jobs(jobs(100, "queued"), 10).await;
    let wanted: Vec<_> = [0, 15, 29, 30, 99].map(|n| id(&format!("job-{n}"))).into();
    let polls = client.kind().poll(&wanted).await.into_vec();
    assert!(polls.iter().all(Result::is_ok));
    assert_eq!((vendor.count("job/list"), vendor.count("job/get")), (3, 2));
}

#[tokio::test]
async fn a_job_that_nobody_knows_is_that_jobs_trouble_alone() {
    let (_vendor, _, client) = with_jobs(jobs(3, "running"), 50).await;
    let polls = client
        .kind()
        .poll(&[id("job-0"), id("deleted"), id("job-2")])
        .await
        .into_vec();
    assert!(polls[0].is_ok() && polls[2].is_ok());
    let error = polls[1].as_ref().unwrap_err();
    assert_eq!(
        (error.kind(), error.code()),
        (ErrorKind::Refused, Some("404"))
    );
}

#[tokio::test]
async fn a_spoilt_entry_spoils_no_other() {
    let mut all = jobs(3, "running");
    all[1] = json!({"id": "job-1", "status": 7});
    let (vendor, _, client) = with_jobs(all, 50).await;
    let polls = client.kind().poll(&ids(0..3)).await.into_vec();
    assert!(polls[0].is_ok() && polls[2].is_ok());
    assert_eq!(
        polls[1].as_ref().unwrap_err().kind(),
        ErrorKind::UnexpectedResponse
    );
    assert_eq!((vendor.count("job/list"), vendor.count("job/get")), (1, 1));
}

#[tokio::test]
async fn a_refused_list_ends_no_wait() {
    let (vendor, _, client) = with(|seen| match seen.path() {
        "job/list" => Say::json(failure(77, "limit too large")),
        _ => Say::json(success(
            &json!({"job": {"id": seen.json()["id"], "status": "running"}}).to_string(),
        )),
    })
    .await;
    let polls = client.kind().poll(&ids(0..3)).await.into_vec();
    assert!(polls.iter().all(Result::is_ok));
    assert_eq!(vendor.count("job/get"), 3);
}

#[tokio::test]
async fn a_list_in_trouble_is_trouble_for_every_job_and_asks_no_more() {
    let (vendor, _, client) = with(|_| Say::Reply(503, b"<html>".to_vec())).await;
    let polls = client.kind().poll(&ids(0..5)).await.into_vec();
    assert!(polls.iter().all(|poll| {
        poll.as_ref()
            .is_err_and(|error| error.kind() == ErrorKind::Unavailable)
    }));
    assert_eq!(vendor.seen().len(), 1);
}

#[tokio::test]
async fn refused_credentials_are_not_tried_job_by_job() {
    let (vendor, _, client) =
        with(|_| Say::Reply(401, failure(1, "who are you").into_bytes())).await;
    let polls = client.kind().poll(&ids(0..5)).await.into_vec();
    assert!(polls.iter().all(|poll| {
        poll.as_ref()
            .is_err_and(|error| error.kind() == ErrorKind::Unauthenticated)
    }));
    assert_eq!(vendor.seen().len(), 1);
}

#[tokio::test]
async fn the_answer_about_another_job_is_not_believed() {
    let (_vendor, clock, client) =
        with(|_| Say::json(success(r#"{"job":{"id":"other","status":"failed"}}"#))).await;
    let poll = client.kind().poll(&ids(0..1)).await.into_vec().remove(0);
    assert_eq!(poll.unwrap_err().kind(), ErrorKind::UnexpectedResponse);
    assert!(clock.run(client.job_info(&id("job-0"))).await.is_err());
}

#[tokio::test]
async fn pages_follow_the_cursor_to_the_end() {
    let (vendor, _, client) = with_jobs(jobs(25, "running"), 10).await;
    let mut pages = client.job_pages(&ListRequest::default());
    let mut counts = Vec::new();
    while let Some(page) = pages.next().await {
        counts.push(page.unwrap().len());
    }
    assert_eq!(counts, [10, 10, 5]);
    assert!(pages.next().await.is_none());
    assert_eq!(vendor.seen().len(), 3);
    let page = client.list_jobs(&ListRequest::default()).await.unwrap();
    assert_eq!(
        (page.items.len(), page.after.as_deref()),
        (10, Some("c-10"))
    );
}

#[tokio::test]
async fn a_cursor_that_comes_back_ends_the_list() {
    let (vendor, _, client) = with(|seen| {
        let next = if seen.json()["after"] == json!("a") {
            "b"
        } else {
            "a"
        };
        Say::json(success(&format!(
            r#"{{"list":[{{"id":"j","status":"running"}}],"after":"{next}"}}"#
        )))
    })
    .await;
    let mut pages = client.job_pages(&ListRequest::default());
    let mut outcomes = Vec::new();
    while let Some(page) = pages.next().await {
        outcomes.push(page.map(|jobs| jobs.len()).map_err(|error| error.kind()));
    }
    assert_eq!(outcomes, [Ok(1), Ok(1), Err(ErrorKind::UnexpectedResponse)]);
    assert_eq!(vendor.seen().len(), 3);
}

fn created(name: &str, title: &str, second: u64) -> Value {
    let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_600 + second);
    let at: String = chrono::DateTime::<chrono::Utc>::from(at)
        .with_timezone(&chrono::FixedOffset::east_opt(8 * 3600).unwrap())
        .to_rfc3339();
    json!({"id": name, "title": title, "status": "running", "created_at": at})
}

/// A create that was lost `second` seconds after the clock's beginning.
fn lost(clock: &ManualClock, second: u64) -> LostSubmit {
    LostSubmit {
        summary: "topic \"Tea\"".into(),
        sent_at: clock.wall() + Duration::from_secs(second),
        error: jobs_core::Error::new(ErrorKind::Timeout, "mindshow", "ppt_create_by_gpt"),
    }
}

#[tokio::test]
async fn the_search_goes_back_to_just_before_the_create_and_no_further() {
    let mut all = vec![
        created("later", "Tea", 2000),
        created("mine", "Tea", 1001),
        created("other", "Coffee", 1000),
        created("known", "Tea", 990),
    ];
    all.extend((0..40).map(|n| created(&format!("old-{n}"), "Tea", 900 - n)));
    let (vendor, clock, client) = with_jobs(all, 10).await;
    let lost = lost(&clock, 1000);
    let mut clues = SearchCriteria::default();
    let found = client.find_lost(&lost, &clues).await.unwrap();
    let names: Vec<_> = found.iter().map(|found| found.id.as_str()).collect();
    assert_eq!(names, ["later", "mine", "other", "known"]);
    assert_eq!(vendor.seen().len(), 1);
    clues.title = Some("Tea".into());
    clues.known = vec![id("known")];
    clues.until = Some(lost.sent_at + Duration::from_secs(180));
    let found = client.find_lost(&lost, &clues).await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(
        (found[0].id.as_str(), &*found[0].name, found[0].size),
        ("mine", "Tea", None)
    );
    assert_eq!(
        found[0].created_at,
        Some(lost.sent_at + Duration::from_secs(1))
    );
}

#[tokio::test]
async fn a_dropped_create_leaves_one_candidate() {
    let (vendor, clock, client) = with(|seen| match seen.path() {
        "job/list" => Say::json(success(&json!({"list": [created("mine", "", 1)], "after": ""}).to_string())),
        "account/score_log" => Say::json(success(
            r#"{"list":[{"title":"AI PPT","log_time":"2026-01-01T08:00:01+08:00","original_score":100,"modified_score":-12,"final_score":88},{"title":"old","log_time":"2025-12-31T08:00:00+08:00","original_score":110,"modified_score":-10,"final_score":100}],"after":"more"}"#,
        )),
        _ => Say::Hangup,
    })
    .await;
    let submission = client.deck(GptDeck::from_topic("Tea")).submit().await;
    let Err(SubmitError::OutcomeUnknown(lost)) = submission else {
        panic!("{submission:?}")
    };
    let found = client
        .find_lost(&lost, &SearchCriteria::default())
        .await
        .unwrap();
    assert_eq!(found.len(), 1);
    let charges = client.charges_since(lost.sent_at).await.unwrap();
    assert_eq!(charges.len(), 1);
    assert_eq!(
        (charges[0].original_score, charges[0].final_score),
        (Some(100), Some(88))
    );
    assert_eq!(vendor.count("job/ppt_create_by_gpt"), 1);
    drop(clock);
}

#[tokio::test]
async fn a_list_that_breaks_off_gives_no_candidates() {
    let (_vendor, clock, client) = with(|seen| match seen.json()["after"].as_str() {
        Some("more") => Say::json(failure(5, "no")),
        _ => Say::json(success(
            &json!({"list": [created("mine", "", 1)], "after": "more"}).to_string(),
        )),
    })
    .await;
    assert!(
        client
            .find_lost(&lost(&clock, 0), &SearchCriteria::default())
            .await
            .is_err()
    );
}

#[tokio::test]
async fn half_a_list_is_no_list_wherever_it_ends() {
    let list = json!({"list": [created("mine", "", 1), created("other", "", 1)], "after": ""});
    let whole = success(&list.to_string());
    let first = whole.find("mine").unwrap();
    for end in (first..whole.len()).step_by(13) {
        let cut = whole[..end].to_owned();
        let (_vendor, clock, client) = with(move |_| Say::json(cut.clone())).await;
        let (lost, all) = (lost(&clock, 0), SearchCriteria::default());
        let found = clock.run(client.find_lost(&lost, &all)).await;
        let error = found.unwrap_err();
        assert_eq!(
            error.kind(),
            ErrorKind::UnexpectedResponse,
            "{end}: {error}"
        );
    }
}
