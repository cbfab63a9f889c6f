//! What the API, or something on the way to it, answers in raw bytes, and what the command makes of it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

pub(crate) const ID: &str = "0123456789abcdef0123456789abcdef";

/// One answer: status, further headers, body. None comes under the status 0; under 1 the connection is closed.
#[derive(Clone)]
pub(crate) struct Say(pub(crate) u16, pub(crate) &'static str, pub(crate) Vec<u8>);

pub(crate) fn json(body: impl Into<Vec<u8>>) -> Say {
    Say(200, "Content-Type: application/json", body.into())
}

pub(crate) fn accepted() -> Say {
    json(format!(
        r#"{{"code":200,"message":"ok","data":{{"job_id":"{ID}"}}}}"#
    ))
}

fn broken_off(body: String) -> Say {
    Say(200, "Content-Length: 999", body.into())
}

fn failed(beside: &str) -> Say {
    json(format!(
        r#"{{"code":200,"data":{{{beside},"job_id":"{ID}","status":"failed"}}}}"#
    ))
}

/// A TextIn that answers every submit, poll and result with the same bytes until it is told otherwise.
pub(crate) struct Vendor {
    pub(crate) address: String,
    answers: Arc<Mutex<[Say; 3]>>,
    submits: Arc<Mutex<Vec<Vec<u8>>>>,
    /// How many requests of any kind came.
    requests: Arc<AtomicUsize>,
    place: tempfile::TempDir,
}

pub(crate) struct Ran {
    pub(crate) exit: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Vendor {
    pub(crate) fn new(submit: Say, poll: Option<Say>) -> Self {
        Self::serving(submit, poll, json(r##"{"elements":[],"markdown":"# ok"}"##))
    }

    pub(crate) fn serving(submit: Say, poll: Option<Say>, result: Say) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let done = json(format!(
            r#"{{"code":200,"data":{{"job_id":"{ID}","status":"completed","result_url":"{address}/r"}}}}"#
        ));
        let poll = poll.unwrap_or(done);
        let answers = Arc::new(Mutex::new([submit, poll, result]));
        let said = Arc::clone(&answers);
        let submits = Arc::new(Mutex::new(Vec::new()));
        let requests = Arc::new(AtomicUsize::new(0));
        let (kept, counted) = (Arc::clone(&submits), Arc::clone(&requests));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let answers = Arc::clone(&said);
                let (kept, counted) = (Arc::clone(&kept), Arc::clone(&counted));
                std::thread::spawn(move || serve(stream, &answers, &kept, &counted));
            }
        });
        let place = tempfile::tempdir().unwrap();
        std::fs::write(place.path().join("a.pdf"), "%PDF-1.7 x").unwrap();
        Self {
            address,
            answers,
            submits,
            requests,
            place,
        }
    }

    /// From now on it answers polls, where one is given, and requests for the result with this.
    pub(crate) fn says(&self, poll: Option<Say>, result: Say) {
        let mut answers = self.answers.lock().unwrap();
        if let Some(poll) = poll {
            answers[1] = poll;
        }
        answers[2] = result;
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        self.run_by(Command::new(env!("CARGO_BIN_EXE_docjobs")), arguments)
    }

    /// The same by a program that runs the command.
    pub(crate) fn run_by(&self, mut program: Command, arguments: &[&str]) -> Ran {
        let output = program
            .args(arguments)
            .current_dir(self.place.path())
            .env_clear()
            .env("HOME", self.place.path())
            .env("DOCJOBS_LEDGER", self.path("ledger.db"))
            .env("DOCJOBS_TIME_SCALE", "20")
            .env("TEXTIN_SERVER_URL", &self.address)
            .env("TEXTIN_APP_ID", "a")
            .env("TEXTIN_SECRET_CODE", "secret-0001")
            .output()
            .unwrap();
        Ran {
            exit: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    pub(crate) fn parse(&self, further: &[&str]) -> Ran {
        let mut line = vec!["textin", "parse", "a.pdf", "-o", "r.md"];
        line.extend(further);
        if !further.contains(&"--deadline") {
            line.extend(["--deadline", "20s"]);
        }
        self.run(&line)
    }

    pub(crate) fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }

    pub(crate) fn submits(&self) -> Vec<Vec<u8>> {
        self.submits.lock().unwrap().clone()
    }
}

/// Answers the requests of one connection.
fn serve(
    stream: TcpStream,
    answers: &Mutex<[Say; 3]>,
    submits: &Mutex<Vec<Vec<u8>>>,
    requests: &AtomicUsize,
) {
    let mut writer = stream.try_clone().unwrap();
    let mut reader = BufReader::new(stream);
    loop {
        let (mut head, mut length, mut is_chunked) = (String::new(), 0, false);
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            let lower = line.to_lowercase();
            if let Some(value) = lower.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            is_chunked |= lower.starts_with("transfer-encoding:");
            if line == "\r\n" {
                break;
            }
            head.push_str(&line);
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        while is_chunked {
            let mut size = String::new();
            reader.read_line(&mut size).unwrap();
            let size = usize::from_str_radix(size.trim(), 16).unwrap();
            let mut piece = vec![0; size + 2];
            reader.read_exact(&mut piece).unwrap();
            body.extend_from_slice(&piece[..size]);
            is_chunked = size > 0;
        }
        requests.fetch_add(1, Ordering::Relaxed);
        let [submit, poll, result] = answers.lock().unwrap().clone();
        let Say(status, headers, answer) = if head.starts_with("POST") {
            submits.lock().unwrap().push(body);
            submit
        } else if head.contains("/async/") {
            poll
        } else {
            result
        };
        match status {
            0 => std::thread::park(),
            1 => return,
            _ => {}
        }
        let headers = if headers.is_empty() {
            String::new()
        } else {
            format!("{headers}\r\n")
        };
        // An answer that says another length breaks off.
        let is_cut = headers.contains("Content-Length");
        let length = if is_cut {
            String::new()
        } else {
            format!("Content-Length: {}\r\n", answer.len())
        };
        let head = format!("HTTP/1.1 {status} X\r\n{headers}{length}\r\n");
        let written = writer.write_all(&[head.as_bytes(), &answer].concat());
        if written.is_err() || is_cut {
            return;
        }
    }
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut coded = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff, 1];
    let len = u16::try_from(body.len()).unwrap();
    coded.extend(len.to_le_bytes());
    coded.extend((!len).to_le_bytes());
    coded.extend_from_slice(body);
    let mut crc = !0_u32;
    for byte in body {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 {
                crc >> 1 ^ 0xedb8_8320
            } else {
                crc >> 1
            };
        }
    }
    coded.extend((!crc).to_le_bytes());
    coded.extend(u32::from(len).to_le_bytes());
    coded
}

#[test]
fn a_job_id_that_is_shown_is_not_thrown_away() {
    let Say(_, _, plain) = accepted();
    let with = |before: &[u8], after: &[u8]| json([before, &plain, after].concat());
    let odd = format!(
        r#"{{"code":"200","data":{{"job_id":"x","job_id":"{ID}","n":NaN,"t":"\ud835"}},}}"#
    );
    let cut = format!(r#"{{"code":200,"data":{{"job_id":"{ID}","note":"cut he"#);
    for submit in [
        with(b"\xef\xbb\xbf", b""),
        with(b"<b>Warning</b>: x in y.php\n", b"\n<!-- z -->"),
        json(odd),
        json(cut),
        Say(200, "Content-Encoding: gzip", gzip(&plain)),
        Say(502, "", plain.clone()),
        broken_off(format!(
            r#"{{"code":200,"message":"ok","data":{{"job_id":"{ID}"}}, "x":"..."#
        )),
    ] {
        let vendor = Vendor::new(submit.clone(), None);
        let ran = vendor.parse(&[]);
        let sent = String::from_utf8_lossy(&submit.2).into_owned();
        assert_eq!(ran.exit, 0, "{sent}: {}", ran.stderr);
        assert_eq!(
            std::fs::read_to_string(vendor.path("r.md")).unwrap(),
            "# ok"
        );
        assert_eq!(vendor.submits().len(), 1);
    }
}

#[test]
fn a_job_id_that_does_not_say_whether_it_was_accepted_is_named_and_kept() {
    let beside_a_failure =
        format!(r#"{{"code":40004,"message":"Parameter error","data":{{"job_id":"{ID}"}}}}"#);
    let before_the_code = format!(r#"{{"data":{{"job_id":"{ID}"}},"mess"#);
    for submit in [json(beside_a_failure), broken_off(before_the_code)] {
        let sent = String::from_utf8_lossy(&submit.2).into_owned();
        let vendor = Vendor::new(submit, None);
        for further in [&[][..], &["--json"]] {
            let ran = vendor.parse(further);
            assert_eq!(ran.exit, 5, "{sent}: {}", ran.stderr);
            let said = format!("{}{}", ran.stdout, ran.stderr);
            assert!(said.contains(ID), "{sent}: {said}");
        }
        assert_eq!(vendor.submits().len(), 1, "{sent}");
        let jobs = vendor.run(&["jobs", "--json"]).stdout;
        let job: serde_json::Value = serde_json::from_str(&jobs).unwrap();
        let job = job["id"].as_str().unwrap();
        let shown = vendor.run(&["show", job, "--json"]).stdout;
        assert!(shown.contains(ID), "{shown}");
        let adopted = vendor.run(&["resolve", job, "--adopt", ID]);
        assert_eq!(adopted.exit, 0, "{}", adopted.stderr);
        assert_eq!(vendor.parse(&[]).exit, 0);
        assert_eq!(vendor.submits().len(), 1, "{sent}");
    }
}

#[test]
fn an_end_is_seen_whatever_the_code_beside_it() {
    let poll = format!(
        r#"{{"code":500,"message":"x","data":{{"job_id":"{ID}","status":"failed","message":"scan unreadable"}}}}"#
    );
    let ran = Vendor::new(accepted(), Some(json(poll))).parse(&[]);
    assert_eq!(ran.exit, 3, "{}", ran.stderr);
    assert!(ran.stderr.contains("scan unreadable"), "{}", ran.stderr);
}

#[test]
fn a_poll_without_an_answer_names_the_job_and_the_address() {
    let vendor = Vendor::new(accepted(), Some(Say(0, "", Vec::new())));
    let ran = vendor.parse(&["--deadline", "60s"]);
    assert_eq!(ran.exit, 4, "{}", ran.stderr);
    let address = vendor.address.trim_start_matches("http://");
    let said = format!("textin poll of job {ID} at {address}: no answer in time");
    assert!(ran.stderr.contains(&said), "{}", ran.stderr);
}

#[test]
fn what_was_not_understood_is_shown_and_kept() {
    let answer = format!(r#"{{"kode":200,"daten":{{"auftrag":"{ID}"}},"key":"secret-0001"}}"#);
    let vendor = Vendor::new(json(answer), None);
    let ran = vendor.parse(&["--json"]);
    assert_eq!(ran.exit, 5, "{}", ran.stderr);
    let said = format!("{}{}", ran.stdout, ran.stderr);
    assert!(said.contains(ID) && !said.contains("secret-0001"), "{said}");
    assert_eq!(vendor.submits().len(), 1);
}

#[test]
fn an_end_is_seen_whatever_stands_beside_it() {
    for (beside, reason) in [
        (r#""message":"bad \ud835 glyph""#, "bad \u{fffd} glyph"),
        ("\"message\":\"bell\u{7}\",\"pages\":NaN", "bell"),
        (r#""message":40422,"status":"in_progress""#, "40422"),
        (r#""message":["坏", "页"]"#, r#"["坏","页"]"#),
    ] {
        let vendor = Vendor::new(accepted(), Some(failed(beside)));
        let ran = vendor.parse(&[]);
        assert_eq!(ran.exit, 3, "{beside}: {}", ran.stderr);
        assert!(ran.stderr.contains(reason), "{}", ran.stderr);
    }
}

#[test]
fn what_was_answered_to_a_poll_and_not_understood_is_kept_with_the_job() {
    let odd = r#"{"kode":200,"daten":{"zustand":"B-4711"},"key":"secret-0001"}"#;
    let vendor = Vendor::new(accepted(), Some(json(odd)));
    let ran = vendor.parse(&["--deadline", "12s"]);
    assert_eq!(ran.exit, 4, "{}", ran.stderr);
    for ran in [
        vendor.run(&["show", ID]),
        vendor.run(&["show", ID, "--json"]),
    ] {
        assert!(ran.stdout.contains("B-4711"), "{}", ran.stdout);
        assert!(!ran.stdout.contains("secret-0001"), "{}", ran.stdout);
        let times = ran.stdout.matches("the answer begins").count();
        assert!(times >= 1, "{}", ran.stdout);
    }
    let history = vendor.run(&["show", ID]).stdout;
    assert_eq!(history.matches("  not_understood ").count(), 1, "{history}");
    let jobs = vendor.run(&["jobs", "--json"]).stdout;
    assert!(jobs.contains("B-4711"), "{jobs}");
}

#[test]
fn the_same_input_attaches_to_a_job_that_failed_until_it_is_bought_again() {
    let vendor = Vendor::new(accepted(), Some(failed(r#""message":"page 3 is broken""#)));
    let first = vendor.parse(&[]);
    assert_eq!(first.exit, 3, "{}", first.stderr);
    let asked = vendor.requests();
    for further in [&[][..], &["--json"], &["--no-wait"]] {
        let ran = vendor.parse(further);
        assert_eq!(ran.exit, 3, "{}", ran.stderr);
        let said = format!("{}{}", ran.stdout, ran.stderr);
        assert!(
            said.contains("page 3 is broken") && said.contains("--again"),
            "{said}"
        );
    }
    let elsewhere = vendor.run(&["textin", "parse", "a.pdf", "-o", "s.md"]);
    assert_eq!(elsewhere.exit, 3, "{}", elsewhere.stderr);
    assert_eq!((vendor.requests(), vendor.submits().len()), (asked, 1));

    assert_eq!(vendor.parse(&["--again"]).exit, 3);
    assert_eq!(vendor.submits().len(), 2);
    assert_eq!(vendor.parse(&[]).exit, 3);
    assert_eq!(vendor.submits().len(), 2);
}

#[test]
fn the_same_input_is_new_after_a_refusal() {
    let refused = json(r#"{"code":40423,"message":"password wrong"}"#);
    let vendor = Vendor::new(refused, None);
    for submits in 1..=2 {
        let ran = vendor.parse(&[]);
        assert_eq!(ran.exit, 2, "{}", ran.stderr);
        assert_eq!(vendor.submits().len(), submits);
    }
}

#[test]
fn kept_bytes_are_delivered_and_not_fetched_a_third_time() {
    let broken = r##"{"elements":[],"markdown":"# o"##;
    for door in ["again", "wait", "resume", "elsewhere"] {
        let vendor = Vendor::serving(accepted(), None, json(broken));
        let ran = vendor.parse(&[]);
        assert_eq!(ran.exit, 4, "{}", ran.stderr);
        let kept = std::fs::read_to_string(vendor.path("r.md.unverified")).unwrap();
        assert_eq!(kept, broken);
        let asked = vendor.requests();
        let (line, name) = match door {
            "again" => (&["textin", "parse", "a.pdf", "-o", "r.md"][..], "r.md"),
            "elsewhere" => (&["textin", "parse", "a.pdf", "-o", "s.md"][..], "s.md"),
            "wait" => (&["wait", ID][..], "r.md"),
            _ => (&["resume", ID][..], "r.md"),
        };
        let refused = vendor.run(line);
        assert_eq!(refused.exit, 4, "{door}: {}", refused.stderr);
        let ran = vendor.run(&[line, &["--accept-unverified"]].concat());
        assert_eq!(ran.exit, 0, "{door}: {}", ran.stderr);
        let delivered = std::fs::read_to_string(vendor.path(name)).unwrap();
        assert_eq!(delivered, broken, "{door}");
        assert_eq!(vendor.requests(), asked, "{door}");
        let jobs = vendor.run(&["jobs", "--json"]).stdout;
        assert!(jobs.contains(r#""stage":"completed""#), "{door}: {jobs}");
    }
}

#[test]
fn a_result_past_the_limit_of_the_file_size_parks_its_job() {
    let text = "y".repeat(6 << 20);
    let result = format!(r#"{{"elements":[],"markdown":"{text}"}}"#);
    let vendor = Vendor::serving(accepted(), None, json(result));
    std::fs::create_dir(vendor.path("in")).unwrap();
    std::fs::write(vendor.path("in/b.pdf"), "%PDF-1.7 y").unwrap();
    // Shells count in units of 512 or 1024 bytes.
    let limited = |arguments: &[&str]| {
        let mut shell = Command::new("sh");
        shell
            .args(["-c", "ulimit -f 4096 && exec \"$@\"", "sh"])
            .arg(env!("CARGO_BIN_EXE_docjobs"));
        vendor.run_by(shell, arguments)
    };
    let single = ["textin", "parse", "a.pdf", "-o", "r.md"];
    let batch = ["textin", "parse", "in", "--out", "out"];
    for (command, place) in [(&single, "r.md"), (&batch, "out/b.md")] {
        let ran = limited(command);
        assert_eq!(ran.exit, 4, "{command:?}: {}", ran.stderr);
        assert!(ran.stderr.contains("ulimit -f"), "{}", ran.stderr);
        assert!(!vendor.path(place).exists(), "{}", ran.stderr);
        let ran = vendor.run(command);
        assert_eq!(ran.exit, 0, "{command:?}: {}", ran.stderr);
        let size = std::fs::metadata(vendor.path(place)).unwrap().len();
        assert_eq!(size, 6 << 20);
    }
    assert_eq!(vendor.submits().len(), 2);
}

#[test]
fn what_something_on_the_way_says_is_shown_and_is_not_the_vendors_word() {
    const PORTAL: &str = "Location: http://portal.corp.example/login?s=1";
    const PAGE: &str = "<html>blocked by Corp WAF policy 4711</html>";
    let page = |status| Say(status, "Content-Type: text/html", PAGE.into());
    let redirect = |status, to| Say(status, to, Vec::new());
    let words = "blocked by Corp WAF policy 4711";
    for (submit, exit, shown) in [
        (page(403), 8, words),
        (page(401), 8, words),
        (page(404), 8, words),
        (page(413), 8, words),
        (page(500), 5, words),
        (page(200), 5, words),
        (redirect(302, PORTAL), 5, "http://portal.corp.example/login"),
        (redirect(302, "Location: /elsewhere"), 5, "/elsewhere"),
        (redirect(303, PORTAL), 5, "http://portal.corp.example/login"),
        (redirect(301, PORTAL), 8, "http://portal.corp.example/login"),
        (redirect(307, "Location: /elsewhere"), 8, "/elsewhere"),
        (redirect(308, PORTAL), 8, "http://portal.corp.example/login"),
        (
            Say(403, "", br#"{"message":"Forbidden"}"#.to_vec()),
            8,
            "Forbidden",
        ),
        (json(r#"{"code":40101,"message":"no"}"#), 6, "no"),
        (json(r#"{"code":40003,"message":"no"}"#), 7, "no"),
    ] {
        let vendor = Vendor::new(submit.clone(), None);
        let ran = vendor.parse(&[]);
        let Say(status, _, body) = submit;
        let sent = String::from_utf8_lossy(&body).into_owned();
        assert_eq!(ran.exit, exit, "{status} {sent}: {}", ran.stderr);
        assert!(ran.stderr.contains(shown), "{status}: {}", ran.stderr);
        assert!(!ran.stderr.contains("s=1"), "{}", ran.stderr);
        let address = vendor.address.trim_start_matches("http://");
        assert!(
            ran.stderr.contains(address) || exit == 6 || exit == 7,
            "{}",
            ran.stderr
        );
        assert_eq!(vendor.submits().len(), 1);
    }
    // After acceptance the job goes on, and what was answered is kept with it.
    for (poll, shown) in [
        (page(403), words),
        (redirect(302, PORTAL), "portal.corp.example"),
        (redirect(307, PORTAL), "portal.corp.example"),
    ] {
        let vendor = Vendor::new(accepted(), Some(poll));
        let ran = vendor.parse(&["--deadline", "12s"]);
        assert_eq!(ran.exit, 4, "{}", ran.stderr);
        assert!(
            ran.stderr.contains(shown) && ran.stderr.contains("ticket: "),
            "{}",
            ran.stderr
        );
        let history = vendor.run(&["show", ID]).stdout;
        assert!(shown != words || history.contains(words), "{history}");
    }
}

#[test]
fn the_vendors_words_outrank_advice() {
    for (code, message, advice) in [
        (40422, "password required", None),
        (40426, "processing failure", None),
        (40423, "password wrong", Some("--password-file")),
    ] {
        let body = format!(r#"{{"code":{code},"message":"{message}"}}"#);
        let vendor = Vendor::new(json(body), None);
        let ran = vendor.parse(&[]);
        assert_eq!(ran.exit, 2, "{}", ran.stderr);
        assert!(ran.stderr.contains(message) && !ran.stderr.contains("damaged"));
        assert!(
            advice.is_none_or(|advice| ran.stderr.contains(advice)),
            "{}",
            ran.stderr
        );
    }
}

#[test]
fn a_password_is_sent_and_stands_nowhere_else() {
    let vendor = Vendor::new(accepted(), None);
    std::fs::write(vendor.path("pw"), "hunter2\n").unwrap();
    std::fs::write(vendor.path("pw-2"), "letmein\n").unwrap();
    let ran = vendor.parse(&["--password-file", "pw", "-v"]);
    assert_eq!(ran.exit, 0, "{}", ran.stderr);
    let sent = String::from_utf8_lossy(&vendor.submits()[0]).into_owned();
    assert!(sent.contains(r#""password":"hunter2""#), "{sent}");
    let kept = std::fs::read(vendor.path("ledger.db")).unwrap();
    let wal = std::fs::read(vendor.path("ledger.db-wal")).unwrap_or_default();
    let options = [kept, wal].concat();
    let options = String::from_utf8_lossy(&options).into_owned();
    assert!(options.contains("password_file"), "the path is kept");
    assert!(!options.contains("hunter2") && !ran.stderr.contains("hunter2"));
    // Another file is another try; the same one is not.
    vendor.run(&[
        "textin",
        "parse",
        "a.pdf",
        "-o",
        "s.md",
        "--password-file",
        "pw",
    ]);
    assert_eq!(vendor.submits().len(), 1);
    vendor.run(&[
        "textin",
        "parse",
        "a.pdf",
        "-o",
        "t.md",
        "--password-file",
        "pw-2",
    ]);
    assert_eq!(vendor.submits().len(), 2);
    let none = vendor.parse(&["--password-file", "none"]);
    assert_eq!(
        (none.exit, vendor.submits().len()),
        (2, 2),
        "{}",
        none.stderr
    );
}

#[test]
fn of_an_unusable_address_no_password_is_shown() {
    let vendor = Vendor::new(accepted(), None);
    for address in [
        "https://user:s3cr3t@h:99999",
        "ftp://user:s3cr3t@h",
        "https://user:s3cr3t@h",
        "s3cr3t",
    ] {
        for arguments in [&["textin", "parse", "a.pdf"][..], &["doctor", "--json"]] {
            let output = Command::new(env!("CARGO_BIN_EXE_docjobs"))
                .args(arguments)
                .current_dir(vendor.place.path())
                .env_clear()
                .env("DOCJOBS_LEDGER", vendor.path("ledger.db"))
                .env("TEXTIN_SERVER_URL", address)
                .env("TEXTIN_APP_ID", "app-0001")
                .env("TEXTIN_SECRET_CODE", "secret-0001")
                .output()
                .unwrap();
            let said = [output.stdout, output.stderr].concat();
            let said = String::from_utf8_lossy(&said).into_owned();
            assert_eq!(output.status.code(), Some(2), "{said}");
            assert!(!said.contains("s3cr3t"), "{said}");
        }
    }
}

#[test]
fn a_connection_that_fails_says_where_and_why() {
    let closed = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = closed.local_addr().unwrap().to_string();
    drop(closed);
    let vendor = Vendor::new(accepted(), None);
    for arguments in [&["textin", "parse", "a.pdf", "-o", "r.md"][..], &["doctor"]] {
        let output = Command::new(env!("CARGO_BIN_EXE_docjobs"))
            .args(arguments)
            .current_dir(vendor.place.path())
            .env_clear()
            .env("DOCJOBS_LEDGER", vendor.path("ledger.db"))
            .env("DOCJOBS_TIME_SCALE", "50")
            .env("TEXTIN_SERVER_URL", format!("http://{address}"))
            .env("TEXTIN_APP_ID", "app-0001")
            .env("TEXTIN_SECRET_CODE", "secret-0001")
            .output()
            .unwrap();
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said).into_owned();
        assert_eq!(output.status.code(), Some(8), "{said}");
        assert!(
            said.contains(&address) && said.contains("refused"),
            "{said}"
        );
        assert!(!said.contains("HTTPS_PROXY"), "{said}");
    }
}

#[test]
fn a_certificate_file_or_a_proxy_that_cannot_work_is_named_before_anything_is_sent() {
    let vendor = Vendor::new(accepted(), None);
    std::fs::write(vendor.path("ca.pem"), "no certificate").unwrap();
    std::fs::write(
        vendor.path("junk.pem"),
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    )
    .unwrap();
    let missing = vendor.path("none.pem");
    for (name, value) in [
        ("SSL_CERT_FILE", vendor.path("ca.pem")),
        ("SSL_CERT_FILE", vendor.path("junk.pem")),
        ("SSL_CERT_FILE", missing),
        ("HTTPS_PROXY", PathBuf::from("http://user:s3cr3t@h:99999")),
        ("HTTPS_PROXY", PathBuf::from("ftp://user:s3cr3t@h:21")),
        ("ALL_PROXY", PathBuf::from("socks5h://user:s3cr3t@h:1")),
        ("ALL_PROXY", PathBuf::from("socks4a://user:s3cr3t@h:1")),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_docjobs"))
            .args(["textin", "parse", "a.pdf", "-o", "r.md"])
            .current_dir(vendor.place.path())
            .env_clear()
            .env("DOCJOBS_LEDGER", vendor.path("ledger.db"))
            .env("TEXTIN_SERVER_URL", "https://api.invalid")
            .env("TEXTIN_APP_ID", "app-0001")
            .env("TEXTIN_SECRET_CODE", "secret-0001")
            .env(name, &value)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(name) && !said.contains("s3cr3t"), "{said}");
    }
}

#[test]
fn a_proxy_that_refuses_is_told_from_one_that_wants_a_login() {
    for (answer, said, unsaid) in [
        (
            "HTTP/1.1 403 Forbidden by squid\r\n\r\n",
            "NO_PROXY",
            "password",
        ),
        (
            "HTTP/1.1 407 Proxy Authentication Required\r\n\r\n",
            "password",
            "NO_PROXY",
        ),
    ] {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let mut head = [0; 4096];
                drop(stream.read(&mut head));
                drop(stream.write_all(answer.as_bytes()));
            }
        });
        let vendor = Vendor::new(accepted(), None);
        let output = Command::new(env!("CARGO_BIN_EXE_docjobs"))
            .args(["textin", "parse", "a.pdf", "-o", "r.md", "--deadline", "2s"])
            .current_dir(vendor.place.path())
            .env_clear()
            .env("DOCJOBS_LEDGER", vendor.path("ledger.db"))
            .env("TEXTIN_SERVER_URL", "https://api.invalid")
            .env("TEXTIN_APP_ID", "app-0001")
            .env("TEXTIN_SECRET_CODE", "secret-0001")
            .env("HTTPS_PROXY", format!("http://user:s3cr3t@{address}"))
            .output()
            .unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(8), "{stderr}");
        assert!(stderr.contains(&address.to_string()), "{stderr}");
        assert!(
            stderr.contains(said) && !stderr.contains(unsaid),
            "{stderr}"
        );
        assert!(!stderr.contains("s3cr3t"), "{stderr}");
    }
}
