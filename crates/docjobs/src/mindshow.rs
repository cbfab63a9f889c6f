//! `docjobs mindshow`: make decks, and export them to PDF.

use std::sync::Arc;

use async_trait::async_trait;
use jobs_core::{Error, JobId, Lost, Submission};
use mindshow::types::{GptDeck, MarkdownDeck};
use mindshow::{Client, Clues, Deck, Pdf, PdfBudget, PdfReady, Ready};
use serde_json::json;

use crate::app::App;
use crate::args::{DeckArgs, PdfArgs};
use crate::exit::Stop;
use crate::flow::{self, Line, Order};
use crate::input::{self, Input};
use crate::place::{Delivered, Place};

pub(crate) const VENDOR: &str = "mindshow";

/// `docjobs mindshow deck`
pub(crate) async fn deck(app: &App, args: DeckArgs) -> Result<(), Stop> {
    let line = DeckLine {
        client: client(app)?,
    };
    let source = Source::read(&args)?;
    let order = DeckOrder::new(line, source);
    let place = Place::new(args.output.as_deref())?;
    flow::run(app, &order, &place).await
}

/// `docjobs mindshow pdf`
pub(crate) async fn pdf(app: &App, args: PdfArgs) -> Result<(), Stop> {
    let client = client(app)?;
    let id =
        JobId::new(args.job_id.as_str()).map_err(|problem| Stop::bad_input(problem.to_string()))?;
    let line = PdfLine {
        kind: client.pdf_kind(PdfBudget::calls(args.max_calls)),
        client,
    };
    let place = Place::new(args.output.as_deref())?;
    flow::attach(app, &line, id, &place).await
}

/// The client of the account in the environment.
pub(crate) fn client(app: &App) -> Result<Client, Stop> {
    let client =
        Client::builder_from(&app.env(VENDOR)).map_err(|error| Stop::before_acceptance(&error))?;
    let client = client
        .with_clock(app.clock()?)
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
    fn read(args: &DeckArgs) -> Result<Self, Stop> {
        let source = &args.source;
        match (&source.topic, &source.outline, &source.markdown) {
            (Some(topic), _, _) => Ok(Self::Topic(topic.clone())),
            (_, Some(path), _) => Ok(Self::Outline(input::text(path)?)),
            (_, _, Some(path)) => Ok(Self::Markdown(input::text(path)?)),
            (None, None, None) => Err(Stop::bad_input("give --topic, --outline or --markdown")),
        }
    }

    fn parts(&self) -> (&'static str, &str) {
        match self {
            Self::Topic(text) => ("topic", text),
            Self::Outline(text) => ("outline", text),
            Self::Markdown(text) => ("markdown", text),
        }
    }
}

/// Deck generation, as the command line brings it home.
pub(crate) struct DeckLine {
    pub(crate) client: Client,
}

pub(crate) struct DeckOrder {
    line: DeckLine,
    source: Source,
    input: Input,
}

impl DeckOrder {
    pub(crate) fn new(line: DeckLine, source: Source) -> Self {
        let (word, text) = source.parts();
        let beginning: String = text
            .lines()
            .next()
            .unwrap_or_default()
            .chars()
            .take(60)
            .collect();
        let input = Input::text(
            text,
            &format!("{word} {beginning:?}"),
            json!({ "source": word }),
        );
        Self {
            line,
            source,
            input,
        }
    }

    /// The title that the deck will get, where that is certain.
    fn title(&self) -> Option<Box<str>> {
        match &self.source {
            Source::Topic(_) => None,
            Source::Outline(text) | Source::Markdown(text) => text
                .lines()
                .find_map(|line| line.strip_prefix("# "))
                .map(|title| title.trim().into()),
        }
    }
}

#[async_trait]
impl Line for DeckLine {
    type Kind = Deck;

    fn kind(&self) -> Arc<Deck> {
        self.client.kind()
    }

    async fn deliver(&self, ready: Ready, place: &Place) -> Result<Delivered, Error> {
        let (verified, _) = self.client.fetch_deck(&ready, place.target()).await?;
        place.keep(verified).await
    }
}

#[async_trait]
impl Order for DeckOrder {
    type Line = DeckLine;

    fn line(&self) -> &DeckLine {
        &self.line
    }

    fn input(&self) -> &Input {
        &self.input
    }

    async fn submit(&self) -> Submission<Deck> {
        let client = &self.line.client;
        match &self.source {
            Source::Topic(text) => client.submit_gpt(&GptDeck::from_topic(text)).await,
            Source::Outline(text) => client.submit_gpt(&GptDeck::from_outline(text)).await,
            Source::Markdown(text) => {
                client
                    .submit_markdown(&MarkdownDeck::from_markdown(text))
                    .await
            }
        }
    }

    async fn search(&self, lost: &Lost) -> Result<Vec<JobId>, Error> {
        let mut clues = Clues::default();
        clues.title = self.title();
        let candidates = self.line.client.find_lost(lost, &clues).await?;
        Ok(candidates.into_iter().map(|found| found.id).collect())
    }
}

/// Export to PDF, as the command line brings it home. Submit and look are one call, so there is no order.
pub(crate) struct PdfLine {
    pub(crate) client: Client,
    pub(crate) kind: Arc<Pdf>,
}

#[async_trait]
impl Line for PdfLine {
    type Kind = Pdf;

    fn kind(&self) -> Arc<Pdf> {
        Arc::clone(&self.kind)
    }

    async fn deliver(&self, ready: PdfReady, place: &Place) -> Result<Delivered, Error> {
        place
            .keep(self.client.fetch_pdf(&ready, place.target()).await?)
            .await
    }
}
