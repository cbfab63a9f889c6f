//! Tencent e-sign: every create is a task of its own; uploads expire unused, so they may be repeated once.

use jobs_core::Secret;
use jobs_core::http::Document;
use tencent_ess::types::ResourceType;
use tencent_ess::{Agent, Client, Environment, ResourceId, UploadRequest};
use vendor_sim::{Tencent, TencentHandle, TencentOptions};

use super::{Case, Column, plain, submitted, waited};

const NO_LINK: &str = "- no link is followed";

pub(super) const COLUMNS: &[Column] = &[
    (
        "upload",
        [
            "unreachable/no 0x 0$",
            "ok 2x 0$ | unavailable/maybe 2x 0$",
            "ok 2x 0$ | unavailable/maybe 2x 0$",
            "ok 2x 0$ | timed-out/maybe 2x 0$",
            "ok 2x 0$ | rate-limited/yes 2x 0$",
            "ok 2x 0$ | unavailable/maybe 2x 0$",
            "ok 2x 0$ | garbled/maybe 2x 0$",
            "ok 2x 0$ | garbled/maybe 2x 0$",
            "ok 1x 0$",
            "ok 2x 0$ | unavailable/maybe 2x 0$",
            "ok 2x 0$ | unavailable/maybe 2x 0$",
            NO_LINK,
            "ok 2x 0$",
            // Refused before work with the vendor's time, by which the second one is signed.
            "ok 2x 0$",
        ],
    ),
    (
        "create",
        [
            "refused:unreachable/no 0x 0$",
            "unknown:unavailable/maybe 1x 0$",
            "unknown:unavailable/maybe 1x 1$",
            "unknown:timed-out/maybe 1x 1$",
            // The service itself answers everything with 200: this comes from a gateway, and nobody says from where in the work.
            "refused:rate-limited/yes 1x 0$",
            "unknown:unavailable/maybe 1x 1$",
            "unknown:garbled/maybe 1x 1$",
            "ok 1x 1$",
            "ok 1x 1$",
            "unknown:unavailable/maybe 1x 1$",
            "unknown:unavailable/maybe 1x 0$",
            // Not a link, but what is nearest to one: the hour of the uploaded file is over.
            "refused:input/yes 1x 0$",
            "unknown:too-large/maybe 1x 1$",
            "ok 2x 1$",
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
            "ok 2x 0$",
        ],
    ),
];

fn client(sim: &TencentHandle, case: &Case, is_try: bool) -> Client {
    let options = sim.options();
    let secret = |text| Secret::new(text).unwrap();
    let agent = Agent::new(
        options.app_id,
        options.org_open_id,
        options.operator_open_id,
    );
    Client::builder(secret(options.secret_id), secret(options.secret_key), agent)
        .with_environment(Environment::custom(sim.general_url(), sim.upload_url()))
        .with_config(|config| {
            config
                .with_clock(case.clock.shared())
                .with_http_client(case.transport(is_try))
        })
        .build()
        .unwrap()
}

/// The requests of an operation, and the tasks charged.
pub(super) fn counted(sim: &TencentHandle, operation: &str) -> (usize, i64) {
    let requests = sim.requests().into_iter().filter(|request| {
        let action = request.header("x-tc-action").unwrap_or_default();
        match operation {
            "upload" => action == "UploadFiles",
            "create" => action.contains("Create"),
            _ => action.starts_with("Describe"),
        }
    });
    (requests.count(), sim.charges().len().try_into().unwrap())
}

pub(super) async fn run(operation: &str, case: &Case) -> String {
    let options = TencentOptions {
        qps: None,
        check_content: false,
        pending_seconds: 0.0,
        processing_seconds: 0.0,
        file_seconds: if case.is("expired link") { 0.0 } else { 3600.0 },
        ..TencentOptions::default()
    };
    let sim = Tencent::start_at(&Case::site(), options).await.unwrap();
    let skew = case.skew(sim.clock());
    sim.change_options(|options| options.clock_skew_seconds = skew);
    let (calm, client) = (client(&sim, case, false), client(&sim, case, true));
    let document = Document::from_bytes("a.docx", "PK a contract");
    let mut file: Option<ResourceId> = None;
    let mut job = None;
    if operation != "upload" {
        let uploaded = calm.upload_files(&UploadRequest::new([&document])).await;
        let id = uploaded.unwrap().files.remove(0).id;
        if operation == "poll" {
            let submission = calm
                .convert(tencent_ess::ConvertRequest::uploaded(
                    id.clone(),
                    ResourceType::Docx,
                    "a.docx",
                ))
                .submit();
            let accepted = submission.await.unwrap();
            job = Some(client.job(accepted.id().clone()));
        }
        file = Some(id);
    }
    let before = counted(&sim, operation);
    let name = match operation {
        "poll" => "query",
        name => name,
    };
    if case.is("clock off 1 h") {
        sim.change_options(|options| options.clock_skew_seconds += 3600);
    }
    let hosts = [sim.general_url(), sim.upload_url()];
    let (stop, faults) = (TencentHandle::stop, TencentHandle::faults);
    let fault = case.plan().filter(|_| !case.is("expired link"));
    let begun = case.begin(sim, stop, &hosts, faults, name, fault);
    let (sim, _held) = begun.await;
    let outcome = case
        .tried(async {
            match operation {
                "upload" => plain(&client.upload_files(&UploadRequest::new([&document])).await),
                "create" => {
                    let submission = client
                        .convert(tencent_ess::ConvertRequest::uploaded(
                            file.as_ref().unwrap().clone(),
                            ResourceType::Docx,
                            "a.docx",
                        ))
                        .submit();
                    submitted(&submission.await)
                }
                _ => waited(&case.wait(&job.unwrap()).await),
            }
        })
        .await;
    let after = sim.as_ref().map_or(before, |sim| counted(sim, operation));
    case.seen(outcome, (after.0 - before.0, after.1 - before.1))
}
