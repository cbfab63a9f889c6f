//! Rules about the text of one file.

use super::Violation;
use super::words::{CLOCK, FOREIGN, IGNORE, VENDOR};

/// Files that may read the clock although they are not called `clock.rs`, each with its reason.
const CLOCK_ALLOWED: &[(&str, &str)] = &[(
    "xtask/peers/src/plain.rs",
    "what the fleet is measured beside is a loop that sleeps by itself",
)];

/// Files that hold foreign words for a reason of their own.
const FOREIGN_ALLOWED: &[(&str, &str)] = &[
    ("Cargo.lock", "written by cargo, names the registry"),
    (
        "crates/jobs-temporal/Cargo.lock",
        "written by cargo, names the registry",
    ),
    (
        "xtask/peers/Cargo.lock",
        "written by cargo, names the registry",
    ),
    (
        "tests/fuzz/Cargo.lock",
        "written by cargo, names the registry",
    ),
    (
        "xtask/api/Cargo.lock",
        "written by cargo, names the registry",
    ),
];

/// The files of `jobs-core` that may know the request layer; the waiting half does not.
const HTTP_SIDE: &[&str] = &[
    "crates/jobs-core/src/lib.rs",
    "crates/jobs-core/src/http",
    "crates/jobs-core/src/fuzz_oracle.rs",
    "crates/jobs-core/src/testing/response.rs",
];

pub(crate) fn check(path: &str, text: &str) -> Vec<Violation> {
    let mut violations = foreign_words(path, text);
    if path.ends_with(".rs") {
        violations.extend(first_line(path, text));
        violations.extend(clock(path, text));
        violations.extend(ignored_tests(path, text));
        violations.extend(generated_globs(path, text));
        violations.extend(vendor_words(path, text));
        violations.extend(http_from_waiting(path, text));
    }
    violations
}

/// Every file says in its first line what it answers for.
fn first_line(path: &str, text: &str) -> Vec<Violation> {
    let first = text.lines().next().unwrap_or_default();
    if first.starts_with("//! ") || first.starts_with("#![doc = include_str!(") {
        return Vec::new();
    }
    vec![Violation::new(
        path,
        1,
        "the first line is a `//!` line that says what the file answers for",
    )]
}

/// Only the clock module reads the time or sleeps.
fn clock(path: &str, text: &str) -> Vec<Violation> {
    let name = path.rsplit('/').next().unwrap_or(path);
    if name == "clock.rs" || CLOCK_ALLOWED.iter().any(|(allowed, _)| *allowed == path) {
        return Vec::new();
    }
    code_lines(text)
        .filter_map(|(line, code)| {
            let word = CLOCK.iter().find(|word| code.contains(**word))?;
            Some(Violation::new(
                path,
                line,
                format!("`{word}` outside a file named clock.rs: use the injected clock"),
            ))
        })
        .collect()
}

/// A test that does not run proves nothing.
fn ignored_tests(path: &str, text: &str) -> Vec<Violation> {
    code_lines(text)
        .filter(|(_, code)| code.contains(IGNORE))
        .map(|(line, _)| {
            Violation::new(
                path,
                line,
                "tests are never ignored: fix the test or remove it",
            )
        })
        .collect()
}

/// Generated types become public one by one.
fn generated_globs(path: &str, text: &str) -> Vec<Violation> {
    code_lines(text)
        .filter(|(_, code)| {
            code.starts_with("pub")
                && code.contains("use ")
                && code.contains("generated::")
                && code.contains('*')
        })
        .map(|(line, _)| {
            Violation::new(
                path,
                line,
                "generated types are re-exported by name, never by `*`",
            )
        })
        .collect()
}

/// `jobs-core` knows no vendor, comments included.
fn vendor_words(path: &str, text: &str) -> Vec<Violation> {
    if !path.starts_with("crates/jobs-core/") {
        return Vec::new();
    }
    lines(text)
        .filter_map(|(line, text)| {
            let text = text.to_lowercase();
            let word = VENDOR.iter().find(|word| text.contains(**word))?;
            Some(Violation::new(
                path,
                line,
                format!("`{word}` belongs to a vendor, and jobs-core knows none"),
            ))
        })
        .collect()
}

/// Waiting works without the request layer.
fn http_from_waiting(path: &str, text: &str) -> Vec<Violation> {
    if !path.starts_with("crates/jobs-core/src/")
        || HTTP_SIDE.iter().any(|side| path.starts_with(side))
    {
        return Vec::new();
    }
    code_lines(text)
        .filter_map(|(line, code)| {
            let word = ["crate::http", "super::http", "reqwest"]
                .iter()
                .find(|word| code.contains(**word))?;
            Some(Violation::new(
                path,
                line,
                format!("`{word}` in the waiting half of jobs-core, which works without the request layer"),
            ))
        })
        .collect()
}

/// No path of a machine, no host of a package registry.
fn foreign_words(path: &str, text: &str) -> Vec<Violation> {
    if FOREIGN_ALLOWED.iter().any(|(allowed, _)| *allowed == path) {
        return Vec::new();
    }
    lines(text)
        .filter_map(|(line, text)| {
            let word = FOREIGN.iter().find(|word| text.contains(**word))?;
            Some(Violation::new(
                path,
                line,
                format!("`{word}` belongs to a machine or a registry, not into the tree"),
            ))
        })
        .collect()
}

fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .enumerate()
        .map(|(index, line)| (index + 1, line))
}

/// Lines without those that are comments from their first character on.
fn code_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    lines(text)
        .map(|(line, text)| (line, text.trim_start()))
        .filter(|(_, text)| !text.starts_with("//"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: [usize; 0] = [];

    const HEAD: &str = "//! What it answers for.\n";

    fn found(path: &str, text: &str) -> Vec<usize> {
        check(path, text)
            .into_iter()
            .map(|violation| violation.line)
            .collect()
    }

    #[test]
    fn a_file_without_its_line_is_found() {
        assert_eq!(found("crates/a/src/b.rs", "use std::fs;\n"), [1]);
        assert_eq!(found("crates/a/src/b.rs", ""), [1]);
        assert_eq!(found("crates/a/src/b.rs", HEAD), NONE);
        let readme = "#![doc = include_str!(\"../README.md\")]\n";
        assert_eq!(found("crates/a/src/lib.rs", readme), NONE);
    }

    #[test]
    fn every_clock_word_is_found_outside_the_clock_file() {
        for word in CLOCK {
            let text = format!("{HEAD}fn f() {{\n    let _ = {word}();\n}}\n");
            assert_eq!(found("crates/a/src/b.rs", &text), [3], "{word}");
            assert_eq!(found("tests/tests/it/b.rs", &text), [3], "{word}");
            assert_eq!(found("crates/a/src/clock.rs", &text), NONE, "{word}");
            let comment = format!("{HEAD}/// Not {word}.\nfn f() {{}}\n");
            assert_eq!(found("crates/a/src/b.rs", &comment), NONE, "{word}");
        }
    }

    #[test]
    fn an_ignored_test_is_found() {
        let text = format!("{HEAD}#[test]\n{IGNORE} = \"slow\"]\nfn f() {{}}\n");
        assert_eq!(found("crates/a/src/b.rs", &text), [3]);
        let text = format!("{HEAD}#[test]\nfn f() {{}}\n");
        assert_eq!(found("crates/a/src/b.rs", &text), NONE);
    }

    #[test]
    fn a_public_glob_of_generated_types_is_found() {
        for bad in [
            "pub use generated::*;",
            "pub use crate::generated::types::*;",
            "pub(crate) use self::generated::types::{*};",
        ] {
            assert_eq!(
                found("crates/a/src/lib.rs", &format!("{HEAD}{bad}\n")),
                [2],
                "{bad}"
            );
        }
        for good in [
            "pub use crate::generated::types::{Page, Element};",
            "use crate::generated::types::*;",
            "pub use crate::model::*;",
        ] {
            assert_eq!(
                found("crates/a/src/lib.rs", &format!("{HEAD}{good}\n")),
                NONE,
                "{good}"
            );
        }
    }

    #[test]
    fn a_vendors_word_is_found_in_jobs_core_only() {
        for word in VENDOR {
            let text = format!("{HEAD}/// Like {}.\nstruct A;\n", word.to_uppercase());
            assert_eq!(found("crates/jobs-core/src/a.rs", &text), [2], "{word}");
            assert_eq!(found("crates/textin/src/a.rs", &text), NONE, "{word}");
        }
    }

    #[test]
    fn the_request_layer_is_found_in_the_waiting_half_only() {
        for bad in [
            "use crate::http::Layer;",
            "use super::http;",
            "fn f(_: reqwest::Client) {}",
        ] {
            let text = format!("{HEAD}{bad}\n");
            assert_eq!(found("crates/jobs-core/src/poller.rs", &text), [2], "{bad}");
            assert_eq!(
                found("crates/jobs-core/src/http/body.rs", &text),
                NONE,
                "{bad}"
            );
            assert_eq!(found("crates/textin/src/client.rs", &text), NONE, "{bad}");
        }
    }

    #[test]
    fn foreign_words_are_found_in_every_kind_of_file() {
        for word in FOREIGN {
            let text = format!("# a\nsee {word}x\n");
            assert_eq!(found("README.md", &text), [2], "{word}");
            assert_eq!(found(".ci/run", &text), [2], "{word}");
            assert_eq!(found("Cargo.lock", &text), NONE, "{word}");
        }
        assert_eq!(found("README.md", "# a\nsee docs/work\n"), NONE);
    }
}
