//! Reads JSON as it comes: an odd text beside it must not hide a job's id, its state or its end.
//!
//! A first pass writes what came anew as JSON that every decoder takes; what cannot be understood is left out. It holds one
//! text of the size of the answer and no tree, however many values there are.

use std::borrow::Cow;

use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

/// An answer's JSON, read leniently.
///
/// A byte order mark, UTF-16, UTF-32, bytes that are no UTF-8, halves of surrogates, control characters, `NaN`, numbers of any
/// spelling, commas too many, and an end that comes too early hide nothing but themselves. A text or number that is cut by
/// that end counts as absent: half an id is none. Where a key is repeated, the last one with a value wins.
///
/// ```
/// use jobs_core::http::LenientJson;
///
/// let json = LenientJson::read(b"{\"cost\":NaN,\"data\":{\"id\":1,\"id\":42,\"text\":\"bad \\ud835 glyph\",\"x\":\"y");
/// let data = json.get("data");
/// assert_eq!(data.get("id").text().as_deref(), Some("42"));
/// assert_eq!(data.get("text").text().as_deref(), Some("bad \u{fffd} glyph"));
/// assert!(!json.is_whole());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LenientJson {
    text: String,
    is_whole: bool,
}

/// A value in it, or the absence of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LenientValue<'a>(Option<&'a str>);

impl LenientJson {
    /// Reads `body`. What stands before the first bracket is left out, unless it is a value itself.
    pub fn read(body: &[u8]) -> Self {
        let text = decoded(body);
        let mut rewriter = Rewriter {
            rest: text.chars().peekable(),
            written: String::with_capacity(text.len()),
            is_whole: true,
        };
        rewriter.document();
        Self {
            is_whole: rewriter.is_whole,
            text: rewriter.written,
        }
    }

    /// Whether it ends where JSON may end.
    pub fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// Whether it is an object.
    pub fn is_object(&self) -> bool {
        self.value().is_object()
    }

    /// The value below `key`.
    pub fn get(&self, key: &str) -> LenientValue<'_> {
        self.value().get(key)
    }

    /// All of it.
    pub fn value(&self) -> LenientValue<'_> {
        LenientValue(Some(&self.text))
    }
}

impl<'a> LenientValue<'a> {
    /// The value below `key`, if this is an object that has it. Where it is repeated, the last one.
    pub fn get(self, key: &str) -> Self {
        let found = self.0.filter(|_| self.is_object()).and_then(|text| {
            let mut decoder = serde_json::Deserializer::from_str(text);
            Pick(key).deserialize(&mut decoder).ok().flatten()
        });
        Self(found.map(RawValue::get)).present()
    }

    /// The first of `keys` that has a value.
    pub fn first(self, keys: &[&str]) -> Self {
        let found = keys.iter().map(|key| self.get(key));
        Self(found.filter_map(|value| value.0).next())
    }

    fn present(self) -> Self {
        Self(self.0.filter(|text| *text != "null"))
    }

    /// Whether there is a value other than null.
    pub fn is_some(self) -> bool {
        self.present().0.is_some()
    }

    /// Whether it is an object.
    pub fn is_object(self) -> bool {
        self.0.is_some_and(|text| text.starts_with('{'))
    }

    /// Whether it is null, an empty object, list or text, or not there.
    pub fn is_empty(self) -> bool {
        matches!(self.0, None | Some("null" | "{}" | "[]" | "\"\""))
    }

    /// A text, or a number or boolean as it is written; `None` for the rest.
    pub fn text(self) -> Option<String> {
        let text = self.0?;
        match text.as_bytes().first()? {
            b'"' => serde_json::from_str(text).ok(),
            b'{' | b'[' => None,
            _ => Some(text.to_owned()).filter(|text| text != "null"),
        }
    }

    /// The same unless it is empty or blank.
    pub fn filled(self) -> Option<String> {
        self.text().filter(|text| !text.trim().is_empty())
    }

    /// What people are to read: the text, or a list or an object as JSON of at most 300 characters. `None` for what says
    /// nothing.
    pub fn message(self) -> Option<String> {
        const LONGEST: usize = 300;
        if self.is_empty() {
            return None;
        }
        let json = || self.0.map(|json| json.chars().take(LONGEST).collect());
        self.text().or_else(json)
    }

    /// A word, which is a text that is not blank: a number in its place says something else.
    pub fn word(self) -> Option<String> {
        let word = Self(self.0.filter(|text| text.starts_with('"'))).filled()?;
        Some(word.trim().to_owned())
    }

    /// A whole number, also one that is written as a text or with a fraction of zero.
    pub fn integer(self) -> Option<i64> {
        let text = self.text()?;
        let text = text.trim();
        let whole = text.split_once('.').map_or(text, |(whole, fraction)| {
            if fraction.bytes().all(|digit| digit == b'0') {
                whole
            } else {
                text
            }
        });
        whole.parse().ok()
    }

    /// Its type as `T` says, if it has that.
    pub fn decode<T: DeserializeOwned>(self) -> Option<T> {
        self.try_decode().ok()
    }

    /// The same, with what is wrong.
    ///
    /// # Errors
    /// What the decoder says. Of a value that is not there, that it is null.
    pub fn try_decode<T: DeserializeOwned>(self) -> Result<T, serde_json::Error> {
        let text = self.0.unwrap_or("null");
        serde_json::from_str(text).or_else(|error| {
            // Decoders of ours refuse a key that is repeated; a tree has the last one.
            let tree: serde_json::Value = serde_json::from_str(text)?;
            T::deserialize(tree).map_err(|_| error)
        })
    }

    /// The values of a list.
    pub fn items(self) -> Vec<LenientValue<'a>> {
        let list = self.0.filter(|text| text.starts_with('['));
        let items: Vec<&RawValue> = list
            .and_then(|text| serde_json::from_str(text).ok())
            .unwrap_or_default();
        items
            .into_iter()
            .map(|item| Self(Some(item.get())))
            .collect()
    }
}

impl std::fmt::Display for LenientValue<'_> {
    /// As JSON.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0.unwrap_or("null"))
    }
}

/// The last value below one key; the others are not kept.
struct Pick<'k>(&'k str);

impl<'de> DeserializeSeed<'de> for Pick<'_> {
    type Value = Option<&'de RawValue>;

    fn deserialize<D: Deserializer<'de>>(self, decoder: D) -> Result<Self::Value, D::Error> {
        decoder.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Pick<'_> {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            if key == self.0 {
                let value: &RawValue = map.next_value()?;
                found = Some(value).filter(|value| value.get() != "null").or(found);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

/// The text of a body: UTF-8 unless a mark or the zeros of its first letters tell another.
fn decoded(body: &[u8]) -> Cow<'_, str> {
    let wide = |bytes: &[u8], read: fn([u8; 4]) -> u32| {
        let units = bytes
            .chunks_exact(4)
            .filter_map(|unit| unit.try_into().ok());
        Cow::Owned(
            units
                .map(|unit| char::from_u32(read(unit)).unwrap_or(char::REPLACEMENT_CHARACTER))
                .collect(),
        )
    };
    let units = |bytes: &[u8], read: fn([u8; 2]) -> u16| {
        let units = bytes
            .chunks_exact(2)
            .filter_map(|unit| unit.try_into().ok());
        Cow::Owned(
            char::decode_utf16(units.map(read))
                .map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER))
                .collect(),
        )
    };
    match body {
        [0xef, 0xbb, 0xbf, rest @ ..] => String::from_utf8_lossy(rest),
        [0xff, 0xfe, 0, 0, rest @ ..] => wide(rest, u32::from_le_bytes),
        [0, 0, 0xfe, 0xff, rest @ ..] => wide(rest, u32::from_be_bytes),
        [b'{' | b'[', 0, 0, 0, ..] => wide(body, u32::from_le_bytes),
        [0, 0, 0, b'{' | b'[', ..] => wide(body, u32::from_be_bytes),
        [0xff, 0xfe, rest @ ..] => units(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => units(rest, u16::from_be_bytes),
        [b'{' | b'[', 0, ..] => units(body, u16::from_le_bytes),
        [0, b'{' | b'[', ..] => units(body, u16::from_be_bytes),
        _ => String::from_utf8_lossy(body),
    }
}

/// Deeper values are left out: decoders would use the stack up, or refuse all of the answer.
const DEEPEST: usize = 64;

/// Up to here control characters are kept as they are.
const MOST_EXACT: usize = 1 << 20;

struct Rewriter<'a> {
    rest: std::iter::Peekable<std::str::Chars<'a>>,
    written: String,
    is_whole: bool,
}

impl Rewriter<'_> {
    fn document(&mut self) {
        let starts = |c: &char| matches!(c, '{' | '[');
        self.skip_blanks();
        let first = self.rest.peek().copied();
        // A server's warning may stand before the answer.
        if first.is_some_and(|first| first != '"') && self.rest.clone().any(|c| starts(&c)) {
            while self.rest.next_if(|c| !starts(c)).is_some() {}
        }
        self.value(0);
    }

    fn skip_blanks(&mut self) {
        let is_blank = |c: &char| c.is_whitespace() || c.is_control() || *c == '\u{feff}';
        while self.rest.next_if(is_blank).is_some() {}
    }

    /// Writes one value; `null` for what is none.
    fn value(&mut self, depth: usize) {
        self.skip_blanks();
        match self.rest.peek() {
            Some('{' | '[') if depth >= DEEPEST => self.leave_out(),
            Some('{') => self.object(depth),
            Some('[') => self.list(depth),
            Some('"') => self.text(),
            Some(_) => self.word(depth),
            None => {
                self.is_whole = false;
                self.written.push_str("null");
            }
        }
    }

    fn object(&mut self, depth: usize) {
        self.rest.next();
        self.written.push('{');
        let mut is_first = true;
        loop {
            self.skip_blanks();
            match self.rest.peek() {
                None => {
                    self.is_whole = false;
                    break;
                }
                Some('}') => {
                    self.rest.next();
                    break;
                }
                // The end of something around it: this one's is missing.
                Some(']') => break,
                Some('"') => {
                    let from = self.written.len();
                    if !is_first {
                        self.written.push(',');
                    }
                    self.text();
                    self.skip_blanks();
                    if self.rest.next_if_eq(&':').is_some() {
                        is_first = false;
                        self.written.push(':');
                        self.value(depth + 1);
                    } else {
                        // No value, or no whole key.
                        self.is_whole &= self.rest.peek().is_some();
                        self.written.truncate(from);
                    }
                }
                // A comma, or what does not belong here.
                Some(_) => {
                    self.rest.next();
                }
            }
        }
        self.written.push('}');
    }

    fn list(&mut self, depth: usize) {
        self.rest.next();
        self.written.push('[');
        let mut is_first = true;
        loop {
            self.skip_blanks();
            match self.rest.peek() {
                None => {
                    self.is_whole = false;
                    break;
                }
                Some(']') => {
                    self.rest.next();
                    break;
                }
                Some('}') => break,
                Some(',' | ':') => {
                    self.rest.next();
                }
                Some(_) => {
                    if !is_first {
                        self.written.push(',');
                    }
                    is_first = false;
                    self.value(depth + 1);
                }
            }
        }
        self.written.push(']');
    }

    /// Passes over a value that is too deep, without going down into it.
    fn leave_out(&mut self) {
        self.written.push_str("null");
        let mut depth = 0_usize;
        loop {
            match self.rest.peek() {
                None => {
                    self.is_whole = false;
                    return;
                }
                Some('"') => {
                    let len = self.written.len();
                    self.text();
                    self.written.truncate(len);
                    continue;
                }
                Some('{' | '[') => depth += 1,
                Some('}' | ']') => depth = depth.saturating_sub(1),
                Some(_) => {}
            }
            self.rest.next();
            if depth == 0 {
                return;
            }
        }
    }

    fn text(&mut self) {
        let from = self.written.len();
        self.rest.next();
        self.written.push('"');
        loop {
            match self.rest.next() {
                None => {
                    self.is_whole = false;
                    self.written.truncate(from);
                    self.written.push_str("null");
                    return;
                }
                Some('"') => break,
                Some('\\') => self.escape(),
                Some(c) => self.push(c),
            }
        }
        self.written.push('"');
    }

    fn escape(&mut self) {
        match self.rest.next() {
            None => self.is_whole = false,
            Some('u') => {
                let unit = self.unit();
                let c = match unit {
                    Some(high @ 0xd800..=0xdbff) => self.second_half(high),
                    Some(unit) => char::from_u32(unit),
                    None => None,
                };
                self.push(c.unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            Some('n') => self.push('\n'),
            Some('t') => self.push('\t'),
            Some('r') => self.push('\r'),
            Some('b') => self.push('\u{8}'),
            Some('f') => self.push('\u{c}'),
            Some(c) => self.push(c),
        }
    }

    /// The four digits of an escape, as far as they are some.
    fn unit(&mut self) -> Option<u32> {
        let mut unit = 0;
        for _ in 0..4 {
            let digit = self.rest.next_if(char::is_ascii_hexdigit)?;
            unit = unit * 16 + digit.to_digit(16)?;
        }
        Some(unit)
    }

    /// The character of which `high` is the first half; nothing else is taken.
    fn second_half(&mut self, high: u32) -> Option<char> {
        let mut ahead = self.rest.clone();
        let escape: String = ahead.by_ref().take(6).collect();
        let low = u32::from_str_radix(escape.strip_prefix("\\u")?, 16).ok()?;
        let low = Some(low).filter(|low| (0xdc00..=0xdfff).contains(low))?;
        self.rest = ahead;
        char::from_u32(0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00))
    }

    fn push(&mut self, c: char) {
        match c {
            '"' => self.written.push_str("\\\""),
            '\\' => self.written.push_str("\\\\"),
            '\n' => self.written.push_str("\\n"),
            // Written in six bytes, so not in any number.
            c if c < ' ' && self.written.len() > MOST_EXACT => self.written.push(' '),
            c if c < ' ' => self.written.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => self.written.push(c),
        }
    }

    /// A number or a bare word. A number that JSON does not know becomes a text, another word `null`.
    fn word(&mut self, depth: usize) {
        let mut word = String::new();
        let belongs = |c: &char| !matches!(c, ',' | ':' | '}' | ']' | '{' | '[' | '"');
        while let Some(c) = self.rest.next_if(|c| belongs(c) && !c.is_whitespace()) {
            word.push(c);
        }
        if word.is_empty() {
            // A bracket or comma where a value should be; whoever called deals with it.
            self.written.push_str("null");
            return;
        }
        if depth > 0 && self.rest.peek().is_none() {
            self.is_whole = false;
            self.written.push_str("null");
            return;
        }
        let is_number = word
            .starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.'))
            && word.contains(|c: char| c.is_ascii_digit());
        match word.as_str() {
            "true" | "True" | "TRUE" => self.written.push_str("true"),
            "false" | "False" | "FALSE" => self.written.push_str("false"),
            _ if is_number && serde_json::from_str::<serde_json::Number>(&word).is_ok() => {
                self.written.push_str(&word);
            }
            _ if is_number => {
                self.written.push('"');
                word.chars().for_each(|c| self.push(c));
                self.written.push('"');
            }
            _ => self.written.push_str("null"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(body: &[u8], path: &[&str]) -> Option<String> {
        let json = LenientJson::read(body);
        path.iter()
            .fold(json.value(), |value, key| value.get(key))
            .text()
    }

    #[test]
    fn an_id_is_read_whatever_stands_beside_it() {
        let utf16 = |text: &str, bytes: fn(u16) -> [u8; 2]| -> Vec<u8> {
            text.encode_utf16().flat_map(bytes).collect()
        };
        let utf32 = |text: &str, bytes: fn(u32) -> [u8; 4]| -> Vec<u8> {
            text.chars().flat_map(|c| bytes(c.into())).collect()
        };
        let plain = r#"{"code":200,"data":{"job_id":"j1"}}"#;
        let deep = format!(
            r#"{{"x":{}{},"data":{{"job_id":"j1"}}}}"#,
            "[{\"a\":".repeat(9_999),
            "}]".repeat(9_999)
        );
        for body in [
            plain.as_bytes(),
            b"\xef\xbb\xbf{\"data\":{\"job_id\":\"j1\"}}",
            b"\n <br />\n<b>Warning</b>: x in y.php on line 3{\"data\":{\"job_id\":\"j1\"}}",
            b"{\"data\":{\"job_id\":\"j0\",\"job_id\":\"j1\"}}",
            b"{\"data\":{\"job_id\":\"j1\",\"job_id\":null},\"data\":null}",
            b"{\"data\":{\"job_id\":\"j1\",},}",
            b"{\"data\":{\"job_id\":\"j1\"}",
            b"{\"data\":{\"job_id\":\"j1\",\"note\":\"cut he",
            b"{\"data\":{\"job_id\":\"j1\"},\"note\":12",
            b"{\"cost\":NaN,\"a\":-Infinity,\"b\":1e999,\"c\":007,\"d\":+1,\"e\":None,\"data\":{\"job_id\":\"j1\"}}",
            b"{\"note\":\"a\x01b\nc\x80\",\"\xff\":1,\"data\":{\"job_id\":\"j1\"}}",
            br#"{"note":"\ud835 \udc00 \uD83D\uDE00 \x \u12 \u{1}","data":{"job_id":"j1"}}"#,
            br#"{"\ud835":1,"data":{"job_\u0069d":"j1"}} trailing"#,
            br#"{"a" "b","data":{"job_id":"j1"}}"#,
            &utf16(plain, u16::to_le_bytes),
            &utf16(plain, u16::to_be_bytes),
            &utf16(&format!("\u{feff}{plain}"), u16::to_le_bytes),
            &utf32(plain, u32::to_le_bytes),
            &utf32(plain, u32::to_be_bytes),
            &utf32(&format!("\u{feff}{plain}"), u32::to_le_bytes),
            &utf32(&format!("\u{feff}{plain}"), u32::to_be_bytes),
            deep.as_bytes(),
        ] {
            let found = text(body, &["data", "job_id"]);
            assert_eq!(found.as_deref(), Some("j1"), "{}", String::from_utf8_lossy(body));
        }
    }

    #[test]
    fn half_an_id_is_none() {
        let whole = br#"{"data":{"job_id":"j1"}}"#;
        for len in 0..whole.len() {
            let found = text(&whole[..len], &["data", "job_id"]);
            let is_shown = len >= br#"{"data":{"job_id":"j1""#.len();
            assert_eq!(found.is_some(), is_shown, "{len}");
            assert!(!LenientJson::read(&whole[..len]).is_whole());
        }
        assert_eq!(text(b"{\"id\":12", &["id"]), None);
        assert!(LenientJson::read(whole).is_whole());
    }

    #[test]
    fn numbers_are_their_text_and_texts_are_their_number() {
        let id = "123456789012345678901234567890";
        let json = LenientJson::read(
            format!(r#"{{"id":{id},"n":"8","f":8.0,"g":8.5,"t":true}}"#).as_bytes(),
        );
        assert_eq!(json.get("id").text().as_deref(), Some(id));
        let integers = ["n", "f", "g", "t", "none"].map(|key| json.get(key).integer());
        assert_eq!(integers, [Some(8), Some(8), None, None, None]);
        assert_eq!(json.get("t").text().as_deref(), Some("true"));
    }

    #[test]
    fn odd_texts_are_read_lossily() {
        let body = b"{\"a\":\"bad \\ud835 glyph\",\"b\":\"\\uD83D\\uDE00\",\"c\":\"\xff\x1b\"}";
        let texts = ["a", "b", "c"].map(|key| text(body, &[key]).unwrap());
        assert_eq!(texts, ["bad \u{fffd} glyph", "\u{1f600}", "\u{fffd}\u{1b}"]);
    }

    #[test]
    fn a_message_is_shown_whatever_its_type() {
        let body =
            r#"{"a":{"zh": "坏文件", "x":NaN},"b":["坏", 1],"c":"text","d":[],"e":"","f":7}"#;
        let json = LenientJson::read(body.as_bytes());
        let messages = ["a", "b", "c", "d", "e", "f", "g"].map(|key| json.get(key).message());
        let messages = messages.each_ref().map(Option::as_deref);
        assert_eq!(
            messages,
            [
                Some(r#"{"zh":"坏文件","x":null}"#),
                Some(r#"["坏",1]"#),
                Some("text"),
                None,
                None,
                Some("7"),
                None
            ]
        );
        let long = format!(r#"{{"a":["{}"]}}"#, "x".repeat(400));
        let json = LenientJson::read(long.as_bytes());
        assert_eq!(json.get("a").message().unwrap().len(), 300);
    }

    #[test]
    fn what_is_no_json_has_nothing() {
        for body in [
            &b""[..],
            b"<html>{ not: this }</html>",
            b"null",
            b"[1]",
            b"{",
            b"\"text\"",
        ] {
            assert_eq!(text(body, &["data", "job_id"]), None);
        }
    }

    #[test]
    fn a_type_is_decoded_though_a_key_is_repeated() {
        #[derive(serde::Deserialize)]
        struct Named {
            name: String,
        }
        let json = LenientJson::read(br#"{"name":"a","name":"b","list":[1,"x",{}]}"#);
        assert_eq!(json.value().decode::<Named>().unwrap().name, "b");
        assert_eq!(json.get("list").items().len(), 3);
    }

    proptest! {
        #[test]
        fn whatever_comes_becomes_json(body in prop::collection::vec(prop::sample::select(
            b"{}[]\",:\\u0d8e1.-+ntrue\xff\x00 ".to_vec()), 0..200)) {
            let json = LenientJson::read(&body);
            prop_assert!(serde_json::from_str::<IgnoredAny>(&json.text).is_ok(), "{}", json.text);
        }

        #[test]
        fn json_stays_as_it_is(text in any::<String>(), number in any::<i64>()) {
            let value = serde_json::json!({ "t": [text, { text: number }], "n": null });
            let json = LenientJson::read(value.to_string().as_bytes());
            prop_assert!(json.is_whole());
            prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&json.text).unwrap(), value);
        }
    }
}
