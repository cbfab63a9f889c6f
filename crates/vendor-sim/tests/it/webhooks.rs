//! Webhook deliveries, received by the simulator's own API origin: its record shows what was sent.

use std::time::Duration;

use vendor_sim::TextInOptions;
use vendor_sim::textin::{Outcome, WebhookDelivery, WebhookMode};

use crate::client::{Caller, no_rate, still, until};

async fn delivered(
    mode: WebhookMode,
    outcome: Option<Outcome>,
    expected: usize,
) -> Vec<WebhookDelivery> {
    let sim = still(TextInOptions {
        webhook: mode,
        ..no_rate()
    })
    .await;
    if let Some(outcome) = outcome {
        sim.next_outcome(outcome);
    }
    let url = format!("{}/my-hook", sim.api_url());
    let parts = [
        ("file", Some("a.txt"), None, b"hello".as_slice()),
        ("webhook", None, None, url.as_bytes()),
    ];
    assert_eq!(Caller(&sim).post("async", &parts).await.code(), 200);
    assert_eq!(sim.jobs()[0].webhook.as_deref(), Some(url.as_str()));
    let early = usize::from(mode == WebhookMode::Forged);
    until(|| sim.webhooks().len() == early).await;
    sim.clock().advance(Duration::from_secs(8));
    if let WebhookMode::Late { seconds } = mode {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert!(sim.webhooks().is_empty());
        sim.clock().advance(Duration::from_secs_f64(seconds));
    }
    until(|| sim.webhooks().len() == expected).await;
    let arrived = sim
        .requests()
        .iter()
        .filter(|request| request.path == "/my-hook")
        .count();
    assert_eq!(arrived, expected);
    sim.webhooks()
}

#[tokio::test]
async fn end_is_told_once_without_envelope() {
    let hooks = delivered(WebhookMode::Once, None, 1).await;
    assert_eq!(hooks[0].status, Some(200));
    assert_eq!(hooks[0].body["status"], "completed");
    assert!(hooks[0].body["result_url"].is_string());
    assert!(hooks[0].body.get("code").is_none());
}

#[tokio::test]
async fn failure_is_told_with_its_message() {
    let hooks = delivered(
        WebhookMode::Once,
        Some(Outcome::Failed {
            message: "no".to_owned(),
        }),
        1,
    )
    .await;
    assert_eq!(hooks[0].body["message"], "no");
    assert!(hooks[0].body.get("result_url").is_none());
}

#[tokio::test]
async fn deliveries_can_be_doubled_late_lost_or_forged() {
    let twice = delivered(WebhookMode::Duplicate, None, 2).await;
    assert_eq!(twice[0].body["job_id"], twice[1].body["job_id"]);
    delivered(WebhookMode::Late { seconds: 500.0 }, None, 1).await;
    delivered(WebhookMode::Lost, None, 0).await;
    let forged = delivered(WebhookMode::Forged, None, 2).await;
    assert!(
        forged[0].body["result_url"]
            .as_str()
            .unwrap()
            .ends_with("/forged.json")
    );
    assert!(
        !forged[1].body["result_url"]
            .as_str()
            .unwrap()
            .ends_with("/forged.json")
    );
}

#[tokio::test]
async fn address_off_this_machine_is_not_called() {
    let sim = still(no_rate()).await;
    let parts = [
        ("file", Some("a.txt"), None, b"hello".as_slice()),
        ("webhook", None, None, b"http://example.com/x".as_slice()),
    ];
    assert_eq!(Caller(&sim).post("async", &parts).await.code(), 200);
    sim.clock().advance(Duration::from_secs(60));
    until(|| sim.webhooks().len() == 1).await;
    assert!(
        sim.webhooks()[0]
            .error
            .as_deref()
            .unwrap()
            .contains("loopback")
    );
}
