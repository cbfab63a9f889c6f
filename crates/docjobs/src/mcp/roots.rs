//! Which files a call may name: regular files below a root, judged after links and `..` are resolved and before anything
//! is opened.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use url::Url;

/// The directories below which a call may name files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Roots {
    /// Resolved, so that a resolved path can be compared with them.
    directories: Vec<PathBuf>,
    /// Where results of the tools lie that were given no place: their files may be named too, hidden or not.
    results: Option<PathBuf>,
    /// Whether they were named on the command line.
    is_explicit: bool,
    /// Why there is none, if there is none.
    refusal: Option<String>,
}

/// Why a path may not be used, as one sentence that names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PathError(String);

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for PathError {}

impl Roots {
    /// The directories that the command line names; any directory may be named there.
    pub(crate) fn explicit(directories: &[PathBuf]) -> Result<Self, PathError> {
        let directories = directories.iter().map(|directory| {
            let failed =
                |problem: &dyn fmt::Display| PathError(format!("--root {directory:?}: {problem}"));
            let resolved = fs::canonicalize(directory).map_err(|problem| failed(&problem))?;
            if resolved.is_dir() {
                Ok(resolved)
            } else {
                Err(failed(&"this is not a directory"))
            }
        });
        Ok(Self {
            directories: directories.collect::<Result<_, _>>()?,
            results: None,
            is_explicit: true,
            refusal: None,
        })
    }

    /// The current directory, unless it would open too much.
    pub(crate) fn current_directory(current: &Path, home: Option<&Path>) -> Self {
        let judged = fs::canonicalize(current)
            .map_err(|problem| problem.to_string())
            .and_then(|current| match unfit(&current, home) {
                None => Ok(current),
                Some(why) => Err(why.to_owned()),
            });
        match judged {
            Ok(current) => Self {
                directories: vec![current],
                results: None,
                is_explicit: false,
                refusal: None,
            },
            Err(why) => Self::none(format!(
                "the current directory {current:?} is not used as a root: {why}; name a directory with --root DIR"
            )),
        }
    }

    /// No file may be named, and why.
    pub(crate) fn none(refusal: impl Into<String>) -> Self {
        Self {
            directories: Vec::new(),
            results: None,
            is_explicit: false,
            refusal: Some(refusal.into()),
        }
    }

    /// The same, and files in this folder may be named as inputs.
    pub(crate) fn with_results(self, results: PathBuf) -> Self {
        Self {
            results: Some(results),
            ..self
        }
    }

    /// What is left with the roots that a client announced: they replace the current directory, and narrow directories
    /// that the command line names.
    pub(crate) fn narrowed_by(&self, uris: &[String], home: Option<&Path>) -> Self {
        let announced: Vec<PathBuf> = uris.iter().filter_map(|uri| directory_of(uri)).collect();
        let mut directories: Vec<PathBuf> = if self.is_explicit {
            let both = |given: &PathBuf| {
                let given = given.clone();
                announced
                    .iter()
                    .filter_map(move |announced| narrower(&given, announced))
                    .collect::<Vec<_>>()
            };
            self.directories.iter().flat_map(both).collect()
        } else {
            let fit = |directory: &PathBuf| unfit(directory, home).is_none();
            announced.into_iter().filter(fit).collect()
        };
        let mut seen = Vec::new();
        directories.retain(|directory| {
            let is_new = !seen.contains(directory);
            seen.push(directory.clone());
            is_new
        });
        let refusal = directories.is_empty().then(|| {
            if self.is_explicit {
                "none of the client's roots lies below a directory named with --root".to_owned()
            } else {
                "none of the client's roots can be used: a root is an existing directory, neither / nor the home \
                 directory nor above it, without hidden parts; name one with --root DIR"
                    .to_owned()
            }
        });
        Self {
            directories,
            results: self.results.clone(),
            is_explicit: self.is_explicit,
            refusal,
        }
    }

    /// The regular file that a call names as its input, resolved.
    pub(crate) fn input(&self, given: &str) -> Result<PathBuf, PathError> {
        if let Some(result) = self.result(given) {
            return Ok(result);
        }
        let path = self.place(given)?;
        let resolved = match fs::canonicalize(&path) {
            Ok(resolved) => resolved,
            Err(problem) => return Err(self.unresolved(given, &path, &problem)),
        };
        self.allow(given, &resolved)?;
        let kind = fs::metadata(&resolved)
            .map_err(|problem| PathError(format!("cannot read {given:?}: {problem}")))?;
        if kind.is_file() {
            return Ok(resolved);
        }
        let what = if kind.is_dir() {
            "a directory"
        } else {
            "no regular file"
        };
        Err(PathError(format!(
            "{given:?} is {what}; name one regular file below a root"
        )))
    }

    /// The place that a call names for its result: its directory exists below a root. Whether something is there already
    /// is for the caller to judge.
    pub(crate) fn output(&self, given: &str) -> Result<PathBuf, PathError> {
        let path = self.place(given)?;
        let is_plain = matches!(path.components().next_back(), Some(Component::Normal(_)))
            && !given.ends_with(['/', '\\']);
        let (Some(directory), Some(name), true) = (path.parent(), path.file_name(), is_plain)
        else {
            return Err(PathError(format!("out {given:?} does not name a file")));
        };
        let directory = match fs::canonicalize(directory) {
            Ok(directory) => directory,
            Err(problem) => return Err(self.unresolved(given, directory, &problem)),
        };
        let place = directory.join(name);
        self.allow(given, &place)?;
        if !directory.is_dir() {
            return Err(PathError(format!(
                "out {given:?}: {directory:?} is not a directory"
            )));
        }
        Ok(place)
    }

    /// A file that an answer named as a result.
    fn result(&self, given: &str) -> Option<PathBuf> {
        let results = fs::canonicalize(self.results.as_ref()?).ok()?;
        let resolved = fs::canonicalize(Path::new(given)).ok()?;
        let is_result = Path::new(given).is_absolute()
            && resolved.parent() == Some(&*results)
            && resolved.is_file()
            && !self.directories.is_empty();
        is_result.then_some(resolved)
    }

    /// Where a path leads that was given in a call, before links are followed.
    fn place(&self, given: &str) -> Result<PathBuf, PathError> {
        let Some(first) = self.directories.first() else {
            let why = self.refusal.as_deref().unwrap_or("there is no root");
            return Err(PathError(format!("{given:?} cannot be used: {why}")));
        };
        if given.is_empty() || given.contains('\0') {
            return Err(PathError(format!("{given:?} is not a path")));
        }
        if has_scheme(given) {
            return Err(PathError(format!(
                "{given:?} is an address; a path is written without a scheme, and a document on the web goes into url"
            )));
        }
        let path = Path::new(given);
        let below = self
            .directories
            .iter()
            .find_map(|root| path.strip_prefix(root).ok());
        let relative = if path.is_absolute() {
            below
        } else {
            Some(path)
        };
        if relative.is_some_and(has_hidden_part) {
            return Err(hidden(given));
        }
        Ok(first.join(path))
    }

    fn allow(&self, given: &str, resolved: &Path) -> Result<(), PathError> {
        let mut is_below = false;
        for root in &self.directories {
            if let Ok(relative) = resolved.strip_prefix(root) {
                is_below = true;
                if !has_hidden_part(relative) {
                    return Ok(());
                }
            }
        }
        Err(if is_below {
            hidden(given)
        } else {
            self.outside(given)
        })
    }

    /// Says that a file is missing only where its directory may be looked into.
    fn unresolved(&self, given: &str, path: &Path, problem: &io::Error) -> PathError {
        let existing = path
            .ancestors()
            .find_map(|part| fs::canonicalize(part).ok());
        let is_below = existing
            .as_deref()
            .is_some_and(|existing| self.allow(given, existing).is_ok());
        let climbs = path
            .components()
            .any(|part| matches!(part, Component::ParentDir));
        if is_below && !climbs {
            PathError(format!("cannot read {given:?}: {problem}"))
        } else {
            self.outside(given)
        }
    }

    fn outside(&self, given: &str) -> PathError {
        let roots: Vec<String> = self
            .directories
            .iter()
            .map(|root| root.display().to_string())
            .collect();
        PathError(format!(
            "{given:?} is not below a root ({}); name a file there, or start docjobs mcp with --root DIR",
            roots.join(", ")
        ))
    }
}

fn hidden(given: &str) -> PathError {
    PathError(format!(
        "{given:?} has a hidden part (a name that begins with a dot); name a file without one, or start docjobs mcp with \
         --root at that directory"
    ))
}

/// Why a directory that nobody named on the command line is no root.
fn unfit(directory: &Path, home: Option<&Path>) -> Option<&'static str> {
    if directory.parent().is_none() {
        return Some("it is the root of the file system");
    }
    let home = home.and_then(|home| fs::canonicalize(home).ok());
    if home
        .as_deref()
        .is_some_and(|home| home.starts_with(directory))
    {
        return Some("it is the home directory, or above it");
    }
    has_hidden_part(directory).then_some("it has a hidden part")
}

fn has_hidden_part(path: &Path) -> bool {
    path.components().any(
        |part| matches!(part, Component::Normal(name) if name.as_encoded_bytes().starts_with(b".")),
    )
}

/// `scheme:` as in an address; one letter is a drive elsewhere.
fn has_scheme(given: &str) -> bool {
    let Some((scheme, rest)) = given.split_once(':') else {
        return false;
    };
    let is_scheme = scheme.len() > 1
        && scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
    is_scheme && (rest.starts_with("//") || scheme.eq_ignore_ascii_case("file"))
}

/// The directory behind a root that a client announced.
fn directory_of(uri: &str) -> Option<PathBuf> {
    let url = Url::parse(uri).ok()?;
    let is_here = url.scheme() == "file" && matches!(url.host_str(), None | Some("localhost" | ""));
    let path = if is_here {
        url.to_file_path().ok()?
    } else {
        return None;
    };
    fs::canonicalize(path).ok().filter(|path| path.is_dir())
}

/// What lies below both directories.
fn narrower(given: &Path, announced: &Path) -> Option<PathBuf> {
    if let Ok(relative) = announced.strip_prefix(given) {
        return (!has_hidden_part(relative)).then(|| announced.to_owned());
    }
    given.starts_with(announced).then(|| given.to_owned())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use proptest::prelude::*;
    use tempfile::TempDir;

    use super::*;

    /// `root/` with files, hidden ones, a FIFO-less odd thing, and links that lead in and out; `secret/` beside it.
    struct Tree {
        _place: TempDir,
        root: PathBuf,
        beside: PathBuf,
    }

    impl Tree {
        fn new() -> Self {
            let place = tempfile::Builder::new().prefix("roots").tempdir().unwrap();
            let base = fs::canonicalize(place.path()).unwrap();
            let (root, beside) = (base.join("root"), base.join("root-beside"));
            for directory in ["a/b", ".hidden/b", "a/.git"] {
                fs::create_dir_all(root.join(directory)).unwrap();
            }
            fs::create_dir_all(&beside).unwrap();
            for file in ["f.pdf", "a/f.pdf", "a/b/f.pdf", ".hidden/f.pdf", "a/.env"] {
                fs::write(root.join(file), "below").unwrap();
            }
            fs::write(beside.join("f.pdf"), "secret").unwrap();
            symlink(&beside, root.join("out")).unwrap();
            symlink(beside.join("f.pdf"), root.join("out.pdf")).unwrap();
            symlink("a/b", root.join("in")).unwrap();
            symlink(".hidden", root.join("veil")).unwrap();
            symlink("loop", root.join("loop")).unwrap();
            symlink(&root, beside.join("back")).unwrap();
            Self {
                _place: place,
                root,
                beside,
            }
        }

        fn roots(&self) -> Roots {
            Roots::explicit(std::slice::from_ref(&self.root)).unwrap()
        }
    }

    fn uri(path: &Path) -> String {
        Url::from_file_path(path).unwrap().to_string()
    }

    #[test]
    fn files_below_a_root_are_found_relative_absolute_and_through_links() {
        let tree = Tree::new();
        for (given, found) in [
            ("f.pdf", "f.pdf"),
            ("./a/../a/f.pdf", "a/f.pdf"),
            ("in/f.pdf", "a/b/f.pdf"),
            ("out/back/f.pdf", "f.pdf"),
        ] {
            assert_eq!(
                tree.roots().input(given),
                Ok(tree.root.join(found)),
                "{given}"
            );
        }
        let absolute = tree.root.join("a/f.pdf").display().to_string();
        assert_eq!(tree.roots().input(&absolute), Ok(tree.root.join("a/f.pdf")));
    }

    #[test]
    fn a_result_that_was_given_no_place_is_an_input_wherever_it_lies() {
        let tree = Tree::new();
        let results = tree.beside.join(".results");
        fs::create_dir_all(results.join("inputs")).unwrap();
        for file in ["r.pdf", "inputs/t.md"] {
            fs::write(results.join(file), "a result").unwrap();
        }
        symlink(tree.beside.join("f.pdf"), results.join("away.pdf")).unwrap();
        let name = |file: &str| results.join(file).display().to_string();
        let result = name("r.pdf");
        assert!(tree.roots().input(&result).is_err());
        let roots = tree.roots().with_results(results.clone());
        assert_eq!(roots.input(&result), Ok(results.join("r.pdf")));
        let narrowed = roots.narrowed_by(&[uri(&tree.root.join("a"))], None);
        assert_eq!(narrowed.input(&result), Ok(results.join("r.pdf")));
        for refused in [
            name("away.pdf"),
            name("inputs/t.md"),
            name("none.pdf"),
            name("../f.pdf"),
            "r.pdf".to_owned(),
        ] {
            assert!(roots.input(&refused).is_err(), "{refused}");
        }
        assert!(roots.output(&name("new.pdf")).is_err());
        let none = Roots::none("over HTTP").with_results(results.clone());
        assert!(none.input(&result).is_err());
    }

    #[test]
    fn everything_else_is_refused_with_a_sentence_that_names_it() {
        let tree = Tree::new();
        let secret = tree.beside.join("f.pdf").display().to_string();
        let address = uri(&tree.root.join("f.pdf"));
        for (given, why) in [
            ("../root-beside/f.pdf", "not below a root"),
            ("a/../../root-beside/f.pdf", "not below a root"),
            ("out/f.pdf", "not below a root"),
            ("out.pdf", "not below a root"),
            (secret.as_str(), "not below a root"),
            ("/etc/passwd", "not below a root"),
            // Whether something is there is not told either.
            ("/etc/passwd-nobody-has", "not below a root"),
            ("../root-beside/none", "not below a root"),
            ("a/../../none", "not below a root"),
            (address.as_str(), "is an address"),
            ("file:f.pdf", "is an address"),
            ("FILE:/etc/passwd", "is an address"),
            ("https://example.com/f.pdf", "is an address"),
            ("a/.env", "hidden"),
            (".hidden/f.pdf", "hidden"),
            ("veil/f.pdf", "hidden"),
            ("a", "a directory"),
            ("/dev/null", "not below a root"),
            ("none.pdf", "cannot read"),
            ("loop", "cannot read"),
            ("", "not a path"),
            ("f.pdf\0", "not a path"),
            ("~/f.pdf", "cannot read"),
        ] {
            let refused = tree.roots().input(given).unwrap_err().to_string();
            assert!(refused.contains(why), "{given}: {refused}");
        }
    }

    #[test]
    fn a_result_goes_to_a_plain_name_in_a_directory_below_a_root() {
        let tree = Tree::new();
        assert_eq!(
            tree.roots().output("a/new.md"),
            Ok(tree.root.join("a/new.md"))
        );
        assert_eq!(
            tree.roots().output("in/new.md"),
            Ok(tree.root.join("a/b/new.md"))
        );
        for (given, why) in [
            ("out/new.md", "not below a root"),
            ("../new.md", "not below a root"),
            ("/tmp/new.md", "not below a root"),
            ("a/.new.md", "hidden"),
            ("veil/new.md", "hidden"),
            ("a/", "does not name a file"),
            ("..", "does not name a file"),
            ("none/new.md", "cannot read"),
            ("f.pdf/new.md", "not a directory"),
        ] {
            let refused = tree.roots().output(given).unwrap_err().to_string();
            assert!(refused.contains(why), "{given}: {refused}");
        }
    }

    #[test]
    fn the_current_directory_is_a_root_unless_it_opens_too_much() {
        let tree = Tree::new();
        let home = tree.root.join("a");
        for (current, why) in [
            (home.clone(), Some("home directory")),
            (tree.root.clone(), Some("home directory")),
            (PathBuf::from("/"), Some("root of the file system")),
            (tree.root.join(".hidden"), Some("hidden")),
            (tree.root.join("veil"), Some("hidden")),
            (home.join("b"), None),
            (tree.beside.clone(), None),
        ] {
            let roots = Roots::current_directory(&current, Some(&home));
            let refused = roots
                .input("f.pdf")
                .err()
                .map(|refused| refused.to_string());
            match why {
                None => assert_eq!(refused, None, "{current:?}"),
                Some(why) => {
                    let refused = refused.unwrap();
                    assert!(
                        refused.contains(why) && refused.contains("--root"),
                        "{refused}"
                    );
                }
            }
        }
    }

    #[test]
    fn the_command_line_may_name_any_directory() {
        let tree = Tree::new();
        for root in ["/".into(), tree.root.join(".hidden")] {
            assert!(Roots::explicit(&[root]).is_ok());
        }
        for root in [tree.root.join("none"), tree.root.join("f.pdf")] {
            assert!(Roots::explicit(&[root]).is_err());
        }
        let hidden = Roots::explicit(&[tree.root.join(".hidden")]).unwrap();
        assert!(hidden.input("f.pdf").is_ok());
    }

    #[test]
    fn a_clients_roots_replace_the_current_directory() {
        let tree = Tree::new();
        let home = tree.root.join("a");
        let current = Roots::current_directory(&tree.beside, Some(&home));
        let narrowed = current.narrowed_by(&[uri(&home.join("b"))], Some(&home));
        assert_eq!(narrowed.input("f.pdf"), Ok(home.join("b/f.pdf")));
        for unusable in [
            "file:///".to_owned(),
            uri(&home),
            uri(&tree.root),
            uri(&tree.root.join(".hidden")),
            uri(&tree.root.join("none")),
            uri(&tree.root.join("f.pdf")),
            "https://example.com/".to_owned(),
            "file://server/share".to_owned(),
            "nonsense".to_owned(),
        ] {
            let narrowed = current.narrowed_by(std::slice::from_ref(&unusable), Some(&home));
            let refused = narrowed.input("f.pdf").unwrap_err().to_string();
            assert!(refused.contains("client's roots"), "{unusable}: {refused}");
        }
    }

    #[test]
    fn a_clients_roots_only_narrow_what_the_command_line_named() {
        let tree = Tree::new();
        let home = tree.root.join("a");
        let given = tree.roots();
        for (announced, first) in [
            (tree.root.join("a"), Some(tree.root.join("a"))),
            (PathBuf::from("/"), Some(tree.root.clone())),
            (tree.root.join("in"), Some(tree.root.join("a/b"))),
            (tree.beside.clone(), None),
            (tree.root.join(".hidden"), None),
        ] {
            let narrowed = given.narrowed_by(&[uri(&announced)], Some(&home));
            assert_eq!(
                narrowed.directories.first(),
                first.as_ref(),
                "{announced:?}"
            );
        }
        // Escapes in the address are undone before it is judged.
        let escaped = format!("{}/a/%2e%2e/%2E%2E/root-beside", uri(&tree.root));
        let narrowed = given.narrowed_by(&[escaped], Some(&home));
        assert!(narrowed.input("f.pdf").is_err());
    }

    proptest! {
        #[test]
        fn whatever_is_taken_is_a_resolved_regular_file_below_the_root_without_hidden_parts(
            parts in prop::collection::vec(
                prop::sample::select(vec![
                    "a", "b", "f.pdf", "..", ".", ".hidden", "veil", "in", "out", "out.pdf", "back", "loop", "root",
                    "root-beside", "", ".env", ".git", "file:", "%2e%2e",
                ]),
                1..7,
            ),
            is_absolute in any::<bool>(),
        ) {
            let tree = Tree::new();
            let relative = parts.join("/");
            let given = if is_absolute { format!("{}/{relative}", tree.root.display()) } else { relative };
            if let Ok(taken) = tree.roots().input(&given) {
                prop_assert_eq!(&fs::canonicalize(&taken).unwrap(), &taken);
                let below = taken.strip_prefix(&tree.root).unwrap();
                prop_assert!(below.components().all(|part| !part.as_os_str().to_string_lossy().starts_with('.')));
                prop_assert_eq!(fs::read_to_string(&taken).unwrap(), "below");
            }
            if let Ok(place) = tree.roots().output(&given) {
                let directory = place.parent().unwrap();
                prop_assert_eq!(&fs::canonicalize(directory).unwrap(), directory);
                prop_assert!(place.starts_with(&tree.root));
                let below = place.strip_prefix(&tree.root).unwrap();
                prop_assert!(below.components().all(|part| !part.as_os_str().to_string_lossy().starts_with('.')));
            }
        }
    }
}
