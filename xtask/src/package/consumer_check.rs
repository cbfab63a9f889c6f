//! A throw-away user of each crate, who has nothing of ours but what the archives say.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};

use super::plan::{Crate, Plan};
use super::{read, succeed, write};
use crate::metadata::cargo;

/// The user whose program is run, with what it is given, what it makes, and words that must come back.
const RUN: (&str, &str, &str, &str) =
    ("textin", "notes.txt", "notes.md", "nothing is bought twice");

/// Checks every user, and runs one against the simulators unless it must be quick.
pub(super) fn all(
    root: &Path,
    stage: &Path,
    plan: &Plan,
    archives: &[(&Crate, PathBuf)],
    quick: bool,
) -> Result<()> {
    for (one, folder) in archives {
        if one.is_program {
            println!("{} is a program: nobody links it", one.publish_name);
            continue;
        }
        let user = stage.join("users").join(&one.name);
        let program = program(one, folder)?;
        write(&user.join("src/main.rs"), &program)?;
        write(&user.join("Cargo.toml"), &manifest(one, plan, archives))?;
        let lock = stage.join("Cargo.lock");
        fs::copy(&lock, user.join("Cargo.lock")).context("cannot copy the lock file")?;
        alone(&user, one, plan)?;
        let run = !quick && one.name == RUN.0;
        let word = if run { "build" } else { "check" };
        println!("user of {}: cargo {word}", one.publish_name);
        let mut command = Command::new(cargo());
        command.args([word, "--offline", "--quiet", "--target-dir"]);
        succeed(command.arg(root.join("target")).current_dir(&user))?;
        if run {
            run_against_simulators(root, &user, one)?;
        }
    }
    Ok(())
}

/// The crate's own example, if it needs nothing else, so that what is documented is what is tried.
fn program(one: &Crate, folder: &Path) -> Result<String> {
    let library = one.library();
    let mut examples = Vec::new();
    if let Ok(entries) = fs::read_dir(folder.join("examples")) {
        for entry in entries {
            let path = entry?.path();
            // An example of several files needs more than its first one.
            if path.is_file() {
                examples.push(path);
            }
        }
    }
    examples.sort();
    for example in examples {
        let text = read(&example)?;
        // A stranger switches no feature on, least of all the one for tests.
        let is_for_tests = text.contains("jobs_core::testing");
        if !is_for_tests && needs_only(&text, &["std", "jobs_core", &library]) {
            return Ok(text);
        }
    }
    Ok(format!(
        "//! Links the crate.\nuse {library} as _;\nfn main() {{}}\n"
    ))
}

fn needs_only(text: &str, known: &[&str]) -> bool {
    text.lines()
        .filter_map(|line| line.strip_prefix("use "))
        .all(|path| {
            known
                .iter()
                .any(|name| path.starts_with(&format!("{name}::")))
        })
}

fn manifest(one: &Crate, plan: &Plan, archives: &[(&Crate, PathBuf)]) -> String {
    // The types of the core are in every signature, so users name it as well.
    let core = plan.find("jobs-core").filter(|core| core.name != one.name);
    let mine: Vec<&Crate> = core.into_iter().chain([one]).collect();
    let brought = |other: &Crate| one.brings.contains(&other.name);
    let mut text = format!(
        "[package]\nname = \"user-of-{}\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[workspace]\n\n[dependencies]\n",
        one.publish_name
    );
    for one in &mine {
        text.push_str(&format!("{} = \"={}\"\n", one.publish_name, one.version));
    }
    text.push_str(
        "tokio = { version = \"1\", default-features = false, features = [\"macros\", \"rt\"] }\n",
    );
    text.push_str("\n[patch.crates-io]\n");
    for (one, folder) in archives {
        if mine.contains(one) || brought(one) {
            text.push_str(&format!(
                "{} = {{ path = {:?} }}\n",
                one.publish_name, folder
            ));
        }
    }
    // As in the workspace, so that what was built there is not built again.
    text.push_str("\n[profile.dev]\ndebug = \"line-tables-only\"\n\n[profile.dev.package.\"*\"]\ndebug = false\n");
    text
}

/// Of ours, the user has the crate and the core, and nothing else.
fn alone(user: &Path, one: &Crate, plan: &Plan) -> Result<()> {
    let output = Command::new(cargo())
        // For this machine only, unlike `cargo metadata`: what other systems need may not be here.
        .args(["tree", "--offline", "--prefix", "none", "--format", "{p}"])
        .current_dir(user)
        .output()
        .context("cannot start cargo")?;
    let why = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "cargo tree: {}", why.trim());
    let tree = String::from_utf8_lossy(&output.stdout);
    let names: Vec<&str> = tree
        .lines()
        .filter_map(|line| line.split(' ').next())
        .collect();
    strangers(&names, one, plan)
}

fn strangers(names: &[&str], one: &Crate, plan: &Plan) -> Result<()> {
    for other in &plan.crates {
        let expected =
            other.name == one.name || other.name == "jobs-core" || one.brings.contains(&other.name);
        let is_there = names.contains(&other.publish_name.as_str());
        if expected && !is_there {
            bail!(
                "the user of {} does not get {}",
                one.publish_name,
                other.publish_name
            );
        }
        if is_there && !expected {
            bail!(
                "the user of {} gets {} as well",
                one.publish_name,
                other.publish_name
            );
        }
        if other.is_renamed() && names.contains(&other.name.as_str()) {
            bail!(
                "the user of {} gets the {} of somebody else",
                one.publish_name,
                other.name
            );
        }
    }
    Ok(())
}

/// The program, as built from the archives, in front of `docjobs sim`.
fn run_against_simulators(root: &Path, user: &Path, one: &Crate) -> Result<()> {
    let (_, from, to, words) = RUN;
    println!("user of {}: runs against docjobs sim", one.publish_name);
    let mut build = Command::new(cargo());
    succeed(
        build
            .args(["build", "--quiet", "-p", "docjobs"])
            .current_dir(root),
    )?;
    let simulators = Simulators::start(&root.join("target/debug/docjobs"))?;
    write(&user.join(from), words)?;
    let program = root.join(format!("target/debug/user-of-{}", one.publish_name));
    let mut command = Command::new(program);
    command.args([from, to]).current_dir(user).env_clear();
    succeed(command.envs(simulators.variables.iter().cloned()))?;
    let got = read(&user.join(to))?;
    ensure!(got.contains(words), "{to} lacks the words {words:?}: {got}");
    Ok(())
}

/// Ended when it is dropped.
struct Simulators {
    process: Child,
    variables: Vec<(String, String)>,
}

impl Simulators {
    fn start(docjobs: &Path) -> Result<Self> {
        let process = Command::new(docjobs)
            .args(["sim", "--speed", "100"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("cannot start {}", docjobs.display()))?;
        let mut started = Self {
            process,
            variables: Vec::new(),
        };
        let stdout = started.process.stdout.take().context("no output")?;
        for line in BufReader::new(stdout).lines() {
            let line = line.context("the simulators cannot be read")?;
            let (name, value) = line.split_once('=').context("no variable")?;
            started.variables.push((name.to_owned(), value.to_owned()));
            // The last of them.
            if name == "DOCJOBS_TIME_SCALE" {
                return Ok(started);
            }
        }
        bail!("the simulators did not start")
    }
}

impl Drop for Simulators {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> Plan {
        let one = |name: &str, publish_name: &str| Crate {
            name: name.to_owned(),
            publish_name: publish_name.to_owned(),
            version: "0.1.0".to_owned(),
            place: format!("crates/{name}"),
            needs: Vec::new(),
            brings: Vec::new(),
            is_program: false,
        };
        Plan {
            crates: vec![
                one("jobs-core", "docjobs-core"),
                one("a", "a"),
                one("b", "our-b"),
            ],
        }
    }

    #[test]
    fn a_user_has_the_crate_and_the_core_and_nothing_else_of_ours() {
        let plan = plan();
        let check = |names: &[&str]| strangers(names, &plan.crates[1], &plan);
        check(&["user", "a", "docjobs-core", "serde"]).unwrap();
        for names in [
            &["a"][..],
            &["docjobs-core"],
            &["a", "docjobs-core", "our-b"],
            &["a", "docjobs-core", "jobs-core"],
            &["a", "docjobs-core", "b"],
        ] {
            assert!(check(names).is_err(), "{names:?}");
        }
    }

    #[test]
    fn an_example_that_needs_more_is_not_taken() {
        let known = ["std", "jobs_core", "a"];
        assert!(needs_only(
            "use std::fs;\nuse jobs_core::Job;\nuse a::B;\n",
            &known
        ));
        assert!(!needs_only(
            "use std::fs;\nuse tempfile::TempDir;\n",
            &known
        ));
        assert!(!needs_only("use ab::B;\n", &known));
    }

    #[test]
    fn a_user_asks_for_publish_names_and_finds_them_in_the_archives() {
        let plan = plan();
        let archives: Vec<_> = plan
            .crates
            .iter()
            .map(|one| (one, PathBuf::from(&one.name)))
            .collect();
        let text = manifest(&plan.crates[2], &plan, &archives);
        for line in [
            "docjobs-core = \"=0.1.0\"",
            "our-b = \"=0.1.0\"",
            "docjobs-core = { path = \"jobs-core\" }",
            "our-b = { path = \"b\" }",
        ] {
            assert!(text.lines().any(|other| other == line), "{line}\n{text}");
        }
        assert!(!text.contains("a = { path"), "{text}");
    }
}
