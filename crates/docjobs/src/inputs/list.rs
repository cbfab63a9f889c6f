//! `--from LIST`: reads a list of paths and addresses, and says under which names their results go.

use std::ffi::OsString;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use super::is_url;

/// How the entries of a list are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Separator {
    /// One a line; blank lines and those that begin with `#` say nothing.
    Line,
    /// A NUL behind each; then every other byte belongs to a name.
    Nul,
}

/// One entry of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// Its line, or which entry of the list it is, from 1.
    pub(super) number: usize,
    pub(super) item: Item,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Item {
    Url(String),
    File {
        path: PathBuf,
        /// Where below the folder for results its own belongs.
        name: PathBuf,
    },
}

/// An entry that means nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct WrongEntry {
    pub(super) number: usize,
    pub(super) problem: String,
}

/// More than any list of documents has; whoever gives more gives something else.
const LONGEST: u64 = 1 << 30;

/// Reads all of a list. The first wrong entry ends it.
pub(super) fn read(
    list: impl Read,
    separator: Separator,
) -> io::Result<Result<Vec<Entry>, WrongEntry>> {
    let mut text = Vec::new();
    list.take(LONGEST + 1).read_to_end(&mut text)?;
    if text.len() as u64 > LONGEST {
        return Err(io::Error::other("it is longer than 1 GiB"));
    }
    Ok(parse(&text, separator))
}

fn parse(text: &[u8], separator: Separator) -> Result<Vec<Entry>, WrongEntry> {
    let mut entries = Vec::new();
    for (number, text) in pieces(text, separator) {
        let item = item(text).map_err(|problem| WrongEntry { number, problem })?;
        entries.push(Entry { number, item });
    }
    let absolute = entries.iter().filter_map(|entry| match &entry.item {
        Item::File { path, .. } if path.is_absolute() => path.parent(),
        _ => None,
    });
    let common = common_folder(absolute);
    for entry in &mut entries {
        if let Item::File { path, name } = &mut entry.item {
            *name = named(path, common.as_deref());
        }
    }
    Ok(entries)
}

/// What stands in a list, with the number of each entry.
fn pieces(text: &[u8], separator: Separator) -> impl Iterator<Item = (usize, &[u8])> {
    let text = match separator {
        Separator::Line => text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text),
        Separator::Nul => text,
    };
    let end = match separator {
        Separator::Line => b'\n',
        Separator::Nul => 0,
    };
    let says_something = move |text: &[u8]| match separator {
        Separator::Line => !text.trim_ascii().is_empty() && !text.starts_with(b"#"),
        Separator::Nul => !text.is_empty(),
    };
    text.split(move |byte| *byte == end)
        .map(move |text| match separator {
            Separator::Line => text.strip_suffix(b"\r").unwrap_or(text),
            Separator::Nul => text,
        })
        .enumerate()
        .filter(move |(_, text)| says_something(text))
        .map(|(at, text)| (at + 1, text))
}

fn item(text: &[u8]) -> Result<Item, String> {
    let text = str::from_utf8(text)
        .map_err(|_| format!("{:?} is not UTF-8", String::from_utf8_lossy(text)))?;
    if is_url(text) {
        return Ok(Item::Url(text.trim_end().to_owned()));
    }
    if text.contains('\0') {
        return Err(format!(
            "{text:?} has a NUL in it; --from0 reads lists whose names end with one"
        ));
    }
    if text == "-" {
        return Err("- is no file; stdin is the list itself, or an INPUT of its own".to_owned());
    }
    let path = PathBuf::from(OsString::from(text));
    let leads_up = path
        .components()
        .any(|component| component == Component::ParentDir);
    if leads_up {
        return Err(format!(
            "{text:?} leads up with .., so its result would lie outside of the folder for results; write the path without"
        ));
    }
    Ok(Item::File {
        path,
        name: PathBuf::new(),
    })
}

/// The longest folder that all of these begin with.
fn common_folder<'a>(folders: impl Iterator<Item = &'a Path>) -> Option<PathBuf> {
    folders.map(Path::to_owned).reduce(|common, folder| {
        let same = common.components().zip(folder.components());
        same.take_while(|(one, other)| one == other)
            .map(|(one, _)| one)
            .collect()
    })
}

/// A path below the folder for results: what follows the common folder of an absolute one, a relative one as it is.
fn named(path: &Path, common: Option<&Path>) -> PathBuf {
    let below = common
        .filter(|_| path.is_absolute())
        .and_then(|common| path.strip_prefix(common).ok())
        .unwrap_or(path);
    below
        .components()
        .filter(|component| matches!(component, Component::Normal(_)))
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn names(text: &str) -> Vec<(usize, String, String)> {
        let entries = parse(text.as_bytes(), Separator::Line).unwrap();
        entries
            .into_iter()
            .map(|entry| match entry.item {
                Item::Url(url) => (entry.number, url, String::new()),
                Item::File { path, name } => (
                    entry.number,
                    path.display().to_string(),
                    name.display().to_string(),
                ),
            })
            .collect()
    }

    fn entry(number: usize, path: &str, name: &str) -> (usize, String, String) {
        (number, path.to_owned(), name.to_owned())
    }

    #[test]
    fn blank_lines_and_comments_say_nothing_and_count_as_lines() {
        let text = "\u{feff}# documents\n\n  \na b.pdf\r\nin/./c.pdf\n#d.pdf\nhttps://h/e.pdf?x=1\r\n  f.pdf";
        assert_eq!(
            names(text),
            [
                entry(4, "a b.pdf", "a b.pdf"),
                entry(5, "in/./c.pdf", "in/c.pdf"),
                entry(7, "https://h/e.pdf?x=1", ""),
                entry(8, "  f.pdf", "  f.pdf"),
            ]
        );
    }

    #[test]
    fn absolute_paths_keep_what_follows_their_longest_common_folder() {
        let text = "/data/in/a/b.pdf\n/data/in/c.pdf\nx/d.pdf\n/data/in/a/e/f.pdf";
        let names: Vec<String> = names(text).into_iter().map(|(_, _, name)| name).collect();
        assert_eq!(names, ["a/b.pdf", "c.pdf", "x/d.pdf", "a/e/f.pdf"]);
    }

    #[test]
    fn one_absolute_path_keeps_its_name_alone() {
        assert_eq!(
            names("/data/in/a.pdf"),
            [entry(1, "/data/in/a.pdf", "a.pdf")]
        );
        assert_eq!(
            names("/a.pdf\n/b/c.pdf"),
            [entry(1, "/a.pdf", "a.pdf"), entry(2, "/b/c.pdf", "b/c.pdf")]
        );
    }

    #[test]
    fn a_wrong_line_is_named_by_its_number() {
        for (text, number, word) in [
            (&b"a.pdf\n\n../b.pdf\n"[..], 3, ".."),
            (b"# x\n/data/../b.pdf", 2, ".."),
            (b"a.pdf\n\xba\xcf.pdf\n", 2, "UTF-8"),
            (b"a\0b.pdf\n", 1, "--from0"),
            (b"a.pdf\n-\n", 2, "stdin"),
        ] {
            let wrong = parse(text, Separator::Line).unwrap_err();
            assert_eq!(wrong.number, number);
            assert!(wrong.problem.contains(word), "{}", wrong.problem);
        }
    }

    #[test]
    fn names_that_end_with_a_nul_may_hold_anything_else() {
        let entries = parse(b"#a.pdf\0 b\n.pdf\0\0c.pdf", Separator::Nul).unwrap();
        let paths: Vec<_> = entries
            .iter()
            .map(|entry| match &entry.item {
                Item::File { path, .. } => (entry.number, path.to_str().unwrap()),
                Item::Url(_) => panic!("an address"),
            })
            .collect();
        assert_eq!(paths, [(1, "#a.pdf"), (2, " b\n.pdf"), (4, "c.pdf")]);
    }

    proptest! {
        #[test]
        fn no_name_leads_out_of_the_folder_for_results(text in r"[a./\n #-]{0,80}") {
            if let Ok(entries) = parse(text.as_bytes(), Separator::Line) {
                for entry in entries {
                    let Item::File { name, .. } = entry.item else { continue };
                    prop_assert!(name.is_relative());
                    prop_assert!(!name.components().any(|part| part == Component::ParentDir));
                }
            }
        }

        #[test]
        fn different_absolute_paths_keep_different_names(
            paths in proptest::collection::btree_set("(/[ab]{1,2}){1,4}", 1..8)
        ) {
            let text = paths.iter().cloned().collect::<Vec<_>>().join("\n");
            let names: std::collections::BTreeSet<_> = names(&text).into_iter().map(|(_, _, name)| name).collect();
            prop_assert_eq!(names.len(), paths.len());
        }
    }
}
