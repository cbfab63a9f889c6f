//! Rules about where files lie and what they are called.

use std::collections::{BTreeMap, BTreeSet};

use super::Violation;
use super::tree::Tree;
use super::words::VAGUE;

/// What may stand in the top folder besides dot files.
const TOP: &[&str] = &[
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "README.md",
    "README.zh-CN.md",
    "clippy.toml",
    "crates",
    "deny.toml",
    "docs",
    "target",
    "tests",
    "xtask",
];

pub(crate) fn check(tree: &Tree) -> Vec<Violation> {
    let paths: Vec<&str> = tree.files.iter().map(|file| file.path.as_str()).collect();
    let mut violations = top_level(&tree.top);
    violations.extend(vague_names(&paths));
    violations.extend(lonely_files(&paths));
    violations.extend(readme(tree));
    violations
}

/// The top level stays what it is.
fn top_level(names: &[String]) -> Vec<Violation> {
    names
        .iter()
        .filter(|name| !name.starts_with('.') && !TOP.contains(&name.as_str()))
        .map(|name| Violation::new(name, 1, "the top level holds only what the design names"))
        .collect()
}

/// A module is named after what it answers for.
fn vague_names(paths: &[&str]) -> Vec<Violation> {
    let mut violations = Vec::new();
    for path in paths.iter().filter(|path| path.ends_with(".rs")) {
        let mut parts = path.trim_end_matches(".rs").split('/');
        if let Some(part) = parts.find(|part| VAGUE.contains(part)) {
            violations.push(Violation::new(
                *path,
                1,
                format!("`{part}` says nothing: name the module after what it answers for"),
            ));
        }
    }
    violations
}

/// A folder of sources has at least two entries.
fn lonely_files(paths: &[&str]) -> Vec<Violation> {
    let mut folders: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for path in paths {
        let Some((package, inside)) = path.split_once("/src/") else {
            continue;
        };
        let mut folder = format!("{package}/src");
        let mut parts = inside.split('/').peekable();
        while let Some(part) = parts.next() {
            folders.entry(folder.clone()).or_default().insert(part);
            if parts.peek().is_some() {
                folder = format!("{folder}/{part}");
            }
        }
    }
    folders
        .into_iter()
        .filter(|(folder, entries)| !folder.ends_with("/src") && entries.len() < 2)
        .map(|(folder, _)| Violation::new(folder, 1, "a folder has at least two files"))
        .collect()
}

/// The README names the command that runs the tests, which is the one that `ci` runs.
fn readme(tree: &Tree) -> Vec<Violation> {
    let command = format!("cargo {}", crate::metadata::TEST.join(" "));
    match tree.text("README.md") {
        None => vec![Violation::new("README.md", 1, "the README is missing")],
        Some(text) if !text.contains(&command) => {
            vec![Violation::new(
                "README.md",
                1,
                format!("the README does not name `{command}`"),
            )]
        }
        Some(_) => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tree::File;
    use super::*;

    #[test]
    fn a_foreign_entry_of_the_top_level_is_found() {
        let names = ["Cargo.toml", ".github", "crates", "notes"].map(str::to_owned);
        let found = top_level(&names);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].path, "notes");
    }

    #[test]
    fn every_vague_name_is_found_as_file_and_as_folder() {
        for word in VAGUE {
            let file = format!("crates/a/src/{word}.rs");
            let folder = format!("crates/a/tests/{word}/mod.rs");
            assert_eq!(vague_names(&[&file, &folder]).len(), 2, "{word}");
        }
        assert_eq!(
            vague_names(&["crates/a/src/commonly.rs", "crates/a/utils.md"]),
            []
        );
    }

    #[test]
    fn a_folder_with_one_file_is_found() {
        let found = lonely_files(&["crates/a/src/lib.rs", "crates/a/src/b/mod.rs"]);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].path, "crates/a/src/b");
        let good = [
            "crates/a/src/lib.rs",
            "crates/a/src/b/mod.rs",
            "crates/a/src/b/c.rs",
            "crates/a/spec/openapi.json",
        ];
        assert_eq!(lonely_files(&good), []);
    }

    #[test]
    fn a_readme_that_is_missing_or_names_another_command_is_found() {
        let tree = |text: &str| Tree {
            top: Vec::new(),
            files: vec![File {
                path: "README.md".to_owned(),
                text: text.to_owned(),
            }],
        };
        assert_eq!(readme(&Tree::default()).len(), 1);
        assert_eq!(readme(&tree("run `cargo test`")).len(), 1);
        assert_eq!(readme(&tree("run `cargo test --workspace`")), []);
    }
}
