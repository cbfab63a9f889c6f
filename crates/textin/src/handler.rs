//! Durable parsing: what `jobs-runner` needs to know of this vendor.

use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use async_trait::async_trait;
use jobs_core::clock::Moment;
use jobs_core::disk::OutputPath;
use jobs_core::http::{Document, DownloadError};
use jobs_core::{Job, SubmitError};
use jobs_ledger::{Claim, at};
use jobs_runner::{
    Estimate, FetchedResult, Handler, InputError, InputSource, IntoJobInput, JobInput, OptionSpec,
    known_options, recorded_text, vendor_json,
};
use serde_json::{Map, Value, json};

use crate::client::Client;
use crate::generated::options::PARSE_CONFIG;
use crate::generated::types::ParseConfig;
use crate::job::{Parse, Ready};
use crate::page_count::count_pages;
use crate::request::{FORMATS as TYPES, PageRange, ParseRequest, largest};

const VENDOR: &str = "textin";
const KIND: &str = "parse";
const FORMATS: &[&str] = &["markdown", "json"];

/// The documented options beside pages and password, which are recorded in a form of their own.
static OPTIONS: LazyLock<Vec<OptionSpec>> = LazyLock::new(|| {
    let is_apart = |option: &&OptionSpec| matches!(option.name, "page_range" | "password");
    let options = PARSE_CONFIG.iter().filter(|option| !is_apart(option));
    options.copied().collect()
});

/// The documented options of a parse beside pages and password, each by its name.
pub fn options() -> &'static [OptionSpec] {
    &OPTIONS
}

/// The handler of an account's parse jobs.
pub fn handler(client: Client) -> ParseHandler {
    ParseHandler {
        client,
        webhook: None,
    }
}

/// A document to be parsed.
pub fn input(document: Document) -> ParseInput {
    ParseInput::new(Source::Document(document))
}

/// A document that the vendor fetches from an address.
pub fn url_input(url: impl Into<String>) -> ParseInput {
    ParseInput::new(Source::Url(url.into()))
}

/// Runs parse jobs durably.
#[derive(Clone)]
pub struct ParseHandler {
    client: Client,
    webhook: Option<WebhookAddress>,
}

/// Where the vendor is to push news, asked for at each submit: it may change while a program runs.
type WebhookAddress = Arc<dyn Fn() -> Option<String> + Send + Sync>;

impl ParseHandler {
    /// Has the vendor push news of each job to the address that this gives at its submit. It is no part of what is bought.
    #[must_use]
    pub fn with_webhook(
        mut self,
        address: impl Fn() -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        self.webhook = Some(Arc::new(address));
        self
    }
}

impl fmt::Debug for ParseHandler {
    /// Without the address, which has an unguessable part.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ParseHandler")
            .field("client", &self.client)
            .field("has_webhook", &self.webhook.is_some())
            .finish()
    }
}

/// A document, and how it is to be parsed.
#[derive(Debug)]
pub struct ParseInput {
    source: Source,
    options: Options,
    format: Option<String>,
    is_kept: bool,
}

#[derive(Debug)]
enum Source {
    Document(Document),
    Url(String),
}

impl ParseInput {
    fn new(source: Source) -> Self {
        Self {
            source,
            options: Options::default(),
            format: None,
            is_kept: true,
        }
    }

    /// Parses, and pays for, these pages only.
    #[must_use]
    pub fn with_pages(mut self, pages: PageRange) -> Self {
        self.options.pages = Some(pages);
        self
    }

    /// Opens an encrypted document with the first line of this file, of which the path alone is recorded.
    #[must_use]
    pub fn with_password_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.options.password_file = Some(path.into());
        self
    }

    /// Sets documented [options] by their names; `given` is a JSON object.
    ///
    /// # Errors
    /// [`InputError`] for a value that an option does not take.
    pub fn with_options(mut self, given: &Value) -> Result<Self, InputError> {
        self.options
            .further
            .extend(known_options(options(), given)?);
        Ok(self)
    }

    /// Asks for `markdown`, which is the default, or `json`.
    #[must_use]
    pub fn with_format(mut self, format: impl Into<String>) -> Self {
        self.format = Some(format.into());
        self
    }

    /// Does not record where the document lies: it is gone after this process.
    #[must_use]
    pub fn without_path(mut self) -> Self {
        self.is_kept = false;
        self
    }

    fn request(self) -> Result<(ParseRequest, JobInput), InputError> {
        let written = self.options.written()?;
        let (request, input) = match self.source {
            Source::Url(url) => {
                let input = JobInput::url(VENDOR, KIND, &url, written);
                (ParseRequest::url(url), input)
            }
            Source::Document(document) => {
                let input = JobInput::document(VENDOR, KIND, &document, written)?;
                let input = if self.is_kept {
                    input
                } else {
                    input.without_path()
                };
                (ParseRequest::document(document), input)
            }
        };
        let request = self.options.asked_of(request)?;
        let input = match self.format {
            Some(format) => input.with_format(format),
            None => input,
        };
        Ok((request, input))
    }
}

impl IntoJobInput for ParseInput {
    fn into_job_input(self) -> Result<JobInput, InputError> {
        let (request, input) = self.request()?;
        Ok(input.with_live(request))
    }
}

/// What decides what the vendor makes of a document.
#[derive(Debug, Default)]
struct Options {
    pages: Option<PageRange>,
    /// Where the password is. Its content is read for the submit alone, and kept nowhere; another file is another try.
    password_file: Option<PathBuf>,
    /// The others that are set, by their names.
    further: Map<String, Value>,
}

impl Options {
    /// As the ledger knows them again.
    fn written(&self) -> Result<Value, InputError> {
        let mut options = json!({ "pages": self.pages.as_ref().map(ToString::to_string) });
        if let (Some(path), Value::Object(options)) = (&self.password_file, &mut options) {
            let text = path.to_str().ok_or_else(|| {
                let path = path.display();
                InputError::invalid(format!(
                    "the path {path} of the password file is not UTF-8; rename the file"
                ))
            })?;
            options.insert("password_file".to_owned(), text.into());
        }
        if let Value::Object(options) = &mut options {
            options.extend(self.further.clone());
        }
        Ok(options)
    }

    /// The request with them; reads the password.
    fn asked_of(&self, mut request: ParseRequest) -> Result<ParseRequest, InputError> {
        if !self.further.is_empty() {
            let config = vendor_json(options(), &self.further);
            let config: ParseConfig = serde_json::from_value(config)
                .map_err(|problem| InputError::invalid(format!("the options: {problem}")))?;
            request = request.with_config(config);
        }
        if let Some(pages) = &self.pages {
            request = request.with_pages(pages);
        }
        if let Some(path) = &self.password_file {
            request = request.with_password(password(path)?);
        }
        Ok(request)
    }

    fn read(written: &Value) -> Result<Self, InputError> {
        let text = |key: &str| written.get(key).and_then(Value::as_str);
        Ok(Self {
            pages: text("pages").map(pages).transpose()?,
            password_file: text("password_file").map(PathBuf::from),
            further: known_options(options(), written)?,
        })
    }
}

fn pages(text: &str) -> Result<PageRange, InputError> {
    text.parse()
        .map_err(|problem| InputError::invalid(format!("pages: {problem}")))
}

/// The first line of a file; nothing of it is in an error.
fn password(path: &Path) -> Result<String, InputError> {
    const LONGEST: u64 = 4096;
    let unusable = |problem: &str| {
        InputError::invalid(format!(
            "the password file {} {problem}; put the document's password there, in one line",
            path.display()
        ))
    };
    let mut content = Vec::new();
    let file =
        std::fs::File::open(path).map_err(|problem| InputError::unreadable(path, problem))?;
    file.take(LONGEST + 1)
        .read_to_end(&mut content)
        .map_err(|problem| InputError::unreadable(path, problem))?;
    if content.len() as u64 > LONGEST {
        return Err(unusable("is too long for a password"));
    }
    let content = String::from_utf8(content).map_err(|_| unusable("is not UTF-8"))?;
    let content = content.strip_prefix('\u{feff}').unwrap_or(&content);
    match content.lines().next().unwrap_or_default() {
        "" => Err(unusable("is empty")),
        password => Ok(password.to_owned()),
    }
}

#[async_trait]
impl Handler for ParseHandler {
    type Kind = Parse;
    type Input = ParseRequest;

    fn kind(&self) -> Arc<Parse> {
        self.client.kind()
    }

    fn options(&self) -> &'static [OptionSpec] {
        options()
    }

    fn input(&self, source: InputSource, options: &Value) -> Result<JobInput, InputError> {
        let further = self::options().iter().map(|option| option.name);
        let known = ["pages", "password_file", "format"]
            .into_iter()
            .chain(further);
        jobs_runner::only_known_options(options, &known.collect::<Vec<_>>())?;
        let mut parse = match source {
            InputSource::Path(path) => input(jobs_runner::open(path)?),
            InputSource::Url(url) => url_input(url),
            _ => return Err(InputError::invalid("textin parse takes a file or a URL")),
        };
        parse.options = Options::read(options)?;
        parse.format = options
            .get("format")
            .and_then(Value::as_str)
            .map(str::to_owned);
        if let Some(format) = &parse.format
            && !FORMATS.contains(&format.as_str())
        {
            return Err(InputError::invalid(format!(
                "textin parse gives markdown or json, not {format:?}"
            )));
        }
        parse.into_job_input()
    }

    fn rebuild_input(&self, job: &jobs_ledger::JobRecord) -> Result<ParseRequest, InputError> {
        let mut parse = match recorded_text(job, "url") {
            Some(url) => url_input(url),
            None => input(JobInput::reopen(job)?),
        };
        parse.options = Options::read(&job.options)?;
        let (request, input) = parse.request()?;
        input.must_match(job)?;
        Ok(request)
    }

    async fn submit(
        &self,
        _: &Claim<at::Submitting>,
        request: &ParseRequest,
    ) -> Result<Job<Parse>, SubmitError> {
        let mut request = request.clone();
        if let Some(address) = self.webhook.as_ref().and_then(|address| address()) {
            request = request.with_webhook(address);
        }
        self.client.parse(request).submit().await
    }

    async fn fetch(
        &self,
        ready: Ready,
        format: Option<&str>,
        target: &OutputPath,
        deadline: Moment,
    ) -> Result<FetchedResult, DownloadError> {
        let (verified, summary) = match format {
            Some("json") => ready.fetch_json(target, deadline).await?,
            _ => ready.fetch_markdown(target, deadline).await?,
        };
        Ok(FetchedResult::file(verified).with_charge(summary.success_count))
    }

    fn formats(&self) -> &'static [&'static str] {
        FORMATS
    }

    fn extension(&self, format: Option<&str>) -> &'static str {
        match format {
            Some("json") => "json",
            _ => "md",
        }
    }

    fn is_text(&self, _: Option<&str>) -> bool {
        true
    }

    fn accepted_types(&self) -> &'static [&'static str] {
        &TYPES
    }

    fn largest_document(&self, extension: &str) -> u64 {
        largest(extension)
    }

    fn accepts_url(&self) -> bool {
        true
    }

    fn estimate(&self, request: &ParseRequest) -> Estimate {
        let path = request.sent_document().and_then(Document::path);
        let pages = path.and_then(|path| count_pages(path).ok().flatten());
        match (pages, request.selected_pages(pages)) {
            (_, Some(selected)) => Estimate::Units(selected),
            (Some(pages), None) => Estimate::Units(pages.into()),
            (None, None) => Estimate::Unknown,
        }
    }

    /// Pages that failed are not charged, says the vendor's page on prices.
    fn charge_of_failed(&self) -> Option<u64> {
        Some(0)
    }

    fn unit(&self) -> &'static str {
        "page"
    }
}

#[cfg(test)]
mod tests {
    use jobs_core::vendor::JobKind as _;

    use super::*;

    #[test]
    fn a_password_is_the_first_line_of_its_file_and_in_no_error() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("pw");
        for (content, read) in [
            (&b"hunter2\n"[..], Some("hunter2")),
            (b"\xef\xbb\xbf open sesame \r\nrest", Some(" open sesame ")),
            ("密码".as_bytes(), Some("密码")),
            (b"", None),
            (b"\nhunter2", None),
            (b"hunter2\xff", None),
            (&[b'x'; 5000], None),
        ] {
            std::fs::write(&path, content).unwrap();
            let password = password(&path);
            assert_eq!(password.as_deref().ok(), read);
            assert!(
                password
                    .err()
                    .is_none_or(|error| !error.to_string().contains("hunter2"))
            );
        }
        let missing = password(&place.path().join("none")).unwrap_err();
        assert!(matches!(missing, InputError::Unreadable { .. }));
    }

    #[test]
    fn another_password_file_is_another_input_and_none_is_what_it_was() {
        let written = |file: Option<&str>| {
            let options = Options {
                password_file: file.map(PathBuf::from),
                ..Options::default()
            };
            options.written().unwrap()
        };
        assert_eq!(written(None), json!({ "pages": null }));
        assert_ne!(written(Some("/a")), written(Some("/b")));
        let read = Options::read(&written(Some("/a"))).unwrap();
        assert_eq!(read.password_file.as_deref(), Some(Path::new("/a")));
    }

    #[test]
    fn every_option_is_recorded_under_its_name_and_sent_where_the_vendor_has_it() {
        let given = json!({
            "pages": "1-2", "table_view": "markdown", "include_hierarchy": false, "parse_mode": "scan",
            "formula_level": 1, "exports": [{ "format": "docx" }], "force_engine": "textin",
        });
        let parse = || input(Document::from_bytes("a.pdf", "%PDF-1.7"));
        let mut read = parse();
        read.options = Options::read(&given).unwrap();
        let written = read.options.written().unwrap();
        assert_eq!(written, given);
        let (request, _) = read.request().unwrap();
        assert_eq!(
            serde_json::to_value(request.config()).unwrap(),
            json!({
                "capabilities": { "include_hierarchy": false, "table_view": "markdown" },
                "scope": { "page_range": "1-2" },
                "config": { "force_engine": "textin", "engine_params": { "parse_mode": "scan", "formula_level": 1 } },
                "exports": [{ "format": "docx" }],
            })
        );
        let error = parse()
            .with_options(&json!({ "table_view": "pdf" }))
            .unwrap_err();
        assert!(error.to_string().contains("html, markdown"), "{error}");
        // Set by nobody, the recorded options are those of before.
        assert_eq!(
            Options::default().written().unwrap(),
            json!({ "pages": null })
        );
    }

    #[test]
    fn the_handler_is_of_the_kind_that_its_inputs_name() {
        let key = || jobs_core::Secret::new("k".to_owned()).unwrap();
        let client = Client::builder(key(), key()).build().unwrap();
        let kind = handler(client).kind();
        assert_eq!((kind.vendor(), kind.name()), (VENDOR, KIND));
    }
}
