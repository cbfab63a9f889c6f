//! A place that can be written but not named the usual way, as exFAT, SMB and FUSE have it: calls of the kernel are refused
//! as such a mount refuses them.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::stand_in::{Ran, StandIn, Step, Vendor};

/// Names the program that makes the kernel refuse, which must run then. Without it a machine that has none says so.
const PROGRAM: &str = "DOCJOBS_TEST_STRACE";

fn strace() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os(PROGRAM) {
        return Some(named.into());
    }
    let found = Some(PathBuf::from("/usr/bin/strace")).filter(|path| path.exists());
    if found.is_none() {
        println!("skipped: no strace here; `apt-get install strace` brings one");
    }
    found
}

/// A mount on which these calls end with these errors.
struct Mount {
    strace: PathBuf,
    refused: Vec<(&'static str, &'static str)>,
}

impl Mount {
    fn new(refused: &[(&'static str, &'static str)]) -> Option<Self> {
        Some(Self {
            strace: strace()?,
            refused: refused.to_vec(),
        })
    }

    /// No hard links, and no rename that looks first.
    fn without_links(error: &'static str) -> Option<Self> {
        Self::new(&[("link,linkat", error), ("renameat2", "EINVAL")])
    }

    fn run(&self, vendor: &StandIn, line: &[&str]) -> Ran {
        let plain = vendor.command(line);
        let mut command = Command::new(&self.strace);
        command.args(["-f", "-qq", "-o", "/dev/null"]);
        for (calls, error) in &self.refused {
            command.args(["-e", &format!("inject={calls}:error={error}")]);
        }
        command
            .arg("--")
            .arg(plain.get_program())
            .args(plain.get_args())
            .current_dir(plain.get_current_dir().unwrap())
            .env_clear()
            .stdin(Stdio::null());
        for (name, value) in plain.get_envs() {
            command.env(name, value.unwrap_or_default());
        }
        Ran::of(command)
    }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn a_result_gets_its_name_another_way() {
    for error in ["EPERM", "EOPNOTSUPP", "ENOSYS", "EINVAL", "EMLINK"] {
        let Some(mount) = Mount::without_links(error) else {
            return;
        };
        let vendor = StandIn::new(Vendor::TextIn, |_, _| None);
        std::fs::create_dir(vendor.path("to")).unwrap();
        let line = ["textin", "parse", "a.pdf", "-o", "to/r.md"];
        mount.run(&vendor, &line).ended(0, &[]);
        assert_eq!(text(&vendor.path("to/r.md")), "# ok", "{error}");
        assert_eq!(names(&vendor.path("to")), ["r.md"], "{error}");
        assert_eq!(vendor.count(Step::Submit), 1);
    }
}

#[test]
fn so_do_those_of_a_batch_and_of_a_worker() {
    let Some(mount) = Mount::without_links("EPERM") else {
        return;
    };
    let vendor = StandIn::new(Vendor::TextIn, |_, _| None);
    std::fs::create_dir(vendor.path("from")).unwrap();
    std::fs::copy(vendor.path("a.pdf"), vendor.path("from/one.pdf")).unwrap();
    let batch = ["textin", "parse", "from", "--out", "to"];
    mount.run(&vendor, &batch).ended(0, &[]);
    assert_eq!(names(&vendor.path("to")), ["one.md"]);
    let later = ["textin", "parse", "b.pdf", "-o", "worked/r.md", "--no-wait"];
    std::fs::create_dir(vendor.path("worked")).unwrap();
    std::fs::write(vendor.path("b.pdf"), "%PDF-1.4\n% another\n%%EOF\n").unwrap();
    mount.run(&vendor, &later).ended(0, &[]);
    let work = ["work", "--once", "--out", "worked"];
    mount.run(&vendor, &work).ended(0, &[]);
    assert_eq!(names(&vendor.path("worked")), ["r.md"]);
    assert_eq!(vendor.count(Step::Submit), 2);
}

#[test]
fn what_lies_there_is_not_replaced() {
    let Some(mount) = Mount::without_links("EPERM") else {
        return;
    };
    let vendor = StandIn::new(Vendor::TextIn, |_, _| None);
    std::fs::write(vendor.path("r.md"), "of others").unwrap();
    let line = ["textin", "parse", "a.pdf", "-o", "r.md"];
    mount.run(&vendor, &line).ended(2, &["r.md"]);
    assert_eq!(text(&vendor.path("r.md")), "of others");
    assert_eq!(vendor.count(Step::Submit), 0);
    let replacing = ["textin", "parse", "a.pdf", "-o", "r.md", "--overwrite"];
    mount.run(&vendor, &replacing).ended(0, &[]);
    assert_eq!(text(&vendor.path("r.md")), "# ok");
}

#[test]
fn a_place_where_nothing_can_be_named_is_refused_before_anything_is_sent() {
    for (error, said) in [
        ("EPERM", "Operation not permitted"),
        ("EROFS", "Read-only file system"),
        ("EIO", "Input/output error"),
    ] {
        let renames = "link,linkat,rename,renameat,renameat2";
        let Some(mount) = Mount::new(&[(renames, error)]) else {
            return;
        };
        let vendor = StandIn::new(Vendor::TextIn, |_, _| None);
        std::fs::create_dir(vendor.path("to")).unwrap();
        let line = ["textin", "parse", "a.pdf", "-o", "to/r.md"];
        let ran = mount.run(&vendor, &line);
        ran.ended(2, &[said, "to"]);
        assert!(!ran.stderr.contains("room"), "{ran:#?}");
        assert_eq!(vendor.count(Step::Submit), 0, "{error}");
        assert!(names(&vendor.path("to")).is_empty(), "{error}");
    }
}
