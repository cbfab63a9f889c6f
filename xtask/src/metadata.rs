//! What `cargo metadata` says about our packages, and how they are tested.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

/// The tests as the README tells everybody to run them. Same flags, same environment: nothing is built twice.
pub(crate) const TEST: &[&str] = &["test", "--workspace"];

/// Published packages that are workspaces of their own, so that the usual build does not pay for what they need.
pub(crate) const STANDING_ALONE: &[&str] = &["crates/jobs-temporal"];

/// Our packages, in the order cargo lists them.
#[derive(Debug, Deserialize)]
pub(crate) struct Metadata {
    pub(crate) packages: Vec<Package>,
    /// Where builds go.
    #[serde(default)]
    pub(crate) target_directory: PathBuf,
}

#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) manifest_path: PathBuf,
    /// `[package.metadata]`.
    #[serde(default)]
    pub(crate) metadata: serde_json::Value,
    /// Absent: may be published. Empty: may not.
    pub(crate) publish: Option<Vec<String>>,
    pub(crate) description: Option<String>,
    pub(crate) license: Option<String>,
    pub(crate) readme: Option<String>,
    pub(crate) documentation: Option<String>,
    pub(crate) keywords: Vec<String>,
    pub(crate) categories: Vec<String>,
    pub(crate) features: BTreeMap<String, Vec<String>>,
    pub(crate) dependencies: Vec<Dependency>,
    pub(crate) targets: Vec<Target>,
}

#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    /// `dev`, `build`, or nothing for a plain one.
    pub(crate) kind: Option<String>,
    pub(crate) req: String,
    /// Only dependencies inside this workspace have one.
    pub(crate) path: Option<PathBuf>,
    /// Whether a feature has to ask for it.
    #[serde(default)]
    pub(crate) optional: bool,
    pub(crate) features: Vec<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Target {
    pub(crate) kind: Vec<String>,
}

impl Package {
    pub(crate) fn is_published(&self) -> bool {
        self.publish
            .as_ref()
            .is_none_or(|registries| !registries.is_empty())
    }

    /// What it is called on the public registry.
    pub(crate) fn publish_name(&self) -> &str {
        self.metadata
            .pointer("/docjobs/publish-name")
            .and_then(serde_json::Value::as_str)
            .unwrap_or(&self.name)
    }

    /// The folder it lies in.
    pub(crate) fn folder(&self) -> &Path {
        self.manifest_path.parent().unwrap_or(Path::new("."))
    }

    pub(crate) fn has_library(&self) -> bool {
        self.targets
            .iter()
            .any(|target| target.kind.iter().any(|kind| kind == "lib"))
    }
}

/// Asks cargo; needs neither network nor lock file.
pub(crate) fn read(root: &Path) -> Result<Metadata> {
    let output = Command::new(cargo())
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .current_dir(root)
        .output()
        .context("cannot start cargo")?;
    if !output.status.success() {
        bail!(
            "cargo metadata: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    serde_json::from_slice(&output.stdout).context("cargo metadata answered something else")
}

/// The cargo that started us.
pub(crate) fn cargo() -> PathBuf {
    std::env::var_os("CARGO").map_or_else(|| PathBuf::from("cargo"), PathBuf::from)
}
