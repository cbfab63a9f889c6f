//! A throw-away user of each crate, who has nothing of ours but what the archives say.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};

use super::plan::{Crate, Plan};
use super::{read, succeed, write};
use crate::metadata::cargo;

/// The user whose program is run: one expression that prints a document's Markdown.
const SHORT: &str = "textin";
/// The user who wants it durable, with the crates in its manifest, and the example that is its program.
const DURABLE: (&str, &[(&str, &[&str])], &str) = (
    "durable",
    &[("textin", &["runner"]), ("jobs-runner", &[])],
    "tests/examples/durable.rs",
);
/// What the document says, and what must come back.
const WORDS: &str = "nothing is bought twice";

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
        let program = program(one, folder)?;
        let user = User {
            folder: stage.join("users").join(&one.name),
            name: format!("user-of-{}", one.publish_name),
            crates: named_in(&program, one, plan),
            run: !quick && one.name == SHORT,
        };
        user.make(stage, &program, archives)?;
        alone(&user.folder, &user.crates, plan)?;
        user.build(root)?;
        if user.run {
            let printed = Simulators::of(root)?.run(&user, root, &["notes.txt"])?;
            ensure!(printed.contains(WORDS), "it lacks {WORDS:?}: {printed}");
        }
    }
    durable(root, stage, plan, archives, quick)
}

/// A vendor crate with its handler, and the runner: the program is run twice, and its second run finds the result there.
fn durable(
    root: &Path,
    stage: &Path,
    plan: &Plan,
    archives: &[(&Crate, PathBuf)],
    quick: bool,
) -> Result<()> {
    let (name, crates, example) = DURABLE;
    let crates: Option<Vec<_>> = crates
        .iter()
        .map(|(name, features)| Some((plan.find(name)?, *features)))
        .collect();
    let user = User {
        folder: stage.join("users").join(name),
        name: format!("user-{name}"),
        crates: crates.with_context(|| format!("the crates of the user {name}"))?,
        run: !quick,
    };
    user.make(stage, &read(&root.join(example))?, archives)?;
    user.build(root)?;
    if user.run {
        let simulators = Simulators::of(root)?;
        for _ in 0..2 {
            simulators.run(&user, root, &["notes.txt", "notes.md"])?;
        }
        let got = read(&user.folder.join("notes.md"))?;
        ensure!(got.contains(WORDS), "notes.md lacks {WORDS:?}: {got}");
    }
    Ok(())
}

/// A throw-away package.
struct User<'a> {
    folder: PathBuf,
    name: String,
    /// What of ours stands in its manifest, with features.
    crates: Vec<(&'a Crate, &'a [&'a str])>,
    run: bool,
}

impl User<'_> {
    fn make(&self, stage: &Path, program: &str, archives: &[(&Crate, PathBuf)]) -> Result<()> {
        write(&self.folder.join("src/main.rs"), program)?;
        write(
            &self.folder.join("Cargo.toml"),
            &manifest(&self.name, &self.crates, archives),
        )?;
        let (from, to) = (stage.join("Cargo.lock"), self.folder.join("Cargo.lock"));
        fs::copy(from, to).context("cannot copy the lock file")?;
        Ok(())
    }

    fn build(&self, root: &Path) -> Result<()> {
        let word = if self.run { "build" } else { "check" };
        println!("{}: cargo {word}", self.name);
        let mut command = Command::new(cargo());
        command.args([word, "--offline", "--quiet", "--target-dir"]);
        succeed(command.arg(root.join("target")).current_dir(&self.folder))
    }
}

fn is_asked_for(other: &Crate, crates: &Named<'_>) -> bool {
    crates
        .iter()
        .any(|(one, _)| one.name == other.name || one.brings.contains(&other.name))
}

/// The crate, and the core only if the program names it.
fn named_in<'a>(program: &str, one: &'a Crate, plan: &'a Plan) -> Vec<(&'a Crate, &'a [&'a str])> {
    let core = plan.find("jobs-core").filter(|core| core.name != one.name);
    let core = core.filter(|_| program.contains("jobs_core::"));
    core.into_iter()
        .chain([one])
        .map(|one| (one, &[][..]))
        .collect()
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

fn manifest(name: &str, crates: &Named<'_>, archives: &[(&Crate, PathBuf)]) -> String {
    let mut text = format!(
        "[package]\nname = \"{name}\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[workspace]\n\n[dependencies]\n"
    );
    for (one, features) in crates {
        text.push_str(&format!(
            "{} = {{ version = \"={}\", features = {features:?} }}\n",
            one.publish_name, one.version
        ));
    }
    text.push_str(
        "tokio = { version = \"1\", default-features = false, features = [\"macros\", \"rt-multi-thread\"] }\n",
    );
    text.push_str("\n[patch.crates-io]\n");
    for (one, folder) in archives.iter().filter(|(one, _)| is_asked_for(one, crates)) {
        text.push_str(&format!("{} = {{ path = {folder:?} }}\n", one.publish_name));
    }
    // As in the workspace, so that what was built there is not built again.
    text.push_str("\n[profile.dev]\ndebug = \"line-tables-only\"\n\n[profile.dev.package.\"*\"]\ndebug = false\n");
    text
}

/// A user's crates of ours, with features.
type Named<'a> = [(&'a Crate, &'a [&'a str])];

/// Of ours, the user has what its manifest names and what that brings, and nothing else.
fn alone(user: &Path, crates: &Named<'_>, plan: &Plan) -> Result<()> {
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
    strangers(&names, crates, plan)
}

fn strangers(names: &[&str], crates: &Named<'_>, plan: &Plan) -> Result<()> {
    let user: Vec<&str> = crates.iter().map(|(one, _)| &*one.publish_name).collect();
    let user = user.join(" and ");
    for other in &plan.crates {
        let expected = is_asked_for(other, crates);
        let is_there = names.contains(&other.publish_name.as_str());
        if expected && !is_there {
            bail!("the user of {user} does not get {}", other.publish_name);
        }
        if is_there && !expected {
            bail!("the user of {user} gets {} as well", other.publish_name);
        }
        if other.is_renamed() && names.contains(&other.name.as_str()) {
            bail!(
                "the user of {user} gets the {} of somebody else",
                other.name
            );
        }
    }
    Ok(())
}

/// Ended when it is dropped.
struct Simulators {
    process: Child,
    variables: Vec<(String, String)>,
}

impl Simulators {
    fn of(root: &Path) -> Result<Self> {
        let mut build = Command::new(cargo());
        build.args(["build", "--quiet", "-p", "docjobs"]);
        succeed(build.current_dir(root))?;
        Self::start(&root.join("target/debug/docjobs"))
    }

    /// What the user's program prints, as built from the archives, in front of `docjobs sim`.
    fn run(&self, user: &User<'_>, root: &Path, words: &[&str]) -> Result<String> {
        println!("{}: runs against docjobs sim", user.name);
        write(&user.folder.join("notes.txt"), WORDS)?;
        let mut command = Command::new(root.join("target/debug").join(&user.name));
        command.args(words).current_dir(&user.folder).env_clear();
        command.envs(self.variables.iter().cloned());
        let output = command.output().context("cannot start it")?;
        let why = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{}: {}", user.name, why.trim());
        String::from_utf8(output.stdout).context("what it prints is no text")
    }

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
    fn a_user_has_what_its_manifest_names_and_nothing_else_of_ours() {
        let plan = plan();
        let crates = named_in("use jobs_core::Job;", &plan.crates[1], &plan);
        let check = |names: &[&str]| strangers(names, &crates, &plan);
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
        let crates = named_in("use jobs_core::Job;", &plan.crates[2], &plan);
        let text = manifest("user", &crates, &archives);
        for line in [
            "docjobs-core = { version = \"=0.1.0\", features = [] }",
            "our-b = { version = \"=0.1.0\", features = [] }",
            "docjobs-core = { path = \"jobs-core\" }",
            "our-b = { path = \"b\" }",
        ] {
            assert!(text.lines().any(|other| other == line), "{line}\n{text}");
        }
        assert!(!text.contains("a = { path"), "{text}");
        assert_eq!(named_in("use our_b::Job;", &plan.crates[2], &plan).len(), 1);
    }
}
