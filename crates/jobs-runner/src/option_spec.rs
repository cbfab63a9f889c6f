//! The documented options of a vendor's request, as data: what they are called, and where they belong in its JSON.

use serde_json::{Map, Value, json};

use crate::job_input::InputError;

/// One option of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OptionSpec {
    /// The vendor's name; the last key of [`path`](Self::path) unless that is taken.
    pub name: &'static str,
    /// Where it belongs in the vendor's JSON.
    pub path: &'static [&'static str],
    /// What it does, in one sentence or a few.
    pub help: &'static str,
    /// What it takes.
    pub kind: OptionKind,
}

/// What an option takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum OptionKind {
    /// True or false.
    Switch,
    /// A whole number.
    Integer,
    /// Any text.
    Text,
    /// One of these words.
    Word(&'static [&'static str]),
    /// Several texts.
    TextList,
    /// JSON as the vendor documents it.
    Json,
}

impl OptionSpec {
    /// Whether the option takes this value; null is nothing set.
    ///
    /// # Errors
    /// [`InputError`] that names the option and what it takes.
    pub fn check(&self, value: &Value) -> Result<(), InputError> {
        let is_text_list = |value: &Value| {
            let entries = value.as_array();
            entries.is_some_and(|entries| entries.iter().all(Value::is_string))
        };
        let (fits, takes) = match self.kind {
            OptionKind::Switch => (value.is_boolean(), "true or false".to_owned()),
            OptionKind::Integer => (value.is_i64(), "a whole number".to_owned()),
            OptionKind::Text => (value.is_string(), "a text".to_owned()),
            OptionKind::Word(words) => {
                let fits = value.as_str().is_some_and(|word| words.contains(&word));
                (fits, format!("one of {}", words.join(", ")))
            }
            OptionKind::TextList => (is_text_list(value), "a list of texts".to_owned()),
            OptionKind::Json => (true, String::new()),
        };
        if fits || value.is_null() {
            return Ok(());
        }
        let name = self.name;
        Err(InputError::invalid(format!(
            "{name} takes {takes}, not {value}"
        )))
    }
}

/// The options of `given` that `specs` know and that are set, checked. Others are left to the caller.
///
/// # Errors
/// [`InputError`] for a value that its option does not take.
pub fn known_options(
    specs: &[OptionSpec],
    given: &Value,
) -> Result<Map<String, Value>, InputError> {
    let mut known = Map::new();
    for spec in specs {
        let Some(value) = given.get(spec.name).filter(|value| !value.is_null()) else {
            continue;
        };
        spec.check(value)?;
        known.insert(spec.name.to_owned(), value.clone());
    }
    Ok(known)
}

/// The vendor's JSON with these options where they belong.
pub fn vendor_json(specs: &[OptionSpec], options: &Map<String, Value>) -> Value {
    let mut nested = json!({});
    for spec in specs {
        let Some(value) = options.get(spec.name) else {
            continue;
        };
        let mut place = &mut nested;
        for key in spec.path {
            if !place.is_object() {
                *place = json!({});
            }
            place = &mut place[*key];
        }
        *place = value.clone();
    }
    nested
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPECS: &[OptionSpec] = &[
        OptionSpec {
            name: "view",
            path: &["how", "view"],
            help: "How.",
            kind: OptionKind::Word(&["html", "markdown"]),
        },
        OptionSpec {
            name: "level",
            path: &["how", "deep", "level"],
            help: "How deep.",
            kind: OptionKind::Integer,
        },
        OptionSpec {
            name: "ids",
            path: &["ids"],
            help: "Which.",
            kind: OptionKind::TextList,
        },
    ];

    #[test]
    fn options_are_put_where_the_vendor_has_them_and_nothing_else_is() {
        let given = json!({ "view": "html", "level": 2, "other": 1, "ids": null });
        let known = known_options(SPECS, &given).unwrap();
        assert_eq!(
            Value::from(known.clone()),
            json!({ "view": "html", "level": 2 })
        );
        assert_eq!(
            vendor_json(SPECS, &known),
            json!({ "how": { "view": "html", "deep": { "level": 2 } } })
        );
    }

    #[test]
    fn a_value_that_does_not_fit_is_named_with_what_would() {
        for (given, says) in [
            (
                json!({ "view": "pdf" }),
                "view takes one of html, markdown, not \"pdf\"",
            ),
            (json!({ "level": "2" }), "level takes a whole number"),
            (json!({ "ids": ["a", 1] }), "ids takes a list of texts"),
        ] {
            let error = known_options(SPECS, &given).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }
}
