//! Documents and disks that go wrong in the middle of a batch: one clear line for each, and the rest goes on.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use jobs_core::clock::SystemClock;
use vendor_sim::fault::{Fault, Times};

use crate::batch::{below, files, read, submits};
use crate::stage::Stage;

/// The line of stderr that begins with these words.
fn line<'a>(stderr: &'a str, beginning: &str) -> &'a str {
    let mut lines = stderr.lines().filter(|line| line.starts_with(beginning));
    let line = lines
        .next()
        .unwrap_or_else(|| panic!("no line {beginning:?}: {stderr}"));
    assert_eq!(lines.next(), None, "{stderr}");
    line
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_in_a_folder_is_named_and_the_rest_goes_on() {
    let stage = Stage::new().await;
    files(&stage, &[("in/a.txt", "# a\n"), ("in/b/c.txt", "# c\n")]);
    let at = |name: &str| stage.path(name);
    std::os::unix::fs::symlink(at("in"), at("in/b/loop")).unwrap();
    std::os::unix::fs::symlink(at("nowhere"), at("in/gone.txt")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(at("in/socket.txt")).unwrap();
    let command = ["textin", "parse", "in", "--out", "out"];
    let ran = stage.run(&command).await;
    assert_eq!(ran.exit, 1, "{}", ran.stderr);
    assert!(line(&ran.stderr, "cannot read in/gone.txt").contains("No such file"));
    assert!(line(&ran.stderr, "cannot read in/socket.txt").contains("regular file"));
    assert!(!ran.stderr.contains("loop"), "{}", ran.stderr);
    assert_eq!(below(&stage, "out"), ["a.md", "b/c.md"]);
    let ran = stage
        .run(&[
            "textin",
            "parse",
            "in/a.txt",
            "in/socket.txt",
            "--out",
            "out",
        ])
        .await;
    assert_eq!(ran.exit, 2, "{}", ran.stderr);
    assert!(ran.stderr.contains("in/socket.txt"), "{}", ran.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_document_that_no_vendor_takes_is_refused_unread() {
    let stage = Stage::new().await;
    files(
        &stage,
        &[("notes.txt", "notes\n"), ("x.zip", "zip"), ("void.txt", "")],
    );
    // Far more than could be read in this time.
    let large = std::fs::File::create(stage.path("large.pdf")).unwrap();
    large.set_len(1 << 40).unwrap();
    for (command, words) in [
        ("textin parse x.zip", "x.zip is of no type"),
        ("textin parse void.txt", "void.txt is empty"),
        (
            "textin parse large.pdf",
            "large.pdf has 1099511627776 bytes",
        ),
        ("textin parse gone.pdf", "cannot read gone.pdf"),
        ("textin parse - --name x.zip", "x.zip is of no type"),
        ("ppj convert notes.txt", "notes.txt is of no type"),
        ("ppj convert http://127.0.0.1/a.pptx", "takes files only"),
        ("tencent-ess convert x.zip", "x.zip is of no type"),
    ] {
        let words_of: Vec<&str> = command.split(' ').collect();
        let ran = stage.run(&words_of).await;
        assert_eq!(ran.exit, 2, "{command}: {}", ran.stderr);
        assert!(ran.stderr.contains(words), "{command}: {}", ran.stderr);
    }
    assert_eq!(submits(&stage), 0);
    assert!(stage.simulators.ppj().requests().is_empty());
    let ran = stage.run(&["jobs", "--json"]).await;
    assert_eq!(ran.stdout, "", "nothing was recorded");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_the_file_system_does_not_take_is_refused_before_anything_is_sent() {
    let stage = Stage::new().await;
    // Two that meet keep their extensions, and are too long then.
    let long = "x".repeat(249);
    let names = [format!("in/{long}.txt"), format!("in/{long}.html")];
    files(&stage, &[(&names[0], "# a\n"), (&names[1], "<p>b</p>")]);
    for more in [&[][..], &["--overwrite"]] {
        let command = ["textin", "parse", "in", "--out", "out"];
        let ran = stage.run(&[&command[..], more].concat()).await;
        assert_eq!(ran.exit, 2, "{}", ran.stderr);
        assert!(ran.stderr.contains("rename the document"), "{}", ran.stderr);
    }
    assert_eq!(submits(&stage), 0);
    let ran = stage.run(&["jobs", "--json"]).await;
    assert_eq!(ran.stdout, "", "nothing was recorded");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_that_changes_or_vanishes_while_it_waits_is_not_bought() {
    let stage = Stage::new().await;
    let many: Vec<(String, String)> = (0..6)
        .map(|n| (format!("in/{n}.txt"), format!("# {n}\n")))
        .collect();
    let many: Vec<(&str, &str)> = many.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
    files(&stage, &many);
    // Four paid calls are under way at once; the others wait until one of them is answered.
    let textin = stage.simulators.textin();
    textin.set_fault_times("submit", Fault::Delay { seconds: 100.0 }, Times::Always);
    let command = ["textin", "parse", "in", "--out", "out"];
    let mut process = stage.command(&command);
    let running = process.stderr(Stdio::piped()).spawn().unwrap();
    let clock = SystemClock::shared();
    for _ in 0..4000 {
        if submits(&stage) == 4 {
            break;
        }
        let pause = Duration::from_millis(5);
        clock.sleep_until(clock.now() + pause).await;
    }
    assert_eq!(submits(&stage), 4);
    std::fs::remove_file(stage.path("in/4.txt")).unwrap();
    std::fs::write(stage.path("in/5.txt"), "# changed\n").unwrap();
    textin.faults().clear();
    let ended = running.wait_with_output().await.unwrap();
    let stderr = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(1), "{stderr}");
    assert!(line(&stderr, "in/4.txt: ").contains("No such file"));
    assert!(line(&stderr, "in/5.txt: ").contains("no longer what it was"));
    assert_eq!(below(&stage, "out"), ["0.md", "1.md", "2.md", "3.md"]);
    assert_eq!(submits(&stage), 4);

    files(&stage, &[("in/4.txt", "# 4\n")]);
    let ran = stage.run(&command).await;
    assert_eq!(ran.exit, 0, "{}", ran.stderr);
    assert_eq!(below(&stage, "out").len(), 6);
    assert_eq!(read(&stage, "out/5.md"), "# changed\n");
    assert_eq!(textin.charges().len(), 6);
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_is_full_in_the_middle_parks_what_does_not_fit_and_the_rest_goes_on() {
    use std::io::Write as _;

    let stage = Stage::new().await;
    let large = format!("# large\n{}\n", "x".repeat(90_000));
    files(
        &stage,
        &[
            ("in/a.txt", "# a\n"),
            ("in/large.txt", &large),
            ("in/z.txt", "# z\n"),
        ],
    );
    std::fs::create_dir(stage.path("out")).unwrap();
    let on_small_disk = |own_users: bool, program: &[&str]| {
        let mount = "mount -t tmpfs -o size=64k none out && exec \"$@\"";
        let mut command = stage.foreign_command(Path::new("/usr/bin/unshare"));
        command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        command.args(own_users.then_some("--map-root-user"));
        command.args(["--mount", "sh", "-c", mount, "sh"]);
        command.args(program);
        command
    };
    let mut own_users = None;
    for candidate in [false, true] {
        let tried = on_small_disk(candidate, &["true"]).status().await;
        if tried.is_ok_and(|status| status.success()) {
            own_users = Some(candidate);
            break;
        }
    }
    let Some(own_users) = own_users else {
        // Past the capture of the test runner, so that it is seen.
        let line = b"SKIPPED: the test of a full disk, because no small disk can be mounted here\n";
        let _ = std::io::stderr().write_all(line);
        return;
    };
    let command = ["textin", "parse", "in", "--out", "out"];
    let program = [&[env!("CARGO_BIN_EXE_docjobs")], &command[..]].concat();
    let ended = on_small_disk(own_users, &program).output().await.unwrap();
    let stderr = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(4), "{stderr}");
    assert!(line(&stderr, "in/large.txt: ").contains("make room on the disk"));
    assert!(stderr.contains("2 completed"), "{stderr}");

    // The small disk is gone with what was on it: everything is had again, and nothing is bought.
    let ran = stage.run(&command).await;
    assert_eq!(ran.exit, 0, "{}", ran.stderr);
    assert_eq!(below(&stage, "out"), ["a.md", "large.md", "z.md"]);
    assert_eq!(read(&stage, "out/large.md"), large);
    assert_eq!(submits(&stage), 3);
}
