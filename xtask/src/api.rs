//! `api --check | --bless [NAME…]`: the public API of each published crate, with all features, against its `public-api.txt`.
//!
//! rustdoc tells it as JSON, which is a switch of nightly compilers; ours has it all the same, by a variable. Only rustdoc gets
//! that variable: with it, many dependencies would be built anew.

use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, bail};

use crate::metadata::{self, Package, cargo};

const SNAPSHOT: &str = "public-api.txt";
/// Set for ourselves when cargo starts us in the place of rustdoc.
const AS_RUSTDOC: &str = "DOCJOBS_XTASK_IS_RUSTDOC";

/// Compares the snapshots, or writes them.
pub(crate) fn run(root: &Path, words: &[&str]) -> Result<()> {
    let (bless, names) = match words {
        ["--check", names @ ..] => (false, names),
        ["--bless", names @ ..] => (true, names),
        _ => bail!("say `cargo xtask api --check` or `--bless`, and perhaps crates"),
    };
    let metadata = metadata::read(root)?;
    let published: Vec<&Package> = metadata
        .packages
        .iter()
        .filter(|package| package.is_published() && package.has_library())
        .collect();
    if let Some(unknown) = names
        .iter()
        .find(|name| !published.iter().any(|package| package.name == **name))
    {
        bail!("there is no published crate `{unknown}`");
    }
    let mut changed = Vec::new();
    for package in published {
        if !names.is_empty() && !names.contains(&package.name.as_str()) {
            continue;
        }
        let now = listing(root, package)?;
        let path = package.folder().join(SNAPSHOT);
        let before = fs::read_to_string(&path).unwrap_or_default();
        if now == before {
            continue;
        }
        if bless {
            fs::write(&path, &now).with_context(|| format!("cannot write {}", path.display()))?;
            println!("{}: written", package.name);
        } else {
            for line in difference(&before, &now) {
                println!("{}: {line}", package.name);
            }
            changed.push(package.name.as_str());
        }
    }
    if changed.is_empty() {
        return Ok(());
    }
    bail!(
        "the public API of {} changed: `cargo xtask api --bless` takes it over; what is gone or different is breaking",
        changed.join(", ")
    )
}

/// One item a line, sorted.
fn listing(root: &Path, package: &Package) -> Result<String> {
    let exe = std::env::current_exe().context("cannot tell where this program is")?;
    let status = Command::new(cargo())
        .args(["rustdoc", "--quiet", "--lib", "--all-features", "--package"])
        .arg(&package.name)
        .args(["--", "-Z", "unstable-options", "--output-format", "json"])
        .env("RUSTDOC", exe)
        .env(AS_RUSTDOC, "1")
        .current_dir(root)
        .status()
        .context("cannot start cargo")?;
    if !status.success() {
        bail!("rustdoc cannot describe {} ({status})", package.name);
    }
    let json = root
        .join("target/doc")
        .join(package.name.replace('-', "_"))
        .with_extension("json");
    let output = Command::new(cargo())
        .args([
            "run",
            "--quiet",
            "--locked",
            "--manifest-path",
            "xtask/api/Cargo.toml",
        ])
        .args(["--target-dir", "target/api", "--"])
        .arg(&json)
        .current_dir(root)
        .output()
        .context("cannot start cargo")?;
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr);
        bail!(
            "{}: {} (another compiler? each public-api of xtask/api/Cargo.toml reads one format of rustdoc's JSON)",
            package.name,
            why.trim()
        );
    }
    String::from_utf8(output.stdout).context("the listing is no text")
}

/// Whether cargo started us in the place of rustdoc, and then how rustdoc ended.
pub(crate) fn as_rustdoc() -> Option<ExitCode> {
    std::env::var_os(AS_RUSTDOC)?;
    let status = Command::new("rustdoc")
        .args(std::env::args_os().skip(1))
        .env("RUSTC_BOOTSTRAP", "1")
        .env_remove(AS_RUSTDOC)
        .status();
    let code = status.ok().and_then(|status| status.code());
    Some(code.map_or(ExitCode::FAILURE, |code| {
        ExitCode::from(u8::try_from(code).unwrap_or(1))
    }))
}

/// Lines that are gone, then lines that are new.
fn difference(before: &str, now: &str) -> Vec<String> {
    let only = |these: &str, those: &str, sign: &str| -> Vec<String> {
        these
            .lines()
            .filter(|line| !those.lines().any(|other| other == *line))
            .map(|line| format!("{sign} {line}"))
            .collect()
    };
    let mut lines = only(before, now, "-");
    lines.extend(only(now, before, "+"));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_gone_and_what_is_new_is_told() {
        let before = "pub fn a::old()\npub fn a::same()\n";
        let now = "pub fn a::same()\npub fn a::new()\n";
        assert_eq!(
            difference(before, now),
            ["- pub fn a::old()", "+ pub fn a::new()"]
        );
        assert!(difference(now, now).is_empty());
    }

    #[test]
    fn every_published_crate_has_a_snapshot() {
        let metadata = metadata::read(&crate::root()).unwrap();
        for package in metadata
            .packages
            .iter()
            .filter(|package| package.is_published() && package.has_library())
        {
            let text = fs::read_to_string(package.folder().join(SNAPSHOT)).unwrap_or_default();
            let library = package.name.replace('-', "_");
            assert!(
                text.contains(&format!("pub mod {library}\n")),
                "{}",
                package.name
            );
        }
    }
}
