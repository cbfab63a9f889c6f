//! What a command works on: the documents behind the files, folders, lists and addresses that it was given.
//!
//! What was *named*, on the command line or in a list, must be usable, else nothing is sent. What was only *found* below a
//! folder is left out where it is not, with a word about it, and the rest goes on.

mod folder;
mod list;
mod names;

use std::collections::HashMap;
use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use self::folder::Found;
use jobs_runner::redacted_address;

pub(crate) use self::list::Separator;
use self::list::{Entry, Item};
pub(crate) use self::names::{Meeting, ResultName, choose, name_of_id};
use crate::clean::count;
use crate::exit::CommandError;
use crate::input;

/// What a command takes.
#[derive(Clone, Copy)]
pub(crate) struct Accepted<'a> {
    /// Extensions in lower case; any where there is none.
    pub(crate) types: &'a [&'a str],
    /// The largest size of a document with such an extension.
    pub(crate) largest: &'a dyn Fn(&str) -> u64,
    pub(crate) urls: bool,
}

/// What was typed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Given<'a> {
    pub(crate) inputs: &'a [OsString],
    /// A file with more of them, or `-` for stdin.
    pub(crate) list: Option<(&'a Path, Separator)>,
    /// What a document on stdin is called.
    pub(crate) stdin_name: Option<&'a str>,
    /// The folder for results: what lies below it is no input.
    pub(crate) out: Option<&'a Path>,
}

/// One document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Selected {
    pub(crate) source: Source,
    /// What its result is called after, below the folder for results.
    pub(crate) name: PathBuf,
    /// Whether the user named it; else it was found below a folder.
    pub(crate) is_named: bool,
}

/// Where a document is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    File(PathBuf),
    Url(String),
    /// To be read once, under the name that was given.
    Stdin,
    /// A job at the vendor.
    Job(String),
}

impl fmt::Display for Source {
    /// As messages name it: of an address not what may open it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Url(url) => f.write_str(&redacted_address(url)),
            Self::Stdin => f.write_str("stdin"),
            Self::Job(id) => write!(f, "job {id}"),
        }
    }
}

/// The documents, and what was left out of folders.
#[derive(Debug, Default)]
pub(crate) struct Selection {
    pub(crate) documents: Vec<Selected>,
    pub(crate) other_types: Vec<PathBuf>,
    pub(crate) too_large: Vec<(PathBuf, u64)>,
    pub(crate) empty: Vec<PathBuf>,
    pub(crate) unreadable: Vec<(PathBuf, io::Error)>,
}

/// Whether a command with these inputs is a batch: one that needs a folder for results.
pub(crate) fn is_batch(given: &Given<'_>) -> bool {
    let is_folder = |input: &OsString| {
        !input::is_stdin(Path::new(input)) && std::fs::metadata(input).is_ok_and(|it| it.is_dir())
    };
    given.out.is_some()
        || given.list.is_some()
        || given.inputs.len() != 1
        || given.inputs.iter().any(is_folder)
}

/// Whether an input is an address from which the vendor fetches.
pub(crate) fn is_url(input: &str) -> bool {
    let is = |scheme: &str| {
        let beginning = input.get(..scheme.len()).unwrap_or_default();
        beginning.eq_ignore_ascii_case(scheme)
    };
    is("https://") || is("http://")
}

/// Finds the documents. Blocks on the disk.
pub(crate) fn select(
    given: &Given<'_>,
    accepted: &Accepted<'_>,
) -> Result<Selection, CommandError> {
    let out = given.out.map(real);
    let selecting = Selecting {
        out: out.as_deref(),
        accepted,
    };
    let mut selection = Selection::default();
    let mut is_stdin_used = false;
    for input in given.inputs {
        let url = input.to_str().filter(|text| is_url(text));
        let path = Path::new(input);
        if let Some(url) = url {
            selecting
                .url(url, &mut selection)
                .map_err(CommandError::invalid_input)?;
        } else if input::is_stdin(path) {
            if std::mem::replace(&mut is_stdin_used, true) {
                return Err(CommandError::invalid_input(
                    "stdin is given twice; it can be read once",
                ));
            }
            selecting.stdin(given, &mut selection)?;
        } else {
            let name = path.file_name().unwrap_or_default();
            selecting
                .path(path, Path::new(name), false, &mut selection)
                .map_err(CommandError::invalid_input)?;
        }
    }
    if let (Some(_), false) = (given.stdin_name, is_stdin_used) {
        return Err(CommandError::invalid_input(
            "--name says what stdin is called; a file has a name already",
        ));
    }
    if let Some((path, separator)) = given.list {
        if input::is_stdin(path) && is_stdin_used {
            return Err(CommandError::invalid_input(
                "stdin is an INPUT and the list of --from; it can be read once",
            ));
        }
        selecting.list(path, separator, &mut selection)?;
    }
    if selection.documents.is_empty() {
        return Err(CommandError::invalid_input(nothing(&selection, accepted)));
    }
    drop_repeated(&mut selection.documents);
    Ok(selection)
}

struct Selecting<'a> {
    /// The folder for results, without links.
    out: Option<&'a Path>,
    accepted: &'a Accepted<'a>,
}

impl Selecting<'_> {
    fn list(
        &self,
        path: &Path,
        separator: Separator,
        selection: &mut Selection,
    ) -> Result<(), CommandError> {
        let shown = path.display();
        let entries = if input::is_stdin(path) {
            list::read(io::stdin().lock(), separator)
        } else {
            File::open(path).and_then(|file| list::read(file, separator))
        };
        let entries = entries.map_err(|problem| {
            CommandError::invalid_input(format!(
                "cannot read the list {shown}: {problem}; name another file with --from"
            ))
        })?;
        let word = match separator {
            Separator::Line => "line",
            Separator::Nul => "entry",
        };
        let wrong = |number: usize, problem: &str| {
            CommandError::invalid_input(format!(
                "{word} {number} of the list {shown} is wrong: {problem}"
            ))
        };
        let entries = entries.map_err(|entry| wrong(entry.number, &entry.problem))?;
        for Entry { number, item } in entries {
            let selected = match item {
                Item::Url(url) => self.url(&url, selection),
                Item::File { path, name } => self.path(&path, &name, true, selection),
            };
            selected.map_err(|problem| wrong(number, &problem))?;
        }
        Ok(())
    }

    fn url(&self, url: &str, selection: &mut Selection) -> Result<(), String> {
        if !self.accepted.urls {
            return Err(format!(
                "{url} is an address, and this command takes files only; download it first"
            ));
        }
        selection.documents.push(Selected {
            name: PathBuf::from(name_of_url(url)),
            source: Source::Url(url.to_owned()),
            is_named: true,
        });
        Ok(())
    }

    fn stdin(&self, given: &Given<'_>, selection: &mut Selection) -> Result<(), CommandError> {
        let name = given.stdin_name.ok_or_else(|| {
            CommandError::invalid_input(
                "what comes on stdin needs a name that tells its type, such as --name report.pdf",
            )
        })?;
        if Path::new(name).file_name() != Some(name.as_ref()) || name.contains('\0') {
            return Err(CommandError::invalid_input(format!(
                "--name {name:?} is no plain file name; write it like report.pdf"
            )));
        }
        self.check_type(Path::new(name))
            .map_err(CommandError::invalid_input)?;
        selection.documents.push(Selected {
            source: Source::Stdin,
            name: PathBuf::from(name),
            is_named: true,
        });
        Ok(())
    }

    /// A file or folder that was named; results are called after `name`, those of a folder `keeps` it before their own.
    fn path(
        &self,
        path: &Path,
        name: &Path,
        keeps: bool,
        selection: &mut Selection,
    ) -> Result<(), String> {
        let shown = path.display();
        let metadata = std::fs::metadata(path)
            .map_err(|problem| format!("cannot read {shown}: {problem}; name another file"))?;
        if let Some(out) = self.out.filter(|out| real(path).starts_with(out)) {
            return Err(format!(
                "{shown} lies in the folder for results {}, and what lies there is no input; name another folder with --out",
                out.display()
            ));
        }
        if metadata.is_dir() {
            let below = if keeps { name } else { Path::new("") };
            return self.folder(path, below, selection);
        }
        if !metadata.is_file() {
            return Err(format!("{shown} is not a regular file; name another one"));
        }
        if path.to_str().is_none() {
            return Err(format!(
                "the name {path:?} is not UTF-8, so it cannot be written down: rename the file, or give it on stdin with - \
                 --name"
            ));
        }
        self.check_type(path)?;
        File::open(path)
            .map_err(|problem| format!("cannot read {shown}: {problem}; name another file"))?;
        match metadata.len() {
            0 => return Err(format!("{shown} is empty; name another file")),
            size => {
                let largest = (self.accepted.largest)(&extension(path));
                if size > largest {
                    return Err(format!(
                        "{shown} has {size} bytes; at most {largest} are allowed"
                    ));
                }
            }
        }
        selection.documents.push(Selected {
            source: Source::File(path.to_owned()),
            name: name.to_owned(),
            is_named: true,
        });
        Ok(())
    }

    fn folder(&self, path: &Path, before: &Path, selection: &mut Selection) -> Result<(), String> {
        let known = selection.documents.len();
        let (others, skipped) = (selection.other_types.len(), selection.skipped());
        for found in folder::walk(path, self.out) {
            let (path, below, size) = match found {
                Found::File { path, below, size } => (path, below, size),
                Found::Unreadable { path: it, problem } if it == path => {
                    return Err(format!(
                        "cannot read the folder {}: {problem}",
                        path.display()
                    ));
                }
                Found::Unreadable { path, problem } => {
                    if self.is_taken(&path) || path.extension().is_none() {
                        selection.unreadable.push((path, problem));
                    } else {
                        selection.other_types.push(path);
                    }
                    continue;
                }
            };
            let largest = (self.accepted.largest)(&extension(&path));
            if !self.is_taken(&path) {
                selection.other_types.push(path);
            } else if path.to_str().is_none() {
                let problem = io::Error::new(io::ErrorKind::InvalidData, "its name is not UTF-8");
                selection.unreadable.push((path, problem));
            } else if size == 0 {
                selection.empty.push(path);
            } else if size > largest {
                selection.too_large.push((path, largest));
            } else {
                selection.documents.push(Selected {
                    source: Source::File(path),
                    name: before.join(below),
                    is_named: false,
                });
            }
        }
        if selection.documents.len() == known {
            let others = selection.other_types.len() - others;
            let skipped = selection.skipped() - skipped;
            return Err(format!(
                "there is no document below the folder {}{}{}; this command takes {}",
                path.display(),
                among(others, "file of another type", "files of other types"),
                among(skipped, "that cannot be used", "that cannot be used"),
                types(self.accepted)
            ));
        }
        Ok(())
    }

    fn is_taken(&self, path: &Path) -> bool {
        let types = self.accepted.types;
        types.is_empty() || types.contains(&extension(path).as_str())
    }

    fn check_type(&self, path: &Path) -> Result<(), String> {
        if self.is_taken(path) {
            return Ok(());
        }
        Err(format!(
            "{} is of no type that this command takes; those are {}",
            path.display(),
            types(self.accepted)
        ))
    }
}

impl Selection {
    /// How many documents cannot be used as they are.
    pub(crate) fn skipped(&self) -> usize {
        self.too_large.len() + self.empty.len() + self.unreadable.len()
    }
}

fn among(number: usize, one: &str, several: &str) -> String {
    match number {
        0 => String::new(),
        1 => format!(", but 1 {one}"),
        number => format!(", but {number} {several}"),
    }
}

fn nothing(selection: &Selection, accepted: &Accepted<'_>) -> String {
    match selection.skipped() {
        0 => format!(
            "there is nothing to do: no document was given; this command takes {}",
            types(accepted)
        ),
        skipped => format!(
            "there is nothing to do: {} cannot be used",
            count(skipped, "document")
        ),
    }
}

fn types(accepted: &Accepted<'_>) -> String {
    if accepted.types.is_empty() {
        "text files".to_owned()
    } else {
        accepted.types.join(", ")
    }
}

/// In lower case, without the dot.
pub(crate) fn extension(path: &Path) -> String {
    path.extension()
        .map(|extension| extension.to_string_lossy().to_lowercase())
        .unwrap_or_default()
}

/// Without links, as far as it is there.
fn real(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut there = path.as_path();
    loop {
        if let Ok(real) = there.canonicalize() {
            return match path.strip_prefix(there) {
                Ok(rest) if !rest.as_os_str().is_empty() => real.join(rest),
                _ => real,
            };
        }
        match there.parent() {
            Some(parent) => there = parent,
            None => return path,
        }
    }
}

/// One file that was named twice is one document, unless its results have different names.
fn drop_repeated(documents: &mut Vec<Selected>) {
    let mut known: HashMap<PathBuf, Vec<Source>> = HashMap::new();
    documents.retain(|document| {
        let same = known.entry(document.name.clone()).or_default();
        let source = match &document.source {
            // Most names are there once, so most links are never resolved.
            Source::File(path) if same.is_empty() => Source::File(path.clone()),
            Source::File(path) => {
                let there = real(path);
                let is_known = same
                    .iter()
                    .any(|known| matches!(known, Source::File(known) if real(known) == there));
                if is_known {
                    return false;
                }
                Source::File(path.clone())
            }
            other if same.contains(other) => return false,
            other => other.clone(),
        };
        same.push(source);
        true
    });
}

/// The last part of an address that may name a file; its host where there is none.
fn name_of_url(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let host = host.rsplit('@').next().unwrap_or(host);
    let last = path.rsplit('/').find(|part| !part.is_empty());
    let decoded = last.map(decoded).unwrap_or_default();
    let name = match decoded.as_str() {
        "" | "." | ".." => host,
        name => name,
    };
    let plain: String = name
        .chars()
        .map(|c| {
            if c.is_control() || matches!(c, '/' | '\\' | ':') {
                '_'
            } else {
                c
            }
        })
        .collect();
    // A result that is hidden would not be found.
    match plain.strip_prefix('.') {
        Some(rest) => format!("_{rest}"),
        None => plain,
    }
}

/// Undoes %XX; what is no UTF-8 then stays as it was.
fn decoded(part: &str) -> String {
    let mut bytes = Vec::with_capacity(part.len());
    let mut rest = part.as_bytes();
    while let Some((byte, behind)) = rest.split_first() {
        let hex = (*byte == b'%').then(|| behind.get(..2)).flatten();
        let value = hex
            .and_then(|hex| str::from_utf8(hex).ok())
            .filter(|hex| hex.bytes().all(|digit| digit.is_ascii_hexdigit()))
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match value {
            Some(value) => {
                bytes.push(value);
                rest = behind.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(*byte);
                rest = behind;
            }
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_| part.to_owned())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const ACCEPTED: Accepted<'_> = Accepted {
        types: &["pdf", "txt"],
        largest: &|extension| if extension == "txt" { 10 } else { 100 },
        urls: true,
    };

    struct Files(tempfile::TempDir);

    impl Files {
        fn new(files: &[(&str, usize)]) -> Self {
            let place = tempfile::tempdir().unwrap();
            for (name, size) in files {
                let path = place.path().join(name);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, "x".repeat(*size)).unwrap();
            }
            Self(place)
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        fn select(&self, inputs: &[&str], out: Option<&str>) -> Result<Selection, String> {
            let inputs: Vec<OsString> = inputs
                .iter()
                .map(|input| match is_url(input) {
                    true => OsString::from(input),
                    false => self.path(input).into(),
                })
                .collect();
            let out = out.map(|out| self.path(out));
            let given = Given {
                inputs: &inputs,
                list: None,
                stdin_name: None,
                out: out.as_deref(),
            };
            select(&given, &ACCEPTED).map_err(|stop| stop.line)
        }
    }

    fn names(selection: &Selection) -> Vec<String> {
        let names = selection.documents.iter();
        names
            .map(|document| document.name.display().to_string())
            .collect()
    }

    #[test]
    fn files_folders_and_addresses_become_documents() {
        let files = Files::new(&[
            ("a.pdf", 1),
            ("in/b.PDF", 1),
            ("in/c/d.txt", 1),
            ("in/e.png", 1),
            ("in/large.txt", 11),
            ("in/empty.pdf", 0),
            ("in/out/f.pdf", 1),
        ]);
        let selection = files
            .select(
                &["a.pdf", "in", "https://h/x/r%20s.pdf?sign=1"],
                Some("in/out"),
            )
            .unwrap();
        assert_eq!(names(&selection), ["a.pdf", "b.PDF", "c/d.txt", "r s.pdf"]);
        assert_eq!(selection.other_types, [files.path("in/e.png")]);
        assert_eq!(selection.too_large, [(files.path("in/large.txt"), 10)]);
        assert_eq!(selection.empty, [files.path("in/empty.pdf")]);
        let named: Vec<bool> = selection.documents.iter().map(|it| it.is_named).collect();
        assert_eq!(named, [true, false, false, true]);
    }

    #[test]
    fn what_is_named_and_cannot_be_used_is_refused_with_its_name() {
        let files = Files::new(&[
            ("a.pdf", 1),
            ("b.png", 1),
            ("empty.pdf", 0),
            ("large.txt", 11),
            ("none/e.png", 1),
            ("out/in/a.pdf", 1),
        ]);
        fs::create_dir(files.path("void")).unwrap();
        for (input, words) in [
            ("gone.pdf", &["gone.pdf", "cannot read"][..]),
            ("b.png", &["b.png", "pdf, txt"]),
            ("empty.pdf", &["empty.pdf", "is empty"]),
            ("large.txt", &["large.txt", "11 bytes", "10"]),
            ("none", &["no document", "none", "1 file of another type"]),
            ("void", &["no document", "void"]),
            ("out/in", &["out/in", "--out"]),
            ("out/in/a.pdf", &["out/in/a.pdf", "--out"]),
            ("out", &["out", "--out"]),
        ] {
            let refused = files.select(&["a.pdf", input], Some("out")).unwrap_err();
            for word in words {
                assert!(refused.contains(word), "{input}: {refused}");
            }
        }
    }

    #[test]
    fn one_file_named_twice_is_one_document() {
        let files = Files::new(&[("in/a.pdf", 1), ("b/a.pdf", 1)]);
        let selection = files
            .select(&["in", "in/a.pdf", "in/../in/a.pdf"], None)
            .unwrap();
        assert_eq!(names(&selection), ["a.pdf"]);
        let selection = files.select(&["in/a.pdf", "b/a.pdf"], None).unwrap();
        assert_eq!(names(&selection), ["a.pdf", "a.pdf"]);
        let twice = ["https://h/a.pdf", "https://h/a.pdf", "https://i/a.pdf"];
        assert_eq!(files.select(&twice, None).unwrap().documents.len(), 2);
    }

    #[test]
    fn a_list_is_read_and_its_wrong_line_named() {
        let files = Files::new(&[("a.pdf", 1), ("in/b.pdf", 1), ("in/c/d.txt", 1)]);
        let shown = |name: &str| files.path(name).display().to_string();
        let list = |text: &str| {
            let path = files.path("list");
            fs::write(&path, text).unwrap();
            let given = Given {
                inputs: &[],
                list: Some((&path, Separator::Line)),
                stdin_name: None,
                out: None,
            };
            select(&given, &ACCEPTED).map_err(|stop| stop.line)
        };
        let text = format!(
            "# all\n{}\n{}\nhttp://h/\n",
            shown("a.pdf"),
            shown("in/b.pdf")
        );
        assert_eq!(names(&list(&text).unwrap()), ["a.pdf", "in/b.pdf", "h"]);
        let text = format!("{}\n{}\n", shown("a.pdf"), shown("in"));
        let selection = list(&text).unwrap();
        assert_eq!(names(&selection), ["a.pdf", "in/b.pdf", "in/c/d.txt"]);
        for (text, word) in [
            (
                format!("{}\n\n{}", shown("a.pdf"), shown("gone.pdf")),
                "line 3",
            ),
            (
                format!("{}\n{}/../a.pdf", shown("a.pdf"), shown("in")),
                "line 2",
            ),
            (shown("list"), "line 1"),
            ("# nothing\n".to_owned(), "nothing to do"),
        ] {
            let refused = list(&text).unwrap_err();
            assert!(refused.contains(word), "{refused}");
        }
    }

    #[test]
    fn the_name_of_an_address_is_a_plain_file_name() {
        for (url, name) in [
            ("https://h.example/a/report.pdf", "report.pdf"),
            ("https://h/a/b/?x=/c.pdf", "b"),
            ("https://user:key@h.example:8080", "h.example_8080"),
            ("https://h/%2e%2e", "h"),
            ("https://h/..%2f..%2fetc%2fpasswd", "_._.._etc_passwd"),
            ("https://h/%E5%90%88%E5%90%8C.pdf#p", "合同.pdf"),
            ("https://h/%ff.pdf", "%ff.pdf"),
            ("https://h/a%00b", "a_b"),
            ("https://h/.hidden", "_hidden"),
            ("https://h/100%.pdf", "100%.pdf"),
        ] {
            assert_eq!(name_of_url(url), name, "{url}");
        }
    }

    #[test]
    fn one_document_without_a_folder_for_results_is_no_batch() {
        let files = Files::new(&[("a.pdf", 1)]);
        let batch = |inputs: &[&str], out: Option<&Path>| {
            let inputs: Vec<OsString> = inputs.iter().map(OsString::from).collect();
            let given = Given {
                inputs: &inputs,
                list: None,
                stdin_name: None,
                out,
            };
            is_batch(&given)
        };
        let folder = files.0.path().to_str().unwrap();
        assert!(!batch(&["a.pdf"], None) && !batch(&["-"], None) && !batch(&["http://h"], None));
        assert!(batch(&["a.pdf", "b.pdf"], None) && batch(&[folder], None));
        assert!(batch(&["a.pdf"], Some(Path::new("out"))));
    }
}
