//! PPJ: a create takes a project of the quota; polls, lists and downloads are free and come from the API itself.

use jobs_core::Secret;
use jobs_core::disk::OutputPath;
use jobs_core::http::Document;
use ppj::{Client, ConvertRequest, Credentials, ListFilter};
use vendor_sim::{Fault, Ppj, PpjHandle, PpjOptions};

use super::{Case, Column, plain, submitted, waited};

const NO_LINK: &str = "- no link is followed";

pub(super) const COLUMNS: &[Column] = &[
    (
        "create",
        [
            "refused:unreachable/no 0x 0$",
            "unknown:unavailable/maybe 1x 0$",
            "unknown:unavailable/maybe 1x 1$",
            "unknown:timed-out/maybe 1x 1$",
            "refused:rate-limited/yes 1x 0$",
            "unknown:unavailable/maybe 1x 1$",
            "unknown:garbled/maybe 1x 1$",
            "ok 1x 1$",
            "ok 1x 1$",
            "unknown:unavailable/maybe 1x 1$",
            "unknown:unavailable/maybe 1x 0$",
            NO_LINK,
            "unknown:too-large/maybe 1x 1$",
            // A signed account; the vendor says 403 to a signature that it does not take.
            "refused:credentials/yes 1x 0$",
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
            "stopped:credentials/yes 1x 0$",
        ],
    ),
    (
        "list",
        [
            "unreachable/no 0x 0$",
            "ok 2x 0$ | unavailable/maybe 7x 0$",
            "ok 2x 0$ | unavailable/maybe 7x 0$",
            "ok 2x 0$ | timed-out/maybe 7x 0$",
            "ok 2x 0$ | rate-limited/yes 7x 0$",
            "ok 2x 0$ | unavailable/maybe 7x 0$",
            "ok 2x 0$ | garbled/maybe 7x 0$",
            "ok 2x 0$ | garbled/maybe 7x 0$",
            "ok 1x 0$",
            "ok 2x 0$ | unavailable/maybe 7x 0$",
            "ok 2x 0$ | unavailable/maybe 7x 0$",
            NO_LINK,
            "ok 2x 0$",
            "credentials/yes 1x 0$",
        ],
    ),
    (
        "download",
        [
            "unreachable/no 0x 0$ nothing",
            "ok 2x 0$ whole | unavailable/maybe 7x 0$ nothing",
            "ok 2x 0$ whole | unavailable/maybe 7x 0$ nothing",
            "ok 2x 0$ whole | timed-out/maybe 7x 0$ nothing",
            "ok 2x 0$ whole | rate-limited/yes 7x 0$ nothing",
            // A page of the maintenance must not be kept as a bundle.
            "ok 2x 0$ whole | unavailable/maybe 7x 0$ nothing",
            "garbled/yes 1x 0$ nothing",
            "- a bundle has no types",
            "ok 1x 0$ whole",
            "ok 2x 0$ whole | unavailable/maybe 7x 0$ nothing",
            "garbled/yes 1x 0$ nothing",
            // Purged after three days: 400 to whatever is not notifying or completed.
            "refused/yes 1x 0$ nothing",
            "too-large/yes 1x 0$ nothing",
            "credentials/yes 1x 0$ nothing",
        ],
    ),
];

fn client(sim: &PpjHandle, case: &Case, is_try: bool) -> Client {
    let secret = |text| Secret::new(text).unwrap();
    let (credentials, url) = if case.is("clock off 1 h") {
        let signed = Credentials::Signed {
            app_id: secret(sim.app_id()),
            app_secret: secret(sim.app_secret()),
        };
        (signed, sim.signed_url())
    } else {
        (
            Credentials::AccessKey(secret(sim.access_key())),
            sim.api_url(),
        )
    };
    Client::builder(credentials)
        .with_config(|config| {
            config
                .with_base_url(url)
                .with_clock(case.clock.shared())
                .with_http_client(case.transport(is_try))
        })
        .build()
        .unwrap()
}

/// The requests of an operation, and the projects taken.
pub(super) fn counted(sim: &PpjHandle, operation: &str) -> (usize, i64) {
    let requests = sim.requests().into_iter().filter(|request| {
        let path = request.path.as_str();
        match operation {
            "create" => request.method == "POST",
            "list" => request.method == "GET" && path.ends_with("/jobs"),
            "poll" => path.contains("/jobs/") && !path.ends_with("/download"),
            _ => path.ends_with("/download"),
        }
    });
    let projects = sim.charges().iter().map(|charge| charge.units).sum();
    (requests.count(), projects)
}

pub(super) async fn run(operation: &str, case: &Case) -> String {
    let options = PpjOptions {
        conversion_seconds: 0.0,
        notifying_seconds: 0.0,
        halt_on_bad_pptx: false,
        ..PpjOptions::default()
    };
    let sim = Ppj::start_at(&Case::site(), options).await.unwrap();
    let (calm, client) = (client(&sim, case, false), client(&sim, case, true));
    let document = Document::from_bytes("a.pptx", "PK some slides");
    let request = ConvertRequest::new(document).with_any_content();
    let folder = tempfile::tempdir().unwrap();
    let target = OutputPath::new(folder.path().join("a.zip")).unwrap();
    let (mut job, mut ready, mut whole) = (None, None, Vec::new());
    if matches!(operation, "poll" | "download") {
        let accepted = calm.convert(request.clone()).submit().await.unwrap();
        if operation == "download" {
            let job = client.job(accepted.id().clone());
            let wait = job.wait(std::time::Duration::from_secs(3600));
            ready = Some(case.tried(wait).await.unwrap());
            whole = sim.bundle(accepted.id().as_str()).unwrap().to_vec();
        }
        job = Some(client.job(accepted.id().clone()));
    }
    let before = counted(&sim, operation);
    let name = match operation {
        "poll" => "show",
        name => name,
    };
    if case.is("clock off 1 h") {
        let skew = case.skew(sim.clock()) + 3600;
        sim.change_options(|options| {
            options.timestamp_window_seconds = Some(300.0);
            options.clock_skew_seconds = f64::from(i32::try_from(skew).unwrap());
        });
    }
    // There is no link that expires; the bundle itself is purged, and this is how the vendor says so.
    let purged = Fault::Status {
        status: 400,
        body: r#"{"type":"Error","message":"the job is deleted"}"#.to_owned(),
        headers: vec![],
        after_commit: false,
    };
    let fault = if case.is("expired link") {
        Some(purged)
    } else {
        case.plan()
    };
    let hosts = [sim.origin_url()];
    let begun = case.begin(sim, PpjHandle::stop, &hosts, PpjHandle::faults, name, fault);
    let (sim, _held) = begun.await;
    let outcome = case
        .tried(async {
            match operation {
                "create" => submitted(&client.convert(request.clone()).submit().await),
                "poll" => waited(&case.wait(&job.unwrap()).await),
                "list" => plain(&client.list(&ListFilter::new()).await),
                _ => {
                    let until = super::an_hour_from_now(case);
                    let fetch = async {
                        let ready: ppj::Ready = ready.unwrap();
                        let (verified, _) = ready.fetch(&target, until).await?;
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
        "download" => case.seen_on_disk(outcome, counted, folder.path(), &whole),
        _ => case.seen(outcome, counted),
    }
}
