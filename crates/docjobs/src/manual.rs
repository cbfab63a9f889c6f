//! `docjobs manual`: the man pages and the completions of shells, told by the command itself, so that they cannot be out of
//! date: nothing of them lies in the tree, and whoever packs the command calls this.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use clap_complete::Shell;
use clap_mangen::Man;

use crate::args::{self, ManualArgs};
use crate::exit::CommandError;

/// What an agent should know, as a file of its own in a package.
const SKILL: &str = include_str!("../SKILL.md");

const PROMETHEUS_RULES: &str = include_str!("../assets/prometheus-rules.yml");

const SHELLS: [Shell; 3] = [Shell::Bash, Shell::Zsh, Shell::Fish];

pub(crate) fn run(args: &ManualArgs) -> Result<(), CommandError> {
    if args.skill {
        return print(SKILL.as_bytes()).map_err(|problem| CommandError::unprintable(&problem, ""));
    }
    let written = match (&args.out, args.completions) {
        _ if args.prometheus_rules => print(PROMETHEUS_RULES.as_bytes()),
        (Some(folder), _) => write_all(folder),
        (None, Some(shell)) => completions(shell).and_then(|text| print(&text)),
        (None, None) => page(&command()).and_then(|text| print(&text)),
    };
    written.map_err(|problem| {
        CommandError::invalid_input(format!("cannot write the manual: {problem}"))
    })
}

/// The command with its subcommands spelt out: `docjobs-textin-parse` has all options.
fn command() -> clap::Command {
    let mut command = args::command();
    command.build();
    command
}

/// `FOLDER/man1/*.1` and `FOLDER/completions/*`, over what is there.
fn write_all(folder: &Path) -> io::Result<()> {
    let (pages, shells) = (folder.join("man1"), folder.join("completions"));
    fs::create_dir_all(&pages)?;
    fs::create_dir_all(&shells)?;
    for (name, text) in all_pages(&command(), "docjobs")? {
        fs::write(pages.join(format!("{name}.1")), text)?;
    }
    for shell in SHELLS {
        fs::write(shells.join(file_name(shell)), completions(shell)?)?;
    }
    Ok(())
}

/// A page for the command and each one below it, named like `docjobs-textin-parse`.
fn all_pages(command: &clap::Command, name: &str) -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut pages = vec![(name.to_owned(), page(command)?)];
    for below in command.get_subcommands().filter(|below| is_shown(below)) {
        pages.extend(all_pages(below, &format!("{name}-{}", below.get_name()))?);
    }
    Ok(pages)
}

fn is_shown(command: &clap::Command) -> bool {
    !command.is_hide_set() && command.get_name() != "help"
}

fn page(command: &clap::Command) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    Man::new(command.clone()).render(&mut text)?;
    Ok(text)
}

fn completions(shell: Shell) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut command(), "docjobs", &mut text);
    Ok(text)
}

/// Where the shell looks for it.
fn file_name(shell: Shell) -> String {
    match shell {
        Shell::Zsh => "_docjobs".to_owned(),
        other => format!("docjobs.{other}"),
    }
}

fn print(text: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text)?;
    stdout.flush()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Args;

    /// Every command that is shown, with the words that lead to it.
    fn each(command: &clap::Command, name: &str, seen: &mut Vec<(String, clap::Command)>) {
        seen.push((name.to_owned(), command.clone()));
        for below in command.get_subcommands().filter(|below| is_shown(below)) {
            each(below, &format!("{name}-{}", below.get_name()), seen);
        }
    }

    fn commands() -> Vec<(String, clap::Command)> {
        let mut seen = Vec::new();
        each(&command(), "docjobs", &mut seen);
        seen
    }

    #[test]
    fn every_command_has_a_page_that_names_all_its_options() {
        let pages = all_pages(&command(), "docjobs").unwrap();
        let commands = commands();
        assert_eq!(pages.len(), commands.len());
        for ((name, text), (expected, command)) in pages.iter().zip(&commands) {
            assert_eq!(name, expected);
            let title = format!(".TH {name} 1");
            assert!(String::from_utf8_lossy(text).contains(&title), "{title}");
            let text = String::from_utf8(text.clone()).unwrap().replace('\\', "");
            for option in command
                .get_arguments()
                .filter(|option| !option.is_hide_set())
            {
                if let Some(long) = option.get_long() {
                    assert!(text.contains(&format!("--{long}")), "{name} --{long}");
                }
            }
        }
        let names: Vec<&str> = pages.iter().map(|(name, _)| name.as_str()).collect();
        assert!(names.contains(&"docjobs-textin-parse"), "{names:?}");
        assert!(!names.contains(&"docjobs-manual"), "{names:?}");
    }

    #[test]
    fn every_shell_completes_every_command() {
        for shell in SHELLS {
            let text = String::from_utf8(completions(shell).unwrap()).unwrap();
            for (_, command) in commands() {
                assert!(
                    text.contains(command.get_name()),
                    "{shell} {}",
                    command.get_name()
                );
            }
        }
    }

    #[test]
    fn every_example_of_the_help_can_be_typed() {
        let mut count = 0;
        for (name, command) in commands() {
            let help = command
                .get_after_help()
                .map(ToString::to_string)
                .unwrap_or_default();
            for line in help
                .lines()
                .filter_map(|line| line.strip_prefix("  docjobs "))
            {
                // What follows two blanks says what the example does.
                let typed = line.split("  ").next().unwrap_or_default();
                let words = shlex::split(&format!("docjobs {typed}")).unwrap();
                let parsed = Args::try_parse_from(&words);
                assert!(parsed.is_ok(), "{name}: {typed}: {}", parsed.unwrap_err());
                count += 1;
            }
        }
        assert!(count >= 20, "{count} examples");
    }

    #[test]
    fn every_command_that_pays_or_prints_shows_an_example() {
        for (name, command) in commands() {
            if command.get_subcommands().next().is_none()
                && name.matches('-').count() >= 2
                && name != "docjobs-tencent-ess"
            {
                let help = command
                    .get_after_help()
                    .map(ToString::to_string)
                    .unwrap_or_default();
                assert!(help.contains("  docjobs "), "{name}");
            }
        }
    }

    #[test]
    fn a_folder_gets_pages_and_completions() {
        let folder = tempfile::tempdir().unwrap();
        write_all(folder.path()).unwrap();
        for name in [
            "man1/docjobs.1",
            "man1/docjobs-wait.1",
            "completions/docjobs.bash",
            "completions/_docjobs",
        ] {
            let text = fs::read_to_string(folder.path().join(name)).unwrap();
            assert!(text.contains("docjobs"), "{name}");
        }
    }
}
