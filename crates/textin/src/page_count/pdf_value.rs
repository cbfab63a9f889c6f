//! The values of a PDF: just enough of its syntax to read dictionaries.

/// How deep values are nested at most.
const DEEPEST: u32 = 64;

/// A value as it stands in a file.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Integer(i64),
    Name(Vec<u8>),
    /// The number of an object that stands elsewhere.
    Reference(u32),
    Array(Vec<Value>),
    Dictionary(Dictionary),
    /// Null, booleans, other numbers and strings: nothing here depends on what they are.
    Other,
}

/// Keys without their slash; the first of equal ones counts.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Dictionary(Vec<(Vec<u8>, Value)>);

impl Dictionary {
    pub(super) fn get(&self, key: &str) -> Option<&Value> {
        let entry = self.0.iter().find(|(known, _)| known == key.as_bytes());
        entry.map(|(_, value)| value)
    }

    pub(super) fn integer(&self, key: &str) -> Option<i64> {
        match self.get(key)? {
            Value::Integer(number) => Some(*number),
            _ => None,
        }
    }
}

/// Reads values from the front of a text; `None` as soon as it is none, or not whole.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(text: &'a [u8]) -> Self {
        Self { text, at: 0 }
    }

    /// How much was read.
    pub(super) fn position(&self) -> usize {
        self.at
    }

    /// Skips a word that stands here, after space.
    pub(super) fn word(&mut self, word: &str) -> Option<()> {
        self.space();
        let rest = self.text.get(self.at..)?;
        if !rest.starts_with(word.as_bytes()) {
            return None;
        }
        self.at += word.len();
        Some(())
    }

    /// An unsigned whole number, after space.
    pub(super) fn number(&mut self) -> Option<u64> {
        self.space();
        let digits = self.take(|byte| byte.is_ascii_digit());
        str::from_utf8(digits).ok()?.parse().ok()
    }

    pub(super) fn value(&mut self) -> Option<Value> {
        self.nested(0)
    }

    fn nested(&mut self, depth: u32) -> Option<Value> {
        if depth > DEEPEST {
            return None;
        }
        self.space();
        match self.peek()? {
            b'/' => self.name().map(Value::Name),
            b'[' => {
                self.at += 1;
                let mut values = Vec::new();
                while self.word("]").is_none() {
                    values.push(self.nested(depth + 1)?);
                }
                Some(Value::Array(values))
            }
            b'<' if self.text.get(self.at + 1) == Some(&b'<') => {
                self.at += 2;
                let mut entries = Vec::new();
                while self.word(">>").is_none() {
                    let key = self.name()?;
                    entries.push((key, self.nested(depth + 1)?));
                }
                Some(Value::Dictionary(Dictionary(entries)))
            }
            b'<' => {
                self.take(|byte| byte != b'>');
                self.word(">")?;
                Some(Value::Other)
            }
            b'(' => self.string(),
            b'+' | b'-' | b'.' | b'0'..=b'9' => self.numeric(),
            _ => {
                let word = self.take(is_regular);
                matches!(word, b"true" | b"false" | b"null").then_some(Value::Other)
            }
        }
    }

    fn name(&mut self) -> Option<Vec<u8>> {
        self.word("/")?;
        Some(self.take(is_regular).to_vec())
    }

    /// A number, or a reference such as `12 0 R`.
    fn numeric(&mut self) -> Option<Value> {
        let word = str::from_utf8(self.take(is_regular)).ok()?;
        let Ok(number) = word.parse() else {
            return word.parse::<f64>().is_ok().then_some(Value::Other);
        };
        let mut ahead = *self;
        let is_reference = ahead.number().is_some()
            && ahead.word("R").is_some()
            && ahead.peek().is_none_or(|byte| !is_regular(byte));
        match u32::try_from(number) {
            Ok(object) if is_reference => {
                *self = ahead;
                Some(Value::Reference(object))
            }
            _ => Some(Value::Integer(number)),
        }
    }

    fn string(&mut self) -> Option<Value> {
        let mut open = 0_u32;
        loop {
            match self.peek()? {
                b'\\' => self.at += 1,
                b'(' => open += 1,
                b')' => open -= 1,
                _ => {}
            }
            self.at += 1;
            if open == 0 {
                return Some(Value::Other);
            }
        }
    }

    /// Skips white space and comments.
    fn space(&mut self) {
        loop {
            self.take(is_space);
            if self.peek() != Some(b'%') {
                return;
            }
            self.take(|byte| byte != b'\n' && byte != b'\r');
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn take(&mut self, belongs: impl Fn(u8) -> bool) -> &'a [u8] {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let count = rest
            .iter()
            .position(|byte| !belongs(*byte))
            .unwrap_or(rest.len());
        self.at += count;
        rest.get(..count).unwrap_or_default()
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, 0 | b'\t' | b'\n' | 0x0c | b'\r' | b' ')
}

fn is_regular(byte: u8) -> bool {
    !is_space(byte)
        && !matches!(
            byte,
            b'(' | b')' | b'<' | b'>' | b'[' | b']' | b'{' | b'}' | b'/' | b'%'
        )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Option<Value> {
        Reader::new(text.as_bytes()).value()
    }

    #[test]
    fn a_dictionary_is_read_whatever_stands_in_it() {
        let text = "% a comment\n<</Type/Catalog/Pages 3 0 R /N -7/L[1 0 R 2 0 0 R(a\\)(b))<4142>]/X<</Y true>>/Z 1.5/W(>>)>>";
        let Some(Value::Dictionary(dictionary)) = read(text) else {
            panic!("no dictionary");
        };
        assert_eq!(
            dictionary.get("Type"),
            Some(&Value::Name(b"Catalog".to_vec()))
        );
        assert_eq!(dictionary.get("Pages"), Some(&Value::Reference(3)));
        assert_eq!(dictionary.integer("N"), Some(-7));
        assert_eq!(dictionary.integer("Pages"), None);
        let list = [
            Value::Reference(1),
            Value::Integer(2),
            Value::Reference(0),
            Value::Other,
            Value::Other,
        ];
        assert_eq!(dictionary.get("L"), Some(&Value::Array(list.to_vec())));
        assert_eq!(dictionary.get("Z"), Some(&Value::Other));
    }

    #[test]
    fn what_is_not_whole_is_nothing() {
        for text in [
            "", "<<", "<</A", "<</A 1", "[1 2", "(a", "<41", "word", "<</A>>", "<<A 1>>",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
        assert_eq!(read(&"[".repeat(100_000)), None);
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut reader = Reader::new(&text);
            let _ = reader.value();
            prop_assert!(reader.position() <= text.len() + 1);
        }

        #[test]
        fn nothing_that_looks_like_a_value_makes_it_panic(text in r"[<>\[\]()/%\\ 0-9R.a-]{0,60}") {
            let _ = read(&text);
        }
    }
}
