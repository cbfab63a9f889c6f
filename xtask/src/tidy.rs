//! `tidy`: the rules that keep the tree whole, each a pure function over what lies on disk.

mod api_names;
mod arrows;
mod circles;
mod layout;
mod manifests;
mod prose;
mod readme_translation;
mod sources;
mod tree;
mod vocabulary;
mod words;

use std::path::Path;

use anyhow::{Result, bail};

use crate::metadata::{self, Metadata};
use tree::Tree;

/// One broken rule, shown as `path:line: message`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Violation {
    pub(crate) path: String,
    pub(crate) line: usize,
    pub(crate) message: String,
}

impl Violation {
    pub(crate) fn new(path: impl Into<String>, line: usize, message: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            line,
            message: message.into(),
        }
    }
}

impl std::fmt::Display for Violation {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}:{}: {}", self.path, self.line, self.message)
    }
}

/// Prints every broken rule, and fails when there is one.
pub(crate) fn run(root: &Path) -> Result<()> {
    let violations = check(root)?;
    for violation in &violations {
        println!("{violation}");
    }
    match violations.len() {
        0 => Ok(()),
        count => bail!("{count} rules are broken"),
    }
}

/// Every broken rule of the real tree.
fn check(root: &Path) -> Result<Vec<Violation>> {
    let tree = tree::read(root)?;
    let mut metadata = metadata::read(root)?;
    for folder in metadata::STANDING_ALONE {
        let alone = metadata::read(&root.join(folder))?;
        metadata.packages.extend(alone.packages);
    }
    Ok(check_all(&tree, &metadata, root))
}

fn check_all(tree: &Tree, metadata: &Metadata, root: &Path) -> Vec<Violation> {
    let mut violations = layout::check(tree);
    violations.extend(readme_translation::check(tree));
    violations.extend(circles::check(tree));
    violations.extend(api_names::check(tree));
    for file in &tree.files {
        violations.extend(sources::check(&file.path, &file.text));
        violations.extend(prose::check(&file.path, &file.text));
        violations.extend(vocabulary::check(&file.path, &file.text));
        if file.path.ends_with("Cargo.toml") && file.path != "Cargo.toml" {
            violations.extend(manifests::check_text(&file.path, &file.text));
        }
    }
    for package in &metadata.packages {
        let manifest = package
            .manifest_path
            .strip_prefix(root)
            .unwrap_or(&package.manifest_path);
        let manifest = manifest.display().to_string();
        violations.extend(arrows::check(&manifest, package));
        violations.extend(manifests::check_package(&manifest, package, tree));
    }
    violations.sort();
    violations.dedup();
    violations
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_keeps_every_rule() {
        let root = crate::root();
        let violations = check(&root).unwrap();
        let lines: Vec<String> = violations.iter().map(Violation::to_string).collect();
        assert!(lines.is_empty(), "{}", lines.join("\n"));
    }

    #[test]
    fn a_violation_is_shown_as_path_line_and_message() {
        let violation = Violation::new("crates/a/src/b.rs", 7, "no");
        assert_eq!(violation.to_string(), "crates/a/src/b.rs:7: no");
    }
}
