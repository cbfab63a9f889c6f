//! The commands' half of the matrix: what comes of each command when a careless or hostile neighbour stands at one of its
//! operations and does not go away.
//!
//! A cell is `EXIT CHARGES$ DISK`, and `ticket` where one was handed back. The exit is `TERM` for a process that died by
//! that signal. The disk is `whole`; `unverified` where the bytes are kept beside the place; `nothing`; or `OTHER` for
//! what must not be. Behind it stands `LATE` for a command that did not end soon after its deadline, and `FAT` for one
//! that took more memory than any neighbour may make it take.

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use jobs_core::WaitOptions;
use jobs_core::clock::SystemClock;
use tokio::io::AsyncReadExt as _;
use tokio::process::{Child, Command as Process};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use vendor_sim::fault::OddText;
use vendor_sim::wecom::NewJob;
use vendor_sim::{
    Fault, MindShowOptions, PpjOptions, SimOptions, Simulators, TencentOptions, TextInOptions,
    Times, pdf,
};

use super::{Block, Tried, database, mindshow, off, ppj, printer, table, tencent, textin};
use crate::clock::{self, Stopwatch};
use crate::docjobs;

/// The rows, in order.
pub(crate) const NEIGHBOURS: [&str; 21] = [
    "undisturbed",
    "half surrogate",
    "control character",
    "NaN",
    "byte order mark",
    "UTF-16",
    "GBK",
    "gzip",
    "unknown coding",
    "foreign page, 403",
    "foreign page, 200",
    "storage refusal",
    "endless 103",
    "endless head",
    "drip",
    "cuts in turn",
    "huge key",
    "million entries",
    "deaf peer",
    "SIGTERM",
    READ_ONLY,
];

const READ_ONLY: &str = "read-only database";
const SAME_LEDGER: &str = "- the ledger is the same for all";

/// Both clocks go so much faster than the world.
pub(crate) const SPEED: u32 = 20;
/// For a command that ends only by its deadline.
const DEADLINE: Pace = Pace::new(SPEED, 120);
/// For a command that ends by itself: more than it is ever waited for, so that a busy machine is no reason to be off.
const NO_DEADLINE: Pace = Pace::new(SPEED, 2400);
/// For a paid call that ends only shortly before the deadline and is searched for then: the 20 s that are kept for the
/// search, the first poll and the result are ten seconds of the world.
const SEARCH_AT_THE_END: Pace = Pace::new(2, 60);
/// How long after its deadline a command may take to end, on a machine that is busy with others too.
const PATIENCE: Duration = Duration::from_secs(24);
/// What takes longer has to be killed.
const AT_MOST: Duration = Duration::from_secs(120);
/// Memory of a process that meets no neighbour, and what one may add to it.
const MEMORY_KIB: u64 = (48 + 32) << 10;
/// Longer than what may be added, so that it cannot be held unseen.
const KEY: u64 = 48 << 20;
/// More than are held in memory. A build that is not optimised takes long for a million of them.
const ENTRIES: u64 = if cfg!(debug_assertions) {
    250_000
} else {
    1_000_000
};
/// A process waits more than it works.
const AT_ONCE: usize = 8;

/// How much faster than the world both clocks go, and the deadline by them.
#[derive(Clone, Copy)]
pub(crate) struct Pace {
    speed: u32,
    seconds: u32,
}

impl Pace {
    pub(crate) const fn new(speed: u32, seconds: u32) -> Self {
        Self { speed, seconds }
    }

    pub(crate) fn deadline(self) -> String {
        format!("{}s", self.seconds)
    }

    fn ends(self) -> Duration {
        Duration::from_secs(self.seconds.into()) / self.speed
    }
}

/// A command, and the operation at which its neighbour stands.
struct Column {
    vendor: &'static str,
    operation: &'static str,
    /// By the name of the simulator.
    at: &'static str,
    line: &'static [&'static str],
    right: fn(&str) -> &'static str,
}

const NO_ARCHIVE: &str = "- what is answered is no archive";
const NO_TEXT: &str = "- a document is no text";

/// A call that costs money. An answer that shows the job's id is understood, however it is written.
fn paid(neighbour: &str) -> &'static str {
    match neighbour {
        "undisturbed" | "half surrogate" | "control character" | "NaN" | "byte order mark"
        | "UTF-16" | "GBK" | "gzip" | "unknown coding" => "0 1$ whole",
        // Somebody in between refused it, before the vendor saw it.
        "foreign page, 403" | "storage refusal" => "8 0$ nothing",
        "million entries" => NO_ARCHIVE,
        READ_ONLY => SAME_LEDGER,
        "deaf peer" => "5 0$ nothing",
        "SIGTERM" => "TERM 0$ nothing",
        _ => "5 1$ nothing",
    }
}

/// A paid call whose job can be found again when its answer was lost, and is resumed.
fn searched(neighbour: &str) -> &'static str {
    match neighbour {
        "foreign page, 200" | "cuts in turn" | "huge key" | "endless 103" | "endless head"
        | "drip" => "0 1$ whole",
        neighbour => paid(neighbour),
    }
}

/// A free poll of a job that is paid for.
fn poll(neighbour: &str) -> &'static str {
    match neighbour {
        "undisturbed" | "half surrogate" | "control character" | "NaN" | "byte order mark"
        | "UTF-16" | "GBK" | "gzip" | "unknown coding" => "0 1$ whole",
        "million entries" => NO_ARCHIVE,
        READ_ONLY => SAME_LEDGER,
        "SIGTERM" => "TERM 1$ nothing ticket",
        _ => "4 1$ nothing ticket",
    }
}

/// A result in JSON: what arrived whole is delivered or kept.
fn json(neighbour: &str) -> &'static str {
    match neighbour {
        "unknown coding" | "foreign page, 200" => "4 1$ unverified ticket",
        "huge key" => "0 1$ whole",
        "foreign page, 403" | "storage refusal" => "4 1$ nothing ticket",
        neighbour => poll(neighbour),
    }
}

/// A result that is an archive: what holds too much to be tested is delivered untested.
fn archive(neighbour: &str) -> &'static str {
    match neighbour {
        "million entries" => "0 1$ whole",
        neighbour => document(neighbour),
    }
}

/// A result that is a PDF.
fn document(neighbour: &str) -> &'static str {
    match neighbour {
        "half surrogate" | "control character" | "NaN" | "byte order mark" | "UTF-16" | "GBK" => {
            NO_TEXT
        }
        "huge key" => "- a document has no keys",
        "million entries" => "4 1$ unverified ticket",
        neighbour => json(neighbour),
    }
}

/// A poll that may cost money each time: its budget of calls ends it.
fn export(neighbour: &str) -> &'static str {
    match neighbour {
        "undisturbed" | "half surrogate" | "control character" | "NaN" | "byte order mark"
        | "UTF-16" | "GBK" | "gzip" | "unknown coding" => "0 1$ whole",
        "million entries" => NO_ARCHIVE,
        READ_ONLY => SAME_LEDGER,
        "foreign page, 403" | "storage refusal" => "7 0$ nothing ticket",
        "deaf peer" => "4 0$ nothing ticket",
        "SIGTERM" => "TERM 0$ nothing ticket",
        "endless 103" | "endless head" | "drip" => "4 1$ nothing ticket",
        _ => "7 1$ nothing ticket",
    }
}

/// A free upload before the paid call: nothing was accepted and nothing can be charged.
fn upload(neighbour: &str) -> &'static str {
    match neighbour {
        "undisturbed" | "half surrogate" | "control character" | "NaN" | "byte order mark"
        | "UTF-16" | "GBK" | "gzip" | "unknown coding" => "0 1$ whole",
        "million entries" => NO_ARCHIVE,
        READ_ONLY => SAME_LEDGER,
        "SIGTERM" => "TERM 0$ nothing",
        _ => "8 0$ nothing",
    }
}

/// The upgrade of the printer's connection.
fn connect(neighbour: &str) -> &'static str {
    match neighbour {
        "undisturbed" => "0 0$ whole",
        "foreign page, 403" | "storage refusal" | "endless 103" | "endless head" | "deaf peer" => {
            "8 0$ nothing"
        }
        "SIGTERM" => "TERM 0$ nothing",
        READ_ONLY => SAME_LEDGER,
        _ => "- the answer to an upgrade has no body",
    }
}

/// The list of print jobs: texts are read as they are, and only what is no text of a WebSocket ends its connection.
fn list(neighbour: &str) -> &'static str {
    match neighbour {
        "undisturbed" | "half surrogate" | "control character" | "NaN" | "byte order mark" => {
            "0 0$ whole"
        }
        // A list that cannot be read is asked for again until the deadline; nothing was paid for.
        "UTF-16" | "GBK" | "foreign page, 200" | "drip" | "cuts in turn" | "huge key"
        | "deaf peer" => "8 0$ nothing",
        "SIGTERM" => "TERM 0$ nothing",
        READ_ONLY => SAME_LEDGER,
        _ => "- there is no HTTP inside a connection",
    }
}

/// The pages of a print job: what does not come is that job's failure.
fn pages(neighbour: &str) -> &'static str {
    match neighbour {
        "half surrogate" | "control character" | "NaN" | "byte order mark" | "UTF-16" | "GBK" => {
            NO_TEXT
        }
        "huge key" => "- a document has no keys",
        "foreign page, 200" | "cuts in turn" => "3 0$ nothing",
        // The deadline ends it before the tries are used up.
        "drip" | "deaf peer" => "4 0$ nothing",
        neighbour => list(neighbour),
    }
}

const PRINT: &[&str] = &[
    "printer", "run", "--spool", "out", "--exec", "true", "--once",
];
const PARSE: &[&str] = &["textin", "parse", "a.txt", "-o", "out/a"];
const PARSE_JSON: &[&str] = &[
    "textin", "parse", "a.txt", "--format", "json", "-o", "out/a",
];
const CONVERT: &[&str] = &["ppj", "convert", "a.pptx", "-o", "out/a"];
const DECK: &[&str] = &["mindshow", "deck", "--markdown", "a.md", "-o", "out/a"];
const PDF: &[&str] = &["mindshow", "pdf", "JOB", "-o", "out/a"];
const SIGNABLE: &[&str] = &["tencent-ess", "convert", "a.html"];

const COLUMNS: &[Column] = &[
    column(
        "textin",
        "submit",
        "submit",
        PARSE,
        |neighbour| match neighbour {
            READ_ONLY => "0 1$ whole",
            neighbour => paid(neighbour),
        },
    ),
    column(
        "textin",
        "poll",
        "poll",
        PARSE,
        |neighbour| match neighbour {
            READ_ONLY => "0 1$ whole",
            neighbour => poll(neighbour),
        },
    ),
    column("textin", "result", "result", PARSE, json),
    column("textin", "result in JSON", "result", PARSE_JSON, json),
    column("ppj", "create", "create", CONVERT, searched),
    column("ppj", "poll", "show", CONVERT, poll),
    column("ppj", "download", "download", CONVERT, archive),
    column(
        "mindshow",
        "create",
        "ppt_create_by_markdown",
        DECK,
        searched,
    ),
    column("mindshow", "poll", "job_get", DECK, poll),
    column("mindshow", "deck file", "deck_file", DECK, archive),
    column("mindshow", "pdf", "get_pdf", PDF, export),
    column("mindshow", "pdf file", "pdf_file", PDF, document),
    column("tencent-ess", "upload", "upload", SIGNABLE, upload),
    column("tencent-ess", "create", "create", SIGNABLE, paid),
    column("tencent-ess", "poll", "query", SIGNABLE, poll),
    column("printer", "connect", "connect", PRINT, connect),
    column("printer", "list", "printer/get_job_list", PRINT, list),
    column("printer", "download", "printer/download_file", PRINT, pages),
];

const fn column(
    vendor: &'static str,
    operation: &'static str,
    at: &'static str,
    line: &'static [&'static str],
    right: fn(&str) -> &'static str,
) -> Column {
    Column {
        vendor,
        operation,
        at,
        line,
        right,
    }
}

/// What the simulators have seen of an operation, and what they charged.
fn counted(simulators: &Simulators, column: &Column) -> (usize, i64) {
    let operation = column.operation;
    match column.vendor {
        "textin" => textin::counted(simulators.textin(), operation),
        "ppj" => ppj::counted(simulators.ppj(), operation),
        "mindshow" => mindshow::counted(simulators.mindshow(), operation),
        "printer" => (printer::counted(simulators.wecom(), column.at), 0),
        _ => tencent::counted(simulators.tencent(), operation),
    }
}

fn strike(simulators: &Simulators, column: &Column, fault: Fault) {
    let faults = match column.vendor {
        "textin" => simulators.textin().faults(),
        "ppj" => simulators.ppj().faults(),
        "mindshow" => simulators.mindshow().faults(),
        "printer" => simulators.wecom().faults(),
        _ => simulators.tencent().faults(),
    };
    faults.times(column.at, fault, Times::Always);
}

fn odd(neighbour: &str) -> Option<OddText> {
    Some(match neighbour {
        "half surrogate" => OddText::Surrogate,
        "control character" => OddText::Control,
        "NaN" => OddText::Nan,
        "byte order mark" => OddText::Bom,
        "UTF-16" => OddText::Utf16,
        "GBK" => OddText::Gbk,
        _ => return None,
    })
}

pub(crate) fn fault(neighbour: &str) -> Option<Fault> {
    let refused = |body: &str| Fault::Status {
        status: 403,
        body: body.to_owned(),
        headers: vec![],
        after_commit: false,
    };
    let coding = |coding: &str| Fault::Coding {
        coding: coding.to_owned(),
    };
    if let Some(how) = odd(neighbour) {
        return Some(Fault::OddText { how });
    }
    Some(match neighbour {
        "gzip" => coding("gzip"),
        "unknown coding" => coding("x-odd"),
        "foreign page, 403" => refused("<html>blocked by Corp WAF policy 4711</html>"),
        "foreign page, 200" => Fault::NonJson { body: None },
        "storage refusal" => refused(
            "<?xml version=\"1.0\"?>\n<Error><Code>AccessDenied</Code><Message>Request has expired.</Message></Error>",
        ),
        "endless 103" | "endless head" => Fault::EndlessHeaders {
            interim: neighbour == "endless 103",
            seconds: 0.05,
        },
        "drip" => Fault::SlowBody {
            chunk: 1,
            seconds: 2.0,
        },
        "cuts in turn" => Fault::CutInTurn { at: vec![0, 7] },
        "huge key" => Fault::HugeKey { bytes: KEY },
        "million entries" => Fault::ManyEntries { entries: ENTRIES },
        "deaf peer" | "SIGTERM" => Fault::Deaf {},
        _ => return None,
    })
}

pub(crate) async fn simulators(speed: u32) -> Simulators {
    let options = SimOptions {
        speed: f64::from(speed),
        textin: TextInOptions {
            qps: None,
            pending_seconds: 0.0,
            in_progress_seconds: 0.0,
            ..TextInOptions::default()
        },
        ppj: PpjOptions {
            conversion_seconds: 0.0,
            notifying_seconds: 0.0,
            halt_on_bad_pptx: false,
            ..PpjOptions::default()
        },
        mindshow: MindShowOptions {
            queued_seconds: 0.0,
            plain_seconds: 0.0,
            pdf_seconds: 0.0,
            ..MindShowOptions::default()
        },
        tencent: TencentOptions {
            qps: None,
            check_content: false,
            pending_seconds: 0.0,
            processing_seconds: 0.0,
            ..TencentOptions::default()
        },
        ..SimOptions::default()
    };
    Simulators::start(options).await.unwrap()
}

/// A folder with every input, an empty folder for results, and the ledger.
pub(super) struct Folder(tempfile::TempDir);

impl Folder {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let write =
            |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write("a.txt", "some text\n");
        write("a.html", "<html><body>Clause 1</body></html>");
        write("a.md", MARKDOWN);
        std::fs::create_dir(folder.path().join("out")).unwrap();
        Self(folder)
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The command with the simulators' variables and no others.
    pub(super) fn command(&self, line: &[&str], simulators: &Simulators) -> Process {
        let mut command = Process::new(docjobs());
        command
            .args(line)
            .current_dir(self.0.path())
            .env_clear()
            .env("HOME", self.0.path())
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("DOCJOBS_LEDGER", self.path("ledger.db"))
            .env("WECOM_PRINTER_STATE", self.path("state"))
            .envs(simulators.env())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }
}

pub(crate) const MARKDOWN: &str =
    "# Plan\n\n## One\n\n### Goal\n\n#### Less\n\nText that is long enough for a deck.\n";

/// How a process ended.
pub(crate) struct Ended {
    status: Option<ExitStatus>,
    pub(super) stdout: Vec<u8>,
    pub(crate) stderr: String,
    took: Duration,
    peak_kib: u64,
}

impl Ended {
    /// The code, or the signal; `STILL THERE` for a process that had to be killed.
    pub(crate) fn exit(&self) -> String {
        use std::os::unix::process::ExitStatusExt as _;
        let Some(status) = self.status else {
            return "STILL THERE".to_owned();
        };
        match (status.code(), status.signal()) {
            (Some(code), _) => code.to_string(),
            (_, Some(15)) => "TERM".to_owned(),
            (_, signal) => format!("signal {signal:?}"),
        }
    }

    pub(super) fn has_ticket(&self) -> bool {
        self.stderr.lines().any(|line| line.starts_with("ticket: "))
    }

    /// What no neighbour may bring about.
    pub(crate) fn excess(&self, pace: Pace) -> String {
        let late = (self.took > pace.ends() + PATIENCE).then(|| format!(" LATE {:?}", self.took));
        let fat = (self.peak_kib > MEMORY_KIB).then(|| format!(" FAT {} MiB", self.peak_kib >> 10));
        late.unwrap_or_default() + &fat.unwrap_or_default()
    }
}

/// Runs it to its end, or kills it.
pub(crate) async fn ended(mut child: Child) -> Ended {
    let started = Stopwatch::start();
    let id = child.id().unwrap_or_default();
    let (mut out, mut err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let mut ended = Ended {
        status: None,
        stdout: Vec::new(),
        stderr: String::new(),
        took: Duration::ZERO,
        peak_kib: 0,
    };
    let mut stderr = Vec::new();
    let peak = &mut ended.peak_kib;
    let watched = async {
        let reading = async {
            tokio::join!(
                out.read_to_end(&mut ended.stdout),
                err.read_to_end(&mut stderr)
            )
        };
        let watching = async {
            loop {
                *peak = peak_of(id).unwrap_or(*peak);
                clock::pass(Duration::from_millis(20)).await;
            }
        };
        tokio::select! {
            _ = reading => {}
            () = watching => {}
        }
        child.wait().await.unwrap()
    };
    ended.status = clock::within(AT_MOST, watched).await;
    ended.took = started.elapsed();
    ended.stderr = String::from_utf8_lossy(&stderr).into_owned();
    drop(child.start_kill());
    ended
}

/// The most memory that a process held so far.
fn peak_of(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// What the vendor served, as it should lie on the disk.
fn served(simulators: &Simulators, column: &Column, neighbour: &str) -> Option<Vec<u8>> {
    match (column.vendor, column.operation) {
        ("textin", operation) => {
            let sim = simulators.textin();
            let job = sim.jobs().first()?.job_id.clone();
            let bytes: Vec<u8> = sim.result_bytes(&job)?.pieces().flatten().collect();
            let strikes = operation.starts_with("result");
            let how = odd(neighbour).filter(|_| strikes);
            if operation == "result in JSON" {
                return Some(match (how, neighbour) {
                    (Some(how), _) => how.written(&bytes),
                    (None, "huge key") => {
                        let key = vec![b'k'; usize::try_from(KEY).unwrap()];
                        [b"{\"", &key[..], b"\":0,", &bytes[1..]].concat()
                    }
                    (None, _) => bytes,
                });
            }
            let value: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
            let mut text = value["markdown"].as_str().unwrap().to_owned();
            text.push_str(match how {
                Some(OddText::Surrogate) => "\u{fffd}",
                Some(OddText::Control) => "\u{1}",
                Some(OddText::Utf16 | OddText::Gbk) => "处",
                Some(OddText::Nan | OddText::Bom) | None => "",
            });
            Some(text.into_bytes())
        }
        ("ppj", _) => {
            let sim = simulators.ppj();
            Some(sim.bundle(&sim.jobs().first()?.token)?.to_vec())
        }
        ("mindshow", operation) => {
            let sim = simulators.mindshow();
            let id = sim.jobs().first()?.id.clone();
            let is_pdf = operation.starts_with("pdf");
            let bytes = if is_pdf { sim.pdf(&id) } else { sim.deck(&id) };
            Some(bytes?.to_vec())
        }
        ("printer", _) => Some(pdf::of_lines(&["one page"]).to_vec()),
        _ => None,
    }
}

/// What lies in the folder for results; of an id, what was said on stdout.
fn disk(
    simulators: &Simulators,
    column: &Column,
    neighbour: &str,
    out: &Path,
    stdout: &[u8],
) -> String {
    let mut names: Vec<_> = std::fs::read_dir(out)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    if column.vendor == "tencent-ess" {
        let id = String::from_utf8_lossy(stdout);
        return match simulators.tencent().pdf(id.trim()) {
            Some(_) => "whole".to_owned(),
            None if id.is_empty() && names.is_empty() => "nothing".to_owned(),
            None => format!("OTHER {id:?}"),
        };
    }
    match names.as_slice() {
        [] => "nothing".to_owned(),
        [name] if *name == "a" || column.vendor == "printer" => {
            let bytes = std::fs::read(out.join(name)).unwrap();
            match served(simulators, column, neighbour) {
                Some(served) if served == bytes => "whole".to_owned(),
                _ if neighbour == "million entries" && is_archive(&bytes) => "whole".to_owned(),
                _ => format!(
                    "OTHER {}",
                    String::from_utf8_lossy(&bytes[..bytes.len().min(200)])
                ),
            }
        }
        ["a.unverified"] => "unverified".to_owned(),
        names => format!("OTHER {names:?}"),
    }
}

fn pace(column: &Column, neighbour: &str) -> Pace {
    let right = (column.right)(neighbour);
    match right.split(' ').next() {
        Some("0") if matches!(neighbour, "endless 103" | "endless head" | "drip") => {
            SEARCH_AT_THE_END
        }
        Some("0" | "3" | "7") => NO_DEADLINE,
        _ if right.contains("unverified") => NO_DEADLINE,
        _ => DEADLINE,
    }
}

/// As long as its end says that so many empty entries are.
fn is_archive(bytes: &[u8]) -> bool {
    const END: usize = 98;
    let (body, end) = bytes.split_at(bytes.len().saturating_sub(END));
    let number = |at: usize| {
        let digits = end.get(at..at + 8)?.try_into().ok()?;
        Some(u64::from_le_bytes(digits))
    };
    let [count, length, start] = [24, 40, 48].map(number);
    count == Some(ENTRIES)
        && length.zip(start).map(|(length, start)| length + start) == Some(body.len() as u64)
}

async fn seen(column: &Column, neighbour: &str) -> String {
    if neighbour == READ_ONLY {
        return match std::env::var(database::SERVER) {
            Ok(server) => database::seen(server, column.operation).await,
            // As it should be, for want of a server to try it on.
            Err(_) => (column.right)(neighbour).to_owned(),
        };
    }
    let pace = pace(column, neighbour);
    let (simulators, folder) = (simulators(pace.speed).await, Folder::new());
    if column.vendor == "ppj" {
        let (_, deck) = made(&simulators).await;
        std::fs::write(folder.path("a.pptx"), deck).unwrap();
    }
    let mut line: Vec<String> = column.line.iter().map(|&word| word.to_owned()).collect();
    if line.iter().any(|word| word == "JOB") {
        let (id, _) = made(&simulators).await;
        line.iter_mut()
            .filter(|word| *word == "JOB")
            .for_each(|word| word.clone_from(&id));
    }
    if column.vendor == "printer" {
        let job = NewJob::pdf("a.pdf", pdf::of_lines(&["one page"]));
        simulators.wecom().add_job(job);
    }
    line.extend(["--deadline".to_owned(), pace.deadline()]);
    let line: Vec<&str> = line.iter().map(String::as_str).collect();
    let before = counted(&simulators, column);
    if let Some(fault) = fault(neighbour) {
        strike(&simulators, column, fault);
    }
    let child = folder.command(&line, &simulators).spawn().unwrap();
    let id = child.id().unwrap();
    let ending = ended(child);
    let told = async {
        if neighbour != "SIGTERM" {
            return;
        }
        while counted(&simulators, column).0 == before.0 {
            clock::pass(Duration::from_millis(10)).await;
        }
        let id = nix::unistd::Pid::from_raw(id.try_into().unwrap());
        let _ = nix::sys::signal::kill(id, nix::sys::signal::Signal::SIGTERM);
        std::future::pending::<()>().await;
    };
    tokio::pin!(ending);
    let ended = tokio::select! {
        ended = &mut ending => ended,
        () = told => ending.await,
    };
    let charges = counted(&simulators, column).1 - before.1;
    let disk = disk(
        &simulators,
        column,
        neighbour,
        &folder.path("out"),
        &ended.stdout,
    );
    let ticket = if ended.has_ticket() { " ticket" } else { "" };
    let seen = format!(
        "{} {charges}$ {disk}{ticket}{}",
        ended.exit(),
        ended.excess(pace)
    );
    if seen != (column.right)(neighbour) {
        println!(
            "--- {} {} under {neighbour}: {seen} after {:?}, {} MiB\n{}",
            column.vendor,
            column.operation,
            ended.took,
            ended.peak_kib >> 10,
            ended.stderr
        );
    }
    seen
}

/// A deck's job at MindShow, made without the command, and the deck.
async fn made(simulators: &Simulators) -> (String, Vec<u8>) {
    let sim = simulators.mindshow();
    let client = ::mindshow::Client::builder(jobs_core::Secret::new(sim.api_key()).unwrap())
        .with_config(|config| {
            config
                .with_base_url(sim.api_url())
                .with_clock(Arc::new(SystemClock::with_speed(SPEED)))
        })
        .build()
        .unwrap();
    let request = ::mindshow::types::MarkdownDeck::from_markdown(MARKDOWN);
    let accepted = client.deck(request.clone()).submit().await.unwrap();
    let id = accepted.id().as_str().to_owned();
    accepted
        .wait(WaitOptions::new(AT_MOST * SPEED))
        .await
        .unwrap();
    let deck = sim.deck(&id).unwrap().to_vec();
    (id, deck)
}

/// The columns by their vendors.
fn blocks() -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    for column in COLUMNS {
        let title = format!("docjobs {}", column.vendor);
        match blocks.last_mut() {
            Some(block) if block.title == title => block.columns.push(column.operation),
            _ => blocks.push(Block {
                title,
                columns: vec![column.operation],
            }),
        }
    }
    blocks
}

fn place(blocks: &[Block], column: &Column, row: usize) -> (usize, usize, usize) {
    let is_its = |block: &Block| block.title.ends_with(column.vendor);
    let block = blocks.iter().position(is_its).unwrap();
    let columns = &blocks[block].columns;
    let index = columns.iter().position(|name| *name == column.operation);
    (block, row, index.unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_neighbour_ends_as_the_promises_say() {
    let (turns, mut cells) = (Arc::new(Semaphore::new(AT_ONCE)), JoinSet::new());
    // Some of the cells, for whoever works on them.
    let only = std::env::var("DOCJOBS_TEST_CELL").unwrap_or_default();
    let blocks = blocks();
    for column in COLUMNS {
        for (n, neighbour) in NEIGHBOURS.into_iter().enumerate() {
            let expected = (column.right)(neighbour);
            let place = place(&blocks, column, n);
            let turns = Arc::clone(&turns);
            let name = format!("{} {}, {neighbour}", column.vendor, column.operation);
            let skips = expected.starts_with('-') || !name.contains(&only);
            cells.spawn(async move {
                let _turn = turns.acquire_owned().await.unwrap();
                let seen = if skips {
                    expected.to_owned()
                } else {
                    seen(column, neighbour).await
                };
                Tried {
                    place,
                    expected: expected.to_owned(),
                    seen,
                }
            });
        }
    }
    let mut tried = cells.join_all().await;
    tried.sort_by_key(|cell| cell.place);
    print!("{}", table(&tried, &NEIGHBOURS, &blocks));
    off(&tried, &NEIGHBOURS, &blocks);
}
