//! No credential leaves, whatever is done and whatever goes wrong: not in what is printed, logged, written down or sent to
//! anybody but the API that it is for.

mod calls;
mod doors;
pub(crate) mod marks;
mod witness;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use jobs_core::clock::SystemClock;
use jobs_ledger::Ledger;
use serde_json::Value;
use tempfile::TempDir;
use vendor_sim::{Fault, RecordedRequest, Simulators, Times};

use self::marks::{Mark, Search, marks, percent, simulators};
use self::witness::Stranger;
use crate::mindshow::MARKDOWN;
use crate::stage::{Ran, run};

/// A vendor that repeats a credential in its answer, as it is and as an address holds it.
fn echo(mark: &str) -> String {
    format!(
        "no such key {mark}, see https://help/?key={}",
        percent(mark)
    )
}

/// The commands, each with everything that it printed.
struct Desk {
    simulators: Simulators,
    folder: TempDir,
    ledger: TempDir,
    printed: Vec<(String, Ran)>,
}

impl Desk {
    async fn open() -> Self {
        let desk = Self {
            simulators: simulators().await,
            folder: tempfile::tempdir().unwrap(),
            ledger: tempfile::tempdir().unwrap(),
            printed: Vec::new(),
        };
        std::fs::write(desk.folder.path().join("plan.md"), MARKDOWN).unwrap();
        std::fs::write(desk.folder.path().join("notes.txt"), "some text").unwrap();
        desk
    }

    async fn run(&mut self, line: &str) -> &Ran {
        self.run_with(line, &[]).await
    }

    /// Runs a command at the highest level of detail, with further variables; an empty one is taken away.
    async fn run_with(&mut self, line: &str, variables: &[(&str, &str)]) -> &Ran {
        let mut env = self.simulators.env();
        let ledger = self.ledger.path().join("ledger.db");
        let state = self.folder.path().join("state");
        for (name, value) in [
            ("DOCJOBS_LEDGER", ledger.to_str().unwrap()),
            ("WECOM_PRINTER_STATE", state.to_str().unwrap()),
            ("PATH", &std::env::var("PATH").unwrap()),
            // For whoever reads it: the levels are set by the options.
            ("RUST_LOG", "trace"),
            ("RUST_BACKTRACE", "1"),
        ]
        .iter()
        .chain(variables)
        {
            env.retain(|(known, _)| known != name);
            env.push(((*name).to_owned(), (*value).to_owned()));
        }
        let words: Vec<&str> = line.split(' ').chain(["-vvv"]).collect();
        let ran = run(self.folder.path(), &words, &env).await;
        self.printed.push((line.to_owned(), ran));
        &self.printed.last().unwrap().1
    }

    async fn good(&mut self, line: &str) -> &Ran {
        let ran = self.run(line).await;
        assert_eq!(ran.exit, 0, "{line}: {}", end(ran));
        ran
    }

    async fn bad(&mut self, line: &str, exit: i32) {
        let ran = self.run(line).await;
        assert_eq!(ran.exit, exit, "{line}: {}", end(ran));
    }
}

/// The last of the many lines.
fn end(ran: &Ran) -> String {
    let lines: Vec<&str> = ran.stderr.lines().collect();
    lines[lines.len().saturating_sub(5)..].join("\n")
}

fn refusal(code: impl Into<Value>, mark: &str) -> Fault {
    Fault::Code {
        code: code.into(),
        message: Some(echo(mark)),
        after_commit: false,
    }
}

fn page(status: u16, mark: &str) -> Fault {
    Fault::Status {
        status,
        body: format!("<html>{}</html>", echo(mark)),
        headers: vec![("x-request-id".to_owned(), echo(mark))],
        after_commit: false,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_command_lets_a_credential_out() {
    let mut desk = Desk::open().await;
    let ledger = desk.ledger.path().join("ledger.db");
    // Held open, so that what is written ahead stays on the disk to be searched.
    let open = Ledger::open(ledger.to_str().unwrap(), SystemClock::shared())
        .await
        .unwrap();

    every_command(&mut desk).await;
    every_refusal(&mut desk).await;
    through_a_proxy(&mut desk).await;

    let secret = activation_secret(desk.folder.path());
    let all = marks().into_iter().map(|mark| mark.text);
    let mut search = Search::for_marks(all.chain(secret.clone()));
    for (line, ran) in &desk.printed {
        search.through(&format!("stdout of {line}"), ran.stdout.as_bytes());
        search.through(&format!("stderr of {line}"), ran.stderr.as_bytes());
    }
    let state = state_file(desk.folder.path());
    search.through_folder(desk.folder.path(), &[state]);
    search.through_folder(desk.ledger.path(), &[]);
    drop(open);
    search.end(1 << 20);
    assert!(!secret.is_empty(), "the printer kept no secret of its own");
    told_to_nobody_else(&desk.simulators, &secret);
}

async fn every_command(desk: &mut Desk) {
    desk.good("doctor").await;
    desk.good("textin parse notes.txt -o notes.md").await;
    let ran = desk.good("textin parse notes.txt --again --no-wait").await;
    let ticket = ran.stdout.trim().to_owned();
    desk.good(&format!("wait {ticket} -o again.md")).await;
    desk.good("--json textin parse notes.txt --again --format json")
        .await;
    desk.good("mindshow deck --markdown plan.md -o plan.pptx")
        .await;
    desk.good("mindshow deck --topic Better -o topic.pptx")
        .await;
    let deck = desk.simulators.mindshow().jobs()[0].id.clone();
    desk.good(&format!("mindshow pdf {deck} -o plan.pdf")).await;
    desk.good("ppj convert plan.pptx -o plan.zip").await;
    let signed = desk.simulators.ppj().signed_env();
    let mut signed: Vec<(&str, &str)> = signed
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    signed.push(("PPJ_ACCESS_KEY", ""));
    let ran = desk.run_with("ppj convert plan.pptx -o signed.zip", &signed);
    let ran = ran.await;
    assert_eq!(ran.exit, 0, "{}", end(ran));
    desk.good("tencent-ess convert notes.txt").await;

    for name in ["one.pdf", "two.pdf"] {
        desk.simulators.wecom().add_job(job(name));
    }
    desk.good("printer list --json").await;
    // Whatever prints is a stranger.
    let script = desk.folder.path().join("print.sh");
    std::fs::write(script, "env >> printed.txt\n").unwrap();
    // A tab, because the words of a line are parted at blanks here.
    desk.good("printer run --spool spool --once --exec sh\tprint.sh")
        .await;
    let printed = std::fs::read_to_string(desk.folder.path().join("printed.txt")).unwrap();
    assert_eq!(printed.matches("DOCJOBS_JOB_ID=").count(), 2, "{printed}");

    // One whose answer is lost, to be decided about.
    let lost = Fault::DropAfterCommit { reset: true };
    desk.simulators.textin().set_fault("submit", lost);
    desk.bad("textin parse notes.txt --again", 5).await;
    let ran = desk.good("jobs --json").await;
    let unknown = ran
        .stdout
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .find(|job| job["stage"] == "in_doubt")
        .unwrap();
    let id = unknown["id"].as_str().unwrap().to_owned();
    desk.good("jobs").await;
    desk.good(&format!("show {id}")).await;
    desk.good(&format!("resolve {id} --abandon")).await;
    desk.good("resume").await;
    desk.good("demo --out demo").await;
}

/// Every vendor refuses and repeats the credentials, in its own words and in those of a gateway.
async fn every_refusal(desk: &mut Desk) {
    let text = |n: usize| marks()[n].text.clone();
    let sims = &desk.simulators;
    let mut lines = Vec::new();
    for n in [0, 1] {
        sims.textin().set_fault("submit", refusal(40102, &text(n)));
        lines.push("textin parse notes.txt --again");
        sims.textin().set_fault("submit", page(502, &text(n)));
        lines.push("textin parse notes.txt --again");
        let body = Some(echo(&text(n)));
        sims.textin().set_fault("submit", Fault::NonJson { body });
        lines.push("--json textin parse notes.txt --again");
    }
    sims.ppj().set_fault("create", page(403, &text(2)));
    lines.push("ppj convert plan.pptx --again");
    sims.ppj().set_fault("create", page(503, &text(2)));
    lines.push("ppj convert plan.pptx --again --deadline 20s");
    sims.mindshow()
        .set_fault("ppt_create_by_markdown", refusal(1001, &text(5)));
    lines.push("mindshow deck --markdown plan.md --again");
    sims.mindshow()
        .set_fault("ppt_create_by_markdown", page(401, &text(5)));
    lines.push("--json mindshow deck --markdown plan.md --again");
    for n in [6, 7, 8] {
        let fault = refusal("AuthFailure.SignatureFailure", &text(n));
        sims.tencent().set_fault("create", fault);
        lines.push("tencent-ess convert notes.txt --again");
    }
    let fault = page(502, &text(8));
    sims.tencent().set_fault_times("upload", fault, Times::N(2));
    lines.push("tencent-ess convert notes.txt --again");
    for line in lines {
        let ran = desk.run(line).await;
        assert_ne!(ran.exit, 0, "{line}");
        // The vendor's words are passed on, without the credential in them.
        let told = ran.stderr.contains("no such key ***") || !ran.stderr.contains("no such key");
        assert!(told, "{line}: {}", end(ran));
    }
    let fault = refusal(600_011, &text(9));
    desk.simulators
        .wecom()
        .set_fault_times("register", fault, Times::N(3));
    desk.run("printer list --deadline 30s").await;
    // A ledger behind a password.
    let url = format!("postgres://me:{}@127.0.0.1:1/db", percent(&text(1)));
    let ran = desk.run_with("jobs", &[("DOCJOBS_LEDGER", &url)]).await;
    assert_ne!(ran.exit, 0);
    desk.run(&format!("jobs --ledger {url}")).await;
}

/// A proxy of the environment is told the name of the API and its own password, and nobody is told that.
async fn through_a_proxy(desk: &mut Desk) {
    let stranger = Stranger::listen("502 No").await;
    let password = percent(&marks()[4].text);
    let proxy = format!("http://me:{password}@{}", stranger.address);
    let variables = [
        ("TEXTIN_SERVER_URL", "https://api.example.invalid"),
        ("DOCJOBS_TIME_SCALE", ""),
        ("HTTPS_PROXY", proxy.as_str()),
        ("PPJ_ACCESS_KEY", ""),
        ("PPJ_APP_ID", ""),
        ("PPJ_APP_SECRET", ""),
        ("MINDSHOW_API_KEY", ""),
        ("TENCENTCLOUD_SECRET_ID", ""),
    ];
    let ran = desk.run_with("doctor", &variables).await;
    assert_ne!(ran.exit, 0);
    let told = stranger.told();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].starts_with("CONNECT api.example.invalid:443 "));
    let credentials = marks().into_iter().filter(|mark| mark.vendor == "textin");
    let mut search = Search::for_marks(credentials.map(|mark| mark.text));
    search.through("a proxy", told[0].as_bytes());
    search.end(20);
}

fn job(name: &str) -> vendor_sim::wecom::NewJob {
    vendor_sim::wecom::NewJob {
        userid: "u1".to_owned(),
        doc_name: name.to_owned(),
        file: vendor_sim::wecom::JobFile::Pdf {
            bytes: vendor_sim::pdf::of_lines(&[name]),
            pages: 1,
        },
        settings: vec![],
        waits_for_scan: false,
    }
}

/// The one file that may hold a secret, which nobody else may read.
fn state_file(folder: &Path) -> std::path::PathBuf {
    let mut files = std::fs::read_dir(folder.join("state"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "json")
        });
    let file = files.next().unwrap();
    assert_eq!(files.next(), None);
    let mode = std::fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    file
}

/// What the cloud gave the printer.
fn activation_secret(folder: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(state_file(folder)).unwrap();
    let record: Value = serde_json::from_str(&text).unwrap();
    ["secret", "active_code"]
        .iter()
        .filter_map(|key| record[key].as_str())
        .map(str::to_owned)
        .collect()
}

/// Looks through every request that reached a simulator: an API sees its own credentials, and those that only sign are seen
/// by nobody. Result hosts see none, and no body either.
fn told_to_nobody_else(simulators: &Simulators, activation: &[String]) {
    let mut results = 0;
    let requests: Vec<(&str, RecordedRequest)> = [
        ("textin", simulators.textin().requests()),
        ("ppj", simulators.ppj().requests()),
        ("mindshow", simulators.mindshow().requests()),
        ("tencent", simulators.tencent().requests()),
        ("wecom", simulators.wecom().requests()),
    ]
    .into_iter()
    .flat_map(|(vendor, requests)| requests.into_iter().map(move |request| (vendor, request)))
    .collect();
    for (vendor, request) in &requests {
        let is_api = !matches!(request.origin, "textin-result" | "mindshow-files");
        let others = |mark: &Mark| !(is_api && mark.is_sent && mark.vendor == *vendor);
        let others = marks().into_iter().filter(others).map(|mark| mark.text);
        let mut search = Search::for_marks(others.chain(activation.iter().cloned()));
        search.through(
            &format!("{} {}", request.origin, request.path),
            format!("{} {} {:?}", request.path, request.query, request.headers).as_bytes(),
        );
        search.end(1);
        // Nor does any credential stand in an address, where every gateway on the way writes it down.
        let mut search = Search::for_marks(marks().into_iter().map(|mark| mark.text));
        let address = format!("{}?{}", request.path, request.query);
        search.through(request.origin, address.as_bytes());
        search.end(1);
        if !is_api {
            assert_eq!((request.method.as_str(), request.body_bytes), ("GET", 0));
            results += 1;
        }
    }
    assert!(results >= 4, "only {results} results were fetched");
    let commands = simulators.wecom().commands();
    let signing = marks()
        .into_iter()
        .filter(|mark| mark.vendor != "wecom" || !mark.is_sent);
    let mut search = Search::for_marks(signing.map(|mark| mark.text));
    for command in &commands {
        search.through(&command.cmd, command.body.to_string().as_bytes());
    }
    search.end(100);
}
