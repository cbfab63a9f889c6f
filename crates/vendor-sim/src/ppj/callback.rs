//! Callbacks: the check of the customer's address, the worker that tells of each end, and its patience.

use std::sync::{Arc, Weak};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri};
use axum::routing::post;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::options::{CallbackMode, Outcome, PpjOptions};
use super::state::{CallbackDelivery, Job};
use super::{Shared, query, sign};
use crate::clock::seconds;
use crate::lock::lock;
use crate::outgoing;

/// At high speed the documented ten seconds are shorter than a loopback round trip.
const REAL_FLOOR: Duration = Duration::from_millis(500);
const CONTROL_LIMIT: usize = 64 << 10;

/// The pause before retry `n` (from 0), with `random` from 0 to 29: the schedule of the vendor's page.
pub(crate) fn pause(n: u32, random: u32) -> Duration {
    let n = u64::from(n);
    Duration::from_secs(n.pow(4) + 15 + u64::from(random) * (n + 1))
}

/// `POST /_sim/callback {"url": …}` checks an address as the web console does; `null` removes it.
pub(crate) fn control(shared: &Arc<Shared>) -> Router {
    let shared = Arc::clone(shared);
    let set = move |request: Request<Body>| {
        let shared = Arc::clone(&shared);
        async move {
            let bytes = axum::body::to_bytes(request.into_body(), CONTROL_LIMIT).await;
            let body: Value = bytes
                .ok()
                .and_then(|bytes| serde_json::from_slice(&bytes).ok())
                .unwrap_or_default();
            let outcome = match body.get("url") {
                Some(Value::String(url)) => verify(&shared, url).await,
                Some(Value::Null) => {
                    lock(&shared.state).callback = None;
                    Ok(())
                }
                _ => Err("url is a text or null".to_owned()),
            };
            let (status, value) = match outcome {
                Ok(()) => (StatusCode::OK, json!({ "verified": true })),
                Err(error) => (StatusCode::BAD_REQUEST, json!({ "error": error })),
            };
            let mut response = Response::new(Body::from(value.to_string()));
            *response.status_mut() = status;
            response
        }
    };
    Router::new().route("/_sim/callback", post(set))
}

/// Asks the address to repeat a nonce; only then is it told anything.
pub(crate) async fn verify(shared: &Shared, url: &str) -> Result<(), String> {
    let nonce: String = std::iter::repeat_with(fastrand::alphanumeric)
        .take(16)
        .collect();
    let word = shared.rule(|options| options.callback_verify_word.clone());
    let parameters = vec![
        ("type".to_owned(), word),
        ("nonce".to_owned(), nonce.clone()),
    ];
    let full = with_query(url, &parameters);
    let answer = patiently(
        shared,
        outgoing::exchange(&shared.common.clock, &full, Method::GET, &[], String::new()),
    )
    .await;
    let delivery = CallbackDelivery {
        token: String::new(),
        url: full,
        method: "GET",
        parameters,
        attempt: 1,
        status: answer.as_ref().ok().map(|(status, _)| *status),
        error: answer.as_ref().err().cloned(),
        forged: false,
        at_unix: shared.common.clock.now_unix(),
    };
    lock(&shared.state).deliveries.push(delivery);
    let (status, body) = answer?;
    if status != 200 {
        return Err(format!("the address answered HTTP {status}"));
    }
    let echoed = serde_json::from_slice::<Value>(&body)
        .ok()
        .and_then(|body| Some(body.get("nonce")?.as_str()? == nonce));
    if echoed != Some(true) {
        return Err("the answer does not hold the nonce".to_owned());
    }
    lock(&shared.state).callback = Some(url.to_owned());
    Ok(())
}

/// Tells the customer's address of a job's end, as long as it takes.
pub(crate) fn schedule(shared: &Arc<Shared>, token: String) -> JoinHandle<()> {
    let clock = shared.common.clock.clone();
    // The task must not keep a stopped simulator alive.
    let shared = Arc::downgrade(shared);
    tokio::spawn(async move {
        let Some((mode, end)) = plan(&shared, &token) else {
            return;
        };
        if mode == CallbackMode::Forged {
            forge(&shared, &token).await;
        }
        let Some(end) = end else { return };
        let late = match mode {
            CallbackMode::Late { seconds: late } => seconds(late),
            _ => Duration::ZERO,
        };
        clock.sleep_until(end + late).await;
        match mode {
            CallbackMode::Lost => settle(&shared, &token),
            CallbackMode::Swapped => {
                for token in overtaken(&shared, token) {
                    persist(&shared, &token, mode).await;
                }
            }
            _ => persist(&shared, &token, mode).await,
        }
    })
}

fn plan(shared: &Weak<Shared>, token: &str) -> Option<(CallbackMode, Option<Duration>)> {
    let shared = shared.upgrade()?;
    let state = lock(&shared.state);
    Some((state.options.callback, state.job(token)?.end))
}

fn settle(shared: &Weak<Shared>, token: &str) {
    if let Some(shared) = shared.upgrade() {
        let now = shared.now();
        lock(&shared.state).notified(token, now);
    }
}

/// Nobody to tell yet, or both jobs of a pair, the later one first.
fn overtaken(shared: &Weak<Shared>, token: String) -> Vec<String> {
    let Some(shared) = shared.upgrade() else {
        return Vec::new();
    };
    let mut state = lock(&shared.state);
    let Some(held) = state.held.take() else {
        state.held = Some(token);
        return Vec::new();
    };
    // When both are due at once, either may have come here first.
    let mut pair = vec![held, token];
    pair.sort_by_key(|token| std::cmp::Reverse(state.job(token).and_then(|job| job.end)));
    pair
}

async fn persist(weak: &Weak<Shared>, token: &str, mode: CallbackMode) {
    let mut attempt = 0;
    loop {
        let Some(shared) = weak.upgrade() else { return };
        let Some(job) = lock(&shared.state).job(token).cloned() else {
            return;
        };
        let options = shared.rule(Clone::clone);
        attempt += 1;
        if tell(&shared, &job, &options, attempt).await {
            settle(weak, token);
            if mode == CallbackMode::Duplicate {
                tell(&shared, &job, &options, attempt + 1).await;
            }
            return;
        }
        if attempt >= options.callback_attempts {
            if options.completed_after_last_failure {
                settle(weak, token);
            }
            return;
        }
        let clock = shared.common.clock.clone();
        drop(shared);
        clock.sleep(pause(attempt - 1, fastrand::u32(..30))).await;
    }
}

/// Whether the address answered 200 in time.
async fn tell(shared: &Shared, job: &Job, options: &PpjOptions, attempt: u32) -> bool {
    let mut parameters = vec![("token".to_owned(), job.token.clone())];
    match &job.outcome {
        Outcome::Halted { code, .. } => {
            parameters.push(("type".to_owned(), "error".to_owned()));
            parameters.push(("code".to_owned(), code.to_string()));
        }
        Outcome::Completed | Outcome::Never => {
            parameters.push(("type".to_owned(), options.callback_success_word.clone()));
            if options.callback_success_code {
                parameters.push(("code".to_owned(), "0".to_owned()));
            }
        }
    }
    let url = job.callback.as_deref().unwrap_or_default();
    let signed = options.callback_signed.then_some(options);
    deliver(
        shared,
        &job.token,
        url,
        parameters,
        signed,
        options.callback_post,
        attempt,
    )
    .await
}

/// A stranger's claim of success.
async fn forge(shared: &Weak<Shared>, token: &str) {
    let Some(shared) = shared.upgrade() else {
        return;
    };
    let Some(url) = lock(&shared.state)
        .job(token)
        .and_then(|job| job.callback.clone())
    else {
        return;
    };
    let parameters = vec![
        ("token".to_owned(), token.to_owned()),
        ("type".to_owned(), "complete".to_owned()),
    ];
    deliver(&shared, token, &url, parameters, None, false, 0).await;
}

async fn deliver(
    shared: &Shared,
    token: &str,
    url: &str,
    parameters: Vec<(String, String)>,
    signed: Option<&PpjOptions>,
    as_form: bool,
    attempt: u32,
) -> bool {
    let (method, full, body) = if as_form {
        (Method::POST, url.to_owned(), form(&parameters))
    } else {
        (Method::GET, with_query(url, &parameters), String::new())
    };
    let mut headers = signed
        .map(|options| signature_headers(shared, options, &method, url, &parameters))
        .unwrap_or_default();
    if as_form {
        let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
        headers.push((CONTENT_TYPE, kind));
    }
    let at_unix = shared.common.clock.now_unix();
    let sending = outgoing::exchange(&shared.common.clock, &full, method, &headers, body);
    let answer = patiently(shared, sending).await.map(|(status, _)| status);
    let delivery = CallbackDelivery {
        token: token.to_owned(),
        url: full,
        method: if as_form { "POST" } else { "GET" },
        parameters,
        attempt,
        status: answer.as_ref().ok().copied(),
        error: answer.as_ref().err().cloned(),
        forged: attempt == 0,
        at_unix,
    };
    lock(&shared.state).deliveries.push(delivery);
    answer == Ok(200)
}

/// The two headers of the first generation, over the customer's own path.
fn signature_headers(
    shared: &Shared,
    options: &PpjOptions,
    method: &Method,
    url: &str,
    parameters: &[(String, String)],
) -> Vec<(HeaderName, HeaderValue)> {
    let uri: Uri = url.parse().unwrap_or_default();
    let mut covered = parameters.to_vec();
    if options.callback_signs_all {
        covered.extend(query::pairs(uri.query().unwrap_or_default()));
    }
    let timestamp = shared.wall().as_secs().to_string();
    let secret = &options.app_secret;
    let signature = sign::signature(secret, &timestamp, method.as_str(), uri.path(), &covered);
    [
        ("x-ppj-timestamp", timestamp),
        ("x-ppj-signature", signature),
    ]
    .into_iter()
    .filter_map(|(name, value)| {
        Some((
            HeaderName::from_static(name),
            HeaderValue::from_str(&value).ok()?,
        ))
    })
    .collect()
}

async fn patiently<T>(
    shared: &Shared,
    sending: impl Future<Output = Result<T, String>>,
) -> Result<T, String> {
    let limit = seconds(shared.rule(|options| options.callback_timeout_seconds));
    let never = std::future::pending::<()>();
    tokio::select! {
        answer = sending => answer,
        _ = async { tokio::join!(shared.common.clock.sleep(limit), shared.common.clock.within_real(REAL_FLOOR, never)) } => {
            Err("no answer in time".to_owned())
        }
    }
}

fn with_query(url: &str, parameters: &[(String, String)]) -> String {
    let joint = if url.contains('?') { '&' } else { '?' };
    format!("{url}{joint}{}", form(parameters))
}

fn form(parameters: &[(String, String)]) -> String {
    let pairs = parameters
        .iter()
        .map(|(name, value)| format!("{}={}", query::encoded(name), query::encoded(value)));
    pairs.collect::<Vec<_>>().join("&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_are_those_of_the_vendors_formula() {
        let span = |n: u32| (pause(n, 0).as_secs(), pause(n, 29).as_secs());
        assert_eq!(span(0), (15, 44));
        assert_eq!(span(1), (16, 74));
        assert_eq!(span(5), (640, 814));
        let all = |random: u32| (0..25).map(|n| pause(n, random).as_secs()).sum::<u64>();
        let days = |secs: u64| (secs * 10) / 86_400;
        assert_eq!((days(all(0)), days(all(29))), (204, 205));
    }

    #[test]
    fn own_parameters_are_added_to_those_of_the_customers_address() {
        let parameters = [("token".to_owned(), "a b".to_owned())];
        assert_eq!(
            with_query("http://h/x", &parameters),
            "http://h/x?token=a%20b"
        );
        assert_eq!(
            with_query("http://h/x?y=1", &parameters),
            "http://h/x?y=1&token=a%20b"
        );
    }
}
