//! From a webhook at one process to the poll of a worker that is another, in real time against the simulators.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use super::rounds::Process;
use super::{Goal, percentile};

const ROUNDS: usize = 20;
/// No poll follows another one sooner.
const FLOOR: Duration = Duration::from_secs(2);
/// Long enough after a poll that the floor no longer matters.
const REST: Duration = Duration::from_millis(2300);
/// Sent to the simulator just before a webhook, whose time its record then tells.
const MARK: &str = "/mark";

pub(super) fn run(command: &Path, folder: &Path) -> Result<Goal> {
    let (_simulators, variables) = simulators(command)?;
    let textin = variables
        .iter()
        .find(|(name, _)| name == "TEXTIN_SERVER_URL");
    let textin = textin.map(|(_, url)| url.trim_start_matches("http://").to_owned());
    let textin = textin.context("no TextIn among the simulators")?;
    ask(
        &textin,
        "POST",
        "/_sim/options",
        "{\"in_progress_seconds\":1000000}",
        "application/json",
    )?;
    let start = |words: &[&str]| -> Result<Child> {
        let mut start = Command::new(command);
        start.args(words).current_dir(folder);
        start.envs(variables.iter().cloned());
        start.env("DOCJOBS_LEDGER", folder.join("hooks.db"));
        let started = start.stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        started.with_context(|| format!("cannot start docjobs {}", words.join(" ")))
    };
    let mut server = Process(start(&[
        "serve",
        "--json",
        "--listen",
        "127.0.0.1:0",
        "--hooks",
        "127.0.0.1:0",
        "--hooks-url",
        "http://127.0.0.1:9",
    ])?);
    let stdout = server.0.stdout.take().context("no output")?;
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line)?;
    let event: Value = serde_json::from_str(&line).with_context(|| line.clone())?;
    let address = |name: &str| -> Result<String> {
        let url = event
            .get(name)
            .and_then(Value::as_str)
            .context("no address")?;
        Ok(url.trim_start_matches("http://").to_owned())
    };
    let _worker = Process(start(&["work"])?);
    let form = "--b\r\nContent-Disposition: form-data; name=\"vendor\"\r\n\r\ntextin\r\n--b\r\n\
                Content-Disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\n\r\nsome text\r\n--b--\r\n";
    ask(
        &address("url")?,
        "POST",
        "/v1/jobs",
        form,
        "multipart/form-data; boundary=b",
    )?;
    let hooks = address("hooks")?;
    let (job, path) = until(|| job(&textin))?;
    for round in 0..ROUNDS {
        let before = polls(&textin)?.len();
        thread::park_timeout(REST);
        if polls(&textin)?.len() > before {
            // A regular poll came in between, and the floor would count from it.
            thread::park_timeout(FLOOR);
        }
        let before = polls(&textin)?.len();
        ask(&textin, "GET", MARK, "", "text/plain")?;
        let body = format!("{{\"job_id\":\"{job}\",\"status\":\"in_progress\",\"round\":{round}}}");
        ask(&hooks, "POST", &path, &body, "application/json")?;
        until(|| Ok((polls(&textin)?.len() > before).then_some(())))?;
    }
    let mut waits = waits(&requests(&textin)?);
    if waits.len() < ROUNDS / 2 {
        bail!(
            "only {} of {ROUNDS} webhooks could be measured",
            waits.len()
        );
    }
    let time = percentile(&mut waits, 95);
    println!(
        "webhook to next poll, across processes: p50 {:?}, p95 {time:?} of {}",
        percentile(&mut waits, 50),
        waits.len()
    );
    let goal = "from a webhook to the next poll, across processes: at most 100 ms beyond the floor";
    Ok(Goal::at_most(16, goal, 1000.0 * time.as_secs_f64(), 100.0))
}

/// The simulators as a process, and the variables that lead to them.
fn simulators(command: &Path) -> Result<(Process, Vec<(String, String)>)> {
    let mut child = Command::new(command)
        .args(["sim", "--speed", "1"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .context("cannot start the simulators")?;
    let stdout = child.stdout.take().context("no output")?;
    let simulators = Process(child);
    let mut variables = Vec::new();
    for line in BufReader::new(stdout).lines() {
        let line = line?;
        let (name, value) = line.split_once('=').with_context(|| line.clone())?;
        variables.push((name.to_owned(), value.to_owned()));
        // The last variable of the last vendor, but for the time's.
        if name == "WECOM_PRINTER_URL" {
            break;
        }
    }
    Ok((simulators, variables))
}

/// The body of the answer to a request on a connection of its own.
fn ask(address: &str, method: &str, path: &str, body: &str, kind: &str) -> Result<Vec<u8>> {
    let mut stream = TcpStream::connect(address)?;
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Type: {kind}\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n");
    let end = end.with_context(|| format!("no answer to {method} {path}"))?;
    Ok(answer.split_off(end + 4))
}

fn requests(textin: &str) -> Result<Vec<Value>> {
    let body = ask(textin, "GET", "/_sim/requests", "", "text/plain")?;
    Ok(serde_json::from_slice(&body)?)
}

fn is_poll(request: &Value) -> bool {
    request.get("method").is_some_and(|method| method == "GET")
        && request.get("path").is_some_and(|path| path != MARK)
}

fn polls(textin: &str) -> Result<Vec<Value>> {
    Ok(requests(textin)?.into_iter().filter(is_poll).collect())
}

/// The job's id and the path of its webhook, once it was submitted.
fn job(textin: &str) -> Result<Option<(String, String)>> {
    let state: Value =
        serde_json::from_slice(&ask(textin, "GET", "/_sim/state", "", "text/plain")?)?;
    let job = state.pointer("/jobs/0");
    let text = |name: &str| job?.get(name)?.as_str().map(str::to_owned);
    let path = |url: String| Some(format!("/{}", url.splitn(4, '/').nth(3)?));
    Ok(text("job_id").zip(text("webhook").and_then(path)))
}

/// Between each mark and the next poll, beyond the floor since the poll before.
fn waits(requests: &[Value]) -> Vec<Duration> {
    let at = |request: &Value| request.get("arrived_real").and_then(Value::as_f64);
    let mut waits = Vec::new();
    let (mut polled, mut marked) = (None, None);
    for request in requests {
        if is_poll(request) {
            if let (Some(from), Some(at)) = (marked.take(), at(request)) {
                let floor = polled.map_or(from, |polled: f64| polled + FLOOR.as_secs_f64());
                waits.push(Duration::from_secs_f64((at - from.max(floor)).max(0.0)));
            }
            polled = at(request);
        } else if request.get("path").is_some_and(|path| path == MARK) {
            marked = at(request);
        }
    }
    waits
}

fn until<T>(mut seen: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    const TRIES: u32 = 12_000;
    for _ in 0..TRIES {
        if let Some(seen) = seen()? {
            return Ok(seen);
        }
        thread::park_timeout(Duration::from_millis(5));
    }
    bail!("it did not happen within a minute")
}
