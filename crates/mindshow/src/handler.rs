//! Durable decks: what `jobs-runner` needs to know of their generation.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use jobs_core::disk::OutputPath;
use jobs_core::http::DownloadError;
use jobs_core::{Error, Job, JobId, LostSubmit, Moment, SubmitError};
use jobs_ledger::{Claim, at};
use jobs_runner::{
    FetchedResult, Handler, InputError, InputSource, IntoJobInput, JobInput, recorded_path,
};
use serde_json::{Value, json};

use crate::client::Client;
use crate::generated::types::{GptDeck, MarkdownDeck};
use crate::job::{Deck, Ready};
use crate::lost_submit::SearchCriteria;

const VENDOR: &str = "mindshow";
const KIND: &str = "deck";

/// The handler of an account's decks. [`pdf_handler`](crate::pdf_handler) exports them.
pub fn handler(client: Client) -> DeckHandler {
    DeckHandler { client }
}

/// A deck about a topic.
pub fn topic_input(topic: impl Into<String>) -> DeckInput {
    DeckInput {
        source: DeckSource::Topic(topic.into()),
        path: None,
        name: None,
    }
}

/// A deck of the outline in a file.
///
/// # Errors
/// [`InputError`] when the file cannot be read.
pub fn outline_input(path: impl Into<PathBuf>) -> Result<DeckInput, InputError> {
    DeckInput::read("outline", path.into())
}

/// A deck of the Markdown in a file.
///
/// # Errors
/// [`InputError`] when the file cannot be read.
pub fn markdown_input(path: impl Into<PathBuf>) -> Result<DeckInput, InputError> {
    DeckInput::read("markdown", path.into())
}

/// Runs the generation of decks durably.
#[derive(Debug, Clone)]
pub struct DeckHandler {
    client: Client,
}

/// What a deck is made of, and where that can be read again.
#[derive(Debug)]
pub struct DeckInput {
    source: DeckSource,
    path: Option<PathBuf>,
    name: Option<String>,
}

/// What a deck is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeckSource {
    /// A topic.
    Topic(String),
    /// The text of an outline.
    Outline(String),
    /// Markdown.
    Markdown(String),
}

impl DeckInput {
    fn read(word: &str, path: PathBuf) -> Result<Self, InputError> {
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(problem) => return Err(InputError::unreadable(path, problem)),
        };
        let name = path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned());
        Ok(Self {
            source: match word {
                "outline" => DeckSource::Outline(text),
                _ => DeckSource::Markdown(text),
            },
            path: Some(path),
            name,
        })
    }

    /// Does not record where the text lies: it is gone after this process.
    #[must_use]
    pub fn without_path(mut self) -> Self {
        self.path = None;
        self
    }

    fn described(&self) -> Result<JobInput, InputError> {
        let name = self.name.as_deref().unwrap_or("text");
        let (text, label, options) = match &self.source {
            DeckSource::Topic(topic) => {
                let beginning: String = topic.chars().take(60).collect();
                let options = json!({ "source": "topic", "topic": topic });
                (topic, format!("topic {beginning:?}"), options)
            }
            DeckSource::Outline(text) => (text, name.to_owned(), json!({ "source": "outline" })),
            DeckSource::Markdown(text) => (text, name.to_owned(), json!({ "source": "markdown" })),
        };
        let input = JobInput::text(VENDOR, KIND, text, &label, options);
        match &self.path {
            Some(path) => input.with_path(path),
            None => Ok(input),
        }
    }
}

impl IntoJobInput for DeckInput {
    fn into_job_input(self) -> Result<JobInput, InputError> {
        Ok(self.described()?.with_live(self.source))
    }
}

impl DeckSource {
    /// The title that the deck will get, where that is certain.
    fn title(&self) -> Option<Box<str>> {
        match self {
            Self::Topic(_) => None,
            Self::Outline(text) | Self::Markdown(text) => text
                .lines()
                .find_map(|line| line.strip_prefix("# "))
                .map(|title| title.trim().into()),
        }
    }
}

#[async_trait]
impl Handler for DeckHandler {
    type Kind = Deck;
    type Input = DeckSource;

    fn kind(&self) -> Arc<Deck> {
        self.client.kind()
    }

    fn input(&self, source: InputSource, options: &Value) -> Result<JobInput, InputError> {
        jobs_runner::only_known_options(options, &["source"])?;
        let word = options.get("source").and_then(Value::as_str);
        let input = match (source, word) {
            (InputSource::Text(text), None | Some("topic")) => topic_input(text),
            (InputSource::Text(text), Some(word @ ("outline" | "markdown"))) => DeckInput {
                source: match word {
                    "outline" => DeckSource::Outline(text),
                    _ => DeckSource::Markdown(text),
                },
                path: None,
                name: None,
            },
            (InputSource::Path(path), Some("outline")) => outline_input(path)?,
            (InputSource::Path(path), None | Some("markdown")) => markdown_input(path)?,
            _ => {
                return Err(InputError::invalid(
                    "mindshow deck takes a text or a file, and as source: topic, outline or markdown",
                ));
            }
        };
        input.into_job_input()
    }

    fn rebuild_input(&self, job: &jobs_ledger::JobRecord) -> Result<DeckSource, InputError> {
        let option = |name: &str| {
            let value = job.options.get(name).and_then(Value::as_str);
            value.unwrap_or_default()
        };
        let input = match option("source") {
            "topic" => topic_input(option("topic")),
            word => DeckInput::read(word, Path::to_owned(recorded_path(job)?))?,
        };
        input.described()?.must_match(job)?;
        Ok(input.source)
    }

    async fn submit(
        &self,
        _: &Claim<at::Submitting>,
        source: &DeckSource,
    ) -> Result<Job<Deck>, SubmitError> {
        let request = match source {
            DeckSource::Topic(text) => self.client.deck(GptDeck::from_topic(text)),
            DeckSource::Outline(text) => self.client.deck(GptDeck::from_outline(text)),
            DeckSource::Markdown(text) => self.client.deck(MarkdownDeck::from_markdown(text)),
        };
        request.submit().await
    }

    fn can_search(&self) -> bool {
        true
    }

    async fn search(&self, source: &DeckSource, lost: &LostSubmit) -> Result<Vec<JobId>, Error> {
        let mut clues = SearchCriteria::default();
        clues.title = source.title();
        let candidates = self.client.find_lost(lost, &clues).await?;
        Ok(candidates.into_iter().map(|found| found.id).collect())
    }

    async fn fetch(
        &self,
        ready: Ready,
        _: Option<&str>,
        target: &OutputPath,
        deadline: Moment,
    ) -> Result<FetchedResult, DownloadError> {
        let (verified, _) = ready.fetch(target, deadline).await?;
        Ok(FetchedResult::File(Box::new(verified)))
    }

    fn extension(&self, _: Option<&str>) -> &'static str {
        "pptx"
    }

    fn accepted_types(&self) -> &'static [&'static str] {
        &["md", "markdown", "txt"]
    }

    fn unit(&self) -> &'static str {
        "credit"
    }
}
