//! `docjobs serve` under load, on loopback: lists, webhooks, event streams, one large upload, and polls that webhooks bring
//! forward.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use super::rounds::Process;
use super::{Goal, hook_to_poll, metadata, percentile};
use crate::clock::Stopwatch;

const STREAMS: usize = 1000;
const UPLOAD: u64 = 500_000_000;
const HOOKS_PER_SECOND: u32 = 2000;
const HOOK_SECONDS: u32 = 5;
const HOOK_THREADS: u32 = 8;
const LISTS: usize = 200;

/// `bench serve [--ledger PATH]`: lists are measured on that ledger, else on one without jobs.
pub(super) fn run(root: &Path, words: &[&str]) -> Result<Vec<Goal>> {
    let given = match words {
        [] => None,
        ["--ledger", path] => Some(PathBuf::from(path)),
        _ => bail!("say `cargo xtask bench serve [--ledger PATH]`"),
    };
    let status = Command::new(metadata::cargo())
        .args(["build", "--quiet", "--release", "--package", "docjobs"])
        .current_dir(root)
        .status()
        .context("cannot start cargo")?;
    if !status.success() {
        bail!("docjobs cannot be built");
    }
    let folder = root.join("target/bench/serve");
    drop(fs::remove_dir_all(&folder));
    fs::create_dir_all(&folder).context("cannot make target/bench/serve")?;
    let ledger = given.unwrap_or_else(|| folder.join("ledger.db"));
    let command = root.join("target/release/docjobs");
    println!("load of the machine: {}", load()?);
    let server = Server::start(&command, &ledger, &folder.join("spool"))?;
    let goals = [
        lists(&server)?,
        hooks(&server)?,
        streams(&server)?,
        upload(&server)?,
    ];
    drop(server);
    let last = hook_to_poll::run(&command, &folder)?;
    println!("load of the machine: {}", load()?);
    Ok(goals.into_iter().chain([last]).collect())
}

/// Who else computes meanwhile: the means of one, five and fifteen minutes.
fn load() -> Result<String> {
    let text = fs::read_to_string("/proc/loadavg")?;
    Ok(text.split(' ').take(3).collect::<Vec<_>>().join(" "))
}

struct Server {
    process: Process,
    url: String,
    hooks: String,
}

impl Server {
    fn start(command: &Path, ledger: &Path, spool: &Path) -> Result<Self> {
        let mut child = Command::new(command)
            .args([
                "serve",
                "--listen",
                "127.0.0.1:0",
                "--hooks",
                "127.0.0.1:0",
                "--json",
            ])
            .arg("--spool")
            .arg(spool)
            .env("DOCJOBS_LEDGER", ledger)
            .env("TEXTIN_APP_ID", "bench")
            .env("TEXTIN_SECRET_CODE", "bench")
            .env("TEXTIN_SERVER_URL", "http://127.0.0.1:9")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot start docjobs")?;
        let stdout = child.stdout.take().context("no output")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let event: serde_json::Value =
            serde_json::from_str(&line).with_context(|| format!("not understood: {line}"))?;
        let address = |name: &str| -> Result<String> {
            let url = event.get(name).and_then(serde_json::Value::as_str);
            let url = url.with_context(|| format!("no {name} in {line}"))?;
            Ok(url.trim_start_matches("http://").to_owned())
        };
        Ok(Self {
            url: address("url")?,
            hooks: address("hooks")?,
            process: Process(child),
        })
    }

    /// Resident memory in KiB, by this name in the process's status.
    fn memory(&self, name: &str) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.0.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let size = line.and_then(|line| line.split_whitespace().next());
        size.and_then(|size| size.parse().ok())
            .with_context(|| format!("no {name} in the status of the process"))
    }
}

/// Sends a request on a kept connection and reads the whole answer, which says its length.
fn ask(stream: &mut TcpStream, request: &[u8]) -> Result<u16> {
    stream.write_all(request)?;
    let mut answer = Vec::new();
    let mut piece = [0; 64 * 1024];
    loop {
        let read = stream.read(&mut piece)?;
        if read == 0 {
            bail!("the server closed the connection");
        }
        answer.extend_from_slice(piece.get(..read).unwrap_or_default());
        let Some(end) = answer.windows(4).position(|four| four == b"\r\n\r\n") else {
            continue;
        };
        let head = String::from_utf8_lossy(answer.get(..end).unwrap_or_default()).to_lowercase();
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length
            .and_then(|length| length.trim().parse().ok())
            .unwrap_or(0);
        if answer.len() >= end + 4 + length {
            let status = head
                .split(' ')
                .nth(1)
                .and_then(|status| status.parse().ok());
            return status.context("no status");
        }
    }
}

fn milliseconds(time: Duration) -> f64 {
    1000.0 * time.as_secs_f64()
}

fn mebibytes(kib: u64) -> f64 {
    kib as f64 / 1024.0
}

fn lists(server: &Server) -> Result<Goal> {
    let mut slowest = Duration::ZERO;
    for path in [
        "/v1/jobs",
        "/v1/jobs?stage=completed",
        "/v1/jobs?vendor=textin&stage=failed,gone",
        "/v1/jobs?input=a",
        "/v1/jobs?error=timeout",
        "/",
        "/v1/summary",
    ] {
        let mut stream = TcpStream::connect(&server.url)?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", server.url);
        let mut times = Vec::with_capacity(LISTS);
        for _ in 0..LISTS {
            let clock = Stopwatch::start();
            let status = ask(&mut stream, request.as_bytes())?;
            times.push(clock.elapsed());
            if status != 200 {
                bail!("{path} was answered with {status}");
            }
        }
        let time = percentile(&mut times, 95);
        println!("list {path}: p95 {time:?}");
        slowest = slowest.max(time);
    }
    let goal = "the 95th percentile of every list: at most 100 ms";
    Ok(Goal::at_most(16, goal, milliseconds(slowest), 100.0))
}

fn hooks(server: &Server) -> Result<Goal> {
    let each = HOOKS_PER_SECOND / HOOK_THREADS;
    let pause = Duration::from_secs(1) / each;
    let work = |thread: u32| {
        let address = server.hooks.clone();
        move || -> Result<Vec<Duration>> {
            let mut stream = TcpStream::connect(&address)?;
            let mut times = Vec::new();
            let begun = Stopwatch::start();
            for number in 0..each * HOOK_SECONDS {
                let early = (pause * number).saturating_sub(begun.elapsed());
                if !early.is_zero() {
                    thread::park_timeout(early);
                }
                let request = format!(
                    "GET /ppj?token=t{thread}x{number}&type=completed&code=0 HTTP/1.1\r\nHost: {address}\r\n\r\n"
                );
                let clock = Stopwatch::start();
                if ask(&mut stream, request.as_bytes())? != 200 {
                    bail!("a hook was refused");
                }
                times.push(clock.elapsed());
            }
            Ok(times)
        }
    };
    let begun = Stopwatch::start();
    let threads: Vec<_> = (0..HOOK_THREADS)
        .map(|thread| thread::spawn(work(thread)))
        .collect();
    let mut times = Vec::new();
    for thread in threads {
        match thread.join() {
            Ok(measured) => times.extend(measured?),
            Err(_) => bail!("a thread panicked"),
        }
    }
    let count = times.len();
    let seconds = begun.elapsed().as_secs_f64();
    #[allow(clippy::cast_precision_loss, reason = "a count")]
    let rate = count as f64 / seconds;
    let time = percentile(&mut times, 99);
    println!("hooks: {count} at {rate:.0}/s, p99 {time:?}");
    let goal = "the 99th percentile of 2000 webhooks a second: at most 50 ms";
    Ok(Goal::at_most(16, goal, milliseconds(time), 50.0))
}

fn streams(server: &Server) -> Result<Goal> {
    let before = server.memory("VmRSS:")?;
    let mut open = Vec::with_capacity(STREAMS);
    for _ in 0..STREAMS {
        let mut stream = TcpStream::connect(&server.url)?;
        let request = format!(
            "GET /v1/events HTTP/1.1\r\nHost: {}\r\nAccept: text/event-stream\r\n\r\n",
            server.url
        );
        stream.write_all(request.as_bytes())?;
        let mut piece = [0; 1024];
        if stream.read(&mut piece)? == 0 {
            bail!("an event stream was closed");
        }
        open.push(stream);
    }
    let grown = server.memory("VmRSS:")?.saturating_sub(before);
    println!("{STREAMS} event streams: {grown} KiB more");
    let goal = format!("{STREAMS} event streams: at most 64 MiB");
    Ok(Goal::at_most(16, goal, mebibytes(grown), 64.0))
}

fn upload(server: &Server) -> Result<Goal> {
    let head = "--b\r\nContent-Disposition: form-data; name=\"vendor\"\r\n\r\ntextin\r\n--b\r\n\
                Content-Disposition: form-data; name=\"file\"; filename=\"large.pdf\"\r\n\r\n";
    let tail = "\r\n--b--\r\n";
    let length = UPLOAD + (head.len() + tail.len()) as u64;
    let mut stream = TcpStream::connect(&server.url)?;
    let before = server.memory("VmRSS:")?;
    // From here on the peak is that of the upload.
    fs::write(format!("/proc/{}/clear_refs", server.process.0.id()), "5")?;
    let clock = Stopwatch::start();
    write!(
        stream,
        "POST /v1/jobs HTTP/1.1\r\nHost: {}\r\nContent-Type: multipart/form-data; boundary=b\r\n\
         Content-Length: {length}\r\n\r\n{head}",
        server.url
    )?;
    let piece = vec![b'x'; 1 << 20];
    let mut left = UPLOAD;
    while left > 0 {
        let count = usize::try_from(left).unwrap_or(usize::MAX).min(piece.len());
        stream.write_all(piece.get(..count).unwrap_or_default())?;
        left -= count as u64;
    }
    let status = ask(&mut stream, tail.as_bytes())?;
    let grown = server.memory("VmHWM:")?.saturating_sub(before);
    let size = UPLOAD / 1_000_000;
    println!(
        "an upload of {size} MB: status {status}, {:?}, {grown} KiB more at its peak",
        clock.elapsed(),
    );
    let goal = format!("an upload of {size} MB: at most 16 MiB");
    Ok(Goal::at_most(16, goal, mebibytes(grown), 16.0))
}
