//! One public name, one meaning: read from the snapshots of what is published.

use std::collections::{BTreeMap, BTreeSet};

use super::Violation;
use super::tree::Tree;

const SNAPSHOT: &str = "/public-api.txt";

/// Roles that each crate of a vendor may fill; they mean the same in all of them.
const ROLES: &[&str] = &[
    "Candidate",
    "Client",
    "ClientBuilder",
    "Conversion",
    "ConvertHandler",
    "ConvertInput",
    "ConvertRequest",
    "Language",
    "Ready",
    "ResourceId",
    "WebhookEvent",
    "WebhookKey",
    "WebhookRequest",
];

/// Choices that the simulator offers as the crate of the vendor does.
const MIRRORED: &[&str] = &["Family", "PdfCharge", "ReportNumbering"];

/// Modules whose names are the vendor's own, or are those of tests.
const FOREIGN: &[&str] = &["testing", "types"];

/// Every name that a second crate defines.
pub(crate) fn check(tree: &Tree) -> Vec<Violation> {
    let mut crates_of: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for file in &tree.files {
        if !file.path.ends_with(SNAPSHOT) {
            continue;
        }
        for name in file.text.lines().filter_map(defined) {
            crates_of.entry(name).or_default().insert(&file.path);
        }
    }
    let mut violations = Vec::new();
    for (name, paths) in crates_of {
        let is_known = ROLES.contains(&name) || MIRRORED.contains(&name);
        let is_role = is_known && paths.iter().all(|path| !is_shared(path));
        let mut paths = paths.into_iter();
        let first = paths.next().unwrap_or_default();
        for path in paths.filter(|_| !is_role) {
            let message = format!(
                "`{name}` has another meaning in {first}: one of the two needs another name"
            );
            violations.push(Violation::new(path, 1, message));
        }
    }
    violations
}

/// The crates that all vendors share.
fn is_shared(path: &str) -> bool {
    path.starts_with("crates/jobs-")
}

/// The type, trait or function of a crate's own that a line defines.
fn defined(line: &str) -> Option<&str> {
    let mut words = line.split(' ').skip_while(|word| word.starts_with("#["));
    let path = match (words.next()?, words.next()?) {
        ("pub", "struct" | "enum" | "trait" | "type") => words.next()?,
        _ => return None,
    };
    let end = path.find(['<', '(']).unwrap_or(path.len());
    let path = path.get(..end)?.trim_end_matches(':');
    let mut modules: Vec<&str> = path.split("::").collect();
    let name = modules.pop()?;
    let is_type = |name: &&str| name.starts_with(char::is_uppercase);
    (!modules
        .iter()
        .any(|module| is_type(module) || FOREIGN.contains(module)))
    .then_some(name)
}

#[cfg(test)]
mod tests {
    use super::super::tree::File;
    use super::*;

    fn found(files: &[(&str, &str)]) -> Vec<String> {
        let files = files.iter().map(|(name, text)| File {
            path: format!("crates/{name}/public-api.txt"),
            text: (*text).to_owned(),
        });
        let tree = Tree {
            top: Vec::new(),
            files: files.collect(),
        };
        let violations = check(&tree);
        violations.iter().map(Violation::to_string).collect()
    }

    #[test]
    fn a_name_of_two_crates_is_found() {
        let found = found(&[
            (
                "jobs-core",
                "#[non_exhaustive] pub enum jobs_core::vendor::Acquired\n",
            ),
            ("jobs-ledger", "pub struct jobs_ledger::Acquired<T>\n"),
        ]);
        assert_eq!(
            found,
            [
                "crates/jobs-ledger/public-api.txt:1: `Acquired` has another meaning in \
              crates/jobs-core/public-api.txt: one of the two needs another name"
            ]
        );
    }

    #[test]
    fn a_role_is_the_same_in_every_vendor_and_never_in_what_they_share() {
        let of = |name: &str| format!("pub struct {name}::Client\n");
        let (textin, ppj, core) = (of("textin"), of("ppj"), of("jobs_core"));
        assert!(found(&[("textin", &textin), ("ppj", &ppj)]).is_empty());
        assert_eq!(found(&[("textin", &textin), ("jobs-core", &core)]).len(), 1);
    }

    #[test]
    fn the_vendors_own_names_and_associated_types_do_not_count() {
        let ppj = "pub struct ppj::types::Job\npub type ppj::Conversion::Output = X\n";
        let core = "pub struct jobs_core::Job<K>\npub type jobs_core::Poll::Output\npub use jobs_core::Other\n";
        assert!(found(&[("ppj", ppj), ("jobs-core", core)]).is_empty());
    }
}
