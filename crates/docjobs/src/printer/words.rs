//! The words of the print command: split without a shell, with what a job says in the place of their placeholders.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use printer_jobs::{Choices, Color, ListedJob, SettingAliases, Sides};

use super::render::one_line;
use crate::exit::CommandError;

/// What a word may have in braces. Any other text in braces stays as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    File,
    Copies,
    Sides,
    Paper,
    Color,
    Title,
}

const FIELDS: [(&str, Field); 6] = [
    ("{file}", Field::File),
    ("{copies}", Field::Copies),
    ("{sides}", Field::Sides),
    ("{paper}", Field::Paper),
    ("{color}", Field::Color),
    ("{title}", Field::Title),
];

/// What a job says of itself, in the words of IPP where there are some. `None` where it says nothing that is understood.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) copies: Option<String>,
    pub(super) sides: Option<&'static str>,
    pub(super) paper: Option<String>,
    pub(super) color: Option<&'static str>,
    pub(super) title: Option<String>,
}

impl Said {
    pub(super) fn by(job: &ListedJob) -> Self {
        let choices = job.settings.choices(&SettingAliases::default());
        Self {
            copies: choices.copies.map(|it| it.value.to_string()),
            sides: choices.sides.and_then(|it| match it.value {
                Sides::Single => Some("one-sided"),
                Sides::LongEdge => Some("two-sided-long-edge"),
                Sides::ShortEdge => Some("two-sided-short-edge"),
                _ => None,
            }),
            paper: choices.paper.map(|it| one_line(&it.value)),
            color: choices.color.and_then(|it| match it.value {
                Color::Monochrome => Some("monochrome"),
                Color::Color => Some("color"),
                _ => None,
            }),
            title: job.doc_name.as_deref().map(one_line),
        }
    }

    fn value(&self, field: Field) -> Option<&str> {
        let value = match field {
            Field::File => None,
            Field::Copies => self.copies.as_deref(),
            Field::Sides => self.sides,
            Field::Paper => self.paper.as_deref(),
            Field::Color => self.color,
            Field::Title => self.title.as_deref(),
        };
        value.filter(|value| !value.is_empty())
    }
}

/// The command, split.
#[derive(Debug, Clone)]
pub(super) struct Words {
    program: String,
    words: Vec<String>,
}

impl Words {
    pub(super) fn parse(line: &str) -> Result<Self, CommandError> {
        let mut words = shlex::split(line).unwrap_or_default().into_iter();
        let program = words.next().filter(|program| !program.is_empty());
        let Some(program) = program else {
            return Err(CommandError::invalid_input(format!(
                "--exec {line:?} is no command: give a program and its words, with quotes closed"
            )));
        };
        let words = Self {
            program,
            words: words.collect(),
        };
        // The sender of a job chooses these, and a shell would run them.
        if words.is_chosen_text_run() {
            return Err(CommandError::invalid_input(
                "--exec: a shell would run whatever a document is called; in a script write \"$DOCJOBS_DOC_NAME\" and \
                 \"$DOCJOBS_PAPER\" instead of {title} and {paper}",
            ));
        }
        Ok(words)
    }

    pub(super) fn program(&self) -> &str {
        &self.program
    }

    /// The arguments for a job. A word with `{file}` is there once for each file, and files that no word takes stand at the
    /// end; a word whose placeholder has no value is left out.
    pub(super) fn arguments(&self, said: &Said, files: &[PathBuf]) -> Vec<OsString> {
        let mut arguments = Vec::new();
        let mut takes_files = false;
        for word in &self.words {
            let Some(parts) = filled(word, said) else {
                continue;
            };
            if parts.contains(&Part::File) {
                takes_files = true;
                arguments.extend(files.iter().map(|file| joined(&parts, file)));
            } else {
                arguments.push(joined(&parts, Path::new("")));
            }
        }
        if !takes_files {
            arguments.extend(files.iter().map(OsString::from));
        }
        arguments
    }

    /// The pairs of a job's settings that no word carries, as a person reads them, and the placeholders that would.
    pub(super) fn unused(&self, job: &ListedJob) -> (Vec<String>, Vec<&'static str>) {
        const MOST: usize = 20;
        let choices = job.settings.choices(&SettingAliases::default());
        let (mut pairs, mut missing) = (Vec::new(), Vec::new());
        for (place, pair) in job.settings.pairs().iter().enumerate() {
            let field = field_of(&choices, place);
            // Some models send a pair that says nothing.
            let says_nothing = pair.values.is_empty() || pair.values == [pair.key.as_str()];
            let is_used = field.is_some_and(|field| self.has(field)) && pair.values.len() == 1;
            if says_nothing || is_used || self.mentions("DOCJOBS_SETTINGS") {
                continue;
            }
            if let Some((name, field)) = FIELDS.iter().find(|(_, it)| Some(*it) == field)
                && !self.has(*field)
            {
                missing.push(*name);
            }
            if pairs.len() < MOST {
                pairs.push(one_line(&format!("{}={}", pair.key, pair.values.join(","))));
            }
        }
        (pairs, missing)
    }

    /// Whether a word has the placeholder, or the variable that holds the same.
    fn has(&self, field: Field) -> bool {
        let name = FIELDS.iter().find(|(_, it)| *it == field);
        let variable = match field {
            Field::Copies => "DOCJOBS_COPIES",
            Field::Sides => "DOCJOBS_SIDES",
            Field::Paper => "DOCJOBS_PAPER",
            Field::Color => "DOCJOBS_COLOR",
            Field::Title => "DOCJOBS_DOC_NAME",
            Field::File => return true,
        };
        name.is_some_and(|(name, _)| self.mentions(name)) || self.mentions(variable)
    }

    fn mentions(&self, text: &str) -> bool {
        self.words.iter().any(|word| word.contains(text))
    }

    /// An option that stands before a word which is left out where a job does not say it.
    pub(super) fn lone_option(&self) -> Option<(&str, &'static str)> {
        self.words
            .iter()
            .zip(self.words.iter().skip(1))
            .find_map(|(option, word)| {
                let stays = option.starts_with('-') && option.len() > 1 && !option.contains('{');
                let mut names = FIELDS.iter().filter(|(_, field)| *field != Field::File);
                let (name, _) = names.find(|(name, _)| word == name)?;
                stays.then_some((option.as_str(), *name))
            })
    }

    /// Whether text that the sender of a job chooses would come into a shell's script.
    fn is_chosen_text_run(&self) -> bool {
        const SHELLS: [&str; 9] = [
            "sh", "bash", "dash", "zsh", "ksh", "fish", "ash", "busybox", "su",
        ];
        let all: Vec<&str> = std::iter::once(&self.program)
            .chain(&self.words)
            .map(String::as_str)
            .collect();
        let name = |word: &str| {
            Path::new(word)
                .file_name()
                .and_then(OsStr::to_str)
                .map(str::to_owned)
        };
        let after = |is: &dyn Fn(&str) -> bool| {
            let at = all
                .iter()
                .position(|word| name(word).is_some_and(|name| is(&name)));
            at.and_then(|at| all.get(at + 1..)).unwrap_or_default()
        };
        let is_chosen = |word: &&str| word.contains("{title}") || word.contains("{paper}");
        let is_flag =
            |word: &&str| word.starts_with('-') && !word.starts_with("--") && word.contains('c');
        let mut of_shell = after(&|name| SHELLS.contains(&name))
            .iter()
            .skip_while(|word| !is_flag(word));
        let script = of_shell.nth(1);
        // What ssh runs is joined and read by a shell at the other end.
        script.is_some_and(is_chosen) || after(&|name| name == "ssh").iter().any(is_chosen)
    }
}

fn field_of(choices: &Choices, place: usize) -> Option<Field> {
    let at = |pair: Option<usize>| pair == Some(place);
    if at(choices.copies.as_ref().map(|it| it.pair)) {
        Some(Field::Copies)
    } else if at(choices.sides.as_ref().map(|it| it.pair)) {
        Some(Field::Sides)
    } else if at(choices.paper.as_ref().map(|it| it.pair)) {
        Some(Field::Paper)
    } else if at(choices.color.as_ref().map(|it| it.pair)) {
        Some(Field::Color)
    } else {
        None
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    File,
}

/// The word with everything but the file in its place; `None` when something has no value.
fn filled(word: &str, said: &Said) -> Option<Vec<Part>> {
    let mut parts = Vec::new();
    let mut text = String::new();
    let mut rest = word;
    while let Some(brace) = rest.find('{') {
        let (before, after) = rest.split_at(brace);
        text.push_str(before);
        let Some((name, field)) = FIELDS.iter().find(|(name, _)| after.starts_with(name)) else {
            text.push('{');
            rest = after.get(1..).unwrap_or_default();
            continue;
        };
        rest = after.get(name.len()..).unwrap_or_default();
        if *field == Field::File {
            parts.push(Part::Text(std::mem::take(&mut text)));
            parts.push(Part::File);
            continue;
        }
        let mut value = said.value(*field)?;
        if parts.is_empty() && text.is_empty() {
            // The sender of a job gives the command no options.
            value = value.trim_start_matches('-').trim_start();
            if value.is_empty() {
                return None;
            }
        }
        text.push_str(value);
    }
    text.push_str(rest);
    parts.push(Part::Text(text));
    Some(parts)
}

fn joined(parts: &[Part], file: &Path) -> OsString {
    let mut word = OsString::new();
    for part in parts {
        match part {
            Part::Text(text) => word.push(text),
            Part::File => word.push(file),
        }
    }
    word
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said() -> Said {
        Said {
            copies: Some("3".to_owned()),
            sides: Some("one-sided"),
            paper: None,
            color: None,
            title: Some("a {copies} \"b\"; $(c)".to_owned()),
        }
    }

    #[track_caller]
    fn arguments(line: &str, said: &Said) -> Vec<String> {
        let files = [PathBuf::from("/s/1.jpg"), PathBuf::from("/s/2.jpg")];
        let words = Words::parse(line).unwrap().arguments(said, &files);
        words
            .into_iter()
            .map(|it| it.into_string().unwrap())
            .collect()
    }

    #[test]
    fn words_are_split_without_a_shell() {
        let exec = Words::parse(r#"lp -d "back office" '$HOME;x' a\ b"#).unwrap();
        assert_eq!(exec.program, "lp");
        assert_eq!(exec.words, ["-d", "back office", "$HOME;x", "a b"]);
        for line in ["", "  ", "lp 'open", "''", "\"\" x"] {
            assert!(Words::parse(line).is_err(), "{line:?}");
        }
    }

    #[test]
    fn placeholders_are_filled_and_files_appended_where_no_word_takes_them() {
        for (line, expected) in [
            ("lp -d office", vec!["-d", "office", "/s/1.jpg", "/s/2.jpg"]),
            (
                "lp -n{copies} -osides={sides} -omedia={paper} --",
                vec!["-n3", "-osides=one-sided", "--", "/s/1.jpg", "/s/2.jpg"],
            ),
            (
                "x --in={file} -t {title}",
                vec![
                    "--in=/s/1.jpg",
                    "--in=/s/2.jpg",
                    "-t",
                    "a {copies} \"b\"; $(c)",
                ],
            ),
            ("x {file} {color}", vec!["/s/1.jpg", "/s/2.jpg"]),
            (
                "x {copies}{sides}",
                vec!["3one-sided", "/s/1.jpg", "/s/2.jpg"],
            ),
            // Not ours.
            (
                "awk {print} {} {{copies}",
                vec!["{print}", "{}", "{3", "/s/1.jpg", "/s/2.jpg"],
            ),
            // A word that is left out takes no files with it.
            ("x {paper}{file}", vec!["/s/1.jpg", "/s/2.jpg"]),
        ] {
            assert_eq!(arguments(line, &said()), expected, "{line}");
        }
    }

    #[test]
    fn an_option_that_may_stay_alone_is_named() {
        let lone = |line: &str| {
            let words = Words::parse(line).unwrap();
            words
                .lone_option()
                .map(|(option, name)| format!("{option} {name}"))
        };
        assert_eq!(
            lone("lp -d x -n {copies} {file}").as_deref(),
            Some("-n {copies}")
        );
        assert_eq!(lone("lp -d x -n{copies} -- {file}"), None);
    }

    #[test]
    fn a_title_is_no_option_and_no_script() {
        let mut said = said();
        said.title = Some("-o raw".to_owned());
        assert_eq!(
            arguments("lp {title} -t{title}", &said)[..2],
            ["o raw", "-t-o raw"]
        );
        said.title = Some("--".to_owned());
        assert_eq!(arguments("lp {title}", &said).len(), 2);
        for line in [
            "sh -c 'lp -t {title} \"$@\"' x",
            "/bin/bash -ec 'echo {paper}'",
            "env LANG=C sh -c 'echo {title}'",
            "su printer -c 'lp {title}'",
            "ssh host lp -t {title}",
        ] {
            assert!(Words::parse(line).is_err(), "{line}");
        }
        for line in [
            "sh -c 'lp -n {copies} -t \"$1\" \"$@\"' x {title}",
            "lp -c {title}",
            "sh print.sh {title}",
        ] {
            assert!(Words::parse(line).is_ok(), "{line}");
        }
    }
}
