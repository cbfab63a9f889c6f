//! Reads fields out of JSON that may be missing or of the neighbouring type.
//!
//! The cloud was seen to accept numbers as text, and sends items with most fields left out; a field
//! of a foreign type counts as absent, so that one odd field never costs a whole list.

use serde_json::{Map, Value};

pub(crate) type Object = Map<String, Value>;

/// Text that is there and not empty.
pub(crate) fn text(object: &Object, key: &str) -> Option<String> {
    match object.get(key) {
        Some(Value::String(text)) if !text.is_empty() => Some(text.clone()),
        _ => None,
    }
}

/// An id, also one that is written as a whole number.
pub(crate) fn id(object: &Object, key: &str) -> Option<String> {
    match object.get(key) {
        // Others have lost digits.
        Some(Value::Number(number)) if number.is_i64() || number.is_u64() => {
            Some(number.to_string())
        }
        _ => text(object, key),
    }
}

/// A signed number, also when written as text.
pub(crate) fn signed(object: &Object, key: &str) -> Option<i64> {
    match object.get(key)? {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// A number that cannot be negative, also when written as text.
pub(crate) fn unsigned(object: &Object, key: &str) -> Option<u64> {
    match object.get(key)? {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// A switch written as 0/1, as text, or as a boolean.
pub(crate) fn flag(object: &Object, key: &str) -> Option<bool> {
    match object.get(key)? {
        Value::Bool(flag) => Some(*flag),
        _ => signed(object, key).map(|number| number != 0),
    }
}

/// The elements of a list; none when it is absent or no list.
pub(crate) fn list<'a>(object: &'a Object, key: &str) -> &'a [Value] {
    match object.get(key) {
        Some(Value::Array(items)) => items,
        _ => &[],
    }
}

/// A list of texts; empty texts and elements of another type are left out.
pub(crate) fn texts(object: &Object, key: &str) -> Vec<String> {
    list(object, key)
        .iter()
        .filter_map(Value::as_str)
        .filter(|text| !text.is_empty())
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(value: Value) -> Object {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn numbers_are_read_from_text() {
        let it =
            object(json!({"a": "-12", "b": " 7 ", "c": 9, "d": "x", "e": null, "f": 1.5, "g": -1}));
        assert_eq!(signed(&it, "a"), Some(-12));
        assert_eq!(unsigned(&it, "b"), Some(7));
        assert_eq!(unsigned(&it, "c"), Some(9));
        for key in ["d", "e", "f", "missing"] {
            assert_eq!(signed(&it, key), None, "{key}");
            assert_eq!(unsigned(&it, key), None, "{key}");
        }
        assert_eq!(unsigned(&it, "g"), None);
    }

    #[test]
    fn foreign_types_count_as_absent() {
        let it = object(json!({"t": 5, "l": {"a": 1}, "m": ["a", 1, "", null, "b"]}));
        assert_eq!(text(&it, "t"), None);
        assert!(list(&it, "l").is_empty());
        assert_eq!(texts(&it, "m"), ["a", "b"]);
    }

    #[test]
    fn ids_are_opaque_and_may_be_numbers() {
        let it = object(json!({"a": "12", "b": 12345, "c": u64::MAX, "d": 1.5, "e": "", "f": {}}));
        assert_eq!(id(&it, "a").as_deref(), Some("12"));
        assert_eq!(id(&it, "b").as_deref(), Some("12345"));
        assert_eq!(id(&it, "c").as_deref(), Some("18446744073709551615"));
        for key in ["d", "e", "f", "missing"] {
            assert_eq!(id(&it, key), None, "{key}");
        }
    }

    #[test]
    fn flags_come_in_three_spellings() {
        let it = object(json!({"a": 1, "b": "1", "c": true, "d": 0, "e": "yes"}));
        assert_eq!(flag(&it, "a"), Some(true));
        assert_eq!(flag(&it, "b"), Some(true));
        assert_eq!(flag(&it, "c"), Some(true));
        assert_eq!(flag(&it, "d"), Some(false));
        assert_eq!(flag(&it, "e"), None);
    }
}
