//! Nothing is decided by what the ledger keeps for people: its input, error and text columns are shown, never compared.

use super::Violation;

/// Where rows and events of the ledger are read.
const FOLDERS: &[&str] = &[
    "crates/docjobs/src/",
    "crates/jobs-ledger/src/",
    "crates/jobs-runner/src/",
];

/// What rows and events are called.
const ROWS: &[&str] = &[
    "row", "job", "event", "events", "it", "e", "known", "found", "settled", "done", "kept",
    "record",
];

/// Their fields that hold words for people.
const PROSE: &[&str] = &["input", "error", "text"];

/// What changes the type of a text and not what it says.
const NEUTRAL: &[&str] = &[
    ".as_deref()",
    ".as_ref()",
    ".as_str()",
    ".clone()",
    ".unwrap_or_default()",
    ".trim()",
    "?",
];

/// What decides by a text.
const DECISIONS: &[&str] = &[
    "==",
    "!=",
    ".starts_with(",
    ".ends_with(",
    ".contains(",
    ".strip_prefix(",
    ".strip_suffix(",
    ".split",
    ".rsplit",
    ".parse",
    ".find(",
    ".eq(",
    ".is_some_and(",
    ".is_none_or(",
    ".matches(",
];

pub(crate) fn check(path: &str, text: &str) -> Vec<Violation> {
    if !path.ends_with(".rs") || !FOLDERS.iter().any(|folder| path.starts_with(folder)) {
        return Vec::new();
    }
    let (code, lines) = flat(text);
    let mut violations = Vec::new();
    for field in PROSE {
        let access = format!(".{field}");
        for (at, _) in code.match_indices(&access) {
            let after = code.get(at + access.len()..).unwrap_or_default();
            let before = code.get(..at).unwrap_or_default();
            if is_field_of_a_row(before, after) && decides(before, after) {
                let line = lines.get(at).copied().unwrap_or_default();
                let message = format!(
                    "`{field}` holds words for people: decide by what the ledger keeps in types"
                );
                violations.push(Violation::new(path, line, message));
            }
        }
    }
    violations.sort();
    violations
}

/// The code up to its tests, without remarks and with spaces between words alone, and the line of each of its bytes.
fn flat(text: &str) -> (String, Vec<usize>) {
    let (mut code, mut lines) = (String::new(), Vec::new());
    let kept = text.lines().enumerate();
    for (number, line) in kept.take_while(|(_, line)| line.trim() != "#[cfg(test)]") {
        let line = line.split("//").next().unwrap_or_default();
        for word in line.split_whitespace() {
            if code.ends_with(is_word) && word.starts_with(is_word) {
                code.push(' ');
            }
            code.push_str(word);
            lines.resize(code.len(), number + 1);
        }
    }
    (code, lines)
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

fn is_field_of_a_row(before: &str, after: &str) -> bool {
    // `job.input_path` is another field, `job.error()` none.
    if after.starts_with(|next: char| is_word(next) || next == '(') {
        return false;
    }
    let start = before.rfind(|it: char| !is_word(it)).map_or(0, |at| at + 1);
    before
        .get(start..)
        .is_some_and(|owner| ROWS.contains(&owner))
}

fn decides(before: &str, after: &str) -> bool {
    let mut rest = after;
    while let Some(next) = NEUTRAL.iter().find_map(|it| rest.strip_prefix(it)) {
        rest = next;
    }
    if DECISIONS.iter().any(|it| rest.starts_with(it)) {
        return true;
    }
    let owner = before.trim_end_matches(is_word).trim_end_matches('&');
    owner.ends_with("==") || owner.ends_with("!=")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(code: &str) -> usize {
        check("crates/docjobs/src/a.rs", &format!("//! A.\n{code}\n")).len()
    }

    #[test]
    fn a_decision_by_words_is_found() {
        for code in [
            "let id = job.input.strip_prefix(\"deck \");",
            "if row.error.as_deref() == Some(\"printed\") {}",
            "if wanted == row.input {}",
            "if wanted != &event.text {}",
            "event\n    .text\n    .as_deref()\n    .is_some_and(|text| text == PRINTED)",
            "it.text.as_deref()?.starts_with(\"verified, \")",
            "job.input.parse::<u8>()",
        ] {
            assert_eq!(found(code), 1, "{code}");
        }
    }

    #[test]
    fn showing_words_is_no_decision() {
        for code in [
            "say(&row.input);",
            "let reason = job.error.unwrap_or_default();",
            "job.input_path == path",
            "job.error_data == other",
            "input.text == other",
            "lost.error.kind() == kind",
            "format!(\"{}\", event.text)",
            "// job.input == remark",
            "#[cfg(test)]\nfn test() { job.input == other }",
        ] {
            assert_eq!(found(code), 0, "{code}");
        }
        let elsewhere = check("crates/textin/src/a.rs", "job.input == other");
        assert_eq!(elsewhere, []);
    }
}
