//! A plain HTTP server that says what a test tells it, byte for byte, and the command in front of it.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::clock::Stopwatch;
use crate::docjobs;

/// The job that every stand-in has.
pub(crate) const JOB: &str = "0123456789abcdef0123456789abcdef";
/// Both clocks go so much faster than the world.
const SCALE: &str = "20";
/// No command may need longer.
const PATIENCE: Duration = Duration::from_secs(40);

/// What a request asks of a vendor that is like all the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Submit,
    Poll,
    Result,
}

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) step: Step,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

/// What is said to it: whole answers, or bytes that come when they like.
pub(crate) type Answer = Vec<u8>;

type Script = dyn Fn(&Asked, &str) -> Option<Answer> + Send + Sync;

/// One of the four vendors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Vendor {
    TextIn,
    Ppj,
    MindShow,
    Tencent,
}

/// An answer of HTTP with its length.
pub(crate) fn http(status: u16, headers: &[&str], body: &[u8]) -> Answer {
    let mut head = format!("HTTP/1.1 {status} Said\r\n");
    for header in headers {
        head.push_str(header);
        head.push_str("\r\n");
    }
    head.push_str(&format!("Content-Length: {}\r\n\r\n", body.len()));
    [head.as_bytes(), body].concat()
}

/// A 200 in JSON.
pub(crate) fn json(body: impl AsRef<[u8]>) -> Answer {
    http(200, &["Content-Type: application/json"], body.as_ref())
}

pub(crate) fn page(status: u16, body: &str) -> Answer {
    http(status, &["Content-Type: text/html"], body.as_bytes())
}

/// A server of one vendor that answers as the vendor does but where the script says otherwise.
pub(crate) struct StandIn {
    vendor: Vendor,
    url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
    folder: tempfile::TempDir,
}

impl StandIn {
    pub(crate) fn new(
        vendor: Vendor,
        script: impl Fn(&Asked, &str) -> Option<Answer> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let (kept, here) = (Arc::clone(&asked), url.clone());
        let script: Arc<Script> = Arc::new(script);
        // Ends with the process: the listener is of no use to anybody else.
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (kept, here, script) = (Arc::clone(&kept), here.clone(), Arc::clone(&script));
                thread::spawn(move || drop(converse(stream, vendor, &here, &kept, &*script)));
            }
        });
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.pdf"), PDF).unwrap();
        std::fs::write(folder.path().join("a.html"), "<html>Clause 1</html>").unwrap();
        std::fs::write(folder.path().join("a.pptx"), "PK\x03\x04 some slides").unwrap();
        std::fs::write(folder.path().join("a.md"), MARKDOWN).unwrap();
        Self {
            vendor,
            url,
            asked,
            folder,
        }
    }

    /// The vendor's own answers, but this one at that step.
    pub(crate) fn saying(vendor: Vendor, at: Step, answer: Answer) -> Self {
        Self::new(vendor, move |asked, _| {
            (asked.step == at).then(|| answer.clone())
        })
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// How often a step was asked for.
    pub(crate) fn count(&self, step: Step) -> usize {
        let asked = self.asked.lock().unwrap();
        asked.iter().filter(|asked| asked.step == step).count()
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// The command line that buys one job, and its output at `out/r`.
    pub(crate) fn purchase(&self) -> Vec<&'static str> {
        match self.vendor {
            Vendor::TextIn => vec!["textin", "parse", "a.pdf", "-o", "r", "--deadline", "60s"],
            Vendor::Ppj => vec!["ppj", "convert", "a.pptx", "-o", "r", "--deadline", "60s"],
            Vendor::MindShow => {
                vec![
                    "mindshow",
                    "deck",
                    "--markdown",
                    "a.md",
                    "-o",
                    "r",
                    "--deadline",
                    "60s",
                ]
            }
            Vendor::Tencent => vec!["tencent-ess", "convert", "a.html", "--deadline", "60s"],
        }
    }

    /// Runs the command to its end.
    pub(crate) fn run(&self, line: &[&str]) -> Ran {
        self.run_with(line, &[])
    }

    pub(crate) fn run_with(&self, line: &[&str], variables: &[(&str, &str)]) -> Ran {
        let mut command = self.command(line);
        command.envs(variables.iter().copied());
        Ran::of(command)
    }

    /// Buys one job.
    pub(crate) fn buy(&self) -> Ran {
        self.run(&self.purchase())
    }

    /// Our id of the one job in the ledger.
    pub(crate) fn id(&self) -> String {
        let jobs = self.run(&["jobs", "--json"]);
        let first = jobs.stdout.lines().next().unwrap_or_default();
        let job: serde_json::Value = serde_json::from_str(first).unwrap();
        job["id"].as_str().unwrap().to_owned()
    }

    pub(crate) fn command(&self, line: &[&str]) -> Command {
        let mut command = Command::new(docjobs());
        command
            .args(line)
            .current_dir(self.folder.path())
            .env_clear()
            .env("HOME", self.folder.path())
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("DOCJOBS_LEDGER", self.path("ledger.db"))
            .env("DOCJOBS_TIME_SCALE", SCALE)
            .stdin(Stdio::null());
        for (name, value) in self.variables() {
            command.env(name, value);
        }
        command
    }

    fn variables(&self) -> Vec<(&'static str, String)> {
        let url = self.url.clone();
        let text = str::to_owned;
        match self.vendor {
            Vendor::TextIn => vec![
                ("TEXTIN_SERVER_URL", url),
                ("TEXTIN_APP_ID", text("app-0001")),
                ("TEXTIN_SECRET_CODE", text("secret-0001")),
            ],
            Vendor::Ppj => vec![
                ("PPJ_BASE_URL", format!("{url}/api/")),
                ("PPJ_ACCESS_KEY", text("access-key-0001")),
            ],
            Vendor::MindShow => vec![
                ("MINDSHOW_BASE_URL", url),
                ("MINDSHOW_API_KEY", text("api-key-0001")),
            ],
            Vendor::Tencent => vec![
                ("TENCENTCLOUD_SECRET_ID", text("AKID0123456789")),
                ("TENCENTCLOUD_SECRET_KEY", text("key-0123456789")),
                ("TENCENT_ESS_APP_ID", text("app-0001")),
                ("TENCENT_ESS_ORG_OPEN_ID", text("org-0001")),
                ("TENCENT_ESS_OPERATOR_OPEN_ID", text("operator-0001")),
                ("TENCENT_ESS_ENDPOINT", url.clone()),
                ("TENCENT_ESS_UPLOAD_ENDPOINT", url),
            ],
        }
    }
}

/// How the command ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) exit: Option<i32>,
    pub(crate) signal: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    pub(crate) fn of(mut command: Command) -> Self {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().unwrap();
        let id = nix::unistd::Pid::from_raw(child.id().try_into().unwrap());
        let started = Stopwatch::start();
        let (done, waits) = std::sync::mpsc::channel::<()>();
        let killer = thread::spawn(move || {
            if waits.recv_timeout(PATIENCE).is_err() {
                let _ = nix::sys::signal::kill(id, nix::sys::signal::Signal::SIGKILL);
            }
        });
        let output = child.wait_with_output().unwrap();
        let _ = done.send(());
        killer.join().unwrap();
        let ran = Self::from(output);
        let took = started.elapsed();
        assert!(took < PATIENCE, "still there after {took:?}: {ran:#?}");
        ran
    }

    /// The ticket that was printed for people.
    pub(crate) fn ticket(&self) -> Option<&str> {
        let mut lines = self.stderr.lines();
        lines.find_map(|line| line.strip_prefix("ticket: "))
    }

    /// That it ended so, and said all of this.
    #[track_caller]
    pub(crate) fn ended(&self, exit: i32, said: &[&str]) -> &Self {
        assert_eq!(self.exit, Some(exit), "{self:#?}");
        for words in said {
            assert!(
                self.stderr.contains(words),
                "{words:?} is not said: {self:#?}"
            );
        }
        self
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        use std::os::unix::process::ExitStatusExt as _;
        Self {
            exit: output.status.code(),
            signal: output.status.signal(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// Answers the requests of a connection.
fn converse(
    mut stream: TcpStream,
    vendor: Vendor,
    here: &str,
    kept: &Mutex<Vec<Asked>>,
    script: &Script,
) -> std::io::Result<()> {
    let mut early = Vec::new();
    loop {
        let end = loop {
            if let Some(at) = find(&early, b"\r\n\r\n") {
                break at + 4;
            }
            let mut piece = [0; 65_536];
            match stream.read(&mut piece)? {
                0 => return Ok(()),
                length => early.extend_from_slice(&piece[..length]),
            }
        };
        let head = String::from_utf8_lossy(&early[..end]).into_owned();
        let mut body = early.split_off(end);
        let length = header(&head, "content-length").and_then(|text| text.parse().ok());
        let length: usize = length.unwrap_or(0);
        if header(&head, "expect").is_some() {
            stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        let is_chunked = header(&head, "transfer-encoding").is_some();
        while (is_chunked && find(&body, b"0\r\n\r\n").is_none())
            || (!is_chunked && body.len() < length)
        {
            let mut piece = [0; 65_536];
            match stream.read(&mut piece)? {
                0 => return Ok(()),
                length => body.extend_from_slice(&piece[..length]),
            }
        }
        early = if is_chunked {
            Vec::new()
        } else {
            body.split_off(length)
        };
        let step = step(vendor, &head);
        let asked = Asked { step, head, body };
        kept.lock().unwrap().push(asked.clone());
        let answer = script(&asked, here).unwrap_or_else(|| usual(vendor, &asked, here));
        stream.write_all(&answer)?;
        // What declares more than it brings is cut; what declares nothing goes on until the end.
        let answered = String::from_utf8_lossy(&answer);
        let declared = header(&answered, "content-length").and_then(|text| text.parse().ok());
        let whole = find(&answer, b"\r\n\r\n").map(|at| answer.len() - at - 4);
        if whole != declared {
            return Ok(());
        }
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

/// A header's value, whatever the case of its name.
pub(crate) fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let lines = head
        .split("\r\n")
        .skip(1)
        .take_while(|line| !line.is_empty());
    let mut pairs = lines.filter_map(|line| line.split_once(':'));
    pairs.find_map(|(key, value)| key.eq_ignore_ascii_case(name).then(|| value.trim()))
}

fn step(vendor: Vendor, head: &str) -> Step {
    let path = head.split(' ').nth(1).unwrap_or_default();
    let is_post = head.starts_with("POST");
    match vendor {
        _ if path.starts_with("/r") => Step::Result,
        Vendor::TextIn | Vendor::Ppj if is_post => Step::Submit,
        Vendor::Ppj if path.ends_with("/download") => Step::Result,
        Vendor::TextIn | Vendor::Ppj => Step::Poll,
        Vendor::MindShow if path.ends_with("/job/get") => Step::Poll,
        Vendor::MindShow => Step::Submit,
        Vendor::Tencent => match header(head, "x-tc-action") {
            Some(action) if action.starts_with("Describe") => Step::Poll,
            _ => Step::Submit,
        },
    }
}

/// What the vendor says when all is well.
pub(crate) fn usual(vendor: Vendor, asked: &Asked, here: &str) -> Answer {
    match (vendor, asked.step) {
        (Vendor::TextIn, Step::Submit) => json(format!(
            r#"{{"code":200,"message":"ok","data":{{"job_id":"{JOB}"}}}}"#
        )),
        (Vendor::TextIn, Step::Poll) => json(format!(
            r#"{{"code":200,"message":"ok","data":{{"job_id":"{JOB}","status":"completed","result_url":"{here}/r"}}}}"#
        )),
        (Vendor::TextIn, Step::Result) => json(r##"{"elements":[],"markdown":"# ok"}"##),
        (Vendor::Ppj, Step::Submit) => json(format!(r#"{{"token":"{JOB}","state":"waiting"}}"#)),
        (Vendor::Ppj, Step::Poll) => json(format!(r#"{{"token":"{JOB}","state":"completed"}}"#)),
        (Vendor::Ppj, Step::Result) => {
            let bundle = zip(0, b"hello", SUM);
            http(200, &["Content-Type: application/zip"], &bundle)
        }
        (Vendor::MindShow, Step::Submit) => json(format!(
            r#"{{"code":0,"info":"succ","request_id":"q","data":{{"job":{{"id":"{JOB}","status":"queued"}}}}}}"#
        )),
        (Vendor::MindShow, Step::Poll) => json(format!(
            r#"{{"code":0,"info":"succ","request_id":"q","data":{{"job":{{"id":"{JOB}","status":"succeeded","ppt_url":"{here}/r"}}}}}}"#
        )),
        (Vendor::MindShow, Step::Result) => http(200, &[], EMPTY_ZIP),
        (Vendor::Tencent, Step::Submit) => {
            let upload = header(&asked.head, "x-tc-action") == Some("UploadFiles");
            json(if upload {
                format!(
                    r#"{{"Response":{{"FileIds":["{JOB}"],"FileUrls":[""],"TotalCount":1,"RequestId":"q"}}}}"#
                )
            } else {
                format!(r#"{{"Response":{{"TaskId":"{JOB}","RequestId":"q"}}}}"#)
            })
        }
        (Vendor::Tencent, _) => json(format!(
            r#"{{"Response":{{"TaskStatus":8,"TaskMessage":"done","ResourceId":"{JOB}","RequestId":"q"}}}}"#
        )),
    }
}

/// One stored entry that says of itself that it was made by this method, and this sum of its bytes.
pub(crate) fn zip(method: u8, content: &[u8], crc: u32) -> Vec<u8> {
    let (name, size) = (
        b"index.html",
        u32::try_from(content.len()).unwrap().to_le_bytes(),
    );
    let common = [
        &[method, 0, 0, 0, 0x21, 0][..],
        &crc.to_le_bytes(),
        &size,
        &size,
        &[10, 0, 0, 0],
    ]
    .concat();
    let local = [&b"PK\x03\x04\x14\0\0\0"[..], &common, name, content].concat();
    let central = [&b"PK\x01\x02\x14\0\x14\0\0\0"[..], &common, &[0; 14], name].concat();
    let (at, length) = (
        u32::try_from(local.len()).unwrap(),
        u32::try_from(central.len()).unwrap(),
    );
    let end = [
        &b"PK\x05\x06\0\0\0\0\x01\0\x01\0"[..],
        &length.to_le_bytes(),
        &at.to_le_bytes(),
        &[0, 0],
    ]
    .concat();
    [local, central, end].concat()
}

/// Of `hello`.
pub(crate) const SUM: u32 = 0x3610_a686;

/// A zip without entries.
const EMPTY_ZIP: &[u8] = b"PK\x05\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
const PDF: &str = "%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n";
const MARKDOWN: &str = "# Plan\n\n## One\n\n### Goal\n\n#### Less\n\nText.\n";
