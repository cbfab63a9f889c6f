//! A Debian package: the command, its manual, and a service with a user of its own that may write to its state alone.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use super::{Release, succeed, third_party};

/// None where `dpkg-deb` is missing.
pub(super) fn make(release: &Release) -> Result<Option<PathBuf>> {
    if Command::new("dpkg-deb").arg("--version").output().is_err() {
        return Ok(None);
    }
    let cpu = match release.cpu() {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let tree = release.out.join("debian");
    let place = |name: &str| -> Result<PathBuf> {
        let path = tree.join(name);
        let folder = path.parent().unwrap_or(&tree);
        fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        Ok(path)
    };
    fs::copy(&release.binary, place("usr/bin/docjobs")?)?;
    mode(&place("usr/bin/docjobs")?, 0o755)?;
    for page in files(&release.tree.join("man1"))? {
        let name = page.file_name().unwrap_or_default().to_string_lossy();
        let to = place(&format!("usr/share/man/man1/{name}"))?;
        fs::copy(&page, &to)?;
        succeed(Command::new("gzip").args(["-n", "-9"]).arg(&to))?;
    }
    for (from, to) in [
        (
            "docjobs.bash",
            "usr/share/bash-completion/completions/docjobs",
        ),
        ("_docjobs", "usr/share/zsh/vendor-completions/_docjobs"),
        (
            "docjobs.fish",
            "usr/share/fish/vendor_completions.d/docjobs.fish",
        ),
    ] {
        fs::copy(release.tree.join("completions").join(from), place(to)?)?;
    }
    for file in third_party::OWN_LICENCES.iter().chain(&[
        "THIRD-PARTY-LICENSES.txt",
        "sbom.cdx.json",
        "README.md",
        "README.zh-CN.md",
        "SKILL.md",
    ]) {
        let to = place(&format!("usr/share/doc/docjobs/{file}"))?;
        fs::copy(release.tree.join(file), to)?;
    }
    for (name, text) in [
        (
            "usr/share/doc/docjobs/copyright",
            "docjobs: MIT OR Apache-2.0, at your choice; see LICENSE-MIT and LICENSE-APACHE.\nThe packages that it contains: see THIRD-PARTY-LICENSES.txt.\n",
        ),
        (
            "usr/lib/systemd/system/docjobs.service",
            include_str!("../../dist/docjobs.service"),
        ),
        (
            "usr/lib/sysusers.d/docjobs.conf",
            include_str!("../../dist/docjobs.sysusers"),
        ),
        (
            "etc/docjobs/docjobs.env",
            include_str!("../../dist/docjobs.env"),
        ),
        ("DEBIAN/conffiles", "/etc/docjobs/docjobs.env\n"),
        ("DEBIAN/postinst", include_str!("../../dist/postinst")),
        ("DEBIAN/prerm", include_str!("../../dist/prerm")),
    ] {
        let path = place(name)?;
        fs::write(&path, text)?;
        let is_script = matches!(name, "DEBIAN/postinst" | "DEBIAN/prerm");
        mode(&path, if is_script { 0o755 } else { 0o644 })?;
    }
    let libc = release
        .glibc
        .map(|(major, minor)| format!("Depends: libc6 (>= {major}.{minor})\n"))
        .unwrap_or_default();
    let control = format!(
        "Package: docjobs\nVersion: {}\nArchitecture: {cpu}\nMaintainer: The docjobs authors <docjobs@localhost>\n\
         Section: utils\nPriority: optional\n{libc}Recommends: ca-certificates\nDescription: {}\n \
         The command, its manual, and a service (docjobs.service) that is not started by itself.\n",
        release.version, release.description
    );
    fs::write(place("DEBIAN/control")?, control)?;
    let package = release
        .out
        .join(format!("docjobs_{}_{cpu}.deb", release.version));
    let mut command = Command::new("dpkg-deb");
    command
        .args(["--root-owner-group", "--build"])
        .arg(&tree)
        .arg(&package)
        .env("SOURCE_DATE_EPOCH", release.time.to_string());
    succeed(&mut command)?;
    Ok(Some(package))
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        files.push(entry?.path());
    }
    files.sort();
    Ok(files)
}

fn mode(path: &Path, mode: u32) -> Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    }
    let _ = (path, mode);
    Ok(())
}
