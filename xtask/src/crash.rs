//! `crash [--runs N] [--seed S] …`: builds the command and the crash harness, and runs the one against the other.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

use crate::metadata;
use crate::program::finish;

/// Fast to build; what a run costs is disk and system calls, not our code.
const PROFILE: &str = "release";

/// Passes the words on to the harness, but for `--profile NAME`.
pub(crate) fn run(root: &Path, words: &[&str]) -> Result<()> {
    let (profile, words) = profile_of(words)?;
    let mut build = Command::new(metadata::cargo());
    build
        .args(["build", "--profile", profile])
        .args(["--package", "docjobs", "--package", "docjobs-tests"])
        .args(["--bin", "docjobs", "--bin", "crash"])
        .current_dir(root);
    finish(&mut build, "cargo build")?;
    let folder = metadata::read(root)?
        .target_directory
        .join(folder_of(profile));
    let mut crash = Command::new(folder.join("crash"));
    crash
        .arg("--docjobs")
        .arg(folder.join("docjobs"))
        .args(words)
        .current_dir(root);
    finish(&mut crash, "the crash harness")
}

/// The profile asked for, and the other words.
fn profile_of<'a>(words: &[&'a str]) -> Result<(&'a str, Vec<&'a str>)> {
    let Some(at) = words.iter().position(|word| *word == "--profile") else {
        return Ok((PROFILE, words.to_vec()));
    };
    let (before, after) = words.split_at(at);
    match after {
        [_, profile, rest @ ..] => Ok((profile, [before, rest].concat())),
        _ => bail!("`--profile` needs a name"),
    }
}

/// The development profile is the only one whose folder has another name.
fn folder_of(profile: &str) -> &str {
    if profile == "dev" { "debug" } else { profile }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_profile_is_ours_and_everything_else_is_the_harness_s() {
        let words = ["--runs", "9", "--profile", "dist", "--seed", "4"];
        let rest = vec!["--runs", "9", "--seed", "4"];
        assert_eq!(profile_of(&words).unwrap(), ("dist", rest.clone()));
        assert_eq!(profile_of(&rest).unwrap(), ("release", rest));
        assert!(profile_of(&["--profile"]).is_err());
        assert_eq!((folder_of("dev"), folder_of("dist")), ("debug", "dist"));
    }
}
