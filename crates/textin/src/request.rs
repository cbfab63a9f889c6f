//! What to parse, checked before anything is sent.

use std::fmt;
use std::str::FromStr;

use jobs_core::Error;
use jobs_core::http::{Document, Form};

use crate::code::VENDOR;
use crate::generated::types::{Engine, ParseConfig};

/// The formats that the document engine takes, by extension.
pub(crate) const FORMATS: [&str; 19] = [
    "png", "jpg", "jpeg", "pdf", "bmp", "tiff", "webp", "doc", "docx", "html", "mhtml", "xls",
    "xlsx", "csv", "ppt", "pptx", "txt", "ofd", "rtf",
];
/// The formats that `textin_gui` takes.
const GUI_FORMATS: [&str; 5] = ["png", "jpg", "jpeg", "gif", "webp"];
const LARGEST: u64 = 500 << 20;
const LARGEST_TEXT: u64 = 100 << 10;
const LARGEST_GUI: u64 = 10 << 20;

/// The largest document with this extension that the document engine takes.
pub(crate) fn largest(extension: &str) -> u64 {
    match extension {
        "txt" => LARGEST_TEXT,
        _ => LARGEST,
    }
}

/// A document to parse, or its address, and how.
///
/// Exactly one of the two: the vendor documents no meaning for both or neither. Made by
/// [`Client::parse`](crate::Client::parse) it can be submitted; made by itself it only describes.
///
/// ```
/// use textin::types::{ParseMode, TableView};
/// use textin::{Document, ParseRequest};
///
/// let request = ParseRequest::document(Document::from_bytes("report.pdf", "%PDF-1.7"))
///     .with_page_range("1-5")
///     .with_parse_mode(ParseMode::Scan)
///     .with_table_view(TableView::Markdown);
/// ```
#[derive(Debug, Clone)]
pub struct ParseRequest<C = ()> {
    client: C,
    source: Source,
    config: ParseConfig,
    webhook: Option<String>,
}

#[derive(Debug, Clone)]
enum Source {
    Document(Document),
    Url(String),
}

impl ParseRequest {
    /// Parses a document that is sent along.
    pub fn document(document: Document) -> Self {
        Self::new(Source::Document(document))
    }

    /// Parses what the service downloads from `url`.
    pub fn url(url: impl Into<String>) -> Self {
        Self::new(Source::Url(url.into()))
    }

    fn new(source: Source) -> Self {
        Self {
            client: (),
            source,
            config: ParseConfig::default(),
            webhook: None,
        }
    }

    /// The same request of a client, or of whatever else sends it.
    pub(crate) fn on<C>(self, client: C) -> ParseRequest<C> {
        ParseRequest {
            client,
            source: self.source,
            config: self.config,
            webhook: self.webhook,
        }
    }
}

impl<C> ParseRequest<C> {
    pub(crate) fn client(&self) -> &C {
        &self.client
    }

    /// Where the setters of the options put them.
    pub(crate) fn options_mut(&mut self) -> &mut ParseConfig {
        &mut self.config
    }

    /// Sets all options at once; those set before are gone.
    #[must_use]
    pub fn with_config(mut self, config: ParseConfig) -> Self {
        self.config = config;
        self
    }

    /// All options as they are set.
    pub fn config(&self) -> &ParseConfig {
        &self.config
    }

    /// Parses these pages only, and is billed for these only.
    #[must_use]
    pub fn with_pages(self, pages: &PageRange) -> Self {
        self.with_page_range(pages.to_string())
    }

    /// Asks the service to notify this address at the end. See [`webhook`](crate::webhook) for what such a notice is worth.
    #[must_use]
    pub fn with_webhook(mut self, url: impl Into<String>) -> Self {
        self.webhook = Some(url.into());
        self
    }

    /// The document, unless the vendor fetches it.
    #[cfg(feature = "runner")]
    pub(crate) fn sent_document(&self) -> Option<&Document> {
        match &self.source {
            Source::Document(document) => Some(document),
            Source::Url(_) => None,
        }
    }

    /// How many pages are asked for, of a document of so many; `None` where all of them are.
    #[cfg(feature = "runner")]
    pub(crate) fn selected_pages(&self, of: Option<u32>) -> Option<u64> {
        let scope = self.config.scope.as_ref()?;
        let range: PageRange = scope.page_range.as_deref()?.parse().ok()?;
        Some(range.count(of.unwrap_or(u32::MAX)))
    }

    /// What is parsed, in words.
    pub(crate) fn what(&self) -> String {
        match &self.source {
            Source::Document(document) => {
                format!("{} ({} bytes)", document.name(), document.size())
            }
            Source::Url(url) => url.split(['?', '#']).next().unwrap_or_default().to_owned(),
        }
    }

    /// Checks everything that the vendor's documentation lets us check.
    pub(crate) fn check(&self, operation: &'static str) -> Result<(), Error> {
        let bad = |problem: String| Err(Error::invalid_input(VENDOR, operation, problem));
        let page_range = self
            .config
            .scope
            .as_ref()
            .and_then(|scope| scope.page_range.as_deref());
        if let Some(Err(problem)) = page_range.map(str::parse::<PageRange>) {
            return bad(problem.to_string());
        }
        for url in self.webhook.iter().chain(self.url_source()) {
            if !(url.starts_with("https://") || url.starts_with("http://")) {
                return bad(format!("{url:?} is not an http or https address"));
            }
        }
        let formats: Vec<_> = self
            .config
            .exports
            .iter()
            .flatten()
            .map(|export| export.format.as_str())
            .collect();
        if let Some(twice) = formats
            .iter()
            .find(|format| formats.iter().filter(|other| other == format).count() > 1)
        {
            return bad(format!(
                "the export format {twice} is asked for twice; each may appear once"
            ));
        }
        match &self.source {
            Source::Document(document) => self.check_document(document).or_else(bad),
            Source::Url(_) => Ok(()),
        }
    }

    fn url_source(&self) -> Option<&String> {
        match &self.source {
            Source::Url(url) => Some(url),
            Source::Document(_) => None,
        }
    }

    fn check_document(&self, document: &Document) -> Result<(), String> {
        let engine = self
            .config
            .config
            .as_ref()
            .and_then(|config| config.force_engine.as_ref());
        let is_gui = engine == Some(&Engine::TextinGui);
        let formats: &[&str] = if is_gui { &GUI_FORMATS } else { &FORMATS };
        let (name, extension) = (document.name(), document.extension());
        if !formats.contains(&extension.as_str()) {
            return Err(format!(
                "{name:?} is of no supported format; supported are {}",
                formats.join(", ")
            ));
        }
        let largest = if is_gui {
            LARGEST_GUI
        } else {
            largest(&extension)
        };
        match document.size() {
            0 => Err(format!("{name:?} is empty")),
            size if size > largest => Err(format!(
                "{name:?} has {size} bytes; at most {largest} are allowed"
            )),
            _ => Ok(()),
        }
    }

    /// The form for one attempt, in the order that the vendor's own client uses. `webhook` is a field of its own: the
    /// service does not look for it inside `config`.
    pub(crate) fn form(&self, operation: &'static str, is_async: bool) -> Result<Form, Error> {
        let mut form = Form::new();
        if self.config != ParseConfig::default() {
            let json = serde_json::to_string(&self.config).map_err(|cause| {
                Error::invalid_input(VENDOR, operation, "the options cannot be written as JSON")
                    .with_source(cause)
            })?;
            form = form.json("config", json);
        }
        if let (Some(webhook), true) = (&self.webhook, is_async) {
            form = form.text("webhook", webhook);
        }
        match &self.source {
            Source::Url(url) => Ok(form.text("file_url", url)),
            Source::Document(document) => form.document("file", document).map_err(|cause| {
                let name = document.name();
                Error::local_io(
                    VENDOR,
                    operation,
                    format!("cannot read {name:?}: {cause}"),
                    cause,
                )
            }),
        }
    }
}

impl From<Document> for ParseRequest {
    fn from(document: Document) -> Self {
        Self::document(document)
    }
}

/// Pages by number, from 1, such as `1-2,5-10`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageRange(Vec<(u32, u32)>);

/// The text is no page range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a page range such as 1-5 or 1-2,5-10, with pages counted from 1")]
pub struct InvalidPageRange(Box<str>);

#[cfg(feature = "runner")]
impl PageRange {
    /// How many pages it names of a document of so many.
    fn count(&self, of: u32) -> u64 {
        let pages = |(first, last): &(u32, u32)| {
            let last = (*last).min(of);
            (last >= *first).then(|| u64::from(last - first) + 1)
        };
        self.0.iter().filter_map(pages).sum()
    }
}

impl FromStr for PageRange {
    type Err = InvalidPageRange;

    fn from_str(text: &str) -> Result<Self, InvalidPageRange> {
        let page = |text: &str| {
            let is_plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
            text.parse().ok().filter(|page: &u32| is_plain && *page > 0)
        };
        let range = |part: &str| {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last) = (page(first)?, page(last)?);
            (first <= last).then_some((first, last))
        };
        let ranges: Option<Vec<_>> = text.split(',').map(range).collect();
        ranges
            .map(Self)
            .ok_or_else(|| InvalidPageRange(text.chars().take(60).collect()))
    }
}

impl fmt::Display for PageRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, (first, last)) in self.0.iter().enumerate() {
            let comma = if n == 0 { "" } else { "," };
            if first == last {
                write!(f, "{comma}{first}")?
            } else {
                write!(f, "{comma}{first}-{last}")?
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generated::types::{EngineConfig, ExportFormat, ExportRequest};

    #[test]
    fn page_ranges_are_those_of_the_documentation() {
        for good in ["1", "1-5", "1-2,5-10", "7-7"] {
            assert!(good.parse::<PageRange>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "0",
            "5-1",
            "1-",
            "-3",
            "1,,2",
            "a",
            "1-2-3",
            "+1",
            " 1",
            "1 - 2",
            "99999999999",
        ] {
            assert!(bad.parse::<PageRange>().is_err(), "{bad:?}");
        }
        assert_eq!("1-2,7-7".parse::<PageRange>().unwrap().to_string(), "1-2,7");
    }

    #[cfg(feature = "runner")]
    #[test]
    fn pages_that_a_document_does_not_have_are_not_counted() {
        for (range, of, count) in [
            ("1-5", 3, 3),
            ("1-2,5-10", 100, 8),
            ("7", 3, 0),
            ("1-5", u32::MAX, 5),
        ] {
            let range: PageRange = range.parse().unwrap();
            assert_eq!(range.count(of), count, "{range} of {of}");
        }
    }

    fn problem(request: &ParseRequest) -> Option<String> {
        request
            .check("submit")
            .err()
            .map(|error| error.message().unwrap_or_default().to_owned())
    }

    #[test]
    fn bad_input_is_named_before_anything_is_sent() {
        let document = |name: &str, size: usize| {
            ParseRequest::document(Document::from_bytes(name, vec![b'x'; size]))
        };
        assert_eq!(problem(&document("a.PDF", 1)), None);
        assert_eq!(
            problem(&document("a.pdf", 0)).unwrap(),
            "\"a.pdf\" is empty"
        );
        assert!(
            problem(&document("a.exe", 1))
                .unwrap()
                .contains("no supported format")
        );
        assert!(
            problem(&document("README", 1))
                .unwrap()
                .contains("no supported format")
        );
        assert!(
            problem(&document("a.txt", 102_401))
                .unwrap()
                .contains("at most 102400")
        );
        assert!(
            problem(&ParseRequest::url("ftp://h/a.pdf"))
                .unwrap()
                .contains("http or https")
        );
        assert_eq!(
            problem(&ParseRequest::url("https://h/a.pdf").with_webhook("https://h/hook")),
            None
        );
        assert!(problem(&document("a.pdf", 1).with_webhook("h/hook")).is_some());
    }

    #[test]
    fn options_are_checked_too() {
        let mut config = ParseConfig::default();
        let mut scope = crate::generated::types::Scope::default();
        scope.page_range = Some("2-1".to_owned());
        config.scope = Some(scope);
        assert!(
            problem(&ParseRequest::url("https://h/a").with_config(config))
                .unwrap()
                .contains("page range")
        );

        let mut config = ParseConfig::default();
        config.exports = Some(vec![
            ExportRequest::new(ExportFormat::Docx),
            ExportRequest::new(ExportFormat::Docx),
        ]);
        assert!(
            problem(&ParseRequest::url("https://h/a").with_config(config))
                .unwrap()
                .contains("twice")
        );
    }

    #[test]
    fn the_gui_engine_takes_images_only() {
        let mut engine = EngineConfig::default();
        engine.force_engine = Some(Engine::TextinGui);
        let mut config = ParseConfig::default();
        config.config = Some(engine);
        let request = |name: &str, size| {
            ParseRequest::document(Document::from_bytes(name, vec![0; size]))
                .with_config(config.clone())
        };
        assert_eq!(problem(&request("screen.gif", 1)), None);
        assert!(problem(&request("a.pdf", 1)).is_some());
        assert!(problem(&request("screen.png", (10 << 20) + 1)).is_some());
    }

    #[test]
    fn a_password_is_not_printed() {
        let request = ParseRequest::url("https://h/a.pdf").with_password("open sesame");
        assert!(!format!("{request:?}").contains("sesame"));
    }
}
