//! `browser`: the page of `docjobs serve` in a real browser, with an accessibility run and screenshots.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::metadata;

/// What Debian and others call it.
const BROWSERS: &[&str] = &["chromium", "chromium-browser", "google-chrome"];

/// Names a browser that has to be there, as in the checks.
const NAMED: &str = "DOCJOBS_TEST_BROWSER";

/// Runs it; where there is no browser it says so and ends well, unless one was named.
pub(crate) fn run(root: &Path) -> Result<()> {
    let named = std::env::var_os(NAMED).map(PathBuf::from);
    let is_named = named.is_some();
    let Some(browser) = named.or_else(|| BROWSERS.iter().find_map(|name| find(name))) else {
        println!("skipped: no browser here; `apt-get install chromium` brings one");
        return Ok(());
    };
    if find("node").is_none() || find("npm").is_none() {
        let missing = "no node and npm here; `apt-get install nodejs npm` brings them";
        if is_named {
            bail!("{NAMED} is set, but there is {missing}");
        }
        println!("skipped: {missing}");
        return Ok(());
    }
    let folder = root.join("target/browser");
    std::fs::create_dir_all(&folder).context("cannot make target/browser")?;
    for name in ["package.json", "page.mjs"] {
        std::fs::copy(root.join("xtask/browser").join(name), folder.join(name))
            .with_context(|| format!("cannot copy {name}"))?;
    }
    succeed(
        Command::new("npm")
            .args([
                "install",
                "--no-package-lock",
                "--no-audit",
                "--no-fund",
                "--silent",
            ])
            .current_dir(&folder),
    )?;
    // As the tests build it, so that after them nothing is built anew.
    succeed(
        Command::new(metadata::cargo())
            .args(["test", "--quiet", "--workspace", "--no-run"])
            .current_dir(root),
    )?;
    let shots = folder.join("screenshots");
    succeed(
        Command::new("node")
            .arg("page.mjs")
            .arg(root.join("target/debug/docjobs"))
            .arg(browser)
            .arg(&shots)
            .current_dir(&folder),
    )?;
    println!("screenshots are in {}", shots.display());
    Ok(())
}

fn succeed(command: &mut Command) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let status = command
        .status()
        .with_context(|| format!("cannot start {name}"))?;
    if !status.success() {
        bail!("{name} failed ({status})");
    }
    Ok(())
}

/// Where a program is.
fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|program| program.is_file())
}
