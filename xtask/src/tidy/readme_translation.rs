//! The README and its Chinese twin say the same: sections, code, tables and words of code, one after another.

use super::Violation;
use super::tree::Tree;

const FIRST: &str = "README.md";
const TWIN: &str = "README.zh-CN.md";

/// What a page is made of, apart from prose.
#[derive(Debug, PartialEq)]
enum Piece {
    /// A heading with its depth.
    Heading(usize),
    /// A block of code: its language, and its lines without what may be translated.
    Code(String, Vec<String>),
    /// The first column of a table, without the heading row.
    Table(Vec<String>),
    /// The entries of a list of numbers or dashes that stand together.
    List(usize),
    /// What stands in backticks in the prose of a section, sorted: sentences may be turned around.
    Words(Vec<String>),
}

pub(super) fn check(tree: &Tree) -> Vec<Violation> {
    match (tree.text(FIRST), tree.text(TWIN)) {
        (Some(first), Some(twin)) => compare(first, twin),
        (Some(_), None) => vec![Violation::new(TWIN, 1, "the README has no Chinese twin")],
        (None, _) => Vec::new(),
    }
}

/// The first place where they part; what follows it would be noise.
fn compare(first: &str, twin: &str) -> Vec<Violation> {
    let (first, twin) = (pieces(first), pieces(twin));
    let mut theirs = twin.iter();
    for (line, ours) in &first {
        let violation = match theirs.next() {
            Some((_, same)) if same == ours => continue,
            Some((other, differs)) => Violation::new(
                TWIN,
                *other,
                format!(
                    "{FIRST}:{line} has {}, this has {}",
                    told(ours),
                    told(differs)
                ),
            ),
            None => Violation::new(
                TWIN,
                1,
                format!("{} of {FIRST}:{line} is missing", told(ours)),
            ),
        };
        return vec![violation];
    }
    let more = theirs.next();
    more.map(|(line, more)| Violation::new(TWIN, *line, format!("{FIRST} has no {}", told(more))))
        .into_iter()
        .collect()
}

fn told(piece: &Piece) -> String {
    match piece {
        Piece::Heading(depth) => format!("a heading of depth {depth}"),
        Piece::Code(language, lines) => format!("`{language}` code {lines:?}"),
        Piece::Table(firsts) => format!("a table with the first column {firsts:?}"),
        Piece::List(entries) => format!("a list of {entries} entries"),
        Piece::Words(words) => format!("the words of code {words:?}"),
    }
}

/// The pieces in their order, each with the line where it begins. The words of a section come where it ends.
fn pieces(text: &str) -> Vec<(usize, Piece)> {
    let mut pieces: Vec<(usize, Piece)> = Vec::new();
    let mut words: Vec<String> = Vec::new();
    let mut prose = String::new();
    let mut section = 1;
    let mut lines = text.lines().zip(1..).peekable();
    while let Some((line, number)) = lines.next() {
        if let Some(language) = line.strip_prefix("```") {
            let block: Vec<String> = lines
                .by_ref()
                .map(|(line, _)| line)
                .take_while(|line| !line.starts_with("```"))
                .filter_map(|line| fixed(language, line))
                .collect();
            pieces.push((number, Piece::Code(language.to_owned(), block)));
            continue;
        }
        let depth = line.chars().take_while(|&letter| letter == '#').count();
        if depth > 0 && line.get(depth..=depth) == Some(" ") {
            words.extend(spans(&prose));
            prose.clear();
            close(&mut pieces, section, &mut words);
            section = number;
            pieces.push((number, Piece::Heading(depth)));
        } else if line.starts_with('|') {
            let mut rows = vec![line];
            while let Some((row, _)) = lines.next_if(|(next, _)| next.starts_with('|')) {
                rows.push(row);
            }
            let firsts = rows.iter().skip(2).map(|row| first_cell(row)).collect();
            pieces.push((number, Piece::Table(firsts)));
            rows.iter().for_each(|row| words.extend(spans(row)));
            continue;
        } else if is_entry(line) {
            let goes_on = matches!(pieces.last(), Some((_, Piece::List(_)))) && !prose.is_empty();
            match pieces.last_mut() {
                Some((_, Piece::List(entries))) if goes_on => *entries += 1,
                _ => pieces.push((number, Piece::List(1))),
            }
        }
        // A word of code may go over the end of a line; a list ends at an empty one.
        if line.is_empty() {
            words.extend(spans(&prose));
            prose.clear();
        } else {
            prose.push_str(line);
            prose.push(' ');
        }
    }
    words.extend(spans(&prose));
    close(&mut pieces, section, &mut words);
    pieces
}

fn close(pieces: &mut Vec<(usize, Piece)>, section: usize, words: &mut Vec<String>) {
    words.sort();
    if !words.is_empty() {
        pieces.push((section, Piece::Words(std::mem::take(words))));
    }
}

fn is_entry(line: &str) -> bool {
    let digits = line.trim_start_matches(|letter: char| letter.is_ascii_digit());
    line.starts_with("- ") || (digits.len() < line.len() && digits.starts_with(". "))
}

fn first_cell(row: &str) -> String {
    let cell = row.trim_matches('|').split('|').next();
    cell.unwrap_or_default().trim().to_owned()
}

/// What stands in backticks.
fn spans(prose: &str) -> Vec<String> {
    prose
        .split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

/// A line of code without what may be translated: the comment, or in plain text all after the first column. Nothing, where it
/// was all comment.
fn fixed(language: &str, line: &str) -> Option<String> {
    let kept = match language {
        "text" if line.starts_with(' ') => "",
        "text" => line.split("  ").next().unwrap_or_default(),
        "console" | "toml" | "sh" => match line.split_once(" # ") {
            Some((code, _)) => code,
            None => line,
        },
        _ => match line.find("// ") {
            Some(at) => line.get(..at).unwrap_or(line),
            None => line,
        },
    };
    let kept = kept.trim_end();
    (!kept.is_empty()).then(|| kept.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENGLISH: &str = "\
# Name

Take `one`, or `two`.

## Try

1. First
   of all.
2. Second.

```console
$ name run --fast                # quickly
```

| Code | Meaning |
|---|---|
| 0 | done with `-o` |
| 1 | broken |

```no_run
// Opens.
let a = open()?; // of the name
```

```text
crates/one    the first
              of them
tests/        all
```
";

    const CHINESE: &str = "\
# 名字

`two` 或 `one`。

## 试一试

1. 第一。
2. 第二。

```console
$ name run --fast      # 快
```

| 代码 | 含义 |
|---|---|
| 0 | 完成，`-o` |
| 1 | 坏了 |

```no_run
let a = open()?; // 名字
```

```text
crates/one    第一个
tests/        全部
```
";

    #[test]
    fn a_translation_says_the_same() {
        assert_eq!(compare(ENGLISH, CHINESE), []);
    }

    #[test]
    fn every_deviation_of_the_twin_is_found_where_it_is() {
        for (from, to, line) in [
            ("## 试一试", "### 试一试", 5),
            ("## 试一试", "试一试", 7),
            ("`two` 或 `one`。", "`two`。", 1),
            ("`two` 或 `one`。", "`two` 或 `one` 或 `three`。", 1),
            ("--fast", "--slow", 10),
            ("```console", "```sh", 10),
            ("| 1 | 坏了 |\n", "", 14),
            ("| 1 | 坏", "| 2 | 坏", 14),
            ("`-o` |", "`-p` |", 5),
            ("open()?", "open()", 19),
            ("crates/one", "crates/two", 23),
            ("tests/        全部\n", "", 23),
            ("2. 第二。\n", "", 7),
            ("2. 第二。\n", "2. 第二。\n3. 第三。\n", 7),
        ] {
            let twin = CHINESE.replace(from, to);
            assert_ne!(twin, CHINESE, "{from}");
            let found = compare(ENGLISH, &twin);
            assert_eq!(found.len(), 1, "{from} {to}: {found:?}");
            assert_eq!(found[0].line, line, "{from} {to}: {}", found[0]);
        }
    }

    #[test]
    fn what_only_one_of_them_has_at_its_end_is_found() {
        let more = format!("{CHINESE}\n## 更多\n");
        assert_eq!(compare(ENGLISH, &more).len(), 1);
        let more = format!("{ENGLISH}\n## More\n");
        assert_eq!(compare(&more, CHINESE).len(), 1);
    }

    #[test]
    fn a_readme_without_a_twin_is_found() {
        let file = |path: &str| super::super::tree::File {
            path: path.to_owned(),
            text: String::new(),
        };
        let mut tree = Tree {
            top: Vec::new(),
            files: vec![file(FIRST)],
        };
        assert_eq!(check(&tree).len(), 1);
        tree.files.push(file(TWIN));
        assert_eq!(check(&tree), []);
    }
}
