//! A job's print settings: raw pairs, and readings of the usual ones.
//!
//! Keys and values are free text that the provider chooses per model, so every reading goes through a
//! [`Vocabulary`] that can be extended, and unknown keys are never an error.

use serde_json::Value;

use crate::lenient;

/// The settings of one job, in the cloud's order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    pairs: Vec<Setting>,
}

/// One setting; several values are a multiple choice.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Setting {
    /// Its name.
    pub key: String,
    /// What the member chose.
    pub values: Vec<String>,
}

/// Which sides of the paper to print on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Sides {
    /// One side.
    Single,
    /// Both, turned at the long edge.
    LongEdge,
    /// Both, turned at the short edge.
    ShortEdge,
}

/// Whether to print in colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Color {
    /// Black and white.
    Monochrome,
    /// In colour.
    Color,
}

/// Keys and values to recognise. The default holds those met in public material.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vocabulary {
    /// Keys of the paper size.
    pub paper_keys: Vec<String>,
    /// Keys of the sides.
    pub sides_keys: Vec<String>,
    /// Values of the sides.
    pub sides_values: Vec<(String, Sides)>,
    /// Keys of the colour.
    pub color_keys: Vec<String>,
    /// Values of the colour.
    pub color_values: Vec<(String, Color)>,
    /// Keys of the number of copies.
    pub copies_keys: Vec<String>,
}

impl Default for Vocabulary {
    fn default() -> Self {
        let texts = |keys: &[&str]| keys.iter().map(|&key| key.to_owned()).collect();
        Self {
            paper_keys: texts(&["纸张大小", "纸型"]),
            sides_keys: texts(&["单双面", "模式"]),
            sides_values: vec![
                ("单面".to_owned(), Sides::Single),
                ("长边双面".to_owned(), Sides::LongEdge),
                ("短边双面".to_owned(), Sides::ShortEdge),
            ],
            color_keys: texts(&["颜色"]),
            color_values: vec![
                ("黑白".to_owned(), Color::Monochrome),
                ("彩色".to_owned(), Color::Color),
            ],
            copies_keys: texts(&["份数"]),
        }
    }
}

impl Settings {
    /// Reads `setting_list`; elements without a key are left out.
    pub(crate) fn from_list(list: &[Value]) -> Self {
        let pairs = list
            .iter()
            .filter_map(Value::as_object)
            .filter_map(|item| {
                Some(Setting {
                    key: lenient::text(item, "key")?,
                    values: match lenient::text(item, "value") {
                        Some(single) => vec![single],
                        None => lenient::texts(item, "value"),
                    },
                })
            })
            .collect();
        Self { pairs }
    }

    /// All pairs as they came.
    pub fn pairs(&self) -> &[Setting] {
        &self.pairs
    }

    /// The first value of the first of these keys that is there with a value.
    pub fn first(&self, keys: &[String]) -> Option<&str> {
        keys.iter().find_map(|key| {
            let setting = self.pairs.iter().find(|setting| setting.key == *key)?;
            setting.values.first().map(String::as_str)
        })
    }

    /// The paper size, as the cloud writes it.
    pub fn paper(&self, vocabulary: &Vocabulary) -> Option<&str> {
        self.first(&vocabulary.paper_keys)
    }

    /// The sides; `None` when not said or not understood.
    pub fn sides(&self, vocabulary: &Vocabulary) -> Option<Sides> {
        look_up(
            self.first(&vocabulary.sides_keys)?,
            &vocabulary.sides_values,
        )
    }

    /// The colour; `None` when not said or not understood.
    pub fn color(&self, vocabulary: &Vocabulary) -> Option<Color> {
        look_up(
            self.first(&vocabulary.color_keys)?,
            &vocabulary.color_values,
        )
    }

    /// The number of copies; `None` when not said, not a number, or zero.
    pub fn copies(&self, vocabulary: &Vocabulary) -> Option<u32> {
        let copies = self.first(&vocabulary.copies_keys)?.trim().parse().ok()?;
        (copies > 0).then_some(copies)
    }
}

fn look_up<T: Copy>(value: &str, table: &[(String, T)]) -> Option<T> {
    let (_, meaning) = table.iter().find(|(known, _)| known == value)?;
    Some(*meaning)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn settings(list: Value) -> Settings {
        Settings::from_list(list.as_array().unwrap())
    }

    #[test]
    fn both_known_names_of_a_setting_are_read() {
        let words = Vocabulary::default();
        for (paper, sides) in [("纸张大小", "单双面"), ("纸型", "模式")] {
            let it = settings(json!([
                {"key": paper, "value": ["A4"]},
                {"key": sides, "value": ["短边双面"]},
                {"key": "颜色", "value": ["彩色"]},
                {"key": "份数", "value": ["3"]},
            ]));
            assert_eq!(it.paper(&words), Some("A4"));
            assert_eq!(it.sides(&words), Some(Sides::ShortEdge));
            assert_eq!(it.color(&words), Some(Color::Color));
            assert_eq!(it.copies(&words), Some(3));
        }
    }

    #[test]
    fn unknown_settings_are_kept_and_disturb_nothing() {
        let words = Vocabulary::default();
        let it = settings(json!([
            {"key": "Print", "value": ["Print"]},
            {"key": "装订", "value": ["左", "上"]},
            {"key": "单双面", "value": ["骑马钉"]},
            {"key": "份数", "value": ["many"]},
            {"key": "颜色", "value": []},
            {"value": ["no key"]},
            7,
        ]));
        assert_eq!(it.pairs().len(), 5);
        assert_eq!(it.pairs()[1].values, ["左", "上"]);
        assert_eq!(it.paper(&words), None);
        assert_eq!(it.sides(&words), None);
        assert_eq!(it.color(&words), None);
        assert_eq!(it.copies(&words), None);
    }

    #[test]
    fn vocabulary_can_be_extended() {
        let mut words = Vocabulary::default();
        words.copies_keys.push("Copies".to_owned());
        words
            .sides_values
            .push(("双面".to_owned(), Sides::LongEdge));
        let it = settings(json!([
            {"key": "Copies", "value": "2"},
            {"key": "单双面", "value": ["双面"]},
        ]));
        assert_eq!(it.copies(&words), Some(2));
        assert_eq!(it.sides(&words), Some(Sides::LongEdge));
    }
}
