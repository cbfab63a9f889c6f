//! Which feature combinations are worth a build of their own, computed from what a package declares.

use std::collections::BTreeSet;

use crate::metadata::Package;

/// Arguments for cargo, one entry a combination: nothing, defaults, each feature alone, everything.
///
/// Two combinations that switch on the same things are built once.
pub(crate) fn combinations(package: &Package) -> Vec<Vec<String>> {
    let mut candidates: Vec<(Vec<String>, Vec<&str>)> = vec![
        (words(&["--no-default-features"]), Vec::new()),
        (Vec::new(), vec!["default"]),
    ];
    let singles = package.features.keys().filter(|name| *name != "default");
    for name in singles {
        candidates.push((
            words(&["--no-default-features", "--features", name]),
            vec![name],
        ));
    }
    let everything = package.features.keys().map(String::as_str).collect();
    candidates.push((words(&["--all-features"]), everything));
    let mut built = BTreeSet::new();
    candidates
        .into_iter()
        .filter(|(_, chosen)| built.insert(switched_on(package, chosen)))
        .map(|(arguments, _)| arguments)
        .collect()
}

/// Everything that the chosen features bring, themselves included; `default` is a name for others and counts for nothing.
fn switched_on(package: &Package, chosen: &[&str]) -> BTreeSet<String> {
    let mut on = BTreeSet::new();
    let mut open: Vec<&str> = chosen.to_vec();
    while let Some(name) = open.pop() {
        if on.insert(name.to_owned()) {
            open.extend(
                package
                    .features
                    .get(name)
                    .into_iter()
                    .flatten()
                    .map(String::as_str),
            );
        }
    }
    on.remove("default");
    on
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(features: &[(&str, &[&str])]) -> Vec<String> {
        let package = Package {
            features: features
                .iter()
                .map(|(name, brings)| ((*name).to_owned(), words(brings)))
                .collect(),
            ..Package::default()
        };
        combinations(&package)
            .iter()
            .map(|line| line.join(" "))
            .collect()
    }

    #[test]
    fn a_package_without_features_is_built_once() {
        assert_eq!(lines(&[]), ["--no-default-features"]);
        assert_eq!(lines(&[("default", &[])]), ["--no-default-features"]);
    }

    #[test]
    fn each_feature_is_built_alone_and_equal_combinations_once() {
        assert_eq!(
            lines(&[("default", &["tls"]), ("tls", &["dep:x"])]),
            ["--no-default-features", ""]
        );
        assert_eq!(
            lines(&[("default", &[]), ("http", &["dep:x"]), ("testing", &[])]),
            [
                "--no-default-features",
                "--no-default-features --features http",
                "--no-default-features --features testing",
                "--all-features"
            ]
        );
        assert_eq!(
            lines(&[("default", &["a"]), ("a", &["b"]), ("b", &[])]),
            [
                "--no-default-features",
                "",
                "--no-default-features --features b"
            ]
        );
    }
}
