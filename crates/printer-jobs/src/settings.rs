//! A job's print settings: raw pairs, and readings of the usual ones.
//!
//! Keys and values are free text that the provider chooses per model, so every reading goes through a
//! [`SettingAliases`] that can be extended, and unknown keys are never an error.

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

/// Keys and values to recognise. The default holds those met in public material, and their usual other spellings.
///
/// Texts are compared without regard to width, case, blanks and punctuation, in simplified and traditional characters:
/// `Ａ４`, `a4` and `A4` are one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingAliases {
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

impl Default for SettingAliases {
    fn default() -> Self {
        let texts = |keys: &[&str]| keys.iter().map(|&key| key.to_owned()).collect();
        Self {
            paper_keys: texts(PAPER_KEYS),
            sides_keys: texts(SIDES_KEYS),
            sides_values: [
                meaning(SINGLE, Sides::Single),
                meaning(LONG_EDGE, Sides::LongEdge),
                meaning(SHORT_EDGE, Sides::ShortEdge),
            ]
            .concat(),
            color_keys: texts(COLOR_KEYS),
            color_values: [
                meaning(MONOCHROME, Color::Monochrome),
                meaning(COLORED, Color::Color),
            ]
            .concat(),
            copies_keys: texts(COPIES_KEYS),
        }
    }
}

fn meaning<T: Copy>(values: &[&str], meaning: T) -> Vec<(String, T)> {
    values
        .iter()
        .map(|&value| (value.to_owned(), meaning))
        .collect()
}

const PAPER_KEYS: &[&str] = &[
    "纸张大小",
    "纸型",
    "纸张",
    "纸张尺寸",
    "纸张规格",
    "纸张幅面",
    "打印纸张",
    "打印纸",
    "纸",
    "幅面",
    "paper",
    "paper size",
    "page size",
    "media",
    "media size",
];
/// 模式 was seen with values of the sides; it may as well be said of the colour.
const SIDES_KEYS: &[&str] = &[
    "单双面",
    "模式",
    "双面打印",
    "双面",
    "单双面打印",
    "打印单双面",
    "双面模式",
    "双面设置",
    "是否双面",
    "是否双面打印",
    "自动双面",
    "自动双面打印",
    "双面印刷",
    "单面打印",
    "单面",
    "打印面",
    "打印方式",
    "打印模式",
    "sides",
    "duplex",
    "duplex mode",
    "two sided",
    "double sided",
];
const COLOR_KEYS: &[&str] = &[
    "颜色",
    "色彩",
    "彩色",
    "彩色打印",
    "打印颜色",
    "打印色彩",
    "颜色模式",
    "色彩模式",
    "颜色设置",
    "彩色黑白",
    "黑白彩色",
    "彩打",
    "是否彩色",
    "是否彩色打印",
    "是否彩打",
    "黑白打印",
    "黑白",
    "模式",
    "打印方式",
    "打印模式",
    "color",
    "colour",
    "color mode",
    "print color mode",
];
const COPIES_KEYS: &[&str] = &[
    "份数",
    "打印份数",
    "复印份数",
    "拷贝份数",
    "文件份数",
    "打印数量",
    "copies",
    "copy",
    "copy count",
    "number of copies",
    "num copies",
];
const SINGLE: &[&str] = &[
    "单面",
    "单面打印",
    "单页",
    "一面",
    "非双面",
    "不双面",
    "single",
    "single sided",
    "one sided",
    "1 sided",
    "simplex",
    "none",
];
/// Turned at the long edge where nothing else is said, as a book is.
const LONG_EDGE: &[&str] = &[
    "长边双面",
    "双面长边",
    "长边",
    "长边翻转",
    "长边翻页",
    "长边装订",
    "双面",
    "双面打印",
    "两面",
    "正反面",
    "duplex",
    "double sided",
    "two sided",
    "2 sided",
    "long edge",
    "two sided long edge",
    "duplex long edge",
];
const SHORT_EDGE: &[&str] = &[
    "短边双面",
    "双面短边",
    "短边",
    "短边翻转",
    "短边翻页",
    "短边装订",
    "short edge",
    "two sided short edge",
    "duplex short edge",
    "tumble",
];
const MONOCHROME: &[&str] = &[
    "黑白",
    "黑白打印",
    "单色",
    "灰度",
    "灰阶",
    "黑",
    "黑色",
    "非彩色",
    "mono",
    "monochrome",
    "gray",
    "grey",
    "grayscale",
    "greyscale",
    "black",
    "bw",
    "black and white",
];
const COLORED: &[&str] = &[
    "彩色",
    "彩色打印",
    "彩打",
    "全彩",
    "彩",
    "color",
    "colour",
    "full color",
    "rgb",
];

/// What the usual settings ask for, each with the place of the pair that says so.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Choices {
    /// The paper size, such as `A4`.
    pub paper: Option<Choice<String>>,
    /// The sides.
    pub sides: Option<Choice<Sides>>,
    /// The colour.
    pub color: Option<Choice<Color>>,
    /// The number of copies, 1 to 999.
    pub copies: Option<Choice<u32>>,
}

/// A setting that was understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Choice<T> {
    /// What it asks for.
    pub value: T,
    /// Which of the [pairs](Settings::pairs) says so.
    pub pair: usize,
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
                    values: values(item.get("value")),
                })
            })
            .collect();
        Self { pairs }
    }

    /// All pairs as they came.
    pub fn pairs(&self) -> &[Setting] {
        &self.pairs
    }

    /// Reads the usual settings: of several keys for one thing, the first in the vocabulary whose value is understood.
    pub fn choices(&self, vocabulary: &SettingAliases) -> Choices {
        Choices {
            paper: self.find(&vocabulary.paper_keys, |_, value| paper(value)),
            sides: self.find(&vocabulary.sides_keys, |key, value| {
                look_up(value, &vocabulary.sides_values)
                    .or_else(|| described(value, DESCRIBED_SIDES))
                    .or_else(|| match switch(value)? {
                        on if on == is_only(key, "单面", '双') => Some(Sides::Single),
                        _ => Some(Sides::LongEdge),
                    })
            }),
            color: self.find(&vocabulary.color_keys, |key, value| {
                look_up(value, &vocabulary.color_values)
                    .or_else(|| described(value, DESCRIBED_COLORS))
                    .or_else(|| match switch(value)? {
                        on if on == is_only(key, "黑白", '彩') => Some(Color::Monochrome),
                        _ => Some(Color::Color),
                    })
            }),
            copies: self.find(&vocabulary.copies_keys, |_, value| copies(value)),
        }
    }

    /// The paper size.
    pub fn paper(&self, vocabulary: &SettingAliases) -> Option<String> {
        self.choices(vocabulary).paper.map(|it| it.value)
    }

    /// The sides; `None` when not said or not understood.
    pub fn sides(&self, vocabulary: &SettingAliases) -> Option<Sides> {
        self.choices(vocabulary).sides.map(|it| it.value)
    }

    /// The colour; `None` when not said or not understood.
    pub fn color(&self, vocabulary: &SettingAliases) -> Option<Color> {
        self.choices(vocabulary).color.map(|it| it.value)
    }

    /// The number of copies; `None` when not said or no number from 1 to 999.
    pub fn copies(&self, vocabulary: &SettingAliases) -> Option<u32> {
        self.choices(vocabulary).copies.map(|it| it.value)
    }

    /// The first pair with one of these keys, in their order, that can be read; of several values the first that can.
    fn find<T>(
        &self,
        keys: &[String],
        read: impl Fn(&str, &str) -> Option<T>,
    ) -> Option<Choice<T>> {
        keys.iter().map(|key| fold(key)).find_map(|key| {
            let pairs = self.pairs.iter().enumerate();
            let mut pairs = pairs.filter(|(_, setting)| fold(&setting.key) == key);
            pairs.find_map(|(pair, setting)| {
                let value = setting.values.iter().find_map(|value| read(&key, value))?;
                Some(Choice { value, pair })
            })
        })
    }
}

/// The values of a setting: documented as a list of texts, and read from one text, a number or a switch too.
fn values(value: Option<&Value>) -> Vec<String> {
    let text = |value: &Value| match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        _ => None,
    };
    match value {
        Some(Value::Array(list)) => list.iter().filter_map(text).collect(),
        Some(single) => text(single).into_iter().collect(),
        None => Vec::new(),
    }
}

fn look_up<T: Copy>(value: &str, table: &[(String, T)]) -> Option<T> {
    let value = fold(value);
    let (_, meaning) = table.iter().find(|(known, _)| fold(known) == value)?;
    Some(*meaning)
}

/// What a longer description comes down to, such as 双面（短边翻转）; nothing when it denies something.
fn described<T: Copy>(value: &str, words: &[(&str, T)]) -> Option<T> {
    let value = fold(value);
    let (_, meaning) = words.iter().find(|(word, _)| value.contains(word))?;
    (!value.contains(['不', '非', '无', '否', '禁'])).then_some(*meaning)
}

const DESCRIBED_SIDES: &[(&str, Sides)] = &[
    ("短边", Sides::ShortEdge),
    ("长边", Sides::LongEdge),
    ("双面", Sides::LongEdge),
    ("单面", Sides::Single),
];
const DESCRIBED_COLORS: &[(&str, Color)] = &[
    ("黑白", Color::Monochrome),
    ("灰度", Color::Monochrome),
    ("彩色", Color::Color),
];

/// Whether a switch is about this word and not about its opposite.
fn is_only(key: &str, word: &str, opposite: char) -> bool {
    key.contains(word) && !key.contains(opposite)
}

/// The answer to a yes-or-no setting such as 双面打印.
fn switch(value: &str) -> Option<bool> {
    match fold(value).as_str() {
        "是" | "开" | "开启" | "打开" | "启用" | "有" | "yes" | "true" | "on" | "1" | "y" => {
            Some(true)
        }
        "否" | "不" | "不是" | "关" | "关闭" | "禁用" | "无" | "no" | "false" | "off" | "0"
        | "n" => Some(false),
        _ => None,
    }
}

/// The name of a paper size without its decoration: `Ａ４纸` is `A4`.
fn paper(value: &str) -> Option<String> {
    let narrow: String = value.chars().map(narrow).collect();
    let name = narrow.trim();
    let name = name.strip_suffix(['纸', '紙']).unwrap_or(name).trim_end();
    // ISO names are letters, and written small by some.
    let iso = matches!(name.as_bytes(), [b'a' | b'b' | b'c', digit, rest @ ..]
        if digit.is_ascii_digit() && rest.iter().all(u8::is_ascii_digit));
    match name {
        "" => None,
        _ if iso => Some(name.to_ascii_uppercase()),
        _ => Some(name.to_owned()),
    }
}

/// More copies than any one job means, and none at all, are slips.
fn copies(value: &str) -> Option<u32> {
    let value: String = value.chars().map(narrow).collect();
    let value = value.trim();
    let digits = value.strip_suffix('份').unwrap_or(value).trim_end();
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits
        .parse()
        .ok()
        .filter(|copies| (1..=999).contains(copies))
}

/// A text as it is compared.
fn fold(text: &str) -> String {
    let text: String = text
        .chars()
        .map(narrow)
        .filter(|it| !it.is_whitespace() && !it.is_control() && !is_mark(*it))
        .flat_map(char::to_lowercase)
        .map(simplified)
        .collect();
    text.replace("列印", "打印")
}

/// The half-width form of a full-width character.
fn narrow(character: char) -> char {
    match character {
        '\u{3000}' => ' ',
        '\u{ff01}'..='\u{ff5e}' => {
            char::from_u32(u32::from(character) - 0xfee0).unwrap_or(character)
        }
        other => other,
    }
}

fn is_mark(character: char) -> bool {
    matches!(
        character,
        '-' | '_' | ':' | '(' | ')' | '/' | '·' | '、' | '—' | '–'
    )
}

/// The simplified form of the traditional characters that print settings are written with.
fn simplified(character: char) -> char {
    match character {
        '紙' => '纸',
        '張' => '张',
        '雙' => '双',
        '單' => '单',
        '兩' => '两',
        '數' => '数',
        '顏' => '颜',
        '長' => '长',
        '邊' => '边',
        '頁' => '页',
        '複' | '復' => '复',
        '貝' => '贝',
        '規' => '规',
        '設' => '设',
        '開' => '开',
        '關' => '关',
        '無' => '无',
        '轉' => '转',
        '裝' => '装',
        '訂' => '订',
        '階' => '阶',
        other => other,
    }
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
        let words = SettingAliases::default();
        for (paper, sides) in [("纸张大小", "单双面"), ("纸型", "模式")] {
            let it = settings(json!([
                {"key": paper, "value": ["A4"]},
                {"key": sides, "value": ["短边双面"]},
                {"key": "颜色", "value": ["彩色"]},
                {"key": "份数", "value": ["3"]},
            ]));
            assert_eq!(it.paper(&words).as_deref(), Some("A4"));
            assert_eq!(it.sides(&words), Some(Sides::ShortEdge));
            assert_eq!(it.color(&words), Some(Color::Color));
            assert_eq!(it.copies(&words), Some(3));
        }
    }

    #[test]
    fn unknown_settings_are_kept_and_disturb_nothing() {
        let words = SettingAliases::default();
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
        let mut words = SettingAliases::default();
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

    #[test]
    fn the_usual_spellings_are_understood() {
        let words = SettingAliases::default();
        let (long, short) = (Some(Sides::LongEdge), Some(Sides::ShortEdge));
        let single = Some(Sides::Single);
        for (key, value, sides) in [
            ("双面打印", "是", long),
            ("双面打印", "否", single),
            ("双面打印", "双面", long),
            ("双面", "开启", long),
            ("单面打印", "是", single),
            ("单面打印", "否", long),
            ("单双面", "双面（短边翻转）", short),
            ("单双面", "自动双面打印", long),
            ("单双面", "不要双面", None),
            ("单双面", "双面（短边）", short),
            ("单双面", " 长边 双面 ", long),
            ("單雙面", "長邊雙面", long),
            ("Duplex", "ON", long),
            ("sides", "two-sided-short-edge", short),
            ("sides", "one_sided", single),
            ("打印模式", "单面", single),
            ("打印模式", "黑白", None),
        ] {
            let it = settings(json!([{"key": key, "value": [value]}]));
            assert_eq!(it.sides(&words), sides, "{key}={value}");
        }
        let (mono, colored) = (Some(Color::Monochrome), Some(Color::Color));
        for (key, value, color) in [
            ("色彩", "彩色", colored),
            ("色彩", "黑白", mono),
            ("彩色打印", "否", mono),
            ("彩色打印", "是", colored),
            ("黑白打印", "是", mono),
            ("黑白打印", "否", colored),
            ("打印颜色", "灰度", mono),
            ("打印模式", "黑白", mono),
            ("Color Mode", "Monochrome", mono),
            ("颜色", "蓝", None),
        ] {
            let it = settings(json!([{"key": key, "value": [value]}]));
            assert_eq!(it.color(&words), color, "{key}={value}");
        }
        for (key, value, paper) in [
            ("纸张", "A3", "A3"),
            ("纸张", "Ａ３", "A3"),
            ("纸张", " a4 纸 ", "A4"),
            ("紙張大小", "B5", "B5"),
            ("Paper-Size", "Letter", "Letter"),
            ("纸张尺寸", "照片 6寸", "照片 6寸"),
        ] {
            let it = settings(json!([{"key": key, "value": [value]}]));
            assert_eq!(it.paper(&words).as_deref(), Some(paper), "{key}={value}");
        }
    }

    #[test]
    fn copies_are_a_number_that_somebody_can_mean() {
        let words = SettingAliases::default();
        for (value, copies) in [
            (json!(["1"]), Some(1)),
            (json!(["２"]), Some(2)),
            (json!(["１２"]), Some(12)),
            (json!([" 3份 "]), Some(3)),
            (json!(["003"]), Some(3)),
            (json!(3), Some(3)),
            (json!([4]), Some(4)),
            (json!(["999"]), Some(999)),
            (json!(["1000"]), None),
            (json!(["0"]), None),
            (json!(["０"]), None),
            (json!(["-1"]), None),
            (json!(["+1"]), None),
            (json!(["1.5"]), None),
            (json!(["99999999999"]), None),
            (json!(["3; rm -rf /"]), None),
            (json!(["份"]), None),
            (json!([]), None),
        ] {
            let it = settings(json!([{"key": "打印份数", "value": value}]));
            assert_eq!(it.copies(&words), copies, "{value}");
        }
    }

    #[test]
    fn a_choice_names_the_pair_that_was_understood() {
        let words = SettingAliases::default();
        let it = settings(json!([
            {"key": "缩放", "value": ["适应页面"]},
            {"key": "份数", "value": ["many"]},
            {"key": "打印份数", "value": ["2"]},
        ]));
        let copies = it.choices(&words).copies.unwrap();
        assert_eq!((copies.value, copies.pair), (2, 2));
        assert_eq!(it.choices(&words).sides, None);
    }
}
