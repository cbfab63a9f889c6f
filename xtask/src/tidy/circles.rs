//! Files of a crate that import each other: a reader of one has to read all of them. A file and the modules below it are one
//! room with its furniture, so their imports of each other are no circle.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::{Delimiter, TokenStream, TokenTree};

use super::Violation;
use super::tree::{File, Tree};

/// Circles that are still there, by their first file. Each is to be opened; none may be added.
const KNOWN: &[&str] = &[];

/// A module by its names from the root of the crate.
type Module = Vec<String>;

/// Every circle of files inside a crate that is not [known](KNOWN), and every known one that is gone.
pub(crate) fn check(tree: &Tree) -> Vec<Violation> {
    let mut sources: BTreeMap<&str, Vec<&File>> = BTreeMap::new();
    for file in &tree.files {
        if let Some((package, _)) = file.path.split_once("/src/")
            && file.path.ends_with(".rs")
        {
            sources.entry(package).or_default().push(file);
        }
    }
    let circles: Vec<Vec<&str>> = sources.values().flat_map(|files| circles(files)).collect();
    let is_known = |first: &&str| KNOWN.contains(first);
    let added = circles
        .iter()
        .filter(|circle| !circle.first().is_some_and(is_known))
        .map(|circle| {
            let first = circle.first().copied().unwrap_or_default();
            let message = format!("these files import each other: {}", circle.join(", "));
            Violation::new(first, 1, message)
        });
    let opened = KNOWN
        .iter()
        .filter(|known| tree.has(known))
        .filter(|known| !circles.iter().any(|circle| circle.first() == Some(known)))
        .map(|known| {
            Violation::new(
                *known,
                1,
                "its circle is open: take it off xtask/src/tidy/circles.rs",
            )
        });
    added.chain(opened).collect()
}

/// The circles of one crate, each as its sorted files.
fn circles<'a>(files: &[&'a File]) -> Vec<Vec<&'a str>> {
    let modules: BTreeMap<Module, &File> = files
        .iter()
        .map(|file| (module_of(&file.path), *file))
        .collect();
    let uses: BTreeMap<&Module, Uses> = modules
        .iter()
        .map(|(module, file)| (module, Uses::of(module, &file.text, &modules)))
        .collect();
    let mut reach: BTreeMap<&Module, BTreeSet<&Module>> = BTreeMap::new();
    for (module, used) in &uses {
        let targets = used
            .paths
            .iter()
            .filter_map(|path| resolve(path, &modules, &uses, 0));
        let aside =
            targets.filter(|target| !target.starts_with(module) && !module.starts_with(target));
        reach.insert(module, aside.collect());
    }
    // Until nothing is added: whatever is imported brings along what it imports.
    loop {
        let before: usize = reach.values().map(BTreeSet::len).sum();
        for module in modules.keys() {
            let further: Vec<&Module> = reach
                .get(module)
                .into_iter()
                .flatten()
                .filter_map(|target| reach.get(target))
                .flatten()
                .copied()
                .collect();
            reach.entry(module).or_default().extend(further);
        }
        if reach.values().map(BTreeSet::len).sum::<usize>() == before {
            break;
        }
    }
    let reaches =
        |from: &Module, to: &Module| reach.get(from).is_some_and(|targets| targets.contains(to));
    let mut found: BTreeSet<Vec<&str>> = BTreeSet::new();
    for module in modules.keys().filter(|module| reaches(module, module)) {
        let circle = modules
            .iter()
            .filter(|(other, _)| reaches(module, other) && reaches(other, module));
        let mut circle: Vec<&str> = circle.map(|(_, file)| file.path.as_str()).collect();
        circle.sort_unstable();
        found.insert(circle);
    }
    found.into_iter().collect()
}

fn module_of(path: &str) -> Module {
    let inside = path.split_once("/src/").map_or(path, |(_, inside)| inside);
    let inside = inside.trim_end_matches(".rs");
    let mut names: Module = inside.split('/').map(str::to_owned).collect();
    if names.last().is_some_and(|last| last == "mod") || matches!(inside, "lib" | "main") {
        names.pop();
    }
    names
}

/// What a file names of its own crate.
#[derive(Default)]
struct Uses {
    /// Paths from the root of the crate.
    paths: BTreeSet<Module>,
    /// What it imports, by the last name: others may take it from here.
    imports: BTreeMap<String, Module>,
}

impl Uses {
    fn of(module: &Module, text: &str, modules: &BTreeMap<Module, &File>) -> Self {
        let mut uses = Self::default();
        // A file that is no Rust does not build either.
        let tokens: TokenStream = text.parse().unwrap_or_default();
        uses.read(module, tokens, modules);
        uses
    }

    fn read(&mut self, module: &Module, tokens: TokenStream, modules: &BTreeMap<Module, &File>) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut at = 0;
        while let Some(token) = tokens.get(at) {
            at += 1;
            match token {
                TokenTree::Ident(word) if word == "mod" => {
                    // A module in the file: `super` is the file itself there.
                    if let (Some(TokenTree::Ident(name)), Some(TokenTree::Group(body))) =
                        (tokens.get(at), tokens.get(at + 1))
                    {
                        // What only the tests of a file use, its reader need not know.
                        if name != "tests" {
                            let inner = [module.as_slice(), &[name.to_string()]].concat();
                            self.read(&inner, body.stream(), modules);
                        }
                        at += 2;
                    }
                }
                TokenTree::Ident(word) if word == "use" => {
                    let end = tokens.iter().skip(at).position(
                        |token| matches!(token, TokenTree::Punct(mark) if mark.as_char() == ';'),
                    );
                    let tree = tokens
                        .get(at..at + end.unwrap_or_default())
                        .unwrap_or_default();
                    self.import(module, &[], tree, modules);
                    at += tree.len();
                }
                TokenTree::Ident(word)
                    if ["crate", "self", "super"].iter().any(|root| word == root) =>
                {
                    let (path, length) = plain_path(tokens.get(at - 1..).unwrap_or_default());
                    self.paths.extend(absolute(module, &path, modules));
                    at += length - 1;
                }
                TokenTree::Group(group) => self.read(module, group.stream(), modules),
                _ => {}
            }
        }
    }

    /// A tree of imports below `before`.
    fn import(
        &mut self,
        module: &Module,
        before: &[String],
        tree: &[TokenTree],
        modules: &BTreeMap<Module, &File>,
    ) {
        let (path, length) = plain_path(tree);
        let path = [before, &path].concat();
        match tree.get(length..).unwrap_or_default() {
            [TokenTree::Group(group), ..] if group.delimiter() == Delimiter::Brace => {
                let inner: Vec<TokenTree> = group.stream().into_iter().collect();
                let is_comma = |token: &TokenTree| matches!(token, TokenTree::Punct(mark) if mark.as_char() == ',');
                for part in inner.split(is_comma).filter(|part| !part.is_empty()) {
                    self.import(module, &path, part, modules);
                }
            }
            rest => {
                let Some(path) = absolute(module, &path, modules) else {
                    return;
                };
                let renamed = match rest {
                    [TokenTree::Ident(word), TokenTree::Ident(name)] if word == "as" => {
                        Some(name.to_string())
                    }
                    _ => None,
                };
                if let Some(name) = renamed.or_else(|| path.last().cloned()) {
                    self.imports.insert(name, path.clone());
                }
                self.paths.insert(path);
            }
        }
    }
}

/// The names joined by `::` at the beginning, and how many tokens they take. Nothing for another beginning.
fn plain_path(tokens: &[TokenTree]) -> (Vec<String>, usize) {
    let mut path = Vec::new();
    let mut at = 0;
    while let Some(TokenTree::Ident(name)) = tokens.get(at) {
        if name == "as" {
            break;
        }
        path.push(name.to_string());
        at += 1;
        let is_colon = |token: Option<&TokenTree>| matches!(token, Some(TokenTree::Punct(mark)) if mark.as_char() == ':');
        if !(is_colon(tokens.get(at)) && is_colon(tokens.get(at + 1))) {
            break;
        }
        at += 2;
    }
    (path, at)
}

/// A path as written inside `module`, from the root of the crate; `None` for what belongs to others.
fn absolute(module: &Module, path: &[String], modules: &BTreeMap<Module, &File>) -> Option<Module> {
    let (first, rest) = path.split_first()?;
    let mut from = match first.as_str() {
        "crate" => Vec::new(),
        "self" => module.clone(),
        "super" => module.split_last()?.1.to_vec(),
        child => {
            let below = [module.as_slice(), &[child.to_owned()]].concat();
            return modules
                .contains_key(&below)
                .then(|| [below.as_slice(), rest].concat());
        }
    };
    for name in rest {
        match name.as_str() {
            "super" => drop(from.pop()),
            "self" => {}
            name => from.push(name.to_owned()),
        }
    }
    Some(from)
}

/// The module that defines what the path names: through what modules on the way only import.
fn resolve<'a>(
    path: &[String],
    modules: &'a BTreeMap<Module, &File>,
    uses: &BTreeMap<&Module, Uses>,
    depth: usize,
) -> Option<&'a Module> {
    const DEEPEST: usize = 8;
    let inside = (0..=path.len()).rev().find_map(|length| {
        let module = path.get(..length)?;
        modules
            .get_key_value(module)
            .map(|(module, _)| (module, path.get(length)))
    });
    let (module, name) = inside?;
    let imported = name
        .filter(|_| depth < DEEPEST)
        .and_then(|name| uses.get(module)?.imports.get(name));
    match imported {
        Some(path) => resolve(path, modules, uses, depth + 1),
        None => Some(module),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[(&str, &str)]) -> Vec<String> {
        let files = files.iter().map(|(name, text)| File {
            path: format!("crates/a/src/{name}"),
            text: (*text).to_owned(),
        });
        let tree = Tree {
            top: Vec::new(),
            files: files.collect(),
        };
        check(&tree)
            .into_iter()
            .map(|found| found.message)
            .collect()
    }

    #[test]
    fn files_that_import_each_other_are_named() {
        let circle = "these files import each other: crates/a/src/b.rs, crates/a/src/c.rs";
        for (b, c) in [
            ("use crate::c::C;", "use crate::b::B;"),
            ("fn f(_: crate::c::C) {}", "use super::b::{self, B};"),
            // What the root only hands on belongs to its file.
            ("use crate::{D, C as E};", "use crate::B;"),
        ] {
            let files = [
                ("lib.rs", "mod b; mod c; pub use self::b::B; pub use c::C;"),
                ("b.rs", b),
                ("c.rs", c),
            ];
            assert_eq!(found(&files), [circle], "{b} {c}");
        }
    }

    #[test]
    fn a_long_way_round_is_a_circle_too() {
        let files = [
            ("lib.rs", ""),
            ("b.rs", "use crate::c::C;"),
            ("c.rs", "use crate::d::e::E;"),
            ("d/e.rs", "use crate::b::B;"),
            ("d/mod.rs", ""),
        ];
        assert_eq!(found(&files).len(), 1);
        assert!(
            found(&files)[0].ends_with("crates/a/src/b.rs, crates/a/src/c.rs, crates/a/src/d/e.rs")
        );
    }

    #[test]
    fn one_way_and_a_module_with_what_lies_below_it_are_fine() {
        let files = [
            ("lib.rs", "use crate::b::B; struct L;"),
            ("b.rs", "use crate::L; use crate::c::C;"),
            (
                "c/mod.rs",
                "use self::d::D; struct C; mod tests { use crate::b::B; }",
            ),
            ("c/d.rs", "use super::C; mod tests { use super::*; }"),
            (
                "other.rs",
                "use serde::b::B; // use crate::b\nconst TEXT: &str = \"use crate::c::C;\";",
            ),
        ];
        assert_eq!(found(&files), [""; 0]);
    }
}
