//! The files of the workspace as text.

use std::fs;
use std::path::Path;

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

/// Reads the tree; build output and version control are no part of it.
pub(crate) fn read(root: &Path) -> Result<Tree> {
    let mut tree = Tree::default();
    for (name, _) in entries(root)? {
        tree.top.push(name);
    }
    walk(root, "", &mut tree.files)?;
    Ok(tree)
}

fn walk(folder: &Path, prefix: &str, files: &mut Vec<File>) -> Result<()> {
    for (name, is_folder) in entries(folder)? {
        let full = folder.join(&name);
        let path = format!("{prefix}{name}");
        if is_folder {
            if name != "target" && name != ".git" {
                walk(&full, &format!("{path}/"), files)?;
            }
            continue;
        }
        let bytes = fs::read(&full).with_context(|| format!("cannot read {path}"))?;
        if let Ok(text) = String::from_utf8(bytes) {
            files.push(File { path, text });
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
