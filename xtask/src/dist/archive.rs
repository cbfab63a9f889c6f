//! Archives whose bytes depend on their content alone, and checksums of what was made.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use sha2::{Digest as _, Sha256};

use super::{Release, succeed};

/// The archive that is unpacked by hand.
pub(super) fn tar(release: &Release) -> Result<PathBuf> {
    let archive = release.out.join(format!("{}.tar.gz", release.name()));
    tar_of(release, &release.out, &release.name(), &archive)?;
    Ok(archive)
}

/// Packs `folder`, which lies in `place`.
pub(super) fn tar_of(release: &Release, place: &Path, folder: &str, archive: &Path) -> Result<()> {
    let mut command = Command::new("tar");
    command
        .args(["--sort=name", "--owner=0", "--group=0", "--numeric-owner"])
        .args(["--format=ustar", "--mode=u+rwX,go+rX,go-w"])
        .arg(format!("--mtime=@{}", release.time))
        .arg("--use-compress-program=gzip -n -9")
        .arg("-cf")
        .arg(archive)
        .arg("-C")
        .arg(place)
        .arg(folder);
    succeed(&mut command)
}

pub(super) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// `SHA256SUMS`, as `sha256sum -c` reads it.
pub(super) fn checksums(release: &Release, made: &[PathBuf]) -> Result<()> {
    let mut text = String::new();
    for path in made {
        let bytes = fs::read(path).with_context(|| path.display().to_string())?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        text.push_str(&format!("{}  {name}\n", sha256(&bytes)));
    }
    fs::write(release.out.join("SHA256SUMS"), text).context("cannot write SHA256SUMS")
}
