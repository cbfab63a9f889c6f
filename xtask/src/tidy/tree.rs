//! The files of the workspace as text.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

/// What the checks look at; paths are relative to the root, with `/`.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    /// Names in the top folder.
    pub(crate) top: Vec<String>,
    /// Every text file.
    pub(crate) files: Vec<File>,
}

#[derive(Debug)]
pub(crate) struct File {
    pub(crate) path: String,
    pub(crate) text: String,
}

impl Tree {
    pub(crate) fn has(&self, path: &str) -> bool {
        self.files.iter().any(|file| file.path == path)
    }

    pub(crate) fn text(&self, path: &str) -> Option<&str> {
        let file = self.files.iter().find(|file| file.path == path)?;
        Some(&file.text)
    }
}

/// Reads the tree: what git tracks or would track, so that what somebody tried out here does not count. Without git, all but
/// build output.
pub(crate) fn read(root: &Path) -> Result<Tree> {
    let paths = match of_git(root) {
        Some(paths) => paths,
        None => {
            let mut paths = Vec::new();
            walk(root, "", &mut paths)?;
            paths
        }
    };
    let mut tree = Tree::default();
    for path in paths {
        let full = root.join(&path);
        if !full.is_file() {
            continue;
        }
        let top = path.split('/').next().unwrap_or(&path).to_owned();
        if !tree.top.contains(&top) {
            tree.top.push(top);
        }
        let bytes = fs::read(&full).with_context(|| format!("cannot read {path}"))?;
        if let Ok(text) = String::from_utf8(bytes) {
            tree.files.push(File { path, text });
        }
    }
    Ok(tree)
}

fn of_git(root: &Path) -> Option<Vec<String>> {
    let listed = Command::new("git")
        .args([
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ])
        .current_dir(root)
        .output()
        .ok()
        .filter(|listed| listed.status.success())?;
    let mut paths: Vec<String> = String::from_utf8(listed.stdout)
        .ok()?
        .split('\0')
        .filter(|path| !path.is_empty())
        .map(str::to_owned)
        .collect();
    paths.sort();
    paths.dedup();
    (!paths.is_empty()).then_some(paths)
}

fn walk(folder: &Path, prefix: &str, paths: &mut Vec<String>) -> Result<()> {
    for (name, is_folder) in entries(folder)? {
        let path = format!("{prefix}{name}");
        if !is_folder {
            paths.push(path);
        } else if name != "target" && name != ".git" {
            walk(&folder.join(&name), &format!("{path}/"), paths)?;
        }
    }
    Ok(())
}

fn entries(folder: &Path) -> Result<Vec<(String, bool)>> {
    let mut entries = Vec::new();
    for entry in
        fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?
    {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        entries.push((name, entry.file_type()?.is_dir()));
    }
    entries.sort();
    Ok(entries)
}
