//! The fault matrix: what comes of each operation of each vendor under each fault, by the vendors' notes and the promises.
//!
//! A cell says what is expected as it is printed: `OUTCOME REQUESTSx CHARGES$ DISK`.
//!
//! - The outcome is `ok`; or `refused:` or `unknown:` for a call that costs money; or `blind:` or `stopped:` for a wait; or
//!   the plain error. An error is its kind and whether the vendor may have acted: `unavailable/maybe`.
//! - The requests are those that reached the simulator's operation; `many` where the pace of polls decides.
//! - The charges are what the simulator booked since the fault was set.
//! - The disk, for what ends in a file: `whole` under its final name, or `nothing` at all.
//!
//! Behind a bar stands what comes of a fault that does not go away; without a bar, it makes no difference. A cell that
//! begins with a dash makes no sense, for the reason given.

#[cfg(unix)]
pub(crate) mod commands;
#[cfg(unix)]
pub(crate) mod database;
mod foreign;
mod mindshow;
mod ppj;
mod printer;
mod tencent;
mod textin;

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use jobs_core::clock::{Clock, Moment};
use jobs_core::http::HttpClientBuilder;
use jobs_core::testing::ManualClock;
use jobs_core::vendor::{Delivery, JobKind};
use jobs_core::{Error, ErrorKind, Job, SubmitError, WaitError, WaitErrorKind, WaitOptions};
use tokio::net::TcpSocket;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use vendor_sim::fault::FaultPlan;
use vendor_sim::{Fault, Site, Times};

use self::foreign::ForeignHost;

/// The rows, in order.
const FAULTS: [&str; 14] = [
    "refused",
    "reset before commit",
    "reset after commit",
    "time-out",
    "429",
    "502 HTML",
    "truncated",
    "wrong types",
    "slow body",
    "cut body",
    "redirect",
    "expired link",
    "huge body",
    "clock off 1 h",
];

/// An operation, and a cell for each row.
type Column = (&'static str, [&'static str; FAULTS.len()]);

/// How much faster than the world the simulators go. The clients' time is moved by hand, so that a busy machine cannot
/// look like a silent vendor.
const SPEED: f64 = 100.0;

/// A number of requests that depends on the pace of polls or connections.
const MANY: usize = usize::MAX;

/// How long a client listens in vain: long enough for a busy machine to do the work before it does not answer.
const SILENCE: Duration = Duration::from_millis(2500);

/// Cells tried at the same time.
const AT_ONCE: usize = 12;

/// What one cell is tried with.
struct Case {
    fault: &'static str,
    times: Times,
    clock: ManualClock,
    foreign: ForeignHost,
}

impl Case {
    fn is(&self, fault: &str) -> bool {
        self.fault == fault
    }

    /// The fault as the simulator plays it; `None` where it is made in another way.
    fn plan(&self) -> Option<Fault> {
        let status = |status, body: &str, headers: &[(&str, &str)], after_commit| Fault::Status {
            status,
            body: body.to_owned(),
            headers: headers
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            after_commit,
        };
        Some(match self.fault {
            "reset before commit" => Fault::DropBeforeCommit {
                after_bytes: None,
                reset: true,
            },
            "reset after commit" => Fault::DropAfterCommit { reset: true },
            "time-out" => Fault::Delay { seconds: 36_000.0 },
            "429" => status(429, "slow down", &[("Retry-After", "1")], false),
            "502 HTML" => status(502, "<html>Bad Gateway</html>", &[], true),
            "truncated" => Fault::TruncatedJson {},
            "wrong types" => Fault::WrongTypes { keys: vec![] },
            "slow body" => Fault::SlowBody {
                chunk: 256,
                seconds: 0.2,
            },
            "cut body" => Fault::CutBody { at: 10 },
            "redirect" => Fault::Redirect {
                location: self.foreign.url(),
                status: None,
            },
            "expired link" => status(403, "link expired", &[], false),
            "huge body" => Fault::HugeBody { bytes: 2 << 20 },
            _ => return None,
        })
    }

    /// Small caps, so that a huge body need not be huge; little patience with silence, where that is the fault. What is
    /// only made ready for a try has all patience.
    fn transport(
        &self,
        is_try: bool,
    ) -> impl Fn(HttpClientBuilder) -> HttpClientBuilder + Send + use<> {
        let is_late = is_try && self.is("time-out");
        move |builder| {
            let builder = builder
                .with_max_response_size(1 << 20)
                .with_max_result_size(1 << 20);
            if is_late {
                builder.with_idle_timeout(SILENCE)
            } else {
                builder
            }
        }
    }

    fn site() -> Site {
        Site::with_clock(vendor_sim::VirtualClock::real(SPEED))
    }

    /// Lets the fault begin: the simulator plays it at `operation`, or it ends and its hosts refuse connections for as long as
    /// the sockets live.
    async fn begin<S>(
        &self,
        sim: S,
        stop: impl AsyncFnOnce(S),
        hosts: &[String],
        faults: impl Fn(&S) -> &FaultPlan,
        operation: &str,
        fault: Option<Fault>,
    ) -> (Option<S>, Vec<TcpSocket>) {
        if self.is("refused") {
            stop(sim).await;
            return (None, hold(hosts).await);
        }
        if let Some(fault) = fault {
            faults(&sim).times(operation, fault, self.times);
        }
        (Some(sim), Vec::new())
    }

    /// Seconds by which the clock that is moved by hand is ahead of a simulator's time of day.
    fn skew(&self, sim: &vendor_sim::VirtualClock) -> i64 {
        let here = self.clock.wall().duration_since(SystemTime::UNIX_EPOCH);
        let there = sim.wall_of(sim.now());
        let seconds = |time: Duration| i64::try_from(time.as_secs()).unwrap();
        seconds(here.unwrap()) - seconds(there)
    }

    /// Tries what the cell is about, moving time over every pause.
    async fn tried<T>(&self, work: impl Future<Output = T>) -> T {
        self.clock.run(work).await
    }

    /// Waits for a job, at most a minute without a good poll.
    async fn wait<K: JobKind>(&self, job: &Job<K>) -> Result<K::Output, WaitError> {
        let patience = WaitOptions {
            max_unreachable: Duration::from_secs(60),
            ..WaitOptions::new(Duration::from_secs(3600))
        };
        job.wait(patience).await
    }

    /// What was seen, as the table says it.
    fn seen(&self, outcome: String, (requests, charges): (usize, i64)) -> String {
        let paced = requests > 1 && outcome.starts_with("blind:");
        let requests = match requests {
            MANY => "many".to_owned(),
            _ if paced => "many".to_owned(),
            requests => requests.to_string(),
        };
        let mut seen = format!("{outcome} {requests}x {charges}$");
        // Nobody may follow a redirect with anything but a download, nor take a credential along.
        for told in self.foreign.told() {
            if told.contains(foreign::DOWNLOADS) {
                continue;
            }
            write!(seen, " FOREIGN HOST WAS TOLD {told:?}").unwrap();
        }
        seen
    }

    /// The same for what ends in a file.
    fn seen_on_disk(
        &self,
        outcome: String,
        counted: (usize, i64),
        folder: &Path,
        whole: &[u8],
    ) -> String {
        let seen = self.seen(outcome, counted);
        let entries = std::fs::read_dir(folder).unwrap();
        let paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        let disk = match paths.as_slice() {
            [] => "nothing",
            [one] if std::fs::read(one).unwrap() == whole => "whole",
            _ => "SOMETHING ELSE",
        };
        format!("{seen} {disk}")
    }
}

/// Keeps ports from being given to anybody else, and refuses connections to them.
async fn hold(addresses: &[String]) -> Vec<TcpSocket> {
    let mut held = Vec::new();
    for address in addresses {
        let address = address.split("//").last().unwrap();
        let address: SocketAddr = address.split('/').next().unwrap().parse().unwrap();
        loop {
            let socket = TcpSocket::new_v4().unwrap();
            socket.set_reuseaddr(true).unwrap();
            // The listener before it may take a moment to go.
            match socket.bind(address) {
                Ok(()) => {
                    held.push(socket);
                    break;
                }
                Err(_) => tokio::task::yield_now().await,
            }
        }
    }
    held
}

fn told(error: &Error) -> String {
    let kind = match error.kind() {
        ErrorKind::InvalidInput => "input",
        ErrorKind::Unauthenticated => "credentials",
        ErrorKind::QuotaExceeded => "exhausted",
        ErrorKind::RateLimited => "rate-limited",
        ErrorKind::NotFound => "not-found",
        ErrorKind::Refused => "refused",
        ErrorKind::OperationRetired => "retired",
        ErrorKind::Unavailable => "unavailable",
        ErrorKind::Unreachable => "unreachable",
        ErrorKind::Timeout => "timed-out",
        ErrorKind::UnexpectedResponse => "garbled",
        ErrorKind::TooLarge => "too-large",
        ErrorKind::LocalIo => "local",
        _ => "new",
    };
    let sent = match error.delivery() {
        Delivery::NotSent => "no",
        Delivery::MaybeSent => "maybe",
        Delivery::Answered => "yes",
    };
    format!("{kind}/{sent}")
}

fn plain<T>(outcome: &Result<T, Error>) -> String {
    match outcome {
        Ok(_) => "ok".to_owned(),
        Err(error) => told(error),
    }
}

/// As long as a download may take that nobody bounds otherwise.
fn an_hour_from_now(case: &Case) -> Moment {
    case.clock.now() + Duration::from_secs(3600)
}

fn submitted<K: JobKind>(submission: &Result<Job<K>, SubmitError>) -> String {
    match submission {
        Ok(_) => "ok".to_owned(),
        Err(SubmitError::Rejected(error)) => format!("refused:{}", told(error)),
        Err(SubmitError::OutcomeUnknown(lost)) => format!("unknown:{}", told(&lost.error)),
    }
}

/// A wait that did not end well must hand a ticket back with which to go on.
fn waited<T>(outcome: &Result<T, WaitError>) -> String {
    let error = match outcome {
        Ok(_) => return "ok".to_owned(),
        Err(error) => error,
    };
    let ticket = error.ticket().to_string();
    assert_eq!(
        &ticket.parse::<jobs_core::Ticket>().unwrap(),
        error.ticket()
    );
    match error.kind() {
        WaitErrorKind::Unreachable(cause) => format!("blind:{}", told(cause)),
        WaitErrorKind::PollRejected(cause) => format!("stopped:{}", told(cause)),
        cause => format!("{cause:?}"),
    }
}

/// One cell, as it should be and as it was.
struct Tried {
    place: (usize, usize, usize),
    expected: String,
    seen: String,
}

fn columns() -> Vec<(&'static str, &'static [Column])> {
    vec![
        ("textin", textin::COLUMNS),
        ("ppj", ppj::COLUMNS),
        ("mindshow", mindshow::COLUMNS),
        ("tencent-ess", tencent::COLUMNS),
        ("printer-jobs", printer::COLUMNS),
    ]
}

async fn seen(vendor: &str, operation: &str, fault: &'static str, times: Times) -> String {
    let case = Case {
        fault,
        times,
        clock: ManualClock::new(),
        foreign: ForeignHost::listen().await,
    };
    match vendor {
        "textin" => textin::run(operation, &case).await,
        "ppj" => ppj::run(operation, &case).await,
        "mindshow" => mindshow::run(operation, &case).await,
        "tencent-ess" => tencent::run(operation, &case).await,
        _ => printer::run(operation, &case).await,
    }
}

/// What is said of a cell, with "a few" for a number of requests above one: a machine that is busy elsewhere lets further
/// tries run into their time-out too. One stays one, because that is what money depends on.
fn few(said: &str) -> String {
    let words = said
        .split(' ')
        .map(|word| match word.strip_suffix('x').map(str::parse) {
            Some(Ok(2u32..=7)) => "few",
            _ => word,
        });
    words.collect::<Vec<_>>().join(" ")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_fault_ends_as_the_promises_say() {
    let (turns, mut cells) = (Arc::new(Semaphore::new(AT_ONCE)), JoinSet::new());
    for (v, (vendor, columns)) in columns().into_iter().enumerate() {
        for (c, (operation, expectations)) in columns.iter().enumerate() {
            for (f, expected) in expectations.iter().enumerate() {
                let turns = Arc::clone(&turns);
                cells.spawn(async move {
                    let _turn = turns.acquire_owned().await.unwrap();
                    let seen = if expected.starts_with('-') {
                        (*expected).to_owned()
                    } else {
                        let mut both = seen(vendor, operation, FAULTS[f], Times::Once).await;
                        if expected.contains('|') {
                            let ever = seen(vendor, operation, FAULTS[f], Times::Always).await;
                            both = format!("{both} | {ever}");
                        }
                        both
                    };
                    Tried {
                        place: (v, f, c),
                        expected: (*expected).to_owned(),
                        seen,
                    }
                });
            }
        }
    }
    let mut tried = cells.join_all().await;
    tried.sort_by_key(|cell| cell.place);
    let blocks: Vec<Block> = columns()
        .into_iter()
        .map(|(vendor, columns)| Block {
            title: vendor.to_owned(),
            columns: columns.iter().map(|(operation, _)| *operation).collect(),
        })
        .collect();
    print!("{}", table(&tried, &FAULTS, &blocks));
    off(&tried, &FAULTS, &blocks);
}

/// The columns of one vendor.
struct Block {
    title: String,
    columns: Vec<&'static str>,
}

/// Fails over the cells that are not as they should be.
fn off(tried: &[Tried], rows: &[&str], blocks: &[Block]) {
    let off: Vec<String> = tried
        .iter()
        .filter(|cell| {
            let is_slow = rows[cell.place.1] == "time-out";
            let read = |said: &str| if is_slow { few(said) } else { said.to_owned() };
            read(&cell.seen) != read(&cell.expected)
        })
        .map(|cell| {
            let (b, r, c) = cell.place;
            let Block { title, columns } = &blocks[b];
            format!(
                "{title} {} under {}:\n  expected {}\n  seen     {}",
                columns[c], rows[r], cell.expected, cell.seen
            )
        })
        .collect();
    assert!(
        off.is_empty(),
        "{} cells are off\n{}",
        off.len(),
        off.join("\n")
    );
}

/// One block for each vendor, a row for each fault.
fn table(tried: &[Tried], rows: &[&str], blocks: &[Block]) -> String {
    let mut text = String::new();
    for (b, Block { title, columns }) in blocks.iter().enumerate() {
        let width = |c: usize| {
            let cells = tried
                .iter()
                .filter(|cell| (cell.place.0, cell.place.2) == (b, c))
                .map(|cell| cell.seen.chars().count());
            cells.chain([columns[c].len()]).max().unwrap_or(0)
        };
        write!(text, "\n{title:<20}").unwrap();
        for (c, operation) in columns.iter().enumerate() {
            write!(text, "  {operation:<width$}", width = width(c)).unwrap();
        }
        for cell in tried.iter().filter(|cell| cell.place.0 == b) {
            let (_, r, c) = cell.place;
            if c == 0 {
                write!(text, "\n{:<20}", rows[r]).unwrap();
            }
            write!(text, "  {:<width$}", cell.seen, width = width(c)).unwrap();
        }
        text.push('\n');
    }
    let (cells, senseless) = (
        tried.len(),
        tried
            .iter()
            .filter(|cell| cell.seen.starts_with('-'))
            .count(),
    );
    writeln!(text, "\n{cells} cells, of which {senseless} make no sense").unwrap();
    text
}
