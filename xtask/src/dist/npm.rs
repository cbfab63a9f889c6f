//! npm packages: one with the binary of this platform, and `docjobs`, which finds the right one of them.
#![allow(
    clippy::indexing_slicing,
    reason = "a JSON value gives null for what is not there"
)]

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::archive::tar_of;
use super::{Release, third_party};

/// The platforms for which a package is made, as Node.js calls them: system and processor.
const PLATFORMS: [(&str, &str); 4] = [
    ("linux", "x64"),
    ("linux", "arm64"),
    ("darwin", "x64"),
    ("darwin", "arm64"),
];

pub(super) fn make(release: &Release) -> Result<Vec<PathBuf>> {
    let cpu = match release.cpu() {
        "x86_64" => "x64",
        "aarch64" => "arm64",
        other => other,
    };
    let name = format!("docjobs-linux-{cpu}");
    let mut platform = package(release, &name);
    platform["os"] = json!(["linux"]);
    platform["cpu"] = json!([cpu]);
    if release.glibc.is_some() {
        platform["libc"] = json!(["glibc"]);
    }
    platform["files"] = json!([
        "bin",
        "LICENSE-APACHE",
        "LICENSE-MIT",
        "THIRD-PARTY-LICENSES.txt",
        "sbom.cdx.json"
    ]);
    let binary = pack(release, &name, &platform, |folder| {
        fs::create_dir_all(folder.join("bin"))?;
        fs::copy(&release.binary, folder.join("bin/docjobs"))?;
        for file in ["THIRD-PARTY-LICENSES.txt", "sbom.cdx.json"] {
            fs::copy(release.tree.join(file), folder.join(file))?;
        }
        Ok(())
    })?;
    let mut launcher = package(release, "docjobs");
    launcher["bin"] = json!({ "docjobs": "docjobs.js" });
    launcher["optionalDependencies"] = PLATFORMS
        .iter()
        .map(|(system, cpu)| (format!("docjobs-{system}-{cpu}"), json!(release.version)))
        .collect::<serde_json::Map<String, Value>>()
        .into();
    launcher["files"] = json!([
        "docjobs.js",
        "README.md",
        "SKILL.md",
        "LICENSE-APACHE",
        "LICENSE-MIT"
    ]);
    let launcher = pack(release, "docjobs", &launcher, |folder| {
        let script = folder.join("docjobs.js");
        fs::write(&script, include_str!("../../dist/docjobs.js"))?;
        executable(&script)?;
        for file in ["README.md", "SKILL.md"] {
            fs::copy(release.tree.join(file), folder.join(file))?;
        }
        Ok(())
    })?;
    Ok(vec![binary, launcher])
}

fn package(release: &Release, name: &str) -> Value {
    json!({
        "name": name,
        "version": release.version,
        "description": release.description,
        "license": "(MIT OR Apache-2.0)",
        "engines": { "node": ">=16" },
    })
}

/// Packs a package as `npm pack` does: everything below `package/`.
fn pack(
    release: &Release,
    name: &str,
    manifest: &Value,
    fill: impl FnOnce(&Path) -> Result<()>,
) -> Result<PathBuf> {
    let place = release.out.join("npm").join(name);
    let folder = place.join("package");
    fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    fs::write(
        folder.join("package.json"),
        serde_json::to_string_pretty(manifest)?,
    )?;
    for file in third_party::OWN_LICENCES {
        fs::copy(release.tree.join(file), folder.join(file))?;
    }
    fill(&folder)?;
    let archive = release.out.join(format!("{name}-{}.tgz", release.version));
    tar_of(release, &place, "package", &archive)?;
    Ok(archive)
}

fn executable(path: &Path) -> Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
    }
    Ok(())
}
