//! Which crates are published, in which order, and the rules of their versions.

use std::path::Path;

use anyhow::{Result, bail};

use crate::metadata::{Dependency, Metadata, Package};

const RULES: &str = "\
rules: crates version on their own; the first heading of a changelog is the version to come; a crate asks for exactly the
  version of its sibling that stands here (^); what is breaking in docjobs-core is breaking wherever its types show, which is
  in every other crate; a name that was published keeps its meaning
compatibility: `cargo xtask api --check` holds each public API to its snapshot, and no more is checked, since no release is
  there to compare with; before the second one, `cargo semver-checks --workspace` in target/package-stage compares with it";

/// What is published, each after everything that it needs.
#[derive(Debug, PartialEq)]
pub(super) struct Plan {
    pub(super) crates: Vec<Crate>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Crate {
    /// Its name here.
    pub(super) name: String,
    /// Its name on the registry.
    pub(super) publish_name: String,
    pub(super) version: String,
    /// Its folder below the root, with `/`.
    pub(super) place: String,
    /// The siblings it names, dev-dependencies included, by their names here.
    pub(super) needs: Vec<String>,
    /// The siblings that its users get without asking for a feature, those of siblings included.
    pub(super) brings: Vec<String>,
    /// Whether it is a command and has nothing to link.
    pub(super) is_program: bool,
}

impl Crate {
    /// What it is called in code.
    pub(super) fn library(&self) -> String {
        self.name.replace('-', "_")
    }

    pub(super) fn is_renamed(&self) -> bool {
        self.name != self.publish_name
    }
}

impl Plan {
    pub(super) fn find(&self, name: &str) -> Option<&Crate> {
        self.crates.iter().find(|one| one.name == name)
    }

    /// The order and the rules, for people.
    pub(super) fn told(&self) -> String {
        let order: Vec<String> = self
            .crates
            .iter()
            .map(|one| format!("{} {}", one.publish_name, one.version))
            .collect();
        format!("order: {}\n{RULES}", order.join(", then "))
    }
}

/// Reads what would be published; `changelog` gives the text for a crate's folder.
pub(super) fn make(metadata: &Metadata, changelog: impl Fn(&Path) -> String) -> Result<Plan> {
    let mut waiting: Vec<&Package> = metadata
        .packages
        .iter()
        .filter(|package| package.is_published())
        .collect();
    let broken: Vec<String> = waiting
        .iter()
        .flat_map(|package| broken_rules(package, metadata, &changelog(package.folder())))
        .collect();
    if !broken.is_empty() {
        bail!("{}", broken.join("\n"));
    }
    let mut crates: Vec<Crate> = Vec::new();
    while !waiting.is_empty() {
        let is_free = |package: &&Package| {
            needs(package)
                .iter()
                .all(|need| crates.iter().any(|done| done.name == *need))
        };
        let Some(index) = waiting.iter().position(is_free) else {
            let names: Vec<&str> = waiting
                .iter()
                .map(|package| package.name.as_str())
                .collect();
            bail!(
                "{} need each other, or a package that is not published",
                names.join(" and ")
            );
        };
        let package = waiting.remove(index);
        let brings = brings(package, &crates);
        crates.push(Crate {
            name: package.name.clone(),
            publish_name: package.publish_name().to_owned(),
            version: package.version.clone(),
            place: place(package),
            needs: needs(package),
            brings,
            is_program: !package.has_library(),
        });
    }
    Ok(Plan { crates })
}

/// `crates/NAME`: packages lie two levels below the root.
fn place(package: &Package) -> String {
    let parts: Vec<_> = package.folder().iter().rev().take(2).collect();
    let parts: Vec<_> = parts
        .iter()
        .rev()
        .map(|part| part.to_string_lossy())
        .collect();
    parts.join("/")
}

fn needs(package: &Package) -> Vec<String> {
    let mut needs: Vec<String> = package
        .dependencies
        .iter()
        .filter(|dependency| dependency.path.is_some() && dependency.name != package.name)
        .map(|dependency| dependency.name.clone())
        .collect();
    needs.sort();
    needs.dedup();
    needs
}

/// What the users of a package get of ours beside it; everything that it needs was planned before.
fn brings(package: &Package, planned: &[Crate]) -> Vec<String> {
    let is_linked = |dependency: &&Dependency| {
        dependency.path.is_some()
            && dependency.kind.is_none()
            && !dependency.optional
            && dependency.name != package.name
    };
    let mut brings: Vec<String> = Vec::new();
    for dependency in package.dependencies.iter().filter(is_linked) {
        let further = planned.iter().find(|one| one.name == dependency.name);
        brings.push(dependency.name.clone());
        brings.extend(further.into_iter().flat_map(|one| one.brings.clone()));
    }
    brings.sort();
    brings.dedup();
    brings
}

fn broken_rules(package: &Package, metadata: &Metadata, changelog: &str) -> Vec<String> {
    let mut broken = Vec::new();
    let version = changelog
        .lines()
        .find_map(|line| line.strip_prefix("## "))
        .and_then(|heading| heading.split(' ').next());
    if version != Some(package.version.as_str()) {
        broken.push(format!(
            "{} is {}, but its changelog begins with {}",
            package.name,
            package.version,
            version.unwrap_or("nothing")
        ));
    }
    for dependency in &package.dependencies {
        let sibling = metadata
            .packages
            .iter()
            .find(|other| dependency.path.is_some() && other.name == dependency.name);
        if let Some(sibling) = sibling
            && sibling.name != package.name
            && dependency.req != format!("^{}", sibling.version)
        {
            broken.push(format!(
                "{} asks for {} {}, which is {} here",
                package.name, sibling.name, dependency.req, sibling.version
            ));
        }
    }
    broken
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, needs: &[&str]) -> Package {
        Package {
            name: name.to_owned(),
            version: "0.1.0".to_owned(),
            manifest_path: format!("/x/crates/{name}/Cargo.toml").into(),
            dependencies: needs
                .iter()
                .map(|need| Dependency {
                    name: (*need).to_owned(),
                    req: "^0.1.0".to_owned(),
                    path: Some("p".into()),
                    ..Dependency::default()
                })
                .collect(),
            ..Package::default()
        }
    }

    fn planned(packages: Vec<Package>) -> Result<Plan> {
        make(
            &Metadata {
                packages,
                target_directory: std::path::PathBuf::new(),
            },
            |_| "# C\n\n## 0.1.0 (soon)\n".to_owned(),
        )
    }

    #[test]
    fn crates_come_after_what_they_need_under_the_names_they_are_published_by() {
        let mut core = package("core", &["core"]); // for its own tests
        core.metadata = serde_json::json!({ "docjobs": { "publish-name": "our-core" } });
        let mut tool = package("tool", &["a", "hidden"]);
        tool.publish = Some(Vec::new());
        let plan = planned(vec![
            package("a", &["b", "core"]),
            package("b", &["core"]),
            core,
            tool,
        ])
        .unwrap();
        let names: Vec<_> = plan
            .crates
            .iter()
            .map(|one| one.publish_name.as_str())
            .collect();
        assert_eq!(names, ["our-core", "b", "a"]);
        assert_eq!(plan.find("a").unwrap().place, "crates/a");
        assert!(
            plan.told()
                .starts_with("order: our-core 0.1.0, then b 0.1.0, then a 0.1.0\n")
        );
    }

    #[test]
    fn users_get_what_is_needed_without_a_feature_and_nothing_else() {
        let mut a = package("a", &["b", "optional", "tests"]);
        for dependency in &mut a.dependencies {
            dependency.optional = dependency.name == "optional";
            dependency.kind = (dependency.name == "tests").then(|| "dev".to_owned());
        }
        let others = ["core", "optional", "tests"].map(|name| package(name, &[]));
        let mut packages = vec![a, package("b", &["core"])];
        packages.extend(others);
        let plan = planned(packages).unwrap();
        assert_eq!(plan.find("a").unwrap().brings, ["b", "core"]);
    }

    #[test]
    fn a_circle_and_a_need_that_is_not_published_are_refused_by_name() {
        let circle = planned(vec![package("a", &["b"]), package("b", &["a"])]);
        assert!(circle.unwrap_err().to_string().contains("a and b need"));
        let mut hidden = package("hidden", &[]);
        hidden.publish = Some(Vec::new());
        assert!(planned(vec![package("a", &["hidden"]), hidden]).is_err());
    }

    #[test]
    fn a_version_that_the_changelog_or_a_sibling_does_not_know_is_refused() {
        let mut late = package("late", &[]);
        late.version = "0.2.0".to_owned();
        let error = planned(vec![package("a", &["late"]), late])
            .unwrap_err()
            .to_string();
        assert_eq!(
            error,
            "a asks for late ^0.1.0, which is 0.2.0 here\nlate is 0.2.0, but its changelog begins with 0.1.0"
        );
    }
}
