//! `mutants [FILE…]`: breaks the deciding functions one by one, and fails when no test notices.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::{metadata, tool};

/// Where money is spent or kept: what may be repeated, when to look, which moves a job can make, how fast to ask.
const DECIDING: &[&str] = &[
    "crates/jobs-core/src/poller.rs",
    "crates/jobs-core/src/rate_limit/stride_queue.rs",
    "crates/jobs-core/src/rate_limit/sliding_window.rs",
    "crates/jobs-core/src/retry/mod.rs",
    "crates/jobs-core/src/retry/decide.rs",
    "crates/jobs-ledger/src/claim.rs",
    "crates/jobs-ledger/src/rate_slots.rs",
    "crates/jobs-ledger/src/stage.rs",
];
/// Seconds for the tests of one mutant. One that makes them run for ever is noticed by that.
const TIMEOUT: u32 = 120;

/// Runs cargo-mutants over the files, or over the deciding ones.
pub(crate) fn run(root: &Path, files: &[&str]) -> Result<()> {
    let files = if files.is_empty() { DECIDING } else { files };
    let arguments = arguments(root, files)?;
    tool::MUTANTS.require()?;
    let status = Command::new(metadata::cargo())
        .arg("mutants")
        .args(arguments)
        .current_dir(root)
        .status()
        .context("cannot start cargo")?;
    verdict(status.code())
}

/// The flags for these files; each file names its package.
fn arguments(root: &Path, files: &[&str]) -> Result<Vec<String>> {
    let mut packages = BTreeSet::new();
    for file in files {
        let package = file
            .strip_prefix("crates/")
            .and_then(|rest| rest.split_once('/'));
        let (package, _) = package
            .filter(|_| file.ends_with(".rs") && root.join(file).is_file())
            .with_context(|| format!("`{file}` is no Rust file below crates/"))?;
        packages.insert(package);
    }
    let timeout = TIMEOUT.to_string();
    let fixed = [
        "--jobs=1",
        "--no-shuffle",
        "--timeout",
        &timeout,
        "--output",
        "target/mutants",
    ];
    let packages = packages.into_iter().flat_map(|name| ["--package", name]);
    let files = files.iter().flat_map(|file| ["--file", file]);
    let all = fixed.into_iter().chain(packages).chain(files);
    Ok(all.map(str::to_owned).collect())
}

/// What the exit code of cargo-mutants means here.
fn verdict(code: Option<i32>) -> Result<()> {
    match code {
        // Three: nothing survived, and some were noticed by running for ever.
        Some(0 | 3) => Ok(()),
        Some(2) => bail!(
            "mutants survived (target/mutants/mutants.out/missed.txt): write the test that fails, \
             or say in .cargo/mutants.toml why none can"
        ),
        Some(4) => bail!("the tests fail without any mutant"),
        code => bail!("cargo-mutants did not come to an end (exit code {code:?})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deciding_files_are_there_and_each_package_is_named_once() {
        let arguments = arguments(&crate::root(), DECIDING).unwrap();
        let of = |flag: &str| -> Vec<&str> {
            let pairs = arguments.windows(2).filter(|two| two[0] == flag);
            pairs.map(|two| two[1].as_str()).collect()
        };
        assert_eq!(of("--package"), ["jobs-core", "jobs-ledger"]);
        assert_eq!(of("--file"), DECIDING);
    }

    #[test]
    fn what_is_no_file_of_a_crate_is_refused() {
        for file in [
            "crates/jobs-core/src/verdikt.rs",
            "xtask/src/main.rs",
            "crates/jobs-core",
            "--help",
        ] {
            assert!(arguments(&crate::root(), &[file]).is_err(), "{file}");
        }
    }

    #[test]
    fn only_survivors_and_trouble_fail() {
        for (code, is_ok) in [
            (Some(0), true),
            (Some(3), true),
            (Some(2), false),
            (Some(4), false),
            (None, false),
        ] {
            assert_eq!(verdict(code).is_ok(), is_ok, "{code:?}");
        }
    }
}
