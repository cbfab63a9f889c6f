//! `docjobs textin`: parse a document.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use jobs_core::{Error, Submission};
use serde_json::json;
use textin::{Client, PageRange, Parse, ParseRequest, Ready};

use crate::app::App;
use crate::args::{Format, ParseArgs};
use crate::exit::Stop;
use crate::flow::{self, Line, Order};
use crate::input::{self, Input};
use crate::place::{Delivered, Place};

pub(crate) const VENDOR: &str = "textin";

/// `docjobs textin parse`
pub(crate) async fn parse(app: &App, args: ParseArgs) -> Result<(), Stop> {
    let line = ParseLine {
        client: client(app)?,
        format: args.format,
    };
    let order = ParseOrder::new(line, &args.input, args.pages.as_deref())?;
    let place = Place::new(args.output.as_deref())?;
    flow::run(app, &order, &place).await
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

/// Parsing, as the command line brings it home.
pub(crate) struct ParseLine {
    pub(crate) client: Client,
    pub(crate) format: Format,
}

pub(crate) struct ParseOrder {
    line: ParseLine,
    request: ParseRequest,
    input: Input,
}

impl ParseOrder {
    pub(crate) fn new(line: ParseLine, input: &str, pages: Option<&str>) -> Result<Self, Stop> {
        let pages: Option<PageRange> = pages
            .map(str::parse)
            .transpose()
            .map_err(|problem| Stop::bad_input(format!("--pages: {problem}")))?;
        let options = json!({ "pages": pages.as_ref().map(ToString::to_string) });
        let is_url = input.starts_with("https://") || input.starts_with("http://");
        let (request, input) = if is_url {
            (ParseRequest::url(input), Input::text(input, input, options))
        } else {
            let document = input::open(Path::new(input))?;
            let input = Input::document(&document, Path::new(input), options)?;
            (ParseRequest::document(document), input)
        };
        let request = match &pages {
            Some(pages) => request.with_pages(pages),
            None => request,
        };
        Ok(Self {
            line,
            request,
            input,
        })
    }
}

#[async_trait]
impl Line for ParseLine {
    type Kind = Parse;

    fn kind(&self) -> Arc<Parse> {
        self.client.kind()
    }

    async fn deliver(&self, ready: Ready, place: &Place) -> Result<Delivered, Error> {
        let (verified, _) = match self.format {
            Format::Markdown => self.client.fetch_markdown(&ready, place.target()).await?,
            Format::Json => self.client.fetch_json(&ready, place.target()).await?,
        };
        place.keep(verified).await
    }
}

#[async_trait]
impl Order for ParseOrder {
    type Line = ParseLine;

    fn line(&self) -> &ParseLine {
        &self.line
    }

    fn input(&self) -> &Input {
        &self.input
    }

    async fn submit(&self) -> Submission<Parse> {
        self.line.client.submit_parse(&self.request).await
    }
}
