//! Durable decks: what `jobs-runner` needs to know of their generation.

use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use async_trait::async_trait;
use jobs_core::clock::Moment;
use jobs_core::disk::OutputPath;
use jobs_core::http::DownloadError;
use jobs_core::{Error, Job, JobId, LostSubmit, SubmitError};
use jobs_ledger::{Claim, at};
use jobs_runner::{
    Estimate, FetchedResult, Handler, InputError, InputSource, IntoJobInput, JobInput, OptionKind,
    OptionSpec, known_options, only_known_options, recorded_path, vendor_json,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::client::Client;
use crate::generated::options::{GPT_DECK, MARKDOWN_DECK};
use crate::generated::types::{GptDeck, MarkdownDeck};
use crate::job::{Deck, Ready};
use crate::lost_submit::SearchCriteria;
use crate::request::DeckRequest;

const VENDOR: &str = "mindshow";
const KIND: &str = "deck";

/// Required by the vendor, and empty unless somebody is named.
const SPEAKER: OptionSpec = OptionSpec {
    name: "speaker",
    path: &["speaker"],
    help: "Who speaks, as the deck's first page names them.",
    kind: OptionKind::Text,
};

static GPT_OPTIONS: LazyLock<Vec<OptionSpec>> = LazyLock::new(|| [&[SPEAKER], GPT_DECK].concat());
static MARKDOWN_OPTIONS: LazyLock<Vec<OptionSpec>> =
    LazyLock::new(|| [&[SPEAKER], MARKDOWN_DECK].concat());
static OPTIONS: LazyLock<Vec<OptionSpec>> = LazyLock::new(|| {
    let mut options = GPT_OPTIONS.clone();
    let is_new = |option: &&OptionSpec| GPT_DECK.iter().all(|known| known.name != option.name);
    options.extend(MARKDOWN_DECK.iter().filter(is_new));
    options
});

/// The documented options of a deck, each by its name. Some belong to a topic or an outline, some to Markdown.
pub fn options() -> &'static [OptionSpec] {
    &OPTIONS
}

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
        options: Map::new(),
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
    /// Those that are set, by their names.
    options: Map<String, Value>,
}

/// What is handed to the vendor, and by what a lost submit is known again.
#[derive(Debug)]
pub struct DeckSubmit {
    request: DeckRequest,
    title: Option<Box<str>>,
}

/// What a deck is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
enum DeckSource {
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
            options: Map::new(),
        })
    }

    /// Does not record where the text lies: it is gone after this process.
    #[must_use]
    pub fn without_path(mut self) -> Self {
        self.path = None;
        self
    }

    /// Sets documented [options] by their names; `given` is a JSON object.
    ///
    /// # Errors
    /// [`InputError`] for an option that this source of a deck does not have, and for a value that an option does not take.
    pub fn with_options(mut self, given: &Value) -> Result<Self, InputError> {
        let specs = self.source.options();
        let names: Vec<&str> = specs.iter().map(|option| option.name).collect();
        only_known_options(given, &names)?;
        self.options = known_options(specs, given)?;
        Ok(self)
    }

    fn submit(&self) -> Result<DeckSubmit, InputError> {
        let options = vendor_json(self.source.options(), &self.options);
        let request = match &self.source {
            DeckSource::Topic(text) => with_options(&GptDeck::from_topic(text), options)?.into(),
            DeckSource::Outline(text) => {
                with_options(&GptDeck::from_outline(text), options)?.into()
            }
            DeckSource::Markdown(text) => {
                with_options(&MarkdownDeck::from_markdown(text), options)?.into()
            }
        };
        Ok(DeckSubmit {
            request,
            title: self.source.title(),
        })
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
        let mut options = options;
        if let Value::Object(options) = &mut options {
            options.extend(self.options.clone());
        }
        let input = JobInput::text(VENDOR, KIND, text, &label, options);
        match &self.path {
            Some(path) => input.with_path(path),
            None => Ok(input),
        }
    }
}

impl IntoJobInput for DeckInput {
    fn into_job_input(self) -> Result<JobInput, InputError> {
        Ok(self.described()?.with_live(self.submit()?))
    }
}

/// A request with options in the vendor's JSON.
fn with_options<T: Serialize + DeserializeOwned>(
    request: &T,
    options: Value,
) -> Result<T, InputError> {
    let unusable = |problem| InputError::invalid(format!("the options: {problem}"));
    let mut json = serde_json::to_value(request).map_err(unusable)?;
    if let (Value::Object(json), Value::Object(options)) = (&mut json, options) {
        json.extend(options);
    }
    serde_json::from_value(json).map_err(unusable)
}

impl DeckSource {
    fn options(&self) -> &'static [OptionSpec] {
        match self {
            Self::Topic(_) | Self::Outline(_) => &GPT_OPTIONS,
            Self::Markdown(_) => &MARKDOWN_OPTIONS,
        }
    }

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
    type Input = DeckSubmit;

    fn kind(&self) -> Arc<Deck> {
        self.client.kind()
    }

    fn options(&self) -> &'static [OptionSpec] {
        options()
    }

    fn input(&self, source: InputSource, options: &Value) -> Result<JobInput, InputError> {
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
                options: Map::new(),
            },
            (InputSource::Path(path), Some("outline")) => outline_input(path)?,
            (InputSource::Path(path), None | Some("markdown")) => markdown_input(path)?,
            _ => {
                return Err(InputError::invalid(
                    "mindshow deck takes a text or a file, and as source: topic, outline or markdown",
                ));
            }
        };
        let mut further = options.clone();
        if let Value::Object(further) = &mut further {
            further.remove("source");
        }
        input.with_options(&further)?.into_job_input()
    }

    fn rebuild_input(&self, job: &jobs_ledger::JobRecord) -> Result<DeckSubmit, InputError> {
        let option = |name: &str| {
            let value = job.options.get(name).and_then(Value::as_str);
            value.unwrap_or_default()
        };
        let mut input = match option("source") {
            "topic" => topic_input(option("topic")),
            word => DeckInput::read(word, Path::to_owned(recorded_path(job)?))?,
        };
        input.options = known_options(input.source.options(), &job.options)?;
        input.described()?.must_match(job)?;
        input.submit()
    }

    async fn submit(
        &self,
        _: &Claim<at::Submitting>,
        input: &DeckSubmit,
    ) -> Result<Job<Deck>, SubmitError> {
        self.client.deck(input.request.clone()).submit().await
    }

    fn can_search(&self) -> bool {
        true
    }

    async fn search(&self, input: &DeckSubmit, lost: &LostSubmit) -> Result<Vec<JobId>, Error> {
        let mut clues = SearchCriteria::default();
        clues.title = input.title.clone();
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
        Ok(FetchedResult::file(verified))
    }

    fn extension(&self, _: Option<&str>) -> &'static str {
        "pptx"
    }

    fn accepted_types(&self) -> &'static [&'static str] {
        &["md", "markdown", "txt"]
    }

    fn estimate(&self, input: &DeckSubmit) -> Estimate {
        input
            .request
            .credits()
            .map_or(Estimate::Unknown, Estimate::Units)
    }

    fn unit(&self) -> &'static str {
        "credit"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(input: &DeckInput) -> String {
        let (_, body) = input.submit().unwrap().request.written().unwrap();
        String::from_utf8(body.to_vec()).unwrap()
    }

    #[test]
    fn options_are_recorded_and_sent_and_belong_to_their_source() {
        let given = json!({ "language": "en", "page_count": 12, "speaker": "Ann", "resource_id_list": ["r1"] });
        let input = topic_input("Tea").with_options(&given).unwrap();
        let sent: Value = serde_json::from_str(&sent(&input)).unwrap();
        assert_eq!(
            sent,
            json!({ "speaker": "Ann", "type": "topic", "content": "Tea", "page_count": 12, "language": "en", "resource_id_list": ["r1"] })
        );
        for (options, says) in [
            (json!({ "use_img_mode": "self" }), "use_img_mode"),
            (json!({ "language": "xx" }), "zh"),
        ] {
            let error = topic_input("Tea").with_options(&options).unwrap_err();
            assert!(error.to_string().contains(says), "{error}");
        }
    }

    #[test]
    fn without_options_the_bytes_are_those_of_the_request_alone() {
        let alone = DeckRequest::from(GptDeck::from_topic("Tea"));
        let (_, body) = alone.written().unwrap();
        assert_eq!(sent(&topic_input("Tea")).as_bytes(), &body[..]);
    }
}
