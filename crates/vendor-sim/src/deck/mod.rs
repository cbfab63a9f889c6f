//! Presentations: the text of received ones, and small valid ones that hold a given text.

mod read;
mod write;

pub(crate) use read::slides_in;
pub(crate) use write::pptx;

/// One slide as simulators know it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Slide {
    pub(crate) title: String,
    pub(crate) lines: Vec<String>,
}

impl Slide {
    pub(crate) fn new(title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            lines: Vec::new(),
        }
    }
}

/// Text fit for XML and HTML: markup escaped, letters that XML forbids left out.
pub(crate) fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\u{fffe}' | '\u{ffff}' => {}
            _ if letter.is_control() => {}
            _ => safe.push(letter),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn text_written_into_a_deck_is_read_back_slide_by_slide() {
        let slides: Vec<Slide> = (1..=11)
            .map(|number| Slide {
                title: format!("标题 {number} <&>"),
                lines: vec![format!("line \"{number}\""), "第二行".to_owned()],
            })
            .collect();
        let bytes = pptx("全部", &slides).unwrap();
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&bytes).unwrap();
        assert_eq!(slides_in(file.path()).unwrap(), slides);
    }

    #[test]
    fn forbidden_letters_are_left_out_and_markup_is_escaped() {
        assert_eq!(
            escaped("a\u{0}<b>\u{ffff} \"&\""),
            "a&lt;b&gt; &quot;&amp;&quot;"
        );
    }
}
