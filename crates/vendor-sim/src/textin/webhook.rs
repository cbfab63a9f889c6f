//! The webhook: an unsigned JSON POST when a job ends, delivered once, twice, late, never, or forged.

use std::sync::{Arc, Weak};
use std::time::Duration;

use serde_json::{Value, json};

use super::options::WebhookMode;
use super::state::WebhookDelivery;
use super::{Shared, result_host};
use crate::clock::seconds;
use crate::lock::lock;
use crate::outgoing;

pub(crate) fn schedule(shared: &Arc<Shared>, job_id: String, url: String) {
    let clock = shared.common.clock.clone();
    // The task must not keep a stopped simulator alive.
    let shared = Arc::downgrade(shared);
    tokio::spawn(async move {
        let Some((mode, due)) = plan(&shared, &job_id) else {
            return;
        };
        if mode == WebhookMode::Forged {
            forge(&shared, &job_id, &url).await;
        }
        let Some(due) = due else { return };
        let late = match mode {
            WebhookMode::Late { seconds: late } => seconds(late),
            _ => Duration::ZERO,
        };
        clock.sleep_until(due + late).await;
        let times = match mode {
            WebhookMode::Lost => 0,
            WebhookMode::Duplicate => 2,
            _ => 1,
        };
        for _ in 0..times {
            let Some(shared) = shared.upgrade() else {
                return;
            };
            let Some(body) = notice(&shared, &job_id) else {
                return;
            };
            deliver(&shared, &job_id, &url, body).await;
        }
    });
}

fn plan(shared: &Weak<Shared>, job_id: &str) -> Option<(WebhookMode, Option<Duration>)> {
    let shared = shared.upgrade()?;
    let state = lock(&shared.state);
    Some((state.options.webhook, state.job(job_id)?.due))
}

/// The documented body: no envelope, no signature.
fn notice(shared: &Shared, job_id: &str) -> Option<Value> {
    let now = shared.now();
    let mut state = lock(&shared.state);
    state.settle(now);
    let poll = state.job(job_id)?.seen(now);
    drop(state);
    Some(match poll.failure {
        Some(message) => json!({"job_id": job_id, "status": poll.status, "message": message}),
        None if poll.has_result => {
            json!({"job_id": job_id, "status": poll.status, "result_url": result_host::link(shared, job_id, now)})
        }
        None => json!({"job_id": job_id, "status": poll.status}),
    })
}

/// A stranger's claim. Its address leads to the result host, where the record shows whoever believed it.
async fn forge(shared: &Weak<Shared>, job_id: &str, url: &str) {
    let Some(shared) = shared.upgrade() else {
        return;
    };
    let result_url = format!("{}/file/xparse_result/forged.json", shared.result_base);
    let body = json!({"job_id": job_id, "status": "completed", "result_url": result_url});
    deliver(&shared, job_id, url, body).await;
}

async fn deliver(shared: &Shared, job_id: &str, url: &str, body: Value) {
    let (status, error) =
        match outgoing::post_json(&shared.common.clock, url, body.to_string()).await {
            Ok(status) => (Some(status), None),
            Err(error) => (None, Some(error)),
        };
    let delivery = WebhookDelivery {
        job_id: job_id.to_owned(),
        url: url.to_owned(),
        body,
        status,
        error,
    };
    lock(&shared.state).deliveries.push(delivery);
}
