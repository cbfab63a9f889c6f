//! Rules about manifests: declared once and inherited; complete where a package is published.

use serde_json::Value;

use super::Violation;
use super::tree::Tree;
use crate::metadata::Package;

/// What the text of a member's manifest must and must not hold.
pub(crate) fn check_text(path: &str, text: &str) -> Vec<Violation> {
    let mut violations = inherited(path, text);
    violations.extend(versions_in_one_place(path, text));
    violations
}

/// Lints and package fields come from the root.
fn inherited(path: &str, text: &str) -> Vec<Violation> {
    // A package of its own workspace inherits nothing.
    if text.lines().any(|line| line.trim() == "[workspace]") {
        return Vec::new();
    }
    let mut wanted = vec![
        ("[package]", "edition.workspace = true"),
        ("[package]", "rust-version.workspace = true"),
        ("[package]", "license.workspace = true"),
        ("[lints]", "workspace = true"),
    ];
    for (_, section, line) in lines(text) {
        wanted.retain(|(in_section, entry)| !(*in_section == section && *entry == line));
    }
    wanted
        .into_iter()
        .map(|(section, entry)| Violation::new(path, 1, format!("`{section}` must hold `{entry}`")))
        .collect()
}

/// Versions stand in the root only, apart from a package's dev-dependency on itself.
fn versions_in_one_place(path: &str, text: &str) -> Vec<Violation> {
    let mut violations = Vec::new();
    if text.lines().any(|line| line.trim() == "[workspace]") {
        return violations;
    }
    for (number, section, line) in lines(text) {
        let holds_entries = section.trim_end_matches(']').ends_with("dependencies");
        let is_entry = line.contains('=') && !line.starts_with(['#', '[']);
        let inherits = line.contains("workspace = true");
        let is_itself = line.contains("path = \".\"");
        if holds_entries && is_entry && !inherits && !is_itself {
            violations.push(Violation::new(
                path,
                number,
                "versions stand in the root's `[workspace.dependencies]`: write `workspace = true`",
            ));
        }
        if line.starts_with('[') && line.contains("dependencies.") {
            violations.push(Violation::new(
                path,
                number,
                "write the dependency as one line",
            ));
        }
    }
    violations
}

/// What cargo knows about a package.
pub(crate) fn check_package(path: &str, package: &Package, tree: &Tree) -> Vec<Violation> {
    let mut violations = Vec::new();
    if !package.is_published() {
        return violations;
    }
    let mut missing = |what: &str| violations.push(Violation::new(path, 1, what));
    let folder = path.trim_end_matches("Cargo.toml");
    if package.description.as_deref().is_none_or(str::is_empty) {
        missing("a published package has a `description`");
    }
    if package.keywords.is_empty() {
        missing("a published package has `keywords`");
    }
    if package.categories.is_empty() {
        missing("a published package has `categories`");
    }
    let all_features = "/docs/rs/all-features";
    if package.metadata.pointer(all_features) != Some(&Value::Bool(true)) {
        missing("a published package has `all-features = true` in `[package.metadata.docs.rs]`");
    }
    let documentation = format!("https://docs.rs/{}", package.publish_name());
    if package.documentation.as_deref() != Some(documentation.as_str()) {
        missing(
            "a published package has its docs.rs address, by its publish name, in `documentation`",
        );
    }
    if package.license.is_none() {
        missing("a published package has a `license`");
    }
    if package.readme.is_none() || !tree.has(&format!("{folder}README.md")) {
        missing("a published package has a README.md, named in `readme`");
    }
    if !tree.has(&format!("{folder}CHANGELOG.md")) {
        missing("a published package has a CHANGELOG.md");
    }
    let library = tree.text(&format!("{folder}src/lib.rs"));
    if library.is_some_and(|text| !text.contains("include_str!(\"../README.md\")")) {
        missing(
            "the README is the crate documentation: `#![doc = include_str!(\"../README.md\")]`",
        );
    }
    for dependency in &package.dependencies {
        let is_itself = dependency.name == package.name;
        if dependency.path.is_some() && dependency.req == "*" && !is_itself {
            violations.push(Violation::new(
                path,
                1,
                format!("path dependency `{}` has no version", dependency.name),
            ));
        }
    }
    violations
}

/// Number, section and text of every line that says something.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str, &str)> {
    let mut section = "";
    text.lines().enumerate().filter_map(move |(index, line)| {
        let line = line.trim();
        if line.starts_with('[') && line.ends_with(']') {
            section = line;
        }
        (!line.is_empty()).then_some((index + 1, section, line))
    })
}

#[cfg(test)]
mod tests {
    use super::super::tree::File;
    use super::*;
    use crate::metadata::Dependency;

    const GOOD: &str = "\
[package]
name = \"a\"
edition.workspace = true
rust-version.workspace = true
license.workspace = true

[dependencies]
serde.workspace = true
# a note = here
tokio = { workspace = true, features = [\"sync\"] }

[dev-dependencies]
a = { path = \".\", features = [\"testing\"] }

[target.'cfg(target_os = \"linux\")'.dependencies]
libc.workspace = true

[lints]
workspace = true
";

    #[test]
    fn a_manifest_that_inherits_is_fine() {
        assert_eq!(check_text("a/Cargo.toml", GOOD), []);
    }

    #[test]
    fn every_field_that_is_not_inherited_is_found() {
        for line in [
            "edition.workspace = true\n",
            "rust-version.workspace = true\n",
            "license.workspace = true\n",
            "[lints]\nworkspace = true\n",
        ] {
            assert_eq!(
                check_text("a/Cargo.toml", &GOOD.replace(line, "")).len(),
                1,
                "{line}"
            );
        }
    }

    #[test]
    fn a_version_in_a_member_is_found_with_its_line() {
        for bad in [
            "serde = \"1\"",
            "serde = { version = \"1\" }",
            "b = { path = \"../b\" }",
        ] {
            let found = check_text("a/Cargo.toml", &GOOD.replace("serde.workspace = true", bad));
            assert_eq!(
                found.iter().map(|found| found.line).collect::<Vec<_>>(),
                [8],
                "{bad}"
            );
            let found = check_text("a/Cargo.toml", &GOOD.replace("libc.workspace = true", bad));
            assert_eq!(
                found.iter().map(|found| found.line).collect::<Vec<_>>(),
                [16],
                "{bad}"
            );
        }
        let table = GOOD.replace(
            "[lints]",
            "[dependencies.serde]\nversion = \"1\"\n\n[lints]",
        );
        assert_eq!(check_text("a/Cargo.toml", &table).len(), 1);
    }

    fn published() -> (Package, Tree) {
        let package = Package {
            name: "a".to_owned(),
            description: Some("A.".to_owned()),
            license: Some("MIT".to_owned()),
            readme: Some("README.md".to_owned()),
            documentation: Some("https://docs.rs/our-a".to_owned()),
            metadata: serde_json::json!({
                "docs": { "rs": { "all-features": true } },
                "docjobs": { "publish-name": "our-a" },
            }),
            keywords: vec!["k".to_owned()],
            categories: vec!["c".to_owned()],
            dependencies: vec![Dependency {
                name: "b".to_owned(),
                req: "^0.1.0".to_owned(),
                path: Some("b".into()),
                ..Dependency::default()
            }],
            ..Package::default()
        };
        let file = |path: &str, text: &str| File {
            path: path.to_owned(),
            text: text.to_owned(),
        };
        let tree = Tree {
            top: Vec::new(),
            files: vec![
                file("crates/a/README.md", ""),
                file("crates/a/CHANGELOG.md", ""),
                file(
                    "crates/a/src/lib.rs",
                    "#![doc = include_str!(\"../README.md\")]\n",
                ),
            ],
        };
        (package, tree)
    }

    fn count(package: &Package, tree: &Tree) -> usize {
        check_package("crates/a/Cargo.toml", package, tree).len()
    }

    #[test]
    fn a_complete_published_package_is_fine() {
        let (package, tree) = published();
        assert_eq!(count(&package, &tree), 0);
    }

    #[test]
    fn everything_that_a_published_package_lacks_is_found() {
        let spoil: &[fn(&mut Package)] = &[
            |package| package.description = None,
            |package| package.description = Some(String::new()),
            |package| package.keywords.clear(),
            |package| package.categories.clear(),
            |package| package.license = None,
            |package| package.readme = None,
            |package| package.documentation = Some("https://docs.rs/a".to_owned()),
            |package| package.metadata["docs"]["rs"]["all-features"] = false.into(),
            |package| package.dependencies[0].req = "*".to_owned(),
        ];
        for (index, spoil) in spoil.iter().enumerate() {
            let (mut package, tree) = published();
            spoil(&mut package);
            assert_eq!(count(&package, &tree), 1, "{index}");
            package.publish = Some(Vec::new());
            assert_eq!(count(&package, &tree), 0, "{index}");
        }
        for index in 0..2 {
            let (package, mut tree) = published();
            tree.files.remove(index);
            assert_eq!(count(&package, &tree), 1, "file {index}");
        }
        let (package, mut tree) = published();
        tree.files[2].text = "//! A.\n".to_owned();
        assert_eq!(count(&package, &tree), 1);
    }
}
