//! Runs contestants in turn, so that whatever else the machine does meets them all.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, bail};
use serde::de::DeserializeOwned;

use crate::metadata;

/// Ended when it is dropped.
pub(super) struct Process(pub(super) Child);

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// A program to run, optimised as what is shipped is.
pub(super) struct Program {
    path: PathBuf,
}

impl Program {
    /// An example of one of our packages.
    pub(super) fn ours(
        root: &Path,
        package: &str,
        name: &str,
        features: Option<&str>,
    ) -> Result<Self> {
        let mut what = vec!["--package", package, "--example", name];
        what.extend(
            features
                .map(|features| ["--features", features])
                .into_iter()
                .flatten(),
        );
        build(root, &what, "dist", "target")?;
        Ok(Self {
            path: root.join("target/dist/examples").join(name),
        })
    }

    /// What ours is measured beside, a workspace of its own.
    pub(super) fn peers(root: &Path) -> Result<Self> {
        let manifest = ["--manifest-path", "xtask/peers/Cargo.toml", "--locked"];
        build(root, &manifest, "release", "target/peers")?;
        Ok(Self {
            path: root.join("target/peers/release/peers"),
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// What it prints when given these words: one JSON object.
    pub(super) fn run<T: DeserializeOwned>(&self, words: &[&str]) -> Result<T> {
        let name = self.path.display();
        let output = Command::new(&self.path)
            .args(words)
            .stderr(Stdio::inherit())
            .output()
            .with_context(|| format!("cannot start {name}"))?;
        if !output.status.success() {
            bail!("{name} {} failed ({})", words.join(" "), output.status);
        }
        let text = String::from_utf8_lossy(&output.stdout);
        serde_json::from_str(&text).with_context(|| format!("not understood: {text}"))
    }
}

fn build(root: &Path, what: &[&str], profile: &str, folder: &str) -> Result<()> {
    let status = Command::new(metadata::cargo())
        .args([
            "build",
            "--quiet",
            "--profile",
            profile,
            "--target-dir",
            folder,
        ])
        .args(what)
        .current_dir(root)
        .status()
        .context("cannot start cargo")?;
    if !status.success() {
        bail!("the build for the bench failed ({status})");
    }
    Ok(())
}

/// The middle of some figures; of an even number, the lower one.
pub(super) fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    let middle = figures.len().saturating_sub(1) / 2;
    figures.get(middle).copied().unwrap_or(f64::NAN)
}

/// The machine, for the first line of a table.
pub(super) fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let rustc = Command::new("rustc").arg("--version").output();
    let rustc = rustc.map_or_else(
        |_| "rustc of unknown version".to_owned(),
        |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
    );
    format!("{cores} cores, {rustc}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_whatever_the_order() {
        assert_eq!(median(vec![9.0, 1.0, 5.0]), 5.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), 2.0);
        assert!(median(Vec::new()).is_nan());
    }
}
