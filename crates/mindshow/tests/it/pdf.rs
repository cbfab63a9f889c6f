//! The export to PDF: never more calls than allowed, and none for nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jobs_core::testing::ManualClock;
use jobs_core::vendor::{Delivery, JobKind as _};
use jobs_core::{ErrorKind, Job, WaitError};
use mindshow::{Client, Pdf, PdfBudget, PdfCharge, PdfReady};

use crate::vendor::{Say, Vendor};
use crate::{id, success};

/// A vendor whose export takes `busy` calls before the one that succeeds, and whose calls cost as listed; the last
/// price goes on.
struct Scene {
    vendor: Vendor,
    clock: ManualClock,
    client: Client,
}

impl Scene {
    async fn new(busy: usize, prices: &'static [i64]) -> Self {
        let calls = Arc::new(AtomicI64::new(0));
        let score = Arc::new(AtomicI64::new(100));
        Self::with(move |path| match path {
            "job/get" => Say::json(success(r#"{"job":{"id":"j","status":"succeeded"}}"#)),
            "account/info" => Say::json(success(&format!(
                r#"{{"id":"a","score":{}}}"#,
                score.load(Ordering::SeqCst)
            ))),
            _ => {
                let call = usize::try_from(calls.fetch_add(1, Ordering::SeqCst)).unwrap();
                let price = prices.get(call).or(prices.last()).unwrap();
                score.fetch_sub(*price, Ordering::SeqCst);
                Say::json(success(if call < busy { RUNNING } else { DONE }))
            }
        })
        .await
    }

    async fn with(say: impl Fn(&str) -> Say + Send + Sync + 'static) -> Self {
        let vendor = Vendor::start(move |seen| say(seen.path())).await;
        let clock = ManualClock::new();
        let client = crate::client(&vendor.url(), &clock).build().unwrap();
        Self {
            vendor,
            clock,
            client,
        }
    }

    fn pdf(&self, budget: PdfBudget) -> Job<Pdf> {
        self.client.pdf_job(id("j"), budget)
    }

    async fn wait(&self, job: &Job<Pdf>) -> Result<PdfReady, WaitError> {
        self.clock.run(job.wait(Duration::from_secs(600))).await
    }

    fn calls(&self) -> usize {
        self.vendor.count("job/get_pdf")
    }
}

const RUNNING: &str = r#"{"pdf_url":"","status":"running","queue_wait_count":0,"progress_percent":30,"created_at":"","finished_at":""}"#;
const DONE: &str = r#"{"pdf_url":"https://h/x.pdf?s=1","status":"succeeded","queue_wait_count":0,"progress_percent":0,"created_at":"","finished_at":""}"#;

fn refusal(end: &WaitError) -> &jobs_core::Error {
    match end.kind() {
        jobs_core::WaitErrorKind::PollRejected(error) => error,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_same_call_is_repeated_every_five_seconds_until_the_pdf_is_there() {
    let scene = Scene::new(2, &[10, 0]).await;
    let job = scene.pdf(PdfBudget::calls(5));
    let ready = scene.wait(&job).await.unwrap();
    assert_eq!(ready.pdf_url(), "https://h/x.pdf?s=1");
    assert_eq!((scene.calls(), scene.vendor.count("job/get")), (3, 1));
    let spent = job.kind().spent(job.id());
    assert_eq!(
        (spent.calls, spent.credits, spent.credits_at_most),
        (3, 10, 30)
    );
    let request = &scene.vendor.seen()[1];
    assert_eq!(
        request.json(),
        serde_json::json!({"id": "j", "async_flag": true})
    );
}

#[tokio::test]
async fn a_pdf_that_is_there_is_not_asked_for_again() {
    let scene = Scene::new(0, &[10]).await;
    let job = scene.pdf(PdfBudget::calls(5));
    let first = scene.wait(&job).await.unwrap();
    let again = scene.wait(&job).await.unwrap();
    assert_eq!((first.pdf_url(), scene.calls()), (again.pdf_url(), 1));
    // A kind of its own knows nothing of it, and the two waits are two exports.
    scene.wait(&scene.pdf(PdfBudget::calls(5))).await.unwrap();
    assert_eq!(scene.calls(), 2);
}

#[tokio::test]
async fn two_waits_together_share_their_calls() {
    let scene = Scene::new(0, &[10]).await;
    let job = scene.pdf(PdfBudget::calls(5));
    let other = job.clone();
    let both = async {
        tokio::join!(
            job.wait(Duration::from_secs(60)),
            other.wait(Duration::from_secs(60))
        )
    };
    let (one, two) = scene.clock.run(both).await;
    assert_eq!(one.unwrap().pdf_url(), two.unwrap().pdf_url());
    assert_eq!(scene.calls(), 1);
}

#[tokio::test]
async fn the_budget_is_never_exceeded_and_says_what_was_spent() {
    let scene = Scene::new(99, &[10]).await;
    let job = scene.pdf(PdfBudget::calls(3).assuming(PdfCharge::EveryCall));
    let end = scene.wait(&job).await.unwrap_err();
    let error = refusal(&end);
    assert_eq!(error.kind(), ErrorKind::QuotaExceeded);
    assert!(error.to_string().contains("all 3 calls"), "{error}");
    assert_eq!(scene.calls(), 3);
    assert_eq!(job.kind().spent(job.id()).credits, 30);
    // Waiting again does not get round it.
    scene.wait(&job).await.unwrap_err();
    assert_eq!(scene.calls(), 3);
}

#[tokio::test]
async fn calls_of_a_process_that_is_gone_count() {
    let scene = Scene::new(99, &[10]).await;
    let job = scene.pdf(PdfBudget::calls(3).with_calls_made(2));
    scene.wait(&job).await.unwrap_err();
    assert_eq!(scene.calls(), 1);
}

#[tokio::test]
async fn a_guarded_export_stops_after_the_second_charge() {
    let scene = Scene::new(99, &[10]).await;
    let job = scene.pdf(PdfBudget::calls(50).guarded());
    let end = scene.wait(&job).await.unwrap_err();
    let error = refusal(&end);
    assert_eq!(error.kind(), ErrorKind::QuotaExceeded);
    assert!(error.to_string().contains("from 100 to 80"), "{error}");
    assert_eq!((scene.calls(), scene.vendor.count("account/info")), (2, 2));
    scene.wait(&job).await.unwrap_err();
    assert_eq!((scene.calls(), scene.vendor.count("account/info")), (2, 2));
}

#[tokio::test]
async fn a_guarded_export_goes_on_where_only_the_first_call_is_charged() {
    let scene = Scene::new(6, &[10, 0]).await;
    let job = scene.pdf(PdfBudget::calls(50).guarded());
    scene.wait(&job).await.unwrap();
    assert_eq!((scene.calls(), scene.vendor.count("account/info")), (7, 2));
}

#[tokio::test]
async fn an_unfinished_deck_is_waited_for_without_a_call() {
    let polls = AtomicI64::new(0);
    let scene = Scene::with(move |path| match path {
        "job/get" => {
            let status = match polls.fetch_add(1, Ordering::SeqCst) {
                0 => "queued",
                1 => "running",
                _ => "succeeded",
            };
            Say::json(success(&format!(
                r#"{{"job":{{"id":"j","status":"{status}"}}}}"#
            )))
        }
        _ => Say::json(success(DONE)),
    })
    .await;
    let job = scene.pdf(PdfBudget::calls(1));
    scene.wait(&job).await.unwrap();
    assert_eq!((scene.vendor.count("job/get"), scene.calls()), (3, 1));
}

#[tokio::test]
async fn a_failed_deck_costs_nothing() {
    let scene = Scene::with(|_| {
        Say::json(success(
            r#"{"job":{"id":"j","status":"failed","error":"no"}}"#,
        ))
    })
    .await;
    let job = scene.pdf(PdfBudget::calls(5));
    let end = scene.wait(&job).await.unwrap_err();
    assert!(
        matches!(end.kind(), jobs_core::WaitErrorKind::Failed(failure) if &*failure.reason == "no")
    );
    assert_eq!((scene.calls(), job.kind().spent(job.id()).calls), (0, 0));
}

/// A vendor that hangs up on the first export call.
async fn hanging_up_once() -> Scene {
    let calls = AtomicI64::new(0);
    Scene::with(move |path| match path {
        "job/get" => Say::json(success(r#"{"job":{"id":"j","status":"succeeded"}}"#)),
        _ if calls.fetch_add(1, Ordering::SeqCst) == 0 => Say::Hangup,
        _ => Say::json(success(DONE)),
    })
    .await
}

#[tokio::test]
async fn a_lost_answer_is_polled_for_again_only_if_that_is_free() {
    let scene = hanging_up_once().await;
    let job = scene.pdf(PdfBudget::calls(5));
    scene.wait(&job).await.unwrap();
    assert_eq!(scene.calls(), 2);

    let scene = hanging_up_once().await;
    let job = scene.pdf(PdfBudget::calls(5).assuming(PdfCharge::EveryCall));
    let end = scene.wait(&job).await.unwrap_err();
    assert_eq!(refusal(&end).delivery(), Delivery::MaybeSent);
    assert_eq!(scene.calls(), 1);
    // Waiting again is the caller's decision.
    scene.wait(&job).await.unwrap();
    assert_eq!(scene.calls(), 2);
}

#[tokio::test]
async fn a_call_dropped_in_flight_counts() {
    let scene = Scene::with(|path| match path {
        "job/get" => Say::json(success(r#"{"job":{"id":"j","status":"succeeded"}}"#)),
        _ => Say::Silence,
    })
    .await;
    let job = scene.pdf(PdfBudget::calls(5).assuming(PdfCharge::EveryCall));
    tokio::select! {
        _ = job.wait(Duration::from_secs(600)) => panic!("the vendor is silent"),
        () = async { while scene.calls() == 0 { tokio::task::yield_now().await } } => {}
    }
    assert_eq!(job.kind().spent(job.id()).calls, 1);
    let end = scene.wait(&job).await.unwrap_err();
    assert_eq!(refusal(&end).delivery(), Delivery::MaybeSent);
    assert_eq!(scene.calls(), 1);
}

#[tokio::test]
async fn a_blocking_export_asks_once_and_says_so() {
    let scene = Scene::new(0, &[10]).await;
    let job = scene.pdf(PdfBudget::calls(1).blocking());
    scene.wait(&job).await.unwrap();
    let request = scene.vendor.seen().pop().unwrap();
    assert_eq!(
        request.json(),
        serde_json::json!({"id": "j", "async_flag": false})
    );
    assert!(job.kind().policy().poll_timeout.value >= Duration::from_secs(60));
}
