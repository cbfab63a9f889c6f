//! What the simulated model writes, and decks made of Markdown, of page lists and of uploads. The same input always gives
//! the same output.

use serde_json::Value;

use crate::deck::Slide;

/// Pages of an outline when no number is suggested.
const PAGES: u64 = 6;
const MOST_PAGES: u64 = 200;
const PAGES_A_SECTION: u64 = 3;

/// A deck's texts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Deck {
    pub(crate) title: String,
    pub(crate) slides: Vec<Slide>,
}

/// An outline of a topic; the lines of resources become pages.
pub(crate) fn outline(topic: &str, page_count: u64, language: &str, lines: &[String]) -> String {
    let title = match (topic.trim(), lines.first()) {
        ("", Some(line)) => line.as_str(),
        (topic, _) => topic,
    };
    let pages = match page_count {
        0 => PAGES,
        _ => page_count.min(MOST_PAGES),
    };
    let (section, page) = match language {
        "zh" | "zh_hant" => ("第", "页"),
        _ => ("Part ", "Page"),
    };
    let mut text = format!("# {title}\n");
    for number in 0..pages {
        if number % PAGES_A_SECTION == 0 {
            let part = number / PAGES_A_SECTION + 1;
            text.push_str(&format!("## {section}{part} · {title}\n"));
        }
        let number = number + 1;
        let subject = usize::try_from(number).ok().and_then(|at| lines.get(at));
        match subject {
            Some(line) => text.push_str(&format!("### {line}\n")),
            None => text.push_str(&format!("### {page} {number}: {title}\n")),
        }
    }
    text
}

/// An outline with points and texts under each page.
pub(crate) fn full_text(outline: &str) -> String {
    let mut text = String::new();
    for line in outline.lines().filter(|line| !line.trim().is_empty()) {
        text.push_str(line);
        text.push('\n');
        if let Some(page) = line.strip_prefix("### ") {
            for point in 1..=2 {
                text.push_str(&format!("#### {page} ({point})\n{page}: {point}.\n"));
            }
        }
    }
    text
}

/// Whether a text has any heading to make a page of.
pub(crate) fn is_outline(text: &str) -> bool {
    text.lines().any(|line| heading(line).is_some())
}

/// A cover, then a slide for each section and each page; deeper headings and plain text are its lines.
pub(crate) fn deck_of_markdown(text: &str, speaker: &str) -> Deck {
    let mut title = None;
    let mut slides = Vec::new();
    let mut cover = Vec::new();
    if !speaker.is_empty() {
        cover.push(speaker.to_owned());
    }
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        match heading(line) {
            Some((1, text)) if title.is_none() => title = Some(text.to_owned()),
            Some((1..=3, text)) => slides.push(Slide::new(text)),
            Some((_, text)) => line_of(&mut slides, &mut cover).push(text.to_owned()),
            None => line_of(&mut slides, &mut cover).push(line.to_owned()),
        }
    }
    let title = title.unwrap_or_default();
    slides.insert(
        0,
        Slide {
            title: title.clone(),
            lines: cover,
        },
    );
    Deck { title, slides }
}

/// One slide for each entry of a page list.
pub(crate) fn deck_of_pages(list: &[Value]) -> Result<Deck, String> {
    let mut slides = Vec::new();
    let mut title = String::new();
    for page in list {
        let kind = page.get("type").and_then(Value::as_str).unwrap_or_default();
        if !matches!(
            kind,
            "cover" | "menu" | "sub_menu" | "content" | "advance" | "finish"
        ) {
            return Err(format!("page_list: unknown type {kind:?}"));
        }
        let mut slide = Slide::new(field(page, "title"));
        if kind == "cover" && title.is_empty() {
            title.clone_from(&slide.title);
        }
        for name in ["sub_title", "speaker", "date"] {
            slide.lines.push(field(page, name));
        }
        let items = page.get("list").and_then(Value::as_array);
        for item in items.into_iter().flatten() {
            slide.lines.push(field(item, "title"));
            slide.lines.push(field(item, "description"));
        }
        if let Some(data) = page.get("data").and_then(Value::as_object) {
            let texts = data.values().filter_map(Value::as_str);
            slide.lines.extend(texts.map(str::to_owned));
        }
        slide.lines.retain(|line| !line.is_empty());
        slides.push(slide);
    }
    if slides.is_empty() {
        return Err("page_list is empty".to_owned());
    }
    Ok(Deck { title, slides })
}

fn field(value: &Value, name: &str) -> String {
    let text = value.get(name).and_then(Value::as_str);
    text.unwrap_or_default().to_owned()
}

fn heading(line: &str) -> Option<(usize, &str)> {
    let rest = line.trim_start_matches('#');
    let level = line.len() - rest.len();
    (level > 0).then_some((level, rest.strip_prefix(' ')?.trim()))
}

fn line_of<'a>(slides: &'a mut [Slide], cover: &'a mut Vec<String>) -> &'a mut Vec<String> {
    match slides.last_mut() {
        Some(slide) => &mut slide.lines,
        None => cover,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn outline_has_the_topic_as_title_and_the_suggested_number_of_pages() {
        let text = outline("春天", 4, "zh", &[]);
        assert!(text.starts_with("# 春天\n## 第1 · 春天\n### 页 1: 春天\n"));
        assert_eq!(
            text.lines().filter(|line| line.starts_with("### ")).count(),
            4
        );
        assert_eq!(
            text.lines().filter(|line| line.starts_with("## ")).count(),
            2
        );
        assert!(outline("x", 0, "en", &[]).contains("### Page 6: x"));
        let lines = ["Title".to_owned(), "Alpha".to_owned()];
        assert!(
            outline("", 2, "en", &lines)
                .starts_with("# Title\n## Part 1 · Title\n### Alpha\n### Page 2")
        );
    }

    #[test]
    fn markdown_becomes_a_cover_and_a_slide_for_each_section_and_page() {
        let deck = deck_of_markdown("# T\n## S\n### P\n#### point\nits text\n### Q\n", "me");
        let titles: Vec<&str> = deck
            .slides
            .iter()
            .map(|slide| slide.title.as_str())
            .collect();
        assert_eq!(titles, ["T", "S", "P", "Q"]);
        assert_eq!(deck.slides[0].lines, ["me"]);
        assert_eq!(deck.slides[2].lines, ["point", "its text"]);
        assert_eq!(deck.title, "T");
    }

    #[test]
    fn text_without_headings_is_a_cover_alone_and_no_outline() {
        assert!(!is_outline("just text\n#hashtag"));
        let deck = deck_of_markdown("just text", "");
        assert_eq!(
            (deck.slides.len(), deck.slides[0].lines.as_slice()),
            (1, ["just text".to_owned()].as_slice())
        );
    }

    #[test]
    fn full_text_keeps_the_outline_and_adds_points() {
        let text = full_text("# T\n### P\n");
        assert_eq!(text, "# T\n### P\n#### P (1)\nP: 1.\n#### P (2)\nP: 2.\n");
    }

    #[test]
    fn pages_are_slides_and_unknown_types_refused() {
        let pages = [
            json!({"type": "cover", "title": "C", "speaker": "me"}),
            json!({"type": "content", "title": "X", "list": [{"title": "a", "description": "b"}]}),
            json!({"type": "advance", "id": "t", "data": {"k": "v", "n": 1}}),
            json!({"type": "finish"}),
        ];
        let deck = deck_of_pages(&pages).unwrap();
        assert_eq!((deck.title.as_str(), deck.slides.len()), ("C", 4));
        assert_eq!(deck.slides[1].lines, ["a", "b"]);
        assert_eq!(deck.slides[2].lines, ["v"]);
        assert!(deck_of_pages(&[json!({"type": "poem"})]).is_err());
        assert!(deck_of_pages(&[]).is_err());
    }
}
