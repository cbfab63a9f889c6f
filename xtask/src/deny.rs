//! `deny [--advisories]`: what comes into the tree from others: licences, sources, second versions, and how new a Rust they
//! ask for.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use crate::{metadata, tool};

/// A package of the lock file and the oldest Rust it says it builds with.
#[derive(Debug, Deserialize)]
struct Package {
    name: String,
    version: String,
    rust_version: Option<String>,
}

/// Checks the oldest Rust of every dependency, then runs cargo-deny. Advisories lie on a server, so they are asked for only
/// when that is wanted.
pub(crate) fn run(root: &Path, words: &[&str]) -> Result<()> {
    let advisories = match words {
        [] => false,
        ["--advisories"] => true,
        _ => bail!("say `cargo xtask deny [--advisories]`"),
    };
    oldest_rust(root)?;
    tool::DENY.require()?;
    let mut checks = vec!["licenses", "bans", "sources"];
    if advisories {
        checks.push("advisories");
    }
    let status = Command::new(metadata::cargo())
        .args(["deny", "check", "--hide-inclusion-graph"])
        // A second version that is excused and gone must not stay excused.
        .args(["-D", "unmatched-skip", "-D", "unnecessary-skip"])
        .args(&checks)
        .current_dir(root)
        .status()
        .context("cannot start cargo")?;
    if !status.success() {
        bail!("cargo-deny found something: see deny.toml");
    }
    Ok(())
}

/// Nothing in the lock file asks for a newer Rust than we say we build with.
fn oldest_rust(root: &Path) -> Result<()> {
    #[derive(Deserialize)]
    struct Locked {
        packages: Vec<Package>,
    }
    let output = Command::new(metadata::cargo())
        .args(["metadata", "--locked", "--format-version", "1"])
        .current_dir(root)
        .output()
        .context("cannot start cargo")?;
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr);
        bail!("cargo metadata: {}", why.trim());
    }
    let locked: Locked =
        serde_json::from_slice(&output.stdout).context("cargo metadata answered something else")?;
    let ours = locked
        .packages
        .iter()
        .find(|package| package.name == "jobs-core")
        .and_then(|package| package.rust_version.clone())
        .context("jobs-core states no rust-version")?;
    let newer = asking_for_more(&locked.packages, &ours);
    if !newer.is_empty() {
        bail!("rust-version is {ours}, but {}", newer.join(", "));
    }
    println!(
        "{} packages, none of which asks for more than Rust {ours}",
        locked.packages.len()
    );
    Ok(())
}

fn asking_for_more(packages: &[Package], ours: &str) -> Vec<String> {
    let ours = number(ours);
    packages
        .iter()
        .filter_map(|package| {
            let theirs = package.rust_version.as_deref()?;
            let (name, version) = (&package.name, &package.version);
            (number(theirs) > ours).then(|| format!("{name} {version} asks for {theirs}"))
        })
        .collect()
}

/// `1.94` and `1.94.0` are the same.
fn number(version: &str) -> (u32, u32, u32) {
    let mut parts = version.split('.').map(|part| part.parse().unwrap_or(0));
    let mut next = || parts.next().unwrap_or(0);
    (next(), next(), next())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dependency_that_asks_for_a_newer_rust_is_named() {
        let package = |name: &str, rust: Option<&str>| Package {
            name: name.to_owned(),
            version: "2.1.0".to_owned(),
            rust_version: rust.map(str::to_owned),
        };
        let packages = [
            package("old", Some("1.9")),
            package("same", Some("1.94.0")),
            package("silent", None),
            package("new", Some("1.94.1")),
            package("newer", Some("1.100")),
        ];
        assert_eq!(
            asking_for_more(&packages, "1.94"),
            ["new 2.1.0 asks for 1.94.1", "newer 2.1.0 asks for 1.100"]
        );
    }
}
