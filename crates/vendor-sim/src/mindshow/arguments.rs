//! The fields of a request: present, of the right type, of a value that exists, or refused by name.

use serde_json::{Map, Value};

use super::answer::Refusal;

/// A request's JSON object.
#[derive(Clone, Debug, Default)]
pub(crate) struct Arguments(pub(crate) Map<String, Value>);

impl Arguments {
    /// `null` counts as absent.
    fn given(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    pub(crate) fn text(&self, name: &str) -> Result<&str, Refusal> {
        match self.given(name) {
            None => Ok(""),
            Some(Value::String(text)) => Ok(text),
            Some(_) => Err(Refusal::parameter(format!("{name} must be a string"))),
        }
    }

    /// Must be there; may be empty.
    pub(crate) fn required(&self, name: &str) -> Result<&str, Refusal> {
        if self.given(name).is_none() {
            return Err(Refusal::parameter(format!("{name} is required")));
        }
        self.text(name)
    }

    /// Must be there and not empty.
    pub(crate) fn filled(&self, name: &str) -> Result<&str, Refusal> {
        let text = self.required(name)?;
        if text.trim().is_empty() {
            return Err(Refusal::parameter(format!("{name} is empty")));
        }
        Ok(text)
    }

    pub(crate) fn number(&self, name: &str, usual: u64) -> Result<u64, Refusal> {
        match self.given(name) {
            None => Ok(usual),
            Some(value) => value.as_u64().ok_or_else(|| {
                Refusal::parameter(format!("{name} must be an integer and not negative"))
            }),
        }
    }

    pub(crate) fn flag(&self, name: &str, usual: bool) -> Result<bool, Refusal> {
        match self.given(name) {
            None => Ok(usual),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(_) => Err(Refusal::parameter(format!("{name} must be a boolean"))),
        }
    }

    pub(crate) fn required_flag(&self, name: &str) -> Result<bool, Refusal> {
        if self.given(name).is_none() {
            return Err(Refusal::parameter(format!("{name} is required")));
        }
        self.flag(name, false)
    }

    /// One of a few words; the first is the usual one.
    pub(crate) fn word<'a>(&'a self, name: &str, words: &[&'a str]) -> Result<&'a str, Refusal> {
        let sent = self.text(name)?;
        match words.iter().find(|word| **word == sent) {
            Some(word) => Ok(word),
            None if self.given(name).is_none() => Ok(words.first().copied().unwrap_or_default()),
            None => Err(Refusal::parameter(format!("{name} cannot be {sent:?}"))),
        }
    }

    pub(crate) fn list(&self, name: &str) -> Result<&[Value], Refusal> {
        match self.given(name) {
            None => Ok(&[]),
            Some(Value::Array(items)) => Ok(items),
            Some(_) => Err(Refusal::parameter(format!("{name} must be a list"))),
        }
    }

    pub(crate) fn texts(&self, name: &str) -> Result<Vec<&str>, Refusal> {
        self.list(name)?
            .iter()
            .map(Value::as_str)
            .collect::<Option<Vec<&str>>>()
            .ok_or_else(|| Refusal::parameter(format!("{name} must be a list of strings")))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn arguments(value: Value) -> Arguments {
        match value {
            Value::Object(fields) => Arguments(fields),
            _ => Arguments::default(),
        }
    }

    #[test]
    fn absent_fields_have_their_usual_values_and_wrong_types_are_refused() {
        let sent =
            arguments(json!({"a": "x", "n": 3, "f": true, "z": null, "l": ["p", "q"], "e": ""}));
        assert_eq!(
            (sent.text("a"), sent.text("z"), sent.text("none")),
            (Ok("x"), Ok(""), Ok(""))
        );
        assert!(sent.text("n").is_err());
        assert!(sent.required("z").is_err());
        assert_eq!(sent.required("e"), Ok(""));
        assert!(sent.filled("e").is_err());
        assert_eq!(
            (sent.number("n", 1), sent.number("none", 1)),
            (Ok(3), Ok(1))
        );
        assert!(sent.number("a", 1).is_err());
        assert_eq!(
            (sent.flag("f", false), sent.flag("none", true)),
            (Ok(true), Ok(true))
        );
        assert!(sent.flag("a", true).is_err());
        assert!(sent.required_flag("none").is_err());
        assert_eq!(sent.texts("l"), Ok(vec!["p", "q"]));
        assert!(sent.texts("a").is_err());
        assert_eq!(
            (sent.word("none", &["u", "v"]), sent.word("a", &["u", "x"])),
            (Ok("u"), Ok("x"))
        );
        assert!(sent.word("a", &["u"]).is_err());
    }
}
