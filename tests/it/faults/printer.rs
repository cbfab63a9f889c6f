//! The WeCom printer: one WebSocket, everything free, every command harmless to repeat.

use std::sync::Arc;
use std::time::Duration;

use jobs_core::clock::SystemClock;
use jobs_core::{JobId, Secret};
use printer_jobs::{Destination, Device, DeviceBuilder, ListQuery, PrintOutcome};
use vendor_sim::wecom::{JobFile, NewJob};
use vendor_sim::{Fault, Site, Times, WeCom, WeComHandle, WeComOptions, pdf};

use super::{Case, Column, MANY, plain};

/// Slower than the others: a whole login must fit into one answer time-out.
const SPEED: u32 = 10;
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);

const NO_STATUS: &str = "- there is no HTTP inside a connection";
const NO_BODY: &str = "- the answer to an upgrade has no body";
const NO_TIME: &str = "- only the login is signed";

pub(super) const COLUMNS: &[Column] = &[
    (
        "go online",
        [
            "unreachable/no 0x 0$",
            "ok 2x 0$ | unreachable/no manyx 0$",
            "ok 2x 0$ | unreachable/no manyx 0$",
            "ok 2x 0$ | unreachable/no manyx 0$",
            "ok 2x 0$ | unreachable/no manyx 0$",
            "ok 2x 0$ | unreachable/no manyx 0$",
            NO_BODY,
            NO_BODY,
            NO_BODY,
            NO_BODY,
            // Not followed: it would carry the login elsewhere.
            "ok 2x 0$ | unreachable/no manyx 0$",
            "- no link is followed",
            NO_BODY,
            // The cloud's time is asked for, and the login signed anew on another connection.
            "ok 2x 0$",
        ],
    ),
    (
        "list",
        [
            "unreachable/no 0x 0$",
            "ok 2x 0$ | unreachable/maybe 4x 0$",
            "ok 2x 0$ | unreachable/maybe 4x 0$",
            // Answers come in order, so others wait behind the late one, and some are not read at all.
            "ok 2x 0$ | timed-out/maybe manyx 0$",
            NO_STATUS,
            NO_STATUS,
            "ok 2x 0$ | garbled/maybe 4x 0$",
            "ok 2x 0$ | garbled/maybe 4x 0$",
            "ok 1x 0$",
            "ok 2x 0$ | unreachable/maybe 4x 0$",
            NO_STATUS,
            "- no link is followed",
            "ok 2x 0$",
            NO_TIME,
        ],
    ),
    (
        "download",
        [
            "unreachable/no 0x 0$ nothing",
            "ok 2x 0$ whole | unreachable/maybe 4x 0$ nothing",
            "ok 2x 0$ whole | unreachable/maybe 4x 0$ nothing",
            "ok 2x 0$ whole | timed-out/maybe manyx 0$ nothing",
            NO_STATUS,
            NO_STATUS,
            "ok 2x 0$ whole | garbled/maybe 4x 0$ nothing",
            "- a file has no types",
            "ok 1x 0$ whole",
            "ok 2x 0$ whole | unreachable/maybe 4x 0$ nothing",
            NO_STATUS,
            // Jobs live for seven days: 600040.
            "not-found/yes 1x 0$ nothing",
            "ok 2x 0$ whole",
            NO_TIME,
        ],
    ),
    (
        "report",
        [
            "unreachable/no 0x 0$",
            "ok 2x 0$ | unreachable/maybe 4x 0$",
            "ok 2x 0$ | unreachable/maybe 4x 0$",
            // Answers come in order, so others wait behind the late one, and some are not read at all.
            "ok 2x 0$ | timed-out/maybe manyx 0$",
            NO_STATUS,
            NO_STATUS,
            "ok 2x 0$ | garbled/maybe 4x 0$",
            // Its id is spoiled too, and nothing else in it says whose answer it is.
            "ok 2x 0$ | timed-out/maybe 7x 0$",
            "ok 1x 0$",
            "ok 2x 0$ | unreachable/maybe 4x 0$",
            NO_STATUS,
            "not-found/yes 1x 0$",
            "ok 2x 0$",
            NO_TIME,
        ],
    ),
];

fn builder(sim: &WeComHandle) -> DeviceBuilder {
    let options = sim.options();
    Device::builder(options.sn, Secret::new(options.secret_no).unwrap())
        .with_url(sim.url())
        .with_clock(Arc::new(SystemClock::with_speed(SPEED)))
        .with_list_rate(None)
        .with_download_timeout(Duration::from_secs(15))
        .with_times(|times| times.backoff_most = Duration::from_secs(1))
        .with_max_message(1 << 20)
}

/// The requests of an operation; nothing here costs anything.
pub(super) fn counted(sim: &WeComHandle, command: &str) -> usize {
    if command == "connect" {
        return sim.requests().len();
    }
    let commands = sim.commands().into_iter();
    commands.filter(|seen| seen.cmd == command).count()
}

pub(super) async fn run(operation: &str, case: &Case) -> String {
    let command = match operation {
        "go online" => "connect",
        "list" => "printer/get_job_list",
        "download" => "printer/download_file",
        _ => "printer/report_job_status",
    };
    let site = Site::with_clock(vendor_sim::VirtualClock::real(f64::from(SPEED)));
    let sim = WeCom::start_at(&site, WeComOptions::default())
        .await
        .unwrap();
    let whole = pdf::of_lines(&["one page"]);
    let id = sim.add_job(NewJob {
        userid: "u1".to_owned(),
        doc_name: "a.pdf".to_owned(),
        file: JobFile::Pdf {
            bytes: whole.clone(),
            pages: 1,
        },
        settings: vec![],
        waits_for_scan: false,
    });
    let folder = tempfile::tempdir().unwrap();
    let mut listed = Vec::new();
    let mut online = None;
    if operation != "go online" {
        let device = builder(&sim).connect().unwrap();
        device.online(HOUR).await.unwrap();
        listed = device.jobs(ListQuery::all()).await.unwrap();
        online = Some(device);
    }
    let before = counted(&sim, command);
    if case.is("clock off 1 h") {
        sim.change_options(|options| options.clock_skew_seconds = 3600);
    }
    let builder = builder(&sim);
    let fault = if case.is("expired link") {
        Some(Fault::Code {
            code: 600_040.into(),
            message: None,
            after_commit: false,
        })
    } else {
        case.plan()
    };
    let hosts = [sim.url()];
    let (stop, faults) = (WeComHandle::stop, WeComHandle::faults);
    let begun = case.begin(sim, stop, &hosts, faults, command, fault);
    let (sim, _held) = begun.await;
    let device = online.unwrap_or_else(|| builder.connect().unwrap());
    let outcome = match operation {
        "go online" => {
            let lasts = case.times == Times::Always || case.is("refused");
            let deadline = if lasts { MINUTE } else { HOUR };
            plain(&device.online(deadline).await)
        }
        "list" => plain(&device.jobs(ListQuery::all()).await),
        "download" => {
            let to = Destination::new(folder.path(), "a").unwrap();
            plain(&device.download(&listed[0], &to).await)
        }
        _ => {
            let id = JobId::new(id).unwrap();
            plain(&device.report(&id, &PrintOutcome::Succeeded).await)
        }
    };
    let after = sim.as_ref().map_or(before, |sim| counted(sim, command));
    let requests = match after - before {
        // How often it connects or is heard is a matter of its pace.
        2.. if outcome == "unreachable/no" || (case.is("time-out") && outcome != "ok") => MANY,
        requests => requests,
    };
    let counted = (requests, 0);
    match operation {
        "download" => case.seen_on_disk(outcome, counted, folder.path(), &whole),
        _ => case.seen(outcome, counted),
    }
}
