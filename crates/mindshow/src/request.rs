//! What to make, checked before anything is sent.

use bytes::Bytes;
use jobs_core::Error;
use serde::Serialize;
use serde_json::Value;

use crate::code::VENDOR;
use crate::generated::types::{
    ContentRequest, DeckPage, DeckSource, GptDeck, JsonDeck, MarkdownDeck, OutlineRequest,
    PageType, PptDeck, TemplateFromPpt,
};
use crate::operation::{
    CREATE_BY_GPT, CREATE_BY_JSON, CREATE_BY_MARKDOWN, CREATE_BY_PPT, CREATE_TEMPLATE, Operation,
};
use crate::resource::ResourceId;

/// The input of a call that costs money.
pub(crate) trait Input {
    /// Whether it can work. `Err` names the thing and the way out.
    fn check(&self) -> Result<(), String>;

    /// What it is, in words, for whoever has to search for its outcome.
    fn what(&self) -> String;
}

/// What to make a deck or a template of.
///
/// Made by [`Client::deck`](crate::Client::deck) it can be submitted; made by itself it only describes.
#[derive(Debug, Clone)]
pub struct DeckRequest<C = ()> {
    client: C,
    source: Source,
}

#[derive(Debug, Clone)]
enum Source {
    Json(JsonDeck),
    Markdown(MarkdownDeck),
    Gpt(Box<GptDeck>),
    Ppt(PptDeck),
    Template(TemplateFromPpt),
}

macro_rules! sources {
    ($($request:ty => $make:expr;)*) => {
        $(impl From<$request> for DeckRequest {
            fn from(request: $request) -> Self {
                Self { client: (), source: $make(request) }
            }
        })*
    };
}

sources! {
    JsonDeck => Source::Json;
    MarkdownDeck => Source::Markdown;
    GptDeck => |request| Source::Gpt(Box::new(request));
    PptDeck => Source::Ppt;
    TemplateFromPpt => Source::Template;
}

impl DeckRequest {
    /// The same request of a client, or of whatever else sends it.
    pub(crate) fn on<C>(self, client: C) -> DeckRequest<C> {
        DeckRequest {
            client,
            source: self.source,
        }
    }
}

impl<C> DeckRequest<C> {
    pub(crate) fn client(&self) -> &C {
        &self.client
    }

    /// What it is, in words.
    pub(crate) fn what(&self) -> String {
        match &self.source {
            Source::Json(request) => request.what(),
            Source::Markdown(request) => request.what(),
            Source::Gpt(request) => request.what(),
            Source::Ppt(request) => request.what(),
            Source::Template(request) => request.what(),
        }
    }

    /// What it costs by the vendor's pages: of decks by AI the most that they name. None where they say nothing.
    #[cfg(feature = "runner")]
    pub(crate) fn credits(&self) -> Option<u64> {
        const DECK: u64 = 10;
        const LOG: u64 = 10;
        match &self.source {
            Source::Json(_) | Source::Markdown(_) => Some(DECK),
            Source::Gpt(deck) => {
                let model_calls = match deck.type_ {
                    DeckSource::Outline => 1,
                    _ => 2,
                };
                let log = if deck.with_create_log_flag_or_default() {
                    LOG
                } else {
                    0
                };
                Some(DECK + model_calls + log)
            }
            Source::Ppt(_) | Source::Template(_) => None,
        }
    }

    /// The operation and its body, after everything was checked that can be.
    pub(crate) fn written(&self) -> Result<(Operation, Bytes), Error> {
        match &self.source {
            Source::Json(request) => checked(CREATE_BY_JSON, request),
            Source::Markdown(request) => checked(CREATE_BY_MARKDOWN, request),
            Source::Gpt(request) => checked(CREATE_BY_GPT, &**request),
            Source::Ppt(request) => checked(CREATE_BY_PPT, request),
            Source::Template(request) => checked(CREATE_TEMPLATE, request),
        }
    }
}

fn checked<I: Input + Serialize>(
    operation: Operation,
    input: &I,
) -> Result<(Operation, Bytes), Error> {
    input
        .check()
        .map_err(|problem| Error::invalid_input(VENDOR, operation.name, problem))?;
    Ok((operation, operation.json(input)?))
}

impl JsonDeck {
    /// Pages that become a .pptx, which the vendor's default would not make.
    pub fn pptx(pages: Vec<DeckPage>) -> Self {
        let mut deck = Self::new(pages);
        deck.create_ppt_flag = Some(true);
        deck
    }
}

impl GptDeck {
    /// A deck about `topic`. 12 credits, most likely.
    pub fn from_topic(topic: impl Into<String>) -> Self {
        Self::new(String::new(), DeckSource::Topic, topic.into())
    }

    /// A deck from an outline in Markdown. 11 credits, most likely.
    pub fn from_outline(outline: impl Into<String>) -> Self {
        Self::new(String::new(), DeckSource::Outline, outline.into())
    }
}

impl MarkdownDeck {
    /// A deck from Markdown: `#` deck title, `##` section, `###` page, `####` point followed by its text.
    pub fn from_markdown(content: impl Into<String>) -> Self {
        Self::new(String::new(), content.into())
    }
}

impl PptDeck {
    /// A better-looking deck from an uploaded one; with `ai_content`, AI may work on the text as well.
    pub fn from_upload(resource: ResourceId, ai_content: bool) -> Self {
        Self::new(resource.into(), ai_content)
    }
}

impl TemplateFromPpt {
    /// A template from an uploaded deck.
    pub fn from_upload(resource: ResourceId) -> Self {
        Self::new(resource.into())
    }
}

impl OutlineRequest {
    /// An outline about `topic`.
    pub fn about(topic: impl Into<String>) -> Self {
        let mut request = Self::default();
        request.topic = Some(topic.into());
        request
    }
}

impl Input for JsonDeck {
    fn check(&self) -> Result<(), String> {
        if self.page_list.is_empty() {
            return Err("there are no pages; give at least one".to_owned());
        }
        for (number, page) in (1..).zip(&self.page_list) {
            if page.type_ == PageType::Advance && page.id.as_deref().unwrap_or_default().is_empty()
            {
                return Err(format!(
                    "page {number} is of type advance but names no advanced template; set id"
                ));
            }
            let pictures = page
                .list
                .iter()
                .flatten()
                .flat_map(|entry| entry.image_url_list.iter().flatten());
            for url in pictures {
                if !(url.starts_with("https://") || url.starts_with("http://")) {
                    return Err(format!(
                        "page {number}: {:?} is not an http or https address",
                        short(url)
                    ));
                }
            }
        }
        Ok(())
    }

    fn what(&self) -> String {
        let title = self.page_list.iter().find_map(|page| page.title.as_deref());
        let pages = self.page_list.len();
        format!("{pages} pages {:?}", short(title.unwrap_or_default()))
    }
}

impl Input for MarkdownDeck {
    fn check(&self) -> Result<(), String> {
        let levels = heading_levels(&self.content);
        if !levels.contains(&1) {
            return Err(
                "the Markdown has no deck title; begin it with a heading of one #".to_owned(),
            );
        }
        if levels.iter().all(|level| *level == 1) {
            return Err(
                "the Markdown has no heading levels below its title; mark sections with ##, pages with ###, points with ####"
                    .to_owned(),
            );
        }
        Ok(())
    }

    fn what(&self) -> String {
        let title = title(&self.content).unwrap_or_default();
        format!(
            "Markdown {:?} ({} bytes)",
            short(&title),
            self.content.len()
        )
    }
}

impl Input for GptDeck {
    fn check(&self) -> Result<(), String> {
        check_pages(self.page_count)?;
        check_resources(self.resource_id_list.as_deref())?;
        match self.type_ {
            DeckSource::Outline => return check_outline(&self.content),
            _ if self.content.trim().is_empty() => return Err(NO_TOPIC.to_owned()),
            _ => {}
        }
        if self.type_ == DeckSource::Topic && is_given(self.content_ex_info.as_ref()) {
            return Err("content_ex_info belongs to an outline, not to a topic".to_owned());
        }
        Ok(())
    }

    fn what(&self) -> String {
        match self.type_ {
            DeckSource::Outline => {
                let title = title(&self.content).unwrap_or_default();
                format!("outline {:?} ({} bytes)", short(&title), self.content.len())
            }
            _ => format!("topic {:?}", short(&self.content)),
        }
    }
}

impl Input for PptDeck {
    fn check(&self) -> Result<(), String> {
        check_resource(&self.resource_id)
    }

    fn what(&self) -> String {
        format!("uploaded deck {:?}", short(&self.resource_id))
    }
}

impl Input for TemplateFromPpt {
    fn check(&self) -> Result<(), String> {
        check_resource(&self.resource_id)
    }

    fn what(&self) -> String {
        format!("template from uploaded deck {:?}", short(&self.resource_id))
    }
}

impl Input for OutlineRequest {
    fn check(&self) -> Result<(), String> {
        check_pages(self.page_count)?;
        check_resources(self.resource_id_list.as_deref())?;
        let has_topic = self
            .topic
            .as_deref()
            .is_some_and(|topic| !topic.trim().is_empty());
        let has_resource = self
            .resource_id_list
            .as_ref()
            .is_some_and(|list| !list.is_empty());
        if has_topic || has_resource {
            Ok(())
        } else {
            Err("there is neither a topic nor an uploaded file; give one of them".to_owned())
        }
    }

    fn what(&self) -> String {
        format!(
            "outline of topic {:?}",
            short(self.topic.as_deref().unwrap_or_default())
        )
    }
}

impl Input for ContentRequest {
    fn check(&self) -> Result<(), String> {
        check_resources(self.resource_id_list.as_deref())?;
        check_outline(&self.outline)
    }

    fn what(&self) -> String {
        let title = title(&self.outline).unwrap_or_default();
        format!("text of outline {:?}", short(&title))
    }
}

const NO_TOPIC: &str = "the topic is empty; say what the deck is about";

fn check_outline(outline: &str) -> Result<(), String> {
    if outline.trim().is_empty() {
        return Err("the outline is empty".to_owned());
    }
    if heading_levels(outline).is_empty() {
        return Err(
            "the outline has no heading levels; mark title, sections and pages with #, ## and ###"
                .to_owned(),
        );
    }
    Ok(())
}

fn check_pages(count: Option<i64>) -> Result<(), String> {
    match count {
        Some(count) if count < 0 => Err(format!("{count} is no number of pages")),
        _ => Ok(()),
    }
}

fn check_resources(list: Option<&[String]>) -> Result<(), String> {
    list.iter()
        .flat_map(|list| list.iter())
        .try_for_each(|id| check_resource(id))
}

fn check_resource(id: &str) -> Result<(), String> {
    if id.trim().is_empty() {
        return Err("the resource id is empty; upload the file first".to_owned());
    }
    Ok(())
}

fn is_given(value: Option<&Value>) -> bool {
    value.is_some_and(|value| !matches!(value, Value::Null) && value != "")
}

/// The levels of all headings, outside of code blocks. A blank behind the signs is not asked for: the vendor's rule is not
/// known, and a text that it would take must not be refused here.
fn heading_levels(markdown: &str) -> Vec<usize> {
    headings(markdown).map(|(level, _)| level).collect()
}

fn title(markdown: &str) -> Option<String> {
    headings(markdown)
        .find(|(level, _)| *level == 1)
        .map(|(_, text)| text.to_owned())
}

fn headings(markdown: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut is_code = false;
    markdown.lines().filter_map(move |line| {
        let line = line.trim_start_matches('\u{feff}').trim();
        if line.starts_with("```") || line.starts_with("~~~") {
            is_code = !is_code;
        }
        let text = line.trim_start_matches('#');
        let level = line.len() - text.len();
        let is_heading = !is_code && (1..=6).contains(&level) && !text.trim().is_empty();
        is_heading.then(|| (level, text.trim()))
    })
}

/// The beginning of a text, for messages.
fn short(text: &str) -> String {
    const LONGEST: usize = 40;
    let mut start: String = text.chars().take(LONGEST).collect();
    if start.len() < text.len() {
        start.push('…');
    }
    start
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generated::types::PageItem;

    fn problem(input: &impl Input) -> String {
        input.check().err().unwrap_or_default()
    }

    #[test]
    fn markdown_needs_a_title_and_levels() {
        for (content, expected) in [
            ("# Tea\n## History\n### China\n#### Origin\ntext", ""),
            ("\u{feff}#茶\r\n##历史", ""),
            ("just text", "no deck title"),
            ("## History\n### China", "no deck title"),
            ("# Tea\ntext", "no heading levels"),
            ("```\n# Tea\n## History\n```", "no deck title"),
            ("", "no deck title"),
        ] {
            let found = problem(&MarkdownDeck::from_markdown(content));
            assert_eq!(
                found.is_empty(),
                expected.is_empty(),
                "{content:?}: {found}"
            );
            assert!(found.contains(expected), "{content:?}: {found}");
        }
    }

    #[test]
    fn an_outline_needs_levels_and_a_topic_needs_words() {
        assert_eq!(problem(&GptDeck::from_topic("Tea")), "");
        assert!(problem(&GptDeck::from_topic(" \n")).contains("topic is empty"));
        assert_eq!(problem(&GptDeck::from_outline("# Tea\n## History")), "");
        assert!(problem(&GptDeck::from_outline("Tea\nHistory")).contains("no heading levels"));
        assert!(problem(&GptDeck::from_outline(" ")).contains("outline is empty"));
        assert!(problem(&ContentRequest::new("Tea".to_owned())).contains("no heading levels"));
        let mut deck = GptDeck::from_topic("Tea");
        deck.content_ex_info = Some(Value::from("x"));
        assert!(problem(&deck).contains("belongs to an outline"));
        deck.content_ex_info = None;
        deck.page_count = Some(-1);
        assert!(problem(&deck).contains("no number of pages"));
    }

    #[test]
    fn an_outline_call_needs_a_topic_or_a_file() {
        assert_eq!(problem(&OutlineRequest::about("Tea")), "");
        assert!(problem(&OutlineRequest::default()).contains("neither a topic"));
        let mut request = OutlineRequest::about("");
        request.resource_id_list = Some(vec!["r".to_owned()]);
        assert_eq!(problem(&request), "");
        request.resource_id_list = Some(vec![String::new()]);
        assert!(problem(&request).contains("resource id is empty"));
    }

    #[test]
    fn pages_are_checked_one_by_one() {
        assert!(problem(&JsonDeck::pptx(vec![])).contains("no pages"));
        let mut page = DeckPage::new(PageType::Advance);
        assert!(problem(&JsonDeck::new(vec![page.clone()])).contains("page 1"));
        page.id = Some("a".to_owned());
        assert_eq!(problem(&JsonDeck::new(vec![page.clone()])), "");
        let mut entry = PageItem::default();
        entry.image_url_list = Some(vec!["ftp://h/x.png".to_owned()]);
        page.list = Some(vec![entry]);
        assert!(problem(&JsonDeck::new(vec![page])).contains("http or https"));
    }

    #[test]
    fn only_the_pages_constructor_that_says_so_asks_for_a_pptx() {
        assert_eq!(JsonDeck::pptx(vec![]).create_ppt_flag, Some(true));
        assert_eq!(JsonDeck::new(vec![]).create_ppt_flag, None);
    }

    #[test]
    fn what_was_sent_is_named_in_short() {
        assert_eq!(GptDeck::from_topic("Tea").what(), r#"topic "Tea""#);
        let long = GptDeck::from_topic("茶".repeat(1000)).what();
        assert!(long.chars().count() < 60, "{long}");
        assert_eq!(
            MarkdownDeck::from_markdown("# Tea\n## H").what(),
            r#"Markdown "Tea" (10 bytes)"#
        );
    }
}
