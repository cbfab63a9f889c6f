//! `package [--quick]`: what would be published, staged under the names it would have there, packed, and used.
//!
//! No registry is asked about our crates: the archives depend on each other, and on versions that the lock file has.

mod consumer_check;
mod manifest;
mod plan;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::metadata::{self, cargo};
use plan::{Crate, Plan};

/// Where everything is put; never committed.
const STAGE: &str = "target/package-stage";
const PROFILE: &[&str] = &[
    "profile.dev.debug=\"line-tables-only\"",
    "profile.dev.package.\"*\".debug=false",
];
const LICENCES: &[&str] = &["LICENSE-APACHE", "LICENSE-MIT"];

/// Stages, packs, and lets a throw-away user have each crate alone. Quickly: what is packed is not built by itself, and users
/// are checked, not run.
pub(crate) fn run(root: &Path, words: &[&str]) -> Result<()> {
    let quick = match words {
        [] => false,
        ["--quick"] => true,
        _ => bail!("say `cargo xtask package [--quick]`"),
    };
    let plan = plan::make(&metadata::read(root)?, |folder| {
        fs::read_to_string(folder.join("CHANGELOG.md")).unwrap_or_default()
    })?;
    println!("{}", plan.told());
    let stage = root.join(STAGE);
    if stage.exists() {
        fs::remove_dir_all(&stage).with_context(|| format!("cannot empty {STAGE}"))?;
    }
    stage_all(root, &stage, &plan)?;
    fetch(root)?;
    pack(root, &stage, quick)?;
    let archives = unpack(root, &stage, &plan)?;
    consumer_check::all(root, &stage, &plan, &archives, quick)
}

/// A workspace of its own with the published crates alone, under their publish names.
fn stage_all(root: &Path, stage: &Path, plan: &Plan) -> Result<()> {
    let manifest = read(&root.join("Cargo.toml"))?;
    write(
        &stage.join("Cargo.toml"),
        &manifest::of_workspace(&manifest, plan)?,
    )?;
    for one in &plan.crates {
        let to = stage.join(&one.place);
        for file in tracked(root, &one.place)? {
            copy(&root.join(&file), &stage.join(&file))?;
        }
        // A licence that asks to be shipped with the code is shipped with each crate.
        for licence in LICENCES {
            copy(&root.join(licence), &to.join(licence))?;
        }
        let path = to.join("Cargo.toml");
        write(&path, &manifest::of_member(&read(&path)?, one)?)?;
    }
    // The versions that everything was tested with. Ours have other names now, which cargo corrects by itself.
    copy(&root.join("Cargo.lock"), &stage.join("Cargo.lock"))
}

/// Brings what the archives and their users are built from to this machine; from then on nobody is asked for anything.
fn fetch(root: &Path) -> Result<()> {
    let output = Command::new("rustc").arg("-vV").output();
    let output = output.context("cannot start rustc")?;
    let told = String::from_utf8_lossy(&output.stdout);
    let host = told.lines().find_map(|line| line.strip_prefix("host: "));
    let host = host.context("rustc does not say for which system it builds")?;
    let mut command = Command::new(cargo());
    command.args(["fetch", "--locked", "--target", host]);
    succeed(command.current_dir(root))
}

/// All in one go and in the order of their needs, which is how siblings find each other without a registry.
fn pack(root: &Path, stage: &Path, quick: bool) -> Result<()> {
    let mut command = Command::new(cargo());
    command.args(["package", "--workspace", "--offline", "--allow-dirty"]);
    command.arg("--target-dir").arg(root.join("target"));
    // Archives have no profiles. As in the workspace, so that what was built there is not built again.
    for setting in PROFILE {
        command.args(["--config", setting]);
    }
    if quick {
        // The same code was built under its plain name before.
        command.arg("--no-verify");
    }
    succeed(command.current_dir(stage))
}

/// The content of each archive, looked over: `(crate, folder)` in the order of the plan.
fn unpack<'a>(root: &Path, stage: &Path, plan: &'a Plan) -> Result<Vec<(&'a Crate, PathBuf)>> {
    let unpacked = stage.join("unpacked");
    fs::create_dir_all(&unpacked)?;
    let mut archives = Vec::new();
    for one in &plan.crates {
        let name = format!("{}-{}", one.publish_name, one.version);
        let archive = root.join("target/package").join(format!("{name}.crate"));
        succeed(
            Command::new("tar")
                .arg("-xzf")
                .arg(&archive)
                .arg("-C")
                .arg(&unpacked),
        )?;
        let folder = unpacked.join(&name);
        for file in LICENCES.iter().chain(&["README.md", "CHANGELOG.md"]) {
            if !folder.join(file).is_file() {
                bail!("{name} is packed without {file}");
            }
        }
        manifest::check_packed(&read(&folder.join("Cargo.toml"))?, one, plan)?;
        archives.push((one, folder));
    }
    Ok(archives)
}

/// What git has below a folder, so that nothing else is published.
fn tracked(root: &Path, folder: &str) -> Result<Vec<String>> {
    let output = Command::new("git")
        .args([
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
            folder,
        ])
        .current_dir(root)
        .output()
        .context("cannot start git")?;
    let names = String::from_utf8(output.stdout).context("git named a file in no known letters")?;
    let files: Vec<String> = names
        .split('\0')
        .filter(|name| !name.is_empty() && root.join(name).is_file())
        .map(str::to_owned)
        .collect();
    if !output.status.success() || files.is_empty() {
        bail!("git has no file below {folder}: packing needs a clone");
    }
    Ok(files)
}

fn succeed(command: &mut Command) -> Result<()> {
    let status = command
        .status()
        .with_context(|| format!("cannot start {}", command.get_program().display()))?;
    if !status.success() {
        bail!("{} failed ({status})", line(command));
    }
    Ok(())
}

/// As a person would type it.
fn line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<_> = words.map(|word| word.to_string_lossy()).collect();
    format!("`{}`", words.join(" "))
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

fn write(path: &Path, text: &str) -> Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    fs::copy(from, to).with_context(|| format!("cannot copy {}", from.display()))?;
    Ok(())
}
