//! `ci [--list | STEP…]`: everything that must hold before a change goes in, in order, up to the first failure.

mod features;
mod step;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::clock::Stopwatch;
use crate::metadata::{self, Metadata, Package};
use step::{Action, Step};

/// What takes longer, needs more tools, or looks at what seldom changes.
const ON_DEMAND: &str = "deny [--advisories], package (builds every archive), record --check, \
                         fuzz NAME, mutants, crash --runs 10000, bench NAME, temporal [--full]";

/// Runs the named steps, or all of them.
pub(crate) fn run(root: &Path, names: &[&str]) -> Result<()> {
    let steps = steps(&metadata::read(root)?);
    if names == ["--list"] {
        for step in &steps {
            println!("{:9} {}", step.name, step.about);
        }
        return Ok(());
    }
    run_steps(&choose(&steps, names)?, |action| action.run(root))?;
    println!("==> left to be run by hand with cargo xtask: {ON_DEMAND}");
    Ok(())
}

/// Up to the first failure.
fn run_steps(steps: &[&Step], mut act: impl FnMut(&Action) -> Result<()>) -> Result<()> {
    let whole = Stopwatch::start();
    let mut times = Vec::new();
    for step in steps {
        let watch = Stopwatch::start();
        for action in &step.actions {
            println!("==> {}: {}", step.name, action.line());
            act(action).with_context(|| {
                format!("step `{0}` failed (alone: `cargo xtask ci {0}`)", step.name)
            })?;
        }
        let time = seconds(watch.elapsed());
        println!("==> {} took {time}", step.name);
        times.push(format!("{} {time}", step.name));
    }
    println!(
        "==> all is well after {} ({})",
        seconds(whole.elapsed()),
        times.join(", ")
    );
    Ok(())
}

fn choose<'a>(steps: &'a [Step], names: &[&str]) -> Result<Vec<&'a Step>> {
    if let Some(unknown) = names
        .iter()
        .find(|name| !steps.iter().any(|step| step.name == **name))
    {
        let known: Vec<&str> = steps.iter().map(|step| step.name).collect();
        bail!("there is no step `{unknown}` (steps: {})", known.join(", "));
    }
    let wanted = |step: &&Step| names.is_empty() || names.contains(&step.name);
    Ok(steps.iter().filter(wanted).collect())
}

fn steps(metadata: &Metadata) -> Vec<Step> {
    let published: Vec<&Package> = metadata
        .packages
        .iter()
        .filter(|package| package.is_published())
        .collect();
    let step = |name, about, actions| Step {
        name,
        about,
        actions,
    };
    vec![
        step(
            "fmt",
            "the text is formatted",
            vec![Action::cargo(["fmt", "--all", "--check"])],
        ),
        step(
            "codegen",
            "generated files agree with their documents",
            vec![Action::Codegen],
        ),
        step("tidy", "the rules of the tree hold", vec![Action::Tidy]),
        step(
            "clippy",
            "no warning in any target",
            vec![Action::cargo([
                "clippy",
                "--workspace",
                "--all-targets",
                "--",
                "-D",
                "warnings",
            ])],
        ),
        step(
            "test",
            "all tests, as the README names them",
            vec![Action::cargo(metadata::TEST)],
        ),
        step(
            "browser",
            "the page of docjobs serve in a real browser, where there is one",
            vec![Action::Browser],
        ),
        step(
            "features",
            "every published package without warnings under each of its features",
            published
                .iter()
                .flat_map(|package| feature_checks(package))
                .collect(),
        ),
        step(
            "doc",
            "documentation without warnings",
            vec![Action::Cargo {
                arguments: ["doc", "--workspace", "--no-deps"]
                    .map(str::to_owned)
                    .to_vec(),
                environment: vec![("RUSTDOCFLAGS", "-D warnings")],
            }],
        ),
        step(
            "api",
            "the public API is the one of the snapshots",
            vec![Action::Api],
        ),
        step(
            "package",
            "every published package can be packed under its publish name, and used alone",
            vec![Action::Package],
        ),
        step(
            "temporal",
            "jobs on a Temporal server: nothing bought twice or lost with killed and stopped workers",
            vec![Action::Temporal(&[
                "contract",
                "workers_killed",
                "many_jobs",
            ])],
        ),
    ]
}

/// Clippy rather than check: it costs the same and sees what is unused when a feature is off.
fn feature_checks(package: &Package) -> Vec<Action> {
    if !package.has_library() {
        return Vec::new();
    }
    features::combinations(package)
        .into_iter()
        .map(|combination| {
            let head = ["clippy", "--package", &package.name, "--lib"].map(str::to_owned);
            let tail = ["--", "-D", "warnings"].map(str::to_owned);
            Action::cargo(head.into_iter().chain(combination).chain(tail))
        })
        .collect()
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::Target;

    fn metadata() -> Metadata {
        let library = |name: &str| Package {
            name: name.to_owned(),
            targets: vec![Target {
                kind: vec!["lib".to_owned()],
            }],
            ..Package::default()
        };
        let mut core = library("core");
        core.features.insert("http".to_owned(), Vec::new());
        let mut private = library("private");
        private.publish = Some(Vec::new());
        Metadata {
            packages: vec![core, library("vendor"), private],
            target_directory: "target".into(),
        }
    }

    fn lines(name: &str) -> Vec<String> {
        let steps = steps(&metadata());
        let chosen = choose(&steps, &[name]).unwrap();
        chosen
            .iter()
            .flat_map(|step| step.actions.iter().map(Action::line))
            .collect()
    }

    #[test]
    fn steps_run_in_their_order_whatever_order_they_are_named_in() {
        let steps = steps(&metadata());
        let names = |given: &[&str]| -> Vec<&str> {
            choose(&steps, given)
                .unwrap()
                .iter()
                .map(|step| step.name)
                .collect()
        };
        assert_eq!(
            names(&[]),
            [
                "fmt", "codegen", "tidy", "clippy", "test", "browser", "features", "doc", "api",
                "package", "temporal"
            ]
        );
        assert_eq!(names(&["test", "fmt"]), ["fmt", "test"]);
    }

    #[test]
    fn an_unknown_step_is_refused_by_name() {
        let error = choose(&steps(&metadata()), &["fmt", "tset"])
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("`tset`") && error.contains("package"),
            "{error}"
        );
    }

    #[test]
    fn features_cover_every_published_package_and_no_other() {
        assert_eq!(
            lines("features"),
            [
                "cargo clippy --package core --lib --no-default-features -- -D warnings",
                "cargo clippy --package core --lib --no-default-features --features http -- -D warnings",
                "cargo clippy --package vendor --lib --no-default-features -- -D warnings",
            ]
        );
        assert_eq!(lines("package"), ["cargo xtask package --quick"]);
    }

    #[test]
    fn the_tests_are_run_as_the_readme_says() {
        assert_eq!(lines("test"), ["cargo test --workspace"]);
        assert_eq!(
            lines("doc"),
            ["RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps"]
        );
    }

    #[test]
    fn the_first_failure_ends_the_run_and_names_the_step_and_how_to_run_it_alone() {
        let steps = steps(&metadata());
        let mut ran = Vec::new();
        let error = run_steps(&choose(&steps, &[]).unwrap(), |action| {
            ran.push(action.line());
            if *action == Action::Tidy {
                bail!("2 rules are broken");
            }
            Ok(())
        })
        .unwrap_err();
        assert_eq!(
            format!("{error:#}"),
            "step `tidy` failed (alone: `cargo xtask ci tidy`): 2 rules are broken"
        );
        assert_eq!(
            ran,
            [
                "cargo fmt --all --check",
                "cargo xtask codegen --check",
                "cargo xtask tidy"
            ]
        );
    }
}
