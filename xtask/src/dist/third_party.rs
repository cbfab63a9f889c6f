//! What of others is linked into the binary: their notices, and a bill of materials (CycloneDX).
#![allow(
    clippy::indexing_slicing,
    reason = "a JSON value gives null for what is not there"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};

use crate::metadata::cargo;

/// The texts of our own licences, which go into every package.
pub(super) const OWN_LICENCES: [&str; 2] = ["LICENSE-APACHE", "LICENSE-MIT"];

/// A package that is linked in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Component {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) license: String,
    folder: PathBuf,
}

/// The packages of others that the command is built from on that platform, in the order of their names.
pub(super) fn read(root: &Path, target: &str) -> Result<Vec<Component>> {
    let mut command = Command::new(cargo());
    command.args(["metadata", "--format-version", "1", "--locked"]);
    command.args(["--filter-platform", target]);
    let output = command.current_dir(root).output();
    let output = output.context("cannot start cargo")?;
    ensure!(
        output.status.success(),
        "cargo metadata: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    of_metadata(&serde_json::from_slice(&output.stdout)?)
}

fn of_metadata(metadata: &Value) -> Result<Vec<Component>> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let packages: BTreeMap<String, Value> = list(&metadata["packages"])
        .into_iter()
        .map(|package| (text(&package["id"]), package))
        .collect();
    let nodes: BTreeMap<String, Value> = list(&metadata["resolve"]["nodes"])
        .into_iter()
        .map(|node| (text(&node["id"]), node))
        .collect();
    let is_command = |package: &&Value| package["name"] == "docjobs" && package["source"].is_null();
    let command = packages.values().find(is_command);
    let mut open = vec![text(&command.context("there is no package docjobs")?["id"])];
    let (mut seen, mut components) = (BTreeSet::new(), BTreeSet::new());
    while let Some(id) = open.pop() {
        if !seen.insert(id.clone()) {
            continue;
        }
        let Some(package) = packages.get(&id) else {
            bail!("cargo metadata does not describe {id}");
        };
        if !package["source"].is_null() {
            let manifest = PathBuf::from(text(&package["manifest_path"]));
            components.insert(Component {
                name: text(&package["name"]),
                version: text(&package["version"]),
                license: text(&package["license"]),
                folder: manifest.parent().unwrap_or(Path::new(".")).to_owned(),
            });
        }
        let node = nodes.get(&id).map(|node| list(&node["deps"]));
        for dependency in node.unwrap_or_default() {
            // What only builds or tests is not linked in.
            let is_linked = list(&dependency["dep_kinds"])
                .iter()
                .any(|kind| kind["kind"].is_null());
            if is_linked {
                open.push(text(&dependency["pkg"]));
            }
        }
    }
    Ok(components.into_iter().collect())
}

/// Each text once, under the packages that it belongs to.
pub(super) fn notices(components: &[Component]) -> Result<String> {
    let mut texts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut without = Vec::new();
    for component in components {
        let name = format!("{} {}", component.name, component.version);
        let found = license_texts(&component.folder)?;
        if found.is_empty() {
            without.push(format!("{name}: {}", component.license));
        }
        for text in found {
            texts.entry(text).or_default().push(name.clone());
        }
    }
    let mut out =
        String::from("docjobs contains these packages. Their licences, as they declare them:\n\n");
    for component in components {
        let Component {
            name,
            version,
            license,
            ..
        } = component;
        out.push_str(&format!("{name} {version}: {license}\n"));
    }
    if !without.is_empty() {
        out.push_str(
            "\nThese carry no text of their own; the texts of the licences are below.\n\n",
        );
        out.push_str(&without.join("\n"));
        out.push('\n');
    }
    for (text, names) in texts {
        let line = "=".repeat(79);
        let names = names.join(", ");
        out.push_str(&format!(
            "\n{line}\n{names}\n{line}\n\n{}\n",
            text.trim_end()
        ));
    }
    Ok(out)
}

fn license_texts(folder: &Path) -> Result<Vec<String>> {
    const NAMES: [&str; 5] = ["LICENSE", "LICENCE", "COPYING", "NOTICE", "UNLICENSE"];
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let name = name.to_uppercase();
        if path.is_file() && NAMES.iter().any(|known| name.starts_with(known)) {
            names.push(path);
        }
    }
    names.sort();
    let mut texts = Vec::new();
    for path in names {
        let bytes = fs::read(&path).with_context(|| path.display().to_string())?;
        texts.push(String::from_utf8_lossy(&bytes).replace("\r\n", "\n"));
    }
    Ok(texts)
}

/// In the format of CycloneDX 1.5.
pub(super) fn bill_of_materials(version: &str, target: &str, components: &[Component]) -> Value {
    let purl = |name: &str, version: &str| format!("pkg:cargo/{name}@{version}");
    let listed: Vec<Value> = components
        .iter()
        .map(|component| {
            let purl = purl(&component.name, &component.version);
            json!({
                "type": "library",
                "bom-ref": purl,
                "name": component.name,
                "version": component.version,
                "licenses": [{ "expression": component.license.replace('/', " OR ") }],
                "purl": purl,
            })
        })
        .collect();
    let purl = purl("docjobs", version);
    json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": purl,
                "name": "docjobs",
                "version": version,
                "licenses": [{ "expression": "MIT OR Apache-2.0" }],
                "purl": purl,
                "properties": [{ "name": "target", "value": target }],
            },
        },
        "components": listed,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_linked_in_is_listed_and_what_builds_or_tests_is_not() {
        let package = |name: &str, source: Value| {
            json!({
                "id": name, "name": name, "version": "1.0.0", "license": "MIT/Apache-2.0", "source": source,
                "manifest_path": format!("/r/{name}/Cargo.toml"),
            })
        };
        let needs =
            |name: &str, kind: Value| json!({ "pkg": name, "dep_kinds": [{ "kind": kind }] });
        let metadata = json!({
            "packages": [
                package("docjobs", Value::Null), package("ours", Value::Null), package("a", json!("registry")),
                package("b", json!("registry")), package("builds", json!("registry")), package("tests", json!("registry")),
            ],
            "resolve": { "nodes": [
                { "id": "docjobs", "deps": [needs("ours", Value::Null), needs("tests", json!("dev"))] },
                { "id": "ours", "deps": [needs("a", Value::Null), needs("builds", json!("build"))] },
                { "id": "a", "deps": [needs("b", Value::Null)] },
                { "id": "b", "deps": [needs("a", Value::Null)] },
            ] },
        });
        let found = of_metadata(&metadata).unwrap();
        let names: Vec<&str> = found.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(names, ["a", "b"]);
        let bill = bill_of_materials("0.1.0", "t", &found);
        assert_eq!(bill["components"][0]["purl"], "pkg:cargo/a@1.0.0");
        let licence = &bill["components"][0]["licenses"][0]["expression"];
        assert_eq!(licence, "MIT OR Apache-2.0");
    }

    #[test]
    fn a_text_that_several_share_stands_there_once() {
        let place = tempfile::tempdir().unwrap();
        let component = |name: &str, text: Option<&str>| {
            let folder = place.path().join(name);
            fs::create_dir(&folder).unwrap();
            if let Some(text) = text {
                fs::write(folder.join("LICENSE-MIT"), text).unwrap();
            }
            Component {
                name: name.to_owned(),
                version: "1.0.0".to_owned(),
                license: "MIT".to_owned(),
                folder,
            }
        };
        let components = [
            component("a", Some("Permission\r\n")),
            component("b", Some("Permission\n")),
            component("c", None),
        ];
        let notices = notices(&components).unwrap();
        assert_eq!(notices.matches("Permission").count(), 1);
        assert!(notices.contains("a 1.0.0, b 1.0.0"), "{notices}");
        assert!(notices.contains("\nc 1.0.0: MIT\n"), "{notices}");
    }
}
