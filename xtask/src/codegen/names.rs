//! From the vendor's spelling to Rust identifiers.

/// `job_id`, `JobId`, `JobID`, `job-id` → `job_id`; a reserved word gets an underscore behind it.
pub(crate) fn field(key: &str) -> String {
    let name = words(key).join("_");
    if RESERVED.contains(&name.as_str()) {
        format!("{name}_")
    } else {
        name
    }
}

/// `in_progress`, `inProgress`, `InProgress` → `InProgress`.
pub(crate) fn pascal(text: &str) -> String {
    words(text)
        .iter()
        .map(|word| {
            let mut chars = word.chars();
            match chars.next() {
                Some(first) => first.to_ascii_uppercase().to_string() + chars.as_str(),
                None => String::new(),
            }
        })
        .collect()
}

/// Whether the text can stand as the name of a type or variant.
pub(crate) fn is_type_name(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_uppercase())
        && text.chars().all(|c| c.is_ascii_alphanumeric())
        && !TAKEN.contains(&text)
}

/// Whether the text can stand as the name of a field.
pub(crate) fn is_field_name(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_lowercase())
        && text
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        && !RESERVED.contains(&text)
}

fn words(text: &str) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    let mut words = Vec::new();
    let mut word = String::new();
    for (index, &c) in chars.iter().enumerate() {
        let before = index.checked_sub(1).and_then(|i| chars.get(i));
        let after = chars.get(index + 1);
        let starts_word = c.is_ascii_uppercase()
            && (before.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
                || before.is_some_and(char::is_ascii_uppercase)
                    && after.is_some_and(char::is_ascii_lowercase));
        if (starts_word || !c.is_ascii_alphanumeric()) && !word.is_empty() {
            words.push(std::mem::take(&mut word));
        }
        if c.is_ascii_alphanumeric() {
            word.push(c.to_ascii_lowercase());
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

const RESERVED: &[&str] = &[
    "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "crate",
    "do", "dyn", "else", "enum", "extern", "false", "final", "fn", "for", "gen", "if", "impl",
    "in", "let", "loop", "macro", "match", "mod", "move", "mut", "override", "priv", "pub", "ref",
    "return", "self", "static", "struct", "super", "trait", "true", "try", "type", "typeof",
    "union", "unsafe", "unsized", "use", "virtual", "where", "while", "yield",
];

/// Names that the generated code itself uses.
const TAKEN: &[&str] = &[
    "Box",
    "Clone",
    "Debug",
    "Default",
    "Err",
    "From",
    "None",
    "Ok",
    "Option",
    "PartialEq",
    "Result",
    "SecretText",
    "Self",
    "Some",
    "String",
    "Vec",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_key_gives_one_field_name() {
        for key in ["job_id", "JobId", "jobId", "JobID", "job-id", "Job Id"] {
            assert_eq!(field(key), "job_id", "{key}");
        }
        assert_eq!(field("type"), "type_");
        assert_eq!(field("PDFUrl"), "pdf_url");
        assert_eq!(field("x_request_id"), "x_request_id");
        assert_eq!(field("sha256Sum"), "sha256_sum");
    }

    #[test]
    fn type_names_are_pascal_case_and_not_taken() {
        assert_eq!(pascal("in_progress"), "InProgress");
        assert_eq!(pascal("ElementMetadata"), "ElementMetadata");
        assert!(is_type_name("Element"));
        for bad in ["", "element", "3D", "Vec", "A-B"] {
            assert!(!is_type_name(bad), "{bad}");
        }
        assert!(is_field_name("type_"));
        for bad in ["", "type", "Type", "3d"] {
            assert!(!is_field_name(bad), "{bad}");
        }
    }
}
