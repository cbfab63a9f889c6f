//! MindShow: creates cost credits; an export costs them each time, or perhaps only the first.

use jobs_core::Secret;
use jobs_core::disk::OutputPath;
use mindshow::types::{ListRequest, MarkdownDeck};
use mindshow::{Client, PdfBudget, PdfCharge};
use vendor_sim::mindshow::PdfCharge as Charged;
use vendor_sim::{MindShow, MindShowHandle, MindShowOptions};

use super::{Case, Column, plain, submitted, waited};

const NO_TIME: &str = "- no time of day is sent";
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
            "ok 1x 1$",
            "ok 1x 1$",
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
            NO_TIME,
        ],
    ),
    // The first call is taken to be the charged one, and may be followed by two others.
    (
        "pdf, first charged",
        [
            "blind:unreachable/no 0x 0$",
            "ok 2x 1$ | stopped:exhausted/no 3x 0$",
            "ok 2x 1$ | stopped:exhausted/no 3x 1$",
            "ok 2x 1$ | stopped:exhausted/no 3x 1$",
            "ok 2x 1$ | stopped:exhausted/no 3x 0$",
            "ok 2x 1$ | stopped:exhausted/no 3x 1$",
            "ok 2x 1$ | stopped:exhausted/no 3x 1$",
            "ok 2x 1$ | stopped:exhausted/no 3x 1$",
            "ok 1x 1$",
            "ok 2x 1$ | stopped:exhausted/no 3x 1$",
            "ok 2x 1$ | stopped:exhausted/no 3x 0$",
            NO_LINK,
            "ok 2x 1$",
            NO_TIME,
        ],
    ),
    // Each call is taken to be charged, and is: one whose answer was lost is not repeated.
    (
        "pdf, all charged",
        [
            "blind:unreachable/no 0x 0$",
            "stopped:refused/maybe 1x 0$",
            "stopped:refused/maybe 1x 1$",
            "stopped:refused/maybe 1x 1$",
            "ok 2x 1$ | stopped:exhausted/no 3x 0$",
            "stopped:refused/maybe 1x 1$",
            "stopped:refused/maybe 1x 1$",
            "stopped:refused/maybe 1x 1$",
            "ok 1x 1$",
            "stopped:refused/maybe 1x 1$",
            "stopped:refused/maybe 1x 0$",
            NO_LINK,
            "stopped:refused/maybe 1x 1$",
            NO_TIME,
        ],
    ),
    (
        "deck file",
        [
            "unreachable/no 0x 0$ nothing",
            "ok 2x 0$ whole | unavailable/maybe 7x 0$ nothing",
            "ok 2x 0$ whole | unavailable/maybe 7x 0$ nothing",
            "ok 2x 0$ whole | timed-out/maybe 7x 0$ nothing",
            "ok 2x 0$ whole | rate-limited/yes 7x 0$ nothing",
            "ok 2x 0$ whole | unavailable/yes 7x 0$ nothing",
            "garbled/yes 1x 0$ nothing",
            "- a deck has no types",
            "ok 1x 0$ whole",
            "ok 2x 0$ whole | unavailable/maybe 7x 0$ nothing",
            "garbled/yes 1x 0$ nothing",
            "ok 2x 0$ whole | not-found/yes 2x 0$ nothing",
            "too-large/yes 1x 0$ nothing",
            NO_TIME,
        ],
    ),
    (
        "pdf file",
        [
            "unreachable/no 0x 0$ nothing",
            "ok 2x 0$ whole | unavailable/maybe 7x 0$ nothing",
            "ok 2x 0$ whole | unavailable/maybe 7x 0$ nothing",
            "ok 2x 0$ whole | timed-out/maybe 7x 0$ nothing",
            "ok 2x 0$ whole | rate-limited/yes 7x 0$ nothing",
            "ok 2x 0$ whole | unavailable/yes 7x 0$ nothing",
            "garbled/yes 1x 0$ nothing",
            "- a PDF has no types",
            "ok 1x 0$ whole",
            "ok 2x 0$ whole | unavailable/maybe 7x 0$ nothing",
            "garbled/yes 1x 0$ nothing",
            // A new link may cost ten credits, so nobody asks for it.
            "not-found/yes 1x 0$ nothing",
            "too-large/yes 1x 0$ nothing",
            NO_TIME,
        ],
    ),
];

fn client(sim: &MindShowHandle, case: &Case, is_try: bool) -> Client {
    Client::builder(Secret::new(sim.api_key()).unwrap())
        .with_config(|config| {
            config
                .with_base_url(sim.api_url())
                .with_clock(case.clock.shared())
        })
        .with_create_timeout(std::time::Duration::from_secs(if is_try {
            10
        } else {
            120
        }))
        .with_config(|config| config.with_http_client(case.transport(is_try)))
        .build()
        .unwrap()
}

/// The requests of an operation, and the bookings.
pub(super) fn counted(sim: &MindShowHandle, operation: &str) -> (usize, i64) {
    let requests = sim.requests().into_iter().filter(|request| {
        let path = request.path.as_str();
        match operation {
            "create" => path.ends_with("/ppt_create_by_markdown"),
            "poll" => path.ends_with("/job/get"),
            "list" => path.ends_with("/job/list"),
            "deck file" => path.starts_with("/ppt/"),
            "pdf file" => path.starts_with("/pdf/"),
            _ => path.ends_with("/get_pdf"),
        }
    });
    (requests.count(), sim.charges().len().try_into().unwrap())
}

pub(super) async fn run(operation: &str, case: &Case) -> String {
    let all_charged = operation == "pdf, all charged";
    let options = MindShowOptions {
        queued_seconds: 0.0,
        plain_seconds: 0.0,
        pdf_seconds: 0.0,
        pdf_charge: if all_charged {
            Charged::EveryCall
        } else {
            Charged::FirstOnly
        },
        ..MindShowOptions::default()
    };
    let sim = MindShow::start_at(&Case::site(), options).await.unwrap();
    let (calm, client) = (client(&sim, case, false), client(&sim, case, true));
    let request =
        MarkdownDeck::from_markdown("# Plan\n\n## One\n\n### Goal\n\n#### Less\n\nText.\n");
    let folder = tempfile::tempdir().unwrap();
    let target = OutputPath::new(folder.path().join("a")).unwrap();
    let hour = std::time::Duration::from_secs(3600);
    let (mut job, mut deck, mut pdf, mut whole) = (None, None, None, Vec::new());
    if !matches!(operation, "create" | "list") {
        let accepted = calm.deck(request.clone()).submit().await.unwrap();
        let id = accepted.id().clone();
        if operation == "deck file" {
            let job = client.job(id.clone());
            deck = Some(case.tried(job.wait(hour)).await.unwrap());
            whole = sim.deck(id.as_str()).unwrap().to_vec();
        }
        if operation == "pdf file" {
            let export = client.pdf_job(id.clone(), PdfBudget::calls(3));
            pdf = Some(case.tried(export.wait(hour)).await.unwrap());
            whole = sim.pdf(id.as_str()).unwrap().to_vec();
        }
        job = Some(client.job(accepted.id().clone()));
    }
    let before = counted(&sim, operation);
    let name = match operation {
        "create" => "ppt_create_by_markdown",
        "poll" => "job_get",
        "list" => "job_list",
        "deck file" => "deck_file",
        "pdf file" => "pdf_file",
        _ => "get_pdf",
    };
    let hosts = [sim.api_url(), sim.file_url_base()];
    let (stop, faults) = (MindShowHandle::stop, MindShowHandle::faults);
    let begun = case.begin(sim, stop, &hosts, faults, name, case.plan());
    let (sim, _held) = begun.await;
    let export = |budget: PdfBudget| {
        let id = job.as_ref().unwrap().id().clone();
        client.pdf_job(id, budget)
    };
    let three = PdfBudget::calls(3);
    let outcome = case
        .tried(async {
            match operation {
                "create" => submitted(&client.deck(request.clone()).submit().await),
                "poll" => waited(&case.wait(job.as_ref().unwrap()).await),
                "list" => plain(&client.list_jobs(&ListRequest::default()).await),
                "deck file" => {
                    let until = super::an_hour_from_now(case);
                    let fetch = async {
                        let ready: mindshow::Ready = deck.unwrap();
                        let (verified, _) = ready.fetch(&target, until).await?;
                        verified.save().await
                    };
                    plain(&fetch.await)
                }
                "pdf file" => {
                    let until = super::an_hour_from_now(case);
                    let fetch = async {
                        let ready: mindshow::PdfReady = pdf.unwrap();
                        ready.fetch(&target, until).await?.save().await
                    };
                    plain(&fetch.await)
                }
                "pdf, all charged" => {
                    let budget = three.assuming(PdfCharge::EveryCall);
                    waited(&case.wait(&export(budget)).await)
                }
                _ => waited(&case.wait(&export(three)).await),
            }
        })
        .await;
    let after = sim.as_ref().map_or(before, |sim| counted(sim, operation));
    let counted = (after.0 - before.0, after.1 - before.1);
    match operation {
        "deck file" | "pdf file" => case.seen_on_disk(outcome, counted, folder.path(), &whole),
        _ => case.seen(outcome, counted),
    }
}
