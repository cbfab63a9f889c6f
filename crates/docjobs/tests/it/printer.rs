//! The printer: every job printed at most once and reported, whatever happens to the process that prints it.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use jobs_core::clock::{Clock as _, SystemClock};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use vendor_sim::fault::{Fault, OddText, Times};
use vendor_sim::wecom::{HeaderMode, JobView, NewJob, ReceivedCommand, WeComHandle};
use vendor_sim::{SimOptions, Simulators};

use crate::stage::Ran;

/// Slower than elsewhere: the device's shortest time-outs must still be longer than a busy machine's pauses.
const SPEED: f64 = 20.0;

struct Office {
    simulators: Simulators,
    folder: TempDir,
}

impl Office {
    async fn open() -> Self {
        Self::at_speed(SPEED).await
    }

    async fn at_speed(speed: f64) -> Self {
        let options = SimOptions {
            speed,
            ..SimOptions::default()
        };
        Self {
            simulators: Simulators::start(options).await.unwrap(),
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn cloud(&self) -> &WeComHandle {
        self.simulators.wecom()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_docjobs"));
        command
            .args(args)
            .current_dir(self.folder.path())
            .env_clear()
            .env("HOME", self.folder.path())
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("DOCJOBS_LEDGER", self.path("ledger.db"))
            .env("WECOM_PRINTER_STATE", self.path("state"))
            .envs(self.simulators.env())
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }

    async fn run(&self, args: &[&str]) -> Ran {
        let output = self.command(args).output().await.unwrap();
        Ran {
            exit: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// `printer run --once` with further words.
    async fn once(&self, more: &[&str]) -> Ran {
        let mut args = vec!["printer", "run", "--spool", "spool", "--once"];
        args.extend(more);
        self.run(&args).await
    }

    /// A script that stands for a print command.
    fn script(&self, text: &str) -> String {
        let path = self.path("print.sh");
        std::fs::write(&path, text).unwrap();
        format!("sh '{}'", path.display())
    }

    /// What the script wrote to `name`, line by line.
    fn lines(&self, name: &str) -> Vec<String> {
        let text = std::fs::read_to_string(self.path(name)).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// Names and contents of the spool.
    fn spool(&self) -> BTreeMap<String, Vec<u8>> {
        contents(&self.path("spool"))
    }

    fn job(&self, id: &str) -> JobView {
        let jobs = self.cloud().jobs();
        jobs.into_iter().find(|job| job.jobid == id).unwrap()
    }

    /// The numbers reported for a job, accepted ones only.
    fn reported(&self, id: &str) -> Vec<Value> {
        let reports = self.cloud().reports().into_iter();
        reports
            .filter(|report| report.jobid == id && report.answer == 0)
            .map(|report| report.status)
            .collect()
    }

    /// How often this was asked about a job.
    fn asked(&self, cmd: &str, id: &str) -> usize {
        let commands = self.cloud().commands();
        let about = |it: &&ReceivedCommand| it.cmd == cmd && it.body["jobid"] == id;
        commands.iter().filter(about).count()
    }

    /// The job that this was asked more often about comes first: jobs of one second come in any order.
    fn by_requests(&self, cmd: &str, mut ids: [String; 2]) -> [String; 2] {
        ids.sort_by_key(|id| std::cmp::Reverse(self.asked(cmd, id)));
        ids
    }

    async fn rows(&self) -> Vec<Value> {
        let ran = self.run(&["jobs", "--json"]).await;
        assert_eq!(ran.exit, 0, "{}", ran.stderr);
        let lines = ran.stdout.lines();
        lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return BTreeMap::new();
    };
    entries
        .map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            (name, std::fs::read(path).unwrap())
        })
        .collect()
}

fn pdf(text: &str) -> Vec<u8> {
    format!("%PDF-1.4\n{text}\n%%EOF\n").into_bytes()
}

fn jpeg(text: &str) -> Vec<u8> {
    [b"\xff\xd8\xff\xe0", text.as_bytes(), b"\xff\xd9"].concat()
}

/// Looks every few milliseconds until it is so.
async fn until(what: &str, mut so: impl FnMut() -> bool) {
    let clock = SystemClock::new();
    while !so() {
        assert!(
            clock.now().since_start() < Duration::from_secs(60),
            "{what}"
        );
        pause(Duration::from_millis(5)).await;
    }
}

async fn pause(time: Duration) {
    let clock = SystemClock::new();
    clock.sleep_until(clock.now() + time).await;
}

async fn kill(mut child: Child) {
    child.kill().await.unwrap();
}

const PRINTED: u32 = 1;
const FAILED: u32 = 2;

#[tokio::test(flavor = "multi_thread")]
async fn three_documents_and_a_picture_end_complete_and_reported_once() {
    for (mode, sparse) in [
        (HeaderMode::Echo, false),
        (HeaderMode::Log, false),
        (HeaderMode::Echo, true),
        (HeaderMode::Log, true),
    ] {
        let office = Office::open().await;
        office.cloud().change_options(|options| {
            options.header_mode = mode;
            options.sparse_items = sparse;
        });
        let mut wanted = BTreeMap::new();
        let mut ids = Vec::new();
        for text in ["one", "two", "three"] {
            let id = office
                .cloud()
                .add_job(NewJob::pdf(&format!("{text}.docx"), pdf(text)));
            wanted.insert(format!("{id}.pdf"), pdf(text));
            ids.push(id);
        }
        let pages = vec![
            jpeg("first page").into(),
            jpeg("second, longer page").into(),
        ];
        if sparse {
            // A sparse item says neither that a job is a picture nor where its pages are.
            let id = office
                .cloud()
                .add_job(NewJob::jpg("photo.png", pages[..1].to_vec()));
            wanted.insert(format!("{id}-001.jpg"), jpeg("first page"));
            ids.push(id);
        } else {
            let id = office.cloud().add_job(NewJob::jpg("photo.png", pages));
            wanted.insert(format!("{id}-001.jpg"), jpeg("first page"));
            wanted.insert(format!("{id}-002.jpg"), jpeg("second, longer page"));
            ids.push(id);
        }
        let ran = office.once(&[]).await;
        assert_eq!(ran.exit, 0, "{mode:?} {sparse}: {}", ran.stderr);
        assert_eq!(office.spool(), wanted, "{mode:?} {sparse}");
        for id in &ids {
            assert_eq!(office.reported(id), [Value::from(2)], "{mode:?} {sparse}");
            assert_eq!(office.job(id).status, PRINTED);
        }
        assert_eq!(office.cloud().reports().len(), ids.len());
        let rows = office.rows().await;
        assert_eq!(rows.len(), ids.len());
        assert!(
            rows.iter().all(|row| row["stage"] == "completed"),
            "{rows:?}"
        );

        // Nothing is left to do.
        let ran = office.once(&[]).await;
        assert_eq!(
            (ran.exit, office.cloud().reports().len()),
            (0, ids.len()),
            "{}",
            ran.stderr
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_gets_files_and_settings_and_no_secret() {
    let office = Office::open().await;
    let id = office.cloud().add_job(
        NewJob::jpg(
            "年报\r\n; rm -rf $HOME.png",
            vec![jpeg("1").into(), jpeg("2").into()],
        )
        .by("mei")
        .with_setting("纸张大小", &["A3"])
        .with_setting("单双面", &["长边双面"])
        .with_setting("颜色", &["彩色"])
        .with_setting("份数", &["2"]),
    );
    let script = office.script("echo some output\nenv > env.txt\nfor word in \"$@\"; do echo \"$word\" >> words.txt; done\n");
    let exec = format!("{script} -o 'two words' '$HOME'");
    let output = office
        .command(&[
            "printer", "run", "--spool", "spool", "--once", "--json", "--exec", &exec,
        ])
        .env("PGPASSWORD", "s3cret")
        .output()
        .await
        .unwrap();
    let ran = Ran {
        exit: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    };
    assert_eq!(ran.exit, 0, "{}", ran.stderr);
    assert!(!ran.stdout.contains("some output"), "{}", ran.stdout);
    assert!(ran.stderr.contains("some output"), "{}", ran.stderr);
    let event: Value = serde_json::from_str(ran.stdout.lines().next().unwrap()).unwrap();
    assert_eq!(
        (&event["event"], &event["job"]),
        (&"printed".into(), &id.as_str().into())
    );

    let spool = office.path("spool").display().to_string();
    assert_eq!(
        office.lines("words.txt"),
        [
            "-o".to_owned(),
            "two words".to_owned(),
            "$HOME".to_owned(),
            format!("{spool}/{id}-001.jpg"),
            format!("{spool}/{id}-002.jpg"),
        ]
    );
    let env = office.lines("env.txt");
    for line in [
        format!("DOCJOBS_JOB_ID={id}"),
        "DOCJOBS_DOC_NAME=年报  ; rm -rf $HOME.png".to_owned(),
        "DOCJOBS_USER=mei".to_owned(),
        "DOCJOBS_PAPER=A3".to_owned(),
        "DOCJOBS_SIDES=two-sided-long-edge".to_owned(),
        "DOCJOBS_COLOR=color".to_owned(),
        "DOCJOBS_COPIES=2".to_owned(),
        r#"DOCJOBS_SETTINGS={"份数":["2"],"单双面":["长边双面"],"纸张大小":["A3"],"颜色":["彩色"]}"#.to_owned(),
    ] {
        assert!(env.contains(&line), "{line}: {env:?}");
    }
    let secrets = [
        "WECOM_PRINTER_SECRET_NO",
        "TEXTIN_SECRET_CODE",
        "TENCENTCLOUD_SECRET_KEY",
        "MINDSHOW_API_KEY",
        "PPJ_ACCESS_KEY",
        "PPJ_APP_SECRET",
        "DOCJOBS_LEDGER",
    ];
    for secret in secrets {
        assert!(
            !env.iter().any(|line| line.starts_with(secret)),
            "{secret}: {env:?}"
        );
    }
    let known = office.simulators.env();
    for (name, value) in known
        .iter()
        // A factor of three digits may stand anywhere.
        .filter(|(name, _)| secrets.contains(&name.as_str()) && name != "DOCJOBS_TIME_SCALE")
    {
        assert!(
            !env.iter().any(|line| line.contains(value)),
            "{name}: {env:?}"
        );
    }
    for ours in ["DOCJOBS_TIME_SCALE=", "PGPASSWORD="] {
        assert!(!env.iter().any(|line| line.starts_with(ours)), "{env:?}");
    }
    // The files stay for whoever wants them.
    assert_eq!(office.spool().len(), 2);
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn the_limit_of_the_file_size_ends_the_command_as_it_would_elsewhere() {
    const STATUS: &str = "/proc/self/status";
    let ignores_sigxfsz = |status: &str| {
        let mut lines = status.lines();
        let ignored = lines.find_map(|line| line.strip_prefix("SigIgn:"));
        let ignored = u64::from_str_radix(ignored.unwrap().trim(), 16).unwrap();
        ignored >> (25 - 1) & 1 == 1
    };
    let office = Office::open().await;
    office.cloud().add_job(NewJob::pdf("a.pdf", pdf("a")));
    let exec = format!("sh -c 'cat {STATUS} > status'");
    let ran = office.once(&["--exec", &exec]).await;
    assert_eq!(ran.exit, 0, "{}", ran.stderr);
    let status = std::fs::read_to_string(office.path("status")).unwrap();
    let own = std::fs::read_to_string(STATUS).unwrap();
    assert_eq!(ignores_sigxfsz(&status), ignores_sigxfsz(&own));
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_fill_the_words_of_the_command_and_what_it_drops_is_named() {
    let office = Office::open().await;
    let first = office.cloud().add_job(
        NewJob::pdf("年报 2026; -rf.pdf", pdf("1"))
            .with_setting("份数", &["3"])
            .with_setting("单双面", &["长边双面"]),
    );
    let second = office.cloud().add_job(
        NewJob::pdf("b.pdf", pdf("2"))
            .with_setting("纸张", &["A3"])
            .with_setting("双面打印", &["是"])
            .with_setting("打印份数", &["２"])
            .with_setting("缩放", &["适应页面"]),
    );
    let third = office
        .cloud()
        .add_job(NewJob::pdf("c.pdf", pdf("3")).with_setting("份数", &["0"]));
    let script = office.script(
        "for word in \"$@\"; do echo \"$word\" >> words-$DOCJOBS_JOB_ID; done\nenv > env-$DOCJOBS_JOB_ID\n",
    );
    let ran = office
        .once(&[
            "--exec",
            &format!(
                "{script} -n{{copies}} -o sides={{sides}} -omedia={{paper}} {{file}} -t {{title}}"
            ),
        ])
        .await;
    assert_eq!(ran.exit, 0, "{}", ran.stderr);
    let spool = office.path("spool").display().to_string();
    let words = |id: &str| office.lines(&format!("words-{id}"));
    assert_eq!(
        words(&first),
        [
            "-n3",
            "-o",
            "sides=two-sided-long-edge",
            &format!("{spool}/{first}.pdf"),
            "-t",
            "年报 2026; -rf.pdf"
        ]
    );
    assert_eq!(
        words(&second),
        [
            "-n2",
            "-o",
            "sides=two-sided-long-edge",
            "-omedia=A3",
            &format!("{spool}/{second}.pdf"),
            "-t",
            "b.pdf"
        ]
    );
    assert_eq!(
        words(&third),
        ["-o", &format!("{spool}/{third}.pdf"), "-t", "c.pdf"]
    );
    let env = office.lines(&format!("env-{third}"));
    assert!(env.contains(&"DOCJOBS_COPIES=".to_owned()), "{env:?}");
    assert!(
        env.contains(&r#"DOCJOBS_SETTINGS={"份数":["0"]}"#.to_owned()),
        "{env:?}"
    );
    let about = |id: &str| {
        let lines = ran.stderr.lines();
        lines
            .filter(|line| line.contains(id) && line.contains("no word of --exec"))
            .collect::<Vec<_>>()
            .join("")
    };
    assert_eq!(about(&first), "");
    assert!(
        about(&second).contains("缩放=适应页面") && !about(&second).contains("份数"),
        "{}",
        ran.stderr
    );
    assert!(about(&third).contains("份数=0"), "{}", ran.stderr);

    let id = office.cloud().add_job(
        NewJob::pdf("d.pdf", pdf("4"))
            .with_setting("份数", &["3"])
            .with_setting("单双面", &["长边双面"]),
    );
    let ran = office.once(&["--exec", &office.script("true")]).await;
    for word in [&*id, "份数=3", "单双面=长边双面", "{copies}", "{sides}"] {
        assert!(ran.stderr.contains(word), "{word}: {}", ran.stderr);
    }
    let ran = office.once(&["--exec", "sh -c 'lp -t {title}'"]).await;
    assert_eq!(ran.exit, 2, "{}", ran.stderr);
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn a_job_of_many_pages_needs_few_files_and_holds_nobody_up() {
    use std::os::unix::fs::PermissionsExt;
    let office = Office::open().await;
    let pages: Vec<_> = (0..300)
        .map(|number| jpeg(&number.to_string()).into())
        .collect();
    let picture = office.cloud().add_job(NewJob::jpg("many.png", pages));
    let good = office.cloud().add_job(NewJob::pdf("good.pdf", pdf("good")));
    std::fs::create_dir(office.path("spool")).unwrap();
    std::fs::set_permissions(office.path("spool"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let output = Command::new("sh")
        .args([
            "-c",
            "ulimit -n 100; exec \"$0\" \"$@\"",
            env!("CARGO_BIN_EXE_docjobs"),
        ])
        .args(["printer", "run", "--spool", "spool", "--once", "--exec"])
        .arg(office.script("echo $# >> ran"))
        .current_dir(office.folder.path())
        .env("DOCJOBS_LEDGER", office.path("ledger.db"))
        .env("WECOM_PRINTER_STATE", office.path("state"))
        .envs(office.simulators.env())
        .output()
        .await
        .unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    assert_eq!(
        (office.job(&picture).status, office.job(&good).status),
        (PRINTED, PRINTED)
    );
    let mut counts = office.lines("ran");
    counts.sort();
    assert_eq!(counts, ["1", "300"]);
    assert_eq!(office.spool().len(), 301);
    for entry in std::fs::read_dir(office.path("spool")).unwrap() {
        let mode = entry.unwrap().metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_disk_does_not_take_of_one_job_is_that_jobs_failure() {
    let office = Office::open().await;
    let bad = office.cloud().add_job(NewJob::jpg(
        "a.png",
        vec![jpeg("1").into(), jpeg("2").into()],
    ));
    let good = office.cloud().add_job(NewJob::pdf("good.pdf", pdf("good")));
    // Somebody's file stands where its second page belongs.
    std::fs::create_dir(office.path("spool")).unwrap();
    std::fs::create_dir(office.path(&format!("spool/{bad}-002.jpg"))).unwrap();
    let ran = office
        .once(&["--exec", &office.script("echo >> ran")])
        .await;
    assert_eq!(ran.exit, 3, "{}", ran.stderr);
    assert!(
        ran.stderr.contains(&bad) && ran.stderr.contains("1 print job failed"),
        "{}",
        ran.stderr
    );
    assert_eq!(office.reported(&good), [Value::from(2)]);
    assert_eq!(office.lines("ran").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_torn_file_is_asked_for_three_times_more_before_its_job_fails() {
    let lying = Fault::SetField {
        pointer: "/data_len".to_owned(),
        value: 999_999.into(),
    };
    for torn in [Fault::TruncatedJson {}, lying] {
        let office = Office::open().await;
        let id = office.cloud().add_job(NewJob::pdf("a.pdf", pdf("a")));
        let tear = |times| {
            let operation = "printer/download_file";
            office
                .cloud()
                .set_fault_times(operation, torn.clone(), times);
        };
        tear(Times::N(3));
        let ran = office.once(&[]).await;
        assert_eq!(ran.exit, 0, "{}", ran.stderr);
        assert_eq!(
            office.spool(),
            BTreeMap::from([(format!("{id}.pdf"), pdf("a"))])
        );

        let id = office.cloud().add_job(NewJob::pdf("b.pdf", pdf("b")));
        tear(Times::Always);
        let ran = office.once(&[]).await;
        assert_eq!(ran.exit, 3, "{}", ran.stderr);
        assert_eq!(office.reported(&id), [Value::from(1)]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_breaks_the_connection_each_time_is_asked_for_four_times_in_all() {
    let office = Office::open().await;
    let ids = ["a", "b"].map(|name| office.cloud().add_job(NewJob::pdf(name, pdf(name))));
    let drop = Fault::DropAfterCommit { reset: false };
    let download = "printer/download_file";
    office.cloud().set_fault_times(download, drop, Times::N(4));
    let ran = office.once(&[]).await;
    assert_eq!(ran.exit, 3, "{}", ran.stderr);
    let [bad, good] = office.by_requests(download, ids);
    assert_eq!(office.asked(download, &bad), 4);
    assert_eq!(office.reported(&bad), [Value::from(1)]);
    assert_eq!(office.reported(&good), [Value::from(2)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_odd_text_in_the_list_stops_no_job() {
    for how in [OddText::Surrogate, OddText::Nan, OddText::Control] {
        let office = Office::open().await;
        let ids = ["a", "b"].map(|name| office.cloud().add_job(NewJob::pdf(name, pdf(name))));
        let odd = Fault::OddText { how };
        office
            .cloud()
            .set_fault_times("printer/get_job_list", odd, Times::Always);
        let ran = office.run(&["printer", "list", "--json"]).await;
        assert_eq!(
            (ran.exit, ran.stdout.lines().count()),
            (0, 2),
            "{how:?}: {}",
            ran.stderr
        );
        let ran = office.once(&[]).await;
        assert_eq!(ran.exit, 0, "{how:?}: {}", ran.stderr);
        for id in ids {
            assert_eq!(office.reported(&id), [Value::from(2)]);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_id_cannot_be_used_has_failed_and_the_others_go_on() {
    for (odd, said) in [
        (serde_json::json!({}), "1 job without an id"),
        (Value::from("x".repeat(121)), "left alone"),
        (Value::from("中文"), "left alone"),
    ] {
        let office = Office::open().await;
        let hidden = office.cloud().add_job(NewJob::pdf("a.pdf", pdf("a")));
        let good = office.cloud().add_job(NewJob::pdf("b.pdf", pdf("b")));
        let renamed = Fault::SetField {
            pointer: "/body/printer_job_list/0/jobid".to_owned(),
            value: odd,
        };
        office
            .cloud()
            .set_fault_times("printer/get_job_list", renamed, Times::N(1));
        let ran = office.once(&[]).await;
        assert_eq!(office.reported(&good), [Value::from(2)], "{}", ran.stderr);
        assert!(ran.stderr.contains(said), "{}", ran.stderr);
        // The next list of the same run has it with its id.
        assert_eq!(office.reported(&hidden), [Value::from(2)]);

        let late = office.cloud().add_job(NewJob::pdf("c.pdf", pdf("c")));
        let nameless = Fault::SetField {
            pointer: "/body/printer_job_list/0/jobid".to_owned(),
            value: "-".into(),
        };
        office
            .cloud()
            .set_fault_times("printer/get_job_list", nameless, Times::Always);
        let ran = office.once(&[]).await;
        assert_eq!(ran.exit, 3, "{}", ran.stderr);
        assert!(
            ran.stderr.contains("1 print job failed") && !ran.stderr.contains("docjobs jobs"),
            "{}",
            ran.stderr
        );
        assert!(office.reported(&late).is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_that_is_not_taken_is_owed_and_the_others_go_on() {
    let office = Office::open().await;
    let ids = ["a", "b"].map(|name| office.cloud().add_job(NewJob::pdf(name, pdf(name))));
    let script = office.script("echo >> ran");
    let report = "printer/report_job_status";
    let system_error = Fault::Code {
        code: (-1).into(),
        message: Some("system error".to_owned()),
        after_commit: false,
    };
    office
        .cloud()
        .set_fault_times(report, system_error, Times::N(4));
    let ran = office.once(&["--exec", &script]).await;
    assert_eq!(ran.exit, 4, "{}", ran.stderr);
    let [first, second] = office.by_requests(report, ids);
    assert!(
        ran.stderr.contains(&first) && ran.stderr.contains("not reported"),
        "{}",
        ran.stderr
    );
    assert_eq!(office.asked(report, &first), 4);
    assert_eq!(office.reported(&second), [Value::from(2)]);

    let ran = office.once(&["--exec", &script]).await;
    assert_eq!(ran.exit, 0, "{}", ran.stderr);
    assert_eq!(office.reported(&first), [Value::from(2)]);
    assert_eq!(office.lines("ran").len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_job_is_begun_when_the_time_is_over() {
    let office = Office::open().await;
    let ids = ["a", "b"].map(|name| office.cloud().add_job(NewJob::pdf(name, pdf(name))));
    let silent = Fault::Delay { seconds: 1000.0 };
    office
        .cloud()
        .set_fault_times("printer/report_job_status", silent, Times::Always);
    let ran = office.once(&["--deadline", "20s"]).await;
    assert_eq!(ran.exit, 4, "{}", ran.stderr);
    let download = "printer/download_file";
    let [first, behind] = office.by_requests(download, ids);
    assert!(!ran.stderr.contains(&behind), "{}", ran.stderr);
    assert_eq!(office.asked(download, &first), 1);
    assert_eq!(office.asked(download, &behind), 0);
}

/// A proxy that says this to whoever comes; what it was asked, and the first bytes after that.
async fn proxy(answer: &'static str) -> (u16, mpsc::UnboundedReceiver<(String, Vec<u8>)>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (tell, asked) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = vec![0; 4096];
            let count = stream.read(&mut head).await.unwrap_or(0);
            drop(stream.write_all(answer.as_bytes()).await);
            let mut next = vec![0; 3];
            let got = stream.read(&mut next).await.unwrap_or(0);
            next.truncate(got);
            head.truncate(count);
            if tell.send((String::from_utf8(head).unwrap(), next)).is_err() {
                break;
            }
        }
    });
    (port, asked)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_way_to_the_cloud_leads_through_the_proxy_of_the_environment() {
    const YES: &str = "HTTP/1.1 200 Connection established\r\n\r\n";
    const NO: &str = "HTTP/1.1 403 Blocked by policy 4711\r\n\r\n<html>";
    const LOGIN: &str = "HTTP/1.1 407 Proxy Authentication Required\r\n\r\n";
    let office = Office::open().await;
    let list = |variables: Vec<(&'static str, String)>| {
        let mut command = office.command(&["printer", "list", "--deadline", "1s"]);
        command
            .env("WECOM_PRINTER_URL", "wss://cloud.invalid/")
            .env_remove("DOCJOBS_TIME_SCALE")
            .envs(variables);
        async move {
            let output = command.output().await.unwrap();
            (
                output.status.code(),
                String::from_utf8(output.stderr).unwrap(),
            )
        }
    };
    for (variable, answer, said) in [
        ("HTTPS_PROXY", YES, "no TLS connection to cloud.invalid:443"),
        ("https_proxy", NO, "HTTP 403 Blocked by policy 4711"),
        ("ALL_PROXY", LOGIN, "asks for a login"),
    ] {
        let (port, mut asked) = proxy(answer).await;
        let url = format!("http://mei:s3cret%21@127.0.0.1:{port}");
        let (exit, stderr) = list(vec![(variable, url)]).await;
        assert_eq!(exit, Some(8), "{variable}: {stderr}");
        assert!(stderr.contains(said), "{variable}: {stderr}");
        assert!(
            answer == YES || stderr.contains(&format!("127.0.0.1:{port}")),
            "{stderr}"
        );
        assert!(!stderr.contains("s3cret"), "{stderr}");
        let (head, next) = asked.recv().await.unwrap();
        assert!(
            head.starts_with("CONNECT cloud.invalid:443 HTTP/1.1\r\n"),
            "{head}"
        );
        // mei:s3cret!
        assert!(
            head.contains("Proxy-Authorization: Basic bWVpOnMzY3JldCE=\r\n"),
            "{head}"
        );
        if answer == YES {
            assert_eq!(next, [0x16, 3, 1], "no TLS in the tunnel");
        }
    }
    // Not this way: nobody listens at the proxy.
    let nobody = ("HTTPS_PROXY", "http://127.0.0.1:1".to_owned());
    let (exit, stderr) = list(vec![nobody.clone()]).await;
    assert!(
        exit == Some(8) && stderr.contains("127.0.0.1:1:"),
        "{stderr}"
    );
    let (exit, stderr) = list(vec![nobody, ("NO_PROXY", "invalid".to_owned())]).await;
    assert!(
        exit == Some(8) && stderr.contains("cloud.invalid:443:"),
        "{stderr}"
    );
    std::fs::write(office.path("empty.pem"), "no certificate").unwrap();
    std::fs::write(
        office.path("junk.pem"),
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    )
    .unwrap();
    for roots in ["nowhere.pem", "empty.pem", "junk.pem"] {
        let (exit, stderr) = list(vec![("SSL_CERT_FILE", roots.to_owned())]).await;
        assert!(exit == Some(2) && stderr.contains(roots), "{stderr}");
    }
    for broken in [
        "socks5://u:s3cret@127.0.0.1:1",
        "ftp://u:s3cret@127.0.0.1:1",
        "http://u:s3cret@127.0.0.1:99999",
        "http://u:s3cret@",
        ":::",
    ] {
        let (exit, stderr) = list(vec![("HTTPS_PROXY", broken.to_owned())]).await;
        assert!(
            exit == Some(2) && stderr.contains("HTTPS_PROXY"),
            "{broken}: {stderr}"
        );
        assert!(!stderr.contains("s3cret"), "{stderr}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_command_is_reported_as_failed_and_not_repeated() {
    let office = Office::open().await;
    let good = office.cloud().add_job(NewJob::pdf("good.pdf", pdf("good")));
    let bad = office.cloud().add_job(NewJob::pdf("bad.pdf", pdf("bad")));
    let script = office.script(
        "echo \"$DOCJOBS_DOC_NAME\" >> ran\n[ \"$DOCJOBS_DOC_NAME\" = good.pdf ] || exit 7\n",
    );
    let ran = office.once(&["--exec", &script, "--remove"]).await;
    assert_eq!(ran.exit, 3, "{}", ran.stderr);
    assert!(ran.stderr.contains(&bad), "{}", ran.stderr);
    assert_eq!(office.reported(&good), [Value::from(2)]);
    assert_eq!(office.reported(&bad), [Value::from(1)]);
    let reports = office.cloud().reports();
    let report = reports.iter().find(|report| report.jobid == bad).unwrap();
    assert_eq!(report.errcode, 7);
    assert!(report.errmsg.as_str().unwrap().contains("exit code 7"));
    assert_eq!(office.spool().len(), 0);
    let mut ran_for = office.lines("ran");
    ran_for.sort();
    assert_eq!(ran_for, ["bad.pdf", "good.pdf"]);
    let ran = office.once(&["--exec", &script]).await;
    assert_eq!(
        (ran.exit, office.lines("ran").len()),
        (0, 2),
        "{}",
        ran.stderr
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_cannot_be_started_fails_no_job() {
    let office = Office::open().await;
    let id = office.cloud().add_job(NewJob::pdf("a.pdf", pdf("a")));
    for exec in ["no-such-command-here", "'open", ""] {
        let ran = office.once(&["--exec", exec]).await;
        assert_eq!(ran.exit, 2, "{exec}: {}", ran.stderr);
        assert!(ran.stderr.contains("--exec"), "{}", ran.stderr);
    }
    assert_eq!(office.job(&id).status, 0);
    let ran = office
        .once(&["--exec", &office.script("echo >> ran")])
        .await;
    assert_eq!(
        (ran.exit, office.lines("ran").len()),
        (0, 1),
        "{}",
        ran.stderr
    );
    assert_eq!(office.reported(&id), [Value::from(2)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_names_decide_nothing() {
    let office = Office::open().await;
    let mut names = Vec::new();
    for name in [
        "../../out.pdf",
        "/etc/passwd",
        "a\0b",
        "..",
        "\u{202e}fdp.exe",
        "%2e%2e%2f",
        "-rf",
    ] {
        let id = office.cloud().add_job(NewJob::pdf(name, pdf(name)));
        names.push(format!("{id}.pdf"));
    }
    names.sort();
    let before: Vec<String> = contents_names(office.folder.path());
    let ran = office.once(&["--exec", &office.script("true")]).await;
    assert_eq!(ran.exit, 0, "{}", ran.stderr);
    assert_eq!(office.spool().into_keys().collect::<Vec<_>>(), names);
    let mut after = contents_names(office.folder.path());
    after.retain(|name| {
        !name.starts_with("ledger.db") && !["spool", "state", "print.sh"].contains(&name.as_str())
    });
    assert_eq!(after, before);
    assert!(!ran.stderr.contains('\u{202e}'));
}

fn contents_names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_without_a_file_is_reported_as_failed_and_the_others_go_on() {
    let office = Office::open().await;
    let empty = office.cloud().add_job(NewJob::pdf("empty.pdf", Vec::new()));
    let wrong = office
        .cloud()
        .add_job(NewJob::pdf("wrong.pdf", b"no such magic".to_vec()));
    let good = office.cloud().add_job(NewJob::pdf("good.pdf", pdf("good")));
    let ran = office
        .once(&["--exec", &office.script("echo >> ran")])
        .await;
    assert_eq!(ran.exit, 3, "{}", ran.stderr);
    assert_eq!(office.reported(&empty), [Value::from(1)]);
    assert_eq!(office.reported(&wrong), [Value::from(1)]);
    assert_eq!(office.reported(&good), [Value::from(2)]);
    assert_eq!(office.lines("ran").len(), 1);
    assert_eq!(
        office.spool().into_keys().collect::<Vec<_>>(),
        [format!("{good}.pdf")]
    );
    let ran = office.once(&[]).await;
    assert_eq!(
        (ran.exit, office.cloud().reports().len()),
        (0, 3),
        "{}",
        ran.stderr
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_connection_in_mid_download_is_got_over() {
    let office = Office::open().await;
    let id = office.cloud().add_job(NewJob::pdf("a.pdf", pdf("a")));
    let drop = Fault::DropAfterCommit { reset: false };
    office
        .cloud()
        .set_fault_times("printer/download_file", drop, Times::N(2));
    let ran = office.once(&[]).await;
    assert_eq!(ran.exit, 0, "{}", ran.stderr);
    assert_eq!(
        office.spool(),
        BTreeMap::from([(format!("{id}.pdf"), pdf("a"))])
    );
    assert_eq!(office.reported(&id), [Value::from(2)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_report_is_repeated_and_nothing_is_printed_again() {
    let office = Office::open().await;
    let id = office.cloud().add_job(NewJob::pdf("a.pdf", pdf("a")));
    let script = office.script("echo >> ran");
    let lost = Fault::DropBeforeCommit {
        after_bytes: None,
        reset: false,
    };
    office
        .cloud()
        .set_fault_times("printer/report_job_status", lost.clone(), Times::N(2));
    let ran = office.once(&["--exec", &script]).await;
    assert_eq!(ran.exit, 0, "{}", ran.stderr);
    assert_eq!(office.reported(&id), [Value::from(2)]);

    // Not until the deadline: held, and made up for by the next run.
    let id = office.cloud().add_job(NewJob::pdf("b.pdf", pdf("b")));
    office
        .cloud()
        .set_fault_times("printer/report_job_status", lost, Times::Always);
    let ran = office.once(&["--exec", &script, "--deadline", "40s"]).await;
    assert_eq!(ran.exit, 4, "{}", ran.stderr);
    assert!(ran.stderr.contains(&id), "{}", ran.stderr);
    office.cloud().faults().clear();
    let ran = office.once(&["--exec", &script]).await;
    assert_eq!(ran.exit, 0, "{}", ran.stderr);
    assert_eq!(office.reported(&id), [Value::from(2)]);
    assert_eq!(office.lines("ran").len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_is_still_listed_after_its_report_is_only_reported_again() {
    let office = Office::open().await;
    let good = office.cloud().add_job(NewJob::pdf("good.pdf", pdf("good")));
    let bad = office.cloud().add_job(NewJob::pdf("bad.pdf", pdf("bad")));
    let script = office.script("echo >> ran\n[ \"$DOCJOBS_DOC_NAME\" = good.pdf ] || exit 7\n");
    // The cloud says yes and does nothing.
    let forgotten = Fault::Code {
        code: 0.into(),
        message: None,
        after_commit: false,
    };
    office
        .cloud()
        .set_fault_times("printer/report_job_status", forgotten, Times::N(2));
    let ran = office.once(&["--exec", &script]).await;
    assert_eq!(
        (ran.exit, office.lines("ran").len()),
        (3, 2),
        "{}",
        ran.stderr
    );
    assert_eq!((office.job(&good).status, office.job(&bad).status), (0, 0));
    let ran = office.once(&["--exec", &script]).await;
    assert_eq!(
        (ran.exit, office.lines("ran").len()),
        (3, 2),
        "{}",
        ran.stderr
    );
    assert_eq!(
        (office.job(&good).status, office.job(&bad).status),
        (PRINTED, FAILED)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_deleted_while_it_is_printed_is_settled_as_gone() {
    let office = Office::open().await;
    let id = office.cloud().add_job(NewJob::pdf("a.pdf", pdf("a")));
    let script = office.script(SLOW);
    let child = office
        .command(&[
            "printer", "run", "--spool", "spool", "--once", "--exec", &script,
        ])
        .spawn()
        .unwrap();
    until("the command runs", || office.lines("ran").len() == 1).await;
    assert!(office.cloud().delete_job(&id));
    std::fs::write(office.path("release"), "").unwrap();
    let ended = child.wait_with_output().await.unwrap();
    assert_eq!(ended.status.code(), Some(0));
    assert_eq!(office.rows().await[0]["stage"], "gone");
    let waited = office.run(&["wait", &id]).await;
    assert_eq!(waited.exit, 2, "{}", waited.stderr);
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn the_secret_is_private_at_its_usual_place_and_one_of_another_cloud_is_got_over() {
    use std::os::unix::fs::PermissionsExt;
    let (office, other) = (Office::open().await, Office::open().await);
    for cloud in [&office, &other] {
        let output = cloud
            .command(&["printer", "list"])
            .env_remove("WECOM_PRINTER_STATE")
            .env("HOME", office.folder.path())
            .output()
            .await
            .unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(0), "{stderr}");
    }
    let place = office.path(".local/share/docjobs/printer");
    let files: Vec<_> = std::fs::read_dir(place)
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_eq!(files.len(), 1);
    assert_eq!(
        files[0].metadata().unwrap().permissions().mode() & 0o777,
        0o600
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_process_is_told_so_and_the_first_goes_on_printing() {
    let office = Office::open().await;
    let child = office
        .command(&["printer", "run", "--spool", "spool"])
        .spawn()
        .unwrap();
    until("it has looked", || office.cloud().list_requests() > 0).await;
    let ran = office.run(&["printer", "list"]).await;
    assert_eq!(ran.exit, 8, "{}", ran.stderr);
    assert!(ran.stderr.contains("other process"), "{}", ran.stderr);
    let id = office.cloud().add_job(NewJob::pdf("a.pdf", pdf("a")));
    until("it is reported", || office.job(&id).status == PRINTED).await;
    kill(child).await;
}

/// A command that says that it runs and then waits until it may end.
const SLOW: &str =
    "echo \"$DOCJOBS_JOB_ID\" >> ran\nwhile [ -e ran -a ! -e release ]; do sleep 0.01; done\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_job_killed_while_it_is_printed_is_reported_as_failed_and_not_printed_again() {
    let office = Office::open().await;
    let id = office.cloud().add_job(NewJob::pdf("a.pdf", pdf("a")));
    let script = office.script(SLOW);
    let child = office
        .command(&[
            "printer", "run", "--spool", "spool", "--once", "--exec", &script,
        ])
        .spawn()
        .unwrap();
    until("the command runs", || office.lines("ran").len() == 1).await;
    kill(child).await;
    std::fs::write(office.path("release"), "").unwrap();

    let waited = office.run(&["resume"]).await;
    assert_eq!(waited.exit, 4, "{}", waited.stderr);
    assert!(
        waited.stderr.contains("docjobs printer run"),
        "{}",
        waited.stderr
    );

    let ran = office.once(&["--exec", &script]).await;
    assert_eq!(ran.exit, 5, "{}", ran.stderr);
    assert!(ran.stderr.contains(&id), "{}", ran.stderr);
    assert_eq!(office.lines("ran"), [id.as_str()]);
    assert_eq!(office.reported(&id), [Value::from(1)]);
    let report = office.cloud().reports().remove(0);
    assert!(
        report
            .errmsg
            .as_str()
            .unwrap()
            .contains("may have been printed")
    );
    let shown = office.run(&["show", &id]).await;
    for word in ["intended", "submitting", "in_doubt", "adopted", "failed"] {
        assert!(shown.stdout.contains(word), "{word}: {}", shown.stdout);
    }
    let ran = office.once(&["--exec", &script]).await;
    assert_eq!(
        (ran.exit, office.lines("ran").len()),
        (0, 1),
        "{}",
        ran.stderr
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_may_have_a_job_in_doubt_printed_anew() {
    let office = Office::open().await;
    let id = office.cloud().add_job(NewJob::pdf("a.pdf", pdf("a")));
    let script = office.script(SLOW);
    let child = office
        .command(&[
            "printer", "run", "--spool", "spool", "--once", "--exec", &script,
        ])
        .spawn()
        .unwrap();
    until("the command runs", || office.lines("ran").len() == 1).await;
    kill(child).await;
    std::fs::write(office.path("release"), "").unwrap();
    let adopted = office.run(&["resolve", &id, "--adopt", &id]).await;
    assert_eq!(adopted.exit, 2, "{}", adopted.stderr);
    // The lease of the killed process has to end first.
    let clock = SystemClock::new();
    loop {
        let ran = office.run(&["resolve", &id, "--abandon"]).await;
        if ran.exit == 0 {
            break;
        }
        assert!(ran.stderr.contains("worked on"), "{}", ran.stderr);
        assert!(clock.now().since_start() < Duration::from_secs(30));
        pause(Duration::from_millis(50)).await;
    }
    let ran = office.once(&["--exec", &script]).await;
    assert_eq!(ran.exit, 0, "{}", ran.stderr);
    assert_eq!(office.lines("ran"), [id.as_str(), id.as_str()]);
    assert_eq!(office.reported(&id), [Value::from(2)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_killed_after_it_was_printed_is_only_reported() {
    let office = Office::open().await;
    let id = office.cloud().add_job(NewJob::pdf("a.pdf", pdf("a")));
    let script = office.script("echo >> ran");
    let lost = Fault::DropBeforeCommit {
        after_bytes: None,
        reset: false,
    };
    office
        .cloud()
        .set_fault_times("printer/report_job_status", lost, Times::Always);
    let child = office
        .command(&[
            "printer", "run", "--spool", "spool", "--once", "--exec", &script,
        ])
        .spawn()
        .unwrap();
    let tried = || {
        let commands = office.cloud().commands();
        commands
            .iter()
            .any(|it| it.cmd == "printer/report_job_status")
    };
    until("a report is tried", tried).await;
    kill(child).await;
    office.cloud().faults().clear();
    let ran = office.once(&["--exec", &script]).await;
    assert_eq!(ran.exit, 0, "{}", ran.stderr);
    assert_eq!(
        (office.lines("ran").len(), office.reported(&id)),
        (1, vec![Value::from(2)])
    );
}

/// Kills the process when the cloud has got so many commands, then lets another one finish.
async fn killed_after(commands: usize, later: Duration) {
    let office = Office::open().await;
    let big = vec![b'x'; 1_200_000];
    let ids: Vec<String> = (0..3)
        .map(|number| {
            let text = [&pdf("big")[..], &big, number.to_string().as_bytes()].concat();
            office.cloud().add_job(NewJob::pdf("big.pdf", text))
        })
        .collect();
    let script = office.script("echo \"$DOCJOBS_JOB_ID\" >> ran\n");
    let mut child = office
        .command(&[
            "printer", "run", "--spool", "spool", "--once", "--exec", &script,
        ])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut ended = false;
    until("so many commands", || {
        ended = child.try_wait().unwrap().is_some();
        ended || office.cloud().commands().len() >= commands
    })
    .await;
    pause(later).await;
    kill(child).await;
    let ran = office.once(&["--exec", &script]).await;
    assert!(
        matches!(ran.exit, 0 | 5),
        "{commands}: {} {}",
        ran.exit,
        ran.stderr
    );
    let lines = office.lines("ran");
    let mut in_doubt = 0;
    for id in &ids {
        let count = lines.iter().filter(|line| *line == id).count();
        assert!(count <= 1, "{commands}: {lines:?}");
        match office.job(id).status {
            PRINTED => assert_eq!(count, 1, "{commands}: {id} was not printed"),
            FAILED => in_doubt += 1,
            other => panic!("{commands}: {id} is left at {other}"),
        }
    }
    assert_eq!(ran.exit == 5, in_doubt > 0, "{commands}: {}", ran.stderr);
    let whole = office.spool();
    assert!(whole.keys().filter(|name| name.ends_with(".pdf")).count() <= 3);
    for (name, bytes) in whole.iter().filter(|(name, _)| !name.starts_with('.')) {
        assert_eq!(
            bytes.len(),
            office.job(name.trim_end_matches(".pdf")).size,
            "{commands}: {name}"
        );
    }
    let rows = office.rows().await;
    let settled = |row: &Value| row["stage"] == "completed" || row["stage"] == "failed";
    assert!(
        rows.len() == 3 && rows.iter().all(settled),
        "{commands}: {rows:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_instant_every_job_is_printed_at_most_once_and_reported() {
    // Login takes three commands, listing one, each job three pieces and a report.
    let mut runs = tokio::task::JoinSet::new();
    for commands in [3, 5, 7, 8, 9, 12, 13] {
        let later = Duration::from_millis(u64::try_from(commands).unwrap() * 3 % 20);
        runs.spawn(killed_after(commands, later));
    }
    while let Some(run) = runs.join_next().await {
        run.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_printer_that_stays_on_prints_what_is_pushed_and_ends_on_request() {
    let office = Office::open().await;
    let script = office.script("echo \"$DOCJOBS_DOC_NAME\" >> ran\n");
    let mut child = office
        .command(&["printer", "run", "--spool", "spool", "--exec", &script])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    until("it is online", || office.cloud().device().online()).await;
    until("it has looked", || office.cloud().list_requests() > 0).await;
    for name in ["one", "two"] {
        let id = office.cloud().add_job(NewJob::pdf(name, pdf(name)));
        until("it is reported", || office.job(&id).status == PRINTED).await;
    }
    assert_eq!(office.lines("ran"), ["one", "two"]);
    terminate(&child).await;
    let status = child.wait().await.unwrap();
    assert_eq!(status.signal(), Some(15));
    until("it has hung up", || !office.cloud().device().online()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_printer_that_is_asked_to_end_finishes_the_job_at_hand() {
    let office = Office::open().await;
    for name in ["a.pdf", "b.pdf"] {
        office.cloud().add_job(NewJob::pdf(name, pdf(name)));
    }
    let script = office.script(SLOW);
    let mut child = office
        .command(&["printer", "run", "--spool", "spool", "--exec", &script])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    until("the command runs", || office.lines("ran").len() == 1).await;
    terminate(&child).await;
    std::fs::write(office.path("release"), "").unwrap();
    assert_eq!(child.wait().await.unwrap().signal(), Some(15));
    let ran = office.lines("ran");
    assert_eq!(ran.len(), 1);
    for job in office.cloud().jobs() {
        let status = if job.jobid == ran[0] { PRINTED } else { 0 };
        assert_eq!(job.status, status, "{}", job.doc_name);
    }
}

async fn terminate(child: &Child) {
    let line = format!("kill -TERM {}", child.id().unwrap());
    let sent = Command::new("sh").args(["-c", &line]).status().await;
    assert!(sent.unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_printer_that_is_asked_twice_leaves_the_job_in_doubt() {
    let office = Office::open().await;
    let id = office.cloud().add_job(NewJob::pdf("a.pdf", pdf("a")));
    let script = office.script(SLOW);
    let mut child = office
        .command(&["printer", "run", "--spool", "spool", "--exec", &script])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    until("the command runs", || office.lines("ran").len() == 1).await;
    terminate(&child).await;
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    while let Some(line) = lines.next_line().await.unwrap() {
        if line.contains("is finished first") {
            break;
        }
    }
    // Signals close together are one.
    while child.try_wait().unwrap().is_none() {
        terminate(&child).await;
    }
    assert_eq!(child.wait().await.unwrap().signal(), Some(15));
    assert_eq!(office.job(&id).status, 0);
    let ran = office.once(&["--exec", &script]).await;
    assert_eq!(
        (ran.exit, office.lines("ran").len()),
        (5, 1),
        "{}",
        ran.stderr
    );
    assert_eq!(office.reported(&id), [Value::from(1)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_does_not_end_is_ended_at_the_deadline() {
    let office = Office::at_speed(1.0).await;
    let id = office.cloud().add_job(NewJob::pdf("a.pdf", pdf("a")));
    let ran = office
        .once(&["--exec", &office.script(SLOW), "--deadline", "3s"])
        .await;
    assert_eq!(ran.exit, 3, "{}", ran.stderr);
    assert_eq!(
        (office.lines("ran").len(), office.reported(&id)),
        (1, vec![Value::from(1)])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_file_in_the_spool_is_used_and_anything_else_is_left_alone() {
    let office = Office::open().await;
    let whole = office.cloud().add_job(NewJob::pdf("a.pdf", pdf("a")));
    let other = office.cloud().add_job(NewJob::pdf("b.pdf", pdf("b")));
    std::fs::create_dir(office.path("spool")).unwrap();
    let place = |id: &str| office.path("spool").join(format!("{id}.pdf"));
    std::fs::write(place(&whole), pdf("a")).unwrap();
    std::fs::write(place(&other), "precious").unwrap();
    for _ in 0..2 {
        let ran = office
            .once(&["--exec", &office.script("echo >> ran")])
            .await;
        assert_eq!(ran.exit, 3, "{}", ran.stderr);
        assert!(ran.stderr.contains(&other), "{}", ran.stderr);
        assert_eq!(std::fs::read(place(&other)).unwrap(), b"precious");
    }
    assert_eq!(
        (office.job(&whole).downloads, office.job(&whole).status),
        (0, PRINTED)
    );
    assert_eq!(
        (office.job(&other).downloads, office.job(&other).status),
        (0, 0)
    );
    std::fs::remove_file(place(&other)).unwrap();
    let ran = office.once(&[]).await;
    assert_eq!(
        (ran.exit, office.job(&other).status),
        (0, PRINTED),
        "{}",
        ran.stderr
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_has_the_keys_that_scripts_rely_on() {
    let office = Office::open().await;
    let id = office.cloud().add_job(
        NewJob::pdf("plan\u{1b}[31m.docx", pdf("plan"))
            .by("mei")
            .with_setting("份数", &["2"]),
    );
    let ran = office.run(&["printer", "list", "--json"]).await;
    assert_eq!(ran.exit, 0, "{}", ran.stderr);
    let job: Value = serde_json::from_str(ran.stdout.trim()).unwrap();
    let keys: Vec<&String> = job.as_object().unwrap().keys().collect();
    assert_eq!(
        keys,
        [
            "created_at",
            "doc_name",
            "doc_size",
            "format",
            "job_id",
            "settings",
            "status",
            "user"
        ]
    );
    assert_eq!(
        (&job["job_id"], &job["status"], &job["format"]),
        (&id.as_str().into(), &"unprinted".into(), &"pdf".into())
    );
    assert_eq!(
        (&job["user"], &job["doc_size"]),
        (&"mei".into(), &pdf("plan").len().into())
    );
    assert_eq!(job["settings"], serde_json::json!({ "份数": ["2"] }));
    assert!(job["created_at"].as_str().unwrap().ends_with('Z'), "{job}");

    let ran = office.run(&["printer", "list"]).await;
    assert!(
        ran.exit == 0 && ran.stdout.contains(&id) && !ran.stdout.contains('\u{1b}'),
        "{}",
        ran.stdout
    );

    office.once(&[]).await;
    let ran = office.run(&["printer", "list", "--json"]).await;
    assert_eq!((ran.exit, ran.stdout.as_str()), (0, ""), "{}", ran.stderr);
    let ran = office.run(&["printer", "list", "--all", "--json"]).await;
    let job: Value = serde_json::from_str(ran.stdout.trim()).unwrap();
    assert_eq!(job["status"], "printed");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unbound_printer_is_told_so_and_keeps_no_secret() {
    let office = Office::open().await;
    let mut child = office
        .command(&["printer", "run", "--spool", "spool"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    until("it is online", || office.cloud().device().online()).await;
    until("it has looked", || office.cloud().list_requests() > 0).await;
    let secrets = |files: BTreeMap<String, Vec<u8>>| {
        let holds = |bytes: &Vec<u8>| String::from_utf8_lossy(bytes).contains("\"secret\"");
        files.values().filter(|bytes| holds(bytes)).count()
    };
    assert_eq!(secrets(contents(&office.path("state"))), 1);
    office.cloud().unbind();
    assert_eq!(child.wait().await.unwrap().code(), Some(6));
    assert_eq!(secrets(contents(&office.path("state"))), 0);
    for args in [
        &["printer", "list"][..],
        &["printer", "run", "--spool", "spool", "--once"],
        &["printer", "run", "--spool", "spool"],
    ] {
        let ran = office.run(args).await;
        assert_eq!(ran.exit, 6, "{args:?}: {}", ran.stderr);
        assert!(ran.stderr.contains("bind"), "{}", ran.stderr);
    }
    assert_eq!(secrets(contents(&office.path("state"))), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_credentials_and_absent_clouds_have_their_exit_codes() {
    let office = Office::open().await;
    for (name, value, exit) in [
        ("WECOM_PRINTER_SECRET_NO", "0000", 6),
        ("WECOM_PRINTER_SN", "NO-SUCH-SN", 6),
        ("WECOM_PRINTER_URL", "ws://127.0.0.1:1/", 8),
        ("WECOM_PRINTER_URL", "ws://printer.example/", 2),
        ("WECOM_PRINTER_URL", "wss://printer.example/", 2),
        ("WECOM_PRINTER_URL", "", 2),
        ("WECOM_PRINTER_SN", "", 2),
    ] {
        let output = office
            .command(&["printer", "list"])
            .env(name, value)
            .output()
            .await
            .unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(exit), "{name}={value}: {stderr}");
    }
}
