//! Recorded answers against the types that read them: decode, encode, and no key is lost.

use std::fs;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Decodes a fixture's text as one type, and encodes it again.
pub type Encode = fn(&str) -> Result<Value, serde_json::Error>;

/// The [`Encode`] of type `T`.
///
/// # Errors
/// The decoder's or the encoder's.
pub fn encoded<T: DeserializeOwned + Serialize>(text: &str) -> Result<Value, serde_json::Error> {
    serde_json::to_value(serde_json::from_str::<T>(text)?)
}

/// The recorded answers of one vendor: a folder of `.json` files.
///
/// Write them after the vendor's documents, never from the types: else a misspelt field would agree with itself.
#[derive(Debug, Clone, Copy)]
pub struct Fixtures<'a> {
    folder: &'a str,
}

impl<'a> Fixtures<'a> {
    /// Those in `folder`; nothing is read yet.
    pub const fn of(folder: &'a str) -> Self {
        Self { folder }
    }

    /// Decodes the one called `feedback_name`, without its `.json`.
    ///
    /// # Errors
    /// The file's or the decoder's, with the name.
    pub fn decode<T: DeserializeOwned>(&self, name: &str) -> Result<T, String> {
        let text = self.text(&format!("{name}.json"))?;
        serde_json::from_str(&text).map_err(|cause| format!("{name}: {cause}"))
    }

    /// Checks every file against the first of `types` whose prefix its name has, and returns how many there are.
    ///
    /// A null may be lost, and a number that was text may become one.
    ///
    /// # Errors
    /// One line for each key that is lost or changed, each file that nothing or no right type reads, and each prefix
    /// that no file has.
    pub fn lose_no_key(&self, types: &[(&str, Encode)]) -> Result<usize, String> {
        let mut names = self.names()?;
        names.sort();
        let mut problems = Vec::new();
        let mut used = vec![false; types.len()];
        for name in &names {
            let place = types
                .iter()
                .position(|(prefix, _)| name.starts_with(prefix));
            let Some((place, (_, encode))) =
                place.and_then(|place| Some((place, types.get(place)?)))
            else {
                problems.push(format!("{name}: nothing decodes it"));
                continue;
            };
            if let Some(used) = used.get_mut(place) {
                *used = true;
            }
            let text = self.text(name)?;
            match (serde_json::from_str(&text), encode(&text)) {
                (Ok(before), Ok(after)) => lost(&before, &after, name, &mut problems),
                (Err(cause), _) | (_, Err(cause)) => problems.push(format!("{name}: {cause}")),
            }
        }
        for ((prefix, _), used) in types.iter().zip(used) {
            if !used {
                problems.push(format!("{prefix}: no fixture is called so"));
            }
        }
        if problems.is_empty() {
            Ok(names.len())
        } else {
            Err(problems.join("\n"))
        }
    }

    fn names(&self) -> Result<Vec<String>, String> {
        let error = |cause| format!("{}: {cause}", self.folder);
        let mut names = Vec::new();
        for entry in fs::read_dir(self.folder).map_err(error)? {
            let name = entry.map_err(error)?.file_name();
            names.extend(
                name.to_str()
                    .filter(|name| name.ends_with(".json"))
                    .map(str::to_owned),
            );
        }
        Ok(names)
    }

    fn text(&self, name: &str) -> Result<String, String> {
        let path = Path::new(self.folder).join(name);
        fs::read_to_string(path).map_err(|cause| format!("{name}: {cause}"))
    }
}

/// What `after` no longer says of `before`.
fn lost(before: &Value, after: &Value, at: &str, into: &mut Vec<String>) {
    match (before, after) {
        (Value::Object(before), Value::Object(after)) => {
            for (key, value) in before {
                let at = format!("{at}/{key}");
                match after.get(key) {
                    Some(kept) => lost(value, kept, &at, into),
                    None if value.is_null() => {}
                    None => into.push(format!("{at} is lost")),
                }
            }
        }
        (Value::Array(before), Value::Array(after)) if before.len() == after.len() => {
            for (index, (before, after)) in before.iter().zip(after).enumerate() {
                lost(before, after, &format!("{at}/{index}"), into);
            }
        }
        (Value::Number(before), Value::Number(after)) if before.as_f64() == after.as_f64() => {}
        (Value::String(text), Value::Number(number)) if text.parse().ok() == number.as_f64() => {}
        _ if before == after => {}
        _ => into.push(format!("{at}: {before} became {after}")),
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    #[derive(Serialize, Deserialize)]
    struct Narrow {
        a: Value,
    }

    fn checked(files: &[(&str, &str)], types: &[(&str, Encode)]) -> Result<usize, String> {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(folder.path().join(name), text).unwrap();
        }
        Fixtures::of(folder.path().to_str().unwrap()).lose_no_key(types)
    }

    #[test]
    fn a_lost_key_and_a_changed_value_are_noticed() {
        let mut losses = Vec::new();
        let before = json!({"a": 1, "b": {"c": [1, "2", 3.0]}, "d": null, "e": "x", "f": [1]});
        let after = json!({"b": {"c": [1, 2, 3]}, "e": "y", "f": []});
        lost(&before, &after, "", &mut losses);
        assert_eq!(
            losses,
            ["/a is lost", "/e: \"x\" became \"y\"", "/f: [1] became []"]
        );
    }

    #[test]
    fn every_file_has_a_type_and_every_type_a_file() {
        let types: &[(&str, Encode)] = &[("job_", encoded::<Narrow>), ("list_", encoded::<Value>)];
        let job = ("job_1.json", r#"{"a":1}"#);
        let list = ("list_1.json", "[]");
        assert_eq!(checked(&[job, list, ("notes.md", "")], types), Ok(2));
        for (files, problem) in [
            (vec![job], "list_: no fixture is called so"),
            (
                vec![job, list, ("other.json", "{}")],
                "other.json: nothing decodes it",
            ),
            (
                vec![("job_1.json", r#"{"a":1,"b":2}"#), list],
                "job_1.json/b is lost",
            ),
        ] {
            assert_eq!(checked(&files, types), Err(problem.to_owned()));
        }
        let broken = checked(&[("job_1.json", "{}"), list], types).unwrap_err();
        assert!(broken.starts_with("job_1.json: missing field"), "{broken}");
    }
}
