//! Which of our packages may use which: the arrows of the design, and nothing else.

use super::Violation;
use crate::metadata::Package;

/// A package and those of ours it may name, dev-dependencies included. A package that is not listed may not exist.
const ALLOWED: &[(&str, &[&str])] = &[
    ("jobs-core", &[]),
    ("mindshow", &["jobs-core", "jobs-ledger", "jobs-runner"]),
    ("tencent-ess", &["jobs-core", "jobs-ledger", "jobs-runner"]),
    ("ppj", &["jobs-core", "jobs-ledger", "jobs-runner"]),
    ("textin", &["jobs-core", "jobs-ledger", "jobs-runner"]),
    ("printer-jobs", &["jobs-core"]),
    ("jobs-ledger", &["jobs-core"]),
    ("jobs-runner", &["jobs-core", "jobs-ledger"]),
    // A simulator that shared our types would agree with our mistakes.
    ("vendor-sim", &[]),
    (
        "docjobs",
        &[
            "jobs-core",
            "jobs-ledger",
            "jobs-runner",
            "mindshow",
            "ppj",
            "printer-jobs",
            "tencent-ess",
            "textin",
            "vendor-sim",
        ],
    ),
    (
        "jobs-temporal",
        &[
            "jobs-core",
            "jobs-ledger",
            "jobs-runner",
            "mindshow",
            "ppj",
            "tencent-ess",
            "textin",
            "vendor-sim",
        ],
    ),
    (
        "docjobs-tests",
        &[
            "docjobs",
            "jobs-core",
            "jobs-ledger",
            "jobs-runner",
            "mindshow",
            "ppj",
            "printer-jobs",
            "tencent-ess",
            "textin",
            "vendor-sim",
        ],
    ),
    ("xtask", &[]),
];

pub(crate) fn check(manifest: &str, package: &Package) -> Vec<Violation> {
    let Some((_, allowed)) = ALLOWED.iter().find(|(name, _)| *name == package.name) else {
        return vec![Violation::new(
            manifest,
            1,
            format!(
                "package `{}` has no place in the arrows of xtask/src/tidy/arrows.rs",
                package.name
            ),
        )];
    };
    let mut violations = Vec::new();
    for dependency in package
        .dependencies
        .iter()
        .filter(|dependency| dependency.path.is_some())
    {
        let is_dev = dependency.kind.as_deref() == Some("dev");
        // A package may name itself to switch a feature on for its own tests.
        let is_itself = is_dev && dependency.name == package.name;
        if !is_itself && !allowed.contains(&dependency.name.as_str()) {
            violations.push(Violation::new(
                manifest,
                1,
                format!(
                    "`{}` must not depend on `{}`",
                    package.name, dependency.name
                ),
            ));
        }
        let tests_only = dependency
            .features
            .iter()
            .any(|feature| feature == "testing");
        if tests_only && !is_dev && package.is_published() {
            violations.push(Violation::new(
                manifest,
                1,
                format!(
                    "feature `testing` of `{}` is for dev-dependencies",
                    dependency.name
                ),
            ));
        }
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::Dependency;

    fn package(name: &str, on: &str, kind: Option<&str>, features: &[&str]) -> Package {
        Package {
            name: name.to_owned(),
            dependencies: vec![Dependency {
                name: on.to_owned(),
                kind: kind.map(str::to_owned),
                req: "^0.1.0".to_owned(),
                path: Some(on.into()),
                features: features.iter().map(|&feature| feature.to_owned()).collect(),
                ..Dependency::default()
            }],
            ..Package::default()
        }
    }

    fn count(name: &str, on: &str, kind: Option<&str>, features: &[&str]) -> usize {
        check("Cargo.toml", &package(name, on, kind, features)).len()
    }

    #[test]
    fn arrows_that_point_sideways_or_up_are_found() {
        for (name, on) in [
            ("textin", "ppj"),
            ("printer-jobs", "mindshow"),
            ("jobs-core", "textin"),
            ("jobs-core", "jobs-ledger"),
            ("jobs-ledger", "textin"),
            ("jobs-ledger", "jobs-runner"),
            ("jobs-runner", "textin"),
            ("jobs-runner", "vendor-sim"),
            ("vendor-sim", "jobs-core"),
            ("vendor-sim", "textin"),
            ("textin", "docjobs"),
            ("textin", "vendor-sim"),
            ("textin", "xtask"),
            ("jobs-core", "docjobs-tests"),
        ] {
            assert_eq!(count(name, on, None, &[]), 1, "{name} on {on}");
            assert_eq!(
                count(name, on, Some("dev"), &[]),
                1,
                "{name} on {on} for tests"
            );
        }
    }

    #[test]
    fn arrows_that_point_down_are_fine() {
        for (name, on) in [
            ("textin", "jobs-core"),
            ("jobs-ledger", "jobs-core"),
            ("docjobs", "vendor-sim"),
            ("docjobs-tests", "textin"),
        ] {
            assert_eq!(count(name, on, None, &[]), 0, "{name} on {on}");
        }
        assert_eq!(
            count("jobs-core", "jobs-core", Some("dev"), &["testing"]),
            0
        );
        assert_eq!(count("textin", "jobs-core", Some("dev"), &["testing"]), 0);
    }

    #[test]
    fn the_testing_feature_is_found_in_a_plain_dependency() {
        assert_eq!(count("textin", "jobs-core", None, &["testing"]), 1);
    }

    #[test]
    fn a_package_without_a_place_is_found() {
        assert_eq!(count("newcomer", "jobs-core", None, &[]), 1);
    }
}
