//! `fuzz --list | NAME [--seconds N]`: throws made-up input at one target of `tests/fuzz`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::{metadata, tool};

const FOLDER: &str = "tests/fuzz";
const SECONDS: u32 = 60;

/// What the words after `fuzz` ask for.
#[derive(Debug, PartialEq)]
enum Request<'a> {
    List,
    Run { name: &'a str, seconds: u32 },
}

/// A program below `tests/fuzz`.
#[derive(Debug, PartialEq)]
struct Target {
    name: String,
    about: String,
}

/// Lists the targets, or runs one.
pub(crate) fn run(root: &Path, words: &[&str]) -> Result<()> {
    let targets = targets(&root.join(FOLDER).join("fuzz_targets"))?;
    match request(words)? {
        Request::List => {
            for target in &targets {
                println!("{:9} {}", target.name, target.about);
            }
            Ok(())
        }
        Request::Run { name, seconds } => {
            choose(&targets, name)?;
            tool::FUZZ.require()?;
            fuzz(root, name, seconds)
        }
    }
}

fn request<'a>(words: &[&'a str]) -> Result<Request<'a>> {
    match words {
        ["--list"] => Ok(Request::List),
        [name] if !name.starts_with('-') => Ok(Request::Run {
            name,
            seconds: SECONDS,
        }),
        [name, "--seconds", seconds] | ["--seconds", seconds, name] if !name.starts_with('-') => {
            match seconds.parse() {
                // To libFuzzer, no seconds are no limit.
                Ok(0) | Err(_) => bail!("`{seconds}` is no number of seconds"),
                Ok(seconds) => Ok(Request::Run { name, seconds }),
            }
        }
        _ => bail!("say `cargo xtask fuzz --list` or `cargo xtask fuzz NAME [--seconds N]`"),
    }
}

/// One target per file, so that no list of them has to be kept.
fn targets(folder: &Path) -> Result<Vec<Target>> {
    let mut targets = Vec::new();
    let entries =
        fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "rs") {
            continue;
        }
        let text =
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let first = text.lines().next().unwrap_or_default();
        targets.push(Target {
            name: path
                .file_stem()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned(),
            about: first.trim_start_matches("//!").trim().to_owned(),
        });
    }
    targets.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(targets)
}

fn choose<'a>(targets: &'a [Target], name: &str) -> Result<&'a Target> {
    let found = targets.iter().find(|target| target.name == name);
    found.with_context(|| {
        let known: Vec<&str> = targets.iter().map(|target| target.name.as_str()).collect();
        format!(
            "there is no fuzz target `{name}` (targets: {})",
            known.join(", ")
        )
    })
}

fn fuzz(root: &Path, name: &str, seconds: u32) -> Result<()> {
    let folder = root.join(FOLDER);
    // libFuzzer writes into the first folder only; the others it reads.
    let corpus = folder.join("corpus").join(name);
    fs::create_dir_all(&corpus).with_context(|| format!("cannot make {}", corpus.display()))?;
    let status = Command::new(metadata::cargo())
        // Our crates forbid unsafe code, so that a sanitizer would watch over little and cost half of the tries.
        .args(["fuzz", "run", "--sanitizer", "none", "--fuzz-dir"])
        .arg(&folder)
        .arg(name)
        .arg(&corpus)
        .args(seeds(&folder, name))
        .arg("--")
        .args(limits(seconds))
        .args(dictionary(&folder, name))
        // Coverage is a switch of a nightly compiler; this one has it all the same.
        .env("RUSTC_BOOTSTRAP", "1")
        .current_dir(root)
        .status()
        .context("cannot start cargo")?;
    if !status.success() {
        bail!("`{name}` found something, or did not build ({status}): see {FOLDER}/README.md");
    }
    Ok(())
}

/// How long to go on, and what one input may cost: whoever sends it must not stop a worker or fill its memory.
fn limits(seconds: u32) -> [String; 4] {
    [
        format!("-max_total_time={seconds}"),
        "-timeout=10".to_owned(),
        "-rss_limit_mb=1024".to_owned(),
        "-print_final_stats=1".to_owned(),
    ]
}

/// Words that a target's inputs are made of, where there is a list of them.
fn dictionary(folder: &Path, name: &str) -> Option<String> {
    let words = folder.join("seeds").join(format!("{name}.dict"));
    words
        .is_file()
        .then(|| format!("-dict={}", words.display()))
}

/// Committed inputs to start from, where there are some.
fn seeds(folder: &Path, name: &str) -> Option<PathBuf> {
    let seeds = folder.join("seeds").join(name);
    seeds.is_dir().then_some(seeds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_has_a_name_and_perhaps_seconds() {
        let run = |name, seconds| Request::Run { name, seconds };
        assert_eq!(request(&["frame"]).unwrap(), run("frame", 60));
        assert_eq!(
            request(&["frame", "--seconds", "5"]).unwrap(),
            run("frame", 5)
        );
        assert_eq!(
            request(&["--seconds", "5", "frame"]).unwrap(),
            run("frame", 5)
        );
        assert_eq!(request(&["--list"]).unwrap(), Request::List);
    }

    #[test]
    fn words_that_ask_for_nothing_are_refused() {
        for words in [
            &[][..],
            &["--lits"],
            &["frame", "ticket"],
            &["frame", "--seconds"],
            &["frame", "--seconds", "0"],
            &["frame", "--seconds", "-1"],
            &["frame", "--seconds", "long"],
            &["frame", "--list"],
        ] {
            assert!(request(words).is_err(), "{words:?}");
        }
    }

    #[test]
    fn an_unknown_target_is_refused_by_name() {
        let targets = [Target {
            name: "frame".to_owned(),
            about: String::new(),
        }];
        assert_eq!(choose(&targets, "frame").unwrap().name, "frame");
        let error = choose(&targets, "farme").unwrap_err().to_string();
        assert_eq!(error, "there is no fuzz target `farme` (targets: frame)");
    }

    #[test]
    fn targets_are_the_files_of_their_folder_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        write("b.rs", "//! What b tries.\n#![no_main]\n");
        write("a.rs", "//! What a tries.\n");
        write("notes.md", "# No target\n");
        let target = |name: &str, about: &str| Target {
            name: name.to_owned(),
            about: about.to_owned(),
        };
        assert_eq!(
            targets(folder.path()).unwrap(),
            [target("a", "What a tries."), target("b", "What b tries.")]
        );
    }

    #[test]
    fn every_target_of_the_tree_is_a_program_of_its_manifest() {
        let folder = crate::root().join(FOLDER);
        let manifest = fs::read_to_string(folder.join("Cargo.toml")).unwrap();
        let targets = targets(&folder.join("fuzz_targets")).unwrap();
        assert_eq!(manifest.matches("[[bin]]").count(), targets.len());
        for target in &targets {
            let line = format!("path = \"fuzz_targets/{}.rs\"", target.name);
            assert!(manifest.contains(&line), "{}", target.name);
        }
    }

    #[test]
    fn only_seeds_and_words_that_are_there_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let frame = folder.path().join("seeds").join("frame");
        fs::create_dir_all(&frame).unwrap();
        assert_eq!(seeds(folder.path(), "frame"), Some(frame));
        assert_eq!(seeds(folder.path(), "ticket"), None);
        assert_eq!(dictionary(folder.path(), "frame"), None);
        fs::write(folder.path().join("seeds").join("frame.dict"), "\"a\"\n").unwrap();
        let words = dictionary(folder.path(), "frame").unwrap();
        assert!(
            words.starts_with("-dict=") && words.ends_with("frame.dict"),
            "{words}"
        );
    }
}
