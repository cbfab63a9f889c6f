//! `dist [--profile NAME]`: what people install on this platform, in `target/packages`: an archive, a wheel, npm packages and
//! a Debian package, with the notices of all that is linked in, a bill of materials and checksums.
//!
//! The wheel and the npm packages are laid out here, around the one binary that everybody gets: maturin and npm would
//! build and fetch for themselves. Nothing that is made here downloads anything when it is installed or run.

mod archive;
mod debian;
mod npm;
mod third_party;
mod wheel;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};

use crate::metadata::{self, cargo};

/// Where everything is put; never committed. No folder of cargo's, which names one for each profile: it is emptied first.
const OUT: &str = "target/packages";

/// What is shipped, and for whom.
struct Release {
    version: String,
    /// As `rustc` calls the platform.
    target: String,
    description: String,
    /// The folder with everything that goes into the archive.
    tree: PathBuf,
    binary: PathBuf,
    out: PathBuf,
    /// The C library that the binary asks for at least, `(2, 34)` for glibc 2.34; none where it is static.
    glibc: Option<(u32, u32)>,
    /// Seconds since 1970 of every file: those of the commit, so that the same commit makes the same bytes.
    time: u64,
}

impl Release {
    fn name(&self) -> String {
        format!("docjobs-{}-{}", self.version, self.target)
    }

    /// `x86_64` or `aarch64`.
    fn cpu(&self) -> &str {
        self.target.split('-').next().unwrap_or_default()
    }
}

pub(crate) fn run(root: &Path, words: &[&str]) -> Result<()> {
    let profile = match words {
        [] => "dist",
        ["--profile", name] => name,
        _ => bail!("say `cargo xtask dist [--profile NAME]`"),
    };
    let target = host()?;
    ensure!(
        target.contains("linux"),
        "packages are laid out on Linux; on {target} use `cargo install docjobs`, or the archive made by hand"
    );
    build(root, profile)?;
    let release = lay_out(root, profile, target)?;
    let mut made = vec![archive::tar(&release)?, wheel::make(&release)?];
    made.extend(npm::make(&release)?);
    match debian::make(&release)? {
        Some(package) => made.push(package),
        None => println!("no Debian package: dpkg-deb is missing"),
    }
    archive::checksums(&release, &made)?;
    for path in &made {
        let size = fs::metadata(path)?.len() / 1024;
        println!("{} ({size} KiB)", path.display());
    }
    println!(
        "other platforms: run this on each of them; the npm package `docjobs` names those of Linux and macOS"
    );
    Ok(())
}

fn host() -> Result<String> {
    let output = Command::new("rustc").arg("-vV").output();
    let output = output.context("cannot start rustc")?;
    let told = String::from_utf8_lossy(&output.stdout);
    let host = told.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host
        .context("rustc does not say for which system it builds")?
        .to_owned())
}

fn build(root: &Path, profile: &str) -> Result<()> {
    let mut command = Command::new(cargo());
    command.args(["build", "--locked", "-p", "docjobs", "--profile", profile]);
    succeed(command.current_dir(root))
}

/// Gathers the binary and everything that belongs to it.
fn lay_out(root: &Path, profile: &str, target: String) -> Result<Release> {
    let metadata = metadata::read(root)?;
    let package = metadata.packages.iter().find(|one| one.name == "docjobs");
    let package = package.context("there is no package docjobs")?;
    let folder = if profile == "dev" { "debug" } else { profile };
    let built = metadata.target_directory.join(folder).join("docjobs");
    let out = root.join(OUT);
    if out.exists() {
        fs::remove_dir_all(&out).with_context(|| format!("cannot empty {OUT}"))?;
    }
    let mut release = Release {
        version: package.version.clone(),
        description: package.description.clone().unwrap_or_default(),
        tree: PathBuf::new(),
        binary: PathBuf::new(),
        glibc: glibc_of(&fs::read(&built).with_context(|| built.display().to_string())?),
        time: commit_time(root),
        target,
        out,
    };
    release.tree = release.out.join(release.name());
    fs::create_dir_all(&release.tree)?;
    release.binary = release.tree.join("docjobs");
    fs::copy(&built, &release.binary)?;
    for file in [
        "README.md",
        "README.zh-CN.md",
        "LICENSE-APACHE",
        "LICENSE-MIT",
    ] {
        fs::copy(root.join(file), release.tree.join(file))?;
    }
    let skill = package.folder().join("SKILL.md");
    fs::copy(skill, release.tree.join("SKILL.md"))?;
    let manual = Command::new(&release.binary)
        .arg("manual")
        .arg("--out")
        .arg(&release.tree)
        .status();
    ensure!(
        manual.context("cannot start the binary")?.success(),
        "the binary writes no manual"
    );
    for (name, text) in [
        ("docjobs.service", include_str!("../dist/docjobs.service")),
        ("Containerfile", include_str!("../dist/Containerfile")),
    ] {
        fs::write(release.tree.join(name), text)?;
    }
    let components = third_party::read(root, &release.target)?;
    let notices = third_party::notices(&components)?;
    fs::write(release.tree.join("THIRD-PARTY-LICENSES.txt"), notices)?;
    let bill = third_party::bill_of_materials(&release.version, &release.target, &components);
    let bill = serde_json::to_string_pretty(&bill)?;
    fs::write(release.tree.join("sbom.cdx.json"), bill)?;
    println!("{} packages of others are linked in", components.len());
    Ok(release)
}

/// The highest version of glibc that the binary names.
fn glibc_of(binary: &[u8]) -> Option<(u32, u32)> {
    const NAME: &[u8] = b"GLIBC_";
    let version = |at: usize| {
        let rest = binary.get(at + NAME.len()..)?;
        let end = rest.iter().position(|byte| *byte == 0)?;
        let text = std::str::from_utf8(rest.get(..end.min(16))?).ok()?;
        let mut numbers = text.split('.').map(str::parse);
        match (numbers.next(), numbers.next()) {
            (Some(Ok(major)), Some(Ok(minor))) => Some((major, minor)),
            _ => None,
        }
    };
    let named = binary
        .windows(NAME.len())
        .enumerate()
        .filter(|(_, window)| *window == NAME);
    named.filter_map(|(at, _)| version(at)).max()
}

fn commit_time(root: &Path) -> u64 {
    let output = Command::new("git")
        .args(["log", "-1", "--format=%ct"])
        .current_dir(root)
        .output();
    let text = output.map(|output| output.stdout).unwrap_or_default();
    String::from_utf8_lossy(&text)
        .trim()
        .parse()
        .unwrap_or_default()
}

fn succeed(command: &mut Command) -> Result<()> {
    let program = command.get_program().display().to_string();
    let status = command.status();
    let status = status.with_context(|| format!("cannot start {program}"))?;
    ensure!(status.success(), "{program} failed ({status})");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_lie_in_no_folder_that_a_build_fills() {
        for profile in [
            "debug", "release", "dist", "doc", "package", "peers", "bench",
        ] {
            assert_ne!(OUT, format!("target/{profile}"));
        }
    }

    #[test]
    fn the_c_library_is_read_from_the_binary() {
        let binary = b"\x7fELF\0GLIBC_2.2.5\0GLIBC_2.34\0GLIBC_2.9\0GLIBC_PRIVATE\0";
        assert_eq!(glibc_of(binary), Some((2, 34)));
        assert_eq!(glibc_of(b"\x7fELF"), None);
    }
}
