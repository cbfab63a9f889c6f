//! `docjobs mindshow`: make decks, and export them to PDF.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use jobs_core::disk::OutputPath;
use jobs_core::http::DownloadError;
use jobs_core::{Error, Job, JobId, LostSubmit, Moment, SubmitError};
use jobs_ledger::{Claim, at};
use mindshow::types::{GptDeck, MarkdownDeck};
use mindshow::{Client, Deck, Pdf, PdfBudget, PdfReady, Ready, SearchCriteria};
use serde_json::{Value, json};

use crate::app::App;
use crate::args::{DeckArgs, DeckSource, PdfArgs};
use crate::exit::Stop;
use crate::flow;
use crate::input::{self, Given, Input};
use crate::line::{Brought, Budget, Line};
use crate::rate;

pub(crate) const VENDOR: &str = "mindshow";
/// The kind of job that exports a deck.
pub(crate) const PDF: &str = "pdf";

/// `docjobs mindshow deck`
pub(crate) async fn deck(app: &App, args: DeckArgs) -> Result<(), Stop> {
    let line = DeckLine {
        client: client(app)?,
    };
    let (source, input) = Source::read(args.source).await?;
    flow::run(app, &line, &source, input, args.output.as_deref()).await
}

/// `docjobs mindshow pdf`
pub(crate) async fn pdf(app: &App, args: PdfArgs) -> Result<(), Stop> {
    let id =
        JobId::new(args.job_id.as_str()).map_err(|problem| Stop::bad_input(problem.to_string()))?;
    let line = PdfLine::new(client(app)?, args.max_calls);
    let input = Input {
        request: json!({ "deck": id.as_str(), "max_calls": args.max_calls }),
        ..Input::text(id.as_str(), &format!("deck {id}"), Value::Null)
    };
    flow::run(app, &line, &id, input, args.output.as_deref()).await
}

/// The client of the account in the environment.
pub(crate) fn client(app: &App) -> Result<Client, Stop> {
    let client =
        Client::builder_from(&app.env(VENDOR)).map_err(|error| Stop::before_acceptance(&error))?;
    let (clock, rate) = (app.clock()?, rate::shared(app)?);
    let client = client
        .with_config(|config| config.with_clock(clock).with_shared_rate(rate))
        .with_policy(|facts| app.pace(VENDOR, facts))
        .build()
        .map_err(|error| Stop::before_acceptance(&error))?;
    app.allow_scale(client.origin())?;
    Ok(client)
}

/// What a deck is made of.
pub(crate) enum Source {
    Topic(String),
    Outline(String),
    Markdown(String),
}

impl Source {
    async fn read(source: DeckSource) -> Result<(Self, Input), Stop> {
        let (word, path) = match (source.topic, source.outline, source.markdown) {
            (Some(topic), _, _) => return Ok(Self::topic(&topic)),
            (_, Some(path), _) => ("outline", path),
            (_, _, Some(path)) => ("markdown", path),
            (None, None, None) => {
                return Err(Stop::bad_input("give --topic, --outline or --markdown"));
            }
        };
        let name = input::is_stdin(&path).then(|| "stdin.md".to_owned());
        let given = Given::new(&path, name).await?;
        Self::file(word, given.place(), given.path())
    }

    fn topic(topic: &str) -> (Self, Input) {
        let options = json!({ "source": "topic", "topic": topic });
        let beginning: String = topic.chars().take(60).collect();
        (
            Self::Topic(topic.to_owned()),
            Input::text(topic, &format!("topic {beginning:?}"), options),
        )
    }

    /// The text lies at `place`; `path` is where it can be found again.
    fn file(word: &str, place: &Path, path: Option<&Path>) -> Result<(Self, Input), Stop> {
        let text = input::text(place)?;
        let name = place.file_name().unwrap_or_default().to_string_lossy();
        let input = Input::text(&text, &name, json!({ "source": word }));
        let input = match path {
            Some(path) => input.at(path)?,
            None => input,
        };
        let source = if word == "outline" {
            Self::Outline(text)
        } else {
            Self::Markdown(text)
        };
        Ok((source, input))
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

/// Deck generation, as the command line brings it home.
pub(crate) struct DeckLine {
    pub(crate) client: Client,
}

#[async_trait]
impl Line for DeckLine {
    type Kind = Deck;
    type Order = Source;

    fn kind(&self) -> Arc<Deck> {
        self.client.kind()
    }

    fn order_again(&self, job: &jobs_ledger::JobRecord) -> Result<Source, Stop> {
        let option = |name: &str| {
            job.options
                .get(name)
                .and_then(Value::as_str)
                .unwrap_or_default()
        };
        let (source, input) = match option("source") {
            "topic" => Source::topic(option("topic")),
            word => {
                let path = input::path_of(job)?;
                Source::file(word, &path, Some(&path))?
            }
        };
        input.must_be(job)?;
        Ok(source)
    }

    async fn submit(
        &self,
        _: &Claim<at::Submitting>,
        source: &Source,
    ) -> Result<Job<Deck>, SubmitError> {
        let request = match source {
            Source::Topic(text) => self.client.deck(GptDeck::from_topic(text)),
            Source::Outline(text) => self.client.deck(GptDeck::from_outline(text)),
            Source::Markdown(text) => self.client.deck(MarkdownDeck::from_markdown(text)),
        };
        request.submit().await
    }

    fn can_search(&self) -> bool {
        true
    }

    async fn search(&self, source: &Source, lost: &LostSubmit) -> Result<Vec<JobId>, Error> {
        let mut clues = SearchCriteria::default();
        clues.title = source.title();
        let candidates = self.client.find_lost(lost, &clues).await?;
        Ok(candidates.into_iter().map(|found| found.id).collect())
    }

    async fn fetch(
        &self,
        ready: Ready,
        target: &OutputPath,
        deadline: Moment,
    ) -> Result<Brought, DownloadError> {
        let (verified, _) = ready.fetch(target, deadline).await?;
        Ok(Brought::File(Box::new(verified)))
    }

    fn extension(&self) -> &'static str {
        "pptx"
    }
}

/// Export to PDF, as the command line brings it home. Submit and look are one call that may cost money each time, so the
/// looks are what the ledger counts.
pub(crate) struct PdfLine {
    client: Client,
    max_calls: u32,
    kind: Mutex<Arc<Pdf>>,
}

impl PdfLine {
    pub(crate) fn new(client: Client, max_calls: u32) -> Self {
        let kind = Mutex::new(client.pdf_kind(PdfBudget::calls(max_calls)));
        Self {
            client,
            max_calls,
            kind,
        }
    }
}

#[async_trait]
impl Line for PdfLine {
    type Kind = Pdf;
    /// The deck.
    type Order = JobId;

    fn kind(&self) -> Arc<Pdf> {
        Arc::clone(&self.kind.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn order_again(&self, job: &jobs_ledger::JobRecord) -> Result<JobId, Stop> {
        let id = input::text_of(job, "deck").unwrap_or_default();
        JobId::new(id).map_err(|problem| Stop::bad_input(problem.to_string()))
    }

    /// Sends nothing: the first look is the submit.
    async fn submit(
        &self,
        _: &Claim<at::Submitting>,
        deck: &JobId,
    ) -> Result<Job<Pdf>, SubmitError> {
        Ok(Job::accepted(self.kind(), deck.clone()))
    }

    async fn fetch(
        &self,
        ready: PdfReady,
        target: &OutputPath,
        deadline: Moment,
    ) -> Result<Brought, DownloadError> {
        ready
            .fetch(target, deadline)
            .await
            .map(|verified| Brought::File(Box::new(verified)))
    }

    fn extension(&self) -> &'static str {
        "pdf"
    }

    fn budget(&self, deck: &JobId) -> Option<Budget> {
        Some(Budget {
            calls: self.max_calls,
            made: self.kind().spent(deck).calls,
        })
    }

    fn spent_elsewhere(&self, calls: u32) {
        let kind = self
            .client
            .pdf_kind(PdfBudget::calls(self.max_calls).with_calls_made(calls));
        *self.kind.lock().unwrap_or_else(PoisonError::into_inner) = kind;
    }
}
