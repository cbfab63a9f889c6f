//! TextIn: a submit and a synchronous parse are billed by the page, polls and results are free.

use jobs_core::Secret;
use jobs_core::disk::OutputPath;
use jobs_core::http::Document;
use textin::{Client, ParseRequest};
use vendor_sim::{TextIn, TextInHandle, TextInOptions};

use super::{Case, Column, plain, submitted, waited};

const NO_TIME: &str = "- no time of day is sent";
const NO_LINK: &str = "- no link is followed";

pub(super) const COLUMNS: &[Column] = &[
    (
        "submit",
        [
            "refused:unreachable/no 0x 0$",
            "unknown:unavailable/maybe 1x 0$",
            "unknown:unavailable/maybe 1x 1$",
            "unknown:timed-out/maybe 1x 1$",
            // Not documented, so not listed as made before work, and not repeated; but an answer to be believed.
            "refused:rate-limited/yes 1x 0$",
            "unknown:unavailable/maybe 1x 1$",
            "ok 1x 1$",
            "ok 1x 1$",
            "ok 1x 1$",
            "unknown:unavailable/maybe 1x 1$",
            // A redirect may lead to where the result of work can be seen.
            "unknown:unavailable/maybe 1x 0$",
            NO_LINK,
            "unknown:too-large/maybe 1x 1$",
            NO_TIME,
        ],
    ),
    (
        "parse now",
        [
            "refused:unreachable/no 0x 0$",
            "unknown:unavailable/maybe 1x 0$",
            "unknown:unavailable/maybe 1x 1$",
            "unknown:timed-out/maybe 1x 1$",
            "refused:rate-limited/yes 1x 0$",
            "unknown:unavailable/maybe 1x 1$",
            "unknown:garbled/maybe 1x 1$",
            "unknown:garbled/maybe 1x 1$",
            "ok 1x 1$",
            "unknown:unavailable/maybe 1x 1$",
            "unknown:unavailable/maybe 1x 0$",
            NO_LINK,
            "unknown:too-large/maybe 1x 1$",
            NO_TIME,
        ],
    ),
    (
        "poll",
        [
            "blind:unreachable/no 0x 0$",
            "ok 2x 0$ | blind:unavailable/maybe manyx 0$",
            "ok 2x 0$ | blind:unavailable/maybe manyx 0$",
            "ok 2x 0$ | blind:timed-out/maybe manyx 0$",
            "ok 2x 0$ | blind:rate-limited/yes manyx 0$",
            "ok 2x 0$ | blind:unavailable/maybe manyx 0$",
            "ok 2x 0$ | blind:garbled/maybe manyx 0$",
            "ok 2x 0$ | blind:garbled/maybe manyx 0$",
            "ok 1x 0$",
            "ok 2x 0$ | blind:unavailable/maybe manyx 0$",
            "ok 2x 0$ | blind:unavailable/maybe manyx 0$",
            NO_LINK,
            "ok 2x 0$",
            NO_TIME,
        ],
    ),
    (
        "result",
        [
            "unreachable/no 0x 0$ nothing",
            "ok 2x 0$ whole | unavailable/maybe 7x 0$ nothing",
            "ok 2x 0$ whole | unavailable/maybe 7x 0$ nothing",
            "ok 2x 0$ whole | timed-out/maybe 7x 0$ nothing",
            "ok 2x 0$ whole | rate-limited/yes 7x 0$ nothing",
            "ok 2x 0$ whole | unavailable/yes 7x 0$ nothing",
            // Complete by HTTP, so there is nothing to resume; the check finds it.
            "garbled/yes 1x 0$ nothing",
            // The result is passed on as it came, and its shape is the reader's affair; but it is no result without elements.
            "- the bytes are passed on, their types are the reader's affair",
            "ok 1x 0$ whole",
            "ok 2x 0$ whole | unavailable/maybe 7x 0$ nothing",
            // Followed without credentials; what comes from there is no result.
            "garbled/yes 1x 0$ nothing",
            // A new link is asked for, once.
            "ok 2x 0$ whole | not-found/yes 2x 0$ nothing",
            "too-large/yes 1x 0$ nothing",
            NO_TIME,
        ],
    ),
];

fn client(sim: &TextInHandle, case: &Case, is_try: bool) -> Client {
    Client::builder(
        Secret::new(sim.app_id()).unwrap(),
        Secret::new(sim.secret_code()).unwrap(),
    )
    .with_config(|config| {
        config
            .with_base_url(sim.api_url())
            .with_clock(case.clock.shared())
            .with_http_client(case.transport(is_try))
    })
    .build()
    .unwrap()
}

/// The requests of an operation, and the pages charged.
pub(super) fn counted(sim: &TextInHandle, operation: &str) -> (usize, i64) {
    let requests = sim.requests().into_iter().filter(|request| {
        let path = request.path.as_str();
        match operation {
            "submit" => request.method == "POST" && path.ends_with("/async"),
            "parse now" => path.ends_with("/sync"),
            "poll" => request.method == "GET" && path.contains("/async/"),
            _ => path.contains("/xparse_result/"),
        }
    });
    let pages: u64 = sim.charges().iter().map(|charge| charge.pages).sum();
    (requests.count(), pages.try_into().unwrap())
}

pub(super) async fn run(operation: &str, case: &Case) -> String {
    let options = TextInOptions {
        qps: None,
        pending_seconds: 0.0,
        in_progress_seconds: 0.0,
        ..TextInOptions::default()
    };
    let sim = TextIn::start_at(&Case::site(), options).await.unwrap();
    let (calm, client) = (client(&sim, case, false), client(&sim, case, true));
    let request = ParseRequest::document(Document::from_bytes("a.txt", "some text"));
    let folder = tempfile::tempdir().unwrap();
    let target = OutputPath::new(folder.path().join("a.json")).unwrap();
    let (mut job, mut ready, mut whole) = (None, None, Vec::new());
    if matches!(operation, "poll" | "result") {
        let accepted = calm.parse(request.clone()).submit().await.unwrap();
        if operation == "result" {
            let hour = std::time::Duration::from_secs(3600);
            let path = folder.path().join("first");
            let calmly = case.tried(accepted.wait(hour)).await.unwrap();
            let job = client.job(accepted.id().clone());
            ready = Some(case.tried(job.wait(hour)).await.unwrap());
            calmly.save_json(&path).await.unwrap();
            whole = std::fs::read(&path).unwrap();
            std::fs::remove_file(path).unwrap();
        }
        job = Some(client.job(accepted.id().clone()));
    }
    let before = counted(&sim, operation);
    let name = match operation {
        "parse now" => "sync",
        name => name,
    };
    let hosts = [sim.api_url(), sim.result_url_base()];
    let (stop, faults) = (TextInHandle::stop, TextInHandle::faults);
    let begun = case.begin(sim, stop, &hosts, faults, name, case.plan());
    let (sim, _held) = begun.await;
    let outcome = case
        .tried(async {
            match operation {
                "submit" => submitted(&client.parse(request.clone()).submit().await),
                "parse now" => match client.parse(request.clone()).run_now().await {
                    Ok(_) => "ok".to_owned(),
                    Err(jobs_core::SubmitError::Rejected(error)) => {
                        format!("refused:{}", super::told(&error))
                    }
                    Err(jobs_core::SubmitError::OutcomeUnknown(lost)) => {
                        format!("unknown:{}", super::told(&lost.error))
                    }
                },
                "poll" => waited(&case.wait(&job.unwrap()).await),
                _ => {
                    let until = super::an_hour_from_now(case);
                    let fetch = async {
                        let ready: textin::Ready = ready.unwrap();
                        let (verified, _) = ready.fetch_json(&target, until).await?;
                        verified.save().await
                    };
                    plain(&fetch.await)
                }
            }
        })
        .await;
    let after = sim.as_ref().map_or(before, |sim| counted(sim, operation));
    let counted = (after.0 - before.0, after.1 - before.1);
    match operation {
        "result" => case.seen_on_disk(outcome, counted, folder.path(), &whole),
        _ => case.seen(outcome, counted),
    }
}
